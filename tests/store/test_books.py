"""The books through the store: what is written is in the database to the letter, and comes back as it was."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from adapters.documents import ENCODE
from adapters.mongodb.connection import is_conflict, is_transient
from adapters.store.store import Store
from adapters.store.transaction import Batch
from domain.accounts.model import Account, SettlementTerms
from domain.accounts.references import CONTAINS, PAYER, Link
from domain.billing.model import BilledCharge, Charge
from domain.billing.subscriptions import Subscription
from domain.frozen import replace
from domain.invoicing.model import AppliedPayment, Invoice, InvoiceLine, PartnerShare
from domain.invoicing.pricing import Item
from domain.ledger.books import Books as FactBooks
from domain.ledger.books import DocumentNeed, NotLoaded, QueueNeed, WorkingSet
from domain.ledger.entries import Entry, Posting
from domain.ledger.numbering import Series
from domain.ledger.positions import CarriedForward, Position
from domain.payments.model import Allocation, Payment
from domain.settlement.accruals import Accrual
from domain.settlement.payouts import Payout
from domain.settlement.statements import Settlement, SettlementLine
from tests.fixtures.documents import DOCUMENTS
from tests.store import documents as make
from tests.support.books import Books

NOW = make.NOW
SUBSCRIPTION: Subscription = DOCUMENTS["a subscription of prices of all types that was changed"]


async def write(store: Store, *put: Any, append: tuple[Any, ...] = (), batch: Batch | None = None) -> None:
    """Write and commit documents and rows, in a working set that has loaded nothing."""
    books = make.books()
    changes(books, *put, append=append)
    async with store.transaction() as transaction:
        await transaction.write(books, batch or Batch())
        await transaction.commit()


def changes(books: WorkingSet, *put: Any, append: tuple[Any, ...] = ()) -> None:
    """Let a fact put documents and append rows."""
    fact = FactBooks(books, "cause")
    for document in put:
        fact.put(document)
    for row in append:
        fact.append(row)
    books.accept(fact)


async def loaded(store: Store, *needs: Any) -> WorkingSet:
    """A working set with what is needed."""
    books = make.books()
    async with store.transaction() as transaction:
        await transaction.load(needs, books)
    return books


async def test_documents_are_written_as_the_data_model_says(store: Store, database: Books) -> None:
    """Every collection holds exactly the fields and types of docs/data-model.md."""
    partner = make.account(
        "SA-1",
        type="SettlementAccount",
        settlement_terms=SettlementTerms(Decimal("0.825"), "payment"),
    )
    position = make.position("SA-1", sequence=7, movements=3, carried_forward=CarriedForward("C-0", -5))
    line = InvoiceLine(
        "1", "Film", Decimal(2), Decimal("3.99"), "S", Decimal("0.2"), 798, 160,
        PartnerShare("SA-1", Decimal("0.825"), "payment", 658, 100),
    )  # fmt: skip
    bill = make.invoice(1, "BA-1", remaining=200)
    bill = Invoice(**{name: getattr(bill, name) for name in bill.__dataclass_fields__} | {
        "lines": (line,), "applied_payment": (AppliedPayment("P-1", 1000),),
    })  # fmt: skip
    statement = Settlement(
        "C-1", "SA-1", "EUR", "C-1", date(2026, 11, 30),
        (SettlementLine("INV-000000001/1", "O-1", "INV-000000001", "1", date(2026, 11, 22), 80),),
        -5, "C-0", 75, 10, "partiallyPaid", NOW,
    )  # fmt: skip
    await write(
        store,
        Series("INV-", 1), partner, position, bill, make.payment("P-1", "BA-1"), make.accrual(1, "SA-1"), statement,
        Payout("PO-1", "SA-1", "C-1", "EUR", 10, NOW),
        append=(
            Allocation("INV-000000001/P-1", "INV-000000001", "P-1", "BA-1", 1000, "payment.received:P-1", NOW),
            Entry("order.completed:O-1", "order.completed:O-1", NOW, NOW, (
                Posting("receivable:BA-1", "EUR", 1200, movement=1),
                Posting("revenue", "EUR", -1000),
                Posting("tax", "EUR", -200, "S", "0.2"),
            )),
        ),
    )  # fmt: skip
    assert only(database, "series") == {"_id": "INV-", "last": 1}
    assert only(database, "accounts") == {
        "_id": "SA-1", "type": "SettlementAccount", "currency": "EUR", "currencyDigits": 2, "state": "active",
        "revision": 1,
        "paymentTermDays": 30, "settlementTerms": {"partnerShare": "0.825", "accrueOn": "payment"}, "openedAt": NOW,
        "version": 1, "creditLimit": None, "updatedAt": NOW, "relationships": [], "references": [], "parties": [],
        "financialAccount": None, "nameKey": "ada",
        "document": b'{"name":"Ada","$odd.key":[1,2.5,null,{"deep":true}]}',
        "json": (
            b'{"name":"Ada","$odd.key":[1,2.5,null,{"deep":true}],"@type":"SettlementAccount","id":"SA-1",'
            b'"state":"active","lastUpdate":"2026-11-22T10:30:00.123Z","currency":"EUR","paymentTermDays":30,'
            b'"settlementTerms":{"partnerShare":0.825,"accrueOn":"payment"},"revision":1}'
        ),
    }  # fmt: skip
    assert only(database, "positions") == {
        "_id": "SA-1", "currency": "EUR", "sequence": 7, "movements": 3, "receivable": 0, "unapplied": 0, "payable": 0,
        "withheld": 0, "carriedForward": {"settlementId": "C-0", "amount": -5}, "oldestDue": None, "touched": 0,
        "used": 0, "withholding": 0, "allocating": False, "refundable": 0, "recoverable": 0,
    }  # fmt: skip
    assert only(database, "invoices") == {
        "_id": "INV-000000001", "billingAccount": "BA-1", "orderedFor": "BA-1", "orderId": "O-1",
        "currency": "EUR", "state": "settled",
        "billDate": "2026-11-22", "paymentDueDate": "2026-12-22", "taxPointDate": "2026-11-21", "bookedAt": NOW,
        "taxExcludedAmount": 1000, "taxIncludedAmount": 1200, "remainingAmount": 200,
        "taxItem": [{"category": "S", "rate": "0.2", "taxExcludedAmount": 1000, "taxAmount": 200}],
        "lines": [{
            "id": "1", "description": "Film", "quantity": "2", "unitPrice": "3.99", "category": "S", "rate": "0.2",
            "taxExcludedAmount": 798, "taxAmount": 160,
            "onBehalfOf": {"id": "SA-1", "partnerShare": "0.825", "accrueOn": "payment", "share": 658, "accrued": 100},
        }],
        "appliedPayment": [{"paymentId": "P-1", "amount": 1000}],
    }  # fmt: skip
    assert only(database, "payments") == {
        "_id": "P-1", "billingAccount": "BA-1", "currency": "EUR", "amount": 500, "unapplied": 500, "receivedAt": NOW,
        "method": None, "invoices": None, "bookedAt": NOW,
    }  # fmt: skip
    assert only(database, "accruals") == {
        "_id": "INV-000000001/1", "settlementAccount": "SA-1", "orderId": "O-1", "billNo": "INV-000000001",
        "lineId": "1", "amount": 80, "date": "2026-11-22", "cause": "order.completed:O-1", "bookedAt": NOW,
        "settlementId": None,
    }  # fmt: skip
    assert only(database, "settlements") == {
        "_id": "C-1", "settlementAccount": "SA-1", "currency": "EUR", "closingId": "C-1", "periodEnd": "2026-11-30",
        "lines": [{
            "accrualId": "INV-000000001/1", "orderId": "O-1", "billNo": "INV-000000001", "lineId": "1",
            "date": "2026-11-22", "amount": 80,
        }],
        "broughtForward": -5, "broughtForwardFrom": "C-0", "total": 75, "paid": 10, "state": "partiallyPaid",
        "bookedAt": NOW,
    }  # fmt: skip
    assert only(database, "allocations") == {
        "_id": "INV-000000001/P-1", "billNo": "INV-000000001", "paymentId": "P-1", "billingAccount": "BA-1",
        "amount": 1000, "cause": "payment.received:P-1", "bookedAt": NOW,
    }  # fmt: skip
    assert only(database, "payouts") == {
        "_id": "PO-1", "settlementAccount": "SA-1", "settlementId": "C-1", "currency": "EUR", "amount": 10,
        "bookedAt": NOW,
    }  # fmt: skip
    assert only(database, "entries") == {
        "_id": "order.completed:O-1", "cause": "order.completed:O-1", "occurredAt": NOW, "bookedAt": NOW,
        "postings": [
            {"account": "receivable:BA-1", "currency": "EUR", "amount": 1200, "movement": 1},
            {"account": "revenue", "currency": "EUR", "amount": -1000},
            {"account": "tax", "currency": "EUR", "amount": -200, "category": "S", "rate": "0.2"},
        ],
    }  # fmt: skip

    kinds: list[Any] = [Series, Account, Position, Invoice, Payment, Accrual, Settlement]
    paid, accrued = make.payment("P-1", "BA-1"), make.accrual(1, "SA-1")
    originals: list[Any] = [Series("INV-", 1), partner, position, bill, paid, accrued, statement]
    needs = [DocumentNeed(kind, one.id) for kind, one in zip(kinds, originals, strict=True)]
    books = await loaded(store, *needs)
    assert [books.peek(kind, one.id) for kind, one in zip(kinds, originals, strict=True)] == originals


def only(database: Books, collection: str) -> dict[str, Any]:
    """The only document of a collection."""
    [found] = database[collection].find()
    return found


async def test_what_is_not_there_is_loaded_as_nothing(store: Store) -> None:
    """A key without a document is known to be free, so that a fact need not ask again."""
    await write(store, make.account("BA-1"))
    books = await loaded(store, DocumentNeed(Account, "BA-1"), DocumentNeed(Account, "BA-2"))
    assert books.has(DocumentNeed(Account, "BA-2"))
    assert books.peek(Account, "BA-2") is None
    assert books.peek(Account, "BA-1") == make.account("BA-1")
    assert not books.has(DocumentNeed(Account, "BA-3"))


async def test_a_document_that_was_loaded_is_replaced_and_a_new_one_inserted(store: Store, database: Books) -> None:
    """Writing replaces what was there and inserts what was not; inserting over another's document fails."""
    await write(store, make.position("BA-1", receivable=1))
    books = await loaded(store, DocumentNeed(Position, "BA-1"), DocumentNeed(Position, "BA-2"))
    changes(books, make.position("BA-1", receivable=2), make.position("BA-2", receivable=3))
    async with store.transaction() as transaction:
        await transaction.write(books, Batch())
        await transaction.commit()
    assert {row["_id"]: row["receivable"] for row in database["positions"].find()} == {"BA-1": 2, "BA-2": 3}
    with pytest.raises(PyMongoError) as failed:
        await write(store, make.position("BA-1"))
    assert is_conflict(failed.value)


async def test_nothing_is_written_without_a_commit(store: Store, database: Books) -> None:
    """A transaction that ends without a commit, or with an exception, leaves no trace in any collection."""
    books = make.books()
    changes(books, make.account("BA-1"), make.position("BA-1"))
    batch = Batch([make.inbox_row("a:1")], [make.held_row("a:2")], outbox=[make.event("BA-1", 1)])
    async with store.transaction() as transaction:
        await transaction.write(books, batch)

    async def fail() -> None:
        async with store.transaction() as transaction:
            await transaction.write(books, batch)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    written = {name for name in database.list_collection_names() if database[name].count_documents({})}
    assert written == {"meta"}
    async with store.transaction() as transaction:
        await transaction.write(books, batch)
        await transaction.commit(meanwhile=books.let_go)
        await transaction.commit()  # an ambiguous commit is asked again: twice is once
    assert database["accounts"].count_documents({}) == database["outbox"].count_documents({}) == 1
    assert books.lacks(Account, "BA-1")
    assert not books.changed
    assert not books.stored


async def test_what_is_recorded_of_an_identity(store: Store) -> None:
    """Applied, waiting, parked or unknown: each with what a duplicate has to be told."""
    parked = make.held_row("b:2", state="parked", reason="invalid", detail="x: is bad", attempts=2)
    await write(store, batch=Batch(inbox=[make.inbox_row("a:1")], held=[make.held_row("b:1"), parked]))
    async with store.transaction() as transaction:
        known = await transaction.look_up(["a:1", "b:1", "b:2", "c:1"], (), make.books())
    assert set(known) == {"a:1", "b:1", "b:2"}
    assert (known["a:1"].state, known["a:1"].digest) == ("applied", "digest")
    assert known["a:1"].result == {"billNo": "INV-000000001"}
    assert (known["b:1"].state, known["b:1"].reason, known["b:1"].attempts) == ("waiting", "unknown-account", 1)
    assert (known["b:2"].state, known["b:2"].detail, known["b:2"].attempts) == ("parked", "x: is bad", 2)


async def test_a_transaction_sees_one_point_in_time(store: Store) -> None:
    """What another commits after the first read is not seen: the books of a batch fit together."""
    await write(store, make.position("BA-1", receivable=1), make.position("BA-2", receivable=1))
    books = make.books()
    async with store.transaction() as transaction:
        await transaction.load([DocumentNeed(Position, "BA-1")], books)
        other = await loaded(store, DocumentNeed(Position, "BA-2"))
        changes(other, make.position("BA-2", receivable=2))
        async with store.transaction() as another:
            await another.write(other, Batch())
            await another.commit()
        await transaction.load([DocumentNeed(Position, "BA-2")], books)
    assert books.peek(Position, "BA-2") == make.position("BA-2", receivable=1)


async def test_two_transactions_on_one_position_conflict(store: Store, database: Books) -> None:
    """Of two that decide on the same account's money one commits, the other fails with an error to be tried again."""
    await write(store, make.position("BA-1", receivable=1))
    first = await loaded(store, DocumentNeed(Position, "BA-1"))
    second = await loaded(store, DocumentNeed(Position, "BA-1"))
    changes(first, make.position("BA-1", receivable=2))
    changes(second, make.position("BA-1", receivable=3))
    async with store.transaction() as one, store.transaction() as two:
        await one.load([DocumentNeed(Account, "x")], make.books())
        await two.load([DocumentNeed(Account, "x")], make.books())
        await one.write(first, Batch())
        with pytest.raises(PyMongoError) as failed:
            await two.write(second, Batch())
        await one.commit()
    assert is_transient(failed.value)
    assert only(database, "positions")["receivable"] == 2


async def test_two_transactions_that_open_one_account_conflict(store: Store) -> None:
    """Two that insert one document: one commits, the other is told to run again, whether at once or afterwards."""

    async def insert(name: str) -> Exception | None:
        books = make.books()
        changes(books, make.account("BA-1", document={"name": name}))
        try:
            async with store.transaction() as transaction:
                await transaction.write(books, Batch())
                await transaction.commit()
        except PyMongoError as error:
            return error
        return None

    failures = [error for error in await asyncio.gather(*map(insert, "abcde")) if error is not None]
    assert len(failures) == 4
    assert all(is_transient(error) or is_conflict(error) for error in failures)


async def test_open_invoices_come_by_due_date_and_number(store: Store) -> None:
    """A queue holds what is open only, in its order, up to its limit; beyond it the books ask for more."""
    late, soon = date(2026, 12, 31), date(2026, 12, 1)
    await write(
        store,
        make.invoice(1, "BA-1", due=late),
        make.invoice(2, "BA-1", due=soon),
        make.invoice(3, "BA-1", due=soon, remaining=0),
        make.invoice(4, "BA-1", due=soon),
        make.invoice(5, "BA-2", due=soon),
    )
    books = await loaded(store, QueueNeed(Invoice, "BA-1", 3))
    queue = books.queue(Invoice, "BA-1")
    assert [next(queue).id for _ in range(3)] == ["INV-000000002", "INV-000000004", "INV-000000001"]
    with pytest.raises(NotLoaded):
        next(queue)
    books = await loaded(store, QueueNeed(Invoice, "BA-1", 4))
    assert [one.order_id for one in books.queue(Invoice, "BA-1")] == ["O-2", "O-4", "O-1"]
    books = await loaded(store, QueueNeed(Invoice, "BA-1", None))
    assert [one.order_id for one in books.queue(Invoice, "BA-1")] == ["O-2", "O-4", "O-1"]


async def test_credit_and_accruals_come_in_their_order(store: Store) -> None:
    """Payments by time and id while credit is left, accruals by date while no statement holds them."""
    earlier = datetime(2026, 1, 1, tzinfo=UTC)
    await write(
        store,
        make.payment("P-2", "BA-1"),
        make.payment("P-1", "BA-1"),
        make.payment("P-9", "BA-1", received=earlier),
        make.payment("P-0", "BA-1", received=earlier, unapplied=0),
        make.accrual(1, "SA-1"),
        make.accrual(2, "SA-1", on=date(2026, 1, 1)),
        make.accrual(3, "SA-1", settlement="C-1"),
    )
    books = await loaded(store, QueueNeed(Payment, "BA-1"), QueueNeed(Accrual, "SA-1", None))
    assert [one.id for one in books.queue(Payment, "BA-1")] == ["P-9", "P-1", "P-2"]
    assert [f"{one.line_id}{one.order_id}" for one in books.queue(Accrual, "SA-1")] == ["1O-2", "1O-1"]


@pytest.mark.parametrize("hot", ["BA-0", "BA-2", "BA-4"])
async def test_one_long_queue_does_not_crowd_out_others(store: Store, hot: str) -> None:
    """Several accounts' queues in one load: each has its first open documents, and knows whether these are all."""
    owners = [f"BA-{n}" for n in range(5)]
    bills = [make.invoice(n * 10 + k, owner) for n, owner in enumerate(owners) for k in (1, 2)]
    bills += [make.invoice(1000 + k, hot) for k in range(40)]
    await write(store, *bills, *(make.position(owner, receivable=1) for owner in owners))
    books = await loaded(store, *(QueueNeed(Invoice, owner, 4) for owner in [*owners, "BA-none"]))
    for owner in [*owners, "BA-none"]:
        expected = sorted(bill.id for bill in bills if bill.billing_account == owner)
        assert books.has(QueueNeed(Invoice, owner, 4))
        queue = books.queue(Invoice, owner)
        if owner == hot:
            assert [next(queue).id for _ in range(4)] == expected[:4]
        else:
            assert [one.id for one in queue] == expected


@pytest.mark.parametrize("long", ["BA-0", "BA-2", "BA-4", None])
async def test_short_queues_are_read_whole_unless_one_is_long(store: Store, long: str | None) -> None:
    """What is charged to several accounts in one load, of which one may have more than is read together."""
    owners = [f"BA-{n}" for n in range(5)]
    charges = [a_charge(f"C-{n}{k}", owner) for n, owner in enumerate(owners) for k in range(n % 3)]
    charges += [a_charge(f"C-L{k:02}", long) for k in range(40) if long is not None]
    await write(store, *charges, *(make.position(owner) for owner in owners))
    books = await loaded(store, *(QueueNeed(Charge, owner, 16) for owner in [*owners, "BA-none"]))
    for owner in [*owners, "BA-none"]:
        expected = sorted(one.id for one in charges if one.billing_account == owner)
        assert books.has(QueueNeed(Charge, owner, 16))
        queue = books.queue(Charge, owner)
        if owner == long and not books.has(QueueNeed(Charge, owner, None)):
            assert [next(queue).id for _ in range(16)] == expected[:16]
            with pytest.raises(NotLoaded):
                next(queue)
        else:
            assert [one.id for one in queue] == expected


@pytest.mark.parametrize("long", ["BA-00", "BA-07", "BA-19", None])
@pytest.mark.parametrize("dates", [1, 3, 20])
async def test_what_is_due_is_read_and_no_more(store: Store, long: str | None, dates: int) -> None:
    """Charges of several accounts, each asked for through a date of its own, of which one may have many."""
    owners = [f"BA-{n:02}" for n in range(20)]
    through = {owner: date(2026, 11, 2 + n % dates) for n, owner in enumerate(owners)}
    charges = [a_charge(f"C-{owner}-{n:02}", owner, date(2026, 11, 1 + n)) for owner in owners for n in range(28)]
    charges += [a_charge(f"C-L{n:03}", long, date(2026, 11, 1)) for n in range(400) if long is not None]
    await write(store, *charges, *(make.position(owner) for owner in owners))
    needs = [QueueNeed(Charge, owner, 32, day) for owner, day in through.items()]
    # Two bills of one account, up to two dates.
    needs.append(QueueNeed(Charge, "BA-03", 32, date(2026, 11, 4)))
    through["BA-03"] = max(through["BA-03"], date(2026, 11, 4))
    books = await loaded(store, *needs, QueueNeed(Charge, "BA-none", 16, date(2026, 11, 4)))
    for owner, day in through.items():
        expected = sorted((one.date, one.id) for one in charges if one.billing_account == owner and one.date <= day)
        queue = books.queue(Charge, owner, day)
        if owner == long and not books.has(QueueNeed(Charge, owner, None, day)):
            assert [next(queue).id for _ in range(32)] == [id_ for _, id_ in expected[:32]]
        else:
            assert [(one.date, one.id) for one in queue] == expected
    assert list(books.queue(Charge, "BA-none", date(2026, 11, 4))) == []
    # Of many dates some are read together: then a few days more.
    latest = max(through.values()) if dates == 20 else None
    for one in charges:
        read = not books.lacks(Charge, one.id)
        assert not read or one.date <= (latest or max(through[one.billing_account], date(2026, 11, 4)))


@pytest.mark.parametrize("groups", [None, 2, 32])
@pytest.mark.parametrize("days", [1, 5, 28])
async def test_what_is_due_is_found_behind_what_is_billed_and_after_it(
    store: Store, days: int, groups: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts that are billed through dates of their own, or not yet: of each what is open, in order, and no more.

    The days are those through which they are asked for; without groups they are asked for one by one.
    """
    monkeypatch.setattr("adapters.store.transaction.DATES_MAX", groups)
    owners = {f"BA-{n:02}": None if n % 7 == 6 else date(2026, 11, 1 + 5 * n % 28) for n in range(20)}
    charges = []
    for owner, billed_through in owners.items():
        for n in range(28):
            one = a_charge(f"C-{owner}-{n:02}", owner, date(2026, 11, 1 + n))
            if billed_through is not None and one.date <= billed_through:
                left = n % 9 == 3
                one = replace(one, behind=left, billed=None if left else BILLED)
            charges.append(one)
    positions = (make.position(owner, charges_through=through) for owner, through in owners.items())
    await write(store, *charges, *positions)
    needs = [QueueNeed(Charge, owner, 32, date(2026, 11, 28 - n % days)) for n, owner in enumerate(owners)]
    for some in [[need] for need in needs] if groups is None else [needs]:
        books = await loaded(store, *some)
        for need in some:
            assert need.through is not None
            expected = [
                (one.date, one.id)
                for one in sorted(charges, key=lambda one: one.order_key)
                if one.billing_account == need.owner and one.billed is None and one.date <= need.through
            ]
            assert [(one.date, one.id) for one in books.queue(Charge, need.owner, need.through)] == expected
            for first in (1, 3):
                few = await loaded(store, need._replace(limit=first))
                queue = few.queue(Charge, need.owner, need.through)
                assert [next(queue).id for _ in expected[:first]] == [id_ for _, id_ in expected[:first]]
        for one in charges:
            assert one.billed is None or books.lacks(Charge, one.id)


BILLED = BilledCharge("INV-000000001", "1", None, 1000, "bill.demand:D-1", make.NOW)


def a_charge(charge_id: str, account_id: str, on: date = date(2026, 11, 1)) -> Charge:
    """A charge that waits for a bill; where all are of one date, their ids are their order."""
    item = Item(charge_id, None, Decimal(1), Decimal("10.00"), "S", Decimal("0.20"), None)
    return Charge(charge_id, account_id, on, "EUR", item, 1000, None, None, None, make.NOW)


async def test_whole_queues_that_are_no_accounts_come_together(store: Store) -> None:
    """Whom accounts pay for, in one read: each queue has its own, in order, and is known to be all."""
    links = [Link(PAYER, f"BA-{n}", f"BA-{payer}") for payer, n in ((1, 9), (1, 3), (2, 4))]
    await write(store, *links, Link(PAYER, "BA-5", "BA-1", open=False), Link(CONTAINS, "BA-6", "BA-1"))
    books = await loaded(store, *(QueueNeed(Link, f"{PAYER}/BA-{n}", None) for n in (1, 2, 3)))
    found = [[link.referrer for link in books.queue(Link, f"{PAYER}/BA-{n}")] for n in (1, 2, 3)]
    assert found == [["BA-3", "BA-9"], ["BA-4"], []]


async def test_a_position_without_a_balance_proves_its_queues_empty(store: Store) -> None:
    """Loading a position tells that an account owes nothing, without reading its invoices."""
    await write(store, make.position("BA-1"), make.position("BA-2", receivable=1200))
    books = await loaded(store, DocumentNeed(Position, "BA-1"), DocumentNeed(Position, "BA-2"))
    assert list(books.queue(Invoice, "BA-1")) == []
    with pytest.raises(NotLoaded):
        next(books.queue(Invoice, "BA-2"))


async def test_an_identity_has_one_effect(store: Store) -> None:
    """The database itself refuses a second effect of an identity, should all else fail; an order may have invoices."""
    twin = make.invoice(2, "BA-1")
    twin = Invoice(**{name: getattr(twin, name) for name in twin.__dataclass_fields__} | {"order_id": "O-1"})
    await write(store, make.invoice(1, "BA-1"), twin)
    for expected in (nullcontext(), pytest.raises(PyMongoError)):
        with expected:
            async with store.transaction() as transaction:
                await transaction.write(make.books(), Batch([make.inbox_row("order.completed:O-1")]))
                await transaction.commit()


# -- what is written once but for some fields


async def change(store: Store, need: DocumentNeed, **fields: Any) -> None:
    """Load a document, and write it with other fields."""
    books = await loaded(store, need)
    document: Any = books.find(need.type, need.id)
    changes(books, replace(document, **fields))
    async with store.transaction() as transaction:
        await transaction.write(books, Batch())
        await transaction.commit()


async def test_of_what_is_written_once_only_what_is_set_later_is_sent(store: Store, database: Books) -> None:
    """Whatever a defect of ours would change of it stays as it was booked."""
    await write(store, a_charge("C-1", "BA-1"))
    booked = only(database, "charges")
    billed = BilledCharge("INV-000000001", "1", None, 1000, "bill.demand:D-1", NOW)
    await change(store, DocumentNeed(Charge, "C-1"), net=1, billed=billed)
    assert only(database, "charges") == booked | {
        "billed": {
            "billNo": "INV-000000001", "lineId": "1", "creditNote": None, "amount": 1000, "cause": "bill.demand:D-1",
            "bookedAt": NOW,
        }
    }  # fmt: skip


@pytest.mark.parametrize("document", [None, "SB-000000001"])
async def test_what_is_set_later_may_be_left_out(document: str | None, store: Store, database: Books) -> None:
    """A statement holds an accrual, and has a document of it or none: the field is there only where it has."""
    await write(store, make.accrual(1, "SA-1"))
    booked = only(database, "accruals")
    await change(store, DocumentNeed(Accrual, "INV-000000001/1"), settlement_id="C-1", document=document)
    set_later = {"settlementId": "C-1"} if document is None else {"settlementId": "C-1", "document": document}
    assert only(database, "accruals") == booked | set_later


# -- what changes often

TO_OTHERS: dict[str, Any] = {
    "billing_account": "BA-2",
    "currency": "EUR",
    "start_date": date(2020, 2, 29),
    "terms": replace(SUBSCRIPTION.terms, name="Other"),
    "patches": SUBSCRIPTION.patches[:1],
    "state": "active",
    "revision": 99,
    "booked_at": NOW,
    "next_due": None,
    "recheck_from": date(2031, 1, 1),
}
"""Each field of a subscription but its id, and what else it may be."""


async def test_whatever_is_changed_of_a_subscription_is_written(store: Store, database: Books) -> None:
    """By itself, and beside what changes often."""
    assert {"id", *TO_OTHERS} == {field.name for field in fields(Subscription)}
    await write(store, SUBSCRIPTION)
    now = SUBSCRIPTION
    for n, (field, value) in enumerate(TO_OTHERS.items()):
        assert getattr(now, field) != value
        for further in ({}, {"next_due": date(2030, 1, 1) + timedelta(days=n)}):
            changed = {**further, field: value}
            now = replace(now, **changed)
            await change(store, DocumentNeed(Subscription, now.id), **changed)
            assert only(database, "subscriptions") == ENCODE[Subscription](now)
            now = replace(now, **{field: getattr(SUBSCRIPTION, field)})
            await change(store, DocumentNeed(Subscription, now.id), **{field: getattr(now, field)})


@pytest.mark.parametrize(
    ("changed", "beside"),
    [
        ({"next_due": date(2031, 1, 1), "recheck_from": None}, {"beside": 1}),
        ({"next_due": date(2031, 1, 1), "revision": 99}, {}),
        # Equal, and kept as something else.
        ({"next_due": date(2031, 1, 1), "terms": replace(SUBSCRIPTION.terms)}, {}),
    ],
)
async def test_what_a_bill_changes_of_a_subscription_is_set_alone(
    changed: dict[str, Any], beside: dict[str, Any], store: Store, database: Books
) -> None:
    """All else of it is not sent, unless something of that is changed too."""
    await write(store, SUBSCRIPTION)
    database["subscriptions"].update_one({}, {"$set": {"beside": 1}})
    await change(store, DocumentNeed(Subscription, SUBSCRIPTION.id), **changed)
    assert only(database, "subscriptions") == ENCODE[Subscription](replace(SUBSCRIPTION, **changed)) | beside


# -- what nobody may forget


@dataclass(frozen=True)
class Unlisted:
    """A kind of document that no capability has declared."""

    id: str = "U-1"


@pytest.mark.parametrize("how", ["put", "appended"])
async def test_a_kind_that_nothing_keeps_fails_the_batch(how: str, store: Store, database: Books) -> None:
    """It would be dropped in silence otherwise, and the fact's entry committed."""
    put, append = ([Unlisted()], ()) if how == "put" else ([], (Unlisted(),))
    with pytest.raises(AssertionError, match=r"nothing keeps .*Unlisted"):
        await write(store, make.position("BA-1"), *put, append=append)
    assert database["positions"].count_documents({}) == 0


async def test_what_is_append_only_is_not_put(store: Store) -> None:
    """Nor is anything else appended, which would have no second state."""
    allocation = Allocation("INV-1/P-1", "INV-1", "P-1", "BA-1", 1000, "payment.received:P-1", NOW)
    with pytest.raises(AssertionError, match="append-only"):
        await write(store, allocation)
    with pytest.raises(AssertionError, match="not append-only"):
        await write(store, append=(make.position("BA-1"),))
    await write(store, append=(allocation,))
