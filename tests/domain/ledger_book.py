"""Books in memory: facts go in, in batches of any size, and a dictionary stands where the database would be.

The builders at the end say a fact in one short line; amounts of money are in minor units there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast

from domain.accounts import Account, AccountCreated, NewAccount, Position, SettlementTerms, account_needs, open_account
from domain.accruals import Accrual, SettlementAccrued
from domain.books import (
    QUEUE_FIRST,
    Books,
    Document,
    DocumentNeed,
    Emitted,
    Need,
    NotLoaded,
    Queued,
    QueueNeed,
    Series,
    WorkingSet,
)
from domain.errors import MustWait, Refused
from domain.invoices import Invoice, InvoiceIssued, InvoicePaid, InvoicePartiallyPaid
from domain.ledger import Entry, Posting
from domain.money import Currency, Money
from domain.orders import Order, OrderItem, complete_order, order_needs, price
from domain.payments import Payment, PaymentAllocated, ReceivedPayment, payment_needs, receive_payment
from domain.settlements import (
    Closing,
    CompletedPayout,
    Settlement,
    SettlementClosed,
    SettlementPaid,
    close_settlement,
    closing_needs,
    complete_payout,
    payout_needs,
)

Fact = NewAccount | Order | ReceivedPayment | Closing | CompletedPayout
D = TypeVar("D", bound=Document)

ROUTING_KEY: dict[type, str] = {
    NewAccount: "account.create",
    Order: "order.completed",
    ReceivedPayment: "payment.received",
    Closing: "settlement.close",
    CompletedPayout: "payout.completed",
}
APPLY: dict[type, Callable[[Any, Books], Mapping[str, object]]] = {
    NewAccount: open_account,
    Order: complete_order,
    ReceivedPayment: receive_payment,
    Closing: close_settlement,
    CompletedPayout: complete_payout,
}
NEEDS: dict[type, Callable[[Any, WorkingSet], Iterable[Need]]] = {
    NewAccount: account_needs,
    Order: order_needs,
    ReceivedPayment: payment_needs,
    Closing: closing_needs,
    CompletedPayout: payout_needs,
}
EVENT: dict[type, str] = {
    AccountCreated: "account.created",
    InvoiceIssued: "invoice.issued",
    InvoicePartiallyPaid: "invoice.partially-paid",
    InvoicePaid: "invoice.paid",
    PaymentAllocated: "payment.allocated",
    SettlementAccrued: "settlement.accrued",
    SettlementClosed: "settlement.closed",
    SettlementPaid: "settlement.paid",
}

# What the database's queues are sorted by, said here a second time on purpose.
QUEUE_ORDER: dict[type, Callable[[Any], tuple[Any, str]]] = {
    Invoice: lambda invoice: (invoice.payment_due_date, invoice.id),
    Payment: lambda payment: (payment.received_at, payment.id),
    Accrual: lambda accrual: (accrual.date, accrual.id),
}
QUEUE_OPEN: dict[type, Callable[[Any], bool]] = {
    Invoice: lambda invoice: invoice.remaining_amount > 0,
    Payment: lambda payment: payment.unapplied > 0,
    Accrual: lambda accrual: accrual.settlement_id is None,
}
QUEUE_OWNER: dict[type, Callable[[Any], str]] = {
    Invoice: lambda invoice: str(invoice.billing_account),
    Payment: lambda payment: str(payment.billing_account),
    Accrual: lambda accrual: str(accrual.settlement_account),
}


def identity_of(fact: Fact) -> str:
    """The identity of a fact: its type and business key."""
    return f"{ROUTING_KEY[type(fact)]}:{fact.id}"


class LedgerBook:
    """A seller's books, kept across batches.

    `first_limit` is how many documents of a queue are loaded at first, `prefetch` whether a batch's needs are loaded
    before its facts run (otherwise each is asked for when it is missed).
    """

    def __init__(self, *, first_limit: int = QUEUE_FIRST, prefetch: bool = True, zone: tzinfo = UTC) -> None:
        self.first_limit = first_limit
        self.prefetch = prefetch
        self.zone = zone
        self.booked_at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        self.documents: dict[type, dict[str, Any]] = defaultdict(dict)
        self.rows: dict[type, dict[str, Any]] = defaultdict(dict)
        self.events: list[Emitted] = []
        self.applied: dict[str, Fact] = {}
        self.results: dict[str, Mapping[str, object]] = {}
        self.waiting: dict[str, tuple[Fact, MustWait]] = {}
        self.refused: dict[str, Refused] = {}
        self._asked: set[tuple[type, str]] = set()

    # -- taking facts

    def take(self, *facts: Fact, batch: int | None = None) -> None:
        """Take facts, `batch` at once (None: all at once); those that wait are retried when what they wait for is."""
        pending = deque((identity_of(fact), fact) for fact in facts)
        while pending:
            size = len(pending) if batch is None else batch
            taken = [pending.popleft() for _ in range(min(size, len(pending)))]
            announced = self._take_batch(taken)
            woken = [identity for identity, (_, why) in self.waiting.items() if why.waits_for in announced]
            pending.extendleft((identity, self.waiting.pop(identity)[0]) for identity in reversed(woken))

    def take_as(self, identity: str, fact: Fact) -> None:
        """Take one fact under an identity of its own, as one whose key is the message's id has."""
        self._take_batch([(identity, fact)])

    def _take_batch(self, facts: list[tuple[str, Fact]]) -> set[str]:
        working_set = WorkingSet(booked_at=self.booked_at, zone=self.zone, series="INV-")
        self._asked = set()
        if self.prefetch:
            self._load_needs([fact for identity, fact in facts if identity not in self.applied], working_set)
        for identity, fact in facts:
            if self._is_new(identity, fact):
                self._apply(identity, fact, working_set)
        self._commit(working_set)
        return set(working_set.announced)

    def _is_new(self, identity: str, fact: Fact) -> bool:
        if identity in self.refused or identity in self.waiting:
            return False
        if identity in self.applied:
            assert self.applied[identity] == fact, f"the test says {identity} twice, with different content"
            return False
        return True

    def _apply(self, identity: str, fact: Fact, working_set: WorkingSet) -> None:
        for _ in range(100):
            books = Books(working_set, identity)
            try:
                result = APPLY[type(fact)](fact, books)
                books.finish()
            except NotLoaded as missing:
                if working_set.has(missing.need):
                    raise AssertionError(f"{identity} asks again for {missing.need}") from missing
                self._load(missing.need, working_set)
            except MustWait as why:
                self.waiting[identity] = (fact, why)
                return
            except Refused as why:
                self.refused[identity] = why
                return
            else:
                working_set.accept(books)
                self.applied[identity] = fact
                self.results[identity] = result
                return
        raise AssertionError(f"{identity} asks for ever more of the books")

    # -- the database

    def _load_needs(self, facts: list[Fact], working_set: WorkingSet) -> None:
        asked: set[Need] = set()
        while True:
            needs = {need for fact in facts for need in NEEDS[type(fact)](fact, working_set)}
            missing = {need for need in needs if not working_set.has(need)} - asked
            if not missing:
                return
            for need in missing:
                self._load(need, working_set)
            asked |= missing

    def _load(self, need: Need, working_set: WorkingSet) -> None:
        if isinstance(need, DocumentNeed):
            working_set.load(need.type, need.id, self.documents[need.type].get(need.id))
            return
        kind, first = need.type, (need.type, need.owner) not in self._asked
        self._asked.add((need.type, need.owner))
        limit = self.first_limit if first and need.limit is not None else need.limit
        documents: list[Queued] = sorted(
            (d for d in self.documents[kind].values() if QUEUE_OWNER[kind](d) == need.owner and QUEUE_OPEN[kind](d)),
            key=QUEUE_ORDER[kind],
        )
        working_set.load_queue(QueueNeed(kind, need.owner, limit), documents[:limit])

    def _commit(self, working_set: WorkingSet) -> None:
        for kind, changed in working_set.changed.items():
            for id_, document in changed.items():
                there = id_ in self.documents[kind]
                assert there == ((kind, id_) in working_set.stored), f"{kind.__name__} {id_}: inserted over another"
                self.documents[kind][id_] = document
        for kind, rows in working_set.rows.items():
            for row in rows:
                assert row.id not in self.rows[kind], f"{kind.__name__} {row.id}: appended twice"
                self.rows[kind][row.id] = row
        self.events += working_set.emitted

    # -- looking

    def get(self, kind: type[D], id_: str) -> D:
        """The document of a key, which must be there."""
        return cast("D", self.documents[kind][id_])

    def position(self, account_id: str) -> Position:
        """An account's position."""
        return self.get(Position, account_id)

    def invoice(self, number: int) -> Invoice:
        """The n-th invoice."""
        return self.get(Invoice, f"INV-{number:09d}")

    def settlement(self, settlement_id: str) -> Settlement:
        """A statement."""
        return self.get(Settlement, settlement_id)

    def accruals(self, account_id: str) -> list[Accrual]:
        """A partner's accruals, as they came about."""
        return [a for a in self.documents[Accrual].values() if a.settlement_account == account_id]

    def postings(self, identity: str) -> list[tuple[str, int]]:
        """An entry's postings, sorted: the ledger account (of tax with category and rate) and the amount."""
        entry: Entry = self.rows[Entry][identity]
        return sorted((ledger_name(posting), posting.amount) for posting in entry.postings)

    def ledger(self) -> dict[str, int]:
        """What each ledger account adds up to, debit positive; without those that add up to nothing."""
        sums: dict[str, int] = defaultdict(int)
        for entry in self.rows[Entry].values():
            for posting in entry.postings:
                sums[f"{posting.currency} {ledger_name(posting)}"] += posting.amount
        return {name: amount for name, amount in sums.items() if amount}

    def facts_of(self, account_id: str) -> list[Any]:
        """What happened to an account, in the order of its events."""
        return [event.fact for event in self.events if event.account == account_id]

    def events_of(self, account_id: str) -> list[str]:
        """The types of an account's events, in order, but for its creation."""
        return [EVENT[type(fact)] for fact in self.facts_of(account_id) if not isinstance(fact, AccountCreated)]

    def last_allocation(self) -> PaymentAllocated:
        """The last `payment.allocated` there was."""
        return [event.fact for event in self.events if isinstance(event.fact, PaymentAllocated)][-1]

    def holdings(self) -> dict[type, dict[str, Any]]:
        """Every document and row; equal for two books that hold the same."""
        kinds = (Account, Position, Series, Invoice, Payment, Accrual, Settlement)
        return {kind: dict(self.documents[kind]) for kind in kinds} | {kind: dict(r) for kind, r in self.rows.items()}


def ledger_name(posting: Posting) -> str:
    """The ledger account's name; tax is kept by category and rate."""
    return f"tax {posting.category} {posting.rate}" if posting.account == "tax" else posting.account


# -- facts, in few words

EUR = Currency("EUR", 2)
JPY = Currency("JPY", 0)
KWD = Currency("KWD", 3)
USD = Currency("USD", 2)


def moment(text: str) -> datetime:
    """A time in UTC from `2026-11-22` or `2026-11-22T10:15:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def billing(id_: str = "BA-1", *, currency: str = "EUR", days: int = 30) -> NewAccount:
    """A billing account to open."""
    return NewAccount(id_, "BillingAccount", currency, days, None, {"name": id_})


def partner(
    id_: str = "SA-1", share: str = "0.8", on: Literal["invoice", "payment"] = "invoice", *, currency: str = "EUR"
) -> NewAccount:
    """A settlement account to open."""
    return NewAccount(id_, "SettlementAccount", currency, 30, SettlementTerms(Decimal(share), on), {"name": id_})


def line(price: str, rate: str = "0", behalf: str | None = None, *, quantity: str = "1", tax: str = "S") -> OrderItem:
    """A line; its order numbers it."""
    return OrderItem("", None, Decimal(quantity), Decimal(price), tax, Decimal(rate), behalf)


def order(
    id_: str, *lines: OrderItem, account: str = "BA-1", currency: Currency = EUR, at: str = "2026-11-22T10:15:00"
) -> Order:
    """A completed order; its lines are numbered from 1."""
    items = tuple(replace(item, id=str(number)) for number, item in enumerate(lines, 1))
    return Order(id_, moment(at), account, currency, items, price(items, currency))


def payment(
    id_: str,
    amount: int,
    names: Iterable[str] | None = None,
    *,
    account: str = "BA-1",
    currency: str = "EUR",
    at: str = "2026-11-22T11:00:00",
) -> ReceivedPayment:
    """A received payment that names these invoices."""
    named = tuple(names) if names is not None else None
    return ReceivedPayment(id_, moment(at), account, Money(currency, amount), None, named)


def closing(id_: str, account: str = "SA-1", *, until: str = "2026-11-30") -> Closing:
    """A closing up to and including a date."""
    return Closing(id_, account, date.fromisoformat(until))


def payout(id_: str, amount: int, statement: str, *, account: str = "SA-1", currency: str = "EUR") -> CompletedPayout:
    """A payout on a statement."""
    return CompletedPayout(id_, account, statement, Money(currency, amount))
