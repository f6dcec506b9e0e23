"""Speaks to RabbitMQ's management API, as far as virtual hosts need it."""

import base64
import json
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import ProxyHandler, Request, build_opener

TIMEOUT_S = 30

# A proxy that the environment names is for the way out, never for the broker beside us.
_opener = build_opener(ProxyHandler({}))


class ManagementError(Exception):
    """The management API refused a request, or did not answer."""


def whoami(url: str) -> None:
    """Ask the API at `url` who we are; raises `ManagementError` unless it knows."""
    _call("GET", url, "whoami")


def make_vhost(url: str, name: str, user: str) -> None:
    """Make the virtual host `name` and let `user` do everything there; raises `ManagementError`."""
    _call("PUT", url, f"vhosts/{quote(name, safe='')}", {})
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    _call("PUT", url, f"permissions/{quote(name, safe='')}/{quote(unquote(user), safe='')}", everything)


def delete_vhost(url: str, name: str) -> None:
    """Delete the virtual host `name` and all that is in it; raises `ManagementError`."""
    _call("DELETE", url, f"vhosts/{quote(name, safe='')}")


def _call(method: str, url: str, path: str, body: object = None) -> None:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    credentials = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
    request = Request(  # noqa: S310 - the URL is the developer's own setting, or ours
        urlunsplit((parts.scheme, host, f"{parts.path.rstrip('/')}/api/{path}", "", "")),
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "content-type": "application/json",
            "authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}",
        },
    )
    try:
        _opener.open(request, timeout=TIMEOUT_S).close()
    except HTTPError as error:
        error.close()
        raise ManagementError(f"{method} {host}/api/{path}: {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise ManagementError(f"{method} {host}/api/{path}: {error}") from error
