"""Input `kubernetes_events`: every version of every Event of a cluster, each once.

List, then watch from the list's resourceVersion; after that only watch, from the version of the last durable record,
also after a restart. A new list is made when the server no longer has that version (410), or when it is another
cluster, or one set back in time, that now answers at this address. What a list repeats is recognised by its key.

An Event seen to be deleted is recorded as EXPIRED: its time to live has passed, or its namespace went; nothing new
happened to what it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping

import msgspec

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import KubewitnessError, Malformed, UsageError
from kubewitness.formats.ingest import Ingest
from kubewitness.formats.sniff import Found
from kubewitness.inputs.kubernetes_events_ahead import read_ahead
from kubewitness.inputs.options import Key, Options
from kubewitness.kube import Backoff, Expired, Forbidden, KubeAccess, KubeClient, KubeFailure
from kubewitness.kube.client import decode_watch_line
from kubewitness.kube.failures import failure_of, status_of

_log = logging.getLogger(__name__)

KEYS = (
    Key("kubeconfig"),
    Key("context"),
    Key("kube_url"),
    Key("kube_ca_file"),
    Key("kube_token_file"),
    Key("kube_namespace"),
    Key("kube_request_limit", "int", "500"),
    Key("kube_watch_timeout", "seconds", "10m"),
    Key("watch_idle", "seconds", "60"),
    Key("tls.verify", "bool", "on"),
    Key("cluster", "text", "default"),
)

#: a watch that ends within so many seconds was cut off, not served
_SHORT_WATCH = 1.0
_CHANGES = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "EXPIRED"}


class Position(msgspec.Struct):
    """Where to go on. `cluster_uid` is "" when we may not read namespace kube-system."""

    resource_version: str
    cluster_uid: str = ""


class _Meta(msgspec.Struct):
    resourceVersion: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Meta


_version_decoder = msgspec.json.Decoder(_Versioned)
_position_decoder = msgspec.json.Decoder(Position)


class KubernetesEvents:
    """One cluster's Events (of one namespace, if `kube_namespace` is set)."""

    def __init__(self, options: Mapping[str, object], *, redact_key: bytes = b"", keyed: bool = True) -> None:
        self._options = opts = Options("kubernetes_events", options, KEYS)
        self.cluster = opts.text("cluster")
        namespace = opts.text("kube_namespace")
        self._path = f"/api/v1/namespaces/{namespace}/events" if namespace else "/api/v1/events"
        self.name = opts.text("alias") or f"kubernetes_events/{self.cluster}" + (f"/{namespace}" if namespace else "")
        self.access = KubeAccess(
            kubeconfig=opts.text("kubeconfig") or None,
            context=opts.text("context") or None,
            url=opts.text("kube_url") or None,
            token_file=opts.text("kube_token_file") or None,
            ca_file=opts.text("kube_ca_file") or None,
            insecure=not opts.flag("tls.verify"),
        )
        self._ingest = Ingest(self.cluster, "kubernetes_events", redact_key, keyed=keyed, tag=opts.text("tag"))
        self._position: Position | None = None
        self._cluster_uid = ""
        self._backoff = Backoff()
        self._health: dict[str, object] = {
            "state": "starting",
            "connected": False,
            "records": 0,
            "duplicates": 0,
            "last_record_us": 0,
            "lists": 0,
            "watches": 0,
            "expired": 0,
            "errors": 0,
            "last_error": "",
            "dead_since_us": _now_us(),
        }

    def health(self) -> Mapping[str, object]:
        return {**self._health, "rejected": self._ingest.rejected}

    async def run(self, sink: Sink) -> None:
        """Records until cancelled. Raises UsageError when the configuration names no cluster that could answer."""
        self.access.find()
        saved = await sink.position(self.name)
        if saved is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                self._position = _position_decoder.decode(saved)
        async with KubeClient(self.access) as client:
            while True:
                await self._try_once(client, sink)

    async def _try_once(self, client: KubeClient, sink: Sink) -> None:
        """One list and watch, or the wait after a failure."""
        try:
            if not await self._may_resume(client):
                await self._list(client, sink)
            await self._watch(client, sink)
        except Expired as e:
            # Only what changed more than once since our version, or expired, is gone: the server has no more of it.
            self._count("expired")
            self._failed(e, "the server no longer has our version; everything it has is listed again")
            self._position = None
            await asyncio.sleep(self._backoff.next())
        except (KubeFailure, UsageError) as e:
            # A kubeconfig that was there at the start and is being replaced now is waited for, too.
            wait = self._backoff.next(getattr(e, "after", None))
            self._failed(e, f"next try in {wait:.0f} s")
            await asyncio.sleep(wait)

    async def _may_resume(self, client: KubeClient) -> bool:
        """Whether our position belongs to the cluster that answers now, and to its past."""
        uid = await self._identity(client)
        position = self._position
        if position is None:
            self._cluster_uid = uid
            return False
        if uid and position.cluster_uid and uid != position.cluster_uid:
            _log.warning(
                "%s: another cluster answers at this address; its Events are recorded from the start", self.name
            )
        else:
            self._cluster_uid = uid or position.cluster_uid
            now = await client.resource_version(self._path, asked="list events")
            if not _is_future(position.resource_version, now):
                return True
            _log.warning(
                "%s: the cluster was set back (version %s, we were at %s); its Events are listed again",
                self.name,
                now,
                position.resource_version,
            )
        self._cluster_uid = uid
        self._position = None
        return False

    async def _identity(self, client: KubeClient) -> str:
        try:
            return await client.cluster_identity()
        except Forbidden:
            return ""

    async def _list(self, client: KubeClient, sink: Sink) -> None:
        self._health["state"] = "listing"
        self._count("lists")
        limit = self._options.number("kube_request_limit")
        async for page in client.list_pages(self._path, limit=limit, asked="list events"):
            for item in page.items:
                self._ingest.add(Found("events", item, "list", change="ADDED"), file=self._path)
            # The position comes with the last page only: a list broken off begins again and repeats nothing.
            version = page.resource_version if page.last else ""
            await self._put(sink, version)

    async def _watch(self, client: KubeClient, sink: Sink) -> None:
        assert self._position is not None
        lasting = self._options.seconds("kube_watch_timeout")
        lines = client.watch(
            self._path,
            self._position.resource_version,
            lasting=lasting,
            idle=self._options.seconds("watch_idle"),
            asked="watch events",
        )
        self._count("watches")
        opened = time.monotonic()
        async with contextlib.aclosing(read_ahead(lines)) as groups:
            async for group in groups:
                self._alive(settled=bool(group))
                version, error = self._take(group)
                if version:
                    await self._put(sink, version)
                if error is not None:
                    raise error
        if time.monotonic() - opened < _SHORT_WATCH:
            # a proxy that cuts every watch at once must not be asked again and again without a pause
            await asyncio.sleep(self._backoff.next())
        else:
            self._backoff.reset()

    def _take(self, lines: list[bytes]) -> tuple[str, Exception | None]:
        """Adds these lines' records. (version to go on from, "" if none; what the server reported in place of one)."""
        version = ""
        for line in lines:
            try:
                change, raw = _taken_apart(line)
                if change == "ERROR":
                    status = status_of(raw)
                    return version, failure_of(status.code or 500, status, "watch events")
                if change in _CHANGES:
                    self._ingest.add(Found("events", raw, "watch", change=_CHANGES[change]), file=self._path)
                elif change != "BOOKMARK":
                    self._ingest.add_reject(line, f"watch: unknown type {change!r}", file=self._path)
                version = _version_decoder.decode(raw).metadata.resourceVersion or version
            except (msgspec.MsgspecError, UnicodeDecodeError, Malformed) as e:
                self._ingest.add_reject(line, f"watch: {e}", file=self._path)
        return version, None

    async def _put(self, sink: Sink, version: str) -> None:
        chunks = self._ingest.take()
        position = Position(version, self._cluster_uid) if version else None
        if not chunks and position is None:
            return
        positions = {self.name: msgspec.json.encode(position)} if position is not None else {}
        taken = await sink.put(Batch(chunks, positions))
        if position is not None:
            self._position = position
        self._count("records", taken.stored)
        self._count("duplicates", taken.duplicates)
        if taken.stored:
            self._health["last_record_us"] = _now_us()

    def _alive(self, *, settled: bool) -> None:
        if not self._health["connected"]:
            _log.info("%s: watching", self.name)
        if settled:
            self._backoff.reset()
        self._health.update(connected=True, state="watching", dead_since_us=0)

    def _failed(self, error: KubewitnessError, then: str) -> None:
        text = str(error)
        if text != self._health["last_error"] or self._health["connected"]:
            _log.warning("%s: %s; %s", self.name, text, then)
        self._count("errors")
        if self._health["connected"] or not self._health["dead_since_us"]:
            self._health["dead_since_us"] = _now_us()
        self._health.update(connected=False, state="failing", last_error=text)

    def _count(self, what: str, n: int = 1) -> None:
        before = self._health[what]
        assert isinstance(before, int)
        self._health[what] = before + n


def _taken_apart(line: bytes) -> tuple[str, bytes]:
    found = decode_watch_line(line)
    return found.type, bytes(found.object)


def _is_future(ours: str, theirs: str) -> bool:
    """Versions are opaque in principle; Kubernetes' own are numbers of one counter, and only such are compared."""
    return ours.isdigit() and theirs.isdigit() and int(ours) > int(theirs)


def _now_us() -> int:
    return time.time_ns() // 1000
