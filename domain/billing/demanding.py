"""Demanding: an account's bill is made at once, of all that is due up to a date."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from heapq import merge
from itertools import takewhile
from operator import attrgetter

from domain.accounts.lifecycle import billing_account, complete_closing, settlement_account
from domain.accounts.model import Account, find_account
from domain.accounts.references import PAYER, Link
from domain.accounts.relations import paid_for
from domain.billing.composing import LINES_MAX, Composition, Due, compose
from domain.billing.model import (
    BillDemand,
    BilledCharge,
    BillOnDemand,
    BillOnDemandResult,
    BillOnDemandStateChanged,
    Charge,
)
from domain.corrections.crediting import correction_needs, credit, settle_up
from domain.corrections.model import CreditNote, Dispute
from domain.corrections.taking_back import take_back
from domain.days.model import CALENDAR, Calendar
from domain.errors import Refused
from domain.frozen import replace
from domain.invoicing.model import Billing, Invoice, InvoiceLine, LineOrigin, PartnerShare, Period, find_invoice
from domain.invoicing.pricing import price
from domain.ledger.books import Books, DocumentNeed, Need, NotLoaded, QueueNeed, WorkingSet
from domain.ledger.entries import key_of
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.money import share_of
from domain.ordering.booking import book_invoice
from domain.parties.model import SELLER, Seller
from domain.payments.model import Payment
from domain.settlement.accruals import Accrual, emit_accruals, share_of_line

INVOICES_MAX = 50
"""Of how many invoices one part of a bill takes something back; what is beyond goes on in a further part."""

CHARGES_FIRST = 16
"""How many charges of an account are read at first: a bill is short as a rule, and what is due later is not read."""

TAKEN_BACK = "taken back by a bill"
"""The reason of the credit notes beside a bill."""


def demand_time(demand: BillDemand) -> tuple[str, datetime] | None:
    """The date that it says, if it does: one far ahead would bill what is not due for long."""
    if demand.billing_date is None:
        return None
    return "billingDate", datetime.combine(demand.billing_date, time(), UTC)


def demand_needs(demand: BillDemand, books: WorkingSet) -> Iterator[Need]:
    """What a bill looks at, as far as that can be told from what is loaded so far."""
    account_id = demand.billing_account
    yield DocumentNeed(Account, account_id)
    yield DocumentNeed(Position, account_id)
    yield DocumentNeed(Series, books.series)
    yield DocumentNeed(Series, books.credit_notes)
    yield DocumentNeed(Seller, SELLER)
    yield DocumentNeed(Calendar, CALENDAR)
    yield QueueNeed(Link, f"{PAYER}/{account_id}", None)
    yield QueueNeed(Payment, account_id)
    yield QueueNeed(Charge, account_id, CHARGES_FIRST)
    for charge in books.known(Charge, account_id):
        if charge.item.on_behalf_of is not None:
            yield DocumentNeed(Account, charge.item.on_behalf_of)
            yield DocumentNeed(Position, charge.item.on_behalf_of)
        if charge.corrects is not None:
            yield DocumentNeed(Invoice, charge.corrects.bill_no)


def newest_day(books: Books) -> date:
    """The newest day begun, up to which is billed what says no date; before any is begun, the day it is."""
    calendar = books.find(Calendar, CALENDAR)
    return books.date_of(books.booked_at) if calendar is None else calendar.newest


def demand_bill(demand: BillDemand, books: Books) -> BillOnDemandResult:
    """Bill what is due of an account, and of those that it pays for, up to a date; returns the numbers.

    What takes back more than the bill comes to, or something of another account's invoice, becomes credit notes. Where
    nothing is due, nothing is made. What is more than one bill holds goes on in another transaction; the numbers are
    those of this one.

    Raises `MustWait` (`unknown-account`, `account-suspended`) and `Refused`: `account-closed`, `invalid` for an account
    of another type or an amount beyond the limit, `conflicting-duplicate` when there is a credit note of the id that
    one would have.
    """
    account = billing_account(demand.billing_account, None, books, "billing")
    on = demand.billing_date or newest_day(books)
    at = books.start_of(on)
    charges, seen_to = _due_charges(paid_for(account, at, books), on, demand.after, books)
    bill = compose(account, _dues(charges, books), books)
    part = demand.id if not demand.made else f"{demand.id}/{demand.made}"
    notes_of = {note.invoice.id: f"bill.demand:{part}:{note.invoice.id}" for note in bill.notes}
    if bill.lines or bill.notes:
        books.open_entry(at, account.kept_in)
    invoice, accruals = _issue(account, bill, at, books) if bill.lines else (None, [])
    numbers = _credit(account, bill, notes_of, at, accruals, books)
    _settle_charges(bill, invoice, numbers, books)
    made = BillOnDemand(
        id=part,
        demand_id=demand.id,
        billing_account=account.id,
        billing_date=on,
        state="done" if seen_to is None else "inProgress",
        bill_no=None if invoice is None else invoice.id,
        credit_notes=tuple(numbers.values()),
        booked_at=books.booked_at,
    )
    books.append(made)
    books.count(account.id, "used")
    books.emit(account.id, BillOnDemandStateChanged(made))
    if seen_to is not None:
        books.continue_with(BillDemand(demand.id, account.id, on, demand.made + 1, seen_to))
    for account_id in dict.fromkeys(due.charge.billing_account for due in bill.dues):
        # Nothing is posted to one that another pays for; its last charge may be what kept it open.
        complete_closing(find_account(account_id, books), books)
    return BillOnDemandResult(made.state, made.bill_no, made.credit_notes)


def _due_charges(
    accounts: list[Account], on: date, after: tuple[date, str] | None, books: Books
) -> tuple[list[Charge], tuple[date, str] | None]:
    """The charges of accounts that are due by a date and fit one bill, in order; and up to where, if there are more.

    What may wait for long takes no room from what comes after it: what is negative and corrects nothing is not counted,
    what corrects a line is passed over when an earlier part has looked at it, up to the place `after`.
    """
    books.require(QueueNeed(Charge, account.id, CHARGES_FIRST) for account in accounts)
    queues = (_queue(account, accounts, books) for account in accounts)
    found: list[Charge] = []
    lines = 0
    corrected: set[str] = set()
    for charge in merge(
        *(takewhile(lambda one: one.date <= on, queue) for queue in queues), key=attrgetter("order_key")
    ):
        if charge.corrects is not None:
            if after is not None and charge.order_key <= after:
                continue
            corrected.add(charge.corrects.bill_no)
        if charge.corrects is not None or charge.net >= 0:
            lines += 1
        if lines > LINES_MAX or len(corrected) > INVOICES_MAX:
            last = found[-1].order_key
            return found, last if after is None else max(after, last)
        found.append(charge)
    return found, None


def _queue(account: Account, accounts: list[Account], books: Books) -> Iterator[Charge]:
    """An account's unbilled charges; raises `NotLoaded` where they run out: of all accounts, since each may run out."""
    try:
        yield from books.queue(Charge, account.id)
    except NotLoaded as missing:
        [need] = missing.needs
        assert isinstance(need, QueueNeed)
        assert need.limit is not None
        books.require(QueueNeed(Charge, one.id, max(need.limit, LINES_MAX + 1)) for one in accounts)
        raise


def _dues(charges: list[Charge], books: Books) -> Iterator[Due]:
    """Charges as lines of a bill, with the invoices that they correct."""
    books.require(DocumentNeed(Invoice, one.corrects.bill_no) for one in charges if one.corrects is not None)
    corrected = {
        one.corrects.bill_no: find_invoice(one.corrects.bill_no, books) for one in charges if one.corrects is not None
    }
    books.require(DocumentNeed(Account, invoice.billing_account) for invoice in corrected.values())
    for charge in charges:
        corrects = charge.corrects
        origin = LineOrigin(charge.billing_account, charge.id, charge.subscription_id, None, charge.period, corrects)
        invoice = None if corrects is None else corrected[corrects.bill_no]
        yield Due(replace(charge.item, origin=origin), charge.net, charge, invoice)


def _issue(account: Account, bill: Composition, at: datetime, books: Books) -> tuple[Invoice, list[Accrual]]:
    """Issue the invoice of a bill's lines, numbered in their order; returns it, and what accrues."""
    items = tuple(replace(due.item, id=str(n)) for n, due in enumerate(bill.lines, 1))
    _require_partners(bill.lines, books)
    invoice, accruals = book_invoice(
        account,
        items,
        price(items, account.kept_in),
        [_share(due, books) for due in bill.lines],
        ordered_for=account.id,
        billing=Billing(books.cause, "offCycle", _period(bill.lines, books)),
        currency=account.kept_in,
        at=at,
        released_by=key_of(books.cause),
        books=books,
    )
    take_back(invoice, books)
    return invoice, accruals


def _require_partners(dues: Iterable[Due], books: Books) -> None:
    partners = {due.item.on_behalf_of for due in dues if due.item.on_behalf_of is not None}
    books.require(need for id_ in partners for need in (DocumentNeed(Account, id_), DocumentNeed(Position, id_)))


def _share(due: Due, books: Books) -> PartnerShare | None:
    """A partner's part in a line; what takes back a line takes it back by that line's terms."""
    if due.item.on_behalf_of is None:
        return None
    field = f"charge {due.charge.id}: item.onBehalfOf.id"
    # One that is being closed may still lose what is taken back of it.
    happening = "accrual" if due.corrected is None else "correction"
    partner = settlement_account(due.item.on_behalf_of, due.charge.currency, books, happening, field)
    if due.corrected is None:
        return share_of_line(partner, due.net)
    frozen = due.line.on_behalf_of
    assert frozen is not None, f"{due.charge.id} takes back a line of {due.corrected.id} that nobody has a part in"
    return replace(frozen, share=share_of(due.net, frozen.partner_share), accrued=0)


def _period(dues: Iterable[Due], books: Books) -> Period:
    """The time that lines cover together: what has no period of its own covers the day of its date."""
    periods = [due.charge.period or _day(due.charge.date, books) for due in dues]
    return Period(min(period.start for period in periods), max(period.end for period in periods))


def _day(day: date, books: Books) -> Period:
    after = day + timedelta(days=1) if day < date.max else day
    return Period(books.start_of(day), books.start_of(after))


def _credit(
    account: Account, bill: Composition, ids: dict[str, str], at: datetime, accruals: list[Accrual], books: Books
) -> dict[str, str]:
    """Issue the credit notes beside a bill and let what they make credit cover what is open; tell what all accrues.

    Returns the notes' numbers by the numbers of their invoices.
    """
    numbers: dict[str, str] = {}
    books.require(DocumentNeed(kind, id_) for id_ in ids.values() for kind in (CreditNote, Dispute))
    needs = [need for note in bill.notes for need in correction_needs(note.invoice)]
    # A position may prove that a queue is empty, and a queue has what else would be asked for.
    books.require(need for need in needs if isinstance(need, DocumentNeed))
    books.require(need for need in needs if not isinstance(need, DocumentNeed))
    for note in bill.notes:
        note_id = ids[note.invoice.id]
        if books.find(CreditNote, note_id) is not None or books.find(Dispute, note_id) is not None:
            raise Refused("conflicting-duplicate", f"id: a credit note or dispute {note_id} exists already")
        # The bill may have been paid with what covers this one, not the other way round.
        invoice = find_invoice(note.invoice.id, books)
        issued, less = credit(invoice, note.nets, note_id, at, TAKEN_BACK, "credit", books)
        accruals += less
        numbers[invoice.id] = issued.bill_no
    credited = [find_account(id_, books) for id_ in dict.fromkeys(note.invoice.billing_account for note in bill.notes)]
    if credited:
        settle_up(credited[0], accruals, books, *credited[1:])
    else:
        emit_accruals(accruals, account.currency, books)
    return numbers


def _settle_charges(bill: Composition, invoice: Invoice | None, numbers: dict[str, str], books: Books) -> None:
    """Note at each charge where it is billed, and how much of it."""

    def billed(due: Due, line: InvoiceLine | None, note: str | None) -> None:
        books.put(
            replace(
                due.charge,
                billed=BilledCharge(
                    bill_no=None if line is None or invoice is None else invoice.id,
                    line_id=None if line is None else line.id,
                    credit_note=note,
                    amount=due.net,
                    cause=books.cause,
                    booked_at=books.booked_at,
                ),
            )
        )

    for due, line in zip(bill.lines, () if invoice is None else invoice.lines, strict=True):
        billed(due, line, None)
    for note in bill.notes:
        for due in note.dues:
            billed(due, None, numbers[note.invoice.id])
    for due in bill.nothing_left:
        billed(due, None, None)
