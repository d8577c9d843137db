"""Output `opentelemetry`: log records as the official messages read them, in both encodings."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.opentelemetry import OpentelemetryOutput
from kubewitness.outputs.stdout import StdoutOutput
from tests.outputs.far_side import FarSide
from tests.outputs.sides import OtlpSide, strict_json
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)

RECORD = (
    '{"log":"hello","n":1,"f":1.5,"ok":true,"none":null,"list":[1,"a"],"m":{"k":"v"},"big":99999999999999999999,'
    '"TraceId":"000102030405060708090a0b0c0d0e0f","SpanId":"0001020304050607","SeverityText":"WARN","SeverityNumber":13}'
)


async def sent(**keys: str) -> Any:
    """The one log record."""
    async with OtlpSide() as side:
        output = OpentelemetryOutput({"port": str(side.port), **keys})
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()
        assert side.wrong == []
        (record,) = side.records
        return record


async def test_the_record_is_the_body_with_its_times_severity_and_ids() -> None:
    record = await sent()
    values = {v.key: v.value for v in record.body.kvlist_value.values}
    assert (record.time_unix_nano, record.observed_time_unix_nano) == (1_700_000_000_123_456_789, 1_700_000_000 * 10**9)
    assert (record.severity_text, record.severity_number) == ("WARN", 13)
    assert (record.trace_id, record.span_id) == (bytes(range(16)), bytes(range(8)))
    assert (values["log"].string_value, values["n"].int_value, values["f"].double_value) == ("hello", 1, 1.5)
    assert values["ok"].bool_value is True
    assert values["none"].WhichOneof("value") is None
    assert [v.int_value or v.string_value for v in values["list"].array_value.values] == [1, "a"]
    assert values["m"].kvlist_value.values[0].value.string_value == "v"
    assert values["big"].double_value == 1e20


@pytest.mark.parametrize("n", [0, -1, 127, 128, 300, 1 << 40, (1 << 63) - 1, -(1 << 63)])
async def test_whole_numbers_of_64_bits_arrive_as_they_are(n: int) -> None:
    values = {"n": n, "text": "x" * 200, "empty": {}, "none": [], "deep": [[{"k": [True, -0.5]}]]}
    async with OtlpSide() as side:
        output = OpentelemetryOutput({"port": str(side.port)})
        await output.write([Delivery(1, logs(json.dumps(values)))])
        await output.close()
        assert side.wrong == []
        assert _plain(side.records[0].body) == values


def _plain(value: Any) -> Any:
    """An AnyValue as the official messages read it."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


async def test_severity_and_ids_may_stand_elsewhere() -> None:
    async with OtlpSide() as side:
        output = OpentelemetryOutput(
            {
                "port": str(side.port),
                "logs_severity_text_message_key": "$level",
                "logs_severity_number_message_key": "$l['n']",
                "logs_trace_id_message_key": "$trace",
                "logs_span_id_message_key": "$l['span']",
            }
        )
        found = {"level": "ERROR", "trace": "ab" * 16, "l": {"n": 17, "span": "cd" * 8}}
        await output.write([Delivery(1, logs(json.dumps({**json.loads(RECORD), **found})))])
        await output.close()
        assert side.wrong == []
        (record,) = side.records
    assert (record.severity_text, record.severity_number) == ("ERROR", 17)
    assert (record.trace_id, record.span_id) == (b"\xab" * 16, b"\xcd" * 8)


async def test_logs_go_to_the_path_asked_for() -> None:
    async with Json() as side:
        output = OpentelemetryOutput({"port": str(side.port), "format": "json", "logs_uri": "otlp/v1/logs"})
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()
        assert [request.path for request in side.requests] == ["/otlp/v1/logs"]


async def test_one_key_may_be_the_body_and_the_rest_attributes() -> None:
    record = await sent(logs_body_key="$absent\n$log", logs_body_key_attributes="on")
    assert record.body.string_value == "hello"
    assert [a.key for a in record.attributes][:3] == ["n", "f", "ok"]
    assert not (await sent(logs_body_key="$log")).attributes


class Json(FarSide):
    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert request.content_type == "application/json"
        self.sent = strict_json(body)
        return web.json_response({"partialSuccess": {}})


async def test_json_has_ids_in_hexadecimal_and_numbers_of_64_bits_as_text() -> None:
    async with Json() as side:
        output = OpentelemetryOutput({"port": str(side.port), "format": "json"})
        await output.write([Delivery(1, logs(RECORD))])
        await output.close()
        assert side.wrong == []
    record = side.sent["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert (record["traceId"], record["spanId"]) == ("000102030405060708090a0b0c0d0e0f", "0001020304050607")
    assert (record["timeUnixNano"], record["severityNumber"]) == ("1700000000123456789", 13)


async def test_a_request_has_at_most_as_many_records_as_batch_size_says() -> None:
    async with OtlpSide() as side:
        output = OpentelemetryOutput({"port": str(side.port), "batch_size": "2"})
        await output.write(
            [Delivery(1, logs(*[f'{{"n":{n}}}' for n in range(3)])), Delivery(2, logs('{"n":3}', '{"n":4}'))]
        )
        await output.close()
        assert (len(side.requests), side.took) == (3, [0, 1, 2, 3, 4])


class Partial(FarSide):
    def take(self, request: web.Request, body: bytes) -> web.Response:
        answer = ExportLogsServiceResponse()
        answer.partial_success.rejected_log_records = 1
        answer.partial_success.error_message = "too large"
        return web.Response(body=answer.SerializeToString())


async def test_a_partial_success_is_not_sent_again_and_set_aside_with_what_was_said() -> None:
    async with Partial() as side:
        output = OpentelemetryOutput({"port": str(side.port)})
        with pytest.raises(Partly) as told:
            await output.write([Delivery(1, logs('{"n":0}', '{"n":1}'))])
        await output.close()
    assert not told.value.left
    assert [(len(r.delivery.chunk), r.reason) for r in told.value.refused] == [
        (2, "rejected 1 of 2 records, not told which: too large")
    ]


async def test_an_answer_that_is_none_of_otlp_delivers_nothing() -> None:
    class Login(FarSide):
        def take(self, request: web.Request, body: bytes) -> web.Response:
            return web.Response(text="<html>please log in</html>")

    async with Login() as side:
        output = OpentelemetryOutput({"port": str(side.port)})
        with pytest.raises(Retry, match="no answer of OTLP"):
            await output.write([Delivery(1, logs("{}"))])
        await output.close()


@pytest.mark.parametrize("made", [lambda: OpentelemetryOutput({}), lambda: StdoutOutput({"format": "otlp_json"})])
def test_without_its_packages_it_names_the_extra(made: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubewitness.outputs.otlp_records", None)
    with pytest.raises(UsageError, match=r"pip install 'kubewitness\[opentelemetry\]'"):
        made()
