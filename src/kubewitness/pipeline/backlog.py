"""What waits for one output, when that has a limit of its own (`storage.total_limit_size`), and what goes at the limit.

The journal holds each chunk once, for all outputs; an output's backlog is what it wants of the chunks behind its
cursor. At its limit the oldest of these go, by moving the cursor of this output alone: the chunk stays as long as
another output needs it. Sizes are those of the journal: compressed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Waiting(NamedTuple):
    """A chunk of a feed, without its records. `size` as it is held."""

    seq: int
    table: str
    tag: str
    records: int
    size: int


class Backlog:
    """`limit`: bytes. `look`: the chunks after a seq, in order; each is asked for once. One user at a time."""

    def __init__(self, limit: int, wants: Callable[[str, str], bool], look: Callable[[int], Sequence[Waiting]]) -> None:
        self.limit = limit
        self._wants = wants
        self._look = look
        self._held: deque[Waiting] = deque()
        self._size = self._upto = 0

    def over(self, delivered: int) -> list[Waiting]:
        """Looks anew; the oldest chunks that have to go, which are forgotten here. `delivered`: the seq up to which the
        output needs nothing any more."""
        self._let_go(delivered)
        for chunk in self._look(max(self._upto, delivered)):
            self._upto = chunk.seq
            if self._wants(chunk.table, chunk.tag):
                self._held.append(chunk)
                self._size += chunk.size
        gone = []
        while self._size > self.limit and len(self._held) > 1:  # the newest stays, whatever its size
            gone.append(self._held.popleft())
            self._size -= gone[-1].size
        return gone

    def _let_go(self, delivered: int) -> None:
        while self._held and self._held[0].seq <= delivered:
            self._size -= self._held.popleft().size

    @property
    def size(self) -> int:
        """Bytes that wait, as of the last look."""
        return self._size
