"""The queries about invoices: what each is asked with, and its answer."""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, StrictBool, model_validator

from domain.invoicing.model import Invoice, InvoiceLine, InvoiceState, LineOrigin
from schemas.accounts.events import account_ref
from schemas.invoicing.events import period_json
from schemas.query import LIMIT_DEFAULT, Limit, Query, place_of
from schemas.shapes import Shape, page
from schemas.values import Id, Json, money_json


class InvoiceGet(Query):
    """One invoice; with what its lines come to by subscription, price, period and tax, if that is asked for."""

    TYPE = "invoice.get"
    ANSWER: ClassVar[Shape] = "Invoice"
    bill_no: Id
    breakdown: StrictBool = False


def breakdown_json(invoice: Invoice) -> list[Json]:
    """What an invoice's lines come to by account, subscription, price, period and tax, in the order of the lines.

    What belongs to no subscription is by account and tax. The sums are those of the lines: each line has its part of
    its group's tax.
    """
    groups: dict[tuple[object, ...], list[InvoiceLine]] = defaultdict(list)
    for line in invoice.lines:
        origin = line.origin or LineOrigin(invoice.ordered_for)
        period = None if origin.subscription_id is None else origin.period
        key = (origin.account, origin.subscription_id, origin.price_id, period, line.category, line.rate)
        groups[key].append(line)
    return [_group_json(invoice, lines) for lines in groups.values()]


def _group_json(invoice: Invoice, lines: list[InvoiceLine]) -> Json:
    first = lines[0]
    origin = first.origin or LineOrigin(invoice.ordered_for)
    net, tax = sum(line.tax_excluded_amount for line in lines), sum(line.tax_amount for line in lines)
    out: Json = {"billingAccount": account_ref(origin.account, "BillingAccount")}
    if origin.subscription_id is not None:
        out["subscriptionId"] = origin.subscription_id
        if origin.price_id is not None:
            out["priceId"] = origin.price_id
        if origin.period is not None:
            out["periodCoverage"] = period_json(origin.period)
    return {
        **out,
        "taxCategory": first.category,
        "taxRate": float(first.rate),
        "taxExcludedAmount": money_json(net, invoice.currency),
        "taxAmount": money_json(tax, invoice.currency),
        "taxIncludedAmount": money_json(net + tax, invoice.currency),
        "lines": [line.id for line in lines],
    }


class InvoiceList(Query):
    """A billing account's invoices, or those in the name of a partner's settlement account (`seller`), by number."""

    TYPE = "invoice.list"
    ANSWER: ClassVar[Shape] = page("Invoice")
    billing_account: Id | None = None
    seller: Id | None = None
    state: InvoiceState | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(place_of("invoice.list", str))] | None = None

    @model_validator(mode="after")
    def _of_one_of_both(self) -> Self:
        if (self.billing_account is None) == (self.seller is None):
            raise ValueError("needs billingAccount or seller, one of both")
        return self


QUERIES: tuple[type[Query], ...] = (
    InvoiceGet,
    InvoiceList,
)
