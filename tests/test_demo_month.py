"""The demo's month is real work, the same for the same seed, and as good and as bad as it says."""

import json
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from demo import dates
from demo.agreements import AGREEMENTS, Terms, advances, agreed_on, terms_on
from demo.bills import bills_of, demands, direct_debits, same
from demo.charges import billed_for, charged, charges
from demo.consumers import EXTRAS, ORDERS, Consumers, Owed, providers_open
from demo.cycle import (
    ACCOUNTS,
    OF_A_STORY,
    PAID_FOR,
    PAYERS,
    PAYS_ON,
    Member,
    agreed,
    bills,
    cleared,
    members,
    paid,
    steps,
)
from demo.dates import CHEAPER_SINCE, DAY_BEFORE, END, LAST, MIDDLE, RESUMED, SUSPENDED, TRADE
from demo.day import make_day
from demo.disputes import DISPUTED, LOST, disputes_and_losses
from demo.evening import (
    OpenInvoice,
    OpenStatement,
    adjustments,
    as_requested,
    bank_file,
    closings,
    figures_of,
    own_figures,
    payouts,
)
from demo.facts import APPLIED, PAID_IN_FULL, PARTIAL, REPEATED, Fact, Line, Message, Tally, tally
from demo.partners import (
    Document,
    Partners,
    Sold,
    earned,
    of_past_days,
    partner_buys,
    partner_opens,
    releases,
    self_billed,
)
from demo.plans import Price, Step, Subscription, made_of
from demo.returns import CHARGEBACKS, BilledLine, bounced, charged_back, put_right, returns
from demo.subscribers import (
    EACH,
    EARLY,
    PAUSE,
    SEATS,
    STORIES,
    changes,
    days_between,
    not_in_force,
    starts,
    subscriptions,
    usage,
)
from demo.traffic import OWN
from demo.wares import BREEZE, HALFMOON, NIMBUS, PARTNERS, PROVIDERS, TIDEWAY, Customer
from schemas.incoming import read
from schemas.messages import INTERNAL_MESSAGES

BILL = {
    "id": "INV-000000001",
    "state": "new",
    "billingAccount": {"id": "BA-0001"},
    "remainingAmount": {"unit": "EUR", "value": Decimal("10.01")},
}
AT_THE_DOOR = {"malformed", "invalid", "unknown-type"}
INVOICES = [
    OpenInvoice(f"INV-{n:09d}", f"O-{n}", f"BA-{n // 3:04d}", "KWD" if n % 2 else "EUR", 1_000 + n) for n in range(300)
]
PAID = [
    BilledLine(f"INV-{n:09d}", f"O-{n}", "1", f"BA-{n:04d}", "EUR", 1_000 + n, Decimal("0.07"), 0) for n in range(40)
]
OPEN = [replace(line, remaining=2_000 + n) for n, line in enumerate(PAID)]
DEPOSITORS = [Customer("BA-0001", "Ada", "EUR", 30)]
REQUEST = {
    "payoutId": "ST-9",
    "settlementAccount": {"id": "SA-9"},
    "settlementId": "ST-9",
    "amount": {"unit": "EUR", "value": Decimal("100.00")},
    "netted": {"unit": "EUR", "value": Decimal("30.00")},
    "taxWithheld": {"unit": "EUR", "value": Decimal("15.83")},
    "transferred": {"unit": "EUR", "value": Decimal("54.17")},
}
STATEMENTS = [OpenStatement(f"ST-{n}", f"SA-{n}", "JPY", 1_001 + n) for n in range(6)]


@pytest.fixture(scope="module")
def day() -> list[Message]:
    """The day as it is sent."""
    return make_day()


def test_the_same_seed_draws_the_same_day(day: list[Message]):
    """Two days of one seed are the same to the byte; another seed's is another."""
    assert make_day() == day
    assert make_day(seed=2) != day


def test_the_day_is_as_large_and_as_various_as_promised(day: list[Message]):
    """At least 2,000 messages over 100 billing accounts and 5 partners, with everything that upstream systems do."""
    must = tally(day)
    assert len(day) >= 2_000
    assert len(must.billed) >= 100
    assert {partner for order in must.orders.values() for partner, _ in order.sold} == {p.id for p in PARTNERS}
    assert len(PARTNERS) >= 5
    assert {partner.accrue_on for partner in PARTNERS} == {"invoice", "payment"}
    for note in (
        "sent again",
        "payments before their invoice",
        "orders before their account",
        PARTIAL,
        "excess payments",
        "payments in two parts",
        "payments that name an unknown invoice",
        "orders with a negative line",
        "orders with a total of zero",
    ):
        assert must.notes[note] > 0, note
    assert must.parked.keys() == AT_THE_DOOR | {"currency-mismatch", "conflicting-duplicate"}
    assert any(len(message.facts) > 1 for message in day)
    assert all(order.amount >= 0 for order in must.orders.values())


def test_every_message_is_at_the_door_what_the_day_says(day: list[Message]):
    """What is to be applied is read; what is to be parked at the door is refused with the code that the day says."""
    bank = bank_file(INVOICES)
    charged_to = charged(f"BA-{n:04d}" for n in range(30))
    later = (
        bank
        + returns(PAID)
        + bounced(bank, set())
        + charged_back(bank, set(), {fact.account for message in bounced(bank, set()) for fact in message.facts})
        + disputes_and_losses(OPEN)
        + adjustments(PARTNERS)
        + put_right(INVOICES, DEPOSITORS)
        + charges(charged_to)
        + demands(billed_for(charged_to), MIDDLE)
        + subscribed_to()
        + agreed(members())
        + paid(members(), dates.DUE)
        + providers_open()
        + lived_through(Consumers(members()))
        + closings(PROVIDERS, LAST)
        + direct_debits([BILL])
        + closings(PARTNERS, LAST)
        + closings(PARTNERS, DAY_BEFORE)
        + payouts(STATEMENTS)
        + [sent for partner in PARTNERS for sent in agreed_on(partner, RESUMED)]
        + [partner_opens(), partner_buys(MIDDLE), partner_buys(dates.PAID)]
        + advances()
        + as_requested([REQUEST])
        + releases(closed("SA-CARTO", {dates.TRADE: [], LAST: [sold("SA-CARTO", TRADE, 10_000)]}))
    )
    seen: dict[str, str] = {}
    for message in day + later:
        facts = read(message.routing_key, message.body, message.message_id, {}, None)
        assert len(facts) == len(message.facts)
        for incoming, expected in zip(facts, message.facts, strict=True):
            known = seen.setdefault(incoming.identity, incoming.digest)
            code = incoming.refusal.code if incoming.refusal else None
            if expected.outcome == REPEATED:
                assert known == incoming.digest, message
            elif expected.outcome == "conflicting-duplicate":
                assert known != incoming.digest, message
            else:
                assert code == (expected.outcome if expected.outcome in AT_THE_DOOR else None), incoming.refusal


def test_what_a_worker_says_to_itself_is_not_counted_as_sent():
    """Else a wave would be over before its last messages are applied, and what follows would miss what they tell."""
    assert set(OWN) == {message.TYPE for message in INTERNAL_MESSAGES.values()}


def test_an_identity_is_used_once_but_for_what_is_sent_again(day: list[Message]):
    """No fact that is to be applied takes the identity of another."""
    good = Counter(
        incoming.identity
        for message in day
        for incoming, fact in zip(
            read(message.routing_key, message.body, message.message_id, {}, None), message.facts, strict=True
        )
        if fact.outcome == APPLIED
    )
    assert set(good.values()) == {1}
    assert good.total() == tally(day).applied.total()


def test_the_bank_names_invoices_of_the_payer_and_pays_them_in_full_or_in_part():
    """A payment that covers the invoices it names is their sum; one that does not is less."""
    invoices = {invoice.order: invoice for invoice in INVOICES}
    sent = bank_file(INVOICES)
    for [fact] in (message.facts for message in sent):
        named = [invoices[order] for order in fact.orders]
        assert {invoice.account for invoice in named} == {fact.account}
        owed = sum(invoice.remaining for invoice in named)
        assert fact.amount == owed if fact.note == PAID_IN_FULL else 0 < fact.amount < owed
    must = tally(sent)
    assert len(must.paid_in_full) >= must.notes[PAID_IN_FULL] > 0
    assert must.notes[PARTIAL] > 0


def test_disputes_end_and_some_of_what_is_lost_is_paid():
    """Each is of another account; each dispute ends one way or the other, some before it is opened."""
    sent = disputes_and_losses(OPEN)
    kinds = Counter(message.routing_key for message in sent)
    assert kinds["dispute.open"] == DISPUTED == kinds["dispute.settle"] + kinds["dispute.withdraw"]
    assert min(kinds["dispute.settle"], kinds["dispute.withdraw"]) > 0
    assert kinds["invoice.write-off"] == LOST > kinds["payment.received"] > 0
    order = [message.message_id for message in sent]
    assert order.index("settled-000") < order.index("disputed-000")
    assert order.index("settled-001") > order.index("disputed-001")
    assert len({fact.account for message in sent for fact in message.facts if fact.account}) <= DISPUTED + LOST


def test_what_comes_back_is_one_line_of_an_invoice_and_some_of_it_is_money():
    """Each note is of a line with its tax, at most one an invoice; of half of them the same money goes back."""
    must = [fact for message in returns(PAID) for fact in message.facts]
    notes = [fact for fact in must if fact.type == "credit-note.issue"]
    lines = {line.account: line for line in PAID}
    assert len({fact.account for fact in notes}) == len(notes) == 12
    # 10.05 at 7 % is 0.7035, so 0.70 of tax.
    assert PAID[5].total == 1_075
    assert all(fact.amount == lines[fact.account].total for fact in notes)
    refunds = {fact.account: fact.amount for fact in must if fact.type == "refund.completed"}
    assert len(refunds) == 6
    assert refunds.items() <= {fact.account: fact.amount for fact in notes}.items()


def test_what_bounces_was_paid_in_full_and_is_no_partner_s():
    """The books then owe what they owed before; an order of which a partner has a share is left out."""
    bank = bank_file(INVOICES)
    of_partners = {invoice.order for invoice in INVOICES[::2]}
    back = [fact for message in bounced(bank, of_partners) for fact in message.facts]
    assert len(back) == 5
    paid = {fact.orders: fact for message in bank for fact in message.facts}
    for fact in back:
        assert paid[fact.orders].note == PAID_IN_FULL
        assert fact.amount == paid[fact.orders].amount
        assert of_partners.isdisjoint(fact.orders)
    assert tally([*bank, *bounced(bank, of_partners)]).paid_in_full.isdisjoint(
        order for fact in back for order in fact.orders
    )


def test_what_is_charged_back_had_gone_back_before():
    """Each payment goes back twice, first by us, then by the bank; nothing else came back of its account."""
    bank = bank_file(INVOICES)
    touched = {fact.account for message in bounced(bank, set()) for fact in message.facts}
    sent = charged_back(bank, set(), touched)
    assert [message.routing_key for message in sent] == ["refund.completed", "payment.reversed"] * 3
    must = tally([*bank, *sent])
    assert must.notes[CHARGEBACKS] == 3
    twice = {message.facts[0].account for message in sent}
    assert twice.isdisjoint(touched)
    assert all(must.paid[account] == -tally(bank).paid[account] for account in twice)


def test_what_went_astray_is_put_right_and_some_get_goodwill():
    """Each payment of the wrong account is what another one owes of an invoice, and that account has it in the end."""
    euro = [replace(invoice, currency="EUR") for invoice in INVOICES]
    must = tally(put_right(euro, DEPOSITORS))
    assert (must.applied["payment.received"], must.applied["credit.transfer"], must.applied["credit.grant"]) == (
        3,
        3,
        4,
    )
    assert must.paid["BA-0001"] == 0
    # The first invoices of the first accounts but the depositor's; a tenth of the last four accounts'.
    assert {account: must.paid[account] for account in ("BA-0000", "BA-0002", "BA-0003", "BA-0099")} == {
        "BA-0000": 1_000,
        "BA-0002": 1_006,
        "BA-0003": 1_009,
        "BA-0099": 129,
    }


def test_no_payout_is_more_than_its_statement_but_the_one_that_must_be_parked():
    """Of the statements some are paid in whole, some in part, some not at all."""
    must = tally(payouts(STATEMENTS))
    paid = [must.paid_out[statement.id] / statement.total for statement in STATEMENTS]
    assert max(paid) == 1
    assert min(paid) == 0
    assert any(0 < part < 1 for part in paid)
    assert must.parked == Counter({"overpaid-payout": 1})


def test_a_payout_that_bounces_is_paid_anew():
    """The statement is paid in whole all the same, by another payout of the same sum."""
    sent = [fact for message in payouts(STATEMENTS) for fact in message.facts]
    [back] = [n for n, fact in enumerate(sent) if fact.type == "payout.returned"]
    assert (sent[back - 1].amount, sent[back + 1].amount) == (sent[back].amount,) * 2
    assert tally(payouts(STATEMENTS)).paid_out[sent[back].statement] == STATEMENTS[1].total


def subscribed_to() -> list[Message]:
    """Everything that is said of subscriptions, and a demand of each of their bills."""
    all_of_them = subscriptions(f"BA-{n:04d}" for n in range(100))
    return (
        starts(all_of_them)
        + usage(all_of_them, days_between(TRADE, MIDDLE), "told")
        + not_in_force(all_of_them)
        + changes(all_of_them, SEATS, "change", MIDDLE)
        + changes(all_of_them, PAUSE, "suspend", SUSPENDED)
        + changes(all_of_them, PAUSE, "resume", RESUMED)
        + changes(all_of_them, EARLY, "terminate", END)
        + demands(bills_of(all_of_them, END), END)
    )


def test_subscriptions_are_as_various_as_promised():
    """So many in each way, each of an account of its own; usage is told in arrays, and corrected; some is parked."""
    sent = subscribed_to()
    must = tally(sent)
    assert must.applied["subscription.create"] == EACH * len(STORIES) == len({account for account, _ in must.bills})
    assert max(len(message.facts) for message in sent if message.routing_key == "usage.record") > 100
    assert must.notes["corrections of usage"] > 0
    assert must.notes["sent again"] > 0
    assert must.parked == Counter({"wrong-state": EACH})


# What bills must be, worked out by hand: docs/billing.md has the figures.


def fibre(amount: str) -> Price:
    """A price of a month."""
    return Price("P-1", "Fibre", "recurring", Decimal(amount))


def subscription(*prices: Price, start: date = date(2026, 10, 1), trial_end: date | None = None) -> Subscription:
    """A subscription that starts in October."""
    return Subscription("S-1", "BA-1", STORIES[0], start, prices, trial_end)


def nets(one: Subscription, day: date) -> list[int]:
    """The lines of its bill of a day."""
    return [line.net for line in one.bill(day)]


def test_a_plan_that_changes_within_its_month():
    """599.95 for May; on the 7th 9.95, on the 8th 29.95: 6, 1 and 24 days of 31."""
    one = subscription(fibre("599.95"), start=date(2026, 5, 1))
    assert nets(one, date(2026, 5, 1)) == [59995]
    one.said.append((date(2026, 5, 7), "change", (fibre("9.95"),)))
    bill = one.bill(date(2026, 5, 7))
    assert [line.net for line in bill] == [-48383, 802]
    # Below zero: a note of 483.83 and its tax, 96.77, and a bill of 8.02 and its tax.
    assert made_of(bill).notes == (58060,)
    assert made_of(bill).total == 962
    one.said.append((date(2026, 5, 8), "change", (fibre("29.95"),)))
    bill = one.bill(date(2026, 5, 8))
    assert [(line.net, line.of) for line in bill] == [(-770, date(2026, 5, 7)), (2319, None)]
    assert made_of(bill).notes == ()
    assert made_of(bill).total == 1549 + 310


def test_usage_by_steps_and_by_volume():
    """12 units by steps come to 115.00; by volume, 15 come to 150.00 and 16, once one is told late, to 80.00."""
    steps = (Step(Decimal(10), Decimal(10), Decimal(2)), Step(Decimal(20), Decimal(5), Decimal(3)))
    assert Price("U", "Data", "usage", steps=steps).of_usage(Decimal(12)) == ("by steps", 11500)
    assert Price("U", "Data", "usage", steps=steps).of_usage(Decimal(10)) == ("by steps", 10200)
    volume = (Step(Decimal(15), Decimal(10)), Step(None, Decimal(5)))
    one = subscription(Price("U", "Data", "usage", mode="volume", steps=volume))
    one.used["U", date(2026, 10, 3)] = 15_000
    assert nets(one, date(2026, 10, 31)) == []
    assert nets(one, TRADE) == [15000]
    one.used["U", date(2026, 10, 20)] = 1_000
    assert nets(one, MIDDLE) == [-15000, 8000]
    assert nets(one, MIDDLE) == []


def test_a_minimum_is_what_usage_lacks_of_it():
    """To 40.00 10.00 of usage lack 30.00; with 10.00 told late they lack 20.00."""
    one = subscription(Price("U", "Data", "usage", Decimal(1)), Price("M", "Least", "minimum", Decimal(40)))
    one.used["U", date(2026, 10, 3)] = 10_000
    assert sorted(nets(one, TRADE)) == [1000, 3000]
    one.used["U", date(2026, 10, 31)] = 10_000
    assert sorted(nets(one, MIDDLE)) == [-1000, 1000]


def test_a_suspension_leaves_a_gap():
    """Of 30.00 for November the 9th to the 19th are free: 8.00 and 11.00 are left, and the rest comes back."""
    one = subscription(fibre("30.00"), start=TRADE)
    assert nets(one, TRADE) == [3000]
    changes([replace(one, story=PAUSE, said=one.said)], PAUSE, "suspend", SUSPENDED)
    assert (one.state(date(2026, 11, 8)), one.state(SUSPENDED)) == ("active", "suspended")
    assert nets(one, MIDDLE) == [-2200]
    changes([replace(one, story=PAUSE, said=one.said)], PAUSE, "resume", RESUMED)
    assert nets(one, END) == [1100, 3000]


def test_a_trial_frees_what_recurs_and_nothing_else():
    """An installation is charged at the start; the first month begins when the trial ends."""
    setup = Price("O", "Installation", "oneTime", Decimal(49))
    one = subscription(fibre("30.00"), setup, trial_end=date(2026, 11, 8))
    assert nets(one, TRADE) == [4900]
    assert nets(one, MIDDLE) == [3000]
    assert nets(one, END) == []


def test_what_was_agreed_late_is_billed_from_its_own_day_on():
    """30.00 since 1 October that were 25.00 since the 20th: 12 of 31 days, then all of November."""
    one = subscription(fibre("30.00"))
    assert nets(one, TRADE) == [3000, 3000]
    one.said.append((CHEAPER_SINCE, "change", (fibre("25.00"),)))
    # October: 19 of 31 days at 30.00 are 18.39, 12 days at 25.00 are 9.68.
    assert nets(one, MIDDLE) == [-1161, 968, -3000, 2500]


def test_what_is_sold_on_behalf_of_a_partner_is_kept_with_its_net():
    """Its share goes by what is agreed of the day."""
    one = subscription(replace(fibre("14.99"), partner=PARTNERS[0]), start=TRADE)
    assert made_of(one.bill(TRADE)).sold == ((PARTNERS[0].id, 1499),)


def test_three_of_four_bills_are_paid_and_one_by_half():
    """Each payment names its bill."""
    open_ones = [{**BILL, "id": f"INV-{n}"} for n in range(4)]
    sent = direct_debits([*open_ones, {**BILL, "id": "INV-9", "state": "settled"}])
    assert [fact.amount for message in sent for fact in message.facts] == [1001, 1001, 500]
    assert [json.loads(message.body)["invoices"] for message in sent] == [["INV-0"], ["INV-1"], ["INV-2"]]
    assert all(json.loads(message.body)["receivedAt"].startswith(dates.PAID.isoformat()) for message in sent)


def test_a_preview_is_its_bill_but_for_the_numbers():
    """A line that differs is seen, the number is not."""
    line = {"id": "1", "net": 1}
    preview = {"state": "new", "lines": [line]}
    numbers = {"id": "INV-1", "billNo": "INV-1", "paymentReference": "RF18INV1"}
    bill = {**preview, **numbers, "lines": [{**line, "bill": {"id": "INV-1"}}]}
    other = {**bill, "lines": [{**line, "net": 2}]}
    would_be = {"invoices": [preview], "creditNotes": []}
    assert same(would_be, {"invoices": [bill], "creditNotes": []})
    assert not same(would_be, {"invoices": [other], "creditNotes": []})
    assert not same(would_be, {"invoices": [], "creditNotes": []})
    assert not same(would_be, {"invoices": [bill], "creditNotes": [bill]})


def test_the_cycle_is_as_large_and_as_various_as_promised():
    """200 consumers of three providers; four pay for five others, three are dunned in each way, some owe nothing."""
    all_of_them = members()
    assert members() == all_of_them
    assert len({one.id for one in all_of_them}) == ACCOUNTS == 200
    assert Counter(Counter(one.payer for one in all_of_them).values())[1 + PAID_FOR] == PAYERS
    assert Counter(one.story for one in all_of_them if one.story) == dict.fromkeys(PAYS_ON, OF_A_STORY)
    assert all(one.payer == one.id and one.lines for one in all_of_them if one.story)
    assert any(not one.lines for one in all_of_them)
    assert any(len(bill.taxes) > 1 for bill in bills(all_of_them).values())
    assert {seller for _, seller in bills(all_of_them)} == {"", *(provider.id for provider in PROVIDERS)}


def test_a_consolidated_bill_has_its_tax_over_all():
    """Three times 0.03 at 20 % are 0.02 of tax, not three times 0.01; what is at 10 % is a group of its own."""
    cents, other = Line("A", Decimal(1), Decimal("0.03"), "S", "0.20"), Line("B", Decimal(2), Decimal(5), "AA", "0.10")
    all_of_them = [
        Member("BC-1", "BC-1", "", (cents, other), None),
        Member("BC-2", "BC-1", "", (cents,), None),
        Member("BC-3", "BC-1", "", (cents,), None),
        Member("BC-4", "BC-4", "", (), None),
    ]
    [(payer, bill)] = bills(all_of_them).items()
    assert payer == ("BC-1", "")
    assert bill.lines == {("BC-1", 3): 1, ("BC-1", 1000): 1, ("BC-2", 3): 1, ("BC-3", 3): 1}
    assert bill.taxes == {("S", Decimal("0.20"), 9, 2): 1, ("AA", Decimal("0.10"), 1000, 100): 1}
    assert bill.total == 1111


def test_steps_are_taken_until_it_pays():
    """Due on the 9th: reminded on the 12th, charged on the 15th, suspended on the 16th, for collection on the 23rd."""
    taken = {story: [(day.day, action) for day, action in steps(story)] for story in PAYS_ON}
    ladder = [(12, "remind"), (15, "charge"), (16, "suspend"), (23, "collect")]
    assert list(taken.values()) == [[], ladder[:1], ladder[:3], ladder]
    assert [cleared(story) for story in PAYS_ON] == [None, dates.DISPUTES, RESUMED, None]
    said = {one.story: one.subscription.said for one in members() if one.story and one.subscription}
    suspended, resumed = (MIDDLE, "suspend", ()), (RESUMED, "resume", ())
    assert list(said.values()) == [[], [], [suspended, resumed], [suspended]]


def test_each_that_pays_pays_its_bill_on_its_day():
    """All of it, once."""
    all_of_them = members()
    must = tally([message for day in (dates.DUE, dates.DISPUTES, RESUMED) for message in paid(all_of_them, day)])
    owed = Counter[str]()
    for (payer, _), bill in bills(all_of_them).items():
        owed[payer] += bill.total
    assert must.paid == {one.id: owed[one.id] for one in all_of_them if one.story and PAYS_ON[one.story]}
    assert paid(all_of_them, MIDDLE) == []


# What consumers owe to several sellers, worked out by hand: docs/settlement.md says by which rules.

OURS = Line("Router", Decimal(1), Decimal("3.50"), "S", "0.20")
FIBRE = replace(OURS, price=Decimal("29.90"), partner=TIDEWAY)
POWER, GRID = replace(OURS, price=Decimal("48.00"), partner=BREEZE), replace(EXTRAS[BREEZE], price=Decimal("7.35"))


def consumers(*lines: Line) -> Consumers:
    """Those of a cycle of one, who owes these lines."""
    return Consumers([Member("BC-1", "BC-1", "", lines, None)])


def pays(amount: int) -> Message:
    """A payment that names no invoice."""
    return Message("payment.received", b"", "", (Fact("payment.received", account="BC-1", amount=amount),))


def lived_through(all_: Consumers) -> list[Message]:
    """Everything that is said of consumers, with the bills of the run as they would be told."""
    sent = all_.orders() + all_.take(all_.pay())
    told = [
        {
            "billNo": f"B-{n}",
            "billingAccount": {"id": one.account},
            "seller": {"id": one.seller.id},
            "lines": [
                {"id": str(at), "taxExcludedAmount": {"unit": "EUR", "value": Decimal(net) / 100}}
                for at, net in enumerate(one.nets, 1)
            ],
        }
        for n, one in enumerate(all_.owed)
        if one.seller is not None and not one.order
    ]
    return sent + all_.notes(told)


def test_a_payment_covers_the_invoices_of_all_sellers():
    """Ours first, then providers' by number: of 3.50, 29.90 and 48.00 with 7.35 beside it, each with its tax."""
    all_ = consumers(OURS, FIBRE, POWER, GRID)
    assert [(one.key[1], one.total) for one in all_.owed] == [("", 420), ("SP-TIDEWAY", 3588), ("SP-BREEZE", 6569)]
    # 48.00 and 9.60, and 7.35 and 0.735.
    all_.take([pays(420 + 6569 + 1000)])
    assert [one.paid for one in all_.owed] == [420, 1000, 6569]
    assert all_.across == 1
    all_.take([pays(5)])
    assert all_.across == 1


def test_a_provider_has_what_is_paid_less_our_commission():
    """Of 35.88 10.00 are paid: 29.90 at 12 % × 10.00 ÷ 35.88 is 1.00. At the invoice it has all, and we 4.5 %."""
    all_ = consumers(FIBRE, POWER, GRID)
    all_.take([pays(6569 + 1000)])
    tideway, breeze = all_.sums(TIDEWAY), all_.sums(BREEZE)
    assert (tideway.billed, tideway.released, tideway.withheld, tideway.commission) == (3588, 1000, 2588, 100)
    # 48.00 at 4.5 % are 2.16, and 7.35 are 0.33.
    assert (breeze.released, breeze.withheld, breeze.commission) == (6569, 0, 249)
    all_.take([pays(2588)])
    assert (all_.sums(TIDEWAY).withheld, all_.sums(TIDEWAY).commission) == (0, 359)


def test_the_tax_of_a_group_goes_to_its_lines():
    """Two of 0.03 at 20 % have 0.01 of tax, which is the first one's."""
    cents = replace(FIBRE, price=Decimal("0.03"))
    [one] = consumers(cents, cents).owed
    assert [share for share, _, _ in one.shares()] == [4, 3]


def test_a_note_takes_back_of_a_provider_and_of_our_commission():
    """14.95 of 29.90 that are paid leave 14.95 and 2.99: 12 % are 1.79. The rest is credit."""
    one = Owed("BC-1", TIDEWAY, dates.DUE, "", [FIBRE], paid=3588)
    one.credited, one.paid = [1495], 1794
    assert one.billed == 1794
    assert list(one.shares()) == [(1794, 1794, 179)]


def test_consumers_order_pay_and_are_credited_as_promised():
    """Orders of one seller, two and three; some pay by half, some nothing; two notes of each provider."""
    all_ = Consumers(members())
    sent = lived_through(all_)
    must = tally(sent)
    sellers = Counter(order.sellers for order in must.orders.values())
    assert sellers.total() == ORDERS
    assert set(sellers) == {1, 2, 3}
    assert Counter(one.seller for one, _ in all_.noted) == dict.fromkeys(PROVIDERS, 2)
    assert all(one.billed == 0 for one, _ in all_.noted[1::2])
    assert all_.across > 50
    paid_of = {one.account: [other.paid for other in all_.owed if other.account == one.account] for one in all_.owed}
    assert any(not any(of) for of in paid_of.values())
    assert 0 < all_.sums(NIMBUS).withheld < all_.sums(NIMBUS).released
    assert all_.sums(BREEZE).withheld == 0


def test_a_providers_statement_has_all_that_was_paid_and_our_commission():
    """10.00 of 35.88 are paid: 1.00 and 0.20 are ours. Reverse charge has no tax of ours: of 9.94, 1.49."""
    all_, kept = consumers(FIBRE, replace(EXTRAS[NIMBUS], quantity=Decimal(2))), Partners()
    all_.take([pays(1193 + 1000)])
    for provider in (TIDEWAY, NIMBUS):
        kept.close_provider(provider, LAST, all_)
    assert [one.lines for one in kept.statements] == [
        {"accrual": 1000, "commission": -120},
        {"accrual": 1193, "commission": -149},
    ]
    assert kept.statements[0].payout == ("TIDEWAY-1130", 880, 0, 0, 880)


def test_we_are_agent_of_one_provider_by_an_agreement():
    """Of the others their account's terms say so; a series that follows from the account is not said."""
    said = [json.loads(one.body) for one in providers_open()]
    assert [one["settlementTerms"].get("model") for one in said[:3]] == ["agent", "agent", None]
    assert [one["settlementTerms"].get("series") for one in said[:2]] == ["TF-", None]
    assert (said[3]["settlementAccount"]["id"], said[3]["terms"]["model"]) == (NIMBUS.id, "agent")


# What becomes of partners' shares, worked out by hand: docs/settlement.md says by which rules.


def sold(partner: str, day: date, net: int, *, amount: int = 100, remaining: int = 0) -> Sold:
    """Something of one line, paid unless it says what remains."""
    return Sold(day, ((partner, net),), amount, remaining)


def closed(partner_id: str, of_days: dict[date, list[Sold]], must: Tally | None = None) -> Partners:
    """The account of a partner with a closing up to each of these days, of what was sold by then."""
    kept = Partners()
    kept.advance(advances())
    [partner] = [one for one in PARTNERS if one.id == partner_id]
    for until, all_of_it in of_days.items():
        kept.close(partner, until, all_of_it, must or Tally(), END)
    return kept


def test_each_kind_of_terms_is_agreed_with_some_partner():
    """With all that can be agreed; one is told of days that are past, and one changes its share from a day on."""
    assert AGREEMENTS.keys() == {partner.id for partner in PARTNERS}
    agreed = [one for of_partner in AGREEMENTS.values() for one in of_partner]
    steps = (
        "by_volume",
        "guarantee",
        "advance",
        "holdback",
        "threshold",
        "tax",
        "surcharge",
        "certificate",
        "netting",
        "fee",
    )
    for name in ("share", "steps", *steps):
        assert any(getattr(one.terms, name) for one in agreed), name
    assert [one.told for one in agreed if one.of_past_days] == [RESUMED]
    assert any(
        later.told == later.valid_from > first.valid_from for first, *more in AGREEMENTS.values() for later in more
    )


def test_a_share_goes_by_the_day_of_its_line():
    """10.00 of October are 5.00 at 50 %; of November 6.50 at 65 %. What is billed later is not earned yet."""
    october, november = sold("SA-HALFMOON", DAY_BEFORE, 1_000), sold("SA-HALFMOON", TRADE, 1_000)
    assert earned([october], LAST)["SA-HALFMOON"] == 500
    assert earned([october, november, sold("SA-HALFMOON", END, 1_000)], LAST)["SA-HALFMOON"] == 1_150


def test_a_share_at_payment_is_earned_as_it_is_paid():
    """70 % of 10.01 are 7.01; of that a third, to the cent, once a third is paid."""
    assert earned([sold("SA-CARTO", TRADE, 1_001)], LAST)["SA-CARTO"] == 701
    assert earned([sold("SA-CARTO", TRADE, 1_001, amount=900, remaining=600)], LAST)["SA-CARTO"] == 234
    assert earned([sold("SA-CARTO", TRADE, 1_001, remaining=100)], LAST)["SA-CARTO"] == 0


def test_steps_are_of_all_that_a_month_comes_to():
    """1,200,001: 350,000 of the first 500,000, 375,000 of the next, and 160,000.8 beyond that."""
    parts = [sold("SA-KOMOREBI", TRADE, net) for net in (700_000, 500_001)]
    assert earned(parts, LAST)["SA-KOMOREBI"] == 885_001
    assert earned([sold("SA-KOMOREBI", TRADE, 500_000)], LAST)["SA-KOMOREBI"] == 350_000
    steps = AGREEMENTS["SA-KOMOREBI"][0].terms.content("JPY")["tiers"]["steps"]
    assert steps == [{"upTo": "500000", "share": "0.7"}, {"upTo": "1000000", "share": "0.75"}, {"share": "0.8"}]


def test_by_volume_the_last_step_is_of_all():
    """10,000.00 are 9,000.00 at 90 %; with 0.01 more all of it has 92.5 %: 9,250.00925. Unpaid or not."""
    nets = [sold("SA-INKWELL", TRADE, 1_000_000, remaining=100)]
    assert earned(nets, LAST)["SA-INKWELL"] == 900_000
    assert earned([*nets, sold("SA-INKWELL", TRADE, 1)], LAST)["SA-INKWELL"] == 925_001
    said = AGREEMENTS["SA-INKWELL"][0].terms.content("EUR")["tiers"]
    assert (said["mode"], said["steps"][0]["upTo"]) == ("volume", "10000.00")


def test_steps_at_payment_are_of_what_is_paid():
    """Two thirds of 2,400.000 and a half of 200.000 are 1,700.000: 900.000, and 65 % of 200.000."""
    lines = [
        sold("SA-SADU", TRADE, 2_400_000, amount=900, remaining=300),
        sold("SA-SADU", TRADE, 200_000, amount=2, remaining=1),
    ]
    assert earned(lines, LAST)["SA-SADU"] == 1_030_000


def test_other_terms_of_past_days_change_the_lines_of_these_days():
    """39.90 are 31.92 at 80 % and 32.92 at 82.5 %; of 0.01 it is 0.01 by both. October's lines stay."""
    lines = [sold("SA-LUMEN", day, net) for day, net in ((TRADE, 3_990), (TRADE, 1), (DAY_BEFORE, 3_990), (END, 3_990))]
    assert of_past_days(lines) == {("AG-LUMEN", 2): [100]}


def test_a_guarantee_is_topped_up_and_an_advance_is_recouped():
    """Of 1,200.000 1,000.000 is earned: 200.000 more, less the 300.000 that was paid in advance."""
    # 900,000 of the first 1,500.000, and 65 % of 153.846.
    nets = [sold("SA-SADU", TRADE, 1_653_846)]
    kept = closed("SA-SADU", {LAST: nets})
    [stated] = kept.statements
    assert stated.lines == {"accrual": 1_000_000, "guarantee": 200_000, "recoupment": -300_000}
    assert stated.payout == ("SADU-1130", 900_000, 0, 0, 900_000)
    assert kept.accounts["SA-SADU"].advance == 0
    # In the middle of the month nothing is topped up, and 60.000 is all that can be recouped.
    kept = closed("SA-SADU", {MIDDLE: [sold("SA-SADU", TRADE, 100_000)], LAST: nets})
    assert [stated.lines for stated in kept.statements] == [
        {"accrual": 60_000, "recoupment": -60_000},
        {"accrual": 940_000, "guarantee": 200_000, "recoupment": -240_000},
    ]
    assert [stated.is_open for stated in kept.statements] == [False, True]


def test_what_is_held_back_is_released_on_its_day_or_by_half_before():
    """10 % of 70.00 of the 1st is back on the 15th, and not held back again; of what is held of 35.00, half is."""
    first, second = sold("SA-CARTO", TRADE, 10_000), sold("SA-CARTO", TRADE, 5_000)
    kept = closed("SA-CARTO", {TRADE: [first], LAST: [first, second]})
    assert [stated.lines for stated in kept.statements] == [
        {"accrual": 7_000, "holdback": -700},
        {"accrual": 3_500, "holdback": -350, "release": 700},
    ]
    account = kept.accounts["SA-CARTO"]
    assert [(one.statement, one.on, one.amount) for one in account.released] == [
        ("CARTO-1101", date(2026, 11, 15), 700)
    ]
    kept.release(releases(kept))
    assert (account.reserve, account.payable) == (175, -700 - 350 + 700 + 175)
    assert account.released[1].statement == "CARTO-1130"


def test_what_is_less_than_the_threshold_is_carried_forward():
    """999,999 is, and so is what is below zero; 1,000,000 is paid. The next statement begins with it."""
    below = [sold("SA-KOMOREBI", TRADE, 1_343_749)]
    more = [*below, sold("SA-KOMOREBI", TRADE, 1)]
    assert (earned(below, LAST)["SA-KOMOREBI"], earned(more, LAST)["SA-KOMOREBI"]) == (999_999, 1_000_000)
    kept = closed("SA-KOMOREBI", {MIDDLE: below, LAST: more})
    assert [(stated.total, stated.is_open) for stated in kept.statements] == [(999_999, False), (1_000_000, True)]
    assert kept.statements[1].lines == {"broughtForward": 999_999, "accrual": 1}
    [minus] = closed("SA-HALFMOON", {MIDDLE: [sold("SA-HALFMOON", TRADE, -100)]}).statements
    assert (minus.total, minus.is_open) == (-78, False)


def test_what_is_issued_in_a_partner_s_name_follows_from_its_lines():
    """10.00 at 65 % are 6.50 and 1.30 of tax; of -1.00 -0.65 and -0.13, by a note that names none; once."""
    lines = [sold("SA-HALFMOON", TRADE, 1_000), sold("SA-HALFMOON", TRADE, -100)]
    kept = closed("SA-HALFMOON", {MIDDLE: lines[1:], LAST: lines})
    assert [stated.lines for stated in kept.statements] == [
        {"accrual": -65, "selfBilledTax": -13},
        {"accrual": 650, "selfBilledTax": 130, "broughtForward": -78, "fee": -3_000},
    ]
    assert kept.accounts["SA-HALFMOON"].documents == [
        Document("HALFMOON-1116", "261", 65, 13, corrects=False),
        Document("HALFMOON-1130", "389", 650, 130, corrects=False),
    ]
    assert self_billed("C", terms_on("SA-HALFMOON", LAST), Counter({"389": 650, "261": 50}), -200) == [
        Document("C", "389", 650, 130, corrects=False),
        Document("C", "261", 250, 50, corrects=True),
    ]


def test_tax_is_withheld_of_a_payout_with_what_is_due_on_it():
    """Of 900.00 10 % are 90.00, by a certificate, and 5.5 % of these 4.95: 805.05 is transferred."""
    [stated] = closed("SA-INKWELL", {LAST: [sold("SA-INKWELL", TRADE, 100_000)]}).statements
    assert stated.payout == ("INKWELL-1130", 90_000, 0, 9_495, 80_505)
    without = Terms(tax=Decimal("0.15"), surcharge=Decimal("0.055"))
    assert without.tax_on(100_000) == 15_825
    assert "certificate" not in without.content("EUR")["withholding"]
    said = AGREEMENTS["SA-INKWELL"][0].terms.content("EUR")["withholding"]["certificate"]
    assert (said["rate"], *said["validFor"]) == ("0.1", "startDateTime")


def test_a_fee_is_charged_as_its_month_has_ended():
    """25.00 of November, with 20 % 30.00; nothing of October, of which none is agreed."""
    nets = {DAY_BEFORE: [], LAST: [sold("SA-HALFMOON", TRADE, 10_000)]}
    kept = closed("SA-HALFMOON", nets)
    assert [stated.lines for stated in kept.statements] == [
        {},
        {"accrual": 6_500, "selfBilledTax": 1_300, "fee": -3_000},
    ]
    assert kept.accounts["SA-HALFMOON"].payable == 1_300 - 3_000


def test_a_partners_own_figures_differ_by_one_line_at_first():
    """Rows of one line are one figure; a bonus is none."""
    line = {"kind": "accrual", "orderId": "O-1", "lineId": "1", "amount": {"unit": "EUR", "value": Decimal("2.50")}}
    of_bill = {**line, "orderId": None, "billNo": "INV-1"}
    del of_bill["orderId"]
    statement = {"id": "HALFMOON-1130", "lines": [line, line, of_bill, {**line, "kind": "adjustment"}]}
    assert figures_of(statement) == {("orderId", "O-1", "1"): 500, ("billNo", "INV-1", "1"): 250}
    bodies = [json.loads(own_figures(HALFMOON, statement, number).body) for number in (1, 2)]
    said = [[line["amount"]["value"] for line in body["lines"]] for body in bodies]
    assert said == [["5.00", "3.50"], ["5.00", "2.50"]]


def test_what_a_partner_owes_that_is_due_is_netted():
    """Its order of the 16th is due on the 30th and netted, that of the 23rd is due on 7 December."""
    must = tally([partner_opens(), partner_buys(MIDDLE), partner_buys(dates.PAID)])
    # Three hours at 118.00 with 20 %, and three handbooks at 24.90 with 10 %: 354.00, 70.80, 74.70 and 7.47.
    assert must.billed["BA-LUMEN"] == 50_697 + 104_700
    [stated] = closed("SA-LUMEN", {LAST: [sold("SA-LUMEN", TRADE, 100_000)]}, must).statements
    assert stated.payout == ("LUMEN-1130", 82_500, 50_697, 0, 31_803)
    [stated] = closed("SA-LUMEN", {LAST: [sold("SA-LUMEN", TRADE, 10_000)]}, must).statements
    assert stated.payout == ("LUMEN-1130", 8_250, 8_250, 0, 0)


def test_what_is_not_all_transferred_is_paid_as_it_was_requested():
    """It settles what is left of the statement: 70.00 of 100.00, of which 30.00 was netted. Others are paid as ever."""
    plain = {**REQUEST, "netted": {"unit": "EUR", "value": 0}, "taxWithheld": {"unit": "EUR", "value": 0}}
    [sent] = as_requested([REQUEST, plain])
    said = json.loads(sent.body)
    assert (said["payoutId"], said["amount"]["value"], said["transferred"]["value"]) == ("ST-9", "100.00", "54.17")
    assert tally([sent]).paid_out == {"ST-9": 7_000}
