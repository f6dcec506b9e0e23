"""Documents of statements: the partner's invoices to us, which we issue for it, and ours to the partner."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Literal, NamedTuple

from domain.errors import MustWait
from domain.frozen import dataclass, replace
from domain.ledger.books import Books
from domain.settlement.terms import AgreedPeriod

TypeCode = Literal["380", "381", "389", "261"]
"""UNTDID 1001: our invoice and our credit note; a self-billed invoice and a self-billed credit note."""

SELF_BILLED: tuple[TypeCode, ...] = ("389", "261")
"""Those that we issue in a partner's name."""
CORRECTING: dict[TypeCode, TypeCode] = {"380": "381", "389": "261"}
"""What corrects each kind of invoice."""

DocumentState = Literal["issued", "accepted", "disputed"]
"""What the partner has said of a self-billed document."""

DocumentLineKind = Literal["accrual", "adjustment", "trueUp", "guarantee", "fee", "commission"]


class TaxGroup(NamedTuple):
    """A category and rate of tax; with a rate of reverse charge there is none, and we owe it at that rate."""

    category: str
    rate: Decimal
    reverse_charge_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """What a document's statement says of one kind, agreement and tax group (minor units, without tax).

    A credit note's is above zero too. `start` and `end` are the first and the last day of what it covers; a fee has a
    line for each of its periods, with a `type` as a `PeriodKey` has.
    """

    kind: DocumentLineKind
    agreement: str | None
    category: str
    rate: Decimal
    amount: int
    start: dt.date
    end: dt.date
    type: AgreedPeriod | None = None


@dataclass(frozen=True, slots=True)
class DocumentTax:
    """The tax of one group (minor units), of the sum of its lines' nets (EN 16931, BR-CO-17).

    With a `reverse_charge_rate` it is none, and `reverse_charge` is what we owe at that rate.
    """

    category: str
    rate: Decimal
    tax_excluded_amount: int
    tax_amount: int
    reverse_charge_rate: Decimal | None = None
    reverse_charge: int = 0

    @property
    def group(self) -> TaxGroup:
        """Its group."""
        return TaxGroup(self.category, self.rate, self.reverse_charge_rate)


@dataclass(frozen=True, slots=True)
class CreditedGroup:
    """What credit notes took of a tax group of an invoice so far (minor units)."""

    category: str
    rate: Decimal
    tax_excluded_amount: int
    tax_amount: int
    reverse_charge_rate: Decimal | None = None
    reverse_charge: int = 0


@dataclass(frozen=True, slots=True)
class DocumentSaid:
    """That a partner accepted a document, or disputed it and why; and the fact that said so."""

    state: DocumentState
    at: dt.datetime
    cause: str
    booked_at: dt.datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SettlementDocument:
    """An invoice or a credit note of a statement; `id` is its number, amounts are minor units, above zero.

    A self-billed one (389, 261) is the partner's to us, in its series, any other ours to the partner. `corrects` is the
    number of the invoice that a credit note corrects; None where there is none. `seller_version` is that of ours,
    `partner_version` that of the partner's account, as it was issued. What credit notes took of an invoice stands in
    `credited`, what was said of a self-billed one in `said`; each is None while that is nothing.
    """

    id: str
    type_code: TypeCode
    settlement_account: str
    settlement_id: str
    currency: str
    bill_date: dt.date
    cause: str
    booked_at: dt.datetime
    tax_excluded_amount: int
    tax_included_amount: int
    lines: tuple[DocumentLine, ...]
    tax_item: tuple[DocumentTax, ...]
    corrects: str | None = None
    seller_version: int | None = None
    partner_version: int | None = None
    credited: tuple[CreditedGroup, ...] | None = None
    said: tuple[DocumentSaid, ...] | None = None

    @property
    def owner(self) -> str:
        """The partner's settlement account."""
        return self.settlement_account

    @property
    def order_key(self) -> tuple[dt.datetime, str]:
        """Its place among the partner's documents."""
        return (self.booked_at, self.id)

    @property
    def is_open(self) -> bool:
        """Whether a credit note can take something of it."""
        return self.type_code in CORRECTING and any(self.left(item.group) for item in self.tax_item)

    @property
    def is_self_billed(self) -> bool:
        """Whether we have issued it in the partner's name."""
        return self.type_code in SELF_BILLED

    @property
    def is_posted(self) -> bool:
        """Whether it is about money that nothing else has booked: a self-billed one may have no tax."""
        return not self.is_self_billed or any(item.tax_amount or item.reverse_charge for item in self.tax_item)

    @property
    def state(self) -> DocumentState:
        """What the partner said of it last."""
        return "issued" if self.said is None else self.said[-1].state

    @property
    def sign(self) -> int:
        """-1 of a credit note."""
        return 1 if self.type_code in CORRECTING else -1

    def left(self, group: TaxGroup) -> int:
        """What credit notes can take still of a tax group (minor units, without tax)."""
        return sum(item.tax_excluded_amount for item in self.tax_item if item.group == group) - sum(
            one.tax_excluded_amount for one in self.credited or () if _group(one) == group
        )

    @property
    def credited_amounts(self) -> tuple[int, int]:
        """What credit notes took of it: net and tax (minor units)."""
        taken = self.credited or ()
        return sum(one.tax_excluded_amount for one in taken), sum(one.tax_amount for one in taken)

    def credited_of(self, group: TaxGroup) -> CreditedGroup:
        """What credit notes took of a tax group so far."""
        nothing = CreditedGroup(group.category, group.rate, 0, 0, group.reverse_charge_rate)
        return next((one for one in self.credited or () if _group(one) == group), nothing)

    def with_credited(self, credited: CreditedGroup) -> SettlementDocument:
        """It, when so much was taken of a tax group in all."""
        others = (one for one in self.credited or () if _group(one) != _group(credited))
        return replace(self, credited=(*others, credited))


@dataclass(frozen=True, slots=True)
class SelfBillingIssued:
    """A document was issued in a partner's name."""

    document: SettlementDocument


@dataclass(frozen=True, slots=True)
class SettlementInvoiced:
    """We have invoiced a partner, or have taken that back."""

    document: SettlementDocument


def find_document(number: str, books: Books) -> SettlementDocument:
    """The document of a number; raises `MustWait` (`unknown-document`)."""
    document = books.find(SettlementDocument, number)
    if document is None:
        raise MustWait("unknown-document", f"number: no self-billed document {number}", f"self-billing:{number}")
    return document


def number_order(document: SettlementDocument) -> tuple[dt.datetime, int, str]:
    """The order in which documents of a partner were issued: of one time, by number."""
    return (document.booked_at, len(document.id), document.id)


def _group(one: DocumentTax | CreditedGroup) -> TaxGroup:
    return TaxGroup(one.category, one.rate, one.reverse_charge_rate)
