"""A gzip file read like a plain one, as far as that is cheap: forward."""

from __future__ import annotations

import os
import zlib

from kubewitness.inputs.forwards import Forwards

_STEP = 256 * 1024


class Gunzip(Forwards):
    """Of the unpacked file. What cannot be unpacked counts as its end; `broken` says why."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.broken = ""
        self.restart()

    def restart(self) -> None:
        super().restart()
        self._unpacker = zlib.decompressobj(wbits=31)
        self._packed_at = 0
        self._ended = False

    def _more(self, wanted: int) -> bytes | None:
        if self._ended:
            return None
        try:
            if self._unpacker.eof:
                packed = self._unpacker.unused_data
                packed = packed or os.pread(self._handle, _STEP, self._packed_at)
                self._packed_at += len(packed) if not self._unpacker.unused_data else 0
                if not packed.strip(b"\0"):
                    self._ended = True
                    return None
                self._unpacker = zlib.decompressobj(wbits=31)  # the next stream of several
                return self._unpacker.decompress(packed, max(wanted, _STEP))
            packed = self._unpacker.unconsumed_tail
            if not packed:
                packed = os.pread(self._handle, _STEP, self._packed_at)
                self._packed_at += len(packed)
                if not packed:
                    self._ended, self.broken = True, "its end is missing"
                    return None
            return self._unpacker.decompress(packed, max(wanted, _STEP))
        except zlib.error as e:
            self._ended, self.broken = True, str(e)
            return None


def first_bytes(handle: int, length: int) -> bytes:
    """The beginning of what a compressed file holds, without unpacking more of it; b"" when it cannot be unpacked."""
    try:
        return zlib.decompressobj(wbits=31).decompress(os.pread(handle, 4096 + 2 * length, 0), length)
    except zlib.error:
        return b""
