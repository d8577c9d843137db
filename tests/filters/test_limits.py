"""Filters that leave records out by how many there are: `throttle` and `dedupe`."""

from __future__ import annotations

import logging

import pytest

from kubewitness.errors import UsageError
from kubewitness.filters.dedupe import Dedupe
from kubewitness.filters.throttle import Throttle
from tests.filters.samples import chunk_of_json, made


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def passed(throttle: Throttle, records: int) -> int:
    return sum(len(c) for c in throttle.apply(chunk_of_json([{"n": n} for n in range(records)])))


def test_the_average_over_the_window_is_kept_as_in_the_manual() -> None:
    clock = Clock()
    throttle = Throttle({"rate": "5", "window": "5", "interval": "1s"}, clock=clock)
    got = []
    for records in (1, 3, 5, 7, 3, 4, 7):
        got.append(passed(throttle, records))
        clock.now += 1
    assert got == [1, 3, 5, 7, 3, 4, 6]
    assert throttle.health() == {"window_records": 25, "window_limit": 25.0}


def test_a_window_that_is_full_takes_records_again_when_it_slides() -> None:
    clock = Clock()
    throttle = Throttle({"rate": "1", "window": "2", "interval": "1m"}, clock=clock)
    assert (passed(throttle, 5), passed(throttle, 5)) == (2, 0)
    clock.now += 60
    assert passed(throttle, 5) == 0
    clock.now += 60
    assert passed(throttle, 5) == 2


def test_the_rate_is_logged_where_that_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kubewitness.filters")
    for status in ("off", "on"):
        clock = Clock()
        throttle = Throttle({"rate": "2", "window": "3", "print_status": status}, clock=clock)
        for records in (5, 4):
            passed(throttle, records)
            clock.now += 1
        passed(throttle, 1)
        if status == "off":
            assert caplog.messages == []
    assert caplog.messages == [f"filter throttle: {n} records in the window, the limit is 6" for n in (5, 6)]


def test_a_rate_below_one_and_a_fraction() -> None:
    clock = Clock()
    assert passed(Throttle({"rate": "0.5", "window": "5"}, clock=clock), 9) == 3
    assert passed(Throttle({}, clock=clock), 9) == 5


@pytest.mark.parametrize("keys", [{"rate": "0"}, {"window": "0"}, {"interval": "0"}, {"rate": "fast"}])
def test_throttle_refuses_what_cannot_be(keys: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="filter throttle"):
        made("throttle", keys)


def kept(dedupe: Dedupe, *records: object) -> list[int]:
    chunk = chunk_of_json(list(records))
    return [int.from_bytes(c.key(i)) for c in dedupe.apply(chunk) for i in range(len(c))]


def test_of_records_with_the_same_values_the_first_passes() -> None:
    dedupe = Dedupe([("key", "log"), ("key", "$user['name']")])
    records = [{"log": "a", "n": 1}, {"log": "a", "n": 2}, {"log": "a", "user": {"name": "x"}}, {"log": None}, {}]
    assert kept(dedupe, *records) == [0, 2, 3, 4]


def test_without_keys_all_bytes_count() -> None:
    assert kept(Dedupe({}), {"a": 1}, {"a": 1}, {"a": 2}) == [0, 2]


def test_after_the_window_the_like_passes_again() -> None:
    clock = Clock()
    dedupe = Dedupe({"window": "10s"}, clock=clock)
    assert kept(dedupe, {"a": 1}) == [0]
    clock.now += 9
    assert kept(dedupe, {"a": 1}) == []
    clock.now += 1
    assert kept(dedupe, {"a": 1}) == [0]


def test_only_so_many_are_remembered() -> None:
    dedupe = Dedupe({"max_keys": "2"})
    assert kept(dedupe, {"a": 1}, {"a": 2}, {"a": 3}, {"a": 1}, {"a": 3}) == [0, 1, 2, 3]
    assert dedupe.health()["remembered"] == 2


def test_what_was_refused_passes_when_it_comes_again() -> None:
    dedupe = Dedupe({})
    assert kept(dedupe, {"a": 1}) == [0]
    dedupe.settle()(False)
    assert kept(dedupe, {"a": 1}) == [0]
    dedupe.settle()(True)
    assert kept(dedupe, {"a": 1}) == []
