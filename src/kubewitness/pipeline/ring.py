"""A ring in memory (`storage.type memrb`): inputs never wait; at the limit the oldest records go, and are counted."""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Sequence

from kubewitness.contracts import Batch, Delivery, Taken
from kubewitness.journal import Journal
from kubewitness.pipeline.feeds import MEMORY_LIMIT, MemoryQueue
from kubewitness.record import Chunk

log = logging.getLogger("kubewitness.pipeline")

#: seconds in which dropping is said once
_SAID = 60.0


class RingQueue(MemoryQueue):
    """As `MemoryQueue`. What an output is delivering is not taken away from it, so that at most twice `limit` is held:
    what outputs have begun with, and what waits.

    What was dropped keeps its place, as a chunk without records: places are without gaps.
    """

    def __init__(self, *, limit: int = MEMORY_LIMIT, positions: Journal | None = None, linger: float = 0.0) -> None:
        super().__init__(limit=limit, positions=positions, linger=linger)
        #: records that at least one output has not got
        self.dropped_records = 0
        self.dropped_bytes = 0
        self._said_at = float("-inf")

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        size = sum(len(c.data) for c in batch.chunks)
        self._make_room(size)
        return self._add(batch, size)

    async def take(self, output: str) -> Sequence[Delivery]:
        while True:
            found = await super().take(output)
            left = [delivery for delivery in found if len(delivery.chunk)]
            if left or not found:
                return left
            await self.done(output, found[-1].seq)

    def health(self) -> dict[str, int]:
        return {**super().health(), "drop_records": self.dropped_records, "drop_bytes": self.dropped_bytes}

    def _make_room(self, size: int) -> None:
        waiting = [i for i, d in enumerate(self._held) if len(d.chunk) and not self._is_begun(d.seq)]
        held = sum(len(self._held[i].chunk.data) for i in waiting)
        for i in waiting:
            if held + size <= self._limit:
                return
            held -= self._drop(i)

    def _is_begun(self, seq: int) -> bool:
        return any(cursor.done < seq <= cursor.taken for cursor in self._cursors.values())

    def _drop(self, index: int) -> int:
        """Returns how many bytes that was."""
        seq, chunk = self._held[index].seq, self._held[index].chunk
        self._held[index] = Delivery(seq, Chunk(chunk.table, data=b"", ends=array("I"), tag=chunk.tag))
        self._bytes -= len(chunk.data)
        if any(cursor.taken < seq for cursor in self._cursors.values()):
            self.dropped_records += len(chunk)
            self.dropped_bytes += len(chunk.data)
            if time.monotonic() - self._said_at > _SAID:
                self._said_at = time.monotonic()
                log.warning("outputs are behind: the oldest records in memory are dropped (storage.type memrb)")
        return len(chunk.data)
