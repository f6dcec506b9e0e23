"""The life of an account: its states, what leads from one to another, and what each lets happen."""

from __future__ import annotations

from collections.abc import Iterator

from domain.accounts.closings import ClosingCycle, schedule
from domain.accounts.model import (
    BILLING,
    SETTLEMENT,
    Account,
    AccountResult,
    AccountStateChanged,
    AccountVersion,
    State,
    StateCommand,
    find_account,
)
from domain.accounts.references import TO_ACCOUNTS, assert_unreferenced, unlink
from domain.accounts.standing import standing
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.chart import BALANCES
from domain.ledger.positions import Position

TRANSITIONS: dict[str, dict[State, State]] = {
    "resume": {"defined": "active", "suspended": "active"},
    "suspend": {"active": "suspended"},
    "close": {"defined": "pendingClose", "active": "pendingClose", "suspended": "pendingClose"},
    "settled": {"pendingClose": "closed"},
    "reopen": {"pendingClose": "active", "closed": "active"},
    "delete": {
        "defined": "deleted",
        "active": "deleted",
        "suspended": "deleted",
        "pendingClose": "deleted",
        "closed": "deleted",
    },
}
"""The state machine: what each command makes of each state; from any other state it is refused. `settled` is no
command: it happens by itself, in the fact that settles the last cent, or at once when nothing is open."""

ALLOWED: dict[State, frozenset[str]] = {
    "defined": frozenset({"update", "payment"}),
    "active": frozenset({"update", "order", "accrual", "payment", "closing", "payout", "correction", "billing"}),
    "suspended": frozenset({"update", "accrual", "payment", "payout", "correction", "billing"}),
    "pendingClose": frozenset({"update", "payment", "closing", "payout", "correction", "billing"}),
    "closed": frozenset(),
    "deleted": frozenset(),
}
"""What may happen to an account in each state: an update of what clients say of it; an order billed to it, or made for
it; a line accrued to it; a payment; a settlement's closing; a payout; a correction of what was booked; a charge for it,
a subscription of it, or a bill. What does not fit waits while the account may become active (`WAITS`), and is refused
when it is on its way out."""

WAITS: frozenset[State] = frozenset({"defined", "suspended"})
"""The states in which what is not allowed waits until the account is active."""


def check_state(account: Account, happening: str, field: str) -> None:
    """Check that something may happen to an account now; `field` is the field of the message that names the account.

    Raises `MustWait` (`account-suspended`) or `Refused` (`account-closed`).
    """
    if happening in ALLOWED[account.state]:
        return
    if account.state in WAITS:
        raise MustWait(
            "account-suspended", f"{field}: account {account.id} is {account.state}", f"resumed:{account.id}"
        )
    reopen = "; reopen it, and replay this" if happening == "correction" and account.state == "closed" else ""
    raise Refused("account-closed", f"{field}: account {account.id} is {account.state}{reopen}")


def billing_account(
    account_id: str, currency: str | None, books: Books, happening: str, field: str = "billingAccount.id"
) -> Account:
    """The billing account of this id, if its state allows what is about to happen.

    Raises `MustWait` (`unknown-account`, `account-suspended`), `Refused` when it is of another type (`invalid`), keeps
    another currency than the fact's (`currency-mismatch`), or is closed (`account-closed`). `field` names where it was
    said.
    """
    return _of_type(BILLING, field, account_id, currency, books, happening)


def settlement_account(
    account_id: str, currency: str | None, books: Books, happening: str, field: str = "settlementAccount.id"
) -> Account:
    """The settlement account of this id; raises what `billing_account` raises. `field` names where it was said."""
    return _of_type(SETTLEMENT, field, account_id, currency, books, happening)


def _of_type(type_: str, field: str, account_id: str, currency: str | None, books: Books, happening: str) -> Account:
    account = find_account(account_id, books, field)
    if account.type != type_:
        raise Refused("invalid", f"{field}: {account_id} is a {account.type}, not a {type_}")
    if currency is not None and account.currency != currency:
        raise Refused("currency-mismatch", f"{field}: {account_id} is kept in {account.currency}, not in {currency}")
    if account.state != "active":
        check_state(account, happening, field)
    return account


# -- commands


def state_needs(command: StateCommand, _books: WorkingSet) -> Iterator[Need]:
    """What a command looks at first; what else depends on the account's money."""
    yield DocumentNeed(Account, command.account)
    yield DocumentNeed(Position, command.account)


def change_state(command: StateCommand, books: Books) -> AccountResult:
    """Carry out `account.suspend`, `.resume`, `.close`, `.reopen` or `.delete`; returns the account as it is then.

    A closing is complete at once when nothing is open; otherwise the account is `pendingClose` until it is.

    Raises `MustWait` (`unknown-account`), `Refused`: `revision-mismatch`, `account-closed` for what a closed account
    no longer does, `invalid` for a command that its state does not have, or for deleting what has been posted to or is
    referred to.
    """
    before = find_account(command.account, books, "id")
    if before.state == "deleted":
        raise Refused("account-closed", f"id: account {before.id} is deleted")
    check_revision(before, command.if_revision)
    state = TRANSITIONS[command.command].get(before.state)
    if state == "pendingClose" and _nothing_open(before, books):
        state = "closed"
    if state is None:
        code = "account-closed" if before.state == "closed" else "invalid"
        may = ", ".join(TRANSITIONS[command.command])
        raise Refused(code, f"id: account {before.id} is {before.state}; account.{command.command} is for: {may}")
    if command.command == "delete":
        _check_never_used(before, books)
    account = put_version(before, replace(before, state=state), ("state",), books, reason=command.reason)
    if command.command == "delete":
        unlink(before, books)
    _tell(account, before.state, command.reason, books)
    return AccountResult(account, standing(account, books))


def complete_closing(account: Account, books: Books) -> None:
    """Close an account that is `pendingClose` if nothing of it is open any more; each fact ends with it."""
    if account.state != "pendingClose":
        return
    books.post_entry()
    if _nothing_open(account, books):
        [state] = TRANSITIONS["settled"].values()
        closed = put_version(account, replace(account, state=state), ("state",), books, by_itself=True)
        _tell(closed, account.state, None, books)


def _nothing_open(account: Account, books: Books) -> bool:
    """Zero balances, no open invoice, no accrual that no statement holds, nothing carried forward."""
    position = books.position(account.id)
    if any(position.balance(name) for name in BALANCES) or books.counter(account.id, "withholding"):
        return False
    if position.carried_forward is not None and position.carried_forward.amount:
        return False
    # No receivable is no open invoice; a payable of zero may be the sum of accruals of opposite sign.
    return not books.is_kept_open(account.id, account.type)


def _check_never_used(account: Account, books: Books) -> None:
    if books.position(account.id).used:
        raise Refused("invalid", f"id: account {account.id} has been posted to: close it, what was booked is kept")
    assert_unreferenced(TO_ACCOUNTS, account.id, books)


def _tell(account: Account, old_state: State, reason: str | None, books: Books) -> None:
    books.emit(account.id, AccountStateChanged(account, standing(account, books), old_state, reason))
    if old_state in WAITS and account.state not in WAITS:
        books.announce(f"resumed:{account.id}")


# -- what all changes of an account share


def check_revision(account: Account, if_revision: int | None) -> None:
    """Raise `Refused` (`revision-mismatch`) when a message was made for another revision."""
    if if_revision not in (None, account.revision):
        raise Refused(
            "revision-mismatch",
            f"ifRevision: {if_revision}, but account {account.id} is at revision {account.revision}",
        )


def put_version(
    before: Account,
    account: Account,
    changed: tuple[str, ...],
    books: Books,
    *,
    reason: str | None = None,
    by_itself: bool = False,
) -> Account:
    """Put in an account's next version, with its history; returns it. `by_itself`: no `account.*` message said so."""
    account = replace(
        account,
        revision=before.revision + (not by_itself),
        version=before.version + 1,
        updated_at=books.booked_at,
    )
    books.put(account)
    if (cycle := _cycle(account)) != _cycle(before):
        schedule(account.id, cycle, books)
    books.append(AccountVersion(account, books.booked_at, books.cause, changed, before.state, reason))
    return account


def _cycle(account: Account) -> ClosingCycle | None:
    """The cycle in which an account is closed by itself as it is now, if any: nothing is closed of one that is gone."""
    return account.closing_cycle if "update" in ALLOWED[account.state] else None
