"""States of objects, where records are few: what is not known is said to be unknown."""

from __future__ import annotations

from collections.abc import Callable

from kubewitness.questions.states import Segment, StatesQuestion, ask
from kubewitness.questions.targets import parse_target
from kubewitness.store import Session
from tests.questions.builder import BEGIN, SECOND, Trail

Open = Callable[[Trail], Session]


def segments(session: Session, target: str, since: int = 0, until: int = 3600) -> list[Segment]:
    ref = parse_target([target], namespace="shop", cluster="default")
    window = BEGIN + since * SECOND, BEGIN + until * SECOND
    [states] = ask(session, StatesQuestion([ref], *window))
    return states.segments


def test_what_was_before_the_first_sign_of_an_object_is_unknown(trail: Trail, opened: Open) -> None:
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c", "namespace": "shop"}}
    trail.add(30, "alice", "update", "configmaps", "c", request=body, response=body)
    found = segments(opened(trail), "cm/c", until=200)
    assert [s.state for s in found] == ["unknown", "exists"]
    assert found[0].until == found[1].since


def test_while_the_recording_had_stopped_nothing_is_claimed(trail: Trail, opened: Open) -> None:
    trail.add(0, "alice", "create", "pods", "p", code=201, response=running(trail, 1, ready=False))
    for second in range(10, 120, 10):
        trail.add(second, "bob", "get", "pods", "other")
    for second in range(1500, 1600, 10):
        trail.add(second, "bob", "get", "pods", "other")
    trail.add(1600, "kubelet", "patch", "pods", "p", sub="status", response=running(trail, 1, ready=True))
    found = segments(opened(trail), "pod/p", until=1700)
    assert [s.state for s in found] == ["running", "unknown", "running", "ready"]
    assert [s.certainty for s in found] == ["proved", "unknown", "inferred", "proved"]


def test_a_second_object_of_the_same_name_begins_after_the_first_ended(trail: Trail, opened: Open) -> None:
    for start, number in ((0, 1), (100, 2)):
        trail.add(start, "alice", "create", "pods", "p", code=201, response=running(trail, number, ready=True))
        trail.add(start + 50, "alice", "delete", "pods", "p", response=running(trail, number, ready=True))
        trail.add(start + 60, "system:node:n1", "delete", "pods", "p", response=running(trail, number, ready=True))
    assert [s.state for s in segments(opened(trail), "pod/p")] == ["ready", "terminating", "gone"] * 2


def test_nothing_recorded_is_no_state(trail: Trail, opened: Open) -> None:
    trail.add(0, "alice", "create", "pods", "p", code=201)
    assert segments(opened(trail), "pod/absent") == []


def running(trail: Trail, number: int, *, ready: bool) -> dict[str, object]:
    """A pod that runs."""
    pod = trail.pod("p", number)
    condition = {"type": "Ready", "status": "True" if ready else "False", "reason": "ContainersNotReady"}
    return {**pod, "status": {"phase": "Running", "conditions": [condition]}}
