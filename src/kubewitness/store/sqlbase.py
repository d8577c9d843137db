"""DuckDB as this store uses it: one in-memory instance, limited, in UTC, that never reaches for the network."""

from __future__ import annotations

from pathlib import Path

import duckdb

#: Row groups and files are skipped by `ts`; TIMESTAMP WITH TIME ZONE reads and prints in UTC.
_ALWAYS = (
    "SET TimeZone = 'UTC'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET parquet_metadata_cache = true",
    "SET enable_progress_bar = false",
    "SET preserve_insertion_order = false",
)
#: what queries have freed goes back to the system
_THRIFTY = (
    "SET allocator_flush_threshold = '1MB'",
    "SET allocator_bulk_deallocation_flush_threshold = '1MB'",
)


def connect(
    *, memory_mb: int, threads: int, spill: Path | None = None, thrifty: bool = False
) -> duckdb.DuckDBPyConnection:
    """A new instance. `spill`: directory for what does not fit into memory (none: such a query fails). `thrifty`: in
    a process that lives long and has little to ask."""
    con = duckdb.connect(":memory:")
    for statement in (*_ALWAYS, *(_THRIFTY if thrifty else ())):
        con.execute(statement)
    con.execute(f"SET threads = {int(threads)}")
    con.execute(f"SET memory_limit = '{int(memory_mb)}MB'")
    con.execute("SET temp_directory = $d", {"d": str(spill) if spill is not None else ""})
    return con
