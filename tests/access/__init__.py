"""Who may do what: the access file, its patterns, and what becomes of who may not."""
