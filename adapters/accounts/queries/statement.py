"""Statements of account: an opening balance, what moved it, and the closing balance that both add up to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from adapters.accounts.codecs import decode_account
from adapters.accounts.queries.standings import BALANCES, balances_at, ledger_accounts
from adapters.mongodb.paging import Page, reading
from adapters.mongodb.view import Json, Row, View
from domain.accounts.model import Account
from domain.errors import Refused
from domain.ledger.chart import SIGN
from schemas.accounts.queries import AccountStatement, Pair, StatementPlace
from schemas.query import When, from_milliseconds, milliseconds
from schemas.values import money_json, time_json

_MILLISECOND = timedelta(milliseconds=1)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999000, UTC)
_BATCH_MORE = 50
"""How many rows more than a page's come at once: those that share its last row's time."""


async def page(query: AccountStatement, view: View) -> bytes:
    """`account.statement`, by the time of booking and then by movement.

    The first page fixes the end, the last movement that is in it, and the balances on both sides; the cursor carries
    them. What is booked meanwhile is no part of it, even if the clock of whoever booked it was behind.
    """
    row = await view.account(query.id)
    account: Account = decode_account(row)
    if account.type not in BALANCES:
        raise Refused("invalid", f"id: {account.id} is a {account.type}, which has no movements of its own")
    asked = (
        None if query.since is None else start_of(query.since, view.zone),
        None if query.until is None else end_of(query.until, view.zone),
    )
    place = query.after or await _first_place(account, *asked, view)
    fixed = (None if place.since is None else from_milliseconds(place.since), from_milliseconds(place.until))
    if place.id != account.id or any(end not in (None, given) for end, given in zip(asked, fixed, strict=True)):
        raise Refused("invalid", "after: is of another statement")
    page = Page(query.limit)
    after = None
    async with aclosing(_movements(account, place, view, query.limit + _BATCH_MORE)) as movements:
        async for movement in movements:
            balance = (place.balance[0] + movement.change[0], place.balance[1] + movement.change[1])
            if not page.take({**movement.shown, "balance": _told(account, balance)}):
                after = place.cursor()
                break
            place = place._replace(booked=movement.booked, movement=movement.number, balance=balance)
    beside = {
        "id": account.id,
        "currency": account.currency,
        "from": None if fixed[0] is None else time_json(fixed[0]),
        "to": time_json(fixed[1]),
        "opening": _told(account, place.opening),
        "closing": _told(account, place.closing),
    }
    return page.answer(after, **beside)


def _told(account: Account, balance: Pair) -> Json:
    names = BALANCES[account.type]
    return {
        name: money_json(amount, account.currency, account.currency_digits)
        for name, amount in zip(names, balance, strict=True)
    }


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


async def _first_place(account: Account, since: datetime | None, until: datetime | None, view: View) -> StatementPlace:
    """Where a statement begins, and what it fixes."""
    until = view.now.replace(microsecond=view.now.microsecond // 1000 * 1000) if until is None else until
    if since is not None and since > until:
        raise Refused("invalid", f"from: {time_json(since)} is after {time_json(until)}")

    async def balance(at: datetime) -> Pair:
        sums = (await balances_at(view, {account.id: account.type}, at)).get(account.id, {})
        first, second = (sums.get(name, 0) for name in BALANCES[account.type])
        return first, second

    opening = (0, 0) if since is None or since.year == 1 else await balance(since - _MILLISECOND)
    begin = None if since is None else milliseconds(since)
    position = await view.one("positions", {"_id": account.id}, fields={"movements": 1})
    known = position["movements"] if position else 0
    closing = await balance(until)
    return StatementPlace(account.id, begin, milliseconds(until), known, begin or 0, 0, opening, opening, closing)


@dataclass(frozen=True, slots=True)
class _Movement:
    booked: int
    number: int
    change: Pair
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
    first, second = (sum(amount for to, amount in sides if to == name) for name in BALANCES[account.type])
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
    }
    return _Movement(milliseconds(row["bookedAt"]), number, (first, second), shown)
