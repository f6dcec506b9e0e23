"""Books in memory: facts go in, in batches of any size, and a dictionary stands where the database would be.

The builders at the end say a fact in one short line; amounts of money are in minor units there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from itertools import count
from typing import Any, Literal, TypeVar, cast

from adapters.mongodb.view import View
from adapters.store.transaction import check_kinds
from domain import facts as all_facts
from domain.accounts.closings import ClosingCycle, ClosingSchedule
from domain.accounts.model import (
    BILLING,
    FINANCIAL,
    PARTY,
    SETTLEMENT,
    Account,
    AccountChanged,
    AccountCreated,
    AccountResult,
    AccountStateChanged,
    AccountUpdate,
    AccountVersion,
    AgentTerms,
    CreditLimitExceeded,
    NewAccount,
    Reference,
    Relationship,
    SettlementTerms,
    State,
    StateCommand,
)
from domain.accounts.references import Link
from domain.accounts.specifications import (
    SPECIFICATIONS,
    Action,
    BillFormat,
    BillingCycleSpecification,
    DunningProcedure,
    NewSpecification,
    Specification,
    SpecificationChanged,
    SpecificationDeletion,
    SpecificationResult,
    SpecificationUpdate,
)
from domain.billing.billed import BilledPeriod
from domain.billing.model import (
    BillDemand,
    BillOnDemandResult,
    BillOnDemandStateChanged,
    Charge,
    ChargeAdded,
    ChargeResult,
    ChargeToAdd,
)
from domain.billing.runs import (
    AccountBilled,
    AccountToBill,
    BillRun,
    BillRunCompleted,
    BillRunResult,
    BillRunStarted,
    BillRunToComplete,
    BillRunToStart,
    RunsOpened,
    RunsToOpen,
)
from domain.billing.subscriptions import (
    ChangeKind,
    Subscription,
    SubscriptionChanged,
    SubscriptionCreated,
    SubscriptionResult,
    SubscriptionStateChanged,
    SubscriptionToChange,
    SubscriptionToCreate,
    SubscriptionTurn,
)
from domain.billing.terms import Patch, ProductPrice, Terms
from domain.billing.usage import UsageResult, UsageToRecord
from domain.corrections.model import (
    CompletedRefund,
    CreditDeallocation,
    CreditedLine,
    CreditGranted,
    CreditNote,
    CreditNoteIssued,
    CreditToGrant,
    CreditToTransfer,
    CreditTransferred,
    Dispute,
    DisputeOpened,
    DisputeResult,
    DisputeSettled,
    DisputeToOpen,
    DisputeToSettle,
    DisputeToWithdraw,
    DisputeWithdrawn,
    Excess,
    InvoiceCredited,
    InvoiceReopened,
    InvoiceToWriteOff,
    InvoiceWrittenOff,
    NoteResult,
    NoteToIssue,
    PaymentToReverse,
    RefundBooked,
    RefundResult,
    Reversal,
    ReversalBooked,
    ReversalResult,
    WriteOffResult,
)
from domain.days.model import CALENDAR, BegunDay, Calendar, DayResult
from domain.dunning.model import (
    AccountToDun,
    DayToComplete,
    DunnedDayResult,
    DunningCleared,
    DunningResult,
    DunningStepTaken,
    PaymentToPromise,
    Suspension,
)
from domain.errors import MustWait, Refused
from domain.invoicing.model import (
    CorrectsLine,
    Invoice,
    InvoiceIssued,
    InvoiceOverdue,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceRecovered,
    InvoiceSending,
    InvoiceStateChanged,
    InvoiceStateResult,
    InvoiceValidation,
    PartnerShare,
    Period,
)
from domain.invoicing.pricing import Item, price
from domain.ledger.books import (
    QUEUE_FIRST,
    Books,
    Document,
    DocumentNeed,
    Emitted,
    Need,
    NotLoaded,
    Queued,
    RangeNeed,
    WorkingSet,
)
from domain.ledger.chart import BALANCES
from domain.ledger.entries import Entry, Posting
from domain.ledger.numbering import Series
from domain.ledger.positions import Position
from domain.money import Currency, Money, line_net
from domain.ordering.completing import Order, OrderResult
from domain.parties.model import SELLER, Seller, SellerChanged, SellerResult, SellerUpdate, SellerVersion
from domain.payments.model import (
    Allocation,
    CreditAllocation,
    FailedPayment,
    FailedPaymentResult,
    Payment,
    PaymentAllocated,
    PaymentRequested,
    PaymentResult,
    ReceivedPayment,
    RestResult,
)
from domain.payments.netting import NettingResult
from domain.settlement.accepting import (
    DocumentStateResult,
    DocumentToAccept,
    DocumentToDispute,
    SelfBillingAccepted,
    SelfBillingDisputed,
)
from domain.settlement.accruals import Accrual, SettlementAccrued
from domain.settlement.adjusting import Adjustment, AdjustmentResult, SettlementAdjusted
from domain.settlement.advances import AdvanceResult, PaidAdvance
from domain.settlement.agreeing import AgreementResult, AgreementToChange, AgreementToCreate, TiersToAgree
from domain.settlement.agreements import Agreement, AgreementChanged, AgreementCreated
from domain.settlement.backdating import (
    Backdating,
    BackdatingResult,
    BackdatingToComplete,
    CorrectionResult,
    SettlementCorrected,
    SharesToCorrect,
)
from domain.settlement.closing import Closing, ClosingResult, SettlementClosed
from domain.settlement.comparing import ComparisonResult, ReportedLine, ReportToCompare, StatementCompared
from domain.settlement.cycles import ClosingsDue, ClosingsLeft
from domain.settlement.documents import SelfBillingIssued, SettlementDocument, SettlementInvoiced
from domain.settlement.payouts import CompletedPayout, Payout, PayoutResult, SettlementPaid, WithholdingRecorded
from domain.settlement.releasing import ReserveResult, ReservesDue, ReservesLeft, ReserveToRelease
from domain.settlement.requesting import NettingApplied, NettingToApply, PayoutRequested
from domain.settlement.reserves import Reserve, ReserveHeld, ReserveReleased
from domain.settlement.returning import PayoutReturnBooked, ReturnedPayout
from domain.settlement.statements import Settlement
from domain.settlement.terms import (
    AgreedPeriod,
    Certificate,
    ClosingTerms,
    FixedFee,
    Guarantee,
    Holdback,
    LineTerms,
    SelfBilling,
    TierMode,
    Withholding,
)
from domain.settlement.tiers import TierPeriod
from schemas.invoicing.events import bills_json
from schemas.values import parse_currency

Fact = (
    NewAccount
    | AccountUpdate
    | StateCommand
    | Order
    | ReceivedPayment
    | FailedPayment
    | CreditAllocation
    | CreditDeallocation
    | Closing
    | CompletedPayout
    | ReturnedPayout
    | Adjustment
    | NoteToIssue
    | CompletedRefund
    | PaymentToReverse
    | InvoiceToWriteOff
    | DisputeToOpen
    | DisputeToSettle
    | DisputeToWithdraw
    | InvoiceValidation
    | InvoiceSending
    | CreditToGrant
    | CreditToTransfer
    | ChargeToAdd
    | BillDemand
    | BillRunToStart
    | RunsToOpen
    | ClosingsDue
    | AccountToBill
    | BillRunToComplete
    | SubscriptionToCreate
    | SubscriptionToChange
    | SubscriptionTurn
    | UsageToRecord
    | AccountToDun
    | DayToComplete
    | PaymentToPromise
    | BegunDay
    | NewSpecification
    | SpecificationUpdate
    | SpecificationDeletion
    | SellerUpdate
    | AgreementToCreate
    | AgreementToChange
    | DocumentToAccept
    | DocumentToDispute
    | PaidAdvance
    | ReservesDue
    | ReserveToRelease
    | NettingToApply
    | SharesToCorrect
    | BackdatingToComplete
    | ReportToCompare
)
D = TypeVar("D", bound=Document)

ROUTING_KEY: dict[type, str] = {
    NewAccount: "account.create",
    Order: "order.completed",
    ReceivedPayment: "payment.received",
    Closing: "settlement.close",
    CompletedPayout: "payout.completed",
    ReturnedPayout: "payout.returned",
    Adjustment: "settlement.adjust",
    AgreementToCreate: "agreement.create",
    PaidAdvance: "advance.paid",
    ReserveToRelease: "reserve.release",
    ReportToCompare: "statement.report",
    NoteToIssue: "credit-note.issue",
    CompletedRefund: "refund.completed",
    PaymentToReverse: "payment.reversed",
    InvoiceToWriteOff: "invoice.write-off",
    DisputeToOpen: "dispute.open",
    DisputeToSettle: "dispute.settle",
    DisputeToWithdraw: "dispute.withdraw",
    CreditToGrant: "credit.grant",
    CreditToTransfer: "credit.transfer",
    ChargeToAdd: "charge.add",
    BillDemand: "bill.demand",
    BillRunToStart: "bill-run.start",
    SubscriptionToCreate: "subscription.create",
    UsageToRecord: "usage.record",
    PaymentToPromise: "payment.promise",
}
EVENT: dict[type, str] = {
    AccountCreated: "account.created",
    AccountChanged: "account.changed",
    AccountStateChanged: "account.state-changed",
    CreditLimitExceeded: "account.credit-limit-exceeded",
    InvoiceIssued: "invoice.issued",
    InvoicePartiallyPaid: "invoice.partially-paid",
    InvoicePaid: "invoice.paid",
    PaymentAllocated: "payment.allocated",
    PaymentRequested: "payment.requested",
    SettlementAccrued: "settlement.accrued",
    SettlementClosed: "settlement.closed",
    SettlementPaid: "settlement.paid",
    SettlementAdjusted: "settlement.adjusted",
    AgreementCreated: "agreement.created",
    AgreementChanged: "agreement.changed",
    ReserveHeld: "reserve.held",
    SelfBillingIssued: "self-billing.issued",
    SettlementInvoiced: "settlement.invoiced",
    SelfBillingAccepted: "self-billing.accepted",
    SelfBillingDisputed: "self-billing.disputed",
    PayoutRequested: "payout.requested",
    WithholdingRecorded: "withholding.recorded",
    NettingApplied: "netting.applied",
    SettlementCorrected: "settlement.corrected",
    ReserveReleased: "reserve.released",
    StatementCompared: "statement.compared",
    PayoutReturnBooked: "payout.return-booked",
    SellerChanged: "seller.changed",
    CreditNoteIssued: "credit-note.issued",
    InvoiceCredited: "invoice.credited",
    RefundBooked: "refund.booked",
    InvoiceReopened: "invoice.reopened",
    ReversalBooked: "payment.reversal-booked",
    InvoiceWrittenOff: "invoice.written-off",
    InvoiceRecovered: "invoice.recovered",
    InvoiceStateChanged: "invoice.state-changed",
    DisputeOpened: "dispute.opened",
    DisputeSettled: "dispute.settled",
    DisputeWithdrawn: "dispute.withdrawn",
    CreditGranted: "credit.granted",
    CreditTransferred: "credit.transferred",
    ChargeAdded: "charge.added",
    BillOnDemandStateChanged: "bill-on-demand.state-changed",
    BillRunStarted: "bill-run.started",
    BillRunCompleted: "bill-run.completed",
    SubscriptionCreated: "subscription.created",
    SubscriptionChanged: "subscription.changed",
    SubscriptionStateChanged: "subscription.state-changed",
    InvoiceOverdue: "invoice.overdue",
    DunningStepTaken: "dunning.step-taken",
    DunningCleared: "dunning.cleared",
}

# What the database's queues are sorted by, said here a second time on purpose.
QUEUE_ORDER: dict[type, Callable[[Any], tuple[Any, str]]] = {
    Invoice: lambda invoice: (invoice.payment_due_date, invoice.id),
    Payment: lambda payment: (payment.received_at, payment.id),
    Accrual: lambda accrual: (accrual.date, accrual.id),
    Agreement: lambda agreement: (agreement.start, agreement.id),
    Link: lambda link: (link.referrer, link.id),
    Allocation: lambda allocation: (allocation.booked_at, allocation.id),
    Reversal: lambda reversal: (reversal.booked_at, reversal.id),
    Dispute: lambda dispute: (dispute.booked_at, dispute.id),
    Charge: lambda charge: (charge.date, charge.id),
    Subscription: lambda subscription: (subscription.next_due or date.min, subscription.id),
    Suspension: lambda suspension: (suspension.step, suspension.id),
    BilledPeriod: lambda billed: (-billed.period.end.toordinal(), billed.id),
    BillingCycleSpecification: lambda cycle: (cycle.created_at, cycle.id),
    ClosingSchedule: lambda one: (one.period_end, one.id),
    Reserve: lambda one: (one.release_on, one.id),
    SettlementDocument: lambda one: (one.booked_at, one.id),
    TierPeriod: lambda one: (one.start, one.id),
    Settlement: lambda one: (one.booked_at, one.id),
}
QUEUE_OPEN: dict[type, Callable[[Any], bool]] = {
    Invoice: lambda invoice: invoice.remaining_amount > 0,
    Payment: lambda payment: payment.unapplied > 0,
    Accrual: lambda accrual: accrual.settlement_id is None,
    Agreement: lambda _agreement: True,
    Link: lambda link: bool(link.open),
    Allocation: lambda _allocation: True,
    Reversal: lambda _reversal: True,
    Dispute: lambda dispute: bool(dispute.state == "open"),
    Charge: lambda charge: charge.billed is None,
    Subscription: lambda one: one.state != "terminated" or one.next_due is not None,
    Suspension: lambda suspension: suspension.ended is None,
    BilledPeriod: lambda _billed: True,
    BillingCycleSpecification: lambda cycle: cycle.state == "active" and cycle.document.get("automatic") is True,
    ClosingSchedule: lambda one: one.period_end is not None,
    Reserve: lambda one: one.remaining > 0 and not one.is_left,
    SettlementDocument: lambda one: one.is_open,
    TierPeriod: lambda one: one.share + one.trued != one.due,
    Settlement: lambda one: one.disputed is not None,
}
QUEUE_OWNER: dict[type, Callable[[Any], str]] = {
    Invoice: lambda invoice: str(invoice.billing_account),
    Payment: lambda payment: str(payment.billing_account),
    Accrual: lambda accrual: str(accrual.settlement_account),
    Agreement: lambda agreement: str(agreement.settlement_account),
    Link: lambda link: f"{link.kind}/{link.referred}",
    Allocation: lambda allocation: str(allocation.payment_id),
    Reversal: lambda reversal: str(reversal.payment_id),
    Dispute: lambda dispute: str(dispute.billing_account),
    Charge: lambda charge: str(charge.billing_account),
    Subscription: lambda subscription: str(subscription.billing_account),
    Suspension: lambda suspension: str(suspension.billing_account),
    BilledPeriod: lambda billed: str(billed.subscription),
    BillingCycleSpecification: lambda _cycle: "automatic",
    ClosingSchedule: lambda _one: "scheduled",
    Reserve: lambda _one: "held",
    SettlementDocument: lambda one: str(one.settlement_account),
    TierPeriod: lambda one: str(one.settlement_account),
    Settlement: lambda one: str(one.settlement_account),
}


def _parts(invoice: Invoice) -> Iterable[PartnerShare | None]:
    """The partners' parts in an invoice."""
    return (line.on_behalf_of for line in invoice.lines)


def identity_of(fact: Fact) -> str:
    """The identity of a fact: its type and business key; of a command, which has none, that of a new message."""
    if isinstance(fact, AccountUpdate):
        return f"account.update:m-{next(_MESSAGES)}"
    if isinstance(fact, SellerUpdate):
        return f"seller.update:m-{next(_MESSAGES)}"
    if isinstance(fact, InvoiceValidation | InvoiceSending):
        command = "validate" if isinstance(fact, InvoiceValidation) else "send"
        return f"invoice.{command}:m-{next(_MESSAGES)}"
    if isinstance(fact, StateCommand):
        return f"account.{fact.command}:m-{next(_MESSAGES)}"
    if isinstance(fact, NewSpecification):
        return f"{fact.kind.RESOURCE}.create:{fact.id}"
    if isinstance(fact, SpecificationUpdate | SpecificationDeletion):
        command = "update" if isinstance(fact, SpecificationUpdate) else "delete"
        return f"{fact.kind.RESOURCE}.{command}:m-{next(_MESSAGES)}"
    if isinstance(fact, CreditAllocation):
        return f"credit.allocate:{fact.billing_account}/{fact.sequence}"
    if isinstance(fact, CreditDeallocation):
        return f"credit.deallocate:{fact.payment_id}/{fact.sequence}"
    return _identity_of_partners(fact)


def _identity_of_partners(fact: Fact) -> str:
    match fact:
        case AgreementToChange():
            return f"agreement.change:m-{next(_MESSAGES)}"
        case DocumentToAccept():
            return f"self-billing.accept:m-{next(_MESSAGES)}"
        case DocumentToDispute():
            return f"self-billing.dispute:m-{next(_MESSAGES)}"
        case Closing(id=id_, made=made) if made:
            return f"settlement.continue:{id_}/{made}"
        case ClosingsDue(date=day, part=part):
            return f"settlement.due:{day}" + (f"/{part}" if part else "")
        case ReservesDue(date=day, part=part):
            return f"reserve.due:{day}" + (f"/{part}" if part else "")
        case ReserveToRelease(id=None, settlement_id=settlement_id):
            return f"reserve.continue:{settlement_id}"
    return _identity_of_billing(fact)


def _identity_of_billing(fact: Fact) -> str:
    match fact:
        case BillDemand(id=id_, made=made) if made:
            return f"bill.continue:{id_}/{made}"
        case SubscriptionToChange(kind=kind):
            return f"subscription.{kind}:m-{next(_MESSAGES)}"
        case SubscriptionTurn(subscription=id_, revision=revision, date=day):
            return f"subscription.turn:{id_}/{revision}/{day}"
        case DayToComplete(date=day):
            return f"dunning.complete:{day}"
        case FailedPayment(request=id_):
            return f"payment.failed:{id_}"
        case BegunDay(date=day):
            return f"day.begin:{day}"
        case AccountToDun(account_id, day, sequence):
            said = (account_id, day, sequence)
            return f"dunning.look:{'/'.join(str(part) for part in said if part is not None)}"
        case RunsToOpen(date=day, part=part, cycle_specification=cycle):
            return f"bill-run.open:{day}" + (f"/{part}" if part else "") + (f"/0/{cycle}" if cycle else "")
        case AccountToBill(run=run, billing_account=account, made=made):
            return f"bill.account:{run}:{account}" + (f"/{made}" if made else "")
        case BillRunToComplete(id=run, parked=parked):
            return f"bill-run.complete:{run}/{parked}"
    return _identity_of_settlement(fact)


def _identity_of_settlement(fact: Fact) -> str:
    match fact:
        case ReservesDue(date=day, part=part):
            return f"reserve.due:{day}" + (f"/{part}" if part else "")
        case ReserveToRelease(id=None, settlement_id=settlement_id):
            return f"reserve.continue:{settlement_id}"
        case SharesToCorrect(agreement=agreement_id, revision=revision, bill_no=bill_no):
            return f"settlement.correct:{agreement_id}/{revision}/{bill_no}"
        case BackdatingToComplete(agreement=agreement_id, revision=revision):
            return f"agreement.complete:{agreement_id}/{revision}"
        case NettingToApply(settlement_id=settlement_id):
            return f"netting.apply:{settlement_id}"
    return f"{ROUTING_KEY[type(fact)]}:{fact.id}"  # type: ignore[union-attr]


def event_type(fact: object) -> str:
    """The type of the event that says this."""
    if isinstance(fact, SpecificationChanged):
        return f"{fact.specification.RESOURCE}.{fact.happened}"
    if isinstance(fact, AccountStateChanged) and fact.account.state in ("closed", "deleted"):
        return f"account.{fact.account.state}"
    return EVENT[type(fact)]


def told(result: object) -> dict[str, Any]:
    """A result by the names that its sender is told it by."""
    match result:
        case AccountResult(account, standing):
            return {"id": account.id, "revision": account.revision, "account": (account, standing)}
        case SpecificationResult(made):
            return {"id": made.id, "revision": made.revision, "specification": made}
        case SellerResult(seller):
            return {"version": seller.version, "seller": seller}
        case OrderResult(bill_nos):
            return bills_json(bill_nos)
        case NoteResult(bill_no):
            return {"billNo": bill_no}
        case PaymentResult(bill_nos):
            return {"billNos": list(bill_nos)}
        case ClosingResult(settlement_ids):
            return {"settlementIds": list(settlement_ids)}
        case ClosingsLeft(closings):
            return {"closingIds": list(closings)}
    return _told_of_partners(result)


def _told_of_partners(result: object) -> dict[str, Any]:
    match result:
        case PayoutResult(settlement_id, state):
            return {"settlementId": settlement_id, "state": state}
        case AgreementResult(agreement_id, revision):
            return {"agreementId": agreement_id, "revision": revision}
        case AdvanceResult(left):
            return {"advance": left.amount}
        case ReserveResult(released, left):
            return {"released": released.amount, "reserve": left.amount}
        case ReservesLeft(settlement_ids):
            return {"settlementIds": list(settlement_ids)}
        case AdjustmentResult(payable):
            return {"payable": payable.amount}
        case NettingResult(netted):
            return {"netted": netted.amount}
        case CorrectionResult(lines, corrected):
            return {"lines": lines, "corrected": corrected.amount}
        case BackdatingResult(invoices):
            return {"invoices": invoices}
        case ComparisonResult(agreed, different, missing):
            return {"agreed": agreed, "different": different, "missing": missing}
        case DocumentStateResult(number, state):
            return {"number": number, "state": state}
    return _told_of_correction(result)


def _told_of_correction(result: object) -> dict[str, Any]:
    match result:
        case ReversalResult(amount, recoverable):
            return {"amount": amount.amount, "recoverable": recoverable.amount}
        case WriteOffResult(amount):
            return {"amount": amount.amount}
        case DisputeResult(state, note):
            return {"state": state, **({} if note is None else {"creditNote": note})}
        case RestResult(bill_nos, recovered):
            return {"billNos": list(bill_nos), "recovered": recovered.amount}
        case InvoiceStateResult(state):
            return {"state": state}
        case RefundResult(recoverable):
            return {"recoverable": recoverable.amount}
        case DayResult(date):
            return {"date": date}
    return _told_of_billing(result)


def _told_of_billing(result: object) -> dict[str, Any]:
    match result:
        case ChargeResult(net):
            return {"net": net.amount}
        case BillOnDemandResult(state, bill_nos, notes):
            return {"state": state, **_bills(bill_nos), "creditNotes": list(notes)}
        case SubscriptionResult(subscription):
            return {"id": subscription.id, "revision": subscription.revision, "state": subscription.state}
        case DunnedDayResult(day):
            return {"date": day.isoformat()}
        case FailedPaymentResult(bill_no):
            return {"billNo": bill_no}
        case DunningResult(level):
            return {"level": level}
        case BillRunResult(run, state):
            return {"billRunId": run, "state": state}
        case RunsOpened(runs):
            return {"billRunIds": list(runs)}
        case AccountBilled(run, account, state, bill_nos, notes):
            what = {"billRunId": run, "billingAccount": account, "state": state}
            return {**what, **_bills(bill_nos), "creditNotes": list(notes)}
        case UsageResult(subscription_id, price_id, day):
            return {"subscriptionId": subscription_id, "priceId": price_id, "date": day.isoformat()}
    raise AssertionError(result)


def _bills(numbers: tuple[str, ...]) -> dict[str, Any]:
    return {"billNos": list(numbers)} if len(numbers) > 1 else {"billNo": numbers[0] if numbers else None}


_MESSAGES = count(1)
LOADS_MAX = 64
"""How often the worker lets a fact ask for more of the books: more is a defect of ours."""


class LedgerBook:
    """A seller's books, kept across batches.

    `first_limit` is how many documents of a queue are loaded at first, `prefetch` whether a batch's needs are loaded
    before its facts run (otherwise each is asked for when it is missed). What facts leave to do is done after
    their batch, or when all else is done if `rest_last`.
    """

    def __init__(
        self,
        *,
        first_limit: int = QUEUE_FIRST,
        prefetch: bool = True,
        rest_last: bool = False,
        zone: tzinfo = UTC,
    ) -> None:
        self.first_limit = first_limit
        self.prefetch = prefetch
        self.rest_last = rest_last
        self.zone = zone
        self.booked_at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        self.corrects = True
        """Whether past days are corrected as soon as terms of them are agreed."""
        self.documents: dict[type, dict[str, Any]] = defaultdict(dict)
        self.rows: dict[type, dict[str, Any]] = defaultdict(dict)
        self.events: list[Emitted] = []
        self.applied: dict[str, Fact] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.waiting: dict[str, tuple[Fact, MustWait]] = {}
        self.refused: dict[str, Refused] = {}
        self.left: list[Fact] = []
        self.scheduled: list[tuple[datetime, Fact]] = []
        self._asked: set[tuple[type, str]] = set()
        self._begun: dict[type, dict[str, Any]] = {}

    # -- taking facts

    def take(self, *facts: Fact, batch: int | None = None) -> None:
        """Take facts, `batch` at once (None: all at once); those that wait are retried when what they wait for is."""
        pending = deque((identity_of(fact), fact) for fact in (*self._woken(), *facts))
        while pending:
            size = len(pending) if batch is None else batch
            taken = [pending.popleft() for _ in range(min(size, len(pending)))]
            announced = self._take_batch(taken)
            woken = [identity for identity, (_, why) in self.waiting.items() if why.waits_for in announced]
            pending.extendleft((identity, self.waiting.pop(identity)[0]) for identity in reversed(woken))
            left = [(identity_of(fact), fact) for fact in self.left]
            self.left = []
            if self.rest_last:
                pending += left
            else:
                pending.extendleft(reversed(left))
            if not pending and self.corrects:
                pending += [(identity_of(fact), fact) for fact in self._to_correct()]

    def _to_correct(self) -> list[Fact]:
        """What a worker says to itself for terms of past days: an invoice after the other, then that it is done."""
        for one in self.documents[Backdating].values():
            if one.state == "running":
                bill_nos = sorted(
                    invoice.id
                    for invoice in self.documents[Invoice].values()
                    if (
                        invoice.tax_point_date >= one.since
                        or any(line.origin and line.origin.corrects for line in invoice.lines)
                    )
                    and any(
                        line.on_behalf_of and line.on_behalf_of.id == one.settlement_account for line in invoice.lines
                    )
                )
                facts: list[Fact] = [SharesToCorrect(one.agreement, one.revision, bill_no) for bill_no in bill_nos]
                return [*facts, BackdatingToComplete(one.agreement, one.revision)]
        return []

    def _woken(self) -> list[Fact]:
        """What was to be done at a time that has come, in the order of the times."""
        due = sorted((one for one in self.scheduled if one[0] <= self.booked_at), key=lambda one: one[0])
        self.scheduled = [one for one in self.scheduled if one[0] > self.booked_at]
        return [fact for _, fact in due]

    def begin_days(self, until: str) -> None:
        """Let each day to this one come, in order, at noon, and with it what is to be done then."""
        calendar, last = self.documents[Calendar].get(CALENDAR), date.fromisoformat(until)
        day = last if calendar is None else calendar.newest + timedelta(days=1)
        while day <= last:
            self.booked_at = datetime.combine(day, time(12), UTC)
            self.take(BegunDay(day))
            day += timedelta(days=1)

    def to_bill(self, run_id: str) -> list[AccountToBill]:
        """The facts by which a run comes to the accounts that are of its cycle now, in order."""
        run = self.run_of(run_id)
        owner = f"cycleSpecification/{run.cycle_specification}"
        accounts = sorted(link.referrer for link in self.documents[Link].values() if link.open and link.owner == owner)
        return [AccountToBill(run_id, account, run.billing_date) for account in accounts]

    def go_through(self, run_id: str, batch: int | None = None) -> BillRun:
        """Let a run come to all accounts of its cycle, and complete it; returns it as it is then."""
        self.take(*self.to_bill(run_id), batch=batch)
        parked = [one for one in self.refused if one.startswith(f"bill.account:{run_id}:")]
        self.take(BillRunToComplete(run_id, len(parked)))
        return self.run_of(run_id)

    def run_of(self, run_id: str) -> BillRun:
        """A bill run."""
        return self.get(BillRun, run_id)

    def take_as(self, identity: str, fact: Fact) -> None:
        """Take one fact under an identity of its own, as one whose key is the message's id has."""
        self._take_batch([(identity, fact)])

    def _take_batch(self, facts: list[tuple[str, Fact]]) -> set[str]:
        working_set = all_facts.working_set(booked_at=self.booked_at, zone=self.zone, series="INV-", credit_notes="CN-")
        self._asked = set()
        if self.prefetch:
            self._load_needs([fact for identity, fact in facts if identity not in self.applied], working_set)
        for identity, fact in facts:
            if self._is_new(identity, fact):
                self._apply(identity, fact, working_set)
        self._commit(working_set)
        return set(working_set.announced)

    def _is_new(self, identity: str, fact: Fact) -> bool:
        if identity in self.refused or identity in self.waiting:
            return False
        if identity in self.applied:
            assert self.applied[identity] == fact, f"the test says {identity} twice, with different content"
            return False
        return True

    def _apply(self, identity: str, fact: Fact, working_set: WorkingSet) -> None:
        for _ in range(LOADS_MAX):
            books = Books(working_set, identity)
            try:
                result = all_facts.apply(fact, books)
            except NotLoaded as missing:
                for need in missing.needs:
                    if working_set.has(need):
                        raise AssertionError(f"{identity} asks again for {need}") from missing
                    self._load(need, working_set)
            except MustWait as why:
                self.waiting[identity] = (fact, why)
                return
            except Refused as why:
                self.refused[identity] = why
                return
            else:
                working_set.accept(books)
                self.applied[identity] = fact
                self.results[identity] = told(result)
                for rest, at in books.continued:
                    if at is None or at <= self.booked_at:
                        self.left.append(cast("Fact", rest))
                    else:
                        self.scheduled.append((at, cast("Fact", rest)))
                return
        raise AssertionError(f"{identity} asks for ever more of the books")

    # -- several workers

    def begin(self) -> LedgerBook:
        """The books as they stand now, for another worker to decide on: what is taken there is not seen here."""
        fork = copy(self)
        fork.documents = defaultdict(dict, {kind: dict(found) for kind, found in self.documents.items()})
        fork.rows = defaultdict(dict, {kind: dict(found) for kind, found in self.rows.items()})
        fork.events, fork._asked = [], set()
        fork.applied, fork.results = dict(self.applied), dict(self.results)
        fork.waiting, fork.refused, fork.left, fork.scheduled = dict(self.waiting), dict(self.refused), [], []
        fork._begun = {kind: dict(found) for kind, found in self.documents.items()}
        return fork

    def commit(self, fork: LedgerBook) -> bool:
        """Write what was decided on a fork, unless one of its documents was written here since: then nothing is.

        That is all that snapshot isolation looks at: what a fork has read may have changed.
        """
        written = [
            (kind, id_)
            for kind, found in fork.documents.items()
            for id_, document in found.items()
            if document is not fork._begun.get(kind, {}).get(id_)
        ]
        if any(self.documents[kind].get(id_) is not fork._begun.get(kind, {}).get(id_) for kind, id_ in written):
            return False
        for kind, id_ in written:
            self.documents[kind][id_] = fork.documents[kind][id_]
        for kind, found in fork.rows.items():
            self.rows[kind].update(found)
        self.events += fork.events
        self.left += fork.left
        self.scheduled += fork.scheduled
        for mine, theirs in (
            (self.applied, fork.applied),
            (self.results, fork.results),
            (self.waiting, fork.waiting),
            (self.refused, fork.refused),
        ):
            cast("dict[str, Any]", mine).update(theirs)
        return True

    # -- the database

    def view(self) -> View:
        """The books as queries see them that try a fact out; nothing else can be read of it."""

        async def load(needs: Iterable[Need], books: WorkingSet) -> None:
            for need in needs:
                if not books.has(need):
                    self._load(need, books)

        self._asked = set()
        return View(None, None, self.booked_at, UTC, load)

    def _load_needs(self, facts: list[Fact], working_set: WorkingSet) -> None:
        asked: set[Need] = set()
        while True:
            needs = {need for fact in facts for need in all_facts.needs_of(fact, working_set)}
            missing = {need for need in needs if not working_set.has(need)} - asked
            if not missing:
                return
            for need in missing:
                self._load(need, working_set)
            asked |= missing

    def _load(self, need: Need, working_set: WorkingSet) -> None:
        if isinstance(need, DocumentNeed):
            working_set.load(need.type, need.id, self.documents[need.type].get(need.id))
            return
        if isinstance(need, RangeNeed):
            found = self.documents[need.type].values()
            within = [d for d in found if d.id == need.prefix or d.id.startswith(f"{need.prefix}/")]
            working_set.load_range(need, within)
            return
        kind, first = need.type, (need.type, need.owner) not in self._asked
        self._asked.add((need.type, need.owner))
        limit = self.first_limit if first and need.limit is not None else need.limit
        documents: list[Queued] = sorted(
            (
                d
                for d in (*self.documents[kind].values(), *self.rows.get(kind, {}).values())
                if QUEUE_OWNER[kind](d) == need.owner and QUEUE_OPEN[kind](d) and self._is_reached(d)
                if need.through is None or d.order_key[0] <= need.through
            ),
            key=QUEUE_ORDER[kind],
        )
        working_set.load_queue(need._replace(limit=limit), documents[:limit])

    def _is_reached(self, document: Queued) -> bool:
        """Whether a queue's read finds it: charges are looked for since the date through which they are billed."""
        if not isinstance(document, Charge):
            return True
        position = self.documents[Position][document.billing_account]
        return document.behind or position.charges_through is None or document.date > position.charges_through

    def _commit(self, working_set: WorkingSet) -> None:
        check_kinds(working_set)
        for kind, changed in working_set.changed.items():
            for id_, document in changed.items():
                there = id_ in self.documents[kind]
                assert there == ((kind, id_) in working_set.stored), f"{kind.__name__} {id_}: inserted over another"
                self.documents[kind][id_] = document
        for kind, rows in working_set.rows.items():
            for row in rows:
                assert row.id not in self.rows[kind], f"{kind.__name__} {row.id}: appended twice"
                self.rows[kind][row.id] = row
        self.events += working_set.emitted

    # -- looking

    def get(self, kind: type[D], id_: str) -> D:
        """The document of a key, which must be there."""
        return cast("D", self.documents[kind][id_])

    def position(self, account_id: str) -> Position:
        """An account's position."""
        return self.get(Position, account_id)

    def account(self, account_id: str) -> Account:
        """An account."""
        return self.get(Account, account_id)

    def state(self, account_id: str) -> State:
        """An account's state."""
        return self.account(account_id).state

    def versions(self, account_id: str) -> list[AccountVersion]:
        """An account's versions, in order."""
        rows = [row for row in self.rows[AccountVersion].values() if row.account.id == account_id]
        return sorted(rows, key=lambda row: row.account.version)

    def seller(self) -> Seller:
        """The seller."""
        return self.get(Seller, SELLER)

    def seller_versions(self) -> list[SellerVersion]:
        """The seller's versions, as they came about."""
        return list(self.rows[SellerVersion].values())

    def links(self) -> set[tuple[str, str, str]]:
        """Who refers to whom: kind, referrer and referred of the links that are open."""
        return {(link.kind, link.referrer, link.referred) for link in self.documents[Link].values() if link.open}

    def refusal(self, *facts: Fact) -> tuple[str, str]:
        """Take facts of which the last is refused, and leaves nothing behind; returns the refusal's code and detail."""
        *before, last = facts
        self.take(*before)
        held, told, refused = self.holdings(), len(self.events), len(self.refused)
        self.take(last)
        assert len(self.refused) == refused + 1, f"not refused: {last}"
        assert (self.holdings(), len(self.events)) == (held, told), f"refused, and left something behind: {last}"
        why = list(self.refused.values())[-1]
        return why.code, why.detail

    def invoice(self, number: int) -> Invoice:
        """The n-th invoice."""
        return self.get(Invoice, f"INV-{number:09d}")

    def settlement(self, settlement_id: str) -> Settlement:
        """A statement."""
        return self.get(Settlement, settlement_id)

    def accruals(self, account_id: str) -> list[Accrual]:
        """A partner's accruals, as they came about."""
        return [a for a in self.documents[Accrual].values() if a.settlement_account == account_id]

    def postings(self, identity: str) -> list[tuple[str, int]]:
        """An entry's postings, sorted: the ledger account (of tax with category and rate) and the amount."""
        entry: Entry = self.rows[Entry][identity]
        return sorted((ledger_name(posting), posting.amount) for posting in entry.postings)

    def ledger(self) -> dict[str, int]:
        """What each ledger account adds up to, debit positive; without those that add up to nothing."""
        sums: dict[str, int] = defaultdict(int)
        for entry in self.rows[Entry].values():
            for posting in entry.postings:
                sums[f"{posting.currency} {ledger_name(posting)}"] += posting.amount
        return {name: amount for name, amount in sums.items() if amount}

    def facts_of(self, account_id: str) -> list[Any]:
        """What happened to an account, in the order of its events."""
        return [event.event for event in self.events if event.account == account_id]

    def events_of(self, account_id: str) -> list[str]:
        """The types of an account's events, in order, but for its creation."""
        return [event_type(fact) for fact in self.facts_of(account_id) if not isinstance(fact, AccountCreated)]

    def last_allocation(self) -> PaymentAllocated:
        """The last `payment.allocated` there was."""
        return [event.event for event in self.events if isinstance(event.event, PaymentAllocated)][-1]

    def holdings(self) -> dict[type, dict[str, Any]]:
        """Every document and row; equal for two books that hold the same."""
        kinds: tuple[type, ...] = (Account, Position, Series, Invoice, Payment, Accrual, Settlement, CreditNote, Link)
        kinds += (Seller, Payout, SettlementDocument, *SPECIFICATIONS.values())
        return {kind: dict(self.documents[kind]) for kind in kinds} | {kind: dict(r) for kind, r in self.rows.items()}


def ledger_name(posting: Posting) -> str:
    """The ledger account's name; taxes are kept by category and rate."""
    if posting.account in ("tax", "inputTax"):
        return f"{posting.account} {posting.category} {posting.rate}"
    return posting.account


# -- facts, in few words

EUR = Currency("EUR", 2)
JPY = Currency("JPY", 0)
KWD = Currency("KWD", 3)
USD = Currency("USD", 2)


def balances(**those: int) -> dict[str, int]:
    """An account's balances by name, in minor units: those, and zero of all others."""
    return dict.fromkeys(BALANCES, 0) | those


def moment(text: str) -> datetime:
    """A time in UTC from `2026-11-22` or `2026-11-22T10:15:00`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def relation(kind: str, account: str, *, since: str | None = None, until: str | None = None) -> Mapping[str, object]:
    """A relationship as a document says it, from a time until another."""
    return {"type": kind, "account": account, "since": since, "until": until}


def read(id_: str, type_: str, currency: Currency, document: Mapping[str, Any]) -> NewAccount:
    """Reads a document as these tests write it; a negative credit limit is what does not fit."""
    limit = document.get("creditLimit")
    if limit is not None and limit < 0:
        raise Refused("invalid", f"creditLimit: must not be negative (got {limit})")
    relationships = document.get("relationships", ())
    references: list[Reference] = []
    for kind, said in document.get("refersTo", {}).items():
        references += [Reference(kind, one) for one in ([said] if isinstance(said, str) else said)]
    return NewAccount(
        id_,
        type_,
        currency,
        document.get("paymentTermDays", 30),
        _terms(document) if type_ == SETTLEMENT else None,
        document,
        limit,
        tuple(
            Relationship(r["type"], r["account"], *(moment(r[end]) if r[end] else None for end in ("since", "until")))
            for r in relationships
        ),
        tuple(references),
        document.get("first", "active"),
        closing_cycle=cast("ClosingCycle | None", document.get("closingCycle")),
    )


def _terms(document: Mapping[str, Any]) -> SettlementTerms:
    share, said = document.get("share"), document.get("agent")
    agent = None
    if said is not None:
        commission, rate = Decimal(said["commission"]), Decimal(said["rate"])
        agent = AgentTerms(commission, said["category"], rate, said.get("series"))
    return SettlementTerms(
        None if share is None or agent else Decimal(share), document.get("accrueOn", "invoice"), agent
    )


def _as_json(said: Mapping[str, object]) -> dict[str, object]:
    """What is said of an account, as its document has it."""
    agent = said.get("agent")
    if not isinstance(agent, AgentTerms):
        return dict(said)
    return {**said, "agent": {name: str(one) for name, one in asdict(agent).items() if one is not None}}


def new(type_: str, id_: str, *, currency: str = "EUR", **said: object) -> NewAccount:
    """An account to open, of whatever type: its document is a name and what is `said` of it."""
    return read(id_, type_, parse_currency(currency), {"name": id_, **_as_json(said)})


def billing(id_: str = "BA-1", *, currency: str = "EUR", days: int = 30, **said: object) -> NewAccount:
    """A billing account to open."""
    return new(BILLING, id_, currency=currency, paymentTermDays=days, **said)


def partner(
    id_: str = "SA-1",
    share: str = "0.8",
    on: Literal["invoice", "payment"] = "invoice",
    *,
    currency: str = "EUR",
    **said: object,
) -> NewAccount:
    """A settlement account to open."""
    return new(SETTLEMENT, id_, currency=currency, share=share, accrueOn=on, **said)


def agent_of(
    id_: str = "SA-1",
    commission: str = "0.1",
    on: Literal["invoice", "payment"] = "invoice",
    *,
    tax: str = "0.2",
    series: str | None = None,
    currency: str = "EUR",
) -> NewAccount:
    """A settlement account to open of a partner in whose name we sell."""
    return new(SETTLEMENT, id_, currency=currency, agent=as_agent(commission, tax=tax, series=series), accrueOn=on)


def as_agent(commission: str = "0.1", *, tax: str = "0.2", series: str | None = None) -> AgentTerms:
    """That we sell in a partner's name for a commission, which has tax itself."""
    return AgentTerms(Decimal(commission), "S", Decimal(tax), series)


def financial(id_: str = "FA-1", *, currency: str = "EUR", **said: object) -> NewAccount:
    """A financial account to open."""
    return new(FINANCIAL, id_, currency=currency, **said)


def party(id_: str = "PA-1", *, currency: str = "EUR", **said: object) -> NewAccount:
    """A party account to open."""
    return new(PARTY, id_, currency=currency, **said)


def update(account: str = "BA-1", *, type_: str = BILLING, at: int | None = None, **changes: object) -> AccountUpdate:
    """A merge patch of an account's document, made for revision `at` if that is given."""
    return AccountUpdate(account, type_, at, _as_json(changes), read)


def command(
    name: Literal["suspend", "resume", "close", "reopen", "delete"],
    account: str = "BA-1",
    *,
    at: int | None = None,
    reason: str | None = None,
) -> StateCommand:
    """A command about an account's state, made for revision `at` if that is given."""
    return StateCommand(name, account, reason, at)


def specification(id_: str = "F-1", *, kind: type[Specification] = BillFormat, **said: object) -> NewSpecification:
    """A specification to create."""
    return NewSpecification(kind, id_, {"name": id_, **said})


def respecify(
    id_: str = "F-1", *, kind: type[Specification] = BillFormat, at: int | None = None, **changes: object
) -> SpecificationUpdate:
    """A merge patch of a specification; a name that is no text does not fit."""

    def check(document: Mapping[str, object]) -> Mapping[str, object]:
        if not isinstance(document.get("name"), str):
            raise Refused("invalid", f"name: must be a text (got {document.get('name')!r})")
        return document

    return SpecificationUpdate(kind, id_, at, changes, check)


def unspecify(
    id_: str = "F-1", *, kind: type[Specification] = BillFormat, at: int | None = None
) -> SpecificationDeletion:
    """The deletion of a specification."""
    return SpecificationDeletion(kind, id_, at)


def sell_as(*, at: int | None = None, **changes: object) -> SellerUpdate:
    """A merge patch of the seller's document, made for version `at` if that is given; `name` may be no number."""

    def check(document: Mapping[str, object]) -> None:
        if not isinstance(document.get("name", ""), str):
            raise Refused("invalid", f"name: must be a text (got {document['name']!r})")

    return SellerUpdate(at, changes, check)


def line(price: str, rate: str = "0", behalf: str | None = None, *, quantity: str = "1", tax: str = "S") -> Item:
    """A line; its order numbers it."""
    return Item("", None, Decimal(quantity), Decimal(price), tax, Decimal(rate), behalf)


def order(
    id_: str, *lines: Item, account: str = "BA-1", currency: Currency = EUR, at: str = "2026-11-22T10:15:00"
) -> Order:
    """A completed order; its lines are numbered from 1."""
    items = tuple(replace(item, id=str(number)) for number, item in enumerate(lines, 1))
    return Order(id_, moment(at), account, currency, items, price(items, currency))


def payment(
    id_: str,
    amount: int,
    names: Iterable[str] | None = None,
    *,
    account: str = "BA-1",
    currency: str = "EUR",
    at: str = "2026-11-22T11:00:00",
    request: str | None = None,
) -> ReceivedPayment:
    """A received payment that names these invoices, and the payment request that it answers."""
    named = tuple(names) if names is not None else None
    return ReceivedPayment(id_, moment(at), account, Money(currency, amount), None, named, request)


def failed_payment(request: str, *, at: str = "2026-11-24T09:00:00") -> FailedPayment:
    """What was requested was not paid."""
    return FailedPayment(request, "AM04", moment(at))


def closing(id_: str, account: str = "SA-1", *, until: str = "2026-11-30") -> Closing:
    """A closing up to and including a date."""
    return Closing(id_, account, date.fromisoformat(until))


def payout(
    id_: str,
    amount: int,
    statement: str,
    *,
    transferred: int | None = None,
    account: str = "SA-1",
    currency: str = "EUR",
) -> CompletedPayout:
    """A payout on a statement."""
    left = None if transferred is None else Money(currency, transferred)
    return CompletedPayout(id_, account, statement, Money(currency, amount), left)


def payout_return(id_: str, payout_id: str, *, at: str = "2026-12-03T09:00:00") -> ReturnedPayout:
    """A payout that came back."""
    return ReturnedPayout(id_, payout_id, moment(at), "AC04")


def adjustment(
    id_: str,
    amount: int,
    *,
    corrects: tuple[str, str] | None = None,
    account: str = "SA-1",
    currency: str = "EUR",
    on: str = "2026-11-24",
) -> Adjustment:
    """An accrual without an invoice; it may correct a line, by number of the bill and id."""
    line_ = None if corrects is None else CorrectsLine(*corrects)
    return Adjustment(id_, account, Money(currency, amount), date.fromisoformat(on), "as agreed", line_)


def agreement(
    id_: str,
    since: str,
    until: str | None = None,
    share: str = "0.5",
    on: Literal["invoice", "payment"] = "invoice",
    *,
    account: str = "SA-1",
    currency: str = "EUR",
    tiers: TiersToAgree | None = None,
    agent: AgentTerms | None = None,
    **closing: Any,
) -> AgreementToCreate:
    """Terms with a partner, from the first moment of a day to that of another; `closing` is what closings go by.

    Where there are `tiers`, or terms of its `agent`, they are in place of the share.
    """
    start, end = (None if day is None else datetime.fromisoformat(f"{day}T00:00+00:00") for day in (since, until))
    assert start is not None
    terms = LineTerms(None if tiers or agent else Decimal(share), on, agent=agent)
    return AgreementToCreate(id_, account, start, end, terms, ClosingTerms(**closing), currency, tiers)


def agreed(
    id_: str,
    since: str,
    share: str = "0.6",
    on: Literal["invoice", "payment"] = "invoice",
    *,
    if_revision: int | None = None,
    tiers: TiersToAgree | None = None,
    agent: AgentTerms | None = None,
    **closing: Any,
) -> AgreementToChange:
    """Other terms of an agreement, from a day on; `closing` is what closings go by."""
    terms = LineTerms(None if tiers or agent else Decimal(share), on, agent=agent)
    return AgreementToChange(id_, date.fromisoformat(since), terms, if_revision, ClosingTerms(**closing), tiers=tiers)


def tiers(*steps: tuple[str | None, str], mode: TierMode = "graduated", period: AgreedPeriod = "month") -> TiersToAgree:
    """Shares that go by the net of a period: each step's end, in euros, and its share."""
    return TiersToAgree(mode, period, tuple((None if end is None else Decimal(end), Decimal(s)) for end, s in steps))


def guarantee(amount: int, period: AgreedPeriod = "month") -> Guarantee:
    """What a partner gets of each period at least."""
    return Guarantee(amount, period)


def self_billing(
    series: str = "SB-SA-1-", rate: str = "0.2", category: str = "S", reverse: str | None = None
) -> SelfBilling:
    """That a partner's invoices are issued by us: in which series, with which tax; and at which rate we owe it."""
    return SelfBilling(series, category, Decimal(rate), None if reverse is None else Decimal(reverse))


def fixed_fee(amount: int, period: AgreedPeriod = "month", rate: str = "0.2", category: str = "S") -> FixedFee:
    """What a partner pays us for each period, and the tax on that."""
    return FixedFee(amount, period, category, Decimal(rate))


def accepts(number: str, *, at: str = "2026-11-22T10:00:00") -> DocumentToAccept:
    """That the partner accepts a document that was issued in its name."""
    return DocumentToAccept(number, moment(at))


def disputes(number: str, reason: str = "wrong", *, at: str = "2026-11-22T10:00:00") -> DocumentToDispute:
    """That it does not, and why."""
    return DocumentToDispute(number, moment(at), reason)


def holdback(rate: str, days: int) -> Holdback:
    """Which part of what was earned is kept, and for how many days."""
    return Holdback(Decimal(rate), days)


def withholding(
    rate: str, surcharge: str | None = None, certificate: tuple[str, str, str | None] | None = None
) -> Withholding:
    """Which part of payouts is withheld, with a surcharge on that; a certificate's rate, and from and until when."""
    certified = None
    if certificate is not None:
        lower, start, end = certificate
        certified = Certificate(Decimal(lower), moment(start), None if end is None else moment(end))
    return Withholding(Decimal(rate), "tax office", None if surcharge is None else Decimal(surcharge), certified)


def advance(
    id_: str, amount: int, agreement_id: str = "AG-1", *, currency: str = "EUR", at: str = "2026-11-22T10:00:00"
) -> PaidAdvance:
    """Money that left for a partner before it has earned it."""
    return PaidAdvance(id_, agreement_id, Money(currency, amount), moment(at))


def release(
    id_: str, settlement: str, amount: int | None = None, *, currency: str = "EUR", at: str = "2026-11-30T10:00:00"
) -> ReserveToRelease:
    """The release of a reserve before its day."""
    return ReserveToRelease(id_, settlement, moment(at), None if amount is None else Money(currency, amount))


def report(
    id_: str, settlement: str, figures: Mapping[str, int], *, tolerance: int | None = None, currency: str = "EUR"
) -> ReportToCompare:
    """A partner's figures of a statement, by `<orderId>/<lineId>`, or `<billNo>/<lineId>` of a bill."""
    lines = []
    for key, amount in figures.items():
        of, _, line_id = key.rpartition("/")
        order_id, bill_no = (None, of) if of.startswith("INV-") else (of, None)
        lines.append(ReportedLine(order_id, bill_no, line_id, Money(currency, amount)))
    apart = None if tolerance is None else Money(currency, tolerance)
    return ReportToCompare(id_, settlement, tuple(lines), apart)


def credit_note(
    id_: str,
    bill_no: str,
    lines: Mapping[str, int] | None = None,
    *,
    currency: str = "EUR",
    excess: Excess = "credit",
    at: str = "2026-11-23T09:00:00",
) -> NoteToIssue:
    """A credit note of these nets of an invoice's lines, or of all that is left of it."""
    asked = (
        None if lines is None else tuple(CreditedLine(line_id, Money(currency, net)) for line_id, net in lines.items())
    )
    return NoteToIssue(id_, bill_no, moment(at), "returned", asked, excess)


def refund(
    id_: str,
    amount: int,
    *,
    account: str = "BA-1",
    note: str | None = None,
    of: str | None = None,
    currency: str = "EUR",
    at: str = "2026-11-24T09:00:00",
    late: bool = False,
) -> CompletedRefund:
    """Money that went back, of a note, of a payment, or of the account's credit; `late`: it has waited for too long."""
    return CompletedRefund(id_, account, Money(currency, amount), moment(at), note, of, None, late)


def reversal(
    id_: str,
    payment_id: str,
    amount: int | None = None,
    *,
    fee: int | None = None,
    currency: str = "EUR",
    at: str = "2026-11-25T09:00:00",
    late: bool = False,
) -> PaymentToReverse:
    """A payment that came back, or an amount of it; `late`: it has waited for too long."""
    sums = [None if one is None else Money(currency, one) for one in (amount, fee)]
    return PaymentToReverse(id_, payment_id, moment(at), "AM04", sums[0], sums[1], late)


def write_off(
    id_: str,
    bill_no: str,
    amount: int | None = None,
    *,
    relief: bool = False,
    currency: str = "EUR",
    at: str = "2026-11-26T09:00:00",
) -> InvoiceToWriteOff:
    """A write-off of what remains of an invoice, or of an amount of it."""
    sum_ = None if amount is None else Money(currency, amount)
    return InvoiceToWriteOff(id_, bill_no, moment(at), "insolvent", sum_, relief)


def dispute(
    id_: str, bill_no: str, lines: Mapping[str, int], *, currency: str = "EUR", at: str = "2026-11-23T10:00:00"
) -> DisputeToOpen:
    """A dispute of these nets of an invoice's lines."""
    asked = tuple(CreditedLine(line_id, Money(currency, net)) for line_id, net in lines.items())
    return DisputeToOpen(id_, bill_no, moment(at), "never came", asked)


def settlement_of(
    id_: str, lines: Mapping[str, int] | None = None, *, currency: str = "EUR", at: str = "2026-11-24T10:00:00"
) -> DisputeToSettle:
    """The end of a dispute of which these nets are approved; None: nothing is."""
    asked = tuple(CreditedLine(line_id, Money(currency, net)) for line_id, net in (lines or {}).items())
    return DisputeToSettle(id_, moment(at), asked)


def withdrawal(id_: str, *, at: str = "2026-11-24T10:00:00") -> DisputeToWithdraw:
    """The end of a dispute that the customer withdraws."""
    return DisputeToWithdraw(id_, moment(at))


def validation(bill_no: str, by: str | None = None, *, at: str = "2026-11-23T08:00:00") -> InvoiceValidation:
    """That the customer accepted an invoice."""
    return InvoiceValidation(bill_no, moment(at), by)


def sending(bill_no: str, medium: str | None = None, *, at: str = "2026-11-22T18:00:00") -> InvoiceSending:
    """That an invoice was sent."""
    return InvoiceSending(bill_no, moment(at), medium)


def grant(
    id_: str, amount: int, *, account: str = "BA-1", currency: str = "EUR", at: str = "2026-11-24T10:00:00"
) -> CreditToGrant:
    """Goodwill."""
    return CreditToGrant(id_, account, Money(currency, amount), moment(at), "sorry")


def transfer(
    id_: str,
    amount: int,
    *,
    of: str | None = None,
    by: str = "BA-1",
    to: str = "BA-2",
    currency: str = "EUR",
    at: str = "2026-11-24T11:00:00",
) -> CreditToTransfer:
    """Credit that is another account's, of a payment or of whatever credit there is."""
    return CreditToTransfer(id_, by, to, Money(currency, amount), moment(at), "wrong account", of)


def charge(
    id_: str,
    item: Item,
    *,
    account: str = "BA-1",
    on: str = "2026-11-22",
    covers: tuple[str, str] | None = None,
    subscription: str | None = None,
    corrects: tuple[str, str] | None = None,
    currency: Currency = EUR,
) -> ChargeToAdd:
    """An item for the next bill, due on a date; it may cover a period, and take back a line (bill number, line id)."""
    return ChargeToAdd(
        id_,
        account,
        date.fromisoformat(on),
        currency,
        replace(item, id="1"),
        line_net(item.quantity, item.unit_price, currency),
        None if covers is None else Period(moment(covers[0]), moment(covers[1])),
        subscription,
        None if corrects is None else CorrectsLine(*corrects),
    )


def demand(id_: str, *, account: str = "BA-1", on: str | None = "2026-11-30") -> BillDemand:
    """A bill of what is due up to a date, or up to the newest day."""
    return BillDemand(id_, account, None if on is None else date.fromisoformat(on))


def cycle(id_: str = "MONTHLY", **said: object) -> NewSpecification:
    """A billing cycle specification."""
    return NewSpecification(BillingCycleSpecification, id_, {"name": id_, **said})


def automatic(id_: str = "MONTHLY", since: str = "2026-01-01T00:00:00Z", **said: object) -> NewSpecification:
    """One of months from a time on, whose runs begin by themselves."""
    period = {"startDateTime": since}
    return cycle(id_, **{"automatic": True, "billingPeriod": "month", "validFor": period, **said})


def in_cycle(id_: str = "BA-1", cycle_id: str = "MONTHLY", **said: Any) -> NewAccount:
    """A billing account of a cycle."""
    return billing(id_, **{"refersTo": {"cycleSpecification": cycle_id}, **said})


def bill_run(id_: str = "R-1", *, of: str = "MONTHLY", on: str = "2026-11-30") -> BillRunToStart:
    """A run over the accounts of a cycle, up to a date."""
    return BillRunToStart(id_, of, date.fromisoformat(on))


def monthly(id_: str = "P-1", price: str = "30", **fields: Any) -> ProductPrice:
    """A price that is charged each month in advance."""
    return replace(ProductPrice(id_, "fibre", "recurring", "S", Decimal("0.2"), Decimal(price)), **fields)


def metered(id_: str = "P-1", price: str | None = "0.10", **fields: Any) -> ProductPrice:
    """A price of usage, of months."""
    unit_price = None if price is None else Decimal(price)
    return replace(ProductPrice(id_, "data", "usage", "S", Decimal("0.2"), unit_price, unit_of_measure="GB"), **fields)


def minimum(id_: str, amount: str, **fields: Any) -> ProductPrice:
    """What a subscription's other prices come to at least, each month."""
    return replace(ProductPrice(id_, "at least", "minimum", "S", Decimal("0.2"), amount=Decimal(amount)), **fields)


def usage(
    id_: str, quantity: str = "1", at: str = "2026-11-22T10:00:00", *, of: str = "S-1", price: str = "P-1"
) -> UsageToRecord:
    """So much was used of a subscription's price, at a time in UTC."""
    return UsageToRecord(id_, of, moment(at), price, Decimal(quantity))


def subscription(
    id_: str = "S-1",
    *prices: ProductPrice,
    account: str = "BA-1",
    start: str = "2026-11-22",
    currency: Currency = EUR,
    **terms: Any,
) -> SubscriptionToCreate:
    """A subscription, of a monthly price unless others are given; `terms` are those beside them, dates as texts."""
    return SubscriptionToCreate(
        id_, account, date.fromisoformat(start), currency, Terms(prices or (monthly(),), **_dates(terms))
    )


def _dates(terms: Mapping[str, Any]) -> dict[str, Any]:
    days = ("trial_end_date", "termination_date", "billing_anchor")
    return {
        name: date.fromisoformat(value) if name in days and value is not None else value
        for name, value in terms.items()
    }


def patch(on: str, **terms: Any) -> Patch:
    """Other terms from a date on: those named, dates as texts."""
    return Patch(date.fromisoformat(on), tuple(sorted(terms)), Terms(**{"prices": (), **_dates(terms)}))


def change(
    on: str, kind: ChangeKind = "change", *, of: str = "S-1", at: int | None = None, **terms: Any
) -> SubscriptionToChange:
    """A change of a subscription, to be suspended, resumed or terminated too; on a revision, if that is given."""
    if kind == "terminate":
        terms = {"termination_date": on}
    elif kind != "change":
        terms = {"suspended": kind == "suspend"}
    return SubscriptionToChange(of, kind, patch(on, **terms), at)


def procedure(
    *steps: tuple[int, Action], id_: str = "D-1", threshold: str | None = None, fee: str = "4.50"
) -> NewSpecification:
    """A dunning procedure: days after the due date, and what is done; what is charged is a fee without tax."""
    tax = {"category": "E", "rate": 0}
    item = {"item": {"id": "fee", "quantity": 1, "unitPrice": fee, "tax": tax}}
    said = [{"after": after, "action": action, **(item if action == "charge" else {})} for after, action in steps]
    limit = {} if threshold is None else {"threshold": {"unit": "EUR", "value": float(threshold)}}
    return specification(id_, kind=DunningProcedure, steps=said, **limit)


def look(on: str, *, account: str = "BA-1") -> AccountToDun:
    """A day's look at an account."""
    return AccountToDun(account, date.fromisoformat(on))


def dunned(on: str) -> DayToComplete:
    """That on a day all were looked at."""
    return DayToComplete(date.fromisoformat(on))


def promise(
    id_: str, until: str, amount: int | None = None, *, account: str = "BA-1", currency: Currency = EUR
) -> PaymentToPromise:
    """A promise to pay by the end of a day."""
    return PaymentToPromise(id_, account, date.fromisoformat(until), amount, None if amount is None else currency)
