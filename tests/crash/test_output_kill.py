"""A pipeline that is killed while it delivers over HTTP: nothing is lost, and an id keeps what comes twice from being
there twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pytest

from tests.outputs.sides import EsSide
from tests.pipeline.test_run import event

#: how long the far side is away in the long form (seconds)
DOWN = float(os.environ.get("KUBEWITNESS_DOWN_SECONDS", "600"))

ROOT = Path(__file__).parents[2]
PIPELINE = """\
service:
  flush: 0.02
pipeline:
  inputs:
    - name: kubernetes_audit
      audit_file: {place}/audit.log
      refresh_interval: 20ms
      tag: audit
  outputs:
    - name: es
      match: audit
      port: {port}
      suppress_type_name: on
      generate_id: on
"""


async def start(place: Path, *flags: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kubewitness", "run", "-c", str(place / "pipeline.yaml")),
        *("--state", str(place / "state"), *flags),
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )


def write(place: Path, written: int, count: int) -> int:
    """So many more records; how many there are then."""
    lines = (json.dumps({**json.loads(event(n)), "n": n}).encode() for n in range(written, written + count))
    with (place / "audit.log").open("ab") as f:
        f.write(b"".join(line + b"\n" for line in lines))
    return written + count


@pytest.mark.crash
@pytest.mark.timeout(300)
async def test_killed_while_it_delivers_every_record_is_there_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    written = write(tmp_path, 0, 300)
    async with EsSide() as side:
        (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(place=tmp_path, port=side.port))
        for _ in range(8):
            child = await start(tmp_path)
            before = len(side.took)
            # as a far side is: now and then busy, slow, or gone in the middle of an answer
            side.faults.extend(rng.choice(["", "", "cut", "500", "429", "half"]) for _ in range(4))
            while len(side.took) == before:
                await asyncio.sleep(0.01)
                assert child.returncode is None
            for _ in range(rng.randrange(4)):
                written = write(tmp_path, written, rng.randrange(1, 300))
                await asyncio.sleep(rng.uniform(0, 0.05))
            child.kill()
            await child.wait()
            written = write(tmp_path, written, 50)
        side.faults.clear()
        last = await start(tmp_path, "--exit-on-eof")
        assert await last.wait() == 0
        assert side.wrong == []
        assert sorted(side.took) == list(range(written))
        assert len(side.documents) == written
    print(f"8 kills, {written} records, {len(side.requests)} requests")


@pytest.mark.soak
@pytest.mark.timeout(DOWN + 300)
async def test_a_far_side_that_is_away_for_ten_minutes_gets_every_record_once_and_soon(tmp_path: Path) -> None:
    side = EsSide()
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(place=tmp_path, port=side.port))
    written = write(tmp_path, 0, 100)
    child = await start(tmp_path)
    clock = asyncio.get_running_loop().time
    try:
        until = clock() + DOWN
        while clock() < until:
            written = write(tmp_path, written, 50)
            await asyncio.sleep(DOWN / 100)
        await side.start()
        back = clock()
        while len(side.took) < written:
            await asyncio.sleep(0.1)
            assert child.returncode is None
        print(f"\naway {DOWN:.0f} s, {written} records, all there {clock() - back:.1f} s after it was back")
        assert sorted(side.took) == list(range(written))
        assert clock() - back < 120  # the longest wait is a minute
    finally:
        child.terminate()
        await child.wait()
        await side.stop()
