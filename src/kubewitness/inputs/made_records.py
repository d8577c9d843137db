"""Records that were sent to us, one JSON object each, as chunks of form "record"."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from itertools import accumulate

import msgspec

from kubewitness.formats.ingest import Ingest
from kubewitness.record import CHUNK_BYTES, KEY_BYTES, Chunk, Note

_encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Maker:
    """Makes chunks of one input. `keyed`: each record gets an identity, of which there is none but its arrival: what is
    sent twice is two records, unless the sender names what it sends (`identity`)."""

    def __init__(self, source: str, cluster: str, redact_key: bytes, *, keyed: bool) -> None:
        self.source = source
        self.cluster = cluster
        self._keyed = keyed
        self._redact_key = redact_key

    def chunks(
        self,
        tag: str,
        records: Sequence[bytes],
        times: array[int] | None = None,
        *,
        now_ns: int = 0,
        notes: dict[int, Note] | None = None,
        identity: bytes = b"",
    ) -> list[Chunk]:
        """`records`: JSON objects without a newline in them. `times`: nanoseconds since 1970 of each, 0 for one that
        has none; None: all have their arrival's, `now_ns`. `identity`: at least 8 bytes that tell these records from
        all others that this input ever gets."""
        now = now_ns or time.time_ns()
        times = times if times is not None else array("q", [now]) * len(records)
        keys = self._keys(len(records), identity)
        made = []
        start = 0
        for stop in _cuts(records):
            made.append(
                Chunk(
                    "logs",
                    data=b"\n".join((*records[start:stop], b"")),
                    ends=array("I", accumulate(map(len, records[start:stop]), lambda end, size: end + 1 + size)),
                    keys=keys[start * KEY_BYTES : stop * KEY_BYTES],
                    cluster=self.cluster,
                    source=self.source,
                    tag=tag,
                    received_us=now // 1000,
                    form="record",
                    notes={i - start: note for i, note in notes.items() if start <= i < stop} if notes else None,
                    lines=True,
                    times=times[start:stop],
                    once=not identity,
                )
            )
            start = stop
        return made

    def rejects(self, tag: str, parts: Sequence[tuple[bytes, str]]) -> list[Chunk]:
        """Chunks of table rejects: (bytes, reason) of each."""
        if not parts:
            return []
        ingest = Ingest(self.cluster, self.source, self._redact_key, keyed=self._keyed, tag=tag)
        # what was sent twice is two rejects: each has its moment
        ingest.fingerprint = str(time.time_ns())
        for i, (raw, reason) in enumerate(parts):
            ingest.add_reject(raw, reason, file=self.source, offset=i)
        return ingest.take()

    def _keys(self, count: int, identity: bytes) -> bytes:
        if not self._keyed:
            return b""
        if not identity:
            return os.urandom(count * KEY_BYTES)
        return b"".join([identity[:8] + i.to_bytes(8) for i in range(count)])


def _cuts(records: Sequence[bytes]) -> list[int]:
    """Where chunks end: behind so many records."""
    cuts = []
    size = 0
    for i, record in enumerate(records, 1):
        size += len(record) + 1
        if size >= CHUNK_BYTES:
            cuts.append(i)
            size = 0
    if not cuts or cuts[-1] != len(records):
        cuts.append(len(records))
    return cuts if records else []


def with_key(record: bytes, key: str, value: str) -> bytes:
    """A JSON object with a text under this key, at its end; one that is there is replaced."""
    name = _encode(key)
    if name in record or b"\\" in record:
        return _encode(_fields(record) | {key: value})
    rest = record.rstrip()[:-1].rstrip()
    return rest + (b"" if rest == b"{" else b",") + name + b":" + _encode(value) + b"}"
