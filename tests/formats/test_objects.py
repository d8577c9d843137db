"""Versions of objects and admission reviews: outline, time, identity."""

from __future__ import annotations

import pytest

from kubewitness.errors import Malformed
from kubewitness.formats import admission, objects
from kubewitness.formats.times import format_us
from tests.formats.records import dumps, pod, review


def _time(record: dict[str, object]) -> tuple[str, str]:
    us, name = objects.best_time(objects.decode(dumps(record)))
    return format_us(us), name


def test_an_objects_outline_names_it_and_its_owner() -> None:
    version = objects.decode(dumps(pod()))
    assert (version.kind, version.group, version.version, version.name) == ("Pod", "", "v1", "web-1")
    assert version.controller is not None
    assert version.controller.name == "web-abc"


def test_a_versions_time_is_its_newest_change() -> None:
    assert _time(pod()) == ("2026-11-22T19:00:00.000000Z", "creationTimestamp")
    managed = [{"time": "2026-11-22T19:05:00Z"}, {"time": "2026-11-22T19:04:00Z"}, {"manager": "x"}]
    assert _time(pod(managedFields=managed)) == ("2026-11-22T19:05:00.000000Z", "managedFields")


def test_a_deletion_counts_from_when_it_was_asked_for() -> None:
    record = pod(deletionTimestamp="2026-11-22T19:26:35Z", deletionGracePeriodSeconds=30)
    assert _time(record) == ("2026-11-22T19:26:05.000000Z", "deletionTimestamp")


def test_an_object_without_any_time_says_so() -> None:
    assert objects.best_time(objects.decode(dumps(pod(creationTimestamp="<ts>")))) == (0, "")


def test_a_deleted_object_is_another_record_than_its_last_version() -> None:
    raw = dumps(pod())
    version = objects.decode(raw)
    assert objects.identity("c", version, raw, "MODIFIED") == objects.identity("c", version, raw, "ADDED")
    assert objects.identity("c", version, raw, "DELETED") != objects.identity("c", version, raw, "ADDED")


def test_what_has_no_kind_or_name_is_no_object() -> None:
    with pytest.raises(Malformed):
        objects.decode(b'{"metadata":{"name":"x"}}')
    with pytest.raises(Malformed):
        objects.decode(dumps(pod(name="")))


def test_a_reviews_time_is_when_the_recorder_got_it() -> None:
    record = review(requestReceivedTimestamp="2026-11-22T19:26:05.5Z")
    us, name = admission.best_time(admission.decode(dumps(record)))
    assert (format_us(us), name) == ("2026-11-22T19:26:05.500000Z", "requestReceivedTimestamp")


def test_a_review_without_a_time_takes_the_new_objects_or_none() -> None:
    assert admission.best_time(admission.decode(dumps(review("CREATE"))))[1] == "creationTimestamp"
    assert admission.best_time(admission.decode(dumps(review("DELETE")))) == (0, "")
    record = review("UPDATE")
    record["request"]["object"] = pod(managedFields=[{"time": "2026-11-22T19:05:00Z"}])
    record["request"]["oldObject"] = pod(managedFields=[{"time": "2026-11-22T19:05:00Z"}])
    assert admission.best_time(admission.decode(dumps(record))) == (0, "")  # nothing newer: it proves no time
    record["request"]["oldObject"] = pod(managedFields=[{"time": "2026-11-22T19:04:00Z"}])
    assert admission.best_time(admission.decode(dumps(record)))[1] == "managedFields"


def test_a_review_names_its_object_also_when_the_request_does_not() -> None:
    record = review("DELETE")
    record["request"]["name"] = ""
    found = admission.decode(dumps(record))
    assert (found.name, found.uid, found.controller is not None) == ("web-1", "uid-web-1", True)
    del record["kind"], record["apiVersion"]
    assert admission.decode(dumps(record)).name == "web-1"
