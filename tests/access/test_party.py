"""Who is limited to a party sends only what is about that party's accounts: each message that there is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.access import Access, Sender, Topics
from adapters.documents import KEPT
from adapters.records import Known, Properties
from domain.accounts.model import Account
from domain.accounts.related import is_related
from domain.corrections.model import CreditNote
from domain.facts import ACCOUNT_FIELDS, apply, working_set
from domain.invoicing.model import Invoice
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from handlers.engine.decision import Decisions, decide
from handlers.engine.group_commit import BatchPolicy
from handlers.engine.intake import works_of
from schemas.messages import MESSAGES
from schemas.operations.acts import Act
from tests.access.bodies import BODIES, OF_NOBODY
from tests.fixtures.documents import DOCUMENTS

NOW = datetime(2026, 12, 24, tzinfo=UTC)
KEEPING = BatchPolicy("INV-", "CN-", UTC, timedelta(days=1), timedelta(seconds=1), "test", 5, 4, 1)
DETAIL = "party: eve may send only what is about accounts that are related to P-EVE"
ACCESS = Access.of([Sender("eve", Topics(("#",)), Topics(()), "P-EVE"), Sender("desk", Topics(("#",)), Topics(()))])
SAMPLES: dict[type, Any] = {}
for _sample in DOCUMENTS.values():
    SAMPLES.setdefault(type(_sample), _sample)

OWNED_BY_NAME = {
    "accountVersions",
    "billRuns",
    "billedPeriods",
    "billFormats",
    "billPresentationMedia",
    "billingCycleSpecifications",
    "calendar",
    "closingSchedules",
    "days",
    "dunnedDays",
    "dunningProcedures",
    "dunnings",
    "entries",
    "links",
    "seller",
    "sellerVersions",
    "series",
    "transfers",
    "usageMonths",
    "usageRecords",
}
"""Collections of what belongs to no one account, or is named by what does."""


def account(account_id: str, party: str) -> Account:
    """An account that is related to a party."""
    related = ({"role": "customer", "partyOrPartyRole": {"id": party}},)
    kind = "SettlementAccount" if account_id.startswith("SA") else "BillingAccount"
    sample: Account = SAMPLES[Account]
    return dataclasses.replace(sample, id=account_id, type=kind, document={"relatedParty": related})


def there(need: DocumentNeed, party: str) -> Any:
    """What is there of that id: of an account that is related to a party."""
    if need.type is Account:
        return account(need.id, party)
    sample = SAMPLES.get(need.type)
    if sample is None:
        return None
    names = {field.name for field in dataclasses.fields(sample)}
    owned = {"billing_account": "BA-1", "settlement_account": "SA-1"}
    changes: dict[str, Any] = {name: value for name, value in owned.items() if name in names}
    if not changes and need.type is not Position:
        return None
    return dataclasses.replace(sample, **changes, **({"id": need.id} if "id" in names else {}))


async def sent(
    type_: str,
    body: Any,
    party: str | None,
    known: Mapping[str, Known] | None = None,
    properties: Properties | None = None,
) -> tuple[Decisions, WorkingSet]:
    """What becomes of a message, where all that it names is of accounts of a party (None: nothing is there)."""
    properties = properties or Properties("m-1", user_id="eve")
    return await decided([(type_, body, properties)], party, known)


async def decided(
    messages: Iterable[tuple[str, Any, Properties]], party: str | None, known: Mapping[str, Known] | None = None
) -> tuple[Decisions, WorkingSet]:
    """What becomes of messages in one batch; likewise."""
    works = [
        work
        for type_, body, properties in messages
        for work in works_of(type_, json.dumps(body).encode(), properties, lambda: None, access=ACCESS)
    ]
    books = working_set(booked_at=NOW, zone=UTC, series="INV-", credit_notes="CN-")

    async def load(needs: Iterable[Need]) -> None:
        for need in needs:
            if isinstance(need, DocumentNeed):
                books.load(need.type, need.id, None if party is None else there(need, party))
            elif isinstance(need, QueueNeed):
                books.load_queue(need, [])
            else:
                books.load_range(need, [])

    async def act(_act: Act, _sent: Properties) -> Mapping[str, object]:
        raise AssertionError("an act was let in")

    return await decide(works, known or {}, books, load, act, KEEPING, quiet=True), books


def test_each_message_has_a_body_here():
    """A message that is new is one of an attacker's too."""
    assert BODIES.keys() == MESSAGES.keys()


def test_each_kind_of_document_belongs_to_an_account_or_is_named_here():
    """What is new of an account names it by one of the fields that rights are looked up by."""
    owned = {
        kept.collection.name
        for kept in KEPT
        if kept.kind in (Account, Position)
        or {field.name for field in dataclasses.fields(kept.kind)} & {*ACCOUNT_FIELDS}
    }
    assert {kept.collection.name for kept in KEPT} - owned == OWNED_BY_NAME


@pytest.mark.parametrize("type_", BODIES)
async def test_of_another_party_s_things_no_message_is_let_in(type_: str) -> None:
    """Whatever it is: nothing is changed, nothing told of them, and no identity of a fact is taken."""
    decisions, books = await sent(type_, BODIES[type_], "P-VICTIM")
    [outcome] = decisions.outcomes
    assert (outcome.kind, outcome.code, outcome.detail) == ("parked", "forbidden", DETAIL)
    assert not decisions.batch.inbox
    assert not any(books.changed.values())
    [row] = decisions.batch.held
    assert row.identity.startswith("forbidden:")
    [told] = decisions.batch.outbox
    assert told.routing_key == "message.parked"


@pytest.mark.parametrize("type_", BODIES)
async def test_what_was_applied_before_is_not_told(type_: str) -> None:
    """The same content as another's fact gets nothing of its result; nor what became of one with other content."""
    [work] = works_of(type_, json.dumps(BODIES[type_]).encode(), Properties("m-1", user_id="eve"), lambda: None)
    for digest in (work.incoming.digest, "0" * 64):
        known = {work.incoming.identity: Known(digest, 1, "applied", result={"secret": "theirs"})}
        decisions, _ = await sent(type_, BODIES[type_], "P-VICTIM", known)
        assert decisions.outcomes[0].detail == DETAIL
        assert decisions.outcomes[0].result == {}


@pytest.mark.parametrize("type_", BODIES)
async def test_what_is_not_there_yet_waits_as_before(type_: str) -> None:
    """But for what is about no account, and an account that is to be another party's from the beginning."""
    decisions, books = await sent(type_, BODIES[type_], None)
    [outcome] = decisions.outcomes
    if type_ in OF_NOBODY or type_ == "account.create":
        assert (outcome.code, outcome.detail) == ("forbidden", DETAIL)
    else:
        assert outcome.kind == "waiting", outcome
        assert outcome.code != "forbidden"
    assert not any(books.changed.values())


@pytest.mark.parametrize("type_", sorted(BODIES.keys() - OF_NOBODY))
async def test_of_its_own_things_it_may_send_all(type_: str) -> None:
    """What the domain then says of it is another matter."""
    decisions, _ = await sent(type_, BODIES[type_], "P-EVE")
    if type_ != "account.create":  # which is another one than there is, and its document is another party's
        assert decisions.outcomes[0].code != "forbidden"


@pytest.mark.parametrize(("type_", "field"), [("order.completed", "completedAt"), ("payment.received", "receivedAt")])
async def test_what_is_too_early_keeps_no_identity_of_another_party_s(type_: str, field: str) -> None:
    """It would wait under it, for as long as its sender likes."""
    body = {**BODIES[type_], field: "2036-12-24T00:00:00Z"}
    for party, code in (("P-VICTIM", "forbidden"), ("P-EVE", "too-early")):
        decisions, _ = await sent(type_, body, party)
        assert decisions.outcomes[0].code == code


async def test_a_defect_keeps_no_identity_of_another_party_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does what fails by a defect of ours, which is held to be tried again."""

    def fails(fact: object, books: Books) -> object:
        apply(fact, books)
        raise ZeroDivisionError

    monkeypatch.setattr("handlers.engine.decision.apply", fails)
    for party, code in (("P-VICTIM", "forbidden"), ("P-EVE", "internal")):
        decisions, _ = await sent("payment.received", BODIES["payment.received"], party)
        assert decisions.outcomes[0].code == code


async def test_what_an_account_is_made_over_to_is_looked_at() -> None:
    """Its own account, which would be another party's by the message."""
    related = [{"role": "customer", "partyOrPartyRole": {"id": "P-VICTIM"}}]
    body = {**BODIES["account.update"], "changes": {"relatedParty": related}}
    assert (await sent("account.update", body, "P-EVE"))[0].outcomes[0].detail == DETAIL
    related.append({"role": "payer", "partyOrPartyRole": {"id": "P-EVE"}})
    assert (await sent("account.update", body, "P-EVE"))[0].outcomes[0].kind == "applied"


@pytest.mark.parametrize(("type_", "key"), [("payment.received", "paymentId"), ("credit.grant", "creditId")])
@pytest.mark.parametrize(("before", "after"), [("P-EVE", "P-VICTIM"), ("P-VICTIM", "P-EVE")])
async def test_an_account_that_is_handed_over_is_no_more_its_own(type_: str, key: str, before: str, after: str) -> None:
    """From the next message on, also in one batch, whether invoices are named or not; and the other way round."""
    eve, desk = Properties("m-1", user_id="eve"), Properties("m-2", user_id="desk")
    related = [{"role": "customer", "partyOrPartyRole": {"id": after}}]
    update = {"id": "BA-1", "@type": "BillingAccount", "changes": {"relatedParty": related}}
    one, two = ({**BODIES[type_], key: id_} for id_ in ("X-8", "X-9"))
    decisions, _ = await decided([(type_, one, eve), ("account.update", update, desk), (type_, two, eve)], before)
    first, changed, second = decisions.outcomes
    assert changed.kind == "applied"
    assert [one.code == "forbidden" for one in (first, second)] == [before == "P-VICTIM", after == "P-VICTIM"]


async def test_an_account_is_opened_for_its_own_party_alone():
    """And is not made over to another: it is looked at as the message leaves it."""
    body = BODIES["account.create"]
    decisions, _ = await sent("account.create", body, None)
    assert decisions.outcomes[0].code == "forbidden"
    for related in ({"role": "partner", "partyOrPartyRole": {"id": "P-EVE"}}, {"role": "partner", "id": "P-EVE"}):
        decisions, _ = await sent("account.create", {**body, "relatedParty": [related]}, None)
        assert decisions.outcomes[0].kind == "applied"


@pytest.mark.parametrize(
    "named",
    [
        {"accountRelationship": [{"relationshipType": "payer", "account": {"id": "BA-1"}}]},
        {"accountRelationship": [{"relationshipType": "contains", "account": {"id": "BA-1"}}]},
        {"financialAccount": {"id": "FA-1"}},
    ],
)
async def test_an_account_refers_to_none_of_another_party_s(
    named: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the payer's, or in the sum of the other."""
    theirs = {"BA-1", "FA-1"}
    monkeypatch.setitem(globals(), "account", lambda id_, _party: _account(id_, "SA-1") if id_ in theirs else None)
    body = {**BODIES["account.create"], "@type": "BillingAccount", "relatedParty": [{"role": "x", "id": "P-EVE"}]}
    del body["settlementTerms"]
    assert (await sent("account.create", body, "P-EVE"))[0].outcomes[0].kind == "applied"
    assert (await sent("account.create", {**body, **named}, "P-EVE"))[0].outcomes[0].detail == DETAIL


async def test_both_accounts_of_a_transfer_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credit may not go to another party's, nor come from there."""
    for own in ("BA-1", "BA-2"):
        monkeypatch.setitem(globals(), "account", lambda id_, _party, own=own: _account(id_, own))
        decisions, _ = await sent("credit.transfer", BODIES["credit.transfer"], "P-EVE")
        assert decisions.outcomes[0].detail == DETAIL


_make = account


def _account(account_id: str, own: str) -> Account:
    return _make(account_id, "P-EVE" if account_id == own else "P-VICTIM")


IN_ITS_NAME = {
    "credit-note.issue",
    "dispute.open",
    "dispute.settle",
    "dispute.withdraw",
    "invoice.send",
    "invoice.validate",
    "invoice.write-off",
    "payment.failed",
}
"""What names an invoice in a partner's name, or a dispute or a request of it, and nothing else of its customer's."""


@pytest.mark.parametrize(("seller", "let_in"), [("SA-9", IN_ITS_NAME), ("SA-8", set()), (None, set())])
async def test_an_invoice_in_its_name_is_its_own(
    monkeypatch: pytest.MonkeyPatch, seller: str | None, let_in: set[str]
) -> None:
    """As when it asks; its customer's account is not, nor an invoice in the name of another, or in ours."""
    monkeypatch.setitem(globals(), "account", lambda id_, _party: _account(id_, "SA-9"))
    for kind in (Invoice, CreditNote):
        monkeypatch.setitem(SAMPLES, kind, dataclasses.replace(SAMPLES[kind], seller=seller))
    found = set()
    for type_, body in BODIES.items():
        decisions, _ = await sent(type_, body, "P-EVE")
        if decisions.outcomes[0].code != "forbidden":
            found.add(type_)
    assert found == let_in


async def test_a_payment_passes_over_what_is_another_s():
    """Named or unknown, an invoice that it does not pay is told alike, so naming one finds out nothing."""
    body = {**BODIES["payment.received"], "invoices": ["INV-000000009"]}
    decisions, _ = await sent("payment.received", body, None)
    assert decisions.outcomes[0].kind == "waiting"


async def test_it_is_the_acting_user_who_is_limited():
    """And not the gateway."""
    rights = Access.of(
        [Sender("api", Topics(("#",)), Topics(()), gateway=True), Sender("eve", Topics(("#",)), Topics(()), "P-EVE")]
    )
    speaker = rights.sending(Properties(user_id="api", headers={"acting-user": "eve"}), "order.completed")
    assert speaker.party == "P-EVE"


@pytest.mark.parametrize(
    "party", ["p-eve", "P-EVE ", " P-EVE", "P-EV", "P-EVE-2", "P\u2010EVE", "\u0420-EVE", "%", "*"]
)
def test_ids_that_look_alike_are_others(party: str) -> None:
    """Case, spaces, what it begins with, letters of other alphabets: none is the party's id."""
    assert not is_related(account("BA-1", "P-EVE"), party)
    assert is_related(account("BA-1", party), party)


def test_what_is_written_in_two_ways_of_unicode_is_one():
    """Composed and decomposed, as queries have it."""
    assert is_related(account("BA-1", "Caf\u00e9"), "Cafe\u0301")
