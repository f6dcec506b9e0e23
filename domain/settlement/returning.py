"""Returning: a payout that came back is payable again, and its statement is open by that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, find_account
from domain.errors import MustWait, Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.settlement import position
from domain.settlement.payouts import Payout, PayoutResult, PayoutReturn, WithholdingRecorded
from domain.settlement.requesting import request_payout
from domain.settlement.statements import Settlement, paid_to_date, withheld_with


@dataclass(frozen=True, slots=True)
class ReturnedPayout:
    """`payout.returned`: money that had left for a partner came back."""

    id: str
    payout_id: str
    returned_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class PayoutReturnBooked:
    """A payout came back: it as it is now, and its statement."""

    payout: Payout
    settlement: Settlement


def return_time(returned: ReturnedPayout) -> tuple[str, datetime]:
    """When it came back, by its own saying."""
    return "returnedAt", returned.returned_at


def return_needs(returned: ReturnedPayout, books: WorkingSet) -> Iterator[Need]:
    """What a return looks at, as far as that can be told from what is loaded so far."""
    yield DocumentNeed(Payout, returned.payout_id)
    payout = books.peek(Payout, returned.payout_id)
    if payout is not None:
        yield DocumentNeed(Account, payout.settlement_account)
        yield DocumentNeed(Position, payout.settlement_account)
        yield DocumentNeed(Settlement, payout.settlement_id)


def return_payout(returned: ReturnedPayout, books: Books) -> PayoutResult:
    """Book that a payout came back, all of it; returns its statement's id and state, which is open by that sum.

    What was withheld of it is not any more, what was netted stands; what is left to pay is requested anew.

    An account that is to be closed stays so until another payout pays the statement anew: what is left to pay of a
    statement is never less than nothing, so after a return something is payable.

    Raises `MustWait` (`unknown-payout`) and `Refused`: `wrong-state` when it came back before, `account-closed`.
    """
    payout = books.find(Payout, returned.payout_id)
    if payout is None:
        raise MustWait("unknown-payout", f"payoutId: no payout {returned.payout_id}", f"payout:{returned.payout_id}")
    if payout.returned is not None:
        raise Refused("wrong-state", f"payoutId: payout {payout.id} came back before, by {payout.returned.return_id}")
    account = find_account(payout.settlement_account, books)
    check_state(account, "correction", f"payoutId (of payout {payout.id})")
    settlement = books.find(Settlement, payout.settlement_id)
    assert settlement is not None, f"payout {payout.id} is of {payout.settlement_id}, which is not there"
    books.open_entry(
        returned.returned_at, account.kept_in, reverses=f"payout.completed:{payout.id}", reason=returned.reason
    )
    position.return_payout(account.id, payout.amount, payout.tax, books)
    booked = PayoutReturn(returned.id, returned.returned_at, returned.reason, books.booked_at)
    payout = replace(payout, returned=booked)
    books.put(payout)
    if payout.withheld is not None:
        settlement = replace(settlement, withheld=withheld_with(settlement, payout.withheld, -1))
    settlement = paid_to_date(settlement, settlement.paid - payout.amount)
    books.put(settlement)
    position.emit(account.id, PayoutReturnBooked(payout, settlement), books)
    if payout.withheld is not None:
        assert settlement.withholding is not None
        position.emit(account.id, WithholdingRecorded(payout, settlement.withholding.authority), books)
    request_payout(settlement, books)
    return PayoutResult(settlement.id, settlement.state)
