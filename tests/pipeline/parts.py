"""Small inputs and outputs for the engine's tests: real ones, with failures on order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from kubewitness.contracts import Batch, Delivery, Sink
from kubewitness.errors import Retry
from tests.journal.helpers import numbered


class Counting:
    """An input that gives the numbers from its position up to `end`, one a batch, and then ends or stays."""

    def __init__(self, name: str, end: int, *, stay: bool = False, crash_at: Sequence[int] = ()) -> None:
        self.name = name
        self._end = end
        self._stay = stay
        self._crashes = list(crash_at)
        self.starts = 0

    async def run(self, sink: Sink) -> None:
        self.starts += 1
        n = int(await sink.position(self.name) or b"0")
        while n < self._end:
            if n in self._crashes:
                self._crashes.remove(n)
                raise OSError(f"cable pulled at {n}")
            await sink.put(Batch([numbered(n, source=self.name)], {self.name: b"%d" % (n + 1)}))
            n += 1
        if self._stay:
            await asyncio.Event().wait()

    def health(self) -> Mapping[str, object]:
        return {"starts": self.starts}


class Collecting:
    """An output that remembers what it was given. `before` is called with the number of the try, and may raise."""

    def __init__(self, name: str = "collecting", before: Callable[[int], None] | None = None, delay: float = 0) -> None:
        self.name = name
        self.tries = 0
        self.records: list[bytes] = []
        self.seqs: list[int] = []
        self.closed = 0
        self._before = before
        self._delay = delay

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        self.tries += 1
        if self._before is not None:
            self._before(self.tries)
        await asyncio.sleep(self._delay)
        for d in deliveries:
            self.seqs.append(d.seq)
            self.records.extend(d.chunk.records())

    async def close(self) -> None:
        self.closed += 1


def retry_until(n: int, after: float | None = None) -> Callable[[int], None]:
    """Fails with Retry before the n-th try."""

    def before(tries: int) -> None:
        if tries < n:
            raise Retry("far side is busy", after)

    return before


def expected(end: int) -> list[bytes]:
    return [b'{"n":%d}' % n for n in range(end)]
