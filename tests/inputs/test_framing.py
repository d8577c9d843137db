"""Messages in a stream are the same however the stream is cut into blocks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.inputs.framing import Counted, CountedOrSeparated, Cut, Framing, JsonValues, Separated, Unframed

CUTS = st.lists(st.integers(1, 12), max_size=30)
TEXTS = st.lists(st.binary(min_size=1, max_size=12).filter(lambda b: b"\n" not in b and b"\r" not in b), max_size=6)


def in_pieces(framing: Framing, data: bytes, sizes: Sequence[int]) -> list[Cut]:
    found = []
    for size in sizes:
        piece, data = data[:size], data[size:]
        if piece:
            found += framing.feed(piece)
    if data:
        found += framing.feed(data)
    return found + framing.close()


@given(TEXTS, CUTS)
def test_lines_are_the_same_however_they_come(texts: list[bytes], sizes: list[int]) -> None:
    assert in_pieces(Separated(b"\n", 100), b"\n".join((*texts, b"")), sizes) == [Cut(t) for t in texts]
    assert in_pieces(Separated(b"\n", 100), b"\n\n".join(texts), sizes) == [Cut(t) for t in texts]


@given(TEXTS, CUTS, st.sampled_from([b"", b"\n"]))
def test_counted_messages_are_the_same_however_they_come(texts: list[bytes], sizes: list[int], behind: bytes) -> None:
    data = b"".join(b"%d %b%b" % (len(t), t, behind) for t in texts)
    for framing in (Counted(100), CountedOrSeparated(100)):
        assert in_pieces(framing, data, sizes) == [Cut(t) for t in texts]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(JSON, max_size=5), CUTS, st.sampled_from(["\n", " ", "\r\n"]), st.sampled_from([None, 1]))
@settings(max_examples=100)
def test_json_values_are_the_same_however_they_come(
    values: list[Any], sizes: list[int], between: str, indent: int | None
) -> None:
    try:
        data = "".join(json.dumps(v, indent=indent, ensure_ascii=False) + between for v in values).encode()
    except UnicodeEncodeError:
        return
    found = in_pieces(JsonValues(10_000), data, sizes)
    assert [json.loads(cut.data) for cut in found] == values
    assert all(cut.whole for cut in found)


@given(st.lists(st.dictionaries(st.text('ab{["\\', max_size=3), st.integers(), max_size=2), max_size=5), CUTS)
def test_objects_need_nothing_between_them(values: list[Any], sizes: list[int]) -> None:
    data = "".join(map(json.dumps, values)).encode()
    assert [json.loads(cut.data) for cut in in_pieces(JsonValues(1000), data, sizes)] == values


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"n":1}\n{"n":\n{"n":3}\n', [(b'{"n":1}', True), (b'{"n":', False), (b'{"n":3}', True)]),
        (b'{"n":1}\n}\n{"n":3}\n', [(b'{"n":1}', True), (b"}", True), (b'{"n":3}', True)]),
        (b'{"n":"x\n{"n":3}\n', [(b'{"n":"x', False), (b'{"n":3}', True)]),
        (b'{"n":1}\n{"n":', [(b'{"n":1}', True), (b'{"n":', False)]),
        (b'{"a":[\n {"b":1},\n {"b":2}\n]}\n', [(b'{"a":[\n {"b":1},\n {"b":2}\n]}', True)]),
    ],
)
def test_after_a_broken_value_the_next_line_begins_anew(data: bytes, found: list[tuple[bytes, bool]]) -> None:
    for size in (1000, 1, 7):
        assert in_pieces(JsonValues(1000), data, [size] * len(data)) == [Cut(*f) for f in found]


@pytest.mark.parametrize("make", [lambda: Separated(b"\n", 10), lambda: CountedOrSeparated(10)])
def test_a_line_over_the_limit_comes_in_pieces(make: Callable[[], Framing]) -> None:
    data = b"<x>" + b"y" * 22 + b"\nshort\n"
    for sizes in ([], [3] * 20):
        pieces = in_pieces(make(), data, sizes)
        assert b"".join(cut.data for cut in pieces[:-1]) == data.partition(b"\n")[0]
        assert [cut.whole for cut in pieces[:-1]].count(True) <= 1
        assert pieces[-1] == Cut(b"short")
        assert max(len(cut.data) for cut in pieces) <= 10


@pytest.mark.parametrize(
    ("framing", "data"),
    [
        (Counted(10), b"<13>no count"),
        (Counted(10), b"11 x"),
        (Counted(10), b"12345678901 "),
        (JsonValues(10), b'{"n":"xxxxxxxxx'),
    ],
)
def test_what_cannot_be_framed_is_told(framing: Framing, data: bytes) -> None:
    with pytest.raises(Unframed):
        framing.feed(data)


def test_a_large_value_in_many_pieces_is_looked_at_once() -> None:
    framing = JsonValues(10**7)
    value = json.dumps([{"k": "v" * 50, "n": i} for i in range(3000)]).encode()
    found = in_pieces(framing, value + b"\n", [1000] * (len(value) // 1000))
    assert [cut.data for cut in found] == [value]
