"""TMF666 documents as clients say them: kept whole, checked by type, and read for what the domain reasons about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from pydantic import ValidationError, model_validator
from pydantic_core import to_json

from domain.accounts.closings import ID_MAX, ClosingCycle
from domain.accounts.model import BILLING, AgentTerms, NewAccount, Reference, Relationship, SettlementTerms, State
from domain.accounts.opening import CLOSING_CYCLE
from domain.accounts.references import RELATIONSHIPS
from domain.errors import Refused
from domain.money import Currency
from schemas.accounts import tmf666
from schemas.documents import exact, plain, without_nulls
from schemas.message import Part, invalid
from schemas.values import (
    AMOUNT,
    Days,
    Id,
    Rate,
    Series,
    folded,
    is_id,
    parse_date,
    parse_decimal,
    parse_money,
    parse_time,
    shown,
)

DOCUMENT_BYTES_MAX = 1024 * 1024
"""The most bytes of an account's document, whatever it was patched together from."""

DUNNING_PROCEDURE = "dunningProcedure"
"""The field of a billing account that refers to its dunning procedure."""

_SETTLEMENT = "SettlementAccount"
_MEANT = {folded(kind): kind for kind in RELATIONSHIPS}
_FIRST_STATES: dict[str, State] = {"defined": "defined", "active": "active", "suspended": "suspended"}


class CommissionTax(Part):
    """The tax on our commission: its category (EN 16931, BT-151) and its rate, where 0.2 is 20 %."""

    category: Id
    rate: Rate


class AgentFields(Part):
    """What terms say of the model by which we sell for a partner; in its name, for which commission."""

    model: Literal["principal", "agent"] | None = None
    commission: Rate | None = None
    commission_tax: CommissionTax | None = None
    series: Series | None = None

    def check_model(self, **others: object) -> None:
        """See that terms of the model `agent` have our commission, and its tax, and that no others do.

        `others` are what these may have instead, by the names of the fields; None where it is not said. Raises
        `ValueError`.
        """
        ours: dict[str, object] = {
            "commission": self.commission,
            "commissionTax": self.commission_tax,
            "series": self.series,
        }
        if self.model != "agent":
            for name, value in ours.items():
                if value is not None:
                    raise ValueError(f"{name}: only terms of the model agent have it")
            return
        for name in ("commission", "commissionTax"):
            if ours[name] is None:
                raise ValueError(f"{name}: is needed: with the model agent we are paid by it")
        for name, value in others.items():
            if value is not None:
                raise ValueError(f"{name}: terms of the model agent have none")

    def agent(self) -> AgentTerms | None:
        """The terms by which we sell in a partner's name; None where we sell in ours."""
        if self.commission is None or self.commission_tax is None:
            return None
        return AgentTerms(self.commission, self.commission_tax.category, self.commission_tax.rate, self.series)


class Terms(AgentFields):
    """A partner's terms: its share of the net (0.8 is 80 %); or, where we sell in its name, our commission."""

    partner_share: Rate | None = None
    accrue_on: Literal["invoice", "payment"] = "invoice"

    @model_validator(mode="after")
    def _is_of_its_model(self) -> Self:
        self.check_model(partnerShare=self.partner_share)
        if self.model != "agent" and self.partner_share is None:
            raise ValueError("partnerShare: is needed, but of the model agent")
        return self

    def terms(self) -> SettlementTerms:
        """The terms."""
        return SettlementTerms(self.partner_share, self.accrue_on, self.agent())


class _Ours(Part):
    """What we add to TMF666's fields."""

    payment_term_days: Days = 30
    settlement_terms: Terms | None = None


def plain_document(value: dict[str, Any], path: str = "") -> dict[str, Any]:
    """A document, or a patch of one, as it can be kept; its amounts are numbers, however they were sent."""
    document: dict[str, Any] = plain(value, path)
    plans = document.get("paymentPlan")
    amounts = [document.get("creditLimit")]
    amounts += [plan.get("totalAmount") for plan in plans if isinstance(plan, dict)] if isinstance(plans, list) else []
    for amount in amounts:
        if isinstance(amount, dict) and isinstance(amount.get("value"), str):
            try:
                amount["value"] = plain(parse_decimal(amount["value"], AMOUNT))
            except ValueError:
                continue  # whoever checks the document says so
    return document


def check_document(resource: str, document: Mapping[str, Any], changed: Collection[str] | None = None) -> None:
    """See that a document fits its TMF666 resource; of one that is patched, the fields that were `changed`.

    What was taken in under another rule is no reason to refuse a change of something else.
    Raises `Refused` (`invalid`), its detail naming each field that does not, and its value.
    """
    if len(to_json(document)) > DOCUMENT_BYTES_MAX:
        raise Refused("invalid", f"the document would have more than {DOCUMENT_BYTES_MAX} bytes")
    try:
        tmf666.check(resource, exact(document))
    except ValidationError as error:
        if changed is None or any(problem["loc"][0] in changed for problem in error.errors() if problem["loc"]):
            raise invalid(error) from None


def first_state(document: Mapping[str, Any]) -> State:
    """The state that an account is opened in: `active` unless it says `defined` or `suspended`, in any case.

    Raises `Refused` (`invalid`).
    """
    said = document.get("state")
    if said is None:
        return "active"
    state = _FIRST_STATES.get(said.lower()) if isinstance(said, str) else None
    if state is None:
        raise Refused("invalid", f"state: an account is opened {', '.join(_FIRST_STATES)} (got {shown(said)})")
    return state


def read_account(
    id_: str,
    type_: str,
    currency: Currency,
    document: Mapping[str, Any],
    changed: Collection[str] | None = None,
) -> NewAccount:
    """An account's document, read for what the domain reasons about; what is computed is left out of it.

    `changed` are the fields that a patch names, None for a new account.

    Raises `Refused`: `invalid` naming each field that does not fit, `currency-mismatch` for a credit limit in another
    currency than the account's.
    """
    said = without_nulls(document)
    kept = {key: value for key, value in said.items() if key not in tmf666.COMPUTED}
    check_document(type_, {**kept, "@type": type_}, changed)
    try:
        ours = _Ours.model_validate(exact(said))
    except ValidationError as error:
        raise invalid(error) from None
    terms = ours.settlement_terms
    if (type_ == _SETTLEMENT) != (terms is not None):
        raise Refused("invalid", f"settlementTerms: a {_SETTLEMENT} needs them and no other account has them")
    return NewAccount(
        id=id_,
        type=type_,
        currency=currency,
        payment_term_days=ours.payment_term_days,
        settlement_terms=terms.terms() if terms else None,
        # As it goes out: it is told and asked for far more often than it changes.
        document=tmf666.complete(type_, kept),
        credit_limit=_credit_limit(said.get("creditLimit"), currency.code),
        relationships=_relationships(said.get("accountRelationship", []), changed),
        references=_references(type_, said),
        state=first_state(said),
        closing_cycle=_closing_cycle(id_, type_, said) if changed is None or CLOSING_CYCLE in changed else None,
    )


def _closing_cycle(id_: str, type_: str, said: Mapping[str, Any]) -> ClosingCycle | None:
    if CLOSING_CYCLE not in said:
        return None
    if type_ != _SETTLEMENT:
        raise Refused("invalid", f"{CLOSING_CYCLE}: a {_SETTLEMENT} alone may have one")
    if len(id_) > ID_MAX:
        raise Refused(
            "invalid",
            f"id: of an account with a {CLOSING_CYCLE} has at most {ID_MAX} characters, since its closings' do",
        )
    cycle = said[CLOSING_CYCLE]
    return ClosingCycle(cycle["period"], parse_date(cycle["anchorDate"]))


def _credit_limit(said: Any, currency: str) -> int | None:
    if said is None:
        return None
    limit = parse_money(exact(said))
    if limit.currency != currency:
        raise Refused("currency-mismatch", f"creditLimit.unit: {limit.currency}, but the account is kept in {currency}")
    if limit.amount < 0:
        raise Refused("invalid", f"creditLimit.value: must not be negative (got {shown(said['value'])})")
    return limit.amount


def _relationships(said: list[Mapping[str, Any]], changed: Collection[str] | None) -> tuple[Relationship, ...]:
    """One that means something here must name its account; any other that names none is only kept."""
    if changed is None or "accountRelationship" in changed:
        for index, relationship in enumerate(said):
            if "account" not in relationship and folded(relationship["relationshipType"]) in _MEANT:
                raise Refused(
                    "invalid",
                    f'accountRelationship.{index}.account: is needed, as {{"id": "BA-2"}}; an `id` beside it is the '
                    f"relationship's own (got {shown(relationship.get('id'))})",
                )
    return tuple(
        Relationship(
            _MEANT.get(folded(relationship["relationshipType"]), relationship["relationshipType"]),
            relationship["account"]["id"],
            _time(relationship, "startDateTime"),
            _time(relationship, "endDateTime"),
        )
        for relationship in said
        if "account" in relationship
    )


def _time(relationship: Mapping[str, Any], end: str) -> Any:
    said = relationship.get("validFor", {}).get(end)
    return None if said is None else parse_time(said)


def _references(type_: str, said: Mapping[str, Any]) -> tuple[Reference, ...]:
    """What it refers to; a bill structure may hold a value instead of a reference, which refers to nothing."""
    found: list[Reference] = []
    if "financialAccount" in said:
        found.append(Reference("financialAccount", said["financialAccount"]["id"]))
    # What an earlier version kept under this name was an extension that nobody had checked.
    procedure = said.get(DUNNING_PROCEDURE)
    if type_ == BILLING and isinstance(procedure, Mapping) and is_id(procedure.get("id")):
        found.append(Reference("dunningProcedure", procedure["id"]))
    structure = said.get("billStructure", {})
    for kind, resource in (("format", "BillFormat"), ("cycleSpecification", "BillingCycleSpecification")):
        if kind in structure and _is_reference(structure[kind], resource):
            found.append(Reference(kind, structure[kind]["id"]))  # type: ignore[arg-type]
    found += [
        Reference("presentationMedia", media["id"])
        for media in structure.get("presentationMedia", ())
        if _is_reference(media, "BillPresentationMedia")
    ]
    return tuple(dict.fromkeys(found))


def _is_reference(said: Mapping[str, Any], resource: str) -> bool:
    type_ = said.get("@type")
    if type_ in (None, f"{resource}Ref", f"{resource}RefOrValue"):
        return True
    return resource not in (type_, said.get("@baseType"))
