"""Runs a command as a whole process and takes the operating system's own accounting of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost, its children included."""

    cpu_s: float
    wall_s: float
    #: peak resident memory of the largest process, MB (10^6 bytes)
    peak_mb: float


def run(
    command: Sequence[str], *, stdin: Path | None = None, stdout: Path | None = None, env: dict[str, str] | None = None
) -> Cost:
    """Runs to the end. Raises `RuntimeError` when the command fails: a failed run is no figure."""
    with open(stdin or os.devnull, "rb") as source, open(stdout or os.devnull, "wb") as target:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=source, stdout=target, env={**os.environ, **(env or {})})
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / 1e6)


def median(costs: Sequence[Cost]) -> Cost:
    """The run with the median CPU time."""
    return sorted(costs, key=lambda c: c.cpu_s)[len(costs) // 2]


def python(*args: str) -> list[str]:
    return [sys.executable, *args]
