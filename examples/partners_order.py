"""Sells on behalf of a partner: its share, the statement and the payout of that, and what the partner is told."""

import asyncio

from conversation import Conversation

PARTNER = {
    "id": "SA-1",
    "@type": "SettlementAccount",
    "name": "Film Studio",
    "currency": "EUR",
    "relatedParty": [{"role": "partner", "partyOrPartyRole": {"id": "77", "@type": "PartyRef"}}],
    "settlementTerms": {"partnerShare": 0.8, "accrueOn": "invoice"},
}
ORDER = {
    "orderId": "O-1002",
    "completedAt": "2026-11-22T18:00:00Z",
    "billingAccount": {"id": "BA-1"},
    "currency": "EUR",
    "items": [
        {
            "id": "1",
            "description": "Film rental",
            "quantity": 2,
            "unitPrice": "3.99",
            "tax": {"category": "S", "rate": "0.20"},
            "onBehalfOf": {"id": "SA-1"},
        },
    ],
}
CLOSING = {"closingId": "C-1", "settlementAccount": {"id": "SA-1"}, "periodEnd": "2026-11-30"}


async def main() -> None:
    async with Conversation.opened() as worker:
        for routing_key, message in (
            ("account.create", PARTNER),
            ("order.completed", ORDER),
        ):
            print(routing_key, (await worker.say(routing_key, message))["outcome"])
        asked = {"settlementAccount": "SA-1", "periodEnd": CLOSING["periodEnd"]}
        [would_be] = (await worker.query("settlement.preview", **asked))["result"]["settlements"]
        print("a closing would state:", would_be["total"]["value"])
        print("settlement.close", (await worker.say("settlement.close", CLOSING))["outcome"])
        statement = (await worker.query("settlement.get", id="C-1"))["result"]
        print("its share of 7.98:", statement["total"]["value"])
        payout = {"payoutId": "PO-1", "settlementAccount": {"id": "SA-1"}, "settlementId": "C-1"}
        answer = await worker.say("payout.completed", {**payout, "amount": statement["total"]})
        print("payout.completed", answer["outcome"], answer["result"])
        # Asked for the partner, as if nothing but its own were there.
        accounts = (await worker.query("account.list", party="77"))["result"]["items"]
        print("the partner's accounts:", [account["id"] for account in accounts])
        statements = (await worker.query("settlement.list", settlementAccount="SA-1", party="77"))["result"]["items"]
        print("its statements:", [statement["id"] for statement in statements])
        print("the customer's:", (await worker.query("account.get", id="BA-1", party="77"))["error"]["code"])


asyncio.run(main())
