"""`kubewitness record` killed at random moments, while a sender posts batches and a writer fills the audit file.

The sender retries as the API server does: every error, five times, growing waits (shorter here), then the batch is
dropped; the writer rotates. In the end the store has each record of the file once, and each acknowledged batch.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from kubewitness.config.state import state_paths
from kubewitness.store import Store
from tests.faults import Fault

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("KUBEWITNESS_KILLS", "12"))
STAGES = ("RequestReceived", "ResponseComplete")


def audit_event(n: int, stage: str, source: str) -> dict[str, object]:
    moment = f"2026-11-22T10:{n // 6000 % 60:02d}:{n // 100 % 60:02d}.{n % 100:02d}0000Z"
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"{source}-{n:07d}",
        "stage": stage,
        "requestURI": f"/api/v1/namespaces/shop/pods/p{n % 50}",
        "verb": "get",
        "user": {"username": "alice", "groups": ["ops"]},
        "sourceIPs": ["10.0.0.7"],
        "objectRef": {"resource": "pods", "namespace": "shop", "name": f"p{n % 50}", "apiVersion": "v1"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": moment,
        "stageTimestamp": moment,
    }


class Load:
    """What was written and sent: (auditID, stage) of each."""

    def __init__(self, folder: Path, port: int, rng: random.Random) -> None:
        self.log = folder / "audit.log"
        self.url = f"http://127.0.0.1:{port}/audit"
        self.rng = rng
        self.written: set[tuple[str, str]] = set()
        self.acknowledged: set[tuple[str, str]] = set()
        self.retried = 0
        self.stop = asyncio.Event()
        self._n = 0
        self._rotations = 0

    def begin(self) -> None:
        self.log.write_text(json.dumps(audit_event(0, "Panic", "first")) + "\n")
        self.written.add(("first-0000000", "Panic"))

    async def write(self) -> None:
        """Both: into the file, and now and then the same into the webhook's queue, as one server does."""
        while not self.stop.is_set():
            events = []
            for _ in range(self.rng.randint(1, 40)):
                events += [audit_event(self._n, stage, "r") for stage in STAGES]
                self._n += 1
            with self.log.open("a") as f:
                f.write("".join(json.dumps(e) + "\n" for e in events))
            self.written |= {(str(e["auditID"]), str(e["stage"])) for e in events}
            if self.rng.random() < 0.05:
                self._rotations += 1
                self.log.rename(self.log.with_name(f"audit-2026-11-22T10-00-{self._rotations:05d}.000.log"))
            await asyncio.sleep(0.005)

    async def send(self, session: aiohttp.ClientSession, name: str) -> None:
        n = 0
        while not self.stop.is_set():
            events = [audit_event(n + i // 2, STAGES[i % 2], name) for i in range(2 * self.rng.randint(1, 30))]
            n += len(events) // 2
            if await self._post(session, events):
                self.acknowledged |= {(str(e["auditID"]), str(e["stage"])) for e in events}
            await asyncio.sleep(0.01)

    async def _post(self, session: aiohttp.ClientSession, events: list[dict[str, object]]) -> bool:
        items = [{k: v for k, v in e.items() if k not in ("kind", "apiVersion")} for e in events]
        body = json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}).encode()
        for attempt in range(5):
            try:
                async with session.post(self.url, data=body, timeout=aiohttp.ClientTimeout(total=10)) as answer:
                    if answer.status == 200:
                        return True
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            self.retried += 1
            await asyncio.sleep(0.4 * 1.5**attempt)
        return False


async def start(state: Path, load: Load, port: int, log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kubewitness", "record", "--state", str(state), "--no-serve", "--no-events"),
            *("--audit-file", str(load.log), "--audit-listen", f"127.0.0.1:{port}", "--flush-seconds", "0.7"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=out,
        )


async def test_kill_9_of_the_recorder_loses_nothing_and_repeats_nothing(tmp_path: Path, fault: Fault) -> None:
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"\nrecorder kills: KUBEWITNESS_SEED={seed}, {KILLS} kills")
    rng = random.Random(seed)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state, messages = tmp_path / "state", tmp_path / "messages"
    load = Load(tmp_path, port, rng)
    async with aiohttp.ClientSession() as session:
        recorder = await start(state, load, port, messages)
        try:
            # What was rotated away before the file was first seen is left to `import`: the load begins after that.
            load.begin()
            await settled(state, load)
            work = [asyncio.create_task(load.write())]
            work += [asyncio.create_task(load.send(session, f"w{i}")) for i in range(3)]
            for _ in range(KILLS):
                await asyncio.sleep(rng.uniform(0.3, 2.5))
                assert recorder.returncode is None, f"ended by itself: {messages.read_text()}"
                recorder.send_signal(signal.SIGKILL)
                await recorder.wait()
                recorder = await start(state, load, port, messages)
            await asyncio.sleep(2)
            load.stop.set()
            await asyncio.gather(*work)
            await settled(state, load)
            recorder.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(recorder.wait(), 60) == 0, messages.read_text()
        finally:
            if recorder.returncode is None:
                recorder.kill()
    expected = load.written | load.acknowledged
    stored = rows(state)
    missing = expected - set(stored)
    print(f"{len(stored)} records, {len(expected)} expected, {load.retried} posts retried")
    assert not missing, f"{len(missing)} of {len(expected)} lost, e.g. {sorted(missing)[:3]}; {messages.read_text()}"
    assert len(stored) == len(set(stored)), f"{len(stored) - len(set(stored))} stored twice"
    kept = [key for key in stored if key in expected]
    fault("recorder killed -9, senders that retry and a file that rotates", said=expected, kept=kept, on="listener")


async def settled(state: Path, load: Load) -> None:
    """Until all that was written or acknowledged can be read, or for a minute: the caller compares."""
    until = time.monotonic() + 60
    while not (state / "journal.db").exists() and time.monotonic() < until:
        await asyncio.sleep(0.1)
    while time.monotonic() < until and not (load.written | load.acknowledged) <= set(rows(state)):
        await asyncio.sleep(0.5)


def rows(state: Path) -> list[tuple[str, str]]:
    with Store(state_paths(str(state))).session() as session:
        return [(str(a), str(b)) for a, b in session.query("SELECT audit_id, stage FROM audit")]
