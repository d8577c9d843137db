"""A file in UTF-16 read like one in UTF-8, as far as that is cheap: forward."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from kubewitness.inputs.forwards import Forwards

#: names of encodings, as Fluent Bit's `unicode.encoding` has them -> Python's; of "auto" the file's first bytes tell
UNICODE = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "auto": ""}

_STEP = 256 * 1024
_MARK = "\ufeff"


class Recoded(Forwards):
    """Of the file in UTF-8. `read` is of the file as it is: (length, offset) -> bytes."""

    def __init__(self, read: Callable[[int, int], bytes], encoding: str) -> None:
        self._read = read
        self._encoding = encoding
        self.restart()

    def restart(self) -> None:
        super().restart()
        self._decoder: codecs.IncrementalDecoder | None = None
        #: how far the file itself has been read
        self.read_to = 0

    def _more(self, wanted: int) -> bytes | None:
        """The next part as UTF-8; half a character waits for its other half."""
        while raw := self._read(_STEP, self.read_to):
            first = self._decoder is None
            if self._decoder is None:
                if len(raw) < 2:
                    return None
                encoding = UNICODE[self._encoding] or _told_by(raw[:2])
                self._decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
            self.read_to += len(raw)
            text = self._decoder.decode(raw)
            text = text.removeprefix(_MARK) if first else text
            if text:
                return text.encode()
        return None


def _told_by(start: bytes) -> str:
    if start == codecs.BOM_UTF16_LE or start[1] == 0:
        return "utf-16-le"
    return "utf-16-be" if start == codecs.BOM_UTF16_BE or start[0] == 0 else "utf-8"
