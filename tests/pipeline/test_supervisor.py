"""The engine: restarts, retries, outputs that do not disturb one another, shutdown in stages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubewitness.contracts import Sink
from kubewitness.errors import Finished, Retry, UsageError
from kubewitness.journal import Journal
from kubewitness.pipeline import Committer, JournalFeed, MemoryQueue, Supervisor
from kubewitness.pipeline.routing import Routed, matcher
from tests.journal.helpers import batch, numbered
from tests.pipeline.parts import Collecting, Counting, expected, retry_until

pytestmark = pytest.mark.timeout(60)


class Engine:
    """A supervisor over a journal on disk, as `run` and the recorder put it together."""

    def __init__(self, path: Path, grace: float = 5.0, size_limit: int = 1 << 30) -> None:
        self.journal = Journal(path, fsync=False, size_limit=size_limit)
        self.committer = Committer(self.journal)
        self.feed = JournalFeed(self.journal, self.committer, poll=0.05)
        self.supervisor = Supervisor(grace=grace, restart_first=0.01, restart_limit=0.05)
        self.supervisor.add_drain(self.committer.close)

    async def run(self, *, until_inputs_end: bool = True) -> None:
        try:
            await self.supervisor.run(until_inputs_end=until_inputs_end)
        finally:
            self.journal.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def part(health: dict[str, object], kind: str, name: str) -> dict[str, Any]:
    parts: Any = health[kind]
    return dict(parts[name])


async def test_every_output_gets_everything_in_order_once(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    outputs = [Collecting("a"), Collecting("b")]
    engine.supervisor.add_input(Counting("in", 200), engine.committer)
    for output in outputs:
        engine.supervisor.add_output(output, engine.feed)
    await engine.run()
    for output in outputs:
        assert output.records == expected(200)
        assert output.closed == 1
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.stats().held.chunks == 0


async def test_an_input_that_crashes_goes_on_where_it_was(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    source, output = Counting("in", 100, crash_at=[10, 10, 50]), Collecting()
    engine.supervisor.add_input(source, engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    await engine.run()
    assert output.records == expected(100)
    health = part(engine.supervisor.health(), "inputs", "in")
    assert (health["restarts"], health["starts"], health["state"]) == (3, 4, "ended")
    assert health["last_error"] == "OSError: cable pulled at 50"


class Finishing(Counting):
    """Says at its end that the work is done."""

    async def run(self, sink: Sink) -> None:
        await super().run(sink)
        raise Finished("all of it", 7)


async def test_an_input_may_say_that_the_work_is_done(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    slow, other = Collecting("slow", delay=0.02), Counting("other", 5, stay=True)
    engine.supervisor.add_input(other, engine.committer)
    engine.supervisor.add_input(Finishing("in", 20), engine.committer)
    engine.supervisor.add_output(slow, engine.feed)
    await engine.run(until_inputs_end=False)
    assert sorted(slow.records) == sorted(expected(20))  # the other's are the same ones
    assert engine.supervisor.exit_code == 7


async def test_then_outputs_that_cannot_deliver_are_waited_for_no_longer_than_grace(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db", grace=0.2)
    engine.supervisor.add_input(Finishing("in", 3), engine.committer)
    engine.supervisor.add_output(Collecting("down", retry_until(10**9)), engine.feed)
    await engine.run(until_inputs_end=False)
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.stats().held.chunks == 3


async def test_when_all_inputs_are_to_come_to_their_ends_one_that_is_done_is_only_one_of_them(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    output = Collecting()
    engine.supervisor.add_input(Finishing("in", 1), engine.committer)
    engine.supervisor.add_input(Counting("other", 300), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    await engine.run()
    assert sorted(output.records) == sorted(expected(300))


async def test_a_wrong_configuration_stops_the_pipeline_with_its_error(tmp_path: Path) -> None:
    class Misconfigured(Counting):
        async def run(self, sink: Sink) -> None:
            raise UsageError("audit_file /nowhere: no such directory")

    engine = Engine(tmp_path / "journal.db")
    output = Collecting()
    engine.supervisor.add_input(Misconfigured("in", 1), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    with pytest.raises(UsageError, match="no such directory"):
        await engine.run(until_inputs_end=False)
    assert output.closed == 1


async def test_an_output_that_fails_is_tried_again_until_it_works(tmp_path: Path) -> None:
    def mostly_broken(tries: int) -> None:
        if tries % 3:
            raise Retry("503") if tries % 2 else ConnectionResetError("gone")

    engine = Engine(tmp_path / "journal.db")
    output = Collecting(before=mostly_broken)
    engine.supervisor.add_input(Counting("in", 50), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    await engine.run()
    assert output.records == expected(50)
    health = part(engine.supervisor.health(), "outputs", "collecting")
    assert health["retries"] >= 1
    assert health["errors"] >= 1
    assert health["records"] == 50


async def test_the_far_side_says_how_long_to_wait(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    output = Collecting(before=retry_until(2, after=0.4))
    engine.supervisor.add_input(Counting("in", 1), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    started = time.monotonic()
    await engine.run()
    assert output.records == expected(1)
    assert 0.4 <= time.monotonic() - started < 3


async def test_one_slow_and_one_dead_output_delay_nobody(tmp_path: Path) -> None:
    def dead(tries: int) -> None:
        raise Retry("nobody there")

    engine = Engine(tmp_path / "journal.db", grace=0.2)
    slow, broken, fast = Collecting("slow", delay=30), Collecting("dead", dead), Collecting("fast")
    engine.supervisor.add_input(Counting("in", 100, stay=True), engine.committer)
    for output in (slow, broken, fast):
        engine.supervisor.add_output(output, engine.feed)
    running = asyncio.create_task(engine.run(until_inputs_end=False))
    await until(lambda: len(fast.records) == 100)
    assert slow.records == broken.records == []
    assert part(engine.supervisor.health(), "outputs", "dead")["state"] == "waiting"
    assert engine.supervisor.health()["healthy"] is False
    engine.supervisor.stop()
    await running
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.cursor("fast") == 100
        assert journal.cursor("dead") == journal.cursor("slow") == 0
        assert journal.stats().held.chunks == 100


async def test_what_was_not_delivered_is_delivered_after_the_restart(tmp_path: Path) -> None:
    def dead(tries: int) -> None:
        raise Retry("down")

    path = tmp_path / "journal.db"
    engine = Engine(path, grace=0.05)
    first = Collecting("out", dead)
    engine.supervisor.add_input(Counting("in", 30, stay=True), engine.committer)
    engine.supervisor.add_output(first, engine.feed)
    running = asyncio.create_task(engine.run(until_inputs_end=False))
    await until(lambda: engine.committer.health()["stored"] == 30)
    engine.supervisor.stop()
    await running
    engine = Engine(path)
    second = Collecting("out")
    engine.supervisor.add_input(Counting("in", 40), engine.committer)
    engine.supervisor.add_output(second, engine.feed)
    await engine.run()
    assert second.records == expected(40)


async def test_a_full_journal_holds_the_input_back_until_the_output_catches_up(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db", size_limit=2_000)
    output = Collecting(delay=0.01)
    engine.supervisor.add_input(Counting("in", 300), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    await engine.run()
    assert output.records == expected(300)


async def test_stopping_delivers_what_is_there_within_the_grace(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    output = Collecting(delay=0.05)
    engine.supervisor.add_input(Counting("in", 100, stay=True), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    running = asyncio.create_task(engine.run(until_inputs_end=False))
    await until(lambda: engine.committer.health()["stored"] == 100)
    engine.supervisor.stop()
    await running
    assert output.records == expected(100)
    assert engine.supervisor.stage == "stopped"


async def test_what_another_process_appends_is_delivered_too(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    output = Collecting()
    engine.supervisor.add_output(output, engine.feed)
    running = asyncio.create_task(engine.run(until_inputs_end=False))
    with Journal(tmp_path / "journal.db", fsync=False) as other:
        other.append([batch(numbered(*range(7)))])
    await until(lambda: output.records == expected(7))
    engine.supervisor.stop()
    await running


async def test_services_run_beside_and_end_last(tmp_path: Path) -> None:
    events: list[str] = []

    async def serve() -> None:
        events.append("start")
        if events.count("start") == 1:
            raise OSError("port in use")
        try:
            await asyncio.Event().wait()
        finally:
            events.append(f"end, delivered {len(output.records)}")

    engine = Engine(tmp_path / "journal.db")
    output = Collecting(delay=0.05)
    engine.supervisor.add_service("server", serve)
    engine.supervisor.add_input(Counting("in", 10), engine.committer)
    engine.supervisor.add_output(output, engine.feed)
    await engine.run()
    assert events == ["start", "start", "end, delivered 10"]


async def test_in_memory_everything_is_delivered_and_inputs_are_held_back(tmp_path: Path) -> None:
    queue = MemoryQueue(limit=100)
    supervisor = Supervisor()
    slow, fast = Collecting("slow", delay=0.002), Collecting("fast")
    supervisor.add_input(Counting("in", 200), queue)
    supervisor.add_output(slow, queue)
    supervisor.add_output(fast, queue)
    await supervisor.run(until_inputs_end=True)
    assert slow.records == fast.records == expected(200)
    assert queue.health()["held"] == 0


async def test_in_memory_positions_are_durable_only_after_delivery(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", fsync=False) as journal:
        queue = MemoryQueue(positions=journal)
        await queue.open("out")
        await queue.put(batch(numbered(1), p=b"1"))
        await queue.put(batch(numbered(2), p=b"2"))
        assert await queue.position("p") == b"2"
        assert journal.position("p") is None
        await queue.take("out")
        await queue.done("out", 1)
        assert journal.position("p") == b"1"
        await queue.done("out", 2)
        assert journal.position("p") == b"2"
        assert await MemoryQueue(positions=journal).position("p") == b"2"


@pytest.mark.parametrize(
    ("pattern", "tag", "fits"),
    [
        ("*", "anything", True),
        ("kube.*", "kube.audit.0", True),
        ("kube.*.0", "kube.audit.1", False),
        ("kube.", "kubex", False),
        ("a*c", "abbc", True),
        ("a*c", "abcd", False),
    ],
)
def test_match_is_a_pattern_with_stars(pattern: str, tag: str, fits: bool) -> None:
    assert bool(matcher(pattern).fullmatch(tag)) is fits


async def test_an_output_gets_only_the_tags_it_matches(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "journal.db")
    everything, events = Collecting(), Collecting()
    engine.supervisor.add_output(Routed(everything, "*", "all"), engine.feed)
    engine.supervisor.add_output(Routed(events, "ev*", "events"), engine.feed)
    engine.journal.append([batch(numbered(1)), batch(numbered(2, table="events"))])
    await engine.run()
    assert everything.records == [b'{"n":1}', b'{"n":2}']
    assert events.records == [b'{"n":2}']
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.stats().held.chunks == 0
