"""Legal entities: who sells and who buys, as an invoice has to name them (EN 16931, BG-4 and BG-7).

Each field may be left out: what an invoice lacks is said where one is made. What is checked is checked when it comes
in, and never of what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from schemas.documents import in_order
from schemas.message import Part, invalid
from schemas.values import Text, parse_text

_SEPARATORS = str.maketrans("", "", " .-/\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}")
_GREECE = "EL"
"""What Greek VAT ids begin with, in place of their country's code (EN 16931, BR-CO-9)."""
LEGAL_ENTITY = "legalEntity"
"""The field of an account that has its legal entity."""
VAT_ID_MAX = 20
"""The most letters and digits of a VAT id that is none of the EU's."""


@cache
def countries() -> frozenset[str]:
    """The codes of ISO 3166-1 alpha-2, by the table that the time zone database keeps up to date (`iso3166.tab`)."""
    table = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line.split("\t")[0] for line in table.splitlines() if not line.startswith("#"))


def parse_country(value: object) -> str:
    """A country by its two letters of ISO 3166-1."""
    if not isinstance(value, str) or value not in countries():
        raise ValueError("must be a country by its two letters (ISO 3166-1), as DE")
    return value


def _compact(value: object) -> str:
    """A text without what people put between the letters and digits of a number, in upper case."""
    return parse_text(value).translate(_SEPARATORS).upper()


def parse_vat_id(value: object) -> str:
    """A VAT id with its country before it, in its compact form; of a member state of the EU its own rules hold."""
    # Imported where it is used: few messages tell of a party.
    from stdnum.eu import vat
    from stdnum.exceptions import ValidationError as Wrong

    number = _compact(value)
    country = number[:2]
    if country == _GREECE or country.lower() in vat.MEMBER_STATES:
        try:
            found = vat.validate(number)
        except Wrong:
            raise ValueError(f"must be a VAT id of {country}, its check digits too, as DE136695976") from None
        if found.isascii() and found.isalnum():
            return found
    elif (
        country in countries()
        and number.isascii()
        and number.isalnum()
        and len(country) + 2 <= len(number) <= VAT_ID_MAX
    ):
        return number
    raise ValueError("must be a VAT id: its country's two letters, then its letters and digits, as DE136695976")


def parse_iban(value: object) -> str:
    """An IBAN (ISO 13616) in its compact form, whose check digits and country's structure fit."""
    from stdnum import iban  # likewise

    return _checked(value, iban.validate, "an IBAN, its check digits too, as DE89370400440532013000")


def parse_bic(value: object) -> str:
    """A BIC (ISO 9362) in its compact form."""
    from stdnum import bic  # likewise

    return _checked(value, bic.validate, "a BIC of 8 or 11 letters and digits, as COBADEFFXXX")


def _checked(value: object, validate: Callable[[str], str], what: str) -> str:
    from stdnum.exceptions import ValidationError as Wrong  # likewise

    number = _compact(value)
    try:
        found = validate(number)
    except Wrong:
        found = ""
    if not (found.isascii() and found.isalnum()):
        raise ValueError(f"must be {what}")
    return found


def parse_email(value: object) -> str:
    """An email address, as far as that can be told: something, one @, something."""
    text = parse_text(value)
    before, _, after = text.partition("@")
    if not before or not after or "@" in after or any(map(str.isspace, text)):
        raise ValueError("must be an email address, as ada@example.org")
    return text


Country = Annotated[str, BeforeValidator(parse_country)]
VatId = Annotated[str, BeforeValidator(parse_vat_id)]
Iban = Annotated[str, BeforeValidator(parse_iban)]
Bic = Annotated[str, BeforeValidator(parse_bic)]
Email = Annotated[str, BeforeValidator(parse_email)]


class PostalAddress(Part):
    """Where a legal entity is (EN 16931, BG-5 and BG-8)."""

    street: Text | None = None
    post_code: Text | None = None
    city: Text | None = None
    country: Country | None = None


class ContactPoint(Part):
    """Whom to turn to about an invoice (EN 16931, BT-41 to BT-43 and BT-56 to BT-58)."""

    name: Text | None = None
    phone: Text | None = None
    email: Email | None = None


class LegalEntity(Part):
    """Who sells, or who buys; `legalId` is the number in a register, as that of companies."""

    name: Text | None = None
    address: PostalAddress | None = None
    vat_id: VatId | None = None
    legal_id: Text | None = None
    iban: Iban | None = None
    bic: Bic | None = None
    contact: ContactPoint | None = None


_PARTS: dict[str, type[Part]] = {"address": PostalAddress, "contact": ContactPoint}
_NUMBERS: dict[str, Callable[[object], str]] = {"vatId": parse_vat_id, "iban": parse_iban, "bic": parse_bic}


class _Said(Part):
    """A legal entity, or a merge patch of one, in the place where its sender says it."""

    changes: LegalEntity | None = None
    legal_entity: LegalEntity | None = None


class _Changes(Part):
    changes: _Said


def check_entity(said: Any) -> None:
    """See that what an account says as its `legalEntity` is one.

    Raises `Refused` (`invalid`), its detail naming each field that does not fit, and its value.
    """
    _fits(_Said, {LEGAL_ENTITY: said})


def check_changed_entity(said: Any) -> None:
    """The same of a merge patch of an account that names its `legalEntity`.

    A patch of what fits, which itself fits, leaves what fits: so what is stored need not be looked at.
    """
    _fits(_Changes, {"changes": {LEGAL_ENTITY: said}})


def check_changes(changes: Mapping[str, Any]) -> None:
    """The same of a merge patch of the seller."""
    _fits(_Said, {"changes": changes})


def _fits(place: type[Part], said: Mapping[str, Any]) -> None:
    try:
        place.model_validate(said)
    except ValidationError as error:
        raise invalid(error) from None


def compacted(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same document with its VAT id, IBAN and BIC in their compact form, as far as they have one."""
    return {name: _compacted(name, value) if value is not None else None for name, value in document.items()}


def _compacted(name: str, value: Any) -> Any:
    if name not in _NUMBERS:
        return value
    try:
        return _NUMBERS[name](value)
    except ValueError:  # taken in under another rule
        return value


def content_of(said: Any) -> dict[str, Any]:
    """What of a legal entity is content: the fields that we know, as they were said, in one order.

    It looks at names alone: what an earlier version took as an unknown field may hold anything.
    """
    if not isinstance(said, Mapping):
        return {}
    found = {name: said[name] for name in _names(LegalEntity) & said.keys() if said[name] is not None}
    for name, part in _PARTS.items():
        if isinstance(found.get(name), Mapping):
            inner = {key: found[name][key] for key in _names(part) & found[name].keys() if found[name][key] is not None}
            found = {**found, name: inner} if inner else {key: found[key] for key in found if key != name}
    in_one_order: dict[str, Any] = in_order(found)
    return in_one_order


@cache
def _names(part: type[Part]) -> frozenset[str]:
    return frozenset(str(field.alias) for field in part.model_fields.values())
