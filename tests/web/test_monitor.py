"""The monitoring port on the wire: one request a connection, whatever the client sends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

import pytest

from kubewitness.web.monitor import Monitor


@contextlib.asynccontextmanager
async def listening(health: Mapping[str, object]) -> AsyncIterator[int]:
    server = await Monitor("127.0.0.1", 0, lambda: health).listen()
    async with server:
        yield server.sockets[0].getsockname()[1]


async def sent(port: int, request: bytes) -> tuple[bytes, bytes]:
    """(head, body) of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


async def test_a_probe_is_answered_and_the_connection_closed() -> None:
    async with listening({"healthy": True}) as port:
        head, body = await sent(port, b"GET /readyz?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close" in head
    assert body == b"ok\n"


async def test_head_has_the_length_and_no_body() -> None:
    async with listening({"healthy": False}) as port:
        head, body = await sent(port, b"HEAD /readyz HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Content-Length: 6" in head
    assert body == b""


async def test_a_body_is_read_before_the_answer() -> None:
    async with listening({"healthy": True}) as port:
        head, body = await sent(port, b"POST /readyz HTTP/1.1\r\ncontent-length: 3\r\n\r\n{}\n")
        assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 405 Method Not Allowed", b"GET only\n")
        head, _ = await sent(port, b"POST / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + b"x" * 65536)
        assert head.startswith(b"HTTP/1.1 405 ")


async def test_what_is_not_there_is_told_with_what_is() -> None:
    async with listening({"healthy": True}) as port:
        head, body = await sent(port, b"GET /nowhere HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert b"/healthz" in body


@pytest.mark.parametrize(
    "request_", [b"\r\n\r\n", b"GET\r\n\r\n", b"x" * 9000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -\r\n\r\n"]
)
async def test_nonsense_gets_no_answer_and_harms_nobody(request_: bytes) -> None:
    async with listening({"healthy": True}) as port:
        assert await sent(port, request_) == (b"", b"")
        assert (await sent(port, b"GET /healthz HTTP/1.1\r\n\r\n"))[1] == b"ok\n"
