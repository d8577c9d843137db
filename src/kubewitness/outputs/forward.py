"""Output `forward`: to Fluentd, Fluent Bit, or whoever speaks their protocol, with acknowledgement.

Source: Fluentd's "Forward Protocol Specification v1". A batch is a PackedForward (or CompressedPackedForward) message
for each tag, with an id of its chunk; it is delivered when the far side has sent that id back.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Retry, UsageError
from kubewitness.formats.accessor import Template
from kubewitness.outputs.client_tls import TLS_KEYS, ClientTls
from kubewitness.outputs.compress import compress_key, gzip
from kubewitness.outputs.credentials import Secret, secret_keys
from kubewitness.outputs.forward_greeting import Identity, greet, message
from kubewitness.outputs.http_keys import NET_KEYS, place
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import event, fields_of, in_order, stamps_ns
from kubewitness.outputs.stream_sender import StreamSender
from kubewitness.outputs.turns import TurnsOutput, sides_of
from kubewitness.outputs.upstreams import UPSTREAM_KEY

_NOTHING = "accepted, without effect: "

KEYS = (
    *place(24224),
    Key("unix_path", doc="socket of this machine, in place of host and port"),
    Key("tag", doc="tag that records have there, may hold accessors of the tag (`$TAG`); empty: their own"),
    Key("require_ack_response", "bool", "on", "a batch is delivered when the far side says so; off: when it is sent, "
        "and what is on its way is lost with the connection (Fluent Bit: off)"),
    Key("time_as_integer", "bool", "off", "times in whole seconds, for Fluentd before 0.14"),
    Key("send_options", "bool", "off", "accepted, without effect: options are always sent"),
    Key("add_option", doc="an option of each message and its value (`app shop`); several by repeating the key",
        multi=True),
    compress_key("gzip"),
    *secret_keys("shared_key", "key that both sides know"),
    Key("empty_shared_key", "bool", "off", "the handshake is done with an empty one"),
    Key("self_hostname", doc="our name in it; empty: this machine's"),
    Key("username", doc="user, where the far side asks for one"),
    *secret_keys("password", "the user's password"),
    UPSTREAM_KEY,
    Key("retain_metadata_in_forward_mode", "bool", "true", "metadata that input `forward` took with a record goes on "
        "with it, in Fluent Bit's form of an event; records without any have Fluentd's"),
    Key("fluentd_compat", "bool", "off", "metadata stays behind: Fluentd knows no such events"),
    *TLS_KEYS, *NET_KEYS,
)  # fmt: skip

_pack = msgspec.msgpack.Encoder().encode


class ForwardOutput(TurnsOutput):
    """At least once; with `require_ack_response: off` what is on its way when the connection breaks is lost. Several
    far sides take turns; what one does not take, the next is given at once."""

    batch_bytes = 2_000_000

    def __init__(
        self, keys: Mapping[str, str], name: str = "forward", clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name, sides_of(f"output {name}", keys, KEYS, lambda own: _FarSide(own, name)), clock)


class _FarSide:
    """One of them."""

    def __init__(self, keys: Mapping[str, str], name: str) -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self._key = Secret(what, opts, "shared_key")
        self._password = Secret(what, opts, "password")
        self._hostname = opts.text("self_hostname") or socket.gethostname()
        self._username = opts.text("username")
        secured = bool(self._key) or opts.flag("empty_shared_key")
        if self._username and not secured:
            raise UsageError(f"{what}: 'username' needs 'shared_key'")
        self._sender = StreamSender(
            what,
            opts,
            unix_path=opts.text("unix_path"),
            tls=ClientTls(what, opts),
            greet=self._greet if secured else None,
        )
        self._tag = Template(opts.text("tag")) if opts.text("tag") else None
        self._acks = opts.flag("require_ack_response")
        self._metadata = opts.flag("retain_metadata_in_forward_mode") and not opts.flag("fluentd_compat")
        self._whole_seconds = opts.flag("time_as_integer")
        self._compressed = opts.choice("compress") == "gzip"
        self._options = _options(what, opts.lines("add_option"))

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await in_order([list(g) for _, g in groupby(deliveries, lambda d: d.chunk.tag)], self._send)
        await self._sender.pause()

    async def close(self) -> None:
        await self._sender.close()

    async def _greet(self, sender: StreamSender) -> None:
        await greet(
            sender,
            Identity(
                self._hostname.encode(),
                self._key.value().encode(),
                self._username.encode(),
                self._password.value().encode(),
            ),
        )

    async def _send(self, deliveries: Sequence[Delivery]) -> None:
        """Chunks of one tag as one message."""
        chunk_id = base64.b64encode(secrets.token_bytes(16)).decode()
        await self._sender.send(await asyncio.to_thread(self._message, deliveries, chunk_id))
        if self._acks:
            answer = await self._answer()
            if not isinstance(answer, dict) or answer.get("ack") != chunk_id:
                await self._sender.close()
                raise Retry(f"{self._sender.place} acknowledged another chunk")

    async def _answer(self) -> Any:
        try:
            return await message(self._sender)
        except Retry as e:
            raise Retry(f"{e} (no acknowledgement; `require_ack_response: off` if it never sends any)", e.after) from e

    def _message(self, deliveries: Sequence[Delivery], chunk_id: str) -> bytes:
        tag = deliveries[0].chunk.tag
        events = b"".join(self._events(delivery) for delivery in deliveries)
        options: dict[str, Any] = {**self._options, "size": sum(len(d.chunk) for d in deliveries)}
        if self._acks:
            options["chunk"] = chunk_id
        if self._compressed:
            events = gzip(events)
            options["compressed"] = "gzip"
        return _pack([self._tag.render({}, tag) if self._tag is not None else tag, events, options])

    def _events(self, delivery: Delivery) -> bytes:
        chunk = delivery.chunk
        pairs = zip(objects(chunk), stamps_ns(chunk), strict=True)
        if self._whole_seconds:
            return b"".join(_pack([ns // 1_000_000_000, fields_of(line)]) for line, ns in pairs)
        if not self._metadata or not chunk.notes:
            return b"".join(event(line, ns, metadata=False) for line, ns in pairs)
        notes = [chunk.notes.get(i) for i in range(len(chunk))]
        return b"".join(
            event(line, ns, metadata=note is not None and bool(note.metadata), note=note)
            for (line, ns), note in zip(pairs, notes, strict=True)
        )


def _options(what: str, lines: Sequence[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        name, _, value = line.strip().partition(" ")
        if not value.strip():
            raise UsageError(f"{what}: 'add_option' takes a name and a value, with a space between them")
        found[name] = value.strip()
    return found
