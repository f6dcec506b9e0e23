"""What operators are told: `message.parked`, which no fact of the domain's causes."""

from __future__ import annotations

from domain.frozen import dataclass
from schemas.event import Event
from schemas.values import Json


@dataclass(frozen=True, slots=True)
class MessageParked:
    """A message waits for an operator."""

    parked_id: str
    message_type: str
    message_id: str | None
    account: str | None
    business_key: str | None
    reason: str
    detail: str


def _message_parked(parked: MessageParked) -> Json:
    return {
        "parkedId": parked.parked_id,
        "messageType": parked.message_type,
        "messageId": parked.message_id,
        "account": parked.account,
        "businessKey": parked.business_key,
        "reason": parked.reason,
        "detail": parked.detail,
    }


EVENTS = (
    Event(
        "message.parked",
        MessageParked,
        "A message was put aside for an operator.",
        {
            "parkedId": str,
            "messageType": str,
            "messageId": (str, None),
            "account": (str, None),
            "businessKey": (str, None),
            "reason": "ErrorCode",
            "detail": str,
        },
        _message_parked,
        of_account=False,
    ),
)
