"""Lines come out the same wherever the network cuts the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewitness.errors import Malformed
from kubewitness.kube.client import _decoded_list
from kubewitness.kube.lines import LineSplitter


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b and bool(b.strip()))), st.data())
def test_any_borders_give_the_same_lines(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"unfinished"
    splitter = LineSplitter()
    got: list[bytes] = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 30))
        got += splitter.feed(stream[at : at + size])
        at += size
    assert got == lines
    assert splitter.rest() == b"unfinished"


def test_a_line_without_end_is_refused() -> None:
    splitter = LineSplitter(limit=100)
    for _ in range(10):
        assert splitter.feed(b"x" * 10) == []
    with pytest.raises(Malformed, match="longer than 100 bytes"):
        splitter.feed(b"x")


def test_an_item_nested_too_deeply_for_decoders_costs_no_other_item_of_its_page() -> None:
    deep = b'{"metadata":{"name":"deep"},"spec":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}"
    plain = b'{"metadata":{"name":"plain"}}'
    page = b'{"kind":"WidgetList","items":[%s,%s],"metadata":{"resourceVersion":"7","continue":"t"}}' % (deep, plain)
    found = _decoded_list(page, "list widgets")
    assert [bytes(item) for item in found.items or ()] == [deep, plain]
    assert (found.metadata.resourceVersion, found.metadata.continue_) == ("7", "t")
