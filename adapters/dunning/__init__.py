"""Dunning: how it is kept, asked for and audited."""
