"""The keeper: commits in time, hands over, and never loses what the journal holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch, Delivery
from kubewitness.journal import Journal
from kubewitness.outputs.store import StoreOutput
from kubewitness.record import chunk_of
from kubewitness.store import Store, StoreWriter
from kubewitness.store.keeper import KeeperOptions, StoreKeeper
from tests.store.states import audit_line, audit_run, paths_in

QUICK = KeeperOptions(flush_seconds=0.2, retry_seconds=0.1, look_seconds=0.05)


def wait_for(what: Callable[[], bool], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def test_the_journal_is_brought_into_the_tables_in_time_and_at_the_end(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with Journal(paths.create().journal) as journal:
        keeper = StoreKeeper(paths, journal, QUICK)
        keeper.start()
        journal.append([Batch([audit_run(0, 10)])])
        wait_for(lambda: keeper.health()["stored"] == 10)
        journal.append([Batch([audit_run(10, 10)])])
        keeper.stop()
        assert journal.stats().held.chunks == 0
    with Store(paths).session() as s:
        assert s.query("SELECT count(*) FROM audit WHERE raw_seg > 0") == [(20,)]


def test_where_another_process_keeps_the_store_it_waits_for_its_turn(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with Journal(paths.create().journal) as journal:
        keeper = StoreKeeper(paths, journal, QUICK)
        with StoreWriter.acquire(paths) as other:
            keeper.start()
            wait_for(lambda: keeper.health()["state"] == "producer")
            journal.append([Batch([audit_run(0, 10)])])
            assert other.drain(journal).stored == 10
            journal.append([Batch([audit_run(10, 10)])])
        wait_for(lambda: keeper.health()["stored"] == 10)
        keeper.stop()
    with Store(paths).session() as s:
        assert s.query("SELECT count(*) FROM audit") == [(20,)]


def test_many_bytes_are_committed_before_their_time(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with Journal(paths.create().journal) as journal:
        keeper = StoreKeeper(paths, journal, KeeperOptions(flush_seconds=3600, flush_bytes=5000, look_seconds=0.05))
        keeper.start()
        journal.append([Batch([audit_run(0, 50)])])
        wait_for(lambda: keeper.health()["stored"] == 50)
        keeper.stop()


async def test_the_output_hands_a_pipelines_chunks_on_to_the_state_once(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    output = StoreOutput({"state": str(paths.root), "flush_seconds": "0.2"})
    keyed = chunk_of("audit", [(audit_line(n), b"%016d" % n) for n in range(30)])
    await output.write([Delivery(1, keyed)])
    await output.write([Delivery(1, keyed), Delivery(2, audit_run(100, 5))])
    await output.close()
    with Store(paths).session() as s:
        assert s.query("SELECT count(*) FROM audit") == [(35,)]


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output's keeper looks more often than it would."""
    monkeypatch.setattr("kubewitness.outputs.store.KeeperOptions", partial(KeeperOptions, look_seconds=0.05))


@pytest.mark.usefixtures("looking")
async def test_the_output_commits_when_the_keys_say_to_where_they_say(tmp_path: Path) -> None:
    """One commits by time, one by size, and one waits."""
    keys = [{"flush_seconds": "0.1"}, {"flush_seconds": "3600", "flush_bytes": "1K"}, {"flush_seconds": "3600"}]
    outputs = [
        StoreOutput({"state": str(tmp_path / f"{n}"), "store": str(tmp_path / f"tables-{n}"), **more})
        for n, more in enumerate(keys)
    ]
    for output in outputs:
        await output.write([Delivery(1, audit_run(0, 50))])
    await asyncio.to_thread(wait_for, lambda: all(o.health()["stored"] == 50 for o in outputs[:2]))
    assert outputs[2].health()["stored"] == 0
    for n, output in enumerate(outputs):
        await output.close()
        assert list((tmp_path / f"tables-{n}").rglob("*.parquet"))
        assert list((tmp_path / f"{n}").rglob("*.parquet")) == []


@pytest.mark.usefixtures("looking")
@pytest.mark.parametrize("keys", [{"max_age": "30"}, {"max_bytes": "1"}])
async def test_the_output_keeps_what_the_keys_say_and_no_more(tmp_path: Path, keys: dict[str, str]) -> None:
    paths = paths_in(tmp_path)
    now = time.time_ns() // 1000
    with Journal(paths.create().journal) as journal, StoreWriter.acquire(paths) as writer:
        journal.append([Batch([audit_run(0, 10, us=now - 40 * 86_400_000_000), audit_run(10, 10, us=now)])])
        writer.drain(journal)
    assert _rows(paths) == 20
    output = StoreOutput({"state": str(paths.root), **keys})
    await output.write([])
    try:
        await asyncio.to_thread(wait_for, lambda: _rows(paths) == 10)
    finally:
        await output.close()


def test_retention_is_applied_as_soon_as_a_keeper_starts(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    now = time.time_ns() // 1000
    with Journal(paths.create().journal) as journal:
        with StoreWriter.acquire(paths) as writer:
            journal.append([Batch([audit_run(0, 10, us=now - 40 * 86_400_000_000), audit_run(10, 10, us=now)])])
            writer.drain(journal)
        keeper = StoreKeeper(paths, journal, replace(QUICK, max_age=30 * 86_400.0))
        keeper.start()
        try:
            wait_for(lambda: _rows(paths) == 10)
        finally:
            keeper.stop()


def _rows(paths: StatePaths) -> int:
    with Store(paths).session() as s:
        return int(s.query("SELECT count(*) FROM audit")[0][0])
