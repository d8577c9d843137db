"""Listening sockets of a server: their address, TLS whose files are replaced, one place for what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubewitness.errors import UsageError
from kubewitness.inputs.server_tls import ServerTls, TlsFiles

Factory = Callable[[], asyncio.Protocol]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: `host` and `port` (0: any), or the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    unix_path: str = ""
    #: permissions of the unix socket; None: as the umask says
    unix_mode: int | None = None
    backlog: int = 128
    #: several processes listen on the same port
    share_port: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.unix_path or f"{host}:{self.port}"


class Closed(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Sockets:
    """Opened with `open`; `renew` as often as wanted, `close` at the end. One event loop only."""

    def __init__(self, what: str, address: Address, files: TlsFiles, *, handshake_seconds: float) -> None:
        self._what = what
        self._address = address
        self._tls = ServerTls(what, files)
        self._handshake = handshake_seconds
        self._servers: list[asyncio.Server] = []
        #: the port listened on, once it is (when port 0 was asked for)
        self.port = 0

    @property
    def is_open(self) -> bool:
        return bool(self._servers)

    async def open(self, factory: Factory) -> None:
        """Raises UsageError when it cannot be listened there, or with these files."""
        self._tls.context()  # tells of its files first
        where = self._address
        try:
            if where.unix_path:
                self._servers = [await self._on(_unix_socket(where), factory)]
            else:
                self._servers = [await self._on_port(factory)]
        except OSError as e:
            raise UsageError(f"{self._what}: cannot listen on {where}: {e.strerror}; choose another address") from e
        if not where.unix_path:
            self.port = self._servers[0].sockets[0].getsockname()[1]

    async def renew(self, factory: Factory) -> None:
        """With changed files: listens on the same sockets with the new ones, so that nobody is turned away."""
        if not self._tls.changed():
            return
        before = self._servers
        self._servers = [await self._on(socket_.dup(), factory) for server in before for socket_ in server.sockets]
        for server in before:
            server.close()

    async def _on_port(self, factory: Factory) -> asyncio.Server:
        context = self._tls.context()
        return await asyncio.get_running_loop().create_server(
            factory,
            self._address.host,
            self._address.port,
            ssl=context,
            ssl_handshake_timeout=self._handshake if context else None,
            backlog=self._address.backlog,
            reuse_port=self._address.share_port or None,
        )

    async def _on(self, bound: socket.socket, factory: Factory) -> asyncio.Server:
        context = self._tls.context()
        return await asyncio.get_running_loop().create_server(
            factory,
            sock=bound,
            ssl=context,
            ssl_handshake_timeout=self._handshake if context else None,
            backlog=self._address.backlog,
        )

    def close(self) -> None:
        self.port = 0
        for server in self._servers:
            server.close()
        self._servers = []
        unlink_unix(self._address)


def _unix_socket(where: Address) -> socket.socket:
    """A bound one. One that nobody listens on any more is in nobody's way."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bind_unix(made, where)
    except BaseException:
        made.close()
        raise
    return made


def bind_unix(made: socket.socket, where: Address) -> None:
    """Binds to the path, in place of a socket that a process before left there. Raises OSError."""
    path = Path(where.unix_path)
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, made.type) as probe:
            try:
                probe.connect(where.unix_path)
            except OSError:
                path.unlink()
            else:
                raise OSError(errno.EADDRINUSE, "somebody listens there")
    made.bind(where.unix_path)
    if where.unix_mode is not None:
        path.chmod(where.unix_mode)


def unlink_unix(where: Address) -> None:
    if where.unix_path:
        with contextlib.suppress(OSError):
            Path(where.unix_path).unlink()
