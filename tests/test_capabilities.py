"""What belongs to a capability is complete in every room: what was forgotten in one of them is found here.

A fact, an event, a document, a query, a check is declared once, and listed by hand. Each test compares two lists, or a
list with what the code does.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

import adapters
import domain
import schemas
from adapters.accounts.audit.accounts import CLOSES_BY_ITSELF
from adapters.audit import CHECKS
from adapters.checks import Check, Posted
from adapters.codecs import CODECS
from adapters.data_model import PAGE, page
from adapters.documents import DECODE, ENCODE, KEPT
from adapters.ledger import audit as ledger_audit
from adapters.operations.queries import KEPT_FROM_HAPPENING
from adapters.queries import READS
from adapters.store import audit as store_audit
from adapters.store.collections import COLLECTIONS
from adapters.store.store import AWAITED
from domain import facts
from domain.accounts.specifications import SPECIFICATIONS
from domain.facts import HANDLERS
from domain.ledger.chart import CHART, OWNED
from domain.ledger.entries import Entry
from domain.ledger.positions import Position
from schemas.events import EVENTS
from schemas.messages import CONTINUATIONS, HELD_MESSAGES, MESSAGES
from schemas.operations.acts import Act
from schemas.operations.events import MessageParked
from schemas.queries import QUERIES
from schemas.values import Text
from tests.chaos.business import Business
from tests.fixtures.documents import DOCUMENTS
from tests.integration import test_fuzz
from tests.schemas import test_asyncapi, test_digest_versions, test_events
from tests.store import test_query_indexes
from tests.support import ledger_book

ROOT = Path(__file__).parents[1]
KINDS = {kept.kind for kept in KEPT}


def modules(room: ModuleType, name: str = "") -> Iterator[ModuleType]:
    """The modules of a room, those of a name (`adapters.*.audit`), or its packages if the name is `package`."""
    for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        if (name == "package" and found.ispkg) or found.name.endswith(f".{name}" if name else ""):
            yield importlib.import_module(found.name)


def listed(room: ModuleType, module: str, name: str) -> list[Any]:
    """All that the capabilities list under a name, each list once."""
    lists = {id(found): found for m in modules(room, module) if isinstance(found := vars(m).get(name), tuple)}
    return [item for found in lists.values() for item in found]


def nodes(room: ModuleType) -> Iterator[tuple[ModuleType, ast.AST]]:
    """Each node of each module's source."""
    for module in modules(room):
        for node in nodes_of(module):
            yield module, node


@cache
def nodes_of(module: ModuleType) -> tuple[ast.AST, ...]:
    """Each node of a module's source."""
    assert module.__file__ is not None
    return tuple(ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))))


def calls(room: ModuleType, *names: str) -> Iterator[tuple[ModuleType, ast.Call]]:
    """Each call of a function or method of one of these names."""
    for module, node in nodes(room):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in names:
                yield module, node


# -- facts


def test_each_capabilitys_facts_and_queues_are_composed():
    """What a capability lists is in the domain's lists."""
    assert set(listed(domain, "package", "FACTS")) == set(facts.FACTS)
    assert {queue.kind for queue in listed(domain, "package", "QUEUES")} == {queue.kind for queue in facts.QUEUES}
    assert len(HANDLERS) == len(facts.FACTS), "two handlers of one kind of fact"


def test_each_fact_is_said_by_a_message_and_handled():
    """A message whose fact nothing handles would fail for ever, a handler whose fact nothing says is dead."""
    said = {get_type_hints(message.fact)["return"] for message in HELD_MESSAGES.values()}
    assert said - {Act} == HANDLERS.keys()
    assert CONTINUATIONS.keys() <= HANDLERS.keys()


@pytest.mark.parametrize("routing_key", HELD_MESSAGES)
def test_a_message_results_in_what_its_fact_results_in(routing_key):
    """What `apply` returns is what the message knows how to tell."""
    message = HELD_MESSAGES[routing_key]
    fact = get_type_hints(message.fact)["return"]
    if fact is not Act:
        assert get_type_hints(HANDLERS[fact].apply)["return"] is message.RESULT.kind


def kinds(function: Callable[..., Any], pattern: str) -> set[type]:
    """The classes that a function's source names where the pattern has its group."""
    names = vars(importlib.import_module(function.__module__))
    found = (names.get(name) for name in re.findall(pattern, inspect.getsource(function)))
    return {kind for kind in found if isinstance(kind, type)}


@pytest.mark.parametrize("handler", facts.FACTS, ids=lambda handler: handler.fact.__name__)
def test_what_a_fact_looks_at_is_loaded_before(handler):
    """What `apply` looks for is among its needs: otherwise each such fact costs its batch one more round trip."""
    looked_for = kinds(handler.apply, r"books\.(?:find|queue)\((\w+)")
    assert looked_for <= kinds(handler.needs, r"Need\((\w+)")


def continued() -> set[str]:
    """The names of the facts that the domain leaves to do."""
    found = set()
    for _, call in calls(domain, "continue_with"):
        [left] = call.args
        assert isinstance(left, ast.Call), ast.dump(left)
        name = getattr(left.func, "id", "")
        # Of a replaced fact the name is that of the variable, which is called after its type.
        found.add(name if name != "replace" else getattr(left.args[0], "id", "").capitalize())
    return found


def test_what_a_fact_leaves_to_do_is_a_message():
    """Otherwise it is a defect when it is left for the first time."""
    # A day leaves whatever capabilities list as daily.
    daily = {begins.__name__ for begins in facts.DAILY}
    assert set(listed(domain, "package", "DAILY")) == set(facts.DAILY)
    assert (continued() - {"begins"}) | daily == {fact.__name__ for fact in CONTINUATIONS}


# -- events


def emitted() -> set[type]:
    """The classes that the domain emits."""
    found: set[type] = set()
    for module, call in calls(domain, "emit", "tell"):
        if module.__name__ in ("domain.ledger.books", "domain.settlement.position"):
            continue  # they pass it on
        event = call.args[1]
        names = {
            node.func.id for node in ast.walk(event) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        if isinstance(event, ast.Name):  # a parameter, whose type is said
            names = {said for function in functions_around(module, call) if (said := annotation(function, event.id))}
            assert names, ast.unparse(call)
        kinds = (vars(module).get(name) for name in names)
        found |= {kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)}
    return found


def functions_around(module: ModuleType, call: ast.Call) -> list[ast.FunctionDef]:
    """The functions of a module that a call stands in."""
    return [
        node
        for node in nodes_of(module)
        if isinstance(node, ast.FunctionDef) and node.lineno <= call.lineno <= (node.end_lineno or 0)
    ]


def annotation(function: ast.FunctionDef, parameter: str) -> str | None:
    """The type of a parameter, as it is written."""
    said = {argument.arg: argument.annotation for argument in function.args.args}.get(parameter)
    return None if said is None else ast.unparse(said)


def test_each_event_is_declared():
    """What the domain emits has a key, a shape and a renderer, and what has them is emitted."""
    assert emitted() == {event.kind for event in EVENTS.values()} - {MessageParked}


def test_each_event_has_a_sample():
    """Which is held to the AsyncAPI document, and to the letter."""
    of_specifications = {
        f"{name}.{happened}" for name in SPECIFICATIONS for happened in ("created", "changed", "deleted")
    }
    samples = {routing_key for routing_key, _, _ in test_events.EVENTS}
    assert samples | of_specifications | {"message.parked"} == EVENTS.keys()


# -- documents


def test_each_capabilitys_documents_are_composed():
    """What a capability declares is kept, and has its codecs."""
    declared = listed(adapters, "documents", "KEPT")
    assert {kept.kind for kept in declared} == KINDS
    assert {layout.kind for module in CODECS for layout in module.layouts} == KINDS == ENCODE.keys()
    assert {kept.kind for kept in KEPT if kept.layout.read} == DECODE.keys()
    assert len(COLLECTIONS) == len({collection.name for collection in COLLECTIONS})


def test_what_the_domain_reads_is_kept():
    """Each kind that a fact looks for, by its key or in a queue, is kept and can be read."""
    looked_for = set()
    for module, call in calls(
        domain, "find", "peek", "queue", "known", "within", "DocumentNeed", "QueueNeed", "RangeNeed"
    ):
        if isinstance(call.args[0], ast.Name) and isinstance(kind := vars(module).get(call.args[0].id), type):
            looked_for.add(kind)
    assert looked_for, "nothing was found"
    assert looked_for <= DECODE.keys()


def test_each_queue_is_read():
    """A queue of the domain has an owner, an order and an index in the database, and a model in the tests."""
    queued = {queue.kind for queue in facts.QUEUES}
    assert {kept.kind for kept in KEPT if kept.queue is not None} == queued
    for table in (ledger_book.QUEUE_ORDER, ledger_book.QUEUE_OPEN, ledger_book.QUEUE_OWNER):
        assert table.keys() == queued


def appended() -> set[str]:
    """The names of the classes whose documents the domain appends, which it makes in the same function."""
    found = set()
    for module, call in calls(domain, "append"):
        of, [row] = ast.unparse(call.func).partition(".")[0], call.args
        if of == "books":
            around = (node for function in functions_around(module, call) for node in ast.walk(function))
            assigned = [node for node in around if isinstance(node, ast.Assign)]
            made = [row, *(node.value for node in assigned if ast.unparse(node.targets[0]) == ast.unparse(row))]
            names = {getattr(one.func, "id", "") for one in made if isinstance(one, ast.Call)}
            assert names, ast.unparse(call)
            found |= names
    return found


def test_what_the_domain_appends_is_append_only():
    """And kept: the store refuses it otherwise, when the first one comes."""
    written_once = {kept.kind.__name__ for kept in KEPT if kept.collection.append_only and not kept.collection.but_for}
    assert appended() == written_once - {Entry.__name__}  # which the books append by themselves


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.collection.name)
def test_each_field_of_a_document_is_described(kept):
    """The data model's page names what its rows have, and nothing else; what is personal is among it."""
    rows = [ENCODE[kept.kind](document) for document in DOCUMENTS.values() if type(document) is kept.kind]
    apart = {"values"} if kept.apart is not None else set()
    assert {key for row in rows for key in row} - {"_id"} | apart == kept.collection.fields.keys()


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda collection: collection.name)
def test_what_is_personal_is_there(collection):
    """A field that is declared personal, or set later, is one of the collection's."""
    named = {name.partition(".")[0] for name in (*collection.personal, *collection.but_for)}
    assert named <= collection.fields.keys()


def parts(hint: Any) -> Iterator[Any]:
    """All that a type is made of, with what it is annotated with."""
    yield hint
    for part in get_args(hint):
        yield from parts(part)


def free_texts(model: type[BaseModel]) -> Iterator[str]:
    """The names of a message's fields that are free text, also within its parts."""
    for field in model.model_fields.values():
        for part in [*field.metadata, *parts(field.annotation)]:
            if part == get_args(Text)[1]:
                yield str(field.alias)
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from free_texts(part)


def leaves(row: Any, path: str = "") -> Iterator[str]:
    """The paths of a row's values: `lines.description`."""
    if isinstance(row, dict):
        for key, value in row.items():
            yield from leaves(value, f"{path}.{key}".removeprefix("."))
    elif isinstance(row, list) and row and isinstance(row[0], dict):
        for value in row:
            yield from leaves(value, path)
    else:
        yield path


@pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.collection.name)
def test_what_was_said_in_free_text_is_personal(kept):
    """What a sender may write as it likes may tell of a person, wherever it is kept under the name that it had."""
    # `type` is said by an operator's edit alone, of a routing key.
    names = {name for message in MESSAGES.values() for name in free_texts(message)} - {"id", "ids", "@type", "type"}
    rows = [ENCODE[kept.kind](document) for document in DOCUMENTS.values() if type(document) is kept.kind]
    free = {path for row in rows for path in leaves(row) if path.rpartition(".")[2] in names}
    covered = tuple(f"{name}." for name in kept.collection.personal)
    assert {path for path in free if not f"{path}.".startswith(covered)} == set()


def test_the_data_models_page_is_fresh():
    """It is written of the declarations."""
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def names_of(room: ModuleType, function: str, argument: int) -> set[str]:
    """What stands before the colon in the names that are waited for, or announced."""
    found = set()
    for _, call in calls(room, function):
        if len(call.args) <= argument:
            continue
        name = call.args[argument]
        assert isinstance(name, ast.JoinedStr), ast.dump(name)
        first = name.values[0]
        if isinstance(first, ast.Constant):
            found.add(str(first.value).partition(":")[0])
        else:  # a specification's, by its resource
            assert ast.unparse(first).endswith(".RESOURCE}"), ast.unparse(first)
            found |= SPECIFICATIONS.keys()
    return found


def test_what_is_waited_for_is_announced_and_found():
    """Otherwise its messages wait until their time is over, although the thing is there."""
    waited_for = names_of(domain, "MustWait", 2)
    assert waited_for == names_of(domain, "announce", 0)
    # What a fact leaves to do waits for the fact.
    assert AWAITED.keys() == waited_for | {"applied"}


# -- the ledger


def test_the_chart_of_accounts_is_whole():
    """Each balance of the chart is a field of a position, and the audit's own table has the same accounts."""
    assert {account.name for account in OWNED} <= {field.name for field in fields(Position)}
    assert set(ledger_audit.OWNED) == {account.name for account in OWNED}
    assert set(ledger_audit.SHARED) == {account.name for account in CHART if account.owner is None}


# -- queries


def test_each_query_is_answered():
    """By a read that its capability lists, on an index."""
    assert {query for query, _ in listed(adapters, "queries", "READS")} == READS.keys() == set(QUERIES.values())
    # Those of specifications are one read for all kinds.
    alike = {f"{name}.{how}" for name in SPECIFICATIONS for how in ("get", "list")}
    assert {name for name, *_ in test_query_indexes.ASKED} | alike == QUERIES.keys()


# -- the audit


def collections_of(stages: Any) -> Iterator[str]:
    """The collections that an aggregation reads beside its own."""
    if isinstance(stages, dict):
        for key, value in stages.items():
            if key == "$unionWith":
                yield value["coll"]
            if key == "$lookup":
                yield value["from"]
            yield from collections_of(value)
    elif isinstance(stages, list | tuple):
        for stage in stages:
            yield from collections_of(stage)


NOT_AUDITED = {
    "meta": "its number is checked at each start",
    "replays": "an operator's work in progress",
    "workers": "who was there a moment ago",
    "replayItems": "an operator's work in progress",
}


def test_each_collection_is_audited():
    """Each capability's checks are composed, and each collection is read by one at least."""
    assert set(map(id, listed(adapters, "audit", "CHECKS"))) == set(map(id, CHECKS))
    read: set[str] = set()
    for check in CHECKS:
        if isinstance(check, Check):
            read |= {check.view.collection, *collections_of(check.view.steps)}
        else:
            read |= set(check.collections)
    assert {collection.name for collection in COLLECTIONS} - read == NOT_AUDITED.keys()


def test_what_documents_post_is_audited():
    """What each capability's documents make their facts post is composed, for each fact that opens an entry.

    Its inbox rows are looked at, and so are its documents.
    """
    posted = [found for m in modules(adapters, "audit") if isinstance(found := vars(m).get("POSTED"), Posted)]
    assert set(map(id, posted)) == set(map(id, store_audit.POSTED))
    for told in ([one.facts for one in posted], [one.rows for one in posted]):
        text = json.dumps(told)
        assert {key for key in HELD_MESSAGES if f'"{key}:' in text} == messages_of(*POSTING)


POSTING = ("open_entry", "make_bill", "correct_invoice")
"""The functions that open an entry."""


def messages_of(*functions: str) -> set[str]:
    """The messages whose fact is applied by a function that calls one of these names."""
    return {
        routing_key
        for routing_key, message in HELD_MESSAGES.items()
        if (handler := HANDLERS.get(get_type_hints(message.fact)["return"])) is not None
        and any(f"{function}(" in inspect.getsource(handler.apply) for function in functions)
    }


def test_what_may_close_an_account_is_known_to_the_audit():
    """An account that is to be closed is closed by whatever settles the last of it."""
    assert set(CLOSES_BY_ITSELF) == (messages_of(*POSTING) - {"order.completed"}) | {
        "subscription.turn",
        "settlement.close",
        "settlement.continue",
    }


def test_what_a_held_message_keeps_from_happening_is_told():
    """Of each message that is about an account's money."""
    assert {*CLOSES_BY_ITSELF} <= KEPT_FROM_HAPPENING.keys() <= HELD_MESSAGES.keys()


# -- what is tried


def test_each_message_has_a_sample_and_frozen_digests():
    """A digest that changes unseen makes conflicts of redeliveries."""
    assert test_digest_versions.SAMPLES.keys() == HELD_MESSAGES.keys()
    for vectors in test_digest_versions.FROZEN.values():
        assert vectors.keys() == HELD_MESSAGES.keys()


def test_each_result_has_a_sample():
    """Which is held to the AsyncAPI document; but for an act, whose result is no class. Ours are told to nobody."""
    results = {message.RESULT.kind for message in MESSAGES.values()} - {dict}
    assert {type(result) for _, result in test_asyncapi.RESULTS_OF} == results


NOT_HELD_TO_THE_DOCUMENT = {
    "account.history",
    "account.statement",
    "account.tree",
    "invoice.list",
    *(
        name
        for name in QUERIES
        if name.startswith(("parked.", "billing-cycle-specification.", "bill-presentation-", "dunning-p"))
    ),
}
"""The queries whose answers no test compares with what the AsyncAPI document says of them."""


def test_each_answer_has_a_sample():
    """Which is held to the AsyncAPI document."""
    assert {name for name, _ in test_asyncapi.ANSWERED} == QUERIES.keys() - NOT_HELD_TO_THE_DOCUMENT


def test_each_message_is_fuzzed():
    """There is something that no field of it may hold."""
    assert test_fuzz.WRONG.keys() == MESSAGES.keys()


NOT_IN_THE_TRAFFIC = {
    "account.suspend": "orders would wait for ever: the engine's machine has it",
    "account.resume": "likewise",
    "account.close": "likewise",
    "account.reopen": "likewise",
    "account.delete": "likewise",
    **{
        f"{name}.{command}": "moves nothing"
        for name in SPECIFICATIONS
        for command in ("create", "update", "delete")
        # There are runs of a cycle, and accounts that are dunned.
        if (name, command) not in (("billing-cycle-specification", "create"), ("dunning-procedure", "create"))
    },
    **{name: "an operator's" for name in MESSAGES if name.startswith("parked.")},
    "reserve.release": "sent as something is held back",
    "payout.completed": "sent as statements come: what may be paid out depends on the order of the rest",
    "payout.returned": "sent as payouts are",
    "statement.report": "what may be paid out would depend on the order of the rest",
    "self-billing.accept": "sent as documents are issued, in a partner's name, and disputed",
    "self-billing.dispute": "sent as documents are issued",
    "credit-note.issue": "sent as invoices come, whose numbers depend on it too",
    "payment.reversed": "sent as payments are allocated",
    "refund.completed": "sent as credit notes come, of what they have reserved",
    "invoice.write-off": "sent as invoices come, whose numbers depend on the order of the rest",
    "dispute.open": "likewise",
    "dispute.settle": "sent as disputes are opened",
    "dispute.withdraw": "likewise",
    "subscription.change": "sent as subscriptions are created",
    "subscription.suspend": "likewise",
    "subscription.terminate": "likewise",
    "subscription.resume": "sent as they are suspended",
    "invoice.validate": "sent as invoices come",
    "invoice.send": "likewise",
    "payment.failed": "sent as payments are requested",
}


def test_each_message_is_in_the_traffic_of_chaos():
    """What moves money is sent while everything is broken."""
    business = Business(random.Random(1))
    letters = [*business.opening(), *(letter for _ in range(200) for letter in business.burst())]
    sent = {letter.routing_key for letter in letters}
    assert sent & MESSAGES.keys() == MESSAGES.keys() - NOT_IN_THE_TRAFFIC.keys()


# -- the rooms


def capabilities(room: ModuleType) -> set[str]:
    """The capabilities that a room has a folder for."""
    shared = {"ledger", "asyncapi", "mongodb", "rabbitmq", "store", "operations"}
    return {found.name for found in pkgutil.iter_modules(room.__path__) if found.ispkg} - shared


def test_a_capability_has_one_name_in_every_room():
    """Each has a room in the domain, in the schemas and in the adapters as far as it has something there."""
    everywhere = capabilities(domain)
    assert capabilities(schemas) <= everywhere
    assert capabilities(adapters) <= everywhere
    for name in everywhere:
        assert (ROOT / "tests" / name).is_dir(), name
        assert (ROOT / "docs" / f"{name}.md").is_file(), name
