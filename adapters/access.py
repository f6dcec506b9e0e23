"""Who may do what: the access file, the senders that it lists, and what each of them may send and ask.

A sender is known by its `user_id`, which the broker validates. A gateway may speak for another sender, whom it names in
the header `acting-user`: then that one's rights hold.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from adapters.records import Properties
from domain.errors import Refused
from schemas.messages import MESSAGES
from schemas.queries import QUERIES
from schemas.values import parse_text

log = structlog.get_logger()

ACTING_USER = "acting-user"
"""The header in which a gateway says for whom it speaks."""
FILE_BYTES_MAX = 1024 * 1024
"""The largest access file that is read."""
SENDERS_MAX = 10_000
PATTERNS_MAX = 200
"""The most patterns of one list."""
PATTERN_BYTES_MAX = 255
"""The longest pattern: a routing key has no more either."""
PROBLEMS_MAX = 50
"""How many of a file's faults are told."""
KNOWN_MAX = 20_000
"""How many answers are remembered. A sender with the pattern `#` may send of any type, so there is no end of them."""

_WORD = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_FIELDS = ("send", "ask", "party", "gateway")


class AccessError(Exception):
    """The access file can't be used; `problems` says why, each in a line."""

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Topics:
    """AMQP topic patterns: words with dots between them; `*` is any one word, `#` any number of words, none too."""

    patterns: tuple[str, ...]

    def match(self, topic: str) -> bool:
        """Whether one of the patterns fits a message's type, or a query's name."""
        words = topic.split(".")
        return any(_fits(pattern.split("."), words) for pattern in self.patterns)

    def __str__(self) -> str:
        return ", ".join(self.patterns) or "nothing"


def _fits(pattern: list[str], words: list[str]) -> bool:
    # The places in the pattern that can be reached: it takes no longer for many `#`, whatever the words are.
    reached = _past_any({0}, pattern)
    for word in words:
        after = {
            at if pattern[at] == "#" else at + 1 for at in reached if at < len(pattern) and _takes(pattern[at], word)
        }
        reached = _past_any(after, pattern)
    return len(pattern) in reached


def _takes(part: str, word: str) -> bool:
    return part in ("*", "#", word)


def _past_any(reached: set[int], pattern: list[str]) -> set[int]:
    """These places, and those behind a `#` that takes no word."""
    found: set[int] = set()
    for place in reached:
        at = place
        found.add(at)
        while at < len(pattern) and pattern[at] == "#":
            at += 1
            found.add(at)
    return found


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender as the access file lists it: what it may `send` and `ask`.

    With a `party` it may do so only about accounts that are related to that party. A `gateway` may speak for others.
    """

    name: str
    send: Topics
    ask: Topics
    party: str | None = None
    gateway: bool = False


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks in a message, and within which limits.

    `user` is the validated user, `acting` for whom it speaks, if it is a gateway that does. `party` limits them.
    """

    user: str
    acting: str | None = None
    party: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What stands in an access file: the senders by their `user_id`."""

    senders: Mapping[str, Sender]
    _known: dict[tuple[str | None, str | None, str, bool], Speaker]

    @staticmethod
    def of(senders: Collection[Sender]) -> Access:
        """The rights of these senders, and of nobody else."""
        return Access({sender.name: sender for sender in senders}, {})

    def sending(self, properties: Properties, type_: str) -> Speaker:
        """Who sends a message of a type; raises `Refused` (`forbidden`) for who may not."""
        return self._speaker(properties, type_, asks=False)

    def asking(self, properties: Properties, name: str) -> Speaker:
        """Who asks the query of a name; raises `Refused` (`forbidden`) for who may not."""
        return self._speaker(properties, name, asks=True)

    def _speaker(self, properties: Properties, topic: str, *, asks: bool) -> Speaker:
        acting = properties.headers.get(ACTING_USER) if properties.headers else None
        if acting is not None and not isinstance(acting, str):
            raise Refused("forbidden", f"header {ACTING_USER}: must be a text, the user_id for whom a gateway speaks")
        key = (properties.user_id, acting, topic, asks)
        known = self._known.get(key)
        if known is None:
            known = self.judge(properties.user_id, acting, topic, asks=asks)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[key] = known
        return known

    def judge(self, user: str | None, acting: str | None, topic: str, *, asks: bool) -> Speaker:
        """Who speaks when `user` sends (or `asks`) something, for `acting` if it says so; raises `Refused`."""
        if not user:
            raise Refused("forbidden", "user_id: is needed: the user that the sender is connected as")
        sender = self.senders.get(user)
        if sender is None:
            raise Refused("forbidden", f"user_id: the access file has no [senders.{_key(user)}]")
        field = "user_id"
        if acting is not None:
            field = f"header {ACTING_USER}"
            if not sender.gateway:
                raise Refused("forbidden", f"{field}: {_shown(user)} is no gateway, and speaks only for itself")
            sender = self.senders.get(acting)
            if sender is None:
                raise Refused("forbidden", f"{field}: the access file has no [senders.{_key(acting)}]")
        patterns, does = (sender.ask, "ask") if asks else (sender.send, "send")
        if not patterns.match(topic):
            may = f"may {does} {patterns}"[:500]
            raise Refused("forbidden", f"{field}: {_shown(sender.name)} may not {does} {_shown(topic)}: it {may}")
        return Speaker(user, acting, sender.party)


def _shown(text: str) -> str:
    """A text that a sender chose, in a line for people."""
    return "".join(char if char.isprintable() else "?" for char in text[:80])


def _key(name: str) -> str:
    return name if _WORD.fullmatch(name) else '"' + _shown(name).replace("\\", "\\\\").replace('"', '\\"') + '"'


def read_access(path: str) -> Access:
    """The rights that stand in a file; raises `AccessError` with all that is wrong in it."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise AccessError([f"{path} can't be read ({error.strerror})"]) from None
    if len(content) > FILE_BYTES_MAX:
        raise AccessError([f"{path} has more than {FILE_BYTES_MAX} bytes"])
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise AccessError([f"{path} is not UTF-8 (byte {error.start})"]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise AccessError([f"{path} is no TOML: {error}"]) from None
    problems: list[str] = []
    senders = _senders(document, problems)
    if problems:
        more = [f"and {len(problems) - PROBLEMS_MAX} more"] if len(problems) > PROBLEMS_MAX else []
        raise AccessError([f"{path}: {problem}" for problem in problems[:PROBLEMS_MAX] + more])
    return Access.of(senders)


def _senders(document: Mapping[str, Any], problems: list[str]) -> list[Sender]:
    problems += [f"{_key(name)} is unknown: there is [senders.NAME]" for name in document if name != "senders"]
    tables = document.get("senders", {})
    if not isinstance(tables, dict):
        problems.append("senders: must be tables, as [senders.shop]")
        return []
    if not tables and not problems:
        problems.append("lists nobody: without a [senders.NAME] nothing at all would be let in")
    if len(tables) > SENDERS_MAX:
        problems.append(f"senders: there are {len(tables)}, more than {SENDERS_MAX}")
        return []
    return [sender for name, table in tables.items() if (sender := _sender(name, table, problems)) is not None]


def _sender(name: str, table: object, problems: list[str]) -> Sender | None:
    where = f"[senders.{_key(name)}]"
    if not isinstance(table, dict):
        problems.append(f"{where}: must be a table")
        return None
    found: list[str] = []
    if not 1 <= len(name.encode()) <= PATTERN_BYTES_MAX:
        found.append(f"a user_id has 1 to {PATTERN_BYTES_MAX} bytes")
    found += [
        f"{_key(field)} is unknown{_meant(field, _FIELDS)}: there are {', '.join(_FIELDS)}"
        for field in table
        if field not in _FIELDS
    ]
    send = _topics("send", table.get("send", []), MESSAGES, "ask", QUERIES, found)
    ask = _topics("ask", table.get("ask", []), QUERIES, "send", MESSAGES, found)
    party, gateway = table.get("party"), table.get("gateway", False)
    if party is not None and not _is_party(party):
        found.append("party: must be the id of a party, as relatedParty of an account has it")
    if not isinstance(gateway, bool):
        found.append("gateway: must be true or false")
    problems += [f"{where} {problem}" for problem in found]
    return None if found else Sender(name, send, ask, party, gateway)


def _is_party(value: object) -> bool:
    try:
        return bool(parse_text(value))
    except ValueError:
        return False


def _topics(
    field: str, value: object, known: Collection[str], other_field: str, other: Collection[str], problems: list[str]
) -> Topics:
    if not isinstance(value, list):
        problems.append(f'{field}: must be a list of patterns, as ["account.*"]')
        return Topics(())
    if len(value) > PATTERNS_MAX:
        problems.append(f"{field}: has {len(value)} patterns, more than {PATTERNS_MAX}")
        return Topics(())
    for n, pattern in enumerate(value, 1):
        wrong = _wrong_with(pattern)
        if wrong is None and not _fits_one(pattern, known):
            meant = f": it is for {other_field}" if _fits_one(pattern, other) else _meant(pattern, known)
            wrong = f'"{pattern}" fits nothing that there is{meant}'
        if wrong is not None:
            problems.append(f"{field}: pattern {n} {wrong}")
    return Topics(tuple(dict.fromkeys(pattern for pattern in value if isinstance(pattern, str))))


def _fits_one(pattern: str, known: Collection[str]) -> bool:
    topics = Topics((pattern,))
    return any(topics.match(name) for name in known)


def _wrong_with(pattern: object) -> str | None:
    if not isinstance(pattern, str):
        return "must be a text"
    if len(pattern.encode()) > PATTERN_BYTES_MAX:
        return f"has more than {PATTERN_BYTES_MAX} bytes"
    shown = f'"{_shown(pattern)}"'
    if not all(word in ("*", "#") or _WORD.fullmatch(word) for word in pattern.split(".")):
        return f"{shown} is no topic pattern: words with dots between them, * for one, # for any number"
    return None


def _meant(said: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(said, known, 1)
    return f", is {close[0]} meant?" if close else ""


class AccessFile:
    """The rights as they stand now: those of a file, which can be read again, or None where everything is open."""

    def __init__(self, path: str | None) -> None:
        """Read the file, if there is one; raises `AccessError`."""
        self.path = path
        self.current = None if path is None else read_access(path)

    def reload(self) -> None:
        """Read the file again; one that is wrong is refused, and the rights stay as they are."""
        if self.path is None:
            return
        problems: tuple[str, ...] = ()
        try:
            self.current = read_access(self.path)
            log.info("access file read again", file=self.path, senders=len(self.current.senders))
        except AccessError as error:
            problems = error.problems
        for problem in problems:
            log.error("access file refused: the rights stay as they were", problem=problem)
