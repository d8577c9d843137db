"""The versions of an object that are known, oldest first: who made each, and how it is known."""

from __future__ import annotations

import msgspec

from kubewitness.formats.times import format_us
from kubewitness.questions import coverage
from kubewitness.questions.bodies import meta
from kubewitness.questions.facts import Facts, Session
from kubewitness.questions.lives import choose, lives_of
from kubewitness.questions.rebuild import Version, versions_of
from kubewitness.questions.targets import Ref

_FOREVER = 1 << 62
_DONE = {"create": "created", "update": "updated", "patch": "patched", "delete": "deleted"}


class RevisionsQuestion(msgspec.Struct):
    ref: Ref
    uid: str | None = None
    #: with writes of its status
    status: bool = False


class Revision(msgspec.Struct):
    """`how`: created, updated, patched, applied, deleted, or watched (no request is known). `known`: as `diff` says it
    (answer, watch, asked, rebuilt, unknown); `exact`: whether this is the object as it was."""

    when: str
    id: str
    how: str
    known: str
    exact: bool
    resource_version: str | None
    user: str | None
    acting_as: str | None
    manager: str | None
    action: str
    doubt: str | None = None


class RevisionsAnswer(msgspec.Struct):
    """`lives`: uids of all objects that had this name, oldest first."""

    object: str
    uid: str | None
    revisions: list[Revision] = msgspec.field(default_factory=list)
    lives: list[str] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)


def ask(session: Session, question: RevisionsQuestion) -> RevisionsAnswer:
    facts = Facts(session, question.ref.cluster)
    lives = lives_of(facts, question.ref)
    life = choose(lives, uid=question.uid, at=None, gone=False)
    if life is None:
        near = coverage.near_names(facts, question.ref)
        notes = [*([f"near names: {', '.join(near)}"] if near else []), *coverage.told(facts)]
        return RevisionsAnswer(str(question.ref), None, notes=notes)
    versions = versions_of(facts, life, _FOREVER, status=question.status)
    return RevisionsAnswer(
        str(question.ref), life.uid or None, [_revision(v) for v in versions], [x.uid for x in lives if x.uid]
    )


def _revision(v: Version) -> Revision:
    request = v.request
    how = "watched"
    if request is not None:
        applied = request.verb == "patch" and "fieldManager=" in request.uri and "force=" in request.uri
        how = "applied" if applied else _DONE.get(request.verb, request.verb)
    return Revision(
        format_us(v.when),
        v.id,
        how,
        v.how,
        v.whole and not v.doubt,
        meta(v.body, "resourceVersion") or (request.resource_version if request else None) or None,
        (request.user or None) if request else None,
        (request.acting_as or None) if request else None,
        _manager(v),
        request.action if request else "watched",
        v.doubt or None,
    )


def _manager(v: Version) -> str | None:
    """The field manager of the newest entry of managedFields."""
    entries = meta(v.body, "managedFields")
    named = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    newest = max(named, key=lambda e: str(e.get("time") or ""), default=None)
    return str(newest.get("manager")) if newest and newest.get("manager") else None
