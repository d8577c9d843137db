"""Output `webhook`: a record as a JSON document of the user's own shape, POSTed to an address.

Its `layout` is that of kubernetes-event-exporter's sinks (`layouts`), so that such files go on working; `endpoint` and
`layout` have its names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import yaml

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.credentials import secret_keys
from kubewitness.outputs.layouts import Said, shaped
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, grouped, in_order, stamps_ns
from kubewitness.outputs.webhook_address import ADDRESS_KEYS, AddressSender
from kubewitness.record import Chunk

KEYS = (
    *secret_keys("endpoint", "address to send to (`https://host/path`); it may be a secret"),
    Key("layout", doc="YAML or JSON of the document that is sent; its texts are templates: "
        '`{"text": "{{ .Reason }}: {{ .Message }}"}`; empty: the record as it is'),
    Key("http_method", default="POST", doc="how", choices=("post", "put")),
    Key("records_per_request", "int", "1", "1: a document each; more: an array of at most so many documents"),
    Key("log_response_payload", "bool", "true", "errors quote what the far side answered"),
    compress_key("gzip", "zstd"),
    *ADDRESS_KEYS,
)  # fmt: skip

_EXAMPLE = '{"text": "{{ .Message }}"}'
_encode = msgspec.json.Encoder().encode


class WebhookOutput:
    """At least once."""

    batch_bytes = 500_000

    def __init__(self, keys: Mapping[str, str], name: str = "webhook") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = AddressSender(what, keys, KEYS, "endpoint")
        self._method = opts.choice("http_method").upper()
        self._size = opts.number("records_per_request") or 1
        self._shape = shaped(_layout(what, opts.text("layout"))) if opts.given("layout") else None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await in_order(grouped(deliveries, self._size), self._send)

    async def close(self) -> None:
        await self._sender.close()

    async def _send(self, deliveries: Sequence[Delivery]) -> None:
        documents = [document for d in deliveries for document in self._documents(d.chunk)]
        body = documents[0] if self._size == 1 else b"[" + b",".join(documents) + b"]"
        await self._sender.send(body, {"Content-Type": "application/json"}, method=self._method)

    def _documents(self, chunk: Chunk) -> Iterator[bytes]:
        if self._shape is None:
            yield from objects(chunk)
            return
        for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True):
            yield _encode(self._shape(Said(fields_of(line), chunk.tag, chunk.cluster, ns // 1000)))


def _layout(what: str, text: str) -> Any:
    try:
        layout = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise UsageError(f"{what}: 'layout' is neither YAML nor JSON: {e}") from e
    if not isinstance(layout, dict | list):
        raise UsageError(f"{what}: 'layout' takes an object such as {_EXAMPLE}, not {text!r}")
    return layout
