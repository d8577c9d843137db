"""One pipeline with every input at once, killed while they are told: what was acknowledged, or can be read again, is
there; what nobody can say again is counted. And the same with records in memory, where a kill loses what the user chose
to risk.

The far side knows records by their ids, so that what an output delivers twice is there once (docs/reliability.md).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults import InputFault
from tests.inputs.talkers import NUMBER, TALKERS, Stdin, Talker
from tests.outputs.sides import EsSide

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "3"))
ROOT = Path(__file__).parents[2]

PIPELINE = """\
service:
  flush: 0.02
  scheduler.cap: 1
  storage.type: {storage}
  storage.path: {place}/storage
pipeline:
  outputs:
    - name: es
      match: '*'
      port: {port}
      suppress_type_name: on
      generate_id: on
      include_tag_key: on
      tag_key: the_tag
  inputs:
"""


class Documents(EsSide):
    """Numbers of the documents that it has, by tag."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, list[int]] = {}

    def _item(self, action: dict[str, Any], document: dict[str, Any], busy: bool) -> dict[str, Any]:
        ((operation, meta),) = action.items()
        found = NUMBER.search(json.dumps(document).encode())
        if meta["_id"] not in self.documents and found is not None and "reject" not in document:
            self.numbers.setdefault(document["the_tag"], []).append(int(found[1]))
        self.documents[meta["_id"]] = document
        return {operation: {"_index": meta["_index"], "_id": meta["_id"], "status": 201, "result": "created"}}


class Pipeline:
    def __init__(self, place: Path, talkers: list[Talker], port: int, storage: str) -> None:
        self.place = place
        self.stdin = next(talker.reading for talker in talkers if isinstance(talker, Stdin))
        text = PIPELINE.format(place=place, port=port, storage=storage)
        for talker in talkers:
            tag = {} if talker.name in ("http", "forward") else {"tag": talker.tag}
            text += f"    - name: {talker.plugin}\n"
            text += "".join(f"      {key}: {json.dumps(value)}\n" for key, value in {**talker.keys(), **tag}.items())
        (place / "pipeline.yaml").write_text(text)

    async def start(self) -> asyncio.subprocess.Process:
        with (self.place / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "kubewitness", "run", "-c", str(self.place / "pipeline.yaml")),
                *("--state", str(self.place / "state")),
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdin=self.stdin,
                stderr=log,
            )


async def heard(
    pipeline: Pipeline, child: asyncio.subprocess.Process, side: Documents, talkers: list[Talker], up: asyncio.Event
) -> None:
    """Until something new has come from each; it is `up` when the first was heard."""
    before = {talker.tag: len(side.numbers.get(talker.tag, ())) for talker in talkers}
    until = time.monotonic() + 60
    while missing := [tag for tag, count in before.items() if len(side.numbers.get(tag, ())) == count]:
        assert child.returncode is None, (missing, (pipeline.place / "log").read_text()[-3000:])
        assert time.monotonic() < until, (missing, (pipeline.place / "log").read_text()[-3000:])
        if "app" not in missing:
            up.set()
        await asyncio.sleep(0.02)
    up.set()


async def settled(side: Documents) -> None:
    """Until nothing new has come for a while, but from the command, which never stops."""
    before = -1
    while before != (before := sum(len(found) for tag, found in side.numbers.items() if tag != "exec")):
        await asyncio.sleep(1.5)


@pytest.mark.parametrize("storage", ["filesystem", "memory"])
async def test_killed_while_it_is_told_what_can_be_kept_is_kept(
    storage: str, tmp_path: Path, input_fault: InputFault
) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    talkers = [kind(tmp_path) for kind in TALKERS]
    for talker in talkers:
        talker.pause = 0.1
        await talker.start()
    up, end = asyncio.Event(), asyncio.Event()
    async with Documents() as side:
        pipeline = Pipeline(tmp_path, talkers, side.port, storage)
        child = await pipeline.start()
        work = [asyncio.create_task(talker.talk(up, end)) for talker in talkers]
        try:
            for _ in range(KILLS if storage == "filesystem" else 1):
                await heard(pipeline, child, side, talkers, up)
                await asyncio.sleep(rng.uniform(0, 0.5))
                up.clear()
                child.kill()
                await child.wait()
                child = await pipeline.start()
            await heard(pipeline, child, side, talkers, up)
            end.set()
            async with asyncio.timeout(30):
                await asyncio.gather(*work)
            for talker in talkers:
                await talker.finish()
            await settled(side)
            child.terminate()
            assert await asyncio.wait_for(child.wait(), 60) == 0, (tmp_path / "log").read_text()[-3000:]
        finally:
            end.set()
            if child.returncode is None:
                child.kill()
                await child.wait()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for talker in talkers:
                await talker.stop()
    name = "kill -9" if storage == "filesystem" else "kill -9, memory"
    for talker in talkers:
        kept = side.numbers[talker.tag]
        # what was taken, and not acknowledged before the end, was not said
        kept = [n for n in kept if n in set(talker.said)]
        input_fault(talker.name, name, talker.said, kept, once=talker.once and storage == "filesystem")
    assert Counter(side.wrong) == Counter()
