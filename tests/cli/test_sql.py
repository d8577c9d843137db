"""`kubewitness sql`, `status`, `doctor`, `compact`, `prune` as people and scripts call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubewitness.cli import main
from kubewitness.config import alive
from kubewitness.contracts import Batch
from kubewitness.journal import Journal
from kubewitness.record import chunk_of
from kubewitness.store import StoreWriter
from tests.store.states import DAY, audit_chunk, audit_line, audit_run, event, paths_in

NOW = time.time_ns() // 1000


@pytest.fixture
def state(tmp_path: Path) -> str:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 20, us=NOW - DAY // 24), chunk_of("events", [(event("u1", 1, 1, us=NOW), b"")])])
    return str(paths.root)


def test_sql_prints_text_json_lines_and_csv(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = "SELECT source, count(*) AS n FROM activity GROUP BY 1 ORDER BY 1"
    assert main(["sql", "--state", state, query]) == 0
    assert capsys.readouterr().out.split() == ["source", "n", "------", "--", "audit", "20", "event", "1"]
    assert main(["sql", "--state", state, query, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"source": "audit", "n": 20}, {"source": "event", "n": 1}]
    assert main(["sql", "--state", state, query, "-o", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[1]) == {"source": "event", "n": 1}
    assert main(["sql", "--state", state, query, "-o", "csv"]) == 0
    assert capsys.readouterr().out == "source,n\naudit,20\nevent,1\n"


def test_sql_says_what_is_wrong_in_one_line(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--state", state, "DELETE FROM audit"]) == 2
    assert capsys.readouterr().err == "kubewitness sql: SQL: only SELECT and EXPLAIN are allowed, not DELETE\n"
    assert main(["sql", "--state", state, "SELECT 1 WHERE false"]) == 1
    assert main(["sql", "--state", state + "/nothing", "SELECT 1"]) == 3
    assert main(["sql", "--state", state, "--limit", "0", "SELECT 1"]) == 2


def test_sql_tells_when_there_is_more_than_the_limit(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--state", state, "--limit", "3", "-o", "jsonl", "SELECT ts, raw FROM audit ORDER BY ts"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(json.loads(line)["raw"])["verb"] for line in captured.out.splitlines()] == ["get"] * 3
    assert "only the first 3 rows" in captured.err


def test_control_characters_in_records_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_chunk([audit_line(1, user="\x1b[31mbob\x07\n")])])
    assert main(["sql", "--state", str(paths.root), 'SELECT "user" FROM audit']) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_ctrl_c_ends_a_long_query(state: str) -> None:
    query = "SELECT count(*) FROM range(100000000000) a, range(1000) b"  # days of work
    child = subprocess.Popen(
        [sys.executable, "-m", "kubewitness", "sql", "--state", state, "--timeout", "100000", query],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell that starts the suite in the background has it ignored, for all children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until_computing(child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 130, err
    assert out == b""
    assert b"Traceback" not in err


def wait_until_computing(child: subprocess.Popen[bytes]) -> None:
    """Until a second of CPU time was spent since the query engine was loaded."""
    proc = Path("/proc") / str(child.pid)
    while "duckdb" not in (proc / "maps").read_text():
        assert child.poll() is None
        time.sleep(0.05)
    ticks = os.sysconf("SC_CLK_TCK")

    def spent() -> float:
        return int((proc / "stat").read_text().rsplit(")", 1)[1].split()[11]) / ticks

    start = spent()
    while spent() < start + 1:
        assert child.poll() is None
        time.sleep(0.05)


def test_sql_works_while_another_process_writes(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(state)
    with StoreWriter.acquire(paths_in(root.parent)), Journal(root / "journal.db") as journal:
        journal.append([Batch([audit_run(100, 5, us=NOW)])])
        assert main(["sql", "--state", state, "SELECT count(*) AS n FROM audit", "-o", "jsonl"]) == 0
        assert json.loads(capsys.readouterr().out) == {"n": 25}
        assert main(["compact", "--state", state]) == 3
        assert "another process records into" in capsys.readouterr().err


def test_status_tells_rows_lag_and_who_records(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal(Path(state) / "journal.db") as journal:
        journal.append([Batch([audit_run(100, 5, us=NOW)])])
    assert main(["status", "--state", state, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tables"]["audit"]["rows"] == 20
    assert found["tables"]["audit"]["waiting"]["records"] == 5
    assert found["recorder"]["alive"] is False
    assert found["disk"]["free_bytes"] > 0
    with StoreWriter.acquire(paths_in(Path(state).parent)):
        assert main(["status", "--state", state]) == 0
    out = capsys.readouterr().out
    assert f"recording (process {os.getpid()})" in out
    assert "5 records not in the tables yet" in out


def test_status_shows_the_inputs_of_recorders_that_live(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    watch = {"state": "failing", "last_event_us": 0}
    source = {**watch, "dead_since_us": NOW, "last_error": "refused", "missing_rights": ["list events"]}
    alive.publish(Path(state), {"inputs": {"kubernetes_events/default": {**source, "watch": {"events": watch}}}})
    assert main(["status", "--state", state]) == 0
    out = capsys.readouterr().out
    assert "kubernetes_events/default: failing, nothing since" in out
    assert "not allowed to list events" in out
    os.utime(Path(state) / "recorders" / f"{os.getpid()}.json", (1, 1))  # of one that ended without saying so
    assert main(["status", "--state", state, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == []


def test_doctor_finds_what_is_wrong_and_says_how_to_mend_it(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--state", state]) == 0
    Path(state).chmod(0o755)
    with StoreWriter.acquire(paths_in(Path(state).parent)) as w:
        w.commit([audit_chunk([b"{broken"])])
    with Journal(Path(state) / "journal.db") as journal:
        late = audit_run(100, 5, us=NOW)
        late.received_us = NOW - 3_600_000_000
        journal.append([Batch([late])])
    capsys.readouterr()
    assert main(["doctor", "--state", state, "-o", "json"]) == 0
    found = {f["check"]: f for f in json.loads(capsys.readouterr().out)}
    for check in ("permissions", "rejects", "lag"):
        assert found[check]["level"] == "warning", check
        assert found[check]["mend"]
    assert found["audit"]["level"] == "ok"


def test_prune_needs_to_be_told_what_to_keep_and_frees_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = paths_in(tmp_path)
    with StoreWriter.acquire(paths) as w:
        w.commit([audit_run(0, 10, us=NOW - 60 * DAY), audit_run(0, 10, us=NOW)])
    state = str(paths.root)
    assert main(["prune", "--state", state]) == 2
    assert main(["prune", "--state", state, "--max-age", "soon"]) == 2
    capsys.readouterr()
    assert main(["prune", "--state", state, "--max-age", "30d", "--grace", "0s", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["days"], found["records"]) == (1, 10)
    assert found["freed"] > 0
    assert main(["compact", "--state", state, "--all-days", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["sorted_days"] == 1
