"""What goes into the journal: transactions, repeats, limits."""

from __future__ import annotations

import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from kubewitness.errors import Full, StateError
from kubewitness.journal import Journal
from kubewitness.journal.window import Window
from kubewitness.record import Note
from tests.journal.helpers import batch, chunk, contents, noise, numbered


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_chunks_come_out_as_they_went_in(path: Path) -> None:
    original = chunk([b'{"a":1}', b"with\nnewline", b""], "events", "events/default")
    original.notes[1] = Note(change="ADDED", flags=("late",))
    original.tag, original.cluster, original.form = "kube.events", "prod", "gke"
    with Journal(path, fsync=False) as journal:
        journal.append([batch(original)])
    with Journal(path, fsync=False) as journal:
        (delivery,) = journal.deliveries(0)
    got = delivery.chunk
    assert delivery.seq == 1
    assert got.header() == original.header()
    assert list(got.records()) == [b'{"a":1}', b"with\nnewline", b""]


def test_positions_are_as_durable_as_the_records(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([batch(numbered(1), tail=b"10"), batch(numbered(2), tail=b"20", watch=b"rv7")])
        journal.append([batch(tail=b"30")])
    with Journal(path) as journal:
        assert journal.position("tail") == b"30"
        assert journal.positions() == {"tail": b"30", "watch": b"rv7"}
        assert journal.position("none") is None


def test_sequences_grow_and_are_never_given_again(path: Path) -> None:
    with Journal(path, fsync=False) as journal:
        journal.register("out")
        journal.append([batch(numbered(1), numbered(2))])
        journal.advance("out", 2)
        assert journal.deliveries(0) == []
    with Journal(path, fsync=False) as journal:
        journal.append([batch(numbered(3))])
        assert [d.seq for d in journal.deliveries(0)] == [3]


def test_repeats_are_dropped_and_counted_per_batch(path: Path) -> None:
    with Journal(path, fsync=False) as journal:
        first, second, third = journal.append(
            [batch(numbered(1, 2, 2, 3)), batch(numbered(3, 4), p=b"1"), batch(numbered(1, 2, 3, 4))]
        )
        assert (first.stored, first.duplicates) == (3, 1)
        assert (second.stored, second.duplicates) == (1, 1)
        assert (third.stored, third.duplicates) == (0, 4)
        assert list(contents(journal)) == [b'{"n":%d}' % n for n in (1, 2, 3, 4)]
        assert journal.position("p") == b"1"
        stats = journal.stats()
        assert stats.counters == {"test": {"stored": 4, "duplicates": 6}}
        assert (stats.duplicates, stats.held.records, stats.held.chunks) == (6, 4, 2)


def test_a_repeat_is_recognised_after_its_chunk_is_gone_and_after_a_restart(path: Path) -> None:
    with Journal(path, fsync=False) as journal:
        journal.register("out")
        journal.append([batch(numbered(1, 2))])
        journal.advance("out", 1)
    with Journal(path, fsync=False) as journal:
        (taken,) = journal.append([batch(numbered(2, 3))])
        assert (taken.stored, taken.duplicates) == (1, 1)
        assert list(contents(journal)) == [b'{"n":3}']


def test_two_journals_of_one_file_see_each_others_keys(path: Path) -> None:
    with Journal(path, fsync=False) as one, Journal(path, fsync=False) as two:
        one.append([batch(numbered(1, 2))])
        assert two.append([batch(numbered(2, 3))])[0].duplicates == 1
        assert one.append([batch(numbered(1, 2, 3, 4))])[0].stored == 1
        assert list(contents(two)) == [b'{"n":%d}' % n for n in (1, 2, 3, 4)]


def test_records_without_keys_are_all_kept(path: Path) -> None:
    with Journal(path, fsync=False) as journal:
        same = chunk([b"x", b"x"], "logs", keyed=False)
        assert [t.stored for t in journal.append([batch(same), batch(same)])] == [2, 2]


def test_the_window_forgets_the_oldest_keys_in_memory_and_in_the_file(path: Path) -> None:
    with Journal(path, fsync=False, window=100) as journal:
        for start in range(0, 1000, 10):
            journal.append([batch(numbered(*range(start, start + 10)))])
        assert journal.append([batch(numbered(*range(925, 1000)))])[0].duplicates == 75
        assert journal.append([batch(numbered(5))])[0].stored == 1
    with Journal(path, fsync=False, window=100) as journal:
        assert journal.append([batch(numbered(*range(926, 1000)))])[0].duplicates == 74
        assert journal.append([batch(numbered(6))])[0].stored == 1


def test_300000_keys_cost_less_than_35_megabytes() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    window = Window(300_000)
    for _ in range(120):
        window.add([os.urandom(16) for _ in range(5_000)])
    used, peak = (n - before for n in tracemalloc.get_traced_memory())
    tracemalloc.stop()
    assert 225_000 <= len(window) <= 300_000
    assert used < 35e6
    assert peak < 40e6


def test_a_full_journal_refuses_writes_nothing_and_takes_again_after_delivery(path: Path) -> None:
    with Journal(path, fsync=False, size_limit=100_000) as journal:
        journal.register("out")
        journal.append([batch(noise(60_000, 1), p=b"1")])
        with pytest.raises(Full, match=r"journal .* is full \(0\.1 of 0\.1 MB\)"):
            journal.append([batch(numbered(1), p=b"2"), batch(noise(60_000, 2), p=b"3")])
        assert journal.position("p") == b"1"
        assert journal.stats().held.chunks == 1
        journal.advance("out", 1)
        # Not known as a repeat: the refused call left no key behind either.
        assert journal.append([batch(numbered(1)), batch(noise(60_000, 2))])[1].stored == 1


def test_a_chunk_larger_than_the_limit_gets_in_when_the_journal_is_empty(path: Path) -> None:
    with Journal(path, fsync=False, size_limit=100_000) as journal:
        journal.register("out")
        journal.append([batch(noise(300_000, 1))])
        with pytest.raises(Full):
            journal.append([batch(numbered(1))])
        journal.append([batch(p=b"positions need no room")])
        journal.advance("out", 1)
        journal.append([batch(noise(300_000, 2))])


def test_nothing_of_a_call_stays_when_one_of_its_chunks_is_broken(path: Path) -> None:
    bad = numbered(2)
    bad.data = "not bytes"  # type: ignore[assignment]
    with Journal(path, fsync=False) as journal:
        with pytest.raises(TypeError):
            journal.append([batch(numbered(1), p=b"1"), batch(bad)])
        assert list(contents(journal)) == []
        assert journal.position("p") is None
        assert journal.append([batch(numbered(1))])[0].stored == 1


def test_threads_may_append_and_read_at_the_same_time(path: Path) -> None:
    with Journal(path, fsync=False) as journal:
        journal.register("out")
        errors: list[BaseException] = []
        seen: list[bytes] = []
        done = threading.Event()

        def produce(start: int) -> None:
            try:
                for n in range(start, start + 50):
                    journal.append([batch(numbered(n, n + 25))])
            except BaseException as e:
                errors.append(e)

        def drain() -> None:
            try:
                while True:
                    last_round = done.is_set()
                    deliveries = journal.deliveries(journal.cursor("out"))
                    for d in deliveries:
                        seen.extend(d.chunk.records())
                        journal.advance("out", d.seq)
                    if last_round and not deliveries:
                        return
            except BaseException as e:
                errors.append(e)

        producers = [threading.Thread(target=produce, args=(start,)) for start in (0, 30, 60)]
        drainer = threading.Thread(target=drain)
        for thread in (*producers, drainer):
            thread.start()
        for thread in producers:
            thread.join()
        done.set()
        drainer.join()
    assert errors == []
    assert sorted(seen) == sorted(b'{"n":%d}' % n for n in range(135))


def test_a_closed_journal_says_so(path: Path) -> None:
    journal = Journal(path, fsync=False)
    journal.close()
    journal.close()
    with pytest.raises(StateError, match="is closed"):
        journal.append([batch(numbered(1))])
    with pytest.raises(StateError, match="is closed"):
        journal.position("p")
