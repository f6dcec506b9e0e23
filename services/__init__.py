"""RabbitMQ and MongoDB for the demo, the tests and the benchmarks: named, from Docker, or from this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from services import docker, machine
from services.lifeline import Lifeline, end
from services.model import ServiceError, Services
from services.ready import check_answers

__all__ = ["ServiceError", "Services", "named", "running", "start"]


@contextmanager
def running(*, in_memory: bool = False) -> Iterator[Services]:
    """Give a RabbitMQ and a MongoDB that are ready, and stop what was started for it.

    Those that PAYMASTER_RABBITMQ_URL and PAYMASTER_MONGODB_URL name are taken as they are; otherwise both are started,
    by Docker when a daemon answers and has the images, else on this machine: there, with `in_memory`, on data in memory
    where it has the room. Raises `ServiceError`, at the end also when a service had ended by itself, which is why
    everything else failed.
    """
    if services := named():
        check_answers(services)
        yield services
        return
    services, lifeline = start(detached=False, in_memory=in_memory)
    try:
        yield services
    finally:
        if ended := end(lifeline):
            raise ServiceError(f"while it was in use, {ended}")


def start(*, detached: bool, in_memory: bool = False) -> tuple[Services, Lifeline]:
    """Start both services where that can be done; raises `ServiceError`. They live as their source's `start` says."""
    if docker.usable():
        return docker.start(detached=detached)
    return machine.start(detached=detached, in_memory=in_memory)


def named() -> Services | None:
    """The services that the environment names, or None; `ServiceError` when it names only one of the two."""
    rabbitmq = os.environ.get("PAYMASTER_RABBITMQ_URL")
    mongodb = os.environ.get("PAYMASTER_MONGODB_URL")
    if not rabbitmq and not mongodb:
        return None
    if not rabbitmq or not mongodb:
        raise ServiceError("set both PAYMASTER_RABBITMQ_URL and PAYMASTER_MONGODB_URL, or neither")
    url = urlsplit(rabbitmq)
    user = url.netloc.rpartition("@")[0] or "guest:guest"
    management = os.environ.get("PAYMASTER_RABBITMQ_MANAGEMENT_URL") or f"http://{user}@{url.hostname}:15672"
    return Services(rabbitmq, mongodb, management, "environment")
