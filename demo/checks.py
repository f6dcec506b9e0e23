"""Compares what came of the month with what must have come of it."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from pymongo.database import Database

from demo.agreements import LUMEN_BUYS, SELF_BILLING, terms_on
from demo.bills import Documents, same
from demo.consumers import Consumers
from demo.cycle import FEE, Bill, Member, bills, cleared, steps
from demo.dates import CYCLE, DUE, END, LAST, TRADE
from demo.evening import closing_id, figures_of
from demo.facts import APPLIED, RECOVERS, Made, Message, Tally, minor, tally
from demo.partners import Document, Partners, earned, of_past_days, sold_so_far
from demo.plans import Subscription
from demo.returns import CHARGEBACKS
from demo.traffic import Events
from demo.wares import DIGITS, HALFMOON, PARTNERS, PROVIDERS, Provider

ADDED = {
    "commission": "our commission",
    "fee": "a fee of ours",
    "guarantee": "guaranteed",
    "recoupment": "recouped of advances",
    "holdback": "held back",
    "release": "released of reserves",
    "broughtForward": "brought forward",
    "selfBilledTax": "tax of documents",
}
"""Kinds of lines that are told of one by one."""
NOTHING: Documents = {"invoices": [], "creditNotes": []}


@dataclass(frozen=True)
class Wave:
    """Messages that were published together, and how long it took from the first of them to the last event."""

    name: str
    messages: int
    events: int
    seconds: float


@dataclass(frozen=True)
class Previewed:
    """What a bill on demand of an account would be on a day, before it was demanded."""

    account: str
    day: date
    told: Documents


@dataclass(frozen=True)
class Outcome:
    """What was sent, and all that can be known of what came of it."""

    sent: list[Message]
    waves: list[Wave]
    events: Events
    subscriptions: list[Subscription]
    previews: list[Previewed]
    cycle: list[Member]
    run: dict[str, Any]
    """What the cycle's run came to, as it says."""
    partners: Partners
    consumers: Consumers
    worker_exit: int
    left_in_queue: int
    audit: dict[str, Any]

    def must(self) -> Tally:
        """What must have come of what was sent, with the bills of the run, and what is netted of statements."""
        result = tally(self.sent)
        for stated in self.partners.statements:
            result.paid_out[stated.id] += stated.netted
            result.paid[LUMEN_BUYS.id] += stated.netted
        for (payer, _), bill in bills(self.cycle).items():
            result.billed[payer] += bill.total
        return result


@dataclass(frozen=True)
class Check:
    """What must be, and what is."""

    name: str
    expected: object
    found: object

    @property
    def ok(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.found


def checks(outcome: Outcome, books: Database[dict[str, Any]]) -> Iterator[Check]:
    """What came of the month, point for point."""
    must, events = outcome.must(), outcome.events
    applied, counts = must.applied, events.counts
    orders = {id_: order for id_, order in must.orders.items() if not order.sellers}
    invoices = list(events.invoices.values())
    as_ordered = [i for i in invoices if minor(i["taxIncludedAmount"]) == orders[i["orderId"]].amount]
    settled = {i["orderId"] for i in invoices if i["state"] == "settled"}
    reasons = Counter(parked["reason"] for parked in events.parked)

    yield Check("accounts opened, once each", applied["account.create"], counts["account.created"])
    yield Check("invoices issued, one for each order", len(orders), len(invoices))
    yield from _billing(outcome, must, books)
    yield from _cycle(outcome)
    yield from _consumers(outcome, must, books)
    yield from _dunning(outcome)
    yield Check("invoices that come to what was ordered", len(orders), len(as_ordered))
    yield Check("invoices that name the seller as it is", len(orders), sum(i["sellerVersion"] == 1 for i in invoices))
    yield Check(
        "payments booked, once each", applied["payment.received"], books["payments"].count_documents({"source": None})
    )
    yield Check("accounts that owe what was billed less paid, all told", *_balances(must, books))
    of_bills = sum(len(made["creditNotes"]) for made in events.made.values())
    yield Check("credit notes issued, of what came back", _notes(must), counts["credit-note.issued"] - of_bills)
    yield Check("refunds booked, with nothing owed for them", applied["refund.completed"], _refunds(books))
    yield Check("payments that bounced, and are reversed", *_bounced(must, books))
    yield Check("chargebacks of what had gone back, owed once", *_charged_back(must, books))
    yield Check("disputes that are over", applied["dispute.open"], _disputes(books))
    yield Check("what is written off, less what was paid of it", *_losses(outcome, books))
    yield Check("payments transferred to the right account", applied["credit.transfer"], _transfers(books))
    yield Check("goodwill granted", applied["credit.grant"], counts["credit.granted"])
    yield Check("invoices settled that a payment named", len(must.paid_in_full), len(must.paid_in_full & settled))
    yield from _partners(outcome, must, books)
    yield from _each("messages parked as", must.parked, reasons)
    yield Check("parked messages kept", must.parked.total(), books["held"].count_documents({"state": "parked"}))
    yield Check("events received, of those written", books["outbox"].count_documents({}), events.distinct)
    yield Check("accounts with a gap in their events", 0, events.gaps())
    yield Check("the worker's exit code after SIGTERM", 0, outcome.worker_exit)
    yield Check("messages it left in its queue", 0, outcome.left_in_queue)
    yield Check("paymaster audit", "ok", "ok" if outcome.audit["ok"] else "not ok")


def _billing(outcome: Outcome, must: Tally, books: Database[dict[str, Any]]) -> Iterator[Check]:
    events = outcome.events
    begun = [(TRADE + timedelta(days=n)).isoformat() for n in range((END - TRADE).days + 1)]
    found = [str(row["_id"]) for row in books["days"].find().sort("bookedAt")]
    yield Check("days begun, once each and in order", len(begun), len(begun) if found == begun else str(found))
    of_cycle = [one.subscription for one in outcome.cycle if one.subscription is not None]
    states = Counter(one.state(END) for one in (*outcome.subscriptions, *of_cycle))
    yield from _each("subscriptions that are", states, Counter(one["state"] for one in events.subscriptions.values()))
    yield Check(
        "records of usage, counted once each", must.applied["usage.record"], books["usageRecords"].count_documents({})
    )
    made = {key: events.made.get(key, NOTHING) for key in must.bills}
    bills = _told(bill.total for bill in must.bills.values() if bill.total is not None)
    yield Check("bills made on demand", bills, _told(_totals(made, "invoices")))
    right = [bill.lines == _lines(made[key]) for key, bill in must.bills.items()]
    yield Check("demands whose lines come to what was worked out by days", len(must.bills), sum(right))
    notes = _told(note for bill in must.bills.values() for note in bill.notes)
    yield Check("credit notes, where a bill would be below zero", notes, _told(_totals(made, "creditNotes")))
    wrong = {key for key, bill in must.bills.items() if bill != _made(bill, made[key])}
    whose = ", ".join(f"{account} on {day}" for account, day in sorted(wrong))
    yield Check("demands that made anything else", "none", whose or "none")
    nothing = sum(bill.total is None and not bill.notes for bill in must.bills.values())
    yield Check("demands with nothing due, and no bill", nothing, events.nothing_due)
    as_seen = sum(same(one.told, events.made.get((one.account, one.day), NOTHING)) for one in outcome.previews)
    yield Check("previews that the bills then were like", len(must.bills), as_seen)


def _cycle(outcome: Outcome) -> Iterator[Check]:
    """What the run says that it came to, and its bills, each with all that its payer pays for."""
    must, run = bills(outcome.cycle), outcome.run
    found = outcome.events.run_bills.values()
    made = {(bill["billingAccount"]["id"], seller_of(bill)): _of_run(bill) for bill in found if _on_its_day(bill)}
    payers = {payer for payer, _ in must}
    accounts = {"billed": len(payers), "nothingDue": len(outcome.cycle) - len(payers), "parked": 0}
    counted = {"total": len(outcome.cycle), **accounts}
    yield from (Check(f"accounts of the run, {of}", n, run["accounts"][of]) for of, n in counted.items())
    for name, of_must in (("taxExcludedAmount", _net), ("taxIncludedAmount", lambda bill: bill.total)):
        totals = ", ".join(_euros(minor(of[name])) for of in run["totals"])
        yield Check(f"the run's totals, {name}", _euros(sum(map(of_must, must.values()))), totals)
    right = sum(made.get(key) == bill for key, bill in must.items())
    yield Check("bills of the run, one of each seller", len(must), len(found))
    yield Check("of these that are what was charged, due on their day", len(must), right)
    consolidated = [key for key, bill in must.items() if len({account for account, _ in bill.lines}) > 1]
    right = sum(made.get(key) == must[key] for key in consolidated)
    yield Check("of these for several accounts, tax worked out over all", len(consolidated), right)


def seller_of(document: dict[str, Any]) -> str:
    """Whose it is: empty where it is ours."""
    return str(document["seller"]["id"]) if "seller" in document else ""


def _consumers(outcome: Outcome, must: Tally, books: Database[dict[str, Any]]) -> Iterator[Check]:
    """What is sold in providers' names: an invoice of each seller, what is paid of it, and what comes of that."""
    events, consumers = outcome.events, outcome.consumers
    found = {(one["billingAccount"]["id"], seller_of(one), one["orderId"]): one for one in events.of_sellers.values()}
    ordered = {one.key: one for one in consumers.owed if one.order}
    yield Check("consumers' orders, by how many sellers they have", *_sellers_of_orders(must, events))
    right = sum(minor(found[key]["taxIncludedAmount"]) == one.total for key, one in ordered.items() if key in found)
    yield Check("invoices of these, in the name of each seller", len(ordered), right)
    documents = [*events.run_bills.values(), *events.of_sellers.values()]
    for provider in PROVIDERS:
        numbers = sorted(one["billNo"] for one in documents if seller_of(one) == provider.id)
        issued = consumers.sums(provider).invoices
        yield Check(f"invoices of {provider.name}", _range(provider.series, issued), _told_range(numbers))
        notes = sorted(no for no, note in events.sellers_notes.items() if seller_of(note) == provider.id)
        noted = sum(one.seller == provider for one, _ in consumers.noted)
        yield Check(f"credit notes of {provider.name}", _range(provider.note_series, noted), _told_range(notes))
    open_now = {(one["billingAccount"]["id"], seller_of(one), one.get("orderId", "")): one for one in documents}
    right = sum(_is_open(open_now.get(one.key), one.billed - one.paid) for one in consumers.owed)
    yield Check("invoices with as much open as payments leave, in order", len(consumers.owed), right)
    across = sum(len({no[:-9] for no in covered}) > 1 for covered in events.covered.values())
    yield Check("payments that cover invoices of several sellers", consumers.across, across)
    for provider in PROVIDERS:
        sums = consumers.sums(provider)
        must_be = (sums.released, sums.withheld, sums.commission)
        name = f"{provider.name}: released, withheld, our commission"
        yield Check(name, *(", ".join(map(_figure, of)) for of in (must_be, of_provider(provider, events, books))))


def _is_open(document: dict[str, Any] | None, amount: int) -> bool:
    return document is not None and minor(document["remainingAmount"]) == amount


def _range(series: str, count: int) -> str:
    """The numbers of a series without a gap."""
    return f"{count}, to {series}{count:09d}" if count else "0"


def _told_range(numbers: list[str]) -> str:
    """The numbers that were given, which have to be those of their series without a gap."""
    if not numbers:
        return "0"
    whole = [f"{numbers[-1][:-9]}{n:09d}" for n in range(1, len(numbers) + 1)]
    return f"{len(numbers)}, to {numbers[-1]}" if numbers == whole else f"not without a gap: {numbers}"


def _by_sellers(orders: Iterable[int]) -> str:
    counted = Counter(orders)
    return ", ".join(f"{counted[n]} of {n}" for n in sorted(counted))


def _sellers_of_orders(must: Tally, events: Events) -> tuple[str, str]:
    """How many orders have so many sellers, of each number that there is."""
    made = Counter(one["orderId"] for one in events.of_sellers.values())
    return _by_sellers(one.sellers for one in must.orders.values() if one.sellers), _by_sellers(made.values())


def of_provider(provider: Provider, events: Events, books: Database[dict[str, Any]]) -> tuple[int, int, int]:
    """What was released to a provider, what is withheld until its consumers pay, and our commission on its lines."""
    position = books["positions"].find_one({"_id": provider.id}) or {"withheld": 0}
    return events.accrued[provider.id], position["withheld"], events.commissions[provider.id]


def _figure(cents: int) -> str:
    return f"{Decimal(cents).scaleb(-2):,}"


def _on_its_day(bill: dict[str, Any]) -> bool:
    return (bill["billDate"][:10], bill["paymentDueDate"]) == (CYCLE.isoformat(), DUE.isoformat())


def _net(bill: Bill) -> int:
    return sum(net for _, _, net, _ in bill.taxes.elements())


def _of_run(bill: dict[str, Any]) -> Bill:
    """A bill as it was told."""
    lines = Counter((line["billingAccount"]["id"], minor(line["taxExcludedAmount"])) for line in bill["lines"])
    taxes = Counter(
        (of["taxCategory"], Decimal(of["taxRate"]), minor(of["taxExcludedAmount"]), minor(of["taxAmount"]))
        for of in bill["taxItem"]
    )
    return Bill(lines, taxes, minor(bill["taxIncludedAmount"]))


def _dunning(outcome: Outcome) -> Iterator[Check]:
    """Steps, fees and suspensions, each on its day."""
    events, dunned = outcome.events, [one for one in outcome.cycle if one.story]
    taken = Counter((one.id, day.isoformat(), action) for one in dunned for day, action in steps(one.story))
    over = Counter((one.id, day.isoformat(), "cleared") for one in dunned if (day := cleared(one.story)))
    what = Counter(action for _, _, action in (taken + over).elements())
    right = Counter(action for _, _, action in ((taken + over) & events.dunned).elements())
    yield from _each("dunning on the very day:", what, right)
    yield Check("steps of dunning in all, and what was cleared", what.total(), events.dunned.total())
    fees = Counter({(id_, day): FEE.net("EUR") for id_, day, action in taken if action == "charge"})
    yield Check("fees that wait for the next bill", _told(fees.values()), _told((fees & events.fees).values()))
    yield Check("fees of anything else", _euros(0), _euros((events.fees - fees).total()))
    said = Counter(
        (one.subscription.id, kind, day.isoformat())
        for one in outcome.cycle
        if one.subscription is not None
        for day, kind, _ in one.subscription.said
    )
    ids = {one.subscription.id for one in outcome.cycle if one.subscription is not None}
    found = Counter({of: n for of, n in events.changed.items() if of[0] in ids})
    whole = Counter(kind for _, kind, _ in said.elements())
    yield from _each("subscriptions by dunning, from its day on:", whole, Counter(kind for _, kind, _ in found & said))
    yield Check("subscriptions changed by dunning in all", said.total(), found.total())


def _made(must: Made, documents: Documents) -> Made:
    """What was made, as far as a message says what it must be."""
    totals = list(_totals({0: documents}, "invoices"))
    notes = tuple(sorted(_totals({0: documents}, "creditNotes")))
    return replace(must, total=sum(totals) if totals else None, notes=notes, lines=_lines(documents))


def _totals(made: Mapping[Any, Documents], kind: str) -> Iterator[int]:
    return (minor(one["taxIncludedAmount"]) for documents in made.values() for one in documents[kind])


def _lines(documents: Documents) -> tuple[tuple[str, str, int], ...]:
    """What the lines of a bill for subscriptions come to."""
    return tuple(
        sorted(
            (line["subscriptionId"], line["priceId"], minor(line["taxExcludedAmount"]))
            for bill in documents["invoices"]
            for line in bill["lines"]
            if "subscriptionId" in line
        )
    )


def _told(amounts: Iterable[int]) -> str:
    """How many, and what they come to."""
    all_of_them = list(amounts)
    return f"{len(all_of_them)}, {_euros(sum(all_of_them))}"


def _refunds(books: Database[dict[str, Any]]) -> int:
    return books["refunds"].count_documents({"recoverable": 0})


def _bounced(must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    return must.applied["payment.reversed"] - must.notes[CHARGEBACKS], books["reversals"].count_documents(
        {"recoverable": 0}
    )


def _charged_back(must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    all_of_it = {"$expr": {"$eq": ["$recoverable", "$amount"]}}
    return must.notes[CHARGEBACKS], books["reversals"].count_documents(all_of_it)


def _notes(must: Tally) -> int:
    return must.applied["credit-note.issue"] + must.applied["dispute.settle"]


def _disputes(books: Database[dict[str, Any]]) -> int:
    return books["disputes"].count_documents({"state": {"$ne": "open"}})


def _losses(outcome: Outcome, books: Database[dict[str, Any]]) -> tuple[str, str]:
    facts = [fact for sent in outcome.sent for fact in sent.facts]
    lost = sum(fact.amount for fact in facts if fact.type == "invoice.write-off")
    lost -= sum(fact.amount for fact in facts if fact.note == RECOVERS)
    found = sum(row["writtenOff"] for row in books["losses"].find({}, {"writtenOff": 1}))
    return _euros(lost), _euros(found)


def _euros(cents: int) -> str:
    return f"EUR {_figure(cents)}"


def _transfers(books: Database[dict[str, Any]]) -> int:
    """How many covered what is open of their account, and left no credit."""
    return books["payments"].count_documents({"source": "transfer", "unapplied": 0})


def _each(what: str, must: Counter[str], found: Counter[str]) -> Iterator[Check]:
    """A check for each thing that is counted, or has to be."""
    return (Check(f"{what} {one}", must[one], found[one]) for one in sorted(must.keys() | found.keys()))


def _balances(must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    """An account's credit pays whatever is open, so it never owes and has credit at once.

    What it owes is open invoices, and money that it got back twice.
    """
    positions = {row["_id"]: row for row in books["positions"].find()}
    accounts = must.billed.keys() | must.paid.keys()
    right = 0
    for account in accounts:
        owed = must.billed[account] - must.paid[account]
        position = positions.get(account)
        right += position is not None and (max(owed, 0), max(-owed, 0), 0) == (
            position["receivable"] + position["recoverable"],
            position["unapplied"],
            position["refundable"],
        )
    return len(accounts), right


def _partners(outcome: Outcome, must: Tally, books: Database[dict[str, Any]]) -> Iterator[Check]:
    """What partners have earned, what agreements add to that, and what of it is paid."""
    events, counts, applied = outcome.events, outcome.events.counts, must.applied
    kept, sold = outcome.partners, sold_so_far(must, events)
    of_providers = Counter({provider.id: outcome.consumers.sums(provider).released for provider in PROVIDERS})
    until_last, in_all = earned(sold, LAST), earned(sold, END)
    until_last.update(of_providers)
    in_all.update(of_providers)
    yield Check("agreements with partners", applied["agreement.create"], counts["agreement.created"])
    yield Check("terms that were agreed later", applied["agreement.change"], counts["agreement.changed"])
    yield Check("partners whose statements hold all they earned", *_statements(until_last, events))
    charged = [one.lines[kind] for one in kept.statements for kind in ("commission", "fee") if kind in one.lines]
    invoiced = [one["document"] for one in events.of_partners["settlement.invoiced"]]
    found_of_them = _told(minor(one["taxIncludedAmount"]) for one in invoiced if one["typeCode"] == "380")
    yield Check("our invoices of commission and fees, with tax", _told(-of for of in charged), found_of_them)
    yield from _self_billed(outcome, must, books)
    yield Check("adjustments stated, of partners", *_adjusted(must, events))
    yield Check("tiers: what closings add to the shares of lines", *_trued_up(until_last, events))
    past = of_past_days(sold)
    corrected = _told(amount for of_terms in past.values() for amount in of_terms)
    yield Check("lines of past days, by other terms", corrected, _told(_corrected(events, past.keys())))
    found = {id_: _lines_of(statement) for id_, statement in events.statements.items()}
    for kind, what in ADDED.items():
        of_kind = {one.id: one.lines[kind] for one in kept.statements if kind in one.lines}
        was = {id_: lines[kind] for id_, lines in found.items() if kind in lines}
        yield Check(f"statements with what is {what}", _amounts(of_kind, events), _amounts(was, events))
    right = sum(found.get(one.id) == one.lines for one in kept.statements)
    yield Check("statements, each kind of line as agreed", len(kept.statements), right)
    released = {(one.statement, one.on.isoformat()): one.amount for of in kept.accounts.values() for one in of.released}
    yield Check("reserves released, each on its day", len(released), _released(events, released))
    yield Check("a partner's own figures: lines alike, and not", *_compared(events))
    requested = {one.payout for one in kept.statements if one.is_open} | _again(outcome)
    yield Check("payouts requested, as statements say", len(requested), len(requested & _requested(events)))
    yield Check("payouts requested in all", len(requested), counts["payout.requested"])
    netted = sum(one.netted for one in kept.statements)
    yield Check("netted with a partner's own invoices", _euros(netted), _euros(_sum(events, "netting.applied")))
    taxes = sum(one.tax for one in kept.statements)
    yield Check("tax withheld of payouts", _euros(taxes), _euros(_sum(events, "withholding.recorded")))
    yield Check("payouts that came back", applied["payout.returned"], counts["payout.return-booked"])
    yield Check("statements paid as the payouts say", *_payouts(outcome, must))
    yield Check("partners owed what is left, all told", *_owed(kept, in_all, must, books))


def _self_billed(outcome: Outcome, must: Tally, books: Database[dict[str, Any]]) -> Iterator[Check]:
    """What is issued in a partner's name, number by number, and what it has said of that."""
    issued = [one["document"] for one in outcome.events.of_partners["self-billing.issued"]]
    due = [one for account in outcome.partners.accounts.values() for one in account.documents]
    was = Counter(
        Document(
            one["settlementId"],
            one["typeCode"],
            minor(one["taxExcludedAmount"]),
            minor(one["taxIncludedAmount"]) - minor(one["taxExcludedAmount"]),
            "correctedBillNo" in one,
        )
        for one in issued
    )
    yield Check("documents in a partner's name, with their tax", len(due), (Counter(due) & was).total())
    series, _, _ = SELF_BILLING
    numbers = sorted(one["billNo"] for one in issued)
    yield Check("their numbers", _range(series, len(due)), _told_range(numbers))
    said = [must.applied[f"self-billing.{what}"] for what in ("dispute", "accept")]
    told = [outcome.events.counts[f"self-billing.{what}"] for what in ("disputed", "accepted")]
    yield Check("said of them: disputed, accepted", ", ".join(map(str, said)), ", ".join(map(str, told)))
    held = books["settlements"].count_documents({"hold": {"$exists": True}})
    yield Check("statements that are held still", 0, held)


def _compared(events: Events) -> tuple[str, str]:
    """Of the first report all lines but one are alike, of the second all."""
    lines = len(figures_of(events.statements[closing_id(HALFMOON, LAST)]))
    reports = sorted((one["report"] for one in events.of_partners["statement.compared"]), key=lambda of: of["reportId"])
    found = "; ".join(f"{one['agreed']}, {one['different'] + one['missing']}" for one in reports)
    return f"{lines - 1}, 1; {lines}, 0", found


def _lines_of(statement: dict[str, Any]) -> Counter[str]:
    """The sum of each kind of line; what closings add where shares go by a month's net is of shares, too."""
    found: Counter[str] = Counter()
    for line in statement["lines"]:
        kind = "accrual" if line["kind"] == "trueUp" else line["kind"]
        found[kind] += minor(line["amount"])
    return Counter({kind: amount for kind, amount in found.items() if amount})


def _amounts(amounts: Mapping[str, int], events: Events) -> str:
    """What statements have of something: how many, and what it comes to in each currency."""
    sums: Counter[str] = Counter()
    for id_, amount in amounts.items():
        unit = events.statements[id_]["total"]["unit"] if id_ in events.statements else "?"
        sums[unit] += amount
    of_each = (f"{unit} {Decimal(amount).scaleb(-DIGITS.get(unit, 0)):,}" for unit, amount in sorted(sums.items()))
    return ", ".join([str(len(amounts)), *of_each])


def _corrected(events: Events, of: Container[tuple[str, int]]) -> Iterator[int]:
    """By how much the shares of lines are others for these agreements, each with its revision."""
    for one in events.of_partners["settlement.corrected"]:
        if (one["agreementId"], one["revision"]) in of:
            yield from (minor(line["share"]) - minor(line["was"]) for line in one["lines"])


def _released(events: Events, must: Mapping[tuple[str, str], int]) -> int:
    """How many were released as they must be; each event tells of its last release."""
    found: Counter[tuple[str, str]] = Counter()
    for one in events.of_partners["reserve.released"]:
        reserve = one["reserve"]
        last = reserve["releases"][-1]
        found[reserve["settlementId"], last["date"]] += minor(last["amount"])
    return sum(found[key] == amount for key, amount in must.items())


def _again(outcome: Outcome) -> set[tuple[str, int, int, int, int]]:
    """What is requested anew, since a payout came back."""
    facts = [fact for sent in outcome.sent for fact in sent.facts]
    back = [fact for fact in facts if fact.type == "payout.returned" and fact.outcome == APPLIED]
    return {(f"{fact.statement}-r2", fact.amount, 0, 0, fact.amount) for fact in back}


def _requested(events: Events) -> set[tuple[str, int, int, int, int]]:
    names = ("amount", "netted", "taxWithheld", "transferred")
    found = set()
    for one in events.of_partners["payout.requested"]:
        amount, netted, tax, transferred = (minor(one[name]) for name in names)
        found.add((one["payoutId"], amount, netted, tax, transferred))
    return found


def _sum(events: Events, type_: str) -> int:
    return sum(minor(one["amount"]) for one in events.of_partners[type_])


def _owed(kept: Partners, so_far: Counter[str], must: Tally, books: Database[dict[str, Any]]) -> tuple[int, int]:
    """What is payable to a partner, held back of it, and to be recouped: all that it earned, less what it was paid."""
    positions = {row["_id"]: row for row in books["positions"].find()}
    paid: Counter[str] = Counter()
    for one in kept.statements:
        paid[one.partner.id] += must.paid_out[one.id]
    right = 0
    for id_, account in kept.accounts.items():
        payable = so_far[id_] + must.adjusted[id_] + account.payable - paid[id_]
        found = positions[id_]
        balances = (found["payable"], found.get("reserve") or 0, found.get("advance") or 0)
        right += balances == (payable, account.reserve, account.advance)
    return len(kept.accounts), right


def _statements(so_far: Counter[str], events: Events) -> tuple[int, int]:
    stated: Counter[str] = Counter()
    for statement in events.statements.values():
        stated[statement["settlementAccount"]["id"]] += _lines_of(statement)["accrual"]
    partners = [one.id for one in (*PARTNERS, *PROVIDERS)]
    return len(partners), sum(so_far[id_] == stated[id_] for id_ in partners)


def _trued_up(so_far: Counter[str], events: Events) -> tuple[str, str]:
    """What partners have earned by a month's net, less what lines have of it: by volume, and as customers pay.

    Of steps at the invoice lines add up to what these come to.
    """
    of_tiers = [closing_id(one, LAST) for one in PARTNERS if terms_on(one.id, LAST).steps]
    of_lines, found = (
        {
            id_: sum(minor(line["amount"]) for line in statement["lines"] if line["kind"] == kind)
            for id_, statement in events.statements.items()
        }
        for kind in ("accrual", "trueUp")
    )
    due = {id_: so_far[f"SA-{id_.partition('-')[0]}"] - of_lines.get(id_, 0) for id_ in of_tiers}
    sums = [{id_: amount for id_, amount in one.items() if amount} for one in (due, found)]
    return _amounts(sums[0], events), _amounts(sums[1], events)


def _adjusted(must: Tally, events: Events) -> tuple[int, int]:
    stated: Counter[str] = Counter()
    for statement in events.statements.values():
        adjustments = [line for line in statement["lines"] if line["kind"] == "adjustment"]
        stated[statement["settlementAccount"]["id"]] += sum(minor(line["amount"]) for line in adjustments)
    return len(must.adjusted), sum(stated[partner] == amount for partner, amount in must.adjusted.items())


def _payouts(outcome: Outcome, must: Tally) -> tuple[int, int]:
    right, statements = 0, outcome.events.statements
    for one in outcome.partners.statements:
        paid = must.paid_out[one.id]
        state = "paid" if paid == one.total else "partiallyPaid" if paid else "open"
        found = statements.get(one.id, {})
        as_it_is = (minor(found["paidAmount"]), found["state"]) if found else None
        right += as_it_is == (paid, state if one.is_open else "carriedForward")
    return must.applied["settlement.close"], right
