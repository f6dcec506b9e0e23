"""Ordering: a completed order becomes an invoice; it composes invoicing, settlement and payments."""
