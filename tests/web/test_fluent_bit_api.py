"""The monitoring port, as what asks Fluent Bit's expects it: names, shapes, codes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from kubewitness.web.fluent_bit_api import FluentBitApi
from kubewitness.web.fluent_bit_health import HealthWindow

COUNTS = {
    "input": {"tail.0": {"records": 57, "bytes": 18069, "files_opened": 4, "long_line_skipped": 1}},
    "filter": {"grep.0": {"records": 57, "bytes": 18069, "drop_records": 3, "add_records": 0, "emit_records": 0}},
    "output": {
        "http.0": {"proc_records": 54, "proc_bytes": 17118, "errors": 1, "retries": 2, "retries_failed": 0,
                   "dropped_records": 0, "retried_records": 9},
    },
}  # fmt: skip


class Pipeline:
    """What one would tell; which it is asked for, and how that is shown, is what is tested."""

    def __init__(self) -> None:
        self.reloads = 4
        self.window = HealthWindow()
        self.may_reload = True
        self.reloading = False
        self.accepts = True

    def reload(self) -> bool:
        self.reloads += self.accepts
        return self.accepts

    def counts(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        return COUNTS

    def waiting(self) -> Mapping[str, int]:
        return {"chunks": 3, "bytes": 2_000_000, "limit": 8_000_000, "memory": 1}

    def paused(self) -> Mapping[str, bool]:
        return {"tail.0": False}


@pytest.fixture
def told() -> Pipeline:
    return Pipeline()


@pytest.fixture
def api(told: Pipeline) -> FluentBitApi:
    plugins = {"inputs": ["tail"], "filters": ["grep"], "outputs": ["http"]}
    return FluentBitApi(told, plugins, lambda: "kubewitness_own 1\n", "node-1", lambda: {"error": 2, "warn": 0})


def asked(api: FluentBitApi, path: str, method: str = "GET") -> tuple[str, str]:
    """(status, body)."""
    answer = api.answer(method, path)
    assert answer is not None
    return answer.status, answer.body.decode()


def told_json(api: FluentBitApi, path: str) -> object:
    status, body = asked(api, path)
    assert status == "200 OK"
    return json.loads(body)


def test_the_root_tells_the_build(api: FluentBitApi) -> None:
    about = told_json(api, "/")
    assert isinstance(about, dict)
    assert about["fluent-bit"].keys() == {"version", "edition", "flags"}


def test_the_uptime_is_told_for_machines_and_for_people(api: FluentBitApi) -> None:
    api._started -= 2 * 86400 + 3 * 3600 + 61
    uptime = told_json(api, "/api/v1/uptime")
    assert uptime == {
        "uptime_sec": 183661,
        "uptime_hr": "Fluent Bit has been running:  2 days, 3 hours, 1 minute and 1 second",
    }


def test_plugins_are_listed_by_kind(api: FluentBitApi) -> None:
    assert told_json(api, "/api/v1/plugins") == {
        "plugins": {"inputs": ["tail"], "filters": ["grep"], "outputs": ["http"]}
    }


def test_metrics_v1_are_by_kind_and_name(api: FluentBitApi) -> None:
    assert told_json(api, "/api/v1/metrics") == COUNTS


def test_metrics_v1_for_prometheus_have_times(api: FluentBitApi) -> None:
    _, body = asked(api, "/api/v1/metrics/prometheus")
    assert re.search(r'^fluentbit_input_records_total\{name="tail.0"\} 57 \d{13}$', body, re.MULTILINE)
    assert "# TYPE fluentbit_output_proc_records_total counter\n" in body
    assert re.search(r"^fluentbit_uptime \d+ \d{13}$", body, re.MULTILINE)
    assert body.endswith("kubewitness_own 1\n")


@pytest.mark.parametrize("path", ["/api/v2/metrics/prometheus", "/metrics"])
def test_metrics_v2_are_what_dashboards_ask_for(api: FluentBitApi, path: str) -> None:
    _, body = asked(api, path)
    lines = set(body.splitlines())
    assert lines >= {
        'fluentbit_input_records_total{name="tail.0"} 57',
        'fluentbit_input_bytes_total{name="tail.0"} 18069',
        'fluentbit_input_ingestion_paused{name="tail.0"} 0',
        'fluentbit_input_files_opened_total{name="tail.0"} 4',
        'fluentbit_input_long_line_skipped_total{name="tail.0"} 1',
        'fluentbit_logger_logs_total{message_type="error"} 2',
        'fluentbit_filter_drop_records_total{name="grep.0"} 3',
        'fluentbit_output_proc_records_total{name="http.0"} 54',
        'fluentbit_output_proc_bytes_total{name="http.0"} 17118',
        'fluentbit_output_errors_total{name="http.0"} 1',
        'fluentbit_output_retries_total{name="http.0"} 2',
        'fluentbit_output_retries_failed_total{name="http.0"} 0',
        'fluentbit_output_retried_records_total{name="http.0"} 9',
        'fluentbit_output_dropped_records_total{name="http.0"} 0',
        'fluentbit_output_chunk_available_capacity_percent{name="http.0"} 75',
        'fluentbit_hot_reloaded_times{hostname="node-1"} 4',
        'fluentbit_storage_mem_chunks{hostname="node-1"} 3',
    }
    assert {'fluentbit_build_info{hostname="node-1"', 'fluentbit_uptime{hostname="node-1"}'} <= {
        word for line in lines for word in (line.split(",")[0], line.split(" ")[0])
    }
    names = [line.split(" ")[2] for line in body.splitlines() if line.startswith("# TYPE fluentbit")]
    assert len(names) == len(set(names))
    assert "kubewitness_own 1" in lines


def test_metrics_v2_have_a_form_for_people(api: FluentBitApi) -> None:
    _, body = asked(api, "/api/v2/metrics")
    shown = r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z fluentbit_output_proc_records_total\{name="http.0"\} = 54$'
    assert re.search(shown, body, re.MULTILINE)


def test_the_storage_layer_tells_its_chunks(api: FluentBitApi) -> None:
    assert told_json(api, "/api/v1/storage") == {
        "storage_layer": {
            "chunks": {"total_chunks": 3, "mem_chunks": 3, "fs_chunks": 0, "fs_chunks_up": 0, "fs_chunks_down": 0}
        },
        "input_chunks": {
            "tail.0": {
                "status": {"overlimit": False, "mem_size": "1.9M", "mem_limit": "7.6M"},
                "chunks": {"total": 3, "up": 3, "down": 0, "busy": 0, "busy_size": "0b"},
            }
        },
    }


def test_more_failures_than_allowed_make_it_unhealthy(api: FluentBitApi, told: Pipeline) -> None:
    assert asked(api, "/api/v1/health") == ("200 OK", "ok\n")
    told.window.note(errors=6, retries_failed=0)
    assert asked(api, "/api/v1/health") == ("500 Internal Server Error", "error\n")
    status, body = asked(api, "/api/v2/health")
    assert status == "500 Internal Server Error"
    assert json.loads(body) == {
        "status": "error", "errors": 6, "retries_failed": 0, "error_limit": 5, "retry_failure_limit": 5,
        "period_limit": 60,
    }  # fmt: skip


def test_failures_count_within_the_period_only() -> None:
    now = [100.0]
    window = HealthWindow(errors=5, retries_failed=2, period=60, clock=lambda: now[0])
    for now[0], errors, failed, healthy in (
        (101.0, 5, 0, True),
        (102.0, 6, 0, False),
        (161.5, 6, 0, True),  # of the last 60 s there is one
        (163.0, 6, 3, False),
        (164.0, 0, 0, True),  # a reload: counted anew
        (165.0, 0, 3, False),
        (230.0, 0, 3, True),
    ):
        window.note(errors, failed)
        assert window.healthy is healthy, now[0]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_reload_is_asked_for_and_counted(api: FluentBitApi, told: Pipeline, method: str) -> None:
    assert asked(api, "/api/v2/reload", method) == ("200 OK", '{"reload":"done","status":0}')
    assert asked(api, "/api/v2/reload") == ("200 OK", '{"hot_reload_count":5}')


def test_a_reload_that_is_not_done_says_why(api: FluentBitApi, told: Pipeline) -> None:
    told.accepts = False
    assert asked(api, "/api/v2/reload", "POST") == ("400 Bad Request", '{"reload":"refused","status":-3}')
    told.reloading = True
    assert asked(api, "/api/v2/reload", "POST") == ("400 Bad Request", '{"reload":"in progress","status":-2}')
    told.may_reload = False
    assert asked(api, "/api/v2/reload", "POST") == ("200 OK", '{"reload":"not enabled","status":-1}')
    assert asked(api, "/api/v2/reload", "DELETE")[0] == "400 Bad Request"
    assert told.reloads == 4


def test_what_it_does_not_know_is_left_to_others(api: FluentBitApi) -> None:
    assert api.answer("GET", "/healthz") is None
    assert api.answer("POST", "/api/v1/metrics") is None
