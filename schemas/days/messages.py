"""The message that a day has come: `day.begin`."""

from __future__ import annotations

from typing import ClassVar, Self

from domain.days.model import BegunDay, DayResult
from schemas.message import InternalMessage, Result
from schemas.values import Date, Json


def _result(result: DayResult) -> Json:
    return {"date": result.date.isoformat()}


class DayBegin(InternalMessage):
    """`day.begin`: a date has come where the seller is. A worker says so to itself, nobody else may."""

    TYPE: ClassVar[str] = "day.begin"
    RESULT = Result(DayResult, {"date": "Date"}, _result)
    FACT = BegunDay

    date: Date

    def key(self, message_id: str | None) -> str:
        """The date: so a day is begun once, whichever worker says so."""
        return self.date.isoformat()

    def fact(self, key: str) -> BegunDay:
        """The day."""
        return BegunDay(self.date)

    @classmethod
    def of(cls, fact: BegunDay) -> Self:
        """The message that says that a day has come."""
        return cls.model_validate({"date": fact.date.isoformat()})


INTERNAL: tuple[type[InternalMessage], ...] = (DayBegin,)
