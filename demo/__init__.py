"""The demo: a month of business, sent to a worker over AMQP, and what came of it."""
