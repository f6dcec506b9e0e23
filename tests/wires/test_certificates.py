"""A client's certificate can be the login, with no password in a URL, and is renewed while a worker runs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from cryptography import x509
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from adapters.settings import Settings
from services.machine import Guarded
from tests.support.books import Document
from tests.support.broker import Broker
from tests.support.client import Client
from tests.support.failpoints import failing
from tests.support.messages import account
from tests.support.waiting import wait_for
from tests.support.workers import working
from tests.wires.conftest import Papers, settings_for

pytestmark = pytest.mark.services

FIRST, RENEWED = "paymaster-first", "paymaster-renewed"
"""The common names of the worker's certificates, which are its users' at the broker."""
PERSON = "nobody:nothing"


class Renewable:
    """The files of a client's certificate, which can be written anew."""

    def __init__(self, authority: trustme.CA, directory: Path) -> None:
        self._authority = authority
        self.both, self.certificate, self.key = (directory / f"{name}.pem" for name in ("both", "certificate", "key"))

    def issue(self, name: str) -> str:
        """A certificate of that common name; returns its subject, as RFC 2253 has it."""
        issued = self._authority.issue_cert("worker", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.both))
        issued.private_key_pem.write_to_path(str(self.key))
        issued.cert_chain_pems[0].write_to_path(str(self.certificate))
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).subject.rfc4514_string()


@pytest.fixture
def own(
    authority: trustme.CA, broker: Broker, administrator: MongoClient[Document], tmp_path: Path
) -> Iterator[Renewable]:
    """The worker's, whose subject is a user of the database; both common names are users of the broker."""
    found = Renewable(authority, tmp_path)
    subject = found.issue(FIRST)
    for name in (FIRST, RENEWED):
        broker.call("PUT", f"users/{name}", {"password_hash": "", "tags": ""})
        broker.call("PUT", "permissions/{vhost}/" + name, {"configure": ".*", "write": ".*", "read": ".*"})
    external = administrator["$external"]
    external.command("createUser", subject, roles=[{"role": "readWriteAnyDatabase", "db": "admin"}])
    yield found
    external.command("dropUser", subject)
    broker.call("DELETE", f"users/{RENEWED}")


@pytest.fixture
def settings(guarded: Guarded, papers: Papers, broker: Broker, books: str, own: Renewable) -> Settings:
    """The settings of a worker that has no password."""
    by_password = settings_for(guarded, papers, broker.vhost, books, "pymongo", PERSON)
    amqp, mongodb = (
        re.sub(rf"{PERSON}@|[?&](cafile|certfile|keyfile|tlsCAFile|tlsCertificateKeyFile)=[^&]*", "", url)
        for url in (by_password.rabbitmq_url, by_password.mongodb_url)
    )
    changed = {
        "rabbitmq_url": f"{amqp}?auth=EXTERNAL",
        "rabbitmq_certificate_file": str(own.certificate),
        "rabbitmq_key_file": str(own.key),
        "mongodb_url": f"{mongodb}&authMechanism=MONGODB-X509&authSource={quote('$external')}",
        "mongodb_certificate_file": str(own.both),
    }
    return Settings(_env_file=None, **{**by_password.model_dump(), **changed})


async def test_a_certificate_is_the_login_and_is_renewed(
    settings: Settings, own: Renewable, broker: Broker, administrator: MongoClient[Document]
) -> None:
    """RabbitMQ's connections take the renewed one as they are opened again, MongoDB's have the one of the start."""
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    entries = administrator[settings.database]["inbox"]
    async with working(settings) as worker:
        async with Client.connected(settings.rabbitmq_url, FIRST) as client:
            assert (await client.ask(account("FinancialAccount", "FA-1")))["outcome"] == "applied"
        own.issue(RENEWED)
        stay = worker.queue.consumption
        # With the user its connections are gone. It may be back before it was seen to be away.
        broker.call("DELETE", f"users/{FIRST}")
        await wait_for(lambda: worker.queue.consumption != stay)
        async with Client.connected(settings.rabbitmq_url, RENEWED) as client:
            with failing(administrator, "find", 1, closeConnection=True, namespace=f"{settings.database}.inbox"):
                assert (await client.ask(account("FinancialAccount", "FA-2")))["outcome"] == "applied"
            await wait_for(lambda: client.seen("account.created"), otherwise="no event")
    assert [row["userId"] for row in entries.find(sort=[("_id", 1)])] == [FIRST, RENEWED]
    # Who starts now has the renewed one, which is nobody's at the database.
    with MongoClient[Document](settings.mongodb_url) as another, pytest.raises(OperationFailure) as refused:
        another.admin.command("ping")
    assert (refused.value.details or {})["codeName"] == "UserNotFound", refused.value
