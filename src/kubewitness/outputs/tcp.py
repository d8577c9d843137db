"""Output `tcp`: records over a connection that is only a connection, plain or with TLS.

Nobody acknowledges anything: what is on its way when the connection breaks is lost, as with any sender of it. A broken
connection is noticed before the next batch, which is then sent on a new one, from its first record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.formats.accessor import MISSING, Path, path_of, text_of, value_at
from kubewitness.outputs.bodies import BODIES
from kubewitness.outputs.client_tls import TLS_KEYS
from kubewitness.outputs.dates import DATE_FORMATS, dates_of
from kubewitness.outputs.http_keys import NET_KEYS, place
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, outcome
from kubewitness.outputs.stream_sender import StreamSender

KEYS = (
    *place(5170),
    Key("format", default="msgpack", doc="`json`: an array a batch; `json_lines`: an object a line; `json_stream`: "
        "objects with nothing between them; `msgpack`: events of the forward protocol",
        choices=("json", "json_lines", "json_stream", "msgpack")),
    Key("json_date_key", default="date", doc="name under which the record's time is put first; `false`: the records' "
        "bytes are passed through"),
    Key("json_date_format", default="double", doc="how the time is written", choices=DATE_FORMATS),
    Key("raw_message_key", doc="key (`$key['sub']`) whose text is sent in place of the record, a line each"),
    *TLS_KEYS, *NET_KEYS,
)  # fmt: skip


class TcpOutput:
    """What is on its way when the connection breaks may be lost; what was sent before an error is sent again."""

    batch_bytes = 500_000

    def __init__(self, keys: Mapping[str, str], name: str = "tcp") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        self.name = name
        self._sender = StreamSender(what, opts)
        self._body = BODIES[opts.choice("format")]
        self._dates = dates_of(opts)
        self._raw = path_of(opts.text("raw_message_key")) if opts.text("raw_message_key") else None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        refused: dict[int, str] = {}
        if self._raw is not None:
            body, refused = await asyncio.to_thread(_texts, deliveries, self._raw)
        else:
            body = await asyncio.to_thread(self._body, [d.chunk for d in deliveries], self._dates)
        if deliveries and body:
            await self._sender.send(body)
            await self._sender.pause()
        if refused:
            raise outcome(deliveries, refused, [], next(iter(refused.values())), 0)

    async def close(self) -> None:
        await self._sender.close()


def _texts(deliveries: Sequence[Delivery], path: Path) -> tuple[bytes, dict[int, str]]:
    """(what stands at the path of each record, a line each; the records that have nothing there)."""
    lines = []
    refused: dict[int, str] = {}
    for n, line in enumerate(line for d in deliveries for line in objects(d.chunk)):
        value = value_at(fields_of(line), path)
        if value is MISSING:
            refused[n] = f"the record has no {path}, which raw_message_key asks for"
        else:
            lines.append(text_of(value).encode() + b"\n")
    return b"".join(lines), refused
