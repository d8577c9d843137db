"""Whether a pipeline is healthy by Fluent Bit's rule: not too many failures in the last `hc_period` seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple


class _Sample(NamedTuple):
    at: float
    errors: int
    retries_failed: int


class HealthWindow:
    """`note` the sums every second or so. They may begin again at 0."""

    def __init__(
        self,
        *,
        errors: int = 5,
        retries_failed: int = 5,
        period: float = 60,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """More `errors`, or more `retries_failed`, within `period` seconds are too many."""
        self.error_limit = errors
        self.retry_failure_limit = retries_failed
        self.period = period
        self._clock = clock
        self._samples: deque[_Sample] = deque([_Sample(clock(), 0, 0)])

    def note(self, errors: int, retries_failed: int) -> None:
        if errors < self._samples[-1].errors or retries_failed < self._samples[-1].retries_failed:
            self._samples.clear()
            self._samples.append(_Sample(self._clock(), 0, 0))
        self._samples.append(_Sample(self._clock(), errors, retries_failed))
        # the one from which is counted is the last that is older than the period
        while len(self._samples) > 1 and self._samples[1].at <= self._clock() - self.period:
            self._samples.popleft()

    @property
    def errors(self) -> int:
        """In the period."""
        return self._samples[-1].errors - self._samples[0].errors

    @property
    def retries_failed(self) -> int:
        return self._samples[-1].retries_failed - self._samples[0].retries_failed

    @property
    def healthy(self) -> bool:
        return self.errors <= self.error_limit and self.retries_failed <= self.retry_failure_limit
