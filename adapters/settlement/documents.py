"""How accruals, partners' statements and payouts are kept."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.settlement.accruals import Accrual
from domain.settlement.agreements import Agreement
from domain.settlement.payouts import Payout
from domain.settlement.statements import Settlement, SettlementLine

_TERMS = "{`partnerShare`, `accrueOn`}"
UNSTATED = {"settlementId": {"$type": "null"}}

KEPT = (
    Kept(
        Layout(Accrual, absent=(("adjustment_id",),)),
        Collection(
            "accruals",
            id="`<billNo>/<lineId>`, or `<billNo>/<lineId>/<paymentId>` when a payment released it "
            "(`<billNo>/<lineId>/<orderId>` of an invoice of zero); with `/<type>/<key>` of any other cause; "
            "`settlement.adjust/<adjustmentId>` of an adjustment",
            written="once, with the fact; a statement sets `settlementId`, once",
            fields={
                "settlementAccount": "the partner's",
                "orderId": "null of an adjustment that corrects no line, like the next two",
                "billNo": "",
                "lineId": "",
                "amount": "",
                "date": "that of the order, of the payment that released it, of the correction, or of the adjustment",
                "cause": "the identity of the fact that accrued it",
                "bookedAt": "",
                "settlementId": "null until a statement holds it",
                "adjustmentId": "only of an adjustment",
            },
            indexes=(
                # A closing's accruals: a partner's that no statement holds, by date.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)],
                    name="unstated",
                    partialFilterExpression=UNSTATED,
                ),
            ),
            append_only=True,
            but_for=("settlementId",),
        ),
        queue=QueueRead("settlementAccount", "date", UNSTATED),
    ),
    Kept(
        Layout(Settlement, parts=(Layout(SettlementLine, absent=(("adjustment_id",),)),)),
        Collection(
            "settlements",
            id="statement id",
            written="by a closing, replaced by a payout, or its return",
            fields={
                "settlementAccount": "the partner's",
                "currency": "",
                "closingId": "",
                "periodEnd": "",
                "lines": "[{`accrualId`, `orderId`, `billNo`, `lineId`, `date`, `amount`}], of an adjustment "
                "with its `adjustmentId`",
                "broughtForward": "amount, 0 if none",
                "broughtForwardFrom": "statement id, or null",
                "total": "the lines and what was brought forward",
                "paid": "how much of it is paid",
                "state": "`open`, `partiallyPaid`, `paid`, `carriedForward`",
                "bookedAt": "",
            },
            indexes=(
                # Lists of a partner's statements, oldest first.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="listed"
                ),
            ),
        ),
        awaited={"settlement": {}},
    ),
    Kept(
        Layout(Payout, absent=(("returned",),)),
        Collection(
            "payouts",
            id="`payoutId`",
            written="once, with the fact; its return sets `returned`, once",
            fields={
                "settlementAccount": "",
                "settlementId": "",
                "currency": "",
                "amount": "",
                "bookedAt": "",
                "returned": "{`returnId`, `returnedAt`, `reason`, `bookedAt`}; only of one that came back",
            },
            indexes=(
                # A statement's payouts, in order.
                IndexModel(
                    [("settlementId", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="settlement"
                ),
            ),
            personal=("returned.reason",),
            append_only=True,
            but_for=("returned",),
        ),
        awaited={"payout": {}},
    ),
    Kept(
        Layout(Agreement),
        Collection(
            "agreements",
            id="`agreementId`",
            written="once, with the fact; each change adds what was agreed",
            fields={
                "settlementAccount": "the partner's",
                "validFrom": "the first moment for which it was agreed",
                "validUntil": "the end of that time, or null",
                "start": "the first day on which it holds, where the seller is",
                "end": "the first day after it, or null",
                "agreed": "[{`validFrom`: a date, `terms`: " + _TERMS + ", `revision`, `cause`, `bookedAt`}], in the "
                "order in which that was booked",
            },
            indexes=(
                # A partner's agreements, by their first day: for its lines, and lists.
                IndexModel([("settlementAccount", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)], name="open"),
            ),
        ),
        queue=QueueRead("settlementAccount", "start", {}, short=True),
        awaited={"agreement": {}},
    ),
)
