"""`make bench`: the workloads beside their yardsticks in the same run, as whole processes.

    python -m benchmarks [lines] [filters] [store] [queries] [help] [--megabytes 300] [--records 10000000] [--runs 3]

Input is generated once into ./bench-data (not committed). Prints a table; benchmarks/RESULTS.md keeps the
figures of the runs worth keeping, with what limits each.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import queries
from benchmarks.measure import Cost, median, python, run

DATA = Path("bench-data")


def audit_file(megabytes: int) -> Path:
    """The generated audit file; made when it is not there yet."""
    path = DATA / f"audit-{megabytes}mb.jsonl"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        run(python("-m", "benchmarks.generate", "--megabytes", str(megabytes)), stdout=part)
        part.rename(path)
    return path


def row(name: str, size_mb: float, cost: Cost, yard: float) -> str:
    rate = size_mb / cost.cpu_s
    return f"| {name} | {rate:.0f} | {rate / yard:.2f} | {cost.cpu_s:.2f} | {cost.wall_s:.2f} | {cost.peak_mb:.0f} |"


def throughput(megabytes: int, runs: int, which: set[str]) -> None:
    source = audit_file(megabytes)
    size_mb = source.stat().st_size / 1e6
    records = sum(1 for _ in source.open("rb"))
    print(f"\n{source.name}: {size_mb:.0f} MB, {records} records of {size_mb * 1e6 / records:.0f} bytes\n")
    print("| workload | MB per CPU s | x yardstick | CPU s | wall s | peak MB |\n|---|---|---|---|---|---|")
    costs: dict[str, list[Cost]] = {"orjson loads + dumps (yardstick)": []}
    stored_bytes = 0
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=DATA) as folder:
            work = Path(folder)
            costs["orjson loads + dumps (yardstick)"].append(
                run(python("-m", "benchmarks.yardstick", str(source), str(work / "out")))
            )
            if "lines" in which:
                costs.setdefault("audit file -> JSON lines (run, memory)", []).append(to_lines(source, work))
            if "filters" in which:
                for name, filters in FILTERED.items():
                    costs.setdefault(f"audit file -> {name} -> JSON lines", []).append(to_lines(source, work, filters))
            if "store" in which:
                costs.setdefault("audit file -> store (import)", []).append(to_store(source, work / "state"))
                stored_bytes = sum(f.stat().st_size for f in (work / "state").rglob("*") if f.is_file())
    yard = size_mb / median(costs["orjson loads + dumps (yardstick)"]).cpu_s
    for name, taken in costs.items():
        print(row(name, size_mb, median(taken), yard))
    if stored_bytes:
        print(f"\nstate on disk: {stored_bytes / records:.0f} bytes a record, raw included")


#: name -> filters as YAML
FILTERED = {
    "grep, one key": """[{name: grep, match: "*", exclude: "verb ^(get|list|watch)$"}]""",
    "grep, two keys": (
        """[{name: grep, match: "*", regex: ["$user['username'] ^system:serviceaccount:.*", """
        """"$objectRef['namespace'] .+"]}]"""
    ),
    "modify, adds a key": """[{name: modify, match: "*", add: cluster east}]""",
    "expr, keep": """[{name: expr, match: "*", keep: "record.verb != 'get' && record.stage == 'ResponseComplete'"}]""",
}


def to_lines(source: Path, work: Path, filters: str = "[]") -> Cost:
    """Tail to the end of the file, decode, filter, write through: `run` with memory buffering."""
    config = work / "lines.yaml"
    config.write_text(
        "service: {flush: 1}\n"
        "pipeline:\n"
        "  inputs:\n"
        f"    - {{name: kubernetes_audit, audit_file: {source.absolute()}, storage.type: memory}}\n"
        f"  filters: {filters}\n"
        "  outputs:\n"
        f"    - {{name: file, match: '*', path: {work.absolute()}, file: lines.out, format: plain}}\n"
    )
    cost = run(
        python("-m", "kubewitness", "run", "-c", str(config), "--exit-on-eof"),
        env={"KUBEWITNESS_STATE": str(work / "s")},
    )
    size = (work / "lines.out").stat().st_size
    (work / "lines.out").unlink()
    if filters == "[]" and size != source.stat().st_size:
        raise RuntimeError("the output differs in size from the input")
    if not size:
        raise RuntimeError("there is no output")
    return cost


def to_store(source: Path, state: Path) -> Cost:
    """`import`, fsynced and queryable at its end."""
    return run(python("-m", "kubewitness", "import", "-q", "--state", str(state), str(source)))


def help_time(runs: int) -> None:
    costs = [run(python("-m", "kubewitness", "--help")) for _ in range(max(runs, 5))]
    wall = sorted(c.wall_s for c in costs)[len(costs) // 2]
    print(f"\n`kubewitness --help`: {wall * 1000:.0f} ms (median of {len(costs)})")


def large_state(records: int) -> Path:
    """A state of so many audit records over one day, sorted; kept in bench-data between runs."""
    state = DATA / f"state-{records}"
    if not (state / "complete").exists():
        shutil.rmtree(state, ignore_errors=True)
        DATA.mkdir(exist_ok=True)
        with subprocess.Popen(
            python("-m", "benchmarks.generate", "--records", str(records)), stdout=subprocess.PIPE
        ) as source:
            subprocess.run(
                python("-m", "kubewitness", "import", "--state", str(state), "--format", "audit", "-"),
                stdin=source.stdout,
                check=True,
            )
        subprocess.run(python("-m", "kubewitness", "compact", "--all-days", "--state", str(state)), check=True)
        (state / "complete").touch()
    return state


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", nargs="*", default=["lines", "store", "queries", "help"])
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    which = set(args.workload)
    if which & {"lines", "filters", "store"}:
        throughput(args.megabytes, args.runs, which)
    if "queries" in which:
        queries.report(large_state(args.records), args.records)
    if "help" in which:
        help_time(args.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
