"""The audit of the account side, on books that real facts made: clean as they are, red when one thing is broken."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from typing import Any

import pytest
from pydantic_core import to_json
from pymongo import MongoClient, ReturnDocument

from adapters.accounts.audit import accounts, kept, specifications
from adapters.accounts.codecs import decode_account
from adapters.accounts.documents import account_as_json
from adapters.audit import CHECKS
from adapters.store.store import Store
from adapters.values import value_id
from domain.accounts.model import Relationship
from services import Services
from tests.audit.test_agents import MUTATIONS as OF_AGENTS
from tests.audit.test_any_books import OF_TAKEN_BACK
from tests.audit.test_audit import (
    MUTATIONS,
    Mutation,
    adding,
    all_of,
    audited,
    changing,
    copying,
    losing,
    red,
    renaming,
)
from tests.billing.test_audit import TAMPERINGS
from tests.dunning.test_audit import MUTATIONS as OF_DUNNING
from tests.settlement.test_documents_audit import MUTATIONS as OF_DOCUMENTS
from tests.support.books import Books, Document, Made
from tests.support.facts import take
from tests.support.messages import (
    Json,
    Message,
    account,
    closing,
    command,
    credit_note,
    customer,
    item,
    order,
    partner,
    payment,
    payout,
    relationship,
    update,
)

BOOKED = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def bill_structure(**references: str) -> Json:
    """A bill structure that refers to a format and a cycle."""
    found: Json = {"@type": "BillStructure"}
    if "format" in references:
        found["format"] = {"@type": "BillFormatRef", "id": references["format"]}
    if "cycle" in references:
        found["cycleSpecification"] = {"@type": "BillingCycleSpecificationRef", "id": references["cycle"]}
    if "media" in references:
        found["presentationMedia"] = [{"@type": "BillPresentationMediaRef", "id": references["media"]}]
    return found


def specification(resource: str, verb: str, id_: str, **fields: Any) -> Message:
    """A command of a bill format, a presentation media or a billing cycle specification."""
    return f"{resource}.{verb}", {"id": id_, **fields}


NOTES = ["x" * 20_000, "y" * 20_000]
YEAR_END = "2027-01-01T00:00:00Z"
FACTS: list[list[Message]] = [
    [
        specification("bill-format", "create", "F-1", name="A4"),
        specification("bill-format", "create", "F-2", name="Letter"),
        specification("bill-presentation-media", "create", "F-1", name="Paper"),
        specification("billing-cycle-specification", "create", "S:1", name="Monthly", frequency="monthly"),
        account("FinancialAccount", "FA-1"),
        account("PartyAccount", "PA-1"),
        customer("BA-1", financialAccount={"@type": "FinancialAccountRef", "id": "FA-1"}),
        customer("BA-3"),
        customer(
            "BA-2",
            accountRelationship=[
                relationship("payer", "BA-1", until=YEAR_END),
                relationship("payer", "BA-3", since=YEAR_END),
                relationship("friend", "BA-1"),
                relationship("foe", "BA-1"),
            ],
            billStructure=bill_structure(format="F-1", cycle="S:1", media="F-1"),
        ),
    ],
    [
        # PA-3 contains PA-1, which contains BA-1 and, until the year ends, BA-2; then it is PA-2 that contains BA-2.
        account("PartyAccount", "PA-2", accountRelationship=[relationship("contains", "BA-2", since=YEAR_END)]),
        account(
            "PartyAccount",
            "PA-3",
            accountRelationship=[relationship("contains", "PA-2"), relationship("contains", "PA-1")],
        ),
        update(
            "PA-1",
            {
                "accountRelationship": [
                    relationship("contains", "BA-2", until=YEAR_END),
                    relationship("contains", "BA-1"),
                ]
            },
            "PartyAccount",
        ),
        specification("bill-format", "update", "F-1", changes={"name": "A4 portrait"}),
        # Says what is so already.
        specification("bill-format", "update", "F-1", changes={"name": "A4 portrait"}),
        specification("bill-format", "delete", "F-2"),
        update("BA-1", {"name": "Customer BA-1"}),
        update("BA-1", {"name": "Ada & Sons", "creditLimit": {"unit": "EUR", "value": 30}}),
        customer(
            "GONE", accountRelationship=[relationship("payer", "BA-1")], billStructure=bill_structure(format="F-1")
        ),
        customer("LARGE", note=NOTES[0]),
        customer("CLOSED", state="Defined"),
        customer("SUSPENDED"),
        customer("CLOSING", paymentTermDays=10),
        customer("SETTLED"),
        customer("BACK"),
        customer("RETURNING"),
        partner("SA-1", "0.5"),
        partner("SA-2", "0.8", "payment"),
    ],
    [
        # BA-2's is billed to BA-1.
        order("O-1", "BA-2", item(1, "10.00"), item(2, "20.00", sold_for="SA-1")),
        update("LARGE", {"name": "Larger"}),
        specification("bill-format", "create", "F-9", name="Long", note=NOTES[0]),
        order("O-2", "CLOSING"),
        order("O-3", "CLOSING", item(1, "10.00", sold_for="SA-2")),
        order("O-4", "SETTLED"),
        order("O-5", "BACK"),
        order("O-6", "RETURNING"),
        command("delete", "GONE"),
        command("close", "CLOSED"),
        command("suspend", "SUSPENDED"),
        command("close", "CLOSING"),
        command("close", "SETTLED"),
        command("close", "BACK"),
        command("reopen", "BACK"),
        update(
            "BA-2",
            {
                "accountRelationship": [
                    relationship("payer", "BA-1", until=YEAR_END),
                    relationship("payer", "BA-3", since=YEAR_END),
                ]
            },
        ),
    ],
    [
        update("LARGE", {"note": NOTES[1]}),
        payment("P-1", "CLOSING", "15.00"),
        payment("P-2", "SETTLED", "12.00"),
        payment("P-3", "BA-1", "1.00"),
        # What is to be given back to it is all that is open.
        payment("P-4", "RETURNING", "12.00"),
        credit_note("N-1", "INV-000000006", excess="refund"),
        command("close", "RETURNING"),
        command("close", "SA-1"),
        command("close", "SA-2"),
        closing("C-1", "SA-1"),
        payout("PO-1", "SA-1", "C-1", "10.00"),
        command("resume", "SUSPENDED"),
        command("suspend", "SUSPENDED"),
    ],
]


async def write_books(url: str, name: str) -> None:
    """Apply the facts to a new database, each list in a transaction and at a minute of its own."""
    store = Store(url, name, "pymongo")
    await store.prepare()
    try:
        for n, messages in enumerate(FACTS):
            await take(store, BOOKED + timedelta(minutes=n), messages, f"m-{n}")
    finally:
        await store.close()


@pytest.fixture(scope="module")
def made(services: Services, mongo: MongoClient[Document]) -> Iterator[Made]:
    """The facts applied, once for all the tests here, and their events sent."""
    database = mongo[f"test-{uuid.uuid4().hex[:12]}"]
    try:
        asyncio.run(write_books(services.mongodb_url, database.name))
        database["outbox"].update_many({}, {"$set": {"sentAt": BOOKED}, "$unset": {"unsent": ""}})
        yield Made.of(database)
    finally:
        mongo.drop_database(database)


@pytest.fixture
def books(made: Made) -> Books:
    """The books as the facts made them, whatever the test before has done to them."""
    return made.restored()


def test_books_made_by_real_facts_are_ok(books: Books) -> None:
    """What the domain does to accounts and specifications passes every check, and gives each something to look at."""
    report = audited(books)
    assert report["ok"], [check for check in report["checks"] if not check["ok"]]
    states = {row["_id"]: (row["state"], row["revision"], row["version"]) for row in books["accounts"].find()}
    assert states["CLOSING"] == states["SA-2"] == states["RETURNING"] == ("pendingClose", 2, 2)
    assert states["SETTLED"] == states["SA-1"] == ("closed", 2, 3)
    assert (states["GONE"][0], states["SUSPENDED"][0], states["CLOSED"][0]) == ("deleted", "suspended", "closed")
    ours = {check.name for check in (*accounts.CHECKS, *kept.CHECKS, *specifications.CHECKS)}
    ours |= {"values-are-what-their-ids-say", "values-referred-to-are-there"}
    assert {check["name"] for check in report["checks"] if not check["checked"]} & ours == set()


# -- what can break


def setting(account_id: str, **fields: Any) -> Callable[[Books], object]:
    """Sets fields of an account, its JSON too, and of what its last version keeps of it."""
    change = {name.replace("__", "."): value for name, value in fields.items()}

    def breaks(books: Books) -> None:
        found = books["accounts"].find_one_and_update(
            {"_id": account_id}, {"$set": change}, return_document=ReturnDocument.AFTER
        )
        assert found is not None
        books["accounts"].update_one({"_id": account_id}, {"$set": {"json": account_as_json(decode_account(found))}})
        version = {f"snapshot.{name}": value for name, value in change.items()}
        if "state" in change:
            version["newState"] = change["state"]
        last = {"_id": f"{account_id}/{found['version']}"}
        assert books["accountVersions"].update_one(last, {"$set": version}).modified_count == 1

    return breaks


def relating(kind: str, referrer: str, referred: str) -> Callable[[Books], object]:
    """Adds a relationship, without end, to an account and its last version, and the link that belongs to it."""

    def breaks(books: Books) -> None:
        found = books["accounts"].find_one({"_id": referrer})
        assert found is not None
        added = {"type": kind, "account": referred, "from": None, "until": None}
        setting(referrer, relationships=[*found["relationships"], added])(books)
        books["links"].insert_one(
            {
                "_id": f"{kind}/{referrer}/{referred}",
                "owner": f"{kind}/{referred}",
                "kind": kind,
                "referrer": referrer,
                "referred": referred,
                "open": True,
            }
        )

    return breaks


def setting_large(account_id: str, note: str) -> Callable[[Books], object]:
    """Sets a large field of an account, and its JSON."""

    def breaks(books: Books) -> None:
        row = books["accounts"].find_one({"_id": account_id})
        assert row is not None
        row["document"]["note"] = note
        row["json"] = account_as_json(decode_account(row))
        books["accounts"].replace_one({"_id": account_id}, row)

    return breaks


def dropping(collection: str, key: str, field: str) -> Callable[[Books], object]:
    """Takes a field from one document."""

    def breaks(books: Books) -> None:
        assert books[collection].update_one({"_id": key}, {"$unset": {field: ""}}).modified_count == 1

    return breaks


INV1 = "INV-000000001"
VALUES = [
    *(value_id("LARGE", to_json(note)) for note in NOTES),
    value_id("bill-format/F-9", to_json(NOTES[0])),
]
"""The first is in no account's last version."""
FORMAT_LOST = {
    "references-point-to-what-is-there",
    "specifications-match-inbox",
    "specification-events-run-without-gap",
}

ACCOUNT_MUTATIONS: list[Mutation] = [
    # -- 2: positions
    Mutation(
        "oldest-due-off",
        changing("positions", "BA-1", oldestDue="2026-12-21"),
        {"oldest-due-matches-open-invoices"},
    ),
    Mutation(
        "oldest-due-of-nothing",
        changing("positions", "BA-3", oldestDue="2026-12-22"),
        {"oldest-due-matches-open-invoices"},
    ),
    Mutation(
        "oldest-due-forgotten", changing("positions", "BACK", oldestDue=None), {"oldest-due-matches-open-invoices"}
    ),
    # -- 5: what is withheld
    Mutation("withheld-line-miscounted", changing("positions", "BA-1", withholding=1), {"withholding-matches-lines"}),
    # -- 6: history
    Mutation(
        "first-version-lost",
        losing("accountVersions", "BA-1/1"),
        {
            "versions-run-without-gap",
            "states-follow-each-other",
            "revisions-count-commands",
            "versions-match-commands",
        },
    ),
    Mutation(
        "version-lost",
        losing("accountVersions", "SUSPENDED/2"),
        {
            "versions-run-without-gap",
            "states-follow-each-other",
            "revisions-count-commands",
            "versions-match-commands",
        },
    ),
    Mutation(
        "last-version-lost",
        losing("accountVersions", "BA-1/2"),
        {"versions-run-without-gap", "last-versions-match-accounts", "invoices-name-buyer-versions"},
    ),
    Mutation(
        "version-twice",
        copying("accountVersions", "BA-1/2", id_="BA-1/2b"),
        {"versions-run-without-gap", "revisions-count-commands", "versions-match-commands"},
    ),
    Mutation(
        "version-misnamed",
        renaming("accountVersions", "BA-1/2", "BA-1/3"),
        {"versions-run-without-gap", "invoices-name-buyer-versions"},
    ),
    Mutation(
        "version-of-no-account",
        copying("accountVersions", "BA-3/1", id_="BA-9/1", account="BA-9"),
        {
            "versions-run-without-gap",
            "last-versions-match-accounts",
            "snapshots-match-versions",
            "versions-match-commands",
        },
    ),
    Mutation(
        "account-changed-without-version",
        changing("accounts", "BA-1", document__name="Bob"),
        {"last-versions-match-accounts", "accounts-json-is-what-they-say"},
    ),
    Mutation("json-of-an-account-off", changing("accounts", "BA-1", json=b"{}"), {"accounts-json-is-what-they-say"}),
    Mutation("json-of-an-account-lost", dropping("accounts", "BA-1", "json"), {"accounts-json-is-what-they-say"}),
    Mutation(
        "large-field-of-an-account-off",
        setting_large("LARGE", NOTES[0]),
        {"large-documents-match-last-versions"},
    ),
    Mutation(
        "last-version-of-another-value",
        changing("accountVersions", "LARGE/3", values__0__value=VALUES[0]),
        {"large-documents-match-last-versions"},
    ),
    Mutation(
        "last-version-without-its-value",
        dropping("accountVersions", "LARGE/3", "values"),
        {"last-versions-match-accounts"},
    ),
    Mutation(
        "small-field-of-a-large-document-off",
        changing("accountVersions", "LARGE/3", snapshot__document__name="Bob"),
        {"large-documents-match-last-versions"},
    ),
    Mutation(
        "field-beside-a-large-document-off",
        changing("accountVersions", "LARGE/3", snapshot__paymentTermDays=7),
        {"last-versions-match-accounts"},
    ),
    Mutation("value-off", changing("values", VALUES[0], json=b'"y"'), {"values-are-what-their-ids-say"}),
    Mutation("value-lost", losing("values", VALUES[0]), {"values-referred-to-are-there"}),
    Mutation("value-of-a-specification-lost", losing("values", VALUES[2]), {"values-referred-to-are-there"}),
    *(
        Mutation(
            f"no-value-of-{collection}",
            changing(collection, key, values__0__value="LARGE/none"),
            {"values-referred-to-are-there"},
        )
        for collection, key in (
            ("accountVersions", "LARGE/1"),
            ("inbox", "account.create:LARGE"),
            ("outbox", "LARGE:2"),
            ("outbox", "bill-format/F-9:1"),
        )
    ),
    Mutation(
        "snapshot-lacks-a-field",
        dropping("accountVersions", "BA-1/2", "snapshot.parties"),
        {"last-versions-match-accounts"},
    ),
    Mutation(
        "snapshot-of-another-revision",
        changing("accountVersions", "BA-1/1", snapshot__revision=7),
        {"snapshots-match-versions"},
    ),
    Mutation(
        "version-of-another-time",
        changing("accountVersions", "BA-1/1", bookedAt=BOOKED - timedelta(days=1)),
        {"snapshots-match-versions"},
    ),
    Mutation(
        "old-state-off",
        changing("accountVersions", "SUSPENDED/2", oldState="closed"),
        {"states-follow-each-other"},
    ),
    Mutation(
        "old-state-of-what-was-not",
        changing("accountVersions", "BA-1/1", oldState="defined"),
        {"states-follow-each-other"},
    ),
    Mutation(
        "revision-of-a-closing-by-itself",
        all_of(setting("SETTLED", revision=3), changing("accountVersions", "SETTLED/3", revision=3)),
        {"revisions-count-commands"},
    ),
    Mutation(
        "command-without-version",
        lambda books: books["inbox"].insert_one({"_id": "account.suspend:m-99"}),
        {"versions-match-commands"},
    ),
    Mutation(
        "version-of-no-command",
        changing("accountVersions", "BA-1/2", cause="account.update:m-99"),
        {"versions-match-commands"},
    ),
    *(
        Mutation(
            f"closing-by-itself-caused-by-{cause}",
            changing("accountVersions", "SETTLED/3", cause=cause),
            {"closings-by-themselves-follow-facts"},
        )
        for cause in ("payment.received:P-9", "order.completed:O-4")
    ),
    Mutation(
        "closing-by-itself-of-an-active-account",
        changing("accountVersions", "SETTLED/3", oldState="active"),
        {"closings-by-themselves-follow-facts", "states-follow-each-other"},
    ),
    # -- 6: states
    Mutation("no-state-of-an-account", setting("BA-3", state="lost"), {"account-states-legal"}),
    *(
        Mutation(
            f"{account_id}-called-closed",
            setting(account_id, state="closed"),
            {"closed-accounts-have-nothing-open"},
        )
        for account_id in ("BACK", "SA-2", "RETURNING")
    ),
    Mutation(
        "closed-with-something-carried-forward",
        changing("positions", "CLOSED", carriedForward={"settlementId": "C-1", "amount": -5}),
        {"closed-accounts-have-nothing-open", "statements-carried-forward-once"},
    ),
    Mutation(
        "closed-with-an-accrual-not-stated",
        changing("accruals", f"{INV1}/2", settlementId=None),
        {"closed-accounts-have-nothing-open", "accruals-in-one-statement"},
    ),
    Mutation("not-closed-yet", setting("BA-3", state="pendingClose"), {"accounts-to-close-have-something-open"}),
    Mutation(
        "deleted-and-posted-to",
        setting("SETTLED", state="deleted"),
        {"deleted-accounts-were-never-posted-to", "closings-by-themselves-follow-facts"},
    ),
    # -- 6 and 7: specifications
    Mutation(
        "no-state-of-a-specification", changing("billFormats", "F-2", state="gone"), {"specification-states-legal"}
    ),
    Mutation(
        "specification-changed-before-its-creation",
        changing("billFormats", "F-2", updatedAt=BOOKED - timedelta(days=1)),
        {"specification-states-legal"},
    ),
    Mutation(
        "revision-of-a-specification-off",
        adding("billFormats", "F-1", revision=1),
        {"specifications-match-inbox", "specification-events-run-without-gap"},
    ),
    Mutation(
        "specification-created-by-nothing", losing("inbox", "bill-format.create:F-1"), {"specifications-match-inbox"}
    ),
    Mutation("specification-lost", losing("billFormats", "F-1"), FORMAT_LOST),
    Mutation(
        "specification-under-another-id",
        renaming("billFormats", "F-2", "F-3"),
        FORMAT_LOST - {"references-point-to-what-is-there"},
    ),
    *(
        Mutation(
            f"event-{n}-of-a-specification-lost",
            losing("outbox", f"bill-format/F-1:{n}"),
            {"specification-events-run-without-gap"},
        )
        for n in (1, 2)
    ),
    *(
        Mutation(
            f"event-of-a-specification-called-{name}",
            renaming("outbox", "billing-cycle-specification/S:1:1", name),
            {"specification-events-run-without-gap"},
        )
        for name in (
            "billing-cycle-specification/S:1:01",
            "billing-cycle-specification/S:1:2",
            "billing-cycle-specification/S:1",
            "billing-cycle-specification/S",
            "bill-format/F-2:3",
        )
    ),
    Mutation(
        "event-of-nobody",
        copying("outbox", "BA-1:1", id_="BA-1:1b", account=None),
        {"events-say-whose-they-are"},
    ),
    # -- 9: who refers to whom
    Mutation(
        "financial-account-not-found-by",
        setting("BA-1", financialAccount=None),
        {"financial-account-is-its-reference"},
    ),
    Mutation("link-lost", losing("links", "contains/PA-1/BA-1"), {"links-match-references"}),
    Mutation("link-closed", changing("links", "format/BA-2/F-1", open=False), {"links-match-references"}),
    Mutation(
        "link-of-a-deleted-account-left-open",
        changing("links", "payer/GONE/BA-1", open=True),
        {"links-match-references"},
    ),
    Mutation("reference-forgotten", setting("BA-2", references=[]), {"links-match-references"}),
    Mutation("link-of-another-owner", changing("links", "payer/BA-2/BA-3", owner="payer/BA-1"), {"links-well-formed"}),
    Mutation("link-of-no-known-kind", changing("links", "related/BA-2/BA-1", kind="friend"), {"links-well-formed"}),
    Mutation("referred-account-deleted", setting("BA-3", state="deleted"), {"references-point-to-what-is-there"}),
    Mutation(
        "referred-specification-deleted",
        changing("billFormats", "F-1", state="deleted"),
        {"references-point-to-what-is-there"},
    ),
    Mutation("parent-of-nothing", relating("contains", "PA-2", "BA-9"), {"references-point-to-what-is-there"}),
    Mutation("payer-of-another-type", relating("payer", "BA-3", "PA-1"), {"payers-and-financial-accounts-fit"}),
    Mutation("payer-of-a-partner", relating("payer", "SA-1", "BA-3"), {"payers-and-financial-accounts-fit"}),
    Mutation(
        "payer-of-another-currency",
        setting("BA-3", currency="USD"),
        {"payers-and-financial-accounts-fit", "accounts-have-positions"},
    ),
    Mutation(
        "financial-account-of-another-type", setting("FA-1", type="PartyAccount"), {"payers-and-financial-accounts-fit"}
    ),
    Mutation(
        "two-payers-at-one-time",
        setting("BA-2", relationships__0__until=None),
        {"one-payer-and-one-parent-at-a-time"},
    ),
    Mutation("two-parents", relating("contains", "PA-3", "BA-1"), {"one-payer-and-one-parent-at-a-time"}),
    Mutation("cycle-of-parents", relating("contains", "BA-1", "PA-3"), {"no-account-is-above-itself"}),
    Mutation("cycle-of-payers", relating("payer", "BA-1", "BA-2"), {"no-account-is-above-itself"}),
    Mutation("parent-of-itself", relating("contains", "SUSPENDED", "SUSPENDED"), {"no-account-is-above-itself"}),
    *(
        Mutation(
            f"ordered-for-{account_id}",
            changing("invoices", INV1, orderedFor=account_id),
            {"invoices-point-to-billing-accounts"},
        )
        for account_id in ("BA-9", "PA-1")
    ),
    Mutation(
        "ordered-for-nobody",
        dropping("invoices", INV1, "orderedFor"),
        {"invoices-point-to-billing-accounts"},
    ),
]


@pytest.mark.parametrize("mutation", ACCOUNT_MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_account_turns_its_checks_red(books: Books, mutation: Mutation) -> None:
    """What was broken is seen by the checks that watch it, and by no others."""
    mutation.breaks(books)
    assert red(audited(books)) == mutation.seen_by


def test_every_check_can_fail() -> None:
    """A check that nothing can turn red proves nothing: each has a mutation, and each invariant a check."""
    seen_by = set().union(
        *(one.seen_by for one in (*MUTATIONS, *ACCOUNT_MUTATIONS, *OF_AGENTS, *OF_DOCUMENTS, *OF_DUNNING)),
        *(one.seen_by for one in TAMPERINGS),
        OF_TAKEN_BACK,
    )
    assert seen_by == {check.name for check in CHECKS}
    assert {check.invariant for check in CHECKS} == set(range(1, 10))


def test_the_report_names_the_fields_that_differ(books: Books) -> None:
    """Not their values: an account is long, and a time is not JSON."""
    changing("accounts", "BA-1", document__name="Bob", updatedAt=BOOKED)(books)
    check = next(check for check in audited(books)["checks"] if check["name"] == "last-versions-match-accounts")
    [offender] = check["broken"]
    assert (offender["id"], offender["found"]["account"]) == ("BA-1", 1)
    assert sorted(offender["found"]["differ"]) == ["document", "updatedAt"]


def test_pruned_events_of_specifications_are_no_gap_at_the_front(books: Books) -> None:
    """Where sent rows are pruned, a specification's events may begin later or be gone."""
    for key in ("bill-format/F-1:1", "billing-cycle-specification/S:1:1"):
        losing("outbox", key)(books)
    assert audited(books, outbox_pruned=True)["ok"]
    assert red(audited(books)) == {"specification-events-run-without-gap"}


@pytest.mark.parametrize("kind", ["contains", "payer"])
@pytest.mark.parametrize("links", [1, 2, 17, accounts.LEVELS - 1, accounts.LEVELS])
def test_a_long_chain_is_no_cycle(database: Books, kind: str, links: int) -> None:
    """A hierarchy may be deep; only where it goes round is it broken, and only that is named."""
    view = accounts.hierarchies

    def left() -> set[str]:
        found = database[view.collection].aggregate([*view.steps, {"$match": {"left": {"$gt": 0}}}])
        return {row["_id"]["account"] for row in found}

    def lead(referrer: str, referred: str) -> None:
        name = f"{kind}/{referrer}/{referred}"
        database["links"].insert_one(
            {"_id": name, "kind": kind, "referrer": referrer, "referred": referred, "open": True}
        )

    for n in range(links):
        lead(f"A-{n:02d}", f"A-{n + 1:02d}")
    lead("B", "A-00")
    assert (left() == set()) == (links < accounts.LEVELS)
    lead(f"A-{links:02d}", "A-00")
    assert left() == {f"A-{n:02d}" for n in range(links + 1)}


def at(day: int | None) -> datetime | None:
    """A day of a month, or no end."""
    return None if day is None else datetime(2026, 12, day, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["contains", "payer"])
def test_overlaps_are_those_that_the_domain_refuses(database: Books, kind: str) -> None:
    """Of an account's payers, and of its parents, no two may hold at one time; one that ends first holds at none."""
    random = Random(666)
    rows: list[Document] = []
    clashes: set[str] = set()
    for n in range(2_000):
        # One account's payers; or two parents, P and Q, of one child.
        child, days = f"C-{n}", (None, *range(1, 8))
        spans = [
            (random.choice("PQ"), Relationship(kind, child, at(random.choice(days)), at(random.choice(days))))
            for _ in range(random.randint(1, 4))
        ]
        rows += (
            [account_row(child, [r for _, r in spans])]
            if kind == "payer"
            else [account_row(f"{parent}-{n}", [r for who, r in spans if who == parent]) for parent in "PQ"]
        )
        holding = [(who, r) for who, r in spans if not (r.valid_from and r.valid_until) or r.valid_from < r.valid_until]
        if any(
            one.overlaps(other) and (kind == "payer" or who != other_who)
            for (who, one), (other_who, other) in combinations(holding, 2)
        ):
            clashes.add(child)
    database["accounts"].insert_many(rows)
    view = accounts.payers_and_parents
    found = database[view.collection].aggregate([*view.steps, {"$match": {"broken": {"$gt": 0}}}])
    assert {row["_id"]["account"] for row in found} == clashes
    assert len(clashes) > 100


def account_row(account_id: str, relationships: list[Relationship]) -> Document:
    """As much of an account as there is to see of its relationships."""
    rows = [{"type": r.type, "account": r.account, "from": r.valid_from, "until": r.valid_until} for r in relationships]
    return {"_id": account_id, "state": "active", "relationships": rows}
