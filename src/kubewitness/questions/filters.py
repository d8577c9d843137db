"""`field=value` as users type it, turned into one WHERE for each table. Values are always bound, never pasted.

Operators: `=` (also `a,b` for either, `web-*` for a pattern), `!=`, `~` (regular expression, case ignored), `!~`,
`>`, `<`, `>=`, `<=`. `source=audit` picks the table, `id=...` one record, `kind=pod` takes any word kubectl takes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from kubewitness.errors import UsageError
from kubewitness.formats.names import find_resource
from kubewitness.questions.times import parse_time
from kubewitness.questions.views import VIEWS, View

_CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*)(!=|!~|>=|<=|=|~|>|<)(.*)", re.DOTALL)
_ID = re.compile(r"(audit|event|object|admission|log|finding|reject):([^/]*)/(.*)", re.DOTALL)
_TABLE_OF_ID = {
    "audit": "audit",
    "event": "events",
    "object": "objects",
    "admission": "admission",
    "log": "logs",
    "finding": "findings",
    "reject": "rejects",
}
_LISTS = frozenset({"groups", "claimed_ips"})
_NUMBERS = frozenset({"code", "count", "offset", "generation"})
_FLAGS = frozenset({"dry_run"})


class Condition(msgspec.Struct, frozen=True):
    field: str
    operator: str
    value: str


class Filter(msgspec.Struct):
    """What a user asked for: conditions, free text, a time window (microseconds UTC)."""

    conditions: list[Condition] = msgspec.field(default_factory=list)
    text: str = ""
    since: int | None = None
    until: int | None = None
    cluster: str | None = None


def parse_words(words: Sequence[str]) -> tuple[list[Condition], str]:
    """Conditions and the free text among the words. Raises `UsageError` for an unknown field."""
    conditions, text = [], []
    for word in words:
        match = _CONDITION.fullmatch(word)
        if match is None:
            text.append(word)
            continue
        field, operator, value = match.groups()
        check_field(field, word)
        conditions.append(Condition(field, operator, value))
    return conditions, " ".join(text)


def check_field(field: str, word: str = "") -> None:
    """Raises `UsageError` that names the nearest known field."""
    known = field_names()
    if field not in known:
        near = difflib.get_close_matches(field, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
        raise UsageError(f"unknown field {field!r}{f' in {word!r}' if word else ''}; {hint}")


def field_names() -> list[str]:
    names = {"source", "id", "kind"}
    for view in VIEWS.values():
        names.update(view.fields)
    return sorted(names)


def tables_for(conditions: Sequence[Condition]) -> list[View]:
    """The tables that can answer: those that have every field, or were named by `source` or `id`."""
    views = list(VIEWS.values())
    for c in conditions:
        if c.field == "source":
            wanted = {_table(v) for v in c.value.split(",")}
            views = [v for v in views if (v.table in wanted) == (c.operator == "=")]
        elif c.field == "id":
            match = _ID.fullmatch(c.value)
            if match is None or c.operator != "=":
                raise UsageError(
                    f"id{c.operator}{c.value}: an id is written like audit:default/<auditID>/ResponseComplete"
                )
            views = [v for v in views if v.table == _TABLE_OF_ID[match.group(1)]]
        elif c.field == "kind":
            views = [v for v in views if "kind" in v.fields or "resource" in v.fields]
        else:
            views = [v for v in views if c.field in v.fields]
    return views


def asks_for_stages(conditions: Sequence[Condition]) -> bool:
    """Whether single records of the audit trail are meant: all stages of a request are one row otherwise."""
    return any(c.field in ("id", "audit_id", "stage") for c in conditions)


def _table(word: str) -> str:
    word = _TABLE_OF_ID.get(word, word)
    if word not in VIEWS:
        near = difflib.get_close_matches(word, list(VIEWS), 1)
        raise UsageError(f"source={word}: no such source; {f'did you mean {near[0]!r}?' if near else ', '.join(VIEWS)}")
    return word


def where(view: View, asked: Filter) -> tuple[str, list[Any]]:
    """The WHERE clause of one table and its parameters."""
    parts: list[str] = []
    params: list[Any] = []
    if asked.since is not None:
        parts.append("ts >= make_timestamp(?)")
        params.append(asked.since)
    if asked.until is not None:
        parts.append("ts <= make_timestamp(?)")
        params.append(asked.until)
    if asked.cluster:
        parts.append("cluster = ?")
        params.append(asked.cluster)
    if view.table == "audit" and not asks_for_stages(asked.conditions):
        # One request is one line; its first stage says nothing that a later one does not.
        parts.append("stage <> 'RequestReceived'")
    for c in asked.conditions:
        _add(view, c, parts, params)
    if asked.text:
        parts.append("(" + " OR ".join(f'contains(lower("{column}"), ?)' for column in view.text) + ")")
        params += [asked.text.lower()] * len(view.text)
    return " AND ".join(parts) or "true", params


def _add(view: View, c: Condition, parts: list[str], params: list[Any]) -> None:
    if c.field == "source":
        return
    if c.field == "id":
        _add_id(c, parts, params)
        return
    if c.field == "kind" and c.operator in ("=", "!="):
        _add_kind(view, c, parts, params)
        return
    column = view.fields.get(c.field, c.field)
    if column == "ts":
        parts.append(f"ts {_compare(c)} make_timestamp(?)")
        params.append(parse_time(c.value, option=c.field))
    elif column in _NUMBERS:
        _add_number(c, column, parts, params)
    elif column in _FLAGS:
        value = c.value.lower() in ("true", "yes", "1")
        parts.append(f'coalesce("{column}", false) {"=" if c.operator == "=" else "<>"} ?')
        params.append(value)
    else:
        _add_text(c, column, parts, params)


def _add_kind(view: View, c: Condition, parts: list[str], params: list[Any]) -> None:
    """By the resource that a word means; findings have kinds only."""
    words = [find_resource(w) for w in c.value.split(",")]
    by_resource = "resource" in view.fields
    column = "coalesce(resource, '')" if by_resource else "lower(coalesce(kind, ''))"
    parts.append(f"{'NOT ' if c.operator == '!=' else ''}{column} IN ({', '.join('?' * len(words))})")
    params += [w.resource if by_resource else (w.kind or w.resource).lower() for w in words]


def _compare(c: Condition) -> str:
    if c.operator not in ("=", "!=", ">", "<", ">=", "<="):
        raise UsageError(f"{c.field}{c.operator}{c.value}: {c.field} is compared with = != > < >= <=")
    return "<>" if c.operator == "!=" else c.operator


def _add_number(c: Condition, column: str, parts: list[str], params: list[Any]) -> None:
    values = c.value.split(",")
    if not all(re.fullmatch(r"-?\d+", v) for v in values) or (len(values) > 1 and c.operator not in ("=", "!=")):
        raise UsageError(f"{c.field}{c.operator}{c.value}: {c.field} is a number")
    if len(values) > 1:
        parts.append(f'"{column}" {"" if c.operator == "=" else "NOT "}IN ({", ".join("?" * len(values))})')
    else:
        parts.append(f'"{column}" {_compare(c)} ?')
    params += [int(v) for v in values]


def _add_text(c: Condition, column: str, parts: list[str], params: list[Any]) -> None:
    expression = f"array_to_string(\"{column}\", ',')" if column in _LISTS else f"coalesce(\"{column}\", '')"
    negated = "NOT " if c.operator.startswith("!") else ""
    if c.operator in ("~", "!~"):
        try:
            re.compile(c.value)
        except re.error as e:
            raise UsageError(f"{c.field}{c.operator}{c.value}: not a regular expression: {e}") from e
        parts.append(f"{negated}regexp_matches({expression}, ?, 'i')")
        params.append(c.value)
    elif c.operator in ("=", "!="):
        options = []
        for value in c.value.split(","):
            if column in _LISTS:
                options.append(f'coalesce(list_contains("{column}", ?), false)')
                params.append(value)
            elif "*" in value:
                options.append(f"{expression} LIKE ? ESCAPE '\\'")
                params.append(re.sub(r"([%_\\])", r"\\\1", value).replace("*", "%"))
            else:
                # Without coalesce the column's statistics and bloom filters narrow the files.
                options.append(f'"{column}" = ?' if value and not negated else f"{expression} = ?")
                params.append(value)
        parts.append(f"{negated}({' OR '.join(options)})")
    else:
        parts.append(f"{expression} {_compare(c)} ?")
        params.append(c.value)


def _add_id(c: Condition, parts: list[str], params: list[Any]) -> None:
    match = _ID.fullmatch(c.value)
    if match is None:
        raise UsageError(f"id={c.value}: an id is written like audit:default/<auditID>/ResponseComplete")
    kind, cluster, rest = match.groups()
    parts.append("cluster = ?")
    params.append(cluster)
    if kind == "audit":
        audit_id, _, stage = rest.rpartition("/")
        parts.append("audit_id = ? AND stage = ?" if audit_id else "audit_id = ?")
        params += [audit_id, stage] if audit_id else [rest]
    elif kind in ("event", "object"):
        uid, _, version = rest.rpartition("@")
        parts.append("uid = ? AND resource_version = ?")
        params += [uid, version]
    elif kind == "admission":
        parts.append("review_uid = ?")
        params.append(rest)
    else:
        key = rest.partition(":")[0]
        if not re.fullmatch(r"(?:[0-9a-f]{2})+", key):
            raise UsageError(f"id={c.value}: not an id that was printed by kubewitness")
        parts.append("record_key = ?")
        params.append(bytes.fromhex(key))
