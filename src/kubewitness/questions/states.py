"""What state objects were in, as stretches of time: rebuilt from bodies, from what watches saw, and from Events.

A stretch is `unknown` where nothing tells: before the first sign of an object whose creation is not recorded, and while
its recording had stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions import coverage
from kubewitness.questions.bodies import at, meta
from kubewitness.questions.facts import EventFact, Facts, Session
from kubewitness.questions.lives import Life, lives_of
from kubewitness.questions.model import Certainty
from kubewitness.questions.rebuild import Version, versions_of
from kubewitness.questions.targets import Ref

State = Literal["exists", "pending", "running", "ready", "terminating", "gone", "unknown"]

MOST_OBJECTS = 200
#: of an object with more versions than this, only Events and requests tell
_MOST_VERSIONS = 400
_FOREVER = 1 << 62

#: Events that tell a pod's state: kubelet and scheduler (pkg/kubelet/events, pkg/scheduler)
_TOLD_BY_EVENTS: dict[str, State] = {
    "Scheduled": "pending",
    "FailedScheduling": "pending",
    "Started": "running",
}


class StatesQuestion(msgspec.Struct):
    """Times in microseconds UTC."""

    refs: list[Ref]
    since: int | None = None
    until: int | None = None


class Segment(msgspec.Struct):
    """`until` null: to the end of what is asked for. `id`: the record that tells of its beginning."""

    since: str
    until: str | None
    state: State
    why: str
    certainty: Certainty
    id: str | None = None


class ObjectStates(msgspec.Struct):
    object: str
    cluster: str
    segments: list[Segment] = msgspec.field(default_factory=list)


class _Sign(msgspec.Struct):
    """From then on the object was in that state."""

    at: int
    state: State
    why: str
    certainty: Certainty = "proved"
    id: str | None = None


def ask(session: Session, question: StatesQuestion) -> list[ObjectStates]:
    """One answer for each object, in the order asked; without segments where nothing was recorded of it."""
    facts: dict[str, Facts] = {}
    for ref in question.refs:
        facts.setdefault(ref.cluster, Facts(session, ref.cluster))
    for cluster, base in facts.items():
        base.fetch((r for r in question.refs if r.cluster == cluster), status=True)
    silent = {c: _silent(base, question) for c, base in facts.items()}
    return [
        ObjectStates(str(r), r.cluster, _segments(facts[r.cluster], r, question, silent[r.cluster]))
        for r in question.refs
    ]


def _silent(facts: Facts, question: StatesQuestion) -> list[tuple[int, int]]:
    """Stretches of the window in which the recording had stopped; of open windows nobody asks for them."""
    if question.since is None or question.until is None:
        return []
    return coverage.silent(facts, question.since, question.until)


def _segments(facts: Facts, ref: Ref, question: StatesQuestion, silent: list[tuple[int, int]]) -> list[Segment]:
    lives = lives_of(facts, ref)
    signs = sorted((sign for life in lives for sign in _signs(facts, life, question.since)), key=lambda s: s.at)
    if not signs:
        return []
    segments = _joined(_interrupted(signs, silent), question.until)
    begins = format_us(question.since) if question.since is not None else ""
    return [s for s in segments if s.until is None or s.until > begins]


def _interrupted(signs: list[_Sign], silent: list[tuple[int, int]]) -> list[_Sign]:
    """With stretches in which nothing was recorded: what happened in them is unknown, and what was before, after them,
    too, as long as nothing says otherwise."""
    found = list(signs)
    for begin, end in silent:
        before = next((s for s in reversed(signs) if s.at <= begin), None)
        if before is None or before.state in ("gone", "unknown"):
            continue
        found.append(_Sign(begin, "unknown", "the recording had stopped", "unknown"))
        found.append(_Sign(end, before.state, "as before the recording stopped", "inferred", before.id))
    return sorted(found, key=lambda s: s.at)


def _joined(signs: Sequence[_Sign], ends: int | None) -> list[Segment]:
    """Signs of the same state are one stretch, which the next sign ends."""
    found: list[Segment] = []
    for sign in sorted(signs, key=lambda s: s.at):
        if ends is not None and sign.at > ends:
            break
        if found and found[-1].state == sign.state:
            continue
        when = format_us(sign.at)
        if found:
            found[-1].until = when
            if found[-1].since == when:
                found.pop()
        found.append(Segment(when, None, sign.state, sign.why, sign.certainty, sign.id))
    return found


def _signs(facts: Facts, life: Life, since: int | None) -> list[_Sign]:
    """What tells of one life's states, in any order."""
    pod = life.ref.resource == "pods"
    found = _from_versions(_versions(facts, life), pod=pod)
    if pod:
        found += [s for e in facts.events(life.ref) if life.covers(e.ts, e.object_uid) for s in _from_event(e)]
    if not found:
        found = [_Sign(life.first, "exists", "the first record of it", "inferred")]
    found = _orderly([*found, *_ending(facts, life)])
    if not life.born and since is not None and since < found[0].at and life.lives == 1:
        # Its beginning is not recorded: what it was before its first sign nobody knows.
        found.insert(0, _Sign(since, "unknown", "nothing was recorded of it before", "unknown"))
    return found


def _versions(facts: Facts, life: Life) -> list[Version]:
    seen = facts.versions(life.ref)
    writes = facts.requests(life.ref, status=True)
    if len(seen) + len(writes) > _MOST_VERSIONS:
        return []
    return versions_of(facts, life, _FOREVER, status=True)


def _from_versions(versions: Sequence[Version], *, pod: bool) -> list[_Sign]:
    found: list[_Sign] = []
    for v in versions:
        certainty: Certainty = "proved" if v.whole else "inferred"
        if v.body is None:
            if not found:
                found.append(_Sign(v.when, "exists", v.doubt or "written", "inferred", v.id))
            continue
        state, why = _state_of(v.body, pod=pod)
        found.append(_Sign(v.when, state, why, certainty, v.id))
    return found


def _state_of(body: Any, *, pod: bool) -> tuple[State, str]:
    if meta(body, "deletionTimestamp"):
        return "terminating", "deletionTimestamp is set"
    if not pod:
        return _workload_state(body)
    phase = at(body, "status", "phase")
    conditions = at(body, "status", "conditions")
    ready = next((c for c in conditions or () if isinstance(c, dict) and c.get("type") == "Ready"), {})
    if phase == "Running":
        return ("ready", "Ready is True") if ready.get("status") == "True" else ("running", _reason(ready))
    if phase in ("Succeeded", "Failed"):
        return "exists", f"phase {phase}"
    return "pending", f"phase {phase}" if phase else "created"


def _workload_state(body: Any) -> tuple[State, str]:
    """What a Deployment, StatefulSet or ReplicaSet says of its replicas, a node of its condition Ready."""
    conditions = at(body, "status", "conditions")
    if at(body, "kind") == "Node" and isinstance(conditions, list):
        ready = next((c for c in conditions if isinstance(c, dict) and c.get("type") == "Ready"), {})
        return ("ready", "Ready is True") if ready.get("status") == "True" else ("running", _reason(ready))
    wanted, have = at(body, "spec", "replicas"), at(body, "status", "readyReplicas")
    if isinstance(wanted, int) and isinstance(at(body, "status"), dict) and at(body, "status"):
        have = have if isinstance(have, int) else 0
        said = f"{have} of {wanted} replicas ready"
        return ("ready" if have >= wanted else "pending" if have == 0 else "running"), said
    return "exists", "recorded"


def _reason(condition: Any) -> str:
    words = [str(condition.get(k)) for k in ("reason", "message") if condition.get(k)]
    return f"not ready: {': '.join(words)}" if words else "not ready"


def _from_event(event: EventFact) -> list[_Sign]:
    state = _TOLD_BY_EVENTS.get(event.reason)
    if state is None:
        return []
    # Their times are often whole seconds: it was at some time within that one.
    at_us = event.first + 999_999 if event.first % 1_000_000 == 0 else event.first
    return [_Sign(at_us, state, f"{event.reason}: {event.message}"[:200], "inferred", event.id)]


_ORDER = {"terminating": 1, "gone": 2}


def _orderly(signs: list[_Sign]) -> list[_Sign]:
    """By time. What terminates does not come back; an Event that is later or coarser than a body says nothing more."""
    kept: list[_Sign] = []
    for sign in sorted(signs, key=lambda s: s.at):
        last = kept[-1].state if kept else "pending"
        if _ORDER.get(sign.state, 0) < _ORDER.get(last, 0):
            continue
        if (sign.id or "").startswith("event:") and (sign.state, last) in _SAYS_NOTHING:
            continue
        kept.append(sign)
    return kept


#: (what an Event says, what is known by then): another container's start, a scheduling told late
_SAYS_NOTHING = frozenset({("running", "ready"), ("pending", "running"), ("pending", "ready")})


def _ending(facts: Facts, life: Life) -> list[_Sign]:
    """Its deletion: asked for (of a pod with a grace period: terminating), and done."""
    found: list[_Sign] = []
    deletes = [
        r for r in facts.requests(life.ref, ("delete",)) if r.done and not r.subresource and life.covers(r.ts, r.uid)
    ]
    evictions = [
        r
        for r in facts.requests(life.ref, ("create",))
        if r.done and r.subresource == "eviction" and life.covers(r.ts, r.uid)
    ]
    pod = life.ref.resource == "pods"
    for r in sorted([*deletes, *evictions], key=lambda r: r.ts):
        last = pod and r.verb == "delete" and r.user.startswith("system:node:")
        found.append(_Sign(r.ts, "gone" if last else "terminating", f"{r.action} by {r.person}", "proved", r.id))
    gone = [v for v in facts.versions(life.ref) if v.change == "DELETED" and life.covers(v.ts, v.uid)]
    if gone:
        return [s for s in found if s.at <= gone[0].ts and s.state != "gone"] + [
            _Sign(gone[0].ts, "gone", "a watch saw it go", "proved", gone[0].id)
        ]
    if found and not any(s.state == "gone" for s in found) and _went(facts, life, found[-1].at):
        found.append(_Sign(found[-1].at + 1, "gone", "deleted", "inferred", found[-1].id))
    if not found and life.next_first is not None:
        found.append(_Sign(life.last, "unknown", "another object of that name came after it", "unknown"))
    return found


def _went(facts: Facts, life: Life, at_us: int) -> bool:
    """Whether a deletion was at once: no pod, and no finalizer kept it."""
    if life.next_first is not None:
        return True
    if life.ref.resource == "pods":
        return False
    later = [r for r in facts.requests(life.ref) if r.done and r.ts > at_us and life.covers(r.ts, r.uid)]
    return not later
