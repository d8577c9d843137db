"""controller: a pod that the replicaset controller created: for a new or larger ReplicaSet, or in a lost one's place.

A pod follows its ReplicaSet's last growth when it is among the first that many pods made since; beyond that it
replaces a pod that went away, and the removal of that pod is its cause (`inferred`: only time and owner join them).
"""

from __future__ import annotations

from kubewitness.questions.facts import Request, Window
from kubewitness.questions.lives import SKEW_US
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import MINUTE, SECOND, Case, Deed, Step, controller_of, deed_of, who_said
from kubewitness.questions.who.history import SpecState, spec_before
from kubewitness.questions.who.mechanisms.replicas import scaling_deed

#: the replicaset controller replaces a pod within this time
_PROMPT_US = 2 * SECOND


def explain_pod(case: Case, deed: Deed) -> Step | None:
    """Why the replicaset controller made a pod."""
    if deed.role != "create" or deed.ref.resource != "pods" or deed.controller != "replicaset-controller":
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None:
        return Step("controller", final=True)
    owner_ref, owner, certainty = owned
    states = spec_before(case, case.life(owner_ref, owner.uid, deed.when), deed)
    grown = [s for s in states if s.request.verb == "create" or (s.before or 0) < (s.replicas or 0)]
    if grown:
        last = grown[-1]
        room = (last.replicas or 0) - (last.before or 0)
        replaces = _replaces(case, deed, owner_ref, last.request.ts) if not room else None
        if replaces is not None:
            return Step("controller", replaces)
        if not room or _made_before(case, deed, owner_ref, last.request.ts - SKEW_US) < room:
            return Step("controller", _growth(last, owner_ref, certainty if room else "inferred"))
    lost = [r for r in _siblings(case, deed, deed.when - MINUTE, "") if _left(r, owner_ref)]
    if not lost:
        return Step("controller", _growth(grown[-1], owner_ref, "inferred") if grown else None)
    return Step("controller", _removal(lost[-1]))


def _removal(gone: Request) -> Deed:
    verb = "evicted" if gone.subresource else "deleted"
    says = f"{who_said(gone)} {verb} {gone.ref.said()}, which it replaces"
    return deed_of(gone, says, ref=gone.ref, certainty="inferred", root_action=verb[:-1], role="remove")


def _replaces(case: Case, deed: Deed, owner: Ref, grown: int) -> Deed | None:
    """Where no body tells how many pods were wanted: a removal of another one just before, long after the growth."""
    since = max(grown + _PROMPT_US, deed.when - _PROMPT_US)
    lost = [r for r in _siblings(case, deed, since, "") if _left(r, owner) and r.received <= deed.cause_until]
    return _removal(lost[-1]) if lost else None


def _made_before(case: Case, deed: Deed, owner: Ref, since: int) -> int:
    """How many pods of the ReplicaSet were made since then, and before this one."""
    made = [r for r in _siblings(case, deed, since, "create") if r.owner_name == owner.name]
    if made:
        if deed.request is not None:
            return sum(r.received < deed.request.received for r in made)
        return sum(r.received < deed.cause_until for r in made) - 1  # the Event's own pod is among them
    window = Window(since - SECOND, deed.when)
    events = case.facts.events_in(
        window, namespace=owner.namespace, reasons=("SuccessfulCreate",), message_has=f"pod: {owner.name}-"
    )
    return len({e.message for e in events if not e.message.endswith(deed.ref.name)})


def _growth(state: SpecState, ref: Ref, certainty: Certainty) -> Deed:
    if state.request.verb != "create":
        return scaling_deed(state, ref, certainty)
    says = f"{who_said(state.request)} created {ref.said()}"
    return deed_of(state.request, says, ref=ref, certainty=certainty, root_action="create", role="create")


def _siblings(case: Case, deed: Deed, since: int, verb: str) -> list[Request]:
    """Creations (or removals) of pods in the namespace from `since` up to the deed."""
    window = Window(since, max(deed.when + SKEW_US // 4, deed.cause_until))
    if verb:
        return [
            r
            for r in case.facts.requests_in(window, resource="pods", namespace=deed.ref.namespace, verbs=(verb,))
            if r.done
        ]
    deletes = case.facts.requests_in(window, resource="pods", namespace=deed.ref.namespace, verbs=("delete",))
    evictions = case.facts.requests_in(
        window, resource="pods", subresource="eviction", namespace=deed.ref.namespace, verbs=("create",)
    )
    return sorted((r for r in [*deletes, *evictions] if r.done), key=lambda r: r.ts)


def _left(request: Request, owner: Ref) -> bool:
    """Whether a removal took a pod of this ReplicaSet, and was not its own controller's or the kubelet's."""
    if controller_of(request) in ("kubelet", "replicaset-controller"):
        return False
    return request.owner_name == owner.name or request.name.startswith(owner.name + "-")
