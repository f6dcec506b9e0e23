"""Starts RabbitMQ and MongoDB as processes of this machine, each with its own data, ports, node name and cookie."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from services import keeper, programs
from services.lifeline import Lifeline, end, keep, why_ended
from services.model import ServiceError, Services
from services.ports import reserved
from services.ready import REPLICA_SET, await_started, make_administrator

CLOSE_FILES = "close_idle_time=10,close_scan_interval=2,close_handle_minimum=250"
"""When MongoDB closes files that nobody uses, in seconds, and how many it keeps open in any case."""
MEMORY = Path("/dev/shm")  # noqa: S108 - what is made there is made by mkdtemp
"""Files in memory: they outlive a process that is killed, and writing them through to a disk takes no time."""
SHORT_PAST = ("--setParameter", "minSnapshotHistoryWindowInSeconds=30")
"""Tests overwrite and drop much within minutes, and look at no moment that is long past: it need not be kept."""
ROOM_BYTES = 4 * 1024**3
"""How much has to be free there: several times what the tests' services write."""


def start(*, detached: bool, in_memory: bool = False) -> tuple[Services, Lifeline]:
    """Start both services and wait until they are ready.

    With `in_memory` for tests: their data is there where there is room for it, and little is kept of its past.

    They end with this process, however it ends, or with the lifeline; detached, only with the lifeline. Raises
    `ServiceError` when a program cannot be had or a service does not come up; nothing is left running then.
    """
    if sys.platform != "linux":
        raise ServiceError("without Docker, the services can be started on Linux only: start Docker, or name them")
    # Found, and installed if need be, before anything is made that would have to be cleaned up.
    rabbitmq_server, epmd, mongod = programs.rabbitmq_server(), programs.epmd(), programs.mongod()
    # Kept until they are bound: whoever starts others at the same moment is given other ones.
    with reserved(5) as ports:
        place = MEMORY if in_memory and _has_room(MEMORY) else None
        directory = Path(tempfile.mkdtemp(prefix="paymaster-services-", dir=place))
        past = SHORT_PAST if in_memory else ()
        return _start(rabbitmq_server, epmd, mongod, ports, directory, past, detached=detached)


def _has_room(place: Path) -> bool:
    return place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free >= ROOM_BYTES


def _start(
    rabbitmq_server: str,
    epmd: str,
    mongod: str,
    ports: list[int],
    directory: Path,
    past: Sequence[str],
    *,
    detached: bool,
) -> tuple[Services, Lifeline]:
    amqp, distribution, epmd_port, http, mongo = ports
    services = Services(
        rabbitmq_url=f"amqp://guest:guest@127.0.0.1:{amqp}/",
        mongodb_url=f"mongodb://127.0.0.1:{mongo}/?directConnection=true",
        rabbitmq_management_url=f"http://guest:guest@127.0.0.1:{http}",
        source="machine",
    )
    children = [
        _epmd(epmd, epmd_port),
        _mongodb(mongod, directory, mongo, past),
        _rabbitmq(rabbitmq_server, directory, _listening(amqp, http), distribution, epmd_port),
    ]
    lifeline = keep(directory, {"children": children, "afterwards": None}, detached=detached)
    try:
        await_started(
            services,
            failure=lambda: why_ended(lifeline),
            log=lambda name: keeper.tail(directory / f"{name}.log"),
        )
    except BaseException:
        end(lifeline)
        raise
    return services, lifeline


@dataclass(frozen=True)
class Certificates:
    """PEM files: the CA's certificate, and a server's certificate with its key."""

    ca: Path
    server: Path


@dataclass(frozen=True)
class Guarded:
    """A RabbitMQ and a MongoDB that take TLS with a client's certificate; the database wants a user's password too.

    `plain` has the same broker without TLS, with its management API; its `mongodb_url` is the database's, which has TLS
    only, as its administrator.
    """

    plain: Services
    amqps_port: int
    mongodb_port: int
    environment: Mapping[str, str]
    """What `rabbitmqctl` needs to find this broker."""


@contextmanager
def guarded(certificates: Certificates, client: Path) -> Iterator[Guarded]:
    """Start both services with TLS, data in memory where there is room; stop them afterwards. Raises `ServiceError`."""
    if sys.platform != "linux":
        raise ServiceError("services with TLS are started as programs, on Linux only")
    rabbitmq_server, epmd, mongod = programs.rabbitmq_server(), programs.epmd(), programs.mongod()
    with reserved(6) as ports:
        amqp, amqps, distribution, epmd_port, http, mongo = ports
        directory = Path(tempfile.mkdtemp(prefix="paymaster-guarded-", dir=MEMORY if _has_room(MEMORY) else None))
        password = secrets.token_urlsafe(12)
        options = f"tls=true&tlsCAFile={quote(str(certificates.ca))}&tlsCertificateKeyFile={quote(str(client))}"
        host = f"mongodb://admin:{password}@localhost:{mongo}/"
        plain = Services(
            rabbitmq_url=f"amqp://guest:guest@127.0.0.1:{amqp}/",
            mongodb_url=f"{host}?directConnection=true&{options}",
            rabbitmq_management_url=f"http://guest:guest@127.0.0.1:{http}",
            source="machine",
        )
        listening = {**_listening(amqp, http), **_tls(certificates, amqps)}
        plugins = ("rabbitmq_management", "rabbitmq_auth_mechanism_ssl")
        broker = _rabbitmq(rabbitmq_server, directory, listening, distribution, epmd_port, plugins)
        children = [
            _epmd(epmd, epmd_port),
            _mongodb(mongod, directory, mongo, _guards(certificates, directory)),
            broker,
        ]
        lifeline = keep(directory, {"children": children, "afterwards": None}, detached=False)
        try:
            await_started(
                plain,
                failure=lambda: why_ended(lifeline),
                log=lambda name: keeper.tail(directory / f"{name}.log"),
                database=make_administrator,
            )
            yield Guarded(plain, amqps, mongo, broker["environment"])
        finally:
            end(lifeline)


def _tls(certificates: Certificates, port: int) -> dict[str, Any]:
    return {
        "listeners.ssl.1": f"127.0.0.1:{port}",
        "ssl_options.cacertfile": certificates.ca,
        "ssl_options.certfile": certificates.server,
        "ssl_options.keyfile": certificates.server,
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
        # A client's certificate may be its login: its common name is the user's.
        **{f"auth_mechanisms.{n}": name for n, name in enumerate(("PLAIN", "AMQPLAIN", "EXTERNAL"), 1)},
        "ssl_cert_login_from": "common_name",
    }


def _guards(certificates: Certificates, directory: Path) -> tuple[str, ...]:
    # With users, the members of a replica set know one another by this.
    key = directory / "members.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    return (
        *("--auth", "--keyFile", str(key), "--tlsMode", "requireTLS"),
        *("--tlsCertificateKeyFile", str(certificates.server), "--tlsCAFile", str(certificates.ca)),
    )


def _environment(**variables: str) -> dict[str, str]:
    """Nothing of ours reaches a service: a stray RABBITMQ_ or ERL_ variable would point it at another one's files."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {"PATH": f"{path}:/usr/sbin:/sbin", "LANG": "C.UTF-8", **variables}


def _epmd(program: str, port: int) -> dict[str, Any]:
    # An epmd of our own: the machine's, on the usual port, is neither asked nor, at the end, killed.
    return {
        "name": "epmd",
        "command": [program, "-port", str(port), "-address", "127.0.0.1"],
        "environment": _environment(),
        "port": port,
    }


def _mongodb(program: str, directory: Path, port: int, more: Sequence[str] = ()) -> dict[str, Any]:
    data = directory / "mongodb"
    data.mkdir()
    return {
        "name": "mongod",
        "command": [
            *(program, "--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--replSet", REPLICA_SET, "--oplogSize", "512", "--wiredTigerCacheSizeGB", "1"),
            # failCommand, by which tests make the server fail, is one of the test commands.
            *("--setParameter", "enableTestCommands=1", "--setParameter", "diagnosticDataCollectionEnabled=false"),
            # The files of dropped databases are kept for minutes, for reads of the past; open only for seconds.
            f"--wiredTigerEngineConfigString=file_manager=({CLOSE_FILES})",
            *more,
        ],
        "environment": _environment(HOME=str(data)),
        "port": None,
    }


def _listening(amqp: int, http: int) -> dict[str, Any]:
    return {
        "listeners.tcp.1": f"127.0.0.1:{amqp}",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": http,
    }


def _rabbitmq(
    program: str,
    directory: Path,
    listening: Mapping[str, Any],
    distribution: int,
    epmd: int,
    plugins: Sequence[str] = ("rabbitmq_management",),
) -> dict[str, Any]:
    home = directory / "rabbitmq"
    home.mkdir()
    (home / "env.conf").touch()
    (home / "advanced.config").write_text("[].\n")
    (home / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
    settings = {
        **listening,
        # The API is used for virtual hosts; its statistics would only take time from the broker.
        "management.rates_mode": "none",
        "collect_statistics_interval": 30000,
        "log.console": "true",
        "log.console.level": "info",
        "disk_free_limit.absolute": "50MB",
    }
    (home / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    return {
        "name": "rabbitmq-server",
        "command": [program],
        "environment": _environment(
            HOME=str(home),  # the Erlang cookie is made here
            ERL_EPMD_PORT=str(epmd),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME=f"{directory.name}@localhost",
            RABBITMQ_DIST_PORT=str(distribution),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}",
            RABBITMQ_SCHEDULER_BIND_TYPE="u",  # it shares the cores with a database and a worker
            RABBITMQ_CONF_ENV_FILE=str(home / "env.conf"),
            RABBITMQ_CONFIG_FILE=str(home / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(home / "advanced.config"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(home / "enabled_plugins"),
            RABBITMQ_MNESIA_BASE=str(home / "data"),
            RABBITMQ_LOG_BASE=str(home / "log"),
            RABBITMQ_LOGS="-",
            RABBITMQ_GENERATED_CONFIG_DIR=str(home / "generated"),
            RABBITMQ_SCHEMA_DIR=str(home / "schema"),
            RABBITMQ_PID_FILE=str(home / "pid"),
            RUNNING_UNDER_SYSTEMD="true",  # the script then becomes the broker instead of waiting beside it
        ),
        "port": None,
    }
