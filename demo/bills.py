"""Bills on demand: what each has to make, what they would be, and what came of them."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from demo.dates import PAID
from demo.facts import HOUR, Fact, Made, Message, message, minor, moment, money
from demo.plans import Subscription, made_of

Documents = Mapping[str, list[dict[str, Any]]]
"""A bill's `invoices` and `creditNotes`, as they are told."""
NUMBERS = ("id", "billNo", "paymentReference", "creditNoteId")
"""What a bill has that a preview can't tell."""


def bills_of(subscriptions: Iterable[Subscription], day: date) -> dict[str, Made]:
    """What a bill of each subscription's account has to make on a day, nothing else being due there; keeps it."""
    return {one.account: made_of(one.bill(day)) for one in subscriptions}


def demands(bills: Mapping[str, Made], day: date) -> list[Message]:
    """A demand of each of these bills, by account."""
    return [
        message(
            "bill.demand",
            {"id": f"BILL-{account}-{day}", "billingAccount": {"id": account}, "billingDate": day.isoformat()},
            f"bill-{account}-{day}",
            Fact("bill.demand", account=account, day=day, made=made, note="bills on demand"),
        )
        for account, made in bills.items()
    ]


def same(preview: Documents, made: Documents) -> bool:
    """Whether a bill is what its preview said, to the letter but for the numbers."""
    return all(
        sorted(map(_unnumbered, preview[kind]), key=str) == sorted(map(_unnumbered, made[kind]), key=str)
        for kind in ("invoices", "creditNotes")
    )


def _unnumbered(document: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name not in NUMBERS}
    return {**kept, "lines": [{**line, "bill": None} for line in document["lines"]]}


def direct_debits(bills: Iterable[dict[str, Any]]) -> list[Message]:
    """Payments of bills that are open, which name them: of four one pays half, and one nothing yet."""
    sent = []
    unpaid = [bill for bill in bills if bill["state"] != "settled"]
    for n, bill in enumerate(sorted(unpaid, key=lambda bill: str(bill["id"]))):
        account, owed = bill["billingAccount"]["id"], minor(bill["remainingAmount"])
        amount = [owed, owed, owed // 2, 0][n % 4]
        if not amount:
            continue
        content = {
            "paymentId": f"DD-{n:03d}",
            "receivedAt": moment(6 * HOUR, PAID),
            "billingAccount": {"id": account},
            "amount": money(amount, "EUR"),
            "invoices": [bill["id"]],
        }
        fact = Fact("payment.received", account=account, amount=amount, note="payments of bills")
        sent.append(message("payment.received", content, f"debit-{n:03d}", fact))
    return sent
