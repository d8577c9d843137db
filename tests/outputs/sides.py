"""The far side of each output, with its keys and what its protocol says (source of the schema in each docstring)."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Sequence
from typing import Any, ClassVar

import cramjam
from aiohttp import web
from google.protobuf.unknown_fields import UnknownFieldSet

from kubewitness.record import Chunk
from tests.journal.helpers import numbered
from tests.outputs import remote_write_messages
from tests.outputs.far_side import FarSide


class HttpSide(FarSide):
    """Any receiver: a JSON array of objects with a `date`."""

    plugin = "http"
    keys: ClassVar[dict[str, str]] = {}
    #: whether what comes twice is recognised there
    idempotent = False
    #: whether it says record by record what it took
    itemwise = False

    def where(self) -> dict[str, str]:
        """The keys that say where it is."""
        return {"host": "127.0.0.1", "port": str(self.port)}

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        """Records that have these numbers."""
        return numbered(*numbers)

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert request.method == "POST", request.method
        assert request.content_type == "application/json", request.content_type
        records = json.loads(body)
        numbers = [r["n"] for r in records]
        assert all(isinstance(r["date"], float) for r in records)
        if self.refuses(numbers):
            return web.Response(status=400, text="one of them is bad")
        self.took += numbers
        return web.Response(status=201)

    def halved(self, body: bytes) -> bytes | None:
        records = json.loads(body)
        return json.dumps(records[: len(records) // 2]).encode()


class EsSide(HttpSide):
    """The Bulk API: action and document in turn, an answer for each (Elasticsearch reference, "Bulk API")."""

    plugin = "es"
    keys: ClassVar[dict[str, str]] = {"generate_id": "on", "suppress_type_name": "on"}
    idempotent = True
    itemwise = True

    def __init__(self, *poison: int) -> None:
        super().__init__(*poison)
        self.documents: dict[str, Any] = {}
        self.actions: list[dict[str, Any]] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        return self._bulk(request, body, busy=False)

    def half(self, request: web.Request, body: bytes) -> web.Response:
        return self._bulk(request, body, busy=True)

    def _bulk(self, request: web.Request, body: bytes, *, busy: bool) -> web.Response:
        assert (request.method, request.path) == ("POST", "/_bulk"), request.path
        assert request.content_type == "application/x-ndjson", request.content_type
        assert body.endswith(b"\n")
        lines = body.split(b"\n")[:-1]
        assert len(lines) % 2 == 0
        items = [
            self._item(strict_json(action), strict_json(document), busy and n % 2 == 1)
            for n, (action, document) in enumerate(zip(lines[::2], lines[1::2], strict=True))
        ]
        errors = any(next(iter(item.values()))["status"] >= 300 for item in items)
        return web.json_response({"took": 1, "errors": errors, "items": items})

    def _item(self, action: dict[str, Any], document: dict[str, Any], busy: bool) -> dict[str, Any]:
        ((operation, meta),) = action.items()
        assert set(meta) <= {"_index", "_id"}, meta
        assert meta["_index"] == meta["_index"].lower()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["@timestamp"])
        answer: dict[str, Any] = {"_index": meta["_index"], "_id": meta["_id"]}
        if busy:
            error: dict[str, Any] = {"type": "es_rejected_execution_exception", "reason": "queue is full"}
            return {operation: {**answer, "status": 429, "error": error}}
        if document["n"] in self.poison:
            cause = {"type": "illegal_argument_exception", "reason": "bad"}
            error = {"type": "mapper_parsing_exception", "reason": "failed to parse field [n]", "caused_by": cause}
            return {operation: {**answer, "status": 400, "error": error}}
        if meta["_id"] in self.documents:
            error = {"type": "version_conflict_engine_exception", "reason": "document already exists"}
            return {operation: {**answer, "status": 409, "error": error}}
        self.documents[meta["_id"]] = document
        self.actions.append(action)
        self.took.append(document["n"])
        return {operation: {**answer, "status": 201, "result": "created"}}


class OpensearchSide(EsSide):
    plugin = "opensearch"


class SplunkSide(HttpSide):
    """HEC: JSON objects one after another, a token, codes ("Format events for HTTP Event Collector")."""

    plugin = "splunk"
    keys: ClassVar[dict[str, str]] = {"splunk_token": "11111111-2222"}

    def __init__(self, *poison: int) -> None:
        super().__init__(*poison)
        self.events: list[dict[str, Any]] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert request.path == "/services/collector/event", request.path
        if request.headers.get("Authorization") != "Splunk 11111111-2222":
            return web.json_response({"text": "Invalid token", "code": 4}, status=403)
        events = self._events(body)
        for found in events:
            assert set(found) <= {"time", "host", "source", "sourcetype", "index", "fields", "event"}, found
            assert isinstance(found["time"], float | int)
        for number, event in enumerate(events):
            if event["event"]["n"] in self.poison:
                answer = {"text": "bad data format", "code": 6, "invalid-event-number": number}
                return web.json_response(answer, status=400)
        self.events += events
        self.took += [event["event"]["n"] for event in events]
        return web.json_response({"text": "Success", "code": 0})

    @staticmethod
    def _events(body: bytes) -> list[dict[str, Any]]:
        events, text, at = [], body.decode(), 0
        while at < len(text):
            found, at = json.JSONDecoder(object_pairs_hook=no_repeats).raw_decode(text, at)
            events.append(found)
        return events

    def halved(self, body: bytes) -> bytes:
        events = self._events(body)
        return b"".join(json.dumps(event).encode() for event in events[: len(events) // 2])

    def busy(self) -> web.Response:
        return web.json_response({"text": "Server is busy", "code": 9}, status=503)


class LokiSide(HttpSide):
    """POST /loki/api/v1/push: streams of labels and [nanoseconds as text, line, metadata] ("Ingest logs")."""

    plugin = "loki"
    keys: ClassVar[dict[str, str]] = {"labels": "job=test"}

    def __init__(self, *poison: int) -> None:
        super().__init__(*poison)
        self.streams: list[dict[str, Any]] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.method, request.path) == ("POST", "/loki/api/v1/push")
        assert request.content_type == "application/json"
        found = strict_json(body)
        assert list(found) == ["streams"]
        lines = [self._line(*value) for stream in found["streams"] for value in self._values(stream)]
        numbers = [json.loads(line)["n"] for line in lines if line.startswith('{"n":')]
        if self.refuses(numbers):
            return web.Response(status=400, text="entry for stream '{job=\"test\"}' is bad: entry too far behind")
        self.streams += found["streams"]
        self.took += numbers
        return web.Response(status=204)

    def halved(self, body: bytes) -> bytes:
        """Of each stream; what it has it keeps, and the whole request is refused."""
        streams = [{**s, "values": s["values"][: len(s["values"]) // 2]} for s in strict_json(body)["streams"]]
        return json.dumps({"streams": streams}).encode()

    def busy(self) -> web.Response:
        return web.Response(status=429, text="ingestion rate limit exceeded for stream")

    def _values(self, stream: dict[str, Any]) -> list[list[Any]]:
        assert set(stream) == {"stream", "values"}
        assert stream["stream"], "a stream needs a label"
        assert all(re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) for name in stream["stream"]), stream["stream"]
        assert all(isinstance(value, str) for value in stream["stream"].values())
        values: list[list[Any]] = stream["values"]
        return values

    def _line(self, stamp: str, line: str, metadata: dict[str, str] | None = None) -> str:
        assert re.fullmatch(r"\d{19}", stamp), stamp
        assert all(isinstance(value, str) for value in (metadata or {}).values()), metadata
        return line


class OtlpSide(HttpSide):
    """OTLP/HTTP with protobuf, by the official messages (opentelemetry-proto)."""

    plugin = "opentelemetry"

    def __init__(self, *poison: int) -> None:
        super().__init__(*poison)
        self.records: list[Any] = []

    def take(self, request: web.Request, body: bytes) -> web.Response:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
            ExportLogsServiceRequest,
            ExportLogsServiceResponse,
        )

        assert (request.method, request.path) == ("POST", "/v1/logs")
        assert request.content_type == "application/x-protobuf"
        sent = ExportLogsServiceRequest.FromString(body)
        records = [r for logs in sent.resource_logs for scope in logs.scope_logs for r in scope.log_records]
        assert all(r.time_unix_nano and r.observed_time_unix_nano for r in records)
        numbers = [v.value.int_value for r in records for v in r.body.kvlist_value.values if v.key == "n"]
        if self.refuses(numbers):
            return web.Response(status=400, text="bad record")
        self.records += records
        self.took += numbers
        answer = ExportLogsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def halved(self, body: bytes) -> bytes | None:
        return None  # it is busy as a whole, or says what it will never take: `partial`

    def partial(self, request: web.Request, body: bytes) -> web.Response:
        from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
            ExportLogsServiceRequest,
            ExportLogsServiceResponse,
        )

        sent = ExportLogsServiceRequest.FromString(body)
        count = 0
        for scope in (scope for logs in sent.resource_logs for scope in logs.scope_logs):
            half = len(scope.log_records) // 2
            count += len(scope.log_records) - half
            del scope.log_records[half:]
        self.take(request, sent.SerializeToString())
        answer = ExportLogsServiceResponse()
        answer.partial_success.rejected_log_records = count
        answer.partial_success.error_message = "bad"
        return web.Response(body=answer.SerializeToString(), content_type="application/x-protobuf")


class WebhookSide(HttpSide):
    """Any receiver of one document a request."""

    plugin = "webhook"
    keys: ClassVar[dict[str, str]] = {"layout": '{"said": "{{ .n }}", "in": {"tag": "{{ .Tag }}"}}'}

    def where(self) -> dict[str, str]:
        return {"endpoint": f"http://127.0.0.1:{self.port}/hook?key=s3cret"}

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.method, request.path_qs) == ("POST", "/hook?key=s3cret")
        assert request.content_type == "application/json", request.content_type
        found = strict_json(body)
        assert found["in"] == {"tag": "audit"}
        if self.refuses([int(found["said"])]):
            return web.Response(status=400, text="that one is bad")
        self.took.append(int(found["said"]))
        return web.Response(status=200)

    def halved(self, body: bytes) -> bytes | None:
        return None  # a request is one document


class SlackSide(WebhookSide):
    """An incoming webhook: {"text"} ("Sending messages using incoming webhooks")."""

    plugin = "slack"
    keys: ClassVar[dict[str, str]] = {"records_per_message": "3"}

    def where(self) -> dict[str, str]:
        return {"webhook": f"http://127.0.0.1:{self.port}/services/T0/B0/s3cret"}

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.path, request.content_type) == ("/services/T0/B0/s3cret", "application/json")
        found = strict_json(body)
        assert list(found) == ["text"]
        numbers = [int(n) for n in re.findall(r'"n":(\d+)', found["text"])]
        if self.refuses(numbers):
            return web.Response(status=400, text="invalid_payload: bad")
        self.took += numbers
        return web.Response(text="ok")


class AlertmanagerSide(HttpSide):
    """POST /api/v2/alerts, by Alertmanager's openapi.yaml: `postableAlerts`; one that is bad is told with 400, and the
    others of the request are taken all the same."""

    plugin = "alertmanager"
    keys: ClassVar[dict[str, str]] = {"label": "n {{ .n }}", "alerts_per_request": "7"}
    idempotent = True

    def __init__(self, *poison: int) -> None:
        super().__init__(*poison)
        self.alerts: dict[str, dict[str, Any]] = {}

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.method, request.path) == ("POST", "/api/v2/alerts"), request.path
        assert request.content_type == "application/json", request.content_type
        bad = [alert for alert in strict_json(body) if not self._took(alert)]
        return web.Response(status=400, text=f"{len(bad)} bad alerts") if bad else web.Response(status=200)

    def _took(self, alert: dict[str, Any]) -> bool:
        assert set(alert) <= {"labels", "annotations", "startsAt", "endsAt", "generatorURL"}, alert
        assert alert["labels"]["alertname"]
        for name, value in [*alert["labels"].items(), *alert["annotations"].items()]:
            assert re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name), name
            assert isinstance(value, str), value
            assert value, name
        for key in {"startsAt", "endsAt"} & set(alert):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", alert[key]), alert[key]
        number = int(alert["labels"].get("n", -1))
        if number in self.poison:
            return False
        identity = json.dumps(alert["labels"], sort_keys=True)
        if identity not in self.alerts:
            self.took.append(number)
        self.alerts[identity] = alert
        return True


class RemoteWriteSide(HttpSide):
    """Remote-Write 1.0: snappy of a WriteRequest, read by protobuf's own library from the published schema; a sample at
    the same time and with the same value again is no second one."""

    plugin = "prometheus_remote_write"
    keys: ClassVar[dict[str, str]] = {"uri": "/api/v1/write", "add_label": "cluster shop"}
    idempotent = True

    def __init__(self, *poison: int) -> None:
        super().__init__(*poison)
        self.samples: dict[tuple[tuple[str, str], ...], list[tuple[int, float]]] = {}
        self.families: dict[str, tuple[int, str]] = {}

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        texts = [b'# TYPE records counter\nrecords{n="%d"} 1' % n for n in numbers]
        ends = array("I")
        for text in texts:
            ends.append((ends[-1] + 1 if ends else 0) + len(text))
        times = array("q", [1_700_000_000_000_000_000] * len(texts))
        return Chunk("metrics", data=b"\n".join(texts) + b"\n", ends=ends, times=times)

    def unpacked(self, request: web.Request, body: bytes) -> bytes:
        assert request.headers["Content-Encoding"] == "snappy"
        return bytes(cramjam.snappy.decompress_raw(body))

    def take(self, request: web.Request, body: bytes) -> web.Response:
        assert (request.method, request.path) == ("POST", "/api/v1/write"), request.path
        assert request.content_type == "application/x-protobuf"
        assert request.headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
        sent = remote_write_messages.WriteRequest.FromString(body)
        assert not UnknownFieldSet(sent)
        found = [self._series(series) for series in sent.timeseries]
        numbers = [int(dict(labels)["n"]) for labels, _ in found if "n" in dict(labels)]
        if self.refuses(numbers):
            return web.Response(status=400, text="out of bounds: bad")
        for labels, samples in found:
            held = self.samples.setdefault(labels, [])
            if not held:
                self.took += [int(dict(labels)["n"])] if "n" in dict(labels) else []
            held += [sample for sample in samples if sample not in held]
            assert held == sorted(held), "out of order sample"
        self.families.update({m.metric_family_name: (m.type, m.help) for m in sent.metadata})
        return web.Response(status=204)

    def halved(self, body: bytes) -> bytes:
        sent = remote_write_messages.WriteRequest.FromString(body)
        del sent.timeseries[len(sent.timeseries) // 2 :]
        return bytes(sent.SerializeToString())

    def _series(self, series: Any) -> tuple[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
        labels = tuple((label.name, label.value) for label in series.labels)
        assert [name for name, _ in labels] == sorted({name for name, _ in labels}), labels
        assert all(value for _, value in labels), labels
        assert dict(labels)["__name__"]
        assert series.samples
        return labels, [(sample.timestamp, sample.value) for sample in series.samples]


def strict_json(line: bytes) -> Any:
    """As a strict server reads it: a key that is there twice is an error."""
    return json.loads(line, object_pairs_hook=no_repeats)


def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    assert len(made) == len(pairs), f"a key twice in {pairs}"
    return made


ALL_SIDES: tuple[type[HttpSide], ...] = (
    HttpSide, EsSide, OpensearchSide, SplunkSide, LokiSide, OtlpSide, WebhookSide, SlackSide, AlertmanagerSide,
    RemoteWriteSide,
)  # fmt: skip
SIDES: dict[str, type[HttpSide]] = {side.plugin: side for side in ALL_SIDES}
