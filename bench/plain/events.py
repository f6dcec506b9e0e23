"""The events of an invoice, with the same content as Paymaster's: TMF678's CustomerBill with its lines."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic_core import to_json

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """An event to publish; its id is the same however often that happens."""

    id: str
    type: str
    account: str
    body: bytes


def events_of(invoice: Row, identity: str, correlation_id: str) -> list[Event]:
    """`invoice.issued`, and `settlement.accrued` for each partner."""
    number = invoice["_id"]
    issued = {"invoice": _bill(invoice), "orderId": invoice["orderId"]}
    events = [_event(f"{number}:issued", "invoice.issued", invoice["billingAccount"], issued, invoice, correlation_id)]
    for partner, accrued in _accrued(invoice, identity):
        event_id = f"{number}:accrued:{partner}"
        events.append(_event(event_id, "settlement.accrued", partner, accrued, invoice, correlation_id))
    return events


def _event(event_id: str, type_: str, account: str, event: Row, invoice: Row, correlation_id: str) -> Event:
    body = {
        "eventId": event_id,
        "eventType": type_,
        "eventTime": invoice["bookedAt"],
        "correlationId": correlation_id,
        "event": event,
    }
    return Event(event_id, type_, account, to_json(body))


def _money(amount: int, invoice: Row) -> Row:
    return {"unit": invoice["currency"], "value": amount / 100}


def _reference(account: str, type_: str) -> Row:
    return {"@type": f"{type_}Ref", "@referredType": type_, "id": account}


def _payment_reference(number: str) -> str:
    reference = number.replace("-", "")
    digits = "".join(str(int(character, 36)) for character in f"{reference}RF00")
    return f"RF{98 - int(digits) % 97:02d}{reference}"


def _bill(invoice: Row) -> Row:
    total = _money(invoice["taxIncludedAmount"], invoice)
    account = _reference(invoice["billingAccount"], "BillingAccount")
    date = invoice["bookedAt"].date()
    return {
        "@type": "CustomerBill",
        "id": invoice["_id"],
        "billNo": invoice["_id"],
        "paymentReference": _payment_reference(invoice["_id"]),
        "orderId": invoice["orderId"],
        "billDate": date,
        "paymentDueDate": date + timedelta(days=invoice["paymentTermDays"]),
        "taxPointDate": invoice["completedAt"].date(),
        "state": invoice["state"],
        "billingAccount": account,
        "sellerVersion": invoice["sellerVersion"],
        "buyerVersion": invoice["buyerVersion"],
        "taxExcludedAmount": _money(invoice["taxExcludedAmount"], invoice),
        "taxIncludedAmount": total,
        "taxItem": [
            {
                "@type": "TaxItem",
                "taxCategory": item["category"],
                "taxRate": float(item["rate"]),
                "taxExcludedAmount": _money(item["taxExcludedAmount"], invoice),
                "taxAmount": _money(item["taxAmount"], invoice),
            }
            for item in invoice["taxItem"]
        ],
        "amountDue": total,
        "remainingAmount": total,
        "appliedPayment": [],
        "lines": [_line(line, account, invoice) for line in invoice["lines"]],
    }


def _line(line: Row, account: Row, invoice: Row) -> Row:
    out: Row = {
        "@type": "AppliedCustomerBillingRate",
        "id": line["id"],
        "description": line["description"],
        "isBilled": True,
        "bill": {"@type": "CustomerBillRef", "id": invoice["_id"]},
        "billingAccount": account,
        "quantity": float(line["quantity"]),
        "unitPrice": float(line["unitPrice"]),
        "taxExcludedAmount": _money(line["taxExcludedAmount"], invoice),
        "taxIncludedAmount": _money(line["taxExcludedAmount"] + line["taxAmount"], invoice),
        "appliedTax": [
            {
                "@type": "AppliedBillingTaxRate",
                "taxCategory": line["category"],
                "taxRate": float(line["rate"]),
                "taxAmount": _money(line["taxAmount"], invoice),
            }
        ],
    }
    if "onBehalfOf" in line:
        out["onBehalfOf"] = _reference(line["onBehalfOf"]["id"], "SettlementAccount")
    return out


def _accrued(invoice: Row, identity: str) -> Iterator[tuple[str, Row]]:
    lines: dict[str, list[Row]] = defaultdict(list)
    for line in invoice["lines"]:
        if "onBehalfOf" in line:
            lines[line["onBehalfOf"]["id"]].append(line)
    for partner, sold in lines.items():
        yield (
            partner,
            {
                "settlementAccount": _reference(partner, "SettlementAccount"),
                "amount": _money(sum(line["onBehalfOf"]["share"] for line in sold), invoice),
                "cause": identity,
                "lines": [
                    {
                        "orderId": invoice["orderId"],
                        "billNo": invoice["_id"],
                        "lineId": line["id"],
                        "amount": _money(line["onBehalfOf"]["share"], invoice),
                    }
                    for line in sold
                ],
            },
        )
