"""Writes docs/data-model.md of what is declared: `make docs`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapters.kept import Collection
from adapters.store.collections import COLLECTIONS
from domain.ledger.chart import CHART

PAGE = Path(__file__).parents[1] / "docs" / "data-model.md"

_INTRODUCTION = """\
# What is in the database

Written by `make docs` of the declarations in `adapters/<capability>/documents.py`, `adapters/store/beside.py` and
`domain/ledger/chart.py`: change it there.

One database is one seller. Names are the wire's names (camelCase). Money is an integer of the currency's minor unit;
the currency stands once in the document. Decimals (rates, quantities, shares) are strings. A date is `YYYY-MM-DD`, a
time is a BSON date in UTC. What a client sent stands in a `document` as it came, in TMF666's names. Everything below is
written in one transaction a batch (`adapters/store/transaction.py`).

Personal is what tells of a person: names, contacts, addresses, free text, and what was made of them. An append-only
document is written once.
"""

_FORM = """\
## The form

What this page says is the form that `FORM` in `adapters/store/steps.py` numbers; the steps from each form to the next
are listed there. A database without the document `form` that has our collections is of form 1, from before there was a
number. A worker works on its own form only, looks every 5 seconds whether the database still is of it, and stops when
it is not. A page of a migration is one transaction, which writes its rows and its place; the write that raises `number`
to the form that is reached takes `migrating` off, which is there until then also when a migration fails or is killed.

The digest of a row in `inbox` or `held` is of its `digestVersion` for ever (`schemas/message.py` makes each version
there was): a message that comes again is compared in the version that is recorded.
"""

_ENTRIES = """\
## The books

`order.completed`, `payment.received` and `payout.completed` have one entry each, also when nothing is posted (a total
of zero); so has the rest of an allocation or a de-allocation (`credit.allocate`, `credit.deallocate`), unless it came
to nothing. `account.*`, `settlement.close` and what is said of specifications and of the seller have none. An
`account.*` message has one row in `accountVersions`, but for an update that changes nothing, which has none; a closing
that completes by itself has one whose cause is the fact that settled the last of it. Within one entry postings are
summed by ledger account and side (tax: also by category and rate), never netted; a sum of zero is left out.

| ledger account | its balance is a | whose |
| --- | --- | --- |
"""


def page() -> str:
    """The page's text."""
    ledger = "".join(
        f"| `{account.name}{':<id>' if account.owner else ''}` | {account.side} | "
        f"{f'each {account.owner} has one, with its balance in `positions`' if account.owner else 'the seller'} |\n"
        for account in CHART
    )
    return "\n".join((_INTRODUCTION, *map(_section, _once(COLLECTIONS)), _FORM, _ENTRIES + ledger))


def _once(collections: tuple[Collection, ...]) -> Iterator[Collection]:
    """The collections by name."""
    yield from sorted(collections, key=lambda collection: collection.name.casefold())


def _section(collection: Collection) -> str:
    lines = [f"## `{collection.name}`", ""]
    lines.append(f"`_id` is {collection.id}. Written {collection.written}.{_how(collection)}")
    lines += ["", "| field | |", "| --- | --- |"]
    lines += [f"| `{name}` | {said} |" for name, said in collection.fields.items()]
    if collection.indexes:
        lines += ["", "| index | of | only |", "| --- | --- | --- |"]
        lines += [_index(index.document) for index in collection.indexes]
    return "\n".join(lines) + "\n"


def _how(collection: Collection) -> str:
    said = []
    if collection.append_only:
        but = f", but for {_named(collection.but_for)}" if collection.but_for else ""
        said.append(f"Append-only{but}.")
    said.append({"for ever": "Kept for ever.", "until purged": "May be purged.", "until done": ""}[collection.keep])
    if collection.personal:
        said.append(f"Personal: {_named(collection.personal)}.")
    return "".join(f" {sentence}" for sentence in said if sentence)


def _named(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _index(index: dict[str, Any]) -> str:
    unique = ", unique" if index.get("unique") else ""
    only = ", ".join(f"`{field}`" for field in index.get("partialFilterExpression", {}))
    return f"| `{index['name']}`{unique} | {_named(tuple(index['key']))} | {only} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
