"""Composing: what is due becomes the lines of a bill, and of the credit notes beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from decimal import Decimal

from domain.accounts.lifecycle import ALLOWED
from domain.accounts.model import Account, find_account
from domain.billing.gathering import INVOICES_MAX, LINES_MAX, Due
from domain.billing.model import Place
from domain.corrections.crediting import creditable, price_nets, tax_given_back, with_taken_back
from domain.corrections.taking_back import left_of
from domain.frozen import dataclass, replace
from domain.invoicing.model import CorrectsLine, Invoice, InvoiceLine, find_invoice
from domain.ledger.books import Books
from domain.money import rounded_ratio
from domain.settlement.accruals import terms_of_day


@dataclass(frozen=True, slots=True)
class Undone:
    """So much (minor units) of what a line of a bill took back is credited of it, and taken where it took it instead.

    `bill_no` is the bill's, `corrects` the line that it took it of.
    """

    bill_no: str
    line: InvoiceLine
    corrects: CorrectsLine
    net: int


@dataclass(frozen=True, slots=True)
class Note:
    """What is taken back of an invoice by a credit note.

    `nets` is what is credited of each line's net (minor units), with the line's sign: for what is due, for what is
    `undone` of the invoice's own lines, and for what notes before it undo that was taken of this one.
    """

    invoice: Invoice
    dues: tuple[Due, ...]
    nets: dict[str, int]
    undone: tuple[Undone, ...]


@dataclass(frozen=True, slots=True)
class SellersBill:
    """A bill of one seller as it is to be: its lines in order. `seller` is a partner's account; None: it is ours."""

    seller: str | None
    lines: tuple[Due, ...]


@dataclass(frozen=True, slots=True)
class Composition:
    """A bill as it is to be, of each seller, the notes beside it, and what is done with as nothing is left of it.

    The notes are in the order in which they are to be issued. What of the due is in none of them waits for another
    bill.
    """

    bills: tuple[SellersBill, ...]
    notes: tuple[Note, ...]
    nothing_left: tuple[Due, ...]

    @property
    def lines(self) -> Iterator[Due]:
        """The lines of all sellers."""
        return (due for bill in self.bills for due in bill.lines)


def compose(account: Account, dues: Iterable[Due], on: date, books: Books) -> Composition:
    """Divide what is due on an account's bill of a date among the sellers' bills and the credit notes beside them.

    Ours comes first, then those of the partners in whose name we sell, in the order of their first lines. What takes
    back a line is of that line's seller. Raises `NotLoaded`.
    """
    by_seller: dict[str | None, list[Due]] = {None: []}
    for due in dues:
        by_seller.setdefault(_seller(due, on, books), []).append(due)
    if len(by_seller) == 1:
        return _compose(account, None, by_seller[None], books)
    composed = [_compose(account, seller, some, books) for seller, some in by_seller.items()]
    bills = (bill for one in composed for bill in one.bills)
    return Composition(
        tuple(sorted(bills, key=lambda bill: (bill.seller is not None, _place(bill.lines[0])))),
        tuple(note for one in composed for note in one.notes),
        tuple(due for one in composed for due in one.nothing_left),
    )


def _seller(due: Due, on: date, books: Books) -> str | None:
    """In whose name what is due is sold: a partner's account; None: in ours."""
    if due.corrected is not None:
        return due.corrected.seller
    if due.item.on_behalf_of is None:
        return None
    partner = books.find(Account, due.item.on_behalf_of)
    if partner is None or partner.settlement_terms is None:
        return None  # where the line is made it is asked whether it may be a partner's
    return None if terms_of_day(partner, on, books).terms.agent is None else partner.id


def _compose(account: Account, seller: str | None, dues: Iterable[Due], books: Books) -> Composition:
    """Divide what is due of one seller among the bill and the credit notes beside it.

    What takes back a line goes to that line's invoice: to a note, where another account owes that, or where the bill
    would be below zero. It takes at most what can still be taken back of the line. Where a note would be below zero, or
    go beyond its invoice, what it would be made of stays on the bill, if that has room for it. Else the note undoes
    what the invoice took back itself, which further notes take of the invoices that it was taken of. Where that can't
    be done, what makes the bill no smaller stays on it, and the rest waits. So does what is negative and corrects
    nothing, unless the bill has room for it, in the order of what is due.
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
    if not taking and not negative:
        plain.sort(key=_place)
        return Composition((SellersBill(seller, tuple(plain)),) if plain else (), (), ())
    own = [due for due in _each(taking) if due.net and _is_of(account, due)]
    total = Total([*plain, *own])
    to_note = {
        bill_no: some
        for bill_no, taken in taking.items()
        if (some := tuple(due for due in taken if due.net)) and not (_is_of(account, some[0]) and total.amount >= 0)
    }
    own = [due for due in own if due.corrected is not None and due.corrected.id not in to_note]
    lines = [*plain, *own]
    waits: dict[str, tuple[Due, ...]] = {}
    notes = _notes(to_note, books)
    if notes is None:
        noted, waits = _made_as_they_are(to_note, books)
        notes = _rest(account, noted, waits, lines, books)
    total = Total(lines)
    for due in negative:
        if len(lines) < LINES_MAX and total.with_(due) >= 0:
            total.add(due)
            lines.append(due)
    lines.sort(key=_place)
    nothing_left = tuple(
        due for bill_no, taken in taking.items() if bill_no not in waits for due in taken if not due.net
    )
    return Composition((SellersBill(seller, tuple(lines)),) if lines else (), notes, nothing_left)


def _place(due: Due) -> Place:
    """Where it is on a bill."""
    return due.of.order_key


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


def _rest(
    account: Account,
    noted: dict[str, tuple[Due, ...]],
    waits: dict[str, tuple[Due, ...]],
    lines: list[Due],
    books: Books,
) -> tuple[Note, ...]:
    """Find a place for what `waits` as it can't be noted as it is: among a bill's `lines`, or by notes that undo.

    What is found one is taken out of it. Returns the notes, with those that are to be made anyway.
    """
    for bill_no, some in list(waits.items()):
        if _is_of(account, some[0]) and Total([*lines, *some]).amount >= 0:
            lines += waits.pop(bill_no)
    on_bill = {due.corrected.id for due in lines if due.corrected is not None}
    notes = _notes(noted, books)
    for bill_no, some in list(waits.items()):
        more = _notes({**noted, bill_no: some}, books, on_bill)
        if more is not None:
            noted[bill_no] = waits.pop(bill_no)
            notes = more
    assert notes is not None, f"notes of {sorted(noted)} could be made, and can't"
    of_notes = {note.invoice.id for note in notes}
    for bill_no, some in waits.items():
        if _is_of(account, some[0]) and bill_no not in of_notes:
            lines += [due for due in some if due.net > 0]
    return notes


def _made_as_they_are(
    to_note: Mapping[str, tuple[Due, ...]], books: Books
) -> tuple[dict[str, tuple[Due, ...]], dict[str, tuple[Due, ...]]]:
    """Which of these can become notes of what is due and nothing else, and which can't; by their invoices' numbers."""
    noted = {bill_no: dues for bill_no, dues in to_note.items() if _notes({bill_no: dues}, books) is not None}
    if _notes(noted, books) is None:
        # One leaves less of another's invoice: those that can be made together, in the order of what is due.
        alone, noted = noted, {}
        for bill_no, dues in alone.items():
            if _notes({**noted, bill_no: dues}, books) is not None:
                noted[bill_no] = dues
    return noted, {bill_no: dues for bill_no, dues in to_note.items() if bill_no not in noted}


def _notes(
    dues: Mapping[str, tuple[Due, ...]], books: Books, on_bill: AbstractSet[str] | None = None
) -> tuple[Note, ...] | None:
    """The notes that take back all this of invoices, by their numbers; None where one of them can't be made.

    A note undoes of its invoice's lines what it needs to, if `on_bill` says of which invoices the bill takes something
    back, of which no note takes anything. They come in the order of what is due; or the latest invoices first, where a
    note credits what a line took of an earlier one.
    """
    invoices = {bill_no: find_invoice(bill_no, books) for bill_no in dues}
    to_credit: dict[str, dict[str, int]] = {}
    for bill_no, some in dues.items():
        to_credit[bill_no] = defaultdict(int)
        for due in some:
            to_credit[bill_no][due.line.id] -= due.net
    made: dict[str, Note] = {}
    in_order: Iterable[str] = dues
    while to_credit:
        invoice = max(
            (invoices[bill_no] for bill_no in to_credit), key=lambda one: (one.booked_at, len(one.id), one.id)
        )
        nets = dict(to_credit.pop(invoice.id))
        undone = () if on_bill is None else tuple(_undo(invoice, nets))
        pricing = price_nets(invoice, nets)
        account = find_account(invoice.billing_account, books)
        if "correction" not in ALLOWED[account.state] or not 0 <= pricing.total <= creditable(invoice):
            return None
        made[invoice.id] = Note(invoice, dues.get(invoice.id, ()), nets, undone)
        for line in invoice.lines:
            if line.id in nets and line.origin is not None and (corrects := line.origin.corrects) is not None:
                earlier = invoices.get(corrects.bill_no) or find_invoice(corrects.bill_no, books)
                tax = tax_given_back(invoice, line, nets[line.id])
                invoices[earlier.id] = with_taken_back(earlier, line, nets[line.id], tax)
                in_order = made
        for one in undone:
            if one.corrects.bill_no in made or one.corrects.bill_no in (on_bill or ()):
                return None
            to_credit.setdefault(one.corrects.bill_no, defaultdict(int))[one.corrects.line_id] += one.net
        if undone and len(made) + len(to_credit) + len(on_bill or ()) > INVOICES_MAX:
            return None
    return tuple(made[bill_no] for bill_no in in_order)


def _undo(invoice: Invoice, nets: dict[str, int]) -> Iterator[Undone]:
    """What of an invoice's own take-backs is to be undone for a note of these nets to stay within it; adds it to them.

    Of lines of subscriptions, whose periods keep what was taken back where, and of no partner of whom the note takes
    nothing; first of those with the tax of what the note credits.
    """
    credited = [line for line in invoice.lines if nets.get(line.id, 0) > 0]
    alike = {(line.category, line.rate) for line in credited}
    partners = {None, *(_partner(line) for line in credited)}
    beyond = price_nets(invoice, nets).total - creditable(invoice)
    for line in sorted(invoice.lines, key=lambda one: (one.category, one.rate) not in alike):
        origin = line.origin
        if origin is None or origin.corrects is None or origin.price_id is None or _partner(line) not in partners:
            continue
        left = nets.get(line.id, 0) - left_of(invoice, line)
        numerator, denominator = line.rate.as_integer_ratio()
        undone = 0
        while beyond > 0 and undone < left:
            # As much as comes to that with its tax, to the cent; what rounding leaves, by single units.
            more = min(left - undone, max(1, beyond * denominator // (denominator + numerator)))
            undone += more
            nets[line.id] = nets.get(line.id, 0) - more
            beyond = price_nets(invoice, nets).total - creditable(invoice)
        if undone:
            yield Undone(invoice.id, line, origin.corrects, undone)


def _partner(line: InvoiceLine) -> str | None:
    return None if line.on_behalf_of is None else line.on_behalf_of.id


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
