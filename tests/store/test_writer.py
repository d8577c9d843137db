"""What the writer promises: every record once, nothing dropped silently, one writer at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from arro3.core import Schema
from deltalake import DeltaTable

from kubewitness.contracts import Batch
from kubewitness.errors import StateError
from kubewitness.journal import Journal
from kubewitness.record import Note, chunk_of
from kubewitness.store import Store, StoreWriter
from kubewitness.store.columns import arrow_schema
from kubewitness.store.lock import lock_holder
from kubewitness.store.schema import SCHEMA_VERSION
from tests.store.states import DAY, T0, audit_chunk, audit_line, audit_run, event, on_disk, paths_in


def test_importing_twice_stores_nothing_twice(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    chunks = [audit_run(0, 300), audit_run(300, 200)]
    with StoreWriter.acquire(paths) as w:
        assert w.commit(chunks).stored == 500
        again = w.commit(chunks)
        assert (again.stored, again.duplicates, again.commits) == (0, 500, 0)
        overlap = w.commit([audit_run(400, 200)])
        assert (overlap.stored, overlap.duplicates) == (100, 100)
    with Store(paths).session() as s:
        assert s.query("SELECT count(*), count(DISTINCT record_key) FROM audit") == [(600, 600)]


def test_a_repeat_within_one_commit_is_stored_once(tmp_path: Path) -> None:
    with StoreWriter.acquire(paths_in(tmp_path)) as w:
        result = w.commit([audit_run(0, 50), audit_run(0, 50)])
    assert (result.stored, result.duplicates) == (50, 50)


def test_a_record_without_a_time_of_its_own_is_recognised_when_it_comes_again_later(tmp_path: Path) -> None:
    review = (
        b'{"kind":"AdmissionReview","request":{"uid":"u1","operation":"DELETE","userInfo":{"username":"alice"},'
        b'"resource":{"version":"v1","resource":"pods"},"name":"web-1","namespace":"shop"}}'
    )
    chunks = [chunk_of("admission", [(review, b"")]) for _ in range(2)]
    chunks[0].received_us, chunks[1].received_us = T0, T0 + DAY
    with StoreWriter.acquire(paths_in(tmp_path)) as w:
        assert w.commit(chunks[:1]).stored == 1
        assert w.commit(chunks[1:]).duplicates == 1


def test_what_cannot_be_understood_is_kept_with_place_and_reason(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    chunk = audit_chunk([audit_line(1), b"{broken", audit_line(2)], source="a.log")
    chunk.notes[1] = Note(file="a.log", offset=700)
    with StoreWriter.acquire(paths) as w:
        result = w.commit([chunk])
        assert (result.stored, result.rejected) == (2, 1)
        assert w.commit([chunk]).rejected == 0
    with Store(paths).session() as s:
        row = s.dicts("SELECT * FROM rejects")[0]
        assert (row["file"], row["offset"]) == ("a.log", 700)
        assert "not an audit Event" in row["reason"]
        assert s.raw([tuple(row[k] for k in ("raw_seg", "raw_frame", "raw_off", "raw_len"))]) == [b"{broken"]


def test_a_reused_audit_id_is_kept_and_flagged_in_the_same_commit_a_later_one_and_the_journal(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    mine = "11111111-2222-3333-4444-555555555555"
    first = [
        audit_line(1, audit_id=mine, stage="RequestReceived", received=T0),
        audit_line(2, audit_id=mine, received=T0),
    ]
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_chunk([*first, audit_line(3, audit_id="x" * 8, received=T0)])])
        w.commit([audit_chunk([audit_line(4, audit_id="x" * 8, received=T0)])])  # only a later stage
        w.commit([audit_chunk([audit_line(9, audit_id=mine, user="bob", received=T0 + DAY)])])
    with Journal(paths.journal) as journal, Store(paths).session() as s:
        assert s.query("SELECT \"user\", flags FROM audit WHERE flags <> ''") == [("bob", "audit-id-reused")]
        journal.append([Batch([audit_chunk([audit_line(11, audit_id=mine, user="carol", received=T0 + 2 * DAY)])])])
        with Store(paths).session() as later:
            found = later.query("SELECT \"user\" FROM audit WHERE flags LIKE '%audit-id-reused%' ORDER BY ts")
            assert found == [("bob",), ("carol",)]
            assert later.query("SELECT count(*) FROM audit WHERE audit_id = ?", [mine]) == [(4,)]
        with StoreWriter.acquire(paths) as w:
            w.drain(journal)
    with Store(paths).session() as s:
        assert s.query("SELECT count(*) FROM audit WHERE flags = 'audit-id-reused'") == [(2,)]


def test_times_from_the_future_or_beyond_retention_go_to_the_day_of_arrival_and_are_flagged(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    now = time.time_ns() // 1000
    chunk = audit_chunk([audit_line(0, us=now + 3 * DAY), audit_line(1, us=now - 40 * DAY), audit_line(2, us=now)])
    chunk.received_us = now
    with StoreWriter.acquire(paths, retention=30) as w:
        w.commit([chunk])
    with Store(paths).session() as s:
        rows = s.query("SELECT flags, (day - DATE '1970-01-01') FROM audit ORDER BY ts")
    assert [day for _, day in rows] == [now // DAY] * 3
    assert [flags for flags, _ in rows] == ["day-of-arrival", "", "day-of-arrival"]


def test_an_event_version_says_how_many_occurrences_it_adds(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([chunk_of("events", [(event("u1", 10, 1), b""), (event("u1", 11, 2), b"")])])
    with StoreWriter.acquire(paths) as w:  # nothing remembered in memory
        w.commit([chunk_of("events", [(event("u1", 15, 7), b"")])])
    with Store(paths).session() as s:
        rows = s.query("SELECT count, count_delta FROM events ORDER BY resource_version::INT")
    assert rows == [(1, 1), (2, 1), (7, 5)]


def test_draining_moves_everything_from_the_journal_into_the_tables_once(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w, Journal(paths.journal) as journal:
        journal.append([Batch([audit_run(0, 100), chunk_of("events", [(event("u1", 10, 1), b"")])])])
        result = w.drain(journal)
        assert (result.stored, result.upto["audit"], result.upto["events"]) == (101, 1, 2)
        assert journal.stats().held.chunks == 0
        assert w.drain(journal).stored == 0
        journal.append([Batch([audit_run(50, 100)])])  # the window of recent keys was not used: no keys
        assert w.drain(journal).stored == 50


def test_a_commit_that_was_not_acknowledged_to_the_journal_is_not_repeated(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with Journal(paths.create().journal) as journal:
        with StoreWriter.acquire(paths) as w:
            journal.append([Batch([audit_run(0, 100)])])
            journal.advance = lambda *a: (_ for _ in ()).throw(RuntimeError("died"))  # type: ignore[method-assign]
            with pytest.raises(RuntimeError):
                w.drain(journal)
            del journal.advance
        assert journal.stats().held.chunks == 1
        with Store(paths).session() as s:
            assert s.query("SELECT count(*) FROM audit") == [(100,)]
        with StoreWriter.acquire(paths) as w:
            assert w.drain(journal).stored == 0
        assert journal.stats().held.chunks == 0


def test_only_one_process_writes_at_a_time(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths):
        with pytest.raises(StateError, match="another process records into"):
            StoreWriter.acquire(paths)
        code = (
            "import pathlib; from kubewitness.config.state import StatePaths\n"
            "from kubewitness.store import StoreWriter\n"
            f"StoreWriter.acquire(StatePaths(pathlib.Path({str(paths.root)!r}), {paths.store_uri!r}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert b"another process records into" in done.stderr
        assert lock_holder(paths.store_lock) is not None
    assert lock_holder(paths.store_lock) is None
    StoreWriter.acquire(paths).close()


def test_a_commit_cut_by_a_power_failure_is_taken_back(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 10)])
        w.commit([audit_run(10, 10)])
        log = on_disk(w.directory) / "audit" / "_delta_log"
    newest = sorted(log.glob("*.json"))[-1]
    newest.write_bytes(b"")
    with StoreWriter.acquire(paths) as w:
        assert "not yet durable" in w.repairs[0]
        assert w.commit([audit_run(0, 20)]).stored == 10


def test_a_table_of_an_older_schema_gets_the_new_columns_and_its_rows_show_null(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        batch = w._batch("audit")
        batch.add(audit_run(0, 5))
        batch.finish_slice()
        w.segments.sync()
        directory = on_disk(w.directory) / "audit"
        directory.mkdir(parents=True)
        schema = arrow_schema("audit")
        fields = [schema.field(n) for n in schema.names if n not in ("digest", "owner_uid", "dry_run")]
        DeltaTable.create(
            directory,
            schema=Schema(fields),
            partition_by=["day", "cluster"],
            configuration={"kubewitness.schema": "0"},
            raise_if_key_not_exists=False,
        )
        full = w.tables["audit"]
        full.refresh()
        rows = batch.arrow[0].select([f.name for f in fields])
        full.append(rows, {})
    with Store(paths).session() as s:
        assert s.query("SELECT count(*), count(digest), count(name) FROM audit") == [(5, 0, 5)]
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(5, 5)])
        assert w.tables["audit"].schema_version == SCHEMA_VERSION
        assert w.commit([audit_run(0, 10)]).duplicates == 10
        with Store(paths).session() as s:
            assert s.query("SELECT count(*), count(digest) FROM audit") == [(10, 5)]
        assert w.compact(all_days=True).added == 1
    with Store(paths).session() as s:
        assert s.query("SELECT count(*), count(digest) FROM audit") == [(10, 5)]


def test_a_newer_schema_is_refused_with_the_mend(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 1)])
        w.tables["audit"].dt.alter.set_table_properties({"kubewitness.schema": "99"}, raise_if_not_exists=False)
    with pytest.raises(StateError, match="upgrade kubewitness"), Store(paths).session() as s:
        s.query("SELECT 1")
