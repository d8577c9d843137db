"""Raw segments: the original bytes of all records, kept once.

`raw/<12 digits>.zst` is a concatenation of complete zstd frames (each with its content size), so `zstd -d` reads a
whole segment. Each frame is the `data` of one chunk. Rows point at (segment, byte offset of the frame, offset and
length within the decompressed frame). Segments only grow at their end, are synced before the rows that point into
them are committed, and are never rewritten: bytes that a crash left behind at the end belong to nobody and harm
nobody. A segment is deleted when no live row points into it.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path

import zstandard

from kubewitness.errors import StateError
from kubewitness.store.objectdir import ObjectDir

#: A segment is followed by the next one at this size (bytes), or on the next day (UTC) of arrival.
SEGMENT_BYTES = 256 * 1024**2

_MAGIC = b"\x28\xb5\x2f\xfd"
_DAY_SECONDS = 86_400


def segment_name(number: int) -> str:
    return f"{number:012d}.zst"


def segment_path(directory: Path, number: int) -> Path:
    return directory / segment_name(number)


def segment_sizes(directory: Path | ObjectDir) -> dict[int, int]:
    """Bytes of all segments by their numbers, in order."""
    if isinstance(directory, Path):
        return {number: path.stat().st_size for number, path in segments(directory)}
    found = [(f.name.removesuffix(".zst"), f.size) for f in directory.list() if f.name.endswith(".zst")]
    return dict(sorted((int(name), size) for name, size in found if name.isdigit()))


def segments(directory: Path) -> list[tuple[int, Path]]:
    """(number, file) of all segments on a disk, in order."""
    if not directory.is_dir():
        return []
    return sorted((int(p.stem), p) for p in directory.glob("*.zst") if p.stem.isdigit())


class SegmentWriter:
    """Appends frames. One at a time for a store (the store's lock). Numbers begin at 1 and are never used again
    while a row may point at them: the next is one after the highest that exists, or after `floor`. `shared`: another
    leader may still be writing; so no segment is gone on with that this writer did not make."""

    def __init__(self, directory: Path, *, limit: int = SEGMENT_BYTES, floor: int = 0, shared: bool = False) -> None:
        self.directory = directory
        self._limit = limit
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = segments(directory)
        self._number = max(found[-1][0] if found else 0, floor)
        self._fd = -1
        self._offset = 0
        self._day = 0
        self._dirty = False
        self._exclusive = os.O_EXCL if shared else 0
        if found and found[-1][0] == self._number and not shared:
            self._open(self._number)

    @property
    def number(self) -> int:
        """The segment that is being appended to, or was last."""
        return self._number

    def _open(self, number: int) -> None:
        path = segment_path(self.directory, number)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | self._exclusive
            self._fd = os.open(path, flags, 0o600)
        except FileExistsError:
            self._open(number + 1)
            return
        except OSError as e:
            raise StateError(f"raw segment {path}: {e.strerror}; check the permissions of the store") from e
        self._number = number
        stat = os.fstat(self._fd)
        self._offset = stat.st_size
        self._day = int(stat.st_mtime if stat.st_size else time.time()) // _DAY_SECONDS

    def append(self, frame: bytes) -> tuple[int, int]:
        """Adds one complete frame; returns (segment, offset of the frame). Durable only after `sync`."""
        full = self._offset >= self._limit or int(time.time()) // _DAY_SECONDS != self._day
        if self._fd < 0 or (full and self._offset):
            self._roll()
        offset = self._offset
        view = memoryview(frame)
        try:
            while view:
                written = os.write(self._fd, view)
                self._offset += written
                view = view[written:]
        except OSError as e:
            self._offset = os.fstat(self._fd).st_size
            raise StateError(f"cannot write to {segment_path(self.directory, self._number)}: {e.strerror}") from e
        self._dirty = True
        return self._number, offset

    def _roll(self) -> None:
        self.close()
        self._open(self._number + 1)
        fsync_path(self.directory)

    def sync(self) -> None:
        """Makes durable what was appended."""
        if self._dirty:
            os.fsync(self._fd)
            self._dirty = False

    def close(self) -> None:
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1


class SegmentReader:
    """Original bytes by pointer. Decompressed frames are kept, the least recently used go first. Thread-safe."""

    def __init__(self, directory: Path | ObjectDir, *, cache_bytes: int = 32 * 1024**2) -> None:
        self.directory = directory
        self._limit = cache_bytes
        self._held = 0
        self._frames: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._zstd = zstandard.ZstdDecompressor()

    def record(self, segment: int, frame: int, offset: int, length: int) -> bytes:
        """The bytes of one record. FileNotFoundError when its segment is gone, StateError when it is damaged."""
        with self._lock:
            data = self._frames.get((segment, frame))
            if data is None:
                data = self._load(segment, frame)
            else:
                self._frames.move_to_end((segment, frame))
        if offset + length > len(data):
            raise StateError(
                f"raw segment {self.directory / segment_name(segment)} does not hold record {frame}+{offset}"
            )
        return data[offset : offset + length]

    def _load(self, segment: int, frame: int) -> bytes:
        place = self.directory / segment_name(segment)
        data = self._mapped(place, frame) if isinstance(place, Path) else _remote(place, frame)
        self._frames[segment, frame] = data
        self._held += len(data)
        while self._held > self._limit and len(self._frames) > 1:
            _, old = self._frames.popitem(last=False)
            self._held -= len(old)
        return data

    def _mapped(self, path: Path, frame: int) -> bytes:
        with path.open("rb") as f:
            size = os.fstat(f.fileno()).st_size
            if frame + len(_MAGIC) > size:
                raise StateError(f"raw segment {path} ends before byte {frame}; restore it from a backup")
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
                view = memoryview(m)
                part = view[frame:]
                try:
                    return self._zstd.decompress(part)
                except zstandard.ZstdError as e:
                    raise StateError(f"raw segment {path} is damaged at byte {frame}: {e}") from e
                finally:
                    part.release()
                    view.release()


def _remote(place: ObjectDir, frame: int) -> bytes:
    from kubewitness.store.objectsegments import load_frame

    return load_frame(place, frame)


def fsync_path(path: Path) -> None:
    """Makes a file's content, or a directory's names, durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
