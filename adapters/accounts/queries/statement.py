"""Statements of account: an opening balance, what moved it, and the closing balance that both add up to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from adapters.accounts.codecs import decode_account
from adapters.accounts.queries.standings import BALANCES, ledger_accounts
from adapters.mongodb.paging import Page, reading
from adapters.mongodb.view import BY_ID, Json, Row, View
from domain.accounts.model import SETTLEMENT, Account
from domain.errors import Refused
from domain.ledger.chart import SIGN
from schemas.accounts.queries import AccountStatement, StatementPlace
from schemas.query import When, from_milliseconds, milliseconds
from schemas.values import money_json, time_json

Balances = dict[str, int]
"""An account's balances by name, in the chart's order."""

OF_PARTNERS = ("settlement.", "payout.")
"""How the types of the messages begin that say something of a partner, and not of a customer."""
REVERSING = "payment.reversed"
"""The type of the message that a payment comes back by."""
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)
_BATCH_MORE = 50
"""How many rows more than a page's come at once: those that share its last row's time."""


async def page(query: AccountStatement, view: View) -> bytes:
    """`account.statement`, by the time of booking and then by movement.

    The first page fixes the end and the last movement that is in it. What is booked meanwhile is no part of it, even if
    the clock of whoever booked it was behind. The balances are worked out for each page, from what they are now.
    """
    row = await view.account(query.id)
    account: Account = decode_account(row)
    if account.type not in BALANCES:
        raise Refused("invalid", f"id: {account.id} is a {account.type}, which has no movements of its own")
    asked = (
        None if query.since is None else start_of(query.since, view.zone),
        None if query.until is None else end_of(query.until, view.zone),
    )
    position = await view.one("positions", {"_id": account.id}, fields=dict.fromkeys(("movements", *SIGN), 1))
    assert position is not None, f"account {account.id} has no position"
    place = query.after or _first_place(account, *asked, position["movements"], view)
    fixed = (None if place.since is None else from_milliseconds(place.since), from_milliseconds(place.until))
    if place.id != account.id or any(end not in (None, given) for end, given in zip(asked, fixed, strict=True)):
        raise Refused("invalid", "after: is of another statement")
    opening, balance, closing = await _balances(account, position, place, view)
    page = Page(query.limit)
    after = None
    async with aclosing(_movements(account, place, view, query.limit + _BATCH_MORE)) as movements:
        async for movement in movements:
            balance = {name: amount + movement.change[name] for name, amount in balance.items()}
            if not page.take({**movement.shown, "balance": _told(account, balance)}):
                after = place.cursor()
                break
            place = place._replace(booked=movement.booked, movement=movement.number)
    beside = {
        "id": account.id,
        "currency": account.currency,
        "from": None if fixed[0] is None else time_json(fixed[0]),
        "to": time_json(fixed[1]),
        "opening": _told(account, opening),
        "closing": _told(account, closing),
    }
    return page.answer(after, **beside)


def _told(account: Account, balances: Balances) -> Json:
    return {name: money_json(amount, account.currency, account.currency_digits) for name, amount in balances.items()}


def start_of(when: When, zone: tzinfo) -> datetime:
    """The first moment of a time or date where the seller is, as far as it can be kept."""
    return when if isinstance(when, datetime) else _midnight(when, zone)


def end_of(when: When, zone: tzinfo) -> datetime:
    """The last moment of a time or date where the seller is, as far as it can be kept."""
    if isinstance(when, datetime):
        return when
    return _LAST if when == date.max else _midnight(when + timedelta(1), zone) - _MILLISECOND


def _midnight(day: date, zone: tzinfo) -> datetime:
    """The first moment of a day where the seller is; what is before the year 1 is cut off, nothing is booked there."""
    try:
        return datetime.combine(day, time(), zone).astimezone(UTC)
    except OverflowError:
        return _FIRST


def _first_place(
    account: Account, since: datetime | None, until: datetime | None, known: int, view: View
) -> StatementPlace:
    """Where a statement begins, and what it fixes."""
    until = view.now.replace(microsecond=view.now.microsecond // 1000 * 1000) if until is None else until
    if since is not None and since > until:
        raise Refused("invalid", f"from: {time_json(since)} is after {time_json(until)}")
    begin = None if since is None else milliseconds(since)
    return StatementPlace(account.id, begin, milliseconds(until), known, begin or 0, 0)


async def _balances(
    account: Account, position: Row, place: StatementPlace, view: View
) -> tuple[Balances, Balances, Balances]:
    """The balances before a statement, at a place of it, and after it.

    Each is what it is now, less what was booked since. At a place in the first half of a statement without a beginning
    it is what was booked before: that is less to add up.
    """
    booked, until = from_milliseconds(place.booked), from_milliseconds(place.until)
    late = {
        "$or": [
            {"$gt": ["$bookedAt", booked]},
            {"$and": [{"$eq": ["$bookedAt", booked]}, {"$gt": ["$postings.movement", place.movement]}]},
        ]
    }
    ended = {"$gt": ["$bookedAt", until]}
    now = {name: position.get(name, 0) for name in BALANCES[account.type]}
    if place.since is not None:
        since = from_milliseconds(place.since)
        begun = {"$gte": ["$bookedAt", since]}
        sums = await _sums(account, position, place, view, {"$gte": since}, {"open": begun, "at": late, "end": ended})
        opening, at, closing = (_less(now, sums[name]) for name in ("open", "at", "end"))
        return opening, at, closing
    nothing = dict.fromkeys(now, 0)
    if place.movement * 2 > place.known:
        sums = await _sums(account, position, place, view, {"$gte": min(booked, until)}, {"at": late, "end": ended})
        return nothing, _less(now, sums["at"]), _less(now, sums["end"])
    sums = await _sums(account, position, place, view, {"$gt": until}, {"end": ended})
    before = await _sums(account, position, place, view, {"$lte": booked}, {"at": {"$not": late}}, known=True)
    return nothing, _less(nothing, {name: -amount for name, amount in before["at"].items()}), _less(now, sums["end"])


def _less(balances: Balances, sums: Balances) -> Balances:
    return {name: amount - sums.get(name, 0) for name, amount in balances.items()}


async def _sums(
    account: Account,
    position: Row,
    place: StatementPlace,
    view: View,
    when: Row,
    which: dict[str, Row],
    *,
    known: bool = False,
) -> dict[str, Balances]:
    """By how much each balance was moved by the postings of a time that fit, for each of `which`.

    What the statement's first page did not know fits too, whenever it was booked; with `known` it does not.
    """
    names = ledger_accounts({account.id: account.type})
    unknown = {"$gt": ["$postings.movement", place.known]}
    fits = {
        name: {"$and": [{"$not": unknown}, condition]} if known else {"$or": [unknown, condition]}
        for name, condition in which.items()
    }
    found: Row = {"postings.account": {"$in": names}, "bookedAt": when}
    if not known and position["movements"] > place.known:
        later = {"postings": {"$elemMatch": {"account": {"$in": names}, "movement": {"$gt": place.known}}}}
        found = {"$or": [found, later]}
    pipeline: list[Row] = [
        {"$match": found},
        {"$project": {"bookedAt": 1, "postings": 1}},
        {"$unwind": "$postings"},
        {"$match": {"postings.account": {"$in": names}}},
        {
            "$group": {
                "_id": "$postings.account",
                **{name: {"$sum": {"$cond": [condition, "$postings.amount", 0]}} for name, condition in fits.items()},
            }
        },
    ]
    rows = await view.aggregate("entries", pipeline, index="movements")
    return {name: {(to := row["_id"].partition(":")[0]): SIGN[to] * row[name] for row in rows} for name in which}


@dataclass(frozen=True, slots=True)
class _Movement:
    booked: int
    number: int
    change: Balances
    shown: Json


async def _movements(
    account: Account, place: StatementPlace, view: View, batch: int
) -> AsyncGenerator[_Movement, None]:
    """What moved an account after a place of its statement, in order.

    The index gives the entries by time; those of one time, a batch or two, are put in order here.
    """
    names = ledger_accounts({account.id: account.type})
    when = {"$gte": from_milliseconds(place.booked), "$lte": from_milliseconds(place.until)}
    cursor = view.cursor(
        "entries",
        # One range of the index for each ledger account, which the server merges by time.
        {"$or": [{"postings.account": name, "bookedAt": when} for name in names]},
        sort=[("bookedAt", 1)],
        index="movements",
        batch=batch,
    )
    async with reading(cursor) as rows:
        together: list[_Movement] = []
        async for row in rows:
            if view.party is not None and row.get("reason") is not None and not await _told_why(account, row, view):
                del row["reason"]
            movement = _movement(account, row, names)
            if together and movement.booked != together[0].booked:
                for one in _in_order(together, place):
                    yield one
                together = []
            together.append(movement)
        for one in _in_order(together, place):
            yield one


def _in_order(together: list[_Movement], place: StatementPlace) -> list[_Movement]:
    """Movements of one time in order: those after a place, and none that its first page did not know."""
    return sorted(
        (
            one
            for one in together
            if one.number <= place.known and (one.booked, one.number) > (place.booked, place.movement)
        ),
        key=lambda one: one.number,
    )


def _movement(account: Account, row: Row, names: list[str]) -> _Movement:
    own = [posting for posting in row["postings"] if posting["account"] in names]
    sides = [(name := posting["account"].partition(":")[0], SIGN[name] * posting["amount"]) for posting in own]
    change = {name: sum(amount for to, amount in sides if to == name) for name in BALANCES[account.type]}
    number = own[0]["movement"]
    shown = {
        "entry": row["_id"],
        "occurredAt": time_json(row["occurredAt"]),
        "bookedAt": time_json(row["bookedAt"]),
        "movement": number,
        "postings": [
            {"account": name, "amount": money_json(amount, account.currency, account.currency_digits)}
            for name, amount in sides
        ],
    } | {name: row[name] for name in ("reverses", "reason") if row.get(name) is not None}
    return _Movement(milliseconds(row["bookedAt"]), number, change, shown)


async def _told_why(account: Account, entry: Row, view: View) -> bool:
    """Whether an account's statement tells the reason of an entry in a party's view.

    What is said of a customer's invoice or payment is that one's: partners' shares only move with it, and credit that
    was transferred on.
    """
    kind, _, key = str(entry["_id"]).partition(":")
    if account.type == SETTLEMENT:
        return kind.startswith(OF_PARTNERS)
    if kind != REVERSING:
        return True
    reversal = await view.one("reversals", {"_id": key}, fields={"billingAccount": 1}, index=BY_ID)
    return reversal is None or await view.shows(reversal["billingAccount"])
