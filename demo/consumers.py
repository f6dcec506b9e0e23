"""What consumers owe to whom, and what comes of it for the providers: an account of the demo's own.

It is kept without the worker's code, invoice by invoice: what is billed, in whose name, what is paid of it by payments
that ask for no seller, what is taken back, and how much of it is a provider's, less our commission.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from math import floor
from random import Random
from typing import Any

from demo.cycle import Member
from demo.dates import CAME_BACK, DISPUTES, DUE, TRADE
from demo.day import SEED, account_of, item_of
from demo.facts import HOUR, Fact, Line, Message, by_seller, message, moment, money, rounded, total
from demo.traffic import CONSUMERS_ORDERS
from demo.wares import BREEZE, NIMBUS, OWN_WARES, PROVIDERS, TAXES, TIDEWAY, Provider

ORDERS = 30
TERM_DAYS = 30
ACROSS = "payments of several sellers' invoices"
EXTRAS = {
    TIDEWAY: Line("Installation of fibre", Decimal(1), Decimal("49.00"), *TAXES["EUR"]["standard"], TIDEWAY),
    BREEZE: Line("Reading of a meter", Decimal(1), Decimal("7.90"), *TAXES["EUR"]["lower"], BREEZE),
    NIMBUS: Line("Second SIM card", Decimal(2), Decimal("4.97"), *TAXES["EUR"]["standard"], NIMBUS),
}
"""What providers sell by the piece."""
AGREED = NIMBUS
"""The provider whose agent we are by an agreement; of the others the account's terms say so."""


@dataclass
class Owed:
    """An invoice of one seller to a consumer, in cents; `order` is empty where the run has made it.

    `credited` is what notes took back of each line's net.
    """

    account: str
    seller: Provider | None
    due: date
    order: str
    lines: list[Line]
    paid: int = 0
    credited: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing is taken back of it yet."""
        self.credited = self.credited or [0] * len(self.lines)

    @property
    def key(self) -> tuple[str, str, str]:
        """Whose it is: the account, the seller's id, the order."""
        return (self.account, "" if self.seller is None else self.seller.id, self.order)

    @property
    def nets(self) -> list[int]:
        """What each line comes to without tax."""
        return [line.net("EUR") for line in self.lines]

    @property
    def total(self) -> int:
        """What it came to as it was issued."""
        return total(self.lines, "EUR")

    @property
    def billed(self) -> int:
        """What notes leave of it."""
        return self.total - sum(self.credited) - sum(self._taxes(self.credited))

    @property
    def place(self) -> tuple[date, str]:
        """Where it is among what a payment covers: by the date on which it is due, then by its number."""
        return (self.due, "INV-" if self.seller is None else self.seller.series)

    def _taxes(self, nets: Sequence[int]) -> list[int]:
        """The tax in each of these nets: that of a group goes to its lines by the largest remainder."""
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for n, line in enumerate(self.lines):
            groups[line.category, line.rate].append(n)
        taxes = [0] * len(nets)
        for (_, rate), of_group in groups.items():
            exact = {n: nets[n] * Decimal(rate) for n in of_group}
            for n in of_group:
                taxes[n] = floor(exact[n])
            missing = rounded(sum(exact.values(), Decimal(0))) - sum(taxes[n] for n in of_group)
            for n in sorted(of_group, key=lambda n: floor(exact[n]) - exact[n])[:missing]:
                taxes[n] += 1
        return taxes

    def shares(self) -> Iterator[tuple[int, int, int]]:
        """Of each line: what is left of it with tax, what of that its provider has, and our commission so far."""
        assert self.seller is not None
        taxes, credited_taxes = self._taxes(self.nets), self._taxes(self.credited)
        for n, net in enumerate(self.nets):
            left = net - self.credited[n]
            share = left + taxes[n] - credited_taxes[n]
            has = share
            if self.seller.accrue_on == "payment" and self.billed:
                has = rounded(Decimal(share * self.paid) / self.billed)
            yield share, has, rounded(self.seller.commission * left * has / share) if share else 0


@dataclass(frozen=True)
class Sums:
    """What a provider's invoices come to, in cents: billed, taken back, its own by now, withheld, our commission."""

    invoices: int
    billed: int
    credited: int
    released: int
    withheld: int
    commission: int


class Consumers:
    """The demo's account of them; `across` counts the payments that cover invoices of several sellers."""

    def __init__(self, cycle: Sequence[Member]) -> None:
        self.owed: list[Owed] = []
        self.noted: list[tuple[Owed, int]] = []
        """The notes of providers' invoices in their order, each with what it comes to."""
        self.across = 0
        lines: dict[str, list[Line]] = defaultdict(list)
        for one in cycle:
            lines[one.payer] += one.lines
        for payer, of_payer in lines.items():
            self._bill(payer, of_payer, DUE, "")
        self.payers = {one.payer for one in cycle if one.payer != one.id}
        """Those who pay for others as well."""
        self._quiet = [one.id for one in cycle if one.id in lines and one.payer == one.id and not one.story]
        self._alone = [one.id for one in cycle if one.id in self._quiet and one.id not in self.payers]

    def _bill(self, account: str, lines: Iterable[Line], due: date, order: str) -> None:
        self.owed += [Owed(account, seller, due, order, of_one) for seller, of_one in by_seller(lines).items()]

    def orders(self, seed: int = SEED) -> list[Message]:
        """Orders with lines of providers and, but for every fifth, of ours: each is an invoice of each seller."""
        random = Random(f"{seed} consumers")
        sent = []
        for n, account in enumerate(sorted(random.sample(self._alone, ORDERS))):
            ware = random.choice(OWN_WARES)
            ours = Line(ware.description, Decimal(ware.step), Decimal(ware.price), *TAXES["EUR"][ware.tax])
            chosen = random.sample(PROVIDERS, 1 + (n % 3 == 0))
            lines = [*(EXTRAS[one] for one in chosen), *([ours] if n % 5 else [])]
            order = f"{CONSUMERS_ORDERS}{n:03d}"
            content = {
                "orderId": order,
                "completedAt": moment(10 * HOUR, CAME_BACK),
                "billingAccount": {"id": account},
                "currency": "EUR",
                "items": [item_of(at, line) for at, line in enumerate(lines, 1)],
            }
            made = by_seller(lines)
            fact = Fact(
                "order.completed",
                account=account,
                amount=sum(total(of_one, "EUR") for of_one in made.values()),
                orders=(order,),
                sellers=len(made),
                note="orders with lines of providers",
                day=CAME_BACK,
            )
            sent.append(message("order.completed", content, f"consumer-{n:03d}", fact))
            self._bill(account, lines, CAME_BACK + timedelta(days=TERM_DAYS), order)
        return sent

    def pay(self) -> list[Message]:
        """What those who are not dunned pay: of seven, five all that they owe, one half of it, and one nothing yet."""
        sent = []
        for n, account in enumerate(self._quiet):
            owed = sum(one.total for one in self._of(account))
            amount = [owed, owed, owed // 2, owed, owed, 0, owed][n % 7]
            if not amount:
                continue
            content = {
                "paymentId": f"ALL-{account}",
                "receivedAt": moment(7 * HOUR, DUE),
                "billingAccount": {"id": account},
                "amount": money(amount, "EUR"),
            }
            fact = Fact("payment.received", account=account, amount=amount, note="payments of all that is owed")
            sent.append(message("payment.received", content, f"all-{account}", fact))
        return sent

    def take(self, sent: Iterable[Message]) -> list[Message]:
        """Cover invoices by payments, whoever the sellers are; returns what was sent."""
        messages = list(sent)
        for fact in (fact for one in messages for fact in one.facts if fact.type == "payment.received"):
            left, sellers = fact.amount, set()
            for one in sorted(self._of(fact.account), key=lambda one: one.place):
                if covered := min(left, one.billed - one.paid):
                    one.paid += covered
                    left -= covered
                    sellers.add(one.seller)
            self.across += len(sellers) > 1
        return messages

    def notes(self, told: Iterable[dict[str, Any]]) -> list[Message]:
        """Notes of two bills of each provider: half of a line of one that is open, all of one that is paid."""
        bills = {(bill["billingAccount"]["id"], bill.get("seller", {}).get("id", ""), ""): bill for bill in told}
        sent = []
        for provider in PROVIDERS:
            own = [one for one in self.owed if one.seller == provider and not one.order and one.account in self._alone]
            is_open = next(one for one in own if not one.paid)
            is_paid = next(one for one in own if all(other.paid == other.total for other in self._of(one.account)))
            for one, part in ((is_open, 2), (is_paid, 1)):
                bill, before = bills[one.key], one.billed
                content = {
                    "creditNoteId": f"NOTE-{len(self.noted):03d}",
                    "billNo": bill["billNo"],
                    "issuedAt": moment(8 * HOUR, DISPUTES),
                    "reason": "not as promised",
                }
                if part == 1:
                    one.credited = one.nets
                else:
                    one.credited[0] = one.nets[0] // part
                    content["lines"] = [_line(bill, one.nets[0], one.credited[0])]
                one.paid = min(one.paid, one.billed)
                amount = before - one.billed
                self.noted.append((one, amount))
                fact = Fact("credit-note.issue", account=one.account, amount=amount, note="notes of providers' bills")
                sent.append(message("credit-note.issue", content, f"note-{len(self.noted):03d}", fact))
        return sent

    def sums(self, provider: Provider) -> Sums:
        """What came of a provider's invoices so far."""
        own = [one for one in self.owed if one.seller == provider]
        shares = [line for one in own for line in one.shares()]
        return Sums(
            len(own),
            sum(one.total for one in own),
            sum(amount for one, amount in self.noted if one.seller == provider),
            sum(has for _, has, _ in shares),
            sum(share - has for share, has, _ in shares),
            sum(commission for _, _, commission in shares),
        )

    def _of(self, account: str) -> list[Owed]:
        return [one for one in self.owed if one.account == account]


def _line(bill: dict[str, Any], net: int, credited: int) -> dict[str, Any]:
    """A part of the first line of a bill that comes to a net, as a note names it."""
    amount = money(net, "EUR")["value"]
    line = next(line for line in bill["lines"] if Decimal(str(line["taxExcludedAmount"]["value"])) == Decimal(amount))
    return {"lineId": line["id"], "taxExcludedAmount": money(credited, "EUR")}


def providers_open() -> list[Message]:
    """The providers' accounts, whose terms say that we are their agent; of one an agreement does."""
    sent = []
    for provider in PROVIDERS:
        share = {"partnerShare": str(1 - provider.commission), "accrueOn": provider.accrue_on}
        terms = share if provider == AGREED else terms_of(provider)
        content = account_of("SettlementAccount", provider, "partner", settlementTerms=terms)
        sent.append(
            message("account.create", content, f"open-{provider.id}", Fact("account.create", account=provider.id))
        )
    content = {
        "agreementId": f"AG-{AGREED.id[3:]}",
        "settlementAccount": {"id": AGREED.id},
        "validFor": {"startDateTime": moment(0, TRADE)},
        "terms": terms_of(AGREED),
    }
    fact = Fact("agreement.create", note="terms agreed with partners")
    return [*sent, message("agreement.create", content, f"agreed-{AGREED.id}", fact)]


def terms_of(provider: Provider) -> dict[str, Any]:
    """The terms of an agent as a message says them; a series that is the account's id and a dash is not said."""
    category, rate = provider.tax
    said = {
        "model": "agent",
        "commission": str(provider.commission),
        "commissionTax": {"category": category, "rate": rate},
        "accrueOn": provider.accrue_on,
    }
    return said if provider.series == f"{provider.id}-" else {**said, "series": provider.series}
