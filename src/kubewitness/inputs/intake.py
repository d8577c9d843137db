"""From messages to durable records: what inputs `tcp`, `udp` and `syslog` do alike."""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kubewitness.contracts import Sink
from kubewitness.inputs.framing import Cut, Framing, Unframed
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.made import put_whole
from kubewitness.inputs.made_records import Maker
from kubewitness.inputs.stream_server import Connection, Refused
from kubewitness.record import Note

_log = logging.getLogger(__name__)

#: more of it at once is taken apart in a thread, so that it holds up nobody else (bytes)
_IN_PLACE = 128 * 1024
#: of a piece of a message that was longer than the limit
CUT = Note(flags=("line-cut",))


class Made(NamedTuple):
    """What became of messages, in their order."""

    records: list[bytes]
    #: nanoseconds since 1970 of each, 0 where it has none
    times: array[int]
    notes: dict[int, Note]
    #: (what cannot be a record, why)
    rejects: list[tuple[bytes, str]]
    #: messages that are kept as text, because they are not as they should be
    unparsed: int = 0


#: (messages, their sender's address)
Make = Callable[[Sequence[Cut], str], Made]


class Intake:
    """Of one input. Without an acknowledgement in its protocol all that an input can do is not to read on before what
    it read is durable."""

    def __init__(self, name: str, tag: str, maker: Maker, make: Make) -> None:
        self.name = name
        self._tag = tag
        self._maker = maker
        self._make = make
        self._told = Incident(_log)
        self.sink: Sink | None = None
        self.counts = {"records": 0, "rejected": 0, "unparsed": 0, "cut": 0, "bytes": 0, "last_record_us": 0}

    async def serve(self, connection: Connection, framing: Framing) -> None:
        """One connection, to its end. What it leaves without an end is kept."""
        data = b""
        try:
            while data := await connection.read(inside=framing.pending > 0):
                await self.take([(framing.feed(data), connection.peer)], len(data))
                await connection.hold(framing.pending)
        except Unframed as e:
            await self.take([(e.found, connection.peer)], len(data))
            await self._reject(e.rest, str(e))
            raise Refused("broken", str(e)) from None
        except Refused:
            await self.take([(framing.close(), connection.peer)], 0)
            raise
        if framing.pending:
            await self.take([(framing.close(), connection.peer)], 0)

    async def take(self, messages: Sequence[tuple[Sequence[Cut], str]], size: int) -> None:
        """Returns when the records are durable."""
        now = time.time_ns()
        if size > _IN_PLACE:
            made = await asyncio.to_thread(self._made, messages)
        else:
            made = self._made(messages)
        chunks = [
            *self._maker.chunks(self._tag, made.records, made.times, now_ns=now, notes=made.notes),
            *self._maker.rejects(self._tag, made.rejects),
        ]
        counts = self.counts
        counts["bytes"] += size
        if not chunks:
            return
        assert self.sink is not None
        await put_whole(self.sink, chunks, self.name)
        counts["records"] += len(made.records)
        counts["rejected"] += len(made.rejects)
        counts["unparsed"] += made.unparsed
        counts["cut"] += sum(note is CUT for note in made.notes.values())
        counts["last_record_us"] = now // 1000
        if made.rejects:
            self._told.report(f"{self.name}: {made.rejects[0][1]}; kept in table rejects")

    async def _reject(self, data: bytes, reason: str) -> None:
        """Bytes of which nothing can be made."""
        assert self.sink is not None
        self.counts["rejected"] += 1
        await put_whole(self.sink, self._maker.rejects(self._tag, [(data, reason)]), self.name)

    def _made(self, messages: Sequence[tuple[Sequence[Cut], str]]) -> Made:
        all_made = Made([], array("q"), {}, [])
        unparsed = 0
        for cuts, peer in messages:
            made = self._make(cuts, peer)
            all_made.notes.update({len(all_made.records) + i: note for i, note in made.notes.items()})
            all_made.records.extend(made.records)
            all_made.times.extend(made.times)
            all_made.rejects.extend(made.rejects)
            unparsed += made.unparsed
        return all_made._replace(unparsed=unparsed)
