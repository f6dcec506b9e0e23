"""Invoices (invariants 3, 4, 8 and 9): sums, what was allocated to them, what their lines accrue, numbers."""

from adapters.checks import (
    NUMBERED,
    Check,
    Expression,
    Numbered,
    Posted,
    Stage,
    View,
    agreed,
    agrees,
    begins,
    both,
    due,
    each,
    either,
    equal,
    half_away,
    has,
    minus,
    of_partner,
    of_us,
    only,
    owner_rows,
    span,
    sum_where,
    true_of_each,
    union,
    whole,
)

of_tax_item: Expression = both(equal("$$line.category", "$$this.category"), equal("$$line.rate", "$$this.rate"))


def sum_of_tax_item(field: str) -> Expression:
    """The sum of a field over the lines that have the category and the rate of the tax item `$$this`."""
    return {
        "$sum": {"$map": {"input": "$lines", "as": "line", "in": {"$cond": [of_tax_item, f"$$line.{field}", 0]}}},
    }


invoices = View("invoices", "invoices", ())

adds_up: Expression = both(
    equal("$taxExcludedAmount", {"$sum": "$lines.taxExcludedAmount"}),
    equal("$taxExcludedAmount", {"$sum": "$taxItem.taxExcludedAmount"}),
    equal("$taxIncludedAmount", {"$add": ["$taxExcludedAmount", {"$sum": "$taxItem.taxAmount"}]}),
    equal({"$sum": "$lines.taxAmount"}, {"$sum": "$taxItem.taxAmount"}),
    true_of_each(
        "$taxItem",
        both(
            equal("$$this.taxExcludedAmount", sum_of_tax_item("taxExcludedAmount")),
            equal("$$this.taxAmount", sum_of_tax_item("taxAmount")),
        ),
    ),
    {"$gte": ["$taxIncludedAmount", 0]},
    whole("$taxIncludedAmount"),
)

ORDER = "order.completed:"
"""How the identities of orders begin."""

of_an_order: Expression = has("$orderId")
cause_of_invoice: Expression = {"$cond": [of_an_order, {"$concat": [ORDER, "$orderId"]}, "$billing.cause"]}

written_off: Expression = {"$sum": {"$ifNull": ["$corrections.writeOffs.amount", []]}}
billed: Expression = {"$subtract": ["$taxIncludedAmount", {"$ifNull": ["$corrections.credited", 0]}]}
paid_to_date: Expression = {"$subtract": [billed, {"$add": [written_off, "$remainingAmount"]}]}


def corrected(field: str) -> Expression:
    """A sum of the corrections of the line `$$this`."""
    return {
        "$sum": {
            "$map": {
                "input": {"$ifNull": ["$corrections.lines", []]},
                "as": "line",
                "in": {"$cond": [equal("$$line.lineId", "$$this.id"), f"$$line.{field}", 0]},
            }
        }
    }


given_up, credited = corrected("givenUp"), corrected("credited")


def is_share_of(amount: Expression, part: Expression) -> Expression:
    """Whether an amount is share x part / billed rounded half away from zero, said without a division.

    Twice the distance from the exact value is at most one unit of it. Decimals hold share x part exactly, which 64 bits
    do not.
    """
    exact = {"$multiply": [{"$toDecimal": "$$this.onBehalfOf.share"}, part]}
    distance = {"$subtract": [{"$multiply": [{"$toDecimal": amount}, billed]}, exact]}
    return {"$lte": [{"$abs": {"$multiply": [{"$toDecimal": 2}, distance]}}, billed]}


all_accrued: Expression = both(equal("$$this.onBehalfOf.accrued", "$$this.onBehalfOf.share"), equal(given_up, 0))
# An invoice over nothing is settled at once, so its whole share is due.
accrued_by_terms: Expression = {
    "$cond": [
        both(equal("$$this.onBehalfOf.accrueOn", "payment"), {"$ne": [billed, 0]}),
        both(
            is_share_of("$$this.onBehalfOf.accrued", paid_to_date),
            is_share_of({"$add": ["$$this.onBehalfOf.accrued", given_up]}, {"$add": [paid_to_date, written_off]}),
        ),
        all_accrued,
    ]
}
partner_lines: Expression = only("$lines", has("$$this.onBehalfOf"))

allocated_invoices = View(
    "invoices and what was allocated to them",
    "invoices",
    (
        {
            "$project": {
                "invoice": {"$literal": 1},
                "account": "$billingAccount",
                "state": 1,
                "disputes": {"$size": {"$ifNull": ["$handling.disputes", []]}},
                "sent": {"$cond": [has("$handling.sentAt"), 1, 0]},
                "validated": {"$cond": [has("$handling.validatedAt"), 1, 0]},
                # Less what was taken back of it: what is paid, or remains.
                "total": {"$subtract": [billed, written_off]},
                "remaining": "$remainingAmount",
            }
        },
        union(
            "allocations",
            {
                "$project": {
                    "_id": "$billNo",
                    "allocations": {"$literal": 1},
                    "account": "$billingAccount",
                    "allocated": "$amount",
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                "state": {"$max": "$state"},
                **{n: {"$sum": f"${n}"} for n in ("invoice", "allocations", "total", "remaining", "allocated")},
                **{n: {"$sum": f"${n}"} for n in ("disputes", "sent", "validated")},
                **agreed("account"),
            }
        },
    ),
)

state_of_invoice: Expression = {
    "$switch": {
        "branches": [
            {"case": {"$gt": ["$disputes", 0]}, "then": "onHold"},
            {"case": equal("$remaining", 0), "then": "settled"},
            {"case": {"$ne": ["$allocated", 0]}, "then": "partiallyPaid"},
            {"case": {"$gt": ["$sent", 0]}, "then": "sent"},
            {"case": {"$gt": ["$validated", 0]}, "then": "validated"},
        ],
        "default": "new",
    }
}

# What remains of an invoice and is disputed: no credit covers it by itself.
disputed_open: Expression = {
    "$min": ["$remainingAmount", {"$sum": {"$ifNull": ["$handling.disputes.amount", []]}}],
}

billing_accounts = View(
    "billing accounts",
    "positions",
    (
        {
            "$project": {
                "position": {"$literal": 1},
                "currency": 1,
                "receivable": 1,
                "unapplied": 1,
            }
        },
        union("invoices", *owner_rows("billingAccount", {"open": "$remainingAmount", "disputed": disputed_open})),
        union("payments", *owner_rows("billingAccount", {"credit": "$unapplied"})),
        # What is left to allocate after one transaction's worth, and soon will be.
        union(
            "held",
            {"$match": {"routingKey": "credit.allocate", "state": {"$in": ["waiting", "suspect"]}}},
            {"$project": {"_id": "$account", "rest": {"$literal": 1}}},
        ),
        {
            "$group": {
                "_id": "$_id",
                **{
                    n: {"$sum": f"${n}"}
                    for n in ("position", "documents", "receivable", "unapplied", "open", "disputed", "credit", "rest")
                },
                "currencyLeast": {"$min": {"$ifNull": ["$currencyLeast", "$currency"]}},
                "currencyMost": {"$max": {"$ifNull": ["$currencyMost", "$currency"]}},
            }
        },
    ),
)


def series_of(agent: str, account: str) -> Expression:
    """The series that the terms of an agent name, or that of the partner's account where they name none."""
    return {"$ifNull": [f"{agent}.series", {"$concat": [account, "-"]}]}


def prefix_and_number(numbered: Numbered) -> Stage:
    """The stage that takes the number of an invoice, or another document, apart; and says in whose name that is."""
    of = numbered.number
    length = {"$max": [0, {"$subtract": [{"$strLenBytes": of}, 9]}]}
    number = {"$substrBytes": [of, length, 9]}
    return {
        "$project": {
            "prefix": {"$substrBytes": [of, 0, length]},
            "number": {"$convert": {"input": number, "to": "int", "onError": None}},
            # What is not there is passed over by least and greatest: ours has to be something.
            "seller": {"$ifNull": [numbered.seller, ""]},
        }
    }


# Numbers are unique, by being the `_id` or by an index, so a count, a first and a last say that there is no gap either.
series_and_numbers = View(
    "series and their numbers",
    NUMBERED[0].collection,
    (
        prefix_and_number(NUMBERED[0]),
        *(union(one.collection, prefix_and_number(one)) for one in NUMBERED[1:]),
        {
            "$group": {
                "_id": "$prefix",
                "count": {"$sum": 1},
                "first": {"$min": "$number"},
                "last": {"$max": "$number"},
                "unread": {"$sum": {"$cond": [has("$number"), 0, 1]}},
                **agreed("seller"),
            }
        },
        union(
            "series",
            {
                "$project": {
                    "given": "$last",
                    "sellerLeast": {"$ifNull": ["$owner", ""]},
                    "sellerMost": {"$ifNull": ["$owner", ""]},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("count", "first", "last", "unread", "given")},
                "sellerLeast": {"$min": "$sellerLeast"},
                "sellerMost": {"$max": "$sellerMost"},
            }
        },
    ),
)

# What is sold in a partner's name is in its name alone, and ours in ours.
sold_as_agent: Expression = "$lines.onBehalfOf.agent"
names: Expression = {"$setUnion": ["$lines.onBehalfOf.id", []]}
in_one_name: Expression = {
    "$cond": [
        of_partner,
        both(equal({"$size": sold_as_agent}, {"$size": "$lines"}), equal(names, ["$seller"])),
        equal(sold_as_agent, []),
    ]
}

sellers_of_facts = View(
    "partners' invoices by what made them and whose they are",
    "invoices",
    (
        {"$match": {"seller": {"$gt": ""}}},
        {"$project": {"cause": cause_of_invoice, "seller": 1}},
        {"$group": {"_id": {"cause": "$cause", "seller": "$seller"}, "invoices": {"$sum": 1}}},
    ),
)

invoices_of_agents = View(
    "partners' invoices",
    "invoices",
    (
        {"$match": {"seller": {"$gt": ""}}},
        {"$project": {"corrections.lines": 1, "lines": only("$lines", has("$$this.onBehalfOf.agent"))}},
    ),
)
net_left: Expression = {"$subtract": ["$$this.taxExcludedAmount", credited]}
gross_left: Expression = {"$add": [net_left, {"$subtract": ["$$this.taxAmount", corrected("creditedTax")]}]}
# round(rate × net left × accrued ÷ share left), halves away from zero; of no share it is that of the net.
commission_to_date: Expression = {
    "$let": {
        "vars": {
            "exact": {"$multiply": [{"$toDecimal": "$$this.onBehalfOf.agent.commission"}, net_left]},
            "accrued": "$$this.onBehalfOf.accrued",
            "share": "$$this.onBehalfOf.share",
        },
        "in": half_away(
            {
                "$cond": [
                    equal("$$share", 0),
                    "$$exact",
                    {
                        "$divide": [
                            {"$multiply": ["$$exact", "$$accrued"]},
                            {"$cond": [equal("$$share", 0), 1, "$$share"]},
                        ]
                    },
                ]
            }
        ),
    }
}

partners_series = View(
    "series that partners' terms name, and whose they are",
    "series",
    (
        {"$match": {"owner": {"$gt": ""}}},
        {"$project": {"series": {"$literal": 1}, "owner": 1}},
        union(
            "accounts",
            {"$match": {"settlementTerms.agent": {"$type": "object"}}},
            {"$project": {"_id": series_of("$settlementTerms.agent", "$_id"), "owner": "$_id"}},
        ),
        union(
            "agreements",
            {"$project": {"settlementAccount": 1, "agreed.terms.agent": 1}},
            {"$unwind": "$agreed"},
            {"$match": {"agreed.terms.agent": {"$type": "object"}}},
            {
                "$project": {
                    "_id": series_of("$agreed.terms.agent", "$settlementAccount"),
                    "owner": "$settlementAccount",
                }
            },
        ),
        {"$group": {"_id": "$_id", "series": {"$sum": "$series"}, **agreed("owner")}},
    ),
)

net_sold: Expression = {"$sum": "$lines.taxExcludedAmount"}
net_of_partners: Expression = {"$sum": {"$map": {"input": "$partners", "in": "$$this.taxExcludedAmount"}}}
# A note lowers the share that is left, so of a corrected invoice it is worked out as it was when it was issued. Of what
# is sold in the partner's name it is all of the line, with its tax.
share_as_issued: Expression = {
    "$cond": [
        either(has("$corrections"), of_partner),
        {
            "$cond": [
                of_partner,
                {"$add": ["$$this.taxExcludedAmount", "$$this.taxAmount"]},
                {
                    "$ifNull": [
                        "$$this.onBehalfOf.tier.share",
                        {
                            "$toLong": half_away(
                                {
                                    "$multiply": [
                                        "$$this.taxExcludedAmount",
                                        {"$toDecimal": "$$this.onBehalfOf.partnerShare"},
                                    ]
                                }
                            )
                        },
                    ]
                },
            ]
        },
        "$$this.onBehalfOf.share",
    ]
}
share_as_issued = {"$ifNull": ["$$this.onBehalfOf.issued.share", share_as_issued]}
accrued_as_issued: Expression = {"$ifNull": ["$$this.onBehalfOf.issued.accrueOn", "$$this.onBehalfOf.accrueOn"]}
shares: Expression = {"$sum": each("$partners", share_as_issued)}
# A bill of zero is paid as it is issued, by itself: what it would withhold is released.
shares_withheld: Expression = {
    "$cond": [
        both({"$not": [of_an_order]}, equal("$taxIncludedAmount", 0)),
        0,
        sum_where("$partners", equal(accrued_as_issued, "payment"), share_as_issued),
    ]
}

# By the posting table. Payable follows the accruals, and those follow the invoice's lines (`lines-match-accruals`).
POSTED = Posted(
    (begins(ORDER),),
    (
        union(
            "invoices",
            {
                "$project": {
                    "orderId": 1,
                    "billing": 1,
                    "taxIncludedAmount": 1,
                    "lines": 1,
                    "corrections": 1,
                    "seller": 1,
                    "partners": partner_lines,
                }
            },
            {
                "$project": {
                    # A bill is beside its demand, which is that fact's document.
                    "_id": cause_of_invoice,
                    "document": of_us({"$cond": [of_an_order, 1, 0]}),
                    # Partners' invoices may be several of one order, beside ours or without it.
                    "partners": {"$cond": [both(of_an_order, of_partner), 1, 0]},
                    **due(
                        {
                            "receivable": "$taxIncludedAmount",
                            "withheld": minus(shares_withheld),
                            "revenue": {"$subtract": [net_of_partners, net_sold]},
                            "commission": of_us({"$subtract": [shares, net_of_partners]}),
                            "tax": of_us(minus({"$sum": "$lines.taxAmount"})),
                        }
                    ),
                }
            },
        ),
    ),
)

CHECKS = (
    Check(
        name="invoices-add-up",
        invariant=3,
        view=invoices,
        holds=adds_up,
        expected={
            "taxExcludedAmount": {"$sum": "$lines.taxExcludedAmount"},
            "taxIncludedAmount": {
                "$sum": [{"$sum": "$lines.taxExcludedAmount"}, {"$sum": "$lines.taxAmount"}],
            },
        },
        found={
            "taxExcludedAmount": "$taxExcludedAmount",
            "taxIncludedAmount": "$taxIncludedAmount",
            "taxItem": "$taxItem",
        },
    ),
    Check(
        name="remaining-is-what-is-left",
        invariant=3,
        view=allocated_invoices,
        among=equal("$invoice", 1),
        holds=equal("$remaining", {"$subtract": ["$total", "$allocated"]}),
        expected={"$subtract": ["$total", "$allocated"]},
        found="$remaining",
    ),
    Check(
        name="invoice-states-fit",
        invariant=3,
        view=allocated_invoices,
        among=equal("$invoice", 1),
        holds=equal("$state", state_of_invoice),
        expected=state_of_invoice,
        found="$state",
    ),
    Check(
        name="open-invoices-match-receivable",
        invariant=3,
        view=billing_accounts,
        holds=equal("$receivable", "$open"),
        expected="$open",
        found="$receivable",
    ),
    Check(
        name="allocations-within-invoices",
        invariant=4,
        view=allocated_invoices,
        among=equal("$invoice", 1),
        holds=both({"$lte": ["$allocated", "$total"]}, {"$gte": ["$allocated", 0]}),
        expected={"atMost": "$total"},
        found="$allocated",
    ),
    Check(
        name="accrued-follows-terms",
        invariant=5,
        view=invoices,
        holds=true_of_each(partner_lines, accrued_by_terms),
        expected="the share, or with accrueOn payment as much of it as was paid, and given up as was written off",
        found={"total": "$taxIncludedAmount", "paid": paid_to_date, "lines": partner_lines},
    ),
    Check(
        name="invoices-are-in-one-name",
        invariant=3,
        view=invoices,
        holds=in_one_name,
        expected={"seller": {"$ifNull": ["$seller", None]}, "soldAsAgent": {"$cond": [of_partner, "all", "none"]}},
        found={"lines": {"$size": "$lines"}, "partners": names, "soldAsAgent": {"$size": sold_as_agent}},
    ),
    Check(
        name="facts-make-one-invoice-a-seller",
        invariant=6,
        view=sellers_of_facts,
        holds=equal("$invoices", 1),
        expected={"$literal": 1},
        found="$invoices",
    ),
    Check(
        name="agents-shares-are-what-is-left",
        invariant=5,
        view=invoices_of_agents,
        holds=true_of_each("$lines", equal("$$this.onBehalfOf.share", gross_left)),
        expected=each("$lines", {"lineId": "$$this.id", "share": gross_left}),
        found=each("$lines", {"lineId": "$$this.id", "share": "$$this.onBehalfOf.share"}),
    ),
    Check(
        name="commissions-follow-terms",
        invariant=5,
        view=invoices_of_agents,
        holds=true_of_each("$lines", equal("$$this.onBehalfOf.agent.charged", commission_to_date)),
        expected=each("$lines", {"lineId": "$$this.id", "commission": {"$toString": commission_to_date}}),
        found=each("$lines", {"lineId": "$$this.id", "commission": "$$this.onBehalfOf.agent.charged"}),
    ),
    Check(
        name="numbers-are-of-their-sellers-series",
        invariant=8,
        view=series_and_numbers,
        holds=agrees("seller"),
        expected="the owner of the series, of all that is numbered in it",
        found=span("seller"),
    ),
    Check(
        name="partners-series-are-their-own",
        invariant=8,
        view=partners_series,
        holds=both(equal("$series", 1), agrees("owner")),
        expected={"series": 1, "owner": "the partner whose terms name it"},
        found={"series": "$series", "owner": span("owner")},
    ),
    Check(
        name="invoice-numbers-run-without-gap",
        invariant=8,
        view=series_and_numbers,
        holds=both(
            equal("$count", "$given"),
            equal("$last", "$given"),
            equal("$unread", 0),
            either(equal("$count", 0), equal("$first", 1)),
        ),
        expected={"first": 1, "last": "$given", "count": "$given", "unread": 0},
        found={"first": "$first", "last": "$last", "count": "$count", "unread": "$unread"},
    ),
    Check(
        name="allocations-point-to-invoices",
        invariant=9,
        view=allocated_invoices,
        among={"$gt": ["$allocations", 0]},
        holds=both(equal("$invoice", 1), agrees("account")),
        expected={"invoice": 1, "billingAccount": "the same in both"},
        found={"invoice": "$invoice", "billingAccount": span("account")},
    ),
    Check(
        name="billing-documents-have-positions",
        invariant=9,
        view=billing_accounts,
        among={"$gt": ["$documents", 0]},
        holds=both(equal("$position", 1), agrees("currency")),
        expected={"position": 1, "currency": "the same in all"},
        found={"position": "$position", "currency": span("currency")},
    ),
)
