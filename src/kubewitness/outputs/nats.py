"""Output `nats`: to subjects of NATS; with JetStream each record is acknowledged, and what comes twice is there once.

Needs `kubewitness[nats]`. Sources: the NATS manual, "Publishing" and "JetStream: Message Deduplication"; of the payload
without JetStream Fluent Bit's manual, "NATS": [[SECONDS, {"tag": TAG, ...}], ...], a message for each chunk.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Delivery
from kubewitness.errors import Refused, Retry, UsageError
from kubewitness.formats.accessor import Template
from kubewitness.outputs.client_tls import TLS_KEYS, ClientTls
from kubewitness.outputs.credentials import Secret, secret_keys
from kubewitness.outputs.extras import need
from kubewitness.outputs.http_keys import NET_KEYS, place
from kubewitness.outputs.idle import Idle
from kubewitness.outputs.lines import objects
from kubewitness.outputs.records import fields_of, in_order, outcome, stamps_ns

KEYS = (
    *place(4222),
    Key("subject", default="$TAG", doc="where to; may hold accessors (with `jetstream`, of the record, too)"),
    Key("jetstream", "bool", "off", "a message for each record, with its own bytes and `Nats-Msg-Id`, delivered when a "
        "stream has it; off: a message for each chunk, to whoever listens (not in Fluent Bit)"),
    Key("username", doc="user"),
    *secret_keys("password", "its password"),
    *secret_keys("token", "token, in place of a user"),
    Key("credentials_file", doc="file of a JWT and its seed, as nsc writes it"),
    *TLS_KEYS, *NET_KEYS,
)  # fmt: skip

#: messages whose acknowledgement is waited for at once
_AHEAD = 256
#: JetStream's error of a message that its stream takes none of: larger than the stream's limit
_TOO_LARGE = 10054
_NOT_IN_A_SUBJECT = re.compile(r"[\s*>]+")
_encode = msgspec.json.Encoder().encode


class NatsOutput:
    """JetStream: once, within the stream's window of duplicates. Else at most once, to those who listen."""

    batch_bytes = 500_000

    def __init__(self, keys: Mapping[str, str], name: str = "nats") -> None:
        what = f"output {name}"
        opts = Options(what, keys, KEYS)
        need(what, "nats", "nats")
        self.name = name
        self._tls = ClientTls(what, opts)
        self._place = f"{opts.text('host')}:{opts.number('port')}"
        self._subject = Template(opts.text("subject"))
        self._jetstream = opts.flag("jetstream")
        self._user, self._credentials = opts.text("username"), opts.text("credentials_file")
        if self._credentials:
            need(what, "nkeys", "nats")
            if not Path(self._credentials).is_file():
                raise UsageError(f"{what}: 'credentials_file': there is no file {self._credentials}")
        self._password, self._token = Secret(what, opts, "password"), Secret(what, opts, "token")
        self._connect_seconds = opts.seconds("net.connect_timeout")
        self._seconds = opts.seconds("net.io_timeout") or 10.0
        self._source = opts.text("net.source_address")
        self._keep = opts.flag("net.keepalive")
        self._idle = Idle(opts.seconds("net.keepalive_idle_timeout"), self._hang_up)
        self._client: Any = None
        self._ending: asyncio.Task[None] | None = None

    def wants(self, chunk_table: str, tag: str) -> bool:
        return True

    async def write(self, deliveries: Sequence[Delivery]) -> None:
        self._idle.end()
        send = self._records if self._jetstream else self._chunk
        await in_order([[d] for d in deliveries], send)
        if deliveries and not self._jetstream:
            await self._flush()
        if self._keep:
            self._idle.begin()
        else:
            await self.close()

    async def close(self) -> None:
        self._idle.end()
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        if self._ending is not None:
            await self._ending
            self._ending = None

    def _hang_up(self) -> None:
        """Nobody used it for a while."""
        client, self._client = self._client, None
        if client is not None:
            self._ending = asyncio.create_task(client.close())

    # --- with JetStream ----------------------------------------------------------------------------------------------

    async def _records(self, deliveries: Sequence[Delivery]) -> None:
        """A message a record, each acknowledged."""
        chunk = deliveries[0].chunk
        stream = (await self._connected()).jetstream(timeout=self._seconds)
        lines = list(objects(chunk))
        refused: dict[int, str] = {}
        left: list[int] = []
        error = ""
        for start in range(0, len(lines), _AHEAD):
            part = range(start, min(start + _AHEAD, len(lines)))
            results = await asyncio.gather(
                *(self._publish(stream, lines[n], chunk.key(n), chunk.tag) for n in part), return_exceptions=True
            )
            for n, result in zip(part, results, strict=True):
                if isinstance(result, Refused):
                    refused[n] = str(result)
                elif isinstance(result, Retry):
                    left.append(n)
                    error = str(result)
                elif isinstance(result, BaseException):
                    raise result
            if left:
                left += range(part[-1] + 1, len(lines))
                break
        if left:
            await self.close()
        if left or refused:
            raise outcome(deliveries, refused, left, error or next(iter(refused.values())))

    async def _publish(self, stream: Any, line: bytes, key: bytes, tag: str) -> None:
        import nats.errors
        import nats.js.errors

        subject = self._subject_of(fields_of(line) if self._subject.paths else {}, tag)
        ident = key.hex() or hashlib.blake2b(tag.encode() + b"\0" + line, digest_size=16).hexdigest()
        try:
            await stream.publish(subject, line, headers={"Nats-Msg-Id": ident}, timeout=self._seconds)
        except nats.errors.MaxPayloadError as e:
            raise Refused(f"{self._place}: larger than the server's max_payload") from e
        except nats.js.errors.NoStreamResponseError as e:
            raise Retry(f"{self._place}: no stream takes subject {subject}") from e
        except nats.js.errors.APIError as e:
            text = f"{self._place}: {e.code} {e.description}"
            raise (Refused(text) if e.err_code == _TOO_LARGE else Retry(text)) from e
        except (nats.errors.Error, OSError, TimeoutError) as e:
            raise Retry(f"{self._place}: {str(e) or type(e).__name__}") from e

    # --- without -----------------------------------------------------------------------------------------------------

    async def _chunk(self, deliveries: Sequence[Delivery]) -> None:
        """One message of a chunk's records."""
        import nats.errors

        chunk = deliveries[0].chunk
        head = b',{"tag":' + _encode(chunk.tag)
        entries = [
            b"[%.6f" % (ns / 1e9) + head + (b"" if line[1:].lstrip().startswith(b"}") else b",") + line[1:] + b"]"
            for line, ns in zip(objects(chunk), stamps_ns(chunk), strict=True)
        ]
        client = await self._connected()
        try:
            await client.publish(self._subject_of({}, chunk.tag), b"[" + b",".join(entries) + b"]")
        except nats.errors.MaxPayloadError as e:
            raise Refused(f"{self._place}: larger than the server's max_payload") from e
        except (nats.errors.Error, OSError) as e:
            await self.close()
            raise Retry(f"{self._place}: {e}") from e

    async def _flush(self) -> None:
        """Returns when the server has everything."""
        import nats.errors

        try:
            await (await self._connected()).flush(timeout=max(1, int(self._seconds)))
        except (nats.errors.Error, OSError, TimeoutError) as e:
            await self.close()
            raise Retry(f"{self._place}: {e}") from e

    # --- the connection ----------------------------------------------------------------------------------------------

    def _subject_of(self, fields: Mapping[str, Any], tag: str) -> str:
        return _NOT_IN_A_SUBJECT.sub("_", self._subject.render(fields, tag)).strip(".") or "_"

    async def _connected(self) -> Any:
        import nats.errors

        from kubewitness.outputs.nats_connection import Connection

        if self._client is not None and self._client.is_connected:
            return self._client
        await self.close()
        more: dict[str, Any] = {"tls": self._tls.context()} if self._tls.on else {}
        if self._tls.server_name:
            more["tls_hostname"] = self._tls.server_name
        if self._user:
            more |= {"user": self._user, "password": self._password.value()}
        if self._token:
            more["token"] = self._token.value()
        if self._credentials:
            more["user_credentials"] = self._credentials
        told: list[Exception] = []

        async def note(error: Exception) -> None:
            told[:] = [error]  # the library would log it beside what the call raises

        try:
            async with asyncio.timeout(self._connect_seconds or None):
                client = Connection(self._source, self._tls.on)
                await client.connect(
                    f"{'tls' if self._tls.on else 'nats'}://{self._place}",
                    name="kubewitness",
                    allow_reconnect=False,
                    # The engine tries again; the library would, until the time is over, and not say why.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    error_cb=note,
                    **more,
                )
                self._client = client
        except (nats.errors.Error, OSError, TimeoutError) as e:
            reason = told[-1] if told and isinstance(e, nats.errors.NoServersError) else e
            raise Retry(f"{self._place}: {getattr(reason, 'strerror', None) or reason or 'no answer in time'}") from e
        return self._client
