"""Changes an account by commands that are answered, and asks for it."""

import asyncio
import json
import os
import uuid
from typing import Any

import aio_pika


async def main() -> None:
    connection = await aio_pika.connect(os.environ["PAYMASTER_RABBITMQ_URL"])
    async with connection, connection.channel() as channel:
        commands = await channel.get_exchange("paymaster.in")
        queries = await channel.get_exchange("paymaster.ask")
        answers = await channel.declare_queue(exclusive=True)

        async def ask(exchange: Any, routing_key: str, body: Any) -> Any:
            message = aio_pika.Message(
                json.dumps(body).encode(),
                content_type="application/json",
                message_id=str(uuid.uuid4()),
                correlation_id=str(uuid.uuid4()),
                reply_to=answers.name,
            )
            await exchange.publish(message, routing_key)
            async with asyncio.timeout(30), answers.iterator() as arriving:
                async for answer in arriving:
                    async with answer.process():
                        if answer.correlation_id == message.correlation_id:
                            return json.loads(answer.body)
            raise ConnectionError("the broker went away")

        async def query(name: str, arguments: Any) -> Any:
            return await ask(queries, name, arguments)

        account = (await query("account.get", {"id": "BA-1"}))["result"]
        print(account["name"], account["state"], account["paymentStatus"], account["revision"])

        change = {
            "id": "BA-1",
            "@type": "BillingAccount",
            "ifRevision": account["revision"],
            "changes": {"name": "Hill Bakery and Café", "creditLimit": {"unit": "EUR", "value": 500}},
        }
        for _ in range(2):
            answer = await ask(commands, "account.update", change)
            print(answer["outcome"], answer.get("error", {}).get("code"))

        statement = (await query("account.statement", {"id": "BA-1"}))["result"]
        print(statement["opening"]["receivable"], "to", statement["closing"]["receivable"])


asyncio.run(main())
