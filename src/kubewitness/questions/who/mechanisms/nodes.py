"""taint, node-lost, preemption, node-pressure: pods that left because of their node or a more important pod.

A NoExecute taint that a person set is `taint`; one that the node lifecycle controller set (unreachable, not-ready)
means that the node was lost: nobody asked for it, the root is the node, and its kubelet's last sign of life is told.
"""

from __future__ import annotations

import re
from typing import Any

from kubewitness.formats.times import format_us
from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Bodies, Request
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import Case, Deed, Step, controller_of, deed_of, tool_of, weaker, who_said
from kubewitness.questions.who.mechanisms.eviction import node_ref, node_writes

_TAINT_CONTROLLERS = frozenset({"node-controller", "taint-eviction-controller", "node-lifecycle-controller"})
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
    for write, bodies in node_writes(case, node, deed.when):
        writes.append(write)
        taint = _no_execute(bodies)
        if taint is None:
            continue
        if controller_of(write) in _TAINT_CONTROLLERS or str(taint.get("key", "")) in _LOST:
            return Step("node-lost", _lost(case, node, write, str(taint.get("key", "")), place_id))
        text = f"{taint.get('key')}{'=' + str(taint['value']) if taint.get('value') else ''}:NoExecute"
        says = f"{who_said(write)} tainted node {node} with {text}{tool_of(write)}"
        cause = deed_of(
            write, says, ref=node_ref(case, node), certainty=certainty, root_action="taint", evidence=[place_id]
        )
        return Step("taint", cause, final=True)
    return _without_bodies(case, deed, node, writes)


def _without_bodies(case: Case, deed: Deed, node: str, writes: list[Request]) -> Step:
    """At level Metadata the taint itself is not shown: Events of the node, and writes of it by people, remain."""
    lost = [e for e in case.facts.events(node_ref(case, node)) if e.reason == "NodeNotReady" and e.ts <= deed.when]
    case.need(f"the taints of node {node}: level Request for writes of nodes would show who set which")
    if lost:
        event = lost[-1]
        cause = Deed(
            event.ts,
            node_ref(case, node),
            event.reason,
            f"node {node} stopped reporting and was marked not ready",
            "node-lost",
            "inferred",
            [event.id],
            nobody=True,
        )
        return Step("node-lost", cause)
    people = [w for w in writes if not controller_of(w)]
    if not people:
        return Step(None)
    says = f"{people[0].person} changed node {node}{tool_of(people[0])}, perhaps by a NoExecute taint"
    cause = deed_of(people[0], says, ref=node_ref(case, node), certainty="inferred", root_action="taint")
    return Step("taint", cause, final=True)


def _lost(case: Case, node: str, write: Request, key: str, place_id: str) -> Deed:
    heartbeats = case.facts.newest_first(
        node_ref(case, node), ("patch", "update"), write.ts, user=f"system:node:{node}", status=True
    )
    status = next(heartbeats, [])
    last = f"; its kubelet's last sign of life was at {format_us(status[0].ts)}" if status else ""
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


def _no_execute(bodies: Bodies) -> dict[str, Any] | None:
    """The NoExecute taint that a write added or carried."""
    for body in (bodies.request, bodies.response):
        taints = at(body, "spec", "taints")
        if isinstance(body, list):
            taints = [t for op in body if isinstance(op, dict) for t in _as_list(op.get("value"))]
        for taint in _as_list(taints):
            if isinstance(taint, dict) and taint.get("effect") == "NoExecute" and "$patch" not in taint:
                return taint
        if taints is not None:
            return None
    return None


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def explain_preemption(case: Case, deed: Deed) -> Step | None:
    """preemption: the scheduler deletes a pod to make room for a more important one, which its Event names."""
    if deed.role != "remove" or deed.controller != "kube-scheduler":
        return None
    for e in case.facts.events(deed.ref):
        if e.reason != "Preempted":
            continue
        found = re.match(r"Preempted by (?:pod )?([^\s/]+)/(\S+) on node", e.message)
        namespace, name = (found.group(1), found.group(2)) if found else (e.related_namespace, e.related_name)
        if not name:
            break
        ref = Ref(deed.ref.cluster, "", "pods", namespace or deed.ref.namespace, name, "Pod")
        creates = [r for r in case.facts.requests(ref, ("create",)) if r.done and not r.subresource]
        if creates:
            says = f"{who_said(creates[-1])} created the more important {ref.said()}{tool_of(creates[-1])}"
            cause = deed_of(creates[-1], says, ref=ref, root_action="create", role="create", evidence=[e.id])
        else:
            says = f"the more important {ref.said()} needed the room"
            cause = Deed(e.ts, ref, e.reason, says, "preempt", "inferred", [e.id], nobody=True)
        cause.certainty = weaker(cause.certainty, "proved" if found else "inferred")
        return Step("preemption", cause)
    case.need(f"the Event Preempted of {deed.ref.said()}: Events would name the pod that took its place")
    return Step("preemption")


def explain_pressure(case: Case, deed: Deed) -> Step | None:
    """node-pressure: the kubelet evicts by itself; only its Event says why."""
    if deed.role != "remove" or deed.controller != "kubelet" or deed.request is not None:
        return None
    place = case.node_of(deed.ref, deed.life or case.life(deed.ref, when=deed.when))
    if place is None:
        return Step("node-pressure")
    says = f"node {place[0]} ran short of a resource"
    cause = Deed(
        deed.when, node_ref(case, place[0]), "Evicted", says, "node-pressure", "inferred", deed.evidence, nobody=True
    )
    return Step("node-pressure", cause)
