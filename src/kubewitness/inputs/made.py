"""Records that an input makes itself, one JSON object each: chunks of table `logs`, form "record", with their times."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from array import array
from typing import Any

import msgspec

from kubewitness.contracts import Batch, Sink, Taken
from kubewitness.record import Chunk, ChunkBuilder, Note

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

#: seconds that what cannot be read again may take to become durable when its input is stopped
_LAST = 5.0


class RecordChunks:
    """Chunks in the making, by tag. `keyed`: records have identities, so that the store tells two alike apart."""

    def __init__(self, source: str, tag: str, *, cluster: str = "default", keyed: bool = True) -> None:
        self._source = source
        self._tag = tag
        self._cluster = cluster
        # what has no place of its own to be known by is never read twice: any number will do
        self._prefix = os.urandom(8) if keyed else b""
        self._numbers = itertools.count()
        self._open: dict[str, tuple[ChunkBuilder, array[int]]] = {}
        self._done: list[Chunk] = []

    def add(self, record: bytes, time_ns: int, *, tag: str = "", metadata: str = "", key: bytes = b"") -> None:
        """`record`: one JSON object without a newline; `metadata`: another one, as text; `key`: its identity, if it
        has one."""
        name = tag or self._tag
        if name not in self._open:
            now = time.time_ns() // 1000
            builder = ChunkBuilder(
                "logs", cluster=self._cluster, source=self._source, tag=name, received_us=now, form="record"
            )
            self._open[name] = builder, array("q")
        builder, times = self._open[name]
        if self._prefix:
            key = key or self._prefix + next(self._numbers).to_bytes(8, "big")
        builder.add(record, key if self._prefix else b"", Note(metadata=metadata) if metadata else None)
        times.append(time_ns)
        if builder.full:
            self._close(name)

    def _close(self, tag: str) -> None:
        builder, times = self._open.pop(tag)
        chunk = builder.take()
        chunk.times = times
        chunk.lines = True
        self._done.append(chunk)

    def take(self) -> list[Chunk]:
        """All chunks so far, those of one tag in order."""
        for tag in list(self._open):
            self._close(tag)
        done, self._done = self._done, []
        return done


def json_of(fields: dict[str, Any]) -> bytes:
    """An object as one line; what UTF-8 cannot hold is escaped."""
    try:
        return _encode(fields)
    except UnicodeEncodeError:  # half of a UTF-16 pair, which a decoder of escapes may leave
        return _encode({str(k): _whole(v) for k, v in fields.items()})


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


async def put_whole(sink: Sink, chunks: list[Chunk], name: str) -> Taken:
    """Puts what cannot be read again: a stop waits for it a little."""
    putting = asyncio.ensure_future(sink.put(Batch(chunks)))
    try:
        return await asyncio.shield(putting)
    except asyncio.CancelledError:
        await asyncio.wait([putting], timeout=_LAST)
        if not putting.done():
            putting.cancel()
            _log.error("%s: %d records were lost at the stop: no room for them", name, sum(map(len, chunks)))
        raise


class LineCutter:
    """Lines of blocks, without their newlines."""

    def __init__(self, limit: int) -> None:
        """`limit`: a longer line is cut there (bytes)."""
        self._limit = limit
        self._rest = b""

    def feed(self, block: bytes) -> list[bytes]:
        lines = (self._rest + block).split(b"\n")
        self._rest = lines.pop()
        while len(self._rest) > self._limit:
            lines.append(self._rest[: self._limit])
            self._rest = self._rest[self._limit :]
        return [line.removesuffix(b"\r") for line in lines]

    def close(self) -> list[bytes]:
        """The last line, when it had no newline."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []
