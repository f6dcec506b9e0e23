"""The waker: takes up what is held again, at once when what it waits for appears, and when it is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from adapters.access import Access
from adapters.mongodb.connection import DatabaseError
from adapters.records import HeldRow
from adapters.store.store import Store
from domain.errors import Refused
from handlers.engine.work import Outcome, WorkItem, speaker_of
from schemas.incoming import Incoming, read, was_not_read
from schemas.messages import HELD_MESSAGES, MESSAGES

log = structlog.get_logger()

LEASE = timedelta(seconds=60)
"""How long a claim lasts; a worker that dies with it leaves the message to the next sweep after that."""
RENEWALS = 6
"""How often a worker looks, while a claim lasts, which of its claims to renew."""
NAMES_MAX = 10_000
"""How many of the things that are waited for one sweep looks at."""
BY_THE_THOUSAND = ("invoice:", "payment:", "payout:", "credit:")
"""How the names of those things begin of which each fact may make one."""
OF_MORE = "credit:"
"""How the names of those things begin of which there may be some, and not enough: they are there when there is more."""


class Waker:
    """Claims held messages and submits them to the group commit."""

    def __init__(
        self,
        store: Store,
        submit: Callable[[WorkItem], None],
        *,
        interval: timedelta,
        clock: Callable[[], datetime],
        access: Callable[[], Access | None] = lambda: None,
        applying: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self._store = store
        self._submit = submit
        self._interval = interval
        self._clock = clock
        self._access = access
        self._applying = applying
        self._names: set[str] = set()
        self._awaited: set[str] = set()
        self._more: set[str] = set()
        self._arrived = asyncio.Event()
        self._stopping = False

    def look_for(self, names: Iterable[str]) -> None:
        """See soon whether something waits for one of `names` that is there.

        Called with what a batch's messages wait for, once that is committed, as `made` is with what it has made: of two
        workers, one that makes a thing and one that holds a message for it, the later to commit sees both.
        """
        self._names.update(names)
        self._awaited.update(self._names)
        if self._names:
            self._arrived.set()

    def made(self, names: Iterable[str]) -> None:
        """See soon whether something waits for one of `names`, which are there now.

        Of what comes by the thousand, only for what is known here to be waited for: to ask the database for all of it
        would cost each batch a read. What another worker holds for one of these it is told by its next sweep.
        """
        names = [name for name in names if name in self._awaited or not name.startswith(BY_THE_THOUSAND)]
        more = [name for name in names if name.startswith(OF_MORE)]
        self._more.update(more)
        if names:
            self.look_for(set(names).difference(more))
            self._arrived.set()

    def stop(self) -> None:
        """Claim nothing more; `run` ends when what is claimed has its outcome."""
        self._stopping = True
        self._arrived.set()

    async def run(self) -> None:
        """Wake until stopped."""
        next_sweep = 0.0
        while not self._stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_sweep - time.monotonic())):
                    await self._arrived.wait()
            try:
                self._arrived.clear()
                names, self._names = self._names, set()
                await self._wake(names)
                more, self._more = self._more, set()
                if more and (rows := await self._store.claim_waiting(sorted(more), self._clock(), LEASE)):
                    # Once: what is still not enough waits for more.
                    await self._take_up(rows)
                if time.monotonic() >= next_sweep:
                    more_is_due = await self._sweep()
                    next_sweep = time.monotonic() + (0.0 if more_is_due else self._interval.total_seconds())
            except DatabaseError as error:
                log.warning("held messages not read", error=type(error).__name__)
                next_sweep = time.monotonic() + min(1.0, self._interval.total_seconds())

    async def _sweep(self) -> bool:
        """What nobody has told us of: what is due, and what appeared when a worker died or another was looking.

        Of what was scheduled a page; returns whether there may be more. Much may be for one time, and whatever else
        waits has its turn in between.
        """
        while not self._stopping and (rows := await self._store.claim_due(self._clock(), LEASE)):
            await self._take_up(rows)
        scheduled = [] if self._stopping else await self._store.claim_scheduled(self._clock(), LEASE)
        if scheduled:
            await self._take_up(scheduled)
        awaited = await self._store.awaited_names(NAMES_MAX)
        self._awaited = {*awaited, *self._names}  # what came meanwhile is looked for next
        await self._wake(awaited)
        while not self._stopping and (suspect := await self._store.claim_suspect(self._clock(), LEASE)):
            await self._take_up([suspect])
        return bool(scheduled)

    async def _wake(self, names: Collection[str]) -> None:
        there = await self._store.there_now(names) if names else []
        if not there or self._stopping:
            return
        rows = await self._store.claim_waiting(there, self._clock(), LEASE)
        # There may be more, for some names very many: whatever else is due has its turn in between. What waits in vain
        # for what is there is left to the next sweep: at once it would be tried without an end.
        if rows and await self._take_up(rows):
            self.look_for(there)

    async def _take_up(self, rows: Sequence[HeldRow]) -> bool:
        """Submit claimed messages and wait for their outcomes, renewing the claims: a slow worker is not a dead one.

        Returns whether anything came of it: of one at least another outcome than to wait for the same again.
        """
        under_way = {self._resubmit(row): row for row in rows}
        left: set[asyncio.Future[Outcome]] = set(under_way)
        while left:
            _, left = await asyncio.wait(left, timeout=LEASE.total_seconds() / RENEWALS)
            # A row that a transaction is at is written there: renewed meanwhile, it would be in its way, each time anew
            # where it takes longer than it is between two renewals.
            resting = {under_way[one].identity for one in left}.difference(self._applying())
            if resting:
                try:
                    await self._store.renew(sorted(resting), self._clock() + LEASE)
                except DatabaseError as error:  # the next time, or whoever takes them up finds them undecided
                    log.warning("claims not renewed", error=type(error).__name__)
        return not all(one.result().in_vain for one in under_way)

    def _resubmit(self, row: HeldRow) -> asyncio.Future[Outcome]:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def tell(outcome: Outcome) -> None:
            if not done.done():
                done.set_result(outcome)

        properties = row.properties
        unreadable = was_not_read(row.identity)
        failure = give_up = speaker = None
        try:
            speaker = speaker_of(row, self._access())
        except Refused as refusal:
            give_up = refusal
        try:
            [incoming] = read(
                row.routing_key,
                row.body,
                properties.message_id,
                properties.headers,
                properties.content_encoding,
                # What could not be read is read as if it came now.
                MESSAGES if unreadable else HELD_MESSAGES,
                accepted=not unreadable,
            )
        except Exception as error:  # noqa: BLE001  # it could be read when it was held: a defect, and this message's alone
            failure = error
            incoming = Incoming(
                row.identity,
                row.routing_key,
                properties.message_id,
                row.body,
                row.digest,
                None,
                None,
                row.digest_version,
                key=row.business_key,
                account=row.account,
                encoding=properties.content_encoding,
            )
        self._submit(
            WorkItem(
                incoming,
                properties,
                row.correlation_id,
                tell,
                claimed=row,
                give_up=give_up,
                failure=failure,
                speaker=speaker,
            )
        )
        return done
