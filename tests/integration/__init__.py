"""The worker on a real RabbitMQ and a real MongoDB: each message in and out, and whatever may go wrong."""
