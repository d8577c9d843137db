"""Chunks to fill a journal with."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator

from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.record import Chunk, ChunkBuilder


def key_of(record: bytes) -> bytes:
    return hashlib.blake2b(record, digest_size=16).digest()


def chunk(records: Iterable[bytes], table: str = "audit", source: str = "test", *, keyed: bool = True) -> Chunk:
    builder = ChunkBuilder(table, source=source, received_us=1_700_000_000_000_000)
    for record in records:
        builder.add(record, key_of(record) if keyed else b"")
    return builder.take()


def numbered(*numbers: int, table: str = "audit", source: str = "test") -> Chunk:
    return chunk([b'{"n":%d}' % n for n in numbers], table, source)


def noise(size: int, seed: int) -> Chunk:
    """One record that does not compress."""
    return chunk([random.Random(seed).randbytes(size)])


def batch(*chunks: Chunk, **positions: bytes) -> Batch:
    return Batch(chunks, positions)


def contents(journal: Journal, after: int = 0) -> Iterator[bytes]:
    """All records held, in order."""
    for delivery in journal.deliveries(after, max_bytes=None):
        yield from delivery.chunk.records()
