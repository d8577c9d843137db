"""What an input handed over is counted once it is taken; one that waits for room is paused."""

from __future__ import annotations

import asyncio

import pytest

from kubewitness.contracts import Batch
from kubewitness.errors import Full
from kubewitness.pipeline import MemoryQueue, counted
from kubewitness.pipeline.counted import CountedSink
from tests.journal.helpers import numbered


async def test_records_and_bytes_are_counted_when_they_are_taken() -> None:
    queue = MemoryQueue(limit=30)
    sink = CountedSink(queue)
    await queue.open("out")
    await sink.put(Batch([numbered(*range(3))], {"p": b"3"}))
    assert (sink.records, sink.bytes) == (3, 24)
    assert await sink.position("p") == b"3"
    with pytest.raises(Full):
        await sink.put(Batch([numbered(*range(3))]), wait=False)
    assert (sink.records, sink.paused) == (3, False)


async def test_an_input_that_waits_for_room_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "_PAUSE", 0.0)
    queue = MemoryQueue(limit=30)
    sink = CountedSink(queue)
    await queue.open("out")
    await sink.put(Batch([numbered(*range(3))]))
    waiting = asyncio.create_task(sink.put(Batch([numbered(*range(3))])))
    await asyncio.sleep(0.01)
    assert sink.paused
    await queue.done("out", 1)
    await waiting
    assert (sink.paused, sink.records) == (False, 6)
