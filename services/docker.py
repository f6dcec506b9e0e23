"""Starts RabbitMQ and MongoDB in Docker containers, through testcontainers, and removes them."""

import os
import secrets
import socket
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from services.lifeline import Lifeline, end, keep, why_ended
from services.model import ServiceError, Services
from services.ready import REPLICA_SET, await_started

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

USUAL_SOCKET = "unix:///var/run/docker.sock"
PING_TIMEOUT_S = 5
PULL_TIMEOUT_S = 600
LOG_LINES = 25
AMQP, HTTP, MONGO = 5672, 15672, 27017


def usable() -> bool:
    """Whether a daemon answers, on DOCKER_HOST or the usual socket, and has, or can pull, both images.

    When it is only an image that lacks, one line on standard error says so.
    """
    if not _listens(os.environ.get("DOCKER_HOST") or USUAL_SOCKET):
        return False
    from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]
    from testcontainers.core.docker_client import DockerClient

    try:
        with closing(DockerClient(timeout=PING_TIMEOUT_S).client) as client:
            client.ping()
    except DockerException:
        return False
    with closing(DockerClient(timeout=PULL_TIMEOUT_S).client) as client:
        for image in (_rabbitmq_image(), _mongodb_image()):
            try:
                try:
                    client.images.get(image)
                except ImageNotFound:
                    print(f"pulling {image} ...", file=sys.stderr)
                    client.images.pull(image)
            except DockerException as error:
                print(f"Docker cannot give {image}, so this machine has to: {error}", file=sys.stderr)
                return False
    return True


def start(*, detached: bool) -> tuple[Services, Lifeline]:
    """Start both services and wait until they are ready.

    They are removed with this process, however it ends, or with the lifeline; detached, only with the lifeline. Raises
    `ServiceError` when a service does not come up; nothing is left running then.
    """
    from docker.errors import DockerException
    from testcontainers.core.config import testcontainers_config

    # Our keeper does what testcontainers' reaper does, without another image to be pulled and without giving a
    # container the daemon's socket; and it lets detached containers live.
    testcontainers_config.ryuk_disabled = True
    suffix = secrets.token_hex(6)
    names = [f"paymaster-rabbitmq-{suffix}", f"paymaster-mongodb-{suffix}"]
    directory = Path(tempfile.mkdtemp(prefix="paymaster-services-"))
    # Made before the keeper, which inherits the daemon's address that is found on the way.
    rabbitmq, mongodb = _rabbitmq(names[0]), _mongodb(names[1])
    remove = [sys.executable, "-I", "-c", REMOVE, *names]
    lifeline = keep(directory, {"children": [], "afterwards": remove}, detached=detached)
    try:
        try:
            rabbitmq.start()
            mongodb.start()
            host = rabbitmq.get_container_host_ip()
            services = Services(
                rabbitmq_url=f"amqp://guest:guest@{host}:{rabbitmq.get_exposed_port(AMQP)}/",
                mongodb_url=f"mongodb://{host}:{mongodb.get_exposed_port(MONGO)}/?directConnection=true",
                rabbitmq_management_url=f"http://guest:guest@{host}:{rabbitmq.get_exposed_port(HTTP)}",
                source="docker",
            )
        except (DockerException, OSError, TimeoutError) as error:
            raise ServiceError(f"Docker could not start the services: {error}") from error
        containers = {"rabbitmq-server": rabbitmq, "mongod": mongodb}

        def failure() -> str | None:
            for name, container in containers.items():
                container.reload()
                if container.status not in ("created", "running"):
                    return f"{name}'s container is {container.status}; its log ends:\n{_tail(container)}"
            return why_ended(lifeline)

        await_started(services, failure, log=lambda name: _tail(containers[name]))
    except BaseException:
        end(lifeline)
        raise
    return services, lifeline


# What the keeper runs at the end: a name whose container was never made, or is gone, is no error.
REMOVE = """
import sys, docker
client = docker.from_env()
for name in sys.argv[1:]:
    try:
        client.containers.get(name).remove(force=True, v=True)
    except docker.errors.NotFound:
        pass
"""


def _listens(address: str) -> bool:
    """Whether anything is behind a socket's address; other kinds of address are left to the client to try."""
    scheme, _, path = address.partition("://")
    if scheme != "unix":
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _rabbitmq_image() -> str:
    return os.environ.get("PAYMASTER_RABBITMQ_IMAGE") or "rabbitmq:4-management"


def _mongodb_image() -> str:
    return os.environ.get("PAYMASTER_MONGODB_IMAGE") or "mongo:8"


def _rabbitmq(name: str) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(_rabbitmq_image()).with_name(name).with_exposed_ports(AMQP, HTTP)
    # The API is used for virtual hosts; its statistics would only take time from the broker.
    return container.with_env(
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
        "-rabbit collect_statistics_interval 30000 -rabbitmq_management_agent rates_mode none",
    )


def _mongodb(name: str) -> "DockerContainer":
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(_mongodb_image()).with_name(name).with_exposed_ports(MONGO)
    return container.with_command(
        ["mongod", "--replSet", REPLICA_SET, "--wiredTigerCacheSizeGB", "1", "--setParameter", "enableTestCommands=1"]
    )


def _tail(container: "DockerContainer") -> str:
    log = container.get_wrapped_container().logs(tail=LOG_LINES).decode(errors="replace")
    return "\n".join(f"    {line}" for line in log.splitlines())
