"""The seller: its history (invariant 6) and events (7), and the versions that invoices name (9)."""

from adapters.checks import NUMBERED, Check, Expression, Numbered, Stage, View, begins, both, either, equal, has, union

UPDATE = "seller.update:"
"""How the identities of the messages begin that change the seller."""
EVENT_OF_SELLER = "^seller/"
"""What the ids of the seller's events look like."""

named_rightly: Expression = equal("$_id", {"$concat": ["seller/", {"$toString": "$version"}]})
# All in one row: the versions have the numbers 1..n, each once, since they are unique by their `_id`.
seller_and_versions = View(
    "the seller and its versions",
    "seller",
    (
        {
            "$project": {
                "_id": {"$literal": "seller"},
                "seller": {"$literal": 1},
                "version": 1,
                "row": {"version": "$version", "updatedAt": "$updatedAt", "document": "$document"},
            }
        },
        union(
            "sellerVersions",
            {
                "$project": {
                    "_id": {"$literal": "seller"},
                    "versions": {"$literal": 1},
                    "misnamed": {"$cond": [named_rightly, 0, 1]},
                    "latest": {"version": "$version", "updatedAt": "$bookedAt", "document": "$document"},
                }
            },
        ),
        {
            "$group": {
                "_id": "$_id",
                **{n: {"$sum": f"${n}"} for n in ("seller", "version", "versions", "misnamed")},
                "row": {"$max": "$row"},
                # Documents compare by their first field first.
                "latest": {"$max": "$latest"},
            }
        },
    ),
)

# Each message tells in its result which version it left; the version says which message made it.
versions_facts_and_events = View(
    "versions of the seller, their facts and their events",
    "sellerVersions",
    (
        {"$project": {"versions": {"$literal": 1}, "cause": 1}},
        union(
            "inbox",
            begins(UPDATE),
            {
                "$project": {
                    "_id": {"$concat": ["seller/", {"$toString": "$result.version"}]},
                    "applied": "$_id",
                }
            },
        ),
        union("outbox", begins("seller/"), {"$project": {"events": {"$literal": 1}}}),
        {
            "$group": {
                "_id": "$_id",
                "versions": {"$sum": "$versions"},
                "events": {"$sum": "$events"},
                "causes": {"$addToSet": "$cause"},
                "applied": {"$addToSet": "$applied"},
            }
        },
    ),
)

# Of invoices, credit notes and documents of statements alike. Few rows, however many there are. A number is given by a
# write of its series, which each of them makes, so one has seen at least what the one before it has seen, whichever
# worker it was: versions rise with numbers.
length_of_prefix: Expression = {"$max": [0, {"$subtract": [{"$strLenBytes": "$number"}, 9]}]}


def _seller_of(numbered: Numbered) -> Stage:
    return {
        "$project": {"number": numbered.number, "seller": numbered.seller, "sellerVersion": numbered.version},
    }


versions_that_invoices_name = View(
    "versions of the seller that invoices name",
    NUMBERED[0].collection,
    (
        _seller_of(NUMBERED[0]),
        *(union(one.collection, _seller_of(one)) for one in NUMBERED[1:]),
        # Of what we issue in a partner's name we are the buyer; the partner's version rises by itself.
        union(
            "settlementDocuments",
            {"$match": {"isSelfBilled": True}},
            {"$project": {"number": "$_id", "sellerVersion": 1, "to": {"$literal": "to us: "}}},
        ),
        {
            "$group": {
                "_id": {
                    "series": {
                        "$concat": [{"$ifNull": ["$to", ""]}, {"$substrBytes": ["$number", 0, length_of_prefix]}]
                    },
                    "seller": {"$ifNull": ["$seller", None]},
                    "version": {"$ifNull": ["$sellerVersion", 0]},
                },
                "first": {"$min": "$number"},
                "last": {"$max": "$number"},
            }
        },
        {
            "$setWindowFields": {
                "partitionBy": "$_id.series",
                "sortBy": {"_id.version": 1},
                "output": {"before": {"$max": "$last", "window": {"documents": ["unbounded", -1]}}},
            }
        },
        # A partner is the seller by its account's version.
        {"$set": {"named": {"$concat": [{"$ifNull": ["$_id.seller", "seller"]}, "/", {"$toString": "$_id.version"}]}}},
        *(
            {
                "$lookup": {
                    "from": collection,
                    "localField": "named",
                    "foreignField": "_id",
                    "pipeline": [{"$project": {"_id": 1}}],
                    "as": collection,
                }
            }
            for collection in ("sellerVersions", "accountVersions")
        ),
        {"$set": {"there": {"$cond": [has("$_id.seller"), "$accountVersions", "$sellerVersions"]}}},
    ),
)

versions_of_buyers = View(
    "versions of accounts that invoices name",
    "invoices",
    (
        {"$match": {"buyerVersion": {"$gt": 0}}},
        {"$project": {"billingAccount": 1, "buyerVersion": 1}},
        union("creditNotes", {"$project": {"billingAccount": 1, "buyerVersion": 1}}),
        union(
            "settlementDocuments",
            {"$project": {"billingAccount": "$settlementAccount", "buyerVersion": "$partnerVersion"}},
        ),
        {
            "$group": {
                "_id": {"$concat": ["$billingAccount", "/", {"$toString": "$buyerVersion"}]},
                "invoices": {"$sum": 1},
            }
        },
        # What names an `_id` alone is read of the index, without the snapshots.
        union("accountVersions", {"$match": {"_id": {"$gt": ""}}}, {"$project": {"_id": 1, "there": {"$literal": 1}}}),
        {"$group": {"_id": "$_id", "invoices": {"$sum": "$invoices"}, "there": {"$sum": "$there"}}},
    ),
)

CHECKS = (
    Check(
        name="seller-versions-run-without-gap",
        invariant=6,
        view=seller_and_versions,
        holds=both(
            equal("$seller", 1),
            equal("$versions", "$version"),
            equal("$latest.version", "$version"),
            equal("$misnamed", 0),
        ),
        expected={"seller": 1, "last": "$version", "count": "$version", "misnamed": 0},
        found={"seller": "$seller", "last": "$latest.version", "count": "$versions", "misnamed": "$misnamed"},
    ),
    Check(
        name="last-version-is-the-seller",
        invariant=6,
        view=seller_and_versions,
        among=both(equal("$seller", 1), {"$gt": ["$versions", 0]}),
        holds=equal("$latest", "$row"),
        expected="the seller, as its last version left it",
        found="another",
    ),
    Check(
        name="seller-versions-match-inbox",
        invariant=6,
        view=versions_facts_and_events,
        among={"$gt": [{"$add": ["$versions", {"$size": "$applied"}]}, 0]},
        # An update that says what is so already leaves the version that was.
        holds=both(equal("$versions", 1), {"$setIsSubset": ["$causes", "$applied"]}),
        expected={"versions": 1, "applied": "$causes"},
        found={"versions": "$versions", "applied": "$applied"},
    ),
    Check(
        name="seller-events-match-versions",
        invariant=7,
        view=versions_facts_and_events,
        among={"$gt": [{"$add": ["$versions", "$events"]}, 0]},
        holds=both(
            equal("$versions", 1),
            # Where sent rows are pruned, it may have none left.
            either(equal("$events", 1), both("$$pruned", equal("$events", 0))),
        ),
        expected={"versions": 1, "events": 1},
        found={"versions": "$versions", "events": "$events"},
    ),
    Check(
        name="invoices-name-seller-versions",
        invariant=9,
        view=versions_that_invoices_name,
        # While nothing was said of us, there is no version of ours.
        among=either(has("$_id.seller"), {"$gt": ["$_id.version", 0]}),
        holds=equal({"$size": "$there"}, 1),
        expected={"there": 1},
        found={"there": {"$size": "$there"}, "first": "$first", "last": "$last"},
    ),
    Check(
        name="seller-versions-rise-with-numbers",
        invariant=9,
        view=versions_that_invoices_name,
        holds=either({"$not": [has("$before")]}, {"$gt": ["$first", "$before"]}),
        expected={"first": {"after": "$before"}},
        found={"first": "$first"},
    ),
    Check(
        name="invoices-name-buyer-versions",
        invariant=9,
        view=versions_of_buyers,
        among={"$gt": ["$invoices", 0]},
        holds=equal("$there", 1),
        expected={"there": 1},
        found={"there": "$there", "invoices": "$invoices"},
    ),
)
