"""Every output under every fault that its far side can have: what was said arrives, and is counted for
docs/reliability.md (`output_fault`)."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Batch
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from tests.faults import OutputFault
from tests.outputs.every import EVERY, Far, File
from tests.outputs.fault_list import COMBINATIONS
from tests.outputs.wires import Wire

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60)]

ALL = list(range(60))


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
    """One output that delivers, from memory."""

    def __init__(self, far: Far, place: Path, backoff: Backoff | None = None) -> None:
        self.far = far
        self.queue = MemoryQueue()
        rejected = Rejected(place / "rejected")
        self.loop = DeliveryLoop(far.output(), self.queue, "out", backoff or Backoff(0.005, 0.05), rejected=rejected)

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
        self.queue.finish()
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
        far.play(far.own_faults.get(one, one))
    await run.put(*ALL[10:])
    assert (await run.end())["set_aside"] == 0


async def clock_jumps(far: Far, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(far, File):
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
def full_disk() -> Iterator[Any]:
    """A file cannot grow beyond so many bytes, until this is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("far", "fault"), [c for c in COMBINATIONS if c[1] != "disk full"], indirect=["far"])
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
    may_lose = far.unacknowledged and fault == "cut"
    output_fault(far.plugin, fault, ALL, await far.numbers(), once=far.idempotent, may_lose=may_lose)


async def test_while_the_disk_is_full_records_wait(tmp_path: Path, full_disk: Any, output_fault: OutputFault) -> None:
    far = File(tmp_path)
    run = Run(far, tmp_path)
    await run.start()
    await run.put(*ALL)
    while run.loop.state != "waiting":
        await asyncio.sleep(0.005)
    full_disk()
    assert (await run.end())["set_aside"] == 0
    output_fault("file", "disk full", ALL, await far.numbers(), once=True)
