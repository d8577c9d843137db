"""Input `tcp`: JSON objects or lines of text on TCP connections.

TCP says nothing of what became of the bytes: what was sent and not read when this process dies is lost, and nobody
knows. While there is no room, nothing is read: the sender waits.
"""

from __future__ import annotations

from collections.abc import Mapping

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Sink
from kubewitness.inputs.intake import Intake
from kubewitness.inputs.made_records import Maker
from kubewitness.inputs.server_keys import NET_KEYS, TLS_KEYS, TOTAL_KEY, address_of, limits_of, place, tls_of
from kubewitness.inputs.stream_server import StreamServer
from kubewitness.inputs.text_messages import TEXT_KEYS, TextMessages

__all__ = ["KEYS", "Tcp"]

KEYS: tuple[Key, ...] = (*place(5170), *TEXT_KEYS, *NET_KEYS, *TLS_KEYS, TOTAL_KEY)


class Tcp:
    """See docs/network.md."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("tcp", options, KEYS)
        address = address_of("tcp", opts)
        self.name = opts.text("alias") or f"tcp/{address}"
        self._messages = messages = TextMessages("tcp", opts)
        maker = Maker(f"tcp/{address}", opts.text("cluster"), redact_key, keyed=keyed)
        self._intake = intake = Intake(self.name, opts.text("tag") or "tcp.0", maker, messages.make)
        self._server = StreamServer(
            "tcp",
            address,
            tls_of("tcp", opts),
            limits_of(opts),
            lambda connection: intake.serve(connection, messages.framing()),
        )

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self._server.port

    def health(self) -> Mapping[str, object]:
        return {"message_limit_bytes": self._messages.limit, **self._server.health(), **self._intake.counts}

    async def run(self, sink: Sink) -> None:
        """Until cancelled. Raises UsageError when it cannot listen there."""
        self._intake.sink = sink
        await self._server.run()
