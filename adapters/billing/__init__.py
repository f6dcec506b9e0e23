"""Billing: how charges and bills on demand are kept, asked for and audited."""
