"""The demo: a day of business, sent to a worker over AMQP, and what came of it."""
