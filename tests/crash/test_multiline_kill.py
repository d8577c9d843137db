"""`kubewitness run` with filter `multiline` killed at random moments, mostly amid a record of several lines.

What the filter held is in the journal beside the positions: in the end the store has each record once, whole.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from kubewitness.config.state import state_paths
from kubewitness.store import Store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "8"))

PIPELINE = """\
service:
  flush: 0.05
multiline_parsers:
  - name: trace
    type: regex
    rules:
      - {{state: start_state, regex: '/^ERROR /', next_state: cont}}
      - {{state: cont, regex: '/^ +at /', next_state: cont}}
pipeline:
  inputs:
    - {{name: tail, path: "{place}/*.log", tag: app, read_from_head: on}}
  filters:
    # the clock must not cut a record while nothing runs
    - {{name: multiline, match: app, multiline.parser: trace, multiline.key_content: log, flush_ms: 600000}}
  outputs:
    - {{name: store, match: app, state: "{place}/state", flush_seconds: 2}}
"""


class Application:
    """Writes records of one or several lines, a line at a time."""

    def __init__(self, place: Path, number: int, rng: random.Random) -> None:
        self.log = place / f"app-{number}.log"
        self.written: list[str] = []
        self._rng = rng
        self._number = number

    def write(self, lines: int) -> None:
        with self.log.open("a") as file:
            for _ in range(lines):
                file.write(self._line() + "\n")

    def _line(self) -> str:
        if self.written and self.written[-1].startswith("ERROR") and self._rng.random() < 0.85:
            line = f"    at frame {self.written[-1].count(chr(10))} of {self._rng.randrange(10**6)}"
            self.written[-1] += "\n" + line
            return line
        what = "ERROR" if self._rng.random() < 0.6 else "info"
        self.written.append(f"{what} {self._number}-{len(self.written)} {'x' * self._rng.randrange(80)}")
        return self.written[-1]


def stored(place: Path) -> list[str]:
    store = Store(state_paths(str(place / "state")))
    try:
        with store.session() as session:
            return [message for (message,) in session.query("select message from logs")]
    finally:
        store.close()


def test_every_record_is_stored_once_and_whole(tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    rng = random.Random(seed)
    applications = [Application(tmp_path, n, rng) for n in range(3)]
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(PIPELINE.format(place=tmp_path))
    command = [sys.executable, "-m", "kubewitness", "run", "-c", str(pipeline), "--state", str(tmp_path / "own")]
    with (tmp_path / "run.err").open("ab") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            for _ in range(KILLS):
                until = time.monotonic() + rng.uniform(0.5, 2.5)
                while time.monotonic() < until:
                    rng.choice(applications).write(rng.randint(1, 12))
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
                process.wait()
                for one in applications:
                    one.write(3)
                process = subprocess.Popen(command, stderr=log)
            # all but the three that may still go on must come by themselves; the end brings these
            wanted = sum(len(one.written) for one in applications)
            deadline = time.monotonic() + 60
            while not (tmp_path / "state" / "journal.db").exists() or len(stored(tmp_path)) < wanted - len(
                applications
            ):
                assert time.monotonic() < deadline, (tmp_path / "run.err").read_text()[-3000:]
                time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    expected = Counter(text for one in applications for text in one.written)
    print(f"{KILLS} kills, {len(expected)} records of {sum(text.count(chr(10)) + 1 for text in expected)} lines")
    assert Counter(stored(tmp_path)) == expected
