"""How long to wait before trying again."""

from __future__ import annotations

import random


class Backoff:
    """Doubling waits (seconds), with jitter so that many who failed together do not come back together."""

    def __init__(self, first: float = 0.5, limit: float = 60.0) -> None:
        self._first = first
        self._limit = limit
        self._now = first

    def next(self, at_least: float | None = None) -> float:
        """The next wait; never shorter than what the far side asked for."""
        wait = self._now * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        self._now = min(self._limit, self._now * 2)
        return max(wait, at_least or 0.0)

    def reset(self) -> None:
        """After a success."""
        self._now = self._first
