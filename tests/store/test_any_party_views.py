"""What a party is told of any books: what a slow look at whose each thing is lets through of what anybody is told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from operator import itemgetter
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adapters.queries import read
from adapters.store.store import Store
from domain.accounts.model import BILLING, SETTLEMENT, Account, Reference
from domain.billing.model import Charge, ChargeToAdd
from domain.billing.subscriptions import Subscription
from domain.corrections.model import (
    CreditNote,
    CreditToGrant,
    Dispute,
    DisputeToOpen,
    InvoiceToWriteOff,
    NoteToIssue,
    PaymentToReverse,
    Reversal,
    WriteOff,
)
from domain.errors import Refused
from domain.frozen import replace
from domain.invoicing.model import Invoice
from domain.ledger.entries import Entry
from domain.ordering.completing import Order
from domain.payments.model import Payment
from domain.settlement.adjusting import Adjustment
from domain.settlement.agreements import Agreement
from domain.settlement.documents import SettlementDocument
from domain.settlement.statements import Settlement
from schemas.accounts.events import BALANCES as BY_TYPE
from schemas.queries import read_query
from schemas.query import LIMIT_MAX
from tests.audit.test_any_books import BILLED, write
from tests.store.test_party_views import related
from tests.support.books import Books
from tests.support.fitting_facts import CUSTOMERS, OFTEN, PARTNERS, FittingFacts
from tests.support.ledger_book import (
    EUR,
    Fact,
    LedgerBook,
    accepts,
    agreement,
    billing,
    demand,
    disputes,
    financial,
    fixed_fee,
    holdback,
    look,
    procedure,
    promise,
    relation,
    report,
    self_billing,
    update,
)
from tests.support.steady import AT_LENGTH, steady

SAYING = (NoteToIssue, InvoiceToWriteOff, DisputeToOpen, PaymentToReverse, CreditToGrant, Adjustment)
"""What is sent with a reason."""
PARTIES = ("AMY", "BEN", "CLO", "DAN", "EVA")
NOBODY = "NOBODY"
OTHERS = ("BA-TOP", "BA-PAYS", "FA-1")
"""Accounts beside the customers' and the partners': one above others, one that pays for others, one that sums up."""
HANDED = ("hand", "hand", "under", "paid", "summed", "dun", "dun", "promise", "report", "document", "document", "agree")
"""What befalls accounts beside what money does: other parties, other relations …"""


@dataclass
class Lives(FittingFacts):
    """Facts that fit, whose texts say each which fact's they are; and accounts that change hands."""

    def accounts(self) -> list[Fact]:
        """Those of the facts, the others, each with parties, and a procedure for some."""
        opened = [
            *super().accounts(),
            procedure((1, "remind"), (3, "charge"), (5, "suspend")),
            *(billing(id_, currency=self.code) for id_ in OTHERS[:2]),
            financial(OTHERS[2], currency=self.code),
        ]
        self_billed: dict[str, Any] = {"self_billing": self_billing("SB-1-"), "holdback": holdback("0.1", 5)}
        agreed = agreement("AG-1", "2026-01-01", account="SA-1", currency=self.code, share="0.8", **self_billed)
        return [*opened, agreed, *(self.hand_over(id_) for id_ in (*CUSTOMERS, *PARTNERS, *OTHERS))]

    def next(self, kind: str) -> Fact:
        """The next fact; what it says in words is its own."""
        fact = super().next(kind)
        said = f"words of {self.number}"
        if isinstance(fact, Order):
            return replace(fact, items=tuple(replace(one, description=f"{said}, {one.id}") for one in fact.items))
        if isinstance(fact, ChargeToAdd):
            return replace(fact, item=replace(fact.item, description=said))
        if isinstance(fact, SAYING):
            return replace(fact, reason=said)
        return fact

    def hand_over(self, who: str) -> Fact:
        """Other parties of an account: one, none, or two."""
        parties = self.draw(st.lists(st.sampled_from(PARTIES), max_size=2, unique=True))
        return update(who, type_=self.type_of(who), relatedParty=related(*parties), name=f"Account {who}")

    def type_of(self, who: str) -> str:
        """The type of an account."""
        return SETTLEMENT if who in PARTNERS else "FinancialAccount" if who == "FA-1" else BILLING

    def hand(self, _id: str) -> Fact:
        """Any account gets other parties."""
        return self.hand_over(self.some((*CUSTOMERS, *PARTNERS, *OTHERS)))

    def under(self, _id: str) -> Fact:
        """The account on top is above some of the others, and one of those may be above another."""
        below = [relation("contains", one) for one in (*CUSTOMERS, "BA-PAYS") if self.draw(st.booleans())]
        return update("BA-TOP", relationships=below)

    def paid(self, _id: str) -> Fact:
        """Another account pays for a customer's, or none does any more."""
        payer = self.some((None, "BA-PAYS", "BA-PAYS"))
        return update(self.some(CUSTOMERS), relationships=[] if payer is None else [relation("payer", payer)])

    def summed(self, _id: str) -> Fact:
        """A financial account sums up a customer's."""
        refers = {"financialAccount": "FA-1", "dunningProcedure": "D-1"}
        return update(self.some((*CUSTOMERS, "BA-PAYS", "BA-TOP")), refersTo=refers)

    def bill(self, id_: str) -> Fact:
        """Of a customer, or of who pays for some."""
        if self.draw(st.booleans()):
            return demand(id_, account="BA-PAYS")
        return super().bill(id_)

    def dun(self, _id: str) -> Fact:
        """An account is looked at."""
        return look(self.some(("2026-11-23", "2026-11-28", "2026-12-30")), account=self.some(CUSTOMERS))

    def promise(self, id_: str) -> Fact:
        """A customer promises to pay."""
        return promise(id_, "2026-12-01", account=self.some(CUSTOMERS))

    def report(self, id_: str) -> Fact:
        """A partner's own figures of a statement."""
        if not (stated := self.all_of(Settlement, lambda one: one.lines)):
            return self.state(id_)
        return report(id_, self.some(stated).id, {"F-1/1": self.part(500)}, currency=self.code)

    def document(self, id_: str) -> Fact:
        """A self-billed document is accepted or disputed."""
        if not (there := self.all_of(SettlementDocument, lambda one: one.is_self_billed)):
            return self.state(id_)
        number = self.some(there).id
        return accepts(number) if self.draw(st.booleans()) else disputes(number)

    def agree(self, id_: str) -> Fact:
        """With one who has none a fee is agreed, for days to come."""
        who = self.some(("SA-2", "SA-3"))
        terms = self.book.account(who).settlement_terms
        said: dict[str, Any] = {"share": "0.4"} if terms is None or terms.agent is None else {"agent": terms.agent}
        return agreement(f"AG-{id_}", "2026-11-23", account=who, currency=self.code, fixed_fee=fixed_fee(100), **said)


@dataclass
class Whose:
    """Whose each thing of some books is, found by looking through all of them; for one party, by its id."""

    book: LedgerBook
    party: str
    standings: dict[str, dict[str, Any]]
    """What anybody is told of the money of each account, by its id."""
    own: set[str] = field(init=False)

    def __post_init__(self) -> None:
        """Which accounts are the party's."""
        self.own = {one.id for one in self.book.documents[Account].values() if self.party in ids_of(one.document)}

    def of_invoice(self, bill_no: str) -> bool:
        """An invoice is who owes it, and who sold it in its own name."""
        invoice = self.book.documents[Invoice].get(bill_no)
        return invoice is not None and bool(self.own & {invoice.billing_account, invoice.seller})

    def has(self, name: str, asked: dict[str, Any]) -> bool:
        """Whether what is asked about is the party's; of nothing that is there, it is nobody's."""
        documents = self.book.documents
        if name == "account.list":
            return True
        if {"billingAccount", "settlementAccount", "seller"} & set(asked):
            return bool(self.own & set(asked.values()))
        if name.startswith("account."):
            return asked["id"] in self.own
        if name in ("invoice.get", "usage.list") and "billNo" in asked:
            return self.of_invoice(asked["billNo"])
        if name == "credit-note.get":
            return any(
                self.of_invoice(note.corrected_bill_no)
                for note in documents[CreditNote].values()
                if asked in ({"billNo": note.bill_no}, {"creditNoteId": note.id})
            )
        kind, key = {
            "payment.get": (Payment, "paymentId"),
            "subscription.get": (Subscription, "id"),
            "usage.list": (Subscription, "subscriptionId"),
            "settlement.get": (Settlement, "id"),
            "agreement.get": (Agreement, "agreementId"),
            "self-billing.get": (SettlementDocument, "number"),
            "settlement-document.get": (SettlementDocument, "number"),
            "dispute.get": (Dispute, "disputeId"),
        }[name]
        one = documents[kind].get(asked[key])
        if one is None:
            return False
        if isinstance(one, Dispute):
            return self.of_invoice(one.bill_no)
        return bool(self.own & {getattr(one, name, None) for name in ("billing_account", "settlement_account")})

    def told(self, name: str, asked: dict[str, Any], whole: Any) -> Any:
        """What the party is told, where anybody is told this."""
        if name in ("account.get", "account.history", "account.list"):
            return self.of_documents(name, asked, whole)
        if name == "usage.list":
            subscriptions = self.book.documents[Subscription]
            items = [one for one in whole["items"] if subscriptions[one["subscriptionId"]].billing_account in self.own]
            return {"items": items, "after": None}
        if name == "bill.preview" and isinstance(whole, dict):
            return {**whole, "creditNotes": [one for one in whole["creditNotes"] if self.owes(one)]}
        if name == "account.statement":
            return {**whole, "items": [self.without_reason(one, asked["id"]) for one in whole["items"]]}
        return whole

    def without_reason(self, movement: dict[str, Any], id_: str) -> dict[str, Any]:
        """A movement, without why it was where that is said of a customer's account which is another's."""
        entry = self.book.rows[Entry][movement["entry"]]
        of_reversal = self.book.rows[Reversal].get(entry.id.partition(":")[2])
        hidden = id_ in PARTNERS and not entry.id.startswith(("settlement.adjust", "payout.returned"))
        if entry.id.startswith("payment.reversed") and of_reversal is not None:
            hidden = hidden or of_reversal.billing_account not in self.own
        return {name: value for name, value in movement.items() if not hidden or name != "reason"}

    def owes(self, note: dict[str, Any]) -> bool:
        """Whether a note is of an invoice of the party's."""
        return bool(self.own & {note["billingAccount"]["id"], note.get("seller", {}).get("id")})

    def of_documents(self, name: str, asked: dict[str, Any], whole: Any) -> Any:
        """Documents of accounts: others' names are not in them, and no account that is not, or was not, the party's."""
        if "items" not in whole:
            return (
                self.without_names(whole)
                if asked["id"] != "FA-1"
                else {**self.without_names(whole), **self.money(whole)}
            )
        if name == "account.list":
            # Anybody's are in the order in which they are due, where that is asked for.
            own = sorted((one for one in whole["items"] if one["id"] in self.own), key=itemgetter("id"))
            return {
                "items": [
                    {**self.without_names(one), **(self.money(one) if one["id"] == "FA-1" else {})} for one in own
                ],
                "after": None,
            }
        then = [one for one in whole["items"] if self.party in ids_of(one["account"])]
        return {"items": [{**one, "account": self.without_names(one["account"])} for one in then], "after": None}

    def money(self, whole: dict[str, Any]) -> dict[str, Any]:
        """The balances of a financial account, of the party's accounts alone."""
        sums = self.sums(self.members(whole["id"]))
        return {"accountBalance": [{**one, "amount": sums[one["balanceType"]]} for one in whole["accountBalance"]]}

    def without_names(self, document: dict[str, Any]) -> dict[str, Any]:
        """A document in which a reference to another party is its id."""
        whose = [
            one
            if one["partyOrPartyRole"]["id"] == self.party
            else {**one, "partyOrPartyRole": {"@type": "PartyRef", "id": one["partyOrPartyRole"]["id"]}}
            for one in document.get("relatedParty", ())
        ]
        return {name: whose if name == "relatedParty" else value for name, value in document.items()}

    def members(self, id_: str) -> list[str]:
        """The accounts of the party that a financial account sums up."""
        named = Reference("financialAccount", id_)
        return sorted(one for one in self.own if named in self.book.documents[Account][one].references)

    def sums(self, ids: Iterable[str]) -> dict[str, Any]:
        """What the money of accounts comes to, each once."""
        found: Counter[str] = Counter()
        for id_ in ids:
            found.update({name: Decimal(str(self.standings[id_][name]["value"])) for name in TOLD})
        return {name: {"unit": "EUR", "value": float(found[name])} for name in TOLD}

    def summed(self, name: str, asked: dict[str, Any], answer: dict[str, Any]) -> Any:
        """What is told of an account and the party's below it; the answer gives what is no sum."""
        documents = self.book.documents[Account]
        tree, level = [asked["id"]], [asked["id"]]
        while level:
            below = [one.account for id_ in level for one in documents[id_].relationships if one.type == "contains"]
            level = sorted({one for one in below if one in self.own and one not in tree})
            tree += level
        counted = {one for one in tree if one != "FA-1"} | {
            one for id_ in tree if id_ == "FA-1" for one in self.members(id_)
        }
        own = self.members("FA-1") if asked["id"] == "FA-1" else [asked["id"]]
        if name == "account.balance":
            return {**answer, **self.sums(own), "tree": {"accounts": len(tree), "balances": [self.sums(counted)]}}
        shown: list[str] = []
        nodes = [answer["account"]]
        while nodes:
            shown.append(nodes[0]["id"])
            assert {one: nodes[0][one] for one in TOLD} == self.sums(
                self.members("FA-1") if nodes[0]["id"] == "FA-1" else [nodes[0]["id"]]
            )
            nodes = [*nodes[1:], *nodes[0]["children"]]
        assert sorted(shown) == sorted(tree)
        return {**answer, "total": [self.sums(counted)]}

    def payers(self, id_: str) -> set[str]:
        """An account, and the one that pays for it: what is to be billed is shown to that as well."""
        relations = self.book.documents[Account][id_].relationships
        return {id_, *(one.account for one in relations if one.type == "payer")}

    @cached_property
    def secrets(self) -> list[str]:
        """Words that the party is never told."""
        return list(self._secrets())

    def _secrets(self) -> Iterator[str]:
        yield from (f"Name of {one}" for one in PARTIES if f"P-{one}" != self.party)
        words: dict[str, set[str | None]] = {}
        documents = self.book.documents
        for invoice in documents[Invoice].values():
            for line in invoice.lines:
                of_line = {invoice.billing_account, invoice.seller, invoice.ordered_for}
                of_line |= {line.origin.account} if line.origin is not None else set()
                words.setdefault(str(line.description), set()).update(of_line)
        for charge in documents[Charge].values():
            words.setdefault(str(charge.item.description), set()).update(self.payers(charge.billing_account))
        for dispute in documents[Dispute].values():
            sold = documents[Invoice][dispute.bill_no]
            words.setdefault(dispute.reason, set()).update((sold.billing_account, sold.seller))
        for note in documents[CreditNote].values():
            words.setdefault(note.reason, set()).update((note.billing_account, note.seller))
        for kind in (WriteOff, Reversal):
            for one in (*documents[kind].values(), *self.book.rows[kind].values()):
                words.setdefault(one.reason, set()).add(one.billing_account)
        yield from (said for said, whose in words.items() if "words" in said and not whose & self.own)


@dataclass(frozen=True)
class Asking:
    """Asks queries about some books, at the time at which they are."""

    store: Store
    book: LedgerBook

    async def __call__(self, name: str, asked: dict[str, Any]) -> Any:
        """The answer, a list at most in one page; or the code and detail of a refusal."""
        most = {"limit": LIMIT_MAX} if name.endswith(".list") else {}
        try:
            query = read_query(name, json.dumps(most | asked).encode(), {}, None)
            return json.loads(
                await read(query, self.store.database, self.book.booked_at, self.book.zone, timedelta.max)
            )
        except Refused as refusal:
            return [refusal.code, refusal.detail]

    async def pages(self, name: str, asked: dict[str, Any], lot: Random) -> list[Any]:
        """The items of a list, page by page."""
        items: list[Any] = []
        more: dict[str, str] = {}
        while True:
            page = await self(name, {**asked, **more, "limit": lot.choice((1, 2, 5))})
            items += page["items"]
            if page["after"] is None:
                return items
            more = {"after": page["after"]}


def ids_of(document: Any) -> set[str]:
    """The parties of an account, by its document."""
    return {one["partyOrPartyRole"]["id"] for one in document.get("relatedParty", ())}


def questions(book: LedgerBook) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every query that a party may ask, about each thing that there is, and one that there is not."""
    documents = book.documents

    def ids(kind: type) -> list[str]:
        return [*documents[kind], NOBODY]

    for name in ("account.get", "account.balance", "account.tree", "account.statement", "account.history"):
        yield from ((name, {"id": id_}) for id_ in ids(Account))
    yield from (("account.get", {"id": id_, "at": "2026-12-24T00:00:00Z"}) for id_ in ids(Account))
    yield from (("account.list", asked) for asked in ({}, {"relatedParty": "P-AMY"}, {"@type": BILLING}))
    yield from (("account.list", {"paymentStatus": status}) for status in ("paid", "due", "inArrears"))
    customers = [one for one in ids(Account) if not one.startswith("SA-")]
    for name in ("invoice", "payment", "credit-note", "refund", "dispute", "charge", "subscription"):
        yield from ((f"{name}.list", {"billingAccount": id_}) for id_ in customers)
    yield from (("dunning.get", {"billingAccount": id_}) for id_ in customers)
    yield from (("bill.preview", {"billingAccount": id_, "billingDate": "2026-11-22"}) for id_ in customers)
    partners = [one for one in ids(Account) if not one.startswith("BA-")]
    for name in ("settlement", "agreement", "reserve", "self-billing", "settlement-document"):
        yield from ((f"{name}.list", {"settlementAccount": id_}) for id_ in partners)
    yield from (("settlement.preview", {"settlementAccount": id_, "periodEnd": "2026-11-30"}) for id_ in partners)
    for name in ("invoice", "credit-note", "dispute"):
        yield from ((f"{name}.list", {"seller": id_}) for id_ in partners)
    for bill_no in ids(Invoice):
        yield "invoice.get", {"billNo": bill_no, "breakdown": True}
        lines = documents[Invoice][bill_no].lines if bill_no in documents[Invoice] else ()
        yield from (("usage.list", {"billNo": bill_no, "lineId": line.id}) for line in lines)
    yield from (("payment.get", {"paymentId": id_}) for id_ in ids(Payment))
    yield from (("settlement.get", {"id": id_}) for id_ in ids(Settlement))
    yield from (("agreement.get", {"agreementId": id_}) for id_ in ids(Agreement))
    for name in ("self-billing.get", "settlement-document.get"):
        yield from ((name, {"number": id_}) for id_ in ids(SettlementDocument))
    yield from (("credit-note.get", {"creditNoteId": id_}) for id_ in ids(CreditNote))
    yield from (("credit-note.get", {"billNo": note.bill_no}) for note in documents[CreditNote].values())
    yield from (("dispute.get", {"disputeId": id_}) for id_ in ids(Dispute))
    yield from (("subscription.get", {"id": id_}) for id_ in ids(Subscription))
    yield from (("usage.list", {"subscriptionId": id_}) for id_ in ids(Subscription))


SUMS = {"account.balance", "account.tree"}
"""What is of all that is below an account, and so of what is the party's there."""
TOLD = BY_TYPE["FinancialAccount"]
"""All that an account's money is told by."""
OPTIONS = ("at", "billingDate", "periodEnd", "breakdown", "lineId")
"""What is asked beside the thing that a query is about."""
LEAST = 50 if AT_LENGTH else 25
"""How many facts there are at least."""
ASKED = 1 if AT_LENGTH else 0.2
"""How much of all that there is to ask is asked."""


def test_a_party_is_told_what_is_its_own_of_any_books(mongodb_url: str, database: Books) -> None:
    """By every query, of accounts that change hands, are paid for, stand below others and are summed up."""

    @settings(steady(1), phases=[Phase.generate])
    @given(
        st.lists(st.sampled_from([*OFTEN, *BILLED, *HANDED, *HANDED]), min_size=LEAST, max_size=2 * LEAST),
        st.integers(0, 2**32),
        st.data(),
    )
    def live(kinds, lot, data):
        book = LedgerBook()
        book.begin_days("2026-11-22")
        fitting = Lives(book, EUR, data.draw)
        book.take(*fitting.accounts())
        for kind in ("order", "order", "summed", "under", *kinds):
            book.take(fitting.next(kind))
        write(book, database)
        asyncio.run(_ask_all(book, mongodb_url, database.name, Random(lot)))

    live()


async def _ask_all(book: LedgerBook, url: str, name: str, lot: Random) -> None:
    """Ask all that there is to ask for each party, or some of it, by lot; pages are of sizes by lot too."""
    async with AsyncExitStack() as stack:
        store = Store(url, name, "pymongo")
        stack.push_async_callback(store.close)
        asking = Asking(store, book)
        standings = {id_: await asking("account.balance", {"id": id_}) for id_ in book.documents[Account]}
        parties = [Whose(book, f"P-{who}", standings) for who in PARTIES]
        for query, asked in questions(book):
            if lot.random() < ASKED:
                whole = await asking(query, asked)
                for whose in parties:
                    await _hold(asking, whose, query, asked, whole, lot)


async def _hold(asking: Asking, whose: Whose, name: str, asked: dict[str, Any], whole: Any, lot: Random) -> None:
    """See that a party is told what is its own of what anybody is told, and no words of others."""
    here = (name, asked, whose.party)
    of_party = {**asked, "party": whose.party}
    answer = await asking(name, of_party)
    if not whose.has(name, asked):
        [id_] = [value for key, value in asked.items() if key not in OPTIONS]
        refused = await asking(name, {key: NOBODY if value == id_ else value for key, value in asked.items()})
        assert answer == [part.replace(NOBODY, id_) for part in refused], here
    elif isinstance(whole, list):
        assert answer == whole, here
    elif name in SUMS:
        assert answer == whose.summed(name, asked, answer), here
    else:
        assert answer == whose.told(name, asked, whole), here
        if name.endswith(".list"):
            assert await asking.pages(name, of_party, lot) == answer["items"], here
    words = json.dumps(answer)
    assert [said for said in whose.secrets if f'"{said}"' in words] == [], here
