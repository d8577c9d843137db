"""The API server's audit webhook: POST /audit and /audit/<cluster>.

What the API server does decides the answers (k8s.io/apiserver/plugin/pkg/audit/webhook): it sends every batch again
after *any* error, up to five times in some 80 seconds, and then drops it. So 200 is said only once the records are
durable; a body that can never be read is kept among the rejects and answered 200 as well, or it would be sent five
times; 503 with Retry-After says that there is no room now; 413 that the body passes the limit.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import ssl
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import Full, KubewitnessError, UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.incident import Incident

_log = logging.getLogger(__name__)

_CLUSTER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_RETRY_AFTER = "5"
#: a client has so long to send a body (seconds)
_BODY_SECONDS = 60.0
_CERTIFICATE_LOOK = 5.0
#: larger bodies are decoded in a thread, so that they hold up nobody else's small one (bytes)
_IN_PLACE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Where and how to listen. Files are read again when they change."""

    host: str
    port: int
    path: str = "/audit"
    body_limit: int = 32 * 1024 * 1024
    crt_file: str = ""
    key_file: str = ""
    #: client certificates must be signed by it
    ca_file: str = ""
    #: a bearer token that each request must carry
    token_file: str = ""


class AuditWebhook:
    """The receiver. One `Ingest` a request: cluster names come from the path."""

    def __init__(
        self, listener: Listener, cluster: str, *, redact_key: bytes = b"", keyed: bool = True, tag: str = ""
    ) -> None:
        self.listener = listener
        self._cluster = cluster
        self._redact_key = redact_key
        self._keyed = keyed
        self._tag = tag
        self._sink: Sink | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_stamp: tuple[object, ...] = ()
        self._rejects = Incident(_log)
        self._refusals = Incident(_log)
        #: the port listened on, once it is (when port 0 was asked for)
        self.port = 0
        self._counts = {
            "requests": 0,
            "records": 0,
            "duplicates": 0,
            "rejected": 0,
            "bytes": 0,
            "refused_full": 0,
            "refused_large": 0,
            "refused_unauthorized": 0,
            "errors": 0,
            "last_record_us": 0,
        }

    def health(self) -> Mapping[str, object]:
        return {"listening": self.port, **self._counts}

    async def run(self, sink: Sink) -> None:
        """Listens until cancelled. Raises UsageError when it cannot listen there."""
        self._sink = sink
        app = web.Application(client_max_size=self.listener.body_limit)
        app.router.add_post(self.listener.path, self._receive)
        app.router.add_post(self.listener.path.rstrip("/") + "/{cluster}", self._receive)
        app.router.add_get("/healthz", _alive)
        # gzip is taken off here: what aiohttp cannot decompress it would answer by itself, unrecorded
        runner = web.AppRunner(app, access_log=None, auto_decompress=False, handle_signals=False)
        await runner.setup()
        try:
            self._load_tls()
            site = web.TCPSite(runner, self.listener.host, self.listener.port, ssl_context=self._tls)
            await self._start(site)
            server = site._server
            sockets = getattr(server, "sockets", None)
            self.port = sockets[0].getsockname()[1] if sockets else self.listener.port
            while True:
                await asyncio.sleep(_CERTIFICATE_LOOK)
                self._reload_tls()
        finally:
            self.port = 0
            await runner.cleanup()

    async def _start(self, site: web.TCPSite) -> None:
        try:
            await site.start()
        except OSError as e:
            where = f"{self.listener.host}:{self.listener.port}"
            raise UsageError(f"audit webhook: cannot listen on {where}: {e.strerror}; choose another address") from e

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _receive(self, request: web.Request) -> web.Response:
        self._counts["requests"] += 1
        if not self._may(request):
            self._counts["refused_unauthorized"] += 1
            return web.Response(status=401, text="the bearer token is missing or wrong\n")
        cluster = request.match_info.get("cluster") or self._cluster
        if not _CLUSTER.fullmatch(cluster):
            return web.Response(status=404, text=f"{cluster!r} cannot be a cluster's name\n")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._too_large(request)
        except TimeoutError:
            return web.Response(status=408, text="the body did not come in time\n")
        return await self._keep(request, cluster, raw)

    async def _keep(self, request: web.Request, cluster: str, raw: bytes) -> web.Response:
        ingest = Ingest(cluster, "kubernetes_audit/webhook", self._redact_key, keyed=self._keyed, tag=self._tag)
        try:
            body = _unpacked(raw, request.headers.get("Content-Encoding", ""), self.listener.body_limit)
        except _TooLarge:
            return self._too_large(request)
        except zlib.error as e:
            ingest.add_reject(raw, f"webhook body is not {request.headers['Content-Encoding']}: {e}")
            chunks = ingest.take()
        else:
            if len(body) > _IN_PLACE:
                chunks = await asyncio.to_thread(ingest.feed_body, body)
            else:
                chunks = ingest.feed_body(body)
        assert self._sink is not None
        try:
            taken = await self._sink.put(Batch(chunks), wait=False)
        except Full as e:
            self._counts["refused_full"] += 1
            self._refusals.report(f"audit webhook: {e}; the API server is told to come again")
            return web.Response(status=503, headers={"Retry-After": _RETRY_AFTER}, text="no room; come again\n")
        except KubewitnessError as e:
            self._counts["errors"] += 1
            self._refusals.report(f"audit webhook: {e}")
            return web.Response(status=503, headers={"Retry-After": _RETRY_AFTER}, text="cannot be stored now\n")
        self._count(request, ingest, taken.stored, taken.duplicates, len(raw))
        return web.Response(text="ok\n")

    def _count(self, request: web.Request, ingest: Ingest, stored: int, duplicates: int, size: int) -> None:
        counts = self._counts
        counts["records"] += stored
        counts["duplicates"] += duplicates
        counts["bytes"] += size
        counts["last_record_us"] = time.time_ns() // 1000
        if ingest.rejected:
            counts["rejected"] += ingest.rejected
            self._rejects.report(
                f"audit webhook: {ingest.rejected} of {ingest.read} items from {request.remote} are no audit events; "
                "they are kept in table rejects"
            )

    def _too_large(self, request: web.Request) -> web.Response:
        self._counts["refused_large"] += 1
        limit = self.listener.body_limit
        self._refusals.report(
            f"audit webhook: a body from {request.remote} is larger than {limit} bytes and is refused: raise "
            "buffer_max_size, or lower --audit-webhook-batch-max-size of the API server"
        )
        return web.Response(status=413, text=f"larger than {limit} bytes\n")

    def _may(self, request: web.Request) -> bool:
        if not self.listener.token_file:
            return True
        try:
            token = Path(self.listener.token_file).read_bytes().strip()
        except OSError:
            return False
        given = request.headers.get("Authorization", "")
        return bool(token) and hmac.compare_digest(given.encode(), b"Bearer " + token)

    # --- TLS ---------------------------------------------------------------------------------------------------------

    def _load_tls(self) -> None:
        listener = self.listener
        if not listener.crt_file:
            return
        self._tls_stamp = self._stamp()
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(listener.crt_file, listener.key_file or None)
            if listener.ca_file:
                context.load_verify_locations(listener.ca_file)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as e:
            raise UsageError(f"audit webhook: tls.crt_file, tls.key_file or tls.ca_file: {e}") from e
        self._tls = context

    def _reload_tls(self) -> None:
        """A certificate that was replaced is used for the connections that come from now on."""
        if self._tls is None or self._stamp() == self._tls_stamp:
            return
        try:
            self._tls.load_cert_chain(self.listener.crt_file, self.listener.key_file or None)
            self._tls_stamp = self._stamp()
            _log.info("audit webhook: the server certificate was read again")
        except (OSError, ValueError) as e:
            # being replaced at this moment: the old one stays until the new pair fits
            _log.debug("audit webhook: certificate: %s", e)

    def _stamp(self) -> tuple[object, ...]:
        stamps: list[object] = []
        for name in (self.listener.crt_file, self.listener.key_file):
            try:
                stat = Path(name).stat()
                stamps.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
            except OSError as e:
                stamps.append(e.errno)
        return tuple(stamps)


class _TooLarge(Exception):
    pass


def _unpacked(raw: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding. Raises zlib.error for broken data, _TooLarge above `limit` bytes."""
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return raw
    if kind not in ("gzip", "x-gzip", "deflate"):
        raise zlib.error("an encoding we know")
    unpacker = zlib.decompressobj(wbits=47 if kind != "deflate" else 15)
    body = unpacker.decompress(raw, limit + 1)
    if len(body) > limit:
        raise _TooLarge
    if not unpacker.eof:
        raise zlib.error("the end is missing")
    return body


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")
