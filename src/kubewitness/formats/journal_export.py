"""systemd's Journal Export Format, as `journalctl --output=export` writes it.

An entry is its fields, a line each (`NAME=TEXT`), and an empty line. A value that is not one line of text stands behind
its size: `NAME`, a newline, 64 bits little-endian, the bytes, a newline. A name may be there several times. Names
with two underscores are about the entry, not of it. Source: systemd.io/JOURNAL_EXPORT_FORMATS.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_SIZE = struct.Struct("<Q")


class Entry(NamedTuple):
    """One entry of the journal."""

    cursor: str
    #: microseconds since 1970, when journald received it; 0 when that is not said
    us: int
    #: (name, value) in order, without those about the entry
    fields: list[tuple[str, bytes]]


class ExportReader:
    """Feed it blocks; it gives entries as they are complete."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, block: bytes) -> list[Entry]:
        self._buffer += block
        entries: list[Entry] = []
        at = 0
        while (found := self._entry(at)) is not None:
            at, pairs = found
            if pairs:
                entries.append(_made(pairs))
        self._buffer = self._buffer[at:]
        return entries

    def _entry(self, at: int) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        """(where the next one begins, the fields); None when its end is not there yet."""
        buffer = self._buffer
        end = buffer.find(b"\n\n", at)
        if end >= 0 and buffer[at : at + 1] != b"\n":
            # most entries are lines of text only; the name of another value has a line of its own before it
            pairs = [line.partition(b"=") for line in buffer[at:end].split(b"\n")]
            if all(equals for _, equals, _ in pairs):
                return end + 2, [(name, value) for name, _, value in pairs]
        return self._slow(at)

    def _slow(self, at: int) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        buffer = self._buffer
        found: list[tuple[bytes, bytes]] = []
        while (end := buffer.find(b"\n", at)) >= 0:
            line = buffer[at:end]
            at = end + 1
            if not line:
                return at, found
            name, equals, value = line.partition(b"=")
            if not equals:
                if len(buffer) < at + 8:
                    return None
                begin = at + 8
                end = begin + _SIZE.unpack_from(buffer, at)[0]
                if len(buffer) <= end:
                    return None
                value, at = buffer[begin:end], end + 1
            found.append((name, value))
        return None


def _made(pairs: list[tuple[bytes, bytes]]) -> Entry:
    about: dict[bytes, bytes] = {}
    fields: list[tuple[str, bytes]] = []
    for name, value in pairs:
        if name.startswith(b"__"):
            about[name] = value
        else:
            fields.append((name.decode("ascii", "backslashreplace"), value))
    us = about.get(b"__REALTIME_TIMESTAMP", b"")
    return Entry(about.get(b"__CURSOR", b"").decode("ascii", "replace"), int(us) if us.isdigit() else 0, fields)
