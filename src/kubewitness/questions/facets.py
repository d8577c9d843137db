"""The most frequent values of several fields at once: what to narrow a search by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kubewitness.errors import UsageError
from kubewitness.questions.facts import Session
from kubewitness.questions.filters import Filter, check_field
from kubewitness.questions.marks import Part, parts_of
from kubewitness.questions.operations import STARTED

FIELDS = ("user", "verb", "resource", "namespace", "code", "ip", "user_agent", "reason")
MOST_FIELDS = 16
MOST_VALUES = 100
_LISTS = frozenset({"groups", "claimed_ips"})


class FacetsQuestion(msgspec.Struct):
    filter: Filter
    fields: Sequence[str] = FIELDS
    limit: int = 10
    reads: bool = True


class FacetValue(msgspec.Struct):
    value: str
    count: int


class Facet(msgspec.Struct):
    """`others`: records with values that are not among these; `source`: the table that was counted."""

    field: str
    source: str | None
    values: list[FacetValue] = msgspec.field(default_factory=list)
    others: int = 0


class FacetsAnswer(msgspec.Struct):
    facets: list[Facet]
    #: records that fulfil the filter, of all sources
    total: int


def ask(session: Session, question: FacetsQuestion) -> FacetsAnswer:
    """Each field is counted in the first table that has it and the filter's fields; `reason` in Events rather than in
    answers of the API server. A request counts once, a session when it has ended. Raises `UsageError`."""
    for field in question.fields:
        check_field(field)
        if field in ("id", "time", "source", "kind"):
            raise UsageError(f"facets: {field!r} cannot be counted; ask for other fields")
    parts = [_once(p) for p in parts_of(question.filter, reads=question.reads)]
    home = {field: _home(parts, field) for field in question.fields}
    found: dict[str, Facet] = {}
    for part in parts:
        fields = [f for f in question.fields if home[f] is part]
        lists = [f for f in fields if part.marks.view.fields[f] in _LISTS]  # each record has several: counted apart
        for some in ([f for f in fields if f not in lists], *([f] for f in lists)):
            if some:
                found |= {f.field: f for f in _facets(session, part, some, question.limit)}
    facets = [found.get(field, Facet(field, None)) for field in question.fields]
    return FacetsAnswer(facets, _total(session, parts))


def _once(part: Part) -> Part:
    if part.marks.table != "audit":
        return part
    return msgspec.structs.replace(part, where=f"{part.where} AND (stage <> '{STARTED}' OR code >= 400)")


def _home(parts: Sequence[Part], field: str) -> Part | None:
    having = [p for p in parts if field in p.marks.view.fields]
    if field == "reason":
        having.sort(key=lambda p: p.marks.table != "events")
    return having[0] if having else None


def _facets(session: Session, part: Part, fields: list[str], limit: int) -> list[Facet]:
    """One pass over the table for all its fields."""
    columns = [part.marks.view.fields[f] for f in fields]
    names = [f"v{i}" for i in range(len(fields))]
    shown = ", ".join(
        f'unnest("{c}") AS {n}' if c in _LISTS else f'CAST("{c}" AS VARCHAR) AS {n}'
        for c, n in zip(columns, names, strict=True)
    )
    sets = ", ".join(f"({n})" for n in names)
    sql = (
        f"WITH counted AS (SELECT {', '.join(names)}, grouping({', '.join(names)}) AS which, count(*) AS n "  # noqa: S608
        f"FROM (SELECT {shown} FROM {part.marks.table} WHERE {part.where}) GROUP BY GROUPING SETS ({sets})), "
        f"ranked AS (SELECT which, coalesce({', '.join(names)}) AS v, n, "
        "sum(n) OVER (PARTITION BY which) AS total, row_number() OVER (PARTITION BY which ORDER BY n DESC) AS place "
        f"FROM counted WHERE coalesce({', '.join(names)}, '') <> '') "
        f"SELECT which, v, n, total::BIGINT FROM ranked WHERE place <= {int(limit)} ORDER BY which, place"
    )
    facets = {f: Facet(f, part.marks.table) for f in fields}
    everything = (1 << len(fields)) - 1
    places = {everything ^ (1 << (len(fields) - 1 - i)): f for i, f in enumerate(fields)}
    rows: list[tuple[Any, ...]] = session.query(sql, part.params)
    for which, value, n, total in rows:
        facet = facets[places[int(which)]]
        facet.values.append(FacetValue(str(value), int(n)))
        facet.others = int(total) - sum(v.count for v in facet.values)
    return list(facets.values())


def _total(session: Session, parts: Sequence[Part]) -> int:
    each = [f"SELECT count(*) AS n FROM {p.marks.table} WHERE {p.where}" for p in parts]  # noqa: S608
    if not each:
        return 0
    sql = f"SELECT sum(n)::BIGINT FROM ({' UNION ALL '.join(each)})"  # noqa: S608
    return int(session.query(sql, [v for p in parts for v in p.params])[0][0] or 0)
