"""Dunning: which steps are taken against what an account owes, when, and what clears them again."""

from datetime import date, timedelta
from typing import Any

import pytest

from domain.accounts.specifications import DunningProcedure
from domain.billing.model import Charge
from domain.billing.subscriptions import Subscription
from domain.dunning import looking, suspending
from domain.dunning.model import Dunning, DunningCleared, DunningStepTaken
from domain.invoicing.model import InvoiceOverdue
from domain.payments.model import PaymentRequested
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    USD,
    LedgerBook,
    billing,
    change,
    command,
    credit_note,
    demand,
    dispute,
    failed_payment,
    line,
    look,
    order,
    partner,
    payment,
    procedure,
    promise,
    respecify,
    reversal,
    subscription,
    unspecify,
    update,
    withdrawal,
)
from tests.support.ledger_book import dunned as dunned_on

FIRST = date(2026, 11, 22)
"""Day 0. An account's invoices are due when they are issued, so an order's day is its invoice's due date."""
LADDER = procedure((5, "remind"), (7, "suspend"))


def day(number: int) -> str:
    """The date of a day, counted from the first."""
    return (FIRST + timedelta(days=number)).isoformat()


def dunned(*facts: Any, by: Any = LADDER, **fields: Any) -> LedgerBook:
    """Books of day 0 with an account that has a procedure."""
    book = LedgerBook()
    book.begin_days(day(0))
    book.take(by, billing("BA-1", days=0, refersTo={"dunningProcedure": "D-1"}, **fields), *facts)
    return book


def pass_days(book: LedgerBook, until: int, *accounts: str) -> None:
    """Let each day until this one come, and look at accounts on it."""
    while book.booked_at.date() < date.fromisoformat(day(until)):
        on = (book.booked_at.date() + timedelta(days=1)).isoformat()
        book.begin_days(on)
        book.take(*(look(on, account=account) for account in accounts or ("BA-1",)), dunned_on(on))


def at(book: LedgerBook, number: int, *facts: Any) -> None:
    """Let the days until this one pass, each with its look, and say facts on it."""
    pass_days(book, number)
    book.take(*facts)


def level(book: LedgerBook, account: str = "BA-1") -> int:
    """How many steps stand against an account."""
    found = book.documents[Dunning].get(account)
    return 0 if found is None else found.level


def told(book: LedgerBook, account: str = "BA-1") -> list[tuple[int, str]]:
    """What dunning tells of an account: on which day, and the step's action or how far it was cleared."""
    found: list[tuple[int, str]] = []
    for event in book.facts_of(account):
        if isinstance(event, DunningStepTaken):
            found.append(((event.step.on - FIRST).days, event.step.action))
        if isinstance(event, DunningCleared):
            found.append(((event.on - FIRST).days, f"{event.old_level} to {event.level}"))
    return found


# -- steps


def test_steps_follow_the_earliest_open_due_date():
    """A due on day 0, B on day 4; A is paid on day 6: the days then count from B."""
    book = dunned(order("A", line("10.00")))
    at(book, 4, order("B", line("20.00"), at=f"{day(4)}T10:00:00"))
    at(book, 6, payment("P-1", 1000))
    assert level(book) == 0
    pass_days(book, 12)
    assert told(book) == [(5, "remind"), (6, "1 to 0"), (9, "remind"), (11, "suspend")]
    assert_books_hold(book)


def test_a_step_tells_what_it_is_about():
    """What is overdue since when, by which procedure."""
    book = dunned(order("A", line("10.00")), order("B", line("5.00")))
    pass_days(book, 5)
    [step] = [event.step for event in book.facts_of("BA-1") if isinstance(event, DunningStepTaken)]
    assert (step.procedure, step.level, step.after, step.action) == ("D-1", 1, 5, "remind")
    assert (step.oldest_due_date, step.overdue, step.currency, step.on) == (FIRST, 1500, "EUR", FIRST + timedelta(5))


def test_nothing_is_taken_without_a_procedure():
    """But that the invoice is overdue is told, once, on the day after its due date."""
    book = LedgerBook()
    book.begin_days(day(0))
    book.take(billing("BA-1", days=0), order("A", line("10.00")))
    pass_days(book, 9)
    [(cause, event)] = [(one.cause, one.event) for one in book.events if isinstance(one.event, InvoiceOverdue)]
    assert cause == f"dunning.look:BA-1/{day(1)}"
    assert event.invoice.handled.overdue_on == FIRST + timedelta(days=1)
    assert told(book) == []
    assert_books_hold(book)


def test_one_step_a_day_at_most():
    """After an outage of ten days the newest day is looked at, and it is the first step that is taken."""
    book = dunned(order("A", line("10.00")))
    book.begin_days(day(10))
    book.take(look(day(10)), look(day(10)))
    assert told(book) == [(10, "remind")]
    pass_days(book, 12)
    assert told(book) == [(10, "remind"), (11, "suspend")]
    assert_books_hold(book)


def test_a_look_on_a_day_that_is_over_does_nothing():
    """It was held, and another day has come since: that day's look decides."""
    book = dunned(order("A", line("10.00")))
    book.begin_days(day(9))
    book.take(look(day(8)))
    assert (told(book), book.documents[Dunning]) == ([], {})
    assert book.invoice(1).handling is None


def test_a_payment_that_comes_before_the_look_prevents_the_step():
    """The step is decided by what is open then."""
    book = dunned(order("A", line("10.00")))
    pass_days(book, 4)
    book.begin_days(day(5))
    book.take(payment("P-1", 1000), look(day(5)))
    assert told(book) == []


def test_a_step_and_a_payment_at_once():
    """Two workers: whichever comes second is decided anew, so no step stands against what is paid."""
    book = dunned(order("A", line("10.00")))
    pass_days(book, 4)
    book.begin_days(day(5))
    fork = book.begin()
    fork.take(look(day(5)))
    book.take(payment("P-1", 1000))
    assert not book.commit(fork)


def test_an_account_dunned_twice_on_one_day_takes_one_step():
    """Taken, cleared by a payment that came back, and looked at again: the step is taken again on the next day."""
    book = dunned(order("A", line("10.00")))
    at(book, 5, payment("P-1", 1000))
    book.take(reversal("R-1", "P-1"))
    assert told(book) == [(5, "remind"), (5, "1 to 0")]
    book.take_as("dunning.look:again", look(day(5)))
    assert level(book) == 0
    pass_days(book, 6)
    assert told(book)[2:] == [(6, "remind")]
    assert_books_hold(book)


# -- what keeps it from rising


def test_below_the_threshold_nothing_is_taken():
    """At it is not below it; what is not due yet does not count."""
    book = dunned(order("A", line("4.00")), by=procedure((5, "remind"), threshold="5.00"))
    at(book, 9, order("B", line("1.00"), at=f"{day(9)}T10:00:00"))
    assert level(book) == 0
    pass_days(book, 10)
    assert told(book) == [(10, "remind")]
    book.take(payment("P-1", 50))
    assert told(book) == [(10, "remind"), (10, "1 to 0")]


def test_a_threshold_in_another_currency_is_none():
    """It can't be compared."""
    book = dunned(order("A", line("1.00")), by=procedure((5, "remind")))
    book.take(respecify("D-1", kind=DunningProcedure, threshold={"unit": "USD", "value": 1000}))
    pass_days(book, 5)
    assert level(book) == 1


def test_what_is_disputed_is_not_dunned():
    """A dispute of all that is overdue clears; its end lets the steps be taken again, one a day."""
    book = dunned(order("A", line("10.00")))
    at(book, 7, dispute("DI-1", "INV-000000001", {"1": 1000}))
    assert told(book) == [(5, "remind"), (7, "suspend"), (7, "2 to 0")]
    at(book, 9, withdrawal("DI-1"))
    pass_days(book, 11)
    assert told(book)[3:] == [(10, "remind"), (11, "suspend")]
    assert_books_hold(book)


def test_a_dispute_of_a_part_counts_for_that_part():
    """What is left of it is below the threshold."""
    book = dunned(order("A", line("10.00")), by=procedure((5, "remind"), threshold="5.00"))
    at(book, 6, dispute("DI-1", "INV-000000001", {"1": 600}))
    assert told(book) == [(5, "remind"), (6, "1 to 0")]


def test_a_promise_lets_dunning_wait():
    """Until its day is over; what stood is cleared at once."""
    book = dunned(order("A", line("10.00")))
    at(book, 5, promise("PR-1", day(8)))
    assert book.results["payment.promise:PR-1"] == {"level": 0}
    pass_days(book, 10)
    assert told(book) == [(5, "remind"), (5, "1 to 0"), (9, "remind"), (10, "suspend")]
    assert_books_hold(book)


def test_a_promise_of_a_part_covers_so_much():
    """What is overdue beyond it is dunned."""
    book = dunned(order("A", line("10.00")))
    book.take(promise("PR-1", day(6), 999))
    pass_days(book, 5)
    assert told(book) == [(5, "remind")]
    book.take(promise("PR-2", day(6), 1000))
    assert told(book) == [(5, "remind"), (5, "1 to 0")]


def test_a_later_promise_stands_for_the_earlier():
    """One of a day that is over withdraws it."""
    book = dunned(order("A", line("10.00")))
    book.take(promise("PR-1", day(20)))
    pass_days(book, 5)
    assert level(book) == 0
    book.take(promise("PR-2", day(4)))
    assert level(book) == 0
    pass_days(book, 6)
    assert level(book) == 1


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (promise("PR-1", "2026-12-01", account="BA-9"), None),
        (promise("PR-1", "2026-12-01", account="SA-1"), "invalid"),
        (promise("PR-1", "2026-12-01", 5, currency=USD), "currency-mismatch"),
    ],
)
def test_a_promise_is_of_a_billing_account(fact, code):
    """That is there, in its currency."""
    book = dunned(partner("SA-1"))
    if code is None:
        book.take(fact)
        [(_, why)] = book.waiting.values()
        assert why.code == "unknown-account"
    else:
        assert book.refusal(fact)[0] == code


# -- clearing


def test_what_clears_lets_the_steps_be_taken_again():
    """A payment that comes back makes the invoice as late as it was: one step a day."""
    book = dunned(order("A", line("10.00")))
    at(book, 7, payment("P-1", 1000, at=f"{day(7)}T11:00:00"))
    assert told(book)[2:] == [(7, "2 to 0")]
    at(book, 20, reversal("R-1", "P-1", at=f"{day(20)}T11:00:00"))
    pass_days(book, 23)
    assert told(book)[3:] == [(21, "remind"), (22, "suspend")]
    assert_books_hold(book)


def test_a_credit_note_clears_too():
    """And so does whatever else leaves nothing overdue."""
    book = dunned(order("A", line("10.00")))
    at(book, 5, credit_note("N-1", "INV-000000001"))
    assert told(book) == [(5, "remind"), (5, "1 to 0")]


def test_a_part_of_the_ladder_is_cleared():
    """A invoice that is less late leaves the step that its days are enough for."""
    book = dunned(order("A", line("10.00")), by=procedure((5, "remind"), (7, "suspend"), (12, "collect")))
    at(book, 5, order("B", line("20.00"), at=f"{day(5)}T10:00:00"))
    pass_days(book, 12)
    assert level(book) == 3
    book.take(payment("P-1", 1000))
    assert told(book)[3:] == [(12, "3 to 2")]
    assert_books_hold(book)


def test_without_its_procedure_nothing_stands():
    """An account that refers to none any more is cleared at once."""
    book = dunned(order("A", line("10.00")))
    at(book, 5, update("BA-1", refersTo=None))
    assert told(book) == [(5, "remind"), (5, "1 to 0")]
    book.take(unspecify("D-1", kind=DunningProcedure))
    assert book.get(DunningProcedure, "D-1").state == "deleted"


def test_a_procedure_that_is_changed_counts_from_the_next_look():
    """A step that does the same at its place goes on standing; from the first that does not, steps are cleared."""
    book = dunned(order("A", line("10.00")))
    pass_days(book, 7)
    steps = [{"after": 3, "action": "remind"}, {"after": 6, "action": "suspend"}, {"after": 7, "action": "collect"}]
    book.take(respecify("D-1", kind=DunningProcedure, steps=steps))
    pass_days(book, 8)
    assert told(book)[2:] == [(8, "collect")]
    assert [step.after for step in book.get(Dunning, "BA-1").steps] == [3, 6, 7]
    book.take(respecify("D-1", kind=DunningProcedure, steps=[steps[0], {"after": 7, "action": "collect"}]))
    pass_days(book, 10)
    assert told(book)[3:] == [(9, "3 to 1"), (10, "collect")]
    assert_books_hold(book)


def test_what_is_closed_is_no_longer_dunned():
    """The payment that settles the last of it clears as well."""
    book = dunned(order("A", line("10.00")))
    at(book, 5, command("close"), payment("P-1", 1000))
    assert (book.state("BA-1"), told(book)) == ("closed", [(5, "remind"), (5, "1 to 0")])
    assert_books_hold(book)


def test_what_does_not_change_what_is_owed_asks_for_no_other_look():
    """A fact of an account that is dunned leaves a review only where it changes the account or its invoices."""
    book = dunned(order("A", line("10.00")))
    pass_days(book, 5)
    before = [identity for identity in book.applied if identity.startswith("dunning.look")]
    book.take(subscription("S-9"))
    assert [identity for identity in book.applied if identity.startswith("dunning.look")] == before
    book.take(payment("P-1", 1))
    assert len([identity for identity in book.applied if identity.startswith("dunning.look")]) == len(before) + 1


# -- what is requested


def collected(*facts: Any, by: Any = LADDER) -> LedgerBook:
    """Books of day 0 with an account that pays what it is asked for."""
    return dunned(*facts, by=by, defaultPaymentMethod={"id": "PM-1", "@type": "PaymentMethodRef"})


def requests(book: LedgerBook) -> list[PaymentRequested]:
    """What was requested."""
    return [event.event for event in book.events if isinstance(event.event, PaymentRequested)]


def test_what_is_due_is_requested_once():
    """At the due date; what is not open, or not due, is not, and no account without a means of payment is asked."""
    book = collected(billing("BA-2", days=0), order("X", line("5.00"), account="BA-2"))
    at(book, 1, order("A", line("10.00"), at=f"{day(1)}T10:00:00"), order("B", line("7.00"), at=f"{day(1)}T10:00:00"))
    book.take(payment("P-1", 1700, ["INV-000000003"], at=f"{day(1)}T11:00:00"))
    book.take_as("dunning.look:at-noon", look(day(1)))
    pass_days(book, 4, "BA-1", "BA-2")
    assert requests(book) == []
    book.take(order("C", line("3.00"), at=f"{day(4)}T10:00:00"))
    book.take_as("dunning.look:on-the-due-date", look(day(4)))
    pass_days(book, 6)
    due = FIRST + timedelta(days=4)
    assert requests(book) == [PaymentRequested("BA-1", "INV-000000004", "EUR", 300, due, "PM-1")]
    assert_books_hold(book)


def test_what_is_requested_is_waited_for():
    """For 14 days, if nobody says what came of it; that it is overdue is told all the same."""
    book = collected(by=procedure((1, "remind")))
    at(book, 1, order("A", line("10.00"), at=f"{day(1)}T10:00:00"))
    pass_days(book, 20)
    assert [one.bill_no for one in requests(book)] == ["INV-000000001"]
    assert told(book) == [(16, "remind")]
    assert book.invoice(1).handled.overdue_on == FIRST + timedelta(days=2)
    assert_books_hold(book)


def test_what_failed_is_open_again():
    """The days count from the due date; it is not requested again."""
    book = collected(by=procedure((1, "remind"), (3, "collect")))
    at(book, 1, order("A", line("10.00"), at=f"{day(1)}T10:00:00"))
    at(book, 5, failed_payment("INV-000000001"))
    assert book.results["payment.failed:INV-000000001"] == {"billNo": "INV-000000001"}
    pass_days(book, 8)
    assert told(book) == [(6, "remind"), (7, "collect")]
    assert len(requests(book)) == 1
    assert_books_hold(book)


def test_a_payment_that_answers_a_request_covers_its_invoice():
    """Unless it names others; a request that was paid can't fail."""
    book = collected(order("A", line("4.00")))
    at(book, 1, order("B", line("10.00"), at=f"{day(1)}T10:00:00"))
    pass_days(book, 2)
    assert [one.bill_no for one in requests(book)] == ["INV-000000002"]
    book.take(payment("P-1", 1000, request="INV-000000002", at=f"{day(2)}T11:00:00"))
    assert (book.invoice(1).remaining_amount, book.invoice(2).remaining_amount) == (400, 0)
    request = book.invoice(2).handled.request
    assert request is not None
    assert request.payment_id == "P-1"
    refused = book.refusal(failed_payment("INV-000000002"))
    assert refused == ("wrong-state", "paymentRequestId: INV-000000002 was paid, by payment P-1")
    book.take(payment("P-2", 400, ["INV-000000001"], request="INV-000000002", at=f"{day(2)}T12:00:00"))
    assert book.invoice(1).remaining_amount == 0
    assert_books_hold(book)


def test_another_accounts_request_is_a_name_like_others():
    """The payment is booked, and covers what it would have covered."""
    book = collected(billing("BA-2", days=0), order("X", line("5.00"), account="BA-2"))
    at(book, 1, order("B", line("10.00"), at=f"{day(1)}T10:00:00"))
    pass_days(book, 2)
    book.take(payment("P-1", 500, account="BA-2", request="INV-000000002", at=f"{day(2)}T11:00:00"))
    assert (book.invoice(1).remaining_amount, book.invoice(2).remaining_amount) == (0, 1000)
    assert book.last_allocation().not_allocated == ("INV-000000002",)


def test_what_names_no_request_waits_for_it():
    """A payment may come before it was asked for; so may its failure."""
    book = collected()
    at(book, 1, order("A", line("10.00"), at=f"{day(1)}T10:00:00"))
    book.take(payment("P-1", 1000, request="INV-000000001", at=f"{day(1)}T11:00:00"), failed_payment("INV-000000009"))
    assert {why.waits_for for _, why in book.waiting.values()} == {
        "payment-request:INV-000000001",
        "payment-request:INV-000000009",
    }
    pass_days(book, 2)
    assert [why.waits_for for _, why in book.waiting.values()] == ["payment-request:INV-000000009"]
    assert book.invoice(1).remaining_amount == 0


def test_what_was_due_before_dunning_began_is_left_to_who_did_it_before():
    """Neither asked for nor told of; but a procedure that an account refers to holds of all that it owes."""
    book = collected(order("A", line("10.00")))
    book.begin_days(day(6))
    book.take(look(day(6)))
    assert requests(book) == []
    assert [event for event in book.events if isinstance(event.event, InvoiceOverdue)] == []
    assert told(book) == [(6, "remind")]


# -- what steps do


def test_a_charge_is_for_the_next_bill():
    """Due on the day of the step, without a message of its own; it is charged again when the step is taken again."""
    book = dunned(order("A", line("10.00")), by=procedure((5, "charge")))
    pass_days(book, 5)
    charge = book.get(Charge, f"dunning~BA-1~{day(5)}")
    assert (charge.date, charge.net, charge.item.category, charge.billed) == (FIRST + timedelta(5), 450, "E", None)
    assert book.get(Dunning, "BA-1").steps[0].charge_id == charge.id
    book.take(payment("P-1", 1000), demand("DE-1", on=day(5)))
    assert book.invoice(2).tax_included_amount == 450
    assert_books_hold(book)
    at(book, 10)
    pass_days(book, 11)
    assert told(book) == [(5, "charge"), (5, "1 to 0"), (10, "charge")]
    assert_books_hold(book)


def states(book: LedgerBook) -> dict[str, str]:
    """The states of all subscriptions."""
    return {id_: one.state for id_, one in book.documents[Subscription].items()}


def test_suspending_is_as_of_that_day():
    """The account's subscriptions and those that it pays for; what is paid by another one, or not served, stays."""
    book = dunned(order("A", line("10.00")))
    book.take(
        billing("BA-2", relationships=paid_for_by("BA-1")),
        billing("BA-3"),
        subscription("S-1"),
        subscription("S-2", account="BA-2"),
        subscription("S-3", account="BA-3"),
        subscription("S-4", start=day(30)),
        subscription("S-5", termination_date=day(3)),
        subscription("S-6"),
        change(day(1), "suspend", of="S-6"),
    )
    pass_days(book, 7)
    assert states(book) == {
        "S-1": "suspended",
        "S-2": "suspended",
        "S-3": "active",
        "S-4": "pendingActive",
        "S-5": "terminated",
        "S-6": "suspended",
    }
    patch = book.get(Subscription, "S-1").patches[-1]
    assert (patch.kind, patch.effective_date, patch.cause) == (
        "suspend",
        FIRST + timedelta(days=7),
        f"dunning.look:BA-1/{day(7)}",
    )
    assert_books_hold(book)
    at(book, 9, payment("P-1", 1000))
    assert states(book) == {
        "S-1": "active",
        "S-2": "active",
        "S-3": "active",
        "S-4": "pendingActive",
        "S-5": "terminated",
        "S-6": "suspended",
    }
    assert book.get(Subscription, "S-2").patches[-1].effective_date == FIRST + timedelta(days=9)
    assert_books_hold(book)


def paid_for_by(payer: str) -> list[object]:
    """The relationships of an account that another pays for."""
    return [{"type": "payer", "account": payer, "since": None, "until": None}]


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ([change(day(8), "resume")], "active"),
        ([change(day(8), "resume"), change(day(8), "suspend")], "suspended"),
        ([change(day(8), "terminate")], "terminated"),
        ([change(day(8), "resume"), change(day(9), "suspend")], "active"),
    ],
)
def test_what_people_say_meanwhile_stays(said, after):
    """What they have resumed, suspended or ended is not resumed by dunning; what they suspend later stays to come."""
    book = dunned(order("A", line("10.00")), subscription("S-1"))
    at(book, 8, *said)
    book.take(payment("P-1", 1000))
    assert states(book) == {"S-1": after}
    assert_books_hold(book)


def test_what_people_suspend_for_later_stays_suspended():
    """It was said before the step, for a day that comes while the step stands."""
    book = dunned(order("A", line("10.00")), subscription("S-1"), change(day(8), "suspend"))
    at(book, 9, payment("P-1", 1000))
    assert states(book) == {"S-1": "suspended"}
    assert_books_hold(book)


def test_many_subscriptions_are_suspended_and_resumed_in_parts(monkeypatch):
    """Each part is a transaction of its own."""
    monkeypatch.setattr(suspending, "SUBSCRIPTIONS_MAX", 2)
    book = dunned(order("A", line("10.00")), *(subscription(f"S-{n}") for n in range(7)))
    pass_days(book, 7)
    assert set(states(book).values()) == {"suspended"}
    assert sum(identity.startswith("dunning.look:BA-1/") for identity in book.applied) == 7 + 3
    assert_books_hold(book)
    book.take(payment("P-1", 1000))
    assert set(states(book).values()) == {"active"}
    assert_books_hold(book)


def test_what_is_left_to_suspend_is_not_once_the_step_is_cleared(monkeypatch):
    """A payment between two parts: what is suspended is resumed, and nothing more is suspended."""
    monkeypatch.setattr(suspending, "SUBSCRIPTIONS_MAX", 2)
    book = dunned(order("A", line("10.00")), *(subscription(f"S-{n}") for n in range(7)))
    book.rest_last = True
    pass_days(book, 6)
    book.begin_days(day(7))
    book.take(look(day(7)), payment("P-1", 1000), batch=1)
    assert set(states(book).values()) == {"active"}
    assert_books_hold(book)


def test_many_invoices_are_told_in_parts(monkeypatch):
    """That they are overdue, each once."""
    monkeypatch.setattr(looking, "INVOICES_MAX", 2)
    book = dunned(*(order(f"O-{n}", line("1.00")) for n in range(5)))
    pass_days(book, 2)
    assert sum(isinstance(event.event, InvoiceOverdue) for event in book.events) == 5
    assert_books_hold(book)


def after_an_outage(monkeypatch: pytest.MonkeyPatch, *facts: Any, by: Any) -> LedgerBook:
    """Five invoices due on day 1, after its look; the next day that comes is the fifth; two are asked for at once."""
    monkeypatch.setattr(looking, "INVOICES_MAX", 2)
    book = collected(*facts, subscription("S-1"), by=by)
    at(book, 1, *(order(f"O-{n}", line("1.00"), at=f"{day(1)}T13:00:00") for n in range(5)))
    book.begin_days(day(5))
    return book


def test_all_that_is_due_is_requested_before_a_step_is_decided(monkeypatch):
    """In as many parts as it takes: nobody is suspended for what the same look requests."""
    book = after_an_outage(monkeypatch, by=procedure((2, "suspend")))
    book.take(look(day(5)), batch=1)
    assert len(requests(book)) == 5
    assert (told(book), states(book)) == ([], {"S-1": "active"})
    assert book.get(Subscription, "S-1").revision == 1
    assert_books_hold(book)


def test_a_step_that_is_due_all_the_same_is_taken_by_the_last_part(monkeypatch):
    """For what was due before dunning began: once, and with what is overdue beside the requests."""
    book = after_an_outage(monkeypatch, order("A", line("10.00")), by=procedure((2, "suspend"), (3, "collect")))
    book.take(look(day(5)), batch=1)
    book.take_as("dunning.look:again", look(day(5)))
    [step] = [event.step for event in book.facts_of("BA-1") if isinstance(event, DunningStepTaken)]
    assert (step.on, step.action, step.overdue) == (FIRST + timedelta(days=5), "suspend", 1000)
    assert step.cause.startswith(f"dunning.look:BA-1/{day(5)}/")
    assert (len(requests(book)), states(book)) == (5, {"S-1": "suspended"})
    assert_books_hold(book)


def test_what_stands_is_cleared_once_all_is_requested(monkeypatch):
    """By what is left then, and at once; an account that pays what it is asked for from now on."""
    monkeypatch.setattr(looking, "INVOICES_MAX", 2)
    book = dunned(subscription("S-1"), by=procedure((1, "remind"), (2, "suspend")))
    for n in range(1, 6):
        at(book, n, order(f"O-{n}", line("1.00"), at=f"{day(n)}T13:00:00"))
    assert told(book) == [(2, "remind"), (3, "suspend")]
    book.take(update("BA-1", defaultPaymentMethod={"id": "PM-1", "@type": "PaymentMethodRef"}))
    book.begin_days(day(6))
    book.rest_last = True
    book.take(look(day(6)), batch=1)
    assert len(requests(book)) == 5
    assert (told(book)[2:], states(book)) == ([(6, "2 to 0")], {"S-1": "active"})
    assert_books_hold(book)


def test_what_is_left_to_request_of_a_day_that_is_over_is_the_next_day_s(monkeypatch):
    """The worker dies after the first part: its rest takes no step, and asks for nothing."""
    book = after_an_outage(monkeypatch, by=procedure((2, "suspend")))
    book.take_as(f"dunning.look:BA-1/{day(5)}", look(day(5)))
    [rest], book.left = book.left, []
    book.begin_days(day(6))
    book.take(rest)
    assert (len(requests(book)), told(book)) == (2, [])
    book.take(look(day(6)), batch=1)
    assert (len(requests(book)), told(book)) == (5, [])
    assert_books_hold(book)


def test_what_it_pays_for_is_suspended_and_resumed_in_as_many_parts_as_it_takes(monkeypatch):
    """Parts that tell nothing of the payer itself are told apart all the same."""
    monkeypatch.setattr(suspending, "SUBSCRIPTIONS_MAX", 2)
    book = dunned(order("A", line("10.00")), billing("BA-2", relationships=paid_for_by("BA-1")))
    book.take(*(subscription(f"S-{n}", account="BA-2") for n in range(7)))
    pass_days(book, 7)
    assert set(states(book).values()) == {"suspended"}
    book.take(payment("P-1", 1000))
    assert set(states(book).values()) == {"active"}
    assert_books_hold(book)


def test_subscriptions_of_as_many_accounts_are_loaded_at_once():
    """Each is of an account of its own that it pays for: none of that is asked for one by one."""
    book = dunned(order("A", line("10.00")))
    many = range(suspending.SUBSCRIPTIONS_MAX + 15)
    book.take(*(billing(f"BB-{n}", relationships=paid_for_by("BA-1")) for n in many))
    book.take(*(subscription(f"S-{n}", account=f"BB-{n}") for n in many))
    pass_days(book, 7)
    assert set(states(book).values()) == {"suspended"}
    book.take(payment("P-1", 1000))
    assert set(states(book).values()) == {"active"}
    assert_books_hold(book)


def dunned_by_two(*facts: Any, until: int = 6) -> LedgerBook:
    """S-1 is of BA-2, for which BA-1 comes to pay: both owe since day 0, and are suspended on days 3 and 5."""
    book = LedgerBook()
    book.begin_days(day(0))
    book.take(procedure((3, "suspend")), procedure((5, "suspend"), id_="D-2"))
    book.take(
        billing("BA-1", days=0, refersTo={"dunningProcedure": "D-1"}),
        billing("BA-2", days=0, refersTo={"dunningProcedure": "D-2"}),
        order("A", line("10.00")),
        order("B", line("10.00"), account="BA-2"),
        update("BA-2", relationships=paid_for_by("BA-1")),
        subscription("S-1", account="BA-2"),
        *facts,
    )
    pass_days(book, until, "BA-1", "BA-2")
    return book


@pytest.mark.parametrize("accounts", [("BA-1", "BA-2"), ("BA-2", "BA-1")])
def test_what_two_accounts_are_dunned_for_is_resumed_when_neither_is(accounts):
    """Whichever pays first: it stays suspended while the step of the other stands."""
    book = dunned_by_two()
    assert (told(book), told(book, "BA-2")) == ([(3, "suspend")], [(5, "suspend")])
    first, last = accounts
    book.take(payment("P-1", 1000, account=first))
    assert (level(book, first), level(book, last), states(book)) == (0, 1, {"S-1": "suspended"})
    assert_books_hold(book)
    book.take(payment("P-2", 1000, account=last))
    assert (level(book, last), states(book)) == (0, {"S-1": "active"})
    kinds = [(patch.kind, patch.effective_date - FIRST) for patch in book.get(Subscription, "S-1").patches]
    assert kinds == [("suspend", timedelta(3)), ("suspend", timedelta(5)), ("resume", timedelta(6))]
    assert_books_hold(book)


def test_two_accounts_that_pay_at_once_do_not_both_leave_it_to_the_other():
    """Two workers: whichever comes second is decided anew, and resumes it."""
    book = dunned_by_two()
    book.begin_days(day(7))
    fork = book.begin()
    fork.take(payment("P-1", 1000, account="BA-1"))
    book.take(payment("P-2", 1000, account="BA-2"))
    assert not book.commit(fork)
    book.take(payment("P-1", 1000, account="BA-1"))
    assert states(book) == {"S-1": "active"}
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ([change(day(6), "resume")], "active"),
        ([change(day(6), "resume"), change(day(6), "suspend")], "suspended"),
        ([change(day(2), "suspend")], "suspended"),
    ],
)
def test_what_people_say_of_what_two_accounts_are_dunned_for_stays(said, after):
    """What they have resumed or suspended is so when neither step stands any more."""
    book = dunned_by_two()
    book.take(*said)
    book.take(payment("P-1", 1000, account="BA-1"), payment("P-2", 1000, account="BA-2"))
    assert (level(book), level(book, "BA-2"), states(book)) == (0, 0, {"S-1": after})
    assert_books_hold(book)


def test_a_step_of_another_account_that_has_never_suspended_it_keeps_nothing():
    """BA-2's stood before the subscription was there, and does not suspend what begins later."""
    book = dunned(billing("BA-2", days=0, refersTo={"dunningProcedure": "D-1"}))
    book.take(order("B", line("10.00"), account="BA-2"), update("BA-2", relationships=paid_for_by("BA-1")))
    pass_days(book, 8, "BA-1", "BA-2")
    book.take(subscription("S-1", account="BA-2", start=day(8)))
    assert (level(book, "BA-2"), states(book)) == (2, {"S-1": "active"})
    book.take(order("A", line("10.00"), at=f"{day(8)}T10:00:00"))
    pass_days(book, 15, "BA-1", "BA-2")
    assert (level(book), states(book)) == (2, {"S-1": "suspended"})
    book.take(payment("P-1", 1000))
    assert (level(book, "BA-2"), states(book)) == (2, {"S-1": "active"})
    assert_books_hold(book)


def test_what_people_suspend_once_another_account_s_step_is_cleared_is_theirs():
    """A step that comes then has nothing to join."""
    book = dunned_by_two(until=4)
    book.take(payment("P-1", 1000, account="BA-1"), change(day(4), "suspend"))
    pass_days(book, 6, "BA-1", "BA-2")
    kinds = [patch.kind for patch in book.get(Subscription, "S-1").patches]
    assert (level(book, "BA-2"), kinds) == (1, ["suspend", "resume", "suspend"])
    assert_books_hold(book)


def test_what_another_account_has_suspended_is_joined_in_parts(monkeypatch):
    """Each once; and as many are left to the other's step when this one is cleared."""
    monkeypatch.setattr(suspending, "SUBSCRIPTIONS_MAX", 2)
    book = dunned_by_two(*(subscription(f"S-{n}", account="BA-2") for n in range(2, 7)))
    assert {one.revision for one in book.documents[Subscription].values()} == {3}
    book.take(payment("P-1", 1000, account="BA-1"))
    assert set(states(book).values()) == {"suspended"}
    book.take(payment("P-2", 1000, account="BA-2"))
    assert set(states(book).values()) == {"active"}
    assert_books_hold(book)


def test_a_rest_of_a_day_that_is_over_resumes_what_is_left(monkeypatch):
    """The worker dies after the first part, and the account pays before another one comes: no day looks at it then."""
    monkeypatch.setattr(suspending, "SUBSCRIPTIONS_MAX", 2)
    book = dunned(order("A", line("10.00")), *(subscription(f"S-{n}") for n in range(5)))
    pass_days(book, 7)
    book.take(respecify("D-1", kind=DunningProcedure, steps=[{"after": 30, "action": "remind"}]))
    book.begin_days(day(8))
    book.take_as(f"dunning.look:BA-1/{day(8)}", look(day(8)))
    [rest], book.left = book.left, []
    book.begin_days(day(9))
    book.take(payment("P-1", 1000), rest)
    assert set(states(book).values()) == {"active"}
    assert_books_hold(book)


def test_what_people_suspend_for_a_day_before_the_step_stays_suspended():
    """It is said while the step stands, and takes effect before it."""
    book = dunned(order("A", line("10.00")), subscription("S-1"))
    at(book, 8, change(day(3), "suspend"))
    book.take(payment("P-1", 1000))
    assert states(book) == {"S-1": "suspended"}
    assert_books_hold(book)
