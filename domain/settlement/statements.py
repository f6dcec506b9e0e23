"""Statements: what tells a partner what it has earned, and what of that was paid."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from domain.errors import MustWait
from domain.frozen import dataclass, replace
from domain.ledger.books import Books
from domain.money import Currency, rounded_ratio
from domain.settlement.accruals import Step
from domain.settlement.terms import Withholding

SettlementState = Literal["open", "partiallyPaid", "paid", "carriedForward"]


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """An accrual as a statement shows it."""

    accrual_id: str
    order_id: str | None
    bill_no: str | None
    line_id: str | None
    date: date
    amount: int
    adjustment_id: str | None = None
    step: Step | None = None
    corrects: str | None = None


@dataclass(frozen=True, slots=True)
class WithheldTax:
    """What was withheld of a statement's payouts at a rate (minor units), and of how much of what they pay."""

    rate: Decimal
    base: int
    amount: int


@dataclass(frozen=True, slots=True)
class PayoutRequest:
    """What was requested to be paid of a statement: `amount` (minor units), and what of it is no transfer.

    `rate` is the one at which tax is withheld, None where none is. The payout is to have its `id`. `number` counts the
    requests of the statement. `settled` is what payouts have paid since, whether that came back or not; None while
    nothing was.
    """

    id: str
    number: int
    amount: int
    netted: int
    tax_withheld: int
    rate: Decimal | None
    settled: int | None = None

    @property
    def is_settled(self) -> bool:
        """Whether all that it asks for was paid."""
        return (self.settled or 0) >= self.amount - self.netted

    @property
    def transferred(self) -> int:
        """What is to be transferred (minor units)."""
        return self.amount - self.netted - self.tax_withheld


@dataclass(frozen=True, slots=True)
class LineInDispute:
    """A line whose amount (minor units) on the statement is not what the partner reports of it."""

    bill_no: str
    line_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Hold:
    """That a statement is not paid: the numbers of its documents that are disputed.

    `is_waiting`: a payout was to be requested meanwhile, of which so much was `netted` (minor units).
    """

    documents: tuple[str, ...]
    is_waiting: bool = False
    netted: int = 0


@dataclass(frozen=True, slots=True)
class HeldForward:
    """What of an amount that was brought forward is not paid (minor units), and for what.

    That is documents that are disputed, and reports by which lines are in dispute; None where it is for none of these.
    """

    documents: tuple[str, ...]
    amount: int
    reports: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A partner's statement: its lines and what was brought forward make up `total`, of which `paid` so far.

    `state` is `open`, `partiallyPaid`, `paid`, or `carriedForward` for a total that is not positive, or that is less
    than the `threshold` of payouts (minor units), which is None where it was not that. Of what is paid `netted` is what
    the partner owed us, and `withheld` says what was kept as its tax, rate by rate; both are None while that is
    nothing. `withholding` is what was agreed of that as it was made; `request` is the last payout that was requested.
    `report` is the latest that the partner has made of it, if any, and `disputed` what of that is in dispute still;
    None where nothing is. `self_billed_tax` is how much of the total is the tax of self-billed documents, what was
    brought forward of it included; None where that is nothing. `hold` says for which of its documents it is not paid,
    `held_forward` what of the amount brought forward is not, for what is disputed of statements before it. `carried_to`
    is the statement that has brought this one forward; None, too, where an earlier version did so for a partner that
    was never self-billed.
    """

    id: str
    settlement_account: str
    currency: str
    closing_id: str
    period_end: date
    lines: tuple[SettlementLine, ...]
    brought_forward: int
    brought_forward_from: str | None
    total: int
    paid: int
    state: SettlementState
    booked_at: datetime
    threshold: int | None = None
    withholding: Withholding | None = None
    netted: int | None = None
    withheld: tuple[WithheldTax, ...] | None = None
    request: PayoutRequest | None = None
    report: str | None = None
    disputed: tuple[LineInDispute, ...] | None = None
    self_billed_tax: int | None = None
    hold: Hold | None = None
    held_forward: HeldForward | None = None
    carried_to: str | None = None

    @property
    def tax_withheld(self) -> int:
        """What of what is paid was kept as the partner's tax (minor units)."""
        return sum(one.amount for one in self.withheld or ())

    @property
    def paid_out(self) -> int:
        """What of it payouts have paid (minor units), what was withheld of them included."""
        return self.paid - (self.netted or 0)

    @property
    def withholding_base(self) -> int:
        """What tax is withheld of when all of it is paid (minor units): all of it but the tax of documents."""
        return max(0, self.total - (self.self_billed_tax or 0))

    @property
    def unpaid(self) -> int:
        """What is not paid of it (minor units): nothing of what is carried forward."""
        return 0 if self.state == "carriedForward" else self.total - self.paid

    @property
    def disputed_amount(self) -> int:
        """How much of what is not paid is in dispute (minor units): the sum of the lines that are, never below zero."""
        return min(self.unpaid, max(0, sum(line.amount for line in self.disputed or ())))

    @property
    def held_amount(self) -> int:
        """How much of what is not paid was brought forward, and is held (minor units): what is paid first is not."""
        return 0 if self.held_forward is None else min(self.unpaid, self.held_forward.amount)

    @property
    def left(self) -> int:
        """What is left to pay of it (minor units), without what is in dispute or held of what it brought forward."""
        return max(0, self.unpaid - self.disputed_amount - self.held_amount)

    @property
    def to_hold(self) -> HeldForward | None:
        """What is held of it where it is brought forward: what is of it now, and its own lines in dispute.

        It is all while a document of its own is disputed, and never more than that.
        """
        before = self.held_forward or HeldForward((), 0)
        documents = before.documents if self.hold is None else (*self.hold.documents, *before.documents)
        in_dispute = max(0, sum(line.amount for line in self.disputed or ()))
        reports = before.reports or ()
        if in_dispute and self.report is not None:
            reports = (self.report, *reports)
        most = max(0, self.total)
        amount = min(most, before.amount + in_dispute) if self.hold is None else most
        return HeldForward(documents, amount, reports or None) if amount else None

    @property
    def owner(self) -> str:
        """The partner's settlement account."""
        return self.settlement_account

    @property
    def order_key(self) -> tuple[datetime, str]:
        """Its place among the partner's statements."""
        return (self.booked_at, self.id)

    @property
    def is_open(self) -> bool:
        """Whether something of it is in dispute: an adjustment looks for these."""
        return self.disputed is not None


def find_settlement(settlement_id: str, books: Books) -> Settlement:
    """The statement of an id; raises `MustWait` (`unknown-settlement`)."""
    settlement = books.find(Settlement, settlement_id)
    if settlement is None:
        detail = f"settlementId: no settlement {settlement_id}"
        raise MustWait("unknown-settlement", detail, f"settlement:{settlement_id}")
    return settlement


def in_dispute(settlement: Settlement, kept_in: Currency) -> str:
    """What a refusal adds of a statement that is in dispute: how much of it is, and why; nothing of another."""
    said = ""
    if settlement.disputed_amount:
        disputed = kept_in.written(settlement.disputed_amount)
        count = len(settlement.disputed or ())
        lines = "1 line differs" if count == 1 else f"{count} lines differ"
        said = f"; {disputed} is in dispute: {lines} from what {settlement.report} reports"
    if settlement.held_forward is not None and settlement.held_amount:
        held = kept_in.written(settlement.held_amount)
        why = []
        if settlement.held_forward.documents:
            why.append(f"{' and '.join(settlement.held_forward.documents)} is disputed")
        if settlement.held_forward.reports:
            why.append(f"lines differ from what {' and '.join(settlement.held_forward.reports)} reports")
        said += f"; {held} that it brought forward is held while {' and '.join(why)}"
    return said


def paid_to_date(settlement: Settlement, paid: int) -> Settlement:
    """A statement of which so much (minor units) is paid, and the state that it is in by that."""
    state: SettlementState = "open"
    if paid:
        state = "paid" if paid == settlement.total else "partiallyPaid"
    return replace(settlement, paid=paid, state=state)


def tax_of_next(settlement: Settlement, amount: int, rate: Decimal) -> WithheldTax:
    """What is withheld of a further payout of so much (minor units) of a statement: base and tax, at a rate.

    All payouts of a statement withhold of its base, which is what it comes to before netting, without the tax of
    documents; each its part of that: in all round(base × paid out ÷ (total − netted)). At each rate the tax is that of
    its whole base, less what was withheld, so that parts add up. A part might have more tax than it pays, or leave more
    to the rest than that pays: then it is the most, or the least, that fits; after one that came back, less than
    nothing: then it is nothing.
    """
    assert settlement.withholding is not None
    before = settlement.withheld or ()
    by_payouts = settlement.total - (settlement.netted or 0)
    base_to_date = rounded_ratio(settlement.withholding_base * (settlement.paid_out + amount), by_payouts)
    # After a return what stands may be of a unit more than its part by now.
    base = max(0, base_to_date - sum(one.base for one in before))
    found = next((one for one in before if one.rate == rate), WithheldTax(rate, 0, 0))
    tax = settlement.withholding.tax(found.base + base, rate) - found.amount
    of_all = settlement.withholding.tax(
        found.base + settlement.withholding_base - sum(one.base for one in before), rate
    )
    least = of_all - found.amount - (settlement.unpaid - amount)
    return WithheldTax(rate, base, min(max(tax, least, 0), amount))


def withheld_with(settlement: Settlement, tax: WithheldTax, sign: int = 1) -> tuple[WithheldTax, ...] | None:
    """What is withheld of a statement with this tax too; with a sign of -1, without it any more.

    So it is the sum over the payouts that stand. Parts after one that came back were worked out on top of it: until the
    next part at that rate, or for good where there is none, the sum may be off by their rounding.
    """
    before = settlement.withheld or ()
    found = next((one for one in before if one.rate == tax.rate), WithheldTax(tax.rate, 0, 0))
    after = WithheldTax(tax.rate, found.base + sign * tax.base, found.amount + sign * tax.amount)
    others = tuple(one for one in before if one.rate != tax.rate)
    return (*others, after) if after.base or after.amount else others or None
