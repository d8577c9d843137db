"""Filter `expr`: what stays, what is set, what an expression is given and what it cannot do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from kubewitness.errors import UsageError
from kubewitness.filters.expr import names_in
from kubewitness.formats.recordform import CHANGED
from tests.filters.samples import ALICE, RECORDS, chunk_of_json, chunk_of_lines, made, through

BOB = {**ALICE, "verb": "delete", "user": {"username": "bob", "groups": ["ops"]}, "code": 503}


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ([("keep", "record.verb == 'delete'")], [BOB]),
        ([("drop", "record.verb in ['get', 'list', 'watch']")], [BOB]),
        ([("keep", "record.code >= 500"), ("keep", "'ops' in record.user.groups")], [BOB]),
        ([("keep", "record.code >= 200"), ("drop", "record['user']['username'].startsWith('b')")], [ALICE]),
        ([("keep", "has(record.log) && record.log.matches('^hello')")], [ALICE, BOB]),
        ([("keep", "tag == 'kube.audit' && size(record) == 4")], [ALICE, BOB]),
        ([("keep", "record.all(k, k != 'code')")], []),
        ([("keep", "record.code")], []),
    ],
)
def test_what_stays(keys: list[tuple[str, str]], left: list[Any]) -> None:
    assert through(made("expr", keys), [ALICE, BOB]) == left


def test_keys_are_set_in_the_order_of_the_file_and_kept_bytes_stay() -> None:
    keys = [
        ("set", "class record.code >= 500 ? 'error' : 'fine'"),
        ("set", "summary record.user.username + ' ' + record.verb + ': ' + record['class']"),
        ("set", "'two words' {'a': [record.code, 1.5, true, null]}"),
    ]
    (left,) = made("expr", keys).apply(
        chunk_of_json([b'{"user":{"username":"bob"}, "verb":"get", "code":503, "x": 1.50}'])
    )
    assert left.data == (
        b'{"user":{"username":"bob"},"verb":"get","code":503,"x":1.50,"class":"error","summary":"bob get: error",'
        b'"two words":{"a":[503,1.5,true,null]}}\n'
    )
    assert left.notes[0].flags == (CHANGED,)


def test_a_record_for_which_there_is_no_value_stays_as_it_is_or_goes() -> None:
    keys = [("keep", "record.verb == 'get'"), ("set", "n record.code + 1")]
    records = [{"verb": "get", "code": 1}, {"verb": "get", "code": "text"}, {"code": 1}]
    keeps = made("expr", keys)
    assert through(keeps, records) == [{"verb": "get", "code": 1, "n": 2}, *records[1:]]
    assert keeps.health() == {"changed": 1, "errors": 2, "unread": 0}
    assert through(made("expr", [*keys, ("on_error", "drop")]), records) == [{"verb": "get", "code": 1, "n": 2}]


def test_what_is_dropped_and_what_is_set_keep_their_places() -> None:
    lines = [b"2026-11-22T19:26:0%d.038Z stdout F %d" % (i, i) for i in range(4)]
    keys = [("drop", "record.log == '1'"), ("set", "even int(record.log) % 2 == 0")]
    (left,) = made("expr", keys).apply(chunk_of_lines(lines, "cri"))
    assert [json.loads(r)["log"] for r in left.records()] == ["0", "2", "3"]
    assert [json.loads(r)["even"] for r in left.records()] == [True, True, False]
    starts = [start for start, _ in left.spans()]
    assert [left.place(i, starts[i])[1] for i in range(3)] == [100, 100 + 2 * 36, 100 + 3 * 36]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("record.a == record['b c'] && record.a.c > 1", ("a", "b c")),
        ("has(record.a)", ("a",)),
        ("'record' == tag", ()),
        ('"record.x" + record . y', ("y",)),
        ("x.record.a", ()),
        ("size(record)", None),
        ("record.size() > 1", None),
        ("'a' in record", None),
        ("record[tag]", None),
        ("records.a", ()),
    ],
)
def test_an_expression_is_given_only_the_keys_that_it_names(text: str, names: tuple[str, ...] | None) -> None:
    assert names_in(text) == names


@settings(max_examples=20, deadline=None)
@given(RECORDS)
def test_keys_that_are_named_give_what_the_whole_record_gives(record: dict[str, Any]) -> None:
    named = made("expr", [("keep", "has(record.verb) && has(record.user) && record.verb != record.user")])
    whole = made(
        "expr", [("keep", "size(record) >= 0 && has(record.verb) && has(record.user) && record.verb != record.user")]
    )
    assert through(named, [record]) == through(whole, [record])


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "it needs 'keep', 'drop' or 'set'"),
        ({"keep": "record.a =="}, "'keep': 'record.a ==' is no expression"),
        ({"keep": "verb == 'get'"}, "there is no 'verb' in .*; write record.verb"),
        ({"set": "key"}, "takes a key and an expression"),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        made("expr", keys)


@pytest.mark.parametrize("text", ["open('/etc/passwd')", "__import__('os')", "record.__class__.x", "getenv('HOME')"])
def test_an_expression_reaches_nothing_but_what_it_is_given(text: str) -> None:
    try:
        filter_ = made("expr", {"set": f"stolen {text}"})
    except UsageError:
        return
    assert through(filter_, [ALICE]) == [ALICE]
    assert filter_.health()["errors"] == 1
