"""What is recorded but not yet committed: the journal's chunks above each table's cursor, as rows.

Decoded once and kept until committed, so that a long-lived reader decodes only what is new. Rows of chunks that were
committed since are told by their `raw_seg` (the negated sequence of their chunk).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from arro3.core import Table as ArrowTable

from kubewitness.journal import Frame, View, unpack
from kubewitness.record import TABLES, Chunk
from kubewitness.store.batch import joined, origin_of, to_arrow
from kubewitness.store.columns import Origin, Row, place
from kubewitness.store.enrich import Enricher
from kubewitness.store.rejected import Reject, reject_row
from kubewitness.store.rows import ROWS
from kubewitness.store.tables import DeltaStoreTable

_READ_BYTES = 12 * 1024**2


class _Part(NamedTuple):
    """Rows of some chunks of one table, up to sequence `last`, and the rejects among them."""

    last: int
    rows: ArrowTable | None
    rejects: ArrowTable | None
    keys: list[bytes]
    frames: dict[int, bytes]


class Relation(NamedTuple):
    """Uncommitted rows; only those whose chunk's sequence is above `cursor` count."""

    rows: ArrowTable
    cursor: int


class Overlay:
    """Uncommitted rows of all tables, as of one snapshot of the journal after the other. Not thread-safe."""

    def __init__(self, enricher: Enricher) -> None:
        self._enricher = enricher
        self._parts: dict[str, list[_Part]] = {name: [] for name in TABLES}
        self._keys: dict[str, set[bytes]] = {name: set() for name in TABLES}
        self._cursors: dict[str, int] = dict.fromkeys(TABLES, 0)
        self._built: dict[tuple[str, str], tuple[object, ArrowTable | None]] = {}

    def take(self, view: View, cursors: Mapping[str, int], tables: Mapping[str, DeltaStoreTable]) -> None:
        """Reads the chunks above the cursors that are new, and forgets the committed ones."""
        self._cursors = {name: cursors.get(name, 0) for name in TABLES}
        for name, parts in self._parts.items():
            while parts and parts[0].last <= self._cursors[name]:
                self._keys[name].difference_update(parts.pop(0).keys)
        after = {name: max(self._cursors[name], parts[-1].last if parts else 0) for name, parts in self._parts.items()}
        while frames := view.frames(after, tables=set(TABLES), max_bytes=_READ_BYTES):
            by_table: dict[str, list[tuple[Frame, Chunk]]] = {}
            for frame in frames:
                chunk = unpack(frame)
                by_table.setdefault(chunk.table, []).append((frame, chunk))
            for name, found in by_table.items():
                after[name] = found[-1][0].seq
                self._parts[name].append(self._decode(name, found, tables))

    def _decode(self, name: str, found: list[tuple[Frame, Chunk]], tables: Mapping[str, DeltaStoreTable]) -> _Part:
        rows: list[Row] = []
        rejects: list[Reject] = []
        for number, (_, chunk) in enumerate(found):
            ROWS[name](chunk, number, rows, rejects)
        at, known = place(name, "record_key"), self._keys[name]
        keys: list[bytes] = []
        fresh = []
        for row in rows:
            if row[at] not in known:
                known.add(row[at])
                keys.append(row[at])
                fresh.append(row)
        clusters = [chunk.cluster or "default" for _, chunk in found]
        if name == "audit":
            self._enricher.flag_reused(tables[name], fresh, clusters, [chunk.form for _, chunk in found], {})
        elif name == "events":
            self._enricher.count_deltas(tables[name], fresh, clusters)
        origins: list[Origin] = [origin_of(chunk, -frame.seq, 0) for frame, chunk in found]
        rejected = [reject_row(found[r.number][1], r) for r in rejects]
        return _Part(
            found[-1][0].seq,
            to_arrow(name, fresh, origins, None) if fresh else None,
            to_arrow("rejects", rejected, origins, None) if rejected else None,
            keys,
            {frame.seq: frame.frame for frame, _ in found},
        )

    def relations(self, name: str, table: DeltaStoreTable) -> list[Relation]:
        """The uncommitted rows of a table that it does not hold already."""
        found = [self._relation(name, name, table)]
        if name == "rejects":
            found += [self._relation(source, name, table) for source in TABLES if source != name]
        return [r for r in found if r is not None]

    def _relation(self, source: str, name: str, table: DeltaStoreTable) -> Relation | None:
        parts = [(p.last, p.rows if source == name else p.rejects) for p in self._parts[source]]
        stamp = (tuple(last for last, _ in parts), table.version)
        built = self._built.get((source, name))
        if built is None or built[0] != stamp:
            some = [rows for _, rows in parts if rows is not None]
            result = self._enricher.without_repeats(table, joined(name, some)) if some else None
            built = self._built[source, name] = (stamp, result)
        return Relation(built[1], self._cursors[source]) if built[1] is not None else None

    def frames(self) -> dict[int, bytes]:
        """Compressed data of every held chunk by its sequence."""
        return {seq: frame for parts in self._parts.values() for p in parts for seq, frame in p.frames.items()}
