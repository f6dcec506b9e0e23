"""Payments in the database: how they are kept, and audited."""
