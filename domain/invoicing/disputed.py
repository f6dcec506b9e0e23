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
    """A line of an invoice as disputes look at it: its tax group, its net, what of that is gone (minor units).

    Gone is what notes credited, and lines of bills took back.
    """

    category: str
    rate: Decimal
    net: int
    gone: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What a dispute counts for (minor units): of each line's net, by the line's id, and in all, tax included."""

    nets: dict[str, int]
    amount: int


def disputable_lines(invoice: Invoice) -> dict[str, DisputableLine]:
    """The lines of an invoice as disputes look at them, by id."""
    gone = {line.line_id: line.gone for line in invoice.corrected.lines}
    return {
        line.id: DisputableLine(line.category, line.rate, line.tax_excluded_amount, gone.get(line.id, 0))
        for line in invoice.lines
    }


def count_disputed(
    lines: Mapping[str, DisputableLine],
    gone: Mapping[tuple[str, Decimal], int],
    creditable: int,
    disputes: Iterable[Mapping[str, int]],
) -> list[Counted]:
    """Work out what each of an invoice's disputes counts for, oldest first.

    `lines` are the invoice's, `gone` is what of each tax group's tax is gone, `creditable` what notes can still credit
    of the invoice, and a dispute is what it is about of each line's net, by the line's id. Of a line all of them
    together count for no more than is left of it. What is disputed of the invoice is what one credit note of all that
    would come to now, not below zero and not above `creditable`; a dispute's amount is the difference that it makes to
    that. So the amounts add up to one figure, however it is divided into disputes, and to `creditable` where all lines
    are disputed.
    """
    left = {id_: line.net - line.gone for id_, line in lines.items()}
    taxed: dict[tuple[str, Decimal], int] = defaultdict(int)
    for line in lines.values():
        taxed[line.category, line.rate] += line.gone
    tax = dict(gone)
    total = so_far = 0
    counted = []
    for about in disputes:
        nets = {}
        for id_, net in about.items():
            nets[id_] = max(net, left[id_]) if net < 0 else min(net, left[id_])
            if not nets[id_]:
                continue
            left[id_] -= nets[id_]
            group = (lines[id_].category, lines[id_].rate)
            taxed[group] += nets[id_]
            now = share_of(taxed[group], group[1])
            total += nets[id_] + now - tax.get(group, 0)
            tax[group] = now
        disputed = max(0, min(total, creditable))
        counted.append(Counted(nets, disputed - so_far))
        so_far = disputed
    return counted
