"""Whatever comes in, in whatever order and batches: the invariants stand, and the money ends where it must."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.billing.queries import preview
from domain.accounts.model import BILLING, Account, NewAccount
from domain.billing.model import BillDemand, ChargeToAdd
from domain.billing.terms import Step, Tiers
from domain.billing.usage import UsageToRecord
from domain.corrections.model import (
    CompletedRefund,
    CreditNote,
    CreditNoteIssued,
    CreditToTransfer,
    DisputeToOpen,
    DisputeToSettle,
    DisputeToWithdraw,
    InvoiceToWriteOff,
    NoteToIssue,
    PaymentToReverse,
)
from domain.errors import Refused
from domain.invoicing.model import InvoiceIssued, InvoiceSending, InvoiceValidation
from domain.invoicing.pricing import Item, price
from domain.ledger.positions import Position
from domain.money import Currency
from domain.ordering.completing import Order
from domain.payments.model import ReceivedPayment
from domain.settlement.adjusting import Adjustment
from domain.settlement.payouts import CompletedPayout
from domain.settlement.returning import ReturnedPayout
from schemas.billing.queries import BillPreview, unnumbered
from schemas.corrections.events import credit_note_json
from schemas.invoicing.events import invoice_json
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    JPY,
    KWD,
    Fact,
    LedgerBook,
    adjustment,
    billing,
    change,
    charge,
    closing,
    credit_note,
    demand,
    dispute,
    grant,
    line,
    metered,
    minimum,
    monthly,
    order,
    partner,
    payment,
    payout,
    payout_return,
    refund,
    reversal,
    sending,
    settlement_of,
    subscription,
    transfer,
    usage,
    validation,
    withdrawal,
    write_off,
)
from tests.support.steady import STEADY

CUSTOMERS = ["BA-1", "BA-2"]
INV1 = "INV-000000001"
PARTNERS = ["SA-1", "SA-2", "SA-3"]


def partners(currency: str = "EUR") -> list[NewAccount]:
    """The partners' accounts: one earns with the invoice, two as it is paid, of which one all of it."""
    return [
        partner("SA-1", "0.8", "invoice", currency=currency),
        partner("SA-2", "0.33333333", "payment", currency=currency),
        partner("SA-3", "1", "payment", currency=currency),
    ]


ACCOUNTS: list[NewAccount] = [billing("BA-1", creditLimit=1000), billing("BA-2", days=0), *partners()]
DAYS = ["2026-11-20", "2026-11-21", "2026-11-22"]
CLOSINGS = ["C-1", "C-2", "C-3"]

customers = st.sampled_from(CUSTOMERS)
days = st.sampled_from(DAYS)
prices = st.sampled_from(["0.01", "0.03", "0.335", "1.005", "9.99", "-0.01", "-0.335", "-4.99"]) | st.decimals(
    -3, 30, places=3
).map(str)
lines = st.builds(
    line,
    prices,
    st.sampled_from(["0", "0.07", "0.2", "0.055"]),
    st.none() | st.sampled_from(PARTNERS),
    quantity=st.sampled_from(["1", "2", "3", "0.5"]),
    tax=st.sampled_from(["S", "AA"]),
)
money = st.integers(1, 20) | st.integers(1, 5_000)
bill_numbers = st.integers(1, 6).map(lambda number: f"INV-{number:09d}")


def made_up_for(items: list[Item], currency: Currency = EUR) -> list[Item]:
    """The lines, with one more where they come to less than nothing: such an order is refused before it is a fact."""
    try:
        price(items, currency)
    except Refused:
        return [*items, line("60.00", "0.2")]
    return items


orders = st.builds(
    lambda items, customer, day: order("?", *items, account=customer, at=day),
    st.lists(lines, min_size=1, max_size=4).map(made_up_for),
    customers,
    days,
)
payments = st.builds(
    lambda amount, names, customer, day: payment("?", amount, names, account=customer, at=day),
    money,
    st.none() | st.lists(bill_numbers, max_size=3),
    customers,
    days,
)


@st.composite
def orders_and_payments(draw, *, most: int = 10) -> list[Fact]:
    """Orders and payments with ids of their own."""
    facts: list[Fact] = []
    for number, fact in enumerate(draw(st.lists(orders | payments, min_size=1, max_size=most))):
        if isinstance(fact, Order):
            at = str(fact.completed_at.date())
            facts.append(order(f"O-{number}", *fact.items, account=fact.billing_account, at=at))
        else:
            at = str(fact.received_at.date())
            facts.append(payment(f"P-{number}", fact.money.amount, fact.invoices, account=fact.billing_account, at=at))
    return facts


closings = st.builds(
    lambda id_, who, until: closing(id_, who, until=until), st.just("?"), st.sampled_from(PARTNERS), days
)
payouts = st.builds(
    lambda who, statement, amount: payout("?", amount, statement, account=who),
    st.sampled_from(PARTNERS),
    st.sampled_from([*CLOSINGS, *CLOSINGS, "C-1-2"]),
    money,
)


rarely = st.sampled_from([False, False, False, True])
notes = st.builds(
    lambda bill_no, nets, excess, day: credit_note("?", bill_no, nets, excess=excess, at=day),
    bill_numbers,
    st.none() | st.dictionaries(st.sampled_from("1234"), st.integers(-40, 40) | st.integers(1, 999), min_size=1),
    st.sampled_from(["credit", "refund"]),
    days,
)


refunds = st.builds(
    lambda amount, who, note, of, day: refund("?", amount, account=who, note=note, of=of, at=day),
    money,
    customers,
    st.none() | st.integers(0, 5).map(lambda number: f"N-{number}"),
    st.none() | st.integers(0, 11).map(lambda number: f"P-{number}"),
    days,
)


reversals = st.builds(
    lambda number, amount, fee, day: reversal("?", f"P-{number}", amount, fee=fee, at=day),
    st.integers(0, 11),
    st.none() | money,
    st.none() | st.just(300),
    days,
)


write_offs = st.builds(
    lambda bill_no, amount, relief, day: write_off("?", bill_no, amount, relief=relief, at=day),
    bill_numbers,
    st.none() | money,
    st.booleans(),
    days,
)
disputes = st.builds(
    lambda bill_no, nets, day: dispute("?", bill_no, nets, at=day),
    bill_numbers,
    st.dictionaries(st.sampled_from("1234"), st.integers(-40, 40) | st.integers(1, 999), min_size=1),
    days,
)
handling = st.builds(lambda bill_no, said: said(bill_no), bill_numbers, st.sampled_from([validation, sending]))


@st.composite
def disputing(draw) -> list[Fact]:
    """Disputes, and their ends: of some none, of some two."""
    facts: list[Fact] = []
    for number, one in enumerate(draw(st.lists(disputes, max_size=4))):
        facts.append(replace(one, id=f"D-{number}"))
        nets = {item.line_id: item.net.amount for item in one.items}
        for end in draw(st.sets(st.sampled_from(["settle", "withdraw"]))):
            part = {line_id: net for line_id, net in nets.items() if draw(st.booleans())}
            facts.append(settlement_of(f"D-{number}", part) if end == "settle" else withdrawal(f"D-{number}"))
    return facts


adjustments = st.builds(
    lambda amount, line_id, number, who, day: adjustment(
        "?", amount, corrects=line_id and (f"INV-{number:09d}", line_id), account=who, on=day
    ),
    money | money.map(lambda amount: -amount),
    st.none() | st.sampled_from("1234"),
    st.integers(1, 6),
    st.sampled_from(PARTNERS),
    days,
)
grants = st.builds(lambda amount, who, day: grant("?", amount, account=who, at=day), money, customers, days)


transfers = st.builds(
    lambda amount, who, number, day: transfer(
        "?",
        amount,
        of=None if number is None else f"P-{number}",
        by=who,
        to="BA-2" if who == "BA-1" else "BA-1",
        at=day,
    ),
    money,
    customers,
    st.none() | st.integers(0, 11),
    days,
)


charges = st.builds(
    lambda item, number, line_id, who, day: charge(
        "?", item, corrects=line_id and (f"INV-{number:09d}", line_id), account=who, on=day
    ),
    lines,
    st.integers(1, 6),
    st.none() | st.none() | st.sampled_from("1234"),
    customers,
    days,
)
demands = st.builds(lambda who, day: demand("?", account=who, on=day), customers, days)


@st.composite
def charging(draw, orders_: list[Fact]) -> list[Fact]:
    """Charges, of which some take back the orders' lines if these are billed in that order; and bills."""
    facts: list[Fact] = []
    billed = [one for one in orders_ if isinstance(one, Order)]
    for number, one in enumerate(draw(st.lists(charges, max_size=8))):
        facts.append(replace(one, id=f"B-{number}"))
    for number in range(draw(st.integers(0, 6)) if billed else 0):
        at = draw(st.integers(0, len(billed) - 1))
        item = draw(st.sampled_from(billed[at].items))
        back = replace(item, quantity=item.quantity * Decimal(draw(st.sampled_from(["-1", "-0.5", "-0.3", "-1.2"]))))
        said = (f"INV-{at + 1:09d}", item.id)
        facts.append(charge(f"B-back-{number}", back, corrects=said, account=draw(customers), on=draw(days)))
    for number, asked in enumerate(draw(st.lists(demands, max_size=5))):
        facts.append(replace(asked, id=f"BD-{number}"))
    return facts


@st.composite
def business(draw) -> list[Fact]:
    """Everything that can happen, in any order: accounts that come late, closings, payouts, and duplicates of all."""
    facts = [*ACCOUNTS, *draw(orders_and_payments(most=12))]
    owners = {}
    for id_ in CLOSINGS:
        drawn = draw(closings)
        owners[id_] = drawn.settlement_account
        facts.append(closing(id_, drawn.settlement_account, until=str(drawn.period_end)))
    for number, paid in enumerate(draw(st.lists(payouts, max_size=4))):
        # Now and then for another partner's statement, or for one that there may not be.
        who = paid.settlement_account if draw(rarely) else owners[paid.settlement_id[:3]]
        facts.append(payout(f"PO-{number}", paid.money.amount, paid.settlement_id, account=who))
    for number, note in enumerate(draw(st.lists(notes, max_size=6))):
        facts.append(replace(note, id=f"N-{number}"))
    for number, one in enumerate(draw(st.lists(refunds, max_size=4))):
        facts.append(replace(one, id=f"R-{number}", late=draw(st.booleans())))
    for number, back in enumerate(draw(st.lists(reversals, max_size=4))):
        facts.append(replace(back, id=f"X-{number}", late=draw(st.booleans())))
    for number, lost in enumerate(draw(st.lists(write_offs, max_size=4))):
        facts.append(replace(lost, id=f"W-{number}"))
    facts += draw(disputing())
    facts += draw(charging(facts))
    for number, adjusted in enumerate(draw(st.lists(adjustments, max_size=4))):
        facts.append(replace(adjusted, id=f"A-{number}"))
    for number, of in enumerate(draw(st.lists(st.integers(0, 3), max_size=3))):
        facts.append(payout_return(f"PR-{number}", f"PO-{of}", at=draw(days)))
    facts += [replace(one, id=f"C-{number}") for number, one in enumerate(draw(st.lists(grants, max_size=4)))]
    facts += [replace(one, id=f"T-{number}") for number, one in enumerate(draw(st.lists(transfers, max_size=4)))]
    facts += draw(st.lists(st.sampled_from(facts), max_size=6))
    facts += draw(st.lists(handling, max_size=3))
    mixed: list[Fact] = draw(st.permutations(facts))
    return mixed


agreed_days = st.integers(0, 89).map(lambda n: str(date(2026, 9, 1) + timedelta(days=n)))
agreed_prices = st.lists(
    st.builds(
        monthly,
        st.just("P-1"),
        st.sampled_from(["30", "0.07", "-3", "9.99"]),
        billed=st.sampled_from(["inAdvance", "inArrears"]),
        period_type=st.sampled_from(["month", "week"]),
        on_behalf_of=st.none() | st.sampled_from(PARTNERS),
    )
    | st.builds(metered, st.just("P-2"), st.sampled_from(["0.333", "2"]), on_behalf_of=st.none() | st.just("SA-2"))
    | st.builds(
        lambda mode, fee: metered(
            "P-2", None, tiers=Tiers(mode, (Step(Decimal(5), Decimal("0.5"), Decimal(fee)), Step(None, Decimal("0.2"))))
        ),
        st.sampled_from(["graduated", "volume"]),
        st.sampled_from(["0", "3"]),
    )
    | st.builds(minimum, st.just("P-3"), st.sampled_from(["5", "40"])),
    min_size=1,
    max_size=3,
    unique_by=lambda price: price.id,
).map(tuple)


@st.composite
def subscribing(draw) -> list[Fact]:
    """Subscriptions of both customers, changes of them, what is used, and bills up to some days, in any order."""
    facts: list[Fact] = []
    for number in range(2):
        start = date(2026, 9, 1) + timedelta(days=draw(st.integers(0, 40)))
        facts.append(subscription(f"S-{number}", *draw(agreed_prices), account=draw(customers), start=str(start)))
    of = st.sampled_from(["S-0", "S-1"])
    changed = st.builds(lambda on, id_, prices: change(on, of=id_, prices=prices), agreed_days, of, agreed_prices)
    ended = st.builds(
        lambda on, id_, kind: change(on, kind, of=id_),
        agreed_days,
        of,
        st.sampled_from(["suspend", "resume", "terminate"]),
    )
    used = st.builds(
        lambda quantity, on, id_: usage("?", quantity, f"{on}T10:00:00", of=id_, price="P-2"),
        st.sampled_from(["1", "4", "7.5", "-1"]),
        agreed_days,
        of,
    )
    billed = st.builds(lambda who, on: demand("?", account=who, on=on), customers, agreed_days)
    for number, one in enumerate(draw(st.lists(changed | ended | used | used | billed | billed, max_size=12))):
        facts.append(replace(one, id=f"SU-{number}") if isinstance(one, UsageToRecord | BillDemand) else one)
    return facts


@st.composite
def recurring_business(draw) -> list[Fact]:
    """Everything that can happen, and subscriptions in between."""
    facts, more = draw(business()), draw(subscribing())
    # They come early enough for much of it to come after them.
    at = draw(st.integers(0, len(facts)))
    return [*ACCOUNTS, *more[:2], *facts[:at], *more[2:], *facts[at:]]


batches = st.sampled_from([1, 2, 3, 7, None])
# How much one fact may allocate: one invoice, two or three, or any number.
works = st.sampled_from([1, 8, 20_000])


@STEADY
@given(
    business(),
    batches,
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([2, 3, 5_000]),
    st.sampled_from([1, 2, 8]),
    works,
    st.booleans(),
    st.sampled_from([2, 3, 1_000]),
)
def test_the_invariants_stand_whatever_comes_in(
    facts, batch, first_limit, prefetch, lines_max, statements_max, work, rest_last, bill_lines
):
    """Any sequence of facts, with duplicates and in any batches, leaves books in which every invariant holds.

    So it is however little one transaction does, and whatever comes before the rest is done.
    """
    book = LedgerBook(first_limit=first_limit, prefetch=prefetch, rest_last=rest_last)
    with (
        patch("domain.settlement.closing.LINES_MAX", lines_max),
        patch("domain.settlement.closing.STATEMENTS_MAX", statements_max),
        patch("domain.payments.allocating.WORK_MAX", work),
        patch("domain.billing.gathering.LINES_MAX", bill_lines),
        patch("domain.billing.composing.LINES_MAX", bill_lines),
        patch("domain.billing.gathering.INVOICES_MAX", bill_lines),
    ):
        book.take(*facts, batch=batch)
    assert_books_hold(book, lines_max=lines_max)
    assert book.applied.keys() >= {f"account.create:{account.id}" for account in ACCOUNTS}
    assert {why.code for _, why in book.waiting.values()} <= {
        "unknown-settlement",
        "unknown-invoice",
        "unknown-credit-note",
        "unknown-payment",
        "unknown-dispute",
        "unknown-payout",
        "insufficient-credit",
    }
    refusals = {"invalid", "overpaid-payout", "conflicting-duplicate", "over-credited", "wrong-state"}
    assert {why.code for why in book.refused.values()} <= refusals


@STEADY
@given(business(), batches, st.integers(1, 3), st.booleans())
def test_a_batch_decides_as_one_by_one_would(facts, batch, first_limit, prefetch):
    """The same facts in the same order end in the same documents, rows and events, in batches or one by one."""
    # What waits is woken after the batch, so nothing here may wait: accounts come first, then orders, and no payout.
    facts = [*ACCOUNTS, *sorted(facts, key=lambda fact: not isinstance(fact, Order))]
    facts = [
        fact for fact in facts if not isinstance(fact, CompletedPayout | ReturnedPayout | ChargeToAdd | BillDemand)
    ]
    billed = len({fact.id for fact in facts if isinstance(fact, Order)})
    facts = [f for f in facts if not isinstance(f, NoteToIssue) or int(f.bill_no[-9:]) <= billed]
    facts = [f for f in facts if not isinstance(f, InvoiceToWriteOff | DisputeToOpen) or int(f.bill_no[-9:]) <= billed]
    # Commands have the identities of new messages.
    facts = [f for f in facts if not isinstance(f, InvoiceValidation | InvoiceSending)]
    facts = [f for f in facts if not isinstance(f, PaymentToReverse | CreditToTransfer)]
    facts = [f for f in facts if not isinstance(f, DisputeToSettle | DisputeToWithdraw)]
    facts = [
        f for f in facts if not isinstance(f, Adjustment) or not f.corrects or int(f.corrects.bill_no[-9:]) <= billed
    ]
    facts = [
        f
        for f in facts
        if not isinstance(f, CompletedRefund) or (f.late and f.credit_note_id is None and f.payment_id is None)
    ]
    together = LedgerBook(first_limit=first_limit, prefetch=prefetch)
    together.take(*facts, batch=batch)
    alone = LedgerBook()
    alone.take(*facts, batch=1)
    assert together.holdings() == alone.holdings()
    assert together.events == alone.events


@st.composite
def two_orders(draw) -> tuple[list[Fact], list[Fact]]:
    """The same orders and payments in two orders, the accounts before, between or after them."""
    facts = [*ACCOUNTS, *draw(orders_and_payments())]
    return facts, draw(st.permutations(facts))


SAME_IN_ANY_ORDER = ("receivable", "unapplied", "cash", "revenue", "commission", "tax")


def promised(book: LedgerBook) -> dict[str, int]:
    """What the contract promises to be the same in any order; tax by category and rate."""
    ledger = book.ledger()
    return {name: amount for name, amount in ledger.items() if name.split()[1].split(":")[0] in SAME_IN_ANY_ORDER}


def pay_everything(book: LedgerBook) -> None:
    """Let each customer pay what is still open."""
    for customer in (account.id for account in book.documents[Account].values() if account.type == BILLING):
        receivable = book.position(customer).receivable
        if receivable:
            book.take(payment(f"P-last-{customer}", receivable, account=customer, at="2026-12-01"))


@STEADY
@given(two_orders(), batches, batches, works, st.booleans())
def test_the_order_of_facts_does_not_move_the_money(both, one_batch, other_batch, work, rest_last):
    """In any order: the same receivable and credit, revenue, commission, tax and cash; once all is paid, payables.

    And so in one transaction or several.
    """
    one, other = LedgerBook(), LedgerBook(rest_last=rest_last)
    one.take(*both[0], batch=one_batch)
    with patch("domain.payments.allocating.WORK_MAX", work):
        other.take(*both[1], batch=other_batch)
    assert one.refused == other.refused == {}
    assert promised(one) == promised(other)
    pay_everything(one)
    pay_everything(other)
    assert_books_hold(one)
    assert promised(one) == promised(other)
    for book in (one, other):
        assert all(p.receivable == p.withheld == 0 for p in book.documents[Position].values())
    assert [one.position(who).payable for who in PARTNERS] == [other.position(who).payable for who in PARTNERS]


# What the rules make dependent on the order is left out of what follows (decision 20 says why it does):
# - a note, or a payment that names the invoice, of an invoice of which something is written off recovers that only if
#   nothing else is open just then, so no other correction meets a write-off here, and no name;
# - a note reserves, with the excess `refund`, what is paid by then;
# - what is booked too late is owed beside open invoices if these are open only since;
# - a reversal takes what was transferred before what the payment covers, and after its credit, so a payment that is
#   transferred covers nothing here.


@st.composite
def corrected(draw) -> tuple[list[Fact], list[Fact], list[Fact]]:
    """Orders; and, in two orders, what is paid and corrected: in explicit amounts, all of which fit in any order."""
    orders_: list[Fact] = [fact for fact in draw(orders_and_payments(most=6)) if isinstance(fact, Order)]
    rest: list[Fact] = [fact for fact in draw(orders_and_payments(most=6)) if not isinstance(fact, Order)]
    for number, one in enumerate(orders_, 1):
        assert isinstance(one, Order)
        # Parts of each line, so that in any order each note fits: in the end half of the lines are credited.
        for part in range(2):
            nets = {
                item.id: net // 4
                for item, net in zip(one.items, one.pricing.nets, strict=True)
                if net >= 4 and min(one.pricing.nets) >= 0
            }
            if nets and draw(st.booleans()):
                rest.append(credit_note(f"N-{number}-{part}", f"INV-{number:09d}", nets))
        if nets and draw(st.booleans()):
            rest.append(dispute(f"D-{number}", f"INV-{number:09d}", nets))
            part_ = {id_: net // 2 for id_, net in nets.items() if net >= 2}
            rest.append(draw(st.sampled_from([settlement_of(f"D-{number}", part_), withdrawal(f"D-{number}")])))
    rest += [payment(f"P-wrong-{n}", amount, account="BA-3") for n, amount in enumerate(draw(st.lists(money)))]
    lost = order("O-lost", *draw(st.lists(lines, max_size=3)), line("60.00", "0.2", "SA-2"), account="BA-4")
    for n, part in enumerate(parts_of(draw, lost.pricing.tax_included_amount)):
        what = draw(st.sampled_from(["paid", "lost", "relieved"]))
        if what == "paid":
            rest.append(payment(f"P-lost-{n}", part, account="BA-4"))
        else:
            rest.append(write_off(f"W-{n}", f"INV-{len(orders_) + 1:09d}", part, relief=what == "relieved"))
    for paid in [fact for fact in rest if isinstance(fact, ReceivedPayment)]:
        rest += gone_again(draw, paid)
    rest += [replace(one, id=f"A-{number}", corrects=None) for number, one in enumerate(draw(st.lists(adjustments)))]
    rest += [replace(one, id=f"C-{number}") for number, one in enumerate(draw(st.lists(grants, max_size=3)))]
    return [*orders_, lost], rest, draw(st.permutations(rest))


def parts_of(draw, amount: int) -> list[int]:
    """Up to four parts of an amount of minor units, which are not more than all of it."""
    cuts = sorted(draw(st.sets(st.integers(0, amount), max_size=4)))
    return [end - begin for begin, end in pairwise([0, *cuts]) if end > begin]


def gone_again(draw, paid: ReceivedPayment) -> list[Fact]:
    """Parts of a payment that go back, or where it covers nothing, to another account; not more than all of it."""
    facts: list[Fact] = []
    for n, part in enumerate(parts_of(draw, paid.money.amount) if draw(st.booleans()) else ()):
        id_, who = f"{paid.id}-{n}", paid.billing_account
        ways: list[Fact] = [refund(id_, part, account=who, of=paid.id), reversal(id_, paid.id, part, fee=3)]
        if who == "BA-3":
            ways.append(transfer(id_, part, of=paid.id, by=who, to=draw(customers)))
        facts.append(draw(st.sampled_from(ways)))
    return facts


@STEADY
@given(corrected(), batches, batches, works, st.booleans())
def test_the_order_of_corrections_does_not_move_the_money(facts, one_batch, other_batch, work, rest_last):
    """All corrections of explicit amounts, in another order: the same balances, income, tax and cash."""
    orders_, rest, other_way = facts
    one, other = LedgerBook(), LedgerBook(rest_last=rest_last)
    for book in (one, other):
        book.take(*ACCOUNTS, billing("BA-3"), billing("BA-4"), *orders_)
    one.take(*rest, batch=one_batch)
    with patch("domain.payments.allocating.WORK_MAX", work):
        other.take(*other_way, batch=other_batch)
    assert one.refused == other.refused == {}
    assert one.waiting == other.waiting == {}
    assert promised(one) == promised(other)
    assert not {name for name in one.ledger() if "refundable" in name or "recoverable" in name}
    pay_everything(one)
    pay_everything(other)
    assert_books_hold(one)
    assert_books_hold(other)
    assert promised(one) == promised(other)
    assert one.ledger() == other.ledger()


@STEADY
@given(
    st.lists(lines, min_size=1, max_size=3).map(made_up_for),
    st.lists(st.tuples(st.sampled_from(["paid", "lost", "relieved"]), st.integers(1, 2500)), min_size=1, max_size=5),
    st.data(),
)
def test_the_order_of_write_offs_does_not_move_the_money(items, said, data):
    """Payments that name an invoice, and write-offs of it, in two orders: as long as all fit, all is the same."""
    facts: list[Fact] = [
        payment(f"P-{n}", amount, [INV1])
        if what == "paid"
        else write_off(f"W-{n}", INV1, amount, relief=what == "relieved")
        for n, (what, amount) in enumerate(said)
    ]
    one, other = LedgerBook(), LedgerBook()
    one.take(*ACCOUNTS, order("O-1", *items), *facts)
    other.take(*ACCOUNTS, order("O-1", *items), *data.draw(st.permutations(facts)))
    assert_books_hold(one)
    assert_books_hold(other)
    recovered = any("invoice.recovered" in book.events_of("BA-1") for book in (one, other))
    if one.refused == other.refused == {} and not recovered:
        assert one.ledger() == other.ledger()


@STEADY
@given(
    st.sampled_from([JPY, EUR, KWD]),
    st.lists(lines, min_size=1, max_size=4),
    st.lists(st.sampled_from(["note", "note", "dispute", "payment"]), max_size=10),
    st.data(),
    works,
)
def test_the_notes_of_an_invoice_add_up_to_it(currency, items, happenings, data, work):
    """However its lines are divided into notes, of disputes too, and whatever is paid: all comes back, to the cent."""
    book, code = LedgerBook(), currency.code
    first = order("O-1", *made_up_for(items, currency), currency=currency)
    book.take(billing(currency=code), *partners(code), first)
    left = dict(zip((item.id for item in first.items), first.pricing.nets, strict=True))
    with patch("domain.payments.allocating.WORK_MAX", work):
        for number, happening in enumerate(happenings):
            if happening == "payment":
                book.take(payment(f"P-{number}", data.draw(money), currency=code))
                continue
            part = {id_: data.draw(st.integers(min(0, net), max(0, net))) for id_, net in left.items() if net}
            part = {id_: net for id_, net in part.items() if net}
            if not part:
                continue
            id_ = f"N-{number}"
            if happening == "note":
                book.take(credit_note(id_, INV1, part, currency=code))
            else:
                book.take(dispute(id_, INV1, part, currency=code))
                part = {line_id: net for line_id, net in part.items() if data.draw(st.booleans())}
                book.take(settlement_of(id_, part, currency=code))
            # A part may have had a total below zero, or beyond what is left of the invoice; the rest never has.
            if book.applied.keys() & {f"credit-note.issue:{id_}", f"dispute.settle:{id_}"}:
                left = {line_id: net - part.get(line_id, 0) for line_id, net in left.items()}
        if any(left.values()):
            book.take(credit_note("N-rest", INV1))
    assert "credit-note.issue:N-rest" not in book.refused
    invoice = book.invoice(1)
    if any(first.pricing.nets):
        assert invoice.billed == invoice.remaining_amount == invoice.allocated == 0
    assert_books_hold(book)
    taken_back = [note.tax_included_amount for note in book.documents[CreditNote].values()]
    assert sum(taken_back) == invoice.tax_included_amount
    assert {name for name in book.ledger() if not name.startswith((f"{code} cash", f"{code} unapplied"))} == set()


def test_who_is_paid_first_follows_the_order_of_facts():
    """Which invoice a payment covered, and so which partner accrued first, is decided when it is applied, for good."""
    accounts: list[Fact] = [billing(), partner("SA-2", "1", "payment"), partner("SA-3", "1", "payment")]
    facts: list[Fact] = [
        order("O-1", line("1.00", "0", "SA-2")),
        order("O-2", line("1.00", "0", "SA-3")),
        payment("P-1", 100),
    ]
    one, other = LedgerBook(), LedgerBook()
    one.take(*accounts, *facts)
    other.take(*accounts, *reversed(facts))
    assert promised(one) == promised(other)
    assert [one.position(who).payable for who in ("SA-2", "SA-3")] == [100, 0]
    assert [other.position(who).payable for who in ("SA-2", "SA-3")] == [0, 100]


PAID = payment("P-1", 1_000)
BILLED, OTHER = order("O-1", line("10")), order("O-2", line("5"))


@pytest.mark.parametrize(
    ("one_way", "other_way", "one_end", "other_end"),
    [
        pytest.param(
            (BILLED, payment("P-1", 600), write_off("W-1", INV1, 50), credit_note("N-1", INV1, {"1": 500})),
            (BILLED, write_off("W-1", INV1, 50), credit_note("N-1", INV1, {"1": 500}), payment("P-1", 600)),
            {"unapplied": 100},
            {"unapplied": 150, "badDebt": 50},
            id="a note recovers what is written off where nothing else is open",
        ),
        pytest.param(
            (BILLED, write_off("W-1", INV1, 200), payment("P-1", 900), payment("P-2", 300, [INV1])),
            (BILLED, write_off("W-1", INV1, 200), payment("P-2", 300, [INV1]), payment("P-1", 900)),
            {"unapplied": 200},
            {"unapplied": 400, "badDebt": 200},
            id="and so does a payment that names it",
        ),
        pytest.param(
            (BILLED, PAID, credit_note("N-1", INV1, {"1": 400}, excess="refund")),
            (BILLED, credit_note("N-1", INV1, {"1": 400}, excess="refund"), PAID),
            {"refundable": 400},
            {"unapplied": 400},
            id="a note reserves what is paid by then",
        ),
        pytest.param(
            (BILLED, PAID, refund("R-1", 300, late=True)),
            (PAID, refund("R-1", 300, late=True), BILLED),
            {"recoverable": 300},
            {"receivable": 300},
            id="what there is no credit for is owed beside what is covered",
        ),
        pytest.param(
            (PAID, OTHER, transfer("T-1", 500), reversal("X-1", "P-1", 500)),
            (PAID, transfer("T-1", 500), reversal("X-1", "P-1", 500), OTHER),
            {},
            {"receivable": 500, "elsewhere": 500},
            id="a reversal takes credit, then what was transferred, then what is covered",
        ),
    ],
)
def test_where_the_order_counts(one_way, other_way, one_end, other_end):
    """The same facts, all applied, end otherwise, since the rules look at what is open, paid or credit at the time."""
    for facts, end in ((one_way, one_end), (other_way, other_end)):
        book = LedgerBook()
        book.take(billing(), billing("BA-2"), *facts, batch=1)
        assert not book.refused
        assert not book.waiting
        position = book.position("BA-1")
        found = {name: getattr(position, name) for name in ("receivable", "unapplied", "refundable", "recoverable")}
        found |= {"elsewhere": book.position("BA-2").unapplied, "badDebt": book.ledger().get("EUR badDebt", 0)}
        assert {name: amount for name, amount in found.items() if amount} == end
        assert_books_hold(book)


@STEADY
@given(recurring_business(), batches, customers, days, st.sampled_from([2, 1_000]))
def test_a_preview_is_the_bill_that_then_comes(facts, batch, account, day, bill_lines):
    """Whatever came in before: the same invoices and notes, but for their numbers, and the preview leaves no trace."""
    book = LedgerBook()
    with (
        patch("domain.billing.gathering.LINES_MAX", bill_lines),
        patch("domain.billing.composing.LINES_MAX", bill_lines),
        patch("domain.billing.gathering.INVOICES_MAX", bill_lines),
    ):
        book.take(*facts, batch=batch)
        before, told = book.holdings(), len(book.events)
        asked = BillPreview.model_validate({"billingAccount": account, "billingDate": day})
        seen = asyncio.run(preview(asked, book.view()))
        assert (book.holdings(), len(book.events)) == (before, told)
        book.take(demand("BD-previewed", account=account, on=day))
    bills = [one.event for one in book.events[told:] if one.cause.startswith(("bill.demand:", "bill.continue:"))]
    assert seen == {
        "invoices": [unnumbered(invoice_json(one.invoice)) for one in bills if isinstance(one, InvoiceIssued)],
        "creditNotes": [unnumbered(credit_note_json(one.note)) for one in bills if isinstance(one, CreditNoteIssued)],
    }
    assert_books_hold(book)
