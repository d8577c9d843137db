"""Filter `expect`: every check, every action."""

from __future__ import annotations

import logging

import pytest

from kubewitness.filters.expect import NotAsExpected
from tests.filters.samples import chunk_of_json, made, through

RECORD = {"color": "blue", "label": {"name": None}, "n": 5}


@pytest.mark.parametrize(
    ("key", "value", "holds"),
    [
        ("key_exists", "color", True),
        ("key_exists", "$label['name']", True),
        ("key_exists", "$label['x']", False),
        ("key_not_exists", "x", True),
        ("key_not_exists", "color", False),
        ("key_val_is_null", "$label['name']", True),
        ("key_val_is_null", "x", False),
        ("key_val_is_not_null", "$color", True),
        ("key_val_is_not_null", "$label['name']", False),
        ("key_val_is_not_null", "x", False),
        ("key_val_eq", "$color blue", True),
        ("key_val_eq", "color red", False),
        ("key_val_eq", "n 5", True),
        ("key_val_eq", "x blue", False),
    ],
)
def test_every_check(key: str, value: str, holds: bool) -> None:
    expect = made("expect", [(key, value), ("action", "result_key"), ("result_key", "ok")])
    assert through(expect, [RECORD]) == [{**RECORD, "ok": holds}]
    assert expect.health()["failed"] == int(not holds)


def test_a_warning_names_the_check_and_not_what_the_record_holds(caplog: pytest.LogCaptureFixture) -> None:
    chunk = chunk_of_json([RECORD, {"color": "green"}], tag="some.tag")
    with caplog.at_level(logging.WARNING, "kubewitness.filters"):
        assert made("expect", {"key_val_eq": "$color green"}).apply(chunk) == [chunk]
    assert caplog.messages == ["filter expect: a record of tag some.tag fails key_val_eq $['color'] green"]


def test_exit_ends_everything_with_status_255() -> None:
    expect = made("expect", [("key_exists", "color"), ("action", "exit")])
    expect.apply(chunk_of_json([RECORD]))
    with pytest.raises(NotAsExpected, match="fails key_exists") as raised:
        expect.apply(chunk_of_json([{"x": 1}]))
    assert raised.value.exit_code == 255
