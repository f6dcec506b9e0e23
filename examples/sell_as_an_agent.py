"""Sells in a provider's name, as its agent: an invoice of each seller, one payment, and what the provider gets."""

import asyncio

from conversation import Conversation

PROVIDER = {
    "id": "SA-2",
    "@type": "SettlementAccount",
    "name": "Tideway Fibre",
    "currency": "EUR",
    "relatedParty": [{"role": "partner", "partyOrPartyRole": {"id": "78", "@type": "PartyRef"}}],
    "settlementTerms": {"partnerShare": 0.8, "accrueOn": "invoice"},
}
AGREEMENT = {
    "agreementId": "AG-2",
    "settlementAccount": {"id": "SA-2"},
    "validFor": {"startDateTime": "2026-11-01T00:00:00Z"},
    "terms": {
        "model": "agent",
        "commission": "0.12",
        "commissionTax": {"category": "S", "rate": "0.20"},
        "series": "TV-",
        "accrueOn": "payment",
    },
}
CUSTOMER = {
    "id": "BA-2",
    "@type": "BillingAccount",
    "name": "Canal Street 1",
    "currency": "EUR",
    "relatedParty": [{"role": "customer", "partyOrPartyRole": {"id": "79", "@type": "PartyRef"}}],
}
ORDER = {
    "orderId": "O-1003",
    "completedAt": "2026-11-22T19:00:00Z",
    "billingAccount": {"id": "BA-2"},
    "currency": "EUR",
    "items": [
        {
            "id": "1",
            "description": "Fibre, November",
            "quantity": 1,
            "unitPrice": "29.90",
            "tax": {"category": "S", "rate": "0.20"},
            "onBehalfOf": {"id": "SA-2"},
        },
        {
            "id": "2",
            "description": "Router, rental",
            "quantity": 1,
            "unitPrice": "3.50",
            "tax": {"category": "S", "rate": "0.20"},
        },
    ],
}
PAYMENT = {
    "paymentId": "P-1003",
    "receivedAt": "2026-11-23T09:00:00Z",
    "billingAccount": {"id": "BA-2"},
    "amount": {"unit": "EUR", "value": "40.08"},
}
NOTE = {
    "creditNoteId": "N-1003",
    "billNo": "TV-000000001",
    "issuedAt": "2026-11-24T09:00:00Z",
    "reason": "half of November was not served",
    "lines": [{"lineId": "1", "taxExcludedAmount": {"unit": "EUR", "value": "14.95"}}],
}


async def main() -> None:
    async with Conversation.opened() as worker:
        for routing_key, message in (
            ("account.create", PROVIDER),
            ("agreement.create", AGREEMENT),
            ("account.create", CUSTOMER),
        ):
            print(routing_key, (await worker.say(routing_key, message))["outcome"])
        answer = await worker.say("order.completed", ORDER)
        print("order.completed", answer["outcome"], answer["result"])
        answer = await worker.say("payment.received", PAYMENT)
        print("payment.received", answer["outcome"], answer["result"])
        answer = await worker.say("credit-note.issue", NOTE)
        print("credit-note.issue", answer["outcome"], answer["result"])
        for bill_no in ("INV-000000006", "TV-000000001"):
            invoice = (await worker.query("invoice.get", billNo=bill_no))["result"]
            whose = invoice["seller"]["id"] if "seller" in invoice else "us"
            print(bill_no, "of", whose, invoice["taxIncludedAmount"]["value"], invoice["state"])
        asked = {"settlementAccount": "SA-2", "periodEnd": "2026-11-30"}
        [statement] = (await worker.query("settlement.preview", **asked))["result"]["settlements"]
        for line in statement["lines"]:
            print(line["kind"], line["amount"]["value"])
        print("a closing would state:", statement["total"]["value"])
        [document] = statement["documents"]
        print("our commission is a document of type", document["typeCode"], document["taxIncludedAmount"]["value"])


asyncio.run(main())
