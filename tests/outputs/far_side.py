"""Far sides of outputs over HTTP: small strict servers that check what they are sent against the published protocol,
remember what they took, and fail on order."""

from __future__ import annotations

import asyncio
import gzip
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Self

import zstandard
from aiohttp import web

#: what a far side may be told to do with a request, instead of or after what it was asked for
Fault = Callable[["FarSide", web.Request, bytes], Any]


class FarSide(ABC):
    """Subclasses say what a body means: `take` returns the answer, and puts the numbers of records into `took`."""

    def __init__(self, *poison: int) -> None:
        #: `n` of each record taken, in order, as often as it came
        self.took: list[int] = []
        #: what was wrong with requests, for the test to fail with
        self.wrong: list[str] = []
        #: done to the next requests, one each
        self.faults: deque[str] = deque()
        self.requests: list[web.Request] = []
        self.poison = set(poison)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port: int = s.getsockname()[1]
        self._runner: web.AppRunner | None = None

    async def start(self, ssl_context: Any = None) -> None:
        app = web.Application(client_max_size=100 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=ssl_context, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.read()
        fault = self.faults.popleft() if self.faults else ""
        if fault == "slow":
            await asyncio.sleep(5)
        if fault == "500":
            return web.Response(status=500, text="internal error")
        if fault == "429":
            return web.Response(status=429, headers={"Retry-After": "0"}, text="slow down")
        try:
            plain = self.unpacked(request, body)
            answer = self.half(request, plain) if fault == "half" else None
            answer = answer or (self.partial(request, plain) if fault == "partial" else None)
            answer = answer or self.take(request, plain)
        except (AssertionError, KeyError, ValueError, TypeError, IndexError) as e:
            self.wrong.append(f"{type(e).__name__}: {e}")
            return web.Response(status=400, text=f"bad request: {e}")
        return await self._cut(request, answer) if fault == "cut" else answer

    async def _cut(self, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """Took it, and hangs up in the middle of the answer."""
        response = web.StreamResponse(status=answer.status)
        response.content_length = 1000
        await response.prepare(request)
        await response.write(b"x")
        assert request.transport is not None
        request.transport.abort()
        return response

    # --- of a protocol -----------------------------------------------------------------------------------------------

    @abstractmethod
    def take(self, request: web.Request, body: bytes) -> web.Response:
        """Checks a body and takes its records. AssertionError, KeyError, ValueError: it is not as published."""

    def half(self, request: web.Request, body: bytes) -> web.Response | None:
        """Takes half of it and says so, where the protocol can, else that it was busy."""
        half = self.halved(body)
        if half is None:
            return None
        self.take(request, half)
        return self.busy()

    def halved(self, body: bytes) -> bytes | None:
        """A body of the first half of the records, where a request has several."""
        return None

    def busy(self) -> web.Response:
        """What it says when it has not taken all of it."""
        return web.Response(status=500, text="internal error")

    def partial(self, request: web.Request, body: bytes) -> web.Response | None:
        """Takes half of it and will never take the other, where the protocol can say so."""
        return None

    def unpacked(self, request: web.Request, body: bytes) -> bytes:
        return _unpacked(request, body)

    def refuses(self, numbers: list[int]) -> bool:
        return any(n in self.poison for n in numbers)


def _unpacked(request: web.Request, body: bytes) -> bytes:
    encoding = request.headers.get("Content-Encoding", "")
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 27)
    assert not encoding, encoding
    return body
