"""Who may ask: loopback names only, or a token."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from kubewitness.errors import UsageError
from kubewitness.formats.scope import Scope
from kubewitness.store.sandbox import SqlResult
from kubewitness.web.guard import parse_listen
from kubewitness.web.server import Server


class NothingRecorded:
    """A session of an empty store."""

    scope: Scope | None = None

    def query(self, sql: str, params: Any = (), /) -> list[tuple[Any, ...]]:
        return []

    def raw(self, pointers: Any, /) -> list[bytes]:
        return []

    def summary(self, table: str, select: str, /, *, make: bool = True) -> str | None:
        return None

    def interrupt(self) -> None:
        pass


def server(**options: Any) -> Server:
    source = {"connected": True, "lag_s": 0.5, "missing": ['a "b"']}
    health = {"journal": {"bytes": 5}, "inputs": {"kubernetes_events": source}}
    options = {"host": "127.0.0.1", "port": 0, **options}
    return Server(lambda scope: contextlib.nullcontext(NothingRecorded()), lambda: health, answer_sql, **options)


def answer_sql(query: str, gone: threading.Event, scope: Scope | None = None) -> SqlResult:
    """Runs until the caller goes away, or answers at once."""
    if query == "slow":
        abandoned.append(gone.wait(20))
    return SqlResult(["query"], [(query,)], types=["VARCHAR"])


#: for every slow query that ended: whether it ended because its caller went away
abandoned: list[bool] = []


@pytest.fixture
async def client() -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(server().application())) as made:
        yield made


async def get(client: TestClient[Any, Any], path: str, headers: Mapping[str, str] | None = None) -> ClientResponse:
    return await client.get(path, headers=headers)


async def test_a_page_that_rebinds_its_name_to_loopback_gets_no_answer(client: TestClient[Any, Any]) -> None:
    for host in ("evil.example:8420", "127.0.0.1.evil.example", "localhost.evil.example:80"):
        response = await get(client, "/api/v1/status", {"Host": host})
        assert response.status == 421
        assert "journal" not in await response.text()


async def test_loopback_names_are_answered(client: TestClient[Any, Any]) -> None:
    for host in ("127.0.0.1:8420", "localhost", "localhost:8420", "[::1]:8420", "[::1]", "127.0.0.1"):
        assert (await get(client, "/api/v1/status", {"Host": host})).status == 200, host


async def test_every_answer_forbids_foreign_content(client: TestClient[Any, Any]) -> None:
    for path in ("/", "/api/v1/status", "/no-such-page", "/api/v1/who"):
        response = await get(client, path)
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'"), path
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_listening_beyond_loopback_without_a_token_is_refused() -> None:
    for host in ("0.0.0.0", "::", "10.1.2.3", "example.com"):
        with pytest.raises(UsageError, match="--token-file"):
            server(host=host)


async def test_with_a_token_file_only_its_present_content_opens_the_api(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    async with TestClient(TestServer(server(host="0.0.0.0", token_file=token).application())) as client:
        assert (await get(client, "/healthz")).status == 200
        assert (await get(client, "/api/v1/status")).status == 401
        assert (await get(client, "/api/v1/status", {"Authorization": "Bearer wrong"})).status == 401
        assert (await get(client, "/api/v1/status", {"Authorization": "Bearer first"})).status == 200
        token.write_text("second")
        assert (await get(client, "/api/v1/status", {"Authorization": "Bearer first"})).status == 401
        assert (await get(client, "/api/v1/status", {"Authorization": "Bearer second"})).status == 200
        token.write_text("")
        assert (await get(client, "/api/v1/status", {"Authorization": "Bearer "})).status == 401
        assert (await get(client, "/api/v1/status", {"Authorization": "Bearer second"})).status == 503


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        ("[::1]:9000", ("::1", 9000)),
        ("[::1]", ("::1", 8420)),
        (":9000", ("127.0.0.1", 9000)),
        ("9000", ("127.0.0.1", 9000)),
        ("localhost", ("localhost", 8420)),
    ],
)
def test_addresses_are_taken_as_people_write_them(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen(text, 8420) == expected


def test_an_address_with_a_bad_port_says_so() -> None:
    with pytest.raises(UsageError, match="'http' is not a port"):
        parse_listen("127.0.0.1:http", 8420)
    with pytest.raises(UsageError, match="'70000' is not a port"):
        parse_listen("127.0.0.1:70000", 8420)


async def test_metrics_are_prometheus_text(client: TestClient[Any, Any]) -> None:
    text = await (await get(client, "/metrics")).text()
    assert "# TYPE kubewitness_journal_bytes gauge\nkubewitness_journal_bytes 5\n" in text
    assert 'kubewitness_inputs_connected{name="kubernetes_events"} 1' in text
    assert 'kubewitness_inputs_lag_s{name="kubernetes_events"} 0.5' in text
    assert 'kubewitness_inputs_missing{name="kubernetes_events",value="a \\"b\\""} 1' in text


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/api/v1/who", "'object' is missing"),
        ("/api/v1/who?object=pod/x&verb=eaten", "unknown verb 'eaten'"),
        ("/api/v1/who?object=pod/x&when=now", "unknown parameter 'when'"),
        ("/api/v1/who?object=pod/x&object=pod/y", "'object' is given 2 times"),
        ("/api/v1/timeline?object=pod/x&limit=-1", "not a number"),
        ("/api/v1/timeline?object=pod/x&since=yesterdayish", "is not a time"),
        ("/api/v1/top", "'field' is missing"),
    ],
)
async def test_a_question_that_cannot_be_understood_is_a_400_that_says_why(
    client: TestClient[Any, Any], path: str, says: str
) -> None:
    response = await get(client, path)
    assert response.status == 400
    assert says in (await response.json())["error"]


async def test_the_api_describes_every_question(client: TestClient[Any, Any]) -> None:
    paths = (await (await get(client, "/api/openapi.json")).json())["paths"]
    assert set(paths) == {
        f"/api/v1/{name}"
        for name in (
            *("who", "timeline", "show", "trace", "diff", "granted", "search", "findings", "top", "record"),
            *("board", "histogram", "states", "complete", "line", "examples", "facets", "revisions"),
            *("sql", "status", "tail", "deploy", "session", "login", "logout", "logs", "policy"),
        )
    } | {"/metrics", "/healthz", "/readyz"}


async def test_sql_runs_one_query_and_takes_no_other_parameter(client: TestClient[Any, Any]) -> None:
    assert await (await get(client, "/api/v1/sql?query=SELECT+1")).json() == [{"query": "SELECT 1"}]
    assert (await get(client, "/api/v1/sql")).status == 400
    assert (await get(client, "/api/v1/sql?query=SELECT+1&limit=5")).status == 400


async def test_a_query_ends_when_its_caller_goes_away() -> None:
    abandoned.clear()
    made = server()
    address = await made.start()
    try:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /api/v1/sql?query=slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.close()
        for _ in range(100):
            if abandoned:
                break
            await asyncio.sleep(0.05)
        assert abandoned == [True]
    finally:
        await made.stop()
