"""Crediting: a credit note takes back of an invoice, and what it covers becomes credit, or money to give back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import check_state, complete_closing
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
from domain.invoicing.model import (
    CorrectedLine,
    CorrectedTax,
    Corrections,
    Invoice,
    InvoiceLine,
    TaxItem,
    find_invoice,
)
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.numbering import Series, next_number
from domain.ledger.positions import Position
from domain.money import allocate, rounded_ratio
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


def note_time(note: NoteToIssue) -> tuple[str, datetime]:
    """When it was issued, by its own saying."""
    return "issuedAt", note.issued_at


def note_needs(note: NoteToIssue, books: WorkingSet) -> Iterator[Need]:
    """What a note looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Invoice, note.bill_no)
    yield DocumentNeed(CreditNote, note.id)
    yield DocumentNeed(Dispute, note.id)
    yield DocumentNeed(Series, books.credit_notes)
    yield DocumentNeed(Seller, SELLER)
    yield from correction_needs(books.peek(Invoice, note.bill_no))


def correction_needs(invoice: Invoice | None) -> Iterator[Need]:
    """What a correction of an invoice looks at: its account, its payments, its partners, and the account's queues."""
    if invoice is None:
        return
    yield from settling_needs(invoice.billing_account)
    for applied in invoice.applied_payment:
        yield DocumentNeed(Payment, applied.payment_id)
    yield from partners_needs(invoice)


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
        raise Refused("conflicting-duplicate", f"creditNoteId: dispute {note.id} exists, whose note has its id")
    nets = _nets(note, invoice)
    books.open_entry(note.issued_at, invoice.currency, reverses=invoice.cause, reason=note.reason)
    issued, accruals = credit(invoice, nets, note.id, note.issued_at, note.reason, note.excess, books)
    settle_up(account, accruals, books)
    complete_closing(account, books)
    complete_closings_of_partners(invoice, books)
    return NoteResult(issued.bill_no)


def _nets(note: NoteToIssue, invoice: Invoice) -> dict[str, int]:
    """What a note is to credit of each line's net, by the line's id."""
    gone = taken_of(invoice)
    if note.lines is None:
        return {line.id: left for line in invoice.lines if (left := line.tax_excluded_amount - gone.get(line.id, 0))}
    return nets_within(note.lines, invoice, {line.id: gone.get(line.id, 0) for line in invoice.lines}, "lines")


def nets_within(lines: tuple[CreditedLine, ...], invoice: Invoice, gone: dict[str, int], field: str) -> dict[str, int]:
    """The nets (minor units) by the ids of the lines of an invoice that a message names in `field`.

    `gone` is how much of each line's net is no longer there to be named. Raises `Refused`: `invalid` for a line that
    the invoice does not have or an amount that has not its line's sign, `currency-mismatch`, `over-credited` for more
    than is left.
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
        _check_left(line, asked.net.amount, gone[line.id], f"{at}.taxExcludedAmount")
        nets[line.id] = asked.net.amount
    return nets


def taken_of(invoice: Invoice) -> dict[str, int]:
    """What notes, and lines of bills, took back of each line's net so far (minor units), by the line's id."""
    return {line.line_id: line.gone for line in invoice.corrected.lines}


def _check_left(line: InvoiceLine, net: int, credited: int, field: str) -> None:
    """Check that so much of a line's net is left to credit: a negative line's is taken back towards zero."""
    left = line.tax_excluded_amount - credited
    if (net < 0) != (line.tax_excluded_amount < 0):
        sign = "negative" if line.tax_excluded_amount < 0 else "positive"
        raise Refused("invalid", f"{field}: {net} minor units, but line {line.id} is {sign}: credit it with its sign")
    if abs(net) > abs(left):
        raise Refused(
            "over-credited",
            f"{field}: {net} minor units, but of line {line.id} ({line.tax_excluded_amount}) {left} are left to credit",
        )


@dataclass(frozen=True, slots=True)
class NotePricing:
    """What a note comes to, in minor units: by line and by tax group."""

    taxes: dict[str, int]
    tax_item: tuple[TaxItem, ...]
    net: int
    total: int


def price_note(invoice: Invoice, nets: dict[str, int], what: str = "lines: the note's total") -> NotePricing:
    """Work out what a note comes to that credits these nets (minor units, by line); `what` is how a refusal names it.

    The tax of a group is that of all net taken back to date, less the tax taken back before (EN 16931, BR-CO-17, over
    all notes of the invoice), so the notes of an invoice that is credited in full add up to its tax, with what lines of
    bills took back of it. Raises `Refused` (`over-credited`) for a total below zero, for one beyond what is left of the
    invoice, and when nothing is left.
    """
    gone = taken_of(invoice)
    before = {(group.category, group.rate): group.gone for group in invoice.corrected.tax}
    billed = invoice.billed - invoice.corrected.taken_back
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
    total = net + sum(taxes.values())
    if not nets:
        raise Refused("over-credited", f"billNo: of invoice {invoice.id} nothing is left to credit")
    if total < 0:
        raise Refused("over-credited", f"{what} is {total} minor units, and may not be negative")
    if total > billed:
        raise Refused(
            "over-credited",
            f"{what} is {total} minor units, but {billed} are left of invoice {invoice.id}",
        )
    return NotePricing(taxes, tuple(tax_item), net, total)


def credit(
    invoice: Invoice,
    nets: dict[str, int],
    note_id: str,
    at: datetime,
    reason: str,
    excess: Excess,
    books: Books,
) -> tuple[CreditNote, list[Accrual]]:
    """Credit these nets (minor units, by line) of an invoice by a note with the next number.

    A note covers what is open, then what is written off, latest first, then what is allocated, latest first: that is
    the payments' credit again, or reserved to be given back. Returns the note and what accrues, which is below zero.
    """
    pricing = price_note(invoice, nets)
    seller = books.find(Seller, SELLER)
    before = invoice
    account_id = invoice.billing_account
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
    on = books.date_of(at)
    invoice, accruals = rebook(before, invoice, on, books)
    parts = tuple(PaymentPart(one.payment_id, one.amount) for one in deallocations)
    if excess == "refund":
        _reserve(parts, account_id, books)
    note = CreditNote(
        id=note_id,
        bill_no=next_number(books.credit_notes, books),
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
        buyer_version=find_account(account_id, books).version,
        seller_version=None if seller is None else seller.version,
    )
    books.put(note)
    books.announce(f"credit-note:{note.id}")
    if parts and excess == "credit":
        books.announce(f"credit:{account_id}")
    books.emit(account_id, CreditNoteIssued(note))
    books.emit(account_id, InvoiceCredited(note, invoice))
    return note, accruals


def _with_note(invoice: Invoice, nets: dict[str, int], pricing: NotePricing, recovered: int) -> Corrections:
    """What was taken back of an invoice, with what a note takes, and without what that recovers of its write-offs."""
    so_far = invoice.corrected
    lines = {line.line_id: line for line in so_far.lines}
    for line_id, net in nets.items():
        line = lines.get(line_id, CorrectedLine(line_id))
        lines[line_id] = replace(line, credited=line.credited + net)
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


def complete_closings_of_partners(invoice: Invoice, books: Books) -> None:
    """Close those of an invoice's partners that are to be closed, and of which nothing is open any more."""
    for partner in dict.fromkeys(line.on_behalf_of.id for line in invoice.lines if line.on_behalf_of is not None):
        complete_closing(find_account(partner, books), books)
