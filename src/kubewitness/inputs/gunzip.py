"""A gzip file read like a plain one, as far as that is cheap: forward."""

from __future__ import annotations

import os
import zlib

_STEP = 256 * 1024


class Gunzip:
    """`pread` as of the unpacked file. What cannot be unpacked counts as its end; `broken` says why."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.broken = ""
        self._restart()

    def _restart(self) -> None:
        self._unpacker = zlib.decompressobj(wbits=31)
        self._packed_at = 0
        self._buffer = b""
        self._begin = 0  # place of the buffer's first byte in the unpacked file
        self._ended = False

    def pread(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes from there; fewer only at the end. Going back before the last offset starts anew."""
        if offset < self._begin:
            self._restart()
        parts = [self._buffer]
        have = self._begin + len(self._buffer)
        while have < offset + length and not self._ended:
            part = self._more(offset + length - have)
            if have + len(part) <= offset:
                parts, self._begin = [], have + len(part)
            else:
                parts.append(part)
            have += len(part)
        self._buffer = b"".join(parts)
        if offset > self._begin:
            self._buffer = self._buffer[offset - self._begin :]
            self._begin = min(offset, have)
        return self._buffer[:length] if offset == self._begin else b""

    def _more(self, wanted: int) -> bytes:
        try:
            if self._unpacker.eof:
                packed = self._unpacker.unused_data
                packed = packed or os.pread(self._handle, _STEP, self._packed_at)
                self._packed_at += len(packed) if not self._unpacker.unused_data else 0
                if not packed.strip(b"\0"):
                    self._ended = True
                    return b""
                self._unpacker = zlib.decompressobj(wbits=31)  # the next stream of several
                return self._unpacker.decompress(packed, max(wanted, _STEP))
            packed = self._unpacker.unconsumed_tail
            if not packed:
                packed = os.pread(self._handle, _STEP, self._packed_at)
                self._packed_at += len(packed)
                if not packed:
                    self._ended, self.broken = True, "its end is missing"
                    return b""
            return self._unpacker.decompress(packed, max(wanted, _STEP))
        except zlib.error as e:
            self._ended, self.broken = True, str(e)
            return b""


def first_bytes(handle: int, length: int) -> bytes:
    """The beginning of what a compressed file holds, without unpacking more of it; b"" when it cannot be unpacked."""
    try:
        return zlib.decompressobj(wbits=31).decompress(os.pread(handle, 4096 + 2 * length, 0), length)
    except zlib.error:
        return b""
