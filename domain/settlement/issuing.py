"""Issuing: what a statement says becomes documents, the partner's to us and ours to the partner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from operator import attrgetter

from domain.accounts.model import Account
from domain.frozen import dataclass, replace
from domain.invoicing.model import Invoice
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, RangeNeed, WorkingSet
from domain.ledger.entries import key_of
from domain.ledger.numbering import Series, next_number
from domain.money import share_of, within_limit
from domain.parties.model import SELLER, Seller
from domain.settlement import position
from domain.settlement.accruals import Accrual, Commission, Step, StepKind
from domain.settlement.agreements import Agreement, has_agreements
from domain.settlement.documents import (
    CORRECTING,
    DocumentLine,
    DocumentLineKind,
    DocumentTax,
    SelfBillingIssued,
    SettlementDocument,
    SettlementInvoiced,
    TaxGroup,
    TypeCode,
    number_order,
)
from domain.settlement.terms import AgreedPeriod, SelfBilling

ROWS = 3
"""How many lines of a statement its documents may add: the tax of self-billed ones, fees, commission."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a statement says of a line, a row or a fee's period (minor units): a fall where it is below zero.

    `group` and `series` are None where that day's terms have no document of it. `line` is what the ids of the line's
    rows begin with, `rows` the ids of its own. `charged_by` is the number of the invoice that has a fee's period,
    with a `type` as a `PeriodKey` has.
    """

    kind: DocumentLineKind
    agreement: str | None
    group: TaxGroup | None
    series: str | None
    amount: int
    start: date
    end: date
    line: str | None = None
    rows: tuple[str, ...] = ()
    charged_by: str | None = None
    type: AgreedPeriod | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an item that fell (minor units, above zero), in the tax group of the invoice that has it."""

    item: Item
    group: TaxGroup
    amount: int


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of a statement, the rows that they add to it, and which has what of it.

    `numbers` are those of the documents by the ids of rows: of the invoice that has it or, of what fell, of the first
    credit note. `corrected` are the ids of the rows that correct a line, by the id of its first row.
    """

    issued: tuple[SettlementDocument, ...] = ()
    rows: tuple[Accrual, ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()
    corrected: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def self_billed_tax(self) -> int:
        """What they add to the statement as tax of self-billed ones (minor units)."""
        return sum(row.amount for row in self.rows if row.step is not None and row.step.kind == "selfBilledTax")


NO_DOCUMENTS = Documents()


def documents_needs(partner: str, books: WorkingSet) -> Iterator[Need]:
    """What the documents of a partner's statements look at, as far as that can be told from what is loaded so far."""
    agreements = list(books.known(Agreement, partner))
    if not are_issued(agreements, books.known(Accrual, partner)):
        return
    yield DocumentNeed(Seller, SELLER)
    for prefix in sorted({books.series, books.credit_notes, *_series_of(agreements)}):
        yield DocumentNeed(Series, prefix)


def are_issued(agreements: Iterable[Agreement], rows: Iterable[Accrual]) -> bool:
    """Whether statements of these rows may have documents; what was agreed ever counts: what it billed may fall."""
    return any(_bills_of(agreement) for agreement in agreements) or any(map(attrgetter("commission"), rows))


def are_self_billed(agreements: Iterable[Agreement]) -> bool:
    """Whether statements have, or had, documents in the partner's name."""
    return bool(_series_of(agreements))


def issue_documents(
    account: Account, settlement_id: str, until: date, rows: Sequence[Accrual], fees: Sequence[Item], books: Books
) -> Documents:
    """Issue the documents of a statement up to a day that has these rows and charges these fees.

    What a line has in all by its rows is taken together, and goes by the day of the first that is earned; what only
    falls, or corrects, by the line's first day. What was earned stands in an invoice of each series, what fell in a
    credit note of each invoice that it corrects: of a line, of those that have its earlier rows, the latest first, in
    the tax group that the line has there; of what has no line, of the latest with that tax group of which something is
    left, and so of a line for which its own have no room. What no invoice is left for is in a credit note that names
    none.

    Raises `NotLoaded`.
    """
    agreements = list(books.queue(Agreement, account.id)) if has_agreements(books.position(account.id)) else []
    if not are_issued(agreements, rows):
        return NO_DOCUMENTS
    statement = _Statement(account, settlement_id, agreements, books)
    statement.note_corrections(rows)
    statement.issue("389", list(_earned(rows, agreements, books)))
    statement.issue("380", [*fees, *_commissions(rows, agreements, books.series)])
    return statement.documents(until)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What falls of a statement took of invoices (minor units): of a tax group, and of what a line has there."""

    of_group: dict[tuple[str, TaxGroup], int]
    of_line: dict[tuple[str, str | None], int]


class _Statement:
    """The documents of one statement as they come about."""

    def __init__(self, account: Account, settlement_id: str, agreements: Sequence[Agreement], books: Books) -> None:
        self._account = account
        self._settlement_id = settlement_id
        self._agreements = agreements
        self._books = books
        self._issued: list[SettlementDocument] = []
        self._numbers: dict[str, str] = {}
        self._corrected: dict[str, tuple[str, ...]] = {}

    def note_corrections(self, rows: Iterable[Accrual]) -> None:
        """Note which rows correct a line by being of none, or of another one: its documents count what they took."""
        is_self_billed = are_self_billed(self._agreements)
        correcting = [
            (row.id, line)
            for row in rows
            if (line := _corrected_line(row)) is not None and (is_self_billed or row.commission is not None)
        ]
        looked_up = {line for _, line in correcting}
        while looked_up:
            self._books.require(RangeNeed(Accrual, line) for line in sorted(looked_up))
            further = (_taken_back(self._books.within(Accrual, line)) for line in looked_up)
            looked_up = {line for line in further if line is not None}
        for id_, line in correcting:
            if of_line := self._books.within(Accrual, line):
                first = of_line[0]
                self._corrected[first.id] = (*self._corrected.get(first.id, first.corrected_by or ()), id_)

    def issue(self, code: TypeCode, items: list[Item]) -> None:
        """Issue the invoices of a type for what is above zero, and their credit notes for what is below."""
        by_series: dict[str, list[Part]] = defaultdict(list)
        for item in items:
            if item.amount > 0 and item.group is not None and item.series is not None:
                by_series[item.series].append(Part(item, item.group, item.amount))
        for series, parts in by_series.items():
            self._put(self._document(code, series, parts, None), parts)
        falls = [item for item in items if item.amount < 0]
        lines = [item.line for item in falls if item.line is not None]
        self._books.require(RangeNeed(Accrual, line) for line in lines)
        taken_back = (one for line in lines for one in self._and_taken_back(line))
        self._books.require(DocumentNeed(Accrual, id_) for line in taken_back for id_ in self._correcting(line))
        if any(item.line is None for item in falls):
            self._books.require([QueueNeed(SettlementDocument, self._account.id, None)])
        corrected, naming_none = self._fallen(code, falls)
        invoices = sorted((self._of(number) for number in corrected), key=number_order)
        for invoice in invoices:
            series = self._books.credit_notes if code == "380" else series_of(invoice.id)
            self._put(self._document(CORRECTING[code], series, corrected[invoice.id], invoice), corrected[invoice.id])
        for series, parts in naming_none.items():
            series = self._books.credit_notes if code == "380" else series
            self._put(self._document(CORRECTING[code], series, parts, None), parts)

    def _fallen(self, code: TypeCode, falls: Iterable[Item]) -> tuple[dict[str, list[Part]], dict[str, list[Part]]]:
        """What of falls is in the credit notes of each invoice; and, of each series, in those that name none."""
        corrected: dict[str, list[Part]] = defaultdict(list)
        taken = _Taken(defaultdict(int), defaultdict(int))
        left_over: list[tuple[Part, str]] = []
        for item in falls:
            left = -item.amount
            for number, group, part in self._corrects(code, item, taken):
                corrected[number].append(Part(item, group, part))
                left -= part
            if left and item.group is not None and item.series is not None:
                left_over.append((Part(item, item.group, left), item.series))
        naming_none: dict[str, list[Part]] = defaultdict(list)
        # Once each has taken what its own invoices have: so none takes what a line has there.
        for fall, series in left_over:
            left = fall.amount
            for number, amount in self._of_any(code, fall, taken):
                corrected[number].append(replace(fall, amount=amount))
                left -= amount
            if left:
                naming_none[series].append(replace(fall, amount=left))
        return corrected, naming_none

    def documents(self, until: date) -> Documents:
        """What was issued, and posted; with the rows that state it on the closing's day."""
        for document in self._issued:
            _post(document, self._books)
        rows, numbers = tuple(self._rows(until)), tuple(self._numbers.items())
        return Documents(tuple(self._issued), rows, numbers, tuple(self._corrected.items()))

    def _rows(self, until: date) -> Iterator[Accrual]:
        """A row for each kind of what is settled by the statement, where that is not nothing."""
        nets: dict[StepKind, int] = defaultdict(int)
        sums: dict[StepKind, int] = defaultdict(int)
        for document in self._issued:
            if document.is_self_billed:
                nets["selfBilledTax"] += document.sign * document.tax_excluded_amount
                sums["selfBilledTax"] += document.sign * (document.tax_included_amount - document.tax_excluded_amount)
                continue
            for kind, (net, tax) in _of_kinds(document).items():
                nets[kind] += document.sign * net
                sums[kind] -= document.sign * (net + tax)
        for kind in sorted(sums):
            if sums[kind]:
                yield step_row(
                    self._account,
                    f"{kind}/{self._settlement_id}",
                    sums[kind],
                    until,
                    Step(kind, base=nets[kind]),
                    self._books,
                )

    def _corrects(self, code: TypeCode, item: Item, taken: _Taken) -> Iterator[tuple[str, TaxGroup, int]]:
        """The invoices that a fall corrects, each with the tax group and how much; `taken` is what others did."""
        left = -item.amount
        for invoice, line, most in self._candidates(code, item, taken):
            most -= taken.of_line[invoice.id, line]
            # First the group that it has there; where nothing is left of that, what the invoice has. Ours has more rows
            # of each line, with the tax of each: what is of another tax there is another line's, or a fee.
            first = self._group_in(invoice, line, item.group)
            groups = sorted((one.group for one in invoice.tax_item), key=lambda one: one != first)
            for group in groups[:1] if code == "380" and first in groups else groups:
                part = min(left, most, invoice.left(group) - taken.of_group[invoice.id, group])
                if part > 0:
                    taken.of_group[invoice.id, group] += part
                    if line is not None:
                        taken.of_line[invoice.id, line] += part
                    left -= part
                    most -= part
                    yield invoice.id, group, part
            if not left:
                return

    def _candidates(
        self, code: TypeCode, item: Item, taken: _Taken
    ) -> Iterator[tuple[SettlementDocument, str | None, int]]:
        """The invoices that a fall may correct, in order, by which line of it, and how much of each at most.

        What a line takes back that takes back another is that one's.
        """
        if item.line is not None:
            for line in self._and_taken_back(item.line):
                if code == "380":
                    for invoice, most in self._of_line(code, line, item.group):
                        yield invoice, line, most
                # An earlier version charged only the difference with another tax: so what its falls come to beyond what
                # was charged with theirs is of the old one's.
                is_beyond = self._falls_beyond(line, item.group)
                for invoice, most in self._of_line(code, line):
                    is_old = invoice not in self._issued and not _has(invoice, item.group) and is_beyond
                    if code == "389" or is_old:
                        yield invoice, line, most
        elif item.charged_by is not None:
            yield self._of(item.charged_by), None, -item.amount
        elif item.group is not None:
            for invoice, most in self._open_with(code, item.group, taken):
                yield invoice, None, most

    def _falls_beyond(self, line: str, group: TaxGroup | None) -> bool:
        """Whether more of a line's commission falls with a tax than was charged with it, for some that has another.

        By all of its rows, also those of later statements.
        """
        charged = [row.commission for row in self._books.within(Accrual, line) if row.commission is not None]
        of_group = sum(one.amount for one in charged if _tax_of(one) == group)
        return of_group < 0 < sum(one.amount for one in charged) - of_group

    def _of_any(self, code: TypeCode, part: Part, taken: _Taken) -> Iterator[tuple[str, int]]:
        """The invoices that have the tax group of what a fall's own have no room for, and how much each takes of it.

        What is left of a fee is kept by its invoice: commission takes nothing of one that has any.
        """
        self._books.require([QueueNeed(SettlementDocument, self._account.id, None)])
        left = part.amount
        for invoice, most in self._open_with(code, part.group, taken):
            if left and not (part.item.kind == "commission" and _has_fee(invoice, part.group)):
                amount = min(left, most)
                taken.of_group[invoice.id, part.group] += amount
                left -= amount
                yield invoice.id, amount

    def _open_with(self, code: TypeCode, group: TaxGroup, taken: _Taken) -> Iterator[tuple[SettlementDocument, int]]:
        """The partner's invoices of which something is left of a tax group, the latest first, and how much."""
        found = self._books.open_now(SettlementDocument, self._account.id)
        for invoice in sorted((one for one in found if one.type_code == code), key=number_order, reverse=True):
            if (left := invoice.left(group) - taken.of_group[invoice.id, group]) > 0:
                yield invoice, left

    def _group_in(self, invoice: SettlementDocument, line: str | None, group: TaxGroup | None) -> TaxGroup | None:
        """The tax group that a line has in a self-billed invoice: by the terms as they were when it was issued.

        Of anything else `group`, by which what falls goes itself.
        """
        groups = [one.group for one in invoice.tax_item]
        if line is None or not invoice.is_self_billed or len(groups) == 1:
            return group
        day = _day_of([row for row in self._history(line) if self._number_of(row) == invoice.id], line, self._books)
        for agreement in self._agreements:
            known = agreement.agreed if agreement.holds_on(day) else ()
            for terms in reversed([one for one in known if one.booked_at <= invoice.booked_at]):
                bills = agreement.terms_on(day, terms.revision).closings.self_billing
                if bills is not None and _group_of(bills) in groups:
                    return _group_of(bills)
        return group

    def _history(self, line: str) -> list[Accrual]:
        """The rows of a line, and those that correct it: as far as statements, or this one, have them."""
        correcting = (self._books.find(Accrual, id_) for id_ in self._correcting(line))
        return [*self._books.within(Accrual, line), *(row for row in correcting if row is not None)]

    def _correcting(self, line: str) -> Iterable[str]:
        """The ids of the rows that correct a line and are of none, or of another."""
        rows = self._books.within(Accrual, line)
        found = (id_ for row in rows for id_ in self._corrected.get(row.id, row.corrected_by or ()))
        return dict.fromkeys(found)

    def _and_taken_back(self, line: str) -> Iterator[str]:
        """A line, and what it takes back, and what that does."""
        back: str | None = line
        while back is not None:
            yield back
            back = _taken_back(self._books.within(Accrual, back))

    def _number_of(self, row: Accrual) -> str | None:
        """The document that has a row, also if it is one of these."""
        return row.document or self._numbers.get(row.id)

    def _of_line(
        self, code: TypeCode, line: str, group: TaxGroup | None = None
    ) -> Iterator[tuple[SettlementDocument, int]]:
        """The invoices that have earlier rows of a line, the latest first, and how much of it each still has.

        With a `group` those that have commission with that tax, and how much of that.
        """
        nets: dict[str, int] = defaultdict(int)
        for row in self._history(line):
            number = self._number_of(row)
            if number is not None and code == "389":
                nets[number] += row.amount
            elif number is not None and row.commission is not None and group in (None, _tax_of(row.commission)):
                nets[number] += row.commission.amount
        self._books.require(DocumentNeed(SettlementDocument, number) for number in nets)
        standing: list[tuple[SettlementDocument, int]] = []
        for document in sorted((self._of(number) for number in nets), key=number_order):
            if document.type_code == code:
                standing.append((document, nets[document.id]))
            elif document.type_code == CORRECTING[code]:
                fell = -nets[document.id]
                while standing and fell > 0:
                    invoice, amount = standing.pop()
                    if amount > fell:
                        standing.append((invoice, amount - fell))
                    fell -= amount
        yield from reversed(standing)

    def _document(
        self, code: TypeCode, series: str, parts: Sequence[Part], corrects: SettlementDocument | None
    ) -> SettlementDocument:
        """A document with the next number of a series; what it corrects has that noted."""
        books, account = self._books, self._account
        groups: dict[TaxGroup, int] = defaultdict(int)
        for part in parts:
            groups[part.group] += part.amount
        items = []
        for group, net in groups.items():
            tax = share_of(net, group.rate)
            reverse = 0 if group.reverse_charge_rate is None else share_of(net, group.reverse_charge_rate)
            if corrects is not None:
                # Of all that fell to date, less what was taken before: so in the end they take all of it.
                before = corrects.credited_of(group)
                fallen = before.tax_excluded_amount + net
                tax = share_of(fallen, group.rate) - before.tax_amount
                if group.reverse_charge_rate is not None:
                    reverse = share_of(fallen, group.reverse_charge_rate) - before.reverse_charge
                after = replace(
                    before,
                    tax_excluded_amount=fallen,
                    tax_amount=before.tax_amount + tax,
                    reverse_charge=before.reverse_charge + reverse,
                )
                corrects = corrects.with_credited(after)
            items.append(DocumentTax(group.category, group.rate, net, tax, group.reverse_charge_rate, reverse))
        if corrects is not None:
            books.put(corrects)
        seller = books.find(Seller, SELLER)
        net = sum(groups.values())
        total = within_limit(
            net + sum(item.tax_amount for item in items),
            account.kept_in,
            "closingId: the total of a document of statement {}",
            self._settlement_id,
        )
        return SettlementDocument(
            id=next_number(series, books),
            type_code=code,
            settlement_account=account.id,
            settlement_id=self._settlement_id,
            currency=account.currency,
            bill_date=books.date_of(books.booked_at),
            cause=books.cause,
            booked_at=books.booked_at,
            tax_excluded_amount=net,
            tax_included_amount=total,
            lines=_lines(parts),
            tax_item=tuple(items),
            corrects=None if corrects is None else corrects.id,
            seller_version=None if seller is None else seller.version,
            partner_version=account.version,
        )

    def _put(self, document: SettlementDocument, parts: Iterable[Part]) -> None:
        self._books.put(document)
        self._issued.append(document)
        for part in parts:
            for row in part.item.rows:
                self._numbers.setdefault(row, document.id)

    def _of(self, number: str) -> SettlementDocument:
        document = self._books.find(SettlementDocument, number)
        assert document is not None, f"there is no document {number}"
        return document


def step_row(account: Account, key: str, amount: int, day: date, step: Step, books: Books) -> Accrual:
    """A row that states what a closing adds (minor units); it is not in the books yet."""
    return Accrual(
        id=f"{key_of(books.cause)}/{key}",
        settlement_account=account.id,
        order_id=None,
        bill_no=None,
        line_id=None,
        amount=amount,
        date=day,
        cause=books.cause,
        booked_at=books.booked_at,
        step=step,
    )


def tell_documents(documents: Documents, books: Books) -> None:
    """Tell the documents of a statement."""
    for document in documents.issued:
        if document.is_self_billed:
            position.emit(document.settlement_account, SelfBillingIssued(document), books)
        else:
            position.emit(document.settlement_account, SettlementInvoiced(document), books)


def series_of(number: str) -> str:
    """The series that a number of a partner's is of: it ends with no digit."""
    return number.rstrip("0123456789")


def _bills_of(agreement: Agreement) -> bool:
    return any(
        closing.self_billing is not None or closing.fixed_fee is not None
        for closing in (one.closings for one in agreement.agreed)
    )


def _series_of(agreements: Iterable[Agreement]) -> set[str]:
    """The series that agreements name."""
    bills = (one.closings.self_billing for agreement in agreements for one in agreement.agreed)
    return {one.series for one in bills if one is not None}


def _earned(rows: Iterable[Accrual], agreements: Sequence[Agreement], books: Books) -> Iterator[Item]:
    """What of a statement's rows is invoiced in the partner's name: of each line in one sum, by its day.

    Adjustments and what a closing adds stand alone; an adjustment that corrects a line goes by the line's day. Raises
    `NotLoaded`.
    """
    lines: dict[str, list[Accrual]] = defaultdict(list)
    alone: list[tuple[DocumentLineKind, Accrual]] = []
    adjusted: dict[str, Accrual] = {}
    for row in rows:
        if row.commission is not None:
            continue  # the partner has sold it itself
        if row.step is None and row.adjustment_id is None:
            lines[f"{row.bill_no}/{row.line_id}"].append(row)
        elif row.step is None:
            alone.append(("adjustment", row))
            if row.bill_no is not None:
                adjusted[f"{row.bill_no}/{row.line_id}"] = row
        elif row.step.kind == "trueUp" or row.step.kind == "guarantee":
            alone.append((row.step.kind, row))
    books.require(RangeNeed(Accrual, line) for line in (*_to_look_up(lines), *adjusted))
    books.require(
        DocumentNeed(Invoice, row.bill_no)
        for line, row in adjusted.items()
        if row.bill_no is not None and not books.within(Accrual, line)
    )
    for line, of_line in lines.items():
        first, last = min(row.date for row in of_line), max(row.date for row in of_line)
        bills = _terms_on(_day_of(of_line, line, books), agreements)
        amount = sum(row.amount for row in of_line)
        yield Item("accrual", *bills, amount, first, last, line, tuple(row.id for row in of_line))
    for kind, row in alone:
        line_of, day = None, row.date
        if row.bill_no is not None:
            line_of = f"{row.bill_no}/{row.line_id}"
            if _is_of_agent(row, line_of, books):
                continue
            day = _day_of([row], line_of, books)
        yield Item(kind, *_terms_on(day, agreements), row.amount, row.date, row.date, line_of, (row.id,))


def _to_look_up(lines: Mapping[str, Iterable[Accrual]]) -> Iterator[str]:
    """The lines of which a statement has no row that rises by itself: their day is that of earlier rows."""
    for line, rows in lines.items():
        if not any(map(_is_earned_anew, rows)):
            yield line


def _is_earned_anew(row: Accrual) -> bool:
    """Whether a row rises by itself: no note, no correction of what was earned before."""
    return row.amount > 0 and row.corrects is None and row.takes_back is None and row.adjustment_id is None


def _day_of(rows: Sequence[Accrual], line: str, books: Books) -> date:
    """The day by whose terms rows of a line are invoiced: the first on which they rise by themselves.

    What falls, or corrects, goes by the first day of its line, or of the one that its line takes back. Raises
    `NotLoaded`.
    """
    days = [row.date for row in rows if _is_earned_anew(row)]
    back: str | None = line
    while not days and back is not None:
        of_line = books.within(Accrual, back)
        back = _taken_back(of_line)
        if back is None or not books.within(Accrual, back):
            days = [row.date for row in of_line]
    return min(days or [row.date for row in rows])


def _taken_back(rows: Iterable[Accrual]) -> str | None:
    """The line that the one of these rows takes back, if there is one."""
    return next((row.takes_back for row in rows if row.takes_back is not None), None)


def _corrected_line(row: Accrual) -> str | None:
    """The line that a row corrects without being of it: an adjustment, or of a line that takes it back."""
    if row.adjustment_id is not None and row.bill_no is not None:
        return f"{row.bill_no}/{row.line_id}"
    return row.takes_back


def _is_of_agent(adjustment: Accrual, line: str, books: Books) -> bool:
    """Whether the line that an adjustment corrects was sold in the partner's name: its invoice is to the customer.

    Each row of such a line has our commission; before there is one, the invoice tells.
    """
    if rows := books.within(Accrual, line):
        return any(row.commission is not None for row in rows)
    invoice = None if adjustment.bill_no is None else books.find(Invoice, adjustment.bill_no)
    parts = (one.on_behalf_of for one in (() if invoice is None else invoice.lines) if one.id == adjustment.line_id)
    return any(part is not None and part.agent is not None for part in parts)


def _commissions(rows: Iterable[Accrual], agreements: Sequence[Agreement], series: str) -> Iterator[Item]:
    """Our commission on a statement's rows, of each line and tax group in one sum."""
    lines: dict[tuple[str, TaxGroup], list[tuple[Accrual, int]]] = defaultdict(list)
    for row in rows:
        if row.commission is not None:
            lines[f"{row.bill_no}/{row.line_id}", _tax_of(row.commission)].append((row, row.commission.amount))
    for (line, group), of_line in lines.items():
        first, last = min(row.date for row, _ in of_line), max(row.date for row, _ in of_line)
        agreement = next((one.id for one in agreements if one.holds_on(first)), None)
        amount, ids = sum(part for _, part in of_line), tuple(row.id for row, _ in of_line)
        yield Item("commission", agreement, group, series, amount, first, last, line, ids)


def _terms_on(day: date, agreements: Sequence[Agreement]) -> tuple[str | None, TaxGroup | None, str | None]:
    """The agreement of a day, and the tax group and the series by which we invoice what is of it."""
    agreement = next((one for one in agreements if one.holds_on(day)), None)
    bills: SelfBilling | None = None if agreement is None else agreement.terms_on(day).closings.self_billing
    if agreement is None or bills is None:
        return None, None, None
    return agreement.id, _group_of(bills), bills.series


def _group_of(bills: SelfBilling) -> TaxGroup:
    return TaxGroup(bills.category, bills.rate, bills.reverse_charge_rate)


def _has(invoice: SettlementDocument, group: TaxGroup | None) -> bool:
    return any(one.group == group for one in invoice.tax_item)


def _has_fee(invoice: SettlementDocument, group: TaxGroup) -> bool:
    return any(line.kind == "fee" and TaxGroup(line.category, line.rate) == group for line in invoice.lines)


def _tax_of(commission: Commission) -> TaxGroup:
    return TaxGroup(commission.category, commission.rate)


def _lines(parts: Iterable[Part]) -> tuple[DocumentLine, ...]:
    """A line for each kind, agreement and tax group; for each period of a fee."""
    lines: dict[tuple[object, ...], DocumentLine] = {}
    for part in parts:
        item = part.item
        period = (item.start, item.end, item.type) if item.kind == "fee" else None
        key = (item.kind, item.agreement, part.group, period)
        line = lines.get(key)
        if line is None:
            lines[key] = DocumentLine(
                item.kind,
                item.agreement,
                part.group.category,
                part.group.rate,
                part.amount,
                item.start,
                item.end,
                item.type,
            )
        else:
            lines[key] = replace(
                line,
                amount=line.amount + part.amount,
                start=min(line.start, item.start),
                end=max(line.end, item.end),
            )
    return tuple(lines.values())


def _of_kinds(document: SettlementDocument) -> dict[StepKind, tuple[int, int]]:
    """What a document of ours comes to of fees and of commission: net and tax (minor units).

    Of a tax group with both, the fees have the tax of their own net, and the commission the rest.
    """
    found: dict[StepKind, tuple[int, int]] = {}
    for item in document.tax_item:
        of_group = [line for line in document.lines if (line.category, line.rate) == (item.category, item.rate)]
        fees = sum(line.amount for line in of_group if line.kind == "fee")
        commission = item.tax_excluded_amount - fees
        tax_of_fees = item.tax_amount if not commission else min(item.tax_amount, share_of(fees, item.rate))
        kinds: tuple[tuple[StepKind, int, int], ...] = (
            ("fee", fees, tax_of_fees),
            ("commission", commission, item.tax_amount - tax_of_fees),
        )
        for kind, net, tax in kinds:
            before = found.get(kind, (0, 0))
            found[kind] = before[0] + net, before[1] + tax
    return found


def _post(document: SettlementDocument, books: Books) -> None:
    """Post what a document is about: the tax of a self-billed one, all of ours; a credit note's mirrored."""
    partner, sign = document.settlement_account, document.sign
    for item in document.tax_item:
        if document.is_self_billed:
            position.owe_tax(partner, item.category, item.rate, sign * item.tax_amount, books)
            if item.reverse_charge_rate is not None:
                position.owe_reverse_charge(item.category, item.reverse_charge_rate, sign * item.reverse_charge, books)
        else:
            position.charge_tax(partner, item.category, item.rate, sign * item.tax_amount, books)
    if not document.is_self_billed:
        for line in document.lines:
            position.charge(partner, sign * line.amount, books, is_fee=line.kind == "fee")
