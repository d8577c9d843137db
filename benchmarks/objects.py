"""The store on object storage (SeaweedFS on this machine) beside the one on disk: the same import, the same questions.

python -m benchmarks.objects [--megabytes 300]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.__main__ import audit_file
from benchmarks.measure import Cost, median, python, run
from tests.object_store import object_store

_RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    source = audit_file(parser.parse_args().megabytes)
    print("| store | what | CPU s | wall s | peak MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work, object_store(Path(work) / "weed") as server:
        for kind, uri in (("disk", str(Path(work) / "tables")), ("s3", server.uri("bench"))):
            state = ("--state", str(Path(work) / kind), "--store", uri)
            cost = run(python("-m", "kubewitness", "import", "-q", *state, str(source)), env=server.env)
            _print(kind, "import", cost)
            sql = "select namespace, name from audit where resource = 'pods' and verb = 'delete' and name <> '' limit 1"
            answer = subprocess.run(
                python("-m", "kubewitness", "sql", *state, "-o", "json", sql),
                capture_output=True,
                check=True,
                env={**os.environ, **server.env},
            )
            pod = json.loads(answer.stdout)[0]
            for question in ("who", "timeline"):
                asked = python("-m", "kubewitness", question, *state, f"pod/{pod['name']}", "-n", pod["namespace"])
                cost = median([run(asked, env=server.env) for _ in range(_RUNS)])
                print(
                    f"| {kind} | {question} | {cost.cpu_s:.2f} | {cost.wall_s:.2f} | {cost.peak_mb:.0f} |", flush=True
                )


def _print(kind: str, what: str, cost: Cost) -> None:
    print(f"| {kind} | {what} | {cost.cpu_s:.2f} | {cost.wall_s:.2f} | {cost.peak_mb:.0f} |", flush=True)


if __name__ == "__main__":
    main()
