"""What is agreed with the partners, of each kind that there is, and on which day that is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

from demo.dates import BANK, RESUMED, TRADE
from demo.facts import HOUR, Fact, Message, message, moment, money, rounded
from demo.wares import PARTNERS, Customer, Partner

OCTOBER = date(2026, 10, 1)
MONTH_ENDS = date(2026, 11, 30)
"""The only month of the demo that a guarantee, or a fee, counts: that of the terms that begin with November."""
FEE_TAX = ("S", "0.20")
"""The tax on fees: category and rate."""


@dataclass(frozen=True)
class Terms:
    """What a partner gets, in minor units of its currency; what is zero, or empty, is not agreed."""

    share: Decimal = Decimal(0)
    accrue_on: Literal["invoice", "payment"] = "invoice"
    steps: tuple[tuple[int, Decimal], ...] = ()
    """Of shares that go by a month's net: where each begins, and the share of what is beyond that."""
    by_volume: bool = False
    """Whether the share of the step that the net ends in is of all of it."""
    guarantee: int = 0
    """Of a month."""
    advance: int = 0
    holdback: Decimal = Decimal(0)
    held_days: int = 0
    threshold: int = 0
    tax: Decimal = Decimal(0)
    surcharge: Decimal = Decimal(0)
    """On the tax."""
    certificate: Decimal = Decimal(0)
    """The rate of the tax by a certificate, which is valid from October on."""
    netting: Customer | None = None
    self_billing: tuple[str, str, str] | None = None
    """The series of what we issue in its name, and the category and rate of the tax on that."""
    fee: int = 0
    """Of a month, what the partner pays us, without its tax."""

    def of_net(self, net: int) -> int:
        """What the steps come to of a month's net: each share of what is within its step, or by volume the last."""
        if self.by_volume:
            return rounded(net * [share for begin, share in self.steps if begin == 0 or net > begin][-1])
        ends = [*(begin for begin, _ in self.steps), max(net, self.steps[-1][0])]
        within = [max(0, min(net, end) - begin) for begin, end in pairwise(ends)]
        return rounded(sum((part * share for part, (_, share) in zip(within, self.steps, strict=True)), Decimal(0)))

    def tax_on(self, base: int) -> int:
        """The tax that is withheld of a payout of so much, with what is due on that."""
        tax = rounded(base * (self.certificate or self.tax))
        return tax + rounded(tax * self.surcharge)

    @property
    def charged(self) -> int:
        """What a month's fee comes to with its tax."""
        return self.fee + rounded(self.fee * Decimal(FEE_TAX[1]))

    def content(self, currency: str) -> dict[str, Any]:
        """The terms as a message says them."""
        said: dict[str, Any] = {"model": "principal", "accrueOn": self.accrue_on}
        if self.steps:
            ends = [money(begin, currency)["value"] for begin, _ in self.steps[1:]]
            steps: list[dict[str, str]] = [{"share": str(share)} for _, share in self.steps]
            steps = [{"upTo": end, **step} for end, step in zip(ends, steps, strict=False)] + steps[-1:]
            mode = "volume" if self.by_volume else "graduated"
            said["tiers"] = {"mode": mode, "period": "month", "steps": steps}
        else:
            said["share"] = str(self.share)
        if self.guarantee:
            said["guarantee"] = {"amount": money(self.guarantee, currency), "period": "month"}
        if self.advance:
            said["advance"] = {"amount": money(self.advance, currency)}
        if self.holdback:
            said["holdback"] = {"rate": str(self.holdback), "releaseAfterDays": self.held_days}
        if self.threshold:
            said["payoutThreshold"] = money(self.threshold, currency)
        if self.tax:
            authority = "Tax office for partners abroad"
            said["withholding"] = {
                "rate": str(self.tax),
                "authority": authority,
                "surchargeOnTax": str(self.surcharge),
            }
            if self.certificate:
                valid_for = {"startDateTime": moment(0, OCTOBER)}
                said["withholding"]["certificate"] = {"rate": str(self.certificate), "validFor": valid_for}
        if self.netting is not None:
            said["netting"] = {"billingAccount": {"id": self.netting.id}}
        if self.self_billing is not None:
            series, category, rate = self.self_billing
            said["selfBilling"] = {"series": series, "tax": {"category": category, "rate": rate}}
        if self.fee:
            tax = dict(zip(("category", "rate"), FEE_TAX, strict=True))
            said["fixedFee"] = {"amount": money(self.fee, currency), "period": "month", "tax": tax}
        return said


@dataclass(frozen=True)
class Agreed:
    """Terms from a day on, told on a day."""

    valid_from: date
    told: date
    terms: Terms

    @property
    def of_past_days(self) -> bool:
        """Whether days have begun by then, and the partner has earned something on them."""
        return TRADE <= self.valid_from < self.told


LUMEN_BUYS = Customer("BA-LUMEN", "Lumen Street Pictures", "EUR", 14)
"""The billing account of a partner that is a customer as well."""
SELF_BILLING = ("SB-HALFMOON-", "S", "0.20")
AGREEMENTS: dict[str, tuple[Agreed, ...]] = {
    "SA-LUMEN": (
        Agreed(OCTOBER, TRADE, Terms(Decimal("0.8"))),
        Agreed(TRADE, RESUMED, Terms(Decimal("0.825"), netting=LUMEN_BUYS)),
    ),
    "SA-HALFMOON": (
        Agreed(OCTOBER, TRADE, Terms(Decimal("0.5"), self_billing=SELF_BILLING)),
        Agreed(TRADE, TRADE, Terms(Decimal("0.65"), self_billing=SELF_BILLING, fee=2_500)),
    ),
    "SA-CARTO": (Agreed(TRADE, TRADE, Terms(Decimal("0.7"), "payment", holdback=Decimal("0.1"), held_days=14)),),
    "SA-INKWELL": (
        Agreed(
            TRADE,
            TRADE,
            Terms(
                steps=((0, Decimal("0.9")), (1_000_000, Decimal("0.925"))),
                by_volume=True,
                tax=Decimal("0.15"),
                surcharge=Decimal("0.055"),
                certificate=Decimal("0.1"),
            ),
        ),
    ),
    "SA-KOMOREBI": (
        Agreed(
            TRADE,
            TRADE,
            Terms(
                steps=((0, Decimal("0.7")), (500_000, Decimal("0.75")), (1_000_000, Decimal("0.8"))),
                threshold=1_000_000,
            ),
        ),
    ),
    "SA-SADU": (
        Agreed(
            TRADE,
            TRADE,
            Terms(
                accrue_on="payment",
                steps=((0, Decimal("0.6")), (1_500_000, Decimal("0.65"))),
                guarantee=1_200_000,
                advance=300_000,
            ),
        ),
    ),
}
"""By partner, each with the day from which it holds, as they follow on each other."""


def terms_on(partner: str, day: date) -> Terms:
    """The terms of a day, as they are once all is told."""
    return [agreed for agreed in AGREEMENTS[partner] if agreed.valid_from <= day][-1].terms


def agreement_id(partner: str) -> str:
    """What a partner's agreement is called."""
    return f"AG-{partner[3:]}"


def agreed_on(partner: Partner, day: date) -> Iterator[Message]:
    """What is agreed with a partner on a day: first its agreement, then changes of that."""
    for n, agreed in enumerate(AGREEMENTS[partner.id]):
        if agreed.told != day:
            continue
        content = {"agreementId": agreement_id(partner.id), "terms": agreed.terms.content(partner.currency)}
        if n:
            content["validFrom"] = agreed.valid_from.isoformat()
        else:
            content["settlementAccount"] = {"id": partner.id}
            content["validFor"] = {"startDateTime": moment(0, agreed.valid_from)}
        type_ = "agreement.change" if n else "agreement.create"
        yield message(type_, content, f"agreed-{partner.id}-{n}", Fact(type_, note="terms agreed with partners"))


def advances() -> list[Message]:
    """All that may be paid in advance is."""
    return [
        message(
            "advance.paid",
            {
                "advanceId": f"AV-{partner.id[3:]}",
                "agreementId": agreement_id(partner.id),
                "amount": money(terms.advance, partner.currency),
                "paidAt": moment(7 * HOUR, BANK),
            },
            f"advance-{partner.id}",
            Fact("advance.paid", account=partner.id, amount=terms.advance, note="advances paid to partners"),
        )
        for partner in PARTNERS
        if (terms := terms_on(partner.id, BANK)).advance
    ]
