"""Parties in the database: the seller and its versions, how they are read, and what must be true of them."""
