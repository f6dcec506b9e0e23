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
async def test_the_examples_print_what_they_promise(worker: Worker, settings: Settings) -> None:
    """The first program in the README opens an account and bills it; the second changes it and asks for it."""
    first, second = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    lines = await output_of(first, settings)
    assert [line.split()[0] for line in lines] == ["account.created", "invoice.issued"]
    assert '"taxIncludedAmount":{"unit":"EUR","value":47.88}' in lines[1]
    assert await output_of(second, settings) == [
        "Hill Bakery active due 1",
        "applied None",
        "parked revision-mismatch",
        "{'unit': 'EUR', 'value': 0.0} to {'unit': 'EUR', 'value': 47.88}",
    ]


async def output_of(program: str, settings: Settings) -> list[str]:
    """The lines that a program prints."""
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
    return output.decode().splitlines()
