"""statefulset, jobs, history-limit: removals and creations by the controllers of other workloads.

The link to the owner is the ownerReference; the write of the owner that made it necessary is taken by its place in
time (the last accepted write by somebody else), so it is `inferred`.
"""

from __future__ import annotations

from kubewitness.questions.bodies import at
from kubewitness.questions.facts import Window
from kubewitness.questions.lives import Life
from kubewitness.questions.model import Certainty
from kubewitness.questions.targets import Ref
from kubewitness.questions.who.case import SECOND, Case, Deed, Step, controller_of, deed_of, tool_of, weaker, who_said
from kubewitness.questions.who.history import SpecState, spec_before
from kubewitness.questions.who.mechanisms.replicas import scaling_deed, template_deed

#: a CronJob's controller makes the next Job in the same round in which it deleted the one before
_NEXT_JOB_US = 5 * SECOND
#: controller -> the mechanism of what it removes by itself
_REMOVES = {
    "statefulset-controller": "statefulset",
    "ttl-after-finished-controller": "job-finished",
    "deployment-controller": "history-limit",
}


def explain(case: Case, deed: Deed) -> Step | None:
    """The owner's last write, for a removal by its controller."""
    if deed.role != "remove":
        return None
    mechanism = _REMOVES.get(deed.controller)
    if deed.controller == "job-controller":
        mechanism = _job_mechanism(case, deed)
    elif deed.controller in ("cronjob-controller", "cronjob-controller-v2"):
        mechanism = "job-replaced" if _made_room(case, deed) else "history-limit"
    if mechanism is None:
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    if mechanism == "job-finished":
        return Step(mechanism, _job_made(case, deed, life))
    owned = case.owner(deed.ref, life)
    if owned is None:
        case.need(f"the owner of {deed.ref.said()}: level RequestResponse for its create or delete would name it")
        return Step(mechanism)
    owner_ref, owner, certainty = owned
    states = [
        s
        for s in spec_before(case, case.life(owner_ref, owner.uid, deed.when), deed)
        if controller_of(s.request) != deed.controller
    ]
    if not states:
        case.need(f"who wrote {owner_ref.said()}: an audit rule of level Metadata or higher for {owner_ref.resource}")
        return Step(mechanism)
    return Step(mechanism, _told(states, owner_ref, weaker(certainty, "inferred")))


def _made_room(case: Case, deed: Deed) -> bool:
    """Whether the CronJob's controller deleted a Job that still ran, and made the next one in its place."""
    stem = deed.ref.name.rpartition("-")[0]
    window = Window(deed.when - SECOND, deed.when + _NEXT_JOB_US)
    made = case.facts.requests_in(window, resource="jobs", namespace=deed.ref.namespace, verbs=("create",))
    # An Event's time is cut to whole seconds.
    events = case.facts.events_in(
        window, namespace=deed.ref.namespace, reasons=("SuccessfulCreate",), message_has=f"job {stem}-"
    )
    followed = any(r.done and r.name.rpartition("-")[0] == stem and r.name != deed.ref.name for r in made)
    followed = followed or any(not e.message.endswith(deed.ref.name) for e in events)
    return followed and not _finished(case, deed.ref)


def _finished(case: Case, job: Ref) -> bool:
    if any(e.reason in ("Completed", "BackoffLimitExceeded", "DeadlineExceeded") for e in case.facts.events(job)):
        return True
    for r in case.facts.requests(job, ("update", "patch"), status=True):
        conditions = at(case.facts.bodies(r).request, "status", "conditions") if r.subresource == "status" else None
        if any(isinstance(c, dict) and c.get("type") in ("Complete", "Failed") for c in conditions or []):
            return True
    return False


def _job_made(case: Case, deed: Deed, life: Life) -> Deed | None:
    """Whoever made the Job gave it its time to live (ttlSecondsAfterFinished)."""
    for r in case.facts.requests(deed.ref, ("create",)):
        if r.done and not r.subresource and life.covers(r.ts, r.uid):
            says = f"{who_said(r)} created {deed.ref.said()} with a time to live{tool_of(r)}"
            sure = r.uid and r.uid == life.uid
            certainty: Certainty = "proved" if sure else "inferred"
            return deed_of(r, says, ref=deed.ref, root_action="create", role="create", life=life, certainty=certainty)
    case.need(f"who created {deed.ref.said()}: an audit rule of level Metadata or higher for create of jobs")
    return None


def _told(states: list[SpecState], ref: Ref, certainty: Certainty) -> Deed:
    state = states[-1]
    if state.touched is not None and "replicas" in state.touched and state.request.verb != "create":
        return scaling_deed(state, ref, certainty)
    return template_deed(state, ref, certainty, states)


def _job_mechanism(case: Case, deed: Deed) -> str:
    """Why a Job's pods were removed: its status condition (DeadlineExceeded, BackoffLimitExceeded) or its Event."""
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None:
        return "job-failed"
    texts = [e.reason for e in case.facts.events(owned[0])]
    for r in case.facts.requests(owned[0], ("update", "patch"), status=True):
        conditions = at(case.facts.bodies(r).request, "status", "conditions") if r.subresource == "status" else None
        texts += [str(c.get("reason")) for c in conditions or [] if isinstance(c, dict)]
    return "job-deadline" if "DeadlineExceeded" in texts else "job-failed"


def explain_created(case: Case, deed: Deed) -> Step | None:
    """controller: what a workload's controller created; the owner's last write is behind it."""
    if (
        deed.role != "create"
        or not deed.controller
        or (
            deed.ref.resource in ("pods", "replicasets")
            and (deed.controller in ("replicaset-controller", "deployment-controller"))
        )
    ):
        return None
    life = deed.life or case.life(deed.ref, when=deed.when)
    owned = case.owner(deed.ref, life)
    if owned is None:
        return Step("controller", final=True)
    owner_ref, owner, certainty = owned
    states = [
        s
        for s in spec_before(case, case.life(owner_ref, owner.uid, deed.when), deed)
        if controller_of(s.request) != deed.controller
    ]
    if not states:
        return Step("controller")
    if len(states) == 1 and states[0].request.verb == "create":
        request = states[0].request
        says = f"{who_said(request)} created {owner_ref.said()}{tool_of(request)}"
        return Step(
            "controller",
            deed_of(request, says, ref=owner_ref, certainty=certainty, root_action="create", role="create"),
        )
    return Step("controller", _told(states, owner_ref, "inferred"))
