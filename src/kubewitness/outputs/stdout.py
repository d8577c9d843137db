"""Output `stdout`: JSON lines of the records' own bytes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import check_keys, choice
from kubewitness.contracts import Delivery
from kubewitness.outputs.lines import json_lines


class StdoutOutput:
    """Keys: `format` (json_lines, the default here; Fluent Bit's is msgpack text) and `json_date_key` (false: the
    records' bytes are passed through, no date is put in)."""

    def __init__(self, keys: Mapping[str, str], name: str = "stdout") -> None:
        check_keys(keys, ("format", "json_date_key"), f"output {name}")
        choice(keys, "format", ("json_lines",), "json_lines", f"output {name}")
        choice(keys, "json_date_key", ("false", "off", "no"), "false", f"output {name}")
        self.name = name

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        # A pipe that nobody reads blocks only this output's thread.
        await asyncio.to_thread(_write, [json_lines(d.chunk) for d in deliveries])

    async def close(self) -> None:
        pass


def _write(parts: Sequence[bytes]) -> None:
    sys.stdout.flush()
    fd = sys.stdout.fileno()
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(fd, view) :]
