"""A wire between an output and its far side, real or not: it can be away, slow, or break in the middle of a body."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque


class Wire:
    """Listens at `port`, while it is up, and passes bytes on to the far side's port. `faults`, one for each read of
    what the output sends: "slow" (half a second late), "cut" (half of it arrives, then both ends break)."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.faults: deque[str] = deque()
        #: bytes that came from the output
        self.passed = 0
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port: int = s.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, far = await asyncio.open_connection("127.0.0.1", self.target)
            self._open |= {writer, far}
            try:
                await asyncio.gather(self._sent(reader, far, writer), self._answered(there, writer))
            finally:
                self._open -= {writer, far}
                far.close()
        writer.close()

    async def _sent(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, near: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.passed += len(data)
            fault = self.faults.popleft() if self.faults else ""
            if fault == "slow":
                await asyncio.sleep(0.5)
            far.write(data[: len(data) // 2] if fault == "cut" else data)
            await far.drain()
            if fault == "cut":
                far.close()
                near.transport.abort()
                return
        with contextlib.suppress(OSError):
            far.write_eof()

    async def _answered(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await there.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
