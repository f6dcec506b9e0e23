"""Who subscribes to what, what changes of it, and what is used: as messages, and kept for what must come of it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from demo.dates import TRADE
from demo.day import SEED
from demo.facts import APPLIED, REPEATED, Fact, Message, message
from demo.plans import DAY, Price, Step, Subscription
from demo.wares import PARTNERS

EACH = 4
"""How many subscribe in each of the ways."""
OCTOBER = date(2026, 10, 1)
LATE = date(2026, 10, 28)
"""October's usage from here on is told in November, after it was billed."""
RECORDS = 120
"""How many records of usage are told in one array."""

SERVED, TRIAL, PARTNER, STEPS, VOLUME, MINIMUM = (
    "served since October",
    "a trial until 8 November",
    "with a partner's films or music",
    "usage by steps, some told late",
    "usage by volume, some told late",
    "usage to a minimum, some told late",
)
UPGRADE, SEATS, BACKDATED, PAUSE, EARLY = (
    "another plan from 11 November",
    "more seats from 11 November",
    "cheaper since 20 October, told late",
    "suspended from 9 to 20 November",
    "ends early, on 15 November",
)


def subscriptions(accounts: Iterable[str], seed: int = SEED) -> list[Subscription]:
    """A subscription for each of some of these accounts, in each of the ways that there are."""
    random = Random(seed)
    chosen = iter(random.sample(sorted(accounts), EACH * len(_WAYS)))
    return [
        _WAYS[story](f"SUB-{account[3:]}", account, story, n, random)
        for story in _WAYS
        for n, account in zip(range(EACH), chosen, strict=False)
    ]


def _fibre(random: Random, *, in_arrears: bool = False) -> Price:
    amount = Decimal(random.choice(("29.90", "34.90", "39.90", "54.95")))
    return Price("fibre", "Fibre", "recurring", amount, in_arrears=in_arrears)


def _served(id_: str, account: str, story: str, n: int, random: Random) -> Subscription:
    router = Price("router", "Router, rental", "recurring", Decimal("3.50"), Decimal(1 + n % 2))
    return Subscription(id_, account, story, date(2026, 10, 5 + 3 * n), (_fibre(random), router))


def _trial(id_: str, account: str, story: str, n: int, random: Random) -> Subscription:
    setup = Price("setup", "Installation", "oneTime", Decimal("49.00"))
    ends = date(2026, 11, 8)
    return Subscription(id_, account, story, date(2026, 10, 18 + n), (_fibre(random), setup), ends)


def _of_a_partner(id_: str, account: str, story: str, n: int, random: Random) -> Subscription:
    partner = [one for one in PARTNERS if one.currency == "EUR"][n]
    content = Price("content", f"Flat rate of {partner.name}", "recurring", Decimal("14.99"), partner=partner)
    return Subscription(id_, account, story, TRADE, (_fibre(random), content))


def _by_steps(id_: str, account: str, story: str, _n: int, random: Random) -> Subscription:
    steps = (
        Step(Decimal(100), Decimal("0.20"), Decimal("2.00")),
        Step(Decimal(250), Decimal("0.135"), Decimal("3.00")),
        Step(None, Decimal("0.0945")),
    )
    power = Price("power", "Power for racks, kWh", "usage", steps=steps)
    return Subscription(id_, account, story, OCTOBER, (_fibre(random, in_arrears=True), power))


def _by_volume(id_: str, account: str, story: str, _n: int, _random: Random) -> Subscription:
    steps = (Step(Decimal(150), Decimal("0.22")), Step(Decimal(260), Decimal("0.18")), Step(None, Decimal("0.15")))
    return Subscription(
        id_, account, story, OCTOBER, (Price("cloud", "Cloud storage, GB", "usage", mode="volume", steps=steps),)
    )


def _minimum(id_: str, account: str, story: str, _n: int, _random: Random) -> Subscription:
    tiles = Price("tiles", "Map tiles, thousand", "usage", Decimal("0.755"))
    return Subscription(
        id_, account, story, OCTOBER, (tiles, Price("least", "Minimum of a month", "minimum", Decimal("180.00")))
    )


def _in_advance(id_: str, account: str, story: str, _n: int, random: Random) -> Subscription:
    return Subscription(id_, account, story, TRADE, (_fibre(random),))


def _seats(id_: str, account: str, story: str, n: int, _random: Random) -> Subscription:
    return Subscription(id_, account, story, TRADE, (_office(2 + n),))


def _office(seats: int) -> Price:
    return Price("seats", "Office, a seat", "recurring", Decimal("12.49"), Decimal(seats))


def _since_october(id_: str, account: str, story: str, n: int, random: Random) -> Subscription:
    return Subscription(id_, account, story, date(2026, 10, (1, 12)[n % 2]), (_fibre(random),))


def _with_setup(id_: str, account: str, story: str, n: int, random: Random) -> Subscription:
    setup = Price("setup", "Installation", "oneTime", Decimal("49.00"))
    return Subscription(id_, account, story, TRADE, (_fibre(random, in_arrears=n % 2 == 1), setup))


_WAYS: dict[str, Callable[[str, str, str, int, Random], Subscription]] = {
    SERVED: _served,
    TRIAL: _trial,
    PARTNER: _of_a_partner,
    STEPS: _by_steps,
    VOLUME: _by_volume,
    MINIMUM: _minimum,
    UPGRADE: _in_advance,
    SEATS: _seats,
    BACKDATED: _since_october,
    PAUSE: _in_advance,
    EARLY: _with_setup,
}
STORIES = tuple(_WAYS)


def starts(all_: Sequence[Subscription]) -> list[Message]:
    """That each of them starts, or started."""
    sent = []
    for one in all_:
        content = {
            "subscriptionId": one.id,
            "billingAccount": {"id": one.account},
            "startDate": one.start.isoformat(),
            "currency": "EUR",
            "name": one.prices[0].name,
            "productPrice": [price.content() for price in one.prices],
        }
        if one.trial_end is not None:
            content["trialEndDate"] = one.trial_end.isoformat()
        fact = Fact("subscription.create", account=one.account, note="subscriptions")
        sent.append(message("subscription.create", content, f"start-{one.id}", fact))
    return sent


def changes(all_: Iterable[Subscription], story: str, kind: str, on: date) -> list[Message]:
    """What is changed of the subscriptions of a story, from a day on."""
    sent = []
    for one in all_:
        if one.story != story:
            continue
        content: dict[str, object] = {"subscriptionId": one.id, "effectiveDate": on.isoformat()}
        prices: tuple[Price, ...] = ()
        if kind == "change":
            prices = tuple(_changed(price, story) for price in one.prices)
            content["changes"] = {"productPrice": [price.content() for price in prices]}
        one.said.append((on, kind, prices))
        fact = Fact(f"subscription.{kind}", account=one.account, note="changes of subscriptions")
        sent.append(message(f"subscription.{kind}", content, f"{kind}-{one.id}-{on}", fact))
    return sent


def _changed(price: Price, story: str) -> Price:
    if story == SEATS:
        return _office(int(price.quantity) + 3)
    more = Decimal("15.00") if story == UPGRADE else Decimal("-5.00")
    return Price(price.id, price.name, price.kind, price.amount + more, in_arrears=price.in_arrears)


def usage(all_: Iterable[Subscription], days: Iterable[date], told: str, seed: int = SEED) -> list[Message]:
    """What was used on these days, a record a day and price, in arrays; the first array is told twice.

    Some records correct what was told of their day.
    """
    random = Random(f"{seed} {told}")
    days = list(days)
    records = [
        record
        for one in all_
        for price in one.prices
        if price.kind == "usage"
        for day in days
        if day >= one.start
        for record in _used(one, price, day, told, random)
    ]
    sent = [_array(records[n : n + RECORDS], f"{told}-{n}", APPLIED) for n in range(0, len(records), RECORDS)]
    return [*sent, *(_array(records[:RECORDS], f"{told}-again", REPEATED) for _ in sent[:1])]


def _used(one: Subscription, price: Price, day: date, told: str, random: Random) -> Iterator[dict[str, object]]:
    quantities = [random.randint(1_000, 15_000)]
    if random.random() < 0.05:
        quantities.append(-quantities[0] // 4)
    for n, quantity in enumerate(quantities):
        one.used[price.id, day] += quantity
        yield {
            "usageId": f"{one.id}-{price.id}-{day}-{told}-{n}",
            "subscriptionId": one.id,
            "usageDate": f"{day}T{random.randrange(24):02d}:15:00Z",
            "priceId": price.id,
            "quantity": str(Decimal(quantity) / 1_000),
        }


def _array(records: Sequence[dict[str, object]], message_id: str, outcome: str) -> Message:
    facts = tuple(
        Fact("usage.record", outcome, note="" if str(record["quantity"])[0] != "-" else "corrections of usage")
        for record in records
    )
    return Message("usage.record", json.dumps(records).encode(), f"usage-{message_id}", facts)


def not_in_force(all_: Iterable[Subscription]) -> list[Message]:
    """Usage of the day before some subscriptions started, which must be parked."""
    return [
        message(
            "usage.record",
            {
                "usageId": f"{one.id}-too-old",
                "subscriptionId": one.id,
                "usageDate": f"{one.start - DAY}T12:00:00Z",
                "priceId": one.prices[0].id,
                "quantity": 1,
            },
            f"too-old-{one.id}",
            Fact("usage.record", "wrong-state"),
        )
        for one in all_
        if one.story == VOLUME
    ]


def days_between(first: date, until: date) -> list[date]:
    """The days from the first on, without the last."""
    return [first + timedelta(days=n) for n in range((until - first).days)]
