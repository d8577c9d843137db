"""Output `opentelemetry`: log records over OTLP/HTTP, as protobuf or JSON.

Source: the OpenTelemetry Protocol's specification, "OTLP/HTTP". A partial success names how many records were rejected
and not which; the specification forbids to send them again. So the request's records are all set aside, with what the
far side said: nothing is lost, and nothing comes twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery, Partly, Refusal
from kubewitness.errors import Retry
from kubewitness.formats.accessor import path_of
from kubewitness.outputs.compress import compress_key
from kubewitness.outputs.extras import otlp_records
from kubewitness.outputs.http_keys import http_keys, place
from kubewitness.outputs.http_sender import Answer, HttpSender
from kubewitness.outputs.records import grouped, in_order

_NOTHING = "accepted, without effect: "
_NO_METADATA = _NOTHING + "records have no metadata beside them here"
_ONLY_LOGS = _NOTHING + "only logs are sent"
_GRPC = "OTLP is spoken over HTTP/1.1; collectors take both at different ports"

KEYS = (
    *place(80),
    Key("logs_uri", default="/v1/logs", doc="path to send to"),
    Key("format", default="protobuf", doc="how requests are written (not in Fluent Bit)", choices=("protobuf", "json")),
    Key("batch_size", "int", "1000", "log records a request, at most"),
    Key("logs_body_key", doc="accessor of what is the body; of several the first that the record has; empty: the whole "
        "record", multi=True),
    Key("logs_body_key_attributes", "bool", "false", "the rest of the record becomes attributes"),
    Key("logs_trace_id_message_key", default="$TraceId", doc="accessor of the trace id, 32 hexadecimal digits"),
    Key("logs_span_id_message_key", default="$SpanId", doc="accessor of the span id, 16 hexadecimal digits"),
    Key("logs_severity_text_message_key", default="$SeverityText", doc="accessor of the severity"),
    Key("logs_severity_number_message_key", default="$SeverityNumber", doc="accessor of its number, 1 to 24"),
    Key("log_response_payload", "bool", "true", "errors quote what the far side answered"),
    compress_key("gzip", "zstd"),
    Key("grpc", "bool", "off", "only off", refused=_GRPC),
    Key("http2", "bool", "off", "only off", refused=_GRPC),
    Key("add_label", doc=_ONLY_LOGS, multi=True),
    Key("logs_max_resources", "int", "0", _NOTHING + "a request has one"),
    Key("logs_max_scopes", "int", "0", _NOTHING + "a request has one"),
    *(Key(n, doc=_ONLY_LOGS) for n in ("metrics_uri", "traces_uri", "profiles_uri", "grpc_metrics_uri",
        "grpc_logs_uri", "grpc_traces_uri", "grpc_profiles_uri")),
    *(Key(f"logs_{n}_metadata_key", doc=_NO_METADATA) for n in ("observed_timestamp", "timestamp", "severity_text",
        "severity_number", "trace_flags", "span_id", "trace_id", "attributes", "instrumentation_scope", "resource")),
    Key("logs_metadata_key", default="otlp", doc=_NO_METADATA),
    *http_keys(aws_service="logs"),
)  # fmt: skip

_TYPES = {"protobuf": "application/x-protobuf", "json": "application/json"}


class _Partial(msgspec.Struct, rename="camel"):
    rejected_log_records: int | str = 0
    error_message: str = ""


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None


class OpentelemetryOutput:
    """At least once."""

    batch_bytes = 2_000_000

    def __init__(self, keys: Mapping[str, str], name: str = "opentelemetry") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self._otlp = otlp_records(what)
        self.name = name
        self._sender = HttpSender(what, opts)
        self._sender.tells_answers = opts.flag("log_response_payload")
        self._uri = "/" + opts.text("logs_uri").lstrip("/")
        self._format = opts.choice("format")
        self._size = opts.number("batch_size") or 1000
        message = {n: opts.text(f"logs_{n}_message_key") for n in
                   ("trace_id", "span_id", "severity_text", "severity_number")}  # fmt: skip
        bodies = [path_of(p) for p in opts.lines("logs_body_key")]
        self._places = self._otlp.places(bodies, **message, attributes=opts.flag("logs_body_key_attributes"))

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        await in_order(grouped(deliveries, self._size), self._export)

    async def close(self) -> None:
        await self._sender.close()

    async def _export(self, deliveries: Sequence[Delivery]) -> None:
        body = await asyncio.to_thread(self._body, deliveries)
        answer = await self._sender.send(self._uri, body, {"Content-Type": _TYPES[self._format]})
        count, told = self._rejected(answer)
        if count:
            records = sum(len(d.chunk) for d in deliveries)
            reason = self._sender.clean(f"rejected {count} of {records} records, not told which: {told}")
            raise Partly(reason, refused=[Refusal(d, reason) for d in deliveries], after=0)

    def _body(self, deliveries: Sequence[Delivery]) -> bytes:
        if self._format == "json":
            return msgspec.json.encode(self._otlp.as_json(self._otlp.request_of(deliveries, self._places)))
        body: bytes = self._otlp.body_of(deliveries, self._places)
        return body

    def _rejected(self, answer: Answer) -> tuple[int, str]:
        """(records that a success says are rejected, why); Retry for what is no answer of OTLP."""
        if not answer.body:
            return 0, ""
        try:
            if self._format == "protobuf":
                told: tuple[int, str] = self._otlp.rejected(answer.body)
                return told
            partial = msgspec.json.decode(answer.body, type=_Response).partial_success or _Partial()
            return int(partial.rejected_log_records), partial.error_message
        except (ValueError, msgspec.MsgspecError) as e:
            raise Retry(f"{self._sender.base} answered {answer.status} with what is no answer of OTLP") from e
