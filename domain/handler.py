"""How a fact is handled: what each capability lists in its `FACTS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from domain.frozen import dataclass
from domain.ledger.books import Books, Need, WorkingSet


def no_time(_fact: object) -> None:
    """That a fact says no time of its own."""


@dataclass(frozen=True, slots=True)
class Handler:
    """How a kind of fact is handled.

    `needs` yields what it looks at, as far as that can be told from what is loaded so far; `apply` changes its books
    and returns what came of it, which its sender is told; `account` tells whose account it is about, None if nobody's;
    `own_time` the time at which it says that it happened, and the field that has it, None for what says none. `late`
    makes of a fact that has waited for too long one that is applied all the same, since it has happened; None for what
    is parked then. `passes_over` are the kinds of document that it may name of another account, and passes over then,
    as if there were none.
    """

    fact: type
    needs: Callable[[Any, WorkingSet], Iterable[Need]]
    apply: Callable[[Any, Books], object]
    account: Callable[[Any], str | None]
    own_time: Callable[[Any], tuple[str, datetime] | None] = no_time
    late: Callable[[Any], object] | None = None
    passes_over: tuple[type, ...] = ()


def nobody(_fact: object) -> None:
    """That a fact is about nobody's account."""
