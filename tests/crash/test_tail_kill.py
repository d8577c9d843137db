"""`kubewitness run` with input `tail` killed at random moments, while containers write and the kubelet rotates.

Containers write lines whole and in parts, on both streams; their files are rotated, compressed and removed. In the end
the store has each line once.
"""

from __future__ import annotations

import gzip
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
from tests.faults import Fault

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "12"))
CONTAINERS = 4

PIPELINE = """\
service:
  flush: 0.05
pipeline:
  inputs:
    - name: tail
      path: {place}/containers/*.log
      tag: kube.*
      multiline.parser: cri
      read_from_head: on
      rotate_wait: 1
  outputs:
    - name: store
      match: kube.*
      state: {place}/state
      flush_seconds: 2
"""


class Container:
    """Writes as containerd does; `written` are its whole lines."""

    def __init__(self, root: Path, name: str, rng: random.Random) -> None:
        self.name = name
        self.rng = rng
        self.log = root / "pods" / f"shop_{name}_0a1b2c3d-0000-4000-8000-00000000000{name[-1]}" / "app" / "0.log"
        self.log.parent.mkdir(parents=True)
        self.log.touch()
        (root / "containers" / f"{name}_shop_app-{name[-1] * 64}.log").symlink_to(self.log)
        self.written: list[str] = []
        self._rotations = 0

    def write(self) -> None:
        """Some lines; some of them in parts with the other stream's in between, some torn in the middle of a write."""
        out = ""
        for _ in range(self.rng.randint(1, 60)):
            text = f"{self.name}-{len(self.written):06d}-{'x' * self.rng.randrange(200)}"
            self.written.append(text)
            stamp = f"2026-11-22T21:25:09.{len(self.written):09d}Z"
            if self.rng.random() < 0.1:
                middle = self.rng.randrange(1, len(text))
                out += f"{stamp} stdout P {text[:middle]}\n"
                other = f"{self.name}-{len(self.written):06d}-err"
                self.written.append(other)
                out += f"{stamp} stderr F {other}\n{stamp} stdout F {text[middle:]}\n"
            else:
                out += f"{stamp} stdout F {text}\n"
        torn = self.rng.randrange(len(out))
        with self.log.open("a") as file:
            file.write(out[:torn])
            file.flush()
            time.sleep(self.rng.choice((0, 0, 0.01)))
            file.write(out[torn:])

    def rotate(self) -> None:
        self._rotations += 1
        old = self.log.with_name(f"0.log.20261122-21{self._rotations:04d}")
        self.log.rename(old)
        self.log.touch()
        before = self.log.with_name(f"0.log.20261122-21{self._rotations - 1:04d}")
        if before.exists():
            packed = before.with_name(before.name + ".tmp")
            packed.write_bytes(gzip.compress(before.read_bytes()))
            packed.rename(before.with_name(before.name + ".gz"))
            before.unlink()


def stored(place: Path) -> list[tuple[str, ...]]:
    """(message, pod, namespace, pod_uid, container_id) of everything."""
    if not (place / "state" / "journal.db").exists():
        return []
    store = Store(state_paths(str(place / "state")))
    try:
        with store.session() as session:
            return list(session.query("select message, pod, namespace, pod_uid, container_id from logs"))
    finally:
        store.close()


def test_no_line_is_lost_and_none_is_stored_twice(tmp_path: Path, fault: Fault) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"seed {seed}")
    rng = random.Random(seed)
    (tmp_path / "containers").mkdir()
    containers = [Container(tmp_path, f"web-{i}", rng) for i in range(CONTAINERS)]
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(PIPELINE.format(place=tmp_path))
    command = [sys.executable, "-m", "kubewitness", "run", "-c", str(pipeline), "--state", str(tmp_path / "own")]
    log = (tmp_path / "run.log").open("ab")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, stderr=log)

    process = start()
    try:
        for _ in range(KILLS):
            until = time.monotonic() + rng.uniform(0.3, 2.5)
            while time.monotonic() < until:
                one = rng.choice(containers)
                one.write()
                if rng.random() < 0.02:
                    one.rotate()
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.wait()
            for one in containers:
                one.write()
            process = start()
        # What is written right before the end is in the store after it: a stop reads everything once more.
        deadline = time.monotonic() + 60
        while len(stored(tmp_path)) < sum(len(one.written) for one in containers):
            assert time.monotonic() < deadline, (tmp_path / "run.log").read_text()[-3000:]
            time.sleep(0.5)
        for one in containers:
            one.write()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (tmp_path / "run.log").read_text()[-3000:]
    finally:
        process.kill()
        process.wait()
        log.close()
    expected = sorted(text for one in containers for text in one.written)
    rows = stored(tmp_path)
    print(f"{KILLS} kills, {len(expected)} lines")
    assert sorted(str(row[0]) for row in rows) == expected
    kept = [str(row[0]) for row in rows]
    fault("agent killed -9, logs rotated and compressed meanwhile", said=expected, kept=kept, on="file system")
    assert {row[1:3] for row in rows} == {(one.name, "shop") for one in containers}
    assert all(row[3].endswith(row[1][-1]) and row[4] == row[1][-1] * 64 for row in rows)
