"""The spec history of a workload: each accepted write, what it touched, and the state after it where a body tells."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions.bodies import Path, at, changes, describe, is_object, patched_paths, replicas_of, template_of
from kubewitness.questions.facts import Bodies, Facts, Request
from kubewitness.questions.lives import Life
from kubewitness.questions.who.case import MINUTE, Case, Deed, controller_of

#: how many writes before the one in question are looked at; older ones cannot be what is in force
_DEPTH = 100
#: how far apart two API servers' clocks may be before resourceVersions are needed to tell
_APART_US = MINUTE
_DESIRED = "deployment.kubernetes.io/desired-replicas"


class SpecState(msgspec.Struct):
    """The object's spec after one write. None: the records do not tell."""

    request: Request
    template: Any = None
    replicas: int | None = None
    paused: bool | None = None
    #: of a ReplicaSet: the Deployment's replicas when its controller wrote this
    desired: int | None = None
    #: metadata.generation: every change of the spec raises it by one
    generation: int | None = None
    #: replicas before this write
    before: int | None = None
    #: parts that this write changed (template, replicas, paused, other); None when no body tells
    touched: frozenset[str] | None = None
    #: (path, old, new), for telling
    found: list[tuple[Path, Any, Any]] = msgspec.field(default_factory=list)
    #: the resourceVersion that the write made, where its answer tells
    version: int | None = None
    #: the whole object after this write, where it is known
    body: Any = None

    @property
    def words(self) -> str:
        return describe(self.found)


def spec_history(facts: Facts, life: Life, until: int) -> list[SpecState]:
    """Accepted writes of the spec (and of the scale subresource) in one life, oldest first, asked for up to `until`.

    A controller that watches may act on a write before its answer is written, and so before its record's time.
    """
    requests = [
        r
        for r in facts.requests(life.ref, ("create", "update", "patch"))
        if r.done and r.subresource in ("", "scale") and r.received <= until and life.covers(r.ts, r.uid)
    ][-_DEPTH:]
    states: list[SpecState] = []
    previous: SpecState | None = None
    for request, bodies in _in_order(list(zip(requests, facts.all_bodies(requests), strict=True))):
        previous = _after(previous, request, bodies)
        states.append(previous)
    return states


def _in_order(writes: list[tuple[Request, Bodies]]) -> list[tuple[Request, Bodies]]:
    """By resourceVersion where every answer tells it: clocks of two API servers differ. Else by time, as they come."""
    versions = [_version(bodies.response) for _, bodies in writes]
    known = [v for v in versions if v is not None]
    if len(known) < len(writes):
        return writes
    return [write for _, write in sorted(zip(known, writes, strict=True), key=lambda pair: pair[0])]


def spec_before(case: Case, life: Life, deed: Deed) -> list[SpecState]:
    """The spec history that a deed by a controller can have answered to.

    Where both bodies tell their resourceVersion, that orders them: it grows with every write of the whole cluster, and
    no clock moves it. Else time does, and clocks of two API servers may be seconds apart.
    """
    version = _version(case.facts.bodies(deed.request).response) if deed.request is not None else None
    states = spec_history(case.facts, life, deed.cause_until + (_APART_US if version is not None else 0))
    found = []
    for s in states:
        own = s.version if version is not None else None
        if own <= version if own is not None and version is not None else s.request.received <= deed.cause_until:
            found.append(s)
    return found


def _version(body: Any) -> int | None:
    text = at(body, "metadata", "resourceVersion")
    return int(text) if isinstance(text, str) and text.isdigit() else None


def _after(previous: SpecState | None, request: Request, bodies: Bodies) -> SpecState:
    state = SpecState(request, version=_version(bodies.response))
    body = _whole(request, bodies)
    if request.subresource == "scale":
        scale = bodies.response if replicas_of(bodies.response) is not None else bodies.request
        state.replicas = replicas_of(scale)
        state.touched = frozenset({"replicas"})
        state.template = previous.template if previous else None
        state.paused = previous.paused if previous else None
        state.before = previous.replicas if previous else None
        state.found = [(("spec", "replicas"), state.before, state.replicas)] if state.replicas is not None else []
        return state
    if body is not None:
        state.body = body
        if is_object(bodies.response) or controller_of(request):
            # What a person sends lacks the API server's defaults, and so equals no ReplicaSet's template.
            state.template = template_of(body)
        state.replicas = replicas_of(body)
        state.paused = bool(at(body, "spec", "paused"))
        generation = at(body, "metadata", "generation") if is_object(bodies.response) else None
        state.generation = generation if isinstance(generation, int) else None
        state.desired = _number(at(body, "metadata", "annotations", _DESIRED))
    if previous is not None:
        state.before = previous.replicas
    _find_touched(previous, state, request, bodies)
    return state


def _find_touched(previous: SpecState | None, state: SpecState, request: Request, bodies: Bodies) -> None:
    if request.verb == "create":
        state.touched = frozenset({"template", "replicas", "created"})
        return
    if state.body is not None and previous is not None and previous.body is not None:
        old = dict(previous.body)
        if previous.replicas is not None:  # a scale in between leaves no whole body
            old["spec"] = {**(old.get("spec") or {}), "replicas": previous.replicas}
        state.found = changes(old, state.body)
    elif request.verb == "patch" and bodies.request is not None:
        state.found = [(path, None, at(bodies.request, *path)) for path in patched_paths(bodies.request)]
    else:
        return
    touched = {_part(path) for path, _, _ in state.found}
    if state.body is None and previous is not None:  # a partial patch: what it does not touch stays as it was
        state.replicas = next((new for path, _, new in state.found if path == ("spec", "replicas")), previous.replicas)
        state.template = previous.template if "template" not in touched else None
    state.touched = frozenset(touched)


def _part(path: Path) -> str:
    if path[:2] == ("spec", "template"):
        return "template"
    if path == ("spec", "replicas"):
        return "replicas"
    return "paused" if path == ("spec", "paused") else "other"


def _whole(request: Request, bodies: Bodies) -> Any:
    """The object after the write: the answer, or the request of an update or create at level Request."""
    if is_object(bodies.response):
        return bodies.response
    if request.verb in ("update", "create") and is_object(bodies.request):
        return bodies.request
    return None


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isdigit() else None
