"""What is said on the wire is declared once, listed by its capability, and found in the tables; no name is lost."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any, get_args

import pytest

import schemas
from domain.accounts.model import AccountStateChanged, State
from domain.facts import HANDLERS
from domain.ledger.books import Emitted
from schemas import events, messages, queries
from schemas.message import Continuation, InternalMessage, Message
from schemas.query import Query
from schemas.tables import merged, table
from tests.schemas import test_events as sample


def rooms(name: str) -> Iterator[ModuleType]:
    """The module of that name of each capability that has one."""
    for found in pkgutil.walk_packages(schemas.__path__, "schemas."):
        if found.name.count(".") == 2 and found.name.endswith(f".{name}"):
            yield importlib.import_module(found.name)


def listed(room: str, name: str) -> list[Any]:
    """All that the capabilities list under that name."""
    return [item for module in rooms(room) for item in getattr(module, name, ())]


def declared(kind: type) -> set[type]:
    """All classes of the schemas below one that have a type of their own: those that tests have made are not meant."""
    found: set[type] = set()
    direct: type
    for direct in kind.__subclasses__():
        found |= declared(direct)
        if "TYPE" in vars(direct) and direct.__module__.startswith("schemas."):
            found.add(direct)
    return found


def test_every_message_is_in_its_table():
    """Each class that has a routing key is listed by its capability, and each list is composed."""
    assert declared(Message) == set(messages.HELD_MESSAGES.values())
    assert declared(Continuation) == set(messages.CONTINUATIONS.values())
    assert set(listed("messages", "MESSAGES")) == set(messages.MESSAGES.values())
    assert set(listed("messages", "CONTINUATIONS")) == set(messages.CONTINUATIONS.values())
    own = {*listed("messages", "INTERNAL"), *messages.CONTINUATIONS.values()}
    assert declared(InternalMessage) == set(messages.INTERNAL_MESSAGES.values()) == own
    assert messages.HELD_MESSAGES.keys() > messages.MESSAGES.keys()


def test_every_query_is_in_its_table():
    """Each class that has a type is listed by its capability, and each list is composed."""
    assert declared(Query) == set(queries.QUERIES.values()) == set(listed("queries", "QUERIES"))


def test_every_event_is_in_its_table():
    """Each list is composed, and so is every part that has a name."""
    assert {event.routing_key for event in listed("events", "EVENTS")} == events.EVENTS.keys()
    shapes = {*listed("events", "SHAPES"), *listed("queries", "SHAPES")}
    assert shapes <= events.SHAPES.keys() | queries.SHAPES.keys()


@pytest.mark.parametrize("state", get_args(State))
def test_a_change_of_state_goes_out_under_one_key(state):
    """Whatever state an account comes into, it is one event's."""
    happened = AccountStateChanged(replace(sample.ACCOUNT, state=state), sample.STANDING, "active", None)
    event = sample.sent(happened)
    assert event.routing_key == f"account.{state if state in ('closed', 'deleted') else 'state-changed'}"


def test_what_is_left_to_do_says_a_fact_that_the_domain_handles():
    """Each message of ours is made of a kind of fact that has a handler."""
    assert messages.INTERNAL_MESSAGES.keys() <= HANDLERS.keys()


def test_of_two_things_with_one_name_none_is_lost():
    """They stop the import that would have lost one."""
    with pytest.raises(AssertionError, match=r"order\.completed is declared twice"):
        table([("order.completed", 1), ("payment.received", 2), ("order.completed", 3)])
    with pytest.raises(AssertionError, match="Money is declared twice"):
        merged({"Money": 1}, {"Error": 2}, {"Money": 1})


def test_an_event_has_the_place_in_an_account_that_it_is_declared_with():
    """What is declared as an account's is not sent without its number: the AsyncAPI document promises it."""
    routing_key, happened, _ = sample.EVENTS[0]
    with pytest.raises(AssertionError, match=routing_key):
        events.outgoing(Emitted("a/b", None, None, "account.create:SA-1", happened), "corr-1", sample.BOOKED_AT)
