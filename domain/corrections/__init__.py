"""Corrections: what is taken back of invoices and payments once they are booked."""

from domain.corrections.crediting import issue_credit_note, note_needs, note_time
from domain.corrections.model import CompletedRefund, NoteToIssue
from domain.corrections.refunding import complete_refund, refund_needs, refund_time
from domain.frozen import replace
from domain.handler import Handler, nobody

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
)
