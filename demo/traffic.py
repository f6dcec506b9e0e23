"""The demo's side of the broker: it publishes as upstream systems do, and reads every event as downstream ones do."""

import asyncio
import json
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity
from pymongo.database import Database

from demo.evening import OpenInvoice, OpenStatement
from demo.facts import Message, minor
from demo.returns import BilledLine
from demo.stage import DemoError, Worker, morning_of

IN, OUT, WORK, ASK = "paymaster.in", "paymaster.out", "paymaster.work", "paymaster.ask"
CONSUMERS_ORDERS = "OC-"
PIPELINE = 200
"""How many messages are on their way to the broker, not yet confirmed, at once."""
POLL_S = 0.1
START_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 120

OWN = (
    "agreement.complete",
    "bill-run.complete",
    "bill-run.open",
    "bill.account",
    "bill.continue",
    "credit.allocate",
    "credit.deallocate",
    "day.begin",
    "dunning.complete",
    "dunning.look",
    "netting.apply",
    "reserve.continue",
    "reserve.due",
    "settlement.continue",
    "settlement.correct",
    "settlement.due",
    "subscription.turn",
)
"""The types of what the worker says to itself."""
OF_PARTNERS = (
    "netting.applied",
    "payout.requested",
    "reserve.released",
    "self-billing.issued",
    "settlement.corrected",
    "settlement.invoiced",
    "statement.compared",
    "withholding.recorded",
)
"""What is told of partners and kept as it comes."""

Told = Callable[[int], None]


class Events:
    """What the events have told so far, as a system would know it that sees nothing else."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.repeated = 0
        self.last_at = 0.0
        self.sequences: dict[str, set[int]] = defaultdict(set)
        self.accounts: dict[str, dict[str, Any]] = {}
        self.invoices: dict[str, dict[str, Any]] = {}
        """Those of orders, but for consumers' of providers."""
        self.bills: dict[str, dict[str, Any]] = {}
        """The invoices of bills on demand."""
        self.run_bills: dict[str, dict[str, Any]] = {}
        """Those of the run of the cycle."""
        self.of_sellers: dict[str, dict[str, Any]] = {}
        """Those of consumers' orders, of each seller."""
        self.sellers_notes: dict[str, dict[str, Any]] = {}
        """The credit notes of invoices in a provider's name."""
        self.covered: dict[str, set[str]] = defaultdict(set)
        """The invoices that each payment covers."""
        self.made: dict[tuple[str, date], dict[str, list[dict[str, Any]]]] = {}
        """By account and day: the bills on demand and their credit notes, as they were issued."""
        self.nothing_due = 0
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.changed: Counter[tuple[str, str, str]] = Counter()
        """Changes of subscriptions: which, to what, from which day on."""
        self.dunned: Counter[tuple[str, str, str]] = Counter()
        """Steps of dunning that were taken or cleared: of which account, on which day, what."""
        self.fees: Counter[tuple[str, str]] = Counter()
        """What steps charged, in minor units, by account and day."""
        self.statements: dict[str, dict[str, Any]] = {}
        self.of_partners: dict[str, list[dict[str, Any]]] = defaultdict(list)
        """What was told of agreements, of what they add to statements, and of payouts that are requested, by type."""
        self.accrued: Counter[str] = Counter()
        self.commissions: Counter[str] = Counter()
        """What each partner has earned with lines, and what of that is our commission, in minor units."""
        self.parked: list[dict[str, Any]] = []
        self._seen: set[str] = set()
        self._newest: dict[str, int] = {}

    @property
    def distinct(self) -> int:
        """How many events have come, each counted once: they are delivered at least once."""
        return len(self._seen)

    def take(self, message: AbstractIncomingMessage) -> None:
        """Learn from an event."""
        body = json.loads(message.body, parse_float=Decimal)
        self.last_at = time.monotonic()
        if body["eventId"] in self._seen:
            self.repeated += 1
            return
        self._seen.add(body["eventId"])
        type_, event = body["eventType"], body["event"]
        self.counts[type_] += 1
        if type_ == "message.parked":
            self.parked.append(event)
            return
        if "account-id" not in message.headers:  # what is told of the seller
            return
        sequence = message.headers["account-sequence"]
        assert isinstance(sequence, int)
        self.sequences[str(message.headers["account-id"])].add(sequence)
        if type_ == "account.created":
            self.accounts[event["account"]["id"]] = event["account"]
        elif type_.startswith("invoice."):
            self._invoice(type_, event["invoice"], sequence)
        elif type_ == "credit-note.issued":
            self._note(event["creditNote"])
        elif type_ == "payment.allocated":
            self.covered[event["payment"]["paymentId"]].update(of["billNo"] for of in event["allocations"])
        elif type_ == "bill-on-demand.state-changed":
            made = event["customerBillOnDemand"]
            self.nothing_due += "customerBill" not in made and not made["creditNotes"]
        elif type_.startswith("subscription."):
            self._keep(self.subscriptions, event["subscription"], sequence)
        elif type_ in ("settlement.closed", "settlement.paid", "payout.return-booked", "netting.applied"):
            self._keep(self.statements, event["settlement"], sequence)
        self._of_partners(type_, event)
        self._dunning(type_, event)

    def _of_partners(self, type_: str, event: dict[str, Any]) -> None:
        """What partners have earned, and what of that is our commission."""
        if type_ in OF_PARTNERS:
            self.of_partners[type_].append(event)
        elif type_ == "settlement.accrued":
            partner = event["settlementAccount"]["id"]
            self.accrued[partner] += minor(event["amount"])
            self.commissions[partner] += sum(minor(of["commission"]) for of in event["lines"] if "commission" in of)

    def _dunning(self, type_: str, event: dict[str, Any]) -> None:
        """What dunning has done, and what it has changed."""
        if type_.startswith("dunning."):
            self.dunned[event["billingAccount"]["id"], event["date"], event.get("action", "cleared")] += 1
        elif type_ == "subscription.changed":
            self.changed[event["subscription"]["id"], event["kind"], event["effectiveDate"]] += 1
        elif type_ == "charge.added" and event["charge"]["id"].startswith("dunning~"):
            charge = event["charge"]
            self.fees[charge["billingAccount"]["id"], charge["date"]] += minor(charge["taxExcludedAmount"])

    def _keep(self, kept: dict[str, dict[str, Any]], document: dict[str, Any], sequence: int) -> None:
        """Keep the newest state of a document, whatever the order in which its events come."""
        if sequence > self._newest.get(document["id"], 0):
            self._newest[document["id"]] = sequence
            kept[document["id"]] = document

    def _invoice(self, type_: str, invoice: dict[str, Any], sequence: int) -> None:
        by_run = invoice.get("runType") == "onCycle"
        of_order = self.of_sellers if invoice.get("orderId", "").startswith(CONSUMERS_ORDERS) else self.invoices
        kept = of_order if "orderId" in invoice else self.run_bills if by_run else self.bills
        self._keep(kept, invoice, sequence)
        if type_ == "invoice.issued" and kept is self.bills:
            self._made("invoices", invoice, invoice["billDate"])

    def _note(self, note: dict[str, Any]) -> None:
        if note["creditNoteId"].startswith("bill.demand:"):
            self._made("creditNotes", note, note["billDate"])
        if "seller" in note:
            self.sellers_notes[note["billNo"]] = note

    def _made(self, kind: str, document: dict[str, Any], day: str) -> None:
        of = (document["billingAccount"]["id"], date.fromisoformat(day[:10]))
        self.made.setdefault(of, {"invoices": [], "creditNotes": []})[kind].append(document)

    def gaps(self) -> int:
        """How many accounts lack an event: their sequence has to be 1, 2, 3 … without a gap."""
        return sum(max(numbers) != len(numbers) for numbers in self.sequences.values())

    def open_invoices(self) -> list[OpenInvoice]:
        """The invoices that are not paid."""
        return [
            OpenInvoice(
                bill_no,
                invoice["orderId"],
                invoice["billingAccount"]["id"],
                invoice["remainingAmount"]["unit"],
                minor(invoice["remainingAmount"]),
            )
            for bill_no, invoice in self.invoices.items()
            if invoice["state"] != "settled"
        ]

    def first_lines(self, *, paid: bool) -> list[BilledLine]:
        """The first lines of invoices that are ours alone, and of which nothing is taken back: those paid, or open."""
        return [
            BilledLine(
                bill_no,
                invoice["orderId"],
                line["id"],
                invoice["billingAccount"]["id"],
                line["taxExcludedAmount"]["unit"],
                minor(line["taxExcludedAmount"]),
                Decimal(line["appliedTax"][0]["taxRate"]),
                minor(invoice["remainingAmount"]),
            )
            for bill_no, invoice in self.invoices.items()
            if (invoice["state"] == "settled") == paid
            and "corrections" not in invoice
            and all("onBehalfOf" not in line and minor(line["taxExcludedAmount"]) > 0 for line in invoice["lines"])
            for line in invoice["lines"][:1]
        ]

    def open_statements(self) -> list[OpenStatement]:
        """The statements that wait to be paid, and of which nothing is withheld."""
        taxed = {one["settlementId"] for one in self.of_partners["payout.requested"] if minor(one["taxWithheld"])}
        return [
            OpenStatement(id_, s["settlementAccount"]["id"], s["total"]["unit"], minor(s["total"]))
            for id_, s in self.statements.items()
            if s["state"] == "open" and id_ not in taxed
        ]


@dataclass(frozen=True)
class Left:
    """What is still to be done; the effects are the facts that are applied or parked."""

    effects: int
    correcting: int
    """For how many agreements past days are gone through."""
    waiting: int
    unsent: int
    events: int
    """Events that are written and have not come."""

    @property
    def pending(self) -> bool:
        """Whether anything of what is applied goes on."""
        return bool(self.correcting or self.waiting or self.unsent or self.events)


class Traffic:
    """Sends messages to the worker and follows what becomes of them; `open` makes one."""

    def __init__(
        self,
        connection: AbstractConnection,
        channel: AbstractChannel,
        into: AbstractExchange,
        answers: AbstractQueue,
        books: Database[dict[str, Any]],
    ) -> None:
        self.events = Events()
        self._connection = connection
        self._channel = channel
        self._exchange = into
        self._answers = answers
        self._books = books
        self._asked: dict[str, asyncio.Future[Any]] = {}

    @classmethod
    async def open(cls, connection: AbstractConnection, books: Database[dict[str, Any]]) -> "Traffic":
        """Bind a queue to all events, before there can be one; declare what is published to."""
        # A message that no queue takes is an error here: the day may not lose one on the way.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        into = await channel.declare_exchange(IN, aio_pika.ExchangeType.TOPIC, durable=True)
        out = await channel.declare_exchange(OUT, aio_pika.ExchangeType.TOPIC, durable=True)
        answers = await channel.declare_queue(exclusive=True)
        traffic = cls(connection, channel, into, answers, books)
        reader = await connection.channel()
        await reader.set_qos(prefetch_count=1000)
        queue = await reader.declare_queue(exclusive=True)
        await queue.bind(out, "#")

        async def take(message: AbstractIncomingMessage) -> None:
            traffic.events.take(message)

        await queue.consume(take, no_ack=True)
        await answers.consume(traffic._answered, no_ack=True)
        return traffic

    async def worker_ready(self, worker: Worker) -> None:
        """Wait until the worker consumes its queue."""
        async with _limit(START_TIMEOUT_S, lambda: f"the worker does not consume:\n{worker.log_tail()}"):
            while (await self._queue())[1] == 0:
                worker.check_alive()
                await asyncio.sleep(POLL_S)

    async def day_begun(self, worker: Worker) -> None:
        """Wait until the worker has begun its day, and all before it."""
        day = worker.day.isoformat()
        async with _limit(DRAIN_TIMEOUT_S, lambda: f"{day} is not begun; the log:\n{worker.log_tail()}"):
            while await asyncio.to_thread(self._books["days"].find_one, {"_id": day}) is None:
                worker.check_alive()
                await asyncio.sleep(POLL_S)

    async def looked_at(self, worker: Worker) -> None:
        """Wait until the worker has looked at all who owe, on its day."""
        newest = {"newest": worker.day.isoformat()}
        async with _limit(DRAIN_TIMEOUT_S, lambda: f"not looked at who owes; the log:\n{worker.log_tail()}"):
            while await asyncio.to_thread(self._books["dunnedDays"].find_one, newest) is None:
                worker.check_alive()
                await asyncio.sleep(POLL_S)

    async def run_completed(self, worker: Worker, run: str) -> dict[str, Any]:
        """Wait until a bill run is completed; returns what it came to."""
        async with _limit(DRAIN_TIMEOUT_S, lambda: f"{run} is not completed; the log:\n{worker.log_tail()}"):
            while not self.events.counts["bill-run.completed"]:
                worker.check_alive()
                await asyncio.sleep(POLL_S)
        came_to: dict[str, Any] = await self.ask("bill-run.get", billRunId=run)
        return came_to

    async def ask(self, query: str, **arguments: str) -> Any:
        """The answer to a query; raises `DemoError` where it is none."""
        id_ = str(uuid.uuid4())
        self._asked[id_] = asyncio.get_running_loop().create_future()
        asked = aio_pika.Message(json.dumps(arguments).encode(), correlation_id=id_, reply_to=self._answers.name)
        await (await self._channel.get_exchange(ASK, ensure=False)).publish(asked, query)
        async with _limit(DRAIN_TIMEOUT_S, lambda: f"no answer to {query} {arguments}"):
            answer = await self._asked[id_]
        if "error" in answer:
            raise DemoError(f"{query} {arguments}: {answer['error']}")
        return answer["result"]

    async def _answered(self, message: AbstractIncomingMessage) -> None:
        self._asked.pop(str(message.correlation_id)).set_result(json.loads(message.body, parse_float=Decimal))

    async def publish(self, messages: Sequence[Message], told: Told) -> None:
        """Publish in order, confirmed by the broker, many at a time; `told` hears how many more were confirmed."""
        for start in range(0, len(messages), PIPELINE):
            chunk = messages[start : start + PIPELINE]
            await asyncio.gather(*(self._publish(message) for message in chunk))
            told(len(chunk))

    async def _publish(self, message: Message) -> None:
        properties = aio_pika.Message(
            message.body,
            message_id=message.message_id,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            app_id="demo",
            timestamp=datetime.now(UTC),
        )
        await self._exchange.publish(properties, message.routing_key)

    async def drained(self, effects: int, worker: Worker, told: Told) -> None:
        """Wait until there are so many effects, nothing waits, the queue is empty and every event has come.

        `told` hears how many effects there are. Raises `DemoError` when that takes too long or the worker ends.
        """
        left = Left(0, 0, 0, 0, 0)

        def stuck() -> str:
            return f"not done after {DRAIN_TIMEOUT_S} s: {left}, of {effects} effects; the log:\n{worker.log_tail()}"

        async with _limit(DRAIN_TIMEOUT_S, stuck):
            while True:
                worker.check_alive()
                ready, _ = await self._queue()
                left = await asyncio.to_thread(self._left, worker.day)
                told(left.effects)
                if ready == 0 and left.effects >= effects and not left.pending:
                    return
                await asyncio.sleep(POLL_S)

    def _left(self, day: date) -> Left:
        # In this order, and counted exactly: an effect that is counted is committed, and so are its events.
        held, morning = self._books["held"], morning_of(day)
        # What is sent has an effect, and so has what the worker says to itself: that a day begins, or bills an account.
        sent = {"_id": {"$not": {"$regex": f"^({'|'.join(OWN)}):"}}}
        at_work = [{"state": {"$in": ["waiting", "suspect"]}}, {"state": "scheduled", "dueAt": {"$lte": morning}}]
        effects = self._books["inbox"].count_documents(sent) + held.count_documents({"state": "parked", **sent})
        correcting = self._books["backdatings"].count_documents({"state": "running"})
        waiting = held.count_documents({"$or": at_work})
        unsent = self._books["outbox"].count_documents({"unsent": True})
        return Left(
            effects, correcting, waiting, unsent, self._books["outbox"].count_documents({}) - self.events.distinct
        )

    async def left_in_queue(self) -> int:
        """How many messages the worker's queue holds; once the worker is gone, also those it did not acknowledge."""
        return (await self._queue())[0]

    async def _queue(self) -> tuple[int, int]:
        """How many messages are ready in the worker's queue, and how many consumers it has; none if it is not there."""
        channel = await self._connection.channel()
        try:
            queue = await channel.declare_queue(WORK, passive=True)
        except ChannelNotFoundEntity:
            return 0, 0
        await channel.close()
        return queue.declaration_result.message_count or 0, queue.declaration_result.consumer_count or 0


@asynccontextmanager
async def _limit(seconds: float, words: Callable[[], str]) -> AsyncIterator[None]:
    """Raise `DemoError` with `words` when what is inside takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise DemoError(words()) from None
