"""What goes out, as `schemas.events`, `schemas.answers` and the handlers make it: results, answers and events.

All of it is told in one notation: a name is the schema of that name, and with a `?` at its end that or null; a tuple is
an enumeration (`(str, None)` a text or null), a list an array of its one element, and a mapping an object whose fields
are always there but for those that end in `?`. A type of Python's is JSON's type of the same kind.
"""

from __future__ import annotations

from typing import Any, cast, get_args

from domain.accounts.model import FINANCIAL, State
from domain.accounts.specifications import SPECIFICATIONS, Specification
from schemas.accounts.tmf666 import Happened, event_type
from schemas.asyncapi.incoming import Json, or_null, ref
from schemas.events import BALANCES
from schemas.operations.acts import ActName
from schemas.queries import AccountType, HeldState, InvoiceState, LiveState, PaymentStatus
from schemas.values import INTEGER_MAX

Shape = Any

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object"}


def schema(shape: Shape) -> Json:
    """The JSON schema of what this module's notation tells."""
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


def _ref_to(type_: str) -> Shape:
    return {"@type": (f"{type_}Ref",), "@referredType": (type_,), "id": "Id"}


_STATES = get_args(State)
_TYPES = get_args(AccountType)
_BALANCES = BALANCES[FINANCIAL]
_TOTALS = dict.fromkeys(_BALANCES, "Money")
_STANDING = {**_TOTALS, "paymentStatus?": get_args(PaymentStatus)}
_ACCRUED = {"orderId": "Id", "billNo": "Id", "lineId": "Id", "amount": "Money"}

# A body that is no text is told in base64.
_BODY = {"body?": str, "bodyBase64?": str, "bodyBytes": int}
_HELD = {
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
    "attempts": int,
    "deaths": int,
    "worker": str,
    "heldAt": "Time",
    "failedAt": "Time",
    "dueAt": "Time?",
    "waitsFor": (str, None),
    "editedAt": "Time?",
    "editedFrom": (str, None),
    "editedInto": (str, None),
    "discarded": "Discarding?",
}

ERRORS: dict[str, str] = {
    "malformed": "Not JSON, wrong encoding, too large or too deep. Parked at once, the bytes kept as they came.",
    "unknown-type": "Nothing handles this type. Parked at once.",
    "invalid": "Does not fit the schema or the values; `detail` names each field. Parked at once.",
    "unknown-account": "The account is not there (yet). Waits, then parked.",
    "unknown-specification": "The cycle, format or medium is not there (yet). Waits, then parked.",
    "unknown-settlement": "The statement is not there (yet). Waits, then parked.",
    "unknown-invoice": "The invoice that a query asks for is not there.",
    "unknown-message": "No message is held under this parked id: it is applied, or was never held. An act is parked.",
    "account-suspended": "The account is suspended, or not active yet. Waits, then parked.",
    "account-closed": "The account is closed, is to be, or is deleted. Parked at once.",
    "currency-mismatch": "Another currency than the account's. Parked at once.",
    "conflicting-duplicate": "Other content for an identity that is used. Parked at once.",
    "revision-mismatch": "The account is not at the revision that `ifRevision` says. Parked at once.",
    "overpaid-payout": "More than is left of the statement. Parked at once.",
    "dead-letter": "The broker gave up on the message. Parked.",
    "unavailable": "Broker or database away. A message is tried again without end, a query has to be asked again.",
    "internal": "A defect of ours. A message is tried again with delays, then parked with its traceback.",
}
"""When each error is told, and what happens to a message; a query is only told."""

SHAPES: dict[str, Shape] = {
    "Money": {"unit": "Currency", "value": float},
    "BillingAccountReference": _ref_to("BillingAccount"),
    "SettlementAccountReference": _ref_to("SettlementAccount"),
    "Balance": {"@type": ("AccountBalance",), "balanceType": _BALANCES, "amount": "Money"},
    "Totals": _TOTALS,
    "AccountNode": {
        "id": "Id",
        "@type": _TYPES,
        "name": "Text",
        "state": get_args(LiveState),
        "currency": "Currency",
        **_STANDING,
        "children": ["AccountNode"],
    },
    "AccountVersion": {
        "version": int,
        "revision": "Revision",
        "bookedAt": "Time",
        "changed": [str],
        "oldState": "State?",
        "newState": "State",
        "reason": "Text?",
        "cause": "Identity",
        "messageId": (str, None),
        "userId": (str, None),
        "appId": (str, None),
        "correlationId": (str, None),
        "account": "Account",
    },
    "Movement": {
        "entry": "Identity",
        "occurredAt": "Time",
        "bookedAt": "Time",
        "movement": int,
        "postings": [{"account": _BALANCES, "amount": "Money"}],
        "balance": "StatementBalance",
    },
    "StatementBalance": {f"{name}?": "Money" for name in _BALANCES if name != "overdue"},
    "Invoice": {
        "@type": ("CustomerBill",),
        "id": "Id",
        "billNo": "Id",
        "orderId": "Id",
        "billDate": "Date",
        "paymentDueDate": "Date",
        "taxPointDate": "Date",
        "state": get_args(InvoiceState),
        "billingAccount": "BillingAccountReference",
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "taxItem": [
            {
                "@type": ("TaxItem",),
                "taxCategory": "Id",
                "taxRate": float,
                "taxExcludedAmount": "Money",
                "taxAmount": "Money",
            }
        ],
        "amountDue": "Money",
        "remainingAmount": "Money",
        "appliedPayment": [
            {
                "@type": ("AppliedPayment",),
                "appliedAmount": "Money",
                "payment": {"@type": ("PaymentRef",), "id": "Id"},
            }
        ],
        "lines": ["InvoiceLine"],
    },
    "InvoiceLine": {
        "@type": ("AppliedCustomerBillingRate",),
        "id": "Id",
        "description?": "Text",
        "isBilled": (True,),
        "bill": {"@type": ("CustomerBillRef",), "id": "Id"},
        "billingAccount": "BillingAccountReference",
        "quantity": "Decimal",
        "unitPrice": "Decimal",
        "taxExcludedAmount": "Money",
        "taxIncludedAmount": "Money",
        "appliedTax": [
            {"@type": ("AppliedBillingTaxRate",), "taxCategory": "Id", "taxRate": float, "taxAmount": "Money"}
        ],
        "onBehalfOf?": "SettlementAccountReference",
    },
    "AllocatedPayment": {
        "@type": ("Payment",),
        "paymentId": "Id",
        "receivedAt": "Time",
        "billingAccount": "BillingAccountReference",
        "amount": "Money",
        "method?": "Text",
        "invoices?": ["Text"],
    },
    "Settlement": {
        "@type": ("Settlement",),
        "id": "StatementId",
        "settlementAccount": "SettlementAccountReference",
        "periodEnd": "Date",
        "lines": ["SettlementLine"],
        "total": "Money",
        "broughtForward": "Money",
        "paidAmount": "Money",
        "state": "SettlementState",
    },
    "SettlementLine": {
        "lineType": ("accrual", "broughtForward"),
        "settlementId?": "StatementId",
        "orderId?": "Id",
        "billNo?": "Id",
        "lineId?": "Id",
        "date?": "Date",
        "amount": "Money",
    },
    "HeldMessage": _HELD,
    "MessageBody": _BODY,
    "OperatorAct": {
        "parkedId": str,
        "identity": "Identity",
        "act": get_args(ActName),
        "by": str,
        "at": "Time",
        "why": "Text",
        "stateBefore": get_args(HeldState),
        "stateAfter": get_args(HeldState),
        "editedInto": (str, None),
        **{f"{name}?": field for name, field in _BODY.items()},
    },
    "SettlementState": ("open", "partiallyPaid", "paid", "carriedForward"),
    "State": _STATES,
    "Discarding": {"by": str, "at": "Time", "why": "Text"},
    "Error": {"code": "ErrorCode", "detail": str},
    "Envelope": {
        "eventId": str,
        "eventType": str,
        "eventTime": "Time",
        "correlationId": str,
        "event": dict,
    },
}
"""Parts of what goes out, by name."""


def parts(documents: dict[str, Json]) -> dict[str, Json]:
    """The schemas that results, answers and events are made of; `documents` are those of TMF666's resources."""
    return {
        "Identity": {
            "type": "string",
            "description": "A fact: its type and business key, as `order.completed:O-1001`.",
        },
        "Revision": {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX},
        "ErrorCode": {"oneOf": [{"const": code, "description": said} for code, said in ERRORS.items()]},
        **{name: schema(shape) for name, shape in SHAPES.items()},
        "Account": _account(documents["BillingAccount"]),
        **{_stored(kind): _specification(kind) for kind in SPECIFICATIONS.values()},
    }


def _account(billing: Json) -> Json:
    # A billing account has all the fields of the other types of account.
    told = schema(
        {
            "@type": _TYPES,
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
    return {
        **told,
        "properties": {**billing["properties"], **told["properties"]},
        "additionalProperties": True,
        "description": "A TMF666 account: the document that its client sent, extensions too, and what we say of it.",
    }


def _stored(kind: type[Specification]) -> str:
    return f"Stored{kind.__name__}"


def _specification(kind: type[Specification]) -> Json:
    told = schema({"@type": (kind.__name__,), "id": "Id", "lastUpdate": "Time", "revision?": "Revision"})
    return {"allOf": [ref(kind.__name__)], **told, "additionalProperties": True}


_OF_ACCOUNT = {"id": "Id", "revision": "Revision", "account": "Account"}

RESULTS: dict[str, Shape] = {
    "account": _OF_ACCOUNT,
    "order": {"billNo": "Id"},
    "payment": {"billNos": ["Id"]},
    "settlement": {"settlementIds": ["StatementId"]},
    "payout": {"settlementId": "StatementId", "state": "SettlementState"},
    "parked": {
        "messages": [{"id": str, "state?": get_args(HeldState), "editedInto?": str, "refused?": "Error"}],
    },
    **{
        name: {"id": "Id", "revision": "Revision", "specification": _stored(kind)}
        for name, kind in SPECIFICATIONS.items()
    },
}
"""What a command that is applied is answered with, by the first part of its routing key."""


def _page(item: Shape) -> Shape:
    return {"items": [item], "after": "Cursor?"}


ANSWERS: dict[str, Shape] = {
    "account.get": "Account",
    "account.list": _page("Account"),
    "account.balance": {
        "id": "Id",
        "@type": _TYPES,
        "currency": "Currency",
        **_STANDING,
        "tree": {"accounts": int, "balances": ["Totals"]},
    },
    "account.tree": {"account": "AccountNode", "total": ["Totals"]},
    "account.statement": {
        "id": "Id",
        "currency": "Currency",
        "from": "Time?",
        "to": "Time",
        "opening": "StatementBalance",
        "closing": "StatementBalance",
        **_page("Movement"),
    },
    "account.history": _page("AccountVersion"),
    "invoice.get": "Invoice",
    "invoice.list": _page("Invoice"),
    "settlement.get": "Settlement",
    "settlement.list": _page("Settlement"),
    "parked.groups": {
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
    },
    "parked.list": _page("HeldMessage"),
    "parked.get": {
        **_HELD,
        **_BODY,
        "original": "MessageBody?",
        "properties": dict,
        "headers": dict,
        "traceback": (str, None),
        "acts": ["OperatorAct"],
    },
    "parked.accounts": _page(
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
    ),
    "parked.history": _page("OperatorAct"),
    **{f"{name}.get": _stored(kind) for name, kind in SPECIFICATIONS.items()},
    **{f"{name}.list": _page(_stored(kind)) for name, kind in SPECIFICATIONS.items()},
}
"""What a query is answered with, by its name."""

_ACCOUNT = {"account": "Account", "revision": "Revision"}
_STATE = {**_ACCOUNT, "changed": [str], "oldState": "State", "newState": "State", "reason?": "Text"}
_INVOICE = {"invoice": "Invoice", "orderId": "Id"}


def _field(kind: type[Specification]) -> str:
    return kind.__name__[0].lower() + kind.__name__[1:]


EVENTS: dict[str, tuple[str, Shape]] = {
    "account.created": ("An account was opened.", _ACCOUNT),
    "account.changed": ("An account's document was changed.", {**_ACCOUNT, "changed": [str]}),
    "account.state-changed": ("An account came into any other state than closed or deleted.", _STATE),
    "account.closed": ("An account was closed: nothing is open.", _STATE),
    "account.deleted": ("An account that was never posted to was deleted.", _STATE),
    "account.credit-limit-exceeded": (
        "What an account owes, less its credit, went over its limit. Told once a crossing.",
        {**_ACCOUNT, "balance": "Money", "limit": "Money"},
    ),
    "invoice.issued": ("An order was billed: the invoice before any credit.", _INVOICE),
    "invoice.partially-paid": ("A part of an invoice was paid.", _INVOICE),
    "invoice.paid": ("The rest of an invoice was paid.", _INVOICE),
    "payment.allocated": (
        "A payment, or what is left of it, covered invoices.",
        {
            "payment": "AllocatedPayment",
            "allocations": [{"billNo": "Id", "amount": "Money"}],
            "notAllocated": ["Text"],
            "unapplied": "Money",
        },
    ),
    "settlement.accrued": (
        "A partner has a share in what was billed or paid.",
        {
            "settlementAccount": "SettlementAccountReference",
            "amount": "Money",
            "cause": "Identity",
            "lines": [_ACCRUED],
        },
    ),
    "settlement.closed": ("A partner's statement was made.", {"settlement": "Settlement"}),
    "settlement.paid": ("A payout paid a statement, or a part of it.", {"settlement": "Settlement"}),
    "message.parked": (
        "A message was put aside for an operator.",
        {"parkedId": str, "messageType": str, "messageId": (str, None), "reason": "ErrorCode", "detail": str},
    ),
    **{
        f"{name}.{happened}": (
            f"One {name.replace('-', ' ')} was {happened}.",
            {
                _field(kind): _stored(kind),
                "revision": "Revision",
                **({"changed": [str]} if happened == "changed" else {}),
            },
        )
        for name, kind in SPECIFICATIONS.items()
        for happened in ("created", "changed", "deleted")
    },
}
"""What each event tells and holds, by routing key."""


def reply(routing_key: str) -> Json:
    """The payload of a command's reply."""
    applied = {"outcome": ("applied", "duplicate"), "result": RESULTS.get(routing_key.partition(".")[0], dict)}
    return {"oneOf": [schema(applied), schema({"outcome": ("parked",), "error": "Error"})]}


def answer(query: str) -> Json:
    """The payload of a query's answer."""
    return {"oneOf": [schema({"result": ANSWERS.get(query, dict)}), schema({"error": "Error"})]}


def event(routing_key: str) -> Json:
    """The payload of an event: its envelope, typed as TMF666 does where it knows such an event."""
    _, shape = EVENTS[routing_key]
    told = {"eventType": (routing_key,), "event": shape}
    resource, _, happened = routing_key.partition(".")
    kinds = _TYPES if resource == "account" else ()
    if resource in SPECIFICATIONS:
        kinds = (SPECIFICATIONS[resource].__name__,)
    if kinds and happened in get_args(Happened):
        told["@type"] = tuple(event_type(kind, cast("Happened", happened)) for kind in kinds)
    return {"allOf": [ref("Envelope")], **schema(told)}


def is_of_an_account(routing_key: str) -> bool:
    """Whether an event is numbered, as the events of each account are."""
    return routing_key != "message.parked" and routing_key.partition(".")[0] not in SPECIFICATIONS
