"""The messages of Prometheus' remote write, made by protobuf's own library from the published schema (Prometheus'
prompb/remote.proto and types.proto, fields of version 1.0), for far sides that check what they are sent."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_TEXT, _DOUBLE, _INT64, _ENUM, _MESSAGE = (
    _F.TYPE_STRING, _F.TYPE_DOUBLE, _F.TYPE_INT64, _F.TYPE_ENUM, _F.TYPE_MESSAGE,
)  # fmt: skip
#: message -> (number, name, type, repeated, of which message)
_SCHEMA: dict[str, list[tuple[int, str, int, bool, str]]] = {
    "Label": [(1, "name", _TEXT, False, ""), (2, "value", _TEXT, False, "")],
    "Sample": [(1, "value", _DOUBLE, False, ""), (2, "timestamp", _INT64, False, "")],
    "TimeSeries": [(1, "labels", _MESSAGE, True, "Label"), (2, "samples", _MESSAGE, True, "Sample")],
    "MetricMetadata": [
        (1, "type", _ENUM, False, "MetricType"), (2, "metric_family_name", _TEXT, False, ""),
        (4, "help", _TEXT, False, ""), (5, "unit", _TEXT, False, ""),
    ],
    "WriteRequest": [
        (1, "timeseries", _MESSAGE, True, "TimeSeries"), (3, "metadata", _MESSAGE, True, "MetricMetadata"),
    ],
}  # fmt: skip
TYPES = ("UNKNOWN", "COUNTER", "GAUGE", "HISTOGRAM", "GAUGEHISTOGRAM", "SUMMARY", "INFO", "STATESET")


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    kinds = file.enum_type.add(name="MetricType")
    for number, name in enumerate(TYPES):
        kinds.value.add(name=name, number=number)
    for message, fields in _SCHEMA.items():
        made = file.message_type.add(name=message)
        for number, name, kind, repeated, of in fields:
            label = _F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
            field = made.field.add(name=name, number=number, type=kind, label=label)
            if of:
                field.type_name = f".prometheus.{of}"
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
WriteRequest: Any = message_factory.GetMessageClass(_pool.FindMessageTypeByName("prometheus.WriteRequest"))
