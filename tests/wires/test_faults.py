"""Each thing that can be wrong with a connection by TLS is told as what it is, in one line, for both services."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from adapters.faults import FAULTS, Fault, mongodb_fault, rabbitmq_fault
from adapters.mongodb.connection import connect, disconnect
from adapters.rabbitmq.look import LOOK_ERRORS, BrokerLook
from tests.wires.conftest import HOST

SECONDS = 10
SELECTION_SECONDS = 0.3
SECRET = "s3cret-Pa55word"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def ours() -> trustme.CA:
    """The CA that is trusted."""
    return trustme.CA()


@asynccontextmanager
async def listening(certificate: trustme.LeafCert | None) -> AsyncIterator[int]:
    """A server with this certificate, or without TLS, that hangs up on everybody."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)

    served: dict[asyncio.Task[None] | None, asyncio.WriteTransport] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served[asyncio.current_task()] = writer.transport
        with suppress(OSError):
            await reader.read(8)
            # What a broker without TLS says to whoever begins otherwise.
            writer.write(b"AMQP\x00\x00\x09\x01")
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for transport in served.values():
            transport.abort()
    await asyncio.gather(*filter(None, served))


async def of_rabbitmq(port: int, ca: Path, host: str = HOST) -> Fault:
    """What is wrong with the broker there."""
    url = f"amqps://shop:{SECRET}@{host}:{port}/?cafile={ca}"
    look = BrokerLook(url)
    with pytest.raises(LOOK_ERRORS) as failed:
        await look.look(SECONDS)
    await look.close()
    return rabbitmq_fault(failed.value, url)


async def of_mongodb(port: int, ca: Path, host: str = HOST) -> Fault:
    """What is wrong with the database there, which both drivers say alike."""
    url = f"mongodb://shop:{SECRET}@{host}:{port}/?directConnection=true&tls=true&tlsCAFile={ca}"
    faults: list[Fault] = []
    for client in (
        connect(url, "motor", "books", SELECTION_SECONDS),
        connect(url, "pymongo", "books", SELECTION_SECONDS),
    ):
        with pytest.raises(FAULTS) as failed:
            await client.admin.command("hello")
        await disconnect(client)
        faults.append(mongodb_fault(failed.value, url))
    assert faults[0] == faults[1]
    return faults[0]


async def lines(port: int, ca: Path, host: str = HOST) -> dict[str, str]:
    """The lines of both, by how the settings' names begin; waiting heals none of them."""
    found = {
        "PAYMASTER_RABBITMQ": await of_rabbitmq(port, ca, host),
        "PAYMASTER_MONGODB": await of_mongodb(port, ca, host),
    }
    for variable, fault in found.items():
        assert fault.lasting
        assert fault.line.endswith(f": see {variable}_URL")
        assert SECRET not in fault.line
        assert "\n" not in fault.line
    return {variable: fault.line for variable, fault in found.items()}


@pytest.fixture
def ca_file(ours: trustme.CA, tmp_path: Path) -> Path:
    """What the settings name."""
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


async def test_a_ca_that_is_not_trusted(ca_file: Path) -> None:
    """The setting that says which are is named."""
    async with listening(trustme.CA().issue_cert(HOST)) as port:
        for variable, line in (await lines(port, ca_file)).items():
            assert f" shows a certificate at {HOST}:{port} of a CA that is not trusted (" in line
            assert f"{variable}_CA_FILE says which are" in line


async def test_a_certificate_for_another_name(ours: trustme.CA, ca_file: Path) -> None:
    """A host's, and an address's."""
    async with listening(ours.issue_cert("elsewhere.example")) as port:
        for host in (HOST, "127.0.0.1"):
            for line in (await lines(port, ca_file, host)).values():
                assert f" shows a certificate at {host}:{port} that is for another name (" in line


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        (NOW - timedelta(days=9), NOW - timedelta(days=1), "that has expired"),
        (NOW + timedelta(days=1), NOW + timedelta(days=9), "that is not valid yet"),
    ],
)
async def test_a_certificate_whose_time_is_not_now(
    ours: trustme.CA, ca_file: Path, since: datetime, until: datetime, why: str
) -> None:
    """Yesterday's, and tomorrow's."""
    async with listening(ours.issue_cert(HOST, not_before=since, not_after=until)) as port:
        for line in (await lines(port, ca_file)).values():
            assert f" shows a certificate at {HOST}:{port} {why}: see" in line


async def test_a_port_without_tls(ca_file: Path) -> None:
    """TLS is spoken to it."""
    async with listening(None) as port:
        for line in (await lines(port, ca_file)).values():
            assert f" does not speak TLS at {HOST}:{port}" in line


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            "wants a client certificate at h:1: PAYMASTER_RABBITMQ_CERTIFICATE_FILE names it",
        ),
        ("TLSV1_ALERT_UNKNOWN_CA", "does not take the client certificate at h:1 (unknown ca)"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "does not take the client certificate at h:1 (certificate expired)"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "refuses TLS at h:1 (sslv3 alert handshake failure)"),
    ],
)
def test_what_a_server_says_of_a_client_certificate(reason: str, line: str) -> None:
    """It comes with the first answer, after the handshake, as the driver wraps it."""
    alert = ssl.SSLError(1, f"[SSL: {reason}] said")
    alert.reason = reason
    wrapped = ConnectionError("Server communication error")
    wrapped.__cause__ = alert
    assert line in rabbitmq_fault(wrapped, "amqps://h:1/").line


def test_a_server_that_hangs_up_may_want_a_certificate() -> None:
    """An alert may be lost with the connection."""
    said = rabbitmq_fault(ConnectionResetError(104, "Connection reset by peer"), "amqps://h:1/").line
    assert "it wants a client certificate that it trusts (PAYMASTER_RABBITMQ_CERTIFICATE_FILE)" in said
    said = rabbitmq_fault(ConnectionResetError(104, "Connection reset by peer"), "amqp://h:1/").line
    assert "it wants TLS (amqps://)" in said
