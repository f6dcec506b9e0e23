"""The life of an account: what leads from one state to another, what each state lets happen, and how a closing ends."""

from collections.abc import Mapping
from typing import Literal, cast

import pytest

from domain.accounts.model import AccountStateChanged, AccountUpdate, NewAccount, Standing
from domain.ledger.positions import CarriedForward
from domain.money import Currency
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
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
    payout,
    read,
    relation,
    update,
)

Command = Literal["suspend", "resume", "close", "reopen", "delete"]
STATES = ("defined", "active", "suspended", "pendingClose", "closed", "deleted")
COMMANDS: tuple[Command, ...] = ("resume", "suspend", "close", "reopen", "delete")


def to_state(state: str, account: str) -> list[Fact]:
    """The commands that bring an active account, with something open where the state needs it, to a state."""
    commands: dict[str, list[Fact]] = {
        "active": [],
        "suspended": [command("suspend", account)],
        "pendingClose": [command("close", account)],
        "closed": [command("close", account)],
        "deleted": [command("delete", account)],
    }
    return commands[state]


def customer(state: str, *, owing: bool = True) -> LedgerBook:
    """A book in which BA-1 is in a state; `owing`: with credit of 5.00, where that state can have it."""
    book = LedgerBook()
    book.take(billing(first="defined" if state == "defined" else "active"))
    if state == "pendingClose" or (owing and state not in ("closed", "deleted")):
        book.take(payment("P-0", 500))
    if state != "defined":
        book.take(*to_state(state, "BA-1"))
    assert book.state("BA-1") == state
    return book


def earner(state: str) -> LedgerBook:
    """A book in which SA-1 is in a state; with a statement C-0 of 5.00 to pay, where that state can have it."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", first="defined" if state == "defined" else "active"))
    if state in ("active", "suspended", "pendingClose"):
        book.take(order("O-0", line("5.00", "0", "SA-1")), closing("C-0"))
    if state != "defined":
        book.take(*to_state(state, "SA-1"))
    assert book.state("SA-1") == state
    return book


# -- the states

INVALID, CLOSED = "invalid", "account-closed"
WITH_CREDIT = {
    #                resume    suspend      close           reopen    delete
    "defined": ("active", INVALID, "pendingClose", INVALID, INVALID),
    "active": (INVALID, "suspended", "pendingClose", INVALID, INVALID),
    "suspended": ("active", INVALID, "pendingClose", INVALID, INVALID),
    "pendingClose": (INVALID, INVALID, INVALID, "active", INVALID),
}
WITH_NOTHING = {
    "defined": ("active", INVALID, "closed", INVALID, "deleted"),
    "active": (INVALID, "suspended", "closed", INVALID, "deleted"),
    "suspended": ("active", INVALID, "closed", INVALID, "deleted"),
    "closed": (CLOSED, CLOSED, CLOSED, "active", "deleted"),
    "deleted": (CLOSED, CLOSED, CLOSED, CLOSED, CLOSED),
}
CELLS = [
    (state, name, owing, outcome)
    for owing, table in ((True, WITH_CREDIT), (False, WITH_NOTHING))
    for state, outcomes in table.items()
    for name, outcome in zip(COMMANDS, outcomes, strict=True)
]


@pytest.mark.parametrize(("state", "name", "owing", "outcome"), CELLS)
def test_each_command_in_each_state(state, name, owing, outcome):
    """What it leads to, one version and one event later; or a refusal that names the field and the state."""
    book = customer(state, owing=owing)
    before = book.account("BA-1")
    if outcome in (INVALID, CLOSED):
        code, detail = book.refusal(command(name))
        assert code == outcome
        assert detail.startswith("id: account BA-1 ")
        assert state in detail or "has been posted to" in detail
        assert book.account("BA-1") == before
    else:
        told = len(book.events)
        book.take(command(name, reason="as asked"))
        after = book.account("BA-1")
        assert after.state == outcome
        assert (after.revision, after.version) == (before.revision + 1, before.version + 1)
        [event] = book.events[told:]
        assert isinstance(event.event, AccountStateChanged)
        assert (event.event.account, event.event.old_state, event.event.reason) == (after, state, "as asked")
        expected = {"closed": "account.closed", "deleted": "account.deleted"}.get(outcome, "account.state-changed")
        assert book.events_of("BA-1")[-1] == expected
        version = book.versions("BA-1")[-1]
        assert (version.changed, version.old_state, version.reason) == (("state",), state, "as asked")
    assert_books_hold(book)


def test_every_state_and_command_is_in_the_tables():
    """No cell is left out: six states, and each command in each."""
    assert {state for state, *_ in CELLS} == set(STATES)
    assert {name for _, name, *_ in CELLS} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_waits_for_its_account(name):
    """Of an account that is not there yet, as everything that refers to one."""
    book = LedgerBook()
    book.take(command(name))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.detail, why.waits_for) == ("unknown-account", "id: no account BA-1", "account:BA-1")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_for_another_revision_is_refused(name):
    """Whoever says a revision is told when it is not the account's any more, before anything else is looked at."""
    book = customer("active")
    code, detail = book.refusal(update(name="new"), command(name, at=1))
    assert (code, detail) == ("revision-mismatch", "ifRevision: 1, but account BA-1 is at revision 2")


def test_a_command_for_the_right_revision_is_done():
    """The revision is what `account.*` messages changed, not the money that flowed meanwhile."""
    book = customer("active")
    book.take(order("O-1", line("1.00")), payment("P-1", 7), command("suspend", at=1), command("resume", at=2))
    assert (book.refused, book.account("BA-1").revision) == ({}, 3)
    assert_books_hold(book)


@pytest.mark.parametrize("opened", [billing("X", first="defined"), party("X"), financial("X")])
def test_accounts_without_money_live_as_others_do(opened):
    """A party or financial account has nothing open: it is closed at once, reopened, and deleted."""
    book = LedgerBook()
    book.take(opened, command("close", "X"), command("reopen", "X"), command("suspend", "X"), command("delete", "X"))
    assert (book.refused, book.state("X"), book.account("X").revision) == ({}, "deleted", 5)
    assert book.events_of("X") == [
        "account.closed",
        "account.state-changed",
        "account.state-changed",
        "account.deleted",
    ]
    assert_books_hold(book)


# -- what each state lets happen

OK, WAITS, NO = "applied", "account-suspended", "account-closed"
HAPPENINGS = {
    #               update order accrual payment closing payout
    "defined": (OK, WAITS, WAITS, OK, WAITS, WAITS),
    "active": (OK, OK, OK, OK, OK, OK),
    "suspended": (OK, WAITS, OK, OK, WAITS, OK),
    "pendingClose": (OK, NO, NO, OK, OK, OK),
    "closed": (NO, NO, NO, NO, NO, NO),
    "deleted": (NO, NO, NO, NO, NO, NO),
}
HAPPENING: dict[str, tuple[str, Fact]] = {
    "update": ("id", update(name="new")),
    "order": ("billingAccount.id", order("O-1", line("1.00"))),
    "accrual": ("items.1.onBehalfOf.id", order("O-1", line("1.00"), line("1.00", "0", "SA-1"))),
    "payment": ("billingAccount.id", payment("P-1", 100)),
    "closing": ("settlementAccount.id", closing("C-1")),
    "payout": ("settlementAccount.id", payout("PO-1", 100, "C-0")),
}
PARTNERS_OWN = ("accrual", "closing", "payout")


@pytest.mark.parametrize(
    ("state", "happening", "outcome"),
    [
        (state, happening, outcome)
        for state, row in HAPPENINGS.items()
        for happening, outcome in zip(HAPPENING, row, strict=True)
    ],
)
def test_what_each_state_lets_happen(state, happening, outcome):
    """Applied, or waiting until the account is resumed, or refused for good; with the field that named the account."""
    account, book = ("SA-1", earner(state)) if happening in PARTNERS_OWN else ("BA-1", customer(state))
    field, fact = HAPPENING[happening]
    if outcome == OK:
        book.take(fact)
        assert (book.refused, book.waiting) == ({}, {})
    elif outcome == WAITS:
        held = book.holdings()
        book.take(fact)
        [(_, why)] = book.waiting.values()
        assert (why.code, why.waits_for) == ("account-suspended", f"resumed:{account}")
        assert why.detail == f"{field}: account {account} is {state}"
        assert book.holdings() == held
    else:
        assert book.refusal(fact) == ("account-closed", f"{field}: account {account} is {state}")
    assert_books_hold(book)


@pytest.mark.parametrize("state", ["defined", "suspended"])
def test_what_waits_for_an_account_is_applied_in_order_when_it_is_resumed(state):
    """Orders that came meanwhile are invoiced in the order they came, and consume what was paid meanwhile."""
    book = LedgerBook()
    book.take(billing(first=state))
    book.take(order("O-1", line("1.00")), order("O-2", line("2.00")))
    book.take(payment("P-1", 250), order("O-3", line("3.00")))
    assert [(position.receivable, position.unapplied) for position in [book.position("BA-1")]] == [(0, 250)]
    book.take(command("resume"))
    assert (book.waiting, [book.invoice(n).order_id for n in (1, 2, 3)]) == ({}, ["O-1", "O-2", "O-3"])
    assert [book.invoice(n).remaining_amount for n in (1, 2, 3)] == [0, 50, 300]
    assert book.events_of("BA-1") == [
        "payment.allocated",
        "account.state-changed",
        "invoice.issued",
        "payment.allocated",
        "invoice.paid",
        "invoice.issued",
        "payment.allocated",
        "invoice.partially-paid",
        "invoice.issued",
    ]
    assert_books_hold(book)


def test_what_waits_for_one_account_does_not_hold_up_another():
    """Only who is resumed is taken up again."""
    book = LedgerBook()
    book.take(billing("BA-1", first="suspended"), billing("BA-2", first="suspended"), billing("BA-3"))
    book.take(*[order(f"O-{n}", line("1.00"), account=f"BA-{n}") for n in (1, 2, 3)])
    book.take(command("resume", "BA-2"))
    assert list(book.waiting) == ["order.completed:O-1"]
    assert [invoice.id for invoice in (book.invoice(1), book.invoice(2))] == ["INV-000000001", "INV-000000002"]


@pytest.mark.parametrize(("name", "code"), [("close", "account-closed"), ("delete", "account-closed")])
def test_what_waits_is_refused_when_its_account_goes_instead(name, code):
    """An order that waits for a suspended account is not left to wait for what will not come."""
    book = customer("suspended", owing=False)
    book.take(order("O-1", line("1.00")))
    book.take(command(name))
    assert (book.waiting, book.refused["order.completed:O-1"].code) == ({}, code)
    assert_books_hold(book)


def test_an_order_and_its_resumption_in_one_batch():
    """An order before the resumption waits for it, one after it does not; suspended again, the next one waits."""
    book = customer("suspended", owing=False)
    book.take(
        order("O-1", line("1.00")),
        command("resume"),
        order("O-2", line("1.00")),
        command("suspend"),
        order("O-3", line("1.00")),
    )
    assert book.invoice(1).order_id == "O-2"
    assert list(book.waiting) == ["order.completed:O-1", "order.completed:O-3"]  # it is suspended again
    book.take(command("resume"))
    assert [book.invoice(n).order_id for n in (2, 3)] == ["O-1", "O-3"]
    assert_books_hold(book)


@pytest.mark.parametrize("state", ["defined", "suspended"])
def test_a_payment_does_not_wait(state):
    """Money that came is booked whatever the account's state lets be billed."""
    book = customer(state, owing=False)
    book.take(payment("P-1", 100))
    assert (book.position("BA-1").unapplied, book.state("BA-1")) == (100, state)
    assert_books_hold(book)


def test_a_payment_on_a_suspended_account_pays_its_invoices():
    """What was owed before it was suspended is paid as ever, and its partners get theirs."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("10.00", "0.2", "SA-1")), command("suspend"))
    book.take(command("suspend", "SA-1"), payment("P-1", 600))
    assert (book.position("BA-1").receivable, book.position("SA-1").payable) == (600, 400)
    book.take(payment("P-2", 600))
    assert (book.invoice(1).state, book.position("SA-1").payable, book.position("SA-1").withheld) == ("settled", 800, 0)
    assert_books_hold(book)


def test_a_suspended_partners_closing_waits_and_states_what_came_meanwhile():
    """It is stated when it is resumed, with what was accrued until then; what is stated already is paid out."""
    book = earner("suspended")
    book.take(payout("PO-1", 500, "C-0"), closing("C-1"), order("O-1", line("2.00", "0", "SA-1")))
    assert (list(book.waiting), book.settlement("C-0").state) == (["settlement.close:C-1"], "paid")
    book.take(command("resume", "SA-1"))
    assert [x.order_id for x in book.settlement("C-1").lines] == ["O-1"]
    assert_books_hold(book)


# -- a closing that completes by itself


def test_the_payment_that_settles_the_last_invoice_closes_the_account():
    """After all that the payment itself brings about; it is a version, no revision, and the payment is its cause."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("1.00", "0", "SA-1")), order("O-2", line("2.00")))
    book.take(command("close", reason="moved away"), payment("P-1", 100))
    assert (book.state("BA-1"), book.account("BA-1").revision, book.account("BA-1").version) == ("pendingClose", 2, 2)
    book.take(payment("P-2", 200))
    account = book.account("BA-1")
    assert (account.state, account.revision, account.version) == ("closed", 2, 3)
    assert book.events_of("BA-1")[2:] == [
        "account.state-changed",
        "payment.allocated",
        "invoice.paid",
        "payment.allocated",
        "invoice.paid",
        "account.closed",
    ]
    last = book.facts_of("BA-1")[-1]
    assert (last.account, last.old_state, last.reason) == (account, "pendingClose", None)
    assert last.standing == Standing(balances(), 0, "paid")
    version = book.versions("BA-1")[-1]
    assert (version.cause, version.changed, version.reason) == ("payment.received:P-2", ("state",), None)
    assert_books_hold(book)


def test_the_partners_events_come_before_the_closing():
    """What a last payment releases is accrued before the account that paid is closed."""
    book = LedgerBook()
    book.take(billing(), partner(on="payment"), order("O-1", line("1.00", "0", "SA-1")), command("close"))
    told = len(book.events)
    book.take(payment("P-1", 100))
    assert [event.account for event in book.events[told:]] == ["BA-1", "BA-1", "SA-1", "BA-1"]
    assert_books_hold(book)


def test_credit_that_is_left_keeps_an_account_open():
    """A customer's credit is owed to the customer: paying too much does not close, nor does a later payment."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("1.00")), command("close"), payment("P-1", 101))
    assert (book.state("BA-1"), book.position("BA-1").unapplied) == ("pendingClose", 1)
    book.take(payment("P-2", 100))
    assert book.state("BA-1") == "pendingClose"
    assert_books_hold(book)


def test_credit_alone_keeps_an_account_from_closing_at_once():
    """It is reopened to use it up, and then closes."""
    book = customer("active", owing=False)
    book.take(payment("P-1", 100), command("close"))
    assert book.state("BA-1") == "pendingClose"
    book.take(command("reopen"), order("O-1", line("1.00")), command("close"))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_one_of_two_invoices_is_not_the_last():
    """While an invoice is open the account is."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("1.00")), order("O-2", line("1.00")), command("close"), payment("P-1", 199))
    assert book.state("BA-1") == "pendingClose"
    book.take(payment("P-2", 1))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_in_one_batch_as_one_by_one():
    """A closing that completes within the batch that asks for it."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("1.00")), command("close"), payment("P-1", 100), payment("P-2", 100))
    assert (book.state("BA-1"), book.refused["payment.received:P-2"].code) == ("closed", "account-closed")
    assert_books_hold(book)


def test_the_payout_that_pays_the_last_statement_closes_a_partner():
    """And the events are those of the payout, then the closing."""
    book = earner("pendingClose")
    book.take(payout("PO-1", 499, "C-0"))
    assert book.state("SA-1") == "pendingClose"
    book.take(payout("PO-2", 1, "C-0"))
    assert book.state("SA-1") == "closed"
    assert book.events_of("SA-1")[-4:] == [
        "account.state-changed",
        "settlement.paid",
        "settlement.paid",
        "account.closed",
    ]
    assert book.versions("SA-1")[-1].cause == "payout.completed:PO-2"
    assert_books_hold(book)


def test_a_partner_is_closed_by_the_closing_that_states_its_last():
    """Accruals of opposite sign are a payable of nothing, and still have to stand in a statement."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), order("O-1", line("9.00"), line("5.00", "0", "SA-1")))
    book.take(order("O-2", line("9.00"), line("-5.00", "0", "SA-1")), command("close", "SA-1"))
    assert (book.position("SA-1").payable, book.state("SA-1")) == (0, "pendingClose")
    book.take(closing("C-1"))
    assert (book.settlement("C-1").total, book.settlement("C-1").state) == (0, "carriedForward")
    assert book.state("SA-1") == "closed"
    assert book.events_of("SA-1")[-3:] == ["account.state-changed", "settlement.closed", "account.closed"]
    assert_books_hold(book)


def test_accruals_after_the_period_keep_a_partner_open():
    """A closing that leaves one accrual to a later period does not close the account; the next one does."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"))
    for n, price in enumerate(("5.00", "-5.00", "5.00", "-5.00"), 1):
        at = "2026-11-22" if n < 3 else "2026-12-02"
        book.take(order(f"O-{n}", line("9.00"), line(price, "0", "SA-1"), at=at))
    book.take(command("close", "SA-1"), closing("C-1", until="2026-11-30"))
    assert book.state("SA-1") == "pendingClose"
    book.take(closing("C-2", until="2026-12-31"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


@pytest.mark.parametrize("first_limit", [1, 2, 32])
@pytest.mark.parametrize("prefetch", [True, False])
def test_many_accruals_are_stated_before_a_partner_is_closed(first_limit, prefetch):
    """However few of them are loaded at first."""
    book = LedgerBook(first_limit=first_limit, prefetch=prefetch)
    book.take(billing(), partner(share="1"))
    prices = ["1.00", "-1.00"] * 20
    book.take(*[order(f"O-{n}", line("9.00"), line(price, "0", "SA-1")) for n, price in enumerate(prices)])
    book.take(command("close", "SA-1"))
    assert book.state("SA-1") == "pendingClose"
    book.take(closing("C-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_a_withheld_share_keeps_a_partner_open():
    """It is still to come: released by the customer's payment, stated, paid out, and only then is it closed."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", on="payment"), order("O-1", line("5.00", "0", "SA-1")))
    book.take(command("close", "SA-1"), closing("C-1"))
    assert book.state("SA-1") == "pendingClose"
    book.take(payment("P-1", 500))
    assert (book.state("SA-1"), book.position("SA-1").withheld) == ("pendingClose", 0)
    book.take(closing("C-2"))
    assert book.state("SA-1") == "pendingClose"
    book.take(payout("PO-1", 500, "C-2"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_withheld_shares_of_opposite_sign_keep_a_partner_open():
    """What is withheld may add up to nothing and is still to come, one order after the other."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", on="payment"))
    book.take(order("O-1", line("9.00"), line("5.00", "0", "SA-1")))
    book.take(order("O-2", line("9.00"), line("-5.00", "0", "SA-1")))
    assert book.position("SA-1").withheld == 0
    book.take(command("close", "SA-1"))
    assert book.state("SA-1") == "pendingClose"
    book.take(payment("P-1", 1400))
    assert book.position("SA-1").payable == 500
    book.take(payment("P-2", 400), closing("C-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_withheld_shares_of_opposite_sign_in_one_order_keep_a_partner_open():
    """A line and its correction in one order are two shares to come."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", on="payment"))
    book.take(order("O-1", line("9.00"), line("5.00", "0", "SA-1"), line("-5.00", "0", "SA-1")))
    book.take(command("close", "SA-1"))
    assert book.state("SA-1") == "pendingClose"
    book.take(payment("P-1", 900), closing("C-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_a_debt_that_is_carried_forward_keeps_a_partner_open():
    """A partner that owes us has something open; with a total of nothing carried it has not."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), order("O-1", line("9.00"), line("-5.00", "0", "SA-1")))
    book.take(command("close", "SA-1"), closing("C-1"))
    assert (book.position("SA-1").carried_forward, book.state("SA-1")) == (CarriedForward("C-1", -500), "pendingClose")
    book.take(command("reopen", "SA-1"), order("O-2", line("5.00", "0", "SA-1")), command("close", "SA-1"))
    book.take(closing("C-2"))
    assert (book.settlement("C-2").total, book.state("SA-1")) == (0, "closed")
    assert_books_hold(book)


def test_a_debt_beside_a_statement_that_is_due_keeps_a_partner_open():
    """5.00 to pay and a debt of 5.00 are a payable of nothing: neither is settled by the other by itself."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), order("O-1", line("5.00", "0", "SA-1")), closing("C-1"))
    book.take(order("O-2", line("9.00"), line("-5.00", "0", "SA-1")), closing("C-2"), command("close", "SA-1"))
    assert (book.position("SA-1").payable, book.state("SA-1")) == (0, "pendingClose")
    book.take(payout("PO-1", 500, "C-1"))
    assert (book.position("SA-1").payable, book.state("SA-1")) == (-500, "pendingClose")
    assert_books_hold(book)


def test_an_empty_closing_does_not_hinder_a_partner():
    """A statement of nothing is carried forward as nothing."""
    book = LedgerBook()
    book.take(partner(), closing("C-1"), command("close", "SA-1"))
    assert book.state("SA-1") == "closed"
    book.take(command("reopen", "SA-1"), closing("C-2"), command("close", "SA-1"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)


def test_every_cent_is_settled_before_a_close():
    """An account with a history of money, all of it settled, is closed at once; and reopened it bears orders again."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), order("O-1", line("5.00", "0", "SA-1")), payment("P-1", 500))
    book.take(closing("C-1"), payout("PO-1", 500, "C-1"), command("close"), command("close", "SA-1"))
    assert (book.state("BA-1"), book.state("SA-1")) == ("closed", "closed")
    book.take(command("reopen"), command("reopen", "SA-1"), order("O-2", line("1.00", "0", "SA-1")))
    assert (book.position("BA-1").receivable, book.position("SA-1").payable) == (100, 100)
    assert_books_hold(book)


def test_reopened_before_it_was_closed_it_does_not_close():
    """The payment that would have been the last one of a closing is an ordinary one again."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("1.00")), command("close"), command("reopen"), payment("P-1", 100))
    assert (book.state("BA-1"), book.account("BA-1").version) == ("active", 3)
    assert_books_hold(book)


# -- deletion


def deletion(*facts: Fact) -> tuple[str, str]:
    """How deleting `X` is refused after these facts."""
    book = LedgerBook()
    refused = book.refusal(*facts, command("delete", "X"))
    assert_books_hold(book)
    return refused


@pytest.mark.parametrize(
    "facts",
    [
        [billing("X"), order("O-1", line("1.00"), account="X")],
        [billing("X"), payment("P-1", 1, account="X")],
        [billing("X"), order("O-1", line("1.00"), account="X"), payment("P-1", 100, account="X")],
        [billing(), partner("X"), order("O-1", line("1.00", "0", "X"))],
        [billing(), partner("X", on="payment"), order("O-1", line("1.00", "0", "X"))],
        [
            billing("X"),
            order("O-1", line("1.00"), account="X"),
            payment("P-1", 100, account="X"),
            command("close", "X"),
        ],
    ],
)
def test_what_has_been_posted_to_is_not_deleted(facts):
    """Its books are kept: it can be closed, not deleted."""
    code, detail = deletion(*facts)
    assert code == "invalid"
    assert detail.startswith("id: ")
    assert "X" in detail


UP_AND_DOWN = (line("9"), line("1", "0", "X"), line("-1", "0", "X"))
USES: dict[str, list[Fact]] = {
    "an invoice of zero": [billing("X"), order("O-1", line("0"), account="X")],
    "an invoice that its payer got": [
        billing("BA-1"),
        billing("X", relationships=[relation("payer", "BA-1")]),
        order("O-1", line("1.00"), account="X"),
    ],
    "a share of nothing": [billing(), partner("X", "0"), order("O-1", line("1.00", "0", "X"))],
    "accruals of opposite sign": [billing(), partner("X", "1"), order("O-1", *UP_AND_DOWN)],
    "withheld shares of opposite sign": [billing(), partner("X", "1", "payment"), order("O-1", *UP_AND_DOWN)],
    "a statement of nothing": [partner("X"), closing("C-1", "X")],
}


@pytest.mark.parametrize("facts", USES.values(), ids=USES)
def test_what_the_books_tell_of_is_not_deleted(facts):
    """Also where it comes to nothing: an invoice, an accrual or a statement may not point to what is gone."""
    code, detail = deletion(*facts)
    assert (code, detail.startswith("id: ")) == ("invalid", True)


REFERENCES = [
    ("contains", billing("R", relationships=[relation("contains", "X")])),
    ("payer", billing("R", relationships=[relation("payer", "X", until="2020-01-01")])),
    ("serviceProvider", billing("R", relationships=[relation("serviceProvider", "X")])),
    ("partner", billing("R", relationships=[relation("partner", "X")])),
    ("endCustomer", billing("R", relationships=[relation("endCustomer", "X")])),
    ("related", billing("R", relationships=[relation("cousin", "X")])),
]


@pytest.mark.parametrize(("kind", "referrer"), REFERENCES)
def test_what_is_referred_to_is_not_deleted(kind, referrer):
    """Until nothing refers to it any more, whatever the period of the relationship."""
    book = LedgerBook()
    code, detail = book.refusal(billing("X"), referrer, command("delete", "X"))
    assert (code, detail) == ("invalid", f"id: X can't be deleted, account R refers to it ({kind})")
    book.take(update("R", relationships=None), command("delete", "X"))
    assert book.state("X") == "deleted"
    assert_books_hold(book)


def test_a_financial_account_that_is_referred_to_is_not_deleted():
    """Nor while a closed account refers to it; but when that was deleted."""
    book = LedgerBook()
    book.take(financial("X"), billing("R", refersTo={"financialAccount": "X"}), command("close", "R"))
    code, detail = book.refusal(command("delete", "X"))
    assert (code, detail) == ("invalid", "id: X can't be deleted, account R refers to it (financialAccount)")
    book.take(command("delete", "R"), command("delete", "X"))
    assert book.state("X") == "deleted"
    assert_books_hold(book)


def test_a_deleted_account_is_gone_for_good():
    """Its id is not used again, and what it said of others is taken back."""
    book = LedgerBook()
    book.take(billing("Y"), billing("X", relationships=[relation("payer", "Y")]), command("delete", "X"))
    assert book.links() == set()
    book.take_as("account.create:m-2", billing("X"))
    assert book.refused["account.create:m-2"].code == "conflicting-duplicate"
    assert "X" in book.refused["account.create:m-2"].detail
    book.take(command("delete", "Y"))
    assert (book.state("X"), book.state("Y")) == ("deleted", "deleted")
    assert_books_hold(book)


# -- what a client says


def test_an_update_changes_what_it_names():
    """The document and what the domain reads of it; the event names the fields, and the version holds all of it."""
    book = LedgerBook()
    book.take(billing(creditLimit=500))
    book.booked_at = moment("2026-11-23T09:00:00")
    book.take(update(paymentTermDays=10, name="New", creditLimit=None))
    account = book.account("BA-1")
    assert (account.payment_term_days, account.credit_limit, account.document["name"]) == (10, None, "New")
    assert (account.revision, account.version, account.updated_at) == (2, 2, moment("2026-11-23T09:00:00"))
    assert account.opened_at == moment("2026-11-22T12:00:00")
    [fact] = book.facts_of("BA-1")[1:]
    assert (fact.account, fact.changed) == (account, ("creditLimit", "name", "paymentTermDays"))
    nothing = Standing(balances(), 0, "paid")
    assert book.results[list(book.results)[-1]] == {"id": "BA-1", "revision": 2, "account": (account, nothing)}
    book.take(order("O-1", line("1.00")))
    assert str(book.invoice(1).payment_due_date) == "2026-12-03"
    assert_books_hold(book)


@pytest.mark.parametrize("changes", [{}, {"name": "BA-1"}, {"paymentTermDays": 30}, {"no": None}])
def test_an_update_that_changes_nothing_is_no_change(changes):
    """It is done, with the revision that there is: no version, no event."""
    book = LedgerBook()
    book.take(billing())
    held, told = book.holdings(), list(book.events)
    book.take(update(**changes))
    assert (book.holdings(), book.events) == (held, told)
    assert cast("dict[str, object]", list(book.results.values())[-1])["revision"] == 1


def test_what_the_reader_leaves_out_is_no_change():
    """A patch may say what no document keeps (a null in an array): what is kept decides whether something changed."""

    def reader(id_: str, type_: str, currency: Currency, document: Mapping[str, object]) -> NewAccount:
        return read(id_, type_, currency, {name: value for name, value in document.items() if name != "left out"})

    book = LedgerBook()
    book.take(billing())
    book.take(AccountUpdate("BA-1", "BillingAccount", None, {"left out": 1}, reader))
    assert (book.account("BA-1").revision, book.events_of("BA-1")) == (1, [])


@pytest.mark.parametrize(
    ("fact", "code", "detail"),
    [
        (update(type_="SettlementAccount", name="x"), "invalid", "@type: account BA-1 is a BillingAccount"),
        (update(at=4, name="x"), "revision-mismatch", "ifRevision: 4, but account BA-1 is at revision 1"),
        (update(creditLimit=-1), "invalid", "creditLimit: must not be negative (got -1)"),
    ],
)
def test_an_update_that_does_not_fit_is_refused(fact, code, detail):
    """And leaves the account as it was."""
    book = LedgerBook()
    found, said = book.refusal(billing(), fact)
    assert (found, said[: len(detail)]) == (code, detail)
    assert_books_hold(book)


def test_new_terms_are_for_new_lines():
    """A partner's changed terms are frozen on later lines only; how earlier ones accrue is not touched."""
    book = LedgerBook()
    book.take(billing(), partner(share="0.5", on="payment"), order("O-1", line("10.00", "0", "SA-1")))
    book.take(update("SA-1", type_="SettlementAccount", share="0.8", accrueOn="invoice"))
    book.take(order("O-2", line("10.00", "0", "SA-1")))
    assert (book.position("SA-1").withheld, book.position("SA-1").payable) == (500, 800)
    assert_books_hold(book)


def test_what_is_owed_stands_with_every_version():
    """The reply to a command and its event tell the balances as they are."""
    book = LedgerBook()
    book.take(billing(days=0), order("O-1", line("5.00")), command("suspend"))
    assert book.facts_of("BA-1")[-1].standing == Standing(balances(receivable=500), 0, "due")
    book.booked_at = moment("2026-11-23T00:00:00")
    book.take(command("resume"))
    assert book.facts_of("BA-1")[-1].standing == Standing(
        balances(receivable=500),
        500,
        "inArrears",
    )
