"""What the recorders of a state say of themselves, for whoever asks from another process (`status`).

One small JSON file for each, `recorders/PID.json` in the state, written anew every few seconds; one that has not been
written for a while is of a recorder that ended without saying so.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: seconds between two writes, and after which a file no longer counts
EVERY = 2.0
_STALE = 15.0


def publish(state: Path, health: Mapping[str, object]) -> None:
    """Replaces this process's file, and removes what dead recorders left. A full disk is no reason to fail here."""
    folder = state / "recorders"
    path = folder / f"{os.getpid()}.json"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(health, default=str))
        new.rename(path)
        for other in folder.iterdir():
            if time.time() - other.stat().st_mtime > _STALE:
                other.unlink()


def withdraw(state: Path) -> None:
    """At a clean end."""
    with contextlib.suppress(OSError):
        (state / "recorders" / f"{os.getpid()}.json").unlink()


def published(state: Path) -> dict[str, Any]:
    """Process id -> what it said last, of recorders that are alive."""
    found = {}
    with contextlib.suppress(OSError):
        for path in sorted((state / "recorders").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                if time.time() - path.stat().st_mtime <= _STALE:
                    found[path.stem] = json.loads(path.read_text())
    return found
