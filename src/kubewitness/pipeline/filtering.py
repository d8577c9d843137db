"""The filters of a pipeline: in the order of the file, between an input and where it puts what it captured.

The positions of a batch are committed in one transaction with what the filters left of it, so a crash can neither lose
a record between them nor bring one twice. A chunk that a filter gave another tag goes through all filters from the
first one, as in Fluent Bit, but never again through one that retagged it: there are no loops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from kubewitness.contracts import Batch, Filter, Holding, Serving, Sink, Taken
from kubewitness.errors import Full, UsageError
from kubewitness.record import Chunk

#: before a filter's name: the position under which what it holds is kept
HELD = "filter/"
#: seconds between two looks at what filters hold
_LOOK = 0.25
#: A table that filters do not touch: what could not be understood is not theirs to drop.
_UNTOUCHED = "rejects"


@dataclass(slots=True)
class Step:
    """A filter and the tags that it is for."""

    filter: Filter
    matches: Callable[[str], bool]
    counts: dict[str, int] = field(
        default_factory=lambda: {"records": 0, "bytes": 0, "drop_records": 0, "add_records": 0, "emit_records": 0}
    )


class Filters:
    """All filters of a pipeline. One event loop only."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._settling = [s.filter.settle for s in steps if hasattr(s.filter, "settle")]
        #: position -> (filter's place, the filter)
        self._holding: dict[str, tuple[int, Holding]] = {
            f"{HELD}{s.filter.name}": (i, cast(Holding, s.filter)) for i, s in enumerate(steps) if holds(s.filter)
        }
        self._serving = [(s, cast(Serving, s.filter)) for s in steps if hasattr(s.filter, "serve")]

    @property
    def services(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What filters want to have run beside the inputs, by filter's name."""
        return [(step.filter.name, serving.serve) for step, serving in self._serving]

    def missing(self, chunks: Sequence[Chunk]) -> list[Awaitable[None]]:
        """What to wait for before these chunks go through, as far as their tags, as they came, tell."""
        return [
            wait
            for step, serving in self._serving
            for chunk in chunks
            if chunk.table != _UNTOUCHED and step.matches(chunk.tag) and (wait := serving.missing(chunk)) is not None
        ]

    def apply(self, chunk: Chunk) -> list[Chunk]:
        """What the filters leave of a chunk."""
        out: list[Chunk] = []
        self._go(chunk, 0, frozenset(), out)
        return out

    def settle(self) -> list[Callable[[bool], None]]:
        """To be called after a batch's chunks; see `contracts.Settling`."""
        return [settle() for settle in self._settling]

    @property
    def positions(self) -> Sequence[str]:
        """Names under which what filters hold is kept; none when no filter holds anything."""
        return list(self._holding)

    def held(self) -> dict[str, bytes]:
        """What filters hold, by position."""
        return {name: holding.held() for name, (_, holding) in self._holding.items()}

    def restore(self, held: Mapping[str, bytes]) -> None:
        for name, (_, holding) in self._holding.items():
            holding.restore(held.get(name, b""))

    def expire(self, *, everything: bool = False) -> list[Chunk]:
        """What filters held long enough, or all of it, through the filters behind them."""
        out: list[Chunk] = []
        for i, holding in self._holding.values():
            for chunk in holding.expire(everything=everything):
                self._go(chunk, i + 1, frozenset(), out)
        return out

    def _go(self, chunk: Chunk, at: int, retagged_by: frozenset[int], out: list[Chunk]) -> None:
        for i in range(at, len(self._steps)):
            step = self._steps[i]
            if i in retagged_by or chunk.table == _UNTOUCHED or not step.matches(chunk.tag):
                continue
            left = step.filter.apply(chunk)
            _count(step.counts, chunk, left, holds(step.filter))
            if len(left) != 1 or left[0].tag != chunk.tag:
                for part in left:
                    again = part.tag != chunk.tag
                    self._go(part, 0 if again else i + 1, retagged_by | {i} if again else retagged_by, out)
                return
            chunk = left[0]
        if len(chunk):
            out.append(chunk)

    def health(self) -> dict[str, dict[str, object]]:
        """By filter's name: records and bytes that came, dropped, added, emitted under another tag; its own numbers."""
        return {s.filter.name: {**s.filter.health(), **s.counts} for s in self._steps}

    def counts(self) -> dict[str, dict[str, int]]:
        """Of `health`, what every filter has."""
        return {s.filter.name: dict(s.counts) for s in self._steps}

    def metrics(self) -> str:
        """What filters count for others (`log_to_metrics`), as Prometheus text."""
        return joined_metrics([step.filter.metrics() for step in self._steps if hasattr(step.filter, "metrics")])


def joined_metrics(texts: Iterable[str]) -> str:
    """Prometheus texts as one. What a metric is, is said once, though two filters count into it."""
    said: set[str] = set()
    lines = []
    for line in "".join(texts).splitlines(keepends=True):
        about = " ".join(line.split(" ", 3)[:3]) if line.startswith("#") else ""
        if about not in said or not about:
            lines.append(line)
        said.add(about)
    return "".join(lines)


def holds(filter_: Filter) -> bool:
    """Whether it is a `contracts.Holding`, too."""
    return hasattr(filter_, "held")


def _count(counts: dict[str, int], chunk: Chunk, left: Sequence[Chunk], holding: bool) -> None:
    kept = sum(len(c) for c in left if c.tag == chunk.tag)
    counts["records"] += len(chunk)
    counts["bytes"] += len(chunk.data)
    if holding:
        return  # what it holds or joins is not dropped; it tells that itself
    counts["drop_records"] += max(0, len(chunk) - kept)
    counts["add_records"] += max(0, kept - len(chunk))
    counts["emit_records"] += sum(len(c) for c in left if c.tag != chunk.tag)


async def _at_once() -> None:
    """Somebody asked for a stop already."""


class FilterSink:
    """A `contracts.Sink` that filters what an input puts, and gives the rest with the input's positions to another.

    Where filters hold records back, batches go through one after another, and what is held is committed with them.
    Then `run` has to be a service, and `finish` to be called when inputs have ended.
    """

    def __init__(self, sink: Sink, filters: Filters, fail: Callable[[Exception], None] | None = None) -> None:
        """`fail` is told what a person must mend, or asked for, in a filter: the input that put the batch may have
        somebody of its own to answer."""
        self._sink = sink
        self._fail = fail
        self._filters = filters
        self._lock = asyncio.Lock()
        #: what is held according to the journal; None: not known, it has to be read
        self._held: Mapping[str, bytes] | None = None
        #: a batch on its way into the journal, whose caller may have been cancelled meanwhile
        self._pending: asyncio.Task[Taken] | None = None
        self._finished = False

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        """As `contracts.Sink.put`. A refused batch goes through the filters again when it comes again."""
        if waits := self._filters.missing(batch.chunks):
            await asyncio.gather(*waits)
        if not self._filters.positions:
            return await self._put(self._filtered(batch), batch.positions, wait)
        if not wait and self._lock.locked():
            raise Full("another batch is on its way through the filters")
        async with self._lock:
            await self._know()
            return await self._put_held(self._filtered(batch), batch.positions, wait)

    async def position(self, name: str) -> bytes | None:
        """Once it is known what became of a batch whose caller was cancelled: else that would be put again."""
        if self._pending is not None:
            await asyncio.wait([self._pending])
        return await self._sink.position(name)

    def _filtered(self, batch: Batch) -> list[Chunk]:
        try:
            return [left for chunk in batch.chunks for left in self._filters.apply(chunk)]
        except UsageError as e:
            if self._fail is not None:
                self._fail(e)
            raise

    async def _put(self, chunks: Sequence[Chunk], positions: Mapping[str, bytes], wait: bool) -> Taken:
        settled = self._filters.settle()
        durable = False
        try:
            taken = await self._sink.put(Batch(chunks, positions), wait=wait)
            durable = True
        finally:
            for settle in settled:
                settle(durable)
        return taken

    # --- what filters hold back --------------------------------------------------------------------------------------

    @property
    def holds(self) -> bool:
        return bool(self._filters.positions)

    async def run(self) -> None:
        """Lets go what waited long enough, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            await self._let_go()

    async def finish(self, stopped: Callable[[], Awaitable[object]] = _at_once, grace: float = 5.0) -> None:
        """Lets everything go, when inputs have ended. Waits for room in the journal until somebody asked for a stop
        (`stopped` returns), and then for `grace` seconds. What it has no room for stays held, and is there at the next
        start."""
        if not self.holds:
            return
        letting = asyncio.create_task(self._let_go(everything=True))
        stopping = asyncio.ensure_future(stopped())
        await asyncio.wait([letting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not letting.done():
            await asyncio.wait([letting], timeout=grace)
        self._finished = True
        for task in (letting, stopping):
            task.cancel()
        await asyncio.wait([letting, stopping])
        if not letting.cancelled() and (error := letting.exception()) is not None and not isinstance(error, Full):
            raise error

    @property
    def positions(self) -> set[str]:
        """Under which names its filters keep what they hold."""
        return set(self._filters.positions)

    async def keep(self) -> None:
        """Lets nothing go any more: what is held is there for the filters of the next configuration."""
        async with self._lock:
            if self._pending is not None:
                await asyncio.wait([self._pending])
            self._finished = True

    async def _let_go(self, *, everything: bool = False) -> None:
        async with self._lock:
            if self._finished:
                return
            await self._know()
            chunks = self._filters.expire(everything=everything)
            if chunks:
                await self._put_held(chunks, {}, True)

    async def _know(self) -> None:
        """After a start, or a batch that was not taken: what the journal says is held, and nothing else."""
        if self._pending is not None:
            await asyncio.wait([self._pending])
            self._pending = None
        if self._held is None:
            held = {name: await self._sink.position(name) or b"" for name in self._filters.positions}
            self._filters.restore(held)
            self._held = held

    async def _put_held(self, chunks: Sequence[Chunk], positions: Mapping[str, bytes], wait: bool) -> Taken:
        """Not cut short when the caller is cancelled: only its end tells what is held."""
        before, self._held = self._held or {}, None
        held = self._filters.held()
        changed = {name: value for name, value in held.items() if value != before.get(name, b"")}
        self._pending = asyncio.create_task(self._commit(chunks, {**positions, **changed}, wait, held))
        self._pending.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._pending)

    async def _commit(
        self, chunks: Sequence[Chunk], positions: Mapping[str, bytes], wait: bool, held: Mapping[str, bytes]
    ) -> Taken:
        taken = await self._put(chunks, positions, wait)
        self._held = held
        return taken
