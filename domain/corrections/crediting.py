"""Crediting: a credit note takes back of an invoice, and what it covers becomes credit, or money to give back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, find_account
from domain.corrections.model import (
    CreditedLine,
    CreditNote,
    CreditNoteIssued,
    CreditNoteLine,
    Dispute,
    Excess,
    InvoiceCredited,
    NoteResult,
    NoteToIssue,
    PaymentPart,
)
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.invoicing.disputed import Counted, count_disputed, disputable_lines
from domain.invoicing.model import (
    CorrectedLine,
    CorrectedTax,
    Corrections,
    DisputedPart,
    Invoice,
    InvoiceLine,
    TaxItem,
    find_invoice,
)
from domain.invoicing.sellers import note_series, version_of_seller
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.numbering import Series, next_number
from domain.ledger.positions import Position
from domain.money import Currency, allocate, rounded_ratio
from domain.parties.model import SELLER, Seller
from domain.payments.allocating import (
    CREDITS_MAX,
    WorkBudget,
    bring_oldest_due_up_to_date,
    cover_with_credit,
    deallocate,
)
from domain.payments.model import Payment
from domain.settlement.accruals import Accrual, emit_accruals
from domain.settlement.correcting import rebook
from domain.settlement.tiers import tiers_of


def note_time(note: NoteToIssue) -> tuple[str, datetime]:
    """When it was issued, by its own saying."""
    return "issuedAt", note.issued_at


def note_needs(note: NoteToIssue, books: WorkingSet) -> Iterator[Need]:
    """What a note looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Invoice, note.bill_no)
    yield DocumentNeed(CreditNote, note.id)
    yield DocumentNeed(Dispute, note.id)
    invoice = books.peek(Invoice, note.bill_no)
    yield DocumentNeed(Series, books.credit_notes if invoice is None else note_series(invoice, books))
    yield DocumentNeed(Seller, SELLER)
    yield from correction_needs(invoice)


def correction_needs(invoice: Invoice | None) -> Iterator[Need]:
    """What a correction of an invoice looks at: its account and the queues of that, payments, partners, disputes."""
    if invoice is None:
        return
    yield from settling_needs(invoice.billing_account)
    yield from disputes_needs(invoice)
    for line in invoice.lines:
        if line.origin is not None and line.origin.corrects is not None:
            yield DocumentNeed(Invoice, line.origin.corrects.bill_no)
    for applied in invoice.applied_payment:
        yield DocumentNeed(Payment, applied.payment_id)
    yield from partners_needs(invoice)


def disputes_needs(invoice: Invoice) -> Iterator[Need]:
    """The disputes of an invoice that are open: what is credited of it may change what they count for."""
    for part in invoice.handled.disputes:
        yield DocumentNeed(Dispute, part.dispute_id)


def settling_needs(account_id: str) -> Iterator[Need]:
    """What `settle_up` looks at of an account at first."""
    yield DocumentNeed(Account, account_id)
    yield DocumentNeed(Position, account_id)
    yield QueueNeed(Payment, account_id, CREDITS_MAX)
    yield QueueNeed(Invoice, account_id)


def partners_needs(invoice: Invoice) -> Iterator[Need]:
    """The partners of an invoice: what is corrected of it may change what they have of it."""
    for line in invoice.lines:
        if line.on_behalf_of is not None:
            yield DocumentNeed(Account, line.on_behalf_of.id)
            yield DocumentNeed(Position, line.on_behalf_of.id)
    yield from tiers_of(invoice)


def correctable_account(invoice: Invoice, books: Books) -> Account:
    """The account of an invoice that is to be corrected; raises `Refused` (`account-closed`)."""
    account = find_account(invoice.billing_account, books)
    check_state(account, "correction", f"billNo (of invoice {invoice.id})")
    return account


def issue_credit_note(note: NoteToIssue, books: Books) -> NoteResult:
    """Issue a credit note; returns its number.

    Raises `MustWait` (`unknown-invoice`) and `Refused`: `over-credited` for more than is left of a line or of the
    invoice, `currency-mismatch`, `invalid` for a line that the invoice does not have or an amount that has not its
    line's sign, `account-closed`, `conflicting-duplicate` when there is another note of that id.
    """
    invoice = find_invoice(note.bill_no, books)
    account = correctable_account(invoice, books)
    if books.find(CreditNote, note.id) is not None:
        raise Refused("conflicting-duplicate", f"creditNoteId: credit note {note.id} exists already")
    if books.find(Dispute, note.id) is not None:
        raise Refused(
            "conflicting-duplicate", f"creditNoteId: dispute {note.id} exists, and its credit note has that id"
        )
    nets = _nets(note, invoice, account.kept_in)
    books.open_entry(note.issued_at, account.kept_in, reverses=invoice.cause, reason=note.reason)
    issued, accruals = credit(invoice, nets, note.id, note.issued_at, note.reason, note.excess, books)
    settle_up(account, accruals, books)
    return NoteResult(issued.bill_no)


def _nets(note: NoteToIssue, invoice: Invoice, currency: Currency) -> dict[str, int]:
    """What a note is to credit of each line's net, by the line's id."""
    gone = taken_of(invoice)
    if note.lines is None:
        return {line.id: left for line in invoice.lines if (left := line.tax_excluded_amount - gone.get(line.id, 0))}
    within = {line.id: gone.get(line.id, 0) for line in invoice.lines}
    return nets_within(note.lines, invoice, within, "lines", currency)


def nets_within(
    lines: tuple[CreditedLine, ...], invoice: Invoice, gone: dict[str, int], field: str, currency: Currency
) -> dict[str, int]:
    """The nets (minor units) by the ids of the lines of an invoice that a message names in `field`.

    `gone` is how much of each line's net is no longer there to be named; `currency` is the account's. Raises `Refused`:
    `invalid` for a line that the invoice does not have or an amount that has not its line's sign, `currency-mismatch`,
    `over-credited` for more than is left.
    """
    by_id = {line.id: line for line in invoice.lines}
    nets: dict[str, int] = {}
    for index, asked in enumerate(lines):
        at = f"{field}.{index}"
        line = by_id.get(asked.line_id)
        if line is None:
            raise Refused("invalid", f"{at}.lineId: invoice {invoice.id} has no line {asked.line_id}")
        if asked.net.currency != invoice.currency:
            raise Refused(
                "currency-mismatch",
                f"{at}.taxExcludedAmount: invoice {invoice.id} is in {invoice.currency}, not in {asked.net.currency}",
            )
        _check_left(line, asked.net.amount, gone[line.id], index, field, currency)
        nets[line.id] = asked.net.amount
    return nets


def taken_of(invoice: Invoice) -> dict[str, int]:
    """What notes, and lines of bills, took back of each line's net so far (minor units), by the line's id."""
    return {line.line_id: line.gone for line in invoice.corrected.lines}


def _check_left(line: InvoiceLine, net: int, gone: int, index: int, field: str, currency: Currency) -> None:
    """Check that so much of a line's net is left to credit: a negative line's is taken back towards zero."""
    whole, left = line.tax_excluded_amount, line.tax_excluded_amount - gone
    of_its_sign = (net < 0) == (whole < 0)
    if of_its_sign and abs(net) <= abs(left):
        return
    rest = f"{currency.written(left)} is left of it" if left else "nothing is left of it"
    said = f"{field}.{index}.taxExcludedAmount: {currency.written(net)}, but line {line.id} is "
    said += f"{currency.written(whole)}, and {rest}"
    if of_its_sign:
        raise Refused("over-credited", said)
    raise Refused("invalid", f"{said}: send an amount of its sign" if left else said)


@dataclass(frozen=True, slots=True)
class NotePricing:
    """What a note comes to, in minor units: by line and by tax group."""

    taxes: dict[str, int]
    tax_item: tuple[TaxItem, ...]
    net: int
    total: int


def price_note(invoice: Invoice, nets: dict[str, int], currency: Currency, field: str = "lines") -> NotePricing:
    """Work out what a note comes to that credits these nets (minor units, by line).

    `field` is where the message names them, `currency` the account's.

    Raises `Refused` (`over-credited`) for a total below zero, for one beyond what is left of the invoice, and when
    nothing is left.
    """
    if not nets:
        raise Refused("over-credited", f"billNo: of invoice {invoice.id} nothing is left to credit")
    pricing = price_nets(invoice, nets)
    total = pricing.total
    if total < 0:
        raise Refused("over-credited", f"{field}: {currency.written(total)} with tax, which may not be negative")
    if total > (left := creditable(invoice)):
        raise Refused(
            "over-credited",
            f"{field}: {currency.written(total)} with tax, but {currency.written(left)} is left of invoice "
            f"{invoice.id}",
        )
    return pricing


def creditable(invoice: Invoice) -> int:
    """What one more note of an invoice may come to (minor units, with tax).

    A note of zero may always come: what it credits of one line it takes back less by another one.
    """
    return max(0, invoice.creditable)


def price_nets(invoice: Invoice, nets: dict[str, int]) -> NotePricing:
    """What these nets (minor units, by line) of an invoice come to, whether a note may credit them or not.

    The tax of a group is that of all net taken back to date, less the tax taken back before (EN 16931, BR-CO-17, over
    all notes of the invoice), so the notes of an invoice that is credited in full add up to its tax, with what lines of
    bills took back of it.
    """
    gone = taken_of(invoice)
    before = {(group.category, group.rate): group.gone for group in invoice.corrected.tax}
    taxes: dict[str, int] = {}
    tax_item = []
    for item in invoice.tax_item:
        members = [line for line in invoice.lines if (line.category, line.rate) == (item.category, item.rate)]
        touched = [line.id for line in members if line.id in nets]
        if not touched:
            continue
        numerator, denominator = item.rate.as_integer_ratio()
        to_date = sum(gone.get(line.id, 0) + nets.get(line.id, 0) for line in members)
        tax = rounded_ratio(to_date * numerator, denominator) - before.get((item.category, item.rate), 0)
        # What the group's rounding leaves to this note is spread over its own lines.
        parts = allocate(tax, [nets[line_id] * numerator for line_id in touched], denominator)
        taxes |= dict(zip(touched, parts, strict=True))
        tax_item.append(TaxItem(item.category, item.rate, sum(nets[line_id] for line_id in touched), tax))
    net = sum(nets.values())
    return NotePricing(taxes, tuple(tax_item), net, net + sum(taxes.values()))


def credit(
    invoice: Invoice,
    nets: dict[str, int],
    note_id: str,
    at: datetime,
    reason: str,
    excess: Excess,
    books: Books,
    field: str = "lines",
) -> tuple[CreditNote, list[Accrual]]:
    """Credit these nets (minor units, by line) of an invoice by a note with the next number.

    A note covers what is open, then what is written off, latest first, then what is allocated, latest first: that is
    the payments' credit again, or reserved to be given back. Disputes count no more for what is credited. What lines of
    a bill took back and it credits, can be credited again where they took it. `field` is where the message names the
    nets. Returns the note and what accrues, which is below zero.
    """
    account_id = invoice.billing_account
    account = find_account(account_id, books)
    pricing = price_note(invoice, nets, account.kept_in, field)
    seller_version = version_of_seller(invoice.seller, books)
    before = invoice
    books.count(account_id, "used")
    covered = min(invoice.remaining_amount, pricing.total)
    recovered = min(invoice.corrected.written_off, pricing.total - covered)
    undone = pricing.total - covered - recovered
    invoice, deallocations = deallocate(invoice, undone, books)
    invoice = replace(
        invoice,
        remaining_amount=invoice.remaining_amount - covered - undone,
        corrections=_with_note(invoice, nets, pricing, recovered),
    )
    invoice = with_disputes(invoice, open_disputes(invoice, books), books)
    on = books.date_of(at)
    invoice, accruals = rebook(before, invoice, on, books)
    for line in before.lines:
        if line.id in nets and line.origin is not None and line.origin.corrects is not None:
            put_taken_back(line, nets[line.id], tax_given_back(before, line, nets[line.id]), books)
    parts = tuple(PaymentPart(one.payment_id, one.amount) for one in deallocations)
    if excess == "refund":
        _reserve(parts, account_id, books)
    note = CreditNote(
        id=note_id,
        bill_no=next_number(note_series(invoice, books), books),
        corrected_bill_no=invoice.id,
        billing_account=account_id,
        currency=invoice.currency,
        bill_date=books.date_of(books.booked_at),
        issued_at=at,
        booked_at=books.booked_at,
        cause=books.cause,
        reason=reason,
        tax_excluded_amount=pricing.net,
        tax_included_amount=pricing.total,
        tax_item=pricing.tax_item,
        lines=_lines(before, invoice, nets, pricing),
        covered=covered,
        recovered=recovered,
        excess=excess,
        deallocated=parts,
        reserved=parts if excess == "refund" else (),
        buyer_version=account.version,
        seller_version=seller_version,
        seller=invoice.seller,
    )
    books.put(note)
    books.announce(f"credit-note:{note.id}")
    if parts and excess == "credit":
        books.announce(f"credit:{account_id}")
    books.emit(account_id, CreditNoteIssued(note))
    books.emit(account_id, InvoiceCredited(note, invoice))
    return note, accruals


def with_taken_back(invoice: Invoice, line: InvoiceLine, net: int, tax: int) -> Invoice:
    """An invoice of which this line of a bill took back so much more: net and tax, minor units.

    They are below zero where less is taken back than before.
    """
    assert line.origin is not None
    assert line.origin.corrects is not None
    line_id, group = line.origin.corrects.line_id, (line.category, line.rate)
    so_far = invoice.corrected
    lines = {one.line_id: one for one in so_far.lines}
    of_line = lines.get(line_id, CorrectedLine(line_id))
    lines[line_id] = replace(of_line, taken_back=(of_line.taken_back or 0) + net)
    groups = {(one.category, one.rate): one for one in so_far.tax}
    of_group = groups.get(group, CorrectedTax(*group))
    groups[group] = replace(of_group, taken_back=(of_group.taken_back or 0) + tax)
    return replace(invoice, corrections=replace(so_far, lines=tuple(lines.values()), tax=tuple(groups.values())))


def tax_given_back(bill: Invoice, line: InvoiceLine, net: int) -> int:
    """By how much a note that credits so much of a line that took something back changes the tax that it took.

    All that is given back to date is the credited part of the tax that the line shows, rounded: all of it in the end.
    """
    given = next((one.given_back or 0 for one in bill.corrected.lines if one.line_id == line.id), 0)
    whole = abs(line.tax_excluded_amount)
    before, after = (rounded_ratio(line.tax_amount * abs(part), whole) for part in (given, given + net))
    return after - before


def put_taken_back(line: InvoiceLine, net: int, tax: int, books: Books) -> None:
    """Note on the invoice that a line of a bill corrects that it took back so much more (minor units) of it."""
    assert line.origin is not None
    assert line.origin.corrects is not None
    invoice = with_taken_back(find_invoice(line.origin.corrects.bill_no, books), line, net, tax)
    books.put(with_disputes(invoice, open_disputes(invoice, books), books))


def open_disputes(invoice: Invoice, books: Books) -> list[Dispute]:
    """The disputes of an invoice that are open, oldest first."""
    books.require(disputes_needs(invoice))
    found = []
    for part in invoice.handled.disputes:
        dispute = books.find(Dispute, part.dispute_id)
        assert dispute is not None, f"invoice {invoice.id} has dispute {part.dispute_id}, which is not there"
        found.append(dispute)
    return found


def counted_of(invoice: Invoice, disputes: Iterable[Dispute]) -> list[Counted]:
    """What each of these disputes of an invoice counts for, if they are those that are open, oldest first."""
    asked = ({line.line_id: line.tax_excluded_amount for line in one.lines} for one in disputes)
    gone = {(group.category, group.rate): group.gone for group in invoice.corrected.tax}
    return count_disputed(disputable_lines(invoice), gone, invoice.creditable, asked)


def with_disputes(invoice: Invoice, disputes: list[Dispute], books: Books) -> Invoice:
    """An invoice with these disputes open, oldest first, and what each counts for as the invoice is now.

    Those that count for something else than before are put into the books; the invoice is not.
    """
    parts = []
    for dispute, counted in zip(disputes, counted_of(invoice, disputes), strict=True):
        lines = tuple(replace(line, counted=counted.nets[line.line_id]) for line in dispute.lines)
        now = replace(dispute, lines=lines, amount=counted.amount)
        if now != dispute:
            books.put(now)
        parts.append(DisputedPart(dispute.id, counted.amount))
    if tuple(parts) == invoice.handled.disputes:
        return invoice
    return replace(invoice, handling=replace(invoice.handled, disputes=tuple(parts)))


def _with_note(invoice: Invoice, nets: dict[str, int], pricing: NotePricing, recovered: int) -> Corrections:
    """What was taken back of an invoice, with what a note takes, and without what that recovers of its write-offs."""
    so_far = invoice.corrected
    lines = {line.line_id: line for line in so_far.lines}
    taking = {one.id for one in invoice.lines if one.origin is not None and one.origin.corrects is not None}
    for line_id, net in nets.items():
        line = lines.get(line_id, CorrectedLine(line_id))
        given_back = (line.given_back or 0) + net if line_id in taking else line.given_back
        tax_to_date = (line.credited_tax or 0) + pricing.taxes[line_id] if invoice.seller is not None else 0
        lines[line_id] = replace(
            line, credited=line.credited + net, given_back=given_back, credited_tax=tax_to_date or None
        )
    tax = {(group.category, group.rate): group for group in so_far.tax}
    for item in pricing.tax_item:
        group = tax.get((item.category, item.rate), CorrectedTax(item.category, item.rate))
        tax[item.category, item.rate] = replace(group, credited=group.credited + item.tax_amount)
    return Corrections(
        credited=so_far.credited + pricing.total,
        write_offs=so_far.recovered(recovered)[0],
        lines=tuple(lines.values()),
        tax=tuple(tax.values()),
    )


def _reserve(parts: tuple[PaymentPart, ...], account_id: str, books: Books) -> None:
    """Reserve parts of payments to be given back: no invoice consumes them."""
    for part in parts:
        payment = books.find(Payment, part.payment_id)
        assert payment is not None, f"payment {part.payment_id} was just de-allocated"
        books.put(replace(payment, unapplied=payment.unapplied - part.amount))
        books.debit(chart.UNAPPLIED.of(account_id), part.amount)
        books.credit(chart.REFUNDABLE.of(account_id), part.amount)


def _lines(before: Invoice, after: Invoice, nets: dict[str, int], pricing: NotePricing) -> tuple[CreditNoteLine, ...]:
    """What a note credits of each line, and what that changes for the line's partner."""
    withheld = [withheld_of(invoice) for invoice in (before, after)]
    lines = []
    for was, now in zip(before.lines, after.lines, strict=True):
        part, left = was.on_behalf_of, now.on_behalf_of
        kept = withheld[0].get(was.id, 0) - withheld[1].get(was.id, 0)
        if was.id in nets or kept:
            lines.append(
                CreditNoteLine(
                    line_id=was.id,
                    category=was.category,
                    rate=was.rate,
                    tax_excluded_amount=nets.get(was.id, 0),
                    tax_amount=pricing.taxes.get(was.id, 0),
                    on_behalf_of=None if part is None else part.id,
                    share=0 if part is None or left is None else part.share - left.share,
                    withheld=kept,
                )
            )
    return tuple(lines)


def withheld_of(invoice: Invoice) -> dict[str, int]:
    """What is withheld of each line until the customer pays (minor units), by the line's id."""
    given_up = {line.line_id: line.given_up for line in invoice.corrected.lines}
    return {
        line.id: part.share - part.accrued - given_up.get(line.id, 0)
        for line in invoice.lines
        if (part := line.on_behalf_of) is not None and part.accrue_on == "payment"
    }


def settle_up(account: Account, accruals: list[Accrual], books: Books, *others: Account) -> tuple[str, ...]:
    """End a correction: credit covers what is open of each account, and partners are told what all of it changes.

    Returns the numbers of the invoices that credit covers now.
    """
    bill_nos: list[str] = []
    for one in (account, *others):
        cover_with_credit(one, WorkBudget.of(books.position(one.id)), bill_nos, accruals, books)
        bring_oldest_due_up_to_date(one.id, books)
    emit_accruals(accruals, account.currency, books)
    return tuple(bill_nos)
