"""A burst that the journal has no room for: back-pressure, then everything is stored, in little memory."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_record import recorder
from tests.cluster.harness.ports import free_port
from tests.crash.burst import Burst, Journals, Key, Sender, peak_mb, stored, tell, until
from tests.fake_apiserver import FakeApiServer
from tests.faults import Fault

_MB = 10**6
#: what one process may take, by design (10^6 bytes)
_MEMORY = 250

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

_EVENTS = "SELECT uid, resource_version FROM events"
_AUDIT = "SELECT audit_id, stage FROM audit"


def _status(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{address}/api/v1/status", timeout=30) as answer:
        status: dict[str, Any] = json.load(answer)
    return status


async def _watching(address: str) -> None:
    """A list shows an Event's last version only: those that are told before the watch nobody can have."""
    while '"state":"watching"' not in json.dumps(await asyncio.to_thread(_status, address), separators=(",", ":")):
        await asyncio.sleep(0.1)


async def _taken(address: str, records: int, seconds: float) -> dict[str, Any]:
    """The status once the journal has taken so many records, or the last one: the caller compares."""
    end = time.monotonic() + seconds
    while True:
        status = await asyncio.to_thread(_status, address)
        if status["recorder"]["committer"]["stored"] >= records or time.monotonic() > end:
            return status
        await asyncio.sleep(1)


def _compared(said: Counter[Key], kept: Counter[Key]) -> tuple[int, int]:
    """How many are lost, and how many are stored more than once."""
    return len(said.keys() - kept.keys()), sum(n > 1 for n in kept.values())


async def play(tmp_path: Path, burst: Burst) -> tuple[list[Key], list[Key]]:
    """Plays it, tells what it was like, and checks memory and back-pressure; (what was said, what is stored)."""
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.randrange(10**6))
    print(f"\nKUBEWITNESS_SEED={seed}")
    listen, audit = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    state = tmp_path / "state"
    async with FakeApiServer() as server, asyncio.TaskGroup() as tasks:
        for n in range(burst.events // 4):
            server.put(f"before-{n}", message="there before the recorder " + "x" * 300)
        flags = ["--server", server.url, "--audit-listen", audit, "--listen", listen]
        flags += ["--journal-limit", f"{burst.limit / _MB:g}MB", "--flush-seconds", f"{burst.flush:g}"]
        with recorder(tmp_path, *flags) as running:
            await asyncio.to_thread(running.says, "Ctrl-C ends", 60)
            await _watching(listen)
            journals = Journals(state)
            looking = tasks.create_task(journals.run())
            sender = Sender(burst, f"http://{audit}/audit", seed)
            began = time.monotonic()
            telling = tasks.create_task(tell(server, burst.events - burst.events // 4, seed))
            await sender.run()
            await telling
            seconds = time.monotonic() - began
            status = await _taken(listen, len(server.said) + len(sender.said), 120)
            drained = await until("the journal to be empty", lambda: journals.now == 0, 120)
            looking.cancel()
            memory = peak_mb(running.process.pid)
            assert await asyncio.to_thread(running.stop) == 0
    said = [*server.said, *sender.said]
    kept = [*stored(state, _EVENTS).elements(), *stored(state, _AUDIT).elements()]
    lost, twice = _compared(Counter(said), Counter(kept))
    print(
        f"burst of {sender.sent_bytes / _MB:.0f} MB of EventLists ({len(sender.said)} records) and {len(server.said)} "
        f"versions of Events, journal limited to {burst.limit / _MB:g} MB\n"
        f"sent in {seconds:.1f} s, empty {drained:.1f} s after the last was taken; {lost} lost, {twice} twice\n"
        f"answers: {dict(sorted(sender.answers.items()))} (0: none), {sender.dropped} batches given up\n"
        f"journal: {journals.highest / _MB:.1f} MB at most; batches that waited for room: "
        f"{status['recorder']['committer']['waited']}\n"
        f"memory of the recorder at its peak: {memory:.0f} MB (load of the machine: {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} CPUs)"
    )
    assert (sender.dropped, lost, twice) == (0, 0, 0), running.messages.read_text()
    assert sender.answers[503] > 0, "no back-pressure was seen: nobody was told to come again"
    assert 0.8 * burst.limit < journals.highest <= burst.limit
    assert memory < _MEMORY
    return said, kept


async def test_a_burst_beyond_the_journal_is_held_back_and_then_stored(tmp_path: Path, fault: Fault) -> None:
    said, kept = await play(tmp_path, Burst(3000, 15 * _MB, 3 * _MB, items=100, backoff=2.0, flush=3.0))
    fault("burst of 3,000 Events and 15 MB of EventLists, journal of 3 MB", said=said, kept=kept, on="listener")


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_50_000_events_and_200_mb_of_event_lists_with_a_journal_of_64_mb(tmp_path: Path) -> None:
    await play(tmp_path, Burst(50_000, 200 * _MB, 64 * _MB))
