"""Related parties: whose accounts are whose, by what stands in their documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unicodedata import normalize

from domain.accounts.model import Account


def party_of(related: Mapping[str, Any]) -> Any:
    """The party of a related party: what stands in it, or, in TMF's older form, itself."""
    return related if related.get("partyOrPartyRole") is None else related["partyOrPartyRole"]


def party_ids(related: Mapping[str, Any]) -> list[str]:
    """The ids, in NFC, that a related party is found by: of a role, the role's and the party's."""
    party = party_of(related)
    if not isinstance(party, Mapping):
        return []
    return [normalize("NFC", party[field]) for field in ("id", "partyId") if isinstance(party.get(field), str)]


def is_related(account: Account, party: str) -> bool:
    """Whether an account is related to a party, of which one knows the id."""
    related: Any = account.document.get("relatedParty") or ()
    wanted = normalize("NFC", party)
    return any(wanted in party_ids(one) for one in related)
