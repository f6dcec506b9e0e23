"""Prices of subscriptions, each with the fields of its type and no others: as they come in, and as they go out."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, ValidationError, model_validator

from domain.billing import terms
from domain.billing.terms import PRICES_MAX, STEPS_MAX, PriceType
from domain.periods import LENGTH_MAX, PeriodType
from schemas.accounts.events import account_ref
from schemas.message import Part, Reference, at_most, not_empty
from schemas.ordering.messages import Tax
from schemas.shapes import Shape
from schemas.values import Id, Json, Number, Text, decimal_json, shown, within

_Billed = Literal["inAdvance", "inArrears"]
_Mode = Literal["graduated", "volume"]
_Proration = Literal["actual", "none"]

_NEEDED: dict[PriceType, tuple[str, ...]] = {
    "recurring": ("unitPrice", "billed", "recurringChargePeriodType"),
    "oneTime": ("unitPrice",),
    "usage": ("unitOfMeasure", "recurringChargePeriodType"),
    "minimum": ("amount", "recurringChargePeriodType"),
}
_MAY: dict[PriceType, tuple[str, ...]] = {
    "recurring": ("quantity", "recurringChargePeriodLength"),
    "oneTime": ("quantity",),
    "usage": ("unitPrice", "tiers", "recurringChargePeriodLength"),
    "minimum": ("recurringChargePeriodLength",),
}
_OF_SOME = {
    "unitPrice": "unit_price",
    "quantity": "quantity",
    "billed": "billed",
    "unitOfMeasure": "unit_of_measure",
    "tiers": "tiers",
    "amount": "amount",
    "recurringChargePeriodType": "recurring_charge_period_type",
    "recurringChargePeriodLength": "recurring_charge_period_length",
}
"""The fields that only prices of some types have."""


class PriceStep(Part):
    """A step of tiers: up to a quantity, that included; the last has no `upTo`."""

    up_to: Number | None = None
    unit_price: Number
    flat_fee: Number | None = None


class PriceTiers(Part):
    """What usage costs by how much it is."""

    mode: _Mode
    steps: Annotated[tuple[PriceStep, ...], AfterValidator(at_most(STEPS_MAX)), AfterValidator(not_empty)]

    @model_validator(mode="after")
    def _steps_ascend(self) -> Self:
        before = Decimal(0)
        last = len(self.steps) - 1
        for n, step in enumerate(self.steps):
            field = f"steps.{n}.upTo"
            if n == last and step.up_to is not None:
                raise within(field, "the last step has no end: leave it out", step.up_to)
            if n < last and step.up_to is None:
                raise within(field, "is needed: only the last step has no end", None)
            if step.up_to is not None and step.up_to <= before:
                raise within(field, f"must be more than {shown(before)}, to which the step before goes", step.up_to)
            before = step.up_to or before
        return self


class ProductPriceIn(Part):
    """A TMF ProductPrice of a subscription: each type has its fields and no others."""

    id: Id
    name: Text
    price_type: PriceType
    tax: Tax
    on_behalf_of: Reference | None = None
    proration: _Proration = "actual"
    unit_price: Number | None = None
    quantity: Number | None = None
    billed: _Billed | None = None
    unit_of_measure: Text | None = None
    tiers: PriceTiers | None = None
    amount: Number | None = None
    recurring_charge_period_type: PeriodType | None = None
    recurring_charge_period_length: Annotated[int, Field(strict=True, ge=1, le=max(LENGTH_MAX.values()))] | None = None

    @model_validator(mode="after")
    def _has_the_fields_of_its_type(self) -> Self:
        type_ = self.price_type
        needed, may = _NEEDED[type_], _MAY[type_]
        said: dict[str, Any] = {
            name: value for name, field in _OF_SOME.items() if (value := getattr(self, field)) is not None
        }
        if missing := [name for name in needed if name not in said]:
            raise ValidationError.from_exception_data(
                "price", [{"type": "missing", "loc": (name,), "input": None} for name in missing]
            )
        for name, value in said.items():
            if name not in (*needed, *may):
                others = ", ".join((*needed, *may))
                raise within(name, f"is no field of the priceType {type_}, which has {others}", _plain(value))
        if type_ == "usage" and (self.unit_price is None) == (self.tiers is None):
            problem = "is needed, or tiers" if self.tiers is None else "either this or tiers"
            raise within("unitPrice", problem, self.unit_price)
        if self.amount is not None and self.amount < 0:
            raise within("amount", "must not be below zero", self.amount)
        length, period = self.recurring_charge_period_length, self.recurring_charge_period_type
        if length is not None and period is not None and length > LENGTH_MAX[period]:
            problem = f"must be at most {LENGTH_MAX[period]} of the type {period}"
            raise within("recurringChargePeriodLength", problem, length)
        return self

    def price(self) -> terms.ProductPrice:
        """The price as the domain has it."""
        return terms.ProductPrice(
            id=self.id,
            name=self.name,
            price_type=self.price_type,
            category=self.tax.category,
            rate=self.tax.rate,
            unit_price=self.unit_price,
            quantity=Decimal(1) if self.quantity is None else self.quantity,
            billed=self.billed or "inAdvance",
            unit_of_measure=self.unit_of_measure,
            tiers=None if self.tiers is None else _tiers(self.tiers),
            amount=self.amount,
            period_type=self.recurring_charge_period_type or "month",
            period_length=self.recurring_charge_period_length or 1,
            on_behalf_of=None if self.on_behalf_of is None else self.on_behalf_of.id,
            proration=self.proration,
        )


def _plain(value: Any) -> Any:
    return {} if isinstance(value, PriceTiers) else value


def _tiers(said: PriceTiers) -> terms.Tiers:
    return terms.Tiers(
        said.mode,
        tuple(terms.Step(step.up_to, step.unit_price, step.flat_fee or Decimal(0)) for step in said.steps),
    )


def _of_different_ids(prices: tuple[ProductPriceIn, ...]) -> tuple[ProductPriceIn, ...]:
    ids = [price.id for price in prices]
    for n, id_ in enumerate(ids):
        if id_ in ids[:n]:
            raise within(f"{n}.id", "is an earlier price's", id_)
    return prices


Prices = Annotated[
    tuple[ProductPriceIn, ...],
    AfterValidator(at_most(PRICES_MAX)),
    AfterValidator(not_empty),
    AfterValidator(_of_different_ids),
]


def price_json(price: terms.ProductPrice) -> Json:
    """A TMF ProductPrice, with the fields of its type."""
    out: Json = {
        "@type": "ProductPrice",
        "id": price.id,
        "name": price.name,
        "priceType": price.price_type,
        "tax": {"category": price.category, "rate": decimal_json(price.rate)},
        "proration": price.proration,
    }
    if price.unit_price is not None:
        out["unitPrice"] = decimal_json(price.unit_price)
    if price.price_type in ("recurring", "oneTime"):
        out["quantity"] = decimal_json(price.quantity)
    if price.price_type == "recurring":
        out["billed"] = price.billed
    if price.unit_of_measure is not None:
        out["unitOfMeasure"] = price.unit_of_measure
    if price.tiers is not None:
        out["tiers"] = {"mode": price.tiers.mode, "steps": [_step_json(step) for step in price.tiers.steps]}
    if price.amount is not None:
        out["amount"] = decimal_json(price.amount)
    if price.price_type != "oneTime":
        out["recurringChargePeriodType"] = price.period_type
        out["recurringChargePeriodLength"] = price.period_length
    if price.on_behalf_of is not None:
        out["onBehalfOf"] = account_ref(price.on_behalf_of, "SettlementAccount")
    return out


def _step_json(step: terms.Step) -> Json:
    out: Json = {} if step.up_to is None else {"upTo": decimal_json(step.up_to)}
    out["unitPrice"] = decimal_json(step.unit_price)
    if step.flat_fee:
        out["flatFee"] = decimal_json(step.flat_fee)
    return out


PRICE: Shape = {
    "@type": ("ProductPrice",),
    "id": "Id",
    "name": "Text",
    "priceType": get_args(PriceType),
    "tax": {"category": "Id", "rate": "Rate"},
    "proration": get_args(_Proration),
    "unitPrice?": "Decimal",
    "quantity?": "Decimal",
    "billed?": get_args(_Billed),
    "unitOfMeasure?": "Text",
    "tiers?": {
        "mode": get_args(_Mode),
        "steps": [{"upTo?": "Decimal", "unitPrice": "Decimal", "flatFee?": "Decimal"}],
    },
    "amount?": "Decimal",
    "recurringChargePeriodType?": get_args(PeriodType),
    "recurringChargePeriodLength?": int,
    "onBehalfOf?": "SettlementAccountReference",
}
"""What a price is like as it goes out."""
