"""`import` as a whole: into the store, through another's journal, twice, stopped, and on real captures."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kubewitness.cli import main
from kubewitness.config.state import StatePaths, state_paths
from kubewitness.errors import StateError
from kubewitness.inputs.importer import Importer, Summary
from kubewitness.inputs.importer.files import Source, find
from kubewitness.inputs.importer.run import Progress
from kubewitness.journal import Journal
from kubewitness.store import Store, StoreWriter
from tests.formats.records import audit_event, core_event, dumps, pod, review

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"REAL CAPTURES ARE MISSING: no folder {SAMPLES.name} beside the repository"
)


def audit_file(path: Path, count: int, prefix: str = "a") -> Path:
    path.write_bytes(b"".join(dumps(audit_event(f"{prefix}-{i}")) + b"\n" for i in range(count)))
    return path


def load(state: Path, *paths: Path, **options: Any) -> Summary:
    return Importer(state_paths(str(state)), **options).run(find([str(path) for path in paths]))


def ask(state: Path, query: str) -> list[tuple[Any, ...]]:
    with Store(state_paths(str(state))).session() as session:
        return session.query(query)


def test_what_is_imported_can_be_queried_with_its_original_bytes(tmp_path: Path) -> None:
    records = [audit_event(), core_event(), pod(), review("CREATE")]
    (tmp_path / "mix.jsonl").write_bytes(b"\n".join(map(dumps, records)))
    summary = load(tmp_path / "state", tmp_path / "mix.jsonl", cluster="c1")
    assert (summary.read, summary.stored, summary.duplicates, summary.rejected) == (4, 4, 0, 0)
    for table, record in zip(("audit", "events", "objects", "admission"), records, strict=True):
        with Store(state_paths(str(tmp_path / "state"))).session() as session:
            (row,) = session.query(f"SELECT raw_seg, raw_frame, raw_off, raw_len FROM {table} WHERE cluster = 'c1'")
            assert session.raw([(row[0], row[1], row[2], row[3])]) == [dumps(record)]


def test_importing_twice_stores_nothing_twice_also_compressed_and_renamed(tmp_path: Path) -> None:
    first = audit_file(tmp_path / "audit.log", 500)
    with first.open("ab") as file:
        file.write(b"not json\n" + dumps({"type": "ADDED", "object": core_event()}) + b"\n")
    copy = tmp_path / "copy.gz"
    copy.write_bytes(gzip.compress(first.read_bytes()))
    os.utime(copy, (first.stat().st_mtime,) * 2)
    state = tmp_path / "state"
    assert load(state, first).stored == 501
    again = load(state, first, copy)
    assert (again.read, again.stored, again.duplicates, again.rejected) == (1004, 0, 1002, 2)
    assert ask(state, "SELECT (SELECT count(*) FROM audit), (SELECT count(*) FROM events)") == [(500, 1)]
    assert ask(state, "SELECT count(*) FROM rejects") == [(1,)]


def test_a_reject_keeps_file_offset_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(dumps(audit_event()) + b"\nnot json\n")
    load(tmp_path / "state", path)
    ((file, offset, reason),) = ask(tmp_path / "state", 'SELECT file, "offset", reason FROM rejects')
    assert (file, offset) == (str(path), len(dumps(audit_event())) + 1)
    assert "not a JSON object" in reason


def test_a_damaged_file_gives_what_can_be_read_and_the_others_are_read_too(tmp_path: Path) -> None:
    good = audit_file(tmp_path / "good.log", 10)
    bad = tmp_path / "bad.gz"
    bad.write_bytes(gzip.compress(audit_file(tmp_path / "x", 5000, "b").read_bytes())[:-2000])
    summary = load(tmp_path / "state", bad, good)
    assert summary.failed[0][0] == str(bad)
    assert "ends early" in summary.failed[0][1]
    assert 1000 < summary.stored < 5010


def test_a_record_of_another_kind_than_asked_for_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "mix"
    path.write_bytes(dumps(audit_event()) + b"\n" + dumps(core_event()))
    summary = load(tmp_path / "state", path, form="events")
    assert (summary.stored, summary.rejected) == (1, 1)


def test_many_small_batches_count_as_one_import(tmp_path: Path) -> None:
    summary = load(tmp_path / "state", audit_file(tmp_path / "a", 3000), batch_bytes=300_000)
    assert (summary.read, summary.stored) == (3000, 3000)
    assert ask(tmp_path / "state", "SELECT count(*) FROM audit") == [(3000,)]


class _Stop(Progress):
    """Asks the import to stop once it has seen some records."""

    importer: Importer

    def advance(self, stored_bytes: int, records: int) -> None:
        if records > 2000:
            self.importer.stop()


def test_a_stopped_import_goes_on_where_it_was_when_it_is_started_again(tmp_path: Path) -> None:
    path = audit_file(tmp_path / "a", 6000)
    progress = _Stop()
    progress.importer = Importer(state_paths(str(tmp_path / "state")), progress=progress, batch_bytes=500_000)
    first = progress.importer.run(find([str(path)]))
    assert first.interrupted
    assert 0 < first.stored < 6000
    second = load(tmp_path / "state", path)
    assert (second.stored, second.duplicates) == (6000 - first.stored, first.stored)


class _Listener(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def _drain(paths: StatePaths, writer: StoreWriter, done: threading.Event) -> None:
    with Journal(paths.journal) as journal:
        while not done.wait(0.05):
            writer.drain(journal)


def test_beside_a_recorder_the_import_goes_through_its_journal(tmp_path: Path) -> None:
    paths = state_paths(str(tmp_path / "state"))
    listener = _Listener()
    ready, done = threading.Event(), threading.Event()

    def record() -> None:
        with StoreWriter.acquire(paths) as writer:
            ready.set()
            _drain(paths, writer, done)

    recorder = threading.Thread(target=record)
    recorder.start()
    try:
        assert ready.wait(10)
        source = audit_file(tmp_path / "a", 2000)
        first = load(tmp_path / "state", source, progress=listener)
        second = load(tmp_path / "state", source, progress=listener)
    finally:
        done.set()
        recorder.join()
    assert (first.stored, second.stored, second.duplicates) == (2000, 0, 2000)
    assert ask(tmp_path / "state", "SELECT count(*) FROM audit") == [(2000,)]
    assert "another process records" in listener.said[0]


def test_when_the_recorder_goes_away_the_import_brings_the_journal_in_itself(tmp_path: Path) -> None:
    paths = state_paths(str(tmp_path / "state"))
    ready, away = threading.Event(), threading.Event()

    def record() -> None:
        with StoreWriter.acquire(paths):
            ready.set()
            away.wait(10)

    class Leaves(Progress):
        def say(self, text: str) -> None:
            if "everything is in the journal" in text:
                away.set()

    recorder = threading.Thread(target=record)
    recorder.start()
    assert ready.wait(10)
    try:
        load(tmp_path / "state", audit_file(tmp_path / "a", 100), progress=Leaves())
    finally:
        away.set()
        recorder.join()
    with Journal(paths.journal) as journal:
        assert journal.frames(0) == []
    assert ask(tmp_path / "state", "SELECT count(*) FROM audit") == [(100,)]


def test_a_state_that_cannot_be_used_is_an_error_and_not_a_journal(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a directory")
    with pytest.raises(StateError):
        load(tmp_path / "state", audit_file(tmp_path / "a", 1))


def test_the_command_prints_the_promised_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = audit_file(tmp_path / "a", 3)
    assert main(["import", str(path), "--state", str(tmp_path / "state"), "-o", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {k: answer[k] for k in ("read", "stored", "duplicates", "rejected", "bytes", "sources")} == {
        "read": 3,
        "stored": 3,
        "duplicates": 0,
        "rejected": 0,
        "bytes": path.stat().st_size,
        "sources": {"audit": 3},
    }
    assert answer["seconds"] > 0


def test_a_missing_file_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(tmp_path / "none"), "--state", str(tmp_path / "state")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_standard_input_and_ctrl_c(tmp_path: Path) -> None:
    command: Sequence[str] = [sys.executable, "-m", "kubewitness", "import", "-", "--state", str(tmp_path / "state")]
    child = subprocess.Popen([*command, "-o", "json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    for i in range(4000):
        child.stdin.write(dumps(audit_event(f"a-{i}")) + b"\n")
    child.stdin.flush()
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=30)
    answer = json.loads(out)
    assert (child.returncode, answer["interrupted"]) == (130, True)
    assert ask(tmp_path / "state", "SELECT count(*) FROM audit") == [(answer["stored"],)]


def _rejected(summary: Summary, state: Path) -> list[tuple[str, str]]:
    return [(Path(file).name, reason) for file, reason in ask(state, "SELECT file, reason FROM rejects ORDER BY file")]


@needs_samples
@pytest.mark.parametrize("folder", ["admission", "audit-small", "k3s-1.36/_webhook"])
def test_real_captures_import_without_a_reject(tmp_path: Path, folder: str) -> None:
    summary = load(tmp_path / "state", SAMPLES / folder)
    assert _rejected(summary, tmp_path / "state") == []
    assert summary.stored == summary.read > 0
    again = load(tmp_path / "state", SAMPLES / folder)
    assert (again.stored, again.duplicates) == (0, summary.read)


@needs_samples
def test_every_reject_of_the_paired_captures_is_explained(tmp_path: Path) -> None:
    summary = load(tmp_path / "state", SAMPLES / "k3s-1.36")
    explained = {
        "watch.error.yaml": "the watch ended with an error",
        "conversion.to-v1.yaml": "a ConversionReview is no record",
        "conversion.to-v2.yaml": "a ConversionReview is no record",
    }
    rejected = _rejected(summary, tmp_path / "state")
    assert len(rejected) == len(explained)
    assert all(explained[name] in reason for name, reason in rejected)
    assert summary.stored + summary.duplicates + summary.rejected == summary.read


@needs_samples
def test_no_secret_of_the_captures_reaches_the_state(tmp_path: Path) -> None:
    load(tmp_path / "state", SAMPLES / "k3s-1.36" / "_webhook")
    with Store(state_paths(str(tmp_path / "state"))).session() as session:
        refs = session.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM audit")
        raw = session.raw([(r[0], r[1], r[2], r[3]) for r in refs])
    assert len(raw) == 11
    assert not any(b"never-commit-this" in record for record in raw)


def test_sources_may_be_given_by_hand(tmp_path: Path) -> None:
    path = audit_file(tmp_path / "a", 2)
    assert Importer(state_paths(str(tmp_path / "state"))).run([Source("named", path, 0)]).stored == 2
