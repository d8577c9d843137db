"""Output `kafka` against a broker of the suite's own that speaks a producer's part of the protocol; no real Kafka."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubewitness.config.keys import Options
from kubewitness.contracts import Batch, Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.kafka import KafkaOutput
from kubewitness.outputs.kafka_keys import KEYS, client_options
from kubewitness.pipeline.backoff import Backoff
from kubewitness.pipeline.delivery import DeliveryLoop
from kubewitness.pipeline.feeds import MemoryQueue
from kubewitness.pipeline.rejected import Rejected
from tests.journal.helpers import chunk, numbered
from tests.outputs.kafka_broker import Broker
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(60)

RECORD = '{"n":1,"app":"web","topic":"b","log":"hello"}'


def output(broker: Broker, **keys: str) -> KafkaOutput:
    return KafkaOutput({"brokers": f"127.0.0.1:{broker.port}", "topics": "a,b", "net.io_timeout": "3s", **keys})


async def one(**keys: str) -> Any:
    async with Broker() as broker:
        made = output(broker, **keys)
        await made.write([Delivery(1, logs(RECORD))])
        await made.close()
        (taken,) = broker.taken
        return taken


async def test_a_message_is_the_record_with_its_time() -> None:
    taken = await one()
    assert (taken.topic, taken.key, taken.stamp_ms) == ("a", None, 1_700_000_000_123)
    assert json.loads(taken.value) == {"@timestamp": 1700000000.123456, **json.loads(RECORD)}


@pytest.mark.parametrize(
    ("keys", "topic", "key"),
    [
        ({"topic_key": "topic"}, "b", None),
        ({"topic_key": "app"}, "a", None),
        ({"topic_key": "app", "dynamic_topic": "on"}, "web", None),
        ({"message_key": "k"}, "a", b"k"),
        ({"message_key": "k", "message_key_field": "app"}, "a", b"web"),
        ({"rdkafka.compression.codec": "gzip"}, "a", None),
    ],
)
async def test_topic_and_key_are_as_the_keys_say(keys: dict[str, str], topic: str, key: bytes | None) -> None:
    taken = await one(**keys)
    assert (taken.topic, taken.key) == (topic, key)


async def test_the_time_has_the_name_and_the_form_asked_for() -> None:
    taken = await one(timestamp_key="at", timestamp_format="iso8601_ns")
    assert json.loads(taken.value) == {"at": "2023-11-14T22:13:20.123456789Z", **json.loads(RECORD)}


async def test_a_message_may_be_an_event_of_the_forward_protocol() -> None:
    stamp, record = msgspec.msgpack.decode((await one(format="msgpack")).value)
    assert stamp.data == struct.pack(">II", 1_700_000_000, 123_456_789)
    assert record == json.loads(RECORD)


async def test_brokers_know_us_by_the_name_and_the_password_that_the_keys_say(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("guess\n")
    user = {"rdkafka.security.protocol": "sasl_plaintext", "rdkafka.sasl.username": "alice", "client_id": "agent-1"}
    async with Broker(users={"alice": "pw"}) as broker:
        made = output(broker, sasl_password_file=str(secret), **user)
        with pytest.raises(Retry) as told:
            await made.write([Delivery(1, logs(RECORD))])
        assert "guess" not in str(told.value)
        secret.write_text("pw\n")  # it is read again
        await made.write([Delivery(1, logs(RECORD))])
        await made.close()
        made = output(broker, sasl_password="pw", **user)
        await made.write([Delivery(1, logs(RECORD))])
        await made.close()
        assert (len(broker.taken), broker.clients) == (2, {"agent-1"})


async def test_one_key_alone_may_be_the_message() -> None:
    assert (await one(raw_log_key="log")).value == b"hello"


async def deliver(made: KafkaOutput, directory: Path, numbers: Sequence[int], *more: bytes) -> dict[str, Any]:
    queue = MemoryQueue()
    made.batch_bytes = 300
    loop = DeliveryLoop(made, queue, "kafka", Backoff(0.01, 0.05), rejected=Rejected(directory))
    await loop.open()
    for start in range(0, len(numbers), 10):
        await queue.put(Batch([numbered(*numbers[start : start + 10])]))
    if more:
        await queue.put(Batch([chunk(more)]))
    queue.finish()
    await loop.run()
    await loop.close()
    return loop.health()


def numbers(broker: Broker) -> list[int]:
    return [json.loads(t.value)["n"] for t in broker.taken]


@pytest.mark.parametrize("fault", ["busy", "cut"])
async def test_a_broker_that_fails_for_a_while_gets_every_record_once(fault: str, tmp_path: Path) -> None:
    async with Broker() as broker:
        broker.faults.extend(["", fault, "", fault])
        health = await deliver(output(broker), tmp_path, range(60))
        assert numbers(broker) == list(range(60))
        assert (health["records"], health["set_aside"]) == (60, 0)


async def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    async with Broker() as first:
        broker = Broker()
        broker.port = first.port
    work = asyncio.create_task(deliver(output(broker), tmp_path, range(30)))
    await asyncio.sleep(0.1)
    async with broker:
        assert (await work)["retries"] >= 1
        assert numbers(broker) == list(range(30))


async def test_a_message_over_the_brokers_limit_is_set_aside_and_its_neighbours_arrive(tmp_path: Path) -> None:
    big = b'{"n":"%b"}' % (b"x" * 2000)
    async with Broker(limit=1000) as broker:
        health = await deliver(output(broker), tmp_path, range(10), b'{"n":10}', big, b'{"n":11}')
        assert sorted(numbers(broker)) == list(range(12))
    (kept,) = [json.loads(line) for line in (tmp_path / "kafka.jsonl").read_text().splitlines()]
    assert kept["raw"].encode() == big
    assert (health["records"], health["set_aside"]) == (12, 1)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"topics": ""}, "'brokers' and 'topics' are needed"),
        ({"rdkafka.sasl.mechanismus": "PLAIN"}, "did you mean 'sasl.mechanisms'"),
        ({"rdkafka.compression.codec": "lz4"}, "there is gzip, none"),
        ({"schema_registry_url": "http://r"}, "there is no schema registry"),
    ],
)
def test_keys_are_checked_before_anything_runs(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        KafkaOutput({"brokers": "b:9092", "topics": "a", **keys})


def test_what_published_configurations_tune_is_taken() -> None:
    keys = {"rdkafka.log.connection.close": "false", "rdkafka.request.required.acks": "1", "rdkafka.linger.ms": "5",
            "rdkafka.queue.buffering.max.messages": "9", "rdkafka.security.protocol": "ssl",
            "rdkafka.enable.ssl.certificate.verification": "false", "rdkafka.ssl.key.password": "s3cret"}  # fmt: skip
    opts = Options("output", {"brokers": "b:9092", "topics": "a", **keys}, KEYS)
    options, tls = client_options("output", opts)
    assert (options["acks"], options["security_protocol"]) == ("all", "SSL")
    assert tls == {"tls": "on", "tls.verify": "false", "tls.key_passwd": "s3cret"}
