"""What a customer disputes is not due until that is settled, by a credit note of what is approved, or withdrawn."""

from collections import Counter, defaultdict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.corrections.disputing import DISPUTES_MAX
from domain.corrections.model import CreditNote, Dispute, InvoiceCredited
from domain.frozen import replace
from domain.invoicing.model import DisputedPart, Invoice
from domain.ledger.entries import Entry
from domain.ledger.positions import Position
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    JPY,
    KWD,
    Fact,
    LedgerBook,
    billing,
    command,
    credit_note,
    dispute,
    line,
    order,
    partner,
    payment,
    refund,
    reversal,
    settlement_of,
    withdrawal,
    write_off,
)
from tests.support.steady import steady

INV1 = "INV-000000001"


def disputed(*, nets: dict[str, int] | None = None) -> LedgerBook:
    """120.00 on BA-1, of which 48.00 are disputed."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2")), dispute("D-1", INV1, nets or {"1": 4000}))
    return book


def test_a_dispute_of_a_part_and_its_end():
    """72.00 of 120.00 are due while it is open; of 48.00 then 24.00 are approved, and 96.00 are due."""
    book = disputed()
    invoice = book.invoice(1)
    assert (invoice.state, invoice.remaining_amount, invoice.undisputed) == ("onHold", 12000, 7200)
    assert book.events_of("BA-1")[-2:] == ["dispute.opened", "invoice.state-changed"]
    assert "dispute.open:D-1" not in book.rows[Entry]
    assert_books_hold(book)
    book.take(settlement_of("D-1", {"1": 2000}))
    invoice = book.invoice(1)
    assert (invoice.state, invoice.remaining_amount, invoice.undisputed) == ("new", 9600, 9600)
    note = book.get(CreditNote, "D-1")
    assert (note.tax_included_amount, note.bill_no) == (2400, "CN-000000001")
    assert book.results["dispute.settle:D-1"] == {"state": "settled", "creditNote": "CN-000000001"}
    ended = book.get(Dispute, "D-1")
    assert (ended.state, ended.amount, ended.lines[0].approved, ended.credit_note) == (
        "settled",
        4800,
        2000,
        "CN-000000001",
    )
    assert book.events_of("BA-1")[-4:] == [
        "credit-note.issued",
        "invoice.credited",
        "dispute.settled",
        "invoice.state-changed",
    ]
    assert_books_hold(book)


def test_a_payment_covers_what_is_not_disputed():
    """One that names no invoice stops at the dispute; one that names it goes on."""
    book = disputed()
    book.take(payment("P-1", 10000))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (4800, 2800)
    assert book.position("BA-1").oldest_due is None
    assert_books_hold(book)
    book.take(payment("P-2", 1000, [INV1]))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (3800, 2800)
    assert_books_hold(book)


def test_a_payment_goes_past_what_is_disputed():
    """The next invoice is not."""
    book = disputed(nets={"1": 10000})
    book.take(order("O-2", line("10")), payment("P-1", 500))
    assert [book.invoice(n).remaining_amount for n in (1, 2)] == [12000, 500]
    assert_books_hold(book)


def test_credit_covers_what_is_withdrawn():
    """What was disputed is due again, in the same fact."""
    book = disputed()
    book.take(payment("P-1", 10000), withdrawal("D-1"))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.state, book.position("BA-1").unapplied) == (2000, "partiallyPaid", 0)
    assert book.get(Dispute, "D-1").state == "withdrawn"
    assert book.results["dispute.withdraw:D-1"] == {"state": "withdrawn"}
    assert book.position("BA-1").oldest_due == invoice.payment_due_date
    assert_books_hold(book)


def test_nothing_is_approved():
    """No note is issued, and all of it is due."""
    book = disputed()
    book.take(settlement_of("D-1"))
    assert book.results["dispute.settle:D-1"] == {"state": "settled"}
    assert (book.invoice(1).undisputed, book.invoice(1).state) == (12000, "new")
    assert not book.documents[CreditNote]
    assert_books_hold(book)


def test_a_dispute_of_what_is_paid():
    """What is approved is the customer's credit, and covers its next invoice."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2")), payment("P-1", 12000), dispute("D-1", INV1, {"1": 5000}))
    assert book.invoice(1).state == "onHold"
    book.take(settlement_of("D-1", {"1": 5000}))
    assert (book.invoice(1).state, book.position("BA-1").unapplied) == ("settled", 6000)
    assert_books_hold(book)


def three_lines_of_two_cents() -> LedgerBook:
    """0.07 on BA-1: three lines of 0.02, and round(0.06 x 20 %) = 0.01 tax."""
    book = LedgerBook()
    book.take(billing(), order("O-1", *[line("0.02", "0.2")] * 3))
    return book


def amounts(book: LedgerBook) -> dict[str, int]:
    """What each open dispute of the first invoice is told to be about."""
    return {part.dispute_id: part.amount for part in book.invoice(1).handled.disputes}


def test_lines_disputed_one_by_one_are_disputed_like_all_at_once():
    """A note of 0.02 has no tax, one of 0.04 has 0.01, one of 0.06 has 0.01: the second dispute brings the cent."""
    once, one_by_one = three_lines_of_two_cents(), three_lines_of_two_cents()
    once.take(dispute("D-1", INV1, {"1": 2, "2": 2, "3": 2}))
    assert (amounts(once), once.invoice(1).undisputed) == ({"D-1": 7}, 0)
    one_by_one.take(*(dispute(f"D-{n}", INV1, {str(n): 2}) for n in (1, 2, 3)))
    assert (amounts(one_by_one), one_by_one.invoice(1).undisputed) == ({"D-1": 2, "D-2": 3, "D-3": 2}, 0)
    assert one_by_one.position("BA-1").oldest_due is None
    assert_books_hold(one_by_one)


@pytest.mark.parametrize("end", [settlement_of, withdrawal])
def test_the_end_of_a_dispute_leaves_what_the_others_come_to(end):
    """The first of three is over: the two that are left are 0.04 and 0.01 tax, as if there had been no other."""
    book = three_lines_of_two_cents()
    book.take(*(dispute(f"D-{n}", INV1, {str(n): 2}) for n in (1, 2, 3)), end("D-1"))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-2": 2, "D-3": 3}, 2)
    assert [book.get(Dispute, f"D-{n}").amount for n in (1, 2, 3)] == [2, 2, 3]
    assert_books_hold(book)
    book.take(end("D-3"), end("D-2"))
    assert (book.invoice(1).undisputed, book.invoice(1).state) == (7, "new")
    assert_books_hold(book)


def test_what_is_approved_of_one_leaves_what_the_others_come_to():
    """0.02 are credited without tax; the note of the 0.04 that are still disputed would have the 0.01."""
    book = three_lines_of_two_cents()
    book.take(*(dispute(f"D-{n}", INV1, {str(n): 2}) for n in (1, 2, 3)), settlement_of("D-2", {"2": 2}))
    assert book.get(CreditNote, "D-2").tax_included_amount == 2
    assert (amounts(book), book.invoice(1).remaining_amount, book.invoice(1).undisputed) == ({"D-1": 3, "D-3": 2}, 5, 0)
    assert_books_hold(book)


def noted(net: int) -> LedgerBook:
    """240.00 on BA-1, 60.00 and 12.00 tax of the first line are disputed, and then so much net of it is credited."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2"), line("100", "0.2")), dispute("D-1", INV1, {"1": 6000}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 7200}, 16800)
    book.take(credit_note("N-1", INV1, {"1": net}))
    assert_books_hold(book)
    return book


@pytest.mark.parametrize(
    ("net", "disputed", "due"),
    [(4000, 7200, 12000), (4001, 7199, 12000), (7000, 3600, 12000), (10000, 0, 12000)],
)
def test_a_note_leaves_no_more_in_dispute_than_is_left_of_the_line(net, disputed, due):
    """First it takes what is not disputed of the line, then what is; the other line is due all the while."""
    book = noted(net)
    invoice = book.invoice(1)
    assert (amounts(book), invoice.undisputed, invoice.state) == ({"D-1": disputed}, due, "onHold")
    [told] = [fact.invoice for fact in book.facts_of("BA-1") if isinstance(fact, InvoiceCredited)]
    assert told.handled.disputes == invoice.handled.disputes
    assert book.get(Dispute, "D-1").amount == disputed


def test_what_a_note_leaves_is_approved():
    """Of the 60.00 that are disputed 30.00 are left to credit, and no more."""
    book = noted(7000)
    book.take_as("refused", settlement_of("D-1", {"1": 3001}))
    assert "30.00 EUR is left" in book.refused["refused"].detail
    book.take(settlement_of("D-1", {"1": 3000}))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.undisputed, invoice.state) == (12000, 12000, "new")
    assert_books_hold(book)


def test_a_payment_comes_between_a_note_and_the_end_of_a_dispute():
    """It covers 100.00 of the 120.00 that are due; of what is left in dispute 10.00 and their tax are approved."""
    book = noted(7000)
    book.take(payment("P-1", 10000))
    assert (book.invoice(1).remaining_amount, book.invoice(1).undisputed) == (5600, 2000)
    book.take(settlement_of("D-1", {"1": 1000}))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.undisputed, invoice.state) == (4400, 4400, "partiallyPaid")
    assert_books_hold(book)


def test_credit_covers_what_a_note_leaves_when_that_is_not_approved():
    """A payment of 200.00 covers the 120.00 that are due; when the dispute is withdrawn, the 36.00 that were not."""
    book = noted(7000)
    book.take(payment("P-1", 20000))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (3600, 8000)
    assert_books_hold(book)
    book.take(withdrawal("D-1"))
    assert (book.invoice(1).state, book.position("BA-1").unapplied) == ("settled", 4400)
    assert_books_hold(book)


def test_a_dispute_of_a_line_that_is_credited_holds_nothing_back():
    """All of the first line was disputed; of the second's 120.00 the 70.00 that are left are due. It can be ended."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100", "0.2"), line("100", "0.2")), dispute("D-1", INV1, {"1": 10000}))
    book.take(payment("P-1", 5000), credit_note("N-1", INV1, {"1": 10000}))
    assert (book.invoice(1).remaining_amount, book.invoice(1).undisputed, amounts(book)) == (7000, 7000, {"D-1": 0})
    assert_books_hold(book)
    book.take(payment("P-2", 10000))
    assert (book.invoice(1).state, book.position("BA-1").unapplied) == ("onHold", 3000)
    assert_books_hold(book)
    book.take_as("refused", settlement_of("D-1", {"1": 1}))
    assert book.refused["refused"].code == "over-credited"
    book.take(settlement_of("D-1"))
    assert book.invoice(1).state == "settled"
    assert_books_hold(book)


def test_when_nothing_is_left_nothing_more_is_disputed():
    """What notes and a dispute leave of a line is all that another may be about; the second takes its turn."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100"), line("100")))
    book.take(*(dispute(f"D-{n}", INV1, {"1": net}) for n, net in ((1, 6000), (2, 4000))))
    book.take(credit_note("N-1", INV1, {"1": 7000}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 3000, "D-2": 0}, 10000)
    code, detail = book.refusal(dispute("D-3", INV1, {"1": 1}))
    assert (code, "nothing is left" in detail) == ("over-credited", True), detail
    book.take(withdrawal("D-1"))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-2": 3000}, 10000)
    assert_books_hold(book)
    book.take(settlement_of("D-2", {"1": 3000}))
    assert (book.invoice(1).undisputed, book.invoice(1).state) == (10000, "new")
    assert_books_hold(book)


def test_negative_lines_are_disputed_with_their_sign():
    """50.00 less are billed for the second: no more than the invoice is ever disputed, whatever notes take."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100"), line("-50"), line("30")))
    assert book.refusal(dispute("D-0", INV1, {"1": 8001}))[0] == "over-credited"
    book.take(dispute("D-1", INV1, {"1": 6000, "2": -5000}), dispute("D-2", INV1, {"3": 3000}))
    assert amounts(book) == {"D-1": 1000, "D-2": 3000}
    code, detail = book.refusal(dispute("D-3", INV1, {"1": 4001}))
    assert (code, "40.00 EUR is left" in detail) == ("over-credited", True), detail
    book.take(credit_note("N-1", INV1, {"1": 8000}))
    # Of the first line 20.00 are left, less the 50.00; what is billed is nothing.
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 0, "D-2": 0}, 0)
    assert_books_hold(book)
    book.take(withdrawal("D-1"), withdrawal("D-2"))
    assert (book.invoice(1).state, book.invoice(1).undisputed) == ("settled", 0)
    assert_books_hold(book)


def test_a_note_takes_what_is_disputed_of_a_negative_line_towards_zero():
    """Of the 50.00 less, 40.00 are credited, with 40.00 of the first line: 60.00 less 10.00 are still disputed."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100"), line("-50")), dispute("D-1", INV1, {"1": 10000, "2": -5000}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 5000}, 0)
    book.take(credit_note("N-1", INV1, {"1": 4000, "2": -4000}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 5000}, 0)
    assert [one.counted for one in book.get(Dispute, "D-1").lines] == [6000, -1000]
    assert_books_hold(book)


def test_a_dispute_may_make_no_difference():
    """0.03 and 0.01 tax less 0.03 would be 0.01; but the 0.06 of the first two lines have 0.01 tax, as 0.03 have."""
    book = LedgerBook()
    lines = [line("0.03", "0.2"), line("0.03", "0.2"), line("-0.03"), line("1")]
    book.take(billing(), order("O-1", *lines), dispute("D-1", INV1, {"1": 3}), dispute("D-2", INV1, {"2": 3, "3": -3}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 4, "D-2": 0}, 100)
    assert book.refusal(dispute("D-3", INV1, {"4": 3, "3": -3}))[0] == "over-credited"
    assert_books_hold(book)
    book.take(withdrawal("D-1"))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-2": 1}, 103)
    book.take(withdrawal("D-2"))
    assert book.refusal(dispute("D-4", INV1, {"4": 3, "3": -3}))[0] == "invalid"
    assert_books_hold(book)


def test_disputes_together_are_about_no_more_than_the_invoice():
    """Each alone would fit the 80.00 that are billed, and both are 90.00."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100"), line("-50"), line("30")), dispute("D-1", INV1, {"3": 3000}))
    code, detail = book.refusal(dispute("D-2", INV1, {"1": 6000}))
    assert (code, "90.00 EUR with tax, but 80.00 EUR is left" in detail) == ("over-credited", True), detail
    book.take(dispute("D-3", INV1, {"1": 6000, "2": -1000}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-1": 3000, "D-3": 5000}, 0)
    assert_books_hold(book)


def test_what_is_written_off_or_paid_leaves_no_negative_due():
    """Less remains than is disputed: nothing is due; what a refund opens again is, as far as it is not disputed."""
    book = noted(7000)
    book.take(write_off("W-1", INV1, 13000))
    assert (book.invoice(1).remaining_amount, book.invoice(1).undisputed) == (2600, 0)
    assert_books_hold(book)
    book.take(payment("P-1", 15600, [INV1]))
    assert (book.invoice(1).remaining_amount, amounts(book)) == (0, {"D-1": 3600})
    book.take(refund("R-1", 5000, of="P-1"))
    assert (book.invoice(1).remaining_amount, book.invoice(1).undisputed) == (5000, 1400)
    assert_books_hold(book)


def as_of_an_earlier_version(book: LedgerBook, parts: dict[str, int]) -> None:
    """Rewrite open disputes as an earlier version left them: priced one by one as they were opened, and never again."""
    invoice = book.invoice(1)
    handled = replace(invoice.handled, disputes=tuple(DisputedPart(*part) for part in parts.items()))
    book.documents[Invoice][invoice.id] = replace(invoice, handling=handled)
    for id_, amount in parts.items():
        lines = tuple(replace(one, counted=None) for one in book.get(Dispute, id_).lines)
        book.documents[Dispute][id_] = replace(book.get(Dispute, id_), lines=lines, amount=amount)
    position = book.position("BA-1")
    oldest = invoice.payment_due_date if book.invoice(1).undisputed else None
    book.documents[Position]["BA-1"] = replace(position, oldest_due=oldest)
    assert_books_hold(book)


def test_disputes_of_an_earlier_version_are_gone_on_with():
    """0.02 each left 0.01 due, until one of them ends: then all that are left are counted as one."""
    book = three_lines_of_two_cents()
    book.take(*(dispute(f"D-{n}", INV1, {str(n): 2}) for n in (1, 2, 3)))
    as_of_an_earlier_version(book, {"D-1": 2, "D-2": 2, "D-3": 2})
    assert book.invoice(1).undisputed == 1
    book.take(settlement_of("D-1", {"1": 2}))
    assert (amounts(book), book.invoice(1).undisputed) == ({"D-2": 3, "D-3": 2}, 0)
    assert_books_hold(book)
    book.take(withdrawal("D-2"), settlement_of("D-3", {"3": 2}))
    assert (book.invoice(1).remaining_amount, book.invoice(1).undisputed) == (2, 2)
    assert_books_hold(book)


def test_what_an_earlier_version_counted_beside_a_note_is_put_right_by_the_next_dispute():
    """72.00 still counted when 36.00 were left; another dispute counts them anew, and credit covers what is due now."""
    book = noted(7000)
    as_of_an_earlier_version(book, {"D-1": 7200})
    book.take(payment("P-1", 20000))
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (7200, 11600)
    assert_books_hold(book)
    book.take(dispute("D-2", INV1, {"2": 1000}))
    assert amounts(book) == {"D-1": 3600, "D-2": 1200}
    assert (book.invoice(1).remaining_amount, book.position("BA-1").unapplied) == (4800, 9200)
    assert_books_hold(book)


nets = st.integers(1, 9) | st.integers(1, 3_000)
rates = st.sampled_from(["0", "0.07", "0.2", "0.055", "0.255"])


@steady(150)
@given(st.sampled_from([JPY, EUR, KWD]), st.lists(st.tuples(nets, rates), min_size=1, max_size=5), st.data())
def test_any_partition_of_what_is_disputed_comes_to_the_same(currency, lines, data):
    """Whatever is divided into which disputes, opened and ended in any order: it counts as one dispute of it would.

    All lines are all that remains; none is nothing, as it was before. So it is after a note, too.
    """
    code, digits = currency.code, currency.digits
    first = order("O-1", *(line(f"{Decimal(net).scaleb(-digits):f}", rate) for net, rate in lines), currency=currency)
    left = dict(zip((item.id for item in first.items), first.pricing.nets, strict=True))
    facts: list[Fact] = [billing(currency=code), first]
    if data.draw(st.booleans()):
        taken = {id_: data.draw(st.integers(0, net)) for id_, net in left.items()}
        if any(taken.values()):
            facts.append(credit_note("N-1", INV1, {id_: net for id_, net in taken.items() if net}, currency=code))
        left = {id_: net - taken[id_] for id_, net in left.items()}
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for id_, net in left.items():
        while net:
            part, name = data.draw(st.integers(1, net)), f"D-{data.draw(st.integers(1, 5))}"
            parts[name][id_] = parts[name].get(id_, 0) + part
            net -= part
    book = LedgerBook()
    book.take(*facts)
    before = book.invoice(1)
    opened: list[str] = []
    for name in data.draw(st.permutations(sorted(parts))):
        book.take(dispute(name, INV1, parts[name], currency=code))
        opened.append(name)
        assert sum(amounts(book).values()) == at_once(facts, [parts[one] for one in opened], code)
    assert book.invoice(1).undisputed == 0
    assert sum(amounts(book).values()) == book.invoice(1).remaining_amount
    assert_books_hold(book)
    for name in data.draw(st.permutations(opened)):
        book.take(data.draw(st.sampled_from([withdrawal, settlement_of]))(name))
        opened.remove(name)
        assert sum(amounts(book).values()) == at_once(facts, [parts[one] for one in opened], code)
    assert_books_hold(book)
    after = book.invoice(1)
    assert (after.undisputed, replace(after, handling=None)) == (before.undisputed, before)


def at_once(facts: list[Fact], parts: list[dict[str, int]], code: str) -> int:
    """What one dispute of all these parts comes to."""
    together: Counter[str] = Counter()
    for part in parts:
        together.update(part)
    if not together:
        return 0
    book = LedgerBook()
    book.take(*facts, dispute("D-all", INV1, dict(together), currency=code))
    [amount] = amounts(book).values()
    return amount


def test_two_disputes_of_one_line():
    """The second is about what the first leaves, with the tax that a note of it would have."""
    book = disputed()
    code, detail = book.refusal(dispute("D-2", INV1, {"1": 6001}))
    assert (code, "60.00 EUR is left of it" in detail) == ("over-credited", True), detail
    book.take(dispute("D-3", INV1, {"1": 6000}))
    assert book.invoice(1).undisputed == 0
    book.take(withdrawal("D-3"))
    assert (book.invoice(1).state, book.invoice(1).undisputed) == ("onHold", 7200)
    assert_books_hold(book)


def test_the_share_of_a_partner_is_not_touched_until_something_is_approved():
    """Of 80.00, 16.00 are for what is approved."""
    book = LedgerBook()
    book.take(billing(), partner(), order("O-1", line("100", "0", "SA-1")), dispute("D-1", INV1, {"1": 4000}))
    assert book.position("SA-1").payable == 8000
    book.take(settlement_of("D-1", {"1": 2000}))
    assert book.position("SA-1").payable == 6400
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("fact", "code", "said"),
    [
        (dispute("D-2", INV1, {"2": 100}), "invalid", "items.0.lineId"),
        (dispute("D-2", INV1, {"1": -100}), "invalid", "of its sign"),
        (dispute("D-2", INV1, {"1": 100}, currency="USD"), "currency-mismatch", "EUR"),
        (dispute("D-2", INV1, {"1": 6001}), "over-credited", "items.0"),
        (settlement_of("D-1", {"1": 4001}), "over-credited", "40.01 EUR, but 40.00 EUR is disputed of line 1"),
        (settlement_of("D-1", {"2": 1}), "invalid", "approved.0.lineId"),
        (credit_note("D-1", INV1, {"1": 1}), "conflicting-duplicate", "dispute D-1"),
        (dispute("N-1", INV1, {"1": 1}), "conflicting-duplicate", "credit note N-1"),
    ],
)
def test_what_is_refused(fact, code, said):
    """Without any effect."""
    book = disputed()
    book.take(order("O-2", line("1")), credit_note("N-1", "INV-000000002"))
    found, detail = book.refusal(fact)
    assert (found, said in detail) == (code, True), detail
    assert_books_hold(book)


@pytest.mark.parametrize("first", [settlement_of("D-1", {"1": 100}), settlement_of("D-1"), withdrawal("D-1")])
@pytest.mark.parametrize("then", [settlement_of("D-1", {"1": 200}), withdrawal("D-1", at="2026-11-28T09:00:00")])
def test_what_is_ended_ends_once(first, then):
    """What comes after that is `wrong-state`."""
    book = disputed()
    book.take_as("first", first)
    book.take_as("then", then)
    assert book.refused["then"].code == "wrong-state"


def test_no_more_than_so_many():
    """Of one invoice, at a time."""
    book = disputed()
    book.take(*(dispute(f"M-{n}", INV1, {"1": 1}) for n in range(DISPUTES_MAX - 1)))
    assert book.refusal(dispute("M-last", INV1, {"1": 1}))[0] == "wrong-state"


def test_the_end_of_a_dispute_waits_for_it():
    """It comes ahead of it."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), settlement_of("D-1", {"1": 100}))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-dispute", "dispute:D-1")
    book.take(dispute("D-1", INV1, {"1": 200}))
    assert book.get(Dispute, "D-1").state == "settled"
    assert_books_hold(book)


def test_an_open_dispute_keeps_its_account():
    """All is paid, yet what will be approved is the customer's."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), payment("P-1", 10000), dispute("D-1", INV1, {"1": 4000}))
    book.take(command("close", "BA-1"))
    assert book.state("BA-1") == "pendingClose"
    book.take(settlement_of("D-1"))
    assert book.state("BA-1") == "closed"
    assert_books_hold(book)


def test_what_is_disputed_may_be_written_off():
    """And is recovered, or credited, all the same."""
    book = disputed()
    book.take(write_off("W-1", INV1))
    assert (book.invoice(1).remaining_amount, book.invoice(1).state) == (0, "onHold")
    book.take(settlement_of("D-1", {"1": 4000}))
    assert book.invoice(1).corrected.written_off == 7200
    assert_books_hold(book)


def test_credit_that_names_what_is_disputed_covers_it_again():
    """P-2 names the invoice and is credit when the debit that covered it bounces; older credit names nothing."""
    book = LedgerBook()
    book.take(billing(), order("O-1", line("100")), payment("P-1", 10000, [INV1]))
    book.take(dispute("D-1", INV1, {"1": 10000}), payment("P-0", 500, at="2026-11-20T08:00:00"))
    book.take(payment("P-2", 3000, [INV1]), reversal("X-1", "P-1"))
    invoice = book.invoice(1)
    assert (invoice.remaining_amount, invoice.undisputed, book.position("BA-1").unapplied) == (7000, 0, 500)
    assert_books_hold(book)
