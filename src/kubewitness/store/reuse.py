"""Requests that carry the auditID of an earlier, other request.

The API server takes the auditID from the client's Audit-ID header if there is one, so a client can reuse an ID by
accident or to hide. All stages of one request share requestReceivedTimestamp, which no client can choose; so two
records with one auditID and different times of reception are two requests. The later one recorded is kept and
flagged `audit-id-reused`.

Seen IDs are remembered in `audit-ids.bloom`: two generations of blocks of 256 bits, the older one cleared when the
newer is full, so that the last 1.25 to 2.5 million requests are covered. A block holds, for each ID hashed to it, eight
bits of the ID and six of (ID, time). ID seen and this time not: almost surely a reuse, and looked up in the
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
_BLOCKS = 250_000
_GENERATION = _BLOCK * _BLOCKS
_HEAD = 4096
#: IDs a generation takes: five a block keeps about a quarter of the bits set
_CAPACITY = 5 * _BLOCKS
#: an odd multiplier spreads the low bits upwards (the golden ratio times 2^64)
_ODD = 0x9E3779B97F4A7C15
_64 = 2**64 - 1
_BIT = [1 << i for i in range(256)]

#: (cluster, audit_id) pairs -> the times of reception (microseconds) known of each
Lookup = Callable[[list[tuple[str, str]]], dict[tuple[str, str], set[int]]]


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
        """Indexes of the (cluster, auditID, received) whose ID was seen, but not with that time. Remembers the others:
        the suspects' later stages, and a second try after a crash, are to be suspected again."""
        m = self._map
        if m is None:
            return []
        current, count = self._head(m)
        newer, older = _HEAD + current * _GENERATION, _HEAD + (1 - current) * _GENERATION
        b, from_bytes, suspects = _BIT, int.from_bytes, []
        for i, (cluster, audit_id, received) in enumerate(requests):
            d = blake2b(f"{cluster}\0{audit_id}".encode("utf-8", "surrogatepass"), digest_size=24).digest()
            at = from_bytes(d[16:], "little") % _BLOCKS * _BLOCK
            id_mask = b[d[0]] | b[d[1]] | b[d[2]] | b[d[3]] | b[d[4]] | b[d[5]] | b[d[6]] | b[d[7]]
            # the client chooses what goes into d, but not the time that it is mixed with
            e = ((from_bytes(d[8:16], "little") ^ received) * _ODD & _64).to_bytes(8, "little")
            both_mask = b[e[7]] | b[e[6]] | b[e[5]] | b[e[4]] | b[e[3]] | b[e[2]]
            block = from_bytes(m[newer + at : newer + at + _BLOCK], "little")
            if block & both_mask == both_mask and block & id_mask == id_mask:
                continue
            old = from_bytes(m[older + at : older + at + _BLOCK], "little")
            seen = block & id_mask == id_mask or old & id_mask == id_mask
            if seen and old & both_mask != both_mask:
                suspects.append(i)
                continue
            if not self._readonly:
                m[newer + at : newer + at + _BLOCK] = (block | id_mask | both_mask).to_bytes(_BLOCK, "little")
                count += 1
        if not self._readonly:
            if count >= _CAPACITY:
                current, count = 1 - current, 0
                self._clear(m, current)
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
