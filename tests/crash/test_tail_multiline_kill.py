"""`kubewitness run` with a multiline parser killed at random moments: each record is stored once, whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubewitness.config.state import state_paths
from kubewitness.store import Store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "8"))

PIPELINE = """\
[SERVICE]
    Flush 0.05

[MULTILINE_PARSER]
    Name          own
    Type          regex
    Flush_Timeout 60000
    Rule          "start_state" "/^ERROR/" "trace"
    Rule          "trace"       "/^  at /" "trace"

[INPUT]
    Name             tail
    Path             {place}/app.log
    Tag              app
    Multiline.Parser own
    Read_From_Head   on

[OUTPUT]
    Name          store
    Match         app
    State         {place}/state
    Flush_Seconds 2
"""


def stored(place: Path) -> list[str]:
    if not (place / "state" / "journal.db").exists():
        return []
    store = Store(state_paths(str(place / "state")))
    try:
        with store.session() as session:
            return [str(row[0]) for row in session.query("select message from logs")]
    finally:
        store.close()


def test_every_record_is_stored_once_and_whole(tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    rng = random.Random(seed)
    (tmp_path / "a.conf").write_text(PIPELINE.format(place=tmp_path))
    command = [
        sys.executable,
        "-m",
        "kubewitness",
        "run",
        "-c",
        str(tmp_path / "a.conf"),
        "--state",
        str(tmp_path / "s"),
    ]
    written: list[str] = []

    def write() -> None:
        """Records, single lines among them, torn anywhere: between two lines of a record, or within one."""
        for _ in range(rng.randint(1, 20)):
            lines = [f"ERROR {len(written):06d}", *(f"  at {i}" for i in range(rng.randrange(6)))]
            written.append("\n".join(lines) if rng.random() < 0.7 else f"info {len(written):06d}")
            text = written[-1] + "\n"
            torn = rng.randrange(len(text))
            with (tmp_path / "app.log").open("a") as file:
                file.write(text[:torn])
                file.flush()
                time.sleep(rng.choice((0, 0, 0.02)))
                file.write(text[torn:])

    process = subprocess.Popen(command)
    try:
        for _ in range(KILLS):
            until = time.monotonic() + rng.uniform(0.3, 2.5)
            while time.monotonic() < until:
                write()
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            write()
            process = subprocess.Popen(command)
        written.append("info the end")  # which tells that the record before it is whole
        with (tmp_path / "app.log").open("a") as file:
            file.write(written[-1] + "\n")
        deadline = time.monotonic() + 60
        while len(stored(tmp_path)) < len(written):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    print(f"{KILLS} kills, {len(written)} records of {sum(text.count(chr(10)) + 1 for text in written)} lines")
    assert sorted(stored(tmp_path)) == sorted(written)
