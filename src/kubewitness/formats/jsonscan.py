"""A scanner that finds JSON values in a stream, piece by piece, and opens up long lists.

It only follows strings and brackets, so that a document of any size is read in constant memory and one broken
item does not spoil its neighbours. Whoever takes a value decodes it and finds out whether it is valid.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: a value longer than this is not kept whole (bytes)
VALUE_LIMIT = 16 * 1024 * 1024
#: what is kept of a value that is too long, and of a document's beginning (bytes)
HEAD_LIMIT = 4096

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]]', re.DOTALL)
# everything up to the next bracket, strings as wholes (possessive: never tried again in another way)
_SKIP = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)
# the rest of a string, up to its closing quote
_IN_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_COLON = re.compile(rb"\s*:")
_SPACE = b" \t\r\n,\x1e"

# depth up to which keys are followed to find lists
_SHALLOW = 3

#: the lists whose elements are given one by one: the keys that lead to them from the top
_LIST_PATHS = frozenset(
    (("items",), ("events",), ("records",), ("logEvents",), ("results",), ("hits", "hits"), ("data", "result"))
)


class Value(NamedTuple):
    """One complete JSON object or array. `offset`: of its first byte in the stream."""

    raw: bytes
    offset: int
    #: the keys that led to the list it was in; () for a value of its own
    path: tuple[str, ...] = ()
    #: beginning of the document that the list is in
    head: bytes = b""


class Broken(NamedTuple):
    """Bytes that are no JSON value, or too many. `raw` is capped, `length` is not."""

    raw: bytes
    offset: int
    length: int
    reason: str


class DocumentScanner:
    """Feed it blocks; it gives values as they are complete."""

    def __init__(self, *, limit: int = VALUE_LIMIT, offset: int = 0) -> None:
        self.limit = limit
        self._buffer = b""
        self._base = offset  # stream offset of buffer[0]
        self._scan = 0  # where the search for tokens goes on
        self._start = -1  # where the value that is being read begins; -1 between values
        self._stack: list[int] = []  # brackets open around the current position, outermost first
        self._keys: list[str] = []  # the key under which each of them is, "" for none
        self._key = ""
        self._item_depth = 0  # depth at which values are given out: 0, or inside an opened list
        self._path: tuple[str, ...] = ()
        self._head = b""
        self._doc_start = -1
        self._doc_seen = False
        self._open_string: int | None = None  # where the string begins that is not at its end yet
        self._skipped = 0  # bytes of an oversized value already thrown away
        self._skip_head = b""

    @property
    def inside(self) -> bool:
        """Whether a value or document is open."""
        return bool(self._stack)

    @property
    def in_list(self) -> bool:
        """Whether the elements of a list are being given."""
        return self._item_depth > 0

    @property
    def begun(self) -> bool:
        """Whether any bracket was seen."""
        return self._doc_seen

    @property
    def offset(self) -> int:
        """Stream offset up to which bytes were fed."""
        return self._base + len(self._buffer)

    def feed(self, block: bytes) -> list[Value | Broken]:
        """The values that end in this block, in order."""
        self._buffer = self._buffer + block if self._buffer else block
        out: list[Value | Broken] = []
        position = self._scan
        while True:
            if self._open_string is not None:
                position = self._end_string(position, out)
                if self._open_string is not None:
                    break
            depth = len(self._stack)
            before = position
            position = self._deep(position, out) if self._is_deep else self._shallow(position, out)
            if position == before and len(self._stack) == depth and self._open_string is None:
                break
        self._scan = position
        self._shrink()
        return out

    @property
    def _is_deep(self) -> bool:
        depth = len(self._stack)
        return depth > self._item_depth and (self._item_depth > 0 or depth > _SHALLOW)

    def _begin_string(self, at: int) -> int:
        """A string that does not end in this block. Returns where its text begins."""
        self._open_string = at
        return at + 1

    def _end_string(self, position: int, out: list[Value | Broken]) -> int:
        """Looks for the end of the open string from here; returns how far that came."""
        position = _IN_STRING.match(self._buffer, position).end()  # type: ignore[union-attr]
        if position < len(self._buffer) and self._buffer[position] == 0x22:
            start, self._open_string = self._open_string, None
            position += 1
            if not self._is_deep:
                self._string(max(start or 0, 0), position, out)
        return position

    def _deep(self, position: int, out: list[Value | Broken]) -> int:
        """Inside a value nothing but the nesting counts. Returns where it had to stop."""
        buffer, stack = self._buffer, self._stack
        floor = self._item_depth if self._item_depth else _SHALLOW
        length = len(buffer)
        while len(stack) > floor:
            position = _SKIP.match(buffer, position).end()  # type: ignore[union-attr]
            if position == length:
                break
            byte = buffer[position]
            if byte == 0x22:
                return self._begin_string(position)
            if byte in b"{[":
                stack.append(byte)
            elif len(stack) > floor + 1:
                stack.pop()
            else:
                self._close(position, byte, out)
            position += 1
        return position

    def _shallow(self, position: int, out: list[Value | Broken]) -> int:
        """Between values, and at the top of a document where keys matter. Returns where it had to stop."""
        buffer = self._buffer
        for match in _TOKEN.finditer(buffer, position):
            start = match.start()
            if len(self._stack) == self._item_depth and start > position:
                self._between(position, start, out)
            byte = buffer[start]
            if byte == 0x22:
                if match.end() - start == 1:
                    return self._begin_string(start)
                self._string(start, match.end(), out)
            elif byte in b"{[":
                self._open(start)
                if self._is_deep:
                    return match.end()
            else:
                self._close(start, byte, out)
            position = match.end()
        if len(self._stack) == self._item_depth:
            return self._rest(position, out)
        return len(buffer)

    def close(self) -> list[Value | Broken]:
        """At the end of the stream: what was left open, as broken."""
        length = len(self._buffer)
        begin = self._start if self._start >= 0 else self._scan
        if self._start < 0 and self._open_string is not None:
            begin = max(self._open_string, 0)
        left = self._buffer[begin:length]
        out: list[Value | Broken] = []
        if self._start >= 0 or left.strip(_SPACE):
            reason = "a JSON value that does not end" if self._stack else "not JSON"
            raw = (self._skip_head or left)[: self.limit]
            out.append(Broken(raw, self._base + begin - self._skipped, len(left) + self._skipped, reason))
        elif self._stack:
            out.append(Broken(self._head, self._base + length, 0, "a list that does not end: something is missing"))
        self.__init__(limit=self.limit, offset=self._base + length)  # type: ignore[misc]
        return out

    def _between(self, begin: int, end: int, out: list[Value | Broken]) -> None:
        """Bytes between values: space and commas, or something that should not be there."""
        text = self._buffer[begin:end]
        stripped = text.strip(_SPACE)
        if stripped and not (self._item_depth and stripped in (b"null",)):
            at = begin + text.find(stripped)
            out.append(Broken(stripped[: self.limit], self._base + at, len(stripped), "not a JSON object"))

    def _rest(self, position: int, out: list[Value | Broken]) -> int:
        """Text after the last token: complete lines of it are broken, the rest waits for the next block."""
        newline = self._buffer.rfind(b"\n", position) + 1
        if not newline and len(self._buffer) - position > HEAD_LIMIT:
            newline = len(self._buffer)
        if newline > position:
            self._between(position, newline, out)
            return newline
        return position

    def _string(self, start: int, end: int, out: list[Value | Broken]) -> None:
        depth = len(self._stack)
        if depth == self._item_depth:
            out.append(Broken(self._buffer[start:end][: self.limit], self._base + start, end - start, "a bare string"))
        elif depth <= _SHALLOW and not self._item_depth and self._stack[-1] == 0x7B:
            if _COLON.match(self._buffer, end):
                self._key = self._buffer[start + 1 : end - 1].decode("utf-8", "replace")
            elif end == len(self._buffer):
                # the colon may be in the next block; a value string here does no harm as a key
                self._key = self._buffer[start + 1 : end - 1].decode("utf-8", "replace")

    def _open(self, at: int) -> None:
        depth = len(self._stack)
        byte = self._buffer[at]
        if depth == self._item_depth:
            self._start = at
            if depth == 0:
                self._doc_start = at
                self._doc_seen = True
        self._stack.append(byte)
        if depth <= _SHALLOW and not self._item_depth:
            self._keys.append(self._key if depth else "")
            self._key = ""
            path = tuple(self._keys[1:])
            if byte == 0x5B and (path in _LIST_PATHS or depth == 0) and not self._skipped:
                self._item_depth = depth + 1
                self._path = path
                self._head = self._buffer[self._doc_start : at][:HEAD_LIMIT]
                self._start = -1

    def _close(self, at: int, byte: int, out: list[Value | Broken]) -> None:
        if not self._stack:
            out.append(Broken(bytes((byte,)), self._base + at, 1, "a closing bracket without an opening one"))
            return
        depth = len(self._stack)
        self._stack.pop()
        if depth == self._item_depth:  # the list that was opened up ends
            self._item_depth = 0
            del self._keys[depth - 1 :]
            self._path = ()
            return
        if not self._item_depth and len(self._keys) == depth:
            self._keys.pop()
        if depth - 1 != self._item_depth or self._start < 0:
            if not self._stack:
                self._keys.clear()
            return
        self._emit(at + 1, out)

    def _emit(self, end: int, out: list[Value | Broken]) -> None:
        start = self._start
        length = end - start + self._skipped
        offset = self._base + start - self._skipped
        if length > self.limit:
            raw = self._skip_head or self._buffer[start : start + HEAD_LIMIT]
            out.append(Broken(raw, offset, length, f"a JSON value of {length} bytes; the limit is {self.limit}"))
        else:
            out.append(Value(self._buffer[start:end], offset, self._path, self._head if self._item_depth else b""))
        self._start = -1
        self._skipped = 0
        self._skip_head = b""

    def _shrink(self) -> None:
        """Forgets what is behind; of a value over the limit only its beginning is kept."""
        keep = self._start if self._start >= 0 else self._scan
        if self._start < 0 and self._open_string is not None and self._scan - self._open_string <= HEAD_LIMIT:
            keep = max(self._open_string, 0)
        if self._start >= 0 and self._scan - self._start > self.limit:
            if not self._skip_head:
                self._skip_head = self._buffer[self._start : self._start + HEAD_LIMIT]
            self._skipped += self._scan - self._start
            keep = self._start = self._scan
        if keep == 0:
            return
        self._buffer = self._buffer[keep:]
        self._base += keep
        self._scan -= keep
        self._doc_start -= keep
        if self._open_string is not None:
            self._open_string -= keep
        if self._start >= 0:
            self._start -= keep
