"""Requests that carry the auditID of an earlier, other request.

The API server takes the auditID from the client's Audit-ID header if there is one, so a client can reuse an ID by
accident or to hide. All stages of one request share requestReceivedTimestamp, which no client can choose; so two
records with one auditID and different times of reception are two requests. The later one recorded is kept and
flagged `audit-id-reused`.

Seen IDs are remembered in `audit-ids.bloom`: two generations of blocks of 256 bits, the older one cleared when the
newer is full, so that the last 2.5 to 5 million requests are covered. A block holds, for each ID hashed to it, eight
bits of the ID and eight bits of (ID, time). ID seen and this time not: almost surely a reuse, and looked up in the
tables before it is flagged. The file only saves lookups: lost, it costs flags on later reuses, never records.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path

FLAG = "audit-id-reused"

_BLOCK = 32
_BLOCKS = 500_000
_GENERATION = _BLOCK * _BLOCKS
_HEAD = 4096
#: IDs a generation takes: five a block keeps about a quarter of the bits set
_CAPACITY = 5 * _BLOCKS
_BIT = [1 << i for i in range(256)]

#: (cluster, audit_id) pairs -> the times of reception (microseconds) known of each
Lookup = Callable[[list[tuple[str, str]]], dict[tuple[str, str], set[int]]]


def _mask(d: bytes) -> int:
    b = _BIT
    return b[d[0]] | b[d[1]] | b[d[2]] | b[d[3]] | b[d[4]] | b[d[5]] | b[d[6]] | b[d[7]]


class SeenIds:
    """The remembered IDs. `readonly` never writes, and knows nothing where there is no file."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self._map: mmap.mmap | None = None
        self._readonly = readonly
        size = _HEAD + 2 * _GENERATION
        try:
            fd = os.open(path, (os.O_RDONLY if readonly else os.O_RDWR | os.O_CREAT) | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return
        try:
            if os.fstat(fd).st_size != size:
                if readonly:
                    return
                os.ftruncate(fd, 0)
                os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size, access=mmap.ACCESS_READ if readonly else mmap.ACCESS_WRITE)
        finally:
            os.close(fd)

    def check(self, requests: Iterable[tuple[str, str, int]]) -> list[int]:
        """Indexes of the (cluster, auditID, received) whose ID was seen, but not with that time. Remembers them all."""
        m = self._map
        if m is None:
            return []
        current, count = self._head(m)
        suspects = []
        for i, (cluster, audit_id, received) in enumerate(requests):
            text = f"{cluster}\0{audit_id}".encode("utf-8", "surrogatepass")
            first = blake2b(text, digest_size=16).digest()
            # the time's bits must not depend on the ID's hash alone, so that a client cannot aim at them
            both = blake2b(text + received.to_bytes(8, "little", signed=True), digest_size=8).digest()
            at = _HEAD + int.from_bytes(first[8:], "little") % _BLOCKS * _BLOCK
            id_mask, both_mask = _mask(first), _mask(both)
            newer, older = at + current * _GENERATION, at + (1 - current) * _GENERATION
            block = int.from_bytes(m[newer : newer + _BLOCK], "little")
            known = block & id_mask == id_mask
            same = block & both_mask == both_mask
            if known and same:
                continue
            old = int.from_bytes(m[older : older + _BLOCK], "little")
            if (known or old & id_mask == id_mask) and old & both_mask != both_mask:
                # not remembered: its later stages, and a second try after a crash, are to be suspected again
                suspects.append(i)
            elif not self._readonly:
                m[newer : newer + _BLOCK] = (block | id_mask | both_mask).to_bytes(_BLOCK, "little")
                count += 1
                if count >= _CAPACITY:
                    current, count = 1 - current, 0
                    self._clear(m, current)
        if not self._readonly:
            m[0:16] = current.to_bytes(8, "little") + count.to_bytes(8, "little")
        return suspects

    def _head(self, m: mmap.mmap) -> tuple[int, int]:
        return int.from_bytes(m[0:8], "little") % 2, int.from_bytes(m[8:16], "little")

    def _clear(self, m: mmap.mmap, generation: int) -> None:
        start, zeros = _HEAD + generation * _GENERATION, bytes(1_000_000)
        for at in range(start, start + _GENERATION, len(zeros)):
            m[at : at + len(zeros)] = zeros

    def flush(self) -> None:
        if self._map is not None and not self._readonly:
            self._map.flush()

    def close(self) -> None:
        if self._map is not None:
            self._map.close()
            self._map = None
