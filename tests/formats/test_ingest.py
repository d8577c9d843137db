"""Blocks and bodies become chunks: exact bytes, keys, notes, rejects."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.formats import audit
from kubewitness.formats.ingest import Ingest
from kubewitness.record import KEY_BYTES
from tests.formats.records import KEY, audit_event, core_event, dumps


def ingest(*, keyed: bool = True) -> Ingest:
    return Ingest("default", "test", KEY, keyed=keyed)


def lines(count: int) -> list[bytes]:
    return [dumps(audit_event(f"a-{i}")) for i in range(count)]


def test_a_clean_block_becomes_a_chunk_without_a_copy() -> None:
    block = b"\n".join(lines(3)) + b"\n"
    (chunk,) = ingest().feed(block)
    assert chunk.data is block
    assert list(chunk.records()) == lines(3)
    assert len(chunk.keys) == 3 * KEY_BYTES
    assert chunk.key(1) == audit.identity("default", audit.decode(lines(3)[1]))


def test_a_last_line_without_a_newline_is_a_record() -> None:
    (chunk,) = ingest().feed(b"\n".join(lines(2)))
    assert list(chunk.records()) == lines(2)


def test_without_keys_nothing_has_an_identity() -> None:
    (chunk,) = ingest(keyed=False).feed(b"\n".join(lines(2)) + b"\n")
    assert chunk.keys == b""


def test_blank_lines_and_carriage_returns_are_no_part_of_records() -> None:
    one, two = lines(2)
    (chunk,) = ingest().feed(one + b"\r\n\n" + two + b"\r\n")
    assert list(chunk.records()) == [one, two]


def test_a_reused_audit_id_is_another_record_and_a_repeat_is_not() -> None:
    first, repeat = audit_event("same"), audit_event("same")
    other = audit_event("same", user={"username": "bob"})
    (chunk,) = ingest().feed(b"\n".join(map(dumps, (first, repeat, other))))
    assert chunk.key(0) == chunk.key(1) != chunk.key(2)


def test_a_bad_line_goes_to_the_rejects_with_its_place_and_the_others_stay() -> None:
    one, two = lines(2)
    worker = ingest()
    chunks = worker.feed(one + b"\nnot json\n" + two + b"\n", file="audit.log", offset=1000)
    by_table = {chunk.table: chunk for chunk in chunks}
    assert list(by_table["audit"].records()) == [one, two]
    note = by_table["rejects"].notes[0]
    assert (note.file, note.offset) == ("audit.log", 1000 + len(one) + 1)
    assert "not a JSON object" in note.reason
    assert (worker.read, worker.rejected) == (3, 1)


def test_an_odd_field_costs_the_field_and_not_the_record() -> None:
    odd = audit_event(responseObject={"kind": "Widget", "message": {"a": 1}, "metadata": {"name": "w", "uid": "u"}})
    odd["responseStatus"] = {"code": "200"}
    odd["user"] = None
    (chunk,) = ingest().feed(dumps(odd))
    assert (chunk.table, list(chunk.records())) == ("audit", [dumps(odd)])
    event = audit.decode(dumps(odd))
    assert isinstance(event.responseObject, audit.Body)
    assert event.responseObject.metadata is not None
    assert (event.responseObject.metadata.name, event.responseStatus, event.verb) == ("w", None, "delete")


def test_a_record_without_any_time_is_kept_and_flagged() -> None:
    event = audit_event()
    del event["stageTimestamp"], event["requestReceivedTimestamp"]
    (chunk,) = ingest().feed(dumps(event))
    assert chunk.notes[0].flags == ("time-from-arrival",)
    assert audit.times(audit.decode(dumps(event)), 42) == (42, 42, True)


def test_records_of_other_tables_in_the_same_file_find_theirs() -> None:
    chunks = ingest().feed(b"\n".join((dumps(audit_event()), dumps({"type": "ADDED", "object": core_event()}))))
    assert {chunk.table: len(chunk) for chunk in chunks} == {"audit": 1, "events": 1}
    assert next(c for c in chunks if c.table == "events").notes[0].change == "ADDED"


def test_a_webhook_body_keeps_good_items_beside_bad_ones() -> None:
    good = dumps(audit_event("1"))
    items = {"kind": "EventList", "items": [audit_event("1"), {"auditID": ""}, {"no": "id"}]}
    chunks = {chunk.table: chunk for chunk in ingest().feed_body(dumps(items))}
    assert list(chunks["audit"].records()) == [good]
    assert len(chunks["rejects"]) == 2


@pytest.mark.parametrize(
    "odd",
    [
        b'{"type":"ERROR","object":{"mess\xe2ge":"x"}}',
        b'{"request":{"u\xe2":1}}',
        b'{"items":[{"\xe2":1}]}',
        b'{"kind":"AdmissionReview","request":{"uid":"r","operation":"DELETE","object":{"kind":"Secret"},"old\xc3":1}}',
    ],
)
def test_bytes_that_are_no_utf_8_where_only_a_part_is_looked_into_are_rejected(odd: bytes) -> None:
    good = dumps(audit_event("1"))
    for chunks in (ingest().feed(odd + b"\n" + good), ingest().feed_body(b"[" + odd + b"," + good + b"]")):
        tables = {chunk.table: list(chunk.records()) for chunk in chunks}
        assert tables["audit"] == [good]
        assert tables["rejects"][0] in odd


def test_a_body_that_is_no_json_is_one_reject() -> None:
    (chunk,) = ingest().feed_body(b"\x1f\x8bgarbage")
    assert (chunk.table, len(chunk)) == ("rejects", 1)


@given(st.binary(max_size=400))
def test_no_bytes_make_it_fail_and_none_are_lost(data: bytes) -> None:
    worker = ingest()
    chunks = worker.feed(data)
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n") if line.strip()]
    rejected = [record for chunk in chunks if chunk.table == "rejects" for record in chunk.records()]
    assert worker.read >= len(expected)
    assert all(line in rejected or b"ecret" in line or b"oken" in line or _is_json(line) for line in expected)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
