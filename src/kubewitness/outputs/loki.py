"""Output `loki`: records as lines of streams. Source: Grafana Loki's manual, "Ingest logs" (POST /loki/api/v1/push).

A stream is a set of labels; the records of a batch that share one go into it together, in their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.formats.accessor import path_of, value_at
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.http_keys import HTTP_KEYS, place
from kubewitness.outputs.http_sender import HttpSender
from kubewitness.outputs.lines import objects
from kubewitness.outputs.loki_labels import Pairs, label_map, maps_of
from kubewitness.outputs.loki_lines import json_line, key_value_line, without
from kubewitness.outputs.records import fields_of, in_order, only, stamps_ns

_NOTHING = "accepted, without effect: "

KEYS = (
    *place(3100),
    Key("uri", default="/loki/api/v1/push", doc="path to send to"),
    Key("labels", "list", "", "labels of the stream: `NAME=TEXT`, `NAME=$accessor` or `$accessor`; none at all: "
        "`job=fluent-bit`", multi=True),
    Key("label_keys", "list", "", "more of them: accessors", multi=True),
    Key("label_map_path", doc="file of a JSON object in the shape of the record, whose leaves are labels' names"),
    Key("auto_kubernetes_labels", "bool", "false", "the pod's labels are labels of the stream"),
    Key("structured_metadata", "list", "", "beside the line, not in the stream: as `labels`", multi=True),
    Key("structured_metadata_map_keys", "list", "", "accessors of objects, whose every entry is such", multi=True),
    Key("remove_keys", "list", "", "keys that the line does not show; those that became labels go, too", multi=True),
    Key("line_format", default="json", doc="the line", choices=("json", "key_value")),
    Key("drop_single_key", default="off", doc="a record with one key left is its value; `raw`: text without quotes",
        choices=("off", "on", "false", "true", "raw")),
    Key("tenant_id", doc="sent as X-Scope-OrgID"),
    Key("tenant_id_key", doc="accessor of the tenant in the record; each tenant has its own requests"),
    Key("tenant_id_key_error_handling", default="partial_success", doc=_NOTHING + "requests are for one tenant each, "
        "and a record without one goes to `tenant_id`"),
    Key("buffer_size", "size", "512KB", _NOTHING + "answers are read whole"),
    compress_key("gzip"),
    *HTTP_KEYS,
)  # fmt: skip

_encode = msgspec.json.Encoder().encode
_K8S_LABELS = path_of("$kubernetes['labels']")
_SINGLE = {"true": "on", "false": "off"}


class LokiOutput:
    """At least once; Loki itself drops a line that its stream has already at that time."""

    batch_bytes = 1_000_000

    def __init__(self, keys: Mapping[str, str], name: str = "loki") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = HttpSender(what, opts)
        self._uri = "/" + opts.text("uri").lstrip("/")
        self._labels = Pairs(what, "labels", [*opts.items("labels"), *opts.items("label_keys")])
        if opts.text("label_map_path"):
            for label, path in label_map(what, opts.text("label_map_path")):
                self._labels.add(label, path)
        self._maps = [_K8S_LABELS] if opts.flag("auto_kubernetes_labels") else []
        self._metadata = Pairs(what, "structured_metadata", opts.items("structured_metadata"))
        self._metadata_maps = [path_of(p) for p in opts.items("structured_metadata_map_keys")]
        self._has_metadata = bool(opts.items("structured_metadata") or self._metadata_maps)
        named = [path_of(key if key.startswith("$") else f"${key}") for key in opts.items("remove_keys")]
        self._removed = [*named, *self._labels.paths] if named else []
        self._single = _SINGLE.get(opts.choice("drop_single_key"), opts.choice("drop_single_key"))
        self._line = json_line if opts.choice("line_format") == "json" else key_value_line
        #: whether the line is other than the record's own bytes
        self._changes = bool(self._removed or self._single != "off" or self._line is key_value_line)
        self._reads = bool(self._labels.paths or self._maps or self._has_metadata)
        self._tenant = opts.text("tenant_id")
        tenant_key = opts.text("tenant_id_key")
        self._tenant_key = path_of(tenant_key) if tenant_key else None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if self._tenant_key is None:
            if deliveries:
                await self._push(deliveries, self._tenant)
            return
        tenants: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            for tenant, indexes in self._by_tenant(delivery).items():
                tenants.setdefault(tenant, []).append(only(delivery, indexes))
        names = iter(tenants)
        await in_order(list(tenants.values()), lambda group: self._push(group, next(names)))

    async def close(self) -> None:
        await self._sender.close()

    async def _push(self, deliveries: Sequence[Delivery], tenant: str) -> None:
        body = await asyncio.to_thread(self._body, deliveries)
        headers = {"Content-Type": "application/json"}
        if tenant:
            headers["X-Scope-OrgID"] = tenant
        await self._sender.send(self._uri, body, headers)

    def _by_tenant(self, delivery: Delivery) -> dict[str, list[int]]:
        assert self._tenant_key is not None
        found: dict[str, list[int]] = {}
        for i, line in enumerate(objects(delivery.chunk)):
            tenant = value_at(fields_of(line), self._tenant_key)
            found.setdefault(tenant if isinstance(tenant, str) and tenant else self._tenant, []).append(i)
        return found

    # --- the body ----------------------------------------------------------------------------------------------------

    def _body(self, deliveries: Sequence[Delivery]) -> bytes:
        streams: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
        for delivery in deliveries:
            chunk = delivery.chunk
            for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True):
                fields = fields_of(line) if self._reads or self._changes else {}
                values = streams.setdefault(self._stream(fields, chunk.tag), [])
                entry: list[Any] = [str(ns)]
                metadata = self._metadata_of(fields, chunk.tag) if self._has_metadata else {}
                if self._changes:
                    entry.append(self._line(without(fields, self._removed), self._single))
                else:
                    entry.append(line.decode("utf-8", "replace"))
                if metadata:
                    entry.append(metadata)
                values.append(entry)
        return _encode({"streams": [{"stream": dict(s), "values": v} for s, v in streams.items()]})

    def _stream(self, fields: dict[str, Any], tag: str) -> tuple[tuple[str, str], ...]:
        found = dict(self._labels.of(fields, tag))
        found.update(maps_of(self._maps, fields))
        return tuple(found.items()) or (("job", "fluent-bit"),)

    def _metadata_of(self, fields: dict[str, Any], tag: str) -> dict[str, str]:
        return {**dict(self._metadata.of(fields, tag)), **dict(maps_of(self._metadata_maps, fields))}
