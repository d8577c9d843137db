"""Records that cannot be understood: kept in table `rejects`, never lost and never fatal."""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

from kubewitness.record import Chunk, Note
from kubewitness.store.columns import Row

_NO_NOTE = Note()


class Reject(NamedTuple):
    """One such record of chunk `number`: its index there (`at`), offset and length in the chunk's data, and why."""

    number: int
    at: int
    offset: int
    length: int
    reason: str


def reject_row(chunk: Chunk, reject: Reject) -> Row:
    """The row of table `rejects`. Its time is that of arrival."""
    note = chunk.notes.get(reject.at, _NO_NOTE)
    raw = chunk.data[reject.offset : reject.offset + reject.length]
    return (
        chunk.received_us or time.time_ns() // 1000,
        note.file or chunk.source,
        note.offset,
        note.reason or reject.reason,
        ",".join(note.flags),
        note.redacted,
        note.digest,
        chunk.key(reject.at) or reject_key(chunk, note, raw),
        0,
        reject.offset,
        reject.length,
        reject.number,
    )


def reject_key(chunk: Chunk, note: Note, raw: bytes) -> bytes:
    """Identity of a reject that its input gave none: where it stands and what it says."""
    where = f"{chunk.cluster}\0{note.file or chunk.source}\0{note.offset}\0".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(where + raw, digest_size=16, person=b"reject").digest()
