"""Merges Parquet files of one partition into one, in a process of its own.

    python -m kubewitness.store.merging < task.json > result.json

A process of its own, because sorting a day takes some 350 MB for half a minute, whatever the day's size, which a
recorder must neither reserve nor risk: if the system ends this process, nothing is lost and the day stays unsorted.
It takes no lock: it reads files that are never changed, and writes one that nobody knows yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kubewitness.errors import StateError
from kubewitness.store import sqlbase
from kubewitness.store.columns import sql_type
from kubewitness.store.objectdir import ObjectDir
from kubewitness.store.places import Directory, let_read
from kubewitness.store.schema import TABLE_COLUMNS

#: Columns with minimum and maximum in the log: those that skip files.
STATS_COLUMNS = ("ts", "object_key", "raw_seg")
#: Rows of a row group: what a lookup by object reads at least.
ROW_GROUP = 16_384
#: Memory for the merge (MB): streaming needs little, a sort some blocks of every column.
_MERGE_MB = 160
_SORT_MB = 288


class NewFile(msgspec.Struct):
    """A Parquet file that is complete and synced but not yet part of a table; statistics as the Delta log has them."""

    path: str
    size: int
    rows: int
    low: dict[str, Any]
    high: dict[str, Any]
    nulls: dict[str, int]


class Task(msgspec.Struct):
    """`groups`: files by the columns they have (None: all of the schema). `spill`: directory for what is too much."""

    table: str
    groups: list[tuple[list[str] | None, list[str]]]
    target: str
    spill: str
    sort: bool
    #: the object store that the files are on, "" for none
    store: str = ""
    #: only this part (from 0) of so many, by ranges of `object_key`
    part: int = 0
    parts: int = 1


def merge(
    table: str,
    groups: Sequence[tuple[Collection[str] | None, Sequence[str]]],
    directory: Directory,
    spill: Path,
    *,
    sort: bool,
    part: int = 0,
    parts: int = 1,
) -> NewFile:
    """The new file in `directory`. StateError when it could not be made; then nothing is left of it.

    `part` of `parts`: only the rows of one range of `object_key`, so that what is sorted at once stays small.
    """
    name = f"part-{uuid.uuid4()}.zstd.parquet"
    local = directory if isinstance(directory, Path) else spill
    local.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = local / name
    task = Task(
        table,
        [(None if c is None else sorted(c), list(f)) for c, f in groups],
        str(target),
        str(spill),
        sort,
        "" if isinstance(directory, Path) else directory.uri,
        part,
        parts,
    )
    done = subprocess.run(
        [sys.executable, "-m", "kubewitness.store.merging"],
        input=msgspec.json.encode(task),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        # a traceback's last lines: the error's own first line says what is wrong, what follows is advice
        reason = next((x for x in reversed(lines) if "Error" in x or "Exception" in x), f"exit code {done.returncode}")
        raise StateError(f"cannot merge files of table {table}: {reason[:300]}")
    made = msgspec.json.decode(done.stdout, type=NewFile)
    if isinstance(directory, Path):
        return made
    try:
        (directory / name).write(target)
    finally:
        target.unlink(missing_ok=True)
    return msgspec.structs.replace(made, path=str(directory / name))


def main() -> None:
    """Does the task on stdin."""
    os.nice(5)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    sys.stdout.buffer.write(msgspec.json.encode(_merge(task)))


def _merge(task: Task) -> NewFile:
    con = sqlbase.connect(memory_mb=_SORT_MB if task.sort else _MERGE_MB, threads=1, spill=Path(task.spill))
    if task.store:
        let_read(con, ObjectDir(task.store))
    con.execute(f"SET preserve_insertion_order = {str(not task.sort).lower()}")
    columns = [(n, k) for n, k in TABLE_COLUMNS[task.table] if n not in ("day", "cluster")]
    where = _range(task.part, task.parts)
    selects = []
    for present, files in task.groups:
        names = ", ".join(
            f'"{n}"' if present is None or n in present else f'NULL::{sql_type(k)} AS "{n}"' for n, k in columns
        )
        listed = ", ".join("'" + f.replace("'", "''") + "'" for f in files)
        selects.append(f"SELECT {names} FROM read_parquet([{listed}], hive_partitioning = false){where}")  # noqa: S608
    order = " ORDER BY object_key, ts" if task.sort else ""
    target = task.target.replace("'", "''")
    # A dictionary for every column that repeats at all: DuckDB adds bloom filters to those, audit_id among them.
    con.execute(
        f"COPY ({' UNION ALL '.join(selects)}{order}) TO '{target}' (FORMAT parquet, COMPRESSION zstd,"
        f" COMPRESSION_LEVEL 3, ROW_GROUP_SIZE {ROW_GROUP}, DICTIONARY_SIZE_LIMIT {ROW_GROUP},"
        " BLOOM_FILTER_FALSE_POSITIVE_RATIO 0.01)"
    )
    fd = os.open(task.target, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return NewFile(task.target, Path(task.target).stat().st_size, *_stats(con, task.target))


def _range(part: int, parts: int) -> str:
    """A WHERE for one of equal ranges of the signed 64-bit keys; rows without a key are in the first."""
    if parts == 1:
        return ""
    edge = [-(2**63) + 2**64 * i // parts for i in range(parts + 1)]
    low = "object_key IS NULL OR " if part == 0 else f"object_key >= ({edge[part]})::HUGEINT AND "
    return f" WHERE {low}object_key < ({edge[part + 1]})::HUGEINT"


def _stats(con: Any, target: str) -> tuple[int, dict[str, Any], dict[str, Any], dict[str, int]]:
    """(rows, minimum, maximum, count of nulls) of the columns with statistics, as the Delta log spells them."""
    selected = ["count(*)"]
    for name in STATS_COLUMNS:
        value = "epoch_us(ts)" if name == "ts" else name
        selected += [f"min({value})", f"max({value})", f"count(*) - count({name})"]
    row = con.execute(f"SELECT {', '.join(selected)} FROM read_parquet($f)", {"f": target}).fetchall()[0]  # noqa: S608
    low, high, nulls = {}, {}, {}
    for i, name in enumerate(STATS_COLUMNS):
        minimum, maximum, missing = row[1 + 3 * i : 4 + 3 * i]
        if minimum is not None:
            low[name] = _time(minimum) if name == "ts" else minimum
            high[name] = _time(maximum) if name == "ts" else maximum
        nulls[name] = missing
    return int(row[0]), low, high, nulls


def _time(us: int) -> str:
    from kubewitness.formats.times import format_us

    return format_us(us)


if __name__ == "__main__":
    main()
