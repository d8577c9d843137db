"""The thread that keeps the store: holds its lock, drains the journal, compacts in between, applies retention."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from kubewitness.config.state import StatePaths
from kubewitness.errors import KubewitnessError, StateError
from kubewitness.journal import Journal
from kubewitness.record import TABLES
from kubewitness.store.lock import lock_holder
from kubewitness.store.writer import StoreWriter

log = logging.getLogger("kubewitness.store")


@dataclass(frozen=True)
class KeeperOptions:
    """When to commit (seconds since the last commit, or bytes waiting in the journal, as records; a journal that is
    half full is written at once), how long to keep (seconds, bytes; None: for ever), how often to compact, to prune,
    and to try for a lock that another has."""

    flush_seconds: float = 30.0
    flush_bytes: int = 64 * 1024**2
    max_age: float | None = None
    max_bytes: int | None = None
    compact_seconds: float = 120.0
    prune_seconds: float = 3600.0
    retry_seconds: float = 3.0
    look_seconds: float = 1.0


class StoreKeeper:
    """Runs until stopped. Where another process has the lock, that one drains the journal, and this only waits for
    its turn: whoever appends to the journal is a producer like any other. Beside leaders it is a guest of theirs: one
    of the next fences it, and it opens the store anew."""

    def __init__(self, paths: StatePaths, journal: Journal, options: KeeperOptions | None = None) -> None:
        self._paths = paths
        self._journal = journal
        self._options = options or KeeperOptions()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = "starting"
        self._counts = {"commits": 0, "stored": 0, "duplicates": 0, "rejected": 0, "errors": 0}
        self._last_commit_us = 0
        self._last_error = ""

    def start(self) -> None:
        # Registered before any input begins, so that nothing is forgotten before it is in the tables.
        for table in TABLES:
            self._journal.register(f"store/{table}", {table})
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Drains once more, gives the lock back, and returns when that is done."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def flush(self) -> None:
        """Asks for a commit soon."""
        self._wake.set()

    def health(self) -> Mapping[str, object]:
        return {
            "state": self._state,
            **self._counts,
            "last_commit_us": self._last_commit_us,
            "last_error": self._last_error,
        }

    def _run(self) -> None:
        told = False
        while True:
            try:
                with StoreWriter.acquire(self._paths, retention=days_of(self._options.max_age)) as writer:
                    for line in writer.repairs:
                        log.warning("%s", line)
                    if told:
                        log.info("this process keeps the store of %s now", self._paths.root)
                    self._keep(writer)
                return
            except Exception as e:
                if isinstance(e, StateError) and self._state != "keeping" and lock_holder(self._paths.store_lock):
                    if not told:
                        log.warning("%s; records go to its journal, and it brings them into the store", e)
                        told = True
                    self._state, self._last_error = "producer", ""
                else:
                    self._fail(e)
            if self._stop.wait(self._options.retry_seconds):
                return

    def _keep(self, writer: StoreWriter) -> None:
        """One error ends it: the writer is opened anew, and everything goes on from the tables' own cursors."""
        o = self._options
        self._state, self._last_error = "keeping", ""
        drained = time.monotonic()
        compacted = time.monotonic()
        pruned = compacted - o.prune_seconds  # at once: one that is restarted every hour must prune too
        while self._may_go_on():
            stopping = self._stop.is_set()
            now = time.monotonic()
            if stopping or self._wake.is_set() or now - drained >= o.flush_seconds or self._much_waits():
                self._wake.clear()
                self._drain(writer)
                drained = time.monotonic()
            if stopping:
                return
            if now - compacted >= o.compact_seconds:
                writer.compact()
                writer.vacuum()
                compacted = time.monotonic()
            if now - pruned >= o.prune_seconds and (o.max_age is not None or o.max_bytes is not None):
                result = writer.prune(max_age=o.max_age, max_bytes=o.max_bytes)
                if result.days:
                    log.info("retention: dropped %d days of tables, %d records", result.days, result.records)
                pruned = time.monotonic()
            self._wake.wait(o.look_seconds)

    def _may_go_on(self) -> bool:
        return True

    def _much_waits(self) -> bool:
        """Whether a commit's worth of records is in the journal and not in the tables, or the journal fills up."""
        stats = self._journal.stats()
        pending = [stats.outputs[name].pending for t in TABLES if (name := f"store/{t}") in stats.outputs]
        filled = 2 * sum(p.size for p in pending) >= self._journal.size_limit
        return filled or sum(p.bytes for p in pending) >= self._options.flush_bytes

    def _drain(self, writer: StoreWriter) -> None:
        result = writer.drain(self._journal)
        if result.commits:
            self._counts["commits"] += result.commits
            self._counts["stored"] += result.stored
            self._counts["duplicates"] += result.duplicates
            self._counts["rejected"] += result.rejected
            self._last_commit_us = time.time_ns() // 1000

    def _fail(self, e: Exception) -> None:
        self._counts["errors"] += 1
        self._state = "failing"
        text = str(e) if isinstance(e, KubewitnessError) else f"{type(e).__name__}: {e}"
        if text != self._last_error:  # one line per incident, not per try
            log.warning("store: %s; what was recorded is safe in the journal, trying again", text)
            log.debug("store", exc_info=True)
        self._last_error = text


def days_of(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 86_400
