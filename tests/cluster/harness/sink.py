"""A receiver of audit webhook batches that keeps what arrives."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class WebhookSink:
    """Listens on a free port; `bodies` are the request bodies in order of arrival. `status` is what it answers."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.status = 200
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if sink.status == 200:
                    sink.bodies.append(body)
                self.send_response(sink.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/audit"
        threading.Thread(target=self._server.serve_forever, name="webhook sink", daemon=True).start()

    def records(self) -> list[dict[str, Any]]:
        return [item for body in list(self.bodies) for item in json.loads(body)["items"]]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
