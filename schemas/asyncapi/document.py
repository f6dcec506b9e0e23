"""The AsyncAPI 3.0.0 document, put together: channels, operations and messages over the schemas of both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from domain.accounts.relations import LEVELS_MAX, RELATIONSHIPS_MAX
from domain.money import AMOUNT_MAX
from domain.settlement.closing import LINES_MAX
from schemas.accounts.documents import DOCUMENT_BYTES_MAX
from schemas.asyncapi import incoming, outgoing
from schemas.asyncapi.incoming import ref
from schemas.event import Event
from schemas.events import EVENTS
from schemas.message import Message
from schemas.messages import MESSAGES
from schemas.ordering.messages import ITEMS_MAX
from schemas.payments.messages import NAMED_INVOICES_MAX
from schemas.queries import QUERIES
from schemas.query import LIMIT_MAX, Query
from schemas.tables import merged
from schemas.values import INTEGER_MAX, TEXT_MAX, Json
from schemas.wire import BODY_MAX, DEPTH_MAX, FACTS_MAX

VERSION = "1.0.0"
"""Of what is said on the wire; its first number is the header `schema-version`."""

LIMITS: dict[str, int] = {
    "bodyBytes": BODY_MAX,
    "jsonDepth": DEPTH_MAX,
    "factsOfAnArray": FACTS_MAX,
    "itemsOfAnOrder": ITEMS_MAX,
    "invoicesNamedByAPayment": NAMED_INVOICES_MAX,
    "linesOfAStatement": LINES_MAX,
    "documentBytes": DOCUMENT_BYTES_MAX,
    "relationshipsOfAnAccount": RELATIONSHIPS_MAX,
    "levelsOfAHierarchy": LEVELS_MAX,
    "itemsOfAPage": LIMIT_MAX,
    "textCharacters": TEXT_MAX,
    "integer": INTEGER_MAX,
    "minorUnits": AMOUNT_MAX,
}

_DESCRIPTION = """\
Account management by message: accounts (TMF666), orders billed (TMF678), payments, settlements with partners.

A fact's identity is its type and business key. The same content again has no effect and no error; other content is
parked as `conflicting-duplicate`. A message without a business key needs a `message_id`, which is then its key. What
refers to a thing that is not there yet waits for it. Each effect is had once, each of its events published at least
once, with the same `message_id`.

A body may also be an array of facts of the routing key's type: each stands alone, and is answered by itself.

Unknown fields are ignored, and kept in TMF666's documents, in which a field that is null counts as not said. Bodies are
JSON in UTF-8."""

_IN, _OUT, _ASK, _WORK, _DEAD, _QUERIES = (
    f"paymaster.{name}" for name in ("in", "out", "ask", "work", "dead", "queries")
)
_REPLIES = "replies"
_ANY_DEAD = "dead-letter"
_BINDING = {"bindingVersion": "0.3.0"}
_SERVER = "broker"

QUEUES: dict[str, tuple[Json, list[Json]]] = {
    _WORK: (
        {
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": 1000,
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": _DEAD,
            "x-dead-letter-strategy": "at-least-once",
        },
        [{"exchange": _IN, "type": "topic", "routingKey": "#"}],
    ),
    _DEAD: ({"x-queue-type": "quorum"}, [{"exchange": _DEAD, "type": "fanout"}]),
    _QUERIES: ({}, [{"exchange": _ASK, "type": "topic", "routingKey": "#"}]),
}
"""The arguments and bindings of each queue; AsyncAPI's own bindings know neither."""


_WORK_SAYS = (
    "All messages to the worker. Declared without `x-single-active-consumer` where PAYMASTER_SINGLE_ACTIVE_CONSUMER is "
    "false."
)


_QUERIES_SAY = (
    f"All queries. Each comes by the exchange `{_ASK}`, its name as the routing key; while there is no access file, by "
    "the default exchange too, its name as the `type`."
)


def _said(what: str, **schema: Any) -> Json:
    return {"type": "string", "description": what, **schema}


_JSON = _said("The body's.", const="application/json")
_REQUEST: Json = {
    "message_id": _said("The key of a message that has no other."),
    "correlation_id": _said("Copied to all that the message causes; `message_id` unless said."),
    "reply_to": _said(
        "The queue to answer to: a client's own (`amq.gen-…`, `amq_…`, direct reply-to), or one whose name begins as "
        "`PAYMASTER_REPLY_PREFIXES` says. To any other no answer goes."
    ),
    "content_type": _JSON,
    "schema-version": {"enum": [1, "1"], "default": 1},
    "user_id": _said(
        "The user that the sender is connected as, which the broker checks. Recorded with the effect. Where there is "
        "an access file, a message without it is `forbidden`."
    ),
    "acting-user": _said(
        "For whom a gateway speaks, by that one's `user_id`: then that one's rights hold. Recorded with the effect. Of "
        "who is no gateway `forbidden`, where there is an access file."
    ),
}
_RECORDED: Json = {
    "app_id": _said("Recorded with the effect."),
    "timestamp": _said("Recorded with the effect.", format="date-time"),
    "replaces": _said(
        "The `message_id` of an earlier message of the same user's that is wrong and still waits: it is discarded, and "
        "this one takes its place. Of an array the n-th fact replaces `<message_id>:<n>`."
    ),
}
_SENT: Json = {
    "correlation_id": _said("That of the message that caused it."),
    "timestamp": _said("When: of an event its `eventTime`.", format="date-time"),
    "app_id": _said("Who sent it.", const="paymaster"),
    "content_type": _JSON,
    "causation-id": _said("The identity of the fact that caused it, or the name of the query that it answers."),
}
_EVENT: Json = {
    **_SENT,
    "message_id": _said("The body's `eventId`: the same whenever it is published."),
    "type": _said("The routing key."),
    "schema-version": {"const": 1},
}
_PLACE: Json = {
    "account-id": ref("Id"),
    "account-sequence": {"type": "integer", "minimum": 1, "description": "1, 2, 3 ... without a gap for each account."},
}

HEADERS: dict[str, tuple[Json, tuple[str, ...]]] = {
    "command": ({**_REQUEST, **_RECORDED}, ()),
    "query": (
        {
            **_REQUEST,
            "type": _said(f"The query's name. By `{_ASK}` the routing key says it, and this may be left out."),
        },
        ("reply_to",),
    ),
    "reply": (_SENT, tuple(_SENT)),
    "event": (_EVENT, tuple(_EVENT)),
    "account-event": ({**_EVENT, **_PLACE}, (*_EVENT, *_PLACE)),
}
"""The AMQP properties (with `_`) and headers (with `-`) of each kind of message, and which are always there."""


def asyncapi(
    messages: Mapping[str, type[Message]] = MESSAGES,
    queries: Mapping[str, type[Query]] = QUERIES,
    events: Mapping[str, Event[Any]] = EVENTS,
) -> Json:
    """The AsyncAPI 3.0.0 document of all that Paymaster receives and sends, the same whenever it is made.

    Commands, queries, events and both kinds of reply have a namespace each, as one name may be that of several.
    """
    payloads, schemas = incoming.commands(messages)
    questions = incoming.queries(queries)
    told = {
        **{_command(name): _message(name, "command", payload, messages[name]) for name, payload in payloads.items()},
        **{_command_reply(name): _reply(name, outgoing.reply(message)) for name, message in messages.items()},
        **{_query(name): _message(name, "query", payload, queries[name]) for name, payload in questions.items()},
        **{_query_reply(name): _reply(name, outgoing.answer(query)) for name, query in queries.items()},
        **{_event(name): _told(event) for name, event in events.items()},
        _ANY_DEAD: {"name": _ANY_DEAD, "summary": "A message that the broker gave up on, as it came.", "payload": {}},
    }
    commands, asked = [_command(name) for name in messages], [_query(name) for name in queries]
    replies = [*(_command_reply(name) for name in messages), *(_query_reply(name) for name in queries)]
    channels = {
        **{_command(name): _exchange(name, _IN, _command(name)) for name in messages},
        **{_event(name): _exchange(name, _OUT, _event(name)) for name in events},
        **{_query(name): _exchange(name, _ASK, _query(name)) for name in queries},
        _WORK: _queue(_WORK, _WORK_SAYS, commands),
        _QUERIES: _queue(_QUERIES, _QUERIES_SAY, asked),
        _DEAD: _queue(_DEAD, "What the broker gave up on: the worker parks it.", [_ANY_DEAD]),
        _REPLIES: {
            "address": None,
            "description": "The queue that a request names, reached through the default exchange. Best effort.",
            "messages": _messages(replies),
        },
    }
    operations = {
        **{
            f"receive.{_command(name)}": _receive(_command(name), _command(name), _command_reply(name))
            for name in messages
        },
        **{f"receive.{_query(name)}": _receive(_query(name), _query(name), _query_reply(name)) for name in queries},
        **{f"send.{_event(name)}": _send(_event(name)) for name in events},
        f"receive.{_ANY_DEAD}": _operation("receive", _ANY_DEAD, _DEAD, ack=True),
    }
    components = {
        "schemas": _sorted(merged(incoming.VALUES, schemas, outgoing.parts(schemas))),
        "messages": _sorted(told),
        "messageTraits": {name: _trait(*headers) for name, headers in HEADERS.items()},
        "correlationIds": {"correlation_id": {"location": "$message.header#/correlation_id"}},
        "replyAddresses": {"reply_to": {"location": "$message.header#/reply_to"}},
        "securitySchemes": {"password": {"type": "userPassword"}},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Paymaster",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "x-limits": LIMITS,
        },
        "defaultContentType": "application/json",
        "servers": {
            _SERVER: {
                "host": "{host}",
                "pathname": "/{vhost}",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "RabbitMQ.",
                "variables": {
                    "host": {"description": "The broker's name, and its port unless it is 5672."},
                    "vhost": {"description": "The virtual host.", "default": ""},
                },
                "security": [{"$ref": "#/components/securitySchemes/password"}],
            }
        },
        "channels": _sorted(channels),
        "operations": _sorted(operations),
        "components": components,
    }


def _sorted(members: Mapping[str, Json]) -> Json:
    return dict(sorted(members.items()))


def _command(name: str) -> str:
    return f"command.{name}"


def _command_reply(name: str) -> str:
    return f"command-reply.{name}"


def _query(name: str) -> str:
    return f"query.{name}"


def _query_reply(name: str) -> str:
    return f"query-reply.{name}"


def _event(name: str) -> str:
    return f"event.{name}"


def _message(name: str, kind: str, payload: Json, model: type[Message | Query] | None = None) -> Json:
    said = {"description": incoming.described(model)} if model else {}
    return {"name": name, **said, "traits": [{"$ref": f"#/components/messageTraits/{kind}"}], "payload": payload}


def _reply(name: str, payload: Json) -> Json:
    return _message(f"{name}.reply", "reply", payload)


def _told(event: Event[Any]) -> Json:
    kind = "account-event" if event.of_account else "event"
    return {**_message(event.routing_key, kind, outgoing.event(event)), "summary": event.summary}


def _trait(headers: Json, always: tuple[str, ...]) -> Json:
    return {
        "headers": {"type": "object", "properties": headers, "required": list(always)},
        "correlationId": {"$ref": "#/components/correlationIds/correlation_id"},
    }


def _messages(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(names)}


def _exchange(routing_key: str, exchange: str, message: str) -> Json:
    found = {"name": exchange, "type": "topic", "durable": True, "autoDelete": False}
    return {
        "address": routing_key,
        "messages": _messages([message]),
        "bindings": {"amqp": {"is": "routingKey", "exchange": found, **_BINDING}},
    }


def _queue(name: str, description: str, messages: Iterable[str]) -> Json:
    arguments, bindings = QUEUES[name]
    found = {"name": name, "durable": True, "exclusive": False, "autoDelete": False}
    return {
        "address": name,
        "description": description,
        "messages": _messages(messages),
        "bindings": {"amqp": {"is": "queue", "queue": found, **_BINDING}},
        "x-arguments": arguments,
        "x-bindings": bindings,
    }


def _operation(action: str, message: str, channel: str, **binding: Any) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"}],
        "bindings": {"amqp": {**binding, **_BINDING}},
    }


def _receive(message: str, channel: str, reply: str) -> Json:
    replied = {
        "address": {"$ref": "#/components/replyAddresses/reply_to"},
        "channel": {"$ref": f"#/channels/{_REPLIES}"},
        "messages": [{"$ref": f"#/channels/{_REPLIES}/messages/{reply}"}],
    }
    return {**_operation("receive", message, channel, ack=True), "reply": replied}


def _send(event: str) -> Json:
    return _operation("send", event, event, deliveryMode=2, timestamp=True)
