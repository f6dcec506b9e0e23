"""What can be wrong with a connection, each in one line: the one place where drivers' errors become our words.

A line names the variable that says otherwise, and has no password in it. Drivers put the state of all that they know
into an error, or the address of an object, or only a number.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelAccessRefused,
    ChannelPreconditionFailed,
    ConnectionClosed,
    IncompatibleProtocolError,
    InvalidFrameError,
    ProbableAuthenticationError,
    ProtocolSyntaxError,
)
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from adapters.tls import is_tls_amqp, is_tls_mongodb

TEXT_MAX = 300
"""The most characters of what a driver or a server says that are repeated."""

_RIGHTS = "docs/security.md has the rights of each command"
NO_REPLICA_SET = (
    "MongoDB runs without a replica set, and transactions need one (one node will do): start mongod with "
    "--replSet rs0 and run replSetInitiate once"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, in one line; `lasting`: waiting does not heal it."""

    line: str
    lasting: bool = False


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


_OBJECT = re.compile(r"<\w+[^<>]*? at 0x[0-9a-f]+>")


def _short(text: object) -> str:
    """What is said, without ends of lines and the addresses of objects."""
    return " ".join(_OBJECT.sub("it is", str(text)).split())[:TEXT_MAX]


def _place(url: str, port: int) -> str:
    """Host and port of a URL, of several the first."""
    try:
        netloc = urlsplit(url).netloc.rpartition("@")[2].split(",")[0]
    except ValueError:
        return "its address"
    return netloc if re.search(r":\d+$", netloc) else f"{netloc}:{port}"


@dataclass(frozen=True, slots=True)
class _Wire:
    """The connection that a fault is about: where to, whether by TLS, and how its settings' names begin."""

    place: str
    tls: bool
    variables: str
    no_tls: str


# -- RabbitMQ


def rabbitmq_fault(error: BaseException, url: str) -> Fault:
    """What an error says of the connection that `url` (PAYMASTER_RABBITMQ_URL) names, or of what was asked of it."""
    encrypted = is_tls_amqp(url)
    place = _place(url, 5671 if encrypted else 5672)
    wire = _Wire(place, encrypted, "PAYMASTER_RABBITMQ", _no_tls_of_amqp(place))
    refused = _refused_by_rabbitmq(error, url)
    if refused is not None:
        why, lasting = refused
    else:
        why, lasting = _unreached(error, wire) or (_odd(error, wire), False)
    return Fault(f"RabbitMQ {why}: see PAYMASTER_RABBITMQ_URL", lasting)


def _refused_by_rabbitmq(error: BaseException, url: str) -> tuple[str, bool] | None:
    """What the broker says no to, and whether it will again."""
    if isinstance(error, AuthenticationError):
        return "does not take this way to log in", True
    if isinstance(error, ProbableAuthenticationError):
        return "refuses the credentials", True
    if isinstance(error, InvalidFrameError) and "Connection.OpenOk" in str(error):
        # aiormq expects an answer, and tells of the refusal only that it is another one.
        why = "it is not there, the user may not use it, or it has as many connections as it may have"
        return f"refuses the virtual host {_vhost(url)!r}: {why}", True
    if isinstance(error, ChannelAccessRefused):
        return (
            f"does not let the user do that ({_short(error)}); {_RIGHTS}, rabbitmqctl set_permissions gives them",
            True,
        )
    if isinstance(error, ChannelPreconditionFailed):
        if "x-single-active-consumer" in str(error):
            why = "PAYMASTER_SINGLE_ACTIVE_CONSUMER is not what it was declared with"
            return f"has paymaster.work with other arguments: {why} ({_short(error)})", True
        return f"has a queue or exchange of ours with other arguments ({_short(error)})", True
    if isinstance(error, ConnectionClosed):
        return f"closed the connection ({_short(error)})", False
    return None


def _no_tls_of_amqp(place: str) -> str:
    return f"does not speak TLS at {place}: the URL begins with amqps://, for which it has another port"


def _odd(error: BaseException, wire: _Wire) -> str:
    place, said = wire.place, str(error)
    handshake = (IncompatibleProtocolError, InvalidFrameError, ProtocolSyntaxError)
    if isinstance(error, handshake) or any(one in said for one in ("unexpected", "hung up", "reset")):
        if wire.tls:
            return f"closes the connection at {place}: it is just starting, or {_wants_a_certificate(wire)}"
        return (
            f"does not answer in AMQP 0-9-1 at {place}: it is just starting, something else listens there, or it wants "
            "TLS (amqps://)"
        )
    return f"does not serve us at {place} ({_short(error) or type(error).__name__})"


def _vhost(url: str) -> str:
    path = urlsplit(url).path
    return unquote(path[1:]) or "/"


# -- MongoDB

_NOT_AUTHORIZED = re.compile(r"not authorized on (\S+) to execute command \{ (\w+)(?:: \"([^\"]*)\")?")
_WRONG_CREDENTIALS = (18, 8000)
_UNAUTHORIZED = 13
_NEEDS_A_REPLICA_SET = (20, 263)


def mongodb_fault(error: BaseException, url: str) -> Fault:
    """What an error says of the server that `url` (PAYMASTER_MONGODB_URL) names, or of what was asked of it."""
    place = _place(url, 27017)
    wire = _Wire(place, is_tls_mongodb(url), "PAYMASTER_MONGODB", _no_tls_of_mongodb(place))
    if isinstance(error, OperationFailure):
        why, lasting = _refused_by_mongodb(error)
    elif isinstance(error, ConfigurationError):
        why, lasting = f"can't be connected to ({_short(error)})", True
    elif isinstance(error, ServerSelectionTimeoutError):
        why, lasting = _not_selected(str(error).partition(", Timeout: ")[0], wire)
    else:
        why, lasting = _unreached(error, wire) or (
            f"did not answer at {place} ({_short(str(error).partition(' (configured')[0]) or type(error).__name__})",
            False,
        )
    return Fault(f"MongoDB {why}: see PAYMASTER_MONGODB_URL", lasting)


def _refused_by_mongodb(error: OperationFailure) -> tuple[str, bool]:
    said = str(error).partition(", full error")[0]
    if error.code in _WRONG_CREDENTIALS:
        return "refuses the credentials", True
    if error.code == _UNAUTHORIZED:
        if found := _NOT_AUTHORIZED.search(said):
            database, command, collection = found.groups()
            where = f"{database}.{collection}" if collection else database
            return (
                f"lets the user in, but not {command} in {where}: docs/security.md has the rights of each command",
                True,
            )
        if "requires authentication" in said:
            return "wants credentials, and the URL has none", True
        return f"lets the user in, but not do that ({_short(said)})", True
    if error.code in _NEEDS_A_REPLICA_SET:
        return NO_REPLICA_SET.removeprefix("MongoDB "), True
    return f"answers with an error ({_short(said)})", False


def _no_tls_of_mongodb(place: str) -> str:
    return f"does not speak TLS at {place}, as the URL says"


def _not_selected(said: str, wire: _Wire) -> tuple[str, bool]:
    """What keeps a driver from every server: it tells the errors of all of them, one after the other."""
    place = m[1] if (m := re.search(r"([\w.-]+:\d+): ", said)) else wire.place
    wire = replace(wire, place=place, no_tls=_no_tls_of_mongodb(place))
    if found := re.search(r"certificate verify failed: ([^(]*)", said):
        return _untrusted(found[1].strip(), wire), True
    if found := re.search(r"\[SSL: (\w+)\]", said):
        return _refused_by_tls(found[1], wire)
    if wire.tls and re.search(r"connection (is already )?closed|reset by peer|EOF occurred", said):
        return f"closes the connection at {place}: it does not speak TLS, or {_wants_a_certificate(wire)}", False
    for pattern, why in (
        (r"SSL handshake failed", wire.no_tls),
        (r"Connection refused|Connect call failed", f"is not there: nothing listens at {place}"),
        (r"not known|name resolution|nodename|No address", _unresolved(place)),
        (r"timed out|unreachable|No route", f"does not answer at {place}"),
        (
            r"Got response id|connection (?:is already )?closed|reset by peer|Invalid reply|Message length",
            f"is not what answers at {place}, or it wants TLS (tls=true)",
        ),
        (r"replica set|primary", f"has no member that can be worked with ({_short(said)})"),
    ):
        if re.search(pattern, said):
            return why, False
    return f"did not answer at {place} ({_short(said.partition(' (configured')[0])})", False


# -- both


def _unreached(error: BaseException, wire: _Wire) -> tuple[str, bool] | None:
    """What the network, or TLS, says."""
    place = wire.place
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return _unresolved(place), False
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(cause.verify_message, wire), True
        if isinstance(cause, ssl.SSLError):
            if cause is error and not isinstance(error, AMQPError):
                return f"can't be connected to: a certificate's file is none ({_short(cause.reason)})", True
            return _refused_by_tls(cause.reason or "", wire)
        if isinstance(cause, ConnectionRefusedError):
            return f"is not there: nothing listens at {place}", False
        if isinstance(cause, TimeoutError) or _is_unreachable(cause):
            return f"does not answer at {place}", False
        if type(cause) in (FileNotFoundError, PermissionError, IsADirectoryError) and isinstance(cause, OSError):
            named = f" {cause.filename}" if cause.filename else ""
            return f"can't be connected to: the certificate's file{named} can't be read ({cause.strerror})", True
    return None


def _is_unreachable(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (101, 113)


def _unresolved(place: str) -> str:
    return f"is not found: the name {place.rpartition(':')[0]} can't be resolved"


_REFUSED_CERTIFICATE = (
    "UNKNOWN_CA",
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
)
"""What a server says of the certificate that it was shown."""


def _refused_by_tls(reason: str, wire: _Wire) -> tuple[str, bool]:
    """What an error in TLS says, by OpenSSL's name of it, and whether it will again."""
    variable = f"{wire.variables}_CERTIFICATE_FILE"
    if reason.endswith("ALERT_CERTIFICATE_REQUIRED"):
        return f"wants a client certificate at {wire.place}: {variable} names it", True
    if "ALERT" in reason and (said := next((one for one in _REFUSED_CERTIFICATE if reason.endswith(one)), None)):
        why = said.replace("_", " ").lower()
        return f"does not take the client certificate at {wire.place} ({why}): {variable} names another", True
    if "ALERT" in reason:
        return f"refuses TLS at {wire.place} ({_short(reason.replace('_', ' ').lower())})", False
    return wire.no_tls, reason == "WRONG_VERSION_NUMBER"


def _wants_a_certificate(wire: _Wire) -> str:
    return f"it wants a client certificate that it trusts ({wire.variables}_CERTIFICATE_FILE)"


def _untrusted(said: str, wire: _Wire) -> str:
    """What is wrong with a server's certificate, by what OpenSSL says of it."""
    shown = f"shows a certificate at {wire.place}"
    if "mismatch" in said:
        return f"{shown} that is for another name ({_short(said)})"
    if "expired" in said or "not yet valid" in said:
        return f"{shown} that {'has expired' if 'expired' in said else 'is not valid yet'}"
    return f"{shown} of a CA that is not trusted ({_short(said)}): {wire.variables}_CA_FILE says which are"


FAULTS = (PyMongoError, AMQPError, OSError)
"""What the two functions are for."""
