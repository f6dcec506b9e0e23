"""The log: in order, harmless, as JSON on demand, and no flood."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator

import pytest
import structlog

from handlers.logs import ALIKE_MAX, Flood, set_up

EVIL = "order.\x1b[31mcompleted\n\u202elevel=error"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    yield io.StringIO()
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_what_others_chose_is_escaped(written: io.StringIO, form: str):
    """No byte that steers a terminal, turns text around or begins a line of its own comes through."""
    set_up("info", form, written)  # type: ignore[arg-type]
    structlog.get_logger().warning("parked", type=EVIL, names=[EVIL])
    line = written.getvalue()
    assert line.count("\n") == 1
    assert line.rstrip("\n").isascii()
    assert line.rstrip("\n").isprintable()
    assert "order." in line


def test_time_level_and_event_come_first_then_ids(written: io.StringIO):
    """So that lines can be read in columns, and found by what they are about."""
    set_up("info", "logfmt", written)
    structlog.get_logger().warning("parked", reason="invalid", parked_id="P-1", account=None, message_id="m-1")
    names = [word.partition("=")[0] for word in written.getvalue().split()]
    assert names == ["time", "level", "event", "parked_id", "message_id", "reason"]


def test_json_has_one_object_a_line(written: io.StringIO):
    """With an exception's traceback in it."""
    set_up("info", "json", written)
    try:
        int(EVIL)
    except ValueError:
        structlog.get_logger().exception("defect", identity="a:1")
    [line] = written.getvalue().splitlines()
    told = json.loads(line)
    assert list(told)[:4] == ["time", "level", "event", "identity"]
    assert "ValueError" in told["exception"]
    assert "\x1b" not in told["exception"]


def test_a_flood_of_one_kind_is_summed_up(written: io.StringIO):
    """The first lines of a minute are written, the others counted and told; another kind is not held back by them."""
    set_up("info", "json", written)
    seconds = 0.05
    flood = Flood(seconds=seconds)
    structlog.configure(processors=[structlog.processors.add_log_level, flood, structlog.processors.JSONRenderer()])
    log = structlog.get_logger()
    for n in range(ALIKE_MAX + 30):
        log.warning("parked", parked_id=f"P-{n}", type="order.completed", reason="invalid")
    log.warning("parked", parked_id="P-other", type="order.completed", reason="malformed")
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            timer.join()
    told = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [one.get("parked_id") for one in told[: ALIKE_MAX + 1]] == [
        *(f"P-{n}" for n in range(ALIKE_MAX)),
        "P-other",
    ]
    [last] = told[ALIKE_MAX + 1 :]
    assert last["summed_up"].startswith("30 more of the same")
    assert (last["event"], last["type"], last["reason"]) == ("parked", "order.completed", "invalid")
