"""Sizes of the files of an object store that the tables' logs name, so that nobody has to ask for them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kubewitness.store.livefiles import LiveFile
from kubewitness.store.objectdir import ObjectDir

#: path -> (bytes, seconds since 1970 of the last change)
SIZES: dict[str, tuple[int, float]] = {}
_lock = threading.Lock()


def learn(table: ObjectDir, files: Sequence[LiveFile]) -> None:
    """Takes over the sizes and times of a table's live files, and forgets those of earlier ones."""
    live = {f.path: (f.size, f.modified_ms / 1000) for f in files}
    with _lock:
        for path in [p for p in SIZES if p.startswith(f"{table}/") and p not in live]:
            del SIZES[path]
        SIZES.update(live)
