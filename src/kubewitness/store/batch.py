"""The rows of one commit of one table, gathered from chunks in slices.

Rows as tuples cost several times what they cost as Arrow, so they are turned into Arrow every few thousand; that
keeps memory flat however large a commit is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from arro3.core import Table as ArrowTable

from kubewitness.record import Chunk
from kubewitness.store.columns import DAY_US, Origin, Row, arrow_schema, build, place
from kubewitness.store.enrich import Enricher
from kubewitness.store.rejected import Reject, reject_row
from kubewitness.store.rows import ROWS
from kubewitness.store.segments import SegmentWriter
from kubewitness.store.tables import DeltaStoreTable

#: Rows, and bytes of records, in one slice.
SLICE_ROWS = 2_500
SLICE_BYTES = 12 * 1024**2

_DAY_FLAG = "day-of-arrival"


@dataclass
class _Slice:
    chunks: list[Chunk] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    bytes: int = 0


class TableBatch:
    """Gathers rows for one table. `compress` gives the frame of a chunk that came without one."""

    def __init__(
        self,
        table: DeltaStoreTable,
        rejects_table: DeltaStoreTable,
        enricher: Enricher,
        segments: SegmentWriter,
        compress: Callable[[bytes], bytes],
        retention_us: int | None,
    ) -> None:
        self.table = table
        self._rejects_table = rejects_table
        self._enricher = enricher
        self._segments = segments
        self._compress = compress
        self._retention_us = retention_us
        self._slice = _Slice()
        self._keys: set[bytes] = set()
        self._reject_keys: set[bytes] = set()
        self._requests: dict[tuple[str, str], int] = {}
        self.arrow: list[ArrowTable] = []
        self.rejected: list[ArrowTable] = []
        self.bytes = 0
        self.records = 0
        self.stored = 0
        self.duplicates = 0

    def add(self, chunk: Chunk, frame: bytes | None = None) -> None:
        """`frame`: the chunk's data already compressed, as the journal holds it."""
        s = self._slice
        ROWS[chunk.table](chunk, len(s.chunks), s.rows, s.rejects)
        s.frames.append(frame if frame is not None else self._compress(chunk.data))
        if s.rejects or self.table.name == "rejects":
            s.chunks.append(chunk)
        else:
            # its bytes are in the frame already; only a reject needs them again
            s.chunks.append(_hollow(chunk))
        s.bytes += len(chunk.data)
        self.bytes += len(chunk.data)
        self.records += len(chunk)
        if len(s.rows) >= SLICE_ROWS or s.bytes >= SLICE_BYTES:
            self.finish_slice()

    def finish_slice(self) -> None:
        """Turns what was gathered into Arrow; frames go to the segment (not yet synced)."""
        s, self._slice = self._slice, _Slice()
        if not s.chunks:
            return
        rows = self._fresh(s.rows, self._keys, self.table)
        rejected = [reject_row(s.chunks[r.number], r) for r in s.rejects]
        rejected = self._fresh(rejected, self._reject_keys, self._rejects_table)
        clusters = [c.cluster or "default" for c in s.chunks]
        if self.table.name == "audit":
            self._enricher.flag_reused(self.table, rows, clusters, [c.form for c in s.chunks], self._requests)
        elif self.table.name == "events":
            self._enricher.count_deltas(self.table, rows, clusters)
        origins = self._origins(s, {row[-1] for row in rows} | {row[-1] for row in rejected})
        if rows:
            self.arrow.append(to_arrow(self.table.name, rows, origins, self._retention_us))
        if rejected:
            self.rejected.append(to_arrow("rejects", rejected, origins, self._retention_us))
        self.stored += len(rows)

    def _fresh(self, rows: list[Row], seen: set[bytes], table: DeltaStoreTable) -> list[Row]:
        """Without repeats of what this commit or the table already has."""
        if not rows:
            return rows
        at = place(table.name, "record_key")
        repeats = self._enricher.repeats(table, rows)
        fresh = []
        for row in rows:
            key = row[at]
            if key not in seen and key not in repeats:
                seen.add(key)
                fresh.append(row)
        self.duplicates += len(rows) - len(fresh)
        return fresh

    def _origins(self, s: _Slice, used: set[int]) -> list[Origin]:
        """Where each chunk came from and where its frame lies now; a frame that no row needs is not kept."""
        origins = []
        for number, (chunk, frame) in enumerate(zip(s.chunks, s.frames, strict=True)):
            segment, offset = self._segments.append(frame) if number in used else (0, 0)
            origins.append(origin_of(chunk, segment, offset))
        return origins


def origin_of(chunk: Chunk, segment: int, frame: int) -> Origin:
    return Origin(chunk.cluster or "default", chunk.received_us, chunk.source, chunk.form, segment, frame)


def to_arrow(table: str, rows: list[Row], origins: list[Origin], retention_us: int | None) -> ArrowTable:
    """Rows as Arrow, each with its day: that of its `ts`, or of its arrival (flagged) when the time is more than a
    day ahead of the clock, or older than the retention."""
    now = time.time_ns() // 1000
    latest = now + DAY_US
    earliest = now - retention_us if retention_us is not None else 0
    days = [row[0] // DAY_US for row in rows]
    if any(not earliest <= row[0] <= latest for row in rows):
        flags = place(table, "flags")
        for i, row in enumerate(rows):
            if not earliest <= row[0] <= latest:
                days[i] = (origins[row[-1]].arrived_us or now) // DAY_US
                text = ",".join(filter(None, (row[flags], _DAY_FLAG)))
                rows[i] = (*row[:flags], text, *row[flags + 1 :])
    return build(table, rows, origins, days)


def joined(table: str, parts: list[ArrowTable]) -> ArrowTable:
    """Slices as one Arrow table, nothing copied."""
    return ArrowTable.from_batches([b for part in parts for b in part.to_batches()], schema=arrow_schema(table))


def _hollow(chunk: Chunk) -> Chunk:
    """Only what `origin_of` reads."""
    return Chunk(
        chunk.table,
        data=b"",
        ends=chunk.ends[:0],
        cluster=chunk.cluster,
        source=chunk.source,
        received_us=chunk.received_us,
        form=chunk.form,
    )
