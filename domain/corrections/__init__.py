"""Corrections: what is taken back of invoices and payments once they are booked."""

from domain.accounts.model import BILLING
from domain.corrections.crediting import issue_credit_note, note_needs, note_time
from domain.corrections.deallocating import deallocate_credit, deallocation_needs
from domain.corrections.disputing import (
    end_needs,
    open_dispute,
    opening_needs,
    opening_time,
    settle_dispute,
    settling_time,
    withdraw_dispute,
    withdrawal_time,
)
from domain.corrections.granting import grant_credit, grant_needs, grant_time
from domain.corrections.model import (
    CompletedRefund,
    CreditDeallocation,
    CreditToGrant,
    CreditToTransfer,
    Dispute,
    DisputeToOpen,
    DisputeToSettle,
    DisputeToWithdraw,
    InvoiceToWriteOff,
    NoteToIssue,
    PaymentToReverse,
    Reversal,
)
from domain.corrections.refunding import complete_refund, refund_needs, refund_time
from domain.corrections.reversing import reversal_needs, reversal_time, reverse_payment
from domain.corrections.transferring import transfer_credit, transfer_needs, transfer_time
from domain.corrections.writing_off import write_off_invoice, write_off_needs, write_off_time
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
    Handler(InvoiceToWriteOff, write_off_needs, write_off_invoice, nobody, write_off_time),
    Handler(DisputeToOpen, opening_needs, open_dispute, nobody, opening_time),
    Handler(DisputeToSettle, end_needs, settle_dispute, nobody, settling_time),
    Handler(DisputeToWithdraw, end_needs, withdraw_dispute, nobody, withdrawal_time),
    Handler(CreditDeallocation, deallocation_needs, deallocate_credit, lambda fact: fact.billing_account),
    Handler(CreditToGrant, grant_needs, grant_credit, lambda fact: fact.billing_account, grant_time),
    Handler(CreditToTransfer, transfer_needs, transfer_credit, lambda fact: fact.from_account, transfer_time),
)

QUEUES = (
    # Of a payment, which has no position.
    Queue(Reversal),
    Queue(Dispute, keeps_open=BILLING),
)
