"""Input `stdin`: values and lines, their times, what is no record, and the end."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from kubewitness.errors import Finished, UsageError
from kubewitness.inputs.stdin import Stdin
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept


async def read(text: bytes, **options: str) -> Kept:
    """What comes of a text that is all there is."""
    out, into = os.pipe()
    os.write(into, text)
    os.close(into)
    kept = Kept()
    try:
        with pytest.raises(Finished, match="end of file") as told:
            await Stdin({"tag": "stdin.0", **options}, fd=out).run(kept)
    finally:
        os.close(out)
    assert told.value.exit_code == 0
    return kept


def times(kept: Kept) -> list[int]:
    return [ns for chunk in kept.chunks if chunk.table == "logs" for ns in chunk.times or ()]


async def test_objects_have_the_time_of_reading_and_events_their_own() -> None:
    before = time.time_ns()
    kept = await read(
        b'{"a":1}\n[1700000000.123456789,{"b":\n2}][[17,{"m":1}],{"c":3}][{"d":4},{"e":5}]', cluster="prod"
    )
    assert {chunk.cluster for chunk in kept.chunks} == {"prod"}
    found = kept.records("logs")
    assert [raw for raw, _ in found] == [b'{"a":1}', b'{"b":2}', b'{"c":3}', b'{"d":4}', b'{"e":5}']
    assert [note.metadata for _, note in found] == ["", "", '{"m":1}', "", ""]
    stamps = times(kept)
    assert stamps[1:3] == [1_700_000_000_123_456_789, 17 * 10**9]
    assert all(before < ns < time.time_ns() for ns in (stamps[0], *stamps[3:]))


async def test_what_is_no_record_is_kept_as_a_reject() -> None:
    kept = await read(b'hello\n{"a":1}\n17\n["x",{"b":1}]\n[1,2,3]\n{"c":')
    assert [raw for raw, _ in kept.records("logs")] == [b'{"a":1}']
    rejects = kept.records("rejects")
    assert [raw.strip() for raw, _ in rejects] == [b"hello", b"17", b'["x",{"b":1}]', b"[1,2,3]", b'{"c":']
    assert [note.reason.split(":")[0] for _, note in rejects] == [
        "not JSON", "no JSON object", "neither an event nor objects", "neither an event nor objects",
        "a JSON value that does not end",
    ]  # fmt: skip


async def test_a_parser_takes_lines_apart_and_what_does_not_fit_stays_a_line() -> None:
    kept = await read(b'{"level":"info"}\r\n\n\xff\xfe\n{"level":"warn"}', parser="json")
    assert [raw for raw, _ in kept.records("logs")] == [
        b'{"level":"info"}',
        b'{"log":"\\\\xff\\\\xfe"}',
        b'{"level":"warn"}',
    ]


async def test_records_are_there_before_the_end_is() -> None:
    out, into = os.pipe()
    kept = Kept()
    async with running(Stdin({"tag": "s"}, fd=out), kept) as (source, task):
        os.write(into, b'{"a":1}{"b":')
        await until(lambda: kept.records("logs"))
        os.write(into, b"2}")
        await until(lambda: len(kept.records("logs")) == 2)
        assert source.health()["records"] == 2
        assert not task.done()
    os.close(into)
    os.close(out)


async def test_a_stop_waits_for_what_was_read_to_be_durable() -> None:
    out, into = os.pipe()
    kept = Kept()
    kept.gate.clear()
    task = asyncio.create_task(Stdin({"tag": "s"}, fd=out).run(kept))
    os.write(into, b'{"a":1}\n')
    await until(lambda: kept.puts)
    task.cancel()
    asyncio.get_running_loop().call_later(0.05, kept.gate.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(kept.records("logs")) == 1
    os.close(into)
    os.close(out)


def test_a_parser_that_there_is_not_is_told() -> None:
    with pytest.raises(UsageError, match="stdin: 'parser': there is no parser 'jsn'; did you mean 'json'"):
        Stdin({"parser": "jsn"})
