"""How long to wait before trying again: doubling, with full jitter on the upper half."""

from __future__ import annotations

import random


class Backoff:
    """`next()` gives seconds; `reset()` after a success. Never below what the server asked for."""

    def __init__(self, first: float = 0.5, limit: float = 30.0) -> None:
        self._first = first
        self._limit = limit
        self._now = first

    def next(self, at_least: float | None = None) -> float:
        wait = self._now * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        self._now = min(self._limit, self._now * 2)
        return max(wait, at_least or 0.0)

    def reset(self) -> None:
        self._now = self._first
