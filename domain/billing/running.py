"""Running: each account of a billing cycle is billed by a fact of its own; how far a run is stands in its document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time

from domain.accounts.cycles import Cycle, is_automatic, read_cycle
from domain.accounts.lifecycle import ALLOWED
from domain.accounts.model import BILLING, Account, Reference, find_account
from domain.accounts.specifications import AUTOMATIC, BillingCycleSpecification
from domain.billing.demanding import MadeBill, ToBill, bill_needs, make_bill
from domain.billing.runs import (
    AccountBilled,
    AccountToBill,
    BillRun,
    BillRunCompleted,
    BillRunResult,
    BillRunStarted,
    BillRunToComplete,
    BillRunToStart,
    RunsOpened,
    RunsToOpen,
    RunTotal,
)
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.invoicing.model import Invoice
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.periods import Periods

OPENED_MAX = 100
"""How many runs one fact opens; those beyond are opened by a further one."""


# -- a run begins


def start_time(start: BillRunToStart) -> tuple[str, datetime]:
    """Its billing date: one far ahead would bill what is not due for long."""
    return "billingDate", datetime.combine(start.billing_date, time(), UTC)


def start_needs(start: BillRunToStart, _books: WorkingSet) -> Iterator[Need]:
    """What starting a run looks at: also the cycle that may come to have a run of this id by itself."""
    yield DocumentNeed(BillRun, start.id)
    yield DocumentNeed(BillingCycleSpecification, start.cycle_specification)
    kept_for = _kept_for(start.id)
    if kept_for is not None:
        yield DocumentNeed(BillingCycleSpecification, kept_for[0])


def start_run(start: BillRunToStart, books: Books) -> BillRunResult:
    """Start a run over the accounts of a cycle; returns its state. One that has begun by itself is the same run.

    Raises `MustWait` (`unknown-specification`), `Refused`: `conflicting-duplicate` when another run has this id, or an
    automatic cycle is to have one of it, `invalid` for a cycle that is deleted, or automatic and does not say what it
    needs to.
    """
    run = books.find(BillRun, start.id)
    specification = books.find(BillingCycleSpecification, start.cycle_specification)
    if run is not None:
        if (run.cycle_specification, run.billing_date) != (start.cycle_specification, start.billing_date):
            raise Refused("conflicting-duplicate", f"billRunId: there is a run {run.id} already, {_said(run)}")
        return BillRunResult(run.id, run.state)
    kept_for = _kept_for(start.id)
    if kept_for not in (None, (start.cycle_specification, start.billing_date)):
        _check_not_kept(start.id, *kept_for, books)
    if specification is None:
        resource, id_ = BillingCycleSpecification.RESOURCE, start.cycle_specification
        raise MustWait(
            "unknown-specification",
            f"cycleSpecification.id: no {resource} {id_}",
            f"{BillingCycleSpecification.RESOURCE}:{id_}",
        )
    if specification.state == "deleted":
        raise Refused("invalid", f"cycleSpecification.id: {specification.RESOURCE} {specification.id} is deleted")
    document = specification.document
    cycle = read_cycle(specification.id, document) if is_automatic(document) else None
    made = _open(start.id, specification.id, start.billing_date, cycle, books)
    return BillRunResult(made.id, made.state)


def _kept_for(run_id: str) -> tuple[str, date] | None:
    """Of which cycle a run of this id would be that has begun by itself, and up to which date; None for another id."""
    cycle, _, said = run_id.rpartition(":")
    try:
        day = date.fromisoformat(said)
    except ValueError:
        return None
    return (cycle, day) if cycle and str(day) == said else None


def _check_not_kept(run_id: str, cycle: str, day: date, books: Books) -> None:
    """Check that the cycle does not run by itself: its own run would not be opened."""
    found = books.find(BillingCycleSpecification, cycle)
    if found is not None and found.state == "active" and is_automatic(found.document):
        detail = f"{run_id} is kept for the run that cycle {cycle} has by itself, up to {day}: take another id"
        raise Refused("conflicting-duplicate", f"billRunId: {detail}")


def _said(run: BillRun) -> str:
    return f"of cycle {run.cycle_specification}, up to {run.billing_date}"


def _open(id_: str, specification: str, billing_date: date, cycle: Cycle | None, books: Books) -> BillRun:
    """Put in a run that begins now."""
    through = due = None
    if cycle is not None:
        through = _moved(billing_date, cycle.charges)
        due = None if cycle.due is None else _moved(billing_date, cycle.due)
    run = BillRun(id_, specification, billing_date, through, due, "running", books.cause, books.booked_at)
    books.put(run)
    books.tell(f"bill-run/{id_}:1", BillRunStarted(run))
    return run


def _moved(day: date, days: int) -> date:
    """A day so many days before or after another one, within the calendar."""
    return date.fromordinal(max(1, min(day.toordinal() + days, date.max.toordinal())))


def opening_needs(_fact: RunsToOpen, books: WorkingSet) -> Iterator[Need]:
    """What a day's runs look at: the cycles that run by themselves, and whether a run is there already."""
    yield QueueNeed(BillingCycleSpecification, AUTOMATIC, None)
    for specification in books.known(BillingCycleSpecification, AUTOMATIC):
        for day in _due(specification, _fact.date, books):
            yield DocumentNeed(BillRun, f"{specification.id}:{day}")


def open_runs(fact: RunsToOpen, books: Books) -> RunsOpened:
    """Open the runs that are due on a day, once; returns their ids. The rest is left to a further fact.

    What an earlier version took in, and says no cycle, has none. A cycle whose run has the id of another run keeps no
    other cycle from its own: it is left to a fact of its own, which raises `Refused` (`conflicting-duplicate`), so that
    it is parked.
    """
    due = [
        (f"{specification.id}:{day}", specification.id, day, cycle)
        for specification in books.queue(BillingCycleSpecification, AUTOMATIC)
        for day, cycle in _due(specification, fact.date, books).items()
    ]
    books.require(DocumentNeed(BillRun, id_) for id_, *_ in due)
    if fact.cycle_specification is not None:
        due = [one for one in due if one[1] == fact.cycle_specification]
    for id_, specification, day, _ in due:
        run = books.find(BillRun, id_)
        if run is None or (run.cycle_specification, run.billing_date) == (specification, day):
            continue
        if fact.cycle_specification is not None:
            own = f"start that of cycle {specification}, up to {day}, by hand under another id"
            raise Refused("conflicting-duplicate", f"billRunId: there is a run {id_} already, {_said(run)}: {own}")
        if not fact.part:
            books.continue_with(RunsToOpen(fact.date, cycle_specification=specification))
    new = [one for one in due if books.find(BillRun, one[0]) is None]
    for id_, specification, day, cycle in new[:OPENED_MAX]:
        _open(id_, specification, day, cycle, books)
    if len(new) > OPENED_MAX:
        books.continue_with(RunsToOpen(fact.date, fact.part + 1))
    return RunsOpened(tuple(id_ for id_, *_ in new[:OPENED_MAX]))


def _due(specification: BillingCycleSpecification, on: date, books: Books | WorkingSet) -> dict[date, Cycle]:
    """The billing date of the run that a cycle has opened on a day, if it has one."""
    try:
        cycle = read_cycle(specification.id, specification.document)
    except Refused:
        return {}
    day = _moved(on, -cycle.opened)
    first = books.date_of(cycle.since)
    if day < first or (cycle.until is not None and books.start_of(day) >= cycle.until):
        return {}
    period = Periods(first, cycle.unit, cycle.length).containing(day)
    return {day: cycle} if period is not None and period.start == day else {}


# -- it comes to its accounts


def account_needs(fact: AccountToBill, books: WorkingSet) -> list[Need]:
    """What a run's account looks at: the run, and what its bill does."""
    run = books.peek(BillRun, fact.run)
    through = None if run is None else run.charges_through
    return [DocumentNeed(BillRun, fact.run), *bill_needs(fact.billing_account, fact.billing_date, books, through)]


def bill_account(fact: AccountToBill, books: Books) -> AccountBilled:
    """Bill what is due of an account, and of those that it pays for, and count it in its run; returns the numbers.

    Nothing is due of one that is not of the run's cycle any more, is not to be billed, or is paid for by another. What
    is more than one bill holds goes on in another transaction. Raises what `make_bill` raises.
    """
    run = books.find(BillRun, fact.run)
    assert run is not None, f"{books.cause} is of no run"
    account = find_account(fact.billing_account, books)
    bill = MadeBill((), (), None)
    if _is_billed(account, run):
        part = f"{run.id}:{account.id}" if not fact.made else f"{run.id}:{account.id}/{fact.made}"
        to = ToBill(
            f"bill.account:{part}", "onCycle", run.billing_date, run.charges_through, run.payment_due_date, run.id
        )
        bill = make_bill(account, to, fact.after, books)
    billed = fact.billed or bool(bill.invoices or bill.credit_notes)
    if bill.rest is not None:
        books.continue_with(
            AccountToBill(fact.run, fact.billing_account, fact.billing_date, fact.made + 1, bill.rest, billed)
        )
    done = bill.rest is None
    books.put(
        replace(
            run,
            cursor=max(run.cursor or "", fact.billing_account),
            billed=run.billed + (done and billed),
            nothing_due=run.nothing_due + (done and not billed),
            totals=_with(run.totals, bill.invoices),
        )
    )
    numbers = tuple(invoice.id for invoice in bill.invoices)
    return AccountBilled(run.id, fact.billing_account, "done" if done else "inProgress", numbers, bill.credit_notes)


def _is_billed(account: Account, run: BillRun) -> bool:
    return (
        account.type == BILLING
        and "billing" in ALLOWED[account.state]
        and Reference("cycleSpecification", run.cycle_specification) in account.references
    )


def _with(totals: tuple[RunTotal, ...], invoices: tuple[Invoice, ...]) -> tuple[RunTotal, ...]:
    """Totals with invoices' amounts, in the order of their currencies."""
    known = {total.currency: total for total in totals}
    for invoice in invoices:
        total = known.get(invoice.currency, RunTotal(invoice.currency, 0, 0))
        known[invoice.currency] = RunTotal(
            invoice.currency,
            total.tax_excluded_amount + invoice.tax_excluded_amount,
            total.tax_included_amount + invoice.tax_included_amount,
        )
    return tuple(known[currency] for currency in sorted(known))


# -- it is over


def completion_needs(fact: BillRunToComplete, _books: WorkingSet) -> Iterator[Need]:
    """What completing a run looks at."""
    yield DocumentNeed(BillRun, fact.id)


def complete_run(fact: BillRunToComplete, books: Books) -> BillRunResult:
    """Complete a run, once; returns its state."""
    run = books.find(BillRun, fact.id)
    assert run is not None, f"{books.cause} is of no run"
    if run.state == "running":
        run = replace(run, state="completed", completed_at=books.booked_at)
        books.put(run)
        books.tell(f"bill-run/{run.id}:2", BillRunCompleted(run, fact.parked))
    return BillRunResult(run.id, run.state)
