"""How accruals, partners' statements and payouts are kept."""

from __future__ import annotations

from dataclasses import replace

from pymongo import ASCENDING, IndexModel

from adapters.codec import Layout
from adapters.invoicing.documents import PARTNER_SHARE
from adapters.kept import Collection, Kept, QueueRead
from domain.settlement.accruals import Accrual, Step
from domain.settlement.advances import Advance
from domain.settlement.agreements import AgreedTerms, Agreement
from domain.settlement.backdating import Backdating, CorrectedShare, ShareCorrection
from domain.settlement.comparing import ComparedLine, StatementReport
from domain.settlement.documents import DocumentLine, SettlementDocument
from domain.settlement.earnings import ChargedFee, Earnings, Guaranteed
from domain.settlement.payouts import Payout
from domain.settlement.reserves import HELD, Reserve
from domain.settlement.statements import HeldForward, PayoutRequest, Settlement, SettlementLine
from domain.settlement.terms import ClosingTerms, LineTerms
from domain.settlement.tiers import TierPeriod

_TIERS = "{`mode`, `period`, `steps`: [{`upTo`: null of the last, `share`}]}"
_TERMS = (
    "{`partnerShare`: null where there are tiers, or an agent, `accrueOn`, `tiers`: " + _TIERS + ", only where there "
    "are any, `agent`: {`commission`, `category`, `rate`, `series`: null where it is not said}, only where we are that}"
)
_STEP = (
    "{`kind`, `agreement`, `start`, `end`, `of`, `base`, `rate`, `settlement`, `revision`: only of a true-up, "
    "`type`: only of a guarantee, as in `earnings`}: what it is and how it was worked out; only of what a closing, or "
    "a release, has added"
)
_STEP_LAYOUT = Layout(Step, absent=(("revision",), ("type",)))
RUNNING = {"state": "running"}
UNSTATED = {"settlementId": {"$type": "null"}}
IN_DISPUTE = {"disputed": {"$exists": True}}

KEPT = (
    Kept(
        Layout(
            Accrual,
            absent=(
                ("adjustment_id",),
                ("step",),
                ("corrects",),
                ("commission",),
                ("document",),
                ("takes_back",),
                ("corrected_by",),
            ),
            parts=(_STEP_LAYOUT,),
        ),
        Collection(
            "accruals",
            id="`<billNo>/<lineId>`, or `<billNo>/<lineId>/<paymentId>` when a payment released it "
            "(`<billNo>/<lineId>/<orderId>` of an invoice of zero); with `/<type>/<key>` of any other cause; "
            "`settlement.adjust/<adjustmentId>` of an adjustment; `<type>/<key>` and what it is of a closing's step, "
            "`<type>/<key>` of a release",
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
                "step": _STEP,
                "corrects": "`<billNo>/<lineId>`: what the ids of the rows begin with that it corrects; only where "
                "terms were agreed later",
                "commission": "{`amount`, `category`, `rate`}: by how much our commission on the line is more, and its "
                "tax; only of a partner's own line",
                "document": "the number of the invoice that its statement's line stands in, or, where that fell, of "
                "the first credit note; only where there is one, set with `settlementId`",
                "takesBack": "`<billNo>/<lineId>`: what the ids of the rows begin with of the line that its own takes "
                "back; only of such a line",
                "correctedBy": "the ids of the adjustments and of the rows of other lines that correct its line; only "
                "of a line's first row, set with the `settlementId` of these",
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
            but_for=("settlementId", "document", "correctedBy"),
        ),
        queue=QueueRead("settlementAccount", "date", UNSTATED),
    ),
    Kept(
        Layout(
            Settlement,
            absent=(
                ("threshold",),
                ("withholding",),
                ("netted",),
                ("withheld",),
                ("request",),
                ("report",),
                ("disputed",),
                ("self_billed_tax",),
                ("hold",),
                ("held_forward",),
                ("carried_to",),
            ),
            parts=(
                Layout(SettlementLine, absent=(("adjustment_id",), ("step",), ("corrects",))),
                _STEP_LAYOUT,
                Layout(PayoutRequest, absent=(("settled",),)),
                Layout(HeldForward, absent=(("reports",),)),
            ),
        ),
        Collection(
            "settlements",
            id="statement id",
            written="by a closing, replaced by a payout, or its return; by a report, and by what corrects a line that "
            "is in dispute; by what is said of a document",
            fields={
                "settlementAccount": "the partner's",
                "currency": "",
                "closingId": "",
                "periodEnd": "",
                "lines": "[{`accrualId`, `orderId`, `billNo`, `lineId`, `date`, `amount`}], of an adjustment "
                "with its `adjustmentId`, of a closing's step or a release with its `step`",
                "broughtForward": "amount, 0 if none",
                "broughtForwardFrom": "statement id, or null",
                "total": "the lines and what was brought forward",
                "paid": "how much of it is paid",
                "state": "`open`, `partiallyPaid`, `paid`, `carriedForward`",
                "bookedAt": "",
                "threshold": "the threshold of payouts that `total` is less than; only where it is carried forward by "
                "that",
                "withholding": "what was agreed of the partner's tax as it was made; only where something was",
                "netted": "what of `paid` was netted with what the partner owed us; only where something was",
                "withheld": "[{`rate`, `base`, `amount`}]: the tax that was withheld of its payouts, by rate; only "
                "where some was",
                "request": "{`id`, `number`, `amount`, `netted`, `taxWithheld`, `rate`, `settled`}: the payout that "
                "was requested last; not there where an earlier version made it",
                "report": "its latest report's id; only where there is one",
                "disputed": "[{`billNo`, `lineId`, `amount`}]: its lines that are in dispute; only where there are any",
                "selfBilledTax": "how much of `total` is the tax of self-billed documents, that of what was brought "
                "forward included; only where there is some",
                "hold": "{`documents`, `isWaiting`, `netted`}: for which of its documents, which are disputed, it is "
                "not paid, and whether a payout was to be requested meanwhile; only then",
                "heldForward": "{`documents`, `amount`, `reports`}: what of the amount brought forward is not paid, "
                "for which documents of statements before it, which are disputed, and by which reports lines of these "
                "are in dispute; only then",
                "carriedTo": "the statement that has brought it forward; not there where an earlier version did so for "
                "a partner that was never self-billed",
            },
            personal=("withholding.authority",),
            indexes=(
                # Lists of a partner's statements, oldest first.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)], name="listed"
                ),
                # A partner's statements of which something is in dispute: for what corrects a line.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)],
                    name="inDispute",
                    partialFilterExpression=IN_DISPUTE,
                ),
            ),
        ),
        queue=QueueRead("settlementAccount", "bookedAt", IN_DISPUTE),
        awaited={"settlement": {}},
    ),
    Kept(
        Layout(Payout, absent=(("returned",), ("withheld",))),
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
                "withheld": "{`rate`, `base`, `amount`}: the tax that was withheld of it; only where some was",
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
        Layout(
            Agreement,
            absent=(("currency",), ("advanced",), ("backdating",)),
            parts=(
                Layout(AgreedTerms, absent=(("closing",), ("lines_as",))),
                Layout(LineTerms, absent=(("tiers",), ("agent",))),
                Layout(
                    ClosingTerms,
                    absent=(
                        ("guarantee",),
                        ("advance",),
                        ("holdback",),
                        ("payout_threshold",),
                        ("withholding",),
                        ("netting",),
                        ("self_billing",),
                        ("fixed_fee",),
                    ),
                ),
            ),
        ),
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
                "agreed": "[{`validFrom`: a date, `terms`: " + _TERMS + ", `revision`, `cause`, `bookedAt`, `closing`: "
                "{`guarantee`, `advance`, `holdback`, `payoutThreshold`, `withholding`, `netting`, `selfBilling`: "
                "{`series`, `category`, `rate`, `reverseChargeRate`: null where there is none}, `fixedFee`: {`amount`, "
                "`period`, `category`, `rate`}}, of these what was agreed, `linesAs`: the first "
                "revision with the same `terms`, only where that is an earlier one}], in the order in which that was "
                "booked",
                "currency": "that of its amounts; not there where an earlier version wrote it",
                "advanced": "what was paid in advance by it; only where something was",
                "backdating": "the revisions for which what was earned on past days is being corrected; only then",
            },
            personal=("agreed.closing.withholding.authority",),
            indexes=(
                # A partner's agreements, by their first day: for its lines, and lists.
                IndexModel([("settlementAccount", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)], name="open"),
            ),
        ),
        queue=QueueRead("settlementAccount", "start", {}, short=True),
        awaited={"agreement": {}, "backdated": {"backdating": {"$exists": False}}},
    ),
    Kept(
        Layout(Backdating),
        Collection(
            "backdatings",
            id="`<agreementId>/<revision>`",
            written="by what agrees terms of past days, with each invoice that is corrected, and when all are",
            fields={
                "agreement": "",
                "revision": "",
                "settlementAccount": "the partner's",
                "since": "the first day of which other terms were agreed",
                "state": "`running`, `completed`",
                "bookedAt": "",
                "corrected": "of how many invoices something was",
                "amount": "what the partner has earned more by that",
            },
            indexes=(
                # Those that are under way, the earliest first.
                IndexModel(
                    [("bookedAt", ASCENDING), ("_id", ASCENDING)], name="running", partialFilterExpression=RUNNING
                ),
            ),
        ),
    ),
    Kept(
        Layout(
            ShareCorrection,
            parts=(
                Layout(CorrectedShare, absent=(("commission",), ("before",))),
                replace(PARTNER_SHARE, alone=False),
            ),
        ),
        Collection(
            "shareCorrections",
            id="`<agreementId>/<revision>/<billNo>`",
            written="once, with the fact",
            fields={
                "agreement": "",
                "revision": "",
                "settlementAccount": "the partner's",
                "billNo": "",
                "lines": "[{`lineId`, `was`, `now`: the share, `accrued`, `withheld`: how much more, `commission`: how "
                "much more is charged, only of a partner's own line, `before`: the partner's part as it was, as in "
                "`invoices`; not there of what an earlier version corrected}]",
                "cause": "the identity of the fact",
                "bookedAt": "",
            },
            append_only=True,
        ),
    ),
    Kept(
        Layout(
            Earnings,
            absent=(("charged",),),
            parts=(Layout(Guaranteed, absent=(("type",),)), Layout(ChargedFee, absent=(("type",), ("parts",)))),
        ),
        Collection(
            "earnings",
            id="`<settlementAccount>/<year>`",
            written="by closings",
            fields={
                "settlementAccount": "the partner's",
                "year": "",
                "days": "[{`date`, `amount`}]: what statements say was earned of a day, adjustments included",
                "guaranteed": "[{`agreement`, `start`, `amount`, `type`}]: what they say of the guarantee for the "
                "period that begins on `start`, a day of the year, and is of this type: `month`, `quarter`, `year`; "
                "not there of the type that was agreed first, of those of which a period begins on that day",
                "charged": "[{`agreement`, `start`, `amount`, `document`: the invoice that has charged of it last, "
                "`type`: as in `guaranteed`, `parts`: [{`document`, `amount`}], what each invoice has of it, the "
                "earliest first, only where others have some}]: what was charged of the fee for that period; only "
                "where something was",
            },
        ),
    ),
    Kept(
        Layout(Advance),
        Collection(
            "advances",
            id="`advanceId`",
            written="once, with the fact",
            fields={
                "agreement": "the agreement by which it was paid",
                "settlementAccount": "the partner's",
                "currency": "",
                "amount": "",
                "paidAt": "",
                "bookedAt": "",
            },
            append_only=True,
        ),
    ),
    Kept(
        Layout(
            Reserve,
            keys=(
                "id",
                "settlement_account",
                "currency",
                "base",
                "rate",
                "amount",
                "held_on",
                "release_on",
                "booked_at",
                "is_left",
                "releases",
                "queue",
            ),
        ),
        Collection(
            "reserves",
            id="the statement's id",
            written="by the closing; by each release, which adds to `releases`",
            fields={
                "settlementAccount": "the partner's",
                "currency": "",
                "base": "what it is a part of",
                "rate": "which part",
                "amount": "what was held back",
                "heldOn": "the end of the statement's period",
                "releaseOn": "the day that releases what is left",
                "bookedAt": "",
                "isLeft": "whether that day has left the release to do",
                "releases": "[{`amount`, `date`, `cause`, `bookedAt`, `releaseId`: null where the day did it}]",
                "queue": "`held` until that day, while something is left, else null",
            },
            indexes=(
                # What a day is to release.
                IndexModel(
                    [("queue", ASCENDING), ("releaseOn", ASCENDING), ("_id", ASCENDING)],
                    name="held",
                    partialFilterExpression={"queue": HELD},
                ),
                # A partner's reserves, by the day of the release.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("releaseOn", ASCENDING), ("_id", ASCENDING)], name="listed"
                ),
            ),
        ),
        queue=QueueRead("queue", "releaseOn", {"queue": HELD}, of_accounts=False),
    ),
    Kept(
        Layout(
            TierPeriod,
            keys=(
                "id",
                "settlement_account",
                "agreement",
                "revision",
                "start",
                "end",
                "tiers",
                "net",
                "due",
                "share",
                "trued",
                "is_open",
            ),
        ),
        Collection(
            "tierPeriods",
            id="`<agreementId>/<revision>/<start>`",
            written="by the first line of the period, or the first payment; by each further one, by what corrects one, "
            "by closings",
            fields={
                "settlementAccount": "the partner's",
                "agreement": "",
                "revision": "that of the agreement whose tiers they are",
                "start": "the first day of the period",
                "end": "the first day after it, or after the agreement, where tiers do not go by payments",
                "tiers": _TIERS,
                "net": "of its lines, less what is credited of them; by payments, what was paid of that in the period",
                "due": "what the tiers come to of that",
                "share": "the sum of its lines' shares, as they are now; by payments, what accrued in the period",
                "trued": "what closings have added to that",
                "isOpen": "whether `share` and `trued` are not `due`",
            },
            indexes=(
                # What a closing trues up: a partner's, by their first day.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("start", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression={"isOpen": True},
                ),
            ),
        ),
        queue=QueueRead("settlementAccount", "start", {"isOpen": True}),
    ),
    Kept(
        Layout(
            SettlementDocument,
            keys=(
                "id",
                "type_code",
                "settlement_account",
                "settlement_id",
                "currency",
                "bill_date",
                "cause",
                "booked_at",
                "tax_excluded_amount",
                "tax_included_amount",
                "lines",
                "tax_item",
                "seller_version",
                "partner_version",
                "is_open",
                "is_self_billed",
                "corrects",
                "credited",
                "said",
            ),
            absent=(("corrects",), ("credited",), ("said",)),
            parts=(Layout(DocumentLine, absent=(("type",),)),),
        ),
        Collection(
            "settlementDocuments",
            id="its number",
            written="by the closing; by each credit note of it, and by what the partner says of it",
            fields={
                "typeCode": "`389` a self-billed invoice, `261` a self-billed credit note, `380` our invoice, `381` "
                "our credit note",
                "settlementAccount": "the partner's",
                "settlementId": "its statement's id",
                "currency": "",
                "billDate": "the day on which it was issued",
                "cause": "the identity of the closing",
                "bookedAt": "",
                "taxExcludedAmount": "above zero, of a credit note too",
                "taxIncludedAmount": "",
                "lines": "[{`kind`: `accrual`, `adjustment`, `trueUp`, `guarantee`, `fee`, `commission`, `agreement`: "
                "null without one, `category`, `rate`, `amount`, `start`, `end`: the last day, `type`: only of a fee, "
                "as in `earnings`}]",
                "taxItem": "[{`category`, `rate`, `taxExcludedAmount`, `taxAmount`, `reverseChargeRate`: null where "
                "there is none, `reverseCharge`: the tax that we owe at that rate}]",
                "corrects": "the number of the invoice that it corrects; only of a credit note that names one",
                "sellerVersion": "the version of the seller as it was issued, null while nothing was said of it",
                "partnerVersion": "the version of the partner's account as it was issued",
                "credited": "[{`category`, `rate`, `taxExcludedAmount`, `taxAmount`, `reverseChargeRate`, "
                "`reverseCharge`}]: what credit notes took of it, by tax group; only where some did",
                "said": "[{`state`: `accepted` or `disputed`, `at`, `cause`, `bookedAt`, `reason`: null where there is "
                "none}]: what the partner said of it; only where it did",
                "isOpen": "whether it is an invoice of which a credit note can take something still",
                "isSelfBilled": "whether it was issued in the partner's name",
            },
            personal=("said.reason",),
            indexes=(
                # A partner's documents, those in its name and ours, oldest first: lists.
                IndexModel(
                    [
                        ("settlementAccount", ASCENDING),
                        ("isSelfBilled", ASCENDING),
                        ("bookedAt", ASCENDING),
                        ("_id", ASCENDING),
                    ],
                    name="listed",
                ),
                # A partner's invoices of which something is left, for what has no line.
                IndexModel(
                    [("settlementAccount", ASCENDING), ("bookedAt", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression={"isOpen": True},
                ),
                # A statement's documents.
                IndexModel([("settlementId", ASCENDING), ("_id", ASCENDING)], name="statement"),
            ),
        ),
        queue=QueueRead("settlementAccount", "bookedAt", {"isOpen": True}),
        awaited={"self-billing": {}},
    ),
    Kept(
        Layout(StatementReport, parts=(Layout(ComparedLine, absent=(("ours",), ("theirs",))),)),
        Collection(
            "statementReports",
            id="`reportId`",
            written="once, with the fact",
            fields={
                "settlementId": "",
                "settlementAccount": "the partner's",
                "currency": "",
                "tolerance": "how far figures that agree may be apart",
                "lines": "[{`orderId`, `billNo`, `lineId`, `outcome`: `agreed`, `different`, `missingThere` or "
                "`missingHere`, `ours`, `theirs`: not there where it is missing}]",
                "bookedAt": "",
            },
            append_only=True,
        ),
    ),
)
