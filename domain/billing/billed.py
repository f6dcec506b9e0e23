"""What was billed of a subscription: for each period of a price what it came to, and the lines of bills that say so."""

from __future__ import annotations

from domain.billing.differing import BilledLine
from domain.billing.rating import Charged
from domain.frozen import dataclass
from domain.periods import DateRange, written


@dataclass(frozen=True, slots=True)
class BilledPeriod:
    """A period of a subscription's price of which something was billed; `charged` is what it came to at the last bill.

    `lines` are those that billed something of it. What is left of them by their rates is what was charged at these, or
    the subscription is looked at again: at once, or when the period falls due, if that is later now.
    """

    id: str
    subscription: str
    price_id: str
    period: DateRange
    charged: tuple[Charged, ...]
    lines: tuple[BilledLine, ...]

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


def id_of(subscription: str, price_id: str, period: DateRange) -> str:
    """The id of what is billed of a period; none of its parts has a stroke."""
    return f"{subscription}/{price_id}/{written(period.start)}/{written(period.end)}"
