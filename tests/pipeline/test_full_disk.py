"""A disk that is full while outputs deliver: their cursors wait, and nobody else does."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.pipeline import MemoryQueue, Supervisor
from kubewitness.pipeline.committer import Committer
from kubewitness.pipeline.feeds import Feed, JournalFeed
from tests.journal.helpers import numbered
from tests.pipeline.parts import Collecting, expected

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def full() -> Iterator[Callable[[bool], None]]:
    """Whether the disk is: no file can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda yes: resource.setrlimit(resource.RLIMIT_FSIZE, (1 if yes else soft, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def run(feed: Feed, output: Collecting, full: Callable[[bool], None]) -> Supervisor:
    """Until the output waits for the disk; then there is room again."""
    supervisor = Supervisor(restart_first=0.01, restart_limit=0.02)
    supervisor.add_output(output, feed)
    running = asyncio.create_task(supervisor.run())
    while (health := supervisor.health()["outputs"]["collecting"])["state"] != "waiting":  # type: ignore[index]
        assert not running.done()
        await asyncio.sleep(0.001)
    assert "no room on the disk" in health["last_error"]
    full(False)
    supervisor.stop()
    await running
    return supervisor


async def test_what_was_delivered_is_noted_when_there_is_room_again_and_comes_once(
    tmp_path: Path, full: Callable[[bool], None]
) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        committer = Committer(journal)
        journal.register("collecting")
        for n in range(30):
            await committer.put(Batch([numbered(n)]))
        output = Collecting(before=lambda tries: full(tries == 1))
        await run(JournalFeed(journal, committer), output, full)
        await committer.close()
        assert output.records == expected(30)
        assert journal.stats().held.chunks == 0


async def test_a_position_that_found_no_room_is_noted_later(tmp_path: Path, full: Callable[[bool], None]) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        queue, output = MemoryQueue(positions=journal), Collecting(before=lambda tries: full(tries == 1))
        await queue.put(Batch([numbered(*range(30))], {"p": b"30"}))
        await run(queue, output, full)
        assert output.records == expected(30)
        assert journal.position("p") == b"30"


def test_a_journal_is_closed_where_there_is_no_room_to_mark_that(tmp_path: Path, full: Callable[[bool], None]) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        journal.register("out")
        journal.append([Batch([numbered(1)])])
        full(True)
    full(False)
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.stats().held.records == 1
