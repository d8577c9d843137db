"""Servers for configurations that name one by the variables that published ones use, where no real one can be had: each
takes requests as its protocol is published, refuses others, and writes down what it was sent."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Elasticsearch(BaseHTTPRequestHandler):
    """Bulk API: action and document by turns; an answer for each. A line is written for each pair."""

    #: where it is told to be: NAME_HOST and NAME_PORT
    variable = "FLUENT_ELASTICSEARCH"
    kept: list[str]

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["Content-Length"])).decode().split("\n")
        try:
            assert self.path == "/_bulk"
            assert self.headers["Content-Type"] == "application/x-ndjson"
            assert lines.pop() == "", "the last line has no newline"
            pairs = list(zip(lines[::2], lines[1::2], strict=True))
            for action, document in pairs:
                assert list(json.loads(action)) == ["create"]
                assert isinstance(json.loads(document), dict)
        except (AssertionError, ValueError) as e:
            self._answer(400, {"error": str(e), "status": 400})
            return
        self.kept += [f"{action} {document}" for action, document in pairs]
        items = [{"create": {"_index": "i", "_id": str(n), "status": 201}} for n, _ in enumerate(pairs)]
        self._answer(200, {"took": 1, "errors": False, "items": items})

    def _answer(self, code: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing of it belongs into the test's output."""


KNOWN = {"_bulk": Elasticsearch}


@contextlib.contextmanager
def servers(config: str, out: Path, setenv: Callable[[str, str], None]) -> Iterator[None]:
    """Those that the configuration asks for, for as long as it runs."""
    with contextlib.ExitStack() as running:
        for name, handler in KNOWN.items():
            if f"${{{handler.variable}_HOST}}" in config:
                running.enter_context(_server(handler, out / name, setenv))
        yield


@contextlib.contextmanager
def _server(handler: type[Elasticsearch], file: Path, setenv: Callable[[str, str], None]) -> Iterator[None]:
    kept: list[str] = []
    own = type(handler.__name__, (handler,), {"kept": kept})
    server = ThreadingHTTPServer(("127.0.0.1", 0), own)
    setenv(f"{handler.variable}_HOST", "127.0.0.1")
    setenv(f"{handler.variable}_PORT", str(server.server_port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        file.write_text("".join(f"{line}\n" for line in sorted(kept)))
