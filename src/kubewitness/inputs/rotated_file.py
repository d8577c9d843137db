"""One log file on the disk: opened, known by its first bytes, and what a position says about it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from kubewitness.inputs.forwards import Forwards
from kubewitness.inputs.gunzip import first_bytes

#: read at once (bytes)
BLOCK = 256 * 1024
#: a file is known by so many of its first bytes
PRINT_BYTES = 1024


class Saved(msgspec.Struct, array_like=True):
    """One file in a position."""

    inode: int
    print: str
    print_bytes: int
    offset: int
    mtime_ns: int


class Position(msgspec.Struct):
    """Files not finished (oldest first), files finished lately, and the time before which none is new."""

    files: list[Saved]
    done: list[Saved]
    floor_ns: int = 0


class Block(NamedTuple):
    """Whole lines. `length` is set for a line over the limit, of which `data` is only the beginning."""

    data: bytes
    file: str
    offset: int
    length: int = 0
    #: what the file is known by, as long as it lives: its inode and its first line
    identity: bytes = b""


@dataclass(slots=True)
class OpenFile:
    """A file being read. `name` is the one it had when it was opened."""

    name: str
    handle: int
    inode: int
    offset: int = 0
    print: str = ""
    print_bytes: int = 0
    #: what was there at the last look; nothing is read while it stays so
    size: int = -1
    mtime_ns: int = 0
    #: when it was last seen to grow (the caller's clock)
    grew: float = 0.0
    #: where the search for the end of an overlong line goes on
    searched: int = 0
    #: of a compressed file; offsets are those of its contents
    unpacked: Forwards | None = None
    identity: bytes = b""

    def pread(self, length: int, offset: int) -> bytes:
        return self.unpacked.pread(length, offset) if self.unpacked else os.pread(self.handle, length, offset)

    def block(self, data: bytes, length: int = 0) -> Block:
        """What was read at `offset`."""
        if not self.identity:
            start = self.pread(PRINT_BYTES, 0).partition(b"\n")[0]
            self.identity = hashlib.blake2b(start, digest_size=16, salt=self.inode.to_bytes(8, "big")).digest()
        return Block(data, self.name, self.offset, length, self.identity)

    def saved(self) -> Saved:
        return Saved(self.inode, self.print, self.print_bytes, self.offset, self.mtime_ns)


def pread(handle: int, length: int, offset: int) -> bytes:
    return os.pread(handle, length, offset)


def head_of(handle: int, name: Path | str) -> bytes:
    """The first bytes of a file, unpacked."""
    if str(name).endswith(".gz"):
        return first_bytes(handle, PRINT_BYTES)
    return os.pread(handle, PRINT_BYTES, 0)


def fingerprint(head: bytes, length: int) -> tuple[str, int]:
    """Fingerprint of a file's first bytes, and of how many."""
    start = head[:length]
    return (hashlib.blake2b(start, digest_size=16).hexdigest() if start else "", len(start))


def stat_of(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def open_if_there(path: Path) -> int | None:
    """None when it went away meanwhile. Other errors are the caller's to report."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def opened_if_there(path: Path) -> Iterator[int | None]:
    handle = open_if_there(path)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)
