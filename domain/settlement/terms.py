"""Terms: what is agreed with a partner, for lines and for closings to go by."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from domain.accounts.model import AgentTerms
from domain.frozen import dataclass
from domain.money import share_of
from domain.periods import PeriodType

AgreedPeriod = Literal["month", "quarter", "year"]
"""How long what is agreed for a period counts."""

UNITS: dict[AgreedPeriod, tuple[PeriodType, int]] = {
    "month": ("month", 1),
    "quarter": ("month", 3),
    "year": ("year", 1),
}
"""Each as a type of period and its length."""


TierMode = Literal["graduated", "volume"]
"""Whether each step's share is of the part of a net that is within it, or that of the last one reached is of all."""


@dataclass(frozen=True, slots=True)
class TierStep:
    """The share up to a net of the period (minor units), which is within it; the last step has no end."""

    up_to: int | None
    share: Decimal


@dataclass(frozen=True, slots=True)
class Tiers:
    """Shares that go by the net of a period: steps in order, `up_to` rising."""

    mode: TierMode
    period: AgreedPeriod
    steps: tuple[TierStep, ...]


@dataclass(frozen=True, slots=True)
class LineTerms:
    """What a partner gets of its lines, and when it accrues.

    That is one share of their net; or, where that is None, by tiers; or all of them, where we are its agent.
    """

    partner_share: Decimal | None
    accrue_on: Literal["invoice", "payment"]
    tiers: Tiers | None = None
    agent: AgentTerms | None = None


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What a partner gets of each period at least (minor units); each stands alone."""

    amount: int
    period: AgreedPeriod


@dataclass(frozen=True, slots=True)
class Holdback:
    """Which part of what was earned is kept as a reserve, and for how many days after the period's end."""

    rate: Decimal
    release_after_days: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """That another rate of tax is withheld from `start` until before `end`; None: without an end."""

    rate: Decimal
    start: datetime
    end: datetime | None


@dataclass(frozen=True, slots=True)
class Withholding:
    """Which part of a payout is withheld as the partner's tax, for whom; on that tax there may be a surcharge."""

    rate: Decimal
    authority: str
    surcharge_on_tax: Decimal | None = None
    certificate: Certificate | None = None

    def rate_at(self, moment: datetime) -> Decimal:
        """The rate at a time: that of the certificate, where it is valid then."""
        found = self.certificate
        valid = found is not None and found.start <= moment and (found.end is None or moment < found.end)
        return found.rate if found is not None and valid else self.rate

    def tax(self, base: int, rate: Decimal) -> int:
        """The tax on a base (minor units) at a rate, its surcharge included; each is rounded half away from zero."""
        tax = share_of(base, rate)
        return tax if self.surcharge_on_tax is None else tax + share_of(tax, self.surcharge_on_tax)


@dataclass(frozen=True, slots=True)
class SelfBilling:
    """That we issue the partner's invoices to us: the series of their numbers, and the tax on what it has earned.

    With a `reverse_charge_rate` they have no tax, and we owe it at that rate ourselves.
    """

    series: str
    category: str
    rate: Decimal
    reverse_charge_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FixedFee:
    """What a partner pays us for each period (minor units, without tax), and the tax on that."""

    amount: int
    period: AgreedPeriod
    category: str
    rate: Decimal


@dataclass(frozen=True, slots=True)
class ClosingTerms:
    """What closings go by; None where nothing is agreed of it, amounts in minor units.

    `advance` is how much may be paid in advance in all, `payout_threshold` the least that is paid out; what the billing
    account `netting` owes is netted. What a day of `self_billing` has earned we invoice ourselves.
    """

    guarantee: Guarantee | None = None
    advance: int | None = None
    holdback: Holdback | None = None
    payout_threshold: int | None = None
    withholding: Withholding | None = None
    netting: str | None = None
    self_billing: SelfBilling | None = None
    fixed_fee: FixedFee | None = None


NO_CLOSING_TERMS = ClosingTerms()
