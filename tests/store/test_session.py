"""What a reader sees: committed and not yet committed records together, exactly once, with their original bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewitness.contracts import Batch
from kubewitness.errors import StateError
from kubewitness.formats.names import object_key
from kubewitness.journal import Journal
from kubewitness.record import chunk_of
from kubewitness.store import Store, StoreWriter
from tests.store.states import T0, audit_chunk, audit_line, audit_run, event, paths_in

POINTER = "raw_seg, raw_frame, raw_off, raw_len"


def test_a_state_in_which_nothing_was_recorded_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nothing has been recorded"), Store(paths_in(tmp_path)).session():
        pass


def test_views_of_tables_that_do_not_exist_yet_are_empty(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 1)])
    with Store(paths).session() as s:
        for name in ("events", "objects", "admission", "logs", "findings", "rejects"):
            assert s.query(f"SELECT count(*) FROM {name}") == [(0,)]
        assert s.query("SELECT count(*) FROM activity") == [(1,)]


def test_a_record_is_visible_as_soon_as_it_is_in_the_journal_and_stays_so_when_committed(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    store = Store(paths)
    lines = [audit_line(n) for n in range(30)]
    with Journal(paths.create().journal) as journal:
        for n in range(0, 30, 10):
            journal.append([Batch([audit_chunk(lines[n : n + 10])])])
            with store.session() as s:
                assert s.query("SELECT count(*) FROM audit WHERE raw_seg < 0") == [(n + 10,)]
        with StoreWriter.acquire(paths) as w:
            w.drain(journal)
        journal.append([Batch([audit_chunk([audit_line(99)])])])
        with store.session() as s:
            assert s.query("SELECT raw_seg < 0, count(*) FROM audit GROUP BY 1 ORDER BY 1") == [(False, 30), (True, 1)]
            rows = s.query(f"SELECT {POINTER} FROM audit ORDER BY ts")
            assert s.raw(rows) == [*lines, audit_line(99)]


def test_a_session_keeps_its_moment_while_others_record_and_commit(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    store = Store(paths)
    with Journal(paths.create().journal) as journal:
        journal.append([Batch([audit_run(0, 10)])])
        with store.session() as s:
            journal.append([Batch([audit_run(10, 10)])])
            with StoreWriter.acquire(paths) as w:
                w.drain(journal)
            with store.session() as later:
                assert later.query("SELECT count(*) FROM audit") == [(20,)]
            assert s.query("SELECT count(*) FROM audit") == [(10,)]
            assert len(s.raw(s.query(f"SELECT {POINTER} FROM audit"))) == 10


def test_a_repeat_of_a_committed_record_in_the_journal_is_seen_once(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 10)])
    with Journal(paths.journal) as journal:
        journal.append([Batch([audit_run(5, 10)]), Batch([audit_run(5, 10)])])
        with Store(paths).session() as s:
            assert s.query("SELECT count(*), count(DISTINCT record_key) FROM audit") == [(15, 15)]


def test_a_reader_whose_files_were_merged_and_deleted_starts_afresh(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        for n in range(12):
            w.commit([audit_run(n * 10, 10)])
        with Store(paths).session() as s:
            assert w.compact().removed == 12
            w.vacuum(grace=0)
            assert s.query("SELECT count(*) FROM audit") == [(120,)]


def test_times_are_integers_by_epoch_us_and_aware_datetimes_otherwise(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 1)])
    with Store(paths).session() as s:
        us, moment = s.query("SELECT epoch_us(ts), ts FROM audit WHERE ts >= make_timestamp(?)", [T0])[0]
        assert us == T0
        assert moment.utcoffset().total_seconds() == 0
        assert s.dicts("SELECT verb FROM audit WHERE name = $name", {"name": "web-1"}) == [{"verb": "get"}]


def test_records_of_one_object_share_its_key_in_every_table(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    pod = (
        b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1","namespace":"shop","uid":"p1",'
        b'"resourceVersion":"7","creationTimestamp":"2026-11-20T10:00:00Z"}}'
    )
    with StoreWriter.acquire(paths) as w:
        events = chunk_of("events", [(event("u1", 1, 1), b"")])
        w.commit([audit_run(0, 1), events, chunk_of("objects", [(pod, b"")])])
    key = object_key("default", "", "pods", "shop", "web-1")
    with Store(paths).session() as s:
        for table in ("audit", "events", "objects"):
            assert s.query(f"SELECT count(*) FROM {table} WHERE object_key = ?", [key]) == [(1,)]


def test_activity_joins_all_sources_with_the_promised_ids(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        lines = [audit_line(1, stage="RequestReceived", audit_id="a1"), audit_line(2, audit_id="a1", received=T0)]
        w.commit([audit_chunk(lines), chunk_of("events", [(event("u1", 7, 1), b"")])])
    with Store(paths).session() as s:
        rows = s.dicts("SELECT * FROM activity ORDER BY source")
    assert [r["id"] for r in rows] == ["audit:default/a1/ResponseComplete", "event:default/u1@7"]
    assert [(r["kind"], r["namespace"], r["name"]) for r in rows] == [("Pod", "shop", "web-1")] * 2
    assert list(rows[0]) == [
        *("ts", "source", "cluster", "namespace", "kind", "name", "actor", "action", "outcome", "summary", "id")
    ]
