"""The partner's own figures are compared with a statement's line by line, and what differs is not payable."""

from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import Money
from domain.settlement.comparing import ReportedLine, StatementReport, compare
from domain.settlement.requesting import PayoutRequested
from domain.settlement.statements import HeldForward, LineInDispute, Settlement, SettlementLine
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    adjustment,
    agreement,
    billing,
    charge,
    closing,
    command,
    credit_note,
    demand,
    line,
    order,
    partner,
    payment,
    payout,
    payout_return,
    report,
)
from tests.support.steady import STEADY

INV1, INV2 = "INV-000000001", "INV-000000002"
DAY = "2026-11-22"
AGREED = {"O-1/2": 638, "O-2/1": 599}


def stated() -> LedgerBook:
    """SA-1 has all of 6.38 in line 2 of O-1, and of 5.99 in line 1 of O-2; C-1 states both: 12.37."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"))
    book.take(order("O-1", line("20"), line("6.38", "0.2", "SA-1")), order("O-2", line("5.99", "0.2", "SA-1")))
    book.take(closing("C-1"))
    return book


def requested(book: LedgerBook) -> list[tuple[str, int]]:
    """The payouts that were requested."""
    found = [event.event.settlement.request for event in book.events if isinstance(event.event, PayoutRequested)]
    return [(one.id, one.amount) for one in found if one is not None]


def outcomes(book: LedgerBook, report_id: str) -> dict[str, tuple[str, int]]:
    """How each line of a report came out, and by how much it differs."""
    found: StatementReport = book.rows[StatementReport][report_id]
    return {f"{one.order_id or one.bill_no}/{one.line_id}": (one.outcome, one.difference) for one in found.lines}


def test_line_by_line_and_only_what_differs_is_in_dispute():
    """6.38 agrees; 6.09 is 0.10 more than 5.99, beyond a tolerance of 0.05; 4.00 of O-3 is missing here."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 638, "O-2/1": 609, "O-3/1": 400}, tolerance=5))
    assert book.results["statement.report:R-1"] == {"agreed": 1, "different": 1, "missing": 1}
    assert outcomes(book, "R-1") == {
        "O-1/2": ("agreed", 0),
        "O-2/1": ("different", 10),
        "O-3/1": ("missingHere", 400),
    }
    statement = book.settlement("C-1")
    assert (statement.report, statement.disputed) == ("R-1", (LineInDispute(INV2, "1", 599),))
    assert (statement.unpaid, statement.disputed_amount, statement.left) == (1237, 599, 638)
    assert book.events_of("SA-1")[-1] == "statement.compared"
    assert_books_hold(book)


def test_what_is_in_dispute_is_not_paid_and_the_rest_is():
    """Of 12.37, 5.99 is in dispute: 6.39 is too much and says why, 6.38 is paid; then nothing is left to pay."""
    book = stated()
    book.take(
        report("R-1", "C-1", {"O-1/2": 638, "O-2/1": 609}), payout("PO-1", 639, "C-1"), payout("PO-2", 638, "C-1")
    )
    book.take(payout("PO-3", 1, "C-1"))
    why = book.refused["payout.completed:PO-1"]
    assert why.code == "overpaid-payout"
    assert why.detail == (
        "amount: 6.39 EUR, but 6.38 EUR is left to pay of settlement C-1; "
        "5.99 EUR is in dispute: 1 line differs from what R-1 reports"
    )
    assert book.results["payout.completed:PO-2"] == {"settlementId": "C-1", "state": "partiallyPaid"}
    assert book.refused["payout.completed:PO-3"].code == "overpaid-payout"
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("theirs", "outcome"), [(604, "agreed"), (594, "agreed"), (605, "different"), (593, "different")]
)
def test_the_tolerance_is_of_each_line(theirs, outcome):
    """5.99 agrees with what is 0.05 more or less, and differs from what is 0.06 more or less."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 638, "O-2/1": theirs}, tolerance=5))
    assert outcomes(book, "R-1")["O-2/1"] == (outcome, theirs - 599)
    assert_books_hold(book)


def test_a_total_that_agrees_says_nothing():
    """One more on a line and one less on another: both are in dispute, so nothing can be paid."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 639, "O-2/1": 598}))
    assert book.results["statement.report:R-1"] == {"agreed": 0, "different": 2, "missing": 0}
    assert book.settlement("C-1").left == 0
    assert_books_hold(book)


def test_what_they_do_not_report_is_in_dispute_and_what_we_do_not_have_is_not():
    """5.99 is missing there; 4.00 that is missing here takes nothing of the statement."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 638, "O-3/1": 400}))
    assert book.results["statement.report:R-1"] == {"agreed": 1, "different": 0, "missing": 2}
    assert outcomes(book, "R-1")["O-2/1"] == ("missingThere", -599)
    assert book.settlement("C-1").left == 638
    book.take(report("R-2", "C-1", {}))
    assert book.results["statement.report:R-2"] == {"agreed": 0, "different": 0, "missing": 2}
    assert book.settlement("C-1").left == 0
    assert_books_hold(book)


def test_a_later_report_takes_the_place_of_the_earlier_one():
    """What agrees then is payable; what agreed before and does not now is in dispute."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 638, "O-2/1": 609}), report("R-2", "C-1", {"O-1/2": 640, "O-2/1": 599}))
    statement = book.settlement("C-1")
    assert (statement.report, statement.disputed) == ("R-2", (LineInDispute(INV1, "2", 638),))
    book.take(report("R-3", "C-1", AGREED), payout("PO-1", 1237, "C-1"))
    assert (book.settlement("C-1").disputed, book.settlement("C-1").state) == (None, "paid")
    assert list(book.rows[StatementReport]) == ["R-1", "R-2", "R-3"]
    assert_books_hold(book)


def test_an_adjustment_of_the_line_ends_its_dispute():
    """0.10 more for line 1 of O-2: its 5.99 is payable, and the 0.10 by the next statement. Another line's stays."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 600, "O-2/1": 609}))
    book.take(adjustment("A-1", 10, corrects=(INV2, "1")), adjustment("A-2", 500))
    assert book.settlement("C-1").disputed == (LineInDispute(INV1, "2", 638),)
    book.take(adjustment("A-3", -38, corrects=(INV1, "2")), payout("PO-1", 1237, "C-1"))
    assert (book.settlement("C-1").disputed, book.settlement("C-1").state) == (None, "paid")
    book.take(closing("C-2", until="2026-12-31"), report("R-2", "C-2", {}))
    # Adjustments are not compared, those of a line included.
    assert book.settlement("C-2").total == 472
    assert book.results["statement.report:R-2"] == {"agreed": 0, "different": 0, "missing": 0}
    assert_books_hold(book)


def test_what_is_freed_is_requested_once_the_rest_is_paid():
    """6.38 is paid while 5.99 is in dispute: then the 5.99 are requested anew; before, the first request stands."""
    book = stated()
    book.take(report("R-1", "C-1", {"O-1/2": 638, "O-2/1": 609}), report("R-2", "C-1", AGREED))
    assert requested(book) == [("C-1", 1237)]
    book.take(report("R-3", "C-1", {"O-1/2": 638, "O-2/1": 609}), payout("PO-1", 638, "C-1"))
    assert requested(book) == [("C-1", 1237)]
    book.take(report("R-4", "C-1", AGREED))
    assert requested(book) == [("C-1", 1237), ("C-1-r2", 599)]
    book.take(payout("C-1-r2", 599, "C-1"))
    assert book.settlement("C-1").state == "paid"
    assert_books_hold(book)


def test_what_was_in_dispute_as_a_payout_came_back_is_requested_in_the_end():
    """All of it, or a part: whether the dispute ends before the rest is paid anew or after."""
    differs = {"O-1/2": 638, "O-2/1": 609}
    for figures, left in (({}, 0), (differs, 638)):
        book = stated()
        book.take(payout("C-1", 1237, "C-1"), report("R-1", "C-1", figures), payout_return("PR-1", "C-1"))
        assert book.settlement("C-1").left == left
        book.take(report("R-2", "C-1", AGREED))
        if left:
            assert requested(book)[1:] == [("C-1-r2", left)]
            book.take(payout("C-1-r2", left, "C-1"))
        assert requested(book)[-1] == (f"C-1-r{3 if left else 2}", 1237 - left)
        assert_books_hold(book)


def test_an_adjustment_ends_the_dispute_on_every_statement_and_of_its_partner_alone():
    """A line that accrued in two parts is in dispute on two statements; that of SA-2 in the same bill stays so."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", on="payment"), partner("SA-2", share="1"))
    book.take(order("O-1", line("10", "0", "SA-1"), line("7", "0", "SA-2")), payment("P-1", 850), closing("C-1"))
    book.take(payment("P-2", 850, at="2026-12-02T09:00:00"), closing("C-2", until="2026-12-31"))
    book.take(closing("D-1", "SA-2"))
    book.take(report("R-1", "C-1", {}), report("R-2", "C-2", {}), report("R-3", "D-1", {}))
    assert [book.settlement(id_).left for id_ in ("C-1", "C-2", "D-1")] == [0, 0, 0]
    book.take(adjustment("A-1", 10, corrects=(INV1, "1")))
    assert [book.settlement(id_).left for id_ in ("C-1", "C-2", "D-1")] == [500, 500, 0]
    assert_books_hold(book)


def test_parts_of_a_line_count_by_their_sum():
    """Two payments of 5.00 release 5.00 each, and a note takes back 2.50: the partner reports 7.50 for the line."""
    book = LedgerBook()
    book.take(billing(), partner(share="1", on="payment"), order("O-1", line("10", "0", "SA-1")))
    book.take(payment("P-1", 500), payment("P-2", 500), credit_note("N-1", INV1, {"1": 250}), closing("C-1"))
    assert [one.amount for one in book.settlement("C-1").lines] == [500, 500, -250]
    book.take(report("R-1", "C-1", {"O-1/1": 750}))
    assert outcomes(book, "R-1") == {"O-1/1": ("agreed", 0)}
    book.take(report("R-2", "C-1", {"O-1/1": 500}))
    assert book.settlement("C-1").disputed == (LineInDispute(INV1, "1", 750),)
    assert_books_hold(book)


def test_lines_of_bills_are_named_by_their_bill_and_so_may_those_of_orders():
    """A bill has no order. A line that is named by its order and by its bill as well is said twice."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), order("O-1", line("3", "0", "SA-1")))
    book.take(charge("CH-1", line("4", "0", "SA-1")), demand("B-1"), closing("C-1"))
    [bill_line] = [one.line_id for one in book.settlement("C-1").lines if one.order_id is None]
    book.take(report("R-1", "C-1", {f"{INV1}/1": 300, f"{INV2}/{bill_line}": 401}))
    assert book.results["statement.report:R-1"] == {"agreed": 1, "different": 1, "missing": 0}
    book.take(report("R-2", "C-1", {"O-1/1": 300, f"{INV1}/1": 300}))
    why = book.refused["statement.report:R-2"]
    assert (why.code, why.detail) == ("invalid", f"lines.1: line 1 of O-1 is that of bill {INV1}, and said twice")
    assert_books_hold(book)


def test_of_a_paid_statement_nothing_is_in_dispute_until_its_payout_comes_back():
    """It is told all the same. After the return, 6.38 can be paid anew, and 5.99 not before it agrees."""
    book = stated()
    book.take(payout("PO-1", 1237, "C-1"), report("R-1", "C-1", {"O-1/2": 638, "O-2/1": 609}))
    assert (book.settlement("C-1").disputed_amount, book.settlement("C-1").state) == (0, "paid")
    assert book.events_of("SA-1")[-1] == "statement.compared"
    book.take(payout_return("PR-1", "PO-1"))
    assert (book.settlement("C-1").disputed_amount, book.settlement("C-1").left) == (599, 638)
    assert_books_hold(book)


def test_no_more_is_in_dispute_than_is_not_paid():
    """10.00 of 12.37 was paid before: of 5.99 that differs 2.37 can be kept back."""
    book = stated()
    book.take(payout("PO-1", 1000, "C-1"), report("R-1", "C-1", {"O-1/2": 638, "O-2/1": 609}))
    assert (book.settlement("C-1").disputed_amount, book.settlement("C-1").left) == (237, 0)
    assert_books_hold(book)


def test_negative_lines_in_dispute_take_nothing_more():
    """-4.00 that differs alone leaves all of 6.00 payable; with 10.00 that differs too, what is in dispute is 6.00."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"))
    book.take(order("O-1", line("10", "0", "SA-1"), line("-4", "0", "SA-1")), closing("C-1"))
    book.take(report("R-1", "C-1", {"O-1/1": 1000, "O-1/2": -300}))
    assert (book.settlement("C-1").disputed_amount, book.settlement("C-1").left) == (0, 600)
    book.take(report("R-2", "C-1", {"O-1/1": 900, "O-1/2": -300}))
    assert (book.settlement("C-1").disputed_amount, book.settlement("C-1").left) == (600, 0)
    assert_books_hold(book)


def test_of_what_is_carried_forward_nothing_is_in_dispute():
    """What a statement of -1.00 carries forward is a line of no order on the next one."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), order("O-1", line("9"), line("-1", "0", "SA-1")), closing("C-1"))
    book.take(report("R-1", "C-1", {}), order("O-2", line("3", "0", "SA-1")), closing("C-2"))
    book.take(report("R-2", "C-2", {"O-2/1": 300}))
    assert book.settlement("C-1").disputed_amount == 0
    assert book.results["statement.report:R-2"] == {"agreed": 1, "different": 0, "missing": 0}
    assert book.settlement("C-2").left == 200
    assert_books_hold(book)


def test_it_waits_for_its_statement():
    """By its id, and is compared as soon as that is made."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), report("R-1", "C-1", {"O-1/1": 300}))
    [(_, why)] = book.waiting.values()
    assert (why.code, why.detail) == ("unknown-settlement", "settlementId: no settlement C-1")
    book.take(order("O-1", line("3", "0", "SA-1")), closing("C-1"))
    assert book.results["statement.report:R-1"] == {"agreed": 1, "different": 0, "missing": 0}
    assert_books_hold(book)


def test_another_currency_is_refused():
    """That of a line, and that of the tolerance."""
    book = stated()
    book.take(
        report("R-1", "C-1", {"O-1/2": 638}, currency="USD"), report("R-2", "C-1", {}, tolerance=1, currency="USD")
    )
    why = [book.refused[f"statement.report:R-{n}"] for n in (1, 2)]
    assert [one.code for one in why] == ["currency-mismatch", "currency-mismatch"]
    assert [one.detail for one in why] == [
        "lines.0.amount: SA-1 is kept in EUR, not in USD",
        "tolerance: SA-1 is kept in EUR, not in USD",
    ]


def test_what_the_accounts_state_allows():
    """As a correction: of a suspended partner and of one that is to be closed; of a closed one it is refused."""
    book = stated()
    book.take(command("suspend", "SA-1"), report("R-1", "C-1", {}), command("close", "SA-1"))
    assert book.settlement("C-1").left == 0
    book.take(report("R-2", "C-1", AGREED), payout("PO-1", 1237, "C-1"))
    assert book.state("SA-1") == "closed"
    book.take(report("R-3", "C-1", {}))
    assert book.refused["statement.report:R-3"].code == "account-closed"
    assert_books_hold(book)


ROWS = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("12"), st.integers(-3, 3)), max_size=12)
FIGURES = st.dictionaries(st.tuples(st.sampled_from("ABCD"), st.sampled_from("123")), st.integers(-4, 4))


@STEADY
@given(ROWS, FIGURES, st.integers(0, 2), st.sampled_from(("order", "bill")))
def test_each_line_comes_out_in_one_way(rows, figures, tolerance, by):
    """What agrees, differs and is missing is all there is of both sides, each line once, and their sums add up."""
    lines = tuple(
        SettlementLine(f"{of}/{line_id}/{n}", f"O-{of}", f"INV-{of}", line_id, date(2026, 11, 22), amount)
        for n, (of, line_id, amount) in enumerate(rows)
    )
    statement = Settlement(
        "C-1", "SA-1", "EUR", "C-1", date(2026, 11, 30), lines, 0, None, 0, 0, "open", datetime(2026, 12, 1, tzinfo=UTC)
    )
    said = [
        ReportedLine(
            f"O-{of}" if by == "order" else None, f"INV-{of}" if by == "bill" else None, line_id, Money("EUR", amount)
        )
        for (of, line_id), amount in figures.items()
    ]
    compared = compare(statement, said, tolerance)
    named = [((one.order_id or one.bill_no or "")[-1], one.line_id) for one in compared]
    ours = {(of, line_id) for of, line_id, _ in rows}
    assert Counter(named) == Counter(ours | figures.keys())
    by_outcome = Counter(one.outcome for one in compared)
    assert by_outcome["agreed"] + by_outcome["different"] == len(ours & figures.keys())
    assert (by_outcome["missingThere"], by_outcome["missingHere"]) == (
        len(ours - figures.keys()),
        len(figures.keys() - ours),
    )
    assert sum(one.ours or 0 for one in compared) == sum(amount for *_, amount in rows)
    assert sum(one.theirs or 0 for one in compared) == sum(figures.values())
    assert all(abs(one.difference) <= tolerance for one in compared if one.outcome == "agreed")
    assert all(abs(one.difference) > tolerance for one in compared if one.outcome == "different")


def carried(*facts: Fact) -> LedgerBook:
    """Less than 15.00 is not paid out: C-1 carries 12.37 forward, 6.38 of O-1 and 5.99 of O-2."""
    book = LedgerBook()
    book.take(billing(), partner(share="1"), agreement("AG-1", "2026-10-01", share="1", payout_threshold=1500))
    book.take(order("O-1", line("20"), line("6.38", "0.2", "SA-1")), order("O-2", line("5.99", "0.2", "SA-1")))
    book.take(closing("C-1", until=DAY), *facts)
    return book


def test_what_is_in_dispute_is_held_where_it_is_carried_to():
    """C-2 has 20.00 more: of 32.37 the 5.99 are held, and 26.38 requested; the adjustment has the 5.99 requested."""
    book = carried(
        report("R-1", "C-1", {"O-1/2": 638}), order("O-3", line("20", "0.2", "SA-1")), closing("C-2", until=DAY)
    )
    assert book.settlement("C-1").carried_to == "C-2"
    assert book.settlement("C-2").held_forward == HeldForward((), 599, ("R-1",))
    assert requested(book) == [("C-2", 2638)]
    assert book.refusal(payout("PO-1", 3237, "C-2")) == (
        "overpaid-payout",
        (
            "amount: 32.37 EUR, but 26.38 EUR is left to pay of settlement C-2; "
            "5.99 EUR that it brought forward is held while lines differ from what R-1 reports"
        ),
    )
    book.take(payout("PO-2", 2638, "C-2"))
    assert_books_hold(book)
    book.take(adjustment("A-1", 10, corrects=(INV2, "1")))
    assert (book.settlement("C-2").held_forward, requested(book)[1:]) == (None, [("C-2-r2", 599)])
    assert_books_hold(book)


def test_a_report_finds_where_its_statement_was_carried_to():
    """C-2 takes 4.00 of the 12.37 and is carried too; C-3 has 20.00 more: of 28.37 all of C-2's 8.37 are in dispute.

    A report that has all but 5.99 leaves that; one that agrees has nothing held any more.
    """
    book = carried(adjustment("A-1", -400, on=DAY), closing("C-2", until=DAY))
    book.take(order("O-3", line("20", "0.2", "SA-1")), closing("C-3", until=DAY))
    assert requested(book) == [("C-3", 2837)]
    book.take(report("R-1", "C-1", {}))
    assert book.settlement("C-2").held_forward == HeldForward((), 1237, ("R-1",))
    assert book.settlement("C-3").held_forward == HeldForward((), 837, ("R-1",))
    assert book.settlement("C-3").left == 2000
    assert_books_hold(book)
    book.take(payout("PO-1", 2000, "C-3"), report("R-2", "C-1", {"O-1/2": 638}))
    assert book.settlement("C-3").held_forward == HeldForward((), 599, ("R-2",))
    assert requested(book)[1:] == [("C-3-r2", 238)]
    book.take(report("R-3", "C-1", AGREED))
    assert (book.settlement("C-3").held_forward, book.settlement("C-3").left) == (None, 837)
    assert_books_hold(book)
