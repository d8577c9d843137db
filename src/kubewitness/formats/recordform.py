"""Records as filters and parsers see them: one JSON object each, as outputs show them.

Records of the JSON tables are such objects already. Log lines become them (form "record") in the moment in which one
of a chunk is changed, with their times and places beside them; until then they stay the bytes that they were.
"""

from __future__ import annotations

import copy
from array import array
from collections.abc import Mapping, Sequence

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
    chunk: Chunk, changes: Mapping[int, bytes], times: array[int] | None = None, *, redacted: bool = False
) -> Chunk:
    """The chunk with the JSON of these records (by index) replaced and flagged. `times`: if they changed as well;
    `redacted`: something was taken out of them for good."""
    if not changes and times is None:
        return chunk
    form = "record" if chunk.table == "logs" else chunk.form
    if form == chunk.form:
        shown: Sequence[bytes] = list(chunk.records())
    else:
        shown = objects(chunk)
    builder = ChunkBuilder(
        chunk.table,
        cluster=chunk.cluster,
        source=chunk.source,
        tag=chunk.tag,
        received_us=chunk.received_us,
        form=form,
    )
    for i, (start, _) in enumerate(chunk.spans()):
        new = changes.get(i)
        note = _note(chunk, i, start, new is not None, redacted)
        builder.add(shown[i] if new is None else new, chunk.key(i), note)
    made = builder.take()
    made.times = times if times is not None else times_ns(chunk)
    # what encoders write, and what logshapes does, holds no newline
    made.lines = chunk.lines or (chunk.table == "logs" and chunk.form != "record")
    if chunk.origin is not None:
        made.origin = msgspec.structs.replace(chunk.origin, offset=-1, path_key="", offset_key="")
    return made


def retagged(chunk: Chunk, tag: str) -> Chunk:
    """The same records under another tag."""
    made = copy.copy(chunk)
    made.tag = tag
    return made


def _note(chunk: Chunk, index: int, start: int, changed: bool, redacted: bool) -> Note | None:
    note = chunk.notes.get(index)
    if chunk.origin is not None and chunk.origin.offset >= 0:
        # the place followed from the bytes before it, which are others now
        note = msgspec.structs.replace(note or _NO_NOTE, offset=chunk.place(index, start)[1])
    if changed:
        note = note or _NO_NOTE
        flags = note.flags if CHANGED in note.flags else (*note.flags, CHANGED)
        note = msgspec.structs.replace(note, flags=flags, redacted=note.redacted or redacted)
    return note
