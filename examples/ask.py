"""Asks a query: `ask.py NAME [ARGUMENT=VALUE ...]`, for example `ask.py invoice.list billingAccount=BA-1`."""

import asyncio
import json
import sys

from conversation import Conversation


async def main(name: str, *arguments: str) -> None:
    given = dict(argument.split("=", 1) for argument in arguments)
    async with Conversation.opened() as worker:
        print(json.dumps(await worker.query(name, **given), indent=2))


if len(sys.argv) < 2 or not all("=" in argument for argument in sys.argv[2:]):
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
