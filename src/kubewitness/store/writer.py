"""Writing the tables: the one process that holds the store's lock."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import zstandard
from arro3.core import Table as ArrowTable

from kubewitness.config.state import StatePaths
from kubewitness.journal import Journal, unpack
from kubewitness.record import TABLES, Chunk
from kubewitness.store import sqlbase
from kubewitness.store.batch import TableBatch, joined
from kubewitness.store.enrich import Enricher
from kubewitness.store.fence import term_of
from kubewitness.store.lock import StoreLock
from kubewitness.store.memory import give_back_code, give_back_memory
from kubewitness.store.objectdir import ObjectDir
from kubewitness.store.places import let_read, seen_ids_directory, store_directory
from kubewitness.store.positions import HOME, POSITIONS, PositionFiles, read_positions, shared_of
from kubewitness.store.remembering import remember
from kubewitness.store.reuse import SeenIds
from kubewitness.store.segments import SegmentWriter
from kubewitness.store.tables import DeltaStoreTable, Overtaken
from kubewitness.store.upkeep import GRACE_SECONDS, CompactResult, PruneResult, Upkeep

#: Bytes of records in one commit of `commit` (decompressed).
COMMIT_BYTES = 16 * 1024**2
#: The same of `drain`, beside which a recorder takes in more.
_DRAIN_BYTES = 8 * 1024**2
#: Read from the journal at once (decompressed bytes).
_READ_BYTES = 2 * 1024**2

#: Of frames that the journal has not compressed yet (the importer's direct path).
_LEVEL = 1

#: Seconds within which a commit that was overtaken is tried again as it is; far below any grace of `vacuum`.
RETRY_SECONDS = 20.0

_DAY_US = 86_400_000_000


@dataclass
class CommitResult:
    """Records: stored, recognised as repeats, kept as rejects. `bytes` of records read, `commits` of any table."""

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    bytes: int = 0
    commits: int = 0

    def add(self, other: CommitResult) -> None:
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.bytes += other.bytes
        self.commits += other.commits


@dataclass
class DrainResult(CommitResult):
    """As `CommitResult`, with the last journal sequence that each table has now."""

    upto: dict[str, int] = field(default_factory=dict)


class StoreWriter:
    """The tables of one state, open for writing. Not for two threads at once; use it as a context manager.

    `retention`: days after which records go to the day of their arrival (None: never). `term`: the number of the
    leader that writes, greater than that of every leader before (None: no election). With a term, everything that
    commits may raise Fenced, and the positions of watches travel with the commits (`shared_positions`).
    """

    def __init__(
        self, paths: StatePaths, lock: StoreLock, *, retention: float | None = None, term: int | None = None
    ) -> None:
        self.paths = paths
        self.directory = store_directory(paths)
        self._lock = lock
        self._retention_us = None if retention is None else int(retention * _DAY_US)
        if isinstance(self.directory, Path):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.tables = {name: DeltaStoreTable(name, self.directory / name, term) for name in TABLES}
        #: what had to be mended when the store was opened
        self.repairs = [line for t in self.tables.values() for line in t.repair()]
        self._take_term(term)
        #: whether others may go on where we are: there are several replicas, or this machine may not come back
        self._shares = term is not None or isinstance(self.directory, ObjectDir)
        self._positions = PositionFiles(self.directory / "positions")
        self._published: dict[str, bytes] = {}
        self.segments = self._open_segments(shared=term is not None)
        spill = paths.root / "tmp"
        self._con = sqlbase.connect(memory_mb=96, threads=1, spill=spill, thrifty=True)
        let_read(self._con, self.directory)
        self._seen_ids = self._open_seen_ids()
        self._enricher = Enricher(self._con, self._seen_ids)
        self._compress = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress

    @classmethod
    def acquire(
        cls, paths: StatePaths, wait: float = 0, *, retention: float | None = None, term: int | None = None
    ) -> StoreWriter:
        """Takes the store's lock, trying for `wait` seconds, and opens the tables.

        StateError when another process has it: then append to the journal instead, its holder drains it. Fenced when
        a later leader than `term` has written; else nobody with an older term can commit any more when this returns.
        """
        store_directory(paths)
        paths.create()
        lock = StoreLock(paths.store_lock, wait)
        try:
            return cls(paths, lock, retention=retention, term=term)
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the lock back."""
        with contextlib.suppress(OSError):
            self.segments.close()
        self._seen_ids.close()
        self._con.close()
        self._lock.release()

    def _take_term(self, term: int | None) -> None:
        """Opens the tables. With a term, nobody with an older one commits any more from here on. Without one, beside
        an object store that had leaders: as a guest of the newest, fenced by the next."""
        for table in self.tables.values():
            if term is not None:
                table.claim()
            else:
                table.refresh()
        if term is None and isinstance(self.directory, ObjectDir):
            newest = max((term_of(t.dt) for t in self.tables.values() if t.exists), default=0)
            for table in self.tables.values():
                table.term = newest or None

    def _open_segments(self, *, shared: bool) -> SegmentWriter:
        raw = self.directory / "raw"
        if isinstance(raw, ObjectDir):
            from kubewitness.store.objectsegments import ObjectSegmentWriter

            return ObjectSegmentWriter(raw)
        return SegmentWriter(raw, floor=self._highest_segment(), shared=shared)

    def _open_seen_ids(self) -> SeenIds:
        directory = seen_ids_directory(self.paths, self.directory)
        lost = isinstance(self.directory, ObjectDir) and not (directory / "audit-ids").exists()
        seen = SeenIds(directory)
        if lost:
            remember(seen, self.tables["audit"], self._con)
        return seen

    def _highest_segment(self) -> int:
        """A number that a row points at is never given to another segment, even if the file is gone."""
        return max((f.max_seg or 0 for t in self.tables.values() for f in t.files()), default=0)

    def _batch(self, table: str, *, alone: bool = True) -> TableBatch:
        """Stands on the newest versions. `alone`: no other batch is open, whose rejects were compared with an older."""
        for name in {table, "rejects"} if alone else {table}:
            before = self.tables[name].version
            self.tables[name].begin()
            if before not in (-1, self.tables[name].version):
                self._enricher.forget()
        return TableBatch(
            self.tables[table],
            self.tables["rejects"],
            self._enricher,
            self.segments,
            self._compress,
            self._retention_us,
        )

    # --- committing --------------------------------------------------------------------------------------------------

    def commit(self, chunks: Iterable[Chunk]) -> CommitResult:
        """Commits chunks without a journal; when it returns, they are durable. A generator keeps memory flat.

        May make several commits a table. After a crash in between the caller gives the same chunks again: what
        was committed is recognised by its keys.
        """
        result = CommitResult()
        batches: dict[str, TableBatch] = {}
        with _no_garbage_collection():
            for chunk in chunks:
                batch = batches.get(chunk.table)
                if batch is None:
                    batch = batches[chunk.table] = self._batch(chunk.table, alone=not batches)
                batch.add(chunk)
                if batch.bytes >= COMMIT_BYTES:
                    result.add(self._write(batches.pop(chunk.table), {}))
            for batch in batches.values():
                result.add(self._write(batch, {}))
        return result

    def drain(self, journal: Journal, *, max_bytes: int | None = None) -> DrainResult:
        """Commits what the journal holds above each table's cursor, and lets the journal forget it.

        Cursors are Delta transactions of the tables themselves, so each chunk is committed once whatever happens
        in between. `max_bytes`: stop after about so many bytes of records a table.
        """
        result = DrainResult()
        for table in TABLES:
            journal.register(f"store/{table}", {table})
        with journal.snapshot() as view:
            goal, positions = view.last_seq, shared_of(view.positions()) if self._shares else {}
        complete = True
        with _no_garbage_collection():
            for table in (*(t for t in TABLES if t != HOME), HOME):
                carried = positions if complete and table == HOME else {}
                complete &= self._drain_table(journal, table, result, max_bytes, goal, carried)
        if complete and positions and positions != self._published:
            self.tables[HOME].ensure()
            with self._publishing(positions) as transaction:
                self.tables[HOME].touch(transaction)
            result.commits += 1
        return result

    def _drain_table(
        self,
        journal: Journal,
        table: str,
        result: DrainResult,
        max_bytes: int | None,
        goal: int,
        positions: Mapping[str, bytes],
    ) -> bool:
        """Returns whether everything up to `goal` is in the table; the commit that makes it so carries `positions`."""
        app = cursor_id(journal.id, table)
        done = self.tables[table].cursor(app)
        taken = 0
        complete = done >= goal
        while not complete and (max_bytes is None or taken < max_bytes):
            batch, last = self._batch(table), done
            while batch.bytes < _DRAIN_BYTES and not complete:
                frames = journal.frames(last, tables={table}, max_bytes=_READ_BYTES)
                for frame in frames:
                    batch.add(unpack(frame), frame.frame)
                    last = frame.seq
                complete = not frames or last >= goal
            if last == done:
                break
            result.add(self._write(batch, {app: last}, positions if complete else {}))
            give_back_code()
            taken += batch.bytes
            done = last
            journal.advance(f"store/{table}", done)
        result.upto[table] = done
        journal.advance(f"store/{table}", done)
        return complete

    def _write(
        self, batch: TableBatch, cursor: Mapping[str, int], positions: Mapping[str, bytes] | None = None
    ) -> CommitResult:
        """One commit: rejects first (a second try recognises them by their keys), then the rows with the cursor.

        Frames are durable before both. Chunks that held nothing but repeats need no commit: read again, they are
        repeats again.
        """
        batch.finish_slice()
        started = time.monotonic()
        self.segments.sync()
        result = CommitResult(duplicates=batch.duplicates, bytes=batch.bytes)
        if batch.rejected:
            rejects = joined("rejects", batch.rejected)
            result.rejected = self._append("rejects", rejects, {}, started)
            result.commits += 1
        if batch.arrow:
            rows = joined(batch.table.name, batch.arrow)
            with self._publishing(positions or {}) as transaction:
                result.stored = self._append(batch.table.name, rows, {**cursor, **transaction}, started)
            result.duplicates += rows.num_rows - result.stored
            result.commits += 1
        give_back_memory()
        return result

    # --- shared positions --------------------------------------------------------------------------------------------

    def shared_positions(self) -> dict[str, bytes]:
        """Where the watches go on, by the store: name -> position, to be put into the journal of a new leader before
        its inputs start. Everything before these positions is in the tables."""
        return read_positions(self.tables[HOME], self._positions)

    @contextlib.contextmanager
    def _publishing(self, positions: Mapping[str, bytes]) -> Iterator[dict[str, int]]:
        """Around the commit of table events that is given the transaction, which names a file with the positions."""
        if not positions:
            yield {}
            return
        before = self.tables[HOME].cursor(POSITIONS)
        number = self._positions.save(positions)
        yield {POSITIONS: number}
        self._published = dict(positions)
        self._positions.remove(before)

    # --- upkeep ------------------------------------------------------------------------------------------------------

    @property
    def _upkeep(self) -> Upkeep:
        return Upkeep(self.directory, self.tables, self._con, self.paths.root / "tmp", shared=self._shares)

    def compact(self, names: Iterable[str] | None = None, *, all_days: bool = False) -> CompactResult:
        """Merges small files, sorts closed days. See `store.upkeep`."""
        return self._upkeep.compact(names, all_days=all_days)

    def prune(
        self, *, max_age: float | None = None, max_bytes: int | None = None, grace: float = GRACE_SECONDS
    ) -> PruneResult:
        """Drops whole days by age (seconds) and size (bytes), and gives space back."""
        return self._upkeep.prune(max_age=max_age, max_bytes=max_bytes, grace=grace)

    def vacuum(self, *, grace: float = GRACE_SECONDS) -> int:
        """Deletes what has not been live for `grace` seconds; returns bytes freed."""
        return self._upkeep.vacuum(grace=grace)

    def _append(self, name: str, rows: ArrowTable, cursor: Mapping[str, int], started: float) -> int:
        """Returns how many rows are stored. When somebody else has committed since the rows were compared with the
        table, they are compared again. That is right only while nobody can have taken their frames for left behind:
        not long after `started`, when the first of them was written (see `Upkeep.vacuum`)."""
        table = self.tables[name]
        while True:
            try:
                if not table.exists:
                    table.create()
                table.append(rows, cursor)
                return int(rows.num_rows)
            except Overtaken:
                table.begin()
                if time.monotonic() - started > RETRY_SECONDS:
                    raise
                self._enricher.forget()
                rows = self._enricher.without_repeats(table, rows)
                if not rows.num_rows and all(table.cursor(app) >= version for app, version in cursor.items()):
                    return 0


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Rows are many small objects without cycles: searching them for garbage would cost a quarter of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def cursor_id(journal_id: str, table: str) -> str:
    """The Delta transaction id under which a table keeps how far it has drained a journal."""
    return f"{journal_id}/{table}"
