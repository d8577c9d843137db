"""Memory that requests in flight may hold together."""

from __future__ import annotations

import asyncio
from collections import deque


class Budget:
    """Bytes, handed out in order of asking. One event loop only."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def reserve(self, size: int, seconds: float) -> bool:
        """Takes `size` bytes, waiting up to so many seconds for others to give theirs back. False: there was no room.

        Never more than the limit is needed: what is larger gets all of it, alone.
        """
        size = min(size, self.limit)
        if not self._waiting and self.used + size <= self.limit:
            self.used += size
            return True
        turn = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException as e:
            if entry in self._waiting:
                self._waiting.remove(entry)
            elif turn.done() and not turn.cancelled():
                self.release(size)  # it was our turn in the same moment
            self._wake()
            if isinstance(e, TimeoutError):
                return False
            raise
        return True

    def extend(self, size: int) -> bool:
        """Takes more without waiting: who holds some must not wait for others who do the same."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def release(self, size: int) -> None:
        """Gives back what was taken (at most the limit for one `reserve`)."""
        self.used -= min(size, self.limit)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.used + self._waiting[0][0] <= self.limit:
            size, turn = self._waiting.popleft()
            if not turn.done():
                self.used += size
                turn.set_result(None)
