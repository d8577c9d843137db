"""Output `stdout`: records on standard output; as JSON their own bytes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.outputs.dates import DATE_FORMATS, dates_of
from kubewitness.outputs.extras import otlp_records
from kubewitness.outputs.lines import json_lines
from kubewitness.outputs.text_forms import msgpack_text
from kubewitness.record import Chunk

FORMATS = ("json_lines", "json", "json_stream", "msgpack", "otlp_json")

KEYS = (
    Key("format", default="json_lines", doc="`json_lines`: an object a line; `json`: an array a chunk; `json_stream`: "
        "objects without anything between them; `msgpack`: Fluent Bit's own notation (its default); `otlp_json`: a "
        "line a chunk, as output `opentelemetry` would send it (needs `kubewitness[opentelemetry]`)", choices=FORMATS),
    Key("json_date_key", default="false", doc="name under which the record's time is put first; `false`: the records' "
        "bytes are passed through (Fluent Bit: `date`)"),
    Key("json_date_format", default="double", doc="how the time is written", choices=DATE_FORMATS),
)  # fmt: skip


class StdoutOutput:
    """Records on the process's standard output, in one of several forms."""

    def __init__(self, keys: Mapping[str, str], name: str = "stdout") -> None:
        opts = Options(f"output {name}", keys, KEYS)
        self._dates = dates_of(opts)
        self._form = opts.choice("format")
        self._otlp = otlp_records(f"output {name}") if self._form == "otlp_json" else None
        self.name = name

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        # A pipe that nobody reads blocks only this output's thread.
        await asyncio.to_thread(self._write, deliveries)

    async def close(self) -> None:
        pass

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        if self._otlp is not None:
            requests = (self._otlp.request_of([d], self._otlp.PLAIN) for d in deliveries)
            _write([msgspec.json.encode(self._otlp.as_json(request)) + b"\n" for request in requests])
            return
        _write([self._part(d.chunk) for d in deliveries])

    def _part(self, chunk: Chunk) -> bytes:
        if self._form == "msgpack":
            return msgpack_text(chunk)
        lines = json_lines(chunk, self._dates)
        if self._form == "json_lines":
            return lines
        if self._form == "json":
            return b"[" + lines[:-1].replace(b"\n", b",") + b"]\n"
        return lines.replace(b"\n", b"") + b"\n"


def _write(parts: Sequence[bytes]) -> None:
    sys.stdout.flush()
    fd = sys.stdout.fileno()
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(fd, view) :]
