"""A connection of the NATS client library, with what it has no option for: the address that it comes from, and no word
to a server that does not speak TLS where TLS is asked for (the library would go on without, password and all).

`Client._connect_to_server` is not of the library's public surface; tests/outputs/test_wires.py notices if it changes.
"""

from __future__ import annotations

import asyncio
from typing import Any

import nats.errors
from nats.aio.client import DEFAULT_BUFFER_SIZE, Client
from nats.aio.transport import TcpTransport


class _Transport(TcpTransport):
    def __init__(self, source: str, secure: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._source = source
        self._must = secure

    async def connect(self, uri: Any, buffer_size: int, connect_timeout: int) -> None:
        async with asyncio.timeout(connect_timeout):
            reader, writer = await asyncio.open_connection(
                uri.hostname, uri.port, limit=buffer_size, local_addr=(self._source, 0) if self._source else None
            )
        self._bare_io_reader = self._io_reader = reader
        self._bare_io_writer = self._io_writer = writer

    async def connect_tls(self, *args: Any, **named: Any) -> None:
        await super().connect_tls(*args, **named)
        self._must = False

    def write(self, payload: bytes) -> None:
        if self._must:
            raise nats.errors.Error("the server does not offer TLS")
        super().write(payload)  # type: ignore[no-untyped-call]


class Connection(Client):
    """`secure`: TLS or nothing."""

    def __init__(self, source: str, secure: bool) -> None:
        super().__init__()
        self._source = source
        self._secure = secure

    async def _connect_to_server(self, s: Any) -> None:
        self._transport = _Transport(self._source, self._secure)
        await self._transport.connect(s.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])
