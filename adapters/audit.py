"""`paymaster audit`: proves in the database that the books hold.

The nine invariants of the design, and the module in which their checks stand; each check names its own.

1. each entry's postings sum to zero, and so does the whole journal: `ledger`;
2. each position's balances are the sums of its postings: `ledger`, and its oldest due date is that of the open
   invoices: `accounts`;
3. an invoice's total is its lines plus tax and what was posted, and what remains is what was neither credited nor
   allocated: `invoicing`, `corrections` for what was credited, and `store` for what was posted; a bill's lines are what
   was charged, and what subscriptions come to: `billing`; an invoice, and its notes, are in the name of the seller of
   all its lines: `invoicing`, `corrections`;
4. allocations stay within the invoice (`invoicing`) and the payment, credit is what is left, never beside an open
   invoice, and covers what is due first: `payments`;
5. payable is accruals less payouts, an accrual is stated once, statements add up: `settlement`, and `invoicing` and
   `corrections` for what an invoice's lines accrue, and our commission on those that we sell as agents;
6. a fact has one state, and inbox, entry and documents agree on it: `store`; an account, or a specification, is what
   its history says, which is what facts made of it, and an account's state fits its money: `accounts`; likewise the
   seller: `parties`; the days begun run without a gap: `days`;
7. event sequences have no gap, events are sent or young: `operations`; `accounts` for those of specifications, and
   `parties` for the seller's;
8. the numbers of each series have no gap and no twin, and are given in the name of its owner: `invoicing`;
9. nothing points to what is not there: beside the documents that point, in every module; and accounts to accounts in
   a way that makes sense, without cycles and one payer at a time: `accounts`.

`adapters.checks` says what a check is; all run on one snapshot of the database, in which each view is read once. Most
run in the server; what it can't work out is read and looked at here.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import Decimal128
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import OperationFailure

import adapters.accounts.audit as accounts
import adapters.billing.audit as billing
import adapters.corrections.audit as corrections
import adapters.days.audit as days
import adapters.dunning.audit as dunning
import adapters.invoicing.audit as invoicing
import adapters.ledger.audit as ledger
import adapters.operations.audit as operations
import adapters.parties.audit as parties
import adapters.payments.audit as payments
import adapters.settlement.audit as settlement
import adapters.settlement.terms_audit as terms
import adapters.settlement.tiers_audit as tiers
import adapters.store.audit as store
from adapters.checks import Check, Offender, Reading, Stage

CHECKS: tuple[Check | Reading, ...] = tuple(
    sorted(
        (
            *ledger.CHECKS,
            *invoicing.CHECKS,
            *payments.CHECKS,
            *settlement.CHECKS,
            *terms.CHECKS,
            *tiers.CHECKS,
            *corrections.CHECKS,
            *days.CHECKS,
            *billing.CHECKS,
            *dunning.CHECKS,
            *store.CHECKS,
            *accounts.CHECKS,
            *parties.CHECKS,
            *operations.CHECKS,
        ),
        key=lambda check: check.invariant,
    )
)
"""All checks, in the order of the nine invariants."""

OFFENDERS_MAX = 20
ATTEMPTS_MAX = 5
PAUSE_SECONDS = 0.5

SNAPSHOT_TOO_OLD = 239
SNAPSHOT_UNAVAILABLE = 246

Document = dict[str, Any]


class AuditIncomplete(Exception):
    """The audit could not be finished, so it says neither that the books are right nor that they are wrong."""


def audit(
    database: Database[Document],
    *,
    now: datetime,
    relay_interval_seconds: float,
    relay_grace_seconds: float = 30.0,
    outbox_pruned: bool = False,
) -> Document:
    """Prove the nine invariants of the books, beside a live worker or without one.

    In: the database; `now`, taken before the call; how often the relay looks for what is left unsent, and how much
    longer an event may take to be sent; whether sent rows are ever pruned from the outbox.

    Out: `{"ok": bool, "checks": [{"name", "invariant", "ok", "checked", "broken", "brokenTotal"}]}`, plain JSON, where
    `broken` shows at most 20 offenders as `{"id", "expected", "found"}` and `brokenTotal` counts all of them.

    Raises `AuditIncomplete` when the server could not keep one point in time until the end.
    """
    variables = {
        "unsentSince": now - timedelta(seconds=relay_interval_seconds + relay_grace_seconds),
        "pruned": outbox_pruned,
    }
    for _ in range(ATTEMPTS_MAX):
        started = time.monotonic()
        try:
            return report(read_views(database, variables))
        except OperationFailure as failure:
            if failure.code == SNAPSHOT_TOO_OLD:
                seconds = round(time.monotonic() - started)
                raise AuditIncomplete(
                    f"the server gave up the audit's point in time after {seconds} s: raise its parameter "
                    "minSnapshotHistoryWindowInSeconds (300 unless set) above the time that an audit takes"
                ) from failure
            if failure.code != SNAPSHOT_UNAVAILABLE:
                raise
            # A collection or an index came into being as the snapshot was taken; a moment later there is a newer one.
            time.sleep(PAUSE_SECONDS)
    raise AuditIncomplete("the server has no point in time to read at, its collections or indexes keep changing")


def read_views(database: Database[Document], variables: Document) -> dict[str, Document]:
    """What each check found, by the check's name; every view is read once, and all of them at one point in time."""
    views: dict[str, list[Check]] = {}
    readings = [check for check in CHECKS if isinstance(check, Reading)]
    for check in CHECKS:
        if isinstance(check, Check):
            views.setdefault(check.view.name, []).append(check)
    found: dict[str, Document] = {}
    with database.client.start_session(snapshot=True) as session:
        for checks in views.values():
            found |= read_view(checks, database, session, variables)
        for reading in readings:
            found |= read_here(reading, database, session)
    return found


def read_view(
    checks: Sequence[Check], database: Database[Document], session: ClientSession, variables: Document
) -> dict[str, Document]:
    """What the checks of one view found, by name."""
    view = checks[0].view
    pipeline = [*view.steps, *verdicts(checks)]
    rows = database[view.collection].aggregate(pipeline, session=session, let=variables, allowDiskUse=True)
    verdict = next(rows, {})
    return {
        check.name: {
            "checked": verdict.get(f"checked{n}", 0),
            "broken": plain(verdict.get(f"broken{n}", [])),
            "brokenTotal": verdict.get(f"total{n}", 0),
        }
        for n, check in enumerate(checks)
    }


def read_here(reading: Reading, database: Database[Document], session: ClientSession) -> dict[str, Document]:
    """What a check found that is made here, by its name."""
    return {reading.name: looked_at(reading.look(database, session))}


def plain(value: Any) -> Any:
    """What a check shows, as JSON has it: decimals as texts, like all others that are kept; times as ISO 8601."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, Decimal128):
        return f"{value.to_decimal():f}"
    return value.isoformat() if isinstance(value, datetime) else value


def looked_at(verdicts: Iterable[Offender | None]) -> Document:
    """What was found by a check that is made here."""
    checked = total = 0
    broken: list[Offender] = []
    for verdict in verdicts:
        checked += 1
        if verdict is not None:
            total += 1
            broken += [verdict][: OFFENDERS_MAX - len(broken)]
    return {"checked": checked, "broken": broken, "brokenTotal": total}


def report(found: dict[str, Document]) -> Document:
    """The report in the contract's form, its checks in the order of the invariants."""
    checks = [
        {"name": check.name, "invariant": check.invariant, "ok": not found[check.name]["brokenTotal"]}
        | found[check.name]
        for check in CHECKS
    ]
    return {"ok": all(check["ok"] for check in checks), "checks": checks}


def verdicts(checks: Sequence[Check]) -> list[Stage]:
    """The stages that turn a view's rows into one document: for each check how many rows, how many broken, and which.

    `$minN` passes over null, so it keeps the first twenty broken rows by id and never more than those in memory.
    """
    fields: Document = {}
    sums: Document = {"_id": None}
    for n, check in enumerate(checks):
        offender = {"id": "$_id", "expected": check.expected, "found": check.found}
        broken = {"$and": [check.among, {"$not": [check.holds]}]}
        fields[f"checked{n}"] = {"$cond": [check.among, 1, 0]}
        fields[f"broken{n}"] = {"$cond": [broken, offender, None]}
        sums[f"checked{n}"] = {"$sum": f"$checked{n}"}
        sums[f"total{n}"] = {"$sum": {"$cond": [f"$broken{n}", 1, 0]}}
        sums[f"broken{n}"] = {"$minN": {"n": OFFENDERS_MAX, "input": f"$broken{n}"}}
    return [{"$project": {"_id": 0, **fields}}, {"$group": sums}]
