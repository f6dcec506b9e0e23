"""The demo's day is real work, the same for the same seed, and as good and as bad as it says."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from demo.charges import charged, charges, demands
from demo.day import make_day
from demo.disputes import DISPUTED, LOST, disputes_and_losses
from demo.evening import DAY_BEFORE, OpenInvoice, OpenStatement, adjustments, bank_file, closings, payouts
from demo.facts import APPLIED, DATE, PAID_IN_FULL, PARTIAL, REPEATED, Message, tally
from demo.returns import CHARGEBACKS, BilledLine, bounced, charged_back, put_right, returns
from demo.wares import PARTNERS, Customer
from schemas.incoming import read

AT_THE_DOOR = {"malformed", "invalid", "unknown-type"}
INVOICES = [
    OpenInvoice(f"INV-{n:09d}", f"O-{n}", f"BA-{n // 3:04d}", "KWD" if n % 2 else "EUR", 1_000 + n) for n in range(300)
]
PAID = [
    BilledLine(f"INV-{n:09d}", f"O-{n}", "1", f"BA-{n:04d}", "EUR", 1_000 + n, Decimal("0.07"), 0) for n in range(40)
]
OPEN = [replace(line, remaining=2_000 + n) for n, line in enumerate(PAID)]
DEPOSITORS = [Customer("BA-0001", "Ada", "EUR", 30)]
STATEMENTS = [OpenStatement(f"ST-{n}", f"SA-{n}", "JPY", 1_001 + n) for n in range(6)]


@pytest.fixture(scope="module")
def day() -> list[Message]:
    """The day as it is sent."""
    return make_day()


def test_the_same_seed_draws_the_same_day(day: list[Message]):
    """Two days of one seed are the same to the byte; another seed's is another."""
    assert make_day() == day
    assert make_day(seed=2) != day


def test_the_day_is_as_large_and_as_various_as_promised(day: list[Message]):
    """At least 2,000 messages over 100 billing accounts and 5 partners, with everything that upstream systems do."""
    must = tally(day)
    assert len(day) >= 2_000
    assert len(must.billed) >= 100
    assert {partner for order in must.orders.values() for partner, _ in order.shares} == {p.id for p in PARTNERS}
    assert len(PARTNERS) >= 5
    assert {partner.accrue_on for partner in PARTNERS} == {"invoice", "payment"}
    for note in (
        "sent again",
        "payments before their invoice",
        "orders before their account",
        PARTIAL,
        "excess payments",
        "payments in two parts",
        "payments that name an unknown invoice",
        "orders with a negative line",
        "orders with a total of zero",
    ):
        assert must.notes[note] > 0, note
    assert must.parked.keys() == AT_THE_DOOR | {"currency-mismatch", "conflicting-duplicate"}
    assert any(len(message.facts) > 1 for message in day)
    assert all(order.amount >= 0 for order in must.orders.values())


def test_every_message_is_at_the_door_what_the_day_says(day: list[Message]):
    """What is to be applied is read; what is to be parked at the door is refused with the code that the day says."""
    bank = bank_file(INVOICES)
    evening = (
        bank
        + returns(PAID)
        + bounced(bank, set())
        + charged_back(bank, set(), {fact.account for message in bounced(bank, set()) for fact in message.facts})
        + disputes_and_losses(OPEN)
        + adjustments(PARTNERS)
        + put_right(INVOICES, DEPOSITORS)
        + charges(charged(f"BA-{n:04d}" for n in range(30)))
        + demands(charged(f"BA-{n:04d}" for n in range(30)))
        + closings(PARTNERS, DATE)
        + closings(PARTNERS, DAY_BEFORE)
        + payouts(STATEMENTS)
    )
    seen: dict[str, str] = {}
    for message in day + evening:
        facts = read(message.routing_key, message.body, message.message_id, {}, None)
        assert len(facts) == len(message.facts)
        for incoming, expected in zip(facts, message.facts, strict=True):
            known = seen.setdefault(incoming.identity, incoming.digest)
            code = incoming.refusal.code if incoming.refusal else None
            if expected.outcome == REPEATED:
                assert known == incoming.digest, message
            elif expected.outcome == "conflicting-duplicate":
                assert known != incoming.digest, message
            else:
                assert code == (expected.outcome if expected.outcome in AT_THE_DOOR else None), incoming.refusal


def test_an_identity_is_used_once_but_for_what_is_sent_again(day: list[Message]):
    """No fact that is to be applied takes the identity of another."""
    good = Counter(
        incoming.identity
        for message in day
        for incoming, fact in zip(
            read(message.routing_key, message.body, message.message_id, {}, None), message.facts, strict=True
        )
        if fact.outcome == APPLIED
    )
    assert set(good.values()) == {1}
    assert good.total() == tally(day).applied.total()


def test_the_bank_names_invoices_of_the_payer_and_pays_them_in_full_or_in_part():
    """A payment that covers the invoices it names is their sum; one that does not is less."""
    invoices = {invoice.order: invoice for invoice in INVOICES}
    sent = bank_file(INVOICES)
    for [fact] in (message.facts for message in sent):
        named = [invoices[order] for order in fact.orders]
        assert {invoice.account for invoice in named} == {fact.account}
        owed = sum(invoice.remaining for invoice in named)
        assert fact.amount == owed if fact.note == PAID_IN_FULL else 0 < fact.amount < owed
    must = tally(sent)
    assert len(must.paid_in_full) >= must.notes[PAID_IN_FULL] > 0
    assert must.notes[PARTIAL] > 0


def test_disputes_end_and_some_of_what_is_lost_is_paid():
    """Each is of another account; each dispute ends one way or the other, some before it is opened."""
    sent = disputes_and_losses(OPEN)
    kinds = Counter(message.routing_key for message in sent)
    assert kinds["dispute.open"] == DISPUTED == kinds["dispute.settle"] + kinds["dispute.withdraw"]
    assert min(kinds["dispute.settle"], kinds["dispute.withdraw"]) > 0
    assert kinds["invoice.write-off"] == LOST > kinds["payment.received"] > 0
    order = [message.message_id for message in sent]
    assert order.index("settled-000") < order.index("disputed-000")
    assert order.index("settled-001") > order.index("disputed-001")
    assert len({fact.account for message in sent for fact in message.facts if fact.account}) <= DISPUTED + LOST


def test_what_comes_back_is_one_line_of_an_invoice_and_some_of_it_is_money():
    """Each note is of a line with its tax, at most one an invoice; of half of them the same money goes back."""
    must = [fact for message in returns(PAID) for fact in message.facts]
    notes = [fact for fact in must if fact.type == "credit-note.issue"]
    lines = {line.account: line for line in PAID}
    assert len({fact.account for fact in notes}) == len(notes) == 12
    # 10.05 at 7 % is 0.7035, so 0.70 of tax.
    assert PAID[5].total == 1_075
    assert all(fact.amount == lines[fact.account].total for fact in notes)
    refunds = {fact.account: fact.amount for fact in must if fact.type == "refund.completed"}
    assert len(refunds) == 6
    assert refunds.items() <= {fact.account: fact.amount for fact in notes}.items()


def test_what_bounces_was_paid_in_full_and_is_no_partner_s():
    """The books then owe what they owed before; an order of which a partner has a share is left out."""
    bank = bank_file(INVOICES)
    of_partners = {invoice.order for invoice in INVOICES[::2]}
    back = [fact for message in bounced(bank, of_partners) for fact in message.facts]
    assert len(back) == 5
    paid = {fact.orders: fact for message in bank for fact in message.facts}
    for fact in back:
        assert paid[fact.orders].note == PAID_IN_FULL
        assert fact.amount == paid[fact.orders].amount
        assert of_partners.isdisjoint(fact.orders)
    assert tally([*bank, *bounced(bank, of_partners)]).paid_in_full.isdisjoint(
        order for fact in back for order in fact.orders
    )


def test_what_is_charged_back_had_gone_back_before():
    """Each payment goes back twice, first by us, then by the bank; nothing else came back of its account."""
    bank = bank_file(INVOICES)
    touched = {fact.account for message in bounced(bank, set()) for fact in message.facts}
    sent = charged_back(bank, set(), touched)
    assert [message.routing_key for message in sent] == ["refund.completed", "payment.reversed"] * 3
    must = tally([*bank, *sent])
    assert must.notes[CHARGEBACKS] == 3
    twice = {message.facts[0].account for message in sent}
    assert twice.isdisjoint(touched)
    assert all(must.paid[account] == -tally(bank).paid[account] for account in twice)


def test_what_went_astray_is_put_right_and_some_get_goodwill():
    """Each payment of the wrong account is what another one owes of an invoice, and that account has it in the end."""
    euro = [replace(invoice, currency="EUR") for invoice in INVOICES]
    must = tally(put_right(euro, DEPOSITORS))
    assert (must.applied["payment.received"], must.applied["credit.transfer"], must.applied["credit.grant"]) == (
        3,
        3,
        4,
    )
    assert must.paid["BA-0001"] == 0
    # The first invoices of the first accounts but the depositor's; a tenth of the last four accounts'.
    assert {account: must.paid[account] for account in ("BA-0000", "BA-0002", "BA-0003", "BA-0099")} == {
        "BA-0000": 1_000,
        "BA-0002": 1_006,
        "BA-0003": 1_009,
        "BA-0099": 129,
    }


def test_no_payout_is_more_than_its_statement_but_the_one_that_must_be_parked():
    """Of the statements some are paid in whole, some in part, some not at all."""
    must = tally(payouts(STATEMENTS))
    paid = [must.paid_out[statement.id] / statement.total for statement in STATEMENTS]
    assert max(paid) == 1
    assert min(paid) == 0
    assert any(0 < part < 1 for part in paid)
    assert must.parked == Counter({"overpaid-payout": 1})


def test_a_payout_that_bounces_is_paid_anew():
    """The statement is paid in whole all the same, by another payout of the same sum."""
    sent = [fact for message in payouts(STATEMENTS) for fact in message.facts]
    [back] = [n for n, fact in enumerate(sent) if fact.type == "payout.returned"]
    assert (sent[back - 1].amount, sent[back + 1].amount) == (sent[back].amount,) * 2
    assert tally(payouts(STATEMENTS)).paid_out[sent[back].statement] == STATEMENTS[1].total
