"""The chart of accounts: every ledger account there is, its side, and whose it is. Balances and statements follow it.

The audit has a table of its own (`adapters.ledger.audit`), so that a mistake here is found there.
"""

from __future__ import annotations

from domain.ledger.keys import LedgerAccount, LedgerKey
from domain.ledger.partners import ADVANCE, PAYABLE, RESERVE, WITHHELD

RECEIVABLE = LedgerAccount("receivable", "debit", "BillingAccount")
"""What a customer owes us."""
UNAPPLIED = LedgerAccount("unapplied", "credit", "BillingAccount")
"""What a customer has paid and no invoice has consumed."""
REFUNDABLE = LedgerAccount("refundable", "credit", "BillingAccount")
"""What a customer has paid and is to get back: reserved by credit notes, and consumed by no invoice."""
RECOVERABLE = LedgerAccount("recoverable", "debit", "BillingAccount")
"""What a customer got back, or took back, without credit for it: it owes us that again."""
CASH = LedgerAccount("cash", "debit")
REVENUE = LedgerAccount("revenue", "credit")
COMMISSION = LedgerAccount("commission", "credit")
TAX = LedgerAccount("tax", "credit")
"""The tax we owe; its postings carry category and rate."""
INPUT_TAX = LedgerAccount("inputTax", "debit")
"""The tax that partners charge us, and that we owe for them, as far as we get it back: by category and rate."""
BAD_DEBT = LedgerAccount("badDebt", "debit")
"""What was written off as lost."""
BANK_CHARGES = LedgerAccount("bankCharges", "debit")
"""What banks and providers take for themselves."""
GOODWILL = LedgerAccount("goodwill", "debit")
"""What customers were given as credit that nobody paid."""
GUARANTEE = LedgerAccount("guarantee", "debit")
"""What partners were guaranteed and have not earned."""
TAX_WITHHELD = LedgerAccount("taxWithheld", "credit")
"""What was withheld of payouts as the partners' tax: we owe it to the authorities."""

CHART = (
    RECEIVABLE,
    UNAPPLIED,
    REFUNDABLE,
    RECOVERABLE,
    PAYABLE,
    WITHHELD,
    RESERVE,
    ADVANCE,
    CASH,
    REVENUE,
    COMMISSION,
    TAX,
    INPUT_TAX,
    BAD_DEBT,
    BANK_CHARGES,
    GOODWILL,
    GUARANTEE,
    TAX_WITHHELD,
)
"""The chart of accounts, in the order in which balances are told."""

OWNED = tuple(account for account in CHART if account.owner is not None)
"""Those of which an account has one of its own."""
BALANCES = tuple(account.name for account in OWNED)
"""Their names: the balances that stand in a position."""
SIGN = {account.name: 1 if account.side == "debit" else -1 for account in OWNED}
"""What a posting, debits positive, changes a balance by: each is positive on its own side."""

OF_CASH = CASH.key
OF_REVENUE = REVENUE.key
OF_COMMISSION = COMMISSION.key
OF_BAD_DEBT = BAD_DEBT.key
OF_BANK_CHARGES = BANK_CHARGES.key
OF_GOODWILL = GOODWILL.key
OF_GUARANTEE = GUARANTEE.key
OF_TAX_WITHHELD = TAX_WITHHELD.key


def balances_of(account_type: str) -> tuple[str, ...]:
    """The balances that accounts of a type have of their own, in the chart's order; none for other types."""
    return tuple(account.name for account in OWNED if account.owner == account_type)


def tax(category: str, rate: str) -> LedgerKey:
    """The tax we owe, by category and rate."""
    return LedgerKey(TAX.name, category=category, rate=rate)


def input_tax(category: str, rate: str) -> LedgerKey:
    """The tax that partners charge us, by category and rate."""
    return LedgerKey(INPUT_TAX.name, category=category, rate=rate)
