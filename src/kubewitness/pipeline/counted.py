"""What an input handed over, as the pipeline sees it: the same numbers for every input, whatever it counts itself."""

from __future__ import annotations

from kubewitness.contracts import Batch, Sink, Taken


class CountedSink:
    """A `contracts.Sink` in front of another that counts what was taken: records and bytes before the filters."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.records = 0
        self.bytes = 0

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        taken = await self._sink.put(batch, wait=wait)
        self.records += sum(len(chunk) for chunk in batch.chunks)
        self.bytes += sum(len(chunk.data) for chunk in batch.chunks)
        return taken

    async def position(self, name: str) -> bytes | None:
        return await self._sink.position(name)
