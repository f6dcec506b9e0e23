"""Dunning: what is done, step by step, about what is overdue; it composes billing, and all that stands below."""

from domain.dunning.completing import complete_day, completion_needs
from domain.dunning.looking import dunning_needs, look_at_account
from domain.dunning.model import AccountToDun, DayToComplete, PaymentToPromise, Suspension
from domain.dunning.promising import promise_payment
from domain.handler import Handler, nobody
from domain.ledger.books import Queue

FACTS = (
    Handler(AccountToDun, dunning_needs, look_at_account, lambda fact: fact.billing_account),
    Handler(DayToComplete, completion_needs, complete_day, nobody),
    Handler(PaymentToPromise, dunning_needs, promise_payment, lambda fact: fact.billing_account),
)

# What an account owes tells nothing of what was suspended for it.
QUEUES = (Queue(Suspension),)
