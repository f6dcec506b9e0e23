"""Facts (invariant 6): each has one state, and its inbox row, its entry and its documents say the same."""

from collections.abc import Iterable, Iterator
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

import adapters.billing.audit as billing
import adapters.corrections.audit as corrections
import adapters.invoicing.audit as invoicing
import adapters.payments.audit as payments
import adapters.settlement.audit as settlement
from adapters.checks import (
    REFERRING,
    Check,
    Offender,
    Reading,
    View,
    begins,
    both,
    each,
    equal,
    sum_where,
    union,
)
from adapters.ledger.audit import OWNED, SHARED, ledger_class
from adapters.values import VALUES, value_id

POSTED = (invoicing.POSTED, payments.POSTED, settlement.POSTED, corrections.POSTED, billing.POSTED)
LEDGER = (*OWNED, *SHARED)
AT_WORK = ("dueAt", "waitsFor", "claimedUntil")
IN_HELD = ("waiting", "scheduled", "suspect", "parked", "discarded", "mended")

# What each document makes its fact post by the posting table of the design, debit positive, beside what was posted.
# Payable follows the accruals, and those follow the invoice's lines (`lines-match-accruals`).
applied_facts = View(
    "applied facts",
    "inbox",
    (
        {"$match": {"$or": [fact["$match"] for posted in POSTED for fact in posted.facts]}},
        {"$project": {"inbox": {"$literal": 1}}},
        union(
            "entries",
            {"$project": {"p": each("$postings", {"class": ledger_class, "amount": "$$this.amount"})}},
            {
                "$project": {
                    "entry": {"$literal": 1},
                    **{name: sum_where("$p", equal("$$this.class", name), "$$this.amount") for name in LEDGER},
                }
            },
        ),
        *(row for posted in POSTED for row in posted.rows),
        {
            "$group": {
                "_id": "$_id",
                **{count: {"$sum": f"${count}"} for count in ("inbox", "entry", "document")},
                "partners": {"$max": "$partners"},
                # The difference and not both sums: half the memory for each of as many groups as there are facts.
                **{name: {"$sum": f"${name}"} for name in LEDGER},
            }
        },
    ),
)

statements_and_closings = View(
    "statements and closings",
    "settlements",
    (
        {"$group": {"_id": {"$concat": ["settlement.close:", "$closingId"]}, "statements": {"$sum": 1}}},
        union("inbox", begins("settlement.close:"), {"$project": {"inbox": {"$literal": 1}}}),
        # A closing by itself; the rest of a closing has a stroke.
        union(
            "inbox",
            begins("settlement.continue:"),
            {"$match": {"_id": {"$not": {"$regex": "/"}}}},
            {
                "$project": {
                    "_id": {"$concat": ["settlement.close:", {"$substrBytes": ["$_id", 20, -1]}]},
                    "inbox": {"$literal": 1},
                }
            },
        ),
        {"$group": {"_id": "$_id", "statements": {"$sum": "$statements"}, "inbox": {"$sum": "$inbox"}}},
    ),
)

held_rows = View(
    "held messages",
    "held",
    (
        {"$project": {"state": 1, "dueAt": 1, "waitsFor": 1, "claimedUntil": 1}},
        # What is held is little beside what was applied, so here a lookup by `_id` is cheaper than grouping the inbox.
        {
            "$lookup": {
                "from": "inbox",
                "localField": "_id",
                "foreignField": "_id",
                "pipeline": [{"$project": {"_id": 1}}],
                "as": "applied",
            }
        },
    ),
)

# Little as well: what operators did.
acts = View(
    "operators' acts",
    "operatorActs",
    (
        {"$project": {"identity": 1}},
        *(
            {
                "$lookup": {
                    "from": collection,
                    "localField": "identity",
                    "foreignField": "_id",
                    "pipeline": [{"$project": {"_id": 1}}],
                    "as": collection,
                }
            }
            for collection in ("held", "inbox")
        ),
    ),
)

# A body too large for its row is in pieces 0, 1, 2 … beside it, and the row says how many.
held_bodies = View(
    "bodies of held messages",
    "heldBodies",
    (
        {"$group": {"_id": "$_id.held", "pieces": {"$sum": 1}, "last": {"$max": "$_id.n"}}},
        union("held", {"$match": {"pieces": {"$gt": 0}}}, {"$project": {"said": "$pieces"}}),
        {
            "$group": {
                "_id": "$_id",
                "pieces": {"$sum": "$pieces"},
                "last": {"$sum": "$last"},
                "said": {"$sum": "$said"},
            }
        },
    ),
)


values_and_references = View(
    "values and who refers to them",
    VALUES,
    (
        {"$project": {"there": {"$literal": 1}}},
        *(
            union(
                collection,
                {"$match": REFERRING},
                {"$unwind": "$values"},
                {"$group": {"_id": "$values.value", "references": {"$sum": 1}}},
            )
            for collection in ("accountVersions", "inbox", "outbox")
        ),
        {"$group": {"_id": "$_id", "there": {"$sum": "$there"}, "references": {"$sum": "$references"}}},
    ),
)


def bytes_of_values(database: Database[dict[str, Any]], session: ClientSession) -> Iterator[Offender | None]:
    """Whether each value is what its id says."""
    for row in database[VALUES].find({}, session=session).sort("_id", 1):
        json, said = row.get("json"), str(row["_id"])
        found = value_id(said.rpartition("/")[0], json) if isinstance(json, bytes) else None
        yield None if found == said else {"id": said, "expected": said, "found": found}


def posts_as_due(name: str, invariant: int, ledger: Iterable[str]) -> Check:
    """The check that each fact posted to these ledger accounts what its documents say."""
    ledger = tuple(ledger)
    return Check(
        name=name,
        invariant=invariant,
        view=applied_facts,
        holds=both(*(equal(f"${account}", 0) for account in ledger)),
        expected={"postedBeyondDue": dict.fromkeys(ledger, 0)},
        found={"postedBeyondDue": {account: f"${account}" for account in ledger}},
    )


CHECKS = (
    posts_as_due("receivable-matches-invoices", 3, ("receivable",)),
    posts_as_due("income-matches-invoices", 3, ("revenue", "commission", "tax", "badDebt")),
    posts_as_due(
        "cash-matches-payments", 4, ("cash", "unapplied", "refundable", "recoverable", "bankCharges", "goodwill")
    ),
    posts_as_due("payable-entries-match-accruals", 5, ("payable", "withheld")),
    posts_as_due("steps-are-posted", 5, ("reserve", "advance", "guarantee")),
    posts_as_due("input-tax-matches-documents", 5, ("inputTax",)),
    Check(
        name="entries-match-inbox",
        invariant=6,
        view=applied_facts,
        holds=both(equal("$inbox", 1), equal("$entry", 1)),
        expected={"inbox": 1, "entry": 1},
        found={"inbox": "$inbox", "entry": "$entry"},
    ),
    Check(
        name="documents-match-inbox",
        invariant=6,
        view=applied_facts,
        # An order may have none of ours but partners' invoices.
        holds=both(equal("$inbox", 1), equal({"$max": ["$document", "$partners"]}, 1)),
        expected={"inbox": 1, "document": 1},
        found={"inbox": "$inbox", "document": {"$max": ["$document", "$partners"]}},
    ),
    Check(
        name="statements-match-inbox",
        invariant=6,
        view=statements_and_closings,
        among={"$gt": ["$statements", 0]},
        holds=equal("$inbox", 1),
        expected={"inbox": 1},
        found={"inbox": "$inbox"},
    ),
    Check(
        name="held-or-applied",
        invariant=6,
        view=held_rows,
        holds=equal({"$size": "$applied"}, 0),
        expected="held or in the inbox",
        found="both",
    ),
    Check(
        name="held-states-legal",
        invariant=6,
        view=held_rows,
        holds={"$in": ["$state", IN_HELD]},
        expected={"$literal": IN_HELD},
        found="$state",
    ),
    Check(
        name="held-at-rest-or-due",
        invariant=6,
        view=held_rows,
        holds={
            "$cond": [
                {"$in": ["$state", ["parked", "discarded", "mended"]]},
                both(*(equal({"$ifNull": [f"${name}", None]}, None) for name in AT_WORK)),
                {"$gt": ["$dueAt", None]},
            ]
        },
        expected="nothing to come when it is parked or done with, and a time when it is due otherwise",
        found={"state": "$state", **{name: {"$toString": f"${name}"} for name in AT_WORK}},
    ),
    Check(
        name="acts-point-to-messages",
        invariant=9,
        view=acts,
        holds=equal({"$add": [{"$size": "$held"}, {"$size": "$inbox"}]}, 1),
        expected={"held": 0, "inbox": 1},
        found={"held": {"$size": "$held"}, "inbox": {"$size": "$inbox"}},
    ),
    Check(
        name="held-bodies-whole",
        invariant=9,
        view=held_bodies,
        holds=both(equal("$pieces", "$said"), equal("$last", {"$subtract": ["$said", 1]})),
        expected={"pieces": "$said", "last": {"$subtract": ["$said", 1]}},
        found={"pieces": "$pieces", "last": "$last"},
    ),
    Reading("values-are-what-their-ids-say", 6, (VALUES,), bytes_of_values),
    Check(
        name="values-referred-to-are-there",
        invariant=9,
        view=values_and_references,
        among={"$gt": ["$references", 0]},
        holds=equal("$there", 1),
        expected={"there": 1},
        found={"there": "$there", "references": "$references"},
    ),
)
