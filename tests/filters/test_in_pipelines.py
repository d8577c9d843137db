"""Filters in pipelines that run: parsers by name, metrics over HTTP, an end with a status."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kubewitness.cli import main
from kubewitness.pipeline.filtering import Filters, Step
from kubewitness.web.monitor import Monitor
from tests.cluster.harness.ports import free_port
from tests.filters.samples import chunk_of_json, made

PARSED = """\
[SERVICE]
    Parsers_File {place}/parsers.conf

[INPUT]
    Name    tail
    Path    {place}/app.log
    Tag     app
    Read_From_Head on

[FILTER]
    Name         parser
    Match        *
    Key_Name     log
    Parser       mine
    Parser       json
    Reserve_Data on

[FILTER]
    Name         expect
    Match        *
    Key_exists   level
    Action       exit

[OUTPUT]
    Name    file
    Match   *
    Path    {place}
    File    out.jsonl
    Format  plain
"""

PARSERS = """\
[PARSER]
    Name   mine
    Format regex
    Regex  ^(?<level>[A-Z]+) (?<said>.*)$
"""


def run(place: Path, log: str) -> int:
    (place / "app.log").write_text(log)
    (place / "parsers.conf").write_text(PARSERS)
    (place / "a.conf").write_text(PARSED.replace("{place}", str(place)))
    return main(["run", "-c", str(place / "a.conf"), "--exit-on-eof", "--state", str(place / "state")])


def test_parsers_of_a_file_and_bundled_ones_are_found_by_name(tmp_path: Path) -> None:
    assert run(tmp_path, 'INFO hello\n{"level": "x"}\n') == 0
    left = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert left == [{"level": "INFO", "said": "hello"}, {"level": "x"}]


def test_a_record_that_is_not_as_expected_ends_the_pipeline_with_255(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "INFO hello\nno level\n") == 255
    assert "filter expect.0: a record of tag app fails key_exists $['level']" in capsys.readouterr().err


async def test_metrics_of_records_are_shown_beside_those_of_the_pipeline() -> None:
    pairs = [("metric_name", "verbs"), ("metric_description", "By verb")]
    steps = [("one", [*pairs, ("label_field", "verb")]), ("two", [*pairs, ("add_label", "all $nothing")])]
    filters = Filters([Step(made("log_to_metrics", keys, name), lambda tag: True) for name, keys in steps])
    filters.apply(chunk_of_json([{"verb": "get"}, {"verb": "get"}, {"verb": "list"}]))
    for settle in filters.settle():
        settle(True)
    port = free_port()
    monitor = Monitor("127.0.0.1", port, lambda: {"healthy": True, "filters": filters.health()}, filters.metrics)
    serving = asyncio.create_task(monitor.run())
    try:
        text = await asyncio.to_thread(_get, port)
    finally:
        serving.cancel()
    assert 'kubewitness_pipeline_records{name="filters/one"} 3' in text
    assert text.endswith(
        "# HELP log_metric_counter_verbs By verb\n# TYPE log_metric_counter_verbs counter\n"
        'log_metric_counter_verbs{verb="get"} 2\nlog_metric_counter_verbs{verb="list"} 1\n'
        'log_metric_counter_verbs{all=""} 3\n'
    )


def _get(port: int) -> str:
    """As soon as somebody listens."""
    until = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            assert time.monotonic() < until
            time.sleep(0.02)
