"""What stands before an output's far side, and sees what that does not: who connects, with which TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass, field

from tests.outputs.wires import Wire


@dataclass
class Seen:
    """One connection; `version` and `cipher` are "" without TLS."""

    peer: str
    version: str = ""
    cipher: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Front(Wire):
    """Ends TLS (with `context`), and passes bytes on. `upgrades`: TLS begins after the far side's first line, as with
    NATS."""

    def __init__(
        self, target: int, context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", upgrades: bool = False
    ) -> None:
        super().__init__(target)
        self._host = host
        self._context = context
        self._upgrades = upgrades
        self.seen: list[Seen] = []
        #: names that were asked for
        self.names: list[str | None] = []
        if context is not None:
            context.sni_callback = lambda _, name, __: self.names.append(name)

    async def up(self) -> None:
        context = None if self._upgrades else self._context
        self._server = await asyncio.start_server(self._serve, self._host, self.port, ssl=context)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Seen(writer.get_extra_info("peername")[0])
        try:
            there, far = await asyncio.open_connection("127.0.0.1", self.target)
            self._open |= {writer, far}
            try:
                if self._upgrades:
                    await self._upgrade(there, writer)
                if (tls := writer.get_extra_info("ssl_object")) is not None:
                    seen.version, seen.cipher = tls.version(), tls.cipher()[0]
                self.seen.append(seen)
                await asyncio.gather(self._sent(reader, far, writer), self._answered(there, writer))
            finally:
                self._open -= {writer, far}
                far.close()
        except OSError:
            pass
        finally:
            writer.close()
            seen.over.set()

    async def _upgrade(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, _, text = (await there.readline()).partition(b" ")
        info = json.loads(text) | ({"tls_required": True} if self._context is not None else {})
        writer.write(kind + b" " + json.dumps(info).encode() + b"\r\n")
        if self._context is not None:
            await writer.start_tls(self._context)
