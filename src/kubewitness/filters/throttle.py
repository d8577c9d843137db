"""Filter `throttle`: at most so many records per interval, on average over a window. Source: Fluent Bit's manual,
"Throttle"."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.section import Given, options_of
from kubewitness.record import Chunk

log = logging.getLogger("kubewitness.filters")

KEYS = (
    Key("rate", "float", "1", "records per interval, on average"),
    Key("window", "int", "5", "intervals that the average is over"),
    Key("interval", "seconds", "1s", "how long an interval is"),
    Key("print_status", "bool", "false", "logs the rate of each interval that had records"),
)


class Throttle:
    """A record passes while fewer than `rate` times `window` passed in the last `window` intervals. All inputs whose
    tags match share them. Kept records keep their bytes."""

    def __init__(self, keys: Given, name: str = "throttle", clock: Callable[[], float] = time.monotonic) -> None:
        options = options_of(keys, KEYS, name)
        self.name = name
        self._rate, self._window = options.real("rate"), options.number("window")
        self._interval = options.seconds("interval")
        if self._rate <= 0 or self._window < 1 or self._interval <= 0:
            raise UsageError(f"filter {name}: 'rate', 'window' and 'interval' are more than 0")
        self._tell = options.flag("print_status")
        self._clock = clock
        self._now = 0
        #: interval's number -> records that passed in it
        self._panes: dict[int, int] = {}
        self._passed = 0

    def health(self) -> Mapping[str, object]:
        return {"window_records": self._passed, "window_limit": self._rate * self._window}

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        self._slide(int(self._clock() / self._interval))
        # the record that reaches the average is the last one, as in Fluent Bit
        room = max(0, -int(-(self._rate * self._window - self._passed) // 1))
        kept = min(len(chunk), room)
        self._panes[self._now] = self._panes.get(self._now, 0) + kept
        self._passed += kept
        return [chunk.select(range(kept))] if kept else []

    def _slide(self, now: int) -> None:
        if now == self._now:
            return
        if self._tell and self._panes:
            log.info("filter %s: %d records in the window, the limit is %g", self.name, self._passed,
                     self._rate * self._window)  # fmt: skip
        self._now = now
        self._panes = {pane: n for pane, n in self._panes.items() if now - self._window < pane <= now}
        self._passed = sum(self._panes.values())
