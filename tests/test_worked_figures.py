"""The figures that the pages of docs/ work out are those of the domain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from domain.ledger.entries import Entry
from domain.ordering.completing import Order
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    LedgerBook,
    adjustment,
    billing,
    charge,
    closing,
    demand,
    ledger_name,
    line,
    order,
    partner,
    payment,
    payout,
    payout_return,
)

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```\n([a-z.]+:\S+\n(?: +.*\n)*)```$", re.MULTILINE)


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


def at_payment() -> LedgerBook:
    """BA-1 orders, the share of SA-2 is withheld, and BA-1 pays in two parts, the second of which is too much."""
    book = LedgerBook()
    book.take(billing(), partner("SA-2", "0.8", "payment"), bundle("SA-2"))
    book.take(payment("P-1", 2000), payment("P-2", 4000))
    return book


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
    return book


def written(entry: Entry) -> str:
    """An entry as the pages have it: debits positive, in major units."""
    lines = [f"  {ledger_name(p):<16}{p.amount / 100:>10.2f}\n" for p in entry.postings]
    return f"{entry.id}\n{''.join(lines)}"


BOOKS = {
    "ordering": at_the_invoice,
    "invoicing": at_payment,
    "payments": at_payment,
    "settlement": at_the_invoice,
    "billing": on_demand,
}


@pytest.mark.parametrize("page", BOOKS)
def test_the_figures_of_a_page(page):
    """Each entry that a page shows is what the domain posts."""
    book = BOOKS[page]()
    assert_books_hold(book)
    entries = {entry.id: written(entry) for entry in book.rows[Entry].values()}
    shown = BLOCK.findall((DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert shown, "no entry is shown"
    for block in shown:
        assert block == entries[block.partition("\n")[0]]
