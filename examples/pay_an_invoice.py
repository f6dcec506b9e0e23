"""Pays what `bill_an_order.py` has billed, twice with the same payment and once with another amount under its id."""

import asyncio
from typing import Any

from conversation import Conversation


def payment(amount: str) -> dict[str, Any]:
    return {
        "paymentId": "P-1",
        "receivedAt": "2026-11-23T09:00:00Z",
        "billingAccount": {"id": "BA-1"},
        "amount": {"unit": "EUR", "value": amount},
        "method": "transfer",
    }


async def main() -> None:
    async with Conversation.opened() as worker:
        for amount in ("47.88", "47.88", "50.00"):
            answer = await worker.say("payment.received", payment(amount))
            print(answer["outcome"], answer.get("result") or answer["error"])
        account = (await worker.query("account.get", id="BA-1"))["result"]
        print(account["paymentStatus"])


asyncio.run(main())
