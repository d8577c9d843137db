"""Events of both API groups come out as one shape, with the right time, count and identity."""

from __future__ import annotations

from typing import Any

import pytest

from kubewitness.errors import Malformed
from kubewitness.formats import events
from kubewitness.formats.times import format_us
from tests.formats.records import core_event, dumps, new_event


def _time(record: dict[str, object]) -> tuple[str, str]:
    us, name = events.best_time(events.decode(dumps(record)))
    return format_us(us), name


def test_an_old_style_event_is_normalised() -> None:
    event = events.decode(dumps(core_event()))
    assert (event.component, event.instance, event.occurrences) == ("kubelet", "n1", 3)
    assert (event.regarding.kind, event.regarding.name, event.reason) == ("Pod", "web-1", "Killing")


def test_a_new_style_event_has_the_same_shape() -> None:
    event = events.decode(dumps(new_event()))
    assert (event.component, event.instance) == ("default-scheduler", "default-scheduler-m1")
    assert (event.message, event.action, event.occurrences) == ("0/3 nodes are available", "Scheduling", 1)


def test_a_series_counts_from_its_second_occurrence() -> None:
    series = {"count": 1, "lastObservedTime": "2026-11-22T19:40:00.000001Z"}
    event = events.decode(dumps(new_event(series=series)))
    assert event.occurrences == 2
    assert events.best_time(event)[1] == "series.lastObservedTime"


def test_the_time_is_that_of_the_latest_occurrence() -> None:
    assert _time(core_event()) == ("2026-11-22T19:26:05.000000Z", "lastTimestamp")
    assert _time(new_event()) == ("2026-11-22T19:20:00.123456Z", "eventTime")
    stale_series = {"count": 4, "lastObservedTime": "2026-11-22T19:10:00.0Z"}
    assert _time(core_event(series=stale_series)) == ("2026-11-22T19:26:05.000000Z", "lastTimestamp")


def test_the_finer_time_of_the_same_second_wins() -> None:
    record = core_event(eventTime="2026-11-22T19:26:05.654321Z")
    assert _time(record) == ("2026-11-22T19:26:05.654321Z", "eventTime")


def test_first_and_creation_time_are_used_only_when_nothing_else_is_there() -> None:
    bare = core_event(lastTimestamp=None)
    assert _time(bare) == ("2026-11-22T19:20:00.000000Z", "firstTimestamp")
    assert _time({**bare, "firstTimestamp": "0001-01-01T00:00:00Z"})[1] == "creationTimestamp"
    nothing = {**bare, "firstTimestamp": None, "metadata": {"name": "x", "creationTimestamp": "<ts>"}}
    assert events.best_time(events.decode(dumps(nothing))) == (0, "")


def test_the_identity_is_uid_and_resource_version() -> None:
    def key(record: dict[str, object]) -> bytes:
        raw = dumps(record)
        return events.identity("default", events.decode(raw), raw)

    assert key(core_event()) == key(core_event(message="changed by whom?"))
    assert key(core_event()) != key(core_event(version="101"))
    assert key(core_event()) != key(core_event(uid="e-9"))
    no_uid: dict[str, Any] = {"metadata": {"name": "x"}}
    assert key(core_event(**no_uid)) != key(core_event(message="another", **no_uid))


def test_what_is_about_nothing_is_no_event() -> None:
    with pytest.raises(Malformed, match="neither involvedObject nor regarding"):
        events.decode(b'{"metadata":{"name":"x"}}')
    with pytest.raises(Malformed, match="not an Event"):
        events.decode(b"[1]")
