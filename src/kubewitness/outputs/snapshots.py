"""A feed of the pipeline's own numbers: every so often a chunk of one record, which is their text.

The chunks are in memory: numbers that could not be delivered for long are dropped, oldest first, and counted, since the
next ones say where the counters stand all the same. The pipeline's records are taken from its feed and let go: who
delivers numbers holds no record back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from kubewitness.contracts import Delivery
from kubewitness.pipeline.backlog import Waiting
from kubewitness.pipeline.feeds import Feed
from kubewitness.record import Chunk


class Snapshots:
    """A `pipeline.feeds.Feed`. `seconds` between two; `limit`: bytes of those that wait."""

    def __init__(self, records: Feed, numbers: Callable[[], str], *, seconds: float, limit: int) -> None:
        self._records = records
        self._numbers = numbers
        self._seconds = seconds
        self._limit = limit
        self._held: deque[Delivery] = deque()
        self._taken = self._seq = 0
        self._bytes = self._last_ns = 0
        self._arrived = asyncio.Event()
        self._finishing = False
        self._tasks: list[asyncio.Task[None]] = []
        #: numbers (records) that were dropped because they waited too long
        self.dropped = 0

    async def open(self, output: str, tables: AbstractSet[str] | None = None) -> int:
        await self._records.open(output, tables)
        self._tasks = [asyncio.create_task(self._pass_by(output)), asyncio.create_task(self._look())]
        return 0

    async def take(self, output: str) -> Sequence[Delivery]:
        while True:
            self._arrived.clear()
            found = [d for d in self._held if d.seq > self._taken]
            if found:
                self._taken = found[-1].seq
                return found
            if self._finishing:
                await self._end()
                return []
            await self._arrived.wait()

    async def done(self, output: str, seq: int) -> None:
        while self._held and self._held[0].seq <= seq:
            self._bytes -= len(self._held.popleft().chunk.data)

    def waiting(self, after: int) -> Sequence[Waiting]:
        held = [d for d in list(self._held) if d.seq > after]
        return [Waiting(d.seq, d.chunk.table, d.chunk.tag, len(d.chunk), len(d.chunk.data)) for d in held]

    def finish(self) -> None:
        """The last numbers are those of the end."""
        self._records.finish()
        if not self._finishing:
            self._finishing = True
            self._add()

    # --- what it is made of ------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        while not self._finishing:
            await asyncio.sleep(self._seconds)
            if not self._finishing:
                self._add()

    def _add(self) -> None:
        text = self._numbers().encode()
        # a clock that was set back does not send numbers into the past, which Prometheus refuses
        now = self._last_ns = max(time.time_ns(), self._last_ns + 1_000_000)
        self._seq += 1
        chunk = Chunk(
            "metrics",
            data=text + b"\n",
            ends=array("I", [len(text)]),
            source="pipeline",
            received_us=now // 1000,
            times=array("q", [now]),
        )
        self._held.append(Delivery(self._seq, chunk))
        self._bytes += len(chunk.data)
        while self._bytes > self._limit and len(self._held) > 1:
            oldest = self._held.popleft()
            self._bytes -= len(oldest.chunk.data)
            self.dropped += 1
        self._arrived.set()

    async def _pass_by(self, output: str) -> None:
        while found := await self._records.take(output):
            await self._records.done(output, found[-1].seq)

    async def _end(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._tasks[0]
        self.stop()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
