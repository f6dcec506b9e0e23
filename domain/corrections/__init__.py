"""Corrections: what is taken back of invoices and payments once they are booked."""

from domain.corrections.crediting import issue_credit_note, note_needs, note_time
from domain.corrections.model import CompletedRefund, NoteToIssue, PaymentToReverse, Reversal
from domain.corrections.refunding import complete_refund, refund_needs, refund_time
from domain.corrections.reversing import reversal_needs, reversal_time, reverse_payment
from domain.frozen import replace
from domain.handler import Handler, nobody
from domain.ledger.books import Queue

FACTS = (
    Handler(NoteToIssue, note_needs, issue_credit_note, nobody, note_time),
    Handler(
        CompletedRefund,
        refund_needs,
        complete_refund,
        lambda fact: fact.billing_account,
        refund_time,
        lambda fact: replace(fact, late=True),
    ),
    Handler(
        PaymentToReverse,
        reversal_needs,
        reverse_payment,
        nobody,
        reversal_time,
        lambda fact: replace(fact, late=True),
    ),
)

# Of a payment, which has no position.
QUEUES = (Queue(Reversal, is_empty=lambda _position: False),)
