"""The options that commands share, and what the shell proposes for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from handlers.console.terminal import Access, Json, quietly, safe, stop
from schemas.operations.acts import HeldState
from schemas.operations.queries import REASONS
from schemas.query import LIMIT_DEFAULT, LIMIT_MAX

PROPOSE_SECONDS = 2
"""How long the shell waits for what it proposes."""
SELECTED_MAX = 100_000
"""The most messages that one command is about."""

_GROUP = re.compile(r"G-[0-9a-f]{10}", re.ASCII)
_HARMLESS = re.compile(r"[\w.:-]+", re.ASCII)


def propose(field: str) -> Callable[[str], list[tuple[str, str]]]:
    """Proposes what the groups of parked messages have in a field."""

    async def groups(access: Access) -> list[Json]:
        items: list[Json] = (await access.ask("parked.groups"))["items"]
        return items

    def proposals(incomplete: str) -> list[tuple[str, str]]:
        found = quietly(groups, PROPOSE_SECONDS) or []
        help_ = {
            one[field]: safe(f"{one['count']} × {one['messageType']}, {one['reason']}") if field == "group" else ""
            for one in found
        }
        return [(value, help_[value]) for value in help_ if value.startswith(incomplete) and _HARMLESS.fullmatch(value)]

    return proposals


Group = Annotated[
    str | None, typer.Option("--group", help="Of this group (see `groups`).", autocompletion=propose("group"))
]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Parked for this reason.", autocompletion=propose("reason"))
]
Type = Annotated[str | None, typer.Option("--type", help="Of this type.", autocompletion=propose("messageType"))]
Account = Annotated[str | None, typer.Option("--account", help="About this account.")]
From = Annotated[str | None, typer.Option("--from", help="Held since: a date, or an RFC 3339 time.")]
To = Annotated[str | None, typer.Option("--to", help="Held until, that included: a date, or an RFC 3339 time.")]
State = Annotated[HeldState, typer.Option("--state", help="In this state.")]
All = Annotated[bool, typer.Option("--all", help="Every one that is there.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIMIT_MAX, help="At most so many.")]
After = Annotated[str | None, typer.Option("--after", help="Go on where an earlier page ended.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else on standard output.")]
Why = Annotated[str, typer.Option("--why", help="Why: it is kept with what is done.", show_default=False)]
By = Annotated[
    str | None,
    typer.Option("--by", envvar="PAYMASTER_OPERATOR", help="In whose name; the login name unless it is said."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, max=86_400, help="Wait so many seconds for an outcome, then give up.")
]
Id = Annotated[str, typer.Argument(help="A message's id, as P-0123456789abcdef0123.", show_default=False)]
Ids = Annotated[list[str] | None, typer.Argument(help="Messages' ids; or filters.", show_default=False)]

PAGE = LIMIT_DEFAULT
TIMEOUT_SECONDS = 60.0


def check_group(group: str) -> None:
    """See that this can be a group; ends the command where it can't."""
    if not _GROUP.fullmatch(group):
        raise stop(f"--group {group}: a group is like G-0123456789 (see `paymaster parked groups`)")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which held messages; None for whichever."""

    group: str | None
    reason: str | None
    type: str | None
    account: str | None
    since: str | None
    until: str | None
    state: str = "parked"

    def given(self) -> dict[str, Any]:
        """Those that narrow it down, by the names that they have in a query."""
        names = {"since": "from", "until": "to"}
        return {names.get(name, name): value for name, value in asdict(self).items() if value is not None}

    def check_values(self) -> None:
        """See that what is asked for can be there at all; ends the command where it can't."""
        if self.reason is not None and self.reason not in REASONS:
            raise stop(f"--reason {self.reason}: there is no such reason; there are {', '.join(REASONS)}")
        if self.group is not None:
            check_group(self.group)

    def check(self, ids: list[str] | None, *, everything: bool) -> None:
        """See that it is said once which messages are meant: by ids, by filters, or all of them."""
        self.check_values()
        narrowed = self.given().keys() - {"state"}
        if ids and (narrowed or everything):
            raise stop("ids and filters: say one or the other")
        if not ids and not narrowed and not everything:
            raise stop("which messages? say ids, filters (as --group G-…), or --all")

    async def select(self, access: Access) -> list[Json]:
        """All messages that fit, oldest first, as `parked.list` tells of them."""
        found: list[Json] = []
        after = None
        while True:
            page = await access.ask("parked.list", **self.given(), limit=LIMIT_MAX, after=after)
            found += page["items"]
            if len(found) > SELECTED_MAX:
                raise stop(f"more than {SELECTED_MAX} messages fit: narrow it down, by --from and --to if need be")
            after = page["after"]
            if after is None:
                return found
