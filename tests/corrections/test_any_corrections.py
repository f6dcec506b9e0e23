"""Whatever happens to customers and partners, in any order: the invariants stand after each fact, of whatever kind."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.model import StateCommand
from domain.billing.subscriptions import SubscriptionToChange
from domain.corrections.model import CreditNote, Dispute, WriteOff
from domain.invoicing.model import Invoice
from tests.support.fitting_facts import KINDS, OFTEN, FittingFacts
from tests.support.invariants import assert_books_hold
from tests.support.ledger_book import EUR, JPY, KWD, LedgerBook
from tests.support.steady import looked_at, steady, until

TIMES_MIN = 50
"""How often each kind of fact is applied in a run, at least."""
IN_NAMES_MIN = 10
"""How often each of what comes of them in partners' names is there in the end, at least."""


MORE = ("settle", "settle", "withdraw", "withdraw", "reversal", "transfer")
"""Of these, more than others have."""


@pytest.mark.long
def test_the_invariants_stand_whatever_happens():
    """Each fact fits the books as they are when it comes; then all of them come once more, in any order and batches.

    Some come twice, which changes nothing. Each kind is applied often enough for that to say something, and so is what
    comes of it in partners' names.
    """
    applied: Counter[str] = Counter()
    in_partners_names: Counter[str] = Counter()

    @steady(150, least=110)
    @given(
        st.sampled_from((JPY, EUR, KWD)),
        st.permutations((*OFTEN, *MORE)).map(lambda kinds: kinds[:20]),
        st.sampled_from((1, 3, None)),
        st.data(),
    )
    def live(currency, kinds, batch, data):
        book = LedgerBook()
        fitting = FittingFacts(book, currency, data.draw)
        facts = fitting.accounts()
        book.take(*facts)
        for number, kind in enumerate(("order", *kinds)):
            facts.append(fitting.next(kind))
            book.take(facts[-1])
            if looked_at(number):
                assert_books_hold(book)
            again = fitting.some(facts)
            if not isinstance(again, StateCommand | SubscriptionToChange):
                before = book.holdings(), len(book.events)
                book.take(again)
                assert (book.holdings(), len(book.events)) == before, f"{again} counted twice"
        assert_books_hold(book)
        applied.update(identity.partition(":")[0] for identity in book.applied)
        in_partners_names.update(sold_for_partners(book))
        mixed = LedgerBook()
        mixed.take(*data.draw(st.permutations(facts)), batch=batch)
        assert_books_hold(mixed)

    def seldom():
        kinds = {name for name in KINDS.values() if applied[name] < TIMES_MIN}
        return kinds | {what for what in MADE if in_partners_names[what] < IN_NAMES_MIN}

    until(lambda: not seldom(), live)
    assert seldom() == set(), (applied, in_partners_names)


MADE = ("order", "bill", "beside another", "credit note", "write-off", "dispute", "paid")
"""What comes of facts about what is sold in partners' names."""


def sold_for_partners(book: LedgerBook) -> Iterator[str]:
    """What of that there is, each as often as there is one."""
    invoices = {id_: one for id_, one in book.documents[Invoice].items() if one.seller is not None}
    by_cause = Counter(one.cause for one in book.documents[Invoice].values())
    for one in invoices.values():
        yield "order" if one.order_id is not None else "bill"
        if by_cause[one.cause] > 1:
            yield "beside another"
        if one.applied_payment:
            yield "paid"
    yield from ("credit note" for note in book.documents[CreditNote].values() if note.seller is not None)
    yield from ("write-off" for row in book.rows[WriteOff].values() if row.bill_no in invoices)
    yield from ("dispute" for row in book.documents[Dispute].values() if row.bill_no in invoices)
