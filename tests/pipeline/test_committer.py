"""Group commit: many puts, few transactions; waiting for room, or not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kubewitness.errors import Full, StateError
from kubewitness.journal import Journal
from kubewitness.pipeline import Committer, committer
from tests.journal.helpers import batch, contents, noise, numbered

pytestmark = pytest.mark.timeout(30)


@pytest_asyncio.fixture
async def small(tmp_path: Path) -> AsyncIterator[Committer]:
    """Over a journal that holds 100 kB."""
    with Journal(tmp_path / "journal.db", size_limit=100_000, fsync=False) as journal:
        journal.register("out")
        committer = Committer(journal)
        yield committer
        await committer.close()


async def test_what_queues_up_during_a_commit_is_committed_together(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        committer = Committer(journal)
        taken = await asyncio.gather(*(committer.put(batch(numbered(n), last=b"%d" % n)) for n in range(500)))
        assert [t.stored for t in taken] == [1] * 500
        health = committer.health()
        await committer.close()
        assert health["batches"] == 500
        assert health["commits"] < 100
        assert len(list(contents(journal))) == 500
        assert journal.position("last") == b"499"


async def test_each_caller_learns_what_became_of_its_own_batch(small: Committer) -> None:
    first, second = await asyncio.gather(small.put(batch(numbered(1, 2))), small.put(batch(numbered(2, 3))))
    assert (first.stored, first.duplicates, second.stored, second.duplicates) == (2, 0, 1, 1)
    await small.put(batch(p=b"x"))
    assert await small.position("p") == b"x"


async def test_a_full_journal_refuses_at_once_who_does_not_wait(small: Committer) -> None:
    await small.put(batch(noise(90_000, 1)))
    with pytest.raises(Full, match="is full"):
        await small.put(batch(noise(90_000, 2)), wait=False)
    assert small.health()["refused"] == 1


async def test_a_refused_batch_is_not_held_until_garbage_is_searched_for(small: Committer) -> None:
    """While tables are written nothing searches for garbage, and a full journal refuses many."""
    await small.put(batch(noise(90_000, 1)))
    refused = noise(90_000, 2)
    before = sys.getrefcount(refused)
    gc.disable()
    try:
        for _ in range(3):
            with contextlib.suppress(Full):
                await small.put(batch(refused), wait=False)
        await small.put(batch(noise(10, 3)))
        assert sys.getrefcount(refused) == before
    finally:
        gc.enable()
    assert small.health()["refused"] == 3


async def test_who_waits_gets_in_once_there_is_room(small: Committer) -> None:
    await small.put(batch(noise(90_000, 1)))
    waiting = asyncio.create_task(small.put(batch(noise(90_000, 2))))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert small.health()["waiting_for_room"] == 1
    await asyncio.to_thread(small.journal.advance, "out", 1)
    small.room()
    assert (await asyncio.wait_for(waiting, 5)).stored == 1


async def test_room_made_by_another_process_is_noticed(small: Committer) -> None:
    await small.put(batch(noise(90_000, 1)))
    waiting = asyncio.create_task(small.put(batch(noise(90_000, 2))))
    with Journal(small.journal.path) as other:
        other.advance("out", 1)
    assert (await asyncio.wait_for(waiting, 5)).stored == 1


async def test_a_small_batch_does_not_overtake_a_large_one_that_waits(
    small: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "_TRY_AGAIN", 0.02)
    await small.put(batch(noise(60_000, 1)))
    large = asyncio.create_task(small.put(batch(noise(90_000, 2))))
    await asyncio.sleep(0.1)
    late = asyncio.create_task(small.put(batch(numbered(1))))
    await asyncio.sleep(0.1)
    assert not late.done()
    await small.put(batch(numbered(2)), wait=False)  # who is refused otherwise may go ahead
    await asyncio.to_thread(small.journal.advance, "out", 2)
    small.room()
    assert (await large).stored == 1
    assert (await late).stored == 1


async def test_one_broken_batch_fails_alone(small: Committer) -> None:
    bad = numbered(2)
    bad.data = "not bytes"  # type: ignore[assignment]
    good, failed, also_good = await asyncio.gather(
        small.put(batch(numbered(1))), small.put(batch(bad)), small.put(batch(numbered(3))), return_exceptions=True
    )
    assert isinstance(failed, TypeError)
    assert not isinstance(good, BaseException)
    assert not isinstance(also_good, BaseException)
    assert list(contents(small.journal)) == [b'{"n":1}', b'{"n":3}']


async def test_closing_commits_what_is_queued_and_refuses_what_waits_for_room(small: Committer) -> None:
    await small.put(batch(noise(90_000, 1)))
    stuck = asyncio.create_task(small.put(batch(noise(90_000, 2))))
    await asyncio.sleep(0.05)
    queued = [asyncio.create_task(small.put(batch(p=b"%d" % n), wait=False)) for n in range(20)]
    await asyncio.sleep(0)
    await small.close()
    await asyncio.gather(*queued)
    assert small.journal.position("p") == b"19"
    with pytest.raises(Full, match="shutting down"):
        await stuck
    with pytest.raises(StateError, match="shutting down"):
        await small.put(batch(numbered(1)))


async def test_a_caller_that_is_cancelled_harms_nobody(small: Committer) -> None:
    tasks = [asyncio.create_task(small.put(batch(numbered(n)))) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(not isinstance(r, BaseException) for r in done[1::2])


async def test_a_journal_that_cannot_be_used_fails_every_caller(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", fsync=False)
    committer = Committer(journal)
    journal.close()
    results = await asyncio.gather(*(committer.put(batch(numbered(n))) for n in range(3)), return_exceptions=True)
    assert all(isinstance(r, StateError) for r in results)
    await committer.close()
