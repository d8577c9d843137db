"""The admission webhook: POST /admission and /admission/<cluster>, an AdmissionReview each.

The API server waits for the answer, and so does the user behind it: it is given at once, always `allowed`, before the
review is on disk. Reviews wait in memory (limited) for the journal; what finds no room there is counted, and the loss
itself is put on record once there is room again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from aiohttp import web

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import KubewitnessError
from kubewitness.formats.ingest import Ingest
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.listener import Listener
from kubewitness.inputs.receiver import Body, Receiver, clusters
from kubewitness.record import Chunk

_log = logging.getLogger(__name__)

#: reviews of so many bytes are handed over at once
_GROUP_BYTES = 512 * 1024
#: of these, none came later than the first by more than this (microseconds): they share their time of arrival
_GROUP_US = 100_000
#: at the end, what waits is given so many seconds
_DRAIN_SECONDS = 5.0
#: after an error of the journal it is tried again in so many seconds
_AGAIN = 1.0


class _Request(msgspec.Struct):
    uid: str


class _Review(msgspec.Struct):
    request: _Request
    apiVersion: str = "admission.k8s.io/v1"


_decode = msgspec.json.Decoder(_Review).decode
_encode = msgspec.json.encode


class _Waiting(NamedTuple):
    cluster: str
    body: bytes
    arrived_us: int
    is_review: bool


class AdmissionWebhook:
    """Answers at once; a task of its own puts what came into the sink."""

    def __init__(
        self,
        listener: Listener,
        cluster: str,
        *,
        redact_key: bytes = b"",
        keyed: bool = True,
        tag: str = "",
        queue_limit: int = 16 * 1024 * 1024,
    ) -> None:
        self._receiver = Receiver("admission webhook", listener, clusters(cluster), self._answer)
        self._cluster = cluster
        self._redact_key = redact_key
        self._keyed = keyed
        self._tag = tag
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._queue_limit = queue_limit
        self._came = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        #: not kept since the last loss was put on record, by cluster: (how many, first, last arrival)
        self._lost: dict[str, tuple[int, int, int]] = {}
        self._losses = Incident(_log)
        self._counts = {
            "records": 0,
            "duplicates": 0,
            "rejected": 0,
            "bytes": 0,
            "dropped": 0,
            "errors": 0,
            "last_record_us": 0,
            "slowest_answer_us": 0,
        }

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self._receiver.port

    def health(self) -> Mapping[str, object]:
        waiting = {"waiting": len(self._queue), "waiting_bytes": self._queued}
        return {"listening": self.port, **waiting, **self._receiver.counts, **self._counts}

    async def run(self, sink: Sink) -> None:
        """Listens until cancelled; what was answered by then is still kept, if the journal takes it in time."""
        keeping = asyncio.create_task(self._keep_all(sink), name="admission reviews into the journal")
        try:
            await self._receiver.run()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_SECONDS):
                    await self._idle.wait()
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            if self._queue:
                self._counts["dropped"] += len(self._queue)
                _log.warning("admission webhook: %d reviews could not be kept at the end", len(self._queue))

    # --- answering ---------------------------------------------------------------------------------------------------

    async def _answer(self, cluster: str, body: Body, request: web.Request) -> web.Response:
        start = time.perf_counter_ns()
        data, body.data = body.data, b""
        try:
            if request.headers.get("Content-Encoding", "identity").lower() in ("gzip", "x-gzip"):
                data = self._gunzip(data)
            review = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, zlib.error):
            self._take(_Waiting(cluster, data, time.time_ns() // 1000, False))
            return web.Response(status=400, text="not an AdmissionReview; it is kept in table rejects\n")
        self._take(_Waiting(cluster, data, time.time_ns() // 1000, True))
        answer = {
            "apiVersion": review.apiVersion,
            "kind": "AdmissionReview",
            "response": {"uid": review.request.uid, "allowed": True},
        }
        took = (time.perf_counter_ns() - start) // 1000
        self._counts["slowest_answer_us"] = max(self._counts["slowest_answer_us"], took)
        return web.Response(body=_encode(answer), content_type="application/json")

    def _gunzip(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj(wbits=47)
        body = unpacker.decompress(data, self._receiver.listener.body_limit)
        if not unpacker.eof:
            raise zlib.error("the end is missing, or it is too large")
        return body

    def _take(self, waiting: _Waiting) -> None:
        size = len(waiting.body)
        if self._queued + size > self._queue_limit:
            self._counts["dropped"] += 1
            n, first, _ = self._lost.get(waiting.cluster, (0, waiting.arrived_us, 0))
            self._lost[waiting.cluster] = (n + 1, first, waiting.arrived_us)
            self._losses.report(
                f"admission webhook: the journal is behind and {self._queued / 1e6:.0f} MB of reviews wait for it; "
                "a review was answered but cannot be kept"
            )
        else:
            self._queue.append(waiting)
            self._queued += size
        self._idle.clear()
        self._came.set()

    # --- keeping -----------------------------------------------------------------------------------------------------

    async def _keep_all(self, sink: Sink) -> None:
        while True:
            self._came.clear()
            while self._queue or self._lost:
                await self._keep_some(sink)
            self._idle.set()
            await self._came.wait()

    async def _keep_some(self, sink: Sink) -> None:
        """The oldest reviews of one cluster that came together. They stay in the queue until they are durable."""
        group = self._group()
        lost = dict(self._lost)
        ingest = Ingest(
            group[0].cluster if group else self._cluster,
            "kubernetes_admission",
            self._redact_key,
            keyed=self._keyed,
            tag=self._tag,
            only=frozenset(("admission",)),
        )
        chunks = await asyncio.to_thread(_chunks, ingest, group)
        if lost and not group:
            for cluster, (n, first, last) in lost.items():
                ingest.cluster = cluster
                ingest.add_reject(
                    b"", f"{n} admission reviews were answered but not kept: no room {_span(first, last)}"
                )
                chunks += ingest.take()
        try:
            taken = await sink.put(Batch(chunks))
        except KubewitnessError as e:
            self._counts["errors"] += 1
            self._losses.report(f"admission webhook: {e}; trying again")
            await asyncio.sleep(_AGAIN)
            return
        for waiting in group:
            self._queue.popleft()
            self._queued -= len(waiting.body)
        if not group:
            for cluster, told in lost.items():
                self._forget(cluster, told)
        counts = self._counts
        counts["records"] += taken.stored
        counts["duplicates"] += taken.duplicates
        counts["rejected"] += ingest.rejected
        counts["bytes"] += sum(len(waiting.body) for waiting in group)
        counts["last_record_us"] = time.time_ns() // 1000

    def _group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        for waiting in self._queue:
            first = group[0] if group else waiting
            late = waiting.arrived_us - first.arrived_us > _GROUP_US
            if group and (late or waiting.cluster != first.cluster or size > _GROUP_BYTES):
                break
            group.append(waiting)
            size += len(waiting.body)
        return group

    def _forget(self, cluster: str, told: tuple[int, int, int]) -> None:
        """What was lost while the loss was written down stays to be told."""
        n, _, last = self._lost[cluster]
        if n == told[0]:
            del self._lost[cluster]
        else:
            self._lost[cluster] = (n - told[0], told[2], last)


def _chunks(ingest: Ingest, group: list[_Waiting]) -> list[Chunk]:
    """Reviews have no time of their own but that of their arrival, which may be long ago when the journal was slow."""
    for waiting in group:
        ingest.fallback_us, ingest.arrived_us = group[0].arrived_us, waiting.arrived_us
        if waiting.is_review:
            ingest.add_any(waiting.body)
        else:
            ingest.add_reject(waiting.body, "not an AdmissionReview")
    return ingest.take()


def _span(first_us: int, last_us: int) -> str:
    first, last = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(us / 1e6)) for us in (first_us, last_us))
    return f"from {first} to {last}"
