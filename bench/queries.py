"""How long queries take on many accounts: a database is filled, a worker started, each query asked one at a time."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import uuid4

import aio_pika
from rich.console import Console
from rich.table import Table

from adapters.documents import COLLECTION, ENCODE
from adapters.rabbitmq.publisher import Publisher
from adapters.rabbitmq.topology import QUERIES
from adapters.records import Properties
from adapters.store.collections import COLLECTIONS
from adapters.store.store import Store
from bench import processes
from bench.broker import BenchError, connected
from bench.paymaster import PROGRAM
from bench.place import Place
from bench.report import RESULTS
from domain.accounts.model import Account, SettlementTerms
from domain.invoicing.model import Invoice, InvoiceLine, TaxItem
from domain.ledger.positions import Position
from handlers.engine.queries import QueryServer
from handlers.worker import GARBAGE_OBJECTS

GOAL_MS = 20.0
"""What 99 of 100 answers are to take at most, on a million accounts."""
ASKED = 400
WARM_UP = 50
BATCH = 10_000
SEED = 20_261_122
STATES = ("active",) * 93 + ("suspended",) * 3 + ("closed",) * 3 + ("pendingClose",)
FIRST = (
    "Ada",
    "Alan",
    "Anna",
    "Ben",
    "Carla",
    "Daniel",
    "Edith",
    "Emil",
    "Fatma",
    "Grace",
    "Hana",
    "Igor",
    "Jan",
    "Karl",
    "Lea",
    "Maria",
    "Nils",
    "Olga",
    "Paul",
    "Rosa",
    "Tom",
)
LAST = (
    "Bauer",
    "Eder",
    "Fuchs",
    "Gruber",
    "Haas",
    "Huber",
    "Koller",
    "Lang",
    "Maier",
    "Moser",
    "Pichler",
    "Reiter",
    "Schmid",
    "Steiner",
    "Wagner",
    "Winkler",
)


@dataclass(frozen=True, slots=True)
class Timed:
    """How long the answers to one kind of query took, in milliseconds, and how many bytes the last one had."""

    query: str
    through: str
    asked: int
    p50: float
    p99: float
    worst: float
    answer_bytes: int


def fill(place: Place, count: int) -> None:
    """Put so many accounts into a database, with their positions, and an invoice for each that owes."""
    draw = random.Random(SEED)
    now = datetime.now(UTC).replace(microsecond=0)
    made: dict[str, list[dict[str, Any]]] = {}
    for n in range(count):
        for document in _documents(n, draw, now):
            made.setdefault(COLLECTION[type(document)], []).append(ENCODE[type(document)](document))
        if n % BATCH == BATCH - 1 or n == count - 1:
            for name, rows in made.items():
                place.database[name].insert_many(rows, ordered=False)
            made = {}
    # Made afterwards, which is faster, and here, where no time limit ends it.
    for declared in COLLECTIONS:
        if declared.indexes:
            place.database[declared.name].create_indexes(list(declared.indexes))


def _documents(n: int, draw: random.Random, now: datetime) -> Iterator[Any]:
    lot = draw.random()
    type_ = (
        "BillingAccount"
        if lot < 0.88
        else "SettlementAccount"
        if lot < 0.94
        else "PartyAccount"
        if lot < 0.99
        else "FinancialAccount"
    )
    id_ = account_id(n)
    opened = now - timedelta(days=draw.randrange(2_000))
    name = f"{draw.choice(LAST)}, {draw.choice(FIRST)} {n % 1000}"
    party = {"@type": "PartyRef", "id": f"P-{n * 4 // 5}", "name": name, "@referredType": "Individual"}
    medium = {"mediumType": "email", "emailAddress": f"customer{n}@example.com", "preferred": True}
    yield Account(
        id=id_,
        type=type_,
        currency="EUR",
        currency_digits=2,
        state=draw.choice(STATES),  # type: ignore[arg-type]
        revision=1,
        payment_term_days=30,
        settlement_terms=SettlementTerms(Decimal("0.8"), "invoice") if type_ == "SettlementAccount" else None,
        opened_at=opened,
        document={
            "@type": type_,
            "name": name,
            "accountType": "residential",
            "relatedParty": [{"role": "customer", "partyOrPartyRole": party}],
            "contact": [{"contactType": "primary", "contactName": name, "contactMedium": [medium]}],
        },
        version=1,
        updated_at=opened,
    )
    owes = type_ == "BillingAccount" and draw.random() < 0.3
    due = now.date() + timedelta(days=draw.randrange(1, 30) if draw.random() < 0.8 else -draw.randrange(1, 60))
    yield Position(
        id_, "EUR", sequence=2, movements=1, receivable=1200 if owes else 0, oldest_due=due if owes else None
    )
    if owes:
        yield _invoice(n, id_, due, now)


def _invoice(n: int, account: str, due: date, now: datetime) -> Invoice:
    tax = Decimal("0.2")
    return Invoice(
        id=f"INV-{n:09d}",
        billing_account=account,
        order_id=f"O-{n}",
        currency="EUR",
        state="new",
        bill_date=due - timedelta(days=30),
        payment_due_date=due,
        tax_point_date=due - timedelta(days=30),
        booked_at=now - timedelta(days=30),
        tax_excluded_amount=1000,
        tax_included_amount=1200,
        remaining_amount=1200,
        tax_item=(TaxItem("S", tax, 1000, 200),),
        lines=(InvoiceLine("1", "Fibre 500", Decimal(1), Decimal(10), "S", tax, 1000, 200, None),),
        ordered_for=account,
    )


def account_id(n: int) -> str:
    """The id of the n-th account."""
    return f"A-{n:07d}"


def questions(count: int) -> dict[str, Callable[[random.Random], tuple[str, dict[str, Any]]]]:
    """What is asked, by a name to read; each draws what it asks with lots."""

    def page(**filters: Callable[[random.Random], Any]) -> Callable[[random.Random], tuple[str, dict[str, Any]]]:
        return lambda draw: ("account.list", {name: value(draw) for name, value in filters.items()})

    return {
        "account.get": lambda draw: ("account.get", {"id": account_id(draw.randrange(count))}),
        "list": page(),
        "list by type": page(**{"@type": lambda draw: draw.choice(("BillingAccount", "SettlementAccount"))}),
        "list by party": page(relatedParty=lambda draw: f"P-{draw.randrange(count) * 4 // 5}"),
        "list by name prefix": page(
            namePrefix=lambda draw: f"{draw.choice(LAST)}, {draw.choice(FIRST)}"[: draw.randrange(1, 9)].lower()
        ),
        "list by state": page(state=lambda draw: draw.choice(("active", "suspended", "closed"))),
        "list by payment status paid": page(paymentStatus=lambda _: "paid"),
        "list by payment status due": page(paymentStatus=lambda _: "due"),
        "list by payment status inArrears": page(paymentStatus=lambda _: "inArrears"),
        "list suspended in arrears": page(paymentStatus=lambda _: "inArrears", state=lambda _: "suspended"),
    }


Ask = Callable[[str, dict[str, Any]], Awaitable[bytes]]


async def run(place: Place, count: int, machine: dict[str, Any]) -> None:
    """Fill a database, measure all queries through RabbitMQ and at the handler, print and keep the figures."""
    console = Console()
    store = Store(place.mongodb_url, place.database_name, "pymongo")
    since = time.monotonic()
    await asyncio.to_thread(fill, place, count)
    await store.prepare()
    console.print(f"{count:,} accounts and all indexes in {time.monotonic() - since:.0f} s")
    timed: list[Timed] = []
    async with connected(place.rabbitmq_url) as broker:
        with processes.running((PROGRAM, "run"), place.environment) as worker:
            await broker.appears(QUERIES, worker.check)
            async with await aio_pika.connect(place.rabbitmq_url) as connection:
                timed.append(await _time("an echo", "RabbitMQ alone", await _echo(connection), lambda _: ("", {})))
                ask = await _asker(connection)
                timed += [await _time(name, "RabbitMQ", ask, draw) for name, draw in questions(count).items()]
            await worker.stop()
    # As the worker has it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS)
    enquiries = QueryServer(store, Publisher(place.rabbitmq_url), UTC, lambda: datetime.now(UTC), timedelta(days=7))

    async def directly(name: str, arguments: dict[str, Any]) -> bytes:
        return await enquiries.answer(Properties(type=name), json.dumps(arguments).encode())

    timed += [await _time(name, "handler", directly, draw) for name, draw in questions(count).items()]
    await store.close()
    _show(console, timed, count)
    console.print(f"written to {_save(timed, count, machine)}", soft_wrap=True)


async def _echo(connection: aio_pika.abc.AbstractConnection) -> Ask:
    """What asks nobody: the broker takes each question back to where it came from. So much of each time is not ours."""
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)

    async def send_back(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.ack()
        answer = aio_pika.Message(b'{"result":{}}', correlation_id=message.correlation_id)
        await channel.default_exchange.publish(answer, message.reply_to or "")

    await queue.consume(send_back)
    return await _asker(connection, queue.name)


async def _asker(connection: aio_pika.abc.AbstractConnection, queue: str = QUERIES) -> Ask:
    channel = await connection.channel(publisher_confirms=False)
    replies = await channel.declare_queue(exclusive=True)
    waiting: dict[str, asyncio.Future[bytes]] = {}

    async def answered(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        waiting.pop(message.correlation_id or "").set_result(message.body)

    await replies.consume(answered, no_ack=True)

    async def ask(name: str, arguments: dict[str, Any]) -> bytes:
        correlation_id = uuid4().hex
        waiting[correlation_id] = asyncio.get_running_loop().create_future()
        message = aio_pika.Message(
            json.dumps(arguments).encode(), type=name, reply_to=replies.name, correlation_id=correlation_id
        )
        await channel.default_exchange.publish(message, queue)
        return await asyncio.wait_for(waiting[correlation_id], 30)

    return ask


async def _time(
    name: str, through: str, ask: Ask, draw: Callable[[random.Random], tuple[str, dict[str, Any]]]
) -> Timed:
    lots = random.Random(f"{SEED} {name}")
    milliseconds = []
    answer = b""
    pages: dict[str, Any] = {}
    for number in range(WARM_UP + ASKED):
        query, arguments = draw(lots)
        # Every other page is not the first one.
        if number % 2 and query == "account.list" and pages.get("after") and arguments == pages["of"]:
            arguments = {**arguments, "after": pages["after"]}
        since = time.perf_counter()
        answer = await ask(query, arguments)
        if number >= WARM_UP:
            milliseconds.append((time.perf_counter() - since) * 1e3)
        content = json.loads(answer)
        if "result" not in content:
            raise BenchError(f"{query} {arguments}: {content}")
        arguments.pop("after", None)
        pages = {"of": arguments, "after": content["result"].get("after")}
    cuts = quantiles(milliseconds, n=100)
    Console(stderr=True).print(f"{name}, {through}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms", highlight=False)
    return Timed(name, through, len(milliseconds), cuts[49], cuts[98], max(milliseconds), len(answer))


def _show(console: Console, timed: list[Timed], count: int) -> None:
    table = Table(title=f"queries on {count:,} accounts, one at a time: milliseconds")
    for heading in ("query", "through"):
        table.add_column(heading)
    for heading in ("p50", "p99", "worst", "bytes of\nan answer"):
        table.add_column(heading, justify="right")
    for one in timed:
        style = "red" if one.p99 > GOAL_MS else ""
        table.add_row(
            one.query,
            one.through,
            f"{one.p50:.1f}",
            f"{one.p99:.1f}",
            f"{one.worst:.1f}",
            f"{one.answer_bytes:,}",
            style=style,
        )
    console.print(table)
    worst = max(one.p99 for one in timed)
    console.print(
        f"the goal of {GOAL_MS:g} ms for p99 is {'reached' if worst <= GOAL_MS else 'missed'} ({worst:.1f} ms)"
    )


def _save(timed: list[Timed], count: int, machine: dict[str, Any]) -> Path:
    now = datetime.now(UTC)
    result = {
        "measuredAt": now.isoformat(timespec="seconds"),
        "workload": "queries",
        "accounts": count,
        "machine": machine,
        "goal": {"p99": GOAL_MS},
        "queries": [asdict(one) for one in timed],
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{now:%Y%m%dT%H%M%SZ}-queries.json"
    file.write_text(json.dumps(result, indent=1) + "\n")
    return file
