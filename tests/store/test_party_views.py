"""What a party is told: its own, as if nothing else were there; by every query that there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest

from adapters.documents import COLLECTION, ENCODE
from adapters.queries import read
from adapters.records import parked_id
from adapters.store.rows import held_row
from adapters.store.store import Store
from domain.accounts.model import Account, AccountVersion, Reference, Relationship, SettlementTerms
from domain.accounts.specifications import (
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
)
from domain.billing.billed import BilledPeriod, BilledPrice
from domain.billing.differing import BilledLine, CountedMonth
from domain.billing.model import Charge
from domain.billing.rating import Rate
from domain.billing.runs import BillRun
from domain.billing.subscriptions import Subscription
from domain.billing.terms import ProductPrice, Terms
from domain.billing.usage import UsageRecord
from domain.corrections.model import Dispute, DisputedLine, Refund, WriteOff
from domain.dunning.model import Dunning, Suspension
from domain.errors import Refused
from domain.invoicing.model import Invoice, LineOrigin, Period
from domain.invoicing.pricing import Item
from domain.ledger.entries import Entry, Posting
from domain.parties.model import SellerVersion
from domain.payments.model import Allocation
from domain.periods import DateRange
from domain.settlement.agreements import AgreedTerms, Agreement
from domain.settlement.documents import DocumentLine, DocumentTax, SettlementDocument, TypeCode
from domain.settlement.payouts import Payout
from domain.settlement.reserves import Reserve
from domain.settlement.statements import Settlement
from domain.settlement.terms import LineTerms
from schemas.accounts.queries import StatementPlace
from schemas.queries import QUERIES, read_query
from schemas.query import milliseconds
from tests.conftest import Driver
from tests.store import documents as make
from tests.support.books import Books
from tests.support.ledger_book import (
    LedgerBook,
    adjustment,
    billing,
    change,
    credit_note,
    demand,
    line,
    monthly,
    order,
    partner,
    payment,
    relation,
    reversal,
    subscription,
    transfer,
    update,
)

NOW = make.NOW
BEFORE = NOW - timedelta(hours=1)
TODAY = NOW.date()
BILLING, SETTLEMENT, PARTY, FINANCIAL = "BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount"
SHARE = SettlementTerms(Decimal("0.8"), "invoice")
PRICED = Terms((ProductPrice("P-1", "calls", "usage", "S", Decimal("0.2"), Decimal(1)),))
NOBODY = "NOBODY"


@pytest.fixture
def driver() -> Driver:
    """Queries are read by PyMongo, whichever driver the work is done by."""
    return "pymongo"


def related(*parties: str) -> list[dict[str, Any]]:
    """Parties of an account: in the v5 form, and those whose name ends in a star in the flat one."""
    found: list[dict[str, Any]] = []
    for party in parties:
        who = {"id": f"P-{party.rstrip('*')}", "name": f"Name of {party}"}
        role: dict[str, Any] = {"@type": "RelatedPartyRefOrPartyRoleRef", "role": "customer"}
        if party.endswith("*"):
            found.append({**role, **who, "@referredType": "Individual"})
        else:
            found.append({**role, "partyOrPartyRole": {"@type": "PartyRef", **who}})
    return found


def account(id_: str, *parties: str, **fields: Any) -> Account:
    """An account of parties, as `related` has them."""
    document = {"name": f"Account {id_}", "relatedParty": related(*parties), **fields.pop("document", {})}
    return make.account(id_, document=document, **fields)


def _document(number: str, code: TypeCode, name: str) -> SettlementDocument:
    line = DocumentLine("accrual", None, "S", Decimal("0.2"), 80, TODAY, TODAY)
    tax = DocumentTax("S", Decimal("0.2"), 80, 16)
    return SettlementDocument(
        number,
        code,
        f"SA-{name}",
        f"C-{name}",
        "EUR",
        TODAY,
        f"settlement.close:C-{name}",
        NOW,
        80,
        96,
        (line,),
        (tax,),
    )


def one_of_each(who: str) -> list[Any]:
    """A thing of each kind of one party, which is in the name or id of each; `who` with a star is told in flat form."""
    name = who.rstrip("*")
    of: dict[str, Any] = {"settlement_terms": SHARE}
    billing = account(
        f"BA-{name}",
        who,
        relationships=(Relationship("contains", f"BB-{name}"),),
        references=(Reference("financialAccount", f"FA-{name}"),),
    )
    bill_no = f"{name}-000000001"
    period = Period(NOW - timedelta(days=2), NOW)
    origin = LineOrigin(f"BA-{name}", None, f"S-{name}", "P-1", period)
    invoice = make.invoice(1, f"BA-{name}", due=date(2026, 11, 1))
    item = Item("1", f"fibre of {name}", Decimal(1), Decimal(1), "S", Decimal("0.2"), None)
    agreed = AgreedTerms(date(2026, 1, 1), LineTerms(Decimal("0.8"), "invoice"), 1, "", NOW)
    days = DateRange(TODAY - timedelta(days=2), TODAY)
    counted = BilledLine(
        bill_no,
        "1",
        Rate(Decimal(1), None, "S", Decimal("0.2"), None),
        None,
        1000,
        counted=(CountedMonth("2026-11", 0, 5),),
    )
    return [
        billing,
        AccountVersion(billing, BEFORE, f"account.create:BA-{name}", (), None, None),
        account(f"BB-{name}", who),
        account(f"SA-{name}", who, type=SETTLEMENT, **of),
        account(f"PA-{name}", who, type=PARTY),
        account(f"FA-{name}", who, type=FINANCIAL),
        make.position(f"BA-{name}", receivable=1200, oldest_due=date(2026, 11, 1), movements=1),
        make.position(f"BB-{name}"),
        make.position(f"SA-{name}", payable=80),
        Entry(
            f"order.completed:O-{name}",
            f"order.completed:O-{name}",
            NOW,
            NOW,
            (Posting(f"receivable:BA-{name}", "EUR", 1200, movement=1), Posting("revenue", "EUR", -1200)),
        ),
        replace(
            invoice,
            id=bill_no,
            order_id=f"O-{name}",
            lines=(replace(invoice.lines[0], description=f"calls of {name}", origin=origin),),
        ),
        _document(f"SB-{name}", "389", name),
        _document(f"FEE-{name}", "380", name),
        replace(make.credit_note(1, f"BA-{name}", bill_no), id=f"N-{name}", bill_no=f"CN-{name}"),
        make.payment(f"PY-{name}", f"BA-{name}"),
        Allocation(f"{bill_no}/PY-{name}", bill_no, f"PY-{name}", f"BA-{name}", 100, f"payment.received:{name}", NOW),
        Dispute(
            f"D-{name}", bill_no, f"BA-{name}", "EUR", "open", (DisputedLine("1", 5, 0, 5),), 5, NOW, NOW, f"by {name}"
        ),
        WriteOff(
            f"W-{name}",
            bill_no,
            f"BA-{name}",
            "EUR",
            5,
            tax_relief=False,
            written_off_at=NOW,
            booked_at=NOW,
            reason=f"{name} is gone",
        ),
        Refund(f"R-{name}", f"BA-{name}", "EUR", 5, NOW, NOW, None, None, None, (), (), 5),
        Charge(f"CH-{name}", f"BA-{name}", TODAY, "EUR", item, 100, None, None, None, NOW),
        Subscription(f"S-{name}", f"BA-{name}", "EUR", date(2026, 11, 1), PRICED, (), "active", 1, BEFORE, None, None),
        UsageRecord(
            f"U-{name}",
            f"S-{name}",
            "P-1",
            NOW - timedelta(days=1),
            TODAY - timedelta(days=1),
            Decimal(1),
            1,
            NOW,
        ),
        BilledPeriod(f"S-{name}/days", f"S-{name}", days, (BilledPrice("P-1", (counted,), ()),)),
        Dunning(f"BA-{name}"),
        Suspension(f"S-{name}/2", f"BA-{name}", f"S-{name}", 2, TODAY, "c"),
        Settlement(f"C-{name}", f"SA-{name}", "EUR", f"C-{name}", TODAY, (), 0, None, 0, 0, "open", NOW),
        replace(make.accrual(1, f"SA-{name}"), id=f"{bill_no}/1", bill_no=bill_no, order_id=f"O-{name}"),
        Payout(f"PO-{name}", f"SA-{name}", f"C-{name}", "EUR", 1, NOW),
        Reserve(f"C-{name}", f"SA-{name}", "EUR", 100, Decimal("0.1"), 10, TODAY, TODAY, NOW),
        Agreement(f"AG-{name}", f"SA-{name}", NOW, NOW, date(2026, 1, 1), date(2026, 12, 31), (agreed,)),
        BillRun(f"RUN-{name}", f"CY-{name}", TODAY, None, None, "completed", f"bill-run.start:{name}", NOW),
    ]


def nobodys() -> list[Any]:
    """What there is beside parties' things."""
    document = {"name": "Ours"}
    return [
        *(
            kind("ours", "active", 1, NOW, NOW, document)
            for kind in (BillFormat, BillPresentationMedia, BillingCycleSpecification, DunningProcedure)
        ),
        SellerVersion(1, NOW, "seller.update:1", ("name",), {"name": "Ours"}),
    ]


def keep(database: Books, documents: Sequence[Any]) -> None:
    """Put documents into the database as the store would."""
    for document in documents:
        row = ENCODE[type(document)](document)
        database[COLLECTION[type(document)]].replace_one({"_id": row["_id"]}, row, upsert=True)


@pytest.fixture
def world(database: Books) -> Books:
    """The books of Ada and Bob."""
    keep(database, [*one_of_each("ADA"), *one_of_each("BOB*"), *nobodys()])
    for who in ("ADA", "BOB"):
        sold = ENCODE[Invoice](replace(make.invoice(2, "BA-ANYBODY"), id=f"{who}-000000002"))
        database["invoices"].insert_one({**sold, "seller": f"SA-{who}"})
        for name in ("creditNotes", "disputes"):
            one = database[name].find_one({"billingAccount": f"BA-{who}"})
            assert one is not None
            of_sold = {"_id": f"{one['_id']}-2", "billingAccount": "BA-ANYBODY", "seller": f"SA-{who}"}
            of_note = {"correctedBillNo": f"{who}-000000002", "billNo": f"{one['billNo']}-2"}
            of_dispute = {"billNo": f"{who}-000000002"}
            database[name].insert_one({**one, **of_sold, **(of_note if name == "creditNotes" else of_dispute)})
    for who in ("ADA", "BOB"):
        row = make.held_row(f"order.completed:X-{who}", state="parked", reason="invalid", account=f"BA-{who}")
        database["held"].insert_one(held_row(row))
    return database


@dataclass(frozen=True)
class Asking:
    """Asks queries of a store."""

    store: Store

    async def __call__(self, name: str, party: str | None = None, /, **arguments: Any) -> Any:
        """The answer as any asker gets it: a result, or the code and detail of the refusal."""
        asked = arguments if party is None else {**arguments, "party": party}
        try:
            query = read_query(name, json.dumps(asked).encode(), {}, None)
            return json.loads(await read(query, self.store.database, NOW, UTC, timedelta.max))
        except Refused as refusal:
            return [refusal.code, refusal.detail]


@pytest.fixture
def ask(store: Store) -> Asking:
    """Asks the store's database."""
    return Asking(store)


OWN: dict[str, list[dict[str, Any]]] = {
    "account.get": [{"id": f"{kind}-ADA"} for kind in ("BA", "SA", "PA", "FA")] + [{"id": "BA-ADA", "at": "{NOW}"}],
    "account.balance": [{"id": "BA-ADA"}, {"id": "FA-ADA"}],
    "account.tree": [{"id": "BA-ADA"}, {"id": "FA-ADA"}],
    "account.statement": [{"id": "BA-ADA"}],
    "account.history": [{"id": "BA-ADA"}],
    "invoice.get": [{"billNo": "ADA-000000001"}, {"billNo": "ADA-000000001", "breakdown": True}],
    "invoice.list": [{"billingAccount": "BA-ADA"}, {"seller": "SA-ADA"}],
    "payment.get": [{"paymentId": "PY-ADA"}],
    "payment.list": [{"billingAccount": "BA-ADA"}],
    "settlement.get": [{"id": "C-ADA"}],
    "settlement.list": [{"settlementAccount": "SA-ADA"}],
    "settlement.preview": [{"settlementAccount": "SA-ADA", "periodEnd": "2026-11-22"}],
    "agreement.get": [{"agreementId": "AG-ADA"}],
    "agreement.list": [{"settlementAccount": "SA-ADA"}, {"settlementAccount": "SA-ADA", "on": "2026-11-22"}],
    "reserve.list": [{"settlementAccount": "SA-ADA"}],
    "self-billing.get": [{"number": "SB-ADA"}],
    "self-billing.list": [{"settlementAccount": "SA-ADA"}],
    "settlement-document.get": [{"number": "FEE-ADA"}],
    "settlement-document.list": [{"settlementAccount": "SA-ADA"}],
    "credit-note.get": [{"billNo": "CN-ADA"}, {"creditNoteId": "N-ADA"}],
    "credit-note.list": [
        {"billingAccount": "BA-ADA"},
        {"billingAccount": "BA-ADA", "correctedBillNo": "ADA-000000001"},
        {"seller": "SA-ADA"},
    ],
    "refund.list": [{"billingAccount": "BA-ADA"}],
    "dispute.get": [{"disputeId": "D-ADA"}],
    "dispute.list": [
        {"billingAccount": "BA-ADA"},
        {"billingAccount": "BA-ADA", "billNo": "ADA-000000001"},
        {"seller": "SA-ADA"},
    ],
    "charge.list": [{"billingAccount": "BA-ADA"}],
    "subscription.get": [{"id": "S-ADA"}, {"id": "S-ADA", "at": "{NOW}"}, {"id": "S-ADA", "revision": 1}],
    "subscription.list": [{"billingAccount": "BA-ADA"}],
    "usage.list": [{"subscriptionId": "S-ADA"}, {"billNo": "ADA-000000001", "lineId": "1"}],
    "bill.preview": [{"billingAccount": "BA-ADA", "billingDate": "2026-11-22"}],
    "dunning.get": [{"billingAccount": "BA-ADA"}],
}
"""What is asked about one thing of Ada's, or by an account of hers."""
OF_ALL: dict[str, list[dict[str, Any]]] = {
    "account.list": [
        {},
        {"@type": BILLING},
        {"relatedParty": "P-ADA"},
        {"relatedParty": "P-BOB"},
        {"namePrefix": "account"},
        {"paymentStatus": "inArrears"},
        {"paymentStatus": "paid", "state": "active"},
    ],
}
"""What is asked about all there is."""
NOT_SECRET: dict[str, list[dict[str, Any]]] = {
    "bill-format.get": [{"id": "ours"}],
    "bill-format.list": [{}],
    "bill-presentation-media.get": [{"id": "ours"}],
    "bill-presentation-media.list": [{}],
    "billing-cycle-specification.get": [{"id": "ours"}],
    "billing-cycle-specification.list": [{}],
    "seller.get": [{}],
}
"""What anybody may know."""
FOR_OPERATORS: dict[str, list[dict[str, Any]]] = {
    "bill-run.get": [{"billRunId": "RUN-ADA"}],
    "bill-run.list": [{}],
    "dunning-procedure.get": [{"id": "ours"}],
    "dunning-procedure.list": [{}],
    "parked.accounts": [{}],
    "parked.get": [{"id": parked_id("order.completed:X-ADA")}],
    "parked.groups": [{}],
    "parked.history": [{}],
    "parked.list": [{}, {"account": "BA-ADA"}],
    "seller.history": [{}],
}
"""What no party may know."""
ASKED = {**OWN, **OF_ALL, **NOT_SECRET, **FOR_OPERATORS}


def of(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The same question about somebody else's things."""
    text = json.dumps(asked).replace("ADA", name).replace("{NOW}", NOW.isoformat())
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_query_is_looked_at() -> None:
    """Of a query that is added it has to be said here what a party sees by it."""
    assert set(ASKED) == set(QUERIES)
    seen = {"own": OWN | OF_ALL, "all": NOT_SECRET, "nothing": FOR_OPERATORS}
    assert {name: query.SEEN_BY_A_PARTY for name, query in QUERIES.items()} == {
        name: kind for kind, names in seen.items() for name in names
    }
    assert all("party" in query.model_fields for query in QUERIES.values())


async def test_a_party_is_told_its_own_as_anybody_is(world: Books, ask: Asking) -> None:
    for name, asked in OWN.items():
        for one in asked:
            for who in ("ADA", "BOB"):
                arguments = of(who, one)
                answer = await ask(name, f"P-{who}", **arguments)
                assert answer == await ask(name, **arguments), (name, arguments)
                assert isinstance(answer, dict), (name, arguments, answer)
                assert answer.get("items", [1]), (name, arguments)


async def test_what_is_another_party_s_is_not_there(world: Books, ask: Asking) -> None:
    """The refusal is, to the letter, that of a thing which nobody has."""
    for name, asked in OWN.items():
        for one in asked:
            answer = await ask(name, "P-ADA", **of("BOB", one))
            assert isinstance(answer, list), (name, one, answer)
            assert [part.replace("BOB", NOBODY) for part in answer] == await ask(name, **of(NOBODY, one)), (name, one)
            assert await ask(name, **of("BOB", one)) != answer, (name, one)


async def test_nothing_of_another_party_is_in_any_answer(world: Books, ask: Asking) -> None:
    for name, asked in ASKED.items():
        for one in asked:
            answer = json.dumps(await ask(name, "P-ADA", **of("ADA", one))).upper()
            assert "BOB" not in answer, (name, one)
    # Of whoever asks for nobody it would be found.
    for name, asked in OWN.items():
        for one in asked:
            assert "BOB" in json.dumps(await ask(name, **of("BOB", one))), (name, one)
    for one in OF_ALL["account.list"]:
        assert ("BOB" in json.dumps(await ask("account.list", **one))) == (one != {"relatedParty": "P-ADA"}), one


async def test_lists_of_accounts_are_those_of_the_party(world: Books, ask: Asking) -> None:
    async def ids(**arguments: Any) -> list[str]:
        return sorted(one["id"] for one in (await ask("account.list", "P-BOB", **arguments))["items"])

    assert await ids() == ["BA-BOB", "BB-BOB", "FA-BOB", "PA-BOB", "SA-BOB"]
    assert await ids(relatedParty="P-BOB") == await ids()
    assert await ids(relatedParty="P-ADA") == []
    assert await ids(namePrefix="account b") == ["BA-BOB", "BB-BOB"]
    assert await ids(paymentStatus="inArrears") == ["BA-BOB"]
    assert await ids(paymentStatus="paid") == ["BB-BOB"]
    assert (await ask("account.list", "P-NOBODY"))["items"] == []


async def test_what_is_nobody_s_secret_is_told_to_all(world: Books, ask: Asking) -> None:
    for name, asked in NOT_SECRET.items():
        for one in asked:
            answer = await ask(name, "P-ADA", **one)
            assert answer == await ask(name, **one)
            assert "Ours" in json.dumps(answer)


async def test_what_is_for_operators_is_refused_to_a_party(world: Books, ask: Asking) -> None:
    for name, asked in FOR_OPERATORS.items():
        for one in asked:
            detail = f"party: {name} is for operators, no party sees any of it"
            assert await ask(name, "P-ADA", **one) == ["forbidden", detail]
            assert isinstance(await ask(name, **one), dict)


async def test_a_party_is_found_in_nfc(database: Books, ask: Asking) -> None:
    keep(database, [account("BA-1", "Ä"), make.position("BA-1")])  # decomposed on purpose
    assert (await ask("account.get", "P-\u00c4", id="BA-1"))["id"] == "BA-1"
    assert (await ask("account.get", "P-A\u0308", id="BA-1"))["id"] == "BA-1"
    assert (await ask("account.get", "p-\u00c4", id="BA-1"))[0] == "unknown-account"
    assert (await ask("account.get", "", id="BA-1"))[0] == "unknown-account"


async def test_cursors_of_one_party_open_nothing_of_another(world: Books, ask: Asking) -> None:
    """They are places in a list, and the list is another one."""
    keep(world, [account(f"BA-{who}-{n}", who) for who in ("ADA", "BOB") for n in range(3)])
    keep(world, [make.position(f"BA-{who}-{n}") for who in ("ADA", "BOB") for n in range(3)])
    page = await ask("account.list", "P-ADA", limit=1)
    assert page["after"]
    rest = await ask("account.list", "P-BOB", limit=500, after=page["after"])
    assert {one["id"] for one in rest["items"]} == {
        one["id"] for one in (await ask("account.list", "P-BOB", limit=500))["items"]
    }
    assert "ADA" not in json.dumps(rest)
    keep(world, [make.payment(f"PY-{who}-{n}", f"BA-{who}") for who in ("ADA", "BOB") for n in range(3)])
    page = await ask("payment.list", "P-ADA", billingAccount="BA-ADA", limit=1)
    answer = await ask("payment.list", "P-BOB", billingAccount="BA-BOB", after=page["after"])
    assert answer == await ask("payment.list", "P-BOB", billingAccount="BA-BOB")
    refused = await ask("payment.list", "P-BOB", billingAccount="BA-ADA", after=page["after"])
    assert refused == ["unknown-account", "billingAccount: no account BA-ADA"]
    place = StatementPlace("BA-ADA", None, milliseconds(NOW), 1, 0, 0).cursor()
    assert (await ask("account.statement", "P-ADA", id="BA-ADA", after=place))["items"]
    refused = await ask("account.statement", "P-BOB", id="BA-BOB", after=place)
    assert refused == ["invalid", "after: is of another statement"]
    refused = await ask("account.statement", "P-BOB", id="BA-ADA", after=place)
    assert refused == ["unknown-account", "id: no account BA-ADA"]


async def test_no_place_in_a_list_is_that_of_another_party_s_account(world: Books, ask: Asking) -> None:
    """Of Bob's accounts one is Ada's too: she is not told how many others were looked at, nor where that ended."""
    keep(world, [account("BA-SHARED", "ADA", "BOB"), make.position("BA-SHARED")])
    with patch("adapters.accounts.queries.lists.EXAMINED_MAX", 2):
        for asked in ({}, {"paymentStatus": "paid"}):
            answer = await ask("account.list", "P-ADA", relatedParty="P-BOB", limit=1, **asked)
            assert ([one["id"] for one in answer["items"]], answer["after"]) == (["BA-SHARED"], None)


def balances(answer: dict[str, Any]) -> dict[str, float]:
    """The balances of an account's document by name, as far as they are not zero."""
    told = {one["balanceType"]: one["amount"]["value"] for one in answer["accountBalance"]}
    return {name: amount for name, amount in told.items() if amount}


async def test_sums_and_trees_leave_out_what_is_another_party_s(database: Books, ask: Asking) -> None:
    """A financial account of both sums up for each what is its own, now and in the past; so does a hierarchy.

    What is below an account of another party is not reached through that.
    """
    fa = account("FA-1", "ADA", "BOB", type=FINANCIAL)
    named = {"references": (Reference("financialAccount", "FA-1"),)}
    under = {"relationships": tuple(Relationship("contains", id_) for id_ in ("BA-ADA", "BA-BOB"))}
    below = {"relationships": (Relationship("contains", "BA-LOW"),)}
    members = [
        account("BA-TOP", "ADA", "BOB", **under),
        account("BA-ADA", "ADA", **named),
        account("BA-BOB", "BOB", **named, **below),
        account("BA-LOW", "ADA", **named),
    ]
    keep(database, [fa, *members, AccountVersion(fa, BEFORE, "account.create:FA-1", (), None, None)])
    for n, (one, owed) in enumerate(zip(members, (100, 1200, 3400, 50), strict=True)):
        created = AccountVersion(one, BEFORE, f"account.create:{one.id}", (), None, None)
        due = date(2026, 11, 1)
        bill = replace(make.invoice(n, one.id, due=due), remaining_amount=owed)
        keep(database, [created, make.position(one.id, receivable=owed, oldest_due=due), bill])
    for party, own in (("P-ADA", 12.5), ("P-BOB", 34.0), (None, 46.5)):
        now = await ask("account.get", party, id="FA-1")
        assert balances(now) == {"receivable": own, "overdue": own}
        # What was then is worked out of what is now and what was booked since, which is nothing.
        past = await ask("account.get", party, id="FA-1", at=NOW.isoformat())
        assert balances(past) == balances(now)
        of_fa = await ask("account.balance", party, id="FA-1")
        assert of_fa["receivable"]["value"] == own
        assert of_fa["tree"]["balances"][0]["receivable"]["value"] == own
    for party, ids, sum_ in (
        ("P-ADA", ["BA-ADA"], 13.0),
        ("P-BOB", ["BA-BOB"], 35.0),
        (None, ["BA-ADA", "BA-BOB"], 47.5),
    ):
        tree = await ask("account.tree", party, id="BA-TOP")
        assert [child["id"] for child in tree["account"]["children"]] == ids
        assert tree["total"][0]["receivable"]["value"] == sum_
        balance = await ask("account.balance", party, id="BA-TOP")
        assert balance["tree"]["balances"][0]["receivable"]["value"] == sum_
        assert balance["tree"]["accounts"] == {1: 2, 2: 4}[len(ids)]


async def test_what_others_have_below_an_account_is_not_too_much_for_a_party(database: Books, ask: Asking) -> None:
    """Of 1,001 accounts below hers one is Ada's: her tree is not too large."""
    below = [account("BA-ADA", "ADA"), *(account(f"BA-{n}", "BOB") for n in range(1_000))]
    top = account("BA-TOP", "ADA", relationships=tuple(Relationship("contains", one.id) for one in below))
    keep(database, [top, *below, *(make.position(one.id) for one in (top, *below))])
    assert (await ask("account.tree", id="BA-TOP"))[0] == "invalid"
    tree = await ask("account.tree", "P-ADA", id="BA-TOP")
    assert [child["id"] for child in tree["account"]["children"]] == ["BA-ADA"]


async def test_an_account_is_a_party_s_from_when_it_was_related_to_it(database: Books, ask: Asking) -> None:
    """It was Bob's, and is Ada's: she is told nothing of his time, and he nothing at all any more."""
    his, hers = account("BA-1", "BOB"), account("BA-1", "ADA", version=2, revision=2)
    keep(database, [hers, make.position("BA-1")])
    keep(database, [AccountVersion(his, BEFORE, "account.create:BA-1", (), None, None)])
    keep(database, [AccountVersion(hers, NOW, "account.update:m-1", ("relatedParty",), "active", None)])
    early = (NOW - timedelta(minutes=1)).isoformat()
    assert [one["version"] for one in (await ask("account.history", "P-ADA", id="BA-1"))["items"]] == [2]
    assert [one["version"] for one in (await ask("account.history", id="BA-1"))["items"]] == [1, 2]
    unknown = ["unknown-account", "id: no account BA-1"]
    assert await ask("account.get", "P-ADA", id="BA-1", at=early) == unknown
    assert (await ask("account.get", "P-ADA", id="BA-1", at=NOW.isoformat()))["revision"] == 2
    for name, arguments in (("account.get", {}), ("account.get", {"at": early}), ("account.history", {})):
        assert await ask(name, "P-BOB", id="BA-1", **arguments) == unknown
    # Of a deleted account a party is told the history, as anybody is.
    gone = replace(hers, state="deleted", version=3)
    keep(database, [gone, AccountVersion(gone, NOW, "account.delete:m-2", ("state",), "active", None)])
    assert [one["version"] for one in (await ask("account.history", "P-ADA", id="BA-1"))["items"]] == [2, 3]
    assert await ask("account.get", "P-ADA", id="BA-1") == unknown


async def test_a_financial_account_of_the_past_sums_up_what_was_and_is_the_party_s(
    database: Books, ask: Asking
) -> None:
    """A member that was Bob's then, and is Ada's now, is in neither's sum."""
    named = {"references": (Reference("financialAccount", "FA-1"),)}
    his, hers = account("BA-1", "BOB", **named), account("BA-1", "ADA", version=2, **named)
    fa = account("FA-1", "ADA", "BOB", type=FINANCIAL)
    keep(database, [fa, hers, make.position("BA-1", receivable=1200)])
    keep(database, [AccountVersion(fa, BEFORE, "account.create:FA-1", (), None, None)])
    keep(database, [AccountVersion(his, BEFORE, "account.create:BA-1", (), None, None)])
    keep(database, [AccountVersion(hers, NOW, "account.update:m-1", ("relatedParty",), "active", None)])
    early = (NOW - timedelta(minutes=1)).isoformat()
    for party, then, now in (("P-ADA", {}, 12.0), ("P-BOB", {}, None), (None, {"receivable": 12.0}, 12.0)):
        assert balances(await ask("account.get", party, id="FA-1", at=early)) == then
        assert balances(await ask("account.get", party, id="FA-1", at=NOW.isoformat())).get("receivable") == now


async def test_of_other_accounts_and_parties_an_account_s_document_has_the_ids(database: Books, ask: Asking) -> None:
    """Also of such as are the party's too, since those it may ask for."""
    document: dict[str, Any] = {
        "name": "Shared",
        "relatedParty": [
            *related("ADA", "BOB", "CAT*"),
            {"role": "owner", "partyOrPartyRole": {"@type": "PartyRoleRef", "id": "R-9", "partyId": "P-ADA"}},
        ],
        "accountRelationship": [
            {
                "@type": "AccountRelationship",
                "relationshipType": "payer",
                "validFor": {"startDateTime": "2026-01-01T00:00:00Z"},
                "account": {
                    "@type": "AccountRef",
                    "id": "BA-BOB",
                    "name": "Secret",
                    "href": "/secret",
                    "note": "secret",
                },
            }
        ],
        "financialAccount": {"@type": "FinancialAccountRef", "id": "FA-BOB", "name": "Secret"},
        "contact": [
            {"contactType": "billing", "contactName": "Anybody"},
            {"contactType": "owner", "contactName": "Ada", "relatedParty": related("ADA")[0]},
            {"contactType": "sales", "contactName": "Secret", "relatedParty": related("BOB")[0]},
            {"contactType": "service", "contactName": "Secret", "relatedParty": related("BOB")},
        ],
        "note": {"ours": True},
    }
    shared = account("BA-1", document=document)
    keep(database, [shared, make.position("BA-1")])
    keep(database, [AccountVersion(shared, BEFORE, "account.create:BA-1", (), None, None)])
    [listed] = (await ask("account.list", "P-ADA"))["items"]
    found = await ask("account.get", "P-ADA", id="BA-1")
    assert listed == found
    assert found == await ask("account.get", "P-ADA", id="BA-1", at=NOW.isoformat())
    [version] = (await ask("account.history", "P-ADA", id="BA-1"))["items"]
    assert version["account"].items() <= found.items()
    type_ = "RelatedPartyRefOrPartyRoleRef"
    assert found["relatedParty"] == [
        document["relatedParty"][0],
        {"@type": type_, "role": "customer", "partyOrPartyRole": {"@type": "PartyRef", "id": "P-BOB"}},
        {"@type": type_, "role": "customer", "@referredType": "Individual", "id": "P-CAT"},
        document["relatedParty"][3],
    ]
    assert found["accountRelationship"] == [
        {
            "@type": "AccountRelationship",
            "relationshipType": "payer",
            "validFor": {"startDateTime": "2026-01-01T00:00:00Z"},
            "account": {"@type": "AccountRef", "id": "BA-BOB"},
        }
    ]
    assert found["financialAccount"] == {"@type": "FinancialAccountRef", "id": "FA-BOB"}
    assert [one["contactName"] for one in found["contact"]] == ["Anybody", "Ada"]
    assert found["note"] == {"ours": True}
    assert "secret" not in json.dumps(found).lower()
    whole = await ask("account.get", id="BA-1")
    assert list(whole) == list(found)
    assert {name: whole[name] for name in document} == document


async def test_when_something_was_used_only_the_user_s_party_is_told(world: Books, ask: Asking) -> None:
    """Ada pays for Bob's account: she has the bill and its lines, and not what they count, record by record."""
    world["invoices"].update_one({"_id": "BOB-000000001"}, {"$set": {"billingAccount": "BA-ADA"}})
    line = {"billNo": "BOB-000000001", "lineId": "1"}
    assert (await ask("invoice.get", "P-ADA", billNo="BOB-000000001"))["lines"][0]["subscriptionId"] == "S-BOB"
    assert await ask("usage.list", "P-ADA", **line) == {"items": [], "after": None}
    assert [one["usageId"] for one in (await ask("usage.list", **line))["items"]] == ["U-BOB"]
    assert await ask("usage.list", "P-BOB", **line) == ["unknown-invoice", "billNo: no invoice BOB-000000001"]
    assert [one["usageId"] for one in (await ask("usage.list", "P-BOB", subscriptionId="S-BOB"))["items"]] == ["U-BOB"]


async def test_an_invoice_in_a_partner_s_name_is_the_partner_s_too(world: Books, ask: Asking) -> None:
    """With its notes and its disputes; nothing else of the customer's account is."""
    own = ("invoice.get", "credit-note.get", "dispute.get")
    listed = await ask("invoice.list", "P-BOB", seller="SA-BOB")
    assert [one["billNo"] for one in listed["items"]] == ["BOB-000000002"]
    world["invoices"].update_one({"_id": "ADA-000000001"}, {"$set": {"seller": "SA-BOB"}})
    for name in own:
        for one in OWN[name]:
            answer = await ask(name, "P-BOB", **of("ADA", one))
            assert isinstance(answer, dict), (name, answer)
            assert answer == await ask(name, "P-ADA", **of("ADA", one))
            assert (await ask(name, "P-CAT", **of("ADA", one)))[0].startswith("unknown-")
    listed = await ask("invoice.list", "P-BOB", seller="SA-BOB")
    assert [one["billNo"] for one in listed["items"]] == ["ADA-000000001", "BOB-000000002"]
    for name in OWN.keys() - {*own, "usage.list"}:
        for one in OWN[name]:
            assert (await ask(name, "P-BOB", **of("ADA", one)))[0].startswith("unknown-"), (name, one)
    assert await ask("usage.list", "P-BOB", billNo="ADA-000000001", lineId="1") == {"items": [], "after": None}


async def test_what_is_said_of_a_customer_is_not_in_the_statement_of_a_partner(database: Books, ask: Asking) -> None:
    """Of Ada's invoice 4.00 were Bob's: why 5.00 were credited, and why her payment came back, is for her to know.

    So it is of one that takes as much back of hers as it gives, where nothing but his share moves.
    """
    book = LedgerBook()
    book.booked_at = BEFORE
    book.take(
        billing("BA-ADA", relatedParty=related("ADA")), partner("SA-BOB", on="payment", relatedParty=related("BOB"))
    )
    book.take(order("O-1", line("20", "0", "SA-BOB"), account="BA-ADA"), payment("P-1", 2000, account="BA-ADA"))
    book.take(replace(credit_note("N-1", "INV-000000001", {"1": 500}), reason="Ada was ill"))
    book.take(replace(reversal("X-1", "P-1"), reason="Ada has no money"))
    book.take(order("O-2", line("5", "0", "SA-BOB"), line("-5"), account="BA-ADA"))
    book.take(replace(credit_note("N-2", "INV-000000002", {"1": 500, "2": -500}), reason="Ada was wrong"))
    book.take(replace(adjustment("A-1", 100, account="SA-BOB"), reason="as agreed with Bob"))
    keep(database, [one for kept in (book.documents, book.rows) for of in kept.values() for one in of.values()])

    async def said(party: str | None, id_: str) -> list[tuple[str, str | None]]:
        items = (await ask("account.statement", party, id=id_))["items"]
        return [
            (one["entry"], one.get("reason")) for one in items if not one["entry"].startswith(("order", "payment.rec"))
        ]

    note, back, adjusted = "credit-note.issue:N-1", "payment.reversed:X-1", "settlement.adjust:A-1"
    even = "credit-note.issue:N-2"
    of_ada = [(note, "Ada was ill"), (back, "Ada has no money")]
    of_bob = (adjusted, "as agreed with Bob")
    assert await said("P-ADA", "BA-ADA") == await said(None, "BA-ADA") == of_ada
    assert await said(None, "SA-BOB") == [*of_ada, (even, "Ada was wrong"), of_bob]
    assert await said("P-BOB", "SA-BOB") == [(note, None), (back, None), (even, None), of_bob]


async def test_what_is_said_of_a_payment_is_not_told_to_who_was_given_of_it(database: Books, ask: Asking) -> None:
    """Of Ada's payment 5.00 were transferred to Bob, of another one all; both came back: why, is for her to know."""
    book = LedgerBook()
    book.booked_at = BEFORE
    book.take(*(billing(f"BA-{who}", relatedParty=related(who)) for who in ("ADA", "BOB")))
    book.take(payment("P-1", 2000, account="BA-ADA"), transfer("T-1", 500, of="P-1", by="BA-ADA", to="BA-BOB"))
    book.take(replace(reversal("X-1", "P-1"), reason="Ada has no money"))
    book.take(payment("P-2", 300, account="BA-ADA"), transfer("T-2", 300, of="P-2", by="BA-ADA", to="BA-BOB"))
    book.take(replace(reversal("X-2", "P-2"), reason="Ada has none still"))
    keep(database, [one for kept in (book.documents, book.rows) for of in kept.values() for one in of.values()])

    async def said(party: str | None, id_: str) -> list[str | None]:
        items = (await ask("account.statement", party, id=id_))["items"]
        return [one.get("reason") for one in items if not one["entry"].startswith("payment.received")]

    assert await said("P-ADA", "BA-ADA") == await said(None, "BA-ADA") == [None, "Ada has no money", None]
    assert await said(None, "BA-BOB") == [None, "Ada has no money", None, "Ada has none still"]
    assert await said("P-BOB", "BA-BOB") == [None, None, None, None]


async def test_what_a_bill_takes_back_of_another_party_s_invoice_is_not_told(database: Books, ask: Asking) -> None:
    """Bob paid for Ada's November; it ends, she pays herself since: what comes back is a note of his invoice."""
    book = LedgerBook()
    book.begin_days("2026-11-01")
    payer = relation("payer", "BA-BOB")
    book.take(billing("BA-BOB", relatedParty=related("BOB")))
    book.take(billing("BA-ADA", relatedParty=related("ADA"), relationships=[payer]))
    book.take(subscription("S-1", monthly(), account="BA-ADA", start="2026-11-01"))
    book.take(demand("D-1", account="BA-BOB", on="2026-11-01"))
    book.take(update("BA-ADA", relationships=[]), change("2026-11-16", "terminate"))
    keep(database, [one for kept in (book.documents, book.rows) for of in kept.values() for one in of.values()])
    asked = {"billingAccount": "BA-ADA", "billingDate": "2026-11-22"}
    [note] = (await ask("bill.preview", **asked))["creditNotes"]
    assert (note["billingAccount"]["id"], note["taxExcludedAmount"]["value"]) == ("BA-BOB", 15)
    assert await ask("bill.preview", "P-ADA", **asked) == {"invoices": [], "creditNotes": []}
