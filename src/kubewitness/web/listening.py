"""The server's connections: where they come in, TLS whose files are replaced, and those that are of no use any more.

A client that says nothing, or asks and then does not read, holds a file descriptor and perhaps an answer in memory;
there are so many of them, and they have so much time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import time

from aiohttp import web
from aiohttp.typedefs import Middleware

from kubewitness.inputs.incident import Incident
from kubewitness.inputs.server_tls import TlsFiles
from kubewitness.inputs.sockets import Address, Closed, Sockets
from kubewitness.web.guard import Handler, is_loopback

_log = logging.getLogger(__name__)

#: connections at once; fewer where the process may not have so many files
MOST_CONNECTIONS = 500
#: seconds for TLS and the first request's head, for reading more of an answer, and between two requests
SPEAK, READ, KEEP = 10.0, 30.0, 75.0
#: seconds between two looks at connections and files
_LOOK = 0.5


class Listening:
    """Of one server. One event loop only."""

    def __init__(self, host: str, port: int, files: TlsFiles) -> None:
        self._sockets = Sockets("serve", Address(host, port), files, handshake_seconds=SPEAK)
        self._host = host
        self._secure = bool(files.crt_file)
        self._most = min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._refusals = Incident(_log)
        self._server: web.Server | None = None
        self._looking: asyncio.Task[None] | None = None
        #: when each connection came that has not made its first request yet
        self._silent: dict[web.RequestHandler, float] = {}
        #: of each connection whose answer waits to be read: bytes that wait, and since when it is so many
        self._unread: dict[web.RequestHandler, tuple[int, float]] = {}

    async def open(self, server: web.Server) -> str:
        """Listens; returns the address to open. Raises `UsageError` when it cannot be listened there."""
        self._server = server
        await self._sockets.open(self._connection)
        if not self._secure and not is_loopback(self._host):
            _log.warning(
                "answering on %s without TLS: whoever is on the way can read tokens and answers; give a certificate "
                "(serve --tls-cert, record --serve-tls-cert), or let only what speaks TLS reach this address",
                self._host,
            )
        self._looking = asyncio.create_task(self._look())
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._secure else 'http'}://{host}:{self._sockets.port}/"

    async def close(self) -> None:
        self._sockets.close()
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking

    def middleware(self) -> Middleware:
        """Notes that a connection has made a request."""

        @web.middleware
        async def heard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._silent.pop(request.protocol, None)
            return await handler(request)

        return heard

    def _connection(self) -> asyncio.Protocol:
        assert self._server is not None
        if len(self._server.connections) >= self._most:
            self._refusals.report(f"serve: {self._most} connections are open; no more now")
            return Closed()
        handler: web.RequestHandler = self._server()
        self._silent[handler] = time.monotonic()
        return handler

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            self._drop(time.monotonic())
            await self._sockets.renew(self._connection)

    def _drop(self, now: float) -> None:
        """Ends the connections that say nothing, and those of which an answer is not read."""
        assert self._server is not None
        connections = self._server.connections
        for handler, since in list(self._silent.items()):
            if now - since > SPEAK:
                del self._silent[handler]
                if handler in connections:
                    handler.force_close()
        before, self._unread = self._unread, {}
        for handler in connections:
            transport = handler.transport
            if transport is None or not (waiting := transport.get_write_buffer_size()):
                continue
            size, since = before.get(handler, (waiting, now))
            if size == waiting and now - since > READ:
                transport.abort()
                continue
            self._unread[handler] = (waiting, since if size == waiting else now)
