"""Differing: what is billed of a period of a price is what it comes to now, less what was billed of it before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from domain.billing.rating import Charged, Rate
from domain.frozen import dataclass
from domain.invoicing.model import CorrectsLine
from domain.periods import DateRange


@dataclass(frozen=True, slots=True)
class CountedMonth:
    """Which records of usage are counted: those of a month of the calendar beyond the first `after`, up to `count`.

    Of these, those on some `days` of the month; None: on those that the line covers.
    """

    month: str
    after: int
    count: int
    days: tuple[DateRange, ...] | None = None


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What billing took back of a line: on a line of a bill, or by a credit note; by neither where nothing was left.

    `net` is what was to be taken back, and counts as taken back; `amount` what of it could be, since the rest is given
    already. Both are minor units with the other sign than the line's. Where a credit note undid what a line of a bill
    took back, there are that line and the note, and both amounts have the line's sign.
    """

    bill_no: str | None
    line_id: str | None
    credit_note: str | None
    net: int
    amount: int
    counted: tuple[CountedMonth, ...] = ()


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line of a bill for a period of a price: its net as it was billed, and what billing took back of it since.

    The net is minor units, with the line's sign. What people gave with credit notes and disputes is not in it: that
    stays given. `quantity` is None where a part of the period, or tiers, were charged. Of usage, `counted` says which
    records it counts.
    """

    bill_no: str
    line_id: str
    rate: Rate
    quantity: Decimal | None
    net: int
    taken: tuple[TakenBack, ...] = ()
    counted: tuple[CountedMonth, ...] = ()

    @property
    def left(self) -> int:
        """What is billed by it now."""
        return self.net + sum(one.net for one in self.taken)


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be billed of a period at a rate: `net` in minor units, for these days.

    `corrects` is the earlier line of which it takes something back. `quantity` × the unit's price is the net, unless it
    is None.
    """

    rate: Rate
    days: DateRange
    quantity: Decimal | None
    net: int
    corrects: CorrectsLine | None = None


def differences(charged: Iterable[Charged], billed: Sequence[BilledLine], period: DateRange) -> Iterator[Difference]:
    """What is to be billed of a period for it to come to what is charged: what is taken back first, then what is new.

    Rate by rate: a price that has changed is taken back and charged anew, of one that has not the difference is billed.
    What is taken back is taken of the latest line first, of each at most what is left of it.
    """
    if not billed:
        # As it is of most, and by the same rules as what is new below.
        yield from (Difference(one.rate, one.days, one.quantity, one.net) for one in charged if one.net)
        return
    due = {one.rate: one for one in charged}
    before: dict[Rate, list[BilledLine]] = {}
    for line in billed:
        before.setdefault(line.rate, []).append(line)
    more: list[Difference] = []
    for rate, lines in before.items():
        now = due.get(rate)
        net = (now.net if now else 0) - sum(line.left for line in lines)
        for line in reversed(lines):
            if not net or not line.left or (net < 0) == (line.left < 0):
                continue
            taken = -min(abs(net), abs(line.left)) if line.left > 0 else min(abs(net), abs(line.left))
            net -= taken
            yield Difference(rate, now.days if now else period, None, taken, CorrectsLine(line.bill_no, line.line_id))
        if net:
            assert now is not None, (rate, "was billed, and what is left of it can't be taken back")
            quantities = [line.quantity for line in lines if line.left]
            quantity = None
            if now.quantity is not None and None not in quantities:
                quantity = now.quantity - sum((one for one in quantities if one is not None), Decimal(0))
            more.append(Difference(rate, now.days, quantity, net))
    yield from more
    for rate, now in due.items():
        if rate not in before and now.net:
            yield Difference(rate, now.days, now.quantity, now.net)
