"""Record accessors find what a plain lookup in the decoded record finds."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewitness.errors import UsageError
from kubewitness.formats.accessor import MISSING, Path, Reader, Template, at_steps, path_of, text_of, value_at

NAMES = st.text(st.characters(exclude_characters="'\"[]", exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(NAMES, VALUES, max_size=5)
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def every_path(value: Any, steps: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [steps, *(path for key, item in inner for path in every_path(item, (*steps, key)))]


@settings(max_examples=25)
@given(RECORDS)
def test_every_value_of_a_record_is_found_under_its_path(record: dict[str, Any]) -> None:
    raw = json.dumps(record).encode()
    paths = [Path(p) for p in every_path(record) if p]
    wanted = [at_steps(record, p.steps) for p in paths]
    if paths:
        assert Reader(paths).read(raw) == wanted
    assert [value_at(_raw(raw), p) for p in paths] == wanted
    assert [path_of(str(p)) for p in paths] == paths


@settings(max_examples=25)
@given(RECORDS, NAMES, st.lists(NAMES | st.integers(0, 3), max_size=3))
def test_what_is_not_there_is_missing_and_nothing_is_raised(
    record: dict[str, Any], name: str, more: list[str | int]
) -> None:
    path = Path((name, *more))
    wanted = at_steps(record, path.steps)
    found = Reader([path]).read(json.dumps(record).encode())[0]
    assert found == wanted
    assert (found is MISSING) == (wanted is MISSING)


def test_a_null_is_there() -> None:
    assert Reader([path_of("$labels['unset']"), path_of("$labels['undefined']")]).read(
        b'{"labels":{"unset":null}}'
    ) == [
        None,
        MISSING,
    ]


def test_a_name_without_dollar_is_that_key_with_its_dots() -> None:
    assert path_of("Mem.used") == Path(("Mem.used",))
    assert path_of("$kubernetes['labels'][\"app.kubernetes.io/name\"]") == Path(
        ("kubernetes", "labels", "app.kubernetes.io/name")
    )
    assert path_of("$items[0]['a']") == Path(("items", 0, "a"))


@pytest.mark.parametrize("text", ["", "$", "$a[", "$a[b]", "$a['b'", "$a['b']c", "$[0]"])
def test_what_is_no_accessor_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        path_of(text)


def test_a_template_of_the_manual() -> None:
    fields = _raw(b'{"name": "abc-123", "ss": {"s1": {"s2": "flb"}}}')
    template = Template("newtag.$TAG.$TAG[1].$1.$ss['s1']['s2'].out.fluent")
    assert template.render(fields, "aa.bb.cc", ["abc-123", "abc", "123"]) == "newtag.aa.bb.cc.bb.abc.flb.out.fluent"
    assert template.paths == [path_of("$ss['s1']['s2']")]


def test_a_template_leaves_out_what_is_not_there_and_keeps_a_lone_dollar() -> None:
    fields = _raw(b'{"n": 5, "m": {"b": [1, true]}}')
    assert Template("k-$TAG[1]-$x-").render({"x": "web"}, "kube.shop") == "k-shop-web-"
    assert Template("a$.$x.$n-$m['b'].$TAG[7].$4.$").render(fields, "t") == "a$..5-[1,true]...$"
    assert Template("$TAGS.$tag").render(_raw(b'{"TAGS": "x"}'), "t") == "x."


@settings(max_examples=25)
@given(VALUES)
def test_text_of_a_value_is_json_unless_it_is_text(value: Any) -> None:
    assert text_of(value) == value if isinstance(value, str) else json.loads(text_of(value)) == value
