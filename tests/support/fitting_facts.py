"""Facts drawn by lot that fit the books as they are: of customers and partners, and of all kinds there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st

from domain.billing.model import Charge
from domain.billing.subscriptions import Subscription
from domain.billing.terms import ProductPrice, Step, Tiers
from domain.corrections.model import CreditNote, Dispute, Reversal
from domain.invoicing.model import Invoice
from domain.ledger.positions import Position
from domain.money import Currency
from domain.payments.model import Payment
from domain.settlement.payouts import Payout
from domain.settlement.statements import Settlement
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    adjustment,
    agent_of,
    agreement,
    as_agent,
    billing,
    change,
    charge,
    closing,
    command,
    credit_note,
    demand,
    dispute,
    grant,
    line,
    metered,
    minimum,
    monthly,
    order,
    partner,
    payment,
    payout,
    payout_return,
    refund,
    reversal,
    settlement_of,
    subscription,
    transfer,
    usage,
    withdrawal,
    write_off,
)

CUSTOMERS = ("BA-1", "BA-2")
PARTNERS = ("SA-1", "SA-2", "SA-3", "SA-4")
"""Of the first two we sell in our own name, of the others in theirs."""
DAYS = ("2026-08-31", "2026-09-10", "2026-09-30", "2026-10-14", "2026-11-03", "2026-11-22")
"""The days on which subscriptions start, are changed, used and billed."""
LATER = {"trial_end_date": "2026-10-05", "termination_date": "2026-10-20", "billing_anchor": "2026-07-31"}
"""What else may be agreed of one, which is not before any starts."""

Draw = Callable[[st.SearchStrategy[Any]], Any]
BOOLEANS = st.booleans()


def one_of(draw: Draw, choices: Iterable[Any]) -> Any:
    """One of these, as `st.sampled_from` draws it: that would be made anew for each, which takes as long again."""
    found = choices if isinstance(choices, tuple | list) else list(choices)
    return found[draw(_up_to(len(found) - 1))]


def part_of(draw: Draw, most: int) -> int:
    """A part of an amount of minor units, all of it rather often."""
    return int(most if draw(BOOLEANS) else draw(st.integers(1, most)))


@cache
def _up_to(last: int) -> st.SearchStrategy[int]:
    return st.integers(0, last)


@dataclass
class FittingFacts:
    """Facts that fit the books as they are: where there is nothing that one could be about, what has to come first."""

    book: LedgerBook
    currency: Currency
    draw: Draw
    number: int = 0

    @property
    def code(self) -> str:
        """The currency's code."""
        return self.currency.code

    def accounts(self) -> list[Fact]:
        """Two customers and four partners, two of whom wait for their customers' payments.

        In the names of two we sell: of one by its account, of the other by an agreement, in a series of its own.
        """
        return [
            *(billing(id_, currency=self.code, days=days) for id_, days in zip(CUSTOMERS, (30, 0), strict=True)),
            partner("SA-1", "0.8", "invoice", currency=self.code),
            partner("SA-2", "0.33333333", "payment", currency=self.code),
            agent_of("SA-3", "0.15", "payment", currency=self.code),
            partner("SA-4", "0.5", "invoice", currency=self.code),
            agreement(
                "AG-4",
                "2026-01-01",
                account="SA-4",
                currency=self.code,
                agent=as_agent("0.33333333", tax="0.07", series="P."),
            ),
        ]

    def next(self, kind: str) -> Fact:
        """The next fact, of this kind if there is anything that it could be about."""
        self.number += 1
        fact: Fact = getattr(self, kind)(f"F-{self.number}")
        return fact

    def some(self, choices: Any) -> Any:
        """One of these."""
        return one_of(self.draw, choices)

    def part(self, most: int) -> int:
        """A part of an amount of minor units, all of it rather often."""
        return part_of(self.draw, most)

    def all_of(self, kind: type, fits: Callable[[Any], Any]) -> list[Any]:
        """The documents of a kind that fit."""
        return [one for one in self.book.documents[kind].values() if fits(one)]

    def nets(self, left: dict[str, int]) -> dict[str, int]:
        """Parts of what is left of some lines' nets."""
        lines = {id_: self.part(abs(net)) * (1 if net > 0 else -1) for id_, net in left.items() if net}
        return {id_: net for id_, net in lines.items() if self.draw(BOOLEANS)} or lines

    # -- customers

    def order(self, id_: str) -> Fact:
        """One of up to three lines, some of which take off something of the first's; of whoever is not to leave."""
        active = [who for who in (*CUSTOMERS, *PARTNERS) if self.book.state(who) == "active"]
        if not set(CUSTOMERS) & set(active):
            return command("reopen", self.some(CUSTOMERS))
        sold_for = [None, *(who for who in PARTNERS if who in active)]
        seller = self.some(sold_for)
        first = line(str(Decimal(self.some((100, 1234))).scaleb(-self.currency.digits)), "0.2", seller)
        lines = []
        for _ in range(self.some((0, 1, 2))):
            price = self.some((-7, 1, 10, 333, 6833, 9999))
            lines.append(
                line(
                    str(Decimal(price).scaleb(-self.currency.digits)),
                    self.some(("0.2", "0.07", "0")),
                    self.some(sold_for) if price > 0 else seller,
                )
            )
        who = self.some(who for who in CUSTOMERS if who in active)
        return order(id_, first, *lines, account=who, currency=self.currency)

    def payment(self, id_: str) -> Fact:
        """One that names an invoice or none."""
        who = self.some(CUSTOMERS)
        names = self.some((None, *([one.id] for one in self.book.documents[Invoice].values())))
        return payment(id_, self.part(9_000), names, account=who, currency=self.code)

    def note(self, id_: str) -> Fact:
        """A note of parts of lines, or of all that is left."""
        if not (left := self.all_of(Invoice, lambda one: one.billed)):
            return self.order(id_)
        invoice = self.some(left)
        nets = self.some((None, self.nets(self.left_of(invoice))))
        return credit_note(id_, invoice.id, nets or None, currency=self.code, excess=self.some(("credit", "refund")))

    def left_of(self, invoice: Invoice) -> dict[str, int]:
        """What is left to credit of each line's net."""
        gone = {one.line_id: one.gone for one in invoice.corrected.lines}
        return {one.id: one.tax_excluded_amount - gone.get(one.id, 0) for one in invoice.lines}

    def refund(self, id_: str) -> Fact:
        """Of what a note has reserved, of a payment, or of credit; now and then of more than there is, too late."""
        reserved = [
            (n.billing_account, n.refundable, n.id, None) for n in self.all_of(CreditNote, lambda n: n.reserved)
        ]
        paid = [(p.billing_account, p.amount, None, p.id) for p in self.book.documents[Payment].values()]
        credit = [(who.id, who.unapplied, None, None) for who in self.all_of(Position, lambda who: who.unapplied)]
        if not reserved + paid + credit:
            return self.payment(id_)
        who, most, note, of = self.some(self.some([one for one in (reserved, paid, credit) if one]))
        late = self.some((False, True))
        return refund(id_, self.part(most + late), account=who, note=note, of=of, currency=self.code, late=late)

    def reversal(self, id_: str) -> Fact:
        """Of a payment, in part or of all that is left, with a fee or without one."""
        back: Counter[str] = Counter()
        for one in self.book.rows[Reversal].values():
            back[one.payment_id] += one.amount
        paid = self.all_of(Payment, lambda one: one.source is None and back[one.id] < one.amount)
        if not paid:
            return self.payment(id_)
        of = self.some(paid)
        amount, late = self.some((None, self.part(of.amount - back[of.id]))), self.some((False, True))
        return reversal(id_, of.id, amount, fee=self.some((None, 3)), currency=self.code, late=late)

    def write_off(self, id_: str) -> Fact:
        """Of what remains of an invoice."""
        if not (open_ := self.all_of(Invoice, lambda one: one.remaining_amount)):
            return self.order(id_)
        invoice = self.some(open_)
        amount = self.some((None, self.part(invoice.remaining_amount)))
        return write_off(id_, invoice.id, amount, relief=self.some((False, True)), currency=self.code)

    def dispute(self, id_: str) -> Fact:
        """Of what is left of some lines of an invoice."""
        if not (left := self.all_of(Invoice, lambda one: one.billed)):
            return self.order(id_)
        invoice = self.some(left)
        nets = self.nets(self.left_of(invoice))
        return dispute(id_, invoice.id, nets, currency=self.code) if nets else self.order(id_)

    def settle(self, id_: str) -> Fact:
        """A dispute of which some is approved."""
        if not (open_ := self.all_of(Dispute, lambda one: one.state == "open")):
            return self.dispute(id_)
        one = self.some(open_)
        nets = self.nets({part.line_id: part.tax_excluded_amount for part in one.lines})
        return settlement_of(one.id, self.some((None, nets)), currency=self.code)

    def withdraw(self, id_: str) -> Fact:
        """A dispute of which nothing comes."""
        open_ = self.all_of(Dispute, lambda one: one.state == "open")
        return withdrawal(self.some(open_).id) if open_ else self.dispute(id_)

    def goodwill(self, id_: str) -> Fact:
        """A little."""
        return grant(id_, self.part(500), account=self.some(CUSTOMERS), currency=self.code)

    def transfer(self, id_: str) -> Fact:
        """Of a payment's credit, or of all credit of an account."""
        if not (credit := self.all_of(Payment, lambda one: one.unapplied)):
            return self.goodwill(id_)
        one = self.some(credit)
        [to] = set(CUSTOMERS) - {one.billing_account}
        of = self.some((None, one.id if one.source is None else None))
        return transfer(id_, self.part(one.unapplied), of=of, by=one.billing_account, to=to, currency=self.code)

    def charge(self, id_: str) -> Fact:
        """Of whoever is not closed, for nobody else; now and then it takes off something."""
        if not (there := [who for who in CUSTOMERS if self.book.state(who) != "closed"]):
            return command("reopen", self.some(CUSTOMERS))
        price = str(Decimal(self.some((-7, 1, 333, 1234, 6833))).scaleb(-self.currency.digits))
        item = line(price, self.some(("0.2", "0.07", "0")))
        return charge(id_, item, account=self.some(there), currency=self.currency)

    def take_back(self, id_: str) -> Fact:
        """A charge that takes back some of a line, be it one that took back something itself; perhaps too much."""
        if not (billed := self.all_of(Invoice, lambda one: any(net for net in self.left_of(one).values()))):
            return self.order(id_)
        invoice = self.some(billed)
        left = self.left_of(invoice)
        taken = self.some(one for one in invoice.lines if left[one.id])
        net = self.part(abs(taken.tax_excluded_amount)) * (-1 if taken.tax_excluded_amount > 0 else 1)
        price = str(Decimal(net).scaleb(-self.currency.digits))
        partner_ = None if taken.on_behalf_of is None else taken.on_behalf_of.id
        item = line(price, str(taken.rate), partner_)
        who = self.some((invoice.billing_account, invoice.billing_account, *CUSTOMERS))
        return charge(id_, item, account=who, corrects=(invoice.id, taken.id), currency=self.currency)

    def bill(self, id_: str) -> Fact:
        """Of what is due of a customer up to a day; where there is nothing, of nothing."""
        waiting = [
            one.billing_account for kind in (Charge, Subscription) for one in self.all_of(kind, lambda one: one.is_open)
        ]
        return demand(id_, account=self.some(waiting or CUSTOMERS), on=self.some((*DAYS[1:], "2026-11-30")))

    def subscribe(self, id_: str) -> Fact:
        """A subscription of some prices, from a day on; perhaps with a trial, an end, or an anchor."""
        if not (there := [who for who in CUSTOMERS if self.book.state(who) != "closed"]):
            return command("reopen", self.some(CUSTOMERS))
        terms = {name: self.some((None, None, None, day)) for name, day in LATER.items()}
        who, start = self.some(there), self.some(DAYS[:3])
        return subscription(id_, *self.prices(), account=who, start=start, currency=self.currency, **terms)

    def prices(self) -> tuple[ProductPrice, ...]:
        """Some prices of each type."""
        unit = Decimal(1).scaleb(-self.currency.digits)
        partners = [None, *(who for who in PARTNERS if self.book.state(who) == "active")]
        period = {"period_type": self.some(("month", "month", "week")), "period_length": self.some((1, 1, 2))}
        proration = self.some(("actual", "actual", "none"))
        price, quantity = str(self.some((3000, 1995, 7, 0, -200)) * unit), Decimal(self.some(("1", "2", "0.5")))
        steps = (Step(Decimal(3), 33 * unit / 10, 50 * unit), Step(Decimal(9), 10 * unit, 100 * unit), Step(None, unit))
        tiers = self.some((None, Tiers("graduated", steps), Tiers("volume", steps)))
        all_prices = (
            monthly("A", price, quantity=quantity, proration=proration, on_behalf_of=self.some(partners), **period),
            monthly(
                "R",
                price,
                billed="inArrears",
                rate=Decimal(self.some(("0.2", "0.07"))),
                on_behalf_of=self.some(partners),
            ),
            monthly("O", str(500 * unit), price_type="oneTime", on_behalf_of=self.some(partners)),
            metered("U", None if tiers else str(123 * unit / 10), tiers=tiers, on_behalf_of=self.some(partners)),
            minimum("M", str(self.some((500, 4000)) * unit), proration=proration),
        )
        return tuple(one for one in all_prices if self.draw(BOOLEANS)) or all_prices

    def alter(self, id_: str) -> Fact:
        """Other terms of a subscription from a day on, which may be one that was billed."""
        if not (agreed := self.all_of(Subscription, lambda one: one.is_open)):
            return self.subscribe(id_)
        of, day = self.some(agreed).id, self.some(DAYS)
        kind = self.some(("change", "change", "suspend", "resume", "terminate"))
        if kind != "change":
            return change(day, kind, of=of)
        if self.draw(BOOLEANS):
            return change(day, of=of, prices=self.prices())
        name = self.some(LATER)
        return change(day, of=of, **{name: self.some((None, LATER[name]))})

    def use(self, id_: str) -> Fact:
        """Usage of a subscription on a day, or a correction of it."""
        metering = self.all_of(Subscription, lambda one: any(p.id == "U" for t in one.all_terms for p in t.prices))
        if not metering:
            return self.subscribe(id_)
        quantity = self.some(("1", "4", "-1", "2.5", "20", "0.001"))
        return usage(id_, quantity, f"{self.some(DAYS)}T10:00:00", of=self.some(metering).id, price="U")

    # -- partners

    def adjust(self, id_: str) -> Fact:
        """Up or down, of a line or of none."""
        billed = [(bill.id, "1") for bill in self.book.documents[Invoice].values()]
        amount = self.some((-1, 1, 1)) * self.part(2_000)
        corrects, who = self.some((None, *billed)), self.some(PARTNERS)
        return adjustment(id_, amount, corrects=corrects, account=who, currency=self.code, on="2026-11-22")

    def state(self, id_: str) -> Fact:
        """A statement of all that a partner has."""
        return closing(id_, self.some(PARTNERS), until="2026-12-31")

    def payout(self, id_: str) -> Fact:
        """Of a statement of which something is left to pay."""
        if due := self.all_of(Settlement, lambda one: one.state in ("open", "partiallyPaid")):
            statement = self.some(due)
            amount, who = self.part(statement.total - statement.paid), statement.settlement_account
            return payout(id_, amount, statement.id, account=who, currency=self.code)
        earned = [who for who in PARTNERS if sum(one.amount for one in self.book.accruals(who) if one.is_open) > 0]
        return closing(id_, self.some(earned), until="2026-12-31") if earned else self.adjust(id_)

    def give_back(self, id_: str) -> Fact:
        """A payout that came back."""
        out = self.all_of(Payout, lambda one: one.returned is None)
        return payout_return(id_, self.some(out).id) if out else self.payout(id_)

    def leave(self, _id: str) -> Fact:
        """A customer's or a partner's account is to be closed; one that was to be is to stay."""
        who = self.some((*CUSTOMERS, *PARTNERS))
        return command("close" if self.book.state(who) == "active" else "reopen", who)


KINDS = {
    "order": "order.completed",
    "payment": "payment.received",
    "note": "credit-note.issue",
    "refund": "refund.completed",
    "reversal": "payment.reversed",
    "write_off": "invoice.write-off",
    "dispute": "dispute.open",
    "settle": "dispute.settle",
    "withdraw": "dispute.withdraw",
    "charge": "charge.add",
    "take_back": "charge.add",
    "bill": "bill.demand",
    "subscribe": "subscription.create",
    "alter": "subscription.change",
    "use": "usage.record",
    "goodwill": "credit.grant",
    "transfer": "credit.transfer",
    "adjust": "settlement.adjust",
    "state": "settlement.close",
    "payout": "payout.completed",
    "give_back": "payout.returned",
    "leave": "account.close",
}
"""The kinds there are, and the type of the message that each is."""
OFTEN = [*KINDS, "payout", "give_back", "give_back", "alter", "use", "bill"]
"""The kinds to draw from: most of what is drawn needs something else first, and some things more than others."""
