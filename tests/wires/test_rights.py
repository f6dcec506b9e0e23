"""The rights in docs/security.md are enough for each command, and without one of them it says which is missing.

The lines of the page are run as they stand there: those for the database by its own command, those for the broker by
what `rabbitmqctl` does with them; at length by `rabbitmqctl` itself.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused
from pymongo import MongoClient

from adapters.rabbitmq.topology import IN
from adapters.settings import Settings
from adapters.store.store import Store
from demo.traffic import Traffic
from handlers.starting import ServiceAway, prepare_broker, prepare_database
from services.machine import Guarded
from tests.conftest import ON_BOTH, new_name
from tests.support.books import Document
from tests.support.broker import Broker
from tests.support.messages import account
from tests.support.waiting import wait_for
from tests.support.workers import working
from tests.wires.conftest import PASSWORD, Papers, ran, settings_for

pytestmark = pytest.mark.services

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def lines(beginning: str) -> list[str]:
    """The page's lines that begin so."""
    return [line for line in PAGE.read_text().splitlines() if line.startswith(beginning)]


BROKER, DATABASE = lines("rabbitmqctl "), lines("db.adminCommand(")


@dataclass
class Rights:
    """Both services, with the users of the page on a virtual host and a database of the test's own."""

    guarded: Guarded
    papers: Papers
    broker: Broker
    administrator: MongoClient[Document]
    books: str

    def settings(self, user: str, on_database: str = "paymaster-reader") -> Settings:
        """The settings of a command that is one user on the broker, and one on the database."""
        of_broker, of_database = (
            settings_for(self.guarded, self.papers, self.broker.vhost, self.books, "pymongo", f"{name}:{PASSWORD}")
            for name in (user, on_database)
        )
        return of_database.model_copy(update={"rabbitmq_url": of_broker.rabbitmq_url})

    def permit(self, line: str) -> None:
        """Do on the broker what a line of `rabbitmqctl` does."""
        _, command, *words = shlex.split(line)
        if command == "add_user":
            self.broker.call("PUT", f"users/{words[0]}", {"password": PASSWORD, "tags": ""})
        elif command == "set_permissions":
            _, _, user, configure, write, read = words
            self.may(user, configure=configure, write=write, read=read)
        else:
            assert command == "set_topic_permissions"
            _, _, user, exchange, write, read = words
            said = {"exchange": exchange, "write": write, "read": read}
            self.broker.call("PUT", "topic-permissions/{vhost}/" + user, said)

    def may(self, user: str, **patterns: str) -> None:
        """The patterns for what a user may configure, write and read; without any it may not enter."""
        self.broker.call("PUT" if patterns else "DELETE", "permissions/{vhost}/" + user, patterns or None)

    def grant(self, line: str) -> None:
        """Run a line of `mongosh` on the database."""
        text = line.removeprefix("db.adminCommand(").removesuffix(")").replace("PASSWORD", PASSWORD)
        self.administrator.admin.command(json.loads(text.replace('"db": "paymaster"', f'"db": "{self.books}"')))

    def without(self, role: str, action: str | None) -> None:
        """Take one action away from a role; or none, so that it has what the page says."""
        [line] = [line for line in DATABASE if f'"createRole": "{role}"' in line]
        said = json.loads(line.removeprefix("db.adminCommand(").removesuffix(")"))
        privileges = said["privileges"]
        privileges[0]["resource"]["db"] = self.books
        if action is not None:
            privileges[0]["actions"].remove(action)
        self.administrator.admin.command("updateRole", role, privileges=privileges)

    def mend(self) -> None:
        """Give everybody what the page says."""
        for line in BROKER:
            if " set_permissions " in line:
                self.permit(line)
        for role in roles("createRole"):
            self.without(role, None)


def users() -> list[str]:
    """The broker's users that the page makes."""
    return [shlex.split(line)[2] for line in BROKER if " add_user " in line]


def roles(kind: str) -> list[str]:
    """The database's users, or roles, that the page makes."""
    return re.findall(rf'"{kind}": "([^"]+)"', "\n".join(DATABASE))


@pytest.fixture(scope="module")
def page(guarded: Guarded, papers: Papers, administrator: MongoClient[Document]) -> Iterator[Rights]:
    """All lines of the page, run, on a virtual host and a database that these tests share."""
    with guarded.plain.vhost() as url:
        broker = Broker(guarded.plain.rabbitmq_management_url, url)
        found = Rights(guarded, papers, broker, administrator, new_name())
        for line in BROKER:
            found.permit(line)
        for line in DATABASE:
            found.grant(line)
        yield found
        for user in roles("createUser"):
            administrator.admin.command("dropUser", user)
        for role in reversed(roles("createRole")):
            administrator.admin.command("dropRole", role)
        for user in users():
            broker.call("DELETE", f"users/{user}")
        administrator.drop_database(found.books)


@pytest.fixture
def rights(page: Rights) -> Rights:
    """What the page gives, whatever the test before has taken away."""
    page.mend()
    return page


@pytest.fixture
def no_books(rights: Rights) -> None:
    """There is nothing in the database."""
    rights.administrator.drop_database(rights.books)


WORKER, READER, MIGRATE = "paymaster-worker", "paymaster-reader", "paymaster-migrate"


async def test_a_worker_and_its_clients_have_enough(rights: Rights) -> None:
    """They send, are answered, see events and ask, each with the rights of the page; and no more than that."""
    settings = rights.settings(WORKER, WORKER)
    shop, crm = (rights.settings(name).rabbitmq_url for name in ("shop", "crm"))
    async with working(settings) as worker:
        assert await worker.store.end_abandoned(timedelta()) == 0
        async with await aio_pika.connect(rights.settings("paymaster-demo").rabbitmq_url) as connection:
            books = rights.administrator[rights.books]
            traffic = await Traffic.open(connection, books)
            await (await (await connection.channel()).get_exchange(IN)).publish(
                aio_pika.Message(json.dumps(account("FinancialAccount", "FA-1")[1]).encode()), "account.create"
            )
            applied = books["inbox"]
            await wait_for(lambda: applied.count_documents({"_id": "account.create:FA-1"}), otherwise="not applied")
            assert (await traffic.ask("account.get", id="FA-1"))["id"] == "FA-1"
        async with await aio_pika.connect(shop) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind("paymaster.out", "invoice.created")
            into = await channel.get_exchange(IN)
            message = aio_pika.Message(b"{}", user_id="shop", reply_to=queue.name, correlation_id="C")
            await into.publish(message, "order.completed", mandatory=True)
            reply = await wait_for(lambda: queue.get(fail=False, no_ack=True), otherwise="no reply")
            assert json.loads(reply.body)["outcome"] == "parked"
            with pytest.raises(ChannelAccessRefused, match=r"access to topic 'payment\.received'"):
                await into.publish(message, "payment.received", mandatory=True)
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            with pytest.raises(ChannelAccessRefused, match=r"access to topic 'payout\.requested'"):
                await queue.bind("paymaster.out", "payout.requested")
            channel = await connection.channel()
            with pytest.raises(ChannelAccessRefused, match=r"'amq\.default'"):
                await channel.default_exchange.publish(message, "paymaster.work", mandatory=True)
        async with await aio_pika.connect(crm) as connection:
            await asks(rights, connection)


async def asks(rights: Rights, connection: aio_pika.abc.AbstractConnection) -> None:
    """A client asks a query that it may ask, and one that it may not."""
    channel = await connection.channel()
    queue = await channel.declare_queue(exclusive=True)
    exchange = await channel.get_exchange("paymaster.ask")
    body = json.dumps({"id": "FA-1"}).encode()
    message = aio_pika.Message(body, type="account.get", reply_to=queue.name, correlation_id=uuid4().hex)
    await exchange.publish(message, "account.get", mandatory=True)
    answer = await wait_for(lambda: queue.get(fail=False, no_ack=True), otherwise="no answer")
    assert json.loads(answer.body)["result"]["id"] == "FA-1"
    with pytest.raises(ChannelAccessRefused, match=r"access to topic 'parked\.get'"):
        await exchange.publish(message, "parked.get", mandatory=True)


@pytest.fixture
async def prepared(rights: Rights) -> Settings:
    """The settings of a worker that has started once, as far as its exchanges, queues and collections."""
    settings = rights.settings(WORKER, WORKER)
    if rights.administrator[rights.books]["meta"].find_one() is None:
        store = Store(settings.mongodb_url, settings.database)
        await prepare_database(store.prepare, settings)
        await store.close()
    await prepare_broker(settings)
    return settings


def test_each_command_has_enough(rights: Rights, prepared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rights of the page and no others."""
    worker = prepared
    for settings, command in (
        (worker, "check"),
        (rights.settings("paymaster-status"), "status"),
        (rights.settings("nobody"), "audit"),
        (rights.settings("nobody"), "outbox list"),
        (rights.settings("nobody"), "parked groups"),
        (rights.settings("nobody"), "bill-run list"),
        (rights.settings("nobody", MIGRATE), "migrate"),
        (rights.settings("paymaster-operator"), "outbox resend --since 2026-11-22T00:00:00Z"),
    ):
        code, said = ran(monkeypatch, settings, command)
        assert code == 0, (command, said)
    # Nothing is bound that would answer it; it is in the worker's queue, which is what rights are for.
    command = "bill-run start RUN-1 --cycle MONTHLY --on 2026-12-01 --timeout 0.1"
    code, said = ran(monkeypatch, rights.settings("paymaster-operator"), command)
    assert "is a worker running?" in said, said


def test_migrate_makes_an_index_anew(rights: Rights, prepared: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """For which the one that is there has to go: the right that a worker lacks."""
    held = rights.administrator[rights.books]["held"]
    held.drop_index("due")
    held.create_index([("attempts", 1)], name="due")
    code, said = ran(monkeypatch, rights.settings("nobody", WORKER), "migrate")
    assert code != 0
    assert f"lets the user in, but not dropIndexes in {rights.books}.held" in said
    code, said = ran(monkeypatch, rights.settings("nobody", MIGRATE), "migrate")
    assert code == 0, said


@pytest.mark.parametrize("action", ["find", "insert", "update", "remove"])
def test_check_says_which_right_to_the_books_is_missing(
    rights: Rights, prepared: Settings, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Each that a worker needs."""
    rights.without(WORKER, action)
    code, said = ran(monkeypatch, prepared, "check")
    assert code == 1
    command = {"remove": "delete"}.get(action, action)
    assert f"lets the user in, but not {command} in {rights.books}." in said
    assert "docs/security.md has the rights of each command" in said


def test_check_says_that_replies_cannot_be_sent(
    rights: Rights, prepared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which no start notices."""
    rights.may(WORKER, configure=r"^paymaster\.", write=r"^paymaster\.", read=r"^paymaster\.")
    code, said = ran(monkeypatch, prepared, "check")
    assert code == 1
    assert "does not let the user do that (ACCESS_REFUSED - " in said
    assert "access to exchange 'amq.default'" in said


@pytest.mark.parametrize("action", ["createIndex", "listCollections", "listIndexes"])
async def test_a_start_says_which_right_is_missing(rights: Rights, no_books: None, action: str) -> None:
    """At once: no waiting heals it."""
    settings = rights.settings(WORKER, WORKER)
    rights.without(WORKER, action)
    store = Store(settings.mongodb_url, settings.database)
    command = {"createIndex": "createIndexes"}.get(action, action)
    with pytest.raises(ServiceAway, match=rf"lets the user in, but not {command} in {rights.books}"):
        await prepare_database(store.prepare, settings)
    await store.close()


@pytest.mark.parametrize(("command", "action"), [("audit", "find"), ("audit", "listCollections"), ("status", "find")])
def test_who_reads_says_which_right_is_missing(
    rights: Rights, no_books: None, monkeypatch: pytest.MonkeyPatch, command: str, action: str
) -> None:
    """Of a database without books, of which `audit` asks more than of one that has some."""
    rights.without(READER, action)
    code, said = ran(monkeypatch, rights.settings("paymaster-status"), command)
    assert code != 0
    assert f"lets the user in, but not {action} in {rights.books}" in said


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("configure", "access to exchange 'paymaster.in'"),
        ("write", "access to queue 'paymaster.dead'"),
        ("read", "access to exchange 'paymaster.dead'"),
    ],
)
async def test_a_start_says_which_right_to_the_broker_is_missing(rights: Rights, missing: str, said: str) -> None:
    """With the name of what it is about."""
    [line] = [line for line in BROKER if line.startswith(f"rabbitmqctl set_permissions -p / {WORKER} ")]
    patterns = dict(zip(("configure", "write", "read"), shlex.split(line)[5:], strict=True))
    rights.may(WORKER, **{**patterns, missing: "^$"})
    with pytest.raises(ServiceAway) as away:
        await prepare_broker(rights.settings(WORKER, WORKER))
    assert str(away.value).startswith("RabbitMQ does not let the user do that (ACCESS_REFUSED - ")
    assert said in str(away.value)
    assert "docs/security.md has the rights" in str(away.value)


def test_a_user_without_a_right_to_the_virtual_host_is_told(rights: Rights, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` needs no right in it, and that it may enter."""
    rights.may("paymaster-status")
    code, said = ran(monkeypatch, rights.settings("paymaster-status"), "status")
    assert code == 1
    assert "refuses the virtual host" in said


@pytest.mark.skipif(not ON_BOTH, reason="each line starts an Erlang machine: `make prove` runs it")
def test_the_lines_are_rabbitmqctls(guarded: Guarded, rights: Rights) -> None:
    """What it makes of them is what the tests above made of them."""

    def asked(what: str) -> Any:
        return [{**one, "vhost": None} for one in rights.broker.call("GET", what) if one["user"] in users()]

    before = [sorted(map(str, asked(what))) for what in ("permissions/", "topic-permissions/")]
    for line in BROKER:
        _, command, *words = shlex.split(
            line.replace("-p /", f"-p {rights.broker.vhost}").replace("PASSWORD", PASSWORD)
        )
        if command != "add_user":
            subprocess.run(
                ["/usr/lib/rabbitmq/bin/rabbitmqctl", command, *words],
                env=dict(guarded.environment),
                check=True,
                capture_output=True,
            )
    assert before == [sorted(map(str, asked(what))) for what in ("permissions/", "topic-permissions/")]
