"""Credits some of what was billed and paid, reserves what is too much by that, and books that it was given back."""

import asyncio

from conversation import Conversation

NOTE = {
    "creditNoteId": "N-1",
    "billNo": "INV-000000001",
    "issuedAt": "2026-11-24T09:00:00Z",
    "reason": "two days without service",
    "lines": [{"lineId": "1", "taxExcludedAmount": {"unit": "EUR", "value": "2.66"}}],
    "excess": "refund",
}
REFUND = {
    "refundId": "R-1",
    "billingAccount": {"id": "BA-1"},
    "amount": {"unit": "EUR", "value": "3.19"},
    "refundedAt": "2026-11-25T09:00:00Z",
    "creditNoteId": "N-1",
    "method": "transfer",
}


async def main() -> None:
    async with Conversation.opened() as worker:
        answer = await worker.say("credit-note.issue", NOTE)
        print(answer["outcome"], answer.get("result") or answer["error"])
        note = (await worker.query("credit-note.get", creditNoteId="N-1"))["result"]
        print(note["taxIncludedAmount"]["value"], "credited,", note["taxItem"][0]["taxAmount"]["value"], "of it tax")
        print(note["refundable"]["value"], "is to be given back")
        answer = await worker.say("refund.completed", REFUND)
        print(answer["outcome"], answer.get("result") or answer["error"])
        balance = (await worker.query("account.balance", id="BA-1"))["result"]
        print(balance["refundable"]["value"], "is left to be given back")


asyncio.run(main())
