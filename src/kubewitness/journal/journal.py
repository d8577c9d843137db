"""The journal's operations. The format and its invariants are in `schema.py`."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from kubewitness.contracts import Batch, Delivery, Taken
from kubewitness.errors import Full, StateError
from kubewitness.journal import schema
from kubewitness.journal.append import Append, add_count
from kubewitness.journal.frames import Frame, Packed, pack
from kubewitness.journal.housekeeping import Housekeeping
from kubewitness.journal.view import After, Stats, View, deliveries_of
from kubewitness.journal.window import Window, split_keys
from kubewitness.record import Chunk

SIZE_LIMIT = 2 * 1024**3
WINDOW = 300_000

#: Chunks deleted in one transaction, so that a long backlog never holds up an append for long.
_DELETE_STEP = 128


class Journal:
    """The durable queue between inputs and outputs. Any thread may call any method; several processes may share a file.

    Writers of one process wait for one another; readers wait for nobody. Every method may raise StateError
    (the file is damaged, or not ours); those that write also Full (the size limit, or no room on the disk).
    """

    def __init__(
        self, path: str | Path, *, size_limit: int = SIZE_LIMIT, window: int = WINDOW, fsync: bool = True
    ) -> None:
        """Opens the journal, and makes it if there is none. `size_limit` in bytes of compressed chunks."""
        self._setup(Path(path), size_limit, window)
        self._token = uuid.uuid4().hex
        schema.create_file(self.path)
        with schema.guarded(self.path):
            self._con = schema.connect(self.path)
            try:
                schema.prepare(self._con, self.path, fsync=fsync)
                #: whether some process died with the journal open since the last check (the file was found sound)
                self.was_unclean = schema.sign_in(self._con, self.path, self._token)
                self._read_con = schema.connect(self.path, readonly=True)
                self._con.execute("INSERT OR REPLACE INTO meta VALUES ('size_limit', ?)", (str(size_limit),))
                self.id = View(self._read_con).meta("id")
            except BaseException:
                self._con.close()
                raise

    @classmethod
    def open_readonly(cls, path: str | Path) -> Journal:
        """For readers: no method that writes may be called. StateError when there is no journal."""
        self = cls.__new__(cls)
        self._setup(Path(path), SIZE_LIMIT, WINDOW)
        self._token = ""
        self.was_unclean = False
        if not self.path.exists():
            raise StateError(f"no journal at {path}; record or import something first, or name another --state")
        with schema.guarded(self.path):
            self._con = self._read_con = schema.connect(self.path, readonly=True)
            try:
                schema.await_tables(self._read_con, self.path)
                schema.check_version(self._read_con, self.path)
                self.id = View(self._read_con).meta("id")
            except BaseException:
                self._read_con.close()
                raise
        return self

    def _setup(self, path: Path, size_limit: int, window: int) -> None:
        self.path = path
        self.size_limit = size_limit
        self._window_limit = window
        self._window: Window | None = None
        self._window_upto = 0
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._closed = False
        self._disk = Housekeeping(self.path)

    @property
    def readonly(self) -> bool:
        return not self._token

    def close(self) -> None:
        """Copies the WAL into the file (if nobody else reads) and marks a clean shutdown. May be called twice."""
        with self._write_lock, self._read_lock:
            if self._closed:
                return
            self._closed = True
            # Where there is no room for the mark, the next start takes it for unclean, and checks it.
            with contextlib.suppress(Full), schema.guarded(self.path):
                try:
                    if not self.readonly:
                        self._con.execute("DELETE FROM opener WHERE token = ?", (self._token,))
                finally:
                    self._read_con.close()
                    self._con.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self.readonly:
            raise StateError(f"journal {self.path} was opened for reading only")
        with self._write_lock, schema.guarded(self.path):
            if self._closed:
                raise StateError(f"journal {self.path} is closed")
            yield self._con

    # --- putting in --------------------------------------------------------------------------------------------------

    def append(self, batches: Sequence[Batch]) -> list[Taken]:
        """Makes all batches durable in one transaction (one fsync), or none.

        Records whose key was seen lately, in this call too, are left out and counted. Raises Full when the new
        chunks would pass the size limit; an empty journal takes any one call.
        """
        with self._writing() as con:
            window = self._window or self._load_window(con)
            ready = [[(chunk, self._pack_early(chunk, window)) for chunk in b.chunks] for b in batches]
            with schema.transaction(con):
                self._refresh(con, window)
                work = Append(con, window, schema.now_us())
                taken = [work.batch(batch, chunks) for batch, chunks in zip(batches, ready, strict=True)]
                work.finish(self.size_limit, self._window_limit, self.path)
            if work.keys:
                window.add(split_keys(b"".join(work.keys)))
                self._window_upto = work.upto
            self._disk.shorten_wal(con)
            return taken

    def _pack_early(self, chunk: Chunk, window: Window) -> Packed | None:
        """Compresses before the transaction, so that other processes wait less; not what will be taken apart."""
        if chunk.keys and not chunk.once and window.fresh(split_keys(chunk.keys), set()) is not None:
            return None
        return pack(chunk)

    def _load_window(self, con: sqlite3.Connection) -> Window:
        window = Window(self._window_limit)
        self._window_upto = 0
        self._refresh(con, window)
        self._window = window
        return window

    def _refresh(self, con: sqlite3.Connection, window: Window) -> None:
        """Takes over the keys that other processes have remembered meanwhile."""
        for upto, keys in con.execute("SELECT upto, keys FROM seen WHERE upto > ? ORDER BY upto", (self._window_upto,)):
            window.add(split_keys(keys))
            self._window_upto = upto

    def count(self, source: str, what: str, n: int = 1) -> None:
        """Adds to a counter that survives restarts, e.g. what a drop policy dropped."""
        with self._writing() as con, schema.transaction(con):
            add_count(con, source, what, n)

    # --- taking out --------------------------------------------------------------------------------------------------

    def register(self, output: str, tables: AbstractSet[str] | None = None, *, from_now: bool = False) -> int:
        """Makes chunks stay until this output has delivered them; returns its cursor.

        Registering again keeps the cursor and changes the tables. A new output starts with the oldest chunk still
        held, or after the newest if `from_now`.
        """
        wanted = None if tables is None else json.dumps(sorted(tables))
        with self._writing() as con, schema.transaction(con):
            con.execute(
                "INSERT INTO output VALUES (?, CASE WHEN ? THEN (SELECT last_seq FROM state) ELSE 0 END, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET tables = excluded.tables",
                (output, from_now, wanted, schema.now_us()),
            )
            return int(con.execute("SELECT cursor FROM output WHERE name = ?", (output,)).fetchone()[0])

    def unregister(self, output: str) -> None:
        """Forgets an output; chunks no longer wait for it."""
        with self._writing() as con:
            con.execute("DELETE FROM output WHERE name = ?", (output,))
            self._delete_delivered(con)

    def advance(self, output: str, seq: int) -> None:
        """Notes that the output has delivered every chunk it wants up to `seq`; deletes what all have delivered.

        A cursor never goes back. StateError when the output is not registered.
        """
        with self._writing() as con:
            known = con.execute(
                "UPDATE output SET cursor = max(cursor, ?), updated_us = ? WHERE name = ?",
                (seq, schema.now_us(), output),
            ).rowcount
            if not known:
                raise StateError(f"output {output!r} is not registered with journal {self.path}")
            self._delete_delivered(con)

    def _delete_delivered(self, con: sqlite3.Connection) -> None:
        while True:
            with schema.transaction(con):
                steps = [self._delete_step(con, table, upto) for table, upto in _delivered(con).items()]
            if not any(steps):
                break
        self._disk.shorten_wal(con)
        self._disk.give_back(con)

    def _delete_step(self, con: sqlite3.Connection, table: str, upto: int) -> bool:
        rows = con.execute(
            "SELECT seq, size FROM chunk INDEXED BY chunk_by_table WHERE tbl = ? AND seq <= ? ORDER BY seq LIMIT ?",
            (table, upto, _DELETE_STEP),
        ).fetchall()
        if rows:
            con.execute("DELETE FROM chunk WHERE tbl = ? AND seq BETWEEN ? AND ?", (table, rows[0][0], rows[-1][0]))
            con.execute(
                "UPDATE state SET chunks = chunks - ?, bytes = bytes - ?", (len(rows), sum(size for _, size in rows))
            )
        return len(rows) == _DELETE_STEP

    # --- looking -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _viewing(self) -> Iterator[View]:
        with self._read_lock, schema.guarded(self.path):
            if self._closed:
                raise StateError(f"journal {self.path} is closed")
            view = View(self._read_con)
            with schema.transaction(self._read_con, "DEFERRED"):
                yield view
        self._quarantine(view.damaged)

    def frames(
        self, after: After, *, tables: AbstractSet[str] | None = None, max_bytes: int | None = None
    ) -> list[Frame]:
        """Undecoded chunks after a sequence (or one per table), in order of seq. See `View.frames`."""
        with self._viewing() as view:
            return view.frames(after, tables=tables, max_bytes=max_bytes)

    def deliveries(
        self, after: After, *, tables: AbstractSet[str] | None = None, max_bytes: int | None = 8 * 1024**2
    ) -> list[Delivery]:
        """As `frames`, decoded; up to about `max_bytes` of decompressed data, at least one chunk if there is any."""
        return deliveries_of(self.frames(after, tables=tables, max_bytes=max_bytes))

    def waiting(self, after: int) -> list[tuple[int, str, str, int, int]]:
        """What comes after a sequence, without its records. See `View.waiting`."""
        with self._viewing() as view:
            return view.waiting(after)

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[View]:
        """One moment of the journal, for as long as the context lasts: nothing appended or deleted later is seen.

        Keep it short: the WAL grows while it is open. The view belongs to the thread that entered it.
        """
        with schema.guarded(self.path):
            con = schema.connect(self.path, readonly=True)
            try:
                view = View(con)
                with schema.transaction(con, "DEFERRED"):
                    _ = view.last_seq  # the first read is what fixes the moment
                    yield view
            finally:
                con.close()
        self._quarantine(view.damaged)

    def cursor(self, output: str) -> int:
        """Every chunk the output wants up to this sequence was delivered. StateError when it is not registered."""
        with self._viewing() as view:
            cursor = view.cursor(output)
        if cursor is None:
            raise StateError(f"output {output!r} is not registered with journal {self.path}")
        return cursor

    def position(self, name: str) -> bytes | None:
        """The last durable position of that name."""
        with self._viewing() as view:
            return view.position(name)

    def positions(self) -> dict[str, bytes]:
        with self._viewing() as view:
            return view.positions()

    @property
    def last_seq(self) -> int:
        """The last sequence ever given; 0 at first. Cheap: outputs poll it for what other processes append."""
        with self._viewing() as view:
            return view.last_seq

    def stats(self) -> Stats:
        with self._viewing() as view:
            return view.stats()

    # --- housekeeping ------------------------------------------------------------------------------------------------

    def _quarantine(self, damaged: Sequence[int]) -> None:
        """Moves damaged chunks out of the way, so that the others go on. Readers leave it to the next writer."""
        if not damaged or self.readonly:
            return
        with self._writing() as con, schema.transaction(con):
            for seq in damaged:
                moved = con.execute(
                    "INSERT OR IGNORE INTO damaged"
                    " SELECT seq, tbl, records, ?, ?, header, frame FROM chunk WHERE seq = ?",
                    (schema.now_us(), "checksum of the chunk does not fit", seq),
                ).rowcount
                if moved:
                    con.execute(
                        "UPDATE state SET chunks = chunks - 1,"
                        " bytes = bytes - (SELECT size FROM chunk WHERE chunk.seq = ?)",
                        (seq,),
                    )
                    con.execute("DELETE FROM chunk WHERE seq = ?", (seq,))


def _delivered(con: sqlite3.Connection) -> Mapping[str, int]:
    """Up to which sequence each table's chunks were delivered by every output that wants them (invariant 4)."""
    outputs = [
        (cursor, None if tables is None else set(json.loads(tables)))
        for cursor, tables in con.execute("SELECT cursor, tables FROM output").fetchall()
    ]
    result = {}
    for (table,) in con.execute(schema.HELD_TABLES).fetchall():
        cursors = [cursor for cursor, wanted in outputs if wanted is None or table in wanted]
        if cursors:
            result[table] = min(cursors)
    return result
