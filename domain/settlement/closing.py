"""Closing: what a partner has earned is stated, with what its agreements add to that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice, takewhile
from operator import attrgetter

from domain.accounts.lifecycle import settlement_account
from domain.accounts.model import Account
from domain.errors import MustWait, Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import CarriedForward, Position
from domain.money import within_limit
from domain.settlement import position
from domain.settlement.accruals import Accrual
from domain.settlement.agreements import Agreement, closing_terms_on, has_agreements
from domain.settlement.earnings import earnings_needs, note_earned
from domain.settlement.fees import note_fees
from domain.settlement.issuing import (
    ROWS,
    are_issued,
    documents_needs,
    issue_documents,
    tell_documents,
)
from domain.settlement.requesting import NettingToApply, bring_forward, request_payout
from domain.settlement.reserves import ReserveHeld
from domain.settlement.statements import Settlement, SettlementLine
from domain.settlement.steps import Steps, book_steps, payout_threshold, steps_needs, work_out_steps

LINES_MAX = 5_000
"""The most lines of one statement, the line that brings an earlier one forward included."""
AHEAD_DAYS_MAX = 731
"""How far ahead (days) a closing with what was agreed may end: it states all guarantees and fees until then."""
STATEMENTS_MAX = 8
"""The most statements that are made in one transaction: a closing of more goes on in another one."""


@dataclass(frozen=True, slots=True)
class Closing:
    """`settlement.close`: state what a partner has earned up to and including `period_end`.

    `made` is how many of its statements are made already; above zero, this is the rest of a closing, and `earned` what
    those say was earned (minor units). `after` is the statement that is to be there first: of a closing by itself, that
    of the period before.
    """

    id: str
    settlement_account: str
    period_end: date
    made: int = 0
    after: str | None = None
    earned: int = 0


@dataclass(frozen=True, slots=True)
class SettlementClosed:
    """A statement was made."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class ClosingResult:
    """What a closing is answered with: the ids of the statements that it made."""

    settlement_ids: tuple[str, ...]


def closing_needs(closing: Closing, books: WorkingSet) -> Iterator[Need]:
    """What a closing looks at, as far as that can be told from what is loaded so far."""
    partner = closing.settlement_account
    yield DocumentNeed(Account, partner)
    yield DocumentNeed(Position, partner)
    yield DocumentNeed(Settlement, closing.id)
    known = books.peek(Position, partner)
    if known is not None and known.carried_forward is not None:
        yield DocumentNeed(Settlement, known.carried_forward.settlement_id)
    if closing.after is not None:
        yield DocumentNeed(Settlement, closing.after)
    yield QueueNeed(Accrual, partner, STATEMENTS_MAX * LINES_MAX + 1)
    yield from earnings_needs(partner, map(attrgetter("date.year"), _due(closing, books.known(Accrual, partner))))
    yield from steps_needs(partner, closing.period_end, books)
    yield from documents_needs(partner, books)


def close_settlement(closing: Closing, books: Books) -> ClosingResult:
    """State every accrual up to the period's end that no statement holds; returns the ids of the statements made.

    A statement holds at most `LINES_MAX` lines; the rest goes on `<closing id>-2`, `-3` … . What is agreed for closings
    stands on the last: guarantees, what is recouped of advances, what is held back. Each has documents of its own. A
    total that is not positive, or less than the threshold of payouts, is carried forward: the next statement opens with
    it. After `STATEMENTS_MAX` the closing goes on in another transaction; the ids are those of this one.

    Raises `MustWait` (`unknown-account`, `account-suspended`; `correction-under-way` while past days are corrected for
    an agreement; `unknown-settlement` for the statement that is to be there first) and `Refused`: `invalid` for another
    type of account, an end too far ahead or a total beyond the limit, `conflicting-duplicate` when a statement of that
    id is there already, as a part of another closing.
    """
    account = settlement_account(closing.settlement_account, None, books, "closing")
    _check_end(closing, account, books)
    if closing.after is not None and books.find(Settlement, closing.after) is None:
        detail = f"closingId: {closing.id} comes after {closing.after}, which is not made yet"
        raise MustWait("unknown-settlement", detail, f"settlement:{closing.after}", again=True)
    _check_not_backdating(account, books)
    accruals = list(islice(_due(closing, books.queue(Accrual, account.id)), STATEMENTS_MAX * LINES_MAX + 1))
    of_documents = ROWS if are_issued(_agreements(account, books), accruals) else 0
    earned = closing.earned
    steps: Steps | None = None
    made: list[str] = []
    while steps is None and len(made) < STATEMENTS_MAX:
        number = closing.made + len(made) + 1
        settlement_id = closing.id if number == 1 else f"{closing.id}-{number}"
        if books.find(Settlement, settlement_id) is not None:
            raise Refused("conflicting-duplicate", f"closingId: statement {settlement_id} exists already")
        room = LINES_MAX - (1 if position.carried_forward(account.id, books) else 0) - of_documents
        chunk, accruals = accruals[:room], accruals[room:]
        if made:
            chunk = list(map(books.current, chunk))  # a statement before may have what corrects their lines
        earned += sum(row.amount for row in chunk if row.is_earned)
        note_earned(account.id, chunk, books)
        if not accruals:
            steps = work_out_steps(account, closing.period_end, settlement_id, earned, books)
            if number > 1 and not chunk and not steps.rows and not steps.fees:
                break  # another closing has stated the rest
            if chunk and len(chunk) + len(steps.rows) > room:
                steps = None  # they stand on the next one
        _state(settlement_id, closing, account, chunk, steps, books)
        made.append(settlement_id)
    if steps is None:
        books.continue_with(replace(closing, made=closing.made + len(made), earned=earned))
    return ClosingResult(tuple(made))


def _check_end(closing: Closing, account: Account, books: Books) -> None:
    """Check that an end is not so far ahead that it must be a slip: guarantees and fees up to it are stated."""
    today = books.date_of(books.booked_at)
    if has_agreements(books.position(account.id)) and (closing.period_end - today).days > AHEAD_DAYS_MAX:
        detail = f"{closing.period_end} is more than {AHEAD_DAYS_MAX} days ahead, the most where agreements go by it"
        raise Refused("invalid", f"periodEnd: {detail}")


def _check_not_backdating(account: Account, books: Books) -> None:
    """Check that all that was earned is by what is agreed now: a correction of past days is done first."""
    for agreement in _agreements(account, books):
        if agreement.backdating is not None:
            detail = f"settlementAccount.id: past days of {account.id} are being corrected for {agreement.id}"
            raise MustWait("correction-under-way", detail, f"backdated:{agreement.id}")


def _agreements(account: Account, books: Books) -> Iterable[Agreement]:
    return books.queue(Agreement, account.id) if has_agreements(books.position(account.id)) else ()


def _due(closing: Closing, rows: Iterable[Accrual]) -> Iterator[Accrual]:
    """Those that a closing states."""
    return takewhile(lambda row: row.date <= closing.period_end, rows)


def _state(
    settlement_id: str, closing: Closing, account: Account, chunk: list[Accrual], steps: Steps | None, books: Books
) -> None:
    carried = position.carried_forward(account.id, books)
    brought_forward = carried.amount if carried else 0
    rows = chunk if steps is None else [*chunk, *steps.rows]
    fees = () if steps is None else steps.fees
    documents = issue_documents(account, settlement_id, closing.period_end, rows, fees, books)
    note_fees(account.id, fees, documents, books)
    rows = [*rows, *documents.rows]
    self_billed_tax = documents.self_billed_tax + ((carried and carried.self_billed_tax) or 0)
    total = within_limit(
        brought_forward + sum(row.amount for row in rows),
        account.kept_in,
        "closingId: the total of statement {}",
        settlement_id,
    )
    terms = closing_terms_on(account.id, closing.period_end, books)
    threshold = payout_threshold(account, terms, total)
    is_payable = total > 0 and threshold is None
    settlement = Settlement(
        id=settlement_id,
        settlement_account=account.id,
        currency=account.currency,
        closing_id=closing.id,
        period_end=closing.period_end,
        lines=tuple(
            SettlementLine(
                a.id, a.order_id, a.bill_no, a.line_id, a.date, a.amount, a.adjustment_id, a.step, a.corrects
            )
            for a in rows
        ),
        brought_forward=brought_forward,
        brought_forward_from=carried.settlement_id if carried else None,
        total=total,
        paid=0,
        state="open" if is_payable else "carriedForward",
        booked_at=books.booked_at,
        threshold=threshold,
        withholding=terms.withholding if is_payable else None,
        self_billed_tax=self_billed_tax or None,
    )
    if carried is not None:
        before = books.find(Settlement, carried.settlement_id)
        assert before is not None, f"{carried.settlement_id} is carried forward, and not there"
        settlement = bring_forward(before, settlement, books)
    if documents.numbers:
        numbers = dict(documents.numbers)
        rows = [replace(row, document=numbers[row.id]) if row.id in numbers else row for row in rows]
    if documents.corrected:
        corrected = dict(documents.corrected)
        rows = [replace(row, corrected_by=corrected.pop(row.id)) if row.id in corrected else row for row in rows]
        for id_, by in corrected.items():
            first = books.find(Accrual, id_)
            assert first is not None, f"there is no accrual {id_}"
            books.put(replace(first, corrected_by=by))
    for row in rows:
        books.put(replace(row, settlement_id=settlement_id))
    if any(document.is_posted for document in documents.issued):
        books.open_entry(books.booked_at, account.kept_in)
    if steps is not None:
        book_steps(account, steps, books)
    carried = None if is_payable else CarriedForward(settlement_id, total, self_billed_tax or None)
    position.carry_forward(account.id, carried, books)
    books.put(settlement)
    position.emit(account.id, SettlementClosed(settlement), books)
    tell_documents(documents, books)
    if steps is not None and steps.reserve is not None:
        position.emit(account.id, ReserveHeld(steps.reserve), books)
    if is_payable:
        _have_paid(settlement, terms.netting, books)
    books.announce(f"settlement:{settlement_id}")
    for document in documents.issued:
        if document.is_self_billed:
            books.announce(f"self-billing:{document.id}")


def _have_paid(settlement: Settlement, netting: str | None, books: Books) -> None:
    """Request the payout of a statement; where something is to be netted first, leave both to do."""
    if netting is None:
        request_payout(settlement, books)
    else:
        books.continue_with(NettingToApply(settlement.id, settlement.settlement_account, netting))
