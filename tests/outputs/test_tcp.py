"""Output `tcp`: bytes as a plain receiver reads them, and a connection that breaks."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kubewitness.contracts import Delivery, Partly
from kubewitness.errors import Retry
from kubewitness.outputs.tcp import TcpOutput
from tests.inputs.certificates import Authority
from tests.journal.helpers import numbered
from tests.outputs.test_es import logs

pytestmark = pytest.mark.timeout(30)


class Listener:
    """Keeps what each connection brought."""

    def __init__(self) -> None:
        self.connections: list[bytearray] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> Listener:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = bytearray()
        self.connections.append(mine)
        self.writers.append(writer)
        while part := await reader.read(65536):
            mine += part
        writer.close()

    async def data(self, connection: int, size: int) -> bytes:
        while len(self.connections) <= connection or len(self.connections[connection]) < size:
            await asyncio.sleep(0.005)
        return bytes(self.connections[connection])

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()


def strict(data: bytes) -> Any:
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"format": "json_lines"}, b'{"date":1700000000.123456,"n":0}\n{"date":1700000000.123456,"n":1}\n'),
        ({"format": "json_lines", "json_date_key": "false"}, b'{"n":0}\n{"n":1}\n'),
        ({"format": "json", "json_date_key": "at", "json_date_format": "epoch"},
         b'[{"at":1700000000,"n":0},{"at":1700000000,"n":1}]'),
        ({"format": "json_stream", "json_date_key": "false"}, b'{"n":0}{"n":1}'),
        ({"raw_message_key": "n"}, b"0\n1\n"),
    ],
)  # fmt: skip
async def test_records_are_sent_in_the_form_asked_for(keys: dict[str, str], wanted: bytes) -> None:
    side = await Listener().start()
    output = TcpOutput({"port": str(side.port), **keys})
    await output.write([Delivery(1, logs('{"n":0}', '{"n":1}'))])
    assert await side.data(0, len(wanted)) == wanted
    await output.close()
    await side.stop()


async def test_without_a_format_they_are_events_of_the_forward_protocol() -> None:
    side = await Listener().start()
    output = TcpOutput({"port": str(side.port)})
    await output.write([Delivery(1, logs('{"n":0}'))])
    (stamp, metadata), record = msgspec.msgpack.decode(await side.data(0, 17))
    assert (stamp.code, metadata, record) == (0, {}, {"n": 0})
    await output.close()
    await side.stop()


async def test_a_record_without_the_key_that_is_sent_is_refused_and_its_neighbours_arrive() -> None:
    side = await Listener().start()
    output = TcpOutput({"port": str(side.port), "raw_message_key": "$k['text']"})
    with pytest.raises(Partly) as told:
        await output.write([Delivery(1, logs('{"k":{"text":"a"}}', '{"k":1}', '{"k":{"text":"b"}}'))])
    assert [r.reason for r in told.value.refused] == [
        "the record has no $['k']['text'], which raw_message_key asks for"
    ]
    assert (await side.data(0, 4), list(told.value.left)) == (b"a\nb\n", [])
    await output.close()
    await side.stop()


async def test_a_connection_that_was_closed_is_opened_again_before_the_next_batch() -> None:
    side = await Listener().start()
    output = TcpOutput({"port": str(side.port), "format": "json_lines", "json_date_key": "false"})
    await output.write([Delivery(1, numbered(0))])
    await side.data(0, 8)
    side.writers[0].close()
    await asyncio.sleep(0.05)
    await output.write([Delivery(2, numbered(1))])
    assert strict(await side.data(1, 8)) == [{"n": 1}]
    await output.close()
    await side.stop()
    with pytest.raises(Retry, match="connect"):
        await output.write([Delivery(3, numbered(2))])


async def test_over_tls_with_a_connection_for_each_batch(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, authority.issue("logs.example")))
    side = await Listener().start(context)
    keys = {"port": str(side.port), "format": "json_lines", "json_date_key": "false", "net.keepalive": "off"}
    output = TcpOutput({**keys, "tls": "on", "tls.ca_file": str(authority.certificate)})
    for n in range(2):
        await output.write([Delivery(n, numbered(n))])
        assert strict(await side.data(n, 8)) == [{"n": n}]
    await output.close()
    with pytest.raises(Retry, match="certificate"):
        await TcpOutput({**keys, "tls": "on"}).write([Delivery(1, numbered(0))])
    await side.stop()


async def test_what_was_sent_has_left_this_process() -> None:
    """Killed right after a batch was taken for sent, the process must not have any of it still to write."""
    taken = bytearray()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(65536):
            taken.extend(part)
            await asyncio.sleep(0.001)
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0, limit=1024)
    output = TcpOutput({"port": str(server.sockets[0].getsockname()[1]), "raw_message_key": "t"})
    text = "x" * 8_000_000  # more than the kernel holds for both ends
    await output.write([Delivery(1, logs(json.dumps({"t": text})))])
    assert output._sender._streams is not None
    output._sender._streams[1].transport.abort()  # as a kill does: what the kernel has still arrives, and nothing else
    async with asyncio.timeout(20):
        while len(taken) < len(text) + 1:
            await asyncio.sleep(0.01)
    server.close()
