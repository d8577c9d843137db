"""Records by any field and text, newest first."""

from __future__ import annotations

import heapq

import msgspec

from kubewitness.questions.facts import RawPointer, Session
from kubewitness.questions.filters import Filter, tables_for, where
from kubewitness.questions.model import TimelineRow


class SearchQuestion(msgspec.Struct):
    filter: Filter
    limit: int = 100
    #: oldest first instead of newest first
    ascending: bool = False
    #: with the records' original bytes
    raw: bool = False


class SearchAnswer(msgspec.Struct):
    rows: list[TimelineRow]
    #: original bytes, one a row, when they were asked for
    raws: list[bytes] = msgspec.field(default_factory=list)
    #: whether there are more rows than the limit
    more: bool = False


def ask(session: Session, question: SearchQuestion) -> SearchAnswer:
    """The newest matches of all tables that have every field asked for."""
    order = "ASC" if question.ascending else "DESC"
    found: list[tuple[int, TimelineRow, RawPointer]] = []
    for view in tables_for(question.filter.conditions):
        condition, params = where(view, question.filter)
        sql = (
            f"SELECT {view.select}, raw_seg, raw_frame, raw_off, raw_len FROM {view.table} "  # noqa: S608
            f"WHERE {condition} ORDER BY ts {order} LIMIT {int(question.limit) + 1}"
        )
        for values in session.query(sql, params):
            row = view.rows([values[:-4]])[0]
            found.append((int(values[0]), row, tuple(values[-4:])))
    pick = heapq.nsmallest if question.ascending else heapq.nlargest
    chosen = pick(question.limit, found, key=lambda f: f[0])
    raws = session.raw([pointer for _, _, pointer in chosen]) if question.raw else []
    return SearchAnswer([row for _, row, _ in chosen], raws, len(found) > len(chosen))
