"""TMF666's documents: which are taken, what is said of the others, and how they go out."""

import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.accounts import tmf666
from schemas.accounts.tmf666 import COMPUTED, READ_ONLY, RESOURCES, Happened, check, complete, event_type
from schemas.message import invalid
from tests.support.openapi import OpenApi, examples, tmf666_file
from tests.support.steady import STEADY
from tests.support.tmf666 import COMPLETE, MINIMAL

Json = dict[str, Any]
Place = tuple[str | int, ...]

ACCOUNTS = ("BillingAccount", "SettlementAccount", "PartyAccount", "FinancialAccount")
SPECIFICATIONS = ("BillFormat", "BillPresentationMedia", "BillingCycleSpecification")
EXTENSIONS = {"loyalty", "pigeonhole"}
"""The fields of the complete documents that TMF666 does not know."""


def decoded(document: Any) -> Any:
    """The document as the worker's reader decodes it: numbers with a point are decimals."""
    return json.loads(json.dumps(document), parse_float=Decimal)


def said_of(resource: str, document: Any) -> str | None:
    """Why a document is refused, or None."""
    try:
        check(resource, document)
    except ValidationError as error:
        return invalid(error).detail
    return None


def refused(resource: str, document: Any) -> str:
    """What is said of a document that has to be refused."""
    detail = said_of(resource, decoded(document))
    assert detail
    return detail


def step(value: Any, path: Place) -> Any:
    """What stands at a path."""
    for part in path:
        value = value[part]
    return value


def changed(document: Any, path: Place | str, value: Any) -> Any:
    """The document with something else at a path, or without its field if that is `...`."""
    if isinstance(path, str):
        path = tuple(int(part) if part.isdecimal() else part for part in path.split("."))
    name, rest = path[0], path[1:]
    document = document.copy()
    if value is ... and not rest:
        del document[name]
    else:
        document[name] = changed(document[name], rest, value) if rest else value
    return document


def fields(value: Any, path: Place = ()) -> Iterator[Place]:
    """The path of each field that TMF666 knows, at any depth; an amount is one field."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, (*path, index))
    elif isinstance(value, dict) and value.keys() != {"unit", "value"}:
        for name, inner in value.items():
            if name not in EXTENSIONS:
                yield (*path, name)
                yield from fields(inner, (*path, name))


def dotted(path: Place) -> str:
    """A path as errors write it."""
    return ".".join(map(str, path))


# -- what is taken, and what is not


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("documents", [COMPLETE, MINIMAL], ids=["complete", "minimal"])
def test_a_good_document_is_taken(documents, resource):
    """A document with every field, and one with those that must be, fits its resource."""
    check(resource, decoded(documents[resource]))


MANDATORY: dict[str, set[str]] = {
    "RelatedPartyRefOrPartyRoleRef": {"role"},
    "Contact": {"contactType"},
    "AccountBalance": {"amount", "balanceType", "validFor"},
    "AccountRelationship": {"relationshipType"},
    "Attachment": {"attachmentType", "mimeType"},
}
"""By `@type`; every reference needs its id, a resource as below."""


def mandatory(document: Json, path: Place) -> bool:
    """Whether the field at a path has to be there."""
    *_, name = path
    parent = step(document, path[:-1])
    if len(path) == 1:
        return name in {"@type", "name"} or (name == "relatedParty" and parent["@type"] in ACCOUNTS)
    type_ = parent.get("@type", "")
    if type_ in SPECIFICATIONS:
        return name == "name"
    return name in MANDATORY.get(type_, set()) or (name == "id" and type_.endswith("Ref") and "role" not in parent)


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("nothing", [..., None], ids=["missing", "null"])
def test_only_a_mandatory_field_has_to_be_there(nothing, resource):
    """A document without a mandatory field, or with null there, is refused by that name alone; others may be so."""
    document = COMPLETE[resource]
    for path in fields(document):
        without = changed(document, path, nothing)
        if not mandatory(document, path):
            check(resource, decoded(without))
        else:
            assert refused(resource, without).startswith(f"{dotted(path)}: ")
            assert ";" not in refused(resource, without)


def wrong(value: Any) -> list[Any]:
    """Values of other types than this one's."""
    if isinstance(value, str):
        return [5, True, ["x"], {"x": "y"}]
    if isinstance(value, bool):
        return [1, "true", 0.5]
    if isinstance(value, int | float):
        return [True, "many", [1]]
    if isinstance(value, list):
        return ["x", 5, {"0": value[0]}, [5], [None], [[]]]
    return ["x", 5, True, [value]]


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_value_of_another_type_is_refused_by_its_path(resource):
    """Each field of a complete document, given a value of another type, is the only one named, once, by its path."""
    document = COMPLETE[resource]
    for path in fields(document):
        for value in wrong(step(document, path)):
            detail = refused(resource, changed(document, path, value))
            named = [f"{dotted(path)}{place}: " for place in ("", ".0" if isinstance(value, list) else "")]
            assert detail.startswith(tuple(named)), (path, value, detail)
            assert ";" not in detail, (path, value, detail)


A_MEDIUM = "contact.0.contactMedium.0"
A_CYCLE = "billStructure.cycleSpecification"


@pytest.mark.parametrize(
    ("resource", "path", "value", "words"),
    [
        ("BillFormat", "@type", ..., "@type: is needed"),
        ("BillFormat", "id", "BF 1", "id: must be an id: 1 to 128 of A-Z a-z 0-9 . _ : - (got 'BF 1')"),
        ("BillFormat", "name", 5, "name: must be a text (got 5)"),
        ("BillFormat", "name", "x" * 1001, "name: is longer than 1000 characters"),
        ("BillFormat", "description", "a\x00b", "description: holds a NUL character"),
        ("BillFormat", "href", "\ud800", "href: holds a lone surrogate"),
        ("BillFormat", "@baseType", 5, "@baseType: must be a text (got 5)"),
        ("BillFormat", "@schemaLocation", 5, "@schemaLocation: must be a text (got 5)"),
        (
            "BillingCycleSpecification",
            "mailingDateOffset",
            2**53 + 1,
            "mailingDateOffset: must be at most 9007199254740992",
        ),
        (
            "BillingCycleSpecification",
            "mailingDateOffset",
            -(2**53) - 1,
            "mailingDateOffset: must be at least -9007199254740992",
        ),
        ("BillingCycleSpecification", "mailingDateOffset", 5.0, "mailingDateOffset: must be a whole number"),
        ("BillingCycleSpecification", "mailingDateOffset", "5", "mailingDateOffset: must be a whole number"),
        (
            "BillingCycleSpecification",
            "validFor",
            {"startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2026-01-01T00:59:59+01:00"},
            "validFor.endDateTime: is before startDateTime (got '2026-01-01T00:59:59+01:00')",
        ),
        ("FinancialAccount", "relatedParty", ..., "relatedParty: is needed"),
        ("FinancialAccount", "lastUpdate", "yesterday", "lastUpdate: must be an RFC 3339 time with an offset"),
        (
            "FinancialAccount",
            "creditLimit",
            {"unit": "EUR", "value": 0.005},
            "creditLimit.value: has 3 digits after the point, EUR has 2 (got 0.005)",
        ),
        (
            "FinancialAccount",
            "creditLimit",
            {"unit": "XXX", "value": 1},
            "creditLimit.unit: has no minor unit to keep books in (got 'XXX')",
        ),
        ("FinancialAccount", "creditLimit", {"value": 1}, "creditLimit: must be an amount"),
        ("FinancialAccount", "contact.0.contactMedium.0.preferred", 1, "preferred: must be true or false"),
        (
            "FinancialAccount",
            "relatedParty.0.partyOrPartyRole.id",
            "",
            "relatedParty.0.partyOrPartyRole.id: must not be empty (got '')",
        ),
        (
            "FinancialAccount",
            "accountRelationship.0.account.id",
            "BA 7",
            "accountRelationship.0.account.id: must be an id: 1 to 128 of",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.content",
            "RXhl!bXB0Lg==",
            "taxExemption.0.attachment.content: must be base64 (got 'RXhl!bXB0Lg==')",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.content",
            "RXhlbXB0Lg=",
            "taxExemption.0.attachment.content: must be base64",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.url",
            "https://example.com/" + "x" * 1_000,
            "taxExemption.0.attachment.url: is longer than 1000 characters",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.url",
            "data:application/pdf;base64," + "RXhl!bXB0Lg==" * 100,
            "taxExemption.0.attachment.url: must be base64",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.url",
            "data:" + "text/plain;" * 100,
            "taxExemption.0.attachment.url: must have a comma before the data of a data: URL",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.url",
            "data:text/plain," + "tax exempt" * 100,
            "taxExemption.0.attachment.url: must have what is no printable ASCII written as % and two digits",
        ),
        (
            "FinancialAccount",
            "taxExemption.0.attachment.size.amount",
            "a few",
            "taxExemption.0.attachment.size.amount: must be a decimal",
        ),
        ("BillingAccount", "financialAccount.id", "FA/1", "financialAccount.id: must be an id: 1 to 128 of"),
        ("BillingAccount", "billStructure.format.id", "é", "billStructure.format.id: must be an id"),
        ("BillingAccount", "billStructure.presentationMedia.0.id", "", "billStructure.presentationMedia.0.id: must be"),
        ("BillingAccount", "ratingType", 5, "ratingType: must be a text (got 5)"),
        # A union reads as what stands there, and its other kinds are not heard of.
        ("BillingAccount", "billStructure.format", {"name": "Short"}, "billStructure.format.id: is needed"),
        (
            "BillingAccount",
            "billStructure.format",
            {"@type": "BillFormat"},
            "billStructure.format.name: is needed",
        ),
        ("BillingAccount", A_CYCLE, {"@type": "BillingCycleSpecificationRef", "name": "x"}, f"{A_CYCLE}.id: is needed"),
        (
            "BillingAccount",
            A_CYCLE,
            {"@type": "Lunar", "@baseType": "BillingCycleSpecification", "name": "x", "frequency": 13},
            f"{A_CYCLE}.frequency: must be a text (got 13)",
        ),
        (
            "BillingAccount",
            A_CYCLE,
            {"@type": "BillFormatRef", "id": "BF-1"},
            ".@type: must be, or have as its @baseType, one of BillingCycleSpecificationRef, BillingCycleSpecification",
        ),
        (
            "BillingAccount",
            "relatedParty.0.partyOrPartyRole.@type",
            "Organization",
            "PartyRole.@type: must be, or have as its @baseType, one of PartyRef, PartyRoleRef (got 'Organization')",
        ),
        (
            "BillingAccount",
            "relatedParty.1.partyOrPartyRole.partyId",
            "",
            "PartyRole.partyId: must not be empty (got '')",
        ),
        (
            "BillingAccount",
            "relatedParty.0.partyOrPartyRole",
            {"@type": "PartyRoleRef", "id": "1", "partyName": 5},
            "relatedParty.0.partyOrPartyRole.partyName: must be a text (got 5)",
        ),
        (
            "BillingAccount",
            "taxExemption.0.attachment",
            {"mimeType": "text/plain"},
            "taxExemption.0.attachment.attachmentType: is needed",
        ),
        ("BillingAccount", "taxExemption.0.attachment", {"url": "x"}, "taxExemption.0.attachment.id: is needed"),
        (
            "BillingAccount",
            A_MEDIUM,
            {"@type": "PigeonContactMedium"},
            f"{A_MEDIUM}.@type: must be, or have as its @baseType, one of ContactMedium, EmailContactMedium, ",
        ),
        (
            "BillingAccount",
            A_MEDIUM,
            {"@type": "WorkEmail", "@baseType": "EmailContactMedium", "emailAddress": 5},
            f"{A_MEDIUM}.emailAddress: must be a text (got 5)",
        ),
        ("BillingAccount", A_MEDIUM, {"preferred": "yes"}, f"{A_MEDIUM}.preferred: must be true or false"),
        ("BillingAccount", A_MEDIUM, "by pigeon", f"{A_MEDIUM}: must be an object (got 'by pigeon')"),
    ],
)
def test_what_is_said_of_a_wrong_value(resource, path, value, words):
    """One wrong value has one error, with its path, what should be there and what is."""
    document = changed(COMPLETE[resource], path, value)
    detail = refused(resource, document)
    assert words in detail
    assert len(re.findall(r"(?:^|; )[@\w.]+: ", detail)) == 1


@pytest.mark.parametrize(
    ("resource", "path", "value"),
    [
        ("FinancialAccount", "relatedParty.0.partyOrPartyRole", {"@type": "PartyRefOrPartyRoleRef", "id": "7/é"}),
        ("FinancialAccount", "relatedParty.0.partyOrPartyRole", {"@type": "X", "@baseType": "PartyRoleRef", "id": "1"}),
        (
            "FinancialAccount",
            "relatedParty.0.partyOrPartyRole",
            {"id": "1", "partyName": 5},
        ),  # an extension of PartyRef
        ("FinancialAccount", "relatedParty.0.@type", "RelatedParty"),  # no union: any text
        ("FinancialAccount", "taxExemption.0.@type", "TaxExemption"),
        ("FinancialAccount", A_MEDIUM, {}),
        ("FinancialAccount", A_MEDIUM, {"@type": "ContactMedium", "emailAddress": 5}),
        ("FinancialAccount", A_MEDIUM, {"@type": "DoorbellContactMedium", "@baseType": "ContactMedium", "melody": [1]}),
        ("FinancialAccount", A_MEDIUM, {"@type": "PhoneContactMedium", "@baseType": "Medium", "phoneNumber": "1"}),
        ("FinancialAccount", "taxExemption.0.attachment", {"id": "x y", "url": "https://example.com/x"}),
        (
            "FinancialAccount",
            "taxExemption.0.attachment",
            {"@type": "AttachmentRefOrValue", "attachmentType": "scan", "mimeType": "image/png"},
        ),
        ("FinancialAccount", "accountRelationship.0.validFor", {}),
        ("FinancialAccount", "contact", []),
        ("FinancialAccount", "creditLimit", {"unit": "JPY", "value": "-12"}),
        ("FinancialAccount", "creditLimit", {"unit": "EUR", "value": 0}),
        ("BillingAccount", "billStructure.format", {"id": "BF-1"}),
        ("BillingAccount", "billStructure.format", {"@type": "BillFormat", "name": "Short"}),
        ("BillingAccount", "billStructure.format", {"@type": "BillFormatRefOrValue", "id": "BF-1"}),
        ("BillingAccount", "billStructure.format", {"@type": "X", "@baseType": "BillFormatRefOrValue", "id": "BF-1"}),
        ("BillingCycleSpecification", "billingDateShift", 2**53),
        (
            "BillingCycleSpecification",
            "validFor",
            dict.fromkeys(("startDateTime", "endDateTime"), "2026-01-01T00:00:00Z"),
        ),
    ],
)
def test_what_may_stand_in_a_place(resource, path, value):
    """Every kind that belongs, the place's own name, what extends one, and the ends of what values may be."""
    check(resource, decoded(changed(COMPLETE[resource], path, value)))


def test_several_errors_are_all_named():
    """A document with many errors has each of them named, in one refusal."""
    detail = refused("BillingAccount", {"@type": "BillingAccount", "relatedParty": [{}, 5], "contact": [{"id": ""}]})
    assert [problem.partition(":")[0] for problem in detail.split("; ")] == [
        "name",
        "relatedParty.0.role",
        "relatedParty.1",
        "contact.0.id",
        "contact.0.contactType",
    ]


@pytest.mark.parametrize("document", ["text", 5, None, []])
def test_a_document_is_an_object(document):
    """What is no JSON object is refused."""
    assert refused("BillFormat", document) == "must be an object"


def test_a_resource_that_is_none():
    """There are seven resources, each with its model; another name is a mistake of the caller."""
    assert tuple(RESOURCES) == tuple(COMPLETE) == (*ACCOUNTS, *SPECIFICATIONS)
    with pytest.raises(KeyError):
        check("Invoice", {})


# -- how documents go out

NOT_TOLD = {"PartyRoleRef", *SPECIFICATIONS} | {
    f"{medium}ContactMedium" for medium in ("Email", "Phone", "Fax", "Social", "GeographicAddress")
}
"""The types of nested entities that have to be said: without one, another is meant."""


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_typed_document_goes_out_as_it_is(resource):
    """A document with all its types is not changed, nor is the one that was given."""
    before = deepcopy(COMPLETE[resource])
    assert complete(resource, COMPLETE[resource]) == before
    assert COMPLETE[resource] == before


def untyped(value: Any, leave_out: Callable[[], bool]) -> Any:
    """The document without some of the types that it need not say, which are then null or missing."""
    if isinstance(value, list):
        return [untyped(item, leave_out) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: inner if name in EXTENSIONS else untyped(inner, leave_out) for name, inner in value.items()}
    if "@type" in value and value["@type"] not in NOT_TOLD and leave_out():
        del value["@type"]
        if leave_out():
            value["@type"] = None
    return value


@STEADY
@given(st.sampled_from(ACCOUNTS), st.data())
def test_left_out_types_are_filled_in(resource, data):
    """Whichever of its types a sender left out, a document goes out as if they had been said."""
    document = untyped(COMPLETE[resource], lambda: data.draw(st.booleans()))
    assert complete(resource, document) == COMPLETE[resource]


def test_every_type_is_filled_in():
    """A document without any type gets one for each entity and reference; extensions, amounts and periods get none."""
    assert complete(
        "BillingAccount",
        {
            "relatedParty": [{"role": "owner", "partyOrPartyRole": {"id": "42"}}],
            "contact": [
                {
                    "contactMedium": [{"city": "Vienna", "geographicAddress": {"id": "1"}}],
                    "relatedParty": {"partyOrPartyRole": {"id": "43"}},
                    "validFor": {},
                }
            ],
            "accountRelationship": [{"relationshipType": "payer", "account": {"id": "BA-7"}}],
            "accountBalance": [{"amount": {"unit": "EUR", "value": 1}}],
            "taxExemption": [
                {"taxDefinition": [{"id": "vat"}], "attachment": {"id": "1", "description": "a", "url": "b"}},
                {"attachment": {"mimeType": "text/plain", "attachmentType": "scan", "size": {"amount": 1}}},
            ],
            "billStructure": {
                "format": {"id": "BF-1"},
                "cycleSpecification": {"id": "BC-1"},
                "presentationMedia": [{"id": "BM-1"}],
            },
            "paymentPlan": [{"totalAmount": {"unit": "EUR", "value": 1}, "paymentMethod": {"id": "1"}}],
            "financialAccount": {"id": "FA-1"},
            "defaultPaymentMethod": {"id": "2"},
            "settlementTerms": {"partnerShare": 0.8},
            "friend": {"account": {"id": "BA-9"}},
        },
    ) == {
        "@type": "BillingAccount",
        "relatedParty": [
            {
                "@type": "RelatedPartyRefOrPartyRoleRef",
                "role": "owner",
                "partyOrPartyRole": {"@type": "PartyRef", "id": "42"},
            }
        ],
        "contact": [
            {
                "@type": "Contact",
                # It is not known to be a GeographicAddressContactMedium, so neither is what its fields hold.
                "contactMedium": [{"@type": "ContactMedium", "city": "Vienna", "geographicAddress": {"id": "1"}}],
                "relatedParty": {
                    "@type": "RelatedPartyRefOrPartyRoleRef",
                    "partyOrPartyRole": {"@type": "PartyRef", "id": "43"},
                },
                "validFor": {},
            }
        ],
        "accountRelationship": [
            {
                "@type": "AccountRelationship",
                "relationshipType": "payer",
                "account": {"@type": "AccountRef", "id": "BA-7"},
            }
        ],
        "accountBalance": [{"@type": "AccountBalance", "amount": {"unit": "EUR", "value": 1}}],
        "taxExemption": [
            {
                "@type": "TaxExemptionCertificate",
                "taxDefinition": [{"@type": "TaxDefinition", "id": "vat"}],
                "attachment": {"@type": "AttachmentRef", "id": "1", "description": "a", "url": "b"},
            },
            {
                "@type": "TaxExemptionCertificate",
                "attachment": {
                    "@type": "Attachment",
                    "mimeType": "text/plain",
                    "attachmentType": "scan",
                    "size": {"amount": 1},
                },
            },
        ],
        "billStructure": {
            "@type": "BillStructure",
            "format": {"@type": "BillFormatRef", "id": "BF-1"},
            "cycleSpecification": {"@type": "BillingCycleSpecificationRef", "id": "BC-1"},
            "presentationMedia": [{"@type": "BillPresentationMediaRef", "id": "BM-1"}],
        },
        "paymentPlan": [
            {
                "@type": "PaymentPlan",
                "totalAmount": {"unit": "EUR", "value": 1},
                "paymentMethod": {"@type": "PaymentMethodRef", "id": "1"},
            }
        ],
        "financialAccount": {"@type": "FinancialAccountRef", "id": "FA-1"},
        "defaultPaymentMethod": {"@type": "PaymentMethodRef", "id": "2"},
        "settlementTerms": {"partnerShare": 0.8},
        "friend": {"account": {"id": "BA-9"}},
    }


@pytest.mark.parametrize(
    ("medium", "reference"),
    [
        ({"@type": "GeographicAddressContactMedium"}, {"@type": "GeographicAddressRef", "id": "1"}),
        (
            {"@type": "Harbour", "@baseType": "GeographicAddressContactMedium"},
            {"@type": "GeographicAddressRef", "id": "1"},
        ),
        ({"@type": "Harbour"}, {"id": "1"}),
    ],
)
def test_an_entity_is_completed_as_its_kind(medium, reference):
    """An entity's own references are known by its type, or by the type that it extends."""
    address = {"geographicAddress": {"id": "1"}}
    done = complete("PartyAccount", {"contact": [{"contactMedium": [{**medium, **address}]}]})
    assert done["contact"][0]["contactMedium"] == [{**medium, "geographicAddress": reference}]


names = st.sampled_from(["@type", "@baseType", "id", "name", "role", "unit", "value", "mimeType", "ContactMedium"])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | st.text(max_size=5) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=6,
)


@STEADY
@given(st.sampled_from(tuple(RESOURCES)), st.data())
def test_whatever_stands_in_a_document(resource, data):
    """Any JSON anywhere in a document: it is taken, or refused with a detail; it is completed, once and for all."""
    document = COMPLETE[resource]
    path = data.draw(st.sampled_from(tuple(fields(document))))
    document = changed(document, path, data.draw(json_values))
    assert said_of(resource, document) != ""
    done = complete(resource, document)
    assert repr(complete(resource, done)) == repr(done)  # NaN is not equal to itself, but is written alike


# -- names


@pytest.mark.parametrize(
    ("resource", "happened", "name"),
    [
        ("BillingAccount", "created", "BillingAccountCreateEvent"),
        ("SettlementAccount", "changed", "SettlementAccountAttributeValueChangeEvent"),
        ("PartyAccount", "state-changed", "PartyAccountStateChangeEvent"),
        ("FinancialAccount", "closed", "FinancialAccountStateChangeEvent"),
        ("BillFormat", "deleted", "BillFormatDeleteEvent"),
    ],
)
def test_the_names_of_events(resource, happened, name):
    """An event is named by its resource and what happened; to be closed is a change of state."""
    assert event_type(resource, happened) == name


def test_the_fields_that_are_ours_to_say():
    """What is computed, and what besides no patch may name."""
    assert sorted(COMPUTED) == ["accountBalance", "lastUpdate", "paymentStatus", "revision", "state"]
    assert sorted(READ_ONLY - COMPUTED) == ["@type", "currency", "href", "id"]


# -- against TM Forum's file

OLDER_FIELDS = {"id", "href", "name", "@referredType"}
"""What a related party has in TMF's older form, in which it is the reference itself."""


@pytest.fixture(scope="module")
def api() -> OpenApi:
    """TM Forum's file, which the project may not hold."""
    return tmf666_file()


def test_the_file_s_valid_examples_are_taken(api):
    """Each of the file's examples fits our models if, and only if, it fits the file's; some do, of each resource."""
    taken: dict[str, int] = dict.fromkeys(RESOURCES, 0)
    for name, resource, document in examples(api):
        detail = said_of(resource, decoded(document))
        problems = api.problems(f"{resource}_FVO", document)
        assert (detail is None) == (problems == []), (name, detail, problems)
        taken[resource] += detail is None
    assert all(taken.values()), taken


def test_the_file_s_examples_go_out_valid(api):
    """What the file takes, it also takes when it is completed."""
    for name, resource, document in examples(api):
        for schema in (resource, f"{resource}_FVO"):
            if not api.problems(schema, document):
                assert not api.problems(schema, complete(resource, document)), name


@pytest.mark.parametrize("resource", RESOURCES)
def test_our_documents_are_valid_by_the_file(api, resource):
    """Our own documents fit by the strictest reading of the file: sent with their types, or completed."""
    strict = OpenApi(api.document, strict=True)
    for document in (COMPLETE[resource], complete(resource, MINIMAL[resource])):
        assert strict.problems(f"{resource}_FVO", document) == []
        assert strict.problems(resource, document) == []


@pytest.mark.parametrize("resource", RESOURCES)
def test_what_we_refuse_the_file_refuses(api, resource):
    """The file, too, refuses a complete document with a wrong value, or with a mandatory field or a type left out."""
    document = COMPLETE[resource]
    for path in fields(document):
        other = changed(document, path, wrong(step(document, path))[0])
        assert api.problems(resource, other) or api.problems(f"{resource}_FVO", other), path
        found = api.problems(f"{resource}_FVO", changed(document, path, ...))
        assert bool(found) == (mandatory(document, path) or path[-1] == "@type"), (path, found)


def test_our_models_have_the_file_s_fields(api):
    """Each schema that the file's documents are made of has a model of ours, with its fields and its mandatory ones."""
    schemas = api.document["components"]["schemas"]
    reached: set[str] = set()
    todo = set(RESOURCES)
    while todo:
        reached |= todo
        todo = {part for name in todo for part in api.parts(name)} - reached
    abstract = {"Account", "Entity", "EntityRef", "Extensible", "Addressable"}
    unions = {name for name in reached if "oneOf" in schemas[name]}
    for name in unions:
        _, places = get_args(vars(tmf666)[name])
        assert places.kinds.keys() == schemas[name]["discriminator"]["mapping"].keys(), name
    _, media = get_args(tmf666.AnyContactMedium)
    assert media.kinds.keys() == schemas["ContactMedium"]["discriminator"]["mapping"].keys()
    for name in reached - abstract - unions - {"Money"}:
        model = vars(tmf666)[name]
        older = OLDER_FIELDS if name == "RelatedPartyRefOrPartyRoleRef" else set()
        assert {field.alias for field in model.model_fields.values()} == api.fields(name)[0] | older, name
        _, mandatory = api.fields(f"{name}_FVO" if f"{name}_FVO" in schemas else name)
        needed = {field.alias for field in model.model_fields.values() if field.is_required()}
        assert needed == mandatory - ({"@type"} if name not in RESOURCES else set()), name
    assert reached >= {"TaxDefinition", "Quantity", "GeographicAddressRef"}


def test_our_documents_use_every_field(api):
    """The complete documents hold each field of each schema of the file that accounts and bills are made of."""
    used: dict[str, set[str]] = {}

    def look(value: Any) -> None:
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(item)
        if isinstance(value, dict) and "@type" in value:
            used[value["@type"]] = used.get(value["@type"], set()) | value.keys()

    look(list(COMPLETE.values()))
    for name, held in used.items():
        assert api.fields(name)[0] - held == set(), name
    assert len(used) == 32


def test_the_names_of_events_are_the_file_s(api):
    """Each event's name is that of a schema of the file."""
    names = {event_type(resource, happened) for resource in RESOURCES for happened in get_args(Happened)}
    assert names <= api.document["components"]["schemas"].keys()
    assert len(names) == 28
