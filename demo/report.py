"""Shows what came of the day, as tables."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from pymongo.database import Database
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.text import Text

from demo.checks import Check, Outcome, Wave
from demo.facts import APPLIED, REPEATED, Tally, tally
from demo.traffic import Events, minor
from demo.wares import DIGITS
from handlers.console.fitting import Kind, fits, fitted

OK, NOT_OK = "[green]✓[/]", "[bold red]✗[/]"
BALANCES_SHOWN = 3


def figure(amount: int, currency: str) -> str:
    """An amount in minor units as people read it: 1,234.50."""
    digits = DIGITS[currency]
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f}"


def show(console: Console, outcome: Outcome, books: Database[dict[str, Any]], results: Sequence[Check]) -> None:
    """Print everything: what was sent, what came of it, how fast, and whether it is right."""
    must, events = tally(outcome.sent), outcome.events
    for table in (
        _sent(outcome),
        _notes(must),
        _accounts(events),
        _invoices(events),
        _balances(events, must, books),
        _statements(events),
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
    for invoice in (*events.invoices.values(), *events.bills.values()):
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


def _statements(events: Events) -> Told:
    rows = []
    for id_, statement in sorted(events.statements.items()):
        accruals, adjusted = (
            [minor(line["amount"]) for line in statement["lines"] if line["kind"] == kind]
            for kind in ("accrual", "adjustment")
        )
        told = (minor(statement[name]) for name in ("broughtForward", "total", "paidAmount"))
        amounts = [sum(accruals), sum(adjusted), *told]
        currency = statement["total"]["unit"]
        terms = events.accounts[statement["settlementAccount"]["id"]]["settlementTerms"]
        share = f"{(Decimal(terms['partnerShare']) * 100).normalize():f} % / {terms['accrueOn']}"
        figures = (figure(amount, currency) for amount in amounts)
        rows.append((id_, share, currency, len(accruals), *figures, statement["state"]))
    columns = (">lines", ">accrued", ">adjusted", ">brought forw.", ">total", ">paid out")
    return _table("The partners' statements", "=statement", "share", "=", *columns, "=state", rows=rows)


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
    rows = [
        (OK if check.ok else NOT_OK, check.name, check.expected, "" if check.ok else f"[red]{check.found}[/]")
        for check in results
    ]
    return _table("Checked against how the day was made", "=", "check", "as it must be", "but it is", rows=rows)


def _speed(day: Wave, events: Events) -> str:
    return (
        f"[bold]{day.messages / day.seconds:,.0f} messages a second[/]: the day's {day.messages:,} messages in "
        f"{day.seconds:.1f} s, from the first publish to the last of their {day.events:,} events. One worker, from its "
        f"first message on, every effect in a majority-committed transaction; RabbitMQ, MongoDB, the worker and this "
        f"demo shared {os.cpu_count()} cores. It is no benchmark: that is `make bench`. "
        f"All in all {events.distinct:,} events came, {events.repeated:,} of them more than once."
    )
