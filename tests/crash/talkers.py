"""Sources of every input of a pipeline that is killed: what each says, and what it was told of it."""

from __future__ import annotations

import asyncio
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import aiohttp

from tests.cluster.harness.ports import free_port
from tests.fake_apiserver import FakeApiServer
from tests.inputs import senders
from tests.inputs.test_kubernetes_admission import review
from tests.inputs.test_kubernetes_audit_webhook import event, event_list
from tests.journald import Journald


class Talker(ABC):
    """Says numbers, five at a time, as long as it is let."""

    #: row of the table, plugin, and the tag that its records get
    name: str
    plugin: str
    #: what comes twice is recognised
    once = True
    #: waits while nobody is there
    waits = False

    def __init__(self, place: Path) -> None:
        self.place = place
        #: what counts as said: written, sent, or acknowledged
        self.said: list[int] = []
        self.tag = self.name.replace(" ", "_")

    @abstractmethod
    def keys(self) -> dict[str, str]:
        """Of the input."""

    @abstractmethod
    async def say(self, numbers: Sequence[int]) -> bool:
        """Whether it is said; else it is said again. OSError and aiohttp's errors: not yet."""

    async def talk(self, up: asyncio.Event, end: asyncio.Event) -> None:
        n = 0
        while not end.is_set():
            if self.waits:
                await up.wait()
            try:
                if await self.say(range(n, n + 5)):
                    self.said += range(n, n + 5)
                    n += 5
            except (OSError, EOFError, ValueError, aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Where there is something to stop."""
        return


class File(Talker):
    name = plugin = "tail"

    def keys(self) -> dict[str, str]:
        return {"path": str(self.place / self.tag), "parser": "json", "read_from_head": "on"}

    async def say(self, numbers: Sequence[int]) -> bool:
        with (self.place / self.tag).open("ab") as f:
            f.write(b"".join(self.line(n) + b"\n" for n in numbers))
        return True

    def line(self, n: int) -> bytes:
        return b'{"n":%d}' % n


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


class Stdin(Talker):
    """A pipe that outlives each process that reads it."""

    name = plugin = "stdin"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    def keys(self) -> dict[str, str]:
        return {}

    async def say(self, numbers: Sequence[int]) -> bool:
        os.write(self._writing, b"".join(b'{"n":%d}\n' % n for n in numbers))  # a small write is whole or not at all
        return True

    async def stop(self) -> None:
        os.close(self.reading)
        os.close(self._writing)


class Exec(Talker):
    """A command that counts."""

    name = plugin = "exec"

    def keys(self) -> dict[str, str]:
        file = self.place / "counter"
        command = f"n=$(cat {file} 2>/dev/null || echo 0); echo $((n+1)) > {file}.new; mv {file}.new {file}; echo n=$n"
        return {"command": command, "interval_sec": "0", "interval_nsec": "50000000"}

    async def say(self, numbers: Sequence[int]) -> bool:
        return False

    async def talk(self, up: asyncio.Event, end: asyncio.Event) -> None:
        await end.wait()

    async def stop(self) -> None:
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
        body = event_list(*(event(n, auditID=f"n={n}") for n in numbers))
        async with self.session() as session, session.post(f"http://127.0.0.1:{self._at.port}/audit", data=body) as got:
            return got.status == 200

    @staticmethod
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))


class Admission(AuditWebhook):
    name = plugin = "kubernetes_admission"

    async def say(self, numbers: Sequence[int]) -> bool:
        async with self.session() as session:
            for n in numbers:
                asked = review(n, uid=f"n={n}")
                url = f"http://127.0.0.1:{self._at.port}/admission"
                async with session.post(url, data=json.dumps(asked)) as answer:
                    if answer.status != 200:
                        return False
        return True


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

    async def stop(self) -> None:
        await self.server.stop()


TALKERS: tuple[type[Talker], ...] = (
    File, AuditFile, Systemd, Stdin, Exec, Http, Forward, Tcp, Syslog, Udp, AuditWebhook, Admission, Events,
)  # fmt: skip
