"""JSON schemas of what goes out, made of what messages, queries and events declare: results, answers and events."""

from __future__ import annotations

from typing import Any, get_args

from domain.accounts.model import PaymentStatus
from domain.accounts.opening import CLOSING_CYCLE
from domain.accounts.specifications import SPECIFICATIONS, Specification
from schemas import events, queries
from schemas.accounts.documents import DUNNING_PROCEDURE
from schemas.accounts.events import stored
from schemas.accounts.tmf666 import AccountType
from schemas.asyncapi.incoming import or_null, ref
from schemas.event import Event
from schemas.message import Message
from schemas.parties.legal_entity import LEGAL_ENTITY
from schemas.query import Query
from schemas.shapes import Shape
from schemas.tables import merged
from schemas.values import INTEGER_MAX, Json

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}


def schema(shape: Shape) -> Json:
    """The JSON schema of what the notation of `schemas.shapes` tells."""
    match shape:
        case str():
            return or_null(ref(shape[:-1])) if shape.endswith("?") else ref(shape)
        case type():
            return {"type": _PLAIN[shape]}
        case tuple():
            return _one_of(*shape)
        case [items]:
            return {"type": "array", "items": schema(items)}
    return {
        "type": "object",
        "required": [name for name in shape if not name.endswith("?")],
        "properties": {name.removesuffix("?"): schema(field) for name, field in shape.items()},
    }


def _one_of(*allowed: Any) -> Json:
    if len(allowed) == 1:
        return {"const": allowed[0]}
    return {"type": ["string", "null"]} if allowed == (str, None) else {"type": "string", "enum": list(allowed)}


ERRORS: dict[str, str] = {
    "malformed": "Not JSON, wrong encoding, too large, too deep, a field twice. Parked at once, its bytes kept.",
    "unknown-type": "Nothing handles this type. Parked at once.",
    "invalid": "Does not fit the schema or the values; `detail` names each field. Parked at once.",
    "unknown-account": "The account is not there (yet). Waits, then parked.",
    "unknown-specification": "The cycle, format or medium is not there (yet). Waits, then parked.",
    "unknown-seller": "Nothing is said of the seller, or there is no such version. A query is told.",
    "unknown-settlement": "The statement is not there (yet). Waits, then parked.",
    "unknown-document": "The document of a statement is not there (yet). Waits, then parked; a query is told so.",
    "unknown-invoice": "The invoice is not there (yet). Waits, then parked; a query is told so.",
    "unknown-credit-note": "The credit note is not there (yet). Waits, then parked; a query is told so.",
    "unknown-dispute": "The dispute is not there (yet). Waits, then parked; a query is told so.",
    "unknown-payout": "The payout is not there (yet). Waits, then parked.",
    "unknown-payment": "The payment is not there (yet). Waits, then parked; a query is told so.",
    "unknown-payment-request": "Nothing was requested under this id (yet). Waits, then parked.",
    "unknown-agreement": "The agreement is not there (yet). Waits, then parked; a query is told so.",
    "unknown-subscription": "The subscription is not there (yet). Waits, then parked; a query is told so.",
    "unknown-bill-run": "There is no such bill run. A query is told.",
    "insufficient-credit": "Too little is reserved, or credit. Waits; then the rest is recoverable, a transfer parked.",
    "unknown-message": "No message is held under this parked id: it is applied, or was never held. An act is parked.",
    "account-suspended": "The account is suspended, or not active yet. Waits, then parked.",
    "account-closed": "The account is closed, is to be, or is deleted. Parked at once.",
    "too-early": "The fact's own time is too far ahead of the worker's clock. Waits, then parked.",
    "correction-under-way": "Past days of the partner are being corrected. Waits, then parked; a query is told so.",
    "agreement-overlap": "Another agreement with the partner is in force on a day of it. Parked at once.",
    "currency-mismatch": "Another currency than the account's. Parked at once.",
    "day-gap": "A day is not begun. Waits, then parked; of a message of ours alone.",
    "conflicting-duplicate": "Other content for an identity that is used. Parked at once.",
    "revision-mismatch": "What it changes is not at the revision that `ifRevision` says. Parked at once.",
    "forbidden": "Not for this sender: it `replaces` what another one has sent. Parked at once. Of a query: it is "
    "for operators, and is asked for a party.",
    "over-credited": "More than is left of the line or of the invoice, or a total below zero. Parked at once.",
    "wrong-state": "What the state of a thing does not allow, as to reverse what is reversed. Parked at once.",
    "overpaid-payout": "More than is left of the statement. Parked at once.",
    "continued": "No error: what an applied message has left to do, held until that is done.",
    "dead-letter": "The broker gave up on the message. Parked.",
    "unavailable": "Broker or database away. A message is tried again without end, a query has to be asked again.",
    "internal": "A defect of ours. A message is tried again with delays, then parked with its traceback.",
}
"""When each error is told, and what happens to a message; a query is only told. What is held has one as its reason."""


def parts(documents: dict[str, Json]) -> dict[str, Json]:
    """The schemas that results, answers and events are made of; `documents` are those of TMF666's resources."""
    values: dict[str, Json] = {
        "Identity": {
            "type": "string",
            "description": "A fact: its type and business key, as `order.completed:O-1001`.",
        },
        "Revision": {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX},
        "Version": {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX},
        "ErrorCode": {"oneOf": [{"const": code, "description": said} for code, said in ERRORS.items()]},
        "Account": _account(documents["BillingAccount"]),
        "Seller": _seller(),
    }
    specifications = {stored(kind): _specification(kind) for kind in SPECIFICATIONS.values()}
    shapes = {name: schema(shape) for name, shape in merged(events.SHAPES, queries.SHAPES).items()}
    return merged(values, specifications, shapes)


def _account(billing: Json) -> Json:
    # A billing account has all the fields of the other types of account.
    told = schema(
        {
            "@type": get_args(AccountType),
            "id": "Id",
            "name": "Text",
            "state": "State",
            "lastUpdate": "Time",
            "currency": "Currency",
            "paymentTermDays": int,
            "settlementTerms?": "Terms",
            "accountBalance?": ["Balance"],
            "paymentStatus?": get_args(PaymentStatus),
            "revision?": "Revision",
        }
    )
    taken_before = {"description": "What an earlier version took, as an unknown field, may be anything."}
    ours = {
        LEGAL_ENTITY: ref("LegalEntity"),
        DUNNING_PROCEDURE: ref("DunningProcedureRef"),
        CLOSING_CYCLE: ref("ClosingCycle"),
    }
    odd = {name: {"anyOf": [schema, taken_before]} for name, schema in ours.items()}
    return {
        **told,
        "properties": {**billing["properties"], **told["properties"], **odd},
        "additionalProperties": True,
        "description": "A TMF666 account: the document that its client sent, extensions too, and what we say of it.",
    }


def _seller() -> Json:
    told = schema({"version": "Version", "lastUpdate": "Time"})
    return {
        "allOf": [ref("LegalEntity")],
        **told,
        "additionalProperties": True,
        "description": "The seller: what was sent, further fields too, and what we say of it.",
    }


def _specification(kind: type[Specification]) -> Json:
    told = schema({"@type": (kind.__name__,), "id": "Id", "lastUpdate": "Time", "revision?": "Revision"})
    return {"allOf": [ref(kind.__name__)], **told, "additionalProperties": True}


def reply(message: type[Message]) -> Json:
    """The payload of the reply to a command."""
    applied = {"outcome": ("applied", "duplicate"), "result": message.RESULT.shape}
    return {"oneOf": [schema(applied), schema({"outcome": ("parked",), "error": "Error"})]}


def answer(query: type[Query]) -> Json:
    """The payload of the answer to a query."""
    return {"oneOf": [schema({"result": query.ANSWER}), schema({"error": "Error"})]}


def event(declared: Event[Any]) -> Json:
    """The payload of an event: its envelope, typed as TMF666 does where it knows such an event."""
    told = {"eventType": (declared.routing_key,), "event": declared.shape}
    if declared.tmf is not None:
        told["@type"] = tuple(declared.tmf.names.values())
    return {"allOf": [ref("Envelope")], **schema(told)}
