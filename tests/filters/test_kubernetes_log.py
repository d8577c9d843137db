"""Filter `kubernetes`: what becomes of `log`, and what pods say of their logs by annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubewitness.filters.kubernetes import Kubernetes
from tests.filters.pods import cri, lines_of, log_file, pod, preload, shown
from tests.filters.samples import Pairs, library_of

PARSERS = r"""
[PARSER]
    Name        timed
    Format      regex
    Regex       ^(?<at>\S+) (?<level>\w+) (?<message>.*)$
    Time_Key    at
    Time_Format %Y-%m-%dT%H:%M:%S
[PARSER]
    Name        words
    Format      regex
    Regex       ^(?<first>\w+) (?<rest>.*)$
"""


def merged(tmp_path: Path, text: str, *keys: tuple[str, str]) -> dict[str, Any]:
    """The record without its metadata, for a line of this text."""
    filter_ = Kubernetes([*preload(tmp_path, pod()), ("merge_log", "on"), *keys])
    line = json.dumps(HEAD | {"log": text})
    (record,) = shown(filter_.apply(lines_of(log_file(), [line], "record")))
    assert record == shown(filter_.apply(lines_of(log_file(), cri(text))))[0] or "\n" in text
    assert list(record)[-1] == "kubernetes"
    del record["kubernetes"]
    assert isinstance(record, dict)
    return record


HEAD = {"time": "2026-11-22T10:00:00Z", "stream": "stdout", "_p": "F"}


@pytest.mark.parametrize(
    ("text", "keys", "expected"),
    [
        ('{"a":1,"b":{"c":[1.50]}}', [], {"log": '{"a":1,"b":{"c":[1.50]}}', "a": 1, "b": {"c": [1.5]}}),
        ('{"a":1}', [("keep_log", "off")], {"a": 1}),
        ('{"a":1}', [("merge_log_key", "app"), ("keep_log", "off")], {"app": {"a": 1}}),
        ('{"a":1}', [("merge_log_key", "app")], {"log": '{"a":1}', "app": {"a": 1}}),
        ("{}", [("merge_log_key", "app")], {"log": "{}"}),
        # the application's own keys are before the runtime's
        ('{"stream":"x"}', [("keep_log", "off")], {"stream": "x"}),
        (' {"a":"x\\n","b":"y\\\\n","c":"\\nz"}', [("keep_log", "off")], {"a": "x", "b": "y", "c": "\nz"}),
        ('{"a":"x\\n"}', [("keep_log", "off"), ("merge_log_trim", "off")], {"a": "x\n"}),
        ('{"a":"x\ny\n", "b":1}', [("keep_log", "off")], {"a": "x\ny", "b": 1}),
        # what is no object, or not one object alone, stays
        ("plain", [("keep_log", "off")], {"log": "plain"}),
        ("[1]", [], {"log": "[1]"}),
        ('{"a":1} {"b":2}', [], {"log": '{"a":1} {"b":2}'}),
        ('{"a":', [], {"log": '{"a":'}),
        ("hello wide world", [("merge_parser", "logfmt")], {"log": "hello wide world"}),
    ],
)  # fmt: skip
def test_json_is_merged(tmp_path: Path, text: str, keys: Pairs, expected: dict[str, Any]) -> None:
    record = merged(tmp_path, text, *keys)
    if keys == [("merge_parser", "logfmt")]:
        assert record["log"] == text
        return
    assert record == HEAD | expected


def test_a_log_that_is_an_object_already_is_merged_as_it_is(tmp_path: Path) -> None:
    filter_ = Kubernetes([*preload(tmp_path, pod()), ("merge_log", "on"), ("keep_log", "off")])
    (record,) = shown(filter_.apply(lines_of(log_file(), ['{"log":{"a":1.50},"b":2}'], "record")))
    assert {k: v for k, v in record.items() if k != "kubernetes"} == {"b": 2, "a": 1.5}


def test_a_parser_may_take_the_log_apart_and_set_the_time(tmp_path: Path) -> None:
    library = library_of(tmp_path, PARSERS)
    filter_ = Kubernetes([*preload(tmp_path, pod()), ("merge_log", "on"), ("merge_parser", "timed")], library=library)
    chunk = lines_of(log_file(), cri("2026-01-01T00:00:00 info started", "nothing"))
    (left,) = filter_.apply(chunk)
    first, second = shown([left])
    assert (first["level"], first["message"], "at" in first, "level" in second) == ("info", "started", False, False)
    assert left.times is not None
    assert list(left.times) == [1_767_225_600_000_000_000, 1_795_341_601_000_000_000]


def test_lines_without_an_object_are_not_touched(tmp_path: Path) -> None:
    filter_ = Kubernetes([*preload(tmp_path, pod()), ("merge_log", "on")])
    (left,) = filter_.apply(lines_of(log_file(), cri("a", "b")))
    assert (left.form, left.notes) == ("cri", {})


# --- annotations -----------------------------------------------------------------------------------------------------

STREAMS = [*cri("one"), *cri("two", stream="stderr")]


def logs_left(tmp_path: Path, annotations: dict[str, str], *keys: tuple[str, str], container: str = "app") -> list[str]:
    told = {f"fluentbit.io/{name}": value for name, value in annotations.items()}
    filter_ = Kubernetes([*preload(tmp_path, pod(annotations=told)), *keys])
    left = [r["log"] for r in shown(filter_.apply(lines_of(log_file(container=container), STREAMS)))]
    assert filter_.health()["excluded"] == (2 - len(left))
    return left


@pytest.mark.parametrize(
    ("annotations", "left"),
    [
        ({"exclude": "true"}, []),
        ({"exclude": "false"}, ["one", "two"]),
        ({"exclude_stderr": "true"}, ["one"]),
        ({"exclude_stdout": "True"}, ["two"]),
        ({"exclude-app": "true"}, []),
        ({"exclude_stdout-app": "true"}, ["two"]),
        ({"exclude": "true", "exclude-app": "false"}, ["one", "two"]),
        ({"exclude-app": "false", "exclude": "true"}, ["one", "two"]),
        # of another container, also one whose name begins alike
        ({"exclude-ap": "true"}, ["one", "two"]),
        ({"exclude_neither": "true", "exclude-": "true", "other": "true"}, ["one", "two"]),
    ],
)
def test_a_pod_may_have_its_logs_left_out(tmp_path: Path, annotations: dict[str, str], left: list[str]) -> None:
    assert logs_left(tmp_path, annotations, ("k8s-logging.exclude", "on")) == left
    assert logs_left(tmp_path, annotations) == ["one", "two"]


def test_a_namespace_may_have_its_logs_left_out_unless_a_pod_says_otherwise(tmp_path: Path) -> None:
    meta = {"name": "shop", "annotations": {"fluentbit.io/exclude": "true"}}
    (tmp_path / "shop.namespace_meta").write_text(json.dumps({"metadata": meta}))
    keys = (("k8s-logging.exclude", "on"), ("namespace_labels", "on"))
    assert logs_left(tmp_path, {}, *keys) == []
    assert logs_left(tmp_path, {"exclude_stdout": "false"}, *keys) == ["one"]


@pytest.mark.parametrize(
    ("annotations", "parsed"),
    [
        ({"parser": "words"}, [True, True]),
        ({"parser_stdout": "words"}, [True, False]),
        ({"parser_stderr-app": "words"}, [False, True]),
        ({"parser-other": "words"}, [False, False]),
        ({"parser": "timed", "parser-app": "words"}, [True, True]),
        ({"parser": "nope"}, [False, False]),
    ],
)
def test_a_pod_may_name_the_parser_of_its_log(tmp_path: Path, annotations: dict[str, str], parsed: list[bool]) -> None:
    told = {f"fluentbit.io/{name}": value for name, value in annotations.items()}
    keys = [*preload(tmp_path, pod(annotations=told)), ("merge_log", "on")]
    chunk = lines_of(log_file(), [*cri("hello world"), *cri("wide world", stream="stderr")])
    library = library_of(tmp_path, PARSERS)
    allowed = Kubernetes([*keys, ("k8s-logging.parser", "on")], library=library)
    assert ["first" in r for r in shown(allowed.apply(chunk))] == parsed
    assert allowed.health()["unknown_parsers"] == ("nope" in annotations.values())
    assert not any("first" in r for r in shown(Kubernetes(keys, library=library).apply(chunk)))


def test_a_record_of_no_stream_is_left_out_and_parsed_only_when_both_are(tmp_path: Path) -> None:
    records = ['{"log":"hello world"}']

    def left(**told: str) -> list[Any]:
        annotations = {f"fluentbit.io/{name}": value for name, value in told.items()}
        keys = [("k8s-logging.exclude", "on"), ("k8s-logging.parser", "on"), ("merge_log", "on")]
        filter_ = Kubernetes(
            [*preload(tmp_path, pod(annotations=annotations)), *keys], library=library_of(tmp_path, PARSERS)
        )
        return shown(filter_.apply(lines_of(log_file(), records, "record")))

    assert len(left(exclude_stdout="true")) == 1
    assert left(exclude_stdout="true", exclude_stderr="true") == []
    assert "first" not in left(parser_stdout="words")[0]
    assert "first" in left(parser="words")[0]
