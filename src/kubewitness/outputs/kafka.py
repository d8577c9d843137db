"""Output `kafka`: a message for each record, acknowledged by all replicas that are in sync, without repeats of one
connection's retries (an idempotent producer). Needs `kubewitness[kafka]`; the client is aiokafka, in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.formats.accessor import path_of, text_of, value_at
from kubewitness.outputs.client_tls import ClientTls
from kubewitness.outputs.credentials import Secret
from kubewitness.outputs.dates import Dates
from kubewitness.outputs.extras import need
from kubewitness.outputs.kafka_keys import KEYS, client_options
from kubewitness.outputs.kafka_log import Said
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import event, fields_of, outcome, stamps_ns

__all__ = ["KEYS", "KafkaOutput"]


class _Message(NamedTuple):
    topic: str
    value: bytes
    key: bytes | None
    stamp_ms: int


class KafkaOutput:
    """At least once: what was sent and not acknowledged when a connection ended is sent again."""

    batch_bytes = 1_000_000

    def __init__(self, keys: Mapping[str, str], name: str = "kafka") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        need(what, "aiokafka", "kafka")
        self.name = name
        self._brokers = opts.items("brokers")
        self._topics = opts.items("topics")
        if not self._brokers or not self._topics:
            raise UsageError(f"{what}: 'brokers' and 'topics' are needed")
        self._client_options, tls_keys = client_options(what, opts)
        self._password, self._plain = Secret(what, opts, "sasl_password"), opts.text("rdkafka.sasl.password")
        self._tls = ClientTls(what, Options(what, {**keys, **tls_keys}, KEYS)) if tls_keys else None
        self._topic_key = _path(opts, "topic_key")
        self._dynamic = opts.flag("dynamic_topic")
        self._key_field = _path(opts, "message_key_field")
        self._key = opts.text("message_key").encode() or None
        self._raw_key = _path(opts, "raw_log_key")
        self._dates = Dates(opts.text("timestamp_key"), opts.choice("timestamp_format"))
        self._msgpack = opts.choice("format") == "msgpack"
        self._seconds = opts.seconds("net.io_timeout") or 40.0
        self._connect_seconds = opts.seconds("net.connect_timeout") or None
        self._idle_seconds = opts.seconds("net.keepalive_idle_timeout")
        self._keep = opts.flag("net.keepalive")
        self._reads = bool(self._topic_key or self._key_field or self._raw_key)
        self._producer: Any = None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        messages = await asyncio.to_thread(lambda: [m for d in deliveries for m in self._messages(d)])
        errors = await self._send(await self._started(), messages)
        too_large = [
            n for n, e in errors.items() if type(e).__name__ in ("MessageSizeTooLargeError", "InvalidMessageError")
        ]
        if too_large:
            # a broker refuses a batch as a whole: each for itself tells which one it is
            for n in too_large:
                alone = await self._send(await self._started(), [messages[n]])
                if alone:
                    errors[n] = alone[0]
                else:
                    del errors[n]
        if not self._keep:
            await self.close()
        if not errors:
            return
        refused = {n: self._told(e) for n, e in errors.items() if n in too_large}
        left = [n for n in errors if n not in refused]
        if left:
            await self.close()
        raise outcome(deliveries, refused, left, self._told(errors[left[0]] if left else next(iter(errors.values()))))

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(2.0):
                    await producer.stop()
            except Exception as e:  # the library's, of any kind; what was not acknowledged is sent again anyway
                if isinstance(e, asyncio.CancelledError):
                    raise

    # --- messages ----------------------------------------------------------------------------------------------------

    def _messages(self, delivery: Delivery) -> list[_Message]:
        chunk = delivery.chunk
        made = []
        for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True):
            fields = fields_of(line) if self._reads else {}
            made.append(
                _Message(self._topic(fields), self._value(line, fields, ns), self._key_of(fields), ns // 1_000_000)
            )
        return made

    def _topic(self, fields: dict[str, Any]) -> str:
        found = text_of(value_at(fields, self._topic_key)) if self._topic_key is not None else ""
        return found if found and (self._dynamic or found in self._topics) else self._topics[0]

    def _key_of(self, fields: dict[str, Any]) -> bytes | None:
        found = text_of(value_at(fields, self._key_field)) if self._key_field is not None else ""
        return found.encode("utf-8", "replace") or self._key

    def _value(self, line: bytes, fields: dict[str, Any], ns: int) -> bytes:
        if self._raw_key is not None and (text := text_of(value_at(fields, self._raw_key))):
            return text.encode("utf-8", "replace")
        return event(line, ns, metadata=False) if self._msgpack else self._dates.put(line, ns)

    # --- the client --------------------------------------------------------------------------------------------------

    async def _send(self, producer: Any, messages: Sequence[_Message]) -> dict[int, Exception]:
        """What went wrong, by the message's number."""
        from aiokafka.errors import KafkaError, MessageSizeTooLargeError

        waiting: dict[int, Any] = {}
        errors: dict[int, Exception] = {}
        for n, m in enumerate(messages):
            try:
                waiting[n] = await producer.send(m.topic, m.value, key=m.key, timestamp_ms=m.stamp_ms)
            except MessageSizeTooLargeError as e:
                errors[n] = e
            except (KafkaError, OSError) as e:  # no broker, no topic: the next one would wait as long
                errors |= dict.fromkeys(range(n, len(messages)), e)
                break
        results = await asyncio.gather(*waiting.values(), return_exceptions=True)
        for n, result in zip(waiting, results, strict=True):
            if isinstance(result, Exception):
                errors[n] = result
        return errors

    async def _started(self) -> Any:
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        if self._producer is not None:
            return self._producer
        producer = AIOKafkaProducer(
            bootstrap_servers=self._brokers,
            ssl_context=self._tls.context() if self._tls is not None else None,
            request_timeout_ms=int(self._seconds * 1000),
            connections_max_idle_ms=int(self._idle_seconds * 1000),
            **self._client_options,
            **self._secret(),
        )
        with Said() as said:
            try:
                async with asyncio.timeout(self._connect_seconds):
                    await producer.start()
            except (KafkaError, OSError, TimeoutError) as e:
                await producer.stop()
                raise Retry(said.of(self._brokers) or self._told(e)) from e
        self._producer = producer
        return producer

    def _secret(self) -> dict[str, str]:
        if "sasl_mechanism" not in self._client_options:
            return {}
        return {"sasl_plain_password": self._password.value() or self._plain}

    def _told(self, e: Exception) -> str:
        if isinstance(e, TimeoutError):
            e = TimeoutError("no answer in time")
        return f"{','.join(self._brokers)}: {' '.join(str(e).split())[:300] or type(e).__name__}"


def _path(opts: Options, key: str) -> Any:
    return path_of(opts.text(key)) if opts.text(key) else None
