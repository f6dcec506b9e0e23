"""The workload `orders`: orders of four lines, one or two of them on behalf of a partner, over 200 billing accounts.

Those that bills are compared with have three lines, one of them a partner's.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]

CURRENCY = "EUR"
BILLING_ACCOUNTS = 200
SETTLEMENT_ACCOUNTS = 5
LINES = 4
EVENTS_PER_ORDER = 2
"""`invoice.issued` and `settlement.accrued`: all that one order sells for others, it sells for one partner."""
ORDER = "order.completed"
"""The routing key of an order."""


def order_id(number: int) -> str:
    """The id of the order with this number; ids sort as their numbers do."""
    return f"O-{number:09d}"


TERMS: Json = {"partnerShare": "0.8", "accrueOn": "invoice"}
AGENTS_TERMS: Json = {
    "model": "agent",
    "commission": "0.2",
    "commissionTax": {"category": "S", "rate": "0.20"},
    "accrueOn": "invoice",
}
"""Those of partners in whose names is sold what is theirs."""

TIERS: Json = {
    "tiers": {
        "mode": "graduated",
        "period": "month",
        "steps": [{"upTo": "10000", "share": "0.7"}, {"upTo": "20000", "share": "0.75"}, {"share": "0.8"}],
    },
    "accrueOn": "invoice",
}
"""Terms by which a partner's share of a line goes by what its lines of the month come to."""


def account_messages(terms: Json = TERMS) -> list[Json]:
    """The bodies of the `account.create` messages for all accounts that the orders name; `terms` are the partners'."""
    billing = [
        {
            "@type": "BillingAccount",
            "id": f"BA-{number:04d}",
            "name": f"Customer {number}",
            "currency": CURRENCY,
            "paymentTermDays": 30,
            "relatedParty": [{"role": "customer", "partyOrPartyRole": {"id": f"P-{number:04d}"}}],
        }
        for number in range(BILLING_ACCOUNTS)
    ]
    settlement = [
        {
            "@type": "SettlementAccount",
            "id": f"SA-{number}",
            "name": f"Partner {number}",
            "currency": CURRENCY,
            "relatedParty": [{"role": "partner", "partyOrPartyRole": {"id": f"PP-{number}"}}],
            "settlementTerms": terms,
        }
        for number in range(SETTLEMENT_ACCOUNTS)
    ]
    return [*billing, *settlement]


def agreement_id(account_id: str) -> str:
    """The id of the agreement with a partner."""
    return f"A-{account_id}"


def agreement_messages(terms: Json) -> list[Json]:
    """The bodies of the `agreement.create` messages for all partners, from the first of the orders' month on."""
    accounts = [f"SA-{number}" for number in range(SETTLEMENT_ACCOUNTS)]
    return [
        {
            "agreementId": agreement_id(account_id),
            "settlementAccount": {"id": account_id},
            "validFor": {"startDateTime": "2026-11-01T00:00:00Z"},
            "terms": terms,
        }
        for account_id in accounts
    ]


def order_bodies(
    count: int, *, first: int = 0, account: Callable[[int], str] | None = None, lines: int = LINES
) -> Iterator[bytes]:
    """The bodies of `count` orders: the same ones whoever asks, so that everyone does the same work.

    Their numbers begin with `first`; each is on the `account` of its number, if that is given, and comes to the same
    amounts.
    """
    for number, order in enumerate(orders(count, first=first, lines=lines), first):
        if account is not None:
            order["billingAccount"] = {"id": account(number)}
        yield json.dumps(order).encode()


def orders(count: int, *, first: int = 0, lines: int = LINES) -> Iterator[Json]:
    """The same orders before they are written; each has so many `lines`."""
    lots = random.Random(678)
    return (_order(number, lots, lines) for number in range(first, first + count))


def _order(number: int, lots: random.Random, lines: int) -> Json:
    partner = {"id": f"SA-{lots.randrange(SETTLEMENT_ACCOUNTS)}"}
    of_partner = lots.choice((1, 2)) if lines == LINES else 1
    items: list[Json] = []
    for line in range(1, lines + 1):
        item: Json = {
            "id": str(line),
            "description": f"Product {lots.randrange(100)}, November",
            "quantity": lots.randint(1, 3),
            "unitPrice": f"{lots.randint(100, 9_999) / 100:.2f}",
            "tax": {"category": "S", "rate": "0.10" if line == lines else "0.20"},
        }
        if line > lines - of_partner:
            item["onBehalfOf"] = partner
        items.append(item)
    return {
        "orderId": order_id(number),
        "completedAt": "2026-11-22T10:15:00Z",
        "billingAccount": {"id": f"BA-{lots.randrange(BILLING_ACCOUNTS):04d}"},
        "currency": CURRENCY,
        "items": items,
    }
