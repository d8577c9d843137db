"""A file in UTF-16 read like one in UTF-8, as far as that is cheap: forward."""

from __future__ import annotations

import codecs
from collections.abc import Callable

#: names of encodings, as Fluent Bit's `unicode.encoding` has them -> Python's; of "auto" the file's first bytes tell
UNICODE = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "auto": ""}

_STEP = 256 * 1024
_MARK = "\ufeff"


class Recoded:
    """`pread` as of the file in UTF-8. `read` is of the file as it is: (length, offset) -> bytes."""

    broken = ""

    def __init__(self, read: Callable[[int, int], bytes], encoding: str) -> None:
        self._read = read
        self._encoding = encoding
        self.restart()

    def restart(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        #: how far the file itself has been read
        self.read_to = 0
        self._buffer = b""
        self._begin = 0  # place of the buffer's first byte in the text

    def pread(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes from there; fewer only at the end. Going back before the last offset starts anew."""
        if offset < self._begin:
            self.restart()
        parts = [self._buffer]
        have = self._begin + len(self._buffer)
        while have < offset + length:
            part = self._more()
            if not part:
                break
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

    def _more(self) -> bytes:
        """The next part as UTF-8; half a character waits for its other half."""
        while raw := self._read(_STEP, self.read_to):
            first = self._decoder is None
            if self._decoder is None:
                if len(raw) < 2:
                    return b""
                encoding = UNICODE[self._encoding] or _told_by(raw[:2])
                self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
            self.read_to += len(raw)
            text = self._decoder.decode(raw)
            text = text.removeprefix(_MARK) if first else text
            if text:
                return text.encode()
        return b""


def _told_by(start: bytes) -> str:
    if start == codecs.BOM_UTF16_LE or start[1] == 0:
        return "utf-16-le"
    return "utf-16-be" if start == codecs.BOM_UTF16_BE or start[0] == 0 else "utf-8"
