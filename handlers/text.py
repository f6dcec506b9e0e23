"""Text that others chose, shown so that it does no harm."""

from __future__ import annotations

import unicodedata


def safe(text: object, *, lines: bool = False) -> str:
    """A text that does nothing to a terminal: whatever steers one, or hides or reorders text, is shown as an escape.

    With `lines`, ends of lines and tabs are left as they are.
    """
    return "".join(
        char
        if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or (lines and char in "\n\t")
        else char.encode("unicode_escape").decode()
        for char in str(text)
    )
