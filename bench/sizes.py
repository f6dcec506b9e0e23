"""How much of everything is measured: as the goals say, or small, to see that it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a run; a count is of one round."""

    quick: bool
    rounds: int
    orders: int
    """Paymaster's facts, whatever they are."""
    peer_orders: int
    """The orders of a peer that keeps books too."""
    bookless_orders: int
    """The orders of a peer that does not."""
    hot_peer_orders: int
    """The plain worker's orders on one account."""
    latency_seconds: float
    backlog: int
    accounts: int
    entries_per_account: int
    starts: int
    takeovers: int

    @property
    def entries(self) -> int:
        """The entries of the large database."""
        return self.accounts * self.entries_per_account


FULL = Sizes(
    quick=False,
    rounds=3,
    orders=10_000,
    peer_orders=2_000,
    bookless_orders=6_000,
    hot_peer_orders=200,
    latency_seconds=20,
    backlog=200_000,
    accounts=1_000_000,
    entries_per_account=5,
    starts=5,
    takeovers=10,
)
QUICK = Sizes(
    quick=True,
    rounds=1,
    orders=1_500,
    peer_orders=200,
    bookless_orders=1_000,
    hot_peer_orders=40,
    latency_seconds=4,
    backlog=3_000,
    accounts=10_000,
    entries_per_account=5,
    starts=2,
    takeovers=2,
)
