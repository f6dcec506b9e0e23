"""How accounts are kept, their history and their references, and the resources that they refer to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from pymongo import ASCENDING, IndexModel

from adapters.codec import Key, Layout
from adapters.kept import Collection, Kept, QueueRead
from adapters.storable import restored, storable
from adapters.values import put_back, take_out
from domain.accounts.closings import SCHEDULED, ClosingSchedule
from domain.accounts.lifecycle import WAITS
from domain.accounts.model import Account, AccountVersion, Reference, Relationship, SettlementTerms
from domain.accounts.references import Link
from domain.accounts.related import party_ids
from domain.accounts.specifications import (
    AUTOMATIC,
    BillFormat,
    BillingCycleSpecification,
    BillPresentationMedia,
    DunningProcedure,
    Specification,
)
from schemas.accounts.queries import account_document
from schemas.values import folded


def financial_account(references: tuple[Reference, ...]) -> str | None:
    """The id of the first financial account among what an account refers to."""
    return next((r.id for r in references if r.kind == "financialAccount"), None)


def parties(document: Mapping[str, Any]) -> list[str]:
    """The ids of the parties that an account is related to, each once; of a role, the role's and the party's."""
    return list(dict.fromkeys(id_ for related in document.get("relatedParty") or () for id_ in party_ids(related)))


def name_key(document: Mapping[str, Any]) -> str:
    """What a document's name is looked up by: the same in upper and lower case, and however it is composed."""
    return folded(str(document.get("name") or ""))


def owner_of(entity: Mapping[str, Any]) -> str:
    """Whose the large values of an account or a specification are, as these go out.

    An account's are under its id, a specification's under `<resource>/<id>`, which is no account's: ids have no slash.
    """
    resource = _RESOURCES.get(str(entity.get("@type")))
    return f"{resource}/{entity['id']}" if resource else str(entity.get("id"))


def kept_apart(version: AccountVersion, row: dict[str, Any], values: dict[str, bytes]) -> None:
    """Take the large fields of its document out of a version's row."""
    document, places = take_out(version.account.document, version.account.id, values)
    if places:
        row["snapshot"]["document"] = storable(document)
        row["values"] = places


def whole_snapshot(version: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What a version's row keeps of the account, as `decode_account` reads it, with what is in its values.

    Raises `ValueLost`.
    """
    snapshot: dict[str, Any] = version["snapshot"]
    places = version.get("values", ())
    return {**snapshot, "document": put_back(restored(snapshot["document"]), places, values)} if places else snapshot


def account_as_json(account: Account) -> bytes:
    """As queries give it, but for its money, as JSON: to encode it anew would be most of the time that a page takes."""
    return to_json(account_document(account, None))


SPECIFICATION_COLLECTIONS: dict[type[Specification], str] = {
    BillingCycleSpecification: "billingCycleSpecifications",
    BillFormat: "billFormats",
    BillPresentationMedia: "billPresentationMedia",
    DunningProcedure: "dunningProcedures",
}
"""Where each kind of specification is kept."""
_RESOURCES = {kind.__name__: kind.RESOURCE for kind in SPECIFICATION_COLLECTIONS}

_AUTOMATIC = IndexModel(
    [("runs", ASCENDING), ("createdAt", ASCENDING), ("_id", ASCENDING)],
    name="automatic",
    partialFilterExpression={"runs": AUTOMATIC},
)
_TERMS = Layout(SettlementTerms, absent=(("agent",),))
_RELATIONSHIP = Layout(Relationship, keys=("type", "account", Key("from", "valid_from"), Key("until", "valid_until")))
_KEYS = (
    "type",
    "currency",
    "currency_digits",
    "state",
    "revision",
    "version",
    "payment_term_days",
    "settlement_terms",
    "credit_limit",
    "opened_at",
    "updated_at",
    "relationships",
    "references",
    # What accounts are found by.
    Key("financialAccount", "references", by=financial_account),
    Key("parties", "document", by=parties),
    Key("nameKey", "document", by=name_key),
    Key("document", "document", by=storable, back=restored),
)
"""What is kept of an account beside its id, in its row and as its versions have it."""


def _specification(kind: type[Specification], collection: str) -> Kept:
    runs = kind is BillingCycleSpecification
    return Kept(
        Layout(
            kind,
            keys=(
                "id",
                "state",
                "revision",
                "created_at",
                "updated_at",
                "touched",
                Key("nameKey", "document", by=name_key),
                Key("document", "document", by=storable, back=restored),
                *(["runs"] if runs else []),
            ),
        ),
        Collection(
            collection,
            id="its id",
            written=f"by `{kind.RESOURCE}.*`; touched by an account that comes to refer to it; a deleted one stays",
            fields={
                "state": "`active`, `deleted`",
                "revision": "how many messages have changed it",
                "createdAt": "",
                "updatedAt": "",
                "touched": "how often an account came to refer to it",
                "nameKey": "the name in lower case, in NFC",
                "document": "as it was sent, without `id`, each entity with its `@type`; as JSON where a name is one "
                "that MongoDB has a use for",
                **({"runs": "`automatic` where its runs begin by themselves, else null"} if runs else {}),
            },
            indexes=(
                # Lists of specifications, by name.
                IndexModel([("state", ASCENDING), ("nameKey", ASCENDING), ("_id", ASCENDING)], name="listed"),
                # Those whose runs begin by themselves.
                *([_AUTOMATIC] if runs else []),
            ),
            personal=("document", "nameKey"),
        ),
        queue=QueueRead("runs", "createdAt", {"runs": AUTOMATIC}, of_accounts=False) if runs else None,
        awaited={kind.RESOURCE: {}},
    )


KEPT = (
    Kept(
        Layout(
            Account,
            keys=("id", *_KEYS, Key("json", by=account_as_json), "closing_cycle"),
            parts=(_RELATIONSHIP, _TERMS),
            absent=(("closing_cycle",),),
        ),
        Collection(
            "accounts",
            id="account id",
            written="by `account.*`, and by what completes a closing; a deleted one stays, in state `deleted`",
            fields={
                "type": "`BillingAccount` …",
                "currency": "",
                "currencyDigits": "how many digits its minor unit has: what amounts mean, whatever becomes of the code",
                "state": "`defined`, `active`, `suspended`, `pendingClose`, `closed`, `deleted`",
                "revision": "how many `account.*` messages have changed it",
                "version": "how many changes there were, those that followed by themselves too",
                "paymentTermDays": "",
                "settlementTerms": "null, or {`partnerShare`, `accrueOn`, `agent`: {`commission`, `category`, `rate`, "
                "`series`: null where it is not said}, only where we are the partner's; `partnerShare` is null then}",
                "creditLimit": "or null",
                "closingCycle": "{`period`, `anchorDate`}, if it is closed by itself",
                "openedAt": "",
                "updatedAt": "",
                "relationships": "[{`type`, `account`, `from`, `until`}] (the last two a time or null)",
                "references": "[{`kind`, `id`}]",
                "financialAccount": "the id of the one that sums it up, or null",
                "parties": "the ids of the parties that it is related to, in NFC",
                "nameKey": "the name in lower case, in NFC",
                "document": "the TMF666 fields and all others as they were sent, each entity with its `@type`; without "
                "`id`, `currency`, and what is computed; as JSON where a name is one that MongoDB has a use for",
                "json": "the whole as queries give it, but for its money",
            },
            indexes=(
                # Lists of all accounts; the state is there so that those deleted need not be read to be passed over.
                IndexModel([("_id", ASCENDING), ("state", ASCENDING)], name="all"),
                # Lists of those of a type, a state, or both. A list names its states and types, if need be all of
                # them, so that each (state, type) is one run of the index in the list's order, and the server merges
                # the runs.
                IndexModel([("state", ASCENDING), ("type", ASCENDING), ("_id", ASCENDING)], name="listed"),
                # The same by the beginning of the name, in the order of names.
                IndexModel(
                    [("state", ASCENDING), ("type", ASCENDING), ("nameKey", ASCENDING), ("_id", ASCENDING)],
                    name="named",
                ),
                # The same of a party; the name is there to be looked at without reading the account.
                IndexModel(
                    [
                        ("parties", ASCENDING),
                        ("state", ASCENDING),
                        ("type", ASCENDING),
                        ("_id", ASCENDING),
                        ("nameKey", ASCENDING),
                    ],
                    name="party",
                ),
                # The accounts that a financial account sums up.
                IndexModel(
                    [("financialAccount", ASCENDING), ("_id", ASCENDING)],
                    name="financialAccount",
                    partialFilterExpression={"financialAccount": {"$gt": ""}},
                ),
            ),
            personal=("document", "nameKey", "json"),
        ),
        awaited={"account": {}, "resumed": {"state": {"$nin": sorted(WAITS)}}},
        not_loaded=("json",),
        at_once=True,
        large=True,
    ),
    Kept(
        Layout(
            AccountVersion,
            keys=(
                "id",
                Key("account", "account.id"),
                Key("version", "account.version"),
                Key("revision", "account.revision"),
                "booked_at",
                "cause",
                "changed",
                "old_state",
                Key("newState", "account.state"),
                "reason",
                Key("snapshot", "account"),
            ),
            parts=(
                Layout(Account, keys=(Key("_id", "id"), *_KEYS, "closing_cycle"), absent=(("closing_cycle",),)),
                _RELATIONSHIP,
                _TERMS,
            ),
            read=False,
        ),
        Collection(
            "accountVersions",
            id="`<account>/<version>`",
            written="once, one row a version",
            fields={
                "account": "",
                "version": "",
                "revision": "",
                "bookedAt": "",
                "cause": "an identity in `inbox`",
                "changed": "field names",
                "oldState": "null at its creation",
                "newState": "",
                "reason": "or null",
                "snapshot": "the row of `accounts` as that fact left it, without `json`, and `document` without the "
                "fields in `values`; up to form 2 whole, with `json`",
                "values": "[{`field`, `place`, `value`}], if there are large fields: name, place among all fields, and "
                "`_id` in `values`",
            },
            indexes=(
                # An account's history, and what it was at a time.
                IndexModel([("account", ASCENDING), ("version", ASCENDING), ("bookedAt", ASCENDING)], name="history"),
                # The accounts that a financial account has ever summed up.
                IndexModel(
                    [("snapshot.financialAccount", ASCENDING), ("account", ASCENDING)],
                    name="financialAccount",
                    partialFilterExpression={"snapshot.financialAccount": {"$gt": ""}},
                ),
                # The audit's look at who refers to values.
                IndexModel(
                    [("values.value", ASCENDING)],
                    name="values",
                    partialFilterExpression={"values.value": {"$gt": ""}},
                ),
            ),
            personal=("reason", "snapshot.document", "snapshot.nameKey", "snapshot.json"),
            append_only=True,
        ),
        apart=kept_apart,
    ),
    Kept(
        Layout(Link, keys=("id", "owner", "kind", "referrer", "referred", "open")),
        Collection(
            "links",
            id="`<kind>/<referrer>/<referred>`",
            written="with the account that refers: its `relationships` and `references`, seen from the other end",
            fields={
                "owner": "`<kind>/<referred>`",
                "kind": "",
                "referrer": "an account",
                "referred": "an account, or a specification by the field that refers to it: `format`, "
                "`cycleSpecification`, `presentationMedia`, `dunningProcedure`",
                "open": "false when it no longer refers to it",
            },
            indexes=(
                # Who refers to a thing in one way.
                IndexModel(
                    [("owner", ASCENDING), ("referrer", ASCENDING), ("_id", ASCENDING)],
                    name="open",
                    partialFilterExpression={"open": True},
                ),
            ),
        ),
        queue=QueueRead("owner", "referrer", {"open": True}, of_accounts=False),
    ),
    Kept(
        Layout(ClosingSchedule, keys=("id", "period_end", "closed", "queue")),
        Collection(
            "closingSchedules",
            id="a settlement account",
            written="with the account's cycle; by each closing that `settlement.due` leaves",
            fields={
                "periodEnd": "of its next closing, null while it has no cycle, or is closed",
                "closed": "the period's end of its last closing by itself, or null",
                "queue": "`scheduled` where it is closed by itself, else null",
            },
            indexes=(
                # The accounts whose period has ended.
                IndexModel(
                    [("queue", ASCENDING), ("periodEnd", ASCENDING), ("_id", ASCENDING)],
                    name="scheduled",
                    partialFilterExpression={"queue": SCHEDULED},
                ),
            ),
        ),
        queue=QueueRead("queue", "periodEnd", {"queue": SCHEDULED}, of_accounts=False),
    ),
    *(_specification(kind, collection) for kind, collection in SPECIFICATION_COLLECTIONS.items()),
)
