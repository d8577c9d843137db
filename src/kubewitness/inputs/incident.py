"""One line in the log for an incident, not one for each of its thousand parts."""

from __future__ import annotations

import logging
import time


class Incident:
    """Logs the first of a run of like failures; the next is logged after a quiet time, with how many there were."""

    def __init__(self, log: logging.Logger, quiet: float = 60.0) -> None:
        self._log = log
        self._quiet = quiet
        self._last = float("-inf")
        self._since_logged = 0

    def report(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= self._quiet:
            more = f" ({self._since_logged} more since the last line about this)" if self._since_logged else ""
            self._log.warning("%s%s", text, more)
            self._since_logged = 0
        else:
            self._since_logged += 1
        self._last = now
