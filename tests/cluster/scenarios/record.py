"""Plays one seed on a real control plane and writes what it said, and what is known to be true, into a folder."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from tests.cluster.demo_truth import stamp
from tests.cluster.harness import Binaries, ControlPlane, Options, RawWatch
from tests.cluster.record_demo import find_leaks
from tests.cluster.scenarios import manifests, nodes
from tests.cluster.scenarios.compose import COUNT, Run
from tests.cluster.scenarios.truth import PodWatch

#: a lost node is noticed later than in other tests: a busy machine must not make the others look lost
_GRACE = ("--node-monitor-grace-period=24s",)


@dataclass(frozen=True)
class Recording:
    """A folder with one run's captures, as `kubewitness import` takes them, and its truth."""

    folder: Path

    @property
    def audit(self) -> Path:
        return self.folder / "audit.jsonl.zst"

    @property
    def events(self) -> list[Path]:
        """The list from which the watch began, and the watch."""
        return [self.folder / "events.list.json.zst", self.folder / "events.watch.jsonl.zst"]

    @property
    def truth(self) -> dict[str, Any]:
        packed = (self.folder / "truth.json.zst").read_bytes()
        truth: dict[str, Any] = json.loads(zstandard.ZstdDecompressor().decompress(packed))
        return truth


class Leak(Exception):
    """The captures name this machine; the message has the lines."""


def record(seed: int, folder: Path, binaries: Binaries, only: tuple[str, ...] = ()) -> Recording:
    """Raises Leak, and writes nothing then."""
    options = Options(
        nodes=nodes.NODES,
        policy=manifests.AUDIT_POLICY,
        status_seconds=10,
        lease_seconds=10,
        controller_manager=_GRACE,
    )
    with ControlPlane(options, binaries) as cluster:
        begin = time.time()
        events = RawWatch(cluster.api(), "/api/v1/events").start()
        pods = PodWatch(RawWatch(cluster.api(), "/api/v1/pods").start())
        run = Run(seed, cluster, pods, only)
        run.play()
        # The last Events, and the last records of the audit trail, are written a little later.
        time.sleep(4)
        events.stop()
        pods.watch.stop()
        files = {
            "audit.jsonl": b"".join(line + b"\n" for line in cluster.audit_lines()),
            "events.list.json": events.list_body,
            "events.watch.jsonl": b"".join(line + b"\n" for line in events.lines),
        }
    truth = {
        "seed": seed,
        "recorded": {"begin": stamp(begin), "end": stamp(time.time()), "server": binaries.version},
        "scenarios": COUNT,
        "failed": run.book.failed,
        "unexplained": run.book.unexplained,
        "known": [known.row() for known in run.book.known],
        "commands": run.book.commands,
    }
    if leaks := find_leaks(files | {"truth.json": json.dumps(truth, indent=0).encode()}, binaries):
        raise Leak("\n".join(leaks))
    _write(folder, files | {"truth.json": json.dumps(truth).encode() + b"\n"})
    _report(truth)
    return Recording(folder)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """All compressed (zstd, level 19); prints the sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, data in files.items():
        packed = zstandard.ZstdCompressor(level=19).compress(data)
        (folder / f"{name}.zst").write_bytes(packed)
        total += len(packed)
        print(f"{name}.zst: {len(data.splitlines()):,} lines, {len(data):,} bytes, {len(packed):,} compressed")
    print(f"{total:,} bytes in all")


def _report(truth: dict[str, Any]) -> None:
    print(f"{truth['scenarios']} scenarios, {len(truth['known'])} questions with a known answer")
    for what in ("failed", "unexplained"):
        for line in truth[what]:
            print(f"{what}: {line.splitlines()[0]}")
