"""Requests that carry the auditID of an earlier, other request.

The API server takes the auditID from the client's Audit-ID header if there is one, so a client can reuse an ID by
accident or to hide. All stages of one request share requestReceivedTimestamp, which no client can choose; so two
records with one auditID and different times of reception are two requests. The later one recorded is kept and
flagged `audit-id-reused`.

Seen IDs are remembered in `audit-ids`, a hash table that grows with what it holds, up to 1.25 million IDs; then it
becomes `audit-ids.older` and another begins, so that the last 1.25 to 2.5 million requests are covered. An ID that was
seen, but not with this time, is almost surely a reuse, and is looked up in the tables before it is flagged. The files
only save lookups: lost, they cost flags on later reuses, never records.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

FLAG = "audit-id-reused"

#: Layout: the head (magic, the hash's key), then 64-bit slots in the machine's order, 0 where empty. A slot is 40 bits
#: of the ID's hash, whose highest say where it lies (open addressing, forwards, never around the end), and 24 bits of
#: a hash of (ID, time). The last slot is never filled, so every search ends.
_MAGIC = b"kwids\0\0\1"
_HEAD = 64
_KEY = slice(8, 24)
#: slots beyond those that hashes point at
_SPARE = 64
_MIN_BITS, _MAX_BITS = 13, 21
#: from 4 MB on
_LARGE_BITS = 19
#: the share of slots that may be filled
_LOAD = 0.6
_TIME_BITS = 24
_ID_MASK = 2**64 - 2**_TIME_BITS
#: an odd multiplier spreads the low bits upwards (the golden ratio times 2^64)
_ODD = 0x9E3779B97F4A7C15
_64 = 2**64 - 1
_halves = struct.Struct("<QQ").unpack


class _Table:
    """One file of slots, mapped. OSError or ValueError when it cannot be used."""

    def __init__(self, path: Path, *, readonly: bool) -> None:
        fd = os.open(path, (os.O_RDONLY if readonly else os.O_RDWR) | os.O_CLOEXEC)
        try:
            stat = os.fstat(fd)
            self.inode = stat.st_ino
            self.bits = ((stat.st_size - _HEAD) // 8 - _SPARE).bit_length() - 1
            if not _MIN_BITS <= self.bits <= _MAX_BITS or stat.st_size != _size(self.bits):
                raise ValueError(f"{path}: of an unexpected size")
            self._map = mmap.mmap(fd, 0, access=mmap.ACCESS_READ if readonly else mmap.ACCESS_WRITE)
        finally:
            os.close(fd)
        self._whole = memoryview(self._map)
        self.slots = self._whole[_HEAD:].cast("Q")
        self.key = bytes(self._map[_KEY])
        if self._map[: len(_MAGIC)] != _MAGIC or self.slots[-1]:
            self.close()
            raise ValueError(f"{path}: not a table of seen IDs")

    @classmethod
    def create(cls, path: Path, bits: int, key: bytes) -> _Table:
        """An empty table in place of whatever `path` was."""
        part = path.with_name(path.name + ".part")
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, _size(bits))
            os.pwrite(fd, _MAGIC + key, 0)
        finally:
            os.close(fd)
        part.replace(path)
        return cls(path, readonly=False)

    def filled(self) -> int:
        step = 1 << 16
        return sum(step - self.slots[at : at + step].tolist().count(0) for at in range(0, len(self.slots), step)) - (
            -len(self.slots) % step
        )

    def take(self, other: _Table) -> None:
        """Takes over what a smaller table holds."""
        slots, shift = self.slots, 64 - self.bits
        for at in range(0, len(other.slots), 1 << 16):
            for entry in filter(None, other.slots[at : at + (1 << 16)].tolist()):
                slot = entry >> shift
                while slots[slot]:
                    slot += 1
                slots[slot] = entry

    def entry(self, hashed: int) -> int:
        """The entry of the ID with this hash; 0 if there is none."""
        slots, slot, mark = self.slots, hashed >> (64 - self.bits), hashed >> _TIME_BITS
        while (entry := slots[slot]) and entry >> _TIME_BITS != mark:
            slot += 1
        return entry

    def let_go(self) -> None:
        """A large table's pages stay with the file system's cache and need not count as memory of this process."""
        if self.bits >= _LARGE_BITS:
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        self.slots.release()
        self._whole.release()
        self._map.close()


class SeenIds:
    """The remembered IDs, in files beside the tables of `directory`.

    `readonly` never writes, follows the files as their writer replaces them, and knows nothing where there are none.
    """

    def __init__(self, directory: Path, *, readonly: bool = False) -> None:
        self._path = directory / "audit-ids"
        self._older_path = directory / "audit-ids.older"
        self._readonly = readonly
        self._newer = self._open(self._path)
        self._older = self._open(self._older_path)
        self._count = 0
        if readonly:
            return
        if self._newer is not None and (self._older is None or self._older.key == self._newer.key):
            self._count = self._newer.filled()
            if self._count <= _capacity(self._newer.bits):
                return
        # none yet, or one that a crash of the machine left half-written
        key = self._older.key if self._older is not None else os.urandom(16)
        self._drop(self._newer)
        self._newer, self._count = _Table.create(self._path, _MIN_BITS, key), 0

    def check(self, requests: Iterable[tuple[str, str, int]]) -> list[int]:
        """Indexes of the (cluster, auditID, received) whose ID was seen, but not with that time. Remembers the others:
        the suspects' later stages, and a second try after a crash, are to be suspected again."""
        if self._readonly:
            self._follow()
        table = self._newer
        if table is None:
            return []
        suspects: list[int] = []
        older, key, write = self._older, table.key, not self._readonly
        slots, shift, end = table.slots, 64 - table.bits, len(table.slots) - 1
        count, full = self._count, _capacity(table.bits)
        for i, (cluster, audit_id, received) in enumerate(requests):
            text = f"{cluster}\0{audit_id}".encode("utf-8", "surrogatepass")
            hashed, salt = _halves(blake2b(text, digest_size=16, key=key).digest())
            mark = hashed & _ID_MASK or 1 << _TIME_BITS
            mine = mark | ((salt ^ received) * _ODD & _64) >> (64 - _TIME_BITS)
            slot = mark >> shift
            while (entry := slots[slot]) and entry ^ mark >= 1 << _TIME_BITS:
                slot += 1
            entry = entry or (older.entry(mark) if older is not None else 0)
            if entry and entry != mine:
                suspects.append(i)
            elif write and not slots[slot]:
                if count >= full or slot == end:
                    table = self._grown(table)
                    older, slots, shift, end = self._older, table.slots, 64 - table.bits, len(table.slots) - 1
                    count, full = self._count, _capacity(table.bits)
                    slot = mark >> shift
                    while slots[slot]:
                        slot += 1
                slots[slot] = mine
                count += 1
        self._count = count
        for used in (self._newer, self._older):
            if used is not None:
                used.let_go()
        return suspects

    def _grown(self, table: _Table) -> _Table:
        """A table with room: a larger one with the same content, or an empty one beside this one as the older."""
        if table.bits < _MAX_BITS:
            larger = _Table.create(self._path, table.bits + 1, table.key)
            larger.take(table)
            table.close()
            self._count = larger.filled()
        else:
            self._drop(self._older)
            self._path.replace(self._older_path)
            self._older = table
            larger = _Table.create(self._path, _MAX_BITS, table.key)
            self._count = 0
        self._newer = larger
        return larger

    def _open(self, path: Path) -> _Table | None:
        try:
            return _Table(path, readonly=self._readonly)
        except (OSError, ValueError):
            return None

    def _follow(self) -> None:
        inodes = [_inode(self._path), _inode(self._older_path)]
        if inodes != [table.inode if table is not None else 0 for table in (self._newer, self._older)]:
            self.close()
            self._newer, self._older = self._open(self._path), self._open(self._older_path)

    def _drop(self, table: _Table | None) -> None:
        if table is not None:
            table.close()

    def close(self) -> None:
        self._drop(self._newer)
        self._drop(self._older)
        self._newer = self._older = None


def _size(bits: int) -> int:
    return _HEAD + 8 * ((1 << bits) + _SPARE)


def _capacity(bits: int) -> int:
    return int((1 << bits) * _LOAD)


def _inode(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_ino
    return 0
