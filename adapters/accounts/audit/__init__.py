"""The audit of accounts and of the resources that they refer to."""
