"""How the ledger is kept: series of numbers, positions and journal entries."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept
from domain.ledger.entries import Entry, Posting
from domain.ledger.numbering import Series
from domain.ledger.positions import CarriedForward, Position

KEPT = (
    Kept(
        Layout(Series, absent=(("owner",), ("use",))),
        Collection(
            "series",
            id="the series' prefix (`INV-`)",
            written="by what takes a number; that of a partner by what agrees it",
            fields={
                "last": "the last number given",
                "owner": "the settlement account in whose name its numbers are given; only of a partner's",
                "use": "`invoices`, `creditNotes` or `selfBilling`; only of a partner's, and not where an earlier "
                "version wrote it",
            },
        ),
        at_once=True,
    ),
    Kept(
        Layout(
            Position,
            absent=(("undoing",), ("dunned",), ("agreements",), ("reserve",), ("advance",), ("charges_through",)),
            parts=(Layout(CarriedForward, absent=(("self_billed_tax",),)),),
        ),
        Collection(
            "positions",
            id="account id",
            written="by everything that decides on the account's money",
            fields={
                "currency": "",
                "sequence": "the last event's number",
                "movements": "the number of the last entry that posts to the account",
                "receivable": "a debit balance; what the customer owes",
                "unapplied": "a credit balance; what the customer has paid and no invoice has consumed",
                "payable": "a credit balance; what we owe the partner",
                "withheld": "a credit balance; what we shall owe the partner once the customer has paid",
                "carriedForward": "{`settlementId`, `amount`, `selfBilledTax`: what of that is tax of documents, only "
                "where there is some} of the statement that the next one opens with, or null",
                "oldestDue": "the earliest `paymentDueDate` of its open invoices, or null",
                "touched": "how often it was written only so that two decisions on the account can't both commit",
                "used": "how many facts the books tell of it by",
                "withholding": "how many lines have a share of it, or a part of one, withheld",
                "undoing": "how much of what is recoverable waits for `credit.deallocate`; else not there",
                "dunned": "how many steps of dunning stand against it; else not there",
                "agreements": "how many facts have agreed terms with the partner; else not there",
                "reserve": "a credit balance; what is held back of what the partner has earned; else not there",
                "advance": "a debit balance; what the partner was paid and has yet to earn; else not there",
                "chargesThrough": "the date through which charges to it are billed, but for those that are `behind`; "
                "not there before any is",
                "allocating": "whether its credit is still being allocated, by what is held as `credit.allocate`",
                "refundable": "a credit balance; what the customer has paid and is to get back",
                "recoverable": "a debit balance; what the customer got back without credit for it",
            },
            indexes=(
                # Who owes, and since when: lists by payment status, whose due date comes first.
                IndexModel(
                    [("oldestDue", ASCENDING), ("_id", ASCENDING)],
                    name="owing",
                    partialFilterExpression={"oldestDue": {"$gt": ""}},
                ),
            ),
        ),
        at_once=True,
    ),
    Kept(
        Layout(
            Entry,
            absent=(("reverses",), ("reason",)),
            parts=(Layout(Posting, absent=(("category", "rate"), ("movement",))),),
            read=False,
        ),
        Collection(
            "entries",
            id="the identity of the fact that it books (`order.completed:O-1`)",
            written="once, with the fact",
            fields={
                "cause": "the same",
                "occurredAt": "the fact's own time",
                "bookedAt": "the worker's",
                "postings": "[{`account`, `currency`, `amount` (debit positive, credit negative), `category` and "
                "`rate` (tax only), `movement` (accounts with a position only: the entry's number among its own)}]",
                "reverses": "the entry that it undoes, where it undoes one",
                "reason": "why, where a reason was given",
            },
            indexes=(
                # An account's movements: its postings by time and number.
                IndexModel(
                    [("postings.account", ASCENDING), ("bookedAt", ASCENDING), ("postings.movement", ASCENDING)],
                    name="movements",
                ),
            ),
            personal=("reason",),
            append_only=True,
        ),
    ),
)
