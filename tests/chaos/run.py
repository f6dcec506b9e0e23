"""One run: business and faults for a while, then all is healed and drained, proved and compared."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from pymongo import MongoClient

from adapters.settings import Settings
from tests.chaos.breakable import Breakable
from tests.chaos.business import Business
from tests.chaos.crew import Hand, crew
from tests.chaos.dunned import STEPS
from tests.chaos.faults import (
    KILLS,
    OF_ACCESS,
    OF_OWN_SERVICES,
    OF_SHARED_SERVICES,
    OF_WORKERS,
    OF_WORKERS_AND_QUICK,
    Scene,
    trouble,
)
from tests.chaos.outside import Outside
from tests.chaos.reader import Reader
from tests.chaos.verdict import Offences, judge, proof
from tests.support.abandoned import end_abandoned_transactions
from tests.support.access import spoken_for
from tests.support.books import Books, Document, facts
from tests.support.broker import Broker
from tests.support.one_bill import billed
from tests.support.waiting import wait_for

START_SECONDS = 120
DEFECT_SECONDS = 60.0
"""For how long a run with a defect is drained, each time: what it leaves undone may move for ever, and is seen."""
LOOK_SECONDS = 0.2
CLOSED_SECONDS = 10
"""How long there is no business as a day comes: workers take some seconds until they look at who owes."""
QUIET_SECONDS = 5
"""How long they take when nothing is broken."""
TELL_SECONDS = 5
OFFENCES_SHOWN = 10


@dataclass(frozen=True)
class Plan:
    """A run: the seed says which business, which faults in which order and, if it is so, several workers at once."""

    seed: int
    seconds: float
    workers: int = 3
    messages_per_second: int = 60
    lasting: tuple[float, float] = (0.5, 8)
    """How long a fault lasts."""
    apart: tuple[float, float] = (1, 8)
    """How much time there is between two of a kind."""
    days: int = 4
    """So many days come while all is broken."""
    lease_seconds: float | None = None
    """How long a claim lasts, if not as long as it does in a worker."""
    standstill_seconds: float = 100
    """After so long without any progress what is not there in the end is lost."""
    audit_seconds: float = 15
    broken: str | None = None

    @property
    def single_active_consumer(self) -> bool:
        """Whether one worker applies at a time."""
        return random.Random(f"{self.seed} mode").random() < 0.6

    def lots(self, what: str) -> random.Random:
        """The lots for one thing: what is drawn for one does not change what is drawn for another."""
        return random.Random(f"{self.seed} {what}")


@dataclass
class Report:
    """What came of a run."""

    counts: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    checks: list[Document] = field(default_factory=list)
    offences: Offences = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether all held."""
        return not any(self.offences.values())

    def __str__(self) -> str:
        lines = [f"{name:<28}{count:>9,}" for name, count in self.counts.items()]
        lines += [f"{'fault: ' + name:<28}{count:>9}" for name, count in sorted(self.faults.items())]
        sound = sum(check["ok"] for check in self.checks)
        lines.append(f"{'audit checks that hold':<28}{f'{sound}/{len(self.checks)}':>9}")
        for name, found in self.offences.items():
            lines.append(f"{name:<28}{len(found):>9}")
            lines += [f"    {one:.300}" for one in sorted(found)[:OFFENCES_SHOWN]]
        return "\n".join(lines)


async def run(
    plan: Plan,
    settings: Settings,
    broker: Broker,
    mongo: MongoClient[Document],
    directory: Path,
    breakable: Breakable | None,
    tell: Callable[[str], None],
) -> Report:
    """Run it on a virtual host and a database that are new; `settings` name both, `tell` is told of each fault."""
    begun = time.monotonic()
    settings = settings.model_copy(update={"single_active_consumer": plan.single_active_consumer})
    database = mongo[settings.database]
    business = Business(plan.lots("business"), access=settings.access is not None)
    outside = Outside(settings.rabbitmq_url, business.answers(), spoken_for(settings))
    reader = Reader(settings.mongodb_url, settings.database, plan.audit_seconds)
    report = Report()

    def say(what: str) -> None:
        tell(f"{time.monotonic() - begun:7.1f}  {what}")

    await outside.start(single_active_consumer=plan.single_active_consumer)
    outside.send(business.opening())
    options = ["--lease", str(plan.lease_seconds)] if plan.lease_seconds else []
    options += ["--break", plan.broken] if plan.broken else []
    try:
        async with crew(settings, directory, options, plan.workers) as hands:
            await wait_for(lambda: any(hand.ready for hand in hands), START_SECONDS, lambda: _logs(hands))
            reader.start()
            scene = Scene(hands, broker, mongo, say, breakable)
            await _disturb(plan, business, outside, scene, report.faults)
            say("all is healed")
            # A claim or an event of a clock that was ahead is due when that time has come: so it has.
            ahead = max(hand.ahead for hand in hands)
            for hand in hands:
                hand.move_clock(ahead)
                if not hand.running:  # as an orchestrator does with what has ended
                    await hand.start()
            end_abandoned_transactions(mongo, 0.5)
            outside.send(business.rest())
            await _drained(plan, business, outside, database, say, for_credit=False)
            # What there is no room for waits: a second bill has it all to itself.
            for letters in (business.corrections, business.last_bills, business.last_bills):
                outside.send(letters())
                await _drained(plan, business, outside, database, say, for_credit=False)
            # What was reserved for a refund may have been reversed: in the end it is booked all the same.
            ahead += settings.waiting_seconds_max
            for hand in hands:
                hand.move_clock(ahead, days=True)
            # A step a day: so who still owes is as far as may be in the end.
            for days in range(plan.days, plan.days + len(STEPS) + 1):
                await _begin_day(days, plan.lots(f"day {days}"), QUIET_SECONDS, business, outside, hands)
                day = (datetime.now(UTC) + timedelta(seconds=ahead, days=days)).date()
                between = plan.days < days < plan.days + len(STEPS)
                await _drained(plan, business, outside, database, say, day=day, rest=not between)
            outside.send([*business.as_day_comes(), *business.last_closings(day)])
            await _drained(plan, business, outside, database, say)
            odd_ends = [
                f"{hand.name} was told to stop and {code}" for hand in hands if (code := await hand.terminate())
            ]
            odd_ends += [end for hand in hands for end in hand.odd_ends]
    finally:
        if reader.is_alive():
            await asyncio.to_thread(reader.stop)
        await outside.stop()
    report.offences = judge(business, outside, database)
    report.offences["workers that ended oddly"] = odd_ends
    report.offences["seen by the reader"] = reader.wrong
    report.checks = proof(database, timedelta(seconds=ahead))
    report.offences["audit"] = [str(check) for check in report.checks if not check["ok"]]
    states = Counter(row["state"] for row in database["held"].find({}, {"state": 1}))
    report.counts = {
        "messages in": outside.confirmed,
        "sent again, unconfirmed": outside.attempts - outside.confirmed,
        "facts to apply": len(business.facts),
        "applied": facts(database),
        "subscriptions": len(business.agreed),
        "weeks of them billed": len(billed(database)),
        "bills' further parts": further_parts(database),
        "bill runs": database["billRuns"].count_documents({}),
        "agreed terms": sum(len(one.shares) for one in business.bargains),
        "invoices corrected for them": database["shareCorrections"].count_documents({}),
        "statements netted": database["payments"].count_documents({"source": "netting"}),
        "documents of statements": database["settlementDocuments"].count_documents({}),
        "of these disputed": database["settlementDocuments"].count_documents({"said.state": "disputed"}),
        "days begun": database["days"].count_documents({}),
        "of these looked at": database["inbox"].count_documents({"_id": {"$regex": "^dunning[.]complete:"}}),
        "accounts dunned": len(business.debtors),
        "steps taken": database["dunningSteps"].count_documents({}),
        "times they were cleared": outside.types["dunning.cleared"],
        "reserves": database["reserves"].count_documents({}),
        "credit notes by bills": database["creditNotes"].count_documents({"cause": {"$regex": "^bill[.]"}}),
        "parked": states["parked"],
        "waiting or suspect": states["waiting"] + states["suspect"],
        "events": len(outside.events),
        "duplicates on the wire": outside.copies,
        "starts that were given up": sum(hand.starts_given_up for hand in hands),
        "looks of the reader": reader.looks,
        "audits beside the workers": reader.audits,
        "looks it could not take": reader.missed,
    }
    return report


async def _disturb(plan: Plan, business: Business, outside: Outside, scene: Scene, faults: Counter[str]) -> None:
    """Business, and faults of three sorts beside it, until the time is over."""
    until = time.monotonic() + plan.seconds
    open_ = asyncio.Event()
    open_.set()
    kinds = {
        "kills": KILLS,
        "workers": (OF_WORKERS if scene.breakable else OF_WORKERS_AND_QUICK) + (OF_ACCESS if business.access else ()),
        "services": OF_OWN_SERVICES if scene.breakable else OF_SHARED_SERVICES,
    }

    def count(name: str) -> None:
        faults[name] += 1

    async with asyncio.TaskGroup() as tasks:
        for sort, of_it in kinds.items():
            tasks.create_task(trouble(scene, of_it, plan.lots(sort), until, plan.lasting, plan.apart, count))
        tasks.create_task(_trade(plan, business, outside, until, open_))
        tasks.create_task(_pass_days(plan, business, outside, scene, open_))


async def _trade(plan: Plan, business: Business, outside: Outside, until: float, open_: asyncio.Event) -> None:
    pauses = plan.lots("pauses")
    while time.monotonic() < until:
        await open_.wait()
        letters = business.burst()
        outside.send(letters)
        await asyncio.sleep(len(letters) / plan.messages_per_second * pauses.uniform(0.5, 1.5))


async def _pass_days(plan: Plan, business: Business, outside: Outside, scene: Scene, open_: asyncio.Event) -> None:
    """Have days come. As one does there is no business for a while: who owes is looked at once the queue is empty."""
    every = plan.seconds / (plan.days + 1)
    closed = min(CLOSED_SECONDS, every / 2)
    for day in range(1, plan.days + 1):
        await asyncio.sleep(every - closed)
        scene.tell(f"day {day} comes")
        open_.clear()
        await _begin_day(day, plan.lots(f"day {day}"), closed, business, outside, scene.crew)
        open_.set()


async def _begin_day(
    day: int, lots: random.Random, seconds: float, business: Business, outside: Outside, hands: list[Hand]
) -> None:
    """Have a day come, and wait so many seconds: who has waited for it acts once workers may be looking at who owes."""
    for hand in hands:
        hand.move_days(day)
    letters = business.as_day_comes()
    times = sorted(lots.uniform(seconds / 3, seconds) for _ in letters)
    for letter, pause in zip(letters, (after - before for before, after in pairwise((0.0, *times))), strict=True):
        await asyncio.sleep(pause)
        outside.send([letter])
    await asyncio.sleep(seconds - (times[-1] if times else 0))


async def _drained(
    plan: Plan,
    business: Business,
    outside: Outside,
    database: Books,
    say: Callable[[str], None],
    *,
    for_credit: bool = True,
    day: date | None = None,
    rest: bool = True,
) -> None:
    """Wait until everything that was sent has its outcome and every event was heard, or nothing moves any more.

    Not `for_credit`: as far as it does not wait for credit. With a day: until all that owe were looked at on it, and no
    longer without the `rest`.
    """
    held = database["held"]

    def left() -> dict[str, int]:
        days = database["dunnedDays"]
        to_dun = {} if day is None else {"to dun": 1 - days.count_documents({"newest": day.isoformat()})}
        if not rest:
            return to_dun
        wrong = len(business.poison) + len(business.conflicts)
        waiting = held.count_documents({"state": "waiting"})
        applied = facts(database) - further_parts(database)
        if not for_credit:
            short = held.count_documents({"state": "waiting", "reason": "insufficient-credit"})
            waiting, applied = waiting - short, applied + short
        return {
            "to send": outside.asked - outside.confirmed,
            "to apply": len(business.facts) - applied,
            "waiting": waiting,
            "suspect": held.count_documents({"state": "suspect"}),
            "to park": wrong - held.count_documents({"state": "parked"}),
            "to hear": database["outbox"].count_documents({}) - len(outside.events),
            "to mark": database["outbox"].count_documents({"unsent": True}),
            "to run": database["billRuns"].count_documents({"state": "running"}),
            "to correct": database["backdatings"].count_documents({"state": "running"}),
            **to_dun,
        }

    before, since, told, pause = left(), time.monotonic(), 0.0, LOOK_SECONDS
    end = math.inf if plan.broken is None else since + DEFECT_SECONDS
    while any(before.values()) and time.monotonic() < min(since + plan.standstill_seconds, end):
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            say("left: " + ", ".join(f"{count} {what}" for what, count in before.items() if count))
        await asyncio.sleep(pause)
        begun = time.monotonic()
        if (now := left()) != before:
            before, since = now, time.monotonic()
        # To count takes the database's time, and the networks stand still meanwhile, which are in this process.
        pause = LOOK_SECONDS + 3 * (time.monotonic() - begun)
    say("nothing moves any more" if any(before.values()) else "all is drained")


def further_parts(database: Books) -> int:
    """How many bills went on in a further part, which nobody has sent."""
    return database["inbox"].count_documents({"_id": {"$regex": "^bill[.]continue:"}})


def _logs(hands: list[Hand]) -> str:
    return "\n".join(hand.log.read_text(errors="replace")[-2000:] for hand in hands)
