"""What the reader takes for a fault, and what not."""

from __future__ import annotations

import pytest

from tests.chaos.reader import Reader
from tests.support.books import Books, Document
from tests.support.waiting import wait_for

REST = {"routingKey": "credit.allocate", "account": "BA-1", "state": "waiting"}


def invoice(number: int, remaining: int, *disputed: int) -> Document:
    """One of which so much remains, and so much is disputed (minor units)."""
    disputes = [{"disputeId": f"D-{n}", "amount": amount} for n, amount in enumerate(disputed)]
    said = {"handling": {"disputes": disputes}} if disputed else {}
    return {"_id": f"INV-{number}", "billingAccount": "BA-1", "remainingAmount": remaining, **said}


@pytest.mark.parametrize(
    ("invoices", "unapplied", "held", "wrong"),
    [
        pytest.param([invoice(1, 500), invoice(2, 0)], 0, None, "", id="open"),
        pytest.param([invoice(1, 0)], 300, None, "", id="credit"),
        pytest.param([invoice(1, 500)], 300, None, "500 due of 500 open, and 300 unapplied", id="both"),
        pytest.param([invoice(1, 500, 500)], 300, None, "", id="all of it disputed"),
        pytest.param([invoice(1, 500, 200, 300)], 300, None, "", id="all of it by two disputes"),
        pytest.param([invoice(1, 500, 499)], 300, None, "1 due of 500 open, and 300 unapplied", id="but for a cent"),
        # What is disputed of one invoice, and what of it was paid by name, excuses no other.
        pytest.param(
            [invoice(1, 100, 500), invoice(2, 400)], 300, None, "400 due of 500 open, and 300 unapplied", id="another"
        ),
        pytest.param([invoice(1, 500)], 300, REST, "", id="a rest that waits"),
        pytest.param([invoice(1, 500)], 300, REST | {"state": "parked"}, "500 due", id="a rest that is parked"),
        pytest.param([invoice(1, 500)], 300, REST | {"account": "BA-2"}, "500 due", id="another account's rest"),
        pytest.param([invoice(1, 500)], 300, REST | {"routingKey": "order.completed"}, "500 due", id="another fact"),
    ],
)
async def test_credit_stands_beside_what_is_disputed_only(
    mongodb_url: str, database: Books, invoices: list[Document], unapplied: int, held: Document | None, wrong: str
) -> None:
    """Or for as long as the rest of an allocation waits for its transaction."""
    receivable = sum(one["remainingAmount"] for one in invoices)
    database["invoices"].insert_many(invoices)
    database["payments"].insert_one({"_id": "P-1", "billingAccount": "BA-1", "unapplied": unapplied})
    if held is not None:
        database["held"].insert_one(held)
    position = {"_id": "BA-1", "sequence": 0, "receivable": receivable, "unapplied": unapplied}
    database["positions"].insert_one(position)
    reader = Reader(mongodb_url, database.name, audit_seconds=600)
    reader.start()
    try:
        await wait_for(lambda: reader.looks > 0)
    finally:
        reader.stop()
    assert bool(reader.wrong) == bool(wrong)
    assert all(wrong in saw for saw in reader.wrong)
