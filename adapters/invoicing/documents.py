"""How invoices are kept."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.invoicing.model import (
    Billing,
    CorrectedLine,
    CorrectedTax,
    Handling,
    Invoice,
    InvoiceLine,
    Loss,
    PartnerShare,
    PaymentRequest,
)

OPEN = {"remainingAmount": {"$gt": 0}}
PARTNER_SHARE = Layout(
    PartnerShare,
    absent=(("agreement",), ("tier",), ("issued",), ("agent",), ("freed",), ("awaited",)),
    alone=True,
)

KEPT = (
    Kept(
        Layout(
            Invoice,
            absent=(
                ("buyer_version",),
                ("seller_version",),
                ("corrections",),
                ("handling",),
                ("billing",),
                ("seller",),
            ),
            parts=(
                Layout(InvoiceLine, absent=(("origin",),)),
                PARTNER_SHARE,
                Layout(CorrectedLine, absent=(("taken_back",), ("given_back",), ("credited_tax",))),
                Layout(CorrectedTax, absent=(("taken_back",),)),
                Layout(Billing, absent=(("bill_run",),)),
                Layout(Handling, absent=(("overdue_on",), ("request",))),
                Layout(PaymentRequest, absent=(("failed_at",), ("reason",), ("payment_id",))),
            ),
            repeats=True,
        ),
        Collection(
            "invoices",
            id="`billNo`",
            written="issued by an order or a bill, replaced by an allocation or a correction",
            fields={
                "billingAccount": "who owes it",
                "orderedFor": "the account that the order named: another one where that has a payer",
                "orderId": "the order that it bills, null where it has its `billing`",
                "currency": "",
                "state": "`new`, `onHold`, `validated`, `sent`, `partiallyPaid`, `settled`",
                "billDate": "",
                "paymentDueDate": "",
                "taxPointDate": "",
                "bookedAt": "",
                "taxExcludedAmount": "the sum of the lines' nets",
                "taxIncludedAmount": "the same with tax",
                "remainingAmount": "what is left to pay",
                "taxItem": "[{`category`, `rate`, `taxExcludedAmount`, `taxAmount`}], one for each category and rate",
                "lines": "[{`id`, `description`, `quantity`, `unitPrice`, `category`, `rate`, `taxExcludedAmount`, "
                "`taxAmount`, `onBehalfOf`: null or {`id`, `partnerShare`, `accrueOn`, `share`, `accrued`, "
                "`agreement`: {`id`, `revision`}, where the terms are of one, `tier`: {`start`, `before`, `share`: "
                "what it was at first}, where these are tiers, and `partnerShare` is null, `freed`: [{`start`, `net`, "
                "`share`}], what has accrued in which period, where tiers go by payments, `awaited`: true where their "
                "first step has no share, `agent`: {`commission`, "
                "`category`, `rate`, `charged`: our commission so far}, where it is the partner's own, and "
                "`partnerShare` is null}, `origin`: "
                "{`account`, `chargeId`, `subscriptionId`, `priceId`, `period`: null or {`start`, `end`}, `corrects`: "
                "null or {`billNo`, `lineId`}}, left out where it is an order's}]",
                "appliedPayment": "[{`paymentId`, `amount`}], oldest first",
                "buyerVersion": "the version of the account that owes it, as it was issued; not there where an earlier "
                "version of the program issued it",
                "sellerVersion": "that of the seller, or of the partner's account whose own it is, likewise; not there "
                "while nothing was said of the seller",
                "corrections": "what was taken back of it: {`credited`, `writeOffs`: [{`writeOffId`, `amount`, "
                "`taxRelief`}], `lines`: [{`lineId`, `credited`, `givenUp`, `takenBack`, `givenBack`: what of a line "
                "that took something back notes gave back}], `tax`: [{`category`, `rate`, `credited`, `relieved`, "
                "`takenBack`}]}, `takenBack`, `givenBack` and `creditedTax` (of a partner's own line) left out where "
                "there is none; "
                "all of it left out while that is nothing",
                "handling": "what was said of it: {`validatedAt`, `validatedBy`, `sentAt`, `medium`, `disputes`: "
                "[{`disputeId`, `amount`}], those that are open, `overdueOn`: the day on which it was told that it is "
                "overdue, left out while it was not; `request`: what was requested of it, left out while nothing was: "
                "{`on`, `amount`, `paymentMethod`, `failedAt` and `reason`, or `paymentId`}}; left out while that is "
                "nothing",
                "billing": "how it came about that no order made: {`cause`: the identity of the fact that made it, "
                "`runType`, `period`: {`start`, `end`}, `billRun`: the run that made it, left out of one that was "
                "demanded}; left out where it has its `orderId`",
                "seller": "the settlement account of the partner in whose name it is; left out of ours",
            },
            indexes=(
                # A payment's next invoices: an account's open ones, by due date, then by number.
                IndexModel(
                    [("billingAccount", ASCENDING), ("paymentDueDate", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression=OPEN,
                ),
                # The invoices of an order. That it is billed once is due to its identity in the inbox.
                IndexModel([("orderId", ASCENDING)], name="order"),
                # Lists of an account's invoices, all or those in one state, by number.
                IndexModel([("billingAccount", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)], name="listed"),
                # The same of those in a partner's name.
                IndexModel(
                    [("seller", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)],
                    name="seller",
                    partialFilterExpression={"seller": {"$gt": ""}},
                ),
            ),
            personal=("lines.description", "handling.validatedBy", "handling.medium", "handling.request.reason"),
        ),
        queue=QueueRead("billingAccount", "paymentDueDate", OPEN),
        # A request has its invoice's number.
        awaited={"invoice": {}, "payment-request": {"handling.request": {"$exists": True}}},
    ),
    Kept(
        Layout(Loss),
        Collection(
            "losses",
            id="`billNo`, and the type and key of the fact, those of the payment before them where one covers it",
            written="once, with the fact",
            fields={
                "billNo": "the invoice",
                "billingAccount": "that of the invoice",
                "writtenOff": "by how much more of it is written off; less is below zero",
                "relieved": "by how much less tax is owed for that",
                "givenUp": "by how much less partners get for that",
                "cause": "the identity of the fact",
                "bookedAt": "",
            },
            indexes=(
                # What was lost of an account's invoices since a time, to tell what was overdue then.
                IndexModel([("billingAccount", ASCENDING), ("bookedAt", ASCENDING)], name="booked"),
            ),
            append_only=True,
        ),
    ),
)
