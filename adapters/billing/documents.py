"""How charges, subscriptions, usage, bills on demand and bill runs are kept."""

from __future__ import annotations

from pymongo import ASCENDING, DESCENDING, IndexModel

from adapters.codec import Key, Layout
from adapters.kept import Collection, Kept, QueueRead
from domain.billing.billed import BilledPeriod, BilledPrice
from domain.billing.differing import CountedMonth
from domain.billing.model import BillOnDemand, Charge
from domain.billing.rating import Charged
from domain.billing.runs import BillRun
from domain.billing.subscriptions import Subscription
from domain.billing.terms import Terms
from domain.billing.usage import UsageMonth, UsageRecord
from domain.invoicing.pricing import Item

UNBILLED = {"billed": {"$type": "null"}}
BEHIND = {"behind": True}
LIVE = {"open": True}
RUNNING = {"state": "running"}

KEPT = (
    Kept(
        Layout(Charge, parts=(Layout(Item, absent=(("origin",),)),), repeats=True, often=("billed", "behind")),
        Collection(
            "charges",
            id="`chargeId`",
            written="once, with the fact; a bill sets `billed`, once, or leaves it `behind`",
            fields={
                "billingAccount": "that it is charged to; another one may pay for it",
                "date": "from which on it is due",
                "currency": "",
                "item": "{`id`, `description`, `quantity`, `unitPrice`, `category`, `rate`, `onBehalfOf`: the "
                "partner's account or null}",
                "net": "what it comes to without tax",
                "period": "what it covers: {`start`, `end`}, or null",
                "subscriptionId": "for which it is charged, or null",
                "corrects": "the line that it takes back: {`billNo`, `lineId`}, or null",
                "bookedAt": "",
                "billed": "null until it is billed; then {`billNo`, `lineId`: the line of the bill, null where it is "
                "on none; `creditNote`: the number of the note that it is of, or null; `amount`: what of its net was "
                "billed; `cause`: the identity of the fact that billed it; `bookedAt`}",
                "behind": "whether it is not billed yet, and dated no later than the `chargesThrough` of its account's "
                "position",
            },
            indexes=(
                # What is due of an account since the date through which it is billed, and whether something is, which
                # keeps it from being closed. Lists of an account's charges, all or those that are billed, by date, then
                # by id.
                IndexModel([("billingAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)], name="listed"),
                # What is due of it before that.
                IndexModel(
                    [("billingAccount", ASCENDING), ("date", ASCENDING), ("_id", ASCENDING)],
                    name="behind",
                    partialFilterExpression=BEHIND,
                ),
            ),
            personal=("item.description",),
            append_only=True,
            but_for=("billed", "behind"),
        ),
        queue=QueueRead(
            "billingAccount",
            "date",
            UNBILLED,
            short=True,
            closed_through=lambda position: position.charges_through,
            behind=BEHIND,
        ),
    ),
    Kept(
        Layout(
            Subscription,
            keys=(
                Key("_id", "id"),
                "billing_account",
                "currency",
                "start_date",
                "terms",
                "patches",
                "state",
                "revision",
                "booked_at",
                "next_due",
                "recheck_from",
                Key("open", "is_open"),
            ),
            parts=(Layout(Terms, shared=True),),
            repeats=True,
            often=("next_due", "recheck_from"),
        ),
        Collection(
            "subscriptions",
            id="`subscriptionId`",
            written="by each `subscription.*` message, and on the days on which its state changes",
            fields={
                "billingAccount": "that it is charged to; another one may pay for it",
                "currency": "",
                "startDate": "the first day served",
                "terms": "what was agreed first: {`prices`, `name`, `trialEndDate`, `terminationDate`, "
                "`billingAnchor`, `suspended`}. A price: {`id`, `name`, `priceType`, `category`, `rate`, `unitPrice`, "
                "`quantity`, `billed`, `unitOfMeasure`, `tiers`: {`mode`, `steps`: [{`upTo`, `unitPrice`, `flatFee`}]} "
                "or null, `amount`, `periodType`, `periodLength`, `onBehalfOf`, `proration`}",
                "patches": "each change, in the order in which they were applied: {`effectiveDate`: from when on; "
                "`changed`: the fields of `terms` that it changes; `terms`: what to, the other fields mean nothing; "
                "`revision`: that it made; `kind`: `change`, `suspend`, `resume` or `terminate`; `cause`: the identity "
                "of the fact; `bookedAt`}",
                "state": "`pendingActive`, `active`, `suspended` or `terminated`, on the newest day, or on an earlier "
                "one if a turn is to come",
                "revision": "1 and the number of its patches",
                "bookedAt": "when it was created",
                "nextDue": "before that date nothing of it is due; null: nothing more ever is",
                "recheckFrom": "the first day whose periods the next bill looks at again, or null",
                "open": "whether it is live, or something of it is still to be billed",
            },
            indexes=(
                # What is due of an account, and whether something is live, which keeps it from being closed.
                IndexModel(
                    [("billingAccount", ASCENDING), ("nextDue", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression=LIVE,
                ),
                # Lists of an account's subscriptions, all or those in one state, by id.
                IndexModel([("billingAccount", ASCENDING), ("_id", ASCENDING), ("state", ASCENDING)], name="listed"),
            ),
            personal=("terms.name", "terms.prices", "patches.terms"),
        ),
        queue=QueueRead("billingAccount", "nextDue", LIVE, short=True),
        awaited={"subscription": {}},
        large=True,
    ),
    Kept(
        Layout(
            BilledPeriod,
            keys=(
                Key("_id", "id"),
                Key("subscriptionId", "subscription"),
                "period",
                Key("end", "period.end"),
                "prices",
            ),
            parts=(
                Layout(BilledPrice, absent=(("charged",),)),
                Layout(Charged, absent=(("used_on",),)),
                Layout(CountedMonth, absent=(("days",),)),
            ),
            repeats=True,
        ),
        Collection(
            "billedPeriods",
            id="`<subscriptionId>/<start>/<end>`",
            written="by each bill that bills something of it, or looks at it again",
            fields={
                "subscriptionId": "",
                "period": "{`start`, `end`: the first day that is not in it}",
                "end": "`period.end`, by which it is found",
                "prices": "what was billed of each price that has this period, in no order: {`priceId`, `lines`, "
                "`charged`}. `lines` are those of bills that billed something "
                "of it: {`billNo`, `lineId`, `rate`: {`unitPrice`, `tiers`, `category`, `rate`, `onBehalfOf`}, "
                "`quantity`: null where it is not so many units at their price, `net`, `taken`: what billing took back "
                "of it since: {`billNo`, `lineId`, `creditNote`: where, `net`: what counts as taken back, `amount`: "
                "what of that could be, `counted`; both a line and a note where that note undid what that line took "
                "back}, `counted`: of usage, which records it counts: those of each `month` beyond the first `after`, "
                "up to `count`, on these `days`; missing: on those that the line covers}. `charged` is what it came to "
                "at the last bill, by rate: {`rate`, `days`, `quantity`, `net`, `parts`: {`days`, `quantity`, `net`} "
                "of days on which so much of a recurring price was agreed, `usedOn`: of usage, the days that were at "
                "this rate; missing: all}; missing: what its one line says, for the whole period",
            },
            indexes=(
                # What was billed of a subscription, the last first.
                IndexModel([("subscriptionId", ASCENDING), ("end", DESCENDING), ("_id", ASCENDING)], name="billed"),
            ),
        ),
        queue=QueueRead("subscriptionId", "end", {}, of_accounts=False, descending=True),
        large=True,
    ),
    Kept(
        Layout(
            UsageRecord,
            keys=(
                Key("_id", "id"),
                Key("subscriptionId", "subscription"),
                "price_id",
                "usage_date",
                "day",
                "quantity",
                "number",
                "booked_at",
            ),
        ),
        Collection(
            "usageRecords",
            id="`usageId`",
            written="once, with the fact",
            fields={
                "subscriptionId": "",
                "priceId": "",
                "usageDate": "when it was used",
                "day": "the date of that in the seller's zone: it counts on it",
                "quantity": "may be below zero: it corrects an earlier record",
                "number": "the how-many-eth record it is of its price's month, from 1",
                "bookedAt": "",
            },
            indexes=(
                # Lists of a subscription's usage, of all prices or of one, by its time, then by id.
                IndexModel(
                    [
                        ("subscriptionId", ASCENDING),
                        ("usageDate", ASCENDING),
                        ("_id", ASCENDING),
                        ("priceId", ASCENDING),
                        ("day", ASCENDING),
                    ],
                    name="listed",
                ),
            ),
            append_only=True,
        ),
    ),
    Kept(
        Layout(UsageMonth),
        Collection(
            "usageMonths",
            id="`<subscriptionId>/<priceId>/<yyyy-mm>`",
            written="with each record of its month",
            fields={
                "count": "how many records it has",
                "days": "each day that has any: {`day`, `quantity`: what its records come to}, in order",
            },
        ),
    ),
    Kept(
        Layout(BillOnDemand, absent=(("bill_nos",),), read=False),
        Collection(
            "billsOnDemand",
            id="the demand's id; of a further part with its number, `<id>/<n>`",
            written="once, with the fact",
            fields={
                "demandId": "",
                "billingAccount": "",
                "billingDate": "up to which is billed",
                "state": "`done`; `inProgress` of a part after which more is to be billed",
                "billNo": "the bill that was made, null where nothing was due, or several were made",
                "creditNotes": "the numbers of the credit notes beside it",
                "bookedAt": "",
                "billNos": "the sellers' bills; only where there are several",
            },
            append_only=True,
        ),
    ),
    Kept(
        Layout(BillRun),
        Collection(
            "billRuns",
            id="`billRunId`; of one that began by itself `<its specification>:<billingDate>`",
            written="when it is started, with each account that it comes to, and when it is completed",
            fields={
                "cycleSpecification": "the billing cycle specification whose accounts it bills",
                "billingDate": "up to which is billed",
                "chargesThrough": "up to which charges are billed, where its cycle says so, else null",
                "paymentDueDate": "when its bills are due, where its cycle says so, else null",
                "state": "`running`, `completed`",
                "cause": "the identity of the fact that started it",
                "startedAt": "",
                "completedAt": "null while it is running",
                "cursor": "the furthest account that it has come to, in the order of ids, or null",
                "billed": "how many accounts it has billed something",
                "nothingDue": "of how many nothing was due",
                "totals": "what its bills come to: [{`currency`, `taxExcludedAmount`, `taxIncludedAmount`}]",
            },
            indexes=(
                # The runs that are under way, the earliest billing date first.
                IndexModel(
                    [("billingDate", ASCENDING), ("_id", ASCENDING)],
                    name="running",
                    partialFilterExpression=RUNNING,
                ),
                # Lists of runs, all or those of a specification, by billing date, then by id.
                IndexModel([("billingDate", ASCENDING), ("_id", ASCENDING)], name="all"),
                IndexModel(
                    [("cycleSpecification", ASCENDING), ("billingDate", ASCENDING), ("_id", ASCENDING)], name="listed"
                ),
            ),
        ),
    ),
)
