"""The settings are said once more where people look for them, and nowhere otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.settings import PREFIX, Settings, SettingsError, load_settings, told
from adapters.version import VERSION

ROOT = Path(__file__).parents[1]
NAMES = {PREFIX + name.upper() for name in Settings.model_fields}
REQUIRED = {PREFIX + name.upper() for name, field in Settings.model_fields.items() if field.is_required()}


def defaults() -> dict[str, str]:
    """What each variable is when it is not set, as it would be written."""
    return {
        PREFIX + name.upper(): "" if field.default is None else str(field.default).lower().removesuffix(".0")
        for name, field in Settings.model_fields.items()
        if not field.is_required()
    }


def test_the_readme_has_every_setting():
    """A row, or a part of one, in its table."""
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert {name for row in rows for name in re.findall(rf"{PREFIX}[A-Z_]+", row.split("|")[1])} == NAMES


def test_the_example_has_every_setting_with_its_default():
    """What must be set is set in it; all else stands there as it is unless set."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    there = dict(line.lstrip("#").split("=", 1) for line in lines if line.lstrip("#").startswith(PREFIX))
    assert there.keys() == NAMES
    assert {name for line in lines if (name := line.partition("=")[0]) in NAMES} == REQUIRED
    assert {name: value.lower() for name, value in there.items() if name not in REQUIRED} == defaults()


def test_the_example_can_be_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Copied to `.env`, and with all that is commented out set too."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    text = (ROOT / ".env.example").read_text()
    for form in (text, re.sub(rf"^#({PREFIX}[A-Z_]+=.)", r"\1", text, flags=re.MULTILINE)):
        (tmp_path / ".env").write_text(form)
        settings = Settings(_env_file=tmp_path / ".env")
        assert settings.database == "paymaster"


def test_what_a_start_says_has_no_password():
    """Nor a user: hosts, and names."""
    settings = Settings(
        _env_file=None,
        rabbitmq_url="amqp://shop:s3cret@broker/books",
        mongodb_url="mongodb://shop:s3cret@one:27017,two:27017/?replicaSet=rs0",
    )
    said = told(settings)
    assert said["rabbitmq"] == "broker:5672/books"
    assert said["mongodb"] == "one:27017,two:27017"
    assert "s3cret" not in str(said)


def test_the_version_is_the_projects():
    """It stands in the code, since an image has the code and no package."""
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_a_series_leaves_room_for_a_payment_reference(monkeypatch: pytest.MonkeyPatch):
    """Twelve letters and digits are taken, a thirteenth stops the start with a line that names the variable."""
    monkeypatch.setenv("PAYMASTER_RABBITMQ_URL", "amqp://broker")
    monkeypatch.setenv("PAYMASTER_MONGODB_URL", "mongodb://database")
    monkeypatch.setenv("PAYMASTER_SERIES", "SHOP-2026-ABCD-")
    assert load_settings().series == "SHOP-2026-ABCD-"
    monkeypatch.setenv("PAYMASTER_SERIES", "SHOP-2026-ABCDE-")
    with pytest.raises(SettingsError, match=r"^PAYMASTER_SERIES: has more than 12 letters and digits[^\n]*$"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "why"), [(None, "names a file that can't be read"), ("noon", "names a file whose")]
)
def test_a_clock_file_without_a_time_stops_the_start(
    content: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In one line, which names the variable and the file."""
    file = tmp_path / "clock"
    if content is not None:
        file.write_text(content)
    for name, value in (("RABBITMQ_URL", "amqp://x"), ("MONGODB_URL", "mongodb://x"), ("CLOCK_FILE", str(file))):
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(SettingsError) as wrong:
        load_settings()
    said = str(wrong.value)
    assert said.startswith(f"PAYMASTER_CLOCK_FILE: {why}"), said
    assert str(file) in said
    assert "\n" not in said
