"""What becomes an object, on this machine's disk until it is one: a file of lines for each tag.

Disk format: `ID.name` (JSON: the object's name and the tag; written first, fsynced) and `ID.lines` beside it, appended
and fsynced. The name is settled when the file is begun, so an upload that is done again after a crash replaces the same
object. A last line without its newline was cut off by a crash, was not acknowledged, and is cut away at the next start.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubewitness.errors import Retry


@dataclass(slots=True)
class Buffer:
    """One object to be. `since`: when it was begun, in seconds since 1970."""

    name: str
    tag: str
    lines: Path
    size: int
    since: float

    @property
    def sidecar(self) -> Path:
        return self.lines.with_suffix(".name")

    def remove(self) -> None:
        self.lines.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


class Buffers:
    """The directory. `limit`: bytes that all may have; 0: any. One thread at a time."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory = directory
        self._limit = limit
        self._open: dict[str, Buffer] = {}
        self._closed: list[Buffer] = []

    def load(self) -> None:
        """What an earlier process left."""
        for sidecar in sorted(self._directory.glob("*.name")) if self._directory.is_dir() else []:
            lines = sidecar.with_suffix(".lines")
            if not lines.exists():
                sidecar.unlink()
                continue
            found = json.loads(sidecar.read_bytes())
            buffer = Buffer(found["name"], found["tag"], lines, _mended(lines), sidecar.stat().st_mtime)
            self._closed.append(buffer)  # a new one is begun for its tag

    def all(self) -> list[Buffer]:
        """Also while another thread is at work here."""
        return [*self._closed, *self._open.values()]

    @property
    def size(self) -> int:
        return sum(buffer.size for buffer in self.all())

    def due(self, size: int, age: float) -> list[Buffer]:
        """What is to become an object now: as large or as old as that, or left by an earlier process."""
        now = time.time()
        return [*self._closed, *(b for b in list(self._open.values()) if b.size >= size or now - b.since >= age)]

    def done(self, buffer: Buffer) -> None:
        """It is an object."""
        buffer.remove()
        if buffer in self._closed:
            self._closed.remove(buffer)
        else:
            del self._open[buffer.tag]

    def append(self, tag: str, data: bytes, name: Callable[[], str]) -> None:
        """Durable when it returns. Retry when the disk or the limit has no room. `name`: of a new object."""
        if self._limit and self.size + len(data) > self._limit:
            raise Retry(f"{self._directory} has reached store_dir_limit_size; objects cannot be made")
        try:
            buffer = self._open.get(tag) or self._begin(tag, name())
            _append(buffer, data)
        except OSError as e:
            raise Retry(f"{self._directory}: {e.strerror}") from e

    def _begin(self, tag: str, name: str) -> Buffer:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lines = self._directory / f"{time.time_ns():020d}-{secrets.token_hex(4)}.lines"
        buffer = Buffer(name, tag, lines, 0, time.time())
        with buffer.sidecar.open("xb") as f:
            f.write(json.dumps({"name": name, "tag": tag}).encode())
            f.flush()
            os.fsync(f.fileno())
        self._open[tag] = buffer
        return buffer


def _append(buffer: Buffer, data: bytes) -> None:
    fd = os.open(buffer.lines, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, buffer.size)
        raise
    finally:
        os.close(fd)
    buffer.size += len(data)


def _mended(path: Path) -> int:
    """The size, without a last line that was cut off."""
    with path.open("r+b") as f:
        size = f.seek(0, os.SEEK_END)
        at = size
        while at > 0:
            start = max(0, at - 65536)
            f.seek(start)
            end = f.read(at - start).rfind(b"\n")
            if end >= 0:
                f.truncate(start + end + 1)
                return start + end + 1
            at = start
        f.truncate(0)
    return 0
