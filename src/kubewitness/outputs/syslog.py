"""Output `syslog`: over UDP, TCP or TLS. Sources: RFC 5424, 3164, 5426 (UDP), 6587 (TCP).

Syslog has no acknowledgement: what is on its way when a connection breaks is lost, as with any sender of it; with UDP
nobody knows. A broken connection is noticed before the next batch, which is then sent on a new one.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry
from kubewitness.outputs.client_tls import TLS_KEYS, ClientTls
from kubewitness.outputs.http_keys import NET_KEYS, place
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import outcome, stamps_ns
from kubewitness.outputs.stream_sender import StreamSender
from kubewitness.outputs.syslog_lines import LINE_KEYS, SyslogLines, framed

KEYS = (
    *place(514),
    Key("mode", default="udp", doc="how; `tls` is `tcp` with `tls on`", choices=("udp", "tcp", "tls")),
    *LINE_KEYS,
    *TLS_KEYS, *NET_KEYS,
)  # fmt: skip


class SyslogOutput:
    """At most once over UDP; over TCP what is on its way when the connection breaks may be lost."""

    batch_bytes = 500_000

    def __init__(self, keys: Mapping[str, str], name: str = "syslog") -> None:
        what = f"output {name}"
        given = {k.lower(): v for k, v in keys.items()}
        if given.get("mode", "").strip().lower() == "tls":
            given["tls"] = "on"
        opts = Options(what, given, KEYS)
        self.name = name
        self._lines = SyslogLines(what, opts)
        self._sender = StreamSender(what, opts, tls=ClientTls(what, opts))
        self._udp = opts.choice("mode") == "udp"
        self._address = (opts.text("host"), opts.number("port"))
        self._source = opts.text("net.source_address")
        self._socket: socket.socket | None = None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        messages = await asyncio.to_thread(self._messages, deliveries)
        if self._udp:
            await self._datagrams(deliveries, messages)
        elif messages:
            await self._sender.send(framed(messages))
            await self._sender.pause()

    async def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        await self._sender.close()

    def _messages(self, deliveries: Sequence[Delivery]) -> list[bytes]:
        return [
            self._lines.of(line, ns)
            for d in deliveries
            for line, ns in zip(objects(d.chunk), stamps_ns(d.chunk), strict=True)
        ]

    async def _datagrams(self, deliveries: Sequence[Delivery], messages: Sequence[bytes]) -> None:
        """One each. What no datagram can hold is refused; an error of the network is told of a datagram before it."""
        loop = asyncio.get_running_loop()
        refused: dict[int, str] = {}
        for n, message in enumerate(messages):
            try:
                await loop.sock_sendall(await self._opened(), message)
            except OSError as e:
                if e.errno == errno.EMSGSIZE:
                    refused[n] = f"{len(message)} bytes are more than a datagram holds; set syslog_maxsize, or use tcp"
                    continue
                await self.close()
                left = range(max(0, n - 1), len(messages))
                raise outcome(deliveries, refused, left, f"{self._address[0]}:{self._address[1]}: {e.strerror}") from e
        if refused:
            raise outcome(deliveries, refused, [], next(iter(refused.values())), 0)

    async def _opened(self) -> socket.socket:
        if self._socket is None:
            loop = asyncio.get_running_loop()
            try:
                found = await loop.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
            except OSError as e:
                raise Retry(f"{self._address[0]}: {e.strerror}") from e
            family, kind, protocol, _, address = found[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.setblocking(False)
            try:
                if self._source:
                    self._socket.bind((self._source, 0))
                self._socket.connect(address)
            except OSError as e:
                await self.close()
                raise Retry(f"{self._address[0]}: {e.strerror}") from e
        return self._socket
