"""RabbitMQ: the topology, deliveries in, events and replies out."""
