"""The invariants of statements' documents, worked out a second time: of rows and terms, note by note."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from fractions import Fraction

from domain.corrections.model import CreditNote
from domain.invoicing.model import Invoice
from domain.ledger.entries import Entry
from domain.ledger.numbering import Series
from domain.settlement.accruals import Accrual
from domain.settlement.agreements import AgreedTerms, Agreement
from domain.settlement.documents import SettlementDocument
from domain.settlement.earnings import Earnings
from domain.settlement.statements import Settlement
from domain.settlement.terms import ClosingTerms
from tests.support.agreed_terms import MONTHS, first_type, half_away, known, later, made_at, of_day, on_day
from tests.support.ledger_book import LedgerBook, ledger_name

Group = tuple[str, Fraction, Fraction | None]
"""A category, a rate, and one of reverse charge."""


def assert_documents(book: LedgerBook) -> None:
    """Documents are what statements say, their numbers run without a gap, and no note takes more than there is."""
    order = {identity: n for n, identity in enumerate(book.applied)}
    of_lines: dict[str, list[Accrual]] = defaultdict(list)
    for row in book.documents[Accrual].values():
        if row.step is None and row.adjustment_id is None:
            of_lines[_line(row)].append(row)
    for statement in book.documents[Settlement].values():
        _are_what_was_stated(statement, book, order, of_lines)
    _notes_take_what_is_left(book)
    _numbers_run_without_gap(book)
    _fees_are_charged_once(book, order)
    _are_posted(book)
    _are_held_where_they_were_carried(book)
    for document in book.documents[SettlementDocument].values():
        state = "issued" if not document.said else document.said[-1].state
        hold = book.settlement(document.settlement_id).hold
        assert (hold is not None and document.id in hold.documents) == (state == "disputed"), document


def _are_held_where_they_were_carried(book: LedgerBook) -> None:
    """What was brought forward of a disputed document's statement, as far as later ones left it, is not paid."""
    disputed: dict[str, set[str]] = defaultdict(set)
    for document in book.documents[SettlementDocument].values():
        if document.said and document.said[-1].state == "disputed":
            disputed[document.settlement_id].add(document.id)
    for statement in book.documents[Settlement].values():
        before, chain = statement.brought_forward_from, list[Settlement]()
        while before is not None:
            chain.append(book.settlement(before))
            before = chain[-1].brought_forward_from
        held, by = 0, set[str]()
        for one in reversed(chain):
            by |= disputed[one.id]
            own = max(0, sum(line.amount for line in one.disputed or ()))
            if own and one.report is not None:
                by |= {one.report}
            held = max(0, one.total) if disputed[one.id] else min(held + own, max(0, one.total))
            by = by if held else set()
        found, is_held = statement.held_forward, (0, set[str]())
        if found is not None:
            is_held = (found.amount, {*found.documents, *(found.reports or ())})
        assert (held, by) == is_held, statement.id


def numbers(book: LedgerBook) -> list[str]:
    """All numbers that were given."""
    notes = [note.bill_no for note in book.documents[CreditNote].values()]
    return [*book.documents[Invoice], *notes, *book.documents[SettlementDocument]]


def _numbers_run_without_gap(book: LedgerBook) -> None:
    given = {series.id: series.last for series in book.documents[Series].values()}
    found: dict[str, list[int]] = defaultdict(list)
    for number in numbers(book):
        found[number[:-9]].append(int(number[-9:]))
    for prefix, of_series in found.items():
        assert sorted(of_series) == list(range(1, given.pop(prefix) + 1)), prefix
    assert not any(given.values()), given


def _of_statement(statement: Settlement, book: LedgerBook) -> list[SettlementDocument]:
    return [one for one in book.documents[SettlementDocument].values() if one.settlement_id == statement.id]


def _sign(document: SettlementDocument) -> int:
    return -1 if document.type_code in ("261", "381") else 1


def _line(row: Accrual) -> str:
    return f"{row.bill_no}/{row.line_id}"


def _is_of_agent(row: Accrual, book: LedgerBook) -> bool:
    """Whether what a row is of was sold in the partner's name."""
    if row.bill_no is None:
        return False
    parts = [one.on_behalf_of for one in book.get(Invoice, row.bill_no).lines if one.id == row.line_id]
    return any(part is not None and part.agent is not None for part in parts)


def _taken_back(line: str, book: LedgerBook) -> str | None:
    """The line that a line takes back."""
    bill_no, _, line_id = line.rpartition("/")
    [origin] = [one.origin for one in book.get(Invoice, bill_no).lines if one.id == line_id]
    back = None if origin is None else origin.corrects
    return None if back is None else f"{back.bill_no}/{back.line_id}"


def _day(rows: list[Accrual], of_lines: dict[str, list[Accrual]], book: LedgerBook) -> date:
    """The day of what rows of a statement are of: the first that is no correction, else the first of what they correct.

    That is their line's, or that of the line that it takes back, where there are rows of that.
    """
    days = [row.date for row in rows]
    if rows[0].bill_no is None:
        return min(days)
    line: str | None = _line(rows[0])
    assert line is not None
    new = [row.date for row in rows if row.amount > 0 and row.adjustment_id is None and row.corrects is None]
    if new and _taken_back(line, book) is None:
        return min(new)
    while line is not None and of_lines.get(line):
        days = [row.date for row in of_lines[line]]
        line = _taken_back(line, book)
    return min(days)


def _are_what_was_stated(
    statement: Settlement, book: LedgerBook, order: dict[str, int], of_lines: dict[str, list[Accrual]]
) -> None:
    """What is above zero of lines that are self-billed is invoiced; of what is below no less than of these is noted."""
    documents = _of_statement(statement, book)
    made = made_at(statement.closing_id, order)
    agreements = known(statement.settlement_account, made, book, order)
    booked = {line: [row for row in rows if order[row.cause] < made] for line, rows in of_lines.items()}
    stated: dict[str, list[Accrual]] = defaultdict(list)
    commissions: Counter[Group] = Counter()
    for line in statement.lines:
        kind = "line" if line.step is None else line.step.kind
        row = book.get(Accrual, line.accrual_id)
        if row.commission is not None:
            commissions[_group(row.commission.category, row.commission.rate, None)] += row.commission.amount
        elif kind in ("line", "trueUp", "guarantee") and not _is_of_agent(row, book):
            alone = line.step is not None or line.adjustment_id is not None
            stated[line.accrual_id if alone else _line(row)].append(row)
    earned: Counter[Group] = Counter()
    fell, fell_at_most = 0, 0
    for rows in stated.values():
        net = sum(row.amount for row in rows)
        terms = on_day(agreements, _day(rows, booked, book))
        bills = None if terms is None else terms.closings.self_billing
        if net > 0 and bills is not None:
            reverse = None if bills.reverse_charge_rate is None else Fraction(bills.reverse_charge_rate)
            earned[bills.category, Fraction(bills.rate), reverse] += net
        elif net < 0:
            fell_at_most -= net
            fell -= net if bills is not None else 0
    invoiced: Counter[Group] = Counter()
    noted = 0
    for one in documents:
        assert one.settlement_account == statement.settlement_account
        _adds_up(one)
        for item in one.tax_item:
            group = _group(item.category, item.rate, item.reverse_charge_rate)
            if one.type_code == "389":
                invoiced[group] += item.tax_excluded_amount
            noted += item.tax_excluded_amount if one.type_code == "261" else 0
    assert invoiced == earned, statement.id
    assert fell <= noted <= fell_at_most, (statement.id, fell, noted, fell_at_most)
    rows_of = _added(statement)
    tax = sum(_sign(one) * _tax(one) for one in documents if one.type_code in ("389", "261"))
    ours = sum(_sign(one) * one.tax_included_amount for one in documents if one.type_code in ("380", "381"))
    commissions.subtract(_commissions_of(documents))
    assert not any(commissions.values()), (statement.id, commissions)
    assert rows_of["selfBilledTax"] == tax, statement.id
    assert rows_of["fee"] + rows_of["commission"] == -ours, statement.id
    before = 0
    if statement.brought_forward_from is not None:
        before = book.settlement(statement.brought_forward_from).self_billed_tax or 0
    assert (statement.self_billed_tax or 0) == before + tax, statement.id


def _commissions_of(documents: list[SettlementDocument]) -> Counter[Group]:
    """What documents charge of commission, by its tax."""
    charged: Counter[Group] = Counter()
    for one in documents:
        for line in one.lines:
            if line.kind == "commission":
                charged[_group(line.category, line.rate, None)] += _sign(one) * line.amount
    return charged


def _added(statement: Settlement) -> Counter[str]:
    """What a statement's lines come to that are no accruals, by kind."""
    added = Counter[str]()
    for line in statement.lines:
        if line.step is not None:
            added[line.step.kind] += line.amount
    return added


def _adds_up(document: SettlementDocument) -> None:
    assert document.tax_excluded_amount == sum(line.amount for line in document.lines) > 0, document
    assert document.tax_excluded_amount == sum(item.tax_excluded_amount for item in document.tax_item), document
    assert document.tax_included_amount == document.tax_excluded_amount + _tax(document), document
    assert all(line.amount > 0 for line in document.lines), document


def _tax(document: SettlementDocument) -> int:
    return sum(item.tax_amount for item in document.tax_item)


def _group(category: str, rate: object, reverse: object) -> Group:
    return category, Fraction(str(rate)), None if reverse is None else Fraction(str(reverse))


def _notes_take_what_is_left(book: LedgerBook) -> None:
    """Taxes are those of all that fell to date, note by note; never more of an invoice than there is."""
    fallen: dict[tuple[str, Group], int] = Counter()
    taken: dict[tuple[str, Group], tuple[int, int]] = defaultdict(lambda: (0, 0))
    documents = sorted(book.documents[SettlementDocument].values(), key=lambda one: (one.booked_at, one.id))
    for one in documents:
        for item in one.tax_item:
            group = _group(item.category, item.rate, item.reverse_charge_rate)
            net = item.tax_excluded_amount
            before = (0, 0)
            if one.corrects is not None:
                assert (
                    one.type_code == {"389": "261", "380": "381"}[book.get(SettlementDocument, one.corrects).type_code]
                )
                key = one.corrects, group
                fallen[key] += net
                net, before = fallen[key], taken[key]
            tax, reverse = half_away(net * group[1]), half_away(net * (group[2] or 0))
            assert (item.tax_amount, item.reverse_charge) == (tax - before[0], reverse - before[1]), one
            if one.corrects is not None:
                taken[one.corrects, group] = (tax, reverse)
    for one in documents:
        credited = {
            _group(part.category, part.rate, part.reverse_charge_rate): (
                part.tax_excluded_amount,
                part.tax_amount,
                part.reverse_charge,
            )
            for part in one.credited or ()
        }
        due = {group: (net, *taken[one.id, group]) for (number, group), net in fallen.items() if number == one.id}
        assert credited == due, one
        for item in one.tax_item:
            group = _group(item.category, item.rate, item.reverse_charge_rate)
            assert fallen.get((one.id, group), 0) <= item.tax_excluded_amount, one


def _fees_are_charged_once(book: LedgerBook, order: dict[str, int]) -> None:
    """What was charged of each period less what notes took back is kept, and was agreed at the last closing."""
    charged: Counter[tuple[str, str, date, str | None]] = Counter()
    of_invoice: Counter[tuple[str, str, date, str | None, str]] = Counter()
    for one in book.documents[SettlementDocument].values():
        for line in one.lines:
            if line.kind == "fee":
                assert line.agreement is not None
                key = (one.settlement_account, line.agreement, line.start, line.type)
                charged[key] += _sign(one) * line.amount
                of_invoice[*key, one.corrects or one.id] += _sign(one) * line.amount
    kept: dict[tuple[str, str, date, str | None], int] = {}
    for year in book.documents[Earnings].values():
        for fee in year.charged or ():
            key = (year.settlement_account, fee.agreement, fee.start, fee.type)
            kept[key] = fee.amount
            for part in fee.of_invoices:
                assert of_invoice.pop((*key, part.document)) == part.amount > 0, (key, part)
    assert not any(of_invoice.values()), of_invoice
    assert {key: amount for key, amount in kept.items() if amount} == {k: a for k, a in charged.items() if a}
    for partner in {one.settlement_account for one in book.documents[Settlement].values()}:
        closings = {
            one.closing_id: one.period_end
            for one in book.documents[Settlement].values()
            if one.settlement_account == partner
        }
        last = max(closings, key=lambda one: made_at(one, order))
        agreements = known(partner, made_at(last, order), book, order)
        for (agreement, start, kind), amount in _fees_of(agreements, closings[last]).items():
            assert kept.get((partner, agreement, start, kind), 0) == amount, (agreement, start, kind, amount)


def _fees_of(
    agreements: list[tuple[Agreement, list[AgreedTerms]]], until: date
) -> dict[tuple[str, date, str | None], int]:
    """What is to be charged in all of each period of a fee that has ended, of every type that was ever agreed."""
    due: dict[tuple[str, date, str | None], int] = {}
    for one, agreed in agreements:
        said = [terms.closing.fixed_fee.period for terms in agreed if terms.closing and terms.closing.fixed_fee]
        kinds = list(dict.fromkeys(said))
        for kind in kinds:
            for n in range(500):
                start, end = later(one.start, n * MONTHS[kind]), later(one.start, (n + 1) * MONTHS[kind])
                if (end if one.end is None else min(end, one.end)) > until + timedelta(days=1):
                    break
                if one.end is not None and start >= one.end:
                    break
                amount, days = Fraction(0), (end - start).days
                for day in (start + timedelta(days=k) for k in range(days)):
                    if one.end is not None and day >= one.end:
                        break
                    fee = (of_day(agreed, day).closing or ClosingTerms()).fixed_fee
                    if fee is not None and fee.period == kind:
                        amount += Fraction(fee.amount, days)
                key = (one.id, start, None if kind == first_type(one, kinds, start) else kind)
                due[key] = half_away(amount)
    return due


def _are_posted(book: LedgerBook) -> None:
    """Each closing has posted the tax of its self-billed documents, the revenue and the commission of ours."""
    due: dict[str, Counter[str]] = defaultdict(Counter)
    for one in book.documents[SettlementDocument].values():
        due[one.cause].update(_to_be_posted(one))
    for row in book.documents[Accrual].values():
        if row.step is not None and row.step.kind == "trueUp":
            due[row.cause]["commission"] += row.amount
    for entry in book.rows[Entry].values():
        posted = Counter[str]()
        if entry.id.startswith(("settlement.close:", "settlement.continue:")):
            for posting in entry.postings:
                if posting.account in ("tax", "inputTax", "revenue", "commission"):
                    posted[ledger_name(posting)] += posting.amount
        assert _amounts(posted) == _amounts(due.pop(entry.id, Counter())), entry
    for cause, amounts in due.items():
        assert not any(amounts.values()), cause
    for row in book.documents[Accrual].values():
        assert row.document is None or row.document in book.documents[SettlementDocument], row


def _to_be_posted(document: SettlementDocument) -> Counter[str]:
    due, sign = Counter[str](), _sign(document)
    for item in document.tax_item:
        if document.type_code in ("389", "261"):
            due[f"inputTax {item.category} {item.rate:f}"] += sign * item.tax_amount
            if item.reverse_charge_rate is not None:
                name = f"{item.category} {item.reverse_charge_rate:f}"
                due[f"inputTax {name}"] += sign * item.reverse_charge
                due[f"tax {name}"] -= sign * item.reverse_charge
        else:
            due[f"tax {item.category} {item.rate:f}"] -= sign * item.tax_amount
    for line in document.lines:
        if line.kind in ("fee", "commission"):
            due["revenue" if line.kind == "fee" else "commission"] -= sign * line.amount
    return due


def _amounts(sums: Counter[str]) -> dict[str, int]:
    return {name: amount for name, amount in sums.items() if amount}
