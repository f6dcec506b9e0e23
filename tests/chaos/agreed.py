"""What is agreed with partners of a run: which terms each line has to have in the end, whatever is applied first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.support.messages import Message, eur

NETTED = "BA-netted"
"""The account whose invoices are netted with what two of the partners have earned. What it owes is due at once."""
ADVANCE = 500
"""Euros that may be paid in advance by an agreement."""
DAYS_MAX = 3_650
"""A reserve of so many days is released by messages alone."""
CHANGES_MAX = 6
"""How often other terms are agreed of one agreement: for each one all invoices are gone through."""
BILLED = [date(2026, 1, 5) + timedelta(days=7 * week) for week in range(11)]
ORDERED = [date(2026, 11, day) for day in range(18, 23)]
"""From these days on other terms are agreed: among those of which bills of subscriptions are, and orders."""

HOLDBACK = {"holdback": {"rate": "0.10", "releaseAfterDays": 1}, "payoutThreshold": eur(20)}
ADVANCED = {"advance": {"amount": eur(ADVANCE)}}
GUARANTEE = {
    **ADVANCED,
    "guarantee": {"amount": eur(200), "period": "month"},
    "holdback": {"rate": "0.25", "releaseAfterDays": DAYS_MAX},
}
WITHHOLDING = {"withholding": {"rate": "0.15", "authority": "tax office", "surchargeOnTax": "0.055"}}
SELF_BILLED = "SA-billed"
"""The partner whose invoices we issue, and which says what it holds of them."""
SELF_BILLING = {
    "selfBilling": {"series": "SB-billed-", "tax": {"category": "S", "rate": "0.2"}},
    "fixedFee": {"amount": eur(2), "period": "month", "tax": {"category": "S", "rate": "0.2"}},
    "payoutThreshold": eur(20),
}
NETTING = {"netting": {"billingAccount": {"id": NETTED}}}

Shares = tuple[str, str]
"""A share of the net, or our commission where we sell in the partner's name; and when it accrues."""


def agents_terms(commission: str, accrue_on: str) -> dict[str, Any]:
    """Terms by which we sell in a partner's name."""
    tax = {"category": "S", "rate": "0.2"}
    return {"model": "agent", "commission": commission, "commissionTax": tax, "accrueOn": accrue_on}


@dataclass
class Bargain:
    """An agreement of a partner, from a day on and until before another; `shares` by the day from which they hold.

    `more` is what its closings go by. No two changes are of one day, so that it is all one which comes first.
    """

    id: str
    partner: str
    start: date
    shares: dict[date, Shares]
    more: dict[str, Any] = field(default_factory=dict)
    end: date | None = None
    late: bool = False
    """Whether it is agreed when the partner has earned."""
    tiered: bool = False
    agent: bool = False
    """Whether we sell in the partner's name, for a commission."""
    advanced: int = 0
    """What was paid in advance by it, in cents."""

    def holds_on(self, day: date) -> bool:
        """Whether it is in force."""
        return self.start <= day and (self.end is None or day < self.end)

    def share_on(self, day: date) -> Shares:
        """The terms of a day."""
        return self.shares[max(on for on in self.shares if on <= day)]

    def free_days(self) -> list[date]:
        """The days from which other terms may still be agreed."""
        if len(self.shares) > CHANGES_MAX:
            return []
        return [day for day in (*BILLED, *ORDERED) if self.holds_on(day) and day not in self.shares]

    def _terms(self, shares: Shares) -> dict[str, Any]:
        share, accrue_on = shares
        if self.agent:
            return {**agents_terms(*shares), **self.more}
        if self.tiered:
            steps = [{"upTo": 100, "share": share}, {"share": "0.9"}]
            return {
                "tiers": {"mode": "graduated", "period": "month", "steps": steps},
                "accrueOn": accrue_on,
                **self.more,
            }
        return {"share": share, "accrueOn": accrue_on, **self.more}

    def created(self) -> Message:
        """`agreement.create`."""
        valid_for = {"startDateTime": f"{self.start}T00:00:00Z"}
        if self.end is not None:
            valid_for["endDateTime"] = f"{self.end}T00:00:00Z"
        return "agreement.create", {
            "agreementId": self.id,
            "settlementAccount": {"id": self.partner},
            "validFor": valid_for,
            "terms": self._terms(self.shares[self.start]),
        }

    def changed(self, on: date, shares: Shares) -> Message:
        """`agreement.change`: other shares from a day on."""
        self.shares[on] = shares
        return "agreement.change", {
            "agreementId": self.id,
            "validFrom": str(on),
            "terms": self._terms(shares),
        }

    def advance(self, number: str, cents: int) -> Message:
        """`advance.paid`."""
        self.advanced += cents
        return "advance.paid", {
            "advanceId": number,
            "agreementId": self.id,
            "amount": eur(cents / 100),
            "paidAt": "2026-11-21T09:00:00Z",
        }


def bargains(lot: Callable[[], Shares]) -> list[Bargain]:
    """One of each kind, and one of all kinds for days that are past; the shares are drawn."""

    def made(partner: str, *kinds: dict[str, Any], start: date = date(2026, 1, 1), **fields: Any) -> Bargain:
        more = {name: terms for kind in kinds for name, terms in kind.items()}
        return Bargain(f"AG-{partner}-{start}", partner, start, {start: lot()}, more, **fields)

    turn = date(2026, 11, 20)
    return [
        made("SA-shared", end=turn),
        made("SA-shared", start=turn),
        made("SA-held", HOLDBACK),
        made("SA-guaranteed", GUARANTEE),
        made("SA-taxed", WITHHOLDING),
        made("SA-netted", NETTING),
        made("SA-tiered", tiered=True),
        made(SELF_BILLED, SELF_BILLING),
        made("SA-late", HOLDBACK, ADVANCED, WITHHOLDING, NETTING, late=True),
        made("SA-named", HOLDBACK, WITHHOLDING, NETTING, agent=True),
    ]


def agreed_on(found: Iterable[Bargain], partner: str, day: date) -> Bargain | None:
    """What is agreed with a partner of a day; None: the terms of its account hold."""
    return next((one for one in found if one.partner == partner and one.holds_on(day)), None)
