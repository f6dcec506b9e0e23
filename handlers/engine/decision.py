"""What becomes of each fact of a batch: applied, a duplicate, waiting or parked, decided in memory on loaded books."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Protocol

import structlog

from adapters.access import ACTING_USER
from adapters.mongodb.connection import DatabaseError
from adapters.records import HeldRow, InboxRow, Known, Properties, ReplyTo, parked_id
from adapters.store.failures import Kind, failed_at, kind_of, refused_at
from adapters.store.store import AWAITED
from adapters.store.transaction import Batch, HeldChange, TooMuchToLoad
from domain.accounts.model import Account
from domain.accounts.related import is_related
from domain.errors import MustWait, Refused
from domain.facts import account_of, apply, is_of_an_account, late, named_by, needs_of, own_time_of, owners_of
from domain.ledger.books import Books, DocumentNeed, Need, NotingBooks, NotLoaded, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from handlers.engine.work import DEATHS_MAX, Outcome, WorkItem, read_internal
from schemas.events import message_parked, outgoing
from schemas.incoming import Incoming, forbidden
from schemas.messages import result_json
from schemas.operations.acts import Act
from schemas.values import time_json

log = structlog.get_logger()

REPLIES_MAX = 16
"""How many senders of one waiting message are told its outcome."""
WRITTEN_BYTES_MAX = 8 * 1024 * 1024
"""How many bytes of events and held messages one transaction writes; the fact that exceeds it is its last. What else it
writes is in proportion. A small message may cause a large event: an update of one field tells the whole account."""
SECONDS_MAX = 10.0
"""How long a batch is decided on before the rest is left for another one: the server ends a transaction of a minute."""
LOADS_MAX = 64
"""How often a fact may ask for more of the books before that is a defect."""
YIELD_SECONDS = 0.005
"""How long a batch may keep the event loop to itself."""

TRACEBACK_MAX = 16_000
"""The most characters of a traceback that are kept: its end."""

Load = Callable[[Iterable[Need]], Awaitable[None]]
Perform = Callable[[Act, Properties], Awaitable[Mapping[str, object]]]


class Replacing(Protocol):
    """Finds what waits by its message id, and discards it in its sender's name; lets go of what is forbidden."""

    async def waiting(
        self, message_id: str, incoming: Incoming, sent: Properties, *, vouched: bool
    ) -> dict[str, Any] | None:
        """The message that waits, None without one; raises `Refused`."""

    async def discard(
        self, row: dict[str, Any], incoming: Incoming, sent: Properties, acting: str | None
    ) -> tuple[ReplyTo, ...]:
        """Discard it; returns who wants to be told."""

    async def set_aside(self, identity: str) -> None:
        """Let go of an identity that a forbidden message has."""


class RetryPolicy(Protocol):
    """How long and how often messages are tried, and by whom."""

    @property
    def waiting_max(self) -> timedelta:
        """How long a message may wait."""

    @property
    def ahead_max(self) -> timedelta:
        """How far a fact's own time may be ahead of the clock."""

    @property
    def worker(self) -> str:
        """The worker's name."""

    @property
    def defect_attempts_max(self) -> int:
        """How often a message that meets a defect of ours is tried before it is parked."""

    @property
    def defect_delay_seconds(self) -> float:
        """The wait after the first such attempt; four times as long after each further one."""


TRIED_AGAIN = timedelta(seconds=60)
"""After so long a fact is tried again for which there was too little of what it waits for."""


@dataclass(slots=True)
class Decisions:
    """The outcomes of a batch, in the order of its work, and what the waker has to look for after the commit.

    `look_for` is what messages wait for, `made` what others may wait for and is there now. `told` are others who are to
    be told something: what outcome, of which identity. `quiet`: nothing is logged of it, since it is only tried out.
    `related` are accounts that were found to be a party's, as they stood then, by the party's id and their own.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    batch: Batch = field(default_factory=Batch)
    told: list[tuple[ReplyTo, Outcome, str]] = field(default_factory=list)
    look_for: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    quiet: bool = False
    related: dict[str, dict[str, Account]] = field(default_factory=dict)


def conflict_identity(work: WorkItem, version: int) -> str:
    """The identity under which other content for a used identity is parked. The same content again gives the same one.

    `version` is the digest version recorded with what came first, so that this holds across an upgrade too.
    """
    return f"{work.incoming.identity}#{work.incoming.digest_in(version)[:16]}"


def lookups(works: Iterable[WorkItem]) -> list[str]:
    """The identities that a batch has to know about."""
    return [
        identity
        for work in works
        for identity in (
            work.incoming.identity,
            conflict_identity(work, work.incoming.digest_version),
            *([] if work.incoming.if_new is None else [work.incoming.refused_as_new().identity]),
            *([_forbidden(work, _NOT_YET).identity] if _may_be_forbidden(work) else []),
        )
    ]


_NOT_YET = Refused("forbidden", "")


def _may_be_forbidden(work: WorkItem) -> bool:
    """Whether it may turn out that its sender may not send a message of the queue, which was let in."""
    return work.speaker is not None and work.claimed is None and (_is_limited(work) or work.replaces is not None)


def _is_limited(work: WorkItem) -> bool:
    """Whether its sender may only send what is about the accounts of a party."""
    return work.speaker is not None and work.speaker.party is not None


def _forbidden(work: WorkItem, refusal: Refused) -> Incoming:
    """What a fact is that its sender may not send: it takes no identity of a fact."""
    incoming, properties = work.incoming, work.properties
    sender = properties.user_id, str(properties.headers.get(ACTING_USER, ""))
    return forbidden(incoming.routing_key, incoming.body, incoming.message_id, incoming.encoding, sender, refusal)


def further_lookups(works: Iterable[WorkItem], known: Mapping[str, Known]) -> list[str]:
    """More identities to look up, where digests were recorded in an earlier version: as a rule none."""
    return [
        conflict_identity(work, seen.digest_version)
        for work in works
        if work.claimed is None
        and (seen := known.get(work.incoming.identity)) is not None
        and seen.digest_version != work.incoming.digest_version
    ]


def first_needs(works: Iterable[WorkItem], books: WorkingSet) -> set[Need]:
    """What the facts of a batch need of the books, as far as is known before anything is loaded."""
    needs, _ = _wanted((work.incoming.fact for work in works if work.to_apply), books)
    return set(needs)


def _wanted(facts: Iterable[object], books: WorkingSet) -> tuple[list[Need], list[object]]:
    """What these facts need that is not loaded yet, and those that may need more once it is.

    Of each queue as much as all of them together are likely to use.
    """
    needs: list[list[Need]] = []
    guessing: list[tuple[object, list[Need]]] = []
    for fact in facts:
        unseen = books.unseen
        needs.append(list(needs_of(fact, books)))
        if books.unseen > unseen:
            guessing.append((fact, needs[-1]))
    counts = Counter(chain.from_iterable(needs))
    wanted = {need: count for need, count in counts.items() if not books.has(need)}
    lacking = [fact for fact, its in guessing if not wanted.keys().isdisjoint(its)]
    return [_for_many(need, count) for need, count in wanted.items()], lacking


def _for_many(need: Need, facts: int) -> Need:
    # A payment mostly pays one invoice, so a queue that n facts use is read n long, and not n times. The limit is a
    # power of two: queues of many accounts are one read where their limits are the same.
    if isinstance(need, QueueNeed) and need.limit is not None:
        limit = 1 << (facts + 1).bit_length()
        return need._replace(limit=limit) if limit > need.limit else need
    return need


async def decide(
    works: list[WorkItem],
    known: Mapping[str, Known],
    books: WorkingSet,
    load: Load,
    act: Perform,
    keeping: RetryPolicy,
    replacing: Replacing | None = None,
    *,
    quiet: bool = False,
) -> Decisions:
    """Decide on each piece of work in turn; what one changes, the next ones see.

    There may be fewer outcomes than works: when what they write has become much, or has taken long, the rest is left
    for another batch.
    `known` is what is recorded of their identities, `load` brings more of the books, `act` does what an operator says,
    `replacing` what a sender says of its own messages.
    A fact that fails leaves no trace in the books.
    """
    decisions = Decisions(quiet=quiet)
    recorded = dict(known)
    await _load_all(works, recorded, books, load)
    begun = since = time.monotonic()
    written = 0
    for work in works:
        decider = _Decider(work, recorded, books, decisions, act, keeping, replacing)
        batch = decisions.batch
        told, held = len(batch.outbox), len(batch.held)
        decisions.outcomes.append(await decider.outcome(load))
        written += sum(len(event.body) for event in batch.outbox[told:])
        written += sum(len(row.body) for row in batch.held[held:])
        if written > WRITTEN_BYTES_MAX or time.monotonic() - begun > SECONDS_MAX:
            break
        if time.monotonic() - since > YIELD_SECONDS:
            await asyncio.sleep(0)
            since = time.monotonic()
    return decisions


async def _load_all(works: list[WorkItem], known: Mapping[str, Known], books: WorkingSet, load: Load) -> None:
    """Load what the facts need, until what is loaded asks for nothing more."""
    lacking = [
        work.incoming.fact
        for work in works
        if work.to_apply and (work.claimed is not None or work.incoming.identity not in known)
    ]
    for _ in range(LOADS_MAX):
        # What a fact needs follows from what it peeks at: one that has all of that needs nothing more.
        wanted, lacking = _wanted(lacking, books)
        if not wanted:
            return
        await load(wanted)


def _standing(seen: Known, work: WorkItem) -> str:
    """What became of what came first, and what can be done by whoever sends other content."""
    id_ = parked_id(work.incoming.identity)
    match seen.state:
        case "waiting" | "suspect":
            sender = f"its sender can replace it by the header replaces: {seen.message_id}; " if seen.message_id else ""
            return f"{seen.state}: {sender}an operator can edit or discard it as {id_}"
        case "parked":
            return f"parked: an operator can edit or discard it as {id_}"
        case "discarded":
            return f"{seen.done}; an operator can undo that, and edit {id_}"
        case "mended":
            return seen.done
        case _:
            return seen.state


@dataclass(slots=True)
class _Decider:
    work: WorkItem
    known: dict[str, Known]
    books: WorkingSet
    decisions: Decisions
    act: Perform
    keeping: RetryPolicy
    replacing: Replacing | None
    noted: Mapping[type, set[str]] = field(default_factory=dict)

    async def outcome(self, load: Load) -> Outcome:
        if self.work.speaker is not None:
            try:
                await self._check_speaker(load)
            except Refused as refusal:
                return self._forbid(refusal)
        if self.replacing is not None and self.work.replaces is not None:
            decided = await self._replaced(self.replacing, self.work.replaces, load)
            if decided is not None:
                return decided
        decided = self._without_the_books()
        if decided is not None:
            return decided
        try:
            return self._applied(await self._apply(load))
        except (DatabaseError, TooMuchToLoad):
            raise  # the transaction is over, and with it the batch
        except MustWait as refusal:
            if refusal.again and self._waits_until() <= self.books.booked_at:
                fact = late(self.work.incoming.fact)
                if fact is not None and fact != self.work.incoming.fact:
                    self.work = replace(self.work, incoming=replace(self.work.incoming, fact=fact))
                    return await self.outcome(load)
            return self._failed(refusal)
        except Exception as error:  # whatever it is, one bad fact may not undo the others
            if isinstance(self.work.incoming.fact, Act) and not isinstance(error, Refused):
                raise  # what an act has written so far is undone with the transaction
            return self._failed(error)

    async def _check_speaker(self, load: Load) -> None:
        """Raise `Refused` (`forbidden`) for what is about another party's account than the sender's.

        Before anything of it is told, and also of what was applied before; where it is to be applied next, that looks
        after it. What is not there yet is looked at when it is. An identity that a forbidden message holds is let go
        of, for who may say it.
        """
        work = self.work
        seen = self.known.get(work.incoming.identity)
        if _is_limited(work) and work.to_apply and not self._is_applied_next(seen):
            applied = work.claimed is None and seen is not None and seen.state == "applied"
            await self._check_party(None, load, there=applied)
        if (
            self.replacing is not None
            and work.claimed is None
            and work.replaces is None
            and seen is not None
            and seen.reason == "forbidden"
            and seen.state in ("parked", "discarded")
            and not any(
                change.claimed.identity == work.incoming.identity for change in self.decisions.batch.held_changes
            )
        ):
            await self.replacing.set_aside(work.incoming.identity)
            del self.known[work.incoming.identity]

    def _is_applied_next(self, seen: Known | None) -> bool:
        """Whether nothing stands between a fact and its being applied."""
        work = self.work
        return (
            seen is None
            and work.claimed is None
            and work.replaces is None
            and work.incoming.if_new is None
            and not isinstance(work.incoming.fact, Act)
            and self._ahead() is None
        )

    async def _check_party(self, books: Books | None, load: Load, *, there: bool) -> None:
        """Raise `Refused` (`forbidden`) if a thing that the fact names is of no account that is the party's.

        Also if it names nothing that an account can have; with `there`, if it names none of the party's. It is not told
        which, nor whether it is there.
        """
        assert self.work.speaker is not None
        speaker, fact, looked_at = self.work.speaker, self.work.incoming.fact, books or Books(self.books, "")
        user = speaker.acting or speaker.user
        refusal = Refused(
            "forbidden", f"party: {user} may send only what is about accounts that are related to {speaker.party}"
        )
        assert speaker.party is not None
        # Of an account that the fact has changed it is another question.
        if not (books is not None and books.changed[Account]) and self._looks_only_at(speaker.party):
            return
        own = False
        for _ in range(LOADS_MAX):
            try:
                named = named_by(fact, self.books, self.noted)
                if not any(is_of_an_account(need.type) for need in named):
                    raise refusal
                for owners in owners_of(named, looked_at):
                    if not any(is_related(account, speaker.party) for account in owners):
                        raise refusal
                    own = True
                break
            except NotLoaded as missing:
                await load(missing.needs)
        if there and not own:
            raise refusal

    def _looks_only_at(self, party: str) -> bool:
        """Whether whose account a fact is about, and all that it looks at of any account's, is a party's.

        As it is for most: each account is looked at once in a batch, and not what the fact names.
        """
        ids: set[str] = set()
        for kind, noted in self.noted.items():
            if kind is Account or kind is Position:
                ids |= noted
            elif is_of_an_account(kind):
                return False
        for need in needs_of(self.work.incoming.fact, self.books):
            if isinstance(need, DocumentNeed):
                if need.type is Account or need.type is Position:
                    ids.add(need.id)
                elif is_of_an_account(need.type):
                    return False
        related = self.decisions.related.setdefault(party, {})
        for id_ in ids:
            account = self.books.peek(Account, id_)
            if account is None:
                return False
            if related.get(id_) is not account:
                if not is_related(account, party):
                    return False
                related[id_] = account
        return account_of(self.work.incoming.fact) in ids

    def _forbid(self, refusal: Refused) -> Outcome:
        """Park what its sender may not send: under an identity of its own, if it was not held before."""
        if self.work.claimed is not None:
            return self._lost() or self._park(self.work.incoming.identity, refusal)
        self.work = replace(self.work, incoming=_forbidden(self.work, refusal))
        seen = self.known.get(self.work.incoming.identity)
        if seen is not None:
            return self._again(self.work.incoming.identity, seen)
        return self._park(self.work.incoming.identity, refusal)

    async def _replaced(self, replacing: Replacing, message_id: str, load: Load) -> Outcome | None:
        """The outcome of a sender's correction of what waits; None where there is nothing to correct."""
        work, incoming = self.work, self.work.incoming
        seen = self.known.get(incoming.identity)
        if not work.to_apply or (seen is not None and seen.digest == incoming.digest_in(seen.digest_version)):
            return None
        if seen is None and incoming.if_new is not None:
            return None  # what may not come in now corrects nothing either
        try:
            wrong = await replacing.waiting(message_id, incoming, work.properties, vouched=work.speaker is not None)
        except Refused as refusal:
            return self._refused(seen, refusal)
        if wrong is None or (seen is not None and wrong["_id"] != incoming.identity):
            return None
        if incoming.if_new is not None:
            return self._refused(seen, incoming.if_new)
        try:
            outcome = self._too_early() or self._applied(await self._apply(load))
        except (DatabaseError, TooMuchToLoad):
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, as of any fact
            if isinstance(error, Refused) and kind_of(error) is Kind.PERMANENT:
                return self._refused(seen, error)  # and the wrong one waits on
            outcome = self._failed(error)
        detail = f"replaced by its sender with {incoming.message_id or incoming.identity}"
        told = Outcome("parked", code=wrong["reason"], detail=detail)
        acting = work.speaker.acting if work.speaker is not None else None
        for to in await replacing.discard(wrong, incoming, work.properties, acting):
            self.decisions.told.append((to, told, wrong["_id"]))
        return outcome

    def _refused(self, seen: Known | None, refusal: Refused) -> Outcome:
        """Park it, beside what has its identity already."""
        if refusal.code == "forbidden" and self.work.speaker is not None:
            return self._forbid(refusal)
        if seen is None:
            return self._park(self.work.incoming.identity, refusal)
        identity = conflict_identity(self.work, seen.digest_version)
        again = self.known.get(identity)
        return self._park(identity, refusal) if again is None else self._again(identity, again)

    def _failed(self, error: Exception) -> Outcome:
        match kind_of(error), error:
            case Kind.WAITING, MustWait() as refusal:
                if refusal.waits_for.partition(":")[0] not in AWAITED:
                    # It would wait in vain, and its name would mean nothing to whoever looks for it.
                    return self._defect(AssertionError(f"nothing is ever awaited as {refusal.waits_for}"))
                due_at = self._waits_until()
                if due_at <= self.books.booked_at:
                    return self._park(self.work.incoming.identity, refusal)
                if refusal.again:
                    due_at = min(due_at, self.books.booked_at + TRIED_AGAIN)
                return self._wait(refusal, due_at, waits_for=refusal.waits_for)
            case Kind.PERMANENT, Refused(code="forbidden") as refusal if self.work.speaker is not None:
                return self._forbid(refusal)
            case Kind.PERMANENT, Refused() as refusal:
                return self._park(self.work.incoming.identity, refusal)
            case _:
                return self._defect(error)

    def _without_the_books(self) -> Outcome | None:
        """The outcome, where what is recorded of the identity or the message itself is enough to tell it."""
        work, incoming = self.work, self.work.incoming
        seen = self.known.get(incoming.identity)
        if work.claimed is None and seen is None and incoming.if_new is not None:
            self.work = work = replace(work, incoming=incoming.refused_as_new())
            incoming = work.incoming
            seen = self.known.get(incoming.identity)
        if work.claimed is None and seen is not None:
            return self._seen(seen)
        if lost := self._lost():
            return lost
        if work.to_apply:
            return self._too_early()
        if work.failure is not None:
            return self._defect(work.failure)
        if work.deaths >= DEATHS_MAX:
            return self._park(
                incoming.identity, Refused("internal", f"the worker that took it up died, {work.deaths} times")
            )
        refusal = work.give_up or incoming.refusal
        if refusal is not None:
            return self._park(incoming.identity, refusal)
        refusal = Refused("internal", "delivered again and again without an outcome: to be tried alone")
        return self._wait(refusal, self.books.booked_at, state="suspect")

    def _lost(self) -> Outcome | None:
        """That another worker has taken a held message up, or decided on it."""
        claimed, seen = self.work.claimed, self.known.get(self.work.incoming.identity)
        if claimed is None or (
            seen is not None and seen.state == claimed.state and seen.attempts == self.work.attempts
        ):
            return None
        return Outcome("skipped")

    def _ahead(self) -> tuple[str, datetime] | None:
        """When a fact says that it happened, and the field that has it, if that is far in the future."""
        own = own_time_of(self.work.incoming.fact)
        return own if own is not None and own[1] - self.books.booked_at > self.keeping.ahead_max else None

    def _too_early(self) -> Outcome | None:
        """A fact that says that it happened far in the future waits until that is no longer far, or for too long."""
        far = self._ahead()
        if far is None:
            return None
        field, moment = far
        ahead = f"{self.keeping.ahead_max.total_seconds() / 86_400:g} days ahead of {time_json(self.books.booked_at)}"
        refusal = Refused("too-early", f"{field}: {time_json(moment)} is more than {ahead}, when it was looked at")
        until = self._waits_until()
        if until <= self.books.booked_at:
            return self._park(self.work.incoming.identity, refusal)
        return self._wait(refusal, min(until, moment - self.keeping.ahead_max))

    def _waits_until(self) -> datetime:
        """When a message that has to wait has waited for too long."""
        claimed = self.work.claimed
        since = (claimed.waiting_since or claimed.held_at) if claimed else self.books.booked_at
        return since + self.keeping.waiting_max

    async def _apply(self, load: Load) -> Books:
        """The fact's books; raises what the domain raises, and `forbidden` where the sender is limited to a party."""
        if not _is_limited(self.work):
            return await self._run(load)
        try:
            books = await self._run(load)
        except (DatabaseError, TooMuchToLoad):
            raise
        except Exception as error:
            # What is wrong with it may tell of another party's things, and what is held keeps its identity.
            await self._check_party(None, load, there=isinstance(error, Refused) and not isinstance(error, MustWait))
            raise
        await self._check_party(books, load, there=True)
        return books

    async def _run(self, load: Load) -> Books:
        for _ in range(LOADS_MAX):
            books = self._new_books()
            fact = self.work.incoming.fact
            if isinstance(fact, Act):
                books.result = await self.act(fact, self.work.properties)
                return books
            try:
                books.result = apply(fact, books)
            except NotLoaded as missing:
                await load(missing.needs)
                # What came may need more: one load for all of it, not one for each.
                needs = {need for need in needs_of(fact, self.books) if not self.books.has(need)}
                if needs:
                    await load(needs)
            else:
                return books
        raise AssertionError(f"{self.work.incoming.identity} asks for ever more of the books")

    def _new_books(self) -> Books:
        if not _is_limited(self.work):
            return Books(self.books, self.work.incoming.identity)
        noting = NotingBooks(self.books, self.work.incoming.identity)
        self.noted = noting.noted
        return noting

    def _applied(self, books: Books) -> Outcome:
        work, batch = self.work, self.decisions.batch
        events = [outgoing(event, work.correlation_id, books.booked_at) for event in books.emitted]
        result = result_json(books.result)
        left = [self._left(fact, at) for fact, at in books.continued]
        self.books.accept(books)
        batch.outbox += events
        batch.held += left
        self.decisions.look_for.update(row.waits_for for row in left if row.waits_for is not None)
        batch.inbox.append(
            InboxRow(
                work.incoming.identity,
                work.incoming.digest,
                work.incoming.digest_version,
                result,
                books.booked_at,
                work.attempts,
                work.correlation_id,
                work.properties,
                None if work.speaker is None else work.speaker.acting,
            )
        )
        if work.claimed is not None:
            batch.held_changes.append(HeldChange(work.claimed, None))
        self.known[work.incoming.identity] = Known(
            work.incoming.digest, work.incoming.digest_version, "applied", result=result
        )
        return Outcome("applied", result)

    def _left(self, fact: object, at: datetime | None) -> HeldRow:
        """What a fact leaves to do, held in its own transaction: it is taken up as soon as that is committed.

        Or once a time has come, from when on its waiting time counts.
        """
        incoming, properties = read_internal(fact)
        cause = self.work.incoming.identity
        state = "waiting" if at is None or at <= self.books.booked_at else "scheduled"
        row = self._row(incoming.identity, incoming, properties, state, "continued", f"what {cause} leaves to do")
        if state == "scheduled":
            return replace(row, attempts=0, due_at=at, waiting_since=at)
        return replace(row, attempts=0, due_at=row.held_at, waits_for=f"applied:{cause}")

    def _seen(self, seen: Known) -> Outcome:
        """The outcome of an identity that is recorded: no second effect, and a row of its own for other content."""
        work = self.work
        if seen.digest != work.incoming.digest_in(seen.digest_version):
            # Whose the other one is, and what became of it, is nothing to who is limited to a party.
            standing = "" if _is_limited(work) else f", and is {_standing(seen, work)}"
            detail = f"{work.incoming.identity} was seen with other content{standing}"
            return self._refused(seen, Refused("conflicting-duplicate", detail))
        if seen.state == "applied":
            return Outcome("duplicate", seen.result)
        if seen.state in ("waiting", "suspect", "scheduled"):
            for to in work.reply_to if seen.replies < REPLIES_MAX else ():
                self.decisions.batch.replies.append((work.incoming.identity, to))
            self.known[work.incoming.identity] = replace(seen, replies=seen.replies + len(work.reply_to))
            return Outcome("waiting", code=seen.reason, detail=seen.detail)
        return self._again(work.incoming.identity, seen)

    def _again(self, identity: str, seen: Known) -> Outcome:
        """The recorded outcome of what is parked or done with, which came again: that leaves its trace."""
        self.decisions.batch.seen_again.append((identity, self.books.booked_at))
        detail = f"{seen.done} (it was held for: {seen.detail})" if seen.done else seen.detail
        return Outcome("parked", code=seen.reason, detail=detail)

    def _park(self, identity: str, refusal: Refused, error: Exception | None = None) -> Outcome:
        work, booked_at = self.work, self.books.booked_at
        self._hold(identity, "parked", refusal, error)
        self.decisions.batch.outbox.append(
            message_parked(
                parked_id=parked_id(identity),
                attempt=work.attempts,
                message_type=work.incoming.routing_key,
                message_id=work.incoming.message_id,
                account=account_of(work.incoming.fact) or work.incoming.account,
                business_key=work.incoming.key,
                reason=refusal.code,
                detail=refusal.detail,
                correlation_id=work.correlation_id,
                identity=identity,
                booked_at=booked_at,
            )
        )
        if not self.decisions.quiet:
            log.warning(
                "parked",
                parked_id=parked_id(identity),
                message_id=work.incoming.message_id,
                correlation_id=work.correlation_id,
                account=account_of(work.incoming.fact) or work.incoming.account,
                type=work.incoming.routing_key,
                reason=refusal.code,
            )
        return Outcome("parked", code=refusal.code, detail=refusal.detail)

    def _wait(
        self,
        refusal: Refused,
        due_at: datetime,
        *,
        state: str = "waiting",
        waits_for: str | None = None,
        error: Exception | None = None,
    ) -> Outcome:
        self._hold(self.work.incoming.identity, state, refusal, error, due_at, waits_for)
        claimed = self.work.claimed
        in_vain = waits_for is not None and claimed is not None and claimed.waits_for == waits_for
        if waits_for is not None and not in_vain:
            self.decisions.look_for.add(waits_for)
        return Outcome("waiting", code=refusal.code, detail=refusal.detail, in_vain=in_vain)

    def _defect(self, error: Exception) -> Outcome:
        if not self.decisions.quiet:
            log.error(
                "defect", identity=self.work.incoming.identity, attempt=self.work.attempts, error=type(error).__name__
            )
        refusal = Refused("internal", f"{type(error).__name__}, a defect of ours")
        if self.work.attempts >= self.keeping.defect_attempts_max:
            return self._park(self.work.incoming.identity, refusal, error)
        delay = timedelta(seconds=self.keeping.defect_delay_seconds * 4 ** (self.work.attempts - 1))
        return self._wait(refusal, self.books.booked_at + delay, error=error)

    def _row(
        self, identity: str, incoming: Incoming, properties: Properties, state: str, reason: str, detail: str
    ) -> HeldRow:
        """The row of a message that is held from now on."""
        return HeldRow(
            identity=identity,
            state=state,
            routing_key=incoming.routing_key,
            body=incoming.body,
            properties=properties,
            correlation_id=self.work.correlation_id,
            digest=incoming.digest,
            digest_version=incoming.digest_version,
            reason=reason,
            detail=detail,
            attempts=self.work.attempts,
            held_at=self.books.booked_at,
            failed_at=self.books.booked_at,
            account=account_of(incoming.fact) or incoming.account,
            worker=self.keeping.worker,
            business_key=incoming.key,
        )

    def _hold(
        self,
        identity: str,
        state: str,
        refusal: Refused,
        error: Exception | None,
        due_at: datetime | None = None,
        waits_for: str | None = None,
    ) -> None:
        work, incoming = self.work, self.work.incoming
        replies = () if state == "parked" else work.reply_to
        # A part of an array stands by itself: it is not packed as the whole was.
        properties = replace(work.properties, message_id=incoming.message_id, content_encoding=incoming.encoding)
        row = replace(
            self._row(identity, incoming, properties, state, refusal.code, refusal.detail),
            due_at=due_at,
            waits_for=waits_for,
            replies=replies,
            deaths=work.deaths,
            place=refused_at(refusal),
        )
        if error is not None:
            row = replace(
                row,
                traceback="".join(traceback.format_exception(error))[-TRACEBACK_MAX:],
                place=failed_at(error),
                exception=type(error).__name__,
            )
        if work.claimed is not None:
            row = replace(row, held_at=work.claimed.held_at, waiting_since=work.claimed.waiting_since)
            self.decisions.batch.held_changes.append(HeldChange(work.claimed, row))
        else:
            self.decisions.batch.held.append(row)
        self.known[identity] = Known(
            incoming.digest,
            incoming.digest_version,
            state,
            reason=refusal.code,
            detail=refusal.detail,
            attempts=work.attempts,
            replies=len(replies),
        )
