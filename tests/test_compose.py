"""`docker compose up`: no more rights than it needs, passwords of its own, images that stay the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()


def blocks() -> dict[str, str]:
    """Each service's part of the file, and what it takes from the part that the worker's image shares."""
    services = TEXT.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0]
    parts = re.split(r"^  ([a-z-]+):\n", services, flags=re.MULTILINE)[1:]
    shared = TEXT.partition("x-worker: &worker\n")[2].partition("\nservices:")[0]
    named = dict(zip(parts[::2], parts[1::2], strict=True))
    return {name: part + (shared if "<<: *worker" in part else "") for name, part in named.items()}


@pytest.mark.parametrize("name", ["rabbitmq", "mongodb", "mongodb-init", "worker"])
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    """No capability but to become the service's user, and no way to get another."""
    part = blocks()[name]
    assert "cap_drop: [ALL]" in part
    assert 'security_opt: ["no-new-privileges:true"]' in part
    assert "privileged" not in part
    added = re.findall(r"cap_add: \[(.*)\]", part)
    assert added == (["CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID"] if name in ("rabbitmq", "mongodb") else [])
    assert ("read_only: true" in part) == (name != "rabbitmq")


def test_all_services_are_looked_at() -> None:
    """Another one would be without a test."""
    assert blocks().keys() == {"rabbitmq", "mongodb", "mongodb-init", "worker"}


def test_images_are_of_one_version() -> None:
    """A tag with all its numbers: another image comes by a change of this file."""
    images = re.findall(r"_IMAGE:-([^}]+)\}", TEXT)
    images += re.findall(r"^ARG PYTHON_IMAGE=(.*)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert len(images) == 4
    for image in images:
        assert re.fullmatch(r"[a-z]+:\d+\.\d+\.\d+(-[a-z]+)?", image), image


def test_ports_are_this_machines() -> None:
    """No other reaches the services."""
    ports = re.findall(r'^ +- "(.*:\d+)"$', TEXT, flags=re.MULTILINE)
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_passwords_are_made_once_and_stay(tmp_path: Path) -> None:
    """None has a default; `make secrets` writes those that `.env` lacks, for its owner alone."""
    assert "guest" not in TEXT
    required = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert required == {"PAYMASTER_RABBITMQ_PASSWORD", "PAYMASTER_MONGODB_PASSWORD"}
    assert not re.search(r"PASSWORD:-", TEXT)

    def made() -> dict[str, str]:
        subprocess.run(["make", "--silent", "-f", ROOT / "Makefile", "secrets"], cwd=tmp_path, check=True)
        return dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())

    first = made()
    assert first.keys() == required
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in first.values())
    assert len(set(first.values())) == 2
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert made() == first
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_passwords_are_added_to_what_is_there(tmp_path: Path) -> None:
    """To settings that end without a new line and that everybody could read; an empty password is none."""
    there = tmp_path / ".env"
    there.write_text("PAYMASTER_RABBITMQ_PASSWORD=\nPAYMASTER_SERIES=INV-")
    there.chmod(0o644)
    subprocess.run(["make", "--silent", "-f", ROOT / "Makefile", "secrets"], cwd=tmp_path, check=True)
    lines = there.read_text().splitlines()
    assert lines[:2] == ["PAYMASTER_RABBITMQ_PASSWORD=", "PAYMASTER_SERIES=INV-"]
    assert re.fullmatch("PAYMASTER_RABBITMQ_PASSWORD=[0-9a-f]{48}", lines[2])
    assert re.fullmatch("PAYMASTER_MONGODB_PASSWORD=[0-9a-f]{48}", lines[3])
    assert there.stat().st_mode & 0o777 == 0o600


def test_the_database_is_healthy_when_others_reach_it() -> None:
    """Not while the image's entrypoint makes the user, by a server that listens on 127.0.0.1 alone and has no users."""
    assert "</dev/tcp/mongodb/27017" in blocks()["mongodb"]
