"""What a row can only know beside other rows: repeats, reused auditIDs, how much an Event's count grew.

Used by the writer before a commit and by readers for what is still in the journal, so that both see the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
from arro3.core import Array, DataType
from arro3.core import Table as ArrowTable

from kubewitness.store.columns import ARRIVAL, Row, place
from kubewitness.store.livefiles import LiveFile
from kubewitness.store.reuse import FLAG, SeenIds
from kubewitness.store.tables import DeltaStoreTable

_A_ID, _A_RECEIVED = place("audit", "audit_id"), place("audit", "received_ts")
_A_FLAGS = place("audit", "flags")
_E_UID, _E_COUNT, _E_DELTA = place("events", "uid"), place("events", "count"), place("events", "count_delta")
_E_CHANGE = place("events", "change")
#: Event uids whose last count is remembered
_COUNTS = 50_000


class Enricher:
    """Looks rows up in the committed tables. Not for two threads at once."""

    def __init__(self, con: duckdb.DuckDBPyConnection, seen_ids: SeenIds) -> None:
        self._con = con
        self._seen_ids = seen_ids
        self._counts: dict[tuple[str, str], int] = {}

    # --- repeats -----------------------------------------------------------------------------------------------------

    def repeats(self, table: DeltaStoreTable, rows: Sequence[Row]) -> set[bytes]:
        """The record keys of these rows that the table already holds.

        A repeat has the same `ts`, so only files whose range of `ts` meets that of the rows are looked into;
        except where the time is only that of arrival, which a repeat does not share.
        """
        if not rows or not table.exists:
            return set()
        at, flags = place(table.name, "record_key"), place(table.name, "flags")
        by_arrival = [row for row in rows if table.name == "rejects" or ARRIVAL in row[flags]]
        found: set[bytes] = set()
        if by_arrival:
            found |= self._known_keys([f.path for f in table.files()], [row[at] for row in by_arrival], 0, 2**60)
        if len(by_arrival) < len(rows):
            times = [row[0] for row in rows]
            low, high = min(times), max(times)
            files = overlapping(table.files(), low, high)
            found |= self._known_keys(files, [row[at] for row in rows], low, high)
        return found

    def without_repeats(self, table: DeltaStoreTable, rows: ArrowTable) -> ArrowTable:
        """The rows that the table does not hold already."""
        if not table.exists or not rows.num_rows:
            return rows
        keys = [bytes(k) for k in rows.column("record_key").to_pylist()]
        flags = rows.column("flags").to_pylist()
        times = rows.column("ts").cast(DataType.int64()).to_pylist()
        found: set[bytes] = set()
        by_arrival = [k for k, f in zip(keys, flags, strict=True) if table.name == "rejects" or ARRIVAL in f]
        if by_arrival:
            found |= self._known_keys([f.path for f in table.files()], by_arrival, 0, 2**60)
        low, high = min(times), max(times)
        found |= self._known_keys(overlapping(table.files(), low, high), keys, low, high)
        if not found:
            return rows
        kept = [i for i, k in enumerate(keys) if k not in found]
        batches = rows.combine_chunks().to_batches()
        return ArrowTable.from_batches([b.take(Array(kept, DataType.int64())) for b in batches], schema=rows.schema)

    def _known_keys(self, files: list[str], keys: list[bytes], low: int, high: int) -> set[bytes]:
        if not files:
            return set()
        batch = ArrowTable.from_pydict({"k": Array(keys, DataType.binary())})
        found = self._with(
            batch,
            "SELECT k FROM kw_batch WHERE k IN (SELECT record_key FROM read_parquet($files)"
            " WHERE ts BETWEEN make_timestamptz($low::BIGINT) AND make_timestamptz($high::BIGINT))",
            {"files": files, "low": low, "high": high},
        )
        return {bytes(k) for (k,) in found}

    def _with(self, batch: ArrowTable, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        self._con.register("kw_batch", batch)
        try:
            return self._con.execute(sql, params).fetchall()
        finally:
            self._con.unregister("kw_batch")

    # --- reused auditIDs ---------------------------------------------------------------------------------------------

    def flag_reused(
        self,
        table: DeltaStoreTable,
        rows: list[Row],
        clusters: Sequence[str],
        forms: Sequence[str],
        batch: dict[tuple[str, str], int],
    ) -> None:
        """Flags rows of table audit in place. `clusters`, `forms`: by chunk number; `batch`: the time of reception of
        each (cluster, auditID) met before in this commit."""
        asked: list[tuple[str, str, int]] = []
        setdefault = batch.setdefault
        for i, row in enumerate(rows):
            number = row[-1]
            if forms[number]:
                continue  # clouds that reshape records give each its own time of reception
            cluster, audit_id, received = clusters[number], row[_A_ID], row[_A_RECEIVED]
            before = len(batch)
            known = setdefault((cluster, audit_id), received)
            if len(batch) != before:
                asked.append((cluster, audit_id, received))
            elif known != received:
                rows[i] = _flagged(row)
        suspects = [asked[i] for i in self._seen_ids.check(asked)]
        if not suspects:
            return
        times = self._times_of(table, [s[:2] for s in suspects])
        guilty = {s for s in suspects if times.get(s[:2], set()) - {s[2]}}
        for i, row in enumerate(rows):
            if (clusters[row[-1]], row[_A_ID], row[_A_RECEIVED]) in guilty:
                rows[i] = _flagged(row)

    def _times_of(self, table: DeltaStoreTable, ids: list[tuple[str, str]]) -> dict[tuple[str, str], set[int]]:
        files = [f.path for f in table.files()]
        if not files:
            return {}
        batch = ArrowTable.from_pydict({"a": Array([audit_id for _, audit_id in ids], DataType.string())})
        found = self._with(
            batch,
            "SELECT DISTINCT cluster, audit_id, epoch_us(received_ts) FROM"
            " read_parquet($files, hive_partitioning = true,"
            " hive_types = {day: DATE, cluster: VARCHAR}) WHERE audit_id IN (SELECT a FROM kw_batch)",
            {"files": files},
        )
        times: dict[tuple[str, str], set[int]] = {}
        for cluster, audit_id, received in found:
            times.setdefault((cluster, audit_id), set()).add(received)
        return times

    # --- Event counts ------------------------------------------------------------------------------------------------

    def count_deltas(self, table: DeltaStoreTable, rows: list[Row], clusters: Sequence[str]) -> None:
        """Fills `count_delta` of rows of table events: occurrences that this version adds to those known before."""
        unknown = {
            row[_E_UID] for row in rows if row[_E_COUNT] > 1 and (clusters[row[-1]], row[_E_UID]) not in self._counts
        }
        if unknown:
            self._load_counts(table, unknown)
        for i, row in enumerate(rows):
            ident = (clusters[row[-1]], row[_E_UID])
            before = self._counts.get(ident, 0)
            delta = 0 if row[_E_CHANGE] == "EXPIRED" else max(0, row[_E_COUNT] - before)
            self._counts[ident] = max(before, row[_E_COUNT])
            rows[i] = (*row[:_E_DELTA], delta, *row[_E_DELTA + 1 :])
        while len(self._counts) > _COUNTS:
            del self._counts[next(iter(self._counts))]

    def forget(self) -> None:
        """Somebody else has written to the tables."""
        self._counts.clear()

    def _load_counts(self, table: DeltaStoreTable, uids: set[str]) -> None:
        files = [f.path for f in table.files()]
        if not files:
            return
        batch = ArrowTable.from_pydict({"u": Array(sorted(uids), DataType.string())})
        found = self._with(
            batch,
            "SELECT cluster, uid, max(count) FROM read_parquet($files, hive_partitioning = true,"
            " hive_types = {day: DATE, cluster: VARCHAR}) WHERE uid IN (SELECT u FROM kw_batch) GROUP BY 1, 2",
            {"files": files},
        )
        for cluster, uid, count in found:
            self._counts[cluster, uid] = count


def overlapping(files: Sequence[LiveFile], low: int, high: int) -> list[str]:
    """Paths of the files whose range of `ts` meets [low, high] (microseconds)."""
    return [
        f.path for f in files if f.min_ts is None or f.max_ts is None or (f.min_ts <= high and f.max_ts + 999 >= low)
    ]


def _flagged(row: Row) -> Row:
    flags = ",".join(filter(None, (row[_A_FLAGS], FLAG))) if FLAG not in row[_A_FLAGS] else row[_A_FLAGS]
    return (*row[:_A_FLAGS], flags, *row[_A_FLAGS + 1 :])
