"""Tests that are about something else, with an access file on: `PAYMASTER_TEST_ACCESS=on` has them all so.

Their workers then let in only what the tests' own user sends and asks, which has to say who it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adapters.settings import Settings
from tests.support.senders import toml_of

ON = os.environ.get("PAYMASTER_TEST_ACCESS") == "on"


def with_access_file(settings: Settings, directory: Path) -> Settings:
    """The settings of workers that have an access file, by which the user of the broker's URL may do everything."""
    return settings.model_copy(update={"access": written(settings.rabbitmq_url, directory)})


def written(rabbitmq_url: str, directory: Path) -> str:
    """Write that access file; returns its path."""
    file = directory / "access.toml"
    file.write_text(toml_of({user_of(rabbitmq_url): {"send": ["#"], "ask": ["#"]}}))
    return str(file)


def user_of(rabbitmq_url: str) -> str:
    """The user that a client of a URL is connected as."""
    return unquote(urlsplit(rabbitmq_url).username or "guest")


def spoken_for(settings: Settings) -> str | None:
    """What senders to workers with these settings have to say as `user_id`; None if they need not."""
    return None if settings.access is None else user_of(settings.rabbitmq_url)
