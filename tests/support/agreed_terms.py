"""What was agreed with partners, as it was known when a closing was made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from domain.settlement.agreements import AgreedTerms, Agreement
from tests.support.ledger_book import LedgerBook

MONTHS = {"month": 1, "quarter": 3, "year": 12}


def half_away(value: Fraction) -> int:
    """The whole number that is nearest, halves away from zero."""
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


def made_at(closing_id: str, order: dict[str, int]) -> int:
    """When the last part of a closing was made."""
    own = f"settlement.close:{closing_id}"
    rest = f"settlement.continue:{closing_id}/"
    return max(n for identity, n in order.items() if identity == own or identity.startswith(rest))


def known(
    partner: str, made: int, book: LedgerBook, order: dict[str, int]
) -> list[tuple[Agreement, list[AgreedTerms]]]:
    """A partner's agreements, and what of them was agreed when a closing was made."""
    found = []
    for one in book.documents[Agreement].values():
        agreed = [terms for terms in one.agreed if order[terms.cause] < made]
        if one.settlement_account == partner and agreed:
            found.append((one, agreed))
    return found


def on_day(agreements: list[tuple[Agreement, list[AgreedTerms]]], day: date) -> AgreedTerms | None:
    """The terms of a day."""
    for one, agreed in agreements:
        if one.start <= day and (one.end is None or day < one.end):
            return of_day(agreed, day)
    return None


def of_day(agreed: list[AgreedTerms], day: date) -> AgreedTerms:
    """The terms of a day, of those of an agreement."""
    latest = max(terms.valid_from for terms in agreed if terms.valid_from <= day)
    return [terms for terms in agreed if terms.valid_from == latest][-1]


def first_type(one: Agreement, types: Sequence[str], day: date) -> str:
    """The type that was agreed first, of those of which a period of an agreement begins on a day."""
    months = 12 * (day.year - one.start.year) + day.month - one.start.month
    return next(kind for kind in types if months % MONTHS[kind] == 0 and later(one.start, months) == day)


def later(day: date, months: int) -> date:
    """The day so many months later, or the last of its month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for number in range(day.day, 0, -1):
        try:
            return date(year, month + 1, number)
        except ValueError:
            continue
    raise AssertionError(day)
