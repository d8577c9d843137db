"""Summaries of a table: an aggregate of each large file, made once and kept, because files of a table never change.

Kept in the state's folder for what may be lost, as
`summaries/<digest of the SELECT>/<digest of the file's path>.parquet`.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from kubewitness.store.quoting import quoted

#: a DuckDB instance to make them with, apart from that of questions: its memory goes back to the system
Maker = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]
#: rows from which on a file is summarised; smaller ones are read each time
_LARGE = 5_000
#: rows of a row group, which is read or left out as a whole
_ROWS = 16_384
#: seconds after which a summary whose file is gone is removed: another reader may still stand on it
_GRACE = 3600.0


def name_of(select: str) -> str:
    """What stands for a SELECT in names."""
    return hashlib.blake2b(select.encode(), digest_size=8).hexdigest()


class Summaries:
    """Those of one state."""

    def __init__(self, folder: Path, large: int = _LARGE) -> None:
        self._folder = folder
        self.large = large

    def files(self, maker: Maker, select: str, sources: Mapping[str, str], *, make: bool = True) -> list[str] | None:
        """Paths of the summaries of some files, by their paths; `sources` are FROM items of each. What is missing is
        made, unless `make` is False: then it is None. None, too, when nothing can be kept."""
        folder = self._folder / name_of(select)
        wanted = {folder / f"{name_of(path)}.parquet": source for path, source in sources.items()}
        missing = {path: source for path, source in wanted.items() if not path.exists()}
        if missing and not make:
            return None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if missing:
                with maker() as con:
                    for path, source in missing.items():
                        _make(con, path, select.format(source=source))
            _tidy(folder, wanted)
        except OSError:
            return None
        return [str(path) for path in wanted]


def _make(con: duckdb.DuckDBPyConnection, path: Path, select: str) -> None:
    unfinished = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        con.execute(f"COPY ({select}) TO {quoted(str(unfinished))} (FORMAT parquet, ROW_GROUP_SIZE {_ROWS})")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _tidy(folder: Path, wanted: Mapping[Path, str]) -> None:
    old = time.time() - _GRACE
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path not in wanted and path.stat().st_mtime < old:
                path.unlink()
