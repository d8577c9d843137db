"""Output `forward` against a strict reader of the Forward Protocol Specification v1, with its handshake and faults."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import struct
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubewitness.contracts import Batch, Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.forward import ForwardOutput
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from tests.journal.helpers import numbered
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
STAMP = struct.pack(">II", 1_700_000_000, 123_456_789)


class Aggregator:
    """Reads messages, checks them, acknowledges. Faults, one for each message: "cut" (took it, hangs up), "silent",
    "wrong" (another chunk's id), "deaf" (hangs up before it took anything)."""

    def __init__(self, key: str = "", users: dict[str, str] | None = None) -> None:
        self.key = key
        self.users = users or {}
        self.messages: list[tuple[str, list[Any], dict[str, Any]]] = []
        self.faults: deque[str] = deque()
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Aggregator:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def numbers(self) -> list[int]:
        return [record["n"] for _, events, _ in self.messages for _, record in events]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if not self.key or await self._handshake(reader, writer):
                while await self._message(reader, writer):
                    pass
        finally:
            writer.close()

    async def _handshake(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        nonce, auth = b"n" * 16, b"a" * 16 if self.users else b""
        writer.write(pack(["HELO", {"nonce": nonce, "auth": auth, "keepalive": True}]))
        kind, host, salt, digest, user, password = await _read(reader)
        assert kind == "PING"
        good = digest == hashlib.sha512(salt + host.encode() + nonce + self.key.encode()).hexdigest()
        if self.users and good:
            good = password == hashlib.sha512(auth + user.encode() + self.users.get(user, "?").encode()).hexdigest()
        mine = hashlib.sha512(salt + b"aggregator" + nonce + self.key.encode()).hexdigest()
        writer.write(pack(["PONG", good, "" if good else "no such user or key", "aggregator", mine if good else ""]))
        return bool(good)

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        found = await _read(reader)
        fault = self.faults.popleft() if self.faults else ""
        if found is None or fault == "deaf":
            return False
        tag, events, options = found
        assert isinstance(events, bytes), "PackedForward"
        if options.get("compressed") == "gzip":
            events = gzip.decompress(events)
        read = _events(events)
        assert options["size"] == len(read)
        self.messages.append((tag, read, options))
        if fault == "cut":
            return False
        if "chunk" in options and fault != "silent":
            writer.write(pack({"ack": "other" if fault == "wrong" else options["chunk"]}))
        return True


async def _read(reader: asyncio.StreamReader) -> Any:
    data = b""
    while True:
        part = await reader.read(65536)
        if not part:
            return None
        data += part
        try:
            return unpack(data)
        except msgspec.DecodeError:
            continue


def _events(data: bytes) -> list[Any]:
    """Entries one after another; each is known by its encoding being the beginning of what is left."""
    found = []
    while data:
        entry, length = _entry(data)
        found.append(entry)
        data = data[length:]
    return found


def _entry(data: bytes) -> tuple[Any, int]:
    for end in range(1, len(data) + 1):
        try:
            return unpack(data[:end]), end
        except msgspec.DecodeError:
            continue
    raise AssertionError("an entry is cut off")


def output(side: Aggregator, **keys: str) -> ForwardOutput:
    return ForwardOutput({"host": "127.0.0.1", "port": str(side.port), "net.io_timeout": "200ms", **keys})


async def test_records_arrive_with_tag_and_nanoseconds_and_are_acknowledged() -> None:
    async with Aggregator() as side:
        made = output(side)
        await made.write([Delivery(1, logs('{"n":1,"a":[true,null,"é"]}')), Delivery(2, logs('{"n":2}', tag="b"))])
        await made.write([Delivery(3, logs('{"n":3}'))])
        await made.close()
        assert [m[0] for m in side.messages] == ["kube.shop", "b", "kube.shop"]
        ((stamp, record),) = side.messages[0][1]
        assert (stamp.code, stamp.data, record) == (0, STAMP, {"n": 1, "a": [True, None, "é"]})
        assert side.connections == 1


@pytest.mark.parametrize(
    ("keys", "check"),
    [
        ({"compress": "gzip"}, lambda m: m[2]["compressed"] == "gzip"),
        ({"time_as_integer": "on"}, lambda m: m[1][0][0] == 1_700_000_000),
        ({"tag": "from.$TAG[1]"}, lambda m: m[0] == "from.shop"),
        ({"add_option": "app shop\nteam a b"}, lambda m: (m[2]["app"], m[2]["team"]) == ("shop", "a b")),
        ({"require_ack_response": "off"}, lambda m: "chunk" not in m[2]),
    ],
)
async def test_messages_are_as_the_keys_say(keys: dict[str, str], check: Any) -> None:
    async with Aggregator() as side:
        made = output(side, **keys)
        await made.write([Delivery(1, logs('{"n":1}'))])
        await made.close()
        while not side.messages:
            await asyncio.sleep(0.01)
        assert check(side.messages[0]), side.messages[0]


async def test_a_shared_key_and_a_user_are_proved_both_ways(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    who = {"username": "alice", "password": "pw", "self_hostname": "agent-1"}
    async with Aggregator("s3cret", {"alice": "pw"}) as side:
        made = output(side, shared_key_file=str(key), **who)
        await made.write([Delivery(1, logs('{"n":1}'))])
        await made.close()
        assert side.numbers == [1]
        for wrong in ({"shared_key": "other"}, {"shared_key": "s3cret", "password": "guess"}):
            made = output(side, **{**who, **wrong})
            with pytest.raises(Retry, match="refuses us: no such user or key"):
                await made.write([Delivery(1, logs('{"n":2}'))])
            await made.close()
        assert side.numbers == [1]
        password = tmp_path / "password"
        password.write_text("pw\n")
        made = output(side, shared_key="s3cret", username="alice", password_file=str(password))
        await made.write([Delivery(1, logs('{"n":3}'))])
        await made.close()
        assert side.numbers == [1, 3]
    with pytest.raises(UsageError, match="'username' needs 'shared_key'"):
        ForwardOutput({"username": "alice"})


async def deliver(side: Aggregator, directory: Path, numbers: Sequence[int]) -> dict[str, Any]:
    queue = MemoryQueue()
    made = output(side)
    made.batch_bytes = 200
    loop = DeliveryLoop(made, queue, "forward", Backoff(0.001, 0.02), rejected=Rejected(directory))
    await loop.open()
    for start in range(0, len(numbers), 10):
        await queue.put(Batch([numbered(*numbers[start : start + 10])]))
    queue.finish()
    await loop.run()
    await loop.close()
    return loop.health()


@pytest.mark.parametrize("fault", ["cut", "silent", "wrong", "deaf"])
async def test_what_is_not_acknowledged_is_sent_again(fault: str, tmp_path: Path) -> None:
    async with Aggregator() as side:
        side.faults.extend(["", fault, "", fault])
        health = await deliver(side, tmp_path, range(60))
        assert set(side.numbers) == set(range(60))
        assert (health["records"], health["set_aside"]) == (60, 0)
        assert health["retries"] == 2


async def test_a_far_side_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    async with Aggregator() as first:
        side = Aggregator()
        side.port = first.port
    work = asyncio.create_task(deliver(side, tmp_path, range(30)))
    await asyncio.sleep(0.1)
    async with side:
        assert (await work)["retries"] >= 1
        assert side.numbers == list(range(30))
