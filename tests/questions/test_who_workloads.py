"""rollout and scale-down: which write of the Deployment was behind a pod that its ReplicaSet lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.questions.builder import CONTROLLERS, Trail, uid
from tests.questions.conftest import Who

RS_CONTROLLER = CONTROLLERS + "replicaset-controller"
DEPLOYMENT_CONTROLLER = CONTROLLERS + "deployment-controller"


def template(image: str, **annotations: str) -> dict[str, Any]:
    meta: dict[str, Any] = {"labels": {"app": "web"}}
    if annotations:
        meta["annotations"] = {"kubectl.kubernetes.io/restartedAt": annotations["restarted"]}
    return {"metadata": meta, "spec": {"containers": [{"name": "web", "image": image}]}}


class Workload:
    """A Deployment, its ReplicaSets and their pods, as the API server answers about them."""

    def __init__(self, trail: Trail, level: str) -> None:
        self.trail = trail
        self.level = level

    def _meta(self, name: str, number: int, **rest: Any) -> dict[str, Any]:
        version = str(next(self.trail.versions))
        return {"name": name, "namespace": "shop", "uid": uid(number), "resourceVersion": version, **rest}

    def deployment(self, clock: float, user: str, verb: str, image: str, replicas: int, patch: Any = None) -> None:
        body = {
            "kind": "Deployment",
            "apiVersion": "apps/v1",
            "metadata": self._meta("web", 50),
            "spec": {"replicas": replicas, "template": template(image)},
        }
        asked = patch if patch is not None else body
        self._add(clock, user, verb, "deployments", "web", "", asked, body)

    def scale(self, clock: float, user: str, replicas: int) -> None:
        scale = {"kind": "Scale", "metadata": self._meta("web", 50), "spec": {"replicas": replicas}}
        self._add(clock, user, "patch", "deployments", "web", "scale", {"spec": {"replicas": replicas}}, scale)

    def replicaset(self, clock: float, verb: str, number: int, image: str, replicas: int, desired: int) -> None:
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid(50), "controller": True}
        pods = template(image)
        pods["metadata"]["labels"]["pod-template-hash"] = f"abcdef{number}"
        notes = {"deployment.kubernetes.io/desired-replicas": str(desired)}
        name = f"web-abcdef{number}"
        body = {
            "kind": "ReplicaSet",
            "apiVersion": "apps/v1",
            "metadata": self._meta(name, number, annotations=notes, ownerReferences=[owner]),
            "spec": {"replicas": replicas, "template": pods},
        }
        self._add(clock, DEPLOYMENT_CONTROLLER, verb, "replicasets", name, "", body, body)

    def pod(self, clock: float, name: str, number: int, rs: int) -> None:
        body = self.trail.pod(name, number, owner=("ReplicaSet", f"web-abcdef{rs}", uid(rs)))
        named = name if self.level == "RequestResponse" else ""
        self.trail.add(
            clock, RS_CONTROLLER, "create", "pods", named, code=201, request=body, response=body, level=self.level
        )

    def loses(self, clock: float, name: str, number: int, rs: int) -> None:
        owner = ("ReplicaSet", f"web-abcdef{rs}", uid(rs))
        body = self.trail.pod(name, number, owner=owner, **self.trail.going(clock))
        options = {"kind": "DeleteOptions"}
        self.trail.add(clock, RS_CONTROLLER, "delete", "pods", name, request=options, response=body, level=self.level)
        if self.level == "RequestResponse":
            self.trail.kubelet_ends(clock + 3, clock, name, number)
        else:
            self.trail.add(clock + 3, "system:node:n1", "delete", "pods", name, level=self.level)

    def _add(self, clock: float, user: str, verb: str, resource: str, name: str, sub: str, *bodies: Any) -> None:
        asked, answered = bodies
        code = 201 if verb == "create" else 200
        self.trail.add(
            clock,
            user,
            verb,
            resource,
            name,
            group="apps",
            sub=sub,
            code=code,
            request=asked,
            response=answered,
            level=self.level,
        )


LEVELS = ["RequestResponse", "Request", "Metadata"]
SURE = {"RequestResponse": "proved", "Request": "inferred", "Metadata": "inferred"}
IMAGE_2 = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}


def begun(trail: Trail, level: str) -> Workload:
    """carol made a Deployment of two pods."""
    w = Workload(trail, level)
    w.deployment(0, "carol", "create", "web:1", 2)
    w.replicaset(0.1, "create", 1, "web:1", 2, 2)
    w.pod(0.2, "web-abcdef1-aaaaa", 101, 1)
    w.pod(0.2, "web-abcdef1-bbbbb", 102, 1)
    return w


@pytest.mark.parametrize("level", LEVELS)
def test_a_new_image_is_the_root_of_the_old_pods_end(level: str, trail: Trail, who: Who) -> None:
    w = begun(trail, level)
    w.deployment(100, "bob", "patch", "web:2", 2, IMAGE_2)
    w.replicaset(100.1, "create", 2, "web:2", 1, 2)
    w.replicaset(100.2, "update", 1, "web:1", 1, 2)
    w.loses(100.3, "web-abcdef1-aaaaa", 101, 1)
    answer = who(trail, "pod/web-abcdef1-aaaaa", "deleted")
    assert (answer.mechanism, answer.certainty) == ("rollout", SURE[level])
    assert answer.root is not None
    assert (answer.root.user, answer.root.object) == ("bob", "Deployment/shop/web")
    if level == "RequestResponse":
        assert "image of web: web:1 -> web:2" in answer.summary
    if level == "Metadata":
        assert any("level Request for deployments" in m for m in answer.missing)


@pytest.mark.parametrize("level", LEVELS)
def test_a_scaling_is_the_root_even_after_a_rollout(level: str, trail: Trail, who: Who) -> None:
    w = begun(trail, level)
    w.deployment(100, "bob", "patch", "web:2", 2, IMAGE_2)
    w.replicaset(100.1, "create", 2, "web:2", 2, 2)
    w.pod(100.2, "web-abcdef2-ccccc", 103, 2)
    w.replicaset(100.3, "update", 1, "web:1", 0, 2)
    w.scale(900, "alice", 1)
    w.replicaset(900.1, "update", 2, "web:2", 1, 1)
    w.loses(900.2, "web-abcdef2-ccccc", 103, 2)
    answer = who(trail, "pod/web-abcdef2-ccccc", "deleted")
    assert answer.mechanism == "scale-down"
    assert answer.certainty == "proved" or level != "RequestResponse"
    assert answer.root is not None
    assert answer.root.user == "alice"


def test_a_scaling_in_the_middle_of_a_rollout_is_told_from_the_rollout(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.deployment(100, "bob", "patch", "web:2", 2, IMAGE_2)
    w.replicaset(100.1, "create", 2, "web:2", 1, 2)
    w.scale(105, "alice", 1)
    w.replicaset(105.1, "update", 1, "web:1", 1, 1)  # the desired replicas moved: alice's doing
    w.loses(105.2, "web-abcdef1-aaaaa", 101, 1)
    w.replicaset(110, "update", 1, "web:1", 0, 1)  # they did not: the rollout going on
    w.loses(110.2, "web-abcdef1-bbbbb", 102, 1)
    by_alice = who(trail, "pod/web-abcdef1-aaaaa", "deleted")
    assert by_alice.root is not None
    assert (by_alice.mechanism, by_alice.root.user) == ("scale-down", "alice")
    by_bob = who(trail, "pod/web-abcdef1-bbbbb", "deleted")
    assert by_bob.root is not None
    assert (by_bob.mechanism, by_bob.root.user) == ("rollout", "bob")


def test_two_scalings_within_a_second_are_candidates_of_each_other(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.scale(100, "alice", 1)
    w.replicaset(100.05, "update", 1, "web:1", 1, 1)
    w.scale(100.2, "bob", 0)
    w.replicaset(100.25, "update", 1, "web:1", 0, 0)
    w.loses(100.3, "web-abcdef1-aaaaa", 101, 1)
    answer = who(trail, "pod/web-abcdef1-aaaaa", "deleted")
    assert answer.certainty == "inferred"
    assert answer.root is not None
    assert {answer.root.user, *(c.user for c in answer.candidates)} == {"alice", "bob"}


def test_a_rollback_is_named_so(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.deployment(100, "bob", "patch", "web:2", 2, IMAGE_2)
    w.replicaset(100.1, "create", 2, "web:2", 1, 2)
    w.pod(100.2, "web-abcdef2-ccccc", 103, 2)
    w.deployment(130, "alice", "patch", "web:1", 2, IMAGE_2)
    w.replicaset(130.1, "update", 2, "web:2", 0, 2)
    w.loses(130.2, "web-abcdef2-ccccc", 103, 2)
    answer = who(trail, "pod/web-abcdef2-ccccc", "deleted")
    assert answer.root is not None
    assert (answer.mechanism, answer.root.user, answer.root.action) == ("rollout", "alice", "undo")
    assert answer.certainty == "proved"


def test_the_autoscaler_is_the_root_of_its_scalings(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.scale(100, CONTROLLERS + "horizontal-pod-autoscaler", 1)
    w.replicaset(100.05, "update", 1, "web:1", 1, 1)
    w.loses(100.3, "web-abcdef1-aaaaa", 101, 1)
    answer = who(trail, "pod/web-abcdef1-aaaaa", "deleted")
    assert (answer.mechanism, answer.certainty) == ("autoscale", "proved")


def test_without_the_deployments_writes_the_answer_is_unknown_and_names_the_rule(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.replicaset(100.05, "update", 1, "web:1", 1, 1)
    w.loses(100.3, "web-abcdef1-aaaaa", 101, 1)
    answer = who(trail, "pod/web-abcdef1-aaaaa", "deleted")
    assert answer.found
    assert answer.certainty == "unknown"
    assert answer.missing


def test_a_deleted_deployment_takes_its_pods_with_it(trail: Trail, who: Who) -> None:
    begun(trail, "RequestResponse")
    collector = CONTROLLERS + "generic-garbage-collector"
    gone = {"kind": "Status", "status": "Success", "details": {"name": "web", "kind": "deployments", "uid": uid(50)}}
    options = {"kind": "DeleteOptions", "propagationPolicy": "Background"}
    trail.add(100, "bob", "delete", "deployments", "web", group="apps", request=options, response=gone)
    by_uid = {"kind": "DeleteOptions", "preconditions": {"uid": uid(1)}}
    status = {"kind": "Status", "details": {"name": "web-abcdef1", "uid": uid(1)}}
    trail.add(100.1, collector, "delete", "replicasets", "web-abcdef1", group="apps", request=by_uid, response=status)
    body = trail.pod("web-abcdef1-aaaaa", 101, owner=("ReplicaSet", "web-abcdef1", uid(1)), **trail.going(100.2))
    trail.add(100.2, collector, "delete", "pods", "web-abcdef1-aaaaa", request={"kind": "DeleteOptions"}, response=body)
    answer = who(trail, "pod/web-abcdef1-aaaaa", "deleted")
    assert (answer.mechanism, answer.certainty) == ("owner-deleted", "proved")
    assert answer.root is not None
    assert (answer.root.user, answer.root.action) == ("bob", "delete")
    assert [link.object for link in answer.chain] == [
        "Pod/shop/web-abcdef1-aaaaa",
        "ReplicaSet/shop/web-abcdef1",
        "Deployment/shop/web",
    ]


def test_scaled_names_the_scaling_and_changed_the_change(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.deployment(100, "bob", "patch", "web:2", 2, IMAGE_2)
    w.scale(200, "alice", 5)
    scaled = who(trail, "deploy/web", "scaled")
    assert scaled.summary.startswith("alice scaled deployment shop/web from 2 to 5")
    changed = who(trail, "deploy/web", "changed")
    assert changed.summary.startswith("bob rolled out deployment shop/web")
    assert who(trail, "deploy/web").question.verb == "scaled"


def test_a_write_after_an_unrecorded_rollout_is_not_blamed_with_certainty(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    # somebody set web:2 while nothing was recorded; bob only changed a label, but his answer shows the new template
    w.deployment(100, "bob", "update", "web:2", 2)
    w.replicaset(100.2, "update", 1, "web:1", 1, 2)
    w.loses(100.3, "web-abcdef1-aaaaa", 101, 1)
    assert who(trail, "pod/web-abcdef1-aaaaa", "deleted").certainty == "inferred"


@pytest.mark.parametrize("level", LEVELS)
def test_of_two_scalings_that_the_controller_saw_as_one_neither_is_proved(level: str, trail: Trail, who: Who) -> None:
    """2 to 6 before; bob to 4 and alice to 2, and only then one write of the ReplicaSet: which pod is whose?"""
    w = begun(trail, level)
    w.scale(50, "carol", 6)
    w.replicaset(50.1, "update", 1, "web:1", 6, 6)
    w.pod(50.2, "web-abcdef1-ccccc", 103, 1)
    w.scale(100, "bob", 4)
    w.scale(100.2, "alice", 2)
    w.replicaset(100.4, "update", 1, "web:1", 2, 2)
    w.loses(100.5, "web-abcdef1-ccccc", 103, 1)
    answer = who(trail, "pod/web-abcdef1-ccccc", "deleted")
    assert answer.root is not None
    assert (answer.mechanism, answer.certainty, answer.root.user) == ("scale-down", "inferred", "alice")
    if level != "Metadata":
        assert [c.user for c in answer.candidates] == ["bob"]


def test_two_scalings_that_the_controller_answered_one_by_one_are_told_apart(trail: Trail, who: Who) -> None:
    w = begun(trail, "RequestResponse")
    w.scale(50, "carol", 6)
    w.replicaset(50.1, "update", 1, "web:1", 6, 6)
    for number in (103, 104):
        w.pod(50.2, f"web-abcdef1-{number}cc", number, 1)
    for clock, user, replicas, number in ((100, "bob", 4, 103), (102, "alice", 2, 104)):
        w.scale(clock, user, replicas)
        w.replicaset(clock + 0.1, "update", 1, "web:1", replicas, replicas)
        w.loses(clock + 0.2, f"web-abcdef1-{number}cc", number, 1)
    for user, number in (("bob", 103), ("alice", 104)):
        answer = who(trail, f"pod/web-abcdef1-{number}cc", "deleted")
        assert answer.root is not None
        assert (answer.root.user, answer.certainty, answer.candidates) == (user, "proved", [])


def test_writes_of_two_api_servers_are_put_in_the_order_of_their_resource_versions(trail: Trail, who: Who) -> None:
    """bob's API server is a second ahead: his write was the first, and its record says it was the second."""
    w = begun(trail, "RequestResponse")
    w.scale(50, "carol", 6)
    w.replicaset(50.1, "update", 1, "web:1", 6, 6)
    w.pod(50.2, "web-abcdef1-ccccc", 103, 1)
    w.scale(101, "bob", 8)
    w.replicaset(100.1, "update", 1, "web:1", 8, 8)
    w.scale(100.2, "alice", 2)
    w.replicaset(100.4, "update", 1, "web:1", 2, 2)
    w.loses(100.5, "web-abcdef1-ccccc", 103, 1)
    scaled = who(trail, "deploy/web", "scaled")
    assert scaled.summary.startswith("alice scaled deployment shop/web from 8 to 2"), scaled.summary
    answer = who(trail, "pod/web-abcdef1-ccccc", "deleted")
    assert answer.root is not None
    assert (answer.root.user, answer.certainty) == ("alice", "proved"), answer.summary
