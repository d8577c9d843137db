"""Records as filters and parsers see them: one JSON object each, as outputs show them.

Records of the JSON tables are such objects already. Log lines become them (form "record") in the moment in which one
of a chunk is changed, with their times and places beside them; until then they stay the bytes that they were.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import msgspec

from kubewitness.formats import logshapes
from kubewitness.formats.record_times import times_ns
from kubewitness.record import Chunk, ChunkBuilder, Note

#: flag of a record whose bytes are not those that were captured, because a filter was told to change it
CHANGED = "changed-by-filter"

#: tables whose records are JSON as they are
JSON_TABLES = frozenset({"audit", "events", "objects", "admission", "findings"})

_NO_NOTE = Note()


def objects(chunk: Chunk) -> Sequence[bytes]:
    """Each record as one JSON object; what cannot be one (table rejects) as it is."""
    return logshapes.objects(chunk) if chunk.table == "logs" else list(chunk.records())


def rewritten(
    chunk: Chunk,
    changes: Mapping[int, bytes],
    times: array[int] | None = None,
    *,
    redacted: bool = False,
    shown: Sequence[bytes] | None = None,
) -> Chunk:
    """The chunk with the JSON of these records (by index) replaced and flagged. `times`: if they changed as well;
    `redacted`: something was taken out of them for good; `shown`: `objects(chunk)`, of who has it already."""
    if not changes and times is None:
        return chunk
    if shown is None:
        shown = list(chunk.records()) if _form(chunk) == chunk.form and not chunk.also else objects(chunk)
    shown = list(shown)
    notes = _notes(chunk)
    for i, new in changes.items():
        shown[i] = new
        notes[i] = flagged(notes.get(i), redacted=redacted)
    shown.append(b"")
    ends = array("I", accumulate(map(len, shown), lambda end, size: end + 1 + size))
    ends.pop()
    made = Chunk(
        chunk.table,
        data=b"\n".join(shown),
        ends=ends,
        keys=chunk.keys,
        cluster=chunk.cluster,
        source=chunk.source,
        tag=chunk.tag,
        received_us=chunk.received_us,
        notes=notes,
        once=chunk.once,
    )
    return _like(made, chunk, times if times is not None else times_ns(chunk))


def _notes(chunk: Chunk) -> dict[int, Note]:
    """Of each record, with its place where that followed from the bytes before it."""
    offset = chunk.origin.offset if chunk.origin is not None else -1
    if offset < 0:
        return dict(chunk.notes)
    if not chunk.notes:
        starts = (0, *(end + 1 for end in chunk.ends[:-1]))
        return {i: Note(offset=offset + start) for i, start in enumerate(starts)}
    placed_notes = {i: placed(chunk, i, start) for i, (start, _) in enumerate(chunk.spans())}
    return {i: note for i, note in placed_notes.items() if note is not None}


def record_chunk(like: Chunk, records: Iterable[tuple[bytes, bytes, Note | None]], times: array[int]) -> Chunk:
    """A chunk of objects (bytes, key, note) that were made of the records of another one, or belong to it."""
    builder = ChunkBuilder(
        like.table,
        cluster=like.cluster,
        source=like.source,
        tag=like.tag,
        received_us=like.received_us,
    )
    for record, key, note in records:
        builder.add(record, key, note)
    return _like(builder.take(), like, times)


def _like(made: Chunk, like: Chunk, times: array[int]) -> Chunk:
    """What is left to say of a chunk of objects."""
    made.form, made.times = _form(like), times
    # what encoders write, and what logshapes does, holds no newline
    made.lines = like.lines or (like.table == "logs" and like.form != "record")
    if like.origin is not None:
        made.origin = msgspec.structs.replace(like.origin, offset=-1, path_key="", offset_key="")
    return made


def _form(chunk: Chunk) -> str:
    return "record" if chunk.table == "logs" else chunk.form


def retagged(chunk: Chunk, tag: str) -> Chunk:
    """The same records under another tag."""
    made = copy.copy(chunk)
    made.tag = tag
    return made


def placed(chunk: Chunk, index: int, start: int) -> Note | None:
    """The note of a record that will stand among others than in its chunk, where `start` is its beginning."""
    note = chunk.notes.get(index)
    if chunk.origin is None or chunk.origin.offset < 0:
        return note
    return msgspec.structs.replace(note or _NO_NOTE, offset=chunk.place(index, start)[1])


def flagged(note: Note | None, *more: str, redacted: bool = False) -> Note:
    """The note of a record that was changed."""
    note = note or _NO_NOTE
    flags = tuple(dict.fromkeys((*note.flags, CHANGED, *more)))
    return msgspec.structs.replace(note, flags=flags, redacted=note.redacted or redacted)
