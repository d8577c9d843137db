"""Processes that use the journal are killed at random moments; nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubewitness.journal import Journal
from tests.crash.journal_child import record
from tests.journal.helpers import contents

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
KILLS_ALONE = 40
KILLS_TOGETHER = 20


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    return random.Random(seed)


def start(*args: object) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen([sys.executable, "-m", "tests.crash.journal_child", *map(str, args)], cwd=ROOT, env=env)


def acked(directory: Path, name: str) -> int:
    """The last position whose append returned. A line that the kill cut short does not count."""
    path = directory / f"{name}.acked"
    text = path.read_text() if path.exists() else ""
    lines = text[: text.rfind("\n") + 1].split()
    return int(lines[-1]) if lines else 0


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def await_growth(path: Path, before: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until a child has left a trace of its work since it was started."""
    deadline = time.monotonic() + 30
    while size_of(path) <= before:
        assert process.poll() is None, "the child ended by itself"
        assert time.monotonic() < deadline, f"{path.name} does not grow"
        time.sleep(0.002)


def kill_after(processes: Sequence[subprocess.Popen[bytes]], directory: Path, name: str, seconds: float) -> None:
    """Waits until the process has appended something since it was started, then some time, then kills it."""
    (process,) = processes
    before = acked(directory, name)
    deadline = time.monotonic() + 20
    while acked(directory, name) == before:
        assert process.poll() is None, "the child ended by itself"
        assert time.monotonic() < deadline, "the child appended nothing"
        time.sleep(0.002)
    time.sleep(seconds)
    assert process.poll() is None, "the child ended by itself"
    process.kill()
    process.wait()


def test_every_acknowledged_record_is_there_exactly_once_after_each_kill(tmp_path: Path, rng: random.Random) -> None:
    checked = 0
    for kill in range(KILLS_ALONE):
        child = start("producer", tmp_path, "one", rng.randrange(1 << 32))
        kill_after([child], tmp_path, "one", rng.uniform(0, 0.08))
        with Journal(tmp_path / "journal.db") as journal:
            assert journal.was_unclean
            assert journal.stats().quarantined == 0
            position = int(journal.position("one") or b"0")
            assert position >= acked(tmp_path, "one")
            got = list(contents(journal))
        assert got == [record("one", n) for n in range(position)], f"after kill {kill + 1}"
        checked = position
    print(f"{KILLS_ALONE} kills, {checked} records: none lost, none twice")


def test_two_producers_and_a_drainer_lose_and_repeat_nothing(tmp_path: Path, rng: random.Random) -> None:
    roles = [("bounded", "left"), ("bounded", "right"), ("drainer", "")]
    traces = {name: tmp_path / (f"{name}.acked" if name else "delivered") for _, name in roles}
    before = dict.fromkeys(traces, 0)
    children = {name: start(role, tmp_path, *([name, 1] if name else [])) for role, name in roles}
    try:
        for _ in range(KILLS_TOGETHER):
            role, name = rng.choice(roles)
            await_growth(traces[name], before[name], children[name])
            time.sleep(rng.uniform(0, 0.3))
            assert children[name].poll() is None, f"{role} {name} ended by itself"
            children[name].kill()
            children[name].wait()
            before[name] = size_of(traces[name])
            children[name] = start(role, tmp_path, *([name, rng.randrange(1 << 32)] if name else []))
        for name, child in children.items():
            await_growth(traces[name], before[name], child)
    finally:
        for child in children.values():
            child.kill()
            child.wait()
    with Journal(tmp_path / "journal.db") as journal:
        positions = {name: int(journal.position(name) or b"0") for name in ("left", "right")}
        held = {d.seq: list(d.chunk.records()) for d in journal.deliveries(0, max_bytes=None)}
        cursor = journal.cursor("out")
        stats = journal.stats()
    text = (tmp_path / "delivered").read_bytes()
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    by_seq: dict[int, list[bytes]] = {}
    for line in lines:
        seq, _, body = line.partition(b" ")
        by_seq.setdefault(int(seq), []).append(body)
    # What was delivered and not yet noted is delivered again after a kill, as the same sequence with the same records.
    repeated = {seq for seq, bodies in by_seq.items() if len(bodies) != len(set(bodies))}
    everything = {seq: tuple(dict.fromkeys(bodies)) for seq, bodies in by_seq.items()} | {
        seq: tuple(bodies) for seq, bodies in held.items() if seq > cursor
    }
    records = [body for bodies in everything.values() for body in bodies]
    for name, position in positions.items():
        assert position >= acked(tmp_path, name) > 0
        mine = [r for r in records if r.startswith(b'{"from":"%s"' % name.encode())]
        assert sorted(mine) == sorted(record(name, n) for n in range(position))
    assert sorted(everything) == list(range(1, stats.last_seq + 1))
    assert cursor > 0
    print(
        f"{KILLS_TOGETHER} kills, {len(records)} records in {stats.last_seq} chunks, "
        f"{stats.duplicates} repeats dropped, {len(repeated)} deliveries repeated: none lost, none twice"
    )
