"""What a pipeline tells about itself over HTTP: probes and metrics (`http_server on`).

A handful of fixed answers, one per connection: the web server of `serve` costs 60 MB, which an agent on each node
should not. Nothing but numbers, names and error texts is shown; no record, no credential. The paths of Fluent Bit's
monitoring port are `fluent_bit_api`'s.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping

from kubewitness.errors import UsageError
from kubewitness.web.fluent_bit_api import JSON, PROMETHEUS, TEXT, Answer, FluentBitApi
from kubewitness.web.metrics import prometheus

#: a request's head may be so large and take so long
_HEAD = 8 * 1024
#: and what comes after it, which nobody reads
_BODY = 64 * 1024
_SECONDS = 5.0


class Monitor:
    """`health`: of the supervisor, {"healthy": bool, ...}. `metrics`: further ones, as Prometheus text; `decorate`
    changes all of that text before it is shown. `api`: answers its own paths first."""

    def __init__(
        self,
        host: str,
        port: int,
        health: Callable[[], Mapping[str, object]],
        metrics: Callable[[], str] = str,
        decorate: Callable[[str], str] = str,
        api: FluentBitApi | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._health = health
        self._metrics = metrics
        self._decorate = decorate
        self._api = api
        self._started = time.monotonic()

    async def run(self) -> None:
        """Answers until cancelled. Raises UsageError when the address cannot be had."""
        try:
            server = await self.listen()
        except OSError as e:
            raise UsageError(f"service: http_listen {self._host}, http_port {self._port}: {e.strerror}") from e
        async with server:
            await server.serve_forever()

    async def listen(self) -> asyncio.Server:
        """Answers until it is closed. OSError when the address cannot be had."""
        return await asyncio.start_server(self._serve, self._host, self._port, limit=_HEAD)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
                if (length := _length(head)) > 0:  # else the client may not see the answer
                    await reader.readexactly(min(length, _BODY))
                status, kind, body = self._answer(method, target.partition("?")[0])
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                    f"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n".encode()
                    + (body if method != "HEAD" else b"")
                )
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that says nothing sensible gets no answer
        finally:
            writer.close()

    def _answer(self, method: str, path: str) -> Answer:
        found = self._api.answer(method, path) if self._api is not None else None
        if found is not None:
            return found
        if method not in ("GET", "HEAD"):
            return Answer("405 Method Not Allowed", TEXT, b"GET only\n")
        if path == "/healthz":
            return Answer("200 OK", TEXT, b"ok\n")
        health = self._health()
        if path in ("/readyz", "/api/v1/health"):
            healthy = bool(health["healthy"])
            return Answer("200 OK" if healthy else "503 Service Unavailable", TEXT, b"ok\n" if healthy else b"error\n")
        if path in ("/metrics", "/api/v1/metrics/prometheus"):
            shown = self._decorate(prometheus({"pipeline": health}) + self._metrics())
            return Answer("200 OK", PROMETHEUS, shown.encode())
        if path == "/api/v1/uptime":
            return Answer("200 OK", JSON, json.dumps({"uptime_sec": int(time.monotonic() - self._started)}).encode())
        if path in ("/api/v1/metrics", "/api/v1/status"):
            return Answer("200 OK", JSON, json.dumps(health, default=str).encode())
        more = self._api.paths if self._api is not None else ["/metrics", "/api/v1/{health,metrics,uptime}"]
        return Answer("404 Not Found", TEXT, f"there is {', '.join(['/healthz', '/readyz', *more])}\n".encode())


def _length(head: bytes) -> int:
    """Bytes of the body that a request says it has."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0
