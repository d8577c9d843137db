"""Chunks keep every byte of every record, whatever the records hold."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.record import KEY_BYTES, Chunk, ChunkBuilder, Note, chunk_of

RECORDS = st.lists(st.tuples(st.binary(max_size=60), st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)), max_size=20)


@given(RECORDS)
def test_records_come_out_of_a_chunk_as_they_went_in(records: list[tuple[bytes, bytes]]) -> None:
    chunk = chunk_of("audit", records, cluster="c", source="s", form="gke")
    again = Chunk.from_parts(chunk.header(), chunk.data)
    assert list(again.records()) == [record for record, _ in records]
    assert [again.key(i) for i in range(len(again))] == [key for _, key in records]
    assert (again.table, again.cluster, again.source, again.form) == ("audit", "c", "s", "gke")


@given(RECORDS, st.data())
def test_select_keeps_the_chosen_records_with_their_keys_and_notes(
    records: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    builder = ChunkBuilder("events")
    for i, (record, key) in enumerate(records):
        builder.add(record, key, Note(offset=i) if i % 2 else None)
    chunk = builder.take()
    chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(records))))) if records else set())
    part = chunk.select(chosen)
    assert list(part.records()) == [records[i][0] for i in chosen]
    assert [part.key(i) for i in range(len(part))] == [records[i][1] for i in chosen]
    assert [part.notes[i].offset if i in part.notes else None for i in range(len(part))] == [
        i if i % 2 else None for i in chosen
    ]


def test_a_chunk_of_plain_lines_is_readable_as_lines() -> None:
    assert chunk_of("audit", [(b'{"a":1}', b""), (b'{"b":2}', b"")]).data == b'{"a":1}\n{"b":2}\n'


def test_some_records_with_a_key_and_some_without_are_refused() -> None:
    builder = ChunkBuilder("audit")
    builder.add(b"a", b"k" * KEY_BYTES)
    builder.add(b"b")
    with pytest.raises(ValueError, match="2 records but 1 keys"):
        builder.take()


def test_a_builder_says_when_it_is_full_and_starts_anew_after_take() -> None:
    builder = ChunkBuilder("audit", limit=11)
    builder.add(b"x" * 9)
    assert not builder.full
    builder.add(b"y")
    assert builder.full
    assert len(builder.take()) == 2
    assert len(builder) == 0
    assert list(builder.take().records()) == []


def test_times_of_records_are_kept_in_the_header_and_by_a_selection() -> None:
    chunk = chunk_of("logs", [(b"%d" % n, b"") for n in range(5)])
    assert Chunk.from_parts(chunk.header(), chunk.data).times is None
    chunk.times = array("q", [10, 0, -3, 2**62, 7])
    again = Chunk.from_parts(chunk.header(), chunk.data)
    assert again.times == chunk.times
    assert again.select([0, 2, 3]).times == array("q", [10, -3, 2**62])
