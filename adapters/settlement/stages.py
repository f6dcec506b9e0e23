"""What several of this capability's audits say alike, of agreements and of partners' lines."""

from __future__ import annotations

from datetime import UTC, datetime

from adapters.checks import Expression, Stage, both, equal, has, only

AFTER_ALL_DAYS = "9999-12-32"
"""A day that is after every other."""
CLOCKS_APART = 3_600_000
"""How far the clocks of two workers may be apart (milliseconds): of what is nearer nobody can tell which came first."""
LAST_DAY = "9999-12-31"
"""The last day of the calendar."""
LAST_TIME = datetime(9999, 12, 31, 9, tzinfo=UTC)
"""At which it is the last day of the calendar everywhere."""
end: Expression = {"$ifNull": ["$end", AFTER_ALL_DAYS]}
"""The first day after an agreement; after every day, of one without an end."""


def revision_id(agreement: Expression, revision: Expression) -> Expression:
    """How a revision of an agreement is known: `<agreementId>/<revision>`."""
    return {"$concat": [agreement, "/", {"$toString": revision}]}


def partners_lines(*conditions: Expression, **fields: Expression) -> tuple[Stage, ...]:
    """Each line of an invoice on behalf of a partner as a row, where all conditions hold; with these fields of it."""
    which = both(has("$$this.onBehalfOf"), *conditions)
    return ({"$project": {**fields, "lines": only("$lines", which)}}, {"$unwind": "$lines"})


def date_of(day: Expression) -> Expression:
    """A day as the server counts with it; null of what is none."""
    return {"$dateFromString": {"dateString": day, "onError": None, "onNull": None}}


def day_of(date: Expression) -> Expression:
    """A day as documents have it, and none after the last one."""
    last = date_of(LAST_DAY)
    return {"$dateToString": {"date": {"$min": [date, last]}, "format": "%Y-%m-%d"}}


def is_date_of(day: Expression, time: Expression, days: int = 0) -> Expression:
    """Whether a day is one of the dates that there are anywhere at a time, or up to so many days after.

    Where the seller is does not stand in what is audited.
    """
    until = {"$dateAdd": {"startDate": time, "unit": "day", "amount": days}} if days else time
    return both({"$gte": [day, _date_at(time, "-12:00")]}, {"$lte": [day, _date_at(until, "+14:00")]})


def _date_at(time: Expression, zone: str) -> Expression:
    return {"$dateToString": {"date": {"$min": [time, LAST_TIME]}, "format": "%Y-%m-%d", "timezone": zone}}


def period_of(anchor: Expression, day: Expression, type_: Expression) -> Expression:
    """The period of an agreed type that begins in a day's month, or before, counted from an anchor.

    Out: `start`, and `end`, the first day after it.
    """
    months = {"$switch": {"branches": [_is("month", type_, 1), _is("quarter", type_, 3)], "default": 12}}
    apart = {"$dateDiff": {"startDate": "$$anchor", "endDate": date_of(day), "unit": "month"}}

    def begins(n: Expression) -> Expression:
        amount = {"$toLong": {"$multiply": [n, "$$months"]}}
        return day_of({"$dateAdd": {"startDate": "$$anchor", "unit": "month", "amount": amount}})

    return {
        "$let": {
            "vars": {"anchor": date_of(anchor), "months": months},
            "in": {
                "$let": {
                    "vars": {"n": {"$floor": {"$divide": [apart, "$$months"]}}},
                    "in": {"start": begins("$$n"), "end": begins({"$add": ["$$n", 1]})},
                }
            },
        }
    }


def _is(type_: str, found: Expression, months: int) -> Expression:
    return {"case": equal(found, type_), "then": months}
