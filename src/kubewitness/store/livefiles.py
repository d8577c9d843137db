"""The Parquet files of a Delta table's version, as its log describes them."""

from __future__ import annotations

import datetime
from typing import NamedTuple
from urllib.parse import unquote

from deltalake import DeltaTable

from kubewitness.store.places import Directory


class LiveFile(NamedTuple):
    """A Parquet file of a table's current version. Times are microseconds UTC; None where it has no statistics."""

    path: str
    size: int
    rows: int
    modified_ms: int
    day: int
    cluster: str
    min_ts: int | None
    max_ts: int | None
    min_seg: int | None
    max_seg: int | None


def live_files(dt: DeltaTable, directory: Directory) -> list[LiveFile]:
    actions = dt.get_add_actions(flatten=True)
    columns = {name: actions.column(name).to_pylist() for name in actions.column_names}
    none = [None] * actions.num_rows
    epoch = datetime.date(1970, 1, 1)

    def micros(name: str) -> list[int | None]:
        return [None if v is None else _us(v) for v in columns.get(name, none)]

    return [
        LiveFile(str(directory / unquote(path)), *rest)
        for path, *rest in zip(
            columns["path"],
            columns["size_bytes"],
            columns["num_records"],
            columns["modification_time"],
            [(d - epoch).days for d in columns["partition.day"]],
            [c or "" for c in columns["partition.cluster"]],
            micros("min.ts"),
            micros("max.ts"),
            columns.get("min.raw_seg", none),
            columns.get("max.raw_seg", none),
            strict=True,
        )
    ]


def date_text(day: int) -> str:
    """The date of days since 1970."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


def _us(value: object) -> int:
    assert isinstance(value, datetime.datetime)
    delta = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
