"""A stream of business drawn by lot from a seed, and what has to come of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.chaos.agreed import ADVANCE, DAYS_MAX, NETTED, ORDERED, SELF_BILLED, Bargain, Shares, agents_terms, bargains
from tests.chaos.dunned import AT_ONCE, STEPS, THRESHOLD, WHATS, Debtor, What, procedures
from tests.support.messages import (
    Message,
    adjustment,
    bill_run,
    charge,
    closing,
    credit_note,
    credited,
    customer,
    cycle,
    demand,
    dispute,
    dispute_settled,
    dispute_withdrawn,
    eur,
    grant,
    in_cycle,
    item,
    metered,
    monthly,
    order,
    partner,
    payment,
    payout,
    payout_return,
    promise,
    refund,
    relationship,
    reversal,
    seller,
    sent,
    subscribed,
    subscription,
    transfer,
    update,
    usage,
    validated,
    write_off,
)

ACCOUNTS = 20
PARTNERS = 4
AGENTS = ("SA-agent-1", "SA-agent-2", "SA-named")
"""The partners in whose names we sell: what an order has of them, and a bill, is an invoice of each."""
BURSTS = (1, 1, 2, 5, 20, 60, 200)
"""How many messages come at once."""
CREDITED, DISPUTED, SAID, TAKEN_BACK = 0.1, 0.05, 0.05, 0.1
"""How many of the invoices have a credit note, or a dispute, or are said to be accepted or sent, or have a charge that
takes back a part of a line."""
LOST = "BA-lost"
"""The account that pays nothing, unless it is for what was written off."""
REVERSED = 0.05
"""How many of the payments come back, in part."""
RETURNED = 0.3
"""How many of the payouts come back, and are paid anew."""
SAID_WRONG, SAID_RIGHT = 0.4, 0.8
"""How many documents in a partner's name are disputed, and how many are that or are accepted at once."""
PERIOD_ENDS = ("2026-11-22", "2026-11-30")
"""Of closings: all that is sold is of days up to the first, adjustments are after it."""
NAMED, UNNAMED, RIGHT = "BA-named", "BA-unnamed", "BA-right"
"""Payments of others come in on the first two, and are transferred: of the first by their ids, of the second whatever
credit there is. They have no orders, and the third no notes: what is transferred to it and comes back is its own."""


PAYER = "BA-payer"
PAID_FOR = ("BA-sub-1", "BA-sub-2")
SUBSCRIBERS = (*PAID_FOR, "BA-sub-3", "BA-sub-4")
"""Accounts with subscriptions, of which the payer pays for the first two. Nothing else takes back lines of theirs:
what people give stays given, so that what bills come to would depend on what came first."""
CYCLE = "SUBSCRIBERS"
"""The billing cycle of all these."""
FIRST_DAY, LAST_DAY = date(2026, 1, 5), date(2026, 3, 20)
"""Subscriptions begin from the first day on, by which bills have nothing, and are billed up to the last in the end."""
DEBTORS_EACH = 2
"""So many accounts there are from the start for each thing that may become of what they owe."""
ROOM = 10_000
"""Euros that are charged for a last bill to have room for whatever is taken back."""


@dataclass
class Agreed:
    """What a subscription is in the end, whatever is applied first: euros a day from each of these dates on.

    It has weeks for periods, and a unit of usage is a euro: so all that there is are whole euros, of days and of units.
    """

    account: str
    start: date
    in_advance: bool
    sold_for: str | None
    euros: dict[date, int]
    free: set[date] = field(default_factory=set)
    """On which it is suspended."""
    end: date = date.max
    used: Counter[date] = field(default_factory=Counter)

    def prices(self, euros: int) -> list[dict[str, Any]]:
        """Its prices, when it costs so much a day."""
        billed = "inAdvance" if self.in_advance else "inArrears"
        week = {"recurringChargePeriodType": "week"}
        fixed = monthly("P-1", 7 * euros, sold_for=self.sold_for, billed=billed, **week)
        return [fixed, metered("P-2", 1, **week)]

    def weeks(self) -> dict[tuple[str, date], int]:
        """What is to be billed of it by the last day, in euros: by price and first day of the week, without zeros."""
        found: Counter[tuple[str, date]] = Counter()
        week = self.start
        while week < min(self.end, LAST_DAY + timedelta(days=1)):
            after = week + timedelta(days=7)
            days = [week + timedelta(days=n) for n in range(7)]
            served = [day for day in days if day < self.end and day not in self.free]
            if self.in_advance or min(after, self.end) <= LAST_DAY:
                found["P-1", week] += sum(self.euros[max(on for on in self.euros if on <= day)] for day in served)
            if min(after, self.end) <= LAST_DAY:
                found["P-2", week] += sum(self.used[day] for day in days)
            week = after
        return {which: euros for which, euros in found.items() if euros}


@dataclass(frozen=True)
class Letter:
    """A message as it is sent."""

    routing_key: str
    body: bytes
    message_id: str
    nobodys: bool = False
    """Whether it does not say who sends it."""


@dataclass
class Business:
    """What there is to send, burst by burst, and the sums that the books have to show in the end.

    `facts` are the identities that have to be applied, `conflicts` those for which other content is parked beside
    them, `poison` the reason for which each message id is parked; `owed` is in cents, credit being negative, and
    `adjusted` likewise, what each partner's adjustments come to; `approved` is of how many disputes something is to be
    credited; `agreed` is what each subscription is in the end, `bargains` what is agreed with partners, of whom
    `account_terms` says what holds otherwise; `debtors` are the accounts that are dunned.
    """

    lots: random.Random
    access: bool = False
    """Whether an access file says who may send."""
    facts: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    poison: dict[str, str] = field(default_factory=dict)
    owed: Counter[str] = field(default_factory=Counter)
    approved: int = 0
    adjusted: Counter[str] = field(default_factory=Counter)
    agreed: dict[str, Agreed] = field(default_factory=dict)
    bargains: list[Bargain] = field(default_factory=list)
    account_terms: dict[str, Shares] = field(default_factory=dict)
    debtors: dict[str, Debtor] = field(default_factory=dict)
    _numbers: Counter[str] = field(default_factory=Counter)
    _accounts: list[str] = field(default_factory=list)
    _partners: list[str] = field(default_factory=list)
    _later: list[tuple[int, Letter]] = field(default_factory=list)
    _reversed: set[str] = field(default_factory=set)
    _bill_of: dict[str, str] = field(default_factory=dict)
    _stepped: set[str] = field(default_factory=set)
    _at_last: list[Debtor] = field(default_factory=list)
    _unpaid: list[dict[str, Any]] = field(default_factory=list)
    _bursts: int = 0
    _over: bool = False
    _told: bool = False

    def opening(self) -> list[Letter]:
        """The first accounts."""
        self._accounts.append(RIGHT)
        others = [self._fact(customer(number), number) for number in (LOST, NAMED, UNNAMED, RIGHT)]
        others.append(self._fact(cycle(CYCLE), CYCLE))
        for number in (PAYER, *SUBSCRIBERS):
            paid = {"accountRelationship": [relationship("payer", PAYER)]} if number in PAID_FOR else {}
            others.append(self._fact(in_cycle(number, CYCLE, **paid), number))
        others.append(self._fact(customer(NETTED, paymentTermDays=0), NETTED))
        others += [self._open("BA") for _ in range(ACCOUNTS)] + [self._open("SA") for _ in range(PARTNERS)]
        others += [self._partner(number) for number in AGENTS[:2]]
        others += [self._fact(made, id_) for id_, made in procedures().items()]
        for what in WHATS * DEBTORS_EACH:
            others += self._debtor(what)
        return others + self._agreements()

    def _agreements(self) -> list[Letter]:
        """Partners with whom something is agreed; and soon, of each agreement, other terms from a past day on."""
        self.bargains = bargains(self._share)
        letters = [self._partner(name) for name in sorted({one.partner for one in self.bargains})]
        for one in self.bargains:
            created = self._fact(one.created(), one.id)
            if one.late:
                self._put_off(created)
            else:
                letters.append(created)
            self._put_off(self._changed(one))
        return letters

    def _share(self) -> Shares:
        return f"0.{self.lots.randrange(1, 10)}", self.lots.choice(("invoice", "payment"))

    def _changed(self, bargain: Bargain) -> Letter:
        return self._command(bargain.changed(self.lots.choice(bargain.free_days()), self._share()))

    def _agreement(self) -> list[Letter]:
        """Other terms from one of the days on that are past."""
        bargain = self.lots.choice(self.bargains)
        return [self._changed(bargain)] if bargain.free_days() else []

    def _advance(self) -> list[Letter]:
        """All that is agreed of advances is paid, in parts."""
        bargain = self.lots.choice([one for one in self.bargains if "advance" in one.more])
        cents = min(self.lots.randrange(1, 10_000), 100 * ADVANCE - bargain.advanced)
        number = self._next("AV")
        return [self._fact(bargain.advance(number, cents), number)] if cents else []

    def burst(self) -> list[Letter]:
        """The next messages: of all kinds, some twice, some before what they need, some wrong."""
        self._bursts += 1
        letters = [letter for due, letter in self._later if due <= self._bursts]
        self._later = [(due, letter) for due, letter in self._later if due > self._bursts]
        kinds = (
            self._order,
            self._payment,
            self._update,
            self._seller,
            self._closing,
            self._adjustment,
            self._array,
            self._poison,
            self._conflict,
            self._grant,
            self._astray,
            self._charge,
            self._subscription,
            self._bill,
            self._promise,
            self._agreement,
            self._advance,
            self._debtor,
        )
        often = (45, 35, 5, 1, 3, 1, 3, 2, 2, 2, 2, 6, 3, 3, 2, 0.5, 0.3, 0.5)
        for kind in self.lots.choices(kinds, often, k=self.lots.choice(BURSTS)):
            made = kind()
            letters += made
            if self.lots.random() < 0.08:
                self._repeat(made)
        self.lots.shuffle(letters)
        return letters

    def rest(self) -> list[Letter]:
        """What was put off and not yet sent; nothing is put off any more that has to be applied."""
        self._over = True
        letters, self._later = [letter for _, letter in self._later], []
        return letters

    def payout_of(self, statement: dict[str, Any]) -> list[Letter]:
        """What is paid out when a statement comes: all of it, if it is any; now and then that comes back."""
        value = Decimal(str(statement["total"]["value"]))
        account = statement["settlementAccount"]["id"]
        if statement["state"] != "open" or value <= 0 or self._is_paid_as_requested(account):
            return []
        number = self._next("PO")
        return self._paid(payout(number, account, statement["id"], str(value)), number)

    def payout_as_requested(self, event: dict[str, Any]) -> list[Letter]:
        """What is paid out to whom something is agreed with, as it is requested; now and then that comes back.

        Who disputes documents is paid when it does so no more: whether it may be, before, depends on what came first.
        """
        account, number = event["settlementAccount"]["id"], event["payoutId"]
        if not self._is_paid_as_requested(account):
            return []
        if account == SELF_BILLED and not self._told:
            self._unpaid.append(event)
            return []
        said = payout(number, account, event["settlementId"], event["amount"]["value"])
        return self._paid((said[0], {**said[1], "transferred": event["transferred"]}), number)

    def _is_paid_as_requested(self, account: str) -> bool:
        return any(one.partner == account for one in self.bargains)

    def _paid(self, message: Message, number: str) -> list[Letter]:
        letters = [self._fact(message, number)]
        if self.lots.random() < RETURNED:
            back = self._next("PR")
            letters.append(self._fact(payout_return(back, number), back))
        return letters

    def payout_anew(self, event: dict[str, Any]) -> list[Letter]:
        """What is paid out again of what came back: all of it, by another payout, unless that is requested."""
        back = event["payout"]
        account, value = back["settlementAccount"]["id"], str(back["amount"]["value"])
        if self._is_paid_as_requested(account):
            return []
        number = self._next("PO")
        return [self._fact(payout(number, account, back["settlementId"], value), number)]

    def netted(self, event: dict[str, Any]) -> list[Letter]:
        """What was netted is not owed any more; how much that is depends on what came first."""
        self.owed[event["billingAccount"]["id"]] -= int(Decimal(str(event["amount"]["value"])) * 100)
        return []

    def release_of(self, held: dict[str, Any]) -> list[Letter]:
        """What is released of a reserve that no day of the run releases: a part of it, or all."""
        long = date.fromisoformat(held["releaseOn"]) - date.fromisoformat(held["heldOn"]) == timedelta(days=DAYS_MAX)
        if self._told or not long or self.lots.random() < 0.5:
            return []
        number, cents = self._next("RR"), int(Decimal(str(held["amount"]["value"])) * 100)
        body = {"releaseId": number, "settlementId": held["settlementId"], "releasedAt": "2026-11-26T09:00:00Z"}
        part = {} if self.lots.random() < 0.5 else {"amount": eur(self.lots.randrange(1, cents + 1) / 100)}
        return [self._fact(("reserve.release", {**body, **part}), number)]

    def last_closings(self, day: date) -> list[Letter]:
        """Each partner is told all that it has earned."""
        self._told = True
        letters = []
        for partner_id in self._partners:
            number = self._next("CL")
            letters.append(self._fact(closing(number, partner_id, str(day)), number))
        for event in self._unpaid:
            letters += self.payout_as_requested(event)
        return letters

    def said_of(self, document: dict[str, Any]) -> list[Letter]:
        """What a partner says of what is issued in its name: it disputes it, or accepts it, or neither."""
        drawn = self.lots.random()
        if drawn < SAID_WRONG and not self._told:
            body = {"number": document["billNo"], "at": "2026-11-23T09:00:00Z", "reason": "one line is missing"}
            return [self._command(("self-billing.dispute", body))]
        return self.acceptance_of(document) if drawn < SAID_RIGHT else []

    def acceptance_of(self, document: dict[str, Any]) -> list[Letter]:
        """It accepts it."""
        return [self._command(("self-billing.accept", {"number": document["billNo"], "at": "2026-11-24T09:00:00Z"}))]

    def answers(self) -> dict[str, Callable[[dict[str, Any]], list[Letter]]]:
        """What is sent as events come, by their types."""
        return {
            "settlement.closed": lambda event: self.payout_of(event["settlement"]),
            "invoice.issued": lambda event: self.sequel_of(event["invoice"]),
            "credit-note.issued": lambda event: self.refund_of(event["creditNote"]),
            "payment.allocated": self.reversal_of,
            "dispute.opened": lambda event: self.end_of(event["dispute"]),
            "invoice.written-off": self.recovery_of,
            "payout.return-booked": self.payout_anew,
            "payout.requested": self.payout_as_requested,
            "netting.applied": self.netted,
            "self-billing.issued": lambda event: self.said_of(event["document"]),
            "self-billing.disputed": lambda event: self.acceptance_of(event["document"]),
            "reserve.held": lambda event: self.release_of(event["reserve"]),
            "subscription.created": lambda event: self.sequel_of_subscription(event["subscription"]["id"]),
            "subscription.changed": self.resumption_of,
            "charge.added": lambda event: self.bill_of(event["charge"]),
            "credit.transferred": lambda event: self.reversal_of_transfer(event["transfer"]),
            "dunning.step-taken": self.sequel_of_step,
            "payment.requested": self.collection_of,
        }

    def sequel_of_subscription(self, subscription_id: str) -> list[Letter]:
        """Some of what may be said of a subscription in any order: each is of days of its own."""
        if subscription_id not in self.agreed:
            return []
        agreed = self.agreed[subscription_id]
        said = []
        for on in (date(2026, 1, 28), date(2026, 2, 4)):
            if self.lots.random() < 0.5:
                agreed.euros[on] = self.lots.randrange(1, 9)
                changes = {"productPrice": agreed.prices(agreed.euros[on])}
                said.append(subscribed("change", subscription_id, str(on), changes=changes))
        if self.lots.random() < 0.5:
            said.append(subscribed("change", subscription_id, "2026-02-01", changes={"name": "Home"}))
        if self.lots.random() < 0.5:
            agreed.free = {date(2026, 2, day) for day in range(10, 20)}
            said.append(subscribed("suspend", subscription_id, "2026-02-10"))
        if self.lots.random() < 0.5:
            agreed.end = date(2026, 3, 1)
            said.append(subscribed("terminate", subscription_id, "2026-03-01"))
        letters = [self._usage_of(subscription_id), *self._bill()]
        for message in said:
            if self._over or self.lots.random() < 0.5:
                letters.append(self._command(message))
            else:  # it is billed without it first, or not
                self._put_off(self._command(message))
        return letters

    def resumption_of(self, event: dict[str, Any]) -> list[Letter]:
        """What was suspended is resumed, of debtors by dunning alone; after other changes there may be a bill."""
        if event["subscription"]["id"] not in self.agreed:
            return []
        if event["kind"] != "suspend":
            return self._bill() if self.lots.random() < 0.3 else []
        return [self._command(subscribed("resume", event["subscription"]["id"], "2026-02-20"))]

    def _bill(self) -> list[Letter]:
        """A bill of one of the subscribers, or of whom it pays for, up to any day; or a run over all of them."""
        day = FIRST_DAY + timedelta(days=self.lots.randrange((LAST_DAY - FIRST_DAY).days + 1))
        if self.lots.random() < 0.25:
            number = self._next("BR")
            letters = [self._fact(bill_run(number, CYCLE, str(day)), number)]
        else:
            number, account = self._next("BD"), self.lots.choice((PAYER, *SUBSCRIBERS))
            letters = [self._fact(demand(number, account, str(day)), number)]
        if self.lots.random() < 0.2:
            self._repeat(letters)
        return letters

    def corrections(self) -> list[Letter]:
        """Once all that was used is counted: some of it was too much."""
        letters = []
        for subscription_id, agreed in self.agreed.items():
            for day, quantity in list(agreed.used.items()):
                if quantity > 1 and self.lots.random() < 0.2:
                    letters.append(self._letter(self._one_use(subscription_id, day, -self.lots.randrange(1, quantity))))
        return letters

    def last_bills(self) -> list[Letter]:
        """A charge of each seller for each subscriber, which a last bill follows (`bill_of`)."""
        letters = []
        for account in (PAYER, *SUBSCRIBERS):
            for sold_for in (None, *AGENTS) if account not in PAID_FOR else ():
                number = self._next("B")
                self.owed[account] += ROOM * 120
                made = charge(number, account, ROOM, date=str(LAST_DAY), sold_for=sold_for)
                letters.append(self._fact(made, number))
        return letters

    def billed(self) -> dict[str, int]:
        """What each week of each subscription comes to in the end, in cents; it is owed by whoever pays."""
        return {
            f"{subscription_id}/{price_id}/{week}/{week + timedelta(days=7)}": 100 * euros
            for subscription_id, agreed in self.agreed.items()
            for (price_id, week), euros in agreed.weeks().items()
        }

    def subscriptions_owed(self) -> Counter[str]:
        """What is owed of all subscriptions in the end, by account, in cents with tax."""
        owed: Counter[str] = Counter()
        for agreed in self.agreed.values():
            owed[PAYER if agreed.account in PAID_FOR else agreed.account] += 120 * sum(agreed.weeks().values())
        return owed

    def _command(self, message: Message) -> Letter:
        """What has no key but the message's id."""
        letter = self._letter(message)
        self.facts.add(f"{message[0]}:{letter.message_id}")
        return letter

    def bill_of(self, charged: dict[str, Any]) -> list[Letter]:
        """A bill as soon as something is charged: it has this charge, and whatever else came in meanwhile.

        Not of what dunning charges: that would be overdue in its turn.
        """
        if charged["billingAccount"]["id"] in self.debtors:
            return []
        number, account = self._next("BD"), charged["billingAccount"]["id"]
        up_to = {"on": str(LAST_DAY)} if account in (PAYER, *SUBSCRIBERS) else {}
        letters = [self._fact(demand(number, account, **up_to), number)]
        if self.lots.random() < 0.2:
            self._repeat(letters)
        return letters

    def sequel_of(self, invoice: dict[str, Any]) -> list[Letter]:
        """What follows an invoice as it is issued: what nobody will pay is lost; of others this or that, or nothing."""
        if invoice["billingAccount"]["id"] == LOST:
            number = self._next("W")
            self.owed[LOST] -= int(Decimal(str(invoice["taxIncludedAmount"]["value"])) * 100)
            return [self._fact(write_off(number, invoice["billNo"], taxRelief=self.lots.random() < 0.5), number)]
        if invoice["billingAccount"]["id"] == RIGHT:
            return []
        if debtor := self.debtors.get(invoice["billingAccount"]["id"]):
            self._bill_of[debtor.account] = invoice["billNo"]
            if debtor.what in AT_ONCE:
                return self._in_a_while(self._by_debtor(debtor))
            # Events may come in another order after an outage.
            return self._in_time(debtor) if not debtor.level or debtor.account in self._stepped else []
        if invoice["billingAccount"]["id"] in (PAYER, *SUBSCRIBERS):
            return self._sequel_of_bill(invoice)
        if back := [line for line in invoice["lines"] if line["taxExcludedAmount"]["value"] < 0]:
            # Its other lines come to more than it does, so a note of one might go beyond it.
            return self._taking_back(invoice, self.lots.choice(back)) if self.lots.random() < 0.5 else []
        drawn = self.lots.random()
        if drawn < CREDITED:
            return self._note_of(invoice)
        if drawn < CREDITED + DISPUTED:
            return self._dispute_of(invoice)
        if drawn < CREDITED + DISPUTED + SAID:
            said = [validated, sent][self.lots.random() < 0.5](invoice["billNo"])
            return [self._command(said)]
        if drawn < CREDITED + DISPUTED + SAID + TAKEN_BACK:
            return self._taking_back(invoice, self.lots.choice(invoice["lines"]))
        return []

    def _sequel_of_bill(self, invoice: dict[str, Any]) -> list[Letter]:
        """What follows a bill of subscriptions: it is paid, there is more usage of days that it has billed, or not."""
        letters = []
        if self.lots.random() < 0.5:
            number, account = self._next("P"), invoice["billingAccount"]["id"]
            value = str(invoice["taxIncludedAmount"]["value"])
            self.owed[account] -= int(Decimal(value) * 100)
            if Decimal(value):
                letters.append(self._fact(payment(number, account, value), number))
        ids = sorted({line["subscriptionId"] for line in invoice["lines"] if "subscriptionId" in line})
        if ids and not self._over and self.lots.random() < 0.5:
            letters.append(self._usage_of(self.lots.choice(ids)))
        return letters

    def _taking_back(self, invoice: dict[str, Any], line: dict[str, Any]) -> list[Letter]:
        """A charge that takes back some whole euros of a line, which nothing else does: on a bill, or by a note."""
        number, account = self._next("B"), invoice["billingAccount"]["id"]
        net = int(line["taxExcludedAmount"]["value"])
        euros = self.lots.randrange(1, abs(net) + 1) * (-1 if net > 0 else 1)
        self.owed[account] += euros * 120
        sold_for = line["onBehalfOf"]["id"] if "onBehalfOf" in line else None
        corrects = {"billNo": invoice["billNo"], "lineId": line["id"]}
        return [self._fact(charge(number, account, euros, sold_for=sold_for, corrects=corrects), number)]

    def _dispute_of(self, invoice: dict[str, Any]) -> list[Letter]:
        """Something of an invoice is disputed; now and then that ends before it has begun."""
        number, line = self._next("D"), self.lots.choice(invoice["lines"])
        net = str(line["taxExcludedAmount"]["value"])
        return [self._fact(dispute(number, invoice["billNo"], credited(line["id"], net)), number)]

    def end_of(self, disputed: dict[str, Any]) -> list[Letter]:
        """How a dispute ends: it is withdrawn, or all of it is approved, or nothing."""
        number = disputed["disputeId"]
        if debtor := self.debtors.get(disputed["billingAccount"]["id"]):
            withdraws = debtor.what == "disputes, and withdraws it"
            return self._in_a_while([self._fact(dispute_withdrawn(number), number)]) if withdraws else []
        drawn = self.lots.random()
        if drawn < 0.3:
            return [self._fact(dispute_withdrawn(number), number)]
        if drawn < 0.5:
            return [self._fact(dispute_settled(number), number)]
        self.approved += 1
        self.owed[disputed["billingAccount"]["id"]] -= int(Decimal(str(disputed["amount"]["value"])) * 100)
        [asked] = disputed["items"]
        approved = credited(asked["lineId"], str(asked["taxExcludedAmount"]["value"]))
        return [self._fact(dispute_settled(number, approved), number)]

    def recovery_of(self, lost: dict[str, Any]) -> list[Letter]:
        """What is paid after all of what was written off: now and then half of it, which leaves nothing open."""
        if self.lots.random() < 0.5:
            return []
        number, bill_no = self._next("P"), lost["invoice"]["billNo"]
        cents = int(Decimal(str(lost["writeOff"]["amount"]["value"])) * 100) // 2
        return [self._fact(payment(number, LOST, str(Decimal(cents) / 100), invoices=[bill_no]), number)]

    def _note_of(self, invoice: dict[str, Any]) -> list[Letter]:
        """What comes back of an invoice as it is issued: a line of it, by a note that may come twice."""
        number, line = self._next("N"), self.lots.choice(invoice["lines"])
        net = Decimal(str(line["taxExcludedAmount"]["value"]))
        # The lines are in whole euros, so that each note's tax is a whole cent whatever was credited before.
        self.owed[invoice["billingAccount"]["id"]] -= int(net * 120)
        note = credit_note(
            number, invoice["billNo"], credited(line["id"], str(net)), excess=self.lots.choice(("credit", "refund"))
        )
        letters = [self._fact(note, number)]
        if self.lots.random() < 0.2:
            self._repeat(letters)
        return letters

    def reversal_of(self, allocated: dict[str, Any]) -> list[Letter]:
        """What comes back of a payment, once: now and then half of it, as it covers something for the first time.

        One that went astray is transferred.
        """
        payment_id, account = allocated["payment"]["paymentId"], allocated["payment"]["billingAccount"]["id"]
        if account == UNNAMED:
            return self._put_right(account, allocated["payment"]["amount"]["value"])
        if account == NAMED:
            return []
        if debtor := self.debtors.get(account):
            if debtor.what != "pays, and it comes back" or payment_id in self._reversed:
                return []
            return self._reverse(payment_id, account, allocated["payment"]["amount"]["value"])
        if "source" in allocated["payment"] or payment_id in self._reversed or self.lots.random() >= REVERSED:
            return []
        return self._reverse(payment_id, account, allocated["payment"]["amount"]["value"])

    def reversal_of_transfer(self, moved: dict[str, Any]) -> list[Letter]:
        """What comes back of a payment that was transferred, once: it is taken from the account that it went to."""
        payment_id, account = moved["taken"][0]["paymentId"], moved["to"]["id"]
        if account != RIGHT or moved["from"]["id"] != NAMED or payment_id in self._reversed or self.lots.random() < 0.5:
            return []
        return self._reverse(payment_id, account, moved["amount"]["value"])

    def _reverse(self, payment_id: str, account: str, value: Any) -> list[Letter]:
        self._reversed.add(payment_id)
        number, cents = self._next("X"), int(Decimal(str(value)) * 100)
        part = cents - cents // 2
        self.owed[account] += part
        return [self._fact(reversal(number, payment_id, str(Decimal(part) / 100)), number)]

    def refund_of(self, note: dict[str, Any]) -> list[Letter]:
        """What goes back of what a note has reserved, as it comes: in two parts, or all of it."""
        cents = int(Decimal(str(note["refundable"]["value"])) * 100)
        parts = [cents // 3, cents - cents // 3] if self.lots.random() < 0.5 else [cents]
        letters = []
        for part in parts:
            if part:
                number, account = self._next("R"), note["billingAccount"]["id"]
                self.owed[account] += part
                sent = refund(number, account, str(Decimal(part) / 100), creditNoteId=note["creditNoteId"])
                letters.append(self._fact(sent, number))
        return letters

    def _next(self, prefix: str) -> str:
        self._numbers[prefix] += 1
        return f"{prefix}-{self._numbers[prefix]}"

    def _letter(self, message: Message | tuple[str, Any]) -> Letter:
        routing_key, body = message
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Letter(routing_key, encoded, self._next("message"))

    def _fact(self, message: Message, key: str) -> Letter:
        self.facts.add(f"{message[0]}:{key}")
        return self._letter(message)

    def _put_off(self, letter: Letter) -> None:
        self._later.append((self._bursts + self.lots.randrange(1, 4), letter))

    def _repeat(self, letters: list[Letter]) -> None:
        """The same again, soon after or later, as a sender does that has heard no confirm."""
        for letter in letters:
            for _ in range(self.lots.choice((1, 1, 1, 3))):
                self._put_off(letter)

    def _open(self, prefix: str) -> Letter:
        number = self._next(prefix)
        if prefix == "BA":
            self._accounts.append(number)
            return self._fact(customer(number), number)
        return self._partner(number)

    def _partner(self, number: str) -> Letter:
        self._partners.append(number)
        terms = self.account_terms[number] = ("0.8", self.lots.choice(("invoice", "payment")))
        if number in AGENTS:
            return self._fact(partner(number, settlementTerms=agents_terms(*terms)), number)
        return self._fact(partner(number, *terms), number)

    def _account(self, known: list[str], prefix: str, new: float) -> str:
        """One of the accounts; now and then a new one, which is opened only after what refers to it was sent."""
        if self.lots.random() < new:
            self._put_off(self._open(prefix))
            return known[-1]
        return self.lots.choice(known)

    def _one_order(self) -> Message:
        number, account = self._next("O"), self._account(self._accounts, "BA", 0.01)
        if (drawn := self.lots.random()) < 0.02:
            account = LOST
        elif drawn < 0.07:
            account = NETTED
        lines = [item(1, euros := self.lots.randrange(1, 40))]
        for line in range(2, self.lots.randrange(2, 6)):
            lines.append(item(line, 1, sold_for=self._account(self._partners, "SA", 0.002)))
            euros += 1
        self.owed[account] += euros * 120
        self.facts.add(f"order.completed:{number}")
        return order(number, account, *lines, completedAt=f"{self.lots.choice(ORDERED)}T10:15:00Z")

    def _order(self) -> list[Letter]:
        return [self._letter(self._one_order())]

    def _charge(self) -> list[Letter]:
        number, account = self._next("B"), self._account(self._accounts, "BA", 0.01)
        euros = self.lots.randrange(1, 40)
        self.owed[account] += euros * 120
        sold_for = self._account(self._partners, "SA", 0.002) if self.lots.random() < 0.3 else None
        return [self._fact(charge(number, account, euros, sold_for=sold_for), number)]

    def _promise(self) -> list[Letter]:
        """Nothing is overdue as long as the chaos lasts: it is kept, and has no effect."""
        number, account = self._next("PROMISE"), self._account(self._accounts, "BA", 0.01)
        return [self._fact(promise(number, account, str(LAST_DAY)), number)]

    def _debtor(self, what: What | None = None) -> list[Letter]:
        """An account that owes and is dunned, with its order and a subscription: its own, or of whom it pays for."""
        account = self._next("BA-owes")
        becomes = self.lots.choice(WHATS) if what is None else what
        level = 0 if becomes in AT_ONCE else self.lots.randrange(len(STEPS) + 1)
        pays_for = f"{account}-for" if self.lots.random() < 0.5 else None
        debtor = Debtor(account, becomes, level, self.lots.randrange(5, 40), pays_for)
        self.debtors[account] = debtor
        self.owed[account] += debtor.cents
        return [self._fact(made, id_) for id_, made in debtor.opening().items()]

    def sequel_of_step(self, step: dict[str, Any]) -> list[Letter]:
        """What a debtor does who has waited for this step."""
        debtor = self.debtors[step["billingAccount"]["id"]]
        if step["level"] != debtor.level:
            return []
        self._stepped.add(debtor.account)
        return self._in_time(debtor) if debtor.account in self._bill_of else []

    def as_day_comes(self) -> list[Letter]:
        """What debtors do at last, now that a day comes on which they would be dunned."""
        debtors, self._at_last = self._at_last, []
        return [letter for debtor in debtors for letter in self._by_debtor(debtor)]

    def collection_of(self, request: dict[str, Any]) -> list[Letter]:
        """What is requested of a debtor is paid, or not."""
        debtor = self.debtors[request["billingAccount"]["id"]]
        if debtor.what == "is collected from":
            return self._pays(debtor, debtor.cents, paymentRequestId=request["paymentRequestId"])
        number = request["paymentRequestId"]
        body = {"paymentRequestId": number, "reason": "AM04", "failedAt": "2026-11-24T09:00:00Z"}
        return self._in_a_while([self._fact(("payment.failed", body), number)])

    def _by_debtor(self, debtor: Debtor) -> list[Letter]:
        match debtor.what:
            case "pays" | "pays, and it comes back":
                return self._pays(debtor, debtor.cents)
            case "pays nearly all":
                return self._pays(debtor, debtor.cents - 100 * THRESHOLD + 1)
            case "pays half":
                return self._pays(debtor, debtor.cents // 2)
            case "disputes" | "disputes, and withdraws it":
                number = self._next("D")
                made = dispute(number, self._bill_of[debtor.account], credited(1, debtor.euros))
                return [self._fact(made, number)]
            case "promises" | "promises, and the day is over":
                number = self._next("PROMISE")
                # The day after this one has come when the traffic is over, and then as many as there are steps.
                tomorrow = datetime.now(UTC).date() + timedelta(days=1)
                until = date(2999, 12, 31) if debtor.what == "promises" else tomorrow
                return [self._fact(promise(number, debtor.account, str(until)), number)]
        return []

    def _pays(self, debtor: Debtor, cents: int, **of: str) -> list[Letter]:
        number = self._next("P")
        self.owed[debtor.account] -= cents
        return [self._fact(payment(number, debtor.account, str(Decimal(cents) / 100), **of), number)]

    def _in_time(self, debtor: Debtor) -> list[Letter]:
        """What a debtor does, at once or as the next day comes: just before it is looked at, or at the same time."""
        if debtor.level and self.lots.random() < 0.3:
            return self._by_debtor(debtor)
        self._at_last.append(debtor)
        return []

    def _in_a_while(self, letters: list[Letter]) -> list[Letter]:
        """These later, while there is business; else at once."""
        if self._over:
            return letters
        for letter in letters:
            self._put_off(letter)
        return []

    def _subscription(self) -> list[Letter]:
        number, account = self._next("SUB"), self.lots.choice(SUBSCRIBERS)
        sold_for = self._account(self._partners, "SA", 0.002) if self.lots.random() < 0.3 else None
        start = FIRST_DAY + timedelta(days=self.lots.randrange(20))
        euros = self.lots.randrange(1, 9)
        agreed = Agreed(account, start, self.lots.random() < 0.5, sold_for, {start: euros})
        self.agreed[number] = agreed
        made = subscription(number, account, *agreed.prices(euros), start=str(start))
        return [self._fact(made, number), self._usage_of(number)]

    def _usage_of(self, subscription_id: str) -> Letter:
        """What is used in the first days of February, when it is neither suspended nor ended."""
        records = []
        for _ in range(self.lots.randrange(1, 8)):
            day = date(2026, 2, self.lots.randrange(1, 10))
            records.append(self._one_use(subscription_id, day, self.lots.randrange(1, 20))[1])
        return self._letter(("usage.record", records))

    def _one_use(self, subscription_id: str, day: date, quantity: int) -> Message:
        number = self._next("U")
        self.agreed[subscription_id].used[day] += quantity
        self.facts.add(f"usage.record:{number}")
        return usage(number, subscription_id, quantity, f"{day}T10:00:00Z", "P-2")

    def _array(self) -> list[Letter]:
        return [self._letter(("order.completed", [self._one_order()[1] for _ in range(self.lots.randrange(1, 20))]))]

    def _payment(self) -> list[Letter]:
        number, account = self._next("P"), self._account(self._accounts, "BA", 0.01)
        cents = self.lots.randrange(1, 7000)
        self.owed[account] -= cents
        # Some name an invoice, which may be another account's, or not there yet.
        series = self.lots.choice(("INV", "INV", *AGENTS))
        named = [f"{series}-{self.lots.randrange(1, 500):09d}"] if self.lots.random() < 0.2 else []
        return [self._fact(payment(number, account, str(Decimal(cents) / 100), invoices=named), number)]

    def _grant(self) -> list[Letter]:
        number, account = self._next("C"), self._account(self._accounts, "BA", 0.01)
        cents = self.lots.randrange(1, 2000)
        self.owed[account] -= cents
        return [self._fact(grant(number, account, str(Decimal(cents) / 100)), number)]

    def _astray(self) -> list[Letter]:
        """A payment on the wrong account; one of `NAMED` is transferred at once, perhaps ahead of it."""
        number, account = self._next("P"), self.lots.choice((NAMED, UNNAMED))
        value = str(Decimal(self.lots.randrange(1, 7000)) / 100)
        letters = [self._fact(payment(number, account, value), number)]
        return letters + (self._put_right(account, value, paymentId=number) if account == NAMED else [])

    def _put_right(self, account: str, value: Any, **of: str) -> list[Letter]:
        number = self._next("T")
        to = RIGHT if self.lots.random() < 0.5 else self.lots.choice(self._accounts)
        self.owed[to] -= int(Decimal(str(value)) * 100)
        return [self._fact(transfer(number, str(value), account, to, **of), number)]

    def _update(self) -> list[Letter]:
        account = self._account(self._accounts, "BA", 0.01)
        letter = self._letter(update(account, {"name": f"Renamed {self._next('name')}"}))
        self.facts.add(f"account.update:{letter.message_id}")
        return [letter]

    def _seller(self) -> list[Letter]:
        letter = self._letter(seller(name=f"Renamed {self._next('name')}"))
        self.facts.add(f"seller.update:{letter.message_id}")
        return [letter]

    def _closing(self) -> list[Letter]:
        number = self._next("CL")
        made = closing(number, self.lots.choice(self._partners), self.lots.choice(PERIOD_ENDS))
        return [self._fact(made, number)]

    def _adjustment(self) -> list[Letter]:
        number, account = self._next("A"), self.lots.choice(self._partners)
        cents = self.lots.choice((-1, 1)) * self.lots.randrange(1, 300)
        self.adjusted[account] += cents
        return [self._fact(adjustment(number, account, str(Decimal(cents) / 100)), number)]

    def _poison(self) -> list[Letter]:
        number = self._next("bad")
        account = self.lots.choice(self._accounts)
        of_nobody = [(payment(number, account, "1.00"), "forbidden")] if self.access else []
        message, reason = self.lots.choice(
            [
                *of_nobody,
                (("order.completed", b'{"orderId": "' + number.encode()), "malformed"),
                ((f"order.{number}", {}), "unknown-type"),
                (payment(number, account, "0.001"), "invalid"),
                (payment(number, account, "1.00", amount={"unit": "USD", "value": 1}), "currency-mismatch"),
            ]
        )
        letter = replace(self._letter(message), nobodys=reason == "forbidden")
        self.poison[letter.message_id] = reason
        return [letter]

    def _conflict(self) -> list[Letter]:
        """An order and another one under its number, of the same amount: whichever comes first is applied."""
        routing_key, body = self._one_order()
        self.conflicts.add(f"{routing_key}:{body['orderId']}")
        return [self._letter((routing_key, {**body, "completedAt": f"2026-11-{day}T08:00:00Z"})) for day in (20, 21)]
