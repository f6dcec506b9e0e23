"""The whole engine on doubles of the broker and the database, in a time of its own."""
