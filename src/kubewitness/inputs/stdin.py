"""Input `stdin`: standard input, as JSON values or as lines for a parser. At its end the pipeline ends.

Source of keys and behaviour: Fluent Bit's manual, "Standard input".
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Parser, Sink
from kubewitness.errors import Finished, UsageError
from kubewitness.formats.ingest import LINE_LIMIT, Ingest
from kubewitness.formats.jsonstream import Bad, JsonStream
from kubewitness.inputs.made import LineCutter, RecordChunks, json_of, put_whole, text_of
from kubewitness.parsers.library import Library, asked

KEYS = (
    Key("parser", doc="name of a parser for each line; a line that it does not fit is `{\"log\": LINE}`. None: JSON "
        "objects, on a line each or over several, and `[TIME, {...}]`, `[[TIME, {metadata}], {...}]`"),
    Key("buffer_size", "size", "16K", "accepted, without effect: a line or value may have 16 MB"),
    Key("cluster", default="default", doc="name in the store"),
)  # fmt: skip

_BLOCK = 64 * 1024
#: seconds that a look for input lasts
_LOOK = 0.2

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Stdin:
    """Reads until the end of file. What is no record is kept in table `rejects`."""

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        library: Library | None = None,
        fd: int = 0,
    ) -> None:
        """`fd`: what is read."""
        opts = Options("stdin", options, KEYS)
        self.name = opts.text("alias") or f"stdin/{opts.text('tag')}"
        self._parser = _parser(opts, library or Library())
        tag, cluster = opts.text("tag"), opts.text("cluster")
        self._chunks = RecordChunks("stdin", tag, cluster=cluster, keyed=keyed)
        self._rejects = Ingest(cluster, "stdin", redact_key, keyed=keyed, tag=tag)
        self._fd = fd
        self._lines = LineCutter(LINE_LIMIT)
        self._values = JsonStream()
        self._state = "starting"
        self._records = self._not_parsed = self._bytes = 0

    def health(self) -> Mapping[str, object]:
        return {
            "state": self._state,
            "records": self._records,
            "bytes_read": self._bytes,
            "not_parsed": self._not_parsed,
            "rejected": self._rejects.rejected,
        }

    async def run(self, sink: Sink) -> None:
        self._state = "reading"
        while True:
            block = await asyncio.to_thread(_read, self._fd)
            if block is None:
                continue
            self._bytes += len(block)
            self._take(block)
            chunks = [*self._chunks.take(), *self._rejects.take()]
            if chunks:
                self._records += (await put_whole(sink, chunks, self.name)).stored
            if not block:
                self._state = "ended"
                raise Finished("end of file (stdin closed by remote end)")

    def _take(self, block: bytes) -> None:
        """Records of a block; an empty one is the end."""
        now = time.time_ns()
        if self._parser is not None:
            for line in self._lines.feed(block) if block else self._lines.close():
                if line:
                    self._line(self._parser, line, now)
            return
        for found in self._values.feed(block, more=_is_more(self._fd)) if block else self._values.close():
            if isinstance(found, Bad):
                self._rejects.add_reject(found.raw, found.reason, file="stdin", offset=found.offset,
                                         length=found.length)  # fmt: skip
            elif found[:1] == b"{":
                self._chunks.add(found, now)
            else:
                self._event(found, now)

    def _line(self, parser: Parser, line: bytes, now: int) -> None:
        parsed = parser.parse(line)
        if parsed is None:
            self._not_parsed += 1
            self._chunks.add(json_of({"log": text_of(line)}), now)
        else:
            self._chunks.add(json_of(parsed.fields), parsed.time_ns if parsed.time_ns is not None else now)

    def _event(self, raw: bytes, now: int) -> None:
        """An array: an event with its time, or several objects."""
        try:
            items = _array(raw)
            if len(items) == 2 and bytes(items[0])[:1] != b"{":
                time_ns, metadata = _head(bytes(items[0]))
                records = [(_checked(items[1]), time_ns, metadata)]
            else:
                records = [(_checked(item), now, "") for item in items]
        except (msgspec.MsgspecError, UnicodeDecodeError, InvalidOperation) as e:
            self._rejects.add_reject(raw, f"neither an event nor objects: {e}", file="stdin")
            return
        for record, time_ns, metadata in records:
            self._chunks.add(record, time_ns, metadata=metadata)


def _head(raw: bytes) -> tuple[int, str]:
    """(nanoseconds, metadata) of `TIME` or `[TIME, {metadata}]`."""
    metadata = ""
    if raw[:1] == b"[":
        stamp, beside = msgspec.json.decode(raw, type=tuple[msgspec.Raw, msgspec.Raw])
        raw, metadata = bytes(stamp), _checked(beside).decode()
    return int(Decimal(raw.decode()) * 10**9), "" if metadata == "{}" else metadata


def _checked(raw: msgspec.Raw) -> bytes:
    """An object's bytes; raises for what is none."""
    _object(raw)
    return bytes(raw)


def _parser(opts: Options, library: Library) -> Parser | None:
    name = opts.text("parser").strip()
    return asked("stdin", "parser", name, library.parser) if name else None


def _is_more(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def _read(fd: int) -> bytes | None:
    """What is there; b"" at the end, None when nothing came. Not for long: whoever is stopped waits for it."""
    try:
        return os.read(fd, _BLOCK) if select.select([fd], [], [], _LOOK)[0] else None
    except OSError as e:
        raise UsageError(f"stdin: it cannot be read: {e.strerror}") from e
