"""Read-only SQL (DuckDB's dialect) over what is recorded.

Views: audit, events, objects, admission, logs, findings, rejects, and activity, which joins them:
ts, source, cluster, namespace, kind, name, actor, action, outcome, summary, id. `DESCRIBE audit` lists columns;
every table also has `raw`, the record's original text (the slowest column: narrow the query by others first).

  kubewitness sql "select source, count(*) from activity group by 1"
  kubewitness sql "select ts, \\"user\\", raw from audit where verb = 'delete' order by ts desc limit 5" -o jsonl
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from kubewitness.cli.options import add_output, add_state, paths_of
from kubewitness.cli.render import clean, print_csv, print_json, print_jsonl
from kubewitness.errors import UsageError
from kubewitness.formats.plain import plain
from kubewitness.store import Store
from kubewitness.store.sandbox import SqlLimits, SqlResult, run_sql

#: Widest cell of a text table; JSON and CSV are never cut.
_WIDEST = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help="one SELECT or EXPLAIN; `-` reads it from stdin")
    parser.add_argument("--limit", type=int, default=10_000, metavar="N", help="at most so many rows (default 10000)")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="S", help="at most so many seconds (default 30)")
    add_state(parser)
    add_output(parser, ("text", "json", "jsonl", "csv"))


def run(args: argparse.Namespace) -> int:
    if args.limit < 1 or args.timeout <= 0:
        raise UsageError("--limit and --timeout must be greater than 0")
    query = sys.stdin.read() if args.query == "-" else args.query
    store = Store(paths_of(args))
    try:
        result = run_sql(store, query, SqlLimits(rows=args.limit, seconds=args.timeout))
    finally:
        store.close()
    _print(result, args.output)
    if result.truncated and not args.quiet:
        print(f"kubewitness sql: only the first {len(result.rows)} rows; --limit allows more", file=sys.stderr)
    return 0 if result.rows else 1


def _print(result: SqlResult, output: str) -> None:
    rows = [[plain(v) for v in row] for row in result.rows]
    if output == "json":
        print_json([dict(zip(result.columns, row, strict=True)) for row in rows])
    elif output == "jsonl":
        print_jsonl(dict(zip(result.columns, row, strict=True)) for row in rows)
    elif output == "csv":
        print_csv(rows, result.columns)
    elif result.columns == ["explain_key", "explain_value"]:
        for _, plan in rows:
            print("\n".join(clean(line) for line in str(plan).splitlines()))
    else:
        _print_table(result.columns, rows)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    cells = [[_cell(v) for v in row] for row in rows]
    widths = [max([len(c), *(len(row[i]) for row in cells)]) for i, c in enumerate(columns)]
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    for line in ([*columns], ["-" * w for w in widths], *cells):
        parts = [v.rjust(w) if n else v.ljust(w) for v, w, n in zip(line, widths, numeric, strict=True)]
        print("  ".join(parts).rstrip())


def _cell(value: Any) -> str:
    text = "" if value is None else clean(value if isinstance(value, str) else str(value))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
