"""Corrections: the documents, what comes in about them, and what happens to them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from domain.frozen import dataclass
from domain.invoicing.model import Invoice, TaxItem
from domain.money import Money
from domain.payments.allocating import Deallocation
from domain.payments.model import Payment

Excess = Literal["credit", "refund"]
"""What becomes of what a note credits beyond what is open: the payments' credit again, or money to give back."""


@dataclass(frozen=True, slots=True)
class CreditedLine:
    """How much of a line's net a note is to credit, with the line's sign."""

    line_id: str
    net: Money


@dataclass(frozen=True, slots=True)
class NoteToIssue:
    """`credit-note.issue`; without `lines`, all that is left of the invoice is credited."""

    id: str
    bill_no: str
    issued_at: datetime
    reason: str
    lines: tuple[CreditedLine, ...] | None
    excess: Excess


@dataclass(frozen=True, slots=True)
class CreditNoteLine:
    """What a note credits of a line: of its net, and its part of the group's tax (minor units, the line's sign).

    Of a line on behalf of a partner also by how much that changes what is its share, and what is withheld of it.
    """

    line_id: str
    category: str
    rate: Decimal
    tax_excluded_amount: int
    tax_amount: int
    on_behalf_of: str | None
    share: int
    withheld: int


@dataclass(frozen=True, slots=True)
class PaymentPart:
    """A part of a payment (minor units)."""

    payment_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note (UNTDID 1001, 381): what it takes back of an invoice, by line and by tax group, in minor units.

    `id` is its sender's, `bill_no` its own number. It covers what was open of the invoice (`covered`), what was written
    off of it (`recovered`), and what was allocated to it (`deallocated`). With the `excess` to be refunded, `reserved`
    is what of that is still to be given back. `buyer_version` and `seller_version` are those of its account and of the
    seller as it was issued, as an invoice has them; so is its `seller`.
    """

    id: str
    bill_no: str
    corrected_bill_no: str
    billing_account: str
    currency: str
    bill_date: date
    issued_at: datetime
    booked_at: datetime
    cause: str
    reason: str
    tax_excluded_amount: int
    tax_included_amount: int
    tax_item: tuple[TaxItem, ...]
    lines: tuple[CreditNoteLine, ...]
    covered: int
    recovered: int
    excess: Excess
    deallocated: tuple[PaymentPart, ...]
    reserved: tuple[PaymentPart, ...]
    buyer_version: int
    seller_version: int | None
    seller: str | None = None

    @property
    def refundable(self) -> int:
        """What is still to be given back."""
        return sum(part.amount for part in self.reserved)


@dataclass(frozen=True, slots=True)
class CompletedRefund:
    """`refund.completed`: money went back to a customer, of a credit note, of a payment, or of its credit.

    `late`: it has waited for what it is to be taken of, and is booked all the same.
    """

    id: str
    billing_account: str
    money: Money
    refunded_at: datetime
    credit_note_id: str | None
    payment_id: str | None
    method: str | None
    late: bool = False


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as booked: append-only. `amount` (minor units) is what of payments went back, and what is `recoverable`.

    `taken` is what it took of each payment: what a note had reserved of it, what was credit, and what the refund itself
    has `deallocated` of invoices.
    """

    id: str
    billing_account: str
    currency: str
    amount: int
    refunded_at: datetime
    booked_at: datetime
    credit_note_id: str | None
    payment_id: str | None
    method: str | None
    taken: tuple[PaymentPart, ...]
    deallocated: tuple[Deallocation, ...]
    recoverable: int


@dataclass(frozen=True, slots=True)
class RefundResult:
    """What a refund is answered with: what of it the customer owes us again, since there was no credit for it."""

    recoverable: Money


@dataclass(frozen=True, slots=True)
class RefundBooked:
    """A refund was booked."""

    refund: Refund


@dataclass(frozen=True, slots=True)
class PaymentToReverse:
    """`payment.reversed`: a returned debit or a chargeback, of the whole payment or of `amount`; `fee` is the bank's.

    `late`: it has waited for what it is to be taken of, and is booked all the same.
    """

    id: str
    payment_id: str
    reversed_at: datetime
    reason: str
    amount: Money | None
    fee: Money | None
    late: bool = False


@dataclass(frozen=True, slots=True)
class NotePart:
    """A part of what a credit note has reserved (minor units)."""

    credit_note_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class TransferredPart:
    """What a reversal took of credit that was transferred of the payment, in minor units; `payment_id` is its id there.

    It took `credit` of it, that which the reversal has de-allocated for that included, and what notes had `reserved`.
    """

    payment_id: str
    billing_account: str
    credit: int
    reserved: tuple[NotePart, ...]


@dataclass(frozen=True, slots=True)
class Reversal:
    """A reversal as booked: append-only; amounts in minor units.

    It took `credit` of the payment, that which it has itself `deallocated` of invoices included, what notes had
    `reserved` of it, and what was `transferred` of it, from whoever had it; what there was nothing of is `recoverable`.
    `deallocated` says what covered invoices, of the payment and of what was transferred of it.
    """

    id: str
    payment_id: str
    billing_account: str
    currency: str
    amount: int
    fee: int
    reversed_at: datetime
    booked_at: datetime
    reason: str
    credit: int
    reserved: tuple[NotePart, ...]
    transferred: tuple[TransferredPart, ...]
    deallocated: tuple[Deallocation, ...]
    recoverable: int

    @property
    def owner(self) -> str:
        """Its payment."""
        return self.payment_id

    @property
    def order_key(self) -> tuple[datetime, str]:
        """The order in which they were booked."""
        return (self.booked_at, self.id)

    @property
    def is_open(self) -> bool:
        """Always: what was reversed of a payment counts for ever."""
        return True


@dataclass(frozen=True, slots=True)
class ReversalResult:
    """What a reversal is answered with: how much was reversed, and what of it the customer owes us again."""

    amount: Money
    recoverable: Money


@dataclass(frozen=True, slots=True)
class ReversalBooked:
    """A payment was reversed, or a part of it; the payment as that leaves it, or credit that was transferred of it."""

    payment: Payment
    reversal: Reversal


@dataclass(frozen=True, slots=True)
class CreditToGrant:
    """`credit.grant`: goodwill, credit that nobody paid."""

    id: str
    billing_account: str
    money: Money
    granted_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Goodwill:
    """Goodwill as it was granted: append-only; `amount` in minor units. It is kept as credit among the payments."""

    id: str
    billing_account: str
    currency: str
    amount: int
    granted_at: datetime
    booked_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CreditGranted:
    """Goodwill was granted."""

    goodwill: Goodwill


@dataclass(frozen=True, slots=True)
class CreditToTransfer:
    """`credit.transfer`: credit that is another account's, as of a payment that was booked on the wrong one."""

    id: str
    from_account: str
    to_account: str
    money: Money
    transferred_at: datetime
    reason: str
    payment_id: str | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer as booked: append-only; amounts in minor units.

    `taken` is what it took of which payment; the n-th of them is the credit `transfer~<id>~<n>` of the account that it
    went to.
    """

    id: str
    from_account: str
    to_account: str
    currency: str
    amount: int
    transferred_at: datetime
    booked_at: datetime
    reason: str
    payment_id: str | None
    taken: tuple[PaymentPart, ...]


@dataclass(frozen=True, slots=True)
class CreditTransferred:
    """Credit went from one account to another; each of them is told."""

    transfer: Transfer


@dataclass(frozen=True, slots=True)
class CreditDeallocation:
    """`credit.deallocate`: how much of a payment still has to be undone in another transaction, in minor units.

    Until then it is recoverable from `billing_account`. `at` is when the payment came back, or went back; `sequence`
    tells it from other rests.
    """

    billing_account: str
    payment_id: str
    amount: int
    at: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class InvoiceReopened:
    """An invoice of which something remains again, and how much of payments covers it no more."""

    invoice: Invoice
    deallocated: tuple[Deallocation, ...]


@dataclass(frozen=True, slots=True)
class NoteResult:
    """What a credit note is answered with: its number."""

    bill_no: str


@dataclass(frozen=True, slots=True)
class CreditNoteIssued:
    """A credit note was issued."""

    note: CreditNote


@dataclass(frozen=True, slots=True)
class InvoiceCredited:
    """An invoice as a credit note leaves it."""

    note: CreditNote
    invoice: Invoice


# -- write-offs


@dataclass(frozen=True, slots=True)
class InvoiceToWriteOff:
    """`invoice.write-off`: what remains of an invoice, or `amount` of it, is given up as lost.

    With `tax_relief` we need not pay the tax in it.
    """

    id: str
    bill_no: str
    written_off_at: datetime
    reason: str
    amount: Money | None
    tax_relief: bool


@dataclass(frozen=True, slots=True)
class WriteOff:
    """A write-off as booked: append-only; `amount` in minor units, tax included."""

    id: str
    bill_no: str
    billing_account: str
    currency: str
    amount: int
    tax_relief: bool
    written_off_at: datetime
    booked_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class WriteOffResult:
    """What a write-off is answered with: how much was written off."""

    amount: Money


@dataclass(frozen=True, slots=True)
class InvoiceWrittenOff:
    """An invoice as a write-off leaves it."""

    invoice: Invoice
    write_off: WriteOff


# -- disputes

DisputeState = Literal["open", "settled", "withdrawn"]


@dataclass(frozen=True, slots=True)
class DisputeToOpen:
    """`dispute.open`: the customer disputes something of an invoice's lines."""

    id: str
    bill_no: str
    opened_at: datetime
    reason: str
    items: tuple[CreditedLine, ...]


@dataclass(frozen=True, slots=True)
class DisputeToSettle:
    """`dispute.settle`: what of a dispute's lines is approved is credited; nothing may be."""

    id: str
    settled_at: datetime
    approved: tuple[CreditedLine, ...]


@dataclass(frozen=True, slots=True)
class DisputeToWithdraw:
    """`dispute.withdraw`: the customer disputes it no more."""

    id: str
    withdrawn_at: datetime


@dataclass(frozen=True, slots=True)
class DisputedLine:
    """How much of a line's net is disputed, with the line's sign, and how much of that was approved (minor units).

    `counted` is how much of it counts: no more than notes and earlier disputes leave of the line. It is None where an
    earlier version of the program worked out what the dispute comes to, from all that it is about.
    """

    line_id: str
    tax_excluded_amount: int
    approved: int = 0
    counted: int | None = None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute of something of an invoice: `amount` is what of that is disputed by it, tax included (minor units).

    That is the difference that it makes to what is disputed of the invoice in all (`count_disputed`), while it is open;
    one that has ended keeps what it was then.

    `ended_at` is when it was settled or withdrawn by its own saying, `ended_booked_at` when that was booked.
    `credit_note` is the number of the note that credits what was approved. `seller` is the settlement account of the
    partner in whose name the invoice is; None of ours.
    """

    id: str
    bill_no: str
    billing_account: str
    currency: str
    state: DisputeState
    lines: tuple[DisputedLine, ...]
    amount: int
    opened_at: datetime
    booked_at: datetime
    reason: str
    ended_at: datetime | None = None
    ended_booked_at: datetime | None = None
    credit_note: str | None = None
    seller: str | None = None

    @property
    def owner(self) -> str:
        """The billing account that owes the invoice."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[datetime, str]:
        """The order in which they were opened."""
        return (self.booked_at, self.id)

    @property
    def is_open(self) -> bool:
        """Whether it is neither settled nor withdrawn."""
        return self.state == "open"


@dataclass(frozen=True, slots=True)
class DisputeResult:
    """What a dispute is answered with: its state, and the number of the note for what was approved, if any."""

    state: DisputeState
    credit_note: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeOpened:
    """A dispute was opened; the invoice as that leaves it."""

    dispute: Dispute
    invoice: Invoice


@dataclass(frozen=True, slots=True)
class DisputeSettled:
    """A dispute was settled; the invoice as that leaves it."""

    dispute: Dispute
    invoice: Invoice


@dataclass(frozen=True, slots=True)
class DisputeWithdrawn:
    """A dispute was withdrawn; the invoice as that leaves it."""

    dispute: Dispute
    invoice: Invoice
