"""Datagrams, over UDP or a unix socket: as many at once as there are, and how many the kernel threw away."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from kubewitness.errors import UsageError
from kubewitness.inputs.sockets import Address, bind_unix, unlink_unix

#: one datagram is never longer (a unix socket's send buffer; UDP: 65,507)
_LARGEST = 256 * 1024
#: datagrams, and their bytes, that are handed over at once
_MANY, _BYTES = 2000, 1024 * 1024
#: inode and drops of a socket in the kernel's table
_INODE, _DROPS = 9, 12

#: (datagram, sender's address as Fluent Bit writes it)
Datagram = tuple[bytes, str]
Take = Callable[[list[Datagram], int], Awaitable[None]]


class Datagrams:
    """Receives until cancelled. While one batch is handed over, the next waits in the kernel: what has no room in its
    buffer (`buffer` bytes, 0: the system's) it throws away on UDP; on a unix socket the sender waits."""

    def __init__(self, what: str, address: Address, take: Take, *, buffer: int = 0) -> None:
        self._what = what
        self._address = address
        self._take = take
        self._buffer = buffer
        self._socket: socket.socket | None = None
        self.port = 0

    async def run(self) -> None:
        """Raises UsageError when it cannot listen there. At a stop what has arrived is still handed over."""
        self._socket = opened = await self._open()
        loop = asyncio.get_running_loop()
        try:
            while True:
                first = await loop.sock_recvfrom(opened, _LARGEST)
                await self._hand_over(opened, [self._datagram(*first)])
        except asyncio.CancelledError:
            await self._hand_over(opened, [])
            raise
        finally:
            self.port, self._socket = 0, None
            opened.close()
            unlink_unix(self._address)

    async def _hand_over(self, opened: socket.socket, batch: list[Datagram]) -> None:
        """These, and what else is there."""
        size = sum(len(data) for data, _ in batch)
        while len(batch) < _MANY and size < _BYTES:
            try:
                data, sender = opened.recvfrom(_LARGEST)
            except (BlockingIOError, ConnectionError):
                break
            batch.append(self._datagram(data, sender))
            size += len(data)
        if batch:
            await self._take(batch, size)

    def _datagram(self, data: bytes, sender: object) -> Datagram:
        if isinstance(sender, tuple):
            return data, f"udp://{sender[0]}:{sender[1]}"
        return data, f"unix://{self._address.unix_path}"

    async def _open(self) -> socket.socket:
        where = self._address
        made = None
        try:
            if where.unix_path:
                made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                bind_unix(made, where)
            else:
                found = await asyncio.get_running_loop().getaddrinfo(where.host, where.port, type=socket.SOCK_DGRAM)
                family, kind, protocol, _, place = found[0]
                made = socket.socket(family, kind, protocol)
                if where.share_port:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                made.bind(place)
                self.port = made.getsockname()[1]
            made.setblocking(False)
            if self._buffer:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        except OSError as e:
            if made is not None:
                made.close()
            raise UsageError(f"{self._what}: cannot listen on {where}: {e.strerror}; choose another address") from e
        return made

    def health(self) -> dict[str, object]:
        if self._socket is None:
            return {"listening": 0, "receive_buffer_bytes": 0, "kernel_drops": 0}
        return {
            "listening": self.port or 1,
            "receive_buffer_bytes": self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
            "kernel_drops": _drops(self._socket),
        }


def _drops(opened: socket.socket) -> int:
    """Datagrams that found no room, as Linux counts them for each socket; 0 where nobody counts."""
    tables = {socket.AF_INET: "/proc/net/udp", socket.AF_INET6: "/proc/net/udp6"}
    inode = str(os.fstat(opened.fileno()).st_ino)
    try:
        lines = Path(tables[socket.AddressFamily(opened.family)]).read_text().splitlines()[1:]
    except (OSError, KeyError):
        return 0
    for fields in map(str.split, lines):
        if len(fields) > _DROPS and fields[_INODE] == inode:
            return int(fields[_DROPS])
    return 0
