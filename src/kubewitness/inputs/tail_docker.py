"""Records of several docker lines: `docker_mode_parser`.

A record begins with a line whose text the parser fits; lines of the same stream whose text it does not fit go on with
it. What comes of them is one docker line: the first one's, its `log` the text of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from kubewitness.contracts import Parser
from kubewitness.formats import logshapes
from kubewitness.parsers.joined import LIMIT, Joined

T = TypeVar("T")


class _Line(msgspec.Struct):
    log: str
    stream: str = ""


_line = msgspec.json.Decoder(_Line).decode


@dataclass(slots=True)
class _Record(Generic[T]):
    """What waits for its next line."""

    lines: list[bytes] = field(default_factory=list)
    items: list[T] = field(default_factory=list)
    size: int = 0
    at: float = 0.0


class DockerLines(Generic[T]):
    """As `parsers.multiline.Multiline`, for one file. `parser`: takes the one line apart in the end."""

    def __init__(self, first: Parser, parser: Parser | None, *, wait: float, limit: int = LIMIT) -> None:
        self._first = first
        self._parser = parser
        self._wait = wait
        self._limit = limit
        self._open: dict[str, _Record[T]] = {}

    def add(self, text: str, item: T, *, fields: Mapping[str, Any] | None = None, now: float = 0.0) -> list[Joined[T]]:
        raw = text.encode("utf-8", "surrogateescape")
        try:
            raw = logshapes.docker_joined(raw) if b"\n" in raw else raw
            line = _line(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return [Joined(text, [item], None, None)]
        waiting = self._open.get(line.stream)
        begins = self._first.parse(line.log.removesuffix("\n").encode("utf-8", "surrogatepass")) is not None
        done: list[Joined[T]] = []
        if waiting is not None and (begins or waiting.size + len(raw) > self._limit):
            done = [self._made(self._open.pop(line.stream), cut=not begins)]
            waiting = None
        if waiting is None:
            if not begins and not done:
                return [self._made(_Record([raw], [item]))]
            waiting = self._open[line.stream] = _Record()
        waiting.lines.append(raw)
        waiting.items.append(item)
        waiting.size += len(raw)
        waiting.at = now
        return done

    def _made(self, record: _Record[T], *, cut: bool = False) -> Joined[T]:
        raw = logshapes.docker_joined(b"\n".join(record.lines)) if len(record.lines) > 1 else record.lines[0]
        parsed = self._parser.parse(raw) if self._parser is not None else None
        if parsed is None:
            return Joined(raw.decode("utf-8", "backslashreplace"), record.items, None, None, cut)
        return Joined("", record.items, parsed.fields, parsed.time_ns, cut)

    def expired(self, now: float) -> list[Joined[T]]:
        late = [stream for stream, record in self._open.items() if now - record.at >= self._wait]
        return [self._made(self._open.pop(stream)) for stream in late]

    def flush(self) -> list[Joined[T]]:
        done = [self._made(record) for record in self._open.values()]
        self._open = {}
        return done

    @property
    def waiting(self) -> list[T]:
        return [item for record in self._open.values() for item in record.items]
