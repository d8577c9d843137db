"""Logging in from a browser: a token for a cookie; what ends it, and what other sites' pages cannot do with it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from kubewitness.store import Store
from kubewitness.web import browsers, tailing
from kubewitness.web.accesslog import AccessLog
from kubewitness.web.browsers import IDLE, LONGEST, Browsers
from kubewitness.web.endpoints import ENDPOINTS
from tests.web.conftest import Client, serving


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first")
    return file


def with_login(store: Store, token: Path, **more: Any) -> Client:
    return TestClient(TestServer(serving(store, host="0.0.0.0", token_file=token, **more).application()))


async def logged_in(client: Client, token: str = "first") -> Client:
    response = await client.post("/api/v1/login", json={"token": token})
    assert response.status == 204
    return client


async def test_a_token_opens_the_api_for_a_browser_until_it_logs_out(demo_store: Store, token: Path) -> None:
    async with with_login(demo_store, token) as client:
        assert (await client.get("/")).status == 200
        assert (await (await client.get("/api/v1/session")).json())["user"] is None
        refused = await client.post("/api/v1/login", json={"token": "guess"})
        assert (refused.status, "Set-Cookie" in refused.headers) == (401, False)
        response = await client.post("/api/v1/login", json={"token": "first\n"})
        cookie = response.headers["Set-Cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/"))
        assert "first" not in cookie
        standing = await (await client.get("/api/v1/session")).json()
        assert (standing["login"], standing["user"], standing["clusters"]) == ("token", "token", ["default"])
        assert (await client.get("/api/v1/examples")).status == 200
        assert (await client.post("/api/v1/logout")).status == 204
        assert (await client.get("/api/v1/examples")).status == 401


async def test_over_tls_the_cookie_never_travels_without(demo_store: Store, token: Path) -> None:
    async with with_login(demo_store, token) as client:
        plain = await client.post("/api/v1/login", json={"token": "first"})
        proxied = await client.post("/api/v1/login", json={"token": "first"}, headers={"X-Forwarded-Proto": "https"})
        assert ["Secure" in r.headers["Set-Cookie"] for r in (plain, proxied)] == [False, True]


async def test_a_rotated_token_ends_the_logins_of_the_old_one(demo_store: Store, token: Path) -> None:
    async with with_login(demo_store, token) as client:
        await logged_in(client)
        token.write_text("second")
        assert (await client.get("/api/v1/examples")).status == 401
        await logged_in(client, "second")
        assert (await client.get("/api/v1/examples")).status == 200


async def test_without_a_login_no_path_but_the_page_and_the_probes_answers(demo_store: Store, token: Path) -> None:
    server = serving(demo_store, host="0.0.0.0", token_file=token)
    paths = [r.resource.canonical for r in server.application().router.routes() if r.resource is not None]
    assert {f"/api/v1/{e.name}" for e in ENDPOINTS} <= set(paths)
    open_ = {"/healthz", "/readyz", "/api/v1/session", "/api/v1/login", "/api/v1/logout"}
    async with TestClient(TestServer(server.application())) as client:
        for path in paths:
            if path.startswith(("/api/", "/metrics")) and path not in open_:
                for method in ("GET", "POST", "HEAD"):
                    assert (await client.request(method, path)).status == 401, (method, path)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
async def test_pages_of_other_sites_get_nothing_with_a_browsers_login(
    demo_store: Store, token: Path, headers: dict[str, str]
) -> None:
    async with with_login(demo_store, token) as client:
        await logged_in(client)
        assert (await client.get("/api/v1/examples", headers=headers)).status == 403
        assert (await client.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=headers)).status == 403
        assert (await client.post("/api/v1/logout", headers=headers)).status == 403


async def test_a_post_of_another_origin_is_refused_and_a_followed_link_is_not(demo_store: Store, token: Path) -> None:
    async with with_login(demo_store, token) as client:
        await logged_in(client)
        foreign = {"Origin": "https://evil.example"}
        assert (await client.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=foreign)).status == 403
        own = {"Origin": str(client.make_url("")).rstrip("/")}
        assert (await client.post("/api/v1/sql", json={"query": "SELECT 1"}, headers=own)).status == 200
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await client.get("/api/v1/examples", headers=link)).status == 200


async def test_who_guesses_tokens_has_to_wait_and_who_has_one_does_not(demo_store: Store, token: Path) -> None:
    async with with_login(demo_store, token) as client:
        good = {"Authorization": "Bearer first"}
        assert (await client.get("/api/v1/examples", headers=good)).status == 200
        statuses = [
            (await client.get("/api/v1/status", headers={"Authorization": f"Bearer guess-{n}"})).status
            for n in range(25)
        ]
        assert statuses[:20] == [401] * 20
        assert statuses[20:] == [429] * 5
        assert (await client.get("/api/v1/examples", headers=good)).status == 200


def test_logins_end_after_a_day_and_when_nothing_is_done() -> None:
    now = [0.0]
    browsers = Browsers(clock=lambda: now[0])
    request: Any = type("Request", (), {"cookies": {}})()
    request.cookies["kubewitness_session"] = browsers.begin("t")
    now[0] = IDLE - 1
    assert browsers.token(request) == "t"
    now[0] = 2 * IDLE + 1
    assert browsers.token(request) is None
    request.cookies["kubewitness_session"] = browsers.begin("t")
    while now[0] <= 2 * IDLE + 1 + LONGEST:
        now[0] += IDLE / 2
        found = browsers.token(request)
    assert found is None


def test_who_logs_in_again_and_again_logs_nobody_else_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "_MOST", 5)
    logins = Browsers()
    request: Any = type("Request", (), {"cookies": {}})()
    carol = logins.begin("carol's")
    bobs = [logins.begin("bob's") for _ in range(20)]
    for ident, token in ((carol, "carol's"), (bobs[-1], "bob's"), (bobs[0], None)):
        request.cookies["kubewitness_session"] = ident
        assert logins.token(request) == token


async def test_a_stream_ends_with_its_login(demo_store: Store, token: Path) -> None:
    async with with_login(demo_store, token) as client:
        await logged_in(client)
        async with client.get("/api/v1/tail?q=verb=none") as stream:
            await stream.content.readuntil(b"\n\n")
            logout = await client.post("/api/v1/logout")
            assert logout.headers["Clear-Site-Data"] == '"cache"'
            assert b"event: ended" in await asyncio.wait_for(stream.content.read(), 10)


async def test_streams_that_are_abandoned_leave_nothing_open(demo_store: Store) -> None:
    server = serving(demo_store)
    port = int((await server.start()).rstrip("/").rpartition(":")[2])
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
            for _, writer in held:
                writer.write(b"GET /api/v1/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
            said = [await reader.readline() for reader, _ in held]
            assert sum(line.startswith(b"HTTP/1.1 200") for line in said) == tailing.MOST_OF_ONE
            assert sum(line.startswith(b"HTTP/1.1 503") for line in said) == 40 - tailing.MOST_OF_ONE
            for _, writer in held:
                writer.transport.abort()
            for _ in range(200):
                if not server._tails.clients:
                    break
                await asyncio.sleep(0.05)
            assert server._tails.clients == 0
        await asyncio.sleep(0.1)
        assert len(os.listdir("/proc/self/fd")) <= before + 2
    finally:
        await server.stop()


async def test_who_asked_what_is_logged_and_no_token_is(demo_store: Store, token: Path, tmp_path: Path) -> None:
    file = tmp_path / "access.jsonl"
    async with with_login(demo_store, token, access_log=AccessLog(file)) as client:
        await logged_in(client)
        await client.get("/api/v1/top?field=user&q=ns=shop")
        await client.post("/api/v1/sql", json={"query": "SELECT 42"})
        await client.get("/api/v1/status", headers={"Authorization": "Bearer guess", "Cookie": ""})
    text = file.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(x["path"], x["user"], x["status"]) for x in lines] == [
        ("/api/v1/login", None, 204),
        ("/api/v1/top", "token", 200),
        ("/api/v1/sql", "token", 200),
        ("/api/v1/status", None, 401),
    ]
    assert lines[1]["asked"] == {"field": ["user"], "q": ["ns=shop"]}
    assert lines[2]["asked"] == {"query": ["SELECT 42"]}
    assert "first" not in text
    assert "guess" not in text
    assert file.stat().st_mode & 0o777 == 0o600
