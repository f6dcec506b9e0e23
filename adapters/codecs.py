"""Which code is written of which declarations: `make codecs` writes the modules named here.

Nothing here imports what is written, so that it can be written anew whatever has become of it.
"""

from __future__ import annotations

from types import ModuleType

from adapters.accounts import documents as accounts
from adapters.billing import documents as billing
from adapters.codec import Module, write
from adapters.corrections import documents as corrections
from adapters.days import documents as days
from adapters.dunning import documents as dunning
from adapters.invoicing import documents as invoicing
from adapters.ledger import documents as ledger
from adapters.parties import documents as parties
from adapters.payments import documents as payments
from adapters.settlement import documents as settlement


def _codecs_of(documents: ModuleType) -> Module:
    return Module(
        documents.__name__.replace(".documents", ".codecs"),
        documents.__name__,
        tuple(kept.layout for kept in documents.KEPT),
    )


CODECS = tuple(
    map(_codecs_of, (ledger, accounts, parties, invoicing, payments, settlement, corrections, billing, days, dunning))
)
"""The modules that are written."""

if __name__ == "__main__":
    write(CODECS)
