"""Requests of OTLP are written by hand: byte for byte what the official library makes of the same records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from kubewitness.contracts import Delivery
from kubewitness.formats.accessor import path_of
from kubewitness.outputs import otlp_values
from kubewitness.outputs.otlp_records import PLAIN, Places, body_of, places
from tests.outputs.test_es import logs

NS = 1_700_000_000_123_456_789
#: texts whose lengths, alone or with a name, stand at a border of a varint
LENGTHS = [0, 1, 26, 27, 62, 63, 64, 65, 110, *range(115, 130), 2047, 2048, 16_370, *range(16_380, 16_390), 70_000]
RECORDS = [
    "{}",
    '{"":"","a":null,"t":true,"f":false,"n":0,"m":-1,"d":1.5,"e":-0.0,"x":1e300}',
    '{"i":[9223372036854775807,-9223372036854775808,9223372036854775808,18446744073709551616,127,128,300]}',
    '{"inf":1e400,"small":1e-400}',
    '{"empty":{},"list":[],"deep":[[{"k":[{}, null, "x", {"y":[]}]}]]}',
    '{"s":"a\\"b\\\\c\\nd\\u00e9\\u20ac\\ud83d\\ude00","u":"\u00fc\u20ac\U0001f600","k\\u00e9y":"v","\u00fc":{"\u00fc":"\u00fc"}}',
    '{"twice":1,"twice":{"a":1,"a":"2"}}',
    '{ "white" : [ 1 , { "a" : "b" } ] , "more" : { "x" : 1 } }',
    '{"one":1,"true":true,"o":{"one":1,"true":true,"float":1.0,"text":"1"}}',
    '"only text"',
    "[1,2]",
    "7",
    '{"TraceId":"000102030405060708090a0b0c0d0e0f","SpanId":"0001020304050607","SeverityText":"WARN","SeverityNumber":13}',
    '{"TraceId":"no","SpanId":7,"SeverityText":"","SeverityNumber":true}',
    '{"SeverityText":"\u00fc","SeverityNumber":25}',
    *(json.dumps({"t": "x" * n, "o": {"t": "y" * n}, "l": ["z" * n], "n" * (n % 300): 1}) for n in LENGTHS),
    *(json.dumps({"o": {f"k{i}": {"f:x": {}, "i": i, "t": f"v{i % 3}"} for i in range(n)}}) for n in (1, 3, 20, 90)),
]


def expected(records: list[str], observed_ns: int) -> bytes:
    """By the library's own setters."""
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for text in records:
        fields = json.loads(text)
        fields = fields if isinstance(fields, dict) else {"log": fields}
        record = scope.log_records.add(time_unix_nano=NS, observed_time_unix_nano=observed_ns)
        _set(record.body, fields)
        _mark(record, fields)
    return bytes(request.SerializeToString())


def _mark(record: Any, fields: dict[str, Any]) -> None:
    for name, field, length in (("TraceId", "trace_id", 32), ("SpanId", "span_id", 16)):
        if isinstance(fields.get(name), str) and len(fields[name]) == length:
            setattr(record, field, bytes.fromhex(fields[name]))
    if isinstance(fields.get("SeverityText"), str):
        record.severity_text = fields["SeverityText"]
    number = fields.get("SeverityNumber")
    if type(number) is int and number < 25:
        record.severity_number = number


def _set(target: Any, value: Any) -> None:
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        target.int_value = value
    elif isinstance(value, int | float):
        target.double_value = float(value)
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            _set(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for name, inner in value.items():
            pair = target.kvlist_value.values.add(key=name)
            pair.value.SetInParent()
            _set(pair.value, inner)


@pytest.mark.parametrize("kept", [False, True])
def test_the_bytes_are_the_librarys(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kept:  # nothing is found from before, and all of it is dropped on the way
        monkeypatch.setattr(otlp_values, "_ALL", 0)
        monkeypatch.setattr(otlp_values, "_MANY", 1)
    for text in RECORDS:
        delivery = Delivery(1, logs(text, text))
        assert body_of([delivery], PLAIN) == expected([text, text], 1_700_000_000 * 10**9), text[:100]


def test_many_deliveries_are_one_request_and_a_time_before_1970_is_none() -> None:
    made = body_of([Delivery(n, logs(text)) for n, text in enumerate(RECORDS)], PLAIN)
    assert made == expected(RECORDS, 1_700_000_000 * 10**9)
    early = logs('{"n":1}', ns=-5)
    early.received_us = 0
    (record,) = ExportLogsServiceRequest.FromString(body_of([Delivery(1, early)], PLAIN)).resource_logs[0].scope_logs[
        0].log_records  # fmt: skip
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (0, 0)
    assert record.SerializeToString().hex() == "2a0b" + "32090a070a016e12021801"


def test_halves_of_surrogates_become_question_marks() -> None:
    lines = ['{"a":"x\\ud800y"}', '{"\\ud800":"b"}', '{"o":{"long":"%s","\\ud800":["\\udc00"]}}' % ("x" * 200)]
    made = ExportLogsServiceRequest.FromString(body_of([Delivery(1, logs(*lines))], PLAIN))
    bodies = [record.body.kvlist_value.values[0] for record in made.resource_logs[0].scope_logs[0].log_records]
    assert (bodies[0].value.string_value, bodies[1].key) == ("x?y", "?")
    assert [pair.key for pair in bodies[2].value.kvlist_value.values] == ["long", "?"]


def test_a_body_of_its_own_and_attributes_are_the_librarys_too() -> None:
    where: Places = places([path_of("$absent"), path_of("$m['text']")], "$t", "$s", "$sev", "$num", attributes=True)
    text = '{"a":1,"m":{"text":["x",{"y":1}]},"z":{"deep":"value"},"sev":"INFO","num":9}'
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano, record.observed_time_unix_nano = NS, 1_700_000_000 * 10**9
    record.severity_text, record.severity_number = "INFO", 9
    fields = json.loads(text)
    _set(record.body, fields["m"]["text"])
    for name in ("a", "z", "sev", "num"):
        _set(record.attributes.add(key=name).value, fields[name])
    assert body_of([Delivery(1, logs(text))], where) == request.SerializeToString()
