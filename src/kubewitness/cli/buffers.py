"""Where records wait between inputs and outputs. It outlives a reload: that is why none is lost."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from kubewitness.cli.pipeline_parts import Parts, Service
from kubewitness.config.arguments import COMMAND_LINE
from kubewitness.config.state import StatePaths
from kubewitness.config.tree import Tree
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.journal import Journal
from kubewitness.pipeline.feeds import MEMORY_LIMIT, Feed, JournalFeed, MemoryQueue
from kubewitness.pipeline.filtering import HELD
from kubewitness.pipeline.ring import RingQueue

log = logging.getLogger("kubewitness.run")


@dataclass(frozen=True, slots=True)
class Place:
    """What a configuration says about it; a reload cannot change it."""

    memory: bool
    #: of the journal; None: positions are not kept either
    directory: Path | None
    limit: int
    #: bytes at which the oldest records in memory are dropped; 0: inputs wait there
    ring: int = 0

    def differs(self, other: Place) -> str:
        """What a reload would have to change; "" when it is nothing."""
        if (self.memory, self.ring) != (other.memory, other.ring):
            return "storage.type"
        if self.directory != other.directory:
            return "storage.path"
        return "storage.total_limit_size" if self.limit != other.limit else ""


def directory_of(tree: Tree, service: Service, paths: StatePaths) -> Path:
    """Where this pipeline keeps what it keeps."""
    directory = service.options.text("storage.path")
    if directory:
        return Path(directory)
    which = str(tree.path.absolute())
    if tree.path == COMMAND_LINE:  # what stands there is what tells one pipeline from another
        which += repr([(s.plugin, s.pairs) for s in (*tree.inputs, *tree.filters, *tree.outputs)])
    place = hashlib.blake2b(which.encode(), digest_size=4).hexdigest()
    return paths.root / "pipelines" / f"{tree.path.stem}-{place}"


def place_of(tree: Tree, service: Service, parts: Parts, paths: StatePaths) -> Place:
    """Raises UsageError when its directory cannot be made."""
    given = service.options.text("storage.path")
    limit = service.options.number("storage.total_limit_size")
    path = directory_of(tree, service, paths)
    if parts.memory and not given:
        # where an input has a `db`, positions are wanted across restarts: they are kept beside it
        files = [section.keys["db"] for section in tree.inputs if section.keys.get("db")]
        if not files:
            return Place(True, None, limit, parts.ring)
        path = Path(f"{files[0]}.kubewitness")
    elif not given:
        paths.create()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise UsageError(f"{service.where('storage.path')}: {path}: {e.strerror}") from e
    return Place(parts.memory, path, limit, parts.ring)


class Buffer(AbstractContextManager["Buffer"]):
    """The journal, or the memory queue. Made in the event loop that uses it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._journal = Journal(place.directory / "journal.db", size_limit=place.limit) if place.directory else None
        self._queue: MemoryQueue | None = None
        if place.ring:
            self._queue = RingQueue(limit=place.ring, positions=self._journal)
        elif place.memory or self._journal is None:
            self._queue = MemoryQueue(positions=self._journal)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._journal is not None:
            self._journal.close()

    def ends(self, linger: float) -> tuple[Sink, Feed, Callable[[], Awaitable[None]] | None]:
        """(where inputs put, where outputs take, what closes the former) until the next reload."""
        if self._queue is not None:
            self._queue.linger = linger
            return self._queue, self._queue, None
        from kubewitness.pipeline.committer import Committer

        assert self._journal is not None
        committer = Committer(self._journal)
        return committer, JournalFeed(self._journal, committer, linger=linger), committer.close

    def forget_others(self, outputs: Collection[str], held: Collection[str], where: Path) -> None:
        """Drops what outputs have not delivered that are gone from the configuration, and says so."""
        known = self._queue.outputs if self._queue is not None else set()
        if self._journal is not None and not self.place.memory:
            known = set(self._journal.stats().outputs)
        for name in sorted(known - set(outputs)):
            log.warning("output %s is no longer in %s; what it had not delivered is dropped", name, where)
            if self._queue is not None:
                self._queue.forget(name)
            elif self._journal is not None:
                self._journal.unregister(name)
        if self._journal is not None and not self.place.memory:
            for name in sorted({n for n in self._journal.positions() if n.startswith(HELD)} - set(held)):
                log.warning("filter %s is no longer in %s; what it held comes when it is there again",
                            name.removeprefix(HELD), where)  # fmt: skip

    def told(self) -> dict[str, int]:
        """Of records in memory: how many would be lost with this process, and what a ring has dropped; empty where
        records are in the journal."""
        if self._queue is None:
            return {}
        told = self._queue.health()
        return {
            name: told[name] for name in ("held_records", "held_bytes", "drop_records", "drop_bytes") if name in told
        }

    def lost(self, output: str, wants: Callable[[str, str], bool]) -> int:
        """Records in memory that this output has not delivered: at the end of the process they are gone."""
        waiting = self._queue.undelivered(output) if self._queue is not None else ()
        return sum(chunk.records for chunk in waiting if wants(chunk.table, chunk.tag))

    def health(self) -> dict[str, int]:
        """Chunks and bytes that wait, and how many bytes can."""
        if self._queue is not None:
            told = self._queue.health()
            return {"chunks": told["held"], "bytes": told["held_bytes"], "limit": self.place.ring or MEMORY_LIMIT}
        assert self._journal is not None
        held = self._journal.stats().held
        return {"chunks": held.chunks, "bytes": held.bytes, "limit": self.place.limit}
