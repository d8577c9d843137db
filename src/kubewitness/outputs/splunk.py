"""Output `splunk`: the HTTP Event Collector (HEC).

Source: Splunk's manual, "Format events for HTTP Event Collector" and "HTTP Event Collector error codes".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Refused, UsageError
from kubewitness.formats.accessor import MISSING, Path, Template, path_of, text_of, value_at
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.credentials import Secret, secret_keys
from kubewitness.outputs.http_keys import HTTP_KEYS, place
from kubewitness.outputs.http_sender import Answer, HttpSender, with_query
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, outcome, stamps_ns

_NOTHING = "accepted, without effect: "

KEYS = (
    *place(8088),
    *secret_keys("splunk_token", "token of the collector"),
    Key("splunk_send_raw", "bool", "off", "the record itself is the body of an event (endpoint `raw`); no time, no "
        "metadata"),
    Key("channel", doc="sent as X-Splunk-Request-Channel"),
    Key("event_key", doc="accessor of what is the event; empty: the whole record"),
    Key("event_host", doc="host of an event; may be or hold accessors"),
    Key("event_source", doc="its source; may be or hold accessors"),
    Key("event_sourcetype", doc="its source type"),
    Key("event_sourcetype_key", doc="accessor of the source type; where there is none, `event_sourcetype`"),
    Key("event_index", doc="its index"),
    Key("event_index_key", doc="accessor of the index; where there is none, `event_index`"),
    Key("event_field", doc="an indexed field and its accessor (`app $kubernetes['labels']['app']`); several by "
        "repeating the key", multi=True),
    Key("auto_extract_timestamp", "bool", "off", "Splunk finds the time in the event; none is sent"),
    Key("http_buffer_size", "size", "", _NOTHING + "answers are read whole"),
    Key("http_debug_bad_request", "bool", "off", "only off", refused="records do not go into logs"),
    compress_key("gzip"),
    *HTTP_KEYS,
)  # fmt: skip

_encode = msgspec.json.Encoder().encode
#: codes of an answer 400 that are about one event
_ONE_EVENT = frozenset({5, 6, 7, 12, 13, 15})


class _Told(msgspec.Struct, rename={"number": "invalid-event-number"}):
    text: str = ""
    code: int = 0
    number: int | None = None


_told = msgspec.json.Decoder(_Told).decode


class SplunkOutput:
    """At least once."""

    batch_bytes = 1_000_000

    def __init__(self, keys: Mapping[str, str], name: str = "splunk") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = HttpSender(what, opts)
        self._token = Secret(what, opts, "splunk_token")
        self._sender.secrets.append(self._token)
        self._raw = opts.flag("splunk_send_raw")
        self._timed = not opts.flag("auto_extract_timestamp")
        endpoint = "/services/collector/raw" if self._raw else "/services/collector/event"
        self._path = with_query(endpoint, auto_extract_timestamp="" if self._timed else "true")
        self._channel = opts.text("channel")
        self._event = path_of(opts.text("event_key")) if opts.text("event_key") else None
        self._meta = [(n, Template(opts.text(f"event_{n}"))) for n in ("host", "source") if opts.text(f"event_{n}")]
        self._keyed = [
            (n, path_of(opts.text(f"event_{n}_key")) if opts.text(f"event_{n}_key") else None, opts.text(f"event_{n}"))
            for n in ("sourcetype", "index")
        ]
        self._fields = _fields(what, opts.lines("event_field"))

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        body = await asyncio.to_thread(lambda: b"".join(self._body(d) for d in deliveries))
        answer = await self._sender.ask(self._path, body, self._headers())
        if 200 <= answer.status < 300:
            return
        self._look(deliveries, answer)
        raise self._sender.failure(answer)

    async def close(self) -> None:
        await self._sender.close()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Splunk {self._token.value()}"
        if self._channel:
            headers["X-Splunk-Request-Channel"] = self._channel
        return headers

    def _look(self, deliveries: Sequence[Delivery], answer: Answer) -> None:
        """Raises for the one event that a 400 names; the others are sent again."""
        if answer.status != 400:
            return
        try:
            told = _told(answer.body)
        except msgspec.MsgspecError:
            return
        records = sum(len(d.chunk) for d in deliveries)
        if told.code in _ONE_EVENT and told.number is not None and 0 <= told.number < records and not self._raw:
            reason = self._sender.clean(f"400 code {told.code}: {told.text}")
            if records == 1:
                raise Refused(reason)
            raise outcome(deliveries, {told.number: reason}, set(range(records)) - {told.number}, reason, 0.0)

    # --- events ------------------------------------------------------------------------------------------------------

    def _body(self, delivery: Delivery) -> bytes:
        chunk = delivery.chunk
        if self._raw:
            return b"".join(line + b"\n" for line in objects(chunk))
        return b"".join(
            self._event_of(line, ns, chunk.tag) for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True)
        )

    def _event_of(self, line: bytes, ns: int, tag: str) -> bytes:
        reads = self._event or self._fields or self._meta or any(path for _, path, _ in self._keyed)
        fields = fields_of(line) if reads else {}
        envelope: dict[str, Any] = {"time": round(ns / 1e9, 6)} if self._timed else {}
        for name, template in self._meta:
            if text := template.render(fields, tag):
                envelope[name] = text
        for name, path, default in self._keyed:
            found = text_of(value_at(fields, path)) if path is not None else ""
            if found or default:
                envelope[name] = found or default
        if self._fields:
            found_fields = {name: value_at(fields, path) for name, path in self._fields}
            envelope["fields"] = {k: v for k, v in found_fields.items() if v is not MISSING}
        event = line
        if self._event is not None:
            value = value_at(fields, self._event)
            event = line if value is MISSING else _encode(value)
        envelope["event"] = msgspec.Raw(event)
        return _encode(envelope)


def _fields(what: str, lines: Sequence[str]) -> list[tuple[str, Path]]:
    found = []
    for line in lines:
        name, _, accessor = line.strip().partition(" ")
        if not accessor.strip():
            raise UsageError(f"{what}: 'event_field' takes a name and an accessor, with a space between them")
        found.append((name, path_of(accessor.strip())))
    return found
