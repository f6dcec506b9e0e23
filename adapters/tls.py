"""TLS to both services: the files of CAs, certificates and keys, and the URLs by which the drivers are told of them.

Every connection is opened by a URL, by whichever driver and part of ours, so what is set beside it is put into it: no
part can forget it. Errors are `ValueError` with one line, which has no secret in it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pymongo.errors import PyMongoError
from pymongo.uri_parser import split_options
from yarl import URL

_OF_OTHER_CLIENTS = ("verify", "cacertfile", "ca_certs", "ssl", "ssl_options", "tls")
"""Options that other AMQP clients know; ours would pass over them, and whoever wrote them would not know."""
_UNCHECKED = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
"""The options by which MongoDB's drivers check a certificate less, or not at all."""


def _passphrase() -> bytes:
    # Without this OpenSSL would ask whoever sits at the terminal.
    raise ValueError("is encrypted, and there is nobody to ask for its passphrase")


def check_ca(path: str) -> None:
    """Raise `ValueError` unless a file has certificates of CAs in PEM."""
    _read(path)
    try:
        ssl.create_default_context(cafile=path)
    except (ssl.SSLError, OSError):
        raise ValueError(f"names a file without a certificate in PEM: {path}") from None


def check_certificate(path: str, key: str | None) -> None:
    """Raise `ValueError` unless a file has a certificate in PEM and the key file (None: the same one) its key."""
    for file in filter(None, (path, key)):
        _read(file)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, key, password=_passphrase)
    except (ssl.SSLError, OSError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ValueError(f"is not the key of the certificate in {path}: {key or path}") from None
        raise ValueError(
            f"has no certificate with its key, in PEM, in {path}" + (f" and {key}" if key else "")
        ) from None


def _read(path: str) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ValueError(f"names a file that can't be read: {path} ({error.strerror})") from None


def of_amqp(url: str, files: Mapping[str, str | None], *, unchecked: bool) -> str:
    """The AMQP URL with the files that are set in it (`cafile`, `certfile`, `keyfile`).

    `unchecked` allows it to switch the check of certificates off.
    """
    try:
        parsed = URL(url)
        query = parsed.query
        parsed.port  # noqa: B018  # it is parsed when it is asked for
    except ValueError:
        raise ValueError("can't be read: amqp://user:password@host:port/virtual-host is its form") from None
    if foreign := next((name for name in query if name.lower() in _OF_OTHER_CLIENTS), None):
        raise ValueError(f"has an option of other clients: {foreign}; README.md has the settings of TLS")
    if not unchecked and is_unchecked_amqp(url):
        raise ValueError(_off("no_verify_ssl"))
    given = {name: path for name, path in files.items() if path is not None}
    if given and parsed.scheme != "amqps":
        raise ValueError("begins with amqp://, and certificates are set for it: TLS is amqps://")
    for name in ("cafile", "capath", "certfile", "keyfile"):
        if name in query:
            _check_readable(name, query[name])
    added = _added(given, {name: query[name] for name in query})
    if not added:
        return url
    if parsed.fragment or "#" in url:
        raise ValueError("has a # in it: in a password it is written %23")
    return f"{url}{'&' if '?' in url else '?'}{urlencode(added)}"


def _check_readable(name: str, path: str) -> None:
    try:
        if not Path(path).is_dir():
            Path(path).open("rb").close()
    except OSError as error:
        raise ValueError(f"names a {name} that can't be read: {path} ({error.strerror})") from None


def of_mongodb(url: str, files: Mapping[str, str | None], *, unchecked: bool) -> str:
    """The same for MongoDB's URL (`tlsCAFile`, `tlsCertificateKeyFile`), whose options can be read already."""
    options = _options(url)
    if not unchecked and (off := _switched_off(options)):
        raise ValueError(_off(off))
    given = {name: path for name, path in files.items() if path is not None}
    if given and not is_tls_mongodb(url):
        raise ValueError("is without TLS, and certificates are set for it: ?tls=true asks for TLS")
    added = _added(given, options)
    if not added:
        return url
    head, asked, tail = url.partition("?")
    if "/" not in head.partition("://")[2]:
        head += "/"
    said = "&".join(f"{name}={quote(path, safe='')}" for name, path in added.items())
    return f"{head}?{tail}&{said}" if asked and tail else f"{head}?{said}"


def _added(files: Mapping[str, str], there: Mapping[str, object]) -> dict[str, str]:
    """What a URL lacks; it may say the same as the settings, and nothing else."""
    for name, path in files.items():
        if name in there and there[name] != path:
            raise ValueError(f"names another {name} than is set beside it")
    return {name: path for name, path in files.items() if name not in there}


def _off(option: str) -> str:
    return (
        f"switches off the check of certificates ({option}), so that anyone on the way may read and write all: "
        "PAYMASTER_UNCHECKED_TLS=true allows it"
    )


def is_tls_amqp(url: str) -> bool:
    """Whether an AMQP URL asks for TLS."""
    return url.startswith("amqps:")


def is_unchecked_amqp(url: str) -> bool:
    """Whether it switches off the check of certificates."""
    return any(value != "0" for value in URL(url).query.getall("no_verify_ssl", ()))


def is_tls_mongodb(url: str) -> bool:
    """Whether a MongoDB URL asks for TLS."""
    return _options(url).get("tls", url.startswith("mongodb+srv:")) is True


def is_unchecked_mongodb(url: str) -> bool:
    """Whether it switches off a part of the check of certificates."""
    return _switched_off(_options(url)) is not None


def _switched_off(options: Mapping[str, object]) -> str | None:
    return next((name for name in _UNCHECKED if options.get(name)), None)


def _options(url: str) -> Mapping[str, Any]:
    """The options of a URL, whatever the case of their names; of one that can't be read, none."""
    _, _, options = url.partition("?")
    try:
        found: Mapping[str, Any] = split_options(options) if options else {}
    except (ValueError, OSError, PyMongoError):
        return {}
    return found
