"""Output `prometheus_exporter`: what filter `log_to_metrics` counts, and the pipeline's own numbers, for Prometheus.

The same as /metrics of the monitoring port (`http_server`), at an address of its own, where Fluent Bit has it. It takes
no records: its `match` does not matter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.web.monitor import Monitor

KEYS = (
    Key("host", default="127.0.0.1", doc="address to listen at (Fluent Bit: 0.0.0.0)"),
    Key("port", "int", "2021", "and port"),
    Key("add_label", doc="a label of all numbers and its value (`cluster shop`); several by repeating the key",
        multi=True),
    Key("add_timestamp", "bool", "off", "accepted, without effect: Prometheus knows when it asked"),
)  # fmt: skip

_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class PrometheusExporterOutput:
    """Listens while the pipeline runs."""

    def __init__(self, keys: Mapping[str, str], name: str = "prometheus_exporter") -> None:
        self._what = f"output {name}"
        opts = Options(self._what, keys, KEYS)
        self.name = name
        self._host, self._port = opts.text("host"), opts.number("port")
        self._labels = labels_of(self._what, opts.lines("add_label"))
        self._health: Callable[[], Mapping[str, object]] = lambda: {"healthy": True}
        self._metrics: Callable[[], str] = str
        self._server: asyncio.Server | None = None

    def show(self, health: Callable[[], Mapping[str, object]], metrics: Callable[[], str]) -> None:
        """What to show: the supervisor's health, and what filters count, as Prometheus text. Before `start`."""
        self._health, self._metrics = health, metrics

    def wants(self, chunk_table: str, tag: str) -> bool:
        return False

    async def start(self) -> None:
        """UsageError when the address cannot be had."""
        try:
            monitor = Monitor(self._host, self._port, self._health, self._metrics, decorate=self._labelled)
            self._server = await monitor.listen()
        except OSError as e:
            raise UsageError(f"{self._what}: host {self._host}, port {self._port}: {e.strerror}") from e

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        pass

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _labelled(self, text: str) -> str:
        """The numbers with the labels that are to be added."""
        if not self._labels:
            return text
        added = ",".join(f'{name}="{_escaped(value)}"' for name, value in self._labels)
        return _SAMPLE.sub(lambda m: f"{m[1]}{{{added}{',' + m[2] if m[2] else ''}}} {m[3]}", text)


def labels_of(what: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    """Of key `add_label`."""
    found = []
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if not value.strip() or not _NAME.fullmatch(name):
            raise UsageError(f"{what}: 'add_label' takes a name and a value, with a space between them")
        found.append((name, value.strip()))
    return found


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
