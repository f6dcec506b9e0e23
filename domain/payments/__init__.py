"""Payments: what customers pay, which invoices that covers, and the credit that is left."""

from domain.handler import Handler
from domain.ledger.books import Queue
from domain.payments.allocating import allocate_credit, allocation_needs
from domain.payments.model import Allocation, CreditAllocation, Payment, ReceivedPayment
from domain.payments.receiving import payment_needs, payment_time, receive_payment

FACTS = (
    Handler(ReceivedPayment, payment_needs, receive_payment, lambda fact: fact.billing_account, payment_time),
    Handler(CreditAllocation, allocation_needs, allocate_credit, lambda fact: fact.billing_account),
)

QUEUES = (
    Queue(Payment, is_empty=lambda position: position.unapplied == 0),
    # Of a payment, which has no position.
    Queue(Allocation, is_empty=lambda _position: False),
)
