"""What a check of the books is made of, and the few aggregation expressions that all of them use."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

Stage = dict[str, Any]
Expression = Any
"""An aggregation expression of MongoDB: a string such as `"$amount"`, a number, or a document of operators."""


Offender = dict[str, Any]
"""What the report shows of what is wrong: `id`, `expected`, `found`."""

REFERRING = {"values.value": {"$gt": ""}}
"""The filter for rows that refer to values, by the index `values`."""


@dataclass(frozen=True)
class View:
    """One read of the database: `steps` turn `collection` into a row for each thing that checks look at.

    Rows of several collections are brought together by `union` and a `$group` on a shared key, never by a `$lookup`
    for each row: one hash table stays fast with a million entries. What belongs to one document, and is worked out by
    all that it says, is looked up once for that, by an index.
    """

    name: str
    collection: str
    steps: tuple[Stage, ...]


@dataclass(frozen=True)
class Numbered:
    """What has numbers of series: where the number stands, whose it is, by its account, and the version of that seller.

    Where no account is the seller, we are.
    """

    collection: str
    number: Expression
    seller: Expression = "$seller"
    version: Expression = "$sellerVersion"


NUMBERED = (
    Numbered("invoices", "$_id"),
    Numbered("creditNotes", "$billNo"),
    Numbered(
        "settlementDocuments",
        "$_id",
        seller={"$cond": ["$isSelfBilled", "$settlementAccount", None]},
        version={"$cond": ["$isSelfBilled", "$partnerVersion", "$sellerVersion"]},
    ),
)
"""All that has numbers of series."""


@dataclass(frozen=True)
class Posted:
    """What a capability's documents make their facts post: a capability's audit lists it in `POSTED`.

    `facts` select the inbox rows of the facts that have an entry; `rows` append a row for each document, under the
    identity of its fact, with `document` 1 where it is the fact's own, and what is `due` by the posting table.
    """

    facts: tuple[Stage, ...]
    rows: tuple[Stage, ...]


@dataclass(frozen=True)
class Check:
    """One thing that must be true of every row of a view (of those that `among` selects).

    `holds` is the truth; `expected` and `found` are what the report shows of a row for which it is false.
    """

    name: str
    invariant: int
    view: View
    holds: Expression
    expected: Expression
    found: Expression
    among: Expression = True


@dataclass(frozen=True)
class Reading:
    """One thing that must be true and is looked at here, since the server knows no SHA-256 and reads no JSON.

    `look` reads `collections` within a session: for each thing that it looks at, in the order of their ids, it yields
    what is wrong with it, or None.
    """

    name: str
    invariant: int
    collections: tuple[str, ...]
    look: Callable[[Database[dict[str, Any]], ClientSession], Iterator[Offender | None]]


def union(collection: str, *steps: Stage) -> Stage:
    """The stage that appends the rows which `steps` make of another collection."""
    return {"$unionWith": {"coll": collection, "pipeline": list(steps)}}


def begins(prefix: str) -> Stage:
    """The stage that keeps the documents whose `_id` begins with `prefix`, by a range of the `_id` index."""
    return {"$match": {"_id": {"$gte": prefix, "$lt": prefix[:-1] + chr(ord(prefix[-1]) + 1)}}}


def due(amounts: dict[str, Expression]) -> dict[str, Expression]:
    """What should be posted, debit positive, as fields of a row that is subtracted from what was posted."""
    return {account: minus(amount) for account, amount in amounts.items()}


def each(array: Expression, body: Expression) -> Expression:
    """`body` of every element (`$$this`) of an array."""
    return {"$map": {"input": array, "in": body}}


def only(array: Expression, condition: Expression) -> Expression:
    """The elements (`$$this`) of an array that meet a condition."""
    return {"$filter": {"input": array, "as": "this", "cond": condition}}


def true_of_each(array: Expression, condition: Expression) -> Expression:
    """Whether every element (`$$this`) of an array meets a condition."""
    return {"$allElementsTrue": [each(array, {"$cond": [condition, True, False]})]}


def distinct(array: Expression) -> Expression:
    """The elements of an array, each once."""
    return {"$setUnion": [array, []]}


def sum_where(array: Expression, condition: Expression, amount: Expression) -> Expression:
    """The sum of `amount` over the elements (`$$this`) of an array that meet a condition."""
    return {"$sum": each(array, {"$cond": [condition, amount, 0]})}


def minus(amount: Expression) -> Expression:
    """The negative of an amount."""
    return {"$multiply": [amount, -1]}


def half_away(amount: Expression) -> Expression:
    """The nearest whole number of a decimal, halves away from zero; `$round` takes them to the even one."""
    half = {"$toDecimal": "0.5"}
    return {
        "$let": {
            "vars": {"amount": {"$toDecimal": amount}},
            "in": {
                "$cond": [
                    {"$lt": ["$$amount", 0]},
                    {"$ceil": {"$subtract": ["$$amount", half]}},
                    {"$floor": {"$add": ["$$amount", half]}},
                ]
            },
        }
    }


def has(field: str) -> Expression:
    """Whether a field is there and not null. A plain comparison with null is false for a field that is missing."""
    return {"$gt": [field, None]}


def equal(left: Expression, right: Expression) -> Expression:
    """Whether two expressions have one value."""
    return {"$eq": [left, right]}


def both(*conditions: Expression) -> Expression:
    """Whether all conditions are met."""
    return {"$and": list(conditions)}


of_partner: Expression = has("$seller")
"""Whether an invoice, or a credit note, is in the name of a partner whose agent we are."""


def of_us(amount: Expression) -> Expression:
    """An amount of an invoice, or a credit note, where it is ours; nothing of one in a partner's name."""
    return {"$cond": [of_partner, 0, amount]}


def either(left: Expression, right: Expression) -> Expression:
    """Whether one condition or the other is met."""
    return {"$or": [left, right]}


def owner(ledger_account: Expression) -> Expression:
    """The account whose position a ledger account belongs to: what follows the first colon of `receivable:BA-1`."""
    return {"$substrBytes": [ledger_account, {"$add": [{"$indexOfBytes": [ledger_account, ":"]}, 1]}, -1]}


def has_owner(ledger_account: Expression) -> Expression:
    """Whether a ledger account belongs to a position; cash, revenue, commission and tax do not."""
    return {"$gte": [{"$indexOfBytes": [ledger_account, ":"]}, 0]}


def whole(amount: Expression) -> Expression:
    """Whether an amount is an integer, never a binary float."""
    return {"$in": [{"$type": amount}, ["int", "long"]]}


def agreed(field: str) -> dict[str, Expression]:
    """The accumulators that keep the least and the greatest of a field, for `agrees`."""
    return {f"{field}Least": {"$min": f"${field}"}, f"{field}Most": {"$max": f"${field}"}}


def agrees(field: str) -> Expression:
    """Whether all rows of a group that have the field have one value there."""
    return equal(f"${field}Least", f"${field}Most")


def span(field: str) -> Expression:
    """The least and the greatest value of a field in a group, for the report where they should be the same."""
    return [f"${field}Least", f"${field}Most"]


def owner_rows(field: str, sums: dict[str, Expression]) -> tuple[Stage, ...]:
    """The stages that turn documents into a row for each account that `field` names, with sums over its documents."""
    return (
        {
            "$group": {
                "_id": f"${field}",
                "documents": {"$sum": 1},
                **{name: {"$sum": amount} for name, amount in sums.items()},
                **agreed("currency"),
            }
        },
    )
