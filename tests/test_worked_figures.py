"""The figures that the pages of docs/ work out are those of the domain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from domain.corrections.model import CreditNote, DisputeToOpen
from domain.invoicing.model import CorrectedLine, Invoice
from domain.ledger.chart import CHART
from domain.ledger.entries import Entry
from domain.ordering.completing import Order
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    adjustment,
    advance,
    agent_of,
    agreement,
    billing,
    charge,
    closing,
    credit_note,
    demand,
    dispute,
    grant,
    guarantee,
    holdback,
    identity_of,
    ledger_name,
    line,
    order,
    partner,
    payment,
    payout,
    payout_return,
    refund,
    reversal,
    self_billing,
    settlement_of,
    tiers,
    transfer,
    write_off,
)

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```\n([a-z.-]+:\S+(?: .*)?\n(?:.*\n)*?)```$", re.MULTILINE)
HEAD = re.compile(r"(?P<id>\S+)(?: +(?:reverses (?P<reverses>\S+)|\S.*))?")
"""An entry's first line: its id, and what it reverses, or in words what it is about."""
POSTING = re.compile(r"(?P<posting>  \S.* -?\d+\.\d\d)(?: {2,}\S.*)?")
"""A posting, which may be followed by what it is in words."""
INV1 = "INV-000000001"


def bundle(behalf: str) -> Order:
    """An order of a line of our own and one on behalf of a partner, both at 20 %."""
    return order("O-1001", line("39.90", "0.2"), line("3.99", "0.2", behalf, quantity="2"))


def at_the_invoice() -> LedgerBook:
    """BA-1 orders, the share of SA-1 accrues at the invoice, is stated, and is paid in two payouts.

    The second comes back, and is paid anew; then what was paid is too much by 1.00.
    """
    book = LedgerBook()
    book.take(billing(), partner("SA-1", "0.8", "invoice"), bundle("SA-1"))
    book.take(closing("C-1"), payout("PO-1", 600, "C-1"), payout("PO-2", 38, "C-1"))
    book.take(payout_return("PR-1", "PO-2"), payout("PO-3", 38, "C-1"))
    book.take(adjustment("A-1", -100, corrects=("INV-000000001", "2")), closing("C-2"))
    return book


def by_tiers() -> LedgerBook:
    """Of 1,000.00 and 200.00, 70 % up to 1,000.00 and 75 % beyond, the first line is credited before the closing."""
    book = LedgerBook()
    terms = tiers(("1000", "0.70"), (None, "0.75"))
    book.take(billing(), partner(), agreement("AG-1", "2026-11-01", tiers=terms))
    book.take(order("O-1", line("1000", "0", "SA-1"), line("200", "0", "SA-1")))
    book.take(credit_note("N-1", "INV-000000001", {"1": 100000}), closing("C-1"))
    return book


def self_billed() -> LedgerBook:
    """80.00 are earned and invoiced in the partner's name; then 16.00 of them are taken back."""
    book = LedgerBook()
    book.take(billing(), partner(), agreement("AG-1", "2026-11-01", share="1", self_billing=self_billing()))
    book.take(order("O-1", line("80", "0", "SA-1")), closing("C-1"))
    book.take(credit_note("N-1", INV1, {"1": 1600}), closing("C-2"))
    assert book.settlement("C-2").total == -1920
    return book


def with_steps() -> LedgerBook:
    """SA-1 owes us 5.00; of 100.00 guaranteed it earns 60.00, and was paid 30.00 in advance; 10 % are held back."""
    book = LedgerBook()
    book.begin_days("2026-11-30")
    book.take(
        billing(), partner(share="1"), adjustment("A-1", -500, on="2026-11-30"), closing("C-0", until="2026-11-30")
    )
    terms: dict[str, Any] = {"guarantee": guarantee(10000), "advance": 3000, "holdback": holdback("0.1", 30)}
    book.take(agreement("AG-1", "2026-12-01", share="1", **terms))
    book.begin_days("2026-12-01")
    book.take(advance("AV-1", 3000, at="2026-12-01T09:00:00"))
    book.take(order("O-1", line("60.00", "0", "SA-1"), at="2026-12-01T10:00:00"), closing("C-1", until="2026-12-31"))
    assert book.settlement("C-1").total == 5800
    book.begin_days("2027-01-30")
    return book


def at_payment() -> LedgerBook:
    """BA-1 orders, the share of SA-2 is withheld, and BA-1 pays in two parts, the second of which is too much."""
    book = LedgerBook()
    book.take(billing(), partner("SA-2", "0.8", "payment"), bundle("SA-2"))
    book.take(payment("P-1", 2000), payment("P-2", 4000))
    return book


def books_of(*facts: Fact) -> LedgerBook:
    """A book with two customers and a partner that waits for their payments."""
    book = LedgerBook()
    book.take(billing(), billing("BA-2"), partner("SA-1", "0.8", "payment"), *facts)
    return book


def reversed_() -> LedgerBook:
    """BA-1 pays an invoice of 120.00 and the debit bounces; the bank takes 3.50."""
    return books_of(order("O-1", line("100", "0.2")), payment("P-1", 12000), reversal("X-1", "P-1", fee=350))


def lost_and_recovered() -> LedgerBook:
    """An invoice of 120.00 is lost, with a share of 80.00 that waits; half of it comes after all."""
    book = books_of(order("O-1", line("100", "0.2", "SA-1")), write_off("W-1", INV1, relief=True))
    book.take(payment("P-1", 6000, [INV1]))
    return book


def granted() -> LedgerBook:
    """Goodwill of 10.00 where an invoice of 7.00 is open."""
    return books_of(order("O-1", line("7")), grant("C-1", 1000))


def transferred() -> LedgerBook:
    """A payment of 20.00 covers 8.00, 12.00 go to BA-2 and cover 7.00 there, and 14.00 are charged back."""
    book = books_of(order("O-1", line("8")), payment("P-1", 2000), transfer("T-1", 1200, of="P-1"))
    book.take(order("O-2", line("7"), account="BA-2"), reversal("X-1", "P-1", 1400))
    return book


def credited() -> LedgerBook:
    """Of 240.00 for two lines 200.00 are paid; 50.00 of the first and 25.00 of the second come back."""
    book = books_of(order("O-1", line("100", "0.2"), line("100", "0.2", "SA-1")), payment("P-1", 20000))
    book.take(credit_note("N-1", INV1, {"1": 5000, "2": 2500}))
    return book


ONE_ORDER: list[Fact] = [
    order("O-1", line("100", "0.2"), line("50", "0.2", "SA-1")),
    payment("P-1", 18000),
    credit_note("N-1", INV1, {"2": 2500}, excess="refund"),
    refund("R-1", 3000, note="N-1"),
    reversal("X-1", "P-1", 6000, fee=350),
    dispute("D-1", INV1, {"1": 2000}),
    settlement_of("D-1", {"1": 1000}),
    write_off("W-1", INV1, relief=True),
    payment("P-2", 3000, [INV1]),
    grant("C-1", 1000),
    transfer("T-1", 600),
]
"""One order through all corrections."""


def one_order() -> LedgerBook:
    """All of them."""
    return books_of(*ONE_ORDER)


def on_demand() -> LedgerBook:
    """BA-1 is charged for November in advance, ends its subscription on the 16th, and is billed on each date."""
    book = LedgerBook()
    november = line("39.90", "0.2")
    book.take(billing(), partner("SA-1", "0.8", "invoice"), charge("C-1", november, on="2026-11-01"))
    book.take(charge("C-2", line("3.99", "0.2", "SA-1", quantity="2"), on="2026-11-03"))
    book.take(demand("D-1", on="2026-11-03"))
    book.take(charge("C-3", line("-19.95", "0.2"), on="2026-11-16", corrects=("INV-000000001", "1")))
    book.take(charge("C-4", line("25.00", "0.2"), on="2026-11-20"), demand("D-2", on="2026-11-20"))
    book.take(charge("C-5", line("-19.95", "0.2"), on="2026-11-21", corrects=("INV-000000001", "1")))
    book.take(demand("D-3", on="2026-11-30"))
    book.take(billing("BA-2"), agent_of("SA-2", on="payment", series="TV-"))
    for id_, of in (("C-6", line("39.90", "0.2")), ("C-7", line("24.99", "0.2", "SA-2"))):
        book.take(charge(id_, of, on="2026-11-03", account="BA-2"))
    book.take(demand("S-1", on="2026-11-03", account="BA-2"))
    back = charge("C-8", line("-12", "0.2", "SA-2"), on="2026-11-16", account="BA-2", corrects=("TV-000000001", "1"))
    book.take(charge("C-9", line("25", "0.2"), on="2026-11-16", account="BA-2"), back)
    book.take(demand("S-2", on="2026-11-16", account="BA-2"))
    return book


def several_sellers() -> LedgerBook:
    """BA-1 orders of us, of SA-2 and of SA-1, both of which have all of it at the invoice."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", series="TV-"), agent_of("SA-2"))
    of_sa_2 = line("10.01", "0.2", "SA-2")
    book.take(order("O-1", of_sa_2, line("39.90", "0.2"), line("10.01", "0.2", "SA-1"), of_sa_2))
    return book


def across_sellers() -> LedgerBook:
    """BA-1 pays our invoice, that of SA-2, and a half of that of SA-1."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", on="payment", series="TV-"), agent_of("SA-2"))
    book.take(order("O-1", line("39.90", "0.2"), line("33.33", "0.2", "SA-1"), line("10.01", "0.2", "SA-2")))
    book.take(payment("P-1", 7989))
    return book


AS_AGENT: list[Fact] = [
    order("O-1", line("3.50", "0.2"), line("29.90", "0.2", "SA-1")),
    payment("P-1", 1420),
    payment("P-2", 2588),
    credit_note("N-1", "TV-000000001", {"2": 1495}),
]
"""What our commission of 12 % follows, which falls due as the customer pays."""


def as_its_agent(facts: Sequence[Fact] = AS_AGENT) -> LedgerBook:
    """BA-1 orders of us and of SA-1, pays a part, then the rest, and half of what SA-1 sold is credited."""
    book = LedgerBook()
    book.take(billing(), agent_of("SA-1", "0.12", on="payment", series="TV-"), *facts)
    return book


def as_its_agent_to_the_closing() -> LedgerBook:
    """All of that, and its statement."""
    book = as_its_agent()
    book.take(closing("C-1"))
    assert book.settlement("C-1").total == 1579
    return book


def written(entry: Entry) -> str:
    """An entry as the pages have it: debits positive, in major units."""
    lines = [f"  {ledger_name(p):<16}{p.amount / 100:>10.2f}\n" for p in entry.postings]
    return f"{entry.id}\n{''.join(lines)}"


BOOKS = {
    ("ordering", "Several sellers"): several_sellers,
    ("ordering", "Worked figures"): at_the_invoice,
    ("invoicing", ""): at_payment,
    ("payments", "Across sellers"): across_sellers,
    ("payments", "Worked figures"): at_payment,
    ("settlement", "Agents"): as_its_agent_to_the_closing,
    ("settlement", "Worked figures"): at_the_invoice,
    ("settlement", "Agreements"): by_tiers,
    ("settlement", "Documents"): self_billed,
    ("settlement", "Figures of a closing"): with_steps,
    ("billing", ""): on_demand,
    ("corrections", "Reversals"): reversed_,
    ("corrections", "Write-offs"): lost_and_recovered,
    ("corrections", "Goodwill"): granted,
    ("corrections", "Transfers"): transferred,
    ("corrections", "Worked figures"): credited,
    ("corrections", "One order through all of it"): one_order,
}
"""The books that a page shows entries of, or a section of a page."""


def sections(page: str) -> dict[str, str]:
    """A page's sections by their titles; as `` all of it."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    return {"": text} | {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}


def shown_in(text: str) -> Iterator[tuple[str, str | None, list[str]]]:
    """The entries that a text shows: the id, what it reverses if that is said, and the postings as they are written."""
    for block in BLOCK.findall(text):
        for is_entry, lines in groupby(block.splitlines(), key=bool):
            if not is_entry:
                continue
            entries: list[tuple[str, str | None, list[str]]] = []
            for row in lines:
                if row.startswith("  "):
                    posting = POSTING.fullmatch(row)
                    assert posting, f"no posting: {row!r}"
                    entries[-1][2].append(posting["posting"])
                else:
                    head = HEAD.fullmatch(row)
                    assert head, f"no entry's id: {row!r}"
                    entries.append((head["id"], head["reverses"], []))
            yield from entries


@pytest.mark.parametrize(("page", "section"), BOOKS)
def test_the_figures_of_a_page(page, section):
    """Each entry that a page shows is what the domain posts, in whatever order it tells it."""
    book = BOOKS[page, section]()
    assert_books_hold(book)
    assert not book.refused
    assert not book.waiting
    shown = list(shown_in(sections(page)[section]))
    assert shown, "no entry is shown"
    for id_, reverses, postings in shown:
        entry = book.rows[Entry][id_]
        assert sorted(postings) == sorted(written(entry).splitlines()[1:]), id_
        assert reverses in (None, entry.reverses), id_


def test_no_entry_is_shown_that_nothing_checks():
    """Of a page whose sections have books of their own, each section that shows one has."""
    for page in {page for page, _ in BOOKS}:
        checked = {section for of, section in BOOKS if of == page}
        showing = {title for title, text in sections(page).items() if title and any(shown_in(text))}
        assert "" in checked or showing == checked, page


def test_the_balances_of_one_order():
    """After each fact the balances are those of the two tables, each positive on its own side; empty is zero."""
    tables = re.findall(r"(?:^\|.*\n)+", sections("corrections")["One order through all of it"], re.MULTILINE)
    found = [[[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in table.splitlines()] for table in tables]
    side = {account.name: 1 if account.side == "debit" else -1 for account in CHART}
    assert [len(rows) for rows in found] == [len(ONE_ORDER) + 2] * 2
    book = books_of()
    for number, fact in enumerate(ONE_ORDER, 2):
        book.take(fact)
        told: dict[str, str] = {}
        for names, rows in ((rows[0], rows[number]) for rows in found):
            assert rows[0] == identity_of(fact)
            told |= dict(zip(names[1:], rows[1:], strict=True))
        ledger = {name.removeprefix("EUR ").replace(" S 0.2", ""): amount for name, amount in book.ledger().items()}
        assert {name: amount for name, amount in told.items() if amount} == {
            name: f"{amount * side[name.partition(':')[0]] / 100:.2f}" for name, amount in ledger.items()
        }
        if isinstance(fact, DisputeToOpen):
            assert (book.invoice(1).remaining_amount, book.invoice(1).undisputed) == (6000, 3600)


def tables(page: str, section: str) -> list[list[list[str]]]:
    """The cells of a section's tables, without what marks them."""
    found = re.findall(r"(?:^\|.*\n)+", sections(page)[section], re.MULTILINE)
    return [[[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in table.splitlines()] for table in found]


def test_the_commission_to_date():
    """After each fact it is that of the table, and so is what the fact's row adds to it."""
    [rows] = [rows for rows in tables("settlement", "Agents") if rows[0][0] == "what happens"]
    assert len(rows) == len(AS_AGENT) + 2
    before = 0
    for n, (fact, row) in enumerate(zip(AS_AGENT, rows[2:], strict=True), 1):
        book = as_its_agent(AS_AGENT[:n])
        [line] = book.get(Invoice, "TV-000000001").lines
        left = next(iter(book.get(Invoice, "TV-000000001").corrected.lines), CorrectedLine(line.id))
        part = line.on_behalf_of
        assert part is not None
        assert part.agent is not None
        net = line.tax_excluded_amount - left.credited
        charged = sum(one.commission.amount for one in book.accruals("SA-1") if one.commission)
        assert charged == part.agent.charged
        figures = (net, part.share, part.accrued, charged, charged - before)
        assert row == [identity_of(fact), *(f"{figure / 100:.2f}" for figure in figures)]
        before = charged


def test_what_a_payment_covers_across_sellers():
    """Of each invoice what is owed, covered, and its state."""
    [rows] = tables("payments", "Across sellers")
    book = across_sellers()
    invoices = sorted(book.documents[Invoice].values(), key=lambda one: one.order_key)
    told = [
        [one.id, *(f"{amount / 100:.2f}" for amount in (one.tax_included_amount, one.allocated)), one.state]
        for one in invoices
    ]
    assert rows[2:] == told


def test_the_numbers_of_a_bill_of_several_sellers():
    """Each bill of the table has these numbers, and these nets and taxes."""
    rows = next(rows for rows in tables("billing", "Bills on demand") if rows[0][0] == "bill of")
    book = on_demand()
    bills = {one.id: one for one in book.documents[Invoice].values()}
    notes = {one.bill_no: one for one in book.documents[CreditNote].values()}
    for cell in (cell for row in rows[2:] for cell in row[1:]):
        number, figures = cell.split("`: ")
        one = bills.get(number) or notes[number]
        tax = one.tax_included_amount - one.tax_excluded_amount
        assert figures == f"{one.tax_excluded_amount / 100:.2f} + {tax / 100:.2f}"


def test_the_invoices_of_an_order_of_several_sellers():
    """Each with its lines, its net, tax and total, as the page draws them."""
    drawn = sections("ordering")["Several sellers"]
    for one in several_sellers().documents[Invoice].values():
        tax = one.tax_included_amount - one.tax_excluded_amount
        figures = f"{one.tax_excluded_amount / 100:.2f} + {tax / 100:.2f} = {one.tax_included_amount / 100:.2f}"
        lines = ", ".join(line.id for line in one.lines)
        [row] = [row for row in drawn.splitlines() if one.id in row and figures in row]
        assert row.endswith(lines)
