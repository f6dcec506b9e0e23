"""What can be set of the wires, each wrong value in one line that names the variable and has no secret in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from adapters.settings import PREFIX, Settings, SettingsError, load_settings, told
from tests.wires.conftest import Papers

SECRET = "s3cret-Pa55word"
AMQP, MONGODB = f"amqp://shop:{SECRET}@broker/", f"mongodb://shop:{SECRET}@database/"
AMQPS, MONGODB_TLS = f"amqps://shop:{SECRET}@broker/", f"mongodb://shop:{SECRET}@database/?tls=true"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` and no variable of the machine's."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)


def loaded(monkeypatch: pytest.MonkeyPatch, **values: object) -> Settings:
    """The settings with these variables in the environment, and usual URLs unless they or their files are given."""
    usual = {"rabbitmq_url": AMQP, "mongodb_url": MONGODB}
    for name, value in {**{n: v for n, v in usual.items() if f"{n}_file" not in values}, **values}.items():
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", str(value))
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **values: object) -> str:
    """The line that stops the start."""
    with pytest.raises(SettingsError) as wrong:
        loaded(monkeypatch, **values)
    said = str(wrong.value)
    assert "\n" not in said
    assert SECRET not in said
    assert wrong.value.__cause__ is None
    return said


def test_urls_come_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the white space around them, which editors and `echo` leave."""
    (tmp_path / "broker").write_text(f"  {AMQP}\n")
    (tmp_path / "database").write_text(f"{MONGODB}\n\n")
    found = loaded(monkeypatch, rabbitmq_url_file=tmp_path / "broker", mongodb_url_file=tmp_path / "database")
    assert (found.rabbitmq_url, found.mongodb_url) == (AMQP, MONGODB)


def test_a_url_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that is set both ways may be the other one."""
    (tmp_path / "url").write_text(MONGODB)
    said = refused(monkeypatch, mongodb_url=MONGODB, mongodb_url_file=tmp_path / "url")
    assert said == "PAYMASTER_MONGODB_URL: is set beside PAYMASTER_MONGODB_URL_FILE: one of them says it"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "can't be read"), (b" \n", "is empty"), (b"\xff\xfe", "is no text"), (AMQP.encode() + b"\n#", "")],
)
def test_a_file_without_a_url_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, why: str
) -> None:
    """What is in it is not repeated; a URL that is wrong is told by the URL's own name."""
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    said = refused(monkeypatch, mongodb_url_file=tmp_path / "url")
    assert said.startswith("PAYMASTER_MONGODB_URL_FILE: names a file that " if why else "PAYMASTER_MONGODB_URL: ")
    assert why in said


def test_files_of_certificates_go_into_the_urls(monkeypatch: pytest.MonkeyPatch, papers: Papers) -> None:
    """By which every connection is opened, by whichever driver; said again, they change nothing."""
    files = {
        "rabbitmq_ca_file": papers.ca,
        "rabbitmq_certificate_file": papers.client_certificate,
        "rabbitmq_key_file": papers.client_key,
        "mongodb_ca_file": papers.ca,
        "mongodb_certificate_file": papers.client,
    }
    found = loaded(monkeypatch, rabbitmq_url=AMQPS, mongodb_url=MONGODB_TLS, **files)
    escaped = str(papers.ca).replace("/", "%2F")
    of_client, key = (str(one).replace("/", "%2F") for one in (papers.client_certificate, papers.client_key))
    assert found.rabbitmq_url == f"{AMQPS}?cafile={escaped}&certfile={of_client}&keyfile={key}"
    both = str(papers.client).replace("/", "%2F")
    assert found.mongodb_url == f"{MONGODB_TLS}&tlsCAFile={escaped}&tlsCertificateKeyFile={both}"
    assert told(found)["tls"] == "both"
    again = loaded(monkeypatch, rabbitmq_url=found.rabbitmq_url, mongodb_url=found.mongodb_url)
    assert (again.rabbitmq_url, again.mongodb_url) == (found.rabbitmq_url, found.mongodb_url)
    beside = loaded(monkeypatch, rabbitmq_url=AMQPS + "?heartbeat=5", mongodb_url=MONGODB_TLS)
    assert beside.rabbitmq_url.startswith(f"{AMQPS}?heartbeat=5&cafile={escaped}&")


def test_options_are_added_to_a_url_without_a_slash(monkeypatch: pytest.MonkeyPatch, papers: Papers) -> None:
    """And to one that is found by its name server, which has TLS unless it says otherwise."""
    found = loaded(monkeypatch, mongodb_url="mongodb+srv://books.example", mongodb_ca_file=papers.ca)
    assert found.mongodb_url == "mongodb+srv://books.example/?tlsCAFile=" + str(papers.ca).replace("/", "%2F")
    assert told(found)["tls"] == "mongodb"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rabbitmq_ca_file": "{ca}"}, "PAYMASTER_RABBITMQ_URL: begins with amqp://"),
        ({"mongodb_ca_file": "{ca}"}, "PAYMASTER_MONGODB_URL: is without TLS"),
        ({"mongodb_certificate_file": "{client}", "mongodb_url": "mongodb+srv://x.example/?tls=false"}, "without TLS"),
        ({"rabbitmq_ca_file": "/nope"}, "PAYMASTER_RABBITMQ_CA_FILE: names a file that can't be read: /nope"),
        ({"mongodb_ca_file": "{client_key}"}, "PAYMASTER_MONGODB_CA_FILE: names a file without a certificate in PEM"),
        (
            {"rabbitmq_key_file": "{client_key}"},
            "_KEY_FILE: is set without PAYMASTER_RABBITMQ_CERTIFICATE_FILE",
        ),
        ({"rabbitmq_certificate_file": "{client_certificate}"}, "RABBITMQ_KEY_FILE: has no certificate with its key"),
        (
            {"rabbitmq_certificate_file": "{foreign_client}", "rabbitmq_key_file": "{client_key}"},
            "PAYMASTER_RABBITMQ_KEY_FILE: is not the key of the certificate in ",
        ),
        (
            {"mongodb_certificate_file": "{client_certificate}"},
            "PAYMASTER_MONGODB_CERTIFICATE_FILE: has no certificate with its key",
        ),
        (
            {"mongodb_url": MONGODB_TLS + "&tlsCAFile={other_ca}", "mongodb_ca_file": "{ca}"},
            "PAYMASTER_MONGODB_URL: names another tlsCAFile than is set beside it",
        ),
        ({"rabbitmq_url": AMQPS + "?verify=verify_none"}, "RABBITMQ_URL: has an option of other clients: verify"),
        ({"rabbitmq_url": AMQPS + "#x", "rabbitmq_ca_file": "{ca}"}, "RABBITMQ_URL: has a # in it"),
        ({"unchecked_tls": "perhaps"}, "PAYMASTER_UNCHECKED_TLS: "),
    ],
)
def test_what_is_wrong_is_one_line(
    monkeypatch: pytest.MonkeyPatch, papers: Papers, values: dict[str, str], line: str
) -> None:
    """A certificate that is not used, or not as it was meant, is no setting to pass over."""
    files = {name: str(getattr(papers, name)) for name in Papers.__dataclass_fields__}
    filled = {name: value.format(**files) for name, value in values.items()}
    assert line in refused(monkeypatch, **filled)


def test_nobody_is_asked_for_a_passphrase(monkeypatch: pytest.MonkeyPatch, papers: Papers, tmp_path: Path) -> None:
    """A worker would wait at a terminal for ever."""
    key = serialization.load_pem_private_key(papers.client_key.read_bytes(), None)
    form = serialization.PrivateFormat.PKCS8
    encrypted = key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"x"))
    (tmp_path / "key.pem").write_bytes(encrypted)
    files = {"rabbitmq_certificate_file": papers.client_certificate, "rabbitmq_key_file": tmp_path / "key.pem"}
    assert "PAYMASTER_RABBITMQ_KEY_FILE: is encrypted" in refused(monkeypatch, rabbitmq_url=AMQPS, **files)


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"rabbitmq_url": AMQPS + "?no_verify_ssl=1"}, "no_verify_ssl"),
        ({"rabbitmq_url": AMQPS + "?no_verify_ssl=0&no_verify_ssl=true"}, "no_verify_ssl"),
        ({"mongodb_url": MONGODB_TLS + "&tlsInsecure=true"}, "tlsInsecure"),
        ({"mongodb_url": MONGODB_TLS + "&TLSALLOWINVALIDCERTIFICATES=true"}, "tlsAllowInvalidCertificates"),
        ({"mongodb_url": "mongodb+srv://x.example/?tlsAllowInvalidHostnames=true"}, "tlsAllowInvalidHostnames"),
    ],
)
def test_the_check_of_certificates_is_not_switched_off_in_passing(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], option: str
) -> None:
    """One setting allows it, and then the start says so."""
    [name] = values
    service = name.partition("_")[0]
    said = refused(monkeypatch, **values)
    assert said.startswith(f"PAYMASTER_{name.upper()}: switches off the check of certificates ({option})")
    assert said.endswith("PAYMASTER_UNCHECKED_TLS=true allows it")
    found = loaded(monkeypatch, **values, unchecked_tls="true")
    assert told(found)["tls"] == f"{service}, certificates of {service} unchecked"


def test_a_check_that_stays_on_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said aloud, too."""
    urls = {"rabbitmq_url": AMQPS + "?no_verify_ssl=0", "mongodb_url": MONGODB_TLS + "&tlsInsecure=false"}
    assert told(loaded(monkeypatch, **urls))["tls"] == "both"


def test_settings_show_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever prints them, or an error about them: a traceback has both."""
    found = loaded(monkeypatch)
    assert SECRET not in repr(found) + str(found) + str(told(found))
    with pytest.raises(ValueError, match="mongodb_url") as wrong:
        Settings(_env_file=None, rabbitmq_url=AMQP, mongodb_url=f"mongdb://shop:{SECRET}@database")
    assert SECRET not in str(wrong.value) + repr(wrong.value)
