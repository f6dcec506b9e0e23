"""Which part of the domain deals with which fact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.accounts.lifecycle import change_state, state_needs
from domain.accounts.model import AccountUpdate, NewAccount, StateCommand
from domain.accounts.opening import account_needs, open_account, update_account
from domain.accounts.specifications import (
    NewSpecification,
    SpecificationDeletion,
    SpecificationUpdate,
    create_specification,
    delete_specification,
    specification_needs,
    update_specification,
)
from domain.ledger.books import Books, Need, WorkingSet
from domain.ordering.completing import Order, complete_order, order_needs
from domain.payments.allocating import (
    CreditAllocation,
    ReceivedPayment,
    allocate_credit,
    allocation_needs,
    payment_needs,
    receive_payment,
)
from domain.settlement.statements import (
    Closing,
    CompletedPayout,
    close_settlement,
    closing_needs,
    complete_payout,
    payout_needs,
)


@dataclass(frozen=True, slots=True)
class Handling:
    """How a fact is dealt with: what it needs loaded, what applies it, whose account it is about, if any's."""

    needs: Callable[[Any, WorkingSet], Iterable[Need]]
    apply: Callable[[Any, Books], Mapping[str, object]]
    account: Callable[[Any], str | None]


HANDLINGS: dict[type, Handling] = {
    NewAccount: Handling(account_needs, open_account, lambda fact: str(fact.id)),
    AccountUpdate: Handling(account_needs, update_account, lambda fact: str(fact.account)),
    StateCommand: Handling(state_needs, change_state, lambda fact: str(fact.account)),
    NewSpecification: Handling(specification_needs, create_specification, lambda _fact: None),
    SpecificationUpdate: Handling(specification_needs, update_specification, lambda _fact: None),
    SpecificationDeletion: Handling(specification_needs, delete_specification, lambda _fact: None),
    Order: Handling(order_needs, complete_order, lambda fact: str(fact.billing_account)),
    ReceivedPayment: Handling(payment_needs, receive_payment, lambda fact: str(fact.billing_account)),
    CreditAllocation: Handling(allocation_needs, allocate_credit, lambda fact: str(fact.billing_account)),
    Closing: Handling(closing_needs, close_settlement, lambda fact: str(fact.settlement_account)),
    CompletedPayout: Handling(payout_needs, complete_payout, lambda fact: str(fact.settlement_account)),
}


def account_of(fact: object) -> str | None:
    """Whose account a fact is about, None if nobody's."""
    handling = HANDLINGS.get(type(fact))
    return handling.account(fact) if handling else None


def needs_of(fact: object, books: WorkingSet) -> Iterable[Need]:
    """What a fact needs loaded, as far as is known now; an operator's act needs nothing of the books."""
    handling = HANDLINGS.get(type(fact))
    return handling.needs(fact, books) if handling else ()


def apply(fact: object, books: Books) -> Mapping[str, object]:
    """Apply a fact to its books; returns the result that its sender is told. Raises what the domain raises."""
    result = HANDLINGS[type(fact)].apply(fact, books)
    books.finish()
    return result
