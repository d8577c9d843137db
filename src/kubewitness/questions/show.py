"""An object as it was: the newest whole body at that time, with the patches since; and what no body tells."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions import coverage
from kubewitness.questions.bodies import is_object, meta
from kubewitness.questions.facts import Facts, Request, Session, VersionFact
from kubewitness.questions.lives import choose, lives_of
from kubewitness.questions.rebuild import Version, versions_of
from kubewitness.questions.targets import Ref

_FOREVER = 1 << 62
#: bodies are decoded newest first, a few at a time, until a whole one is found
_FEW = 16


class ShowQuestion(msgspec.Struct):
    ref: Ref
    #: microseconds UTC; None is now
    at: int | None = None
    uid: str | None = None


class ShowAnswer(msgspec.Struct):
    found: bool
    object: Any = None
    #: when the shown version was written, and the record it was taken from
    when: str | None = None
    id: str | None = None
    #: whether this is the object as it was: no later write without a body
    exact: bool = False
    #: from here on something changed that no body tells; the status may change by itself
    unknown_since: str | None = None
    #: whether the object had been deleted by then, and when
    deleted: str | None = None
    notes: list[str] = msgspec.field(default_factory=list)
    #: answer, watch, asked, rebuilt (docs/diff.md)
    how: str | None = None


def ask(session: Session, question: ShowQuestion) -> ShowAnswer:
    """The object at a time, as far as bodies tell."""
    facts = Facts(session, question.ref.cluster)
    until = _FOREVER if question.at is None else question.at
    ref = question.ref
    life = choose(lives_of(facts, ref), uid=question.uid, at=question.at, gone=False)
    if life is None:
        near = coverage.near_names(facts, ref)
        return ShowAnswer(False, notes=[*([f"near names: {', '.join(near)}"] if near else []), *coverage.told(facts)])
    writes = [
        r
        for r in facts.requests(ref, ("create", "update", "patch", "delete"), status=True)
        if r.done and r.ts <= until and life.covers(r.ts, r.uid) and r.subresource in ("", "status", "scale")
    ]
    versions = [v for v in facts.versions(ref) if v.ts <= until and life.covers(v.ts, v.uid)]
    request = _newest_whole(facts, writes, ref.name)
    whole = [t.ts for t in (request, versions[-1] if versions else None) if t is not None]
    known = versions_of(facts, life, until, since=max(whole, default=None), status=True)
    answer = ShowAnswer(False)
    last = next((v for v in reversed(known) if v.body is not None), None)
    if last is not None:
        answer = ShowAnswer(True, last.body, format_us(last.when), last.id, last.whole and not last.doubt, how=last.how)
        if last.doubt or not last.whole:
            answer.notes.append(_rebuilt(last, known))
    shown = last.when if last is not None else 0
    bodyless = [v.request for v in known if v.body is None and v.request is not None]
    _tell_later(answer, bodyless, [w for w in writes if w.ts > max(whole, default=shown) and w.subresource == "status"])
    _tell_deleted(answer, writes, versions)
    if not answer.found:
        answer.notes.append(
            "no recorded body: audit level RequestResponse for its writes, or a watch of its kind, would have kept one"
        )
    return answer


def _rebuilt(last: Version, known: list[Version]) -> str:
    patches = sum(v.how == "rebuilt" for v in known)
    text = f"rebuilt from {patches} patch(es) of an earlier body" if patches else "as it was sent"
    return f"{text}; what the API server's defaults and webhooks added is not recorded" + (
        f"; {last.doubt}" if last.doubt else ""
    )


def _newest_whole(facts: Facts, writes: list[Request], name: str) -> Request | None:
    ordered = list(reversed(writes))
    for start in range(0, len(ordered), _FEW):
        few = ordered[start : start + _FEW]
        for request, bodies in zip(few, facts.all_bodies(few), strict=True):
            whole = request.subresource != "scale" and is_object(bodies.response)
            if whole and meta(bodies.response, "name") == name:
                return request
    return None


def _tell_later(answer: ShowAnswer, later: list[Request], status: list[Request]) -> None:
    spec = [w for w in later if w.subresource != "status" and w.verb != "delete"]
    if spec:
        answer.exact = False
        answer.unknown_since = format_us(spec[0].ts)
        answer.notes.append(
            f"unknown from {format_us(spec[0].ts)}: {len(spec)} later write(s) without a body, "
            f"first by {spec[0].person} ({spec[0].action}, level {spec[0].level})"
        )
    if status and answer.found:
        answer.exact = False
        answer.notes.append(
            f"its status was written {len(status)} time(s) since, the last time at {format_us(status[-1].ts)}"
        )


def _tell_deleted(answer: ShowAnswer, writes: list[Request], versions: list[VersionFact]) -> None:
    deletes = [w.ts for w in writes if w.verb == "delete" and not w.subresource]
    deletes += [v.ts for v in versions if v.change == "DELETED"]
    if deletes:
        answer.deleted = format_us(min(deletes))
        answer.notes.append(f"its deletion was asked for at {format_us(min(deletes))}; this is its last known version")
