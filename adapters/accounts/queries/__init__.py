"""The reads that answer queries about accounts: one by one, in lists, as trees, statements and histories."""
