"""What every output over HTTP does when its far side fails: each record arrives, or is set aside and counted.

The far sides are the suite's own: they check requests against the published protocols, and are no real servers.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from kubewitness.contracts import Batch, Delivery, Output
from kubewitness.outputs import OUTPUTS
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from tests.outputs.sides import SIDES, HttpSide

pytestmark = pytest.mark.timeout(30)

#: records of a run: CHUNKS chunks of EACH
CHUNKS, EACH = 6, 10
ALL = list(range(CHUNKS * EACH))


@pytest.fixture(params=sorted(SIDES))
async def side(request: pytest.FixtureRequest) -> AsyncIterator[HttpSide]:
    made = SIDES[request.param]()
    yield made
    await made.stop()


def output_of(side: HttpSide, **more: str) -> Output:
    module, cls = OUTPUTS[side.plugin]
    keys = {**side.where(), "http.response_timeout": "200ms", **side.keys, **more}
    made = getattr(importlib.import_module(module), cls)(keys, name=side.plugin)
    made.batch_bytes = 200  # several requests a run
    return cast(Output, made)


async def deliver(side: HttpSide, rejected: Path, numbers: Sequence[int] = ALL, **more: str) -> dict[str, Any]:
    """All records through the engine's own loop; its health afterwards."""
    queue = MemoryQueue()
    output = output_of(side, **more)
    loop = DeliveryLoop(output, queue, side.plugin, Backoff(0.001, 0.02), rejected=Rejected(rejected))
    await loop.open()
    for start in range(0, len(numbers), EACH):
        await queue.put(Batch([side.chunk(numbers[start : start + EACH])]))
    queue.finish()
    try:
        await loop.run()
    finally:
        await loop.close()
    return loop.health()


def check(side: HttpSide, expected: Sequence[int] = ALL) -> None:
    assert side.wrong == []
    assert set(side.took) == set(expected)
    if side.idempotent:
        assert max(Counter(side.took).values()) == 1


async def test_what_is_delivered_is_what_was_there_in_order_and_once(side: HttpSide, tmp_path: Path) -> None:
    await side.start()
    health = await deliver(side, tmp_path)
    assert side.took == ALL
    assert side.wrong == []
    assert (health["records"], health["retries"], health["set_aside"]) == (len(ALL), 0, 0)


@pytest.mark.parametrize("fault", ["500", "429", "slow", "cut", "half"])
async def test_a_far_side_that_fails_for_a_while_gets_every_record(side: HttpSide, fault: str, tmp_path: Path) -> None:
    await side.start()
    side.faults.extend(["", fault, "", fault] if fault == "slow" else ["", fault, fault, "", fault])
    health = await deliver(side, tmp_path)
    check(side)
    assert (health["set_aside"], health["dropped"]) == (0, 0)
    if fault != "half" or side.itemwise:
        assert health["retries"] >= 1


async def test_a_far_side_that_is_not_there_yet_is_waited_for(side: HttpSide, tmp_path: Path) -> None:
    work = asyncio.create_task(deliver(side, tmp_path))
    await asyncio.sleep(0.1)
    await side.start()
    health = await work
    check(side)
    assert health["retries"] >= 1


async def test_a_far_side_that_goes_away_and_comes_back_gets_the_rest(side: HttpSide, tmp_path: Path) -> None:
    await side.start()
    side.faults.extend(["", "", "slow"])
    work = asyncio.create_task(deliver(side, tmp_path))
    while len(side.requests) < 3:
        await asyncio.sleep(0.005)
    await side.stop()
    await asyncio.sleep(0.05)
    await side.start()
    await work
    check(side)


async def test_poison_is_set_aside_with_the_far_sides_words_and_the_others_arrive(
    side: HttpSide, tmp_path: Path
) -> None:
    await side.start()
    side.poison = {7, 8, 41}
    health = await deliver(side, tmp_path)
    check(side, [n for n in ALL if n not in side.poison])
    kept = [json.loads(line) for line in (tmp_path / f"{side.plugin}.jsonl").read_text().splitlines()]
    assert [r["raw"].encode() for r in kept] == list(side.chunk([7, 8, 41]).records())
    assert all("bad" in r["reason"] for r in kept), kept
    assert (health["refused"], health["set_aside"], health["records"]) == (3, 3, len(ALL) - 3)


async def test_the_same_delivery_may_come_again_and_nothing_is_no_error(side: HttpSide) -> None:
    await side.start()
    output = output_of(side)
    await output.write([])
    await output.write([Delivery(1, side.chunk([0, 1]))])
    await output.write([Delivery(1, side.chunk([0, 1]))])
    await output.close()
    await output.close()
    check(side, [0, 1])


@pytest.mark.parametrize("compress", ["gzip", "zstd"])
async def test_compressed_bodies_say_so(side: HttpSide, compress: str, tmp_path: Path) -> None:
    module = importlib.import_module(OUTPUTS[side.plugin][0])
    key = next((k for k in module.KEYS if k.name == "compress"), None)
    if key is None or compress not in key.choices:
        return
    await side.start()
    await deliver(side, tmp_path, compress=compress)
    check(side)
    assert {r.headers["Content-Encoding"] for r in side.requests} == {compress}
