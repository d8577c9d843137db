"""The journal's file: format, invariants, opening, checking.

One SQLite database in WAL mode, owner-readable only (0600), `application_id` 0x6b776974 ("kwit"),
`user_version` = `SCHEMA`. Tables:

    state     one row: last_seq (last sequence ever given), chunks and bytes now held, keys_upto (keys ever remembered)
    chunk     seq, tbl, records, bytes (of the data), size (header + frame as held), received_us, sum, header, frame
    damaged   chunks whose checksum no longer fits, moved out of the way, kept for a person to look at
    position  name -> opaque bytes of the input that owns it
    output    name -> cursor (every chunk with seq <= cursor was delivered), tables it wants (JSON list; NULL: all)
    counter   (source, what) -> n; what is stored, duplicates, drops, ... (records)
    seen      upto, keys: the recent record keys; a row's last key is number `upto` of all keys ever remembered
    opener    who has the file open for writing; a row of a dead process means it did not close cleanly
    meta      name -> value: `id` is the journal's UUID, `size_limit` what the last writer was told (bytes)

Invariants
 1. Sequences grow by one with every chunk ever stored, and are never given again, also not after all chunks are gone.
 2. The chunks, positions, keys and counters of one `append` are in one transaction: all of them, or none.
 3. `sum` is CRC-32 of header, then frame. `frame` is one zstd frame with its content size: the chunk's `data`.
    `header` is `Chunk.header()`.
 4. A chunk goes away only in a transaction that sees a cursor of *every* registered output that wants its table at or
    past its seq, and at least one such output.
 5. `seen` holds between 3/4 and all of the newest `window` keys, whether or not their chunks are still there.
 6. `state.chunks` and `state.bytes` are the count and the sum of `size` over `chunk`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from kubewitness.errors import Full, KubewitnessError, StateError

#: Version of the format above. A file with a greater one is refused.
SCHEMA = 1
APPLICATION_ID = 0x6B776974

#: Larger than SQLite's 4096: a chunk's frame (some 40 KB) then takes fewer overflow pages.
PAGE_SIZE = 8192

#: How long (seconds) to wait for another process's write transaction.
BUSY_SECONDS = 30.0
#: How long (seconds) a reader waits for the tables of a journal that another process is making.
MADE_SECONDS = 5.0

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE state (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  last_seq INTEGER NOT NULL, chunks INTEGER NOT NULL, bytes INTEGER NOT NULL, keys_upto INTEGER NOT NULL);
CREATE TABLE chunk (
  seq INTEGER PRIMARY KEY, tbl TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
  size INTEGER NOT NULL, received_us INTEGER NOT NULL, sum INTEGER NOT NULL, header BLOB NOT NULL, frame BLOB NOT NULL);
CREATE INDEX chunk_by_table ON chunk (tbl, seq, records, bytes, size, received_us);
CREATE TABLE damaged (
  seq INTEGER PRIMARY KEY, tbl TEXT NOT NULL, records INTEGER NOT NULL, found_us INTEGER NOT NULL,
  reason TEXT NOT NULL, header BLOB, frame BLOB);
CREATE TABLE position (name TEXT PRIMARY KEY, value BLOB NOT NULL, updated_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE output (name TEXT PRIMARY KEY, cursor INTEGER NOT NULL, tables TEXT, updated_us INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE TABLE counter (source TEXT NOT NULL, what TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (source, what))
  WITHOUT ROWID;
CREATE TABLE seen (upto INTEGER PRIMARY KEY, keys BLOB NOT NULL);
CREATE TABLE opener (token TEXT PRIMARY KEY, pid INTEGER NOT NULL, born TEXT NOT NULL) WITHOUT ROWID;
"""

#: The distinct tables in `chunk`, by a few steps in the index instead of a walk over all of it.
HELD_TABLES = """
WITH RECURSIVE held (tbl) AS (
  SELECT min(tbl) FROM chunk
  UNION ALL SELECT (SELECT min(tbl) FROM chunk WHERE tbl > held.tbl) FROM held WHERE held.tbl IS NOT NULL)
SELECT tbl FROM held WHERE tbl IS NOT NULL
"""

# What a full disk, quota or file-size limit looks like; all of them end when somebody makes room.
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def translate(path: Path, e: sqlite3.Error) -> KubewitnessError:
    """The error of ours that says what to do about one of SQLite's."""
    code = getattr(e, "sqlite_errorcode", None) or 0
    if code in _NO_ROOM or code & 0xFF == sqlite3.SQLITE_FULL:
        return Full(f"journal {path}: no room on the disk ({e}); free some space, capture then goes on by itself")
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StateError(
            f"journal {path} is damaged ({e}); move it out of the way to go on with an empty one "
            "(what it held and was not yet delivered stays in the moved file)"
        )
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateError(
            f"journal {path} is held by another process for more than {BUSY_SECONDS:.0f} s; stop that one"
        )
    if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StateError(f"journal {path} cannot be opened ({e}); check the owner and permissions of its directory")
    return StateError(f"journal {path}: {e}; check the disk")


@contextlib.contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as e:
        raise translate(path, e) from e


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection without implicit transactions. Callers see to it that one thread uses it at a time."""
    # A reader opens read-write too (and forbids itself writing): SQLite must be able to make the -shm file that
    # belongs to WAL mode. On a medium that cannot be written, "ro" works as long as nothing is in the WAL.
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    mode = "rw" if writable else "ro"
    if not writable and not readonly:
        raise StateError(f"journal {path} cannot be written; check the owner and permissions of it and its directory")
    wal = path.with_name(path.name + "-wal")
    still = "&immutable=1" if not writable and not wal.exists() else ""
    con = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}{still}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    con.execute("PRAGMA cache_size=-2048")
    if readonly:
        con.execute("PRAGMA query_only=1")
    return con


@contextlib.contextmanager
def transaction(con: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """BEGIN ... COMMIT, or ROLLBACK when anything is raised (a failed COMMIT included)."""
    con.execute(f"BEGIN {kind}")
    try:
        yield
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise


def create_file(path: Path) -> None:
    """An empty file with mode 0600 if there is none; SQLite gives -wal and -shm the same mode.

    An existing file is not opened: closing any other descriptor of it would drop SQLite's locks in this process.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as e:
        raise StateError(f"journal {path}: {e.strerror}; choose another place with --state") from e
    fd = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def prepare(con: sqlite3.Connection, path: Path, *, fsync: bool) -> None:
    """Sets the connection up for writing; makes the tables in an empty file. Safe in several processes at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            _prepare(con, path)
            break
        except sqlite3.OperationalError as e:
            # The change to WAL mode does not wait for others by itself.
            busy = (e.sqlite_errorcode or 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    con.execute(f"PRAGMA synchronous={'FULL' if fsync else 'OFF'}")
    # Checkpoints are ours (see housekeeping.py): SQLite's own never wait for readers, so with readers always
    # coming and going the WAL could grow for ever. The limit of 0 makes its file as short as its content.
    con.execute("PRAGMA wal_autocheckpoint=0")
    con.execute("PRAGMA journal_size_limit=0")


def _prepare(con: sqlite3.Connection, path: Path) -> None:
    if con.execute("PRAGMA user_version").fetchone()[0] == 0 and _is_empty(con):
        con.execute(f"PRAGMA page_size={PAGE_SIZE}")
        con.execute("PRAGMA auto_vacuum=INCREMENTAL")
        con.execute("PRAGMA journal_mode=WAL")
        with transaction(con, "EXCLUSIVE"):
            if _is_empty(con):
                _create_tables(con)
    check_version(con, path)
    con.execute("PRAGMA journal_mode=WAL")


def _is_empty(con: sqlite3.Connection) -> bool:
    return bool(con.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)


def _create_tables(con: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            con.execute(statement)
    con.execute("INSERT INTO meta VALUES ('id', ?)", (uuid.uuid4().hex,))
    con.execute("INSERT INTO state VALUES (1, 0, 0, 0, 0)")
    con.execute(f"PRAGMA application_id={APPLICATION_ID}")
    con.execute(f"PRAGMA user_version={SCHEMA}")


def await_tables(con: sqlite3.Connection, path: Path) -> None:
    """For readers: a journal that another process is just making is empty until its tables are there, all at once.
    StateError when it stays empty."""
    deadline = time.monotonic() + MADE_SECONDS
    while _is_empty(con):
        if time.monotonic() > deadline:
            raise StateError(f"{path} is empty; record or import something first, or name another --state")
        time.sleep(0.02)


def check_version(con: sqlite3.Connection, path: Path) -> None:
    """Raises StateError for a file that is not ours, or of a later version."""
    version = con.execute("PRAGMA user_version").fetchone()[0]
    application = con.execute("PRAGMA application_id").fetchone()[0]
    if application != APPLICATION_ID:
        raise StateError(f"{path} is not a kubewitness journal; move it away or choose another --state")
    if version > SCHEMA:
        raise StateError(
            f"journal {path} was written by a newer kubewitness (format {version}, this one reads up to {SCHEMA}); "
            "upgrade kubewitness, or choose another --state"
        )


# --- who has it open -------------------------------------------------------------------------------------------------


def _born(pid: int) -> str:
    """When the process was started (clock ticks since boot); "" where the system does not tell, or it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(pid: int, born: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _born(pid) == born


def sign_in(con: sqlite3.Connection, path: Path, token: str) -> bool:
    """Notes that this process has the journal open. Returns whether some earlier one died without closing it.

    Then the whole file is checked first, and StateError raised if it is not sound.
    """
    openers = con.execute("SELECT token, pid, born FROM opener").fetchall()
    dead = [t for t, pid, born in openers if not _alive(pid, born)]
    if dead:
        verdict = con.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StateError(
                f"journal {path} is damaged ({verdict}); move it out of the way to go on with an empty one "
                "(what it held and was not yet delivered stays in the moved file)"
            )
    with transaction(con):
        con.executemany("DELETE FROM opener WHERE token = ?", [(t,) for t in dead])
        con.execute("INSERT INTO opener VALUES (?, ?, ?)", (token, os.getpid(), _born(os.getpid())))
    return bool(dead)
