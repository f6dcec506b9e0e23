"""Credits some of what `bill_an_order.py` has billed, and shows what the note covers and what becomes of the rest."""

import asyncio

from conversation import Conversation

NOTE = {
    "creditNoteId": "N-1",
    "billNo": "INV-000000001",
    "issuedAt": "2026-11-24T09:00:00Z",
    "reason": "two days without service",
    "lines": [{"lineId": "1", "taxExcludedAmount": {"unit": "EUR", "value": "2.66"}}],
}


async def main() -> None:
    async with Conversation.opened() as worker:
        answer = await worker.say("credit-note.issue", NOTE)
        print(answer["outcome"], answer.get("result") or answer["error"])
        note = (await worker.query("credit-note.get", creditNoteId="N-1"))["result"]
        print(note["taxIncludedAmount"]["value"], "credited,", note["taxItem"][0]["taxAmount"]["value"], "of it tax")
        balance = (await worker.query("account.balance", id="BA-1"))["result"]
        print(balance["unapplied"]["value"], "is credit")


asyncio.run(main())
