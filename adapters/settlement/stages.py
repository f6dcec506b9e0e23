"""What several of this capability's audits say alike, of agreements and of partners' lines."""

from __future__ import annotations

from adapters.checks import Expression, Stage, both, has, only

AFTER_ALL_DAYS = "9999-12-32"
"""A day that is after every other."""
end: Expression = {"$ifNull": ["$end", AFTER_ALL_DAYS]}
"""The first day after an agreement; after every day, of one without an end."""


def revision_id(agreement: Expression, revision: Expression) -> Expression:
    """How a revision of an agreement is known: `<agreementId>/<revision>`."""
    return {"$concat": [agreement, "/", {"$toString": revision}]}


def partners_lines(*conditions: Expression, **fields: Expression) -> tuple[Stage, ...]:
    """Each line of an invoice on behalf of a partner as a row, where all conditions hold; with these fields of it."""
    which = both(has("$$this.onBehalfOf"), *conditions)
    return ({"$project": {**fields, "lines": only("$lines", which)}}, {"$unwind": "$lines"})
