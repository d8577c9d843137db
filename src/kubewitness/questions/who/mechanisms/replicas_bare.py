"""rollout and scale-down without bodies: at level Metadata, or from Events alone. Everything here is `inferred`.

A write of `deployments/scale` is a scaling by its name. Otherwise a rollout shows itself by another ReplicaSet of
the Deployment that was created or scaled up shortly before; Events (ScalingReplicaSet) and the names in the
deployment controller's own requests both tell it. The cause is the last write of the Deployment before that began.
"""

from __future__ import annotations

import re

from kubewitness.questions.facts import EventFact, Window
from kubewitness.questions.lives import SKEW_US
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import (
    MINUTE,
    SECOND,
    Case,
    Deed,
    Step,
    controller_of,
    deed_of,
    event_deed,
    manager_of,
    tool_of,
    who_said,
)
from kubewitness.questions.who.history import SpecState

_SCALED = re.compile(r"Scaled (up|down) replica set (\S+) (?:from (\d+) )?to (\d+)")
#: a rollout's own steps follow one another within this time
_ROLLOUT_PAUSE_US = 10 * MINUTE
#: kubectl's commands that leave spec alone, and the one that pauses, resumes and restarts
_OTHER_COMMANDS = ("kubectl-annotate", "kubectl-label")
_PAUSES = "kubectl-rollout"
#: the deployment controller acts on a write within seconds
_PROMPT_US = 30 * SECOND


def replicaset_from_events(case: Case, deed: Deed, owner_ref: Ref) -> Step:
    """No write of the ReplicaSet is recorded: the Deployment's Events may tell of its scaling."""
    owned = case.owner(owner_ref, case.life(owner_ref, when=deed.when))
    scaled = _scalings(case, owned[0], deed.when) if owned else []
    mine = [(e, up) for e, up, name, _ in scaled if name == owner_ref.name and not up]
    if not mine:
        case.need(
            f"the write that scaled down {owner_ref.said()}: level Metadata for replicasets, or Events, would tell"
        )
        return Step(None)
    event = mine[-1][0]
    says = f"the deployment controller scaled down {owner_ref.said()} ({event.message})"
    return Step(None, event_deed(event, says, ref=owner_ref, role="change", controller="deployment-controller"))


def _scalings(case: Case, ref: Ref, until: int) -> list[tuple[EventFact, bool, str, int]]:
    """(Event, up, ReplicaSet, replicas) of a Deployment's scalings up to a time; each Event at its first time too."""
    found = []
    for e in case.facts.events(ref):
        match = _SCALED.search(e.message) if e.reason == "ScalingReplicaSet" else None
        if match and e.first <= until + SKEW_US:
            found.append((e, match.group(1) == "up", match.group(2), int(match.group(4))))
    return sorted(found, key=lambda f: min(f[0].ts, until))


def deployment(case: Case, deed: Deed, ref: Ref, states: list[SpecState], resized: bool | None) -> Step:
    """The Deployment's write behind a ReplicaSet's write, told by order and names.

    `resized` False: the ReplicaSet's own body shows that it was no scaling, so it was a rollout.
    """
    if resized is False:
        states = [s for s in states if s.touched is None or "template" in s.touched]
    states = [s for s in states if s.touched is not None or manager_of(s.request) not in _OTHER_COMMANDS]
    others = _others_touched(case, deed, ref)
    turn = _turn(case, deed, ref)
    chosen = _likely(states, others, deed.when, turn, _others_written(case, deed, ref))
    if chosen is None:
        mechanism = "rollout" if resized is False or _outgrown(case, deed, ref, others) else "scale-down"
        case.need(
            f"who changed {ref.said()}: an audit rule of level Metadata or higher for update and patch of deployments "
            "and deployments/scale would tell"
        )
        return Step(mechanism)
    if chosen.touched is None:
        case.need(
            f"what the write of {ref.said()} changed: level Request for deployments would show it and prove the cause"
        )
    rolls = turn is not None and chosen.request.subresource != "scale"
    mechanism = "rollout" if rolls or resized is False or _rolls(chosen, others, deed.when) else "scale-down"
    if chosen.request.verb == "create":
        mechanism = "controller"
    rivals = [
        s
        for s in states
        if s is not chosen
        and s.request.played != chosen.request.played
        and abs(s.request.ts - chosen.request.ts) <= _PROMPT_US
    ]
    return Step(mechanism, _told(chosen, ref, mechanism), candidates=[_told(s, ref, mechanism) for s in rivals])


def _outgrown(case: Case, deed: Deed, ref: Ref, others: list[int]) -> bool:
    """Whether another ReplicaSet grew after this one last did."""
    own = [e.first for e, up, name, _ in _scalings(case, ref, deed.when) if up and name == deed.ref.name]
    return bool(others) and others[-1] > max(own, default=0)


def _turn(case: Case, deed: Deed, ref: Ref) -> int | None:
    """When a ReplicaSet stopped to be its Deployment's current one: another grew after it had last grown itself. Events
    tell who grew, the controller's own requests when. None when it did not, or no Event says that it ever grew."""
    if deed.role != "change":
        return None
    grown = [(e.ts, name) for e, up, name, _ in _scalings(case, ref, deed.when) if up and e.ts <= deed.when]
    own = [ts for ts, name in grown if name == deed.ref.name]
    if not own:
        return None
    for ts, name in grown:
        if name != deed.ref.name and ts > own[-1]:
            other = Ref(ref.cluster, ref.group, "replicasets", ref.namespace, name)
            writes = [r for r in case.facts.requests(other, ("create", "update", "patch")) if r.done]
            times = [r.received for r in writes if not r.subresource and ts - SECOND <= r.received <= ts + SECOND]
            return min(times, default=ts + SECOND)
    return None


def _likely(
    states: list[SpecState], others: list[int], until: int, turn: int | None, written: list[int]
) -> SpecState | None:
    """The write that the ReplicaSet's write answers to: the last one before its turn, if it was no longer the current
    one; else the last one, unless it is a scaling of some time ago and a rollout has been going on."""
    if not states:
        return None
    last = states[-1]
    earlier = [s for s in states if s.request.subresource != "scale"]
    if turn is not None and not (last.request.subresource == "scale" and until - last.request.ts <= SECOND):
        before = [s for s in earlier if s.request.received <= turn]
        if before:
            return _unpaused(before, written)
    rolling = [ts for ts in others if ts > last.request.ts]
    if last.request.subresource == "scale" and until - last.request.ts > SECOND and rolling and earlier:
        return earlier[-1]
    return last


def _unpaused(writes: list[SpecState], written: list[int]) -> SpecState:
    """The last write; of one between two `kubectl rollout`s that nothing followed at once, that one: the two then
    paused and resumed the Deployment."""
    if len(writes) > 2 and [manager_of(s.request) == _PAUSES for s in writes[-3:]] == [True, False, True]:
        begins, ends = writes[-3].request.ts, writes[-1].request.received
        if not any(begins <= ts <= ends for ts in written):
            return writes[-2]
    return writes[-1]


def _rolls(state: SpecState, others: list[int], until: int) -> bool:
    """Whether a write looks like a change of the template: another ReplicaSet moved after it."""
    if state.request.subresource == "scale":
        return False
    if state.touched is not None and "template" in state.touched:
        return True
    return any(state.request.received <= ts <= until + SKEW_US // 4 for ts in others)


def _told(state: SpecState, ref: Ref, mechanism: str) -> Deed:
    who, tool = who_said(state.request), tool_of(state.request)
    if state.request.verb == "create":
        says, action = f"{who} created {ref.said()}{tool}", "create"
    elif mechanism == "rollout":
        says, action = f"{who} changed {ref.said()}{tool}, and a rollout began", "rollout"
    elif state.request.subresource == "scale":
        target = f" to {state.replicas}" if state.replicas is not None else ""
        says, action = f"{who} scaled {ref.said()}{target}{tool}", "scale"
    else:
        says, action = f"{who} changed {ref.said()}{tool}, and it was scaled", "scale"
    return deed_of(state.request, says, ref=ref, certainty="inferred", root_action=action)


def _others_touched(case: Case, deed: Deed, ref: Ref) -> list[int]:
    """When other ReplicaSets of the Deployment were created or written by its controller, or grew, before the deed."""
    times = [e.first for e, up, name, _ in _scalings(case, ref, deed.when) if up and name != deed.ref.name]
    return sorted([ts for ts in times if ts >= deed.when - _ROLLOUT_PAUSE_US] + _others_written(case, deed, ref))


def _others_written(case: Case, deed: Deed, ref: Ref) -> list[int]:
    """The part of `_others_touched` that requests tell, whose times are exact."""
    window = Window(deed.when - _ROLLOUT_PAUSE_US, deed.when + SKEW_US // 4)
    pattern = re.compile(re.escape(ref.name) + r"-[a-z0-9]{6,10}")
    writes = case.facts.requests_in(
        window, resource="replicasets", namespace=ref.namespace, verbs=("create", "update", "patch")
    )
    mine = [r for r in writes if r.done and controller_of(r) and r.name != deed.ref.name]
    return [r.ts for r in mine if pattern.fullmatch(r.name)]
