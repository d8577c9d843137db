"""Connections that nobody uses are closed (`net.keepalive_idle_timeout`), before something on the way forgets them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Idle:
    """Calls `close` when `seconds` have passed since `begin`; not when `end` came before."""

    def __init__(self, seconds: float, close: Callable[[], None]) -> None:
        self._seconds = seconds
        self._close = close
        self._handle: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        self.end()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._close)

    def end(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
