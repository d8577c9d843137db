"""Filter `modify`: the examples of Fluent Bit's manual, worked out by hand, and every rule and condition."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from kubewitness.errors import UsageError
from kubewitness.formats.recordform import CHANGED
from kubewitness.outputs.dates import Dates
from kubewitness.outputs.lines import json_lines
from tests.filters.samples import Pairs, chunk_of_json, chunk_of_lines, made, through

MEMORY = {
    "Mem.total": 1016044,
    "Mem.used": 841388,
    "Mem.free": 174656,
    "Swap.total": 2064380,
    "Swap.used": 139888,
    "Swap.free": 1924492,
}


def ordered(pairs: Pairs, record: Mapping[str, object]) -> str:
    """The record that comes out, keys in their order."""
    (left,) = made("modify", pairs).apply(chunk_of_json([record]))
    return json.dumps(json.loads(left.data), ensure_ascii=False)


def test_add_and_rename_of_the_manual() -> None:
    pairs = [
        ("Add", "Service1 SOMEVALUE"),
        ("Add", "Service3 SOMEVALUE3"),
        ("Add", "Mem.total2 TOTALMEM2"),
        ("Rename", "Mem.free MEMFREE"),
        ("Rename", "Mem.used MEMUSED"),
        ("Rename", "Swap.total SWAPTOTAL"),
        ("Add", "Mem.total TOTALMEM"),
    ]
    assert ordered(pairs, MEMORY) == (
        '{"Mem.total": 1016044, "MEMUSED": 841388, "MEMFREE": 174656, "SWAPTOTAL": 2064380, "Swap.used": 139888, '
        '"Swap.free": 1924492, "Service1": "SOMEVALUE", "Service3": "SOMEVALUE3", "Mem.total2": "TOTALMEM2"}'
    )


def test_conditions_of_the_manual() -> None:
    steps = [
        [
            ("Condition", "Key_Does_Not_Exist cpustats"),
            ("Condition", "Key_Exists Mem.used"),
            ("Set", "cpustats UNKNOWN"),
        ],
        [("Condition", "Key_Value_Does_Not_Equal cpustats KNOWN"), ("Add", "sourcetype memstats")],
        [
            ("Condition", "Key_Value_Equals cpustats UNKNOWN"),
            ("Remove_wildcard", "Mem"),
            ("Remove_wildcard", "Swap"),
            ("Add", "cpustats_more STILL_UNKNOWN"),
        ],
    ]
    record: dict[str, object] = dict(MEMORY)
    for pairs in steps:
        record = json.loads(ordered(pairs, record))
    assert record == {"cpustats": "UNKNOWN", "sourcetype": "memstats", "cpustats_more": "STILL_UNKNOWN"}


def test_the_emoji_of_the_manual() -> None:
    pairs = [
        ("Remove_Wildcard", "Mem"),
        ("Remove_Wildcard", "Swap"),
        ("Set", "This_plugin_is_on 🔥"),
        ("Set", "🔥 is_hot"),
        ("Copy", "🔥 💦"),
        ("Rename", "💦 ❄️"),
        ("Set", "❄️ is_cold"),
        ("Set", "💦 is_wet"),
    ]
    assert ordered(pairs, MEMORY) == '{"This_plugin_is_on": "🔥", "🔥": "is_hot", "❄️": "is_cold", "💦": "is_wet"}'


@pytest.mark.parametrize(
    ("rule", "value", "result"),
    [
        ("set", "a 9", '{"b": 2, "c": 3, "a": "9"}'),
        ("set", "d 9", '{"a": 1, "b": 2, "c": 3, "d": "9"}'),
        ("add", "a 9", '{"a": 1, "b": 2, "c": 3}'),
        ("add_if_not_present", 'd "two words"', '{"a": 1, "b": 2, "c": 3, "d": "two words"}'),
        ("remove", "b", '{"a": 1, "c": 3}'),
        ("remove", "z", '{"a": 1, "b": 2, "c": 3}'),
        ("remove_wildcard", "b*", '{"a": 1, "c": 3}'),
        ("remove_regex", "^[ab]$", '{"c": 3}'),
        ("rename", "a z", '{"z": 1, "b": 2, "c": 3}'),
        ("rename", "a b", '{"a": 1, "b": 2, "c": 3}'),
        ("hard_rename", "a b", '{"b": 1, "c": 3}'),
        ("hard_rename", "z b", '{"a": 1, "b": 2, "c": 3}'),
        ("copy", "a z", '{"a": 1, "z": 1, "b": 2, "c": 3}'),
        ("copy", "a b", '{"a": 1, "b": 2, "c": 3}'),
        ("hard_copy", "b a", '{"b": 2, "a": 2, "c": 3}'),
        ("move_to_start", "c", '{"c": 3, "a": 1, "b": 2}'),
        ("move_to_end", "a", '{"b": 2, "c": 3, "a": 1}'),
    ],
)
def test_every_rule(rule: str, value: str, result: str) -> None:
    assert ordered([(rule, value)], {"a": 1, "b": 2, "c": 3}) == result


RECORD = {"log": "hello", "n": 5, "k": {"labels": {"app": "web"}}, "x": None}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("key_exists log", True),
        ("key_exists x", True),
        ("key_exists $k['labels']['app']", True),
        ("key_exists $k['labels']['tier']", False),
        ("key_does_not_exist nothing", True),
        ("a_key_matches ^l", True),
        ("a_key_matches ^z", False),
        ("no_key_matches ^z", True),
        ("key_value_equals log hello", True),
        ("key_value_equals n 5", True),
        ("key_value_equals $k['labels']['app'] web", True),
        ("key_value_equals nothing hello", False),
        ("key_value_does_not_equal log bye", True),
        ("key_value_does_not_equal nothing bye", False),
        ("key_value_matches log ^h.*o$", True),
        ('key_value_matches log "^h\\w+ ?o$"', True),
        ("key_value_matches x null", False),
        ("key_value_does_not_match log ^b", True),
        ("key_value_does_not_match nothing ^b", False),
        ("matching_keys_have_matching_values ^(log|n)$ ^[a-z0-9]+$", True),
        ("matching_keys_have_matching_values . ^[a-z0-9]+$", False),
        ("matching_keys_do_not_have_matching_values ^log$ ^\\d+$", True),
    ],
)
def test_every_condition(condition: str, holds: bool) -> None:
    left = through(made("modify", [("condition", condition), ("add", "held yes")]), [RECORD])
    assert ("held" in left[0]) == holds


def test_rules_apply_only_when_all_conditions_hold() -> None:
    pairs = [("condition", "key_exists log"), ("condition", "key_exists nothing"), ("add", "held yes")]
    assert through(made("modify", pairs), [RECORD]) == [RECORD]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("set", "a", "it takes a key and a value"),
        ("remove", "a b", "it takes one key"),
        ("remove_regex", "(", "'remove_regex': regex"),
        ("condition", "key_exist a", "did you mean 'key_exists'"),
        ("condition", "key_value_equals a", "takes 2 parameters"),
        ("sett", "a b", "did you mean 'set'"),
    ],
)
def test_what_cannot_be_is_refused(key: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        made("modify", [(key, value)])


def test_only_changed_records_are_written_again_and_values_keep_their_bytes() -> None:
    records = [b'{"a" : 1.50, "big": 1e400, "t": {"x":  [1]}}', b'{"b":1}', b'{ "a" : 1 }']
    modify = made("modify", [("condition", "key_exists big"), ("add", "k v")])
    (left,) = modify.apply(chunk_of_json(records))
    assert list(left.records()) == [b'{"a":1.50,"big":1e400,"t":{"x":  [1]},"k":"v"}', records[1], records[2]]
    assert [left.notes[i].flags if i in left.notes else () for i in range(3)] == [(CHANGED,), (), ()]
    assert modify.health() == {"changed": 1, "unread": 0}


def test_a_chunk_in_which_nothing_changed_is_the_same_chunk() -> None:
    chunk = chunk_of_json([{"a": 1}])
    assert made("modify", {"remove": "z"}).apply(chunk) == [chunk]


def test_a_changed_log_line_is_a_record_with_its_time_and_place() -> None:
    lines = [b"2026-11-22T19:26:05.038Z stdout F one", b"2026-11-22T19:26:06.038Z stderr F two"]
    chunk = chunk_of_lines(lines, "cri")
    (left,) = made("modify", [("condition", "key_value_equals stream stderr"), ("set", "app web")]).apply(chunk)
    assert left.form == "record"
    assert json_lines(left) == (
        b'{"time":"2026-11-22T19:26:05.038Z","stream":"stdout","_p":"F","log":"one"}\n'
        b'{"time":"2026-11-22T19:26:06.038Z","stream":"stderr","_p":"F","log":"two","app":"web"}\n'
    )
    starts = [start for start, _ in left.spans()]
    assert [left.place(i, starts[i]) for i in range(2)] == [("app.log", 100), ("app.log", 100 + 38)]
    assert list(json_lines(left, Dates("date", "epoch_ms")).splitlines()[1])[:21] == list(b'{"date":1795375566038')
    assert [left.key(i) for i in range(2)] == [chunk.key(i) for i in range(2)]
