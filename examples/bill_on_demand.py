"""Charges something to the account of `bill_an_order.py`, looks at the bill that it would be, and demands it."""

import asyncio

from conversation import Conversation

ACCOUNT = {"id": "BA-1"}
CHARGE = {
    "chargeId": "C-1",
    "billingAccount": ACCOUNT,
    "date": "2026-11-24",
    "currency": "EUR",
    "item": {
        "id": "1",
        "description": "Fibre 500, the rest of November",
        "quantity": 1,
        "unitPrice": "9.31",
        "tax": {"category": "S", "rate": "0.20"},
    },
    "periodCoverage": {"startDateTime": "2026-11-24T00:00:00Z", "endDateTime": "2026-12-01T00:00:00Z"},
}
DEMAND = {"id": "D-1", "billingAccount": ACCOUNT, "billingDate": "2026-11-24"}


async def main() -> None:
    async with Conversation.opened() as worker:
        answer = await worker.say("charge.add", CHARGE)
        print(answer["outcome"], answer.get("result") or answer["error"])
        preview = (await worker.query("bill.preview", billingAccount="BA-1", billingDate="2026-11-24"))["result"]
        print([bill["taxIncludedAmount"]["value"] for bill in preview["invoices"]], "is what it would be")
        answer = await worker.say("bill.demand", DEMAND)
        print(answer["outcome"], answer.get("result") or answer["error"])
        charges = (await worker.query("charge.list", billingAccount="BA-1"))["result"]["items"]
        print([(charge["id"], charge["isBilled"], charge.get("bill", {}).get("id")) for charge in charges])


asyncio.run(main())
