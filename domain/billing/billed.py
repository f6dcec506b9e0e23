"""What was billed of a subscription: for each period what its prices came to, and the lines of bills that say so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from domain.billing.differing import BilledLine
from domain.billing.rating import Charged
from domain.frozen import dataclass
from domain.periods import DateRange, written


@dataclass(frozen=True, slots=True)
class BilledPrice:
    """What was billed of a price in a period: the `lines` of bills, and in `charged` what it came to at the last one.

    Where that is what the one line says, for the whole period, as it is of most, `charged` is None. What is left of the
    lines by their rates is what was charged at these, or the subscription is looked at again: at once, or when the
    period falls due, if that is later now.
    """

    price_id: str
    lines: tuple[BilledLine, ...]
    charged: tuple[Charged, ...] | None

    def charged_in(self, period: DateRange) -> tuple[Charged, ...]:
        """What it came to at the last bill, `period` being the one that it is of."""
        if self.charged is not None:
            return self.charged
        return tuple(Charged(line.rate, period, line.quantity, line.net) for line in self.lines)


def billed_price(
    price_id: str, lines: tuple[BilledLine, ...], charged: tuple[Charged, ...], period: DateRange
) -> BilledPrice:
    """What was billed of a price in a period by these lines, when it comes to what is charged now."""
    if len(lines) == len(charged) == 1:
        [line], [one] = lines, charged
        # Whole, at one rate, and nothing taken back.
        if (
            not (line.taken or one.parts)
            and one.used_on is None
            and (one.days, one.net, one.quantity, one.rate) == (period, line.net, line.quantity, line.rate)
        ):
            return BilledPrice(price_id, lines, None)
    return BilledPrice(price_id, lines, charged)


@dataclass(frozen=True, slots=True)
class BilledPeriod:
    """A period of a subscription of which something was billed, and what, price by price.

    Most prices of a subscription have the same periods, so that a bill reads and writes one of these and not one a
    price.
    """

    id: str
    subscription: str
    period: DateRange
    prices: tuple[BilledPrice, ...]

    @property
    def owner(self) -> str:
        """The subscription."""
        return self.subscription

    @property
    def order_key(self) -> tuple[int, str]:
        """The last ones first: a change is looked at again from its own day on."""
        return (-self.period.end.toordinal(), self.id)

    @property
    def is_open(self) -> bool:
        """Whether a bill may look at it again: it always may."""
        return True

    @property
    def by_price(self) -> list[PricePeriod]:
        """What was billed of each price, as the price's own part of the period."""
        return [PricePeriod(id_of_price(self.id, self.subscription, one.price_id), self, one) for one in self.prices]

    def with_prices(self, noted: Iterable[BilledPrice]) -> BilledPeriod:
        """The period with what is billed of some prices now."""
        if self.prices:
            prices = {one.price_id: one for one in self.prices}
            prices.update((one.price_id, one) for one in noted)
            noted = prices.values()
        return BilledPeriod(self.id, self.subscription, self.period, tuple(noted))


class PricePeriod(NamedTuple):
    """What was billed of one price in a period so far, and the whole period `of` which that is a part.

    Its `id` is that of no document: it says where the price comes on a bill.
    """

    id: str
    of: BilledPeriod
    billed: BilledPrice


def id_of(subscription: str, period: DateRange) -> str:
    """The id of what is billed of a period; none of its parts has a stroke."""
    return f"{subscription}/{written(period.start)}/{written(period.end)}"


def id_of_price(period_id: str, subscription: str, price_id: str) -> str:
    """The id of a price's own part of a period, by that of the period."""
    return f"{subscription}/{price_id}{period_id[len(subscription) :]}"
