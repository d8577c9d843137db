"""Records as log records of OTLP. Source: opentelemetry-proto, logs/v1/logs.proto, and the specification's logs data
model. Everything in this file needs `kubewitness[opentelemetry]`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from kubewitness.contracts import Delivery
from kubewitness.formats.accessor import MISSING, Path, path_of, value_at
from kubewitness.outputs.lines import objects
from kubewitness.outputs.otlp_values import any_value, attributes, map_value, members_of
from kubewitness.outputs.records import stamps_ns
from kubewitness.outputs.varint import varint

_FIXED = struct.Struct("<Q").pack


class Places(NamedTuple):
    """Where in a record something of a log record stands."""

    bodies: Sequence[Path]
    #: what of the record is not its body becomes attributes
    attributes: bool
    trace_id: Path
    span_id: Path
    severity_text: Path
    severity_number: Path
    #: the names at which they begin: a record that has none of them has no ids and no severity
    marks: frozenset[str | int]


def places(
    bodies: Sequence[Path], trace_id: str, span_id: str, severity_text: str, severity_number: str, *, attributes: bool
) -> Places:
    """Of accessors, as users write them. UsageError for one that is none."""
    trace, span, text, number = map(path_of, (trace_id, span_id, severity_text, severity_number))
    marks = frozenset(path.steps[0] for path in (trace, span, text, number))
    return Places(bodies, attributes, trace, span, text, number, marks)


#: the whole record is the body; the rest where OpenTelemetry's own names say
PLAIN = places([], "$TraceId", "$SpanId", "$SeverityText", "$SeverityNumber", attributes=False)


def request_of(deliveries: Sequence[Delivery], places: Places) -> ExportLogsServiceRequest:
    made: ExportLogsServiceRequest = ExportLogsServiceRequest.FromString(body_of(deliveries, places))
    return made


def body_of(deliveries: Sequence[Delivery], places: Places) -> bytes:
    """The request's bytes, as the library would serialize it."""
    made: list[bytes] = []
    for delivery in deliveries:
        chunk = delivery.chunk
        observed = max(0, chunk.received_us * 1000)
        behind = b"\x59" + _FIXED(observed) if observed else b""
        for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True):
            record = _record(line, ns, places, behind)
            made += (b"\x12", varint(len(record)), record)
    scope = b"".join(made)
    resource = b"\x12" + varint(len(scope)) + scope
    return b"\x0a" + varint(len(resource)) + resource


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


def _record(line: bytes, ns: int, places: Places, behind: bytes) -> bytes:
    """One LogRecord, its fields in the order of their numbers. `behind`: the last of them."""
    members = members_of(line)
    time = b"\x09" + _FIXED(ns) if ns > 0 else b""
    marked = not places.marks.isdisjoint(members)
    if not marked and not places.bodies:
        body = map_value(members)
        return b"%b\x2a%b%b%b" % (time, varint(len(body)), body, behind)
    number, text, ids = _marks(members, places) if marked else (b"", b"", b"")
    body, rest = _body(members, places)
    return b"".join((time, number, text, b"\x2a", varint(len(body)), body, rest, ids, behind))


def _marks(members: dict[str, msgspec.Raw], places: Places) -> tuple[bytes, bytes, bytes]:
    """Fields: severity's number, its text, and the ids."""
    number, text = value_at(members, places.severity_number), value_at(members, places.severity_text)
    ids = b""
    for tag, path, length in ((b"\x4a", places.trace_id, 16), (b"\x52", places.span_id, 8)):
        if raw := _id(value_at(members, path), length):
            ids += tag + varint(length) + raw
    encoded = text.encode("utf-8", "replace") if isinstance(text, str) else b""
    return (
        b"\x10" + varint(number) if type(number) is int and 1 <= number <= 24 else b"",
        b"\x1a" + varint(len(encoded)) + encoded if encoded else b"",
        ids,
    )


def _body(members: dict[str, msgspec.Raw], places: Places) -> tuple[bytes, bytes]:
    """(AnyValue of the body, fields of the attributes)."""
    for path in places.bodies:
        found = value_at(members, path)
        if found is not MISSING:
            return any_value(found), attributes(members, path.steps[0]) if places.attributes else b""
    return map_value(members), b""


def _id(value: Any, length: int) -> bytes:
    """Of hexadecimal digits; none for anything else."""
    try:
        raw = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        return b""
    return raw if len(raw) == length else b""
