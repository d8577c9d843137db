"""Two writers of one store with terms, interleaved at the worst points: only the newer one commits, and the position
of the watches is never ahead of the rows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.errors import Fenced
from kubewitness.journal import Journal
from kubewitness.record import chunk_of
from kubewitness.store import Store, StoreWriter, tables
from kubewitness.store.places import listed
from kubewitness.store.upkeep import Upkeep
from tests.store.states import DAY, T0, audit_run, event

WATCH = "kubernetes_events/default"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def one(tmp_path: Path, shared: str) -> StatePaths:
    """A replica: a state of its own, with the store of all."""
    return StatePaths(tmp_path / "one", shared).create()


@pytest.fixture
def two(tmp_path: Path, shared: str) -> StatePaths:
    return StatePaths(tmp_path / "two", shared).create()


def _events(journal: Journal, first: int, count: int) -> None:
    lines = [(event(f"u{n}", n, 1), b"") for n in range(first, first + count)]
    journal.append([Batch([chunk_of("events", lines)], {WATCH: b"%d" % (first + count)})])


def _uids(paths: StatePaths) -> list[str]:
    with Store(paths).session() as s:
        return [uid for (uid,) in s.query("SELECT uid FROM events ORDER BY try_cast(uid[2:] AS INT)")]


def test_the_next_leader_finds_the_position_of_the_last_durable_record(one: StatePaths, two: StatePaths) -> None:
    with Journal(one.journal) as journal, StoreWriter.acquire(one, term=1) as w:
        assert w.shared_positions() == {}
        _events(journal, 0, 5)
        journal.append([Batch([], {"kubernetes_audit/default/file": b"inode 7"})])
        w.drain(journal)
        _events(journal, 5, 5)  # durable in the journal of this replica only, which is lost with it
    with StoreWriter.acquire(two, term=2) as w:
        assert w.shared_positions() == {WATCH: b"5"}  # and no place in a file of the other machine
    assert Store(two).shared_positions() == {WATCH: b"5"}


def test_a_position_that_moved_without_a_record_is_shared_too_and_outlives_the_log(one: StatePaths) -> None:
    with Journal(one.journal) as journal, StoreWriter.acquire(one, term=1) as w:
        _events(journal, 0, 1)
        w.drain(journal)
        journal.append([Batch([], {WATCH: b"bookmark 9"})])
        assert w.drain(journal).commits == 1
        assert w.drain(journal).commits == 0
        events = w.tables["events"]
        for _ in range(25):
            events.touch({})
        events.dt.alter.set_table_properties({"delta.logRetentionDuration": "interval 0 seconds"})
        events.refresh()
        events.dt.create_checkpoint()
        events.clean_log()
        assert len(listed(events.directory / "_delta_log", ".json")) < 5
        assert len(listed(w.directory / "positions", ".json")) == 1
    assert Store(one).shared_positions() == {WATCH: b"bookmark 9"}


def test_a_position_is_not_shared_before_the_other_tables_have_what_came_before_it(one: StatePaths) -> None:
    with Journal(one.journal) as journal, StoreWriter.acquire(one, term=1) as w:
        journal.append([Batch([audit_run(0, 40), audit_run(40, 40)])])
        _events(journal, 0, 1)
        w.drain(journal, max_bytes=0)
        assert w.shared_positions() == {}
        w.drain(journal)
        assert w.shared_positions() == {WATCH: b"1"}


def test_an_older_leader_is_fenced_at_its_next_commit_of_any_kind(one: StatePaths, two: StatePaths) -> None:
    with Journal(one.journal) as journal, StoreWriter.acquire(one, term=1) as old:
        _events(journal, 0, 3)
        old.drain(journal)
        with StoreWriter.acquire(two, term=2):
            pass
        _events(journal, 3, 3)
        with pytest.raises(Fenced, match="leader number 2"):
            old.drain(journal)
        with pytest.raises(Fenced):
            old.commit([audit_run(0, 3)])
        with pytest.raises(Fenced):
            old.compact(all_days=True)
        with pytest.raises(Fenced):
            Upkeep(old.directory, old.tables, old._con, one.root).prune(max_age=1, now=T0 / 1e6 + 9 * DAY / 1e6)
    with pytest.raises(Fenced):
        StoreWriter.acquire(one, term=1)
    assert _uids(two) == ["u0", "u1", "u2"]


@pytest.mark.parametrize("moment", ["frames are written", "commit"])
def test_a_leader_that_is_overtaken_between_its_look_and_its_commit_commits_nothing(
    one: StatePaths, two: StatePaths, moment: str
) -> None:
    with (
        Journal(one.journal) as first,
        Journal(two.journal) as second,
        StoreWriter.acquire(one, term=1) as old,
    ):
        _events(first, 0, 4)
        _events(second, 0, 6)
        seen = {}

        def overtaken() -> None:
            with StoreWriter.acquire(two, term=2) as new:
                new.drain(second)
                seen["after"] = new.shared_positions()

        _at_the_last_moment(old, overtaken, moment)
        with pytest.raises(Fenced):
            old.drain(first)
    assert _uids(two) == [f"u{n}" for n in range(6)]
    assert seen["after"] == Store(two).shared_positions() == {WATCH: b"6"}


@pytest.mark.parametrize("moment", ["frames are written", "commit"])
def test_two_writers_without_a_term_never_store_a_record_twice(one: StatePaths, two: StatePaths, moment: str) -> None:
    with Journal(one.journal) as first, Journal(two.journal) as second, StoreWriter.acquire(one) as mine:
        _events(first, 0, 4)
        _events(second, 2, 4)
        mine.tables["events"].ensure()

        def overtaken() -> None:
            with StoreWriter.acquire(two) as other:
                other.drain(second)

        _at_the_last_moment(mine, overtaken, moment)
        result = mine.drain(first)
        assert (result.stored, result.duplicates) == (2, 2)
    assert _uids(one) == [f"u{n}" for n in range(6)]


def _at_the_last_moment(writer: StoreWriter, then: Callable[[], None], moment: str) -> None:
    """Calls `then` once: after the rows were compared with the table and before their frames are durable, or just
    before the commit is tried."""
    patch = pytest.MonkeyPatch()
    place, name = (writer.segments, "sync") if moment == "frames are written" else (tables, "write_deltalake")
    real = getattr(place, name)

    def late(*args: object, **kwargs: object) -> None:
        patch.undo()
        then()
        real(*args, **kwargs)

    patch.setattr(place, name, late)


_FROZEN = """
import os, signal, sys
from kubewitness.config.state import StatePaths
from kubewitness.errors import Fenced
from kubewitness.journal import Journal
from kubewitness.store import StoreWriter, tables
real = tables.write_deltalake
def write(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGSTOP)      # frozen with the commit made and looked at
    real(*args, **kwargs)
paths = StatePaths(__import__("pathlib").Path(sys.argv[1]), sys.argv[2])
with Journal(paths.journal) as journal, StoreWriter.acquire(paths, term=1) as w:
    tables.write_deltalake = write
    try:
        w.drain(journal)
    except Fenced as e:
        print("fenced:", e)
"""


def test_a_leader_frozen_before_its_commit_is_fenced_when_it_wakes(one: StatePaths, two: StatePaths) -> None:
    with Journal(one.journal) as journal:
        _events(journal, 0, 4)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    child = subprocess.Popen(
        [sys.executable, "-c", _FROZEN, str(one.root), one.store_uri], env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        with Journal(two.journal) as journal, StoreWriter.acquire(two, term=2) as new:
            assert new.shared_positions() == {}
            _events(journal, 2, 4)
            new.drain(journal)
        os.kill(child.pid, signal.SIGCONT)
        out, _ = child.communicate(timeout=120)
    finally:
        child.kill()
    assert out.startswith("fenced: table events: leader number 2 writes the store now")
    assert _uids(two) == ["u2", "u3", "u4", "u5"]
