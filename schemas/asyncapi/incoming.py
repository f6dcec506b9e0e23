"""JSON schemas of what comes in, generated from the models that read it: a message that is added is described as well.

Schemas are JSON Schema draft 7, as AsyncAPI has them, by name; they refer to each other as components of the document.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from domain.money import AMOUNT_MAX
from schemas.accounts.messages import AccountCreate, AccountUpdate, SpecificationCreate
from schemas.accounts.tmf666 import DOCUMENTS, AccountType, OneOf, base64_text, not_empty_text, url_text
from schemas.billing.messages import CHARGE_ID, parse_charge_id
from schemas.corrections.messages import CREDIT_NOTE_ID, parse_credit_note_id
from schemas.message import Message, at_most, not_empty
from schemas.operations.messages import EDITED_BYTES_MAX, parse_body
from schemas.parties.legal_entity import (
    LEGAL_ENTITY,
    LegalEntity,
    parse_bic,
    parse_country,
    parse_email,
    parse_iban,
    parse_vat_id,
)
from schemas.parties.messages import SellerUpdate
from schemas.payments.messages import PAYMENT_ID, parse_payment_id
from schemas.query import CURSOR_MAX, Query, Seen, parse_when
from schemas.settlement.messages import PAYOUT_ID_MAX, STATEMENT_ID_MAX, parse_payout_id, parse_statement_id
from schemas.values import (
    AMOUNT,
    DECIMAL,
    DIGITS_MAX,
    ID,
    TEXT_MAX,
    Json,
    parse_currency,
    parse_date,
    parse_decimal,
    parse_id,
    parse_money,
    parse_rate,
    parse_text,
    parse_time,
    positive,
)
from schemas.wire import FACTS_MAX

REFERENCE = "#/components/schemas/{model}"


def ref(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": REFERENCE.format(model=name)}


def or_null(schema: Json) -> Json:
    """What a schema describes, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_NUMBER = {"type": ["number", "string"]}
_TEXT: Json = {"type": "string", "maxLength": TEXT_MAX, "pattern": "^[^\\u0000]*$"}
VALUES: dict[str, Json] = {
    "Id": {"type": "string", "pattern": f"^{ID.pattern}$"},
    "ForeignId": {**_TEXT, "minLength": 1, "description": "An id that another system gave."},
    "StatementId": {
        "type": "string",
        "pattern": f"^{ID.pattern}(-[0-9]+)?$",
        "maxLength": STATEMENT_ID_MAX,
        "description": "The closing's id, and of its further statements with their number: `C-1`, `C-1-2`.",
    },
    "PayoutId": {
        "type": "string",
        "pattern": f"^{ID.pattern}(-[0-9]+)?(-r[0-9]+)?$",
        "maxLength": PAYOUT_ID_MAX,
        "description": "A payout's id; of one that was requested, its statement's, and of what was requested again "
        "with a number: `C-1`, `C-1-r2`.",
    },
    "PaymentId": {
        "type": "string",
        "pattern": f"^({PAYMENT_ID.pattern})$",
        "description": "A payment's id; of credit that is none, what it is and its id: `credit~C-1` is goodwill, "
        "`transfer~T-1~1` the first part of a transfer, `netting~C-1` what was netted with a statement.",
    },
    "ChargeId": {
        "type": "string",
        "pattern": f"^({CHARGE_ID.pattern})$",
        "description": "A charge's id; of what a step of dunning charges, the account and the day: "
        "`dunning~BA-1~2026-12-01`.",
    },
    "CreditNoteId": {
        "type": "string",
        "pattern": f"^({CREDIT_NOTE_ID.pattern})$",
        "description": "A credit note's id; of one beside a bill, its identity and the corrected invoice's number: "
        "`bill.demand:D-1:INV-000000001`.",
    },
    "Text": _TEXT,
    "Base64": {"type": "string", "contentEncoding": "base64", "pattern": _TEXT["pattern"]},
    "Url": {
        "type": "string",
        "anyOf": [{"maxLength": TEXT_MAX}, {"pattern": "^[Dd][Aa][Tt][Aa]:[^,]*,[!-~]*$"}],
        "pattern": _TEXT["pattern"],
        "description": f"At most {TEXT_MAX:,} characters; a `data:` URL is as long as the file that it holds.",
    },
    "Decimal": {
        **_NUMBER,
        "pattern": f"^{DECIMAL.pattern}$",
        "exclusiveMinimum": -(10**11),
        "exclusiveMaximum": 10**11,
        "description": f"Without an exponent; with more than {DIGITS_MAX} significant digits only as a string.",
    },
    "Rate": {
        **_NUMBER,
        "pattern": r"^(0{1,11}(\.[0-9]{1,8})?|0{0,10}1(\.0{1,8})?)$",
        "minimum": 0,
        "maximum": 1,
        "description": "0.2 is 20 %; 0.2 and 0.20 are one rate.",
    },
    "Time": {"type": "string", "format": "date-time", "description": "RFC 3339 with an offset; kept in UTC."},
    "Date": {"type": "string", "format": "date", "pattern": _DAY},
    "When": {
        "type": "string",
        "anyOf": [{"format": "date", "pattern": _DAY}, {"format": "date-time"}],
        "description": "A time, or a date where the seller is: `from` its beginning, `to` its end.",
    },
    "Currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217 code."},
    "MoneyIn": {
        "type": "object",
        "required": ["unit", "value"],
        "properties": {
            "unit": ref("Currency"),
            "value": {
                **_NUMBER,
                "pattern": f"^{AMOUNT.pattern}$",
                "minimum": -AMOUNT_MAX,
                "maximum": AMOUNT_MAX,
            },
        },
        "description": "TMF Money, never with more decimals than the currency has.",
    },
    "PositiveMoneyIn": {
        "allOf": [ref("MoneyIn")],
        "properties": {"value": {"exclusiveMinimum": 0, "pattern": "^[0-9.]*[1-9][0-9.]*$"}},
        "description": "More than zero.",
    },
    "Country": {"type": "string", "pattern": "^[A-Z]{2}$", "description": "ISO 3166-1 alpha-2."},
    "VatId": {
        **_TEXT,
        "description": "With its country's two letters; of a member state of the EU its check digits fit. Spaces, "
        "dots, hyphens and lower case do not matter.",
    },
    "Iban": {**_TEXT, "description": "ISO 13616, its check digits fit. Spaces and lower case do not matter."},
    "Bic": {**_TEXT, "description": "ISO 9362: 8 or 11 letters and digits."},
    "Email": {**_TEXT, "description": "Something, one @, something."},
    "EditedBody": {
        "type": "string",
        "maxLength": EDITED_BYTES_MAX,
        "description": f"The body as a text, which is JSON itself; at most {EDITED_BYTES_MAX} bytes in UTF-8.",
    },
    "Cursor": {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]+$",
        "maxLength": CURSOR_MAX,
        "description": "`after` of the page before, as it came: opaque.",
    },
}
"""The values that messages are made of."""

_READERS: dict[Any, str] = {
    parse_id: "Id",
    parse_text: "Text",
    parse_decimal: "Decimal",
    parse_time: "Time",
    parse_date: "Date",
    parse_currency: "Currency",
    parse_money: "MoneyIn",
    parse_rate: "Rate",
    positive: "PositiveMoneyIn",
    not_empty_text: "ForeignId",
    base64_text: "Base64",
    url_text: "Url",
    parse_statement_id: "StatementId",
    parse_payout_id: "PayoutId",
    parse_payment_id: "PaymentId",
    parse_credit_note_id: "CreditNoteId",
    parse_charge_id: "ChargeId",
    parse_when: "When",
    parse_body: "EditedBody",
    parse_country: "Country",
    parse_vat_id: "VatId",
    parse_iban: "Iban",
    parse_bic: "Bic",
    parse_email: "Email",
}
"""The functions that read values out of JSON, each with the value that it takes."""


class _Schemas(GenerateJsonSchema):
    """Pydantic's generator, but that values are what our own functions take, and nothing has a title."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Json:
        """A value by its name."""
        return self._value(schema) or super().function_before_schema(schema)

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> Json:
        """A value by its name, an array with its limits."""
        named = self._value(schema)
        if named:
            return named
        found: Json = super().function_after_schema(schema)
        check = schema["function"]["function"]
        if check is not_empty:
            found["minItems"] = 1
        elif getattr(check, "__qualname__", "").startswith(f"{at_most.__name__}."):
            found["maxItems"] = inspect.getclosurevars(check).nonlocals["limit"]
        return found

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> Json:
        """One of TMF666's kinds that may stand in a place. They are told apart by `@type`, which may be left out."""
        place = getattr(schema["function"]["function"], "__self__", None)
        if not isinstance(place, OneOf):
            return super().function_plain_schema(schema)
        kinds = [self.generate_inner(kind.__pydantic_core_schema__) for kind in place.kinds.values()]
        return {"anyOf": kinds, "description": f"By `@type`: {', '.join(place.kinds)}."}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        """What is null unless said has no default worth telling."""
        found: Json = super().default_schema(schema)
        return {key: value for key, value in found.items() if key != "default" or value is not None}

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        """A model without a title: its name says it."""
        return {key: value for key, value in super().model_schema(schema).items() if key != "title"}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a title would only repeat the field's name."""
        return False

    def _value(self, schema: Any) -> Json | None:
        name = _READERS.get(schema["function"]["function"])
        return self.generate_inner(core_schema.any_schema(ref=name)) if name else None


class _DocumentSchemas(_Schemas):
    """For TMF666's documents, which know no null: one that is sent counts as not said."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        """What it is when it is said."""
        return self.generate_inner(schema["schema"])


def _generated(model: type[BaseModel], generator: type[_Schemas]) -> dict[str, Json]:
    """A model's schema, under its class's name, and those of its parts; values only as references."""
    schema = model.model_json_schema(ref_template=REFERENCE, schema_generator=generator)
    parts: dict[str, Json] = {name: part for name, part in schema.pop("$defs", {}).items() if name not in VALUES}
    return {name: _with_lone_refs(part) for name, part in {**parts, model.__name__: schema}.items()}


def _with_lone_refs(value: Any) -> Any:
    """The same schema, but that what stands beside a reference, where draft 7 does not look, stands around it."""
    if isinstance(value, list):
        return [_with_lone_refs(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str) and len(value) > 1:
        return {"allOf": [{"$ref": value["$ref"]}], **{key: more for key, more in value.items() if key != "$ref"}}
    return {key: _with_lone_refs(item) for key, item in value.items()}


def documents() -> dict[str, Json]:
    """The schemas of the resources and all their parts, as clients may send them."""
    found: dict[str, Json] = {}
    for resource in DOCUMENTS.values():
        found |= _generated(resource, _DocumentSchemas)
    return found


def commands(messages: Mapping[str, type[Message]]) -> tuple[dict[str, Json], dict[str, Json]]:
    """The payload of each of these messages by its routing key, and the schemas that they refer to."""
    payloads: dict[str, Json] = {}
    schemas = {**documents(), **_generated(LegalEntity, _Schemas)}
    for routing_key, message in messages.items():
        creates_document = issubclass(message, AccountCreate | SpecificationCreate)
        generated = _generated(message, _DocumentSchemas if creates_document else _Schemas)
        fact = _undescribed(generated.pop(message.__name__))
        if issubclass(message, AccountCreate):
            fact = _account_create(fact)
        elif issubclass(message, SpecificationCreate):
            fact = _specification_create(fact, message, schemas)
        elif issubclass(message, AccountUpdate):
            entity = or_null(ref(LegalEntity.__name__))
            fact["properties"]["changes"] = {**fact["properties"]["changes"], "properties": {LEGAL_ENTITY: entity}}
        elif issubclass(message, SellerUpdate):
            fact["properties"]["changes"] = ref(LegalEntity.__name__)
        assert all(schemas.get(name, part) == part for name, part in generated.items()), "two parts of one name"
        schemas |= {**generated, message.__name__: fact}
        payloads[routing_key] = {
            "oneOf": [
                ref(message.__name__),
                {"type": "array", "items": ref(message.__name__), "minItems": 1, "maxItems": FACTS_MAX},
            ]
        }
    return payloads, schemas


def _undescribed(schema: Json) -> Json:
    """Without what its class says, which its message says as well."""
    return {key: value for key, value in schema.items() if key != "description"}


def _account_create(fact: Json) -> Json:
    """What we read of a new account, and by its type the document that it must be."""
    ours = {name: fact["properties"][name] for name in ("@type", "id", "name", "currency", "paymentTermDays")}
    ours[LEGAL_ENTITY] = or_null(ref(LegalEntity.__name__))
    ours["state"] = {"description": "`defined`, `active` (unless said) or `suspended`, in any case."}
    kinds = [
        {
            "allOf": [ref(type_)],
            "properties": {
                "@type": {"const": type_},
                "settlementTerms": ref("Terms") if type_ == "SettlementAccount" else {"type": "null"},
            },
            **({"required": ["settlementTerms"]} if type_ == "SettlementAccount" else {}),
        }
        for type_ in get_args(AccountType)
    ]
    return {**fact, "properties": ours, "discriminator": "@type", "oneOf": kinds}


def _specification_create(fact: Json, message: type[SpecificationCreate], schemas: dict[str, Json]) -> Json:
    """The resource's own document, whose type goes without saying."""
    name = message.KIND.__name__
    document = schemas[name]
    ours = {"@type": {"const": name}, "id": fact["properties"]["id"]}
    required = [field for field in document["required"] if field != "@type"]
    return {**_undescribed(document), "properties": {**document["properties"], **ours}, "required": required}


_OF_A_PARTY: dict[Seen, str] = {
    "own": "The id of a party, as in `relatedParty`: it is answered as if only what is related to it were there.",
    "all": "The id of a party, as in `relatedParty`: it is told what anybody is.",
    "nothing": "Is refused (`forbidden`): this is for operators, no party sees any of it.",
}
"""What it means that a query is asked for a party."""


def queries(questions: Mapping[str, type[Query]]) -> dict[str, Json]:
    """The arguments of each of these queries, by the AMQP `type` that names it."""
    found: dict[str, Json] = {}
    for name, query in questions.items():
        arguments = found[name] = _undescribed(_generated(query, _Schemas)[query.__name__])
        arguments["properties"]["party"]["description"] = _OF_A_PARTY[query.SEEN_BY_A_PARTY]
        if "after" in arguments["properties"]:
            # What a cursor is read into is nobody else's business.
            arguments["properties"]["after"] = or_null(ref("Cursor"))
    return found


def described(model: type[Message | Query]) -> str:
    """What the class of a message or query says of it, and of the message's business key."""
    said = inspect.getdoc(model) or ""
    if issubclass(model, Message):
        key = inspect.getdoc(model.key) or ""
        said = f"{said}\n\nBusiness key: {key[:1].lower()}{key[1:]}"
        said = said.replace("<resource>", model.TYPE.rpartition(".")[0])
    return said
