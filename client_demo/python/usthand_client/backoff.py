"""How long to wait between two tries to connect: ever longer, up to a cap, and never all clients at once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter.

    Args:
        first_s: The longest that the first wait may be.
        factor: How much longer each further wait may be than the one before.
        cap_s: The longest that any wait may be.
        jitter: Share of each wait that is drawn by chance, in [0, 1]; 0 waits the full time always.
    """

    first_s: float = 0.25
    factor: float = 2.0
    cap_s: float = 10.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.cap_s:
            raise ValueError(f"first_s {self.first_s} must be above 0 and at most cap_s {self.cap_s}")
        if self.factor < 1:
            raise ValueError(f"factor {self.factor} must be at least 1, or waits would shrink")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter {self.jitter} must be in [0, 1]")

    def delays_s(self, rng: random.Random | None = None) -> Iterator[float]:
        """Give one wait after the other, without end; ask anew after a success."""
        rng = rng or random.Random()  # noqa: S311 - spreads clients in time, keeps no secret
        longest_s = self.first_s
        while True:
            yield longest_s * (1 - self.jitter * rng.random())
            longest_s = min(longest_s * self.factor, self.cap_s)
