"""Payments: what customers pay, which invoices that covers, and the credit that is left."""
