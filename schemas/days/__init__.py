"""Days on the wire: the message by which a worker tells itself that one has come."""
