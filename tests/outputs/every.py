"""Every output that delivers to a far side, with that far side: for faults that all of them have to stand."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import nats

from kubewitness.contracts import Output
from kubewitness.outputs import OUTPUTS
from kubewitness.record import Chunk
from tests.journal.helpers import numbered
from tests.outputs.kafka_broker import Broker
from tests.outputs.sides import SIDES
from tests.outputs.test_forward import Aggregator
from tests.outputs.test_nats import Server, messages, stream_of
from tests.outputs.test_s3 import Bucket
from tests.outputs.test_tcp import Listener
from tests.outputs.wires import Wire


def made(plugin: str, keys: dict[str, str]) -> Output:
    module, name = OUTPUTS[plugin]
    output = getattr(importlib.import_module(module), name)(keys, name=plugin)
    output.batch_bytes = 200  # several requests a run
    return cast(Output, output)


class Far(ABC):
    """One output's far side. `wire` stands before it."""

    plugin: str
    #: what comes twice is recognised there
    idempotent = False
    #: nobody says what arrived: what is on its way when the connection breaks is lost
    unacknowledged = False
    #: faults that it plays itself -> its name for them
    own_faults: ClassVar[dict[str, str]] = {}

    def __init__(self, place: Path) -> None:
        self.place = place
        self.wire: Wire
        #: keys of the output beside or instead of its own
        self.more: dict[str, str] = {}

    @abstractmethod
    async def start(self) -> int:
        """Its port."""

    @abstractmethod
    def output(self) -> Output: ...

    def made(self, keys: dict[str, str]) -> Output:
        return made(self.plugin, {**keys, **self.more})

    @abstractmethod
    async def numbers(self) -> list[int]:
        """Of the records that arrived, as often as they did."""

    async def stop(self) -> None:
        """Where there is something to stop."""
        return

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        return numbered(*numbers)

    def play(self, fault: str) -> None:
        raise NotImplementedError


class Http(Far):
    """Those of `sides`."""

    own_faults: ClassVar[dict[str, str]] = {"429": "429", "500": "500"}

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.side = SIDES[self.plugin]()
        self.idempotent = self.side.idempotent

    async def start(self) -> int:
        await self.side.start()
        return self.side.port

    async def stop(self) -> None:
        await self.side.stop()
        assert [w for w in self.side.wrong if "JSON" not in w] == []

    def output(self) -> Output:
        where = {k: v.replace(str(self.side.port), str(self.wire.port)) for k, v in self.side.where().items()}
        return self.made({**where, "http.response_timeout": "200ms", **self.side.keys})

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        return self.side.chunk(numbers)

    async def numbers(self) -> list[int]:
        return self.side.took

    def play(self, fault: str) -> None:
        self.side.faults.append(fault)


class Forward(Far):
    plugin = "forward"

    async def start(self) -> int:
        self._side = await Aggregator().__aenter__()
        return self._side.port

    async def stop(self) -> None:
        await self._side.__aexit__()

    def output(self) -> Output:
        return self.made({"port": str(self.wire.port), "net.io_timeout": "300ms"})

    async def numbers(self) -> list[int]:
        return self._side.numbers


class Kafka(Far):
    plugin = "kafka"
    idempotent = True
    own_faults: ClassVar[dict[str, str]] = {"429": "busy"}

    async def start(self) -> int:
        self._broker = await Broker().__aenter__()
        return self._broker.port

    async def stop(self) -> None:
        await self._broker.__aexit__()

    def output(self) -> Output:
        self._broker.port = self.wire.port  # what it says of itself
        return self.made({"brokers": f"127.0.0.1:{self.wire.port}", "topics": "logs"})

    async def numbers(self) -> list[int]:
        return [json.loads(t.value)["n"] for t in self._broker.taken]

    def play(self, fault: str) -> None:
        self._broker.faults.append(fault)


class Nats(Far):
    """A real server, with JetStream."""

    plugin = "nats"
    idempotent = True

    async def start(self) -> int:
        self._server = Server(self.place)
        await asyncio.to_thread(self._server.start)
        client = await self._client()
        await stream_of(client, "faults")
        await client.close()
        return self._server.port

    async def _client(self) -> Any:
        return await nats.connect(f"nats://127.0.0.1:{self._server.port}", user="alice", password="pw")

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    def output(self) -> Output:
        keys = {
            "port": str(self.wire.port),
            "username": "alice",
            "password": "pw",
            "jetstream": "on",
            "subject": "faults.x",
        }
        return self.made(keys)

    async def numbers(self) -> list[int]:
        client = await self._client()
        found = await messages(client.jetstream(), "faults")
        await client.close()
        return [json.loads(m.data)["n"] for m in found]


class S3(Far):
    plugin = "s3"

    async def start(self) -> int:
        self._bucket = await Bucket().__aenter__()
        return self._bucket.port

    async def stop(self) -> None:
        await self._bucket.__aexit__()

    def output(self) -> Output:
        keys = {"bucket": "b", "endpoint": f"http://127.0.0.1:{self.wire.port}", "store_dir": str(self.place / "s3")}
        return self.made({**keys, "json_date_key": "false", "total_file_size": "50"})

    async def numbers(self) -> list[int]:
        lines = b"".join(self._bucket.objects.values()).splitlines()
        return [json.loads(line)["n"] for line in lines]


class Tcp(Far):
    plugin = "tcp"
    unacknowledged = True
    keys: ClassVar[dict[str, str]] = {"format": "json_lines", "json_date_key": "false"}
    #: how many records are waited for
    expected = 60

    async def start(self) -> int:
        self._listener = await Listener().start()
        return self._listener.port

    async def stop(self) -> None:
        await self._listener.stop()

    def output(self) -> Output:
        return self.made({"port": str(self.wire.port), **self.keys})

    async def numbers(self) -> list[int]:
        numbers: list[int] = []
        for _ in range(30):  # what was sent is on its way
            text = b"\n".join(self._listener.connections).decode()
            numbers = [int(n) for n in re.findall(r'\{"n":(\d+)\}', text)]
            if len(set(numbers)) >= self.expected:
                break
            await asyncio.sleep(0.05)
        return numbers


class Syslog(Tcp):
    plugin = "syslog"
    keys: ClassVar[dict[str, str]] = {"mode": "tcp"}


class File(Far):
    """This machine; nothing stands before it."""

    plugin = "file"

    async def start(self) -> int:
        return 0

    def output(self) -> Output:
        return self.made({"path": str(self.place), "file": "out", "format": "plain"})

    async def numbers(self) -> list[int]:
        return [json.loads(line)["n"] for line in (self.place / "out").read_text().splitlines()]


HTTP: dict[str, type[Far]] = {name: type(name, (Http,), {"plugin": name}) for name in SIDES}
EVERY: dict[str, type[Far]] = {
    **HTTP, **{far.plugin: far for far in (Forward, Kafka, Nats, S3, Tcp, Syslog, File)},
}  # fmt: skip
