"""The most frequent values of a field."""

from __future__ import annotations

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.times import format_us
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Condition, Filter, asks_for_stages, check_field, tables_for, where
from kubewitness.questions.operations import COMPLETE, LONG_RUNNING, PANIC, STARTED
from kubewitness.questions.views import View

_LISTS = frozenset({"groups", "claimed_ips"})
#: what ended, and as many sessions as have begun more often than ended: those are open. No record is read twice for it
_EACH_REQUEST_ONCE = (
    "(coalesce(sum(c) FILTER (course IN (0, 2)), 0) + "
    "greatest(0, coalesce(sum(c) FILTER (course = 1), 0) - coalesce(sum(c) FILTER (course = 2), 0)))"
)


class TopQuestion(msgspec.Struct):
    field: str
    filter: Filter
    limit: int = 20


class TopRow(msgspec.Struct):
    value: str
    count: int
    first: str
    last: str


class TopAnswer(msgspec.Struct):
    field: str
    #: the table that was counted; `source=events` picks another
    source: str
    rows: list[TopRow]


def ask(session: Session, question: TopQuestion) -> TopAnswer:
    """Counts one table: the one named by `source`, else the first that has the field. An Event counts as often as it
    happened since the version before. Raises `UsageError` when no table has all the fields."""
    check_field(question.field)
    if question.field in ("id", "time"):
        raise UsageError(f"top {question.field}: every record has its own; ask for another field")
    view, column = _table(question)
    condition, params = where(view, question.filter)
    value = f'unnest("{column}")' if column in _LISTS else f'"{column}"'
    count = "coalesce(count_delta, 1)" if view.table == "events" else "1"
    extra = ", coalesce(api_group, '') AS g" if column == "resource" and question.field == "kind" else ", '' AS g"
    counted = "sum(c)"
    course = "0"
    if view.table == "audit" and not asks_for_stages([*question.filter.conditions, Condition(question.field, "=", "")]):
        counted, course = _EACH_REQUEST_ONCE, _course(question.filter.since)
    sql = (
        f"SELECT v, g, {counted}::BIGINT, epoch_us(min(ts)), epoch_us(max(ts)) FROM "  # noqa: S608
        f"(SELECT {value} AS v{extra}, {count} AS c, ts, {course} AS course FROM {view.table} WHERE {condition}) "
        f"WHERE v IS NOT NULL AND CAST(v AS VARCHAR) <> '' GROUP BY 1, 2 HAVING {counted} > 0 "
        f"ORDER BY 3 DESC, 1 LIMIT {int(question.limit)}"
    )
    rows = []
    for v, group, total, first, last in session.query(sql, params):
        name = kind_of_resource(str(v), str(group)) if question.field == "kind" and column == "resource" else str(v)
        rows.append(TopRow(name, int(total), format_us(int(first)), format_us(int(last))))
    return TopAnswer(question.field, view.table, rows)


def _course(since: int | None) -> str:
    """1 for the beginning of a session (or of what was refused as one), 2 for its end, 0 for all else. Where a session
    began before the time asked for, its end counts as any request (0), and the rest of it does not count (3)."""
    early = f"received_ts < make_timestamp({int(since)})" if since is not None else "false"
    sessions = ", ".join(f"'{s}'" for s in LONG_RUNNING)
    return (
        f"CASE WHEN stage = '{STARTED}' THEN CASE WHEN {early} THEN 3 ELSE 1 END "
        f"WHEN stage IN ('{COMPLETE}', '{PANIC}') AND (verb = 'watch' OR subresource IN ({sessions})) AND NOT {early} "
        "THEN 2 ELSE 0 END"
    )


def _table(question: TopQuestion) -> tuple[View, str]:
    for view in tables_for(question.filter.conditions):
        column = view.fields.get(question.field)
        if column is None and question.field == "kind":
            column = view.fields.get("resource")
        if column is None and question.field == "source":
            column = "source"
        if column is not None:
            return view, column
    names = ", ".join(_spelled(c) for c in question.filter.conditions)
    raise UsageError(
        f"no source has {question.field!r}{f' together with {names}' if names else ''}; docs/search.md lists them"
    )


def _spelled(c: Condition) -> str:
    return f"{c.field}{c.operator}{c.value}"
