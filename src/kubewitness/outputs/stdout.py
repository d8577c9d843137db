"""Output `stdout`: JSON lines of the records' own bytes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.outputs.dates import DATE_FORMATS, dates_of
from kubewitness.outputs.lines import json_lines

KEYS = (
    Key("format", default="json_lines", doc="one JSON object a line (Fluent Bit's default: msgpack text)",
        choices=("json_lines",)),
    Key("json_date_key", default="false", doc="name under which the record's time is put first; `false`: the records' "
        "bytes are passed through (Fluent Bit: `date`)"),
    Key("json_date_format", default="double", doc="how the time is written", choices=DATE_FORMATS),
)  # fmt: skip


class StdoutOutput:
    """JSON lines on the process's standard output."""

    def __init__(self, keys: Mapping[str, str], name: str = "stdout") -> None:
        self._dates = dates_of(Options(f"output {name}", keys, KEYS))
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
