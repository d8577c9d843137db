"""A day of commits compressed in time: few live files, flat query times, readers that never fail, space given back."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubewitness.config.state import StatePaths
from kubewitness.record import Chunk, chunk_of
from kubewitness.store import Store, StoreWriter, tables
from tests.store.states import DAY, audit_chunk, audit_line, event, paths_in

#: live files a table may have
TARGET_FILES = 100
RECORDS = 20


@dataclass
class _Readers:
    """Readers that ask all the time, each with a Store of its own."""

    paths: StatePaths
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[str] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def run(self, pause: float) -> None:
        store = Store(self.paths)
        seen = 0
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                with store.session() as s:
                    count, keys = s.query("SELECT count(*), count(DISTINCT record_key) FROM audit")[0]
                    s.query("SELECT ts, verb FROM audit WHERE name = 'web-3' ORDER BY ts DESC LIMIT 20")
                    rows = s.query("SELECT raw_seg, raw_frame, raw_off, raw_len FROM events ORDER BY ts DESC LIMIT 1")
                    s.raw(rows)
                if count < seen or count != keys:
                    self.failures.append(f"{count} records, {keys} keys, after {seen}")
                seen = count
            except Exception as e:
                self.failures.append(f"{type(e).__name__}: {e}")
            self.times.append((began, time.monotonic() - began))
            self.stop.wait(pause)


def chunks(n: int, us: int) -> list[Chunk]:
    """What commit number `n` gets, a record of every table."""
    lines = [audit_line(n * RECORDS + i, us=us, name=f"web-{i}") for i in range(RECORDS)]
    pod = (
        f'{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"web-{n % 9}","namespace":"shop","uid":"p{n}",'
        f'"resourceVersion":"{n}"}}}}'
    )
    review = (
        f'{{"request":{{"uid":"r{n}","operation":"DELETE","userInfo":{{"username":"alice"}},"name":"web-1",'
        f'"namespace":"shop","resource":{{"version":"v1","resource":"pods"}}}}}}'
    )
    made = [
        audit_chunk(lines),
        chunk_of("events", [(event(f"u{n}", n, 1, us=us), b"")]),
        chunk_of("objects", [(pod.encode(), b"")]),
        chunk_of("admission", [(review.encode(), b"")]),
        chunk_of("logs", [(f"line {n}".encode(), b"")], source="/var/log/x.log", form="text"),
        chunk_of("findings", [(f'{{"rule":"r","title":"t{n}"}}'.encode(), b"")]),
        chunk_of("rejects", [(b"broken %d" % n, b"")]),
    ]
    for chunk in made:
        chunk.received_us = us + n * 1000
    return made


def soak(directory: Path, commits: int, readers: int, *, days: int, pause: float, log_seconds: float = 0) -> None:
    paths = paths_in(directory)
    start = time.time_ns() // 1000 - (days - 1) * DAY
    asking = _Readers(paths)
    threads = [threading.Thread(target=asking.run, args=(pause,)) for _ in range(readers)]
    most, began = 0, time.monotonic()
    with StoreWriter.acquire(paths) as w:
        for n in range(commits):
            w.commit(chunks(n, start + n * (days - 1) * DAY // commits))
            if n == 0:
                for thread in threads:
                    thread.start()
            most = max(most, *(len(t.files()) for t in w.tables.values()))
            if n % 12 == 11:
                w._upkeep.compact(now=time.time() + 700)
                w.vacuum(grace=2)
        asking.stop.set()
        for thread in threads:
            thread.join()
        w.compact()
        time.sleep(2.1 + log_seconds)
        w.vacuum(grace=0)
        on_disk = int(subprocess.check_output(["du", "-sk", str(w.directory)], text=True).split()[0])
        live = w._upkeep.size() // 1024
        with Store(paths).session() as s:
            stored = s.query("SELECT count(*), count(DISTINCT record_key) FROM audit")[0]
            counts = {t: s.query(f"SELECT count(*) FROM {t}")[0][0] for t in w.tables}
    half = sorted(asking.times)[len(asking.times) // 10 :]
    early = statistics.median(t for _, t in half[: len(half) // 4])
    late = statistics.median(t for _, t in half[-len(half) // 4 :])
    print(
        f"\n{commits} commits of every table, {readers} readers (pause {pause:.1f} s), "
        f"{time.monotonic() - began:.0f} s: at most {most} live "
        f"files a table, {len(asking.times)} rounds of queries (median {early * 1e3:.0f} ms in the first quarter, "
        f"{late * 1e3:.0f} ms in the last), {len(asking.failures)} failed, {on_disk} KB on disk for {live} KB live"
    )
    assert asking.failures == []
    assert stored == (commits * RECORDS, commits * RECORDS)
    assert counts == {**dict.fromkeys(counts, commits), "audit": commits * RECORDS}
    assert most <= TARGET_FILES
    assert late < 5 * early + 0.2
    # the log, its checkpoints, directories and the map of seen auditIDs come on top of what is live
    assert on_disk < live * 2 + 60_000


@pytest.mark.long
def test_commits_with_readers_stay_few_files_and_lose_nothing(tmp_path: Path) -> None:
    soak(tmp_path, 25, 3, days=2, pause=0.2)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_day_of_commits_with_ten_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's retention (an hour) is compressed like the day.

    KUBEWITNESS_SOAK_COMMITS: fewer than a day's 2,880. KUBEWITNESS_SOAK_PAUSE: seconds that a reader waits between two
    rounds of questions (1 to 2), for machines that have other things to do.
    """
    seed = int(os.environ.get("KUBEWITNESS_SEED") or random.SystemRandom().randrange(1 << 32))
    commits = int(os.environ.get("KUBEWITNESS_SOAK_COMMITS") or 2880)
    print(f"\nseed: KUBEWITNESS_SEED={seed}")
    for key in ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration"):
        monkeypatch.setitem(tables._CONFIGURATION, key, "interval 20 seconds")
    pause = float(os.environ.get("KUBEWITNESS_SOAK_PAUSE") or random.Random(seed).uniform(1, 2))
    soak(tmp_path, commits, 10, days=3, pause=pause, log_seconds=21)
