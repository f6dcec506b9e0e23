"""What the README tells a newcomer to type does what it says."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from adapters.settings import Settings
from handlers.worker import Worker
from tests.support.workers import environment

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("driver", ["motor"], indirect=True)
async def test_the_example_prints_the_events_it_promises(worker: Worker, settings: Settings) -> None:
    """The program in the README opens an account, bills it, and prints the two events."""
    [program] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    lines = output.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["account.created", "invoice.issued"]
    assert '"taxIncludedAmount":{"unit":"EUR","value":47.88}' in lines[1]
