"""What the domain tells a sender of amounts: in the currency and with the decimals that the account is kept in."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from adapters.accounts.queries.standings import standing_of
from domain.accounts.model import FINANCIAL
from domain.errors import Refused
from domain.invoicing.pricing import Item
from domain.money import AMOUNT_MAX, Currency
from tests.support.ledger_book import (
    Fact,
    LedgerBook,
    advance,
    agreement,
    billing,
    charge,
    closing,
    credit_note,
    dispute,
    holdback,
    line,
    order,
    partner,
    payment,
    payout,
    refund,
    release,
    report,
    reversal,
    settlement_of,
    transfer,
    write_off,
)

DOMAIN = Path(__file__).parents[2] / "domain"

# One without decimals, with two, with three; one that was withdrawn; and one that no table knows, as an account may be
# kept in after its code is gone.
CURRENCIES = (Currency("EUR", 2), Currency("JPY", 0), Currency("KWD", 3), Currency("BGN", 2), Currency("XZZ", 1))
INV1 = "INV-000000001"


@dataclass
class In:
    """Facts in a currency, whose amounts are all said in its minor unit."""

    currency: Currency

    @property
    def code(self) -> str:
        """The currency's code."""
        return self.currency.code

    def line(self, net: int, rate: str = "0", behalf: str | None = None, *, quantity: str = "1") -> Item:
        """A line of this net, or of so many times as much."""
        return line(self.text(net), rate, behalf, quantity=quantity)

    def order(self, *lines: Item, id_: str = "O-1") -> Fact:
        """An order of these lines."""
        return order(id_, *lines, currency=self.currency)

    def text(self, amount: int) -> str:
        """An amount with the currency's decimals, made by moving the point and not by the domain's arithmetic."""
        sign, digits = "-" * (amount < 0), str(abs(amount)).zfill(self.currency.digits + 1)
        point = len(digits) - self.currency.digits
        return sign + digits[:point] + ("." + digits[point:] if self.currency.digits else "")

    def told(self, detail: str) -> str:
        """A detail of which each `<amount>` is put into words."""
        return re.sub(r"<(-?\d+)>", lambda found: f"{self.text(int(found[1]))} {self.code}", detail)

    def book(self, *facts: Fact) -> LedgerBook:
        """Two customers and a partner, and these facts, all applied."""
        accounts = (billing(), billing("BA-2"), partner())
        book = LedgerBook()
        book.take(*(replace(account, currency=self.currency) for account in accounts), *facts)
        assert (book.refused, book.waiting) == ({}, {})
        return book

    # -- what facts go before

    def billed(self) -> LedgerBook:
        """Of 100.00 and nothing and −20.00, credited by 60.00: so much in cents, 10000, 0, −2000, 6000."""
        return self.book(
            self.order(self.line(10000), self.line(0), self.line(-2000)),
            credit_note("N-1", INV1, {"1": 6000}, currency=self.code),
        )

    def disputed(self) -> LedgerBook:
        """Of 100.00, 40.00 are disputed."""
        return self.book(
            self.order(self.line(10000), self.line(-2000)), dispute("D-1", INV1, {"1": 4000}, currency=self.code)
        )

    def paid(self) -> LedgerBook:
        """Of a payment of 30.00, 20.00 cover an invoice, which a note credits by 5.00 to be given back."""
        return self.book(
            self.order(self.line(2000)),
            payment("P-1", 3000, currency=self.code),
            credit_note("N-1", INV1, {"1": 500}, currency=self.code, excess="refund"),
        )

    def stated(self) -> LedgerBook:
        """A partner's statement of 80.00, of which 50.00 are paid."""
        return self.book(
            self.order(self.line(10000, "0", "SA-1")),
            closing("C-1"),
            payout("PO-1", 5000, "C-1", currency=self.code),
        )

    def reported(self) -> LedgerBook:
        """A partner's statement of 80.00, which the partner has one cent of."""
        return self.book(
            self.order(self.line(10000, "0", "SA-1")),
            closing("C-1"),
            report("R-1", "C-1", {"O-1/1": 1}, currency=self.code),
        )

    def agreed(self) -> LedgerBook:
        """Of 50.00 agreed a partner was advanced 20.00; of 80.00 earned, 10 % of the other 60.00 are held back."""
        return self.book(
            agreement(
                "AG-1",
                "2026-11-22",
                share="0.8",
                currency=self.code,
                advance=5000,
                holdback=holdback("0.1", 30),
            ),
            advance("AV-1", 2000, currency=self.code),
            self.order(self.line(10000, "0", "SA-1")),
            closing("C-1"),
        )

    def owing(self) -> LedgerBook:
        """An account that owes all that one may."""
        return self.book(self.order(self.line(AMOUNT_MAX // 1000, quantity="1000")))


Wrong = tuple[Callable[[In], LedgerBook], Callable[[In], Fact], str, str]

WRONG: dict[str, Wrong] = {
    # Credit notes.
    "more than is left of a line": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"1": 4001}, currency=i.code),
        "over-credited",
        "lines.0.taxExcludedAmount: <4001>, but line 1 is <10000>, and <4000> is left of it",
    ),
    "more than is left of a negative line": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"1": 4000, "3": -2001}, currency=i.code),
        "over-credited",
        "lines.1.taxExcludedAmount: <-2001>, but line 3 is <-2000>, and <-2000> is left of it",
    ),
    "below zero of a positive line": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"1": -1}, currency=i.code),
        "invalid",
        "lines.0.taxExcludedAmount: <-1>, but line 1 is <10000>, and <4000> is left of it: send an amount of its sign",
    ),
    "above zero of a negative line": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"3": 5}, currency=i.code),
        "invalid",
        "lines.0.taxExcludedAmount: <5>, but line 3 is <-2000>, and <-2000> is left of it: send an amount of its sign",
    ),
    "below zero of a line of nothing": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"2": -1}, currency=i.code),
        "invalid",
        "lines.0.taxExcludedAmount: <-1>, but line 2 is <0>, and nothing is left of it",
    ),
    "above zero of a line of nothing": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"2": 1}, currency=i.code),
        "over-credited",
        "lines.0.taxExcludedAmount: <1>, but line 2 is <0>, and nothing is left of it",
    ),
    "a note below zero": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"3": -2000}, currency=i.code),
        "over-credited",
        "lines: <-2000> with tax, which may not be negative",
    ),
    "a note of more than is left of the invoice": (
        In.billed,
        lambda i: credit_note("N-2", INV1, {"1": 4000}, currency=i.code),
        "over-credited",
        f"lines: <4000> with tax, but <2000> is left of invoice {INV1}",
    ),
    # Disputes.
    "more than is left of what is disputed": (
        In.disputed,
        lambda i: dispute("D-2", INV1, {"1": 6001}, currency=i.code),
        "over-credited",
        "items.0.taxExcludedAmount: <6001>, but line 1 is <10000>, and <6000> is left of it",
    ),
    "a dispute below zero": (
        In.disputed,
        lambda i: dispute("D-2", INV1, {"2": -1}, currency=i.code),
        "over-credited",
        "items: <-1> with tax, which may not be negative",
    ),
    "a dispute of nothing": (
        In.disputed,
        lambda i: dispute("D-2", INV1, {"1": 2000, "2": -2000}, currency=i.code),
        "invalid",
        "items: <0> with tax, and must be more than that",
    ),
    "more approved than is disputed": (
        In.disputed,
        lambda i: settlement_of("D-1", {"1": 4001}, currency=i.code),
        "over-credited",
        "approved.0.taxExcludedAmount: <4001>, but <4000> is disputed of line 1",
    ),
    "approved with the other sign": (
        In.disputed,
        lambda i: settlement_of("D-1", {"1": -4000}, currency=i.code),
        "invalid",
        (
            "approved.0.taxExcludedAmount: <-4000>, but line 1 is <10000>, and <10000> is left of it: "
            "send an amount of its sign"
        ),
    ),
    "approved in another currency": (
        In.disputed,
        lambda i: settlement_of("D-1", {"1": 4001}, currency="USD"),
        "currency-mismatch",
        f"approved.0.taxExcludedAmount: invoice {INV1} is in {{code}}, not in USD",
    ),
    "approved, and credited meanwhile": (
        lambda i: i.book(
            i.order(i.line(10000), i.line(-2000)),
            dispute("D-1", INV1, {"1": 7000}, currency=i.code),
            credit_note("N-1", INV1, {"1": 6000}, currency=i.code),
        ),
        lambda i: settlement_of("D-1", {"1": 3000}, currency=i.code),
        "over-credited",
        f"approved: <3000> with tax, but <2000> is left of invoice {INV1}",
    ),
    # Write-offs, reversals, refunds, transfers.
    "more than remains is written off": (
        In.billed,
        lambda i: write_off("W-1", INV1, 2001, currency=i.code),
        "wrong-state",
        f"amount: <2001>, but <2000> remains of invoice {INV1}",
    ),
    "more than a payment comes back": (
        In.paid,
        lambda i: reversal("X-1", "P-1", 3001, currency=i.code),
        "insufficient-credit",
        "amount: <3001>, but <3000> is left of payment P-1",
    ),
    "more than a payment is given back": (
        In.paid,
        lambda i: refund("R-1", 2501, of="P-1", currency=i.code),
        "insufficient-credit",
        "amount: <2501>, but <2500> can be taken of payment P-1",
    ),
    "more than a note reserved is given back": (
        In.paid,
        lambda i: refund("R-1", 501, note="N-1", currency=i.code),
        "insufficient-credit",
        "amount: <501>, but <500> can be taken of what credit note N-1 reserved",
    ),
    "more than the credit is given back": (
        In.paid,
        lambda i: refund("R-1", 1001, currency=i.code),
        "insufficient-credit",
        "amount: <1001>, but <1000> can be taken of the credit of account BA-1",
    ),
    "more than a payment's credit is transferred": (
        In.paid,
        lambda i: transfer("T-1", 1001, of="P-1", currency=i.code),
        "insufficient-credit",
        "amount: <1001>, but <1000> can be taken of the credit of payment P-1",
    ),
    "more than the credit is transferred": (
        In.paid,
        lambda i: transfer("T-1", 9999, currency=i.code),
        "insufficient-credit",
        "amount: <9999>, but <1000> can be taken of the credit of account BA-1",
    ),
    "a charge takes nothing back": (
        In.billed,
        lambda i: charge("C-1", i.line(1), corrects=(INV1, "1"), currency=i.currency),
        "invalid",
        f"item.unitPrice: comes to <1>, but line 1 of invoice {INV1} to <10000>: what takes it back has the other sign",
    ),
    # Partners.
    "more than is left of a statement is paid out": (
        In.stated,
        lambda i: payout("PO-2", 3001, "C-1", currency=i.code),
        "overpaid-payout",
        "amount: <3001>, but <3000> is left to pay of settlement C-1",
    ),
    "what is in dispute is paid out": (
        In.reported,
        lambda i: payout("PO-2", 3, "C-1", currency=i.code),
        "overpaid-payout",
        (
            "amount: <3>, but <0> is left to pay of settlement C-1; <8000> is in dispute: "
            "1 line differs from what R-1 reports"
        ),
    ),
    "another amount is transferred": (
        In.stated,
        lambda i: payout("PO-2", 3000, "C-1", transferred=2999, currency=i.code),
        "wrong-state",
        "transferred: <2999>, but of <3000> <0> is to be withheld, and <3000> transferred",
    ),
    "more than is agreed is paid in advance": (
        In.agreed,
        lambda i: advance("AV-2", 3001, currency=i.code),
        "wrong-state",
        "amount: advances of AG-1 would come to <5001>, but <5000> is agreed",
    ),
    "more than is held back is released": (
        In.agreed,
        lambda i: release("RR-1", "C-1", 601, currency=i.code),
        "wrong-state",
        "amount: <600> is held back of settlement C-1 still",
    ),
    # Beyond what is kept.
    "a balance beyond the limit": (
        In.owing,
        lambda i: i.order(i.line(1), id_="O-2"),
        "invalid",
        f"the balance receivable of account BA-1 comes to <10000000000001>, beyond ±<{AMOUNT_MAX}>, the largest amount",
    ),
    "credit beyond the limit": (
        lambda i: i.book(payment("P-1", AMOUNT_MAX, currency=i.code)),
        lambda i: payment("P-2", 1, currency=i.code),
        "invalid",
        "the balance unapplied of account BA-1 comes to <10000000000001>, beyond ±<10000000000000>, the largest amount",
    ),
}
"""What is wrong: the books before, the fact, its code and detail, in which amounts are in minor units and brackets."""

PRICED: dict[str, tuple[Callable[[In], Fact], str]] = {
    "an order below zero": (
        lambda i: i.order(i.line(100), i.line(-101)),
        "items: the invoice's total is <-1>, and may not be negative",
    ),
    "a line beyond the limit": (
        lambda i: i.order(i.line(1), i.line(AMOUNT_MAX // 1000, quantity="1001")),
        "items.1: the net comes to <10010000000000>, beyond ±<10000000000000>, the largest amount",
    ),
    "lines beyond the limit": (
        lambda i: i.order(i.line(AMOUNT_MAX // 1000, quantity="1000"), i.line(7)),
        "items: the invoice's net comes to <10000000000007>, beyond ±<10000000000000>, the largest amount",
    ),
    "with their tax beyond the limit": (
        lambda i: i.order(i.line(AMOUNT_MAX // 1000, "0.2", quantity="900")),
        "items: the invoice's total comes to <10800000000000>, beyond ±<10000000000000>, the largest amount",
    ),
}
"""What is wrong with an order by itself, told when it is read."""


@pytest.fixture
def wording(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions, by name, that have put an amount into words since."""
    used: list[str] = []
    written = Currency.written

    def seen(self: Currency, amount: int) -> str:
        used.append(sys._getframe(1).f_code.co_name)
        return written(self, amount)

    monkeypatch.setattr(Currency, "written", seen)
    return used


def amounts_fit(detail: str, currency: Currency) -> bool:
    """Whether each amount in a detail has the currency's decimals."""
    decimals = rf"\.[0-9]{{{currency.digits}}}" if currency.digits else ""
    found = re.findall(rf"\S+(?= {currency.code}\b)", re.sub(r"(is|kept) in [A-Z]{3}\b", "", detail))
    return all(re.fullmatch(rf"±?-?[0-9]+{decimals}", amount) for amount in found)


def refusal_of(i: In, wrong: Wrong) -> Refused:
    """Why a fact is refused, or waits."""
    before, fact, _, _ = wrong
    book = before(i)
    book.take(fact(i))
    whys: list[Refused] = [*book.refused.values(), *(why for _, why in book.waiting.values())]
    assert len(whys) == 1
    return whys[0]


@pytest.mark.parametrize("currency", CURRENCIES, ids=lambda currency: currency.code)
@pytest.mark.parametrize("what", WRONG)
def test_amounts_are_told_in_the_account_s_currency(what: str, currency: Currency) -> None:
    """To the letter: the field, the amount as it was sent, and what would be right."""
    i, (_, _, code, detail) = In(currency), WRONG[what]
    why = refusal_of(i, WRONG[what])
    assert (why.code, why.detail) == (code, i.told(detail).replace("{code}", currency.code))
    assert amounts_fit(why.detail, currency)


@pytest.mark.parametrize("currency", CURRENCIES, ids=lambda currency: currency.code)
@pytest.mark.parametrize("what", PRICED)
def test_amounts_of_an_order_are_told_in_its_currency(what: str, currency: Currency) -> None:
    """Those that are worked out, too."""
    i, (fact, detail) = In(currency), PRICED[what]
    with pytest.raises(Refused) as refused:
        fact(i)
    assert (refused.value.code, refused.value.detail) == ("invalid", i.told(detail))
    assert amounts_fit(refused.value.detail, currency)


@pytest.mark.parametrize("currency", CURRENCIES, ids=lambda currency: currency.code)
def test_sums_that_a_query_can_t_tell_are_told_likewise(currency: Currency) -> None:
    """A financial account may sum up more than one account can have."""
    with pytest.raises(Refused) as refused:
        standing_of("FA-1", FINANCIAL, {"receivable": AMOUNT_MAX + 1}, currency)
    detail = f"the balance receivable of account FA-1 comes to <{AMOUNT_MAX + 1}>, beyond ±<{AMOUNT_MAX}>, "
    assert refused.value.detail == In(currency).told(detail + "the largest amount")


def test_amounts_without_their_decimals_are_seen() -> None:
    """The check of them can fail."""
    assert not amounts_fit("amount: 4001 EUR", Currency("EUR", 2))
    assert not amounts_fit("amount: 40.01 KWD, but 1.000 KWD is left", Currency("KWD", 3))
    assert not amounts_fit("amount: 40.00 JPY", Currency("JPY", 0))


def functions_that_tell() -> set[str]:
    """The functions of the domain that put an amount into words."""
    found = set()
    for path in DOMAIN.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
                if any(isinstance(call, ast.Attribute) and call.attr == "written" for call in calls):
                    found.add(function.name)
    return found


def test_each_function_that_tells_an_amount_is_tried(wording: list[str]) -> None:
    """What is added to the domain is added here."""
    i = In(CURRENCIES[0])
    for wrong in WRONG.values():
        refusal_of(i, wrong)
    for fact, _ in PRICED.values():
        with pytest.raises(Refused):
            fact(i)
    assert set(wording) == functions_that_tell()


def test_nothing_is_put_into_words_of_what_is_right(wording: list[str]) -> None:
    """That takes time, and is for those who are refused."""
    for before in (In.billed, In.disputed, In.paid, In.stated, In.owing):
        before(In(CURRENCIES[0]))
    assert wording == []
