"""What figures come to: ratios round by round, percentiles, and whether a goal is reached. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from statistics import median


def ratios(values: Mapping[int, float | None], others: Mapping[int, float | None]) -> list[float]:
    """How many times the other figure each is, by round: within one, both saw the same machine.

    A round in which one of the two is not known, or zero, has no ratio.
    """
    return [value / other for number, value in values.items() if value and (other := others.get(number))]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them (0 to 1) does not exceed; there must be one."""
    return sorted(values)[max(1, ceil(share * len(values))) - 1]


def spread(values: Sequence[float], spec: str) -> str:
    """The lowest and the highest of them; one value alone is written once."""
    low, high = f"{min(values):{spec}}", f"{max(values):{spec}}"
    return low if low == high else f"{low} to {high}"


def tenths(samples: Sequence[tuple[float, int]], total: int) -> list[float]:
    """The seconds that each tenth of a run took, from samples of (time in seconds, how much was done by then).

    The first sample is the beginning, the last one the end, when all of `total` is done. A time between two samples is
    taken to lie on the line between them.
    """
    marks = [_when(samples, total * tenth / 10) for tenth in range(11)]
    return [end - begin for begin, end in pairwise(marks)]


def _when(samples: Sequence[tuple[float, int]], amount: float) -> float:
    before = samples[0]
    for at, done in samples:
        if done >= amount:
            then, had = before
            return at if done == had else then + (at - then) * (amount - had) / (done - had)
        before = at, done
    raise ValueError(f"{before[1]} were done in the end, not {amount:g}")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached, and the figures of the rounds that say whether it is.

    `bound` is the least that the median may be, or the most where `at_most` says so; None: shown without a goal. `unit`
    is written behind the figures. `note` says what else is worth knowing, or why nothing was measured.
    """

    work: str
    against: str
    bound: float | None
    values: tuple[float, ...] = ()
    unit: str = "×"
    at_most: bool = False
    note: str = ""

    @property
    def measured(self) -> float | None:
        """The median of the rounds."""
        return median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """`reached`, `missed`, `not measured`, or `shown` where there is no goal."""
        if self.measured is None:
            return "not measured"
        if self.bound is None:
            return "shown"
        return "reached" if (self.measured <= self.bound if self.at_most else self.measured >= self.bound) else "missed"
