"""What would come of held messages if they were tried now: decided on the books, and thrown away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from adapters.access import Access
from adapters.operations.parked import Letter, check_edited, check_replayed
from adapters.operations.replays import Came, EditOf, together
from adapters.records import Known, Properties
from adapters.settings import Settings
from adapters.store.rows import to_held, whole_body
from adapters.store.store import Store
from adapters.store.transaction import Transaction
from domain.errors import Refused
from domain.facts import working_set
from domain.ledger.books import Need
from handlers.engine.decision import decide, first_needs, further_lookups, lookups
from handlers.engine.group_commit import BatchPolicy
from handlers.engine.work import Outcome, WorkItem, speaker_of
from schemas.incoming import Incoming, read, was_not_read
from schemas.messages import HELD_MESSAGES
from schemas.operations.acts import Act

Row = dict[str, Any]

TOGETHER_MAX = 100
"""How many messages are tried in one transaction: what each would change, the next ones see, up to so many."""


async def try_out(
    store: Store,
    settings: Settings,
    ids: Sequence[str],
    now: datetime,
    edit: EditOf | None,
    tell: Callable[[int], None],
    access: Access | None = None,
) -> dict[str, Came]:
    """What would come of messages by their parked ids, tried as they are or edited; raises the driver's errors.

    `access` is what their senders may do.

    Nothing of it is written. `tell` is told how many were tried, as they are.
    """
    found: dict[str, Came] = {}
    for at in range(0, len(ids), TOGETHER_MAX):
        page = ids[at : at + TOGETHER_MAX]
        async with store.transaction() as transaction:  # which is never committed
            found |= await _tried(transaction, settings, page, now, edit, access)
        tell(len(page))
    return found


async def _tried(
    transaction: Transaction,
    settings: Settings,
    ids: Sequence[str],
    now: datetime,
    edit: EditOf | None,
    access: Access | None,
) -> dict[str, Came]:
    found: dict[str, Came] = {}
    works: dict[str, list[WorkItem]] = {}
    rows = transaction.database["held"].find({"parkedId": {"$in": list(ids)}}, session=transaction.session)
    held = {row["parkedId"]: row async for row in rows}
    for id_ in ids:
        row = held.get(id_)
        if row is None:
            found[id_] = Came("refused", "no message is held by this id")
            continue
        body = await whole_body(transaction.database, row, transaction.session)
        try:
            works[id_] = _works_of(row, body, now, edit, access)
        except Refused as refusal:
            found[id_] = Came("refused", f"{refusal.code}: {refusal.detail}")
    outcomes = await _decided(transaction, settings, now, [work for each in works.values() for work in each])
    for id_, each in works.items():
        follows = [(work.incoming.identity, 0) for work in each]
        came = together(follows, {identity: _came(outcomes[identity]) for identity, _ in follows})
        assert came is not None
        found[id_] = came
    return found


def _works_of(row: Row, body: bytes, now: datetime, edit: EditOf | None, access: Access | None) -> list[WorkItem]:
    letter = Letter.of(row, body)
    if edit is None:
        check_replayed(row)
    facts: Iterable[Incoming]
    if edit is not None:
        change = edit(letter)
        check_edited(row, change, now)
        letter = letter.edited(change)
        facts = letter.facts(row["parkedId"])
    elif was_not_read(row["_id"]):
        facts = letter.facts(row["parkedId"])
    else:
        facts = read(
            letter.routing_key,
            body,
            letter.message_id,
            letter.headers,
            letter.encoding,
            HELD_MESSAGES,
            accepted=True,
        )
    # As it would be claimed: its waiting time begins anew, and it is nobody's death.
    claimed = replace(to_held(row), body=body, waiting_since=now, deaths=0)
    # What an operator sends on is its sender's still.
    properties = replace(claimed.properties, headers=letter.headers)
    speaker = speaker_of(replace(claimed, routing_key=letter.routing_key, properties=properties), access)
    return [
        WorkItem(
            fact,
            replace(claimed.properties, message_id=fact.message_id),
            claimed.correlation_id,
            lambda _outcome: None,
            claimed=claimed if fact.identity == row["_id"] else None,
            speaker=speaker,
        )
        for fact in facts
    ]


async def _decided(
    transaction: Transaction, settings: Settings, now: datetime, works: list[WorkItem]
) -> dict[str, Outcome]:
    books = working_set(
        booked_at=now, zone=settings.zone, series=settings.series, credit_notes=settings.credit_note_series
    )
    policy = BatchPolicy(
        settings.series,
        settings.credit_note_series,
        settings.zone,
        timedelta(seconds=settings.waiting_seconds_max),
        timedelta(0),
        "",
        settings.retry_seconds_max,
        settings.defect_attempts_max,
        settings.defect_delay_seconds,
    )

    async def load(needs: Iterable[Need]) -> None:
        await transaction.load(needs, books)

    async def act(_act: Act, _sent: Properties) -> Mapping[str, object]:
        raise Refused("invalid", "what an operator does can't be tried out")

    known: dict[str, Known] = await transaction.look_up(lookups(works), first_needs(works, books), books)
    if further := further_lookups(works, known):
        known |= await transaction.look_up(further, (), books)
    outcomes: dict[str, Outcome] = {}
    while works:
        decisions = await decide(works, known, books, load, act, policy, quiet=True)
        done = len(decisions.outcomes)
        outcomes |= {
            work.incoming.identity: outcome for work, outcome in zip(works[:done], decisions.outcomes, strict=True)
        }
        works = works[done:]
    return outcomes


def _came(outcome: Outcome) -> Came:
    because = f"{outcome.code}: {outcome.detail}" if outcome.code else ""
    match outcome.kind:
        case "applied" | "duplicate":
            return Came("applied", "")
        case "waiting":
            return Came("waiting", because)
        case "parked":
            return Came("parked", because)
        case _:
            return Came("refused", "it was tried meanwhile: look at it again")
