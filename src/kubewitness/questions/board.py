"""The timeline of many objects at once: which objects something happened to in a window, and what, as marks.

A question reads the window twice: once to count each object's records, once to make marks of the objects shown. When
those are too many to be drawn, marks of one object, source and outcome become one mark for each bin of time.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.names import kind_of_resource
from kubewitness.formats.times import format_us
from kubewitness.questions import marks
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Filter
from kubewitness.questions.marks import (
    OUTCOMES,
    TABLES,
    TYPES,
    USER_KEY,
    USERS_OF,
    MarkTable,
    Part,
    bin_width,
    bin_widths,
    by_minutes,
    in_order,
    parts_of,
    window_of,
)
from kubewitness.questions.targets import object_text

MOST_ROWS = 5_000
MOST_MARKS = 100_000
MOST_BINS = 2_000
#: more marks than these come without the ids of their records
_MOST_IDS = 20_000
#: how often bins are made wider until there are few enough of them
_WIDER = 6

Group = Literal["owner", "node", "user"]


class BoardQuestion(msgspec.Struct):
    """`group`: `user` makes a row of each user; the others of each object, by the names it has in the cluster."""

    filter: Filter
    rows: int = 500
    marks: int = 20_000
    bins: int = 400
    group: Group = "owner"
    reads: bool = False
    #: rows to leave out: those of the pages before
    skip: int = 0


class BoardRow(msgspec.Struct):
    """One object (or user). `key` is how `states` takes it; `owner` and `node` as far as records tell."""

    key: str
    object: str
    cluster: str
    kind: str
    namespace: str
    name: str
    owner: str | None
    node: str | None
    count: int


class Words(msgspec.Struct):
    what: list[str] = msgspec.field(default_factory=list)
    actor: list[str] = msgspec.field(default_factory=list)


class Marks(msgspec.Struct):
    """Columns of equal length, by time. `t`: ms since 1970 UTC, of a bin its beginning; `n`: how many; `what`, `actor`
    (-1: none) are places in the words, of a bin those of one of its records. `id`: the record, "" of a bin."""

    row: list[int] = msgspec.field(default_factory=list)
    t: list[int] = msgspec.field(default_factory=list)
    n: list[int] = msgspec.field(default_factory=list)
    type: list[int] = msgspec.field(default_factory=list)
    outcome: list[int] = msgspec.field(default_factory=list)
    what: list[int] = msgspec.field(default_factory=list)
    actor: list[int] = msgspec.field(default_factory=list)
    id: list[str] = msgspec.field(default_factory=list)


class BoardAnswer(msgspec.Struct):
    """`total` and `objects` are of the whole window, `shown` of these rows. `next`: where the next page begins."""

    since: str | None
    until: str | None
    level: Literal["marks", "bins"] = "marks"
    bin_ms: int = 0
    total: int = 0
    objects: int = 0
    shown: int = 0
    more_rows: bool = False
    next: str | None = None
    types: list[str] = msgspec.field(default_factory=lambda: list(TYPES))
    outcomes: list[str] = msgspec.field(default_factory=lambda: list(OUTCOMES))
    rows: list[BoardRow] = msgspec.field(default_factory=list)
    words: Words = msgspec.field(default_factory=Words)
    marks: Marks = msgspec.field(default_factory=Marks)


class _Row(msgspec.Struct):
    key: int
    count: int
    records: int


def ask(session: Session, question: BoardQuestion) -> BoardAnswer:
    """Rows with the most records first; times left open reach as far as the recording. Raises `UsageError`."""
    if question.group not in ("owner", "node", "user"):
        raise UsageError(f"group {question.group!r}: owner, node or user")
    parts = parts_of(question.filter, reads=question.reads)
    if question.group == "user":
        parts = [p for p in parts if p.marks.type in USERS_OF]
    window = window_of(session, question.filter)
    if window is None or not parts:
        return BoardAnswer(None, None)
    users, width = question.group == "user", bin_width(*window, question.bins)
    kept = by_minutes(session, question.filter, parts, window, width, reads=question.reads, users=users)
    if kept is not None:
        answer = _board(session, question, kept[0], kept[1])
        if answer.level == "bins":
            return answer
    return _board(session, question, in_order(session, question.filter, parts), window)


def prepare(session: Session) -> None:
    """Makes what is kept of large files, so that the first who looks at the timeline does not wait for it."""
    ask(session, BoardQuestion(Filter(), rows=1, marks=1))
    marks.prepare(session)


def _board(session: Session, question: BoardQuestion, parts: list[Part], window: tuple[int, int]) -> BoardAnswer:
    answer = BoardAnswer(format_us(window[0]), format_us(window[1]))
    rows = _count(session, question, parts, answer)
    answer.shown = sum(r.count for r in rows)
    records = sum(r.records for r in rows)
    single = records <= question.marks
    if single and any(p.marks.key == "key" for p in parts):
        return answer  # so few marks are to be had one by one, which minutes do not tell
    if rows:
        answer.rows = _named(session, question, parts, rows)
        if single:
            _single(session, question, parts, rows, answer)
        else:
            _binned(session, question, parts, rows, window, answer)
    return answer


def _key(marks: MarkTable, group: Group) -> str:
    if marks.key == "key":  # of minutes: it is told there
        return marks.key
    return USER_KEY.format(actor=marks.actor) if group == "user" else marks.key


def _listed(rows: list[_Row]) -> str:
    """The rows' keys, as SQL: numbers, which the readers of files compare with what they hold."""
    return ", ".join(str(r.key) for r in rows)


def _union(parts: list[Part], select: str, group: Group, more: str = "", keys: str = "") -> tuple[str, list[Any]]:
    """One SELECT over all parts. `select` may name the fields of a MarkTable, and `key`. `keys`: only these rows."""
    each, params = [], []
    for p in parts:
        key = _key(p.marks, group)
        shown = p.marks.fill(select, key=key)
        only = f"AND {key} IN ({keys})" if keys else ""
        each.append(f"SELECT {shown} FROM {p.marks.table} WHERE {p.where} {only} {more}")  # noqa: S608
        params += p.params
    return " UNION ALL ".join(each), params


def _count(session: Session, question: BoardQuestion, parts: list[Part], answer: BoardAnswer) -> list[_Row]:
    inner, params = _union(parts, "{key} AS key, {count} AS n, {records} AS records", question.group)
    sql = (
        "WITH counted AS MATERIALIZED (SELECT key, sum(n)::BIGINT AS n, sum(records)::BIGINT AS records "  # noqa: S608
        f"FROM ({inner}) WHERE key <> 0 GROUP BY 1) SELECT key, n, records, (SELECT sum(n)::BIGINT FROM counted), "
        "(SELECT count(*) FROM counted) FROM counted "
        f"ORDER BY 3 DESC, 1 LIMIT {int(question.rows)} OFFSET {int(question.skip)}"
    )
    found = session.query(sql, params)
    if found:
        answer.total, answer.objects = int(found[0][3]), int(found[0][4])
        after = question.skip + len(found)
        answer.more_rows = after < answer.objects
        answer.next = str(after) if answer.more_rows else None
    return [_Row(*map(int, values[:3])) for values in found]


# --- what the rows are called -----------------------------------------------------------------------------------------

_NODE_USER = "CASE WHEN resource = 'pods' AND starts_with(\"user\", 'system:node:') THEN substr(\"user\", 13) END"
_OWNER = "CASE WHEN owner_name <> '' THEN owner_kind || '/' || owner_name END"
#: expressions of kind, name, owner and node; the other columns have the same names in every table
_NAMES = {
    "audit": ("NULL", "name", _OWNER, _NODE_USER),
    "events": (
        "kind",
        "object_name",
        "NULL",
        "CASE WHEN resource = 'pods' AND component = 'kubelet' THEN nullif(instance, '') END",
    ),
    "logs": ("'Pod'", "pod", "NULL", "nullif(node, '')"),
    "findings": ("kind", "name", "NULL", "NULL"),
    "objects": ("kind", "name", _OWNER, "NULL"),
    "admission": ("kind", "name", _OWNER, "NULL"),
}
#: tables whose objects have no resource of their own in a column
_RESOURCES = {"logs": ("'pods'", "''"), "findings": ("''", "''")}
_NAMED = (
    "SELECT object_key AS key, any_value(cluster) AS cluster, any_value({resource}) AS resource, "
    "any_value({group}) AS api_group, any_value(nullif({kind}, '')) AS kind, any_value(namespace) AS namespace, "
    "any_value({name}) AS name, any_value({owner}) AS owner, any_value({node}) AS node"
)


def _named(session: Session, question: BoardQuestion, parts: list[Part], rows: list[_Row]) -> list[BoardRow]:
    if question.group == "user":
        return _users(session, parts, rows)
    keys = _listed(rows)  # a name is that of its key, whatever else is asked for
    each = []
    for table in (TABLES[p.marks.type].table for p in parts):
        kind, name, owner, node = _NAMES[table]
        resource, group = _RESOURCES.get(table, ("resource", "api_group"))
        select = _NAMED.format(resource=resource, group=group, kind=kind, name=name, owner=owner, node=node)
        kept = session.summary(table, f"{select} FROM {{source}} WHERE object_key <> 0 GROUP BY 1")
        if kept is not None:
            each.append(f"SELECT * FROM {kept} WHERE key IN ({keys})")  # noqa: S608
        else:
            each.append(f"{select} FROM {table} WHERE object_key IN ({keys}) GROUP BY 1")
    names = ("cluster", "resource", "api_group", "kind", "namespace", "name", "owner", "node")
    shown = ", ".join(f"any_value({n})" for n in names)
    sql = f"SELECT key, {shown} FROM ({' UNION ALL '.join(each)}) GROUP BY 1"  # noqa: S608
    found = {int(values[0]): values[1:] for values in session.query(sql)}
    return [_row(r, found.get(r.key, ("",) * 8)) for r in rows]


def _row(r: _Row, values: tuple[Any, ...]) -> BoardRow:
    cluster, resource, group, kind, namespace, name, owner, node = values
    kind = kind or (kind_of_resource(resource or "", group or "") if resource else "")
    space = "" if kind == "Namespace" else namespace or ""
    if owner:
        owner_kind, _, owner_name = owner.partition("/")
        owner = object_text(owner_kind, space, owner_name)
    return BoardRow(
        "/".join((cluster, kind, space, name or "")),
        object_text(kind, space, name),
        cluster,
        kind,
        space,
        name or "",
        owner,
        node,
        r.count,
    )


def _users(session: Session, parts: list[Part], rows: list[_Row]) -> list[BoardRow]:
    inner, params = _union(
        parts, "{key} AS key, any_value(cluster) AS cluster, any_value({actor}) AS actor", "user", "GROUP BY 1"
    )
    sql = f"SELECT key, any_value(cluster), any_value(actor) FROM ({inner}) GROUP BY 1"  # noqa: S608
    found = {int(k): (c, a or "") for k, c, a in session.query(sql, params)}
    answer = []
    for r in rows:
        cluster, user = found[r.key]
        answer.append(
            BoardRow(f"{cluster}/User//{user}", f"User//{user}", cluster, "User", "", user, None, None, r.count)
        )
    return answer


# --- marks ------------------------------------------------------------------------------------------------------------


def _single(
    session: Session, question: BoardQuestion, parts: list[Part], rows: list[_Row], answer: BoardAnswer
) -> None:
    ids = "{id}" if sum(r.records for r in rows) <= _MOST_IDS else "''"
    select = "{key} AS key, {time} AS t, {count} AS n, {type} AS type, {outcome} AS outcome, {what}, {actor}, " + ids
    inner, params = _union(parts, select, question.group, keys=_listed(rows))
    _add(answer, rows, session.query(f"SELECT * FROM ({inner}) ORDER BY t", params))  # noqa: S608


def _binned(
    session: Session,
    question: BoardQuestion,
    parts: list[Part],
    rows: list[_Row],
    window: tuple[int, int],
    answer: BoardAnswer,
) -> None:
    """At most so many marks: of the bins' widths, all multiples of the first, the least that gives so few."""
    answer.level = "bins"
    widths = bin_widths(*window, [question.bins // 4**n for n in range(_WIDER)])
    fine = widths[0]
    select = (
        f"{{key}} AS key, {{time}} // {fine} * {fine} AS t, sum({{count}})::BIGINT AS n, {{type}} AS type, "
        "{outcome} AS outcome, any_value({what}) AS what, any_value({actor}) AS actor"
    )
    inner, params = _union(parts, select, question.group, "GROUP BY 1, 2, 5", _listed(rows))
    many = [f"(SELECT count(*) FROM (SELECT DISTINCT key, t // {w}, type, outcome FROM fine))" for w in widths[1:-1]]  # noqa: S608
    cases = ["(SELECT count(*) FROM fine)", *many][: len(widths) - 1]
    chosen = " ".join(
        f"WHEN {n} <= {int(question.marks)} THEN {w}::BIGINT" for n, w in zip(cases, widths, strict=False)
    )
    width = f"CASE {chosen} ELSE {widths[-1]}::BIGINT END" if chosen else f"{fine}::BIGINT"
    sql = (
        f"WITH fine AS MATERIALIZED ({inner}), chosen AS MATERIALIZED (SELECT {width} AS w) "  # noqa: S608
        "SELECT key, t // w * w AS t, sum(n)::BIGINT, type, outcome, any_value(what), any_value(actor), '', w "
        f"FROM fine, chosen GROUP BY 1, 2, type, outcome, w ORDER BY t LIMIT {int(question.marks)}"
    )
    found = session.query(sql, params)
    answer.bin_ms = int(found[0][8]) // 1000 if found else fine // 1000
    _add(answer, rows, [values[:8] for values in found])


def _add(answer: BoardAnswer, rows: list[_Row], found: list[tuple[Any, ...]]) -> None:
    places = {r.key: i for i, r in enumerate(rows)}
    whats: dict[str, int] = {}
    actors: dict[str, int] = {}
    m = answer.marks
    for key, t, n, kind, outcome, what, actor, ident in found:
        m.row.append(places[key])
        m.t.append(t // 1000)
        m.n.append(int(n))
        m.type.append(kind)
        m.outcome.append(outcome)
        m.what.append(whats.setdefault(what or "", len(whats)))
        m.actor.append(actors.setdefault(actor, len(actors)) if actor else -1)
        m.id.append(ident)
    answer.words = Words(list(whats), list(actors))
