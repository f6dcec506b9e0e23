"""References: what accounts refer to, seen from the other end, so that one can ask who refers to a thing."""

from __future__ import annotations

from collections.abc import Iterable

from domain.accounts.model import Account, NewAccount, Relationship
from domain.errors import Refused
from domain.frozen import dataclass, replace
from domain.ledger.books import Books, DocumentNeed, QueueNeed

CONTAINS = "contains"
PAYER = "payer"
RELATIONSHIPS = (CONTAINS, PAYER, "serviceProvider", "partner", "endCustomer")
"""The relationships that have a meaning here: the account named is its child, its payer, or has that role in billing
on behalf of others. Any other is kept as `related`."""
RELATED = "related"
TO_ACCOUNTS = (*RELATIONSHIPS, RELATED, "financialAccount")
"""The kinds of link that lead to an account."""


@dataclass(frozen=True, slots=True)
class Link:
    """That `referrer` (an account) refers to `referred`; `open` until it no longer does."""

    kind: str
    referrer: str
    referred: str
    open: bool = True

    @property
    def id(self) -> str:
        """One for each kind and pair."""
        return f"{self.kind}/{self.referrer}/{self.referred}"

    @property
    def owner(self) -> str:
        """What it is found by: all that refers to one thing in one way."""
        return f"{self.kind}/{self.referred}"

    @property
    def order_key(self) -> tuple[str, str]:
        """Any order will do; it has to be one."""
        return (self.referrer, self.id)

    @property
    def is_open(self) -> bool:
        """Whether the reference is still there."""
        return self.open


def kind_of(relationship: Relationship) -> str:
    """The kind of link that a relationship makes."""
    return relationship.type if relationship.type in RELATIONSHIPS else RELATED


def links_of(account: Account | NewAccount | None) -> dict[str, Link]:
    """The links that an account's document makes, by id."""
    if account is None:
        return {}
    links = [Link(kind_of(r), account.id, r.account) for r in account.relationships]
    links += [Link(reference.kind, account.id, reference.id) for reference in account.references]
    return {link.id: link for link in links}


def assert_unreferenced(kinds: Iterable[str], id_: str, books: Books) -> None:
    """Raise `Refused` (`invalid`) when something still refers to what is about to be deleted."""
    kinds = tuple(kinds)
    books.require(QueueNeed(Link, f"{kind}/{id_}") for kind in kinds)
    for kind in kinds:
        for link in books.queue(Link, f"{kind}/{id_}"):
            raise Refused("invalid", f"id: {id_} can't be deleted, account {link.referrer} refers to it ({kind})")


def unlink(account: Account, books: Books) -> None:
    """Take back all that an account refers to, since it is no more."""
    links = links_of(account).values()
    books.require(DocumentNeed(Link, link.id) for link in links)
    for link in links:
        books.put(replace(link, open=False))
