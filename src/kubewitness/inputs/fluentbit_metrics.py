"""Input `fluentbit_metrics`: the pipeline's own numbers as records, one for each number.

    {"name": "kubewitness_pipeline_records", "type": "gauge", "labels": {"name": "outputs/loki.0"}, "value": 1024}

They are those of /metrics and of output `prometheus_exporter`, filter `log_to_metrics`' counts among them. In Fluent
Bit this input gives metrics, which only some outputs take; here it gives records, which all do.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Batch, Sink
from kubewitness.inputs.made import RecordChunks, json_of
from kubewitness.web.metrics import prometheus

KEYS = (
    Key("scrape_interval", "seconds", "2", "seconds between two looks at the numbers"),
    Key("scrape_on_start", "bool", "false", "the first look at once"),
    Key("cluster", default="default", doc="name in the store"),
)  # fmt: skip

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


class FluentbitMetrics:
    """Never ends by itself."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("fluentbit_metrics", options, KEYS)
        self.name = opts.text("alias") or f"fluentbit_metrics/{opts.text('tag')}"
        self._every = max(opts.seconds("scrape_interval"), 0.01)
        self._at_once = opts.flag("scrape_on_start")
        self._chunks = RecordChunks("fluentbit_metrics", opts.text("tag"), cluster=opts.text("cluster"), keyed=keyed)
        self._health: Callable[[], Mapping[str, object]] = dict
        self._metrics: Callable[[], str] = str
        self._scrapes = self._records = 0

    def watch(self, health: Callable[[], Mapping[str, object]], metrics: Callable[[], str]) -> None:
        """What to look at: the supervisor's health, and what filters count, as Prometheus text. Before `run`."""
        self._health, self._metrics = health, metrics

    def health(self) -> Mapping[str, object]:
        return {"scrapes": self._scrapes, "records": self._records}

    async def run(self, sink: Sink) -> None:
        clock = asyncio.get_running_loop().time
        next_at = clock() + (0 if self._at_once else self._every)
        while True:
            await asyncio.sleep(max(0.0, next_at - clock()))
            next_at = max(next_at + self._every, clock())
            now = time.time_ns()
            for sample in samples(prometheus({"pipeline": self._health()}) + self._metrics()):
                self._chunks.add(json_of(sample), now)
            self._scrapes += 1
            self._records += (await sink.put(Batch(self._chunks.take()))).stored


def samples(text: str) -> Iterator[dict[str, object]]:
    """The numbers of a text in Prometheus' form, as objects."""
    types: dict[str, str] = {}
    for line in text.splitlines():
        if about := _TYPE.fullmatch(line):
            types[about[1]] = about[2]
        elif found := _SAMPLE.fullmatch(line):
            labels = {m[1]: _ESCAPED.sub(_plain, m[2]) for m in _LABEL.finditer(found[2] or "")}
            yield {"name": found[1], "type": _type(types, found[1]), "labels": labels, "value": _number(found[3])}


def _type(types: Mapping[str, str], name: str) -> str:
    """Of a histogram's parts, the histogram's."""
    return types.get(name) or types.get(re.sub(r"_(?:bucket|sum|count)$", "", name), "untyped")


def _plain(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


def _number(text: str) -> int | float | str:
    """As JSON has it: what is no number there (`NaN`, `+Inf`) stays text."""
    if text.lstrip("-").isdecimal():
        return int(text)
    try:
        value = float(text)
    except ValueError:
        return text
    return value if value - value == 0 else text
