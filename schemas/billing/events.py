"""Charges and bills on demand as they go out, and the events that tell of them."""

from __future__ import annotations

from typing import get_args

from domain.billing.model import BillOnDemand, BillOnDemandState, BillOnDemandStateChanged, Charge, ChargeAdded
from schemas.accounts.events import account_ref
from schemas.event import Event
from schemas.invoicing.events import CORRECTS, PERIOD, corrects_json, period_json
from schemas.shapes import Shape
from schemas.values import Json, decimal_json, money_json, time_json


def charge_json(charge: Charge) -> Json:
    """A TMF678 AppliedCustomerBillingRate: what waits for a bill, or where it was billed and how much of it."""
    item, billed = charge.item, charge.billed
    out: Json = {
        "@type": "AppliedCustomerBillingRate",
        "id": charge.id,
        "date": charge.date.isoformat(),
        "isBilled": billed is not None,
        "billingAccount": account_ref(charge.billing_account, "BillingAccount"),
        "itemId": item.id,
        "quantity": decimal_json(item.quantity),
        "unitPrice": decimal_json(item.unit_price),
        "taxExcludedAmount": money_json(charge.net if billed is None else billed.amount, charge.currency),
        "appliedTax": [{"@type": "AppliedBillingTaxRate", "taxCategory": item.category, "taxRate": float(item.rate)}],
    }
    if item.description is not None:
        out["description"] = item.description
    if item.on_behalf_of is not None:
        out["onBehalfOf"] = account_ref(item.on_behalf_of, "SettlementAccount")
    if charge.period is not None:
        out["periodCoverage"] = period_json(charge.period)
    if charge.subscription_id is not None:
        out["subscriptionId"] = charge.subscription_id
    if charge.corrects is not None:
        out["corrects"] = corrects_json(charge.corrects)
    if billed is not None:
        out["billedAt"] = time_json(billed.booked_at)
        number = billed.bill_no or billed.credit_note
        if number is not None:
            out["bill"] = {"@type": "CustomerBillRef", "id": number}
        if billed.line_id is not None:
            out["lineId"] = billed.line_id
    return out


def bill_on_demand_json(bill: BillOnDemand) -> Json:
    """A TMF678 CustomerBillOnDemand, or a further part of one, with the credit notes beside its bill."""
    out: Json = {
        "@type": "CustomerBillOnDemand",
        "id": bill.demand_id,
        "billingAccount": account_ref(bill.billing_account, "BillingAccount"),
        "billingDate": bill.billing_date.isoformat(),
        "state": bill.state,
        "creditNotes": [{"@type": "CustomerBillRef", "id": number} for number in bill.credit_notes],
        "lastUpdate": time_json(bill.booked_at),
    }
    if bill.bill_no is not None:
        out["customerBill"] = {"@type": "CustomerBillRef", "id": bill.bill_no}
    return out


_BILL_REF: Shape = {"@type": ("CustomerBillRef",), "id": "Id"}

SHAPES: dict[str, Shape] = {
    "Charge": {
        "@type": ("AppliedCustomerBillingRate",),
        "id": "Id",
        "date": "Date",
        "isBilled": bool,
        "billingAccount": "BillingAccountReference",
        "itemId": "Id",
        "description?": "Text",
        "quantity": "Decimal",
        "unitPrice": "Decimal",
        "taxExcludedAmount": "Money",
        "appliedTax": [{"@type": ("AppliedBillingTaxRate",), "taxCategory": "Id", "taxRate": float}],
        "onBehalfOf?": "SettlementAccountReference",
        "periodCoverage?": PERIOD,
        "subscriptionId?": "Id",
        "corrects?": CORRECTS,
        "billedAt?": "Time",
        "bill?": _BILL_REF,
        "lineId?": "Id",
    },
    "BillOnDemand": {
        "@type": ("CustomerBillOnDemand",),
        "id": "Id",
        "billingAccount": "BillingAccountReference",
        "billingDate": "Date",
        "state": get_args(BillOnDemandState),
        "customerBill?": _BILL_REF,
        "creditNotes": [_BILL_REF],
        "lastUpdate": "Time",
    },
}
"""Parts of what goes out, by name."""

EVENTS = (
    Event(
        "charge.added",
        ChargeAdded,
        "An item waits for its account's next bill.",
        {"charge": "Charge"},
        lambda event: {"charge": charge_json(event.charge)},
    ),
    Event(
        "bill-on-demand.state-changed",
        BillOnDemandStateChanged,
        "A bill was made on demand, or a part of it; or nothing was due.",
        {"customerBillOnDemand": "BillOnDemand"},
        lambda event: {"customerBillOnDemand": bill_on_demand_json(event.bill)},
    ),
)
