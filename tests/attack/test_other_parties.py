"""Who is let in with every message and every query, and is limited to a party: what it gets of others'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from adapters.queries import READS
from adapters.settings import Settings
from schemas.queries import QUERIES
from tests.access.bodies import BODIES
from tests.store.test_party_views import ASKED, FOR_OPERATORS, NOT_SECRET, OWN, keep, nobodys, of, one_of_each
from tests.support.books import Books, position
from tests.support.client import Client
from tests.support.messages import (
    agent_of,
    credit_note,
    credited,
    customer,
    dispute,
    dispute_settled,
    dispute_withdrawn,
    item,
    order,
    payment,
    sent,
)
from tests.support.senders import Speaking, Users
from tests.support.workers import working

VICTIM, EVE = "ADA", "EVE"
SELLERS = ("SA-EVE", "SA-ADA")
TOGETHER = 20
"""How many things are tried at once."""
OURS = {"held", "heldBodies", "outbox", "workers"}
"""What an attempt may leave traces in."""
IDS = {
    "BA-1": "BA-ADA",
    "BA-2": "BB-ADA",
    "SA-1": "SA-ADA",
    "INV-000000001": "ADA-000000001",
    "INV-000000002": "ADA-000000001",
    "O-1001": "O-ADA",
    "P-1": "PY-ADA",
    "C-1": "C-ADA",
    "C-1-2": "C-ADA",
    "PO-1": "PO-ADA",
    "AG-1": "AG-ADA",
    "SB-SA-1-000000001": "SB-ADA",
    "D-1": "D-ADA",
    "S-1": "S-ADA",
    "X-1": "ours",
}
"""The victim's things that the bodies are about."""


@pytest.fixture
def driver() -> str:
    """Any one will do."""
    return "pymongo"


@pytest.fixture
async def eve(
    settings: Settings, client: Client, database: Books, users: Users, tmp_path: Path
) -> AsyncIterator[Speaking]:
    """The attacker, beside a worker whose books have things of each kind of hers and of the victim's."""
    keep(database, [*one_of_each(VICTIM), *one_of_each(EVE), *nobodys()])
    rights: dict[str, dict[str, Any]] = {
        "eve": {"send": ["#"], "ask": ["#"], "party": f"P-{EVE}"},
        "admin": {"send": ["#"], "ask": ["#"]},
    }
    file = users.file(tmp_path / "access.toml", rights)
    async with working(settings, access=file), users.speaking("eve") as speaking:
        yield speaking


async def all_of(tried: Iterable[Any]) -> list[Any]:
    """What comes of many, some at a time."""
    found: list[Any] = []
    left = list(tried)
    while left:
        found += await asyncio.gather(*left[:TOGETHER])
        del left[:TOGETHER]
    return found


def of_the_victim(body: Any) -> Any:
    """A message's body about the victim's things."""
    text = json.dumps(body)
    for id_, theirs in IDS.items():
        text = text.replace(f'"{id_}"', f'"{theirs}"')
    return json.loads(text)


def whole(database: Books) -> dict[str, list[Any]]:
    """All that the books hold."""
    names = sorted(set(database.list_collection_names()) - OURS)
    return {name: list(database[name].find(sort=[("_id", 1)])) for name in names}


async def test_every_message(eve: Speaking, database: Books) -> None:
    """About another party's account, invoice, statement, payout …: none has an effect, all are told alike."""
    before = whole(database)
    answers = await all_of(eve.send((type_, of_the_victim(body))) for type_, body in BODIES.items())
    detail = f"party: {eve.user} may send only what is about accounts that are related to P-EVE"
    told = dict(zip(BODIES, answers, strict=True))
    expected = {"outcome": "parked", "error": {"code": "forbidden", "detail": detail}}
    assert {type_: answer for type_, answer in told.items() if answer != expected} == {}
    assert whole(database) == before
    assert database["held"].count_documents({"reason": "forbidden"}) == len(BODIES)
    assert database["held"].count_documents({"_id": {"$not": {"$regex": "^forbidden:"}}}) == 0
    # Of her own she may, so it is not for something else that they are refused.
    own = json.loads(json.dumps(of_the_victim(BODIES["invoice.send"])).replace("ADA", EVE))
    assert (await eve.send(("invoice.send", own)))["outcome"] == "applied"


async def test_arrays_and_what_is_between_her_own(eve: Speaking, database: Books) -> None:
    """One fact of an array that is another's is refused, and the others are not held up by it."""
    sending = BODIES["invoice.send"]
    own, theirs = ({**sending, "billNo": f"{who}-000000001"} for who in (EVE, VICTIM))
    correlation = await eve.publish("paymaster.in", "invoice.send", [own, theirs])
    await eve.answer(correlation)
    assert {row["_id"].partition(":")[0] for row in database["held"].find()} <= {"forbidden"}
    [victims] = database["invoices"].find({"_id": "ADA-000000001"})
    assert "sent" not in json.dumps(victims, default=str)


async def test_every_query(eve: Speaking) -> None:
    """What is another's is, to the letter, as if it were not there; what is for operators is refused."""
    assert ASKED.keys() == QUERIES.keys()
    assert len(READS) == len(QUERIES)
    asked = [(name, one) for name, several in ASKED.items() for one in several]
    answers = await all_of(eve.ask(name, of(VICTIM, one)) for name, one in asked)
    for (name, one), answer in zip(asked, answers, strict=True):
        if name in FOR_OPERATORS:
            assert answer["error"]["code"] == "forbidden", (name, one)
        elif name in NOT_SECRET:
            assert "result" in answer, (name, one)
        elif name in OWN:
            assert answer["error"]["code"].startswith("unknown-"), (name, one, answer)
            nobodys_ = await eve.ask(name, of("NOBODY", one))
            assert json.dumps(answer).replace(VICTIM, "NOBODY") == json.dumps(nobodys_), (name, one)
        else:
            assert VICTIM not in json.dumps(answer).upper(), (name, one, answer)
    for name, several in OWN.items():
        for one in several[:1]:
            assert "result" in await eve.ask(name, of(EVE, one)), name


async def test_of_an_order_s_invoices_the_one_in_her_name(
    settings: Settings, client: Client, users: Users, database: Books, tmp_path: Path
) -> None:
    """She says what becomes of it, as its seller; not of the other sellers', nor of what else the customer has."""
    file = users.file(
        tmp_path / "access.toml",
        {
            "admin": {"send": ["#"]},
            "eve": {"send": ["#"], "ask": ["#"], "party": "P-EVE"},
        },
    )
    related = {name: [{"role": "partner", "id": f"P-{name}"}] for name in (EVE, VICTIM)}
    agents = [(type_, {**body, "relatedParty": related[body["id"][3:]]}) for type_, body in map(agent_of, SELLERS)]
    lines = [item(1, "10.00", sold_for="SA-EVE"), item(2, "20.00", sold_for="SA-ADA"), item(3, "30.00")]
    async with working(settings, access=file), users.speaking("admin") as admin, users.speaking("eve") as eve:
        for message in (customer("BA-1"), *agents, order("O-1", "BA-1", *lines)):
            assert (await admin.send(message))["outcome"] == "applied"
        others = {"SA-ADA-000000001": 2, "INV-000000001": 3}
        for bill_no, line in others.items():
            disputed = dispute(f"D-{bill_no}", bill_no, credited(line, "1.00"))
            assert (await admin.send(disputed))["outcome"] == "applied"
        about = [
            sent,
            lambda bill_no: credit_note(f"N-{bill_no}", bill_no),
            lambda bill_no: dispute(f"E-{bill_no}", bill_no, credited(1, "1.00")),
            lambda bill_no: dispute_settled(f"D-{bill_no}", credited(1, "1.00")),
            lambda bill_no: dispute_withdrawn(f"D-{bill_no}"),
            lambda bill_no: payment(f"P-{bill_no}", "BA-1", "1.00", invoices=[bill_no]),
        ]
        before = whole(database)
        for bill_no in others:
            for answer in await all_of(eve.send(make(bill_no)) for make in about):
                assert answer["error"]["code"] == "forbidden"
        assert (await eve.send(payment("P-1", "BA-1", "12.00", invoices=["SA-EVE-000000001"])))["outcome"] == "parked"
        assert whole(database) == before
        for message in (
            sent("SA-EVE-000000001"),
            dispute("D-EVE", "SA-EVE-000000001", credited(1, "4.00")),
            dispute_settled("D-EVE", credited(1, "3.00")),
            credit_note("N-EVE", "SA-EVE-000000001", credited(1, "5.00")),
        ):
            assert (await eve.send(message))["outcome"] == "applied", message
        # Of 10.00 there is 2.00 left, with tax 2.40, and owed to the partner; of the others the customer owes all.
        invoice = (await eve.ask("invoice.get", {"billNo": "SA-EVE-000000001"}))["result"]
    assert invoice["remainingAmount"] == {"unit": "EUR", "value": 2.4}
    assert position(database, "BA-1")["receivable"] == 240 + 2400 + 3600
    assert (position(database, "SA-EVE"), position(database, "SA-ADA")) == ({"payable": 240}, {"payable": 2400})


async def test_a_party_that_she_names_herself(eve: Speaking) -> None:
    """The limit is the file's, whatever the arguments say; what looks like her own is not."""
    for party in ("P-ADA", "", "P-EVE ", "p-eve", "P-EV\u0415"):
        answer = await eve.ask("account.get", {"id": "BA-ADA", "party": party})
        assert answer["error"] == {"code": "forbidden", "detail": "party: the sender may ask only for P-EVE"}
    assert (await eve.ask("account.get", {"id": "BA-EVE", "party": "P-EVE"}))["result"]["id"] == "BA-EVE"
    for odd in ({"$ne": ""}, ["P-ADA"], 1, True):
        assert (await eve.ask("account.list", {"party": odd}))["error"]["code"] == "invalid"


async def test_cursors_and_ids_of_another_s(eve: Speaking, users: Users, database: Books) -> None:
    """A cursor that the victim was given opens nothing; nor does an id that hers is a part of, or looks like."""
    keep(database, [one for n in range(3) for one in one_of_each(f"{VICTIM}{n}")[:1]])
    async with users.speaking("admin") as admin:
        theirs = (await admin.ask("account.list", {"limit": 1, "relatedParty": "P-ADA"}))["result"]["after"]
        pages = [(await admin.ask("account.list", {"limit": n}))["result"]["after"] for n in (1, 2, 3)]
    for after in (theirs, *pages):
        if after is not None:
            answer = await eve.ask("account.list", {"after": after, "limit": 500})
            assert VICTIM not in json.dumps(answer)
    for id_ in (
        "BA-AD",
        "BA-ADA ",
        "ba-ada",
        "BA-EVE\x00BA-ADA",
        "BA-EVE,BA-ADA",
        {"$gt": ""},
        ["BA-ADA"],
        "^BA",
        "BA-.DA",
    ):
        answer = await eve.ask("account.get", {"id": id_})
        assert answer["error"]["code"] in ("unknown-account", "invalid"), (id_, answer)
