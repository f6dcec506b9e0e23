"""Every query is served by indexes, and reads little more than it answers with, however much stands beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adapters.documents import COLLECTION, ENCODE
from adapters.queries import READS, read
from adapters.records import parked_id
from adapters.store.rows import held_row
from adapters.store.store import Store
from domain.accounts.model import AccountVersion, Reference, Relationship, SettlementTerms
from domain.accounts.specifications import BillFormat
from domain.billing.model import BilledCharge, Charge
from domain.billing.runs import BillRun
from domain.billing.subscriptions import Subscription
from domain.billing.terms import ProductPrice, Terms
from domain.billing.usage import UsageRecord
from domain.corrections.model import Dispute, DisputedLine, DisputeState, Refund, WriteOff
from domain.dunning.model import EndedSuspension, Suspension
from domain.invoicing.model import Loss
from domain.invoicing.pricing import Item
from domain.ledger.entries import Entry, Posting
from domain.parties.model import SellerVersion
from domain.payments.model import Allocation
from domain.settlement.agreements import AgreedTerms, Agreement
from domain.settlement.documents import SettlementDocument, TypeCode
from domain.settlement.payouts import Payout
from domain.settlement.reserves import Release, Reserve
from domain.settlement.statements import Settlement
from domain.settlement.terms import LineTerms
from schemas.queries import QUERIES, read_query
from schemas.query import LIMIT_MAX, Query
from tests.conftest import Driver
from tests.store import documents as make
from tests.store.test_indexes import profiled
from tests.support.books import Books

NOW = make.NOW
ACCOUNTS = 2_400
TYPES = ("BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount")
STATES = ("active", "active", "active", "suspended", "pendingClose", "closed", "defined", "deleted")
EVERYBODY = "P-ALL"
"""The party that all accounts are related to."""
MOVEMENTS = 600
HELD = 900
SORTED = ("parked.groups", "parked.accounts")
"""What puts in order what it has grouped."""


@pytest.fixture
def driver() -> Driver:
    """Queries are read by PyMongo, whichever driver the work is done by."""
    return "pymongo"


def accounts() -> list[Any]:
    """Many accounts: every type in every state, with names and parties; every fifth billing account owes."""
    found: list[Any] = []
    for n in range(ACCOUNTS):
        type_ = TYPES[n % 4]
        found.append(
            make.account(
                f"A-{n:05d}",
                type=type_,
                state=STATES[n // 4 % 8],
                settlement_terms=SettlementTerms(Decimal("0.8"), "invoice") if type_ == TYPES[1] else None,
                document={
                    "name": f"{'Ada' if n % 100 < 4 else 'Charles'} {n}",
                    "relatedParty": [
                        {"role": "customer", "partyOrPartyRole": {"@type": "PartyRef", "id": party}}
                        for party in (f"P-{n // 8}", EVERYBODY)
                    ],
                },
                references=(Reference("financialAccount", f"F-{n // 80}"),) if type_ == TYPES[0] else (),
            )
        )
        due = date(2026, 11 if n // 20 % 3 else 12, 1 + n // 20 % 20)
        owes = type_ == TYPES[0] and n // 4 % 5 == 0
        found.append(make.position(f"A-{n:05d}", receivable=1200 * owes, oldest_due=due if owes else None))
    return found


TERMS = LineTerms(Decimal("0.8"), "invoice")


def family() -> list[Any]:
    """BA-1 with a long history and two below it, SA-1, and FA-1 that sums up three accounts."""
    contains = tuple(Relationship("contains", f"BA-{n}") for n in (2, 3))
    named = (Reference("financialAccount", "FA-1"),)
    document = {"name": "Family", "relatedParty": [{"role": "customer", "id": EVERYBODY}]}
    found: list[Any] = [
        make.account("BA-1", relationships=contains, references=named, document=document),
        make.account("BA-2", references=named, document=document),
        make.account("BA-3", references=named, document=document),
        make.account(
            "SA-1",
            type=TYPES[1],
            settlement_terms=SettlementTerms(Decimal("0.8"), "invoice"),
            document=document,
        ),
        make.account("FA-1", type=TYPES[3], document=document),
        make.position(
            "BA-1",
            receivable=3 * 1200,
            movements=MOVEMENTS,
            oldest_due=date(2026, 11, 1),
            charges_through=date(2026, 11, 20),
        ),
        make.position("BA-2"),
        make.position("BA-3"),
        make.position("SA-1"),
    ]
    found += [
        Agreement(f"AG-{n}", f"SA-{1 + n % 2}", NOW, NOW, day, day + timedelta(days=1), (terms,))
        for n in range(200)
        for day in [date(2026, 1, 1) + timedelta(days=n)]
        for terms in [AgreedTerms(day, TERMS, 1, "", NOW)]
    ]
    found += [
        BillRun(
            f"R-{n}",
            f"CY-{n % 2}",
            date(2026, 11, 1 + n % 28),
            None,
            None,
            "completed" if n % 5 else "running",
            f"bill-run.start:R-{n}",
            NOW,
        )
        for n in range(100)
    ]
    for n in range(MOVEMENTS):
        booked = NOW + timedelta(minutes=n // 3 - MOVEMENTS // 3)
        found.append(
            Entry(
                f"order.completed:O-{n}",
                f"order.completed:O-{n}",
                NOW,
                booked,
                (
                    Posting("receivable:BA-1", "EUR", 1200, movement=n + 1),
                    Posting("unapplied:BA-1", "EUR", -1200, movement=n + 1),
                    Posting("revenue", "EUR", -1000),
                    Posting("tax", "EUR", -200, "S", "0.2"),
                ),
            )
        )
        found.append(make.invoice(n, "BA-1", due=date(2026, 11, 1), remaining=1200 * (n < 3)))
        found.append(make.payment(f"P-{n}", "BA-1", unapplied=0))
        lines = (DisputedLine("1", 5, 0, 5),)
        state: DisputeState = "settled" if n % 50 else "open"
        bill_no = f"INV-{n % 10:09d}"
        ended = booked if n % 50 else None
        found.append(
            Dispute(f"D-{n}", bill_no, "BA-1", "EUR", state, lines, 5, NOW, booked, "x", ended_booked_at=ended)
        )
        lost: dict[str, Any] = {"tax_relief": False, "written_off_at": NOW, "booked_at": booked, "reason": "x"}
        found.append(WriteOff(f"W-{n}", bill_no, "BA-1", "EUR", 5, **lost))
        found.append(Loss(f"{bill_no}/{n}", bill_no, "BA-1", 5, 0, 0, f"{n}", booked))
        found.append(Refund(f"R-{n}", "BA-1", "EUR", 5, NOW, booked, None, None, None, (), (), 5))
        charged = Charge(
            f"B-{n}",
            "BA-1",
            date(2026, 11, 1 + n % 20),
            "EUR",
            Item("1", None, Decimal(1), Decimal(1), "S", Decimal("0.2"), None),
            100,
            None,
            None,
            None,
            NOW,
        )
        found.append(
            replace(charged, billed=BilledCharge("INV-000000001", "1", None, 100, "x", NOW))
            if n % 2
            else replace(charged, behind=True)
        )
        priced = Terms((ProductPrice("P-1", "fibre", "recurring", "S", Decimal("0.2"), Decimal(1)),))
        found.append(
            Subscription(
                f"S-{n}",
                "BA-1",
                "EUR",
                date(2026, 11, 1 + n % 20),
                priced,
                (),
                "active" if n % 2 else "terminated",
                1,
                NOW,
                date(2026, 11, 22) if n % 2 else None,
                None,
            )
        )
        suspended = Suspension(f"S-{n}/2", f"BA-{n % 2}", f"S-{n}", 2, NOW.date(), "c")
        resumed = replace(suspended, id=f"S-{n}/4", revision=4, ended=EndedSuspension(NOW.date(), 5, "c"))
        found += [suspended, resumed]
        used = NOW - timedelta(hours=n)
        found.append(UsageRecord(f"U-{n}", "S-7", f"P-{n % 3}", used, used.date(), Decimal(1), n, NOW))
        found.append(replace(make.credit_note(n, "BA-1", f"INV-{n % 10:09d}"), booked_at=booked))
        found.append(
            Allocation(f"INV-{n:09d}/P-{n}", f"INV-{n:09d}", f"P-{n}", "BA-1", 1200, f"payment.received:P-{n}", booked)
        )
    for version in range(1, 301):
        account = make.account("BA-1", version=version, references=named, document=document)
        booked = NOW + timedelta(minutes=version - 300)
        found.append(SellerVersion(version, booked, f"seller.update:{version}", ("name",), {"name": f"Ada {version}"}))
        found.append(AccountVersion(account, booked, f"account.update:{version}", ("name",), "active", None))
    for n in range(300):
        found.append(
            Settlement(
                f"C-{n}", "SA-1", "EUR", f"C-{n}", NOW.date(), (), 0, None, 0, 0, "open", NOW + timedelta(minutes=n)
            )
        )
        day = date(2026, 11, 1) + timedelta(days=n // 10)
        held = Reserve(f"C-{n}", f"SA-{n % 2}", "EUR", 100, Decimal("0.1"), 10, NOW.date(), day, NOW)
        out = (Release(10, day, f"reserve.continue:C-{n}", NOW),)
        found.append(held if n % 3 else replace(held, releases=out, is_left=True))
        issued = NOW + timedelta(minutes=n)
        code: TypeCode = "389" if n % 2 else "380"
        found.append(SettlementDocument(f"SB-{n:09d}", code, "SA-1", f"C-{n}", "EUR", day, "", issued, 1, 1, (), ()))
        found.append(Payout(f"PO-{n}", "SA-1", f"C-{n % 25}", "EUR", 1, NOW + timedelta(minutes=n)))
        document = {"name": f"{'Ada' if n < 5 else 'Charles'} {n}"}
        found.append(BillFormat(f"BF-{n}", "active" if n % 3 else "deleted", 1, NOW, NOW, document))
    return found


@pytest.fixture
async def world(store: Store, database: Books) -> Books:
    """Books that are old and large for their size."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for document in (*accounts(), *family()):
        rows.setdefault(COLLECTION[type(document)], []).append(ENCODE[type(document)](document))
    for row in (*rows["invoices"][::2], *rows["creditNotes"][::2], *rows["disputes"][::2]):
        row["seller"] = "SA-1"
    for n in range(HELD):
        rows.setdefault("held", []).append(
            held_row(
                make.held_row(
                    f"order.completed:X-{n}",
                    state=("parked", "waiting", "discarded")[n % 3],
                    reason=("invalid", "internal")[n % 2],
                    place=str(n % 30),
                    account=f"BA-{n // 10}",
                    held_at=NOW + timedelta(minutes=n // 4),
                )
            )
        )
        act = {"parkedId": parked_id(f"order.completed:X-{n % 15}"), "at": NOW + timedelta(minutes=n // 4)}
        told = dict.fromkeys(("identity", "act", "by", "why", "stateBefore", "stateAfter", "editedInto"), "x")
        rows.setdefault("operatorActs", []).append({"_id": f"{n:05d}", **act, **told})
    for name, documents in rows.items():
        database[name].insert_many(documents)
    return database


BEFORE = (NOW - timedelta(minutes=10)).isoformat()
GROUP = make.held_row("", state="parked", reason="invalid", place="0").group
ASKED: list[tuple[str, str, int]] = [
    # the query, its arguments, and how many documents it may read in all
    ("account.get", '{"id": "BA-1"}', 5),
    ("account.get", '{"id": "SA-1"}', 2),
    ("account.get", '{"id": "FA-1"}', 10),
    ("account.get", f'{{"id": "BA-1", "at": "{BEFORE}"}}', 310),
    ("account.list", "{}", 102),
    ("account.list", '{"@type": "SettlementAccount"}', 102),
    ("account.list", '{"state": "suspended"}', 102),
    ("account.list", '{"@type": "BillingAccount", "state": "suspended"}', 102),
    ("account.list", '{"relatedParty": "P-1"}', 16),
    ("account.list", '{"relatedParty": "P-ALL", "@type": "PartyAccount", "state": "closed"}', 102),
    ("account.list", '{"relatedParty": "P-ALL", "namePrefix": "ADA 12"}', 8),
    ("account.list", '{"relatedParty": "P-1", "paymentStatus": "paid"}', 6),
    ("account.list", '{"namePrefix": "ada"}', 110),
    ("account.list", '{"namePrefix": "ada", "state": "active", "@type": "BillingAccount"}', 27),
    ("account.list", '{"namePrefix": "ada 1", "paymentStatus": "due"}', 14),
    ("account.list", '{"paymentStatus": "paid"}', 302),
    ("account.list", '{"paymentStatus": "due"}', 75),
    ("account.list", '{"paymentStatus": "inArrears"}', 111),
    ("account.list", '{"paymentStatus": "inArrears", "state": "suspended"}', 101),
    ("account.balance", '{"id": "BA-1"}', 9),
    ("account.tree", '{"id": "BA-1"}', 9),
    # Beside its own movements a page adds up what comes before it in the statement, or after, whichever is less.
    ("account.statement", '{"id": "BA-1", "limit": 10}', 83),
    ("account.statement", f'{{"id": "BA-1", "limit": 10, "from": "{BEFORE}"}}', 64),
    ("account.history", '{"id": "BA-1", "limit": 10}', 22),
    ("invoice.get", '{"billNo": "INV-000000001"}', 1),
    ("invoice.list", '{"billingAccount": "BA-1", "limit": 10}', 12),
    ("invoice.list", '{"billingAccount": "BA-1", "state": "settled", "limit": 10}', 12),
    ("invoice.list", '{"seller": "SA-1", "limit": 10}', 12),
    ("invoice.list", '{"seller": "SA-1", "state": "settled", "limit": 10}', 12),
    ("settlement.get", '{"id": "C-1"}', 14),
    ("credit-note.get", '{"billNo": "CN-000000001"}', 1),
    ("credit-note.get", '{"creditNoteId": "N-1"}', 1),
    ("credit-note.list", '{"billingAccount": "BA-1", "limit": 10}', 12),
    ("credit-note.list", '{"seller": "SA-1", "limit": 10}', 12),
    ("payment.get", '{"paymentId": "P-1"}', 2),
    ("payment.list", '{"billingAccount": "BA-1", "limit": 10}', 23),
    ("dispute.get", '{"disputeId": "D-1"}', 1),
    ("dispute.list", '{"billingAccount": "BA-1", "limit": 10}', 12),
    ("dispute.list", '{"billingAccount": "BA-1", "billNo": "INV-000000001", "limit": 10}', 12),
    ("dispute.list", '{"billingAccount": "BA-1", "state": "settled", "limit": 10}', 12),
    ("dispute.list", '{"seller": "SA-1", "limit": 10}', 12),
    ("dispute.list", '{"seller": "SA-1", "state": "settled", "limit": 10}', 12),
    ("charge.list", '{"billingAccount": "BA-1", "limit": 10}', 12),
    ("charge.list", '{"billingAccount": "BA-1", "billed": true, "limit": 10}', 45),
    ("charge.list", '{"billingAccount": "BA-1", "billed": false, "limit": 10}', 13),
    ("dunning.get", '{"billingAccount": "BA-1"}', 504),
    ("subscription.get", '{"id": "S-7"}', 1),
    ("subscription.get", f'{{"id": "S-7", "at": "{NOW.isoformat()}"}}', 1),
    ("subscription.list", '{"billingAccount": "BA-1", "limit": 10}', 12),
    ("subscription.list", '{"billingAccount": "BA-1", "state": "terminated", "limit": 10}', 12),
    ("usage.list", '{"subscriptionId": "S-7", "limit": 10}', 12),
    ("usage.list", '{"subscriptionId": "S-7", "priceId": "P-1", "limit": 10}', 12),
    (
        "usage.list",
        f'{{"subscriptionId": "S-7", "from": "{NOW.date()}", "to": "{NOW.date()}", "limit": 10}}',
        12,
    ),
    ("bill.preview", '{"billingAccount": "BA-1", "billingDate": "2026-11-22"}', 630),
    ("bill-run.get", '{"billRunId": "R-1"}', 12),
    ("bill-run.list", '{"limit": 10}', 12),
    ("bill-run.list", '{"state": "running", "limit": 10}', 12),
    ("bill-run.list", '{"cycleSpecification": "CY-1", "limit": 10}', 12),
    ("bill-run.list", '{"cycleSpecification": "CY-1", "state": "completed", "limit": 10}', 15),
    ("refund.list", '{"billingAccount": "BA-1", "limit": 10}', 12),
    ("credit-note.list", '{"billingAccount": "BA-1", "correctedBillNo": "INV-000000001", "limit": 10}', 12),
    ("settlement.list", '{"settlementAccount": "SA-1", "limit": 10}', 12),
    ("agreement.get", '{"agreementId": "AG-6"}', 1),
    ("agreement.list", '{"settlementAccount": "SA-1", "limit": 10}', 102),
    ("agreement.list", '{"settlementAccount": "SA-1", "on": "2026-03-08"}', 102),
    ("reserve.list", '{"settlementAccount": "SA-1", "limit": 10}', 12),
    ("reserve.list", '{"settlementAccount": "SA-1", "state": "released", "limit": 10}', 42),
    ("self-billing.get", '{"number": "SB-000000007"}', 1),
    ("self-billing.list", '{"settlementAccount": "SA-1", "limit": 10}', 12),
    ("settlement-document.get", '{"number": "SB-000000008"}', 1),
    ("settlement-document.list", '{"settlementAccount": "SA-1", "limit": 10}', 12),
    ("settlement.preview", '{"settlementAccount": "SA-1", "periodEnd": "2026-11-22"}', 12),
    ("bill-format.get", '{"id": "BF-1"}', 1),
    ("bill-format.list", '{"limit": 10}', 11),
    ("bill-format.list", '{"namePrefix": "ADA"}', 3),
    ("seller.get", "{}", 1),
    ("seller.get", '{"version": 7}', 1),
    ("seller.get", f'{{"at": "{BEFORE}"}}', 1),
    ("seller.history", '{"limit": 10}', 22),
    ("parked.groups", "{}", 20),
    ("parked.list", '{"limit": 10}', 22),
    ("parked.list", f'{{"limit": 10, "from": "{BEFORE}", "reason": "internal"}}', 22),
    ("parked.list", '{"limit": 10, "account": "BA-17", "state": "waiting"}', 6),
    ("parked.list", f'{{"limit": 10, "group": "{GROUP}"}}', 20),
    ("parked.get", f'{{"id": "{parked_id("order.completed:X-0")}"}}', 120),
    ("parked.accounts", '{"limit": 10}', 0),
    ("parked.history", '{"limit": 10}', 22),
    ("parked.history", f'{{"limit": 10, "id": "{parked_id("order.completed:X-0")}"}}', 22),
]


OF = ("id", "billingAccount", "settlementAccount", "subscriptionId")
"""What a list may have to name."""


async def assert_served(query: Query, most: int, where: str, store: Store, world: Books) -> None:
    """Ask for two pages: no collection is scanned, nothing sorted by hand, at most so many documents read."""
    name = query.TYPE
    for number in (1, 2):
        reads: list[dict[str, Any]] = []
        with profiled(world, reads):
            answer = json.loads(await read(query, store.database, NOW, UTC, timedelta.max))
        page = f"{where}, page {number}"
        assert answer.get("items", [1]), page
        for entry in reads:
            assert "COLLSCAN" not in entry.get("planSummary", "COLLSCAN"), (page, entry)
            assert not entry.get("hasSortStage") or name in SORTED, (page, entry)
        examined = [(e["ns"].split(".")[1], e["planSummary"], e.get("docsExamined", 0)) for e in reads]
        assert sum(documents for _, _, documents in examined) <= most, (page, examined)
        assert examined, page
        if (then := next_page(query, answer)) is None:
            break
        query = then


def next_page(query: Query, answer: dict[str, Any]) -> Query | None:
    """The query of the page that follows an answer; None where it is the last."""
    if not answer.get("after"):
        return None
    place = type(query).model_validate({**dict.fromkeys(OF, "x"), **answer})
    return query.model_copy(update={"after": place.after})  # type: ignore[attr-defined]


async def test_each_query_is_served_by_indexes(store: Store, world: Books) -> None:
    """No collection is scanned and nothing sorted by hand, on first pages and later ones, and little is read."""
    asked = set()
    for name, arguments, most in ASKED:
        query = read_query(name, arguments.encode(), {}, None)
        asked.add(type(query))
        await assert_served(query, most, f"{name} {arguments}", store, world)
    # Which are read as bill formats are.
    others = ("billing-cycle-specification", "bill-presentation-media", "dunning-procedure")
    assert asked == {query for query in READS if not query.TYPE.startswith(others)}
    assert set(READS) == set(QUERIES.values())


async def test_pages_hold_what_one_page_holds(store: Store, world: Books) -> None:
    """Whatever is asked for: what does not fit it takes no place on a page, and ends none."""
    for name, arguments, _ in ASKED:
        # A statement tells balances, to which the entries that were made here do not come.
        if '"limit": 10' not in arguments or name == "account.statement":
            continue
        asked = json.loads(arguments)
        items: list[Any] = []
        query: Query | None = read_query(name, json.dumps({**asked, "limit": 7}).encode(), {}, None)
        while query is not None:
            answer = json.loads(await read(query, store.database, NOW, UTC, timedelta.max))
            items += answer["items"]
            query = next_page(query, answer)
        whole = read_query(name, json.dumps({**asked, "limit": LIMIT_MAX}).encode(), {}, None)
        expected = json.loads(await read(whole, store.database, NOW, UTC, timedelta.max))["items"]
        assert (items if len(expected) < LIMIT_MAX else items[:LIMIT_MAX]) == expected, (name, arguments)


OF_A_PARTY = [
    ("account.list", {"party": "P-1"}, 16),
    # The index finds what the list is of, and each of these is looked at once more.
    ("account.list", {"party": EVERYBODY, "relatedParty": "P-1"}, 24),
    ("account.list", {"party": EVERYBODY, "namePrefix": "ada 12"}, 8),
    ("account.list", {"party": "P-1", "paymentStatus": "paid"}, 6),
]
"""The query, its arguments, and how many documents it may read in all."""
MORE_MAX = 3
"""How many documents more it may cost to see that a thing is a party's."""
BY_ANOTHER_WAY = "account.list"
"""Its lists are those of the party, whatever else is asked."""


async def test_each_query_of_a_party_is_served_by_indexes(store: Store, world: Books) -> None:
    """As if it were asked for nobody, but that it is looked whose the thing is."""
    asked = [
        (name, {**json.loads(arguments), "party": EVERYBODY}, most + MORE_MAX)
        for name, arguments, most in ASKED
        if QUERIES[name].SEEN_BY_A_PARTY != "nothing" and name != BY_ANOTHER_WAY
    ]
    for name, arguments, most in (*asked, *OF_A_PARTY):
        query = read_query(name, json.dumps(arguments).encode(), {}, None)
        await assert_served(query, most, f"{name} {arguments}", store, world)
