"""One output's delivery loop: takes chunks, writes them, moves the cursor; tries again until they are through."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from kubewitness.contracts import Delivery, Output
from kubewitness.errors import Retry
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.feeds import Feed

log = logging.getLogger("kubewitness.pipeline")

#: Seconds that an output has for its `close`.
_CLOSE_SECONDS = 10.0


class DeliveryLoop:
    """Delays nobody but itself. Nothing is ever given up: what cannot be delivered stays in the feed."""

    def __init__(self, output: Output, feed: Feed, cursor: str, backoff: Backoff) -> None:
        self.name = output.name
        self._output = output
        self._feed = feed
        self._cursor = cursor
        self._backoff = backoff
        #: starting, running, waiting (to try again), ended
        self.state = "starting"
        self._counts = {"records": 0, "bytes": 0, "deliveries": 0, "retries": 0, "errors": 0}
        self._last_error = ""
        self._delivered_us = 0
        self._seq = 0

    async def open(self) -> None:
        """Registers with the feed, so that nothing is deleted before this output has it."""
        self._seq = await self._feed.open(self._cursor)

    async def run(self) -> None:
        """Until the feed is finished and everything is delivered. Raises only what the feed raises."""
        self.state = "running"
        while found := await self._feed.take(self._cursor):
            wanted = [d for d in found if self._output.wants(d.chunk.table, d.chunk.tag)]
            if wanted:
                await self._write(wanted)
                self._counts["deliveries"] += 1
                self._counts["records"] += sum(len(d.chunk) for d in wanted)
                self._counts["bytes"] += sum(len(d.chunk.data) for d in wanted)
                self._delivered_us = time.time_ns() // 1000
            self._seq = found[-1].seq
            await self._feed.done(self._cursor, self._seq)
        self.state = "ended"

    async def _write(self, deliveries: Sequence[Delivery]) -> None:
        while True:
            try:
                await self._output.write(deliveries)
            except Retry as e:
                self._counts["retries"] += 1
                await self._wait(str(e), e.after)
            except Exception as e:
                self._counts["errors"] += 1
                log.debug("%s", self.name, exc_info=True)
                await self._wait(f"{type(e).__name__}: {e}", None)
            else:
                self._backoff.reset()
                if self.state == "waiting":
                    log.info("%s delivers again", self.name)
                self.state, self._last_error = "running", ""
                return

    async def _wait(self, error: str, after: float | None) -> None:
        wait = self._backoff.next(after)
        if error != self._last_error:  # one line per incident, not per try
            log.warning("%s: %s; trying again until it works, next in %.1f s", self.name, error, wait)
        self.state, self._last_error = "waiting", error
        await asyncio.sleep(wait)

    async def close(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._output.close()
        except Exception as e:
            log.warning("%s could not be closed: %s: %s", self.name, type(e).__name__, e)

    def health(self) -> dict[str, object]:
        own = getattr(self._output, "health", None)
        return {
            **(own() if own is not None else {}),
            "state": self.state,
            **self._counts,
            "cursor": self._seq,
            "last_delivery_us": self._delivered_us,
            "last_error": self._last_error,
        }
