"""Senders to network inputs, one a protocol: what all of them share is tested once, in test_network_contract."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgpack

from kubewitness.contracts import Sink
from kubewitness.inputs.forward import Forward
from kubewitness.inputs.http import Http
from kubewitness.inputs.syslog import Syslog
from kubewitness.inputs.tcp import Tcp
from kubewitness.inputs.udp import Udp
from kubewitness.record import Chunk
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept


class Sender(ABC):
    """Records are {"n": NUMBER}, or what the protocol makes of it (`numbers` finds it again)."""

    #: plugin, and keys that make it listen on any port of this machine
    name: str
    keys: dict[str, str]
    #: the far side tells what it has taken
    acknowledged = True
    #: on connections
    connects = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def source(self, **keys: str) -> Any:
        """The input."""

    @abstractmethod
    async def send(self, source: Any, numbers: Sequence[int]) -> bool:
        """One message of so many records; whether it was acknowledged."""

    @abstractmethod
    def message(self, numbers: Sequence[int]) -> bytes:
        """The same as bytes on a connection."""

    @contextlib.asynccontextmanager
    async def listening(self, sink: Sink, **keys: str) -> AsyncIterator[Any]:
        async with running(self.source(**keys), sink) as (source, task):
            await until(lambda: task.done() or source.port)
            if task.done():
                task.result()
            yield source

    async def connect(self, source: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", source.port)


def numbers(sink: Kept) -> list[int]:
    """Of all records kept, in order."""
    return [n for chunk in sink.chunks for n in numbers_of(chunk)]


def numbers_of(chunk: Chunk) -> list[int]:
    """What is of no record's number any more (cut off) is -1."""
    found = []
    for raw in chunk.records() if chunk.table == "logs" else ():
        record = json.loads(raw)
        text = str(record["n"] if "n" in record else record.get("message", record.get("log"))).removeprefix("n=")
        found.append(int(text) if text.isdecimal() else -1)
    return found


class HttpSender(Sender):
    name = "http"

    def source(self, **keys: str) -> Http:
        return Http({"listen": "127.0.0.1", "port": "0", **keys})

    async def send(self, source: Any, numbers: Sequence[int]) -> bool:
        headers = {"Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{source.port}/app", data=_lines(numbers), headers=headers) as answer,
        ):
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) > 0
            return answer.status == 201

    def message(self, numbers: Sequence[int]) -> bytes:
        body = _lines(numbers)
        head = f"POST /app HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def _lines(numbers: Sequence[int]) -> bytes:
    return b"".join(b'{"n":%d}\n' % n for n in numbers)


class ForwardSender(Sender):
    """PackedForward with an id; acknowledged by it."""

    name = "forward"

    def source(self, **keys: str) -> Forward:
        return Forward({"listen": "127.0.0.1", "port": "0", **keys})

    async def send(self, source: Any, numbers: Sequence[int]) -> bool:
        reader, writer = await self.connect(source)
        try:
            writer.write(self.message(numbers))
            return bool(msgpack.unpackb(await reader.read(1000)) == {"ack": f"chunk-{numbers[0]}"})
        finally:
            writer.close()

    def message(self, numbers: Sequence[int]) -> bytes:
        entries = b"".join(msgpack.packb([msgpack.ExtType(0, STAMP), {"n": n}]) for n in numbers)
        message: bytes = msgpack.packb(["app", entries, {"chunk": f"chunk-{numbers[0]}"}])
        return message


#: an EventTime
STAMP = (1_700_000_000).to_bytes(4, "big") + (123_456_789).to_bytes(4, "big")


class TcpSender(Sender):
    name = "tcp"
    acknowledged = False

    def source(self, **keys: str) -> Any:
        return Tcp({"listen": "127.0.0.1", "port": "0", **keys})

    async def send(self, source: Any, numbers: Sequence[int]) -> bool:
        _, writer = await self.connect(source)
        writer.write(self.message(numbers))
        await writer.drain()
        writer.close()
        return True

    def message(self, numbers: Sequence[int]) -> bytes:
        return _lines(numbers)


class TcpLinesSender(TcpSender):
    name = "tcp lines"

    def source(self, **keys: str) -> Any:
        return super().source(format="none", **keys)

    def message(self, numbers: Sequence[int]) -> bytes:
        return b"".join(b"n=%d\n" % n for n in numbers)


class SyslogSender(TcpSender):
    name = "syslog tcp"

    def source(self, **keys: str) -> Any:
        return Syslog({"mode": "tcp", "listen": "127.0.0.1", "port": "0", **keys})

    def message(self, numbers: Sequence[int]) -> bytes:
        return b"".join(_syslog(n) + b"\n" for n in numbers)


class CountedSyslogSender(SyslogSender):
    name = "syslog counted"

    def message(self, numbers: Sequence[int]) -> bytes:
        return b"".join(b"%d %b" % (len(_syslog(n)), _syslog(n)) for n in numbers)


class UdpSender(Sender):
    name = "udp"
    acknowledged = connects = False

    def source(self, **keys: str) -> Any:
        return Udp({"listen": "127.0.0.1", "port": "0", **keys})

    async def send(self, source: Any, numbers: Sequence[int]) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            for n in numbers:
                opened.sendto(self.message([n]), ("127.0.0.1", source.port))
        return True

    def message(self, numbers: Sequence[int]) -> bytes:
        return _lines(numbers)


class SyslogUdpSender(UdpSender):
    name = "syslog udp"

    def source(self, **keys: str) -> Any:
        return Syslog({"mode": "udp", "listen": "127.0.0.1", "port": "0", **keys})

    def message(self, numbers: Sequence[int]) -> bytes:
        return _syslog(numbers[0])


def _syslog(n: int) -> bytes:
    return b"<13>Nov 22 21:25:09 host app[7]: n=%d" % n


#: on connections
STREAMS: tuple[type[Sender], ...] = (
    HttpSender, ForwardSender, TcpSender, TcpLinesSender, SyslogSender, CountedSyslogSender,
)  # fmt: skip
SENDERS: tuple[type[Sender], ...] = (*STREAMS, UdpSender, SyslogUdpSender)
