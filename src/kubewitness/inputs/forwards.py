"""What is made from a file's bytes in order, read at an offset like a file, as far as that is cheap: forward."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Forwards(ABC):
    """`pread` as of a file that holds what is made. `broken`: why no more can be made, if it cannot."""

    broken = ""

    def restart(self) -> None:
        """Begins anew. Called before the first read, too."""
        self._buffer = b""
        self._begin = 0  # place of the buffer's first byte in what is made

    def pread(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes from there; fewer only at the end. Going back before the last offset starts anew."""
        if offset < self._begin:
            self.restart()
        parts = [self._buffer]
        have = self._begin + len(self._buffer)
        while have < offset + length and (part := self._more(offset + length - have)) is not None:
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

    @abstractmethod
    def _more(self, wanted: int) -> bytes | None:
        """The next part, of about so many bytes, may be empty; None when there is no more (now)."""
