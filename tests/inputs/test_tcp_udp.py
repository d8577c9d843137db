"""Inputs `tcp` and `udp`: what becomes of what is sent; what they share with others is in test_network_contract."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kubewitness.errors import UsageError
from kubewitness.inputs.tcp import Tcp
from kubewitness.inputs.udp import Udp
from tests.inputs.certificates import Authority
from tests.inputs.running import running, until
from tests.inputs.sinks import Kept

pytestmark = pytest.mark.timeout(90)


@contextlib.asynccontextmanager
async def listening(plugin: type[Any], sink: Kept, **keys: str) -> AsyncIterator[Any]:
    source = plugin({"listen": "127.0.0.1", "port": "0", **{k.replace("__", "."): v for k, v in keys.items()}})
    async with running(source, sink) as (_, task):
        await until(lambda: task.done() or source.port)
        if task.done():
            task.result()
        yield source


async def say(source: Any, *parts: bytes, tls: ssl.SSLContext | None = None) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", source.port, ssl=tls)
    for part in parts:
        writer.write(part)
        await writer.drain()
    if tls is None:
        writer.write_eof()
        assert await reader.read() == b""
    writer.close()


def datagrams(source: Any, *parts: bytes) -> int:
    """The port they are from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        for part in parts:
            opened.sendto(part, ("127.0.0.1", source.port))
        return int(opened.getsockname()[1])


def kept(sink: Kept) -> list[Any]:
    return [json.loads(raw) for raw, _ in sink.records("logs")]


async def test_json_is_taken_object_by_object_and_other_values_as_msg() -> None:
    sink = Kept()
    async with listening(Tcp, sink) as source:
        await say(source, b'{"n":1}{"n":\n2}\r\n[1,{"a":2}] "text" 7\n', b'{"n":"\xc3', b'\xa9"}')
        assert source.health()["records"] == 6
    assert kept(sink) == [{"n": 1}, {"n": 2}, {"msg": [1, {"a": 2}]}, {"msg": "text"}, {"msg": 7}, {"n": "é"}]
    assert [chunk.tag for chunk in sink.chunks] == ["tcp.0"] * len(sink.chunks)


async def test_what_is_no_json_is_kept_aside_and_what_follows_is_taken() -> None:
    sink = Kept()
    async with listening(Tcp, sink) as source:
        await say(source, b'{"n":1}\nnonsense here\n{"n":}\n{"n":2\n{"n":3}\n{"n":"\xff"}\n{"n":4}\n{"n":5')
        assert source.health()["rejected"] == 6
    assert kept(sink) == [{"n": 1}, {"n": 3}, {"n": 4}]
    raws = [raw for raw, _ in sink.records("rejects")]
    assert raws == [b"nonsense", b"here", b'{"n":}', b'{"n":2', b'{"n":"\xff"}', b'{"n":5']
    assert all("no JSON value from tcp://127.0.0.1:" in note.reason for _, note in sink.records("rejects"))


@pytest.mark.parametrize(
    ("separator", "data"),
    [
        ("\\n", b"one\r\n\ntwo\n\xff"),
        ("\\x1e", b"one\x1etwo\x1e\x1e\xff"),
        ("||", b"one||two||\xff"),
        ("\\0", b"one\0two\0\xff"),
    ],
)
async def test_text_is_taken_message_by_message_also_the_last_one(separator: str, data: bytes) -> None:
    sink = Kept()
    async with listening(Tcp, sink, format="none", separator=separator, tag="lines") as source:
        await say(source, data)
    assert kept(sink) == [{"log": "one"}, {"log": "two"}, {"log": "\\xff"}]
    assert sink.chunks[0].tag == "lines"


async def test_a_long_line_is_cut_kept_and_flagged() -> None:
    sink = Kept()
    async with listening(Tcp, sink, format="none", buffer_size="1") as source:
        await say(source, b"x" * 2500 + b"\nshort\n")
        assert source.health()["cut"] >= 2
    assert "".join(record["log"] for record in kept(sink)[:-1]) == "x" * 2500
    flags = [note.flags for _, note in sink.records("logs")]
    assert flags[0] == ("line-cut",)
    assert flags[-1] == ()


async def test_a_json_value_over_the_limit_ends_its_connection_and_its_end_is_kept_aside() -> None:
    sink = Kept()
    async with listening(Tcp, sink, buffer_size="10K") as source:
        with contextlib.suppress(ConnectionError):
            await say(source, b'{"n":1}\n{"n":"' + b"x" * 50_000)
        await until(lambda: source.health()["broken"] == 1)
        await say(source, b'{"n":2}')
    assert kept(sink) == [{"n": 1}, {"n": 2}]
    assert len(sink.records("rejects")) == 1


async def test_the_senders_address_is_put_into_records() -> None:
    sink = Kept()
    async with listening(Tcp, sink, source_address_key="from") as source:
        await say(source, b'{"n":1,"from":"mallory"}')
    assert kept(sink)[0]["from"].startswith("tcp://127.0.0.1:")
    sink = Kept()
    async with listening(Udp, sink, format="none", source_address_key="from") as source:
        port = datagrams(source, b"one")
        await until(lambda: kept(sink))
    assert kept(sink) == [{"log": "one", "from": f"udp://127.0.0.1:{port}"}]


async def test_tls_is_spoken(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    crt, key = ca.issue("server")
    sink = Kept()
    async with listening(Tcp, sink, tls="on", tls__crt_file=str(crt), tls__key_file=str(key)) as source:
        await say(source, b'{"n":1}\n', tls=ca.client_context())
        await until(lambda: kept(sink))
    assert kept(sink) == [{"n": 1}]


async def test_a_datagram_is_whole_and_goes_on_in_no_other() -> None:
    sink = Kept()
    async with listening(Udp, sink) as source:
        datagrams(source, b'{"n":1}{"n":2}\n', b'{"n":', b'3}{"n":4}', b"", b'{"n":"' + b"x" * 60_000 + b'"}')
        await until(lambda: source.health()["records"] == 4)
        assert source.health()["rejected"] == 2
    assert [record["n"] for record in kept(sink)] == [1, 2, 4, "x" * 60_000]


async def test_what_the_kernel_threw_away_for_want_of_room_is_counted() -> None:
    sink = Kept()
    sink.gate.clear()
    async with listening(Udp, sink, receive_buffer_size="8k") as source:
        datagrams(source, *(b'{"n":%d}' % n for n in range(500)))
        dropped = source.health()["kernel_drops"]
        assert dropped > 0
        sink.gate.set()
        await until(lambda: source.health()["records"] == 500 - source.health()["kernel_drops"])
        assert source.health()["receive_buffer_bytes"] >= 8000


async def test_what_has_arrived_at_a_stop_is_still_kept() -> None:
    sink = Kept()
    async with listening(Tcp, sink) as source:
        _, writer = await asyncio.open_connection("127.0.0.1", source.port)
        writer.write(b'{"n":1}\n{"n":2}')
        await until(lambda: kept(sink))
    writer.close()
    assert kept(sink) == [{"n": 1}, {"n": 2}]
    sink = Kept()
    async with listening(Udp, sink) as source:
        datagrams(source, b'{"n":1}', b'{"n":2}')
    assert kept(sink) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"format": "xml"}, "'format' cannot be"),
        ({"separator": ""}, "'separator' is empty"),
        ({"buffer_size": "much"}, "it takes KB"),
        ({"listn": "x"}, "did you mean 'listen'"),
    ],
)
def test_keys_that_cannot_be_are_told(keys: dict[str, str], message: str) -> None:
    for plugin in (Tcp, Udp):
        with pytest.raises(UsageError, match=message):
            plugin(keys)
