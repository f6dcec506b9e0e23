"""An order and what it comes to: pydantic at the door, decimals until the cent, integers from there."""

from collections import defaultdict
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic import BaseModel, Field

Row = dict[str, Any]


class Reference(BaseModel):
    """Points to an account."""

    id: str = Field(min_length=1, max_length=64)


class Tax(BaseModel):
    """The tax of a line."""

    category: str
    rate: Decimal = Field(ge=0, le=1)


class Item(BaseModel):
    """A line of an order."""

    id: str
    description: str | None = Field(None, max_length=1_000)
    quantity: Decimal
    unit_price: Decimal = Field(alias="unitPrice")
    tax: Tax
    on_behalf_of: Reference | None = Field(None, alias="onBehalfOf")


class Order(BaseModel):
    """`order.completed`."""

    order_id: str = Field(alias="orderId", min_length=1, max_length=64)
    completed_at: datetime = Field(alias="completedAt")
    billing_account: Reference = Field(alias="billingAccount")
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    items: list[Item] = Field(min_length=1, max_length=1_000)

    @property
    def identity(self) -> str:
        """What has one effect."""
        return f"order.completed:{self.order_id}"

    @property
    def account_ids(self) -> set[str]:
        """The accounts that it names."""
        return {self.billing_account.id, *(item.on_behalf_of.id for item in self.items if item.on_behalf_of)}


def _cents(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def invoice_of(order: Order, number: str, accounts: dict[str, Row], now: datetime) -> Row:
    """The invoice as it is kept: nets by line, tax by group of rate, the partners' shares."""
    nets = [_cents(item.quantity * item.unit_price * 100) for item in order.items]
    groups: dict[tuple[str, Decimal], list[int]] = defaultdict(list)
    for index, item in enumerate(order.items):
        groups[item.tax.category, item.tax.rate].append(index)
    taxes, tax_items = [0] * len(nets), []
    for (category, rate), members in groups.items():
        net = sum(nets[index] for index in members)
        tax = left = _cents(net * rate)
        for index in members[:-1]:
            taxes[index] = _cents(nets[index] * rate)
            left -= taxes[index]
        taxes[members[-1]] = left
        tax_items.append({"category": category, "rate": str(rate), "taxExcludedAmount": net, "taxAmount": tax})
    lines = []
    for item, net, tax in zip(order.items, nets, taxes, strict=True):
        line: Row = {
            "id": item.id,
            "description": item.description,
            "quantity": str(item.quantity),
            "unitPrice": str(item.unit_price),
            "category": item.tax.category,
            "rate": str(item.tax.rate),
            "taxExcludedAmount": net,
            "taxAmount": tax,
        }
        if item.on_behalf_of is not None:
            share = Decimal(accounts[item.on_behalf_of.id]["partnerShare"])
            line["onBehalfOf"] = {"id": item.on_behalf_of.id, "share": _cents(net * share)}
        lines.append(line)
    return {
        "_id": number,
        "orderId": order.order_id,
        "billingAccount": order.billing_account.id,
        "currency": order.currency,
        "state": "new",
        "bookedAt": now,
        "completedAt": order.completed_at,
        "paymentTermDays": accounts[order.billing_account.id]["paymentTermDays"],
        "buyerVersion": accounts[order.billing_account.id]["version"],
        "sellerVersion": None,  # the workload tells nothing of the seller
        "taxExcludedAmount": sum(nets),
        "taxIncludedAmount": sum(nets) + sum(taxes),
        "taxItem": tax_items,
        "lines": lines,
    }


def entry_of(order: Order, invoice: Row) -> Row:
    """The journal entry, debits positive, which sums to zero."""
    sums: dict[str, int] = defaultdict(int)
    sums[f"receivable:{invoice['billingAccount']}"] += invoice["taxIncludedAmount"]
    for line in invoice["lines"]:
        share = 0
        if partner := line.get("onBehalfOf"):
            share = partner["share"]
            sums[f"payable:{partner['id']}"] -= share
        sums["commission" if partner else "revenue"] -= line["taxExcludedAmount"] - share
    for item in invoice["taxItem"]:
        sums[f"tax:{item['category']}:{item['rate']}"] -= item["taxAmount"]
    assert sum(sums.values()) == 0, invoice
    return {
        "_id": order.identity,
        "occurredAt": order.completed_at,
        "bookedAt": invoice["bookedAt"],
        "postings": [
            {"account": account, "currency": order.currency, "amount": amount} for account, amount in sums.items()
        ],
    }


def accruals_of(invoice: Row) -> list[Row]:
    """A row for each line that was sold on behalf of a partner."""
    return [
        {
            "_id": f"{invoice['_id']}/{line['id']}",
            "settlementAccount": line["onBehalfOf"]["id"],
            "orderId": invoice["orderId"],
            "billNo": invoice["_id"],
            "lineId": line["id"],
            "amount": line["onBehalfOf"]["share"],
            "bookedAt": invoice["bookedAt"],
        }
        for line in invoice["lines"]
        if "onBehalfOf" in line
    ]
