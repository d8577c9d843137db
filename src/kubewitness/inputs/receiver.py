"""The HTTP side of all inputs that are sent to: who may send, how much, how long it may take; TLS with files that are
replaced.

A client that is slow, hangs, or sends more than agreed costs others nothing: connections are counted, headers and
bodies have their time, and the bodies in flight share one budget of memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from kubewitness.formats.names import CLUSTER_NAME
from kubewitness.inputs.budget import Budget
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.listener import Listener
from kubewitness.inputs.server_tls import names_of
from kubewitness.inputs.sockets import Closed, Sockets

_log = logging.getLogger(__name__)

RETRY_AFTER = "5"
#: what a body without a length is first granted, and then again and again (bytes)
_STEP = 1024 * 1024
#: seconds between two looks at connections and files
_LOOK = 0.5
#: seconds in which what is left of a refused body is read and thrown away, so that its sender gets to the answer
_LINGER = 1.0


class Body:
    """A request's body, and the memory that is set aside for it. Given back by the receiver."""

    def __init__(self, budget: Budget, held: int) -> None:
        self._budget = budget
        self.held = min(held, budget.limit)
        self.data = b""

    def grow(self, size: int) -> bool:
        """Whether there is room for so many bytes in all."""
        more = size - self.held
        if more <= 0:
            return True
        if not self._budget.extend(more):
            return False
        self.held += more
        return True


#: whom a path names (a cluster, a tag), or why it names nobody
Named = Callable[[web.Request], str | web.Response]
#: (whom the path names, body, request) -> answer
Handle = Callable[[str, Body, web.Request], Awaitable[web.Response]]


def clusters(default: str) -> Named:
    """The path of a webhook is for the cluster `default`, and what is below it for the cluster of that name."""

    def named(request: web.Request) -> str | web.Response:
        cluster = request.match_info.get("below") or default
        if CLUSTER_NAME.fullmatch(cluster):
            return cluster
        return web.Response(status=404, text="this cannot be a cluster's name: letters, digits, '.', '_', '-'\n")

    return named


class Receiver:
    """Serves POST on a path and below it until cancelled. `advice`: what to do about bodies that are too large.
    `alive`: path of the answer to probes; "": there is none."""

    def __init__(
        self, what: str, listener: Listener, named: Named, handle: Handle, *, advice: str = "", alive: str = "/healthz"
    ) -> None:
        self.what = what
        self.listener = listener
        self._named = named
        self._handle = handle
        self._advice = advice
        self._alive = alive
        self._sockets = Sockets(what, listener.address, listener.tls, handshake_seconds=listener.header_seconds)
        self._refusals = Incident(_log)
        self.budget = Budget(max(listener.total_limit, listener.body_limit))
        self.counts = {
            "requests": 0,
            "refused_large": 0,
            "refused_memory": 0,
            "refused_unauthorized": 0,
            "refused_slow": 0,
            "refused_connections": 0,
            "broken_off": 0,
        }
        self._server: web.Server | None = None
        self._reading: set[_Reading] = set()
        #: when each connection came that has not made its first request yet
        self._silent: dict[web.RequestHandler, float] = {}

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self._sockets.port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.connections) if self._server is not None else 0

    async def run(self) -> None:
        """Listens until cancelled. Raises UsageError when it cannot listen there."""
        listener = self.listener
        app = web.Application(client_max_size=listener.body_limit)
        for path in (listener.path, listener.path.rstrip("/") + "/{below:.*}"):
            app.router.add_route("POST", path, self._receive, expect_handler=self._expect)
        if self._alive:
            app.router.add_get(self._alive, _alive)
        # gzip is taken off by the handler: what aiohttp cannot decompress it would answer by itself, unrecorded
        runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,
            handle_signals=False,
            keepalive_timeout=listener.keep_seconds,
            lingering_time=_LINGER,
        )
        await runner.setup()
        assert runner.server is not None
        server = self._server = runner.server
        try:
            await self._sockets.open(lambda: self._connection(server))
            while True:
                await asyncio.sleep(_LOOK)
                self._drop_the_silent(server)
                self._stop_the_slow()
                await self._sockets.renew(lambda: self._connection(server))
        finally:
            self._sockets.close()
            await runner.cleanup()
            self._server = None

    def _connection(self, server: web.Server) -> asyncio.Protocol:
        if len(server.connections) >= self.listener.connections:
            self.counts["refused_connections"] += 1
            self._refusals.report(f"{self.what}: {self.listener.connections} connections are open; no more now")
            return Closed()
        handler: web.RequestHandler = server()
        self._silent[handler] = time.monotonic()
        return handler

    def _drop_the_silent(self, server: web.Server) -> None:
        """aiohttp ends connections that idle between requests; those that never finish their first header it keeps."""
        limit = time.monotonic() - self.listener.header_seconds
        for handler, since in list(self._silent.items()):
            if since < limit:
                del self._silent[handler]
                if handler in server.connections:
                    self.counts["refused_slow"] += 1
                    handler.force_close()

    def _stop_the_slow(self) -> None:
        """One look at all bodies that are being read costs less than a timer for each part of them."""
        now = time.monotonic()
        for reading in self._reading:
            if reading.size != reading.seen:
                reading.seen, reading.moved = reading.size, now
            late = now - reading.began > self.listener.body_seconds or now - reading.moved > self.listener.idle_seconds
            if late and reading.limit.when() is None:
                reading.limit.reschedule(asyncio.get_running_loop().time())

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _expect(self, request: web.Request) -> web.Response | None:
        """Who asks first whether to send (`Expect: 100-continue`) is not told to send what is refused."""
        refused = self._refused(request)
        if refused is not None:
            self.counts["requests"] += 1
        elif request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun
        return refused

    async def _receive(self, request: web.Request) -> web.Response:
        self.counts["requests"] += 1
        if (refused := self._refused(request)) is not None:
            return refused
        name = self._named(request)
        if isinstance(name, web.Response):
            return name
        size = request.content_length
        granted = _STEP if size is None else size
        if not await self.budget.reserve(granted, self.listener.room_seconds):
            return self.no_memory()
        body = Body(self.budget, granted)
        try:
            refused = await self._read(request, body)
            return refused or await self._handle(name, body, request)
        finally:
            self.budget.release(body.held)

    def _refused(self, request: web.Request) -> web.Response | None:
        """What can be said before there is a body."""
        self._silent.pop(request.protocol, None)
        refusal = self._refusal(request)
        if refusal:
            self.counts["refused_unauthorized"] += 1
            return web.Response(status=401, text=refusal)
        size = request.content_length
        if size is not None and size > self.listener.body_limit:
            return self.too_large(request)
        return None

    async def _read(self, request: web.Request, body: Body) -> web.Response | None:
        """Fills the body. A response when it cannot be had."""
        parts: list[bytes] = []
        size = 0
        reading = _Reading(asyncio.timeout(None), time.monotonic())
        try:
            async with reading.limit:
                self._reading.add(reading)
                while part := await request.content.readany():
                    size += len(part)
                    reading.size = size
                    if size > self.listener.body_limit:
                        return self.too_large(request)
                    if size > body.held and not body.grow(max(size, body.held + _STEP)):
                        return self.no_memory()
                    parts.append(part)
        except TimeoutError:
            self.counts["refused_slow"] += 1
            self._refusals.report(f"{self.what}: {request.remote} did not send its body in time")
            answer = web.Response(status=408, text="the body did not come in time\n")
            answer.force_close()
            return answer
        except (OSError, web.RequestPayloadError):
            # nobody is there to read the answer
            self.counts["broken_off"] += 1
            return web.Response(status=400, text="the body ended early\n")
        finally:
            self._reading.discard(reading)
        body.data = parts[0] if len(parts) == 1 else b"".join(parts)
        return None

    def _refusal(self, request: web.Request) -> str:
        """Why this client may not send; "" when it may."""
        names = self.listener.client_names
        if names and not names & names_of(request.get_extra_info("peercert") or {}):
            return "the client certificate names nobody who may send here\n"
        if not self.listener.token_file:
            return ""
        token = b""
        with contextlib.suppress(OSError):
            token = Path(self.listener.token_file).read_bytes().strip()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if token and hmac.compare_digest(given, b"Bearer " + token):
            return ""
        return "the bearer token is missing or wrong\n"

    # --- refusals ----------------------------------------------------------------------------------------------------

    def too_large(self, request: web.Request) -> web.Response:
        self.counts["refused_large"] += 1
        limit = self.listener.body_limit
        self._refusals.report(
            f"{self.what}: a body from {request.remote} is larger than {limit} bytes and is refused: raise "
            f"buffer_max_size{self._advice}"
        )
        return web.Response(status=413, text=f"larger than {limit} bytes\n")

    def no_memory(self) -> web.Response:
        self.counts["refused_memory"] += 1
        held = self.budget.used / 1e6
        self._refusals.report(f"{self.what}: {held:.0f} MB are in flight; who comes now is told to come again")
        return web.Response(status=503, headers={"Retry-After": RETRY_AFTER}, text="too much in flight; come again\n")


class _Reading:
    """A body on its way."""

    def __init__(self, limit: asyncio.Timeout, now: float) -> None:
        self.limit = limit
        self.began = self.moved = now
        self.size = self.seen = 0


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
