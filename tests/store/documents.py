"""Documents of the domain, small ones, for the store to write and read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from adapters.records import HeldRow, InboxRow, Properties
from domain.accounts.model import Account
from domain.corrections.model import CreditNote, CreditNoteLine
from domain.facts import working_set
from domain.invoicing.model import Invoice, InvoiceLine, TaxItem
from domain.ledger.books import WorkingSet
from domain.ledger.positions import Position
from domain.payments.model import Payment
from domain.settlement.accruals import Accrual
from schemas.event import OutgoingEvent

NOW = datetime(2026, 11, 22, 10, 30, 0, 123000, tzinfo=UTC)
LEASE = timedelta(seconds=60)


def books() -> WorkingSet:
    """An empty working set."""
    return working_set(booked_at=NOW, zone=UTC, series="INV-", credit_notes="CN-")


def account(account_id: str, **fields: Any) -> Account:
    """A billing account."""
    given: dict[str, Any] = {
        "id": account_id,
        "type": "BillingAccount",
        "currency": "EUR",
        "currency_digits": 2,
        "state": "active",
        "revision": 1,
        "payment_term_days": 30,
        "settlement_terms": None,
        "opened_at": NOW,
        "version": 1,
        "updated_at": NOW,
        "document": {"name": "Ada", "$odd.key": [1, 2.5, None, {"deep": True}]},
    }
    return Account(**given | fields)


def position(account_id: str, **fields: Any) -> Position:
    """The position of an account."""
    return Position(id=account_id, currency="EUR", **fields)


def invoice(number: int, account_id: str, *, due: date = date(2026, 12, 22), remaining: int = 1200) -> Invoice:
    """An invoice of 12.00 for order `O-<number>`."""
    return Invoice(
        id=f"INV-{number:09d}",
        billing_account=account_id,
        ordered_for=account_id,
        order_id=f"O-{number}",
        currency="EUR",
        state="new" if remaining == 1200 else "settled",
        bill_date=date(2026, 11, 22),
        payment_due_date=due,
        tax_point_date=date(2026, 11, 21),
        booked_at=NOW,
        tax_excluded_amount=1000,
        tax_included_amount=1200,
        remaining_amount=remaining,
        tax_item=(TaxItem("S", Decimal("0.2"), 1000, 200),),
        lines=(InvoiceLine("1", None, Decimal("2.5"), Decimal("4"), "S", Decimal("0.2"), 1000, 200, None),),
    )


def credit_note(number: int, account_id: str, bill_no: str) -> CreditNote:
    """A credit note of 1.20."""
    return CreditNote(
        id=f"N-{number}",
        bill_no=f"CN-{number:09d}",
        corrected_bill_no=bill_no,
        billing_account=account_id,
        currency="EUR",
        bill_date=date(2026, 11, 22),
        issued_at=NOW,
        booked_at=NOW,
        cause=f"credit-note.issue:N-{number}",
        reason="returned",
        tax_excluded_amount=100,
        tax_included_amount=120,
        tax_item=(TaxItem("S", Decimal("0.2"), 100, 20),),
        lines=(CreditNoteLine("1", "S", Decimal("0.2"), 100, 20, None, 0, 0),),
        covered=120,
        recovered=0,
        excess="credit",
        deallocated=(),
        reserved=(),
        buyer_version=1,
        seller_version=None,
    )


def payment(payment_id: str, account_id: str, *, received: datetime = NOW, unapplied: int = 500) -> Payment:
    """A payment of 5.00."""
    return Payment(payment_id, account_id, "EUR", 500, unapplied, received, None, None, NOW)


def accrual(number: int, account_id: str, *, on: date = date(2026, 11, 22), settlement: str | None = None) -> Accrual:
    """An accrual of 0.80."""
    bill = f"INV-{number:09d}"
    cause = f"order.completed:O-{number}"
    return Accrual(f"{bill}/1", account_id, f"O-{number}", bill, "1", 80, on, cause, NOW, settlement)


def inbox_row(identity: str) -> InboxRow:
    """The row of an applied fact."""
    properties = Properties(message_id="m-1", correlation_id="c-1", user_id="guest", app_id="shop", timestamp=NOW)
    return InboxRow(identity, "digest", 1, {"billNo": "INV-000000001"}, NOW, 1, "c-1", properties)


def held_row(identity: str, **fields: Any) -> HeldRow:
    """A message that waits for account BA-1."""
    given: dict[str, Any] = {
        "identity": identity,
        "state": "waiting",
        "routing_key": "order.completed",
        "body": b'{"orderId": "O-1"}',
        "properties": Properties(message_id="m-1", headers={"x": {"y": [1, "two"]}}),
        "correlation_id": "c-1",
        "digest": "digest",
        "digest_version": 1,
        "reason": "unknown-account",
        "detail": "no account BA-1",
        "attempts": 1,
        "held_at": NOW,
        "failed_at": NOW,
        "due_at": NOW + timedelta(hours=24),
        "waits_for": "account:BA-1",
        "account": "BA-1",
    }
    return HeldRow(**given | fields)


def event(account_id: str, sequence: int, booked_at: datetime = NOW) -> OutgoingEvent:
    """An event of an account."""
    message_id = f"{account_id}:{sequence}"
    return OutgoingEvent(message_id, "invoice.issued", b"{}", "c-1", "cause", account_id, sequence, booked_at)
