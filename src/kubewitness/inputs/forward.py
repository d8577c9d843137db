"""Input `forward`: records from Fluentd, Fluent Bit, and whoever speaks their protocol.

A message that asks for an acknowledgement (option `chunk`) gets it when its records are durable; one that comes again
because the acknowledgement was lost is known by that id, and kept once. While there is no room, nothing is
acknowledged and nothing read: the sender waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubewitness.config.keys import Options
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.inputs import forward_messages as protocol
from kubewitness.inputs.forward_greeting import Greeting, Secrets
from kubewitness.inputs.forward_keys import KEYS
from kubewitness.inputs.forward_messages import Broken, Frames, Message
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.made import put_whole
from kubewitness.inputs.made_records import Maker
from kubewitness.inputs.server_keys import address_of, limits_of, tls_of
from kubewitness.inputs.stream_server import Connection, Refused, StreamServer
from kubewitness.inputs.unpack import NoRoom, TooLarge, Undecodable, unpacked
from kubewitness.record import Chunk

__all__ = ["KEYS", "Forward"]

_log = logging.getLogger(__name__)

#: more of it at once is taken apart in a thread, so that it holds up nobody else (bytes)
_IN_PLACE = 512 * 1024
_SMALLER = "raise buffer_max_size (buffer_total_size: unpacked), or let the sender make smaller ones"


class Forward:
    """See docs/network.md. `default_tag`: of what names none."""

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        default_tag: str = "forward.0",
    ) -> None:
        opts = Options("forward", options, KEYS)
        address = address_of("forward", opts, unix_path=opts.text("unix_path"))
        self.name = opts.text("alias") or f"forward/{address}"
        self._maker = Maker(f"forward/{address}", opts.text("cluster"), redact_key, keyed=keyed)
        self._tag, self._prefix, self._default = opts.text("tag"), opts.text("tag_prefix"), default_tag
        self._limit = opts.number("buffer_max_size")
        self._secrets = _secrets(opts)
        self._key_file = opts.text("shared_key_file")
        self._server = StreamServer("forward", address, tls_of("forward", opts), limits_of(opts), self._serve)
        self._sink: Sink | None = None
        self._told = Incident(_log)
        self._counts = {
            "messages": 0,
            "records": 0,
            "duplicates": 0,
            "rejected": 0,
            "group_marks": 0,
            "bytes": 0,
            "last_record_us": 0,
        }

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none, and on a unix socket."""
        return self._server.port

    def health(self) -> Mapping[str, object]:
        return {"message_limit_bytes": self._limit, **self._server.health(), **self._counts}

    async def run(self, sink: Sink) -> None:
        """Until cancelled. Raises UsageError when it cannot listen there."""
        self._sink = sink
        await self._server.run()

    # --- one connection ----------------------------------------------------------------------------------------------

    async def _serve(self, connection: Connection) -> None:
        frames = Frames(self._limit)
        data = b""
        try:
            waiting = await self._greet(connection, frames) if self._secrets is not None else []
            while True:
                if waiting:
                    await self._take(connection, waiting, len(data))
                if frames.wrong is not None:
                    raise frames.wrong
                await connection.hold(frames.pending)
                data = await connection.read(inside=frames.pending > 0)
                if not data:
                    break
                waiting = frames.feed(data)
        except (protocol.TooLarge, TooLarge):
            raise Refused("refused_large", f"a message is larger than {self._limit} bytes; {_SMALLER}") from None
        except NoRoom:
            raise Refused("refused_memory", "too much is held of other messages") from None
        except Broken as e:
            await self._keep_broken(data, str(e))
            raise Refused("broken", str(e)) from None
        if frames.pending:
            raise Refused("broken_off", f"it ended within a message, {frames.pending} bytes of it")

    async def _greet(self, connection: Connection, frames: Frames) -> list[object]:
        """What came behind the handshake."""
        greeting = Greeting(self._secrets_now())
        connection.write(greeting.helo())
        found: list[object] = []
        try:
            async with asyncio.timeout(self._server.limits.handshake_seconds):
                while not found:
                    data = await connection.read()
                    if not data:
                        raise Refused("broken_off", "it ended within the handshake")
                    found = frames.feed(data)
                    if frames.wrong is not None:
                        raise frames.wrong
        except TimeoutError:
            raise Refused("refused_slow", "it does not prove who it is") from None
        pong, reason = greeting.pong(found[0])
        connection.write(pong)
        if reason:
            raise Refused("refused_unauthorized", reason)
        return found[1:]

    def _secrets_now(self) -> Secrets:
        assert self._secrets is not None
        if not self._key_file:
            return self._secrets
        try:
            return dataclasses.replace(self._secrets, shared_key=_key_of(self._key_file))
        except OSError as e:
            raise Refused("refused_unauthorized", f"shared_key_file cannot be read: {e.strerror}") from None

    async def _take(self, connection: Connection, found: Sequence[object], size: int) -> None:
        """Makes messages durable, then acknowledges them; those before one that is broken, too."""
        if size > _IN_PLACE:
            messages, chunks, wrong = await asyncio.to_thread(self._made, found)
        else:
            messages, chunks, wrong = self._made(found)
        assert self._sink is not None
        counts = self._counts
        if chunks:
            taken = await put_whole(self._sink, chunks, self.name)
            counts["records"] += taken.stored - sum(len(m.rejects) for m in messages)
            counts["duplicates"] += taken.duplicates
            counts["last_record_us"] = time.time_ns() // 1000
        for message in messages:
            counts["messages"] += 1
            counts["group_marks"] += message.groups
            if message.rejects:
                counts["rejected"] += len(message.rejects)
                self._told.report(f"forward: from {connection.peer}: {message.rejects[0][1]}; kept in "
                                  "table rejects")  # fmt: skip
            if message.ack is not None:
                connection.write(protocol.acknowledgement(message.ack))
        counts["bytes"] += size
        if wrong is not None:
            raise wrong

    def _made(self, found: Sequence[object]) -> tuple[list[Message], list[Chunk], Exception | None]:
        messages: list[Message] = []
        wrong: Exception | None = None
        try:
            for one in found:
                message = protocol.read(one, self._unpack)
                if message is not None:
                    messages.append(message)
        except (Broken, protocol.TooLarge, TooLarge, NoRoom) as e:
            wrong = e
        now = time.time_ns()
        chunks: list[Chunk] = []
        for message in messages:
            tag = self._tag_of(message.tag)
            chunks += self._maker.chunks(
                tag, message.records, message.times, now_ns=now, notes=message.notes, identity=message.identity
            )
            chunks += self._maker.rejects(tag, message.rejects)
        return messages, chunks, wrong

    def _tag_of(self, tag: str) -> str:
        if self._prefix:
            return self._prefix + tag
        return self._tag or tag or self._default

    def _unpack(self, data: bytes, encoding: str) -> bytes:
        try:
            return unpacked(_Entries(data), encoding, self._server.limits.total_bytes)
        except Undecodable as e:
            raise Broken(f"packed entries are no {encoding[:20]}: {e}") from e

    async def _keep_broken(self, data: bytes, reason: str) -> None:
        """What came last is kept, where its sender may have it no more."""
        assert self._sink is not None
        self._counts["rejected"] += 1
        await put_whole(self._sink, self._maker.rejects(self._tag or self._default, [(data, reason)]), self.name)


class _Entries:
    """Packed entries; what they grow to is limited, not counted."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def grow(self, size: int) -> bool:
        return True


def _key_of(file: str) -> bytes:
    """OSError for a file that cannot be read, or is empty: nobody is let in with an empty key."""
    key = Path(file).read_bytes().strip()
    if not key:
        raise OSError(errno.ENODATA, "it is empty")
    return key


def _secrets(opts: Options) -> Secrets | None:
    """None: everybody may send."""
    users = {}
    for line in opts.lines("security.users"):
        name, _, password = line.strip().partition(" ")
        if not password.strip():
            raise UsageError("forward: 'security.users' takes a user and a password, a space between them")
        users[name.encode()] = password.strip().encode()
    key, file = opts.text("shared_key").encode(), opts.text("shared_key_file")
    if key and file:
        raise UsageError("forward: 'shared_key' and 'shared_key_file' are both given; give one")
    if file:
        try:
            key = _key_of(file)
        except OSError as e:
            raise UsageError(f"forward: 'shared_key_file': {file}: {e.strerror}") from e
    if not key and not opts.flag("empty_shared_key"):
        if users:
            raise UsageError("forward: 'security.users' needs 'shared_key' or 'empty_shared_key'")
        return None
    return Secrets(key, opts.text("self_hostname").encode(), users)
