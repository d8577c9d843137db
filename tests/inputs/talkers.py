"""What each input is told by: for faults that all of them have to stand. It notes what it said, or was acknowledged."""

from __future__ import annotations

import asyncio
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import aiohttp
from aiohttp import web

from tests.cluster.harness.ports import free_port
from tests.fake_apiserver import FakeApiServer
from tests.inputs import senders
from tests.inputs.test_kubernetes_admission import review
from tests.inputs.test_kubernetes_audit_webhook import event, event_list
from tests.journald import Journald

#: where the number stands in a record of any of them
NUMBER = re.compile(rb'\bn(?:=|": ?)(\d+)')


class Talker(ABC):
    """Says numbers, five at a time, as long as it is let."""

    #: row of the table, plugin, and the tag that its records get
    name: str
    plugin: str
    #: what comes twice is recognised
    once = True
    #: waits while nobody is there
    waits = False
    #: seconds between two times
    pause = 0.02

    def __init__(self, place: Path) -> None:
        self.place = place
        #: what counts as said: written, sent, or acknowledged
        self.said: list[int] = []
        self._next = 0
        self._one_at_a_time = asyncio.Lock()
        self.tag = self.name.replace(" ", "_")

    @abstractmethod
    def keys(self) -> dict[str, str]:
        """Of the input."""

    @abstractmethod
    async def say(self, numbers: Sequence[int]) -> bool:
        """Whether it is said; else it is said again. OSError and aiohttp's errors: not yet."""

    async def talk(self, up: asyncio.Event, end: asyncio.Event) -> None:
        while not end.is_set():
            if self.waits:
                await up.wait()
            numbers = range(self._next, self._next + 5)
            try:
                async with self._one_at_a_time:
                    if await self.say(numbers):
                        self.said += numbers
                        self._next += 5
            except (OSError, EOFError, ValueError, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.02)
            await asyncio.sleep(self.pause)

    async def halves(self, n: int, between: Callable[[], Awaitable[None]], *, cut: bool) -> None:
        """Says the first half of a record; then, `cut`, breaks off and says it anew, else says the other half."""
        raise NotImplementedError

    async def start(self) -> None:
        """Where there is something to start, to note at the end, and to stop."""
        return

    async def finish(self) -> None:
        return

    async def stop(self) -> None:
        return


class Lines(Talker):
    """Lines one after another, in one place."""

    def line(self, n: int) -> bytes:
        return b'{"n":%d}' % n

    @abstractmethod
    def put(self, data: bytes) -> None:
        """Behind what is there."""

    async def say(self, numbers: Sequence[int]) -> bool:
        self.put(b"".join(self.line(n) + b"\n" for n in numbers))
        return True

    async def halves(self, n: int, between: Callable[[], Awaitable[None]], *, cut: bool) -> None:
        line = self.line(n)
        async with self._one_at_a_time:
            self.put(line[:3])
            await asyncio.sleep(0.3)  # nothing can come between
            self.put(b"\n" + line + b"\n" if cut else line[3:] + b"\n")
        self.said.append(n)
        await between()


class File(Lines):
    name = plugin = "tail"

    def keys(self) -> dict[str, str]:
        return {"path": str(self.place / self.tag), "parser": "json", "read_from_head": "on"}

    def put(self, data: bytes) -> None:
        with (self.place / self.tag).open("ab") as f:
            f.write(data)


class AuditFile(File):
    name, plugin = "kubernetes_audit file", "kubernetes_audit"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        (place / self.tag).touch()

    def keys(self) -> dict[str, str]:
        return {"audit_file": str(self.place / self.tag), "refresh_interval": "20ms"}

    def line(self, n: int) -> bytes:
        return json.dumps({**event(n, auditID=f"n={n}"), "kind": "Event", "apiVersion": "audit.k8s.io/v1"}).encode()


class Systemd(Talker):
    name = plugin = "systemd"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._journal = Journald(place / "journal")

    def keys(self) -> dict[str, str]:
        return {"path": str(self._journal.directory), "journalctl": self._journal.journalctl}

    async def say(self, numbers: Sequence[int]) -> bool:
        await asyncio.to_thread(self._journal.add, *([("MESSAGE", f"n={n}")] for n in numbers))
        return True


class Stdin(Lines):
    """A pipe that outlives each process that reads it."""

    name = plugin = "stdin"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def keys(self) -> dict[str, str]:
        return {}

    def put(self, data: bytes) -> None:
        os.write(self._writing, data)  # a small write is whole or not at all

    async def stop(self) -> None:
        os.close(self.reading)
        os.close(self._writing)


class Exec(Talker):
    """A command that counts."""

    name = plugin = "exec"
    echo = "echo n=$n"

    async def halves(self, n: int, between: Callable[[], Awaitable[None]], *, cut: bool) -> None:
        await between()  # all of its lines take their time

    def keys(self) -> dict[str, str]:
        file = self.place / "counter"
        count = f"n=$(cat {file} 2>/dev/null || echo 0); echo $((n+1)) > {file}.new; mv {file}.new {file}"
        return {"command": f"{count}; {self.echo}", "interval_sec": "0", "interval_nsec": "50000000"}

    async def say(self, numbers: Sequence[int]) -> bool:
        return False

    async def talk(self, up: asyncio.Event, end: asyncio.Event) -> None:
        await end.wait()

    async def finish(self) -> None:
        self.said = list(range(int((self.place / "counter").read_text())))


class Sent(Talker):
    """What has a sender in `tests.inputs.senders`."""

    kind: type[senders.Sender]

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._at = SimpleNamespace(port=free_port())
        self._sender = self.kind(place)

    def keys(self) -> dict[str, str]:
        return {"listen": "127.0.0.1", "port": str(self._at.port)}

    async def say(self, numbers: Sequence[int]) -> bool:
        async with asyncio.timeout(10):
            return await self._sender.send(self._at, numbers)

    def message(self, n: int) -> bytes:
        """Of one record, as bytes on a connection."""
        return self._sender.message([n])

    async def halves(self, n: int, between: Callable[[], Awaitable[None]], *, cut: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._at.port)
        message = self.message(n)
        middle = len(message) - 9  # behind the head
        writer.write(message[:middle])
        await writer.drain()
        await between()
        if cut:
            writer.transport.abort()
            while not await self.say([n]):
                await asyncio.sleep(0.02)
        else:
            writer.write(message[middle:])
            await writer.drain()
            if self._sender.acknowledged:
                assert await reader.read(1000)
            writer.close()
        self.said.append(n)


class Http(Sent):
    name = plugin = "http"
    kind = senders.HttpSender
    once = False  # HTTP has no name for a body: one that was taken, and whose answer was lost, comes again

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.tag = "app"


class Forward(Sent):
    name = plugin = "forward"
    kind = senders.ForwardSender

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.tag = "forward.app"

    def keys(self) -> dict[str, str]:
        return {**super().keys(), "tag_prefix": "forward."}


class Tcp(Sent):
    name = plugin = "tcp"
    kind = senders.TcpSender


class Syslog(Sent):
    name = plugin = "syslog"
    kind = senders.SyslogSender

    def keys(self) -> dict[str, str]:
        return {**super().keys(), "mode": "tcp"}


class Udp(Sent):
    name = plugin = "udp"
    kind = senders.UdpSender
    waits = True  # what is sent to nobody says nothing about anybody


class AuditWebhook(Sent):
    """As the API server: until it was told 200."""

    name, plugin = "kubernetes_audit webhook", "kubernetes_audit"
    kind = senders.HttpSender

    async def say(self, numbers: Sequence[int]) -> bool:
        async with self.session() as session:
            url = f"http://127.0.0.1:{self._at.port}/audit"
            async with session.post(url, data=self.body(numbers)) as answer:
                return answer.status == 200

    def body(self, numbers: Sequence[int]) -> bytes:
        # others than in the file: what comes both ways is there once
        return event_list(*(event(n, auditID=f"webhook n={n}") for n in numbers))

    def message(self, n: int) -> bytes:
        body = self.body([n])
        path = "admission" if self.plugin == "kubernetes_admission" else "audit"
        return b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body

    @staticmethod
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))


class Admission(AuditWebhook):
    name = plugin = "kubernetes_admission"

    async def say(self, numbers: Sequence[int]) -> bool:
        async with self.session() as session:
            for n in numbers:
                url = f"http://127.0.0.1:{self._at.port}/admission"
                async with session.post(url, data=self.body([n])) as answer:
                    if answer.status != 200:
                        return False
        return True

    def body(self, numbers: Sequence[int]) -> bytes:
        return json.dumps(review(numbers[0], uid=f"n={numbers[0]}")).encode()


class Events(Talker):
    name = plugin = "kubernetes_events"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.server = FakeApiServer()

    def keys(self) -> dict[str, str]:
        return {"kube_url": self.server.url}

    async def say(self, numbers: Sequence[int]) -> bool:
        for n in numbers:
            self.server.put(f"e{n}", message=f"n={n}")
        return True

    async def halves(self, n: int, between: Callable[[], Awaitable[None]], *, cut: bool) -> None:
        """A watch that breaks off within an Event; a server that takes its time to answer."""
        self.server.cut = 100
        if not cut:
            self.server.faults.append(_late)
        self.server.put(f"e{n}", message=f"n={n}")
        await asyncio.sleep(0)
        self.server.break_connections()
        self.said.append(n)
        await between()

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()


async def _late(request: web.Request) -> None:
    await asyncio.sleep(0.2)


TALKERS: tuple[type[Talker], ...] = (
    File, AuditFile, Systemd, Stdin, Exec, Http, Forward, Tcp, Syslog, Udp, AuditWebhook, Admission, Events,
)  # fmt: skip
