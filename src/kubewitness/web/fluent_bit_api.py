"""The paths of Fluent Bit's monitoring port: build, uptime, plugins, metrics (v1, v2), storage, health, reload.

Names and shapes are Fluent Bit's, as its documentation (administration/monitoring, hot-reload) shows them; the numbers
are ours, and what we have not got is left out rather than made up.
"""

from __future__ import annotations

import json
import platform
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from kubewitness import __version__
from kubewitness.config.peer import VERSION
from kubewitness.web.fluent_bit_health import HealthWindow
from kubewitness.web.fluent_bit_metrics import (
    Counts,
    Family,
    cmetrics_text,
    counters,
    of_parts,
    of_process,
    prometheus_text,
)

TEXT = "text/plain; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4"
JSON = "application/json"


class Answer(NamedTuple):
    status: str
    kind: str
    body: bytes


class Told(Protocol):
    """What a running pipeline tells, and does when asked."""

    reloads: int

    @property
    def window(self) -> HealthWindow: ...
    @property
    def may_reload(self) -> bool: ...
    @property
    def reloading(self) -> bool: ...
    def reload(self) -> bool:
        """False: refused, and the log says why."""
        ...

    def counts(self) -> Counts: ...
    def waiting(self) -> Mapping[str, int]:
        """Of what is between inputs and outputs: chunks, bytes, limit (bytes), memory (1: not on the disk)."""
        ...

    def paused(self) -> Mapping[str, bool]:
        """By input: whether it waits for room."""
        ...


class FluentBitApi:
    """`own`: further metrics, as Prometheus text. `plugins`: kind -> names. `logged`: level -> lines in the log."""

    def __init__(
        self,
        told: Told,
        plugins: Mapping[str, Sequence[str]],
        own: Callable[[], str] = str,
        host: str = "",
        logged: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._told = told
        self._plugins = plugins
        self._own = own
        self._logged = logged
        self._host = host or socket.gethostname()
        self._started = time.time()
        self._paths: dict[str, Callable[[], Answer]] = {
            "/": self._build,
            "/api/v1/uptime": self._uptime,
            "/api/v1/plugins": lambda: _json({"plugins": self._plugins}),
            "/api/v1/metrics": lambda: _json(self._told.counts()),
            "/api/v1/metrics/prometheus": self._metrics_v1,
            "/api/v2/metrics": lambda: Answer("200 OK", TEXT, cmetrics_text(self._families()).encode()),
            "/api/v2/metrics/prometheus": self._metrics_v2,
            "/metrics": self._metrics_v2,
            "/api/v1/storage": self._storage,
            "/api/v1/health": self._health,
            "/api/v2/health": self._health_v2,
        }

    @property
    def paths(self) -> list[str]:
        return [*self._paths, "/api/v2/reload"]

    def answer(self, method: str, path: str) -> Answer | None:
        """None for what is not its own."""
        path = path.rstrip("/") or "/"
        if path == "/api/v2/reload":
            return self._reload(method)
        if method not in ("GET", "HEAD") or path not in self._paths:
            return None
        return self._paths[path]()

    # --- what and since when -----------------------------------------------------------------------------------------

    def _build(self) -> Answer:
        about = {"version": VERSION, "edition": f"kubewitness {__version__}", "flags": ["FLB_HAVE_METRICS",
                 "FLB_HAVE_HTTP_SERVER", "FLB_HAVE_PARSER", "FLB_HAVE_RECORD_ACCESSOR", "FLB_HAVE_TLS"]}  # fmt: skip
        return _json({"fluent-bit": about})

    def _seconds(self) -> int:
        return int(time.time() - self._started)

    def _uptime(self) -> Answer:
        days, rest = divmod(self._seconds(), 86400)
        hours, rest = divmod(rest, 3600)
        parts = (("day", days), ("hour", hours), ("minute", rest // 60), ("second", rest % 60))
        *others, last = (f"{n} {unit}{'s' if n > 1 else ''}" for unit, n in parts)
        text = f"Fluent Bit has been running:  {', '.join(others)} and {last}"
        return _json({"uptime_sec": self._seconds(), "uptime_hr": text})

    # --- metrics -----------------------------------------------------------------------------------------------------

    def _metrics_v1(self) -> Answer:
        families = [
            *counters(self._told.counts()),
            of_process("uptime", "counter", "Number of seconds since the start.", self._seconds(), {}),
            of_process("build_info", "gauge", "Version whose behaviour is followed.", 1,
                       {"version": VERSION, "edition": f"kubewitness {__version__}"}),
            Family("process_start_time_seconds", "gauge", "Start of the process.", [({}, int(self._started))]),
        ]  # fmt: skip
        return Answer("200 OK", PROMETHEUS, (prometheus_text(families, stamped=True) + self._own()).encode())

    def _metrics_v2(self) -> Answer:
        return Answer("200 OK", PROMETHEUS, (prometheus_text(self._families()) + self._own()).encode())

    def _families(self) -> list[Family]:
        counts, waiting, host = self._told.counts(), self._told.waiting(), {"hostname": self._host}
        paused = {name: float(waits) for name, waits in self._told.paused().items()}
        free = 100 * max(0.0, 1 - waiting["bytes"] / waiting["limit"]) if waiting["limit"] else 100.0
        memory = waiting["chunks"] if waiting["memory"] else 0
        return [
            of_process("uptime", "counter", "Number of seconds since the start.", self._seconds(), host),
            of_process("process_start_time_seconds", "gauge", "Start of the process.", int(self._started), host),
            of_process("build_info", "gauge", "Version whose behaviour is followed.", 1,
                       {**host, "version": VERSION, "os": platform.system().lower()}),
            of_process("hot_reloaded_times", "gauge", "Number of reloads.", self._told.reloads, host),
            Family("fluentbit_logger_logs_total", "counter", "Number of lines in the log.",
                   [({"message_type": level}, n) for level, n in self._logged().items()]),
            *counters(counts),
            of_parts("input", "ingestion_paused", "Whether the input waits for room (1) or not (0).", paused),
            of_parts("input", "storage_overlimit", "Whether the queue is full for it (1) or not (0).", paused),
            of_parts("output", "chunk_available_capacity_percent", "Free part of the queue.",
                     dict.fromkeys(counts["output"], free)),
            of_process("storage_mem_chunks", "gauge", "Chunks that wait in memory.", memory, host),
            of_process("storage_fs_chunks", "gauge", "Chunks that wait on the disk.", waiting["chunks"] - memory, host),
        ]  # fmt: skip

    def _storage(self) -> Answer:
        waiting, paused = self._told.waiting(), self._told.paused()
        total = waiting["chunks"]
        memory = total if waiting["memory"] else 0
        chunks = {"total_chunks": total, "mem_chunks": memory, "fs_chunks": total - memory, "fs_chunks_up": 0,
                  "fs_chunks_down": total - memory}  # fmt: skip
        inputs: dict[str, dict[str, dict[str, object]]] = {n: {"status": {"overlimit": p}} for n, p in paused.items()}
        if len(inputs) == 1:  # all inputs share one queue: whose its chunks are is not known when there are several
            (only,) = inputs.values()
            size = waiting["bytes"] if waiting["memory"] else 0
            only["status"] |= {"mem_size": _human(size), "mem_limit": _human(waiting["limit"])}
            only["chunks"] = {"total": total, "up": memory, "down": total - memory, "busy": 0, "busy_size": "0b"}
        return _json({"storage_layer": {"chunks": chunks}, "input_chunks": inputs})

    # --- health, reload ----------------------------------------------------------------------------------------------

    def _health(self) -> Answer:
        if self._told.window.healthy:
            return Answer("200 OK", TEXT, b"ok\n")
        return Answer("500 Internal Server Error", TEXT, b"error\n")

    def _health_v2(self) -> Answer:
        window = self._told.window
        body = {
            "status": "ok" if window.healthy else "error",
            "errors": window.errors,
            "retries_failed": window.retries_failed,
            "error_limit": window.error_limit,
            "retry_failure_limit": window.retry_failure_limit,
            "period_limit": int(window.period),
        }
        return _json(body, "200 OK" if window.healthy else "500 Internal Server Error")

    def _reload(self, method: str) -> Answer:
        if method in ("GET", "HEAD"):
            return _json({"hot_reload_count": self._told.reloads})
        if method not in ("POST", "PUT"):
            return Answer("400 Bad Request", TEXT, b"GET, POST or PUT\n")
        if not self._told.may_reload:
            return _json({"reload": "not enabled", "status": -1})
        if self._told.reloading:
            return _json({"reload": "in progress", "status": -2}, "400 Bad Request")
        if not self._told.reload():
            return _json({"reload": "refused", "status": -3}, "400 Bad Request")
        return _json({"reload": "done", "status": 0})


def _json(body: object, status: str = "200 OK") -> Answer:
    return Answer(status, JSON, json.dumps(body, separators=(",", ":")).encode())


def _human(size: int) -> str:
    """As Fluent Bit shows sizes: 512b, 1.5K, 2.0M."""
    if size < 1024:
        return f"{size}b"
    power = min((size.bit_length() - 1) // 10, 4)
    return f"{size / 1024**power:.1f}{' KMGT'[power]}"
