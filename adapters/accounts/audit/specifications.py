"""Specifications, which accounts refer to: their facts (invariant 6) and their events (invariant 7)."""

from typing import Any

from adapters.checks import Check, Expression, Stage, View, begins, both, either, equal, union, whole

SPECIFICATIONS = {
    "bill-format": "billFormats",
    "bill-presentation-media": "billPresentationMedia",
    "billing-cycle-specification": "billingCycleSpecifications",
    "dunning-procedure": "dunningProcedures",
}
"""Where the resources are, by the name that messages have for them."""
EVENT_OF_SPECIFICATION = f"^({'|'.join(SPECIFICATIONS)})/"


def whose_id_begins(ending: str) -> Stage:
    """The stage that keeps the documents whose `_id` begins with a resource's name and `ending`."""
    return {"$match": {"$or": [begins(resource + ending)["$match"] for resource in SPECIFICATIONS]}}


# An event's `_id` is `<resource>/<id>:<revision>`; where it says so, the revisions of a resource are unique by that.
last_part: Expression = {"$last": {"$split": ["$_id", ":"]}}
before_last_part: Expression = {
    "$substrBytes": [
        "$_id",
        0,
        {"$max": [0, {"$subtract": [{"$strLenBytes": "$_id"}, {"$add": [{"$strLenBytes": last_part}, 1]}]}]},
    ]
}
event_named_rightly: Expression = both(
    equal(last_part, {"$toString": "$number"}),
    equal({"$first": {"$split": ["$_id", "/"]}}, {"$first": {"$split": ["$routingKey", "."]}}),
)


def rows_of(resource: str) -> tuple[Any, ...]:
    """The stages that make a row of each specification of a kind."""
    return (
        {
            "$project": {
                "_id": {"$concat": [f"{resource}/", "$_id"]},
                "specification": {"$literal": 1},
                **dict.fromkeys(("state", "revision", "createdAt", "updatedAt"), 1),
            }
        },
    )


[(FIRST, FIRST_COLLECTION), *OTHERS] = SPECIFICATIONS.items()
specifications = View(
    "specifications, their facts and their events",
    FIRST_COLLECTION,
    (
        *rows_of(FIRST),
        *(union(collection, *rows_of(resource)) for resource, collection in OTHERS),
        union(
            "inbox",
            whose_id_begins("."),
            {
                "$project": {
                    "_id": {"$concat": [{"$first": {"$split": ["$_id", "."]}}, "/", "$result.id"]},
                    "facts": {"$literal": 1},
                    "made": "$result.revision",
                }
            },
        ),
        union(
            "outbox",
            whose_id_begins("/"),
            {"$project": {"routingKey": 1, "number": {"$convert": {"input": last_part, "to": "int", "onError": None}}}},
            {
                "$project": {
                    "_id": before_last_part,
                    "events": {"$literal": 1},
                    "number": 1,
                    "misnamed": {"$cond": [event_named_rightly, 0, 1]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("specification", "revision", "facts", "events", "misnamed")},
                **{n: {"$max": f"${n}"} for n in ("state", "createdAt", "updatedAt")},
                "made": {"$addToSet": "$made"},
                "first": {"$min": "$number"},
                "last": {"$max": "$number"},
            }
        },
    ),
)

CHECKS = (
    Check(
        name="specification-states-legal",
        invariant=6,
        view=specifications,
        among=equal("$specification", 1),
        holds=both(
            {"$in": ["$state", ["active", "deleted"]]},
            # What is deleted was created before.
            {"$gte": ["$revision", {"$cond": [equal("$state", "deleted"), 2, 1]}]},
            whole("$revision"),
            {"$lte": ["$createdAt", "$updatedAt"]},
        ),
        expected="active, or deleted after its creation; changed after its creation",
        found={
            "state": "$state",
            "revision": "$revision",
            "createdAt": {"$toString": "$createdAt"},
            "updatedAt": {"$toString": "$updatedAt"},
        },
    ),
    Check(
        name="specifications-match-inbox",
        invariant=6,
        view=specifications,
        among={"$gt": [{"$add": ["$specification", "$facts"]}, 0]},
        # Each revision was made by a fact; an update that says what is so already makes none.
        holds=both(
            equal("$specification", 1),
            equal({"$size": "$made"}, "$revision"),
            equal({"$min": "$made"}, 1),
            equal({"$max": "$made"}, "$revision"),
        ),
        expected={"specification": 1, "revisions": "$revision", "last": "$revision"},
        found={"specification": "$specification", "revisions": {"$size": "$made"}, "last": {"$max": "$made"}},
    ),
    Check(
        name="specification-events-run-without-gap",
        invariant=7,
        view=specifications,
        holds=either(
            # Where sent rows are pruned, one that has long not changed has none left.
            both("$$pruned", equal("$events", 0)),
            both(
                equal("$last", "$revision"),
                equal("$misnamed", 0),
                equal("$events", {"$subtract": ["$last", {"$subtract": ["$first", 1]}]}),
                either("$$pruned", equal("$first", 1)),
            ),
        ),
        expected={"first": {"$cond": ["$$pruned", "$first", 1]}, "last": "$revision", "misnamed": 0},
        found={"first": "$first", "last": "$last", "events": "$events", "misnamed": "$misnamed"},
    ),
)
