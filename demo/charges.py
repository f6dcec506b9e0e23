"""What is charged in the evening and billed on demand: the rest of the month of some customers, with a discount."""

from collections.abc import Iterable
from decimal import Decimal
from random import Random

from demo.day import SEED
from demo.facts import DATE, Fact, Line, Message, message, total

CHARGED = 12
REST = Line("Fibre 500, the rest of November", Decimal(1), Decimal("13.30"), "S", "0.20")
RENTAL = Line("Router, rental", Decimal(1), Decimal("3.50"), "S", "0.20")
DISCOUNT = Line("For your patience", Decimal(1), Decimal("-5.00"), "S", "0.20")


def charged(accounts: Iterable[str], seed: int = SEED) -> dict[str, list[Line]]:
    """What is charged to which of these accounts: every third has a discount."""
    known = sorted(accounts)
    chosen = Random(seed).sample(known, min(CHARGED, len(known)))
    return {account: [REST, RENTAL, *([DISCOUNT] if n % 3 == 0 else [])] for n, account in enumerate(chosen)}


def charges(billed: dict[str, list[Line]]) -> list[Message]:
    """Each line as a charge of its own."""
    return [
        message(
            "charge.add",
            {
                "chargeId": f"CHG-{account}-{n}",
                "billingAccount": {"id": account},
                "date": DATE.isoformat(),
                "currency": "EUR",
                "item": {
                    "id": "1",
                    "description": line.description,
                    "quantity": str(line.quantity),
                    "unitPrice": str(line.price),
                    "tax": {"category": line.category, "rate": line.rate},
                },
            },
            f"charge-{account}-{n}",
            Fact("charge.add", account=account, note="charges for the next bill"),
        )
        for account, lines in billed.items()
        for n, line in enumerate(lines)
    ]


def demands(billed: dict[str, list[Line]]) -> list[Message]:
    """A bill of them for each account."""
    return [
        message(
            "bill.demand",
            {"id": f"BILL-{account}", "billingAccount": {"id": account}, "billingDate": DATE.isoformat()},
            f"bill-{account}",
            Fact("bill.demand", account=account, amount=total(lines, "EUR"), note="bills on demand"),
        )
        for account, lines in billed.items()
    ]
