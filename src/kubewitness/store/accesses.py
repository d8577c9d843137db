"""Who asked what of the server, as table `access` of SQL: the access log in the state directory (docs/access.md)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kubewitness.config.state import StatePaths
from kubewitness.store.quoting import quoted

TABLE = "access"

#: as web/accesslog.py writes them, one JSON object a line
_COLUMNS = {
    "when": "TIMESTAMPTZ",
    "user": "VARCHAR",
    "restricted": "BOOLEAN",
    "peer": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "asked": "JSON",
    "status": "INTEGER",
    "ms": "BIGINT",
}
_SELECT = 'SELECT "when" AS ts, * EXCLUDE ("when")'


def access_files(paths: StatePaths) -> list[Path]:
    """The log and what it was rotated to, as far as they are in the state directory."""
    log = paths.access_log
    return [path for path in (log, *sorted(log.parent.glob(f"{log.name}.*"))) if path.is_file()]


def access_view(files: Sequence[Path]) -> str:
    """CREATE VIEW of these files; without any, one without rows. A line that is being written is left out."""
    if not files:
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in _COLUMNS.items())
        return f"CREATE OR REPLACE TEMP VIEW {TABLE} AS {_SELECT} FROM (SELECT {columns}) WHERE false"
    listed = ", ".join(quoted(str(path)) for path in files)
    columns = ", ".join(f"{quoted(name)}: {quoted(kind)}" for name, kind in _COLUMNS.items())
    return (
        f"CREATE OR REPLACE TEMP VIEW {TABLE} AS {_SELECT} FROM read_json([{listed}], "
        f"format = 'newline_delimited', columns = {{{columns}}}, ignore_errors = true) WHERE \"when\" IS NOT NULL"
    )
