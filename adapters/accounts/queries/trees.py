"""Hierarchies: an account and all accounts below it, by the `contains` relationships that hold now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapters.accounts.codecs import decode_account
from adapters.accounts.queries.standings import BALANCES, standings
from adapters.mongodb.view import BY_ID, Json, Row, View
from domain.accounts.model import FINANCIAL, Account, Standing
from domain.accounts.references import CONTAINS
from domain.errors import Refused
from domain.money import Currency, within_limit
from schemas.accounts.queries import BALANCES as TOLD
from schemas.accounts.queries import AccountBalance, AccountTree, standing_json
from schemas.values import money_json

SUMMED_MAX = 10_000
"""How many accounts `account.balance` sums up at most."""
SHOWN_MAX = 1_000
"""How many accounts `account.tree` shows at most."""
LEVELS_MAX = 32
"""How many levels a hierarchy may have here; the domain lets it have fewer."""


@dataclass(slots=True)
class _Node:
    row: Row
    children: list[_Node] = field(default_factory=list)


async def balance(query: AccountBalance, view: View) -> Json:
    """`account.balance`."""
    nodes = await _descend(_Node(await view.account(query.id)), SUMMED_MAX, view)
    found = await _standings(view, [node.row for node in nodes])
    account, standing = found[0]
    return {
        "id": account.id,
        "@type": account.type,
        "currency": account.currency,
        **standing_json(standing, account.kept_in),
        "tree": {"accounts": len(nodes), "balances": await _totals(view, found)},
    }


async def tree(query: AccountTree, view: View) -> Json:
    """`account.tree`."""
    root = _Node(await view.account(query.id))
    nodes = await _descend(root, SHOWN_MAX, view)
    found = await _standings(view, [node.row for node in nodes])
    shown = _shown(root, {account.id: (account, standing) for account, standing in found})
    return {"account": shown, "total": await _totals(view, found)}


async def _standings(view: View, rows: list[Row]) -> list[tuple[Account, Standing]]:
    return [(decode_account(row), standing) for row, standing in zip(rows, await standings(view, rows), strict=True)]


def _shown(node: _Node, found: dict[str, tuple[Account, Standing]]) -> Json:
    account, standing = found[node.row["_id"]]
    return {
        "id": account.id,
        "@type": account.type,
        "name": account.document.get("name"),
        "state": account.state,
        "currency": account.currency,
        **standing_json(standing, account.kept_in),
        "children": [_shown(child, found) for child in node.children],
    }


async def _descend(root: _Node, most: int, view: View) -> list[_Node]:
    """An account and all below it, each once, level by level; raises `Refused` (`invalid`) when they are too many."""
    id_ = root.row["_id"]
    nodes = {id_: root}
    level = [root]
    for _ in range(LEVELS_MAX):
        parents = {child: node for node in level for child in _children(node.row, view.now) if child not in nodes}
        if view.party is not None:
            shown = await view.shown(parents)
            parents = {child: node for child, node in parents.items() if child in shown}
        if not parents:
            return list(nodes.values())
        if len(nodes) + len(parents) > most:
            raise Refused("invalid", f"id: {id_} and what is below it are more than {most} accounts")
        which = {"_id": {"$in": sorted(parents)}, "state": {"$ne": "deleted"}}
        rows = await view.find("accounts", which, index=BY_ID)
        level = [_Node(row) for row in sorted(rows, key=lambda row: str(row["_id"]))]
        for node in level:
            nodes[node.row["_id"]] = node
            parents[node.row["_id"]].children.append(node)
    raise Refused("invalid", f"id: what is below {id_} has more than {LEVELS_MAX} levels")


def _children(row: Row, now: datetime) -> Iterator[str]:
    account: Account = decode_account(row)
    for relationship in account.relationships:
        if relationship.type == CONTAINS and relationship.holds_at(now):
            yield relationship.account


async def _totals(view: View, found: Sequence[tuple[Account, Standing]]) -> list[Json]:
    """The sums of balances by currency, each account's own counted once.

    A financial account sums up others, which may stand in the tree as well: those count that don't.
    """
    there = {account.id for account, _ in found}
    named = [account.id for account, _ in found if account.type == FINANCIAL]
    rows: list[Row] = []
    if named:
        which = {"financialAccount": {"$in": named}, "state": {"$ne": "deleted"}, **view.whose}
        rows = await view.find("accounts", which, index="financialAccount", limit=SUMMED_MAX + 1)
        if len(rows) > SUMMED_MAX:
            raise Refused("invalid", f"id: financial accounts here sum up more than {SUMMED_MAX} accounts")
    others = await _standings(view, [row for row in rows if row["_id"] not in there])
    totals: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for account, standing in (*found, *others):
        sums = totals[account.currency, account.currency_digits]
        if account.type in BALANCES:
            sums.update({name: standing.amount(name) for name in TOLD})
    return [
        {
            name: money_json(within_limit(sums[name], Currency(code, digits), "id: the total {}", name), code, digits)
            for name in TOLD
        }
        for (code, digits), sums in sorted(totals.items())
    ]
