"""Filter `log_to_metrics`: the manual's examples, in Prometheus' text."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kubewitness.errors import UsageError
from kubewitness.filters import log_to_metrics
from kubewitness.filters.log_to_metrics import LogToMetrics
from tests.filters.samples import Pairs, chunk_of_json, made

POD = {"namespace_name": "default", "docker_id": "abc123", "pod_name": "pod1", "container_name": "mycontainer",
       "pod_id": "def456", "labels": {"app": "app1"}}  # fmt: skip
DUMMY: list[Any] = [
    {"message": "dummy", "kubernetes": POD, "duration": 20, "color": "red", "shape": "circle"},
    {"message": "hello", "kubernetes": POD, "duration": 60, "color": "blue", "shape": "square"},
]
LABELS = (
    'namespace_name="default",pod_name="pod1",container_name="mycontainer",docker_id="abc123",pod_id="def456",'
    'app="app1",color="blue",shape="square"'
)
LABELLED = [
    ("metric_name", "current_duration"), ("metric_description", "This metric shows the current duration"),
    ("value_field", "duration"), ("kubernetes_mode", "on"), ("regex", "message .*el.*"),
    ("add_label", "app $kubernetes['labels']['app']"), ("label_field", "color"), ("label_field", "shape"),
]  # fmt: skip


def counted(pairs: Pairs, records: list[Any], *, durable: bool = True) -> tuple[LogToMetrics, str]:
    metrics = cast(LogToMetrics, made("log_to_metrics", pairs))
    metrics.apply(chunk_of_json(records))
    metrics.settle()(durable)
    return metrics, metrics.metrics()


def test_a_counter_of_the_manual() -> None:
    pairs = [("metric_mode", "counter"), ("metric_name", "count_all_dummy_messages"),
             ("metric_description", "This metric counts dummy messages")]  # fmt: skip
    assert counted(pairs, DUMMY)[1] == (
        "# HELP log_metric_counter_count_all_dummy_messages This metric counts dummy messages\n"
        "# TYPE log_metric_counter_count_all_dummy_messages counter\n"
        "log_metric_counter_count_all_dummy_messages 2\n"
    )


def test_a_gauge_of_the_manual() -> None:
    text = counted([("metric_mode", "gauge"), *LABELLED], DUMMY)[1]
    assert text.splitlines()[2:] == [f"log_metric_gauge_current_duration{{{LABELS}}} 60"]


def test_a_histogram_has_the_buckets_of_prometheus() -> None:
    lines = counted([("metric_mode", "histogram"), *LABELLED], [*DUMMY, {**DUMMY[1], "duration": 0.01}])[1].splitlines()
    name = "log_metric_histogram_current_duration"
    assert lines[1] == f"# TYPE {name} histogram"
    assert lines[2] == f'{name}_bucket{{le="0.005",{LABELS}}} 0'
    assert lines[3] == f'{name}_bucket{{le="0.01",{LABELS}}} 1'
    assert [line.split('le="')[1].split('"')[0] for line in lines[2:14]] == [
        "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
    ]  # fmt: skip
    assert lines[13:] == [
        f'{name}_bucket{{le="+Inf",{LABELS}}} 2',
        f"{name}_sum{{{LABELS}}} 60.01",
        f"{name}_count{{{LABELS}}} 2",
    ]


def test_buckets_names_and_labels_of_the_users_own() -> None:
    pairs = [("metric_mode", "histogram"), ("metric_namespace", "my-app"), ("metric_subsystem", "web"),
             ("metric_name", "t"), ("value_field", "$r['ms']"), ("bucket", "10"), ("bucket", "2.5"),
             ("label_field", "$r['path']")]  # fmt: skip
    records = [{"r": {"ms": "10", "path": 'a"b'}}, {"r": {"ms": 11, "path": 'a"b'}}, {"r": {"path": "no number"}}]
    metrics, text = counted(pairs, records)
    assert text.splitlines()[1:] == [
        "# TYPE my_app_web_t histogram",
        'my_app_web_t_bucket{le="2.5",r_path="a\\"b"} 0',
        'my_app_web_t_bucket{le="10",r_path="a\\"b"} 1',
        'my_app_web_t_bucket{le="+Inf",r_path="a\\"b"} 2',
        'my_app_web_t_sum{r_path="a\\"b"} 21',
        'my_app_web_t_count{r_path="a\\"b"} 2',
    ]
    assert metrics.health() == {"series": 1, "not_counted": 0, "unread": 1}


def test_what_the_journal_refused_is_not_counted_until_it_comes_again() -> None:
    metrics, text = counted([("metric_name", "n")], DUMMY, durable=False)
    assert text == ""
    metrics.apply(chunk_of_json(DUMMY))
    metrics.settle()(True)
    assert metrics.metrics().endswith(" 2\n")


def test_a_label_that_never_repeats_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_to_metrics, "MAX_SERIES", 3)
    metrics, text = counted([("label_field", "id")], [{"id": n} for n in range(5)])
    assert len(text.splitlines()) == 2 + 3
    assert metrics.health() == {"series": 3, "not_counted": 2, "unread": 0}


def test_records_pass_untouched_or_are_left_out() -> None:
    chunk = chunk_of_json(DUMMY)
    assert made("log_to_metrics", {"exclude": "message ."}).apply(chunk) == [chunk]
    assert made("log_to_metrics", {"discard_logs": "on"}).apply(chunk) == []


@pytest.mark.parametrize("pairs", [[("metric_mode", "gauge")], [("metric_mode", "sum")], [("add_label", "a")],
                                   [("bucket", "x")]])  # fmt: skip
def test_what_cannot_be_is_refused(pairs: Pairs) -> None:
    with pytest.raises(UsageError, match="filter log_to_metrics"):
        made("log_to_metrics", pairs)
