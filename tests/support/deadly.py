"""A worker that dies of one order: run as a program, it is `paymaster run` with that one defect."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

from adapters.settings import load_settings
from domain import facts
from domain.ledger.books import Books
from domain.ordering.completing import Order, OrderResult, complete_order
from handlers.engine import held
from handlers.worker import run_worker

DEADLY = "O-DEADLY"
"""The order that ends the process."""


def _dying(order: Order, books: Books) -> OrderResult:
    if order.id == DEADLY:
        os._exit(9)
    return complete_order(order, books)


def run() -> None:
    """The worker."""
    facts.HANDLERS[Order] = replace(facts.HANDLERS[Order], apply=_dying)
    # A claim of a worker that died runs out soon.
    held.LEASE = timedelta(milliseconds=300)
    run_worker(load_settings())
