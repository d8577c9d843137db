"""rollout, scale-down: a controller removed or made a pod because its workload's spec was changed.

Pod -> ReplicaSet by the ownerReference; the ReplicaSet's write that lowered (raised) spec.replicas before it;
that write -> Deployment by the ownerReference; and the Deployment's write that made it necessary:

- If the ReplicaSet's template is the Deployment's (the pod-template-hash label left out), the replica count was
  changed: the last write after which spec.replicas is what the ReplicaSet carries as its desired replicas.
- If it is not, the template was changed: the write after which the Deployment's template stopped being this
  ReplicaSet's (for a new pod: began to be). A ReplicaSet write that moves the desired replicas is a scaling even then.

Without bodies, Events (ScalingReplicaSet) and names of requests tell it, as `inferred`.
"""

from __future__ import annotations

from kubewitness.questions.bodies import RESTARTED_AT
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import SECOND, Case, Deed, Step, controller_of, deed_of, tool_of, weaker, who_said
from kubewitness.questions.who.history import SpecState, spec_before
from kubewitness.questions.who.mechanisms import replicas_bare

_DEPLOYMENT_CONTROLLER = "deployment-controller"
#: two writes of a ReplicaSet so close that a controller may have acted on either
_TOGETHER_US = SECOND
#: the deployment controller acts on a write within this time
_PROMPT_US = 30 * SECOND


def explain_pod(case: Case, deed: Deed) -> Step | None:
    """The ReplicaSet's write behind a pod that the replicaset controller removed."""
    if deed.role != "remove" or deed.ref.resource != "pods":
        return None
    if deed.controller not in ("replicaset-controller", "kube-controller-manager"):
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None or owned[0].resource != "replicasets":
        case.need(
            f"the ReplicaSet that owned {deed.ref.said()}: level RequestResponse for pods, or Events, would name it"
        )
        return Step(None)
    owner_ref, owner, certainty = owned
    states = spec_before(case, case.life(owner_ref, owner.uid, deed.when), deed)
    lowered = [s for s in states if s.before is not None and s.replicas is not None and s.replicas < s.before]
    if lowered:
        chosen = lowered[-1]
        rivals = [s for s in lowered[:-1] if chosen.request.ts - s.request.ts < _TOGETHER_US]
        step = Step(None, scaling_deed(chosen, owner_ref, certainty))
        step.candidates = [scaling_deed(s, owner_ref, "inferred") for s in rivals]
        return step
    unknown = [s for s in states if s.touched is None and s.request.verb != "create"]
    scaled = [s for s in states if s.request.subresource == "scale"]
    if scaled or unknown:
        return Step(None, scaling_deed((scaled or unknown)[-1], owner_ref, "inferred"))
    return replicas_bare.replicaset_from_events(case, deed, owner_ref)


def scaling_deed(state: SpecState, ref: Ref, certainty: Certainty) -> Deed:
    """A write of replicas, told."""
    request = state.request
    who, tool = who_said(request), tool_of(request)
    if state.replicas is None:
        says = (
            f"{who} scaled {ref.said()}{tool}"
            if request.subresource == "scale"
            else f"{who} updated {ref.said()}{tool}"
        )
    elif state.before is None or state.before == state.replicas:
        says = f"{who} set {ref.said()} to {state.replicas} replicas{tool}"
    else:
        says = f"{who} scaled {ref.said()} from {state.before} to {state.replicas}{tool}"
    return deed_of(request, says, ref=ref, certainty=certainty, root_action="scale")


def explain_replicaset(case: Case, deed: Deed) -> Step | None:
    """The Deployment's write behind a ReplicaSet that the deployment controller created, scaled up or down."""
    if deed.ref.resource != "replicasets" or deed.role not in ("change", "create"):
        return None
    if deed.controller not in (_DEPLOYMENT_CONTROLLER, "kube-controller-manager"):
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None or owned[0].resource != "deployments":
        case.need(f"the Deployment that owns {deed.ref.said()}: level RequestResponse for replicasets would name it")
        return Step(None)
    owner_ref, owner, certainty = owned
    owner_life = case.life(owner_ref, owner.uid, deed.when)
    states = [s for s in spec_before(case, owner_life, deed) if controller_of(s.request) != _DEPLOYMENT_CONTROLLER]
    mine = spec_before(case, life, deed)
    index = next((i for i, s in enumerate(mine) if deed.request is not None and s.request.id == deed.request.id), None)
    if index is None:
        return replicas_bare.deployment(case, deed, owner_ref, states, None)
    resized = _resizes(mine, index)
    if resized:
        return _resized(case, owner_ref, states, mine[index], certainty, mine[index - 1].desired if index else None)
    if mine[index].template is not None and any(s.template is not None for s in states):
        return _by_template(case, owner_ref, states, mine[index], certainty)
    return replicas_bare.deployment(case, deed, owner_ref, states, resized)


def _resizes(mine: list[SpecState], index: int) -> bool | None:
    """Whether a ReplicaSet's write moved its desired replicas: only a scaling of the Deployment does."""
    current = mine[index]
    if current.request.verb == "create":
        return False
    before = mine[index - 1].desired if index > 0 else None
    if current.desired is None or before is None:
        return None
    return current.desired != before


def _by_template(case: Case, ref: Ref, states: list[SpecState], current: SpecState, certainty: Certainty) -> Step:
    is_current = _last_template(states) == current.template
    lowered = current.before is not None and current.replicas is not None and current.replicas < current.before
    if is_current and lowered:
        return _resized(case, ref, states, current, certainty)
    turn = _turn(states, current.template, begins=is_current)
    if turn is None:
        case.need(
            f"the write that changed the template of {ref.said()}: it was made before the recording, or audit has no "
            "rule of level Request for deployments"
        )
        return Step("rollout")
    state, sure = turn
    mechanism = "controller" if state.request.verb == "create" else "rollout"
    cause = template_deed(state, ref, weaker(certainty, sure), states)
    return Step(mechanism, cause, _resumed(states, state, ref, current))


def _last_template(states: list[SpecState]) -> object:
    return next((s.template for s in reversed(states) if s.template is not None), None)


def _turn(states: list[SpecState], template: object, *, begins: bool) -> tuple[SpecState, Certainty] | None:
    """The last write at which the Deployment's template stopped (or `begins`: came) to be this one."""
    known = [s for s in states if s.template is not None]
    for i in range(len(known) - 1, 0, -1):
        was, now = known[i - 1].template == template, known[i].template == template
        if (was, now) == ((False, True) if begins else (True, False)):
            return known[i], "proved" if _unbroken(states, known[i - 1], known[i]) else "inferred"
    if known and (known[0].template == template) == begins:
        first = known[0]
        if first.touched is not None and "template" in first.touched:
            return first, "proved" if begins else "inferred"
    return None


def _unbroken(states: list[SpecState], before: SpecState, after: SpecState) -> bool:
    """Whether nothing unrecorded can have changed the spec between two states, so that the later one did.

    metadata.generation counts the changes of the spec; a patch names what it touches.
    """
    request = after.request
    between = [s for s in states if before.request.ts < s.request.ts < request.ts]
    if any(s.touched is None for s in between):
        return False
    if before.generation is not None and after.generation is not None:
        return after.generation - before.generation <= len(between) + 1
    return request.verb != "update" and after.touched is not None and "template" in after.touched


def _resized(
    case: Case, ref: Ref, states: list[SpecState], current: SpecState, certainty: Certainty, before: int | None = None
) -> Step:
    """The write after which the Deployment wanted as many replicas as the ReplicaSet was told of.

    `before`: how many the ReplicaSet was told of last; of other writes since then the controller saw only the sum.
    """
    wanted = current.desired if current.desired is not None else current.replicas
    resizing = [s for s in states if s.touched is not None and "replicas" in s.touched]
    exact = [s for s in resizing if s.replicas == wanted]
    if exact:
        # The controller acts at once: a write of long before was perhaps followed by others that were not recorded.
        prompt = current.request.ts - exact[-1].request.ts <= _PROMPT_US
        step = Step("scale-down", scaling_deed(exact[-1], ref, certainty if prompt else "inferred"))
        step.candidates = [scaling_deed(s, ref, "inferred") for s in _summed(resizing, exact[-1], before, current)]
        return step
    unknown = [s for s in states if s.replicas is None or s.touched is None]
    if unknown:
        return Step("scale-down", scaling_deed(unknown[-1], ref, "inferred"))
    case.need(f"the write that set {ref.said()} to {wanted} replicas: it was made before the recording")
    return Step("scale-down")


def _summed(resizing: list[SpecState], last: SpecState, before: int | None, current: SpecState) -> list[SpecState]:
    """Writes of others before `last` that moved the replicas the same way, not yet answered by a ReplicaSet write."""
    if before is None or current.replicas is None or before == current.replicas:
        return []
    found = []
    for state in reversed(resizing[: resizing.index(last)]):
        if state.replicas is None or state.replicas == before:
            break
        if (state.replicas < before) == (current.replicas < before):
            found.append(state)
    return found


def template_deed(state: SpecState, ref: Ref, certainty: Certainty, states: list[SpecState]) -> Deed:
    """A write of a workload's pod template, told: rollout, restart or undo."""
    request, tool = state.request, tool_of(state.request)
    who = who_said(request)
    if request.verb == "create":
        return deed_of(
            request,
            f"{who} created {ref.said()}{tool}",
            ref=ref,
            certainty=certainty,
            root_action="create",
            role="create",
        )
    if any(path[-1] == RESTARTED_AT for path, _, _ in state.found):
        return deed_of(
            request, f"{who} restarted {ref.said()}{tool}", ref=ref, certainty=certainty, root_action="restart"
        )
    earlier = [s for s in states if s.request.ts < state.request.ts and s.template is not None]
    undo = bool(earlier) and state.template is not None and any(s.template == state.template for s in earlier[:-1])
    words = f" ({state.words})" if state.words else ""
    says = f"{who} {'rolled back' if undo else 'rolled out'} {ref.said()}{words}{tool}"
    return deed_of(request, says, ref=ref, certainty=certainty, root_action="undo" if undo else "rollout")


def _resumed(states: list[SpecState], turn: SpecState, ref: Ref, current: SpecState) -> list[Deed]:
    """Who resumed a deployment that was paused while its template was changed: a link, not the root."""
    if not turn.paused:
        return []
    for s in states:
        if turn.request.ts < s.request.ts <= current.request.ts and s.paused is False:
            return [deed_of(s.request, f"{who_said(s.request)} resumed the paused {ref.said()}", ref=ref, role="note")]
    return []


def explain_direct_scale(case: Case, deed: Deed) -> Step | None:
    """scale-down: a person scaled the ReplicaSet itself, which has no Deployment to answer to."""
    if deed.role == "change" and not deed.controller and deed.ref.resource == "replicasets":
        return Step("scale-down", final=True)
    return None
