"""Subscriptions (invariants 3, 6 and 9): each is what its patches make of it, and what said so was applied."""

import re

from adapters.checks import (
    Check,
    Expression,
    View,
    agreed,
    agrees,
    begins,
    both,
    either,
    equal,
    has,
    only,
    span,
    true_of_each,
    union,
)

CREATE, TURN = "subscription.create:", "subscription.turn:"
CHANGES = tuple(f"subscription.{kind}:" for kind in ("change", "suspend", "resume", "terminate"))
BY_DUNNING = re.compile(r"^(dunning\.look|payment\.promise):")
"""The identities of facts that suspend and resume for dunning, which has its own account of that."""
AT_WORK = ("waiting", "scheduled", "suspect", "parked")
"""The states in which a turn is still to come."""
NEVER = "9999-12-31"


IN_ORDER: Expression = {"$sortArray": {"input": "$patches", "sortBy": {"effectiveDate": 1, "revision": 1}}}
"""A subscription's patches in the order of their dates, then in that in which they were applied."""


def patched(term: str, key: str, before: str = "$$value") -> Expression:
    """What a field of the terms, and its key, is after the patch `$$this`; `before` has what it was."""
    return {"$cond": [{"$in": [term, "$$this.changed"]}, f"$$this.terms.{key}", f"{before}.{key}"]}


def state_on(day: Expression) -> Expression:
    """What a subscription is on a day, by its patches in the order of their dates, `$inOrder`."""
    before_this: Expression = {"$lt": ["$$value.terminationDate", "$$this.effectiveDate"]}
    over: Expression = both(has("$$value.terminationDate"), before_this)
    terms = {
        "$reduce": {
            "input": only("$inOrder", {"$lte": ["$$this.effectiveDate", day]}),
            "initialValue": {
                "terminationDate": "$terms.terminationDate",
                "suspended": "$terms.suspended",
                "over": False,
            },
            "in": {
                "terminationDate": patched("termination_date", "terminationDate"),
                "suspended": patched("suspended", "suspended"),
                # A day on which it was not served any more: nothing that was agreed for later counts.
                "over": either("$$value.over", over),
            },
        }
    }
    ended: Expression = both(has("$$now.terminationDate"), {"$lte": ["$$now.terminationDate", day]})
    served: Expression = {"$cond": ["$$now.suspended", "suspended", "active"]}
    state: Expression = {"$cond": [either("$$now.over", ended), "terminated", served]}
    started: Expression = {"$let": {"vars": {"now": terms}, "in": state}}
    return {"$cond": [{"$lt": [day, "$startDate"]}, "pendingActive", started]}


_DAYS: Expression = {
    "$setUnion": [["$startDate", "$terms.terminationDate"], "$patches.effectiveDate", "$patches.terms.terminationDate"]
}
_TO_COME: Expression = {
    "$filter": {
        "input": _DAYS,
        "as": "day",
        "cond": both(
            {"$gt": ["$$day", "$newest"]},
            {"$lt": ["$$day", NEVER]},
            {"$ne": [state_on("$$day"), "$now"]},
        ),
    }
}

subscriptions_and_turns = View(
    "subscriptions and their turns",
    "subscriptions",
    (
        # One row, which is read once for all.
        {"$lookup": {"from": "calendar", "pipeline": [{"$project": {"newest": 1}}], "as": "calendar"}},
        {
            "$set": {
                "newest": {"$max": "$calendar.newest"},
                "inOrder": IN_ORDER,
            }
        },
        {"$set": {"now": state_on("$newest")}},
        {
            "$project": {
                "_id": {"$concat": [TURN, "$_id", "/", {"$toString": "$revision"}]},
                "subscription": {"$literal": 1},
                "state": 1,
                "now": 1,
                "newest": 1,
                "next": {"$min": _TO_COME},
            }
        },
        union(
            "held",
            begins(TURN),
            {"$match": {"state": {"$in": list(AT_WORK)}}},
            # `<subscription>/<revision>/<date>`; an id is of ASCII.
            {"$set": {"prefix": {"$subtract": [{"$strLenBytes": "$_id"}, len(f"/{NEVER}")]}}},
            {
                "$project": {
                    "_id": {"$substrBytes": ["$_id", 0, "$prefix"]},
                    "turn": {"$substrBytes": ["$_id", {"$add": ["$prefix", 1]}, -1]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "subscription": {"$sum": "$subscription"},
                **{name: {"$max": f"${name}"} for name in ("state", "now", "newest", "next")},
                "turns": {"$push": {"$ifNull": ["$turn", None]}},
            }
        },
        {"$set": {"turns": only("$turns", has("$$this"))}},
    ),
)
# A turn that is due brings it to the state of its day, and says the next one.
as_of_newest: Expression = both(
    equal("$subscription", 1),
    has("$newest"),
    true_of_each("$turns", {"$gt": ["$$this", "$newest"]}),
)

subscriptions = View("subscriptions", "subscriptions", ())
changed_once: Expression = both(
    equal("$patches.revision", {"$range": [2, {"$add": ["$revision", 1]}]}),
    true_of_each("$patches", {"$gte": ["$$this.effectiveDate", "$startDate"]}),
)
kept_open: Expression = equal("$open", either({"$ne": ["$state", "terminated"]}, has("$nextDue")))
looked_at: Expression = either(
    {"$not": [has("$recheckFrom")]},
    equal("$nextDue", "$startDate"),
)

subscriptions_and_messages = View(
    "subscriptions, their patches, and what said so",
    "subscriptions",
    (
        {
            "$project": {
                "said": {
                    "$concatArrays": [
                        [{"cause": {"$concat": [CREATE, "$_id"]}, "revision": {"$literal": 1}}],
                        "$patches",
                    ]
                }
            }
        },
        {"$unwind": "$said"},
        {"$match": {"said.cause": {"$not": BY_DUNNING}}},
        {
            "$project": {
                "_id": "$said.cause",
                "subscription": {"$literal": 1},
                "made": {"id": "$_id", "revision": {"$toInt": "$said.revision"}},
            }
        },
        *(
            union(
                "inbox",
                begins(kind),
                {
                    "$project": {
                        "inbox": {"$literal": 1},
                        "made": {"id": "$result.subscriptionId", "revision": {"$toInt": "$result.revision"}},
                    }
                },
            )
            for kind in (CREATE, *CHANGES)
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("subscription", "inbox")},
                **agreed("made"),
            }
        },
    ),
)

subscribed_accounts = View(
    "accounts and their subscriptions",
    "positions",
    (
        {"$project": {"position": {"$literal": 1}, "currency": 1}},
        union(
            "subscriptions",
            {"$project": {"_id": "$billingAccount", "subscriptions": {"$literal": 1}, "currency": 1}},
        ),
        {
            "$group": {
                "_id": "$_id",
                "position": {"$sum": "$position"},
                "subscriptions": {"$sum": "$subscriptions"},
                **agreed("currency"),
            }
        },
    ),
)

SUBSCRIPTION_CHECKS = (
    Check(
        name="subscriptions-are-what-was-agreed",
        invariant=3,
        view=subscriptions_and_turns,
        among=as_of_newest,
        holds=equal("$state", "$now"),
        expected="$now",
        found="$state",
    ),
    Check(
        name="subscription-turns-are-to-come",
        invariant=6,
        view=subscriptions_and_turns,
        among=as_of_newest,
        holds=equal("$turns", {"$cond": [has("$next"), ["$next"], []]}),
        expected="$next",
        found="$turns",
    ),
    Check(
        name="subscription-revisions-are-patches",
        invariant=3,
        view=subscriptions,
        holds=changed_once,
        expected={"revision": {"$add": [{"$size": "$patches"}, 1]}, "startDate": "$startDate"},
        found={"revision": "$revision", "revisions": "$patches.revision", "dates": "$patches.effectiveDate"},
    ),
    Check(
        name="live-subscriptions-are-open",
        invariant=3,
        view=subscriptions,
        holds=kept_open,
        expected={"state": "$state", "nextDue": "$nextDue"},
        found={"open": "$open"},
    ),
    Check(
        name="changed-subscriptions-are-due",
        invariant=3,
        view=subscriptions,
        holds=looked_at,
        expected={"nextDue": "$startDate"},
        found={"nextDue": "$nextDue", "recheckFrom": "$recheckFrom"},
    ),
    Check(
        name="subscriptions-match-inbox",
        invariant=6,
        view=subscriptions_and_messages,
        holds=both(equal("$subscription", 1), equal("$inbox", 1), agrees("made")),
        expected={"subscription": 1, "inbox": 1, "made": "the same in both"},
        found={"subscription": "$subscription", "inbox": "$inbox", "made": span("made")},
    ),
    Check(
        name="subscriptions-have-positions",
        invariant=9,
        view=subscribed_accounts,
        among={"$gt": ["$subscriptions", 0]},
        holds=both(equal("$position", 1), agrees("currency")),
        expected={"position": 1, "currency": "the same in both"},
        found={"position": "$position", "currency": span("currency")},
    ),
)
