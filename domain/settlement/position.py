"""The position of a settlement account: only this module posts to a partner, changes its counters, or emits its events.

It is the one place where a fact about a customer changes another account.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from domain.frozen import replace
from domain.ledger import chart
from domain.ledger.books import Books, DocumentNeed
from domain.ledger.partners import ADVANCE, PAYABLE, RESERVE, WITHHELD
from domain.ledger.positions import CarriedForward, Position


def require(partners: Iterable[str], books: Books) -> None:
    """See that the partners' positions are loaded; raises `NotLoaded`."""
    books.require(DocumentNeed(Position, partner) for partner in partners)


def owe(partner: str, share: int, books: Books) -> None:
    """Owe a partner its share of a line (minor units) from now on."""
    books.count(partner, "used")
    books.credit(PAYABLE.of(partner), share)


def withhold(partner: str, share: int, books: Books, *, is_awaited: bool = False) -> None:
    """Withhold a partner's share of a line (minor units) until the customer pays; that may be nothing, and awaited."""
    books.count(partner, "used")
    if share or is_awaited:
        books.count(partner, "withholding")
    books.credit(WITHHELD.of(partner), share)


def release(partner: str, amount: int, books: Books) -> None:
    """Owe a partner what was withheld (minor units)."""
    books.debit(WITHHELD.of(partner), amount)
    books.credit(PAYABLE.of(partner), amount)


def end_withholding(partner: str, books: Books) -> None:
    """Note that nothing of a line is withheld any more."""
    books.count(partner, "withholding", -1)


def correct(
    partner: str, payable: int, withheld: tuple[int, int], books: Books, awaited: tuple[bool, bool] = (False, False)
) -> None:
    """Change what a partner has of a line (minor units): owe it `payable` more, or less where that is below zero.

    `withheld` is what was withheld of the line before, and what is now; `awaited` whether its payment was awaited, and
    is now, although that is nothing.
    """
    before, after = withheld
    books.count(partner, "used")
    books.move(PAYABLE.of(partner), -payable)
    books.move(WITHHELD.of(partner), before - after)
    was, now = (amount != 0 or waits for amount, waits in zip(withheld, awaited, strict=True))
    if was != now:
        books.count(partner, "withholding", 1 if now else -1)


def carried_forward(partner: str, books: Books) -> CarriedForward | None:
    """The statement that the next one opens with."""
    return books.position(partner).carried_forward


def carry_forward(partner: str, carried: CarriedForward | None, books: Books) -> None:
    """Have the next statement open with another one, or with none."""
    books.put(replace(books.position(partner), carried_forward=carried))
    books.count(partner, "used")


def pay_out(partner: str, amount: int, tax: int, books: Books) -> None:
    """Pay a partner (minor units), less the tax that is withheld of it."""
    books.count(partner, "used")
    books.debit(PAYABLE.of(partner), amount)
    books.move(chart.OF_CASH, tax - amount)
    books.move(chart.OF_TAX_WITHHELD, -tax)


def return_payout(partner: str, amount: int, tax: int, books: Books) -> None:
    """Owe a partner again what it was paid (minor units), and what was withheld of it: that has come back."""
    books.count(partner, "used")
    books.move(chart.OF_CASH, amount - tax)
    books.move(chart.OF_TAX_WITHHELD, tax)
    books.credit(PAYABLE.of(partner), amount)


def net(partner: str, amount: int, books: Books) -> None:
    """Owe a partner less (minor units), for what it owes us."""
    books.count(partner, "used")
    books.debit(PAYABLE.of(partner), amount)


def adjust(partner: str, amount: int, books: Books) -> int:
    """Owe a partner so much more (minor units) of our commission, or less; returns what is owed to it then."""
    books.count(partner, "used")
    books.move(chart.OF_COMMISSION, amount)
    books.move(PAYABLE.of(partner), -amount)
    return books.balance(PAYABLE.of(partner))


def top_up(partner: str, amount: int, books: Books) -> None:
    """Owe a partner what it was guaranteed and has not earned (minor units), or less of that, as more was earned."""
    books.count(partner, "used")
    books.move(chart.OF_GUARANTEE, amount)
    books.move(PAYABLE.of(partner), -amount)


def owe_tax(partner: str, category: str, rate: Decimal, amount: int, books: Books) -> None:
    """Owe a partner the tax that it charges us (minor units), or less of it."""
    books.count(partner, "used")
    books.move(chart.input_tax(category, f"{rate:f}"), amount)
    books.move(PAYABLE.of(partner), -amount)


def owe_reverse_charge(category: str, rate: Decimal, amount: int, books: Books) -> None:
    """Owe the tax that a partner does not charge us (minor units), and get it back; or less of both."""
    books.move(chart.input_tax(category, f"{rate:f}"), amount)
    books.move(chart.tax(category, f"{rate:f}"), -amount)


def charge(partner: str, amount: int, books: Books, *, is_fee: bool) -> None:
    """Owe a partner less (minor units), for a fee of ours, or for our commission; or more, where that is taken back."""
    books.count(partner, "used")
    books.move(PAYABLE.of(partner), amount)
    books.move(chart.OF_REVENUE if is_fee else chart.OF_COMMISSION, -amount)


def charge_tax(partner: str, category: str, rate: Decimal, amount: int, books: Books) -> None:
    """Owe a partner less (minor units), for the tax on that; or more."""
    books.move(PAYABLE.of(partner), amount)
    books.move(chart.tax(category, f"{rate:f}"), -amount)


def pay_advance(partner: str, amount: int, books: Books) -> int:
    """Pay a partner (minor units) before it has earned that; returns what is to be recouped then."""
    books.count(partner, "used")
    books.debit(ADVANCE.of(partner), amount)
    books.credit(chart.OF_CASH, amount)
    return books.balance(ADVANCE.of(partner))


def advanced(partner: str, books: Books) -> int:
    """What a partner was paid in advance and is still to be recouped (minor units)."""
    return books.balance(ADVANCE.of(partner))


def recoup(partner: str, amount: int, books: Books) -> None:
    """Recoup what was paid in advance (minor units) of what is owed to a partner."""
    books.count(partner, "used")
    books.debit(PAYABLE.of(partner), amount)
    books.credit(ADVANCE.of(partner), amount)


def hold_back(partner: str, amount: int, books: Books) -> None:
    """Keep a part of what is owed to a partner (minor units) as a reserve."""
    books.count(partner, "used")
    books.debit(PAYABLE.of(partner), amount)
    books.credit(RESERVE.of(partner), amount)


def release_reserve(partner: str, amount: int, books: Books) -> None:
    """Owe a partner what was held back (minor units)."""
    books.count(partner, "used")
    books.debit(RESERVE.of(partner), amount)
    books.credit(PAYABLE.of(partner), amount)


def agree(partner: str, books: Books) -> None:
    """Note that terms were agreed with a partner."""
    found = books.position(partner)
    books.put(replace(found, agreements=(found.agreements or 0) + 1))
    books.count(partner, "used")


def has_earned(partner: str, books: Books) -> bool:
    """Whether anything ever happened to a partner's money, or to a line of its: all but agreements."""
    found = books.position(partner)
    return found.used != (found.agreements or 0)


def emit(partner: str, event: object, books: Books) -> None:
    """Say what happened, as the partner's next event."""
    books.emit(partner, event)
