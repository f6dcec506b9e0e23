"""Payments: what customers pay, which invoices that covers, and the credit that is left."""

from domain.handler import Handler, nobody
from domain.invoicing.model import Invoice
from domain.ledger.books import Queue
from domain.payments.allocating import allocate_credit, allocation_needs
from domain.payments.backdating import correct_past_invoice
from domain.payments.model import Allocation, CreditAllocation, FailedPayment, Payment, ReceivedPayment
from domain.payments.netting import apply_netting, netting_needs
from domain.payments.receiving import payment_needs, payment_time, receive_payment
from domain.payments.requesting import fail_payment, failure_needs, failure_time
from domain.settlement.backdating import SharesToCorrect, correction_needs
from domain.settlement.requesting import NettingToApply

FACTS = (
    Handler(NettingToApply, netting_needs, apply_netting, lambda fact: fact.settlement_account),
    Handler(SharesToCorrect, correction_needs, correct_past_invoice, nobody),
    Handler(
        ReceivedPayment,
        payment_needs,
        receive_payment,
        lambda fact: fact.billing_account,
        payment_time,
        passes_over=(Invoice,),
    ),
    Handler(FailedPayment, failure_needs, fail_payment, nobody, failure_time),
    Handler(CreditAllocation, allocation_needs, allocate_credit, lambda fact: fact.billing_account),
)

QUEUES = (
    Queue(Payment, is_empty=lambda position: position.unapplied == 0),
    # Of a payment, which has no position.
    Queue(Allocation),
)
