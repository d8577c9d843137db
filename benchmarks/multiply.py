"""A large day of audit records from a smaller one, in minutes instead of the half hour that importing it takes.

    python -m benchmarks.multiply STATE --copies 13 --seconds 6600

Each copy of the state's records is so many seconds later, with namespaces, uids, auditIDs and record keys of its own,
so that names, cardinalities and causes are those of `benchmarks.generate`; sorted by object, in files as `compact`
makes them. Only the original bytes are shared: bodies name the first copy's objects and times.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from kubewitness.config.state import state_paths
from kubewitness.formats.names import object_key
from kubewitness.store import merging, sqlbase
from kubewitness.store.merging import NewFile, Task
from kubewitness.store.places import store_directory
from kubewitness.store.schema import TABLE_COLUMNS
from kubewitness.store.tables import DeltaStoreTable

_RANGES = 10
_TIMES = frozenset({"ts", "received_ts", "arrived_ts"})
_IDS = frozenset({"audit_id", "uid", "owner_uid"})
_NAMED = frozenset({"namespace", "name", "uri"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state")
    parser.add_argument("--copies", type=int, default=13)
    parser.add_argument("--seconds", type=int, default=6600)
    args = parser.parse_args()
    paths = state_paths(args.state)
    table = DeltaStoreTable("audit", store_directory(paths) / "audit")
    table.refresh()
    old = list(table.files())
    with tempfile.TemporaryDirectory(dir=paths.root) as folder:
        con = sqlbase.connect(memory_mb=3000, threads=2, spill=Path(folder))
        con.create_function("kw_key", _key, ["VARCHAR"] * 4, "BIGINT")
        for copy in range(args.copies):
            _copy(con, [f.path for f in old], Path(folder), copy, args.seconds)
            print(f"copy {copy} made", flush=True)
        target = table.partition_of(old[0])
        assert isinstance(target, Path)
        made = [_sorted(Path(folder), n, target) for n in range(_RANGES)]
    table.replace(old, made)
    print(f"{sum(f.rows for f in made)} records in {len(made)} files")


def _key(group: str, resource: str, namespace: str, name: str) -> int:
    return object_key("default", group, resource, namespace, name)


def _copy(con: Any, files: list[str], folder: Path, copy: int, seconds: int) -> None:
    """Writes one copy's records, a file for each range of their objects' keys."""
    columns = [n for n, _ in TABLE_COLUMNS["audit"] if n not in ("day", "cluster")]
    source = "SELECT * FROM read_parquet($files, hive_partitioning = false)"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE base AS SELECT {', '.join(_moved(c, copy, seconds) for c in columns)} "
        f"FROM ({source})",
        {"files": files},
    )
    if copy:
        names = "coalesce(api_group, '') AS g, coalesce(resource, '') AS r, coalesce(namespace, '') AS s, "
        names += "coalesce(name, '') AS n"
        con.execute(
            "CREATE OR REPLACE TEMP TABLE keys AS SELECT *, kw_key(g, r, s, n) AS k FROM "
            f"(SELECT DISTINCT {names} FROM base WHERE resource <> '')"
        )
        con.execute(
            "UPDATE base SET object_key = k FROM keys WHERE coalesce(api_group, '') = g AND resource = r "
            "AND coalesce(namespace, '') = s AND coalesce(name, '') = n"
        )
    width = 2**64 // _RANGES + 1
    con.execute(
        f"COPY (SELECT *, ((object_key::HUGEINT + {2**63}) // {width})::INT AS part FROM base) "
        f"TO '{folder / f'copy-{copy}'}' (FORMAT parquet, PARTITION_BY (part))"
    )


def _moved(column: str, copy: int, seconds: int) -> str:
    value = f'"{column}"'
    if not copy:
        return value
    if column in _TIMES:
        value = f"{column} + to_seconds({copy * seconds})"
    elif column in _IDS:
        value = f"CASE WHEN {column} <> '' THEN left({column}, 34) || '{copy:02x}' ELSE {column} END"
    elif column in _NAMED:
        value = rf"regexp_replace({column}, '((?:shop|payments|staging)-\d+)', '\1{copy:02}')"
    elif column == "record_key":
        value = f"unhex(md5(hex(record_key) || '{copy}'))"
    return f'{value} AS "{column}"'


def _sorted(folder: Path, part: int, target: Path) -> NewFile:
    """One range's file, as a merge makes it."""
    files = [str(f) for f in folder.glob(f"copy-*/part={part}/*.parquet")]
    name = str(target / f"part-{part:05}-multiplied.zstd.parquet")
    return merging._merge(Task("audit", [(None, files)], name, str(folder), sort=True))


if __name__ == "__main__":
    main()
