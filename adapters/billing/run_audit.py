"""Bill runs (invariants 3, 6): beside what started and ended them, what came of their accounts, and their bills."""

from adapters.checks import (
    Check,
    Expression,
    Stage,
    View,
    agreed,
    agrees,
    begins,
    both,
    equal,
    has,
    span,
    union,
)

ACCOUNT = "bill.account:"
"""How the identities of the facts begin by which a run comes to an account."""

made_something = {
    "$or": [
        # An earlier version told one bill alone.
        {"result.billNo": {"$gt": ""}},
        {"result.billNos.0": {"$exists": True}},
        {"result.creditNotes.0": {"$exists": True}},
    ]
}
"""The filter for those that have an entry."""

_bills: Stage = {"$match": {"billing.cause": {"$gte": ACCOUNT, "$lt": ACCOUNT[:-1] + ";"}}}
_notes: Stage = {"$match": {"cause": {"$gte": ACCOUNT, "$lt": ACCOUNT[:-1] + ";"}}}

made_by_runs: Stage = union(
    "invoices",
    _bills,
    {"$project": {"_id": "$billing.cause"}},
    union("creditNotes", _notes, {"$project": {"_id": "$cause"}}),
    {"$group": {"_id": "$_id"}},
    {"$set": {"document": {"$literal": 1}}},
)
"""The facts of runs that have made a bill or a note, each once: those are their documents."""

# The account of a held one is known, so what stands before it in the business key is its run.
_head: Expression = {"$first": {"$split": ["$businessKey", "/"]}}
_run_held: Expression = {
    "$substrBytes": [
        _head,
        0,
        {"$subtract": [{"$strLenBytes": _head}, {"$add": [{"$strLenBytes": "$account"}, 1]}]},
    ]
}

runs = View(
    "bill runs, what said them, and what came of their accounts",
    "billRuns",
    (
        {
            "$project": {
                "run": {"$literal": 1},
                "completed": {"$cond": [equal("$state", "completed"), 1, 0]},
                "completedAt": 1,
                "billed": 1,
                "nothingDue": 1,
                "date": "$billingDate",
            }
        },
        union(
            "inbox",
            begins("bill-run.start:"),
            {"$project": {"_id": "$result.billRunId", "started": {"$literal": 1}}},
        ),
        union(
            "inbox",
            begins("bill-run.open:"),
            {"$unwind": "$result.billRunIds"},
            {"$project": {"_id": "$result.billRunIds", "started": {"$literal": 1}}},
        ),
        union(
            "inbox",
            begins("bill-run.complete:"),
            {"$project": {"_id": "$result.billRunId", "ended": {"$literal": 1}}},
        ),
        union(
            "inbox",
            begins(ACCOUNT),
            {
                "$group": {
                    "_id": {"run": "$result.billRunId", "account": "$result.billingAccount.id"},
                    "done": {"$sum": {"$cond": [equal("$result.state", "done"), 1, 0]}},
                    "made": {
                        "$max": {
                            "$or": [
                                has("$result.billNo"),
                                {"$gt": [{"$size": {"$ifNull": ["$result.billNos", []]}}, 0]},
                                {"$gt": [{"$size": "$result.creditNotes"}, 0]},
                            ]
                        }
                    },
                }
            },
            {
                "$project": {
                    "_id": "$_id.run",
                    "doneBilled": {"$cond": ["$made", "$done", 0]},
                    "doneNothing": {"$cond": ["$made", 0, "$done"]},
                    "twice": {"$cond": [{"$gt": ["$done", 1]}, 1, 0]},
                }
            },
        ),
        union(
            "invoices",
            {"$match": {"billing.billRun": {"$gt": ""}}},
            {"$project": {"_id": "$billing.billRun", "date": "$taxPointDate"}},
        ),
        union(
            "held",
            begins(ACCOUNT),
            # What an operator replays is tried again, whatever became of its run.
            {"$match": {"state": {"$in": ["waiting", "suspect", "scheduled"]}, "waitingSince": {"$type": "null"}}},
            {"$project": {"_id": _run_held, "leftSince": "$heldAt"}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in (
                        "run",
                        "completed",
                        "started",
                        "ended",
                        "billed",
                        "nothingDue",
                        "doneBilled",
                        "doneNothing",
                        "twice",
                    )
                },
                "completedAt": {"$max": "$completedAt"},
                "leftSince": {"$min": "$leftSince"},
                **agreed("date"),
            }
        },
    ),
)

totals = View(
    "what bill runs say that their bills come to, and those bills",
    "billRuns",
    (
        {"$unwind": "$totals"},
        {
            "$project": {
                "_id": {"billRun": "$_id", "currency": "$totals.currency"},
                "saidExcluded": "$totals.taxExcludedAmount",
                "saidIncluded": "$totals.taxIncludedAmount",
            }
        },
        union(
            "invoices",
            {"$match": {"billing.billRun": {"$gt": ""}}},
            {
                "$project": {
                    "_id": {"billRun": "$billing.billRun", "currency": "$currency"},
                    "excluded": "$taxExcludedAmount",
                    "included": "$taxIncludedAmount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("saidExcluded", "saidIncluded", "excluded", "included")},
            }
        },
    ),
)

bills_of_runs = View(
    "bills and the facts that made them",
    "invoices",
    (
        {"$match": {"billing.cause": {"$gt": ""}}},
        {
            "$project": {
                "run": {"$ifNull": ["$billing.billRun", None]},
                "runType": "$billing.runType",
                "ofRun": equal({"$indexOfBytes": ["$billing.cause", ACCOUNT]}, 0),
                "named": {
                    "$concat": [ACCOUNT, {"$ifNull": ["$billing.billRun", ""]}, ":", "$billingAccount"],
                },
                "cause": {"$first": {"$split": ["$billing.cause", "/"]}},
            }
        },
    ),
)

RUN_CHECKS = (
    Check(
        name="bill-runs-match-inbox",
        invariant=6,
        view=runs,
        holds=both(
            equal("$run", 1),
            {"$gte": ["$started", 1]},
            equal("$completed", {"$min": ["$ended", 1]}),
            equal("$completed", {"$cond": [has("$completedAt"), 1, 0]}),
        ),
        expected={"run": 1, "started": "once or more", "completed": {"$min": ["$ended", 1]}},
        found={
            "run": "$run",
            "started": "$started",
            "completed": "$completed",
            "completedAt": {"$toString": "$completedAt"},
        },
    ),
    Check(
        name="bill-runs-count-accounts",
        invariant=3,
        view=runs,
        holds=both(equal("$billed", "$doneBilled"), equal("$nothingDue", "$doneNothing"), equal("$twice", 0)),
        expected={"billed": "$doneBilled", "nothingDue": "$doneNothing", "twice": 0},
        found={"billed": "$billed", "nothingDue": "$nothingDue", "twice": "$twice"},
    ),
    Check(
        name="bill-runs-bill-up-to-their-date",
        invariant=3,
        view=runs,
        holds=agrees("date"),
        expected="the billing date of each bill",
        found=span("date"),
    ),
    Check(
        name="bill-runs-leave-nothing",
        invariant=6,
        view=runs,
        among=has("$completedAt"),
        holds={"$not": [both(has("$leftSince"), {"$lte": ["$leftSince", "$completedAt"]})]},
        expected="nothing that waits since before it was completed",
        found={"leftSince": {"$toString": "$leftSince"}, "completedAt": {"$toString": "$completedAt"}},
    ),
    Check(
        name="bill-runs-add-up",
        invariant=3,
        view=totals,
        holds=both(equal("$saidExcluded", "$excluded"), equal("$saidIncluded", "$included")),
        expected={"taxExcludedAmount": "$excluded", "taxIncludedAmount": "$included"},
        found={"taxExcludedAmount": "$saidExcluded", "taxIncludedAmount": "$saidIncluded"},
    ),
    Check(
        name="bills-say-their-run",
        invariant=6,
        view=bills_of_runs,
        holds={
            "$cond": [
                "$ofRun",
                both(equal("$runType", "onCycle"), equal("$cause", "$named")),
                both(equal("$runType", "offCycle"), equal("$run", None)),
            ]
        },
        expected={"runType": {"$cond": ["$ofRun", "onCycle", "offCycle"]}, "cause": "that of its run and account"},
        found={"runType": "$runType", "billRun": "$run", "cause": "$cause"},
    ),
)
