"""How days are kept, and what must be true of them."""
