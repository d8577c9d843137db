"""The API server's audit webhook: POST /audit and /audit/<cluster>.

What the API server does decides the answers (k8s.io/apiserver/plugin/pkg/audit/webhook): it sends every batch again
after *any* error, up to five times in some 80 seconds, and then drops it. So 200 is said only once the records are
durable; a body that can never be read is kept among the rejects and answered 200 as well, or it would be sent five
times; 503 with Retry-After says that there is no room now; 413 that the body passes the limit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from aiohttp import web

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import Full, KubewitnessError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.listener import Listener
from kubewitness.inputs.receiver import RETRY_AFTER, Body, Receiver, clusters
from kubewitness.inputs.unpack import NoRoom, TooLarge, Undecodable, unpacked

__all__ = ["AuditWebhook", "Listener"]

_log = logging.getLogger(__name__)

#: larger bodies are decoded in a thread, so that they hold up nobody else's small one (bytes)
_IN_PLACE = 1024 * 1024


class AuditWebhook:
    """The receiver. One `Ingest` a request: cluster names come from the path."""

    def __init__(
        self, listener: Listener, cluster: str, *, redact_key: bytes = b"", keyed: bool = True, tag: str = ""
    ) -> None:
        self._receiver = Receiver(
            "audit webhook",
            listener,
            clusters(cluster),
            self._keep,
            advice=", or lower --audit-webhook-batch-max-size of the API server",
        )
        self._redact_key = redact_key
        self._keyed = keyed
        self._tag = tag
        self._sink: Sink | None = None
        self._rejects = Incident(_log)
        self._refusals = Incident(_log)
        self._counts = {
            "records": 0,
            "duplicates": 0,
            "rejected": 0,
            "bytes": 0,
            "refused_full": 0,
            "errors": 0,
            "last_record_us": 0,
        }

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self._receiver.port

    def health(self) -> Mapping[str, object]:
        receiver = self._receiver
        in_flight = receiver.budget.used
        return {"listening": receiver.port, "in_flight_bytes": in_flight, **receiver.counts, **self._counts}

    async def run(self, sink: Sink) -> None:
        """Listens until cancelled. Raises UsageError when it cannot listen there."""
        self._sink = sink
        await self._receiver.run()

    async def _keep(self, cluster: str, body: Body, request: web.Request) -> web.Response:
        ingest = Ingest(cluster, "kubernetes_audit/webhook", self._redact_key, keyed=self._keyed, tag=self._tag)
        size = len(body.data)
        try:
            data = unpacked(body, request.headers.get("Content-Encoding", ""), self._receiver.listener.body_limit)
        except TooLarge:
            return self._receiver.too_large(request)
        except NoRoom:
            return self._receiver.no_memory()
        except Undecodable as e:
            ingest.add_reject(body.data, f"webhook body is not {request.headers['Content-Encoding'][:40]}: {e}")
            chunks = ingest.take()
        else:
            body.data = b""
            chunks = (
                await asyncio.to_thread(ingest.feed_body, data) if len(data) > _IN_PLACE else ingest.feed_body(data)
            )
            del data
        assert self._sink is not None
        try:
            taken = await self._sink.put(Batch(chunks), wait=False)
        except Full as e:
            self._counts["refused_full"] += 1
            self._refusals.report(f"audit webhook: {e}; the API server is told to come again")
            return web.Response(status=503, headers={"Retry-After": RETRY_AFTER}, text="no room; come again\n")
        except KubewitnessError as e:
            self._counts["errors"] += 1
            self._refusals.report(f"audit webhook: {e}")
            return web.Response(status=503, headers={"Retry-After": RETRY_AFTER}, text="cannot be stored now\n")
        self._count(request, ingest, taken.stored, taken.duplicates, size)
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
