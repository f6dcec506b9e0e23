"""Accounts: opened, changed, related to each other, suspended, closed; and the resources that they refer to."""

from domain.accounts.closings import ClosingSchedule
from domain.accounts.lifecycle import change_state, state_needs
from domain.accounts.model import AccountUpdate, NewAccount, StateCommand
from domain.accounts.opening import account_needs, open_account, update_account
from domain.accounts.references import Link
from domain.accounts.specifications import (
    BillingCycleSpecification,
    NewSpecification,
    SpecificationDeletion,
    SpecificationUpdate,
    create_specification,
    delete_specification,
    specification_needs,
    update_specification,
)
from domain.handler import Handler, nobody
from domain.ledger.books import Queue

FACTS = (
    Handler(NewAccount, account_needs, open_account, lambda fact: fact.id),
    Handler(AccountUpdate, account_needs, update_account, lambda fact: fact.account),
    Handler(StateCommand, state_needs, change_state, lambda fact: fact.account),
    Handler(NewSpecification, specification_needs, create_specification, nobody),
    Handler(SpecificationUpdate, specification_needs, update_specification, nobody),
    Handler(SpecificationDeletion, specification_needs, delete_specification, nobody),
)

# What an account owes tells nothing of who refers to it, or of what is nobody's.
QUEUES = (
    Queue(Link),
    Queue(BillingCycleSpecification),
    Queue(ClosingSchedule),
)
