"""Billing: subscriptions, charges, bills of what is due, and their runs; it composes ordering and corrections."""

from domain.accounts.model import BILLING
from domain.billing.billed import BilledPeriod
from domain.billing.charging import add_charge, charge_needs
from domain.billing.demanding import demand_bill, demand_needs, demand_time
from domain.billing.model import BillDemand, Charge, ChargeToAdd
from domain.billing.running import (
    account_needs,
    bill_account,
    complete_run,
    completion_needs,
    open_runs,
    opening_needs,
    start_needs,
    start_run,
    start_time,
)
from domain.billing.runs import AccountToBill, BillRunToComplete, BillRunToStart, RunsToOpen
from domain.billing.subscribing import (
    change_needs,
    change_subscription,
    create_subscription,
    creation_needs,
    turn_needs,
    turn_subscription,
)
from domain.billing.subscriptions import Subscription, SubscriptionToChange, SubscriptionToCreate, SubscriptionTurn
from domain.billing.usage import UsageToRecord, record_usage, usage_needs, usage_time
from domain.handler import Handler, nobody
from domain.ledger.books import Queue

FACTS = (
    Handler(ChargeToAdd, charge_needs, add_charge, lambda fact: fact.billing_account),
    Handler(BillDemand, demand_needs, demand_bill, lambda fact: fact.billing_account, demand_time),
    Handler(SubscriptionToCreate, creation_needs, create_subscription, lambda fact: fact.billing_account),
    Handler(SubscriptionToChange, change_needs, change_subscription, nobody),
    Handler(SubscriptionTurn, turn_needs, turn_subscription, nobody),
    Handler(UsageToRecord, usage_needs, record_usage, nobody, usage_time),
    Handler(BillRunToStart, start_needs, start_run, nobody, start_time),
    Handler(RunsToOpen, opening_needs, open_runs, nobody),
    Handler(AccountToBill, account_needs, bill_account, lambda fact: fact.billing_account),
    Handler(BillRunToComplete, completion_needs, complete_run, nobody),
)

DAILY = (RunsToOpen,)
"""What begins with each day: the fact of its date."""

# What an account owes tells nothing of what it will be billed.
QUEUES = (
    Queue(Charge, keeps_open=BILLING),
    Queue(Subscription, keeps_open=BILLING),
    # A subscription's, which has no position.
    Queue(BilledPeriod),
)
