"""Many records as one body: key `format` of the outputs that leave the far side to the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubewitness.outputs.dates import Dates
from kubewitness.outputs.lines import json_lines, objects
from kubewitness.outputs.records import event, stamps_ns
from kubewitness.record import Chunk


def _json(chunks: Sequence[Chunk], dates: Dates | None) -> bytes:
    lines = b"".join(json_lines(chunk, dates) for chunk in chunks)
    return b"[" + lines[:-1].replace(b"\n", b",") + b"]"


def _json_lines(chunks: Sequence[Chunk], dates: Dates | None) -> bytes:
    return b"".join(json_lines(chunk, dates) for chunk in chunks)


def _json_stream(chunks: Sequence[Chunk], dates: Dates | None) -> bytes:
    return _json_lines(chunks, dates).replace(b"\n", b"")


def _msgpack(chunks: Sequence[Chunk], dates: Dates | None) -> bytes:
    return b"".join(
        event(line, ns, note=chunk.notes.get(i))
        for chunk in chunks
        for i, (line, ns) in enumerate(zip(objects(chunk), stamps_ns(chunk), strict=True))
    )


#: a newline only ever ends a record in `json_lines`
BODIES: dict[str, Callable[[Sequence[Chunk], Dates | None], bytes]] = {
    "json": _json,
    "json_lines": _json_lines,
    "json_stream": _json_stream,
    "msgpack": _msgpack,
}
