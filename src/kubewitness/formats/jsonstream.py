"""JSON values one after the other, on lines of their own or spread over several, as a pipe brings them.

What is no JSON is told line by line, so that the values around it are not lost with it. A stream of lines that each
hold one object is never looked at twice.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import msgspec

#: a value longer than this is not kept whole (bytes)
LIMIT = 16 * 1024 * 1024
#: what is kept of a value that is too long
_HEAD = 64 * 1024

_SPACE = b" \t\r\n"
_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


class _Object(msgspec.Struct):
    """Any JSON object: read through, nothing kept."""


_is_object = msgspec.json.Decoder(_Object).decode


class Bad(NamedTuple):
    """Bytes that are no JSON object or array. `raw` may be capped, `length` is what there was."""

    raw: bytes
    offset: int
    length: int
    reason: str


class JsonStream:
    """Feed it blocks; it gives each object or array as bytes on one line, and what is neither as `Bad`."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = b""
        #: stream offset of the buffer
        self._base = 0
        #: nothing new can be found before the buffer is as long as this
        self._enough = 0
        #: of a value that is too long and whose end is looked for: its head, and how long it is so far
        self._long = b""
        self._length = 0

    def feed(self, block: bytes, *, more: bool = False) -> list[bytes | Bad]:
        """The values that end in this block. `more`: the next block is there already, so that a long value need not be
        looked at each time."""
        self._buffer = self._buffer + block if self._buffer else block
        if more and len(self._buffer) < self._enough:
            return []
        return self._take(last=False)

    def close(self) -> list[bytes | Bad]:
        """At the end of the stream."""
        found = self._take(last=True)
        if self._length:
            found.append(self._too_long())
        self._buffer, self._base = b"", 0
        return found

    def _take(self, *, last: bool) -> list[bytes | Bad]:
        out: list[bytes | Bad] = []
        at = self._skipped(out) if self._length else 0
        buffer = self._buffer
        text = ""
        while not self._length:
            while at < len(buffer) and buffer[at] in _SPACE:
                at += 1
            if at == len(buffer):
                break
            end = buffer.find(b"\n", at)
            if end > 0 and _is_line(buffer[at:end]):
                out.append(buffer[at:end].rstrip())
                at = end + 1
                continue
            text = text or buffer.decode("latin-1")  # a character is a byte
            end, wrong = _value(text, at)
            if wrong == "open" and not last:
                if len(buffer) - at > self._limit:
                    self._length, self._long = len(buffer) - at, buffer[at : at + _HEAD]
                    at = len(buffer)
                break
            if wrong:
                end = _line_end(buffer, at, end, last)
                if end < 0:
                    break  # the rest of the line will come
                reason = "a JSON value that does not end" if wrong == "open" else f"not JSON: {wrong}"
                out.append(Bad(buffer[at:end].rstrip()[:_HEAD], self._base + at, end - at, reason))
            elif end == len(buffer) and buffer[at] not in b'{["' and not last:
                break  # a number may go on
            else:
                out.append(self._found(buffer[at:end], at))
            at = end
        self._base += at
        self._buffer = buffer[at:]
        self._enough = len(self._buffer) * 3 // 2
        return out

    def _found(self, raw: bytes, at: int) -> bytes | Bad:
        if raw[:1] not in (b"{", b"["):
            return Bad(raw[:_HEAD], self._base + at, len(raw), "no JSON object")
        try:
            return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw
        except msgspec.MsgspecError as e:
            return Bad(raw[:_HEAD], self._base + at, len(raw), f"not JSON: {e}")

    def _skipped(self, out: list[bytes | Bad]) -> int:
        """Behind a value that is too long: on with the next line."""
        end = self._buffer.find(b"\n") + 1
        self._length += end or len(self._buffer)
        if end:
            out.append(self._too_long())
        return end or len(self._buffer)

    def _too_long(self) -> Bad:
        length, self._length = self._length, 0
        return Bad(self._long, self._base, length, f"longer than a value may be ({self._limit} bytes)")


def _is_line(line: bytes) -> bool:
    """Whether it is one whole object."""
    try:
        _is_object(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _value(text: str, at: int) -> tuple[int, str]:
    """(where the value ends, "") or (where it goes wrong, what is wrong); "open" when only its end is missing."""
    try:
        return _scan(text, at)[1], ""
    except json.JSONDecodeError as e:
        rest = text[e.pos :].rstrip()
        cut = (
            not rest
            or e.msg.startswith("Unterminated string")
            or (e.msg.startswith("Invalid \\") and len(rest) < 7)
            or any(word.startswith(rest) for word in _WORDS)
        )
        return e.pos, "open" if cut else e.msg
    except RecursionError:
        return at, "nested too deeply"


def _line_end(buffer: bytes, at: int, wrong: int, last: bool) -> int:
    """Where the lines end that are given up: before the line in which something is wrong, if the value began in an
    earlier one. -1: not there yet."""
    end = buffer.rfind(b"\n", at, wrong)
    if end < 0:
        end = buffer.find(b"\n", wrong)
    if end < 0:
        return len(buffer) if last else -1
    return end
