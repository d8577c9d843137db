"""Output `http`: batches of records as bodies of requests to any receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Refused, Retry
from kubewitness.formats.accessor import MISSING, path_of, text_of, value_at
from kubewitness.outputs.bodies import BODIES
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.dates import DATE_FORMATS, dates_of
from kubewitness.outputs.http_keys import HTTP_KEYS, place
from kubewitness.outputs.http_sender import HttpSender
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, in_order, outcome
from kubewitness.record import Chunk

KEYS = (
    *place(80),
    Key("uri", default="/", doc="path to send to"),
    Key("http_method", default="POST", doc="how", choices=("post", "put")),
    Key("format", default="json", doc="`json`: an array; `json_lines`: an object a line; `json_stream`: objects with "
        "nothing between them; `msgpack`: events of the forward protocol",
        choices=("json", "json_lines", "json_stream", "msgpack")),
    Key("json_date_key", default="date", doc="name under which the record's time is put first; `false`: the records' "
        "bytes are passed through"),
    Key("json_date_format", default="double", doc="how the time is written", choices=DATE_FORMATS),
    compress_key("gzip", "zstd"),
    Key("header_tag", doc="header that carries the records' tag; each tag has its own requests then"),
    Key("body_key", doc="key (`$key['sub']`) whose text is the body: a request for each record"),
    Key("headers_key", doc="and key of an object that is this request's headers"),
    Key("allow_duplicated_headers", "bool", "true", "accepted, without effect: all that are given are sent"),
    Key("log_response_payload", "bool", "true", "errors quote what the far side answered"),
    *(Key(f"gelf_{n}_key", doc="accepted, without effect: there is no format `gelf` here") for n in ("timestamp",
        "host", "short_message", "full_message", "level")),
    *HTTP_KEYS,
)  # fmt: skip

_TYPES = {
    "json": "application/json",
    "json_lines": "application/x-ndjson",
    "json_stream": "application/json",
    "msgpack": "application/msgpack",
}


class HttpOutput:
    """At least once: a body whose answer was lost is sent again."""

    batch_bytes = 2_000_000

    def __init__(self, keys: Mapping[str, str], name: str = "http") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = HttpSender(what, opts)
        self._sender.tells_answers = opts.flag("log_response_payload")
        self._uri = "/" + opts.text("uri").lstrip("/")
        self._method = opts.choice("http_method").upper()
        self._format = opts.choice("format")
        self._dates = dates_of(opts)
        self._tag_header = opts.text("header_tag")
        self._body = path_of(opts.text("body_key")) if opts.text("body_key") else None
        self._headers = path_of(opts.text("headers_key")) if opts.text("headers_key") else None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if self._body is not None:
            await in_order([[d] for d in deliveries], self._each_record)
        elif self._tag_header:
            await in_order([list(g) for _, g in groupby(deliveries, lambda d: d.chunk.tag)], self._together)
        elif deliveries:
            await self._together(deliveries)

    async def close(self) -> None:
        await self._sender.close()

    async def _together(self, deliveries: Sequence[Delivery]) -> None:
        chunks = [d.chunk for d in deliveries]
        body = await asyncio.to_thread(BODIES[self._format], chunks, self._dates)
        headers = {"Content-Type": _TYPES[self._format]}
        if self._tag_header:
            headers[self._tag_header] = chunks[0].tag
        await self._sender.send(self._uri, body, headers, method=self._method)

    async def _each_record(self, deliveries: Sequence[Delivery]) -> None:
        """One delivery, a request for each of its records."""
        chunk = deliveries[0].chunk
        refused: dict[int, str] = {}
        for i, line in enumerate(objects(chunk)):
            fields = fields_of(line)
            assert self._body is not None
            body = value_at(fields, self._body)
            if body is MISSING:
                refused[i] = f"the record has no {self._body}, which body_key asks for"
                continue
            try:
                await self._sender.send(
                    self._uri, text_of(body).encode(), self._headers_of(fields, chunk), method=self._method
                )
            except Refused as e:
                refused[i] = str(e)
            except Retry as e:
                raise outcome(deliveries, refused, range(i, len(chunk)), str(e), e.after) from e
        if refused:
            raise outcome(deliveries, refused, [], next(iter(refused.values())))

    def _headers_of(self, fields: Mapping[str, Any], chunk: Chunk) -> dict[str, str]:
        own = value_at(fields, self._headers) if self._headers is not None else {}
        headers = {k: v for k, v in own.items() if isinstance(v, str)} if isinstance(own, dict) else {}
        if self._tag_header:
            headers[self._tag_header] = chunk.tag
        return headers
