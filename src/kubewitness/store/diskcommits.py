"""Commits of a Delta table on a disk: made durable, and what a power failure left of the last one.

Format: github.com/delta-io/delta, PROTOCOL.md: `_delta_log/<version, 20 digits>.json`, one action a line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kubewitness.store.segments import fsync_path


def fsync_commit(root: Path, version: int) -> int:
    """Makes one commit and the files that it added durable. Returns the bytes of these files."""
    log = _log(root) / f"{version:020d}.json"
    directories, size = {log.parent}, 0
    for add in _added(log.read_bytes()):
        path = root / unquote(add["path"])
        size += add["size"]
        fsync_path(path)
        directories |= {path.parent, path.parent.parent, root}
    fsync_path(log)
    for directory in directories:
        fsync_path(directory)
    return size


def take_back(root: Path) -> list[str]:
    """Removes the last commit if its log entry is empty or cut, or names files which are cut. Returns what was done."""
    log = _log(root)
    entries = sorted(log.glob("[0-9]*.json")) if log.is_dir() else []
    if not entries or not (why := _broken(root, entries[-1])):
        return []
    entries[-1].unlink()
    fsync_path(log)
    return [f"took back commit {entries[-1].stem}, which was not yet durable ({why})"]


def _broken(root: Path, entry: Path) -> str:
    """Why a commit cannot stand; empty when it can."""
    content = entry.read_bytes()
    if not content.strip():
        return "its log entry is empty"
    try:
        added = _added(content)
    except ValueError:
        return "its log entry is cut"
    for add in added:
        path = root / unquote(add["path"])
        if not path.exists() or path.stat().st_size != add["size"]:
            return f"{path.name} is cut"
    return ""


def _added(content: bytes) -> list[dict[str, Any]]:
    """The files that a log entry adds. Raises ValueError where it is cut."""
    actions = [json.loads(line) for line in content.splitlines()]
    return [action["add"] for action in actions if "add" in action]


def _log(root: Path) -> Path:
    return root / "_delta_log"
