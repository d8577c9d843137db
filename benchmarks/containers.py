"""Container logs with and without filter `kubernetes`: `python -m benchmarks.containers [--megabytes 300] [--runs 3]`.

Forty containers' CRI files, 150 bytes a line; one line in fifty is written in two parts, one in ten is JSON. They are
followed by `tail`, joined, and written as JSON lines; pods are known from files, as a watch would have told them. The
yardstick is a bare Python loop over the same files: split at blanks, `json.dumps` of the four fields, to a file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, median, python, run

DATA = Path("bench-data")
_CONTAINERS = 40
_TEXT = "GET /api/v1/orders/{} 200 in 12 ms, served to 10.1.2.3 by worker {} of shop, nothing out of the ordinary"
#: name -> filters as YAML; FOLDER stands for the pods' metadata
PIPELINES = {
    "CRI files -> JSON lines": "[]",
    "CRI files -> kubernetes, names only -> JSON lines": "[{name: kubernetes, match: '*', use_tag_for_meta: on}]",
    "CRI files -> kubernetes -> JSON lines": "[{name: kubernetes, match: '*', kube_meta_preload_cache_dir: FOLDER}]",
    "CRI files -> kubernetes, merge_log -> JSON lines": (
        "[{name: kubernetes, match: '*', kube_meta_preload_cache_dir: FOLDER, merge_log: on}]"
    ),
}


def logs(folder: Path, megabytes: int) -> None:
    """The files, and what is known of their pods."""
    each = megabytes * 1_000_000 // _CONTAINERS
    for n in range(_CONTAINERS):
        name = f"web-5d4f7c9b8-{n:05d}"
        meta = {
            "name": name,
            "namespace": "shop",
            "uid": f"00000000-0000-4000-8000-{n:012d}",
            "labels": {"app": "web", "pod-template-hash": "5d4f7c9b8", "team": "pay", "tier": "frontend"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "checksum/config": "0" * 64},
        }
        status = {"name": "app", "image": "registry/web:1", "imageID": "registry/web@sha256:" + "0" * 64}
        pod = {"metadata": meta, "spec": {"nodeName": "worker-1"}, "status": {"containerStatuses": [status]}}
        (folder / f"shop_{name}.meta").write_text(json.dumps(pod))
        with (folder / f"{name}_shop_app-{n:064x}.log").open("w") as out:
            size = i = 0
            while size < each:
                size += out.write(_line(i))
                i += 1


def _line(i: int) -> str:
    text = _TEXT.format(i, i % 7)
    if i % 10 == 0:
        text = json.dumps({"level": "info", "msg": text[:60], "order": i, "took": 0.012})
    stamp, stream = f"2026-11-22T21:25:{i % 60:02d}.{i % 1_000_000_000:09d}Z", "stderr" if i % 20 == 0 else "stdout"
    if i % 50 == 1:
        return f"{stamp} {stream} P {text[:40]}\n{stamp} {stream} F {text[40:]}\n"
    return f"{stamp} {stream} F {text}\n"


def loop(folder: Path) -> None:
    """The yardstick, to standard output."""
    for path in sorted(folder.glob("*.log")):
        for line in path.open():
            stamp, stream, part, text = line.rstrip("\n").split(" ", 3)
            sys.stdout.write(json.dumps({"time": stamp, "stream": stream, "_p": part, "log": text}) + "\n")


def piped(folder: Path, work: Path, filters: str) -> Cost:
    """One whole process of `run`, memory buffering; its lines go to a file."""
    config = work / "pipeline.yaml"
    config.write_text(
        f"service: {{storage.type: memory, log_level: 'off'}}\npipeline:\n"
        f"  inputs: [{{name: tail, path: '{folder.absolute()}/*.log', tag: kube.*, multiline.parser: cri, "
        f"read_from_head: on}}]\n"
        f"  filters: {filters.replace('FOLDER', str(folder.absolute()))}\n"
        f"  outputs: [{{name: file, match: '*', path: '{work.absolute()}', file: out, format: plain}}]\n"
    )
    made = run(python("-m", "kubewitness", "run", "-c", str(config), "--exit-on-eof", "--state", str(work / "state")))
    size = (work / "out").stat().st_size
    print(f"  {made.cpu_s:.2f} CPU s, {size / 1e6:.0f} MB out", file=sys.stderr)
    (work / "out").unlink()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--loop", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.loop:
        loop(args.loop)
        return
    DATA.mkdir(exist_ok=True)
    costs: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory(dir=DATA) as made:
        folder, work = Path(made) / "logs", Path(made) / "work"
        folder.mkdir()
        work.mkdir()
        logs(folder, args.megabytes)
        size = sum(f.stat().st_size for f in folder.glob("*.log"))
        lines = sum(1 for f in folder.glob("*.log") for _ in f.open("rb"))
        for _ in range(args.runs):
            yard = run(python("-m", "benchmarks.containers", "--loop", str(folder)), stdout=work / "out")
            costs.setdefault("split and json.dumps (yardstick)", []).append(yard)
            for name, filters in PIPELINES.items():
                costs.setdefault(name, []).append(piped(folder, work, filters))
    first = median(costs["split and json.dumps (yardstick)"]).cpu_s
    print(f"\n{size / 1e6:.0f} MB, {lines} lines\n")
    print("| workload | MB per CPU s | x yardstick | CPU s | us a line | peak MB |\n|---|---|---|---|---|---|")
    for name, taken in costs.items():
        cost = median(taken)
        print(
            f"| {name} | {size / 1e6 / cost.cpu_s:.0f} | {first / cost.cpu_s:.2f} | {cost.cpu_s:.2f} "
            f"| {cost.cpu_s / lines * 1e6:.2f} | {cost.peak_mb:.0f} |"
        )


if __name__ == "__main__":
    main()
