"""Raw segments on an object store: one object for the frames of one commit, whole before that commit.

An object cannot be appended to. So frames are gathered and put at `sync`, and the number of a segment is made of the
time (milliseconds) and 20 random bits: later ones are greater, and two writers never mean the same one. What a crash
leaves behind between the two, no row points at; vacuum removes it.
"""

from __future__ import annotations

import secrets
import time

import zstandard

from kubewitness.errors import StateError
from kubewitness.store.objectdir import ObjectDir
from kubewitness.store.segments import SegmentWriter, segment_name

#: What is asked for first (bytes): a frame is mostly some 40 KB.
_FIRST = 64 * 1024


class ObjectSegmentWriter(SegmentWriter):
    """As `SegmentWriter`; holds the frames of one commit in memory (some MB)."""

    def __init__(self, directory: ObjectDir) -> None:
        self._objects = directory
        self._frames: list[bytes] = []
        self._offset = 0
        self._number = 0

    def append(self, frame: bytes) -> tuple[int, int]:
        if not self._frames:
            self._number = max(self._number + 1, time.time_ns() // 1_000_000 << 20 | secrets.randbits(20))
            self._offset = 0
        offset = self._offset
        self._frames.append(frame)
        self._offset += len(frame)
        return self._number, offset

    def sync(self) -> None:
        if self._frames:
            (self._objects / segment_name(self._number)).write(b"".join(self._frames))
            self._frames = []

    def close(self) -> None:
        """What was not synced belongs to no commit."""
        self._frames = []


def load_frame(segment: ObjectDir, frame: int) -> bytes:
    """The decompressed frame that begins at a byte of a segment: by ranged reads, the second only for a long one."""
    unpack = zstandard.ZstdDecompressor().decompressobj()
    found: list[bytes] = []
    at, step = frame, _FIRST
    while not unpack.eof:
        try:
            part = segment.read_range(at, step)
            found.append(unpack.decompress(part) if part else b"")
        except zstandard.ZstdError as e:
            raise StateError(f"raw segment {segment} is damaged at byte {frame}: {e}") from e
        if not part:
            raise StateError(f"raw segment {segment} ends before byte {at}; restore it from a backup")
        at, step = at + len(part), step * 4
    return b"".join(found)
