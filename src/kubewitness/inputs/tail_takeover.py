"""Where Fluent Bit stopped: what its tail's `db` says of each file, as positions to go on from.

SQLite, table in_tail_files (name, offset, inode, rotated, ...), as its documentation shows it (pipeline/inputs/tail): a
file is known by its inode, the offset is that of the next byte. It is read once, at the very first start, and never
written; what it says of a file that is gone, or was cut since, is left out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kubewitness.inputs.rotated_file import Position, Saved, fingerprint, head_of, opened_if_there


class TakeOver:
    """`offsets`: inode -> offset. `last_ns`: when that was noted; what was written to a file later is new."""

    def __init__(self, offsets: dict[int, int], last_ns: int) -> None:
        self._offsets = offsets
        self._last_ns = last_ns

    def position(self, target: str) -> bytes | None:
        """Of a file and what it was rotated to; None when neither is known."""
        found = []
        for path in _with_rotated(Path(target)):
            with opened_if_there(path) as handle:
                if handle is None:
                    continue
                stat = os.fstat(handle)
                offset = self._offsets.get(stat.st_ino, -1)
                if 0 <= offset <= stat.st_size:
                    head = head_of(handle, path)
                    start = fingerprint(head, min(len(head), offset))
                    found.append((stat.st_mtime_ns, Saved(stat.st_ino, *start, offset, stat.st_mtime_ns)))
        if not found:
            return None
        files = [saved for _, saved in sorted(found, key=lambda entry: entry[0])]
        return msgspec.json.encode(Position(files, [], self._last_ns))


def taken_over(db: Path) -> TakeOver | None:
    """None when there is no such file, or when it is something else."""
    try:
        last_ns = max(p.stat().st_mtime_ns for p in (db, Path(f"{db}-wal")) if p.exists())
    except (OSError, ValueError):
        return None
    for mode in ("mode=ro", "immutable=1"):  # the latter where nobody may write beside it
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_opened(db, mode)) as con:
            rows = con.execute("SELECT inode, offset FROM in_tail_files").fetchall()
            return TakeOver({int(inode): int(offset) for inode, offset in rows}, last_ns)
    return None


def _opened(db: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{db.absolute().as_uri()}?{mode}", uri=True)


def _with_rotated(path: Path) -> Iterator[Path]:
    """The file, and names that it may have been rotated to (not compressed: offsets there are others)."""
    yield path
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            rotated = other.name.startswith((f"{path.name}.", f"{path.name}-", f"{path.stem}-"))
            if rotated and other.suffix != ".gz":
                yield other
