"""What goes out: each event's body, to the letter, and what every one of them keeps to."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts.model import (
    Account,
    AccountChanged,
    AccountCreated,
    AccountStateChanged,
    CreditLimitExceeded,
    SettlementTerms,
    Standing,
    State,
)
from domain.accounts.specifications import BillFormat, SpecificationChanged
from domain.billing.model import BilledCharge, BillOnDemand, BillOnDemandStateChanged, Charge, ChargeAdded
from domain.billing.runs import BillRun, BillRunCompleted, BillRunStarted, RunTotal
from domain.billing.subscriptions import (
    AppliedPatch,
    Subscription,
    SubscriptionChanged,
    SubscriptionCreated,
    SubscriptionStateChanged,
)
from domain.billing.terms import ProductPrice, Step, Terms, Tiers
from domain.billing.usage import UsageRecord
from domain.corrections.model import (
    CreditGranted,
    CreditNote,
    CreditNoteIssued,
    CreditNoteLine,
    CreditTransferred,
    Dispute,
    DisputedLine,
    DisputeOpened,
    DisputeSettled,
    DisputeWithdrawn,
    Goodwill,
    InvoiceCredited,
    InvoiceReopened,
    InvoiceWrittenOff,
    NotePart,
    PaymentPart,
    Refund,
    RefundBooked,
    Reversal,
    ReversalBooked,
    Transfer,
    TransferredPart,
    WriteOff,
)
from domain.dunning.model import Dunning, DunningCleared, DunningStep, DunningStepTaken, Promise, TakenStep
from domain.invoicing.model import (
    AppliedPayment,
    Billing,
    CorrectedLine,
    CorrectedTax,
    Corrections,
    CorrectsLine,
    DisputedPart,
    Handling,
    Invoice,
    InvoiceIssued,
    InvoiceLine,
    InvoiceOverdue,
    InvoicePaid,
    InvoicePartiallyPaid,
    InvoiceRecovered,
    InvoiceStateChanged,
    LineOrigin,
    PartnerShare,
    PaymentRequest,
    Period,
    TaxItem,
    WrittenOff,
)
from domain.invoicing.pricing import Item
from domain.ledger.books import Emitted
from domain.parties.model import Seller, SellerChanged
from domain.payments.allocating import Deallocation
from domain.payments.model import Allocation, Payment, PaymentAllocated, PaymentRequested
from domain.settlement.accepting import SelfBillingAccepted, SelfBillingDisputed
from domain.settlement.accruals import Accrual, SettlementAccrued
from domain.settlement.accruals import Step as ClosingStep
from domain.settlement.adjusting import SettlementAdjusted
from domain.settlement.agreements import AgreedTerms, Agreement, AgreementChanged, AgreementCreated
from domain.settlement.backdating import CorrectedShare, SettlementCorrected, ShareCorrection
from domain.settlement.closing import SettlementClosed
from domain.settlement.comparing import ComparedLine, StatementCompared, StatementReport
from domain.settlement.documents import (
    CreditedGroup,
    DocumentLine,
    DocumentSaid,
    DocumentTax,
    SelfBillingIssued,
    SettlementDocument,
    SettlementInvoiced,
)
from domain.settlement.payouts import Payout, PayoutReturn, SettlementPaid, WithholdingRecorded
from domain.settlement.requesting import NettingApplied, PayoutRequested
from domain.settlement.reserves import Release, Reserve, ReserveHeld, ReserveReleased
from domain.settlement.returning import PayoutReturnBooked
from domain.settlement.statements import (
    HeldForward,
    Hold,
    LineInDispute,
    PayoutRequest,
    Settlement,
    SettlementLine,
    WithheldTax,
)
from domain.settlement.terms import (
    Certificate,
    ClosingTerms,
    FixedFee,
    Guarantee,
    Holdback,
    LineTerms,
    SelfBilling,
    TierStep,
    Withholding,
)
from domain.settlement.terms import Tiers as PartnerTiers
from schemas.event import OutgoingEvent
from schemas.events import message_parked, outgoing
from tests.support.ledger_book import EVENT, balances

BOOKED_AT = datetime(2026, 11, 22, 12, 0, 0, 7000, tzinfo=UTC)

ACCOUNT = Account(
    id="SA-1",
    type="SettlementAccount",
    currency="EUR",
    currency_digits=2,
    state="active",
    revision=1,
    payment_term_days=30,
    settlement_terms=SettlementTerms(Decimal("0.8"), "payment"),
    opened_at=BOOKED_AT,
    version=1,
    updated_at=BOOKED_AT,
    document={
        "@type": "SettlementAccount",
        "name": "Film studio",
        "relatedParty": [
            {
                "@type": "RelatedPartyRefOrPartyRoleRef",
                "role": "partner",
                "partyOrPartyRole": {"@type": "PartyRef", "id": "42"},
            }
        ],
        "loyalty": {"points": 7},
    },
)
INVOICE = Invoice(
    id="INV-000000001",
    billing_account="BA-1",
    ordered_for="BA-2",
    order_id="O-1001",
    currency="EUR",
    state="partiallyPaid",
    bill_date=date(2026, 11, 22),
    payment_due_date=date(2026, 12, 22),
    tax_point_date=date(2026, 11, 21),
    booked_at=BOOKED_AT,
    tax_excluded_amount=4788,
    tax_included_amount=5746,
    remaining_amount=3746,
    tax_item=(TaxItem("S", Decimal("0.2"), 4788, 958),),
    lines=(
        InvoiceLine("1", "Fibre 500, November", Decimal(1), Decimal("39.9"), "S", Decimal("0.2"), 3990, 798, None),
        InvoiceLine(
            "2",
            None,
            Decimal(2),
            Decimal("3.99"),
            "S",
            Decimal("0.2"),
            798,
            160,
            PartnerShare("SA-1", Decimal("0.8"), "payment", 638, 222),
        ),
    ),
    applied_payment=(AppliedPayment("P-1", 2000),),
    buyer_version=3,
    seller_version=2,
)
CREDITED = replace(
    INVOICE,
    state="settled",
    remaining_amount=0,
    applied_payment=(AppliedPayment("P-1", 958),),
    corrections=Corrections(4788, (), (CorrectedLine("1", 3990, 0),), (CorrectedTax("S", Decimal("0.2"), 798, 0),)),
)
CREDIT_NOTE = CreditNote(
    id="N-1",
    bill_no="CN-000000001",
    corrected_bill_no="INV-000000001",
    billing_account="BA-1",
    currency="EUR",
    bill_date=date(2026, 11, 23),
    issued_at=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    cause="credit-note.issue:N-1",
    reason="returned",
    tax_excluded_amount=3990,
    tax_included_amount=4788,
    tax_item=(TaxItem("S", Decimal("0.2"), 3990, 798),),
    lines=(
        CreditNoteLine("1", "S", Decimal("0.2"), 3990, 798, None, 0, 0),
        CreditNoteLine("2", "S", Decimal("0.2"), 0, 0, "SA-1", 0, 55),
    ),
    covered=3746,
    recovered=0,
    excess="refund",
    deallocated=(PaymentPart("P-1", 1042),),
    reserved=(PaymentPart("P-1", 1042),),
    buyer_version=4,
    seller_version=2,
)
REFUND = Refund(
    id="R-1",
    billing_account="BA-1",
    currency="EUR",
    amount=2500,
    refunded_at=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    credit_note_id=None,
    payment_id="P-1",
    method="transfer",
    taken=(PaymentPart("P-1", 2200),),
    deallocated=(Deallocation("INV-000000001", "P-1", 1700),),
    recoverable=300,
)
REVERSAL = Reversal(
    id="X-1",
    payment_id="P-1",
    billing_account="BA-1",
    currency="EUR",
    amount=2300,
    fee=350,
    reversed_at=datetime(2026, 11, 25, 9, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    reason="AM04",
    credit=2000,
    reserved=(),
    transferred=(),
    deallocated=(Deallocation("INV-000000001", "P-1", 1700),),
    recoverable=300,
)
LOST = replace(
    INVOICE,
    state="onHold",
    remaining_amount=0,
    corrections=Corrections(0, (WrittenOff("W-1", 2000, tax_relief=True),)),
    handling=Handling(datetime(2026, 11, 23, 8, 0, tzinfo=UTC), "the portal", None, None, (DisputedPart("D-1", 4788),)),
)
WRITE_OFF = WriteOff(
    "W-1",
    "INV-000000001",
    "BA-1",
    "EUR",
    2788,
    tax_relief=True,
    written_off_at=datetime(2026, 11, 26, 9, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    reason="insolvent",
)
DISPUTE = Dispute(
    id="D-1",
    bill_no="INV-000000001",
    billing_account="BA-1",
    currency="EUR",
    state="settled",
    lines=(DisputedLine("1", 3990, 1990),),
    amount=4788,
    opened_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    reason="never came",
    ended_at=datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
    ended_booked_at=BOOKED_AT,
    credit_note="CN-000000001",
)
OPEN_DISPUTE = replace(
    DISPUTE, state="open", lines=(DisputedLine("1", 3990),), ended_at=None, ended_booked_at=None, credit_note=None
)
ADJUSTED = Accrual(
    "settlement.adjust/A-1",
    "SA-1",
    "O-1001",
    "INV-000000001",
    "2",
    -38,
    date(2026, 11, 24),
    "settlement.adjust:A-1",
    BOOKED_AT,
    adjustment_id="A-1",
)
FIRST_TERMS = AgreedTerms(
    date(2026, 11, 1), LineTerms(Decimal("0.75"), "payment"), 1, "agreement.create:AG-1", BOOKED_AT
)
AGREED = Agreement(
    "AG-1",
    "SA-1",
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2027, 11, 1, tzinfo=UTC),
    date(2026, 11, 1),
    date(2027, 11, 1),
    (FIRST_TERMS,),
)
AGREED_ANEW = replace(
    AGREED,
    id="AG-2",
    valid_until=None,
    end=None,
    agreed=(
        FIRST_TERMS,
        AgreedTerms(date(2026, 12, 1), LineTerms(Decimal("0.8"), "invoice"), 2, "agreement.change:m", BOOKED_AT),
    ),
)
AGREED_FOR_CLOSINGS = replace(
    AGREED,
    agreed=(
        replace(
            FIRST_TERMS,
            closing=ClosingTerms(Guarantee(100000, "quarter"), 30000, Holdback(Decimal("0.1"), 180), 5000),
        ),
    ),
    currency="EUR",
    advanced=30000,
)
AGREED_FOR_PAYOUTS = replace(
    AGREED,
    agreed=(
        replace(
            FIRST_TERMS,
            terms=LineTerms(
                None,
                "invoice",
                PartnerTiers("graduated", "month", (TierStep(100050, Decimal("0.7")), TierStep(None, Decimal("0.75")))),
            ),
            closing=ClosingTerms(
                withholding=Withholding(
                    Decimal("0.15"),
                    "Finanzamt",
                    Decimal("0.055"),
                    Certificate(
                        Decimal("0.05"),
                        datetime(2026, 1, 1, tzinfo=UTC),
                        datetime(2027, 1, 1, tzinfo=UTC),
                    ),
                ),
                netting="BA-9",
                self_billing=SelfBilling("SB-SA-1-", "AE", Decimal("0"), Decimal("0.2")),
                fixed_fee=FixedFee(1000, "quarter", "S", Decimal("0.2")),
            ),
        ),
    ),
    currency="EUR",
)
RESERVE = Reserve("C-4", "SA-1", "EUR", 120055, Decimal("0.1"), 12006, date(2026, 11, 30), date(2027, 5, 29), BOOKED_AT)
RELEASED = replace(
    RESERVE,
    is_left=True,
    releases=(
        Release(4000, date(2026, 12, 3), "reserve.release:RR-1", BOOKED_AT, "RR-1"),
        Release(8006, date(2027, 5, 29), "reserve.continue:C-4", BOOKED_AT),
    ),
)
RETURNED = Payout(
    "PO-1",
    "SA-1",
    "C-3",
    "EUR",
    200,
    BOOKED_AT,
    PayoutReturn("PR-1", datetime(2026, 12, 3, 9, 0, tzinfo=UTC), "AC04", BOOKED_AT),
)
GRANT = Goodwill(
    id="C-1",
    billing_account="BA-1",
    currency="EUR",
    amount=500,
    granted_at=datetime(2026, 11, 24, 10, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    reason="sorry",
)
TRANSFER = Transfer(
    id="T-1",
    from_account="BA-1",
    to_account="BA-2",
    currency="EUR",
    amount=500,
    transferred_at=datetime(2026, 11, 24, 11, 0, tzinfo=UTC),
    booked_at=BOOKED_AT,
    reason="wrong account",
    payment_id="P-1",
    taken=(PaymentPart("P-1", 500),),
)
TRANSFERRED = Payment(
    "transfer~T-1~1",
    "BA-2",
    "EUR",
    500,
    100,
    datetime(2026, 11, 24, 11, 0, tzinfo=UTC),
    None,
    None,
    BOOKED_AT,
    "transfer",
)
REVERSAL_ELSEWHERE = replace(
    REVERSAL,
    transferred=(TransferredPart("transfer~T-1~1", "BA-2", 100, (NotePart("N-1", 50),)),),
    deallocated=(*REVERSAL.deallocated, Deallocation("INV-000000002", "transfer~T-1~1", 100)),
)
GOODWILL = Payment(
    "credit~C-1", "BA-1", "EUR", 500, 300, datetime(2026, 11, 24, 10, 0, tzinfo=UTC), None, None, BOOKED_AT, "goodwill"
)
PAYMENT = Payment(
    "P-1",
    "BA-1",
    "EUR",
    2500,
    500,
    datetime(2026, 11, 20, 8, 0, tzinfo=UTC),
    "transfer",
    ("INV-000000001", "X"),
    BOOKED_AT,
)
ALLOCATION = Allocation("INV-000000001/P-1", "INV-000000001", "P-1", "BA-1", 2000, "payment.received:P-1", BOOKED_AT)
ACCRUAL = Accrual(
    "INV-000000001/2/P-1", "SA-1", "O-1001", "INV-000000001", "2", 222, date(2026, 11, 20), "x", BOOKED_AT
)
SETTLEMENT = Settlement(
    id="C-2",
    settlement_account="SA-1",
    currency="EUR",
    closing_id="C-2",
    period_end=date(2026, 11, 30),
    lines=(SettlementLine("INV-000000001/2/P-1", "O-1001", "INV-000000001", "2", date(2026, 11, 20), 222),),
    brought_forward=-22,
    brought_forward_from="C-1",
    total=200,
    paid=0,
    state="open",
    booked_at=BOOKED_AT,
)
REPORT = StatementReport(
    "R-1",
    "C-2",
    "SA-1",
    "EUR",
    5,
    (
        ComparedLine("O-1001", "INV-000000001", "2", "different", 222, 212),
        ComparedLine(None, "INV-000000002", "1", "missingThere", -22),
        ComparedLine("O-3", None, "1", "missingHere", theirs=400),
    ),
    BOOKED_AT,
)
COMPARED = replace(SETTLEMENT, report="R-1", disputed=(LineInDispute("INV-000000001", "2", 150),))
STATEMENT_OF_ADJUSTMENTS = replace(
    SETTLEMENT,
    id="C-3",
    lines=(
        SettlementLine("settlement.adjust/A-1", "O-1001", "INV-000000001", "2", date(2026, 11, 24), -38, "A-1"),
        SettlementLine("settlement.adjust/A-2", None, None, None, date(2026, 11, 24), 238, "A-2"),
    ),
    brought_forward=0,
    brought_forward_from=None,
)
# Of 10.00 are 3.00 netted, and 2.00 paid, of which 15 % of 2.86 are withheld: 0.43.
NETTED_STATEMENT = replace(
    SETTLEMENT,
    id="C-5",
    lines=(
        SettlementLine(
            "INV-000000001/2/settlement.correct/AG-1/2/INV-000000001",
            "O-1001",
            "INV-000000001",
            "2",
            date(2026, 11, 20),
            -200,
            corrects="INV-000000001/2",
        ),
        SettlementLine(
            "settlement.close/C-5/trueUp/AG-1/1/2026-11-01",
            None,
            None,
            None,
            date(2026, 11, 30),
            1200,
            step=ClosingStep(
                "trueUp", "AG-1", date(2026, 11, 1), date(2026, 11, 30), of=90000, base=120000, revision=1
            ),
        ),
    ),
    brought_forward=0,
    brought_forward_from=None,
    total=1000,
    paid=500,
    state="partiallyPaid",
    withholding=Withholding(Decimal("0.15"), "Finanzamt"),
    netted=300,
    withheld=(WithheldTax(Decimal("0.15"), 286, 43),),
    request=PayoutRequest("C-5", 1, 1000, 300, 150, Decimal("0.15")),
)
WITHHELD = Payout("C-5", "SA-1", "C-5", "EUR", 200, BOOKED_AT, withheld=WithheldTax(Decimal("0.15"), 286, 43))
CORRECTION = ShareCorrection(
    "AG-1/2/INV-000000001",
    "AG-1",
    2,
    "SA-1",
    "INV-000000001",
    (CorrectedShare("1", 2793, 2993, 200, 0), CorrectedShare("2", 700, 650, -20, -30)),
    "settlement.correct:AG-1/2/INV-000000001",
    BOOKED_AT,
)
_END, _RELEASE_ON = date(2026, 11, 30), date(2027, 5, 29)
STATEMENT_OF_STEPS = replace(
    STATEMENT_OF_ADJUSTMENTS,
    id="C-4",
    lines=tuple(
        SettlementLine(id_, None, None, None, day, amount, step=step)
        for id_, day, amount, step in (
            ("reserve.release/RR-0", date(2026, 11, 28), 700, ClosingStep("release", settlement="C-1")),
            (
                "settlement.close/C-4/guarantee/AG-1/2026-09-01",
                _END,
                90,
                ClosingStep("guarantee", "AG-1", date(2026, 9, 1), _END, 100000, 99910),
            ),
            ("settlement.close/C-4/recoupment", _END, -40, ClosingStep("recoupment", base=90)),
            (
                "settlement.close/C-4/holdback",
                _END,
                -5,
                ClosingStep("holdback", base=50, rate=Decimal("0.1"), end=_RELEASE_ON),
            ),
        )
    ),
    total=745,
    state="carriedForward",
    threshold=5000,
)

HELD_STATEMENT = replace(
    SETTLEMENT,
    hold=Hold(("SB-SA-1-000000002",)),
    held_forward=HeldForward(("SB-SA-1-000000001",), 100),
)

SELF_BILLED = SettlementDocument(
    id="SB-SA-1-000000001",
    type_code="389",
    settlement_account="SA-1",
    settlement_id="C-4",
    currency="EUR",
    bill_date=_END,
    cause="settlement.close:C-4",
    booked_at=BOOKED_AT,
    tax_excluded_amount=8000,
    tax_included_amount=9600,
    lines=(
        DocumentLine("accrual", "AG-1", "S", Decimal("0.2"), 7910, date(2026, 11, 1), _END),
        DocumentLine("guarantee", "AG-1", "S", Decimal("0.2"), 90, _END, _END),
    ),
    tax_item=(DocumentTax("S", Decimal("0.2"), 8000, 1600),),
    seller_version=2,
    partner_version=3,
    credited=(CreditedGroup("S", Decimal("0.2"), 1600, 320),),
)
SAID_AT = datetime(2026, 12, 3, 9, tzinfo=UTC)
DISPUTED_DOCUMENT = replace(
    SELF_BILLED, said=(DocumentSaid("disputed", SAID_AT, "self-billing.dispute:m-1", BOOKED_AT, "one line is missing"),)
)
SELF_BILLED_NOTE = replace(
    SELF_BILLED,
    id="SB-SA-1-000000002",
    type_code="261",
    tax_excluded_amount=1600,
    tax_included_amount=1600,
    lines=(DocumentLine("adjustment", None, "AE", Decimal("0"), 1600, _END, _END),),
    tax_item=(DocumentTax("AE", Decimal("0"), 1600, 0, Decimal("0.2"), 320),),
    corrects="SB-SA-1-000000001",
    seller_version=None,
    credited=None,
    said=(DocumentSaid("accepted", SAID_AT, "self-billing.accept:m-2", BOOKED_AT),),
)
OUR_INVOICE = replace(
    SELF_BILLED,
    id="INV-000000007",
    type_code="380",
    tax_excluded_amount=1000,
    tax_included_amount=1200,
    lines=(DocumentLine("fee", "AG-1", "S", Decimal("0.2"), 1000, date(2026, 10, 1), _END),),
    tax_item=(DocumentTax("S", Decimal("0.2"), 1000, 200),),
    credited=None,
)

CHARGE = Charge(
    id="C-1",
    billing_account="BA-2",
    date=date(2026, 11, 16),
    currency="EUR",
    item=Item("1", "Fibre 500, two weeks less", Decimal(1), Decimal("-19.95"), "S", Decimal("0.2"), "SA-1"),
    net=-1995,
    period=Period(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
    subscription_id="S-1",
    corrects=CorrectsLine("INV-000000001", "1"),
    booked_at=BOOKED_AT,
)
BILLED = replace(
    CHARGE, billed=BilledCharge("INV-000000002", "1", None, -1000, "bill.demand:D-1", BOOKED_AT), corrects=None
)
BILL = Invoice(
    id="INV-000000002",
    billing_account="BA-1",
    ordered_for="BA-1",
    order_id=None,
    currency="EUR",
    state="new",
    bill_date=date(2026, 11, 22),
    payment_due_date=date(2026, 12, 22),
    tax_point_date=date(2026, 11, 30),
    booked_at=BOOKED_AT,
    tax_excluded_amount=1000,
    tax_included_amount=1200,
    remaining_amount=1200,
    tax_item=(TaxItem("S", Decimal("0.2"), 1000, 200),),
    lines=(
        InvoiceLine(
            "1",
            None,
            Decimal(1),
            Decimal(10),
            "S",
            Decimal("0.2"),
            1000,
            200,
            None,
            LineOrigin("BA-2", "C-1", "S-1", "P-1", CHARGE.period, CHARGE.corrects),
        ),
    ),
    buyer_version=3,
    billing=Billing("bill.demand:D-1", "offCycle", Period(datetime(2026, 11, 1, tzinfo=UTC), BOOKED_AT)),
)
BILL_RUN = BillRun(
    id="MONTHLY:2026-12-01",
    cycle_specification="MONTHLY",
    billing_date=date(2026, 12, 1),
    charges_through=date(2026, 11, 29),
    payment_due_date=date(2026, 12, 15),
    state="running",
    cause="bill-run.open:2026-12-01",
    started_at=BOOKED_AT,
)
COMPLETED_RUN = replace(
    BILL_RUN,
    charges_through=None,
    payment_due_date=None,
    state="completed",
    completed_at=BOOKED_AT + timedelta(minutes=5),
    cursor="BA-9",
    billed=7,
    nothing_due=2,
    totals=(RunTotal("EUR", 10_000, 12_000), RunTotal("JPY", 50, 55)),
)
ON_DEMAND = BillOnDemand(
    id="D-1/2",
    demand_id="D-1",
    billing_account="BA-1",
    billing_date=date(2026, 11, 30),
    state="done",
    bill_no="INV-000000002",
    credit_notes=("CN-000000001",),
    booked_at=BOOKED_AT,
)

RECURRING = ProductPrice(
    "P-1", "Fibre 500", "recurring", "S", Decimal("0.2"), Decimal("39.90"), Decimal(2), on_behalf_of="SA-1"
)
SUBSCRIPTION = Subscription(
    "S-1",
    "BA-1",
    "EUR",
    date(2026, 11, 22),
    Terms(
        (
            RECURRING,
            ProductPrice("P-2", "Installation", "oneTime", "S", Decimal("0.2"), Decimal(49), proration="none"),
            ProductPrice(
                "P-3",
                "Data",
                "usage",
                "S",
                Decimal("0.2"),
                unit_of_measure="GB",
                tiers=Tiers("volume", (Step(Decimal(10), Decimal(0), Decimal("1.5")), Step(None, Decimal("0.05")))),
                period_type="week",
                period_length=2,
            ),
            ProductPrice("P-4", "At least", "minimum", "S", Decimal("0.2"), amount=Decimal("9.90")),
        ),
        "Home",
        date(2026, 12, 6),
        date(2028, 11, 22),
        date(2026, 12, 1),
    ),
    (),
    "active",
    1,
    BOOKED_AT,
    date(2026, 11, 22),
    date(2026, 11, 22),
)
USAGE = UsageRecord("U-1", "S-1", "P-3", BOOKED_AT, date(2026, 11, 22), Decimal("2.5"), 1, BOOKED_AT)
RENAMED = replace(
    SUBSCRIPTION,
    patches=(
        AppliedPatch(
            date(2026, 12, 1),
            ("name", "prices", "trial_end_date"),
            Terms((RECURRING,), "House"),
            2,
            "change",
            "subscription.change:m-1",
            BOOKED_AT,
        ),
        AppliedPatch(
            date(2027, 1, 1),
            ("suspended",),
            Terms((), suspended=True),
            3,
            "suspend",
            "subscription.suspend:m-2",
            BOOKED_AT,
        ),
        AppliedPatch(
            date(2027, 2, 1),
            ("termination_date",),
            Terms((), termination_date=date(2027, 2, 1)),
            4,
            "terminate",
            "subscription.terminate:m-3",
            BOOKED_AT,
        ),
        AppliedPatch(
            date(2026, 12, 3),
            ("billing_anchor", "name"),
            Terms((), "Haus"),
            5,
            "change",
            "subscription.change:m-4",
            BOOKED_AT,
        ),
    ),
    revision=5,
)
_RECURRING_JSON = """{
  "@type": "ProductPrice",
  "id": "P-1",
  "name": "Fibre 500",
  "priceType": "recurring",
  "tax": {"category": "S", "rate": 0.2},
  "proration": "actual",
  "unitPrice": 39.9,
  "quantity": 2,
  "billed": "inAdvance",
  "recurringChargePeriodType": "month",
  "recurringChargePeriodLength": 1,
  "onBehalfOf": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"}
}"""
_SUBSCRIPTION_JSON = (
    """{
  "@type": "Product",
  "id": "S-1",
  "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
  "currency": "EUR",
  "startDate": "2026-11-22",
  "state": "active",
  "revision": 1,
  "lastUpdate": "2026-11-22T12:00:00.007Z",
  "name": "Home",
  "productPrice": [
    """
    + _RECURRING_JSON
    + """,
    {
      "@type": "ProductPrice",
      "id": "P-2",
      "name": "Installation",
      "priceType": "oneTime",
      "tax": {"category": "S", "rate": 0.2},
      "proration": "none",
      "unitPrice": 49,
      "quantity": 1
    },
    {
      "@type": "ProductPrice",
      "id": "P-3",
      "name": "Data",
      "priceType": "usage",
      "tax": {"category": "S", "rate": 0.2},
      "proration": "actual",
      "unitOfMeasure": "GB",
      "tiers": {"mode": "volume", "steps": [{"upTo": 10, "unitPrice": 0, "flatFee": 1.5}, {"unitPrice": 0.05}]},
      "recurringChargePeriodType": "week",
      "recurringChargePeriodLength": 2
    },
    {
      "@type": "ProductPrice",
      "id": "P-4",
      "name": "At least",
      "priceType": "minimum",
      "tax": {"category": "S", "rate": 0.2},
      "proration": "actual",
      "amount": 9.9,
      "recurringChargePeriodType": "month",
      "recurringChargePeriodLength": 1
    }
  ],
  "trialEndDate": "2026-12-06",
  "terminationDate": "2028-11-22",
  "billingAnchor": "2026-12-01"
}"""
)
CREATED_JSON = f'{{"subscription": {_SUBSCRIPTION_JSON}}}'
_CHANGED_JSON = (
    """{
  "@type": "Product",
  "id": "S-1",
  "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
  "currency": "EUR",
  "startDate": "2026-11-22",
  "state": "%s",
  "revision": %d,
  "lastUpdate": "2026-11-22T12:00:00.007Z",
  "name": "House",
  "productPrice": ["""
    + _RECURRING_JSON
    + """],
  "terminationDate": "2028-11-22",
  "billingAnchor": "2026-12-01"
}"""
)
CHANGED_JSON = (
    '{"subscription": '
    + _CHANGED_JSON % ("active", 2)
    + ', "kind": "change", "effectiveDate": "2026-12-01", "changed": ["name", "productPrice", "trialEndDate"], '
    + f'"changes": {{"name": "House", "productPrice": [{_RECURRING_JSON}], "trialEndDate": null}}}}'
)
SUSPENDED_JSON = (
    '{"subscription": '
    + _CHANGED_JSON % ("active", 3)
    + ', "kind": "suspend", "effectiveDate": "2027-01-01", "changed": ["state"]}'
)
TERMINATED_JSON = (
    '{"subscription": '
    + _CHANGED_JSON % ("active", 4)
    + ', "kind": "terminate", "effectiveDate": "2027-02-01", "changed": ["terminationDate"]}'
)
STATE_CHANGED_JSON = (
    '{"subscription": ' + _CHANGED_JSON % ("suspended", 3) + ', "oldState": "active", "newState": "suspended"}'
)
CHARGE_JSON = """{
  "charge": {
    "@type": "AppliedCustomerBillingRate",
    "id": "C-1",
    "date": "2026-11-16",
    "isBilled": false,
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
    "itemId": "1",
    "quantity": 1,
    "unitPrice": -19.95,
    "taxExcludedAmount": {"unit": "EUR", "value": -19.95},
    "appliedTax": [{"@type": "AppliedBillingTaxRate", "taxCategory": "S", "taxRate": 0.2}],
    "description": "Fibre 500, two weeks less",
    "onBehalfOf": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "periodCoverage": {"startDateTime": "2026-11-16T00:00:00.000Z", "endDateTime": "2026-12-01T00:00:00.000Z"},
    "subscriptionId": "S-1",
    "corrects": {"billNo": "INV-000000001", "lineId": "1"}
  }
}"""
BILL_JSON = """{
  "invoice": {
    "@type": "CustomerBill",
    "id": "INV-000000002",
    "billNo": "INV-000000002",
    "paymentReference": "RF91INV000000002",
    "billingPeriod": {"startDateTime": "2026-11-01T00:00:00.000Z", "endDateTime": "2026-11-22T12:00:00.007Z"},
    "runType": "offCycle",
    "billDate": "2026-11-22",
    "paymentDueDate": "2026-12-22",
    "taxPointDate": "2026-11-30",
    "state": "new",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "sellerVersion": null,
    "buyerVersion": 3,
    "taxExcludedAmount": {"unit": "EUR", "value": 10},
    "taxIncludedAmount": {"unit": "EUR", "value": 12},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 10},
        "taxAmount": {"unit": "EUR", "value": 2}
      }
    ],
    "amountDue": {"unit": "EUR", "value": 12},
    "remainingAmount": {"unit": "EUR", "value": 12},
    "appliedPayment": [],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "isBilled": true,
        "bill": {"@type": "CustomerBillRef", "id": "INV-000000002"},
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
        "quantity": 1,
        "unitPrice": 10,
        "taxExcludedAmount": {"unit": "EUR", "value": 10},
        "taxIncludedAmount": {"unit": "EUR", "value": 12},
        "appliedTax": [
          {
            "@type": "AppliedBillingTaxRate",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxAmount": {"unit": "EUR", "value": 2}
          }
        ],
        "chargeId": "C-1",
        "subscriptionId": "S-1",
        "priceId": "P-1",
        "periodCoverage": {"startDateTime": "2026-11-16T00:00:00.000Z", "endDateTime": "2026-12-01T00:00:00.000Z"},
        "corrects": {"billNo": "INV-000000001", "lineId": "1"}
      }
    ]
  }
}"""
OVERDUE = replace(INVOICE, handling=Handling(overdue_on=date(2026, 12, 23)))
COLLECTED = replace(
    INVOICE,
    handling=Handling(
        overdue_on=date(2026, 12, 23),
        request=PaymentRequest(date(2026, 12, 22), 3746, "PM 1", BOOKED_AT, "AM04"),
    ),
)
COLLECTED_JSON: dict[str, Any] = {
    "paymentRequestId": "INV-000000001",
    "date": "2026-12-22",
    "amount": {"unit": "EUR", "value": 37.46},
    "failedAt": "2026-11-22T12:00:00.007Z",
    "reason": "AM04",
}
REQUESTED_JSON = """{
  "paymentRequestId": "INV-000000001",
  "billingAccount": {
    "@type": "BillingAccountRef",
    "@referredType": "BillingAccount",
    "id": "BA-1"
  },
  "billNo": "INV-000000001",
  "amount": {
    "unit": "EUR",
    "value": 37.46
  },
  "dueDate": "2026-12-22",
  "paymentMethod": {
    "@type": "PaymentMethodRef",
    "id": "PM 1"
  }
}"""
STEP = DunningStep(
    "BA-1/2026-11-25",
    "BA-1",
    date(2026, 11, 25),
    2,
    5,
    "charge",
    "D-1",
    date(2026, 11, 20),
    5746,
    "EUR",
    None,
    "dunning.look:BA-1/2026-11-25",
    BOOKED_AT,
)
DUNNING = Dunning(
    "BA-1",
    (
        TakenStep(date(2026, 11, 24), 4, "remind"),
        TakenStep(date(2026, 11, 25), 5, "charge", "dunning~BA-1~2026-11-25"),
    ),
    date(2026, 11, 25),
    Promise("PR-1", date(2026, 11, 24), 1995, BOOKED_AT),
    3,
)
STEP_JSON = """{
  "billingAccount": {
    "@type": "BillingAccountRef",
    "@referredType": "BillingAccount",
    "id": "BA-1"
  },
  "dunningProcedure": {
    "@type": "DunningProcedureRef",
    "@referredType": "DunningProcedure",
    "id": "D-1"
  },
  "date": "2026-11-25",
  "level": 2,
  "after": 5,
  "action": "charge",
  "oldestDueDate": "2026-11-20",
  "overdue": {
    "unit": "EUR",
    "value": 57.46
  }
}"""
CHARGED_JSON = f"""{STEP_JSON[:-2]},
  "chargeId": "dunning~BA-1~2026-11-25"
}}"""
CLEARED_JSON = """{
  "billingAccount": {
    "@type": "BillingAccountRef",
    "@referredType": "BillingAccount",
    "id": "BA-1"
  },
  "date": "2026-11-29",
  "level": 1,
  "oldLevel": 3,
  "overdue": {
    "unit": "EUR",
    "value": 19.95
  }
}"""
RUN_STARTED_JSON = """{
  "billRun": {
    "@type": "BillCycle",
    "billRunId": "MONTHLY:2026-12-01",
    "cycleSpecification": {"@type": "BillingCycleSpecificationRef", "id": "MONTHLY"},
    "billingDate": "2026-12-01",
    "state": "running",
    "startedAt": "2026-11-22T12:00:00.007Z",
    "chargesThrough": "2026-11-29",
    "paymentDueDate": "2026-12-15"
  }
}"""
RUN_COMPLETED_JSON = """{
  "billRun": {
    "@type": "BillCycle",
    "billRunId": "MONTHLY:2026-12-01",
    "cycleSpecification": {"@type": "BillingCycleSpecificationRef", "id": "MONTHLY"},
    "billingDate": "2026-12-01",
    "state": "completed",
    "startedAt": "2026-11-22T12:00:00.007Z",
    "completedAt": "2026-11-22T12:05:00.007Z",
    "accounts": {"total": 10, "billed": 7, "nothingDue": 2, "parked": 1},
    "totals": [
      {"taxExcludedAmount": {"unit": "EUR", "value": 100}, "taxIncludedAmount": {"unit": "EUR", "value": 120}},
      {"taxExcludedAmount": {"unit": "JPY", "value": 50}, "taxIncludedAmount": {"unit": "JPY", "value": 55}}
    ]
  }
}"""
ON_DEMAND_JSON = """{
  "customerBillOnDemand": {
    "@type": "CustomerBillOnDemand",
    "id": "D-1",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "billingDate": "2026-11-30",
    "state": "done",
    "creditNotes": [{"@type": "CustomerBillRef", "id": "CN-000000001"}],
    "lastUpdate": "2026-11-22T12:00:00.007Z",
    "customerBill": {"@type": "CustomerBillRef", "id": "INV-000000002"}
  }
}"""
NOTHING_BILLED_JSON = """{
  "customerBillOnDemand": {
    "@type": "CustomerBillOnDemand",
    "id": "D-1",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "billingDate": "2026-11-30",
    "state": "inProgress",
    "creditNotes": [],
    "lastUpdate": "2026-11-22T12:00:00.007Z"
  }
}"""
ACCOUNT_JSON = """{
  "account": {
    "@type": "SettlementAccount",
    "id": "SA-1",
    "name": "Film studio",
    "state": "active",
    "lastUpdate": "2026-11-22T12:00:00.007Z",
    "currency": "EUR",
    "paymentTermDays": 30,
    "settlementTerms": {"partnerShare": 0.8, "accrueOn": "payment"},
    "accountBalance": [
      {"@type": "AccountBalance", "balanceType": "payable", "amount": {"unit": "EUR", "value": 1.23}},
      {"@type": "AccountBalance", "balanceType": "withheld", "amount": {"unit": "EUR", "value": 0.04}},
      {"@type": "AccountBalance", "balanceType": "reserve", "amount": {"unit": "EUR", "value": 0.05}},
      {"@type": "AccountBalance", "balanceType": "advance", "amount": {"unit": "EUR", "value": 0.06}}
    ],
    "relatedParty": [
      {
        "@type": "RelatedPartyRefOrPartyRoleRef",
        "role": "partner",
        "partyOrPartyRole": {"@type": "PartyRef", "id": "42"}
      }
    ],
    "loyalty": {"points": 7}
  },
  "revision": 1
}"""
CREDIT_NOTE_JSON = """{
  "creditNote": {
    "@type": "CustomerBill",
    "id": "CN-000000001",
    "billNo": "CN-000000001",
    "category": "creditNote",
    "creditNoteId": "N-1",
    "correctedBillNo": "INV-000000001",
    "billDate": "2026-11-23",
    "issuedAt": "2026-11-23T09:00:00.000Z",
    "reason": "returned",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "taxExcludedAmount": {"unit": "EUR", "value": 39.9},
    "taxIncludedAmount": {"unit": "EUR", "value": 47.88},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 39.9},
        "taxAmount": {"unit": "EUR", "value": 7.98}
      }
    ],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "isBilled": true,
        "bill": {"@type": "CustomerBillRef", "id": "CN-000000001"},
        "taxExcludedAmount": {"unit": "EUR", "value": 39.9},
        "taxIncludedAmount": {"unit": "EUR", "value": 47.88},
        "appliedTax": [
          {
            "@type": "AppliedBillingTaxRate",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxAmount": {"unit": "EUR", "value": 7.98}
          }
        ]
      }
    ],
    "covered": {
      "remaining": {"unit": "EUR", "value": 37.46},
      "writtenOff": {"unit": "EUR", "value": 0},
      "deallocations": [{"paymentId": "P-1", "amount": {"unit": "EUR", "value": 10.42}}]
    },
    "refundable": {"unit": "EUR", "value": 10.42},
    "sellerVersion": 2,
    "buyerVersion": 4
  }
}"""
INVOICE_JSON = """{
  "invoice": {
    "@type": "CustomerBill",
    "id": "INV-000000001",
    "billNo": "INV-000000001",
    "paymentReference": "RF21INV000000001",
    "orderId": "O-1001",
    "billDate": "2026-11-22",
    "paymentDueDate": "2026-12-22",
    "taxPointDate": "2026-11-21",
    "state": "partiallyPaid",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "sellerVersion": 2,
    "buyerVersion": 3,
    "taxExcludedAmount": {"unit": "EUR", "value": 47.88},
    "taxIncludedAmount": {"unit": "EUR", "value": 57.46},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 47.88},
        "taxAmount": {"unit": "EUR", "value": 9.58}
      }
    ],
    "amountDue": {"unit": "EUR", "value": 57.46},
    "remainingAmount": {"unit": "EUR", "value": 37.46},
    "appliedPayment": [
      {
        "@type": "AppliedPayment",
        "appliedAmount": {"unit": "EUR", "value": 20},
        "payment": {"@type": "PaymentRef", "id": "P-1"}
      }
    ],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "description": "Fibre 500, November",
        "isBilled": true,
        "bill": {"@type": "CustomerBillRef", "id": "INV-000000001"},
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
        "quantity": 1,
        "unitPrice": 39.9,
        "taxExcludedAmount": {"unit": "EUR", "value": 39.9},
        "taxIncludedAmount": {"unit": "EUR", "value": 47.88},
        "appliedTax": [
          {
            "@type": "AppliedBillingTaxRate",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxAmount": {"unit": "EUR", "value": 7.98}
          }
        ]
      },
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "2",
        "isBilled": true,
        "bill": {"@type": "CustomerBillRef", "id": "INV-000000001"},
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
        "quantity": 2,
        "unitPrice": 3.99,
        "taxExcludedAmount": {"unit": "EUR", "value": 7.98},
        "taxIncludedAmount": {"unit": "EUR", "value": 9.58},
        "appliedTax": [
          {
            "@type": "AppliedBillingTaxRate",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxAmount": {"unit": "EUR", "value": 1.6}
          }
        ],
        "onBehalfOf": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"}
      }
    ]
  },
  "orderId": "O-1001"
}"""
CREDITED_JSON = """{
  "invoice": {
    "@type": "CustomerBill",
    "id": "INV-000000001",
    "billNo": "INV-000000001",
    "paymentReference": "RF21INV000000001",
    "orderId": "O-1001",
    "billDate": "2026-11-22",
    "paymentDueDate": "2026-12-22",
    "taxPointDate": "2026-11-21",
    "state": "settled",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "taxExcludedAmount": {"unit": "EUR", "value": 47.88},
    "taxIncludedAmount": {"unit": "EUR", "value": 57.46},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 47.88},
        "taxAmount": {"unit": "EUR", "value": 9.58}
      }
    ],
    "amountDue": {"unit": "EUR", "value": 57.46},
    "remainingAmount": {"unit": "EUR", "value": 0},
    "appliedPayment": [
      {
        "@type": "AppliedPayment",
        "appliedAmount": {"unit": "EUR", "value": 9.58},
        "payment": {"@type": "PaymentRef", "id": "P-1"}
      }
    ],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "description": "Fibre 500, November",
        "isBilled": true,
        "bill": {"@type": "CustomerBillRef", "id": "INV-000000001"},
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
        "quantity": 1,
        "unitPrice": 39.9,
        "taxExcludedAmount": {"unit": "EUR", "value": 39.9},
        "taxIncludedAmount": {"unit": "EUR", "value": 47.88},
        "appliedTax": [
          {
            "@type": "AppliedBillingTaxRate",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxAmount": {"unit": "EUR", "value": 7.98}
          }
        ]
      },
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "2",
        "isBilled": true,
        "bill": {"@type": "CustomerBillRef", "id": "INV-000000001"},
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
        "quantity": 2,
        "unitPrice": 3.99,
        "taxExcludedAmount": {"unit": "EUR", "value": 7.98},
        "taxIncludedAmount": {"unit": "EUR", "value": 9.58},
        "appliedTax": [
          {
            "@type": "AppliedBillingTaxRate",
            "taxCategory": "S",
            "taxRate": 0.2,
            "taxAmount": {"unit": "EUR", "value": 1.6}
          }
        ],
        "onBehalfOf": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"}
      }
    ],
    "sellerVersion": 2,
    "buyerVersion": 3,
    "corrections": {
      "credited": {"unit": "EUR", "value": 47.88},
      "lines": [{"lineId": "1", "credited": {"unit": "EUR", "value": 39.9}}]
    }
  },
  "orderId": "O-1001",
  "creditNote": "CN-000000001",
  "creditNoteId": "N-1",
  "deallocations": [{"paymentId": "P-1", "amount": {"unit": "EUR", "value": 10.42}}]
}"""
REFUND_JSON = """{
  "refund": {
    "@type": "Refund",
    "refundId": "R-1",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 25},
    "refundedAt": "2026-11-24T09:00:00.000Z",
    "taken": [{"paymentId": "P-1", "amount": {"unit": "EUR", "value": 22}}],
    "recoverable": {"unit": "EUR", "value": 3},
    "paymentId": "P-1",
    "method": "transfer"
  },
  "deallocations": [{"billNo": "INV-000000001", "amount": {"unit": "EUR", "value": 17}}],
  "recoverable": {"unit": "EUR", "value": 3}
}"""
REVERSAL_JSON = """{
  "payment": {
    "@type": "Payment",
    "paymentId": "P-1",
    "receivedAt": "2026-11-20T08:00:00.000Z",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 25},
    "method": "transfer",
    "invoices": ["INV-000000001", "X"]
  },
  "reversal": {
    "@type": "PaymentReversal",
    "reversalId": "X-1",
    "paymentId": "P-1",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 23},
    "reversedAt": "2026-11-25T09:00:00.000Z",
    "reason": "AM04",
    "recoverable": {"unit": "EUR", "value": 3},
    "fee": {"unit": "EUR", "value": 3.5}
  },
  "deallocations": [{"billNo": "INV-000000001", "amount": {"unit": "EUR", "value": 17}}],
  "recoverable": {"unit": "EUR", "value": 3},
  "unapplied": {"unit": "EUR", "value": 5}
}"""
GRANTED_JSON = """{
  "credit": {
    "@type": "Goodwill",
    "creditId": "C-1",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 5},
    "grantedAt": "2026-11-24T10:00:00.000Z",
    "reason": "sorry"
  }
}"""
GOODWILL_JSON = """{
  "payment": {
    "@type": "Payment",
    "paymentId": "credit~C-1",
    "receivedAt": "2026-11-24T10:00:00.000Z",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 5},
    "source": "goodwill"
  },
  "allocations": [],
  "notAllocated": [],
  "unapplied": {"unit": "EUR", "value": 3},
  "recovered": {"unit": "EUR", "value": 2}
}"""
TRANSFERRED_JSON = """{
  "transfer": {
    "@type": "CreditTransfer",
    "transferId": "T-1",
    "from": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "to": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
    "amount": {"unit": "EUR", "value": 5},
    "transferredAt": "2026-11-24T11:00:00.000Z",
    "reason": "wrong account",
    "taken": [{"paymentId": "P-1", "amount": {"unit": "EUR", "value": 5}}],
    "paymentId": "P-1"
  }
}"""
REVERSED_ELSEWHERE_JSON = """{
  "payment": {
    "@type": "Payment",
    "paymentId": "transfer~T-1~1",
    "receivedAt": "2026-11-24T11:00:00.000Z",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
    "amount": {"unit": "EUR", "value": 5},
    "source": "transfer"
  },
  "reversal": {
    "@type": "PaymentReversal",
    "reversalId": "X-1",
    "paymentId": "P-1",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 23},
    "reversedAt": "2026-11-25T09:00:00.000Z",
    "reason": "AM04",
    "recoverable": {"unit": "EUR", "value": 3},
    "fee": {"unit": "EUR", "value": 3.5},
    "transferred": [
      {
        "paymentId": "transfer~T-1~1",
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-2"},
        "amount": {"unit": "EUR", "value": 1.5}
      }
    ]
  },
  "deallocations": [{"billNo": "INV-000000002", "amount": {"unit": "EUR", "value": 1}}],
  "recoverable": {"unit": "EUR", "value": 0},
  "unapplied": {"unit": "EUR", "value": 1}
}"""
REOPENED_JSON = (
    INVOICE_JSON.rstrip().removesuffix("}")
    + ', "deallocations": [{"paymentId": "P-1", "amount": {"unit": "EUR", "value": 17}}]}'
)
ALLOCATED_JSON = """{
  "payment": {
    "@type": "Payment",
    "paymentId": "P-1",
    "receivedAt": "2026-11-20T08:00:00.000Z",
    "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
    "amount": {"unit": "EUR", "value": 25},
    "method": "transfer",
    "invoices": ["INV-000000001", "X"]
  },
  "allocations": [{"billNo": "INV-000000001", "amount": {"unit": "EUR", "value": 20}}],
  "notAllocated": ["X"],
  "unapplied": {"unit": "EUR", "value": 5}
}"""
ACCRUED_JSON = """{
  "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
  "amount": {"unit": "EUR", "value": 2.22},
  "cause": "payment.received:P-1",
  "lines": [
    {"orderId": "O-1001", "billNo": "INV-000000001", "lineId": "2", "amount": {"unit": "EUR", "value": 2.22}}
  ]
}"""
SETTLEMENT_JSON = """{
  "settlement": {
    "@type": "Settlement",
    "id": "C-2",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "periodEnd": "2026-11-30",
    "lines": [
      {
        "kind": "broughtForward",
        "lineType": "broughtForward",
        "settlementId": "C-1",
        "amount": {"unit": "EUR", "value": -0.22}
      },
      {
        "kind": "accrual",
        "lineType": "accrual",
        "orderId": "O-1001",
        "billNo": "INV-000000001",
        "lineId": "2",
        "date": "2026-11-20",
        "amount": {"unit": "EUR", "value": 2.22}
      }
    ],
    "total": {"unit": "EUR", "value": 2},
    "broughtForward": {"unit": "EUR", "value": -0.22},
    "paidAmount": {"unit": "EUR", "value": 0},
    "netted": {"unit": "EUR", "value": 0},
    "taxWithheld": {"unit": "EUR", "value": 0},
    "transferred": {"unit": "EUR", "value": 0},
    "state": "open"
  }
}"""

COMPARED_JSON = SETTLEMENT_JSON.replace(
    '"state": "open"', '"state": "open", "disputedAmount": {"unit": "EUR", "value": 1.5}'
)
REPORT_JSON = """{
  "report": {
    "@type": "StatementReport",
    "reportId": "R-1",
    "settlementId": "C-2",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "tolerance": {"unit": "EUR", "value": 0.05},
    "agreed": 0,
    "different": 1,
    "missing": 2,
    "lines": [
      {
        "orderId": "O-1001",
        "billNo": "INV-000000001",
        "lineId": "2",
        "outcome": "different",
        "amount": {"unit": "EUR", "value": 2.22},
        "reportedAmount": {"unit": "EUR", "value": 2.12},
        "difference": {"unit": "EUR", "value": -0.1}
      },
      {
        "billNo": "INV-000000002",
        "lineId": "1",
        "outcome": "missingThere",
        "amount": {"unit": "EUR", "value": -0.22},
        "difference": {"unit": "EUR", "value": 0.22}
      },
      {
        "orderId": "O-3",
        "lineId": "1",
        "outcome": "missingHere",
        "reportedAmount": {"unit": "EUR", "value": 4},
        "difference": {"unit": "EUR", "value": 4}
      }
    ]
  }
}"""
ADJUSTED_JSON = """{
  "adjustment": {
    "@type": "SettlementAdjustment",
    "adjustmentId": "A-1",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "amount": {"unit": "EUR", "value": -0.38},
    "date": "2026-11-24",
    "reason": "as agreed",
    "corrects": {"billNo": "INV-000000001", "lineId": "2"}
  }
}"""
AGREED_JSON = """{
  "agreement": {
    "@type": "Agreement",
    "agreementId": "AG-1",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "validFor": {"startDateTime": "2026-11-01T00:00:00.000Z", "endDateTime": "2027-11-01T00:00:00.000Z"},
    "revision": 1,
    "lastUpdate": "2026-11-22T12:00:00.007Z",
    "terms": [
      {
        "validFrom": "2026-11-01",
        "validUntil": "2027-11-01",
        "revision": 1,
        "model": "principal",
        "share": 0.75,
        "accrueOn": "payment"
      }
    ]
  }
}"""
AGREED_ANEW_JSON = """{
  "agreement": {
    "@type": "Agreement",
    "agreementId": "AG-2",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "validFor": {"startDateTime": "2026-11-01T00:00:00.000Z"},
    "revision": 2,
    "lastUpdate": "2026-11-22T12:00:00.007Z",
    "terms": [
      {
        "validFrom": "2026-11-01",
        "validUntil": "2026-12-01",
        "revision": 1,
        "model": "principal",
        "share": 0.75,
        "accrueOn": "payment"
      },
      {"validFrom": "2026-12-01", "revision": 2, "model": "principal", "share": 0.8, "accrueOn": "invoice"}
    ]
  }
}"""
AGREED_FOR_PAYOUTS_JSON = AGREED_JSON.replace(
    """"share": 0.75,
        "accrueOn": "payment\"""",
    """"tiers": {"mode": "graduated", "period": "month", "steps": [{"upTo": 1000.5, "share": 0.7}, {"share": 0.75}]},
        "accrueOn": "invoice",
        "withholding": {
          "rate": 0.15,
          "authority": "Finanzamt",
          "surchargeOnTax": 0.055,
          "certificate": {
            "rate": 0.05,
            "validFor": {"startDateTime": "2026-01-01T00:00:00.000Z", "endDateTime": "2027-01-01T00:00:00.000Z"}
          }
        },
        "netting": {
          "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-9"}
        },
        "selfBilling": {"series": "SB-SA-1-", "tax": {"category": "AE", "rate": 0, "reverseChargeRate": 0.2}},
        "fixedFee": {
          "amount": {"unit": "EUR", "value": 10},
          "period": "quarter",
          "tax": {"category": "S", "rate": 0.2}
        }""",
)
NETTED_STATEMENT_JSON = """{
  "settlement": {
    "@type": "Settlement",
    "id": "C-5",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "periodEnd": "2026-11-30",
    "lines": [
      {
        "kind": "accrual",
        "lineType": "accrual",
        "orderId": "O-1001",
        "billNo": "INV-000000001",
        "lineId": "2",
        "corrects": "INV-000000001/2",
        "date": "2026-11-20",
        "amount": {"unit": "EUR", "value": -2}
      },
      {
        "kind": "trueUp",
        "lineType": "trueUp",
        "agreementId": "AG-1",
        "period": {"from": "2026-11-01", "to": "2026-11-30"},
        "revision": 1,
        "share": {"unit": "EUR", "value": 900},
        "base": {"unit": "EUR", "value": 1200},
        "date": "2026-11-30",
        "amount": {"unit": "EUR", "value": 12}
      }
    ],
    "total": {"unit": "EUR", "value": 10},
    "broughtForward": {"unit": "EUR", "value": 0},
    "paidAmount": {"unit": "EUR", "value": 5},
    "netted": {"unit": "EUR", "value": 3},
    "taxWithheld": {"unit": "EUR", "value": 0.43},
    "transferred": {"unit": "EUR", "value": 1.57},
    "state": "partiallyPaid"
  }
}"""
NETTED_JSON = (
    NETTED_STATEMENT_JSON[:-2]
    + """,
  "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-9"},
  "amount": {"unit": "EUR", "value": 3},
  "invoices": [
    {"billNo": "INV-000000008", "amount": {"unit": "EUR", "value": 1}},
    {"billNo": "INV-000000009", "amount": {"unit": "EUR", "value": 2}}
  ]
}"""
)
PAYOUT_REQUESTED_JSON = """{
  "payoutId": "C-5",
  "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
  "settlementId": "C-5",
  "amount": {"unit": "EUR", "value": 10},
  "netted": {"unit": "EUR", "value": 3},
  "taxWithheld": {"unit": "EUR", "value": 1.5},
  "transferred": {"unit": "EUR", "value": 5.5}
}"""
WITHHELD_JSON = """{
  "payoutId": "C-5",
  "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
  "settlementId": "C-5",
  "authority": "Finanzamt",
  "base": {"unit": "EUR", "value": 2.86},
  "rate": 0.15,
  "amount": {"unit": "EUR", "value": 0.43}
}"""
NOT_WITHHELD_JSON = WITHHELD_JSON.replace("2.86", "-2.86").replace("0.43", "-0.43")
CORRECTED_SHARES_JSON = """{
  "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
  "agreementId": "AG-1",
  "revision": 2,
  "billNo": "INV-000000001",
  "orderId": "O-1001",
  "amount": {"unit": "EUR", "value": 1.8},
  "lines": [
    {
      "lineId": "1",
      "was": {"unit": "EUR", "value": 27.93},
      "share": {"unit": "EUR", "value": 29.93},
      "amount": {"unit": "EUR", "value": 2}
    },
    {
      "lineId": "2",
      "was": {"unit": "EUR", "value": 7},
      "share": {"unit": "EUR", "value": 6.5},
      "amount": {"unit": "EUR", "value": -0.2}
    }
  ]
}"""
AGREED_FOR_CLOSINGS_JSON = AGREED_JSON.replace(
    '"accrueOn": "payment"',
    """"accrueOn": "payment",
        "guarantee": {"amount": {"unit": "EUR", "value": 1000}, "period": "quarter"},
        "advance": {"amount": {"unit": "EUR", "value": 300}},
        "holdback": {"rate": 0.1, "releaseAfterDays": 180},
        "payoutThreshold": {"unit": "EUR", "value": 50}""",
)
RESERVE_JSON = """{
  "reserve": {
    "@type": "Reserve",
    "settlementId": "C-4",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "base": {"unit": "EUR", "value": 1200.55},
    "rate": 0.1,
    "amount": {"unit": "EUR", "value": 120.06},
    "heldOn": "2026-11-30",
    "releaseOn": "2027-05-29",
    "remainingAmount": {"unit": "EUR", "value": 120.06},
    "state": "held",
    "releases": []
  }
}"""
RELEASED_JSON = """{
  "reserve": {
    "@type": "Reserve",
    "settlementId": "C-4",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "base": {"unit": "EUR", "value": 1200.55},
    "rate": 0.1,
    "amount": {"unit": "EUR", "value": 120.06},
    "heldOn": "2026-11-30",
    "releaseOn": "2027-05-29",
    "remainingAmount": {"unit": "EUR", "value": 0},
    "state": "released",
    "releases": [
      {"releaseId": "RR-1", "date": "2026-12-03", "amount": {"unit": "EUR", "value": 40}},
      {"date": "2027-05-29", "amount": {"unit": "EUR", "value": 80.06}}
    ]
  }
}"""
SELF_BILLED_JSON = """{
  "document": {
    "@type": "CustomerBill",
    "id": "SB-SA-1-000000001",
    "billNo": "SB-SA-1-000000001",
    "typeCode": "389",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "settlementId": "C-4",
    "billDate": "2026-11-30",
    "taxExcludedAmount": {"unit": "EUR", "value": 80},
    "taxIncludedAmount": {"unit": "EUR", "value": 96},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 80},
        "taxAmount": {"unit": "EUR", "value": 16}
      }
    ],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "kind": "accrual",
        "agreementId": "AG-1",
        "period": {"from": "2026-11-01", "to": "2026-11-30"},
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 79.1}
      },
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "2",
        "kind": "guarantee",
        "agreementId": "AG-1",
        "period": {"from": "2026-11-30", "to": "2026-11-30"},
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 0.9}
      }
    ],
    "sellerVersion": 2,
    "partnerVersion": 3,
    "credited": {
      "taxExcludedAmount": {"unit": "EUR", "value": 16},
      "taxIncludedAmount": {"unit": "EUR", "value": 19.2}
    },
    "state": "issued",
    "said": []
  }
}"""
DISPUTED_DOCUMENT_JSON = SELF_BILLED_JSON.replace(
    """"state": "issued",
    "said": []""",
    """"state": "disputed",
    "said": [{"state": "disputed", "at": "2026-12-03T09:00:00.000Z", "reason": "one line is missing"}]""",
)
SELF_BILLED_NOTE_JSON = """{
  "document": {
    "@type": "CustomerBill",
    "id": "SB-SA-1-000000002",
    "billNo": "SB-SA-1-000000002",
    "typeCode": "261",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "settlementId": "C-4",
    "billDate": "2026-11-30",
    "taxExcludedAmount": {"unit": "EUR", "value": 16},
    "taxIncludedAmount": {"unit": "EUR", "value": 16},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "AE",
        "taxRate": 0,
        "taxExcludedAmount": {"unit": "EUR", "value": 16},
        "taxAmount": {"unit": "EUR", "value": 0},
        "reverseChargeRate": 0.2,
        "reverseChargeAmount": {"unit": "EUR", "value": 3.2}
      }
    ],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "kind": "adjustment",
        "period": {"from": "2026-11-30", "to": "2026-11-30"},
        "taxCategory": "AE",
        "taxRate": 0,
        "taxExcludedAmount": {"unit": "EUR", "value": 16}
      }
    ],
    "sellerVersion": null,
    "partnerVersion": 3,
    "correctedBillNo": "SB-SA-1-000000001",
    "state": "accepted",
    "said": [{"state": "accepted", "at": "2026-12-03T09:00:00.000Z"}]
  }
}"""
OUR_INVOICE_JSON = """{
  "document": {
    "@type": "CustomerBill",
    "id": "INV-000000007",
    "billNo": "INV-000000007",
    "typeCode": "380",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "settlementId": "C-4",
    "billDate": "2026-11-30",
    "taxExcludedAmount": {"unit": "EUR", "value": 10},
    "taxIncludedAmount": {"unit": "EUR", "value": 12},
    "taxItem": [
      {
        "@type": "TaxItem",
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 10},
        "taxAmount": {"unit": "EUR", "value": 2}
      }
    ],
    "lines": [
      {
        "@type": "AppliedCustomerBillingRate",
        "id": "1",
        "kind": "fee",
        "agreementId": "AG-1",
        "period": {"from": "2026-10-01", "to": "2026-11-30"},
        "taxCategory": "S",
        "taxRate": 0.2,
        "taxExcludedAmount": {"unit": "EUR", "value": 10}
      }
    ],
    "sellerVersion": 2,
    "partnerVersion": 3
  }
}"""
STATEMENT_OF_STEPS_JSON = """{
  "settlement": {
    "@type": "Settlement",
    "id": "C-4",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "periodEnd": "2026-11-30",
    "lines": [
      {
        "kind": "release",
        "lineType": "release",
        "settlementId": "C-1",
        "date": "2026-11-28",
        "amount": {"unit": "EUR", "value": 7}
      },
      {
        "kind": "guarantee",
        "lineType": "guarantee",
        "agreementId": "AG-1",
        "period": {"from": "2026-09-01", "to": "2026-11-30"},
        "guaranteed": {"unit": "EUR", "value": 1000},
        "base": {"unit": "EUR", "value": 999.1},
        "date": "2026-11-30",
        "amount": {"unit": "EUR", "value": 0.9}
      },
      {
        "kind": "recoupment",
        "lineType": "recoupment",
        "base": {"unit": "EUR", "value": 0.9},
        "date": "2026-11-30",
        "amount": {"unit": "EUR", "value": -0.4}
      },
      {
        "kind": "holdback",
        "lineType": "holdback",
        "releaseOn": "2027-05-29",
        "base": {"unit": "EUR", "value": 0.5},
        "rate": 0.1,
        "date": "2026-11-30",
        "amount": {"unit": "EUR", "value": -0.05}
      }
    ],
    "total": {"unit": "EUR", "value": 7.45},
    "broughtForward": {"unit": "EUR", "value": 0},
    "paidAmount": {"unit": "EUR", "value": 0},
    "netted": {"unit": "EUR", "value": 0},
    "taxWithheld": {"unit": "EUR", "value": 0},
    "transferred": {"unit": "EUR", "value": 0},
    "state": "carriedForward",
    "payoutThreshold": {"unit": "EUR", "value": 50}
  }
}"""
RETURNED_JSON = """{
  "payout": {
    "@type": "Payout",
    "payoutId": "PO-1",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "settlementId": "C-3",
    "amount": {"unit": "EUR", "value": 2},
    "taxWithheld": {"unit": "EUR", "value": 0},
    "transferred": {"unit": "EUR", "value": 2},
    "returned": {"returnId": "PR-1", "returnedAt": "2026-12-03T09:00:00.000Z", "reason": "AC04"}
  },
  "settlement": {
    "@type": "Settlement",
    "id": "C-3",
    "settlementAccount": {"@type": "SettlementAccountRef", "@referredType": "SettlementAccount", "id": "SA-1"},
    "periodEnd": "2026-11-30",
    "lines": [
      {
        "kind": "adjustment",
        "lineType": "adjustment",
        "orderId": "O-1001",
        "billNo": "INV-000000001",
        "lineId": "2",
        "adjustmentId": "A-1",
        "date": "2026-11-24",
        "amount": {"unit": "EUR", "value": -0.38}
      },
      {
        "kind": "adjustment",
        "lineType": "adjustment",
        "adjustmentId": "A-2",
        "date": "2026-11-24",
        "amount": {"unit": "EUR", "value": 2.38}
      }
    ],
    "total": {"unit": "EUR", "value": 2},
    "broughtForward": {"unit": "EUR", "value": 0},
    "paidAmount": {"unit": "EUR", "value": 0},
    "netted": {"unit": "EUR", "value": 0},
    "taxWithheld": {"unit": "EUR", "value": 0},
    "transferred": {"unit": "EUR", "value": 0},
    "state": "open"
  }
}"""

SELLER = Seller(
    "seller", 2, BOOKED_AT, {"name": "Hill Bakery", "address": {"country": "DE"}, "vatId": "DE136695976", "fax": 1}
)
SELLER_JSON = """{
  "seller": {
    "name": "Hill Bakery",
    "address": {"country": "DE"},
    "vatId": "DE136695976",
    "fax": 1,
    "version": 2,
    "lastUpdate": "2026-11-22T12:00:00.007Z"
  },
  "changed": ["fax", "vatId"]
}"""
STANDING = Standing(balances(payable=123, withheld=4, reserve=5, advance=6), 0, None)
FORMAT = BillFormat("F-1", "active", 3, BOOKED_AT, BOOKED_AT, {"name": "Summary invoice", "x-pages": 2})


def with_more(literal: str, **more: Any) -> str:
    """A literal event with more fields."""
    return json.dumps({**json.loads(literal), **more})


def in_state(state: State) -> str:
    """The account's literal in another state."""
    return ACCOUNT_JSON.replace('"state": "active"', f'"state": "{state}"')


BILLING_JSON = """{
  "account": {
    "@type": "BillingAccount",
    "id": "SA-1",
    "name": "Hill Bakery",
    "state": "active",
    "lastUpdate": "2026-11-22T12:00:00.007Z",
    "currency": "EUR",
    "paymentTermDays": 30,
    "creditLimit": {"unit": "EUR", "value": 50},
    "accountBalance": [
      {"@type": "AccountBalance", "balanceType": "receivable", "amount": {"unit": "EUR", "value": 60.01}},
      {"@type": "AccountBalance", "balanceType": "unapplied", "amount": {"unit": "EUR", "value": 10}},
      {"@type": "AccountBalance", "balanceType": "refundable", "amount": {"unit": "EUR", "value": 0}},
      {"@type": "AccountBalance", "balanceType": "recoverable", "amount": {"unit": "EUR", "value": 0}},
      {"@type": "AccountBalance", "balanceType": "overdue", "amount": {"unit": "EUR", "value": 20}}
    ],
    "paymentStatus": "inArrears"
  },
  "revision": 1,
  "balance": {"unit": "EUR", "value": 50.01},
  "limit": {"unit": "EUR", "value": 50}
}"""
BILLING = replace(
    ACCOUNT,
    type="BillingAccount",
    settlement_terms=None,
    credit_limit=5000,
    document={"name": "Hill Bakery", "creditLimit": {"unit": "EUR", "value": 50}},
)
EXCEEDED = CreditLimitExceeded(
    BILLING,
    Standing(
        balances(receivable=6001, unapplied=1000),
        2000,
        "inArrears",
    ),
    5001,
)


def lost(**more: Any) -> str:
    """How an invoice goes out of which 20.00 are written off, and 47.88 are disputed; `more` stands beside it."""
    body = json.loads(INVOICE_JSON)
    body["invoice"] |= {"state": "onHold", "remainingAmount": {"unit": "EUR", "value": 0}}
    body["invoice"]["corrections"] = {
        "credited": {"unit": "EUR", "value": 0},
        "lines": [],
        "writtenOff": {"unit": "EUR", "value": 20},
        "writeOffs": [{"writeOffId": "W-1", "amount": {"unit": "EUR", "value": 20}, "taxRelief": True}],
    }
    body["invoice"]["handling"] = {
        "undisputedAmount": {"unit": "EUR", "value": 0},
        "validatedAt": "2026-11-23T08:00:00.000Z",
        "validatedBy": "the portal",
        "openDisputes": [{"disputeId": "D-1", "amount": {"unit": "EUR", "value": 47.88}}],
    }
    return json.dumps(body | more)


def overdue(**more: Any) -> str:
    """How an invoice goes out that is overdue."""
    body = json.loads(INVOICE_JSON)
    body["invoice"]["handling"] = {
        "undisputedAmount": body["invoice"]["remainingAmount"],
        "overdueOn": "2026-12-23",
        "openDisputes": [],
        **more,
    }
    return json.dumps(body)


WRITTEN_OFF_JSON = lost(
    writeOff={
        "@type": "WriteOff",
        "writeOffId": "W-1",
        "billNo": "INV-000000001",
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
        "amount": {"unit": "EUR", "value": 27.88},
        "taxRelief": True,
        "writtenOffAt": "2026-11-26T09:00:00.000Z",
        "reason": "insolvent",
    }
)


def disputed(state: str, item: Any, **more: Any) -> str:
    """How an invoice and a dispute of it go out."""
    before = {
        "@type": "Dispute",
        "disputeId": "D-1",
        "billNo": "INV-000000001",
        "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
        "state": state,
        "amount": {"unit": "EUR", "value": 47.88},
        "items": [{"lineId": "1", "taxExcludedAmount": {"unit": "EUR", "value": 39.9}, **item}],
        "openedAt": "2026-11-23T10:00:00.000Z",
        "reason": "never came",
    }
    body = json.loads(lost())
    return json.dumps({"dispute": before | more, "invoice": body["invoice"], "orderId": body["orderId"]})


FORMAT_JSON = """{
  "billFormat": {
    "@type": "BillFormat",
    "id": "F-1",
    "name": "Summary invoice",
    "x-pages": 2,
    "lastUpdate": "2026-11-22T12:00:00.007Z"
  },
  "revision": 3
}"""

EVENTS: list[tuple[str, object, str]] = [
    ("account.created", AccountCreated(ACCOUNT, STANDING), ACCOUNT_JSON),
    (
        "account.changed",
        AccountChanged(ACCOUNT, STANDING, ("name", "x")),
        with_more(ACCOUNT_JSON, changed=["name", "x"]),
    ),
    (
        "account.state-changed",
        AccountStateChanged(replace(ACCOUNT, state="suspended"), STANDING, "active", "unpaid"),
        with_more(in_state("suspended"), changed=["state"], oldState="active", newState="suspended", reason="unpaid"),
    ),
    (
        "account.closed",
        AccountStateChanged(replace(ACCOUNT, state="closed"), STANDING, "pendingClose", None),
        with_more(in_state("closed"), changed=["state"], oldState="pendingClose", newState="closed"),
    ),
    (
        "account.deleted",
        AccountStateChanged(replace(ACCOUNT, state="deleted"), STANDING, "active", None),
        with_more(in_state("deleted"), changed=["state"], oldState="active", newState="deleted"),
    ),
    ("account.credit-limit-exceeded", EXCEEDED, BILLING_JSON),
    ("invoice.issued", InvoiceIssued(INVOICE), INVOICE_JSON),
    ("invoice.partially-paid", InvoicePartiallyPaid(INVOICE), INVOICE_JSON),
    ("invoice.paid", InvoicePaid(INVOICE), INVOICE_JSON),
    ("credit-note.issued", CreditNoteIssued(CREDIT_NOTE), CREDIT_NOTE_JSON),
    ("invoice.credited", InvoiceCredited(CREDIT_NOTE, CREDITED), CREDITED_JSON),
    ("refund.booked", RefundBooked(REFUND), REFUND_JSON),
    ("payment.reversal-booked", ReversalBooked(PAYMENT, REVERSAL), REVERSAL_JSON),
    ("invoice.written-off", InvoiceWrittenOff(LOST, WRITE_OFF), WRITTEN_OFF_JSON),
    (
        "invoice.recovered",
        InvoiceRecovered(LOST, "P-1", (WrittenOff("W-1", 788, tax_relief=True),)),
        lost(
            paymentId="P-1",
            recovered=[{"writeOffId": "W-1", "amount": {"unit": "EUR", "value": 7.88}, "taxRelief": True}],
        ),
    ),
    ("invoice.state-changed", InvoiceStateChanged(LOST, "validated"), lost(oldState="validated")),
    ("dispute.opened", DisputeOpened(OPEN_DISPUTE, LOST), disputed("open", {})),
    (
        "dispute.settled",
        DisputeSettled(DISPUTE, LOST),
        disputed(
            "settled",
            {"approved": {"unit": "EUR", "value": 19.9}},
            settledAt="2026-11-24T10:00:00.000Z",
            creditNote="CN-000000001",
        ),
    ),
    (
        "dispute.withdrawn",
        DisputeWithdrawn(replace(DISPUTE, state="withdrawn", lines=OPEN_DISPUTE.lines, credit_note=None), LOST),
        disputed("withdrawn", {}, withdrawnAt="2026-11-24T10:00:00.000Z"),
    ),
    ("invoice.reopened", InvoiceReopened(INVOICE, REFUND.deallocated), REOPENED_JSON),
    ("payment.reversal-booked", ReversalBooked(TRANSFERRED, REVERSAL_ELSEWHERE), REVERSED_ELSEWHERE_JSON),
    ("credit.transferred", CreditTransferred(TRANSFER), TRANSFERRED_JSON),
    ("credit.granted", CreditGranted(GRANT), GRANTED_JSON),
    ("payment.allocated", PaymentAllocated(PAYMENT, (ALLOCATION,), ("X",)), ALLOCATED_JSON),
    ("payment.allocated", PaymentAllocated(GOODWILL, (), (), 200), GOODWILL_JSON),
    ("settlement.accrued", SettlementAccrued("SA-1", "EUR", (ACCRUAL,)), ACCRUED_JSON),
    ("settlement.closed", SettlementClosed(SETTLEMENT), SETTLEMENT_JSON),
    ("settlement.paid", SettlementPaid(SETTLEMENT), SETTLEMENT_JSON),
    ("settlement.adjusted", SettlementAdjusted(ADJUSTED, "EUR", "as agreed"), ADJUSTED_JSON),
    ("settlement.paid", SettlementPaid(COMPARED), COMPARED_JSON),
    ("statement.compared", StatementCompared(REPORT), REPORT_JSON),
    ("agreement.created", AgreementCreated(AGREED), AGREED_JSON),
    ("agreement.changed", AgreementChanged(AGREED_ANEW), AGREED_ANEW_JSON),
    ("agreement.created", AgreementCreated(AGREED_FOR_CLOSINGS), AGREED_FOR_CLOSINGS_JSON),
    ("agreement.created", AgreementCreated(AGREED_FOR_PAYOUTS), AGREED_FOR_PAYOUTS_JSON),
    ("settlement.paid", SettlementPaid(NETTED_STATEMENT), NETTED_STATEMENT_JSON),
    (
        "netting.applied",
        NettingApplied(NETTED_STATEMENT, "BA-9", (("INV-000000008", 100), ("INV-000000009", 200))),
        NETTED_JSON,
    ),
    ("payout.requested", PayoutRequested(NETTED_STATEMENT), PAYOUT_REQUESTED_JSON),
    ("withholding.recorded", WithholdingRecorded(WITHHELD, "Finanzamt"), WITHHELD_JSON),
    (
        "withholding.recorded",
        WithholdingRecorded(replace(WITHHELD, returned=RETURNED.returned), "Finanzamt"),
        NOT_WITHHELD_JSON,
    ),
    ("settlement.corrected", SettlementCorrected(CORRECTION, "O-1001", "EUR"), CORRECTED_SHARES_JSON),
    ("settlement.closed", SettlementClosed(STATEMENT_OF_STEPS), STATEMENT_OF_STEPS_JSON),
    ("reserve.held", ReserveHeld(RESERVE), RESERVE_JSON),
    ("self-billing.issued", SelfBillingIssued(SELF_BILLED), SELF_BILLED_JSON),
    ("settlement.invoiced", SettlementInvoiced(OUR_INVOICE), OUR_INVOICE_JSON),
    ("self-billing.accepted", SelfBillingAccepted(SELF_BILLED_NOTE), SELF_BILLED_NOTE_JSON),
    ("self-billing.disputed", SelfBillingDisputed(DISPUTED_DOCUMENT), DISPUTED_DOCUMENT_JSON),
    ("reserve.released", ReserveReleased(RELEASED), RELEASED_JSON),
    ("payout.return-booked", PayoutReturnBooked(RETURNED, STATEMENT_OF_ADJUSTMENTS), RETURNED_JSON),
    ("seller.changed", SellerChanged(SELLER, ("fax", "vatId")), SELLER_JSON),
    ("charge.added", ChargeAdded(CHARGE), CHARGE_JSON),
    ("invoice.issued", InvoiceIssued(BILL), BILL_JSON),
    ("subscription.created", SubscriptionCreated(SUBSCRIPTION, date(2026, 11, 22)), CREATED_JSON),
    *[
        ("subscription.changed", SubscriptionChanged(changed, date(2026, 12, 1)), literal)
        for changed, literal in zip(
            (replace(RENAMED, patches=RENAMED.patches[: n - 1], revision=n) for n in (2, 3, 4)),
            (CHANGED_JSON, SUSPENDED_JSON, TERMINATED_JSON),
            strict=True,
        )
    ],
    (
        "subscription.state-changed",
        SubscriptionStateChanged(
            replace(RENAMED, patches=RENAMED.patches[:2], revision=3, state="suspended"), date(2027, 1, 1), "active"
        ),
        STATE_CHANGED_JSON,
    ),
    ("bill-on-demand.state-changed", BillOnDemandStateChanged(ON_DEMAND), ON_DEMAND_JSON),
    ("invoice.overdue", InvoiceOverdue(OVERDUE), overdue()),
    ("invoice.overdue", InvoiceOverdue(COLLECTED), overdue(paymentRequest=COLLECTED_JSON)),
    (
        "payment.requested",
        PaymentRequested("BA-1", "INV-000000001", "EUR", 3746, date(2026, 12, 22), "PM 1"),
        REQUESTED_JSON,
    ),
    ("dunning.step-taken", DunningStepTaken(STEP), STEP_JSON),
    ("dunning.step-taken", DunningStepTaken(replace(STEP, charge_id="dunning~BA-1~2026-11-25")), CHARGED_JSON),
    ("dunning.cleared", DunningCleared("BA-1", date(2026, 11, 29), 1, 3, 1995, "EUR"), CLEARED_JSON),
    (
        "bill-on-demand.state-changed",
        BillOnDemandStateChanged(replace(ON_DEMAND, state="inProgress", bill_no=None, credit_notes=())),
        NOTHING_BILLED_JSON,
    ),
    ("bill-run.started", BillRunStarted(BILL_RUN), RUN_STARTED_JSON),
    ("bill-run.completed", BillRunCompleted(COMPLETED_RUN, 1), RUN_COMPLETED_JSON),
]


TMF_TYPES = {
    "account.created": "SettlementAccountCreateEvent",
    "account.changed": "SettlementAccountAttributeValueChangeEvent",
    "account.state-changed": "SettlementAccountStateChangeEvent",
    "account.closed": "SettlementAccountStateChangeEvent",
    "account.deleted": "SettlementAccountDeleteEvent",
}
"""What TMF666 calls the events that it knows."""


def place(fact: object) -> tuple[str, str | None, int | None]:
    """The id of an event, its account and its number there: the seventh, or nobody's."""
    if isinstance(fact, BillRunStarted | BillRunCompleted):
        return (f"bill-run/{fact.run.id}:1", None, None)
    return ("seller/2", None, None) if isinstance(fact, SellerChanged) else ("SA-1:7", "SA-1", 7)


def sent(fact: object) -> OutgoingEvent:
    """The event of a fact, caused by a payment."""
    event_id, account, sequence = place(fact)
    return outgoing(Emitted(event_id, account, sequence, "payment.received:P-1", fact), "corr-1", BOOKED_AT)


def said(fact: object) -> Any:
    """What the event of a fact holds, numbers as they were written."""
    return json.loads(sent(fact).body, parse_float=Decimal)["event"]


@pytest.mark.parametrize(("routing_key", "fact", "literal"), EVENTS, ids=[key for key, _, _ in EVENTS])
def test_an_event_to_the_letter(routing_key, fact, literal):
    """Envelope and event hold exactly this."""
    event = sent(fact)
    body = json.loads(event.body, parse_float=Decimal)
    assert body.pop("@type", None) == TMF_TYPES.get(routing_key)
    assert body == {
        "eventId": place(fact)[0],
        "eventType": routing_key,
        "eventTime": "2026-11-22T12:00:00.007Z",
        "correlationId": "corr-1",
        "event": json.loads(literal, parse_float=Decimal),
    }
    event_id, account, sequence = place(fact)
    assert event == OutgoingEvent(
        event_id, routing_key, event.body, "corr-1", "payment.received:P-1", account, sequence, BOOKED_AT
    )


def test_a_parked_message_to_the_letter():
    """`message.parked` has the parked message's id and attempt as its own, and no account."""
    event = message_parked(
        parked_id="3f2a",
        attempt=2,
        message_type="order.completed",
        message_id=None,
        account="BA-1",
        business_key=None,
        reason="invalid",
        detail="items.0.quantity: must be a number\n(got 'ä')",
        correlation_id="corr-1",
        identity="unreadable:00",
        booked_at=BOOKED_AT,
    )
    assert json.loads(event.body) == {
        "eventId": "3f2a:2",
        "eventType": "message.parked",
        "eventTime": "2026-11-22T12:00:00.007Z",
        "correlationId": "corr-1",
        "event": {
            "parkedId": "3f2a",
            "messageType": "order.completed",
            "messageId": None,
            "account": "BA-1",
            "businessKey": None,
            "reason": "invalid",
            "detail": "items.0.quantity: must be a number\n(got 'ä')",
        },
    }
    assert event == OutgoingEvent(
        "3f2a:2", "message.parked", event.body, "corr-1", "unreadable:00", None, None, BOOKED_AT
    )


def test_every_event_of_the_domain_is_here():
    """Whatever the domain can emit has its literal above."""
    assert {type(fact) for _, fact, _ in EVENTS} == set(EVENT)


@pytest.mark.parametrize(
    ("happened", "changed", "tmf_type"),
    [
        ("created", (), "BillFormatCreateEvent"),
        ("changed", ("name",), "BillFormatAttributeValueChangeEvent"),
        ("deleted", (), "BillFormatDeleteEvent"),
    ],
)
def test_an_event_of_a_specification_to_the_letter(happened, changed, tmf_type):
    """It is no account's: its id is made of the resource and its revision."""
    fact = SpecificationChanged(happened, FORMAT, changed)
    event = outgoing(Emitted("bill-format/F-1:3", None, None, "bill-format.update:m-1", fact), "corr-1", BOOKED_AT)
    assert json.loads(event.body) == {
        "@type": tmf_type,
        "eventId": "bill-format/F-1:3",
        "eventType": f"bill-format.{happened}",
        "eventTime": "2026-11-22T12:00:00.007Z",
        "correlationId": "corr-1",
        "event": {**json.loads(FORMAT_JSON), **({"changed": list(changed)} if changed else {})},
    }
    assert (event.message_id, event.account, event.sequence) == ("bill-format/F-1:3", None, None)


def test_one_event_is_the_same_bytes_again():
    """Rendering is stable, so that what is published again is what was published."""
    for _, fact, _ in EVENTS:
        assert sent(fact) == sent(fact)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object within a value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


@pytest.mark.parametrize("fact", [fact for _, fact, _ in EVENTS], ids=[key for key, _, _ in EVENTS])
def test_entities_and_references_carry_their_type(fact):
    """Whatever has an id of its own, and each of TMF's parts of a bill, has an `@type`."""
    event = said(fact)
    for found in objects(event):
        if "id" in found or found.keys() & {"taxAmount", "appliedAmount", "role", "partyOrPartyRole"}:
            assert found.get("@type"), found


def test_what_may_be_absent_is_absent():
    """A payment without method and names, an account without terms, what has no order, say nothing of them."""
    bare = replace(PAYMENT, method=None, invoices=None)
    assert said(PaymentAllocated(bare, (), ())) == {
        "payment": {
            "@type": "Payment",
            "paymentId": "P-1",
            "receivedAt": "2026-11-20T08:00:00.000Z",
            "billingAccount": {"@type": "BillingAccountRef", "@referredType": "BillingAccount", "id": "BA-1"},
            "amount": {"unit": "EUR", "value": 25},
        },
        "allocations": [],
        "notAllocated": [],
        "unapplied": {"unit": "EUR", "value": 5},
    }
    account = replace(ACCOUNT, type="BillingAccount", settlement_terms=None)
    assert "settlementTerms" not in said(AccountCreated(account, STANDING))["account"]
    assert "orderId" not in said(SettlementCorrected(CORRECTION, None, "EUR"))


def test_a_statement_without_a_line_brought_forward():
    """Where nothing is brought forward there is no such line; where zero is, there is."""
    assert [
        line["kind"]
        for line in said(SettlementClosed(replace(SETTLEMENT, brought_forward_from=None)))["settlement"]["lines"]
    ] == ["accrual"]
    zero = said(SettlementClosed(replace(SETTLEMENT, brought_forward=0)))["settlement"]
    assert zero["lines"][0] == {
        "kind": "broughtForward",
        "lineType": "broughtForward",
        "settlementId": "C-1",
        "amount": {"unit": "EUR", "value": 0},
    }


def test_an_accrual_event_sums_its_lines():
    """The amount is the sum of what the cause accrued, of either sign."""
    event = said(SettlementAccrued("SA-1", "EUR", (ACCRUAL, replace(ACCRUAL, amount=-322))))
    assert event["amount"] == {"unit": "EUR", "value": Decimal("-1")}
    assert [line["amount"]["value"] for line in event["lines"]] == [Decimal("2.22"), Decimal("-3.22")]


def written(fact: object) -> list[str]:
    """Every number with a point or an exponent in an event, as it is written."""
    found: list[str] = []
    json.loads(sent(fact).body, parse_float=found.append)
    return found


@pytest.mark.parametrize(
    ("code", "amount", "value"),
    [
        ("EUR", 1, "0.01"),
        ("EUR", -1, "-0.01"),
        ("EUR", 10**13, "100000000000"),
        ("EUR", 10**13 - 1, "99999999999.99"),
        ("EUR", 1005, "10.05"),
        ("JPY", 10**13, "10000000000000"),
        ("JPY", 7, "7"),
        ("KWD", 1, "0.001"),
        ("KWD", 10**13 - 1, "9999999999.999"),
        ("CLF", 1, "0.0001"),
    ],
)
def test_an_amount_goes_out_exactly(code, amount, value):
    """Money is a JSON number without an exponent that says exactly the minor units."""
    fact = SettlementAccrued("SA-1", code, (replace(ACCRUAL, amount=amount),))
    assert said(fact)["amount"] == {"unit": code, "value": Decimal(value)}
    assert not any("e" in number.lower() for number in written(fact))


def with_line(quantity: str, unit_price: str) -> InvoiceIssued:
    """An invoice whose first line has these."""
    line = replace(INVOICE.lines[0], quantity=Decimal(quantity), unit_price=Decimal(unit_price))
    return InvoiceIssued(replace(INVOICE, lines=(line,)))


@pytest.mark.parametrize("number", ["1", "0", "-2.5", "0.1", "1.005", "99999999999", "12345678901.2345", "0.001"])
def test_a_decimal_goes_out_as_a_number(number):
    """A quantity or a price of up to 15 digits is a JSON number, to the digit."""
    [line] = said(with_line(number, number))["invoice"]["lines"]
    assert (line["quantity"], line["unitPrice"]) == (Decimal(number), Decimal(number))


def test_a_long_decimal_goes_out_as_a_string():
    """More digits than a double keeps are a string, as they have to come in."""
    [line] = said(with_line("12345678901.23456", "99999999999.99999999"))["invoice"]["lines"]
    assert (line["quantity"], line["unitPrice"]) == ("12345678901.23456", "99999999999.99999999")


@pytest.mark.parametrize("rate", ["0", "1", "0.2", "0.055", "0.00001", "0.00000001", "0.99999999"])
def test_a_tax_rate_goes_out_as_a_number(rate):
    """A rate is a JSON number whatever it is, to the digit, of the invoice and of its lines."""
    line = replace(INVOICE.lines[0], rate=Decimal(rate))
    tax = replace(INVOICE.tax_item[0], rate=Decimal(rate))
    invoice = said(InvoiceIssued(replace(INVOICE, lines=(line,), tax_item=(tax,))))["invoice"]
    for said_rate in (invoice["taxItem"][0]["taxRate"], invoice["lines"][0]["appliedTax"][0]["taxRate"]):
        assert isinstance(said_rate, int | Decimal)
        assert said_rate == Decimal(rate)


@pytest.mark.parametrize("number", ["0.00001", "0.00000001", "-0.0000125"])
def test_a_small_decimal_goes_out_without_an_exponent(number):
    """A price of a thousandth of a cent goes out the way it may come in: without an exponent."""
    fact = with_line("1", number)
    [line] = said(fact)["invoice"]["lines"]
    assert Decimal(line["unitPrice"]) == Decimal(number)
    assert not any("e" in text.lower() for text in written(fact))


def test_a_time_goes_out_as_rfc_3339():
    """Every time that came in goes out with a year of four digits."""
    early = replace(PAYMENT, received_at=datetime(987, 1, 2, 3, 4, 5, 6000, tzinfo=UTC))
    assert said(PaymentAllocated(early, (), ()))["payment"]["receivedAt"] == "0987-01-02T03:04:05.006Z"
