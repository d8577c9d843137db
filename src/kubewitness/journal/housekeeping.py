"""Keeps the journal's files short. Nothing here fails its caller, whose work is durable already."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from kubewitness.journal import schema

#: WAL sizes (bytes) at which it is copied into the file, and at which readers are waited for to start it afresh.
_WAL_COPY = 4 * 1024**2
_WAL_RESTART = 32 * 1024**2
#: How long (milliseconds) to wait for readers then,
_WAL_WAIT_MS = 250
#: and not again for so many seconds, if one reader stays for long.
_WAL_PATIENCE = 5.0
#: Free pages in the file beyond this (bytes) are given back to the disk; fewer will be used again soon.
_KEEP_FREE = 8 * 1024**2
#: Pages given back at a time, so that nobody waits long.
_GIVE_BACK_PAGES = 1024


class Housekeeping:
    """For one writing connection, outside of its transactions."""

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._not_before = 0.0

    def shorten_wal(self, con: sqlite3.Connection) -> None:
        """Copies a long WAL into the database file, so that it starts afresh."""
        try:
            size = self._wal.stat().st_size
        except OSError:
            return
        if size < _WAL_COPY:
            return
        with contextlib.suppress(sqlite3.OperationalError):
            # PASSIVE waits for nobody, and the WAL then starts afresh by itself once no reader is in it. If some
            # reader always is, TRUNCATE waits for those there are (those that come meanwhile wait for nothing).
            if size < _WAL_RESTART or time.monotonic() < self._not_before:
                con.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                return
            self._not_before = time.monotonic() + _WAL_PATIENCE
            con.execute(f"PRAGMA busy_timeout={_WAL_WAIT_MS}")
            try:
                con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                con.execute(f"PRAGMA busy_timeout={int(schema.BUSY_SECONDS * 1000)}")

    def give_back(self, con: sqlite3.Connection) -> None:
        """Shortens the file by a piece of what is free in it, when that is much and more than what is held."""
        free = con.execute("PRAGMA freelist_count").fetchone()[0]
        held = con.execute("SELECT bytes FROM state").fetchone()[0]
        if free * schema.PAGE_SIZE > max(_KEEP_FREE, held):
            with contextlib.suppress(sqlite3.OperationalError):
                # Each step of this statement frees one page, and sqlite3's execute() takes but one step of a
                # statement without columns; executescript() takes them all.
                con.executescript(f"PRAGMA incremental_vacuum({_GIVE_BACK_PAGES})")
