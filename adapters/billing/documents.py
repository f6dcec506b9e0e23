"""How charges and bills on demand are kept."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.billing.model import BillOnDemand, Charge
from domain.invoicing.pricing import Item

UNBILLED = {"billed": {"$type": "null"}}

KEPT = (
    Kept(
        Layout(Charge, parts=(Layout(Item, absent=(("origin",),)),)),
        Collection(
            "charges",
            id="`chargeId`",
            written="once, with the fact; a bill sets `billed`, once",
            fields={
                "billingAccount": "that it is charged to; another one may pay for it",
                "date": "from which on it is due",
                "currency": "",
                "item": "{`id`, `description`, `quantity`, `unitPrice`, `category`, `rate`, `onBehalfOf`: the "
                "partner's account or null}",
                "net": "what it comes to without tax",
                "period": "what it covers: {`start`, `end`}, or null",
                "subscriptionId": "as the message says it, or null",
                "corrects": "the line that it takes back: {`billNo`, `lineId`}, or null",
                "bookedAt": "",
                "billed": "null until it is billed; then {`billNo`, `lineId`: the line of the bill, null where it is "
                "on none; `creditNote`: the number of the note that it is of, or null; `amount`: what of its net was "
                "billed; `cause`: the identity of the fact that billed it; `bookedAt`}",
            },
            indexes=(
                # What is due of an account, and whether something is, which keeps it from being closed.
                IndexModel(
                    [("billingAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression=UNBILLED,
                ),
                # Lists of an account's charges, all or those that are billed, by date, then by id.
                IndexModel([("billingAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)], name="listed"),
            ),
            personal=("item.description",),
            append_only=True,
            but_for=("billed",),
        ),
        queue=QueueRead("billingAccount", "date", UNBILLED),
    ),
    Kept(
        Layout(BillOnDemand, read=False),
        Collection(
            "billsOnDemand",
            id="the demand's id; of a further part with its number, `<id>/<n>`",
            written="once, with the fact",
            fields={
                "demandId": "",
                "billingAccount": "",
                "billingDate": "up to which is billed",
                "state": "`done`; `inProgress` of a part after which more is to be billed",
                "billNo": "the bill that was made, null where nothing was due",
                "creditNotes": "the numbers of the credit notes beside it",
                "bookedAt": "",
            },
            append_only=True,
        ),
    ),
)
