"""The verbs started and stopped of nodes: nobody asks the API server for either, so the root is the node itself.

stopped: the node controller found its kubelet silent (a write of its status with Ready Unknown, NodeNotReady), or the
kubelet said that it is shutting down. started: the kubelet registered the node, or reported Ready again. Events and, at
level Metadata, the mere fact that the node controller wrote a node's status say the same, as `inferred`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kubewitness.formats.times import format_us
from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Bodies, Request
from kubewitness.questions.lives import SKEW_US, Life
from kubewitness.questions.model import AskedObject, WhoAnswer
from kubewitness.questions.who import engine, verbs
from kubewitness.questions.who.case import Case, Deed, controller_of, deed_of, event_deed

_FOREVER = 1 << 62
#: how many writes of a node's status are looked at; a kubelet makes one every five minutes, or ten seconds
_DEPTH = 2000
_STOPS = ("NodeNotReady", "Shutdown", "NodeShutdown")
_STARTS = ("Starting", "Rebooted", "NodeReady", "RegisteredNode")
_NODE_CONTROLLERS = ("node-controller", "node-lifecycle-controller")


def ask(case: Case, asked: AskedObject, life: Life, verb: str, at_us: int | None) -> WhoAnswer:
    """What stopped or started the node last before `at`."""
    until = _FOREVER if at_us is None else at_us + SKEW_US // 4
    found = _stopped(case, life, until) if verb == "stopped" else _started(case, life, until)
    deed = found or _by_event(case, life, until, _STOPS if verb == "stopped" else _STARTS)
    if deed is None:
        case.need("Events of the node, or an audit rule of level Request for nodes/status and create of nodes")
        return verbs.not_found(case, asked, f"No record says that {life.ref.said()} {verb}.", [], [])
    deed.nobody, deed.controller = True, ""
    chain = engine.Chain([deed], [deed.link()])
    return engine.answer(case, asked, chain, default="node-lost" if deed.root_action == "node-lost" else "direct")


def _statuses(
    case: Case, life: Life, until: int, *, user: str = "", without: str = ""
) -> Iterator[tuple[Request, Any]]:
    """Writes of the node's status, newest first, with what they say of its condition Ready (None: no body tells)."""
    seen = 0
    pages = case.facts.newest_first(life.ref, ("patch", "update"), until, user=user, without=without, status=True)
    for page in pages:
        writes = [r for r in page if r.subresource == "status"]
        for r, bodies in zip(writes, case.facts.all_bodies(writes), strict=True):
            yield r, _ready(bodies)
        seen += len(page)
        if seen > _DEPTH:
            return


def _ready(bodies: Bodies) -> Any:
    """The condition Ready as a write of the status names it; {} when it names none, None when no body tells."""
    if bodies.request is None:
        return None
    conditions = at(bodies.request, "status", "conditions") or []
    return next((c for c in conditions if isinstance(c, dict) and c.get("type") == "Ready"), {})


def _kubelet(life: Life) -> str:
    return f"system:node:{life.ref.name}"


def _stopped(case: Case, life: Life, until: int) -> Deed | None:
    for r, ready in _statuses(case, life, until, without="system:node:"):
        if controller_of(r) not in _NODE_CONTROLLERS or (ready is not None and ready.get("status") != "Unknown"):
            continue
        last = next((s for s, _ in _statuses(case, life, r.received, user=_kubelet(life))), None)
        told = f"; its kubelet's last recorded sign of life was at {format_us(last.ts)}" if last is not None else ""
        deed = deed_of(
            r,
            f"{life.ref.said()} stopped reporting and was marked not ready{told}",
            ref=life.ref,
            certainty="inferred" if ready is None else "proved",
            root_action="node-lost",
            evidence=[last.id] if last is not None else [],
        )
        return _later(deed, _by_event(case, life, until, _STOPS[1:]))
    for r, ready in _statuses(case, life, until, user=_kubelet(life)):
        if ready and ready.get("status") == "False":
            says = (
                f"the kubelet of {life.ref.said()} reported that it is not ready: {ready.get('message') or ''}".rstrip()
            )
            return deed_of(r, says, ref=life.ref, root_action="stop")
    return None


def _later(deed: Deed, other: Deed | None) -> Deed:
    return other if other is not None and other.when > deed.when else deed


def _started(case: Case, life: Life, until: int) -> Deed | None:
    """The kubelet's last report that turned Ready to True, or its registration of the node, whichever came last."""
    made = [r for r in case.facts.requests(life.ref, ("create",)) if r.done and not r.subresource and r.ts <= until]
    for r, ready in _statuses(case, life, until, user=_kubelet(life)):
        if made and r.ts < made[-1].ts:
            break
        if ready and ready.get("status") == "True" and "lastTransitionTime" in ready:
            return deed_of(r, f"the kubelet of {life.ref.said()} reported it ready", ref=life.ref, root_action="start")
    if made and (made[-1].user == _kubelet(life) or not controller_of(made[-1])):
        says = f"the kubelet of {life.ref.said()} registered it"
        return deed_of(made[-1], says, ref=life.ref, root_action="start")
    return None


def _by_event(case: Case, life: Life, until: int, reasons: tuple[str, ...]) -> Deed | None:
    """The last Event that says so. A kubelet's Starting and NodeReady are of one start: the first of them is told."""
    said = [e for e in case.facts.events(life.ref) if e.reason in reasons and e.ts <= until]
    if not said:
        return None
    event = said[-1]
    deed = event_deed(event, f"{life.ref.said()}: {event.message}", ref=life.ref, role="note", controller="")
    deed.root_action = "node-lost" if event.reason == "NodeNotReady" else "stop" if reasons is not _STARTS else "start"
    return deed
