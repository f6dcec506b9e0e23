"""What a ledger account is, and the key under which it is debited and credited."""

from __future__ import annotations

from typing import Literal, NamedTuple

from domain.frozen import dataclass


class LedgerKey(NamedTuple):
    """A ledger account; `owner` is the account whose position carries it, tax carries its category and rate."""

    account: str
    owner: str | None = None
    balance: str | None = None
    category: str | None = None
    rate: str | None = None


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """A line of the chart of accounts.

    `side` is the one on which its balance is positive. `owner` is the type of account that has one of its own, whose
    balance stands in its position as the field `name`; None: there is one for the whole seller.
    """

    name: str
    side: Literal["debit", "credit"]
    owner: Literal["BillingAccount", "SettlementAccount"] | None = None

    def of(self, account_id: str) -> LedgerKey:
        """The ledger account of this name that an account has of its own."""
        return LedgerKey(f"{self.name}:{account_id}", account_id, self.name)

    @property
    def key(self) -> LedgerKey:
        """The ledger account of this name, which is the seller's."""
        return LedgerKey(self.name)
