"""The HTTP server: questions as JSON, health and metrics, and one page to ask them from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from kubewitness import __version__
from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.questions.facts import Session
from kubewitness.web.endpoints import ENDPOINTS, Endpoint
from kubewitness.web.guard import Guard
from kubewitness.web.metrics import prometheus

DEFAULT_PORT = 8420

#: Questions answered at the same time; more wait. Each holds a database connection and a thread.
CONCURRENT_QUESTIONS = 4

Sessions = Callable[[], AbstractContextManager[Session]]
Health = Callable[[], Mapping[str, object]]
#: runs one SELECT within limits and returns its rows; setting the event ends it early
Sql = Callable[[str, threading.Event], Sequence[Mapping[str, object]]]

_PAGE_FILES = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/app.css": ("app.css", "text/css"),
}


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
        self._slots = asyncio.Semaphore(CONCURRENT_QUESTIONS)
        self._guard = Guard(host, token_file)
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """The routes; for tests, and for `start`."""
        app = web.Application(middlewares=[self._guard.middleware()], client_max_size=1024 * 1024)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/api/v1/status", self._status)
        app.router.add_get("/api/v1/sql", self._run_sql)
        app.router.add_get("/api/openapi.json", self._openapi)
        for endpoint in ENDPOINTS:
            app.router.add_get(f"/api/v1/{endpoint.name}", self._asker(endpoint))
        for path in _PAGE_FILES:
            app.router.add_get(path, self._page)
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
        if self._runner is not None:
            await self._runner.cleanup()

    # --- answers -----------------------------------------------------------------------------------------------------

    def _asker(self, endpoint: Endpoint) -> Callable[[web.Request], Any]:
        known = {name for name, _ in endpoint.parameters}

        async def answer(request: web.Request) -> web.Response:
            unknown = sorted(set(request.query) - known)
            if unknown:
                return _error(f"unknown parameter {unknown[0]!r}; known: {', '.join(sorted(known))}", 400)
            params = {name: request.query.getall(name) for name in request.query}
            async with self._slots:
                return await asyncio.to_thread(self._answered, endpoint, params)

        return answer

    async def _run_sql(self, request: web.Request) -> web.Response:
        """One SELECT. When the caller goes away, the query ends."""
        query = request.query.get("query", "")
        if not query or set(request.query) != {"query"}:
            return _error("give one SELECT as parameter 'query', and nothing else", 400)
        gone = threading.Event()
        async with self._slots:
            try:
                rows = await asyncio.to_thread(self._sql, query, gone)
            except asyncio.CancelledError:
                gone.set()
                raise
            except UsageError as e:
                return _error(str(e), 400)
            except KubewitnessError as e:
                return _error(str(e), 503)
        return _json(rows)

    def _answered(self, endpoint: Endpoint, params: Mapping[str, list[str]]) -> web.Response:
        try:
            with self._sessions() as session:
                return _json(endpoint.ask(session, params))
        except UsageError as e:
            return _error(str(e), 400)
        except KubewitnessError as e:
            return _error(str(e), 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(await asyncio.to_thread(self._health))

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
        return _json(openapi())

    async def _page(self, request: web.Request) -> web.Response:
        name, kind = _PAGE_FILES[request.path]
        text = (files("kubewitness.web") / "page" / name).read_text("utf-8")
        return web.Response(text=text, content_type=kind, charset="utf-8")


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _error(message: str, status: int) -> web.Response:
    return _json({"error": message}, status)


def openapi() -> dict[str, Any]:
    """The API's description, OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        parameters = [
            {
                "name": name,
                "in": "query",
                "description": text,
                "required": name == "object",
                "schema": {"type": "string"},
            }
            for name, text in endpoint.parameters
        ]
        paths[f"/api/v1/{endpoint.name}"] = _operation(endpoint.name, endpoint.summary, parameters)
    query = {"name": "query", "in": "query", "required": True, "schema": {"type": "string"}}
    paths["/api/v1/sql"] = _operation("sql", "One SELECT over the store's views", [query])
    paths["/api/v1/status"] = _operation("status", "What is being recorded, lag, drops, sizes", [])
    return {"openapi": "3.1.0", "info": {"title": "kubewitness", "version": __version__}, "paths": paths}


def _operation(name: str, summary: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    responses = {
        "200": {"description": "the answer", "content": {"application/json": {}}},
        "400": {"description": "the question cannot be understood; `error` says why"},
        "503": {"description": "the state or store cannot be used; `error` says why"},
    }
    return {"get": {"operationId": name, "summary": summary, "parameters": parameters, "responses": responses}}
