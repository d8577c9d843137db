"""A process that drains the journal into the tables is killed at random moments: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.journal import Journal
from kubewitness.store import Store, StoreWriter
from tests.crash.store_child import REJECT_EVERY
from tests.object_store import object_store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
KILLS = 30
KILLS_S3 = 12


def test_a_drain_killed_at_any_moment_loses_nothing_and_stores_nothing_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    rng = random.Random(seed)
    root = tmp_path / "state"
    _kill_and_check(StatePaths(root, str(root / "store")), KILLS, rng, longest=1.0)


@pytest.mark.s3
@pytest.mark.timeout(600)
def test_a_drain_to_an_object_store_killed_at_any_moment_loses_nothing_and_stores_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    with object_store(tmp_path / "weed") as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        _kill_and_check(StatePaths(tmp_path / "state", server.uri("kill")), KILLS_S3, random.Random(seed), longest=4.0)


def _kill_and_check(paths: StatePaths, kills: int, rng: random.Random, *, longest: float) -> None:
    root = paths.root
    for _ in range(kills):
        _run_and_kill(paths, rng, longest)
        _check(paths, root)
    with Journal(paths.journal) as journal, StoreWriter.acquire(paths) as writer:
        writer.drain(journal)
        assert journal.stats().held.chunks == 0
    found = _check(paths, root)
    print(f"{kills} kills, {found} audit and Event records, each there once")


def _run_and_kill(paths: StatePaths, rng: random.Random, longest: float) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.crash.store_child",
            str(paths.root),
            str(rng.randrange(1 << 32)),
            paths.store_uri,
        ],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    time.sleep(rng.uniform(0.0, longest))
    assert child.poll() is None
    child.kill()
    child.wait()
    child.stdout.close()


def _check(paths: StatePaths, root: Path) -> int:
    """Every acknowledged record is there once, with its bytes; returns how many there are."""
    acked = int((root / "acked").read_text()) if (root / "acked").exists() else 0
    with Store(paths).session() as s:
        audit = s.query("SELECT audit_id, raw_seg, raw_frame, raw_off, raw_len FROM audit")
        events = s.query("SELECT uid, resource_version FROM events")
        rejects = s.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM rejects")
        numbers = sorted(int(row[0][-12:]) for row in audit)
        upto = len(events)  # one append may have been durable just before the kill
        assert upto >= acked
        assert numbers == [n for n in range(upto) if n % REJECT_EVERY]
        assert sorted(int(version) for _, version in events) == list(range(upto))
        broken = {int(raw.split()[1]) for raw in s.raw(rejects)}
        assert len(rejects) == len(broken)
        assert broken == set(range(0, upto, REJECT_EVERY))
        for (audit_id, *_), raw in zip(audit, s.raw([row[1:] for row in audit]), strict=True):
            assert audit_id.encode() in raw
    return len(audit) + len(events)
