"""The clock of a file: it stands still, never goes back, and says what is wrong with the file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.clock import FileClock, clock_of, time_in, utc_now

AT = datetime(2026, 11, 27, 23, 59, tzinfo=UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in which a time stands."""
    path = tmp_path / "clock"
    path.write_text("2026-11-27T23:59:00Z\n")
    return path


def test_it_is_the_time_that_stands_in_the_file(file: Path) -> None:
    """Until there is another one; it may have any offset."""
    clock = FileClock(str(file))
    assert clock() == clock() == AT
    file.write_text("2026-11-28T01:30:00.5+01:00")
    assert clock() == datetime(2026, 11, 28, 0, 30, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-11-27T23:58:59Z", "names a file whose time goes back to 2026-11-27T23:58:59.000Z"),
        ("", "names a file whose content must be an RFC 3339 time with an offset, as 2026-11-22T10:15:00Z"),
        ("2026-11-31T00:00:00Z", "names a file whose content is not a time that exists"),
        (None, "names a file that can't be read"),
    ],
)
def test_a_file_that_is_wrong_lets_the_time_stand_still(file: Path, text: str | None, why: str) -> None:
    """It is told in one line, however often one looks, and so is its end."""
    clock = FileClock(str(file))
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with capture_logs() as lines:
        assert clock() == clock() == AT
        file.write_text("2026-11-28T00:00:00Z")
        assert clock() == clock() == datetime(2026, 11, 28, tzinfo=UTC)
    wrong, well = lines
    assert (wrong["log_level"], wrong["event"]) == ("error", "the time stands still")
    assert wrong["why"].startswith(f"PAYMASTER_CLOCK_FILE {why}")
    assert str(file) in wrong["why"]
    assert (well["log_level"], well["event"]) == ("info", "PAYMASTER_CLOCK_FILE is read again")


def test_at_the_start_the_file_has_to_be_right(file: Path) -> None:
    """What is wrong is said; without a file it is the machine's clock."""
    file.write_text("noon")
    with pytest.raises(ValueError, match="names a file whose content must be an RFC 3339 time"):
        clock_of(str(file))
    with pytest.raises(ValueError, match="names a file that can't be read"):
        time_in(str(file.parent / "none"))
    assert clock_of(None) is utc_now
