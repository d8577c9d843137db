"""Bodies without their content encoding, a piece at a time, so that a bomb is noticed before it has gone off."""

from __future__ import annotations

import zlib
from typing import Protocol

import zstandard

#: bytes of a compressed body that are unpacked at once
_STEP = 1024 * 1024
#: the same of zstd, whose output cannot be limited: it grows at most by some thousand times
_ZSTD_STEP = 16 * 1024

#: encodings that are understood
ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate", "zstd")


class TooLarge(Exception):
    """More than the limit."""


class NoRoom(Exception):
    """No memory is left for it."""


class Undecodable(Exception):
    """Broken, cut off, or of another encoding."""


class Packed(Protocol):
    """A body whose memory is counted (`receiver.Body`)."""

    data: bytes

    def grow(self, size: int) -> bool:
        """Whether there is room for so many bytes in all."""
        ...


def unpacked(body: Packed, encoding: str, limit: int) -> bytes:
    """The body without its encoding. Raises Undecodable, TooLarge above `limit` bytes, NoRoom."""
    kind = encoding.strip().lower()
    if kind not in ENCODINGS:
        raise Undecodable("an encoding we know")
    if kind in ("", "identity"):
        return body.data
    try:
        return _zstd(body, limit) if kind == "zstd" else _zlib(body, limit, 15 if kind == "deflate" else 47)
    except (zlib.error, zstandard.ZstdError) as e:
        raise Undecodable(str(e)) from e


class _Parts:
    """What came out so far."""

    def __init__(self, body: Packed, limit: int) -> None:
        self._body = body
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise TooLarge
        if not self._body.grow(len(self._body.data) + self._size):
            raise NoRoom
        self._parts.append(part)

    def joined(self) -> bytes:
        return b"".join(self._parts)


def _zlib(body: Packed, limit: int, wbits: int) -> bytes:
    parts = _Parts(body, limit)
    unpacker = zlib.decompressobj(wbits=wbits)
    rest = body.data
    while True:
        part = unpacker.decompress(rest, _STEP)
        rest = unpacker.unconsumed_tail
        parts.add(part)
        if unpacker.eof:
            rest = unpacker.unused_data
            if not rest:
                return parts.joined()
            unpacker = zlib.decompressobj(wbits=wbits)  # several streams one after another are one body
            continue
        if not part and not rest:
            raise Undecodable("the end is missing")


def _zstd(body: Packed, limit: int) -> bytes:
    parts = _Parts(body, limit)
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    rest = memoryview(body.data)
    begun = False
    while rest:
        parts.add(unpacker.decompress(rest[:_ZSTD_STEP]))
        begun, rest = True, rest[_ZSTD_STEP:]
        if unpacker.eof:
            rest = memoryview(unpacker.unused_data + bytes(rest))
            unpacker, begun = zstandard.ZstdDecompressor().decompressobj(), False
    if begun or not body.data:
        raise Undecodable("the end is missing")
    return parts.joined()
