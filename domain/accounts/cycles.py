"""Cycles: what a billing cycle specification says of the runs that begin by themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from domain.errors import Refused
from domain.frozen import dataclass

OFFSET_DAYS_MAX = 366
"""How many days before or after the start of its period something of a run may be."""
LENGTH_MAX = 120
"""Of how many billing periods a cycle may be: `frequency`, where that is a number."""
RUN_ID_SUFFIX = len(":2026-12-01")
ID_MAX = 128 - RUN_ID_SUFFIX
"""The most characters of an automatic cycle's id: its runs' ids end in their date, and are ids themselves."""

PeriodUnit = Literal["day", "week", "month", "year"]

UNITS: dict[str, tuple[PeriodUnit, int]] = {
    "day": ("day", 1),
    "week": ("week", 1),
    "month": ("month", 1),
    "quarter": ("month", 3),
    "quarter of year": ("month", 3),
    "year": ("year", 1),
}
"""What TMF666's `billingPeriod` may be: a unit, and how many of it."""
WORDS: dict[str, tuple[PeriodUnit, int]] = {
    "daily": UNITS["day"],
    "weekly": UNITS["week"],
    "monthly": UNITS["month"],
    "quarterly": UNITS["quarter"],
    "yearly": UNITS["year"],
    "annually": UNITS["year"],
}
"""What its `frequency` may be, where it is not a number."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """A cycle that runs by itself: a period is `length` of `unit`, the first begins on the date of `since`.

    None begins at `until` or later. The others are days from the start of a period: `opened` when its run is opened,
    `charges` up to which charges are on it, `due` when its bills are due, None where that is each account's to say.
    """

    unit: PeriodUnit
    length: int
    since: datetime
    until: datetime | None
    opened: int
    charges: int
    due: int | None


def is_automatic(document: Mapping[str, object]) -> bool:
    """Whether a specification says that its runs begin by themselves."""
    return document.get("automatic") is True


def check_cycle(id_: str, document: Mapping[str, object]) -> None:
    """Raise `Refused` (`invalid`) for a specification that is to be automatic and does not say all that this needs."""
    said = document.get("automatic")
    if said is not None and not isinstance(said, bool):
        raise Refused("invalid", f"automatic: must be true or false (got {_shown(said)})")
    if said:
        read_cycle(id_, document)


def read_cycle(id_: str, document: Mapping[str, object]) -> Cycle:
    """What an automatic specification says, in TMF666's fields; raises `Refused` (`invalid`), naming the field."""
    if len(id_) > ID_MAX:
        raise Refused("invalid", f"id: of an automatic cycle has at most {ID_MAX} characters, since its runs' ids do")
    unit, length = _period(document.get("billingPeriod"), document.get("frequency"))
    valid = document.get("validFor")
    said = valid if isinstance(valid, Mapping) else {}
    since = _time(said.get("startDateTime"), "startDateTime")
    if since is None:
        raise Refused(
            "invalid", "validFor.startDateTime: is needed of an automatic cycle: its first period begins then"
        )
    return Cycle(
        unit,
        length,
        since,
        _time(said.get("endDateTime"), "endDateTime"),
        _days(document, "billingDateShift") or 0,
        _days(document, "chargeDateOffset") or 0,
        _days(document, "paymentDueDateOffset"),
    )


def _period(period: object, frequency: object) -> tuple[PeriodUnit, int]:
    """The length of a period: `billingPeriod`, as often as `frequency` says if that is a number; a word says the same.

    Of both one is enough.
    """
    unit = None if period is None else UNITS.get(str(period).strip().casefold())
    if period is not None and unit is None:
        raise Refused(
            "invalid", f"billingPeriod: of an automatic cycle is one of {_list(UNITS)} (got {_shown(period)})"
        )
    if frequency is None:
        if unit is None:
            raise Refused("invalid", "billingPeriod: is needed of an automatic cycle, as month")
        return unit
    often = str(frequency).strip().casefold()
    if re.fullmatch(r"[1-9]\d{0,2}", often, re.ASCII) and int(often) <= LENGTH_MAX:
        if unit is None:
            raise Refused("invalid", "billingPeriod: is needed of an automatic cycle whose frequency is a number")
        return unit[0], unit[1] * int(often)
    word = WORDS.get(often)
    if word is None:
        which = f"one of {_list(WORDS)}, or a number of billing periods from 1 to {LENGTH_MAX}"
        raise Refused("invalid", f"frequency: of an automatic cycle is {which} (got {_shown(frequency)})")
    if unit not in (None, word):
        raise Refused("invalid", f"frequency: {often} is another period than billingPeriod's {period}: leave one out")
    return word


def _list(words: Mapping[str, object]) -> str:
    return ", ".join(words)


def _shown(said: object) -> str:
    return f"{said!s:.40}"


def _time(said: object, field: str) -> datetime | None:
    if said is None:
        return None
    try:
        time = datetime.fromisoformat(str(said).upper())
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise Refused("invalid", f"validFor.{field}: must be a time with its offset (got {_shown(said)})")
    return time


def _days(document: Mapping[str, object], field: str) -> int | None:
    said = document.get(field)
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int) or abs(said) > OFFSET_DAYS_MAX:
        limits = f"from {-OFFSET_DAYS_MAX} to {OFFSET_DAYS_MAX}"
        raise Refused("invalid", f"{field}: of an automatic cycle is a number of days {limits} (got {_shown(said)})")
    return said
