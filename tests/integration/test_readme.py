"""What the README tells a newcomer to type does what it says."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from adapters.settings import Settings
from handlers.worker import Worker
from tests.support.workers import environment

README = Path(__file__).parents[2] / "README.md"


EXAMPLES = README.parent / "examples"


def test_the_programs_in_the_readme_are_examples() -> None:
    """So that they are run as they stand there."""
    first, second = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert first == (EXAMPLES / "bill_an_order.py").read_text()
    assert second == (EXAMPLES / "change_an_account.py").read_text()


@pytest.mark.long
@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_the_examples_print_what_they_promise(worker: Worker, settings: Settings) -> None:
    """Each of them, one after the other, as a newcomer would run them."""
    lines = await output_of("bill_an_order", settings)
    assert [line.split()[0] for line in lines] == ["account.created", "invoice.issued"]
    assert '"taxIncludedAmount":{"unit":"EUR","value":47.88}' in lines[1]
    assert await output_of("change_an_account", settings) == [
        "Hill Bakery active due 1",
        "applied None",
        "parked revision-mismatch",
        "{'unit': 'EUR', 'value': 0.0} to {'unit': 'EUR', 'value': 47.88}",
    ]
    applied, duplicate, parked, status = await output_of("pay_an_invoice", settings)
    assert (applied, duplicate) == (
        "applied {'billNos': ['INV-000000001']}",
        "duplicate {'billNos': ['INV-000000001']}",
    )
    assert parked.startswith("parked {'code': 'conflicting-duplicate'")
    assert status == "paid"
    assert await output_of("return_goods", settings) == [
        "applied {'billNo': 'CN-000000001'}",
        "3.19 credited, 0.53 of it tax",
        "3.19 is to be given back",
        "applied {'recoverable': {'unit': 'EUR', 'value': 0.0}}",
        "0.0 is left to be given back",
    ]
    assert await output_of("bill_on_demand", settings) == [
        "applied {'taxExcludedAmount': {'unit': 'EUR', 'value': 9.31}}",
        "[11.17] is what it would be",
        "applied {'state': 'done', 'billNo': 'INV-000000002', 'billNos': ['INV-000000002'], 'creditNotes': []}",
        "[('C-1', True, 'INV-000000002')]",
    ]
    # 15 of 30 days at 39.90 come back, 15 at 54.90 are 27.45; of 125.5 GB 25.5 cost 0.20.
    assert await output_of("subscribe", settings) == [
        "subscription.create applied {'subscriptionId': 'S-1', 'revision': 1, 'state': 'active'}",
        (
            "bill.demand applied "
            "{'state': 'done', 'billNo': 'INV-000000003', 'billNos': ['INV-000000003'], 'creditNotes': []}"
        ),
        "usage.record applied {'subscriptionId': 'S-1', 'priceId': 'traffic', 'date': '2025-09-10'}",
        "usage.record applied {'subscriptionId': 'S-1', 'priceId': 'traffic', 'date': '2025-09-20'}",
        "subscription.change applied {'subscriptionId': 'S-1', 'revision': 2, 'state': 'active'}",
        "[81.0] is what the second bill would be",
        "2025-09-01 to 2025-10-01 Fibre -19.95 INV-000000003 1",
        "2025-09-16 to 2025-10-01 Fibre 27.45",
        "2025-10-01 to 2025-11-01 Fibre 54.9",
        "2025-09-01 to 2025-10-01 Traffic 5.1",
        "81.0 with tax",
    ]
    assert await output_of("partners_order", settings) == [
        "account.create applied",
        "order.completed applied",
        "a closing would state: 6.38",
        "settlement.close applied",
        "its share of 7.98: 6.38",
        "payout.completed applied {'settlementId': 'C-1', 'state': 'paid'}",
        "the partner's accounts: ['SA-1']",
        "its statements: ['C-1']",
        "the customer's: unknown-account",
    ]
    # 29.90 and 3.50 at 20 %; half of the 29.90 is credited, with its tax.
    assert await output_of("sell_as_an_agent", settings) == [
        "account.create applied",
        "agreement.create applied",
        "account.create applied",
        "order.completed applied {'billNos': ['INV-000000006', 'TV-000000001']}",
        "payment.received applied {'billNos': ['INV-000000006', 'TV-000000001']}",
        "credit-note.issue applied {'billNo': 'CN-TV-000000001'}",
        "INV-000000006 of us 4.2 settled",
        "TV-000000001 of SA-2 35.88 settled",
        "accrual 35.88",
        "accrual -17.94",
        "commission -2.15",
        "a closing would state: 15.79",
        "our commission is a document of type 380 2.15",
    ]
    answer = json.loads("\n".join(await output_of("ask", settings, "invoice.list", "billingAccount=BA-1")))
    assert [invoice["state"] for invoice in answer["result"]["items"]] == ["settled", "new", "new", "new", "new"]
    # A second time nothing new comes of it, and it says so.
    [again] = await output_of("bill_an_order", settings)
    assert again.startswith("no event within")


def test_every_example_is_run_and_listed() -> None:
    """A program that no test runs would stop working unseen."""
    told = (EXAMPLES / "README.md").read_text()
    ran = set(re.findall(r'output_of\("(\w+)"', Path(__file__).read_text()))
    assert {path.stem for path in EXAMPLES.glob("*.py")} == ran | {"conversation"}
    assert all(f"`{name}.py`" in told for name in ran)


async def output_of(name: str, settings: Settings, *arguments: str) -> list[str]:
    """The lines that an example prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        *arguments,
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()
