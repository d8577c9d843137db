"""Input `syslog`: over UDP, TCP, TLS and unix sockets. Sources: RFC 3164, 5424, 5425 (TLS), 5426 (UDP), 6587 (TCP).

Syslog has no acknowledgement: what was sent and not read when this process dies is lost. While there is no room, a
connection is not read: the sender waits; what has no room in the kernel's buffer for datagrams is lost, and counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Sink
from kubewitness.errors import UsageError
from kubewitness.inputs.datagrams import Datagram, Datagrams
from kubewitness.inputs.framing import Counted, CountedOrSeparated, Cut, Framing
from kubewitness.inputs.intake import CUT, Intake, Made
from kubewitness.inputs.made import json_of, text_of
from kubewitness.inputs.made_records import Maker
from kubewitness.inputs.server_keys import (
    NET_KEYS,
    RECEIVE_KEY,
    TLS_KEYS,
    TOTAL_KEY,
    address_of,
    limits_of,
    place,
    tls_of,
    unix_keys,
)
from kubewitness.inputs.stream_server import StreamServer
from kubewitness.parsers.library import Library, asked
from kubewitness.record import Note

__all__ = ["KEYS", "Syslog"]

#: the longest message where the section does not say (bytes)
_LIMIT = 1024 * 1024
_NOTHING = "accepted, without effect: "

KEYS: tuple[Key, ...] = (
    Key("mode", default="unix_udp", doc="how it is sent", choices=("unix_udp", "unix_tcp", "udp", "tcp")),
    *place(5140),
    *unix_keys("path", "0644"),
    Key("parser", doc="name of a parser; empty: `syslog-rfc3164`, on unix sockets `syslog-rfc3164-local`. What it does "
        "not fit is kept under key `log`, and counted (Fluent Bit: dropped)"),
    Key("format", default="newline", doc="messages on a connection end with a newline (or a zero byte), or have the "
        "number of their bytes in front (RFC 6587). With `newline`, a connection that begins with a digit counts, too",
        choices=("newline", "octet_counting")),
    Key("raw_message_key", doc="key under which the message itself is put beside what the parser found"),
    Key("source_address_key", doc="key under which the sender's address is put into each record"),
    Key("buffer_max_size", "size", "", "the longest message on a connection; a longer one is cut in pieces or, "
        "counted, ends it. Empty: 1 MB (Fluent Bit: `buffer_chunk_size`)"),
    Key("buffer_chunk_size", "size", "32000", _NOTHING + "messages are read as they come; a datagram is read whole"),
    RECEIVE_KEY,
    *NET_KEYS, *TLS_KEYS, TOTAL_KEY,
    Key("cluster", "text", "default", "name in the store (not in Fluent Bit)"),
)  # fmt: skip


class Syslog:
    """See docs/network.md."""

    def __init__(
        self,
        options: Mapping[str, object],
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        library: Library | None = None,
    ) -> None:
        """`library`: the parsers that there are; by default those that are bundled."""
        opts = Options("syslog", options, KEYS)
        mode = opts.choice("mode")
        local = mode.startswith("unix_")
        if local and not opts.text("path"):
            raise UsageError(f"syslog: 'mode' is {mode}; set 'path' to the socket's place, or mode: udp or tcp")
        address = address_of("syslog", opts, unix_path=opts.text("path") if local else "")
        self.name = opts.text("alias") or f"syslog/{mode}/{address}"
        self._limit = opts.number("buffer_max_size") or _LIMIT
        self._counted = opts.choice("format") == "octet_counting"
        parser = opts.text("parser").strip() or ("syslog-rfc3164-local" if local else "syslog-rfc3164")
        self._parser = asked("syslog", "parser", parser, (library or Library()).parser)
        self._raw_key, self._address_key = opts.text("raw_message_key"), opts.text("source_address_key")
        maker = Maker(f"syslog/{address}", opts.text("cluster"), redact_key, keyed=keyed)
        self._intake = intake = Intake(self.name, opts.text("tag") or "syslog.0", maker, self._make)
        self._from: StreamServer | Datagrams
        if mode.endswith("udp"):
            if opts.flag("tls"):
                raise UsageError("syslog: 'tls' is on; it needs mode: tcp")
            self._from = Datagrams("syslog", address, self._take, buffer=opts.number("receive_buffer_size"))
        else:
            self._from = StreamServer(
                "syslog",
                address,
                tls_of("syslog", opts),
                limits_of(opts),
                lambda connection: intake.serve(connection, self._framing()),
            )

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none, and on a unix socket."""
        return self._from.port

    def health(self) -> Mapping[str, object]:
        return {"message_limit_bytes": self._limit, **self._from.health(), **self._intake.counts}

    async def run(self, sink: Sink) -> None:
        """Until cancelled. Raises UsageError when it cannot listen there."""
        self._intake.sink = sink
        await self._from.run()

    def _framing(self) -> Framing:
        return Counted(self._limit) if self._counted else CountedOrSeparated(self._limit)

    async def _take(self, datagrams: list[Datagram], size: int) -> None:
        """A datagram is a message; some senders end it with a newline or a zero byte all the same."""
        found = [([Cut(message)] if (message := data.rstrip(b"\r\n\0")) else [], sender) for data, sender in datagrams]
        await self._intake.take(found, size)

    def _make(self, cuts: Sequence[Cut], peer: str) -> Made:
        records: list[bytes] = []
        times = array("q")
        notes: dict[int, Note] = {}
        unparsed = 0
        for cut in cuts:
            found = self._parser.parse(cut.data)
            fields: dict[str, Any] = {"log": text_of(cut.data)} if found is None else found.fields
            unparsed += found is None
            if self._raw_key:
                fields[self._raw_key] = text_of(cut.data)
            if self._address_key:
                fields[self._address_key] = peer
            if not cut.whole:
                notes[len(records)] = CUT
            times.append((found.time_ns or 0) if found is not None else 0)
            records.append(json_of(fields))
        return Made(records, times, notes, [], unparsed)
