"""The ring in memory: inputs never wait, the oldest go, and each record is either delivered or counted."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Batch
from kubewitness.pipeline import Supervisor
from kubewitness.pipeline.ring import RingQueue
from tests.journal.helpers import numbered
from tests.pipeline.parts import Collecting, expected, retry_until
from tests.pipeline.test_parts import TEXT, parts

pytestmark = pytest.mark.timeout(60)


async def test_while_an_output_is_down_the_newest_are_kept_and_the_others_counted() -> None:
    queue, output = RingQueue(limit=100), Collecting()
    await queue.open("down")
    for n in range(1000):  # 7 to 9 bytes each
        await queue.put(Batch([numbered(n)], {"p": b"%d" % n}))
    supervisor = Supervisor()
    output.name = "down"
    supervisor.add_output(output, queue)
    await supervisor.run(until_inputs_end=True)
    kept = len(output.records)
    assert output.records == expected(1000)[-kept:]
    assert 8 <= kept <= 12
    assert queue.health() == {"stored": 1000, "refused": 0, "held": 0, "held_records": 0,
                              "held_bytes": 0, "drop_records": 1000 - kept,
                              "drop_bytes": queue.dropped_bytes}  # fmt: skip
    assert await queue.position("p") == b"999"


async def test_what_an_output_is_delivering_is_not_taken_away() -> None:
    queue = RingQueue(limit=100)
    for name in ("slow", "quick"):
        await queue.open(name)
    await queue.put(Batch([numbered(n) for n in range(10)]))
    begun = await queue.take("slow")
    await queue.done("quick", (await queue.take("quick"))[-1].seq)
    for n in range(10, 100):
        await queue.put(Batch([numbered(n)]))
    assert [r for d in begun for r in d.chunk.records()] == expected(10)
    assert queue.health()["held_bytes"] <= 200
    await queue.done("slow", begun[-1].seq)
    left = [r for d in await queue.take("slow") for r in d.chunk.records()]
    assert left == expected(100)[-len(left) :]
    assert queue.dropped_records == 90 - len(left)


async def test_every_record_is_delivered_or_counted_and_none_twice() -> None:
    rng = random.Random(3)
    queue, output = RingQueue(limit=300), Collecting(before=retry_until(5), delay=0.001)
    supervisor = Supervisor(restart_first=0.01, restart_limit=0.02)
    supervisor.add_output(output, queue)
    running = asyncio.create_task(supervisor.run())
    n = 0
    while n < 3000:
        batch = [numbered(i) for i in range(n, min(3000, n + rng.randint(1, 40)))]
        n += len(batch)
        await queue.put(Batch(batch))
        await asyncio.sleep(rng.choice((0, 0, 0.002)))
    supervisor.stop()
    await running
    assert output.records == sorted(set(output.records), key=output.records.index)
    assert len(output.records) + queue.dropped_records == 3000
    assert queue.dropped_records > 0


def test_it_is_the_pipelines_only_where_every_input_wants_it(tmp_path: Path) -> None:
    text = TEXT.replace("storage.type memory", "storage.type memrb")
    assert (parts(tmp_path, text).memory, parts(tmp_path, text).ring) == (True, 16 * 1024**2)
    limited = text.replace("/a.log\n", "/a.log\n    Mem_Buf_Limit 1M\n").replace(
        "/b.log\n", "/b.log\n    Mem_Buf_Limit 2M\n"
    )
    assert parts(tmp_path, limited).ring == 3_000_000
    for other, memory in (("memory", True), ("filesystem", False)):
        mixed = parts(tmp_path, text.replace("/a.log\n", f"/a.log\n    storage.type {other}\n"))
        assert (mixed.memory, mixed.ring) == (memory, 0)


async def test_what_is_dropped_is_shown() -> None:
    supervisor = Supervisor()
    assert "buffer" not in supervisor.health()
    supervisor.add_buffer(lambda: {"drop_records": 3})
    health: dict[str, Any] = supervisor.health()
    assert health["buffer"] == {"drop_records": 3}
