"""Where messages begin and end in a stream of bytes: by a separator, by a count in front, or as JSON values. Pure.

Each has `feed` (the messages that end in a block) and `close` (what is left at the end of the stream).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec


class Cut(NamedTuple):
    """A message. `whole` False: it was longer than the limit, and this is a piece of it."""

    data: bytes
    whole: bool = True


class Unframed(Exception):
    """Where the next message begins is not known. `found`: the messages before; `rest`: what is left."""

    def __init__(self, reason: str, found: Sequence[Cut] = (), rest: bytes = b"") -> None:
        super().__init__(reason)
        self.found = found
        self.rest = rest


class Framing(Protocol):
    """Of one connection."""

    @property
    def pending(self) -> int:
        """Bytes of a message that has begun."""
        ...

    def feed(self, data: bytes) -> list[Cut]:
        """Raises Unframed."""
        ...

    def close(self) -> list[Cut]:
        """At the end of the stream, where the last message may have no end."""
        ...


class Separated:
    """Messages with a separator behind each; empty ones are none. Longer ones than `limit` bytes come in pieces."""

    def __init__(self, separator: bytes, limit: int, *, also: bytes = b"") -> None:
        """`also`: another byte that separates."""
        self._separator = separator
        self._also = also
        self._limit = limit
        self._rest = b""

    @property
    def pending(self) -> int:
        return len(self._rest)

    def feed(self, data: bytes) -> list[Cut]:
        if self._also:
            data = data.replace(self._also, self._separator)
        parts = (self._rest + data).split(self._separator)
        self._rest = parts.pop()
        found = [cut for part in parts for cut in self._cut(part)]
        if len(self._rest) > self._limit:
            whole = len(self._rest) - len(self._rest) % self._limit
            found += [Cut(self._rest[i : i + self._limit], False) for i in range(0, whole, self._limit)]
            self._rest = self._rest[whole:]
        return found

    def close(self) -> list[Cut]:
        rest, self._rest = self._rest, b""
        return self._cut(rest)

    def _cut(self, part: bytes) -> list[Cut]:
        if self._separator == b"\n":
            part = part.removesuffix(b"\r")
        if len(part) <= self._limit:
            return [Cut(part)] if part else []
        return [Cut(part[i : i + self._limit], False) for i in range(0, len(part), self._limit)]


class Counted:
    """Octet counting of RFC 6587: the number of a message's bytes, a space, the message. A newline behind it is no part
    of the next one, as some senders write it."""

    _HEAD = re.compile(rb"\n*(\d{1,9}) ")
    _BEGUN = re.compile(rb"\n*\d{0,9}")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""

    @property
    def pending(self) -> int:
        return len(self._rest)

    def feed(self, data: bytes) -> list[Cut]:
        data = self._rest + data
        found: list[Cut] = []
        at = 0
        while at < len(data):
            head = self._HEAD.match(data, at)
            if head is None:
                begun = self._BEGUN.match(data, at)
                if begun is not None and begun.end() == len(data):
                    break
                raise Unframed("no count of bytes in front of a message", found, data[at:])
            size = int(head[1])
            if size > self._limit:
                raise Unframed(f"a message of {size} bytes; the limit is {self._limit}", found, data[at:])
            if head.end() + size > len(data):
                break
            found.append(Cut(data[head.end() : head.end() + size]))
            at = head.end() + size
        self._rest = data[at:]
        return [cut for cut in found if cut.data]

    def close(self) -> list[Cut]:
        """What has come of the last one."""
        rest, self._rest = self._rest.lstrip(b"\n"), b""
        head = self._HEAD.match(rest)
        return [Cut(rest[head.end() :] if head else rest, False)] if rest else []


class CountedOrSeparated:
    """Whichever the first byte of the connection tells: a digit begins a count, a syslog message begins with `<`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._framing: Framing | None = None

    @property
    def pending(self) -> int:
        return self._framing.pending if self._framing is not None else 0

    def feed(self, data: bytes) -> list[Cut]:
        if self._framing is None:
            counted = data[:1].isdigit()
            self._framing = Counted(self._limit) if counted else Separated(b"\n", self._limit, also=b"\0")
        return self._framing.feed(data)

    def close(self) -> list[Cut]:
        return self._framing.close() if self._framing is not None else []


class _Object(msgspec.Struct, gc=False):
    """Any JSON object: read through, nothing kept."""


class JsonValues:
    """JSON values one after another, with white space between them or nothing; what is not whole is marked.

    A value whose line ends within it, and whose next line is an object of its own, is broken, and ends there.
    """

    _TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
    _SPACES = re.compile(rb"[\s,]*")
    _WORD = re.compile(rb"[^\s{\[]+")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = b""
        #: how far the value that has begun was looked at, and the brackets open there
        self._seen = self._depth = 0

    @property
    def pending(self) -> int:
        return len(self._rest)

    def feed(self, data: bytes) -> list[Cut]:
        """Raises Unframed for a value longer than the limit."""
        if not self._rest:
            end = data.rfind(b"\n") + 1
            lines = _objects(data[:end])
            if lines:
                try:
                    return lines + self._values(data[end:])
                except Unframed as e:
                    raise Unframed(str(e), [*lines, *e.found], e.rest) from e
        return self._values(self._rest + data)

    def close(self) -> list[Cut]:
        rest, self._rest, self._seen, self._depth = self._rest.strip(), b"", 0, 0
        return [Cut(rest, _is_value(rest))] if rest else []

    def _values(self, data: bytes) -> list[Cut]:
        found = []
        at, seen, depth = 0, self._seen, self._depth
        while True:
            if not seen:
                spaces = self._SPACES.match(data, at)
                at = spaces.end() if spaces is not None else at
            if at == len(data):
                break
            end, seen, depth = self._end_of(data, at, max(seen, at), depth)
            if end < 0 and (end := _broken_at(data, at)) > 0:
                found.append(Cut(data[at:end].strip(), False))
            elif end < 0:
                break
            else:
                found.append(Cut(data[at:end]))
            at, seen, depth = end, 0, 0
        self._rest = data[at:]
        self._seen, self._depth = max(0, seen - at), depth
        if len(self._rest) > self._limit:
            raise Unframed(f"a value of more than {self._limit} bytes", found, self._rest)
        return found

    def _end_of(self, data: bytes, start: int, seen: int, depth: int) -> tuple[int, int, int]:
        """(end of the value that begins at `start`, or -1; how far was looked; brackets open there)."""
        if data[start] == 0x22:
            text = self._TOKEN.match(data, start)
            return (text.end() if text is not None and text.end() > start + 1 else -1), 0, 0
        if data[start] not in b"{[":
            word = self._WORD.match(data, start)
            return (word.end() if word is not None and word.end() < len(data) else -1), 0, 0
        for token in self._TOKEN.finditer(data, seen):
            seen = token.end()
            byte = data[token.start()]
            if byte in b"{[":
                depth += 1
            elif byte in b"}]":
                depth -= 1
                if not depth:
                    return seen, seen, 0
            elif seen - token.start() == 1:
                return -1, token.start(), depth  # a text that has no end yet
        return -1, seen, depth


def _objects(block: bytes) -> list[Cut]:
    """Of a block that is one object a line; else nothing. Many times as fast as looking for brackets."""
    lines = [line for part in block.split(b"\n") if (line := part.strip())]
    if not all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
        return []
    try:
        return [Cut(line) for line in lines] if len(_lines(block)) == len(lines) else []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def _broken_at(data: bytes, start: int) -> int:
    """Where the value that begins there is broken off by an object on a line of its own; -1: it may go on."""
    at = start
    while (at := data.find(b"\n{", at)) >= 0:
        end = data.find(b"\n", at + 1)
        if end < 0:
            return -1
        if _is_value(data[at:end]):
            return at + 1
        at = end
    return -1


def _is_value(data: bytes) -> bool:
    try:
        _value(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


_lines = msgspec.json.Decoder(_Object).decode_lines
_value = msgspec.json.Decoder().decode
