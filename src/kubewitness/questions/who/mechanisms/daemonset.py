"""daemonset: its controller removed a pod because the DaemonSet was changed, or because the node stopped to fit.

A node stops to fit when a label that the DaemonSet chooses nodes by is changed, or a taint comes that its pods do not
tolerate. The cause is the later of the two: the last write of the DaemonSet, or such a write of the pod's node shortly
before. With bodies, the write of the node must touch a label of the DaemonSet's nodeSelector, or the taints.
"""

from __future__ import annotations

from typing import Any

from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Bodies
from kubewitness.questions.model import Certainty
from kubewitness.questions.who.case import MINUTE, Case, Deed, Step, controller_of, deed_of, tool_of, weaker, who_said
from kubewitness.questions.who.history import SpecState, spec_before
from kubewitness.questions.who.mechanisms.eviction import node_ref, node_writes
from kubewitness.questions.who.mechanisms.replicas import template_deed

_CONTROLLERS = ("daemon-set-controller", "daemonset-controller")
#: the controller acts within seconds, but replaces its pods one by one
_PROMPT_US = MINUTE // 4
_ROLLS_US = 5 * MINUTE


def explain(case: Case, deed: Deed) -> Step | None:
    """The write of the DaemonSet, or of the node, after which the pod had to go."""
    if deed.role != "remove" or deed.controller not in _CONTROLLERS or deed.ref.resource != "pods":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None:
        case.need(f"the owner of {deed.ref.said()}: level RequestResponse for its create or delete would name it")
        return Step("daemonset")
    ref, owner, certainty = owned
    states = [
        s
        for s in spec_before(case, case.life(ref, owner.uid, deed.when), deed)
        if controller_of(s.request) != deed.controller
    ]
    place = case.node_of(deed.ref, life)
    if place is not None:
        cause = _node_changed(case, deed, place[0], states, weaker(certainty, place[1]))
        if cause is not None:
            return Step("daemonset", cause, final=True)
    if not states:
        case.need(f"who wrote {ref.said()}: an audit rule of level Metadata or higher for daemonsets would tell")
        return Step("daemonset")
    return Step("daemonset", template_deed(states[-1], ref, weaker(certainty, "inferred"), states))


def _node_changed(case: Case, deed: Deed, node: str, states: list[SpecState], certainty: Certainty) -> Deed | None:
    """The last write of the node by somebody that can have made it unfit, if it is later than the DaemonSet's."""
    keys = _selector(states)
    for write, bodies in node_writes(case, node, deed.cause_until):
        if deed.when - write.ts > _PROMPT_US or (states and write.ts < states[-1].request.ts):
            return None
        if controller_of(write):
            continue
        touched = _unfits(bodies, keys)
        if touched == "" or (touched is None and states and _rolling(states[-1], deed)):
            continue
        sure: Certainty = "proved" if touched == "label" else "inferred"
        says = f"{who_said(write)} changed {f'a {touched} of ' if touched else ''}node {node}{tool_of(write)}"
        return deed_of(write, says, ref=node_ref(case, node), certainty=weaker(certainty, sure), root_action=write.verb)
    return None


def _selector(states: list[SpecState]) -> dict[str, Any]:
    """The DaemonSet's nodeSelector, where a body tells it."""
    for state in reversed(states):
        selector = at(state.body, "spec", "template", "spec", "nodeSelector")
        if state.body is not None:
            return selector if isinstance(selector, dict) else {}
    return {}


def _rolling(last: SpecState, deed: Deed) -> bool:
    """Whether the DaemonSet was changed so lately that its pods may still be being replaced for that."""
    return last.request.verb != "create" and deed.when - last.request.ts <= _ROLLS_US


def _unfits(bodies: Bodies, keys: dict[str, Any]) -> str | None:
    """What of a write can have made the node unfit (label, taint); "" for nothing, None when no body tells."""
    asked = bodies.request
    if asked is None:
        return None
    if isinstance(asked, list):  # JSON patch
        paths = [str(op.get("path", "")) for op in asked if isinstance(op, dict)]
        if any(p.startswith("/metadata/labels") for p in paths):
            return "label"
        return "taint" if any(p.startswith("/spec/taints") for p in paths) else ""
    if not isinstance(asked, dict):
        return None
    labels = at(asked, "metadata", "labels")
    labels = labels if isinstance(labels, dict) else {}
    if asked.get("kind") == "Node":  # the whole object
        moved = any(labels.get(k) != v for k, v in keys.items())
    else:
        moved = any(labels[k] != v for k, v in keys.items() if k in labels)
    if moved:
        return "label"
    return "taint" if at(asked, "spec", "taints") else ""
