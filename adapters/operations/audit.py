"""The outbox (invariant 7): each account's events are numbered without a gap and are sent soon, or parked."""

from adapters.accounts.audit.specifications import EVENT_OF_SPECIFICATION
from adapters.billing.audit import EVENT_OF_RUN
from adapters.checks import Check, Expression, View, both, either, equal, has, union
from adapters.parties.audit import EVENT_OF_SELLER

# An event's `_id` is `<account>:<sequence>`; where it says so, the numbers of an account are unique by that.
named_rightly: Expression = equal("$_id", {"$concat": ["$account", ":", {"$toString": "$sequence"}]})

event_sequences = View(
    "events of accounts",
    "outbox",
    (
        {"$match": {"account": {"$gt": ""}}},
        {
            "$group": {
                "_id": "$account",
                "rows": {"$sum": 1},
                "first": {"$min": "$sequence"},
                "last": {"$max": "$sequence"},
                "misnamed": {"$sum": {"$cond": [named_rightly, 0, 1]}},
            }
        },
        union("positions", {"$project": {"position": {"$literal": 1}, "sequence": 1}}),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("position", "rows", "first", "last", "misnamed", "sequence")},
            }
        },
    ),
)

unsent: Expression = equal("$unsent", {"$literal": True})
parked: Expression = both(has("$parkedAt"), has("$reason"))
# How many of the three states an event is in.
states: Expression = {"$sum": [{"$cond": [state, 1, 0]} for state in (unsent, has("$sentAt"), parked)]}
# The relay's time begins anew when an operator releases a parked event.
unsent_since: Expression = {"$max": ["$bookedAt", {"$max": "$released.at"}]}
outbox_rows = View(
    "outbox rows",
    "outbox",
    (
        {
            "$project": {
                **dict.fromkeys(("unsent", "sentAt", "parkedAt", "reason", "account", "routingKey"), 1),
                "unsentSince": unsent_since,
            }
        },
    ),
)

CHECKS = (
    Check(
        name="event-sequences-run-without-gap",
        invariant=7,
        view=event_sequences,
        among=equal("$position", 1),
        holds=either(
            # Where sent rows are pruned, an account that has been quiet has none left.
            both("$$pruned", equal("$rows", 0)),
            both(
                equal("$last", "$sequence"),
                equal("$misnamed", 0),
                equal("$rows", {"$subtract": ["$last", {"$subtract": ["$first", {"$min": ["$first", 1]}]}]}),
                either(equal("$rows", 0), either("$$pruned", equal("$first", 1))),
            ),
        ),
        expected={
            "first": {"$cond": ["$$pruned", "$first", {"$min": ["$sequence", 1]}]},
            "last": "$sequence",
            "rows": {"$add": [{"$subtract": ["$sequence", "$first"]}, {"$min": ["$first", 1]}]},
            "misnamed": 0,
        },
        found={"first": "$first", "last": "$last", "rows": "$rows", "misnamed": "$misnamed"},
    ),
    Check(
        name="outbox-rows-sent-young-or-parked",
        invariant=7,
        view=outbox_rows,
        holds=both(
            equal(states, 1),
            {"$cond": [unsent, {"$gte": ["$unsentSince", "$$unsentSince"]}, True]},
        ),
        expected={"$cond": [unsent, {"unsentSince": {"$toString": "$$unsentSince"}}, "one of sent and parked"]},
        found={
            "unsent": unsent,
            "sent": has("$sentAt"),
            "parked": parked,
            "unsentSince": {"$toString": "$unsentSince"},
        },
    ),
    Check(
        name="events-say-whose-they-are",
        invariant=7,
        view=outbox_rows,
        holds=either(
            has("$account"),
            either(
                equal("$routingKey", "message.parked"),
                {
                    "$regexMatch": {
                        "input": "$_id",
                        "regex": f"{EVENT_OF_SPECIFICATION}|{EVENT_OF_SELLER}|{EVENT_OF_RUN}",
                    }
                },
            ),
        ),
        expected="the account's, a specification's, the seller's, a bill run's, or message.parked",
        found="$routingKey",
    ),
    Check(
        name="events-have-positions",
        invariant=9,
        view=event_sequences,
        among={"$gt": ["$rows", 0]},
        holds=equal("$position", 1),
        expected={"position": 1},
        found={"position": "$position"},
    ),
)
