"""A worker whose connections are all encrypted, on services that take nobody without a client's certificate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
from pymongo import MongoClient

from adapters.settings import Settings
from services.machine import Guarded
from tests.conftest import Driver
from tests.support.books import Document
from tests.support.broker import Broker
from tests.support.client import Client
from tests.support.messages import account
from tests.support.waiting import wait_for
from tests.support.workers import working
from tests.wires.conftest import PASSWORD, Papers, ran, settings_for

pytestmark = pytest.mark.services

USER = "worker"
OF_WORKER = {"paymaster work", "paymaster publish", "paymaster watch"}
"""The connections that have names; the one that reads beside the work queue has none."""


@pytest.fixture
def user(guarded: Guarded, broker: Broker, administrator: MongoClient[Document]) -> Iterator[str]:
    """A user of both services, as it stands in a URL."""
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    broker.call("PUT", f"users/{USER}", {"password": PASSWORD, "tags": ""})
    broker.call("PUT", "permissions/{vhost}/" + USER, everything)
    administrator.admin.command("createUser", USER, pwd=PASSWORD, roles=["readWriteAnyDatabase"])
    yield f"{USER}:{PASSWORD}"
    administrator.admin.command("dropUser", USER)
    broker.call("DELETE", f"users/{USER}")


@pytest.fixture
def settings(guarded: Guarded, papers: Papers, broker: Broker, books: str, user: str, driver: Driver) -> Settings:
    """The settings of a worker over TLS."""
    return settings_for(guarded, papers, broker.vhost, books, driver, user)


async def test_a_worker_over_tls(settings: Settings, broker: Broker, administrator: MongoClient[Document]) -> None:
    """It consumes, commits, publishes, answers, and does so again once its connections were cut."""
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)
    async with Client.connected(settings.rabbitmq_url) as client, working(settings):
        applied = await client.ask(account("FinancialAccount", "FA-1"))
        assert applied["outcome"] == "applied"
        entries = administrator[settings.database]["inbox"]
        assert entries.count_documents({"_id": "account.create:FA-1"}) == 1
        await wait_for(lambda: client.seen("account.created"), otherwise="no event")

        async def ask() -> dict[str, object]:
            message = aio_pika.Message(
                json.dumps({"id": "FA-1"}).encode(), type="account.get", reply_to=client.replies_to, correlation_id="Q"
            )
            await client.channel.default_exchange.publish(message, "paymaster.queries", mandatory=True)
            return await client.answer("Q")

        answer = await ask()
        assert answer["result"]["id"] == "FA-1", answer  # type: ignore[index]

        def encrypted() -> bool:
            found = broker.call("GET", "vhosts/{vhost}/connections")
            names = {one.get("client_properties", {}).get("connection_name") for one in found}
            # The client's own, and the worker's for dead letters and queries.
            others = [one for one in found if not one.get("client_properties", {}).get("connection_name")]
            return names >= OF_WORKER and len(others) == 2 and all(one["ssl"] for one in found)

        await wait_for(encrypted, otherwise=lambda: str(broker.call("GET", "vhosts/{vhost}/connections")))

        for name in ("paymaster work", "paymaster publish"):
            await broker.close_connection(name)
        again = await client.ask(account("PartyAccount", "PA-1", financialAccount={"id": "FA-1"}))
        assert again["outcome"] == "applied"
        await wait_for(lambda: len(client.seen("account.created")) == 2, otherwise="no second event")


def checked(monkeypatch: pytest.MonkeyPatch, settings: Settings, **changes: object) -> dict[str, str]:
    """What `paymaster check` finds, by name."""
    _, said = ran(monkeypatch, settings, "check", **changes)
    return {one["name"]: one["detail"] for one in json.loads(said)["checks"]}


def of(url: str, **parts: str) -> str:
    """The URL with other parts."""
    return urlunsplit(urlsplit(url)._replace(**parts))


@pytest.mark.parametrize("driver", ["pymongo"], indirect=True)
def test_check_tells_what_is_wrong_with_each(
    settings: Settings, papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On real services: all is well, another's CA, no client's certificate, a wrong one, a wrong password."""
    found = checked(monkeypatch, settings)
    assert found["tls"] == "both"
    assert found["mongodb: rights"] == "a transaction can be written"
    assert found["rabbitmq: rights"] == "queues can be declared, written and read"
    assert str(papers.client_key) in found["PAYMASTER_RABBITMQ_KEY_FILE"]

    # What is refused is refused at once, and is tried for as long as this.
    monkeypatch.setattr("handlers.console.status.COMMAND_SELECTION_SECONDS", 1)
    urls = {
        "rabbitmq_url": of(settings.rabbitmq_url, query=""),
        "mongodb_url": of(settings.mongodb_url, query="directConnection=true&tls=true"),
    }
    other = {"rabbitmq_ca_file": papers.other_ca, "mongodb_ca_file": papers.other_ca}
    found = checked(monkeypatch, settings, **urls, **other)
    assert "of a CA that is not trusted" in found["mongodb"]
    assert "of a CA that is not trusted" in found["rabbitmq"]

    nobody = {f"{name}_file": None for name in ("rabbitmq_certificate", "rabbitmq_key", "mongodb_certificate")}
    foreign = {**nobody, **{f"{name}_certificate_file": papers.foreign_client for name in ("rabbitmq", "mongodb")}}
    for changes in (nobody, foreign):
        found = checked(monkeypatch, settings, **urls, **changes)
        assert "PAYMASTER_RABBITMQ_CERTIFICATE_FILE" in found["rabbitmq"]
        assert "PAYMASTER_MONGODB_CERTIFICATE_FILE" in found["mongodb"]

    wrong = {name: url.replace(PASSWORD, f"{PASSWORD}X") for name, url in urls.items()}
    found = checked(monkeypatch, settings, **wrong)
    assert "refuses the credentials" in found["rabbitmq"]
    assert "refuses the credentials" in found["mongodb"]


@pytest.mark.parametrize("driver", ["pymongo"], indirect=True)
def test_every_command_works_with_urls_in_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an orchestrator mounts them; who else can read one is told, and nobody says what is in it."""
    changes: dict[str, object] = {}
    for name, mode in (("rabbitmq_url", 0o644), ("mongodb_url", 0o600)):
        file = tmp_path / name
        file.write_text(f"{getattr(settings, name)}\n")
        file.chmod(mode)
        changes |= {name: None, f"{name}_file": file}
    found = checked(monkeypatch, settings, **changes)
    everybody = found["PAYMASTER_RABBITMQ_URL_FILE"]
    assert everybody.startswith("every user of this machine can read ")
    assert "(mode 0644): chmod 600" in everybody
    assert found["PAYMASTER_MONGODB_URL_FILE"].endswith(" can be read by its owner only")
    for command in ("status", "migrate", "audit"):
        code, said = ran(monkeypatch, settings, command, **changes)
        assert code == 0 or "no books" in said, said
