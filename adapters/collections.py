"""The collections and their indexes, each index with the query that it serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pymongo import ASCENDING, IndexModel

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Lists of specifications, by name.
_SPECIFICATION = IndexModel([("state", ASCENDING), ("nameKey", ASCENDING), ("_id", ASCENDING)], name="listed")

# Each collection is read by `_id` besides. Partial indexes hold only what is still to be done, so they stay small
# however old the books are; a query must repeat the filter to be served by one.
INDEXES: dict[str, list[IndexModel]] = {
    "accounts": [
        # Lists of all accounts; the state is there so that those deleted need not be read to be passed over.
        IndexModel([("_id", ASCENDING), ("state", ASCENDING)], name="all"),
        # Lists of those of a type, a state, or both. A list names its states and types, if need be all of them, so that
        # each (state, type) is one run of the index in the list's order, and the server merges the runs.
        IndexModel([("state", ASCENDING), ("type", ASCENDING), ("_id", ASCENDING)], name="listed"),
        # The same by the beginning of the name, in the order of names.
        IndexModel(
            [("state", ASCENDING), ("type", ASCENDING), ("nameKey", ASCENDING), ("_id", ASCENDING)], name="named"
        ),
        # The same of a party; the name is there to be looked at without reading the account.
        IndexModel(
            [
                ("parties", ASCENDING),
                ("state", ASCENDING),
                ("type", ASCENDING),
                ("_id", ASCENDING),
                ("nameKey", ASCENDING),
            ],
            name="party",
        ),
        # The accounts that a financial account sums up.
        IndexModel(
            [("financialAccount", ASCENDING), ("_id", ASCENDING)],
            name="financialAccount",
            partialFilterExpression={"financialAccount": {"$gt": ""}},
        ),
    ],
    "positions": [
        # Who owes, and since when: lists by payment status, whose due date comes first.
        IndexModel(
            [("oldestDue", ASCENDING), ("_id", ASCENDING)],
            name="owing",
            partialFilterExpression={"oldestDue": {"$gt": ""}},
        ),
    ],
    "accountVersions": [
        # An account's history, and what it was at a time.
        IndexModel([("account", ASCENDING), ("version", ASCENDING), ("bookedAt", ASCENDING)], name="history"),
        # The accounts that a financial account has ever summed up.
        IndexModel(
            [("snapshot.financialAccount", ASCENDING), ("account", ASCENDING)],
            name="financialAccount",
            partialFilterExpression={"snapshot.financialAccount": {"$gt": ""}},
        ),
    ],
    "links": [
        # Who refers to a thing in one way.
        IndexModel(
            [("owner", ASCENDING), ("referrer", ASCENDING), ("_id", ASCENDING)],
            name="open",
            partialFilterExpression={"open": True},
        ),
    ],
    "billingCycleSpecifications": [_SPECIFICATION],
    "billFormats": [_SPECIFICATION],
    "billPresentationMedia": [_SPECIFICATION],
    "invoices": [
        # A payment's next invoices: an account's open ones, by due date, then by number.
        IndexModel(
            [("billingAccount", ASCENDING), ("paymentDueDate", ASCENDING), ("_id", ASCENDING)],
            name="open",
            partialFilterExpression={"remainingAmount": {"$gt": 0}},
        ),
        # The invoices of an order. That it is billed once is due to its identity in the inbox.
        IndexModel([("orderId", ASCENDING)], name="order"),
        # Lists of an account's invoices, all or those in one state, by number.
        IndexModel([("billingAccount", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)], name="listed"),
    ],
    "payments": [
        # An invoice's credit: an account's payments that are not used up, oldest first.
        IndexModel(
            [("billingAccount", ASCENDING), ("receivedAt", ASCENDING), ("_id", ASCENDING)],
            name="credit",
            partialFilterExpression={"unapplied": {"$gt": 0}},
        ),
    ],
    "allocations": [
        # What an account has paid since a time, to tell what was overdue then.
        IndexModel([("billingAccount", ASCENDING), ("bookedAt", ASCENDING)], name="booked"),
    ],
    "accruals": [
        # A closing's accruals: a partner's that no statement holds, by date.
        IndexModel(
            [("settlementAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)],
            name="unstated",
            partialFilterExpression={"settlementId": {"$type": "null"}},
        ),
    ],
    "settlements": [
        # Lists of a partner's statements, oldest first.
        IndexModel([("settlementAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="listed"),
    ],
    "payouts": [],
    "entries": [
        # An account's movements: its postings by time and number.
        IndexModel(
            [("postings.account", ASCENDING), ("bookedAt", ASCENDING), ("postings.movement", ASCENDING)],
            name="movements",
        ),
    ],
    "inbox": [],
    "held": [
        # What waits for a thing that has just appeared.
        IndexModel(
            [("waitsFor", ASCENDING), ("heldAt", ASCENDING)],
            name="waiting",
            partialFilterExpression={"state": "waiting"},
        ),
        # What is due to be tried again, or to be parked because it has waited too long.
        IndexModel(
            [("dueAt", ASCENDING)],
            name="due",
            partialFilterExpression={"state": "waiting"},
        ),
        # What a worker had taken up when it died.
        IndexModel(
            [("claimedUntil", ASCENDING)], name="claimed", partialFilterExpression={"claimedUntil": {"$gt": EPOCH}}
        ),
        # The next message that is suspected of killing workers, to be run alone.
        IndexModel(
            [("dueAt", ASCENDING)],
            name="suspect",
            partialFilterExpression={"state": "suspect"},
        ),
        # An operator's look at one parked message.
        IndexModel([("parkedId", ASCENDING)], name="parkedId", unique=True),
        # Lists of what is held, oldest first, and the groups that it makes, without reading its bodies.
        IndexModel(
            [
                ("state", ASCENDING),
                ("heldAt", ASCENDING),
                ("_id", ASCENDING),
                ("group", ASCENDING),
                ("reason", ASCENDING),
                ("routingKey", ASCENDING),
                ("account", ASCENDING),
                ("failedAt", ASCENDING),
                ("parkedId", ASCENDING),
            ],
            name="listed",
        ),
    ],
    "heldBodies": [],
    "operatorActs": [
        # What was done with one message, and with all, in the order of time.
        IndexModel([("parkedId", ASCENDING), ("at", ASCENDING), ("_id", ASCENDING)], name="message"),
        IndexModel([("at", ASCENDING), ("_id", ASCENDING)], name="all"),
    ],
    "replays": [
        # The last ones, to find one that was stopped.
        IndexModel([("at", ASCENDING)], name="all"),
    ],
    # A replay's items are read by the beginning of their ids.
    "replayItems": [],
    "outbox": [
        # What an earlier life left unsent, oldest first.
        IndexModel(
            [("bookedAt", ASCENDING), ("_id", ASCENDING)],
            name="unsent",
            partialFilterExpression={"unsent": True},
        ),
        # What is sent again to a late subscriber, in the order of booking. An event comes into it when it is marked as
        # sent, not in the batch's transaction.
        IndexModel([("bookedAt", ASCENDING)], name="sent", partialFilterExpression={"sentAt": {"$gt": EPOCH}}),
        # An operator's look at what was given up.
        IndexModel(
            [("parkedAt", ASCENDING), ("_id", ASCENDING)],
            name="parked",
            partialFilterExpression={"parkedAt": {"$gt": EPOCH}},
        ),
    ],
    "series": [],
    # The number of the database's form.
    "meta": [],
}

RETIRED: Mapping[str, Sequence[str]] = {}
"""Indexes that an earlier version declared and this one does not, by collection: a migration drops them. Any others
that are there are somebody else's, and are left alone."""
