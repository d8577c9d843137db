"""What each view of the page costs on a large state: every question over HTTP, of one `serve` process.

    python -m benchmarks.views STATE [--runs 3]

CPU and wall milliseconds are the least of the runs (a busy machine makes them longer, never shorter), and those of the
first run, which may find nothing in memory. CPU is of the whole process and of those that it starts. Memory is the
process's peak so far.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import python

_TICK = os.sysconf("SC_CLK_TCK")


class Served:
    """A `kubewitness serve` of a state."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._process = process
        self._address = address

    def ask(self, path: str, **params: Any) -> Any:
        query = urllib.parse.urlencode(params, doseq=True)
        try:
            with urllib.request.urlopen(f"{self._address}api/v1/{path}?{query}", timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            raise RuntimeError(f"{path}: {e.read()[:300].decode()}") from e

    def cpu_ms(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) * 1000 / _TICK

    def peak_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 / 1e6 if found else 0.0


@contextmanager
def served(state: Path) -> Iterator[Served]:
    command = python("-m", "kubewitness", "serve", "--state", str(state), "--listen", "127.0.0.1:0")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            found = re.search(r"http://\S+", process.stderr.readline())
            assert found is not None
            yield Served(process, found[0])
        finally:
            process.terminate()


def warmed(server: Served) -> None:
    """Waits until the server has made what it keeps of large files: until it is idle for some seconds."""
    begin, before, idle = time.monotonic(), -1.0, 0
    while idle < 6:
        time.sleep(0.5)
        now = server.cpu_ms()
        idle = idle + 1 if now - before < 30 else 0
        before = now
    wall = time.monotonic() - begin
    print(f"started and ready after {wall:.0f} s, {before / 1000:.1f} CPU s, {server.peak_mb():.0f} MB\n")


def questions(server: Served) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, path, parameters."""
    evicted = next(e for e in server.ask("examples") if e["question"].startswith("who evicted"))
    pod = {k: v for k, v in evicted["params"].items() if k in ("object", "namespace")}
    space = pod["namespace"]
    extent = server.ask("histogram")
    day = extent["since"][:11]
    hour = {"since": f"{day}12:00:00Z", "until": f"{day}13:00:00Z"}
    minutes = {"since": f"{day}12:00:00Z", "until": f"{day}12:05:00Z"}
    owner = server.ask("board", q=f"ns={space}", rows=500)["rows"]
    named = next((r["owner"] for r in owner if r["owner"]), "Deployment/web")
    keys = [r["key"] for r in owner if r["kind"] and r["name"]][:100]
    return [
        ("board: everything", "board", {}),
        ("board: everything, by user", "board", {"group": "user"}),
        ("board: everything, with reads", "board", {"reads": "true"}),
        ("board: one namespace", "board", {"q": f"ns={space}"}),
        ("board: one owner", "board", {"q": f"owner={named.rpartition('/')[2]}"}),
        ("board: an hour", "board", hour),
        ("board: five minutes", "board", minutes),
        ("board: an hour of one user", "board", {"q": "user=alice", **hour}),
        ("histogram: everything", "histogram", {}),
        ("histogram: an hour", "histogram", hour),
        ("histogram: refused", "histogram", {"q": "code>=400"}),
        ("states: 100 rows", "states", {"key": keys}),
        ("states: a pod", "states", pod),
        ("policy: a day", "policy", {}),
        ("logs: of a pod", "logs", pod),
        ("facets: everything", "facets", {}),
        ("facets: one namespace", "facets", {"q": f"ns={space}"}),
        ("complete: who evicted web-5", "complete", {"text": "who evicted web-5"}),
        ("complete: a field's value", "complete", {"text": "user=al"}),
        ("complete: pay", "complete", {"text": "pay"}),
        ("line: who evicted <pod>", "line", {"text": evicted["question"]}),
        ("line: alice", "line", {"text": "alice"}),
        ("timeline of a pod", "timeline", pod),
        ("who evicted <pod>", "who", evicted["params"]),
        ("search: newest 100", "search", {}),
        ("search: user=alice", "search", {"q": "user=alice"}),
        ("search: text", "search", {"q": "disruption budget"}),
        ("top: user", "top", {"field": "user"}),
        ("findings", "findings", {}),
        ("status", "status", {}),
        ("examples (first view)", "examples", {}),
        ("session (first view)", "session", {}),
        ("SQL: counts by verb", "sql", {"query": "SELECT verb, count(*) FROM audit GROUP BY 1"}),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="questions whose name holds this")
    args = parser.parse_args()
    with served(args.state) as server:
        warmed(server)
        asked = [q for q in questions(server) if args.only in q[0]]
        print("| question | CPU ms | wall ms | first: CPU | wall | kB | peak MB |\n|---|---|---|---|---|---|---|")
        for name, path, params in asked:
            cpus, walls, size = [], [], 0
            for _ in range(args.runs):
                cpu, begin = server.cpu_ms(), time.perf_counter()
                answer = server.ask(path, **params)
                walls.append((time.perf_counter() - begin) * 1000)
                cpus.append(server.cpu_ms() - cpu)
                size = len(json.dumps(answer)) // 1000
            figures = (min(cpus), min(walls), cpus[0], walls[0], size, server.peak_mb())
            print(f"| {name} | " + " | ".join(f"{f:.0f}" for f in figures) + " |", flush=True)


if __name__ == "__main__":
    main()
