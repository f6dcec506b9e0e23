"""Bill runs: what comes in about them, how far one is, and what happens to it."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from domain.billing.model import NOTHING_YET, BillOnDemandState, Rest
from domain.frozen import dataclass

BillRunState = Literal["running", "completed"]


@dataclass(frozen=True, slots=True)
class BillRunToStart:
    """`bill-run.start`: each account of a billing cycle specification is billed up to a date."""

    id: str
    cycle_specification: str
    billing_date: dt.date


@dataclass(frozen=True, slots=True)
class RunsToOpen:
    """`bill-run.open`: the runs that begin by themselves on a date; of one cycle alone, the one that it has then.

    `part` counts what was opened before in facts of their own. `cycle_specification` is one whose run can't be opened
    with the others, as its id is another run's.
    """

    date: dt.date
    part: int = 0
    cycle_specification: str | None = None


@dataclass(frozen=True, slots=True)
class AccountToBill:
    """`bill.account`: a run comes to an account. A worker says so to itself.

    `made` is how many parts of its bill are made already, `after` what those have been through; `billed`: one of them
    has billed something.
    """

    run: str
    billing_account: str
    billing_date: dt.date
    made: int = 0
    after: Rest = NOTHING_YET
    billed: bool = False


@dataclass(frozen=True, slots=True)
class BillRunToComplete:
    """`bill-run.complete`: each account of a run has been come to, of which `parked` are held. A worker says so."""

    id: str
    parked: int


@dataclass(frozen=True, slots=True)
class RunTotal:
    """What the bills of a run come to in a currency (minor units)."""

    currency: str
    tax_excluded_amount: int
    tax_included_amount: int


@dataclass(frozen=True, slots=True)
class BillRun:
    """A run over the accounts of a billing cycle specification: each is billed what is due up to `billing_date`.

    Charges are billed up to `charges_through`, and what it bills is due on `payment_due_date`, where its cycle says so.
    `cursor` is the furthest account that it has come to, in the order of ids; `billed` and `nothing_due` count the
    accounts that it is done with. `cause` is the identity of the fact that started it.
    """

    id: str
    cycle_specification: str
    billing_date: dt.date
    charges_through: dt.date | None
    payment_due_date: dt.date | None
    state: BillRunState
    cause: str
    started_at: dt.datetime
    completed_at: dt.datetime | None = None
    cursor: str | None = None
    billed: int = 0
    nothing_due: int = 0
    totals: tuple[RunTotal, ...] = ()


@dataclass(frozen=True, slots=True)
class BillRunResult:
    """What is answered about a run: its state."""

    id: str
    state: BillRunState


@dataclass(frozen=True, slots=True)
class RunsOpened:
    """Which runs were opened."""

    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountBilled:
    """What came of a run's account: the numbers of the sellers' bills and of the credit notes beside them."""

    run: str
    billing_account: str
    state: BillOnDemandState
    bill_nos: tuple[str, ...] = ()
    credit_notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BillRunStarted:
    """A run was started."""

    run: BillRun


@dataclass(frozen=True, slots=True)
class BillRunCompleted:
    """A run has come to each of its accounts; so many of them are held."""

    run: BillRun
    parked: int
