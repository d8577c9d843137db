"""Input `udp`: JSON objects or lines of text in datagrams. What finds no room in the kernel is lost, and counted."""

from __future__ import annotations

from collections.abc import Mapping

from kubewitness.config.keys import Key, Options
from kubewitness.contracts import Sink
from kubewitness.inputs.datagrams import Datagram, Datagrams
from kubewitness.inputs.intake import Intake
from kubewitness.inputs.made_records import Maker
from kubewitness.inputs.server_keys import RECEIVE_KEY, SHARE_KEY, address_of, place
from kubewitness.inputs.text_messages import TEXT_KEYS, TextMessages

__all__ = ["KEYS", "Udp"]

KEYS: tuple[Key, ...] = (*place(5170), *TEXT_KEYS, RECEIVE_KEY, SHARE_KEY)


class Udp:
    """See docs/network.md."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        opts = Options("udp", options, KEYS)
        address = address_of("udp", opts, datagrams=True)
        self.name = opts.text("alias") or f"udp/{address}"
        self._messages = TextMessages("udp", opts)
        maker = Maker(f"udp/{address}", opts.text("cluster"), redact_key, keyed=keyed)
        self._intake = Intake(self.name, opts.text("tag") or "udp.0", maker, self._messages.make)
        self._datagrams = Datagrams("udp", address, self._take, buffer=opts.number("receive_buffer_size"))

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self._datagrams.port

    def health(self) -> Mapping[str, object]:
        return {**self._datagrams.health(), **self._intake.counts}

    async def run(self, sink: Sink) -> None:
        """Until cancelled. Raises UsageError when it cannot listen there."""
        self._intake.sink = sink
        await self._datagrams.run()

    async def _take(self, datagrams: list[Datagram], size: int) -> None:
        messages = []
        for data, sender in datagrams:
            framing = self._messages.framing()  # nothing goes on from one datagram to the next
            messages.append((framing.feed(data) + framing.close(), sender))
        await self._intake.take(messages, size)
