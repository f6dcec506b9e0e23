"""The audit of accounts and of the resources that they refer to."""

from adapters.accounts.audit import accounts, closings, kept, specifications

CHECKS = (*accounts.CHECKS, *closings.CHECKS, *kept.CHECKS, *specifications.CHECKS)
