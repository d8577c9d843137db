"""The most frequent values of a field."""

from __future__ import annotations

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.times import format_us
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Condition, Filter, asks_for_stages, check_field, tables_for, where
from kubewitness.questions.operations import COMPLETE, PANIC, STARTED
from kubewitness.questions.views import View

_LISTS = frozenset({"groups", "claimed_ips"})


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
    columns = f"{value} AS v{extra}, {count} AS c, ts"
    asked = [*question.filter.conditions, Condition(question.field, "=", "")]
    counted, times = f"SELECT {columns} FROM {view.table} WHERE {condition}", 1  # noqa: S608
    if view.table == "audit" and not asks_for_stages(asked):
        counted, times = _each_request_once(columns, condition)
    sql = (
        "SELECT v, g, sum(c)::BIGINT, epoch_us(min(ts)), epoch_us(max(ts)) "  # noqa: S608
        f"FROM ({counted}) WHERE v IS NOT NULL AND CAST(v AS VARCHAR) <> '' "
        f"GROUP BY 1, 2 ORDER BY 3 DESC, 1 LIMIT {int(question.limit)}"
    )
    rows = []
    for v, group, total, first, last in session.query(sql, params * times):
        name = kind_of_resource(str(v), str(group)) if question.field == "kind" and column == "resource" else str(v)
        rows.append(TopRow(name, int(total), format_us(int(first)), format_us(int(last))))
    return TopAnswer(question.field, view.table, rows)


def _each_request_once(columns: str, condition: str) -> tuple[str, int]:
    """The rows to count, and how often the condition stands in that: the beginning of a session counts while no end of
    it is there. The two are told together by what is cheap to read: no two requests of one moment are looked for."""
    key = "cluster, verb, received_ts"
    ends = f"SELECT {key} FROM audit WHERE {condition} AND stage IN ('{COMPLETE}', '{PANIC}')"  # noqa: S608
    begins = f"SELECT {columns}, {key} FROM audit WHERE {condition} AND stage = '{STARTED}'"  # noqa: S608
    still_open = f"SELECT v, g, c, ts FROM ({begins}) ANTI JOIN ({ends}) USING ({key})"  # noqa: S608
    return f"SELECT {columns} FROM audit WHERE {condition} AND stage <> '{STARTED}' UNION ALL {still_open}", 3  # noqa: S608


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
