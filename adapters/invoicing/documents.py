"""How invoices are kept."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.invoicing.model import Invoice

OPEN = {"remainingAmount": {"$gt": 0}}

KEPT = (
    Kept(
        Layout(Invoice, absent=(("buyer_version",), ("seller_version",), ("corrections",)), repeats=True),
        Collection(
            "invoices",
            id="`billNo`",
            written="issued by an order, replaced by an allocation or a correction",
            fields={
                "billingAccount": "who owes it",
                "orderedFor": "the account that the order named: another one where that has a payer",
                "orderId": "",
                "currency": "",
                "state": "`new`, `partiallyPaid`, `settled`",
                "billDate": "",
                "paymentDueDate": "",
                "taxPointDate": "",
                "bookedAt": "",
                "taxExcludedAmount": "the sum of the lines' nets",
                "taxIncludedAmount": "the same with tax",
                "remainingAmount": "what is left to pay",
                "taxItem": "[{`category`, `rate`, `taxExcludedAmount`, `taxAmount`}], one for each category and rate",
                "lines": "[{`id`, `description`, `quantity`, `unitPrice`, `category`, `rate`, `taxExcludedAmount`, "
                "`taxAmount`, `onBehalfOf`: null or {`id`, `partnerShare`, `accrueOn`, `share`, `accrued`}}]",
                "appliedPayment": "[{`paymentId`, `amount`}], oldest first",
                "buyerVersion": "the version of the account that owes it, as it was issued; not there where an earlier "
                "version of the program issued it",
                "sellerVersion": "that of the seller, likewise; not there while nothing was said of the seller",
                "corrections": "what was taken back of it: {`credited`, `writeOffs`: [{`writeOffId`, `amount`, "
                "`taxRelief`}], `lines`: [{`lineId`, `credited`, `givenUp`}], `tax`: [{`category`, `rate`, `credited`, "
                "`relieved`}]}; left out while that is nothing",
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
            ),
            personal=("lines.description",),
        ),
        queue=QueueRead("billingAccount", "paymentDueDate", OPEN),
        awaited={"invoice": {}},
    ),
)
