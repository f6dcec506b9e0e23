"""The ledger accounts that each partner has: only `domain.settlement.position` posts to them."""

from __future__ import annotations

from domain.ledger.keys import LedgerAccount

PAYABLE = LedgerAccount("payable", "credit", "SettlementAccount")
"""What we owe a partner."""
WITHHELD = LedgerAccount("withheld", "credit", "SettlementAccount")
"""What we shall owe a partner once the customer has paid."""
RESERVE = LedgerAccount("reserve", "credit", "SettlementAccount")
"""What is held back of what a partner has earned, until a day."""
ADVANCE = LedgerAccount("advance", "debit", "SettlementAccount")
"""What a partner was paid before it earned it."""
