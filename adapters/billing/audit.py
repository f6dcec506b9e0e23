"""Billing (invariants 3, 6, 9): subscriptions, usage; charges beside their bills, bills beside what demanded them."""

from adapters.billing.billed_audit import BILLED_CHECKS, NOTED
from adapters.billing.run_audit import ACCOUNT, RUN_CHECKS, made_by_runs
from adapters.billing.run_audit import made_something as made_by_account
from adapters.billing.subscription_audit import SUBSCRIPTION_CHECKS
from adapters.billing.usage_audit import USAGE_CHECKS
from adapters.checks import (
    Check,
    Expression,
    Posted,
    Stage,
    View,
    agreed,
    agrees,
    begins,
    both,
    equal,
    half_away,
    has,
    minus,
    only,
    span,
    union,
)
from adapters.corrections.audit import given_back_of

DEMAND, FURTHER = "bill.demand:", "bill.continue:"
"""How the identities of demands begin, and of their further parts."""
EVENT_OF_RUN = "^bill-run/"

made_something = {
    "$or": [{"billNo": {"$gt": ""}}, {"billNos.0": {"$exists": True}}, {"creditNotes.0": {"$exists": True}}]
}
"""The filter for bills on demand that have an entry: nothing is posted where nothing is due."""
is_further: Expression = {"$ne": ["$_id", "$demandId"]}
identity: Expression = {"$concat": [{"$cond": [is_further, FURTHER, DEMAND]}, "$_id"]}

POSTED = Posted(
    tuple(
        {
            "$match": {
                **begins(kind)["$match"],
                **made_by_account,
            }
        }
        for kind in (DEMAND, FURTHER, ACCOUNT)
    ),
    (
        # What a bill and the notes beside it post, they say themselves.
        union(
            "billsOnDemand", {"$match": made_something}, {"$project": {"_id": identity, "document": {"$literal": 1}}}
        ),
        made_by_runs,
    ),
)


def bills_of(of: str) -> Expression:
    """The numbers of the sellers' bills: an earlier version named one alone, of several the demand names no one."""
    return {"$ifNull": [f"{of}billNos", {"$cond": [has(f"{of}billNo"), [f"{of}billNo"], []]}]}


# A row for each bill, of which the first stands for what made them.
each_bill: tuple[Stage, ...] = (
    {"$unwind": {"path": "$billNo", "includeArrayIndex": "nth", "preserveNullAndEmptyArrays": True}},
    {
        "$set": {
            "billed": {"$cond": [has("$billNo"), 1, 0]},
            **{n: {"$cond": [{"$gt": ["$nth", 0]}, 0, f"${n}"]} for n in ("demand", "inbox", "noted")},
        }
    },
)

demands = View(
    "bills, on demand or of runs, what asked for them, and the invoices that they made",
    "billsOnDemand",
    (
        {
            "$project": {
                "_id": identity,
                "demand": {"$literal": 1},
                "noted": {"$size": "$creditNotes"},
                "billNo": bills_of("$"),
                "account": "$billingAccount",
                "date": "$billingDate",
            }
        },
        *each_bill,
        *(union("inbox", begins(kind), {"$project": {"inbox": {"$literal": 1}}}) for kind in (DEMAND, FURTHER)),
        # Of a run's account there is no document but what came of the fact.
        union(
            "inbox",
            begins(ACCOUNT),
            {
                "$project": {
                    "demand": {"$literal": 1},
                    "inbox": {"$literal": 1},
                    "noted": {"$size": "$result.creditNotes"},
                    "billNo": bills_of("$result."),
                    "account": "$result.billingAccount.id",
                }
            },
            *each_bill,
        ),
        union(
            "invoices",
            {"$match": {"billing.cause": {"$gt": ""}}},
            {
                "$project": {
                    "_id": "$billing.cause",
                    "invoices": {"$literal": 1},
                    "billNo": "$_id",
                    "account": "$billingAccount",
                    "date": "$taxPointDate",
                }
            },
        ),
        # One that is neither an order's nor a bill's is nobody's.
        union(
            "invoices",
            {"$match": {"orderId": {"$type": "null"}, "billing.cause": {"$exists": False}}},
            {"$project": {"invoices": {"$literal": 1}}},
        ),
        union(
            "creditNotes",
            {"$match": {"cause": {"$gte": "bill.", "$lt": "bill/"}}},
            {"$project": {"_id": "$cause", "notes": {"$literal": 1}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("demand", "inbox", "billed", "invoices", "noted", "notes")},
                "numbers": {"$addToSet": "$billNo"},
                **agreed("account"),
                **agreed("date"),
            }
        },
    ),
)

# What is on a line, and what the charge says of it. Corrects and period are rows, which are equal as a whole.
lines_and_charges = View(
    "charges and the lines that bill them",
    "charges",
    (
        {
            "$project": {
                "charge": {"$literal": 1},
                "onLine": {"$cond": [has("$billed.billNo"), 1, 0]},
                "what": {
                    "$cond": [
                        has("$billed.billNo"),
                        {
                            "billNo": "$billed.billNo",
                            "lineId": "$billed.lineId",
                            "cause": "$billed.cause",
                            "amount": "$billed.amount",
                            "account": "$billingAccount",
                            "currency": "$currency",
                            "tax": {"category": "$item.category", "rate": "$item.rate"},
                            "partner": {"$ifNull": ["$item.onBehalfOf", None]},
                            "corrects": "$corrects",
                            "period": "$period",
                            "subscriptionId": "$subscriptionId",
                        },
                        "$$REMOVE",
                    ]
                },
            }
        },
        union(
            "invoices",
            {"$match": {"billing.cause": {"$gt": ""}}},
            {"$project": {"currency": 1, "billing.cause": 1, "lines": only("$lines", has("$$this.origin.chargeId"))}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": "$lines.origin.chargeId",
                    "lines": {"$literal": 1},
                    "what": {
                        "billNo": "$_id",
                        "lineId": "$lines.id",
                        "cause": "$billing.cause",
                        "amount": "$lines.taxExcludedAmount",
                        "account": "$lines.origin.account",
                        "currency": "$currency",
                        "tax": {"category": "$lines.category", "rate": "$lines.rate"},
                        "partner": {"$ifNull": ["$lines.onBehalfOf.id", None]},
                        "corrects": "$lines.origin.corrects",
                        "period": "$lines.origin.period",
                        "subscriptionId": "$lines.origin.subscriptionId",
                    },
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("charge", "onLine", "lines")},
                **agreed("what"),
            }
        },
    ),
)

charges = View("charges", "charges", ())
whole: Expression = equal("$billed.amount", "$net")
a_part: Expression = both(
    {"$gte": [{"$multiply": ["$billed.amount", "$net"]}, 0]},
    {"$lte": [{"$abs": "$billed.amount"}, {"$abs": "$net"}]},
)
on_a_line: Expression = both(has("$billed.billNo"), has("$billed.lineId"))
by_a_note: Expression = has("$billed.creditNote")
# Once: on a line, or by a note that takes back what it corrects, or by neither since nothing is left of that.
billed_once: Expression = {
    "$cond": [
        on_a_line,
        both({"$not": [by_a_note]}, {"$cond": [has("$corrects"), a_part, whole]}),
        both(
            has("$corrects"),
            {"$not": [has("$billed.billNo")]},
            a_part,
            equal(by_a_note, {"$ne": ["$billed.amount", 0]}),
        ),
    ]
}

charges_and_messages = View(
    "charges and what added them",
    "charges",
    (
        # What dunning charges is no message's, and its own to prove.
        {"$match": {"_id": {"$not": {"$gte": "dunning~", "$lt": "dunning\x7f"}}}},
        {"$project": {"_id": {"$concat": ["charge.add:", "$_id"]}, "charge": {"$literal": 1}}},
        union("inbox", begins("charge.add:"), {"$project": {"inbox": {"$literal": 1}}}),
        {"$group": {"_id": "$_id", **{n: {"$sum": f"${n}"} for n in ("charge", "inbox")}}},
    ),
)

noted_charges = View(
    "what credit notes take back of charges and of periods, and those notes",
    "charges",
    (
        {"$match": {"billed.creditNote": {"$gt": ""}}},
        {
            "$project": {
                "_id": {"note": "$billed.creditNote", "billNo": "$corrects.billNo", "lineId": "$corrects.lineId"},
                "charged": minus("$billed.amount"),
                "cause": "$billed.cause",
            }
        },
        NOTED,
        union(
            "creditNotes",
            {"$match": {"cause": {"$gte": "bill.", "$lt": "bill/"}}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {"note": "$billNo", "billNo": "$correctedBillNo", "lineId": "$lines.lineId"},
                    "noted": "$lines.taxExcludedAmount",
                    "cause": 1,
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "charged": {"$sum": "$charged"},
                "noted": {"$sum": "$noted"},
                **agreed("cause"),
            }
        },
    ),
)

taken_back_lines = View(
    "what bills took back of invoices' lines",
    "invoices",
    (
        {"$match": {"corrections.credited": {"$gte": 0}}},
        {"$project": {"corrections.lines": 1}},
        {"$unwind": "$corrections.lines"},
        {
            "$project": {
                "_id": {"billNo": "$_id", "lineId": "$corrections.lines.lineId"},
                "said": "$corrections.lines.takenBack",
            }
        },
        union(
            "invoices",
            {"$match": {"billing.cause": {"$gt": ""}}},
            {"$project": {"corrections.lines": 1, "lines": only("$lines", has("$$this.origin.corrects"))}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {
                        "billNo": "$lines.origin.corrects.billNo",
                        "lineId": "$lines.origin.corrects.lineId",
                    },
                    # What is credited of it is not taken back any more.
                    "taken": {"$subtract": [given_back_of("$lines.id"), "$lines.taxExcludedAmount"]},
                }
            },
        ),
        {"$group": {"_id": "$_id", "said": {"$sum": "$said"}, "taken": {"$sum": "$taken"}}},
    ),
)

# The part of it that is credited: of a line of nothing, nothing is.
_tax_given_back: Expression = {
    "$cond": [
        equal(given_back_of("$lines.id"), 0),
        0,
        half_away(
            {
                "$divide": [
                    {"$multiply": [{"$toDecimal": "$lines.taxAmount"}, given_back_of("$lines.id")]},
                    "$lines.taxExcludedAmount",
                ]
            }
        ),
    ]
}
taken_back_tax = View(
    "what bills took back of invoices' tax",
    "invoices",
    (
        {"$match": {"corrections.credited": {"$gte": 0}}},
        {"$project": {"corrections.tax": 1}},
        {"$unwind": "$corrections.tax"},
        {
            "$project": {
                "_id": {
                    "billNo": "$_id",
                    "category": "$corrections.tax.category",
                    "rate": "$corrections.tax.rate",
                },
                "said": "$corrections.tax.takenBack",
            }
        },
        union(
            "invoices",
            {"$match": {"billing.cause": {"$gt": ""}}},
            {"$project": {"corrections.lines": 1, "lines": only("$lines", has("$$this.origin.corrects"))}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "_id": {
                        "billNo": "$lines.origin.corrects.billNo",
                        "category": "$lines.category",
                        "rate": "$lines.rate",
                    },
                    "taken": {"$subtract": [_tax_given_back, "$lines.taxAmount"]},
                }
            },
        ),
        {"$group": {"_id": "$_id", "said": {"$sum": "$said"}, "taken": {"$sum": "$taken"}}},
    ),
)

is_unbilled: Expression = {"$not": [has("$billed")]}
billed_accounts = View(
    "accounts and what is charged to them",
    "positions",
    (
        {"$project": {"position": {"$literal": 1}, "currency": 1, "through": "$chargesThrough"}},
        union(
            "charges",
            {
                "$group": {
                    "_id": "$billingAccount",
                    "charges": {"$sum": 1},
                    "billedBehind": {"$sum": {"$cond": [both("$behind", has("$billed")), 1, 0]}},
                    "lastBehind": {"$max": {"$cond": ["$behind", "$date", None]}},
                    "next": {"$min": {"$cond": [both({"$not": ["$behind"]}, is_unbilled), "$date", None]}},
                    **agreed("currency"),
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "position": {"$sum": "$position"},
                "charges": {"$sum": "$charges"},
                "billedBehind": {"$sum": "$billedBehind"},
                **{n: {"$max": f"${n}"} for n in ("through", "lastBehind")},
                "next": {"$min": "$next"},
                "currencyLeast": {"$min": {"$ifNull": ["$currencyLeast", "$currency"]}},
                "currencyMost": {"$max": {"$ifNull": ["$currencyMost", "$currency"]}},
            }
        },
    ),
)
# A charge that is not billed comes after the date through which its account is, or says that it does not.
reached: Expression = both(
    equal("$billedBehind", 0),
    {"$lte": [{"$ifNull": ["$lastBehind", ""]}, {"$ifNull": ["$through", ""]}]},
    {"$gt": [{"$ifNull": ["$next", "~"]}, {"$ifNull": ["$through", ""]}]},
)

CHECKS = (
    *SUBSCRIPTION_CHECKS,
    *USAGE_CHECKS,
    *BILLED_CHECKS,
    *RUN_CHECKS,
    Check(
        name="taken-back-matches-bills",
        invariant=3,
        view=taken_back_lines,
        holds=equal("$said", "$taken"),
        expected="$taken",
        found="$said",
    ),
    Check(
        name="taken-back-tax-matches-bills",
        invariant=3,
        view=taken_back_tax,
        holds=equal("$said", "$taken"),
        expected="$taken",
        found="$said",
    ),
    Check(
        name="charges-match-lines",
        invariant=3,
        view=lines_and_charges,
        holds=both(equal("$charge", 1), equal("$lines", "$onLine"), agrees("what")),
        expected={"charge": 1, "lines": "$onLine", "what": "the same in both"},
        found={"charge": "$charge", "lines": "$lines", "what": span("what")},
    ),
    Check(
        name="charges-are-billed-once",
        invariant=3,
        view=charges,
        among=has("$billed"),
        holds=billed_once,
        expected={"net": "$net", "corrects": "$corrects", "billed": "on a line, or of what it corrects by a note"},
        found="$billed",
    ),
    Check(
        name="charges-match-notes",
        invariant=3,
        view=noted_charges,
        holds=both(equal("$charged", "$noted"), agrees("cause")),
        expected={"noted": "$charged", "cause": "the same in both"},
        found={"noted": "$noted", "cause": span("cause")},
    ),
    Check(
        name="bills-match-demands",
        invariant=6,
        view=demands,
        holds=both(
            equal("$demand", 1),
            equal("$inbox", 1),
            equal("$billed", "$invoices"),
            equal({"$size": "$numbers"}, "$invoices"),
            equal("$noted", "$notes"),
            agrees("account"),
            agrees("date"),
        ),
        expected={"demand": 1, "inbox": 1, "invoices": "$billed", "notes": "$noted", "bill": "the same in both"},
        found={
            "demand": "$demand",
            "inbox": "$inbox",
            "invoices": "$invoices",
            "notes": "$notes",
            "numbers": "$numbers",
            "billingAccount": span("account"),
            "date": span("date"),
        },
    ),
    Check(
        name="charges-match-inbox",
        invariant=6,
        view=charges_and_messages,
        holds=both(equal("$charge", 1), equal("$inbox", 1)),
        expected={"charge": 1, "inbox": 1},
        found={"charge": "$charge", "inbox": "$inbox"},
    ),
    Check(
        name="charges-have-positions",
        invariant=9,
        view=billed_accounts,
        among={"$gt": ["$charges", 0]},
        holds=both(equal("$position", 1), agrees("currency")),
        expected={"position": 1, "currency": "the same in both"},
        found={"position": "$position", "currency": span("currency")},
    ),
    Check(
        name="charges-are-reached-by-bills",
        invariant=9,
        view=billed_accounts,
        among={"$gt": ["$charges", 0]},
        holds=reached,
        expected={"chargesThrough": "from `lastBehind` on, before `next`", "billedBehind": 0},
        found={"chargesThrough": "$through", **{n: f"${n}" for n in ("lastBehind", "next", "billedBehind")}},
    ),
)
