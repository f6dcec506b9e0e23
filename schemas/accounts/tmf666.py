"""TMF666 v5's accounts and what bills are made by: the documents that may be sent, and how they go out.

Dunning procedures are beside them: TMF666 has none, and they are documents of the same kind.

The resources and their parts are classes with TMF666's names and fields; unknown fields are extensions, which are not
looked at. A field that is null counts as not sent. Values are as `schemas.wire` decodes them.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import unquote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from domain.accounts.closings import ClosingPeriod
from domain.accounts.specifications import Action
from domain.money import Money
from schemas.values import INTEGER_MAX, TEXT_MAX, Date, Id, Number, Rate, Text, Time, parse_money, parse_text, positive

COMPUTED = frozenset({"state", "lastUpdate", "accountBalance", "paymentStatus", "revision"})
"""The fields that we say: what a client says of them is not kept."""
READ_ONLY = COMPUTED | {"id", "href", "@type", "currency"}
"""The fields that no patch may name."""

AccountType = Literal["BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount"]
"""The types of account."""
Happened = Literal["created", "changed", "state-changed", "closed", "deleted"]

STEPS_MAX = 20
"""The most steps of a dunning procedure."""
DAYS_MAX = 3_650
"""The most days after the due date that a step of one may come."""
FEE_MAX = 10**9
"""The most that one charges, in major units: no currency has more than four decimals."""

_EVENTS: dict[Happened, str] = {
    "created": "CreateEvent",
    "changed": "AttributeValueChangeEvent",
    "state-changed": "StateChangeEvent",
    "closed": "StateChangeEvent",
    "deleted": "DeleteEvent",
}


def check(resource: str, document: Mapping[str, Any]) -> None:
    """Raises pydantic's `ValidationError`, each error with its path, unless the document is one of this resource's."""
    DOCUMENTS[resource].model_validate(document)


def complete(resource: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the `@type` that its sender left out, of every entity and reference; the rest is as it was.

    A reference gets the name of the type that stands in its place (`AccountRef`); a document that `check` refuses is
    completed as far as it can be.
    """
    completed = _completed(OneOf(resource, DOCUMENTS[resource]), document)
    assert isinstance(completed, dict)
    return completed


def event_type(resource: str, happened: Happened) -> str:
    """The name that TMF666 has for what happened to a resource, as `BillingAccountCreateEvent`."""
    assert resource in DOCUMENTS, resource
    return resource + _EVENTS[happened]


class OneOf:
    """The entities that may stand in one place, told apart by `@type`; as an annotation, it reads the one that does.

    One that says no type, or the place's own `name` as TMF's examples do, is of the first kind, unless it holds a field
    that another kind must have and the first does not know: so is an attachment that says its MIME type a value.
    """

    def __init__(self, name: str, *kinds: type[_Extensible]) -> None:
        self.name = name
        self.first = kinds[0]
        self.kinds = {kind.__name__: kind for kind in kinds}
        self.telling = {
            str(field.alias): kind
            for kind in kinds[1:]
            for name, field in kind.model_fields.items()
            if field.is_required() and name not in self.first.model_fields
        }

    def kind(self, entity: Mapping[str, Any]) -> type[_Extensible] | None:
        """The kind that an entity says to be, or to extend (`@baseType`); None for a type that does not belong here."""
        said = entity.get("@type")
        if said is None and entity.get("isRef") is False:  # so an older form says that it is the thing itself
            return list(self.kinds.values())[-1]
        for name in (self.name if said is None else said, entity.get("@baseType")):
            if isinstance(name, str) and name in self.kinds:
                return self.kinds[name]
            if name == self.name:
                told = (kind for field, kind in self.telling.items() if entity.get(field) is not None)
                return next(told, self.first)
        return None

    def read(self, value: Any) -> _Extensible:
        """The entity; raises `ValueError` or `ValidationError`, as pydantic's validators may."""
        entity = _object(value)
        kind = self.kind(entity)
        if kind is None:
            names = {"names": ", ".join(self.kinds)}
            problem = PydanticCustomError(
                "not_of_this_place", "must be, or have as its @baseType, one of {names}", names
            )
            raise ValidationError.from_exception_data(
                self.name, [{"type": problem, "loc": ("@type",), "input": entity["@type"]}]
            )
        return kind.model_validate(entity)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be an object")
    return value


def not_empty_text(value: str) -> str:
    """A check that a text holds something."""
    if not value:
        raise ValueError("must not be empty")
    return value


def more_than_zero(value: Decimal) -> Decimal:
    """A check that a number is more than zero."""
    if value <= 0:
        raise ValueError("must be more than zero")
    return value


def base64_text(value: object) -> str:
    """A text that is base64: a file, which is as long as it is; the limit is the body's."""
    if not isinstance(value, str):
        raise ValueError("must be a text")
    try:
        b64decode(value, validate=True)
    except ValueError:
        raise ValueError("must be base64") from None
    return value


def url_text(value: object) -> str:
    """A URL; one that holds a file itself (`data:`, RFC 2397) is as long as that is, and the limit is the body's."""
    if not isinstance(value, str) or len(value) <= TEXT_MAX or value[:5].lower() != "data:":
        return parse_text(value)
    kind, comma, data = value.partition(",")
    if not comma:
        raise ValueError("must have a comma before the data of a data: URL")
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError("must have what is no printable ASCII written as % and two digits in a data: URL")
    if kind.lower().endswith(";base64"):
        base64_text(unquote(data))
    return value


ForeignId = Annotated[Text, AfterValidator(not_empty_text)]
"""An id that another system gave."""
Base64 = Annotated[str, BeforeValidator(base64_text)]
Url = Annotated[str, BeforeValidator(url_text)]
Integer = Annotated[int, Field(strict=True, ge=-INTEGER_MAX, le=INTEGER_MAX)]
Boolean = Annotated[bool, Field(strict=True)]
Amount = Annotated[Money, BeforeValidator(parse_money)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _is_an_object(cls, value: Any) -> Any:
        return _object(value)


class _Extensible(_Part):
    type: Annotated[Text | None, Field(alias="@type")] = None
    base_type: Annotated[Text | None, Field(alias="@baseType")] = None
    schema_location: Annotated[Text | None, Field(alias="@schemaLocation")] = None


class _Entity(_Extensible):
    id: ForeignId | None = None
    href: Text | None = None


class _Reference(_Entity):
    id: ForeignId
    name: Text | None = None
    referred_type: Annotated[Text | None, Field(alias="@referredType")] = None


class _OwnReference(_Reference):
    id: Id


class Resource(_Entity):
    """What every resource says of itself."""

    id: Id | None = None
    type: Annotated[Text, Field(alias="@type")]
    name: Text
    description: Text | None = None


# -- parts


class TimePeriod(_Part):
    """A time from, a time until, or both; the end is not before the start."""

    start_date_time: Time | None = None
    end_date_time: Time | None = None

    @field_validator("end_date_time")
    @classmethod
    def _ends_after_its_start(cls, end: Time | None, info: ValidationInfo) -> Time | None:
        start = info.data.get("start_date_time")
        if start is not None and end is not None and end < start:
            raise ValueError("is before startDateTime")
        return end


class Quantity(_Part):
    """An amount of something, in `units`."""

    amount: Number | None = None
    units: Text | None = None


class PartyRef(_Reference):
    """A party, which another system keeps."""


class PartyRoleRef(_Reference):
    """A party in one of its roles."""

    party_id: ForeignId | None = None
    party_name: Text | None = None


PartyRefOrPartyRoleRef = Annotated[_Reference, OneOf("PartyRefOrPartyRoleRef", PartyRef, PartyRoleRef)]


class RelatedPartyRefOrPartyRoleRef(_Extensible):
    """What a party is to an account."""

    role: Text
    party_or_party_role: PartyRefOrPartyRoleRef | None = None
    # TMF's older form: the related party is the reference.
    id: ForeignId | None = None
    href: Text | None = None
    name: Text | None = None
    referred_type: Annotated[Text | None, Field(alias="@referredType")] = None


class GeographicAddressRef(_Reference):
    """An address, which another system keeps."""


class ContactMedium(_Extensible):
    """A way to reach somebody, of no kind that TMF666 knows."""

    id: ForeignId | None = None
    preferred: Boolean | None = None
    contact_type: Text | None = None
    valid_for: TimePeriod | None = None


class EmailContactMedium(ContactMedium):
    """An email address."""

    email_address: Text | None = None


class FaxContactMedium(ContactMedium):
    """A fax number."""

    fax_number: Text | None = None


class GeographicAddressContactMedium(ContactMedium):
    """A postal address, written out, referred to, or both."""

    street1: Text | None = None
    street2: Text | None = None
    post_code: Text | None = None
    city: Text | None = None
    state_or_province: Text | None = None
    country: Text | None = None
    geographic_address: GeographicAddressRef | None = None


class PhoneContactMedium(ContactMedium):
    """A telephone number."""

    phone_number: Text | None = None


class SocialContactMedium(ContactMedium):
    """A name in a social network."""

    social_network_id: Text | None = None


AnyContactMedium = Annotated[
    ContactMedium,
    OneOf(
        "ContactMedium",
        ContactMedium,
        EmailContactMedium,
        FaxContactMedium,
        GeographicAddressContactMedium,
        PhoneContactMedium,
        SocialContactMedium,
    ),
]


class Contact(_Extensible):
    """Whom to turn to about an account, and how."""

    id: ForeignId | None = None
    contact_name: Text | None = None
    contact_type: Text
    party_role_type: Text | None = None
    valid_for: TimePeriod | None = None
    contact_medium: list[AnyContactMedium] | None = None
    related_party: RelatedPartyRefOrPartyRoleRef | None = None


class AccountRef(_OwnReference):
    """An account of ours, of any type."""


class AccountRelationship(_Entity):
    """What another account is to this one."""

    relationship_type: Text
    valid_for: TimePeriod | None = None
    account: AccountRef | None = None


class AccountBalance(_Extensible):
    """One of an account's balances."""

    id: ForeignId | None = None
    balance_type: Text
    amount: Amount
    valid_for: TimePeriod


class Attachment(_Entity):
    """A file, held or pointed to."""

    name: Text | None = None
    description: Text | None = None
    attachment_type: Text
    mime_type: Text
    content: Base64 | None = None
    url: Url | None = None
    size: Quantity | None = None
    valid_for: TimePeriod | None = None


class AttachmentRef(_Reference):
    """A file, which another system keeps."""

    description: Text | None = None
    url: Url | None = None


AttachmentRefOrValue = Annotated[_Entity, OneOf("AttachmentRefOrValue", AttachmentRef, Attachment)]


class TaxDefinition(_Extensible):
    """A tax, and who levies it."""

    id: ForeignId | None = None
    name: Text | None = None
    tax_type: Text | None = None
    jurisdiction_name: Text | None = None
    jurisdiction_level: Text | None = None
    valid_for: TimePeriod | None = None


class TaxExemptionCertificate(_Extensible):
    """The proof that some taxes are not to be charged."""

    id: ForeignId | None = None
    certificate_number: Text | None = None
    issuing_jurisdiction: Text | None = None
    reason: Text | None = None
    tax_definition: list[TaxDefinition] | None = None
    attachment: AttachmentRefOrValue | None = None
    valid_for: TimePeriod | None = None


class PaymentMethodRef(_Reference):
    """A means of payment, which another system keeps."""


class PaymentPlan(_Extensible):
    """How an amount that is owed is to be paid in parts."""

    id: ForeignId | None = None
    plan_type: Text | None = None
    status: Text | None = None
    priority: Integer | None = None
    number_of_payments: Integer | None = None
    payment_frequency: Text | None = None
    total_amount: Amount | None = None
    payment_method: PaymentMethodRef | None = None
    valid_for: TimePeriod | None = None


class FinancialAccountRef(_OwnReference):
    """A financial account of ours."""


class BillFormatRef(_OwnReference):
    """A bill format of ours."""


class BillPresentationMediaRef(_OwnReference):
    """A presentation medium of ours."""


class BillingCycleSpecificationRef(_OwnReference):
    """A billing cycle of ours."""


class DunningProcedureRef(_OwnReference):
    """A dunning procedure of ours."""


# -- resources that may also stand inside another, and the accounts


class BillFormat(Resource):
    """How a bill looks."""


class BillPresentationMedia(Resource):
    """How a bill reaches the customer."""


class BillingCycleSpecification(Resource):
    """When bills are made, sent and due: shifts and offsets in days from the start of its period."""

    frequency: Text | None = None
    billing_period: Text | None = None
    billing_date_shift: Integer | None = None
    charge_date_offset: Integer | None = None
    credit_date_offset: Integer | None = None
    mailing_date_offset: Integer | None = None
    payment_due_date_offset: Integer | None = None
    valid_for: TimePeriod | None = None


BillFormatRefOrValue = Annotated[_Entity, OneOf("BillFormatRefOrValue", BillFormatRef, BillFormat)]
BillPresentationMediaRefOrValue = Annotated[
    _Entity, OneOf("BillPresentationMediaRefOrValue", BillPresentationMediaRef, BillPresentationMedia)
]
BillingCycleSpecificationRefOrValue = Annotated[
    _Entity, OneOf("BillingCycleSpecificationRefOrValue", BillingCycleSpecificationRef, BillingCycleSpecification)
]


class BillStructure(_Extensible):
    """What an account's bills are to be: their look, their rhythm, their ways to the customer."""

    format: BillFormatRefOrValue | None = None
    cycle_specification: BillingCycleSpecificationRefOrValue | None = None
    presentation_media: list[BillPresentationMediaRefOrValue] | None = None


class _Account(Resource):
    account_type: Text | None = None
    state: Text | None = None
    last_update: Time | None = None
    credit_limit: Amount | None = None
    # TMF666 wants it of every type of account, though only the types say so and not what they have in common.
    related_party: list[RelatedPartyRefOrPartyRoleRef]
    contact: list[Contact] | None = None
    account_balance: list[AccountBalance] | None = None
    account_relationship: list[AccountRelationship] | None = None
    tax_exemption: list[TaxExemptionCertificate] | None = None


class FinancialAccount(_Account):
    """What a party owes and is owed, over several party accounts."""


class PartyAccount(_Account):
    """An account of a party: one that is billed, one that is settled, or neither."""

    payment_status: Text | None = None
    bill_structure: BillStructure | None = None
    payment_plan: list[PaymentPlan] | None = None
    financial_account: FinancialAccountRef | None = None
    default_payment_method: PaymentMethodRef | None = None


class BillingAccount(PartyAccount):
    """An account that is billed; its dunning procedure is ours to say, TMF666 has none."""

    rating_type: Text | None = None
    dunning_procedure: DunningProcedureRef | None = None


class ClosingCycle(_Part):
    """When a settlement account is closed by itself: at the end of each period, counted from the anchor."""

    period: ClosingPeriod
    anchor_date: Date


class SettlementAccount(PartyAccount):
    """A partner's account, which is settled; its closing cycle is ours to say, TMF666 has none."""

    closing_cycle: ClosingCycle | None = None


class DunningTax(_Part):
    """The tax of what a step charges; a rate of 0.2 is 20 %."""

    category: Id
    rate: Rate


class DunningItem(_Part):
    """What a step charges for the next bill, as an order's line: a fee of ours, so on nobody's behalf.

    The unit price is in major units of the account's currency.
    """

    id: Id
    description: Text | None = None
    quantity: Annotated[Number, AfterValidator(more_than_zero)]
    unit_price: Annotated[Number, AfterValidator(more_than_zero)]
    tax: DunningTax
    on_behalf_of: None = None

    @model_validator(mode="after")
    def _is_within_limits(self) -> Self:
        if self.quantity * self.unit_price > FEE_MAX:
            raise ValueError(f"unitPrice: comes to more than {FEE_MAX:,} in all")
        return self


class DunningStep(_Part):
    """What is done so many days after the due date; what `charge` charges is its `item`."""

    after: Annotated[int, Field(strict=True, ge=1, le=DAYS_MAX)]
    action: Action
    item: DunningItem | None = None

    @model_validator(mode="after")
    def _charges_an_item(self) -> Self:
        if (self.action == "charge") != (self.item is not None):
            raise ValueError("item: is needed by charge, and by no other action")
        return self


class DunningProcedure(Resource):
    """What is done, step by step, about what is overdue; below `threshold` nothing is, of accounts in its currency."""

    steps: list[DunningStep]
    threshold: Annotated[Amount, AfterValidator(positive)] | None = None

    @field_validator("steps")
    @classmethod
    def _are_in_order(cls, steps: list[DunningStep]) -> list[DunningStep]:
        if not 1 <= len(steps) <= STEPS_MAX:
            raise ValueError(f"must be 1 to {STEPS_MAX} (there are {len(steps)})")
        if any(later.after <= step.after for step, later in pairwise(steps)):
            raise ValueError("must each come later than the one before: `after`, in days, ascends")
        return steps


RESOURCES: dict[str, type[Resource]] = {
    resource.__name__: resource
    for resource in (
        BillingAccount,
        SettlementAccount,
        PartyAccount,
        FinancialAccount,
        BillFormat,
        BillPresentationMedia,
        BillingCycleSpecification,
    )
}
"""The resources of TMF666, by name."""
DOCUMENTS: dict[str, type[Resource]] = {**RESOURCES, DunningProcedure.__name__: DunningProcedure}
"""All resources whose documents are kept, by name."""


# -- going out


@cache
def _places(kind: type[_Extensible]) -> dict[str, OneOf]:
    """The fields of an entity that hold entities, each with those that may stand there."""
    places = {field.alias: _place(field.rebuild_annotation()) for field in kind.model_fields.values()}
    return {name: place for name, place in places.items() if name is not None and place is not None}


def _place(annotation: Any) -> OneOf | None:
    if isinstance(annotation, OneOf):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, _Extensible):
        return OneOf(annotation.__name__, annotation)
    # From the end: what annotates a type is nearer to the truth than the type.
    return next((place for part in reversed(get_args(annotation)) if (place := _place(part)) is not None), None)


def _completed(place: OneOf, value: Any) -> Any:
    if isinstance(value, list):
        return [_completed(place, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind = place.kind(value) or place.first
    places = _places(kind)
    fields = {name: _completed(places[name], item) if name in places else item for name, item in value.items()}
    return fields if fields.get("@type") is not None else {**fields, "@type": kind.__name__}
