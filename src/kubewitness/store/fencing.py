# ruff: noqa: S608  (the names come from our own schema)
"""A wall between a user's SQL and rows that they may not read.

A condition in a view is no wall: DuckDB may evaluate the user's expressions first, and an error that such a row causes
(or does not) tells of it. So what may be read is copied into tables first, and the query sees nothing but these.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubewitness.store import views
from kubewitness.store.schema import TABLE_COLUMNS

_WORD = re.compile(r"[A-Za-z_]+")
_COUNT = re.compile(r"count\s*\(\s*\*\s*\)", re.IGNORECASE)
#: queries that may mean columns which they do not name
_ALL = frozenset({"natural", "columns", "describe", "summarize", "show", "exclude", "replace"})
_ACTIVITY = ("ts", "source", "cluster", "namespace", "kind", "name", "actor", "action", "outcome", "summary", "id")


def statements(sql: str, *, raw: bool) -> list[str]:
    """What to execute, after the views were made and before the query: a table in the place of each view, with the
    columns that the query names (all of them where that cannot be told)."""
    words = {w.lower() for w in _WORD.findall(sql)}
    everything = "*" in _COUNT.sub("", sql) or bool(words & _ALL)
    found = []
    for name in views.VIEWS:
        if name not in words:
            continue
        columns = _columns(name, raw=raw)
        # a word that is a table's name or alias may mean its whole rows
        chosen = columns if everything else [c for c in columns if c in words] or columns[:1]
        shown = ", ".join(f'"{c}"' for c in chosen)
        found += [f"CREATE TEMP TABLE kw_own_{name} AS SELECT {shown} FROM {name}"]
    names = [name for name in (*views.mentioned(sql), "activity") if name != "activity" or "activity" in words]
    found += [f"DROP VIEW IF EXISTS {name}" for name in reversed(names)]
    found += [f"ALTER TABLE kw_own_{name} RENAME TO {name}" for name in views.VIEWS if name in words]
    return found


def _columns(name: str, *, raw: bool) -> Sequence[str]:
    if name == "activity":
        return _ACTIVITY
    return [*(column for column, _ in TABLE_COLUMNS[name]), *(["raw"] if raw else [])]
