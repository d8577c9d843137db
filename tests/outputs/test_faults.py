"""Every output under every fault that its far side can have: what was said arrives, and is counted for
docs/reliability.md (`output_fault`)."""

from __future__ import annotations

import asyncio
import json
import resource
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.committer import Committer
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import Feed, JournalFeed, MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from tests.faults import OutputFault
from tests.outputs.every import EVERY, Far, Here
from tests.outputs.fault_list import COMBINATIONS, HERE
from tests.outputs.wires import Wire

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

ALL = list(range(60))
#: a test of their own plays them; kill -9: tests/crash/test_every_output_kill.py
APART = ("disk full", "kill -9")


class Virtual(Backoff):
    """Ten minutes pass in the waits between tries; `over` is set when they have."""

    def __init__(self) -> None:
        super().__init__(0.5, 60.0)
        self.seconds = 0.0
        self.tries = 0
        self.over = asyncio.Event()

    def next(self, at_least: float | None = None) -> float:
        self.seconds += super().next(at_least)
        self.tries += 1
        if self.seconds >= 600:
            self.over.set()
            return 0.01
        return 0.0005


class Run:
    """One output that delivers, from memory unless a feed is given."""

    def __init__(self, far: Far, place: Path, backoff: Backoff | None = None, feed: Feed | None = None) -> None:
        self.far = far
        self.queue = MemoryQueue()
        self.feed = feed or self.queue
        rejected = Rejected(place / "rejected")
        self.loop = DeliveryLoop(far.output(), self.feed, "out", backoff or Backoff(0.005, 0.05), rejected=rejected)

    async def start(self) -> None:
        await self.loop.open()
        self.task = asyncio.create_task(self.loop.run())

    async def put(self, *numbers: int) -> None:
        for start in range(0, len(numbers), 10):
            await self.queue.put(Batch([self.far.chunk(numbers[start : start + 10])]))

    async def begun(self) -> None:
        """The first records are through: faults meet a connection that is in use."""
        await self.put(*ALL[:10])
        while self.loop.health()["records"] != 10:
            await asyncio.sleep(0.005)

    async def end(self) -> dict[str, Any]:
        self.feed.finish()
        await self.task
        await self.loop.close()
        return self.loop.health()


@pytest.fixture
async def far(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Far]:
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = kw-key\naws_secret_access_key = kw-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    made = EVERY[request.param](tmp_path)
    made.wire = Wire(await made.start())
    yield made
    await made.wire.down()
    await made.stop()


async def down(far: Far, place: Path) -> None:
    """Not there at first, and gone again in between."""
    run = Run(far, place)
    await run.start()
    await run.put(*ALL[:20])
    await asyncio.sleep(0.1)
    await far.wire.up()
    while run.loop.health()["records"] != 20:
        await asyncio.sleep(0.005)
    await far.wire.down()
    await asyncio.sleep(0.05)  # both ends know
    await run.put(*ALL[20:])
    await asyncio.sleep(0.1)
    await far.wire.up()
    assert (await run.end())["set_aside"] == 0


async def away_ten_minutes(far: Far, place: Path) -> None:
    waits = Virtual()
    run = Run(far, place, waits)
    await run.start()
    await run.put(*ALL)
    await waits.over.wait()
    assert waits.tries < 40  # it is not asked all the time
    await far.wire.up()
    assert (await run.end())["set_aside"] == 0


async def on_the_wire(far: Far, place: Path, fault: str) -> None:
    await far.wire.up()
    run = Run(far, place)
    await run.start()
    await run.begun()
    far.wire.faults.extend([fault, "", fault])
    for start in range(10, 60, 10):
        await run.put(*ALL[start : start + 10])
        await asyncio.sleep(0.02)  # a read of its own
    assert (await run.end())["set_aside"] == 0
    assert len(far.wire.faults) < 3


async def of_its_own(far: Far, place: Path, fault: str) -> None:
    """What only the far side can say: 429, 500, half of it."""
    await far.wire.up()
    run = Run(far, place)
    await run.start()
    await run.begun()
    for one in (fault, "", fault):
        await far.play(one)
    await run.put(*ALL[10:])
    assert ((await run.end())["set_aside"] > 0) == may_refuse(far, fault)


def may_refuse(far: Far, fault: str) -> bool:
    """OTLP's partial success: what was not taken must not be sent again."""
    return (far.plugin, fault) == ("opentelemetry", "half")


async def clock_jumps(far: Far, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(far, Here):
        await far.wire.up()
    run = Run(far, place)
    await run.start()
    await run.begun()
    real, real_ns = time.time, time.time_ns
    for n, shift in enumerate((86_400, -86_400, 0)):
        monkeypatch.setattr(time, "time", lambda s=shift: real() + s)
        monkeypatch.setattr(time, "time_ns", lambda s=shift: real_ns() + s * 10**9)
        await run.put(*ALL[10 + n * 10 : 20 + n * 10])
        await asyncio.sleep(0.05)
    await run.put(*ALL[40:])
    assert (await run.end())["set_aside"] == 0


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """From its call on no file can grow beyond so many bytes; at 0 any can again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size or soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("far", "fault"), [c for c in COMBINATIONS if c[1] not in APART], indirect=["far"])
async def test_under_a_fault_every_record_arrives(
    far: Far, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output_fault: OutputFault
) -> None:
    if fault == "down":
        await down(far, tmp_path)
    elif fault == "down 10 min":
        await away_ten_minutes(far, tmp_path)
    elif fault in ("slow", "cut"):
        await on_the_wire(far, tmp_path, fault)
    elif fault == "clock jump":
        await clock_jumps(far, tmp_path, monkeypatch)
        monkeypatch.undo()
    else:
        await of_its_own(far, tmp_path, fault)
    kept = await far.arrived(len(ALL))
    aside = set_aside(tmp_path) if may_refuse(far, fault) else []
    may_lose = far.unacknowledged and fault == "cut"
    output_fault(far.plugin, fault, ALL, kept, once=far.idempotent, may_lose=may_lose, aside=aside)


def set_aside(place: Path) -> list[int]:
    (file,) = (place / "rejected").iterdir()
    return [json.loads(json.loads(line)["raw"])["n"] for line in file.read_text().splitlines()]


@pytest.mark.parametrize("far", HERE, indirect=True)
async def test_while_the_disk_that_it_writes_to_is_full_records_wait(
    far: Far, tmp_path: Path, full_disk: Callable[[int], None], output_fault: OutputFault
) -> None:
    full_disk(150)
    run = Run(far, tmp_path)
    await run.start()
    await run.put(*ALL)
    while run.loop.state != "waiting":
        await asyncio.sleep(0.005)
    full_disk(0)
    assert (await run.end())["set_aside"] == 0
    output_fault(far.plugin, "disk full", ALL, await far.numbers(), once=far.idempotent)


@pytest.mark.parametrize("far", [o for o, f in COMBINATIONS if f == "disk full" and o not in HERE], indirect=True)
async def test_while_the_disk_of_the_journal_is_full_and_the_far_side_away_inputs_wait(
    far: Far, tmp_path: Path, full_disk: Callable[[int], None], output_fault: OutputFault
) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        committer = Committer(journal)
        run = Run(far, tmp_path, feed=JournalFeed(journal, committer, poll=0.05))
        await run.start()
        await committer.put(Batch([far.chunk(ALL[:10])]))
        full_disk(max(f.stat().st_size for f in tmp_path.glob("journal.db*")) + 30_000)
        puts = [asyncio.create_task(committer.put(Batch([far.chunk(ALL[n : n + 10])]))) for n in range(10, 60, 10)]
        while not committer.health()["waiting_for_room"]:
            assert not all(put.done() for put in puts), "the disk was never full"
            await asyncio.sleep(0.01)
        await far.wire.up()
        full_disk(0)
        await asyncio.gather(*puts)
        await committer.close()
        assert (await run.end())["set_aside"] == 0
    output_fault(far.plugin, "disk full", ALL, await far.arrived(len(ALL)), once=far.idempotent)
