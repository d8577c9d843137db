"""Records the demo's data again: plays the story on a real control plane and writes what its API server said.

Run by `make record-demo`. Writes to src/kubewitness/demo/data. Nothing in the captures is changed; that
nothing of the recording machine is in them is checked, and the run fails if there is.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from pathlib import Path

import zstandard

from tests.cluster.demo_manifests import AUDIT_POLICY
from tests.cluster.demo_scenario import Story
from tests.cluster.demo_truth import Diary, stamp
from tests.cluster.harness import Binaries, ControlPlane, NotInstalled, Options, RawWatch, locate

DATA = Path(__file__).resolve().parents[2] / "src" / "kubewitness" / "demo" / "data"
_LIMIT = 2 * 1000 * 1000
_NODES = ("worker-1", "worker-2", "worker-3")


def main() -> int:
    try:
        binaries = locate()
    except NotInstalled as e:
        print(f"record-demo: {e}", file=sys.stderr)
        return 2
    files, truth = record(binaries)
    if leaks := find_leaks(files, binaries):
        print("record-demo: the captures hold traces of this machine:\n" + "\n".join(leaks), file=sys.stderr)
        return 1
    total = write(files, truth)
    return 0 if total < _LIMIT else 1


def record(binaries: Binaries) -> tuple[dict[str, bytes], dict[str, object]]:
    """({file name: its bytes}, the truth)."""
    options = Options(nodes=_NODES, policy=AUDIT_POLICY, status_seconds=10, lease_seconds=10)
    with ControlPlane(options, binaries) as cluster:
        begin = time.time()
        events = RawWatch(cluster.api(), "/api/v1/events").start()
        pods = RawWatch(cluster.api(), "/api/v1/pods").start()
        diary = Diary(cluster, pods)
        try:
            Story(diary).play()
        except Exception:
            print(f"failed at {diary.steps[-1]}; {len(diary.terminating())} pods vanished unjudged")
            print(cluster.kubectl("admin", "get", "nodes,pods", "-A", "-o", "wide"))
            raise
        # The last Events, and the last records of the audit trail, are written a little later.
        time.sleep(3)
        events.stop()
        pods.stop()
        files = {
            "audit.jsonl": b"".join(line + b"\n" for line in cluster.audit_lines()),
            "events.list.json": events.list_body,
            "events.watch.jsonl": b"".join(line + b"\n" for line in events.lines),
        }
        versions = {
            "server": binaries.version,
            "kubectl": cluster.kubectl_of("alice").run("version", "--client").stdout,
        }
    truth: dict[str, object] = {
        "recorded": {"begin": stamp(begin), "end": stamp(time.time()), **versions},
        "steps": [vars(step) for step in diary.steps],
        "vanished": diary.vanished,
        "questions": diary.questions,
    }
    return files, truth


def find_leaks(files: dict[str, bytes], binaries: Binaries) -> list[str]:
    """Lines that name this machine, its user, its folders, or the secret's value."""
    words = {f"{Path.home()}/", socket.gethostname(), str(binaries.folder), os.getcwd(), "/tmp/", "correct-horse"}
    pattern = re.compile("|".join(re.escape(word) for word in sorted(words) if len(word) > 3).encode())
    found = []
    for name, data in files.items():
        for number, line in enumerate(data.splitlines(), 1):
            if hit := pattern.search(line):
                found.append(
                    f"{name}:{number}: {line[max(0, hit.start() - 60) : hit.end() + 60].decode(errors='replace')}"
                )
    return found[:20]


def write(files: dict[str, bytes], truth: dict[str, object]) -> int:
    """Writes all compressed (zstd, level 19); prints and returns the sizes."""
    DATA.mkdir(parents=True, exist_ok=True)
    total = 0
    for name, data in files.items():
        packed = zstandard.ZstdCompressor(level=19).compress(data)
        (DATA / f"{name}.zst").write_bytes(packed)
        total += len(packed)
        print(f"{name}.zst: {len(data.splitlines()):,} lines, {len(data):,} bytes, {len(packed):,} compressed")
    (DATA / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    print(f"{total:,} bytes in all (limit {_LIMIT:,})")
    return total


if __name__ == "__main__":
    sys.exit(main())
