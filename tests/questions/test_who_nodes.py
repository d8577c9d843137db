"""Nodes: taints and what they drove away, drains, cordons, lost nodes."""

from __future__ import annotations

from typing import Any

from kubewitness.formats.times import format_us
from tests.questions.builder import BEGIN, CONTROLLERS, SECOND, Trail, uid
from tests.questions.conftest import Who

NODE_CONTROLLER = CONTROLLERS + "node-controller"
MAINTENANCE = {"key": "maintenance", "value": "yes", "effect": "NoExecute"}
UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


def node_write(trail: Trail, clock: float, user: str, taints: list[dict[str, Any]], **spec: Any) -> None:
    body = {"kind": "Node", "metadata": {"name": "n1", "uid": uid(77)}, "spec": {"taints": taints, **spec}}
    asked = {"spec": {"taints": taints, **spec}}
    trail.add(clock, user, "patch", "nodes", "n1", namespace="", request=asked, response=body)


def driven_away(trail: Trail, clock: float) -> None:
    body = trail.pod("web-1", 1, **trail.going(clock))
    trail.add(clock, NODE_CONTROLLER, "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=body)


def test_a_taint_that_somebody_set_is_the_root(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    node_write(trail, 50, "alice", [MAINTENANCE])
    driven_away(trail, 50.1)
    answer = who(trail, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("taint", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.object) == ("alice", "Node/n1")
    assert "maintenance=yes:NoExecute" in answer.summary


def test_who_only_carried_a_taint_on_is_not_the_root(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    node_write(trail, 50, "alice", [MAINTENANCE])
    node_write(trail, 60, "bob", [MAINTENANCE], unschedulable=True)
    driven_away(trail, 110)  # the pod tolerated the taint for a minute
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.root is not None
    assert answer.root.user == "alice"


def test_a_lost_node_is_nobodys_doing_and_its_last_sign_of_life_is_told(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    trail.add(10, "system:node:n1", "patch", "nodes", "n1", namespace="", sub="status")
    node_write(trail, 60, NODE_CONTROLLER, [UNREACHABLE])
    driven_away(trail, 360)
    answer = who(trail, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("node-lost", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.kind, answer.root.object) == (None, "node", "Node/n1")
    assert "last recorded sign of life was at 2026-03-01T10:00:10" in answer.summary


def test_drained_names_who_cordoned_and_evicted_and_counts_the_pods(trail: Trail, who: Who) -> None:
    for number in (1, 2):
        trail.create_pod(0, "carol", f"web-{number}", number)
    trail.create_pod(0, "carol", "web-3", 3, node="n2")
    node_write(trail, 50, "alice", [], unschedulable=True)
    for number in (1, 2, 3):
        trail.add(51, "alice", "create", "pods", f"web-{number}", sub="eviction", code=201)
    node_write(trail, 90, "bob", [], unschedulable=None)
    drained = who(trail, "node/n1", "drained")
    assert drained.summary == "alice drained node n1 with kubectl, evicting 2 pods."
    assert who(trail, "node/n1", "uncordoned").summary == "bob uncordoned node n1 with kubectl."
    assert who(trail, "node/n1", "cordoned").summary == "alice cordoned node n1 with kubectl."


def test_a_cordon_alone_is_no_drain(trail: Trail, who: Who) -> None:
    node_write(trail, 50, "alice", [], unschedulable=True)
    answer = who(trail, "node/n1", "drained")
    assert not answer.found
    assert "cordoned" in answer.summary


def test_a_deleted_node_explains_the_pods_that_were_collected(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    node_write(trail, 5, "carol", [])
    gone = {"kind": "Status", "details": {"name": "n1", "uid": uid(77)}}
    trail.add(50, "bob", "delete", "nodes", "n1", namespace="", request={"kind": "DeleteOptions"}, response=gone)
    body = trail.pod("web-1", 1, **trail.going(90, 0))
    collector = CONTROLLERS + "pod-garbage-collector"
    trail.add(90, collector, "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=body)
    answer = who(trail, "pod/web-1", "deleted")
    assert answer.mechanism == "node-deleted"
    assert answer.root is not None
    assert (answer.root.user, answer.root.object) == ("bob", "Node/n1")


def test_secret_reads_name_every_reader_and_the_newest_first(trail: Trail, who: Who) -> None:
    trail.add(10, "alice", "get", "secrets", "db", level="Metadata")
    trail.add(20, "bob", "list", "secrets", "", level="Metadata")
    trail.add(25, "carol", "get", "secrets", "db", code=403, level="Metadata")
    trail.add(30, CONTROLLERS + "token-controller", "get", "secrets", "db", level="Metadata")
    answer = who(trail, "secret/db", "read")
    assert answer.root is not None
    assert answer.root.user == "bob"
    assert "2 users read secret shop/db: bob, alice" in answer.summary
    assert len(answer.chain) == 3


def test_exec_tells_the_command_for_both_transports(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    query = "command=cat&command=%2Fetc%2Fpasswd&container=web"
    trail.add(10, "bob", "get", "pods", "web-1", sub="exec", code=101, query=query)
    answer = who(trail, "pod/web-1", "exec")
    assert answer.summary == "bob ran 'cat /etc/passwd' in pod shop/web-1 (container web) with kubectl."


def test_a_preemption_stays_one_however_the_preempting_pod_came_about(trail: Trail, who: Who) -> None:
    trail.create_pod(0, "carol", "web-1", 1)
    owner = {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": {"name": "big", "namespace": "shop", "uid": uid(9)},
    }
    owner["spec"] = {"replicas": 1}
    trail.add(40, "alice", "create", "replicasets", "big", group="apps", code=201, request=owner, response=owner)
    big = trail.pod("big-aaaaa", 2, owner=("ReplicaSet", "big", uid(9)))
    trail.add(40.1, CONTROLLERS + "replicaset-controller", "create", "pods", "", code=201, request=big, response=big)
    body = trail.pod("web-1", 1, **trail.going(41))
    trail.add(41, "system:kube-scheduler", "delete", "pods", "web-1", request={"kind": "DeleteOptions"}, response=body)
    trail.preempted(41, "web-1", 1, "big-aaaaa")
    answer = who(trail, "pod/web-1", "deleted")
    assert (answer.mechanism, answer.certainty) == ("preemption", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.object) == ("alice", "ReplicaSet/shop/big")


def test_attached_and_forwarded_streams_tell_their_length_and_one_without_an_end_is_open(
    trail: Trail, who: Who
) -> None:
    trail.create_pod(0, "alice", "web-1", 1)
    trail.add(10, "bob", "create", "pods", "web-1", sub="portforward", code=101)
    trail.events[-1]["stageTimestamp"] = format_us(BEGIN + 100 * SECOND)
    trail.add(20, "carol", "get", "pods", "web-1", sub="attach", code=101, query="container=app")
    trail.events[-1]["stage"] = "ResponseStarted"
    answer = who(trail, "pod/web-1", "exec")
    said = [link.sentence for link in answer.chain]
    assert "bob forwarded ports of pod shop/web-1 with kubectl for 1 min 30 s." in said
    still = "still open at 2026-03-01T10:01:40.000000Z."
    assert f"carol attached to pod shop/web-1 (container app) with kubectl, {still}" in said
    assert answer.summary.startswith("2 users used exec, attach or port-forward")
    then = who(trail, "pod/web-1", "exec", at=BEGIN + 50 * SECOND)
    assert len(then.chain) == 2


def test_reads_of_a_secret_are_gets_and_the_lists_and_watches_that_covered_it(trail: Trail, who: Who) -> None:
    trail.add(0, "alice", "create", "secrets", "db", code=201)
    trail.add(10, "bob", "get", "secrets", "db")
    trail.add(20, "carol", "list", "secrets", "")
    trail.add(30, "ci-bot", "watch", "secrets", "", namespace="")
    trail.add(40, "admin", "list", "secrets", "", query="fieldSelector=metadata.name%3Dother")
    trail.add(50, "load", "get", "secrets", "db", code=403)
    answer = who(trail, "secret/db", "read")
    readers = {link.actor for link in answer.chain}
    assert readers == {"bob", "carol", "ci-bot"}
    assert any("a list of all of the namespace" in link.sentence for link in answer.chain)
    assert any("a watch of all namespaces" in link.sentence for link in answer.chain)
