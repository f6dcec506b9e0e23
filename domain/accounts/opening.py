"""Opening accounts, and updating what clients say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domain.accounts.agents import agent_needs, claim_agents_series
from domain.accounts.closings import schedule
from domain.accounts.lifecycle import check_revision, check_state, put_version
from domain.accounts.model import (
    Account,
    AccountChanged,
    AccountCreated,
    AccountResult,
    AccountUpdate,
    AccountVersion,
    NewAccount,
    find_account,
)
from domain.accounts.relations import relate
from domain.accounts.standing import standing
from domain.errors import Refused
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, Need, WorkingSet
from domain.ledger.positions import Position
from domain.merge_patch import changed_fields, merge_patch

CLOSING_CYCLE = "closingCycle"
"""The field of a settlement account that says when it is closed by itself."""


def account_needs(fact: NewAccount | AccountUpdate, books: WorkingSet) -> Iterator[Need]:
    """What opening or updating an account looks at, beside what it refers to."""
    account_id = fact.id if isinstance(fact, NewAccount) else fact.account
    yield DocumentNeed(Account, account_id)
    yield DocumentNeed(Position, account_id)
    if isinstance(fact, NewAccount) and fact.settlement_terms is not None:
        yield from agent_needs(account_id, fact.settlement_terms.agent, books)


def open_account(new: NewAccount, books: Books) -> AccountResult:
    """Open an account with an empty position; returns the account as it is then.

    Raises `Refused` (`conflicting-duplicate`) when another message has already created an account of this id: ids are
    shared by all the types of account, since `account.create`'s business key is the id alone; `invalid` for a series
    that is not the partner's. Raises what `relations.relate` raises for what it refers to.
    """
    if books.find(Account, new.id) is not None:
        raise Refused("conflicting-duplicate", f"id: account {new.id} exists already, or did")
    account = Account(
        id=new.id,
        type=new.type,
        currency=new.currency.code,
        currency_digits=new.currency.digits,
        state=new.state,
        revision=1,
        payment_term_days=new.payment_term_days,
        settlement_terms=new.settlement_terms,
        opened_at=books.booked_at,
        document=new.document,
        version=1,
        updated_at=books.booked_at,
        credit_limit=new.credit_limit,
        relationships=new.relationships,
        references=new.references,
        closing_cycle=new.closing_cycle,
    )
    books.put(account)
    books.put(Position(id=new.id, currency=account.currency))
    relate(None, account, books)
    _claim_series(account, books)
    if account.closing_cycle is not None:
        schedule(account.id, account.closing_cycle, books)
    books.append(AccountVersion(account, books.booked_at, books.cause, (), None, None))
    money = standing(account, books)
    books.emit(new.id, AccountCreated(account, money))
    books.announce(f"account:{new.id}")
    return AccountResult(account, money)


def update_account(update: AccountUpdate, books: Books) -> AccountResult:
    """Patch an account's document (RFC 7396); returns the account as it is then. No change is no new revision.

    Raises `MustWait` (`unknown-account`), `Refused`: `revision-mismatch`, `account-closed`, `invalid` for another type
    than the account's or a document that does not fit it, and what `relations.relate` raises.
    """
    before = find_account(update.account, books, "id")
    check_state(before, "update", "id")
    if update.type != before.type:
        raise Refused("invalid", f"@type: account {before.id} is a {before.type}, not a {update.type}")
    check_revision(before, update.if_revision)
    document = merge_patch(before.document, update.changes)
    assert isinstance(document, Mapping)
    said = update.read(before.id, before.type, before.kept_in, document)
    changed = changed_fields(before.document, said.document)
    if not changed:
        return AccountResult(before, standing(before, books))
    account = put_version(
        before,
        replace(
            before,
            payment_term_days=said.payment_term_days,
            settlement_terms=said.settlement_terms,
            document=said.document,
            credit_limit=said.credit_limit,
            relationships=said.relationships,
            references=said.references,
            # What an earlier version kept under this name was an extension that nobody had checked.
            closing_cycle=said.closing_cycle if CLOSING_CYCLE in changed else before.closing_cycle,
        ),
        changed,
        books,
    )
    relate(before, account, books)
    if account.settlement_terms != before.settlement_terms:
        _claim_series(account, books)
    money = standing(account, books)
    books.emit(account.id, AccountChanged(account, money, changed))
    return AccountResult(account, money)


def _claim_series(account: Account, books: Books) -> None:
    if account.settlement_terms is not None:
        claim_agents_series(account.id, account.settlement_terms.agent, "settlementTerms", books)
