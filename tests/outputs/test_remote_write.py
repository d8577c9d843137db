"""Output `prometheus_remote_write`: numbers as Prometheus reads them, and a pipeline that sends its own."""

from __future__ import annotations

import asyncio
import gzip
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import web

from kubewitness.contracts import Batch, Delivery
from kubewitness.errors import UsageError
from kubewitness.outputs.prometheus_remote_write import PrometheusRemoteWriteOutput
from kubewitness.outputs.remote_write_series import read
from kubewitness.outputs.snapshots import Snapshots
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.record import Chunk
from tests.journal.helpers import numbered
from tests.outputs.sides import RemoteWriteSide
from tests.outputs.test_prometheus import COUNTING
from tests.pipeline.test_run import event

pytestmark = pytest.mark.timeout(60)

TEXT = """\
# HELP log_metric_counter_requests requests by verb
# TYPE log_metric_counter_requests counter
log_metric_counter_requests{verb="get",path="a \\"b\\" \\\\ c\\n"} 5
# TYPE seconds histogram
seconds_bucket{le="0.5"} 1
seconds_bucket{le="+Inf"} 2
seconds_sum 1.5e-3
seconds_count 2
up{empty=""} NaN
"""
PIPELINE = f"""\
{COUNTING}  outputs:
    - name: prometheus_remote_write
      match: metrics
      port: {{port}}
      uri: /api/v1/write
      interval: 20ms
      add_label: cluster shop
"""


def numbers(*texts: tuple[int, str]) -> Chunk:
    """A chunk of (milliseconds, text)."""
    data = [text.encode() for _, text in texts]
    ends = array("I")
    for raw in data:
        ends.append((ends[-1] + 1 if ends else 0) + len(raw))
    return Chunk("metrics", data=b"\n".join(data) + b"\n", ends=ends, times=array("q", [ms * 10**6 for ms, _ in texts]))


async def test_series_have_sorted_labels_their_values_and_what_kind_they_are() -> None:
    async with RemoteWriteSide() as side:
        output = PrometheusRemoteWriteOutput(
            {"port": str(side.port), "uri": "api/v1/write", "add_label": "verb none\nz 1"}
        )
        await output.write([Delivery(1, numbers((1_700_000_000_001, TEXT), (1_700_000_000_002, "up 1")))])
        await output.close()
        assert side.wrong == []
    found = {dict(labels)["__name__"]: (dict(labels), samples) for labels, samples in side.samples.items()}
    labels, samples = found["log_metric_counter_requests"]
    assert labels == {"__name__": "log_metric_counter_requests", "path": 'a "b" \\ c\n', "verb": "get", "z": "1"}
    assert samples == [(1_700_000_000_001, 5.0)]
    assert found["seconds_sum"][1] == [(1_700_000_000_001, 0.0015)]
    assert found["up"][0] == {"__name__": "up", "verb": "none", "z": "1"}
    assert [ms for ms, _ in found["up"][1]] == [1_700_000_000_001, 1_700_000_000_002]
    assert side.families == {"log_metric_counter_requests": (1, "requests by verb"), "seconds": (3, "")}


def test_every_number_of_the_text_is_read_and_nothing_else() -> None:
    series, _ = read(TEXT + "no number here\n# EOF\n")
    assert len(series) == 6


async def test_a_pipeline_sends_what_a_filter_counts_and_its_own_numbers_to_the_very_end(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(b"".join(event(n) + b"\n" for n in range(5)))
    async with RemoteWriteSide() as side:
        (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(place=tmp_path, port=side.port))
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kubewitness", "run", "-c", str(tmp_path / "pipeline.yaml"), "--exit-on-eof"),
            *("--state", str(tmp_path / "state")),
        )
        assert await child.wait() == 0
        assert side.wrong == []
    found = {dict(labels)["__name__"]: samples for labels, samples in side.samples.items() if dict(labels)["cluster"]}
    assert found["log_metric_counter_requests"][-1][1] == 5.0
    assert "kubewitness_pipeline_healthy" in found


async def drained(feed: Snapshots, output: str) -> list[int]:
    seqs: list[int] = []
    while found := await feed.take(output):
        seqs += [delivery.seq for delivery in found]
        await feed.done(output, found[-1].seq)
    return seqs


async def test_records_pass_by_and_numbers_that_wait_too_long_go_oldest_first_and_are_counted() -> None:
    records = MemoryQueue()
    feed = Snapshots(records, lambda: "up 1" * 25, seconds=0.001, limit=350)  # room for three
    await feed.open("p")
    for n in range(3):
        await records.put(Batch([numbered(n)]))
    while feed.dropped < 5 or records.health()["held"]:
        await asyncio.sleep(0.001)
    feed.finish()
    seqs = await drained(feed, "p")
    assert len(seqs) == 3
    assert seqs[-1] == feed.dropped + 3
    feed.stop()


async def test_a_clock_that_is_set_back_sends_no_numbers_into_the_past(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_700_000_000_000_000_000, 1_600_000_000_000_000_000, 1_700_000_001_000_000_000])
    monkeypatch.setattr("kubewitness.outputs.snapshots.time.time_ns", lambda: next(times))
    feed = Snapshots(MemoryQueue(), lambda: "up 1", seconds=60, limit=10_000)
    for _ in range(3):
        feed._add()
    held: Sequence[Delivery] = await feed.take("p")
    assert [d.chunk.times[0] // 10**6 - 1_700_000_000_000 for d in held if d.chunk.times] == [0, 1, 1000]


async def test_numbers_over_the_size_that_may_wait_are_dropped_and_counted() -> None:
    output = PrometheusRemoteWriteOutput({"buffer_size": "350", "interval": "1ms"})
    output.show(dict, lambda: "up 1\n" * 20)
    feed = output.feed(MemoryQueue())
    await feed.open("p")
    while output.health()["dropped_snapshots"] != 3:
        await asyncio.sleep(0.001)
    waiting = sum(w.size for w in feed.waiting(0))
    assert 100 < waiting <= 350
    await output.close()


async def test_bodies_may_be_gzip_for_who_takes_that() -> None:
    class Gzip(RemoteWriteSide):
        def unpacked(self, request: web.Request, body: bytes) -> bytes:
            assert request.headers["Content-Encoding"] == "gzip"
            return gzip.decompress(body)

    async with Gzip() as side:
        output = PrometheusRemoteWriteOutput({"port": str(side.port), "uri": "/api/v1/write", "compression": "gzip"})
        await output.write([Delivery(1, numbers((1_700_000_000_001, "up 1")))])
        await output.close()
        assert side.wrong == []
        assert list(side.samples.values()) == [[(1_700_000_000_001, 1.0)]]


def test_keys_are_checked_before_anything_runs() -> None:
    with pytest.raises(UsageError, match="'add_label' takes a name and a value"):
        PrometheusRemoteWriteOutput({"add_label": "cluster"})
    with pytest.raises(UsageError, match="'compression' cannot be 'zstd'"):
        PrometheusRemoteWriteOutput({"compression": "zstd"})
