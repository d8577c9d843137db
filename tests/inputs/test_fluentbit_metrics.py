"""Input `fluentbit_metrics`: the pipeline's numbers as records."""

from __future__ import annotations

import json

from kubewitness.inputs.fluentbit_metrics import FluentbitMetrics, samples
from kubewitness.web.metrics import prometheus
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept

TEXT = """\
# HELP log_size How much.
# TYPE log_size histogram
log_size_bucket{le="+Inf",pod="a \\"b\\"\\\\\\n"} 3
log_size_sum 0.5
# TYPE other counter
other{} 1e3
odd NaN
"""


def test_numbers_keep_their_names_types_and_labels() -> None:
    assert list(samples(TEXT)) == [
        {"name": "log_size_bucket", "type": "histogram", "labels": {"le": "+Inf", "pod": 'a "b"\\\n'}, "value": 3},
        {"name": "log_size_sum", "type": "histogram", "labels": {}, "value": 0.5},
        {"name": "other", "type": "counter", "labels": {}, "value": 1000.0},
        {"name": "odd", "type": "untyped", "labels": {}, "value": "NaN"},
    ]


async def test_each_look_gives_all_numbers_of_the_pipeline() -> None:
    kept = Kept()
    source = FluentbitMetrics(
        {"tag": "internal_metrics", "scrape_interval": "1ms", "scrape_on_start": "on", "cluster": "prod"}
    )
    health = {"healthy": True, "outputs": {"loki.0": {"records": 7, "state": "running"}}}
    source.watch(lambda: health, lambda: TEXT)
    async with running(source, kept):
        await until(lambda: len(kept.chunks) > 1)
    expected = list(samples(prometheus({"pipeline": health}) + TEXT))
    found = [json.loads(raw) for raw, _ in kept.records("logs")]
    assert found[: len(expected)] == expected
    assert {"name": "kubewitness_pipeline_records", "type": "gauge", "labels": {"name": "outputs/loki.0"},
            "value": 7} in found  # fmt: skip
    assert {(chunk.tag, chunk.cluster) for chunk in kept.chunks} == {("internal_metrics", "prod")}
