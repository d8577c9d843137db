"""Reading: a session is one moment of everything recorded, committed or still in the journal."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import zstandard

from kubewitness.config.state import StatePaths
from kubewitness.errors import StateError
from kubewitness.formats.scope import Scope
from kubewitness.journal import Journal
from kubewitness.record import TABLES
from kubewitness.store import scoped, sqlbase, views
from kubewitness.store.enrich import Enricher
from kubewitness.store.livefiles import LiveFile
from kubewitness.store.overlay import Overlay, Relation
from kubewitness.store.places import Directory, let_read, seen_ids_directory, store_directory
from kubewitness.store.positions import HOME, PositionFiles, read_positions
from kubewitness.store.reuse import SeenIds
from kubewitness.store.segments import SegmentReader
from kubewitness.store.summaries import Summaries, name_of
from kubewitness.store.tables import DeltaStoreTable
from kubewitness.store.writer import cursor_id

Params = Sequence[Any] | Mapping[str, Any]
Pointer = tuple[int, int, int, int]

#: Memory (MB) for making what is kept of a file: a sort spills what is more.
_MAKE_MB = 160
#: A file that compaction replaced stays for the vacuum's grace period; a query that meets it gone starts afresh.
_TRIES = 4
#: How DuckDB tells that a file of an object store went away.
_GONE = "FileNotFoundError"


@dataclass(frozen=True)
class Limits:
    """What a reader may use: memory (MB) and threads of its queries."""

    memory_mb: int = 512
    threads: int = 2


@dataclass(frozen=True)
class _Snapshot:
    """What a session stands on."""

    files: Mapping[str, Sequence[LiveFile]]
    groups: Mapping[str, Sequence[tuple[frozenset[str] | None, Sequence[str]]]]
    overlays: Mapping[str, Sequence[Relation]]
    frames: Mapping[int, bytes]
    versions: Mapping[str, int]


class Store:
    """The tables of a state, for reading. Cheap to make; keep one for as long as you ask questions. Thread-safe."""

    def __init__(self, paths: StatePaths, limits: Limits | None = None) -> None:
        self.paths = paths
        self._limits = limits or Limits()
        self._lock = threading.RLock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._tables: dict[str, DeltaStoreTable] = {}
        self._overlay: Overlay | None = None
        self._journal: Journal | None = None
        self._segments: SegmentReader | None = None
        self.summaries = Summaries(paths.root / "tmp" / "summaries")

    @property
    def directory(self) -> Directory:
        return store_directory(self.paths)

    @contextlib.contextmanager
    def session(self, limits: Limits | None = None, *, scope: Scope | None = None) -> Iterator[Session]:
        """One consistent moment, of what a scope lets through (None: everything).

        StateError when nothing was ever recorded, or the state cannot be read.
        """
        with self._lock:
            self._open(limits)
            snapshot = self._snapshot()
            assert self._con is not None
            session = Session(self, self._con.cursor(), snapshot, scope)
        try:
            yield session
        finally:
            session.close()

    def shared_positions(self) -> dict[str, bytes]:
        """As `StoreWriter.shared_positions`, without being its writer."""
        table = DeltaStoreTable(HOME, self.directory / HOME)
        return read_positions(table, PositionFiles(self.directory / "positions"))

    def close(self) -> None:
        with self._lock:
            if self._journal is not None:
                self._journal.close()
            if self._con is not None:
                self._con.close()
            self._con = self._journal = self._overlay = None

    def _open(self, limits: Limits | None) -> None:
        if self._con is None:
            self.paths.require()
            directory = self.directory
            limits = limits or self._limits
            self._con = sqlbase.connect(
                memory_mb=limits.memory_mb, threads=limits.threads, spill=self.paths.root / "tmp"
            )
            let_read(self._con, directory)
            self._con.execute(views.KIND_MACRO.replace("TEMP ", ""))
            self._tables = {name: DeltaStoreTable(name, directory / name) for name in TABLES}
            self._segments = SegmentReader(directory / "raw")
            seen = SeenIds(seen_ids_directory(self.paths, directory), readonly=True)
            self._overlay = Overlay(Enricher(self._con.cursor(), seen))
        if self._journal is None and self.paths.journal.exists():
            self._journal = Journal.open_readonly(self.paths.journal)

    def _snapshot(self) -> _Snapshot:
        """The journal's moment is taken before the tables' versions, so that nothing falls between the two."""
        assert self._overlay is not None
        if self._journal is None:
            self._refresh()
        else:
            with self._journal.snapshot() as view:
                self._refresh()
                cursors = {name: t.cursor(cursor_id(self._journal.id, name)) for name, t in self._tables.items()}
                self._overlay.take(view, cursors, self._tables)
        return _Snapshot(
            files={name: t.files() for name, t in self._tables.items()},
            groups={name: self._groups(t) for name, t in self._tables.items()},
            overlays={name: self._overlay.relations(name, t) for name, t in self._tables.items()},
            frames=self._overlay.frames(),
            versions={name: t.version for name, t in self._tables.items()},
        )

    def _refresh(self) -> None:
        for table in self._tables.values():
            table.refresh()

    def _groups(self, table: DeltaStoreTable) -> list[tuple[frozenset[str] | None, Sequence[str]]]:
        """Files by the columns they have, newest first: the latest N are then found before the old files are read."""
        assert self._con is not None
        groups: dict[frozenset[str] | None, list[str]] = {}
        for file in sorted(table.files(), key=lambda f: f.max_ts or 0, reverse=True):
            groups.setdefault(table.columns_of(file, self._con), []).append(file.path)
        return list(groups.items())

    def reopened(self) -> _Snapshot:
        """A newer snapshot, after a file of the old one was gone."""
        with self._lock:
            return self._snapshot()

    def record(self, segment: int, frame: int, offset: int, length: int) -> bytes:
        assert self._segments is not None
        return self._segments.record(segment, frame, offset, length)


class Session:
    """Queries over one moment. Views: audit, events, objects, admission, logs, findings, rejects, activity.

    Times are TIMESTAMP WITH TIME ZONE: `epoch_us(ts)` gives integers, `ts` aware datetimes in UTC. For one thread.
    """

    def __init__(
        self, store: Store, con: duckdb.DuckDBPyConnection, snapshot: _Snapshot, scope: Scope | None = None
    ) -> None:
        self._store = store
        self.scope = scope
        self._con = con
        self._snapshot = snapshot
        self._made: set[str] = set()
        self._making: duckdb.DuckDBPyConnection | None = None
        self._summaries: dict[str, tuple[str, str]] = {}
        self._decompressed: dict[int, bytes] = {}

    def query(self, sql: str, params: Params = ()) -> list[tuple[Any, ...]]:
        """All rows. `params`: a sequence for `?`, or a mapping for `$name`."""
        return self._run(sql, params).fetchall()

    def dicts(self, sql: str, params: Params = ()) -> list[dict[str, Any]]:
        """All rows, by column name."""
        cursor = self._run(sql, params)
        names = [d[0] for d in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _run(self, sql: str, params: Params) -> duckdb.DuckDBPyConnection:
        for attempt in range(_TRIES):
            try:
                self._make_views(sql)
                return self._con.execute(sql, params or None)
            except duckdb.Error as e:
                if not (isinstance(e, duckdb.IOException) or _GONE in str(e)):
                    raise
                if attempt == _TRIES - 1:
                    raise StateError(f"cannot read the tables of {self._store.directory}: {_line(e)}") from e
                self._snapshot = self._store.reopened()
                self._made.clear()
                again, self._summaries = list(self._summaries.values()), {}
                for table, select in again:
                    self.summary(table, select)
        raise AssertionError

    def _make_views(self, sql: str) -> None:
        missing = [name for name in views.mentioned(sql) if name not in self._made]
        for name in missing:
            self._make_view(self._con, name, "")
            self._made.add(name)
        if "activity" in sql.lower() and "activity" not in self._made:
            self._con.execute(views.activity_view())
            self._made.add("activity")

    def _make_view(self, con: duckdb.DuckDBPyConnection, name: str, raw: str) -> None:
        overlays = self._overlays(con, name)
        where = scoped.condition(name, self.scope) if self.scope is not None else ""
        con.execute(views.table_view(name, self._snapshot.groups[name], overlays, raw=raw, where=where))

    def _overlays(self, con: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, int]]:
        """Uncommitted rows of a table, as relations of a DuckDB instance."""
        overlays = []
        for i, relation in enumerate(self._snapshot.overlays[name]):
            con.register(f"kw_{name}_{i}", relation.rows)
            overlays.append((f"kw_{name}_{i}", relation.cursor))
        return overlays

    def make_views(self, con: duckdb.DuckDBPyConnection, sql: str, *, raw: bool) -> None:
        """Makes the views that a query needs in another DuckDB instance; with a column `raw` (by function `kw_raw`)."""
        con.execute(views.KIND_MACRO)
        expression = "kw_raw(raw_seg, raw_frame, raw_off, raw_len)" if raw else ""
        for name in views.mentioned(sql):
            self._make_view(con, name, expression)
        if "activity" in sql.lower():
            con.execute(views.activity_view())

    def summary(self, table: str, select: str, *, make: bool = True) -> str | None:
        """The name of a view with an aggregate of a table: `select` over its rows (`{source}` stands for them), for
        each large file by itself, so that it has to be aggregated once more. Kept, because files never change.

        None where rows are hidden from this session, or nothing can be kept; with `make` False, where that of a file is
        still to be made.
        """
        if self.hides([table]):
            return None
        name = f"kw_sum_{table}_{name_of(select)}"
        if name in self._summaries:
            return name
        large = {f.path for f in self._snapshot.files[table] if f.rows >= self._store.summaries.large}
        groups = self._snapshot.groups[table]
        sources = {
            path: f"({views.rows_of(table, present, [path])})"
            for present, paths in groups
            for path in paths
            if path in large
        }
        kept = self._store.summaries.files(self._maker, select, sources, make=make)
        if kept is None:
            return None
        rest = [(present, [path for path in paths if path not in large]) for present, paths in groups]
        overlays = self._overlays(self._con, table)
        self._con.execute(views.table_view(table, rest, overlays, name=f"{name}_rest"))
        body = f"SELECT * FROM ({select.format(source=f'{name}_rest')})"  # noqa: S608
        if kept:
            body = f"SELECT * FROM read_parquet({views.listed(kept)}) UNION ALL {body}"  # noqa: S608
        self._con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {body}")
        self._summaries[name] = (table, select)
        return name

    def raw_text(self, segment: int, frame: int, offset: int, length: int) -> str:
        """A record's original bytes as text; what is not UTF-8 is replaced."""
        return self._record(segment, frame, offset, length).decode("utf-8", "replace")

    @property
    def directory(self) -> Directory:
        return self._store.directory

    @property
    def paths(self) -> StatePaths:
        return self._store.paths

    def raw(self, pointers: Sequence[Pointer]) -> list[bytes]:
        """The original bytes of records by (raw_seg, raw_frame, raw_off, raw_len), in the order asked."""
        return [self._record(*p) for p in pointers]

    def _record(self, segment: int, frame: int, offset: int, length: int) -> bytes:
        if segment < 0:
            data = self._decompressed.get(-segment)
            if data is None:
                held = self._snapshot.frames.get(-segment)
                if held is None:
                    raise StateError(f"chunk {-segment} is no longer in the journal; ask again")
                if len(self._decompressed) > 32:
                    self._decompressed.clear()
                data = self._decompressed[-segment] = zstandard.ZstdDecompressor().decompress(held)
            return data[offset : offset + length]
        try:
            return self._store.record(segment, frame, offset, length)
        except FileNotFoundError as e:
            raise StateError(f"the original bytes were pruned meanwhile (segment {segment}); ask again") from e

    def files(self, table: str) -> Sequence[LiveFile]:
        """The live files of a table in this moment."""
        return self._snapshot.files[table]

    def hides(self, tables: Sequence[str]) -> bool:
        """Whether these tables may hold rows that this session's scope does not let through."""
        if self.scope is None:
            return False
        if not self.scope.everything:
            return True
        cluster = self.scope.cluster
        return any(f.cluster != cluster for name in tables for f in self._snapshot.files[name]) or any(
            self._foreign(relation, cluster) for name in tables for relation in self._snapshot.overlays[name]
        )

    def _foreign(self, relation: Relation, cluster: str) -> bool:
        """Whether uncommitted rows of another cluster are among these."""
        self._con.register("kw_some", relation.rows)
        try:
            found = self._con.execute("SELECT 1 FROM kw_some WHERE cluster <> $c LIMIT 1", {"c": cluster}).fetchall()
        finally:
            self._con.unregister("kw_some")
        return bool(found)

    @contextlib.contextmanager
    def _maker(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB instance for what is kept of files."""
        con = sqlbase.connect(memory_mb=_MAKE_MB, threads=1, spill=self._store.paths.root / "tmp")
        self._making = con
        try:
            let_read(con, self.directory)
            yield con
        finally:
            self._making = None
            con.close()

    def interrupt(self) -> None:
        """Ends a query that another thread runs in this session."""
        self._con.interrupt()
        making = self._making
        if making is not None:
            with contextlib.suppress(duckdb.Error):  # closed just now
                making.interrupt()

    def close(self) -> None:
        self._con.close()


def _line(e: BaseException) -> str:
    return " ".join(str(e).split())[:300]
