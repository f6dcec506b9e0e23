"""The audit of accounts and of the resources that they refer to."""

from adapters.accounts.audit import accounts, specifications

CHECKS = (*accounts.CHECKS, *specifications.CHECKS)
