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

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

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


async def test_killed_while_it_delivers_every_record_is_there_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    written = 0

    def write(count: int) -> int:
        lines = (json.dumps({**json.loads(event(n)), "n": n}).encode() for n in range(written, written + count))
        with (tmp_path / "audit.log").open("ab") as f:
            f.write(b"".join(line + b"\n" for line in lines))
        return written + count

    written = write(300)
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
                written = write(rng.randrange(1, 300))
                await asyncio.sleep(rng.uniform(0, 0.05))
            child.kill()
            await child.wait()
            written = write(50)
        side.faults.clear()
        last = await start(tmp_path, "--exit-on-eof")
        assert await last.wait() == 0
        assert side.wrong == []
        assert sorted(side.took) == list(range(written))
        assert len(side.documents) == written
    print(f"8 kills, {written} records, {len(side.requests)} requests")
