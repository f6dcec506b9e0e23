"""How we talk to RabbitMQ, to MongoDB and to the machine."""
