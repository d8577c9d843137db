"""SQL from users: one SELECT (or EXPLAIN of one) over the views, and nothing else.

Three walls, each enough alone for most attacks: the parsed statement may name only our views, its own CTEs and a few
harmless table functions; the DuckDB instance may read only the files of the snapshot, cannot be configured any more
and has no extensions to load; time, memory, rows and bytes of the answer are limited.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb

from kubewitness.errors import KubewitnessError, StateError, UsageError
from kubewitness.formats.scope import Scope
from kubewitness.store import accesses, fencing, sqlbase, views
from kubewitness.store.places import let_read
from kubewitness.store.session import Session, Store

#: Table functions that touch nothing but their arguments.
_TABLE_FUNCTIONS = frozenset(
    ("unnest", "range", "generate_series", "json_each", "json_tree", "repeat_row", "generate_subscripts")
)
#: Functions that tell of the process, or reach beyond the query.
_FUNCTIONS = frozenset(
    (
        *("getenv", "getvariable", "current_setting", "set_config", "nextval", "currval", "query", "query_table"),
        *("kw_raw", "write_log", "parse_duckdb_log_message", "current_query", "current_database", "current_schemas"),
        "sleep_ms",
    )
)
#: Functions whose one value may be of any size: DuckDB makes it outside its memory limit and cannot be interrupted.
_BOMBS = frozenset(
    ("repeat", "lpad", "rpad", "list_resize", "array_resize", "printf", "format", "bar", "range", "generate_series")
)
_SYSTEM = re.compile(r"(duckdb|pragma|sqlite|pg|kw|information_schema|read|parquet|arrow|pandas|python)_|.*[./\\]")
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?", re.IGNORECASE)
_RAW = re.compile(r"\braw\b", re.IGNORECASE)


_TABLES = (*views.VIEWS, accesses.TABLE)


class TimedOut(KubewitnessError):
    """The query took longer than it was allowed to."""

    exit_code = 2


@dataclass(frozen=True)
class SqlLimits:
    """Rows and bytes of the answer, seconds, memory (MB) and threads of the query."""

    rows: int = 10_000
    bytes: int = 64 * 1024**2
    seconds: float = 30.0
    memory_mb: int = 512
    threads: int = 2


@dataclass
class SqlResult:
    """`truncated`: there is more than the limits let through."""

    columns: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    truncated: bool = False
    #: DuckDB's names of the columns' types
    types: list[str] = field(default_factory=list)


def run_sql(
    store: Store,
    sql: str,
    limits: SqlLimits | None = None,
    stop: threading.Event | None = None,
    scope: Scope | None = None,
) -> SqlResult:
    """Runs one query, over what a scope lets through (None: everything). Setting `stop` ends it early.

    UsageError when it is not allowed or wrong, TimedOut, StateError when the store cannot be read.
    """
    limits = limits or SqlLimits()
    with store.session(scope=scope) as session:
        con = sqlbase.connect(memory_mb=limits.memory_mb, threads=limits.threads)
        try:
            let_read(con, store.directory)
            check(con, sql)
            wants_raw = _prepare(con, session, sql)
            first = fencing.statements(sql, raw=wants_raw) if session.hides(views.mentioned(sql)) else []
            try:
                return _execute(con, [*first, sql], limits, stop)
            finally:
                if wants_raw:
                    con.remove_function("kw_raw")
        except duckdb.Error as e:
            raise _explained(e, session) from e
        finally:
            con.close()


# --- what may be asked -----------------------------------------------------------------------------------------------


def check(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """UsageError unless `sql` is exactly one SELECT or EXPLAIN over our views."""
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error as e:
        raise UsageError(f"SQL: {_line(e)}") from e
    if len(statements) != 1:
        raise UsageError(f"SQL: one statement at a time, not {len(statements)}")
    kind = statements[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise UsageError(f"SQL: only SELECT and EXPLAIN are allowed, not {kind.name}")
    select = statements[0].query
    if kind == duckdb.StatementType.EXPLAIN:
        match = _EXPLAIN.match(_without_comments(select))
        select = _without_comments(select)[match.end() :] if match else ""
    tree = json.loads(con.execute("SELECT json_serialize_sql($q::VARCHAR)", {"q": select}).fetchall()[0][0])
    if tree.get("error"):
        raise UsageError("SQL: only SELECT and EXPLAIN of a SELECT are allowed")
    names = {n.lower() for n in _cte_names(tree)}
    bad = next((n for n in names if _SYSTEM.match(n)), None)
    if bad is not None:
        raise UsageError(f"SQL: {bad!r} cannot be the name of a WITH query")
    calls = [n["function"] for n in _nodes(tree) if n.get("type") == "TABLE_FUNCTION"]
    for node in _nodes(tree):
        _check_node(node, names, is_scalar=not any(node is c for c in calls))


def _without_comments(sql: str) -> str:
    return re.sub(r"^(\s*(--[^\n]*(\n|$)|/\*.*?\*/))+", "", sql, flags=re.DOTALL)


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _cte_names(tree: Any) -> Iterator[str]:
    for node in _nodes(tree):
        entries = node.get("cte_map", {}).get("map", []) if isinstance(node.get("cte_map"), dict) else []
        for entry in entries:
            yield str(entry["key"])
        if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE") and node.get("cte_name"):
            yield str(node["cte_name"])


def _check_node(node: dict[str, Any], ctes: set[str], *, is_scalar: bool) -> None:
    kind = node.get("type")
    if kind in ("BASE_TABLE", "SHOW_REF") and "table_name" in node:
        name = str(node["table_name"]).lower()
        known = name in _TABLES or name in ctes or (kind == "SHOW_REF" and not name)
        if not known or node.get("schema_name") or node.get("catalog_name"):
            raise UsageError(f"SQL: there is no table {node['table_name']!r}; there are {', '.join(_TABLES)}")
    elif kind == "TABLE_FUNCTION":
        name = str(node.get("function", {}).get("function_name", "")).lower()
        if name not in _TABLE_FUNCTIONS:
            raise UsageError(f"SQL: table function {name!r} is not allowed here")
    if node.get("class") == "FUNCTION" and is_scalar:
        name = str(node.get("function_name", "")).lower()
        if name in _FUNCTIONS or name in _BOMBS or _SYSTEM.match(name):
            raise UsageError(f"SQL: function {name!r} is not allowed here")


# --- running it ------------------------------------------------------------------------------------------------------


def _prepare(con: duckdb.DuckDBPyConnection, session: Session, sql: str) -> bool:
    """Makes the views and closes the doors. Returns whether column `raw` is there (only when the query may want it)."""
    wants_raw = bool(_RAW.search(sql))
    if wants_raw:
        con.create_function("kw_raw", session.raw_text, ["BIGINT", "BIGINT", "INTEGER", "INTEGER"], "VARCHAR")
    session.make_views(con, sql, raw=wants_raw)
    paths = [f.path for name in views.mentioned(sql) for f in session.files(name)]
    if accesses.TABLE in sql.lower():
        # others' questions tell what they may read
        files = [] if session.hides([]) else accesses.access_files(session.paths)
        con.execute(accesses.access_view(files))
        paths += map(str, files)
    con.execute("SET allowed_paths = $p", {"p": paths})
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return wants_raw


def _execute(
    con: duckdb.DuckDBPyConnection, statements: list[str], limits: SqlLimits, stop: threading.Event | None
) -> SqlResult:
    """Runs them, the query last, in a thread of its own, so that this one can be interrupted, and interrupts it when it
    must end."""
    outcome: list[SqlResult | BaseException] = []
    done = threading.Event()  # not Thread.join: interrupted by Ctrl-C, it takes a running thread for ended

    def work() -> None:
        try:
            for statement in statements[:-1]:
                con.execute(statement)
            outcome.append(_fetch(con, statements[-1], limits))
        except BaseException as e:
            outcome.append(e)
        finally:
            done.set()

    worker = threading.Thread(target=work, name="sql", daemon=True)
    worker.start()
    waited, step = 0.0, 0.05
    try:
        while not done.wait(step) and waited < limits.seconds and not (stop is not None and stop.is_set()):
            waited += step
    finally:
        while not done.is_set():  # time-out, stop, or Ctrl-C: again, because an interrupt between two phases is lost
            con.interrupt()
            done.wait(0.2)
    result = outcome[0]
    if isinstance(result, duckdb.InterruptException):
        if waited >= limits.seconds:
            raise TimedOut(
                f"SQL: stopped after {limits.seconds:g} s; narrow it (for instance by ts), or allow more with --timeout"
            )
        raise TimedOut("SQL: stopped")
    if isinstance(result, BaseException):
        raise result
    return result


def _fetch(con: duckdb.DuckDBPyConnection, sql: str, limits: SqlLimits) -> SqlResult:
    cursor = con.execute(sql)
    described = cursor.description or ()
    result = SqlResult([d[0] for d in described], types=[str(d[1]) for d in described])
    held = 0
    while not result.truncated and (rows := cursor.fetchmany(256)):
        for row in rows:
            if len(result.rows) >= limits.rows or held > limits.bytes:
                result.truncated = True
                break
            result.rows.append(row)
            held += sum(len(v) if isinstance(v, str | bytes) else 16 for v in row)
    if result.truncated:
        con.abort()  # an answer that is not read to its end keeps the connection busy
    return result


def _explained(e: duckdb.Error, session: Session) -> KubewitnessError:
    text = _line(e).replace(str(session.directory) + "/", "")
    if isinstance(e, duckdb.OutOfMemoryException):
        return UsageError("SQL: the query needs more memory than it may have; narrow it (for instance by ts)")
    if isinstance(e, duckdb.IOException):
        return StateError(f"cannot read the tables: {text}")
    return UsageError(f"SQL: {text}")


def _line(e: BaseException) -> str:
    return " ".join(str(e).split())[:400]
