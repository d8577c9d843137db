"""Bodies and documents are taken apart into exact bytes, however they are cut into blocks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.formats.jsonscan import Broken, DocumentScanner, Value
from kubewitness.formats.split import split_audit
from tests.formats.records import audit_event, dumps

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.sampled_from(["items"]), inner)
    ),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=6), JSON, max_size=3), max_size=5)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=20)


def scan(data: bytes, cuts: list[int]) -> list[Value | Broken]:
    """Feeds the data in blocks of these sizes, over and over."""
    scanner = DocumentScanner()
    found: list[Value | Broken] = []
    at = turn = 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found += scanner.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    return found + scanner.close()


@given(OBJECTS, CUTS, st.sampled_from([None, 1, 4]), st.sampled_from(["\n", "", " "]))
def test_values_one_after_another_are_found_at_any_block_borders(
    values: list[dict[str, Any]], cuts: list[int], indent: int | None, between: str
) -> None:
    # a top-level list is opened up, so such keys would change what is counted here
    values = [{k: v for k, v in value.items() if k != "items"} for value in values]
    text = between.join(json.dumps(value, indent=indent) for value in values).encode()
    found = scan(text, cuts)
    assert [json.loads(value.raw) for value in found] == values
    assert all(text[v.offset : v.offset + len(v.raw)] == v.raw for v in found)


@given(OBJECTS, CUTS, st.sampled_from([None, 2]), st.booleans())
def test_items_of_a_list_are_found_at_any_block_borders(
    items: list[dict[str, Any]], cuts: list[int], indent: int | None, kind_last: bool
) -> None:
    head = {"kind": "List", "apiVersion": "v1"}
    document = {"items": items, **head} if kind_last else {**head, "metadata": {"a": [1]}, "items": items}
    text = json.dumps(document, indent=indent).encode()
    found = [value for value in scan(text, cuts) if isinstance(value, Value)]
    assert [json.loads(value.raw) for value in found] == items
    assert all(value.path == ("items",) for value in found)
    assert kind_last or all(b'"kind"' in value.head for value in found)


@given(st.binary(max_size=200), CUTS)
def test_no_bytes_make_the_scanner_fail(data: bytes, cuts: list[int]) -> None:
    for part in scan(data, cuts):
        assert part.offset >= 0


@given(st.binary(max_size=300))
def test_no_body_makes_the_splitter_fail(body: bytes) -> None:
    items, bad = split_audit(body)
    if body.strip(b" \t\r\n,\x1e\x0b\x0c") and not items and b"[" not in body and b"{" not in body:
        assert bad


def test_a_value_over_the_limit_is_told_with_its_length_and_not_kept() -> None:
    scanner = DocumentScanner(limit=1000)
    big = b'{"a":"' + b"x" * 5000 + b'","b":[' + b"1," * 3000 + b"1]}"
    text = b'{"before":1}\n' + big + b'\n{"after":1}'
    found: list[Value | Broken] = []
    for start in range(0, len(text), 300):
        found += scanner.feed(text[start : start + 300])
    found += scanner.close()
    assert [type(part) for part in found] == [Value, Broken, Value]
    broken = found[1]
    assert isinstance(broken, Broken)
    assert (broken.offset, broken.length, "the limit is 1000" in broken.reason) == (13, len(big), True)
    assert len(broken.raw) <= 4096


def test_every_shape_of_webhook_body_is_taken_apart() -> None:
    one, two = dumps(audit_event("1")), dumps(audit_event("2"))
    lst = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + one + b", " + two + b"]}"
    assert split_audit(lst) == ([one, two], [])
    assert split_audit(b" [" + one + b"," + two + b"]\n") == ([one, two], [])
    assert split_audit(one) == ([one], [])
    assert split_audit(one + b"\n" + two) == ([one, two], [])
    assert split_audit(lst + lst) == ([one, two, one, two], [])
    assert split_audit(b'{"kind":"EventList","items":[]}') == ([], [])


def test_a_broken_item_is_singled_out() -> None:
    one, two = dumps(audit_event("1")), dumps(audit_event("2"))
    body = b'{"kind":"EventList","items":[' + one + b',{"auditID": oops},' + two + b"]}"
    items, bad = split_audit(body)
    assert items == [one, two]
    assert [(part.raw, part.offset) for part in bad] == [(b'{"auditID": oops}', 30 + len(one))]


def test_a_body_that_ends_early_gives_what_came_before() -> None:
    one = dumps(audit_event("1"))
    items, bad = split_audit(b'{"kind":"EventList","items":[' + one + b',{"auditID":"2","st')
    assert items == [one]
    assert [part.reason for part in bad] == ["a JSON value that does not end"]


def test_bytes_that_are_no_json_come_back_as_one_bad_part() -> None:
    assert [(b.raw, b.reason) for b in split_audit(b"garbage")[1]] == [(b"garbage", "not JSON")]


@pytest.mark.parametrize(
    "junk", [b'"', b"{", b"}", b"[", b'{"a":"', b'},"object":{\xfe', b'],"other":[', b'{"kind":"Event","auditID":']
)
def test_quotes_and_brackets_that_do_not_match_cost_no_event_beside_them(junk: bytes) -> None:
    one, two, three = (dumps(audit_event(str(n))) for n in range(3))
    body = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + one + b"," + junk + b","
    items, bad = split_audit(body + two + b"," + three + b"]}")
    assert items == [one, two, three]
    assert [(part.raw, part.offset) for part in bad] == [(junk, len(body) - len(junk) - 1)]


def test_items_under_a_key_given_twice_are_all_found() -> None:
    one, two = (dumps(audit_event(str(n), pad="x" * 300)) for n in range(2))
    assert split_audit(b'{"items":[' + one + b'],"items":[' + two + b"]}") == ([one, two], [])


def test_a_hostile_body_is_given_up_in_time() -> None:
    body = b'{"auditID":"a","x":[' * 40_000
    items, bad = split_audit(body)
    assert items == []
    assert sum(part.length for part in bad) >= len(body) - 1
