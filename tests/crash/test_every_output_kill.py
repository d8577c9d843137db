"""One pipeline with every output at once, killed while it delivers: each far side has every record.

Wires to the far sides are slow or break meanwhile, and records are written all the time. What arrives twice is counted
for docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from tests.faults import OutputFault
from tests.outputs.every import EVERY, Far, Here, Http
from tests.outputs.sides import RemoteWriteSide
from tests.outputs.wires import Wire

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "4"))
ROOT = Path(__file__).parents[2]

#: keys that are not those of the single faults: a busy machine is no slow far side
PATIENT = {"http.response_timeout": "20s", "net.io_timeout": "20s"}
MORE = {
    "prometheus_remote_write": {"interval": "500ms"},
    "s3": {"total_file_size": "3k", "upload_timeout": "500ms"},
}
#: those that a far side knows again after a kill, too; Kafka takes a new producer for another one
ONCE = ("alertmanager", "es", "nats", "opensearch", "store")

PIPELINE = """\
service:
  flush: 0.02
  scheduler.cap: 1
  storage.type: filesystem
pipeline:
  inputs:
    - name: tail
      path: {place}/records.log
      tag: audit
      parser: json
      read_from_head: on
  outputs:
"""


class Pipeline:
    """The process, as often as it is started, and what it reads."""

    def __init__(self, place: Path, fars: Sequence[Far]) -> None:
        self.place = place
        self.written = 0
        #: seconds since 1970
        self.starts: list[float] = []
        text = PIPELINE.format(place=place)
        for far in fars:
            keys = {**far.keys(), **MORE.get(far.plugin, {})}
            keys |= {key: value for key, value in PATIENT.items() if key in keys}
            text += f"    - name: {far.plugin}\n      match: audit\n"
            text += "".join(f"      {key}: {json.dumps(value)}\n" for key, value in keys.items())
        (place / "pipeline.yaml").write_text(text)

    async def start(self, *flags: str) -> asyncio.subprocess.Process:
        self.starts.append(time.time())
        with (self.place / "stdout" / "stdout").open("ab") as out, (self.place / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kubewitness", "run", "-c", str(self.place / "pipeline.yaml")),
                *("--state", str(self.place / "state"), *flags),
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdout=out,
                stderr=log,
            )

    def write(self, count: int) -> None:
        with (self.place / "records.log").open("ab") as f:
            f.write(b"".join(b'{"n":%d}\n' % n for n in range(self.written, self.written + count)))
        self.written += count


@pytest.fixture
async def fars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Far]]:
    """All of them, each behind its wire."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = kw-key\naws_secret_access_key = kw-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for plugin, kind in sorted(EVERY.items()):
            place = tmp_path / plugin
            place.mkdir()
            far = kind(place)
            made.append(far)
            if isinstance(far, Here):
                continue
            far.wire = Wire(await far.start())
            stack.push_async_callback(far.stop)
            stack.push_async_callback(far.wire.down)
            await far.wire.up()
        yield made


async def some_for_each(pipeline: Pipeline, fars: Sequence[Far], child: asyncio.subprocess.Process) -> None:
    """Until each far side was sent something by this process, and has its numbers."""
    wires = [far.wire for far in fars if not isinstance(far, Here)]
    before = [wire.passed for wire in wires]
    (side,) = (far.side for far in fars if isinstance(far, Http) and isinstance(far.side, RemoteWriteSide))
    lived = len(pipeline.starts)
    async with asyncio.timeout(120):
        while (
            any(wire.passed == passed for wire, passed in zip(wires, before, strict=True))
            or len(lives(pipeline, side)[1]) < lived
        ):
            assert child.returncode is None, (pipeline.place / "log").read_text()[-3000:]
            pipeline.write(2)
            await asyncio.sleep(0.02)


async def killed(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()
        await child.wait()


async def test_killed_while_it_delivers_each_far_side_has_every_record(
    fars: list[Far], tmp_path: Path, output_fault: OutputFault
) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    pipeline = Pipeline(tmp_path, fars)
    wires = [far.wire for far in fars if not isinstance(far, Here)]
    for _ in range(KILLS):
        child = await pipeline.start()
        try:
            await some_for_each(pipeline, fars, child)
            for far in fars:
                # what is on its way is lost where nobody acknowledges it: such wires stay whole
                if not isinstance(far, Here) and not far.unacknowledged:
                    far.wire.faults.extend(rng.choice(["", "", "cut", "slow"]) for _ in range(2))
            until = time.monotonic() + rng.uniform(0, 1)
            while time.monotonic() < until:
                pipeline.write(rng.randrange(1, 10))
                await asyncio.sleep(rng.uniform(0, 0.03))
            assert child.returncode is None
        finally:
            await killed(child)
        pipeline.write(20)
    for wire in wires:
        wire.faults.clear()
    last = await pipeline.start("--exit-on-eof")
    try:
        assert await asyncio.wait_for(last.wait(), 120) == 0, (tmp_path / "log").read_text()[-3000:]
    finally:
        await killed(last)
    said = range(pipeline.written)
    print(f"{KILLS} kills, {len(said)} records")
    for far in fars:
        if isinstance(far, Http) and isinstance(far.side, RemoteWriteSide):
            output_fault(far.plugin, "kill -9", *lives(pipeline, far.side))
        else:
            output_fault(far.plugin, "kill -9", said, await far.arrived(len(said)), once=far.plugin in ONCE)


def lives(pipeline: Pipeline, side: RemoteWriteSide) -> tuple[range, list[int]]:
    """It sends no records: of each process, whether its numbers arrived (said, kept)."""
    times = {at / 1000 for samples in side.samples.values() for at, _ in samples}
    ends = [*pipeline.starts[1:], time.time()]
    found = [n for n, (start, end) in enumerate(zip(pipeline.starts, ends, strict=True))
             if any(start <= at <= end for at in times)]  # fmt: skip
    return range(len(pipeline.starts)), found
