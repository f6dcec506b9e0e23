"""Whatever is adjusted, stated, paid and sent back, in any order: the invariants stand, and a partner can leave."""

import asyncio
from collections import Counter
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from adapters.settlement.queries import preview
from domain.invoicing.model import Invoice
from domain.settlement.closing import SettlementClosed
from domain.settlement.documents import SelfBillingIssued, SettlementInvoiced
from domain.settlement.payouts import Payout
from domain.settlement.statements import Settlement
from schemas.settlement.events import document_json, settlement_json
from schemas.settlement.queries import SettlementPreview
from tests.support.fitting_facts import BOOLEANS, one_of, part_of
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import (
    EUR,
    JPY,
    KWD,
    LedgerBook,
    adjustment,
    agent_of,
    agreement,
    billing,
    closing,
    command,
    credit_note,
    fixed_fee,
    line,
    order,
    partner,
    payment,
    payout,
    payout_return,
    report,
    reversal,
    self_billing,
    tiers,
)
from tests.support.steady import STEADY, looked_at, steady, until

KINDS = ("order", "note", "payment", "reversal", "reversal", "adjustment", "closing", "payout", "return", "return")
REPORTED = (*KINDS, "report")
BEFORE_A_CLOSING = ("order", "note", "note", "payment", "reversal", "adjustment", "adjustment", "closing")
"""What leaves something to state more often than not."""
EACH_KIND = (
    *("settlement.adjust", "payout.completed", "payout.returned", "settlement.close", "statement.report"),
    *("order.completed", "credit-note.issue", "payment.received", "payment.reversed"),
)
"""What has to come often enough."""
TIMES_MIN = 30
"""How often each kind of fact is applied in a run, at least."""
OF_AGENTS_MIN = 15
"""How often of them with a partner in whose name we sell."""


PRICES, APART, TOLERANCES = st.integers(1, 3_000), st.integers(-2, 2), st.integers(0, 1)


def next_fact(kind, number, book, currency, draw):
    """A fact of a kind that fits the books as they are, or of what has to be there first; None where there is none."""
    code, price = currency.code, draw(PRICES)
    orders = sum(identity.startswith("order.completed:") for identity in book.applied)
    billed = [
        one.id for one in book.documents[Invoice].values() if any(line.on_behalf_of is not None for line in one.lines)
    ]
    if kind == "order":
        return order(f"O-{orders + 1}", line("9"), line(str(price), "0.2", "SA-1"), currency=currency)
    if kind == "note" and billed:
        return credit_note(f"N-{number}", one_of(draw, billed), currency=code)
    if kind == "payment":
        return payment(f"P-{number}", price, currency=code)
    if kind == "reversal":
        paid = [identity.partition(":")[2] for identity in book.applied if identity.startswith("payment.received:")]
        return reversal(f"X-{number}", one_of(draw, paid), currency=code) if paid else None
    if kind == "return" and (out := [one.id for one in book.documents[Payout].values() if one.returned is None]):
        return payout_return(f"PR-{number}", one_of(draw, out))
    if kind in ("return", "payout") and (due := open_statements(book)):
        statement = one_of(draw, due)
        amount = part_of(draw, statement.left)
        return payout(f"PO-{number}", amount, statement.id, currency=code)
    if kind == "report" and (stated := list(book.documents[Settlement].values())):
        statement = one_of(draw, stated)
        figures = agreeing(statement) | {"O-999/1": price}
        said = draw(st.lists(st.sampled_from(sorted(figures)), unique=True))
        theirs = {key: figures[key] + draw(APART) for key in said}
        return report(f"R-{number}", statement.id, theirs, tolerance=draw(TOLERANCES), currency=code)
    if kind == "closing" or (kind in ("return", "payout") and any(one.is_open for one in book.accruals("SA-1"))):
        return closing(f"C-{number}")
    if kind in ("return", "payout", "adjustment"):
        corrects = (one_of(draw, billed), "2") if billed and draw(BOOLEANS) else None
        return adjustment(
            f"A-{number}", one_of(draw, (-1, 1, 1)) * price, corrects=corrects, currency=code, on="2026-11-22"
        )
    return None


def open_statements(book: LedgerBook) -> list[Settlement]:
    """The statements of which something is left to pay."""
    return [s for s in book.documents[Settlement].values() if s.left]


def agreeing(statement: Settlement) -> dict[str, int]:
    """The figures of a statement's lines, as a partner reports them that agrees."""
    figures: Counter[str] = Counter()
    for one in statement.lines:
        if one.order_id is not None and one.adjustment_id is None:
            figures[f"{one.order_id}/{one.line_id}"] += one.amount
    return dict(figures)


OPENED = {
    "principal": lambda on, code: partner("SA-1", "0.333", on, currency=code),
    "agent": lambda on, code: agent_of("SA-1", "0.333", on, currency=code),
}
"""A partner by the model by which we sell for it: in our name, or in its own."""
MODELS = st.sampled_from(sorted(OPENED))


def test_a_partner_can_be_settled_whatever_happened():
    """Each fact that fits is applied; then what is open is paid, adjusted and stated, and the account is closed."""
    applied: dict[str, Counter[str]] = {model: Counter() for model in OPENED}

    @steady(150, least=120)
    @given(
        st.sampled_from((EUR, JPY, KWD)),
        st.sampled_from(("invoice", "payment")),
        MODELS,
        st.lists(st.sampled_from(REPORTED), min_size=9, max_size=24),
        st.data(),
    )
    def live(currency, accrue_on, model, kinds, data):
        book, code = LedgerBook(), currency.code
        book.take(billing(currency=code), OPENED[model](accrue_on, code))
        for number, kind in enumerate(("order", *kinds)):
            fact = next_fact(kind, number, book, currency, data.draw)
            if fact is not None:
                book.take(fact)
                if looked_at(number):
                    assert_books_hold(book)
        assert_books_hold(book)
        applied[model].update(identity.partition(":")[0] for identity in book.applied)
        leave(book, code)

    def seldom():
        """What has come too seldom, of all partners and of agents."""
        counted = ((sum(applied.values(), Counter()), TIMES_MIN), (applied["agent"], OF_AGENTS_MIN))
        return [(kind, times[kind]) for times, least in counted for kind in EACH_KIND if times[kind] < least]

    until(lambda: not seldom(), live)
    assert not seldom()


@STEADY
@given(
    st.sampled_from((EUR, JPY, KWD)),
    st.sampled_from(("invoice", "payment")),
    st.sampled_from((*OPENED, "self-billed", "by tiers")),
    st.lists(st.sampled_from(BEFORE_A_CLOSING), max_size=12),
    st.integers(5, 8),
    st.sampled_from(("2026-12-31", "2026-11-22", "2026-11-21")),
    st.data(),
)
def test_a_preview_is_what_the_closing_then_makes(currency, accrue_on, model, kinds, lines, until, data):
    """Whatever was booked before: the same statements and documents, but for ids, and the preview leaves no trace."""
    book = LedgerBook()
    book.take(billing(currency=currency.code))
    if model == "self-billed":
        # Two months of its fee have ended by then.
        book.begin_days("2026-11-22")
        terms: dict[str, Any] = {"self_billing": self_billing(), "fixed_fee": fixed_fee(75)}
        book.take(
            OPENED["principal"](accrue_on, currency.code),
            agreement("AG-1", "2026-09-12", None, "0.333", accrue_on, currency=currency.code, **terms),
        )
    elif model == "by tiers":
        by_tiers = tiers(("5", "0.1"), (None, "0.333"))
        said = agreement("AG-1", "2026-11-01", on=accrue_on, tiers=by_tiers, currency=currency.code)
        book.take(OPENED["principal"](accrue_on, currency.code), said)
    else:
        book.take(OPENED[model](accrue_on, currency.code))
    for number, kind in enumerate(("order", *kinds, "adjustment")):
        fact = next_fact(kind, number, book, currency, data.draw)
        if fact is not None:
            book.take(fact)
    before, told = book.holdings(), len(book.events)
    with patch("domain.settlement.closing.LINES_MAX", lines):
        asked = SettlementPreview.model_validate({"settlementAccount": "SA-1", "periodEnd": until})
        seen = asyncio.run(preview(asked, book.view()))
        assert (book.holdings(), len(book.events)) == (before, told)
        book.take(closing("C-previewed", until=until))
    made = [one.event.settlement for one in book.events[told:] if isinstance(one.event, SettlementClosed)]
    issued = [
        one.event.document
        for one in book.events[told:]
        if isinstance(one.event, SelfBillingIssued | SettlementInvoiced)
    ]
    numbers = {document.id for document in issued}
    for statement in made:
        as_made = without_id(settlement_json(statement), "C-previewed")
        of_it = [without_number(document_json(one), numbers) for one in issued if one.settlement_id == statement.id]
        if of_it:
            as_made["documents"] = of_it
        assert seen["settlements"].pop(0) == as_made
    assert seen == {"settlements": []}


def without_number(told: dict[str, Any], numbers: set[str]) -> dict[str, Any]:
    """A document that a closing issued, without its number, its statement's id, and what corrects it."""
    unknown = {"id", "billNo", "settlementId", "credited", "said"}
    if told.get("correctedBillNo") in numbers:
        unknown.add("correctedBillNo")
    return {name: value for name, value in told.items() if name not in unknown}


def without_id(told: dict[str, Any], made: str) -> dict[str, Any]:
    """A statement that a closing made, without its id, nor that of the one before it where that closing made it too."""
    first = told["lines"][:1]
    if first and first[0].get("settlementId", "").startswith(made):
        first[0] = {name: value for name, value in first[0].items() if name != "settlementId"}
    return {**{name: value for name, value in told.items() if name != "id"}, "lines": [*first, *told["lines"][1:]]}


def leave(book: LedgerBook, currency: str) -> None:
    """Have the customer pay, state and pay what the partner has, adjust what is left, and close its account."""
    if owed := book.position("BA-1").receivable:
        book.take(payment("P-last", owed, currency=currency))
    book.take(closing("C-last", until="2026-12-31"), command("close", "SA-1"))
    for n, one in enumerate([s for s in book.documents[Settlement].values() if s.disputed]):
        book.take(report(f"R-last-{n}", one.id, agreeing(one), currency=currency))
    for n, one in enumerate(open_statements(book)):
        book.take(payout(f"PO-last-{n}", one.left, one.id, currency=currency))
    if left := book.position("SA-1").payable:
        assert left < 0
        assert book.state("SA-1") == "pendingClose"
        book.take(adjustment("A-last", -left, currency=currency), closing("C-end", until="2026-12-31"))
    assert book.state("SA-1") == "closed"
    assert_books_hold(book)
