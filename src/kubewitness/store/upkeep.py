"""Few files and bounded space: compaction, retention, and giving space back.

Compaction of the open days merges in tiers (files under 2 MB into one of some 16 MB, those into one of some 128 MB,
then 512 MB), so that each row is rewritten a few times at most however often it is called. A day that is over and quiet
is sorted once by `object_key`; which file that made is kept in `upkeep.json`. The work is done in `merging`.

How space is given back: `leftovers`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from deltalake import PostCommitHookProperties

from kubewitness.errors import StateError
from kubewitness.store.leftovers import Leftovers
from kubewitness.store.livefiles import LiveFile, date_text
from kubewitness.store.merging import NewFile, merge
from kubewitness.store.places import Directory, read_file, remove_file, replace_file
from kubewitness.store.segments import segment_sizes
from kubewitness.store.tables import DeltaStoreTable

#: Files smaller than a tier (bytes) are merged, into one of about the next tier at most, once there are so many.
TIERS = (2 * 1024**2, 16 * 1024**2, 128 * 1024**2)
MERGE_AT = 10
#: A day counts as over this long (seconds) after its end, and as quiet this long after its last new file.
_AFTER_DAY = 3600
_QUIET = 600
#: A sorted day is sorted again when so much of it (part of its bytes) came later.
_RESORT = 0.2

#: Rows that are sorted at once (some 350 MB, in a process of its own); a larger day becomes several files, each
#: with its own range of object keys.
SORT_ROWS = 1_000_000

GRACE_SECONDS = 600.0


@dataclass
class CompactResult:
    """Files merged into `added`; `sorted_days` partitions sorted."""

    removed: int = 0
    added: int = 0
    sorted_days: int = 0


@dataclass
class PruneResult:
    """Days dropped (counted per table), records and bytes given up; `freed` bytes already given back to the disk."""

    days: int = 0
    records: int = 0
    bytes: int = 0
    freed: int = 0


class Upkeep:
    """Works on the tables of a store whose lock is held."""

    def __init__(
        self,
        directory: Directory,
        tables: dict[str, DeltaStoreTable],
        con: duckdb.DuckDBPyConnection,
        spill: Path,
        *,
        shared: bool = False,
    ) -> None:
        self._directory = directory
        self._spill = spill
        self._tables = tables
        self._con = con
        self._path = directory / "upkeep.json"
        self._leftovers = Leftovers(directory, tables, con, shared=shared)

    # --- compaction --------------------------------------------------------------------------------------------------

    def compact(
        self, names: Iterable[str] | None = None, *, now: float | None = None, all_days: bool = False
    ) -> CompactResult:
        """Merges what is worth merging. `all_days`: sorts the open day too, now."""
        result = CompactResult()
        moment = time.time() if now is None else now
        state = self._load()
        for name in names or self._tables:
            table = self._tables[name]
            if table.refresh():
                for partition, files in _partitions(table.files()).items():
                    self._compact_partition(table, partition, files, state, moment, all_days, result)
        self._save(state)
        return result

    def _compact_partition(
        self,
        table: DeltaStoreTable,
        partition: tuple[int, str],
        files: list[LiveFile],
        state: dict[str, Any],
        moment: float,
        all_days: bool,
        result: CompactResult,
    ) -> None:
        day, cluster = partition
        ident = f"{table.name}/{date_text(day)}/{cluster}"
        done = set(state["sorted"].get(ident, ()))
        late = [f for f in files if Path(f.path).name not in done]
        over = moment > (day + 1) * 86_400 + _AFTER_DAY
        quiet = all(f.modified_ms / 1000 < moment - _QUIET for f in late)
        worth = not done or sum(f.size for f in late) > _RESORT * sum(f.size for f in files) or len(late) >= MERGE_AT
        if late and worth and (all_days or (over and quiet)):
            self._merge(table, files, result, sort=True)
            now_live = _partitions(table.files()).get(partition, [])
            state["sorted"][ident] = [Path(f.path).name for f in now_live]
            result.sorted_days += 1
            return
        while small := _worth_merging(late):
            self._merge(table, small, result, sort=False)
            late = [f for f in _partitions(table.files()).get(partition, []) if Path(f.path).name not in done]

    def _merge(self, table: DeltaStoreTable, files: list[LiveFile], result: CompactResult, *, sort: bool) -> None:
        files = sorted(files, key=lambda f: (f.min_ts or 0, f.modified_ms))
        groups: dict[frozenset[str] | None, list[str]] = {}
        for f in files:
            groups.setdefault(table.columns_of(f, self._con), []).append(f.path)
        parts: list[tuple[Collection[str] | None, Sequence[str]]] = list(groups.items())
        expected = sum(f.rows for f in files)
        ranges = max(1, -(-expected // SORT_ROWS)) if sort else 1
        new: list[NewFile] = []
        try:
            for i in range(ranges):
                directory = table.partition_of(files[0])
                new.append(merge(table.name, parts, directory, self._spill, sort=sort, part=i, parts=ranges))
            rows = sum(n.rows for n in new)
            if rows != expected:
                raise StateError(f"merging {len(files)} files of table {table.name} gave {rows} rows, not {expected}")
        except StateError:
            self._discard(new)
            raise
        table.replace(files, [n for n in new if n.rows])
        self._discard([n for n in new if not n.rows])
        result.removed += len(files)
        result.added += len(new)

    def _discard(self, files: Sequence[NewFile]) -> None:
        root = f"{self._directory}/"
        for file in files:
            remove_file(self._directory / file.path.removeprefix(root))

    # --- retention ---------------------------------------------------------------------------------------------------

    def prune(
        self,
        *,
        max_age: float | None = None,
        max_bytes: int | None = None,
        now: float | None = None,
        grace: float = GRACE_SECONDS,
    ) -> PruneResult:
        """Drops whole days: those older than `max_age` seconds, then the oldest until all fits into `max_bytes`.

        The newest day stays, whatever its size. Space comes back when `grace` seconds have passed (see `vacuum`).
        """
        result = PruneResult()
        moment = time.time() if now is None else now
        for table in self._tables.values():
            table.refresh()
        if max_age is not None:
            oldest = int((moment - max_age) // 86_400)
            self._drop({d for d in self._days() if d < oldest}, result)
        if max_bytes is not None:
            self._drop(self._days_over(max_bytes), result)
        result.freed = self.vacuum(grace=grace)
        return result

    def _days(self) -> list[int]:
        return sorted({f.day for t in self._tables.values() for f in t.files()})

    def _days_over(self, max_bytes: int) -> set[int]:
        """The oldest days whose going makes the rest fit. A segment counts until no kept day points into it."""
        days = self._days()
        sizes = segment_sizes(self._directory / "raw")
        files = [f for t in self._tables.values() for f in t.files()]
        needed = {d: self._leftovers.segments_of([f for f in files if f.day == d]) for d in days}
        dropped: set[int] = set()
        while len(days) - len(dropped) > 1:
            kept = [d for d in days if d not in dropped]
            live = set().union(*(needed[d] for d in kept))
            size = sum(f.size for t in self._tables.values() for f in t.files() if f.day not in dropped)
            size += sum(bytes_ for number, bytes_ in sizes.items() if number in live)
            if size <= max_bytes:
                break
            dropped.add(kept[0])
        return dropped

    def _drop(self, days: set[int], result: PruneResult) -> None:
        for table in self._tables.values():
            for day in sorted({f.day for f in table.files()} & days):
                gone = [f for f in table.files() if f.day == day]
                with table.committing(f"drop {date_text(day)} of"):
                    table.dt.delete(
                        f"day = DATE '{date_text(day)}'",
                        commit_properties=table.properties(),
                        post_commithook_properties=PostCommitHookProperties(
                            create_checkpoint=True, cleanup_expired_logs=False
                        ),
                    )
                table.sync_last_commit()
                result.days += 1
                result.records += sum(f.rows for f in gone)
                result.bytes += sum(f.size for f in gone)

    # --- giving space back -------------------------------------------------------------------------------------------

    def vacuum(self, *, grace: float = GRACE_SECONDS, now: float | None = None) -> int:
        """Deletes files that have not been live for `grace` seconds, and old log entries. Returns bytes freed."""
        state = self._load()
        freed = self._leftovers.vacuum(state["dead"], grace, time.time() if now is None else now)
        self._save(state)
        for table in self._tables.values():
            if table.exists:
                freed += table.clean_log()
        return freed

    def size(self) -> int:
        """Bytes of the live files of all tables and of the raw segments."""
        return sum(f.size for t in self._tables.values() for f in t.files()) + sum(
            segment_sizes(self._directory / "raw").values()
        )

    # --- its own notes -----------------------------------------------------------------------------------------------

    def _load(self) -> dict[str, Any]:
        try:
            state = json.loads(read_file(self._path))
        except (FileNotFoundError, ValueError):
            state = {}  # only saves work: days are sorted again, grace periods begin again
        return {"sorted": dict(state.get("sorted", {})), "dead": dict(state.get("dead", {}))}

    def _save(self, state: dict[str, Any]) -> None:
        live = {f"{n}/{date_text(f.day)}/{f.cluster}" for n, t in self._tables.items() for f in t.files()}
        state["sorted"] = {k: v for k, v in state["sorted"].items() if k in live}
        replace_file(self._path, json.dumps(state).encode())


def _partitions(files: Iterable[LiveFile]) -> dict[tuple[int, str], list[LiveFile]]:
    found: dict[tuple[int, str], list[LiveFile]] = {}
    for f in files:
        found.setdefault((f.day, f.cluster), []).append(f)
    return found


def _worth_merging(files: list[LiveFile]) -> list[LiveFile]:
    """The oldest files of the first tier that has enough of them, as many as make about one of the next tier."""
    for tier, size in zip(TIERS, (*TIERS[1:], TIERS[-1] * 4), strict=True):
        small = sorted((f for f in files if f.size < tier), key=lambda f: f.modified_ms)
        if len(small) < MERGE_AT:
            continue
        chosen: list[LiveFile] = []
        for f in small:
            if len(chosen) >= MERGE_AT and sum(c.size for c in chosen) >= size:
                break
            chosen.append(f)
        return chosen
    return []
