"""Output `flowcounter`: records and bytes of each second, minute, hour or day, in Fluent Bit's form."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.outputs.records import stamps_ns

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}

KEYS = (
    Key("unit", default="minute", doc="what is counted together", choices=tuple(_UNITS)),
    Key("event_based", "bool", "off", "by the records' times, not by now"),
)  # fmt: skip

#: seconds between two looks for a unit that has ended
_LOOK = 0.5


class FlowcounterOutput:
    """A line for each unit in which something came: `[SECONDS, {"counts", "bytes", "counts/UNIT", "bytes/UNIT"}]`.

    `bytes` are those of the records as they are (Fluent Bit: of their MessagePack). `clock`: seconds since 1970.
    """

    def __init__(
        self, keys: Mapping[str, str], name: str = "flowcounter", *, clock: Callable[[], float] = time.time
    ) -> None:
        opts = Options(f"output {name}", keys, KEYS)
        self.name = name
        self._clock = clock
        self._unit = opts.choice("unit")
        self._by_event = opts.flag("event_based")
        #: begin of a unit -> (records, bytes)
        self._units: dict[int, tuple[int, int]] = {}
        self._latest = 0
        self._ticker: asyncio.Task[None] | None = None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def start(self) -> None:
        self._ticker = asyncio.create_task(self._tick(), name=f"{self.name} units")

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            chunk = delivery.chunk
            if self._by_event:
                for (start, end), ns in zip(chunk.spans(), stamps_ns(chunk), strict=True):
                    self._add(ns / 1e9, 1, end - start)
            else:
                self._add(self._clock(), len(chunk), len(chunk.data) - len(chunk))
        await self._tell(self._latest if self._by_event else self._begin(self._clock()))

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.wait([self._ticker])
            self._ticker = None
        await self._tell(None)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            if not self._by_event:
                await self._tell(self._begin(self._clock()))

    def _begin(self, seconds: float) -> int:
        return int(seconds) // _UNITS[self._unit] * _UNITS[self._unit]

    def _add(self, seconds: float, records: int, size: int) -> None:
        begin = self._begin(seconds)
        self._latest = max(self._latest, begin)
        before = self._units.get(begin, (0, 0))
        self._units[begin] = (before[0] + records, before[1] + size)

    async def _tell(self, now: int | None) -> None:
        """Of the units before `now`; None: of all."""
        ended = sorted(begin for begin in self._units if now is None or begin < now)
        for begin in ended:
            records, size = self._units.pop(begin)
            seconds = _UNITS[self._unit]
            # Fluent Bit divides by the unit's seconds, and calls that by the unit's name
            line = (
                f'[out_flowcounter] [{begin}, {{"counts":{records}, "bytes":{size}, '
                f'"counts/{self._unit}":{records // seconds}, "bytes/{self._unit}":{size // seconds} }}]\n'
            )
            await asyncio.to_thread(_print, line)


def _print(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
