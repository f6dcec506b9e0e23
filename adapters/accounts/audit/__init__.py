"""The audit of accounts and of the resources that they refer to."""

from adapters.accounts.audit import accounts, kept, specifications

CHECKS = (*accounts.CHECKS, *kept.CHECKS, *specifications.CHECKS)
