"""The keeper of a shared store: in each of its turns it begins with order, and outside of them it writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.kube.elector import Leadership
from kubewitness.pipeline.terms import Terms
from kubewitness.record import chunk_of
from kubewitness.store import Store, StoreWriter, elected
from kubewitness.store.elected import ElectedKeeper
from tests.store.states import audit_run, event
from tests.store.test_keeper import QUICK, wait_for

WATCH = "kubernetes_events/default"


class Replica:
    """A state of its own and the store of all; `lead` gives it a term."""

    def __init__(self, tmp_path: Path, name: str) -> None:
        self.paths = StatePaths(tmp_path / name, str(tmp_path / "shared")).create()
        self.journal = Journal(self.paths.journal)
        self.now = 1000.0
        self.leadership = Leadership(lambda: self.now)
        self.terms = Terms(self.leadership)
        self.keeper = ElectedKeeper(self.paths, self.journal, self.terms, QUICK)
        self.keeper.start()

    def lead(self, term: int) -> None:
        """Until the store is open in that term."""
        self.leadership.extend(term, self.now + 10)
        wait_for(lambda: self.terms.open == term)

    def freeze(self) -> None:
        """Its time is over."""
        self.now += 60
        wait_for(lambda: self.keeper.health()["state"] == "standby")

    def record(self, first: int, count: int, position: bytes) -> None:
        lines = [(event(f"u{n}", n, 1), b"") for n in range(first, first + count)]
        self.journal.append([Batch([chunk_of("events", lines)], {WATCH: position})])

    def stored(self) -> None:
        """Until everything is in the tables."""
        wait_for(lambda: self.journal.stats().held.chunks == 0)
        self.keeper.flush()

    @property
    def position(self) -> bytes | None:
        return self.journal.position(WATCH)


@contextmanager
def replicas(tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    one, two = Replica(tmp_path, "one"), Replica(tmp_path, "two")
    try:
        yield one, two
    finally:
        for replica in (one, two):
            replica.keeper.stop()
            replica.journal.close()


def uids(paths: StatePaths) -> list[str]:
    with Store(paths).session() as s:
        return [uid for (uid,) in s.query("SELECT uid FROM events ORDER BY uid")]


def test_a_standby_writes_nothing_and_leaves_its_journal_as_it_is_at_the_end(tmp_path: Path) -> None:
    with replicas(tmp_path) as (one, _):
        one.record(0, 3, b"3")
        one.keeper.flush()
        one.keeper.stop()
        assert one.journal.stats().held.chunks == 1
        assert one.keeper.health()["state"] == "standby"
        assert not (tmp_path / "shared" / "events").exists()


def test_the_next_leader_begins_from_the_last_durable_position(tmp_path: Path) -> None:
    with replicas(tmp_path) as (one, two):
        one.lead(1)
        one.record(0, 3, b"3")
        wait_for(lambda: Store(two.paths).shared_positions() == {WATCH: b"3"})
        one.freeze()
        one.record(3, 2, b"5")  # durable in its journal only
        two.lead(2)
        assert two.position == b"3"


def test_what_a_journal_still_holds_is_stored_and_its_old_position_does_not_come_back(tmp_path: Path) -> None:
    with replicas(tmp_path) as (one, two):
        one.lead(1)
        one.record(0, 3, b"3")
        one.stored()
        one.freeze()
        one.record(3, 2, b"5")
        one.journal.append([Batch([audit_run(0, 4)])])  # of an audit batch that nobody else has
        two.lead(2)
        two.record(3, 4, b"7")
        two.stored()
        wait_for(lambda: Store(two.paths).shared_positions() == {WATCH: b"7"})
        two.freeze()
        one.lead(3)
        assert one.position == b"7"
        assert one.journal.stats().held.chunks == 0
        assert Store(one.paths).shared_positions() == {WATCH: b"7"}
        assert uids(one.paths) == [f"u{n}" for n in range(7)]
        with Store(two.paths).session() as s:
            assert s.query("SELECT count(*) FROM audit") == [(4,)]


def test_a_position_of_its_own_is_newer_where_nobody_led_in_between(tmp_path: Path) -> None:
    with replicas(tmp_path) as (one, _):
        one.lead(1)
        one.record(0, 3, b"3")
        one.stored()
        one.freeze()
        one.record(3, 2, b"5")
        one.lead(2)
        assert one.position == b"5"
        assert uids(one.paths) == [f"u{n}" for n in range(5)]


def test_a_leader_that_the_store_does_not_know_as_the_latest_gives_up_and_says_what_must_be_passed(
    tmp_path: Path,
) -> None:
    with replicas(tmp_path) as (one, two):
        with StoreWriter.acquire(two.paths, term=9):
            pass
        one.leadership.extend(4, one.now + 10)
        wait_for(lambda: one.leadership.term is None)
        assert one.leadership.term_above == 9
        assert one.terms.open is None
        one.lead(10)


def test_a_term_that_ends_ends_the_work_of_the_keeper_before_another_begins(tmp_path: Path) -> None:
    with replicas(tmp_path) as (one, _):
        for term in range(1, 4):
            one.lead(term)
            one.freeze()
            asyncio.run(asyncio.wait_for(one.terms.ended(), 10))


def test_a_leader_that_cannot_open_the_store_leaves_it_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elected, "_PATIENCE", 0.5)
    (tmp_path / "shared").write_text("no directory")
    with replicas(tmp_path) as (one, _):
        one.leadership.extend(1, one.now + 10)
        wait_for(lambda: one.leadership.term is None)
        assert one.leadership.hand_over()
        (tmp_path / "shared").unlink()
        one.lead(2)
