"""The Node.js peer that the benchmark measures against comes to the same books and events as the plain worker."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

from bench.node import FOLDER
from bench.orders import account_messages, order_bodies
from bench.plain.events import events_of
from bench.plain.order import Order, accruals_of, entry_of, invoice_of

NODE = shutil.which("node") or ""
NOW = datetime(2026, 11, 22, 12, 30, 15, 250_000, tzinfo=UTC)
ORDERS = 200
SHARES = ("0.8", "0.125", "1", "0", "0.33333")
TERMS = 30

# What comes out is what the worker keeps and publishes; it needs nothing that `npm ci` installs.
PROGRAM = f"""
import {{ readFileSync }} from "node:fs";
import {{ accountIds, accrualsOf, entryOf, invoiceOf, readOrder }} from "{(FOLDER / "order.js").as_uri()}";
import {{ eventsOf }} from "{(FOLDER / "events.js").as_uri()}";

const {{ now, accounts, bodies }} = JSON.parse(readFileSync(0));
const known = new Map(Object.entries(accounts));
for (const [number, body] of bodies.entries()) {{
  try {{
    const order = readOrder(body);
    const invoice = invoiceOf(order, `INV-${{number}}`, known, new Date(now));
    const made = eventsOf(invoice, order.identity, "c");
    const events = made.map((event) => ({{ ...event, body: JSON.parse(event.body) }}));
    const [entry, accruals] = [entryOf(order, invoice), accrualsOf(invoice)];
    console.log(JSON.stringify({{ ids: accountIds(order), invoice, entry, accruals, events }}));
  }} catch (error) {{
    console.log(JSON.stringify({{ refused: error.message }}));
  }}
}}
"""

pytestmark = pytest.mark.skipif(not NODE, reason="the Node.js peer needs node; as root: apt-get install nodejs")


@pytest.fixture(scope="module")
def accounts():
    """The accounts as both workers read them, partners with shares that leave something to round."""
    shares = iter(SHARES)
    return {
        account["id"]: {
            "version": 1,
            "paymentTermDays": TERMS,
            "partnerShare": next(shares) if account["@type"] == "SettlementAccount" else None,
        }
        for account in account_messages()
    }


def peer(accounts, bodies):
    """What the Node.js peer makes of these orders."""
    given = {"now": NOW.isoformat(), "accounts": accounts, "bodies": [body.decode() for body in bodies]}
    program = subprocess.run(
        [NODE, "--input-type=module", "--eval", PROGRAM],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in program.stdout.splitlines()]


def plain(accounts, body, number):
    """What the plain worker makes of an order, as JSON."""
    order = Order.model_validate_json(body)
    invoice = invoice_of(order, f"INV-{number}", accounts, NOW)
    return {
        "ids": order.account_ids,
        "invoice": invoice,
        "entry": entry_of(order, invoice),
        "accruals": accruals_of(invoice),
        "events": [
            {"id": event.id, "type": event.type, "account": event.account, "body": json.loads(event.body)}
            for event in events_of(invoice, order.identity, "c")
        ],
    }


def plainly(value):
    """A value with moments of one notation, and sets for lists whose order says nothing."""
    if isinstance(value, dict):
        return {key: set(item) if key == "ids" else plainly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plainly(item) for item in value]
    if isinstance(value, str) and value.endswith("Z") and "T" in value:
        return datetime.fromisoformat(value)
    return value


def compare(accounts, bodies):
    for number, (body, theirs) in enumerate(zip(bodies, peer(accounts, bodies), strict=True)):
        assert plainly(theirs) == plainly(plain(accounts, body, number)), body


def test_the_workloads_orders_come_to_the_same_books_and_events(accounts):
    compare(accounts, list(order_bodies(ORDERS)))


def order(*items, **fields):
    return json.dumps(
        {
            "orderId": "O-1",
            "completedAt": "2026-11-22T10:15:00Z",
            "billingAccount": {"id": "BA-0001"},
            "currency": "EUR",
            "items": [
                {"id": str(number), "quantity": 1, "unitPrice": "1.00", "tax": {"category": "S", "rate": "0.20"}} | item
                for number, item in enumerate(items, 1)
            ],
        }
        | fields
    ).encode()


def taxed(category, rate):
    return {"tax": {"category": category, "rate": rate}}


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([{"unitPrice": "0.005"}, {"unitPrice": "-0.005"}], id="half a cent goes away from zero"),
        pytest.param([{"unitPrice": "0.004999"}, {"quantity": "0.333", "unitPrice": "0.0151"}], id="many places"),
        pytest.param([{"quantity": "-3", "unitPrice": "1.15"}, {"unitPrice": "10"}], id="a credit"),
        # 1.005 × 100 is less than 100.5 as a binary float, 8.115 × 1000 more than 8,115.
        pytest.param([{"unitPrice": "1.005"}, {"quantity": 10, "unitPrice": "8.115"}], id="no binary float"),
        pytest.param([{"quantity": 0.1, "unitPrice": 0.35}], id="numbers"),
        pytest.param([{"quantity": 3, "unitPrice": "99999999.99"}], id="more than 32 bits"),
        pytest.param([taxed("S", "0.2"), taxed("S", "0.20"), taxed("Z", "0.20")], id="one rate, written twice"),
        pytest.param([taxed("S", "0.055") | {"unitPrice": "0.10"}] * 7, id="what is left goes to the last line"),
        pytest.param([taxed("S", rate) for rate in ("0", "1", "0.10", "0")], id="rates in turn"),
        pytest.param(
            [{"onBehalfOf": {"id": f"SA-{number % 5}"}, "unitPrice": f"{number}.37"} for number in range(12)] + [{}],
            id="every partner's share",
        ),
    ],
)
def test_odd_amounts_come_to_the_same_books_and_events(accounts, items):
    compare(accounts, [order(*items)])


def test_what_is_no_order_is_refused(accounts):
    bodies = [
        order(),
        order({"unitPrice": "1,00"}),
        order({"quantity": "NaN"}),
        order(taxed("S", "1.01")),
        order({}, currency="eur"),
        order({}, completedAt="2026-13-22T10:15:00Z"),
        order({}, billingAccount={}),
        b"[]",
    ]
    for made in peer(accounts, bodies):
        assert made.keys() == {"refused"}
    for body in bodies:
        with pytest.raises(ValueError):
            Order.model_validate_json(body)
