"""Where delivery loops get chunks from: the journal, or memory (`storage.type: memory`).

Both hand out chunks in order of seq, to each output on its own, again and again until the output is `done` with them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from kubewitness.contracts import Batch, Delivery, Taken
from kubewitness.errors import Full
from kubewitness.journal import Journal
from kubewitness.pipeline.backlog import Waiting
from kubewitness.pipeline.committer import Committer

#: Bytes of data given to an output at once.
TAKE_BYTES = 8 * 1024**2
#: Bytes that a memory queue holds before inputs wait. Fluent Bit's `mem_buf_limit` is off by default; ours is not.
MEMORY_LIMIT = 8 * 1024**2


class Feed(Protocol):
    """What a delivery loop needs."""

    async def open(self, output: str, tables: AbstractSet[str] | None = None) -> int:
        """Chunks are kept for this output from now on; returns its cursor."""
        ...

    async def take(self, output: str) -> Sequence[Delivery]:
        """The next chunks; waits for some. Empty only after `finish`, when there are no more."""
        ...

    async def done(self, output: str, seq: int) -> None:
        """The output has delivered everything up to seq, or does not want it any more; what follows is taken next.
        Raises Full when there is no room on the disk to note it; it may be called again."""
        ...

    def waiting(self, after: int) -> Sequence[Waiting]:
        """What it holds after a seq, in order. Blocks."""
        ...

    def finish(self) -> None:
        """Nothing more will be put in: `take` does not wait any longer."""
        ...


class _Waiters:
    """One event per output, all set when something arrives."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        self.finishing = False

    def event(self, output: str) -> asyncio.Event:
        return self._events.setdefault(output, asyncio.Event())

    def wake(self) -> None:
        for event in self._events.values():
            event.set()

    async def linger(self, output: str, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Waits until there is enough, nothing more will come, or the time is over."""
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        event = self.event(output)
        while not self.finishing and not enough() and (left := until - clock()) > 0:
            event.clear()
            await _wait(event, left)

    def finish(self) -> None:
        self.finishing = True
        self.wake()


class JournalFeed:
    """Chunks from the journal, with durable cursors.

    `poll`: seconds until what other processes appended is noticed. `linger`: seconds that an idle output lets records
    gather after the first one came.
    """

    def __init__(
        self, journal: Journal, committer: Committer | None = None, *, poll: float = 1.0, linger: float = 0.0
    ) -> None:
        self._linger = linger
        self._journal = journal
        self._committer = committer
        self._poll = poll
        self._after: dict[str, int] = {}
        self._tables: dict[str, AbstractSet[str] | None] = {}
        self._waiters = _Waiters()
        if committer is not None:
            loop = asyncio.get_running_loop()
            committer.subscribe(lambda: _call(loop, self._waiters))

    async def open(self, output: str, tables: AbstractSet[str] | None = None) -> int:
        cursor = await asyncio.to_thread(self._journal.register, output, tables)
        self._after[output] = cursor
        self._tables[output] = tables
        self._waiters.event(output)
        return cursor

    async def take(self, output: str) -> Sequence[Delivery]:
        event = self._waiters.event(output)
        while True:
            event.clear()
            finishing = self._waiters.finishing
            found = await asyncio.to_thread(self._next, output)
            if found:
                self._after[output] = found[-1].seq
                return found
            if finishing:
                return []
            if not self._waiters.finishing and await _wait(event, self._poll):
                await self._waiters.linger(output, self._linger)

    def _next(self, output: str) -> list[Delivery]:
        return self._journal.deliveries(self._after[output], tables=self._tables[output], max_bytes=TAKE_BYTES)

    async def done(self, output: str, seq: int) -> None:
        self._after[output] = max(self._after[output], seq)
        await asyncio.to_thread(self._journal.advance, output, seq)
        if self._committer is not None:
            self._committer.room()

    def waiting(self, after: int) -> Sequence[Waiting]:
        return [Waiting(*row) for row in self._journal.waiting(after)]

    def finish(self) -> None:
        self._waiters.finish()


def _call(loop: asyncio.AbstractEventLoop, waiters: _Waiters) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(waiters.wake)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


@dataclass(slots=True)
class _Cursor:
    taken: int = 0
    done: int = 0


class MemoryQueue:
    """A `contracts.Sink` and a `Feed` in one, without a disk: what it holds is lost when the process dies.

    A batch counts as taken as soon as it is in the queue. Positions are kept for the life of the process only; with
    a `positions` journal, they are written there once every output has delivered what came before them, so that a
    restart loses nothing that has a position (it may deliver some of it twice). One event loop only.
    """

    def __init__(self, *, limit: int = MEMORY_LIMIT, positions: Journal | None = None, linger: float = 0.0) -> None:
        self._limit = limit
        self.linger = linger
        self._durable = positions
        self._held: deque[Delivery] = deque()
        self._bytes = 0
        self._seq = 0
        self._cursors: dict[str, _Cursor] = {}
        self._positions: dict[str, bytes] = {}
        self._due: deque[tuple[int, dict[str, bytes]]] = deque()
        self._room = asyncio.Event()
        self._waiters = _Waiters()
        self._stored = 0
        self._refused = 0

    # --- Sink --------------------------------------------------------------------------------------------------------

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        size = sum(len(c.data) for c in batch.chunks)
        while self._held and self._bytes + size > self._limit:
            if not wait:
                self._refused += 1
                raise Full(f"the memory buffer is full ({self._bytes / 1e6:.1f} MB); outputs are behind")
            self._room.clear()
            await self._room.wait()
        return self._add(batch, size)

    def _add(self, batch: Batch, size: int) -> Taken:
        records = 0
        for chunk in batch.chunks:
            if len(chunk):
                self._seq += 1
                self._held.append(Delivery(self._seq, chunk))
                records += len(chunk)
        self._bytes += size
        self._stored += records
        self._positions.update(batch.positions)
        if batch.positions:
            self._due.append((self._seq, dict(batch.positions)))
        self._waiters.wake()
        return Taken(records, 0)

    async def position(self, name: str) -> bytes | None:
        if name in self._positions or self._durable is None:
            return self._positions.get(name) or None
        return await asyncio.to_thread(self._durable.position, name)

    # --- Feed --------------------------------------------------------------------------------------------------------

    async def open(self, output: str, tables: AbstractSet[str] | None = None) -> int:
        cursor = self._cursors.setdefault(output, _Cursor())
        cursor.taken = cursor.done  # another loop may have taken more, and left
        self._waiters.event(output)
        return cursor.done

    @property
    def outputs(self) -> set[str]:
        """Those that what is held is kept for."""
        return set(self._cursors)

    def forget(self, output: str) -> None:
        """What is held no longer waits for it."""
        del self._cursors[output]
        self._let_go()

    async def take(self, output: str) -> Sequence[Delivery]:
        cursor = self._cursors[output]
        event = self._waiters.event(output)
        while True:
            # A busy output lets them gather too: a few large deliveries cost less than many small ones.
            await self._waiters.linger(output, self.linger, lambda: self._bytes >= self._limit // 2)
            event.clear()
            # Seqs are without gaps, so the place of the next one follows from the first held.
            skip = max(0, cursor.taken + 1 - self._held[0].seq) if self._held else 0
            found = [self._held[i] for i in range(skip, len(self._held))]
            if found:
                cursor.taken = found[-1].seq
                return found
            if self._waiters.finishing:
                return []
            await event.wait()

    async def done(self, output: str, seq: int) -> None:
        cursor = self._cursors[output]
        cursor.done = max(cursor.done, seq)
        cursor.taken = max(cursor.taken, seq)
        everyone = self._let_go()
        due: dict[str, bytes] = {}
        while self._due and self._due[0][0] <= everyone:
            due.update(self._due.popleft()[1])
        if due and self._durable is not None:
            try:
                await asyncio.to_thread(self._durable.append, [Batch([], due)])
            except Full:
                self._due.appendleft((everyone, due))
                raise

    def _let_go(self) -> int:
        """Drops what every output has; returns the seq up to which that is so."""
        everyone = min((c.done for c in self._cursors.values()), default=self._seq)
        while self._held and self._held[0].seq <= everyone:
            self._bytes -= len(self._held.popleft().chunk.data)
        self._room.set()
        return everyone

    def undelivered(self, output: str) -> Sequence[Waiting]:
        """What this output has not delivered yet; none for one that never took anything from here."""
        cursor = self._cursors.get(output)
        return self.waiting(cursor.done) if cursor is not None else []

    def waiting(self, after: int) -> Sequence[Waiting]:
        held = [d for d in list(self._held) if d.seq > after]
        return [Waiting(d.seq, d.chunk.table, d.chunk.tag, len(d.chunk), len(d.chunk.data)) for d in held]

    def finish(self) -> None:
        self._waiters.finish()

    def health(self) -> dict[str, int]:
        return {
            "stored": self._stored,
            "refused": self._refused,
            "held": len(self._held),
            "held_records": sum(len(d.chunk) for d in self._held),
            "held_bytes": self._bytes,
        }
