"""RabbitMQ's management API, as far as the tests look at the broker or disturb it."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import ProxyHandler, Request, build_opener

from tests.support.waiting import wait_for

_opener = build_opener(ProxyHandler({}))


class Broker:
    """One virtual host, seen from the management API at `url`."""

    def __init__(self, url: str, rabbitmq_url: str) -> None:
        self._url = urlsplit(url)
        self.vhost = quote(unquote(urlsplit(rabbitmq_url).path[1:]), safe="")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; `{vhost}` in the path is ours."""
        parts = self._url
        credentials = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
        request = Request(
            urlunsplit(
                (
                    parts.scheme,
                    parts.netloc.rpartition("@")[2],
                    f"{parts.path.rstrip('/')}/api/{path.format(vhost=self.vhost)}",
                    "",
                    "",
                )
            ),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "content-type": "application/json",
                "authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}",
            },
        )
        with _opener.open(request, timeout=30) as response:
            answer = response.read()
        return json.loads(answer) if answer else None

    async def publish(self, routing_key: str, payload: bytes, properties: dict[str, Any]) -> None:
        """Publish with exactly these properties: AMQP clients add some of their own, or refuse to send some."""
        answer = await asyncio.to_thread(
            self.call,
            "POST",
            "exchanges/{vhost}/paymaster.in/publish",
            {
                "routing_key": routing_key,
                "payload": base64.b64encode(payload).decode(),
                "payload_encoding": "base64",
                "properties": properties,
            },
        )
        assert answer["routed"]

    def connections(self, name: str = "") -> list[str]:
        """The connections that call themselves `name` (all of this virtual host, if it is empty)."""
        return [
            connection["name"]
            for connection in self.call("GET", "vhosts/{vhost}/connections")
            if not name or connection.get("client_properties", {}).get("connection_name") == name
        ]

    async def close_connection(self, name: str) -> None:
        """Close a connection that calls itself `name` by force, as soon as there is one."""

        def closed() -> bool:
            for one in self.connections(name):
                try:
                    self.call("DELETE", f"connections/{quote(one, safe='')}")
                except HTTPError as error:
                    error.close()
                    # It was listed, and is gone by itself; or goes at this moment, at which the look at it fails.
                    if error.code not in (404, 500):
                        raise
                else:
                    return True
            return False

        async def attempt() -> bool:
            return await asyncio.to_thread(closed)

        await wait_for(attempt, otherwise=f"no connection {name!r}")
