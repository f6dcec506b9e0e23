"""What the AsyncAPI document once told it goes on telling: nothing is gone, or told otherwise."""

import gzip
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from schemas.asyncapi import asyncapi

RECORD = Path(__file__).parents[1] / "fixtures" / "asyncapi-1.0.0.json.gz"
"""As it was when messages, channels and operations still had one namespace."""


def recorded() -> Any:
    """The recorded document, its parts under the names that they have now."""
    old = json.loads(gzip.decompress(RECORD.read_bytes()))
    names = {"dead-letter": "dead-letter"}
    for operation, said in old["operations"].items():
        action, _, name = operation.partition(".")
        if name not in names:
            asked = said["channel"]["$ref"] == "#/channels/paymaster.queries"
            kind = "event" if action == "send" else "query" if asked else "command"
            names |= {name: f"{kind}.{name}", f"{name}.reply": f"{kind}-reply.{name}"}

    def renamed(members: Any) -> Any:
        return {names.get(name, name): member for name, member in members.items()}

    def reference(match: re.Match[str]) -> str:
        return match[1] + names.get(match[2], match[2])

    text = re.sub(r'(#/channels/|/messages/)([^/"]+)', reference, json.dumps(old))
    text = text.replace("{1,64}", "{1,128}").replace('"maxLength": 72', '"maxLength": 136')  # ids may be longer now
    new = json.loads(text)
    new["channels"] = {
        name: {**channel, "messages": renamed(channel["messages"])}
        for name, channel in renamed(new["channels"]).items()
    }
    new["components"]["messages"] = renamed(new["components"]["messages"])
    del new["components"]["schemas"]["Base64"]["maxLength"]  # a file is no text
    # A statement is asked for by its own id, which may have a number at its end.
    asked = new["components"]["messages"]["query.settlement.get"]["payload"]["properties"]
    asked["id"] = {"allOf": [{"$ref": "#/components/schemas/StatementId"}], "maxLength": 136}
    new["operations"] = {
        f"{action}.{names[name]}": said
        for (action, name), said in ((operation.split(".", 1), said) for operation, said in new["operations"].items())
    }
    # A query is asked by an exchange, as a message is sent; the queue's channel still has them all.
    for operation, said in new["operations"].items():
        if operation.startswith("receive.query."):
            name = operation.removeprefix("receive.")
            said["channel"] = {"$ref": f"#/channels/{name}"}
            said["messages"] = [{"$ref": f"#/channels/{name}/messages/{name}"}]
    return new


LOOSER = (
    # Credit that is no payment covers invoices too.
    "/components/schemas/AllocatedPayment/properties/paymentId/$ref",
    # A URL may hold a file itself.
    "/components/schemas/Attachment/properties/url/$ref",
    "/components/schemas/AttachmentRef/properties/url/$ref",
    # An invoice may be a bill's, which has no order.
    "/components/schemas/Invoice/required/3",
    "/components/schemas/Invoice/properties/appliedPayment/items/properties/payment/properties/id/$ref",
    # An edit may leave the body as it is, and what was edited is told with its envelope.
    "/components/schemas/ParkedEdit/properties/body/$ref",
    "/components/schemas/ParkedEdit/required/1",
    # A payout that was requested has its statement's id.
    "/components/schemas/PayoutCompleted/properties/payoutId/$ref",
    # Terms by which we sell in a partner's name have a commission.
    "/components/schemas/Terms/required",
    # Nor has what tells of it.
    "/components/messages/event.invoice.issued/payload/properties/event/required/1",
    # Invoices are listed of an account, or of a seller.
    "/components/messages/query.invoice.list/payload/properties/billingAccount/$ref",
    "/components/messages/query.invoice.list/payload/required",
    "/components/messages/event.invoice.paid/payload/properties/event/required/1",
    "/components/messages/event.invoice.partially-paid/payload/properties/event/required/1",
    # An order of several sellers has several invoices.
    "/components/messages/command-reply.order.completed/payload/oneOf/0",
    "/components/messages/event.settlement.accrued/payload/properties/event/properties/lines/items/required/0",
    # The routing key by which a query is asked is its name.
    "/components/messageTraits/query/headers/required/0",
)
"""What takes more, or tells more, than it did: nobody who relied on it is in the wrong."""


def lost(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """Where the new value does not say what the old one said; prose may be another, and there may be more."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in old:
            if name not in new:
                yield f"{at}/{name}"
            elif name not in ("description", "summary"):
                yield from lost(old[name], new[name], f"{at}/{name}")
    elif isinstance(old, list) and isinstance(new, list):
        for n, item in enumerate(old):
            if all(next(lost(item, other), None) is not None for other in new):
                yield f"{at}/{n}"
    elif old != new:
        yield at


def test_nothing_is_lost():
    """Messages, replies, channels, operations, schemas, headers and limits."""
    assert tuple(lost(recorded(), asyncapi())) == LOOSER


@pytest.mark.parametrize(
    "path",
    [
        "channels/command.order.completed/address",
        "operations/receive.query.account.get/reply/messages/0",
        "components/messages/event.invoice.paid/payload/allOf/0",
        "components/schemas/ErrorCode/oneOf/3",
        "components/schemas/OrderCompleted/required/2",
        "components/messageTraits/account-event/headers/properties/account-sequence",
    ],
)
def test_what_is_lost_is_found(path):
    """A part that is taken out of the document is missed."""
    document = deepcopy(asyncapi())
    *way, last = path.split("/")
    part: Any = document
    for step in way:
        part = part[int(step)] if isinstance(part, list) else part[step]
    del part[int(last) if isinstance(part, list) else last]
    assert set(lost(recorded(), document)) - set(LOOSER) == {f"/{path}"}
