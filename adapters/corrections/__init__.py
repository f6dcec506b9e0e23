"""Corrections as they are kept, asked for and audited."""
