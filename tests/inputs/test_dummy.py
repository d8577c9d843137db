"""Input `dummy`: which records, when, with which time."""

from __future__ import annotations

import asyncio
import time

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs.dummy import Dummy
from tests.inputs.sinks import Kept


async def given(**options: object) -> Kept:
    kept = Kept()
    await Dummy({"tag": "dummy.0", "interval_nsec": "1000000", "samples": "1", **options}).run(kept)
    return kept


async def test_each_time_gives_all_copies_of_all_objects() -> None:
    kept = await given(dummy='{"a": 1}\n{"b":{"c":[]}}', samples="3", copies="2", metadata='{"m":1}')
    assert [raw for raw, _ in kept.records("logs")] == [b'{"a": 1}', b'{"b":{"c":[]}}'] * 6
    assert {note.metadata for _, note in kept.records("logs")} == {'{"m":1}'}
    assert {(chunk.tag, chunk.form, chunk.lines) for chunk in kept.chunks} == {("dummy.0", "record", True)}


async def test_time_is_now_or_goes_on_from_what_is_said() -> None:
    before = time.time_ns()
    (chunk,) = (await given()).chunks
    assert chunk.times is not None
    assert before < chunk.times[0] <= time.time_ns()
    (chunk,) = (await given(start_time_sec="1700000000", start_time_nsec="5")).chunks
    assert chunk.times is not None
    assert 0 < chunk.times[0] - 1_700_000_000_000_000_005 < 60 * 10**9


async def test_the_rate_says_how_often_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, now = asyncio.get_running_loop(), 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    with monkeypatch.context() as patched:
        patched.setattr(loop, "time", lambda: now)
        patched.setattr(asyncio, "sleep", sleep)
        kept = await given(rate="4", samples="8", interval_nsec="0", cluster="prod")
    assert now == pytest.approx(2.0)
    assert [len(chunk) for chunk in kept.chunks] == [1] * 8
    assert {chunk.cluster for chunk in kept.chunks} == {"prod"}


async def test_a_fixed_time_is_the_same_for_all() -> None:
    kept = await given(start_time_sec="1700000000", fixed_timestamp="on", samples="3")
    assert {ns for chunk in kept.chunks for ns in chunk.times or ()} == {1_700_000_000 * 10**9}
    assert sum(map(len, kept.chunks)) == 3


async def test_records_alike_are_told_apart() -> None:
    kept = await given(samples="50")
    assert len(kept.records("logs")) == 50
    assert kept.duplicates == 0


async def test_the_first_may_come_at_once() -> None:
    kept = await given(flush_on_startup="on", interval_sec="3600")
    assert [raw for raw, _ in kept.records("logs")] == [b'{"message":"dummy"}']


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dummy": '{"a":'}, "'dummy' is .* does not end"),
        ({"dummy": "[1]"}, "takes a JSON object"),
        ({"metadata": "x"}, "'metadata' is 'x'"),
        ({"start_time_sec": "soon"}, "'start_time_sec' is 'soon'"),
        ({"test_hang_on_exit": "on"}, "hang at its end"),
    ],
)
def test_what_is_wrong_is_told(options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Dummy(options)
