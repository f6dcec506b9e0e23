"""Dunning on the wire: looks, promises, the events of steps, and how far an account is."""
