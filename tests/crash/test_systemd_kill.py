"""`kubewitness run` with input `systemd` killed at random moments, while the journal is written, rotated and vacuumed.

On real journal files where systemd is installed (tests/journald.py). In the end the store has each entry once.
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
from tests.faults import Fault
from tests.journald import Journald

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "8"))

PIPELINE = """\
service:
  flush: 0.05
pipeline:
  inputs:
    - name: systemd
      path: {journal}
      journalctl: {journalctl}
      tag: host.*
      systemd_filter: _SYSTEMD_UNIT=kubelet.service
  outputs:
    - name: store
      match: host.*
      state: {place}/state
      flush_seconds: 2
"""


def stored(place: Path) -> Counter[str]:
    if not (place / "state" / "journal.db").exists():
        return Counter()
    store = Store(state_paths(str(place / "state")))
    try:
        with store.session() as session:
            return Counter(str(row[0]) for row in session.query("select message from logs"))
    finally:
        store.close()


def test_no_entry_is_lost_and_none_is_stored_twice(tmp_path: Path, fault: Fault) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    rng = random.Random(seed)
    journal = Journald(tmp_path / "journal")
    print(f"seed {seed}, {'journalctl' if journal.is_real else 'a program in the place of journalctl'}")
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(
        PIPELINE.format(place=tmp_path, journal=journal.directory, journalctl=journal.journalctl), encoding="utf-8"
    )
    command = [sys.executable, "-m", "kubewitness", "run", "-c", str(pipeline), "--state", str(tmp_path / "own")]
    said: list[str] = []

    def write() -> None:
        texts = [f"e{len(said) + n}" for n in range(rng.randint(1, 40))]
        said.extend(texts)
        journal.add(*([("_SYSTEMD_UNIT", "kubelet.service"), ("MESSAGE", text)] for text in texts))

    def wait_for_all() -> None:
        deadline = time.monotonic() + 60
        while sum(stored(tmp_path).values()) < len(said):
            assert time.monotonic() < deadline, (tmp_path / "run.log").read_text()[-3000:]
            time.sleep(0.3)

    log = (tmp_path / "run.log").open("ab")
    process = subprocess.Popen(command, stderr=log)
    try:
        for kill in range(KILLS):
            until = time.monotonic() + rng.uniform(0.5, 2.5)
            while time.monotonic() < until:
                write()
                if rng.random() < 0.1:
                    journal.rotate()
                time.sleep(rng.uniform(0, 0.1))
            if kill % 3 == 2:  # what journald deletes must have been read; then the cursor's own entry goes, too
                wait_for_all()
                journal.rotate()
                journal.vacuum()
            process.send_signal(signal.SIGKILL)
            process.wait()
            write()
            process = subprocess.Popen(command, stderr=log)
        wait_for_all()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "run.log").read_text()[-3000:]
    finally:
        process.kill()
        process.wait()
        log.close()
    kept = stored(tmp_path)
    print(f"{KILLS} kills, {len(said)} entries")
    assert kept == Counter(said)
    fault("reader of the systemd journal killed -9, journal rotated and vacuumed meanwhile", said=said,
          kept=list(kept.elements()), on="file system")  # fmt: skip
