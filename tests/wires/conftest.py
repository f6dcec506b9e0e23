"""Certificates, and a RabbitMQ and a MongoDB that take nobody without one: started when a test asks for them, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from pymongo import MongoClient
from typer.testing import CliRunner

from adapters.settings import PREFIX, Settings
from handlers.cli import app
from services import ServiceError, machine, programs
from services.machine import Guarded
from tests.conftest import Driver, new_name
from tests.support.books import Document
from tests.support.broker import Broker
from tests.support.waiting import SECONDS_MAX
from tests.support.workers import environment

PASSWORD = "s3cret-Pa55word"
"""Of the users that tests make."""
HOST = "localhost"
"""The name that the servers' certificates are for."""


@dataclass(frozen=True)
class Papers:
    """PEM files: a CA's certificate; what it issued, with keys; and those of a CA that nobody trusts."""

    ca: Path
    server: Path
    client: Path
    client_certificate: Path
    client_key: Path
    other_ca: Path
    foreign_client: Path


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The CA that all trust."""
    return trustme.CA()


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Papers:
    """Made for this run."""
    directory = tmp_path_factory.mktemp("papers")
    ours, other = authority, trustme.CA()
    client = ours.issue_cert("worker")
    found = Papers(*(directory / f"{name}.pem" for name in Papers.__dataclass_fields__))
    ours.cert_pem.write_to_path(str(found.ca))
    other.cert_pem.write_to_path(str(found.other_ca))
    ours.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(found.server))
    client.private_key_and_cert_chain_pem.write_to_path(str(found.client))
    client.private_key_pem.write_to_path(str(found.client_key))
    client.cert_chain_pems[0].write_to_path(str(found.client_certificate))
    other.issue_cert("worker").private_key_and_cert_chain_pem.write_to_path(str(found.foreign_client))
    return found


@pytest.fixture(scope="session")
def guarded(papers: Papers) -> Iterator[Guarded]:
    """Both services with TLS; programs of this machine, whatever else the tests run on."""
    try:
        programs.rabbitmq_server()
        programs.mongod()
    except ServiceError as error:
        pytest.skip(str(error))
    with machine.guarded(machine.Certificates(papers.ca, papers.server), papers.client) as given:
        yield given


@pytest.fixture(scope="session")
def administrator(guarded: Guarded) -> Iterator[MongoClient[Document]]:
    """The database's administrator."""
    with MongoClient[Document](guarded.plain.mongodb_url, tz_aware=True, w="majority") as client:
        yield client


@pytest.fixture
def rabbitmq_url(guarded: Guarded) -> Iterator[str]:
    """A virtual host of the test's own, without TLS."""
    with guarded.plain.vhost() as url:
        yield url


@pytest.fixture
def broker(guarded: Guarded, rabbitmq_url: str) -> Broker:
    """The management API of the test's virtual host."""
    return Broker(guarded.plain.rabbitmq_management_url, rabbitmq_url)


@pytest.fixture
def books(administrator: MongoClient[Document]) -> Iterator[str]:
    """The name of an empty database, which is dropped afterwards."""
    name = new_name()
    yield name
    administrator.drop_database(name)


def settings_for(guarded: Guarded, papers: Papers, vhost: str, books: str, driver: Driver, user: str) -> Settings:
    """The settings of a worker over TLS; `user` is `name:password` of both services."""
    return Settings(
        _env_file=None,
        rabbitmq_url=f"amqps://{user}@{HOST}:{guarded.amqps_port}/{vhost}",
        rabbitmq_ca_file=str(papers.ca),
        rabbitmq_certificate_file=str(papers.client_certificate),
        rabbitmq_key_file=str(papers.client_key),
        mongodb_url=f"mongodb://{user}@{HOST}:{guarded.mongodb_port}/?directConnection=true&tls=true",
        mongodb_ca_file=str(papers.ca),
        mongodb_certificate_file=str(papers.client),
        mongodb_driver=driver,
        database=books,
        held_interval_seconds=0.5,
        relay_interval_seconds=1,
        start_timeout_seconds=SECONDS_MAX,
        shutdown_timeout_seconds=SECONDS_MAX / 2,
    )


def ran(monkeypatch: pytest.MonkeyPatch, settings: Settings, command: str, **changes: object) -> tuple[int, str]:
    """A command's exit code and what it says, in this process: one of its own takes longer than all that it does.

    A setting that is changed to None is not set.
    """
    values = {f"{PREFIX}{name.upper()}": value for name, value in changes.items()}
    with monkeypatch.context() as patch:
        for name, value in {**environment(settings), **values}.items():
            if value is None:
                patch.delenv(name, raising=False)
            elif name.startswith(PREFIX):
                patch.setenv(name, str(value))
        done = CliRunner().invoke(app, command.split())
    assert PASSWORD not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output
