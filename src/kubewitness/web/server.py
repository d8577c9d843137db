"""The HTTP server: questions as JSON, what arrives as a stream, health and metrics, and one page to ask them from."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from kubewitness import manifests
from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.formats.plain import plain
from kubewitness.formats.scope import Scope
from kubewitness.inputs.server_tls import TlsFiles
from kubewitness.questions import board
from kubewitness.questions.coverage import clusters
from kubewitness.web import openapi, pages, sending
from kubewitness.web.accesslog import ASKED, AccessLog
from kubewitness.web.asking import Page
from kubewitness.web.browsers import Browsers
from kubewitness.web.endpoints import ENDPOINTS, Endpoint
from kubewitness.web.guard import Guard, Handler, identity_of
from kubewitness.web.hiding import marked, with_hidden
from kubewitness.web.identity import Identity, Login, NoLogin, TokenLogin
from kubewitness.web.listening import KEEP, Listening
from kubewitness.web.logins import Logins
from kubewitness.web.metrics import prometheus
from kubewitness.web.others import DEPLOY, OTHERS, SQL, SqlAnswer, SqlColumn, SqlQuestion
from kubewitness.web.params import check, needed, one
from kubewitness.web.running import Abandoned, OpenSession, Questions, Sessions
from kubewitness.web.sending import body_of, json
from kubewitness.web.tailing import Tails

DEFAULT_PORT = 8420
#: seconds between two looks at what is kept of large files
_WARM_SECONDS = 60.0
#: and before the first: who opens the page at once is answered first
_WARM_AFTER = 2.0
#: bytes of a request's first line: 200 keys of `states`
_LONGEST_LINE = 32 * 1024

Health = Callable[[], Mapping[str, object]]
#: opens a session on what a scope lets through (None: everything)
Scoped = Callable[[Scope | None], contextlib.AbstractContextManager[OpenSession]]


class SqlResult(Protocol):
    """What a SELECT gave; `truncated`: not all of it."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]
    truncated: bool


#: runs one SELECT within limits, over what a scope lets through; setting the event ends it early
Sql = Callable[[str, threading.Event, Scope | None], SqlResult]


class Server:
    """Serves one state. `sessions` opens a session on the store, `health` says how the process and its parts are."""

    def __init__(
        self,
        sessions: Scoped,
        health: Health,
        sql: Sql,
        *,
        host: str,
        port: int,
        token_file: Path | None = None,
        login: Login | None = None,
        access_log: AccessLog | None = None,
        not_ready: Callable[[], str] | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        """`login`: who may ask (default: who shows the token of `token_file`, else whoever is on this machine).
        `not_ready`: why another replica should be asked instead; "" when there is no reason."""
        self._sessions = sessions
        self._sql = sql
        self._health = health
        self._not_ready = not_ready
        self._listening = Listening(host, port, tls or TlsFiles())
        self._questions = Questions()
        self._tails = Tails(self._questions)
        self._login = login or (TokenLogin(token_file) if token_file is not None else NoLogin())
        self._browsers = Browsers()
        self._guard = Guard(host, self._login, self._browsers)
        self._logins = Logins(self._login, self._guard, self._browsers, self._clusters)
        self._log = access_log
        self._runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """The routes; for tests, and for `start`."""
        log = [self._log.middleware()] if self._log is not None else []
        middlewares = [self._listening.middleware(), *log, self._guard.middleware(), sending.middleware]
        app = web.Application(middlewares=middlewares, client_max_size=1024 * 1024)
        app.on_response_prepare.append(Guard.add_headers)
        app.router.add_get("/api/v1/session", self._logins.session)
        app.router.add_post("/api/v1/login", self._logins.login)
        app.router.add_post("/api/v1/logout", self._logins.logout)
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
        """Listens; returns the address to open. Raises `UsageError` when it cannot be listened there, or with
        these TLS files."""
        self._runner = web.AppRunner(
            self.application(),
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=2,
            keepalive_timeout=KEEP,
            max_line_size=_LONGEST_LINE,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        try:
            return await self._listening.open(self._runner.server)
        except UsageError:
            await self._runner.cleanup()
            raise

    async def warm(self) -> None:
        """Makes what is kept of large files, and again of those that come, until cancelled. The store is opened at
        once."""
        with contextlib.suppress(KubewitnessError):
            await self._questions.ask(lambda: self._sessions(None), clusters)
        await asyncio.sleep(_WARM_AFTER)
        while True:
            try:
                await self._questions.ask(lambda: self._sessions(None), board.prepare)
            except Abandoned:  # too long for one question: what is made of it is kept
                await asyncio.sleep(0.1)
                continue
            except KubewitnessError:
                pass
            await asyncio.sleep(_WARM_SECONDS)

    async def stop(self) -> None:
        await self._listening.close()
        await self._tails.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._questions.close()
        await self._login.close()
        if self._log is not None:
            self._log.close()

    # --- answers -----------------------------------------------------------------------------------------------------

    def _asker(self, endpoint: Endpoint) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            params = _params(request)
            check(endpoint.parameters, params)
            asker = identity_of(request)
            ask = self._questions.ask(self._of(asker), lambda session: endpoint.ask(session, params), _from(request))
            found = await ask
            response = _page_of(request, found) if isinstance(found, Page) else json(with_hidden(found, asker))
            return marked(response, asker)

        return answer

    def _of(self, asker: Identity) -> Sessions:
        """Sessions on what somebody may see."""
        return lambda: self._sessions(asker.scope)

    async def _run_sql(self, request: web.Request) -> web.StreamResponse:
        """One SELECT. When the caller goes away, the query ends."""
        params = _params(request)
        check(SQL, params)
        query, asker = needed(params, "query", "one SELECT"), identity_of(request)
        found = await self._questions.sql(lambda stop: self._sql(query, stop, asker.scope), _from(request))
        response = json([dict(zip(found.columns, map(plain, row), strict=True)) for row in found.rows])
        return marked(sending.with_more(response, more=found.truncated), asker)

    async def _post_sql(self, request: web.Request) -> web.StreamResponse:
        """The same, with the columns' types, and whether there is more."""
        asked, asker = await body_of(request, SqlQuestion), identity_of(request)
        request[ASKED] = asked.query
        found = await self._questions.sql(lambda stop: self._sql(asked.query, stop, asker.scope), _from(request))
        columns = [SqlColumn(name, kind) for name, kind in zip(found.columns, found.types, strict=True)]
        answer = SqlAnswer(columns, [[plain(v) for v in row] for row in found.rows], found.truncated)
        return marked(json(answer), asker)

    async def _tail(self, request: web.Request) -> web.StreamResponse:
        async def sessions() -> Sessions:
            return self._of(await self._guard.identify(request))

        return await self._tails.follow(request, _params(request), sessions, identity_of(request).user)

    async def _clusters(self, asker: Identity) -> list[str]:
        return await self._questions.ask(self._of(asker), clusters)

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
        health = await asyncio.to_thread(self._health)
        if not identity_of(request).operator:
            recorder = health.get("recorder")
            alive = recorder.get("alive") if isinstance(recorder, Mapping) else None
            return marked(json({"recorder": {"alive": alive}}), identity_of(request))
        return json({**health, "following": self._tails.clients})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        if not identity_of(request).operator:
            return sending.error("this user may not read the server's own numbers", 403)
        text = prometheus(await asyncio.to_thread(self._health))
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        """Ready when the store can be asked, and no other replica is the leader."""

        def look() -> str:
            try:
                with self._sessions(None) as session:
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


def _from(request: web.Request) -> str:
    """Whom a question counts for: a user at an address, because all who have the one token are the same user."""
    return f"{identity_of(request).user} {request.remote}"


def _page_of(request: web.Request, page: Page) -> web.StreamResponse:
    """A list, as it always was; where it goes on is in the headers (RFC 8288)."""
    response = json(page.rows)
    if page.next is not None:
        onward = request.rel_url.update_query(cursor=page.next)
        response.headers["Link"] = f'<{onward}>; rel="next"'
        response.headers["X-Kubewitness-Next"] = page.next
    return sending.with_more(response, more=page.next is not None)
