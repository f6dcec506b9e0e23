"""What is disputed of an invoice: one figure, worked out over all that its open disputes are about."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from domain.frozen import dataclass
from domain.invoicing.model import Invoice
from domain.money import share_of


@dataclass(frozen=True, slots=True)
class DisputableLine:
    """A line of an invoice as disputes look at it: its tax group, its net, what of that is credited (minor units)."""

    category: str
    rate: Decimal
    net: int
    credited: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a dispute counts for (minor units): of each line's net, by the line's id, and in all, tax included."""

    nets: dict[str, int]
    amount: int


def disputable_lines(invoice: Invoice) -> dict[str, DisputableLine]:
    """The lines of an invoice as disputes look at them, by id."""
    credited = {line.line_id: line.credited for line in invoice.corrected.lines}
    return {
        line.id: DisputableLine(line.category, line.rate, line.tax_excluded_amount, credited.get(line.id, 0))
        for line in invoice.lines
    }


def count_disputed(
    lines: Mapping[str, DisputableLine], billed: int, disputes: Iterable[Mapping[str, int]]
) -> list[Counted]:
    """Work out what each of an invoice's disputes counts for, oldest first.

    `lines` are the invoice's, `billed` is what it comes to less its credit notes, and a dispute is what it is about of
    each line's net, by the line's id. Of a line all of them together count for no more than notes leave of it. What is
    disputed of the invoice is what one credit note of all that would come to now, not below zero and not above
    `billed`; a dispute's amount is the difference that it makes to that. So the amounts add up to one figure, however
    it is divided into disputes, and to `billed` where all lines are disputed.
    """
    left = {id_: line.net - line.credited for id_, line in lines.items()}
    credited: dict[tuple[str, Decimal], int] = defaultdict(int)
    for line in lines.values():
        credited[line.category, line.rate] += line.credited
    taxed, tax = dict(credited), {group: share_of(net, group[1]) for group, net in credited.items()}
    total = so_far = 0
    counted = []
    for about in disputes:
        nets = {}
        for id_, net in about.items():
            nets[id_] = max(net, left[id_]) if net < 0 else min(net, left[id_])
            left[id_] -= nets[id_]
            group = (lines[id_].category, lines[id_].rate)
            taxed[group] += nets[id_]
            now = share_of(taxed[group], group[1])
            total += nets[id_] + now - tax[group]
            tax[group] = now
        disputed = max(0, min(total, billed))
        counted.append(Counted(nets, disputed - so_far))
        so_far = disputed
    return counted
