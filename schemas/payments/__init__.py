"""Payments on the wire: what customers pay, and which invoices that covers."""
