"""What an input handed over, as the pipeline sees it: the same numbers for every input, whatever it counts itself."""

from __future__ import annotations

import time

from kubewitness.contracts import Batch, Sink, Taken

#: seconds that taking a batch may need without anything being wrong
_PAUSE = 1.0


class CountedSink:
    """A `contracts.Sink` in front of another that counts what was taken: records and bytes before the filters."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.records = 0
        self.bytes = 0
        #: by number of the call, since when it waits
        self._waits: dict[int, float] = {}
        self._calls = 0

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        self._calls = call = self._calls + 1
        self._waits[call] = time.monotonic()
        try:
            taken = await self._sink.put(batch, wait=wait)
        finally:
            del self._waits[call]
        self.records += sum(len(chunk) for chunk in batch.chunks)
        self.bytes += sum(len(chunk.data) for chunk in batch.chunks)
        return taken

    @property
    def paused(self) -> bool:
        """Whether the input waits for room, and not only for the disk."""
        return bool(self._waits) and time.monotonic() - min(self._waits.values()) > _PAUSE

    async def position(self, name: str) -> bytes | None:
        return await self._sink.position(name)
