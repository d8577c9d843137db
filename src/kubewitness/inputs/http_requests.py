"""Input `http` at work: each request's body becomes records, its path their tag."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from aiohttp import web

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import Full, KubewitnessError, Malformed
from kubewitness.formats.accessor import Path, Reader
from kubewitness.inputs.http_bodies import FORM_TYPE, JSON_TYPES, records_of
from kubewitness.inputs.incident import Incident
from kubewitness.inputs.listener import Listener
from kubewitness.inputs.made_records import Maker, with_key
from kubewitness.inputs.receiver import RETRY_AFTER, Body, Receiver
from kubewitness.inputs.unpack import ENCODINGS, NoRoom, TooLarge, Undecodable, unpacked
from kubewitness.record import Chunk

_log = logging.getLogger(__name__)

#: larger bodies are taken apart in a thread, so that they hold up nobody else's small one (bytes)
_IN_PLACE = 1024 * 1024
#: what a tag is not made of
_NO_TAG = re.compile(rb"[^0-9A-Za-z_.]")


class Tags(NamedTuple):
    """The tag of records whose path names none, and where a record says its own."""

    default: str
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """What is said when all is kept."""

    code: int = 201
    headers: Mapping[str, str] | None = None
    keep_alive: bool = True

    def kept(self) -> web.Response:
        answer = web.Response(status=self.code, headers=self.headers)
        if not self.keep_alive:
            answer.force_close()
        return answer


class HttpRequests:
    """The receiver of one section."""

    def __init__(
        self,
        listener: Listener,
        maker: Maker,
        tags: Tags,
        answers: Answers,
        *,
        address_key: str = "",
        health_path: str = "",
    ) -> None:
        self._receiver = Receiver("http", listener, self._tag_of, self._keep, alive=health_path)
        self._maker = maker
        self._tags = tags
        self._reader = Reader([tags.key]) if tags.key is not None else None
        self._answers = answers
        self._address_key = address_key
        self._sink: Sink | None = None
        self._refusals = Incident(_log)
        self._broken = Incident(_log)
        self._counts = {
            "records": 0,
            "bytes": 0,
            "refused_full": 0,
            "refused_broken": 0,
            "errors": 0,
            "last_record_us": 0,
        }

    @property
    def port(self) -> int:
        """The port listened on; 0 as long as there is none."""
        return self._receiver.port

    def health(self) -> Mapping[str, object]:
        receiver = self._receiver
        now = {"listening": receiver.port, "connections": receiver.connections, "in_flight_bytes": receiver.budget.used}
        return {**now, **receiver.counts, **self._counts}

    async def run(self, sink: Sink) -> None:
        """Listens until cancelled. Raises UsageError when it cannot listen there."""
        self._sink = sink
        await self._receiver.run()

    def _tag_of(self, request: web.Request) -> str:
        path = unquote_to_bytes(request.rel_url.raw_path)[1:]
        return sanitized(path) or self._tags.default

    async def _keep(self, tag: str, body: Body, request: web.Request) -> web.Response:
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in (*JSON_TYPES, FORM_TYPE):
            known = ", ".join((*JSON_TYPES, FORM_TYPE))
            return self._refuse(request, 400, f"Content-Type is {kind[:60]!r}; it takes {known}")
        encoding = request.headers.get("Content-Encoding", "")
        if encoding.strip().lower() not in ENCODINGS:
            return self._refuse(request, 415, f"Content-Encoding is {encoding[:60]!r}; it takes gzip, deflate, zstd")
        size = len(body.data)
        try:
            data = unpacked(body, encoding, self._receiver.listener.body_limit)
            body.data = b""
            address = self._address(request)
            if len(data) > _IN_PLACE:
                chunks = await asyncio.to_thread(self._chunks, data, kind, tag, address)
            else:
                chunks = self._chunks(data, kind, tag, address)
        except TooLarge:
            return self._receiver.too_large(request)
        except NoRoom:
            return self._receiver.no_memory()
        except Undecodable as e:
            return self._refuse(request, 400, f"the body is no {encoding}: {e}")
        except Malformed as e:
            return self._refuse(request, 400, str(e))
        return await self._put(request, chunks, size)

    async def _put(self, request: web.Request, chunks: Sequence[Chunk], size: int) -> web.Response:
        assert self._sink is not None
        try:
            taken = await self._sink.put(Batch(chunks), wait=False)
        except Full as e:
            self._counts["refused_full"] += 1
            self._refusals.report(f"http: {e}; who sends is told to come again")
            return web.Response(status=503, headers={"Retry-After": RETRY_AFTER}, text="no room; come again\n")
        except KubewitnessError as e:
            self._counts["errors"] += 1
            self._refusals.report(f"http: {e}")
            return web.Response(status=503, headers={"Retry-After": RETRY_AFTER}, text="cannot be stored now\n")
        self._counts["records"] += taken.stored
        self._counts["bytes"] += size
        self._counts["last_record_us"] = time.time_ns() // 1000
        return self._answers.kept()

    def _refuse(self, request: web.Request, status: int, reason: str) -> web.Response:
        """The sender has the body still: nothing of it is kept."""
        self._counts["refused_broken"] += 1
        self._broken.report(f"http: a body from {request.remote} is refused: {reason}")
        return web.Response(status=status, text=f"error: {reason}\n")

    # --- records -----------------------------------------------------------------------------------------------------

    def _chunks(self, data: bytes, kind: str, tag: str, address: str) -> list[Chunk]:
        """Raises Malformed."""
        now = time.time_ns()
        records = records_of(data, kind)
        tags = self._own_tags(records, tag) if self._reader is not None else {tag: records}
        chunks = []
        for name, group in tags.items():
            if address:
                group = [with_key(record, self._address_key, address) for record in group]
            chunks += self._maker.chunks(name, group, now_ns=now)
        return chunks

    def _own_tags(self, records: Sequence[bytes], tag: str) -> dict[str, list[bytes]]:
        """Records by the tag that they name, else the path's."""
        assert self._reader is not None
        found: dict[str, list[bytes]] = {}
        for record in records:
            (value,) = self._reader.read(record)
            own = sanitized(value.encode("utf-8", "backslashreplace")) if isinstance(value, str) else ""
            found.setdefault(own or tag, []).append(record)
        return found

    def _address(self, request: web.Request) -> str:
        if not self._address_key:
            return ""
        forwarded = request.headers.get("X-Forwarded-For", "").partition(",")[0].strip()
        return forwarded[:255] or request.remote or ""


def sanitized(tag: bytes) -> str:
    """As Fluent Bit does it: every other byte becomes `_`."""
    return _NO_TAG.sub(b"_", tag).decode()
