"""taint, node-lost, preemption: pods that left because of their node or a more important pod.

A NoExecute taint that a person set is `taint`; one that the node lifecycle controller set (unreachable, not-ready)
means that the node was lost: nobody asked for it, the root is the node, and its kubelet's last sign of life is told.
"""

from __future__ import annotations

import re
from typing import Any

from kubewitness.formats.times import format_us
from kubewitness.questions.bodies import at, is_object
from kubewitness.questions.facts import Bodies, EventFact, Request, Window
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who import creation
from kubewitness.questions.who.case import (
    MINUTE,
    SECOND,
    Case,
    Deed,
    Step,
    controller_of,
    deed_of,
    tool_of,
    weaker,
    who_said,
)
from kubewitness.questions.who.mechanisms.eviction import node_ref, node_writes

_TAINT_CONTROLLERS = frozenset({"node-controller", "taint-eviction-controller", "node-lifecycle-controller"})
#: a taint that was taken away again acts at most this much later
_ACTS_WITHIN_US = MINUTE
#: a new taint that a pod does not tolerate removes it within this time
_TAINT_ACTS_US = 3 * SECOND
#: pods tolerate a lost node for five minutes by default
_TOLERATED_US = 10 * MINUTE
_LOST = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")


def explain(case: Case, deed: Deed) -> Step | None:
    """Who or what put the NoExecute taint on the pod's node."""
    if deed.role != "remove" or deed.controller not in _TAINT_CONTROLLERS:
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    place = case.node_of(deed.ref, life)
    if place is None:
        case.need(f"the node of {deed.ref.said()}: level Request for create of pods/binding, or Events, would tell")
        return Step(None)
    node, certainty, place_id = place
    writes: list[Request] = []
    found = _taint_in_force(case, node, deed.when, writes)
    if found is None:
        return _without_bodies(case, deed, node, writes)
    write, taint, doubt = found
    key = str(taint.get("key", ""))
    if key in _LOST:
        return Step("node-lost", _lost(case, node, write, key, place_id), doubt=doubt)
    text = f"{key}{'=' + str(taint['value']) if taint.get('value') else ''}:NoExecute"
    says = f"{who_said(write)} tainted node {node} with {text}{tool_of(write)}"
    cause = deed_of(
        write, says, ref=node_ref(case, node), certainty=certainty, root_action="taint", evidence=[place_id]
    )
    return Step("taint", cause, final=True, doubt=doubt)


def _taint_in_force(
    case: Case, node: str, until: int, passed: list[Request]
) -> tuple[Request, dict[str, Any], bool] | None:
    """The write that first set the NoExecute taint that was on the node; whether another one was there as well.

    Later writes carry a taint on: the one before which the node did not have it is its author's.
    """
    origin: Request | None = None
    taint: dict[str, Any] = {}
    doubt = False
    for write, bodies in node_writes(case, node, until):
        passed.append(write)
        taints = _taints_after(bodies)
        if taints is None:
            continue
        if origin is None:
            if taints:
                taint = next((t for t in taints if t.get("key") in _LOST), taints[0])
                origin, doubt = write, len(taints) > 1
            elif until - write.ts > _ACTS_WITHIN_US:
                break
        elif any(t.get("key") == taint.get("key") and t.get("value") == taint.get("value") for t in taints):
            origin = write
        else:
            break
    return (origin, taint, doubt) if origin is not None else None


def _without_bodies(case: Case, deed: Deed, node: str, writes: list[Request]) -> Step:
    """At level Metadata the taint itself is not shown: Events of the node, and writes of it by people, remain."""
    people = [w for w in writes if not controller_of(w)]
    # Pods tolerate a lost node for a while, but nobody's own taint: that one acts at once.
    prompt = [w for w in people if deed.when - w.ts <= _TAINT_ACTS_US]
    lifecycle = [w for w in writes if controller_of(w) in _TAINT_CONTROLLERS and deed.when - w.ts <= _TOLERATED_US]
    case.need(f"the taints of node {node}: level Request for writes of nodes would show who set which")
    event = _not_ready(case, node, deed.when)
    if event is not None or (lifecycle and not prompt):
        when, ident = (event.ts, event.id) if event is not None else (lifecycle[0].ts, lifecycle[0].id)
        says = f"node {node} stopped reporting and was marked not ready"
        cause = Deed(when, node_ref(case, node), "NodeNotReady", says, "node-lost", "inferred", [ident], nobody=True)
        return Step("node-lost", cause)
    if not people:
        return Step(None)
    write = (prompt or people)[0]
    says = f"{write.person} changed node {node}{tool_of(write)}, perhaps by a NoExecute taint"
    cause = deed_of(write, says, ref=node_ref(case, node), certainty="inferred", root_action="taint")
    return Step("taint", cause, candidates=_rivals(case, node, write, prompt), final=True)


def _rivals(case: Case, node: str, chosen: Request, writes: list[Request]) -> list[Deed]:
    """Other people's writes of the node that may as well have been the taint."""
    return [
        deed_of(
            w, f"{w.person} changed node {node}", ref=node_ref(case, node), certainty="inferred", root_action="taint"
        )
        for w in writes
        if w.played != chosen.played
    ]


def _not_ready(case: Case, node: str, until: int) -> EventFact | None:
    """The Event by which the node was last marked not ready, unless it was ready again before `until`."""
    said = [e for e in case.facts.events(node_ref(case, node)) if e.reason in ("NodeNotReady", "NodeReady")]
    said = [e for e in said if e.ts <= until]
    return said[-1] if said and said[-1].reason == "NodeNotReady" else None


def _lost(case: Case, node: str, write: Request, key: str, place_id: str) -> Deed:
    heartbeats = case.facts.newest_first(
        node_ref(case, node), ("patch", "update"), write.ts, user=f"system:node:{node}", status=True
    )
    status = next(heartbeats, [])
    last = f"; its kubelet's last recorded sign of life was at {format_us(status[0].ts)}" if status else ""
    cause = deed_of(
        write,
        f"node {node} was lost ({key}){last}",
        ref=node_ref(case, node),
        root_action="node-lost",
        evidence=[place_id, *([status[0].id] if status else [])],
    )
    cause.nobody = True
    cause.controller = ""
    return cause


def _taints_after(bodies: Bodies) -> list[dict[str, Any]] | None:
    """The node's NoExecute taints after a write; None when no body tells."""
    if is_object(bodies.response):
        taints: Any = at(bodies.response, "spec", "taints") or []
    elif isinstance(bodies.request, list):  # JSON patch
        paths = [op for op in bodies.request if isinstance(op, dict) and "taints" in str(op.get("path"))]
        taints = [t for op in paths for t in _as_list(op.get("value"))] if paths else None
    else:
        spec = at(bodies.request, "spec")
        taints = (spec["taints"] or []) if isinstance(spec, dict) and "taints" in spec else None
    if taints is None:
        return None
    return [t for t in _as_list(taints) if isinstance(t, dict) and t.get("effect") == "NoExecute" and "$patch" not in t]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def explain_preemption(case: Case, deed: Deed) -> Step | None:
    """preemption: the scheduler deletes a pod to make room for a more important one, which its Event names, or which
    it nominates for the node at the same moment (status.nominatedNodeName)."""
    if deed.role != "remove" or deed.controller != "kube-scheduler":
        return None
    named = _preemptor_of_event(case, deed) or _nominated(case, deed)
    if named is None:
        case.need(f"the Event Preempted of {deed.ref.said()}: Events would name the pod that took its place")
        return Step("preemption")
    ref, when, ident, certainty = named
    cause = creation.find(case, case.life(ref, when=deed.when))
    if cause is not None:
        cause.says = cause.says.replace(" created ", " created the more important ", 1)
        cause.evidence.append(ident)
    else:
        case.need(f"who created {ref.said()}: level RequestResponse for create of pods names generated pods")
        says = f"the more important {ref.said()} needed the room"
        cause = Deed(when, ref, "Preempted", says, "preempt", "inferred", [ident], nobody=True)
    cause.certainty = weaker(cause.certainty, certainty)
    return Step("preemption", cause)


def _preemptor_of_event(case: Case, deed: Deed) -> tuple[Ref, int, str, Certainty] | None:
    """(the pod, when, evidence, certainty); older schedulers name it in the message, newer ones in `related`."""
    for e in case.facts.events(deed.ref):
        if e.reason != "Preempted":
            continue
        found = re.match(r"Preempted by (?:pod )?([^\s/]+)/(\S+) on node", e.message)
        namespace, name = (found.group(1), found.group(2)) if found else (e.related_namespace, e.related_name)
        if name:
            ref = Ref(deed.ref.cluster, "", "pods", namespace or deed.ref.namespace, name, "Pod")
            return ref, e.ts, e.id, "proved" if found else "inferred"
    return None


def _nominated(case: Case, deed: Deed) -> tuple[Ref, int, str, Certainty] | None:
    """The pod that the scheduler nominated for the deleted pod's node just then, if it was only one."""
    place = case.node_of(deed.ref, deed.life or case.life(deed.ref, when=deed.when))
    window = Window(deed.when - _TAINT_ACTS_US, deed.when + _TAINT_ACTS_US)
    writes = case.facts.requests_in(
        window, resource="pods", subresource="status", user="system:kube-scheduler", verbs=("patch", "update")
    )
    found = {}
    for r, bodies in zip(writes, case.facts.all_bodies(writes), strict=True):
        node = at(bodies.request, "status", "nominatedNodeName")
        if r.done and node and (place is None or node == place[0]):
            found[r.ref] = r
    if len(found) != 1:
        return None
    ref, r = found.popitem()
    return Ref(ref.cluster, "", "pods", ref.namespace, ref.name, "Pod"), r.ts, r.id, "inferred"
