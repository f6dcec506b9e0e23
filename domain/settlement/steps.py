"""The steps of a closing: what agreements have it add to what was earned, in the contract's order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

from domain.accounts.model import Account
from domain.frozen import dataclass
from domain.ledger.books import Books, Need, WorkingSet
from domain.money import share_of
from domain.settlement import position
from domain.settlement.accruals import Accrual, Step
from domain.settlement.agreements import Agreement, closing_terms_on, has_agreements, terms_needs
from domain.settlement.earnings import earnings_needs, note_earned, note_guaranteed
from domain.settlement.fees import fees_due, fees_needs
from domain.settlement.guarantees import guarantee_needs, top_ups, topped_up
from domain.settlement.issuing import Item, step_row
from domain.settlement.reserves import Reserve, hold
from domain.settlement.terms import ClosingTerms
from domain.settlement.tiers import TierPeriod, id_of, open_tiers_needs, to_true_up, true_up
from domain.settlement.turns import PeriodKey


@dataclass(frozen=True, slots=True)
class Steps:
    """What a closing adds: the rows of it, in order, what is held back, and the fees that it charges."""

    rows: tuple[Accrual, ...] = ()
    reserve: Reserve | None = None
    fees: tuple[Item, ...] = ()


def steps_needs(partner: str, until: date, books: WorkingSet) -> Iterator[Need]:
    """What the steps of a closing look at, as far as that can be told from what is loaded so far."""
    yield from terms_needs(partner, books)
    yield from open_tiers_needs(partner, books)
    yield from earnings_needs(partner, (min(one.last, until).year for one in books.known(TierPeriod, partner)))
    agreements = list(books.known(Agreement, partner))
    yield from guarantee_needs(partner, agreements, until)
    yield from fees_needs(partner, agreements, until)


def payout_threshold(account: Account, terms: ClosingTerms, total: int) -> int | None:
    """The threshold of payouts that a total (minor units) is less than; None where it is not.

    An account that is to be closed is paid whatever it has.
    """
    threshold = terms.payout_threshold
    held = threshold is not None and 0 < total < threshold and account.state != "pendingClose"
    return threshold if held else None


def work_out_steps(account: Account, until: date, settlement_id: str, earned: int, books: Books) -> Steps:
    """What a closing up to a day adds to what it states as earned in all (minor units), all of which is noted.

    First what tiers come to beside the shares of their lines, which is earned as these are; then what guarantees add;
    then min(advances left, max(0, earned + guarantees)) is recouped; of max(0, that sum less what was recouped) the
    rate that is agreed on the day is held back. The rows are not in the books yet.
    """
    rows: list[Accrual] = []
    agreements = list(books.queue(Agreement, account.id)) if has_agreements(books.position(account.id)) else []
    for period in to_true_up(account.id, until, books):
        step = Step(
            "trueUp",
            period.agreement,
            period.start,
            period.last,
            of=period.due,
            base=period.net,
            revision=period.revision,
        )
        rows.append(step_row(account, f"trueUp/{period.id}", period.difference, min(period.last, until), step, books))
    sum_ = earned + sum(row.amount for row in rows)
    for step, amount in top_ups(account.id, agreements, until, tuple(rows), books):
        assert step.end is not None
        key = f"guarantee/{step.agreement}/{step.start}" + ("" if step.type is None else f"/{step.type}")
        rows.append(step_row(account, key, amount, step.end, step, books))
        sum_ += amount
    recouped = min(position.advanced(account.id, books), max(0, sum_))
    if recouped:
        step = Step("recoupment", base=max(0, sum_))
        rows.append(step_row(account, "recoupment", -recouped, until, step, books))
    holdback = closing_terms_on(account.id, until, books).holdback
    reserve = None
    base = max(0, sum_ - recouped)
    if holdback is not None and (held := share_of(base, holdback.rate)):
        days = min(holdback.release_after_days, (date.max - until).days)
        reserve = Reserve(
            id=settlement_id,
            settlement_account=account.id,
            currency=account.currency,
            base=base,
            rate=holdback.rate,
            amount=held,
            held_on=until,
            release_on=until + timedelta(days=days),
            booked_at=books.booked_at,
        )
        step = Step("holdback", base=base, rate=holdback.rate, end=reserve.release_on)
        rows.append(step_row(account, "holdback", -held, until, step, books))
    return Steps(tuple(rows), reserve, tuple(fees_due(account.id, agreements, until, books)))


def book_steps(account: Account, steps: Steps, books: Books) -> None:
    """Post what the steps of a closing come to; their rows are stated."""
    if steps.rows:
        books.open_entry(books.booked_at, account.kept_in)
    note_earned(account.id, steps.rows, books)
    for row in steps.rows:
        step = row.step
        assert step is not None
        if step.kind == "trueUp":
            position.adjust(account.id, row.amount, books)
            true_up(id_of(step.agreement, step.revision, step.start), row.amount, books)
        elif step.kind == "guarantee":
            assert step.agreement is not None
            assert step.start is not None
            assert step.of is not None
            assert step.base is not None
            position.top_up(account.id, row.amount, books)
            key = PeriodKey(step.agreement, step.start, step.type)
            note_guaranteed(account.id, key, topped_up(step.of, step.base), books)
        elif step.kind == "recoupment":
            position.recoup(account.id, -row.amount, books)
    if steps.reserve is not None:
        hold(steps.reserve, books)
