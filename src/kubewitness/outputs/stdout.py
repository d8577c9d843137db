"""Output `stdout`: JSON lines of the records' own bytes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import check_keys, choice
from kubewitness.contracts import Delivery
from kubewitness.outputs.dates import DATE_KEYS, dates_of
from kubewitness.outputs.lines import json_lines


class StdoutOutput:
    """Keys: `format` (json_lines, the default here; Fluent Bit's is msgpack text), `json_date_key` (false, the default
    here: the records' bytes are passed through; a name such as date: the record's time is put in first) and
    `json_date_format` (double, epoch, epoch_ms, iso8601, iso8601_ns, java_sql_timestamp)."""

    def __init__(self, keys: Mapping[str, str], name: str = "stdout") -> None:
        check_keys(keys, ("format", *DATE_KEYS), f"output {name}")
        choice(keys, "format", ("json_lines",), "json_lines", f"output {name}")
        self._dates = dates_of(keys, f"output {name}")
        self.name = name

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        # A pipe that nobody reads blocks only this output's thread.
        await asyncio.to_thread(_write, [json_lines(d.chunk, self._dates) for d in deliveries])

    async def close(self) -> None:
        pass


def _write(parts: Sequence[bytes]) -> None:
    sys.stdout.flush()
    fd = sys.stdout.fileno()
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(fd, view) :]
