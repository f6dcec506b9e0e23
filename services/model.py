"""What a caller is given: the URLs of the two services, a virtual host of its own, or an error that says why not."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from services import management


class ServiceError(Exception):
    """A service cannot be had; the message names it and, where there is one, ends with the tail of its log."""


@dataclass(frozen=True)
class Services:
    """A RabbitMQ and a MongoDB that are ready, and where they came from."""

    rabbitmq_url: str
    mongodb_url: str
    rabbitmq_management_url: str
    source: Literal["environment", "docker", "machine"]

    @contextmanager
    def vhost(self) -> Iterator[str]:
        """Make a virtual host with a new name, on which the URL's user may do everything; delete it afterwards.

        Gives the AMQP URL of the virtual host. Raises `ServiceError` when the management API refuses or is away.
        """
        name = f"paymaster-{secrets.token_hex(6)}"
        broker = urlsplit(self.rabbitmq_url)
        try:
            management.make_vhost(self.rabbitmq_management_url, name, broker.username or "guest")
            try:
                yield urlunsplit(broker._replace(path=f"/{name}"))
            finally:
                management.delete_vhost(self.rabbitmq_management_url, name)
        except management.ManagementError as error:
            raise ServiceError(
                f"RabbitMQ's management API refused: {error}. PAYMASTER_RABBITMQ_MANAGEMENT_URL names another one."
            ) from error
