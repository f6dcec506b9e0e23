"""The queries about partners' statements: what each is asked with, and its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from schemas.query import LIMIT_DEFAULT, Limit, Query, time_place_of
from schemas.settlement.messages import StatementId
from schemas.shapes import Shape, page
from schemas.values import Id


class SettlementGet(Query):
    """One statement of a partner's."""

    TYPE = "settlement.get"
    ANSWER: ClassVar[Shape] = "Settlement"
    id: StatementId


class SettlementList(Query):
    """A partner's statements, oldest first."""

    TYPE = "settlement.list"
    ANSWER: ClassVar[Shape] = page("Settlement")
    settlement_account: Id
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of(TYPE))] | None = None


QUERIES: tuple[type[Query], ...] = (
    SettlementGet,
    SettlementList,
)
