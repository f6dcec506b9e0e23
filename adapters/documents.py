"""The domain's documents as MongoDB keeps them, and back: by hand, since this is the hot path of every batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

from domain.accounts.model import Account, AccountVersion, Reference, Relationship, SettlementTerms
from domain.accounts.references import Link
from domain.accounts.specifications import (
    SPECIFICATIONS,
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    Specification,
)
from domain.invoicing.model import AppliedPayment, Invoice, InvoiceLine, PartnerShare, TaxItem
from domain.ledger.entries import Entry
from domain.ledger.numbering import Series
from domain.ledger.positions import CarriedForward, Position
from domain.payments.model import Allocation, Payment
from domain.settlement.accruals import Accrual
from domain.settlement.payouts import Payout
from domain.settlement.statements import Settlement, SettlementLine
from schemas.accounts.queries import account_document

Row = dict[str, Any]


def _decimal(value: Decimal) -> str:
    return f"{value:f}"


# A payment's invoices are read whole: their rates, prices and dates are few and come again and again.
_to_decimal = lru_cache(maxsize=4096)(Decimal)
_to_date = lru_cache(maxsize=4096)(date.fromisoformat)


def _account(a: Account) -> Row:
    terms = a.settlement_terms
    return {
        "_id": a.id,
        "type": a.type,
        "currency": a.currency,
        "state": a.state,
        "revision": a.revision,
        "version": a.version,
        "paymentTermDays": a.payment_term_days,
        "settlementTerms": None
        if terms is None
        else {"partnerShare": _decimal(terms.partner_share), "accrueOn": terms.accrue_on},
        "creditLimit": a.credit_limit,
        "openedAt": a.opened_at,
        "updatedAt": a.updated_at,
        "relationships": [
            {"type": r.type, "account": r.account, "from": r.valid_from, "until": r.valid_until}
            for r in a.relationships
        ],
        "references": [{"kind": r.kind, "id": r.id} for r in a.references],
        # What accounts are found by.
        "financialAccount": next((r.id for r in a.references if r.kind == "financialAccount"), None),
        "parties": _parties(a.document),
        "nameKey": name_key(a.document),
        "document": a.document,
        # As queries give it, but for its money: to read the fields and write them anew is most of what a page takes.
        "json": to_json(account_document(a, None)),
    }


def name_key(document: Mapping[str, Any]) -> str:
    """What a document's name is looked up by: the same in upper and lower case."""
    return str(document.get("name") or "").casefold()


def _parties(document: Mapping[str, Any]) -> list[str]:
    """The ids of the parties that an account is related to, each once; of a role, the role's and the party's."""
    ids = (
        party[field]
        for related in document.get("relatedParty") or ()
        if isinstance(party := related.get("partyOrPartyRole"), Mapping)
        for field in ("id", "partyId")
        if isinstance(party.get(field), str)
    )
    return list(dict.fromkeys(ids))


def _to_account(r: Row) -> Account:
    terms = r["settlementTerms"]
    return Account(
        r["_id"],
        r["type"],
        r["currency"],
        r["state"],
        r["revision"],
        r["paymentTermDays"],
        None if terms is None else SettlementTerms(Decimal(terms["partnerShare"]), terms["accrueOn"]),
        r["openedAt"],
        r["document"],
        r["version"],
        r["updatedAt"],
        r["creditLimit"],
        tuple(Relationship(s["type"], s["account"], s["from"], s["until"]) for s in r["relationships"]),
        tuple(Reference(s["kind"], s["id"]) for s in r["references"]),
    )


def _version(v: AccountVersion) -> Row:
    return {
        "_id": v.id,
        "account": v.account.id,
        "version": v.account.version,
        "revision": v.account.revision,
        "bookedAt": v.booked_at,
        "cause": v.cause,
        "changed": list(v.changed),
        "oldState": v.old_state,
        "newState": v.account.state,
        "reason": v.reason,
        "snapshot": _account(v.account),
    }


def _link(link: Link) -> Row:
    return {
        "_id": link.id,
        "owner": link.owner,
        "kind": link.kind,
        "referrer": link.referrer,
        "referred": link.referred,
        "open": link.open,
    }


def _to_link(r: Row) -> Link:
    return Link(r["kind"], r["referrer"], r["referred"], r["open"])


def _specification(s: Specification) -> Row:
    return {
        "_id": s.id,
        "state": s.state,
        "revision": s.revision,
        "createdAt": s.created_at,
        "updatedAt": s.updated_at,
        "touched": s.touched,
        "nameKey": name_key(s.document),
        "document": s.document,
    }


def _to_specification(kind: type[Specification]) -> Callable[[Row], Specification]:
    return lambda r: kind(
        r["_id"], r["state"], r["revision"], r["createdAt"], r["updatedAt"], r["document"], r["touched"]
    )


def _position(p: Position) -> Row:
    carried = p.carried_forward
    return {
        "_id": p.id,
        "currency": p.currency,
        "sequence": p.sequence,
        "movements": p.movements,
        "receivable": p.receivable,
        "unapplied": p.unapplied,
        "payable": p.payable,
        "withheld": p.withheld,
        "carriedForward": None
        if carried is None
        else {"settlementId": carried.settlement_id, "amount": carried.amount},
        "oldestDue": None if p.oldest_due is None else p.oldest_due.isoformat(),
        "touched": p.touched,
        "used": p.used,
        "withholding": p.withholding,
        "allocating": p.allocating,
    }


def _to_position(r: Row) -> Position:
    carried = r["carriedForward"]
    return Position(
        r["_id"],
        r["currency"],
        r["sequence"],
        r["movements"],
        r["receivable"],
        r["unapplied"],
        r["payable"],
        r["withheld"],
        None if carried is None else CarriedForward(carried["settlementId"], carried["amount"]),
        None if r["oldestDue"] is None else date.fromisoformat(r["oldestDue"]),
        r["touched"],
        r["used"],
        r["withholding"],
        r["allocating"],
    )


def _invoice(i: Invoice) -> Row:
    return {
        "_id": i.id,
        "billingAccount": i.billing_account,
        "orderedFor": i.ordered_for,
        "orderId": i.order_id,
        "currency": i.currency,
        "state": i.state,
        "billDate": i.bill_date.isoformat(),
        "paymentDueDate": i.payment_due_date.isoformat(),
        "taxPointDate": i.tax_point_date.isoformat(),
        "bookedAt": i.booked_at,
        "taxExcludedAmount": i.tax_excluded_amount,
        "taxIncludedAmount": i.tax_included_amount,
        "remainingAmount": i.remaining_amount,
        "taxItem": [
            {
                "category": t.category,
                "rate": _decimal(t.rate),
                "taxExcludedAmount": t.tax_excluded_amount,
                "taxAmount": t.tax_amount,
            }
            for t in i.tax_item
        ],
        "lines": [_line(line) for line in i.lines],
        "appliedPayment": [{"paymentId": a.payment_id, "amount": a.amount} for a in i.applied_payment],
    }


def _line(line: InvoiceLine) -> Row:
    partner = line.on_behalf_of
    return {
        "id": line.id,
        "description": line.description,
        "quantity": _decimal(line.quantity),
        "unitPrice": _decimal(line.unit_price),
        "category": line.category,
        "rate": _decimal(line.rate),
        "taxExcludedAmount": line.tax_excluded_amount,
        "taxAmount": line.tax_amount,
        "onBehalfOf": None
        if partner is None
        else {
            "id": partner.id,
            "partnerShare": _decimal(partner.partner_share),
            "accrueOn": partner.accrue_on,
            "share": partner.share,
            "accrued": partner.accrued,
        },
    }


def _to_line(r: Row) -> InvoiceLine:
    partner = r["onBehalfOf"]
    return InvoiceLine(
        r["id"],
        r["description"],
        _to_decimal(r["quantity"]),
        _to_decimal(r["unitPrice"]),
        r["category"],
        _to_decimal(r["rate"]),
        r["taxExcludedAmount"],
        r["taxAmount"],
        None
        if partner is None
        else PartnerShare(
            partner["id"],
            _to_decimal(partner["partnerShare"]),
            partner["accrueOn"],
            partner["share"],
            partner["accrued"],
        ),
    )


def _to_invoice(r: Row) -> Invoice:
    return Invoice(
        r["_id"],
        r["billingAccount"],
        r["orderedFor"],
        r["orderId"],
        r["currency"],
        r["state"],
        _to_date(r["billDate"]),
        _to_date(r["paymentDueDate"]),
        _to_date(r["taxPointDate"]),
        r["bookedAt"],
        r["taxExcludedAmount"],
        r["taxIncludedAmount"],
        r["remainingAmount"],
        tuple(
            TaxItem(t["category"], _to_decimal(t["rate"]), t["taxExcludedAmount"], t["taxAmount"]) for t in r["taxItem"]
        ),
        tuple(_to_line(line) for line in r["lines"]),
        tuple(AppliedPayment(a["paymentId"], a["amount"]) for a in r["appliedPayment"]),
    )


def _payment(p: Payment) -> Row:
    return {
        "_id": p.id,
        "billingAccount": p.billing_account,
        "currency": p.currency,
        "amount": p.amount,
        "unapplied": p.unapplied,
        "receivedAt": p.received_at,
        "method": p.method,
        "invoices": None if p.invoices is None else list(p.invoices),
        "bookedAt": p.booked_at,
    }


def _to_payment(r: Row) -> Payment:
    return Payment(
        r["_id"],
        r["billingAccount"],
        r["currency"],
        r["amount"],
        r["unapplied"],
        r["receivedAt"],
        r["method"],
        None if r["invoices"] is None else tuple(r["invoices"]),
        r["bookedAt"],
    )


def _allocation(a: Allocation) -> Row:
    return {
        "_id": a.id,
        "billNo": a.bill_no,
        "paymentId": a.payment_id,
        "billingAccount": a.billing_account,
        "amount": a.amount,
        "cause": a.cause,
        "bookedAt": a.booked_at,
    }


def _accrual(a: Accrual) -> Row:
    return {
        "_id": a.id,
        "settlementAccount": a.settlement_account,
        "orderId": a.order_id,
        "billNo": a.bill_no,
        "lineId": a.line_id,
        "amount": a.amount,
        "date": a.date.isoformat(),
        "cause": a.cause,
        "bookedAt": a.booked_at,
        "settlementId": a.settlement_id,
    }


def _to_accrual(r: Row) -> Accrual:
    return Accrual(
        r["_id"],
        r["settlementAccount"],
        r["orderId"],
        r["billNo"],
        r["lineId"],
        r["amount"],
        date.fromisoformat(r["date"]),
        r["cause"],
        r["bookedAt"],
        r["settlementId"],
    )


def _settlement(s: Settlement) -> Row:
    return {
        "_id": s.id,
        "settlementAccount": s.settlement_account,
        "currency": s.currency,
        "closingId": s.closing_id,
        "periodEnd": s.period_end.isoformat(),
        "lines": [
            {
                "accrualId": line.accrual_id,
                "orderId": line.order_id,
                "billNo": line.bill_no,
                "lineId": line.line_id,
                "date": line.date.isoformat(),
                "amount": line.amount,
            }
            for line in s.lines
        ],
        "broughtForward": s.brought_forward,
        "broughtForwardFrom": s.brought_forward_from,
        "total": s.total,
        "paid": s.paid,
        "state": s.state,
        "bookedAt": s.booked_at,
    }


def _to_settlement(r: Row) -> Settlement:
    return Settlement(
        r["_id"],
        r["settlementAccount"],
        r["currency"],
        r["closingId"],
        date.fromisoformat(r["periodEnd"]),
        tuple(
            SettlementLine(
                line["accrualId"],
                line["orderId"],
                line["billNo"],
                line["lineId"],
                date.fromisoformat(line["date"]),
                line["amount"],
            )
            for line in r["lines"]
        ),
        r["broughtForward"],
        r["broughtForwardFrom"],
        r["total"],
        r["paid"],
        r["state"],
        r["bookedAt"],
    )


def _payout(p: Payout) -> Row:
    return {
        "_id": p.id,
        "settlementAccount": p.settlement_account,
        "settlementId": p.settlement_id,
        "currency": p.currency,
        "amount": p.amount,
        "bookedAt": p.booked_at,
    }


def _entry(e: Entry) -> Row:
    row: Row = {
        "_id": e.id,
        "cause": e.cause,
        "occurredAt": e.occurred_at,
        "bookedAt": e.booked_at,
        "postings": [],
    }
    for p in e.postings:
        posting: Row = {"account": p.account, "currency": p.currency, "amount": p.amount}
        if p.category is not None:
            posting["category"] = p.category
            posting["rate"] = p.rate
        if p.movement is not None:
            posting["movement"] = p.movement
        row["postings"].append(posting)
    if e.reverses is not None:
        row["reverses"] = e.reverses
        row["reason"] = e.reason
    return row


def _series(s: Series) -> Row:
    return {"_id": s.id, "last": s.last}


def _to_series(r: Row) -> Series:
    return Series(r["_id"], r["last"])


COLLECTION: dict[type, str] = {
    Series: "series",
    Position: "positions",
    Account: "accounts",
    AccountVersion: "accountVersions",
    Link: "links",
    BillingCycleSpecification: "billingCycleSpecifications",
    BillFormat: "billFormats",
    BillPresentationMedia: "billPresentationMedia",
    Invoice: "invoices",
    Payment: "payments",
    Accrual: "accruals",
    Settlement: "settlements",
    Allocation: "allocations",
    Payout: "payouts",
    Entry: "entries",
}
"""Where each type is kept. The series and the positions are written first, for a conflict to show early."""

ENCODE: dict[type, Callable[[Any], Row]] = {
    Account: _account,
    AccountVersion: _version,
    Link: _link,
    **dict.fromkeys(SPECIFICATIONS.values(), _specification),
    Position: _position,
    Invoice: _invoice,
    Payment: _payment,
    Accrual: _accrual,
    Settlement: _settlement,
    Series: _series,
    Allocation: _allocation,
    Payout: _payout,
    Entry: _entry,
}

DECODE: dict[type, Callable[[Row], Any]] = {
    Account: _to_account,
    Link: _to_link,
    **{kind: _to_specification(kind) for kind in SPECIFICATIONS.values()},
    Position: _to_position,
    Invoice: _to_invoice,
    Payment: _to_payment,
    Accrual: _to_accrual,
    Settlement: _to_settlement,
    Series: _to_series,
}
