"""One connection to a far side over TCP, TLS or a unix socket, opened when it is needed and again when it broke."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from kubewitness.config.keys import Options
from kubewitness.errors import Retry, UsageError
from kubewitness.outputs.client_tls import ClientTls
from kubewitness.outputs.idle import Idle

#: bytes that one read may bring
_READ = 64 * 1024
#: seconds that a far side has to take a write or to answer, where `net.io_timeout` does not say
_SECONDS = 60.0

Greet = Callable[["StreamSender"], Awaitable[None]]


class StreamSender:
    """`greet` is called with each new connection, before anything else is sent. One user at a time; every failure is
    Retry, and the connection is gone after it."""

    def __init__(
        self, what: str, opts: Options, *, unix_path: str = "", tls: ClientTls | None = None, greet: Greet | None = None
    ) -> None:
        self._tls = tls or ClientTls(what, opts)
        self._unix = unix_path
        self._host, self._port = opts.text("host"), opts.number("port")
        if not 0 < self._port < 65536:
            raise UsageError(f"{what}: 'port' is {self._port}; it takes a port")
        self.place = unix_path or f"{self._host}:{self._port}"
        self._connect_seconds = opts.seconds("net.connect_timeout") or None
        self._seconds = opts.seconds("net.io_timeout") or _SECONDS
        self._source = opts.text("net.source_address")
        self._keep = opts.flag("net.keepalive")
        self._greet = greet
        self._idle = Idle(opts.seconds("net.keepalive_idle_timeout"), self._hang_up)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, data: bytes) -> None:
        """Hands it to the connection; it has left this process when it returns, and may not have arrived."""
        _, writer = await self._open()
        async with self._failing("send", self._seconds):
            writer.write(data)
            await writer.drain()

    async def read(self) -> bytes:
        """What comes next. Retry at the end of the stream, too."""
        reader, _ = await self._open()
        async with self._failing("answer", self._seconds):
            data = await reader.read(_READ)
            if not data:
                raise ConnectionResetError("the connection was closed")
            return data

    async def pause(self) -> None:
        """Between two batches: ends the connection if it is not to be kept, or when the next one is long in coming."""
        if self._keep:
            self._idle.begin()
        else:
            await self.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._idle.end()
        # A far side that hung up in the meantime is noticed before something is sent to nobody.
        if self._streams is not None and (self._streams[0].at_eof() or self._streams[1].is_closing()):
            await self.close()
        if self._streams is None:
            async with self._failing("connect", self._connect_seconds):
                self._streams = await self._connect()
            # what waits in this process would be lost with it, and be taken for sent
            self._streams[1].transport.set_write_buffer_limits(0)
            if self._greet is not None:
                try:
                    await self._greet(self)
                except BaseException:
                    await self.close()
                    raise
        return self._streams

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._unix:
            return await asyncio.open_unix_connection(self._unix)
        context = self._tls.context()
        return await asyncio.open_connection(
            self._host,
            self._port,
            ssl=context,
            server_hostname=(self._tls.server_name or self._host) if context is not None else None,
            local_addr=(self._source, 0) if self._source else None,
        )

    @contextlib.asynccontextmanager
    async def _failing(self, what: str, seconds: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except (OSError, TimeoutError, EOFError) as e:
            await self.close()
            reason = "no answer in time" if isinstance(e, TimeoutError) else str(e) or type(e).__name__
            raise Retry(f"{self.place}: {what}: {reason}") from e
        except asyncio.CancelledError:
            await self.close()  # half a message may be on its way
            raise

    async def close(self) -> None:
        self._idle.end()
        streams = self._streams
        self._hang_up()
        if streams is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await streams[1].wait_closed()

    def _hang_up(self) -> None:
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
