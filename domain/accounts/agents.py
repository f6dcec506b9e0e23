"""Agents: we sell in a partner's name, whose invoices and credit notes have series of their own."""

from __future__ import annotations

from collections.abc import Iterator

from domain.accounts.model import AgentTerms
from domain.errors import Refused
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.numbering import Series, claim_series, note_series

SERIES_MAX = 100
"""The most characters of a partner's series."""


def agent_needs(account_id: str, terms: AgentTerms | None, books: WorkingSet) -> Iterator[Need]:
    """What claiming the series of terms looks at."""
    if terms is not None:
        series = terms.series_of(account_id)
        yield DocumentNeed(Series, series)
        yield DocumentNeed(Series, note_series(series, books.credit_notes))


def claim_agents_series(account_id: str, terms: AgentTerms | None, field: str, books: Books) -> None:
    """Have the series of terms be the partner's of an account, that of its credit notes too; `field` says the terms.

    Raises `Refused` (`invalid`): one of them is ours or another partner's, numbers something else, or would be too
    long; or that of the invoices begins as those of credit notes do.
    """
    if terms is None:
        return
    series = terms.series_of(account_id)
    if len(series) > SERIES_MAX:
        detail = f"{field}.series: {account_id} is too long for one: say one of at most {SERIES_MAX} characters"
        raise Refused("invalid", detail)
    claim_series(series, account_id, "invoices", books, f"{field}.series")
    claim_series(note_series(series, books.credit_notes), account_id, "creditNotes", books, f"{field}.series")
