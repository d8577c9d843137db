"""`storage.total_limit_size` of one output: what goes, what stays, what is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Batch, Delivery
from kubewitness.errors import Retry
from kubewitness.journal import Journal
from kubewitness.pipeline.backlog import Backlog, Waiting
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import JournalFeed
from kubewitness.record import Chunk
from tests.journal.helpers import noise, numbered

pytestmark = pytest.mark.timeout(30)

#: about the size of a chunk of `noisy` in the journal
CHUNK = 10_000


def noisy(number: int, tag: str = "a") -> Chunk:
    """A chunk of one record that does not compress, and knows its number by its time."""
    made = noise(CHUNK, number)
    made.tag, made.received_us = tag, number
    return made


class Far:
    """A far side that can be away. Takes tags that begin with "a"."""

    def __init__(self, name: str = "far") -> None:
        self.name = name
        self.away = False
        self.tries = 0
        self.took: list[int] = []

    def wants(self, chunk_table: str, tag: str) -> bool:
        return tag.startswith("a")

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        self.tries += 1
        if self.away:
            raise Retry("it is away")
        self.took += [d.chunk.received_us for d in deliveries]

    async def close(self) -> None:
        pass


class Run:
    """A journal, and outputs that deliver from it."""

    def __init__(self, place: Path) -> None:
        self.journal = Journal(place / "journal.db")
        self.feed = JournalFeed(self.journal, poll=0.01)
        self.loops: list[DeliveryLoop] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def add(self, far: Far, limit: int | None = None, wait: float = 0.01) -> DeliveryLoop:
        loop = DeliveryLoop(far, self.feed, far.name, Backoff(wait, wait), limit=limit)
        await loop.open()
        self.loops.append(loop)
        self.tasks.append(asyncio.create_task(loop.run()))
        return loop

    def put(self, *chunks: Chunk) -> None:
        self.journal.append([Batch(chunks)])

    async def end(self) -> None:
        self.feed.finish()
        await asyncio.wait_for(asyncio.gather(*self.tasks), 20)
        self.journal.close()


async def until(met: Any) -> None:
    while not met():
        await asyncio.sleep(0.005)


async def test_an_output_that_is_down_keeps_its_newest_and_the_others_get_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run, down, up = Run(tmp_path), Far("down"), Far("up")
    down.away = True
    limited = await run.add(down, limit=5 * CHUNK + CHUNK // 2)
    await run.add(up)
    for number in range(1, 21):
        run.put(noisy(number))
        await asyncio.sleep(0.005)
    await until(lambda: limited.health()["over_limit"] == 15 and len(up.took) == 20)
    assert run.journal.stats().held.records == 5  # the room is there again
    assert (limited.state, limited.delivered()["dropped_records"]) == ("waiting", 15)
    down.away = False
    await until(lambda: len(down.took) == 5)
    run.put(noisy(21))
    await run.end()
    assert down.took == [16, 17, 18, 19, 20, 21]
    assert up.took == list(range(1, 22))
    health = limited.health()
    assert (health["records"], health["over_limit"], health["dropped"], health["set_aside"]) == (6, 15, 15, 0)
    assert [m for m in caplog.messages if "storage.total_limit_size" in m] == [
        "down: storage.total_limit_size (55000 bytes) is reached: its oldest records are dropped until it delivers "
        "again, counted as over_limit"
    ]
    assert caplog.messages.count("down delivers again") == 1


async def test_under_its_limit_and_without_one_nothing_goes(tmp_path: Path) -> None:
    run, limited, free = Run(tmp_path), Far("limited"), Far("free")
    limited.away = free.away = True
    loops = [await run.add(limited, limit=100 * CHUNK), await run.add(free)]
    run.put(*map(noisy, range(1, 31)))
    await until(lambda: limited.tries > 3 and free.tries > 3)
    limited.away = free.away = False
    await run.end()
    assert limited.took == free.took == list(range(1, 31))
    assert [loop.health()["over_limit"] for loop in loops] == [0, 0]


async def test_what_others_want_does_not_count_and_is_not_dropped(tmp_path: Path) -> None:
    run, far = Run(tmp_path), Far()
    far.away = True
    loop = await run.add(far, limit=3 * CHUNK)
    run.put(noisy(1), *(noisy(number, tag="b") for number in range(2, 20)), noisy(20))
    await until(lambda: far.tries > 3)
    assert loop.health()["over_limit"] == 0
    far.away = False
    await run.end()
    assert far.took == [1, 20]


async def test_more_than_the_limit_from_before_a_restart_goes_before_anything_is_delivered(tmp_path: Path) -> None:
    run, far = Run(tmp_path), Far()
    run.journal.register("far")
    run.put(*map(noisy, range(1, 11)))
    loop = await run.add(far, limit=2 * CHUNK + CHUNK // 2)
    await run.end()
    assert far.took == [9, 10]
    assert loop.health()["over_limit"] == 8


async def test_an_output_that_waits_long_for_its_next_try_frees_the_room_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubewitness.pipeline.delivery._LOOK_SECONDS", 0.01)
    run, far = Run(tmp_path), Far()
    far.away = True
    loop = await run.add(far, limit=2 * CHUNK, wait=600)
    run.put(noisy(1))
    await until(lambda: far.tries == 1)
    for number in range(2, 12):
        run.put(noisy(number))
    await until(lambda: run.journal.stats().held.records <= 2)
    assert far.tries == 1
    assert loop.leave()
    run.tasks[0].cancel()
    run.journal.close()


def test_the_newest_chunk_stays_whatever_its_size_and_each_is_looked_at_once() -> None:
    chunks = [Waiting(n, "logs", "a", 1, 100) for n in range(1, 6)]
    asked: list[int] = []

    def look(after: int) -> list[Waiting]:
        asked.append(after)
        return [c for c in chunks if c.seq > after]

    backlog = Backlog(50, lambda table, tag: True, look)
    assert [c.seq for c in backlog.over(0)] == [1, 2, 3, 4]
    assert (backlog.over(0), backlog.size) == ([], 100)
    assert (backlog.over(5), backlog.size) == ([], 0)
    assert asked == [0, 5, 5]


async def test_records_in_hand_are_counted_once_when_they_go(tmp_path: Path) -> None:
    run, far = Run(tmp_path), Far()
    far.away = True
    loop = await run.add(far, limit=CHUNK)
    run.put(numbered(1, 2, 3, source="a"))
    first = numbered(1, 2, 3)
    first.tag = "a"
    run.put(first)
    await until(lambda: far.tries > 0)
    run.put(noisy(1))
    await until(lambda: loop.health()["over_limit"] == 3)
    run.put(noisy(2))
    await until(lambda: loop.health()["over_limit"] == 4)
    far.away = False
    await run.end()
    assert far.took == [2]
