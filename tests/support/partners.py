"""The invariants of what is agreed with partners: closings' steps, reserves and advances, worked out a second time.

Day by day and in fractions, of what the documents say, in the order in which the facts were applied.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from domain.invoicing.model import Invoice, InvoiceLine
from domain.ledger.positions import Position
from domain.payments.model import Payment
from domain.settlement.accruals import Accrual
from domain.settlement.advances import Advance
from domain.settlement.agreements import AgreedTerms, Agreement
from domain.settlement.documents import SettlementDocument
from domain.settlement.earnings import Earnings
from domain.settlement.payouts import Payout
from domain.settlement.reserves import Reserve
from domain.settlement.statements import Settlement, SettlementLine
from domain.settlement.terms import ClosingTerms, Tiers
from domain.settlement.tiers import TierPeriod
from tests.support.agreed_terms import MONTHS, first_type, half_away, known, later, made_at, of_day, on_day
from tests.support.ledger_book import LedgerBook

STEP_ENTRIES = ("advance.paid:", "reserve.release:")
"""How the identities begin of facts that always have an entry."""


def entries_of_steps(book: LedgerBook) -> set[str]:
    """The identities of closings with steps, and of releases by a day: they have an entry, others of theirs none."""
    of_documents = {
        one.cause
        for one in book.documents[SettlementDocument].values()
        if one.type_code in ("380", "381") or any(item.tax_amount or item.reverse_charge for item in one.tax_item)
    }
    return of_documents | {row.cause for row in book.documents[Accrual].values() if row.step is not None}


def assert_agreed(book: LedgerBook) -> None:
    """What closings added, hold back and have recouped is what was agreed as each was made."""
    _earnings_are_what_statements_say(book)
    _balances_are_of_their_rows(book)
    _payouts_withhold_what_was_agreed(book)
    _tiers_are_what_lines_come_to(book)
    order = {identity: n for n, identity in enumerate(book.applied)}
    for partner in {one.settlement_account for one in book.documents[Settlement].values()}:
        _closings_follow_agreements(partner, book, order)
    for reserve in book.documents[Reserve].values():
        assert 0 <= reserve.remaining <= reserve.amount, reserve
        rows = [r for r in book.documents[Accrual].values() if r.step and r.step.settlement == reserve.id]
        assert sorted((r.cause, r.amount, r.date) for r in rows) == sorted(
            (one.cause, one.amount, one.date) for one in reserve.releases
        ), reserve


def _is_earned(line: SettlementLine) -> bool:
    return line.step is None or line.step.kind == "trueUp"


def due_of(tiers: Tiers, net: int) -> int:
    """What tiers come to of a period's net, unit by unit of what each step holds."""
    if net <= 0:
        return half_away(net * Fraction(tiers.steps[0].share))
    due, below = Fraction(0), 0
    for step in tiers.steps:
        end = net if step.up_to is None else min(net, step.up_to)
        due += Fraction(step.share) * max(0, end - below)
        below = max(below, end)
        if step.up_to is None or net <= step.up_to:
            return half_away(due if tiers.mode == "graduated" else net * Fraction(step.share))
    raise AssertionError(tiers)


def tiered_share_left(line: InvoiceLine, credited: int) -> int:
    """What is left of a share by tiers, of which a credit takes its part."""
    assert line.on_behalf_of is not None
    assert line.on_behalf_of.tier is not None
    first, net = line.on_behalf_of.tier.share, line.tax_excluded_amount
    return first - half_away(Fraction(first * credited, net)) if net else first


def _tiers_are_what_lines_come_to(book: LedgerBook) -> None:
    """Each period has the nets and shares of its lines and its true-ups; those that no closing has to do are done."""
    nets: Counter[str] = Counter()
    shares: Counter[str] = Counter()
    trued: Counter[str] = Counter()
    for invoice in book.documents[Invoice].values():
        credited = {line.line_id: line.credited for line in invoice.corrected.lines}
        for line in invoice.lines:
            part = line.on_behalf_of
            if part is not None and part.freed is not None:
                _is_freed_by_payments(invoice, line, credited.get(line.id, 0), book)
                assert part.agreement is not None
                for one in part.freed:
                    id_ = f"{part.agreement.id}/{part.agreement.revision}/{one.start}"
                    nets[id_] += one.net
                    shares[id_] += one.share
            if part is None or part.tier is None:
                continue
            assert part.agreement is not None
            assert (part.partner_share, part.accrue_on) == (None, "invoice"), (invoice.id, line.id)
            id_ = f"{part.agreement.id}/{part.agreement.revision}/{part.tier.start}"
            nets[id_] += line.tax_excluded_amount - credited.get(line.id, 0)
            shares[id_] += part.share
            if line.origin is None or line.origin.corrects is None:
                _is_by_tiers(line, book.get(TierPeriod, id_).tiers)
            else:
                assert part.tier.share == _taken_back(line, book), (invoice.id, line.id)
    for row in book.documents[Accrual].values():
        step = row.step
        if step is not None and step.kind == "trueUp":
            trued[f"{step.agreement}/{step.revision}/{step.start}"] += row.amount
            period = book.get(TierPeriod, f"{step.agreement}/{step.revision}/{step.start}")
            assert step.base is not None
            assert step.of == due_of(period.tiers, step.base), row
    for period in book.documents[TierPeriod].values():
        told = (period.net, period.share, period.trued)
        assert told == (nets.pop(period.id, 0), shares[period.id], trued.pop(period.id, 0)), period
        assert period.due == due_of(period.tiers, period.net), period
        assert period.difference == due_of(period.tiers, period.net) - period.share - period.trued, period
        agreement = book.get(Agreement, period.agreement)
        assert period.tiers == agreement.agreed[period.revision - 1].terms.tiers, period
        assert period.settlement_account == agreement.settlement_account, period
        months = (period.start.year - agreement.start.year) * 12 + period.start.month - agreement.start.month
        assert not months % MONTHS[period.tiers.period], period
        assert period.start == later(agreement.start, months), period
        end = later(agreement.start, months + MONTHS[period.tiers.period])
        # What an agreement has sold is paid after it too.
        ends = agreement.end is not None and agreement.agreed[period.revision - 1].terms.accrue_on == "invoice"
        assert period.end == (min(end, agreement.end) if ends and agreement.end else end), period
    assert not nets, nets
    assert not trued, trued


def _is_freed_by_payments(invoice: Invoice, line: InvoiceLine, credited: int, book: LedgerBook) -> None:
    """The first step's share; what has accrued of it, and the net which that is of, by period, as rows are dated."""
    part = line.on_behalf_of
    assert part is not None
    assert part.freed is not None
    assert part.agreement is not None
    agreement = book.get(Agreement, part.agreement.id)
    terms = agreement.agreed[part.agreement.revision - 1].terms
    assert terms.tiers is not None
    assert (terms.accrue_on, terms.tiers.mode) == ("payment", "graduated"), agreement
    first = terms.tiers.steps[0].share
    assert (part.partner_share, part.accrue_on, part.tier) == (first, "payment", None), (invoice.id, line.id)
    left, billed = line.tax_excluded_amount - credited, invoice.billed
    net = half_away(Fraction(left * invoice.allocated, billed)) if billed else left
    assert sum(one.net for one in part.freed) == net, (invoice.id, line.id)
    assert sum(one.share for one in part.freed) == part.accrued, (invoice.id, line.id)
    assert all(one.net or one.share for one in part.freed), (invoice.id, line.id)
    rows = [
        row
        for row in book.documents[Accrual].values()
        if (row.bill_no, row.line_id, row.adjustment_id) == (invoice.id, line.id, None)
    ]
    if part.issued is None:
        by_period: Counter[date] = Counter()
        for row in rows:
            months = 0
            step = MONTHS[terms.tiers.period]
            while later(agreement.start, months) > row.date:
                months -= step
            while later(agreement.start, months + step) <= row.date:
                months += step
            by_period[later(agreement.start, months)] += row.amount
        told = {one.start: one.share for one in part.freed if one.share}
        assert told == {start: amount for start, amount in by_period.items() if amount}, (invoice.id, line.id)


def _is_by_tiers(line: InvoiceLine, tiers: Tiers) -> None:
    part = line.on_behalf_of
    assert part is not None
    assert part.tier is not None
    before, after = part.tier.before, part.tier.before + line.tax_excluded_amount
    if tiers.mode == "graduated":
        assert part.tier.share == due_of(tiers, after) - due_of(tiers, before), line
    else:
        of = next(Fraction(step.share) for step in tiers.steps if step.up_to is None or after <= step.up_to)
        assert part.tier.share == half_away(line.tax_excluded_amount * of), line


def _taken_back(line: InvoiceLine, book: LedgerBook) -> int:
    assert line.origin is not None
    assert line.origin.corrects is not None
    at = line.origin.corrects
    [taken] = [one for one in book.get(Invoice, at.bill_no).lines if one.id == at.line_id]
    assert taken.on_behalf_of is not None
    assert taken.on_behalf_of.tier is not None
    return half_away(Fraction(taken.on_behalf_of.tier.share * line.tax_excluded_amount, taken.tax_excluded_amount))


def _earnings_are_what_statements_say(book: LedgerBook) -> None:
    days: Counter[tuple[str, date]] = Counter()
    guaranteed: Counter[tuple[str, str, date, str | None]] = Counter()
    for statement in book.documents[Settlement].values():
        for line in statement.lines:
            if _is_earned(line):
                days[statement.settlement_account, line.date] += line.amount
            elif line.step is not None and line.step.kind == "guarantee":
                assert line.step.agreement is not None
                assert line.step.start is not None
                key = (statement.settlement_account, line.step.agreement, line.step.start, line.step.type)
                guaranteed[key] += line.amount
    told: Counter[tuple[str, date]] = Counter()
    topped: Counter[tuple[str, str, date, str | None]] = Counter()
    for year in book.documents[Earnings].values():
        assert year.id == f"{year.settlement_account}/{year.year}"
        for day in year.days:
            assert day.date.year == year.year
            told[year.settlement_account, day.date] = day.amount
        for one in year.guaranteed:
            assert one.start.year == year.year
            topped[year.settlement_account, one.agreement, one.start, one.type] = one.amount
    assert told == days
    assert topped == guaranteed


def _balances_are_of_their_rows(book: LedgerBook) -> None:
    reserve: Counter[str] = Counter()
    advance: Counter[str] = Counter()
    for one in book.documents[Reserve].values():
        reserve[one.settlement_account] += one.remaining
    for paid in book.rows[Advance].values():
        advance[paid.settlement_account] += paid.amount
    for row in book.documents[Accrual].values():
        if row.step is not None and row.step.kind == "recoupment":
            advance[row.settlement_account] += row.amount
    for position in book.documents[Position].values():
        assert (position.reserve or 0, position.advance or 0) == (reserve[position.id], advance[position.id]), position
        assert (position.advance or 0) >= 0, position


def _closings_follow_agreements(partner: str, book: LedgerBook, order: dict[str, int]) -> None:
    closings: dict[str, list[Settlement]] = defaultdict(list)
    for statement in book.documents[Settlement].values():
        if statement.settlement_account == partner:
            closings[statement.closing_id].append(statement)
    paid = [
        (order[f"advance.paid:{row.id}"], row.amount)
        for row in book.rows[Advance].values()
        if row.settlement_account == partner
    ]
    earned: Counter[date] = Counter()
    stated: Counter[tuple[str, date, str | None]] = Counter()
    recouped = 0
    for closing_id, statements in sorted(closings.items(), key=lambda item: made_at(item[0], order)):
        made, until = made_at(closing_id, order), statements[0].period_end
        now = _stated_now(statements, earned, stated)
        agreements = known(partner, made, book, order)
        for key, amount in _guaranteed(agreements, until, earned).items():
            assert stated[key] == amount, (closing_id, key, amount)
        terms = on_day(agreements, until)
        closing = ClosingTerms() if terms is None else terms.closings
        base = max(0, now["earned"] + now["guarantee"])
        left = sum(amount for when, amount in paid if when < made) - recouped
        assert -now["recoupment"] == min(left, base), (closing_id, left, base)
        recouped -= now["recoupment"]
        _is_held_back(book, statements[-1], base + now["recoupment"], -now["holdback"], closing)
        for one in statements:
            _is_paid_from_the_threshold_on(book, one, closing)


def _stated_now(
    statements: list[Settlement], earned: Counter[date], stated: Counter[tuple[str, date, str | None]]
) -> Counter[str]:
    """What a closing states of each kind; adds what it says was earned to its days, and guarantees to their periods."""
    each = ("release", "selfBilledTax", "commission")
    assert not any(line.step and line.step.kind not in each for one in statements[:-1] for line in one.lines)
    now = Counter[str]()
    for line in (line for one in statements for line in one.lines):
        if _is_earned(line):
            earned[line.date] += line.amount
            now["earned"] += line.amount
        elif line.step is not None:
            now[line.step.kind] += line.amount
        if line.step is not None and line.step.kind == "guarantee":
            assert line.step.agreement is not None
            assert line.step.start is not None
            stated[line.step.agreement, line.step.start, line.step.type] += line.amount
    return now


def _is_held_back(book: LedgerBook, last: Settlement, base: int, held: int, closing: ClosingTerms) -> None:
    rate = Fraction(0) if closing.holdback is None else Fraction(closing.holdback.rate)
    assert held == half_away(rate * base), (last.id, base, held)
    if held:
        assert closing.holdback is not None
        kept = book.get(Reserve, last.id)
        days = timedelta(days=closing.holdback.release_after_days)
        assert (kept.amount, kept.release_on) == (held, last.period_end + days)


def _is_paid_from_the_threshold_on(book: LedgerBook, one: Settlement, closing: ClosingTerms) -> None:
    if one.threshold is not None:
        assert one.threshold == closing.payout_threshold
        assert 0 < one.total < one.threshold
    elif 0 < one.total < (closing.payout_threshold or 0):
        assert "pendingClose" in {version.account.state for version in book.versions(one.settlement_account)}, one


def _payouts_withhold_what_was_agreed(book: LedgerBook) -> None:
    """At each rate the sum over what stands, which is the tax of the whole base where all is paid at one rate.

    Transfers, tax and what was netted make up what is paid.
    """
    for one in book.documents[Settlement].values():
        payouts = [row for row in book.documents[Payout].values() if row.settlement_id == one.id]
        standing = [row for row in payouts if row.returned is None]
        netted = book.documents[Payment].get(f"netting~{one.id}")
        assert one.paid == sum(row.amount for row in standing) + (0 if netted is None else netted.amount), one
        assert (one.netted or 0) == (0 if netted is None else netted.amount), one
        assert one.tax_withheld == sum(row.tax for row in standing), one
        request, terms = one.request, one.withholding
        is_of_all = request is not None and request.number == 1 and request.amount == one.total
        if request is not None and is_of_all and request.netted and (terms is None or terms.certificate is None):
            assert request.transferred >= (one.self_billed_tax or 0), (one, "the tax of documents was netted")
        by_rate: Counter[Decimal] = Counter()
        for row in standing:
            assert 0 <= row.transferred <= row.amount, row
            if row.withheld is not None:
                by_rate[row.withheld.rate] += row.withheld.base
        if one.withholding is None:
            assert not by_rate, one
            continue
        surcharge = Fraction(one.withholding.surcharge_on_tax or 0)
        for withheld in one.withheld or ():
            here = [row for row in standing if row.withheld is not None and row.withheld.rate == withheld.rate]
            assert withheld.base == by_rate[withheld.rate], one
            assert withheld.amount == sum(row.tax for row in here), one
            tax = half_away(Fraction(withheld.rate) * withheld.base)
            off = withheld.amount - tax - half_away(surcharge * tax)
            # A part can't have more tax than it pays, nor leave more than the rest pays; one that came back took along
            # what it had evened, which the next one at its rate evens.
            back = sum(p.withheld is not None and p.withheld.rate == withheld.rate for p in payouts) - len(here)
            alone = sum(row.amount for row in here) == one.total - (one.netted or 0)
            all_kept = any(row.tax == row.amount for row in here)
            assert off == 0 or (off < 0 and all_kept) or (not alone and abs(off) <= 2 * (1 + back)), one
        if one.state == "paid" and standing:
            base = max(0, one.total - (one.self_billed_tax or 0))
            assert sum(by_rate.values()) == base, (one, "tax is of all but the tax of documents, before netting")


def _guaranteed(
    agreements: list[tuple[Agreement, list[AgreedTerms]]], until: date, earned: Counter[date]
) -> dict[tuple[str, date, str | None], int]:
    """What is to be stated in all of each period of a guarantee that has ended, of every type that was ever agreed."""
    due: dict[tuple[str, date, str | None], int] = {}
    for one, agreed in agreements:
        said = [terms.closing.guarantee.period for terms in agreed if terms.closing and terms.closing.guarantee]
        kinds = list(dict.fromkeys(said))
        for kind in kinds:
            for n in range(500):
                start, end = later(one.start, n * MONTHS[kind]), later(one.start, (n + 1) * MONTHS[kind])
                if (end if one.end is None else min(end, one.end)) > until + timedelta(days=1):
                    break
                if one.end is not None and start >= one.end:
                    break
                amount, base, days = Fraction(0), 0, (end - start).days
                for day in (start + timedelta(days=k) for k in range(days)):
                    if one.end is not None and day >= one.end:
                        break
                    guarantee = (closing := of_day(agreed, day).closing) and closing.guarantee
                    if guarantee and guarantee.period == kind:
                        amount += Fraction(guarantee.amount, days)
                        base += earned[day]
                key = (one.id, start, None if kind == first_type(one, kinds, start) else kind)
                due[key] = max(0, half_away(amount) - max(0, base))
    return due
