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
from kubewitness.inputs.recode import Recoded

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

    # --- lines -------------------------------------------------------------------------------------------------------

    def changed(self) -> os.stat_result | None:
        """How it is now, unless that is how it was when nothing more could be read."""
        stat = os.fstat(self.handle)
        return None if stat.st_size == self.size and stat.st_mtime_ns == self.mtime_ns else stat

    def is_cut(self, stat: os.stat_result) -> bool:
        """Whether it is shorter than it was, or begins otherwise."""
        if isinstance(self.unpacked, Recoded):
            return not self.name.endswith(".gz") and stat.st_size < self.unpacked.read_to
        return not self.unpacked and (stat.st_size < self.offset or not self._same())

    def lines(self, stat: os.stat_result, limit: int, long_kept: int) -> Block | None:
        """The next whole lines, or the beginning (`long_kept` bytes) of one that is longer than `limit`; None when
        there is no whole line yet. `stat`: as it was before."""
        want = BLOCK
        while True:
            data = self.pread(want, self.offset)
            end = data.rfind(b"\n") + 1
            if end:
                break
            if len(data) < want:
                # half a line: nothing more until the file changes (its state was taken before it was read)
                self.size, self.mtime_ns = stat.st_size, stat.st_mtime_ns
                return None
            if want > limit:
                return self._long_line(stat, long_kept)
            want = min(want * 4, limit + 1)
        if len(data) < want and end == len(data):
            self.size = stat.st_size if self.unpacked or stat.st_size == self.offset + end else -1
        self.mtime_ns = stat.st_mtime_ns
        block = self.block(data[:end])
        self._step(end)
        return block

    def _long_line(self, stat: os.stat_result, kept: int) -> Block | None:
        """Steps over a line that is longer than the limit, once its end is there."""
        at = max(self.searched, self.offset)
        while True:
            data = self.pread(BLOCK, at)
            if not data:
                self.searched = at
                self.size, self.mtime_ns = stat.st_size, stat.st_mtime_ns
                return None
            found = data.find(b"\n")
            if found >= 0:
                break
            at += len(data)
        length = at + found - self.offset
        block = self.block(self.pread(kept, self.offset), length)
        self._step(length + 1)
        self.searched = 0
        return block

    def tail(self, limit: int) -> Block | None:
        """The line without a newline at the end of a file that nobody writes to any more."""
        data = self.pread(limit, self.offset)
        if not data:
            return None
        block = self.block(data)
        self._step(len(data))
        return block

    def _step(self, length: int) -> None:
        self.offset += length
        self.remember_start()

    # --- what it is known by -----------------------------------------------------------------------------------------

    def _same(self) -> bool:
        """Whether the file still begins with the bytes we read from it."""
        return fingerprint(self.pread(self.print_bytes, 0), self.print_bytes) == (self.print, self.print_bytes)

    def remember_start(self) -> None:
        if self.print_bytes < PRINT_BYTES and self.offset > self.print_bytes:
            length = min(PRINT_BYTES, self.offset)
            self.print, self.print_bytes = fingerprint(head_of(self.handle, self.name), length)

    def begin_anew(self) -> None:
        """After it was cut to nothing in place."""
        self.offset, self.print, self.print_bytes, self.size, self.searched = 0, "", 0, -1, 0
        self.identity = b""
        if isinstance(self.unpacked, Recoded):
            self.unpacked.restart()

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
