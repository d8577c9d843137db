"""Records as log records of OTLP. Source: opentelemetry-proto, logs/v1/logs.proto, and the specification's logs data
model. Everything in this file needs `kubewitness[opentelemetry]`."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from kubewitness.contracts import Delivery
from kubewitness.formats.accessor import MISSING, Path, path_of, value_at
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, stamps_ns
from kubewitness.outputs.varint import varint


class Places(NamedTuple):
    """Where in a record something of a log record stands."""

    bodies: Sequence[Path]
    #: what of the record is not its body becomes attributes
    attributes: bool
    trace_id: Path
    span_id: Path
    severity_text: Path
    severity_number: Path


#: the whole record is the body; the rest where OpenTelemetry's own names say
PLAIN = Places([], False, *map(path_of, ("$TraceId", "$SpanId", "$SeverityText", "$SeverityNumber")))


def request_of(deliveries: Sequence[Delivery], places: Places) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for delivery in deliveries:
        chunk = delivery.chunk
        for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True):
            record = records.add()
            record.time_unix_nano = max(0, ns)
            record.observed_time_unix_nano = max(0, chunk.received_us * 1000)
            _fill(record, fields_of(line), places)
    return request


def rejected(body: bytes) -> tuple[int, str]:
    """(how many records a far side says that it rejected, why). ValueError for what is no such answer."""
    from google.protobuf.message import DecodeError

    try:
        told = ExportLogsServiceResponse.FromString(body).partial_success
    except DecodeError as e:
        raise ValueError("not an answer of OTLP") from e
    return told.rejected_log_records, told.error_message


def as_json(request: ExportLogsServiceRequest) -> dict[str, Any]:
    """The request in OTLP's JSON: as protobuf's, but for ids in hexadecimal."""
    from google.protobuf.json_format import MessageToDict

    made: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    records = made["resourceLogs"][0]["scopeLogs"][0].get("logRecords", [])
    for record, source in zip(records, request.resource_logs[0].scope_logs[0].log_records, strict=True):
        for name, raw in (("traceId", source.trace_id), ("spanId", source.span_id)):
            if raw:
                record[name] = raw.hex()
    return made


def _fill(record: Any, fields: dict[str, Any], places: Places) -> None:
    text = value_at(fields, places.severity_text)
    if isinstance(text, str):
        record.severity_text = text
    number = value_at(fields, places.severity_number)
    if isinstance(number, int) and 1 <= number <= 24:
        record.severity_number = number
    record.trace_id = _id(value_at(fields, places.trace_id), 16)
    record.span_id = _id(value_at(fields, places.span_id), 8)
    for path in places.bodies:
        body = value_at(fields, path)
        if body is not MISSING:
            _put(record.body, body)
            if places.attributes:
                _put_all(record.attributes, {k: v for k, v in fields.items() if k != path.steps[0]})
            return
    _put(record.body, fields)


def _id(value: Any, length: int) -> bytes:
    """Of hexadecimal digits; none for anything else."""
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
    return raw if len(raw) == length else b""


def _put(target: Any, value: Any) -> None:
    """A value as AnyValue, encoded here and read by the library: its setters cost more than half as much again."""
    target.MergeFromString(_any_value(value))


def _put_all(target: Any, fields: Mapping[str, Any]) -> None:
    for key, value in fields.items():
        pair = target.add()
        pair.key = key
        _put(pair.value, value)


# --- the wire format of AnyValue (opentelemetry-proto, common/v1/common.proto) ---

_DOUBLE = struct.Struct("<d").pack
#: encoded keys; records have few different ones
_keys: dict[str, bytes] = {}
_KEYS_LIMIT = 10_000


def _text(value: str) -> bytes:
    # protobuf refuses lone surrogates, which JSON may hold
    raw = value.encode("utf-8", "replace")
    return varint(len(raw)) + raw


def _key(name: str) -> bytes:
    found = _keys.get(name)
    if found is None:
        if len(_keys) >= _KEYS_LIMIT:
            _keys.clear()
        found = _keys[name] = b"\x0a" + _text(name) + b"\x12"
    return found


def _any_value(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        raw: bytes = value.encode("utf-8", "replace")
        return b"\x0a" + varint(len(raw)) + raw
    if kind is int:
        if -(1 << 63) <= value < 1 << 63:
            return b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        return b"\x21" + _DOUBLE(value)
    if kind is dict:
        pairs: list[bytes] = []
        for name, inner in value.items():
            encoded = _any_value(inner)
            key = _keys.get(name) or _key(name)
            size = varint(len(encoded))
            pairs += (b"\x0a", varint(len(key) + len(size) + len(encoded)), key, size, encoded)
        body = b"".join(pairs)
        return b"\x32" + varint(len(body)) + body
    if kind is list:
        items: list[bytes] = []
        for item in value:
            encoded = _any_value(item)
            items += (b"\x0a", varint(len(encoded)), encoded)
        body = b"".join(items)
        return b"\x2a" + varint(len(body)) + body
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    return b"\x21" + _DOUBLE(value) if kind is float else b""
