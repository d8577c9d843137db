"""autoscale: the horizontal pod autoscaler set the replicas of a workload.

It acts on metrics, which nobody asked for, or on its own limits: when the workload had more replicas than maxReplicas,
or fewer than minReplicas, and got exactly that many, then the cause is whoever last set that limit (or, after that,
moved the workload beyond it). Its Event SuccessfulRescale says which it was where no body does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from kubewitness.questions.bodies import at, is_object
from kubewitness.questions.facts import Window
from kubewitness.questions.lives import SKEW_US
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import MINUTE, Case, Deed, Step, controller_of, deed_of, tool_of, who_said
from kubewitness.questions.who.history import SpecState, spec_before
from kubewitness.questions.who.mechanisms.replicas import scaling_deed

_CONTROLLER = "horizontal-pod-autoscaler"
_RESOURCE = "horizontalpodautoscalers"
#: the autoscaler looks every 15 s by default; a limit that is out of reach for longer was not what it acted on
_PROMPT_US = MINUTE
#: an autoscaler of unknown name is looked for this far back
_LOOKS_BACK_US = 60 * MINUTE
_WRITES = ("create", "update", "patch")


class _Limits(msgspec.Struct):
    """An autoscaler's write by somebody, and the limits after it; None where no body tells."""

    deed: Deed
    low: int | None
    high: int | None


def explain(case: Case, deed: Deed) -> Step | None:
    """Whoever set the limit that the autoscaler enforced; nobody further when it followed its metrics."""
    if deed.role != "change" or deed.controller != _CONTROLLER:
        return None
    why = _event_says(case, deed)
    states = spec_before(case, case.life(deed.ref, when=deed.when), deed)
    now = next((s for s in states if deed.request is not None and s.request.id == deed.request.id), None)
    by_limit = _by_limit(case, deed, now)
    if by_limit is not None:
        return _limited(deed, by_limit, states, sure=True)
    if "Spec.MaxReplicas" in why or "Spec.MinReplicas" in why:
        last = next(_writes(case, deed), None)
        if last is not None:
            last.deed.certainty = "inferred"
            return _limited(deed, last, states, sure=False)
    if not why and (now is None or now.before is None):
        case.need(f"why {deed.ref.said()} was scaled: the Event SuccessfulRescale of its autoscaler would tell")
        last = next(_writes(case, deed), None)
        if last is not None and deed.when - last.deed.when <= _PROMPT_US // 4:
            last.deed.certainty = "inferred"
            return _limited(deed, last, states, sure=False)
    return Step("autoscale", final=True)


def _limited(deed: Deed, limits: _Limits, states: list[SpecState], *, sure: bool) -> Step:
    """A scaling by somebody after the limit was set may have been what went beyond it."""
    later = [
        s
        for s in states
        if limits.deed.when < s.request.ts < deed.when
        and not controller_of(s.request)
        and (s.touched is None or "replicas" in s.touched)
    ]
    rivals = [scaling_deed(s, deed.ref, "inferred") for s in later[-1:]]
    return Step("autoscale", limits.deed, candidates=rivals, final=True, doubt=not sure)


def _by_limit(case: Case, deed: Deed, now: SpecState | None) -> _Limits | None:
    """The write that set the limit which was exceeded before and reached by this scaling."""
    if now is None or now.before is None or now.replicas is None:
        return None
    found = None
    for limits in _writes(case, deed):
        over = limits.high is not None and now.before > limits.high == now.replicas
        under = limits.low is not None and now.before < limits.low == now.replicas
        if not (over or under):
            break
        found = limits  # an older write may have set the same limit
    return found


def _writes(case: Case, deed: Deed) -> Iterator[_Limits]:
    """Accepted writes by somebody of the autoscaler of this workload, newest first."""
    name = _name(case, deed)
    if name:
        own = Ref(deed.ref.cluster, "autoscaling", _RESOURCE, deed.ref.namespace, name)
        writes = [r for r in case.facts.requests(own, _WRITES) if r.ts <= deed.cause_until and not r.subresource]
    else:
        window = Window(deed.when - _LOOKS_BACK_US, deed.cause_until)
        writes = case.facts.requests_in(window, resource=_RESOURCE, namespace=deed.ref.namespace, verbs=_WRITES)
    for r in reversed([r for r in writes if r.done and not controller_of(r)]):
        bodies = case.facts.bodies(r)
        spec: Any = at(bodies.response if is_object(bodies.response) else bodies.request, "spec")
        target = at(spec, "scaleTargetRef", "name")
        if target not in (None, deed.ref.name):
            continue
        ref = Ref(deed.ref.cluster, r.group, _RESOURCE, r.namespace, r.name, "HorizontalPodAutoscaler")
        low, high = at(spec, "minReplicas"), at(spec, "maxReplicas")
        said = f" ({low if low is not None else '?'} to {high} replicas)" if high is not None else ""
        did = "created" if r.verb == "create" else "changed"
        says = f"{who_said(r)} {did} the autoscaler {ref.namespace}/{ref.name} of {deed.ref.said()}{said}{tool_of(r)}"
        yield _Limits(deed_of(r, says, ref=ref, root_action=r.verb), low, high)


def _name(case: Case, deed: Deed) -> str:
    """The autoscaler's name, from its own write of its status after the scaling, or from its Event."""
    window = Window(deed.when - SKEW_US, deed.when + SKEW_US)
    for r in case.facts.requests_in(
        window, resource=_RESOURCE, subresource="status", namespace=deed.ref.namespace, verbs=("update", "patch")
    ):
        if at(case.facts.bodies(r).request, "spec", "scaleTargetRef", "name") == deed.ref.name:
            return r.name
    names = {e.object_name for e in _events(case, deed)}
    return names.pop() if len(names) == 1 else ""


def _events(case: Case, deed: Deed) -> list[Any]:
    window = Window(deed.when - SKEW_US, deed.when + SKEW_US)
    return case.facts.events_in(window, namespace=deed.ref.namespace, reasons=("SuccessfulRescale",))


def _event_says(case: Case, deed: Deed) -> str:
    """The message of the autoscaler's Event, if only one acted in the namespace just then."""
    messages = {e.object_name: e.message for e in _events(case, deed)}
    return messages.popitem()[1] if len(messages) == 1 else ""
