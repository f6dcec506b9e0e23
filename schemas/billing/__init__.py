"""Billing on the wire: charges, bills on demand, their events and queries."""
