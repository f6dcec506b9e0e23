"""Who refers to whom: accounts to accounts and to the resources that they use, without cycles and dangling references.

An account says what it refers to; a `Link` is the same reference seen from the other end, so that one can ask who
refers to a thing. Two facts that together would make a cycle, or would delete what the other refers to, always write
one document in common (they touch it), so that they can't both commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

from domain.accounts.model import BILLING, FINANCIAL, Account, Relationship, find_account
from domain.accounts.references import CONTAINS, PAYER, Link, links_of
from domain.accounts.specifications import (
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
    Specification,
)
from domain.errors import MustWait, Refused
from domain.frozen import replace
from domain.ledger.books import Books, DocumentNeed, Need, QueueNeed, WorkingSet

LEVELS_MAX = 16
"""How many levels a hierarchy of accounts, or a chain of payers, may have."""
HIERARCHY_MAX = 10_000
"""How many accounts may be below one that comes into a hierarchy."""
RELATIONSHIPS_MAX = 2_000
"""How many relationships one account may have."""

_SPECIFICATIONS: dict[str, type[Specification]] = {
    "format": BillFormat,
    "cycleSpecification": BillingCycleSpecification,
    "presentationMedia": BillPresentationMedia,
    "dunningProcedure": DunningProcedure,
}


def relate(before: Account | None, account: Account, books: Books) -> None:
    """Bring the links in line with an account's document, and check what is new of it.

    Raises `MustWait` (`unknown-account`, `unknown-specification`) for what is not there yet, `currency-mismatch` for a
    payer or financial account in another currency, and `invalid` for a cycle, for two parents or payers at one time,
    for too many levels, and for what is of another type or deleted.
    """
    old, new = links_of(before), links_of(account)
    added = [link for id_, link in new.items() if id_ not in old]
    removed = [link for id_, link in old.items() if id_ not in new]
    said_before = frozenset(before.relationships if before is not None else ())
    contained = [r for r in account.relationships if r.type == CONTAINS and r not in said_before]
    if added or before is None or account.relationships != before.relationships:
        _check_alone(account)
    books.require(_needs(added, removed, contained))
    for link in added:
        _check_target(link, account, books)
        books.put(link)
    for link in removed:
        books.put(replace(link, open=False))
    _check_one_parent(account.id, contained, books)
    for kind in (CONTAINS, PAYER):
        these = [link.referred for link in added if link.kind == kind]
        if these:
            upper, lower = ({account.id}, set(these)) if kind == CONTAINS else (set(these), {account.id})
            _check_hierarchy(kind, upper, lower, books)


def _needs(added: list[Link], removed: list[Link], contained: list[Relationship]) -> Iterator[Need]:
    for link in (*added, *removed):
        yield DocumentNeed(Link, link.id)
    for link in added:
        specification = _SPECIFICATIONS.get(link.kind)
        if specification is not None:
            yield DocumentNeed(specification, link.referred)
        else:
            yield DocumentNeed(Account, link.referred)
    for relationship in contained:
        yield QueueNeed(Link, f"{CONTAINS}/{relationship.account}")


def _field(kind: str) -> str:
    if kind in ("financialAccount", "dunningProcedure"):
        return f"{kind}.id"
    return f"billStructure.{kind}.id" if kind in _SPECIFICATIONS else "accountRelationship"


def _check_alone(account: Account) -> None:
    """What an account's relationships say by themselves."""
    if len(account.relationships) > RELATIONSHIPS_MAX:
        raise Refused(
            "invalid", f"accountRelationship: holds {len(account.relationships)}, more than {RELATIONSHIPS_MAX}"
        )
    for relationship in account.relationships:
        if relationship.account == account.id:
            raise Refused("invalid", f"accountRelationship: {account.id} can't be its own {relationship.type}")
    if account.type == FINANCIAL and any(reference.kind == "financialAccount" for reference in account.references):
        raise Refused("invalid", f"financialAccount: {account.id} is one itself, and is summed up in no other")
    payers = sorted(
        (relationship for relationship in account.relationships if relationship.type == PAYER),
        key=lambda payer: payer.valid_from or _EVER,
    )
    payers = [payer for payer in payers if not payer.never]
    for one, other in pairwise(payers):
        if one.overlaps(other):
            raise Refused(
                "invalid", f"accountRelationship: {one.account} and {other.account} would be payers at one time"
            )


_EVER = datetime.min.replace(tzinfo=UTC)


def _check_target(link: Link, account: Account, books: Books) -> None:
    """That what a new link refers to is there and fits, and stays there: it is touched."""
    field = _field(link.kind)
    specification = _SPECIFICATIONS.get(link.kind)
    if specification is not None:
        found = books.find(specification, link.referred)
        if found is None:
            raise MustWait(
                "unknown-specification",
                f"{field}: no {specification.RESOURCE} {link.referred}",
                f"{specification.RESOURCE}:{link.referred}",
            )
        if found.state == "deleted":
            raise Refused("invalid", f"{field}: {specification.RESOURCE} {link.referred} is deleted")
        books.put(replace(found, touched=found.touched + 1))
        return
    target = find_account(link.referred, books, field)
    if target.state == "deleted":
        raise Refused("invalid", f"{field}: account {target.id} is deleted")
    wanted = {PAYER: BILLING, "financialAccount": FINANCIAL}.get(link.kind)
    if wanted is not None:
        if target.type != wanted:
            raise Refused("invalid", f"{field}: {target.id} is a {target.type}, not a {wanted}")
        if target.currency != account.currency:
            raise Refused(
                "currency-mismatch",
                f"{field}: {target.id} is kept in {target.currency}, {account.id} in {account.currency}",
            )
    if link.kind == PAYER and account.type != BILLING:
        raise Refused("invalid", f"{field}: only a {BILLING} has a {PAYER}, {account.id} is a {account.type}")
    books.touch(target.id)


def _check_one_parent(account_id: str, contained: list[Relationship], books: Books) -> None:
    """That no child has another parent at that time; each is touched, lest two parents take it at once."""
    others = {
        relationship: [
            link.referrer
            for link in books.queue(Link, f"{CONTAINS}/{relationship.account}")
            if link.referrer != account_id
        ]
        for relationship in contained
    }
    books.require(DocumentNeed(Account, parent) for parents in others.values() for parent in parents)
    for relationship, parents in others.items():
        books.touch(relationship.account)
        for parent in parents:
            for other in find_account(parent, books).relationships:
                if (other.type, other.account) == (CONTAINS, relationship.account) and other.overlaps(relationship):
                    raise Refused(
                        "invalid",
                        f"accountRelationship: {relationship.account} is contained in {parent} at that time already",
                    )


def _check_hierarchy(kind: str, upper: set[str], lower: set[str], books: Books) -> None:
    """That nothing comes to be above itself, at whatever time, and that there are not too many levels.

    Everything above the new relation is touched: whoever makes a relation that would close a cycle with this one
    writes one of them.
    """
    above, levels_above = _walk(kind, upper, _parents, books)
    if lower & above:
        named = min(lower & above) if kind == CONTAINS else _leading_to(min(lower), upper, books)
        raise Refused("invalid", f"accountRelationship: {kind} {named} would make a cycle")
    _, levels_below = _walk(kind, lower, _children, books)
    if levels_above + levels_below > LEVELS_MAX:
        raise Refused("invalid", f"accountRelationship: {kind} would make more than {LEVELS_MAX} levels")
    for id_ in above:
        books.touch(id_)


def _leading_to(account_id: str, payers: set[str], books: Books) -> str:
    return next(payer for payer in sorted(payers) if account_id in _walk(PAYER, {payer}, _parents, books)[0])


Step = Callable[[str, Iterable[str], Books], set[str]]


def _walk(kind: str, start: set[str], step: Step, books: Books) -> tuple[set[str], int]:
    """All that a walk from these accounts comes to, itself included, and how many levels that are."""
    seen, level, levels = set(start), set(start), 0
    while level:
        levels += 1
        if levels > LEVELS_MAX or len(seen) > HIERARCHY_MAX:
            raise Refused(
                "invalid",
                f"accountRelationship: {kind} would make more than {LEVELS_MAX} levels, or move more than "
                f"{HIERARCHY_MAX} accounts at once",
            )
        level = step(kind, level, books) - seen
        seen |= level
    return seen, levels


def _parents(kind: str, ids: Iterable[str], books: Books) -> set[str]:
    return _referrers(kind, ids, books) if kind == CONTAINS else _named(kind, ids, books)


def _children(kind: str, ids: Iterable[str], books: Books) -> set[str]:
    return _named(kind, ids, books) if kind == CONTAINS else _referrers(kind, ids, books)


def _referrers(kind: str, ids: Iterable[str], books: Books) -> set[str]:
    books.require(QueueNeed(Link, f"{kind}/{id_}", None) for id_ in ids)
    return {link.referrer for id_ in ids for link in books.queue(Link, f"{kind}/{id_}")}


def _named(kind: str, ids: Iterable[str], books: Books) -> set[str]:
    books.require(DocumentNeed(Account, id_) for id_ in ids)
    return {r.account for id_ in ids for r in find_account(id_, books).relationships if r.type == kind}


# -- who pays


def payer_needs(account_id: str, at: datetime, books: WorkingSet) -> Iterator[str]:
    """The accounts that an order for an account may be billed to, itself first, as far as what is loaded tells."""
    for _ in range(LEVELS_MAX):
        yield account_id
        account = books.peek(Account, account_id)
        payer = _payer(account, at) if account is not None else None
        if payer is None:
            return
        account_id = payer


def payer_of(account: Account, at: datetime, books: Books) -> Account:
    """The account that pays for another at a time: the end of its chain of payers, itself when it has none."""
    while (payer := _payer(account, at)) is not None:
        account = find_account(payer, books)
    return account


def paid_for(account: Account, at: datetime, books: Books) -> list[Account]:
    """The accounts whose bills an account gets at a time: itself, and those whose chain of payers ends at it.

    None where another one pays for it.
    """
    if _payer(account, at) is not None:
        return []
    found, level = [account], [account]
    while level:
        books.require(QueueNeed(Link, f"{PAYER}/{payer.id}", None) for payer in level)
        links = [link for payer in level for link in books.queue(Link, f"{PAYER}/{payer.id}")]
        if not links:
            break
        books.require(DocumentNeed(Account, link.referrer) for link in links)
        referrers = [(find_account(link.referrer, books), link.referred) for link in links]
        level = [referrer for referrer, payer in referrers if _payer(referrer, at) == payer]
        found += level
    return found


def _payer(account: Account, at: datetime) -> str | None:
    for relationship in account.relationships:
        if relationship.type == PAYER and relationship.holds_at(at):
            return relationship.account
    return None
