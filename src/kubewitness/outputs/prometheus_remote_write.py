"""Output `prometheus_remote_write`: what filter `log_to_metrics` counts, and the pipeline's own numbers, sent to
Prometheus or whoever speaks its remote-write protocol (Mimir, Thanos, VictoriaMetrics, ...).

The same numbers as `prometheus_exporter` shows; it takes no records. Numbers that cannot be delivered wait in memory,
and go, oldest first, when there are too many: the next ones say where each counter stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.outputs.compress import gzip
from kubewitness.outputs.extras import need
from kubewitness.outputs.http_keys import http_keys, place
from kubewitness.outputs.http_sender import HttpSender
from kubewitness.outputs.prometheus_exporter import labels_of
from kubewitness.outputs.remote_write_series import write_request
from kubewitness.outputs.snapshots import Snapshots
from kubewitness.pipeline.feeds import Feed
from kubewitness.web.metrics import prometheus

KEYS = (
    *place(80),
    Key("uri", default="/", doc="path to send to; Prometheus' own is `/api/v1/write`"),
    Key("interval", "seconds", "15s", "seconds from one look at the numbers to the next (not in Fluent Bit, where "
        "inputs of numbers have one)"),
    Key("add_label", doc="a label of all numbers and its value (`cluster shop`); several by repeating the key",
        multi=True),
    Key("compression", default="snappy", doc="how bodies are compressed; `snappy` is the protocol's, and needs "
        "`kubewitness[prometheus]`", choices=("snappy", "gzip")),
    Key("buffer_size", "size", "8M", "numbers that wait for the far side (as text); what is more is dropped, oldest "
        "first, and counted as `dropped_snapshots` (not in Fluent Bit)"),
    Key("log_response_payload", "bool", "true", "errors quote what the far side answered"),
    *http_keys(aws_service="aps"),
)  # fmt: skip


class PrometheusRemoteWriteOutput:
    """At least once: the same number of the same time again is no second one."""

    batch_bytes = 1_000_000

    def __init__(self, keys: Mapping[str, str], name: str = "prometheus_remote_write") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = HttpSender(what, opts)
        self._sender.tells_answers = opts.flag("log_response_payload")
        self._uri = "/" + opts.text("uri").lstrip("/")
        self._labels = dict(labels_of(what, opts.lines("add_label")))
        self._interval = opts.seconds("interval") or 15.0
        self._limit = opts.number("buffer_size")
        self._encoding = opts.choice("compression")
        self._pack = _packer(what, self._encoding)
        self._numbers: Callable[[], str] = str
        self._feed: Snapshots | None = None

    def show(self, health: Callable[[], Mapping[str, object]], metrics: Callable[[], str]) -> None:
        """What to send: the supervisor's health, and what filters count, as Prometheus text."""
        self._numbers = lambda: prometheus({"pipeline": health()}) + metrics()

    def feed(self, records: Feed) -> Feed:
        """Where it takes its numbers from, in place of the pipeline's feed of records."""
        self._feed = Snapshots(records, lambda: self._numbers(), seconds=self._interval, limit=self._limit)
        return self._feed

    def wants(self, chunk_table: str, tag: str) -> bool:
        return chunk_table == "metrics"

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        body = await asyncio.to_thread(self._body, deliveries)
        headers = {
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": self._encoding,
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        await self._sender.send(self._uri, body, headers, pack=False)

    def _body(self, deliveries: Sequence[Delivery]) -> bytes:
        snapshots = []
        for delivery in deliveries:
            chunk = delivery.chunk
            for raw, ns in zip(chunk.records(), chunk.times or [chunk.received_us * 1000] * len(chunk), strict=True):
                snapshots.append((ns // 1_000_000, raw.decode()))
        return self._pack(b"".join(write_request(snapshots, self._labels)))

    async def close(self) -> None:
        if self._feed is not None:
            self._feed.stop()
        await self._sender.close()

    def health(self) -> Mapping[str, object]:
        return {"dropped_snapshots": self._feed.dropped if self._feed is not None else 0}


def _packer(what: str, encoding: str) -> Callable[[bytes], bytes]:
    if encoding == "gzip":
        return gzip
    need(what, "cramjam", "prometheus")
    import cramjam

    return lambda body: bytes(cramjam.snappy.compress_raw(body))
