"""Few files, sorted days, and space that really comes back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kubewitness.errors import StateError
from kubewitness.store import Store, StoreWriter
from kubewitness.store.segments import segments
from tests.store.states import DAY, audit_chunk, audit_line, audit_run, on_disk, paths_in

NOW = time.time_ns() // 1000


def test_merging_keeps_every_record_and_leaves_few_files(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        for n in range(25):
            w.commit([audit_run(n * 10, 10, us=NOW - DAY // 100)])
            w.compact()
        assert len(w.tables["audit"].files()) < 12
        w.compact(all_days=True)
        assert len(w.tables["audit"].files()) == 1
        assert w.compact(all_days=True).removed == 0  # sorted once
    with Store(paths).session() as s:
        assert s.query("SELECT count(*), count(DISTINCT record_key) FROM audit") == [(250, 250)]
        rows = s.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM audit")
        assert len({*s.raw(rows)}) == 250


def test_a_day_that_is_over_is_sorted_by_object_and_the_open_day_is_not(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 10, us=NOW - 3 * DAY)])
        w.commit([audit_run(50, 10, us=NOW)])
        upkeep = w._upkeep
        assert upkeep.compact(now=time.time()).sorted_days == 0  # its files are still new
        assert upkeep.compact(now=time.time() + 700).sorted_days == 1
        assert upkeep.compact(now=time.time() + 700).sorted_days == 0
        assert w.commit([audit_run(0, 60, us=NOW - 3 * DAY)]).stored == 50  # repeats are found in sorted files too


def test_a_large_day_is_sorted_in_ranges_of_object_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubewitness.store.upkeep.SORT_ROWS", 30)
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        lines = [audit_line(n, us=NOW, name=f"web-{n}") for n in range(100)]
        for n in range(10):
            w.commit([audit_chunk(lines[n * 10 : n * 10 + 10])])
        assert w.compact(all_days=True).sorted_days == 1
        assert 1 < len(w.tables["audit"].files()) <= 4
        assert w.compact(all_days=True).removed == 0
        assert w.commit([audit_chunk(lines)]).stored == 0  # repeats are still found
    with Store(paths).session() as s:
        assert s.query("SELECT count(*), count(DISTINCT record_key) FROM audit") == [(100, 100)]


def test_days_older_than_the_retention_are_dropped_and_their_space_given_back(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.segments._limit = 1  # a segment for every frame
        for day in reversed(range(10)):
            w.commit([audit_run(0, 200, us=NOW - day * DAY)])
        before = len(segments(on_disk(w.directory) / "raw"))
        result = w.prune(max_age=5 * DAY / 1e6, grace=0)
        assert (result.days, result.records) == (4, 800)
        assert result.freed > 0
        assert len(segments(on_disk(w.directory) / "raw")) == before - 4
        assert len(list((on_disk(w.directory) / "audit").glob("day=*"))) == 6
    with Store(paths).session() as s:
        assert s.query("SELECT count(DISTINCT day), count(*) FROM audit") == [(6, 1200)]
        assert len(s.raw(s.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM audit"))) == 1200


def test_the_oldest_days_go_until_the_rest_fits_and_the_newest_always_stays(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.segments._limit = 1
        for day in reversed(range(6)):
            w.commit([audit_run(0, 500, us=NOW - day * DAY)])
        size = w._upkeep.size()
        w.prune(max_bytes=size // 2, grace=0)
        assert w._upkeep.size() <= size // 2
        assert 1 <= len({f.day for f in w.tables["audit"].files()}) < 6
        w.prune(max_bytes=1, grace=0)
        assert [f.day for f in w.tables["audit"].files()] == [NOW // DAY]


def test_dropped_files_stay_for_the_grace_period(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 10, us=NOW - 9 * DAY)])
        w.commit([audit_run(0, 10, us=NOW)])
        assert w.prune(max_age=DAY / 1e6).freed == 0
        assert w._upkeep.vacuum(now=time.time() + 500) == 0
        assert w._upkeep.vacuum(now=time.time() + 700) > 0


def test_a_merge_that_is_killed_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        for n in range(12):
            w.commit([audit_run(n * 10, 10)])
        monkeypatch.setattr("kubewitness.store.merging.sys.executable", "/bin/false")
        with pytest.raises(StateError, match="cannot merge"):
            w.compact()
        monkeypatch.undo()
        assert len(w.tables["audit"].files()) == 12
        assert w.compact().removed == 12
