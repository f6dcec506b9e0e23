"""What time it is: the machine's clock, or for tests and demos a file's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from schemas.values import parse_time, time_json

log = structlog.get_logger()

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


def time_in(file: str) -> datetime:
    """The time that stands in a file; raises `ValueError`, which says what is wrong with it."""
    try:
        text = Path(file).read_text(encoding="utf-8", errors="replace").strip()
    except OSError as error:
        raise ValueError(f"names a file that can't be read: {file} ({error.strerror})") from None
    try:
        return parse_time(text)
    except ValueError as error:
        raise ValueError(f"names a file whose content {error}: {file}") from None


class FileClock:
    """A clock that shows the time which stands in a file, and stands still until there is another one.

    It never goes back. While the file can't be read, or holds no time or an earlier one, the last time is shown; that
    is told in a line, once, and so is its end. Raises `ValueError` at the start.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._now = time_in(file)
        self._wrong: str | None = None

    def __call__(self) -> datetime:
        """The time."""
        wrong = None
        try:
            found = time_in(self._file)
        except ValueError as error:
            wrong = str(error)
        else:
            if found < self._now:
                wrong = f"names a file whose time goes back to {time_json(found)}: {self._file}"
            else:
                self._now = found
        if wrong != self._wrong:
            self._wrong = wrong
            if wrong is None:
                log.info("PAYMASTER_CLOCK_FILE is read again", now=time_json(self._now))
            else:
                log.error("the time stands still", why=f"PAYMASTER_CLOCK_FILE {wrong}", now=time_json(self._now))
        return self._now


def clock_of(file: str | None) -> Clock:
    """The clock: of the file that `PAYMASTER_CLOCK_FILE` names, if it does; otherwise the machine's."""
    return utc_now if file is None else FileClock(file)
