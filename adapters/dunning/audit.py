"""Dunning (invariants 3, 6, 7, 9): what stands was taken and should stand; charges and suspensions are of steps."""

from adapters.billing.subscription_audit import BY_DUNNING
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
    union,
)

LOOK = "dunning.look:"
"""How the identities of looks begin: `dunning.look:<account>/…`, and an id has no stroke."""
COMPLETE = "dunning.complete:"
STEP_TAKEN, OVERDUE, REQUESTED = "dunning.step-taken", "invoice.overdue", "payment.requested"
AT_WORK = ("waiting", "scheduled", "suspect", "parked")
"""The states in which a look is still to come."""
CHARGED = "dunning~"
"""How the ids of charges begin that steps made."""

_LOOKS = union(
    "held",
    begins(LOOK),
    {"$match": {"state": {"$in": list(AT_WORK)}}},
    {
        "$project": {
            "_id": {"$first": {"$split": [{"$substrBytes": ["$_id", len(LOOK), -1]}, "/"]}},
            "looks": {"$literal": 1},
        }
    },
)
"""The stage that appends a row for each look that is still to come, by its account."""

# One row, which is read once for all.
_NEWEST = {"$lookup": {"from": "calendar", "pipeline": [{"$project": {"newest": 1}}], "as": "calendar"}}


def _date(day: Expression) -> Expression:
    return {"$dateFromString": {"dateString": day, "format": "%Y-%m-%d", "onError": None}}


levels = View(
    "how far accounts are, and what they owe",
    "dunnings",
    (
        _NEWEST,
        {
            "$project": {
                "level": {"$size": "$steps"},
                "last": {"$last": "$steps.after"},
                "newest": {"$max": "$calendar.newest"},
                "promised": both(
                    has("$promise"),
                    {"$lte": [{"$max": "$calendar.newest"}, "$promise.until"]},
                    {"$not": [has("$promise.amount")]},
                ),
            }
        },
        union(
            "positions",
            {"$match": {"$or": [{"dunned": {"$exists": True}}, {"oldestDue": {"$gt": ""}}]}},
            {"$project": {"dunned": 1, "oldestDue": 1}},
        ),
        _LOOKS,
        {
            "$group": {
                "_id": "$_id",
                "looks": {"$sum": "$looks"},
                **{n: {"$max": f"${n}"} for n in ("level", "last", "newest", "promised", "dunned", "oldestDue")},
            }
        },
    ),
)
late_enough: Expression = both(
    has("$oldestDue"),
    {
        "$gte": [
            {"$dateDiff": {"startDate": _date("$oldestDue"), "endDate": _date("$newest"), "unit": "day"}},
            "$last",
        ]
    },
    {"$not": ["$promised"]},
)

standing_and_taken = View(
    "steps that stand, and those that were taken",
    "dunnings",
    (
        {"$unwind": {"path": "$steps", "includeArrayIndex": "place"}},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", "$steps.on"]},
                "stands": {"$literal": 1},
                "what": {
                    "level": {"$toInt": {"$add": ["$place", 1]}},
                    "action": "$steps.action",
                    "chargeId": {"$ifNull": ["$steps.chargeId", None]},
                },
            }
        },
        union(
            "dunningSteps",
            {
                "$project": {
                    "taken": {"$literal": 1},
                    "what": {"level": {"$toInt": "$level"}, "action": "$action", "chargeId": "$chargeId"},
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("stands", "taken")}, **agreed("what")}},
    ),
)

taken_and_looks = View(
    "steps that were taken, and the looks that took them",
    "dunningSteps",
    (
        {"$project": {"_id": "$cause", "taken": {"$literal": 1}, "look": {"$concat": [LOOK, "$_id"]}}},
        union("inbox", begins(LOOK), {"$project": {"looks": {"$literal": 1}}}),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("taken", "looks")},
                "look": {"$max": "$look"},
            }
        },
    ),
)
# A look that had much to request takes its step in its last part: `dunning.look:<account>/<day>/<number>`.
of_its_day: Expression = either(
    equal("$_id", "$look"), equal({"$indexOfBytes": ["$_id", {"$concat": ["$look", "/"]}]}, 0)
)

_COUNTED = ("taken", "dunning", "told", "toldOverdue", "asked", "requested")
by_account = View(
    "steps by account, and what told of them",
    "dunningSteps",
    (
        {"$group": {"_id": "$billingAccount", "taken": {"$sum": 1}, "newest": {"$max": "$on"}}},
        union("dunnings", {"$project": {"steppedOn": 1, "dunning": {"$literal": 1}}}),
        union(
            "outbox",
            {"$match": {"account": {"$gt": ""}, "routingKey": {"$in": [STEP_TAKEN, OVERDUE, REQUESTED]}}},
            {
                "$group": {
                    "_id": "$account",
                    "told": {"$sum": {"$cond": [equal("$routingKey", STEP_TAKEN), 1, 0]}},
                    "asked": {"$sum": {"$cond": [equal("$routingKey", REQUESTED), 1, 0]}},
                    "toldOverdue": {"$sum": {"$cond": [equal("$routingKey", OVERDUE), 1, 0]}},
                }
            },
        ),
        union(
            "invoices",
            {"$match": {"$or": [{"handling.overdueOn": {"$gt": ""}}, {"handling.request": {"$exists": True}}]}},
            {
                "$group": {
                    "_id": "$billingAccount",
                    "overdue": {"$sum": {"$cond": [has("$handling.overdueOn"), 1, 0]}},
                    "requested": {"$sum": {"$cond": [has("$handling.request"), 1, 0]}},
                    "early": {
                        "$sum": {
                            "$cond": [
                                both(
                                    has("$handling.overdueOn"),
                                    {"$lte": ["$handling.overdueOn", "$paymentDueDate"]},
                                ),
                                1,
                                0,
                            ]
                        },
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in (*_COUNTED, "overdue", "early")},
                **{n: {"$max": f"${n}"} for n in ("newest", "steppedOn")},
            }
        },
    ),
)

charged = View(
    "charges of steps",
    "charges",
    (
        {"$match": begins(CHARGED)["$match"]},
        {
            "$project": {
                "charges": {"$literal": 1},
                "what": {"account": "$billingAccount", "on": "$date"},
            }
        },
        union(
            "dunningSteps",
            {"$match": {"chargeId": {"$gt": ""}}},
            {
                "$project": {
                    "_id": "$chargeId",
                    "steps": {"$literal": 1},
                    "what": {"account": "$billingAccount", "on": "$on"},
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("charges", "steps")}, **agreed("what")}},
    ),
)

patches_and_suspensions = View(
    "what dunning changed of subscriptions, and what it keeps of that",
    "subscriptions",
    (
        {"$match": {"patches.cause": BY_DUNNING}},
        {"$unwind": "$patches"},
        {"$match": {"patches.cause": BY_DUNNING}},
        {
            "$project": {
                "_id": {"$concat": ["$_id", "/", {"$toString": "$patches.revision"}]},
                "patches": {"$literal": 1},
                "what": {
                    "kind": "$patches.kind",
                    "cause": "$patches.cause",
                },
            }
        },
        union(
            "dunningSuspensions",
            {"$project": {"kept": {"$literal": 1}, "what": {"kind": "suspend", "cause": "$cause"}}},
        ),
        union(
            "dunningSuspensions",
            {"$match": {"ended.revision": {"$gt": 0}}},
            {
                "$project": {
                    "_id": {"$concat": ["$subscription", "/", {"$toString": "$ended.revision"}]},
                    "kept": {"$literal": 1},
                    "what": {"kind": "resume", "cause": "$ended.cause"},
                }
            },
        ),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("patches", "kept")}, **agreed("what")}},
    ),
)

suspensions_and_steps = View(
    "suspensions, and the steps that they are of",
    "dunningSuspensions",
    (
        {
            "$group": {
                "_id": {"account": "$billingAccount", "step": "$step"},
                "open": {"$sum": {"$cond": [has("$ended"), 0, 1]}},
                "ended": {"$sum": {"$cond": [has("$ended"), 1, 0]}},
            }
        },
        union(
            "dunnings",
            {"$unwind": "$steps"},
            {"$match": {"steps.action": "suspend"}},
            {"$project": {"_id": {"account": "$_id", "step": "$steps.on"}, "stands": {"$literal": 1}}},
        ),
        # By account, since what is still to be done of one may be of any of its steps.
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("open", "ended", "stands")},
            }
        },
        {
            "$project": {
                "_id": "$_id.account",
                "of": {"step": "$_id.step", **{n: f"${n}" for n in ("open", "ended", "stands")}},
            }
        },
        _LOOKS,
        {"$group": {"_id": "$_id", "of": {"$push": "$of"}, "looks": {"$sum": "$looks"}}},
    ),
)
wrong_steps: Expression = only(
    "$of",
    {
        "$cond": [
            equal("$$this.stands", 1),
            {"$gt": ["$$this.ended", 0]},
            {"$gt": ["$$this.open", 0]},
        ]
    },
)

_BY_PEOPLE: Expression = both(
    {"$in": ["$$this.kind", ["suspend", "resume"]]},
    {"$not": [{"$regexMatch": {"input": "$$this.cause", "regex": BY_DUNNING}}]},
)
dunned_subscriptions = View(
    "subscriptions that dunning has suspended, and which of its suspensions stand",
    "subscriptions",
    (
        {"$match": {"patches.cause": BY_DUNNING, "state": {"$in": ["active", "suspended"]}}},
        {
            "$project": {
                "subscription": {"$literal": 1},
                "state": 1,
                "byPeople": {"$size": only("$patches", _BY_PEOPLE)},
            }
        },
        union(
            "dunningSuspensions",
            {"$match": {"ended": None}},
            {"$group": {"_id": "$subscription", "open": {"$sum": 1}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("subscription", "byPeople", "open")},
                "state": {"$max": "$state"},
            }
        },
    ),
)
should_be: Expression = {"$cond": [{"$gt": ["$open", 0]}, "suspended", "active"]}

requests = View(
    "payment requests, and the payments that answered them",
    "invoices",
    (
        {"$match": {"handling.request.paymentId": {"$gt": ""}}},
        {
            "$project": {
                "_id": {"request": "$_id", "payment": "$handling.request.paymentId"},
                "answered": {"$literal": 1},
                "account": "$billingAccount",
            }
        },
        union(
            "payments",
            {"$match": {"request": {"$gt": ""}}},
            {
                "$project": {
                    "_id": {"request": "$request", "payment": "$_id"},
                    "payments": {"$literal": 1},
                    "account": "$billingAccount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("answered", "payments")},
                **agreed("account"),
            }
        },
    ),
)

days = View(
    "the days of dunning, and what completed them",
    "dunnedDays",
    (
        _NEWEST,
        {
            "$project": {
                "days": {"$literal": 1},
                "first": 1,
                "newest": 1,
                "begun": {"$max": "$calendar.newest"},
            }
        },
        union(
            "inbox",
            begins(COMPLETE),
            {"$group": {"_id": "dunning", "from": {"$min": "$_id"}, "to": {"$max": "$_id"}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                "days": {"$sum": "$days"},
                **{n: {"$max": f"${n}"} for n in ("first", "newest", "begun", "from", "to")},
            }
        },
    ),
)

dunned_accounts = View(
    "dunned accounts",
    "dunnings",
    (
        {"$project": {"dunnings": {"$literal": 1}}},
        union("dunningSteps", {"$group": {"_id": "$billingAccount", "dunnings": {"$sum": 1}}}),
        union("dunningSuspensions", {"$group": {"_id": "$billingAccount", "dunnings": {"$sum": 1}}}),
        union("positions", {"$project": {"position": {"$literal": 1}}}),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("dunnings", "position")}}},
    ),
)

CHECKS = (
    Check(
        name="dunning-levels-match-positions",
        invariant=6,
        view=levels,
        among=either(has("$dunned"), {"$gt": ["$level", 0]}),
        holds=equal("$level", "$dunned"),
        expected="$level",
        found="$dunned",
    ),
    Check(
        name="dunning-levels-are-of-what-is-owed",
        invariant=3,
        view=levels,
        # What a payment has changed is looked at by what it has left to do.
        among=both({"$gt": ["$level", 0]}, equal("$looks", 0), has("$newest")),
        holds=late_enough,
        expected={"daysOverdue": "$last", "promised": False},
        found={"oldestDue": "$oldestDue", "newest": "$newest", "promised": "$promised"},
    ),
    Check(
        name="dunning-steps-were-taken",
        invariant=6,
        view=standing_and_taken,
        among={"$gt": ["$stands", 0]},
        holds=both(equal("$stands", 1), equal("$taken", 1), agrees("what")),
        expected={"stands": 1, "taken": 1, "what": "the same in both"},
        found={"stands": "$stands", "taken": "$taken", "what": span("what")},
    ),
    Check(
        name="dunning-steps-match-inbox",
        invariant=6,
        view=taken_and_looks,
        among={"$gt": ["$taken", 0]},
        holds=both(equal("$taken", 1), equal("$looks", 1), of_its_day),
        expected={"taken": 1, "looks": 1, "look": "$look"},
        found={"taken": "$taken", "looks": "$looks", "look": "$_id"},
    ),
    Check(
        name="dunning-is-as-of-its-last-step",
        invariant=6,
        view=by_account,
        among={"$gt": [{"$add": ["$taken", "$dunning"]}, 0]},
        holds=both(equal("$dunning", 1), equal({"$ifNull": ["$steppedOn", None]}, {"$ifNull": ["$newest", None]})),
        expected={"dunning": 1, "steppedOn": "$newest"},
        found={"dunning": "$dunning", "steppedOn": "$steppedOn"},
    ),
    Check(
        name="dunning-steps-are-told-once",
        invariant=7,
        view=by_account,
        holds={"$cond": ["$$pruned", {"$lte": ["$told", "$taken"]}, equal("$told", "$taken")]},
        expected={"told": "$taken"},
        found={"told": "$told"},
    ),
    Check(
        name="overdue-invoices-are-told-once",
        invariant=7,
        view=by_account,
        holds=both(
            equal("$early", 0),
            {"$cond": ["$$pruned", {"$lte": ["$toldOverdue", "$overdue"]}, equal("$toldOverdue", "$overdue")]},
        ),
        expected={"told": "$overdue", "early": 0},
        found={"told": "$toldOverdue", "early": "$early"},
    ),
    Check(
        name="payments-are-requested-once",
        invariant=7,
        view=by_account,
        holds={"$cond": ["$$pruned", {"$lte": ["$asked", "$requested"]}, equal("$asked", "$requested")]},
        expected={"asked": "$requested"},
        found={"asked": "$asked"},
    ),
    Check(
        name="requests-are-answered-by-payments",
        invariant=9,
        view=requests,
        among={"$gt": ["$answered", 0]},
        holds=both(equal("$answered", 1), equal("$payments", 1), agrees("account")),
        expected={"answered": 1, "payments": 1, "account": "the same in both"},
        found={"answered": "$answered", "payments": "$payments", "account": span("account")},
    ),
    Check(
        name="dunned-days-match-inbox",
        invariant=6,
        view=days,
        holds=both(
            equal("$days", 1),
            equal({"$concat": [COMPLETE, "$first"]}, "$from"),
            equal({"$concat": [COMPLETE, "$newest"]}, "$to"),
            {"$lte": ["$newest", "$begun"]},
        ),
        expected={"first": "$from", "newest": "$to"},
        found={"first": "$first", "newest": "$newest"},
    ),
    Check(
        name="dunning-charges-are-of-steps",
        invariant=3,
        view=charged,
        holds=both(equal("$charges", 1), equal("$steps", 1), agrees("what")),
        expected={"charges": 1, "steps": 1, "what": "the same in both"},
        found={"charges": "$charges", "steps": "$steps", "what": span("what")},
    ),
    Check(
        name="dunning-suspensions-match-subscriptions",
        invariant=6,
        view=patches_and_suspensions,
        holds=both(equal("$patches", 1), equal("$kept", 1), agrees("what")),
        expected={"patches": 1, "kept": 1, "what": "the same in both"},
        found={"patches": "$patches", "kept": "$kept", "what": span("what")},
    ),
    Check(
        name="dunning-suspends-while-its-steps-stand",
        invariant=6,
        view=suspensions_and_steps,
        among=equal("$looks", 0),
        holds=equal(wrong_steps, []),
        expected="suspended while the step stands, ended when it does not",
        found=wrong_steps,
    ),
    Check(
        name="dunned-subscriptions-are-suspended",
        invariant=6,
        view=dunned_subscriptions,
        # What people have said of it counts as well, and that is looked at by its patches.
        among=both(equal("$subscription", 1), equal("$byPeople", 0)),
        holds=equal("$state", should_be),
        expected={"state": should_be, "open": "$open"},
        found={"state": "$state", "open": "$open"},
    ),
    Check(
        name="dunning-has-positions",
        invariant=9,
        view=dunned_accounts,
        among={"$gt": ["$dunnings", 0]},
        holds=equal("$position", 1),
        expected={"position": 1},
        found={"position": "$position"},
    ),
)
