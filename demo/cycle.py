"""A billing cycle of 200 consumers that is run by itself: how they are made, and what must come of that by the days.

Each subscribes to something of one of three providers, which is billed in that one's name; what is charged beside it is
ours. So a bill is an invoice of each seller.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from demo.dates import CYCLE, DISPUTES, DUE, RESUMED
from demo.day import SEED, account_of
from demo.facts import HOUR, Fact, Line, Message, by_seller, message, moment, money, rounded, total, total_of_all
from demo.plans import Price, Subscription
from demo.subscribers import starts
from demo.wares import BREEZE, NIMBUS, OWN_WARES, PROVIDERS, TAXES, TIDEWAY, Customer, Provider

ACCOUNTS, PAYERS, PAID_FOR, OF_A_STORY = 200, 4, 5, 3
"""How many there are, how many of them pay for others, for how many each, and how many are dunned in each way."""
NAME = "MONTHLY"
RUN = f"{NAME}:{CYCLE}"
LADDER = ((3, "remind"), (6, "charge"), (7, "suspend"), (14, "collect"))
"""What is done so many days after the due date."""
FEE = Line("Reminder fee", Decimal(1), Decimal("4.50"), "E", "0")
PAYS_ON: dict[str, date | None] = {
    "pays in time": DUE,
    "pays once reminded": DISPUTES,
    "pays once suspended": RESUMED,
    "does not pay": None,
}
"""The stories of those that are dunned: when each pays."""


@dataclass(frozen=True)
class Member:
    """An account of the cycle, with what it is to be billed; a subscription is kept as what its days make of it."""

    id: str
    payer: str
    """Who pays for it: itself, unless told otherwise."""
    story: str
    """Of those that are dunned."""
    charges: tuple[Line, ...]
    subscription: Subscription | None

    @property
    def lines(self) -> list[Line]:
        """What is due of it on the day of the run: what is charged, and its subscription's first month."""
        months = () if self.subscription is None else self.subscription.prices
        of_them = (Line(price.name, price.quantity, price.amount, *price.tax, price.partner) for price in months)
        return [*self.charges, *of_them]


@dataclass(frozen=True)
class Bill:
    """What a seller's bill to a payer must be, in cents: each line with its account, the tax of each group over all."""

    lines: Counter[tuple[str, int]]
    taxes: Counter[tuple[str, Decimal, int, int]]
    """Category, rate, net and tax."""
    total: int


def members(seed: int = SEED) -> list[Member]:
    """The accounts: those that pay for others, those others, those that are dunned; of the rest some owe nothing."""
    random = Random(f"{seed} cycle")
    dunned = PAYERS * (1 + PAID_FOR)
    stories = [story for story in PAYS_ON for _ in range(OF_A_STORY)]
    found = []
    for n in range(ACCOUNTS):
        id_ = _id(n)
        payer = _id((n - PAYERS) // PAID_FOR) if PAYERS <= n < dunned else id_
        story = stories[n - dunned] if dunned <= n < dunned + len(stories) else ""
        if n % 10 == 9 and not story and n >= dunned:
            found.append(Member(id_, payer, story, (), None))
            continue
        prices = _prices(PROVIDERS[n % len(PROVIDERS)], random)
        subscription = Subscription(f"SUB-{id_}", id_, story, CYCLE, prices)
        subscription.said += [(day, kind, ()) for day, kind in _suspended(story)]
        wares = random.sample(OWN_WARES, random.randint(0, 2))
        charges = tuple(
            Line(ware.description, Decimal(ware.step), Decimal(ware.price), *TAXES["EUR"][ware.tax]) for ware in wares
        )
        found.append(Member(id_, payer, story, charges, subscription))
    return found


def _prices(provider: Provider, random: Random) -> tuple[Price, ...]:
    """What somebody subscribes to of a provider."""
    sold = {
        TIDEWAY.id: [("fibre", "Fibre", random.choice(("29.90", "34.90", "39.95")), "standard")],
        BREEZE.id: [
            ("power", "Power, monthly instalment", random.choice(("48.00", "61.50")), "standard"),
            ("grid", "Grid fee", "7.35", "lower"),
        ],
        NIMBUS.id: [("mobile", "Mobile plan", random.choice(("9.90", "14.99", "24.99")), "standard")],
    }
    return tuple(
        Price(id_, name, "recurring", Decimal(amount), tax=TAXES["EUR"][tax], partner=provider)
        for id_, name, amount, tax in sold[provider.id]
    )


def _id(n: int) -> str:
    return f"BC-{n + 1:03d}"


def steps(story: str) -> list[tuple[date, str]]:
    """The steps that are taken in a story, each with its day: those that are due until it pays."""
    pays = PAYS_ON[story]
    days = [(DUE + timedelta(days=after), action) for after, action in LADDER]
    return [(day, action) for day, action in days if pays is None or day <= pays]


def cleared(story: str) -> date | None:
    """The day on which steps are cleared in a story, if any are."""
    return PAYS_ON[story] if steps(story) else None


def _suspended(story: str) -> Iterator[tuple[date, str]]:
    suspended = [day for day, action in steps(story) if action == "suspend"] if story else []
    yield from ((day, "suspend") for day in suspended)
    if suspended and (day := cleared(story)) is not None:
        yield day, "resume"


def bills(all_: Iterable[Member]) -> dict[tuple[str, str], Bill]:
    """What the run must make, by payer and seller, whose id is empty where that is us."""
    due: dict[tuple[str, str], list[tuple[str, Line]]] = {}
    for one in all_:
        for seller, lines in by_seller(one.lines).items():
            due.setdefault((one.payer, "" if seller is None else seller.id), []).extend(
                (one.id, line) for line in lines
            )
    return {key: _bill(of) for key, of in due.items()}


def _bill(due: Sequence[tuple[str, Line]]) -> Bill:
    nets: Counter[tuple[str, str]] = Counter()
    for _, line in due:
        nets[line.category, line.rate] += line.net("EUR")
    groups = ((group, Decimal(rate), net, rounded(net * Decimal(rate))) for (group, rate), net in nets.items())
    lines = Counter((account, line.net("EUR")) for account, line in due)
    return Bill(lines, Counter(groups), total([line for _, line in due], "EUR"))


def agreed(all_: Sequence[Member]) -> list[Message]:
    """The cycle, the dunning procedure, the accounts, and what is charged to them."""
    cycle = {
        "id": NAME,
        "name": "Monthly, from the 3rd",
        "automatic": True,
        "frequency": "monthly",
        "validFor": {"startDateTime": moment(0, CYCLE)},
        "paymentDueDateOffset": (DUE - CYCLE).days,
    }
    ladder = [
        {"after": after, "action": action, **({"item": _item(FEE)} if action == "charge" else {})}
        for after, action in LADDER
    ]
    procedure = {"id": "LADDER", "name": "Remind, charge, suspend, collect", "steps": ladder}
    types = ("billing-cycle-specification.create", "dunning-procedure.create")
    sent = [message(type_, said, type_, Fact(type_)) for type_, said in zip(types, (cycle, procedure), strict=True)]
    for n, one in enumerate(all_, 1):
        more: dict[str, object] = {"billStructure": {"cycleSpecification": {"id": NAME}}}
        if one.payer != one.id:
            more["accountRelationship"] = [{"relationshipType": "payer", "account": {"id": one.payer}}]
        if one.story:
            more["dunningProcedure"] = {"id": "LADDER"}
        content = account_of("BillingAccount", Customer(one.id, f"Canal Street {n}", "EUR", 30), "customer", **more)
        sent.append(message("account.create", content, f"open-{one.id}", Fact("account.create", account=one.id)))
    charges = [_charge(one, n, line) for one in all_ for n, line in enumerate(one.charges)]
    return [*sent, *charges, *starts([one.subscription for one in all_ if one.subscription is not None])]


def _charge(one: Member, n: int, line: Line) -> Message:
    content = {
        "chargeId": f"CHG-{one.id}-{n}",
        "billingAccount": {"id": one.id},
        "date": CYCLE.isoformat(),
        "currency": "EUR",
        "item": _item(line),
    }
    fact = Fact("charge.add", account=one.id, note="charges for the next bill")
    return message("charge.add", content, f"charge-{one.id}-{n}", fact)


def _item(line: Line) -> dict[str, object]:
    return {
        "id": "1",
        "description": line.description,
        "quantity": str(line.quantity),
        "unitPrice": str(line.price),
        "tax": {"category": line.category, "rate": line.rate},
    }


def paid(all_: Iterable[Member], day: date) -> list[Message]:
    """What those pay whose story says this day: all of their bill."""
    sent = []
    for one in all_:
        if not one.story or PAYS_ON[one.story] != day:
            continue
        amount = total_of_all(one.lines, "EUR")
        content = {
            "paymentId": f"PAID-{one.id}",
            "receivedAt": moment(6 * HOUR, day),
            "billingAccount": {"id": one.id},
            "amount": money(amount, "EUR"),
        }
        fact = Fact("payment.received", account=one.id, amount=amount, note="payments of bills of the run")
        sent.append(message("payment.received", content, f"paid-{one.id}", fact))
    return sent
