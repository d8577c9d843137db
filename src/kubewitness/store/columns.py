"""Rows to Arrow: one tuple a record in, one column at a time out.

A row tuple holds, in order, `ts`, the table's own columns, and the tail columns that differ between records
(`ROW_COLUMNS`). What is the same for a whole chunk (cluster, arrival, source, form, where its frame lies) is added
here, from the chunk's number in the row's last place.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from arro3.core import Array, DataType, Field, Schema, Table, list_array

from kubewitness.store.schema import TABLE_COLUMNS, ColumnType

Row = tuple[Any, ...]

#: Columns that a chunk gives to all its rows, and `day`, which is made from `ts`.
CHUNK_COLUMNS = ("cluster", "arrived_ts", "source", "form", "raw_seg", "raw_frame")
_MADE = frozenset((*CHUNK_COLUMNS, "day"))

#: What each place of a row tuple is; the last one is the chunk's number within the batch.
ROW_COLUMNS: dict[str, tuple[str, ...]] = {
    table: (*(name for name, _ in columns if name not in _MADE), "chunk") for table, columns in TABLE_COLUMNS.items()
}

DAY_US = 86_400_000_000

#: Flag of rows whose `ts` is only the time of arrival.
ARRIVAL = "time-from-arrival"

_TIME = DataType.timestamp("us", tz="UTC")
_ARROW: dict[ColumnType, DataType] = {
    "time": _TIME,
    "text": DataType.string(),
    "texts": DataType.list(Field("item", DataType.string())),
    "int32": DataType.int32(),
    "int64": DataType.int64(),
    "bool": DataType.bool(),
    "bytes": DataType.binary(),
    "date": DataType.date32(),
}
_SQL: dict[ColumnType, str] = {
    "time": "TIMESTAMP WITH TIME ZONE",
    "text": "VARCHAR",
    "texts": "VARCHAR[]",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "bool": "BOOLEAN",
    "bytes": "BLOB",
    "date": "DATE",
}


class Origin(NamedTuple):
    """What all rows of a chunk share. `raw_seg`, `raw_frame`: where its frame lies (see `store.schema`)."""

    cluster: str
    arrived_us: int
    source: str
    form: str
    raw_seg: int
    raw_frame: int


def sql_type(kind: ColumnType) -> str:
    """The SQL type of a column."""
    return _SQL[kind]


def arrow_schema(table: str) -> Schema:
    """The Arrow schema of a table, partition columns included."""
    return Schema([Field(name, _ARROW[kind]) for name, kind in TABLE_COLUMNS[table]])


def place(table: str, column: str) -> int:
    """Where a column is in a row tuple."""
    return ROW_COLUMNS[table].index(column)


def build(table: str, rows: Sequence[Row], origins: Sequence[Origin], days: Sequence[int]) -> Table:
    """The Arrow table of some rows. `days` are days since 1970 of each row's partition."""
    values: dict[str, Sequence[Any]] = dict(zip(ROW_COLUMNS[table], zip(*rows, strict=True), strict=True))
    numbers = values.pop("chunk")
    for i, name in enumerate(CHUNK_COLUMNS):
        each = [origin[i] for origin in origins]
        values["arrived_ts" if name == "arrived_us" else name] = [each[n] for n in numbers]
    values["day"] = days
    arrays = [_array(kind, values[name]) for name, kind in TABLE_COLUMNS[table]]
    return Table.from_arrays(arrays, schema=arrow_schema(table))


def _array(kind: ColumnType, values: Sequence[Any]) -> Array:
    if kind == "text":
        return Array(values, _ARROW["text"])
    if kind == "time":
        return _integers("q", values, DataType.int64()).cast(_TIME)
    if kind == "int64":
        return _integers("q", values, DataType.int64())
    if kind == "int32":
        return _integers("i", values, DataType.int32())
    if kind == "date":
        return _integers("i", values, DataType.int32()).cast(_ARROW["date"])
    if kind == "texts":
        offsets = array("i", accumulate((len(v) for v in values), initial=0))
        texts = Array([text for v in values for text in v], _ARROW["text"])
        return list_array(Array.from_buffer(offsets), texts, type=_ARROW["texts"])
    return Array(values, _ARROW[kind])


def _integers(code: str, values: Sequence[Any], kind: DataType) -> Array:
    try:
        return Array.from_buffer(array(code, values))  # no copy per value; fails only where one is None
    except TypeError:
        return Array(values, kind)
