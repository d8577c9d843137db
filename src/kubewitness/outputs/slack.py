"""Output `slack`: records as messages to an incoming webhook. Source: Slack's manual, "Sending messages using incoming
webhooks". Meant for a few records an hour (findings, a filter's remainder): Slack takes about one message a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.outputs.credentials import secret_keys
from kubewitness.outputs.http_keys import place
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import grouped, in_order
from kubewitness.outputs.webhook_address import ADDRESS_KEYS, AddressSender

KEYS = (
    *secret_keys("webhook", "address of the webhook; it is a secret"),
    Key("records_per_message", "int", "10", "records that one message has, at most (not in Fluent Bit)"),
    *(key._replace(default="", doc="accepted, without effect: the webhook's") for key in place(443)),
    *ADDRESS_KEYS,
)  # fmt: skip

#: characters that Slack shows of one record
_SHOWN = 3000
_encode = msgspec.json.Encoder().encode


class SlackOutput:
    """At least once."""

    batch_bytes = 100_000

    def __init__(self, keys: Mapping[str, str], name: str = "slack") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = AddressSender(what, keys, KEYS, "webhook")
        self._records = opts.number("records_per_message") or 1

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await in_order(grouped(deliveries, self._records), self._message)

    async def close(self) -> None:
        await self._sender.close()

    async def _message(self, deliveries: Sequence[Delivery]) -> None:
        lines = [f"{d.chunk.tag}: {_shown(line)}" for d in deliveries for line in objects(d.chunk)]
        await self._sender.send(_encode({"text": "\n".join(lines)}), {"Content-Type": "application/json"})


def _shown(line: bytes) -> str:
    """As Slack takes text: its three control characters escaped, and not too long."""
    text = line.decode("utf-8", "replace")
    if len(text) > _SHOWN:
        text = f"{text[:_SHOWN]}... ({len(text)} characters)"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
