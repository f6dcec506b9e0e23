"""Disputing: what a customer disputes of an invoice is not due until that is settled or withdrawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from domain.accounts.model import Account
from domain.corrections.crediting import (
    correctable_account,
    correction_needs,
    counted_of,
    credit,
    disputes_needs,
    nets_within,
    open_disputes,
    price_note,
    settle_up,
    taken_of,
    with_disputes,
)
from domain.corrections.model import (
    CreditNote,
    Dispute,
    DisputedLine,
    DisputeOpened,
    DisputeResult,
    DisputeSettled,
    DisputeToOpen,
    DisputeToSettle,
    DisputeToWithdraw,
    DisputeWithdrawn,
)
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.invoicing.handling import tell_state
from domain.invoicing.model import Invoice, find_invoice, state_of
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.parties.model import SELLER, Seller
from domain.payments.allocating import bring_oldest_due_up_to_date, continue_allocating
from domain.settlement.accruals import Accrual

DISPUTES_MAX = 20
"""The most disputes of an invoice that are open at a time."""


def opening_time(dispute: DisputeToOpen) -> tuple[str, datetime]:
    """When it was opened, by its own saying."""
    return "openedAt", dispute.opened_at


def settling_time(dispute: DisputeToSettle) -> tuple[str, datetime]:
    """When it was settled, by its own saying."""
    return "settledAt", dispute.settled_at


def withdrawal_time(dispute: DisputeToWithdraw) -> tuple[str, datetime]:
    """When it was withdrawn, by its own saying."""
    return "withdrawnAt", dispute.withdrawn_at


def opening_needs(dispute: DisputeToOpen, books: WorkingSet) -> Iterator[Need]:
    """What the opening of a dispute looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Dispute, dispute.id)
    yield DocumentNeed(CreditNote, dispute.id)
    yield DocumentNeed(Invoice, dispute.bill_no)
    invoice = books.peek(Invoice, dispute.bill_no)
    if invoice is not None:
        yield DocumentNeed(Account, invoice.billing_account)
        yield DocumentNeed(Position, invoice.billing_account)
        yield QueueNeed(Invoice, invoice.billing_account)
        yield from disputes_needs(invoice)


def end_needs(dispute: DisputeToSettle | DisputeToWithdraw, books: WorkingSet) -> Iterator[Need]:
    """What the end of a dispute looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Dispute, dispute.id)
    if isinstance(dispute, DisputeToSettle):
        yield DocumentNeed(CreditNote, dispute.id)
        yield DocumentNeed(Series, books.credit_notes)
        yield DocumentNeed(Seller, SELLER)
    found = books.peek(Dispute, dispute.id)
    if found is not None:
        yield DocumentNeed(Invoice, found.bill_no)
        yield from correction_needs(books.peek(Invoice, found.bill_no))


def open_dispute(dispute: DisputeToOpen, books: Books) -> DisputeResult:
    """Note that a part of an invoice is disputed: with its tax it is not due, and no credit covers it by itself.

    What is disputed is what a credit note of all that open disputes are about would come to now. Raises `MustWait`
    (`unknown-invoice`) and `Refused`: `over-credited` for more than is left of a line, what other open disputes are
    about taken off, or of the invoice; `currency-mismatch`; `invalid` for a line that the invoice does not have, an
    amount that has not its line's sign, or what comes to nothing; `account-closed`; `conflicting-duplicate` when a
    dispute or a credit note of that id exists; `wrong-state` when too many disputes of the invoice are open.
    """
    before = find_invoice(dispute.bill_no, books)
    account = correctable_account(before, books)
    if books.find(Dispute, dispute.id) is not None:
        raise Refused("conflicting-duplicate", f"disputeId: dispute {dispute.id} exists already")
    if books.find(CreditNote, dispute.id) is not None:
        raise Refused(
            "conflicting-duplicate",
            f"disputeId: credit note {dispute.id} exists, and the dispute's own would have that id",
        )
    if len(before.handled.disputes) >= DISPUTES_MAX:
        raise Refused(
            "wrong-state", f"billNo: {DISPUTES_MAX} disputes of invoice {before.id} are open, and no more may"
        )
    others = open_disputes(before, books)
    gone_before = taken_of(before)
    disputed: Counter[str] = Counter()
    for one in counted_of(before, others):
        disputed.update(one.nets)
    gone = {line.id: gone_before.get(line.id, 0) + disputed[line.id] for line in before.lines}
    nets = nets_within(dispute.items, before, gone, "items", account.kept_in)
    if not price_note(before, nets, account.kept_in, "items").total:
        raise Refused("invalid", f"items: {account.kept_in.written(0)} with tax, and must be more than that")
    disputed.update(nets)
    price_note(before, disputed, account.kept_in, "items, with what other disputes are about")
    books.count(account.id, "used")
    opened = Dispute(
        id=dispute.id,
        bill_no=before.id,
        billing_account=account.id,
        currency=before.currency,
        state="open",
        lines=tuple(DisputedLine(line_id, net) for line_id, net in nets.items()),
        amount=0,
        opened_at=dispute.opened_at,
        booked_at=books.booked_at,
        reason=dispute.reason,
        seller=before.seller,
    )
    after = _with(before, [*others, opened], books)
    books.announce(f"dispute:{opened.id}")
    books.emit(account.id, DisputeOpened(books.current(opened), after))
    tell_state(before, after, books)
    if after.undisputed > before.undisputed:
        # An earlier version had counted more for the other disputes.
        continue_allocating(account.id, books)
    bring_oldest_due_up_to_date(account.id, books)
    return DisputeResult("open")


def settle_dispute(settling: DisputeToSettle, books: Books) -> DisputeResult:
    """End a dispute: what is approved of it is credited by a note of its id; returns that note's number, if any.

    Raises `MustWait` (`unknown-dispute`) and `Refused`: `wrong-state` when it is not open; `over-credited` for more
    than is disputed of a line, or than is left of it; `currency-mismatch`, `account-closed`; `invalid` for a line that
    is not disputed, or an amount that has not its line's sign.
    """
    dispute, before = _open(settling.id, books)
    account = correctable_account(before, books)
    disputed = {line.line_id: line.tax_excluded_amount for line in dispute.lines}
    for index, asked in enumerate(settling.approved):
        at = f"approved.{index}"
        if asked.line_id not in disputed:
            raise Refused("invalid", f"{at}.lineId: dispute {dispute.id} is not about a line {asked.line_id}")
        net, most = asked.net.amount, disputed[asked.line_id]
        # An amount in another currency is none of this one: `nets_within` says so.
        if abs(net) > abs(most) and asked.net.currency == before.currency:
            said = f"{at}.taxExcludedAmount: {account.kept_in.written(net)}, but {account.kept_in.written(most)}"
            raise Refused("over-credited", f"{said} is disputed of line {asked.line_id}")
    gone = {line.id: taken_of(before).get(line.id, 0) for line in before.lines}
    nets = nets_within(settling.approved, before, gone, "approved", account.kept_in)
    if nets and books.find(CreditNote, dispute.id) is not None:
        raise Refused("conflicting-duplicate", f"disputeId: credit note {dispute.id} exists already")
    books.open_entry(
        settling.settled_at,
        account.kept_in,
        reverses=before.cause if nets else None,
        reason=dispute.reason if nets else None,
    )
    after = _without(before, dispute, books)
    accruals: list[Accrual] = []
    number = None
    if nets:
        note, accruals = credit(
            after, nets, dispute.id, settling.settled_at, dispute.reason, "credit", books, "approved"
        )
        number = note.bill_no
    ended = replace(
        dispute,
        state="settled",
        lines=tuple(replace(line, approved=nets.get(line.line_id, 0)) for line in dispute.lines),
        ended_at=settling.settled_at,
        ended_booked_at=books.booked_at,
        credit_note=number,
    )
    books.put(ended)
    after = books.current(after)
    books.emit(account.id, DisputeSettled(ended, after))
    _end(before, after, account, accruals, books)
    return DisputeResult("settled", number)


def withdraw_dispute(withdrawal: DisputeToWithdraw, books: Books) -> DisputeResult:
    """End a dispute: nothing is credited, and what it was about is due as before.

    Raises `MustWait` (`unknown-dispute`) and `Refused`: `wrong-state` when it is not open, `account-closed`.
    """
    dispute, before = _open(withdrawal.id, books)
    account = correctable_account(before, books)
    books.open_entry(withdrawal.withdrawn_at, account.kept_in)
    after = _without(before, dispute, books)
    ended = replace(dispute, state="withdrawn", ended_at=withdrawal.withdrawn_at, ended_booked_at=books.booked_at)
    books.put(ended)
    books.emit(account.id, DisputeWithdrawn(ended, after))
    _end(before, after, account, [], books)
    return DisputeResult("withdrawn")


def _open(dispute_id: str, books: Books) -> tuple[Dispute, Invoice]:
    """A dispute that is open, and its invoice."""
    dispute = books.find(Dispute, dispute_id)
    if dispute is None:
        raise MustWait("unknown-dispute", f"disputeId: no dispute {dispute_id}", f"dispute:{dispute_id}")
    if not dispute.is_open:
        raise Refused("wrong-state", f"disputeId: dispute {dispute.id} is {dispute.state} already")
    return dispute, find_invoice(dispute.bill_no, books)


def _without(invoice: Invoice, dispute: Dispute, books: Books) -> Invoice:
    """Put in an invoice without a dispute that ends; returns it."""
    books.count(invoice.billing_account, "used")
    return _with(invoice, [one for one in open_disputes(invoice, books) if one.id != dispute.id], books)


def _with(invoice: Invoice, disputes: list[Dispute], books: Books) -> Invoice:
    """Put in an invoice with these disputes open, oldest first, and the state that follows; returns it."""
    after = with_disputes(invoice, disputes, books)
    after = replace(after, state=state_of(after))
    books.put(after)
    return after


def _end(before: Invoice, after: Invoice, account: Account, accruals: list[Accrual], books: Books) -> None:
    """What follows the end of a dispute: the state is told, and credit covers what is due again."""
    tell_state(before, after, books)
    settle_up(account, accruals, books)
