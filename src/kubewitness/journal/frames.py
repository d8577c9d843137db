"""A chunk as the journal holds it: header bytes, one zstd frame, and a checksum over both."""

from __future__ import annotations

import threading
import zlib
from typing import NamedTuple

import zstandard

from kubewitness.record import Chunk

#: Level 1: the journal is a queue; on audit records higher levels cost several times the CPU for a fifth of the bytes.
LEVEL = 1


class Frame(NamedTuple):
    """A chunk undecoded. `frame` is a complete zstd frame (with content size) of the chunk's `data`."""

    seq: int
    header: bytes
    frame: bytes


class Packed(NamedTuple):
    """A chunk ready to be stored."""

    header: bytes
    frame: bytes
    sum: int

    @property
    def size(self) -> int:
        return len(self.header) + len(self.frame)


class _PerThread(threading.local):
    """zstandard's objects must not be used by two threads at once."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=LEVEL, write_content_size=True).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _PerThread()


def checksum(header: bytes, frame: bytes) -> int:
    """CRC-32 of the header followed by the frame."""
    return zlib.crc32(frame, zlib.crc32(header))


def pack(chunk: Chunk) -> Packed:
    """Compresses a chunk."""
    header, frame = chunk.header(), _zstd.compress(chunk.data)
    return Packed(header, frame, checksum(header, frame))


def unpack(frame: Frame) -> Chunk:
    """The inverse of `pack`. Call it only with bytes whose checksum was right."""
    return Chunk.from_parts(frame.header, _zstd.decompress(frame.frame))
