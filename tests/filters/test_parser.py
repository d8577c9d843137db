"""Filter `parser`: the manual's examples, several parsers, times, and what does not fit."""

from __future__ import annotations

import json

import pytest

from kubewitness.errors import UsageError
from kubewitness.filters.parser import ParserFilter
from kubewitness.formats.record_times import stamps_ns
from kubewitness.outputs.lines import json_lines
from kubewitness.parsers.library import Library
from tests.filters.samples import Pairs, chunk_of_json, chunk_of_lines, library_of, through

PARSERS = r"""
[PARSER]
    Name   dummy_test
    Format regex
    Regex  ^(?<INT>[^ ]+) (?<FLOAT>[^ ]+) (?<BOOL>[^ ]+) (?<STRING>.+)$
[PARSER]
    Name   timed
    Format regex
    Regex  ^\[(?<time>[^\]]+)\] (?<said>.*)$
    Time_Format %Y-%m-%dT%H:%M:%S.%L%z
"""
DATA = "100 0.5 true This is example"
FOUND = {"INT": "100", "FLOAT": "0.5", "BOOL": "true", "STRING": "This is example"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return library_of(tmp_path_factory.mktemp("parsers"), PARSERS)


def made_with(library: Library, *pairs: tuple[str, str]) -> ParserFilter:
    return ParserFilter(pairs, library=library)


BASE = (("Key_Name", "data"), ("Parser", "dummy_test"))


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ([], FOUND),
        ([("Reserve_Data", "On")], {**FOUND, "key1": "value1", "key2": "value2"}),
        ([("Reserve_Data", "On"), ("Preserve_Key", "On")], {**FOUND, "data": DATA, "key1": "value1", "key2": "value2"}),
        ([("Preserve_Key", "On")], {**FOUND, "data": DATA}),
    ],
)
def test_the_examples_of_the_manual(library: Library, more: Pairs, left: dict[str, str]) -> None:
    record = {"data": DATA, "key1": "value1", "key2": "value2"}
    (chunk,) = made_with(library, *BASE, *more).apply(chunk_of_json([record]))
    assert json.dumps(json.loads(chunk.data)) == json.dumps(left)


def test_of_several_parsers_the_first_that_fits_counts(library: Library) -> None:
    filter_ = made_with(library, ("key_name", "data"), ("parser", "json"), ("parser", "dummy_test"))
    records = [{"data": '{"a": 1}'}, {"data": DATA}, {"data": "none"}, {"data": 5}, {"x": 1}]
    assert through(filter_, records) == [{"a": 1}, FOUND, *records[2:]]
    assert filter_.health() == {"parsed": 2, "not_parsed": 1, "unread": 0}


def test_a_time_that_was_found_is_the_records_and_others_keep_theirs(library: Library) -> None:
    lines = [
        b"2026-11-22T19:26:05.038Z stdout F [2026-01-02T03:04:05.678901234+00:00] hello",
        b"2026-11-22T19:26:06.038Z stdout F no time",
    ]
    (left,) = made_with(library, ("key_name", "log"), ("parser", "timed"), ("reserve_data", "on")).apply(
        chunk_of_lines(lines, "cri")
    )
    assert left.times is not None
    assert left.times[0] == 1767323045_678901234
    assert stamps_ns(left) == [1767323045_678901234, 1795375566_038000000]
    assert json_lines(left).splitlines()[0] == (
        b'{"said":"hello","time":"2026-11-22T19:26:05.038Z","stream":"stdout","_p":"F"}'
    )


def test_backslashes_are_undone_when_asked(library: Library) -> None:
    pairs = (("key_name", "log"), ("parser", "json"), ("unescape_key", "on"))
    assert through(made_with(library, *pairs), [{"log": '{\\"a\\": \\"b\\"}'}]) == [{"a": "b"}]
    assert through(made_with(library, *pairs[:2]), [{"log": '{\\"a\\": \\"b\\"}'}]) == [{"log": '{\\"a\\": \\"b\\"}'}]


def test_a_value_within_an_object_is_taken_apart_and_stays_there(library: Library) -> None:
    filter_ = made_with(library, ("key_name", "$k['data']"), ("parser", "dummy_test"), ("reserve_data", "on"))
    assert through(filter_, [{"k": {"data": DATA}}]) == [{**FOUND, "k": {"data": DATA}}]


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("parser", "json")], "it needs 'key_name' and 'parser'"),
        ([("key_name", "log")], "it needs 'key_name' and 'parser'"),
        ([("key_name", "log"), ("parser", "nope")], "'parser': there is no parser 'nope'"),
    ],
)
def test_what_cannot_be_is_refused(library: Library, pairs: Pairs, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        made_with(library, *pairs)
