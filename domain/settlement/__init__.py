"""Settlement: what partners earn, the statements that tell them, and the payouts that pay them."""
