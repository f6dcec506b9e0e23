"""Invoices in the database: how they are kept, read for queries, and audited."""
