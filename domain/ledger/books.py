"""The working set of a batch, and each fact's own view of it: loaded together, changed in memory, written together."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from heapq import merge
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeVar

from domain.frozen import dataclass, replace
from domain.ledger.chart import SIGN
from domain.ledger.entries import Entry, Posting, assert_balanced
from domain.ledger.keys import LedgerKey
from domain.ledger.positions import Position
from domain.money import AMOUNT_MAX, Currency, within_limit

QUEUE_FIRST = 4
"""How many open documents of a queue are loaded for a fact at first; each time they run out, four times as many are."""


class Document(Protocol):
    """A document of the books: a frozen dataclass, replaced rather than changed."""

    @property
    def id(self) -> str:
        """Its key, unique among the documents of its type."""


class Queued(Document, Protocol):
    """A document that is taken in a fixed order while it is open: an invoice, a payment with credit, an accrual."""

    @property
    def owner(self) -> str:
        """The account whose queue it stands in."""

    @property
    def order_key(self) -> tuple[Any, str]:
        """Its place in the queue."""

    @property
    def is_open(self) -> bool:
        """Whether there is still something to take from it."""


D = TypeVar("D", bound=Document)
Q = TypeVar("Q", bound=Queued)
S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Queue:
    """A kind of queue. The books know this much of it, and nothing of the documents in it.

    `is_empty` tells from an account's position that its queue is empty, without reading it; None where nothing does. An
    open document keeps accounts of the type `keeps_open` from being closed. `overdue` is how much of a document was due
    before a day, in minor units; None when it is due later, and so is all that comes after it.
    """

    kind: type[Queued]
    is_empty: Callable[[Position], bool] | None = None
    keeps_open: str | None = None
    overdue: Callable[[Any, date], int | None] | None = None


class DocumentNeed(NamedTuple):
    """One document, by its key."""

    type: type[Document]
    id: str


class QueueNeed(NamedTuple):
    """The first `limit` open documents of an account's queue; None: all of them.

    Of a queue that is in the order of dates, only those `through` a date, if one is said.
    """

    type: type[Queued]
    owner: str
    limit: int | None = QUEUE_FIRST
    through: date | None = None


class RangeNeed(NamedTuple):
    """All documents of a type, open or not, whose key is `prefix`, or begins with it and a stroke."""

    type: type[Document]
    prefix: str


Need = DocumentNeed | QueueNeed | RangeNeed


class NotLoaded(Exception):
    """The books have not loaded what a fact looks at: load `needs` and run the fact again."""

    def __init__(self, *needs: Need) -> None:
        super().__init__(f"not loaded: {needs[:3]}")
        self.needs = needs


@dataclasses.dataclass(slots=True)
class _Queue:
    """The open documents of one account that are known, in order, up to `horizon` (None: all of them)."""

    items: list[tuple[Any, str]] = dataclasses.field(default_factory=list)
    loaded: bool = False
    horizon: tuple[Any, str] | None = None
    limit: int = 0

    def reaches(self, end: tuple[Any, str] | None) -> bool:
        """Whether all are known up to a place; None: all that there are."""
        return self.loaded and (self.horizon is None or (end is not None and self.horizon >= end))


_LAST_ID = chr(0x10FFFF)
"""It comes after each id."""


def _end_of(through: date | None) -> tuple[date, str] | None:
    """The place behind all documents of a date, in a queue in the order of dates."""
    return None if through is None else (through, _LAST_ID)


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event that a fact emits: `account` and `sequence` are its place in the account's events.

    `id` is the event's own, the same however often the fact is applied anew. What happened to no account has neither
    account nor sequence.
    """

    id: str
    account: str | None
    sequence: int | None
    cause: str
    event: object


class WorkingSet:
    """The documents that a batch's facts look at, as they stand after the facts that were accepted so far.

    `series` is the prefix of the invoice numbers, `credit_notes` that of the credit notes' numbers, `zone` the time
    zone in which a time's date is taken, `booked_at` the batch's own time, `queues` all kinds of queue that there are
    (`domain.facts.working_set` gives them). After the last fact `changed`, `rows` and `emitted` are what there is to
    write, and `stored` what the database has of it, as it was loaded. `unseen` is how often it was peeked at what was
    not loaded, or not all of it.
    """

    def __init__(
        self, *, booked_at: datetime, zone: tzinfo, series: str, credit_notes: str, queues: tuple[Queue, ...]
    ) -> None:
        self.booked_at = booked_at
        self.zone = zone
        self.series = series
        self.credit_notes = credit_notes
        self.queues = queues
        self._queued = frozenset(queue.kind for queue in queues)
        self._is_empty = tuple((queue.kind, queue.is_empty) for queue in queues if queue.is_empty is not None)
        self.stored: dict[tuple[type, str], Any] = {}
        self.changed: dict[type, dict[str, Document]] = defaultdict(dict)
        self.rows: dict[type, list[Any]] = defaultdict(list)
        self.emitted: list[Emitted] = []
        self.announced: list[str] = []
        self.unseen = 0
        self._documents: dict[type, dict[str, Any]] = defaultdict(dict)
        self._queues: dict[tuple[type, str], _Queue] = defaultdict(_Queue)
        self._ranges: dict[type, dict[str, set[str]]] = defaultdict(dict)
        self._starts: dict[date, datetime] = {}
        self._worked_out: dict[tuple[int, Hashable], tuple[object, Any]] = {}

    def has(self, need: Need) -> bool:
        """Whether `need` is loaded."""
        if isinstance(need, DocumentNeed):
            return need.id in self._documents[need.type]
        if isinstance(need, RangeNeed):
            return need.prefix in self._ranges[need.type]
        queue = self._queues[need.type, need.owner]
        return queue.reaches(_end_of(need.through)) or (
            queue.loaded and need.limit is not None and queue.limit >= need.limit
        )

    def lacks(self, kind: type[Document], id_: str) -> bool:
        """Whether nobody has looked for the document yet."""
        return id_ not in self._documents[kind]

    def peek(self, kind: type[D], id_: str) -> D | None:
        """The document if it is loaded and there; None says nothing about the database."""
        documents = self._documents[kind]
        found: D | None = documents.get(id_)
        if found is None and id_ not in documents:
            self.unseen += 1
        return found

    def find(self, kind: type[D], id_: str) -> D | None:
        """The document, or None if there is none; raises `NotLoaded`."""
        try:
            found: D | None = self._documents[kind][id_]
        except KeyError:
            raise NotLoaded(DocumentNeed(kind, id_)) from None
        return found

    def date_of(self, moment: datetime) -> date:
        """The date of a time, in the seller's time zone."""
        try:
            return moment.astimezone(self.zone).date()
        except OverflowError:  # within a day of the first or last moment that there is
            return moment.date()

    def start_of(self, day: date) -> datetime:
        """The first moment of a date, in the seller's time zone."""
        found = self._starts.get(day)
        if found is None:
            try:
                found = datetime.combine(day, time(), self.zone).astimezone(UTC)
            except OverflowError:  # within a day of the first or last moment that there is
                found = datetime.combine(day, time(), UTC)
            self._starts[day] = found
        return found

    def known(self, kind: type[Q], owner: str, through: date | None = None) -> Iterator[Q]:
        """The open documents of a queue that are loaded so far, where those `through` a date are asked for, or all."""
        queue = self._queues[kind, owner]
        if not queue.reaches(_end_of(through)):
            self.unseen += 1
        documents = self._documents[kind]
        return (documents[id_] for _, id_ in queue.items)

    def worked_out(self, of: S, what: Hashable, make: Callable[[S], T]) -> T:
        """What follows from a thing and from `what` alone: made once for all who ask it of that very object."""
        key = (id(of), what)
        known = self._worked_out.get(key)
        if known is not None:
            found: T = known[1]
            return found
        found = make(of)
        # The object is kept too: another one can't come to have its id.
        self._worked_out[key] = (of, found)
        return found

    def load(self, kind: type[Document], id_: str, document: Document | None) -> None:
        """Put in what the database has under a key (None: nothing). What is loaded already stays."""
        if id_ in self._documents[kind]:
            return
        self._documents[kind][id_] = document
        if document is not None:
            self.stored[kind, id_] = document
            if isinstance(document, Position):
                self._complete_queues(document)

    def load_queue(self, need: QueueNeed, documents: list[Queued]) -> None:
        """Put in the first open documents of a queue, in order.

        Fewer than `need.limit` means that these are all, or all `through` the date that is said.
        """
        queue = self._queues[need.type, need.owner]
        for document in documents:
            self.load(need.type, document.id, document)
            current = self._documents[need.type][document.id]
            if current.is_open:
                _insert(queue, (current.order_key, current.id))
        truncated = need.limit is not None and len(documents) >= need.limit
        horizon = documents[-1].order_key if truncated else _end_of(need.through)
        limit = len(documents) if need.through is not None or need.limit is None else need.limit
        if queue.loaded:
            # What is known already stays known.
            limit = max(limit, queue.limit)
            horizon = None if horizon is None or queue.horizon is None else max(horizon, queue.horizon)
        queue.loaded, queue.limit, queue.horizon = True, limit, horizon

    def load_range(self, need: RangeNeed, documents: Sequence[Document]) -> None:
        """Put in all documents of a range that the database has; what facts of this batch have added is in it too."""
        for document in documents:
            self.load(need.type, document.id, document)
        added = (id_ for id_ in self.changed[need.type] if need.prefix in prefixes_of(id_))
        self._ranges[need.type][need.prefix] = {*(document.id for document in documents), *added}

    def within(self, kind: type[D], prefix: str) -> list[D]:
        """The documents of a range, by their keys; raises `NotLoaded`."""
        try:
            found = self._ranges[kind][prefix]
        except KeyError:
            raise NotLoaded(RangeNeed(kind, prefix)) from None
        return [self._documents[kind][id_] for id_ in sorted(found)]

    def accept(self, books: Books) -> None:
        """Merge what one fact has changed, after `books.finish()`."""
        for kind, documents in books.changed.items():
            if not documents:
                continue  # it was only looked whether the fact has changed one
            if kind in self._ranges:
                self._put_into_ranges(kind, documents)
            known = self._documents[kind]
            if kind in self._queued:
                queued: Queued
                for queued in documents.values():
                    self._take_place(kind, known.get(queued.id), queued)
            elif kind is Position:
                position: Position
                for position in documents.values():
                    if (kind, position.id) not in self.stored:
                        self._begin_queues(position.id)
            known.update(documents)
            self.changed[kind].update(documents)
        for kind, rows in books.rows.items():
            self.rows[kind].extend(rows)
            if kind in self._queued:
                for row in rows:
                    self._documents[kind][row.id] = row
                    _insert(self._queues[kind, row.owner], (row.order_key, row.id))
        self.emitted.extend(books.emitted)
        self.announced.extend(books.announced)

    def _put_into_ranges(self, kind: type[Document], ids: Iterable[str]) -> None:
        """Put what was changed, and may be new, into those of the ranges that are loaded."""
        ranges = self._ranges[kind]
        for id_ in ids:
            for prefix in prefixes_of(id_):
                if prefix in ranges:
                    ranges[prefix].add(id_)

    def let_go(self) -> None:
        """Let go of all documents: they are written, and nobody looks at them any more."""
        self._documents.clear()
        self._queues.clear()
        self._ranges.clear()
        self._worked_out.clear()
        self.stored.clear()
        self.changed.clear()
        self.rows.clear()
        self.emitted.clear()

    def queue(self, kind: type[Q], owner: str, through: date | None = None) -> Iterator[Q]:
        """The open documents of a queue in order, or those `through` a date; raises `NotLoaded`.

        That is when it comes to what is not loaded.
        """
        queue = self._queues[kind, owner]
        if not queue.loaded:
            raise NotLoaded(QueueNeed(kind, owner, through=through))
        end = _end_of(through)
        for key, id_ in list(queue.items):
            if (queue.horizon is not None and key > queue.horizon) or (end is not None and key > end):
                break
            yield self._documents[kind][id_]
        if not queue.reaches(end):
            raise NotLoaded(QueueNeed(kind, owner, max(queue.limit, QUEUE_FIRST) * 4, through))

    def _take_place(self, kind: type[Queued], before: Queued | None, now: Queued) -> None:
        """Let a document stand in its queue while it is open, at its place as it is now."""
        if not now.is_open:
            if before is not None and before.is_open:
                _remove(self._queues[kind, before.owner], (before.order_key, before.id))
            return
        place = (now.order_key, now.id)
        if before is not None and (was := (before.order_key, before.id)) != place:
            _remove(self._queues[kind, before.owner], was)
        _insert(self._queues[kind, now.owner], place)

    def _begin_queues(self, owner: str) -> None:
        # The account is new, so all that is open of it is here.
        for kind in self._queued:
            self._queues[kind, owner].loaded = True

    def _complete_queues(self, position: Position) -> None:
        # What a position owes, it owes on open invoices, and so on: an empty balance proves an empty queue, unread.
        for kind, is_empty in self._is_empty:
            if is_empty(position):
                self._queues[kind, position.id].loaded = True


def prefixes_of(id_: str) -> Iterator[str]:
    """What ranges that have a key may be of: each of its beginnings that end before a stroke, and all of it."""
    parts = id_.split("/")
    return ("/".join(parts[:n]) for n in range(1, len(parts) + 1))


def _insert(queue: _Queue, place: tuple[Any, str]) -> None:
    items = queue.items
    if not items or place > items[-1]:  # what comes in order does not look for its place
        items.append(place)
        return
    at = bisect_left(items, place)
    if items[at] != place:
        items.insert(at, place)


def _remove(queue: _Queue, place: tuple[Any, str]) -> None:
    items = queue.items
    at = 0 if items and items[0] == place else bisect_left(items, place)  # what is done with first is the first
    if at < len(items) and items[at] == place:
        del items[at]


class Books:
    """What one fact reads and changes: an overlay on the working set, thrown away if the fact is refused.

    `cause` is the fact's identity.
    """

    def __init__(self, working_set: WorkingSet, cause: str) -> None:
        self._set = working_set
        self.cause = cause
        self.booked_at = working_set.booked_at
        self.series = working_set.series
        self.credit_notes = working_set.credit_notes
        self.changed: dict[type, dict[str, Any]] = defaultdict(dict)
        self.rows: dict[type, list[Any]] = defaultdict(list)
        self.emitted: list[Emitted] = []
        self.announced: list[str] = []
        self.continued: list[tuple[object, datetime | None]] = []
        self._debits: dict[LedgerKey, int] = {}
        self._credits: dict[LedgerKey, int] = {}
        self._currency: Currency | None = None
        self._occurred_at: datetime | None = None
        self._reverses: str | None = None
        self._reason: str | None = None
        self._sequences: dict[str, int] = {}
        self._counted: dict[str, dict[str, int]] = {}
        self.result: object = None

    # -- reading

    def find(self, kind: type[D], id_: str) -> D | None:
        """The document as it stands now, or None if there is none; raises `NotLoaded`."""
        changed: D | None = self.changed[kind].get(id_)
        return changed if changed is not None else self._set.find(kind, id_)

    def found(self, kind: type[D], id_: str) -> D | None:
        """The document as this fact has found it, if it is loaded; None if there was none."""
        return self._set.peek(kind, id_)

    def require(self, needs: Iterable[Need]) -> None:
        """See that all of these are loaded; raises `NotLoaded` for those that are not, together."""
        missing = [
            need
            for need in needs
            if not self._set.has(need) and not (isinstance(need, DocumentNeed) and need.id in self.changed[need.type])
        ]
        if missing:
            raise NotLoaded(*dict.fromkeys(missing))

    def worked_out(self, of: S, what: Hashable, make: Callable[[S], T]) -> T:
        """What follows from a thing and from `what` alone, made once for all facts of the batch."""
        return self._set.worked_out(of, what, make)

    def current(self, document: D) -> D:
        """A document of a queue as this fact has left it so far."""
        found: D = self.changed[type(document)].get(document.id, document)
        return found

    def position(self, account_id: str) -> Position:
        """The position of an account that is there."""
        position = self.find(Position, account_id)
        assert position is not None, f"account {account_id} has no position"
        return position

    def queue(self, kind: type[Q], owner: str, through: date | None = None) -> Iterator[Q]:
        """The open documents of an account, in order, as they stood before this fact; raises `NotLoaded`.

        Of a queue that is in the order of dates those `through` a date, if one is said.
        """
        return self._set.queue(kind, owner, through)

    def open_now(self, kind: type[Q], owner: str) -> Iterator[Q]:
        """The open documents of an account, in order, as this fact has left them so far; raises `NotLoaded`.

        Those too that were not open before it.
        """
        reopened = self.changed_now(kind, owner)
        queue = self.queue(kind, owner)
        seen: set[str] = set()
        for document in merge(queue, reopened, key=attrgetter("order_key")) if reopened else queue:
            current = self.current(document)
            if current.is_open and current.id not in seen:
                seen.add(current.id)
                yield current

    def within(self, kind: type[D], prefix: str) -> list[D]:
        """The documents whose key is `prefix`, or begins with it and a stroke, as this fact has left them so far.

        Those that it has added itself are not among them. Raises `NotLoaded`.
        """
        return [self.current(document) for document in self._set.within(kind, prefix)]

    def changed_now(self, kind: type[Q], owner: str) -> list[Q]:
        """The open documents of an account that this fact has changed so far, in order."""
        mine: Iterable[Q] = self.changed[kind].values()
        return sorted((d for d in mine if d.owner == owner and d.is_open), key=attrgetter("order_key"))

    def overdue(self, account_id: str, day: date) -> int:
        """What of an account's open documents was due before a day, in minor units, as this fact has left them."""
        total = 0
        for queue in self._set.queues:
            if queue.overdue is not None:
                for document in self.open_now(queue.kind, account_id):
                    amount = queue.overdue(document, day)
                    if amount is None:
                        break
                    total += amount
        return total

    def is_kept_open(self, account_id: str, account_type: str) -> bool:
        """Whether an open document keeps an account of this type from being closed."""
        return any(
            True
            for queue in self._set.queues
            if queue.keeps_open == account_type
            for _ in self.open_now(queue.kind, account_id)
        )

    def date_of(self, moment: datetime) -> date:
        """The date of a time, in the seller's time zone."""
        return self._set.date_of(moment)

    def start_of(self, day: date) -> datetime:
        """The first moment of a date, in the seller's time zone."""
        return self._set.start_of(day)

    # -- changing

    def put(self, document: Document) -> None:
        """Put in a document that is new, or replace one."""
        self.changed[type(document)][document.id] = document

    def append(self, row: object) -> None:
        """Add a row that is never changed."""
        self.rows[type(row)].append(row)

    def open_entry(
        self, occurred_at: datetime, currency: Currency, *, reverses: str | None = None, reason: str | None = None
    ) -> None:
        """Say that this fact has a journal entry, all in one currency.

        One that undoes what another entry booked names that; it says why, where a reason was given.
        """
        self._occurred_at = occurred_at
        self._currency = currency
        self._reverses = reverses
        self._reason = reason

    def move(self, key: LedgerKey, amount: int) -> None:
        """Debit a ledger account by `amount` minor units, or credit it by what is below zero."""
        if amount > 0:
            self.debit(key, amount)
        elif amount:
            self.credit(key, -amount)

    def debit(self, key: LedgerKey, amount: int) -> None:
        """Debit a ledger account by `amount` minor units; debits and credits of one account are not netted."""
        self._debits[key] = self._debits.get(key, 0) + amount

    def credit(self, key: LedgerKey, amount: int) -> None:
        """Credit a ledger account by `amount` minor units."""
        self._credits[key] = self._credits.get(key, 0) - amount

    def balance(self, key: LedgerKey) -> int:
        """An account's balance as this fact has left it so far, positive on its own side (minor units)."""
        assert key.owner is not None, key
        assert key.balance is not None, key
        return self.position(key.owner).balance(key.balance) + SIGN[key.balance] * (
            self._debits.get(key, 0) + self._credits.get(key, 0)
        )

    def emit(self, account_id: str, event: object) -> None:
        """Say what happened, as the account's next event."""
        sequence = self.sequence(account_id) + 1
        self._sequences[account_id] = sequence
        self.emitted.append(Emitted(f"{account_id}:{sequence}", account_id, sequence, self.cause, event))

    def tell(self, event_id: str, event: object) -> None:
        """Say what happened to no account, under an id that no account's event can have: one with a stroke."""
        assert "/" in event_id, event_id
        self.emitted.append(Emitted(event_id, None, None, self.cause, event))

    def touch(self, account_id: str) -> None:
        """Write an account's position, so that this fact and another that decides on the account can't both commit."""
        self.count(account_id, "touched")

    def count(self, account_id: str, counter: str, by: int = 1) -> None:
        """Raise a counter of an account's position, which is written in any case."""
        counters = self._counted.setdefault(account_id, {})
        counters[counter] = counters.get(counter, 0) + by

    def counter(self, account_id: str, counter: str) -> int:
        """A counter of an account's position as this fact has left it so far."""
        counted = self._counted.get(account_id, {}).get(counter, 0)
        return int(getattr(self.position(account_id), counter)) + counted

    def continue_with(self, fact: object, at: datetime | None = None) -> None:
        """Say what is left to do: a fact that is applied in a transaction of its own, soon, or once `at` has come."""
        self.continued.append((fact, at))

    def sequence(self, account_id: str) -> int:
        """The number of an account's last event, those of this fact included."""
        last = self._sequences.get(account_id)
        return self.position(account_id).sequence if last is None else last

    def announce(self, name: str) -> None:
        """Say that what others may wait for is there now (`account:<id>`, `settlement:<id>`, `resumed:<account>` …)."""
        self.announced.append(name)

    def finish(self) -> None:
        """Write the entry and bring the positions up to date; again, if something was told or counted since.

        Raises `Refused` (`invalid`) when a balance would exceed what the books hold.
        """
        balances = self._write_entry()
        changing = balances.keys() | self._sequences.keys() | self._counted.keys()
        missing = [id_ for id_ in changing if id_ not in self.changed[Position] and self._set.lacks(Position, id_)]
        if missing:
            raise NotLoaded(*(DocumentNeed(Position, account_id) for account_id in missing))
        for account_id in changing:
            position = self.position(account_id)
            changes = self._after_entry(position, balances.get(account_id))
            if account_id in self._sequences:
                changes["sequence"] = self._sequences[account_id]
            for counter, by in self._counted.get(account_id, {}).items():
                changes[counter] = getattr(position, counter) + by
            self.put(replace(position, **changes))  # type: ignore[arg-type]  # all of them are counters and balances
        self._counted.clear()
        self._sequences.clear()

    def post_entry(self) -> None:
        """Write the entry and its balances now, so that the rest of the fact sees them."""
        for account_id, changes in self._write_entry().items():
            position = self.position(account_id)
            self.put(replace(position, **self._after_entry(position, changes)))  # type: ignore[arg-type]

    def _after_entry(self, position: Position, changes: dict[str, int] | None) -> dict[str, int]:
        """The counters and balances of a position after the entry that changes its balances by so much."""
        if changes is None:
            return {}
        assert self._currency is not None, "only an entry changes balances"
        after = {"movements": position.movements + 1}
        for balance, change in changes.items():
            total = position.balance(balance) + change
            if abs(total) > AMOUNT_MAX:
                within_limit(total, self._currency, "the balance {} of account {}", balance, position.id)
            after[balance] = total
        return after

    def _write_entry(self) -> dict[str, dict[str, int]]:
        """Append the entry, if there is one to write; returns by how much it changes each position's balances."""
        if self._occurred_at is None or self._currency is None:
            return {}
        occurred_at, self._occurred_at = self._occurred_at, None
        balances: dict[str, dict[str, int]] = {}
        postings = []
        for key, amount in (*self._debits.items(), *self._credits.items()):
            if amount == 0:
                continue
            movement = None
            if key.owner is not None and key.balance is not None:
                movement = self.position(key.owner).movements + 1
                owned = balances.setdefault(key.owner, {})
                owned[key.balance] = owned.get(key.balance, 0) + SIGN[key.balance] * amount
            postings.append(Posting(key.account, self._currency.code, amount, key.category, key.rate, movement))
        self._debits, self._credits = {}, {}
        assert_balanced(postings, self.cause)
        self.append(
            Entry(self.cause, self.cause, occurred_at, self.booked_at, tuple(postings), self._reverses, self._reason)
        )
        return balances


class NotingBooks(Books):
    """Books that note which documents are looked at, whether they are there or not: their ids, by their type."""

    def __init__(self, working_set: WorkingSet, cause: str) -> None:
        super().__init__(working_set, cause)
        self.noted: dict[type, set[str]] = defaultdict(set)

    def find(self, kind: type[D], id_: str) -> D | None:
        """The document, noted."""
        self.noted[kind].add(id_)
        return super().find(kind, id_)

    def require(self, needs: Iterable[Need]) -> None:
        """See that all of these are loaded; the documents are noted."""
        needs = list(needs)
        for need in needs:
            if isinstance(need, DocumentNeed):
                self.noted[need.type].add(need.id)
        super().require(needs)
