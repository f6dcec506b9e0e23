"""The audit says that correct books are correct, and each of its checks goes red when what it watches is broken."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from adapters import audit as run
from adapters.accounts.codecs import decode_account
from adapters.accounts.documents import account_as_json
from adapters.audit import AuditIncomplete, audit
from tests.support.audits import quick_audit
from tests.support.books import Books, Document, Made

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
NOTE1 = "credit-note.issue:N-1"
RETURN1 = "payout.returned:PR-1"
NETTING = "netting.apply:C-6"
INV8 = "INV-000000008"
CORRECT8 = f"settlement.correct:AG-5/2/{INV8}"
BOOKED = NOW - timedelta(days=3)


@pytest.fixture(scope="module")
def made(mongo: MongoClient[Document]) -> Iterator[Made]:
    """The small, correct books that `write_books` writes, once for all the tests here."""
    database = mongo.get_database(f"test-{uuid.uuid4().hex[:12]}", write_concern=WriteConcern("majority"))
    write_books(database)
    yield Made.of(database)
    mongo.drop_database(database.name)


@pytest.fixture
def books(made: Made) -> Books:
    """They, whatever the test before has done to them."""
    return made.restored()


def line(
    line_id: str, net: int, tax: int, category: str = "S", rate: str = "0.2", partner: Document | None = None
) -> Document:
    """A line of an invoice, in the form that the audit reads."""
    return {
        "id": line_id,
        "description": "A line",
        "quantity": "1",
        "unitPrice": "1",
        "category": category,
        "rate": rate,
        "taxExcludedAmount": net,
        "taxAmount": tax,
        "onBehalfOf": partner,
    }


def partner(account: str, accrue_on: str, share: int, accrued: int) -> Document:
    """What a line keeps of the partner on whose behalf it was sold."""
    return {"id": account, "partnerShare": "0.7", "accrueOn": accrue_on, "share": share, "accrued": accrued}


BY_AGREEMENT: Document = {"id": "AG-1", "revision": 1}


def by_tiers(before: int, share: int) -> Document:
    """What a line keeps of SA-1, which has its share by the tiers of AG-3; so much net was in their period before."""
    tier = {"start": "2026-11-01", "before": before, "share": share}
    shared = partner("SA-1", "invoice", share, share) | {"partnerShare": None}
    return {**shared, "agreement": {"id": "AG-3", "revision": 1}, "tier": tier}


TIERS: Document = {
    "mode": "graduated",
    "period": "month",
    "steps": [{"upTo": 1000, "share": "0.8"}, {"upTo": None, "share": "0.9"}],
}
PAID_TIERS: Document = {
    "mode": "graduated",
    "period": "month",
    "steps": [{"upTo": 10000, "share": "0.7"}, {"upTo": None, "share": "0.9"}],
}
TIER_PERIOD = "AG-3/1/2026-11-01"
PAID_PERIOD = "AG-7/1/2026-11-01"


def by_payments(net: int, share: int) -> Document:
    """What a line keeps of SA-3, whose tiers of AG-7 go by payments: so much net was paid, all in November."""
    freed = [{"start": "2026-11-01", "net": net, "share": share}]
    by = {"agreement": {"id": "AG-7", "revision": 1}, "freed": freed}
    return partner("SA-3", "payment", share, share) | by


TRUE_UP: Document = {"agreement": "AG-3", "revision": 1, "start": "2026-11-01", "of": 6, "base": 5}
"""A step that says 0.06 of a net of 0.05, of which 80 % are 0.04."""


def agreement(agreement_id: str, start: str, end: str | None, *terms: Document) -> Document:
    """An agreement with SA-2."""
    return {
        "_id": agreement_id,
        "settlementAccount": "SA-2",
        "validFrom": datetime.fromisoformat(f"{start}T00:00:00+00:00"),
        "validUntil": None if end is None else datetime.fromisoformat(f"{end}T00:00:00+00:00"),
        "start": start,
        "end": end,
        "agreed": list(terms),
    }


def agreed(revision: int, valid_from: str, share: str = "0.75") -> Document:
    """What was agreed of it."""
    terms = {"partnerShare": share, "accrueOn": "payment"}
    return {"validFrom": valid_from, "terms": terms, "revision": revision, "cause": "agreed", "bookedAt": BOOKED}


def tax_item(category: str, rate: str, net: int, tax: int) -> Document:
    """The tax of one category and rate on an invoice."""
    return {"category": category, "rate": rate, "taxExcludedAmount": net, "taxAmount": tax}


def invoice(
    number: int,
    account: str,
    *,
    net: int,
    total: int,
    remaining: int,
    state: str,
    tax_items: list[Document],
    lines: list[Document],
    applied: dict[str, int],
    **versions: int,
) -> Document:
    """The invoice of order `O-<number>`; `versions` are those of its parties, as far as it names them."""
    return {
        "_id": f"INV-{number:09d}",
        "billingAccount": account,
        "orderedFor": account,
        "orderId": f"O-{number}",
        "currency": "EUR",
        "state": state,
        "billDate": "2026-11-28",
        "paymentDueDate": "2026-12-28",
        "taxPointDate": "2026-11-28",
        "bookedAt": BOOKED,
        "taxExcludedAmount": net,
        "taxIncludedAmount": total,
        "remainingAmount": remaining,
        "taxItem": tax_items,
        "lines": lines,
        "appliedPayment": [{"paymentId": paid, "amount": amount} for paid, amount in applied.items()],
        **versions,
    }


def entry(identity: str, *postings: Document) -> Document:
    """An entry of the journal."""
    return {"_id": identity, "cause": identity, "occurredAt": BOOKED, "bookedAt": BOOKED, "postings": list(postings)}


def posting(account: str, amount: int, movement: int | None = None, **tax: str) -> Document:
    """A posting, debit positive; `movement` where the ledger account has a position."""
    numbered = {} if movement is None else {"movement": movement}
    return {"account": account, "currency": "EUR", "amount": amount, **tax, **numbered}


def note_line(line_id: str, net: int, tax: int, **partner: Any) -> Document:
    """What a credit note takes back of a line, at 20 %."""
    return {
        "lineId": line_id,
        "category": "S",
        "rate": "0.2",
        "taxExcludedAmount": net,
        "taxAmount": tax,
        "onBehalfOf": None,
        "share": 0,
        "withheld": 0,
        **partner,
    }


def refund(refund_id: str, account: str, amount: int, *, taken: dict[str, int], **of: str) -> Document:
    """Money that went back to an account, of a note or of a payment."""
    return {
        "_id": refund_id,
        "billingAccount": account,
        "currency": "EUR",
        "amount": amount,
        "refundedAt": BOOKED,
        "bookedAt": BOOKED,
        "creditNoteId": None,
        "paymentId": None,
        "method": None,
        "taken": [{"paymentId": paid, "amount": part} for paid, part in taken.items()],
        "deallocated": [],
        "recoverable": amount - sum(taken.values()),
        **of,
    }


def reversal(reversal_id: str, payment_id: str, account: str, amount: int, **taken: int) -> Document:
    """A payment of an account that came back."""
    return {
        "_id": reversal_id,
        "paymentId": payment_id,
        "billingAccount": account,
        "currency": "EUR",
        "amount": amount,
        "fee": 0,
        "reversedAt": BOOKED,
        "bookedAt": BOOKED,
        "reason": "AM04",
        "credit": 0,
        "reserved": [],
        "transferred": [],
        "deallocated": [],
        "recoverable": 0,
        **taken,
    }


def payment(payment_id: str, amount: int, unapplied: int) -> Document:
    """A payment on BA-1."""
    return {
        "_id": payment_id,
        "billingAccount": "BA-1",
        "currency": "EUR",
        "amount": amount,
        "unapplied": unapplied,
        "receivedAt": BOOKED,
        "method": None,
        "invoices": [],
        "bookedAt": BOOKED,
    }


def allocation(bill: str, payment_id: str, amount: int, cause: str) -> Document:
    """What a payment of BA-1 paid of an invoice."""
    return {
        "_id": f"{bill}/{payment_id}",
        "billNo": bill,
        "paymentId": payment_id,
        "billingAccount": "BA-1",
        "amount": amount,
        "cause": cause,
        "bookedAt": BOOKED,
    }


def recovery(payment_id: str, amount: int, cause: str) -> Document:
    """What of a payment of BA-2 covers what it got without credit."""
    return {
        "_id": f"{payment_id}/{cause.replace(':', '/', 1)}",
        "paymentId": payment_id,
        "billingAccount": "BA-2",
        "amount": amount,
        "cause": cause,
        "bookedAt": BOOKED,
    }


def accrual(accrual_id: str, account: str, amount: int, cause: str, settlement_id: str | None) -> Document:
    """What accrued to a partner for a line: `<billNo>/<lineId>`, with a payment behind it where that released it."""
    bill, line_id = accrual_id.split("/")[:2]
    return {
        "_id": accrual_id,
        "settlementAccount": account,
        "orderId": f"O-{int(bill[-9:])}",
        "billNo": bill,
        "lineId": line_id,
        "amount": amount,
        "date": "2026-11-28",
        "cause": cause,
        "bookedAt": BOOKED,
        "settlementId": settlement_id,
    }


def adjustment(adjustment_id: str, account: str, amount: int, settlement_id: str | None) -> Document:
    """What a partner's adjustment accrued, of no line."""
    return {
        "_id": f"settlement.adjust/{adjustment_id}",
        "settlementAccount": account,
        "orderId": None,
        "billNo": None,
        "lineId": None,
        "amount": amount,
        "date": "2026-11-28",
        "cause": f"settlement.adjust:{adjustment_id}",
        "bookedAt": BOOKED,
        "settlementId": settlement_id,
        "adjustmentId": adjustment_id,
    }


def added(kind: str, key: str, amount: int, cause: str, settlement_id: str | None, **step: Any) -> Document:
    """What a closing has added to what SA-5 earned, or a release."""
    named = dict.fromkeys(("agreement", "start", "end", "of", "base", "rate", "settlement"))
    return {
        "_id": f"{cause.replace(':', '/', 1)}{key}",
        "settlementAccount": "SA-5",
        "orderId": None,
        "billNo": None,
        "lineId": None,
        "amount": amount,
        "date": "2026-11-30",
        "cause": cause,
        "bookedAt": BOOKED,
        "settlementId": settlement_id,
        "step": {"kind": kind, **named, **step},
    }


def earnings(account: str, amount: int, *guaranteed: Document) -> Document:
    """What statements say that a partner has earned: all of it on one day."""
    return {
        "_id": f"{account}/2026",
        "settlementAccount": account,
        "year": 2026,
        "days": [{"date": "2026-11-28", "amount": amount}],
        "guaranteed": list(guaranteed),
    }


def statement(
    statement_id: str, account: str, accruals: list[Document], *, paid: int = 0, state: str, brought: Document | None
) -> Document:
    """A statement that holds these accruals; `brought` is the statement before it, if that was carried forward."""
    copied = ("orderId", "billNo", "lineId", "date", "amount", "adjustmentId", "step", "corrects")
    forward = brought["total"] if brought else 0
    return {
        "_id": statement_id,
        "settlementAccount": account,
        "currency": "EUR",
        "closingId": statement_id,
        "periodEnd": "2026-11-30",
        "lines": [
            {"accrualId": row["_id"], **{field: row[field] for field in copied if field in row}} for row in accruals
        ],
        "broughtForward": forward,
        "broughtForwardFrom": brought["_id"] if brought else None,
        "total": forward + sum(row["amount"] for row in accruals),
        "paid": paid,
        "state": state,
        "bookedAt": BOOKED,
    }


def position(account: str, sequence: int, movements: int, **balances: Any) -> Document:
    """A position; what is not said is zero."""
    zero = {
        "receivable": 0,
        "unapplied": 0,
        "refundable": 0,
        "recoverable": 0,
        "payable": 0,
        "withheld": 0,
        "carriedForward": None,
        "oldestDue": None,
    }
    zero |= {"refundable": 0, "recoverable": 0}
    return {"_id": account, "currency": "EUR", "sequence": sequence, "movements": movements, **zero, **balances}


def open_account(database: Books, account_id: str, type_: str) -> None:
    """Write an account, its one version as up to form 2, and the fact that created it."""
    account: Document = {
        "_id": account_id,
        "type": type_,
        "currency": "EUR",
        "currencyDigits": 2,
        "state": "active",
        "revision": 1,
        "version": 1,
        "paymentTermDays": 30,
        "settlementTerms": None,
        "creditLimit": None,
        "openedAt": BOOKED,
        "updatedAt": BOOKED,
        "relationships": [],
        "references": [],
        "financialAccount": None,
        "document": {"name": account_id, "$odd.key": 1},
    }
    account["json"] = account_as_json(decode_account(account))
    identity = f"account.create:{account_id}"
    if account_id == "SA-1":
        account["closingCycle"] = {"period": "month", "anchorDate": "2026-01-31"}
        database["closingSchedules"].insert_one(
            {"_id": account_id, "periodEnd": "2026-12-30", "closed": None, "queue": "scheduled"}
        )
    database["accounts"].insert_one(account)
    database["accountVersions"].insert_one(
        {
            "_id": f"{account_id}/1",
            "account": account_id,
            "version": 1,
            "revision": 1,
            "bookedAt": BOOKED,
            "cause": identity,
            "changed": [],
            "oldState": None,
            "newState": "active",
            "reason": None,
            "snapshot": account,
        }
    )
    database["inbox"].insert_one({"_id": identity, "digest": "d", "appliedAt": BOOKED})


def tell_of_the_seller(database: Books) -> None:
    """Write the seller, its two versions, their facts and events, and a fact that changed nothing."""
    versions: list[Document] = [
        {
            "_id": f"seller/{version}",
            "version": version,
            "bookedAt": BOOKED,
            "cause": f"seller.update:m-{version}",
            "changed": ["name"],
            "document": {"name": f"Seller {version}"},
        }
        for version in (1, 2)
    ]
    database["sellerVersions"].insert_many(versions)
    last = {"version": 2, "updatedAt": BOOKED, "document": versions[-1]["document"]}
    database["seller"].insert_one({"_id": "seller", **last})
    for message, version in ((1, 1), (2, 2), (3, 2)):
        database["inbox"].insert_one(
            {"_id": f"seller.update:m-{message}", "digest": "d", "appliedAt": BOOKED, "result": {"version": version}}
        )
    database["outbox"].insert_many(
        [
            {"_id": f"seller/{version}", "routingKey": "seller.changed", "bookedAt": BOOKED, "sentAt": BOOKED}
            for version in (1, 2)
        ]
    )


def write_books(database: Books) -> None:
    """Write books by hand in which everything happens once: see the comments. Amounts are cents."""
    bill_1, bill_2 = "INV-000000001", "INV-000000002"
    database["invoices"].insert_many(
        [
            # O-1: a line of our own, one that accrues to SA-1 at once, one that accrues to SA-2 as it is paid. Paid by
            # two payments, the second of which leaves credit.
            invoice(
                1,
                "BA-1",
                net=5788,
                total=6946,
                remaining=0,
                state="settled",
                tax_items=[tax_item("S", "0.2", 5788, 1158)],
                lines=[
                    line("1", 3990, 798),
                    line("2", 798, 160, partner=by_tiers(0, 638)),
                    line("3", 1000, 200, partner=partner("SA-2", "payment", 700, 700) | {"agreement": BY_AGREEMENT}),
                ],
                applied={"P-1": 3000, "P-2": 3946},
            ),
            # O-2: two tax rates; consumes the credit, which releases a part of SA-2's share.
            invoice(
                2,
                "BA-1",
                net=2500,
                total=2550,
                remaining=1496,
                state="partiallyPaid",
                tax_items=[tax_item("S", "0.1", 500, 50), tax_item("Z", "0", 2000, 0)],
                lines=[
                    line("1", 500, 50, rate="0.1"),
                    line("2", 2000, 0, "Z", "0", partner("SA-2", "payment", 1400, 579) | {"agreement": BY_AGREEMENT}),
                ],
                applied={"P-2": 1054},
                buyerVersion=1,
                sellerVersion=1,
            ),
            # O-3: a negative line on behalf of SA-1; open.
            invoice(
                3,
                "BA-2",
                net=100,
                total=120,
                remaining=120,
                state="new",
                tax_items=[tax_item("S", "0.2", 100, 20)],
                lines=[line("1", 1000, 200), line("2", -900, -180, partner=by_tiers(798, -720))],
                applied={},
                buyerVersion=1,
                sellerVersion=2,
            ),
            # O-4: over nothing, settled at once; its entry has no postings.
            invoice(
                4,
                "BA-2",
                net=0,
                total=0,
                remaining=0,
                state="settled",
                tax_items=[tax_item("S", "0.2", 0, 0)],
                lines=[line("1", 0, 0)],
                applied={},
                buyerVersion=1,
                sellerVersion=2,
            ),
            # O-5: paid in part; the note N-1 takes back what is open and some of what is paid, which is to be given
            # back. Of SA-3's 7,000 it leaves 5,250, all of it released, and by tiers of what is paid, of 7,500.
            invoice(
                5,
                "BA-3",
                net=20000,
                total=24000,
                remaining=0,
                state="settled",
                tax_items=[tax_item("S", "0.2", 20000, 4000)],
                lines=[line("1", 10000, 2000), line("2", 10000, 2000, partner=by_payments(7500, 5250))],
                applied={"P-3": 15000},
                buyerVersion=1,
                sellerVersion=2,
            )
            | {
                "corrections": {
                    "credited": 9000,
                    "writeOffs": [],
                    "lines": [
                        {"lineId": "1", "credited": 5000, "givenUp": 0},
                        {"lineId": "2", "credited": 2500, "givenUp": 0},
                    ],
                    "tax": [{"category": "S", "rate": "0.2", "credited": 1500, "relieved": 0}],
                }
            },
            # O-6: paid, and some of that given back.
            invoice(
                6,
                "BA-2",
                net=1000,
                total=1200,
                remaining=500,
                state="partiallyPaid",
                tax_items=[tax_item("S", "0.2", 1000, 200)],
                lines=[line("1", 1000, 200)],
                applied={"P-5": 700},
                buyerVersion=1,
                sellerVersion=2,
            ),
        ]
    )
    # C-1: goodwill, which covers some of what BA-2 got without credit.
    database["goodwill"].insert_one(
        {
            "_id": "C-1",
            "billingAccount": "BA-2",
            "currency": "EUR",
            "amount": 40,
            "grantedAt": BOOKED,
            "bookedAt": BOOKED,
            "reason": "sorry",
        }
    )
    # R-1 of what N-1 reserved, R-2 of nothing, some of which P-4 covers, R-3 of a payment and so of what it covered.
    database["refunds"].insert_many(
        [
            refund("R-1", "BA-3", 2000, taken={"P-3": 2000}, creditNoteId="N-1"),
            refund("R-2", "BA-2", 500, taken={}),
            refund("R-3", "BA-2", 500, taken={"P-5": 500}, paymentId="P-5")
            | {"deallocated": [{"billNo": "INV-000000006", "paymentId": "P-5", "amount": 500}]},
        ]
    )
    # X-1 of P-4, which covered what was recoverable, and so is that again; and the bank's fee.
    database["reversals"].insert_one(
        reversal("X-1", "P-4", "BA-2", 150, fee=30, recoverable=150),
    )
    # T-1: of P-6 to BA-2, where it covers some of what that got without credit; X-2 takes the rest of both.
    database["transfers"].insert_one(
        {
            "_id": "T-1",
            "from": "BA-3",
            "to": "BA-2",
            "currency": "EUR",
            "amount": 400,
            "transferredAt": BOOKED,
            "bookedAt": BOOKED,
            "reason": "wrong account",
            "paymentId": "P-6",
            "taken": [{"paymentId": "P-6", "amount": 400}],
        }
    )
    elsewhere = {"paymentId": "transfer~T-1~1", "billingAccount": "BA-2", "credit": 50, "reserved": []}
    database["reversals"].insert_one(reversal("X-2", "P-6", "BA-3", 250, credit=200) | {"transferred": [elsewhere]})
    database["recoveries"].insert_many(
        [
            recovery("P-4", 200, "payment.received:P-4"),
            recovery("credit~C-1", 40, "credit.grant:C-1"),
            recovery("transfer~T-1~1", 350, "credit.transfer:T-1"),
        ]
    )
    database["creditNotes"].insert_one(
        {
            "_id": "N-1",
            "billNo": "CN-000000001",
            "correctedBillNo": "INV-000000005",
            "billingAccount": "BA-3",
            "currency": "EUR",
            "billDate": "2026-11-28",
            "issuedAt": BOOKED,
            "bookedAt": BOOKED,
            "cause": NOTE1,
            "reason": "returned",
            "taxExcludedAmount": 7500,
            "taxIncludedAmount": 9000,
            "taxItem": [tax_item("S", "0.2", 7500, 1500)],
            "lines": [
                note_line("1", 5000, 1000),
                note_line("2", 2500, 500, onBehalfOf="SA-3", share=1750, withheld=1167),
            ],
            "covered": 4000,
            "recovered": 0,
            "excess": "refund",
            "deallocated": [{"paymentId": "P-3", "amount": 5000}],
            "reserved": [{"paymentId": "P-3", "amount": 3000}],
            "buyerVersion": 1,
            "sellerVersion": 2,
        }
    )
    on_2, on_3 = {"billingAccount": "BA-2"}, {"billingAccount": "BA-3"}
    database["payments"].insert_many(
        [
            payment("P-1", 3000, 0),
            payment("P-2", 5000, 0),
            payment("P-3", 20000, 0) | on_3,
            payment("P-4", 200, 0) | on_2,
            payment("P-5", 1200, 0) | on_2 | {"invoices": ["INV-000000006"]},
            payment("credit~C-1", 40, 0) | on_2 | {"source": "goodwill"},
            payment("P-6", 600, 0) | on_3 | {"transferred": [{"id": "transfer~T-1~1", "amount": 400}], "parts": 1},
            payment("transfer~T-1~1", 400, 0) | on_2 | {"source": "transfer", "origin": "P-6"},
        ]
    )
    database["allocations"].insert_many(
        [
            allocation(bill_1, "P-1", 3000, "payment.received:P-1"),
            allocation(bill_1, "P-2", 3946, "payment.received:P-2"),
            allocation(bill_2, "P-2", 1054, "order.completed:O-2"),
            allocation("INV-000000005", "P-3", 20000, "payment.received:P-3") | on_3,
            allocation("INV-000000006", "P-5", 1200, "payment.received:P-5") | on_2,
            allocation("INV-000000006", "P-5", -500, "refund.completed:R-3")
            | {"_id": "INV-000000006/P-5/refund.completed/R-3"}
            | on_2,
            allocation("INV-000000005", "P-3", -5000, NOTE1)
            | {"_id": "INV-000000005/P-3/credit-note.issue/N-1"}
            | on_3,
        ]
    )
    sold_1 = accrual("INV-000000001/2", "SA-1", 638, "order.completed:O-1", "C-2")
    returned = accrual("INV-000000003/2", "SA-1", -720, "order.completed:O-3", "C-1")
    released_1 = accrual("INV-000000001/3/P-1", "SA-2", 302, "payment.received:P-1", "C-3")
    released_2 = accrual("INV-000000001/3/P-2", "SA-2", 398, "payment.received:P-2", "C-3")
    not_stated = accrual("INV-000000002/2/P-2", "SA-2", 579, "order.completed:O-2", None)
    released_3 = accrual("INV-000000005/2/P-3", "SA-3", 5833, "payment.received:P-3", None)
    taken_back = accrual("INV-000000005/2/credit-note.issue/N-1", "SA-3", -583, NOTE1, None)
    # A-1 is stated, A-2 corrects a line of O-1 and is not.
    adjusted_1 = adjustment("A-1", "SA-2", -21, "C-3")
    adjusted_2 = adjustment("A-2", "SA-2", 40, None) | {"orderId": "O-1", "billNo": bill_1, "lineId": "3"}
    database["accruals"].insert_many([sold_1, returned, released_1, released_2, not_stated, released_3, taken_back])
    database["accruals"].insert_many([adjusted_1, adjusted_2])
    # C-1 is carried forward to C-2, which is not positive either and waits in SA-1's position.
    first = statement("C-1", "SA-1", [returned], state="carriedForward", brought=None)
    second = statement("C-2", "SA-1", [sold_1], state="carriedForward", brought=first)
    third = statement(
        "C-3", "SA-2", [released_1, released_2, adjusted_1], state="partiallyPaid", paid=300, brought=None
    )
    # Since A-2 corrected the line, RP-2 finds what RP-1 found: 7.05 there, 7.00 here.
    third |= {"report": "RP-2", "disputed": [{"billNo": bill_1, "lineId": "3", "amount": 700}]}
    second |= {"report": "RP-3"}
    database["settlements"].insert_many([first, second, third])
    by_terms = {"partnerShare": None, "accrueOn": "invoice", "tiers": TIERS}
    by_payments_terms = {"partnerShare": None, "accrueOn": "payment", "tiers": PAID_TIERS}
    report_statements(database)
    database["agreements"].insert_many(
        [
            agreement("AG-1", "2026-11-01", "2027-01-01", agreed(1, "2026-11-01", "0.7"), agreed(2, "2026-12-01")),
            agreement("AG-2", "2027-01-01", None, agreed(1, "2027-01-01")),
            agreement("AG-3", "2026-11-01", None, agreed(1, "2026-11-01") | {"terms": by_terms})
            | {"settlementAccount": "SA-1"},
            agreement("AG-7", "2026-11-01", None, agreed(1, "2026-11-01") | {"terms": by_payments_terms})
            | {"settlementAccount": "SA-3"},
        ]
    )
    period = {"agreement": "AG-7", "revision": 1, "start": "2026-11-01", "end": "2026-12-01", "tiers": PAID_TIERS}
    amounts = {"net": 7500, "due": 5250, "share": 5250, "trued": 0, "isOpen": False}
    database["tierPeriods"].insert_one({"_id": PAID_PERIOD, "settlementAccount": "SA-3", **period, **amounts})
    # 80 % of 7.98 are 6.38, and of -1.02, which are left of that with -9.00, -0.82.
    database["tierPeriods"].insert_one(
        {
            "_id": TIER_PERIOD,
            "settlementAccount": "SA-1",
            "agreement": "AG-3",
            "revision": 1,
            "start": "2026-11-01",
            "end": "2026-12-01",
            "tiers": TIERS,
            "net": -102,
            "due": -82,
            "share": -82,
            "trued": 0,
            "isOpen": False,
        }
    )
    # PO-2 came back.
    on_third: Document = {"settlementAccount": "SA-2", "settlementId": "C-3", "currency": "EUR", "bookedAt": BOOKED}
    came_back = {"returnId": "PR-1", "returnedAt": BOOKED, "reason": "AC04", "bookedAt": BOOKED}
    database["payouts"].insert_many(
        [
            {"_id": "PO-1", "amount": 300, **on_third},
            {"_id": "PO-2", "amount": 100, **on_third, "returned": came_back},
        ]
    )
    database["entries"].insert_many(
        [
            entry(
                "order.completed:O-1",
                posting("receivable:BA-1", 6946, 1),
                posting("revenue", -3990),
                posting("payable:SA-1", -638, 1),
                posting("withheld:SA-2", -700, 1),
                posting("commission", -460),
                posting("tax", -1158, category="S", rate="0.2"),
            ),
            entry(
                "payment.received:P-1",
                posting("cash", 3000),
                posting("receivable:BA-1", -3000, 2),
                posting("withheld:SA-2", 302, 2),
                posting("payable:SA-2", -302, 2),
            ),
            entry(
                "payment.received:P-2",
                posting("cash", 5000),
                posting("receivable:BA-1", -3946, 3),
                posting("unapplied:BA-1", -1054, 3),
                posting("withheld:SA-2", 398, 3),
                posting("payable:SA-2", -398, 3),
            ),
            entry(
                "order.completed:O-2",
                posting("receivable:BA-1", 1496, 4),
                posting("unapplied:BA-1", 1054, 4),
                posting("revenue", -500),
                posting("commission", -600),
                posting("withheld:SA-2", -821, 4),
                posting("payable:SA-2", -579, 4),
                posting("tax", -50, category="S", rate="0.1"),
            ),
            entry(
                "order.completed:O-3",
                posting("receivable:BA-2", 120, 1),
                posting("revenue", -1000),
                posting("payable:SA-1", 720, 2),
                posting("commission", 180),
                posting("tax", -20, category="S", rate="0.2"),
            ),
            entry("order.completed:O-4"),
            entry("payout.completed:PO-1", posting("payable:SA-2", 300, 5), posting("cash", -300)),
            entry("payout.completed:PO-2", posting("payable:SA-2", 100, 6), posting("cash", -100)),
            entry(RETURN1, posting("cash", 100), posting("payable:SA-2", -100, 7))
            | {"reverses": "payout.completed:PO-2", "reason": "AC04"},
            entry("settlement.adjust:A-1", posting("payable:SA-2", 21, 8), posting("commission", -21)),
            entry("settlement.adjust:A-2", posting("commission", 40), posting("payable:SA-2", -40, 9)),
            entry(
                "order.completed:O-5",
                posting("receivable:BA-3", 24000, 1),
                posting("revenue", -10000),
                posting("withheld:SA-3", -7000, 1),
                posting("commission", -3000),
                posting("tax", -4000, category="S", rate="0.2"),
            ),
            entry(
                "payment.received:P-3",
                posting("cash", 20000),
                posting("receivable:BA-3", -20000, 2),
                posting("withheld:SA-3", 5833, 2),
                posting("payable:SA-3", -5833, 2),
            ),
            entry(
                NOTE1,
                posting("receivable:BA-3", 5000, 3),
                posting("revenue", 5000),
                posting("tax", 1500, category="S", rate="0.2"),
                posting("payable:SA-3", 583, 3),
                posting("withheld:SA-3", 1167, 3),
                posting("commission", 750),
                posting("receivable:BA-3", -9000, 3),
                posting("refundable:BA-3", -5000, 3),
            )
            | {"reverses": "order.completed:O-5", "reason": "returned"},
            entry("refund.completed:R-1", posting("refundable:BA-3", 2000, 4), posting("cash", -2000)),
            entry("refund.completed:R-2", posting("recoverable:BA-2", 500, 2), posting("cash", -500)),
            entry("payment.received:P-4", posting("cash", 200), posting("recoverable:BA-2", -200, 3)),
            entry(
                "order.completed:O-6",
                posting("receivable:BA-2", 1200, 4),
                posting("revenue", -1000),
                posting("tax", -200, category="S", rate="0.2"),
            ),
            entry("payment.received:P-5", posting("cash", 1200), posting("receivable:BA-2", -1200, 5)),
            entry(
                "payment.reversed:X-1",
                posting("recoverable:BA-2", 150, 7),
                posting("bankCharges", 30),
                posting("cash", -180),
            )
            | {"reverses": "payment.received:P-4", "reason": "AM04"},
            entry("payment.received:P-6", posting("cash", 600), posting("unapplied:BA-3", -600, 5)),
            entry(
                "credit.transfer:T-1",
                posting("unapplied:BA-3", 400, 6),
                posting("unapplied:BA-2", -50, 9),
                posting("recoverable:BA-2", -350, 9),
            ),
            entry(
                "payment.reversed:X-2",
                posting("unapplied:BA-3", 200, 7),
                posting("unapplied:BA-2", 50, 10),
                posting("cash", -250),
            )
            | {"reverses": "payment.received:P-6", "reason": "AM04"},
            entry("credit.grant:C-1", posting("goodwill", 40), posting("recoverable:BA-2", -40, 8)),
            entry("refund.completed:R-3", posting("receivable:BA-2", 500, 6), posting("cash", -500)),
        ]
    )
    database["positions"].insert_many(
        [
            position("BA-1", 3, 4, receivable=1496, oldestDue="2026-12-28"),
            position("BA-2", 2, 10, receivable=620, recoverable=60, undoing=20, oldestDue="2026-12-28"),
            position("SA-1", 1, 2, payable=-82, carriedForward={"settlementId": "C-2", "amount": -82}, agreements=1),
            position("SA-2", 1, 9, payable=998, withheld=821, withholding=1, agreements=3),
            position("BA-3", 0, 7, refundable=3000),
            position("SA-3", 0, 3, payable=5250, agreements=1),
        ]
    )
    dispute_and_write_off(database)
    steps_of_closings(database)
    payouts_and_corrections(database)
    accounts = [(f"BA-{n}", "BillingAccount") for n in (1, 2, 3, 4, 5)]
    accounts += [(f"SA-{n}", "SettlementAccount") for n in (1, 2, 3, 4, 5, 6)]
    for name, kind in accounts:
        open_account(database, name, kind)
    identities = [f"settlement.close:C-{n}" for n in (1, 2, 3, 5, 6, 7)]
    identities += [f"statement.report:RP-{n}" for n in (1, 2, 3)]
    identities += [row["_id"] for row in database["entries"].find({}, {"_id": 1})]
    database["inbox"].insert_many([{"_id": identity, "digest": "d", "appliedAt": BOOKED} for identity in identities])
    result: Document = {"released": {"unit": "EUR", "value": 5}}
    database["inbox"].update_one({"_id": "reserve.continue:C-4"}, {"$set": {"result": result}})
    netted: Document = {"netted": {"unit": "EUR", "value": 10}}
    database["inbox"].update_one({"_id": NETTING}, {"$set": {"result": netted}})
    database["inbox"].update_one({"_id": CORRECT8}, {"$set": {"result": {"lines": 1}}})
    database["held"].insert_many(
        [
            {"_id": "order.completed:O-9", "state": "waiting", "waitsFor": "account:BA-9", "dueAt": NOW},
            {"_id": "order.completed:O-1#abc", "state": "parked", "body": b"", "pieces": 2},
            {"_id": "credit.allocate:BA-1/9", "state": "scheduled", "waitsFor": None, "dueAt": NOW},
            {
                "_id": "credit.deallocate:P-4/2",
                "routingKey": "credit.deallocate",
                "account": "BA-2",
                "state": "waiting",
                "waitsFor": "applied:payment.reversed:X-1",
                "dueAt": NOW,
            },
        ]
    )
    database["heldBodies"].insert_many(
        [{"_id": {"held": "order.completed:O-1#abc", "n": n}, "data": b"x"} for n in (0, 1)]
    )
    database["operatorActs"].insert_many(
        [
            {"_id": "1", "identity": "order.completed:O-9", "act": "replay"},
            {"_id": "2", "identity": "order.completed:O-9", "act": "note"},
        ]
    )
    sent: Document = {"bookedAt": BOOKED, "sentAt": BOOKED}
    events = [("BA-1", 1), ("BA-1", 2), ("BA-1", 3), ("BA-2", 1), ("SA-1", 1), ("SA-2", 1)]
    database["outbox"].insert_many(
        [{"_id": f"{name}:{n}", "account": name, "sequence": n, **sent} for name, n in events]
        + [
            {"_id": "BA-2:2", "account": "BA-2", "sequence": 2, "bookedAt": NOW, "unsent": True},
            {"_id": "parked-1:1", "routingKey": "message.parked", **sent},
            {
                "_id": "parked-2:1",
                "routingKey": "message.parked",
                "bookedAt": BOOKED,
                "parkedAt": NOW,
                "reason": "refused",
                "refusals": 7,
            },
            {
                "_id": "parked-3:1",
                "routingKey": "message.parked",
                "bookedAt": BOOKED,
                "unsent": True,
                "released": [{"at": at, "by": "ada", "why": "there is room"} for at in (BOOKED, NOW)],
            },
        ]
    )
    database["series"].insert_many([{"_id": "INV-", "last": 8}, {"_id": "CN-", "last": 2}])
    tell_of_the_seller(database)
    begin_days(database)


def begin_days(database: Books) -> None:
    """Write four days, over the end of a month, and a fact that began nothing: it said a day before the first one."""
    days = ("2026-11-28", "2026-11-29", "2026-11-30", "2026-12-01")
    database["days"].insert_many([{"_id": day, "bookedAt": BOOKED, "cause": f"day.begin:{day}"} for day in days])
    database["calendar"].insert_one({"_id": "calendar", "first": days[0], "newest": days[-1]})
    database["inbox"].insert_many(
        [{"_id": f"day.begin:{day}", "digest": "d", "appliedAt": BOOKED} for day in ("2026-11-27", *days)]
    )


def steps_of_closings(database: Books) -> None:
    """Write what SA-5 got: of 30.00 in advance, and 60.00 earned in November of 100.00 guaranteed.

    C-4 adds 40.00, recoups 30.00, and holds back 10 % of the other 70.00. RR-1 releases 2.00 of that, the day the other
    5.00. C-5 has the release of RR-1 alone, which is below the threshold.
    """
    close, release, by_day = "settlement.close:C-4", "reserve.release:RR-1", "reserve.continue:C-4"
    closing = {
        "guarantee": {"amount": 10000, "period": "month"},
        "advance": 3000,
        "holdback": {"rate": "0.1", "releaseAfterDays": 1},
        "payoutThreshold": 5000,
    }
    database["agreements"].insert_one(
        agreement("AG-4", "2026-11-01", None, agreed(1, "2026-11-01") | {"closing": closing})
        | {"settlementAccount": "SA-5", "currency": "EUR", "advanced": 3000}
    )
    paid: Document = {"_id": "AV-1", "agreement": "AG-4", "settlementAccount": "SA-5", "currency": "EUR"}
    database["advances"].insert_one(paid | {"amount": 3000, "paidAt": BOOKED, "bookedAt": BOOKED})
    period = {"agreement": "AG-4", "start": "2026-11-01"}
    stated = [
        adjustment("A-3", "SA-5", 6000, "C-4"),
        added(
            "guarantee",
            "/guarantee/AG-4/2026-11-01",
            4000,
            close,
            "C-4",
            **period,
            end="2026-11-30",
            of=10000,
            base=6000,
        ),
        added("recoupment", "/recoupment", -3000, close, "C-4", base=10000),
        added("holdback", "/holdback", -700, close, "C-4", base=7000, rate="0.1", end="2026-12-01"),
    ]
    released = added("release", "", 200, release, "C-5", settlement="C-4")
    rest = added("release", "", 500, by_day, None, settlement="C-4") | {"date": "2026-12-01"}
    database["accruals"].insert_many([*stated, released, rest])
    fifth = statement("C-5", "SA-5", [released], state="carriedForward", brought=None) | {"threshold": 5000}
    database["settlements"].insert_many([statement("C-4", "SA-5", stated, state="open", brought=None), fifth])
    database["reserves"].insert_one(
        {
            "_id": "C-4",
            "settlementAccount": "SA-5",
            "currency": "EUR",
            "base": 7000,
            "rate": "0.1",
            "amount": 700,
            "heldOn": "2026-11-30",
            "releaseOn": "2026-12-01",
            "bookedAt": BOOKED,
            "isLeft": True,
            "releases": [
                {"amount": 200, "date": "2026-11-30", "cause": release, "bookedAt": BOOKED, "releaseId": "RR-1"},
                {"amount": 500, "date": "2026-12-01", "cause": by_day, "bookedAt": BOOKED, "releaseId": None},
            ],
            "queue": None,
        }
    )
    database["earnings"].insert_many(
        [earnings("SA-1", -82), earnings("SA-2", 679), earnings("SA-5", 6000, period | {"amount": 4000})]
    )
    database["entries"].insert_many(
        [
            entry("advance.paid:AV-1", posting("advance:SA-5", 3000, 1), posting("cash", -3000)),
            entry("settlement.adjust:A-3", posting("commission", 6000), posting("payable:SA-5", -6000, 2)),
            entry(
                close,
                posting("guarantee", 4000),
                posting("payable:SA-5", -4000, 3),
                posting("advance:SA-5", -3000, 3),
                posting("reserve:SA-5", -700, 3),
                posting("payable:SA-5", 3700, 3),
            ),
            entry(release, posting("reserve:SA-5", 200, 4), posting("payable:SA-5", -200, 4)),
            entry(by_day, posting("reserve:SA-5", 500, 5), posting("payable:SA-5", -500, 5)),
        ]
    )
    carried = {"settlementId": "C-5", "amount": 200}
    nothing = {"reserve": 0, "advance": 0}
    database["positions"].insert_one(
        position("SA-5", 0, 5, payable=7000, agreements=1, carriedForward=carried, **nothing)
    )


def payouts_and_corrections(database: Books) -> None:
    """Write what SA-6 got of O-8, which BA-5 has yet to pay: 70 % of 100.00 first, 80 % by AG-5's revision 2.

    C-6 states 80.00, of which 10.00 are netted with O-8's invoice. Of the payouts of the other 70.00 15 % are withheld,
    with 5.5 % of that: PO-3 of 30.00 has a base of round(80 x 30 / 70) = 34.29, so 5.14 + 0.28. PO-4 of 20.00 came
    back; with it the base was 57.14, so 8.57 + 0.47, of which 3.62 were new. C-7 states an adjustment of 5.00.
    """
    withholding = {"rate": "0.15", "authority": "Finanzamt", "surchargeOnTax": "0.055", "certificate": None}
    by_revision_1, by_revision_2 = (
        agreed(n, "2026-11-01")
        | {"terms": {"partnerShare": share, "accrueOn": "invoice"}, "closing": {"withholding": withholding}}
        for n, share in ((1, "0.7"), (2, "0.8"))
    )
    database["agreements"].insert_one(
        agreement("AG-5", "2026-11-01", None, by_revision_1, by_revision_2)
        | {"settlementAccount": "SA-6", "backdating": [2]}
    )
    of_revision: Document = {"agreement": "AG-5", "revision": 2, "settlementAccount": "SA-6"}
    database["backdatings"].insert_one(
        {"_id": "AG-5/2", **of_revision, "since": "2026-11-01", "state": "running", "corrected": 1, "amount": 1000}
    )
    corrected = {"lineId": "1", "was": 7000, "now": 8000, "accrued": 1000, "withheld": 0}
    database["shareCorrections"].insert_one(
        {"_id": f"AG-5/2/{INV8}", **of_revision, "billNo": INV8, "lines": [corrected], "cause": CORRECT8}
    )
    terms_now = {"partnerShare": "0.8", "agreement": {"id": "AG-5", "revision": 2}}
    part = partner("SA-6", "invoice", 8000, 8000) | terms_now | {"issued": {"share": 7000, "accrueOn": "invoice"}}
    database["invoices"].insert_one(
        invoice(
            8,
            "BA-5",
            net=10000,
            total=10000,
            remaining=9000,
            state="partiallyPaid",
            tax_items=[tax_item("Z", "0", 10000, 0)],
            lines=[line("1", 10000, 0, "Z", "0", partner=part)],
            applied={"netting~C-6": 1000},
            buyerVersion=1,
            sellerVersion=2,
        )
    )
    on_5 = {"billingAccount": "BA-5"}
    database["payments"].insert_one(payment("netting~C-6", 1000, 0) | on_5 | {"source": "netting"})
    database["allocations"].insert_one(allocation(INV8, "netting~C-6", 1000, NETTING) | on_5)
    earned = accrual(f"{INV8}/1", "SA-6", 7000, "order.completed:O-8", "C-6")
    more = accrual(f"{INV8}/1/settlement.correct/AG-5/2/{INV8}", "SA-6", 1000, CORRECT8, "C-6")
    more |= {"corrects": f"{INV8}/1"}
    adjusted = adjustment("A-4", "SA-6", 500, "C-7")
    database["accruals"].insert_many([earned, more, adjusted])
    kept, undone = ({"rate": "0.15", "base": base, "amount": tax} for base, tax in ((3429, 542), (2285, 362)))
    sixth = statement("C-6", "SA-6", [earned, more], state="partiallyPaid", paid=4000, brought=None)
    seventh = statement("C-7", "SA-6", [adjusted], state="open", brought=None)
    # Of the 40.00 that are left 12.66 less 5.42 are withheld.
    again = {"id": "C-6-r2", "number": 2, "amount": 4000, "netted": 0, "taxWithheld": 724, "rate": "0.15"}
    first = {"id": "C-7", "number": 1, "amount": 500, "netted": 0, "taxWithheld": 0, "rate": None}
    database["settlements"].insert_many(
        [
            sixth | {"withholding": withholding, "netted": 1000, "withheld": [kept], "request": again},
            seventh | {"request": first},
        ]
    )
    told: Document = {"account": "SA-6", "routingKey": "payout.requested", "bookedAt": BOOKED, "sentAt": BOOKED}
    database["outbox"].insert_many([{"_id": f"SA-6:{n}", "sequence": n, **told} for n in (1, 2, 3)])
    on_sixth: Document = {"settlementAccount": "SA-6", "settlementId": "C-6", "currency": "EUR", "bookedAt": BOOKED}
    came_back = {"returnId": "PR-3", "returnedAt": BOOKED, "reason": "AC04", "bookedAt": BOOKED}
    database["payouts"].insert_many(
        [
            {"_id": "PO-3", "amount": 3000, **on_sixth, "withheld": kept},
            {"_id": "PO-4", "amount": 2000, **on_sixth, "withheld": undone, "returned": came_back},
        ]
    )
    database["earnings"].insert_one(earnings("SA-6", 8500))
    database["entries"].insert_many(
        [
            entry(
                "order.completed:O-8",
                posting("receivable:BA-5", 10000, 1),
                posting("payable:SA-6", -7000, 1),
                posting("commission", -3000),
            ),
            entry(CORRECT8, posting("commission", 1000), posting("payable:SA-6", -1000, 2)),
            entry(NETTING, posting("payable:SA-6", 1000, 3), posting("receivable:BA-5", -1000, 2)),
            entry(
                "payout.completed:PO-3",
                posting("payable:SA-6", 3000, 4),
                posting("cash", -2458),
                posting("taxWithheld", -542),
            ),
            entry(
                "payout.completed:PO-4",
                posting("payable:SA-6", 2000, 5),
                posting("cash", -1638),
                posting("taxWithheld", -362),
            ),
            entry(
                "payout.returned:PR-3",
                posting("cash", 1638),
                posting("taxWithheld", 362),
                posting("payable:SA-6", -2000, 6),
            )
            | {"reverses": "payout.completed:PO-4", "reason": "AC04"},
            entry("settlement.adjust:A-4", posting("commission", 500), posting("payable:SA-6", -500, 7)),
        ]
    )
    database["positions"].insert_many(
        [
            position("BA-5", 0, 2, receivable=9000, oldestDue="2026-12-28"),
            position("SA-6", 3, 7, payable=4500, agreements=2),
        ]
    )


def report_statements(database: Books) -> None:
    """Write two reports of C-3, the later of which stands, and one of C-2 that agrees."""
    on_third: Document = {"settlementId": "C-3", "settlementAccount": "SA-2", "currency": "EUR", "tolerance": 2}
    differs = {"orderId": "O-1", "billNo": "INV-000000001", "lineId": "3", "outcome": "different", "ours": 700}
    missing = {"orderId": "O-99", "billNo": None, "lineId": "1", "outcome": "missingHere", "theirs": 400}
    agrees = {"orderId": "O-1", "billNo": "INV-000000001", "lineId": "2", "outcome": "agreed", "ours": 638}
    database["statementReports"].insert_many(
        [
            {"_id": "RP-1", **on_third, "lines": [differs | {"theirs": 705}], "bookedAt": BOOKED + timedelta(days=1)},
            {
                "_id": "RP-2",
                **on_third,
                "lines": [differs | {"theirs": 705}, missing],
                "bookedAt": BOOKED + timedelta(days=2),
            },
            {
                "_id": "RP-3",
                **on_third,
                "settlementId": "C-2",
                "settlementAccount": "SA-1",
                "lines": [agrees | {"theirs": 637}],
                "bookedAt": BOOKED + timedelta(days=1),
            },
        ]
    )


def dispute_and_write_off(database: Books) -> None:
    """Write what happened to O-7: of D-2 20.00 were approved, W-1 gave up 60.00 of the rest, and D-1 is open.

    Of 36.00 tax W-1 relieves us of round(36.00 x 60 / 216) = 10.00, and SA-4, whose share of 70.00 waits for the
    payment, gets round(70.00 x 60 / 216) = 19.44 less.
    """
    bill, of_it = "INV-000000007", {"billNo": "INV-000000007", "billingAccount": "BA-4"}
    settling, write_off = "dispute.settle:D-2", "invoice.write-off:W-1"
    database["invoices"].insert_one(
        invoice(
            7,
            "BA-4",
            net=20000,
            total=24000,
            remaining=15600,
            state="onHold",
            tax_items=[tax_item("S", "0.2", 20000, 4000)],
            lines=[line("1", 10000, 2000), line("2", 10000, 2000, partner=partner("SA-4", "payment", 7000, 0))],
            applied={},
            buyerVersion=1,
            sellerVersion=2,
        )
        | {
            "corrections": {
                "credited": 2400,
                "writeOffs": [{"writeOffId": "W-1", "amount": 6000, "taxRelief": True}],
                "lines": [
                    {"lineId": "1", "credited": 2000, "givenUp": 0},
                    {"lineId": "2", "credited": 0, "givenUp": 1944},
                ],
                "tax": [{"category": "S", "rate": "0.2", "credited": 400, "relieved": 1000}],
            },
            "handling": {
                "validatedAt": None,
                "validatedBy": None,
                "sentAt": BOOKED,
                "medium": None,
                "disputes": [{"disputeId": "D-1", "amount": 6000}],
            },
        }
    )
    database["creditNotes"].insert_one(
        {
            "_id": "D-2",
            "billNo": "CN-000000002",
            "correctedBillNo": bill,
            "billingAccount": "BA-4",
            "currency": "EUR",
            "billDate": "2026-11-28",
            "issuedAt": BOOKED,
            "bookedAt": BOOKED,
            "cause": settling,
            "reason": "never came",
            "taxExcludedAmount": 2000,
            "taxIncludedAmount": 2400,
            "taxItem": [tax_item("S", "0.2", 2000, 400)],
            "lines": [note_line("1", 2000, 400)],
            "covered": 2400,
            "recovered": 0,
            "excess": "credit",
            "deallocated": [],
            "reserved": [],
            "buyerVersion": 1,
            "sellerVersion": 2,
        }
    )
    written = {"currency": "EUR", "amount": 6000, "taxRelief": True, "writtenOffAt": BOOKED, "reason": "insolvent"}
    database["writeOffs"].insert_one({"_id": "W-1", **of_it, **written, "bookedAt": BOOKED})
    lost = {"writtenOff": 6000, "relieved": 1000, "givenUp": 1944, "cause": write_off, "bookedAt": BOOKED}
    database["losses"].insert_one({"_id": f"{bill}/invoice.write-off/W-1", **of_it, **lost})
    opened = {**of_it, "currency": "EUR", "openedAt": BOOKED, "bookedAt": BOOKED, "reason": "never came"}
    database["disputes"].insert_many(
        [
            {
                "_id": "D-1",
                **opened,
                "state": "open",
                "lines": [{"lineId": "1", "taxExcludedAmount": 5000, "approved": 0, "counted": 5000}],
                "amount": 6000,
                "endedAt": None,
                "endedBookedAt": None,
                "creditNote": None,
            },
            {
                "_id": "D-2",
                **opened,
                "state": "settled",
                "lines": [{"lineId": "1", "taxExcludedAmount": 3000, "approved": 2000}],
                "amount": 3600,
                "endedAt": BOOKED,
                "endedBookedAt": BOOKED,
                "creditNote": "CN-000000002",
            },
        ]
    )
    database["entries"].insert_many(
        [
            entry(
                "order.completed:O-7",
                posting("receivable:BA-4", 24000, 1),
                posting("revenue", -10000),
                posting("withheld:SA-4", -7000, 1),
                posting("commission", -3000),
                posting("tax", -4000, category="S", rate="0.2"),
            ),
            entry(
                settling,
                posting("receivable:BA-4", -2400, 2),
                posting("revenue", 2000),
                posting("tax", 400, category="S", rate="0.2"),
            )
            | {"reverses": "order.completed:O-7", "reason": "never came"},
            entry(
                write_off,
                posting("badDebt", 3056),
                posting("tax", 1000, category="S", rate="0.2"),
                posting("withheld:SA-4", 1944, 2),
                posting("receivable:BA-4", -6000, 3),
            )
            | {"reason": "insolvent"},
        ]
    )
    database["positions"].insert_many(
        [
            position("BA-4", 0, 3, receivable=15600, oldestDue="2026-12-28"),
            position("SA-4", 0, 2, withheld=5056, withholding=1),
        ]
    )
    database["inbox"].insert_many(
        [{"_id": f"dispute.open:{name}", "digest": "d", "appliedAt": BOOKED} for name in ("D-1", "D-2")]
    )


def audited(books: Books, by: Callable[..., Document] = quick_audit, **options: Any) -> Document:
    """The audit's report, as the command prints it."""
    report = by(books, now=NOW, relay_interval_seconds=5, **options)
    plain: Document = json.loads(json.dumps(report))
    return plain


def red(report: Document) -> set[str]:
    """The names of the checks that are not ok."""
    return {check["name"] for check in report["checks"] if not check["ok"]}


def test_correct_books_are_ok(books: Books) -> None:
    """Correct books pass every check, and each check says how many things it looked at."""
    report = audited(books)
    assert report["ok"], [check for check in report["checks"] if not check["ok"]]
    checked = {check["name"]: check["checked"] for check in report["checks"]}
    assert checked == {
        "entries-balance": 40,
        "journal-balances": 1,
        "postings-well-formed": 40,
        "positions-match-postings": 88,
        "movements-run-without-gap": 11,
        "oldest-due-matches-open-invoices": 11,
        "invoices-add-up": 8,
        "invoices-are-in-one-name": 8,
        "remaining-is-what-is-left": 8,
        "invoice-states-fit": 8,
        "open-invoices-match-receivable": 11,
        "applied-payments-match-allocations": 6,
        "losses-match-corrections": 2,
        "write-offs-match-losses": 1,
        "relieved-tax-is-that-of-write-offs": 2,
        "disputes-match-invoices": 2,
        "disputed-is-that-of-lines": 1,
        "approved-is-credited": 2,
        "notes-take-back-what-is-the-sellers": 0,
        "notes-add-up": 2,
        "credited-matches-notes": 2,
        "notes-are-in-their-invoices-names": 2,
        "credited-lines-match-notes": 4,
        "credited-tax-matches-notes": 2,
        "credited-within-lines": 2,
        "credited-tax-is-that-of-credited-nets": 2,
        "subscriptions-are-what-was-agreed": 0,
        "subscription-revisions-are-patches": 0,
        "live-subscriptions-are-open": 0,
        "changed-subscriptions-are-due": 0,
        "usage-is-counted-by-day": 0,
        "usage-is-numbered-by-month": 0,
        "lines-of-prices-match-periods": 0,
        "periods-are-taken-back-once": 0,
        "billed-is-what-is-charged": 0,
        "charged-is-what-was-agreed": 0,
        "charged-adds-up": 0,
        "minimums-are-what-is-missing": 0,
        "counted-usage-is-kept": 0,
        "what-fell-due-is-billed": 0,
        "bill-runs-count-accounts": 0,
        "bill-runs-bill-up-to-their-date": 0,
        "bill-runs-add-up": 0,
        "taken-back-matches-bills": 4,
        "taken-back-tax-matches-bills": 2,
        "charges-match-lines": 0,
        "charges-are-billed-once": 0,
        "charges-match-notes": 0,
        "dunning-levels-are-of-what-is-owed": 0,
        "dunning-charges-are-of-steps": 0,
        "receivable-matches-invoices": 40,
        "income-matches-invoices": 40,
        "allocations-within-invoices": 8,
        "payments-cover-what-is-due-first": 0,
        "allocations-within-payments": 9,
        "unapplied-is-what-is-left": 9,
        "credit-matches-unapplied": 11,
        "no-credit-beside-open-invoice": 11,
        "notes-match-deallocations": 2,
        "refundable-matches-notes": 11,
        "reserved-is-what-was-not-given-back": 2,
        "refunds-add-up": 3,
        "reversals-add-up": 2,
        "refunds-match-deallocations": 5,
        "recoverable-matches-refunds": 11,
        "undoing-is-what-can-be-undone": 11,
        "goodwill-is-credit": 1,
        "transfers-add-up": 1,
        "transferred-is-credit": 1,
        "transferred-parts-are-counted": 1,
        "cash-matches-payments": 40,
        "accrued-follows-terms": 8,
        "payable-matches-accruals": 11,
        "withheld-matches-shares": 11,
        "reserve-matches-reserves": 11,
        "advance-matches-advances": 11,
        "lines-match-accruals": 7,
        "commissions-match-accruals": 7,
        "commissions-are-of-one-tax": 0,
        "agents-shares-are-what-is-left": 0,
        "commissions-follow-terms": 0,
        "accruals-in-one-statement": 18,
        "statement-lines-match-accruals": 13,
        "statements-add-up": 7,
        "statements-carried-forward-once": 7,
        "statements-match-payouts": 7,
        "returns-reverse-their-payouts": 2,
        "payouts-within-statements": 7,
        "statement-states-fit": 7,
        "statements-are-of-their-periods": 7,
        "requests-are-of-what-is-left": 2,
        "requests-withhold-by-their-rates": 2,
        "thresholds-are-not-reached": 1,
        "agreements-follow-each-other": 6,
        "agreements-have-their-days": 6,
        "positions-match-agreements": 5,
        "reports-match-statements": 3,
        "outcomes-follow-figures": 4,
        "disputed-is-what-reports-leave": 1,
        "statements-name-their-latest-reports": 2,
        "reports-point-to-statements": 2,
        "reports-match-inbox": 3,
        "lines-match-agreements": 4,
        "closings-add-their-steps": 1,
        "steps-are-worked-out": 5,
        "reserves-match-holdbacks": 1,
        "reserves-match-releases": 1,
        "held-reserves-are-due": 1,
        "earnings-match-statements": 4,
        "guaranteed-matches-statements": 1,
        "guarantees-top-up": 1,
        "advances-match-agreements": 6,
        "advances-within-agreed": 1,
        "tier-periods-match-lines": 2,
        "tier-periods-match-true-ups": 2,
        "tier-periods-come-to-what-is-due": 2,
        "tier-periods-match-agreements": 2,
        "shares-follow-tiers": 2,
        "freed-nets-follow-payments": 1,
        "true-ups-follow-tiers": 0,
        "shares-left-follow-what-is-credited": 2,
        "payable-entries-match-accruals": 40,
        "steps-are-posted": 40,
        "withholding-matches-lines": 11,
        "closing-cycles-are-scheduled": 1,
        "closings-at-period-ends": 1,
        "days-run-without-gap": 1,
        "calendar-tells-days-begun": 1,
        "days-match-inbox": 4,
        "subscription-turns-are-to-come": 0,
        "subscriptions-match-inbox": 0,
        "usage-matches-inbox": 0,
        "bill-runs-match-inbox": 0,
        "bill-runs-leave-nothing": 0,
        "bills-say-their-run": 0,
        "bills-match-demands": 0,
        "charges-match-inbox": 0,
        "dunning-levels-match-positions": 0,
        "dunning-steps-were-taken": 0,
        "dunning-steps-match-inbox": 0,
        "dunning-is-as-of-its-last-step": 0,
        "dunned-days-match-inbox": 0,
        "dunning-suspensions-match-subscriptions": 0,
        "dunning-suspends-while-its-steps-stand": 0,
        "entries-match-inbox": 40,
        "documents-match-inbox": 40,
        "statements-match-inbox": 7,
        "held-or-applied": 4,
        "held-states-legal": 4,
        "held-at-rest-or-due": 4,
        "values-are-what-their-ids-say": 0,
        "versions-run-without-gap": 11,
        "last-versions-match-accounts": 11,
        "snapshots-match-versions": 11,
        "states-follow-each-other": 11,
        "revisions-count-commands": 11,
        "versions-match-commands": 11,
        "closings-by-themselves-follow-facts": 0,
        "account-states-legal": 11,
        "closed-accounts-have-nothing-open": 0,
        "accounts-to-close-have-something-open": 0,
        "deleted-accounts-were-never-posted-to": 0,
        "accounts-json-is-what-they-say": 11,
        "large-documents-match-last-versions": 0,
        "specification-states-legal": 0,
        "specifications-match-inbox": 0,
        "seller-versions-run-without-gap": 1,
        "last-version-is-the-seller": 1,
        "seller-versions-match-inbox": 2,
        "dunning-steps-are-told-once": 0,
        "overdue-invoices-are-told-once": 0,
        "payments-are-requested-once": 0,
        "payouts-are-requested-once": 1,
        "specification-events-run-without-gap": 0,
        "seller-events-match-versions": 2,
        "event-sequences-run-without-gap": 11,
        "outbox-rows-sent-young-or-parked": 15,
        "events-say-whose-they-are": 15,
        "invoice-numbers-run-without-gap": 2,
        "numbers-are-of-their-sellers-series": 2,
        "partners-series-are-their-own": 0,
        "facts-make-one-invoice-a-seller": 0,
        "postings-have-positions": 20,
        "accounts-have-positions": 11,
        "reversals-point-to-entries": 6,
        "allocations-point-to-invoices": 5,
        "billing-documents-have-positions": 5,
        "allocations-point-to-payments": 5,
        "accruals-point-to-lines": 6,
        "payouts-point-to-statements": 2,
        "brought-forward-points-to-statements": 7,
        "partner-documents-have-positions": 6,
        "steps-point-to-agreements": 1,
        "notes-point-to-invoices": 2,
        "notes-have-positions": 2,
        "subscriptions-have-positions": 0,
        "usage-points-to-subscriptions": 0,
        "periods-point-to-subscriptions": 0,
        "charges-have-positions": 0,
        "charges-are-reached-by-bills": 0,
        "requests-are-answered-by-payments": 0,
        "dunned-subscriptions-are-suspended": 0,
        "dunning-has-positions": 0,
        "acts-point-to-messages": 2,
        "held-bodies-whole": 1,
        "values-referred-to-are-there": 0,
        "financial-account-is-its-reference": 11,
        "links-match-references": 0,
        "links-well-formed": 0,
        "references-point-to-what-is-there": 0,
        "payers-and-financial-accounts-fit": 0,
        "one-payer-and-one-parent-at-a-time": 0,
        "no-account-is-above-itself": 0,
        "invoices-point-to-billing-accounts": 5,
        "invoices-name-seller-versions": 3,
        "seller-versions-rise-with-numbers": 4,
        "invoices-name-buyer-versions": 5,
        "events-have-positions": 5,
        "statements-match-netting": 7,
        "statements-match-withheld": 1,
        "corrections-match-accruals": 1,
        "agreements-match-backdatings": 1,
        "lines-have-the-terms-of-their-days": 5,
        "what-is-taken-back-has-its-lines-terms": 0,
        "thresholds-are-those-agreed": 7,
        "tax-is-withheld-as-agreed": 7,
        "held-back-as-agreed": 1,
        "backdatings-match-corrections": 1,
        "lines-name-what-corrects-them": 0,
        "documents-post-their-taxes": 0,
        "periods-come-to-what-is-agreed": 1,
        "tier-periods-have-their-days": 2,
        "documents-match-statements": 0,
        "documents-match-rows": 0,
        "statements-documents-match-rows": 0,
        "notes-name-what-they-correct": 0,
        "commission-is-charged-with-its-tax": 0,
        "document-lines-match-rows": 0,
        "document-lines-are-as-agreed": 0,
        "documents-add-up": 0,
        "documents-tax-their-nets": 0,
        "documents-are-credited-by-notes": 0,
        "notes-within-documents": 0,
        "open-documents-have-something-left": 0,
        "fees-are-charged-once": 0,
        "disputed-documents-hold-statements": 0,
        "what-is-held-is-brought-forward": 0,
        "self-billed-tax-is-brought-forward": 7,
        "documents-point-to-statements": 0,
        "rows-point-to-documents": 0,
        "notes-point-to-documents": 0,
        "input-tax-matches-documents": 40,
    }


def test_an_empty_database_is_ok(database: Books) -> None:
    """Before the first message there is nothing, and nothing is wrong with that."""
    report = audited(database)
    assert report["ok"]
    assert {check["checked"] for check in report["checks"]} == {0}


@dataclass(frozen=True)
class Mutation:
    """One way to break the books, and the checks that must see it; all others must stay green."""

    name: str
    breaks: Callable[[Books], object]
    seen_by: set[str]


def changing(collection: str, key: Any, **fields: Any) -> Callable[[Books], object]:
    """Sets fields of one document; `__` in a name stands for the dot of a path."""
    change = {"$set": {name.replace("__", "."): value for name, value in fields.items()}}

    def breaks(books: Books) -> None:
        assert books[collection].update_one({"_id": key}, change).modified_count == 1

    return breaks


def unsetting(collection: str, key: Any, field: str) -> Callable[[Books], object]:
    """Takes a field out of one document."""

    def breaks(books: Books) -> None:
        assert books[collection].update_one({"_id": key}, {"$unset": {field: ""}}).modified_count == 1

    return breaks


def adding(collection: str, key: Any, **amounts: int) -> Callable[[Books], object]:
    """Adds to amounts of one document."""
    change = {"$inc": {name.replace("__", "."): amount for name, amount in amounts.items()}}

    def breaks(books: Books) -> None:
        assert books[collection].update_one({"_id": key}, change).modified_count == 1

    return breaks


def pushing(collection: str, key: Any, **elements: Any) -> Callable[[Books], object]:
    """Appends to arrays of one document."""

    def breaks(books: Books) -> None:
        assert books[collection].update_one({"_id": key}, {"$push": elements}).modified_count == 1

    return breaks


def losing(collection: str, key: Any) -> Callable[[Books], object]:
    """Deletes one document."""

    def breaks(books: Books) -> None:
        assert books[collection].delete_one({"_id": key}).deleted_count == 1

    return breaks


def copying(collection: str, key: Any, **fields: Any) -> Callable[[Books], object]:
    """Inserts a copy of one document, with other fields, `_id` (as `id_`) among them."""

    def breaks(books: Books) -> None:
        copy = books[collection].find_one({"_id": key})
        assert copy is not None
        copy["_id"] = fields["id_"]
        books[collection].insert_one(copy | {name: value for name, value in fields.items() if name != "id_"})

    return breaks


def renaming(collection: str, key: Any, name: Any) -> Callable[[Books], object]:
    """Gives one document another `_id`."""
    return all_of(copying(collection, key, id_=name), losing(collection, key))


def all_of(*steps: Callable[[Books], object]) -> Callable[[Books], object]:
    """Does one thing after the other."""

    def breaks(books: Books) -> None:
        for step in steps:
            step(books)

    return breaks


INV5, INV6, INV7 = "INV-000000005", "INV-000000006", "INV-000000007"
W1 = f"{INV7}/invoice.write-off/W-1"
O1, O2, O3, P1 = "order.completed:O-1", "order.completed:O-2", "order.completed:O-3", "payment.received:P-1"
INV1, INV2, INV3, INV4 = (f"INV-{n:09d}" for n in (1, 2, 3, 4))

NOT_STATED = f"{INV2}/2/P-2"
OF_C4 = "settlement.close/C-4"
ADJUSTED1, ADJUSTED2 = "settlement.adjust/A-1", "settlement.adjust/A-2"
CONFLICT = "order.completed:O-1#abc"

# What sees an amount that is wrong in one collection: what is held against it by its cause, and by what it belongs to.
ALLOCATION_CHECKS = {
    "remaining-is-what-is-left",
    "applied-payments-match-allocations",
    "unapplied-is-what-is-left",
    "receivable-matches-invoices",
    "cash-matches-payments",
}
ACCRUAL_CHECKS = {"payable-matches-accruals", "lines-match-accruals", "payable-entries-match-accruals"}
SELLER_CHECKS = {"seller-versions-run-without-gap", "last-version-is-the-seller"}
PAYOUT_CHECKS = {
    "statements-match-payouts",
    "payable-matches-accruals",
    "cash-matches-payments",
    "payable-entries-match-accruals",
}


def pay(
    books: Books, payment_id: str, amount: int, account: str = "BA-1", session: ClientSession | None = None
) -> None:
    """Book a payment that becomes credit, in every place where a payment is."""
    found = books["positions"].find_one_and_update(
        {"_id": account}, {"$inc": {"unapplied": amount, "movements": 1}}, session=session
    )
    assert found is not None
    moved = found["movements"] + 1
    identity = f"payment.received:{payment_id}"
    books["payments"].insert_one(payment(payment_id, amount, amount) | {"billingAccount": account}, session=session)
    books["inbox"].insert_one({"_id": identity, "digest": "d", "appliedAt": BOOKED}, session=session)
    books["entries"].insert_one(
        entry(identity, posting("cash", amount), posting(f"unapplied:{account}", -amount, moved)), session=session
    )


def state_again(books: Books) -> None:
    """Put SA-1's accrual, which is in C-2, on a statement of its own as well, paid by nothing."""
    accrued = books["accruals"].find_one({"_id": f"{INV1}/2"})
    assert accrued is not None
    books["settlements"].insert_one(statement("C-9", "SA-1", [accrued], state="open", brought=None))
    books["inbox"].insert_one({"_id": "settlement.close:C-9", "digest": "d", "appliedAt": BOOKED})


MUTATIONS: list[Mutation] = [
    # -- 1: the journal
    Mutation(
        "posting-off",
        adding("entries", O1, postings__1__amount=1),
        {"entries-balance", "journal-balances", "income-matches-invoices"},
    ),
    Mutation(
        "two-entries-off-that-cancel",
        all_of(adding("entries", O1, postings__1__amount=1), adding("entries", O2, postings__2__amount=-1)),
        {"entries-balance", "income-matches-invoices"},
    ),
    Mutation(
        "two-currencies-that-sum-to-zero",
        changing("entries", P1, postings__0__currency="USD"),
        {"entries-balance", "journal-balances"},
    ),
    Mutation("posting-not-whole", changing("entries", P1, postings__0__amount=3000.0), {"postings-well-formed"}),
    Mutation(
        "posting-on-no-known-account",
        changing("entries", P1, postings__0__account="bank"),
        {"postings-well-formed", "cash-matches-payments"},
    ),
    Mutation("posting-of-nothing", pushing("entries", P1, postings=posting("revenue", 0)), {"postings-well-formed"}),
    Mutation("movement-on-cash", changing("entries", P1, postings__0__movement=1), {"postings-well-formed"}),
    Mutation(
        "movement-not-there",
        changing("entries", O3, postings__0__movement=None),
        {"postings-well-formed", "movements-run-without-gap"},
    ),
    Mutation(
        "two-movements-of-one-position",
        changing("entries", O2, postings__1__movement=5),
        {"postings-well-formed", "movements-run-without-gap"},
    ),
    # -- 2: positions
    Mutation(
        "receivable-off",
        adding("positions", "BA-2", receivable=1),
        {"positions-match-postings", "open-invoices-match-receivable"},
    ),
    Mutation(
        "unapplied-off",
        adding("positions", "SA-1", unapplied=1),
        {"positions-match-postings", "credit-matches-unapplied"},
    ),
    Mutation(
        "payable-off", adding("positions", "SA-1", payable=1), {"positions-match-postings", "payable-matches-accruals"}
    ),
    Mutation(
        "withheld-off", adding("positions", "SA-2", withheld=1), {"positions-match-postings", "withheld-matches-shares"}
    ),
    Mutation(
        "balance-without-postings",
        adding("positions", "BA-2", withheld=1),
        {"positions-match-postings", "withheld-matches-shares"},
    ),
    Mutation(
        "posted-to-another-position",
        changing("entries", O3, postings__0__account="receivable:BA-1", postings__0__movement=5),
        {"positions-match-postings", "movements-run-without-gap"},
    ),
    Mutation("movement-twice", changing("entries", P1, postings__1__movement=3), {"movements-run-without-gap"}),
    Mutation(
        "movement-left-out",
        changing("entries", O2, postings__0__movement=5, postings__1__movement=5),
        {"movements-run-without-gap"},
    ),
    Mutation("movements-miscounted", adding("positions", "SA-1", movements=1), {"movements-run-without-gap"}),
    # -- 3: invoices
    Mutation(
        "net-of-line-off",
        adding("invoices", INV3, lines__0__taxExcludedAmount=1),
        {"invoices-add-up", "income-matches-invoices"},
    ),
    Mutation(
        "tax-of-line-off",
        adding("invoices", INV3, lines__0__taxAmount=1),
        {"invoices-add-up", "income-matches-invoices"},
    ),
    Mutation("tax-item-off", adding("invoices", INV3, taxItem__0__taxAmount=1), {"invoices-add-up"}),
    Mutation("tax-item-of-another-rate", changing("invoices", INV2, taxItem__0__rate="0.3"), {"invoices-add-up"}),
    Mutation(
        "total-off",
        adding("invoices", INV3, taxIncludedAmount=1),
        {"invoices-add-up", "receivable-matches-invoices", "remaining-is-what-is-left"},
    ),
    Mutation(
        "total-and-remaining-off",
        adding("invoices", INV3, taxIncludedAmount=1, remainingAmount=1),
        {"invoices-add-up", "receivable-matches-invoices", "open-invoices-match-receivable"},
    ),
    Mutation(
        "remaining-off",
        adding("invoices", INV2, remainingAmount=1),
        {"remaining-is-what-is-left", "open-invoices-match-receivable", "accrued-follows-terms"},
    ),
    Mutation("open-called-settled", changing("invoices", INV3, state="settled"), {"invoice-states-fit"}),
    Mutation("partially-paid-called-new", changing("invoices", INV2, state="new"), {"invoice-states-fit"}),
    Mutation("paid-called-partially-paid", changing("invoices", INV1, state="partiallyPaid"), {"invoice-states-fit"}),
    Mutation("zero-called-new", changing("invoices", INV4, state="new"), {"invoice-states-fit"}),
    Mutation(
        "applied-payment-off",
        adding("invoices", INV1, appliedPayment__0__amount=1),
        {"applied-payments-match-allocations"},
    ),
    Mutation(
        "applied-payment-not-shown",
        changing("invoices", INV2, appliedPayment=[]),
        {"applied-payments-match-allocations"},
    ),
    Mutation(
        "applied-payment-shown-twice",
        pushing("invoices", INV2, appliedPayment={"paymentId": "P-2", "amount": 0}),
        {"applied-payments-match-allocations"},
    ),
    Mutation(
        "posting-on-receivable-and-unapplied-swapped",
        all_of(adding("entries", O2, postings__0__amount=1), adding("entries", O2, postings__1__amount=-1)),
        {"receivable-matches-invoices", "cash-matches-payments", "positions-match-postings"},
    ),
    Mutation(
        "income-of-the-wrong-kind",
        all_of(adding("entries", O2, postings__2__amount=1), adding("entries", O2, postings__3__amount=-1)),
        {"income-matches-invoices"},
    ),
    # -- 4: allocations and credit
    Mutation(
        "allocation-beyond-its-payment",
        adding("allocations", f"{INV2}/P-2", amount=1),
        ALLOCATION_CHECKS | {"allocations-within-payments"},
    ),
    Mutation(
        "allocation-beyond-its-invoice",
        all_of(adding("allocations", f"{INV1}/P-2", amount=1000), adding("payments", "P-2", amount=1000)),
        (ALLOCATION_CHECKS - {"unapplied-is-what-is-left"}) | {"allocations-within-invoices"},
    ),
    Mutation("allocation-off", adding("allocations", f"{INV1}/P-1", amount=-1), ALLOCATION_CHECKS),
    Mutation(
        "allocation-lost",
        losing("allocations", f"{INV2}/P-2"),
        ALLOCATION_CHECKS | {"invoice-states-fit"},
    ),
    Mutation(
        "credit-left-off",
        adding("payments", "P-1", unapplied=1),
        {"unapplied-is-what-is-left", "credit-matches-unapplied", "no-credit-beside-open-invoice"},
    ),
    Mutation(
        "payment-off", adding("payments", "P-1", amount=1), {"unapplied-is-what-is-left", "cash-matches-payments"}
    ),
    Mutation("credit-beside-open-invoice", lambda books: pay(books, "P-50", 100), {"no-credit-beside-open-invoice"}),
    # -- 5: partners
    Mutation("accrual-off", adding("accruals", NOT_STATED, amount=1), ACCRUAL_CHECKS),
    Mutation(
        "stated-accrual-off",
        adding("accruals", f"{INV1}/2", amount=1),
        ACCRUAL_CHECKS | {"statement-lines-match-accruals"},
    ),
    Mutation("accrual-lost", losing("accruals", NOT_STATED), ACCRUAL_CHECKS),
    Mutation(
        "stated-accrual-lost",
        losing("accruals", f"{INV1}/2"),
        ACCRUAL_CHECKS | {"statement-lines-match-accruals", "accruals-in-one-statement"},
    ),
    Mutation(
        "accrued-of-line-off",
        adding("invoices", INV2, lines__1__onBehalfOf__accrued=1),
        {"accrued-follows-terms", "lines-match-accruals", "withheld-matches-shares"},
    ),
    Mutation(
        "share-withheld-off",
        adding("invoices", INV2, lines__1__onBehalfOf__share=1),
        {"withheld-matches-shares", "income-matches-invoices", "payable-entries-match-accruals"},
    ),
    Mutation(
        "share-off",
        adding("invoices", INV3, lines__1__onBehalfOf__share=-1),
        {"accrued-follows-terms", "income-matches-invoices", "tier-periods-match-lines"},
    ),
    Mutation(
        "accrual-of-another-partner",
        changing("accruals", NOT_STATED, settlementAccount="SA-1"),
        {"payable-matches-accruals", "accruals-point-to-lines"},
    ),
    Mutation(
        "accrual-not-in-its-statement",
        changing("accruals", NOT_STATED, settlementId="C-3"),
        {"accruals-in-one-statement"},
    ),
    Mutation(
        "statement-not-in-its-accrual",
        changing("accruals", f"{INV1}/2", settlementId=None),
        {"accruals-in-one-statement"},
    ),
    Mutation(
        "another-statement-in-the-accrual",
        changing("accruals", f"{INV1}/2", settlementId="C-1"),
        {"accruals-in-one-statement"},
    ),
    Mutation("accrual-in-two-statements", state_again, {"accruals-in-one-statement", "earnings-match-statements"}),
    Mutation(
        "statement-line-off",
        adding("settlements", "C-3", lines__0__amount=1),
        {
            "statement-lines-match-accruals",
            "statements-add-up",
            "earnings-match-statements",
            "reports-match-statements",
        },
    ),
    Mutation("statement-total-off", adding("settlements", "C-3", total=1), {"statements-add-up"}),
    Mutation(
        "brought-forward-from-nowhere", adding("settlements", "C-3", broughtForward=5, total=5), {"statements-add-up"}
    ),
    Mutation(
        "brought-forward-off",
        all_of(
            adding("settlements", "C-2", broughtForward=-1, total=-1),
            adding("positions", "SA-1", carriedForward__amount=-1),
        ),
        {"statements-carried-forward-once"},
    ),
    Mutation(
        "brought-forward-twice",
        changing("positions", "SA-2", carriedForward={"settlementId": "C-1", "amount": -720}),
        {"statements-carried-forward-once"},
    ),
    Mutation(
        "carried-forward-forgotten",
        changing("positions", "SA-1", carriedForward=None),
        {"statements-carried-forward-once"},
    ),
    Mutation(
        "carried-forward-to-another-partner",
        all_of(
            changing("positions", "SA-1", carriedForward=None),
            changing("positions", "SA-2", carriedForward={"settlementId": "C-2", "amount": -82}),
        ),
        {"statements-carried-forward-once"},
    ),
    Mutation(
        "carried-forward-called-open",
        changing("settlements", "C-2", state="open"),
        {"statement-states-fit", "statements-carried-forward-once"},
    ),
    Mutation(
        "cycle-without-its-next-closing",
        changing("closingSchedules", "SA-1", queue=None, periodEnd=None),
        {"closing-cycles-are-scheduled"},
    ),
    Mutation(
        "next-closing-within-a-period",
        changing("closingSchedules", "SA-1", periodEnd="2026-12-29"),
        {"closings-at-period-ends"},
    ),
    Mutation("partially-paid-called-paid", changing("settlements", "C-3", state="paid"), {"statement-states-fit"}),
    Mutation("paid-of-statement-off", adding("settlements", "C-3", paid=1), {"statements-match-payouts"}),
    Mutation("payout-off", adding("payouts", "PO-1", amount=-1), PAYOUT_CHECKS),
    Mutation(
        "return-forgotten",
        changing("payouts", "PO-2", returned=None),
        PAYOUT_CHECKS | {"documents-match-inbox"},
    ),
    Mutation(
        "return-out-of-nothing",
        changing("payouts", "PO-1", returned={"returnId": "PR-2"}),
        PAYOUT_CHECKS | {"documents-match-inbox", "entries-match-inbox", "returns-reverse-their-payouts"},
    ),
    Mutation(
        "return-of-another-payout",
        changing("entries", RETURN1, reverses="payout.completed:PO-1"),
        {"returns-reverse-their-payouts"},
    ),
    Mutation(
        "carried-forward-below-no-threshold", changing("settlements", "C-5", threshold=None), {"statement-states-fit"}
    ),
    Mutation(
        "carried-forward-beyond-the-threshold",
        changing("settlements", "C-5", threshold=200),
        {"thresholds-are-not-reached", "thresholds-are-those-agreed"},
    ),
    Mutation("threshold-off", adding("settlements", "C-5", threshold=1), {"thresholds-are-those-agreed"}),
    Mutation(
        "paid-below-the-threshold",
        all_of(
            changing("settlements", "C-5", threshold=None, state="open"),
            changing("positions", "SA-5", carriedForward=None),
            # Else it might have been agreed just after the statement was made.
            changing("agreements", "AG-4", agreed__0__bookedAt=BOOKED - timedelta(hours=2)),
        ),
        {"thresholds-are-those-agreed"},
    ),
    Mutation(
        "step-stated-otherwise",
        changing("settlements", "C-4", lines__1__step__end="2026-11-29"),
        {"statement-lines-match-accruals"},
    ),
    Mutation(
        "recouped-of-another-base",
        all_of(
            adding("settlements", "C-4", lines__2__step__base=1),
            adding("accruals", f"{OF_C4}/recoupment", step__base=1),
        ),
        {"closings-add-their-steps"},
    ),
    Mutation(
        "held-back-at-another-rate",
        all_of(
            changing("settlements", "C-4", lines__3__step__rate="0.2"),
            changing("accruals", f"{OF_C4}/holdback", step__rate="0.2"),
            changing("reserves", "C-4", rate="0.2"),
        ),
        {"steps-are-worked-out", "held-back-as-agreed"},
    ),
    Mutation(
        "guaranteed-more-than-topped-up",
        all_of(
            adding("settlements", "C-4", lines__1__step__base=-1),
            adding("accruals", f"{OF_C4}/guarantee/AG-4/2026-11-01", step__base=-1),
        ),
        {"guarantees-top-up"},
    ),
    Mutation(
        "guaranteed-more-than-agreed",
        all_of(
            adding("settlements", "C-4", lines__1__step__of=1, lines__1__step__base=1),
            adding("accruals", f"{OF_C4}/guarantee/AG-4/2026-11-01", step__of=1, step__base=1),
        ),
        {"periods-come-to-what-is-agreed"},
    ),
    Mutation(
        "guaranteed-until-another-day",
        all_of(
            changing("settlements", "C-4", lines__1__step__end="2026-11-29"),
            changing("accruals", f"{OF_C4}/guarantee/AG-4/2026-11-01", step__end="2026-11-29"),
        ),
        {"periods-come-to-what-is-agreed"},
    ),
    Mutation(
        "held-back-until-another-day",
        all_of(
            changing("settlements", "C-4", lines__3__step__end="2026-12-31"),
            changing("accruals", f"{OF_C4}/holdback", step__end="2026-12-31"),
            changing("reserves", "C-4", releaseOn="2026-12-31"),
        ),
        {"held-back-as-agreed"},
    ),
    Mutation(
        "guaranteed-by-no-agreement",
        all_of(
            changing("settlements", "C-4", lines__1__step__agreement="AG-9"),
            changing("accruals", f"{OF_C4}/guarantee/AG-4/2026-11-01", step__agreement="AG-9"),
            changing("earnings", "SA-5/2026", guaranteed__0__agreement="AG-9"),
        ),
        {"steps-point-to-agreements"},
    ),
    Mutation(
        "guaranteed-forgotten", changing("earnings", "SA-5/2026", guaranteed=[]), {"guaranteed-matches-statements"}
    ),
    Mutation("earned-of-a-day-off", adding("earnings", "SA-2/2026", days__0__amount=1), {"earnings-match-statements"}),
    Mutation("earned-in-another-year", renaming("earnings", "SA-1/2026", "SA-1/2025"), {"earnings-match-statements"}),
    Mutation(
        "earned-twice-of-a-day",
        pushing("earnings", "SA-1/2026", days={"date": "2026-11-28", "amount": 0}),
        {"earnings-match-statements"},
    ),
    Mutation(
        "reserve-until-another-day", changing("reserves", "C-4", releaseOn="2026-12-02"), {"reserves-match-holdbacks"}
    ),
    Mutation(
        "reserve-since-another-day", changing("reserves", "C-4", heldOn="2026-11-29"), {"reserves-match-holdbacks"}
    ),
    Mutation(
        "released-on-another-day",
        changing("reserves", "C-4", releases__1__date="2026-12-02"),
        {"reserves-match-releases"},
    ),
    Mutation("released-reserve-in-the-queue", changing("reserves", "C-4", queue="held"), {"held-reserves-are-due"}),
    Mutation(
        "released-of-another-partner",
        all_of(
            changing("entries", "reserve.release:RR-1", postings__0__account="reserve:SA-2", postings__0__movement=10),
            changing("positions", "SA-2", reserve=-200, movements=10),
            changing("positions", "SA-5", reserve=200),
        ),
        {"reserve-matches-reserves"},
    ),
    Mutation(
        "recouped-of-another-partner",
        all_of(
            changing("entries", "settlement.close:C-4", postings__2__account="advance:SA-2", postings__2__movement=10),
            changing("positions", "SA-2", advance=-3000, movements=10),
            changing("positions", "SA-5", advance=3000),
        ),
        {"advance-matches-advances"},
    ),
    Mutation(
        "released-as-guaranteed",
        all_of(
            adding("entries", "settlement.close:C-4", postings__0__amount=1, postings__3__amount=-1),
            adding("entries", "reserve.release:RR-1", postings__0__amount=1),
            pushing("entries", "reserve.release:RR-1", postings=posting("guarantee", -1)),
        ),
        {"steps-are-posted"},
    ),
    Mutation("advanced-off", adding("agreements", "AG-4", advanced=1), {"advances-match-agreements"}),
    Mutation(
        "advanced-beyond-agreed",
        changing("agreements", "AG-4", agreed__0__closing__advance=2999),
        {"advances-within-agreed"},
    ),
    Mutation(
        "advance-by-no-agreement",
        changing("advances", "AV-1", agreement="AG-9"),
        {"advances-match-agreements", "steps-point-to-agreements"},
    ),
    Mutation(
        "netted-of-another-statement",
        all_of(
            adding("settlements", "C-6", netted=-100, paid=-100),
            adding("settlements", "C-7", netted=100, paid=100),
            changing("settlements", "C-7", state="partiallyPaid"),
        ),
        {"statements-match-netting", "requests-are-of-what-is-left", "requests-withhold-by-their-rates"},
    ),
    Mutation(
        "netting-of-no-statement",
        renaming("payments", "netting~C-6", "netting~C-9"),
        {
            "statements-match-netting",
            "allocations-point-to-payments",
            "unapplied-is-what-is-left",
            "documents-match-inbox",
            "entries-match-inbox",
            "payable-entries-match-accruals",
            "cash-matches-payments",
        },
    ),
    Mutation(
        "netting-not-booked",
        losing("entries", NETTING),
        {
            "entries-match-inbox",
            "positions-match-postings",
            "movements-run-without-gap",
            "receivable-matches-invoices",
            "payable-entries-match-accruals",
        },
    ),
    Mutation(
        "request-lost",
        unsetting("settlements", "C-7", "request"),
        {"payouts-are-requested-once"},
    ),
    Mutation(
        "requested-twice",
        changing("settlements", "C-7", request__number=2, request__id="C-7-r2"),
        {"payouts-are-requested-once", "requests-are-of-what-is-left"},
    ),
    Mutation("requested-off", adding("settlements", "C-7", request__amount=1), {"requests-are-of-what-is-left"}),
    Mutation("requested-less", adding("settlements", "C-7", request__amount=-1), {"requests-are-of-what-is-left"}),
    Mutation(
        "requested-under-another-id",
        changing("settlements", "C-6", request__id="C-6-r3"),
        {"requests-are-of-what-is-left"},
    ),
    Mutation(
        "requested-with-netting-of-nothing",
        changing("settlements", "C-7", request__amount=600, request__netted=100),
        {"requests-are-of-what-is-left"},
    ),
    Mutation(
        "request-called-paid", changing("settlements", "C-7", request__settled=500), {"requests-are-of-what-is-left"}
    ),
    Mutation(
        "request-withholds-less",
        adding("settlements", "C-6", request__taxWithheld=-1),
        {"requests-withhold-by-their-rates"},
    ),
    Mutation(
        "request-withholds-where-nothing-is",
        adding("settlements", "C-7", request__taxWithheld=1),
        {"requests-withhold-by-their-rates"},
    ),
    Mutation(
        "request-at-another-rate",
        changing("settlements", "C-6", request__rate="0.14"),
        {"requests-withhold-by-their-rates"},
    ),
    Mutation(
        "withheld-off",
        adding("settlements", "C-6", withheld__0__amount=1),
        {"statements-match-withheld", "requests-withhold-by-their-rates"},
    ),
    Mutation(
        "withheld-of-another-base",
        adding("settlements", "C-6", withheld__0__base=1),
        {"statements-match-withheld"},
    ),
    Mutation(
        "withheld-at-another-rate",
        all_of(
            changing("settlements", "C-6", withheld__0__rate="0.16"),
            changing("payouts", "PO-3", withheld__rate="0.16"),
        ),
        {"statements-match-withheld"},
    ),
    Mutation(
        "withheld-without-its-surcharge",
        changing("settlements", "C-6", withholding__surchargeOnTax=None),
        {"statements-match-withheld", "requests-withhold-by-their-rates", "tax-is-withheld-as-agreed"},
    ),
    Mutation(
        "tax-of-a-payout-off",
        all_of(adding("payouts", "PO-3", withheld__amount=5), adding("settlements", "C-6", withheld__0__amount=5)),
        {"statements-match-withheld", "cash-matches-payments", "requests-withhold-by-their-rates"},
    ),
    Mutation(
        "tax-posted-as-cash",
        adding("entries", "payout.completed:PO-3", postings__1__amount=-1, postings__2__amount=1),
        {"cash-matches-payments"},
    ),
    Mutation(
        "correction-accrued-otherwise",
        adding("shareCorrections", f"AG-5/2/{INV8}", lines__0__accrued=1),
        {"corrections-match-accruals", "backdatings-match-corrections"},
    ),
    Mutation(
        "correction-of-another-partner",
        changing("shareCorrections", f"AG-5/2/{INV8}", settlementAccount="SA-1"),
        {"corrections-match-accruals", "backdatings-match-corrections"},
    ),
    Mutation(
        "correction-comes-to-another-share",
        adding("shareCorrections", f"AG-5/2/{INV8}", lines__0__now=1),
        {"income-matches-invoices"},
    ),
    Mutation(
        "issued-share-off",
        adding("invoices", INV8, lines__0__onBehalfOf__issued__share=1),
        {"income-matches-invoices"},
    ),
    Mutation(
        "correction-withholds-otherwise",
        adding("shareCorrections", f"AG-5/2/{INV8}", lines__0__withheld=1),
        {"payable-entries-match-accruals"},
    ),
    Mutation(
        "correction-lost",
        losing("shareCorrections", f"AG-5/2/{INV8}"),
        {
            "corrections-match-accruals",
            "backdatings-match-corrections",
            "documents-match-inbox",
            "income-matches-invoices",
        },
    ),
    Mutation(
        "backdating-since-another-day",
        changing("backdatings", "AG-5/2", since="2026-11-02"),
        {"backdatings-match-corrections"},
    ),
    Mutation(
        "period-ends-before-its-lines",
        changing("settlements", "C-7", periodEnd="2026-11-27"),
        {"statements-are-of-their-periods"},
    ),
    Mutation(
        "period-ends-after-what-is-held-back",
        changing("settlements", "C-4", periodEnd="2026-12-01"),
        {"statements-are-of-their-periods", "held-back-as-agreed"},
    ),
    Mutation(
        "withheld-for-another",
        changing("settlements", "C-6", withholding__authority="Another"),
        {"tax-is-withheld-as-agreed"},
    ),
    Mutation(
        "withheld-by-a-certificate",
        changing("settlements", "C-6", withholding__certificate={"rate": "0", "start": BOOKED, "end": None}),
        {"tax-is-withheld-as-agreed"},
    ),
    Mutation(
        "withheld-of-nobody",
        changing("settlements", "C-7", withholding={"rate": "0", "authority": "Finanzamt"}, request__rate="0"),
        {"tax-is-withheld-as-agreed"},
    ),
    Mutation(
        "held-back-as-agreed-no-more",
        changing("agreements", "AG-4", agreed__0__closing__holdback__rate="0.2"),
        {"held-back-as-agreed"},
    ),
    Mutation("backdating-of-another-sum", adding("backdatings", "AG-5/2", amount=1), {"backdatings-match-corrections"}),
    *(
        Mutation(
            f"backdating-of-{word}-invoices",
            adding("backdatings", "AG-5/2", corrected=more),
            {"backdatings-match-corrections"},
        )
        for word, more in (("fewer", -1), ("more", 1))
    ),
    Mutation(
        "agreed-of-past-days-and-not-corrected",
        changing("agreements", "AG-1", agreed__1__validFrom="2026-11-27"),
        {"lines-have-the-terms-of-their-days"},
    ),
    Mutation(
        "agreed-of-a-day-that-had-begun-and-not-corrected",
        all_of(
            changing("agreements", "AG-1", agreed__1__validFrom="2026-11-28"),
            copying("backdatings", "AG-5/2", id_="AG-1/2", agreement="AG-1", state="completed", corrected=0, amount=0),
            changing("backdatings", "AG-1/2", settlementAccount="SA-2"),
        ),
        {"lines-have-the-terms-of-their-days", "backdatings-match-corrections"},
    ),
    Mutation(
        "billed-by-the-accounts-terms",
        unsetting("invoices", INV2, "lines.1.onBehalfOf.agreement"),
        {"lines-have-the-terms-of-their-days"},
    ),
    Mutation("backdating-forgotten", changing("agreements", "AG-5", backdating=[]), {"agreements-match-backdatings"}),
    Mutation(
        "backdating-never-ended", changing("backdatings", "AG-5/2", state="completed"), {"agreements-match-backdatings"}
    ),
    Mutation("reported-line-off", adding("statementReports", "RP-3", lines__0__ours=1), {"reports-match-statements"}),
    Mutation(
        "reported-line-of-another-order",
        changing("statementReports", "RP-3", lines__0__orderId="O-2"),
        {"reports-match-statements"},
    ),
    Mutation(
        "agreed-beyond-the-tolerance",
        changing("statementReports", "RP-3", tolerance=0),
        {"outcomes-follow-figures"},
    ),
    Mutation(
        "different-within-the-tolerance",
        changing("statementReports", "RP-2", tolerance=5),
        {"outcomes-follow-figures"},
    ),
    Mutation(
        "missing-here-called-agreed",
        changing("statementReports", "RP-2", lines__1__outcome="agreed"),
        {"outcomes-follow-figures"},
    ),
    Mutation("dispute-lost", changing("settlements", "C-3", disputed=None), {"disputed-is-what-reports-leave"}),
    Mutation("disputed-off", adding("settlements", "C-3", disputed__0__amount=-1), {"disputed-is-what-reports-leave"}),
    Mutation(
        "disputed-twice",
        pushing("settlements", "C-3", disputed={"billNo": INV1, "lineId": "3", "amount": 700}),
        {"disputed-is-what-reports-leave"},
    ),
    Mutation(
        "disputed-what-agrees",
        changing("settlements", "C-2", disputed=[{"billNo": INV1, "lineId": "2", "amount": 638}]),
        {"disputed-is-what-reports-leave"},
    ),
    Mutation(
        "disputed-what-was-corrected-since",
        changing("accruals", ADJUSTED2, bookedAt=BOOKED + timedelta(days=3)),
        {"disputed-is-what-reports-leave"},
    ),
    Mutation(
        "earlier-report-stands",
        changing("settlements", "C-3", report="RP-1"),
        {"statements-name-their-latest-reports"},
    ),
    Mutation(
        "report-of-another-partner",
        changing("statementReports", "RP-1", settlementAccount="SA-1"),
        {"reports-point-to-statements"},
    ),
    Mutation(
        "report-in-another-currency",
        changing("statementReports", "RP-1", currency="USD"),
        {"reports-point-to-statements"},
    ),
    Mutation("report-not-in-inbox", losing("inbox", "statement.report:RP-1"), {"reports-match-inbox"}),
    Mutation("report-lost", losing("statementReports", "RP-1"), {"reports-match-inbox"}),
    Mutation("agreement-overlaps", changing("agreements", "AG-1", end="2027-01-02"), {"agreements-follow-each-other"}),
    Mutation(
        "agreement-without-an-end-before-another",
        changing("agreements", "AG-1", end=None, validUntil=None),
        {"agreements-follow-each-other"},
    ),
    Mutation(
        "agreement-ends-by-itself", changing("agreements", "AG-2", end="2027-06-01"), {"agreements-have-their-days"}
    ),
    Mutation(
        "agreement-never-ends",
        changing("agreements", "AG-1", end=None),
        {"agreements-follow-each-other", "agreements-have-their-days"},
    ),
    Mutation(
        "agreement-begins-at-another-time",
        changing("agreements", "AG-2", validFrom=datetime(2027, 1, 2, 12, 1, tzinfo=UTC)),
        {"agreements-have-their-days"},
    ),
    Mutation(
        "agreement-ends-at-another-time",
        changing("agreements", "AG-1", validUntil=datetime(2027, 1, 2, 12, 1, tzinfo=UTC)),
        {"agreements-have-their-days"},
    ),
    Mutation(
        "agreed-outside-its-days",
        changing("agreements", "AG-1", agreed__1__validFrom="2027-01-01"),
        {"agreements-follow-each-other"},
    ),
    Mutation(
        "agreed-twice-as-one-revision",
        changing("agreements", "AG-1", agreed__1__revision=3),
        {"agreements-follow-each-other"},
    ),
    Mutation("agreement-uncounted", adding("positions", "SA-2", agreements=-1), {"positions-match-agreements"}),
    Mutation("agreement-lost", losing("agreements", "AG-2"), {"positions-match-agreements"}),
    Mutation(
        "agreed-otherwise-than-billed",
        changing("agreements", "AG-1", agreed__0__terms__partnerShare="0.75"),
        {"lines-match-agreements"},
    ),
    Mutation(
        "billed-before-it-was-agreed-for",
        changing("invoices", INV2, lines__1__onBehalfOf__agreement__revision=2),
        {"lines-match-agreements", "lines-have-the-terms-of-their-days"},
    ),
    Mutation(
        "billed-by-no-agreement",
        changing("invoices", INV2, lines__1__onBehalfOf__agreement__id="AG-9"),
        {"lines-match-agreements", "lines-have-the-terms-of-their-days"},
    ),
    Mutation(
        "tier-period-of-another-start",
        changing("tierPeriods", TIER_PERIOD, start="2026-11-02"),
        {"tier-periods-match-lines", "tier-periods-have-their-days"},
    ),
    Mutation(
        "tier-period-that-never-was",
        changing("tierPeriods", TIER_PERIOD, end="2026-11-01"),
        {"tier-periods-match-lines", "tier-periods-have-their-days"},
    ),
    Mutation(
        "tier-period-of-another-end",
        changing("tierPeriods", TIER_PERIOD, end="2026-11-30"),
        {"tier-periods-have-their-days"},
    ),
    Mutation("tier-period-net-off", adding("tierPeriods", TIER_PERIOD, net=-1), {"tier-periods-match-lines"}),
    Mutation(
        "tier-period-share-off",
        adding("tierPeriods", TIER_PERIOD, share=1),
        {"tier-periods-match-lines", "tier-periods-come-to-what-is-due"},
    ),
    Mutation(
        "tier-period-lost",
        losing("tierPeriods", TIER_PERIOD),
        {"tier-periods-match-lines", "shares-follow-tiers"},
    ),
    Mutation(
        "tier-period-of-another",
        changing("tierPeriods", TIER_PERIOD, settlementAccount="SA-2"),
        {"tier-periods-match-lines", "tier-periods-match-agreements"},
    ),
    Mutation(
        "tier-period-trued-by-nothing",
        changing("tierPeriods", TIER_PERIOD, trued=1, isOpen=True),
        {"tier-periods-match-true-ups"},
    ),
    Mutation(
        "tier-period-due-off",
        changing("tierPeriods", TIER_PERIOD, due=-81, isOpen=True),
        {"tier-periods-come-to-what-is-due"},
    ),
    Mutation(
        "tier-period-open-for-nothing",
        changing("tierPeriods", TIER_PERIOD, isOpen=True),
        {"tier-periods-come-to-what-is-due"},
    ),
    Mutation(
        "tiers-agreed-otherwise",
        changing("agreements", "AG-3", agreed__0__terms__tiers__steps__1__share="0.95"),
        {"tier-periods-match-agreements"},
    ),
    Mutation(
        "share-of-another-step",
        changing("invoices", INV1, lines__1__onBehalfOf__tier__before=9000),
        {"shares-follow-tiers"},
    ),
    Mutation(
        "share-by-tiers-and-by-a-rate",
        changing("invoices", INV1, lines__1__onBehalfOf__partnerShare="0.8"),
        {"shares-follow-tiers", "lines-match-agreements"},
    ),
    Mutation(
        "more-counted-than-was-paid",
        all_of(
            adding("invoices", INV5, lines__1__onBehalfOf__freed__0__net=100),
            adding("tierPeriods", PAID_PERIOD, net=100, due=70),
            changing("tierPeriods", PAID_PERIOD, isOpen=True),
        ),
        {"freed-nets-follow-payments"},
    ),
    Mutation(
        "freed-share-off",
        all_of(
            adding("invoices", INV5, lines__1__onBehalfOf__freed__0__share=1),
            adding("tierPeriods", PAID_PERIOD, share=1),
            changing("tierPeriods", PAID_PERIOD, isOpen=True),
        ),
        {"freed-nets-follow-payments"},
    ),
    Mutation(
        "freed-in-another-period",
        changing("invoices", INV5, lines__1__onBehalfOf__freed__0__start="2026-12-01"),
        {"tier-periods-match-lines"},
    ),
    Mutation(
        "tiers-by-payments-forgotten",
        unsetting("invoices", INV5, "lines.1.onBehalfOf.freed"),
        {"tier-periods-match-lines", "lines-match-agreements"},
    ),
    Mutation(
        "true-up-of-another-sum",
        lambda books: books["accruals"].insert_one(
            accrual(f"{INV1}/2", "SA-1", 0, "settlement.close:C-4", None)
            | {"_id": f"settlement.close/C-4/trueUp/{TIER_PERIOD}", "orderId": None, "billNo": None, "lineId": None}
            | {"step": {"kind": "trueUp", **TRUE_UP}}
        ),
        {"true-ups-follow-tiers"},
    ),
    Mutation(
        "adjustment-off",
        adding("accruals", ADJUSTED2, amount=1),
        {"payable-matches-accruals", "payable-entries-match-accruals", "income-matches-invoices"},
    ),
    Mutation(
        "adjustment-by-another-name",
        changing("accruals", ADJUSTED2, adjustmentId="A-9"),
        {"documents-match-inbox"},
    ),
    Mutation("adjustment-of-no-line", changing("accruals", ADJUSTED2, lineId="9"), {"accruals-point-to-lines"}),
    Mutation(
        "adjustment-of-another-partners-line",
        changing("accruals", ADJUSTED2, lineId="2"),
        {"accruals-point-to-lines"},
    ),
    Mutation(
        "adjustment-as-a-share",
        changing("accruals", ADJUSTED2, adjustmentId=None),
        {"lines-match-accruals", "documents-match-inbox", "income-matches-invoices"},
    ),
    Mutation(
        "adjustment-stated-otherwise",
        changing("settlements", "C-3", lines__2__adjustmentId="A-2"),
        {"statement-lines-match-accruals"},
    ),
    Mutation(
        "payout-beyond-its-statement",
        all_of(
            adding("payouts", "PO-1", amount=500),
            adding("settlements", "C-3", paid=500),
            changing("settlements", "C-3", state="paid"),
        ),
        PAYOUT_CHECKS - {"statements-match-payouts"} | {"payouts-within-statements"},
    ),
    # -- 6: the days
    Mutation(
        "day-lost-with-its-fact",
        all_of(losing("days", "2026-11-30"), losing("inbox", "day.begin:2026-11-30")),
        {"days-run-without-gap"},
    ),
    Mutation(
        "day-that-is-none",
        all_of(
            renaming("days", "2026-11-30", "2026-11-31"),
            renaming("inbox", "day.begin:2026-11-30", "day.begin:2026-11-31"),
            changing("days", "2026-11-31", cause="day.begin:2026-11-31"),
        ),
        {"days-run-without-gap"},
    ),
    Mutation(
        "newest-day-another", changing("calendar", "calendar", newest="2026-11-30"), {"calendar-tells-days-begun"}
    ),
    Mutation("first-day-another", changing("calendar", "calendar", first="2026-11-27"), {"calendar-tells-days-begun"}),
    Mutation("calendar-lost", losing("calendar", "calendar"), {"calendar-tells-days-begun"}),
    Mutation("second-calendar", copying("calendar", "calendar", id_="other"), {"calendar-tells-days-begun"}),
    Mutation("fact-of-a-day-lost", losing("inbox", "day.begin:2026-11-29"), {"days-match-inbox"}),
    Mutation(
        "fact-of-a-day-that-was-not-begun",
        copying("inbox", "day.begin:2026-12-01", id_="day.begin:2026-12-02"),
        {"days-match-inbox"},
    ),
    Mutation("day-by-another-fact", changing("days", "2026-11-29", cause="day.begin:2026-11-30"), {"days-match-inbox"}),
    Mutation("scheduled-for-no-time", changing("held", "credit.allocate:BA-1/9", dueAt=None), {"held-at-rest-or-due"}),
    # -- 6, 7, 9: the seller, and what invoices name of it and of their buyers
    Mutation(
        "version-of-the-seller-miscounted",
        changing("sellerVersions", "seller/1", version=0),
        {"seller-versions-run-without-gap"},
    ),
    Mutation("seller-of-another-version", changing("seller", "seller", version=3), SELLER_CHECKS),
    Mutation("second-seller", copying("seller", "seller", id_="other", version=0), {"seller-versions-run-without-gap"}),
    Mutation("seller-lost", losing("seller", "seller"), {"seller-versions-run-without-gap"}),
    Mutation(
        "version-of-the-seller-lost",
        losing("sellerVersions", "seller/1"),
        {
            "seller-versions-run-without-gap",
            "seller-versions-match-inbox",
            "seller-events-match-versions",
            "invoices-name-seller-versions",
        },
    ),
    Mutation("seller-renamed", changing("seller", "seller", document__name="Another"), {"last-version-is-the-seller"}),
    Mutation(
        "last-version-of-the-seller-later",
        changing("sellerVersions", "seller/2", bookedAt=NOW),
        {"last-version-is-the-seller"},
    ),
    Mutation(
        "version-of-the-seller-by-nobody",
        changing("sellerVersions", "seller/1", cause="seller.update:m-9"),
        {"seller-versions-match-inbox"},
    ),
    Mutation(
        "version-of-the-seller-by-another-fact",
        changing("sellerVersions", "seller/1", cause="seller.update:m-2"),
        {"seller-versions-match-inbox"},
    ),
    Mutation(
        "update-of-the-seller-without-a-version",
        changing("inbox", "seller.update:m-3", result__version=3),
        {"seller-versions-match-inbox"},
    ),
    Mutation("update-of-the-seller-lost", losing("inbox", "seller.update:m-1"), {"seller-versions-match-inbox"}),
    Mutation("event-of-the-seller-lost", losing("outbox", "seller/1"), {"seller-events-match-versions"}),
    Mutation(
        "event-of-the-seller-renamed", renaming("outbox", "seller/1", "seller/01"), {"seller-events-match-versions"}
    ),
    Mutation(
        "invoice-of-no-version-of-the-seller",
        changing("invoices", INV8, sellerVersion=9),
        {"invoices-name-seller-versions"},
    ),
    *(
        Mutation(
            f"invoice-of-{called}-version-of-the-seller",
            changing("invoices", INV4, sellerVersion=version),
            {"seller-versions-rise-with-numbers"},
        )
        for called, version in (("an-earlier", 1), ("no", None))
    ),
    Mutation(
        "invoice-of-a-later-version-of-the-seller",
        changing("invoices", INV1, sellerVersion=2),
        {"seller-versions-rise-with-numbers"},
    ),
    Mutation(
        "invoice-of-no-version-of-its-buyer",
        changing("invoices", INV3, buyerVersion=2),
        {"invoices-name-buyer-versions"},
    ),
    # -- 6: facts
    Mutation("fact-not-in-inbox", losing("inbox", O1), {"entries-match-inbox", "documents-match-inbox"}),
    Mutation("entry-lost", losing("entries", "order.completed:O-4"), {"entries-match-inbox"}),
    Mutation(
        "entry-with-postings-lost",
        losing("entries", P1),
        {
            "entries-match-inbox",
            "positions-match-postings",
            "movements-run-without-gap",
            "receivable-matches-invoices",
            "cash-matches-payments",
            "payable-entries-match-accruals",
        },
    ),
    Mutation(
        "entry-of-no-fact",
        lambda books: books["entries"].insert_one(entry("payment.received:P-9")),
        {"entries-match-inbox", "documents-match-inbox"},
    ),
    Mutation(
        "payment-lost",
        losing("payments", "P-1"),
        {"documents-match-inbox", "cash-matches-payments", "allocations-point-to-payments"},
    ),
    Mutation(
        "order-invoiced-twice",
        all_of(copying("invoices", INV4, id_="INV-000000009"), changing("series", "INV-", last=9)),
        {"documents-match-inbox"},
    ),
    Mutation(
        "closing-with-steps-not-in-inbox",
        losing("inbox", "settlement.close:C-4"),
        {"statements-match-inbox", "entries-match-inbox", "documents-match-inbox"},
    ),
    Mutation(
        "entry-of-a-closing-without-steps",
        copying("entries", "order.completed:O-4", id_="settlement.close:C-5", cause="settlement.close:C-5"),
        {"entries-match-inbox", "documents-match-inbox"},
    ),
    Mutation(
        "release-of-a-day-out-of-nothing",
        changing("inbox", "reserve.continue:C-4", result__released__value=0),
        {"entries-match-inbox", "documents-match-inbox"},
    ),
    Mutation("closing-not-in-inbox", losing("inbox", "settlement.close:C-2"), {"statements-match-inbox"}),
    Mutation(
        "applied-and-held", lambda books: books["held"].insert_one({"_id": O1, "state": "parked"}), {"held-or-applied"}
    ),
    Mutation(
        "no-state-of-a-held-message", changing("held", "order.completed:O-9", state="done"), {"held-states-legal"}
    ),
    Mutation("waiting-for-ever", changing("held", "order.completed:O-9", dueAt=None), {"held-at-rest-or-due"}),
    Mutation("parked-and-due", changing("held", CONFLICT, dueAt=NOW), {"held-at-rest-or-due"}),
    Mutation("parked-and-claimed", changing("held", CONFLICT, claimedUntil=NOW), {"held-at-rest-or-due"}),
    # -- 7: events
    Mutation("first-event-lost", losing("outbox", "BA-1:1"), {"event-sequences-run-without-gap"}),
    Mutation("event-lost", losing("outbox", "BA-1:2"), {"event-sequences-run-without-gap"}),
    Mutation("last-event-lost", losing("outbox", "BA-1:3"), {"event-sequences-run-without-gap"}),
    Mutation("only-event-lost", losing("outbox", "SA-1:1"), {"event-sequences-run-without-gap"}),
    Mutation("sequence-off", adding("positions", "BA-1", sequence=1), {"event-sequences-run-without-gap"}),
    Mutation(
        "event-twice-and-one-lost",
        all_of(losing("outbox", "BA-1:2"), copying("outbox", "BA-1:3", id_="BA-1:2")),
        {"event-sequences-run-without-gap"},
    ),
    Mutation("event-long-unsent", changing("outbox", "BA-2:2", bookedAt=BOOKED), {"outbox-rows-sent-young-or-parked"}),
    Mutation(
        "event-parked-without-a-reason",
        changing("outbox", "parked-2:1", reason=None),
        {"outbox-rows-sent-young-or-parked"},
    ),
    Mutation(
        "event-parked-and-unsent", changing("outbox", "parked-2:1", unsent=True), {"outbox-rows-sent-young-or-parked"}
    ),
    Mutation(
        "event-parked-and-sent", changing("outbox", "parked-2:1", sentAt=NOW), {"outbox-rows-sent-young-or-parked"}
    ),
    Mutation(
        "event-released-long-ago",
        changing("outbox", "parked-3:1", released=[{"at": BOOKED, "by": "ada", "why": "there is room"}]),
        {"outbox-rows-sent-young-or-parked"},
    ),
    Mutation(
        "event-neither-sent-nor-unsent", changing("outbox", "SA-1:1", sentAt=None), {"outbox-rows-sent-young-or-parked"}
    ),
    Mutation(
        "event-of-parked-message-long-unsent",
        changing("outbox", "parked-1:1", unsent=True),
        {"outbox-rows-sent-young-or-parked"},
    ),
    # -- 8: numbers
    Mutation("number-given-to-no-invoice", adding("series", "INV-", last=1), {"invoice-numbers-run-without-gap"}),
    Mutation("number-given-twice", adding("series", "INV-", last=-1), {"invoice-numbers-run-without-gap"}),
    Mutation("series-lost", losing("series", "INV-"), {"invoice-numbers-run-without-gap"}),
    *(
        Mutation(
            f"number-left-out-for-{bill}",
            renaming("invoices", INV4, bill),
            {"invoice-numbers-run-without-gap"},
        )
        for bill in ("INV-000000009", "X-000000004", "INV-00000000D", "4")
    ),
    # -- corrections
    Mutation("note-off", adding("creditNotes", "N-1", taxItem__0__taxExcludedAmount=1), {"notes-add-up"}),
    Mutation(
        "credited-off",
        all_of(
            adding("invoices", INV5, corrections__credited=1),
            pushing("invoices", INV5, **{"corrections.writeOffs": {"writeOffId": "W-1", "amount": -1}}),
        ),
        {"credited-matches-notes", "losses-match-corrections", "write-offs-match-losses", "freed-nets-follow-payments"},
    ),
    Mutation(
        "credited-of-no-note",
        pushing("invoices", INV5, **{"corrections.lines": {"lineId": "9", "credited": 100}}),
        {"credited-lines-match-notes"},
    ),
    Mutation(
        "credited-tax-of-no-note",
        pushing("invoices", INV5, **{"corrections.tax": {"category": "Z", "rate": "0", "credited": 5}}),
        {"credited-tax-matches-notes"},
    ),
    Mutation(
        "credited-tax-off",
        adding("invoices", INV5, corrections__tax__0__credited=1),
        {"credited-tax-matches-notes", "credited-tax-is-that-of-credited-nets"},
    ),
    Mutation(
        "credited-beyond-the-line",
        adding("invoices", INV5, corrections__lines__0__credited=6000),
        {"credited-lines-match-notes", "credited-within-lines", "credited-tax-is-that-of-credited-nets"},
    ),
    Mutation(
        "credited-with-the-other-sign",
        adding("invoices", INV5, corrections__lines__0__credited=-6000),
        {"credited-lines-match-notes", "credited-within-lines", "credited-tax-is-that-of-credited-nets"},
    ),
    Mutation(
        "deallocated-off",
        adding("creditNotes", "N-1", covered=1, deallocated__0__amount=-1),
        {"notes-match-deallocations", "reserved-is-what-was-not-given-back", "cash-matches-payments"},
    ),
    Mutation(
        "note-without-its-number",
        changing("creditNotes", "N-1", billNo="CN-000000002"),
        {"invoice-numbers-run-without-gap"},
    ),
    Mutation(
        "refundable-off",
        adding("positions", "BA-3", refundable=1),
        {"positions-match-postings", "refundable-matches-notes"},
    ),
    Mutation(
        "reserved-off",
        adding("creditNotes", "N-1", reserved__0__amount=-1),
        {"refundable-matches-notes", "reserved-is-what-was-not-given-back", "unapplied-is-what-is-left"},
    ),
    Mutation(
        "reserved-of-another-payment",
        changing("creditNotes", "N-1", reserved__0__paymentId="P-1"),
        {"unapplied-is-what-is-left"},
    ),
    Mutation(
        "share-left-off",
        all_of(
            adding("invoices", INV5, lines__1__onBehalfOf__share=1, lines__1__onBehalfOf__accrued=1),
            adding("invoices", INV5, lines__1__onBehalfOf__freed__0__share=1),
            adding("tierPeriods", PAID_PERIOD, share=1),
            changing("tierPeriods", PAID_PERIOD, isOpen=True),
            adding("accruals", f"{INV5}/2/P-3", amount=1),
            adding("positions", "SA-3", payable=1),
            adding("entries", "payment.received:P-3", postings__3__amount=-1, postings__2__amount=1),
            adding("entries", NOTE1, postings__4__amount=-1, postings__5__amount=1),
            adding("creditNotes", "N-1", lines__1__share=-1, lines__1__withheld=-1),
        ),
        {"shares-left-follow-what-is-credited"},
    ),
    Mutation(
        "note-of-no-version-of-its-account",
        changing("creditNotes", "N-1", buyerVersion=7),
        {"invoices-name-buyer-versions"},
    ),
    Mutation(
        "note-of-no-version-of-the-seller",
        changing("creditNotes", "D-2", sellerVersion=9),
        {"invoices-name-seller-versions"},
    ),
    Mutation(
        "note-of-no-account",
        changing("creditNotes", "N-1", billingAccount="BA-9"),
        {
            "notes-have-positions",
            "notes-point-to-invoices",
            "refundable-matches-notes",
            "invoices-name-buyer-versions",
            "reserved-is-what-was-not-given-back",
        },
    ),
    Mutation(
        "refund-off",
        adding("refunds", "R-2", recoverable=1),
        {"refunds-add-up", "recoverable-matches-refunds", "cash-matches-payments"},
    ),
    Mutation(
        "refund-that-says-less-of-what-it-opened",
        adding("refunds", "R-3", deallocated__0__amount=-1),
        {"refunds-match-deallocations"},
    ),
    Mutation(
        "refund-of-another-note",
        changing("refunds", "R-1", creditNoteId="N-2"),
        {"reserved-is-what-was-not-given-back"},
    ),
    Mutation(
        "refund-of-another-payment",
        changing("refunds", "R-1", taken__0__paymentId="P-1"),
        {"unapplied-is-what-is-left"},
    ),
    Mutation(
        "recoverable-off",
        adding("positions", "BA-2", recoverable=1),
        {"positions-match-postings", "recoverable-matches-refunds"},
    ),
    Mutation("rest-of-a-reversal-lost", losing("held", "credit.deallocate:P-4/2"), {"undoing-is-what-can-be-undone"}),
    Mutation(
        "rest-of-a-reversal-discarded",
        changing("held", "credit.deallocate:P-4/2", state="discarded", waitsFor=None, dueAt=None),
        {"undoing-is-what-can-be-undone"},
    ),
    Mutation(
        "rest-that-nothing-waits-for",
        changing("positions", "BA-2", undoing=None),
        {"undoing-is-what-can-be-undone"},
    ),
    Mutation("more-to-undo-than-owed", changing("positions", "BA-2", undoing=61), {"undoing-is-what-can-be-undone"}),
    Mutation(
        "recovery-lost",
        losing("recoveries", "P-4/payment.received/P-4"),
        {"recoverable-matches-refunds", "unapplied-is-what-is-left", "cash-matches-payments"},
    ),
    Mutation(
        "reversal-off",
        adding("reversals", "X-1", credit=1),
        {"reversals-add-up", "unapplied-is-what-is-left", "cash-matches-payments"},
    ),
    Mutation(
        "reversal-of-no-payment",
        changing("reversals", "X-1", paymentId="P-9"),
        {"reversals-add-up"},
    ),
    Mutation(
        "fee-off",
        adding("reversals", "X-1", fee=1),
        {"cash-matches-payments"},
    ),
    Mutation(
        "written-off-beside-its-row",
        all_of(
            adding("invoices", INV7, corrections__writeOffs__0__amount=-3000, remainingAmount=3000),
            adding("positions", "BA-4", receivable=3000),
            adding("entries", "invoice.write-off:W-1", postings__3__amount=3000),
        ),
        {
            "losses-match-corrections",
            "accrued-follows-terms",
            "relieved-tax-is-that-of-write-offs",
            "entries-balance",
            "journal-balances",
            "receivable-matches-invoices",
        },
    ),
    Mutation("write-off-off", adding("writeOffs", "W-1", amount=1), {"write-offs-match-losses"}),
    Mutation("write-off-of-another-invoice", changing("writeOffs", "W-1", billNo=INV6), {"write-offs-match-losses"}),
    Mutation("write-off-without-relief", changing("writeOffs", "W-1", taxRelief=False), {"write-offs-match-losses"}),
    Mutation(
        "write-off-lost",
        losing("writeOffs", "W-1"),
        {"write-offs-match-losses", "documents-match-inbox"},
    ),
    Mutation(
        "loss-off",
        adding("losses", W1, relieved=1),
        {"losses-match-corrections", "income-matches-invoices"},
    ),
    Mutation(
        "loss-of-another-account",
        changing("losses", W1, billingAccount="BA-1"),
        {"losses-match-corrections", "write-offs-match-losses"},
    ),
    Mutation(
        "relieved-off",
        all_of(
            adding("invoices", INV7, corrections__tax__0__relieved=1),
            adding("losses", W1, relieved=1),
            adding("entries", "invoice.write-off:W-1", postings__0__amount=-1, postings__1__amount=1),
        ),
        {"relieved-tax-is-that-of-write-offs"},
    ),
    Mutation(
        "given-up-off",
        all_of(
            adding("invoices", INV7, corrections__lines__1__givenUp=1),
            adding("losses", W1, givenUp=1),
            adding("entries", "invoice.write-off:W-1", postings__0__amount=-1, postings__2__amount=1),
            adding("positions", "SA-4", withheld=-1),
        ),
        {"accrued-follows-terms"},
    ),
    Mutation(
        "disputed-off",
        adding("disputes", "D-1", amount=1),
        {"disputes-match-invoices"},
    ),
    Mutation(
        "disputed-off-in-both",
        all_of(
            adding("disputes", "D-1", amount=1),
            adding("invoices", INV7, handling__disputes__0__amount=1),
        ),
        {"disputed-is-that-of-lines"},
    ),
    Mutation(
        "disputed-line-that-counts-for-less",
        adding("disputes", "D-1", lines__0__counted=-1),
        {"disputed-is-that-of-lines"},
    ),
    Mutation("dispute-of-no-message", losing("inbox", "dispute.open:D-1"), {"disputes-match-invoices"}),
    Mutation(
        "dispute-that-its-invoice-does-not-know",
        changing("invoices", INV7, handling__disputes=[], state="sent"),
        {"disputes-match-invoices", "disputed-is-that-of-lines"},
    ),
    Mutation(
        "invoice-not-on-hold",
        changing("invoices", INV7, state="sent"),
        {"invoice-states-fit"},
    ),
    Mutation(
        "approved-off",
        adding("disputes", "D-2", lines__0__approved=1),
        {"approved-is-credited"},
    ),
    Mutation(
        "approved-beyond-what-was-disputed",
        adding("disputes", "D-2", lines__0__taxExcludedAmount=-1001),
        {"approved-is-credited"},
    ),
    Mutation(
        "dispute-with-another-note",
        changing("disputes", "D-2", creditNote="CN-000000001"),
        {"approved-is-credited"},
    ),
    Mutation(
        "dispute-closed-too-early",
        changing("disputes", "D-1", state="withdrawn"),
        {
            "disputes-match-invoices",
            "disputed-is-that-of-lines",
            "documents-match-inbox",
            "entries-match-inbox",
        },
    ),
    Mutation("goodwill-of-another-time", changing("goodwill", "C-1", grantedAt=NOW), {"goodwill-is-credit"}),
    Mutation("goodwill-off", adding("goodwill", "C-1", amount=1), {"goodwill-is-credit", "cash-matches-payments"}),
    Mutation(
        "goodwill-as-a-payment",
        changing("payments", "credit~C-1", source=None),
        {"goodwill-is-credit", "cash-matches-payments", "documents-match-inbox", "entries-match-inbox"},
    ),
    Mutation("parts-miscounted", adding("payments", "P-6", parts=1), {"transferred-parts-are-counted"}),
    Mutation(
        "part-of-another-payment",
        changing("payments", "transfer~T-1~1", origin="P-4"),
        {"transferred-parts-are-counted"},
    ),
    Mutation("transfer-off", adding("transfers", "T-1", amount=1), {"transfers-add-up"}),
    Mutation(
        "transfer-to-itself", changing("transfers", "T-1", to="BA-3"), {"transfers-add-up", "transferred-is-credit"}
    ),
    Mutation("transfer-of-another-time", changing("transfers", "T-1", transferredAt=NOW), {"transferred-is-credit"}),
    Mutation(
        "transfer-of-another-account", changing("transfers", "T-1", **{"from": "BA-1"}), {"transferred-is-credit"}
    ),
    Mutation(
        "transfer-of-another-payment",
        changing("transfers", "T-1", taken__0__paymentId="P-1"),
        {"transferred-is-credit"},
    ),
    Mutation(
        "payment-that-says-more-was-transferred",
        adding("payments", "P-6", transferred__0__amount=1),
        {"transferred-is-credit", "unapplied-is-what-is-left"},
    ),
    Mutation("transfer-lost", losing("transfers", "T-1"), {"transferred-is-credit", "documents-match-inbox"}),
    Mutation(
        "reversal-that-took-more-elsewhere",
        adding("reversals", "X-2", transferred__0__credit=1),
        {"reversals-add-up", "unapplied-is-what-is-left", "cash-matches-payments"},
    ),
    Mutation(
        "reversal-that-took-what-no-note-had-reserved",
        changing(
            "reversals",
            "X-2",
            transferred__0__credit=0,
            transferred__0__reserved=[{"creditNoteId": "N-1", "amount": 50}],
        ),
        {"reserved-is-what-was-not-given-back", "cash-matches-payments"},
    ),
    Mutation("note-in-another-currency", changing("creditNotes", "N-1", currency="USD"), {"notes-point-to-invoices"}),
    Mutation(
        "note-lost",
        losing("creditNotes", "N-1"),
        {
            "credited-matches-notes",
            "credited-lines-match-notes",
            "credited-tax-matches-notes",
            "notes-match-deallocations",
            "refundable-matches-notes",
            "unapplied-is-what-is-left",
            "receivable-matches-invoices",
            "income-matches-invoices",
            "cash-matches-payments",
            "payable-entries-match-accruals",
            "documents-match-inbox",
            "invoice-numbers-run-without-gap",
            "reserved-is-what-was-not-given-back",
        },
    ),
    Mutation(
        "deallocation-of-another-cause",
        changing("allocations", f"{INV5}/P-3/credit-note.issue/N-1", cause="payment.received:P-3"),
        {
            "applied-payments-match-allocations",
            "notes-match-deallocations",
            "receivable-matches-invoices",
            "cash-matches-payments",
        },
    ),
    # -- 9: references
    Mutation(
        "position-lost",
        losing("positions", "BA-2"),
        {
            "positions-match-postings",
            "movements-run-without-gap",
            "open-invoices-match-receivable",
            "postings-have-positions",
            "accounts-have-positions",
            "billing-documents-have-positions",
            "events-have-positions",
            "recoverable-matches-refunds",
            "undoing-is-what-can-be-undone",
        },
    ),
    Mutation(
        "account-lost",
        losing("accounts", "BA-2"),
        {
            "accounts-have-positions",
            "versions-run-without-gap",
            "last-versions-match-accounts",
            "invoices-point-to-billing-accounts",
        },
    ),
    Mutation(
        "account-of-another-currency",
        changing("accounts", "BA-2", currency="USD"),
        {
            "accounts-have-positions",
            "last-versions-match-accounts",
            "accounts-json-is-what-they-say",
            "invoices-point-to-billing-accounts",
        },
    ),
    Mutation(
        "json-of-an-older-snapshot-off",
        changing("accountVersions", "BA-2/1", snapshot__json=b"{}"),
        {"last-versions-match-accounts"},
    ),
    Mutation(
        "reversal-of-no-entry", changing("entries", O2, reverses="order.completed:O-9"), {"reversals-point-to-entries"}
    ),
    Mutation(
        "invoice-on-no-account",
        changing("invoices", INV4, billingAccount="BA-9"),
        {"billing-documents-have-positions", "invoices-point-to-billing-accounts", "invoices-name-buyer-versions"},
    ),
    Mutation(
        "invoice-of-another-currency",
        changing("invoices", INV4, currency="USD"),
        {"billing-documents-have-positions", "invoices-point-to-billing-accounts"},
    ),
    Mutation(
        "payment-on-no-account",
        changing("payments", "P-1", billingAccount="BA-9"),
        {"billing-documents-have-positions", "allocations-point-to-payments"},
    ),
    Mutation(
        "allocation-on-another-account",
        changing("allocations", f"{INV1}/P-1", billingAccount="BA-2"),
        {"allocations-point-to-invoices", "allocations-point-to-payments"},
    ),
    Mutation(
        "allocation-to-no-invoice",
        copying("allocations", f"{INV1}/P-1", id_="INV-9/P-1", billNo="INV-9", amount=0),
        {"allocations-point-to-invoices", "applied-payments-match-allocations"},
    ),
    Mutation(
        "allocation-of-no-payment",
        copying("allocations", f"{INV1}/P-1", id_=f"{INV1}/P-9", paymentId="P-9", amount=0),
        {"allocations-point-to-payments", "applied-payments-match-allocations"},
    ),
    Mutation(
        "allocation-caused-by-nothing",
        changing("allocations", f"{INV1}/P-1", cause="payment.received:P-9"),
        {"receivable-matches-invoices", "cash-matches-payments", "entries-match-inbox", "documents-match-inbox"},
    ),
    Mutation("accrual-of-another-order", changing("accruals", NOT_STATED, orderId="O-1"), {"accruals-point-to-lines"}),
    Mutation(
        "accrual-of-no-line",
        changing("accruals", NOT_STATED, lineId="9"),
        {"accruals-point-to-lines", "lines-match-accruals"},
    ),
    Mutation(
        "accrual-of-no-partner",
        changing("accruals", NOT_STATED, settlementAccount="SA-9"),
        {"accruals-point-to-lines", "payable-matches-accruals", "partner-documents-have-positions"},
    ),
    Mutation(
        "statement-line-of-no-accrual",
        changing("settlements", "C-2", lines__0__accrualId="INV-9/1"),
        {"statement-lines-match-accruals", "accruals-in-one-statement"},
    ),
    Mutation(
        "statement-of-no-partner",
        changing("settlements", "C-3", settlementAccount="SA-9"),
        {
            "partner-documents-have-positions",
            "payouts-point-to-statements",
            "reports-point-to-statements",
            "statement-lines-match-accruals",
            "earnings-match-statements",
        },
    ),
    Mutation(
        "payout-of-no-statement",
        changing("payouts", "PO-1", settlementId="C-9"),
        {"payouts-point-to-statements", "statements-match-payouts"},
    ),
    Mutation(
        "payout-to-another-partner",
        changing("payouts", "PO-1", settlementAccount="SA-1"),
        {"payouts-point-to-statements", "payable-matches-accruals"},
    ),
    Mutation(
        "brought-forward-from-no-statement",
        changing("settlements", "C-2", broughtForwardFrom="C-9"),
        {"brought-forward-points-to-statements", "statements-carried-forward-once"},
    ),
    Mutation(
        "event-of-no-account",
        copying("outbox", "BA-1:1", id_="BA-9:1", account="BA-9"),
        {"events-have-positions"},
    ),
    *(
        Mutation(f"piece-{n}-of-a-body-lost", losing("heldBodies", {"held": CONFLICT, "n": n}), {"held-bodies-whole"})
        for n in (0, 1)
    ),
    Mutation("body-of-no-held-message", losing("held", CONFLICT), {"held-bodies-whole"}),
    Mutation("message-lost", losing("held", "order.completed:O-9"), {"acts-point-to-messages"}),
    Mutation(
        "act-on-nothing", changing("operatorActs", "2", identity="order.completed:O-77"), {"acts-point-to-messages"}
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_document_turns_its_checks_red(books: Books, mutation: Mutation) -> None:
    """What was broken is seen by the checks that watch it, and by no others."""
    mutation.breaks(books)
    report = audited(books)
    assert red(report) == mutation.seen_by
    assert not report["ok"]


@pytest.mark.parametrize(
    ("mode", "net", "due"),
    [
        # 70 % up to 10.00, 75 % up to 100.00, 80 % beyond.
        ("graduated", 1000, 700),
        ("graduated", 1001, 701),
        ("graduated", 12345, 700 + 6750 + 1876),
        ("graduated", -5, -4),
        ("volume", 1000, 700),
        ("volume", 1001, 751),
        ("volume", 12345, 9876),
        ("volume", -5, -4),
    ],
)
def test_tiers_are_worked_out_anew(books: Books, mode: str, net: int, due: int) -> None:
    """What a period comes to is found to be what it has, and to be another sum where that is a cent off."""
    check = "tier-periods-come-to-what-is-due"
    ends = ((1000, "0.7"), (10000, "0.75"), (None, "0.8"))
    tiers = {"mode": mode, "period": "month", "steps": [{"upTo": end, "share": share} for end, share in ends]}
    books["tierPeriods"].update_one(
        {"_id": TIER_PERIOD}, {"$set": {"tiers": tiers, "net": net, "due": due, "share": due}}
    )
    assert check not in red(audited(books))
    books["tierPeriods"].update_one({"_id": TIER_PERIOD}, {"$inc": {"due": 1, "share": 1}})
    assert check in red(audited(books))


def test_the_report_says_what_was_expected_and_found(books: Books) -> None:
    """An offender is shown with its id, what it should be and what it is."""
    adding("positions", "BA-2", receivable=1)(books)
    checks = {check["name"]: check for check in audited(books)["checks"]}
    assert checks["positions-match-postings"] == {
        "name": "positions-match-postings",
        "invariant": 2,
        "ok": False,
        "checked": 88,
        "broken": [{"id": {"account": "receivable:BA-2", "currency": "EUR"}, "expected": 620, "found": 621}],
        "brokenTotal": 1,
    }


def test_the_report_shows_twenty_offenders_and_counts_all(books: Books) -> None:
    """However much is broken, the report stays short and says how much it is."""
    books["held"].insert_many([{"_id": f"x-{n:02d}", "state": "lost"} for n in range(50)])
    check = next(check for check in audited(books)["checks"] if check["name"] == "held-states-legal")
    assert (check["checked"], check["brokenTotal"]) == (54, 50)
    assert [offender["id"] for offender in check["broken"]] == [f"x-{n:02d}" for n in range(20)]


def test_the_report_of_what_is_looked_at_here_is_as_short(books: Books) -> None:
    """A check that is not made in the server shows twenty offenders, the first by id, and counts all."""
    books["values"].insert_many([{"_id": f"BA-1/{n:02d}", "json": b"1"} for n in reversed(range(50))])
    check = next(check for check in audited(books)["checks"] if check["name"] == "values-are-what-their-ids-say")
    assert (check["ok"], check["checked"], check["brokenTotal"]) == (False, 50, 50)
    assert [offender["id"] for offender in check["broken"]] == [f"BA-1/{n:02d}" for n in range(20)]


@pytest.mark.parametrize(
    "numbers",
    [
        [*range(1, 48), 49],
        [1, *range(1, 100)],
        [*range(1, 97), 98, 98],
        [2, 3, 3, 4],
        [0, 1, 2],
        [*range(1, 49), 48, 50],
    ],
    ids=["gap", "twin", "gap-and-twin", "no-first", "zero", "twin-at-the-end-of-a-block"],
)
def test_movements_are_proven_across_blocks(database: Books, numbers: list[int]) -> None:
    """A position's movements are 1..n, however many; with a gap or a twin they are not, though the count is right."""

    def is_ok(moved: list[int]) -> bool:
        database["entries"].delete_many({})
        database["positions"].delete_many({})
        database["positions"].insert_one(position("BA-1", 0, len(moved)))
        database["entries"].insert_many(
            [entry(f"E-{i}", posting("receivable:BA-1", 1, n)) for i, n in enumerate(moved)]
        )
        return "movements-run-without-gap" not in red(audited(database))

    assert is_ok(list(range(1, len(numbers) + 1)))
    assert not is_ok(numbers)


def test_a_reversal_of_an_entry_that_is_there_is_ok(books: Books) -> None:
    """An entry may name the one that it undoes."""
    changing("entries", O2, reverses=O1)(books)
    assert audited(books)["ok"]


def test_pruned_events_are_no_gap_at_the_front(books: Books) -> None:
    """Where sent rows are pruned, a sequence may begin later or have no rows left; a gap behind it is still seen."""
    for key in ("BA-1:1", "SA-1:1"):
        losing("outbox", key)(books)
    assert audited(books, outbox_pruned=True)["ok"]
    assert red(audited(books)) == {"event-sequences-run-without-gap"}
    losing("outbox", "BA-1:3")(books)
    assert red(audited(books, outbox_pruned=True)) == {"event-sequences-run-without-gap"}


def test_an_event_may_wait_for_the_relay(books: Books) -> None:
    """An unsent event is broken only when the relay has had its interval and some grace."""
    late = NOW + timedelta(seconds=36)
    assert audit(books, now=late, relay_interval_seconds=6)["ok"]
    assert not audit(books, now=late, relay_interval_seconds=5)["ok"]
    assert audit(books, now=late, relay_interval_seconds=5, relay_grace_seconds=31)["ok"]


def test_a_live_worker_raises_no_alarm(books: Books) -> None:
    """All is read at one point in time: transactions that commit meanwhile are seen whole or not at all."""
    books["positions"].insert_one(position("BA-9", 0, 0))
    open_account(books, "BA-9", "BillingAccount")
    stop = threading.Event()
    there, written = books["entries"].count_documents({}), 0

    def book(session: ClientSession) -> None:
        pay(books, f"P-{100 + written}", 100, account="BA-9", session=session)

    def work() -> None:
        nonlocal written
        while not stop.is_set():
            written += 1
            with books.client.start_session() as session:
                session.with_transaction(book, write_concern=WriteConcern("majority"))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        reports = [audited(books, by=audit) for _ in range(5)]
    finally:
        stop.set()
        worker.join()
    assert [red(report) for report in reports] == [set()] * 5
    seen = [next(c["checked"] for c in report["checks"] if c["name"] == "entries-balance") for report in reports]
    assert seen[0] < seen[-1] <= there + written


def losing_snapshots(monkeypatch: pytest.MonkeyPatch, code: int, times: int) -> list[int]:
    """Lets the first reads fail as the server says it; returns what counts them."""
    failed: list[int] = []
    read_views = run.read_views

    def losing_it(database: Books, variables: Document) -> dict[str, Document]:
        if len(failed) == times:
            return read_views(database, variables)
        failed.append(code)
        raise OperationFailure("lost", code)

    monkeypatch.setattr(run, "read_views", losing_it)
    monkeypatch.setattr(run, "PAUSE_SECONDS", 0.0)
    return failed


def test_a_snapshot_that_is_too_old_is_no_verdict(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that takes longer than the server keeps a point in time says so, and nothing of the books."""
    failed = losing_snapshots(monkeypatch, run.SNAPSHOT_TOO_OLD, times=1)
    with pytest.raises(AuditIncomplete, match="minSnapshotHistoryWindowInSeconds"):
        audited(books)
    assert len(failed) == 1


def test_a_snapshot_that_is_not_there_yet_is_asked_for_again(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that makes its collections as the audit begins does not end the audit; it does if that never stops."""
    losing_snapshots(monkeypatch, run.SNAPSHOT_UNAVAILABLE, times=2)
    assert audited(books)["ok"]
    losing_snapshots(monkeypatch, run.SNAPSHOT_UNAVAILABLE, times=run.ATTEMPTS_MAX)
    with pytest.raises(AuditIncomplete, match="keep changing"):
        audited(books)
