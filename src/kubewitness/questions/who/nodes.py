"""The verbs of nodes: cordoned, uncordoned, drained, tainted."""

from __future__ import annotations

from collections.abc import Iterator

from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Bodies, Request, Window
from kubewitness.questions.lives import Life
from kubewitness.questions.model import AskedObject, WhoAnswer
from kubewitness.questions.who import engine, verbs
from kubewitness.questions.who.case import (
    MINUTE,
    SECOND,
    Case,
    Deed,
    controller_of,
    deed_of,
    manager_of,
    tool_of,
    who_said,
)
from kubewitness.questions.who.mechanisms.eviction import node_writes, unschedulable

_FOREVER = 1 << 62
#: a drain that waits for disruption budgets may last
_DRAIN_US = 24 * 60 * MINUTE
#: kubectl's commands that leave spec.unschedulable alone
_OTHER_COMMANDS = ("kubectl-annotate", "kubectl-label", "kubectl-taint")
#: the kubelet notices a cordon when it next reports its status
_KUBELET_SAYS_US = MINUTE // 2


def ask(case: Case, asked: AskedObject, life: Life, verb: str, at_us: int | None) -> WhoAnswer:
    """Who cordoned, uncordoned, drained or tainted the node, last before `at`."""
    until = _FOREVER if at_us is None else at_us
    told = _Told(node_writes(case, life.ref.name, until))
    if verb == "tainted":
        effect = _tainted(life, told) or _taint_claimed(case, life, told.untold)
    else:
        effect = _cordoned(life, told, verb != "uncordoned", verb) or _untold(case, life, told.untold, verb)
    links = []
    if effect is not None and verb == "drained":
        evictions = _evictions(case, effect, life.ref.name)
        if not evictions:
            summary = (
                f"No record says that {life.ref.said()} was drained: {effect.says.replace('drained', 'cordoned')}, "
            )
            return verbs.not_found(case, asked, summary + "but evicted none of its pods.", [effect.link()], [])
        links = [d.link() for d in evictions]
    if effect is None:
        if told.untold:
            case.need(
                "what the writes of the node changed: audit level Request for patch and update of nodes would show it"
            )
        return verbs.not_found(case, asked, f"No record says that {life.ref.said()} was {verb}.", [], [])
    chain = engine.Chain([effect], [*links, effect.link()])
    result = engine.answer(case, asked, chain, default="drain" if verb == "drained" else "direct")
    if verb == "drained":
        probably = "Probably " if result.certainty == "inferred" else ""
        result.summary = f"{probably}{effect.says}, evicting {len(links)} pod{'s' if len(links) != 1 else ''}."
    return result


class _Told:
    """Writes with a body, newest first; `untold` are those without that were passed."""

    def __init__(self, writes: Iterator[tuple[Request, Bodies]]) -> None:
        self._writes = writes
        self.untold: list[Request] = []

    def __iter__(self) -> Iterator[tuple[Request, Bodies]]:
        for write, bodies in self._writes:
            if bodies.request is None:
                self.untold.append(write)
            else:
                yield write, bodies


def _cordoned(life: Life, told: _Told, value: bool, verb: str) -> Deed | None:
    for write, bodies in told:
        if unschedulable(bodies, write.verb) is value and (write.verb == "patch" or not controller_of(write)):
            says = f"{who_said(write)} {verb} {life.ref.said()}{tool_of(write)}"
            action = {"cordoned": "cordon", "uncordoned": "uncordon"}.get(verb, "drain")
            return deed_of(write, says, ref=life.ref, root_action=action)
    return None


def _taint_claimed(case: Case, life: Life, writes: list[Request]) -> Deed | None:
    """Without bodies: the last write that calls itself kubectl's taint."""
    for write in writes:
        if manager_of(write) == "kubectl-taint":
            case.need("the taint itself, and whether it was added or taken away: audit level Request for nodes")
            says = f"{who_said(write)} changed the taints of {life.ref.said()}{tool_of(write)}"
            return deed_of(write, says, ref=life.ref, certainty="inferred", root_action="taint")
    return None


def _untold(case: Case, life: Life, writes: list[Request], verb: str) -> Deed | None:
    """Without bodies: a write by somebody of which the kubelet's Event shortly afterwards speaks; of several, that of
    whoever went on to evict pods."""
    reason = "NodeSchedulable" if verb == "uncordoned" else "NodeNotSchedulable"
    people = [w for w in writes if not controller_of(w) and manager_of(w) not in _OTHER_COMMANDS]
    deeds = []
    for event in reversed([e for e in case.facts.events(life.ref) if e.reason == reason]):
        near = [w for w in people if -SECOND <= event.ts - w.received <= _KUBELET_SAYS_US]
        for write in near:
            says = f"{who_said(write)} {verb} {life.ref.said()}{tool_of(write)}"
            action = {"cordoned": "cordon", "uncordoned": "uncordon"}.get(verb, "drain")
            deeds.append(
                deed_of(write, says, ref=life.ref, certainty="inferred", root_action=action, evidence=[event.id])
            )
        if near:
            break
    if deeds:
        case.need("what the write of the node changed: audit level Request for patch and update of nodes would show it")
    return next((d for d in deeds if _evictions(case, d, life.ref.name)), deeds[0] if deeds else None)


def _tainted(life: Life, told: _Told) -> Deed | None:
    for write, bodies in told:
        taints = at(bodies.request, "spec", "taints")
        real = (
            [t for t in taints if isinstance(t, dict) and "key" in t and "effect" in t]
            if isinstance(taints, list)
            else []
        )
        if real:
            words = ", ".join(
                f"{t['key']}{'=' + str(t['value']) if t.get('value') else ''}:{t['effect']}" for t in real
            )
            says = f"{who_said(write)} tainted {life.ref.said()} with {words}{tool_of(write)}"
            return deed_of(write, says, ref=life.ref, root_action="taint")
    return None


def _evictions(case: Case, cordon: Deed, node: str) -> list[Deed]:
    """Evictions by whoever cordoned, after it and before the node was given back, of pods that were on the node."""
    request = cordon.request
    if request is None:
        return []
    ends = cordon.when + _DRAIN_US
    for write, bodies in node_writes(case, node, _FOREVER):
        if write.ts <= cordon.when:
            break
        if unschedulable(bodies, write.verb) is False:
            ends = min(ends, write.ts)
    window = Window(request.received, ends)
    evictions = case.facts.requests_in(
        window, resource="pods", subresource="eviction", user=request.user, verbs=("create",)
    )
    deeds = []
    for r in evictions:
        if not r.done or r.played != request.played:
            continue
        place = case.node_of(r.ref, case.life(r.ref, when=r.ts))
        if place is not None and place[0] == node:
            says = f"{who_said(r)} evicted {r.ref.said()}"
            deeds.append(deed_of(r, says, root_action="evict", role="remove", certainty=place[1]))
    return deeds
