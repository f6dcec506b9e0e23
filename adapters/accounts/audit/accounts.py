"""Accounts: their history (invariant 6), their states beside their money (2, 6), and who refers to whom (9)."""

from typing import get_args

from bson import MaxKey

from adapters.checks import (
    Check,
    Expression,
    View,
    agreed,
    agrees,
    begins,
    both,
    each,
    either,
    equal,
    has,
    only,
    span,
    sum_where,
    union,
)
from adapters.ledger.audit import OWNED
from domain.accounts.model import BILLING, FINANCIAL, State
from domain.accounts.references import CONTAINS, PAYER, RELATED, RELATIONSHIPS, TO_ACCOUNTS

STATES = get_args(State)
COMMAND = "account."
"""How the identities of the messages begin by which clients change accounts."""
CLOSES_BY_ITSELF = (
    "payment.received",
    "credit.allocate",
    "credit.deallocate",
    "payout.completed",
    "settlement.close",
    "settlement.continue",
    "settlement.adjust",
    "payout.returned",
    "advance.paid",
    "reserve.release",
    "reserve.continue",
    "netting.apply",
    "settlement.correct",
    "credit-note.issue",
    "refund.completed",
    "payment.reversed",
    "invoice.write-off",
    "dispute.settle",
    "dispute.withdraw",
    "credit.grant",
    "credit.transfer",
    "bill.demand",
    "bill.continue",
    "bill.account",
    "subscription.turn",
)
"""What may settle the last of an account that is to be closed: all that posts something, and the day on which a
subscription ends, but for orders, which are not for such an account."""
SPECIFICATIONS = {
    "format": "billFormats",
    "cycleSpecification": "billingCycleSpecifications",
    "presentationMedia": "billPresentationMedia",
    "dunningProcedure": "dunningProcedures",
}
"""Where the resources are to which a link of such a kind leads."""


def is_command(cause: Expression) -> Expression:
    """Whether a cause is an `account.*` message."""
    return equal({"$substrBytes": [cause, 0, len(COMMAND)]}, COMMAND)


# -- history

# An account's versions have the numbers 1..n, each once: they are unique by their `_id`, where that says the number.
has_values_apart: Expression = {
    "$in": [
        True,
        each(
            {"$ifNull": ["$values", []]},
            both(equal({"$type": "$$this.value"}, "string"), {"$gt": ["$$this.value", ""]}),
        ),
    ]
}
version_named_rightly: Expression = equal("$_id", {"$concat": ["$account", "/", {"$toString": "$version"}]})
accounts_and_versions = View(
    "accounts and their versions",
    "accounts",
    (
        {"$project": {"account": {"$literal": 1}, "version": 1, "row": "$$ROOT"}},
        union(
            "accountVersions",
            {
                "$project": {
                    "_id": "$account",
                    "versions": {"$literal": 1},
                    "misnamed": {"$cond": [version_named_rightly, 0, 1]},
                    "latest": {"number": "$version", "row": "$snapshot", "apart": has_values_apart},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("account", "version", "versions", "misnamed")},
                "row": {"$max": "$row"},
                # Documents compare by their first field first.
                "latest": {"$max": "$latest"},
            }
        },
    ),
)


def without(field: str, document: Expression, condition: Expression) -> Expression:
    """A document, without a field where a condition is met."""
    return {"$cond": [condition, {"$unsetField": {"field": field, "input": document}}, document]}


def as_compared(row: Expression) -> Expression:
    """An account's row or snapshot, without what the other has not: `accounts.kept` looks at that.

    A version has no JSON, which up to form 2 it had, and maybe not the whole document.
    """
    return without("document", without("json", row, {"$not": [has("$latest.row.json")]}), "$latest.apart")


def fields_that_differ(one: Expression, other: Expression) -> Expression:
    """The names of the fields in which two documents differ. Not the values: they may be such as JSON cannot hold."""

    def fields(document: Expression) -> Expression:
        return {"$objectToArray": {"$ifNull": [document, {}]}}

    return each({"$setDifference": [fields(one), fields(other)]}, "$$this.k")


versions_in_order = View(
    "versions of accounts, in order",
    "accountVersions",
    (
        {
            "$project": {
                **dict.fromkeys(("account", "version", "revision", "cause", "oldState", "newState"), 1),
                "kept": {
                    "account": "$snapshot._id",
                    "version": "$snapshot.version",
                    "revision": "$snapshot.revision",
                    "state": "$snapshot.state",
                    "updatedAt": "$snapshot.updatedAt",
                },
                "said": {
                    "account": "$account",
                    "version": "$version",
                    "revision": "$revision",
                    "state": "$newState",
                    "updatedAt": "$bookedAt",
                },
            }
        },
        # Reads them in the order of the index on (account, version), so that nothing has to be sorted.
        {
            "$setWindowFields": {
                "partitionBy": "$account",
                "sortBy": {"version": 1},
                "output": {
                    "stateBefore": {"$shift": {"output": "$newState", "by": -1}},
                    "revisionBefore": {"$shift": {"output": "$revision", "by": -1, "default": 0}},
                },
            }
        },
    ),
)

versions_and_commands = View(
    "versions and the commands that made them",
    "accountVersions",
    (
        {"$match": {"cause": begins(COMMAND)["$match"]["_id"]}},
        {"$project": {"_id": "$cause", "versions": {"$literal": 1}}},
        union("inbox", begins(COMMAND), {"$project": {"inbox": {"$literal": 1}}}),
        {"$group": {"_id": "$_id", "versions": {"$sum": "$versions"}, "inbox": {"$sum": "$inbox"}}},
    ),
)
versions_due: Expression = {
    # An update that says what is so already makes no version.
    "$cond": [
        equal({"$indexOfBytes": ["$_id", "account.update:"]}, 0),
        {"$min": ["$versions", "$inbox"]},
        "$inbox",
    ]
}

versions_by_themselves = View(
    "versions that followed by themselves",
    "accountVersions",
    (
        {"$project": {"cause": 1, "oldState": 1, "newState": 1}},
        {"$match": {"$expr": {"$not": [is_command("$cause")]}}},
        # An account closes by itself once in its life or so, so here a lookup by `_id` is cheaper than grouping the
        # inbox.
        {
            "$lookup": {
                "from": "inbox",
                "localField": "cause",
                "foreignField": "_id",
                "pipeline": [{"$project": {"_id": 1}}],
                "as": "applied",
            }
        },
    ),
)

# -- states and money

financial_account: Expression = {
    "$ifNull": [{"$first": each(only("$references", equal("$$this.kind", "financialAccount")), "$$this.id")}, None]
}
MONEY = (
    *OWNED,
    "carried",
    "openInvoices",
    "openDisputes",
    "unbilled",
    "openSubscriptions",
    "notStated",
    "withheldLines",
)


def _of_line(field: str) -> Expression:
    """What the corrections of an unwound invoice say of its line."""
    lines = {"$ifNull": ["$corrections.lines", []]}
    return sum_where(lines, equal("$$this.lineId", "$lines.id"), f"$$this.{field}")


undisputed: Expression = {
    "$gt": ["$remainingAmount", {"$sum": {"$ifNull": ["$handling.disputes.amount", []]}}],
}

accounts_and_money = View(
    "accounts and what is open on them",
    "accounts",
    (
        {
            "$project": {
                "account": {"$literal": 1},
                "state": 1,
                "financialAccount": {"said": financial_account, "kept": {"$ifNull": ["$financialAccount", None]}},
            }
        },
        union(
            "positions",
            {
                "$project": {
                    "position": {"$literal": 1},
                    **dict.fromkeys((*OWNED, "oldestDue", "movements", "used", "withholding"), 1),
                    "carried": "$carriedForward.amount",
                }
            },
        ),
        union(
            "invoices",
            # As the index of open invoices has it, which is small however old the books are.
            {"$match": {"remainingAmount": {"$gt": 0}, "billingAccount": {"$gt": ""}}},
            {
                "$group": {
                    "_id": "$billingAccount",
                    "openInvoices": {"$sum": 1},
                    # What is disputed is not due.
                    "earliestDue": {"$min": {"$cond": [undisputed, "$paymentDueDate", None]}},
                }
            },
        ),
        union(
            "invoices",
            {"$match": {"remainingAmount": {"$gt": 0}, "billingAccount": {"$gt": ""}}},
            {"$unwind": "$lines"},
            {
                "$project": {
                    "part": "$lines.onBehalfOf",
                    "givenUp": _of_line("givenUp"),
                    "netLeft": {"$subtract": ["$lines.taxExcludedAmount", _of_line("credited")]},
                }
            },
            {
                "$match": {
                    "part.accrueOn": "payment",
                    "$expr": either(
                        {"$ne": ["$part.share", {"$add": ["$part.accrued", "$givenUp"]}]},
                        # Nothing is withheld by a first step of 0 %, and later ones go by what is paid.
                        both(has("$part.awaited"), {"$ne": ["$netLeft", 0]}),
                    ),
                }
            },
            {"$group": {"_id": "$part.id", "withheldLines": {"$sum": 1}}},
        ),
        union(
            "disputes",
            {"$match": {"state": "open", "billingAccount": {"$gt": ""}}},
            {"$group": {"_id": "$billingAccount", "openDisputes": {"$sum": 1}}},
        ),
        union(
            "subscriptions",
            {"$match": {"open": True, "billingAccount": {"$gt": ""}}},
            {"$group": {"_id": "$billingAccount", "openSubscriptions": {"$sum": 1}}},
        ),
        union(
            "accruals",
            # Likewise the index of accruals that no statement holds.
            {"$match": {"settlementId": {"$type": "null"}, "settlementAccount": {"$gt": ""}}},
            {"$group": {"_id": "$settlementAccount", "notStated": {"$sum": 1}}},
        ),
        union(
            "charges",
            {"$match": {"billed": {"$type": "null"}}},
            {"$group": {"_id": "$billingAccount", "unbilled": {"$sum": 1}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("account", "position", "movements", "used", "withholding", *MONEY)},
                **{n: {"$max": f"${n}"} for n in ("state", "financialAccount", "oldestDue")},
                "earliestDue": {"$min": "$earliestDue"},
            }
        },
    ),
)
nothing_open: Expression = both(*(equal(f"${name}", 0) for name in MONEY))
what_is_open: Expression = {name: f"${name}" for name in MONEY}

# -- who refers to whom

relationships: Expression = each(
    "$relationships",
    {"kind": {"$cond": [{"$in": ["$$this.type", RELATIONSHIPS]}, "$$this.type", RELATED]}, "id": "$$this.account"},
)
references_of_accounts = (
    {"$match": {"state": {"$ne": "deleted"}}},
    {
        "$project": {
            "type": 1,
            "currency": 1,
            # Relationships of two times, or of two types that mean nothing here, are one link.
            "to": {"$setUnion": [relationships, each("$references", {"kind": "$$this.kind", "id": "$$this.id"})]},
        }
    },
    {"$unwind": "$to"},
)
"""The stages that make a row of each reference which an account that is not deleted makes, each `to` a kind and id."""

link_named_rightly: Expression = both(
    equal("$_id", {"$concat": ["$kind", "/", "$referrer", "/", "$referred"]}),
    equal("$owner", {"$concat": ["$kind", "/", "$referred"]}),
    {"$in": ["$kind", [*TO_ACCOUNTS, *SPECIFICATIONS]]},
)
links = View("links", "links", ())
references_and_links = View(
    "references and links",
    "accounts",
    (
        *references_of_accounts,
        {"$project": {"_id": {"$concat": ["$to.kind", "/", "$_id", "/", "$to.id"]}, "more": {"$literal": 1}}},
        union("links", {"$match": {"open": True}}, {"$project": {"more": {"$literal": -1}}}),
        # The difference and not both counts: a little less memory for each of as many groups as there are links.
        {"$group": {"_id": "$_id", "more": {"$sum": "$more"}}},
    ),
)


def counted(kind: str) -> Expression:
    """1 for a reference of a kind, 0 for any other."""
    return {"$cond": [equal("$to.kind", kind), 1, 0]}


for_money: Expression = {"$in": ["$to.kind", [PAYER, "financialAccount"]]}
what_is_referred_to = View(
    "what is referred to",
    "accounts",
    (
        *references_of_accounts,
        {
            "$group": {
                "_id": {
                    "in": {
                        "$switch": {
                            "branches": [
                                {"case": equal("$to.kind", kind), "then": collection}
                                for kind, collection in SPECIFICATIONS.items()
                            ],
                            "default": "accounts",
                        }
                    },
                    "id": "$to.id",
                },
                "references": {"$sum": 1},
                "pays": {"$sum": counted(PAYER)},
                "paysForOthers": {
                    "$sum": {"$cond": [both(equal("$to.kind", PAYER), {"$ne": ["$type", BILLING]}), 1, 0]}
                },
                "sumsUp": {"$sum": counted("financialAccount")},
                # Null is passed over by both.
                "currencyLeast": {"$min": {"$cond": [for_money, "$currency", None]}},
                "currencyMost": {"$max": {"$cond": [for_money, "$currency", None]}},
            }
        },
        *(
            union(
                collection,
                {"$match": {"state": {"$ne": "deleted"}}},
                {
                    "$project": {
                        "_id": {"in": collection, "id": "$_id"},
                        "there": {"$literal": 1},
                        "type": 1,
                        "currencyLeast": "$currency",
                        "currencyMost": "$currency",
                    }
                },
            )
            for collection in ("accounts", *SPECIFICATIONS.values())
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("there", "references", "pays", "paysForOthers", "sumsUp")},
                "type": {"$max": "$type"},
                "currencyLeast": {"$min": "$currencyLeast"},
                "currencyMost": {"$max": "$currencyMost"},
            }
        },
    ),
)
types_that_fit: Expression = both(
    equal("$paysForOthers", 0),
    either(equal("$pays", 0), equal("$type", BILLING)),
    either(equal("$sumsUp", 0), equal("$type", FINANCIAL)),
)

# Spans in order of their beginnings: one overlaps an earlier one if it begins before the latest end so far. Of two that
# may overlap, because they have the same parent, the one that ends later stands for both.
overlapping: Expression = {
    "$reduce": {
        "input": {"$sortArray": {"input": "$spans", "sortBy": {"from": 1, "until": 1}}},
        "initialValue": {"until": None, "who": None, "broken": 0},
        "in": {
            "$cond": [
                both(
                    has("$$value.until"),
                    {"$lt": ["$$this.from", "$$value.until"]},
                    {"$ne": ["$$this.who", "$$value.who"]},
                ),
                {"until": "$$value.until", "who": "$$value.who", "broken": {"$add": ["$$value.broken", 1]}},
                {
                    "until": {"$max": ["$$this.until", "$$value.until"]},
                    "who": "$$this.who",
                    "broken": "$$value.broken",
                },
            ]
        },
    }
}
payers_and_parents = View(
    "payers and parents of accounts",
    "accounts",
    (
        {"$match": {"relationships.type": {"$in": [CONTAINS, PAYER]}, "state": {"$ne": "deleted"}}},
        {"$project": {"relationships": only("$relationships", {"$in": ["$$this.type", [CONTAINS, PAYER]]})}},
        {"$unwind": {"path": "$relationships", "includeArrayIndex": "n"}},
        {
            "$project": {
                # Who has the parent or payer; and the parent, or which of the payers, for none of these may overlap.
                "_id": {
                    "kind": "$relationships.type",
                    "account": {"$cond": [equal("$relationships.type", CONTAINS), "$relationships.account", "$_id"]},
                },
                "span": {
                    "from": "$relationships.from",
                    "until": {"$ifNull": ["$relationships.until", MaxKey()]},
                    "who": {"$cond": [equal("$relationships.type", CONTAINS), "$_id", "$n"]},
                },
            }
        },
        # One that ends before it begins holds at no time.
        {"$match": {"$expr": {"$lt": ["$span.from", "$span.until"]}}},
        {"$group": {"_id": "$_id", "spans": {"$push": "$span"}}},
        {
            "$project": {
                "count": {"$size": "$spans"},
                "broken": {"$getField": {"field": "broken", "input": overlapping}},
            }
        },
    ),
)

LEVELS = 32
"""The longest chain of accounts that is told from a cycle: twice what the domain follows."""
upwards = {"$match": {"open": True, "kind": {"$in": [CONTAINS, PAYER]}}}
# Takes the links away that come from where no link leads to, and turns those that are left around: so a chain is eaten
# up, one link a time, from both ends, and what is left after so many times goes round. Each time costs what is left.
peeled: tuple[Expression, ...] = (
    {
        "$project": {
            "ends": [
                {"at": {"kind": "$kind", "account": "$from"}, "to": "$to"},
                {"at": {"kind": "$kind", "account": "$to"}, "led": 1},
            ]
        }
    },
    {"$unwind": "$ends"},
    {"$group": {"_id": "$ends.at", "led": {"$max": "$ends.led"}, "to": {"$addToSet": "$ends.to"}}},
    {"$match": {"led": 1}},
    {"$unwind": "$to"},
    {"$project": {"_id": 0, "kind": "$_id.kind", "from": "$to", "to": "$_id.account"}},
)
hierarchies = View(
    "hierarchies of accounts and chains of payers",
    "links",
    (
        upwards,
        {"$group": {"_id": {"kind": "$kind", "account": "$referrer"}, "links": {"$sum": 1}}},
        union(
            "links",
            upwards,
            {"$project": {"_id": 0, "kind": 1, "from": "$referrer", "to": "$referred"}},
            *(LEVELS * peeled),
            {"$group": {"_id": {"kind": "$kind", "account": "$from"}, "left": {"$sum": 1}}},
        ),
        {"$group": {"_id": "$_id", "links": {"$sum": "$links"}, "left": {"$sum": "$left"}}},
    ),
)

invoiced_accounts = View(
    "accounts that are invoiced",
    "invoices",
    (
        {
            "$group": {
                "_id": {"billed": "$billingAccount", "orderedFor": "$orderedFor", "currency": "$currency"},
                "invoices": {"$sum": 1},
            }
        },
        {
            "$project": {
                "_id": 0,
                "invoices": 1,
                "currency": "$_id.currency",
                "account": {"$setUnion": [["$_id.billed", {"$ifNull": ["$_id.orderedFor", None]}], []]},
            }
        },
        {"$unwind": "$account"},
        {"$group": {"_id": "$account", "invoices": {"$sum": "$invoices"}, **agreed("currency")}},
        union(
            "accounts",
            {
                "$project": {
                    "type": 1,
                    "currencyLeast": "$currency",
                    "currencyMost": "$currency",
                    "there": {"$literal": 1},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "invoices": {"$sum": "$invoices"},
                "there": {"$sum": "$there"},
                "type": {"$max": "$type"},
                "currencyLeast": {"$min": "$currencyLeast"},
                "currencyMost": {"$max": "$currencyMost"},
            }
        },
    ),
)

CHECKS = (
    Check(
        name="oldest-due-matches-open-invoices",
        invariant=2,
        view=accounts_and_money,
        among=equal("$position", 1),
        holds=equal({"$ifNull": ["$oldestDue", None]}, {"$ifNull": ["$earliestDue", None]}),
        expected={"$ifNull": ["$earliestDue", None]},
        found={"$ifNull": ["$oldestDue", None]},
    ),
    Check(
        name="versions-run-without-gap",
        invariant=6,
        view=accounts_and_versions,
        holds=both(
            equal("$versions", "$version"),
            equal("$latest.number", "$version"),
            {"$gt": ["$version", 0]},
            equal("$misnamed", 0),
        ),
        expected={"last": "$version", "count": "$version", "misnamed": 0},
        found={"last": "$latest.number", "count": "$versions", "misnamed": "$misnamed"},
    ),
    Check(
        name="last-versions-match-accounts",
        invariant=6,
        view=accounts_and_versions,
        among={"$gt": ["$versions", 0]},
        holds=both(equal("$account", 1), equal(as_compared("$latest.row"), as_compared("$row"))),
        expected="the account, as its last version left it",
        found={
            "account": "$account",
            "differ": fields_that_differ(as_compared("$row"), as_compared("$latest.row")),
        },
    ),
    Check(
        name="snapshots-match-versions",
        invariant=6,
        view=versions_in_order,
        holds=equal("$kept", "$said"),
        expected="the same in the version and its snapshot",
        found={"differ": fields_that_differ("$kept", "$said")},
    ),
    Check(
        name="states-follow-each-other",
        invariant=6,
        view=versions_in_order,
        holds=equal("$oldState", "$stateBefore"),
        expected="$stateBefore",
        found="$oldState",
    ),
    Check(
        name="revisions-count-commands",
        invariant=6,
        view=versions_in_order,
        holds=equal("$revision", {"$add": ["$revisionBefore", {"$cond": [is_command("$cause"), 1, 0]}]}),
        expected={"$add": ["$revisionBefore", {"$cond": [is_command("$cause"), 1, 0]}]},
        found="$revision",
    ),
    Check(
        name="versions-match-commands",
        invariant=6,
        view=versions_and_commands,
        holds=both(equal("$inbox", 1), equal("$versions", versions_due)),
        expected={"inbox": 1, "versions": versions_due},
        found={"inbox": "$inbox", "versions": "$versions"},
    ),
    Check(
        name="closings-by-themselves-follow-facts",
        invariant=6,
        view=versions_by_themselves,
        holds=both(
            equal({"$size": "$applied"}, 1),
            {"$in": [{"$first": {"$split": ["$cause", ":"]}}, CLOSES_BY_ITSELF]},
            equal("$oldState", "pendingClose"),
            equal("$newState", "closed"),
        ),
        expected={
            "applied": 1,
            "cause": {"$literal": CLOSES_BY_ITSELF},
            "oldState": "pendingClose",
            "newState": "closed",
        },
        found={"applied": {"$size": "$applied"}, "cause": "$cause", "oldState": "$oldState", "newState": "$newState"},
    ),
    Check(
        name="account-states-legal",
        invariant=6,
        view=accounts_and_money,
        among=equal("$account", 1),
        holds={"$in": ["$state", STATES]},
        expected={"$literal": STATES},
        found="$state",
    ),
    Check(
        name="closed-accounts-have-nothing-open",
        invariant=6,
        view=accounts_and_money,
        among={"$in": ["$state", ["closed", "deleted"]]},
        holds=nothing_open,
        expected=dict.fromkeys(MONEY, 0),
        found=what_is_open,
    ),
    Check(
        name="accounts-to-close-have-something-open",
        invariant=6,
        view=accounts_and_money,
        among=equal("$state", "pendingClose"),
        holds={"$not": [nothing_open]},
        expected="something open, else it would be closed",
        found=what_is_open,
    ),
    Check(
        name="deleted-accounts-were-never-posted-to",
        invariant=6,
        view=accounts_and_money,
        among=equal("$state", "deleted"),
        holds=both(equal("$movements", 0), equal("$used", 0)),
        expected={"movements": 0, "used": 0},
        found={"movements": "$movements", "used": "$used"},
    ),
    Check(
        name="withholding-matches-lines",
        invariant=5,
        view=accounts_and_money,
        among=equal("$position", 1),
        holds=equal("$withholding", "$withheldLines"),
        expected="$withheldLines",
        found="$withholding",
    ),
    Check(
        name="financial-account-is-its-reference",
        invariant=9,
        view=accounts_and_money,
        among=equal("$account", 1),
        holds=equal("$financialAccount.said", "$financialAccount.kept"),
        expected="$financialAccount.said",
        found="$financialAccount.kept",
    ),
    Check(
        name="links-match-references",
        invariant=9,
        view=references_and_links,
        holds=equal("$more", 0),
        expected="a reference of an account that is not deleted, and an open link",
        found={"$cond": [{"$gt": ["$more", 0]}, "the reference alone", "the link alone"]},
    ),
    Check(
        name="links-well-formed",
        invariant=9,
        view=links,
        holds=link_named_rightly,
        expected="_id and owner as they are made of the rest; a kind that is known",
        found={name: f"${name}" for name in ("owner", "kind", "referrer", "referred")},
    ),
    Check(
        name="references-point-to-what-is-there",
        invariant=9,
        view=what_is_referred_to,
        among={"$gt": ["$references", 0]},
        holds=equal("$there", 1),
        expected={"there": 1},
        found={"there": "$there", "references": "$references"},
    ),
    Check(
        name="payers-and-financial-accounts-fit",
        invariant=9,
        view=what_is_referred_to,
        among=both({"$gt": [{"$add": ["$pays", "$sumsUp"]}, 0]}, equal("$there", 1)),
        holds=both(types_that_fit, agrees("currency")),
        expected=f"a {BILLING} that pays for such, or a {FINANCIAL}, in the currency of those that it is for",
        found={
            "@type": "$type",
            "payerOf": "$pays",
            "payerOfOtherTypes": "$paysForOthers",
            "financialAccountOf": "$sumsUp",
            "currency": span("currency"),
        },
    ),
    Check(
        name="one-payer-and-one-parent-at-a-time",
        invariant=9,
        view=payers_and_parents,
        holds=equal("$broken", 0),
        expected={"overlaps": 0},
        found={"overlaps": "$broken", "of": "$count"},
    ),
    Check(
        name="no-account-is-above-itself",
        invariant=9,
        view=hierarchies,
        holds=equal("$left", 0),
        expected=f"a chain of at most {LEVELS} links",
        found="a cycle, or a longer one",
    ),
    Check(
        name="invoices-point-to-billing-accounts",
        invariant=9,
        view=invoiced_accounts,
        among={"$gt": ["$invoices", 0]},
        holds=both(equal("$there", 1), equal("$type", BILLING), agrees("currency")),
        expected={"account": 1, "@type": BILLING, "currency": "the same in all"},
        found={"account": "$there", "@type": "$type", "currency": span("currency")},
    ),
)
