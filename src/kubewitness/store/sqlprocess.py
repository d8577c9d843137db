"""SQL from users in a process of its own, for servers: whatever a query does, nothing else ends with it.

    python -m kubewitness.store.sqlprocess < task.json > result.json

DuckDB counts most, but not all, of the memory that it takes (nested `hex`, `replace`, `to_base64` make values beside
its limit), and looks for an interrupt between two steps only. The system's limit on a process counts everything, and
a process can be ended at any time.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from kubewitness.config.state import StatePaths
from kubewitness.errors import KubewitnessError, StateError, UsageError
from kubewitness.formats.plain import plain
from kubewitness.formats.scope import Scope
from kubewitness.store.sandbox import SqlLimits, SqlResult, TimedOut, run_sql
from kubewitness.store.session import Store

#: of a server: queries together take no more than a recorder can spare
LIMITS = SqlLimits(rows=10_000, bytes=16 * 1024**2, seconds=30.0, memory_mb=192, threads=2)
#: MB that a process may take beyond what the query may: the libraries, the answer
_BESIDE_MB = 320
#: seconds beyond the query's until the process is ended
_GRACE = 2.0
_ERRORS: dict[str, type[KubewitnessError]] = {e.__name__: e for e in (UsageError, TimedOut, StateError)}
_TOO_MUCH = "SQL: the query needs more memory than it may have; narrow it (for instance by ts)"


class Task(msgspec.Struct):
    root: str
    store: str
    sql: str
    limits: SqlLimits
    scope: Scope | None = None


class Told(msgspec.Struct):
    """Either `error`, of that kind, or the result."""

    kind: str = ""
    error: str = ""
    columns: list[str] = msgspec.field(default_factory=list)
    types: list[str] = msgspec.field(default_factory=list)
    rows: list[tuple[Any, ...]] = msgspec.field(default_factory=list)
    truncated: bool = False


def run_apart(
    paths: StatePaths, sql: str, stop: threading.Event, scope: Scope | None = None, limits: SqlLimits = LIMITS
) -> SqlResult:
    """As `sandbox.run_sql`; values as JSON has them. Setting `stop` ends it early."""
    task = Task(str(paths.root), paths.store_uri, sql, limits, scope)
    with subprocess.Popen(
        [sys.executable, "-m", "kubewitness.store.sqlprocess"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    ) as process:
        watch = threading.Thread(target=_end, args=(process, stop, limits.seconds + _GRACE), daemon=True)
        watch.start()
        out, _ = process.communicate(msgspec.json.encode(task))
    watch.join()
    if not out:
        if stop.is_set() or process.returncode == -signal.SIGKILL:
            raise TimedOut("SQL: stopped; narrow it (for instance by ts)")
        raise UsageError(_TOO_MUCH)  # an allocation that nobody expects to fail ends the process
    told = msgspec.json.decode(out, type=Told)
    if told.kind:
        raise _ERRORS.get(told.kind, StateError)(told.error)
    return SqlResult(told.columns, told.rows, told.truncated, told.types)


def _end(process: subprocess.Popen[bytes], stop: threading.Event, seconds: float) -> None:
    """Ends the process when it is told to, or has taken too long."""
    waited = 0.0
    while process.poll() is None:
        if stop.wait(0.05) or (waited := waited + 0.05) > seconds:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            return


def main() -> None:
    """Does the task on stdin."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    most = (task.limits.memory_mb + _BESIDE_MB) * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # where memory is short, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(5)
    sys.stdout.buffer.write(msgspec.json.encode(_told(task)))
    sys.stdout.flush()
    os._exit(0)


def _told(task: Task) -> Told:
    try:
        store = Store(StatePaths(Path(task.root), task.store))
        found = run_sql(store, task.sql, task.limits, scope=task.scope)
        rows = [tuple(map(plain, row)) for row in found.rows]
    except MemoryError:
        return Told("UsageError", _TOO_MUCH)
    except KubewitnessError as e:
        kind = type(e).__name__ if type(e).__name__ in _ERRORS else "StateError"
        return Told(kind, _TOO_MUCH if "execution error" in str(e) else str(e))
    return Told(columns=found.columns, types=found.types, rows=rows, truncated=found.truncated)


if __name__ == "__main__":
    main()
