"""What becomes of the partners' shares: an account of the demo's own, kept without the worker's code.

It works out each statement as its closing is sent, from what was sold, paid and agreed by then.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from demo.agreements import AGREEMENTS, LUMEN_BUYS, MONTH_ENDS, Terms, agreement_id, terms_on
from demo.consumers import Consumers
from demo.dates import END, MIDDLE, PAID, TRADE
from demo.day import account_of, item_of
from demo.evening import closing_id
from demo.facts import HOUR, Fact, Line, Message, Tally, message, minor, moment, money, rounded, total
from demo.traffic import Events
from demo.wares import OWN_WARES, PROVIDERS, TAXES, Partner, Provider

BOUGHT = {MIDDLE: (OWN_WARES[4], OWN_WARES[7]), PAID: (OWN_WARES[8],)}
"""What a partner buys of us, by day: the first is due when we settle with it, the second is not yet."""


ADDED_BY_CLOSINGS = ("guarantee", "recoupment", "holdback", "commission", "selfBilledTax", "fee")
"""Kinds of lines that change what is payable."""


@dataclass(frozen=True)
class Sold:
    """Something sold on behalf of partners on a day, with their nets; of the invoice, its total and what is open."""

    day: date
    nets: tuple[tuple[str, int], ...]
    amount: int
    remaining: int


@dataclass(frozen=True)
class Stated:
    """What a statement must be: the sum of each kind of line, what of it is netted, and withheld as tax."""

    id: str
    partner: Partner | Provider
    lines: Counter[str]
    is_open: bool
    netted: int
    tax: int

    @property
    def total(self) -> int:
        """What it comes to."""
        return self.lines.total()

    @property
    def payout(self) -> tuple[str, int, int, int, int]:
        """What is to be requested: the payout's id, all of the statement, what is netted, withheld, and transferred."""
        return (self.id, self.total, self.netted, self.tax, self.total - self.netted - self.tax)


@dataclass(frozen=True)
class Reserve:
    """What is held back of a statement until a day."""

    statement: str
    until: date
    amount: int


@dataclass(frozen=True)
class Released:
    """What was released of it, and when."""

    statement: str
    on: date
    amount: int


@dataclass(frozen=True)
class Document:
    """What is issued in a partner's name of a statement: net and tax; and whether it names another that it corrects."""

    statement: str
    type_code: str
    net: int
    tax: int
    corrects: bool


@dataclass
class Account:
    """What a partner was stated, by kind of line; what is carried forward, advanced and held back; what is released.

    `lines` is what it has earned of lines that rise and of those that fall, as far as `documents` have it.
    """

    stated: Counter[str] = field(default_factory=Counter)
    carried: int = 0
    advance: int = 0
    reserves: list[Reserve] = field(default_factory=list)
    released: list[Released] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)

    @property
    def reserve(self) -> int:
        """What is held back still."""
        return sum(one.amount for one in self.reserves) - sum(one.amount for one in self.released)

    @property
    def payable(self) -> int:
        """What closings and releases have made payable, beside what is earned."""
        added = sum(self.stated[kind] for kind in ADDED_BY_CLOSINGS)
        return added + sum(one.amount for one in self.released)


class Partners:
    """The demo's account of the partners, by id, with all statements that were to be made."""

    def __init__(self) -> None:
        self.statements: list[Stated] = []
        ids = (*AGREEMENTS, *(provider.id for provider in PROVIDERS))
        self.accounts: dict[str, Account] = {id_: Account() for id_ in ids}

    def advance(self, sent: Iterable[Message]) -> None:
        """Note what is paid in advance."""
        for fact in (fact for one in sent for fact in one.facts if fact.type == "advance.paid"):
            self.accounts[fact.account].advance += fact.amount

    def release(self, sent: Iterable[Message]) -> None:
        """Note what a message releases."""
        for fact in (fact for one in sent for fact in one.facts if fact.type == "reserve.release"):
            self.accounts[fact.account].released.append(Released(fact.statement, fact.day, fact.amount))

    def close(self, partner: Partner, until: date, sold: list[Sold], must: Tally, today: date) -> None:
        """Work out a statement up to a day, which counts."""
        account, terms = self.accounts[partner.id], terms_on(partner.id, until)
        account.released += [
            Released(one.statement, one.until, one.amount)
            for one in account.reserves
            if one.until <= until and one.statement not in {of.statement for of in account.released}
        ]
        earned_so_far = {"accrual": earned(sold, until)[partner.id], "adjustment": must.adjusted[partner.id]}
        lines = Counter({kind: amount - account.stated[kind] for kind, amount in earned_so_far.items()})
        base = lines.total()
        if terms.guarantee and until >= MONTH_ENDS:
            # It has earned nothing before that month.
            lines["guarantee"] = max(0, terms.guarantee - max(0, sum(earned_so_far.values())))
            lines["guarantee"] -= account.stated["guarantee"]
            base += lines["guarantee"]
        lines["recoupment"] = -min(account.advance, max(0, base))
        lines["holdback"] = -rounded(max(0, base + lines["recoupment"]) * terms.holdback)
        lines["release"] = sum(one.amount for one in account.released if one.on <= until) - account.stated["release"]
        statement = closing_id(partner, until)
        if terms.self_billing is not None:
            so_far = lines_of(sold, partner, until)
            issued = self_billed(statement, terms, so_far - account.lines, lines["adjustment"])
            account.documents += issued
            account.lines = so_far
            lines["selfBilledTax"] = sum(one.tax if one.type_code == "389" else -one.tax for one in issued)
        if until >= MONTH_ENDS:
            lines["fee"] = -terms.charged - account.stated["fee"]
        account.stated.update(lines)
        account.advance += lines["recoupment"]
        if lines["holdback"]:
            ends = until + timedelta(days=terms.held_days)
            account.reserves.append(Reserve(statement, ends, -lines["holdback"]))
        lines["broughtForward"] = account.carried
        amount = lines.total()
        is_open = amount > 0 and amount >= terms.threshold
        account.carried = 0 if is_open else amount
        tax = terms.tax_on(amount) if is_open else 0
        netted = min(amount - tax, due(must, today)) if is_open and terms.netting is not None else 0
        kinds = Counter({kind: of_kind for kind, of_kind in lines.items() if of_kind})
        self.statements.append(Stated(statement, partner, kinds, is_open, netted, tax))

    def close_provider(self, provider: Provider, until: date, consumers: Consumers) -> None:
        """Work out the statement of a provider: all that its consumers have paid, or were billed, and our commission.

        The commission, which is without tax line by line, has its tax on all of it.
        """
        sums, account = consumers.sums(provider), self.accounts[provider.id]
        _, rate = provider.tax
        commission = sums.commission + rounded(sums.commission * Decimal(rate))
        lines = Counter({"accrual": sums.released, "commission": -commission})
        account.stated.update(lines)
        self.statements.append(Stated(closing_id(provider, until), provider, lines, is_open=True, netted=0, tax=0))


def sold_so_far(must: Tally, events: Events) -> list[Sold]:
    """What was sold on behalf of partners, with what the events say is open of it by now."""
    invoices = {invoice["orderId"]: invoice for invoice in events.invoices.values()}
    bills = {(bill["billingAccount"]["id"], bill["billDate"]): bill for bill in events.bills.values()}
    all_of_it = [(order.day, order.sold, order.amount, invoices.get(id_)) for id_, order in must.orders.items()]
    for (account, day), bill in must.bills.items():
        all_of_it.append((day, bill.sold, bill.total or 0, bills.get((account, day.isoformat()))))
    return [
        Sold(day, nets, amount, amount if invoice is None else minor(invoice["remainingAmount"]))
        for day, nets, amount, invoice in all_of_it
        if nets
    ]


def earned(sold: Iterable[Sold], until: date) -> Counter[str]:
    """What each partner has earned up to a day, which counts.

    That is its shares of what was invoiced until then, or of each share the part that corresponds to what was paid: no
    payment is dated later, also of those that cover a later bill. Where shares go by a month's net, closings see to it
    that they are what that comes to: the net of what was invoiced, or that of what was paid, all of it in one month.
    """
    found: Counter[str] = Counter()
    in_month: Counter[tuple[str, int]] = Counter()
    for one in sold:
        for partner, net in one.nets:
            terms = terms_on(partner, one.day)
            if terms.accrue_on == "payment":
                of = net if terms.steps else rounded(net * terms.share)
                paid = one.amount - one.remaining
                part = rounded(Decimal(of * paid) / one.amount) if one.remaining else of
                if terms.steps:
                    in_month[partner, TRADE.month] += part
                else:
                    found[partner] += part
            elif one.day > until:
                continue
            elif terms.steps:
                in_month[partner, one.day.month] += net
            else:
                found[partner] += rounded(net * terms.share)
    for (partner, month), net in in_month.items():
        found[partner] += terms_on(partner, date(END.year, month, 1)).of_net(net)
    return found


def lines_of(sold: Iterable[Sold], partner: Partner, until: date) -> Counter[str]:
    """What a partner earns, of each line as it is billed, up to a day: of lines that rise, and of those that fall."""
    found: Counter[str] = Counter()
    for one in sold:
        if one.day <= until:
            shares = (rounded(net * terms_on(id_, one.day).share) for id_, net in one.nets if id_ == partner.id)
            for share in shares:
                found["389" if share > 0 else "261"] += abs(share)
    return found


def self_billed(statement: str, terms: Terms, lines: Counter[str], adjusted: int) -> list[Document]:
    """What is issued in a partner's name: what it has earned is an invoice, an adjustment in its favour with it.

    What falls, of a line below zero or by an adjustment, is a note of the invoice that this makes, or names none.
    """
    assert terms.self_billing is not None
    _, _, rate = terms.self_billing
    earned, fell = lines["389"] + max(0, adjusted), lines["261"] + max(0, -adjusted)
    parts = (("389", earned, False), ("261", fell, earned > 0))
    return [
        Document(statement, code, net, rounded(net * Decimal(rate)), corrects) for code, net, corrects in parts if net
    ]


def of_past_days(sold: Iterable[Sold]) -> dict[tuple[str, int], list[int]]:
    """What is agreed of days that are past, by agreement and revision: by how much lines' shares are other ones.

    Only those of which that is not nothing.
    """
    found = {}
    for partner, agreed in AGREEMENTS.items():
        for revision, (before, after) in enumerate(pairwise(agreed), 2):
            if after.of_past_days:
                nets = [
                    net
                    for one in sold
                    for id_, net in one.nets
                    if id_ == partner and after.valid_from <= one.day <= after.told
                ]
                changes = [rounded(net * after.terms.share) - rounded(net * before.terms.share) for net in nets]
                found[agreement_id(partner), revision] = [change for change in changes if change]
    return found


def partner_opens() -> Message:
    """A partner's billing account, since it buys of us as well."""
    customer = LUMEN_BUYS
    content = account_of("BillingAccount", customer, "customer", paymentTermDays=customer.term_days)
    return message("account.create", content, f"open-{customer.id}", Fact("account.create", account=customer.id))


def partner_buys(day: date) -> Message:
    """What a partner buys on a day."""
    customer = LUMEN_BUYS
    lines = [
        Line(ware.description, Decimal(3), Decimal(ware.price), *TAXES[customer.currency][ware.tax])
        for ware in BOUGHT[day]
    ]
    content = {
        "orderId": f"O-LUMEN-{day:%m%d}",
        "completedAt": moment(6 * HOUR, day),
        "billingAccount": {"id": customer.id},
        "currency": customer.currency,
        "items": [item_of(n, line) for n, line in enumerate(lines, 1)],
    }
    fact = Fact(
        "order.completed",
        account=customer.id,
        amount=total(lines, customer.currency),
        orders=(f"O-LUMEN-{day:%m%d}",),
        note="orders of a partner's own",
        day=day,
    )
    return message("order.completed", content, f"lumen-{day:%m%d}", fact)


def due(must: Tally, today: date) -> int:
    """What a partner that buys of us owes that is due; it pays nothing but by netting."""
    bought = (order for order in must.orders.values() if order.account == LUMEN_BUYS.id)
    return sum(one.amount for one in bought if one.day + timedelta(days=LUMEN_BUYS.term_days) <= today)


def releases(partners: Partners) -> list[Message]:
    """Half of what is held back still is released before its day."""
    return [
        message(
            "reserve.release",
            {
                "releaseId": f"FREE-{reserve.statement}",
                "settlementId": reserve.statement,
                "releasedAt": moment(7 * HOUR, END),
                "amount": money(half, stated.partner.currency),
            },
            f"free-{reserve.statement}",
            Fact(
                "reserve.release",
                account=stated.partner.id,
                amount=half,
                statement=reserve.statement,
                note="reserves released before their day",
                day=END,
            ),
        )
        for stated in partners.statements
        for reserve in partners.accounts[stated.partner.id].reserves
        if reserve.statement == stated.id and reserve.until > END and (half := reserve.amount // 2)
    ]
