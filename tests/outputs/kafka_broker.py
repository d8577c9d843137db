"""One Kafka broker for tests: as much of the protocol as a producer needs (KIP-35, Metadata v1, InitProducerId v0,
Produce v3; SaslHandshake v0 with PLAIN), by the messages of the client library; record batches and sequence numbers are
checked."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

from aiokafka.protocol.admin import ApiVersionResponse_v0, SaslHandShakeResponse_v0
from aiokafka.protocol.metadata import MetadataRequest_v1, MetadataResponse_v1
from aiokafka.protocol.produce import ProduceRequest_v3, ProduceResponse_v3
from aiokafka.protocol.transaction import InitProducerIdResponse_v0
from aiokafka.record import MemoryRecords

#: api key -> (lowest, highest) version
_VERSIONS = {0: (0, 3), 3: (0, 1), 18: (0, 0), 17: (0, 0), 22: (0, 0)}
TOO_LARGE, NOT_ENOUGH_REPLICAS, UNKNOWN = 10, 19, -1


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(size)


class Taken(NamedTuple):
    topic: str
    key: bytes | None
    value: bytes
    stamp_ms: int


class Broker:
    """Faults, one for each Produce: "busy" (not enough replicas), "half" (so for every other partition), "error" (one
    that it has no name for), "cut" (took it, hangs up)."""

    def __init__(self, limit: int = 1 << 20, users: Mapping[str, str] | None = None, partitions: int = 1) -> None:
        self.port = 0
        #: names and passwords; with any, nothing is answered to who does not give one
        self.users = dict(users or {})
        #: how clients name themselves
        self.clients: set[str] = set()
        self.taken: list[Taken] = []
        self.faults: deque[str] = deque()
        self._limit = limit
        self._partitions = partitions
        self._producers = 0
        self._next: dict[tuple[str, int, int], int] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Broker:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known = not self.users
        try:
            while True:
                body = BytesIO(await _frame(reader))
                key, version, correlation, length = struct.unpack(">hhih", body.read(10))
                self.clients.add(body.read(max(0, length)).decode())
                low, high = _VERSIONS[key]
                assert low <= version <= high, (key, version)
                assert known or key in (17, 18), key
                answer = self._answer(key, version, body)
                if answer is None:
                    return
                data = struct.pack(">i", correlation) + answer.encode()
                writer.write(struct.pack(">i", len(data)) + data)
                if key == 17:
                    _, user, password = (await _frame(reader)).decode().split("\0")
                    if self.users.get(user) != password:
                        return
                    known = True
                    writer.write(struct.pack(">i", 0))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _answer(self, key: int, version: int, body: BytesIO) -> Any:
        if key == 18:
            return ApiVersionResponse_v0(0, [(k, *v) for k, v in _VERSIONS.items()])
        if key == 3:
            topics = MetadataRequest_v1.decode(body).topics or [] if version == 1 else []
            places = [(0, partition, 0, [0], [0]) for partition in range(self._partitions)]
            parts = [(0, t, False, places) for t in topics]
            return MetadataResponse_v1([(0, "127.0.0.1", self.port, None)], 0, parts)
        if key == 17:
            return SaslHandShakeResponse_v0(0, ["PLAIN"])
        if key == 22:
            self._producers += 1
            return InitProducerIdResponse_v0(0, 0, self._producers, 0)
        return self._produce(ProduceRequest_v3.decode(body))

    def _produce(self, request: Any) -> Any:
        fault = self.faults.popleft() if self.faults else ""
        assert request.required_acks == -1
        answers = []
        for topic, partitions in request.topics:
            for partition, data in partitions:
                if fault == "busy" or (fault == "half" and partition % 2):
                    error = NOT_ENOUGH_REPLICAS
                else:
                    error = UNKNOWN if fault == "error" else self._take(topic, partition, data)
                answers.append((topic, [(partition, error, 0, -1)]))
        return None if fault == "cut" else ProduceResponse_v3(answers, 0)

    def _take(self, topic: str, partition: int, data: bytes) -> int:
        records = MemoryRecords(data)
        while (batch := records.next_batch()) is not None:
            assert batch.validate_crc()
            found = [Taken(topic, r.key, bytes(r.value), r.timestamp) for r in batch]
            if any(len(r.value) > self._limit for r in found):
                return TOO_LARGE
            who = (topic, partition, batch.producer_id)
            if batch.base_sequence >= self._next.get(who, 0):  # else it came before
                self._next[who] = batch.base_sequence + len(found)
                self.taken += found
        return 0
