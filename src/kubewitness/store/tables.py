"""One Delta table, on a disk or an object store: creating, columns added later, appending durably, its live files.

Properties of a table: `kubewitness.schema` (version of `store.schema` it was last brought to) and
`kubewitness.full_since` (milliseconds: files written since then have all columns of that version; 0 from the start).
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
from arro3.core import Table as ArrowTable
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from kubewitness.errors import StateError
from kubewitness.store import diskcommits
from kubewitness.store.columns import arrow_schema
from kubewitness.store.fence import check_term, commit_properties, term_of
from kubewitness.store.livefiles import LiveFile, date_text, live_files
from kubewitness.store.merging import STATS_COLUMNS, NewFile
from kubewitness.store.objectsizes import learn
from kubewitness.store.places import Directory
from kubewitness.store.schema import PARTITIONS, SCHEMA_VERSION, TABLE_COLUMNS

_VERSION = "kubewitness.schema"
_FULL_SINCE = "kubewitness.full_since"

#: Logs older than this are cleaned up (a reader holds its snapshot's file list in memory, not the log).
LOG_RETENTION = "interval 1 hours"
_CHECKPOINT_EVERY = 20

_CONFIGURATION = {
    "delta.dataSkippingStatsColumns": ",".join(STATS_COLUMNS),
    "delta.logRetentionDuration": LOG_RETENTION,
    "delta.deletedFileRetentionDuration": LOG_RETENTION,
    "delta.checkpointInterval": str(_CHECKPOINT_EVERY),
}

#: The library colours the causes of an error.
_COLOUR = re.compile(r"\x1b\[\d+m|↳")

#: Random bytes: a dictionary of them would only cost.
_RANDOM = ("record_key",)


#: Commits through one handle. The library's handle keeps every log entry since it was opened: 500 small commits cost
#: 27 CPU seconds and 80 MB more through one handle, 12 seconds and 40 MB through one that is opened anew at times.
REOPEN_COMMITS = 16


class Overtaken(StateError):
    """Somebody else has committed to the table since it was looked at; the handle stands at the newest version now."""


class DeltaStoreTable:
    """The table in `directory`; nothing is opened before it is needed. Not for two threads at once.

    `term` of the leader that writes; None: there is no election. Everything that commits may raise Fenced.
    """

    def __init__(self, name: str, directory: Directory, term: int | None = None) -> None:
        self.name = name
        self.directory = directory
        self.term = term
        self._dt: DeltaTable | None = None
        self._files: tuple[int, list[LiveFile]] | None = None
        self._columns_of: dict[str, frozenset[str]] = {}
        self._commits = 0

    # --- opening -----------------------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Brings the handle to the newest version; False when there is no table yet."""
        if self._dt is None:
            if isinstance(self.directory, Path) and not (self.directory / "_delta_log").is_dir():
                return False
            with self._guarded("read"):
                try:
                    self._dt = self._opened()
                except TableNotFoundError:
                    return False
            self._check_version()
            return True
        with self._guarded("read"):
            before = self._dt.version()
            try:
                self._dt.update_incremental()
            except DeltaError:
                self._dt = self._opened()  # the log it stood on was cleaned up
            if self._dt.version() != before:
                self._check_version()
        return True

    @property
    def _options(self) -> dict[str, str] | None:
        return None if isinstance(self.directory, Path) else self.directory.options

    def _opened(self) -> DeltaTable:
        return DeltaTable(str(self.directory), storage_options=self._options)

    def reopen(self) -> bool:
        """Forgets the handle and opens anew."""
        self._dt = None
        self._files = None
        return self.refresh()

    @contextlib.contextmanager
    def _guarded(self, what: str):  # type: ignore[no-untyped-def]
        try:
            yield
        except TableNotFoundError:
            raise
        except (DeltaError, OSError) as e:
            raise StateError(f"cannot {what} table {self.name} in {self.directory}: {_line(e)}") from e

    @contextlib.contextmanager
    def committing(self, what: str):  # type: ignore[no-untyped-def]
        """Around one commit through the handle as it stands. Fenced, or StateError when somebody was faster: then
        what was to be committed was made from what is no longer the newest version, and must be made again."""
        if self._dt is not None:
            check_term(self.name, self._dt, self.term)
        with self._guarded(what):
            try:
                yield
            except CommitFailedError as e:
                if self.reopen():
                    check_term(self.name, self.dt, self.term)
                raise Overtaken(
                    f"table {self.name} in {self.directory}: another process has written to it at the same time"
                ) from e

    def properties(self, transactions: Mapping[str, int] | None = None) -> CommitProperties:
        """What each commit carries."""
        return commit_properties(self.term, transactions or {})

    def claim(self) -> None:
        """Commits our term, so that whoever has an older one is refused. Fenced when the table has a later one."""
        self.ensure()
        check_term(self.name, self.dt, self.term)
        if self.term is not None and term_of(self.dt) < self.term:
            self.touch({})

    def _check_version(self) -> None:
        found = self.schema_version
        if found > SCHEMA_VERSION:
            raise StateError(
                f"table {self.name} in {self.directory} was written by a newer kubewitness (schema {found}, this one "
                f"knows {SCHEMA_VERSION}); upgrade kubewitness, or choose another --state"
            )

    @property
    def exists(self) -> bool:
        return self._dt is not None

    @property
    def dt(self) -> DeltaTable:
        if self._dt is None:
            raise StateError(f"table {self.name} does not exist in {self.directory}")
        return self._dt

    @property
    def version(self) -> int:
        """Delta version, -1 when there is no table."""
        return int(self._dt.version()) if self._dt is not None else -1

    @property
    def _properties(self) -> Mapping[str, str | None]:
        return self.dt.metadata().configuration

    @property
    def schema_version(self) -> int:
        return int(self._properties.get(_VERSION) or 0)

    @property
    def full_since_ms(self) -> int:
        """Files written since then have every column that this version of the program knows."""
        if self.schema_version < SCHEMA_VERSION:
            return 2**62
        return int(self._properties.get(_FULL_SINCE) or 0)

    def columns(self) -> set[str]:
        """Names of the columns that the table has now."""
        return {f.name for f in self.dt.schema().fields} if self._dt is not None else set()

    def columns_of(self, file: LiveFile, con: duckdb.DuckDBPyConnection) -> frozenset[str] | None:
        """The columns that a file has; None for all. Only files older than the table's last new column are opened."""
        if file.modified_ms >= self.full_since_ms:
            return None
        columns = self._columns_of.get(file.path)
        if columns is None:
            rows = con.execute("SELECT DISTINCT name FROM parquet_schema($p)", {"p": file.path}).fetchall()
            columns = self._columns_of[file.path] = frozenset(n for (n,) in rows) | set(PARTITIONS)
        return columns

    # --- writing -----------------------------------------------------------------------------------------------------

    def ensure(self) -> None:
        """Makes the table if there is none, and adds the columns that an older version did not have."""
        if not self.begin():
            self.create()

    def begin(self) -> bool:
        """Brings the handle to the newest version, with all columns; False when there is no table yet.

        From then on it stays there until its next commit, so that what is compared with the table's rows in between
        is committed only if the table is still the same.
        """
        if not self.refresh():
            return False
        if self.schema_version < SCHEMA_VERSION or {n for n, _ in TABLE_COLUMNS[self.name]} - self.columns():
            self._evolve()
        return True

    def create(self) -> None:
        """Makes the table. StateError when there is one by now."""
        if isinstance(self.directory, Path):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.committing("create"):
            self._dt = DeltaTable.create(
                str(self.directory),
                storage_options=self._options,
                schema=arrow_schema(self.name),
                partition_by=list(PARTITIONS),
                configuration={**_CONFIGURATION, _VERSION: str(SCHEMA_VERSION), _FULL_SINCE: "0"},
                raise_if_key_not_exists=False,
                commit_properties=self.properties(),
            )
        self._sync()

    def _evolve(self) -> None:
        have = self.columns()
        wanted = Schema.from_arrow(arrow_schema(self.name)).fields
        missing = [f for f in wanted if f.name not in have]
        with self.committing("add columns to"):
            if missing:
                self.dt.alter.add_columns(missing, commit_properties=self.properties())
            properties = {_VERSION: str(SCHEMA_VERSION)}
            if missing:
                properties[_FULL_SINCE] = str(time.time_ns() // 1_000_000 + 1)
            self.dt.alter.set_table_properties(
                properties, raise_if_not_exists=False, commit_properties=self.properties()
            )
        self._sync()

    def append(self, rows: ArrowTable, transactions: Mapping[str, int]) -> int:
        """Commits rows and cursors (`transactions`: app id -> version) together, durably. Returns bytes of new files.

        The commit goes through the handle that the caller has checked the cursors with: the library refuses a
        stale one, so two writers can never both move a cursor.
        """
        with self.committing("write to"):
            write_deltalake(
                self.dt,
                rows,
                mode="append",
                writer_properties=_append_properties(self.name),
                commit_properties=self.properties(transactions),
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
        return self._sync()

    def touch(self, transactions: Mapping[str, int]) -> None:
        """Commits cursors, and the term, without rows."""
        self.append(ArrowTable.from_batches([], schema=arrow_schema(self.name)), transactions)

    def replace(self, old: Sequence[LiveFile], new: Sequence[NewFile]) -> None:
        """Commits files in the place of others of the same partition, which hold the same rows."""
        day, cluster = old[0].day, old[0].cluster
        now = time.time_ns() // 1_000_000
        values: dict[str, str | None] = {"day": date_text(day), "cluster": cluster}
        adds = []
        for file in new:
            stats = {"numRecords": file.rows, "minValues": file.low, "maxValues": file.high, "nullCount": file.nulls}
            adds.append(AddAction(self._relative(file.path), file.size, values, now, False, json.dumps(stats)))
        removes = [RemoveAction(self._relative(f.path), False, now, f.size, values) for f in old]
        with self.committing("compact"):
            self.dt.create_write_transaction(
                [*adds, *removes],
                mode="append",
                schema=self.dt.schema(),
                partition_by=list(PARTITIONS),
                commit_properties=self.properties(),
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
            self.dt.update_incremental()
        self._sync()

    def partition_of(self, file: LiveFile) -> Directory:
        """The directory that a file lies in."""
        found = self.directory
        for name in self._relative(file.path).split("/")[:-1]:
            found = found / name
        return found

    def _relative(self, path: str) -> str:
        return path.removeprefix(f"{self.directory}/")

    def sync_last_commit(self) -> None:
        """Makes durable what a compaction or a deletion has written."""
        self._sync()

    def cursor(self, app_id: str) -> int:
        """The last committed version of a transaction id; 0 when there was none."""
        if self._dt is None:
            return 0
        return int(self._dt.transaction_version(app_id) or 0)

    def _sync(self) -> int:
        """fsync of what the last commit wrote: the library leaves that to the operating system. Returns file bytes.

        An object store's objects are durable when they are there.
        """
        size = diskcommits.fsync_commit(self.directory, self.version) if isinstance(self.directory, Path) else 0
        self._commits += 1
        if self._commits % REOPEN_COMMITS == 0:
            self.reopen()
        return size

    def repair(self) -> list[str]:
        """Removes what a power failure may have left of the last, never acknowledged, commit: a log entry that is
        empty or cut, or that names files which are cut. Its records are still in the journal. Returns what it did."""
        if not isinstance(self.directory, Path):
            return []
        taken = diskcommits.take_back(self.directory)
        return [f"table {self.name}: {what}" for what in taken]

    def clean_log(self) -> int:
        """Deletes log entries older than the log's retention that a checkpoint covers. Returns bytes freed."""
        log = self.directory / "_delta_log"
        if not isinstance(log, Path):
            with self._guarded("clean the log of"):
                self.dt.cleanup_metadata()
            return 0
        before = sum(p.stat().st_size for p in log.iterdir())
        with self._guarded("clean the log of"):
            self.dt.cleanup_metadata()
        return max(0, before - sum(p.stat().st_size for p in log.iterdir()))

    def last_commit_us(self) -> int:
        """When the newest log entry was written, microseconds UTC."""
        log = self.directory / "_delta_log"
        if not isinstance(log, Path):
            return max((int(entry["timestamp"]) * 1000 for entry in self.dt.history(1)), default=0)
        return max((p.stat().st_mtime_ns // 1000 for p in log.glob("*.json")), default=0)

    # --- looking -----------------------------------------------------------------------------------------------------

    def files(self) -> list[LiveFile]:
        """The live files of the version that the handle stands at."""
        if self._dt is None:
            return []
        if self._files is None or self._files[0] != self.version:
            with self._guarded("read"):
                self._files = (self.version, live_files(self._dt, self.directory))
            if not isinstance(self.directory, Path):
                learn(self.directory, self._files[1])
        return self._files[1]


def _plain_columns(table: str) -> dict[str, ColumnProperties]:
    return {name: ColumnProperties(dictionary_enabled=False) for name in _RANDOM if name in dict(TABLE_COLUMNS[table])}


def _append_properties(table: str) -> WriterProperties:
    return WriterProperties(
        compression="ZSTD",
        compression_level=1,
        column_properties=_plain_columns(table),
    )


def _line(e: BaseException) -> str:
    return " ".join(_COLOUR.sub("", str(e)).split())[:300]
