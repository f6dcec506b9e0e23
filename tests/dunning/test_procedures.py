"""Dunning procedures: which are taken, what is said of the others, and which accounts they are of."""

from decimal import Decimal
from typing import Any

import pytest

from domain.accounts.model import Reference
from domain.accounts.specifications import DunningProcedure
from domain.errors import Refused
from domain.money import Currency
from schemas.accounts.documents import read_account
from schemas.incoming import read
from tests.schemas.letters import body

FEE: dict[str, Any] = {
    "id": "fee",
    "description": "Second reminder",
    "quantity": 1,
    "unitPrice": "4.50",
    "tax": {"category": "E", "rate": 0},
}
MILD: dict[str, Any] = {
    "id": "D-1",
    "name": "Mild",
    "threshold": {"unit": "EUR", "value": "5.00"},
    "steps": [
        {"after": 5, "action": "remind"},
        {"after": 10, "action": "charge", "item": FEE},
        {"after": 20, "action": "suspend"},
        {"after": 30, "action": "collect"},
    ],
}


def created(**changes: Any) -> Any:
    """The fact of a procedure that is said so, or its refusal."""
    [incoming] = read("dunning-procedure.create", body({**MILD, **changes}), "m-1", {}, None)
    return incoming.refusal or incoming.fact


def test_a_procedure_is_kept_as_it_was_said():
    """But that amounts are numbers, and that its type goes without saying."""
    fact = created(mood="calm")
    assert (fact.kind, fact.id) == (DunningProcedure, "D-1")
    assert fact.document == {
        "@type": "DunningProcedure",
        "name": "Mild",
        "mood": "calm",
        "threshold": {"unit": "EUR", "value": 5},
        "steps": MILD["steps"],
    }


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"steps": None}, "steps: is needed"),
        ({"steps": []}, "steps: must be 1 to 20 (there are 0)"),
        ({"steps": [{"after": n, "action": "remind"} for n in range(1, 22)]}, "steps: must be 1 to 20 (there are 21)"),
        ({"steps": [{"after": 0, "action": "remind"}]}, "steps.0.after: must be at least 1 (got 0)"),
        ({"steps": [{"after": 3651, "action": "remind"}]}, "steps.0.after: must be at most 3650 (got 3651)"),
        ({"steps": [{"after": 5.0, "action": "remind"}]}, None),
        ({"steps": [{"after": 5, "action": "shout"}]}, "steps.0.action: must be 'remind', 'charge', 'suspend'"),
        (
            {"steps": [{"after": 5, "action": "remind"}, {"after": 5, "action": "collect"}]},
            "steps: must each come later than the one before: `after`, in days, ascends",
        ),
        ({"steps": [{"after": 5, "action": "charge"}]}, "steps.0: item: is needed by charge, and by no other action"),
        ({"steps": [{"after": 5, "action": "remind", "item": FEE}]}, "item: is needed by charge, and by no other"),
        ({"steps": [{"after": 5, "action": "charge", "item": {**FEE, "unitPrice": 0}}]}, "must be more than zero"),
        ({"steps": [{"after": 5, "action": "charge", "item": {**FEE, "quantity": -1}}]}, "must be more than zero"),
        ({"steps": [{"after": 5, "action": "charge", "item": {**FEE, "quantity": 10**9}}]}, "comes to more than"),
        (
            {"steps": [{"after": 5, "action": "charge", "item": {**FEE, "onBehalfOf": {"id": "SA-1"}}}]},
            "steps.0.item.onBehalfOf: ",
        ),
        ({"threshold": {"unit": "EUR", "value": 0}}, "threshold: must be more than zero (got 0 EUR)"),
        ({"threshold": {"unit": "EUR", "value": 5.001}}, "threshold.value: has 3 digits after the point"),
        ({"name": None}, "name: is needed"),
    ],
)
def test_what_does_not_fit_is_named(changes, detail):
    """With its place and what would be right; a whole number is one, however it is written."""
    said = created(**changes)
    if detail is None:
        assert not isinstance(said, Refused)
    else:
        assert said.code == "invalid"
        assert detail in said.detail, said.detail


def account(type_: str = "BillingAccount", changed: set[str] | None = None, **fields: Any) -> Any:
    """What is read of an account's document."""
    terms = {"settlementTerms": {"partnerShare": Decimal("0.5")}} if type_ == "SettlementAccount" else {}
    party = {"role": "customer", "partyOrPartyRole": {"@type": "PartyRef", "id": "P"}}
    document = {"name": "A", "relatedParty": [party], **terms, **fields}
    return read_account("A", type_, Currency("EUR", 2), document, changed)


def test_a_billing_account_refers_to_its_procedure():
    """Likewise to other things; the reference goes out with its type."""
    said = account(dunningProcedure={"id": "D-1"})
    assert said.references == (Reference("dunningProcedure", "D-1"),)
    assert said.document["dunningProcedure"] == {"@type": "DunningProcedureRef", "id": "D-1"}
    with pytest.raises(Refused, match="dunningProcedure: must be an object"):
        account(dunningProcedure="D-1")
    with pytest.raises(Refused, match=r"dunningProcedure\.id: must be an id"):
        account(dunningProcedure={"id": "D/1"})


def test_of_another_account_it_is_a_field_that_nobody_knows():
    """Nothing of a partner's account is ever overdue."""
    for type_ in ("SettlementAccount", "PartyAccount", "FinancialAccount"):
        assert account(type_, dunningProcedure={"id": "D-1"}).references == ()


def test_what_an_earlier_version_kept_under_its_name_is_no_reference():
    """As long as nobody changes it: it keeps no other change from being made."""
    for said in ("D-1", {"id": "D/1"}, ["D-1"]):
        assert account(changed={"name"}, dunningProcedure=said).references == ()
