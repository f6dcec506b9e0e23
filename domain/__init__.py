"""What a fact means for the books: pure, synchronous, in minor units; it can be run again on fresh books."""
