"""Shows what came of the month, as tables."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from pymongo.database import Database
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.text import Text

from demo.agreements import AGREEMENTS, Terms
from demo.checks import NOTHING, Check, Outcome, Wave, of_provider, seller_of
from demo.consumers import AGREED
from demo.cycle import LADDER, OF_A_STORY, PAYS_ON, RUN
from demo.dates import BANK, DUE, TRADE
from demo.facts import APPLIED, REPEATED, Tally, minor
from demo.subscribers import BACKDATED, EACH, MINIMUM, PAUSE, STORIES, UPGRADE
from demo.traffic import Events
from demo.wares import DIGITS, PARTNERS, PROVIDERS, Provider
from handlers.console.fitting import Kind, fits, fitted

OK, NOT_OK = "[green]✓[/]", "[bold red]✗[/]"
BALANCES_SHOWN = 3
AMOUNTS = ("taxExcludedAmount", "taxIncludedAmount")
STEPS = (*(action for _, action in LADDER), "cleared")
SHOWN = (UPGRADE, PAUSE, BACKDATED, MINIMUM)
"""The ways to subscribe of which one is shown line by line."""


def figure(amount: int, currency: str) -> str:
    """An amount in minor units as people read it: 1,234.50."""
    digits = DIGITS[currency]
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f}"


def show(console: Console, outcome: Outcome, books: Database[dict[str, Any]], results: Sequence[Check]) -> None:
    """Print everything: what was sent, what came of it, how fast, and whether it is right."""
    must, events = outcome.must(), outcome.events
    for table in (
        _sent(outcome),
        _notes(must),
        _accounts(events),
        _subscriptions(outcome),
        *(_lines(outcome, story) for story in SHOWN),
        _run(outcome),
        _consolidated(outcome),
        _of_one(outcome),
        _in_names(outcome, books),
        _dunned(outcome),
        _invoices(events),
        _balances(events, must, books),
        _agreed(),
        _statements(events),
        _beside(events),
        _self_billed(events),
        _requested(events),
        _parked(events),
        _audit(outcome.audit),
        _checks(results),
    ):
        console.print(table)
    console.print(_speed(outcome.waves[0], events), end="\n\n")


def _table(title: str, *columns: str, rows: Iterable[Sequence[object]]) -> Told:
    """A table; the columns whose names begin with `>` are numbers, those with `=` are never broken into lines."""
    kinds: list[tuple[str, Kind]] = []
    for column in columns:
        kind: Kind = "number" if column.startswith(">") else "whole" if column.startswith("=") else "text"
        kinds.append((column.lstrip(">="), kind))
    cells = [[Text.from_markup(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row] for row in rows]
    return Told(title, kinds, cells)


@dataclass
class Told:
    """A table that is yet to be fitted to its terminal, and what is said below it."""

    title: str
    columns: list[tuple[str, Kind]]
    rows: list[list[Text]]
    below: str = ""
    narrower: Told | None = None

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if self.narrower is not None and not fits(self.columns, self.rows, options.max_width):
            yield self.narrower
            return
        yield fitted(self.columns, self.rows, options.max_width, self.title)
        if self.below:
            yield Text(self.below)
        yield Text()


def _sent(outcome: Outcome) -> Told:
    of: dict[str, Counter[str]] = defaultdict(Counter)
    for message in outcome.sent:
        fates = [fact.outcome if fact.outcome in (APPLIED, REPEATED) else "parked" for fact in message.facts]
        for type_ in (message.routing_key, "all"):
            of[type_].update(["messages", *("facts" for _ in fates), *fates])
    order = sorted(of, key=lambda type_: (type_ == "all", -of[type_]["messages"]))
    rows = [
        (type_, *(of[type_][what] for what in ("messages", "facts", APPLIED, REPEATED, "parked"))) for type_ in order
    ]
    columns = (">messages", ">facts in them", ">to be applied", ">sent again", ">to be parked")
    return _table("What was sent", "=type", *columns, rows=rows)


def _notes(must: Tally) -> Told:
    return _table("Among that", ">facts", "", rows=[(n, note) for note, n in sorted(must.notes.items())])


def _accounts(events: Events) -> Told:
    found = Counter((account["@type"], account["currency"]) for account in events.accounts.values())
    return _table("Accounts", "=type", "=currency", ">accounts", rows=[(*key, n) for key, n in sorted(found.items())])


def _invoices(events: Events) -> Told:
    numbers: dict[str, Counter[str]] = defaultdict(Counter)
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for invoice in (*events.invoices.values(), *events.bills.values(), *events.run_bills.values()):
        currency, state = invoice["taxIncludedAmount"]["unit"], invoice["state"]
        total, remaining = minor(invoice["taxIncludedAmount"]), minor(invoice["remainingAmount"])
        numbers[currency][state] += 1
        credited = minor(invoice["corrections"]["credited"]) if "corrections" in invoice else 0
        lost = minor(invoice["corrections"]["writtenOff"]) if "writtenOff" in invoice.get("corrections", {}) else 0
        paid = total - credited - lost - remaining
        sums[currency].update({"issued": total, "credited": credited + lost, "paid": paid, "open": remaining})
    rows = [
        (
            currency,
            of.total(),
            of["settled"],
            of["partiallyPaid"],
            of["new"],
            *(figure(sums[currency][what], currency) for what in ("issued", "paid", "open")),
        )
        for currency, of in sorted(numbers.items())
    ]
    columns = (">issued", ">paid", ">paid in part", ">open", ">amount issued", ">amount paid", ">amount open")
    table = _table("Invoices", "=currency", *columns, rows=rows)
    back = [f"{currency} {figure(of['credited'], currency)}" for currency, of in sorted(sums.items()) if of["credited"]]
    table.below = f"The rest was credited, or written off: {', '.join(back)}."
    return table


def _subscriptions(outcome: Outcome) -> Told:
    """What came of each way to subscribe, with tax: the bills of each day less the credit notes beside them."""
    days = sorted({day for _, day in outcome.events.made})
    rows = []
    for story in STORIES:
        accounts = [one.account for one in outcome.subscriptions if one.story == story]
        sums = [sum(_billed(outcome.events, account, day) for account in accounts) for day in days]
        rows.append((story, *(figure(amount, "EUR") if amount else "" for amount in sums), figure(sum(sums), "EUR")))
    columns = ("=in which way", *(f">{told(day)}" for day in days), ">in all")
    table = _table("What subscriptions were billed, in EUR, with tax", *columns, rows=rows)
    table.below = (
        f"{EACH} customers subscribe in each way. Credit notes are taken off. "
        "Where nothing stands, nothing was due, and no bill was made."
    )
    return table


def _billed(events: Events, account: str, day: date) -> int:
    documents = events.made.get((account, day), NOTHING)
    bills, notes = (sum(minor(one["taxIncludedAmount"]) for one in documents[kind]) for kind in documents)
    return bills - notes


def _lines(outcome: Outcome, story: str) -> Told:
    """All lines of the first who subscribes in a way, as its bills and credit notes have them."""
    first = next(one for one in outcome.subscriptions if one.story == story)
    rows = [
        (
            told(day),
            document["id"],
            line["description"] if kind == "invoices" else f"of {document['correctedBillNo']}",
            _covered(line),
            figure(sign * minor(line["taxExcludedAmount"]), "EUR"),
        )
        for (account, day), documents in sorted(outcome.events.made.items())
        if account == first.account
        for sign, kind in ((1, "invoices"), (-1, "creditNotes"))
        for document in documents[kind]
        for line in document["lines"]
    ]
    title = f"{first.account}, line by line: {story}"
    return _table(title, ">day", "=bill, or credit note", "line", "=days", ">net", rows=rows)


def _run(outcome: Outcome) -> Told:
    """What the run came to, as it says."""
    run = outcome.run
    accounts = [run["accounts"][name] for name in ("total", "billed", "nothingDue", "parked")]
    totals = [figure(minor(of[name]), "EUR") for of in run["totals"] for name in AMOUNTS]
    columns = (">accounts", ">billed", ">nothing due", ">parked", ">net", ">with tax")
    return _table("The cycle's run, which opened by itself, in EUR", "=run", *columns, rows=[(RUN, *accounts, *totals)])


def _consolidated(outcome: Outcome) -> Told:
    """The bills of those who pay for others as well, one of each seller."""
    payers = {one.payer for one in outcome.cycle if one.payer != one.id}
    rows = [
        (
            bill["billingAccount"]["id"],
            bill_no,
            len({line["billingAccount"]["id"] for line in bill["lines"]}),
            len(bill["lines"]),
            *(figure(minor(bill[name]), "EUR") for name in AMOUNTS),
        )
        for bill_no, bill in sorted(
            outcome.events.run_bills.items(), key=lambda one: (one[1]["billingAccount"]["id"], one[0])
        )
        if bill["billingAccount"]["id"] in payers
    ]
    columns = (">accounts", ">lines", ">net", ">with tax")
    return _table("Bills of the run for several accounts, in EUR", "=payer", "=bill", *columns, rows=rows)


def _of_one(outcome: Outcome) -> Told:
    """All invoices of a consumer, of those who paid one who has of many sellers; and the payment that covers them."""
    events, paid = outcome.events, Counter(one.account for one in outcome.consumers.owed if one.paid == one.total)
    account = max(sorted(paid), key=lambda one: paid[one] if one not in outcome.consumers.payers else 0)
    documents = [*events.run_bills.values(), *events.of_sellers.values()]
    rows = [
        (
            told(date.fromisoformat(one["billDate"])),
            one.get("orderId", "the run"),
            seller_of(one) or "we",
            one["billNo"],
            figure(minor(one["taxIncludedAmount"]), "EUR"),
            ", ".join(of["payment"]["id"] for of in one["appliedPayment"]),
        )
        for one in sorted(documents, key=lambda one: (one["billDate"], one["billNo"]))
        if one["billingAccount"]["id"] == account
    ]
    columns = (">day", "=of", "=who sells", "=invoice", ">with tax", "=paid by")
    title = f"{account}: an invoice of each seller, one payment, in EUR"
    return _table(title, *columns, rows=rows)


def _in_names(outcome: Outcome, books: Database[dict[str, Any]]) -> Told:
    """What is billed in each provider's name, and what of it is the provider's by now, withheld, and our commission."""
    events = outcome.events
    documents = [*events.run_bills.values(), *events.of_sellers.values()]
    rows = []
    for provider in PROVIDERS:
        own = [one for one in documents if seller_of(one) == provider.id]
        noted = [one for one in events.sellers_notes.values() if seller_of(one) == provider.id]
        sums = (sum(minor(one["taxIncludedAmount"]) for one in of) for of in (own, noted))
        amounts = (figure(amount, "EUR") for amount in (*sums, *of_provider(provider, events, books)))
        rows.append((provider.id, len(own), len(noted), *amounts))
    columns = (">invoices", ">notes", ">billed", ">taken back", ">released", ">withheld", ">commission")
    return _table("In providers' names, in EUR, with tax; our commission without", "=provider", *columns, rows=rows)


def _dunned(outcome: Outcome) -> Told:
    """What was told of the first account of each way to pay: the day of each step."""
    rows = []
    for story in PAYS_ON:
        first = next(one for one in outcome.cycle if one.story == story)
        days = {what: date.fromisoformat(day) for id_, day, what in outcome.events.dunned if id_ == first.id}
        rows.append((first.id, story, *(told(days[what]) if what in days else "" for what in STEPS)))
    table = _table(
        f"Dunning of what was due on {told(DUE)}", "=account", "", *(f">{what}" for what in STEPS), rows=rows
    )
    table.below = f"{OF_A_STORY} accounts are dunned in each way."
    return table


def _covered(line: dict[str, Any]) -> str:
    if "periodCoverage" not in line:
        return ""
    start, end = (date.fromisoformat(line["periodCoverage"][name][:10]) for name in ("startDateTime", "endDateTime"))
    return f"{told(start)} – {told(end - timedelta(days=1))}"


def told(day: date) -> str:
    """A day of the month as people read it: 1 Nov."""
    return f"{day.day} {day:%b}"


def _balances(events: Events, must: Tally, books: Database[dict[str, Any]]) -> Told:
    rows = []
    for balance in ("receivable", "unapplied"):
        most = books["positions"].find({"currency": "EUR", balance: {"$gt": 0}}).sort(balance, -1)
        for position in most.limit(BALANCES_SHOWN):
            account = position["_id"]
            amounts = (must.billed[account], must.paid[account], position["receivable"], position["unapplied"])
            rows.append((account, events.accounts[account]["name"], *(figure(amount, "EUR") for amount in amounts)))
    title = "The customers in EUR that owe most, and that have most credit"
    return _table(title, "=account", "name", ">billed", ">paid", ">owes", ">has as credit", rows=rows)


def _agreed() -> Told:
    """What is agreed with partners."""
    rows = [
        (partner.id, told(agreed.valid_from), told(agreed.told), _in_words(agreed.terms, partner.currency))
        for partner in PARTNERS
        for agreed in AGREEMENTS[partner.id]
    ]
    rows += [
        (provider.id, told(TRADE) if provider == AGREED else "", told(BANK), _as_agent(provider))
        for provider in PROVIDERS
    ]
    return _table("What is agreed with the partners", "=partner", ">from", ">told on", "terms", rows=rows)


def _in_words(terms: Terms, currency: str) -> str:
    what = f"{_rate(terms.share)} of each line as it is {'billed' if terms.accrue_on == 'invoice' else 'paid'}"
    if terms.steps:
        first, *more = terms.steps
        beyond = (
            f"{_rate(share)} {'of all ' if terms.by_volume else ''}beyond {figure(begin, currency)}"
            for begin, share in more
        )
        month = "of a month" if terms.accrue_on == "invoice" else "of what a month is paid"
        what = ", ".join([f"{month} {_rate(first[1])}", *beyond])
    said = (
        (terms.guarantee, f"at least {figure(terms.guarantee, currency)} a month"),
        (terms.advance, f"{figure(terms.advance, currency)} in advance"),
        (terms.holdback, f"{_rate(terms.holdback)} held back for {terms.held_days} days"),
        (terms.threshold, f"paid out from {figure(terms.threshold, currency)} on"),
        (terms.tax, _tax(terms)),
        (terms.self_billing, f"billed by us as {terms.self_billing[0] if terms.self_billing else ''}000000001 …"),
        (terms.netting, f"netted with {terms.netting.id if terms.netting else ''}"),
        (terms.fee, f"less {figure(terms.fee, currency)} a month, and its tax"),
    )
    return "; ".join([what, *(words for agreed, words in said if agreed)])


def _tax(terms: Terms) -> str:
    by = f" ({_rate(terms.certificate)} by certificate)" if terms.certificate else ""
    return f"{_rate(terms.tax)}{by} withheld as tax, and {_rate(terms.surcharge)} of that"


def _as_agent(provider: Provider) -> str:
    when = "billed" if provider.accrue_on == "invoice" else "paid"
    category, rate = provider.tax
    less = f"{_rate(provider.commission)} of the net, and {category} {_rate(Decimal(rate))} on that"
    return f"sold in its name, {provider.series}000000001 …: all that is {when}, less {less}"


def _rate(rate: Decimal) -> str:
    return f"{(rate * 100).normalize():f} %"


def _statements(events: Events) -> Told:
    """The partners' statements; what they have beside shares is told below."""
    rows = []
    for id_, statement in sorted(events.statements.items()):
        accruals = [minor(line["amount"]) for line in statement["lines"] if line["kind"] == "accrual"]
        currency, state = statement["total"]["unit"], statement["state"]
        total, paid = (figure(minor(statement[name]), currency) for name in ("total", "paidAmount"))
        rows.append((id_, currency, len(accruals), figure(sum(accruals), currency), total, paid, state))
    columns = ("=statement", "=", ">lines", ">accrued", ">total", ">paid", "=state")
    return _table("The partners' statements", *columns, rows=rows)


def _beside(events: Events) -> Told:
    """What statements have beside shares, each line with how it is worked out."""
    rows = [
        (id_, line["kind"], HOW[line["kind"]](line), figure(minor(line["amount"]), line["amount"]["unit"]))
        for id_, statement in sorted(events.statements.items())
        for line in statement["lines"]
        if line["kind"] in HOW
    ]
    return _table("What statements have beside shares", "=statement", "=line", "", ">amount", rows=rows)


def _base(line: dict[str, Any]) -> str:
    return figure(minor(line["base"]), line["base"]["unit"])


HOW: dict[str, Callable[[dict[str, Any]], str]] = {
    "adjustment": lambda line: str(line["adjustmentId"]),
    "trueUp": lambda line: f"{figure(minor(line['share']), line['share']['unit'])} of {_base(line)}",
    "guarantee": lambda line: f"earned {_base(line)} of {figure(minor(line['guaranteed']), line['amount']['unit'])}",
    "recoupment": lambda line: f"an advance, of {_base(line)}",
    "holdback": lambda line: (
        f"{Decimal(line['rate']) * 100:.0f} % of {_base(line)}, until {told(date.fromisoformat(line['releaseOn']))}"
    ),
    "release": lambda line: f"of {line['settlementId']}",
    "broughtForward": lambda line: f"of {line['settlementId']}",
    "commission": lambda line: f"{_base(line)}, and its tax",
    "selfBilledTax": lambda line: f"of {_base(line)}",
    "fee": lambda line: f"{_base(line)}, and its tax",
}
"""How a line of each kind is worked out, but for shares."""


def _self_billed(events: Events) -> Told:
    """What was issued in a partner's name."""
    rows = [
        (
            one["billNo"],
            one["typeCode"],
            one.get("correctedBillNo", ""),
            *(figure(minor(one[name]), one[name]["unit"]) for name in AMOUNTS),
        )
        for one in sorted((of["document"] for of in events.of_partners["self-billing.issued"]), key=_number)
    ]
    columns = ("=document", "=type", "=corrects", ">net", ">with tax")
    return _table("Issued in a partner's name", *columns, rows=rows)


def _number(document: dict[str, Any]) -> str:
    return str(document["billNo"])


def _requested(events: Events) -> Told:
    """What was requested to be paid to partners."""
    names = ("amount", "netted", "taxWithheld", "transferred")
    rows = [
        (one["payoutId"], one["amount"]["unit"], *(figure(minor(one[name]), one[name]["unit"]) for name in names))
        for one in sorted(events.of_partners["payout.requested"], key=lambda one: str(one["payoutId"]))
    ]
    columns = (">amount", ">netted", ">tax withheld", ">to be transferred")
    return _table("Payouts that were requested", "=payout", "=", *columns, rows=rows)


def _parked(events: Events) -> Told:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for parked in events.parked:
        by_reason[parked["reason"]].append(f"{parked['messageType']}: {parked['detail']}")
    rows = [(reason, len(details), escape(min(details, key=len))) for reason, details in sorted(by_reason.items())]
    return _table("What was parked, and why", "=reason", ">messages", "one of them", rows=rows)


def _audit(audit: dict[str, Any]) -> Told:
    """Two checks a row, since there are many; and what is broken, if anything is, below."""
    cells = [(OK if check["ok"] else NOT_OK, check["name"], check["checked"]) for check in audit["checks"]]
    half = (len(cells) + 1) // 2
    pairs = zip_longest(cells[:half], cells[half:], fillvalue=("", "", ""))
    columns = ("=", "=check", ">checked")
    table = _table("paymaster audit", *columns * 2, rows=[(*left, *right) for left, right in pairs])
    table.narrower = _table("paymaster audit", *columns, rows=cells)
    broken = [
        f"{check['name']}: {json.dumps(check['broken'][:1])[:500]}" for check in audit["checks"] if not check["ok"]
    ]
    table.below = table.narrower.below = "\n".join(broken)
    return table


def _checks(results: Sequence[Check]) -> Told:
    title = "Checked against how the month was made"
    rows = [(OK if check.ok else NOT_OK, check.name, check.expected, f"[red]{check.found}[/]") for check in results]
    if all(check.ok for check in results):
        return _table(title, "=", "check", "as it must be", rows=[row[:3] for row in rows])
    rows = [(*row[:3], row[3] if row[0] == NOT_OK else "") for row in rows]
    return _table(title, "=", "check", "as it must be", "but it is", rows=rows)


def _speed(day: Wave, events: Events) -> str:
    return (
        f"[bold]{day.messages / day.seconds:,.0f} messages a second[/]: the {day.messages:,} messages of the day of "
        f"trade in {day.seconds:.1f} s, from the first publish to the last of their {day.events:,} events. One worker, "
        f"from its first message on, every effect in a majority-committed transaction; RabbitMQ, MongoDB, the worker "
        f"and this demo shared {os.cpu_count()} cores. It is no benchmark: that is `make bench`. "
        f"All in all {events.distinct:,} events came, {events.repeated:,} of them more than once."
    )
