"""Records on the move: a `Chunk` is a batch of records of one kind, with their exact original bytes.

Layout of a chunk's `data`: every record's bytes, each followed by one newline, so that the decompressed
chunk is a readable JSON-lines file as long as the records themselves hold no newline. Where a record
begins and ends is told by `ends` alone, never by searching for newlines.
"""

from __future__ import annotations

import functools
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

#: The tables of the store. A chunk belongs to exactly one of them.
TABLES = ("audit", "events", "objects", "admission", "logs", "findings", "rejects")

#: Bytes of a record key (a 128-bit digest of the record's identity).
KEY_BYTES = 16

#: A chunk is closed at about this many bytes; one larger record makes a larger chunk.
CHUNK_BYTES = 384 * 1024


class Note(msgspec.Struct, omit_defaults=True, array_like=False):
    """What is known of one record beside its bytes. Most records need none."""

    redacted: bool = False
    #: keyed digest (hex) of the original bytes, when `redacted`
    digest: str = ""
    #: what the watch said: ADDED, MODIFIED, EXPIRED (an Event's DELETED) or DELETED
    change: str = ""
    #: file the record came from, and the byte offset of its first byte there
    file: str = ""
    offset: int = -1
    #: why a reject was rejected: what, where, how to mend
    reason: str = ""
    #: things a reader should know, e.g. "audit-id-reused", "time-from-arrival"
    flags: tuple[str, ...] = ()
    #: microseconds UTC of the record's own arrival, where it waited to be taken with others; 0: as its chunk
    arrived_us: int = 0
    #: what came beside the record's own fields (a JSON object as text): Fluent Bit's metadata of an event
    metadata: str = ""


class Origin(msgspec.Struct, omit_defaults=True):
    """The file that all records of a chunk are lines of, and how outputs show them (log files only)."""

    #: as the input found it, and the file behind it when that is a link
    file: str
    target: str = ""
    #: of the chunk's first byte in the file; the records follow one another there, unless a note says otherwise
    offset: int = -1
    node: str = ""
    #: Fluent Bit's keys of input tail: of the text, of the file's name (if shown), of the offset (if shown)
    key: str = "log"
    path_key: str = ""
    offset_key: str = ""
    #: names of a CRI line's four fields, by commas
    fields: str = ""


class ChunkHeader(msgspec.Struct):
    """All of a chunk but its data; written to the journal as MessagePack."""

    table: str
    tag: str
    cluster: str
    source: str
    received_us: int
    #: how the records are wrapped: "" is the native form, else a name that `formats` can unwrap ("gke", "eks", ...)
    form: str
    #: end offsets (array of unsigned 32-bit, native order) of the records within `data`, newline excluded
    ends: bytes
    #: KEY_BYTES a record, in order; empty when the records have no identity
    keys: bytes
    notes: dict[int, Note] = msgspec.field(default_factory=dict)
    origin: Origin | None = None
    #: nanoseconds since 1970 (array of signed 64-bit, native order) of each record; empty when they were not set
    times: bytes = b""
    #: of `Chunk.also`, deflated
    also: bytes = b""


class Chunk:
    """A batch of records of one table, cluster, source and form. Immutable by convention once handed on."""

    __slots__ = (
        "also",
        "cluster",
        "data",
        "decoded",
        "ends",
        "form",
        "keys",
        "lines",
        "notes",
        "once",
        "origin",
        "received_us",
        "source",
        "table",
        "tag",
        "times",
    )

    def __init__(
        self,
        table: str,
        *,
        data: bytes,
        ends: array[int],
        keys: bytes = b"",
        cluster: str = "default",
        source: str = "",
        tag: str = "",
        received_us: int = 0,
        form: str = "",
        notes: dict[int, Note] | None = None,
        lines: bool = False,
        decoded: Sequence[Any] | None = None,
        origin: Origin | None = None,
        times: array[int] | None = None,
        once: bool = False,
        also: bytes = b"",
    ) -> None:
        self.table = table
        self.data = data
        self.ends = ends
        self.keys = keys
        self.cluster = cluster
        self.source = source
        self.tag = tag or table
        self.received_us = received_us
        self.form = form
        self.notes = notes if notes is not None else {}
        #: known to hold no newline within a record (so `data` is its lines); False: not known
        self.lines = lines
        #: the records as their format decodes them, where the process that took them in also stores them; not kept
        self.decoded = decoded
        self.origin = origin
        #: nanoseconds since 1970 of each record, 0 for one without a time, where a parser or filter set them (array
        #: "q"); None: what the record itself says (`formats.record_times`)
        self.times = times
        #: no record of it can come again, so that nobody has to remember its keys to know it by; not kept
        self.once = once
        #: members that every record has beside its own bytes, as JSON (`"kubernetes":{...}`); of table logs only. Said
        #: once for all of them: a record is shown with them (`formats.logshapes`), but need not be written again
        self.also = also

    def __len__(self) -> int:
        return len(self.ends)

    def __repr__(self) -> str:
        return f"<Chunk {self.table} {len(self)} records {len(self.data)} bytes from {self.source or '?'}>"

    def spans(self) -> Iterator[tuple[int, int]]:
        """(start, end) of each record within `data`."""
        start = 0
        for end in self.ends:
            yield start, end
            start = end + 1

    def records(self) -> Iterator[bytes]:
        """The original bytes of each record."""
        data = self.data
        for start, end in self.spans():
            yield data[start:end]

    def key(self, index: int) -> bytes:
        return self.keys[index * KEY_BYTES : (index + 1) * KEY_BYTES]

    def place(self, index: int, start: int) -> tuple[str, int]:
        """(file, byte offset) of the record that begins at `start` of `data`; ("", -1) where it is not known."""
        note = self.notes.get(index)
        origin = self.origin
        if origin is None:
            return (note.file, note.offset) if note is not None else ("", -1)
        if note is not None and note.offset >= 0:
            return note.file or origin.file, note.offset
        return origin.file, origin.offset + start if origin.offset >= 0 else -1

    def select(self, indexes: Sequence[int]) -> Chunk:
        """A chunk of only these records (ascending indexes), everything else kept."""
        if len(indexes) == len(self):
            return self
        view, ends = memoryview(self.data), self.ends
        parts: list[memoryview] = []
        keys: list[bytes] = []
        new_ends: array[int] = array("I")
        size = at = 0
        while at < len(indexes):
            # neighbours are copied together
            first, to = indexes[at], at + 1
            while to < len(indexes) and indexes[to] == indexes[to - 1] + 1:
                to += 1
            last = indexes[to - 1]
            start, stop = ends[first - 1] + 1 if first else 0, ends[last] + 1
            parts.append(view[start:stop])
            keys.append(self.keys[first * KEY_BYTES : (last + 1) * KEY_BYTES])
            new_ends.extend([end - start + size for end in ends[first : last + 1]])
            size += stop - start
            at = to
        return Chunk(
            self.table,
            data=b"".join(parts),
            ends=new_ends,
            keys=b"".join(keys),
            cluster=self.cluster,
            source=self.source,
            tag=self.tag,
            received_us=self.received_us,
            form=self.form,
            notes=self._notes_of(indexes),
            lines=self.lines,
            origin=self.origin,
            times=array("q", [self.times[i] for i in indexes]) if self.times is not None else None,
            once=self.once,
            also=self.also,
        )

    def _notes_of(self, indexes: Sequence[int]) -> dict[int, Note]:
        """Notes of a selection, with the places in the file that followed from the bytes between."""
        if self.origin is None:
            return {n: self.notes[i] for n, i in enumerate(indexes) if i in self.notes} if self.notes else {}
        notes = {}
        for n, i in enumerate(indexes):
            start = self.ends[i - 1] + 1 if i else 0
            notes[n] = msgspec.structs.replace(self.notes.get(i) or Note(), offset=self.place(i, start)[1])
        return notes

    def header(self) -> bytes:
        return _encode_header(
            ChunkHeader(
                self.table,
                self.tag,
                self.cluster,
                self.source,
                self.received_us,
                self.form,
                self.ends.tobytes(),
                self.keys,
                self.notes,
                self.origin,
                self.times.tobytes() if self.times is not None else b"",
                _packed(self.also),
            )
        )

    @classmethod
    def from_parts(cls, header: bytes, data: bytes) -> Chunk:
        """The inverse of (`header()`, `data`)."""
        h = _header_decoder.decode(header)
        ends = array("I")
        ends.frombytes(h.ends)
        times = None
        if h.times:
            times = array("q")
            times.frombytes(h.times)
        return cls(
            h.table,
            data=data,
            ends=ends,
            keys=h.keys,
            cluster=h.cluster,
            source=h.source,
            tag=h.tag,
            received_us=h.received_us,
            form=h.form,
            notes=h.notes,
            origin=h.origin,
            times=times,
            also=_unpacked(h.also),
        )


@functools.lru_cache(1024)
def _packed(also: bytes) -> bytes:
    """Annotations may be long, and chunks of a container that says little short: each has a header."""
    return zlib.compress(also, 1) if also else b""


@functools.lru_cache(1024)
def _unpacked(packed: bytes) -> bytes:
    return zlib.decompress(packed) if packed else b""


class _Tag(msgspec.Struct):
    tag: str


_tag_decoder = msgspec.msgpack.Decoder(_Tag)


def tag_of(header: bytes) -> str:
    """The tag of a chunk, from its header."""
    return _tag_decoder.decode(header).tag


_encode_header = msgspec.msgpack.Encoder().encode
_header_decoder = msgspec.msgpack.Decoder(ChunkHeader)


class ChunkBuilder:
    """Collects records into one chunk. `full` says when to `take()` it."""

    def __init__(
        self,
        table: str,
        *,
        cluster: str = "default",
        source: str = "",
        tag: str = "",
        received_us: int = 0,
        form: str = "",
        limit: int = CHUNK_BYTES,
    ) -> None:
        self.table = table
        self.cluster = cluster
        self.source = source
        self.tag = tag
        self.received_us = received_us
        self.form = form
        self.limit = limit
        self._reset()

    def _reset(self) -> None:
        self._parts: list[bytes] = []
        self._keys: list[bytes] = []
        self._ends: array[int] = array("I")
        self._notes: dict[int, Note] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def full(self) -> bool:
        return self._size >= self.limit

    def add(self, record: bytes, key: bytes = b"", note: Note | None = None) -> None:
        if note is not None:
            self._notes[len(self._ends)] = note
        self._parts.append(record)
        if key:
            self._keys.append(key)
        self._size += len(record)
        self._ends.append(self._size)
        self._size += 1

    def take(self) -> Chunk:
        """The chunk so far; the builder is empty afterwards. Every record has a key, or none has."""
        if self._keys and len(self._keys) != len(self._ends):
            raise ValueError(f"{len(self._ends)} records but {len(self._keys)} keys")
        self._parts.append(b"")
        chunk = Chunk(
            self.table,
            data=b"\n".join(self._parts),
            ends=self._ends,
            keys=b"".join(self._keys),
            cluster=self.cluster,
            source=self.source,
            tag=self.tag,
            received_us=self.received_us,
            form=self.form,
            notes=self._notes,
        )
        self._reset()
        return chunk


def chunk_of(
    table: str, records: Iterable[tuple[bytes, bytes]], *, cluster: str = "default", source: str = "", form: str = ""
) -> Chunk:
    """One chunk of (bytes, key) pairs, whatever its size."""
    builder = ChunkBuilder(table, cluster=cluster, source=source, form=form)
    for record, key in records:
        builder.add(record, key)
    return builder.take()
