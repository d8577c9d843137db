"""What comes out of the journal: cursors, deletion, reading order, snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.errors import StateError
from kubewitness.journal import Journal, unpack
from tests.journal.helpers import batch, chunk, contents, noise, numbered


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db", fsync=False)


def seqs(journal: Journal) -> list[int]:
    return [f.seq for f in journal.frames(0)]


def test_without_any_output_nothing_is_deleted(journal: Journal) -> None:
    journal.append([batch(numbered(1))])
    with pytest.raises(StateError, match="'nobody' is not registered"):
        journal.advance("nobody", 1)
    assert seqs(journal) == [1]


def test_a_chunk_stays_until_the_slowest_output_that_wants_it_has_it(journal: Journal) -> None:
    journal.register("store/audit", {"audit"})
    journal.register("store/events", {"events"})
    journal.register("loki")
    journal.append([batch(numbered(1)), batch(numbered(2, table="events")), batch(numbered(3))])
    journal.advance("loki", 3)
    assert seqs(journal) == [1, 2, 3]
    journal.advance("store/audit", 1)
    assert seqs(journal) == [2, 3]
    journal.advance("store/events", 3)
    assert seqs(journal) == [3]
    journal.advance("store/audit", 3)
    assert seqs(journal) == []


def test_a_table_that_no_output_wants_is_kept(journal: Journal) -> None:
    journal.register("store/audit", {"audit"})
    journal.append([batch(numbered(1, table="events")), batch(numbered(2))])
    journal.advance("store/audit", 2)
    assert seqs(journal) == [1]


def test_a_cursor_survives_and_never_goes_back(journal: Journal) -> None:
    journal.append([batch(numbered(n)) for n in range(5)])
    assert journal.register("out") == 0
    journal.advance("out", 3)
    journal.advance("out", 2)
    assert journal.register("out", {"audit"}) == 3
    assert journal.cursor("out") == 3
    assert journal.register("late", from_now=True) == 5
    with pytest.raises(StateError, match="not registered"):
        journal.cursor("other")


def test_an_output_that_is_unregistered_holds_nothing_back(journal: Journal) -> None:
    journal.register("fast")
    journal.register("gone")
    journal.append([batch(numbered(1))])
    journal.advance("fast", 1)
    assert seqs(journal) == [1]
    journal.unregister("gone")
    assert seqs(journal) == []


def test_deliveries_are_in_order_and_bounded_but_never_empty_while_something_waits(journal: Journal) -> None:
    journal.append([batch(numbered(n, table=("audit", "events")[n % 2])) for n in range(10)])
    assert [d.seq for d in journal.deliveries(0, max_bytes=1)] == [1]
    assert [d.seq for d in journal.deliveries(1, max_bytes=27)] == [2, 3, 4]
    assert [d.seq for d in journal.deliveries(0, tables={"events"})] == [2, 4, 6, 8, 10]
    assert [d.seq for d in journal.deliveries({"audit": 5, "events": 8})] == [7, 9, 10]
    assert [d.seq for d in journal.deliveries({"audit": 5}, tables={"audit"})] == [7, 9]
    assert [d.seq for d in journal.deliveries({"audit": 10})] == [2, 4, 6, 8, 10]
    assert journal.deliveries(0, tables=set()) == []


def test_frames_are_zstd_of_the_chunks_own_data(journal: Journal) -> None:
    journal.append([batch(numbered(1, 2))])
    (frame,) = journal.frames(0)
    assert unpack(frame).data == b'{"n":1}\n{"n":2}\n'
    assert frame.frame[:4] == bytes.fromhex("28b52ffd")


def test_a_snapshot_sees_neither_later_appends_nor_deletions(journal: Journal) -> None:
    journal.register("out")
    journal.append([batch(numbered(1), p=b"1")])
    with journal.snapshot() as view:
        journal.append([batch(numbered(2), p=b"2")])
        journal.advance("out", 2)
        assert [d.seq for d in view.deliveries(0)] == [1]
        assert (view.cursor("out"), view.position("p"), view.last_seq) == (0, b"1", 1)
    assert seqs(journal) == []
    assert journal.last_seq == 2


def test_stats_tell_what_each_output_has_still_to_deliver(journal: Journal) -> None:
    journal.register("all")
    journal.register("store/events", {"events"})
    journal.append([batch(numbered(1, 2)), batch(numbered(3, table="events")), batch(numbered(4))])
    journal.advance("all", 1)
    stats = journal.stats()
    assert {n: h.records for n, h in stats.tables.items()} == {"audit": 1, "events": 1}
    assert {n: (o.pending.chunks, o.pending.records) for n, o in stats.outputs.items()} == {
        "all": (2, 2),
        "store/events": (1, 1),
    }
    assert stats.held.oldest_us == 1_700_000_000_000_000
    assert stats.held.size == sum(len(f.header) + len(f.frame) for f in journal.frames(0))


def test_counters_add_up(journal: Journal) -> None:
    journal.count("tail", "dropped", 3)
    journal.count("tail", "dropped")
    assert journal.stats().counters == {"tail": {"dropped": 4}}


def test_a_backlog_of_many_chunks_is_deleted_whole(journal: Journal) -> None:
    journal.register("out")
    journal.append([batch(chunk([b"%d" % n])) for n in range(700)])
    journal.advance("out", 650)
    assert seqs(journal) == list(range(651, 701))
    assert journal.stats().held.chunks == 50


def test_space_is_given_back_once_delivered(journal: Journal) -> None:
    journal.register("out")
    for seed in range(12):
        journal.append([batch(noise(4_000_000, seed))])
    journal.advance("out", 11)
    for _ in range(20):
        journal.advance("out", 11)
    assert journal.stats().file_bytes < 16_000_000
    assert len(list(contents(journal))) == 1
    journal.close()
    assert journal.path.stat().st_size < 16_000_000


def test_the_wal_stays_short_while_readers_come_and_go(journal: Journal) -> None:
    journal.register("out")
    wal = journal.path.with_name("journal.db-wal")
    longest = 0
    for seed in range(120):
        with journal.snapshot() as view:
            journal.append([batch(noise(1_000_000, seed))])
            view.frames(0)
        journal.advance("out", seed)
        longest = max(longest, wal.stat().st_size)
    assert longest < 16_000_000
