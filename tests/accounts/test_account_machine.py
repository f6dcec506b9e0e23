"""A small world of accounts and whatever happens to it, beside a model of it that was written on its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.accounts.model import BILLING, FINANCIAL, SETTLEMENT, AccountStateChanged, CreditLimitExceeded
from tests.support.invariants import assert_books_hold, half_away
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    billing,
    closing,
    command,
    financial,
    line,
    order,
    partner,
    payment,
    payout,
    relation,
    update,
)
from tests.support.steady import steady

CUSTOMERS = ("BA-1", "BA-2", "BA-3")
PARTNERS = ("SA-1", "SA-2")
EVERYONE = (*CUSTOMERS, *PARTNERS, "FA-1")
TYPE = dict.fromkeys(CUSTOMERS, BILLING) | dict.fromkeys(PARTNERS, SETTLEMENT) | {"FA-1": FINANCIAL}
FAR = "2030-12-31"


class No(Exception):
    """The fact is refused, with this code."""


class Later(Exception):
    """The fact waits until this account is resumed."""


@dataclass
class Bill:
    """An invoice; `shares` are what partners get of it: whose, how much in all, when, and how much so far."""

    account: str
    ordered_for: str
    due: date
    total: int
    left: int
    shares: list[list[object]] = field(default_factory=list)


@dataclass
class Model:
    """What should be, in the plainest way that says it."""

    today: date
    state: dict[str, str] = field(default_factory=dict)
    revision: dict[str, int] = field(default_factory=dict)
    term: dict[str, int] = field(default_factory=dict)
    limit: dict[str, int | None] = field(default_factory=dict)
    payer: dict[str, tuple[str, date | None] | None] = field(default_factory=dict)
    summed_up_in: dict[str, str | None] = field(default_factory=dict)
    bills: list[Bill] = field(default_factory=list)
    credit: dict[str, list[int]] = field(default_factory=dict)
    paid_in: set[str] = field(default_factory=set)
    accrued: dict[str, list[int]] = field(default_factory=dict)
    payable: dict[str, int] = field(default_factory=dict)
    carried: dict[str, int] = field(default_factory=dict)
    statements: dict[str, list[int | str]] = field(default_factory=dict)
    waiting: list[tuple[str, Callable[[], None]]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    crossings: list[tuple[str, int]] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)

    # -- taking

    def take(self, decide: Callable[[], None]) -> None:
        """One fact, and those that it wakes."""
        resumable = {id_ for id_ in EVERYONE if self.state[id_] in ("defined", "suspended")}
        try:
            decide()
        except No as why:
            self.refused.append(str(why))
        except Later as why:
            self.waiting.append((str(why), decide))
        for id_ in resumable:
            if self.state[id_] not in ("defined", "suspended"):
                woken = [again for name, again in self.waiting if name == id_]
                self.waiting = [(name, again) for name, again in self.waiting if name != id_]
                for again in woken:
                    self.take(again)

    def may(self, id_: str, waits: tuple[str, ...], refused: tuple[str, ...]) -> None:
        """Nothing more to say, or why not."""
        if self.state[id_] in waits:
            raise Later(id_)
        if self.state[id_] in refused:
            raise No("account-closed")

    def becomes(self, id_: str, state: str) -> None:
        """Another state, and what is told of it."""
        self.state[id_] = state
        self.changes.append((id_, state))

    # -- money

    def receivable(self, id_: str) -> int:
        """What an account owes."""
        return sum(bill.left for bill in self.bills if bill.account == id_)

    def owed(self, id_: str) -> int:
        """Less its credit."""
        return self.receivable(id_) - sum(self.credit[id_])

    def withheld(self, id_: str) -> list[int]:
        """What a partner still waits for, share by share."""
        pending = [int(str(s[1])) - int(str(s[3])) for bill in self.bills for s in bill.shares if s[0] == id_]
        return [amount for amount in pending if amount]

    def nothing_open(self, id_: str) -> bool:
        """Whether an account may be closed."""
        if id_ in CUSTOMERS:
            return not self.receivable(id_) and not sum(self.credit[id_])
        if id_ in PARTNERS:
            pending = (self.withheld(id_), self.accrued[id_], self.payable[id_], self.carried.get(id_, 0))
            return not any(pending)
        return True

    def settle(self, id_: str) -> None:
        """A closing that is complete by now."""
        if self.state[id_] == "pendingClose" and self.nothing_open(id_):
            self.becomes(id_, "closed")

    def pay(self, bill: Bill, amount: int) -> None:
        """Pay some of a bill, and give partners what is theirs by now."""
        bill.left -= amount
        for share in bill.shares:
            who, whole, when, so_far = str(share[0]), int(str(share[1])), share[2], int(str(share[3]))
            if when == "payment":
                due = half_away(Fraction(whole * (bill.total - bill.left), bill.total)) if bill.left else whole
                share[3] = due
                if due != so_far:
                    self.accrued[who].append(due - so_far)
                    self.payable[who] += due - so_far

    # -- facts

    def order(self, account: str, own: int, earned: tuple[str, int] | None, at: date) -> None:
        """A completed order: a line of our own, and one for a partner."""
        self.may(account, ("defined", "suspended"), ("pendingClose", "closed", "deleted"))
        billed = account
        while (payer := self.payer[billed]) is not None and (payer[1] is None or payer[1] <= at):
            billed = payer[0]
        self.may(billed, ("defined", "suspended"), ("pendingClose", "closed", "deleted"))
        if earned is not None:
            self.may(earned[0], ("defined",), ("pendingClose", "closed", "deleted"))
        before = self.owed(billed)
        total = own + (earned[1] if earned else 0)
        bill = Bill(billed, account, self.today + timedelta(days=self.term[billed]), total, total)
        self.bills.append(bill)
        if earned is not None:
            who, net = earned
            share = net if who == "SA-1" else half_away(Fraction(net, 3) * Fraction("0.99999999"))
            if who == "SA-1":
                bill.shares.append([who, share, "invoice", share])
                self.accrued[who].append(share)
                self.payable[who] += share
            else:
                bill.shares.append([who, share, "payment", 0])
        if total == 0:
            self.pay(bill, 0)
        while bill.left and self.credit[billed]:
            amount = min(bill.left, self.credit[billed][0])
            self.credit[billed][0] -= amount
            if not self.credit[billed][0]:
                self.credit[billed].pop(0)
            self.pay(bill, amount)
        self.look_at_limit(billed, before, self.limit[billed])

    def look_at_limit(self, id_: str, before: int, old: int | None) -> None:
        """Tell of a crossing."""
        limit, owed = self.limit[id_], self.owed(id_)
        if limit is not None and owed > limit and (old is None or before <= old):
            self.crossings.append((id_, owed))

    def payment(self, account: str, amount: int) -> None:
        """Money of a customer's."""
        self.may(account, (), ("closed", "deleted"))
        self.paid_in.add(account)
        for bill in sorted((b for b in self.bills if b.account == account and b.left), key=lambda b: b.due):
            part = min(amount, bill.left)
            amount -= part
            if part:
                self.pay(bill, part)
        if amount:
            self.credit[account].append(amount)
        self.settle(account)

    def close_books(self, id_: str, who: str) -> None:
        """A statement of all that a partner has earned."""
        self.may(who, ("defined", "suspended"), ("closed", "deleted"))
        total = self.carried.pop(who, 0) + sum(self.accrued[who])
        self.accrued[who] = []
        self.statements[id_] = [who, total, 0]
        if total <= 0:
            self.carried[who] = total
        self.settle(who)

    def payout(self, who: str, statement: str, amount: int) -> None:
        """Money for a partner."""
        self.may(who, ("defined",), ("closed", "deleted"))
        owner, total, paid = self.statements[statement]
        if owner != who:
            raise No("invalid")
        if amount > max(int(total), 0) - int(paid):
            raise No("overpaid-payout")
        self.statements[statement][2] = int(paid) + amount
        self.payable[who] -= amount
        self.settle(who)

    def command(self, id_: str, name: str, at: int | None) -> None:
        """A change of state."""
        now = self.state[id_]
        if now == "deleted":
            raise No("account-closed")
        if at not in (None, self.revision[id_]):
            raise No("revision-mismatch")
        leads_to = {
            "resume": {"defined": "active", "suspended": "active"},
            "suspend": {"active": "suspended"},
            "close": dict.fromkeys(("defined", "active", "suspended"), "pendingClose"),
            "reopen": {"pendingClose": "active", "closed": "active"},
            "delete": dict.fromkeys(("defined", "active", "suspended", "pendingClose", "closed"), "deleted"),
        }[name].get(now)
        if leads_to is None:
            raise No("account-closed" if now == "closed" else "invalid")
        if name == "delete" and (self.used(id_) or self.referred_to(id_)):
            raise No("invalid")
        self.revision[id_] += 1
        self.becomes(id_, "closed" if leads_to == "pendingClose" and self.nothing_open(id_) else leads_to)

    def used(self, id_: str) -> bool:
        """Whether the books tell of an account."""
        told = any(id_ in (bill.account, bill.ordered_for) or id_ in [s[0] for s in bill.shares] for bill in self.bills)
        return told or id_ in self.paid_in or id_ in [statement[0] for statement in self.statements.values()]

    def referred_to(self, id_: str) -> bool:
        """Whether an account that is there refers to it."""
        return any(
            self.state[one] != "deleted" and (id_ == self.summed_up_in[one] or id_ == (self.payer[one] or ("",))[0])
            for one in CUSTOMERS
        )

    def update(self, id_: str, change: str, value: object, at: int | None) -> None:
        """Another term, limit, payer, or financial account."""
        if self.state[id_] in ("closed", "deleted"):
            raise No("account-closed")
        if at not in (None, self.revision[id_]):
            raise No("revision-mismatch")
        kept: Mapping[str, object] = getattr(self, change)
        if kept[id_] == value:
            return
        target = value[0] if isinstance(value, tuple) else value if isinstance(value, str) else None
        was = kept[id_][0] if isinstance(kept[id_], tuple) else kept[id_]  # type: ignore[index]
        if target is not None and target != was:
            above = target
            while self.payer.get(above) and above != id_:
                above = self.payer[above][0]  # type: ignore[index]
            if self.state[target] == "deleted" or above == id_:
                raise No("invalid")
        owed, limit = self.owed(id_), self.limit[id_]
        kept[id_] = value  # type: ignore[index]
        self.revision[id_] += 1
        self.look_at_limit(id_, owed, limit)


class AccountMachine(RuleBasedStateMachine):
    """Three customers, two partners and a financial account; days pass."""

    def __init__(self) -> None:
        super().__init__()
        self.book = LedgerBook(first_limit=2)
        self.model = Model(self.book.booked_at.date())
        self.count = 0

    def both(self, fact: Fact, decide: Callable[[], None]) -> None:
        """The books and the model take a fact."""
        self.book.take(fact)
        self.model.take(decide)

    def next(self, kind: str) -> str:
        """The next id of a kind."""
        self.count += 1
        return f"{kind}-{self.count:03d}"

    @initialize(first=st.sampled_from(["active", "active", "defined", "suspended"]), who=st.sampled_from(EVERYONE))
    def open_accounts(self, first: str, who: str) -> None:
        """All of them active, but perhaps for one."""
        opened = [
            *[billing(id_, first=first if id_ == who else "active") for id_ in CUSTOMERS],
            partner("SA-1", "1", "invoice", first=first if who == "SA-1" else "active"),
            partner("SA-2", "0.33333333", "payment", first=first if who == "SA-2" else "active"),
            financial(first=first if who == "FA-1" else "active"),
        ]
        self.book.take(*opened)
        for account in opened:
            model, id_ = self.model, account.id
            model.state[id_], model.revision[id_], model.term[id_] = account.state, 1, 30
            model.limit[id_] = model.payer[id_] = model.summed_up_in[id_] = None
            model.credit[id_], model.accrued[id_], model.payable[id_] = [], [], 0

    @rule(days=st.sampled_from([1, 1, 20]))
    def time_passes(self, days: int) -> None:
        """Invoices become overdue, and payers' periods begin."""
        self.book.booked_at += timedelta(days=days)
        self.model.today += timedelta(days=days)

    @rule(
        account=st.sampled_from(CUSTOMERS),
        own=st.sampled_from([0, 500, 901]),
        who=st.none() | st.sampled_from(PARTNERS),
        net=st.sampled_from([100, 300, 500, -500]),
    )
    def an_order(self, account: str, own: int, who: str | None, net: int) -> None:
        """Of a line of our own, and perhaps one for a partner, which may be a correction."""
        earned = None if who is None or own + net < 0 else (who, net)
        lines = [line(f"{own / 100:.2f}")] + ([line(f"{net / 100:.2f}", "0", who)] if earned else [])
        at = self.model.today
        fact = order(self.next("O"), *lines, account=account, at=at.isoformat())
        self.both(fact, lambda: self.model.order(account, own, earned, at))

    @rule(account=st.sampled_from(CUSTOMERS), amount=st.sampled_from([100, 400, 901, 2000]))
    def a_payment(self, account: str, amount: int) -> None:
        """Of some amount."""
        fact = payment(self.next("P"), amount, account=account, at=self.model.today.isoformat())
        self.both(fact, lambda: self.model.payment(account, amount))

    @rule(account=st.sampled_from(CUSTOMERS))
    def a_payment_of_everything(self, account: str) -> None:
        """So that closings complete."""
        amount = self.model.receivable(account)
        if amount:
            self.a_payment(account, amount)

    @rule(who=st.sampled_from(PARTNERS))
    def a_closing(self, who: str) -> None:
        """Of all that was earned so far."""
        id_ = self.next("C")
        self.both(closing(id_, who, until=FAR), lambda: self.model.close_books(id_, who))

    @precondition(lambda self: self.model.statements)
    @rule(who=st.none() | st.sampled_from(PARTNERS), data=st.data(), part=st.sampled_from([1, 1, 2]))
    def a_payout(self, who: str | None, data: st.DataObject, part: int) -> None:
        """Of what is left of a statement, or half of it; or a cent too much."""
        statement = data.draw(st.sampled_from(sorted(self.model.statements)))
        owner, total, paid = self.model.statements[statement]
        account = who or str(owner)
        amount = (max(int(total), 0) - int(paid)) // part or 1
        fact = payout(self.next("PO"), amount, statement, account=account)
        self.both(fact, lambda: self.model.payout(account, statement, amount))

    @rule(
        id_=st.sampled_from(EVERYONE),
        name=st.sampled_from(["suspend", "resume", "resume", "close", "close", "reopen", "delete"]),
        stale=st.sampled_from([False, False, False, True]),
    )
    def a_command(self, id_: str, name: str, *, stale: bool) -> None:
        """For the revision that the account has, or an earlier one."""
        at = self.model.revision[id_] - 1 if stale else self.model.revision[id_]
        self.both(command(name, id_, at=at), lambda: self.model.command(id_, name, at))  # type: ignore[arg-type]

    @rule(id_=st.sampled_from(CUSTOMERS), days=st.sampled_from([0, 10, 30]))
    def another_term(self, id_: str, days: int) -> None:
        """For the invoices to come."""
        self.both(update(id_, paymentTermDays=days), lambda: self.model.update(id_, "term", days, None))

    @rule(id_=st.sampled_from(CUSTOMERS), limit=st.sampled_from([None, 0, 500, 1000, 2000]))
    def another_limit(self, id_: str, limit: int | None) -> None:
        """Or none."""
        self.both(update(id_, creditLimit=limit), lambda: self.model.update(id_, "limit", limit, None))

    @rule(id_=st.sampled_from(CUSTOMERS), payer=st.none() | st.sampled_from(CUSTOMERS), in_days=st.none() | st.just(5))
    def another_payer(self, id_: str, payer: str | None, in_days: int | None) -> None:
        """From the first or from some day on; or none."""
        since = None if in_days is None else self.model.today + timedelta(days=in_days)
        said = [] if payer is None else [relation("payer", payer, since=since.isoformat() if since else None)]
        value = None if payer is None else (payer, since)
        fact = update(id_, relationships=said or None)
        self.both(fact, lambda: self.model.update(id_, "payer", value, None))

    @rule(id_=st.sampled_from(CUSTOMERS), to=st.none() | st.just("FA-1"), at=st.none() | st.integers(1, 3))
    def another_financial_account(self, id_: str, to: str | None, at: int | None) -> None:
        """Or none."""
        fact = update(id_, at=at, refersTo=None if to is None else {"financialAccount": to})
        self.both(fact, lambda: self.model.update(id_, "summed_up_in", to, at))

    @invariant()
    def the_books_hold(self) -> None:
        """All that must hold of any books."""
        assert_books_hold(self.book)

    @invariant()
    def the_books_are_as_the_model(self) -> None:
        """States, revisions, money and what was told."""
        book, model = self.book, self.model
        for id_ in model.state:
            account, position = book.account(id_), book.position(id_)
            assert (id_, account.state, account.revision) == (id_, model.state[id_], model.revision[id_])
            money = (position.receivable, position.unapplied, position.payable, position.withheld)
            credit = sum(model.credit[id_])
            assert (id_, *money) == (id_, model.receivable(id_), credit, model.payable[id_], sum(model.withheld(id_)))
        assert [why.code for why in book.refused.values()] == model.refused
        assert [why.waits_for for _, why in book.waiting.values()] == [f"resumed:{name}" for name, _ in model.waiting]
        crossed = [(e.account, e.event.balance) for e in book.events if isinstance(e.event, CreditLimitExceeded)]
        assert crossed == model.crossings
        changed = [(e.account, e.event.account.state) for e in book.events if isinstance(e.event, AccountStateChanged)]
        assert changed == model.changes


AccountMachine.TestCase.settings = settings(steady(50), stateful_step_count=40)
TestAccountMachine = AccountMachine.TestCase
