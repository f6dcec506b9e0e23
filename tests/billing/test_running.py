"""Bill runs: each account of a cycle is billed once, whatever becomes of the run, and counted in it."""

from datetime import date
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.specifications import BillingCycleSpecification
from domain.billing.model import Charge
from domain.billing.runs import AccountToBill, BillRun, RunTotal
from domain.corrections.model import CreditNote
from domain.invoicing.model import Invoice
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    automatic,
    bill_run,
    billing,
    charge,
    command,
    cycle,
    demand,
    in_cycle,
    line,
    monthly,
    order,
    partner,
    payment,
    relation,
    subscription,
    unspecify,
    update,
)

ACCOUNTS = [f"BA-{n}" for n in range(1, 6)]


def opened(*accounts):
    """Books with a cycle and these accounts of it, each with a charge of 10.00 for each of its number."""
    book = LedgerBook()
    book.take(cycle(), *(in_cycle(id_) for id_ in accounts))
    for number, id_ in enumerate(accounts, 1):
        book.take(charge(f"C-{id_}", line(f"{10 * number}", "0.2"), account=id_))
    return book


def bills(book):
    """The bills by account: the net of each."""
    found: dict[str, list[int]] = {}
    for invoice in book.documents[Invoice].values():
        found.setdefault(invoice.billing_account, []).append(invoice.tax_excluded_amount)
    return found


def counted(run):
    """How many of a run's accounts are billed, and of how many nothing was due."""
    return run.billed, run.nothing_due


def test_each_account_of_the_cycle_has_a_bill_of_the_run():
    """10.00, 20.00 and nothing: two bills that say their run, and totals of 30.00 and 36.00 with tax."""
    book = opened("BA-1", "BA-2")
    book.take(in_cycle("BA-3"), cycle("OTHER"), in_cycle("BA-4", "OTHER"), billing("BA-5"), bill_run())
    assert book.results["bill-run.start:R-1"] == {"billRunId": "R-1", "state": "running"}
    run = book.go_through("R-1")
    assert (run.state, *counted(run)) == ("completed", 2, 1)
    assert run.totals == (RunTotal("EUR", 3000, 3600),)
    first = book.invoice(1)
    assert first.billing is not None
    assert (first.cause, first.billing.run_type, first.billing.bill_run) == ("bill.account:R-1:BA-1", "onCycle", "R-1")
    assert (first.tax_point_date, first.bill_date) == (date(2026, 11, 30), date(2026, 11, 22))
    nothing = book.results["bill.account:R-1:BA-3"]
    assert (nothing["state"], nothing["billNo"], nothing["creditNotes"]) == ("done", None, [])
    assert_books_hold(book)


def test_a_run_that_stops_half_way_goes_on_and_bills_nobody_twice():
    """Two of five are billed when it dies; whoever goes on says all five again, or the other three."""
    book = opened(*ACCOUNTS)
    book.take(bill_run())
    book.take(*book.to_bill("R-1")[:2])
    assert (book.run_of("R-1").cursor, *counted(book.run_of("R-1"))) == ("BA-2", 2, 0)
    run = book.go_through("R-1")
    assert counted(run) == (5, 0)
    assert bills(book) == {id_: [1000 * n] for n, id_ in enumerate(ACCOUNTS, 1)}
    assert_books_hold(book)


def test_a_run_is_started_twice():
    """The same start again changes nothing, also when the run is completed."""
    book = opened("BA-1")
    book.take(bill_run(), bill_run())
    book.go_through("R-1")
    book.take(bill_run())
    assert book.go_through("R-1").state == "completed"
    assert len(book.documents[Invoice]) == 1
    assert_books_hold(book)


def test_two_runs_of_one_cycle_at_once():
    """Each account is billed by the one that comes to it first, in whatever order; of the other nothing is due."""
    book = opened(*ACCOUNTS)
    book.take(bill_run("R-1"), bill_run("R-2"))
    one, other = book.to_bill("R-1"), book.to_bill("R-2")
    for first, second in zip(one, reversed(other), strict=True):
        book.take(first, second)
    first, second = book.go_through("R-1"), book.go_through("R-2")
    assert first.billed + second.billed == 5
    assert first.nothing_due + second.nothing_due == 5
    assert bills(book) == {id_: [1000 * n] for n, id_ in enumerate(ACCOUNTS, 1)}
    assert_books_hold(book)


def test_an_account_that_moves_out_before_it_is_come_to_is_not_billed():
    """Its fact was said already: what it is when that is applied counts. The next run of its new cycle bills it."""
    book = opened(*ACCOUNTS)
    book.take(cycle("OTHER"), bill_run())
    facts = book.to_bill("R-1")
    book.take(facts[0], update("BA-2", refersTo={"cycleSpecification": "OTHER"}), *facts[1:])
    assert counted(book.go_through("R-1")) == (4, 1)
    book.take(bill_run("R-2", of="OTHER"))
    assert counted(book.go_through("R-2")) == (1, 0)
    assert bills(book)["BA-2"] == [2000]
    assert_books_hold(book)


def test_an_account_that_moves_in_behind_the_run_is_found_when_it_goes_through_them_again():
    """In the order of ids it is before those that were come to."""
    book = opened("BA-2", "BA-3")
    book.take(bill_run(), *book_of(book, "R-1"))
    book.take(in_cycle("BA-1"), charge("C-1", line("7", "0.2"), account="BA-1"))
    run = book.go_through("R-1")
    assert (run.cursor, *counted(run)) == ("BA-3", 3, 0)
    assert bills(book)["BA-1"] == [700]


def book_of(book, run_id):
    """The facts of a run that is still to be started."""
    book.take(bill_run(run_id))
    return book.to_bill(run_id)


def test_one_bad_contract_parks_alone_and_is_replayed():
    """A charge of a closed partner: the others are billed, the numbers have no gap, and once it is mended it counts."""
    book = LedgerBook()
    book.take(cycle(), *(in_cycle(id_) for id_ in ACCOUNTS), partner())
    for id_ in ACCOUNTS:
        sold_for = "SA-1" if id_ == "BA-3" else None
        book.take(charge(f"C-{id_}", line("10", "0.2", sold_for), account=id_))
    book.take(command("close", "SA-1"), bill_run())
    run = book.go_through("R-1")
    assert (run.state, *counted(run)) == ("completed", 4, 0)
    assert book.refused["bill.account:R-1:BA-3"].code == "account-closed"
    assert sorted(book.documents[Invoice]) == [f"INV-{n:09d}" for n in range(1, 5)]
    book.take(command("reopen", "SA-1"))
    del book.refused["bill.account:R-1:BA-3"]
    book.take(AccountToBill("R-1", "BA-3", date(2026, 11, 30)))
    run = book.run_of("R-1")
    assert (run.state, *counted(run)) == ("completed", 5, 0)
    assert bills(book)["BA-3"] == [1000]
    assert_books_hold(book)


@pytest.mark.parametrize(
    ("becomes", "is_billed"),
    [
        (command("suspend", "BA-1"), True),
        (command("close", "BA-1"), True),
        (payment("P-1", 1200), True),
        (order("O-1", line("5", "0.2")), True),
        (update("BA-1", name="Other", refersTo={"cycleSpecification": "MONTHLY"}), True),
        (update("BA-1", refersTo={"cycleSpecification": None}), False),
        (demand("D-1"), False),
    ],
    ids=["suspended", "closing", "paid", "ordered", "changed", "moved out", "billed"],
)
def test_a_run_while_accounts_are_suspended_closed_changed_paid(becomes, is_billed):
    """What becomes of an account between its page and its fact; it is owed what it was charged, once."""
    book = opened("BA-1", "BA-2")
    book.take(bill_run())
    facts = book.to_bill("R-1")
    book.take(becomes, *facts)
    assert counted(book.go_through("R-1")) == ((2, 0) if is_billed else (1, 1))
    is_charged = book.get(Charge, "C-BA-1").billed is not None
    assert bills(book).get("BA-1", []).count(1000) == int(is_charged)
    assert_books_hold(book)


def test_an_account_that_is_closed_has_nothing_due():
    """It was closed before the run came to it, with nothing open."""
    book = LedgerBook()
    book.take(cycle(), in_cycle("BA-1"), in_cycle("BA-2", first="defined"), bill_run())
    facts = book.to_bill("R-1")
    book.take(command("close", "BA-1"), *facts)
    assert counted(book.run_of("R-1")) == (0, 2)
    assert not book.waiting
    assert_books_hold(book)


def test_a_payers_bill_has_what_is_due_of_all_that_it_pays_for():
    """2.75, 2.75 and 3.25 at 20 %: 1.75 of tax on 8.75 in all, worked out once; each line with its account."""
    book = LedgerBook()
    paid = (relation("payer", "BA-P"),)
    book.take(cycle(), in_cycle("BA-P"), in_cycle("BA-1", relationships=paid), billing("BA-2", relationships=paid))
    book.take(
        charge("C-1", line("2.75", "0.2"), account="BA-1"),
        charge("C-2", line("2.75", "0.2"), account="BA-2"),
        charge("C-3", line("3.25", "0.2"), account="BA-P"),
        bill_run(),
    )
    run = book.go_through("R-1")
    assert counted(run) == (1, 1), "who is paid for has no bill of its own"
    invoice = book.invoice(1)
    assert [(one.origin.account, one.tax_excluded_amount) for one in invoice.lines if one.origin] == [
        ("BA-1", 275),
        ("BA-2", 275),
        ("BA-P", 325),
    ]
    assert [(item.tax_excluded_amount, item.tax_amount) for item in invoice.tax_item] == [(875, 175)]
    assert (invoice.billing_account, invoice.tax_included_amount) == ("BA-P", 1050)
    assert_books_hold(book)


def test_a_consolidated_bill_rounds_its_tax_once():
    """0.12 at 20 % of each of three accounts: 0.07 of tax on 0.36, where three bills would have 0.02 each."""
    book = LedgerBook()
    paid = (relation("payer", "BA-P"),)
    book.take(cycle(), in_cycle("BA-P"), *(billing(f"BA-{n}", relationships=paid) for n in (1, 2)))
    for id_ in ("BA-1", "BA-2", "BA-P"):
        book.take(charge(f"C-{id_}", line("0.12", "0.2"), account=id_))
    book.take(bill_run())
    book.go_through("R-1")
    [item] = book.invoice(1).tax_item
    assert (item.tax_excluded_amount, item.tax_amount) == (36, 7)
    assert sum(one.tax_amount for one in book.invoice(1).lines) == 7


def test_a_bill_of_more_than_one_holds_goes_on_and_counts_once():
    """Three charges and one line a bill: three bills of one account, which is one of the run's accounts."""
    book = opened("BA-1")
    book.take(charge("C-2", line("2", "0.2")), charge("C-3", line("3", "0.2")), bill_run())
    with patch("domain.billing.gathering.LINES_MAX", 1):
        run = book.go_through("R-1")
    assert counted(run) == (1, 0)
    assert [one.cause for one in book.documents[Invoice].values()] == [
        "bill.account:R-1:BA-1",
        "bill.account:R-1:BA-1/1",
        "bill.account:R-1:BA-1/2",
    ]
    assert run.totals == (RunTotal("EUR", 1500, 1800),)
    assert_books_hold(book)


def test_a_bill_below_zero_is_notes_of_the_run():
    """What ends in the middle of what was billed: a note named by the account's fact; it is billed, and no total."""
    book = LedgerBook()
    book.take(cycle(), in_cycle("BA-1"), subscription(start="2026-11-01"), demand("D-1", on="2026-11-01"))
    book.take(charge("C-1", line("-15", "0.2"), on="2026-11-15", corrects=("INV-000000001", "1")))
    book.take(bill_run(on="2026-11-20"))
    run = book.go_through("R-1")
    [note] = book.documents[CreditNote].values()
    assert (note.id, note.cause) == ("bill.account:R-1:BA-1:INV-000000001", "bill.account:R-1:BA-1")
    assert (counted(run), run.totals) == ((1, 0), ())
    assert_books_hold(book)


def test_totals_are_by_currency():
    """Accounts of three currencies, in the order of their codes."""
    book = LedgerBook()
    book.take(cycle())
    for number, (id_, code) in enumerate((("BA-1", "JPY"), ("BA-2", "EUR"), ("BA-3", "EUR")), 1):
        book.take(in_cycle(id_, currency=code))
        account = book.account(id_)
        added = charge(f"C-{id_}", line(str(number), "0.1"), account=id_, currency=account.kept_in)
        book.take(added)
    book.take(bill_run())
    assert book.go_through("R-1").totals == (RunTotal("EUR", 500, 550), RunTotal("JPY", 1, 1))


def test_what_can_not_be_started():
    """A cycle that is not there is waited for; one that is deleted is not run."""
    book = LedgerBook()
    book.take(bill_run())
    [(_, why)] = book.waiting.values()
    assert (why.code, why.waits_for) == ("unknown-specification", "billing-cycle-specification:MONTHLY")
    book.take(cycle())
    assert book.run_of("R-1").state == "running"


# -- runs that begin by themselves


def runs(book):
    """The runs that there are: id, billing date, up to when charges are on it, when it is due."""
    return [
        (one.id, str(one.billing_date), str(one.charges_through), one.payment_due_date and str(one.payment_due_date))
        for one in sorted(book.documents[BillRun].values(), key=lambda one: (one.billing_date, one.id))
    ]


def test_a_cycle_runs_by_itself_on_its_day():
    """Months from 31 January: opened 2 days after their start, charges up to the day before, due 14 days after."""
    book = LedgerBook()
    book.begin_days("2026-11-22")
    monthly_cycle = automatic(
        since="2026-01-31T00:00:00Z", billingDateShift=2, chargeDateOffset=-1, paymentDueDateOffset=14
    )
    book.take(monthly_cycle, cycle("OTHER"))
    book.begin_days("2026-12-01")
    assert runs(book) == []
    book.begin_days("2026-12-02")
    assert runs(book) == [("MONTHLY:2026-11-30", "2026-11-30", "2026-11-29", "2026-12-14")]
    book.begin_days("2027-03-03")
    assert [one[1] for one in runs(book)] == ["2026-11-30", "2026-12-31", "2027-01-31", "2027-02-28"]
    assert book.get(BillRun, "MONTHLY:2026-12-31").cause == "bill-run.open:2027-01-02"


def test_charges_after_the_offset_wait_for_the_next_run():
    """One of the day before the period is on it, one of the first day is not; a price in advance is."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(automatic(chargeDateOffset=-1), in_cycle("BA-1"), subscription("S-1", monthly(), start="2026-12-01"))
    book.take(charge("C-1", line("1", "0.2"), on="2026-11-30"), charge("C-2", line("2", "0.2"), on="2026-12-01"))
    book.begin_days("2026-12-01")
    book.go_through("MONTHLY:2026-12-01")
    assert [(one.tax_excluded_amount, one.origin.charge_id) for one in book.invoice(1).lines if one.origin] == [
        (100, "C-1"),
        (3000, None),
    ]
    assert_books_hold(book)


def test_a_bill_is_never_due_before_its_date():
    """Five days after the start of the period; it is billed on the seventh."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(automatic(paymentDueDateOffset=5), in_cycle("BA-1"), charge("C-1", line("1", "0.2"), on="2026-11-30"))
    book.take(in_cycle("BA-2"), charge("C-2", line("1", "0.2"), on="2026-11-30", account="BA-2"))
    book.begin_days("2026-12-03")
    facts = book.to_bill("MONTHLY:2026-12-01")
    book.take(facts[0])
    book.begin_days("2026-12-07")
    book.take(facts[1])
    assert [str(book.invoice(n).payment_due_date) for n in (1, 2)] == ["2026-12-06", "2026-12-07"]
    assert_books_hold(book)


def test_missed_days_open_each_of_their_runs_once():
    """Three weeks without a worker: three runs, each of its own date; and what was opened by hand is that run."""
    book = LedgerBook()
    book.begin_days("2026-11-23")
    book.take(automatic("WEEKLY", "2026-11-02T00:00:00Z", billingPeriod="week"))
    book.take(bill_run("WEEKLY:2026-12-07", of="WEEKLY", on="2026-12-07"))
    book.begin_days("2026-12-15")
    assert [one[1] for one in runs(book)] == ["2026-11-30", "2026-12-07", "2026-12-14"]
    assert book.get(BillRun, "WEEKLY:2026-12-07").cause == "bill-run.start:WEEKLY:2026-12-07"
    book.take(bill_run("WEEKLY:2026-11-30", of="WEEKLY", on="2026-11-30"))
    assert book.results["bill-run.start:WEEKLY:2026-11-30"]["state"] == "running"
    code, detail = book.refusal(bill_run("WEEKLY:2026-12-14", of="WEEKLY", on="2026-12-13"))
    assert (code, detail) == (
        "conflicting-duplicate",
        "billRunId: there is a run WEEKLY:2026-12-14 already, of cycle WEEKLY, up to 2026-12-14",
    )


def test_a_run_by_hand_of_an_automatic_cycle_has_its_offsets():
    """From its own billing date."""
    book = LedgerBook()
    book.take(automatic(chargeDateOffset=-2, paymentDueDateOffset=10), bill_run())
    assert runs(book) == [("R-1", "2026-11-30", "2026-11-28", "2026-12-10")]


def test_what_an_earlier_version_took_in_stops_no_day():
    """A cycle that says that it is automatic, and no period: it has no runs, the other one has."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(cycle("ODD", automatic=True, billingPeriod="moon"), automatic())
    book.begin_days("2026-12-01")
    assert [one[0] for one in runs(book)] == ["MONTHLY:2026-12-01"]
    code, detail = book.refusal(bill_run(of="ODD"))
    assert (code, detail.split(":")[0]) == ("invalid", "billingPeriod")


def test_more_runs_than_one_fact_opens_are_opened_by_further_ones():
    """Five cycles, two at a time."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(*(automatic(f"M-{n}") for n in range(5)))
    with patch("domain.billing.running.OPENED_MAX", 2):
        book.begin_days("2026-12-01")
    assert len(runs(book)) == 5
    opened_by = [book.results[f"bill-run.open:2026-12-01{part}"]["billRunIds"] for part in ("", "/1", "/2")]
    assert list(map(len, opened_by)) == [2, 2, 1]


def test_an_id_that_a_cycle_has_by_itself_is_kept_for_it():
    """A run of another cycle, or up to another date, has another id; the cycle's own is started by hand as well."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(automatic(), cycle("OTHER"), automatic("OVER"), unspecify("OVER", kind=BillingCycleSpecification))
    taken = "billRunId: MONTHLY:2026-12-01 is kept for the run that cycle MONTHLY has by itself, up to 2026-12-01"
    for of, on in (("OTHER", "2026-12-01"), ("MONTHLY", "2026-11-30")):
        code, detail = book.refusal(bill_run("MONTHLY:2026-12-01", of=of, on=on))
        assert (code, detail) == ("conflicting-duplicate", f"{taken}: take another id")
        del book.refused["bill-run.start:MONTHLY:2026-12-01"]
    others = ("OTHER:2026-12-01", "OVER:2026-12-01", "NONE:2026-12-01", "MONTHLY:20261201", "MONTHLY:again", ":")
    book.take(*(bill_run(id_, of="OTHER") for id_ in others))
    book.take(bill_run("MONTHLY:2026-12-01", on="2026-12-01"))
    assert len(runs(book)) == len(others) + 1
    book.begin_days("2026-12-01")
    assert (len(runs(book)), book.refused) == (len(others) + 1, {})


def test_a_run_whose_id_was_taken_before_its_cycle_began_is_parked():
    """The others are opened, in as many parts as it takes; it is started by hand under another id."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(cycle("OTHER"), bill_run("M-1:2026-12-01", of="OTHER"), bill_run("M-2:2026-12-01", of="OTHER"))
    book.take(*(automatic(f"M-{n}") for n in range(5)))
    with patch("domain.billing.running.OPENED_MAX", 2):
        book.begin_days("2026-12-01")
    assert {identity: (why.code, why.detail.partition(": ")[2]) for identity, why in book.refused.items()} == {
        f"bill-run.open:2026-12-01/0/{id_}": (
            "conflicting-duplicate",
            f"there is a run {id_}:2026-12-01 already, of cycle OTHER, up to 2026-11-30: {what} under another id",
        )
        for id_, what in (
            ("M-1", "start that of cycle M-1, up to 2026-12-01, by hand"),
            ("M-2", "start that of cycle M-2, up to 2026-12-01, by hand"),
        )
    }
    assert [one[0] for one in runs(book)][2:] == ["M-0:2026-12-01", "M-3:2026-12-01", "M-4:2026-12-01"]
    book.take(bill_run("BY-HAND", of="M-1", on="2026-12-01"))
    book.begin_days("2027-01-01")
    assert len(book.refused) == 2
    assert "M-1:2027-01-01" in book.documents[BillRun]


def test_no_period_begins_when_a_cycle_is_over_or_deleted():
    """The first period is the one of its first day, the last one begins before its end."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    period = {"startDateTime": "2026-12-02T00:00:00Z", "endDateTime": "2026-12-05T00:00:00Z"}
    book.take(automatic("DAILY", billingPeriod="day", validFor=period))
    book.begin_days("2026-12-10")
    assert [one[1] for one in runs(book)] == ["2026-12-02", "2026-12-03", "2026-12-04"]


# -- in any order


@given(data=st.data())
def test_however_runs_meet_each_charge_is_billed_once(data):
    """Two runs, demands, payments and accounts that move in and out, in any order; then a run bills what is left."""
    book = LedgerBook()
    book.take(cycle(), cycle("OTHER"))
    accounts = ACCOUNTS[:3]
    for id_ in accounts:
        moved = data.draw(st.sampled_from(["MONTHLY", "OTHER"]))
        book.take(in_cycle(id_, moved))
    book.take(bill_run("R-1"), bill_run("R-2", of="OTHER"), bill_run("R-3"))
    facts = [AccountToBill(run, id_, date(2026, 11, 30)) for run in ("R-1", "R-2", "R-3") for id_ in accounts]
    charged = [charge(f"C-{id_}-{n}", line("10", "0.2"), account=id_) for id_ in accounts for n in (1, 2)]
    moves = [update(id_, refersTo={"cycleSpecification": "OTHER"}) for id_ in accounts]
    others = [demand("D-1", account="BA-1"), payment("P-1", 1200, account="BA-2")]
    for fact in data.draw(st.permutations([*facts, *charged, *moves, *others])):
        book.take(fact)
    assert_books_hold(book)
    book.take(bill_run("R-9", of="OTHER"))
    book.go_through("R-9")
    assert_books_hold(book)
    assert all(one.billed is not None for one in book.documents[Charge].values())
    assert sum(sum(found) for found in bills(book).values()) == 6 * 1000


@pytest.mark.parametrize(
    ("end", "last"),
    [("2026-11-30T23:59:59Z", "30"), ("2026-12-01T00:00:00Z", "30"), ("2026-11-30T00:00:00Z", "29")],
)
def test_a_period_that_begins_before_the_end_has_its_run(end, last):
    """None begins at the end of what the cycle is valid for, or later; on the day of it one may."""
    book = LedgerBook()
    book.begin_days("2026-11-26")
    valid = {"startDateTime": "2026-11-26T00:00:00Z", "endDateTime": end}
    book.take(cycle("DAILY", automatic=True, billingPeriod="day", validFor=valid), in_cycle("BA-1", "DAILY"))
    book.begin_days("2026-12-03")
    assert max(book.documents[BillRun]) == f"DAILY:2026-11-{last}"
