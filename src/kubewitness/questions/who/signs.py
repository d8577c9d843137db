"""What else tells of a pod's end where no request does: Events, and the DisruptionTarget condition of its status.

The condition (since Kubernetes 1.25) is written by the component that is about to remove the pod, and is still in every
later body, the kubelet's final delete among them: its reason names the component, whoever set that off.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions.bodies import at, is_object, meta
from kubewitness.questions.facts import Request, Window
from kubewitness.questions.lives import Life
from kubewitness.questions.model import Actor
from kubewitness.questions.who.case import MINUTE, Case, Deed, controller_of, deed_of, event_deed

#: Events about a pod that tell of its removal: reason -> (component that did it, sentence)
_REMOVING_EVENTS = {
    "TaintManagerEviction": ("taint-eviction-controller", "the taint manager marked {pod} for deletion"),
    "NodeControllerEviction": ("node-controller", "the node controller marked {pod} for deletion"),
    "Preempted": ("kube-scheduler", "the scheduler preempted {pod}"),
    "Evicted": ("kubelet", "the kubelet evicted {pod}"),
}
#: reasons of the condition (k8s.io/api/core/v1/types.go) -> (component, sentence)
_CONDITIONS = {
    "PreemptionByScheduler": ("kube-scheduler", "the scheduler preempted {pod}"),
    "DeletionByTaintManager": ("taint-eviction-controller", "the taint eviction controller deleted {pod}"),
    "DeletionByPodGC": ("pod-garbage-collector", "the pod garbage collector deleted {pod}"),
    "EvictionByEvictionAPI": ("", "somebody evicted {pod} through the Eviction API"),
    "TerminationByKubelet": ("kubelet", "the kubelet evicted {pod}"),
}


class Condition(msgspec.Struct):
    """A DisruptionTarget condition that is true, and the first request whose body holds it."""

    reason: str
    message: str
    request: Request


def disruption(case: Case, life: Life) -> Condition | None:
    """The pod's DisruptionTarget condition, from any body of its requests."""
    if life.ref.resource != "pods":
        return None
    for r in case.facts.requests(life.ref, status=True):
        if not r.done or not life.covers(r.ts, r.uid):
            continue
        bodies = case.facts.bodies(r)
        for body in (bodies.request, bodies.response):
            for c in at(body, "status", "conditions") or []:
                if isinstance(c, dict) and c.get("type") == "DisruptionTarget" and c.get("status") == "True":
                    return Condition(str(c.get("reason", "")), str(c.get("message", "")), r)
    return None


def removal(case: Case, life: Life) -> Deed | None:
    """The pod's removal by what its condition or Events say."""
    if life.ref.resource != "pods":
        return None
    return _by_condition(case, life) or _by_event(case, life) or _by_owner(case, life)


def kubelet_evicted(case: Case, life: Life) -> Deed | None:
    """The kubelet's own ending of a pod, for a shortage or a shutdown of its node: the pod stays, as failed."""
    condition = disruption(case, life)
    if condition is not None and condition.reason == "TerminationByKubelet":
        return _by_condition(case, life)
    for r in case.facts.requests(life.ref, ("patch", "update"), status=True):
        asked = case.facts.bodies(r).request if r.subresource == "status" else None
        if r.done and life.covers(r.ts, r.uid) and at(asked, "status", "reason") == "Evicted":
            why = str(at(asked, "status", "message") or "")
            return _deed(r, life, "kubelet", f"the kubelet evicted {life.ref.said()}{': ' if why else ''}{why}")
    said = [e for e in case.facts.events(life.ref) if e.reason == "Evicted" and life.covers(e.ts, e.object_uid)]
    if not said:
        return None
    says = f"the kubelet evicted {life.ref.said()}: {said[0].message}"
    return event_deed(said[0], says, ref=life.ref, role="remove", controller="kubelet", life=life)


def is_static(case: Case, life: Life) -> bool:
    """Whether the pod only mirrors a manifest on its node: its owner is a Node, or its kubelet made it."""
    if life.ref.resource != "pods":
        return False
    if life.owner is not None and life.owner.kind:
        return life.owner.kind == "Node"
    for r in case.facts.requests(life.ref, ("create",)):
        if r.done and not r.subresource and life.covers(r.ts, r.uid):
            body = case.facts.bodies(r).request
            mirrored = is_object(body) and "kubernetes.io/config.mirror" in (meta(body, "annotations") or {})
            return mirrored or controller_of(r) == "kubelet"
    return False


def _by_condition(case: Case, life: Life) -> Deed | None:
    condition = disruption(case, life)
    known = _CONDITIONS.get(condition.reason) if condition is not None else None
    if condition is None or known is None:
        return None
    controller, text = known
    why = f": {condition.message}" if condition.message and controller == "kubelet" else ""
    return _deed(condition.request, life, controller, text.format(pod=life.ref.said()) + why)


def _deed(request: Request, life: Life, controller: str, says: str) -> Deed:
    """A removal that a body of another request tells of: when and by whom it was asked for is not recorded."""
    action = "Evicted" if controller == "kubelet" else "delete" if controller else "evict"
    deed = deed_of(request, says, ref=life.ref, certainty="inferred", root_action=action, role="remove", life=life)
    deed.actor = Actor(controller, "system") if controller else None
    deed.request, deed.controller = None, controller
    return deed


def _by_event(case: Case, life: Life) -> Deed | None:
    for e in case.facts.events(life.ref):
        known: Any = _REMOVING_EVENTS.get(e.reason)
        if known and life.covers(e.ts, e.object_uid if e.object_uid != e.object_name else ""):
            controller, text = known
            says = text.format(pod=life.ref.said())
            return event_deed(e, says, ref=life.ref, role="remove", controller=controller, life=life)
    return None


def _by_owner(case: Case, life: Life) -> Deed | None:
    ref = life.ref
    window = Window(life.first, life.last + 10 * MINUTE)
    for e in case.facts.events_in(
        window, namespace=ref.namespace, reasons=("SuccessfulDelete",), message_has=f"pod: {ref.name}"
    ):
        controller = e.component or e.kind.lower() + "-controller"
        says = f"the {controller.replace('-', ' ')} deleted {ref.said()}"
        return event_deed(e, says, ref=ref, role="remove", controller=controller, life=life)
    return None
