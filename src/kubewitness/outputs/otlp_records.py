"""Records as log records of OTLP. Source: opentelemetry-proto, logs/v1/logs.proto, and the specification's logs data
model. Everything in this file needs `kubewitness[opentelemetry]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from kubewitness.contracts import Delivery
from kubewitness.formats.accessor import MISSING, Path, value_at
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, stamps_ns


class Places(NamedTuple):
    """Where in a record something of a log record stands."""

    bodies: Sequence[Path]
    #: what of the record is not its body becomes attributes
    attributes: bool
    trace_id: Path
    span_id: Path
    severity_text: Path
    severity_number: Path


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
    """A value as AnyValue."""
    if isinstance(value, str):
        # protobuf refuses lone surrogates, which JSON may hold
        target.string_value = value if value.isascii() else value.encode("utf-8", "replace").decode()
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        target.int_value = value
    elif isinstance(value, int | float):
        target.double_value = float(value)
    elif isinstance(value, Mapping):
        target.kvlist_value.SetInParent()
        _put_all(target.kvlist_value.values, value)
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            _put(target.array_value.values.add(), item)


def _put_all(target: Any, fields: Mapping[str, Any]) -> None:
    for key, value in fields.items():
        pair = target.add()
        pair.key = key
        _put(pair.value, value)
