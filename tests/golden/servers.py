"""Servers for configurations that name one by the variables that published ones use, where no real one can be had: each
takes requests as its protocol is published, refuses others, and writes down what it was sent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import cramjam
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from tests.outputs.remote_write_messages import WriteRequest


class Server(BaseHTTPRequestHandler):
    """Each kind keeps lines of text."""

    #: where it is told to be: NAME_HOST and NAME_PORT
    variable: str
    kept: list[str]
    #: what is in /var when it begins
    place: Path
    stopped: threading.Event

    def body(self, path: str, content_type: str) -> bytes:
        """Of a request to this path. AssertionError for any other one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == path, self.path
        assert self.headers["Content-Type"] == content_type, self.headers["Content-Type"]
        return body

    def answer(self, code: int, body: object, content_type: str = "application/json") -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing of it belongs into the test's output."""


class Elasticsearch(Server):
    """Bulk API: action and document by turns; an answer for each. A line is written for each pair."""

    variable = "FLUENT_ELASTICSEARCH"

    def do_POST(self) -> None:
        try:
            lines = self.body("/_bulk", "application/x-ndjson").decode().split("\n")
            assert lines.pop() == "", "the last line has no newline"
            pairs = list(zip(lines[::2], lines[1::2], strict=True))
            for action, document in pairs:
                assert list(json.loads(action)) == ["create"]
                assert isinstance(json.loads(document), dict)
        except (AssertionError, ValueError) as e:
            self.answer(400, {"error": str(e), "status": 400})
            return
        self.kept += [f"{action} {document}" for action, document in pairs]
        items = [{"create": {"_index": "i", "_id": str(n), "status": 201}} for n, _ in enumerate(pairs)]
        self.answer(200, {"took": 1, "errors": False, "items": items})


class Loki(Server):
    """Push API, JSON: a line is written for each entry, its stream's labels and its nanoseconds before it."""

    variable = "LOKI"

    def do_POST(self) -> None:
        try:
            found = json.loads(self.body("/loki/api/v1/push", "application/json"))
            for stream in found["streams"]:
                labels = json.dumps(stream["stream"], sort_keys=True)
                self.kept += [f"{labels} {stamp} {line}" for stamp, line in stream["values"]]
        except (AssertionError, ValueError, KeyError) as e:
            self.answer(400, str(e).encode(), "text/plain")
            return
        self.answer(204, b"")


class Collector(Server):
    """OTLP/HTTP, read by the official messages: a line for each log record, its nanoseconds before its body."""

    variable = "OTEL_COLLECTOR"

    def do_POST(self) -> None:
        try:
            found = ExportLogsServiceRequest.FromString(self.body("/v1/logs", "application/x-protobuf"))
        except (AssertionError, ValueError) as e:
            self.answer(400, str(e).encode(), "text/plain")
            return
        for resource in found.resource_logs:
            for scope in resource.scope_logs:
                self.kept += [f"{r.time_unix_nano} {json.dumps(_plain(r.body))}" for r in scope.log_records]
        self.answer(200, ExportLogsServiceResponse().SerializeToString(), "application/x-protobuf")


def _plain(value: Any) -> Any:
    """An AnyValue as JSON has it."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


class Prometheus(Server):
    """Remote-Write 1.0: the last value of each series of filters is written; the pipeline's own are never the same."""

    variable = "PROMETHEUS"

    def do_POST(self) -> None:
        try:
            packed = self.body("/api/v1/write", "application/x-protobuf")
            found = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(packed)))
        except (AssertionError, ValueError) as e:
            self.answer(400, str(e).encode(), "text/plain")
            return
        for series in found.timeseries:
            labels = {label.name: label.value for label in series.labels}
            name = labels.pop("__name__")
            if name.startswith("log_metric_"):
                shown = f"{name} {json.dumps(labels)}"
                self.kept[:] = [line for line in self.kept if not line.startswith(f"{shown} ")]
                self.kept.append(f"{shown} {series.samples[-1].value:g}")
        self.answer(204, b"")


class ApiServer(Server):
    """Kubernetes' API for Events: /var/api/events.jsonl is there at the beginning, /var/api/changes.jsonl happens while
    it is watched; when all was sent on, the pipeline is asked to end, as it does not by itself."""

    variable = "KUBERNETES_SERVICE"
    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[list[str]]] = []

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/api/v1/namespaces/kube-system":
            self.answer(200, {"metadata": {"uid": "cluster-1"}})
        elif path != "/api/v1/events":
            self.answer(404, {"kind": "Status", "code": 404})
        elif "watch=" in query:
            self._watch()
        else:
            items = ",".join((self.place / "api" / "events.jsonl").read_text().splitlines())
            head = '{"kind":"EventList","apiVersion":"v1","metadata":{"resourceVersion":"100"},"items":['
            self.answer(200, f"{head}{items}]}}".encode())

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write((self.place / "api" / "changes.jsonl").read_bytes())
        self.wfile.flush()
        wanted = sum(
            len((self.place / "api" / name).read_text().splitlines()) for name in ("events.jsonl", "changes.jsonl")
        )
        while not self.stopped.wait(0.05):
            if sum(map(len, self.seen)) >= wanted:
                os.kill(os.getpid(), signal.SIGTERM)
                break


#: by the name of the file that they write; "" for none
KNOWN: tuple[tuple[str, type[Server]], ...] = (
    ("_bulk", Elasticsearch), ("push", Loki), ("logs", Collector), ("write", Prometheus), ("", ApiServer),
)  # fmt: skip


@contextlib.contextmanager
def servers(config: str, out: Path, setenv: Callable[[str, str], None]) -> Iterator[None]:
    """Those that the configuration asks for, for as long as it runs."""
    with contextlib.ExitStack() as running:
        for name, handler in KNOWN:
            if f"${{{handler.variable}_HOST}}" in config:
                running.enter_context(_server(handler, out / name if name else None, out.parent, setenv))
        yield


@contextlib.contextmanager
def _server(
    handler: type[Server], file: Path | None, place: Path, setenv: Callable[[str, str], None]
) -> Iterator[None]:
    kept: list[str] = []
    stopped = threading.Event()
    own = type(handler.__name__, (handler,), {"kept": kept, "place": place, "stopped": stopped})
    ApiServer.seen.append(kept)
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    setenv(f"{handler.variable}_HOST", "127.0.0.1")
    setenv(f"{handler.variable}_PORT", str(server.server_port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        ApiServer.seen.remove(kept)
        server.shutdown()
        thread.join()
        server.server_close()
        if file is not None:
            file.write_text("".join(f"{line}\n" for line in sorted(kept)))
