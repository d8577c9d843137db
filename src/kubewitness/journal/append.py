"""What happens inside one append transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from kubewitness.contracts import Batch, Taken
from kubewitness.errors import Full
from kubewitness.journal.frames import Packed, pack
from kubewitness.journal.window import Window, split_keys
from kubewitness.record import KEY_BYTES, Chunk


class Append:
    """The inside of one append transaction."""

    def __init__(self, con: sqlite3.Connection, window: Window, now: int) -> None:
        self._con = con
        self._window = window
        self._now = now
        self._taken: set[bytes] = set()
        self._counts: dict[tuple[str, str], int] = {}
        self._seq, self._held_chunks, self._held_bytes, self.upto = con.execute(
            "SELECT last_seq, chunks, bytes, keys_upto FROM state"
        ).fetchone()
        self._was_empty = self._held_chunks == 0
        self._added = 0
        #: keys to remember, in order
        self.keys: list[bytes] = []

    def batch(self, batch: Batch, chunks: Sequence[tuple[Chunk, Packed | None]]) -> Taken:
        stored = sum(self._chunk(chunk, packed) for chunk, packed in chunks)
        if batch.positions:
            self._con.executemany(
                "INSERT INTO position VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_us = excluded.updated_us",
                [(name, value, self._now) for name, value in batch.positions.items() if value],
            )
            self._con.executemany(
                "DELETE FROM position WHERE name = ?", [(name,) for name, value in batch.positions.items() if not value]
            )
        return Taken(stored, sum(len(chunk) for chunk, _ in chunks) - stored)

    def _chunk(self, chunk: Chunk, packed: Packed | None) -> int:
        """Stores what is new of a chunk; returns the number of its records."""
        if chunk.keys and not chunk.once:
            keys = split_keys(chunk.keys)
            fresh = self._window.fresh(keys, self._taken)
            if fresh is not None:
                self._count(chunk.source, "duplicates", len(chunk) - len(fresh))
                chunk, packed = chunk.select(fresh), None
            self.keys.append(chunk.keys)
        if not len(chunk):
            return 0
        header, frame, checksum = packed or pack(chunk)
        size = len(header) + len(frame)
        self._seq += 1
        self._con.execute(
            "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._seq,
                chunk.table,
                len(chunk),
                len(chunk.data),
                size,
                chunk.received_us or self._now,
                checksum,
                header,
                frame,
            ),
        )
        self._held_chunks += 1
        self._held_bytes += size
        self._added += size
        self._count(chunk.source, "stored", len(chunk))
        return len(chunk)

    def _count(self, source: str, what: str, n: int) -> None:
        self._counts[source, what] = self._counts.get((source, what), 0) + n

    def finish(self, size_limit: int, window_limit: int, path: Path) -> None:
        """Keys, counters and totals; raises Full (and so undoes everything) past the size limit."""
        if self._added and not self._was_empty and self._held_bytes > size_limit:
            raise Full(
                f"journal {path} is full ({(self._held_bytes - self._added) / 1e6:.1f} of {size_limit / 1e6:.1f} MB); "
                "capture goes on when an output has delivered some of it"
            )
        keys = b"".join(self.keys)
        if keys:
            self.upto += len(keys) // KEY_BYTES
            self._con.execute("INSERT INTO seen VALUES (?, ?)", (self.upto, keys))
            self._con.execute("DELETE FROM seen WHERE upto <= ?", (self.upto - window_limit,))
        for (source, what), n in self._counts.items():
            add_count(self._con, source, what, n)
        self._con.execute(
            "UPDATE state SET last_seq = ?, chunks = ?, bytes = ?, keys_upto = ?",
            (self._seq, self._held_chunks, self._held_bytes, self.upto),
        )


def add_count(con: sqlite3.Connection, source: str, what: str, n: int) -> None:
    con.execute(
        "INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT (source, what) DO UPDATE SET n = n + excluded.n",
        (source, what, n),
    )
