"""Requesting: what of a statement is to be paid out, and how much of that is no transfer."""

from __future__ import annotations

from collections.abc import Iterator

from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.settlement import position
from domain.settlement.statements import Hold, PayoutRequest, Settlement, paid_to_date, tax_of_next


@dataclass(frozen=True, slots=True)
class NettingToApply:
    """`netting.apply`: net what a billing account owes with what is left to pay of a statement; request the rest."""

    settlement_id: str
    settlement_account: str
    billing_account: str


@dataclass(frozen=True, slots=True)
class PayoutRequested:
    """A payout was requested of a statement: its last request."""

    settlement: Settlement


@dataclass(frozen=True, slots=True)
class NettingApplied:
    """What was left to pay of a statement has covered these invoices of the partner's, each by so much."""

    settlement: Settlement
    billing_account: str
    netted: tuple[tuple[str, int], ...]


def net(settlement: Settlement, billing_account: str, netted: tuple[tuple[str, int], ...], books: Books) -> Settlement:
    """Net what of a billing account's invoices is covered (number, minor units) with a statement; returns that."""
    amount = sum(part for _, part in netted)
    position.net(settlement.settlement_account, amount, books)
    settlement = paid_to_date(replace(settlement, netted=amount), settlement.paid + amount)
    books.put(settlement)
    position.emit(settlement.settlement_account, NettingApplied(settlement, billing_account, netted), books)
    return settlement


def free(before: Settlement, after: Settlement, books: Books) -> None:
    """Keep a statement of which another part is in dispute now, and have those that it was carried to hold that.

    What is freed is requested, if it is to be.
    """
    _free(before, after, books)
    _carry_on(after, books)


def _free(before: Settlement, after: Settlement, books: Books) -> None:
    """Keep a statement of which another part is in dispute, or held, now; what is freed is requested, if it is to be.

    That is where nothing was left to pay but what was in dispute, and the last request does not stand any more: as long
    as nothing was paid by it, it is due itself.
    """
    books.put(after)
    if not before.left and after.left and (after.request is None or after.request.settled):
        request_payout(after, books)


def hold(settlement: Settlement, document: str, books: Books) -> None:
    """Have nothing paid of a statement as long as a document of it is disputed."""
    before = settlement.hold or Hold(())
    settlement = replace(settlement, hold=replace(before, documents=(*before.documents, document)))
    books.put(settlement)
    _carry_on(settlement, books)


def let_go(settlement: Settlement, document: str, books: Books) -> None:
    """Have a statement paid that was held for this document alone; what was to be requested meanwhile is requested."""
    before = settlement.hold
    if before is None or document not in before.documents:
        return
    left = tuple(one for one in before.documents if one != document)
    settlement = replace(settlement, hold=replace(before, documents=left) if left else None)
    books.put(settlement)
    if not left and before.is_waiting:
        request_payout(settlement, books, before.netted)
    _carry_on(settlement, books)


def bring_forward(before: Settlement, settlement: Settlement, books: Books) -> Settlement:
    """Note which statement has brought another one forward, and what of that it holds; returns it."""
    books.put(replace(before, carried_to=settlement.id))
    return replace(settlement, held_forward=before.to_hold)


def _carry_on(settlement: Settlement, books: Books) -> None:
    """Have each statement that a carried amount is in hold what is in dispute of it now."""
    while settlement.carried_to is not None:
        before = books.find(Settlement, settlement.carried_to)
        assert before is not None, f"{settlement.id} was carried to {settlement.carried_to}, which is not there"
        after = replace(before, held_forward=settlement.to_hold)
        if after == before:
            return
        _free(before, after, books)
        settlement = after


def carried_needs(settlement_id: str, books: WorkingSet) -> Iterator[Need]:
    """A statement, and those that what it comes to was carried to, as far as that can be told from what is loaded."""
    statement: str | None = settlement_id
    while statement is not None:
        yield DocumentNeed(Settlement, statement)
        found = books.peek(Settlement, statement)
        statement = None if found is None else found.carried_to


def settle_request(settlement: Settlement, amount: int, books: Books) -> Settlement:
    """Note that a payout has paid so much (minor units) of a statement, and keep it; returns it."""
    if (request := settlement.request) is not None:
        settlement = replace(settlement, request=replace(request, settled=(request.settled or 0) + amount))
    books.put(settlement)
    return settlement


def request_the_rest(settlement: Settlement, books: Books) -> None:
    """Request what is left of a statement, if all that was requested of it is paid: it was in dispute at that time."""
    if settlement.request is not None and settlement.request.is_settled:
        request_payout(settlement, books)


def request_payout(settlement: Settlement, books: Books, netted: int = 0) -> Settlement:
    """Have what is left of a statement paid out; returns it with that request.

    The payout is to have the statement's id; each further one has `-r2`, `-r3` … too. `netted` (minor units) is what of
    the amount was netted with it. The tax that is withheld is that of today. Nothing is requested of what is paid; what
    is held is requested when it is let go.
    """
    if not settlement.left:
        return settlement
    if settlement.hold is not None:
        waiting = replace(settlement.hold, is_waiting=True, netted=settlement.hold.netted + netted)
        settlement = replace(settlement, hold=waiting)
        books.put(settlement)
        return settlement
    rate, tax = None, 0
    if settlement.withholding is not None:
        rate = settlement.withholding.rate_at(books.booked_at)
        tax = tax_of_next(settlement, settlement.left, rate).amount
    number = 1 if settlement.request is None else settlement.request.number + 1
    payout_id = settlement.id if number == 1 else f"{settlement.id}-r{number}"
    request = PayoutRequest(payout_id, number, settlement.left + netted, netted, tax, rate)
    settlement = replace(settlement, request=request)
    books.put(settlement)
    position.emit(settlement.settlement_account, PayoutRequested(settlement), books)
    return settlement
