"""The settings, from the environment and `.env`, each checked before anything starts."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri
from yarl import URL

from adapters import tls
from adapters.clock import time_in
from domain.invoicing.reference import REFERENCE_MAX
from domain.ledger.numbering import DIGITS

PREFIX = "PAYMASTER_"


class SettingsError(Exception):
    """A setting is missing or wrong; the message is one line that names the variable."""


class Settings(BaseSettings):
    """What is set by `PAYMASTER_…` variables; seconds, counts and names as the fields say."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # What the URLs are made of comes before them: a URL says all that the drivers have to know.
    unchecked_tls: bool = False
    rabbitmq_url_file: str | None = Field(None, min_length=1, exclude=True)
    rabbitmq_ca_file: str | None = Field(None, min_length=1)
    rabbitmq_certificate_file: str | None = Field(None, min_length=1)
    rabbitmq_key_file: str | None = Field(None, min_length=1, validate_default=True)
    rabbitmq_url: str = Field(pattern=r"^amqps?://", repr=False)
    mongodb_url_file: str | None = Field(None, min_length=1, exclude=True)
    mongodb_ca_file: str | None = Field(None, min_length=1)
    mongodb_certificate_file: str | None = Field(None, min_length=1)
    mongodb_url: str = Field(pattern=r"^mongodb(\+srv)?://", repr=False)
    database: str = Field("paymaster", min_length=1, max_length=38, pattern=r"^[A-Za-z0-9_-]+$")
    mongodb_driver: Literal["motor", "pymongo"] = "motor"
    single_active_consumer: bool = True
    time_zone: str = "UTC"
    series: str = Field("INV-", min_length=1, max_length=20, pattern=r"^[A-Za-z0-9._:-]+$")
    credit_note_series: str = Field("CN-", min_length=1, max_length=20, pattern=r"^[A-Za-z0-9._:-]+$")
    prefetch: int = Field(1000, ge=1, le=1000)
    waiting_seconds_max: float = Field(86_400, gt=0, le=10 * 366 * 86_400)
    retry_seconds_max: float = Field(5, gt=0, le=300)
    defect_attempts_max: int = Field(5, ge=1, le=20)
    defect_delay_seconds: float = Field(4, gt=0, le=3_600)
    held_interval_seconds: float = Field(5, gt=0, le=3_600)
    relay_interval_seconds: float = Field(5, gt=0, le=3_600)
    refused_seconds_max: float = Field(3_600, gt=0, le=366 * 86_400)
    start_timeout_seconds: float = Field(300, gt=0, le=86_400)
    shutdown_timeout_seconds: float = Field(30, gt=0, le=86_400)
    days_ahead_max: int = Field(7, ge=0, le=3_660)
    reply_prefixes: str = ""
    access: str | None = Field(None, min_length=1)
    clock_file: str | None = None
    health_file: str | None = None
    http_port: int | None = Field(None, ge=0, le=65_535)
    http_host: str = Field("127.0.0.1", min_length=1, max_length=255)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["logfmt", "json"] = "logfmt"

    @model_validator(mode="before")
    @classmethod
    def _urls_of_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The URLs that files have; such a file is a secret of an orchestrator's."""
        found = dict(values)
        for url in ("rabbitmq_url", "mongodb_url"):
            if path := values.get(f"{url}_file"):
                if values.get(url):
                    raise ValueError(f"{_variable(url)}: is set beside {_variable(url)}_FILE: one of them says it")
                found[url] = _url_in(path, f"{_variable(url)}_FILE")
        return found

    @field_validator("rabbitmq_ca_file", "mongodb_ca_file")
    @classmethod
    def _has_certificates(cls, value: str | None) -> str | None:
        if value is not None:
            tls.check_ca(value)
        return value

    @field_validator("rabbitmq_key_file")
    @classmethod
    def _is_the_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        certificate = info.data.get("rabbitmq_certificate_file")
        if certificate is not None:
            tls.check_certificate(certificate, value)
        elif value is not None and "rabbitmq_certificate_file" in info.data:
            raise ValueError(f"is set without {_variable('rabbitmq_certificate_file')}")
        return value

    @field_validator("mongodb_certificate_file")
    @classmethod
    def _has_its_key(cls, value: str | None) -> str | None:
        if value is not None:
            tls.check_certificate(value, None)
        return value

    @field_validator("rabbitmq_url")
    @classmethod
    def _is_an_amqp_url(cls, value: str, info: ValidationInfo) -> str:
        said = info.data
        files = {
            "cafile": said.get("rabbitmq_ca_file"),
            "certfile": said.get("rabbitmq_certificate_file"),
            "keyfile": said.get("rabbitmq_key_file"),
        }
        return tls.of_amqp(value, files, unchecked=said.get("unchecked_tls", False))

    @field_validator("mongodb_url")
    @classmethod
    def _is_a_mongodb_url(cls, value: str, info: ValidationInfo) -> str:
        said = info.data
        files = {
            "tlsCAFile": said.get("mongodb_ca_file"),
            "tlsCertificateKeyFile": said.get("mongodb_certificate_file"),
        }
        value = tls.of_mongodb(value, files, unchecked=said.get("unchecked_tls", False))
        if value.startswith("mongodb+srv:"):
            return value  # to read it is to ask a name server
        try:
            parse_uri(value)
        except OSError as error:
            raise ValueError(f"names a file that can't be read: {error.filename} ({error.strerror})") from None
        except (ValueError, PyMongoError) as error:
            if option := _option_of(value, error):
                raise ValueError(f"has an option that is unknown or wrong: {option}") from None
            raise ValueError(
                "can't be read: mongodb://user:password@host:port/ is its form, escaped as in URLs"
            ) from None
        return value

    @field_validator("series")
    @classmethod
    def _fits_a_payment_reference(cls, value: str) -> str:
        most = REFERENCE_MAX - DIGITS
        if sum(map(str.isalnum, value)) > most:
            raise ValueError(f"has more than {most} letters and digits: a payment reference (ISO 11649) has no room")
        return value

    @field_validator("credit_note_series")
    @classmethod
    def _is_another_series(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("series"):
            raise ValueError("is the series of the invoices: credit notes have one of their own")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            raise ValueError("must be a time zone of the IANA database, as Europe/Vienna") from None
        return value

    @field_validator("clock_file")
    @classmethod
    def _holds_a_time(cls, value: str | None) -> str | None:
        if value is not None:
            time_in(value)
        return value

    @field_validator("health_file")
    @classmethod
    def _is_in_a_directory(cls, value: str | None) -> str | None:
        if value is not None and not Path(value).absolute().parent.is_dir():
            raise ValueError("must be in a directory that is there")
        return value

    @field_validator("reply_prefixes")
    @classmethod
    def _are_prefixes(cls, value: str) -> str:
        prefixes = _split(value)
        if value.strip() and not all(prefixes):
            raise ValueError(
                "has an empty prefix, which every queue's name begins with: shop-replies.,crm. is its form"
            )
        if ours := [prefix for prefix in prefixes if prefix.startswith("paymaster.")]:
            raise ValueError(f"no reply goes to a queue of ours ({', '.join(ours)})")
        return value

    @property
    def reply_queues(self) -> tuple[str, ...]:
        """How the names begin of the queues that replies may go to, beside clients' own ones."""
        return _split(self.reply_prefixes) if self.reply_prefixes.strip() else ()

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which a time's date is taken."""
        return ZoneInfo(self.time_zone)


def _split(value: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in value.split(","))


def _variable(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


def _url_in(path: str, variable: str) -> str:
    """What a file has to say, without the white space around it."""
    try:
        url = Path(path).read_text().strip()
    except OSError as error:
        raise ValueError(f"{variable}: names a file that can't be read: {path} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{variable}: names a file that is no text: {path}") from None
    if not url:
        raise ValueError(f"{variable}: names a file that is empty: {path}")
    return url


def _option_of(url: str, error: Exception) -> str | None:
    """The option of a URL that an error is about, if it is about one: its name, never its value."""
    _, _, options = url.partition("?")
    names = [part.partition("=")[0] for part in re.split("[&;]", options)]
    said = re.findall(r"\w+", str(error).lower())[:4]
    return next((name for name in names if name and name.lower() in said), None)


def tls_of(settings: Settings) -> str:
    """Which connections are encrypted: `both`, `rabbitmq`, `mongodb` or `none`, and where certificates go unchecked."""
    encrypted = {
        "rabbitmq": tls.is_tls_amqp(settings.rabbitmq_url),
        "mongodb": tls.is_tls_mongodb(settings.mongodb_url),
    }
    names = [name for name, on in encrypted.items() if on]
    found = "both" if len(names) == len(encrypted) else (names or ["none"])[0]
    unchecked = unchecked_of(settings)
    return f"{found}, certificates of {' and '.join(unchecked)} unchecked" if unchecked else found


def unchecked_of(settings: Settings) -> list[str]:
    """The services whose certificates go unchecked, for a setting allows it: `rabbitmq`, `mongodb`."""
    return [
        *(["rabbitmq"] if tls.is_unchecked_amqp(settings.rabbitmq_url) else []),
        *(["mongodb"] if tls.is_unchecked_mongodb(settings.mongodb_url) else []),
    ]


def secret_files(settings: Settings) -> list[tuple[str, str, int]]:
    """Each file with a secret in it that a variable names: the variable, the path, the file's mode (`0o600`)."""
    key = "rabbitmq_key_file" if settings.rabbitmq_key_file else "rabbitmq_certificate_file"
    fields = ("rabbitmq_url_file", key, "mongodb_url_file", "mongodb_certificate_file")
    named = [(_variable(field), getattr(settings, field)) for field in fields]
    return [(variable, path, stat.S_IMODE(Path(path).stat().st_mode)) for variable, path in named if path is not None]


def told(settings: Settings) -> dict[str, str | bool]:
    """What a start says of its settings: where it works, and how; no user and no password."""
    broker = URL(settings.rabbitmq_url)
    netloc = settings.mongodb_url.partition("://")[2].partition("?")[0].partition("/")[0]
    return {
        "rabbitmq": f"{broker.host}:{broker.port or (5671 if broker.scheme == 'amqps' else 5672)}{broker.path or '/'}",
        "mongodb": netloc.rpartition("@")[2],
        "tls": tls_of(settings),
        "database": settings.database,
        "driver": settings.mongodb_driver,
        "single_active_consumer": settings.single_active_consumer,
        "time_zone": settings.time_zone,
        "access": settings.access or "open",
        **({} if settings.clock_file is None else {"clock_file": settings.clock_file}),
    }


def load_settings() -> Settings:
    """The settings; raises `SettingsError` with one line that names each variable that is wrong (never its value)."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(": ".join(problem) for problem in _problems(error))) from None


def problems() -> list[tuple[str, str]]:
    """Each variable that is wrong, and why."""
    try:
        Settings()
    except ValidationError as error:
        return _problems(error)
    return []


def _problems(error: ValidationError) -> list[tuple[str, str]]:
    return [_problem(str(problem["loc"][0]) if problem["loc"] else None, problem) for problem in error.errors()]


def _problem(field: str | None, problem: ErrorDetails) -> tuple[str, str]:
    if problem["type"] == "missing":
        return _variable(field or ""), "is not set"
    said = problem["msg"].removeprefix("Value error, ")
    if field is None:  # what is about several has the variable in its text
        variable, _, said = said.partition(": ")
        return variable, said
    return _variable(field), said
