"""The ways in which the domain says no, with the codes of the contract."""

from __future__ import annotations


class Refused(Exception):
    """The fact is wrong for good: it is parked.

    `code` is one of the contract's error codes; `detail` names the field or document and its value; `fields` are the
    names alone of what does not fit, where there are several.
    """

    def __init__(self, code: str, detail: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.fields = fields


class MustWait(Refused):
    """What the fact refers to is not there yet: it waits for `waits_for` (`account:<id>`, `resumed:<id>`).

    `again`: that may be there and not be enough, so the fact is also tried again now and then.
    """

    def __init__(self, code: str, detail: str, waits_for: str, *, again: bool = False) -> None:
        super().__init__(code, detail)
        self.waits_for = waits_for
        self.again = again
