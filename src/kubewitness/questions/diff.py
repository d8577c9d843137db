"""What changed in an object between two times, field by field, and who changed each."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions import coverage
from kubewitness.questions.bodies import Path, changes, everything
from kubewitness.questions.facts import Facts, Session
from kubewitness.questions.lives import Life, choose, lives_of
from kubewitness.questions.model import FieldChange, Gap
from kubewitness.questions.rebuild import Version, versions_of
from kubewitness.questions.rebuild.changes import Step, field_changes, steps_of
from kubewitness.questions.targets import Ref

_FOREVER = 1 << 62


class DiffQuestion(msgspec.Struct):
    """Times in microseconds UTC. `since` None: the object's first known version; `until` None: its last."""

    ref: Ref
    since: int | None = None
    until: int | None = None
    uid: str | None = None
    #: with status and what the API server moves by itself
    everything: bool = False


class Side(msgspec.Struct):
    """One of the two versions that were compared: when it was written, and the record it is taken from."""

    when: str
    id: str
    #: answer, watch, asked, rebuilt (docs/diff.md)
    how: str


class Unknown(msgspec.Struct):
    """From here on the object is not known, until `until` (null: to the end)."""

    since: str
    until: str | None
    why: str
    evidence: str


class DiffAnswer(msgspec.Struct):
    """`found` false: no version of the object is known. `exact`: nothing unknown lies between the two."""

    found: bool
    object: str
    uid: str | None = None
    before: Side | None = None
    after: Side | None = None
    exact: bool = False
    changes: list[FieldChange] = msgspec.field(default_factory=list)
    unknown: list[Unknown] = msgspec.field(default_factory=list)
    deleted: str | None = None
    notes: list[str] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)


def ask(session: Session, question: DiffQuestion) -> DiffAnswer:
    """The differences, and the last write that made each what it is."""
    ref = question.ref
    facts = Facts(session, ref.cluster)
    until = _FOREVER if question.until is None else question.until
    life = choose(lives_of(facts, ref), uid=question.uid, at=question.until, gone=False)
    if life is None:
        near = coverage.near_names(facts, ref)
        notes = [*([f"near names: {', '.join(near)}"] if near else []), *coverage.told(facts)]
        return DiffAnswer(False, str(ref), notes=notes)
    versions = versions_of(facts, life, until, status=question.everything)
    answer = DiffAnswer(False, str(ref), life.uid or None, deleted=_deleted(facts, life, until))
    if not any(v.body is not None for v in versions):
        answer.unknown = _unknown(versions)
        answer.notes = ["no recorded body: audit level Request for its writes, or a watch of its kind, would keep one"]
        return answer
    _compare(answer, versions, question)
    if ref.resource == "secrets":
        answer.notes.append("values of Secrets are never kept: a value that changed does not show")
    ends = max(v.when for v in versions)
    begins = question.since if question.since is not None else versions[0].when
    answer.gaps = coverage.gaps(facts, begins, ends, before=False) if begins <= ends else []
    return answer


def _compare(answer: DiffAnswer, versions: list[Version], question: DiffQuestion) -> None:
    known = [v for v in versions if v.body is not None]
    since = question.since
    first = known[0] if since is None else next((v for v in reversed(known) if v.when <= since), None)
    if first is None:
        first = known[0]
        answer.notes.append(f"not known before {format_us(first.when)}: compared from then on")
    last = known[-1]
    answer.found = True
    answer.before, answer.after = _side(first), _side(last)
    later = versions[versions.index(first) + 1 :]
    answer.unknown = _unknown(later)
    answer.exact = not answer.unknown and not first.doubt and not last.doubt
    answer.notes += list(dict.fromkeys(v.doubt for v in later if v.body is not None and v.doubt))
    steps = steps_of(later, first.body, everything_too=question.everything)
    compare = everything if question.everything else changes
    answer.changes = [_author(steps, change) for change in compare(first.body, last.body)]


def _author(steps: list[Step], change: tuple[Path, Any, Any]) -> FieldChange:
    """The last step that touched the field: it made it what it is."""
    path = change[0]
    for step in reversed(steps):
        for touched, _, _ in step.found:
            short = min(len(touched), len(path))
            if touched[:short] == path[:short]:
                return field_changes(step, [change])[0]
    raise AssertionError(f"{path} differs, and no step touched it")


def _side(version: Version) -> Side:
    return Side(format_us(version.when), version.id, version.how)


def _unknown(versions: list[Version]) -> list[Unknown]:
    """Stretches of versions that no body tells."""
    found: list[Unknown] = []
    hidden = False
    for version in versions:
        if version.body is None and not hidden:
            found.append(Unknown(format_us(version.when), None, version.doubt, version.id))
        elif version.body is not None and hidden:
            found[-1].until = format_us(version.when)
        hidden = version.body is None
    return found


def _deleted(facts: Facts, life: Life, until: int) -> str | None:
    times = [
        r.ts
        for r in facts.requests(life.ref, ("delete",))
        if r.done and not r.subresource and r.ts <= until and life.covers(r.ts, r.uid)
    ]
    times += [
        v.ts for v in facts.versions(life.ref) if v.change == "DELETED" and v.ts <= until and life.covers(v.ts, v.uid)
    ]
    return format_us(min(times)) if times else None
