"""What a fact leaves to do after one transaction's worth, as messages of ours: held, and never taken from a queue."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from domain.payments.model import CreditAllocation
from domain.settlement.statements import Closing
from schemas.message import Message, Reference
from schemas.messages import MESSAGES
from schemas.values import Date, Id

Count = Annotated[int, Field(ge=1)]


class CreditAllocate(Message):
    """`credit.allocate`: the rest of what an account's credit covers."""

    TYPE: ClassVar[str] = "credit.allocate"

    billing_account: Reference
    sequence: Count

    def key(self, message_id: str | None) -> str:
        """The account and its last event's number, which is another one whenever there is a rest."""
        return f"{self.billing_account.id}/{self.sequence}"

    def fact(self, key: str) -> CreditAllocation:
        """The rest of an allocation."""
        return CreditAllocation(self.billing_account.id, self.sequence)


class SettlementContinue(Message):
    """`settlement.continue`: the rest of a closing, of which so many statements are made."""

    TYPE: ClassVar[str] = "settlement.continue"

    closing_id: Id
    settlement_account: Reference
    period_end: Date
    made: Count

    def key(self, message_id: str | None) -> str:
        """The closing and how far it is."""
        return f"{self.closing_id}/{self.made}"

    def fact(self, key: str) -> Closing:
        """The rest of a closing."""
        return Closing(self.closing_id, self.settlement_account.id, self.period_end, self.made)


HELD_MESSAGES: dict[str, type[Message]] = {
    **MESSAGES,
    **{message.TYPE: message for message in (CreditAllocate, SettlementContinue)},
}
"""The messages that may be held, by routing key: those that are handled, and these."""


def continuation(fact: object) -> tuple[str, bytes]:
    """The routing key and the body of what is left to do."""
    message: Message
    if isinstance(fact, CreditAllocation):
        message = CreditAllocate(billingAccount={"id": fact.billing_account}, sequence=fact.sequence)
    else:
        assert isinstance(fact, Closing), fact
        message = SettlementContinue(
            closingId=fact.id,
            settlementAccount={"id": fact.settlement_account},
            periodEnd=fact.period_end.isoformat(),
            made=fact.made,
        )
    return message.TYPE, message.model_dump_json(by_alias=True).encode()
