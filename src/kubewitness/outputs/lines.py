"""Chunks as JSON lines: the records' own bytes, never re-encoded."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kubewitness.record import Chunk, Note

#: Tables whose records are JSON as they are.
_JSON_TABLES = frozenset({"audit", "events", "objects", "admission", "findings"})

_encode = msgspec.json.Encoder().encode
_NO_NOTE = Note()


def json_lines(chunk: Chunk) -> bytes:
    """The chunk as JSON lines, one per record, each with its newline.

    A pretty-printed record is put on one line (a newline in JSON is only ever white space). What is not JSON goes
    into an object: a log line as {"log": ...}, a reject as {"reject": {"file", "offset", "reason"}, "raw": ...}.
    """
    if chunk.table in _JSON_TABLES:
        if chunk.lines or chunk.data.count(b"\n") == len(chunk):
            return chunk.data
        return b"".join(_one_line(r) for r in chunk.records())
    if chunk.table == "rejects":
        return b"".join(_rejects(chunk))
    return b"".join(_encode({"log": _text(r)}) + b"\n" for r in chunk.records())


def _one_line(record: bytes) -> bytes:
    return record.replace(b"\r\n", b" ").replace(b"\n", b" ") + b"\n"


def _rejects(chunk: Chunk) -> Iterator[bytes]:
    for i, record in enumerate(chunk.records()):
        note = chunk.notes.get(i, _NO_NOTE)
        why = {"file": note.file, "offset": note.offset, "reason": note.reason}
        yield _encode({"reject": why, "raw": _text(record)}) + b"\n"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
