"""The HTTP server: questions as JSON, what arrives as a stream, health and metrics, and one page to ask them from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from kubewitness import manifests
from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.formats.plain import plain
from kubewitness.web import openapi, pages, sending
from kubewitness.web.asking import Page
from kubewitness.web.endpoints import ENDPOINTS, Endpoint
from kubewitness.web.guard import Guard, Handler
from kubewitness.web.metrics import prometheus
from kubewitness.web.others import DEPLOY, OTHERS, SqlAnswer, SqlColumn, SqlQuestion
from kubewitness.web.params import check, one
from kubewitness.web.running import Questions, Sessions
from kubewitness.web.sending import body_of, json
from kubewitness.web.tailing import Tails

DEFAULT_PORT = 8420

Health = Callable[[], Mapping[str, object]]


class SqlResult(Protocol):
    """What a SELECT gave; `truncated`: not all of it."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    truncated: bool


#: runs one SELECT within limits; setting the event ends it early
Sql = Callable[[str, threading.Event], SqlResult]


class Server:
    """Serves one state. `sessions` opens a session on the store, `health` says how the process and its parts are."""

    def __init__(
        self,
        sessions: Sessions,
        health: Health,
        sql: Sql,
        *,
        host: str,
        port: int,
        token_file: Path | None = None,
        not_ready: Callable[[], str] | None = None,
    ) -> None:
        """`not_ready`: why another replica should be asked instead; "" when there is no reason."""
        self._sessions = sessions
        self._sql = sql
        self._health = health
        self._not_ready = not_ready
        self._host, self._port = host, port
        self._questions = Questions()
        self._tails = Tails(self._questions)
        self._guard = Guard(host, token_file)
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """The routes; for tests, and for `start`."""
        app = web.Application(middlewares=[self._guard.middleware(), sending.middleware], client_max_size=1024 * 1024)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/status", self._status)
        app.router.add_get("/api/v1/sql", self._run_sql)
        app.router.add_post("/api/v1/sql", self._post_sql)
        app.router.add_get("/api/v1/tail", self._tail)
        app.router.add_get("/api/v1/deploy", self._deploy)
        app.router.add_get("/api/openapi.json", self._openapi)
        for endpoint in ENDPOINTS:
            app.router.add_get(f"/api/v1/{endpoint.name}", self._asker(endpoint))
        pages.add_routes(app)
        return app

    async def start(self) -> str:
        """Listens; returns the address to open. Raises `UsageError` when the port is taken."""
        self._runner = web.AppRunner(
            self.application(), access_log=None, handle_signals=False, handler_cancellation=True, shutdown_timeout=2
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as e:
            await self._runner.cleanup()
            raise UsageError(
                f"cannot listen on {self._host}:{self._port}: {e.strerror}; choose another with --listen"
            ) from e
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    async def stop(self) -> None:
        await self._tails.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._questions.close()

    # --- answers -----------------------------------------------------------------------------------------------------

    def _asker(self, endpoint: Endpoint) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            params = _params(request)
            check(endpoint.parameters, params)
            found = await self._questions.ask(self._sessions, lambda session: endpoint.ask(session, params))
            return _page_of(request, found) if isinstance(found, Page) else json(found)

        return answer

    async def _run_sql(self, request: web.Request) -> web.StreamResponse:
        """One SELECT. When the caller goes away, the query ends."""
        query = request.query.get("query", "")
        if not query or set(request.query) != {"query"}:
            raise UsageError("give one SELECT as parameter 'query', and nothing else")
        found = await self._questions.sql(lambda stop: self._sql(query, stop))
        response = json([dict(zip(found.columns, map(plain, row), strict=True)) for row in found.rows])
        return sending.with_more(response, more=found.truncated)

    async def _post_sql(self, request: web.Request) -> web.StreamResponse:
        """The same, with the columns' types, and whether there is more."""
        asked = await body_of(request, SqlQuestion)
        found = await self._questions.sql(lambda stop: self._sql(asked.query, stop))
        columns = [SqlColumn(name, kind) for name, kind in zip(found.columns, found.types, strict=True)]
        return json(SqlAnswer(columns, [[plain(v) for v in row] for row in found.rows], found.truncated))

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        return await self._tails.follow(request, _params(request), lambda: self._sessions)

    async def _deploy(self, request: web.Request) -> web.StreamResponse:
        """What `kubewitness deploy PART` prints; without a part, which there are."""
        params = _params(request)
        check(DEPLOY, params)
        part = one(params, "for")
        if not part:
            return json([{"name": name, "title": title} for name, title in manifests.PARTS.items()])
        return web.Response(text=manifests.example(part), content_type="text/plain")

    async def _status(self, request: web.Request) -> web.StreamResponse:
        check((), _params(request))
        return json({**await asyncio.to_thread(self._health), "following": self._tails.clients})

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = prometheus(await asyncio.to_thread(self._health))
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        """Ready when the store can be asked, and no other replica is the leader."""

        def look() -> str:
            try:
                with self._sessions() as session:
                    session.query("SELECT 1")
            except KubewitnessError as e:
                return str(e)
            return ""

        why = self._not_ready() if self._not_ready is not None else ""
        why = why or await asyncio.to_thread(look)
        return web.Response(text=f"{why or 'ok'}\n", status=503 if why else 200)

    async def _openapi(self, _request: web.Request) -> web.Response:
        return json(openapi.describe(*OTHERS))


def _params(request: web.Request) -> dict[str, list[str]]:
    return {name: request.query.getall(name) for name in request.query}


def _page_of(request: web.Request, page: Page) -> web.StreamResponse:
    """A list, as it always was; where it goes on is in the headers (RFC 8288)."""
    response = json(page.rows)
    if page.next is not None:
        onward = request.rel_url.update_query(cursor=page.next)
        response.headers["Link"] = f'<{onward}>; rel="next"'
        response.headers["X-Kubewitness-Next"] = page.next
    return sending.with_more(response, more=page.next is not None)
