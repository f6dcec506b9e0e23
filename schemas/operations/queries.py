"""The queries about held messages: what each is asked with, and its answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from schemas.operations.acts import ActName, HeldState, Via
from schemas.query import LIMIT_DEFAULT, Limit, Query, When, place_of, time_place_of
from schemas.shapes import Shape, page
from schemas.values import Id, Text

REASONS = (
    "account-closed",
    "account-suspended",
    "agreement-overlap",
    "conflicting-duplicate",
    "continued",
    "correction-under-way",
    "currency-mismatch",
    "day-gap",
    "dead-letter",
    "forbidden",
    "insufficient-credit",
    "internal",
    "invalid",
    "malformed",
    "over-credited",
    "overpaid-payout",
    "revision-mismatch",
    "too-early",
    "unknown-account",
    "unknown-agreement",
    "unknown-credit-note",
    "unknown-document",
    "unknown-invoice",
    "unknown-message",
    "unknown-dispute",
    "unknown-payment",
    "unknown-payment-request",
    "unknown-payout",
    "unknown-settlement",
    "unknown-subscription",
    "unknown-specification",
    "unknown-type",
    "wrong-state",
)
"""Why a message may be held."""


def _is_a_reason(value: str) -> str:
    if value not in REASONS:
        raise ValueError(f"is no reason: there are {', '.join(REASONS)}")
    return value


# A body that is no text is told in base64.
_BODY: Shape = {"body?": str, "bodyBase64?": str, "bodyBytes": int}
_HELD: Shape = {
    "parkedId": str,
    "identity": "Identity",
    "state": get_args(HeldState),
    "messageType": str,
    "messageId": (str, None),
    "correlationId": str,
    "reason": "ErrorCode",
    "detail": str,
    "group": str,
    "place": str,
    "exception": (str, None),
    "account": (str, None),
    "businessKey": (str, None),
    "attempts": int,
    "deaths": int,
    "worker": str,
    "heldAt": "Time",
    "failedAt": "Time",
    "dueAt": "Time?",
    "waitsFor": (str, None),
    "seenAgain": int,
    "seenAgainAt": "Time?",
    "editedAt": "Time?",
    "editedFrom": (str, None),
    "editedInto": (str, None),
    "editedIntoAll?": [str],
    "discarded": "Discarding?",
}

# Who it was: the broker's word for it, a gateway's, or the command line's; and what a sender only claims to be.
_WHO: Shape = {"by": str, "claimed": (str, None), "via?": get_args(Via), "gateway?": str}

SHAPES: dict[str, Shape] = {
    "HeldMessage": _HELD,
    "MessageBody": {
        **_BODY,
        "messageType?": str,
        "messageId?": (str, None),
        "contentEncoding?": (str, None),
        "headers?": dict,
    },
    "OperatorAct": {
        "parkedId": str,
        "identity": "Identity",
        "act": get_args(ActName),
        **_WHO,
        "at": "Time",
        "why": "Text",
        "stateBefore": get_args(HeldState),
        "stateAfter": get_args(HeldState),
        "editedInto": (str, None),
        **{f"{name}?": field for name, field in _BODY.items()},
        "changed?": {
            "type?": str,
            "messageId?": str,
            "encoding?": str,
            "headers?": dict,
        },
    },
    "Discarding": {**_WHO, "at": "Time", "why": "Text"},
}
"""Parts of the answers, by name."""


class ParkedGroups(Query):
    """Held messages by what failed, the largest group first."""

    TYPE = "parked.groups"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = {
        "items": [
            {
                "group": str,
                "reason": "ErrorCode",
                "messageType": str,
                "place": str,
                "exception": (str, None),
                "count": int,
                "heldAt": "Time",
                "failedAt": "Time",
                "sample": {"parkedId": str, "detail": str},
            }
        ]
    }
    state: HeldState = "parked"


class ParkedList(Query):
    """Held messages, any combination of filters, oldest first; `from` and `to` are about when they came to be held."""

    TYPE = "parked.list"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = page("HeldMessage")
    state: HeldState = "parked"
    group: Text | None = None
    reason: Annotated[Text, AfterValidator(_is_a_reason)] | None = None
    type: Text | None = None
    account: Id | None = None
    since: When | None = Field(None, alias="from")
    until: When | None = Field(None, alias="to")
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of("parked.list"))] | None = None


class ParkedGet(Query):
    """One held message, whole, with what came in first if it was edited."""

    TYPE = "parked.get"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = {
        **_HELD,
        **_BODY,
        "original": "MessageBody?",
        "properties": dict,
        "headers": dict,
        "traceback": (str, None),
        "acts": ["OperatorAct"],
    }
    id: Text


class ParkedAccounts(Query):
    """The accounts that have something held, and what that keeps from happening, by id."""

    TYPE = "parked.accounts"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = page(
        {
            "account": "Id",
            "held": [
                {
                    "messageType": str,
                    "state": get_args(HeldState),
                    "count": int,
                    "heldAt": "Time",
                    "keepsFromHappening": str,
                }
            ],
        }
    )
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[str], BeforeValidator(place_of(TYPE, str))] | None = None


class ParkedHistory(Query):
    """What operators did, with one message or with all, oldest first."""

    TYPE = "parked.history"
    SEEN_BY_A_PARTY = "nothing"
    ANSWER: ClassVar[Shape] = page("OperatorAct")
    id: Text | None = None
    limit: Limit = LIMIT_DEFAULT
    after: Annotated[tuple[datetime, str], BeforeValidator(time_place_of("parked.history"))] | None = None


QUERIES: tuple[type[Query], ...] = (
    ParkedGroups,
    ParkedList,
    ParkedGet,
    ParkedAccounts,
    ParkedHistory,
)
