"""What is kept beside the books: what was applied, what is held, what is to be sent, what operators did."""

from __future__ import annotations

from datetime import UTC, datetime

from pymongo import ASCENDING, IndexModel

from adapters.kept import Collection
from adapters.values import VALUES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

COLLECTIONS = (
    Collection(
        "meta",
        id="`form`",
        written="by a worker's first start in an empty database, and by `paymaster migrate`",
        fields={
            "number": "of the form in which this database holds the books",
            "migrating": "while a migration is under way, or was interrupted: `to` (the form that it leads to), `by` "
            "(host and process of who is at it), `since`, `claim` and `until` (who holds it, until when unless it is "
            "renewed), `updates` [{`update`, `after` (the last row of the last page), `documents`, `done`}]",
        },
    ),
    Collection(
        "inbox",
        id="identity (`<type>:<business key>`)",
        written="one row an applied fact, never deleted",
        fields={
            "digest": "of its content",
            "digestVersion": "in which the digest was made",
            "messageId": "",
            "correlationId": "",
            "userId": "the broker vouches for it",
            "actingUser": "of what a gateway sent: for whom it spoke; it vouches for that",
            "appId": "",
            "sentAt": "the message's own time stamp",
            "appliedAt": "",
            "attempts": "how often it was taken up",
            "result": "what its sender is told; of an account, a specification or the seller the whole document, but "
            "for the fields in `values`",
            "values": "[{`in`, `field`, `place`, `value`}], if there are large fields: in which field of the result, "
            "name, place among all fields of the document, and `_id` in `values`",
        },
        indexes=(
            # The audit's look at who refers to values.
            IndexModel(
                [("values.value", ASCENDING)],
                name="values",
                partialFilterExpression={"values.value": {"$gt": ""}},
            ),
        ),
        personal=("result",),
        append_only=True,
    ),
    Collection(
        "held",
        id="identity; of a conflicting duplicate `<identity>#<content digest>`, of what cannot be read "
        "`unreadable:<digest of routing key and bytes>`",
        written="one row a message that is not applied, or what a fact has left to do (`credit.allocate`, "
        "`credit.deallocate`, `settlement.continue`, `bill.continue`, `bill.account`, `bill-run.open`, "
        "`settlement.due`, `settlement.correct`, `reserve.due`, `reserve.continue`, `netting.apply`, "
        "`subscription.turn`, reason `continued`), soon or at a time; gone when it is applied",
        fields={
            "parkedId": "the short name that operators use",
            "state": "`waiting`, `scheduled`, `suspect`, `parked`, `discarded`, `mended`",
            "routingKey": "",
            "messageId": "",
            "correlationId": "",
            "body": "as it came",
            "pieces": "in how many its body is kept in `heldBodies`, if it is",
            "properties": "AMQP's",
            "headers": "AMQP's",
            "digest": "of its content",
            "digestVersion": "in which the digest was made",
            "reason": "the error's code; `continued` of a rest",
            "detail": "what is wrong, or missing",
            "traceback": "of a defect",
            "waitsFor": "what has to appear (`account:BA-1`)",
            "attempts": "how often it was taken up",
            "deaths": "how many workers died with it taken up",
            "heldAt": "when it came",
            "failedAt": "when it was tried last",
            "dueAt": "when it is taken up again, unless what it waits for comes first",
            "waitingSince": "of a replay: since when it waits anew; of what is scheduled: the time for which it is",
            "claimedUntil": "by when the worker that has taken it up has to be done",
            "claim": "which claim that is",
            "replies": "[{`replyTo`, `correlationId`}] of those who want to be told its outcome",
            "account": "as the message names it, there or not, where it can be read",
            "businessKey": "likewise; of what has none of its own the message's id",
            "group": "what it is grouped by: a digest of `reason`, `routingKey` and `place`",
            "place": "the fields that do not fit, or the function that failed",
            "exception": "its name, of a defect",
            "worker": "who met it",
            "original": "before it was edited: {`body`, `digest`, `messageType`, `messageId`, `contentEncoding`, "
            "`headers`}; an earlier version kept the first two",
            "editedAt": "",
            "editedFrom": "the parked id that it had before an edit gave it another identity",
            "editedInto": "the parked id that it has since; of several the first one's",
            "editedIntoAll": "those of all, if it goes on as several",
            "seenAgain": "how often the same came again when it was parked, or done with",
            "seenAgainAt": "when it did so last",
            "replacedBy": "the identity of the message that its sender replaced it with",
            "discarded": "{`by`, `claimed`, `via`, `at`, `why`}, as operators' acts have them",
        },
        indexes=(
            # What waits for a thing that has just appeared.
            IndexModel(
                [("waitsFor", ASCENDING), ("heldAt", ASCENDING)],
                name="waiting",
                partialFilterExpression={"state": "waiting"},
            ),
            # What is due to be tried again, or to be parked because it has waited too long.
            IndexModel(
                [("dueAt", ASCENDING)],
                name="due",
                partialFilterExpression={"state": "waiting"},
            ),
            # What was scheduled for a time that has come.
            IndexModel(
                [("dueAt", ASCENDING)],
                name="scheduled",
                partialFilterExpression={"state": "scheduled"},
            ),
            # What a worker had taken up when it died.
            IndexModel(
                [("claimedUntil", ASCENDING)], name="claimed", partialFilterExpression={"claimedUntil": {"$gt": EPOCH}}
            ),
            # The next message that is suspected of killing workers, to be run alone.
            IndexModel(
                [("dueAt", ASCENDING)],
                name="suspect",
                partialFilterExpression={"state": "suspect"},
            ),
            # An operator's look at one parked message.
            IndexModel([("parkedId", ASCENDING)], name="parkedId", unique=True),
            # The message that its sender replaces, by the id that the sender knows.
            IndexModel([("messageId", ASCENDING)], name="messageId"),
            # Lists of what is held, oldest first, and the groups that it makes, without reading its bodies.
            IndexModel(
                [
                    ("state", ASCENDING),
                    ("heldAt", ASCENDING),
                    ("_id", ASCENDING),
                    ("group", ASCENDING),
                    ("reason", ASCENDING),
                    ("routingKey", ASCENDING),
                    ("account", ASCENDING),
                    ("failedAt", ASCENDING),
                    ("parkedId", ASCENDING),
                ],
                name="listed",
            ),
        ),
        personal=("body", "detail", "original", "replies"),
        keep="until done",
    ),
    Collection(
        "heldBodies",
        id="{`held`, `n`}",
        written="with its `held` row",
        fields={"data": "the n-th piece of a body too large for its row"},
        personal=("data",),
        keep="until done",
    ),
    Collection(
        "operatorActs",
        id="a number that grows",
        written="one row an act on a message",
        fields={
            "parkedId": "",
            "identity": "",
            "act": "`replay`, `edit`, `discard`, `undo`, `note`",
            "by": "the user for whom the broker vouches, of what a gateway sent for whom that spoke, `unknown` without "
            "one; at the command line the name given",
            "gateway": "of what a gateway sent: the user for whom the broker vouches",
            "claimed": "what the sender only says that it is (`app_id`), or null",
            "via": "`message`, `command line`; not told in rows of earlier versions, where `by` may be only claimed",
            "at": "",
            "why": "",
            "stateBefore": "",
            "stateAfter": "",
            "editedInto": "parked id, or null; of several the first one's",
            "body": "of an edit that gives another one",
            "changed": "of an edit, what else it gives: `type`, `messageId`, `encoding`, `headers`",
        },
        indexes=(
            # What was done with one message, and with all, in the order of time.
            IndexModel([("parkedId", ASCENDING), ("at", ASCENDING), ("_id", ASCENDING)], name="message"),
            IndexModel([("at", ASCENDING), ("_id", ASCENDING)], name="all"),
        ),
        personal=("why", "body"),
        append_only=True,
    ),
    Collection(
        "replays",
        id="`R-` and 12 hex digits",
        written="by `paymaster parked replay`, once its items are all there",
        fields={
            "by": "",
            "at": "",
            "why": "",
            "filters": "what was asked for, as a query has it, or `ids`",
            "canary": "how many were tried first, or null",
            "canaryWell": "whether all of them were applied; null until that is known",
            "rate": "messages a second, or null",
            "edit": "of an edit of many, what it changes in each; null where they are tried as they are",
            "total": "how many items it has",
            "state": "`running`, `stopped`, `done`; one that died is still `running`, and can be gone on with",
        },
        indexes=(
            # The last ones, to find one that was stopped.
            IndexModel([("at", ASCENDING)], name="all"),
        ),
        personal=("why",),
    ),
    Collection(
        "replayItems",
        # They are read by the beginning of their ids.
        id="`<replay>/<n>`, n in six digits",
        written="all of them before the first message is touched; marked `sent` in the transaction of the act itself",
        fields={
            "replay": "",
            "n": "",
            "parkedId": "",
            "identity": "where it goes on under another one, that; null of an id that was not held",
            "attempts": "as it had them when it was listed: only so it is replayed",
            "into": "the parked id of the other identity, or null",
            "follows": "once it is sent: [[identity, attempts]] of what it goes on as",
            "state": "`pending`, `sent`, then what came of it: `applied`, `parked`, `waiting`, `refused`",
            "detail": "",
        },
    ),
    Collection(
        "workers",
        id="host and process of a worker (`<host>:<pid>`)",
        written="by each worker every few seconds, and removed when it stops; of one that died it stays for a day. All "
        "times are the server's",
        fields={
            "version": "of the program",
            "driver": "of MongoDB, that it uses",
            "startedAt": "",
            "seenAt": "when it said last that it lives",
            "ready": "whether it consumes, and both services answer it",
            "appliesBesideOthers": "whether several workers apply at once",
            "hasTurn": "whether the broker has given it a message of `paymaster.work`",
            "behind": "whether another worker had the turn when it began to consume",
            "consumption": "names its stay at `paymaster.work`; null while it does not read it",
            "consumingSince": "when that began",
        },
        keep="until done",
    ),
    Collection(
        "outbox",
        id="the event's `message_id`: `<account>:<sequence>`, `<resource>/<id>:<revision>` of a specification "
        "(`bill-format/F-1:2`), or `<parkedId>:<attempt>` of `message.parked`",
        written="one row an event",
        fields={
            "routingKey": "",
            "body": "without what is in `values`",
            "values": "[{`at`, `value`}], if it holds large fields of a document: at which byte of what is left each "
            "has its place, and `_id` in `values`",
            "size": "how many bytes the whole body has, if some are in `values`",
            "correlationId": "",
            "causationId": "the identity of the fact that caused it",
            "account": "of an account's event",
            "sequence": "its number among the account's events",
            "bookedAt": "",
            "unsent": "true until the broker has confirmed it, or it is given up",
            "sentAt": "when the broker confirmed it",
            "parkedAt": "when it was given up",
            "reason": "why: `refused`, `precondition-failed` (too large, or otherwise taken from nobody), "
            "`access-refused`, `internal-error`, `unencodable`",
            "refusals": "how often the broker refused it",
            "refusedAt": "when it did so first",
            "unconfirmed": "how often it was put off because no confirm came",
            "dueAt": "when it is tried next, while it is unsent",
            "released": "[{`at`, `by`, `why`, and the `parkedAt` and `reason` it had}], where an operator did that",
        },
        indexes=(
            # What an earlier life left unsent, oldest first.
            IndexModel(
                [("bookedAt", ASCENDING), ("_id", ASCENDING)],
                name="unsent",
                partialFilterExpression={"unsent": True},
            ),
            # What is sent again to a late subscriber, in the order of booking. An event comes into it when it is marked
            # as sent, not in the batch's transaction.
            IndexModel([("bookedAt", ASCENDING)], name="sent", partialFilterExpression={"sentAt": {"$gt": EPOCH}}),
            # An operator's look at what was given up.
            IndexModel(
                [("parkedAt", ASCENDING), ("_id", ASCENDING)],
                name="parked",
                partialFilterExpression={"parkedAt": {"$gt": EPOCH}},
            ),
            # The audit's look at who refers to values.
            IndexModel(
                [("values.value", ASCENDING)],
                name="values",
                partialFilterExpression={"values.value": {"$gt": ""}},
            ),
        ),
        personal=("body",),
        keep="until purged",
    ),
    Collection(
        VALUES,
        id="`<owner>/<SHA-256 of json>`, the owner being an account, or a specification as `<resource>/<id>`",
        written="with the first row that refers to it, of `accountVersions`, `inbox` or `outbox`",
        fields={"json": "of a field of a document, as it goes out; more than 16 KiB"},
        personal=("json",),
        append_only=True,
    ),
)
