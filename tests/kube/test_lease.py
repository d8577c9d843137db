"""The rules of the election, without a network: a clock that is moved by hand, Leases as dicts."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.kube.lease import GROUP_ANNOTATION, Candidacy, Times, local_clock, new_identity


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def candidate(clock: Clock, name: str = "a", group: str = "") -> Candidacy:
    return Candidacy(name, "default", "kubewitness", Times(), group=group, clock=clock)


def held_by(holder: str, *, transitions: int = 3, renewed: str = "2026-11-22T10:00:00.000000Z") -> dict[str, Any]:
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-22T09:00:00.000000Z",
        "renewTime": renewed,
        "leaseTransitions": transitions,
    }
    metadata = {"name": "kubewitness", "namespace": "default", "resourceVersion": "7"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def test_a_lease_is_free_once_it_was_seen_unchanged_for_its_duration_whatever_its_times_say() -> None:
    clock = Clock()
    for renewed in ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        us = candidate(clock)
        us.saw(held_by("b", renewed=renewed))
        assert not us.free
        clock.now += 14.9
        us.saw(held_by("b", renewed=renewed))
        assert not us.free
        clock.now += 0.1
        assert us.free


def test_a_renewal_starts_the_wait_anew_and_a_label_does_not() -> None:
    clock = Clock()
    us = candidate(clock)
    us.saw(held_by("b"))
    clock.now += 14
    renewed = held_by("b", renewed="2026-11-22T10:00:02.000000Z")
    us.saw(renewed)
    clock.now += 14
    assert not us.free
    us.saw({**renewed, "metadata": {**renewed["metadata"], "labels": {"x": "y"}, "resourceVersion": "9"}})
    clock.now += 1
    assert us.free


def test_who_takes_over_adds_one_to_the_transitions_and_who_renews_does_not() -> None:
    clock = Clock()
    us = candidate(clock)
    us.saw(held_by("b", transitions=3))
    clock.now += 15
    taken = us.claim()
    assert (taken["spec"]["holderIdentity"], taken["spec"]["leaseTransitions"]) == ("a", 4)
    assert taken["metadata"]["resourceVersion"] == "7"
    us.wrote(taken, clock.now)
    assert us.term == 4
    clock.now += 2
    renewed = us.claim()
    assert renewed["spec"]["leaseTransitions"] == 4
    assert renewed["spec"]["acquireTime"] == taken["spec"]["acquireTime"]


def test_the_first_lease_is_term_0_and_one_begun_anew_can_be_told_to_pass_what_the_store_has_seen() -> None:
    us = candidate(Clock())
    us.saw(None)
    assert us.free
    assert us.claim()["spec"]["leaseTransitions"] == 0
    assert us.claim(term_above=8)["spec"]["leaseTransitions"] == 9


def test_a_leader_counts_from_before_it_asked_and_stops_before_others_may_begin() -> None:
    clock = Clock()
    us, other = candidate(clock), candidate(clock, "b")
    us.saw(None)
    asked = clock.now
    clock.now += 3  # the answer was slow
    lease = us.claim()
    us.wrote(lease, asked)
    other.saw(lease)
    assert us.leads_until == asked + 10
    clock.now = us.leads_until
    assert not other.free


def test_a_released_lease_is_free_at_once_and_keeps_its_count() -> None:
    clock = Clock()
    us, other = candidate(clock), candidate(clock, "b")
    us.saw(held_by("a", transitions=5))
    released = us.release()
    assert (released["spec"]["holderIdentity"], released["spec"]["leaseDurationSeconds"]) == ("", 1)
    other.saw(released)
    assert other.free
    assert other.claim()["spec"]["leaseTransitions"] == 6


def test_what_others_put_on_the_lease_stays() -> None:
    us = candidate(Clock())
    lease = held_by("a")
    lease["metadata"]["labels"] = {"team": "ops"}
    lease["spec"]["strategy"] = "OldestEmulationVersion"
    us.saw(lease)
    claimed = us.claim()
    assert claimed["metadata"]["labels"] == {"team": "ops"}
    assert claimed["spec"]["strategy"] == "OldestEmulationVersion"


def test_a_living_holder_with_another_store_is_foreign_and_a_dead_one_is_not() -> None:
    clock = Clock()
    us = candidate(clock, group="s3://one")
    lease = held_by("b")
    lease["metadata"]["annotations"] = {GROUP_ANNOTATION: "s3://two"}
    us.saw(lease)
    assert us.foreign_group == ""  # it may have died long ago
    us.saw({**lease, "spec": {**lease["spec"], "renewTime": "2026-11-22T10:00:02.000000Z"}})
    assert us.foreign_group == "s3://two"
    clock.now += 15
    assert us.foreign_group == ""
    assert us.claim()["metadata"]["annotations"] == {GROUP_ANNOTATION: "s3://one"}


@pytest.mark.parametrize("times", [(10, 10, 2), (15, 2.4, 2), (0.5, 0.4, 0.1), (15, 10, 0)])
def test_durations_that_could_not_work_are_refused(times: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="--"):
        Times(*times)


def test_tries_are_spread_from_one_to_two_and_a_fifth_periods() -> None:
    waits = [Times().wait() for _ in range(500)]
    assert 2.0 <= min(waits) < 2.3
    assert 4.1 < max(waits) <= 4.4


def test_a_restart_is_another_candidate_even_under_the_same_name() -> None:
    assert new_identity("node-1").startswith("node-1_")
    assert new_identity("node-1") != new_identity("node-1")


def test_the_clock_counts_the_sleep_of_the_machine_where_the_system_can_tell() -> None:
    assert abs(local_clock() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 60
