"""Records as marks on a timeline: one SELECT a table that says when, on which object, what, by whom, and how it ended.

Counting and drawing millions of records goes through these: integers wherever possible, texts only for what is shown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Filter, asks_for_stages, tables_for, where
from kubewitness.questions.operations import SESSIONS, STARTED
from kubewitness.questions.views import VIEWS, View

#: what a mark is of, and how it ended; answers give places in these
TYPES = ("request", "event", "log", "finding", "object", "admission")
OUTCOMES = ("ok", "refused", "failed", "warning", "error")
#: the types of which marks are a user's deeds
USERS_OF = (0, 5)
_OK, _REFUSED, _FAILED, _WARNING, _ERROR = range(5)

#: what is written all the time and tells nothing of an object: heartbeats, Events as objects, questions about rights
CHATTER = (
    *("leases", "events", "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews"),
    *("localsubjectaccessreviews", "selfsubjectreviews", "selfsubjectrulesreviews"),
)
_SESSIONS = ", ".join(f"'{s}'" for s in SESSIONS)
_CHATTER = ", ".join(f"'{r}'" for r in CHATTER)
_SEVERE = "('error', 'fatal', 'critical', 'crit', 'alert', 'emerg', 'emergency', 'panic', 'severe')"

#: sessions are marked where they begin and where they end; requests for no resource have no object
_REQUESTS = f"(stage <> '{STARTED}' OR code >= 400 OR subresource IN ({_SESSIONS})) AND object_key <> 0"
#: reads that changed nothing; those that were refused, of secrets, and sessions stay
_NO_READS = (
    f"(code >= 400 OR (verb NOT IN ('get', 'list', 'watch') AND resource NOT IN ({_CHATTER})) "
    f"OR resource = 'secrets' OR subresource IN ('proxy', {_SESSIONS}))"
)


class MarkTable(msgspec.Struct, frozen=True):
    """How one table's rows become marks; SQL expressions over its columns."""

    table: str
    #: place in `TYPES`
    type: int
    outcome: str
    what: str
    actor: str
    count: str
    #: the evidence id
    id: str
    condition: str = "true"
    #: microseconds UTC, and how many records a row is of
    time: str = "epoch_us(ts)"
    records: str = "1"
    key: str = "object_key"

    @property
    def view(self) -> View:
        return VIEWS[self.table]

    def fill(self, select: str, **more: str) -> str:
        """A SELECT's text with this table's expressions in the places of their names."""
        given = {
            name: str(getattr(self, name)) for name in self.__struct_fields__ if name not in ("table", "condition")
        }
        return select.format_map(given | more)


TABLES = (
    MarkTable(
        "audit",
        0,
        f"CASE WHEN code >= 500 THEN {_FAILED} WHEN code >= 400 THEN {_REFUSED} ELSE {_OK} END",
        "CASE WHEN coalesce(subresource, '') = '' THEN verb ELSE verb || ' ' || resource || '/' || subresource END",
        '"user"',
        "1",
        "'audit:' || cluster || '/' || audit_id || '/' || stage",
        _REQUESTS,
    ),
    MarkTable(
        "events",
        1,
        f"CASE WHEN type = 'Warning' THEN {_WARNING} ELSE {_OK} END",
        "reason",
        "component",
        "coalesce(count_delta, 1)",
        "'event:' || cluster || '/' || uid || '@' || resource_version",
        "change <> 'EXPIRED'",
    ),
    MarkTable(
        "logs",
        2,
        f"CASE WHEN severity IN {_SEVERE} THEN {_ERROR} ELSE {_OK} END",
        "severity",
        "container",
        "1",
        "'log:' || cluster || '/' || lower(hex(record_key)) || ':' || \"offset\"",
        "pod <> ''",
    ),
    MarkTable(
        "findings",
        3,
        f"CASE WHEN severity IN ('high', 'critical') THEN {_ERROR} ELSE {_WARNING} END",
        "rule",
        "actor",
        "1",
        "'finding:' || cluster || '/' || lower(hex(record_key))",
    ),
    MarkTable(
        "objects",
        4,
        str(_OK),
        "lower(change)",
        "''",
        "1",
        "'object:' || cluster || '/' || uid || '@' || resource_version",
    ),
    MarkTable(
        "admission",
        5,
        str(_OK),
        "lower(operation)",
        '"user"',
        "1",
        "'admission:' || cluster || '/' || review_uid",
    ),
)


class Part(msgspec.Struct, frozen=True):
    """One table's share of a question: its marks, the WHERE clause and the clause's parameters."""

    marks: MarkTable
    where: str
    params: list[Any]


def parts_of(asked: Filter, *, reads: bool = False) -> list[Part]:
    """The tables that can answer a filter. `reads`: with requests that only read, and with heartbeats."""
    wanted = {view.table for view in tables_for(asked.conditions)}
    found = []
    for marks in TABLES:
        if marks.table not in wanted:
            continue
        clause, params = where(marks.view, asked)
        clauses = [clause, marks.condition]
        if marks.table == "audit" and not reads:
            clauses.append(_NO_READS)
        found.append(Part(marks, " AND ".join(c for c in clauses if c != "true") or "true", params))
    return found


#: of the rows of users
USER_KEY = "(hash(cluster, {actor}) >> 1)::BIGINT"
_MINUTE_US = 60_000_000
#: what is kept of each minute; `what` and `actor` are those of one of its records
_MINUTES = (
    "SELECT {key} AS key, epoch_us(ts) // 60000000 AS minute, {outcome} AS outcome, sum({count})::BIGINT AS n, "
    "count(*) AS records, any_value({what}) AS what, any_value({actor}) AS actor"
)


def by_minutes(
    session: Session,
    asked: Filter,
    parts: list[Part],
    window: tuple[int, int],
    width: int,
    *,
    reads: bool = False,
    users: bool = False,
    make: bool = False,
) -> tuple[list[Part], tuple[int, int]] | None:
    """The same parts, over what is kept of each minute, and the window in whole minutes: for a filter of nothing but
    times, and bins (`width`, microseconds) of whole minutes. None where that is not to be had.

    `users`: by user instead of by object. What is seldom asked for is used only where it is made already (`make`: it is
    made).
    """
    if asked.conditions or asked.text or asked.cluster or width % _MINUTE_US:
        return None
    make = make or not (reads or users)
    first, last = window[0] // _MINUTE_US, window[1] // _MINUTE_US
    found = []
    for p in parts:
        m = p.marks
        clauses = [m.condition]
        if m.table == "audit":
            clauses += ["stage <> 'RequestReceived'", *([] if reads else [_NO_READS])]
        condition = " AND ".join(c for c in clauses if c != "true") or "true"
        key, cluster = (USER_KEY.format(actor=m.actor), ", any_value(cluster) AS cluster") if users else (m.key, "")
        select = m.fill(_MINUTES, key=key) + f"{cluster} FROM {{source}} WHERE {condition} GROUP BY ALL"
        view = session.summary(m.table, select, make=make)
        if view is None:
            return None
        kept = msgspec.structs.replace(
            m, table=view, outcome="outcome", what="what", actor="actor", count="n", id="''", condition="true"
        )
        kept = msgspec.structs.replace(kept, time=f"minute * {_MINUTE_US}", records="records", key="key")
        found.append(Part(kept, f"minute BETWEEN {first} AND {last}", []))
    return found, (first * _MINUTE_US, (last + 1) * _MINUTE_US - 1)


#: the columns of the audit trail that are kept a second time, in the order of time
_IN_ORDER = (
    *("cluster", "ts", "object_key", "audit_id", "stage", "code", "verb", "user", "user_kind", "api_group"),
    *("resource", "subresource", "namespace", "name", "owner_kind", "owner_name"),
)
_ORDERED = (
    "SELECT " + ", ".join(f'"{c}"' for c in _IN_ORDER) + " FROM {source} "  # noqa: S608
    "WHERE stage <> 'RequestReceived' ORDER BY ts"
)


def in_order(session: Session, asked: Filter, parts: list[Part]) -> list[Part]:
    """The same parts, for a window: over what is kept in the order of time, where that is made already, so that little
    more than the window is read. (The tables are in the order of objects.)"""
    names = {VIEWS["audit"].fields.get(c.field, c.field) for c in asked.conditions} - {"source", "kind"}
    known = names <= set(_IN_ORDER) and not asks_for_stages(asked.conditions)
    if (asked.since is None and asked.until is None) or asked.text or not known:
        return parts
    view = session.summary("audit", _ORDERED, make=False)
    if view is None:
        return parts
    return [
        Part(msgspec.structs.replace(p.marks, table=view), p.where, p.params) if p.marks.table == "audit" else p
        for p in parts
    ]


def prepare(session: Session) -> None:
    """Makes what `by_minutes` and `in_order` use."""
    everything = Filter()
    window = window_of(session, everything)
    parts = parts_of(everything)
    if window is None:
        return
    by_minutes(session, everything, parts, window, _MINUTE_US)
    session.summary("audit", _ORDERED)
    did = [p for p in parts if p.marks.type in USERS_OF]
    by_minutes(session, everything, did, window, _MINUTE_US, users=True, make=True)
    by_minutes(session, everything, parts, window, _MINUTE_US, reads=True, make=True)


_EXTENT = "SELECT cluster, min(ts) AS a, max(ts) AS b FROM {source} GROUP BY 1"


def window_of(session: Session, asked: Filter) -> tuple[int, int] | None:
    """The window that a filter asks for, microseconds UTC; what it leaves open reaches as far as anything is recorded
    (of its sources and cluster, whatever its other conditions). None when nothing is."""
    if asked.since is not None and asked.until is not None:
        return asked.since, max(asked.since, asked.until)
    condition, params = ("WHERE cluster = ?", [asked.cluster]) if asked.cluster else ("", [])
    each = []
    for table in (p.marks.table for p in parts_of(asked)):
        kept = session.summary(table, _EXTENT) or f"({_EXTENT.format(source=table)})"
        each.append(f"SELECT a, b FROM {kept} {condition}")  # noqa: S608
    if not each:
        return None
    sql = f"SELECT epoch_us(min(a)), epoch_us(max(b)) FROM ({' UNION ALL '.join(each)})"  # noqa: S608
    first, last = session.query(sql, params * len(each))[0]
    if first is None:
        return None
    since = asked.since if asked.since is not None else int(first)
    return since, max(since, asked.until if asked.until is not None else int(last))


#: widths that a bin may have, microseconds: people read these off a clock
_WIDTHS_MS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000),
    *(60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 10_800_000),
    *(21_600_000, 43_200_000, 86_400_000, 2 * 86_400_000, 7 * 86_400_000, 28 * 86_400_000),
)


def bin_width(since: int, until: int, bins: int) -> int:
    """The round width, microseconds, of which at most `bins` cover the window."""
    needed = max(1, until - since) / max(1, bins)
    for width in _WIDTHS_MS:
        if width * 1000 >= needed:
            return width * 1000
    return int(needed // 86_400_000_000 + 1) * 86_400_000_000


def bin_widths(since: int, until: int, bins: list[int]) -> list[int]:
    """The widths for each of these numbers of bins, from the least; each a multiple of the first."""
    found = [bin_width(since, until, bins[0])]
    for number in bins[1:]:
        width = bin_width(since, until, max(1, number))
        if width > found[-1] and width % found[0] == 0:
            found.append(width)
    return found
