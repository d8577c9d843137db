"""Lines of files taken apart by parsers, and joined by multiline parsers: chunks of form "record".

What no parser knows is {KEY: LINE}. A record of several lines has the offset and the identity of its first one; lines
whose record has not ended are part of the position, so that a restart begins with them.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from kubewitness.contracts import Parsed, Parser
from kubewitness.formats import logshapes
from kubewitness.inputs.rotation import Block
from kubewitness.inputs.tail_lines import CUT, LineReader, Open
from kubewitness.parsers.joined import Joined
from kubewitness.record import Chunk, ChunkBuilder, Note

_encode = msgspec.json.Encoder().encode
#: `Open.stream` of a line that is kept for a multiline parser
_HELD = "held"


class Held(NamedTuple):
    """A line, and where it is from."""

    raw: bytes
    offset: int
    identity: bytes
    key: bytes
    flags: tuple[str, ...]


class Machine(Protocol):
    """What joins lines: `parsers.multiline.Multiline`, or the older way (`tail_firstline`)."""

    def add(
        self, text: str, item: Held, *, fields: Mapping[str, Any] | None = None, now: float = 0.0
    ) -> list[Joined[Held]]: ...

    def expired(self, now: float) -> list[Joined[Held]]: ...

    def flush(self) -> list[Joined[Held]]: ...

    @property
    def waiting(self) -> list[Held]: ...


@dataclass(frozen=True, slots=True)
class Parsing:
    """What is done with the lines of each file: one parser, or a machine of its own."""

    parser: Parser | None = None
    machine: Callable[[], Machine] | None = None
    #: of the lines, as Python calls it
    encoding: str = "utf-8"


class ParsedReader:
    """As `LineReader`, whose lines it takes."""

    def __init__(self, lines: LineReader, how: Parsing) -> None:
        self._lines = lines
        self._parser = how.parser
        self._encoding = how.encoding
        self._machine = how.machine() if how.machine is not None else None
        self._ready: list[Joined[Held]] = []

    @property
    def skipped(self) -> int:
        return self._lines.skipped

    @skipped.setter
    def skipped(self, count: int) -> None:
        self._lines.skipped = count

    @property
    def open(self) -> dict[str, Open]:
        """What a restart must begin with."""
        waiting = self._machine.waiting if self._machine is not None else []
        held = {f"{_HELD}:{i}": Open(f"{_HELD}:{i}", h.identity, h.offset, h.raw) for i, h in enumerate(waiting)}
        return self._lines.open | held

    @open.setter
    def open(self, saved: dict[str, Open]) -> None:
        held = {stream for stream in saved if stream.startswith(f"{_HELD}:")}
        self._lines.open = {stream: one for stream, one in saved.items() if stream not in held}
        for one in sorted((saved[stream] for stream in held), key=lambda one: one.offset):
            self._take(Held(one.raw, one.offset, one.identity, self._lines.key_at(one.identity, one.offset), ()))

    def feed(self, block: Block) -> list[Chunk]:
        """The records that end in this block of whole lines."""
        return [made for chunk in self._lines.feed(block) for made in self._records(chunk, block.identity)]

    def _records(self, chunk: Chunk, identity: bytes) -> list[Chunk]:
        """What ends in a chunk of lines."""
        if self._machine is None:
            return [self._each(chunk)]
        for i, (start, end) in enumerate(chunk.spans()):
            note = chunk.notes.get(i)
            flags = note.flags if note is not None else ()
            self._take(Held(chunk.data[start:end], chunk.place(i, start)[1], identity, chunk.key(i), flags))
        return self._given()

    def idle(self, now: float) -> list[Chunk]:
        """When the file has no more: what waited too long for its next line."""
        if self._machine is not None:
            self._ready += self._machine.expired(now)
        return self._given()

    def finish(self) -> list[Chunk]:
        """What has no end and will get none."""
        made = [record for chunk in self._lines.finish() for record in self._records(chunk, b"")]
        if self._machine is not None:
            self._ready += self._machine.flush()
        return made + self._given()

    def _take(self, held: Held) -> None:
        if self._machine is not None:
            text = held.raw.decode(self._encoding, "backslashreplace")
            self._ready += self._machine.add(text, held, now=time.monotonic())

    def _each(self, chunk: Chunk) -> Chunk:
        """Each line for itself."""
        making = _Making(chunk)
        for i, (start, end) in enumerate(chunk.spans()):
            raw = chunk.data[start:end]
            note = chunk.notes.get(i)
            if b"\n" in raw and chunk.form == "docker":
                raw = logshapes.docker_joined(raw)
            if self._encoding != "utf-8":
                raw = raw.decode(self._encoding, "backslashreplace").encode()
            parsed = self._parser.parse(raw) if self._parser is not None else None
            making.add(raw, parsed, chunk.place(i, start)[1], chunk.key(i), note.flags if note is not None else ())
        return making.chunk()

    def _given(self) -> list[Chunk]:
        if not self._ready:
            return []
        making = _Making(self._lines.made(b"", array("I"), b"", -1, {}, lines=True))
        for record in self._ready:
            first = record.items[0]
            parsed = Parsed(record.fields, record.time_ns) if record.fields is not None else None
            flags = CUT if record.cut else first.flags
            making.add(record.text, parsed, first.offset, first.key, flags)
        self._ready = []
        return [making.chunk()]


class _Making:
    """A chunk of form "record" like another one of lines."""

    def __init__(self, like: Chunk) -> None:
        self._like = like
        self._origin = like.origin
        self._times = array("q")
        self._builder = ChunkBuilder(
            "logs",
            cluster=like.cluster,
            source=like.source,
            tag=like.tag,
            received_us=like.received_us,
            form="record",
        )

    def add(self, line: bytes | str, parsed: Parsed | None, offset: int, key: bytes, flags: Sequence[str]) -> None:
        origin = self._origin
        fields: dict[str, Any] = {}
        if origin is not None and origin.path_key:
            fields[origin.path_key] = origin.file
        if origin is not None and origin.offset_key:
            fields[origin.offset_key] = offset
        if parsed is not None:
            fields |= parsed.fields
        else:
            text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
            fields[origin.key if origin is not None else "log"] = text
        self._builder.add(_json(fields), key, Note(offset=offset, flags=tuple(flags)))
        time_ns = parsed.time_ns if parsed is not None else None
        self._times.append(time_ns if time_ns is not None else self._like.received_us * 1000)

    def chunk(self) -> Chunk:
        made = self._builder.take()
        made.times = self._times
        made.lines = True  # what encoders write holds no newline
        if self._origin is not None:
            made.origin = msgspec.structs.replace(self._origin, offset=-1, path_key="", offset_key="")
        return made


def _json(fields: dict[str, Any]) -> bytes:
    try:
        return _encode(fields)
    except UnicodeEncodeError:  # half of a UTF-16 pair, which a decoder of escapes may leave
        return _encode({str(k): _whole(v) for k, v in fields.items()})


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
