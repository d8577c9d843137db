"""Connections that bytes come in on: how many, how slow, how much is held of them. TLS with files that are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from kubewitness.errors import KubewitnessError
from kubewitness.inputs.budget import Budget
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.server_tls import TlsFiles, names_of
from kubewitness.inputs.sockets import Address, Sockets

_log = logging.getLogger(__name__)

#: bytes that wait for their reader before the sender is held back
_AHEAD = 512 * 1024
#: what a connection may hold of a message without asking (bytes)
_FREE = 256 * 1024
#: seconds between two looks at the certificate's files
_LOOK = 0.5
#: seconds that what was received has to become durable at a stop
_LAST = 5.0


class Refused(Exception):
    """This client is not served any longer. `count`: what is counted."""

    def __init__(self, count: str, reason: str) -> None:
        super().__init__(reason)
        self.count = count


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the clients of one input."""

    connections: int = 256
    #: bytes that all messages in the making may hold together
    total_bytes: int = 64 * 1024 * 1024
    #: a client may be silent so long in the middle of a message
    io_seconds: float = 60.0
    #: and has so long for its TLS handshake, and for proving who it is
    handshake_seconds: float = 10.0
    #: a message waits so long for memory that others hold
    room_seconds: float = 5.0
    #: names, one of which a client's certificate must have, if there are any
    client_names: frozenset[str] = field(default_factory=frozenset)


class Connection(asyncio.Protocol):
    """One client. `peer`: its address as Fluent Bit writes it, `tcp://HOST:PORT` or `unix://PATH`."""

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._paused = self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._held = 0
        self.peer = ""

    # --- asyncio's side ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        name = transport.get_extra_info("peername")
        self.peer = f"tcp://{name[0]}:{name[1]}" if isinstance(name, tuple) else f"unix://{self._server.address}"
        self._server.came(self)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._ended = True
        self._wake()
        return True  # it may still wait for an answer

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the reader's side -------------------------------------------------------------------------------------------

    async def read(self, *, inside: bool = False) -> bytes:
        """All that came; b"" at the end. `inside`: a message has begun, whose rest must not be long in coming."""
        while not self._parts and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._server.limits.io_seconds if inside else None):
                    await self._waiter
            except TimeoutError:
                raise Refused("refused_slow", "it is silent in the middle of a message") from None
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._paused and not self._ended and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Small answers; nobody who does not read them is waited for."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def hold(self, size: int) -> None:
        """So many bytes of a message are held now. Raises Refused when there is no room for them."""
        budget = self._server.budget
        more = size - _FREE - self._held
        if more > 0:
            if not budget.extend(more) and not await budget.reserve(more, self._server.limits.room_seconds):
                raise Refused("refused_memory", "too much is held of other messages")
            self._held += more
        elif self._held and size <= _FREE:
            budget.release(self._held)
            self._held = 0

    def no_more(self) -> None:
        """Nothing more is received; what has been is read to its end."""
        if self._transport is not None and not self._transport.is_closing() and not self._paused:
            self._transport.pause_reading()
        self._ended = True
        self._wake()

    def close(self) -> None:
        self._server.budget.release(self._held)
        self._held = 0
        if self._transport is not None:
            self._transport.close()

    def certificate(self) -> dict[str, Any]:
        """The client's, as `ssl` shows it; {} when there is none."""
        found = self._transport.get_extra_info("peercert") if self._transport is not None else None
        return found or {}


Serve = Callable[[Connection], Awaitable[None]]


class StreamServer:
    """Serves connections until cancelled, each in a task of its own."""

    def __init__(self, what: str, address: Address, tls: TlsFiles, limits: Limits, serve: Serve) -> None:
        self.what = what
        self.address = address
        self.limits = limits
        self.budget = Budget(limits.total_bytes)
        self._serve = serve
        self._sockets = Sockets(what, address, tls, handshake_seconds=limits.handshake_seconds)
        self._refusals = Incident(_log)
        self._open: dict[Connection, asyncio.Task[None]] = {}
        self.counts = {
            "accepted": 0,
            "refused_connections": 0,
            "refused_unauthorized": 0,
            "refused_slow": 0,
            "refused_large": 0,
            "refused_memory": 0,
            "broken": 0,
            "broken_off": 0,
            "errors": 0,
        }

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none, and on a unix socket."""
        return self._sockets.port

    @property
    def listening(self) -> bool:
        return self._sockets.is_open

    def health(self) -> dict[str, object]:
        return {
            "listening": self.port or int(self.listening),
            "connections": len(self._open),
            "connections_limit": self.limits.connections,
            "held_bytes": self.budget.used,
            "held_bytes_limit": self.limits.total_bytes,
            **self.counts,
        }

    async def run(self) -> None:
        """Raises UsageError when it cannot listen there. At a stop what was received is served to its end."""
        try:
            await self._sockets.open(lambda: Connection(self))
            while True:
                await asyncio.sleep(_LOOK)
                await self._sockets.renew(lambda: Connection(self))
        finally:
            self._sockets.close()
            await self._finish()

    async def _finish(self) -> None:
        tasks = list(self._open.values())
        for connection in list(self._open):
            connection.no_more()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def came(self, connection: Connection) -> None:
        """A new one."""
        if len(self._open) >= self.limits.connections:
            self.counts["refused_connections"] += 1
            self._refusals.report(f"{self.what}: {self.limits.connections} connections are open; no more now")
            connection.close()
            return
        self.counts["accepted"] += 1
        task = asyncio.get_running_loop().create_task(self._serve_one(connection), name=f"{self.what} connection")
        self._open[connection] = task
        task.add_done_callback(lambda _: self._open.pop(connection, None))

    async def _serve_one(self, connection: Connection) -> None:
        try:
            if self.limits.client_names and not self.limits.client_names & names_of(connection.certificate()):
                raise Refused("refused_unauthorized", "its certificate names nobody who may send here")
            await self._serve(connection)
        except Refused as e:
            self.counts[e.count] += 1
            self._refusals.report(f"{self.what}: the connection of {connection.peer} is ended: {e}")
        except KubewitnessError as e:
            self.counts["errors"] += 1
            self._refusals.report(f"{self.what}: {e}; the connection of {connection.peer} is ended")
        except OSError:
            self.counts["broken_off"] += 1
        except Exception:
            _log.exception("%s: a connection ended by a fault of ours", self.what)
        finally:
            with contextlib.suppress(OSError):
                connection.close()
