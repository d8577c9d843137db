"""Giving space back: finds and deletes what no version of a table needs any more.

What is not live is first noted, and deleted when it has been noted for the grace period: readers that still stand on an
older version finish, or find their file gone and start afresh. What is not live may also be what another writer has
just written and not yet committed, where there may be others (`shared`). So before anything is deleted there, a commit
without rows goes to each table that might still take it in: whoever wrote it stood on an older version, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from kubewitness.store.livefiles import LiveFile
from kubewitness.store.places import Directory, listed, remove_file
from kubewitness.store.positions import HOME, POSITIONS, position_name
from kubewitness.store.segments import segment_name, segment_sizes
from kubewitness.store.tables import DeltaStoreTable

#: Where there are other writers no grace is shorter (seconds): well above `writer.RETRY_SECONDS`.
SHORTEST_SHARED = 60.0


class Leftovers:
    """Works on the tables of a store that is open for writing. Names are relative to the store."""

    def __init__(
        self,
        directory: Directory,
        tables: dict[str, DeltaStoreTable],
        con: duckdb.DuckDBPyConnection,
        *,
        shared: bool,
    ) -> None:
        self._directory = directory
        self._tables = tables
        self._con = con
        self._shared = shared

    def vacuum(self, noted: dict[str, float], grace: float, moment: float) -> int:
        """Deletes what was noted `grace` seconds ago and is still not live; brings the notes up to date (name ->
        seconds since 1970). Returns bytes freed."""
        grace = max(grace, SHORTEST_SHARED) if self._shared else grace
        dead = self._dead()
        for name in [n for n in noted if n not in dead]:
            del noted[name]
        for name in dead:
            noted.setdefault(name, moment)
        due = [name for name, since in noted.items() if since <= moment - grace]
        if due and self._shared:
            self._shut_out_who_wrote(due)
            dead = self._dead()
        freed = 0
        for name in due:
            if name in dead:
                freed += dead[name]
                self._remove(name)
            del noted[name]
        return freed

    def _remove(self, name: str) -> None:
        remove_file(self._directory / name)
        if isinstance(self._directory, Path):
            _remove_empty((self._directory / name).parent, self._directory)

    def _shut_out_who_wrote(self, names: Iterable[str]) -> None:
        """Each commit that could still make one of these live is refused when this returns."""
        of = {name.partition("/")[0] for name in names}
        wanted = set(self._tables) if "raw" in of else {HOME if o == "positions" else o for o in of}
        for name in sorted(wanted):
            if self._tables[name].begin():
                self._tables[name].touch({})

    def _dead(self) -> dict[str, int]:
        """Bytes of what is not live, by name."""
        found: dict[str, int] = {}
        for name, table in self._tables.items():
            if table.refresh():
                start = len(str(table.directory)) + 1
                live = {f.path[start:] for f in table.files()}
                for file in listed(table.directory, ".parquet"):
                    if file.name.startswith("day=") and file.name not in live:
                        found[f"{name}/{file.name}"] = file.size
        found |= self._dead_segments()
        home = self._tables[HOME]
        current = position_name(home.cursor(POSITIONS)) if home.exists else ""
        for file in listed(self._directory / "positions", ".json"):
            if file.name != current:
                found[f"positions/{file.name}"] = file.size
        return found

    def _dead_segments(self) -> dict[str, int]:
        """Segments that no live row points into. On a disk the newest is kept: it is being written."""
        sizes = segment_sizes(self._directory / "raw")
        candidates = set(list(sizes)[:-1] if isinstance(self._directory, Path) else sizes)
        files = [f for t in self._tables.values() for f in t.files()]
        return {f"raw/{segment_name(n)}": sizes[n] for n in sorted(candidates - self.segments_of(files))}

    def segments_of(self, files: list[LiveFile]) -> set[int]:
        """The segments that rows of these files point into."""
        found: set[int] = set()
        wide = []
        for f in files:
            if f.min_seg is not None and f.min_seg == f.max_seg:
                found.add(f.min_seg)  # the statistics say it all
            else:
                wide.append(f.path)
        if wide:
            rows = self._con.execute("SELECT DISTINCT raw_seg FROM read_parquet($f)", {"f": wide}).fetchall()
            found |= {n for (n,) in rows if n is not None}
        return found


def _remove_empty(directory: Directory, root: Path) -> None:
    """Directories of partitions that are gone."""
    while isinstance(directory, Path) and directory != root and directory.name.startswith(("day=", "cluster=")):
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent
