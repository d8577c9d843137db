"""`diff`, `show` and the changes of `who`: versions rebuilt from what each audit level left, and who changed what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kubewitness.questions import diff, show
from kubewitness.questions.model import FieldChange, WhoAnswer
from kubewitness.questions.targets import parse_target
from kubewitness.store import Session
from tests.questions.builder import BEGIN, SECOND, Trail, uid

Opened = Callable[[Trail], Session]
Who = Callable[..., WhoAnswer]

MANAGED = {
    "manager": "argocd",
    "operation": "Apply",
    "time": "2026-03-01T10:00:09Z",
    "fieldsV1": {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}}
    },
}


def web(image: str, replicas: int, generation: int, **meta: Any) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "shop", "uid": uid(1), "generation": generation, **meta}
    metadata.setdefault("resourceVersion", str(1000 + generation))
    pod = {"spec": {"containers": [{"name": "web", "image": image}]}}
    spec = {"replicas": replicas, "template": pod}
    return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": metadata, "spec": spec}


def image_patch(image: str) -> dict[str, Any]:
    order = [{"name": "web"}]
    containers = [{"name": "web", "image": image}]
    return {"spec": {"template": {"spec": {"$setElementOrder/containers": order, "containers": containers}}}}


def created(trail: Trail) -> None:
    body = web("web:1", 2, 1)
    trail.add(0, "bob", "create", "deployments", "web", group="apps", code=201, request=body, response=body)


def patch(trail: Trail, clock: float, user: str, body: Any, **rest: Any) -> str:
    return trail.add(clock, user, "patch", "deployments", "web", group="apps", request=body, **rest)


def asked(session: Session, **rest: Any) -> diff.DiffAnswer:
    return diff.ask(
        session, diff.DiffQuestion(parse_target(["deploy/web"], namespace="shop", cluster="default"), **rest)
    )


def told(changes: list[FieldChange]) -> dict[str, tuple[Any, Any, str | None]]:
    return {c.field: (c.old, c.new, c.user) for c in changes}


IMAGE = "spec.template.spec.containers.web.image"


def test_each_field_has_its_own_author_and_its_first_and_last_value(trail: Trail, opened: Opened) -> None:
    created(trail)
    patch(trail, 10, "alice", image_patch("web:2"), response=web("web:2", 2, 2))
    last = patch(trail, 20, "carol", image_patch("web:3"), response=web("web:3", 2, 3), acting_as="deployer")
    patch(trail, 30, "alice", {"spec": {"replicas": 5}}, response=web("web:3", 5, 4))
    answer = asked(opened(trail))
    assert told(answer.changes) == {"spec.replicas": (2, 5, "alice"), IMAGE: ("web:1", "web:3", "carol")}
    image = next(c for c in answer.changes if c.field == IMAGE)
    assert image.acting_as == "deployer"
    assert image.certainty == "proved"
    assert image.evidence == [f"audit:default/{last}/ResponseComplete"]
    assert answer.exact


def test_the_times_asked_for_choose_the_versions(trail: Trail, opened: Opened) -> None:
    created(trail)
    patch(trail, 10, "alice", image_patch("web:2"), response=web("web:2", 2, 2))
    patch(trail, 20, "carol", image_patch("web:3"), response=web("web:3", 2, 3))
    answer = asked(opened(trail), since=BEGIN + 15 * SECOND, until=BEGIN + 25 * SECOND)
    assert told(answer.changes) == {IMAGE: ("web:2", "web:3", "carol")}


def test_at_level_request_patches_are_applied_to_what_was_known(trail: Trail, opened: Opened) -> None:
    created(trail)
    patch(trail, 10, "alice", image_patch("web:2"), level="Request")
    patch(trail, 20, "carol", [{"op": "replace", "path": "/spec/replicas", "value": 7}], level="Request")
    session = opened(trail)
    answer = asked(session)
    assert told(answer.changes) == {"spec.replicas": (2, 7, "carol"), IMAGE: ("web:1", "web:2", "alice")}
    assert answer.after is not None
    assert answer.after.how == "rebuilt"
    ref = parse_target(["deploy/web"], namespace="shop", cluster="default")
    shown = show.ask(session, show.ShowQuestion(ref))
    assert shown.how == "rebuilt"
    assert not shown.exact
    assert shown.object["spec"]["replicas"] == 7
    earlier = show.ask(session, show.ShowQuestion(ref, at=BEGIN + 5 * SECOND))
    assert earlier.exact
    assert earlier.object["spec"]["replicas"] == 2


def test_from_a_write_without_a_body_the_object_is_unknown_until_the_next_whole_one(
    trail: Trail, opened: Opened
) -> None:
    created(trail)
    hidden = patch(trail, 10, "alice", None, level="Metadata")
    patch(trail, 20, "carol", image_patch("web:9"), level="Request")
    session = opened(trail)
    answer = asked(session)
    assert answer.changes == []
    assert not answer.exact
    assert answer.unknown[0].evidence == f"audit:default/{hidden}/ResponseComplete"
    assert answer.unknown[0].until is None
    ref = parse_target(["deploy/web"], namespace="shop", cluster="default")
    assert show.ask(session, show.ShowQuestion(ref)).unknown_since == answer.unknown[0].since
    patch(trail, 30, "bob", {"spec": {"replicas": 2}}, response=web("web:9", 2, 4))
    later = asked(opened(trail))
    assert later.unknown[0].until is not None
    [change] = later.changes
    assert (change.user, change.certainty) == ("bob", "inferred")
    assert len(change.evidence) == 3


def test_the_field_manager_and_the_webhook_that_set_a_field_are_named(trail: Trail, who: Who) -> None:
    created(trail)
    after = web("mirror/web:2", 2, 2, managedFields=[MANAGED], labels={"injected": "yes"})
    patch(trail, 10, "alice", image_patch("web:2"), response=after, query="fieldManager=kubectl-set")
    said = {
        "configuration": "mirror",
        "webhook": "images.example.com",
        "patch": [{"op": "add", "path": "/metadata/labels", "value": {"injected": "yes"}}],
        "patchType": "JSONPatch",
    }
    trail.events[-1]["annotations"] = {"patch.webhook.admission.k8s.io/round_0_index_0": json.dumps(said)}
    answer = who(trail, "deploy/web", "changed")
    by_field = {c.field: c for c in answer.changes}
    assert by_field[IMAGE].manager == "argocd"
    assert by_field[IMAGE].webhook is None
    assert by_field["metadata.labels.injected"].webhook == "mirror/images.example.com"
    assert by_field["metadata.labels.injected"].manager == "kubectl-set"


def test_an_object_that_was_never_seen_whole_is_not_found(trail: Trail, opened: Opened) -> None:
    patch(trail, 10, "alice", image_patch("web:2"), level="Request")
    answer = asked(opened(trail))
    assert not answer.found
    assert "not known before" in answer.unknown[0].why


def test_values_of_secrets_stay_redacted(trail: Trail, opened: Opened) -> None:
    def secret(value: str, version: int) -> dict[str, Any]:
        meta = {
            "name": "db",
            "namespace": "shop",
            "uid": uid(5),
            "resourceVersion": str(version),
            "labels": {"v": value},
        }
        return {"kind": "Secret", "apiVersion": "v1", "metadata": meta, "data": {"password": f"c2VjcmV0{value}"}}

    trail.add(0, "bob", "create", "secrets", "db", code=201, request=secret("1", 1), response=secret("1", 1))
    trail.add(9, "bob", "update", "secrets", "db", request=secret("2", 2), response=secret("2", 2))
    ref = parse_target(["secret/db"], namespace="shop", cluster="default")
    answer = diff.ask(opened(trail), diff.DiffQuestion(ref))
    assert told(answer.changes) == {"metadata.labels.v": ("1", "2", "bob")}
    assert "never kept" in answer.notes[0]


def test_a_webhook_whose_patch_is_not_recorded_is_told_as_missing(trail: Trail, who: Who) -> None:
    created(trail)
    patch(trail, 10, "alice", None, level="Metadata")
    said = json.dumps({"configuration": "mirror", "webhook": "images.example.com", "mutated": True})
    trail.events[-1]["annotations"] = {"mutation.webhook.admission.k8s.io/round_0_index_0": said}
    answer = who(trail, "deploy/web", "changed")
    assert answer.changes == []
    assert any("mirror/images.example.com" in m for m in answer.missing)
