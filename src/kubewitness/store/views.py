# ruff: noqa: S608  (the names come from our own schema, texts are quoted)
"""The views that questions and users see: one a table, and `activity` over them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from kubewitness.formats.names import RESOURCES
from kubewitness.store.columns import sql_type
from kubewitness.store.quoting import quoted
from kubewitness.store.schema import TABLE_COLUMNS

#: What `activity` reads.
ACTIVITY_OF = ("audit", "events", "objects", "admission", "findings")
VIEWS = (*TABLE_COLUMNS, "activity")

_WORD = re.compile(r"[A-Za-z_]+")


def mentioned(sql: str) -> list[str]:
    """The tables that a query may read, judged by its words: views of others need not be made."""
    words = {w.lower() for w in _WORD.findall(sql)}
    if "activity" in words:
        words.update(ACTIVITY_OF)
    return [name for name in TABLE_COLUMNS if name in words]


def listed(texts: Iterable[str]) -> str:
    return "[" + ", ".join(quoted(t) for t in texts) + "]"


def _columns(table: str, present: Collection[str] | None) -> str:
    """All columns of a table in order; NULL for those that the files do not have."""
    return ", ".join(
        f'"{name}"' if present is None or name in present else f'NULL::{sql_type(kind)} AS "{name}"'
        for name, kind in TABLE_COLUMNS[table]
    )


def rows_of(table: str, present: Collection[str] | None, files: Sequence[str]) -> str:
    """SELECT of all columns of a table's files, which have only those `present` (None: all)."""
    return (
        f"SELECT {_columns(table, present)} FROM read_parquet({listed(files)}, hive_partitioning = true,"
        " hive_types = {day: DATE, cluster: VARCHAR})"
    )


def table_view(
    table: str,
    groups: Sequence[tuple[Collection[str] | None, Sequence[str]]],
    overlays: Sequence[tuple[str, int]],
    *,
    raw: str = "",
    name: str | None = None,
    where: str = "",
) -> str:
    """CREATE VIEW of a table.

    `groups`: files by the columns they have (None: all). `overlays`: relations with what is still in the
    journal, each with the sequence up to which that is committed by now.
    `raw`: expression of a column `raw`, or "". `where`: only such rows.
    """
    parts = [rows_of(table, present, files) for present, files in groups if files]
    parts += [f"SELECT {_columns(table, None)} FROM {name} WHERE raw_seg < -{cursor}" for name, cursor in overlays]
    if not parts:
        nothing = ", ".join(f'NULL::{sql_type(kind)} AS "{name}"' for name, kind in TABLE_COLUMNS[table])
        parts.append(f"SELECT {nothing} WHERE false")
    body = " UNION ALL ".join(parts)
    if where:
        body = f"SELECT * FROM ({body}) WHERE {where}"
    if raw:
        body = f"SELECT *, {raw} AS raw FROM ({body})"
    return f"CREATE OR REPLACE TEMP VIEW {name or table} AS {body}"


# --- activity --------------------------------------------------------------------------------------------------------

_KINDS = (
    "CASE r WHEN '' THEN '' "
    + " ".join(f"WHEN {quoted(r.resource)} THEN {quoted(r.kind)}" for r in RESOURCES if r.group != "events.k8s.io")
    # a custom resource's plural, singular and capitalised, as formats.names does
    + " ELSE upper(left(r, 1)) || CASE WHEN r LIKE '%ies' THEN r[2:-4] || 'y' WHEN r LIKE '%s' THEN r[2:-2]"
    " ELSE r[2:] END END"
)

KIND_MACRO = f"CREATE OR REPLACE TEMP MACRO kw_kind(r) AS {_KINDS}"

_ACTIVITY = {
    "audit": """
SELECT ts, 'audit' AS source, cluster, namespace, kw_kind(resource) AS kind, name,
  CASE WHEN impersonated_user = '' THEN "user" ELSE "user" || ' as ' || impersonated_user END AS actor,
  verb || CASE WHEN subresource = '' THEN '' ELSE ' ' || resource || '/' || subresource END AS action,
  coalesce(code::VARCHAR, '') || CASE WHEN reason = '' THEN '' ELSE ' ' || reason END AS outcome,
  CASE WHEN message <> '' THEN message ELSE verb || ' ' || uri END AS summary,
  'audit:' || cluster || '/' || audit_id || '/' || stage AS id
FROM audit WHERE stage <> 'RequestReceived'""",
    "events": """
SELECT ts, 'event', cluster, namespace, kind, object_name, component, reason, type,
  message, 'event:' || cluster || '/' || uid || '@' || resource_version
FROM events WHERE change <> 'EXPIRED'""",
    "objects": """
SELECT ts, 'object', cluster, namespace, kind, name, '', lower(change), '',
  lower(change) || ' at version ' || resource_version, 'object:' || cluster || '/' || uid || '@' || resource_version
FROM objects""",
    "admission": """
SELECT ts, 'admission', cluster, namespace, kind, name, "user", lower(operation),
  CASE WHEN dry_run THEN 'dry run' ELSE '' END, lower(operation) || ' ' || resource || ' ' || name,
  'admission:' || cluster || '/' || review_uid
FROM admission""",
    "findings": """
SELECT ts, 'finding', cluster, namespace, kind, name, actor, rule, severity, title,
  'finding:' || cluster || '/' || lower(hex(record_key))
FROM findings""",
}


def activity_view() -> str:
    """CREATE VIEW of `activity`, which needs the views of `ACTIVITY_OF` and the macro."""
    return "CREATE OR REPLACE TEMP VIEW activity AS " + " UNION ALL ".join(_ACTIVITY[t] for t in ACTIVITY_OF)
