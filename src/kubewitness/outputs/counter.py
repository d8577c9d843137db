"""Output `counter`: how many records came, a line on standard output for each delivery, in Fluent Bit's form."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery

#: none of its own
KEYS = ()


class CounterOutput:
    """`SECONDS,RECORDS (total = RECORDS)`."""

    def __init__(self, keys: Mapping[str, str], name: str = "counter") -> None:
        Options(f"output {name}", keys, KEYS)
        self.name = name
        self._total = 0

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            records = sum(len(d.chunk) for d in deliveries)
            self._total += records
            line = f"{time.time():.6f},{records} (total = {self._total})\n"
            await asyncio.to_thread(_print, line)

    async def close(self) -> None:
        pass

    def health(self) -> Mapping[str, object]:
        return {"total": self._total}


def _print(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
