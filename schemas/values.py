"""The values that messages are made of (decimals, amounts, ids, texts, times), each checked at the door."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Annotated, Any

import iso4217
from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from domain.money import AMOUNT_MAX, Currency, Money

Json = dict[str, Any]
"""A JSON object as it goes out."""

TEXT_MAX = 1_000
"""The most characters of a text."""
INTEGER_MAX = 2**53
"""Integers are within ±this: a JSON reader that uses doubles keeps them."""
DIGITS_MAX = 15
"""The most significant digits of a decimal that is a JSON number: a double keeps no more."""

DECIMAL = re.compile(r"-?[0-9]{1,11}(\.[0-9]{1,8})?", re.ASCII)
"""A quantity, a price or a rate."""
AMOUNT = re.compile(r"-?[0-9]{1,14}(\.[0-9]{1,8})?", re.ASCII)
"""An amount: 10^13 units of a currency without decimals have 14 digits."""
ID_MAX = 128
"""The most characters of an id: `urn:ngsi-ld:settlement-account:<uuid>` and the like."""
ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{ID_MAX}}}", re.ASCII)
"""An id of ours, or a key of our clients'."""
# A group that is remembered takes longer.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZERO, _ONE = Decimal(0), Decimal(1)
ID_ALPHABET = f"1 to {ID_MAX} of A-Z a-z 0-9 . _ : -"
_NO_ID = f"must be an id: {ID_ALPHABET}"


def is_id(value: object) -> bool:
    """Whether `value` is 1 to 128 of `A-Z a-z 0-9 . _ : -`."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


def parse_decimal(value: object, pattern: re.Pattern[str] = DECIMAL) -> Decimal:
    """A decimal from a JSON number or a string; normalised, so that 0.2 and 0.20 are equal and look it.

    JSON numbers come as `int`, as `Decimal` when they have a point, and as `float` when they have an exponent (see
    `schemas.wire`). Raises `ValueError` for what the contract does not take.
    """
    # A pattern is hashed anew each time that it is looked up, so that most do without.
    read = _read_decimal if pattern is DECIMAL else _reader(pattern)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return read(value)
    if isinstance(value, float):
        raise ValueError("must be a finite number without an exponent")
    if not isinstance(value, Decimal):
        raise ValueError("must be a number, or a string that holds one")
    text = f"{value:f}"
    decimal = read(text)
    if len(text.replace(".", "").strip("-0")) > DIGITS_MAX:
        raise ValueError(f"has more than {DIGITS_MAX} significant digits: send it as a string")
    return decimal


@cache
def _reader(pattern: re.Pattern[str]) -> Callable[[str | int], Decimal]:
    # Quantities and rates are few and come again and again.
    @lru_cache(maxsize=4096)
    def read(written: str | int) -> Decimal:
        # str() of a huge integer is slow, and refused above 4,300 digits.
        text = written if isinstance(written, str) else str(written) if abs(written) <= INTEGER_MAX else ""
        if not pattern.fullmatch(text):
            raise ValueError("must be a decimal without an exponent, at most 11 digits before and 8 after the point")
        # Its zeros are cut off the text: normalize() makes 1E+1 of 10, and undoing that takes longer than all else.
        return Decimal(text.rstrip("0").rstrip(".") if "." in text else text) or _ZERO  # which has no sign

    return read


_read_decimal = _reader(DECIMAL)


@cache
def currency(code: str) -> Currency:
    """The ISO 4217 currency of this code; `ValueError` for what is none, or has no minor unit (gold, test codes)."""
    try:
        found = iso4217.Currency(code)
    except ValueError:
        raise ValueError(f"{code[:10]!r} is not an ISO 4217 currency code") from None
    if found.exponent is None:
        raise ValueError(f"{code} has no minor unit to keep books in")
    return Currency(code, found.exponent)


def parse_currency(value: object) -> Currency:
    """A currency from its code."""
    if not isinstance(value, str):
        raise ValueError("must be an ISO 4217 currency code")
    return currency(value)


def parse_money(value: object) -> Money:
    """An amount in minor units from TMF's `{"unit", "value"}`; never rounded."""
    if not isinstance(value, dict) or "unit" not in value or "value" not in value:
        raise ValueError('must be an amount: {"unit": "EUR", "value": 39.9}')
    unit = parse_currency(value["unit"])
    minor = parse_decimal(value["value"], AMOUNT).scaleb(unit.digits)
    if minor != minor.to_integral_value():
        raise ValueError(f"has more decimals than {unit.code} ({unit.digits})")
    if abs(minor) > AMOUNT_MAX:
        raise ValueError(f"is more than {AMOUNT_MAX} minor units")
    return Money(unit.code, int(minor))


def money_json(amount: int, code: str) -> Json:
    """An amount as it goes out: `{"unit", "value"}`, the value a JSON number.

    An amount within the limit has at most 15 significant digits, so the shortest form of the double is the decimal.
    """
    digits = currency(code).digits
    return {"unit": code, "value": amount / 10**digits if digits else amount}


def time_json(moment: datetime) -> str:
    """A time in UTC as it goes out, to the millisecond."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


# Quantities, prices and rates are few and come again and again.
@lru_cache(maxsize=4096)
def decimal_json(value: Decimal) -> int | float | str:
    """A decimal as a JSON number where a double keeps it, else as a string: the way it may come in."""
    if value == value.to_integral_value() and abs(value) < 2**53:
        return int(value)
    # A float below 0.0001 may be written with an exponent, which may not come in.
    return float(value) if len(value.as_tuple().digits) <= 15 and value.adjusted() >= -4 else f"{value:f}"


def parse_text(value: object) -> str:
    """A text of at most 1,000 characters that a database and UTF-8 can hold."""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    problem = text_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def text_problem(value: str) -> str | None:
    """What is wrong with a text, or None."""
    if len(value) > TEXT_MAX:
        return f"is longer than {TEXT_MAX} characters"
    if "\x00" in value:
        return "holds a NUL character"
    if not value.isascii():  # which a text knows of itself
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds a lone surrogate"
    return None


def parse_time(value: object) -> datetime:
    """An RFC 3339 time with an offset, in UTC, to the millisecond (what the database keeps)."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("must be an RFC 3339 time with an offset, as 2026-11-22T10:15:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a time that exists") from None
    # Nearly all have no more than milliseconds, and a replacement takes longer than all the rest.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) if moment.microsecond % 1000 else moment


def parse_date(value: object) -> date:
    """An ISO 8601 date."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("must be a date, as 2026-11-30")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a date that exists") from None


def parse_id(value: object) -> str:
    """An id of the contract's alphabet."""
    if not is_id(value):
        raise ValueError(_NO_ID)
    assert isinstance(value, str)
    return value


class _AsId:
    """What `parse_id` takes, checked by pydantic's own regular expressions: a third of an order's fields are ids.

    That runs no Python, and takes a sixth of the time.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(strict=True, pattern=f"^{ID.pattern}$", regex_engine="rust-regex")
        return core_schema.custom_error_schema(text, custom_error_type="no_id", custom_error_message=_NO_ID)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core_schema.no_info_before_validator_function(parse_id, schema))


def parse_rate(value: object) -> Decimal:
    """A rate or a share: a decimal between 0 and 1."""
    rate = parse_decimal(value)
    if not _ZERO <= rate <= _ONE:
        raise ValueError("must be between 0 and 1: 0.2 is 20 %")
    return rate


def positive(value: Money) -> Money:
    """A check that an amount is more than zero."""
    if value.amount <= 0:
        raise ValueError("must be more than zero")
    return value


Id = Annotated[str, _AsId()]
Text = Annotated[str, BeforeValidator(parse_text)]
Number = Annotated[Decimal, BeforeValidator(parse_decimal)]
Rate = Annotated[Decimal, BeforeValidator(parse_rate)]
Time = Annotated[datetime, BeforeValidator(parse_time)]
Date = Annotated[date, BeforeValidator(parse_date)]
CurrencyCode = Annotated[Currency, BeforeValidator(parse_currency)]
PositiveMoney = Annotated[Money, BeforeValidator(parse_money), AfterValidator(positive)]
Days = Annotated[int, Field(strict=True, ge=0, le=3650)]
Revision = Annotated[int, Field(strict=True, ge=1, le=INTEGER_MAX)]
Count = Annotated[int, Field(ge=1)]
