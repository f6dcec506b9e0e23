"""Looking: an account is held against what it owes on the newest day, and its dunning is brought in line with that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from domain.accounts.model import Account, find_account
from domain.billing.charging import add_charge
from domain.billing.model import ChargeToAdd
from domain.days.model import CALENDAR, Calendar, newest_day
from domain.dunning.model import (
    DUNNED,
    AccountToDun,
    DunnedDays,
    Dunning,
    DunningCleared,
    DunningResult,
    DunningStep,
    DunningStepTaken,
    PaymentToPromise,
    Suspension,
    TakenStep,
)
from domain.dunning.procedures import (
    Procedure,
    level_by,
    overdue,
    overdue_since,
    procedure_needs,
    procedure_of,
    standing,
)
from domain.dunning.suspending import SUBSCRIPTIONS_MAX, resume, suspend
from domain.frozen import replace
from domain.invoicing.model import Invoice, InvoiceOverdue
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet
from domain.ledger.positions import Position
from domain.money import line_net, within_limit
from domain.payments.requesting import payment_method, request_payment

DAY = dt.timedelta(days=1)
INVOICES_MAX = 100
"""Of how many invoices one transaction tells that they are due, or overdue; the rest goes on in another one."""


def dunning_needs(fact: AccountToDun | PaymentToPromise, books: WorkingSet) -> Iterator[Need]:
    """What it takes to tell how far an account should be, and how far it is, as far as what is loaded so far tells."""
    yield DocumentNeed(Account, fact.billing_account)
    yield DocumentNeed(Position, fact.billing_account)
    yield DocumentNeed(Calendar, CALENDAR)
    yield DocumentNeed(DunnedDays, DUNNED)
    yield DocumentNeed(Dunning, fact.billing_account)
    yield QueueNeed(Invoice, fact.billing_account)
    dunning = books.peek(Dunning, fact.billing_account)
    if dunning is not None and dunning.steps:
        yield QueueNeed(Suspension, fact.billing_account, SUBSCRIPTIONS_MAX)
    yield from procedure_needs(fact.billing_account, books)


def look_at_account(look: AccountToDun, books: Books) -> DunningResult:
    """Bring an account's dunning in line with what it owes on the newest day; returns its level.

    A look on a day asks once for what is due of each invoice, and tells once that it is overdue; only when that is done
    of all, which may take several parts, it takes one step at most. One on a day after which another has come does
    nothing: that day's does. Its rest still holds what stands against what is owed: by then the account may owe
    nothing, and then no day looks at it.
    """
    account = find_account(look.billing_account, books)
    dunning = books.find(Dunning, account.id) or Dunning(account.id)
    on = newest_day(books)
    is_the_day_s = look.date == on
    if not is_the_day_s and look.date is not None and look.sequence is None:
        return DunningResult(dunning.level)
    if is_the_day_s and not request_and_tell(account, on, books):
        # What is overdue beside the requests that are still to be made is not known before.
        leave_look(account.id, on, books)
        return DunningResult(dunning.level)
    dunning, done = bring_in_line(account, dunning, on, books, rises=is_the_day_s)
    if not done:
        leave_look(account.id, None, books)
    return DunningResult(dunning.level)


def leave_look(account_id: str, day: dt.date | None, books: Books) -> None:
    """Leave another look to do, told apart from all that were left before.

    What leaves one has told something of the account, or is a part that has only changed what others' subscriptions
    are: that is a revision of its dunning. Both only grow, so their sum is new when one of them is.
    """
    dunning = books.find(Dunning, account_id)
    number = books.sequence(account_id) + (0 if dunning is None else dunning.revision)
    books.continue_with(AccountToDun(account_id, day, number))


def leave_review(account_id: str, books: Books) -> None:
    """Leave it to a transaction of its own to hold an account's dunning against what this fact has left it owing.

    Only where steps stand against it, and this fact may have changed how many should: the account or its invoices. A
    look that leaves its rest to do has left it to that.
    """
    left = any(isinstance(rest, AccountToDun) and rest.billing_account == account_id for rest, _ in books.continued)
    if left or account_id in books.changed[Dunning]:
        return
    changed = books.changed[Account].get(account_id) is not None or any(
        isinstance(invoice, Invoice) and invoice.billing_account == account_id
        for invoice in books.changed[Invoice].values()
    )
    if changed:
        leave_look(account_id, None, books)


def bring_in_line(account: Account, before: Dunning, on: dt.date, books: Books, *, rises: bool) -> tuple[Dunning, bool]:
    """Bring an account's dunning in line with what it owes on a day; returns it, and whether nothing is left to do.

    What stands and should not is cleared; else, if it `rises`, it comes one step further, if that is the first on that
    day. While the account's credit is still being allocated, no step is taken.
    """
    procedure = procedure_of(account, books)
    target = level_by(procedure, before.promise, account, on, books)
    kept = min(target, standing(before.steps, procedure))
    dunning = _as_said_now(before, procedure, kept)
    if kept < before.level:
        dunning = replace(dunning, steps=dunning.steps[:kept])
        left = overdue(account.id, on, books)
        books.emit(account.id, DunningCleared(account.id, on, kept, before.level, left, account.currency))
    elif (
        rises
        and procedure is not None
        and target > kept
        and (before.stepped_on is None or before.stepped_on < on)
        and not books.position(account.id).allocating
    ):
        dunning = _take_step(account, dunning, procedure, on, books)
    dunning, worked, done = _go_on(account, dunning, on, books)
    if worked or dunning != before:
        books.put(replace(dunning, revision=before.revision + 1))
        position = books.position(account.id)
        if position.dunned != (dunning.level or None):
            books.put(replace(position, dunned=dunning.level or None))
    return dunning, done


def _as_said_now(dunning: Dunning, procedure: Procedure | None, kept: int) -> Dunning:
    """The steps that go on standing come as many days after the due date as the procedure says now."""
    steps = () if procedure is None else procedure.steps
    said = [replace(taken, after=step.after) for taken, step in zip(dunning.steps[:kept], steps, strict=False)]
    return replace(dunning, steps=(*said, *dunning.steps[kept:]))


def _take_step(account: Account, dunning: Dunning, procedure: Procedure, on: dt.date, books: Books) -> Dunning:
    step = procedure.steps[dunning.level]
    since = overdue_since(account.id, on, books)
    assert since is not None, f"a step is taken against {account.id}, of which nothing is overdue"
    charge_id = None if step.item is None else f"dunning~{account.id}~{on}"
    taken = DunningStep(
        id=f"{account.id}/{on}",
        billing_account=account.id,
        on=on,
        level=dunning.level + 1,
        after=step.after,
        action=step.action,
        procedure=procedure.id,
        oldest_due_date=since,
        overdue=overdue(account.id, on, books),
        currency=account.currency,
        charge_id=charge_id,
        cause=books.cause,
        booked_at=books.booked_at,
    )
    books.append(taken)
    books.emit(account.id, DunningStepTaken(taken))
    if step.item is not None and charge_id is not None:
        currency = account.kept_in
        net = within_limit(line_net(step.item.quantity, step.item.unit_price, currency), currency, "item: the net")
        add_charge(ChargeToAdd(charge_id, account.id, on, currency, step.item, net), books)
    standing_step = TakenStep(on, step.after, step.action, charge_id, True if step.action == "suspend" else None)
    return replace(dunning, steps=(*dunning.steps, standing_step), stepped_on=on)


def _go_on(account: Account, dunning: Dunning, on: dt.date, books: Books) -> tuple[Dunning, bool, bool]:
    """Resume and suspend what steps leave to; returns the dunning, whether anything was done, and whether that is all.

    As many as one transaction takes.
    """
    if not dunning.revision and not dunning.steps:
        return dunning, False, True
    ended, done = resume(dunning, on, books)
    steps = list(dunning.steps)
    worked = ended > 0
    for n, step in enumerate(steps):
        if step.suspending and done and not ended:
            worked = True
            done = suspend(account, step.on, on, books)
            if done:
                steps[n] = replace(step, suspending=None)
        elif step.suspending:
            done = False
    return replace(dunning, steps=tuple(steps)), worked, done


def request_and_tell(account: Account, on: dt.date, books: Books) -> bool:
    """Ask for what is due on a day, if it is to be collected, and tell what is overdue: of each invoice once.

    Not of what was due before the first day on which all were looked at.

    Returns whether that is all that there was to do.
    """
    oldest = books.position(account.id).oldest_due
    if oldest is None or oldest > on:
        return True
    days = books.find(DunnedDays, DUNNED)
    first = on if days is None else days.first
    method = payment_method(account)
    done = 0
    for invoice in list(books.open_now(Invoice, account.id)):
        if invoice.payment_due_date > on:
            break
        asks = method is not None and first <= invoice.payment_due_date and invoice.handled.request is None
        tells = first <= invoice.payment_due_date + DAY <= on and invoice.handled.overdue_on is None
        if not invoice.undisputed or not (asks or tells):
            continue
        if done == INVOICES_MAX:
            return False
        done += 1
        if asks and method is not None:
            request_payment(invoice, method, on, books)
        if tells:
            invoice = books.current(invoice)
            invoice = replace(invoice, handling=replace(invoice.handled, overdue_on=on))
            books.put(invoice)
            books.emit(account.id, InvoiceOverdue(invoice))
    return True
