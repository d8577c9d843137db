"""Every output that delivers to a far side, with that far side: for faults that all of them have to stand."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, cast

import nats

from kubewitness.config.state import state_paths
from kubewitness.contracts import Output
from kubewitness.inputs.made import RecordChunks
from kubewitness.outputs import OUTPUTS
from kubewitness.record import Chunk
from kubewitness.store import Store
from tests.journal.helpers import key_of, numbered
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

    def __init__(self, place: Path) -> None:
        self.place = place
        self.wire: Wire
        #: keys of the output beside or instead of its own
        self.more: dict[str, str] = {}

    @abstractmethod
    async def start(self) -> int:
        """Its port."""

    @abstractmethod
    def keys(self) -> dict[str, str]:
        """Of the output, so that it finds the far side behind the wire."""

    def output(self) -> Output:
        return made(self.plugin, {**self.keys(), **self.more})

    @abstractmethod
    async def numbers(self) -> list[int]:
        """Of the records that arrived, as often as they did."""

    async def arrived(self, count: int) -> list[int]:
        """The same, once there are so many: what nobody acknowledges is on its way when it is sent."""
        found: list[int] = []
        for _ in range(30):
            found = await self.numbers()
            if len(set(found)) >= count:
                break
            await asyncio.sleep(0.05)
        return found

    async def stop(self) -> None:
        """Where there is something to stop."""
        return

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        return numbered(*numbers)

    async def play(self, fault: str) -> None:
        """Does it to what comes next."""
        raise NotImplementedError


class Http(Far):
    """Those of `sides`."""

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

    def keys(self) -> dict[str, str]:
        where = {k: v.replace(str(self.side.port), str(self.wire.port)) for k, v in self.side.where().items()}
        return {**where, "http.response_timeout": "200ms", **self.side.keys}

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        return self.side.chunk(numbers)

    async def numbers(self) -> list[int]:
        return self.side.took

    async def play(self, fault: str) -> None:
        self.side.faults.append("partial" if (self.plugin, fault) == ("opentelemetry", "half") else fault)


class Forward(Far):
    plugin = "forward"

    async def start(self) -> int:
        self._side = await Aggregator().__aenter__()
        return self._side.port

    async def stop(self) -> None:
        await self._side.__aexit__()

    def keys(self) -> dict[str, str]:
        return {"port": str(self.wire.port), "net.io_timeout": "300ms"}

    async def numbers(self) -> list[int]:
        return self._side.numbers

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        """Of tags in turn: a batch is several messages."""
        made = numbered(*numbers)
        made.tag = f"audit.{numbers[0] // 10 % 2}"
        return made

    async def play(self, fault: str) -> None:
        """Half: hangs up at the second message of a batch."""
        self._side.faults.extend(["", "deaf"] if fault else [""])


class Kafka(Far):
    plugin = "kafka"
    idempotent = True

    async def start(self) -> int:
        self._broker = await Broker(partitions=2).__aenter__()
        return self._broker.port

    async def stop(self) -> None:
        await self._broker.__aexit__()

    def keys(self) -> dict[str, str]:
        self._broker.port = self.wire.port  # what it says of itself
        return {"brokers": f"127.0.0.1:{self.wire.port}", "topics": "logs"}

    async def numbers(self) -> list[int]:
        return [json.loads(t.value)["n"] for t in self._broker.taken]

    async def play(self, fault: str) -> None:
        self._broker.faults.append({"429": "busy", "500": "error"}.get(fault, fault))


class Nats(Far):
    """A real server, with JetStream."""

    plugin = "nats"
    idempotent = True
    _lifting: asyncio.Task[None] | None = None

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
        if self._lifting is not None:
            await self._lifting
        await asyncio.to_thread(self._server.stop)

    def keys(self) -> dict[str, str]:
        return {
            "port": str(self.wire.port),
            "username": "alice",
            "password": "pw",
            "jetstream": "on",
            "subject": "faults.x",
            "net.io_timeout": "1s",
        }

    async def play(self, fault: str) -> None:
        """The stream is full for a while, at once or after five messages."""
        if not fault or self._lifting is not None:
            return
        client = await self._client()
        stream = client.jetstream()
        info = await stream.stream_info("faults")
        info.config.discard = "new"
        info.config.max_msgs = info.state.messages + (5 if fault == "half" else 0)
        await stream.update_stream(info.config)
        self._lifting = asyncio.create_task(self._lift(client, stream, info.config))

    async def _lift(self, client: Any, stream: Any, config: Any) -> None:
        await asyncio.sleep(0.3)
        config.max_msgs = -1
        await stream.update_stream(config)
        await client.close()

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

    def keys(self) -> dict[str, str]:
        where = {"bucket": "b", "endpoint": f"http://127.0.0.1:{self.wire.port}", "store_dir": str(self.place / "s3")}
        return {**where, "json_date_key": "false", "total_file_size": "50"}

    async def numbers(self) -> list[int]:
        lines = b"".join(self._bucket.objects.values()).splitlines()
        return [json.loads(line)["n"] for line in lines]

    async def play(self, fault: str) -> None:
        self._bucket.faults.append(fault)


class Tcp(Far):
    plugin = "tcp"
    unacknowledged = True
    form: ClassVar[dict[str, str]] = {"format": "json_lines", "json_date_key": "false"}

    async def start(self) -> int:
        self._listener = await Listener().start()
        return self._listener.port

    async def stop(self) -> None:
        await self._listener.stop()

    def keys(self) -> dict[str, str]:
        return {"port": str(self.wire.port), **self.form}

    async def numbers(self) -> list[int]:
        text = b"\n".join(self._listener.connections).decode()
        return [int(n) for n in re.findall(r'\{"n":(\d+)\}', text)]


class Syslog(Tcp):
    plugin = "syslog"
    form: ClassVar[dict[str, str]] = {"mode": "tcp"}


class Here(Far):
    """This machine; nothing stands before it."""

    async def start(self) -> int:
        return 0


class File(Here):
    plugin = "file"

    def keys(self) -> dict[str, str]:
        return {"path": str(self.place), "file": "out", "format": "plain"}

    async def numbers(self) -> list[int]:
        return [json.loads(line)["n"] for line in (self.place / "out").read_text().splitlines()]


class Stdout(Here):
    """Into a file. What a full disk or a kill cut off is no record."""

    plugin = "stdout"

    def output(self) -> Output:
        self._file, self._before = (self.place / "stdout").open("a"), sys.stdout
        sys.stdout = self._file
        return super().output()

    async def stop(self) -> None:
        sys.stdout = self._before
        self._file.close()

    def keys(self) -> dict[str, str]:
        return {}

    async def numbers(self) -> list[int]:
        return [int(n) for n in re.findall(r'\{"n":(\d+)\}', (self.place / "stdout").read_text())]


class TheStore(Here):
    plugin = "store"
    idempotent = True

    def keys(self) -> dict[str, str]:
        return {"state": str(self.place / "store"), "flush_seconds": "1"}

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        chunks = RecordChunks("test", "audit")
        for n in numbers:
            record = b'{"n":%d}' % n
            chunks.add(record, 1_700_000_000_000_000_000, key=key_of(record))
        return chunks.take()[0]

    async def numbers(self) -> list[int]:
        return await asyncio.to_thread(self._stored)

    def _stored(self) -> list[int]:
        store = Store(state_paths(str(self.place / "store")))
        try:
            with store.session() as session:
                return [json.loads(str(row[0]))["n"] for row in session.query("select fields from logs")]
        finally:
            store.close()


HTTP: dict[str, type[Far]] = {name: type(name, (Http,), {"plugin": name}) for name in SIDES}
EVERY: dict[str, type[Far]] = {
    **HTTP, **{far.plugin: far for far in (Forward, Kafka, Nats, S3, Tcp, Syslog, File, Stdout, TheStore)},
}  # fmt: skip
