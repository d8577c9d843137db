"""The server's connections: TLS whose files are replaced, and clients that are of no use."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs.server_tls import TlsFiles
from kubewitness.store import Store
from kubewitness.web import listening
from tests.inputs.certificates import Authority
from tests.web.conftest import serving

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def started(store: Store, **options: object) -> AsyncIterator[tuple[str, int]]:
    """Its scheme and port."""
    server = serving(store, **options)
    address = await server.start()
    try:
        scheme, _, rest = address.partition("://")
        yield scheme, int(rest.rstrip("/").rpartition(":")[2])
    finally:
        await server.stop()


async def got(port: int, path: str, context: ssl.SSLContext | None, host: str = "witness") -> str:
    """The head of an answer, and its beginning."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode()


def common_name(port: int, context: ssl.SSLContext) -> str:
    """Of the certificate that a client is shown."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as shown,
    ):
        certificate = shown.getpeercert() or {}
        assert shown.version() in ("TLSv1.2", "TLSv1.3")
        return dict(part[0] for part in certificate["subject"])["commonName"]  # type: ignore[misc]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first")
    return file


async def test_by_tls_the_cookie_is_secure_and_browsers_are_told_to_keep_to_it(
    demo_store: Store, tmp_path: Path, token: Path
) -> None:
    ca = Authority(tmp_path)
    cert, key = ca.issue("witness")
    files = TlsFiles(crt_file=str(cert), key_file=str(key))
    async with started(demo_store, host="0.0.0.0", token_file=token, tls=files) as (scheme, port):
        assert scheme == "https"
        context = ca.client_context()
        assert "Strict-Transport-Security: max-age=31536000" in await got(port, "/healthz", context)
        assert "Strict-Transport-Security" not in await got(port, "/healthz", context, host="localhost")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        body = b'{"token": "first"}'
        head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close"
        writer.write(f"POST /api/v1/login HTTP/1.1\r\nHost: witness\r\n{head}\r\n\r\n".encode() + body)
        answer = (await reader.read()).decode()
        writer.close()
        assert answer.startswith("HTTP/1.1 204")
        assert "Secure" in next(line for line in answer.split("\r\n") if line.startswith("Set-Cookie"))


async def test_a_replaced_certificate_is_shown_without_a_restart_and_half_a_change_is_waited_out(
    demo_store: Store, tmp_path: Path, token: Path
) -> None:
    ca = Authority(tmp_path)
    cert, key = ca.issue("before", file="serving")
    files = TlsFiles(crt_file=str(cert), key_file=str(key))
    async with started(demo_store, host="0.0.0.0", token_file=token, tls=files) as (_, port):
        context = ca.client_context()
        assert await asyncio.to_thread(common_name, port, context) == "before"
        new_cert, new_key = ca.issue("after")
        os.replace(new_cert, cert)
        await asyncio.sleep(3 * listening._LOOK)
        assert await asyncio.to_thread(common_name, port, context) == "before"
        os.replace(new_key, key)
        for _ in range(100):
            await asyncio.sleep(listening._LOOK / 5)
            if await asyncio.to_thread(common_name, port, context) == "after":
                break
        else:
            pytest.fail("the new certificate was never shown")


async def test_without_tls_beyond_loopback_the_start_warns(
    demo_store: Store, tmp_path: Path, token: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with started(demo_store):
        assert "TLS" not in caplog.text
    ca = Authority(tmp_path)
    files = TlsFiles(*map(str, ca.issue("witness")))
    async with started(demo_store, host="0.0.0.0", token_file=token, tls=files):
        assert "TLS" not in caplog.text
    async with started(demo_store, host="0.0.0.0", token_file=token):
        assert "without TLS" in caplog.text
        assert "--tls-cert" in caplog.text


async def test_a_certificate_that_cannot_be_read_is_named(demo_store: Store) -> None:
    files = TlsFiles("no.crt", "no.key", said="--tls-cert no.crt or --tls-key no.key")
    with pytest.raises(UsageError, match=r"--tls-cert no\.crt or --tls-key no\.key: .*No such file"):
        await serving(demo_store, tls=files).start()


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "])
async def test_a_connection_that_never_finishes_its_first_head_is_closed(
    demo_store: Store, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(listening, "SPEAK", 0.2)
    async with started(demo_store) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(demo_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "READ", 0.2)
    server = serving(demo_store)
    address = await server.start()
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))
        query = quote("SELECT (SELECT string_agg(uri, ',') FROM audit) FROM range(200)")
        writer.write(f"GET /api/v1/sql?query={query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        connections = server._listening._server.connections  # type: ignore[union-attr]
        assert len(connections) == 1
        for _ in range(200):
            await asyncio.sleep(0.05)
            if connections[0].transport is None:
                break
        else:
            pytest.fail("the connection is still open")
        writer.close()
    finally:
        await server.stop()


async def test_more_connections_than_there_may_be_are_closed_at_once(
    demo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 3)
    async with started(demo_store) as (_, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for reader, writer in held:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        held[0][1].close()
        await asyncio.sleep(0.1)
        assert "200 OK" in await got(port, "/healthz", None, host="localhost")
        writer.close()
        for _, other in held[1:]:
            other.close()
