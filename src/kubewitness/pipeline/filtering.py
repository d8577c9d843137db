"""The filters of a pipeline: in the order of the file, between an input and where it puts what it captured.

The positions of a batch are committed in one transaction with what the filters left of it, so a crash can neither lose
a record between them nor bring one twice. A chunk that a filter gave another tag goes through all filters from the
first one, as in Fluent Bit, but never again through one that retagged it: there are no loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from kubewitness.contracts import Batch, Filter, Sink, Taken
from kubewitness.record import Chunk

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

    def apply(self, chunk: Chunk) -> list[Chunk]:
        """What the filters leave of a chunk."""
        out: list[Chunk] = []
        self._go(chunk, 0, frozenset(), out)
        return out

    def settle(self) -> list[Callable[[bool], None]]:
        """To be called after a batch's chunks; see `contracts.Settling`."""
        return [settle() for settle in self._settling]

    def _go(self, chunk: Chunk, at: int, retagged_by: frozenset[int], out: list[Chunk]) -> None:
        for i in range(at, len(self._steps)):
            step = self._steps[i]
            if i in retagged_by or chunk.table == _UNTOUCHED or not step.matches(chunk.tag):
                continue
            left = step.filter.apply(chunk)
            _count(step.counts, chunk, left)
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


def _count(counts: dict[str, int], chunk: Chunk, left: Sequence[Chunk]) -> None:
    kept = sum(len(c) for c in left if c.tag == chunk.tag)
    counts["records"] += len(chunk)
    counts["bytes"] += len(chunk.data)
    counts["drop_records"] += max(0, len(chunk) - kept)
    counts["add_records"] += max(0, kept - len(chunk))
    counts["emit_records"] += sum(len(c) for c in left if c.tag != chunk.tag)


class FilterSink:
    """A `contracts.Sink` that filters what an input puts, and gives the rest with the input's positions to another."""

    def __init__(self, sink: Sink, filters: Filters) -> None:
        self._sink = sink
        self._filters = filters

    async def put(self, batch: Batch, *, wait: bool = True) -> Taken:
        """As `contracts.Sink.put`. A refused batch goes through the filters again when it comes again."""
        chunks = [left for chunk in batch.chunks for left in self._filters.apply(chunk)]
        settled = self._filters.settle()
        durable = False
        try:
            taken = await self._sink.put(Batch(chunks, batch.positions), wait=wait)
            durable = True
        finally:
            for settle in settled:
                settle(durable)
        return taken

    async def position(self, name: str) -> bytes | None:
        return await self._sink.position(name)
