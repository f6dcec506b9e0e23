"""What the tests share: messages to send, a client of the broker, workers, and what must hold afterwards."""
