"""The queries about payments: what each is asked with, and its answer."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from schemas.payments.messages import PaymentId
from schemas.query import LIMIT_DEFAULT, Limit, Query, place_of
from schemas.shapes import Shape, page
from schemas.values import Id


class PaymentGet(Query):
    """One payment, or credit that is none, and what it covers now."""

    TYPE = "payment.get"
    ANSWER: ClassVar[Shape] = "Payment"
    payment_id: PaymentId


class PaymentList(Query):
    """A billing account's payments, and its other credit, by id."""

    TYPE = "payment.list"
    ANSWER: ClassVar[Shape] = page("Payment")
    billing_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(place_of("payment.list", str))] | None = None


QUERIES: tuple[type[Query], ...] = (PaymentGet, PaymentList)
