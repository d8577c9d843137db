"""Forms of current servers that the lab's control plane does not write, built to the documented schema.

DisruptionTarget (k8s.io/api/core/v1 types.go), evictions by the kubelet, mirror pods, the terminated pods' limit,
refusals by admission (worded as a k3s 1.36 server does).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.questions.builder import CONTROLLERS, Trail, uid
from tests.questions.conftest import Who

ADMISSION_GROUP = "admissionregistration.k8s.io"


def marked(trail: Trail, clock: float, user: str, reason: str, message: str = "") -> None:
    """The status write by which a component announces that it is about to remove pod web-1."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    asked = {"status": {"conditions": [condition]}}
    trail.add(clock, user, "patch", "pods", "web-1", sub="status", request=asked)


def ended_by_kubelet_alone(trail: Trail, reason: str) -> None:
    """Only the kubelet's final delete is recorded; its answer still holds the condition."""
    body = trail.pod("web-1", 1, **trail.going(60, 0))
    body["status"] = {"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "x"}]}
    options = {"kind": "DeleteOptions", "gracePeriodSeconds": 0}
    trail.add(70, "system:node:n1", "delete", "pods", "web-1", request=options, response=body, agent="kubelet/v1.31.0")


@pytest.mark.parametrize(
    ("reason", "mechanism", "who_did"),
    [
        ("PreemptionByScheduler", "preemption", "kube-scheduler"),
        ("DeletionByTaintManager", None, "taint-eviction-controller"),
        ("DeletionByPodGC", "terminated-gc", "pod-garbage-collector"),
        ("EvictionByEvictionAPI", "eviction-api", None),
    ],
)
def test_the_disruption_condition_names_the_component_when_its_request_was_not_recorded(
    reason: str, mechanism: str | None, who_did: str | None, trail: Trail, who: Who
) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    ended_by_kubelet_alone(trail, reason)
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.found
    assert answer.certainty in ("inferred", "unknown")
    assert answer.mechanism == (mechanism or "unknown")
    assert (answer.actor.user if answer.actor else None) == who_did


def test_an_eviction_by_a_taint_on_a_current_server_names_who_tainted_the_node(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    taints = [{"key": "maintenance", "effect": "NoExecute"}]
    body = {"kind": "Node", "metadata": {"name": "n1", "uid": uid(77)}, "spec": {"taints": taints}}
    trail.add(50, "alice", "patch", "nodes", "n1", namespace="", request={"spec": {"taints": taints}}, response=body)
    controller = CONTROLLERS + "taint-eviction-controller"
    marked(trail, 50.1, controller, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
    gone = trail.pod("web-1", 1, **trail.going(50.2))
    trail.add(50.2, controller, "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=gone)
    answer = who(trail, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("taint", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.object) == ("alice", "Node/n1")


@pytest.mark.parametrize("verb", ["evicted", "killed"])
@pytest.mark.parametrize("deleted_later", [False, True])
def test_a_shortage_of_the_node_is_why_its_kubelet_evicted_whoever_cleaned_up_later(
    verb: str, deleted_later: bool, trail: Trail, who: Who
) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    message = "The node was low on resource: memory. Container web was using 900Mi, request is 0."
    marked(trail, 50, "system:node:n1", "TerminationByKubelet", message)
    failed = {"status": {"phase": "Failed", "reason": "Evicted", "message": message}}
    trail.add(51, "system:node:n1", "patch", "pods", "web-1", sub="status", request=failed)
    if deleted_later:
        body = trail.pod("web-1", 1, **trail.going(900, 0))
        trail.add(900, "alice", "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=body)
    answer = who(trail, "pod/web-1", verb)
    assert answer.mechanism == "node-pressure"
    assert answer.root is not None
    assert (answer.root.user, answer.root.kind, answer.root.object) == (None, "node", "Node/n1")
    assert "low on resource: memory" in answer.summary
    if deleted_later:
        removed = who(trail, "pod/web-1", "deleted")
        assert removed.root is not None
        assert (removed.mechanism, removed.root.user) == ("direct", "alice")


def test_an_eviction_by_the_kubelet_is_told_by_its_event_alone(trail: Trail, who: Who) -> None:
    trail.event(50, "web-1", 1, "Evicted", "The node was low on resource: ephemeral-storage.", "kubelet", host="n1")
    answer = who(trail, "pod/web-1", "evicted")
    assert (answer.mechanism, answer.certainty) == ("node-pressure", "inferred")
    assert answer.root is not None
    assert answer.root.object == "Node/n1"


def test_a_static_pod_comes_and_goes_with_its_nodes_manifest(trail: Trail, who: Who) -> None:
    mirror: dict[str, Any] = {
        "annotations": {"kubernetes.io/config.mirror": "abc", "kubernetes.io/config.source": "file"}
    }
    owner = ("Node", "n1", uid(77))
    body = trail.pod("proxy-n1", 1, owner=owner, **mirror)
    agent = "kubelet/v1.31.0"
    trail.add(0, "system:node:n1", "create", "pods", "proxy-n1", code=201, request=body, response=body, agent=agent)
    options = {"kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid(1)}}
    gone = trail.pod("proxy-n1", 1, owner=owner, **mirror, **trail.going(60, 0))
    trail.add(60, "system:node:n1", "delete", "pods", "proxy-n1", request=options, response=gone, agent=agent)
    for verb in ("deleted", "created"):
        answer = who(trail, "pod/proxy-n1", verb)
        assert answer.root is not None, verb
        assert (answer.root.user, answer.root.kind, answer.root.object) == (None, "node", "Node/n1"), verb
        assert "the static pod shop/proxy-n1" in answer.summary
    assert who(trail, "pod/proxy-n1", "deleted").mechanism == "direct"


def test_a_finished_pod_beyond_the_limit_is_the_collectors_own_doing(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    body = trail.pod("web-1", 1, **trail.going(90, 0))
    collector = CONTROLLERS + "pod-garbage-collector"
    trail.add(90, collector, "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=body)
    answer = who(trail, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("terminated-gc", "proved")
    assert answer.root is not None
    assert answer.root.user == collector


POLICY = "ValidatingAdmissionPolicy 'no-delete' with binding 'shop' denied request: pods of shop are kept"
WEBHOOK = 'admission webhook "guard.example.com" denied the request: pods of shop are kept'


@pytest.mark.parametrize(
    ("message", "resource", "code", "name"),
    [
        (POLICY, "validatingadmissionpolicies", 422, "no-delete"),
        (WEBHOOK, "validatingwebhookconfigurations", 403, "guards"),
    ],
)
def test_a_delete_that_admission_refused_names_the_policy_and_who_made_it(
    message: str, resource: str, code: int, name: str, trail: Trail, who: Who
) -> None:
    made = {"kind": "x", "metadata": {"name": name}, "webhooks": [{"name": "guard.example.com"}]}
    group = ADMISSION_GROUP
    trail.add(0, "carol", "create", resource, name, namespace="", group=group, code=201, request=made, response=made)
    trail.create_pod(1, "carol", "web-1", 1)
    refusal = {"kind": "Status", "status": "Failure", "code": code, "message": f'pods "web-1" is forbidden: {message}'}
    for clock in (50, 60):
        trail.add(
            clock, "alice", "delete", "pods", "web-1", code=code, request={"kind": "DeleteOptions"}, response=refusal
        )
    answer = who(trail, "pod/web-1", "deleted")
    assert not answer.found
    assert (answer.mechanism, answer.root) == ("admission", None)
    assert "alice tried 2 times to delete pod shop/web-1" in answer.summary
    assert "pods of shop are kept" in answer.summary
    assert "carol made" in answer.summary


def test_a_create_that_admission_refused_is_told_although_there_never_was_an_object(trail: Trail, who: Who) -> None:
    refusal = {"kind": "Status", "status": "Failure", "code": 403, "message": WEBHOOK}
    trail.add(5, "alice", "create", "pods", "web-1", code=403, request=trail.pod("web-1", 1), response=refusal)
    answer = who(trail, "pod/web-1", "created")
    assert (answer.found, answer.mechanism) == (False, "admission")
    assert "alice tried once to create pod shop/web-1" in answer.summary


def status(trail: Trail, clock: float, user: str, ready: dict[str, Any]) -> None:
    asked = {"status": {"conditions": [{"type": "Ready", **ready}]}}
    trail.add(clock, user, "patch", "nodes", "n1", namespace="", sub="status", request=asked)


def test_a_node_that_fell_silent_stopped_and_started_when_its_kubelet_was_back(trail: Trail, who: Who) -> None:
    kubelet = "system:node:n1"
    node = {"kind": "Node", "metadata": {"name": "n1", "uid": uid(77)}}
    trail.add(0, kubelet, "create", "nodes", "n1", namespace="", code=201, request=node, response=node)
    status(trail, 10, kubelet, {"lastHeartbeatTime": "2026-03-01T10:00:10Z"})
    unknown = {"status": "Unknown", "reason": "NodeStatusUnknown", "lastTransitionTime": "2026-03-01T10:01:00Z"}
    status(trail, 60, CONTROLLERS + "node-controller", unknown)
    status(trail, 90, kubelet, {"status": "True", "lastTransitionTime": "2026-03-01T10:01:30Z"})
    status(trail, 100, kubelet, {"lastHeartbeatTime": "2026-03-01T10:01:40Z"})
    stopped = who(trail, "node/n1", "stopped")
    assert (stopped.mechanism, stopped.certainty) == ("node-lost", "proved")
    assert "last recorded sign of life was at 2026-03-01T10:00:10" in stopped.summary
    started = who(trail, "node/n1", "started")
    assert started.root is not None
    assert (started.root.user, started.root.kind, started.root.object) == (None, "node", "Node/n1")
    assert started.when == "2026-03-01T10:01:30.004000Z"


def test_a_node_that_shut_down_said_so_itself(trail: Trail, who: Who) -> None:
    node = {"kind": "Node", "metadata": {"name": "n1", "uid": uid(77)}}
    trail.add(0, "system:node:n1", "create", "nodes", "n1", namespace="", code=201, request=node, response=node)
    not_ready = {"status": "False", "reason": "KubeletNotReady", "message": "node is shutting down"}
    status(trail, 60, "system:node:n1", not_ready)
    answer = who(trail, "node/n1", "stopped")
    assert (answer.mechanism, answer.certainty) == ("direct", "proved")
    assert "node is shutting down" in answer.summary


def test_two_users_who_delete_at_metadata_level_are_candidates_of_each_other(trail: Trail, who: Who) -> None:
    trail.add(0, "carol", "create", "pods", "web-1", code=201, level="Metadata")
    trail.add(50, "alice", "delete", "pods", "web-1", level="Metadata")
    trail.add(50.4, "bob", "delete", "pods", "web-1", level="Metadata")
    trail.add(53, "system:node:n1", "delete", "pods", "web-1", level="Metadata")
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.certainty == "inferred"
    assert answer.root is not None
    assert {answer.root.user, *(c.user for c in answer.candidates)} == {"alice", "bob"}
