"""Filter `multiline`: records that belong together become one. Source: Fluent Bit's manual, "Multiline".

What is held back, because its last line may not have come yet, is told to the engine after each batch, and committed
with the positions of the input: a crash neither loses it nor brings it twice.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from kubewitness.config.keys import Key
from kubewitness.errors import UsageError
from kubewitness.filters.changing import UNREADABLE, encode, fields_of
from kubewitness.filters.section import Given, options_of
from kubewitness.formats.accessor import MISSING, Path, Reader
from kubewitness.formats.record_times import times_ns
from kubewitness.formats.recordform import flagged, objects, placed, record_chunk
from kubewitness.parsers.joined import Joined
from kubewitness.parsers.library import Library, asked
from kubewitness.parsers.multiline import Multiline
from kubewitness.parsers.multiline_rules import MultilineParser
from kubewitness.record import Chunk, Note

_NOTHING = "accepted, without effect: records go on in the same batch, to the next filter"

KEYS = (
    Key("multiline.parser", "list", doc="names of multiline parsers: `go`, `java`, `python`, `ruby`, `cri`, `docker` "
        "and those of the configuration", multi=True),
    Key("multiline.key_content", doc="key of the text; none: the parser's `key_content`, or `log`"),
    Key("mode", "text", "parser", "`parser`, or `partial_message`: parts as Docker's fluentd driver marks them",
        choices=("parser", "partial_message")),
    Key("buffer", "bool", "true", "off: a record ends with its batch"),
    Key("flush_ms", "int", "2000", "milliseconds that a record waits for its next line; parts of a line (`cri`, "
        "`docker`) wait as long as it takes"),
    Key("debug_flush", "bool", "false", _NOTHING),
    Key("emitter_name", doc=_NOTHING),
    Key("emitter_storage.type", "text", "memory", _NOTHING),
    Key("emitter_mem_buf_limit", "size", "10M", _NOTHING),
)  # fmt: skip

_PARTIAL = ("partial_message", "partial_id", "partial_ordinal", "partial_last")
#: flag of a piece of a record that was longer than the limit
CUT = "multiline-cut"


class Item(msgspec.Struct, array_like=True):
    """One record that was taken in, as an object, with all that stands beside it."""

    raw: bytes
    key: bytes
    note: Note | None
    time_ns: int
    #: in the chunk that is being worked on; -1 for what came before
    index: int = -1


class Held(msgspec.Struct, array_like=True):
    """What is open in one stream."""

    header: bytes
    items: list[Item]


_held = msgspec.msgpack.Decoder(list[Held]).decode


class _Stream:
    """The open records of one file, or of whatever else has records one after another."""

    def __init__(self, parsers: Sequence[MultilineParser], key: str, limit: int, like: Chunk) -> None:
        self.lines: Multiline[Item] = Multiline(parsers, key=key, limit=limit)
        self.like = like


class MultilineFilter:
    """A record of several lines has the first one's keys, time, place and identity, and all of the text."""

    def __init__(
        self,
        keys: Given,
        name: str = "multiline",
        library: Library | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`library`: multiline parsers by name; by default those that are built in."""
        options = options_of(keys, KEYS, name)
        self.name = name
        self._clock = clock
        library = library or Library()
        self._limit = library.limit
        self._buffers = options.flag("buffer")
        self._partial = options.choice("mode") == "partial_message"
        given = options.text("multiline.key_content").strip()
        wait = options.number("flush_ms") / 1000
        if self._partial:
            parsers = [_partial_message(given or "log", wait)]
        else:
            found = [
                asked(f"filter {name}", "multiline.parser", word, library.multiline)
                for word in options.items("multiline.parser")
            ]
            parsers = [_as_told(parser, given, wait) for parser in found]
        if not parsers:
            raise UsageError(f"filter {name}: it needs 'multiline.parser'")
        self._parsers = parsers
        self._key = given or parsers[0].key_content or "log"
        # of a record only what parsers look at is read
        looked_at = [self._key, "partial_message" if self._partial else ""]
        looked_at += [name for p in parsers for name in (p.key_content, p.key_group, p.key_pattern)]
        self._names = [name for name in dict.fromkeys(looked_at) if name]
        self._reader = Reader([Path((name,)) for name in self._names])
        self._streams: dict[tuple[str, ...], _Stream] = {}
        self._counts = {"joined": 0, "cut": 0, "unread": 0}

    def health(self) -> Mapping[str, object]:
        """`joined`: records that became part of another."""
        return {**self._counts, "held": sum(len(s.lines.waiting) for s in self._streams.values())}

    # --- records -----------------------------------------------------------------------------------------------------

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        stream = self._stream(chunk)
        done: list[Joined[Item]] = []
        for item in _items(chunk):
            done += self._add(stream, item)
        if not self._buffers:
            done += stream.lines.flush()
        if all(len(joined.items) == 1 and joined.items[0].index >= 0 for joined in done):
            left = [chunk.select([joined.items[0].index for joined in done])] if done else []
        else:
            left = [self._chunk(done, chunk)]
        for item in stream.lines.waiting:
            item.index = -1
        return left

    def _add(self, stream: _Stream, item: Item) -> list[Joined[Item]]:
        try:
            values = zip(self._names, self._reader.read(item.raw), strict=True)
            fields = {name: value for name, value in values if value is not MISSING}
        except UNREADABLE:
            self._counts["unread"] += 1
            return [*stream.lines.flush(), Joined("", [item], None, None)]
        if self._partial and fields.get("partial_message") not in ("true", True):
            return [Joined("", [item], None, None)]
        return stream.lines.add("", item, fields=fields, now=self._clock())

    def _stream(self, chunk: Chunk) -> _Stream:
        file = chunk.origin.file if chunk.origin is not None else ""
        key = (chunk.table, chunk.cluster, chunk.source, chunk.tag, file)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _Stream(self._parsers, self._key, self._limit, chunk)
        # not the chunk itself: that would keep its data
        stream.like = chunk.select([]) if len(chunk) else chunk
        return stream

    def _chunk(self, done: Sequence[Joined[Item]], like: Chunk) -> Chunk:
        records: list[tuple[bytes, bytes, Note | None]] = []
        times = array("q")
        for joined in done:
            first = joined.items[0]
            alone = len(joined.items) == 1 and not joined.cut
            note = first.note if alone else flagged(first.note, *(() if not joined.cut else (CUT,)))
            records.append((first.raw if alone else self._made(joined), first.key, note))
            times.append(first.time_ns if joined.time_ns is None else joined.time_ns)
            self._counts["joined"] += len(joined.items) - 1
            self._counts["cut"] += joined.cut
        return record_chunk(like, records, times)

    def _made(self, joined: Joined[Item]) -> bytes:
        fields: dict[str, Any] = fields_of(joined.items[0].raw)
        for name, value in (joined.fields or {}).items():
            if name not in fields or name == self._key:
                fields[name] = value
        for name in _PARTIAL if self._partial else ():
            fields.pop(name, None)
        return encode(fields)

    # --- what is held back -------------------------------------------------------------------------------------------

    def expire(self, *, everything: bool = False) -> Sequence[Chunk]:
        """What waited long enough, or all that is held."""
        left = []
        now = self._clock()
        for key, stream in list(self._streams.items()):
            done = stream.lines.flush() if everything else stream.lines.expired(now)
            if done:
                left.append(self._chunk(done, stream.like))
            if not stream.lines.waiting:
                del self._streams[key]
        return left

    def held(self) -> bytes:
        """All that is held, for `restore`; b"" for nothing."""
        found = [Held(s.like.header(), s.lines.waiting) for s in self._streams.values() if s.lines.waiting]
        return msgspec.msgpack.encode(found) if found else b""

    def restore(self, held: bytes) -> None:
        """From now on exactly this is held."""
        self._streams.clear()
        for part in _held(held) if held else ():
            stream = self._stream(Chunk.from_parts(part.header, b""))
            for item in part.items:
                self._add(stream, item)


def _items(chunk: Chunk) -> list[Item]:
    shown = objects(chunk)
    times = times_ns(chunk)
    return [
        Item(bytes(shown[i]), chunk.key(i), placed(chunk, i, start), times[i], i)
        for i, (start, _) in enumerate(chunk.spans())
    ]


def _as_told(parser: MultilineParser, key: str, wait: float) -> MultilineParser:
    """With the filter's key and time, where these are for it."""
    return replace(parser, key_content=key or parser.key_content, wait=wait if parser.wait is not None else None)


def _partial_message(key: str, wait: float) -> MultilineParser:
    return MultilineParser(
        "partial_message", "equal", match_string="true", key_content=key, key_pattern="partial_last",
        key_group="partial_id", wait=wait,
    )  # fmt: skip
