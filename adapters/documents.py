"""All kinds of document of the books, as each capability declares them, and the code that makes rows of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import adapters.accounts.codecs as accounts_codecs
import adapters.accounts.documents as accounts
import adapters.billing.codecs as billing_codecs
import adapters.billing.documents as billing
import adapters.corrections.codecs as corrections_codecs
import adapters.corrections.documents as corrections
import adapters.days.codecs as days_codecs
import adapters.days.documents as days
import adapters.dunning.codecs as dunning_codecs
import adapters.dunning.documents as dunning
import adapters.invoicing.codecs as invoicing_codecs
import adapters.invoicing.documents as invoicing
import adapters.ledger.codecs as ledger_codecs
import adapters.ledger.documents as ledger
import adapters.parties.codecs as parties_codecs
import adapters.parties.documents as parties
import adapters.payments.codecs as payments_codecs
import adapters.payments.documents as payments
import adapters.settlement.codecs as settlement_codecs
import adapters.settlement.documents as settlement
from adapters.kept import Kept

Row = dict[str, Any]

KEPT: tuple[Kept, ...] = (
    *ledger.KEPT,
    *accounts.KEPT,
    *parties.KEPT,
    *invoicing.KEPT,
    *payments.KEPT,
    *settlement.KEPT,
    *corrections.KEPT,
    *days.KEPT,
    *billing.KEPT,
    *dunning.KEPT,
)
"""The kinds of document. Series and positions are written first, so that a conflict shows early."""

ENCODE: dict[type, Callable[[Any], Row]] = {
    **ledger_codecs.ENCODE,
    **accounts_codecs.ENCODE,
    **parties_codecs.ENCODE,
    **invoicing_codecs.ENCODE,
    **payments_codecs.ENCODE,
    **settlement_codecs.ENCODE,
    **corrections_codecs.ENCODE,
    **days_codecs.ENCODE,
    **billing_codecs.ENCODE,
    **dunning_codecs.ENCODE,
}
"""What makes a row of a document, by its kind."""

DECODE: dict[type, Callable[[Row], Any]] = {
    **ledger_codecs.DECODE,
    **accounts_codecs.DECODE,
    **parties_codecs.DECODE,
    **invoicing_codecs.DECODE,
    **payments_codecs.DECODE,
    **settlement_codecs.DECODE,
    **corrections_codecs.DECODE,
    **days_codecs.DECODE,
    **billing_codecs.DECODE,
    **dunning_codecs.DECODE,
}
"""What makes a document of a row, by its kind; kinds that are only written have none."""

SET: dict[type, Callable[[Any], Row]] = {**billing_codecs.SET}
"""What of a row is set of a document that differs from it in nothing but what changes often, by the kinds with such."""

COLLECTION: dict[type, str] = {kept.kind: kept.collection.name for kept in KEPT}
"""Where each kind is kept."""

AWAITED: dict[str, tuple[str, dict[str, Any]]] = {
    name: (kept.collection.name, there) for kept in KEPT for name, there in kept.awaited.items()
}
"""What may be waited for, by the name before the colon: its collection, and the filter that says that it is there."""
