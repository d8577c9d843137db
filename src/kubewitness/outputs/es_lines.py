"""Records as lines of a bulk request: an action, and the document, whose bytes are the record's own where they can be.

Source: Elasticsearch's reference, "Bulk API".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from kubewitness.config.keys import Options
from kubewitness.contracts import Delivery
from kubewitness.errors import UsageError
from kubewitness.formats.accessor import Template, path_of, text_of, value_at
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, stamps_ns

_encode = msgspec.json.Encoder().encode
_SECOND = 1_000_000_000


class BulkLines:
    """Made from an output's keys; UsageError when they contradict one another."""

    def __init__(self, what: str, opts: Options) -> None:
        self._operation = opts.choice("write_operation")
        self._type = "" if opts.flag("suppress_type_name") else opts.text("type")
        self._generate_id = opts.flag("generate_id")
        self._id = path_of(opts.text("id_key")) if opts.text("id_key") else None
        self._time_key = opts.text("time_key")
        self._head = b"{" + _encode(self._time_key) + b":"
        self._time_format = opts.text("time_key_format")
        self._nanos = opts.flag("time_key_nanos")
        self._tag_key = opts.text("tag_key") if opts.flag("include_tag_key") else ""
        self._dots = opts.flag("replace_dots")
        self._index_of = self._indexer(opts)
        self._second = (-1, "")
        if self._operation in ("update", "upsert") and self._id is None and not self._generate_id:
            raise UsageError(f"{what}: 'write_operation' {self._operation} needs 'id_key' or 'generate_id'")
        #: keys that stand before the record's own; a record that has one of them is written anew
        self._ours = [_encode(k) for k in (self._time_key, self._tag_key) if k]

    def of(self, delivery: Delivery) -> list[bytes]:
        """The lines of each record, with their newlines."""
        chunk = delivery.chunk
        made = []
        for i, (line, ns) in enumerate(zip(objects(chunk), stamps_ns(chunk), strict=True)):
            fields = fields_of(line) if self._reads else {}
            made.append(self._action(line, fields, ns, chunk.tag, chunk.key(i)) + self._document(line, ns, chunk.tag))
        return made

    # --- the action --------------------------------------------------------------------------------------------------

    def _indexer(self, opts: Options) -> Callable[[dict[str, Any], int, str], str]:
        """(fields, time, tag) -> the index."""
        prefix_key = opts.text("logstash_prefix_key")
        key = path_of(prefix_key if prefix_key.startswith("$") else f"${prefix_key}") if prefix_key else None
        template = Template(opts.text("logstash_prefix" if opts.flag("logstash_format") else "index"))
        self._reads = bool(key or template.paths or self._id)
        if not opts.flag("logstash_format"):
            return lambda fields, ns, tag: template.render(fields, tag)
        separator, form = opts.text("logstash_prefix_separator"), opts.text("logstash_dateformat")
        today = opts.flag("current_time_index")

        def index(fields: dict[str, Any], ns: int, tag: str) -> str:
            prefix = text_of(value_at(fields, key)) if key is not None else ""
            seconds = int(time.time()) if today else ns // _SECOND
            date = datetime.fromtimestamp(seconds, UTC).strftime(form)
            return f"{prefix or template.render(fields, tag)}{separator}{date}"

        return index

    def _action(self, line: bytes, fields: dict[str, Any], ns: int, tag: str, key: bytes) -> bytes:
        meta = {"_index": self._index_of(fields, ns, tag)}
        if self._type:
            meta["_type"] = self._type
        if self._id is not None and (found := text_of(value_at(fields, self._id))):
            meta["_id"] = found
        elif self._generate_id or self._id is not None:
            meta["_id"] = key.hex() or _digest(line, ns, tag)
        operation = "update" if self._operation == "upsert" else self._operation
        return _encode({operation: meta}) + b"\n"

    # --- the document ------------------------------------------------------------------------------------------------

    def _document(self, line: bytes, ns: int, tag: str) -> bytes:
        body = line.strip()
        if self._dots or any(name in body for name in self._ours):
            fields = fields_of(body)
            for name in (self._time_key, self._tag_key):
                fields.pop(name, None)
            body = _encode(_without_dots(fields) if self._dots else fields)
        head = self._head + self._stamp(ns)
        if self._tag_key:
            head += b"," + _encode(self._tag_key) + b":" + _encode(tag)
        rest = body[1:].lstrip()
        document = head + (b"" if rest.startswith(b"}") else b",") + rest
        if self._operation == "update":
            document = b'{"doc":' + document + b"}"
        elif self._operation == "upsert":
            document = b'{"doc_as_upsert":true,"doc":' + document + b"}"
        return document + b"\n"

    def _stamp(self, ns: int) -> bytes:
        second = ns // _SECOND
        if second != self._second[0]:
            self._second = (second, datetime.fromtimestamp(second, UTC).strftime(self._time_format))
        digits = f"{ns % _SECOND:09d}" if self._nanos else f"{ns % _SECOND // 1_000_000:03d}"
        return f'"{self._second[1]}.{digits}Z"'.encode()


def _digest(line: bytes, ns: int, tag: str) -> str:
    """For a record without an identity of its own."""
    return hashlib.blake2b(b"%d\0%b\0%b" % (ns, tag.encode(), line), digest_size=16).hexdigest()


def _without_dots(value: Any) -> Any:
    if isinstance(value, dict):
        return {k.replace(".", "_"): _without_dots(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_dots(v) for v in value]
    return value
