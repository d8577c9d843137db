"""The recent record keys, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from kubewitness.record import KEY_BYTES

_GENERATIONS = 4


def split_keys(keys: bytes) -> list[bytes]:
    """The single keys of a concatenation."""
    return [keys[i : i + KEY_BYTES] for i in range(0, len(keys), KEY_BYTES)]


class Window:
    """The newest `limit` keys, at least 3/4 of them.

    Kept as a few sets, the oldest dropped whole: removing keys one by one would leave one large set full of
    dead slots, that doubles its size. 300,000 keys cost some 28 MB.
    """

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 1)
        self._each = max(1, self._limit // _GENERATIONS)
        self._sets: deque[set[bytes]] = deque([set()])

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    def __contains__(self, key: bytes) -> bool:
        return any(key in s for s in self._sets)

    def add(self, keys: Iterable[bytes]) -> None:
        """Remembers keys that it does not hold yet, the oldest first."""
        newest = self._sets[-1]
        for key in keys:
            if len(newest) >= self._each:
                newest = set()
                self._sets.append(newest)
                if len(self._sets) > _GENERATIONS:
                    self._sets.popleft()
            newest.add(key)

    def fresh(self, keys: list[bytes], taken: set[bytes]) -> list[int] | None:
        """Indexes of the keys neither held nor in `taken`, of a repeated key the first; None when that is all of them.

        Adds them to `taken`.
        """
        new = set(keys)
        if len(new) == len(keys) and taken.isdisjoint(new) and all(s.isdisjoint(new) for s in self._sets):
            taken |= new
            return None
        indexes = []
        for i, key in enumerate(keys):
            if key not in taken and key not in self:
                taken.add(key)
                indexes.append(i)
        return indexes
