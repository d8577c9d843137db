"""The store's lock: one process at a time writes the tables of a state."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from kubewitness.errors import StateError


class StoreLock:
    """An flock on `store.lock`, which the kernel frees when the process ends, however it ends."""

    def __init__(self, path: Path, wait: float = 0) -> None:
        """Takes the lock, trying for `wait` seconds. StateError when another process holds it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as e:
                if time.monotonic() >= deadline:
                    os.close(self._fd)
                    holder = lock_holder(path)
                    who = f" (process {holder['pid']})" if holder else ""
                    raise StateError(f"another process records into {path.parent}{who}") from e
                time.sleep(0.05)
        note = json.dumps({"pid": os.getpid(), "since": int(time.time())}).encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, note, 0)

    def release(self) -> None:
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def lock_holder(path: Path) -> dict[str, Any] | None:
    """{"pid", "since"} of the process that holds the lock now; None when nobody does."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as e:
        raise StateError(f"{path}: {e.strerror}") from e
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            text = os.pread(fd, 4096, 0)
            try:
                return dict(json.loads(text))
            except ValueError:
                return {"pid": 0, "since": 0}
        return None
    finally:
        os.close(fd)
