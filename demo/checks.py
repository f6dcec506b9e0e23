"""Compares what came of the day with what must have come of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pymongo.database import Database

from demo.facts import RECOVERS, Message, Tally, rounded, tally
from demo.returns import CHARGEBACKS
from demo.traffic import Events, minor
from demo.wares import PARTNERS, Partner


@dataclass(frozen=True)
class Wave:
    """Messages that were published together, and how long it took from the first of them to the last event."""

    name: str
    messages: int
    events: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What was sent, and all that can be known of what came of it."""

    sent: list[Message]
    waves: list[Wave]
    events: Events
    worker_exit: int
    left_in_queue: int
    audit: dict[str, Any]


@dataclass(frozen=True)
class Check:
    """What must be, and what is."""

    name: str
    expected: object
    found: object

    @property
    def ok(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.found


def checks(outcome: Outcome, books: Database[dict[str, Any]]) -> Iterator[Check]:
    """What came of the day, point for point."""
    must, events = tally(outcome.sent), outcome.events
    orders, applied, counts = must.orders, must.applied, events.counts
    invoices = list(events.invoices.values())
    as_ordered = [i for i in invoices if minor(i["taxIncludedAmount"]) == orders[i["orderId"]].amount]
    settled = {i["orderId"] for i in invoices if i["state"] == "settled"}
    reasons = Counter(parked["reason"] for parked in events.parked)

    yield Check("accounts opened, once each", applied["account.create"], counts["account.created"])
    yield Check("invoices issued, one for each order", applied["order.completed"], len(invoices))
    yield Check("bills made on demand, as was charged", *_bills(outcome, events))
    yield Check("invoices that come to what was ordered", len(orders), len(as_ordered))
    yield Check("invoices that name the seller as it is", len(orders), sum(i["sellerVersion"] == 1 for i in invoices))
    yield Check(
        "payments booked, once each", applied["payment.received"], books["payments"].count_documents({"source": None})
    )
    yield Check("accounts that owe what was billed less paid, all told", *_balances(must, books))
    yield Check("credit notes issued, of what came back", _notes(must), counts["credit-note.issued"])
    yield Check("refunds booked, with nothing owed for them", applied["refund.completed"], _refunds(books))
    yield Check("payments that bounced, and are reversed", *_bounced(must, books))
    yield Check("chargebacks of what had gone back, owed once", *_charged_back(must, books))
    yield Check("disputes that are over", applied["dispute.open"], _disputes(books))
    yield Check("what is written off, less what was paid of it", *_losses(outcome, books))
    yield Check("payments transferred to the right account", applied["credit.transfer"], _transfers(books))
    yield Check("goodwill granted", applied["credit.grant"], counts["credit.granted"])
    yield Check("invoices settled that a payment named", len(must.paid_in_full), len(must.paid_in_full & settled))
    yield Check("partners whose statements hold all they earned", *_statements(must, events))
    yield Check("adjustments stated, of partners", *_adjusted(must, events))
    yield Check("payouts that came back", applied["payout.returned"], counts["payout.return-booked"])
    yield Check("statements paid as the payouts say", *_payouts(must, events))
    yield Check("messages parked, by reason", words(must.parked), words(reasons))
    yield Check("parked messages kept", must.parked.total(), books["held"].count_documents({"state": "parked"}))
    yield Check("events received, of those written", books["outbox"].count_documents({}), events.distinct)
    yield Check("accounts with a gap in their events", 0, events.gaps())
    yield Check("the worker's exit code after SIGTERM", 0, outcome.worker_exit)
    yield Check("messages it left in its queue", 0, outcome.left_in_queue)
    yield Check("paymaster audit", "ok", "ok" if outcome.audit["ok"] else "not ok")


def _bills(outcome: Outcome, events: Events) -> tuple[str, str]:
    """How many, and what they come to; if they are others than they must be, whose they are."""
    demanded = [fact for sent in outcome.sent for fact in sent.facts if fact.type == "bill.demand"]
    made = [(i["billingAccount"]["id"], minor(i["taxIncludedAmount"])) for i in events.bills.values()]
    must, are = sorted((fact.account, fact.amount) for fact in demanded), sorted(made)
    if must != are:
        return str(must), str(are)
    told = f"{len(are)}, {_euros(sum(amount for _, amount in are))}"
    return told, told


def _refunds(books: Database[dict[str, Any]]) -> int:
    return books["refunds"].count_documents({"recoverable": 0})


def _bounced(must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    return must.applied["payment.reversed"] - must.notes[CHARGEBACKS], books["reversals"].count_documents(
        {"recoverable": 0}
    )


def _charged_back(must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    all_of_it = {"$expr": {"$eq": ["$recoverable", "$amount"]}}
    return must.notes[CHARGEBACKS], books["reversals"].count_documents(all_of_it)


def _notes(must: Tally) -> int:
    return must.applied["credit-note.issue"] + must.applied["dispute.settle"]


def _disputes(books: Database[dict[str, Any]]) -> int:
    return books["disputes"].count_documents({"state": {"$ne": "open"}})


def _losses(outcome: Outcome, books: Database[dict[str, Any]]) -> tuple[str, str]:
    facts = [fact for sent in outcome.sent for fact in sent.facts]
    lost = sum(fact.amount for fact in facts if fact.type == "invoice.write-off")
    lost -= sum(fact.amount for fact in facts if fact.note == RECOVERS)
    found = sum(row["writtenOff"] for row in books["losses"].find({}, {"writtenOff": 1}))
    return _euros(lost), _euros(found)


def _euros(cents: int) -> str:
    return f"EUR {Decimal(cents).scaleb(-2):,}"


def _transfers(books: Database[dict[str, Any]]) -> int:
    """How many covered what is open of their account, and left no credit."""
    return books["payments"].count_documents({"source": "transfer", "unapplied": 0})


def words(counter: Counter[str]) -> str:
    """A counter in one line."""
    return ", ".join(f"{key} {number}" for key, number in sorted(counter.items()))


def _balances(must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    """An account's credit pays whatever is open, so it never owes and has credit at once.

    What it owes is open invoices, and money that it got back twice.
    """
    positions = {row["_id"]: row for row in books["positions"].find()}
    accounts = must.billed.keys() | must.paid.keys()
    right = 0
    for account in accounts:
        owed = must.billed[account] - must.paid[account]
        position = positions.get(account)
        right += position is not None and (max(owed, 0), max(-owed, 0), 0) == (
            position["receivable"] + position["recoverable"],
            position["unapplied"],
            position["refundable"],
        )
    return len(accounts), right


def _statements(must: Tally, events: Events) -> tuple[int, int]:
    stated: Counter[str] = Counter()
    for statement in events.statements.values():
        accruals = [line for line in statement["lines"] if line["kind"] == "accrual"]
        stated[statement["settlementAccount"]["id"]] += sum(minor(line["amount"]) for line in accruals)
    earned = _earned(must, events)
    return len(PARTNERS), sum(earned[partner.id] == stated[partner.id] for partner in PARTNERS)


def _adjusted(must: Tally, events: Events) -> tuple[int, int]:
    stated: Counter[str] = Counter()
    for statement in events.statements.values():
        adjustments = [line for line in statement["lines"] if line["kind"] == "adjustment"]
        stated[statement["settlementAccount"]["id"]] += sum(minor(line["amount"]) for line in adjustments)
    return len(must.adjusted), sum(stated[partner] == amount for partner, amount in must.adjusted.items())


def _earned(must: Tally, events: Events) -> Counter[str]:
    """What each partner has earned: its shares, or of each share the part that corresponds to what was paid."""
    partners: dict[str, Partner] = {partner.id: partner for partner in PARTNERS}
    invoices = {invoice["orderId"]: invoice for invoice in events.invoices.values()}
    earned: Counter[str] = Counter()
    for order_id, order in must.orders.items():
        remaining = minor(invoices[order_id]["remainingAmount"]) if order_id in invoices else order.amount
        for partner, share in order.shares:
            if partners[partner].accrue_on == "invoice" or remaining == 0:
                earned[partner] += share
            else:
                earned[partner] += rounded(Decimal(share * (order.amount - remaining)) / order.amount)
    return earned


def _payouts(must: Tally, events: Events) -> tuple[int, int]:
    right = 0
    for id_, statement in events.statements.items():
        paid, total = must.paid_out[id_], minor(statement["total"])
        state = "carriedForward" if total <= 0 else "paid" if paid == total else "partiallyPaid" if paid else "open"
        right += (minor(statement["paidAmount"]), statement["state"]) == (paid, state)
    return must.applied["settlement.close"], right
