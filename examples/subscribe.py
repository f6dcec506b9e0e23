"""A subscription of the account of `bill_an_order.py`: its first bill, usage, another plan, its second bill."""

import asyncio

from conversation import Conversation

ACCOUNT = {"id": "BA-1"}
TAX = {"category": "S", "rate": "0.20"}
FIBRE = {
    "id": "fibre",
    "name": "Fibre",
    "priceType": "recurring",
    "unitPrice": "39.90",
    "billed": "inAdvance",
    "recurringChargePeriodType": "month",
    "tax": TAX,
}
TRAFFIC = {
    "id": "traffic",
    "name": "Traffic",
    "priceType": "usage",
    "unitOfMeasure": "GB",
    "tiers": {"mode": "graduated", "steps": [{"upTo": 100, "unitPrice": "0"}, {"unitPrice": "0.20"}]},
    "recurringChargePeriodType": "month",
    "tax": TAX,
}
SUBSCRIPTION = {
    "subscriptionId": "S-1",
    "billingAccount": ACCOUNT,
    "startDate": "2025-09-01",
    "currency": "EUR",
    "name": "Fibre",
    "productPrice": [FIBRE, TRAFFIC],
}
FASTER = {
    "subscriptionId": "S-1",
    "effectiveDate": "2025-09-16",
    "ifRevision": 1,
    "changes": {"productPrice": [{**FIBRE, "unitPrice": "54.90"}, TRAFFIC]},
}


def used(usage_id: str, at: str, gigabytes: str) -> dict[str, str]:
    """A record of traffic."""
    return {
        "usageId": usage_id,
        "subscriptionId": "S-1",
        "usageDate": at,
        "priceId": "traffic",
        "quantity": gigabytes,
    }


async def main() -> None:
    async with Conversation.opened() as worker:
        for name, body in (
            ("subscription.create", SUBSCRIPTION),
            ("bill.demand", {"id": "D-S-1", "billingAccount": ACCOUNT, "billingDate": "2025-09-01"}),
            ("usage.record", used("U-1", "2025-09-10T19:30:00Z", "80")),
            ("usage.record", used("U-2", "2025-09-20T07:00:00Z", "45.5")),
            ("subscription.change", FASTER),
        ):
            answer = await worker.say(name, body)
            print(name, answer["outcome"], answer.get("result") or answer["error"])
        preview = (await worker.query("bill.preview", billingAccount="BA-1", billingDate="2025-10-01"))["result"]
        print([bill["taxIncludedAmount"]["value"] for bill in preview["invoices"]], "is what the second bill would be")
        demand = {"id": "D-S-2", "billingAccount": ACCOUNT, "billingDate": "2025-10-01"}
        number = (await worker.say("bill.demand", demand))["result"]["billNo"]
        bill = (await worker.query("invoice.get", billNo=number))["result"]
        for line in bill["lines"]:
            covers = line["periodCoverage"]
            days = f"{covers['startDateTime'][:10]} to {covers['endDateTime'][:10]}"
            print(days, line["description"], line["taxExcludedAmount"]["value"], *line.get("corrects", {}).values())
        print(bill["taxIncludedAmount"]["value"], "with tax")


asyncio.run(main())
