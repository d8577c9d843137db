"""finalizer-removed: a finalizer held an object whose deletion was asked for, until somebody took it away.

Whoever took the last finalizer away is the actor; whoever asked for the deletion is the root. Controllers that release
what they themselves held (volumes, the garbage collector's own finalizers) are part of an ordinary deletion.

With bodies, the write itself shows it: a patch that empties metadata.finalizers, or an answer without any of an object
that is being deleted. Without, a write that was accepted when only a finalizer can still have held the object (after
its delete; of a pod, after the kubelet's final one) is taken for it, as `inferred`.
"""

from __future__ import annotations

from kubewitness.questions.bodies import at, is_object, meta
from kubewitness.questions.facts import Bodies, Request
from kubewitness.questions.lives import Life
from kubewitness.questions.model import Certainty
from kubewitness.questions.who import removal
from kubewitness.questions.who.case import Case, Deed, Step, controller_of, deed_of, tool_of, who_said

ROLE = "release"


def released(case: Case, life: Life, deletion: Deed) -> Deed | None:
    """The write that let a held object go; None when nothing held it for long."""
    writes = [
        r
        for r in case.facts.requests(life.ref)
        if r.done
        and r.verb in ("patch", "update")
        and r.subresource == ""
        and r.ts > deletion.when
        and life.covers(r.ts, r.uid)
        and not controller_of(r)
    ]
    if not writes:
        return None
    held_from = _held_from(case, life, deletion)
    for request, bodies in reversed(list(zip(writes, case.facts.all_bodies(writes), strict=True))):
        frees = _frees(request, bodies)
        if frees is None and held_from is not None and request.received >= held_from:
            case.need(f"what the {request.verb} of {life.ref.said()} changed: audit level Request would show it")
            return _told(request, life, "inferred")
        if frees:
            return _told(request, life, "proved")
    return None


def _told(request: Request, life: Life, certainty: Certainty) -> Deed:
    says = f"{who_said(request)} removed the last finalizer of {life.ref.said()}{tool_of(request)}"
    return deed_of(request, says, ref=life.ref, certainty=certainty, root_action="update", role=ROLE, life=life)


def _held_from(case: Case, life: Life, deletion: Deed) -> int | None:
    """From when on only a finalizer can have held the object."""
    if life.ref.resource != "pods":
        return deletion.when
    final = [
        r.ts
        for r in case.facts.requests(life.ref, ("delete",))
        if r.done and controller_of(r) == "kubelet" and r.ts > deletion.when and life.covers(r.ts, r.uid)
    ]
    return min(final, default=None)


def _frees(request: Request, bodies: Bodies) -> bool | None:
    """Whether the write left the object without finalizers; None when no body tells."""
    if bodies.request is None and bodies.response is None:
        return None
    if is_object(bodies.response):
        left = meta(bodies.response, "finalizers")
        return not left and bool(meta(bodies.response, "deletionTimestamp")) and _names_finalizers(request, bodies)
    return _names_finalizers(request, bodies)


def _names_finalizers(request: Request, bodies: Bodies) -> bool:
    asked = bodies.request
    if isinstance(asked, list):  # JSON patch
        return any(isinstance(op, dict) and str(op.get("path", "")).startswith("/metadata/finalizers") for op in asked)
    if request.verb == "update":
        return not meta(asked, "finalizers")
    metadata = at(asked, "metadata")
    return isinstance(metadata, dict) and any("finalizers" in key for key in metadata)


def explain(case: Case, deed: Deed) -> Step | None:
    """Who had asked for the deletion."""
    if deed.role != ROLE:
        return None
    found = removal.find(case, deed.life or case.life(deed.ref, when=deed.when))
    return Step("finalizer-removed", found.deed, found.context)
