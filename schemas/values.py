"""The values that messages are made of (decimals, amounts, ids, texts, times), each checked at the door."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from math import isfinite
from typing import Annotated, Any
from unicodedata import normalize

import iso4217
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from domain.money import AMOUNT_MAX, Currency, Money
from schemas.currencies import DIGITS, NO_MINOR_UNIT

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
FIRST_TIME, LAST_TIME = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"
"""The times that can be kept."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_ZERO, _ONE = Decimal(0), Decimal(1)
ID_ALPHABET = f"1 to {ID_MAX} of A-Z a-z 0-9 . _ : -"
_NO_ID = f"must be an id: {ID_ALPHABET}"


_NUMBER = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_SHOWN_MAX = 60


def shown(value: object) -> str:
    """A value as a detail shows it: as JSON has it but for a text's quotes, and cut off where it is long."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"{value!r:.{_SHOWN_MAX}}"
    if isinstance(value, float):
        # One that has an exponent came as a float (see `schemas.wire`), and is shown with it.
        return f"{Decimal(repr(value)).normalize()}" if isfinite(value) else f"{value}".replace("inf", "Infinity")
    if isinstance(value, int | Decimal):
        return f"{value:f}"[:_SHOWN_MAX] if isinstance(value, Decimal) else _digits(value)
    return "an array" if isinstance(value, list | tuple) else "an object"


def _digits(value: int) -> str:
    # Of a large integer the text is slow to make.
    return str(value) if abs(value) < 10**_SHOWN_MAX else f"a number of more than {_SHOWN_MAX} digits"


def is_id(value: object) -> bool:
    """Whether `value` is 1 to 128 of `A-Z a-z 0-9 . _ : -`."""
    return isinstance(value, str) and ID.fullmatch(value) is not None


def parse_decimal(value: object, pattern: re.Pattern[str] = DECIMAL) -> Decimal:
    """A decimal from a JSON number or a string; normalised, so that 0.2 and 0.20 are equal and look it.

    JSON numbers come as `int`, as `Decimal` when they have a point, and as `float` when they have an exponent (see
    `schemas.wire`). Raises `ValueError` for what the contract does not take.
    """
    if value.__class__ is str and pattern is DECIMAL:  # nearly always
        return _read_decimal(value)
    # A pattern is hashed anew each time that it is looked up, so that most do without.
    read = _read_decimal if pattern is DECIMAL else _reader(pattern)
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return read(value)
    if isinstance(value, float):
        raise ValueError("must be a finite number without an exponent, as 39.9")
    if not isinstance(value, Decimal):
        raise ValueError("must be a number, or a text that holds one, as 39.9")
    text = f"{value:f}"
    decimal = read(text)
    if len(text.replace(".", "").strip("-0")) > DIGITS_MAX:
        raise ValueError(f"has more than {DIGITS_MAX} significant digits: send it as a text")
    return decimal


def _no_decimal(written: str, pattern: re.Pattern[str]) -> str:
    """Which limit a text does not keep to that is no decimal."""
    digits = _NUMBER.fullmatch(written)
    if digits is None:
        return "must be a decimal without an exponent, as 39.9"
    before, after = (11, 8) if pattern is DECIMAL else (14, 8)
    if len(digits[1]) > before:
        return f"has {len(digits[1])} digits before the point, at most {before} are taken"
    return f"has {len(digits[2] or '')} digits after the point, at most {after} are taken"


@cache
def _reader(pattern: re.Pattern[str]) -> Callable[[str | int], Decimal]:
    # Quantities and rates are few and come again and again.
    @lru_cache(maxsize=4096)
    def read(written: str | int) -> Decimal:
        # str() of a huge integer is slow, and refused above 4,300 digits.
        text = written if isinstance(written, str) else str(written) if abs(written) <= INTEGER_MAX else ""
        if not pattern.fullmatch(text):
            raise ValueError(_no_decimal(_written(written), pattern))
        # Its zeros are cut off the text: normalize() makes 1E+1 of 10, and undoing that takes longer than all else.
        return Decimal(text.rstrip("0").rstrip(".") if "." in text else text) or _ZERO  # which has no sign

    return read


_read_decimal = _reader(DECIMAL)


_SCALE = {code: 10**digits for code, digits in DIGITS.items()}
"""How many minor units a unit has."""
_CURRENCIES = {code: Currency(code, digits) for code, digits in DIGITS.items()}


def parse_currency(value: object) -> Currency:
    """A currency from its ISO 4217 code, also one that was withdrawn: accounts may be kept in it."""
    found = _CURRENCIES.get(value) if isinstance(value, str) else None
    if found is None:
        if isinstance(value, str) and value in NO_MINOR_UNIT:
            raise ValueError("has no minor unit to keep books in")
        raise ValueError("must be an ISO 4217 currency code, as EUR")
    return found


@cache
def is_current(code: str) -> bool:
    """Whether a currency is one of ISO 4217 today, by the library's table: one that was withdrawn opens no account."""
    return any(code == one.code for one in iso4217.Currency)


def parse_money(value: object) -> Money:
    """An amount in minor units from TMF's `{"unit", "value"}`; never rounded.

    Raises `ValueError`; what is wrong with a part of it is a `ValidationError` that has its path.
    """
    if not isinstance(value, dict) or "unit" not in value or "value" not in value:
        raise ValueError('must be an amount: {"unit": "EUR", "value": 39.9}')
    try:
        unit = parse_currency(value["unit"])
    except ValueError as error:
        raise within("unit", str(error), value["unit"]) from None
    given = value["value"]
    try:
        minor = parse_decimal(given, AMOUNT).scaleb(unit.digits)
    except ValueError as error:
        raise within("value", _beyond(given, unit) or str(error), given) from None
    if minor != minor.to_integral_value() or abs(minor) > AMOUNT_MAX:
        raise within("value", str(_beyond(given, unit)), given)
    return Money(unit.code, int(minor))


def within(field: str, problem: str, given: object) -> ValidationError:
    """What is wrong with a field of the value that is read, for a check of that to raise; `given` is what it holds."""
    said = PydanticCustomError("of_a_part", "{problem}", {"problem": problem})
    return ValidationError.from_exception_data("amount", [{"type": said, "loc": (field,), "input": given}])


def _written(given: object) -> str:
    """A number as it was written, whether as one or as a text; of anything else nothing."""
    if isinstance(given, Decimal):
        return f"{given:f}"
    if isinstance(given, int):
        return "" if isinstance(given, bool) else _digits(given)
    return given if isinstance(given, str) else ""


def _beyond(given: object, unit: Currency) -> str | None:
    """Which limit of its currency an amount does not keep to."""
    digits = _NUMBER.fullmatch(_written(given))
    if digits is None:
        return None
    decimals = len((digits[2] or "").rstrip("0"))
    if decimals > unit.digits:
        return f"has {decimals} digits after the point, {unit.code} has {unit.digits or 'none'}"
    if len(digits[1].lstrip("0")) >= len(str(AMOUNT_MAX)) - unit.digits:
        return f"is beyond ±{AMOUNT_MAX // 10**unit.digits}, the largest amount of {unit.code}"
    return None


def money_json(amount: int, code: str, digits: int | None = None) -> Json:
    """An amount as it goes out: `{"unit", "value"}`, the value a JSON number.

    `digits` are those that an account is kept with; unless they are known, those of the currency's code.
    An amount within the limit has at most 15 significant digits, so the shortest form of the double is the decimal.
    """
    scale = _SCALE[code] if digits is None else 10**digits
    return {"unit": code, "value": amount / scale if scale != 1 else amount}


# All that a batch books has one time.
@lru_cache(maxsize=1024)
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
    if value.isascii() and len(value) <= TEXT_MAX and "\x00" not in value:  # nearly always
        return value
    problem = text_problem(value)
    if problem:
        raise ValueError(problem)
    return value


def text_problem(value: str) -> str | None:
    """What is wrong with a text, or None."""
    return f"is longer than {TEXT_MAX} characters" if len(value) > TEXT_MAX else unkeepable(value)


def unkeepable(value: str) -> str | None:
    """What of a text of any length can't be kept, or None."""
    if "\x00" in value:
        return "holds a NUL character"
    if not value.isascii():  # which a text knows of itself
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds a lone surrogate"
    return None


def normal(text: str) -> str:
    """A text as it is compared where upper and lower case count: composed (NFC), as equivalent texts all are."""
    return text if text.isascii() else normalize("NFC", text)


def folded(text: str) -> str:
    """A text as it is compared where they don't: casefolded, and composed; equivalent texts are one (Unicode, D145)."""
    return text.casefold() if text.isascii() else normalize("NFC", normalize("NFD", text).casefold())


def parse_time(value: object) -> datetime:
    """An RFC 3339 time with an offset, in UTC, to the millisecond (what the database keeps)."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError("must be an RFC 3339 time with an offset, as 2026-11-22T10:15:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except ValueError:
        raise ValueError("is not a time that exists") from None
    except OverflowError:
        raise ValueError(f"is not, in UTC, from {FIRST_TIME} to {LAST_TIME}: no other can be kept") from None
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


SERIES_MAX = 100
"""The most characters of a series of numbers: with its digits, a number is an id."""


def parse_series(value: object) -> str:
    """What the numbers of a series begin with: an id that ends with no letter and no digit; raises `ValueError`."""
    series = parse_id(value)
    if len(series) > SERIES_MAX or series[-1] not in "._:-":
        raise ValueError(f"must have at most {SERIES_MAX} characters and end with one of . _ : -")
    return series


class _AsId:
    """What `parse_id` takes, checked by pydantic's own regular expressions: a third of an order's fields are ids.

    That runs no Python, and takes a sixth of the time.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # A limit within the pattern would take longer than one beside it.
        text = core_schema.str_schema(
            strict=True, max_length=ID_MAX, pattern="^[A-Za-z0-9._:-]+$", regex_engine="rust-regex"
        )
        return core_schema.custom_error_schema(text, custom_error_type="no_id", custom_error_message=_NO_ID)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core_schema.no_info_before_validator_function(parse_id, schema))


def parse_rate(value: object) -> Decimal:
    """A rate or a share: a decimal between 0 and 1."""
    # Few that come again and again; as a text, since true and 1 would be remembered as one.
    return _read_rate(value) if value.__class__ is str else _rate(value)


def _rate(value: object) -> Decimal:
    rate = parse_decimal(value)
    if not _ZERO <= rate <= _ONE:
        raise ValueError("must be between 0 and 1: 0.2 is 20 %")
    return rate


_read_rate = lru_cache(maxsize=1024)(_rate)


def positive(value: Money) -> Money:
    """A check that an amount is more than zero."""
    if value.amount <= 0:
        raise ValueError("must be more than zero")
    return value


def not_negative(value: Money) -> Money:
    """A check that an amount is not less than zero."""
    if value.amount < 0:
        raise ValueError("must not be less than zero")
    return value


def not_zero(value: Money) -> Money:
    """A check that an amount, of either sign, is one."""
    if value.amount == 0:
        raise ValueError("must not be zero")
    return value


Id = Annotated[str, _AsId()]
Series = Annotated[str, BeforeValidator(parse_series), Field(max_length=SERIES_MAX)]
Text = Annotated[str, BeforeValidator(parse_text)]
Number = Annotated[Decimal, BeforeValidator(parse_decimal)]
Rate = Annotated[Decimal, BeforeValidator(parse_rate)]
Time = Annotated[datetime, BeforeValidator(parse_time)]
Date = Annotated[date, BeforeValidator(parse_date)]
CurrencyCode = Annotated[Currency, BeforeValidator(parse_currency)]
PositiveMoney = Annotated[Money, BeforeValidator(parse_money), AfterValidator(positive)]
AnyMoney = Annotated[Money, BeforeValidator(parse_money)]
NotNegativeMoney = Annotated[Money, BeforeValidator(parse_money), AfterValidator(not_negative)]
NonZeroMoney = Annotated[Money, BeforeValidator(parse_money), AfterValidator(not_zero)]
Days = Annotated[int, Field(strict=True, ge=0, le=3650)]
Revision = Annotated[int, Field(strict=True, ge=1, le=INTEGER_MAX)]
Count = Annotated[int, Field(ge=1)]
