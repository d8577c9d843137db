"""Which auditIDs were seen, learnt again from the table where the file that remembers them is not there.

Beside an object store that file is kept in the state, so a recorder on another machine begins without it.
"""

from __future__ import annotations

import duckdb

from kubewitness.store.reuse import SeenIds
from kubewitness.store.tables import DeltaStoreTable

#: Requests looked at, the newest files first: some seconds, and about what one generation of `SeenIds` takes.
_REQUESTS = 1_000_000
_AT_ONCE = 20_000


def remember(seen: SeenIds, audit: DeltaStoreTable, con: duckdb.DuckDBPyConnection) -> None:
    """Puts the newest requests of table audit into `seen`."""
    paths: list[str] = []
    rows = 0
    for file in sorted(audit.files(), key=lambda f: f.max_ts or 0, reverse=True):
        paths.append(file.path)
        rows += file.rows
        if rows >= _REQUESTS:
            break
    if not paths:
        return
    cursor = con.execute(
        "SELECT cluster, audit_id, epoch_us(received_ts) FROM read_parquet($files, hive_partitioning = true,"
        " hive_types = {day: DATE, cluster: VARCHAR}) WHERE form = ''",
        {"files": paths},
    )
    while found := cursor.fetchmany(_AT_ONCE):
        seen.check(found)
