"""Invoices: what a customer owes, line by line, and how much of it is paid; and what happens to them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from domain.errors import MustWait
from domain.frozen import dataclass, replace
from domain.invoicing.reference import payment_reference
from domain.ledger.books import Books
from domain.money import rounded_ratio, share_of

InvoiceState = Literal["new", "onHold", "validated", "sent", "partiallyPaid", "settled"]
"""TMF678's states of a customer bill."""


@dataclass(frozen=True, slots=True)
class AgreementRevision:
    """What was agreed with a partner: an agreement, and which of its revisions."""

    id: str
    revision: int


@dataclass(frozen=True, slots=True)
class TierShare:
    """What a partner's share of a line is by tiers, frozen: `share` of its whole net (minor units).

    `start` is the first day of the tiers' period, `before` the period's net without the line, as it was then.
    """

    start: date
    before: int
    share: int


@dataclass(frozen=True, slots=True)
class IssuedShare:
    """A partner's share of a line's whole net as it was issued (minor units), and when it was to accrue."""

    share: int
    accrue_on: Literal["invoice", "payment"]


@dataclass(frozen=True, slots=True)
class AgentShare:
    """That we have sold a line as its partner's agent: our `commission` is a rate of its net.

    `category` and `rate` are those of the tax on that; `charged` is what the commission comes to so far (minor units,
    without tax), of what has accrued.
    """

    commission: Decimal
    category: str
    rate: Decimal
    charged: int

    def commission_on(self, net: int, accrued: int, share: int) -> int:
        """The commission of a line of which so much net is left, when so much of the share has accrued (minor units).

        round(commission × net × accrued ÷ share).
        """
        numerator, denominator = self.commission.as_integer_ratio()
        if not share:
            return rounded_ratio(net * numerator, denominator)
        if share < 0:
            accrued, share = -accrued, -share
        return rounded_ratio(net * accrued * numerator, denominator * share)


@dataclass(frozen=True, slots=True)
class FreedShare:
    """What has accrued of a share in a period of tiers that go by payments, which begins with `start` (minor units).

    `net` is so much of the line's net as `share` was accrued for.
    """

    start: date
    net: int
    share: int


@dataclass(frozen=True, slots=True)
class PartnerShare:
    """A partner's part in a line, its terms frozen: `share` of the line (minor units), of which `accrued` so far.

    The terms are those of its `agreement`, or of the partner's account where that is None. It has a rate of the line's
    net (`partner_share`), or a `tier`, or we are the partner's `agent`: then the share is all of the line with its tax.
    `issued` is what it was with the invoice, where other terms were agreed of its day since; else None. `freed` is what
    has accrued of it in which period, where tiers go by that and the rate is their first step's; None where they don't.
    `awaited` says that its payment counts although nothing is withheld: that step has no share. Otherwise it is None.
    """

    id: str
    partner_share: Decimal | None
    accrue_on: Literal["invoice", "payment"]
    share: int
    accrued: int
    agreement: AgreementRevision | None = None
    tier: TierShare | None = None
    issued: IssuedShare | None = None
    agent: AgentShare | None = None
    freed: tuple[FreedShare, ...] | None = None
    awaited: bool | None = None

    def share_of(self, part: int, net: int) -> int:
        """The frozen share of a part of the line's net (both minor units), of what we do not sell as an agent."""
        if self.tier is None:
            assert self.partner_share is not None, f"a line of {self.id} has neither a rate nor a tier"
            return share_of(part, self.partner_share)
        return rounded_ratio(self.tier.share * (part if net > 0 else -part), abs(net)) if net else 0


@dataclass(frozen=True, slots=True)
class Period:
    """A time from its start to its end, which is not in it."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class CorrectsLine:
    """The invoice's line that something corrects."""

    bill_no: str
    line_id: str


@dataclass(frozen=True, slots=True)
class LineOrigin:
    """What a line of a bill comes of: whose it is, and the charge, or the subscription's price, that it bills.

    `period` is what it covers. One that takes back what another line billed says which.
    """

    account: str
    charge_id: str | None = None
    subscription_id: str | None = None
    price_id: str | None = None
    period: Period | None = None
    corrects: CorrectsLine | None = None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A line as invoiced. `tax_amount` is its part of its group's tax (EN 16931 knows tax by group only).

    `origin` says what it comes of; None where that is an order.
    """

    id: str
    description: str | None
    quantity: Decimal
    unit_price: Decimal
    category: str
    rate: Decimal
    tax_excluded_amount: int
    tax_amount: int
    on_behalf_of: PartnerShare | None
    origin: LineOrigin | None = None

    def share_left(self, corrected: CorrectedLine) -> int:
        """The frozen share of a line on behalf of a partner, less that of what is credited of it (minor units)."""
        part, net, credited = self.on_behalf_of, self.tax_excluded_amount, corrected.credited
        assert part is not None, f"nobody has a part in line {self.id}"
        if part.agent is not None:
            return net + self.tax_amount - credited - (corrected.credited_tax or 0)
        return part.share_of(net, net) - (part.share_of(credited, net) if credited else 0)


@dataclass(frozen=True, slots=True)
class TaxItem:
    """The tax of one (category, rate) group: on the sum of its lines' nets (EN 16931, BR-CO-17)."""

    category: str
    rate: Decimal
    tax_excluded_amount: int
    tax_amount: int


@dataclass(frozen=True, slots=True)
class AppliedPayment:
    """How much of a payment an invoice has consumed."""

    payment_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class CorrectedLine:
    """What of a line was taken back so far (minor units): `credited` of its net, with the line's sign.

    `given_up` is how much of a partner's share, withheld until the payment, was written off with the invoice.
    `taken_back` is what lines of bills took back of its net, with its sign, less what they gave back: no note credits
    that again. It is None while none did. Of such a line of a bill, `given_back` is what of it notes gave back to the
    line that it took it of, by crediting it; None while none did. What an earlier version credited gave nothing back.
    `credited_tax` is what notes took back of its part of the tax, of a line that is a partner's own; None while that is
    nothing.
    """

    line_id: str
    credited: int = 0
    given_up: int = 0
    taken_back: int | None = None
    given_back: int | None = None
    credited_tax: int | None = None

    @property
    def gone(self) -> int:
        """What notes and lines of bills took back of its net."""
        return self.credited + (self.taken_back or 0)


@dataclass(frozen=True, slots=True)
class CorrectedTax:
    """What of a (category, rate) group's tax was taken back so far (minor units): by notes, as relief, by bills."""

    category: str
    rate: Decimal
    credited: int = 0
    relieved: int = 0
    taken_back: int | None = None

    @property
    def gone(self) -> int:
        """What notes and lines of bills took back of its tax."""
        return self.credited + (self.taken_back or 0)


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """What of a write-off still stands (minor units); with `tax_relief` we need not pay the tax in it."""

    write_off_id: str
    amount: int
    tax_relief: bool


@dataclass(frozen=True, slots=True)
class Corrections:
    """What was taken back of an invoice so far (minor units, tax included), in all, by line and by tax group.

    `credited` is what its credit notes come to; `write_offs` are those of which something is not recovered, oldest
    first. Only lines and groups of which something was taken back are in it.
    """

    credited: int = 0
    write_offs: tuple[WrittenOff, ...] = ()
    lines: tuple[CorrectedLine, ...] = ()
    tax: tuple[CorrectedTax, ...] = ()

    @property
    def taken_back(self) -> int:
        """What lines of bills took back of it: the customer owes the invoice, and so much less on those bills."""
        of_lines = sum(line.taken_back or 0 for line in self.lines)
        return of_lines + sum(group.taken_back or 0 for group in self.tax)

    @property
    def written_off(self) -> int:
        """What was given up as lost and is not recovered."""
        return sum(one.amount for one in self.write_offs)

    @property
    def with_relief(self) -> int:
        """As much of that as relieves us of its tax."""
        return sum(one.amount for one in self.write_offs if one.tax_relief)

    def recovered(self, amount: int) -> tuple[tuple[WrittenOff, ...], tuple[WrittenOff, ...]]:
        """What stands of the write-offs when so much of them (minor units) is recovered, latest first; and that."""
        left, taken = list(self.write_offs), []
        while amount:
            last = left.pop()
            part = min(last.amount, amount)
            amount -= part
            taken.append(replace(last, amount=part))
            if part < last.amount:
                left.append(replace(last, amount=last.amount - part))
        return tuple(left), tuple(taken)


NO_CORRECTIONS = Corrections()


@dataclass(frozen=True, slots=True)
class Loss:
    """By how much a fact changed what is lost of an invoice (minor units): append-only; below zero, it is lost no more.

    `written_off` is lost of what the customer owes; of that we need not pay `relieved` as tax, nor `given_up` to
    partners, whose shares were withheld until the payment.
    """

    id: str
    bill_no: str
    billing_account: str
    written_off: int
    relieved: int
    given_up: int
    cause: str
    booked_at: datetime


@dataclass(frozen=True, slots=True)
class DisputedPart:
    """How much more of an invoice is disputed by a dispute that is open (minor units, tax included)."""

    dispute_id: str
    amount: int


REQUEST_DAYS = 14
"""For how many days what was requested is waited for, if nobody says what came of it."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """That what was due of an invoice (minor units) was requested on a day from its account's means of payment.

    There is one of an invoice, ever, under the invoice's number: what is asked for twice may be paid twice. It was paid
    by `payment_id`, or failed, for a reason; nobody has said yet what came of it where both are None.
    """

    on: date
    amount: int
    payment_method: str
    failed_at: datetime | None = None
    reason: str | None = None
    payment_id: str | None = None

    def is_waited_for(self, day: date) -> bool:
        """Whether it may still be paid, so that on a day nothing else is done about the invoice."""
        return self.failed_at is None and self.payment_id is None and (day - self.on).days < REQUEST_DAYS


@dataclass(frozen=True, slots=True)
class Handling:
    """What was said of an invoice since it was issued: that the customer accepted it, that it was sent, disputes.

    `disputes` are those that are open, oldest first. `overdue_on` is the day on which it was told that it is overdue,
    None as long as it was not; `request` is what was requested of it.
    """

    validated_at: datetime | None = None
    validated_by: str | None = None
    sent_at: datetime | None = None
    medium: str | None = None
    disputes: tuple[DisputedPart, ...] = ()
    overdue_on: date | None = None
    request: PaymentRequest | None = None


NOT_HANDLED = Handling()


RunType = Literal["onCycle", "offCycle"]
"""TMF678's types of a bill: made by a run of its cycle, or on demand."""


@dataclass(frozen=True, slots=True)
class Billing:
    """How a bill came about that no order made: the identity of the fact that did, and what its lines cover.

    `bill_run` is the id of the run that made it, None of a bill that was demanded.
    """

    cause: str
    run_type: RunType
    period: Period
    bill_run: str | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """A TMF678 customer bill; `id` is its `billNo`, amounts are minor units of `currency`.

    `billing_account` owes it; `ordered_for` is the account that the order named, another one where that has a payer.
    `seller` is the settlement account of the partner in whose name we have issued it, as its agent; None: it is ours.
    `buyer_version` is the version of the account that owes it, `seller_version` that of the seller, or of the partner's
    account, both as it was issued: so it can be shown alike for ever. The seller's is None while nothing was said of
    the seller; both are of an invoice that an earlier version of the program has issued. An issued invoice is never
    edited: what was taken back of it since stands in `corrections`, what was said of it in `handling`; each is None
    while that is nothing. One that an order made has its `order_id`, any other its `billing`.
    """

    id: str
    billing_account: str
    ordered_for: str
    order_id: str | None
    currency: str
    state: InvoiceState
    bill_date: date
    payment_due_date: date
    tax_point_date: date
    booked_at: datetime
    tax_excluded_amount: int
    tax_included_amount: int
    remaining_amount: int
    tax_item: tuple[TaxItem, ...]
    lines: tuple[InvoiceLine, ...]
    applied_payment: tuple[AppliedPayment, ...] = ()
    buyer_version: int | None = None
    seller_version: int | None = None
    corrections: Corrections | None = None
    handling: Handling | None = None
    billing: Billing | None = None
    seller: str | None = None

    @property
    def cause(self) -> str:
        """The identity of the fact that made it."""
        if self.order_id is not None:
            return f"order.completed:{self.order_id}"
        assert self.billing is not None, f"invoice {self.id} has neither an order nor a bill's cause"
        return self.billing.cause

    @property
    def corrected(self) -> Corrections:
        """What was taken back of it so far."""
        return self.corrections or NO_CORRECTIONS

    @property
    def billed(self) -> int:
        """What it comes to less its credit notes."""
        return self.tax_included_amount - self.corrected.credited

    @property
    def creditable(self) -> int:
        """What notes can still credit of it: what it comes to, less what they have credited and bills took back.

        Where bills took back discounts, the customer owes more on those, and no more of this one.
        """
        return self.billed - max(0, self.corrected.taken_back)

    @property
    def allocated(self) -> int:
        """What payments cover of it."""
        return self.billed - self.corrected.written_off - self.remaining_amount

    @property
    def handled(self) -> Handling:
        """What was said of it so far."""
        return self.handling or NOT_HANDLED

    @property
    def undisputed(self) -> int:
        """What remains and no dispute is about: it is due, and any credit covers it."""
        if self.handling is None:
            return self.remaining_amount
        return max(0, self.remaining_amount - sum(dispute.amount for dispute in self.handling.disputes))

    @property
    def coverable(self) -> int:
        """What a payment covers that names it: what remains, disputed or not, and what is written off."""
        return self.remaining_amount + self.corrected.written_off

    @property
    def payment_reference(self) -> str | None:
        """The creditor reference (ISO 11649) that its number makes; None where the number is too long for one."""
        return payment_reference(self.id)

    @property
    def owner(self) -> str:
        """The billing account that owes it."""
        return self.billing_account

    @property
    def order_key(self) -> tuple[date, str]:
        """The order in which payments cover invoices: by due date, then by number."""
        return (self.payment_due_date, self.id)

    @property
    def is_open(self) -> bool:
        """Whether something remains to be paid."""
        return self.remaining_amount > 0


def state_of(invoice: Invoice) -> InvoiceState:
    """The state of an invoice (TMF678), which follows from its disputes, its money, and what was said of it.

    `onHold` while a dispute is open; else `settled` when nothing remains; else `partiallyPaid` when something is
    allocated; else `sent`, `validated`, or `new`.
    """
    handled = invoice.handled
    if handled.disputes:
        return "onHold"
    if not invoice.remaining_amount:
        return "settled"
    if invoice.allocated:
        return "partiallyPaid"
    if handled.sent_at is not None:
        return "sent"
    return "new" if handled.validated_at is None else "validated"


def find_invoice(bill_no: str, books: Books, field: str = "billNo") -> Invoice:
    """The invoice of a number; raises `MustWait` (`unknown-invoice`)."""
    invoice = books.find(Invoice, bill_no)
    if invoice is None:
        raise MustWait("unknown-invoice", f"{field}: no invoice {bill_no}", f"invoice:{bill_no}")
    return invoice


# -- facts


@dataclass(frozen=True, slots=True)
class InvoiceValidation:
    """`invoice.validate`: the customer accepted an invoice; `by` says who did."""

    bill_no: str
    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class InvoiceSending:
    """`invoice.send`: an invoice was sent; `medium` says how."""

    bill_no: str
    at: datetime
    medium: str | None


@dataclass(frozen=True, slots=True)
class InvoiceStateResult:
    """What is answered to what is said of an invoice: the state that it has then."""

    state: InvoiceState


# -- what happens


@dataclass(frozen=True, slots=True)
class InvoiceIssued:
    """An invoice as it was issued, before any credit."""

    invoice: Invoice


@dataclass(frozen=True, slots=True)
class InvoicePartiallyPaid:
    """An invoice, some of which is paid now."""

    invoice: Invoice


@dataclass(frozen=True, slots=True)
class InvoicePaid:
    """An invoice of which nothing remains."""

    invoice: Invoice


@dataclass(frozen=True, slots=True)
class InvoiceStateChanged:
    """An invoice whose state another one is now, by what was said of it."""

    invoice: Invoice
    old_state: InvoiceState


@dataclass(frozen=True, slots=True)
class InvoiceOverdue:
    """An invoice that was due before the newest day, and is not paid."""

    invoice: Invoice


@dataclass(frozen=True, slots=True)
class InvoiceRecovered:
    """An invoice of which a payment covers what was written off; and how much of which write-off."""

    invoice: Invoice
    payment_id: str
    recovered: tuple[WrittenOff, ...]
