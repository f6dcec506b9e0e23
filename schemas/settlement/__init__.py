"""Settlement on the wire: closings and payouts, and the statements that partners get."""
