"""The log lines of an object around a time, in pages to both sides: of a pod its containers', of a node what was logged
on it, of a workload those of the pods that it owned, of a namespace those of all its pods.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from kubewitness.errors import UsageError
from kubewitness.questions.facts import Facts, Session
from kubewitness.questions.filters import Filter, tables_for, where
from kubewitness.questions.model import TimelineRow
from kubewitness.questions.targets import Ref
from kubewitness.questions.timeline import related
from kubewitness.questions.views import VIEWS
from kubewitness.questions.who.case import Case

MOST_LINES = 2_000
#: pods of a workload that a filter names one by one; more are named by the beginning of their names
_MOST_NAMED = 40
#: lines without times of their own share one: their place in the file keeps them in order, and apart
_PLACE_COLUMNS = ("epoch_us(ts)", "coalesce(\"file\", '')", 'coalesce("offset", -1)', "coalesce(record_key, ''::BLOB)")
_PLACE = ", ".join(_PLACE_COLUMNS)
_Values = tuple[Any, ...]


class Edge(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ends: its outermost line. `at` is microseconds UTC."""

    at: int
    file: str = ""
    offset: int = -1
    key: bytes = b""

    @property
    def text(self) -> str:
        """The cursor as clients see it: opaque."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def edge_of(text: str) -> Edge | None:
    """The edge of a cursor; None of an empty one. Raises `UsageError` for what is none."""
    if not text:
        return None
    try:
        edge = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Edge)
        if not (0 <= edge.at < 1 << 60 and -1 <= edge.offset < 1 << 62):
            raise ValueError
        return edge
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, ValueError):
        raise UsageError("older, newer: not a cursor that an answer gave; ask without it") from None


class LogsQuestion(msgspec.Struct):
    """Half of `limit` lines before `at` (microseconds UTC), half from then on; without `at` the newest. `older`,
    `newer`: go on where a page ended."""

    ref: Ref
    filter: Filter
    at: int | None = None
    older: Edge | None = None
    newer: Edge | None = None
    limit: int = 200


class LogsAnswer(msgspec.Struct):
    """`rows` oldest first. `older` and `newer` are the pages beside it; null where there was nothing more. `words`: a
    filter for the same lines, as `search` and `tail` take it. `pods`: whose lines a workload's are."""

    object: str
    rows: list[TimelineRow]
    older: str | None
    newer: str | None
    words: list[str]
    pods: list[str] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)


def ask(session: Session, question: LogsQuestion) -> LogsAnswer:
    """Raises `UsageError` for a filter by what lines do not have."""
    if not any(view.table == "logs" for view in tables_for(question.filter.conditions)):
        names = ", ".join(sorted(VIEWS["logs"].fields))
        raise UsageError(f"q: log lines can be narrowed by text and by {names}")
    scope = _Scope(session, question.ref)
    lines = _Lines(session, scope, question.filter)
    limit, at = question.limit, question.at
    old: list[_Values] = []
    new: list[_Values] = []
    older = newer = True
    if question.newer is not None:
        new, newer = lines.after(question.newer, limit)
    elif question.older is not None:
        old, older = lines.before(question.older, limit)
    elif at is None:
        old, older = lines.before(None, limit)
        newer = False
    else:
        old, older = lines.before(Edge(at), limit - limit // 2)
        new, newer = lines.after(Edge(at), limit // 2)
    found = [*reversed(old), *new]
    return LogsAnswer(
        str(question.ref),
        VIEWS["logs"].rows(found),
        _edge(found[0]).text if older and found else None,
        _edge(found[-1]).text if newer and found else None,
        scope.words,
        scope.pods,
        [] if found else [_missing(question.ref)],
    )


class _Scope:
    """Which lines are an object's, as a condition, and as words of a filter."""

    def __init__(self, session: Session, ref: Ref) -> None:
        self.where = ["cluster = ?"]
        self.params: list[Any] = [ref.cluster]
        self.pods: list[str] = []
        self.words = ["source=log", f"cluster={ref.cluster}"]
        if ref.resource == "pods":
            self._add(["object_key = ?", "namespace = ?", "pod = ?"], [ref.key, ref.namespace, ref.name])
            self.words += [f"namespace={ref.namespace}", f"pod={ref.name}"]
        elif ref.resource == "nodes":
            self._add(["node = ?"], [ref.name])
            self.words.append(f"node={ref.name}")
        elif ref.resource == "namespaces":
            self._add(["namespace = ?"], [ref.name])
            self.words.append(f"namespace={ref.name}")
        else:
            self._add_workload(session, ref)

    def _add(self, where: list[str], params: list[Any]) -> None:
        self.where += where
        self.params += params

    def _add_workload(self, session: Session, ref: Ref) -> None:
        """Its pods, as records of the cluster tell them; lines that carry their owner's name tell it themselves."""
        pods = [r for r in related(Case(Facts(session, ref.cluster)), ref) if r.resource == "pods" and r.name]
        self.pods = sorted({r.name for r in pods})
        owned = "(owner_kind = ? AND owner_name = ?)"
        marks = ", ".join("?" * len(pods))
        mine = f"(object_key IN ({marks}) OR {owned})" if pods else owned
        self._add(["namespace = ?", mine], [ref.namespace, *(r.key for r in pods), ref.kind_name, ref.name])
        few = 0 < len(self.pods) <= _MOST_NAMED
        self.words += [f"namespace={ref.namespace}", f"pod={','.join(self.pods) if few else f'{ref.name}-*'}"]


class _Lines:
    """Pages of lines to one side of a place."""

    def __init__(self, session: Session, scope: _Scope, asked: Filter) -> None:
        condition, params = where(VIEWS["logs"], asked)
        self._where = [*scope.where, condition]
        self._params = [*scope.params, *params]
        self._session = session

    def before(self, edge: Edge | None, limit: int) -> tuple[list[_Values], bool]:
        """(lines before the edge, newest first, whether there are more); the newest of all without one."""
        return self._page("<", "DESC", edge, limit)

    def after(self, edge: Edge, limit: int) -> tuple[list[_Values], bool]:
        """(lines after the edge, oldest first, whether there are more). A bare time comes before all lines of it."""
        return self._page(">", "ASC", edge, limit)

    def _page(self, compare: str, order: str, edge: Edge | None, limit: int) -> tuple[list[_Values], bool]:
        conditions, params = list(self._where), list(self._params)
        if edge is not None:
            conditions += [f"ts {compare}= make_timestamp(?)", f"({_PLACE}) {compare} (?, ?, ?, ?)"]
            params += [edge.at, edge.at, edge.file, edge.offset, edge.key]
        by = ", ".join(f"{column} {order}" for column in ("ts", *_PLACE_COLUMNS[1:]))
        sql = (
            f"SELECT {VIEWS['logs'].select} FROM logs WHERE {' AND '.join(conditions)} "  # noqa: S608
            f"ORDER BY {by} LIMIT {int(limit) + 1}"
        )
        found = self._session.query(sql, params)
        return found[:limit], len(found) > limit


def _edge(values: _Values) -> Edge:
    """By the columns of `VIEWS["logs"]`."""
    line = dict(zip(VIEWS["logs"].columns, values, strict=True))
    offset = line["offset"]
    return Edge(
        int(line["ts"]), line["file"] or "", -1 if offset is None else int(offset), bytes(line["record_key"] or b"")
    )


def _missing(ref: Ref) -> str:
    if ref.resource == "nodes":
        return f"log lines of node {ref.name}: an input that reads its journal or its files, and names the node"
    return f"log lines of {ref.said()}: an input that reads its containers' log files, or an import of them"
