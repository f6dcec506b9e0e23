"""Comparing: the partner's own figures of a statement beside ours, line by line; what differs is not payable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from domain.accounts.lifecycle import check_state
from domain.accounts.model import Account, find_account
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.invoicing.model import CorrectsLine
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.money import Money
from domain.settlement import position
from domain.settlement.requesting import carried_needs, free
from domain.settlement.statements import LineInDispute, Settlement, find_settlement

ComparisonOutcome = Literal["agreed", "different", "missingThere", "missingHere"]


@dataclass(frozen=True, slots=True)
class ReportedLine:
    """What the partner says of a line: that of an order, or that of a bill."""

    order_id: str | None
    bill_no: str | None
    line_id: str
    money: Money


@dataclass(frozen=True, slots=True)
class ReportToCompare:
    """`statement.report`: the partner's own figures of a statement. Without a tolerance they are to be the same."""

    id: str
    settlement_id: str
    lines: tuple[ReportedLine, ...]
    tolerance: Money | None = None


@dataclass(frozen=True, slots=True)
class ComparedLine:
    """A line by our figure and by the partner's (minor units); one of them is None where the line is missing.

    One of ours has its bill, and its order if it has one; one that is missing here has what the partner said.
    """

    order_id: str | None
    bill_no: str | None
    line_id: str
    outcome: ComparisonOutcome
    ours: int | None = None
    theirs: int | None = None

    @property
    def difference(self) -> int:
        """The partner's figure less ours, where one that is missing is nothing (minor units)."""
        return (self.theirs or 0) - (self.ours or 0)


@dataclass(frozen=True, slots=True)
class StatementReport:
    """A partner's report of a statement, and what comparing it came to: append-only.

    Ours come first, in the statement's order, then those that are missing here, in the report's.
    """

    id: str
    settlement_id: str
    settlement_account: str
    currency: str
    tolerance: int
    lines: tuple[ComparedLine, ...]
    booked_at: datetime

    def count(self, *outcomes: ComparisonOutcome) -> int:
        """How many lines came out so."""
        return sum(line.outcome in outcomes for line in self.lines)


@dataclass(frozen=True, slots=True)
class StatementCompared:
    """A partner's figures were compared with ours."""

    report: StatementReport


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """What a report is answered with: how many lines agree, differ, and are missing on either side."""

    agreed: int
    different: int
    missing: int


def comparison_needs(report: ReportToCompare, books: WorkingSet) -> Iterator[Need]:
    """What a comparison looks at, as far as that can be told from what is loaded so far."""
    # What was carried forward is held where it is now.
    yield from carried_needs(report.settlement_id, books)
    settlement = books.peek(Settlement, report.settlement_id)
    if settlement is not None:
        yield DocumentNeed(Account, settlement.settlement_account)
        yield DocumentNeed(Position, settlement.settlement_account)


def compare_report(reported: ReportToCompare, books: Books) -> ComparisonResult:
    """Compare a partner's figures with a statement's, line by line; returns how many agree, differ, and are missing.

    What differs of ours, or is missing there, is in dispute from then on, and nothing else: what an earlier report of
    the statement came to counts no more. Where it was carried forward, it is held by the statement that what it comes
    to is in by now. Nothing is posted.

    Raises `MustWait` (`unknown-settlement`, `account-suspended`) and `Refused`: `account-closed`, `currency-mismatch`,
    `invalid` for a line that is said by its order and by its bill.
    """
    settlement = find_settlement(reported.settlement_id, books)
    account = find_account(settlement.settlement_account, books)
    check_state(account, "correction", f"settlementId (of {settlement.id})")
    amounts = [(f"lines.{n}.amount", line.money) for n, line in enumerate(reported.lines)]
    if reported.tolerance is not None:
        amounts.append(("tolerance", reported.tolerance))
    for field, money in amounts:
        if money.currency != account.currency:
            detail = f"{field}: {account.id} is kept in {account.currency}, not in {money.currency}"
            raise Refused("currency-mismatch", detail)
    tolerance = 0 if reported.tolerance is None else reported.tolerance.amount
    lines = compare(settlement, reported.lines, tolerance)
    report = StatementReport(
        reported.id, settlement.id, account.id, account.currency, tolerance, lines, books.booked_at
    )
    books.append(report)
    position.emit(account.id, StatementCompared(report), books)
    free(settlement, replace(settlement, report=report.id, disputed=_in_dispute(lines) or None), books)
    missing = report.count("missingThere", "missingHere")
    return ComparisonResult(report.count("agreed"), report.count("different"), missing)


def compare(settlement: Settlement, reported: Iterable[ReportedLine], tolerance: int) -> tuple[ComparedLine, ...]:
    """The lines of a statement beside those that the partner reports, each once.

    A line that accrued in parts counts by their sum. Adjustments, what a closing has added, and what was brought
    forward are no lines of an order or a bill, and are not compared. `tolerance` is how far figures that agree may be
    apart (minor units). Raises `Refused` (`invalid`) for a line that is said by its order and by its bill.
    """
    ours: Counter[tuple[str, str]] = Counter()
    orders: dict[tuple[str, str], str | None] = {}
    by_order: dict[tuple[str | None, str], tuple[str, str]] = {}
    for row in settlement.lines:
        if row.bill_no is None or row.line_id is None or row.adjustment_id is not None or row.step is not None:
            continue
        key = row.bill_no, row.line_id
        ours[key] += row.amount
        orders[key] = row.order_id
        if row.order_id is not None:
            by_order[row.order_id, row.line_id] = key
    theirs: dict[tuple[str, str], int] = {}
    missing_here: list[ComparedLine] = []
    for n, line in enumerate(reported):
        found = by_order.get((line.order_id, line.line_id)) if line.bill_no is None else (line.bill_no, line.line_id)
        if found is None or found not in ours:
            outcome: ComparisonOutcome = "missingHere"
            amount = line.money.amount
            missing_here.append(ComparedLine(line.order_id, line.bill_no, line.line_id, outcome, None, amount))
        elif found in theirs:
            detail = f"lines.{n}: line {line.line_id} of {orders[found]} is that of bill {found[0]}, and said twice"
            raise Refused("invalid", detail)
        else:
            theirs[found] = line.money.amount
    compared = (
        ComparedLine(orders[key], *key, _outcome(amount, theirs.get(key), tolerance), amount, theirs.get(key))
        for key, amount in ours.items()
    )
    return (*compared, *missing_here)


def end_dispute(partner: str, corrected: CorrectsLine, books: Books) -> None:
    """End what is in dispute of a line, which an adjustment corrects, on every statement of the partner."""
    for found in books.queue(Settlement, partner):
        settlement = books.current(found)  # what was carried to it may be freed already
        left = tuple(
            line
            for line in settlement.disputed or ()
            if (line.bill_no, line.line_id) != (corrected.bill_no, corrected.line_id)
        )
        if left != settlement.disputed:
            free(settlement, replace(settlement, disputed=left or None), books)


def _outcome(ours: int, theirs: int | None, tolerance: int) -> ComparisonOutcome:
    if theirs is None:
        return "missingThere"
    return "agreed" if abs(theirs - ours) <= tolerance else "different"


def _in_dispute(lines: Iterable[ComparedLine]) -> tuple[LineInDispute, ...]:
    """Those of ours that do not agree, all of each."""
    return tuple(
        LineInDispute(line.bill_no, line.line_id, line.ours)
        for line in lines
        if line.bill_no is not None and line.ours is not None and line.outcome != "agreed"
    )
