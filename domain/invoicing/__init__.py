"""Invoicing: what a customer owes, line by line, with the tax of each group."""
