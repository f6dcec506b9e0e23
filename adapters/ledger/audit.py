"""The journal (invariants 1 and 2): entries balance, and positions are the sums of their postings."""

from adapters.checks import (
    Check,
    Expression,
    Stage,
    View,
    agreed,
    agrees,
    both,
    distinct,
    each,
    either,
    equal,
    has,
    has_owner,
    minus,
    only,
    owner,
    span,
    sum_where,
    true_of_each,
    union,
    whole,
)

OWNED = ("receivable", "unapplied", "refundable", "recoverable", "payable", "withheld", "reserve", "advance")
"""The ledger accounts whose balances a position holds, `receivable:<account>` and so on."""
SHARED = (
    *("cash", "revenue", "commission", "tax", "inputTax", "badDebt", "bankCharges", "goodwill", "guarantee"),
    "taxWithheld",
)
DEBIT = ("receivable", "recoverable", "advance")
"""Those of the first whose balance is a debit one."""
"""The ledger accounts without a stored balance: with one, every message would write the same document."""

by_currency: Stage = {
    "$project": {
        "balances": {
            "$map": {
                "input": distinct("$postings.currency"),
                "as": "currency",
                "in": {
                    "currency": "$$currency",
                    "sum": sum_where("$postings", equal("$$this.currency", "$$currency"), "$$this.amount"),
                },
            }
        }
    }
}

entries_by_currency = View("entries by currency", "entries", (by_currency,))

journal_by_currency = View(
    "the journal by currency",
    "entries",
    (
        by_currency,
        {"$unwind": "$balances"},
        {"$group": {"_id": "$balances.currency", "sum": {"$sum": "$balances.sum"}}},
    ),
)

owned: Expression = only("$postings", has_owner("$$this.account"))
ledger_class: Expression = {"$arrayElemAt": [{"$split": ["$$this.account", ":"]}, 0]}

postings_of_entries = View(
    "postings of entries",
    "entries",
    (
        {
            "$project": {
                "postings": 1,
                "owners": {"$size": distinct(each(owned, owner("$$this.account")))},
                "moved": {"$size": distinct(each(owned, {"owner": owner("$$this.account"), "n": "$$this.movement"}))},
            }
        },
    ),
)

well_formed: Expression = both(
    whole("$$this.amount"),
    {"$ne": ["$$this.amount", 0]},
    either(
        both({"$in": [ledger_class, OWNED]}, has_owner("$$this.account"), has("$$this.movement")),
        both({"$in": ["$$this.account", SHARED]}, {"$not": has("$$this.movement")}),
    ),
)

balances_of_positions: tuple[Stage, ...] = (
    {
        "$project": {
            "currency": 1,
            "balances": [
                {"account": {"$concat": [f"{name}:", "$_id"]}, "amount": {"$ifNull": [f"${name}", 0]}} for name in OWNED
            ],
        }
    },
    {"$unwind": "$balances"},
    {
        "$project": {
            "_id": {"account": "$balances.account", "currency": "$currency"},
            "balance": "$balances.amount",
            "position": {"$literal": 1},
        }
    },
)

# A position keeps positive balances, whatever their side.
on_normal_side: Expression = {
    "$cond": [
        {"$in": [{"$arrayElemAt": [{"$split": ["$_id.account", ":"]}, 0]}, DEBIT]},
        "$sum",
        minus("$sum"),
    ]
}

owned_accounts = View(
    "ledger accounts with a position",
    "entries",
    (
        {"$project": {"_id": 0, "postings.account": 1, "postings.currency": 1, "postings.amount": 1}},
        {"$unwind": "$postings"},
        {
            "$group": {
                "_id": {"account": "$postings.account", "currency": "$postings.currency"},
                "sum": {"$sum": "$postings.amount"},
            }
        },
        {"$match": {"_id.account": {"$regex": ":"}}},
        {"$project": {"posted": on_normal_side, "postings": {"$literal": 1}}},
        union("positions", *balances_of_positions),
        {
            "$group": {
                "_id": "$_id",
                "posted": {"$sum": "$posted"},
                "postings": {"$sum": "$postings"},
                "balance": {"$sum": "$balance"},
                "position": {"$sum": "$position"},
            }
        },
    ),
)

BLOCK = 48
block_of_movement: Expression = {"$floor": {"$divide": [{"$subtract": ["$moved.n", 1]}, BLOCK]}}
bit_of_movement: Expression = {"$pow": [2, {"$mod": [{"$subtract": ["$moved.n", 1]}, BLOCK]}]}

# That the numbers of a position are 1..n, each once, is told from blocks of 48, without a group for each number: k
# powers of two add up to 2^k - 1 only if they are the first k, each once. So a block of k numbers is whole if its bits
# do; and if all blocks are, and the count of all numbers is the last number, no block but the last can be short.
movements = View(
    "movements of positions",
    "entries",
    (
        {
            "$project": {
                "_id": 0,
                "moved": distinct(each(owned, {"account": owner("$$this.account"), "n": "$$this.movement"})),
            }
        },
        {"$unwind": "$moved"},
        {
            "$group": {
                "_id": {"account": "$moved.account", "block": block_of_movement},
                "count": {"$sum": 1},
                "bits": {"$sum": bit_of_movement},
                "last": {"$max": "$moved.n"},
            }
        },
        {
            "$group": {
                "_id": "$_id.account",
                "count": {"$sum": "$count"},
                "last": {"$max": "$last"},
                "brokenBlocks": {
                    "$sum": {"$cond": [equal("$bits", {"$subtract": [{"$pow": [2, "$count"]}, 1]}), 0, 1]}
                },
            }
        },
        union("positions", {"$project": {"counted": "$movements"}}),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("count", "last", "brokenBlocks", "counted")},
            }
        },
    ),
)

accounts_and_positions = View(
    "accounts and positions",
    "accounts",
    (
        {"$project": {"currency": 1, "account": {"$literal": 1}}},
        union("positions", {"$project": {"currency": 1, "position": {"$literal": 1}}}),
        {
            "$group": {
                "_id": "$_id",
                "account": {"$sum": "$account"},
                "position": {"$sum": "$position"},
                **agreed("currency"),
            }
        },
    ),
)

reversals = View(
    "reversals",
    "entries",
    (
        {"$match": {"reverses": {"$gt": ""}}},
        # Few entries undo another, so here a lookup by `_id` is cheaper than a second read of the journal.
        {"$lookup": {"from": "entries", "localField": "reverses", "foreignField": "_id", "as": "reversed"}},
    ),
)

CHECKS = (
    Check(
        name="entries-balance",
        invariant=1,
        view=entries_by_currency,
        holds=true_of_each("$balances", equal("$$this.sum", 0)),
        expected="a sum of 0 in each currency",
        found="$balances",
    ),
    Check(
        name="journal-balances",
        invariant=1,
        view=journal_by_currency,
        holds=equal("$sum", 0),
        expected={"$literal": 0},
        found="$sum",
    ),
    Check(
        name="postings-well-formed",
        invariant=1,
        view=postings_of_entries,
        holds=both(true_of_each("$postings", well_formed), equal("$owners", "$moved")),
        expected="whole amounts but 0 on known ledger accounts, one movement number for each position",
        found="$postings",
    ),
    Check(
        name="positions-match-postings",
        invariant=2,
        view=owned_accounts,
        holds=equal("$posted", "$balance"),
        expected="$posted",
        found="$balance",
    ),
    Check(
        name="movements-run-without-gap",
        invariant=2,
        view=movements,
        holds=both(equal("$count", "$counted"), equal("$last", "$counted"), equal("$brokenBlocks", 0)),
        expected={"last": "$counted", "count": "$counted", "brokenBlocks": 0},
        found={"last": "$last", "count": "$count", "brokenBlocks": "$brokenBlocks"},
    ),
    Check(
        name="postings-have-positions",
        invariant=9,
        view=owned_accounts,
        among={"$gt": ["$postings", 0]},
        holds=equal("$position", 1),
        expected="a position in this currency",
        found="none",
    ),
    Check(
        name="accounts-have-positions",
        invariant=9,
        view=accounts_and_positions,
        holds=both(equal("$account", 1), equal("$position", 1), agrees("currency")),
        expected={"account": 1, "position": 1, "currency": "the same in both"},
        found={"account": "$account", "position": "$position", "currency": span("currency")},
    ),
    Check(
        name="reversals-point-to-entries",
        invariant=9,
        view=reversals,
        holds=equal({"$size": "$reversed"}, 1),
        expected="$reverses",
        found="no such entry",
    ),
)
