"""JSON values one after the other: wherever a block ends, and whatever is broken, the others are there."""

from __future__ import annotations

import random

import pytest

from kubewitness.formats.jsonstream import Bad, JsonStream

TEXT = (
    b'{"a":1}\n{"b":\n [2, "x\\"}"]}\nnonsense\n[1.5,{"c":3}] {"d":"\xc3\xa4"}{"e":1e999}\n{"open": 1\n{"f":6}\n'
    b'"text" 17\n{"g": tru}\n\n{"h":"a\nb"}\n{"i":9}'
)
GOOD = [b'{"a":1}', b'{"b":[2,"x\\"}"]}', b'[1.5,{"c":3}]', b'{"d":"\xc3\xa4"}', b'{"e":1e999}', b'{"f":6}', b'{"i":9}']
BAD = [b"nonsense", b'{"open": 1', b'"text"', b"17", b'{"g": tru}', b'{"h":"a', b'b"}']


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_what_is_broken_does_not_spoil_its_neighbours(size: int) -> None:
    stream = JsonStream()
    found = [one for at in range(0, len(TEXT), size) for one in stream.feed(TEXT[at : at + size])]
    found += stream.close()
    assert [one for one in found if not isinstance(one, Bad)] == GOOD
    bad = [one for one in found if isinstance(one, Bad)]
    assert [one.raw.strip() for one in bad] == BAD
    assert [TEXT[one.offset :].strip().startswith(one.raw.strip()) for one in bad] == [True] * len(bad)


def test_a_value_without_its_end_is_told_at_the_end() -> None:
    stream = JsonStream()
    assert stream.feed(b'{"a":"') == []
    (bad,) = stream.close()
    assert isinstance(bad, Bad)
    assert (bad.raw, bad.reason) == (b'{"a":"', "a JSON value that does not end")


def test_a_value_that_is_too_long_is_left_out_up_to_its_newline() -> None:
    stream = JsonStream(limit=100)
    found = stream.feed(b'{"a":"' + b"x" * 200)
    found += stream.feed(b"x" * 200 + b'"}\n{"b":1}\n') + stream.close()
    assert [type(one) for one in found] == [Bad, bytes]
    assert isinstance(found[0], Bad)
    assert (found[0].length, found[0].raw[:6]) == (409, b'{"a":"')


def test_a_long_value_is_not_looked_at_with_each_block() -> None:
    rng = random.Random(1)
    value = b'{"a":[\n' + b",\n".join(b"%d" % rng.randrange(10**9) for _ in range(20_000)) + b"]}\n"
    stream = JsonStream()
    found = [one for at in range(0, len(value), 1000) for one in stream.feed(value[at : at + 1000], more=True)]
    assert found + stream.close() == [value.replace(b"\n", b"")]
