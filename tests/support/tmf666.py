"""TMF666 documents to begin with: of each resource a complete one, which uses every field, and a minimal one."""

import json
from typing import Any

Json = dict[str, Any]

_YEAR: Json = {"startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2026-12-31T23:59:59Z"}


def _reference(type_: str, id_: str, name: str, referred: str) -> Json:
    return {
        "@type": type_,
        "@baseType": "EntityRef",
        "@schemaLocation": f"https://api.example.com/schema/{type_}.json",
        "@referredType": referred,
        "id": id_,
        "href": f"https://api.example.com/{referred}/{id_}",
        "name": name,
    }


def _extensible(type_: str, base: str = "Extensible") -> Json:
    return {
        "@type": type_,
        "@baseType": base,
        "@schemaLocation": f"https://api.example.com/schema/{type_}.json",
    }


def _party(role: str, id_: str, name: str) -> Json:
    return {
        **_extensible("RelatedPartyRefOrPartyRoleRef"),
        "role": role,
        "partyOrPartyRole": _reference("PartyRef", id_, name, "Organization"),
    }


def _party_role(role: str, id_: str, name: str) -> Json:
    return {
        **_extensible("RelatedPartyRefOrPartyRoleRef"),
        "role": role,
        "partyOrPartyRole": {
            **_reference("PartyRoleRef", id_, name, "Customer"),
            "partyId": "party/77",
            "partyName": "Harbour Cinemas",
        },
    }


def _medium(type_: str, id_: str, **fields: Any) -> Json:
    return {
        **_extensible(type_, "ContactMedium"),
        "id": id_,
        "preferred": id_ == "1",
        "contactType": "work",
        "validFor": _YEAR,
        **fields,
    }


_CONTACT: Json = {
    **_extensible("Contact"),
    "id": "contact 1",
    "contactName": "Accounts Payable",
    "contactType": "billing",
    "partyRoleType": "Customer",
    "validFor": {"startDateTime": "2026-01-01T00:00:00+01:00"},
    "contactMedium": [
        _medium("EmailContactMedium", "1", emailAddress="payable@harbour.example"),
        _medium("PhoneContactMedium", "2", phoneNumber="+43 1 000 00 01"),
        _medium("FaxContactMedium", "3", faxNumber="+43 1 000 00 02"),
        _medium("SocialContactMedium", "4", socialNetworkId="@harbour.example"),
        _medium(
            "GeographicAddressContactMedium",
            "5",
            street1="1 Quay Road",
            street2="Second floor",
            postCode="1020",
            city="Vienna",
            stateOrProvince="Vienna",
            country="AT",
            geographicAddress=_reference("GeographicAddressRef", "adr-5", "The quay", "GeographicAddress"),
        ),
        _medium("ContactMedium", "6", pigeonhole="B 12"),
    ],
    "relatedParty": _party("employer", "42", "Harbour Cinemas"),
}

_BALANCES: list[Json] = [
    {
        **_extensible("AccountBalance"),
        "id": str(n),
        "balanceType": balance,
        "amount": {"unit": "EUR", "value": value},
        "validFor": _YEAR,
    }
    for n, (balance, value) in enumerate({"receivable": 120.5, "deposit": 0, "correction": -3}.items(), 1)
]

_RELATIONSHIP: Json = {
    **_extensible("AccountRelationship", "Entity"),
    "id": "1",
    "href": "https://api.example.com/accountRelationship/1",
    "relationshipType": "payer",
    "validFor": {"endDateTime": "2027-01-01T00:00:00Z"},
    "account": _reference("AccountRef", "BA-7", "Harbour Cinemas, head office", "BillingAccount"),
}

_CERTIFICATE: Json = {
    **_extensible("TaxExemptionCertificate"),
    "id": "1",
    "certificateNumber": "EX-2026-17",
    "issuingJurisdiction": "AT",
    "reason": "Promotion of culture",
    "validFor": _YEAR,
    "taxDefinition": [
        {
            **_extensible("TaxDefinition"),
            "id": "vat",
            "name": "Value added tax",
            "taxType": "VAT",
            "jurisdictionName": "Austria",
            "jurisdictionLevel": "country",
            "validFor": _YEAR,
        }
    ],
    "attachment": {
        **_extensible("Attachment", "Entity"),
        "id": "att-1",
        "href": "https://api.example.com/attachment/att-1",
        "name": "certificate.txt",
        "description": "The certificate, as it was issued",
        "attachmentType": "taxExemptionCertificate",
        "mimeType": "text/plain",
        "content": "RXhlbXB0Lg==",
        "url": "https://api.example.com/content/att-1",
        "size": {"amount": 7, "units": "byte"},
        "validFor": _YEAR,
    },
}
_SECOND_CERTIFICATE: Json = {
    **_extensible("TaxExemptionCertificate"),
    "certificateNumber": "EX-2026-18",
    "attachment": {
        **_reference("AttachmentRef", "att-2", "certificate.pdf", "Attachment"),
        "description": "The certificate, kept elsewhere",
        "url": "https://api.example.com/content/att-2",
    },
}

_BILL_FORMAT: Json = {
    **_extensible("BillFormat", "Entity"),
    "id": "BF-1",
    "href": "https://api.example.com/billFormat/BF-1",
    "name": "Itemised",
    "description": "Every line with its tax",
}
_MEDIA: Json = {
    **_extensible("BillPresentationMedia", "Entity"),
    "id": "BM-1",
    "href": "https://api.example.com/billPresentationMedia/BM-1",
    "name": "Letter",
    "description": "On paper, by post",
}
_CYCLE: Json = {
    **_extensible("BillingCycleSpecification", "Entity"),
    "id": "BC-1",
    "href": "https://api.example.com/billingCycleSpecification/BC-1",
    "name": "Monthly",
    "description": "From the first to the last",
    "frequency": "monthly",
    "billingPeriod": "month",
    "billingDateShift": 0,
    "chargeDateOffset": -2,
    "creditDateOffset": 3,
    "mailingDateOffset": 5,
    "paymentDueDateOffset": 30,
    "validFor": _YEAR,
}


def _account(type_: str, base: str, id_: str) -> Json:
    return {
        **_extensible(type_, base),
        "id": id_,
        "href": f"https://api.example.com/account/{id_}",
        "name": f"Harbour Cinemas ({id_})",
        "description": "Two screens by the water",
        "accountType": "business",
        "state": "active",
        "lastUpdate": "2026-11-22T11:15:00.123+01:00",
        "creditLimit": {"unit": "EUR", "value": 1000},
        "relatedParty": [
            _party("owner", "https://parties.example/42", "Harbour Cinemas"),
            _party_role("customer", "role 9", "Wholesale customer"),
        ],
        "contact": [_CONTACT],
        "accountBalance": _BALANCES,
        "accountRelationship": [_RELATIONSHIP],
        "taxExemption": [_CERTIFICATE, _SECOND_CERTIFICATE],
        "loyalty": {"points": 7, "account": {"id": "not one of ours"}},
    }


def _party_account(type_: str, base: str, id_: str, bill_structure: Json) -> Json:
    return {
        **_account(type_, base, id_),
        "paymentStatus": "due",
        "billStructure": {**_extensible("BillStructure"), **bill_structure},
        "paymentPlan": [
            {
                **_extensible("PaymentPlan"),
                "id": "1",
                "planType": "arrears",
                "status": "effective",
                "priority": 1,
                "numberOfPayments": 3,
                "paymentFrequency": "monthly",
                "totalAmount": {"unit": "EUR", "value": 120.5},
                "validFor": _YEAR,
                "paymentMethod": _reference("PaymentMethodRef", "pm 2", "The second bank account", "BankAccount"),
            }
        ],
        "financialAccount": _reference("FinancialAccountRef", "FA-1", "Harbour group", "FinancialAccount"),
        "defaultPaymentMethod": _reference("PaymentMethodRef", "pm 1", "The bank account", "BankAccount"),
    }


_BY_REFERENCE: Json = {
    "format": _reference("BillFormatRef", "BF-1", "Itemised", "BillFormat"),
    "cycleSpecification": _reference("BillingCycleSpecificationRef", "BC-1", "Monthly", "BillingCycleSpecification"),
    "presentationMedia": [_reference("BillPresentationMediaRef", "BM-1", "Letter", "BillPresentationMedia")],
}
_BY_VALUE: Json = {"format": _BILL_FORMAT, "cycleSpecification": _CYCLE, "presentationMedia": [_MEDIA]}
_MIXED: Json = {**_BY_VALUE, "presentationMedia": [_BY_REFERENCE["presentationMedia"][0], _MEDIA]}

_COMPLETE: dict[str, Json] = {
    "BillingAccount": {
        **_party_account("BillingAccount", "PartyAccount", "BA-1", _BY_REFERENCE),
        "ratingType": "postpaid",
    },
    "SettlementAccount": _party_account("SettlementAccount", "PartyAccount", "SA-1", _BY_VALUE),
    "PartyAccount": _party_account("PartyAccount", "Account", "PA-1", _MIXED),
    "FinancialAccount": _account("FinancialAccount", "Account", "FA-1"),
    "BillFormat": _BILL_FORMAT,
    "BillPresentationMedia": _MEDIA,
    "BillingCycleSpecification": _CYCLE,
}
COMPLETE: dict[str, Json] = {resource: json.loads(json.dumps(document)) for resource, document in _COMPLETE.items()}
"""A document of each resource with every field of TMF666 v5, with `@type` everywhere, and with an extension or two."""

MINIMAL: dict[str, Json] = {
    resource: {
        "@type": resource,
        "name": "Harbour Cinemas",
        **({"relatedParty": [{"role": "owner"}]} if resource.endswith("Account") else {}),
    }
    for resource in COMPLETE
}
"""A document of each resource with what TMF666 v5 wants at least; nested objects without `@type`."""
