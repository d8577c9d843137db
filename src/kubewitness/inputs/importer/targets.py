"""Where an import puts its chunks: straight into the store, or through the journal of whoever records there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.errors import Full, StateError
from kubewitness.journal import Journal
from kubewitness.record import Chunk
from kubewitness.store import StoreWriter
from kubewitness.store.lock import lock_holder

#: chunks given to the journal in one transaction (bytes)
_APPEND = 4 * 1024 * 1024
#: batches after which small files are merged, so that a long import leaves few of them
_COMPACT_EVERY = 64
#: seconds between looks at a journal that others drain
_LOOK = 0.25

Say = Callable[[str], None]


class Stored(NamedTuple):
    """Records that are new in the store, those that were there already, those that only the store found bad."""

    stored: int
    duplicates: int
    rejected: int = 0


class Target(Protocol):
    #: whether it makes rows of the chunks itself, in this process
    stores: bool

    def put(self, chunks: Iterable[Chunk]) -> Stored:
        """Makes the chunks durable."""
        ...

    def finish(self) -> None:
        """Returns when everything put can be queried from the tables."""
        ...


@contextmanager
def open_target(paths: StatePaths, say: Say) -> Iterator[Target]:
    """The store itself where nobody else writes it, else the journal of the one who does."""
    paths.create()
    try:
        writer = StoreWriter.acquire(paths)
    except StateError:
        if lock_holder(paths.store_lock) is None:
            raise  # not because somebody else writes
        with Journal(paths.journal) as journal:
            say("another process records into this state; handing over to it through the journal")
            yield _ThroughJournal(paths, journal, say)
        return
    with writer:
        yield _Direct(writer)


class _Direct:
    stores = True

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self._puts = 0

    def put(self, chunks: Iterable[Chunk]) -> Stored:
        result = self._writer.commit(chunks)
        self._puts += 1
        if self._puts % _COMPACT_EVERY == 0:
            self._writer.compact()
        return Stored(result.stored, result.duplicates, result.rejected)

    def finish(self) -> None:
        """A commit is complete when `put` returns."""


class _ThroughJournal:
    stores = False

    def __init__(self, paths: StatePaths, journal: Journal, say: Say) -> None:
        self._paths = paths
        self._journal = journal
        self._say = say
        self._last = 0

    def put(self, chunks: Iterable[Chunk]) -> Stored:
        stored = duplicates = 0
        for part in _parts(chunks):
            taken = self._append(part)
            stored += taken.stored
            duplicates += taken.duplicates
        return Stored(stored, duplicates)

    def _append(self, part: list[Chunk]) -> Stored:
        told = False
        while True:
            try:
                taken = self._journal.append([Batch(part)])[0]
            except Full:
                if not told:
                    self._say("the journal is full; waiting for the recorder to bring it into the store")
                    told = True
                if not self._drain_if_alone():
                    time.sleep(_LOOK)
                continue
            self._last = self._journal.last_seq
            return Stored(taken.stored, taken.duplicates)

    def finish(self) -> None:
        told = False
        while self._waiting():
            if not told:
                self._say("everything is in the journal and can be queried; waiting until it is in the tables")
                told = True
            if not self._drain_if_alone():
                time.sleep(_LOOK)

    def _waiting(self) -> bool:
        oldest = self._journal.frames(0, max_bytes=1)
        return bool(oldest) and oldest[0].seq <= self._last

    def _drain_if_alone(self) -> bool:
        """Brings the journal into the store when its recorder has gone away."""
        try:
            writer = StoreWriter.acquire(self._paths)
        except StateError:
            return False
        with writer:
            writer.drain(self._journal)
        return True


def _parts(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    part: list[Chunk] = []
    size = 0
    for chunk in chunks:
        part.append(chunk)
        size += len(chunk.data)
        if size >= _APPEND:
            yield part
            part, size = [], 0
    if part:
        yield part
