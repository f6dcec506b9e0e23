"""Whatever happens to messages, workers, the broker and the database: each fact has one effect, and all is told."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from adapters.records import HeldRow, parked_id
from domain.accounts.model import Account
from domain.ledger.entries import Entry
from domain.ledger.positions import Position
from handlers.engine import decision, group_commit, held
from tests.engine.doubles import WAITING_MAX, Message, Worker, World, is_there
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import LedgerBook
from tests.support.messages import Message as Body
from tests.support.messages import closing, command, customer, item, order, partner, payment
from tests.support.steady import steady

CUSTOMERS = ("BA-1", "BA-2", "BA-3", "BA-4")
ACCOUNTS = {**{id_: customer(id_) for id_ in CUSTOMERS}, "SA-1": partner("SA-1", "0.8")}
STEPS = [
    *["begin", "known", "load", "write", "commit", "committed"],
    *["ack", "publish", "confirm", "mark", "claim", "claimed"],
]
"""Where a worker may die: before a call to the database or the broker, or right after it."""
MOMENTS = st.sampled_from([0, 0, 0.01, 0.03, 0.1, 0.5, 2])
NUMBERS = st.integers(1, 8)
WAITS_FOR_A_THING = ("unknown-account", "account-suspended")


@dataclass(frozen=True)
class Said:
    """What a content means: by how much an account owes more, what a partner earns, and what may come of it."""

    account: str = ""
    owes: int = 0
    earns: int = 0
    outcomes: tuple[str, ...] = ("applied",)


def ordered(number: int, account: str, price: int, *, shared: bool, currency: str = "EUR") -> tuple[Body, Said]:
    """An order of one line, and perhaps one of 5.00 for a partner, who gets 4.00 of it; a fifth is tax."""
    lines = [item(1, f"{price}.00")] + ([item(2, "5.00", sold_for="SA-1")] if shared else [])
    body = order(f"O-{number}", account, *lines, currency=currency)
    if currency != "EUR":
        return body, Said(outcomes=("currency-mismatch",))
    return body, Said(account, (price + 5 * shared) * 120, 400 * shared)


def usual(number: int) -> tuple[Body, Said]:
    """What an order of this number says, most of the time."""
    return ordered(number, CUSTOMERS[number % 4], 10 + number, shared=number % 3 == 0)


orders = st.builds(usual, NUMBERS) | st.builds(
    ordered,
    NUMBERS,
    st.sampled_from(CUSTOMERS),
    st.sampled_from([10, 20]),
    shared=st.booleans(),
    currency=st.sampled_from(["EUR", "EUR", "USD"]),
)


class EngineMachine(RuleBasedStateMachine):
    """Two workers on one queue and one database; few identities, so that they meet again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Random(0))
        self.said: dict[str, dict[str, Said]] = defaultdict(dict)
        self.published: set[tuple[str, str]] = set()
        self.discarded: set[str] = set()
        self.undone: set[str] = set()
        self.accidents = 0
        self.applied: dict[str, str] = {}
        self.letters: list[Message] = []
        self.poisoned: set[str] = set()
        self.deadly_once: set[str] = set()
        clock = SimpleNamespace(monotonic=self.world.loop.time)
        self.patches = [patch.object(module, "time", clock) for module in (decision, group_commit, held)]
        for one in self.patches:
            one.start()

    def teardown(self) -> None:
        """Heal, let everything come to rest, and compare."""
        try:
            if not self.world.wrong:
                self.heal()
                self.everything_is_as_it_must_be()
        finally:
            self.world.close()
            for one in self.patches:
                one.stop()

    # -- what comes in

    def publish(self, *contents: tuple[Body, Said], message_id: str = "m") -> None:
        """One message; several contents are an array."""
        (routing_key, _), _ = contents[0]
        bodies = [body for (_, body), _ in contents]
        message = Message(routing_key, json.dumps(bodies if len(bodies) > 1 else bodies[0]).encode(), message_id)
        for fact, (_, said) in zip(message.facts(), contents, strict=True):
            self.said[fact.identity][fact.digest] = said
        self.send(message)

    def send(self, message: Message) -> None:
        """Publish, also what was published before."""
        self.letters.append(message)
        self.published |= {(fact.identity, fact.digest) for fact in message.facts()}
        self.world.publish(message)

    @initialize(seed=st.integers(0, 1_000), there=st.sets(st.sampled_from(sorted(ACCOUNTS))))
    def begin(self, seed: int, there: set[str]) -> None:
        """Some accounts are there from the beginning."""
        self.world.random.seed(seed)
        for id_ in sorted(there):
            self.publish((ACCOUNTS[id_], Said()))
        self.world.run(1)

    @rule(what=orders, then=MOMENTS)
    def an_order(self, what: tuple[Body, Said], then: float) -> None:
        """An order: new, or of a number that was there, with the same content or other."""
        self.publish(what)
        self.world.run(then)

    @rule(what=st.lists(orders, min_size=2, max_size=6), then=MOMENTS)
    def several_orders(self, what: list[tuple[Body, Said]], then: float) -> None:
        """Several in one message."""
        self.publish(*what)
        self.world.run(then)

    @rule(number=NUMBERS, value=st.sampled_from([0, 0, 5, 40]), then=MOMENTS)
    def a_payment(self, number: int, value: int, then: float) -> None:
        """A payment, likewise."""
        account, value = CUSTOMERS[number % 4], value or 6 * number
        self.publish((payment(f"P-{number}", account, value), Said(account, -100 * value)))
        self.world.run(then)

    @rule(id_=st.sampled_from(sorted(ACCOUNTS)), then=MOMENTS)
    def an_account(self, id_: str, then: float) -> None:
        """An account, which something may wait for."""
        self.publish((ACCOUNTS[id_], Said()))
        self.world.run(then)

    @rule(number=NUMBERS, place=st.integers(0, 3), then=MOMENTS)
    def meet(self, number: int, place: int, then: float) -> None:
        """A new order again and again, amid them its account: one worker may hold what the other applies."""
        new = 100 + len(self.letters)
        what = ordered(new, f"BA-{new}", 10, shared=False)
        letters = [what, what, what]
        letters.insert(place, (customer(f"BA-{new}"), Said()))
        self.world.run(0.5)
        # While the workers are at these, the others gather.
        for letter in [usual(number % 8 + 1), usual(number % 8 + 1), *letters]:
            self.publish(letter)
        self.world.run(then)

    @rule(number=st.integers(1, 2), then=MOMENTS)
    def a_closing(self, number: int, then: float) -> None:
        """A statement."""
        self.publish((closing(f"C-{number}", "SA-1", "2030-12-31"), Said()))
        self.world.run(then)

    @rule(
        name=st.sampled_from(["suspend", "suspend", "resume"]), id_=st.sampled_from(CUSTOMERS), n=NUMBERS, then=MOMENTS
    )
    def a_command(self, name: str, id_: str, n: int, then: float) -> None:
        """An account is suspended, so that orders wait, or resumed."""
        self.publish((command(name, id_), Said(outcomes=("applied", "invalid"))), message_id=f"{name}-{n}")
        self.world.run(then)

    @rule(number=NUMBERS, then=MOMENTS)
    def unreadable(self, number: int, then: float) -> None:
        """Bytes that are no JSON."""
        message = Message("order.completed", b"{" * number, "m")
        [fact] = message.facts()
        self.said[fact.identity][fact.digest] = Said(outcomes=("malformed",))
        self.send(message)
        self.world.run(then)

    @precondition(lambda self: self.letters)
    @rule(which=st.integers(0, 1_000), times=st.integers(1, 3), then=MOMENTS)
    def again(self, which: int, times: int, then: float) -> None:
        """The same message again."""
        letter = self.letters[which % len(self.letters)]
        for _ in range(times):
            self.send(Message(letter.routing_key, letter.body, letter.message_id))
        self.world.run(then)

    @precondition(lambda self: len(self.world.queue) > 1)
    @rule(seed=st.integers(0, 100))
    def reorder(self, seed: int) -> None:
        """What is in the queue is in another order."""
        letters = sorted(self.world.queue, key=lambda letter: (letter.body, letter.deliveries))
        Random(seed).shuffle(letters)
        self.world.queue.clear()
        self.world.queue.extend(letters)

    # -- what happens

    @rule(seconds=st.sampled_from([0.05, 1, 25, 70]))
    def time_passes(self, seconds: float) -> None:
        """Sweeps come round, and leases run out."""
        self.world.run(seconds)

    @rule()
    def much_time_passes(self) -> None:
        """What waits is at its end."""
        self.world.run(WAITING_MAX.total_seconds() + 25)

    def worker(self, which: int) -> Worker:
        """One of those that live."""
        while not self.world.workers:
            self.world.run(0.05)
        return self.world.workers[which % len(self.world.workers)]

    @rule(which=st.integers(0, 1), then=MOMENTS)
    def die(self, which: int, then: float) -> None:
        """A worker dies wherever it is."""
        self.worker(which).die()
        self.world.run(then)

    @rule(which=st.integers(0, 1), step=st.sampled_from(STEPS), then=st.sampled_from([0.1, 0.5, 2]))
    def die_at(self, which: int, step: str, then: float) -> None:
        """A worker dies as it does something, when it comes to that."""
        self.worker(which).dies_at = step
        self.world.run(then)

    @rule(number=NUMBERS, then=MOMENTS)
    def deadly(self, number: int, then: float) -> None:
        """Workers die of an order, until that is repaired."""
        identity = f"order.completed:O-{number}"
        self.deadly_once.add(identity)
        self.world.database.deadly.add(identity)
        self.publish(usual(number))
        self.world.run(then)

    @rule(which=st.integers(0, 1), then=MOMENTS)
    def lose_the_connection(self, which: int, then: float) -> None:
        """What a consumer has not acknowledged is delivered again."""
        self.accidents += 1
        worker = self.worker(which)
        worker.lose_channel()
        worker.consume()
        self.world.run(then)

    @rule(which=st.integers(0, 1), seconds=st.sampled_from([1, 10, 90]), then=MOMENTS)
    def cut_off(self, which: int, seconds: int, then: float) -> None:
        """A worker does not reach the database for a while."""
        self.accidents += 1
        self.worker(which).cut_off(seconds)
        self.world.run(then)

    @rule(number=NUMBERS, which=st.integers(0, 1_000), then=st.sampled_from([2, 65, 100]))
    def cut_off_with_claims(self, number: int, which: int, then: float) -> None:
        """Who takes up what waited does not reach the database for longer than its lease; another does, meanwhile."""
        self.accidents += 1
        what = usual(number)
        self.publish(what)
        self.world.run(2)
        self.world.cut_who_claims = 90
        self.publish((ACCOUNTS[what[1].account], Said()))
        if rows := self.replayable():
            self.world.replay(rows[which % len(rows)])
        self.world.run(then)

    @rule(
        step=st.sampled_from(["begin", "known", "load", "write", "claim", "mark", "unsent"]),
        times=st.sampled_from([1, 1, 10]),
        then=MOMENTS,
    )
    def database_fails(self, step: str, times: int, then: float) -> None:
        """A step fails, and again."""
        self.world.troubles.extend([(step, "")] * times)
        self.world.run(then)

    @rule(which=st.sampled_from(["done", "not done"]), times=st.integers(1, 2), then=MOMENTS)
    def commit_fails(self, which: str, times: int, then: float) -> None:
        """A commit whose answer is lost, done or not."""
        self.world.troubles.extend([("commit", which)] * times)
        self.world.run(then)

    @rule(
        weather=st.lists(
            st.sampled_from(["closed", "refused", "lost", "confirm lost", "precondition failed"]),
            min_size=1,
            max_size=3,
        ),
        then=MOMENTS,
    )
    def broker_fails(self, weather: list[str], then: float) -> None:
        """Events are refused, get lost, or their confirms do."""
        self.world.weather.extend(weather)
        self.world.run(then)

    @rule(number=NUMBERS)
    def poison(self, number: int) -> None:
        """An order meets a defect of ours, until that is repaired."""
        identity = f"order.completed:O-{number}"
        self.poisoned.add(identity)
        self.world.database.poisoned.add(identity)

    @rule()
    def defects_are_repaired(self) -> None:
        """A new version is there."""
        self.world.database.poisoned.clear()
        self.world.database.deadly.clear()

    # -- what operators do

    def rows(self, *states: str) -> list[HeldRow]:
        """What is held in these states and not being tried, oldest first."""
        return [
            held.row
            for held in self.world.database.held.values()
            if held.row.state in states and not held.claimed_until
        ]

    @precondition(lambda self: self.replayable())
    @rule(which=st.integers(0, 1_000), then=MOMENTS)
    def replay(self, which: int, then: float) -> None:
        """A parked message is tried again."""
        rows = self.replayable()
        self.world.replay(rows[which % len(rows)])
        self.world.run(then)

    def replayable(self) -> list[HeldRow]:
        """Parked for something that may be otherwise by now: not for its bytes, nor for what its identity says."""
        return [row for row in self.rows("parked") if "#" not in row.identity and "unreadable" not in row.identity]

    @precondition(lambda self: self.rows("parked"))
    @rule(which=st.integers(0, 1_000), what=orders, same=st.booleans(), then=MOMENTS)
    def edit(self, which: int, what: tuple[Body, Said], same: bool, then: float) -> None:  # noqa: FBT001
        """A parked order becomes another one, of its own number or not."""
        rows = [row for row in self.rows("parked") if row.routing_key == "order.completed"]
        if not rows:
            return
        row = rows[which % len(rows)]
        (routing_key, body), said = what
        if same and row.identity.startswith("order.completed:"):
            body["orderId"] = row.identity.partition(":")[2].partition("#")[0]
        [fact] = Message(routing_key, json.dumps(body).encode(), "m").facts()
        if self.world.edit(row, fact.body):
            self.said[fact.identity][fact.digest] = said
            if fact.identity != row.identity:
                self.discarded.add(row.identity)
        self.world.run(then)

    @precondition(lambda self: self.rows("parked", "waiting", "suspect"))
    @rule(which=st.integers(0, 1_000), then=MOMENTS)
    def discard(self, which: int, then: float) -> None:
        """A message is done with."""
        rows = self.rows("parked", "waiting", "suspect")
        row = rows[which % len(rows)]
        self.world.discard(row)
        self.discarded.add(row.identity)
        self.world.run(then)

    @precondition(lambda self: self.undoable())
    @rule(which=st.integers(0, 1_000))
    def undo(self, which: int) -> None:
        """And is not, after all."""
        rows = self.undoable()
        row = rows[which % len(rows)]
        self.undone.add(row.identity)
        self.world.undo(row)
        self.discarded.discard(row.identity)

    def undoable(self) -> list[HeldRow]:
        """Discarded by an operator, and not because it goes on as another."""
        return [row for row in self.rows("discarded") if row.identity not in self.world.moved]

    # -- what must always hold

    @invariant()
    def nothing_went_wrong(self) -> None:
        """Nothing is acknowledged that is not recorded, published that is not committed, marked that has not come."""
        assert self.world.wrong == []

    @invariant()
    def each_identity_has_one_state(self) -> None:
        """It is applied or held; what is applied stays so, and as it was."""
        database = self.world.database
        assert not database.inbox.keys() & database.held.keys()
        now = {identity: row.digest for identity, row in database.inbox.items()}
        assert {identity: now.get(identity) for identity in self.applied} == self.applied
        for identity, digest in now.items():
            assert digest in self.said[identity], f"{identity} was never said so"
        self.applied = now

    @invariant()
    def what_is_parked_is_so_for_a_reason(self) -> None:
        """It is wrong for good, waited as long as it may, met a defect, or workers died with it."""
        accidents = self.accidents + self.world.deaths - self.world.victims
        for row, _ in self.world.database.held.values():
            # To be parked for its deaths it is taken up once more, which a worker may not survive either.
            assert row.deaths <= 3 + accidents, row
            if row.state != "parked" or row.identity in self.undone:
                continue
            if row.reason in WAITS_FOR_A_THING:
                assert row.failed_at >= (row.waiting_since or row.held_at) + WAITING_MAX, row
            elif row.reason == "internal":
                died = row.deaths >= 3 and (row.identity in self.deadly_once or accidents >= 3)
                assert died or row.identity in self.poisoned, row
            elif row.reason == "conflicting-duplicate":
                assert len(self.said[row.identity.partition("#")[0]]) > 1, row
            else:
                assert row.reason in self.said[row.identity][row.digest].outcomes, row

    @invariant()
    def the_books_are_as_the_model(self) -> None:
        """Whatever the order of facts: what an account owes, its credit, and what a partner earned."""
        owed: Counter[str] = Counter()
        for identity, digest in self.applied.items():
            said = self.said[identity][digest]
            owed[said.account] += said.owes
            owed["SA-1"] += said.earns
        for position in self.world.database.rows[Position].values():
            if position.id == "SA-1":
                assert position.payable == owed["SA-1"]
            else:
                money = (position.receivable, position.unapplied)
                assert money == (max(owed[position.id], 0), max(-owed[position.id], 0)), position.id
        entries = self.world.database.rows[Entry].values()
        assert sum(posting.amount for entry in entries for posting in entry.postings) == 0

    @invariant()
    def events_are_numbered_without_a_gap(self) -> None:
        """Each account's events, as many as its position says."""
        numbers: dict[str, list[int]] = defaultdict(list)
        for event in self.world.database.outbox.values():
            if event.account is not None:
                assert event.sequence is not None
                numbers[event.account].append(event.sequence)
        for position in self.world.database.rows[Position].values():
            assert sorted(numbers.pop(position.id)) == list(range(1, position.sequence + 1))
        assert not numbers

    # -- the end

    def heal(self) -> None:
        """Nothing fails any more, what is missing comes, and what was parked for that is tried again."""
        world = self.world
        world.troubles.clear()
        world.weather.clear()
        world.cut_who_claims = 0
        self.defects_are_repaired()
        for worker in world.workers:
            worker.cut_until, worker.dies_at = 0, None
        for account in ACCOUNTS.values():
            self.publish((account, Said()))
        self.come_to_rest()
        for row in self.replayable():
            world.replay(row)
        world.release()
        self.come_to_rest()
        # Among what was tried again were commands that suspend.
        for id_ in CUSTOMERS:
            if world.database.rows[Account][id_].state == "suspended":
                self.publish((command("resume", id_), Said()), message_id=f"at-last-{id_}")
        self.come_to_rest()
        for row in self.replayable():
            if row.reason in WAITS_FOR_A_THING:
                world.replay(row)
        self.come_to_rest()

    def come_to_rest(self) -> None:
        """Wait until nothing is under way."""
        for n in range(30):
            self.world.run(21)
            # A dead worker's claims are free after a minute; then nothing is overlooked.
            assert n < 8 or not self.overlooked()
            if not self.under_way():
                break
        assert self.world.wrong == []
        assert not self.under_way()

    def under_way(self) -> list[Any]:
        """What is still to be done."""
        world = self.world
        return [
            *world.queue,
            *[worker.channel.delivered for worker in world.workers if worker.channel and worker.channel.delivered],
            *[row for row, _ in world.database.held.values() if row.state == "suspect"],
            *[row for row, _ in world.database.held.values() if row.state == "waiting" and row.waits_for is None],
            *self.overlooked(),
            *[id_ for id_ in world.database.outbox if world.database.sending[id_].state == "unsent"],
        ]

    def overlooked(self) -> list[HeldRow]:
        """What waits for something that is there."""
        database = self.world.database
        rows = [row for row, _ in database.held.values() if row.state == "waiting" and row.waits_for is not None]
        return [row for row in rows if is_there(database, str(row.waits_for))]

    def everything_is_as_it_must_be(self) -> None:
        """Each identity has the state that the model says, and all that happened was told."""
        database = self.world.database
        for check in (
            self.each_identity_has_one_state,
            self.what_is_parked_is_so_for_a_reason,
            self.the_books_are_as_the_model,
            self.events_are_numbered_without_a_gap,
        ):
            check()
        assert {identity for identity, held in database.held.items() if held.row.state == "discarded"} == self.discarded
        for identity, digest in self.published:
            assert self.world.is_recorded(identity, digest), identity
            if identity in self.discarded:
                continue
            if identity in database.inbox:
                outcome, of = "applied", database.inbox[identity].digest
            else:
                row = database.held[identity].row
                assert row.state == "parked", row
                outcome, of = row.reason, row.digest
            assert outcome in self.said[identity][of].outcomes, identity
        for row, _ in database.held.values():
            if row.state == "parked" and not row.waiting_since:
                assert f"{parked_id(row.identity)}:{row.attempts}" in database.outbox, row
        assert self.world.arrived == {id_: event.body for id_, event in database.outbox.items()}
        assert {database.sending[id_].state for id_ in database.outbox} <= {"sent"}
        assert_books_hold(as_a_book(self.world))


def as_a_book(world: World) -> LedgerBook:
    """The database as the books that the domain's invariants look at."""
    book = world.database.books
    for kind, rows in world.database.rows.items():
        if isinstance(kind, type):
            book.documents[kind] = book.rows[kind] = rows
    book.applied = cast("Any", world.database.inbox)  # only the identities are looked at
    return book


EngineMachine.TestCase.settings = settings(steady(40), stateful_step_count=50)
TestEngine = EngineMachine.TestCase
