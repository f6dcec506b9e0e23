"""Payment references: what a customer writes on a transfer, so that it is found again (ISO 11649)."""

from __future__ import annotations

from string import ascii_uppercase

REFERENCE_MAX = 21
"""The most letters and digits that follow `RF` and its check digits (ISO 11649)."""

_DROPPED = str.maketrans("", "", "._:-")
_AS_DIGITS = str.maketrans({letter: str(value) for value, letter in enumerate(ascii_uppercase, 10)})


def payment_reference(number: str) -> str | None:
    """The creditor reference of a bill's number: `RF`, two check digits, and its letters and digits in upper case.

    The check digits are those of ISO 7064, MOD 97-10. None for a number that has more letters and digits than a
    reference may have.
    """
    reference = number.translate(_DROPPED).upper()
    if len(reference) > REFERENCE_MAX:
        return None
    check = 98 - int(f"{reference}RF00".translate(_AS_DIGITS)) % 97
    return f"RF{check:02d}{reference}"
