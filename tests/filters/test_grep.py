"""Filter `grep`: Fluent Bit's manual, its modes, and what is told from bytes alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.errors import UsageError
from tests.filters.samples import RECORDS, chunk_of_json, chunk_of_lines, made, through

LINES = [{"log": word} for word in ("aaa", "aab", "bbb", "ccc", "ddd", "eee", "fff", "ggg")]
POD = {"log": "something", "kubernetes": {"pod_name": "myapp-0", "labels": {"app": "myapp"}}}


def test_the_first_example_of_the_manual() -> None:
    assert through(made("grep", {"regex": "log aa"}), LINES) == [{"log": "aaa"}, {"log": "aab"}]


def test_a_nested_field_of_the_manual() -> None:
    other = {"log": "x", "kubernetes": {"labels": {"app": "other"}}}
    grep = made("grep", {"exclude": "$kubernetes['labels']['app'] myapp"})
    assert through(grep, [POD, other, {"log": "none"}]) == [other, {"log": "none"}]


def test_a_missing_key_does_not_match() -> None:
    grep = made("grep", {"regex": r"iot_timestamp ^\d{4}-\d{2}-\d{2}"})
    good = {"iot_timestamp": "2026-11-27 10:00"}
    assert through(grep, [good, {"other": 1}, {"iot_timestamp": ""}, {"iot_timestamp": None}]) == [good]


def test_or_of_the_manual() -> None:
    grep = made("grep", [("logical_op", "OR"), ("regex", "value something"), ("regex", "value error")])
    records = [{"value": "something"}, {"value": "an error"}, {"value": "fine"}, {}]
    assert through(grep, records) == records[:2]


@pytest.mark.parametrize(
    ("op", "key", "kept"),
    [
        ("legacy", "regex", [3]),
        ("legacy", "exclude", [0]),
        ("and", "regex", [3]),
        ("or", "regex", [1, 2, 3]),
        ("and", "exclude", [0, 1, 2]),
        ("or", "exclude", [0]),
    ],
)
def test_two_rules_in_every_mode(op: str, key: str, kept: list[int]) -> None:
    records = [{"a": "-", "b": "-"}, {"a": "x", "b": "-"}, {"a": "-", "b": "y"}, {"a": "x", "b": "y"}]
    grep = made("grep", [("logical_op", op), (key, "a x"), (key, "b y")])
    assert through(grep, records) == [records[i] for i in kept]


def test_legacy_takes_regex_and_exclude_in_any_order() -> None:
    for pairs in ([("regex", "a x"), ("exclude", "b y")], [("exclude", "b y"), ("regex", "a x")]):
        assert through(made("grep", pairs), [{"a": "x", "b": "y"}, {"a": "x"}, {"a": "z"}]) == [{"a": "x"}]


def test_numbers_and_booleans_match_as_json_writes_them() -> None:
    assert through(made("grep", {"regex": "code ^5"}), [{"code": 503}, {"code": 200}]) == [{"code": 503}]
    assert through(made("grep", {"exclude": "ok ^true$"}), [{"ok": True}, {"ok": False}]) == [{"ok": False}]


def test_both_kinds_of_rules_with_and_or_or_are_refused() -> None:
    with pytest.raises(UsageError, match="all 'regex' or all 'exclude'"):
        made("grep", [("logical_op", "and"), ("regex", "a b"), ("exclude", "a c")])


@pytest.mark.parametrize("value", ["log", "log (", "$a[ b"])
def test_a_rule_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="filter grep: "):
        made("grep", {"regex": value})


def test_what_is_kept_keeps_its_bytes_and_a_log_line_its_form() -> None:
    chunk = chunk_of_lines([b"2026-11-22T19:26:05.038Z stdout F aa", b"2026-11-22T19:26:06.038Z stdout F bb"], "cri")
    (left,) = made("grep", {"regex": "log bb"}).apply(chunk)
    assert (left.form, left.data) == ("cri", b"2026-11-22T19:26:06.038Z stdout F bb\n")
    assert left.place(0, 0) == ("app.log", 100 + 37)


def test_a_word_that_the_record_escapes_is_found() -> None:
    grep = made("grep", {"regex": "log ^delete$"})
    chunk = chunk_of_json([rb'{"log":"\u0064elete"}', b'{"log":"delete"}', b'{"log":"delete it"}', b'{"log":"get"}'])
    assert [list(c.records()) for c in grep.apply(chunk)] == [[rb'{"log":"\u0064elete"}', b'{"log":"delete"}']]


WORDS = st.sampled_from(["get", "alice", "hello", "1.5", "0", "a-b c:d_1", "true", "false"])


@settings(max_examples=15, deadline=None)
@given(st.lists(RECORDS, max_size=5), st.lists(WORDS, min_size=1, max_size=3), st.sampled_from(["regex", "exclude"]))
def test_looking_at_bytes_alone_decides_as_decoding_does(
    records: list[dict[str, Any]], words: list[str], key: str
) -> None:
    pattern = "|".join(words)
    simple, spelled = made("grep", {key: f"log {pattern}"}), made("grep", {key: f"log (?=){pattern}"})
    assert through(simple, records) == through(spelled, records)


def test_values_of_other_types_never_match() -> None:
    records = [{"log": ["a"]}, {"log": {"a": "a"}}, {"log": None}, {}]
    assert through(made("grep", {"regex": "log a|null"}), records) == []
    assert through(made("grep", {"exclude": "log a|null"}), records) == records


def test_an_expression_that_runs_away_keeps_the_record_and_is_counted() -> None:
    grep = made("grep", {"regex": "log ^(a|aa)+$"})
    record = {"log": "a" * 40 + "!"}
    assert through(grep, [record]) == [record]
    assert grep.health() == {"unread": 1}


def test_a_record_that_cannot_be_read_is_kept_and_counted() -> None:
    grep = made("grep", {"regex": "log ^x+$"})
    assert [list(c.records()) for c in grep.apply(chunk_of_json([b"[1, 2]"]))] == [[b"[1, 2]"]]
    assert grep.health() == {"unread": 1}
