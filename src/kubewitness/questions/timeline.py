"""Everything known about one object, in order: audit, Events, watched versions, admission reviews, logs."""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions import coverage, deeds
from kubewitness.questions.facts import Facts, Session, Window
from kubewitness.questions.lives import choose
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.paging import BY_KEY, Place, place_at
from kubewitness.questions.targets import Ref
from kubewitness.questions.views import VIEWS
from kubewitness.questions.who.case import Case

_TABLES = ("events", "objects", "findings")
#: how far apart the relations are followed: Deployment -> ReplicaSet -> Pod
_DEPTH = 3
_MOST_RELATED = 200


class TimelineQuestion(msgspec.Struct):
    ref: Ref
    related: bool = False
    uid: str | None = None
    since: int | None = None
    until: int | None = None
    #: reads (get, list, watch) are left out unless asked for
    reads: bool = False
    limit: int = 5000
    #: where the page before, of newer rows, ended
    place: Place | None = None


class TimelineAnswer(msgspec.Struct):
    rows: list[TimelineRow]
    more: bool = False
    #: when nothing was found: near names and what was recorded
    hints: list[str] = msgspec.field(default_factory=list)
    #: where the page of older rows begins, when there is one
    next: Place | None = None


def ask(session: Session, question: TimelineQuestion) -> TimelineAnswer:
    """The newest `limit` rows, oldest first."""
    ref, place = question.ref, question.place
    case = Case(Facts(session, ref.cluster, Window(question.since, question.until)))
    refs = [ref, *related(case, ref)] if question.related else [ref]
    keys = sorted({r.key for r in refs} | {_inner(r).key for r in refs if r.resource == "namespaces"})
    window = _window(case, question)
    found = deeds.of(case.facts, keys, window, question.limit, reads=question.reads, place=place)
    for table in _TABLES:
        found += _rows(session, table, keys, window, question)
    if ref.resource == "pods":
        found += _logs(session, ref, window, question)
    found.sort(key=lambda f: f[0].order)
    shown = found[: question.limit]
    rows = sorted((row for _, row in reversed(shown)), key=lambda row: row.when)  # sessions at their beginning
    hints = [] if rows else _hints(case, ref)
    more = len(found) > len(rows)
    return TimelineAnswer(rows, more, hints, shown[-1][0] if more else None)


def _window(case: Case, question: TimelineQuestion) -> Window:
    """With a uid, only the life of that object."""
    asked = Window(question.since, question.until)
    if not question.uid:
        return asked
    life = choose(case.lives(question.ref), uid=question.uid, at=None, gone=False)
    if life is None:
        return Window(1, 0)
    return asked.clip(life.first if life.born else None, life.next_first - 1 if life.next_first else None)


def _rows(
    session: Session, table: str, keys: list[int], window: Window, question: TimelineQuestion
) -> list[tuple[Place, TimelineRow]]:
    where = [f"object_key IN ({', '.join('?' * len(keys))})"]
    if table == "events":
        where.append("change <> 'EXPIRED'")
    return _newest(session, table, where, [*keys], window, question)


def _logs(session: Session, ref: Ref, window: Window, question: TimelineQuestion) -> list[tuple[Place, TimelineRow]]:
    where, params = ["cluster = ?", "namespace = ?", "pod = ?"], [ref.cluster, ref.namespace, ref.name]
    return _newest(session, "logs", where, params, window, question)


def _newest(
    session: Session, table: str, where: list[str], params: list[Any], window: Window, question: TimelineQuestion
) -> list[tuple[Place, TimelineRow]]:
    """A table's newest rows after the question's place: one more than are asked for tells that there are more."""
    view = VIEWS[table]
    window.conditions(where, params)
    if question.place is not None:
        clause, values = question.place.beyond(table)
        where, params = [*where, clause], [*params, *values]
    sql = (
        f"SELECT {view.select}, record_key FROM {table} WHERE {' AND '.join(where)} "  # noqa: S608
        f"ORDER BY ts DESC, {BY_KEY} LIMIT {int(question.limit) + 1}"
    )
    return [(place_at(v[0], table, v[-1]), view.rows([v[:-1]])[0]) for v in session.query(sql, params)]


def related(case: Case, ref: Ref) -> list[Ref]:
    """The object's owners, what it owns (three steps down), and a pod's node."""
    found: dict[Ref, None] = {}
    current = ref
    for _ in range(_DEPTH):
        owned = case.owner(current, case.life(current))
        if owned is None:
            break
        current = owned[0]
        found[current] = None
    if ref.resource == "pods":
        place = case.node_of(ref, case.life(ref))
        if place is not None:
            found[Ref(ref.cluster, "", "nodes", "", place[0], "Node")] = None
    level = [ref]
    for _ in range(_DEPTH):
        level = [child for parent in level for child in _owned(case, parent)][:_MOST_RELATED]
        found.update(dict.fromkeys(level))
    found.pop(ref, None)
    return list(found)


def _owned(case: Case, ref: Ref) -> list[Ref]:
    where, params = (
        ["cluster = ?", "namespace = ?", "owner_name = ?", "owner_kind = ?", "name <> ''"],
        [
            ref.cluster,
            ref.namespace,
            ref.name,
            ref.kind_name,
        ],
    )
    case.facts.window.conditions(where, params)
    sql = (
        f"SELECT DISTINCT coalesce(api_group, ''), resource, name FROM audit WHERE {' AND '.join(where)} "  # noqa: S608
        f"AND coalesce(subresource, '') = '' LIMIT {_MOST_RELATED}"
    )
    return [Ref(ref.cluster, g, r, ref.namespace, n) for g, r, n in case.facts.session.query(sql, params)]


def _inner(ref: Ref) -> Ref:
    return Ref(ref.cluster, ref.group, ref.resource, ref.name, ref.name)


def _hints(case: Case, ref: Ref) -> list[str]:
    near = coverage.near_names(case.facts, ref)
    return ([f"near names: {', '.join(near)}"] if near else []) + coverage.told(case.facts)
