"""Files in any arrangement give the same records, whatever the block borders, and nothing is lost on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.formats import logs
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.importer.detect import shape
from kubewitness.inputs.importer.readers import READERS, fingerprint
from kubewitness.record import Chunk
from tests.formats.records import KEY, audit_event, core_event, dumps, new_event, pod, review

Row = tuple[str, str, bytes, bytes, str]
EVENT = dumps(audit_event()).decode()


def read(data: bytes, sizes: tuple[int, ...] = (262_144,), name: str = "") -> tuple[Ingest, list[Chunk]]:
    """What an import makes of a file's bytes, fed in blocks of these sizes over and over."""
    ingest = Ingest("default", "import", KEY)
    ingest.fingerprint = fingerprint(data)
    reader = READERS[name or shape(data[:65_536])](ingest, "file")
    chunks: list[Chunk] = []
    at = turn = 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        chunks += reader.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return ingest, chunks + reader.close()


def rows(chunks: list[Chunk]) -> list[Row]:
    """All records in an order that does not depend on how they were grouped."""
    found = []
    for chunk in chunks:
        for i, record in enumerate(chunk.records()):
            note = chunk.notes.get(i)
            found.append((chunk.table, chunk.form, record, chunk.key(i), note.change if note else ""))
    return sorted(found)


def tables(chunks: list[Chunk]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for chunk in chunks:
        counts[chunk.table] = counts.get(chunk.table, 0) + len(chunk)
    return counts


LIST = {"apiVersion": "v1", "items": [core_event("1"), new_event("2"), pod()], "kind": "List", "metadata": {}}
PIECES: list[bytes] = [
    dumps(audit_event("1")) + b"\n",
    dumps(audit_event("2", requestURI='/é{[\\"')) + b"\r\n",
    dumps({"kind": "EventList", "items": [audit_event("3"), audit_event("4")]}) + b"\n",
    json.dumps(LIST, indent=4).encode() + b"\n",
    json.dumps(audit_event("5"), indent=1).encode() + b"\n",
    json.dumps([review(), audit_event("6")], indent=2).encode() + b"\n",
    b"[\n" + dumps(audit_event("7")) + b",\n" + dumps(audit_event("8")) + b"\n]\n",
    dumps({"type": "MODIFIED", "object": core_event("9")}) + b"\n",
    b"not json\n",
    b'{"auditID":"cut off\n',
    b'{\n  "auditID": "cut off in a pretty document",\n',
    b"\n",
    b"I1122 21:25:09.518619       1 server.go:10] a component's line\n",
    b"2026-11-22T21:00:00.1Z stdout F a container's line\n",
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=8),
    st.lists(st.integers(20, 700) | st.just(1), min_size=3, max_size=6),
)
def test_block_borders_make_no_difference(pieces: list[bytes], sizes: list[int]) -> None:
    data = b"".join(pieces)
    _, whole = read(data, name="json")
    _, cut = read(data, tuple(sizes), name="json")
    assert rows(whole) == rows(cut)


def test_a_file_may_mix_everything() -> None:
    ingest, chunks = read(b"".join(PIECES) + PIECES[0].replace(b'"1"', b'"last"').rstrip(), name="json")
    assert tables(chunks) == {"audit": 9, "events": 3, "objects": 1, "admission": 1, "logs": 2, "rejects": 3}
    assert ingest.rejected == 3


@pytest.mark.parametrize("document", [LIST, {"kind": "EventList", "apiVersion": "v1", "items": LIST["items"]}])
@pytest.mark.parametrize("indent", [None, 4])
def test_a_list_that_kubectl_printed_is_read_item_by_item(document: dict[str, Any], indent: int | None) -> None:
    _, chunks = read(json.dumps(document, indent=indent).encode(), (500,))
    assert tables(chunks) == {"events": 2, "objects": 1}


def test_the_same_list_as_yaml_gives_the_same_identities() -> None:
    _, from_json = read(dumps(LIST))
    _, from_yaml = read(yaml.safe_dump(LIST).encode(), (100,))
    events = [row[3] for row in rows(from_json) if row[0] == "events"]
    assert [row[3] for row in rows(from_yaml) if row[0] == "events"] == events
    assert all(chunk.notes[0].flags == ("from-yaml",) for chunk in from_yaml)


def test_a_very_long_line_is_read_in_pieces() -> None:
    items = [core_event(str(i), message="x" * 2000) for i in range(1200)]
    line = dumps({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": items})
    assert len(line) > 2_000_000
    ingest, chunks = read(line + b"\n" + dumps(audit_event()) + b"\n")
    assert tables(chunks) == {"events": 1200, "audit": 1}
    assert ingest.rejected == 0


def test_a_line_over_the_limit_is_rejected_with_its_place_and_length() -> None:
    huge = b'{"auditID":"' + b"x" * (17 * 1024 * 1024) + b'"}'
    _, chunks = read(dumps(audit_event("1")) + b"\n" + huge + b"\n" + dumps(audit_event("2")) + b"\n")
    assert tables(chunks) == {"audit": 2, "rejects": 1}
    reject = next(chunk for chunk in chunks if chunk.table == "rejects")
    assert reject.notes[0].offset == len(dumps(audit_event("1"))) + 1
    assert str(len(huge)) in reject.notes[0].reason
    assert len(next(reject.records())) <= 65_536


def test_a_byte_order_mark_is_no_part_of_the_first_record() -> None:
    _, chunks = read(b"\xef\xbb\xbf" + dumps(audit_event()) + b"\n")
    assert tables(chunks) == {"audit": 1}


def test_binary_data_is_one_reject() -> None:
    _, chunks = read(b"\x89PNG\r\n\0\0" + bytes(range(256)) * 100)
    assert tables(chunks) == {"rejects": 1}
    assert "binary" in chunks[0].notes[0].reason


CRI = (
    b"2026-11-22T21:00:00.1Z stdout P first \n"
    b"2026-11-22T21:00:00.2Z stderr F between\n"
    b"2026-11-22T21:00:00.3Z stdout F second\n"
    b"2026-11-22T21:00:00.4Z stdout F \n"
    b"garbage\n"
    b"2026-11-22T21:00:00.5Z stdout F " + EVENT.encode() + b"\n"
    b"2026-11-22T21:00:00.6Z stdout P never ended\n"
)


@pytest.mark.parametrize("size", [1, 50, 100_000])
def test_cri_parts_are_joined_per_stream(size: int) -> None:
    _, chunks = read(CRI, (size,))
    lines = [logs.decode("cri", row[2]) for row in rows(chunks) if row[0] == "logs"]
    assert sorted(line.message for line in lines) == ["", "between", "first second", "never ended"]
    assert tables(chunks) == {"logs": 4, "rejects": 1, "audit": 1}


def test_docker_and_klog_files_are_recognised() -> None:
    docker = '{"log":"part ","stream":"stdout","time":"2026-11-22T21:00:00.1Z"}\n{"log":"end\\n","stream":"stdout",'
    docker += '"time":"2026-11-22T21:00:00.2Z"}\n'
    _, chunks = read(docker.encode())
    assert [(row[1], logs.decode("docker", row[2]).message) for row in rows(chunks)] == [("docker", "part end")]
    klog = b"E1122 21:25:09.518619       1 a.go:1] panic\ngoroutine 1\n\tmain()\nI1122 21:25:10.000000 1 a.go:2] up\n"
    _, chunks = read(klog, (7,))
    assert [logs.decode("klog", row[2]).message for row in rows(chunks)] == ["panic\ngoroutine 1\n\tmain()", "up"]


def test_the_same_log_under_another_name_has_the_same_identities() -> None:
    _, first = read(CRI)
    ingest = Ingest("default", "import", KEY)
    ingest.fingerprint = fingerprint(CRI)
    reader = READERS["cri"](ingest, "copy of it")
    again = reader.feed(CRI) + reader.close()
    assert [row[3] for row in rows(first)] == [row[3] for row in rows(again)]
