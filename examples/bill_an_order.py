"""Opens an account, bills it, and shows the events that come of it."""

import asyncio
import json
import os

import aio_pika

ACCOUNT = {
    "id": "BA-1",
    "@type": "BillingAccount",
    "name": "Hill Bakery",
    "currency": "EUR",
    "relatedParty": [{"role": "customer", "partyOrPartyRole": {"id": "42", "@type": "PartyRef"}}],
}
ORDER = {
    "orderId": "O-1001",
    "completedAt": "2026-11-22T10:15:00Z",
    "billingAccount": {"id": "BA-1"},
    "currency": "EUR",
    "items": [
        {
            "id": "1",
            "description": "Fibre 500, November",
            "quantity": 1,
            "unitPrice": "39.90",
            "tax": {"category": "S", "rate": "0.20"},
        },
    ],
}
SECONDS = 10


async def main() -> None:
    connection = await aio_pika.connect(os.environ["PAYMASTER_RABBITMQ_URL"])
    async with connection, connection.channel() as channel:
        into = await channel.get_exchange("paymaster.in")
        events = await channel.declare_queue(exclusive=True)
        await events.bind("paymaster.out", "#")
        for routing_key, message in (("account.create", ACCOUNT), ("order.completed", ORDER)):
            body = json.dumps(message).encode()
            await into.publish(aio_pika.Message(body, content_type="application/json"), routing_key)
        try:
            async with asyncio.timeout(SECONDS), events.iterator() as arriving:
                async for event in arriving:
                    async with event.process():
                        print(event.routing_key, event.body.decode())
                    if event.routing_key == "invoice.issued":
                        break
        except TimeoutError:
            print(f"no event within {SECONDS} s: both facts are known, and have had their effect, or no worker runs")


asyncio.run(main())
