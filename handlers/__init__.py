"""What comes in, and who deals with it."""
