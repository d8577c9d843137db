"""Which files an import reads, in which order, and their bytes: plain, gzip or zstd, a block at a time."""

from __future__ import annotations

import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kubewitness.errors import Malformed, UsageError

#: decompressed bytes that are worked on at once; larger ones fall out of the processor's cache
BLOCK = 256 * 1024
#: compressed bytes that are decompressed at once: little, because a little may become very much
_SLICE = 16 * 1024

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_NUMBERED = re.compile(r"(.*?)\.(\d+)(\.gz|\.zst)?$")


class Source(NamedTuple):
    """One thing to read. `size` in bytes as stored, 0 when unknown (stdin, a pipe); `changed_us`: when it was
    changed last, microseconds UTC, 0 when unknown."""

    name: str
    path: Path | None
    size: int
    changed_us: int = 0


def find(paths: Sequence[str]) -> list[Source]:
    """The files of the given files, folders (searched to any depth) and `-`, oldest first within a folder.

    Raises UsageError when one does not exist or holds nothing.
    """
    found: list[Source] = []
    for text in paths:
        if text == "-":
            found.append(Source("-", None, 0))
            continue
        path = Path(text)
        try:
            mode = path.stat().st_mode
        except OSError as e:
            raise UsageError(f"{text}: {e.strerror}; name a file, a folder, or - for standard input") from e
        if stat.S_ISDIR(mode):
            inside = [_source(file) for file in _walk(path)]
            if not inside:
                raise UsageError(f"{text}: the folder holds no files")
            found += inside
        else:
            found.append(_source(path))
    return found


def _source(path: Path) -> Source:
    about = path.stat()
    regular = stat.S_ISREG(about.st_mode)
    return Source(str(path), path, about.st_size if regular else 0, about.st_mtime_ns // 1000 if regular else 0)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(root) / name for name in files if not name.startswith(".")]
        yield from sorted((path for path in paths if path.is_file()), key=lambda path: age_key(path.name))


def age_key(name: str) -> tuple[str, int, str]:
    """Sorts rotated files before the live one: audit-<time>.log, audit.log and log.2.gz, log.1, log."""
    match = _NUMBERED.fullmatch(name)
    if match is not None:
        return match[1], -int(match[2]), name
    return name.removesuffix(".gz").removesuffix(".zst"), 0, name


def read(source: Source, taken: Callable[[int], None]) -> Iterator[bytes]:
    """The decompressed bytes of a source, in blocks of about BLOCK. `taken` is told the stored bytes read so far.

    Raises Malformed when compressed data is damaged or ends early; what came before was given.
    """
    if source.path is None:
        yield from _decompressed(sys.stdin.buffer, taken)
        return
    try:
        with source.path.open("rb", buffering=0) as file:
            yield from _decompressed(file, taken)
    except OSError as e:
        raise Malformed(f"cannot be read: {e.strerror}") from e


def _decompressed(file: BinaryIO, taken: Callable[[int], None]) -> Iterator[bytes]:
    head = b""
    while len(head) < 4 and (more := file.read(4 - len(head))):
        head += more
    if head.startswith(_GZIP):
        yield from _blocks(_gzip(_slices(file, head, taken)))
    elif head.startswith(_ZSTD):
        yield from _blocks(_zstd(_slices(file, head, taken)))
    else:
        yield from _plain(file, head, taken)


def _plain(file: BinaryIO, head: bytes, taken: Callable[[int], None]) -> Iterator[bytes]:
    total = 0
    while block := file.read(BLOCK):
        block, head = (head + block, b"") if head else (block, b"")
        total += len(block)
        yield block
        taken(total)
    if head:
        yield head


def _slices(file: BinaryIO, head: bytes, taken: Callable[[int], None]) -> Iterator[bytes]:
    total = len(head)
    yield head
    while data := file.read(BLOCK):
        for start in range(0, len(data), _SLICE):
            yield data[start : start + _SLICE]
        total += len(data)
        taken(total)


def _gzip(slices: Iterator[bytes]) -> Iterator[bytes]:
    """Any number of gzip members, one after another."""
    member = zlib.decompressobj(wbits=31)
    fresh = True
    for data in slices:
        while data:
            try:
                out = member.decompress(data, BLOCK)
            except zlib.error as e:
                raise Malformed(f"damaged gzip data: {e}") from e
            fresh = False
            if out:
                yield out
            if member.eof:
                data, member, fresh = member.unused_data.lstrip(b"\0"), zlib.decompressobj(wbits=31), True
            else:
                data = member.unconsumed_tail
    if not fresh:
        raise Malformed("the gzip data ends early: the file is incomplete")


def _zstd(slices: Iterator[bytes]) -> Iterator[bytes]:
    """Any number of zstd frames, one after another."""
    import zstandard

    make = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj
    frame = make()
    fresh = True
    for data in slices:
        while data:
            try:
                out = frame.decompress(data)
            except zstandard.ZstdError as e:
                raise Malformed(f"damaged zstd data: {e}") from e
            fresh = False
            if out:
                yield out
            if not frame.eof:
                break
            data, frame, fresh = frame.unused_data, make(), True
    if not fresh:
        raise Malformed("the zstd data ends early: the file is incomplete")


def _blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of about BLOCK."""
    parts: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            parts.append(piece)
            size += len(piece)
            if size >= BLOCK:
                block = b"".join(parts)
                parts, size = [], 0
                for start in range(0, len(block), 4 * BLOCK):
                    yield block[start : start + 4 * BLOCK]
    except Malformed:
        if parts:
            yield b"".join(parts)
        raise
    if parts:
        yield b"".join(parts)
