"""Charges, subscriptions, usage and bills on demand as they go out, and the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import get_args

from domain.billing.model import BillOnDemand, BillOnDemandState, BillOnDemandStateChanged, Charge, ChargeAdded
from domain.billing.runs import BillRun, BillRunCompleted, BillRunStarted, BillRunState
from domain.billing.subscriptions import (
    AppliedPatch,
    ChangeKind,
    Subscription,
    SubscriptionChanged,
    SubscriptionCreated,
    SubscriptionStateChanged,
)
from domain.billing.terms import SubscriptionState, Terms
from domain.billing.usage import UsageRecord
from schemas.accounts.events import account_ref
from schemas.billing.prices import PRICE, price_json
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


def usage_json(record: UsageRecord) -> Json:
    """A record of usage, with the date that it counts on."""
    return {
        "usageId": record.id,
        "subscriptionId": record.subscription,
        "priceId": record.price_id,
        "usageDate": time_json(record.usage_date),
        "date": record.day.isoformat(),
        "quantity": decimal_json(record.quantity),
        "bookedAt": time_json(record.booked_at),
    }


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
    if bill.bill_nos is not None:
        # TMF678 knows one bill of a demand; several are of several sellers.
        out["customerBills"] = [{"@type": "CustomerBillRef", "id": number} for number in bill.bill_nos]
    return out


def bill_run_json(run: BillRun, parked: int | None = None, total: int | None = None) -> Json:
    """A TMF678 BillCycle: a run, and what it comes to so far.

    `parked` of its accounts are held; of `total` accounts, or as many as it is done with. Without the former, its
    accounts and totals are left out: it has only begun.
    """
    out: Json = {
        "@type": "BillCycle",
        "billRunId": run.id,
        "cycleSpecification": {"@type": "BillingCycleSpecificationRef", "id": run.cycle_specification},
        "billingDate": run.billing_date.isoformat(),
        "state": run.state,
        "startedAt": time_json(run.started_at),
    }
    if run.charges_through is not None:
        out["chargesThrough"] = run.charges_through.isoformat()
    if run.payment_due_date is not None:
        out["paymentDueDate"] = run.payment_due_date.isoformat()
    if run.completed_at is not None:
        out["completedAt"] = time_json(run.completed_at)
    if parked is not None:
        done = run.billed + run.nothing_due + parked
        out["accounts"] = {
            "total": max(done, total or 0),
            "billed": run.billed,
            "nothingDue": run.nothing_due,
            "parked": parked,
        }
        out["totals"] = [
            {
                "taxExcludedAmount": money_json(of_currency.tax_excluded_amount, of_currency.currency),
                "taxIncludedAmount": money_json(of_currency.tax_included_amount, of_currency.currency),
            }
            for of_currency in run.totals
        ]
    return out


TERMS = {
    "name": "name",
    "productPrice": "prices",
    "trialEndDate": "trial_end_date",
    "terminationDate": "termination_date",
    "billingAnchor": "billing_anchor",
    "state": "suspended",
}
"""What a subscription's terms are called as they go out; that it is suspended is its state."""
_STATES = get_args(SubscriptionState)


CHANGED: Shape = {"kind": get_args(ChangeKind), "effectiveDate": "Date", "changed": [tuple(TERMS)]}
"""What a change of a subscription is like as it goes out, but for what it changes to."""


def subscription_json(subscription: Subscription, on: date) -> Json:
    """A TMF637 Product: a subscription with the terms of a day."""
    return {
        "@type": "Product",
        "id": subscription.id,
        "billingAccount": account_ref(subscription.billing_account, "BillingAccount"),
        "currency": subscription.currency,
        "startDate": subscription.start_date.isoformat(),
        "state": subscription.state,
        "revision": subscription.revision,
        "lastUpdate": time_json(subscription.patches[-1].booked_at if subscription.patches else subscription.booked_at),
        **_without_nulls(_terms(subscription.terms_on(on), TERMS)),
    }


def changed_json(patch: AppliedPatch) -> Json:
    """Which terms a change changes, and from when on."""
    changed = [name for name, field in TERMS.items() if field in patch.changed]
    return {"kind": patch.kind, "effectiveDate": patch.effective_date.isoformat(), "changed": changed}


def _subscription_changed(event: SubscriptionChanged) -> Json:
    patch = event.subscription.patches[-1]
    out = {"subscription": subscription_json(event.subscription, event.on), **changed_json(patch)}
    if patch.kind == "change":
        out["changes"] = _terms(patch.terms, out["changed"])
    return out


def _terms(terms: Terms, names: Iterable[str]) -> Json:
    known: Json = {
        "name": terms.name,
        "productPrice": [price_json(price) for price in terms.prices],
        **{name: None if day is None else day.isoformat() for name, day in _days(terms)},
    }
    return {name: known[name] for name in names if name in known}


def _days(terms: Terms) -> Iterable[tuple[str, date | None]]:
    yield "trialEndDate", terms.trial_end_date
    yield "terminationDate", terms.termination_date
    yield "billingAnchor", terms.billing_anchor


def _without_nulls(told: Json) -> Json:
    return {name: value for name, value in told.items() if value is not None}


_BILL_REF: Shape = {"@type": ("CustomerBillRef",), "id": "Id"}

SHAPES: dict[str, Shape] = {
    "Charge": {
        "@type": ("AppliedCustomerBillingRate",),
        "id": "ChargeId",
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
    "ProductPrice": PRICE,
    "Subscription": {
        "@type": ("Product",),
        "id": "Id",
        "name?": "Text",
        "billingAccount": "BillingAccountReference",
        "currency": "Currency",
        "startDate": "Date",
        "state": _STATES,
        "revision": "Revision",
        "lastUpdate": "Time",
        "productPrice": ["ProductPrice"],
        "trialEndDate?": "Date",
        "terminationDate?": "Date",
        "billingAnchor?": "Date",
    },
    "Usage": {
        "usageId": "Id",
        "subscriptionId": "Id",
        "priceId": "Id",
        "usageDate": "Time",
        "date": "Date",
        "quantity": "Decimal",
        "bookedAt": "Time",
    },
    "BillOnDemand": {
        "@type": ("CustomerBillOnDemand",),
        "id": "Id",
        "billingAccount": "BillingAccountReference",
        "billingDate": "Date",
        "state": get_args(BillOnDemandState),
        "customerBill?": _BILL_REF,
        "customerBills?": [_BILL_REF],
        "creditNotes": [_BILL_REF],
        "lastUpdate": "Time",
    },
    "BillRun": {
        "@type": ("BillCycle",),
        "billRunId": "Id",
        "cycleSpecification": {"@type": ("BillingCycleSpecificationRef",), "id": "Id"},
        "billingDate": "Date",
        "chargesThrough?": "Date",
        "paymentDueDate?": "Date",
        "state": get_args(BillRunState),
        "startedAt": "Time",
        "completedAt?": "Time",
        "accounts?": {"total": int, "billed": int, "nothingDue": int, "parked": int},
        "totals?": [{"taxExcludedAmount": "Money", "taxIncludedAmount": "Money"}],
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
        "subscription.created",
        SubscriptionCreated,
        "A subscription was agreed, with the terms of the newest day.",
        {"subscription": "Subscription"},
        lambda event: {"subscription": subscription_json(event.subscription, event.on)},
    ),
    Event(
        "subscription.changed",
        SubscriptionChanged,
        "Other terms were agreed for a subscription, from a date on, with what they were changed to (null: removed).",
        {
            "subscription": "Subscription",
            **CHANGED,
            "changes?": {
                "name?": "Text?",
                "productPrice?": ["ProductPrice"],
                "trialEndDate?": "Date?",
                "terminationDate?": "Date?",
                "billingAnchor?": "Date?",
            },
        },
        _subscription_changed,
    ),
    Event(
        "subscription.state-changed",
        SubscriptionStateChanged,
        "A subscription has come from one state to another: by a change, or by itself on a day.",
        {"subscription": "Subscription", "oldState": _STATES, "newState": _STATES},
        lambda event: {
            "subscription": subscription_json(event.subscription, event.on),
            "oldState": event.old_state,
            "newState": event.subscription.state,
        },
    ),
    Event(
        "bill-on-demand.state-changed",
        BillOnDemandStateChanged,
        "A bill was made on demand, or a part of it; or nothing was due.",
        {"customerBillOnDemand": "BillOnDemand"},
        lambda event: {"customerBillOnDemand": bill_on_demand_json(event.bill)},
    ),
    Event(
        "bill-run.started",
        BillRunStarted,
        "A run over the accounts of a billing cycle has begun, by a message or by itself.",
        {"billRun": "BillRun"},
        lambda event: {"billRun": bill_run_json(event.run)},
        of_account=False,
    ),
    Event(
        "bill-run.completed",
        BillRunCompleted,
        "A run has come to each of its accounts, with what its bills come to; what is parked can be replayed.",
        {"billRun": "BillRun"},
        lambda event: {"billRun": bill_run_json(event.run, event.parked)},
        of_account=False,
    ),
)
