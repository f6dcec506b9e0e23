"""Accounts: opened, changed, related to each other, suspended, closed; and the resources that they refer to."""
