"""Group commit: what gathers during one transaction goes into the next; no timer, so a lone message never waits."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from itertools import islice, takewhile
from logging import DEBUG, INFO
from operator import attrgetter
from typing import Protocol

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential_jitter

from adapters.access import ACTING_USER, Access
from adapters.mongodb.connection import DatabaseError, is_conflict, is_taken_key
from adapters.operations.parked import OperatorActions
from adapters.operations.replacing import Replacements
from adapters.rabbitmq.relay import Relay
from adapters.records import Properties, ReplyTo
from adapters.store.failures import Kind, kind_of
from adapters.store.store import Store
from adapters.store.transaction import TooMuchToLoad
from domain.facts import working_set
from domain.ledger.books import Need
from handlers.engine.decision import Decisions, decide, first_needs, further_lookups, lookups
from handlers.engine.measures import Measures
from handlers.engine.work import Outcome, WorkItem
from schemas.operations.acts import Act

log = structlog.get_logger()

FACTS_MAX = 500
"""The most facts of one transaction: half of the largest prefetch, so that the next half is read meanwhile."""
LIGHT_MAX = 2 * FACTS_MAX
"""The most if all of them are light: what each batch takes is shared by twice as many, and what they have in common, as
running sums of usage, is read and written once."""
GATHERED_MAX = 2 * FACTS_MAX
"""Once so many facts have gathered, two batches, no more messages are taken."""
BULK_SECONDS = 0.035
"""How long a batch of bulk work is to take beside other work, which waits for it."""
BULK_FIRST = 25
"""How many facts the first such batch has, before it is known how long they take."""
BESIDE_SECONDS = 1.0
"""For how long after some other work has come from outside, or was done, bulk work gives way to it. What begins bulk
work is no other work."""
SUCCESSES = 4
"""After a failure, how many batches have to succeed before their size is doubled again."""
BYTES_MAX = 8 * 1024 * 1024
"""The most bytes of bodies of one transaction, unless one fact alone has more."""
GATHERED_BYTES_MAX = 2 * BYTES_MAX
"""The most bytes of their bodies; likewise."""
NOBODY_KNOWN = "unknown"
"""Who did what a message says that has no user for whom the broker vouches."""
ABANDONED_ATTEMPTS = 4
"""From this attempt on, a conflict may be with a transaction that a dead worker left open."""
TAKEOVER_SECONDS = 5.0
"""How long after it took over a worker ends at once what is in its way: an operation of the dead one's may still have
been under way on the server when it looked first."""
AT_ONCE = timedelta(0)
AWAY_SECONDS = 3.0
"""After so long without the database the worker takes no more messages until it is back."""
CONFLICTS_MAX = 8
"""How often a batch is run again because of a duplicate key. After that one of its facts is taken to be at fault."""
TRANSIENT_MAX = 30
"""The same for any other conflict: one that never goes away may be the server's way to say that it is too much."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """The settings of the group commit.

    `series` and `credit_notes` are what the numbers of invoices and credit notes begin with, `zone` is the time zone of
    dates, `waiting_max` how long a message may wait. A transaction that is in the way and has been silent for
    `abandoned_after` is taken for a dead worker's. `worker` is this worker's name. Between two attempts on a batch
    there are at most `retry_seconds_max`; a message that meets a
    defect of ours is tried `defect_attempts_max` times, first again after `defect_delay_seconds` and then after four
    times as long each time. A fact whose own time is more than `ahead_max` ahead of the clock waits.
    """

    series: str
    credit_notes: str
    zone: tzinfo
    waiting_max: timedelta
    abandoned_after: timedelta
    worker: str
    retry_seconds_max: float
    defect_attempts_max: int
    defect_delay_seconds: float
    ahead_max: timedelta = timedelta(days=7)


class Told(Protocol):
    """Who is told of what was committed."""

    def look_for(self, names: Iterable[str]) -> None:
        """These are waited for, and may be there now."""

    def made(self, names: Iterable[str]) -> None:
        """These are there now, and may be waited for."""

    def reply(self, to: ReplyTo, outcome: Outcome, causation_id: str) -> None:
        """A sender wants to know what came of its message."""


class _Lane:
    """What gathers for batches of its own, and how many facts these have at most."""

    def __init__(self) -> None:
        self.works: deque[WorkItem] = deque()
        self.bytes = 0
        self.facts_max = FACTS_MAX
        self._successes = 0

    def __bool__(self) -> bool:
        return bool(self.works)

    def put(self, work: WorkItem) -> None:
        """Take a piece of work."""
        self.works.append(work)
        self.bytes += len(work.incoming.body)

    def clear(self) -> None:
        """Forget what has gathered."""
        self.works.clear()
        self.bytes = 0

    def next_batch(self, most: int = FACTS_MAX) -> list[WorkItem]:
        """Take out the next batch, of at most so many facts; if that is the most, of more that are light."""
        works: list[WorkItem] = []
        size = 0
        most = min(most, self.facts_max)
        if most == FACTS_MAX:
            light = takewhile(attrgetter("is_light"), islice(self.works, LIGHT_MAX))
            most = max(most, sum(1 for _ in light))
        while self.works and len(works) < most:
            size += len(self.works[0].incoming.body)
            if works and (size > BYTES_MAX or self.works[0].alone):
                break
            works.append(self.works.popleft())
            self.bytes -= len(works[-1].incoming.body)
            if works[0].alone:
                break
        return works

    def go_smaller(self) -> None:
        """After a failure make batches smaller, down to single facts: what is in the way of one spares the rest."""
        self._successes = 0
        if self.facts_max > 1:
            self.facts_max = max(1, self.facts_max // 4)
            log.warning("smaller batches after a failure", facts=self.facts_max)

    def stay_at(self, facts: int) -> None:
        """Make batches no larger than this, until a few have succeeded."""
        log.info("smaller batches: their facts look at much of the books", facts=facts)
        self.facts_max, self._successes = facts, 0

    def go_larger(self) -> None:
        """After a few successes make batches larger again, up to the limit."""
        if self.facts_max == FACTS_MAX:
            return
        self._successes += 1
        if self._successes >= SUCCESSES:
            self._successes = 0
            self.facts_max = min(FACTS_MAX, self.facts_max * 2)
            log.log(INFO if self.facts_max == FACTS_MAX else DEBUG, "larger batches again", facts=self.facts_max)


class GroupCommit:
    """Takes work, commits it in batches, and tells everyone once that is done.

    Bulk work, which a worker says to itself by the thousand, has batches of its own and gives way: while other work
    comes, a batch of each in turn, and those of bulk work are as small as `BULK_SECONDS` asks for. It counts for
    nothing in how much has gathered, and what is not begun is forgotten at the end: who says it says it again.
    """

    def __init__(
        self,
        store: Store,
        relay: Relay,
        told: Told,
        keeping: BatchPolicy,
        clock: Callable[[], datetime],
        measures: Measures | None = None,
        access: Callable[[], Access | None] = lambda: None,
    ) -> None:
        self._measures = measures or Measures()
        self._store = store
        self._relay = relay
        self._told = told
        self._keeping = keeping
        self._clock = clock
        self._access = access
        self._last_booked: datetime | None = None
        self._work = _Lane()
        self._bulk = _Lane()
        self._lane = self._bulk
        self._bulk_facts = BULK_FIRST
        self._other_at = -math.inf
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._away = False
        self._took_over = -math.inf
        self._left_open = False
        self.deciding = False
        self.applying: Collection[str] = frozenset()
        """The identities of what was held that the transaction is at which runs now."""
        self.on_away: Callable[[], None] = lambda: None
        self.on_back: Callable[[], None] = lambda: None
        self.begins_bulk: frozenset[type] = frozenset()
        """The facts with which bulk work begins; `on_begun` is told of those that are committed."""
        self.on_begun: Callable[[Collection[type]], None] = lambda _facts: None

    def submit(self, work: WorkItem) -> None:
        """Take a piece of work; its `done` is called once its outcome is committed."""
        self._work.put(work)
        if self._is_other(work):
            self._other_at = time.monotonic()
        self._idle.clear()
        self._arrived.set()

    def _is_other(self, work: WorkItem) -> bool:
        """Whether bulk work gives way to what is like it. For what a worker says to itself nobody waits."""
        return not work.is_ours and type(work.incoming.fact) not in self.begins_bulk

    def submit_bulk(self, work: WorkItem) -> None:
        """Take a piece of bulk work: nobody waits for it, and there is much of it."""
        self._bulk.put(work)
        self._idle.clear()
        self._arrived.set()

    def take_over(self) -> None:
        """This worker is the one that applies from now on: what others have open by now is in its way.

        It is ended before the next batch. Of one who is dead it is what the server would keep for a minute; one who
        lives after all runs its batch again.
        """
        self._took_over = time.monotonic()
        self._left_open = True
        self._arrived.set()

    @property
    def full(self) -> bool:
        """Whether so much has gathered that no more messages are to be taken."""
        # While one batch is decided, another whole one is enough: to read more would slow the deciding down, and would
        # leave nothing to do while the database writes.
        most = FACTS_MAX if self.deciding else GATHERED_MAX
        return len(self._work.works) >= most or self._work.bytes >= GATHERED_BYTES_MAX

    async def drained(self) -> None:
        """Wait until all that was submitted is committed; of bulk work only what is under way."""
        self._bulk.clear()
        await self._idle.wait()

    async def run(self) -> None:
        """Commit until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._left_open and not self._work and not self._bulk:
                # Not only batches meet it: what is held is claimed without one.
                with suppress(DatabaseError):
                    await self._end_what_is_left_open()
            while self._work or self._bulk:
                await self._relay.room()
                if works := self._next_batch():
                    await self._commit_timed(works)
            self._idle.set()

    def _next_batch(self) -> list[WorkItem]:
        """The next batch, of one lane; when both have something, each has its turn."""
        bulk = bool(self._bulk) and (not self._work or self._lane is self._work)
        self._lane = self._bulk if bulk else self._work
        beside = bulk and time.monotonic() - self._other_at < BESIDE_SECONDS
        return self._lane.next_batch(self._bulk_facts if beside else FACTS_MAX)

    async def _commit_timed(self, works: list[WorkItem]) -> None:
        """Commit a batch; of bulk work, find out how many facts the next one may have beside other work."""
        lane, since = self._lane, time.monotonic()
        await self._commit(works)
        now = time.monotonic()
        if lane is self._work:
            if any(self._is_other(work) for work in works):
                self._other_at = now
        else:
            fit = round(len(works) * BULK_SECONDS / (now - since)) if now > since else FACTS_MAX
            self._bulk_facts = max(1, min(FACTS_MAX, fit))

    async def _commit(self, works: list[WorkItem]) -> None:
        """Commit a batch; one that fails for a reason of its own is split until the bad fact stands alone.

        One that loads too much of the books is done in parts; later batches stay as small until a few have succeeded.
        """
        most = len(works)
        while works:
            try:
                decisions = await self._until_available(works[:most])
            except TooMuchToLoad:
                most = max(1, min(most, len(works)) // 4)
                self._lane.stay_at(most)
                continue
            except Exception as error:  # noqa: BLE001  # whatever it is, the facts beside the bad one are committed
                # Its traceback goes to the held row of the fact that it turns out to be.
                log.error("batch failed", facts=len(works), error=type(error).__name__)  # noqa: TRY400
                self._lane.go_smaller()
                if len(works) > 1:
                    middle = len(works) // 2
                    await self._commit(works[:middle])
                    await self._commit(works[middle:])
                    return
                # A defect of ours, or something about this fact: it is held, tried again later, and parked in the end.
                works = [replace(works[0], failure=error)]
                decisions = await self._until_available(works)
            done = len(decisions.outcomes)
            self._committed(works[:done], decisions)
            self._lane.go_larger()
            works = works[done:]  # what would have made the transaction too large
            await self._relay.room()

    @property
    def gathered(self) -> int:
        """How many facts wait for the next batch."""
        return len(self._work.works)

    def _committed(self, works: list[WorkItem], decisions: Decisions) -> None:
        self._measures.committed(works, decisions.outcomes)
        if begun := self.begins_bulk.intersection([type(work.incoming.fact) for work in works]):
            self.on_begun(begun)
        self._relay.hand_over(decisions.batch.outbox)
        for work, outcome in zip(works, decisions.outcomes, strict=True):
            work.done(outcome)
            if outcome.kind not in ("waiting", "skipped"):
                for to in work.reply_to:
                    self._told.reply(to, outcome, work.incoming.identity)
        for to, outcome, identity in decisions.told:
            self._told.reply(to, outcome, identity)
        self._told.look_for(decisions.look_for)
        self._told.made(decisions.made)

    async def _until_available(self, works: list[WorkItem]) -> Decisions:
        """Run a batch's transaction, again and again while the database is away or another worker is in the way."""
        conflicts = transient = 0
        since = begun = time.monotonic()

        def again(error: BaseException) -> bool:
            nonlocal conflicts, transient
            kind = kind_of(error, time.monotonic() - since)
            self._measures.failed(kind.name.lower())
            if kind is Kind.AWAY and time.monotonic() - begun >= AWAY_SECONDS:
                self._database_is_away(error)
            if kind is Kind.TRANSIENT:
                self._lane.go_smaller()
                # A key that is taken is another worker's doing, or that of one of the facts.
                conflicts += is_taken_key(error)
                transient += 1
            tried = conflicts > CONFLICTS_MAX or transient > TRANSIENT_MAX
            return kind in (Kind.AWAY, Kind.TRANSIENT) and not tried

        try:
            return await self._attempt(works)
        except Exception as error:
            if not again(error):
                raise
            await self._before_another_attempt(1, error)

        async def before_sleep(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            await self._before_another_attempt(1 + state.attempt_number, error)

        # Not made for each batch: it leaves cycles behind, which cost a pause of 20 ms now and then.
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(again),
            wait=wait_exponential_jitter(multiplier=0.01, max=self._keeping.retry_seconds_max, jitter=0.05),
            before_sleep=before_sleep,
            reraise=True,
        ):
            with attempt:
                since = time.monotonic()
                return await self._attempt(works)
        raise AssertionError("unreachable")

    def _database_is_away(self, error: BaseException) -> None:
        if not self._away:
            self._away = True
            log.error("the database is away: no more messages are taken until it is back", error=type(error).__name__)
            self.on_away()

    def _database_is_back(self) -> None:
        if self._away:
            self._away = False
            log.info("the database is back")
            self.on_back()

    async def _end_what_is_left_open(self) -> None:
        self._left_open = False
        try:
            await self._end_abandoned(AT_ONCE)
        except DatabaseError:
            self._left_open = True
            raise

    async def _attempt(self, works: list[WorkItem]) -> Decisions:
        if self._left_open:
            await self._end_what_is_left_open()
        self.applying = {work.incoming.identity for work in works if work.claimed is not None}
        try:
            return await self._in_transaction(works)
        finally:
            self.applying = frozenset()

    async def _in_transaction(self, works: list[WorkItem]) -> Decisions:
        keeping = self._keeping
        books = working_set(
            booked_at=self._now(), zone=keeping.zone, series=keeping.series, credit_notes=keeping.credit_notes
        )
        async with self._store.transaction() as transaction:
            if len(works) > 1:
                transaction.limit_loading()

            async def load(needs: Iterable[Need]) -> None:
                await transaction.load(needs, books)

            async def act(act: Act, sent: Properties) -> Mapping[str, object]:
                # The broker vouches for the user, and a gateway for whom it speaks; what the sender says of itself is
                # only that.
                access = self._access()
                acting = None if access is None else sent.headers.get(ACTING_USER)
                actions = OperatorActions(
                    transaction.database,
                    transaction.session,
                    acting or sent.user_id or NOBODY_KNOWN,
                    books.booked_at,
                    sent.app_id,
                    "message",
                    sent.user_id if acting else None,
                    access,
                )
                return await actions.perform(act)

            # What arrives meanwhile is better read while the database writes.
            self.deciding = True
            try:
                with self._measures.stage("look-up"):
                    known = await transaction.look_up(lookups(works), first_needs(works, books), books)
                    if further := further_lookups(works, known):
                        known |= await transaction.look_up(further, (), books)
                with self._measures.stage("decide"):
                    replacing = (
                        Replacements(transaction.database, transaction.session, books.booked_at)
                        if works[0].replaces is not None  # which is then alone
                        or any(work.speaker is not None for work in works)
                        else None
                    )
                    decisions = await decide(works, known, books, load, act, self._keeping, replacing)
            finally:
                self.deciding = False
            decisions.made = books.announced
            with self._measures.stage("write"):
                await transaction.write(books, decisions.batch)
            with self._measures.stage("commit"):
                # What nobody looks at any more is let go of while the database commits, and not after it.
                await transaction.commit(meanwhile=books.let_go)
        self._database_is_back()
        return decisions

    async def _before_another_attempt(self, attempts: int, error: BaseException | None) -> None:
        # A conflict is everyday business between several workers; one that lasts, or an outage, is told.
        tell = log.warning if attempts >= CONFLICTS_MAX else log.debug
        tell("batch run again", attempt=attempts, error=type(error).__name__, code=getattr(error, "code", None))
        taking_over = time.monotonic() - self._took_over < TAKEOVER_SECONDS
        if error is not None and is_conflict(error) and (taking_over or attempts >= ABANDONED_ATTEMPTS):
            try:
                await self._end_abandoned(AT_ONCE if taking_over else self._keeping.abandoned_after)
            except DatabaseError as trouble:  # then the next attempt does it, or the server's own limit
                log.warning("abandoned transactions not ended", error=type(trouble).__name__)

    async def _end_abandoned(self, inactive: timedelta) -> None:
        ended = await self._store.end_abandoned(inactive)
        if ended:
            log.warning("ended transactions of a worker that died", count=ended)

    def _now(self) -> datetime:
        """The batch's time, to the millisecond that the database keeps; it never goes back, whatever the clock does."""
        now = self._clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last_booked = max(now, self._last_booked or now)
        return self._last_booked
