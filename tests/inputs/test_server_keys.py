"""What all inputs that listen take alike: addresses, TLS, limits. Shown with `tcp` and `http`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs.http import Http
from kubewitness.inputs.tcp import Tcp
from tests.inputs.certificates import Authority
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept

pytestmark = pytest.mark.timeout(90)


@contextlib.asynccontextmanager
async def listening(plugin: type[Any], sink: Kept, keys: dict[str, str]) -> AsyncIterator[Any]:
    source = plugin({"listen": "127.0.0.1", "port": "0", **keys})
    async with running(source, sink) as (_, task):
        await until(lambda: task.done() or source.port)
        if task.done():
            task.result()
        yield source


async def say(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    writer.write(data)
    await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def kept(sink: Kept) -> list[Any]:
    return [json.loads(raw) for raw, _ in sink.records("logs")]


async def test_a_port_can_be_shared_by_several_and_not_otherwise() -> None:
    for plugin in (Tcp, Http):
        async with listening(plugin, Kept(), {"net.share_port": "on"}) as one:
            same = {"port": str(one.port), "net.share_port": "on", "net.backlog": "5"}
            async with listening(plugin, Kept(), same) as other:
                assert other.port == one.port
            with pytest.raises(UsageError, match="choose another address"):
                await plugin({"host": "127.0.0.1", "port": str(one.port)}).run(Kept())


async def test_a_locked_key_is_opened_with_its_password_and_told_without(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("server")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True,
        capture_output=True,
    )
    keys = {"tls": "on", "tls.crt_file": str(crt), "tls.key_file": str(locked)}
    sink = Kept()
    async with listening(Tcp, sink, keys | {"tls.key_passwd": "secret"}) as source:
        await say(source.port, b'{"n":1}', ca.client_context())
        await until(lambda: kept(sink))
    for wrong in ({}, {"tls.key_passwd": "other"}):
        with pytest.raises(UsageError, match=r"tls\.key_file"):
            await Tcp({"port": "0", **keys, **wrong}).run(Kept())


async def test_clients_may_be_vouched_for_by_any_ca_of_a_directory(tmp_path: Path) -> None:
    ca, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
    crt, key = ca.issue("server")
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(ca.certificate.read_bytes())
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    keys = {
        "tls": "on", "tls.crt_file": str(crt), "tls.key_file": str(key), "tls.verify_client_cert": "on",
        "tls.ca_path": str(folder),
    }  # fmt: skip
    sink = Kept()
    async with listening(Tcp, sink, keys) as source:
        await say(source.port, b'{"n":1}', ca.client_context(ca.issue("client")))
        with contextlib.suppress(OSError):
            await say(source.port, b'{"n":2}', ca.client_context(stranger.issue("client2")))
        await until(lambda: kept(sink))
    assert kept(sink) == [{"n": 1}]


@pytest.mark.parametrize(
    ("keys", "theirs", "fits"),
    [
        ({"tls.min_version": "TLSv1.3"}, ssl.TLSVersion.TLSv1_2, False),
        ({"tls.min_version": "TLSv1.3"}, ssl.TLSVersion.TLSv1_3, True),
        ({"tls.max_version": "tlsv1.2"}, ssl.TLSVersion.TLSv1_3, False),
        ({"tls.max_version": "tlsv1.2", "tls.ciphers": "ECDHE+AESGCM"}, ssl.TLSVersion.TLSv1_2, True),
    ],
)
async def test_versions_of_tls_are_as_asked_for(
    keys: dict[str, str], theirs: ssl.TLSVersion, fits: bool, tmp_path: Path
) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("server")
    context = ca.client_context()
    context.minimum_version = context.maximum_version = theirs
    sink = Kept()
    async with listening(Tcp, sink, {"tls": "on", "tls.crt_file": str(crt), "tls.key_file": str(key)} | keys) as source:
        if fits:
            await say(source.port, b'{"n":1}', context)
            await until(lambda: kept(sink))
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await say(source.port, b'{"n":1}', context)
    assert bool(kept(sink)) is fits


async def test_a_folder_of_authorities_that_is_not_there_is_told(tmp_path: Path) -> None:
    crt, key = Authority(tmp_path).issue("server")
    keys = {"tls": "on", "tls.crt_file": str(crt), "tls.key_file": str(key), "tls.verify_client_cert": "on"}
    with pytest.raises(UsageError, match=r"No such file or directory: .*/nowhere"):
        await Tcp({"port": "0", **keys, "tls.ca_path": str(tmp_path / "nowhere")}).run(Kept())


async def test_ciphers_that_there_are_not_are_told(tmp_path: Path) -> None:
    crt, key = Authority(tmp_path).issue("server")
    keys = {"tls": "on", "tls.crt_file": str(crt), "tls.key_file": str(key), "tls.ciphers": "NONE-SUCH"}
    with pytest.raises(UsageError, match="cipher"):
        await Tcp({"port": "0", **keys}).run(Kept())


async def test_who_hangs_in_the_tls_handshake_is_given_up(tmp_path: Path) -> None:
    crt, key = Authority(tmp_path).issue("server")
    keys = {"tls": "on", "tls.crt_file": str(crt), "tls.key_file": str(key), "net.accept_timeout": "300ms"}
    for plugin in (Tcp, Http):
        async with listening(plugin, Kept(), keys) as source:
            reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
            async with asyncio.timeout(30):
                assert await reader.read() == b""
            writer.close()


async def test_an_http_connection_without_a_request_ends_after_its_time() -> None:
    async with listening(Http, Kept(), {"http_server.idle_timeout": "300ms", "net.keepalive": "on"}) as source:
        reader, writer = await asyncio.open_connection("127.0.0.1", source.port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()


async def test_bodies_in_flight_share_the_memory_they_may_have_together() -> None:
    sink = Kept()
    sink.gate.clear()
    async with listening(Http, sink, {"buffer_total_size": "30k", "buffer_max_size": "20k"}) as source:
        body = b'{"n":"%b"}' % (b"x" * 18_000)
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        one, other = [await asyncio.open_connection("127.0.0.1", source.port) for _ in range(2)]
        for _, writer in (one, other):
            writer.write(head + body)
        await until(lambda: sink.puts)
        assert source.health()["in_flight_bytes"] <= 30_000
        sink.gate.set()
        for reader, writer in (one, other):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201")
            writer.close()
    assert len(kept(sink)) == 2
