"""`credit-note.issue`: something of an invoice is taken back."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from domain.corrections.model import CreditedLine, NoteResult, NoteToIssue
from domain.money import Money
from schemas.message import Message, Part, Result, at_most, not_empty
from schemas.ordering.messages import ITEMS_MAX
from schemas.values import Id, Text, Time, parse_money, shown


def not_zero(value: Money) -> Money:
    """A check that an amount is not zero."""
    if value.amount == 0:
        raise ValueError("must not be zero: leave out the line")
    return value


Amount = Annotated[Money, BeforeValidator(parse_money), AfterValidator(not_zero)]
"""An amount of either sign."""


class Line(Part):
    """How much of a line's net is taken back, with the line's sign."""

    line_id: Id
    tax_excluded_amount: Amount


class CreditNoteIssue(Message):
    """`credit-note.issue`: a credit note (UNTDID 1001, 381) of an invoice; without `lines`, of all that is left."""

    TYPE: ClassVar[str] = "credit-note.issue"
    RESULT = Result(NoteResult, {"billNo": "Id"}, lambda result: {"billNo": result.bill_no})
    KEY_FIELD = "creditNoteId"

    credit_note_id: Id
    bill_no: Id
    issued_at: Time
    reason: Text
    lines: Annotated[tuple[Line, ...], AfterValidator(at_most(ITEMS_MAX)), AfterValidator(not_empty)] | None = None
    excess: Literal["credit", "refund"] = "credit"

    @model_validator(mode="after")
    def _each_line_once(self) -> Self:
        ids = [line.line_id for line in self.lines or ()]
        if len(set(ids)) < len(ids):
            again = next(n for n, id_ in enumerate(ids) if id_ in ids[:n])
            raise ValueError(f"lines.{again}.lineId: is an earlier line's (got {shown(ids[again])})")
        return self

    def key(self, message_id: str | None) -> str:
        """The note's id."""
        return self.credit_note_id

    def fact(self, key: str) -> NoteToIssue:
        """The note to issue."""
        lines = (
            None
            if self.lines is None
            else tuple(CreditedLine(line.line_id, line.tax_excluded_amount) for line in self.lines)
        )
        return NoteToIssue(self.credit_note_id, self.bill_no, self.issued_at, self.reason, lines, self.excess)


MESSAGES: tuple[type[Message], ...] = (CreditNoteIssue,)
