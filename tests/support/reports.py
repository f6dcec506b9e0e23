"""The invariants of partners' reports: each compared a second time, and what is in dispute by it."""

from __future__ import annotations

from collections import Counter

from domain.settlement.adjusting import Adjustment
from domain.settlement.comparing import ReportToCompare, StatementReport
from domain.settlement.statements import Settlement
from tests.support.ledger_book import LedgerBook


def reports_hold(book: LedgerBook) -> None:
    """Check that each report says what its statement and its message say, and that no other line is in dispute."""
    said = {fact.id: fact for fact in book.applied.values() if isinstance(fact, ReportToCompare)}
    assert book.rows[StatementReport].keys() == said.keys()
    for id_, report in book.rows[StatementReport].items():
        _is_compared(report, said[id_], book.get(Settlement, report.settlement_id))
    in_dispute = _in_dispute(book)
    for statement in book.documents[Settlement].values():
        reports = [one.id for one in said.values() if one.settlement_id == statement.id]
        assert statement.report == (reports[-1] if reports else None), statement.id
        lines = {f"{line.bill_no}/{line.line_id}": line.amount for line in statement.disputed or ()}
        assert lines == in_dispute.get(statement.id, {}), statement.id
        assert statement.disputed is None or lines, statement.id
        assert 0 <= statement.left <= statement.total - statement.paid or statement.state == "carriedForward"


def _is_compared(report: StatementReport, said: ReportToCompare, statement: Settlement) -> None:
    ours: Counter[str] = Counter()
    orders = {}
    for row in statement.lines:
        if row.bill_no is not None and row.adjustment_id is None:
            ours[f"{row.bill_no}/{row.line_id}"] += row.amount
            orders[f"{row.order_id}/{row.line_id}"] = f"{row.bill_no}/{row.line_id}"
    theirs = {}
    for line in said.lines:
        name = f"{line.order_id or line.bill_no}/{line.line_id}"
        theirs[orders.get(name, name)] = line.money.amount
    apart = 0 if said.tolerance is None else said.tolerance.amount
    found = {}
    for one in report.lines:
        key = f"{one.bill_no}/{one.line_id}"
        found[key if key in ours else f"{one.order_id or one.bill_no}/{one.line_id}"] = one
    assert len(found) == len(report.lines)
    assert found.keys() == ours.keys() | theirs.keys(), report.id
    for key, one in found.items():
        assert (one.ours, one.theirs) == (ours.get(key), theirs.get(key)), (report.id, key)
        if key not in theirs:
            outcome = "missingThere"
        elif key not in ours:
            outcome = "missingHere"
        else:
            outcome = "agreed" if -apart <= theirs[key] - ours[key] <= apart else "different"
        assert one.outcome == outcome, (report.id, key)


def _in_dispute(book: LedgerBook) -> dict[str, dict[str, int]]:
    """What is in dispute of each statement: what its last report left, without what was corrected since."""
    found: dict[str, dict[str, int]] = {}
    for fact in book.applied.values():
        if isinstance(fact, ReportToCompare):
            found[fact.settlement_id] = {
                f"{line.bill_no}/{line.line_id}": line.ours
                for line in book.rows[StatementReport][fact.id].lines
                if line.outcome in ("different", "missingThere") and line.ours is not None
            }
        if isinstance(fact, Adjustment) and fact.corrects is not None:
            for statement, lines in found.items():
                if book.get(Settlement, statement).settlement_account == fact.settlement_account:
                    lines.pop(f"{fact.corrects.bill_no}/{fact.corrects.line_id}", None)
    return found
