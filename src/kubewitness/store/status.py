"""What a state holds and how far behind its tables are, for `status`, /api/v1/status and `doctor`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kubewitness.config.alive import published
from kubewitness.config.state import StatePaths
from kubewitness.formats.times import format_us
from kubewitness.journal import Held, Journal
from kubewitness.record import TABLES
from kubewitness.store.lock import lock_holder
from kubewitness.store.places import store_directory
from kubewitness.store.segments import segment_sizes
from kubewitness.store.tables import DeltaStoreTable


def status(paths: StatePaths) -> dict[str, Any]:
    """Numbers and strings ready for JSON; sizes in bytes, times RFC 3339 or null. StateError when unreadable."""
    if not (paths.root / "pipelines").is_dir():  # those may have no store at all
        paths.require()
    directory = store_directory(paths)
    journal = _journal(paths)
    tables = {name: _table(DeltaStoreTable(name, directory / name)) for name in TABLES}
    for name, waiting in journal.pop("waiting").items():
        tables[name]["waiting"] = waiting
    raw = segment_sizes(directory / "raw")
    disk = shutil.disk_usage(_existing(directory if isinstance(directory, Path) else paths.root))
    holder = lock_holder(paths.store_lock)
    return {
        "state": str(paths.root),
        "store": str(directory),
        "recorder": {"alive": holder is not None, **(holder or {"pid": None, "since": None})},
        "inputs": _inputs(paths),
        "election": _election(paths),
        "journal": journal,
        "tables": tables,
        "raw": {"segments": len(raw), "bytes": sum(raw.values())},
        "rejects": tables["rejects"]["rows"] + tables["rejects"]["waiting"]["records"],
        "set_aside": _set_aside(paths),
        "duplicates": journal["duplicates"],
        "disk": {"total_bytes": disk.total, "free_bytes": disk.free},
    }


def _inputs(paths: StatePaths) -> list[dict[str, Any]]:
    """Of all recorders of this state that live now: {"name", "pid", "state", ...} for each of their inputs."""
    return [
        {"name": name, "pid": int(pid), **health}
        for pid, recorder in published(paths.root).items()
        for name, health in recorder.get("inputs", {}).items()
    ]


def _set_aside(paths: StatePaths) -> list[dict[str, Any]]:
    """What the outputs of pipelines were refused for good, where it is kept (`pipeline.rejected`)."""
    found = []
    for path in sorted((paths.root / "pipelines").glob("*/rejected/*.jsonl")):
        with path.open("rb") as f:
            records = sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
        if records:
            pipeline = path.parent.parent.name
            size = path.stat().st_size
            found.append(
                {"pipeline": pipeline, "output": path.stem, "records": records, "bytes": size, "path": str(path)}
            )
    return found


def _election(paths: StatePaths) -> dict[str, Any] | None:
    """How the recorder of this state stands in its election; None without one. Of several the one that leads."""
    found = [recorder["election"] for recorder in published(paths.root).values() if "election" in recorder]
    return max(found, key=lambda e: bool(e["leading"]), default=None)


def _journal(paths: StatePaths) -> dict[str, Any]:
    if not paths.journal.exists():
        return {
            "exists": False,
            "bytes": 0,
            "size_limit": None,
            "last_seq": 0,
            "duplicates": 0,
            "quarantined": 0,
            "sources": {},
            "outputs": {},
            "waiting": {name: _held(Held()) for name in TABLES},
        }
    with Journal.open_readonly(paths.journal) as journal:
        stats = journal.stats()
    waiting = {}
    for name in TABLES:
        output = stats.outputs.get(f"store/{name}")
        waiting[name] = _held(output.pending if output is not None else stats.tables.get(name, Held()))
    return {
        "exists": True,
        "bytes": stats.held.size,
        "size_limit": stats.size_limit,
        "last_seq": stats.last_seq,
        "duplicates": stats.duplicates,
        "quarantined": stats.quarantined,
        "sources": stats.counters,
        "outputs": {
            name: {"cursor": o.cursor, "waiting": _held(o.pending)}
            for name, o in stats.outputs.items()
            if not name.startswith("store/")
        },
        "waiting": waiting,
    }


def _held(held: Held) -> dict[str, Any]:
    oldest = None if held.oldest_us is None else format_us(held.oldest_us)
    return {"chunks": held.chunks, "records": held.records, "bytes": held.bytes, "oldest": oldest}


def _table(table: DeltaStoreTable) -> dict[str, Any]:
    exists = table.refresh()
    files = table.files() if exists else []
    starts, ends = [f.min_ts for f in files if f.min_ts], [f.max_ts for f in files if f.max_ts]
    return {
        "rows": sum(f.rows for f in files),
        "files": len(files),
        "bytes": sum(f.size for f in files),
        "days": len({f.day for f in files}),
        "clusters": sorted({f.cluster for f in files}),
        "version": table.version,
        "schema": table.schema_version if exists else None,
        "first": format_us(min(starts)) if starts else None,
        "last": format_us(max(ends)) if ends else None,
        "last_commit": format_us(table.last_commit_us()) if exists else None,
    }


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
