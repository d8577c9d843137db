"""Bodies nested so deeply that decoders give up: a client must not hide behind them."""

from __future__ import annotations

import json

import pytest

from kubewitness.formats.depth import LIMIT, manageable, shallow
from kubewitness.formats.ingest import Ingest
from kubewitness.record import Chunk

DEPTHS = (950, 2_000, 10_000, 200_000)


def nested(levels: int) -> str:
    return '{"a":[' * (levels // 2) + "1" + "]}" * (levels // 2)


def event(audit_id: str, levels: int, resource: str = "widgets", body: str = "") -> bytes:
    return (
        f'{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"{audit_id}",'
        '"stage":"ResponseComplete","requestURI":"/apis/x","verb":"create","user":{"username":"alice"},'
        f'"objectRef":{{"resource":"{resource}","name":"w"}},"requestReceivedTimestamp":"2026-11-22T20:00:00.000001Z",'
        f'"stageTimestamp":"2026-11-22T20:00:00.000001Z","requestObject":{body or nested(levels)}}}'
    ).encode()


def kept(ingest: Ingest, chunks: list[Chunk]) -> list[tuple[str, str, bool, tuple[str, ...]]]:
    out = []
    for chunk in chunks:
        for i, (start, end) in enumerate(chunk.spans()):
            note = chunk.notes.get(i)
            name = json.loads(chunk.data[start:end])["auditID"] if chunk.table == "audit" else ""
            out.append((chunk.table, name, bool(note and note.redacted), note.flags if note else ()))
    return sorted(out)


@pytest.mark.parametrize("levels", DEPTHS[1:])
@pytest.mark.parametrize("way", ["lines", "body", "one event", "values"])
def test_a_record_nested_too_deeply_is_kept_without_its_depths_beside_whole_neighbours(levels: int, way: str) -> None:
    ingest = Ingest(redact_key=b"k" * 32)
    events = [event("first", 4), event("deep", levels), event("last", 4)]
    if way == "lines":
        chunks = ingest.feed(b"\n".join(events) + b"\n")
    elif way == "body":
        chunks = ingest.feed_body(b'{"kind":"EventList","items":[' + b",".join(events) + b"]}")
    else:
        chunks = []
        for item in events:
            if way == "one event":
                chunks += ingest.feed_body(item)
            else:
                ingest.add_any(item)
        chunks += ingest.take()
    assert kept(ingest, chunks) == [
        ("audit", "deep", True, ("depth-cut",)),
        ("audit", "first", False, ()),
        ("audit", "last", False, ()),
    ]
    assert ingest.rejected == 0


@pytest.mark.parametrize("levels", DEPTHS)
def test_a_secret_below_or_beside_great_depth_is_still_redacted(levels: int) -> None:
    body = f'{{"kind":"Secret","data":{{"password":"aHVudGVyMg==","x":{nested(levels)}}},"spec":{nested(levels)}}}'
    ingest = Ingest(redact_key=b"k" * 32)
    (chunk,) = ingest.feed(event("s", 0, "secrets", body))
    assert chunk.table == "audit"
    assert chunk.notes[0].redacted
    assert b"aHVudGVyMg" not in chunk.data


@pytest.mark.parametrize("levels", [10_000, 200_000])
def test_brackets_that_never_close_are_rejected_not_fatal(levels: int) -> None:
    ingest = Ingest(redact_key=b"k" * 32)
    chunks = ingest.feed_body(b"[" * levels) + ingest.feed(b'{"a":' * levels + b"\n")
    assert {chunk.table for chunk in chunks} == {"rejects"}
    assert ingest.rejected == 2


def test_only_the_item_of_a_list_that_was_cut_is_flagged() -> None:
    def item(name: str, spec: str) -> str:
        meta = f'{{"name":"{name}","uid":"{name}","resourceVersion":"1","creationTimestamp":"2026-11-22T20:00:00Z"}}'
        return f'{{"apiVersion":"example.com/v1","kind":"Widget","metadata":{meta},"spec":{spec}}}'

    ingest = Ingest(redact_key=b"k" * 32)
    items = f"{item('deep', nested(4_000))},{item('flat', '{}')}"
    ingest.add_any(f'{{"kind":"List","apiVersion":"v1","items":[{items}]}}'.encode())
    (chunk,) = ingest.take()
    assert len(chunk) == 2
    assert chunk.notes[0].flags == ("depth-cut",)
    assert 1 not in chunk.notes or not chunk.notes[1].redacted


def test_a_shallow_copy_keeps_everything_above_the_limit_and_brackets_in_strings() -> None:
    text = '{"s": "[[{{\\"", "deep": ' + nested(1_000) + ', "after": [1, {"x": "]"}]}'
    copy = json.loads(shallow(text.encode()))
    assert copy["s"] == '[[{{"'
    assert copy["after"] == [1, {"x": "]"}]
    levels, value = 0, copy
    while not isinstance(value, str):
        value = value["deep"] if levels == 0 else value["a"] if isinstance(value, dict) else value[0]
        levels += 1
    assert levels == LIMIT
    assert value == "(nested too deeply to be kept)"


def test_what_is_shallow_stays_byte_for_byte_as_it_is() -> None:
    text = b'{"a": [1, 2, {"b": null}],  "c": "\xc3\xa9"}'
    assert manageable(text) == text == shallow(text)
