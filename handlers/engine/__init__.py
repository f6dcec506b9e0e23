"""The engine: from a delivery to a committed outcome, for many facts at a time."""
