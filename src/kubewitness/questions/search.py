"""Records by any field and text, newest first."""

from __future__ import annotations

import heapq

import msgspec

from kubewitness.errors import UsageError
from kubewitness.questions import auditrows, coverage
from kubewitness.questions.factrows import pointer_of
from kubewitness.questions.facts import Facts, RawPointer, Session
from kubewitness.questions.filters import Filter, asks_for_stages, tables_for, where
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.paging import BY_KEY, Place, place_at
from kubewitness.questions.views import View

_NOWHERE: RawPointer = (0, 0, 0, 0)
#: where it stands, its line, its original bytes
_Found = tuple[Place, TimelineRow, RawPointer]


class SearchQuestion(msgspec.Struct):
    filter: Filter
    limit: int = 100
    #: oldest first instead of newest first
    ascending: bool = False
    #: with the records' original bytes
    raw: bool = False
    #: where the page before ended; newest first only
    place: Place | None = None


class SearchAnswer(msgspec.Struct):
    rows: list[TimelineRow]
    #: original bytes, one a row, when they were asked for
    raws: list[bytes] = msgspec.field(default_factory=list)
    #: whether there are more rows than the limit
    more: bool = False
    #: where the next page begins, when there is one; newest first only
    next: Place | None = None


def ask(session: Session, question: SearchQuestion) -> SearchAnswer:
    """The newest matches of all tables that have every field asked for. The stages of a request are one row, unless
    they themselves are asked for: with `raw`, a stage, an id or an auditID."""
    apart = question.raw or asks_for_stages(question.filter.conditions)
    if question.ascending and question.place is not None:
        raise UsageError("pages begin with the newest; ask without a cursor for the oldest")
    found: list[_Found] = []
    more = False
    for view in tables_for(question.filter.conditions):
        if view.table == "audit" and not apart:
            rows, cut = _operations(session, view, question)
            found += rows
            more = more or cut
        else:
            found += _records(session, view, question)
    if question.ascending:
        chosen = heapq.nsmallest(question.limit, found, key=lambda f: f[0].at)
    else:
        chosen = heapq.nsmallest(question.limit, found, key=lambda f: f[0].order)
    more = more or len(found) > len(chosen)
    onward = chosen[-1][0] if more and chosen and not question.ascending else None
    if not question.raw:  # a session is shown at its beginning
        chosen.sort(key=lambda f: f[1].when, reverse=not question.ascending)
    raws = session.raw([pointer for _, _, pointer in chosen]) if question.raw else []
    return SearchAnswer([row for _, row, _ in chosen], raws, more, onward)


def _records(session: Session, view: View, question: SearchQuestion) -> list[_Found]:
    condition, params = where(view, question.filter)
    if question.place is not None:
        clause, more = question.place.beyond(view.table)
        condition, params = f"{condition} AND {clause}", [*params, *more]
    order = "ASC" if question.ascending else "DESC"
    sql = (
        f"SELECT {view.select}, record_key, raw_seg, raw_frame, raw_off, raw_len FROM {view.table} "  # noqa: S608
        f"WHERE {condition} ORDER BY ts {order}, {BY_KEY} LIMIT {int(question.limit) + 1}"
    )
    values = session.query(sql, params)
    return [(place_at(v[0], view.table, v[-5]), view.rows([v[:-5]])[0], pointer_of(v[-4:])) for v in values]


def _operations(session: Session, view: View, question: SearchQuestion) -> tuple[list[_Found], bool]:
    condition, params = where(view, question.filter)
    rows, more = auditrows.fetch(
        session,
        [condition],
        params,
        question.limit,
        ascending=question.ascending,
        ends=True,
        place=question.place,
        widely=True,
    )
    recorded = {}
    for cluster in {r.cluster for r in rows}:
        began = auditrows.began_open(r for r in rows if r.cluster == cluster)
        recorded[cluster] = coverage.unbroken(Facts(session, cluster), began)
    return [(r.place, auditrows.line(r, (), recorded[r.cluster]), _NOWHERE) for r in rows], more
