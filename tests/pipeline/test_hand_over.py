"""One supervisor goes on where another left: what a reload is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kubewitness.contracts import Batch
from kubewitness.errors import Retry, UsageError
from kubewitness.pipeline import MemoryQueue, Supervisor
from tests.journal.helpers import numbered
from tests.pipeline.parts import Collecting, Counting, expected, retry_until

pytestmark = pytest.mark.timeout(60)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


class OneByOne(Collecting):
    """Takes one delivery at a time."""

    batch_bytes = 1


def supervisor(queue: MemoryQueue, output: Collecting, end: int, grace: float = 20.0) -> Supervisor:
    made = Supervisor(grace=grace, restart_first=0.01, retry=(0.01, 0.01))
    made.add_input(Counting("in", end, stay=True), queue)
    made.add_output(output, queue)
    return made


async def test_what_is_being_written_is_written_once_and_the_rest_by_the_next() -> None:
    queue, output = MemoryQueue(), OneByOne(delay=0.02)
    first = supervisor(queue, output, 50)
    running = asyncio.create_task(first.run())
    await until(lambda: 3 < len(output.records) < 40)
    first.hand_over()
    await running
    left = len(output.records)
    assert 3 < left < 50
    second = supervisor(queue, output, 80)
    running = asyncio.create_task(second.run())
    await until(lambda: len(output.records) >= 80)
    second.stop()
    await running
    assert output.records == expected(80)
    assert output.closed == 2


async def test_an_output_that_waits_for_its_far_side_does_not_hold_up_the_next() -> None:
    def never(tries: int) -> None:
        raise Retry("503", after=100.0)

    queue, output = MemoryQueue(), Collecting(before=never)
    first = supervisor(queue, output, 5, grace=1000.0)
    running = asyncio.create_task(first.run())
    await until(lambda: output.tries == 1)
    first.hand_over()
    await running
    other = Collecting()
    second = supervisor(queue, other, 5)
    running = asyncio.create_task(second.run())
    await until(lambda: len(other.records) >= 5)
    second.stop()
    await running
    assert other.records == expected(5)


async def test_with_a_successor_a_failure_leaves_the_queue_as_it_is() -> None:
    async def cannot() -> None:
        raise UsageError("port in use")

    queue = MemoryQueue()
    await queue.put(Batch([numbered(*range(3))]))
    first = supervisor(queue, Collecting(before=retry_until(1000)), 0)
    first.yields = True
    first.add_service("server", cannot)
    with pytest.raises(UsageError, match="port in use"):
        await first.run()
    output = Collecting()
    second = supervisor(queue, output, 0)
    running = asyncio.create_task(second.run())
    await until(lambda: output.records == expected(3))
    second.stop()
    await running


async def test_what_a_forgotten_output_has_not_delivered_no_longer_takes_room() -> None:
    queue = MemoryQueue(limit=200)
    await queue.open("gone")
    await queue.open("stays")
    await queue.put(Batch([numbered(*range(3))]))
    await queue.done("stays", 1)
    assert (queue.outputs, queue.health()["held"]) == ({"gone", "stays"}, 1)
    queue.forget("gone")
    assert (queue.outputs, queue.health()["held"]) == ({"stays"}, 0)
