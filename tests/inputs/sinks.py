"""A sink in memory with the journal's semantics: positions with records, repeats dropped by key, room that can end."""

from __future__ import annotations

import asyncio

from kubewitness.contracts import Batch, Taken
from kubewitness.errors import Full
from kubewitness.record import Chunk, Note


class Kept:
    """`records` by table: (bytes, note). `full` makes it refuse; `gate` holds commits back."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.positions: dict[str, bytes] = {}
        self.duplicates = 0
        self.full = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.puts = 0
        self._seen: set[bytes] = set()

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        self.puts += 1
        if self.full and not wait:
            raise Full("full")
        await self.gate.wait()
        stored = repeats = 0
        for chunk in batch.chunks:
            fresh = []
            for i in range(len(chunk)):
                if chunk.key(i) not in self._seen:
                    self._seen.add(chunk.key(i))
                    fresh.append(i)
            repeats += len(chunk) - len(fresh)
            stored += len(fresh)
            if fresh:
                self.chunks.append(chunk.select(fresh))
        self.positions.update(batch.positions)
        self.duplicates += repeats
        return Taken(stored, repeats)

    async def position(self, name: str) -> bytes | None:
        return self.positions.get(name)

    def records(self, table: str) -> list[tuple[bytes, Note]]:
        return [
            (raw, chunk.notes.get(i, Note()))
            for chunk in self.chunks
            if chunk.table == table
            for i, raw in enumerate(chunk.records())
        ]
