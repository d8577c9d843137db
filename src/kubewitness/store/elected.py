"""The keeper of a store that several recorders share: it writes only in its own term, and begins each with order.

At the beginning of a term, before any input starts:
 1. The store is opened in that term. From then on no leader before can commit to it (`fence.py`).
 2. The journal takes over the positions of the store, where others have led since it was written to; they are of the
    last durable records. Its own are newer only if nobody led in between.
 3. What the journal still holds of earlier terms goes into the tables; what others stored meanwhile is recognised.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.errors import Fenced
from kubewitness.journal import Journal
from kubewitness.store.keeper import KeeperOptions, StoreKeeper, days_of
from kubewitness.store.writer import StoreWriter

_log = logging.getLogger("kubewitness.store")

#: position in the journal: the last term in which it was written to
_TERM = "kubewitness/term"
#: seconds between two looks whether this process leads
_LOOK = 0.05
#: seconds after which one that cannot open the store leaves the leadership to another, which perhaps can
_PATIENCE = 60.0
#: seconds that the thread has for its last drain at the end of the process
_LAST_DRAIN = 60.0


class Turn(Protocol):
    """When to write (`pipeline.terms.Terms`)."""

    @property
    def led(self) -> int | None: ...

    def holds(self, term: int) -> bool: ...

    def begin(self, term: int) -> None: ...

    def give_up(self, term: int, *, outdone_by: int | None = None) -> None: ...

    def enter(self, name: str) -> None: ...

    def leave(self, name: str) -> None: ...


class ElectedKeeper(StoreKeeper):
    """As `StoreKeeper`, in its turns only. At the end of the process it drains if it leads, else it leaves the
    journal as it is."""

    _NAME = "store"

    def __init__(self, paths: StatePaths, journal: Journal, turn: Turn, options: KeeperOptions | None = None) -> None:
        super().__init__(paths, journal, options)
        self._turn = turn
        self._term: int | None = None
        self._state = "standby"

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_LAST_DRAIN)
            if self._thread.is_alive():
                _log.warning("the store did not answer in time; what was recorded is safe in the journal")

    def _run(self) -> None:
        while not self._stop.is_set():
            term = self._turn.led
            if term is None:
                self._stop.wait(_LOOK)
                continue
            self._turn.enter(self._NAME)
            try:
                self._serve(term)
            finally:
                self._turn.leave(self._NAME)

    def _serve(self, term: int) -> None:
        """One term, from its beginning to its end: errors are retried within it, a later leader ends it."""
        taken = time.monotonic()
        while self._turn.holds(term):
            try:
                retention = days_of(self._options.max_age)
                with StoreWriter.acquire(self._paths, retention=retention, term=term) as writer:
                    for line in writer.repairs:
                        _log.warning("%s", line)
                    self._begin(writer, term)
                    self._keep(writer)
            except Fenced as e:
                _log.warning("store: %s", e)
                self._turn.give_up(term, outdone_by=e.term)
            except Exception as e:
                self._fail(e)
                if self._term is None and time.monotonic() - taken > _PATIENCE:
                    _log.warning("store: it could not be opened for %.0f s; another replica shall try", _PATIENCE)
                    self._turn.give_up(term)
                self._stop.wait(self._options.retry_seconds)
            if self._stop.is_set():
                break
        self._term = None
        self._state = "standby"

    def _begin(self, writer: StoreWriter, term: int) -> None:
        self._state = "beginning"
        written = self._journal.position(_TERM)
        ours_are_newest = written is not None and term - int(written) in (0, 1)
        shared = {} if ours_are_newest else writer.shared_positions()
        self._journal.append([Batch((), {**shared, _TERM: b"%d" % term})])
        self._drain(writer)
        self._term = term
        self._turn.begin(term)

    def _may_go_on(self) -> bool:
        return self._term is not None and self._turn.holds(self._term)
