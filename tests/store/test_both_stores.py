"""The store keeps the same promises on a disk and on an object store."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.contracts import Batch
from kubewitness.errors import StateError, UsageError
from kubewitness.journal import Journal
from kubewitness.record import chunk_of
from kubewitness.store import Store, StoreWriter
from kubewitness.store.places import listed, store_directory
from kubewitness.store.reuse import FLAG
from kubewitness.store.sandbox import run_sql
from tests.object_store import ObjectStore
from tests.store.states import DAY, T0, audit_chunk, audit_line, audit_run, event

_POINTERS = "SELECT raw_seg, raw_frame, raw_off, raw_len FROM {} ORDER BY ts"


def test_what_was_recorded_is_there_once_with_its_bytes_committed_or_not(paths: StatePaths) -> None:
    lines = [audit_line(n) for n in range(300)]
    with Journal(paths.journal) as journal, StoreWriter.acquire(paths) as w:
        journal.append([Batch([audit_chunk(lines[:200])])])
        assert w.drain(journal).stored == 200
        assert w.commit([audit_chunk(lines[100:200])]).duplicates == 100
        journal.append([Batch([audit_chunk(lines[200:])]), Batch([chunk_of("audit", [(b"{broken", b"")])])])
        store = Store(paths)
        with store.session() as s:
            assert s.query("SELECT count(*), count(DISTINCT record_key) FROM audit") == [(300, 300)]
            assert s.raw(s.query(_POINTERS.format("audit"))) == lines
        assert w.drain(journal).rejected == 1
        with store.session() as s:
            assert s.raw(s.query(_POINTERS.format("audit"))) == lines
            assert s.raw(s.query(_POINTERS.format("rejects"))) == [b"{broken"]
        store.close()
    with StoreWriter.acquire(paths) as w:
        assert w.commit([audit_chunk(lines)]).duplicates == 300


def test_small_files_are_merged_sorted_and_deleted_after_their_grace(paths: StatePaths) -> None:
    with StoreWriter.acquire(paths) as w:
        for i in range(12):
            w.commit([audit_run(i * 20, 20)])
        store = Store(paths)
        with store.session() as s:
            s.query("SELECT count(*) FROM audit")
            assert w.compact().removed == 12
            assert w.compact(all_days=True).sorted_days == 1
            now = time.time()
            w._upkeep.vacuum(now=now)
            assert len(_parquet(paths)) == 14
            assert w._upkeep.vacuum(now=now + 601) > 0
            assert len(_parquet(paths)) == 1
            # the session stood on files that are gone: it starts afresh
            assert s.query("SELECT count(*), sum(length(verb)) FROM audit") == [(240, 720)]
        with store.session() as s:
            assert len(s.raw(s.query(_POINTERS.format("audit")))) == 240
        store.close()


def test_days_that_are_pruned_give_their_space_back_and_the_others_stay_whole(paths: StatePaths) -> None:
    now = time.time()
    with StoreWriter.acquire(paths) as w:
        w.segments._limit = 1
        for day in (5, 0):
            w.commit([audit_run(0, 50, us=int(now * 1e6) - day * DAY)])
        result = w._upkeep.prune(max_age=3 * 86_400, now=now)
        assert (result.days, result.records) == (1, 50)
        w._upkeep.vacuum(now=now + 700)
        assert len(_parquet(paths)) == 1
    with Store(paths).session() as s:
        assert len(s.raw(s.query(_POINTERS.format("audit")))) == 50


def test_what_a_writer_left_behind_before_its_commit_is_removed_after_a_grace(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(paths.journal) as journal:
        with StoreWriter.acquire(paths) as w:
            w.commit([audit_run(0, 5)])
        journal.append([Batch([audit_run(5, 5)])])
        with StoreWriter.acquire(paths) as w, monkeypatch.context() as patched:

            def fail(*args: object) -> None:
                raise StateError("killed here")

            patched.setattr(w.tables["audit"], "append", fail)
            with pytest.raises(StateError, match="killed here"):
                w.drain(journal)
        with StoreWriter.acquire(paths) as w:
            w.drain(journal)
            now = time.time()
            w._upkeep.vacuum(now=now)
            w._upkeep.vacuum(now=now + 700)
            with Store(paths).session() as s:
                used = {n for (n,) in s.query("SELECT DISTINCT raw_seg FROM audit")}
                assert len(s.raw(s.query(_POINTERS.format("audit")))) == 10
            left = {int(f.name.removesuffix(".zst")) for f in listed(store_directory(paths) / "raw", ".zst")}
            assert left == used


def test_sql_of_users_reads_the_tables_and_their_original_bytes_and_nothing_else(paths: StatePaths) -> None:
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 5)])
    store = Store(paths)
    found = run_sql(store, "SELECT audit_id, raw FROM audit ORDER BY ts LIMIT 1").rows
    assert found == [("00000000-0000-0000-0000-000000000000", audit_line(0).decode())]
    secret = f"{store_directory(paths)}/upkeep.json"
    for query in (f"SELECT * FROM read_text('{secret}')", f"SELECT * FROM '{secret}'"):
        with pytest.raises(UsageError):
            run_sql(store, query)
    store.close()


def test_the_commands_answer_from_it(paths: StatePaths, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"\n".join([audit_line(1, verb="create"), audit_line(2, verb="delete", user="bob")]) + b"\n")
    found = json.loads(_kubewitness(paths, "import", str(log), "-o", "json"))
    assert (found["stored"], found["duplicates"]) == (2, 0)
    who = json.loads(_kubewitness(paths, "who", "deleted", "pod/web-1", "-n", "shop", "-o", "json"))
    assert who["actor"]["user"] == "bob"
    assert len(json.loads(_kubewitness(paths, "timeline", "pod/web-1", "-n", "shop", "-o", "json"))) == 2
    assert json.loads(_kubewitness(paths, "sql", "select count(*) as n from audit", "-o", "json"))[0]["n"] == 2
    assert json.loads(_kubewitness(paths, "status", "-o", "json"))["tables"]["audit"]["rows"] == 2
    assert "error" not in {f["level"] for f in json.loads(_kubewitness(paths, "doctor", "-o", "json"))}
    assert json.loads(_kubewitness(paths, "compact", "--all-days", "-o", "json"))["sorted_days"] >= 1
    assert json.loads(_kubewitness(paths, "prune", "--max-age", "9000d", "-o", "json"))["days"] == 0


def test_a_reused_audit_id_is_flagged_by_a_recorder_that_begins_without_what_was_remembered(
    paths: StatePaths, tmp_path: Path
) -> None:
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_chunk([audit_line(1, audit_id="mine", received=T0)])])
    elsewhere = StatePaths(tmp_path / "elsewhere", paths.store_uri)
    with StoreWriter.acquire(elsewhere) as w:
        w.commit([audit_chunk([audit_line(9, audit_id="mine", received=T0 + 1)])])
    with Store(elsewhere).session() as s:
        assert s.query(f"SELECT count(*) FROM audit WHERE flags LIKE '%{FLAG}%'") == [(1,)]


def test_an_events_count_grows_by_what_another_writer_has_not_stored(paths: StatePaths, tmp_path: Path) -> None:
    other = StatePaths(tmp_path / "other", paths.store_uri)
    with StoreWriter.acquire(paths) as mine, StoreWriter.acquire(other) as theirs:
        mine.commit([chunk_of("events", [(event("u", 1, 1), b"")])])
        theirs.commit([chunk_of("events", [(event("u", 2, 5), b"")])])
        mine.commit([chunk_of("events", [(event("u", 3, 7), b"")])])
    with Store(paths).session() as s:
        assert s.query("SELECT count, count_delta FROM events ORDER BY count") == [(1, 1), (5, 4), (7, 2)]


@pytest.mark.s3
def test_a_store_that_cannot_be_reached_or_used_is_an_error_without_the_credentials(
    tmp_path: Path, objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "credentials"
    wrong.write_text("[default]\naws_access_key_id = kw-access\naws_secret_access_key = wrong-secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(wrong))
    with pytest.raises(StateError) as refused:
        StoreWriter.acquire(StatePaths(tmp_path / "state", objects.uri("refused")))
    assert "wrong-secret" not in str(refused.value)
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        StoreWriter.acquire(StatePaths(tmp_path / "state", "gs://bucket/prefix"))


def _parquet(paths: StatePaths) -> list[str]:
    return [f.name for f in listed(store_directory(paths) / "audit", ".parquet") if f.name.startswith("day=")]


def _kubewitness(paths: StatePaths, *words: str) -> str:
    command = [sys.executable, "-m", "kubewitness", *words, "--state", str(paths.root), "--store", paths.store_uri]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout
