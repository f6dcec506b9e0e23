"""Demanding: an account's bill is made at once, of all that is due up to a date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from itertools import takewhile

from domain.accounts.lifecycle import billing_account, settlement_account
from domain.accounts.model import Account, find_account
from domain.accounts.references import PAYER, Link
from domain.accounts.relations import paid_for
from domain.billing.billed import BilledPeriod, BilledPrice, PricePeriod, billed_price
from domain.billing.composing import Composition, SellersBill, Undone, compose
from domain.billing.differing import BilledLine, CountedMonth, TakenBack
from domain.billing.gathering import Due, Gathered, PeriodDue, Visit, gather, gathering_needs
from domain.billing.model import (
    BillDemand,
    BilledCharge,
    BillOnDemand,
    BillOnDemandResult,
    BillOnDemandStateChanged,
    Charge,
    Place,
    Rest,
)
from domain.billing.rating import Charged
from domain.billing.subscriptions import Subscription
from domain.billing.usage import days_of
from domain.corrections.crediting import correction_needs, credit, settle_up
from domain.corrections.model import CreditNote, Dispute
from domain.corrections.taking_back import take_back
from domain.days.model import CALENDAR, Calendar, newest_day
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.invoicing.model import (
    Billing,
    Invoice,
    PartnerShare,
    Period,
    RunType,
    find_invoice,
)
from domain.invoicing.pricing import Item, price_with_nets
from domain.invoicing.sellers import note_series, series_of_number
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.entries import key_of
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.money import AMOUNT_MAX, Currency, within_limit
from domain.ordering.booking import ToInvoice, book_invoices
from domain.parties.model import SELLER, Seller
from domain.payments.model import Payment
from domain.settlement.accruals import Accrual, emit_accruals, share_of_line, share_taken_back, terms_of_day
from domain.settlement.backdating import leave_correction
from domain.settlement.tiers import require_tiers, tiers_of

TAKEN_BACK = "taken back by a bill"
"""The reason of the credit notes beside a bill."""


def demand_time(demand: BillDemand) -> tuple[str, datetime] | None:
    """The date that it says, if it does: one far ahead would bill what is not due for long."""
    if demand.billing_date is None:
        return None
    return "billingDate", datetime.combine(demand.billing_date, time(), UTC)


def demand_needs(demand: BillDemand, books: WorkingSet) -> list[Need]:
    """What a demand looks at, as far as that can be told from what is loaded so far."""
    on = demand.billing_date
    if on is not None:
        return bill_needs(demand.billing_account, on, books)
    calendar = books.peek(Calendar, CALENDAR)
    on = books.date_of(books.booked_at) if calendar is None else calendar.newest
    return [DocumentNeed(Calendar, CALENDAR), *bill_needs(demand.billing_account, on, books)]


def bill_needs(account_id: str, on: date, books: WorkingSet, charges_through: date | None = None) -> list[Need]:
    """What an account's bill of a date looks at, as far as that can be told from what is loaded so far.

    Of its charges those that are dated up to another date, if one is said.
    """
    return [
        DocumentNeed(Account, account_id),
        DocumentNeed(Position, account_id),
        DocumentNeed(Series, books.series),
        DocumentNeed(Series, books.credit_notes),
        DocumentNeed(Seller, SELLER),
        QueueNeed(Link, f"{PAYER}/{account_id}", None),
        QueueNeed(Payment, account_id),
        *gathering_needs(account_id, on, books, charges_through),
    ]


def demand_bill(demand: BillDemand, books: Books) -> BillOnDemandResult:
    """Bill what is due of an account, and of those that it pays for, up to a date; returns the numbers.

    What is more than one bill holds goes on in another transaction; the numbers are those of this one. Raises what
    `make_bill` raises, and `MustWait` (`unknown-account`, `account-suspended`), `Refused` (`account-closed`, `invalid`
    for an account of another type).
    """
    account = billing_account(demand.billing_account, None, books, "billing")
    on = demand.billing_date or newest_day(books)
    part = demand.id if not demand.made else f"{demand.id}/{demand.made}"
    bill = make_bill(account, ToBill(f"bill.demand:{part}", "offCycle", on), demand.after, books)
    made = BillOnDemand(
        id=part,
        demand_id=demand.id,
        billing_account=account.id,
        billing_date=on,
        state="done" if bill.rest is None else "inProgress",
        bill_no=bill.invoices[0].id if len(bill.invoices) == 1 else None,
        credit_notes=bill.credit_notes,
        booked_at=books.booked_at,
        bill_nos=tuple(invoice.id for invoice in bill.invoices) if len(bill.invoices) > 1 else None,
    )
    books.append(made)
    books.count(account.id, "used")
    books.emit(account.id, BillOnDemandStateChanged(made))
    if bill.rest is not None:
        books.continue_with(BillDemand(demand.id, account.id, on, demand.made + 1, bill.rest))
    return BillOnDemandResult(made.state, made.numbers, made.credit_notes)


@dataclass(frozen=True, slots=True)
class ToBill:
    """What a bill is to be: `identity` begins the ids of the credit notes beside it, `on` is its billing date.

    Charges are on it that are dated up to `charges_through`, unless that is None: up to `on`. It is due on `due`, or
    on its own date if that is later; None: the account's term after it.
    """

    identity: str
    run_type: RunType
    on: date
    charges_through: date | None = None
    due: date | None = None
    bill_run: str | None = None


@dataclass(frozen=True, slots=True)
class MadeBill:
    """The sellers' invoices as they were issued; the notes' numbers; what is left to a further part, if any."""

    invoices: tuple[Invoice, ...]
    credit_notes: tuple[str, ...]
    rest: Rest | None


def make_bill(account: Account, to: ToBill, after: Rest, books: Books) -> MadeBill:
    """Make an account's bill of what is due, of it and of those that it pays for, behind what earlier parts looked at.

    Each seller has an invoice of its own. What takes back more than that comes to, or something of another account's
    invoice, becomes credit notes. Where nothing is due, nothing is made.

    Raises `MustWait` (`account-suspended`) and `Refused` (`account-closed`) for a partner's account, and `Refused`:
    `invalid` for an amount beyond the limit, `conflicting-duplicate` when there is a credit note of the id that one
    would have.
    """
    at = books.start_of(to.on)
    gathered = gather(paid_for(account, at, books), to.on, after, books, to.charges_through)
    dues = gathered.dues
    _require_partners(dues, to.on, books)
    bill = compose(account, dues, to.on, books)
    notes_of = {note.invoice.id: f"{to.identity}:{note.invoice.id}" for note in bill.notes}
    if bill.bills or bill.notes:
        books.open_entry(at, account.kept_in)
    invoices, accruals = _issue(account, bill, to, at, books) if bill.bills else ([], [])
    numbers = _credit(account, bill, notes_of, at, accruals, books)
    _note_billed(gathered, bill, to.on, invoices, numbers, books)
    charged = {due.origin.account for due in gathered.charges}
    _move_on(gathered, charged, books)
    for other in charged.union(visit.subscription.billing_account for visit in gathered.visits):
        # One that another pays for: what is charged to it meanwhile is billed later, and its last may be billed now.
        books.touch(other)
    return MadeBill(tuple(invoices), tuple(numbers.values()), gathered.rest)


def _issue(
    account: Account, bill: Composition, to: ToBill, at: datetime, books: Books
) -> tuple[list[Invoice], list[Accrual]]:
    """Issue the invoices of a bill's lines, numbered in their order; returns them, and what accrues."""
    currency = account.kept_in
    _check_amounts(bill.lines, currency)
    invoices, accruals = book_invoices(
        account,
        [_to_invoice(currency, one, to, books) for one in bill.bills],
        ordered_for=account.id,
        due=to.due,
        currency=currency,
        at=at,
        released_by=key_of(books.cause),
        books=books,
    )
    for invoice in invoices:
        take_back(invoice, books)
        leave_correction(invoice, books)
    return invoices, accruals


def _to_invoice(currency: Currency, bill: SellersBill, to: ToBill, books: Books) -> ToInvoice:
    on = to.on
    items = [_numbered(due, n) for n, due in enumerate(bill.lines, 1)]
    pricing = price_with_nets(items, [due.net for due in bill.lines], currency, bill.seller)
    shares = [_share(due, tax, currency.code, on, books) for due, tax in zip(bill.lines, pricing.taxes, strict=True)]
    billing = Billing(books.cause, to.run_type, _period(bill.lines, books), to.bill_run)
    return ToInvoice(items, pricing, shares, bill.seller, _series(bill, on, books), billing)


def _numbered(due: Due, number: int) -> Item:
    """The item of what is due as the line of this number."""
    item = due.item
    return Item(
        str(number),
        item.description,
        item.quantity,
        item.unit_price,
        item.category,
        item.rate,
        item.on_behalf_of,
        due.origin,
    )


def _series(bill: SellersBill, on: date, books: Books) -> str:
    """The series of a seller's invoice: that of the date; where nothing is agreed then, that of what it takes back."""
    if bill.seller is None:
        return books.series
    terms = terms_of_day(find_account(bill.seller, books), on, books).terms.agent
    if terms is not None:
        return terms.series_of(bill.seller)
    return series_of_number(next(due.corrected.id for due in bill.lines if due.corrected is not None))


def _check_amounts(dues: Iterable[Due], currency: Currency) -> None:
    """Check that each line is within the limit: what is beyond it is told by its charge, or its price and period."""
    for due in dues:
        if abs(due.net) <= AMOUNT_MAX:
            continue
        if isinstance(due.of, PeriodDue):
            days = due.of.period
            within_limit(due.net, currency, "{}: the net of {} to {}", due.field, days.start, days.end)
        else:
            within_limit(due.net, currency, "{}: the net", due.field)


def _require_partners(dues: Sequence[Due], day: date, books: Books) -> None:
    partners = {due.item.on_behalf_of for due in dues if due.item.on_behalf_of is not None}
    if not partners:
        return
    books.require(need for id_ in partners for need in (DocumentNeed(Account, id_), DocumentNeed(Position, id_)))
    require_tiers(partners, day, books)
    if corrected := [due.corrected for due in dues if due.corrected is not None]:
        books.require(need for invoice in corrected for need in tiers_of(invoice))


def _share(due: Due, tax: int, currency: str, day: date, books: Books) -> PartnerShare | None:
    """A partner's part in a line; what takes back a line takes it back by that line's terms."""
    if due.item.on_behalf_of is None:
        return None
    field = f"{due.field}.onBehalfOf.id"
    # One that is being closed may still lose what is taken back of it.
    happening = "accrual" if due.corrected is None else "correction"
    partner = settlement_account(due.item.on_behalf_of, currency, books, happening, field)
    if due.corrected is None:
        return share_of_line(terms_of_day(partner, day, books), due.net, tax, books)
    return share_taken_back(due.line, due.net, tax, books)


def _period(dues: Iterable[Due], books: Books) -> Period:
    """The time that lines of a bill cover together: what has no period of its own covers the day of its date."""
    days: set[date] = set()
    periods: list[Period] = []
    for due in dues:
        if due.origin.period is None:
            days.add(due.of.date)
        else:
            periods.append(due.origin.period)
    periods += [_day(day, books) for day in days]
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
    if not bill.notes:
        emit_accruals(accruals, account.currency, books)
        return {}
    numbers: dict[str, str] = {}
    books.require(DocumentNeed(kind, id_) for id_ in ids.values() for kind in (CreditNote, Dispute))
    books.require(DocumentNeed(Series, note_series(note.invoice, books)) for note in bill.notes)
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
    settle_up(credited[0], accruals, books, *credited[1:])
    return numbers


_Billed = tuple[Due, str | None, str | None, str | None]
"""What was due, and the bill and its line that have it, or the credit note; none of them where nothing was left."""


def _note_billed(
    gathered: Gathered, bill: Composition, on: date, invoices: list[Invoice], numbers: dict[str, str], books: Books
) -> None:
    """Note at each charge and each subscription's period where it is billed, and how much of it."""
    billed: list[_Billed] = []
    for made, invoice in zip(bill.bills, invoices, strict=True):
        billed += [(due, invoice.id, line.id, None) for due, line in zip(made.lines, invoice.lines, strict=True)]
    billed += [(due, None, None, numbers[note.invoice.id]) for note in bill.notes for due in note.dues]
    billed += [(due, None, None, None) for due in bill.nothing_left]
    of_periods: dict[str, list[_Billed]] = defaultdict(list)
    done: set[Place] = set()
    for one in billed:
        due, bill_no, line_id, note = one
        of = due.of
        if isinstance(of, PeriodDue):
            of_periods[of.id].append(one)
            done.add(of.order_key)
        else:
            by = BilledCharge(bill_no, line_id, note, due.net, books.cause, books.booked_at)
            books.put(replace(of, billed=by, behind=False))
    for visit in gathered.visits:
        noted: dict[str, tuple[BilledPeriod, list[BilledPrice]]] = {}
        for id_, (part, charged) in visit.charged.items():
            now = _noted(part, charged, of_periods[id_], visit.counts(part, books))
            if now is not None:
                noted.setdefault(part.of.id, (part.of, []))[1].append(now)
        for period, prices in noted.values():
            books.put(period.with_prices(prices))
        books.put(_looked_at(visit, on, done))
    if undo := [one for credit_note in bill.notes for one in credit_note.undone]:
        _note_all_undone(undo, numbers, books)


def _move_on(gathered: Gathered, charged: AbstractSet[str], books: Books) -> None:
    """Note through which date charges of accounts are billed now, and which of them were left behind that."""
    through = gathered.through
    if through is None:
        return
    for account_id in charged:
        position = books.position(account_id)
        if position.charges_through is None or position.charges_through < through:
            books.put(replace(position, charges_through=through))
    left = [due.of for due in gathered.charges if isinstance(due.of, Charge) and books.current(due.of).is_open]
    for charge in (*left, *gathered.passed):
        if charge.billing_account in charged and charge.date <= through and not charge.behind:
            books.put(replace(charge, behind=True))


def _note_all_undone(undo: Sequence[Undone], numbers: dict[str, str], books: Books) -> None:
    """Note what the credit notes beside a bill undo, by their numbers by those of their invoices."""
    origins = [one.line.origin for one in undo if one.line.origin is not None]
    books.require(QueueNeed(BilledPeriod, one.subscription_id) for one in origins if one.subscription_id is not None)
    for undone in undo:
        _note_undone(undone, numbers[undone.bill_no], numbers[undone.corrects.bill_no], books)


def _note_undone(undone: Undone, by: str, instead: str, books: Books) -> None:
    """Note that a credit note undoes what a line took back, and that another one takes it instead, by their numbers."""
    origin = undone.line.origin
    assert origin is not None
    assert origin.subscription_id is not None
    assert origin.period is not None
    first = books.date_of(origin.period.start)
    periods = takewhile(lambda one: one.period.end > first, books.queue(BilledPeriod, origin.subscription_id))
    for period in map(books.current, periods):
        for price, n, line in ((one, n, line) for one in period.prices for n, line in enumerate(one.lines)):
            if any((taken.bill_no, taken.line_id) == (undone.bill_no, undone.line.id) for taken in line.taken):
                again = TakenBack(undone.bill_no, undone.line.id, by, undone.net, undone.net)
                taken = (*line.taken, again, TakenBack(None, None, instead, -undone.net, -undone.net))
                lines = (*price.lines[:n], replace(line, taken=taken), *price.lines[n + 1 :])
                charged = price.charged_in(period.period)
                books.put(period.with_prices([BilledPrice(price.price_id, lines, charged)]))
                return
    raise AssertionError(f"line {undone.line.id} of {undone.bill_no} takes back something of no period")


def _noted(
    one: PricePeriod, charged: tuple[Charged, ...], billed: Iterable[_Billed], counts: Mapping[str, int]
) -> BilledPrice | None:
    """What is billed of a period of a price now, and where; None where that is as it was, or nothing ever was billed.

    Of usage, `counts` says how many records each month has.
    """
    before, period = one.billed, one.of.period
    lines = list(before.lines)
    for due, bill_no, line_id, note in billed:
        assert isinstance(due.of, PeriodDue)
        difference = due.of.difference
        # What is taken back at a rate that nothing is charged at any more is the line's, with all that it counted.
        now = next((at for at in charged if at.rate == difference.rate), None) if counts else None
        counted = () if now is None else _counted(one, now, counts, is_new=difference.corrects is None)
        if difference.corrects is None:
            assert bill_no is not None, f"{due.of.id} is billed, and on no bill"
            assert line_id is not None, f"{due.of.id} is billed, and on no line"
            rate, quantity, net = difference.rate, difference.quantity, difference.net
            lines.append(BilledLine(bill_no, line_id, rate, quantity, net, (), counted))
        else:
            at = (difference.corrects.bill_no, difference.corrects.line_id)
            n = next(n for n, line in enumerate(lines) if (line.bill_no, line.line_id) == at)
            taken = TakenBack(bill_no, line_id, note, difference.net, due.net, counted)
            lines[n] = replace(lines[n], taken=(*lines[n].taken, taken))
    if not lines:
        return None
    noted = billed_price(before.price_id, tuple(lines), charged, period)
    return None if before.lines and noted == before else noted


def _counted(part: PricePeriod, now: Charged, counts: Mapping[str, int], *, is_new: bool) -> tuple[CountedMonth, ...]:
    """Which records make a difference at a rate: those that came since it was billed before, and those of other days.

    What takes back has those of days that are not at this rate any more, too. Where the line `is_new`, and what it
    covers says on which days they are, it is not said again.
    """
    so_far: dict[str, int] = {}
    for line in part.billed.lines:
        if line.rate == now.rate and line.left:
            for one in (*line.counted, *(one for taken in line.taken for one in taken.counted)):
                so_far[one.month] = max(so_far.get(one.month, 0), one.count)
    on = now.at_this_rate
    charged = part.billed.charged_in(part.of.period)
    before = next((one.at_this_rate for one in charged if one.rate == now.rate), on)
    found: list[CountedMonth] = []
    for month, count in counts.items():
        of_month, after = days_of(month), so_far.get(month, 0)
        days = [common for one in on if (common := one.overlap(of_month)) is not None]
        other = [part for one in days for part in one.without(before)] if after else []
        same = [part for one in days for part in one.without(other)]
        gone = [part for one in before if (common := one.overlap(of_month)) is not None for part in common.without(on)]
        if gone and after and not is_new:
            found.append(CountedMonth(month, 0, after, tuple(gone)))
        if other:
            found.append(CountedMonth(month, 0, count, tuple(other)))
        if same and count > after:
            is_said = is_new and now.used_on is None and not other
            found.append(CountedMonth(month, after, count, None if is_said else tuple(same)))
    return tuple(found)


def _looked_at(visit: Visit, on: date, billed: set[Place]) -> Subscription:
    """A subscription after a bill has looked at it: what had to wait, or is left to a further part, is looked at again.

    Where nothing is, something is due again when it falls due after the bill's date.
    """
    waits = [of.period.start for of in visit.of_periods if of.order_key not in billed]
    again = [*waits, *(day for day in (visit.rest, visit.waits) if day is not None)]
    subscription, next_due = visit.subscription, visit.rating.next_due(on)
    if not again:
        return replace(subscription, recheck_from=None, next_due=next_due)
    if next_due is not None:
        # What waits may be of later periods, of which bills up to later dates had something. What falls due until then
        # is not billed yet; a period may be due on the day after its last.
        again.append(next_due - timedelta(days=1))
    return replace(subscription, recheck_from=min(again), next_due=subscription.start_date)
