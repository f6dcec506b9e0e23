"""Composing: what is due becomes the lines of a bill, and of the credit notes beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from domain.accounts.lifecycle import ALLOWED
from domain.accounts.model import Account, find_account
from domain.billing.gathering import LINES_MAX, Due
from domain.corrections.crediting import price_note
from domain.corrections.taking_back import left_of
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.invoicing.model import Invoice, find_invoice
from domain.ledger.books import Books
from domain.money import rounded_ratio


@dataclass(frozen=True, slots=True)
class Note:
    """What is taken back of an invoice by a credit note."""

    invoice: Invoice
    dues: tuple[Due, ...]

    @property
    def nets(self) -> dict[str, int]:
        """What is credited of each line's net (minor units), with the line's sign."""
        nets: dict[str, int] = defaultdict(int)
        for due in self.dues:
            nets[due.line.id] -= due.net
        return dict(nets)


@dataclass(frozen=True, slots=True)
class Composition:
    """A bill as it is to be: its lines in order, the notes beside it, and what is done with as nothing is left of it.

    What of the due is in none of them waits for another bill.
    """

    lines: tuple[Due, ...]
    notes: tuple[Note, ...]
    nothing_left: tuple[Due, ...]

    @property
    def dues(self) -> tuple[Due, ...]:
        """All that is done with by it."""
        return (*self.lines, *(due for note in self.notes for due in note.dues), *self.nothing_left)


def compose(account: Account, dues: Iterable[Due], books: Books) -> Composition:
    """Divide what is due on an account's bill among the bill and the credit notes beside it.

    What takes back a line goes to that line's invoice: to a note, where another account owes that, or where the bill
    would be below zero. It takes at most what can still be taken back of the line. A note that would be below zero, or
    go beyond its invoice, is not made: what it would be made of stays on the bill, if that gets no smaller by it, or
    waits. So does what is negative and corrects nothing, unless the bill has room for it, in the order of what is due.
    """
    plain: list[Due] = []
    taking: dict[str, list[Due]] = defaultdict(list)
    left: dict[tuple[str, str], int] = {}
    negative: list[Due] = []
    for due in dues:
        if due.corrected is not None:
            taking[due.corrected.id].append(_cut(due, due.corrected, left, account))
        else:
            (plain if due.net >= 0 else negative).append(due)
    own = [due for due in _each(taking) if due.net and _is_of(account, due)]
    total = Total([*plain, *own])
    notes: list[Note] = []
    waits: set[str] = set()
    for bill_no, taken in taking.items():
        some = [due for due in taken if due.net]
        mine = bool(some) and _is_of(account, some[0])
        if not some or (mine and total.amount >= 0):
            continue
        note = Note(find_invoice(bill_no, books), tuple(some))
        if _can_be_made(note, books):
            notes.append(note)
            own = [due for due in own if due.corrected is None or due.corrected.id != bill_no]
        else:
            waits.add(bill_no)
            own = [due for due in own if due.corrected is None or due.corrected.id != bill_no or due.net > 0]
    lines = [*plain, *own]
    total = Total(lines)
    for due in negative:
        if len(lines) < LINES_MAX and total.with_(due) >= 0:
            total.add(due)
            lines.append(due)
    lines.sort(key=lambda due: due.of.order_key)
    nothing_left = tuple(
        due for bill_no, taken in taking.items() if bill_no not in waits for due in taken if not due.net
    )
    return Composition(tuple(lines), tuple(notes), nothing_left)


def _each(taking: dict[str, list[Due]]) -> Iterable[Due]:
    return (due for taken in taking.values() for due in taken)


def _is_of(account: Account, due: Due) -> bool:
    """Whether what takes back something takes it back of this account's invoice."""
    return due.corrected is not None and due.corrected.billing_account == account.id


def _cut(due: Due, invoice: Invoice, left: dict[tuple[str, str], int], account: Account) -> Due:
    """What is due of what takes back a line: at most what is `left` of that, which is brought up to date."""
    line = due.line
    key = (invoice.id, line.id)
    rest = left.get(key, left_of(invoice, line))
    taken = min(abs(due.net), abs(rest))
    net = taken if due.net > 0 else -taken
    left[key] = rest + net
    if net == due.net:
        return due
    price = Decimal(net).scaleb(-account.currency_digits)
    return replace(due, net=net, item=replace(due.item, quantity=Decimal(1), unit_price=price))


def _can_be_made(note: Note, books: Books) -> bool:
    """Whether a note stays within its invoice, and its account may have one."""
    account = find_account(note.invoice.billing_account, books)
    if "correction" not in ALLOWED[account.state]:
        return False
    try:
        price_note(note.invoice, note.nets, account.kept_in)
    except Refused:
        return False
    return True


class Total:
    """What lines come to with tax, group by group, while they are added (minor units)."""

    def __init__(self, dues: Iterable[Due]) -> None:
        self._nets: dict[tuple[str, Decimal], int] = defaultdict(int)
        self.amount = 0
        for due in dues:
            self.add(due)

    def with_(self, due: Due) -> int:
        """What they come to with another one."""
        net = self._nets[due.item.category, due.item.rate]
        return self.amount + _gross(net + due.net, due.item.rate) - _gross(net, due.item.rate)

    def add(self, due: Due) -> None:
        """Add one."""
        self.amount = self.with_(due)
        self._nets[due.item.category, due.item.rate] += due.net


def _gross(net: int, rate: Decimal) -> int:
    numerator, denominator = rate.as_integer_ratio()
    return net + rounded_ratio(net * numerator, denominator)
