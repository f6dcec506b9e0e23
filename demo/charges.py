"""What is charged to some customers beside what they subscribe to, with a discount: it waits for the next bill."""

from collections.abc import Iterable
from decimal import Decimal
from random import Random

from demo.dates import MIDDLE
from demo.day import SEED
from demo.facts import Fact, Line, Made, Message, message, total

Charged = dict[str, list[Line]]
"""What is charged, by account."""
CHARGED = 12
REST = Line("Fibre 500, the rest of November", Decimal(1), Decimal("13.30"), "S", "0.20")
RENTAL = Line("Router, rental", Decimal(1), Decimal("3.50"), "S", "0.20")
DISCOUNT = Line("For your patience", Decimal(1), Decimal("-5.00"), "S", "0.20")


def charged(accounts: Iterable[str], seed: int = SEED) -> Charged:
    """What is charged to which of these accounts: every third has a discount."""
    known = sorted(accounts)
    chosen = Random(seed).sample(known, min(CHARGED, len(known)))
    return {account: [REST, RENTAL, *([DISCOUNT] if n % 3 == 0 else [])] for n, account in enumerate(chosen)}


def charges(billed: Charged) -> list[Message]:
    """Each line as a charge of its own."""
    return [
        message(
            "charge.add",
            {
                "chargeId": f"CHG-{account}-{n}",
                "billingAccount": {"id": account},
                "date": MIDDLE.isoformat(),
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


def billed_for(charged_to: Charged) -> dict[str, Made]:
    """What a bill of each account has to make."""
    return {account: Made(total(lines, "EUR")) for account, lines in charged_to.items()}
