"""What must hold of any books, whatever came in: the design's invariants, checked from the documents alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

from domain.accounts.model import (
    Account,
    AccountChanged,
    AccountCreated,
    AccountStateChanged,
    AccountVersion,
    AgentTerms,
    CreditLimitExceeded,
    SettlementTerms,
)
from domain.accounts.specifications import (
    SPECIFICATIONS,
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
)
from domain.billing.billed import BilledPeriod
from domain.billing.model import BillOnDemand, Charge
from domain.billing.rating import Rate, Rating, Schedule
from domain.billing.runs import BillRun, RunTotal
from domain.billing.subscriptions import Subscription, SubscriptionTurn
from domain.billing.usage import UsageMonth, UsageRecord, UsageToRecord
from domain.corrections.model import CreditNote, Dispute, Goodwill, Refund, Reversal, Transfer, WriteOff
from domain.days.model import Calendar
from domain.dunning.model import Dunning, DunningStep, DunningStepTaken, Suspension
from domain.invoicing.model import AgentShare, Billing, CorrectsLine, Invoice, InvoiceLine, InvoiceOverdue, Loss
from domain.ledger.entries import Entry
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.parties.model import SELLER, Seller
from domain.payments.model import Allocation, Payment, Recovery
from domain.periods import DateRange
from domain.settlement.accruals import Accrual
from domain.settlement.agreements import Agreement
from domain.settlement.backdating import ShareCorrection
from domain.settlement.comparing import StatementReport
from domain.settlement.documents import SettlementDocument
from domain.settlement.payouts import Payout
from domain.settlement.statements import Settlement
from tests.support.ledger_book import LedgerBook, event_type, ledger_name, moment
from tests.support.partners import STEP_ENTRIES, assert_agreed, entries_of_steps, tiered_share_left
from tests.support.reports import reports_hold
from tests.support.statement_documents import assert_documents

BALANCES = {"receivable": 1, "unapplied": -1, "refundable": -1, "recoverable": 1, "payable": -1, "withheld": -1}
BALANCES |= {"reserve": -1, "advance": 1}
"""The ledger accounts that an account has, and the sign of a debit in its position."""


def assert_books_hold(book: LedgerBook, *, lines_max: int = 5_000) -> None:
    """Every invariant that concerns the books; `lines_max` is the most lines that a statement may have."""
    _entries_sum_to_zero(book)
    _positions_are_the_sums_of_their_postings(book)
    _invoices_add_up(book)
    _payments_and_invoices_agree_on_allocations(book)
    _partners_get_what_is_theirs(book)
    _lines_go_by_what_was_agreed(book)
    _what_is_ours_is_of_what_we_sold(book)
    assert_agreed(book)
    _statements_add_up(book, lines_max)
    reports_hold(book)
    _entries_match_applied_facts(book)
    _events_run_without_a_gap(book)
    assert_documents(book)
    _each_series_is_its_sellers(book)
    _nothing_points_to_what_is_not_there(book)
    _the_oldest_due_date_is_known(book)
    _what_is_closed_has_nothing_open(book)
    _what_is_deleted_was_never_used(book)
    _versions_tell_the_whole_story(book)
    _invoices_name_their_parties(book)
    _charges_are_billed_once(book)
    _bills_are_what_was_due(book)
    _runs_count_what_they_billed(book)
    _what_bills_took_back_is_known(book)
    _subscriptions_are_billed(book)
    _subscriptions_are_what_was_agreed(book)
    _usage_is_counted_once(book)
    _dunning_follows_what_is_owed(book)
    _links_are_what_documents_say(book)
    _hierarchies_are_trees(book)
    _crossings_are_told_once(book)


def half_away(value: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    whole = int(abs(value) + Fraction(1, 2))
    return whole if value >= 0 else -whole


def _entries_sum_to_zero(book: LedgerBook) -> None:
    for entry in book.rows[Entry].values():
        sums: Counter[str] = Counter()
        for posting in entry.postings:
            sums[posting.currency] += posting.amount
            assert posting.amount != 0, (entry.id, "posts nothing", posting)
        assert not any(sums.values()), (entry.id, "does not sum to zero", sums)


def _crossings_are_told_once(book: LedgerBook) -> None:
    """Where the limit was never another: each entry that takes what is owed over it is told, and no other."""
    limits: dict[str, set[int | None]] = defaultdict(set)
    for version in book.rows[AccountVersion].values():
        limits[version.account.id].add(version.account.credit_limit)
    for account, said in limits.items():
        [limit, *others] = said
        if limit is None or others:
            continue
        names = {f"{balance}:{account}" for balance in ("receivable", "recoverable", "unapplied")}
        owed, crossings = 0, []
        for entry in book.rows[Entry].values():
            before, owed = owed, owed + sum(p.amount for p in entry.postings if p.account in names)
            if before <= limit < owed:
                crossings.append(owed)
        told = [fact.balance for fact in book.facts_of(account) if isinstance(fact, CreditLimitExceeded)]
        assert told == crossings, (account, "is told to owe", told, "and crosses with", crossings)


def _positions_are_the_sums_of_their_postings(book: LedgerBook) -> None:
    for position in book.documents[Position].values():
        assert 0 <= (position.undoing or 0) <= position.recoverable, position
    sums: Counter[tuple[str, str]] = Counter()
    movements: dict[str, list[int]] = defaultdict(list)
    for entry in book.rows[Entry].values():
        numbers: dict[str, set[Any]] = defaultdict(set)
        for posting in entry.postings:
            balance, _, owner = posting.account.partition(":")
            if not owner:
                assert posting.movement is None, (entry.id, posting)
                continue
            sums[owner, balance] += posting.amount
            numbers[owner].add(posting.movement)
            assert posting.currency == book.get(Account, owner).currency
        for owner, found in numbers.items():
            assert len(found) == 1, (entry.id, "numbers one account's postings differently", found)
            movements[owner] += found
    assert book.documents[Position].keys() == book.documents[Account].keys()
    for position in book.documents[Position].values():
        for balance, sign in BALANCES.items():
            expected = sign * sums[position.id, balance]
            assert position.balance(balance) == expected, (position.id, balance, expected)
        assert sorted(movements[position.id]) == list(range(1, position.movements + 1)), position.id


def _invoices_add_up(book: LedgerBook) -> None:
    allocated: Counter[str] = Counter()
    for allocation in book.rows[Allocation].values():
        allocated[allocation.bill_no] += allocation.amount
    for invoice in book.documents[Invoice].values():
        net = sum(line.tax_excluded_amount for line in invoice.lines)
        tax = sum(line.tax_amount for line in invoice.lines)
        assert (invoice.tax_excluded_amount, invoice.tax_included_amount) == (net, net + tax), invoice.id
        assert sum(item.tax_amount for item in invoice.tax_item) == tax, invoice.id
        _tax_groups_add_up(invoice)
        entry = book.rows[Entry][invoice.cause]
        account = invoice.billing_account
        debited = sum(p.amount for p in entry.postings if p.account == f"receivable:{account}" and p.amount > 0)
        # What credit notes beside a bill undo of allocations is debited with it.
        beside = (one for one in book.documents[CreditNote].values() if one.cause == invoice.cause)
        debited -= sum(part.amount for one in beside if one.billing_account == account for part in one.deallocated)
        # All sellers' invoices of one fact are in one entry.
        of_fact = [one for one in book.documents[Invoice].values() if one.cause == invoice.cause]
        assert debited == sum(one.tax_included_amount for one in of_fact), (invoice.id, "receivable", debited)
        notes = [note for note in book.documents[CreditNote].values() if note.corrected_bill_no == invoice.id]
        credited = sum(note.tax_included_amount for note in notes)
        assert credited == invoice.corrected.credited, (invoice.id, "credited", credited)
        _notes_follow_their_invoice(invoice, notes)
        written_off = _what_is_lost(book, invoice, notes)
        remaining = invoice.tax_included_amount - credited - written_off - allocated[invoice.id]
        assert invoice.remaining_amount == remaining, (invoice.id, "remaining", remaining)
        assert 0 <= remaining <= invoice.tax_included_amount, invoice.id
        handled = invoice.handled
        said = "sent" if handled.sent_at else "validated" if handled.validated_at else "new"
        state = "settled" if remaining == 0 else "partiallyPaid" if allocated[invoice.id] else said
        mine = [one for one in book.documents[Dispute].values() if one.bill_no == invoice.id]
        disputes = [one for one in mine if one.state == "open"]
        assert [(one.id, one.amount) for one in disputes] == [(p.dispute_id, p.amount) for p in handled.disputes]
        _disputed_is_one_figure(invoice, disputes)
        assert invoice.state == ("onHold" if disputes else state), (invoice.id, state)


def _disputed_is_one_figure(invoice: Invoice, disputes: list[Dispute]) -> None:
    """What is disputed of an invoice is what one credit note of all that is disputed and left would come to."""
    disputed = sum(one.amount for one in disputes)
    assert 0 <= invoice.undisputed <= invoice.remaining_amount, invoice.id
    lines = [line for one in disputes for line in one.lines]
    if any(line.counted is None for line in lines):
        return  # An earlier version has worked it out, one by one.
    gone_of = {line.line_id: line.credited + (line.taken_back or 0) for line in invoice.corrected.lines}
    gone_tax = {(one.category, one.rate): one.credited + (one.taken_back or 0) for one in invoice.corrected.tax}
    priced = 0
    for item in invoice.tax_item:
        was = now = touched = 0
        for line in invoice.lines:
            if (line.category, line.rate) == (item.category, item.rate):
                gone = gone_of.get(line.id, 0)
                left = abs(line.tax_excluded_amount - gone)
                asked = sum(abs(one.tax_excluded_amount) for one in lines if one.line_id == line.id)
                sign = -1 if line.tax_excluded_amount < 0 else 1
                counted = sum(one.counted or 0 for one in lines if one.line_id == line.id)
                assert counted == sign * min(asked, left), (invoice.id, line.id, "counted", counted)
                touched += counted != 0
                was, now = was + gone, now + gone + counted
        if touched:
            tax = half_away(Fraction(now) * Fraction(item.rate)) - gone_tax.get((item.category, item.rate), 0)
            priced += now - was + tax
    left = invoice.tax_included_amount - invoice.corrected.credited - max(0, invoice.corrected.taken_back)
    assert disputed == max(0, min(priced, left)), (invoice.id, "disputed", disputed, priced)


def _what_is_lost(book: LedgerBook, invoice: Invoice, notes: list[CreditNote]) -> int:
    """What is written off of an invoice and not recovered, which its write-offs, losses and entries all say."""
    rows = {row.id: row for row in book.rows[WriteOff].values() if row.bill_no == invoice.id}
    losses = [row for row in book.rows[Loss].values() if row.bill_no == invoice.id]
    stands = invoice.corrected.write_offs
    written_off = sum(one.amount for one in stands)
    for one in stands:
        assert 0 < one.amount <= rows[one.write_off_id].amount, (invoice.id, one)
        assert one.tax_relief == rows[one.write_off_id].tax_relief, (invoice.id, one)
    assert written_off == sum(row.written_off for row in losses), (invoice.id, "written off")
    relief = sum(one.amount for one in stands if one.tax_relief)
    billed = invoice.tax_included_amount - invoice.corrected.credited
    credited = {(group.category, group.rate): group.credited for group in invoice.corrected.tax}
    relieved = {(group.category, group.rate): group.relieved for group in invoice.corrected.tax}
    for item in invoice.tax_item:
        group = (item.category, item.rate)
        left = item.tax_amount - credited.get(group, 0)
        due = half_away(Fraction(left * relief, billed)) if billed and invoice.seller is None else 0
        assert relieved.get(group, 0) == due, (invoice.id, group, "relieved", due)
    assert sum(relieved.values()) == sum(row.relieved for row in losses), (invoice.id, "relieved")
    given_up = sum(line.given_up for line in invoice.corrected.lines)
    assert given_up == sum(row.given_up for row in losses), (invoice.id, "given up")
    recovered = sum(row.written_off for row in losses if row.written_off < 0)
    of_notes = sum(note.recovered for note in notes)
    assert sum(row.amount for row in rows.values()) + recovered == written_off, (invoice.id, "recovered")
    assert of_notes <= -recovered, (invoice.id, "recovered by notes")
    return written_off


def _tax_groups_add_up(invoice: Invoice) -> None:
    groups = {(item.category, Fraction(item.rate)): item for item in invoice.tax_item}
    assert len(groups) == len(invoice.tax_item), (invoice.id, "one group stands twice")
    assert set(groups) == {(line.category, Fraction(line.rate)) for line in invoice.lines}
    for (category, rate), item in groups.items():
        lines = [line for line in invoice.lines if (line.category, Fraction(line.rate)) == (category, rate)]
        net = sum(line.tax_excluded_amount for line in lines)
        assert (item.tax_excluded_amount, item.tax_amount) == (net, half_away(net * rate)), (invoice.id, category, rate)
        assert sum(line.tax_amount for line in lines) == item.tax_amount, (invoice.id, category, rate)
        for line in lines:
            assert abs(line.tax_amount - line.tax_excluded_amount * rate) < 1, (invoice.id, line.id)


def _notes_follow_their_invoice(invoice: Invoice, notes: list[CreditNote]) -> None:
    lines = {line.id: line for line in invoice.lines}
    net: Counter[str] = Counter()
    tax: Counter[tuple[str, Fraction]] = Counter()
    for note in notes:
        assert note.tax_included_amount >= 0, note
        assert note.tax_excluded_amount == sum(line.tax_excluded_amount for line in note.lines), note
        assert sum(line.tax_amount for line in note.lines) == sum(item.tax_amount for item in note.tax_item), note
        assert note.tax_included_amount == note.tax_excluded_amount + sum(i.tax_amount for i in note.tax_item), note
        undone = sum(part.amount for part in note.deallocated)
        assert note.tax_included_amount == note.covered + note.recovered + undone, note
        for line in note.lines:
            net[line.line_id] += line.tax_excluded_amount
        for item in note.tax_item:
            tax[item.category, Fraction(item.rate)] += item.tax_amount
    assert {line.line_id: line.credited for line in invoice.corrected.lines if line.credited} == +net | {
        line_id: amount for line_id, amount in net.items() if amount < 0
    }, invoice.id
    of_group: Counter[tuple[str, Fraction]] = Counter()
    for line_id, credited in net.items():
        billed = lines[line_id]
        assert abs(credited) <= abs(billed.tax_excluded_amount), (invoice.id, line_id, credited)
        assert not credited or (credited < 0) == (billed.tax_excluded_amount < 0), (invoice.id, line_id, credited)
        of_group[billed.category, Fraction(billed.rate)] += credited
    by_bills = {(one.category, Fraction(one.rate)) for one in invoice.corrected.tax if one.taken_back is not None}
    for group, credited in of_group.items():
        if group not in by_bills:
            assert tax[group] == half_away(credited * group[1]), (invoice.id, group, "tax credited")
    if all(net[line.id] == line.tax_excluded_amount for line in invoice.lines):
        assert sum(note.tax_included_amount for note in notes) == invoice.tax_included_amount, invoice.id


def _payments_and_invoices_agree_on_allocations(book: LedgerBook) -> None:
    of_payment: dict[str, int] = defaultdict(int)
    of_pair: Counter[tuple[str, str]] = Counter()
    for allocation in book.rows[Allocation].values():
        assert allocation.amount != 0, allocation
        assert allocation.cause in book.applied, allocation
        invoice = book.get(Invoice, allocation.bill_no)
        paid = book.get(Payment, allocation.payment_id)
        assert allocation.billing_account == invoice.billing_account == paid.billing_account
        of_payment[allocation.payment_id] += allocation.amount
        of_pair[allocation.bill_no, allocation.payment_id] += allocation.amount
    applied: Counter[tuple[str, str]] = Counter()
    for bill in book.documents[Invoice].values():
        for part in bill.applied_payment:
            assert part.amount > 0, (bill.id, part)
            applied[bill.id, part.payment_id] += part.amount
    assert applied == +of_pair
    assert min(of_pair.values(), default=0) >= 0, "more is undone than was allocated"
    reserved: Counter[str] = Counter()
    refundable: Counter[str] = Counter()
    for note in book.documents[CreditNote].values():
        refundable[note.billing_account] += note.refundable
        for part_ in note.reserved:
            reserved[part_.payment_id] += part_.amount
    gone, owed_back = _what_went_back(book)
    credit: Counter[str] = Counter()
    goodwill = {f"credit~{one.id}": (one.billing_account, one.amount) for one in book.rows[Goodwill].values()}
    _transfers_are_credit_elsewhere(book)
    granted = (one for one in book.documents[Payment].values() if one.source == "goodwill")
    assert {one.id: (one.billing_account, one.amount) for one in granted} == goodwill
    for paid in book.documents[Payment].values():
        assert 0 <= paid.unapplied == paid.amount - of_payment[paid.id] - reserved[paid.id] - gone[paid.id], paid
        credit[paid.billing_account] += paid.unapplied
    open_: Counter[str] = Counter()
    due: Counter[str] = Counter()
    for invoice in book.documents[Invoice].values():
        open_[invoice.billing_account] += invoice.remaining_amount
        due[invoice.billing_account] += _undisputed(invoice)
    for position in book.documents[Position].values():
        assert (position.receivable, position.unapplied) == (open_[position.id], credit[position.id]), position.id
        assert position.refundable == refundable[position.id], position.id
        assert position.recoverable == owed_back[position.id], position.id
        assert not (position.recoverable and position.unapplied), (position.id, "has credit, and owes what it got")
        assert not (due[position.id] and credit[position.id]), (position.id, "has credit beside an open invoice")


def _undisputed(invoice: Invoice) -> int:
    disputed = sum(one.amount for one in invoice.handled.disputes)
    return max(0, invoice.remaining_amount - disputed)


def _transfers_are_credit_elsewhere(book: LedgerBook) -> None:
    """What each transfer took of a payment is credit of the other account, and the payment says so."""
    made: dict[str, tuple[str, str, str, int]] = {}
    for transfer in book.rows[Transfer].values():
        assert transfer.from_account != transfer.to_account, transfer
        assert transfer.amount == sum(part.amount for part in transfer.taken), transfer
        for n, part in enumerate(transfer.taken, 1):
            ends = (transfer.from_account, transfer.to_account)
            made[f"transfer~{transfer.id}~{n}"] = (part.payment_id, *ends, part.amount)
    credits_ = {one.id: one for one in book.documents[Payment].values() if one.source == "transfer"}
    assert credits_.keys() == made.keys()
    said = {}
    for payment in book.documents[Payment].values():
        for one in payment.transferred or ():
            there = credits_[one.id]
            assert there.amount == one.amount > 0, there
            said[one.id] = (payment.id, payment.billing_account, there.billing_account, one.amount)
    assert said == made


def _what_went_back(book: LedgerBook) -> tuple[Counter[str], Counter[str]]:
    """What of each payment went back, or covers what did; and what each account owes of it."""
    gone: Counter[str] = Counter()
    owed_back: Counter[str] = Counter()
    for refund in book.rows[Refund].values():
        assert refund.amount == sum(one.amount for one in refund.taken) + refund.recoverable, refund
        assert refund.recoverable >= 0, refund
        owed_back[refund.billing_account] += refund.recoverable
        for taken in refund.taken:
            gone[taken.payment_id] += taken.amount
    for reversal in book.rows[Reversal].values():
        of_notes = sum(one.amount for one in reversal.reserved)
        elsewhere = 0
        for part in reversal.transferred:
            assert min(part.credit, *(one.amount for one in part.reserved), 1) >= 0, reversal
            back = part.credit + sum(one.amount for one in part.reserved)
            assert back > 0, (reversal.id, "took nothing of", part)
            assert book.get(Payment, part.payment_id).billing_account == part.billing_account, reversal
            gone[part.payment_id] += back
            elsewhere += back
        assert reversal.amount == reversal.credit + of_notes + elsewhere + reversal.recoverable, reversal
        assert min(reversal.credit, of_notes, reversal.recoverable) >= 0, reversal
        owed_back[reversal.billing_account] += reversal.recoverable
        gone[reversal.payment_id] += reversal.credit + of_notes
    for payment in book.documents[Payment].values():
        gone[payment.id] += sum(one.amount for one in payment.transferred or ())
    for recovery in book.rows[Recovery].values():
        owed_back[recovery.billing_account] -= recovery.amount
        gone[recovery.payment_id] += recovery.amount
    return gone, owed_back


Taxed = dict[tuple[str, Decimal], int]
"""Commission by the category and the rate of its tax."""


def _accrued(book: LedgerBook) -> tuple[Counter[tuple[str, str]], dict[tuple[str, str], Taxed], Counter[str]]:
    """What was accrued of each line, our commissions on each by their tax, and what each partner has earned."""
    accrued: Counter[tuple[str, str]] = Counter()
    commissions: dict[tuple[str, str], Taxed] = defaultdict(Counter)
    earned: Counter[str] = Counter()
    for accrual in book.documents[Accrual].values():
        commission = accrual.commission
        assert accrual.amount or (commission and commission.amount), (accrual, "accrues nothing")
        if accrual.adjustment_id is None and accrual.step is None:
            assert accrual.bill_no is not None, (accrual, "is of no line")
            assert accrual.line_id is not None, (accrual, "is of no line")
            accrued[accrual.bill_no, accrual.line_id] += accrual.amount
            if commission is not None:
                commissions[accrual.bill_no, accrual.line_id][commission.category, commission.rate] += commission.amount
        earned[accrual.settlement_account] += accrual.amount
    return accrued, commissions, earned


def _partners_get_what_is_theirs(book: LedgerBook) -> None:
    accrued, commissions, earned = _accrued(book)
    noted_tax: Counter[tuple[str, str]] = Counter()
    for note in book.documents[CreditNote].values():
        for noted in note.lines:
            noted_tax[note.corrected_bill_no, noted.line_id] += noted.tax_amount
    withheld: Counter[str] = Counter()
    withholding: Counter[str] = Counter()
    for invoice in book.documents[Invoice].values():
        names = {
            line.on_behalf_of.id if line.on_behalf_of and line.on_behalf_of.agent else None for line in invoice.lines
        }
        assert names == {invoice.seller}, (invoice.id, "is in one name")
        billed = invoice.tax_included_amount - invoice.corrected.credited
        lost = invoice.corrected.written_off
        paid = billed - lost - invoice.remaining_amount
        given_up = {line.line_id: line.given_up for line in invoice.corrected.lines}
        credited = {line.line_id: line.credited for line in invoice.corrected.lines}
        for line in invoice.lines:
            part = line.on_behalf_of
            if part is None:
                continue
            share = _share_left(line, credited.get(line.id, 0), noted_tax[invoice.id, line.id])
            due = share
            if part.accrue_on == "payment" and billed:
                due = half_away(Fraction(share * paid, billed))
            assert (part.share, part.accrued) == (share, due), (invoice.id, line.id, share, due)
            assert accrued[invoice.id, line.id] == due, (invoice.id, line.id, due)
            commission = _commission_on(line, credited.get(line.id, 0), due)
            by_tax = {tax: amount for tax, amount in commissions[invoice.id, line.id].items() if amount}
            tax_of_it = {(part.agent.category, part.agent.rate): commission} if part.agent and commission else {}
            assert by_tax == tax_of_it, (invoice.id, line.id, "commission", commission)
            gone = 0
            if part.accrue_on == "payment" and billed:
                gone = half_away(Fraction(share * (paid + lost), billed)) - due
            assert given_up.get(line.id, 0) == gone, (invoice.id, line.id, "given up", gone)
            withheld[part.id] += share - due - gone
            is_awaited = (
                part.awaited and invoice.remaining_amount and line.tax_excluded_amount != credited.get(line.id, 0)
            )
            withholding[part.id] += share != due + gone or bool(is_awaited)
    paid_out: Counter[str] = Counter()
    for row in book.documents[Payout].values():
        paid_out[row.settlement_account] += row.amount if row.returned is None else 0
    netted: Counter[str] = Counter()
    for statement in book.documents[Settlement].values():
        netted[statement.settlement_account] += statement.netted or 0
    for position in book.documents[Position].values():
        payable = earned[position.id] - paid_out[position.id] - netted[position.id]
        assert (position.payable, position.withheld) == (payable, withheld[position.id]), position.id
        assert position.withholding == withholding[position.id], (position.id, "lines withheld")


def _share_left(line: InvoiceLine, credited: int, tax: int) -> int:
    """What is left of a share, of which so much net and tax is credited."""
    part, net = line.on_behalf_of, line.tax_excluded_amount
    assert part is not None
    if part.agent is not None:
        return net + line.tax_amount - credited - tax
    if part.partner_share is None:
        return tiered_share_left(line, credited)
    shares: list[int] = [half_away(amount * Fraction(part.partner_share)) for amount in (net, credited)]
    return shares[0] - shares[1]


def _commission_on(line: InvoiceLine, credited: int, due: int) -> int:
    """Our commission on what is left of a line's net, in proportion to what its partner has of it."""
    part = line.on_behalf_of
    if part is None or part.agent is None:
        return 0
    commission = Fraction(part.agent.commission) * (line.tax_excluded_amount - credited)
    charged: int = half_away(commission * due / part.share if part.share else commission)
    assert part.agent.charged == charged, line
    return charged


def _lines_go_by_what_was_agreed(book: LedgerBook) -> None:
    """A line's frozen terms are those of its agreement's revision, or of the partner's account as it was once."""
    of_accounts: dict[str, list[SettlementTerms | None]] = defaultdict(list)
    for version in book.rows[AccountVersion].values():
        of_accounts[version.account.id].append(version.account.settlement_terms)
    for invoice in book.documents[Invoice].values():
        for part in (line.on_behalf_of for line in invoice.lines if line.on_behalf_of is not None):
            mine = (part.partner_share, part.accrue_on, _rates(part.agent))
            if part.agreement is None:
                allowed = [(t.partner_share, t.accrue_on, _rates(t.agent)) for t in of_accounts[part.id] if t]
            else:
                agreement = book.get(Agreement, part.agreement.id)
                terms = agreement.agreed[part.agreement.revision - 1].terms
                assert agreement.settlement_account == part.id, invoice.id
                at_payment = terms.tiers is not None and terms.accrue_on == "payment"
                assert (part.freed is not None) == at_payment, invoice.id
                share = terms.tiers.steps[0].share if terms.tiers and at_payment else terms.partner_share
                allowed = [(share, terms.accrue_on, _rates(terms.agent))]
            assert mine in allowed, (invoice.id, mine, allowed)


def _rates(agent: AgentTerms | AgentShare | None) -> tuple[Decimal, str, Decimal] | None:
    return None if agent is None else (agent.commission, agent.category, agent.rate)


def _what_is_ours_is_of_what_we_sold(book: LedgerBook) -> None:
    """Revenue, commission and tax are of the lines that we sold, and nothing is of those sold in partners' names.

    Closings are looked at elsewhere.
    """
    ours: Counter[str] = Counter()
    for entry in book.rows[Entry].values():
        if not entry.cause.startswith(("settlement.close:", "settlement.continue:")):
            for posting in entry.postings:
                name = ledger_name(posting)
                if name in ("revenue", "commission") or name.startswith("tax "):
                    ours[name] -= posting.amount
    due: Counter[str] = Counter()
    for invoice in book.documents[Invoice].values():
        if invoice.seller is not None:
            continue
        credited = {line.line_id: line.credited for line in invoice.corrected.lines}
        for line in invoice.lines:
            left = line.tax_excluded_amount - credited.get(line.id, 0)
            if line.on_behalf_of is None:
                due["revenue"] += left
            else:
                due["commission"] += left - line.on_behalf_of.share
        gone = {(one.category, one.rate): one.credited + one.relieved for one in invoice.corrected.tax}
        for item in invoice.tax_item:
            due[f"tax {item.category} {item.rate:f}"] += item.tax_amount - gone.get((item.category, item.rate), 0)
    for row in book.documents[Accrual].values():
        due["commission"] -= row.amount if row.adjustment_id is not None else 0
    assert {name: amount for name, amount in ours.items() if amount} == {
        n: amount for n, amount in due.items() if amount
    }


def _statements_add_up(book: LedgerBook, lines_max: int) -> None:
    stated: Counter[str] = Counter()
    carried_by: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    for row in book.documents[Payout].values():
        paid[row.settlement_id] += row.amount if row.returned is None else 0
        assert book.get(Settlement, row.settlement_id).settlement_account == row.settlement_account
    for statement in book.documents[Settlement].values():
        brought = 0
        if statement.brought_forward_from is not None:
            earlier = book.get(Settlement, statement.brought_forward_from)
            assert earlier.settlement_account == statement.settlement_account
            assert earlier.state == "carriedForward", (statement.id, "brings forward what is due")
            brought = earlier.total
            carried_by[earlier.id] += 1
        assert statement.brought_forward == brought, statement.id
        assert statement.total == brought + sum(line.amount for line in statement.lines), statement.id
        assert len(statement.lines) + (statement.brought_forward_from is not None) <= lines_max, statement.id
        for line in statement.lines:
            accrual = book.get(Accrual, line.accrual_id)
            stated[accrual.id] += 1
            assert accrual.settlement_id == statement.id, (statement.id, accrual)
            assert accrual.settlement_account == statement.settlement_account
            assert accrual.date <= statement.period_end, (statement.id, accrual)
            assert (line.amount, line.bill_no, line.line_id) == (accrual.amount, accrual.bill_no, accrual.line_id)
            assert (line.adjustment_id, line.step, line.corrects) == (
                accrual.adjustment_id,
                accrual.step,
                accrual.corrects,
            ), (statement.id, accrual)
        assert statement.paid == paid[statement.id] + (statement.netted or 0) <= max(statement.total, 0), statement.id
        left = statement.total - statement.paid
        due = "paid" if left == 0 else "partiallyPaid" if statement.paid else "open"
        carried = statement.total <= 0 or statement.threshold is not None
        assert statement.state == ("carriedForward" if carried else due), statement.id
    assert set(stated.values()) <= {1}, "an accrual stands in two statements"
    assert set(stated) == {a.id for a in book.documents[Accrual].values() if a.settlement_id is not None}
    assert set(carried_by.values()) <= {1}, "a statement is brought forward twice"
    _what_is_carried_is_known(book, set(carried_by))


def _what_is_carried_is_known(book: LedgerBook, carried_on: set[str]) -> None:
    loose = {s.id for s in book.documents[Settlement].values() if s.state == "carriedForward"} - carried_on
    for position in book.documents[Position].values():
        carried = position.carried_forward
        if carried is not None:
            assert book.get(Settlement, carried.settlement_id).total == carried.amount
            assert book.get(Settlement, carried.settlement_id).settlement_account == position.id
            loose.remove(carried.settlement_id)
    assert not loose, "nothing brings forward what these carried"


def _entries_match_applied_facts(book: LedgerBook) -> None:
    money = (
        "order.completed:",
        "payment.received:",
        "payout.completed:",
        "credit-note.issue:",
        "refund.completed:",
        "payment.reversed:",
        "invoice.write-off:",
        "dispute.settle:",
        "dispute.withdraw:",
        "settlement.adjust:",
        "payout.returned:",
        "credit.grant:",
        "credit.transfer:",
        *STEP_ENTRIES,
    )
    # What goes on may find that there is nothing left to do.
    rests = ("credit.allocate:", "credit.deallocate:")
    gone_on = {i for i, r in book.results.items() if i.startswith(rests) and (r["billNos"] or r["recovered"])}
    bills = ("bill.demand:", "bill.continue:", "bill.account:")
    billed = {i for i, r in book.results.items() if i.startswith(bills) and (_numbers(r) or r["creditNotes"])}
    # What corrects a commission alone moves nothing: the closing charges it.
    corrections = {
        row.cause
        for row in book.rows[ShareCorrection].values()
        if any(line.was != line.now or line.accrued or line.withheld for line in row.lines)
    }
    nettings = {i for i, r in book.results.items() if i.startswith("netting.apply:") and r["netted"]}
    assert (
        set(book.rows[Entry])
        == {i for i in book.applied if i.startswith(money)}
        | gone_on
        | billed
        | entries_of_steps(book)
        | nettings
        | corrections
    )
    assert book.left == [], "something is left to do"
    assert not book.applied.keys() & (book.waiting.keys() | book.refused.keys())
    assert {e.cause for e in book.rows[Entry].values()} == set(book.rows[Entry])

    def keys(kind: str) -> set[str]:
        return {identity.partition(":")[2] for identity in book.applied if identity.startswith(kind)}

    ordered = [(one.order_id, one.seller) for one in book.documents[Invoice].values() if one.order_id is not None]
    assert len(set(ordered)) == len(ordered), "an order has two invoices of one seller"
    assert {order_id for order_id, _ in ordered} == keys("order.completed:"), "an order has no invoice"
    paid = {payment.id for payment in book.documents[Payment].values() if payment.source is None}
    assert paid == keys("payment.received:")
    assert set(book.rows[Goodwill]) == keys("credit.grant:")
    assert set(book.rows[Transfer]) == keys("credit.transfer:")
    settled = {one.id for one in book.documents[Dispute].values() if one.credit_note is not None}
    by_themselves = {note.id for note in book.documents[CreditNote].values() if not note.cause.startswith("bill.")}
    assert by_themselves == keys("credit-note.issue:") | settled
    assert not keys("credit-note.issue:") & set(book.documents[Dispute]), "a note has a dispute's id"
    assert set(book.rows[WriteOff]) == keys("invoice.write-off:")
    assert set(book.documents[Dispute]) == keys("dispute.open:")
    states = {"open": set(), "settled": keys("dispute.settle:"), "withdrawn": keys("dispute.withdraw:")}
    for one in book.documents[Dispute].values():
        assert one.state == "open" or one.id in states[one.state], one
        assert sum(line.approved for line in one.lines) == 0 or one.credit_note is not None, one
    assert set(book.rows[Refund]) == keys("refund.completed:")
    assert set(book.rows[Reversal]) == keys("payment.reversed:")
    assert set(book.documents[Payout]) == keys("payout.completed:")
    returned = [row.returned.return_id for row in book.documents[Payout].values() if row.returned is not None]
    assert sorted(returned) == sorted(keys("payout.returned:"))
    adjusted = {a.adjustment_id for a in book.documents[Accrual].values() if a.adjustment_id is not None}
    assert adjusted == keys("settlement.adjust:")
    assert {statement.closing_id for statement in book.documents[Settlement].values()} == keys("settlement.close:")


def _charges_are_billed_once(book: LedgerBook) -> None:
    """Each charge waits, or is on one line that is its own, or in one note of what it corrects, or of nothing left."""
    charges = book.documents[Charge]
    dunned = {step.charge_id for step in book.rows[DunningStep].values()} - {None}
    assert charges.keys() == {i.partition(":")[2] for i in book.applied if i.startswith("charge.add:")} | dunned
    lines = {}
    for invoice in book.documents[Invoice].values():
        for line in invoice.lines:
            if line.origin is not None and line.origin.charge_id is not None:
                assert line.origin.charge_id not in lines, (line.origin.charge_id, "is on two lines")
                lines[line.origin.charge_id] = (invoice, line)
    noted: Counter[tuple[str, str, str]] = Counter()
    for charge in charges.values():
        billed = charge.billed
        through = book.position(charge.billing_account).charges_through or date.min
        assert charge.behind == (billed is None and charge.date <= through), (charge, through, "is not reached")
        if billed is None:
            assert charge.id not in lines, charge
            continue
        if billed.bill_no is not None:
            invoice, line = lines.pop(charge.id)
            origin = line.origin
            assert (invoice.id, line.id, invoice.cause) == (billed.bill_no, billed.line_id, billed.cause), charge
            assert billed.credit_note is None, charge
            assert line.tax_excluded_amount == billed.amount, charge
            assert (origin.account, origin.period) == (charge.billing_account, charge.period), charge
            assert (origin.subscription_id, origin.corrects) == (charge.subscription_id, charge.corrects), charge
            assert (line.category, line.rate) == (charge.item.category, charge.item.rate), charge
            assert (line.on_behalf_of and line.on_behalf_of.id) == charge.item.on_behalf_of, charge
            assert charge.date <= _charges_through(invoice, book), (charge, "was not due")
        elif billed.credit_note is not None:
            noted[billed.credit_note, charge.corrects.bill_no, charge.corrects.line_id] -= billed.amount
        if charge.corrects is None:
            assert billed.amount == charge.net, charge
        else:
            assert abs(billed.amount) <= abs(charge.net), charge
            assert billed.amount * charge.net >= 0, charge
        assert billed.bill_no or billed.credit_note or not billed.amount, charge
    assert not lines, "lines of charges that know nothing of them"
    _count_what_notes_took_back(book, noted)
    of_notes: Counter[tuple[str, str, str]] = Counter()
    for note in book.documents[CreditNote].values():
        if note.cause.startswith("bill."):
            for line in note.lines:
                of_notes[note.bill_no, note.corrected_bill_no, line.line_id] += line.tax_excluded_amount
    assert {key: net for key, net in noted.items() if net} == {key: net for key, net in of_notes.items() if net}


def _charges_through(invoice: Invoice, book: LedgerBook) -> date:
    """Up to which date charges are on a bill: its own, unless its run's cycle says another."""
    run = None if invoice.billing is None else invoice.billing.bill_run
    return invoice.tax_point_date if run is None else book.run_of(run).charges_through or invoice.tax_point_date


def _count_what_notes_took_back(book: LedgerBook, noted: Counter[tuple[str, str, str]]) -> None:
    """Of periods' lines; and of lines that took something back, what notes undid."""
    for period in book.documents[BilledPeriod].values():
        for line in (line for price in period.prices for line in price.lines):
            for taken in line.taken:
                if taken.credit_note is not None:
                    at = (taken.bill_no or line.bill_no, taken.line_id or line.line_id)
                    noted[taken.credit_note, *at] -= taken.amount


def _bills_are_what_was_due(book: LedgerBook) -> None:
    """Each demand has its bill and notes, each invoice without an order its demand; and what waits has a reason."""
    made = {
        f"bill.{'continue' if one.id != one.demand_id else 'demand'}:{one.id}": one
        for one in book.rows[BillOnDemand].values()
    }
    assert made.keys() == {i for i in book.applied if i.startswith(("bill.demand:", "bill.continue:"))}
    of_runs = {i: r for i, r in book.results.items() if i.startswith("bill.account:")}
    bills: dict[str, list[str]] = defaultdict(list)
    sellers: dict[str, list[str | None]] = defaultdict(list)
    for invoice in book.documents[Invoice].values():
        if invoice.order_id is None:
            bills[invoice.cause].append(invoice.id)
            sellers[invoice.cause].append(invoice.seller)
    told = {cause: list(one.numbers) for cause, one in made.items()}
    told |= {cause: _numbers(result) for cause, result in of_runs.items()}
    assert {cause: sorted(numbers) for cause, numbers in bills.items()} == {
        cause: sorted(numbers) for cause, numbers in told.items() if numbers
    }
    assert all(len(set(found)) == len(found) for found in sellers.values()), "a demand has two bills of one seller"
    notes = {one.bill_no: one.cause for one in book.documents[CreditNote].values() if one.cause.startswith("bill.")}
    assert notes == {number: cause for cause, one in made.items() for number in one.credit_notes} | {
        number: cause for cause, result in of_runs.items() for number in result["creditNotes"]
    }
    for cause, one in made.items():
        firsts = []
        for invoice in (book.get(Invoice, number) for number in one.numbers):
            assert (invoice.billing_account, invoice.tax_point_date) == (one.billing_account, one.billing_date), cause
            assert [line.id for line in invoice.lines] == [str(n) for n in range(1, len(invoice.lines) + 1)], cause
            assert invoice.tax_included_amount >= 0, cause
            firsts.append(invoice.seller is not None)
        assert firsts == sorted(firsts), (cause, "ours comes first")


def _numbers(result: dict[str, Any]) -> list[str]:
    """The numbers of the bills that a demand, or a run of an account, says that it made."""
    if "billNos" in result:
        return list(result["billNos"])
    return [] if result["billNo"] is None else [result["billNo"]]


def _runs_count_what_they_billed(book: LedgerBook) -> None:
    """Each account that a run is done with is counted once, and its bills add up to the run's totals."""
    for run in book.documents[BillRun].values():
        parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for identity, result in book.results.items():
            if identity.startswith("bill.account:") and result["billRunId"] == run.id:
                parts[result["billingAccount"]].append(result)
        done = [made for made in parts.values() if any(part["state"] == "done" for part in made)]
        assert all(sum(part["state"] == "done" for part in made) <= 1 for made in parts.values()), run.id
        billed = [made for made in done if any(_numbers(part) or part["creditNotes"] for part in made)]
        assert (run.billed, run.nothing_due) == (len(billed), len(done) - len(billed)), run
        totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        numbers = [number for made in parts.values() for part in made for number in _numbers(part)]
        for invoice in (book.get(Invoice, number) for number in numbers):
            billing = invoice.billing
            assert billing is not None, invoice
            assert billing == Billing(invoice.cause, "onCycle", billing.period, run.id), run.id
            assert invoice.tax_point_date == run.billing_date, (run, invoice)
            totals[invoice.currency][0] += invoice.tax_excluded_amount
            totals[invoice.currency][1] += invoice.tax_included_amount
        assert run.totals == tuple(RunTotal(code, *totals[code]) for code in sorted(totals)), run


def _subscriptions_are_billed(book: LedgerBook) -> None:
    """Each line of a price is one of its period, or takes back one; what fell due is billed to what it comes to now."""
    lines = {
        (invoice.id, line.id): line
        for invoice in book.documents[Invoice].values()
        for line in invoice.lines
        if line.origin is not None and line.origin.price_id is not None
    }
    causes = {note.bill_no: note.cause for note in book.documents[CreditNote].values()}
    for period in book.documents[BilledPeriod].values():
        assert period.id == f"{period.subscription}/{period.period.start}/{period.period.end}"
        subscription = book.get(Subscription, period.subscription)
        assert len({price.price_id for price in period.prices}) == len(period.prices) > 0, period
        for billed in (line for price in period.prices for line in price.lines):
            line = lines.pop((billed.bill_no, billed.line_id))
            assert (line.tax_excluded_amount, line.origin.corrects) == (billed.net, None), (period, billed)
            undone: Counter[tuple[str | None, str | None]] = Counter()
            of_lines: dict[tuple[str | None, str | None], int] = {}
            instead: Counter[str] = Counter()
            noted: Counter[str] = Counter()
            for taken in billed.taken:
                assert abs(taken.amount) <= abs(taken.net), (period, taken)
                assert taken.amount * taken.net >= 0, (period, taken)
                if taken.bill_no is not None and taken.credit_note is not None:
                    # A note undid it, and another one of the same bill took it of the line itself.
                    assert taken.net == taken.amount, (period, taken)
                    assert taken.net * billed.net > 0, (period, taken)
                    undone[taken.bill_no, taken.line_id] += taken.amount
                    assert abs(undone[taken.bill_no, taken.line_id]) <= abs(of_lines[taken.bill_no, taken.line_id])
                    instead[causes[taken.credit_note]] += taken.amount
                    continue
                assert taken.net * billed.net <= 0, (period, taken)
                if taken.credit_note is not None:
                    noted[causes[taken.credit_note]] -= taken.amount
                assert taken.bill_no is not None or taken.credit_note is not None or not taken.amount, (period, taken)
                if taken.bill_no is not None:
                    of_lines[taken.bill_no, taken.line_id] = taken.amount
                    taking = lines.pop((taken.bill_no, taken.line_id))
                    at = CorrectsLine(billed.bill_no, billed.line_id)
                    assert (taking.tax_excluded_amount, taking.origin.corrects) == (taken.amount, at), (period, taken)
            assert all(abs(net) <= abs(noted[cause]) for cause, net in instead.items()), (period, instead)
    assert not lines, "lines of prices that no period knows"
    for subscription in book.documents[Subscription].values():
        if subscription.recheck_from is None:
            _is_billed_to_what_it_comes_to(subscription, book)


def _is_billed_to_what_it_comes_to(subscription: Subscription, book: LedgerBook) -> None:
    """Of each period that was billed what it comes to now is billed; of all others, what is due comes to nothing."""
    currency = book.get(Account, subscription.billing_account).kept_in
    records = [one for one in book.rows[UsageRecord].values() if one.subscription == subscription.id]

    def used(price_id: str, days: DateRange) -> Decimal:
        return sum((one.quantity for one in records if one.price_id == price_id and one.day in days), Decimal(0))

    rating = Rating(Schedule(subscription.segments), used, currency)
    periods = [one for one in book.documents[BilledPeriod].values() if one.subscription == subscription.id]
    billed = {part.id: part for one in periods for part in one.by_price}
    until = subscription.next_due or date(2040, 1, 1)
    for part in billed.values():
        price, period = part.billed, part.of.period
        # What was billed by a later date than that of the last bill is looked at again when it is due.
        if rating.due(price.price_id, period) >= until:
            continue
        charged = tuple(rating.charges(price.price_id, period))
        assert price.charged_in(period) == charged, (part, charged)
        left: Counter[Rate] = Counter()
        for line in price.lines:
            left[line.rate] += line.left
        assert {r: net for r, net in left.items() if net} == {c.rate: c.net for c in charged if c.net}, part
    window = DateRange(subscription.start_date - timedelta(days=1), until)
    for price_id in {price.id: None for segment in subscription.segments for price in segment.terms.prices}:
        for days in rating.periods(price_id, window):
            if f"{subscription.id}/{price_id}/{days.start}/{days.end}" not in billed:
                nets = [one.net for one in rating.charges(price_id, days)]
                assert rating.due(price_id, days) >= until or not any(nets), (subscription.id, price_id, days, nets)


def _what_bills_took_back_is_known(book: LedgerBook) -> None:
    """What of a line, and of its tax, bills took back is what their lines say less what is credited of those."""
    nets: Counter[tuple[str, str]] = Counter()
    taxes: Counter[tuple[str, str, Fraction]] = Counter()
    for bill in book.documents[Invoice].values():
        for line in bill.lines:
            if line.origin is not None and line.origin.corrects is not None:
                corrects = line.origin.corrects
                assert book.get(Invoice, corrects.bill_no).billing_account == bill.billing_account, (bill.id, line.id)
                credited = next((one.credited for one in bill.corrected.lines if one.line_id == line.id), 0)
                given_back = half_away(Fraction(line.tax_amount * credited, line.tax_excluded_amount))
                nets[corrects.bill_no, corrects.line_id] -= line.tax_excluded_amount - credited
                taxes[corrects.bill_no, line.category, Fraction(line.rate)] -= line.tax_amount - given_back
    for invoice in book.documents[Invoice].values():
        by_id = {line.id: line for line in invoice.lines}
        for corrected in invoice.corrected.lines:
            assert nets.pop((invoice.id, corrected.line_id), 0) == (corrected.taken_back or 0), (invoice.id, corrected)
            gone, net = corrected.gone, by_id[corrected.line_id].tax_excluded_amount
            assert min(0, net) <= gone <= max(0, net), (invoice.id, corrected)
        for group in invoice.corrected.tax:
            assert taxes.pop((invoice.id, group.category, Fraction(group.rate)), 0) == (group.taken_back or 0), (
                invoice.id
            )
        gone = {line.line_id: line.gone for line in invoice.corrected.lines}
        by_note = any(note.corrected_bill_no == invoice.id for note in book.documents[CreditNote].values())
        if by_note and all(gone.get(line.id, 0) == line.tax_excluded_amount for line in invoice.lines):
            left = invoice.tax_included_amount - invoice.corrected.credited - invoice.corrected.taken_back
            assert abs(left) <= len(nets) + len(invoice.lines), (invoice.id, "is credited in full", left)
    assert not {key for key, net in nets.items() if net}, nets
    assert not {key for key, tax in taxes.items() if tax}, taxes


def state_on(subscription: Subscription, day: date) -> str:
    """What a subscription is on a day, found out by going through its days one by one."""
    if day < subscription.start_date:
        return "pendingActive"
    state = ""
    for passed in range((day - subscription.start_date).days + 1):
        on = subscription.start_date + timedelta(days=passed)
        terms = subscription.terms
        by_then = [one for one in subscription.patches if one.effective_date <= on]
        for patch in sorted(by_then, key=lambda one: (one.effective_date, one.revision)):
            for name in patch.changed:
                terms = replace(terms, **{name: getattr(patch.terms, name)})
        if terms.termination_date is not None and on >= terms.termination_date:
            return "terminated"
        state = "suspended" if terms.suspended else "active"
    return state


def _subscriptions_are_what_was_agreed(book: LedgerBook) -> None:
    """Each has its patches, a revision each; is what it is on the newest day; and its next turn is to come."""
    calendar = book.documents[Calendar].get("calendar")
    newest = book.booked_at.date() if calendar is None else calendar.newest
    subscriptions = book.documents[Subscription]
    assert subscriptions.keys() == {i.partition(":")[2] for i in book.applied if i.startswith("subscription.create:")}
    changes = tuple(f"subscription.{kind}:" for kind in ("change", "suspend", "resume", "terminate"))
    causes = [patch.cause for one in subscriptions.values() for patch in one.patches if not is_dunnings(patch.cause)]
    assert sorted(causes) == sorted(i for i in book.applied if i.startswith(changes))
    scheduled = [fact for _, fact in book.scheduled if isinstance(fact, SubscriptionTurn)]
    turns = {(fact.subscription, fact.revision): fact for fact in scheduled}
    for one in subscriptions.values():
        assert [patch.revision for patch in one.patches] == list(range(2, one.revision + 1)), one
        assert all(patch.effective_date >= one.start_date for patch in one.patches), one
        assert one.state == state_on(one, newest), one
        dates = [one.start_date, *(patch.effective_date for patch in one.patches)]
        assert one.recheck_from is None or one.next_due == one.start_date, one
        ends = [terms.termination_date for terms in (one.terms, *(patch.terms for patch in one.patches))]
        last = max(newest, *dates, *(day for day in ends if day is not None))
        to_come = (newest + timedelta(days=n) for n in range(1, (last - newest).days + 1))
        turn = next((day for day in to_come if state_on(one, day) != one.state), None)
        found = turns.get((one.id, one.revision))
        assert (None if found is None else found.date) == turn, (one, found)


def is_dunnings(cause: str) -> bool:
    """Whether a fact is one that takes steps of dunning, or clears them."""
    return cause.startswith(("dunning.look:", "payment.promise:"))


def _dunning_follows_what_is_owed(book: LedgerBook) -> None:
    """What stands was taken, one step a day, and is not more than should stand; and only that has suspended something.

    Each charge of a step is one, and of each invoice it is told at most once that it is overdue.
    """
    calendar = book.documents[Calendar].get("calendar")
    newest = book.booked_at.date() if calendar is None else calendar.newest
    dunnings, taken = book.documents[Dunning], book.rows[DunningStep]
    for position in book.documents[Position].values():
        level = dunnings[position.id].level if position.id in dunnings else 0
        assert position.dunned == (level or None), position
        assert level <= level_that_should_stand(book, position.id, newest), (position.id, "stands at", level)
    for one in dunnings.values():
        days = [step.on for step in one.steps]
        assert days == sorted(set(days)), one
        assert not any(step.suspending for step in one.steps), one
        for number, step in enumerate(one.steps, 1):
            row = taken[f"{one.id}/{step.on}"]
            assert (row.level, row.action, row.charge_id) == (number, step.action, step.charge_id), (one, row)
        assert one.stepped_on == max((row.on for row in taken.values() if row.billing_account == one.id), default=None)
    charges = book.documents[Charge]
    assert {row.charge_id for row in taken.values()} - {None} == {id_ for id_ in charges if id_.startswith("dunning~")}
    told = Counter(event.event.step.id for event in book.events if isinstance(event.event, DunningStepTaken))
    assert told == dict.fromkeys(taken, 1)
    overdue = Counter(event.event.invoice.id for event in book.events if isinstance(event.event, InvoiceOverdue))
    invoices = book.documents[Invoice].values()
    assert overdue == {invoice.id: 1 for invoice in invoices if invoice.handled.overdue_on is not None}
    _suspensions_are_of_steps(book)


def _suspensions_are_of_steps(book: LedgerBook) -> None:
    suspensions = book.documents[Suspension].values()
    patches = {
        (one.id, patch.kind, patch.revision)
        for one in book.documents[Subscription].values()
        for patch in one.patches
        if is_dunnings(patch.cause)
    }
    kept = {(one.subscription, "suspend", one.revision) for one in suspensions}
    kept |= {
        (one.subscription, "resume", one.ended.revision)
        for one in suspensions
        if one.ended is not None and one.ended.revision is not None
    }
    assert patches == kept
    for one in suspensions:
        dunning = book.documents[Dunning][one.billing_account]
        stands = any(step.on == one.step and step.action == "suspend" for step in dunning.steps)
        assert stands == (one.ended is None), one
    held = {one.subscription for one in suspensions if one.ended is None}
    for one in book.documents[Subscription].values():
        said = [patch for patch in one.patches if patch.kind in ("suspend", "resume")]
        if said and all(is_dunnings(patch.cause) for patch in said) and one.state in ("active", "suspended"):
            assert (one.state == "suspended") == (one.id in held), one


def is_dunned_for(invoice: Invoice, on: date) -> bool:
    """Whether something of an invoice is open, and neither disputed nor being collected."""
    request = None if invoice.handling is None else invoice.handling.request
    if request is None or request.failed_at is not None or request.payment_id is not None:
        return invoice.undisputed > 0
    return invoice.undisputed > 0 and on >= request.on + timedelta(days=14)


def level_that_should_stand(book: LedgerBook, account_id: str, on: date) -> int:
    """How many steps should stand against an account, by its open invoices and its procedure, said anew."""
    account = book.account(account_id)
    procedures = [one.id for one in account.references if one.kind == "dunningProcedure"]
    late = {
        invoice.payment_due_date: 0
        for invoice in book.documents[Invoice].values()
        if invoice.billing_account == account_id and invoice.payment_due_date < on and is_dunned_for(invoice, on)
    }
    if not procedures or not late:
        return 0
    document: Any = book.get(DunningProcedure, procedures[0]).document
    owed = sum(
        invoice.undisputed
        for invoice in book.documents[Invoice].values()
        if invoice.billing_account == account_id and invoice.payment_due_date in late and is_dunned_for(invoice, on)
    )
    dunning = book.documents[Dunning].get(account_id)
    promise = None if dunning is None else dunning.promise
    if promise is not None and on <= promise.until:
        owed = 0 if promise.amount is None else owed - promise.amount
    threshold = document.get("threshold", {"unit": account.currency, "value": 0})
    least = round(threshold["value"] * 100) if threshold["unit"] == account.currency else 0
    if owed <= 0 or owed < least:
        return 0
    return sum(step["after"] <= (on - min(late)).days for step in document["steps"])


def _usage_is_counted_once(book: LedgerBook) -> None:
    """Each record is there, on the day of its time, and its month has it, under a number of its own."""
    records = book.rows[UsageRecord]
    said = {i.partition(":")[2]: fact for i, fact in book.applied.items() if i.startswith("usage.record:")}
    assert records.keys() == said.keys()
    sums: dict[str, dict[date, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    numbers: dict[str, list[int]] = defaultdict(list)
    for id_, one in records.items():
        fact = said[id_]
        assert isinstance(fact, UsageToRecord)
        said_so = (fact.subscription, fact.price_id, fact.usage_date, fact.quantity)
        assert (one.subscription, one.price_id, one.usage_date, one.quantity) == said_so
        assert one.day == one.usage_date.astimezone(book.zone).date(), one
        month = f"{one.subscription}/{one.price_id}/{one.day:%Y-%m}"
        sums[month][one.day] += Fraction(one.quantity)
        numbers[month].append(one.number)
    months = book.documents[UsageMonth]
    assert months.keys() == sums.keys()
    for id_, month in months.items():
        assert [(one.day, Fraction(one.quantity)) for one in month.days] == sorted(sums[id_].items()), id_
        assert all(one.quantity >= 0 for one in month.days), id_
        assert sorted(numbers[id_]) == list(range(1, month.count + 1)), id_


def _events_run_without_a_gap(book: LedgerBook) -> None:
    sequences: dict[str, list[int]] = defaultdict(list)
    accrued: Counter[tuple[str, str]] = Counter()
    for event in book.events:
        assert event.cause in book.applied, event
        if event.account is None:
            assert event.sequence is None, event
            continue
        assert event.sequence is not None, event
        sequences[event.account].append(event.sequence)
        if event_type(event.event) == "settlement.accrued":
            accrued[event.account, event.cause] += 1
    for account_id, numbers in sequences.items():
        assert numbers == list(range(1, len(numbers) + 1)), (account_id, numbers)
    for position in book.documents[Position].values():
        assert position.sequence == len(sequences[position.id]), position.id
    assert set(accrued.values()) <= {1}, "one cause accrued twice for one partner"
    causes = {
        (a.settlement_account, a.cause)
        for a in book.documents[Accrual].values()
        if a.adjustment_id is None and a.step is None and a.corrects is None
    }
    assert set(accrued) == causes


def _each_series_is_its_sellers(book: LedgerBook) -> None:
    for invoice in book.documents[Invoice].values():
        _is_in_its_sellers_series(invoice.seller, invoice.id[:-9], "INV-", book)
    for note in book.documents[CreditNote].values():
        assert note.seller == book.get(Invoice, note.corrected_bill_no).seller, note
        _is_in_its_sellers_series(note.seller, note.bill_no[:-9], "CN-", book)


def _is_in_its_sellers_series(seller: str | None, series: str, ours: str, book: LedgerBook) -> None:
    assert book.get(Series, series).owner == seller, series
    assert (series == ours) == (seller is None), series


def _nothing_points_to_what_is_not_there(book: LedgerBook) -> None:
    pointers: list[tuple[type, Callable[[Any], Iterable[str | None]], type]] = [
        (Invoice, lambda i: [i.billing_account, i.ordered_for], Account),
        (Invoice, lambda i: [line.on_behalf_of.id for line in i.lines if line.on_behalf_of], Account),
        (Payment, lambda p: [p.billing_account], Account),
        (Allocation, lambda a: [a.bill_no], Invoice),
        (Allocation, lambda a: [a.payment_id], Payment),
        (CreditNote, lambda n: [n.corrected_bill_no], Invoice),
        (Refund, lambda r: [r.credit_note_id], CreditNote),
        # One that names a note is of the note.
        (Refund, lambda r: [r.payment_id if r.credit_note_id is None else None], Payment),
        (Refund, lambda r: [part.payment_id for part in r.taken], Payment),
        (Transfer, lambda t: [t.payment_id, *(part.payment_id for part in t.taken)], Payment),
        (Recovery, lambda r: [r.payment_id], Payment),
        (WriteOff, lambda w: [w.bill_no], Invoice),
        (Loss, lambda row: [row.bill_no], Invoice),
        (Dispute, lambda d: [d.bill_no], Invoice),
        (Reversal, lambda r: [r.payment_id], Payment),
        (Reversal, lambda r: [one.credit_note_id for one in r.reserved], CreditNote),
        (CreditNote, lambda n: [part.payment_id for part in (*n.deallocated, *n.reserved)], Payment),
        (Charge, lambda c: [c.billing_account, c.item.on_behalf_of], Account),
        (Charge, lambda c: [c.corrects and c.corrects.bill_no, c.billed and c.billed.bill_no], Invoice),
        (Charge, lambda c: [c.subscription_id], Subscription),
        (Subscription, lambda s: [s.billing_account], Account),
        (UsageRecord, lambda u: [u.subscription], Subscription),
        (BillOnDemand, lambda b: [b.billing_account], Account),
        (BillOnDemand, lambda b: b.numbers, Invoice),
        (Accrual, lambda a: [a.settlement_account], Account),
        (Accrual, lambda a: [a.bill_no], Invoice),
        (Accrual, lambda a: [a.settlement_id], Settlement),
        (SettlementDocument, lambda d: [d.settlement_account], Account),
        (SettlementDocument, lambda d: [d.settlement_id], Settlement),
        (SettlementDocument, lambda d: [d.corrects], SettlementDocument),
        (Settlement, lambda s: [s.settlement_account], Account),
        (Payout, lambda p: [p.settlement_id], Settlement),
        (StatementReport, lambda r: [r.settlement_id], Settlement),
        (StatementReport, lambda r: [r.settlement_account], Account),
    ]
    for kind, follow, target in pointers:
        for document in (*book.documents[kind].values(), *book.rows[kind].values()):
            for key in follow(document):
                assert key is None or key in book.documents[target], (kind.__name__, document.id, key)


def _the_oldest_due_date_is_known(book: LedgerBook) -> None:
    due: dict[str, list[Any]] = defaultdict(list)
    for invoice in book.documents[Invoice].values():
        if _undisputed(invoice):
            due[invoice.billing_account].append(invoice.payment_due_date)
    for position in book.documents[Position].values():
        assert position.oldest_due == min(due[position.id], default=None), (position.id, "oldest due")


def _open_things(book: LedgerBook) -> dict[str, list[str]]:
    """What is still open of each account's money, with the shares that its partners wait for, one by one."""
    found: dict[str, list[str]] = defaultdict(list)
    for position in book.documents[Position].values():
        found[position.id] += [balance for balance in BALANCES if position.balance(balance)]
        if position.carried_forward is not None and position.carried_forward.amount:
            found[position.id].append("carried forward")
    for account, what in _open_of_invoices(book):
        found[account].append(what)
    for dispute in (one for one in book.documents[Dispute].values() if one.state == "open"):
        found[dispute.billing_account].append(f"dispute {dispute.id}")
    for charge in (one for one in book.documents[Charge].values() if one.billed is None):
        found[charge.billing_account].append(f"charge {charge.id}")
    for one in book.documents[Subscription].values():
        if one.state != "terminated" or one.next_due is not None:
            found[one.billing_account].append(f"subscription {one.id}")
    for accrual in book.documents[Accrual].values():
        if accrual.settlement_id is None:
            found[accrual.settlement_account].append(f"accrual {accrual.id}")
    for statement in book.documents[Settlement].values():
        if statement.state in ("open", "partiallyPaid"):
            found[statement.settlement_account].append(f"statement {statement.id}")
    return found


def _open_of_invoices(book: LedgerBook) -> Iterator[tuple[str, str]]:
    for invoice in book.documents[Invoice].values():
        if invoice.remaining_amount:
            yield invoice.billing_account, invoice.id
        for line in invoice.lines:
            given_up = sum(one.given_up for one in invoice.corrected.lines if one.line_id == line.id)
            if line.on_behalf_of is not None and line.on_behalf_of.share != line.on_behalf_of.accrued + given_up:
                yield line.on_behalf_of.id, f"withheld {invoice.id}/{line.id}"


def _what_is_closed_has_nothing_open(book: LedgerBook) -> None:
    open_ = _open_things(book)
    for account in book.documents[Account].values():
        if account.state in ("closed", "deleted"):
            assert not open_[account.id], (account.id, account.state, open_[account.id])
        if account.state == "pendingClose":
            assert open_[account.id], (account.id, "is to be closed, and has nothing open")


def _what_is_deleted_was_never_used(book: LedgerBook) -> None:
    deleted = {account.id for account in book.documents[Account].values() if account.state == "deleted"}
    for account in book.documents[Account].values():
        if account.id not in deleted:
            said = _said_links(account)
            assert not {to for kind, _, to in said if kind not in RESOURCES} & deleted, (account.id, "refers to one")
            for kind, _, to in said:
                if kind in RESOURCES:
                    assert book.documents[RESOURCES[kind]][to].state == "active", (account.id, "refers to", to)
    for invoice in book.documents[Invoice].values():
        used = {invoice.billing_account, invoice.ordered_for}
        used |= {line.on_behalf_of.id for line in invoice.lines if line.on_behalf_of is not None}
        assert not used & deleted, (invoice.id, "is about what was deleted", used & deleted)
    for document in (*book.documents[Payment].values(), *book.documents[Accrual].values()):
        assert document.owner not in deleted, (document.id, "is of what was deleted")
    for statement in book.documents[Settlement].values():
        assert statement.settlement_account not in deleted, (statement.id, "is of what was deleted")


def _versions_tell_the_whole_story(book: LedgerBook) -> None:
    said: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for event in book.events:
        if isinstance(event.event, AccountCreated | AccountChanged | AccountStateChanged):
            assert event.account is not None
            changed[event.account] += 1
            said[event.account] += event.cause.startswith("account.")
    for account in book.documents[Account].values():
        versions = book.versions(account.id)
        assert [row.account.version for row in versions] == list(range(1, account.version + 1)), account.id
        assert [row.id for row in versions] == [f"{account.id}/{n}" for n in range(1, account.version + 1)]
        assert versions[-1].account == account, (account.id, "is not what its last version says")
        assert versions[0].old_state is None, account.id
        for before, after in pairwise(versions):
            assert after.old_state == before.account.state, after
            assert after.account.opened_at == before.account.opened_at, after
            by_itself = not after.cause.startswith("account.")
            assert after.account.revision == before.account.revision + (not by_itself), after
            assert after.changed, after
            assert (after.changed == ("state",)) == (after.account.document == before.account.document), after
        for row in versions:
            assert row.cause in book.applied, row
            assert row.booked_at == row.account.updated_at, row
        assert (account.version, account.revision) == (changed[account.id], said[account.id]), account.id


def _invoices_name_their_parties(book: LedgerBook) -> None:
    seller = book.documents[Seller].get(SELLER)
    versions = book.seller_versions()
    assert [row.version for row in versions] == list(range(1, 1 + (seller.version if seller else 0)))
    if seller is not None:
        assert (versions[-1].document, versions[-1].booked_at) == (seller.document, seller.updated_at)
    last = 0
    for _, invoice in sorted(book.documents[Invoice].items()):
        assert f"{invoice.billing_account}/{invoice.buyer_version}" in book.rows[AccountVersion], invoice.id
        if invoice.seller is not None:
            assert f"{invoice.seller}/{invoice.seller_version}" in book.rows[AccountVersion], invoice.id
            continue
        assert last <= (invoice.seller_version or 0) <= len(versions), invoice.id
        last = invoice.seller_version or 0


RESOURCES: dict[str, type] = {
    "format": BillFormat,
    "cycleSpecification": BillingCycleSpecification,
    "presentationMedia": BillPresentationMedia,
    "dunningProcedure": DunningProcedure,
}
MEANT = ("contains", "payer", "serviceProvider", "partner", "endCustomer")


def _said_links(account: Account) -> set[tuple[str, str, str]]:
    document: Any = account.document
    links = {
        (r["type"] if r["type"] in MEANT else "related", account.id, r["account"])
        for r in document.get("relationships", ())
    }
    for kind, said in document.get("refersTo", {}).items():
        links |= {(kind, account.id, one) for one in ([said] if isinstance(said, str) else said)}
    return links


def _links_are_what_documents_say(book: LedgerBook) -> None:
    said: set[tuple[str, str, str]] = set()
    for account in book.documents[Account].values():
        if account.state != "deleted":
            said |= _said_links(account)
    assert book.links() == said
    for kind, _, to in said:
        assert to in book.documents[RESOURCES.get(kind, Account)], (kind, to, "is not there")
    for resource in SPECIFICATIONS.values():
        for one in book.documents[resource].values():
            told = [
                e.event for e in book.events if getattr(getattr(e.event, "specification", None), "id", None) == one.id
            ]
            assert one.revision == len([t for t in told if type(t.specification) is resource]), one  # type: ignore[attr-defined]


def _hierarchies_are_trees(book: LedgerBook) -> None:
    for kind in ("contains", "payer"):
        above: dict[str, list[tuple[str, Any, Any]]] = defaultdict(list)
        for account in book.documents[Account].values():
            said: Any = account.document
            for r in said.get("relationships", ()) if account.state != "deleted" else ():
                if r["type"] != kind:
                    continue
                lower, upper = (r["account"], account.id) if kind == "contains" else (account.id, r["account"])
                since, until = (moment(r[end]) if r[end] else None for end in ("since", "until"))
                above[lower].append((upper, since, until))
                if kind == "payer":
                    payer = book.account(r["account"])
                    assert (payer.type, payer.currency) == ("BillingAccount", account.currency), (account.id, payer.id)
        for lower, uppers in above.items():
            for one, other in combinations(uppers, 2):
                assert one[0] == other[0] or not _meet(one[1:], other[1:]), (kind, lower, one, other)
        _no_way_back(kind, {lower: {upper for upper, _, _ in uppers} for lower, uppers in above.items()})


def _meet(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Whether two half-open periods have a moment in common."""
    starts = [since for since, _ in (one, other) if since is not None]
    ends = [until for _, until in (one, other) if until is not None]
    return not starts or not ends or max(starts) < min(ends)


def _no_way_back(kind: str, above: dict[str, set[str]]) -> None:
    for start, uppers in above.items():
        seen: set[str] = set()
        level = uppers
        while level:
            assert start not in level, (kind, start, "is above itself")
            seen |= level
            level = set().union(*(above.get(one, set()) for one in level)) - seen
