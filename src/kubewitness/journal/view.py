"""Reading the journal: everything here is a SELECT on one connection that one thread uses at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from kubewitness.contracts import Delivery
from kubewitness.journal import schema
from kubewitness.journal.frames import Frame, checksum, unpack
from kubewitness.record import tag_of

#: Where a reader is: one sequence for all tables, or one per table (a table not named: from the beginning).
After = Mapping[str, int] | int


class Held(msgspec.Struct):
    """What the journal holds of one table, or of all. Sizes in bytes: `bytes` decompressed, `size` as held."""

    chunks: int = 0
    records: int = 0
    bytes: int = 0
    size: int = 0
    #: when the oldest chunk was received, microseconds UTC; None when there is none
    oldest_us: int | None = None


class OutputStats(msgspec.Struct):
    """One registered output: `tables` None means all; `pending` is what it has not delivered yet."""

    cursor: int
    tables: list[str] | None
    pending: Held


class Stats(msgspec.Struct):
    """The journal at a glance."""

    id: str
    last_seq: int
    #: limit for the sum of `size`, bytes
    size_limit: int
    held: Held
    tables: dict[str, Held]
    outputs: dict[str, OutputStats]
    #: source -> what ("stored", "duplicates", ...) -> records
    counters: dict[str, dict[str, int]]
    duplicates: int
    #: chunks with a wrong checksum, moved out of the way
    quarantined: int
    quarantined_records: int
    #: size of the database file, free pages included, without the WAL
    file_bytes: int


class View:
    """A consistent look at the journal, as long as its connection is inside one transaction."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        #: seq of each chunk met whose checksum is wrong; it was left out of what was returned
        self.damaged: list[int] = []

    def frames(
        self, after: After, *, tables: AbstractSet[str] | None = None, max_bytes: int | None = None
    ) -> list[Frame]:
        """Undecoded chunks in order of seq, up to about `max_bytes` of decompressed data (at least one, if any)."""
        frames: list[Frame] = []
        total = 0
        for seq, size in self._rows(after, tables):
            if frames and max_bytes is not None and total + size > max_bytes:
                break
            header, frame, expected = self._con.execute(
                "SELECT header, frame, sum FROM chunk WHERE seq = ?", (seq,)
            ).fetchone()
            if checksum(header, frame) != expected:
                self.damaged.append(seq)
                continue
            frames.append(Frame(seq, header, frame))
            total += size
        return frames

    def _rows(self, after: After, tables: AbstractSet[str] | None) -> sqlite3.Cursor:
        if isinstance(after, int) and tables is None:
            cursor = self._con.execute("SELECT seq, bytes FROM chunk WHERE seq > ? ORDER BY seq", (after,))
        else:
            wanted = sorted(tables) if tables is not None else self._tables()
            starts = [(t, after if isinstance(after, int) else after.get(t, 0)) for t in wanted]
            # One ordered walk of the index per table, merged by SQLite as it goes.
            each = "SELECT seq, bytes FROM chunk INDEXED BY chunk_by_table WHERE tbl = ? AND seq > ?"
            sql = " UNION ALL ".join([each] * len(starts)) + " ORDER BY seq"
            if not starts:
                sql = "SELECT seq, bytes FROM chunk WHERE 0"
            cursor = self._con.execute(sql, [v for pair in starts for v in pair])
        return cursor

    def _tables(self) -> list[str]:
        return [t for (t,) in self._con.execute(schema.HELD_TABLES)]

    def deliveries(
        self, after: After, *, tables: AbstractSet[str] | None = None, max_bytes: int | None = None
    ) -> list[Delivery]:
        """As `frames`, decoded."""
        return deliveries_of(self.frames(after, tables=tables, max_bytes=max_bytes))

    def waiting(self, after: int) -> list[tuple[int, str, str, int, int]]:
        """(seq, table, tag, records, bytes as held) of each chunk after a sequence, in order."""
        rows = self._con.execute(
            "SELECT seq, tbl, header, records, size FROM chunk WHERE seq > ? ORDER BY seq", (after,)
        )
        return [(seq, table, tag_of(header), records, size) for seq, table, header, records, size in rows]

    def cursor(self, output: str) -> int | None:
        """Every chunk up to this sequence was delivered by the output; None if it is not registered."""
        row = self._con.execute("SELECT cursor FROM output WHERE name = ?", (output,)).fetchone()
        return None if row is None else int(row[0])

    def position(self, name: str) -> bytes | None:
        row = self._con.execute("SELECT value FROM position WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def positions(self) -> dict[str, bytes]:
        return {n: bytes(v) for n, v in self._con.execute("SELECT name, value FROM position ORDER BY name")}

    @property
    def last_seq(self) -> int:
        """The last sequence ever given, 0 at first."""
        return int(self._con.execute("SELECT last_seq FROM state").fetchone()[0])

    def meta(self, name: str) -> str:
        return str(self._con.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()[0])

    def counters(self) -> dict[str, dict[str, int]]:
        counters: dict[str, dict[str, int]] = {}
        for source, what, n in self._con.execute("SELECT source, what, n FROM counter ORDER BY source, what"):
            counters.setdefault(source, {})[what] = n
        return counters

    def stats(self) -> Stats:
        """Counts; costs some 10 ms with 40,000 chunks."""
        tables = {table: self._held(0, [table]) for table in self._tables()}
        outputs = {}
        registered = self._con.execute("SELECT name, cursor, tables FROM output ORDER BY name").fetchall()
        for name, cursor, wanted in registered:
            names = None if wanted is None else json.loads(wanted)
            outputs[name] = OutputStats(cursor, names, self._held(cursor, list(tables) if names is None else names))
        counters = self.counters()
        damaged = self._con.execute("SELECT count(*), total(records) FROM damaged").fetchone()
        pages = self._con.execute("PRAGMA page_count").fetchone()[0]
        page_size = self._con.execute("PRAGMA page_size").fetchone()[0]
        return Stats(
            id=self.meta("id"),
            last_seq=self.last_seq,
            size_limit=int(self.meta("size_limit")),
            held=_sum(tables.values()),
            tables=tables,
            outputs=outputs,
            counters=counters,
            duplicates=sum(c.get("duplicates", 0) for c in counters.values()),
            quarantined=damaged[0],
            quarantined_records=int(damaged[1]),
            file_bytes=pages * page_size,
        )

    def _held(self, after: int, tables: Sequence[str]) -> Held:
        return _sum(
            Held(*row)
            for table in tables
            for row in self._con.execute(
                "SELECT count(*), coalesce(sum(records), 0), coalesce(sum(bytes), 0), coalesce(sum(size), 0),"
                " min(received_us) FROM chunk INDEXED BY chunk_by_table WHERE tbl = ? AND seq > ?",
                (table, after),
            ).fetchall()
        )


def deliveries_of(frames: Sequence[Frame]) -> list[Delivery]:
    """Decodes frames whose checksum was right. Needs no connection, so no lock either."""
    return [Delivery(f.seq, unpack(f)) for f in frames]


def _sum(parts: Iterable[Held]) -> Held:
    total = Held()
    for h in parts:
        total.chunks += h.chunks
        total.records += h.records
        total.bytes += h.bytes
        total.size += h.size
        if h.oldest_us is not None:
            total.oldest_us = h.oldest_us if total.oldest_us is None else min(total.oldest_us, h.oldest_us)
    return total
