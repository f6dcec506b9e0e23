"""Accounts and what they refer to as they go out: TMF666 entities, and the events that tell what happened to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from domain.accounts.model import (
    BILLING,
    FINANCIAL,
    PARTY,
    SETTLEMENT,
    Account,
    AccountChanged,
    AccountCreated,
    AccountStateChanged,
    AgentTerms,
    CreditLimitExceeded,
    Standing,
    State,
)
from domain.accounts.specifications import SPECIFICATIONS, Specification, SpecificationChanged
from domain.ledger.chart import balances_of
from domain.money import Currency
from schemas.accounts.tmf666 import AccountType, Happened, event_type
from schemas.event import Event, TmfTypes
from schemas.shapes import Shape, reference_to
from schemas.values import Json, decimal_json, money_json, time_json


def account_ref(account_id: str, type_: str) -> Json:
    """A TMF reference to an account of that type."""
    return {"@type": f"{type_}Ref", "@referredType": type_, "id": account_id}


def account_json(account: Account, standing: Standing | None = None) -> Json:
    """A TMF666 account with our currency and terms, and its balances and payment status if its `standing` is given.

    A financial account's balances are sums over other accounts, which only a query works out.
    """
    out: Json = {
        **account.document,
        "@type": account.type,
        "id": account.id,
        "state": account.state,
        "lastUpdate": time_json(account.updated_at),
        "currency": account.currency,
        "paymentTermDays": account.payment_term_days,
    }
    if account.settlement_terms is not None:
        terms = account.settlement_terms
        said = account.document.get("settlementTerms")
        share = {} if terms.partner_share is None else {"partnerShare": decimal_json(terms.partner_share)}
        agent = {} if terms.agent is None else {"model": "agent", **agent_json(terms.agent)}
        ours = {**share, **agent, "accrueOn": terms.accrue_on}
        out["settlementTerms"] = {**said, **ours} if isinstance(said, Mapping) else ours
    return out if standing is None else {**out, **account_money(account.type, account.kept_in, standing)}


AGENT_TERMS: dict[str, Shape] = {
    "commission?": "Decimal",
    "commissionTax?": {"category": "Id", "rate": "Decimal"},
    "series?": "Id",
}
"""How the terms look by which we sell in a partner's name."""


def agent_json(terms: AgentTerms) -> Json:
    """The terms by which we sell in a partner's name; the series where it is said."""
    return {
        "commission": decimal_json(terms.commission),
        "commissionTax": {"category": terms.category, "rate": decimal_json(terms.rate)},
        **({} if terms.series is None else {"series": terms.series}),
    }


def account_money(type_: str, currency: Currency, standing: Standing) -> Json:
    """The fields of a TMF666 account that tell of its money: balances and payment status."""
    out: Json = {
        "accountBalance": [
            {
                "@type": "AccountBalance",
                "balanceType": balance,
                "amount": money_json(standing.amount(balance), currency.code, currency.digits),
            }
            for balance in BALANCES[type_]
        ]
    }
    if standing.payment_status is not None:
        out["paymentStatus"] = standing.payment_status
    return out


BALANCES: dict[str, tuple[str, ...]] = {
    BILLING: (*balances_of(BILLING), "overdue"),
    SETTLEMENT: balances_of(SETTLEMENT),
    FINANCIAL: (*balances_of(BILLING), "overdue", *balances_of(SETTLEMENT)),
    PARTY: (),
}
"""The balances that each type of account goes out with."""


def specification_json(specification: Specification) -> Json:
    """A TMF666 billing cycle specification, bill format or bill presentation media."""
    resource = type(specification).__name__
    return {
        **specification.document,
        "@type": resource,
        "id": specification.id,
        "lastUpdate": time_json(specification.updated_at),
    }


def stored(kind: type[Specification]) -> Shape:
    """A specification as it goes out: the shape that follows from its TMF666 document."""
    return f"Stored{kind.__name__}"


def own_standing(account: Account, standing: Standing) -> Standing | None:
    """What an account is told with: its standing, unless that is sums over other accounts."""
    return None if account.type == FINANCIAL else standing


def _account(event: AccountCreated | AccountChanged | AccountStateChanged | CreditLimitExceeded) -> Json:
    account = event.account
    return {"account": account_json(account, own_standing(account, event.standing)), "revision": account.revision}


def _account_changed(event: AccountChanged) -> Json:
    return {**_account(event), "changed": list(event.changed)}


def _account_state_changed(event: AccountStateChanged) -> Json:
    told = {**_account(event), "changed": ["state"], "oldState": event.old_state, "newState": event.account.state}
    return told if event.reason is None else {**told, "reason": event.reason}


def _credit_limit_exceeded(event: CreditLimitExceeded) -> Json:
    assert event.account.credit_limit is not None
    kept_in = event.account.kept_in
    return {
        **_account(event),
        "balance": money_json(event.balance, kept_in.code, kept_in.digits),
        "limit": money_json(event.account.credit_limit, kept_in.code, kept_in.digits),
    }


_FIELDS = {kind: kind.__name__[0].lower() + kind.__name__[1:] for kind in SPECIFICATIONS.values()}
"""What TMF666 calls a resource within its events, as `billFormat`."""


def _specification(event: SpecificationChanged) -> Json:
    specification = event.specification
    told = {_FIELDS[type(specification)]: specification_json(specification), "revision": specification.revision}
    return {**told, "changed": list(event.changed)} if event.happened == "changed" else told


SHAPES: dict[str, Shape] = {
    "BillingAccountReference": reference_to("BillingAccount"),
    "SettlementAccountReference": reference_to("SettlementAccount"),
    "Balance": {"@type": ("AccountBalance",), "balanceType": BALANCES[FINANCIAL], "amount": "Money"},
    "State": get_args(State),
}
"""Parts of what goes out, by name; accounts and specifications themselves follow from TMF666's documents."""

_SpecificationHappened = Literal["created", "changed", "deleted"]
_SPECIFICATION_HAPPENED: tuple[_SpecificationHappened, ...] = get_args(_SpecificationHappened)
_ACCOUNT: Shape = {"account": "Account", "revision": "Revision"}
_STATE: Shape = {**_ACCOUNT, "changed": [str], "oldState": "State", "newState": "State", "reason?": "Text"}


def _tmf_of_account(happened: Happened) -> TmfTypes[Any]:
    names = {type_: event_type(type_, happened) for type_ in get_args(AccountType)}
    return TmfTypes(lambda event: event.account.type, names)


def _specification_event(kind: type[Specification], happened: _SpecificationHappened) -> Event[SpecificationChanged]:
    return Event(
        f"{kind.RESOURCE}.{happened}",
        SpecificationChanged,
        f"One {kind.RESOURCE.replace('-', ' ')} was {happened}.",
        {
            _FIELDS[kind]: stored(kind),
            "revision": "Revision",
            **({"changed": [str]} if happened == "changed" else {}),
        },
        _specification,
        fits=lambda event: isinstance(event.specification, kind) and event.happened == happened,
        tmf=TmfTypes(lambda _event: kind.__name__, {kind.__name__: event_type(kind.__name__, happened)}),
        of_account=False,
        document=_FIELDS[kind],
    )


EVENTS = (
    Event(
        "account.created",
        AccountCreated,
        "An account was opened.",
        _ACCOUNT,
        _account,
        tmf=_tmf_of_account("created"),
        document="account",
    ),
    Event(
        "account.changed",
        AccountChanged,
        "An account's document was changed.",
        {**_ACCOUNT, "changed": [str]},
        _account_changed,
        tmf=_tmf_of_account("changed"),
        document="account",
    ),
    Event(
        "account.state-changed",
        AccountStateChanged,
        "An account came into any other state than closed or deleted.",
        _STATE,
        _account_state_changed,
        fits=lambda event: event.account.state not in ("closed", "deleted"),
        tmf=_tmf_of_account("state-changed"),
        document="account",
    ),
    Event(
        "account.closed",
        AccountStateChanged,
        "An account was closed: nothing is open.",
        _STATE,
        _account_state_changed,
        fits=lambda event: event.account.state == "closed",
        tmf=_tmf_of_account("closed"),
        document="account",
    ),
    Event(
        "account.deleted",
        AccountStateChanged,
        "An account that was never posted to was deleted.",
        _STATE,
        _account_state_changed,
        fits=lambda event: event.account.state == "deleted",
        tmf=_tmf_of_account("deleted"),
        document="account",
    ),
    Event(
        "account.credit-limit-exceeded",
        CreditLimitExceeded,
        "What an account owes, less its credit, went over its limit. Told once a crossing.",
        {**_ACCOUNT, "balance": "Money", "limit": "Money"},
        _credit_limit_exceeded,
        document="account",
    ),
    *(_specification_event(kind, happened) for kind in SPECIFICATIONS.values() for happened in _SPECIFICATION_HAPPENED),
)
