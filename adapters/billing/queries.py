"""Charges and usage in lists, subscriptions, bill runs, and a bill that is not made yet."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from adapters.billing.codecs import (
    decode_bill_run,
    decode_billed_period,
    decode_charge,
    decode_subscription,
    decode_usage_record,
)
from adapters.billing.documents import BEHIND, UNBILLED
from adapters.billing.sweeps import TO_BE_DONE, facts_of
from adapters.invoicing.codecs import decode_invoice
from adapters.invoicing.queries import whose_invoice
from adapters.mongodb.paging import FEW_ROWS, Page, keyset, reading
from adapters.mongodb.trying import happens
from adapters.mongodb.view import BY_ID, Json, Reads, Row, View, unknown
from adapters.sweep import held_by_state
from domain.accounts.model import BILLING
from domain.billing.demanding import demand_time
from domain.billing.differing import CountedMonth
from domain.billing.model import BillDemand
from domain.billing.runs import BillRun
from domain.billing.subscriptions import Subscription
from domain.billing.terms import state_on
from domain.billing.usage import days_of
from domain.corrections.model import CreditNote, CreditNoteIssued
from domain.days.model import CALENDAR
from domain.errors import Refused
from domain.frozen import replace
from domain.invoicing.model import InvoiceIssued
from domain.periods import DateRange
from schemas.billing.events import bill_run_json, charge_json, subscription_json, usage_json
from schemas.billing.queries import (
    BillPreview,
    BillRunGet,
    BillRunList,
    ChargeList,
    SubscriptionGet,
    SubscriptionList,
    UsageList,
    credit_note_preview,
    invoice_preview,
    subscription_with_history,
)
from schemas.query import cursor, milliseconds

ORDER = ("date", "_id")
"""The order of an account's charges."""
PREVIEW_PARTS_MAX = 50
"""The most parts of a bill that is previewed: they are worked out beside the work, and answered as one."""


async def charges(query: ChargeList, view: View) -> bytes:
    """`charge.list`, by date, then by id."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    which: Row = {"billingAccount": query.billing_account}
    page = Page(query.limit)
    after = None if query.after is None else (query.after[0].isoformat(), query.after[1])
    if query.billed is False:
        rows = await _unbilled(which, after, query.limit + 1, view)
    else:
        if query.billed:
            which["billed"] = {"$not": {"$type": "null"}}
        rows = await keyset(partial(view.find, "charges", index="listed"), which, ORDER, after, query.limit + 1)
    for row in rows:
        if not page.take(charge_json(decode_charge(row))):
            assert after is not None
            return page.answer(cursor(ChargeList.TYPE, *after))
        after = (row["date"], row["_id"])
    return page.answer(None)


async def _unbilled(which: Row, after: tuple[str, str] | None, limit: int, view: View) -> list[Row]:
    """The charges of an account that are not billed: those left behind, and those since it was billed."""
    account = {"_id": which["billingAccount"]}
    position = await view.one("positions", account, fields={"chargesThrough": 1}, index=BY_ID) or {}
    through = position.get("chargesThrough", "")
    open_ = {**which, **UNBILLED}
    behind = await keyset(partial(view.find, "charges", index="behind"), {**open_, **BEHIND}, ORDER, after, limit)
    if len(behind) >= limit:
        return behind
    if after is None or after[0] <= through:
        open_, after = {**open_, "date": {"$gt": through}}, None
    read = partial(view.find, "charges", index="listed")
    return behind + await keyset(read, open_, ORDER, after, limit - len(behind))


async def subscription(query: SubscriptionGet, view: View) -> Json:
    """`subscription.get`: now, as it was at a time, or as of a revision."""
    row = await view.one("subscriptions", {"_id": query.id}, index=BY_ID)
    shown = row is not None and await view.shows(row["billingAccount"])
    found = decode_subscription(row) if row is not None and shown else None
    at = None if query.at is None else min(query.at, view.now)
    if found is None or (at is not None and at < found.booked_at):
        raise unknown("subscription", query.id)
    if query.revision is not None and query.revision > found.revision:
        raise unknown("subscription", f"{query.id} of revision {query.revision}", "revision")
    now = await _newest_day(view)
    if at is None and query.revision is None and query.on is None:
        return subscription_with_history(found, now)
    known = found
    if at is not None:
        known = _as_it_was(found, sum(patch.booked_at <= at for patch in found.patches))
        now = view.date_of(at)
    elif query.revision is not None:
        known = _as_it_was(found, query.revision - 1)
        now = view.date_of(known.patches[-1].booked_at if known.patches else known.booked_at)
    on = query.on or now
    return subscription_with_history(replace(known, state=state_on(known.segments, known.start_date, on)), on)


def _as_it_was(found: Subscription, patches: int) -> Subscription:
    """A subscription after so many of its changes."""
    return replace(found, patches=found.patches[:patches], revision=patches + 1)


async def _newest_day(view: View) -> date:
    """The newest day begun; before any is, the day it is."""
    row = await view.one("calendar", {"_id": CALENDAR}, index=BY_ID)
    return date.fromisoformat(row["newest"]) if row is not None else view.date_of(view.now)


async def subscriptions(query: SubscriptionList, view: View) -> bytes:
    """`subscription.list`, by id."""
    await view.check_account(query.billing_account, BILLING, "billingAccount")
    on = await _newest_day(view)
    which: Row = {"billingAccount": query.billing_account}
    if query.state is not None:
        which["state"] = query.state
    if query.after is not None:
        which["_id"] = {"$gt": query.after[0]}
    page = Page(query.limit)
    last = ""
    # Those that were changed often are large.
    found = view.cursor(
        "subscriptions", which, sort=[("_id", 1)], limit=query.limit + 1, index="listed", batch=FEW_ROWS
    )
    async with reading(found) as rows:
        async for row in rows:
            if not page.take(subscription_json(decode_subscription(row), on)):
                return page.answer(cursor(SubscriptionList.TYPE, last))
            last = row["_id"]
    return page.answer(None)


async def usage(query: UsageList, view: View) -> bytes:
    """`usage.list`, by time, then by id."""
    first, last = query.since, query.until
    if query.subscription_id is None:
        of_line = await _of_line(query, view)
        if of_line is None:
            return Page(query.limit).answer(None)
        which, days = of_line
        first, last = max(first or days.start, days.start), min(last or days.end, days.end - timedelta(days=1))
    else:
        if not await _shows_subscription(query.subscription_id, view):
            raise unknown("subscription", query.subscription_id, "subscriptionId")
        which = {"subscriptionId": query.subscription_id}
        if query.price_id is not None:
            which["priceId"] = query.price_id
    page = Page(query.limit)
    after = query.after
    for row in await _usage_rows(which, first, last, after, query.limit + 1, view):
        if not page.take(usage_json(decode_usage_record(row))):
            assert after is not None
            return page.answer(cursor(UsageList.TYPE, milliseconds(after[0]), after[1]))
        after = (row["usageDate"], row["_id"])
    return page.answer(None)


async def _shows_subscription(id_: str, view: View) -> bool:
    """Whether there is a subscription, of an account that is in the view."""
    row = await view.one("subscriptions", {"_id": id_}, fields={"billingAccount": 1}, index=BY_ID)
    return row is not None and await view.shows(row["billingAccount"])


async def _of_line(query: UsageList, view: View) -> tuple[Row, DateRange] | None:
    """Which records a line of a bill counts, and the days that they are within; None of one that counts none."""
    bill = await view.one("invoices", {"_id": query.bill_no}, index=BY_ID)
    if bill is None or not await view.shows(*whose_invoice(bill)):
        raise unknown("invoice", str(query.bill_no), "billNo")
    line = next((one for one in decode_invoice(bill).lines if one.id == query.line_id), None)
    if line is None:
        raise Refused("invalid", f"lineId: invoice {query.bill_no} has no line {query.line_id}")
    origin = line.origin
    if origin is None or origin.price_id is None or origin.period is None:
        return None
    # Who pays for another's account, or sells to it, has the bill; when something was used only the user is told.
    if not await view.shows(origin.account):
        return None
    days = DateRange(view.date_of(origin.period.start), view.date_of(origin.period.end))
    of_price: Row = {"subscriptionId": origin.subscription_id, "priceId": origin.price_id}
    at = {"$elemMatch": {"billNo": query.bill_no, "lineId": query.line_id}}
    with_line = {"$elemMatch": {"priceId": origin.price_id, "$or": [{"lines": at}, {"lines.taken": at}]}}
    period = await view.one(
        "billedPeriods",
        {"subscriptionId": origin.subscription_id, "end": {"$gt": days.start.isoformat()}, "prices": with_line},
        index="billed",
    )
    assert period is not None, f"line {query.line_id} of {query.bill_no} is of no period"
    this = (query.bill_no, query.line_id)
    counted: tuple[CountedMonth, ...] = ()
    for billed in (line for one in decode_billed_period(period).prices for line in one.lines):
        if this in {(billed.bill_no, billed.line_id), *((taken.bill_no, taken.line_id) for taken in billed.taken)}:
            anew = (taken.counted for taken in billed.taken if (taken.bill_no, taken.line_id) == this)
            counted = next(anew, ()) or billed.counted
    # One that an earlier version wrote, or whose line says so, has those of the days that the line covers.
    found = [(on, one) for one in counted for on in one.days or (days_of(one.month).overlap(days),) if on is not None]
    if not found:
        return None
    numbers: list[Row] = [
        {
            "day": {"$gte": on.start.isoformat(), "$lt": on.end.isoformat()},
            "number": {"$gt": one.after, "$lte": one.count},
        }
        for on, one in found
    ]
    within = DateRange(min(on.start for on, _ in found), max(on.end for on, _ in found))
    return {**of_price, "$or": numbers}, within


async def _usage_rows(
    which: Row, first: date | None, last: date | None, after: tuple[datetime, str] | None, limit: int, view: View
) -> list[Row]:
    """The records of usage that count on the days from a first to a last, after a place in their order.

    `which` names the subscription, and whatever else is asked of a record.
    """
    counts: dict[str, str] = {}
    used: dict[str, Any] = {}
    # In no zone is a date's time more than a day away from the same date in UTC.
    if first is not None:
        counts["$gte"] = first.isoformat()
        if first > date.min:
            used["$gte"] = _midnight(first - timedelta(days=1))
    if last is not None:
        counts["$lte"] = last.isoformat()
        if last < date.max - timedelta(days=1):
            used["$lt"] = _midnight(last + timedelta(days=2))
    query = {**which, **({"day": counts} if counts else {}), **({"usageDate": used} if used else {})}
    read = partial(view.find, "usageRecords", index="listed")
    return await keyset(read, query, ("usageDate", "_id"), after, limit)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def preview(query: BillPreview, view: View) -> Json:
    """`bill.preview`: what `bill.demand` makes of books that are thrown away, with all its parts.

    A party is told no note of another's invoice, as of one that paid for the account before.

    Raises `Refused` (`invalid`) for a date so far ahead that its demand would wait, or a bill of too many parts.
    """
    asked = BillDemand("preview~", query.billing_account, query.billing_date)
    if not await view.shows(asked.billing_account):
        raise unknown("account", asked.billing_account, "billingAccount.id")
    own = demand_time(asked)
    if own is not None and own[1] - view.now > view.ahead_max:
        days = f"{view.ahead_max.days} days ahead, when its demand would be too-early"
        raise Refused("invalid", f"{own[0]}: {query.billing_date} is more than {days}")
    due = f"billingDate: what is due by {query.billing_date} has more than {PREVIEW_PARTS_MAX} parts"
    happened = await happens(
        asked, view, parts_max=PREVIEW_PARTS_MAX, too_many=f"{due}: say an earlier date, or demand the bill"
    )
    notes = [one.note for one in happened if isinstance(one, CreditNoteIssued)]
    return {
        "invoices": [invoice_preview(one.invoice) for one in happened if isinstance(one, InvoiceIssued)],
        "creditNotes": [credit_note_preview(note) for note in notes if await view.shows(*_whose(note))],
    }


def _whose(note: CreditNote) -> list[str]:
    """The accounts that a note belongs to, as its invoice does."""
    return [note.billing_account, *([] if note.seller is None else [note.seller])]


async def bill_run(query: BillRunGet, view: View) -> Json:
    """`bill-run.get`."""
    row = await view.one("billRuns", {"_id": query.bill_run_id}, index=BY_ID)
    if row is None:
        raise unknown("bill-run", query.bill_run_id, "billRunId")
    return await _counted(decode_bill_run(row), view)


async def _counted(run: BillRun, view: View) -> Json:
    """A run, with how many of its accounts there are, and are parked."""
    counted = await view.aggregate("held", held_by_state(facts_of(run.id)), index=BY_ID)
    held = {row["_id"]: row["count"] for row in counted}
    total = sum(held.values()) + run.billed + run.nothing_due
    if run.state == "running":
        which = {"owner": f"cycleSpecification/{run.cycle_specification}", "open": True}
        links = await view.aggregate("links", [{"$match": which}, {"$count": "count"}], index="open")
        total = max([total, *(row["count"] for row in links)])
    return bill_run_json(run, sum(held[state] for state in held if state not in TO_BE_DONE), total)


async def bill_runs(query: BillRunList, view: View) -> bytes:
    """`bill-run.list`, by billing date, then by id."""
    which: Row = {}
    index = "all"
    if query.cycle_specification is not None:
        which["cycleSpecification"] = query.cycle_specification
        index = "listed"
    if query.state is not None:
        which["state"] = query.state
        index = "running" if query.state == "running" else index
    page = Page(query.limit)
    after = None if query.after is None else (query.after[0].isoformat(), query.after[1])
    read = partial(view.find, "billRuns", index=index)
    for row in await keyset(read, which, ("billingDate", "_id"), after, query.limit + 1):
        if not page.take(await _counted(decode_bill_run(row), view)):
            assert after is not None
            return page.answer(cursor(BillRunList.TYPE, *after))
        after = (row["billingDate"], row["_id"])
    return page.answer(None)


READS: Reads = (
    (ChargeList, charges),
    (SubscriptionGet, subscription),
    (SubscriptionList, subscriptions),
    (UsageList, usage),
    (BillPreview, preview),
    (BillRunGet, bill_run),
    (BillRunList, bill_runs),
)
