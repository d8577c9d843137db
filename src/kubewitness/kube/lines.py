"""Bytes in, lines out, wherever the network cut them."""

from __future__ import annotations

from kubewitness.errors import Malformed


class LineSplitter:
    """Holds back what is not yet a whole line. A line over `limit` bytes is Malformed: the stream cannot go on."""

    def __init__(self, limit: int = 32 * 1024 * 1024) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are now complete, without their newlines; empty lines are left out."""
        head, newline, rest = data.partition(b"\n")
        if not newline:
            self._hold(data)
            return []
        lines = rest.split(b"\n")
        last = lines.pop()
        first = b"".join((*self._parts, head))
        self._parts, self._held = [], 0
        self._hold(last)
        return [line for line in (first, *lines) if line.strip()]

    def rest(self) -> bytes:
        """What was left without a newline when the stream ended."""
        rest = b"".join(self._parts)
        self._parts, self._held = [], 0
        return rest

    def _hold(self, part: bytes) -> None:
        if part:
            self._held += len(part)
            if self._held > self._limit:
                raise Malformed(f"a line of the watch is longer than {self._limit} bytes")
            self._parts.append(part)
