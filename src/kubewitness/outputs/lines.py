"""Chunks as JSON lines: the records' own bytes, never re-encoded."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kubewitness.formats import logshapes
from kubewitness.formats.record_times import stamps_ns
from kubewitness.outputs.dates import Dates, seconds_and_nanoseconds
from kubewitness.record import Chunk, Note

#: Tables whose records are JSON as they are.
_JSON_TABLES = frozenset({"audit", "events", "objects", "admission", "findings"})

_encode = msgspec.json.Encoder().encode
_NO_NOTE = Note()


def json_lines(chunk: Chunk, dates: Dates | None = None) -> bytes:
    """The chunk as JSON lines, one per record, each with its newline; with `dates`, each with its time.

    A pretty-printed record is put on one line (a newline in JSON is only ever white space). What is not JSON goes
    into an object: a log line in Fluent Bit's shapes (`formats.logshapes`), a reject as
    {"reject": {"file", "offset", "reason"}, "raw": ...}.
    """
    if dates is not None:
        return b"".join(dates.put(line, ns) + b"\n" for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True))
    if chunk.table in _JSON_TABLES and (chunk.lines or chunk.data.count(b"\n") == len(chunk)):
        return chunk.data
    if chunk.table == "logs":
        return logshapes.lines(chunk)
    return b"\n".join((*objects(chunk), b""))


def tagged_lines(chunk: Chunk) -> bytes:
    """`TAG: [SECONDS.NANOSECONDS, {...}]`, one line per record."""
    head = chunk.tag.encode() + b": ["
    return b"".join(
        head + seconds_and_nanoseconds(ns) + b", " + line + b"]\n"
        for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True)
    )


def objects(chunk: Chunk) -> Iterator[bytes]:
    """One JSON object per record, each on one line."""
    if chunk.table in _JSON_TABLES:
        return (r.replace(b"\r\n", b" ").replace(b"\n", b" ") for r in chunk.records())
    if chunk.table == "rejects":
        return _rejects(chunk)
    return iter(logshapes.objects(chunk))


def _rejects(chunk: Chunk) -> Iterator[bytes]:
    for i, record in enumerate(chunk.records()):
        note = chunk.notes.get(i, _NO_NOTE)
        why = {"file": note.file, "offset": note.offset, "reason": note.reason}
        yield _encode({"reject": why, "raw": _text(record)})


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
