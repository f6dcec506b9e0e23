"""The outbox (invariant 7): each account's events are numbered without a gap and do not stay unsent."""

from adapters.audit.model import Check, Expression, View, both, either, equal, has, union
from adapters.audit.specifications import EVENT_OF_SPECIFICATION

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
outbox_rows = View(
    "outbox rows",
    "outbox",
    ({"$project": dict.fromkeys(("unsent", "sentAt", "bookedAt", "account", "routingKey"), 1)},),
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
        name="outbox-rows-sent-or-young",
        invariant=7,
        view=outbox_rows,
        holds={"$cond": [unsent, {"$gte": ["$bookedAt", "$$unsentSince"]}, has("$sentAt")]},
        expected={"$cond": [unsent, {"bookedSince": {"$toString": "$$unsentSince"}}, "sentAt"]},
        found={"unsent": unsent, "bookedAt": {"$toString": "$bookedAt"}},
    ),
    Check(
        name="events-say-whose-they-are",
        invariant=7,
        view=outbox_rows,
        holds=either(
            has("$account"),
            either(
                equal("$routingKey", "message.parked"),
                {"$regexMatch": {"input": "$_id", "regex": EVENT_OF_SPECIFICATION}},
            ),
        ),
        expected="the account's, a specification's, or message.parked",
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
