"""Who refers to whom: hierarchies, payers, references, and the limits of credit."""

from collections import Counter
from itertools import pairwise

import pytest

from domain.accounts.model import CreditLimitExceeded, Relationship, Standing
from domain.accounts.relations import LEVELS_MAX, RELATIONSHIPS_MAX
from domain.accounts.specifications import (
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
)
from domain.ledger.books import Need, WorkingSet
from domain.ledger.positions import Position
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    USD,
    Fact,
    LedgerBook,
    balances,
    billing,
    closing,
    command,
    financial,
    line,
    moment,
    order,
    partner,
    party,
    payment,
    relation,
    specification,
    update,
)

HIERARCHIES = ("contains", "payer")


def accounts(*ids: str) -> LedgerBook:
    """A book with these billing accounts."""
    book = LedgerBook()
    book.take(*[billing(id_) for id_ in ids])
    return book


def relates(account: str, kind: str, *others: str) -> Fact:
    """An update that leaves an account with relationships of one kind to others."""
    return update(account, relationships=[relation(kind, other) for other in others])


def paid_by(payer: str, *, since: str | None = None, until: str | None = None) -> list[object]:
    """The relationships of an account that another pays for."""
    return [relation("payer", payer, since=since, until=until)]


# -- what is referred to


@pytest.mark.parametrize(
    ("opened", "comes", "waits_for", "field", "code"),
    [
        (
            billing("X", relationships=[relation(kind, "Y")]),
            billing("Y"),
            "account:Y",
            "accountRelationship",
            "unknown-account",
        )
        for kind in ("contains", "payer", "serviceProvider", "partner", "endCustomer", "cousin")
    ]
    + [
        (
            billing("X", refersTo={"financialAccount": "Y"}),
            financial("Y"),
            "account:Y",
            "financialAccount.id",
            "unknown-account",
        ),
        (
            billing("X", refersTo={"format": "Y"}),
            specification("Y", kind=BillFormat),
            "bill-format:Y",
            "billStructure.format.id",
            "unknown-specification",
        ),
        (
            billing("X", refersTo={"cycleSpecification": "Y"}),
            specification("Y", kind=BillingCycleSpecification),
            "billing-cycle-specification:Y",
            "billStructure.cycleSpecification.id",
            "unknown-specification",
        ),
        (
            billing("X", refersTo={"presentationMedia": ["Y"]}),
            specification("Y", kind=BillPresentationMedia),
            "bill-presentation-media:Y",
            "billStructure.presentationMedia.id",
            "unknown-specification",
        ),
        (
            billing("X", refersTo={"dunningProcedure": "Y"}),
            specification("Y", kind=DunningProcedure),
            "dunning-procedure:Y",
            "dunningProcedure.id",
            "unknown-specification",
        ),
    ],
)
def test_an_account_waits_for_what_it_refers_to(opened, comes, waits_for, field, code):
    """Named by field, and opened as soon as it is there; what waits for the account itself then follows."""
    book = LedgerBook()
    book.take(opened, order("O-1", line("1.00"), account="X"))
    _, why = book.waiting["account.create:X"]
    assert (why.code, why.waits_for) == (code, waits_for)
    assert why.detail.startswith(f"{field}: no ")
    assert why.detail.endswith(" Y")
    book.take(comes)
    assert (book.waiting, book.refused, book.state("X")) == ({}, {}, "active")
    assert_books_hold(book)


def test_an_update_waits_for_what_it_refers_to():
    """And changes nothing until then."""
    book = accounts("X")
    book.take(update("X", relationships=paid_by("Y"), name="new"))
    assert (book.account("X").revision, len(book.waiting)) == (1, 1)
    book.take(billing("Y"))
    assert (book.account("X").revision, book.links(), book.waiting) == (2, {("payer", "X", "Y")}, {})
    assert_books_hold(book)


@pytest.mark.parametrize("kind", ["contains", "payer", "partner", "cousin"])
def test_a_deleted_account_is_not_referred_to(kind):
    """It will not come again: refused, not waiting."""
    book = accounts("X", "Y")
    refused = book.refusal(command("delete", "Y"), relates("X", kind, "Y"))
    assert refused == ("invalid", "accountRelationship: account Y is deleted")
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("refers", "what", "said"),
    [
        ("payer", party("Y"), "accountRelationship: Y is a PartyAccount, not a BillingAccount"),
        ("payer", partner("Y"), "accountRelationship: Y is a SettlementAccount, not a BillingAccount"),
        ("financialAccount", billing("Y"), "financialAccount.id: Y is a BillingAccount, not a FinancialAccount"),
    ],
)
def test_who_pays_is_a_billing_account(refers, what, said):
    """And what it is summed up in is a financial account."""
    changes = {"refersTo": {refers: "Y"}} if refers == "financialAccount" else {"relationships": paid_by("Y")}
    assert accounts("X").refusal(what, update("X", **changes)) == ("invalid", said)


def test_only_a_billing_account_has_a_payer():
    """A partner's account is not paid for by another."""
    code, detail = accounts("Y").refusal(party("X", relationships=paid_by("Y")))
    assert (code, "X is a PartyAccount" in detail) == ("invalid", True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"relationships": paid_by("Y")}, "accountRelationship"),
        ({"refersTo": {"financialAccount": "Y"}}, "financialAccount.id"),
    ],
)
def test_money_of_one_currency_is_paid_and_summed_up_in_it(changes, field):
    """A payer or financial account in another currency is a `currency-mismatch` that names both."""
    other = financial("Y", currency="USD") if "refersTo" in changes else billing("Y", currency="USD")
    refused = accounts("X").refusal(other, update("X", **changes))
    assert refused == ("currency-mismatch", f"{field}: Y is kept in USD, X in EUR")


def test_a_child_may_keep_another_currency():
    """A hierarchy moves no money."""
    book = accounts("X")
    book.take(billing("Y", currency="USD"), relates("X", "contains", "Y"))
    assert (book.refused, book.links()) == ({}, {("contains", "X", "Y")})


def test_links_follow_what_documents_say():
    """Opened, closed and opened again as updates add and take away, whatever else they change."""
    book = accounts("X", "Y", "Z")
    book.take(specification("F-1"), specification("F-2"))
    book.take(
        update("X", relationships=[relation("contains", "Y"), relation("friend", "Z")], refersTo={"format": "F-1"})
    )
    assert book.links() == {("contains", "X", "Y"), ("related", "X", "Z"), ("format", "X", "F-1")}
    book.take(update("X", relationships=[relation("foe", "Z")], refersTo={"format": "F-2"}))
    assert book.links() == {("related", "X", "Z"), ("format", "X", "F-2")}
    book.take(update("X", name="other"))
    assert book.links() == {("related", "X", "Z"), ("format", "X", "F-2")}
    book.take(update("X", relationships=[relation("contains", "Y")], refersTo=None))
    assert book.links() == {("contains", "X", "Y")}
    book.take(relates("X", "partner", "Y"), command("delete", "Z"))
    assert (book.links(), book.state("Z")) == ({("partner", "X", "Y")}, "deleted")
    assert_books_hold(book)


def test_links_of_one_batch():
    """As one by one: added, taken away and added again before anything is written."""
    book = accounts("X", "Y")
    book.take(relates("X", "contains", "Y"), relates("X", "contains"), relates("X", "contains", "Y"))
    assert book.links() == {("contains", "X", "Y")}
    book.take(relates("X", "contains"), command("delete", "Y"))
    assert (book.links(), book.state("Y")) == (set(), "deleted")
    assert_books_hold(book)


def test_both_of_a_pair_may_be_related():
    """What means nothing here makes no cycle."""
    book = accounts("X", "Y")
    book.take(relates("X", "cousin", "Y"), relates("Y", "cousin", "X"), relates("X", "partner", "Y"))
    assert book.refused == {}
    assert_books_hold(book)


@pytest.mark.parametrize("kind", ["contains", "payer", "cousin"])
def test_an_account_is_not_related_to_itself(kind):
    """Neither when it is opened nor later."""
    said = ("invalid", f"accountRelationship: X can't be its own {kind}")
    assert LedgerBook().refusal(billing("X", relationships=[relation(kind, "X")])) == said
    assert accounts("X").refusal(relates("X", kind, "X")) == said


def test_a_financial_account_is_not_summed_up_in_itself():
    """It would be referred to for ever, by itself."""
    code, _ = LedgerBook().refusal(financial("X", refersTo={"financialAccount": "X"}))
    assert code == "invalid"


# -- hierarchies


@pytest.mark.parametrize("kind", HIERARCHIES)
@pytest.mark.parametrize("length", [2, 3, 5, 12])
@pytest.mark.parametrize("batch", [None, 1])
@pytest.mark.parametrize("upwards", [True, False])
def test_no_cycle_of_any_length(kind, length, batch, upwards):
    """The last relationship of a ring is refused, however the ring was begun and in how many batches."""
    ring = [f"X-{n}" for n in range(length)]
    book = accounts(*ring)
    pairs = [*pairwise(ring), (ring[-1], ring[0])]
    facts = [relates(one, kind, other) for one, other in (pairs if upwards else reversed(pairs))]
    book.take(*facts, batch=batch)
    [why] = book.refused.values()
    last = pairs[-1] if upwards else pairs[0]
    assert (why.code, why.detail) == ("invalid", f"accountRelationship: {kind} {last[1]} would make a cycle")
    assert len(book.links()) == length - 1
    assert_books_hold(book)


@pytest.mark.parametrize("kind", HIERARCHIES)
def test_a_cycle_at_different_times_is_a_cycle(kind):
    """Periods do not matter: a hierarchy that turns upside down is a new one, with the old relationship taken away."""
    book = accounts("X", "Y")
    book.take(update("X", relationships=[relation(kind, "Y", until="2026-01-01")]))
    turned = update("Y", relationships=[relation(kind, "X", since="2027-01-01")])
    assert book.refusal(turned)[0] == "invalid"
    book.take(relates("X", kind), turned)
    assert book.links() == {(kind, "Y", "X")}
    assert_books_hold(book)


def test_a_payer_may_be_contained_in_whom_it_pays_for():
    """Who contains and who pays are two hierarchies."""
    book = accounts("X", "Y")
    book.take(relates("X", "contains", "Y"), relates("Y", "contains"), relates("Y", "payer", "X"))
    assert book.refused == {}
    assert book.links() == {("contains", "X", "Y"), ("payer", "Y", "X")}
    assert_books_hold(book)


@pytest.mark.parametrize("batch", [None, 1])
def test_two_parents_at_one_time_are_refused(batch):
    """The second that would contain it is told who does."""
    book = accounts("X", "Y", "Z")
    book.take(relates("X", "contains", "Z"), relates("Y", "contains", "Z"), batch=batch)
    [why] = book.refused.values()
    said = "accountRelationship: Z is contained in X at that time already"
    assert (why.code, why.detail) == ("invalid", said)
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"until": "2026-06-01"}, {"since": "2026-06-01"}, True),
        ({"until": "2026-06-01T00:00:01"}, {"since": "2026-06-01"}, False),
        ({"since": "2026-06-01"}, {"until": "2026-06-01"}, True),
        ({"since": "2026-06-01"}, {"since": "2027-06-01"}, False),
        ({"until": "2026-06-01"}, {"until": "2020-06-01"}, False),
        ({"since": "2026-01-01", "until": "2026-02-01"}, {"since": "2026-02-01", "until": "2026-03-01"}, True),
        ({"since": "2026-01-01", "until": "2026-03-01"}, {"since": "2026-02-01", "until": "2026-02-02"}, False),
        ({}, {"since": "2026-02-01"}, False),
    ],
)
def test_one_after_the_other_is_allowed(one, other, both):
    """A child may change its parent, and an account its payer, when no moment is in both (half open) periods."""
    book = accounts("X", "Y", "Z")
    book.take(update("X", relationships=[relation("contains", "Z", **one)]))
    book.take(update("Y", relationships=[relation("contains", "Z", **other)]))
    assert (book.refused == {}) == both
    assert_books_hold(book)
    book = accounts("X", "Y", "Z")
    book.take(update("Z", relationships=[relation("payer", "X", **one), relation("payer", "Y", **other)]))
    assert (book.refused == {}) == both
    assert_books_hold(book)


@pytest.mark.parametrize("kind", HIERARCHIES)
def test_a_period_that_never_is_stands_in_nobodys_way(kind):
    """A relationship that ends as it begins, or before, holds at no time."""
    book = accounts("X", "Y", "Z")
    never = {"since": "2026-06-01", "until": "2026-06-01"}
    if kind == "payer":
        book.take(update("Z", relationships=[relation("payer", "X", **never), relation("payer", "Y")]))
    else:
        book.take(update("X", relationships=[relation("contains", "Z", **never)]))
        book.take(update("Y", relationships=[relation("contains", "Z")]))
    assert book.refused == {}


def test_a_changed_period_is_looked_at_again():
    """An update that only moves an end is checked like a new relationship."""
    book = accounts("X", "Y", "Z")
    book.take(update("X", relationships=[relation("contains", "Z", until="2026-06-01")]))
    book.take(update("Y", relationships=[relation("contains", "Z", since="2026-06-01")]))
    longer = update("X", relationships=[relation("contains", "Z", until="2026-07-01")])
    assert book.refusal(longer)[1] == "accountRelationship: Z is contained in Y at that time already"
    book.take(update("X", relationships=[relation("contains", "Z", until="2026-05-01")]))
    assert book.account("X").revision == 3
    assert_books_hold(book)


def chain(kind: str, levels: int, *, from_below: bool = False) -> LedgerBook:
    """A book with one chain of accounts, the first one on top, tied together from the top or from below."""
    ids = [f"X-{n}" for n in range(1, levels + 1)]
    book = accounts(*ids)
    pairs = list(pairwise(ids))
    for upper, lower in reversed(pairs) if from_below else pairs:
        book.take(relates(upper, "contains", lower) if kind == "contains" else relates(lower, "payer", upper))
    return book


@pytest.mark.parametrize("kind", HIERARCHIES)
@pytest.mark.parametrize("from_below", [True, False])
def test_a_hierarchy_has_so_many_levels_and_no_more(kind, from_below):
    """As many as `LEVELS_MAX` accounts, one above the other, from whichever end it grows."""
    assert chain(kind, LEVELS_MAX, from_below=from_below).refused == {}
    book = chain(kind, LEVELS_MAX + 1, from_below=from_below)
    assert [why.code for why in book.refused.values()] == ["invalid"]
    assert_books_hold(book)


@pytest.mark.parametrize("kind", HIERARCHIES)
def test_two_hierarchies_that_are_joined_have_no_more_levels_together(kind):
    """What hangs below counts as what is above."""
    half = LEVELS_MAX // 2 + 1
    book = accounts(*[f"X-{n}" for n in range(1, 2 * half + 1)])
    ties = [
        relates(f"X-{n}", kind, f"X-{n + 1}") if kind == "contains" else relates(f"X-{n + 1}", kind, f"X-{n}")
        for n in range(1, 2 * half)
    ]
    join = ties.pop(half - 1)
    book.take(*ties)
    assert book.refused == {}
    assert book.refusal(join)[0] == "invalid"


def test_an_order_finds_its_payer_at_the_end_of_the_longest_chain():
    """However many accounts pass the bill on, it is the last one's, and no defect of ours."""
    book = chain("payer", 100, from_below=True)
    book.take(order("O-1", line("1.00"), account="X-100"))
    assert "order.completed:O-1" in book.applied or book.refused["order.completed:O-1"].code == "invalid"


def test_many_relationships_are_too_many():
    """One more than may be is refused, and told in numbers."""
    book = accounts("X", "Y")
    many = update("X", relationships=[relation(f"cousin-{n}", "Y") for n in range(RELATIONSHIPS_MAX + 1)])
    assert book.refusal(many) == ("invalid", "accountRelationship: holds 2001, more than 2000")


def test_children_that_had_many_parents_are_taken_over():
    """A hundred children of a hundred former parents go to one new parent: the books are asked for them together."""
    book = LedgerBook()
    for n in range(100):
        former = billing(f"P-{n}", relationships=[relation("contains", f"C-{n}", until="2026-01-01")])
        book.take(billing(f"C-{n}"), former)
    children = [relation("contains", f"C-{n}", since="2026-01-01") for n in range(100)]
    book.take(billing("X", relationships=children))
    assert (book.refused, book.state("X")) == ({}, "active")


def test_a_child_that_had_many_parents_is_taken_over():
    """One child, a hundred former parents."""
    book = accounts("C")
    for n in range(100):
        period = {"since": f"{1900 + n}-01-01", "until": f"{1901 + n}-01-01"}
        book.take(billing(f"P-{n}", relationships=[relation("contains", "C", **period)]))
    book.take(billing("X", relationships=[relation("contains", "C", since="2026-01-01")]))
    assert (book.refused, book.state("X")) == ({}, "active")


# -- who pays


def payers(*pairs: tuple[str, str], others: tuple[str, ...] = ()) -> LedgerBook:
    """A book in which the second of each pair pays for the first."""
    book = accounts(*dict.fromkeys([id_ for pair in pairs for id_ in pair] + list(others)))
    book.take(*[update(account, relationships=paid_by(payer)) for account, payer in pairs])
    return book


def owed(book: LedgerBook) -> dict[str, int]:
    """What each account owes, those that owe something."""
    return {position.id: position.receivable for position in book.documents[Position].values() if position.receivable}


def test_the_payer_is_billed():
    """Its invoice, term and credit; the invoice tells whom it is for, who gets no event of it."""
    book = accounts("A")
    book.take(billing("B", days=5), update("A", relationships=paid_by("B")), payment("P-1", 40, account="B"))
    told = book.position("A").sequence
    book.take(order("O-1", line("1.00"), account="A"))
    invoice = book.invoice(1)
    assert (invoice.billing_account, invoice.ordered_for, str(invoice.payment_due_date)) == ("B", "A", "2026-11-27")
    assert invoice.remaining_amount == 60
    assert book.events_of("B") == ["payment.allocated", "invoice.issued", "payment.allocated", "invoice.partially-paid"]
    assert (owed(book), book.position("A").sequence) == ({"B": 60}, told)
    assert book.position("A").used == 1  # so that it can't be closed or deleted unseen meanwhile
    book.take(payment("P-2", 60, ["INV-000000001"], account="A"))
    assert book.last_allocation().not_allocated == ("INV-000000001",)
    assert (owed(book), book.position("A").unapplied) == ({"B": 60}, 60)
    assert_books_hold(book)


def test_an_account_without_a_payer_is_billed_itself():
    """The invoice names it twice."""
    book = accounts("A")
    book.take(order("O-1", line("1.00"), account="A"))
    assert (book.invoice(1).billing_account, book.invoice(1).ordered_for) == ("A", "A")


def test_the_last_of_a_chain_pays():
    """A payer that has a payer passes it on, whatever its own state."""
    book = payers(("A", "B"), ("B", "C"), ("C", "D"))
    book.take(order("O-1", line("1.00"), account="A"), order("O-2", line("2.00"), account="C"))
    assert (owed(book), book.invoice(1).ordered_for) == ({"D": 300}, "A")
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("at", "payer"),
    [
        ("2026-05-31T23:59:59", "A"),
        ("2026-06-01T00:00:00", "B"),
        ("2026-06-30T23:59:59", "B"),
        ("2026-07-01T00:00:00", "C"),
        ("2026-12-31T23:59:59", "C"),
        ("2027-01-01T00:00:00", "A"),
    ],
)
def test_who_pays_when_the_order_is_completed(at, payer):
    """From a period's start until before its end, by the order's own time and not by when it comes in."""
    book = accounts("A", "B", "C")
    book.take(
        update(
            "A",
            relationships=[
                relation("payer", "B", since="2026-06-01", until="2026-07-01"),
                relation("payer", "C", since="2026-07-01", until="2027-01-01"),
            ],
        )
    )
    book.take(order("O-1", line("1.00"), account="A", at=at))
    assert owed(book) == {payer: 100}
    assert_books_hold(book)


def test_a_chain_of_payers_is_that_of_the_orders_time():
    """Each link of it by its own period."""
    book = accounts("A", "B", "C")
    book.take(update("A", relationships=paid_by("B", since="2026-01-01")))
    book.take(update("B", relationships=paid_by("C", since="2026-06-01")))
    for n, at in enumerate(("2025-12-31", "2026-01-01", "2026-06-01"), 1):
        book.take(order(f"O-{n}", line("1.00"), account="A", at=at))
    assert [book.invoice(n).billing_account for n in (1, 2, 3)] == ["A", "B", "C"]


def test_an_order_waits_for_its_suspended_payer():
    """And is billed to it when it is resumed."""
    book = payers(("A", "B"))
    book.take(command("suspend", "B"), order("O-1", line("1.00"), account="A"))
    _, why = book.waiting["order.completed:O-1"]
    assert (why.code, why.waits_for) == ("account-suspended", "resumed:B")
    assert why.detail == "billingAccount.id (the payer of A): account B is suspended"
    book.take(command("resume", "B"))
    assert (book.waiting, owed(book)) == ({}, {"B": 100})
    assert_books_hold(book)


def test_an_order_waits_for_its_account_before_its_payer():
    """Whoever it is billed to, the account itself must bear orders."""
    book = payers(("A", "B"))
    book.take(command("suspend", "A"), command("suspend", "B"), order("O-1", line("1.00"), account="A"))
    assert book.waiting["order.completed:O-1"][1].waits_for == "resumed:A"
    book.take(command("resume", "A"))
    assert book.waiting["order.completed:O-1"][1].waits_for == "resumed:B"
    book.take(command("resume", "B"))
    assert owed(book) == {"B": 100}


def test_an_order_that_waited_for_a_payer_is_billed_to_whoever_pays_when_it_is_applied():
    """An update of its account does not wake it, the payer's return does; then its account pays for itself."""
    book = payers(("A", "B"))
    book.take(command("suspend", "B"), order("O-1", line("1.00"), account="A"), update("A", relationships=None))
    assert list(book.waiting) == ["order.completed:O-1"]
    book.take(command("resume", "B"))
    assert (book.waiting, owed(book)) == ({}, {"A": 100})


@pytest.mark.parametrize("who", ["A", "B"])
def test_an_order_of_a_closed_account_or_payer_is_refused(who):
    """It names the account that is closed."""
    book = payers(("A", "B"))
    code, detail = book.refusal(command("close", who), order("O-1", line("1.00"), account="A"))
    said = "billingAccount.id" if who == "A" else "billingAccount.id (the payer of A)"
    assert (code, detail) == ("account-closed", f"{said}: account {who} is closed")
    assert_books_hold(book)


def test_a_payer_closes_when_it_has_paid_for_others():
    """What it owes for others is what it owes."""
    book = payers(("A", "B"))
    book.take(order("O-1", line("1.00"), account="A"), command("close", "A"), command("close", "B"))
    assert (book.state("A"), book.state("B")) == ("closed", "pendingClose")
    book.take(payment("P-1", 100, account="B"))
    assert book.state("B") == "closed"
    assert_books_hold(book)


def test_an_order_in_another_currency_than_its_payers_chain():
    """Is refused for its account; a chain is of one currency."""
    book = payers(("A", "B"))
    refused = book.refusal(order("O-1", line("1.00"), account="A", currency=USD))
    assert refused == ("currency-mismatch", "billingAccount.id: A is kept in EUR, not in USD")


def test_what_is_billed_stays_billed():
    """A payer that pays no more keeps its invoices, and partners theirs."""
    book = payers(("A", "B"))
    book.take(partner(on="payment"), order("O-1", line("1.00", "0", "SA-1"), account="A"))
    book.take(update("A", relationships=None), order("O-2", line("2.00"), account="A"))
    assert owed(book) == {"A": 200, "B": 100}
    book.take(payment("P-1", 100, account="B"))
    assert book.position("SA-1").payable == 80
    assert_books_hold(book)


# -- the limit of credit


def crossings(book: LedgerBook, account: str = "BA-1") -> list[tuple[int, int | None]]:
    """What was owed, and the limit, each time an account came to owe more than its limit."""
    facts = book.facts_of(account)
    return [(f.balance, f.account.credit_limit) for f in facts if isinstance(f, CreditLimitExceeded)]


def bill(id_: str, price: str, account: str = "BA-1") -> Fact:
    """An order of one line."""
    return order(id_, line(price), account=account)


@pytest.mark.parametrize("batch", [None, 1])
def test_a_crossing_is_told_once(batch):
    """At the limit is not beyond it; the order that goes beyond tells, last of its events; later ones do not."""
    book = LedgerBook()
    book.take(billing(creditLimit=300), bill("O-1", "1"), bill("O-2", "2"), batch=batch)
    assert crossings(book) == []
    book.take(bill("O-3", "0.01"), bill("O-4", "5"), batch=batch)
    assert crossings(book) == [(301, 300)]
    assert book.events_of("BA-1")[-3:] == ["invoice.issued", "account.credit-limit-exceeded", "invoice.issued"]
    fact = next(f for f in book.facts_of("BA-1") if isinstance(f, CreditLimitExceeded))
    assert fact.standing == Standing(balances(receivable=301), 0, "due")
    assert_books_hold(book)


def test_a_payment_brings_it_back_and_the_next_crossing_is_told():
    """Back to the limit is back; a payment that leaves it beyond is none."""
    book = LedgerBook()
    book.take(billing(creditLimit=100), bill("O-1", "2"), payment("P-1", 50), bill("O-2", "0.50"))
    assert crossings(book) == [(200, 100)]
    book.take(payment("P-2", 100), bill("O-3", "0.01"))
    assert crossings(book) == [(200, 100), (101, 100)]
    assert_books_hold(book)


def test_credit_counts_against_what_is_owed():
    """An order that consumes credit crosses only with what is left."""
    book = LedgerBook()
    book.take(billing(creditLimit=100), payment("P-1", 100), bill("O-1", "2"))
    assert crossings(book) == []
    book.take(bill("O-2", "0.01"))
    assert crossings(book) == [(101, 100)]
    book.take(payment("P-2", 1000), bill("O-3", "9"))
    assert crossings(book) == [(101, 100)]
    assert_books_hold(book)


def test_a_limit_of_nothing_is_crossed_by_the_first_cent():
    """And not by an invoice of zero."""
    book = LedgerBook()
    book.take(billing(creditLimit=0), bill("O-1", "0"))
    assert crossings(book) == []
    book.take(bill("O-2", "0.01"))
    assert crossings(book) == [(1, 0)]


def test_a_lowered_limit_is_crossed_by_the_update():
    """Once: lowered again it was beyond already; raised and lowered it is again; down to what is owed it is not."""
    book = LedgerBook()
    book.take(billing(), bill("O-1", "2"), update(creditLimit=200))
    assert crossings(book) == []
    book.take(update(creditLimit=199), update(creditLimit=100), update(name="x"), bill("O-2", "1"))
    assert crossings(book) == [(200, 199)]
    assert book.events_of("BA-1")[2:4] == ["account.changed", "account.credit-limit-exceeded"]
    book.take(update(creditLimit=300), update(creditLimit=299), update(creditLimit=None), update(creditLimit=5))
    assert crossings(book) == [(200, 199), (300, 299), (300, 5)]
    assert_books_hold(book)


def test_an_account_without_a_limit_owes_what_it_will():
    """Nothing is told."""
    book = accounts("BA-1")
    book.take(bill("O-1", "9999"))
    assert crossings(book) == []


def test_the_payers_limit_counts():
    """Not that of the account that the order was for."""
    book = LedgerBook()
    book.take(billing("B", creditLimit=100), billing("A", creditLimit=1, relationships=paid_by("B")))
    book.take(bill("O-1", "0.60", "A"), bill("O-2", "0.40", "B"), bill("O-3", "0.01", "A"))
    assert (crossings(book, "A"), crossings(book, "B")) == ([], [(101, 100)])
    assert_books_hold(book)


def test_a_limit_does_not_depend_on_partners():
    """The partner's events and money are the same with and without a limit."""
    facts: list[Fact] = [partner(on="payment"), partner("SA-2"), payment("P-1", 70)]
    sold = order("O-1", line("1.00", "0.2", "SA-1"), line("1.00", "0.2", "SA-2"))
    one, other = LedgerBook(), LedgerBook()
    one.take(billing(creditLimit=1), *facts, sold)
    other.take(billing(), *facts, sold)
    assert len(crossings(one)) == 1
    assert one.ledger() == other.ledger()
    assert one.facts_of("SA-1")[1:] == other.facts_of("SA-1")[1:]
    assert one.events_of("BA-1") == [*other.events_of("BA-1"), "account.credit-limit-exceeded"]
    assert_books_hold(one)


def test_an_order_within_the_limit_does_not_look_at_what_is_overdue():
    """A long queue of overdue invoices is not read for each order of an account with a limit."""
    book = LedgerBook(first_limit=4)
    book.take(billing(creditLimit=10**9, days=0), *[bill(f"O-{n}", "1") for n in range(200)])
    book.booked_at = moment("2026-12-24")
    loads: list[object] = []
    load = book._load
    book._load = lambda need, books: (loads.append(need), load(need, books))  # type: ignore[assignment,func-returns-value]
    book.take(bill("O-200", "1"))
    assert [need for need in loads if "Invoice" in str(need)] == []


# -- what is overdue


def test_what_is_overdue_by_the_day():
    """An invoice is overdue from the day after it is due; when it is partly paid, what is left of it."""
    book = LedgerBook()
    book.take(billing(days=10), bill("O-1", "1"))  # due on 2026-12-02
    book.booked_at = moment("2026-11-25")
    book.take(bill("O-2", "2"))  # due on 2026-12-05
    standings = []
    for at in ("2026-12-02T23:59:59", "2026-12-03", "2026-12-05", "2026-12-06"):
        book.booked_at = moment(at)
        book.take(update(name=at))
        standings.append(
            (book.facts_of("BA-1")[-1].standing.overdue, book.facts_of("BA-1")[-1].standing.payment_status)
        )
    assert standings == [(0, "due"), (100, "inArrears"), (100, "inArrears"), (300, "inArrears")]
    assert str(book.position("BA-1").oldest_due) == "2026-12-02"
    book.take(payment("P-1", 130), update(name="partly"))
    assert book.facts_of("BA-1")[-1].standing == Standing(
        balances(receivable=170),
        170,
        "inArrears",
    )
    assert str(book.position("BA-1").oldest_due) == "2026-12-05"
    book.take(payment("P-2", 200), update(name="paid"))
    assert book.facts_of("BA-1")[-1].standing == Standing(balances(unapplied=30), 0, "paid")
    assert book.position("BA-1").oldest_due is None
    assert_books_hold(book)


def test_the_oldest_due_date_when_terms_change():
    """A later invoice may be due before an earlier one, and be paid before it by name."""
    book = LedgerBook()
    book.take(billing(days=30), bill("O-1", "1"), update(paymentTermDays=0), bill("O-2", "1"), bill("O-3", "1"))
    assert str(book.position("BA-1").oldest_due) == "2026-11-22"
    book.take(payment("P-1", 100, ["INV-000000003"]))
    assert str(book.position("BA-1").oldest_due) == "2026-11-22"
    book.take(payment("P-2", 50, ["INV-000000001"]))
    assert str(book.position("BA-1").oldest_due) == "2026-11-22"
    book.take(payment("P-3", 100))
    assert str(book.position("BA-1").oldest_due) == "2026-12-22"
    assert_books_hold(book)
    book.take(payment("P-4", 50))
    assert book.position("BA-1").oldest_due is None


def test_an_invoice_that_credit_pays_is_never_due():
    """Wholly it leaves no date, partly it leaves its own."""
    book = LedgerBook()
    book.take(billing(), payment("P-1", 150), bill("O-1", "1"))
    assert book.position("BA-1").oldest_due is None
    book.take(bill("O-2", "1"))
    assert str(book.position("BA-1").oldest_due) == "2026-12-22"
    assert_books_hold(book)


@pytest.mark.parametrize("first_limit", [1, 2, 32])
def test_overdue_invoices_beyond_what_is_loaded_count(first_limit):
    """However many there are, and also when a payment of the same batch has covered some."""
    book = LedgerBook(first_limit=first_limit)
    book.take(billing(days=0), *[bill(f"O-{n}", "1") for n in range(150)])
    book.booked_at = moment("2026-11-23")
    book.take(payment("P-1", 4950), update(name="x"))
    assert book.facts_of("BA-1")[-1].standing == Standing(
        balances(receivable=10050),
        10050,
        "inArrears",
    )
    assert_books_hold(book)


def test_a_partner_is_neither_paid_nor_in_arrears():
    """Its balances are what we owe and what is still to come."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), partner("SA-2", "1", "payment"))
    book.take(order("O-1", line("1.00", "0", "SA-1"), line("2.00", "0", "SA-2")), closing("C-1"))
    book.take(command("suspend", "SA-1"), command("suspend", "SA-2"))
    assert book.facts_of("SA-1")[-1].standing == Standing(balances(payable=100), 0, None)
    assert book.facts_of("SA-2")[-1].standing == Standing(balances(withheld=200), 0, None)


# -- many


def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often relationships are compared, and how often the books are asked whether something is loaded."""
    counted: Counter[str] = Counter()
    equal, has = Relationship.__eq__, WorkingSet.has

    def counting_equal(self: Relationship, other: object) -> bool:
        counted["equal"] += 1
        return equal(self, other)

    def counting_has(self: WorkingSet, need: Need) -> bool:
        counted["has"] += 1
        return has(self, need)

    monkeypatch.setattr(Relationship, "__eq__", counting_equal)
    monkeypatch.setattr(WorkingSet, "has", counting_has)
    return counted


@pytest.mark.parametrize("changes", ["name", "period", "order"])
def test_many_children_are_changed_in_proportion(changes, monkeypatch):
    """An update of an account with many relationships does not compare each with each: others wait meanwhile."""
    count = 400
    book = accounts(*[f"C-{n}" for n in range(count)])
    said = [relation("contains", f"C-{n}") for n in range(count)]
    book.take(billing("X", relationships=said))
    changed = {
        "name": update("X", name="new"),
        "period": update("X", relationships=[*said[:-1], relation("contains", f"C-{count - 1}", until="2030-01-01")]),
        "order": update("X", relationships=said[::-1]),
    }
    counted = looks(monkeypatch)
    book.take(changed[changes])
    assert book.account("X").revision == 2
    assert counted["equal"] < 20 * count
    assert counted["has"] < 20 * count


def test_many_payers_one_after_the_other_are_checked_in_proportion(monkeypatch):
    """Each of them by itself, not all of them for each."""
    count = 400
    book = accounts(*[f"P-{n}" for n in range(count)])
    said = [relation("payer", f"P-{n}", since=f"{1600 + n}-01-01", until=f"{1601 + n}-01-01") for n in range(count)]
    counted = looks(monkeypatch)
    book.take(billing("X", relationships=said))
    assert (book.refused, book.state("X")) == ({}, "active")
    assert counted["has"] < 40 * count
    assert_books_hold(book)


def test_as_many_children_as_there_may_be():
    """All of them at once."""
    book = accounts(*[f"C-{n}" for n in range(RELATIONSHIPS_MAX)])
    book.take(billing("X", relationships=[relation("contains", f"C-{n}") for n in range(RELATIONSHIPS_MAX)]))
    assert (book.refused, len(book.links())) == ({}, RELATIONSHIPS_MAX)
