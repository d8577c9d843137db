"""A burst: more Events and audit batches at once than the journal has room for, as an API server sends them.

The sender does as k8s.io/apiserver does (plugin/pkg/audit/webhook): every answer but 2xx is tried again, five times
in all with growing waits, and then the batch is dropped.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from kubewitness.config.state import state_paths
from kubewitness.errors import StateError
from kubewitness.journal import Journal
from kubewitness.store import Store
from tests.fake_apiserver import FakeApiServer

Key = tuple[str, str]

_TRIES = 5
_ITEM = (
    '{"level":"RequestResponse","auditID":"%s","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/'
    'configmaps/c%d","verb":"update","user":{"username":"alice","groups":["ops"]},"sourceIPs":["10.0.0.7"],"objectRef":'
    '{"resource":"configmaps","namespace":"shop","name":"c%d","apiVersion":"v1"},"responseStatus":{"code":200},'
    '"requestObject":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c%d"},"binaryData":{"b":"%s"}},'
    '"requestReceivedTimestamp":"2026-11-22T10:%02d:%02d.%06dZ","stageTimestamp":"2026-11-22T10:%02d:%02d.%06dZ"}'
)


@dataclass(frozen=True)
class Burst:
    """How much: Events (some there before the recorder, the others told by the watch), and bytes of EventLists."""

    events: int
    audit_bytes: int
    #: of the journal, bytes
    limit: int
    items: int = 400
    connections: int = 16
    #: seconds before the second try; then 1.5 times as long each time
    backoff: float = 10.0
    #: seconds after which what is in the journal is written to the tables in any case
    flush: float = 30.0


class Sender:
    """Posts EventLists until `audit_bytes` were sent; what is in them compresses badly."""

    def __init__(self, burst: Burst, url: str, seed: int) -> None:
        self._burst = burst
        self._url = url
        self._seed = seed
        self._left = burst.audit_bytes
        self._next = 0
        self.said: set[Key] = set()
        self.sent_bytes = 0
        self.answers: Counter[int] = Counter()
        self.dropped = 0

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._burst.connections)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as tasks:
            for _ in range(self._burst.connections):
                tasks.create_task(self._work(session))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while self._left > 0:
            number, self._next = self._next, self._next + 1
            body, keys = self._body(number)
            self._left -= len(body)
            self.sent_bytes += len(body)
            self.said |= keys
            if not await self._post(session, body):
                self.dropped += 1

    def _body(self, number: int) -> tuple[bytes, set[Key]]:
        rng = random.Random(f"{self._seed}/{number}")
        items, keys = [], set()
        for i in range(self._burst.items):
            n = number * self._burst.items + i
            name, value = f"{number:06d}-{i:04d}", base64.b64encode(rng.randbytes(1400)).decode()
            moment = (n // 60_000_000 % 60, n // 1_000_000 % 60, n % 1_000_000)
            items.append(_ITEM % (name, n % 997, n % 997, n % 997, value, *moment, *moment))
            keys.add((name, "ResponseComplete"))
        return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[%s]}' % ",".join(items).encode(), keys

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        for attempt in range(_TRIES):
            if attempt:
                await asyncio.sleep(self._burst.backoff * 1.5 ** (attempt - 1) * random.uniform(1.0, 1.2))
            try:
                async with session.post(self._url, data=body, timeout=aiohttp.ClientTimeout(total=30)) as answer:
                    self.answers[answer.status] += 1
                    if answer.status == 200:
                        return True
            except (aiohttp.ClientError, TimeoutError, OSError):
                self.answers[0] += 1
        return False


async def tell(server: FakeApiServer, count: int, seed: int) -> None:
    """Events in groups, some of them new versions of one that was there."""
    rng = random.Random(seed)
    for n in range(count):
        server.put(f"e{n % (count * 4 // 5)}", message=f"Back-off restarting container {rng.randbytes(300).hex()}")
        if n % 250 == 249:
            await asyncio.sleep(0.02)


class Journals:
    """How full the recorder's journal is, looked at all the time."""

    def __init__(self, state: Path) -> None:
        self._path = state_paths(str(state)).journal
        self.highest = 0
        self.now = -1

    async def run(self) -> None:
        while True:
            try:
                self.now = await asyncio.to_thread(self._look)
            except StateError:
                self.now = -1  # not there yet
            self.highest = max(self.highest, self.now)
            await asyncio.sleep(0.1)

    def _look(self) -> int:
        with Journal.open_readonly(self._path) as journal:
            return journal.stats().held.size


def peak_mb(pid: int) -> float:
    """The most memory that the process ever had (VmHWM), 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("no VmHWM")


def stored(state: Path, query: str) -> Counter[Key]:
    with Store(state_paths(str(state))).session() as session:
        return Counter((str(a), str(b)) for a, b in session.query(query))


async def until(what: str, condition: Callable[[], bool], seconds: float) -> float:
    """Seconds that it took; AssertionError when it did not come."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.1)
    return time.monotonic() - began
