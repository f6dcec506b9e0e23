"""Ports that are kept for somebody: free when they are given, and nobody else's until they are given back."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from services.model import ServiceError

PORTS = range(20000, 32000)
"""Below the range from which the kernel takes ports for outgoing connections."""


@contextmanager
def reserved(count: int) -> Iterator[list[int]]:
    """So many ports of 127.0.0.1 on which nobody listens; who sets SO_REUSEADDR, as servers do, can listen on them.

    Until the block ends no other process is given them here, and none can bind them by chance. Raises `ServiceError`
    if there are not enough.
    """
    with ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(PORTS, len(PORTS)):
            place = held.enter_context(socket.socket())
            try:
                # Without SO_REUSEADDR this fails also where a port is only kept; with it, set afterwards, servers may
                # listen beside it.
                place.bind(("127.0.0.1", port))
            except OSError:
                continue
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            ports.append(port)
            if len(ports) == count:
                break
        else:
            raise ServiceError(f"no {count} ports are free between {PORTS.start} and {PORTS.stop}")
        yield ports
