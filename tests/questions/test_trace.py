"""`trace`: the tree of what followed tells the same story as `who`, on recorded runs of all scenarios and on trails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubewitness.errors import UsageError
from kubewitness.questions import trace
from kubewitness.questions.trace import TraceAnswer, TraceNode, TraceQuestion
from kubewitness.store import Session, Store
from tests.cluster.scenarios.record import Recording
from tests.cluster.scenarios.scoring import answer_of, state_at
from tests.questions.builder import CONTROLLERS, Trail, uid

CORPUS = Path(__file__).resolve().parents[1] / "fixtures" / "corpus"
Opened = Callable[[Trail], Session]


def nodes_of(node: TraceNode | None) -> Iterator[TraceNode]:
    """A node and all below it."""
    if node is not None:
        yield node
        for child in node.children:
            yield from nodes_of(child)


def lost_effects(seed: str, level: str, every: int, folder: Path) -> tuple[int, list[str]]:
    """How many of a recording's truths were asked about, and the effects that the trace of `who`'s root left out."""
    recording = Recording(CORPUS / seed)
    store = Store(state_at(folder, recording, level))
    traces: dict[str, TraceAnswer] = {}
    lost, asked = [], 0
    with store.session() as session:
        for known in recording.truth["known"][::every]:
            answer = answer_of(session, known)
            links = [k for k in answer.chain if answer.root is not None and k.when == answer.root.when]
            roots = [k.evidence[0] for k in links if k.evidence[0].startswith("audit:")]
            if not roots:
                continue
            asked += 1
            found = traces.setdefault(roots[-1], trace.ask(session, TraceQuestion(roots[-1], events=False)))
            effect = answer.chain[0]
            inside = {(n.evidence[0], n.object) for n in nodes_of(found.root)}
            if (effect.evidence[0], effect.object) not in inside and effect.evidence[0] != roots[-1]:
                lost.append(
                    f"{known['scenario']}: {answer.summary} is not in the trace of {roots[-1]}: {found.summary}"
                )
    store.close()
    return asked, lost


@pytest.mark.parametrize(
    ("level", "every"), [pytest.param("RequestResponse", 24, marks=pytest.mark.long), ("Metadata", 40)]
)
def test_the_trace_of_a_root_that_who_names_contains_the_effect(level: str, every: int, tmp_path: Path) -> None:
    asked, lost = lost_effects("seed-6", level, every, tmp_path)
    assert asked > 2
    assert lost == []


@pytest.mark.soak
@pytest.mark.parametrize("level", ["RequestResponse", "Request", "Metadata"])
@pytest.mark.parametrize("seed", ["seed-1", "seed-6"])
def test_the_trace_of_every_root_that_who_names_contains_the_effect(seed: str, level: str, tmp_path: Path) -> None:
    _, lost = lost_effects(seed, level, 1, tmp_path)
    assert lost == []


def scaled_down(trail: Trail) -> str:
    """alice scales a Deployment from two to one; its controllers carry it out; returns her request's auditID."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid(1), "controller": True}
    rs_meta = {"name": "web-69f96bc6b5", "namespace": "shop", "uid": uid(2), "ownerReferences": [owner]}

    def deployment(replicas: int, generation: int) -> dict[str, object]:
        meta = {"name": "web", "namespace": "shop", "uid": uid(1), "generation": generation}
        return {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": meta, "spec": {"replicas": replicas}}

    def replicaset(replicas: int) -> dict[str, object]:
        annotations = {"deployment.kubernetes.io/desired-replicas": str(replicas)}
        meta = {**rs_meta, "annotations": annotations}
        return {"kind": "ReplicaSet", "apiVersion": "apps/v1", "metadata": meta, "spec": {"replicas": replicas}}

    controller, maker = CONTROLLERS + "deployment-controller", CONTROLLERS + "replicaset-controller"
    pod_owner = ("ReplicaSet", "web-69f96bc6b5", uid(2))
    pod = trail.pod("web-69f96bc6b5-aaaaa", 3, owner=pod_owner)
    trail.add(0, "bob", "create", "deployments", "web", group="apps", code=201, response=deployment(2, 1))
    trail.add(1, controller, "create", "replicasets", "web-69f96bc6b5", group="apps", code=201, response=replicaset(2))
    trail.add(2, maker, "create", "pods", "web-69f96bc6b5-aaaaa", code=201, response=pod)
    trail.add(3, "system:kube-scheduler", "create", "pods", "web-69f96bc6b5-aaaaa", sub="binding", code=201)
    scale = {"spec": {"replicas": 1}}
    answer = {"kind": "Scale", "metadata": {"name": "web", "uid": uid(1)}, **scale}
    root = trail.add(
        60, "alice", "patch", "deployments", "web", group="apps", sub="scale", request=scale, response=answer
    )
    trail.add(61, controller, "update", "replicasets", "web-69f96bc6b5", group="apps", response=replicaset(1))
    gone = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-03-01T10:01:32Z"}}
    gone["metadata"]["deletionGracePeriodSeconds"] = 30
    trail.add(62, maker, "delete", "pods", "web-69f96bc6b5-aaaaa", response=gone)
    trail.add(65, "system:node:n1", "delete", "pods", "web-69f96bc6b5-aaaaa", response=gone)
    trail.add(70, "carol", "patch", "deployments", "other", group="apps")
    return root


def traced(session: Session, audit_id: str, *, limit: int = 500, depth: int = 12) -> TraceAnswer:
    return trace.ask(session, TraceQuestion(audit_id, limit=limit, depth=depth))


def test_a_scaling_is_followed_to_the_kubelets_last_word(trail: Trail, opened: Opened) -> None:
    root = scaled_down(trail)
    answer = traced(opened(trail), root)
    assert answer.root is not None
    assert answer.root.sentence == "alice scaled deployment shop/web from 2 to 1 with kubectl."
    [lowered] = answer.root.children
    assert lowered.object == "ReplicaSet/shop/web-69f96bc6b5"
    [deleted] = lowered.children
    assert deleted.object == "Pod/shop/web-69f96bc6b5-aaaaa"
    [finished] = deleted.children
    assert finished.actor == "system:node:n1"
    assert {n.certainty for n in nodes_of(answer.root)} == {"proved"}
    assert answer.nodes == 3


def test_the_request_of_a_controller_names_what_set_it_off(trail: Trail, opened: Opened) -> None:
    root = scaled_down(trail)
    lowered = next(e["auditID"] for e in trail.events if e["verb"] == "update")
    answer = traced(opened(trail), f"audit:default/{lowered}/ResponseComplete")
    assert answer.cause is not None
    assert answer.cause.evidence[0] == f"audit:default/{root}/ResponseComplete"


def test_a_limit_and_a_depth_cut_the_tree_and_say_so(trail: Trail, opened: Opened) -> None:
    root = scaled_down(trail)
    session = opened(trail)
    few = traced(session, root, limit=1)
    assert few.nodes == 1
    assert "only the first 1 nodes" in few.cut[0]
    flat = traced(session, root, depth=1)
    assert flat.nodes == 1
    assert "deeper than 1 steps" in flat.cut[0]
    assert traced(session, root).cut == []


def test_nothing_follows_from_what_was_refused_or_read(trail: Trail, opened: Opened) -> None:
    refused = trail.add(0, "bob", "delete", "pods", "web-1", code=403)
    looked = trail.add(1, "bob", "get", "pods", "web-1")
    session = opened(trail)
    answer = traced(session, refused)
    assert answer.found
    assert "it was refused (403" in answer.summary
    assert "changed nothing" in traced(session, looked).summary


def test_a_reused_audit_id_is_told(trail: Trail, opened: Opened) -> None:
    trail.add(0, "bob", "get", "pods", "web-1", audit_id=uid(77))
    trail.add(9, "carol", "delete", "pods", "web-2", audit_id=uid(77))
    answer = traced(opened(trail), uid(77))
    assert answer.root is not None
    assert answer.root.actor == "carol"
    assert "2 requests have this auditID" in answer.notes[0]


def test_what_is_no_request_is_refused_and_an_unknown_one_is_not_found(trail: Trail, opened: Opened) -> None:
    trail.add(0, "bob", "get", "pods", "web-1")
    session = opened(trail)
    with pytest.raises(UsageError, match="no request"):
        traced(session, "event:default/abc@1")
    answer = traced(session, uid(4))
    assert not answer.found
    assert "outside of what was recorded" in answer.missing[0]
