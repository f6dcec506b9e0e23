"""Terms: what a subscription costs on which dates, as it was agreed first and as it was changed since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise, zip_longest
from operator import attrgetter
from typing import Literal

from domain.frozen import dataclass, replace
from domain.periods import DateRange, Periods, PeriodType

PRICES_MAX = 100
"""The most prices of a subscription."""
STEPS_MAX = 100
"""The most steps of a price's tiers."""
PATCHES_MAX = 1_000
"""The most changes of a subscription of each kind: however often its terms were changed, it can be ended."""
BYTES_MAX = 8_000_000
"""The most that what is agreed of a subscription, and changed of it, may take to keep, roughly.

What keeps it can hold twice as much: all that suspends, resumes and ends it has room beside that.
"""

PriceType = Literal["recurring", "oneTime", "usage", "minimum"]
"""TMF's `priceType`, and the true-up to what the other prices have to come to at least."""
SubscriptionState = Literal["pendingActive", "active", "suspended", "terminated"]
"""What a subscription is on a date."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of tiers: what a unit costs up to a quantity, that included, and what is due once for the step.

    The last step of tiers has no `up_to`. Both are decimals in major units of the currency.
    """

    up_to: Decimal | None
    unit_price: Decimal
    flat_fee: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Tiers:
    """What usage costs by how much it is: `graduated`, each unit by the step that it is in; `volume`, all by the last.

    The steps are in order, each ends beyond the one before.
    """

    mode: Literal["graduated", "volume"]
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ProductPrice:
    """A TMF ProductPrice of a subscription. Prices and `amount` are decimals in major units of the currency.

    `recurring` and `oneTime` have a `unit_price` and a `quantity`, `usage` a `unit_price` or `tiers`, `minimum` an
    `amount`; all but `oneTime` have periods. `billed` is of the recurring ones only. With the proration `none` a period
    is charged whole, at the first price that it has.
    """

    id: str
    name: str
    price_type: PriceType
    category: str
    rate: Decimal
    unit_price: Decimal | None = None
    quantity: Decimal = Decimal(1)
    billed: Literal["inAdvance", "inArrears"] = "inAdvance"
    unit_of_measure: str | None = None
    tiers: Tiers | None = None
    amount: Decimal | None = None
    period_type: PeriodType = "month"
    period_length: int = 1
    on_behalf_of: str | None = None
    proration: Literal["actual", "none"] = "actual"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed of a subscription, as far as it can change.

    `trial_end_date` is the first day on which recurring prices and minimums are charged, `termination_date` the first
    day not served.
    """

    prices: tuple[ProductPrice, ...]
    name: str | None = None
    trial_end_date: date | None = None
    termination_date: date | None = None
    billing_anchor: date | None = None
    suspended: bool = False

    @property
    def bytes_max(self) -> int:
        """No less than what it takes to keep these terms: texts are short, or said; four bytes a character."""
        steps = sum(len(price.tiers.steps) for price in self.prices if price.tiers is not None)
        texts = sum(len(price.name) + len(price.unit_of_measure or "") for price in self.prices) + len(self.name or "")
        return 1_000 + 1_000 * len(self.prices) + 150 * steps + 4 * texts

    def price(self, price_id: str) -> ProductPrice | None:
        """The price of this id."""
        return next((price for price in self.prices if price.id == price_id), None)


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of terms from a date on: a merge patch (RFC 7396), whose values `terms` has as far as `changed` says.

    Terms have no objects within, so a field that is patched is replaced; one that is removed has its default. To
    suspend, resume and terminate are patches too, of `suspended` and of `termination_date`.
    """

    effective_date: date
    changed: tuple[str, ...]
    terms: Terms

    def applied_to(self, terms: Terms) -> Terms:
        """The terms with what this changes of them."""
        return replace(terms, **{name: getattr(self.terms, name) for name in self.changed})


@dataclass(frozen=True, slots=True)
class Segment:
    """Days on which a subscription is served, or suspended, by the same terms; `anchor` is what periods count from."""

    days: DateRange
    terms: Terms
    anchor: date
    state: Literal["active", "trial", "suspended"]

    def charged(self, price_id: str) -> ProductPrice | None:
        """The price of this id, if it is charged on these days."""
        return next((price for price in self.charged_prices if price.id == price_id), None)

    @property
    def charged_prices(self) -> tuple[ProductPrice, ...]:
        """The prices that are charged on these days: none when suspended; a trial frees what it does."""
        if self.state == "active":
            return self.terms.prices
        if self.state == "suspended":
            return ()
        return tuple(price for price in self.terms.prices if price.price_type not in {"recurring", "minimum"})

    def periods(self, price: ProductPrice) -> Periods:
        """The periods of a price that has some."""
        return Periods(self.anchor, price.period_type, price.period_length)


def segments_of(start_date: date, terms: Terms, patches: Sequence[Patch]) -> tuple[Segment, ...]:
    """What a subscription is on its dates: its terms, patched by effective date, then in the order of `patches`.

    That order is the one in which they were applied. The segments follow one another without a gap: after the first day
    on which it is not served it never is, whatever else was agreed for later. One without an end goes to the last day
    of the calendar, 31 December 9999, which is not in it.
    """
    dated = _dated(start_date, terms, patches)
    anchor = _first_after_trial(dated)
    found: list[Segment] = []
    for days, terms_then in dated:
        for segment in _divided(days, terms_then, anchor):
            if segment.days.start != (found[-1].days.end if found else start_date):
                return tuple(found)
            found.append(segment)
    return tuple(found)


def first_difference(before: Sequence[Segment], after: Sequence[Segment]) -> date | None:
    """The first day on which a subscription is not the same by both; None where there is none."""
    for one, other in zip_longest(before, after):
        if one is None:
            return other.days.start
        if other is None:
            return one.days.start
        if one != other:
            same = one.days.start == other.days.start and replace(one, days=other.days) == other
            return min(one.days.end, other.days.end) if same else min(one.days.start, other.days.start)
    return None


def terms_on(start_date: date, terms: Terms, patches: Sequence[Patch], day: date) -> Terms:
    """The terms that are agreed for a day, served or not; before the start, those of the start."""
    dated = _dated(start_date, terms, patches)
    return next(found for days, found in reversed(dated) if days.start <= max(day, start_date))


def end_of(segments: Sequence[Segment], start_date: date) -> date:
    """The first day on which a subscription is not served any more; 31 December 9999 for one without an end."""
    return segments[-1].days.end if segments else start_date


def next_turn(segments: Sequence[Segment], start_date: date, after: date) -> date | None:
    """The first day after another on which the state is not what it was the day before; None if it stays as it is."""
    now = state_on(segments, start_date, after)
    turns: list[tuple[date, SubscriptionState]] = [(one.days.start, _state_of(one)) for one in segments]
    turns.append((end_of(segments, start_date), "terminated"))
    return next((day for day, state in turns if after < day < date.max and state != now), None)


def state_on(segments: Sequence[Segment], start_date: date, day: date) -> SubscriptionState:
    """What a subscription that starts on a date is on a day; a trial is `active`."""
    segment = next((segment for segment in segments if day in segment.days), None)
    if segment is None:
        return "pendingActive" if day < start_date else "terminated"
    return _state_of(segment)


def _state_of(segment: Segment) -> SubscriptionState:
    return "suspended" if segment.state == "suspended" else "active"


def _dated(start_date: date, terms: Terms, patches: Sequence[Patch]) -> list[tuple[DateRange, Terms]]:
    """The terms of all days from the start to the end of the calendar."""
    if not patches:
        return [(DateRange(start_date, date.max), terms)]
    by_date = {start_date: terms}
    for patch in sorted(patches, key=attrgetter("effective_date")):
        terms = patch.applied_to(terms)
        by_date[max(patch.effective_date, start_date)] = terms
    return [(DateRange(start, end), by_date[start]) for start, end in pairwise((*by_date, date.max)) if start < end]


def _first_after_trial(dated: list[tuple[DateRange, Terms]]) -> date:
    """The anchor where none is agreed: the start, or the end of a trial with which it starts."""
    starts = (
        (days, days.start if terms.trial_end_date is None else max(days.start, terms.trial_end_date))
        for days, terms in dated
    )
    return next((start for days, start in starts if start in days), date.max)


def _divided(days: DateRange, terms: Terms, anchor: date) -> Iterator[Segment]:
    end = min(days.end, terms.termination_date or days.end)
    if end <= days.start:
        return
    anchor = terms.billing_anchor or anchor
    charged = days.start
    if terms.trial_end_date is not None and not terms.suspended:
        charged = min(end, max(days.start, terms.trial_end_date))
    if days.start < charged:
        yield Segment(DateRange(days.start, charged), terms, anchor, "trial")
    if charged < end:
        yield Segment(DateRange(charged, end), terms, anchor, "suspended" if terms.suspended else "active")
