"""One list and watch, kept up for ever: of Events, or of any other resource.

List, then watch from the list's resourceVersion; after that only watch, from the version of the last durable record,
also after a restart. A new list is made when the server no longer has that version (410), or when it is another
cluster, or one set back in time, that now answers at this address. What a list repeats is recognised by its key.

Where a watch is impossible (refused to us, unknown to a proxy, or switched off) it lists again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

import msgspec

from kubewitness.contracts import Batch, Sink
from kubewitness.errors import KubewitnessError, UsageError
from kubewitness.formats import depth
from kubewitness.formats.ingest import Ingest
from kubewitness.formats.sniff import Found
from kubewitness.inputs.kubernetes_events_ahead import read_ahead
from kubewitness.kube import (
    Backoff,
    Expired,
    Forbidden,
    KubeClient,
    KubeFailure,
    Resource,
    Unsupported,
    find_resource,
)
from kubewitness.kube.client import decode_watch_line
from kubewitness.kube.failures import failure_of, status_of
from kubewitness.kube.secrets import Secrets
from kubewitness.kube.watchhealth import WatchHealth

_log = logging.getLogger(__name__)

#: a watch that ends within so many seconds was cut off, not served
_SHORT_WATCH = 1.0
_PAGE = 500
_EVENT_CHANGES = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "EXPIRED"}
_OBJECT_CHANGES = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "DELETED"}
#: of an object removed: it holds no time of its removal
_ARRIVAL = ("time-from-arrival",)


class Position(msgspec.Struct):
    """Where to go on. `cluster_uid` is "" when we may not read namespace kube-system."""

    resource_version: str
    cluster_uid: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to watch and how. Times are seconds; `page` is items, 0 for the usual."""

    #: of the watch: in logs, health and as the name of its position
    name: str
    namespace: str = ""
    #: the resource, when it is known without asking
    resource: Resource | None = None
    #: else the word to look it up by
    word: str = ""
    page: int = 0
    lasting: float = 600.0
    idle: float = 60.0
    period: float = 10.0
    may_watch: bool = True


class _Meta(msgspec.Struct):
    resourceVersion: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Meta


_version_decoder = msgspec.json.Decoder(_Versioned)
_position_decoder = msgspec.json.Decoder(Position)


class _NoWatch(KubewitnessError):
    """The resource can be listed but not be watched; polled instead."""


class ListWatch:
    """One resource of one cluster into one table. `run` never ends by itself."""

    def __init__(self, plan: Plan, ingest: Ingest) -> None:
        self._plan = plan
        self.name = plan.name
        self._ingest = ingest
        self._resource = plan.resource
        self._position: Position | None = None
        self._cluster_uid = ""
        self._secrets = Secrets()
        self._backoff = Backoff()
        self._health = WatchHealth()

    def health(self) -> dict[str, object]:
        return {**self._health.show(), "rejected": self._ingest.rejected}

    async def run(self, client: KubeClient, sink: Sink) -> None:
        self._secrets = client.access.secrets
        saved = await sink.position(self.name)
        if saved is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                self._position = _position_decoder.decode(saved)
        while True:
            await self._try_once(client, sink)

    async def _try_once(self, client: KubeClient, sink: Sink) -> None:
        """One list and watch, or the wait after a failure."""
        try:
            if self._resource is None:
                self._resource = await find_resource(client, self._plan.word)
            if not await self._may_resume(client):
                await self._list(client, sink)
            await self._watch(client, sink)
        except Expired as e:
            # Only what changed more than once since our version, or expired, is gone: the server has no more of it.
            self._health.expired += 1
            self._failed(e, "the server no longer has our version; everything it has is listed again")
            self._position = None
            await asyncio.sleep(self._backoff.next())
        except _NoWatch as e:
            await self._poll(client, sink, e)
        except (KubeFailure, UsageError) as e:
            if isinstance(e, Unsupported) and self._plan.resource is None:
                self._resource = None  # its definition was removed, or serves another version now
            # A kubeconfig that was there at the start and is being replaced now is waited for, too.
            if isinstance(e, Forbidden):
                self._health.lacks(e.right)
            wait = self._backoff.next(getattr(e, "after", None))
            self._failed(e, f"next try in {wait:.0f} s")
            await asyncio.sleep(wait)

    async def _poll(self, client: KubeClient, sink: Sink, why: KubewitnessError) -> None:
        """Lists again after a while; whether a watch has become possible is tried after that."""
        if self._health.last_error != str(why):
            _log.warning("%s: %s; listed every %.0f s instead", self.name, why, self._plan.period)
        self._health.polling(str(why))
        await asyncio.sleep(self._plan.period)
        # A list is taken as it comes: of a cluster set back, too. Repeats are recognised by their keys.
        self._position = None

    async def _may_resume(self, client: KubeClient) -> bool:
        """Whether our position belongs to the cluster that answers now, and to its past."""
        uid = await self._identity(client)
        position = self._position
        if position is None:
            self._cluster_uid = uid
            return False
        if uid and position.cluster_uid and uid != position.cluster_uid:
            _log.warning(
                "%s: another cluster answers at this address; its %s are recorded from the start",
                self.name,
                self._what,
            )
        else:
            self._cluster_uid = uid or position.cluster_uid
            now = await client.resource_version(self._path, asked=f"list {self._what}")
            if not _is_future(position.resource_version, now):
                return True
            _log.warning(
                "%s: the cluster was set back (version %s, we were at %s); its %s are listed again",
                self.name,
                now,
                position.resource_version,
                self._what,
            )
        self._cluster_uid = uid
        self._position = None
        return False

    async def _identity(self, client: KubeClient) -> str:
        """The cluster's; "" where it is not shown. Recording goes on without, and it is said what that costs."""
        try:
            uid = await client.cluster_identity()
        except Forbidden as e:
            if self._health.lacks(e.right):
                _log.warning("%s: %s; without it another cluster at this address is not told apart", self.name, e)
            return ""
        except Unsupported:
            return ""
        self._health.has(client.IDENTITY_RIGHT)
        return uid

    async def _list(self, client: KubeClient, sink: Sink) -> None:
        self._health.listing()
        path = self._path
        async for page in client.list_pages(path, limit=self._plan.page or _PAGE, asked=f"list {self._what}"):
            self._health.has(f"list {self._what}")
            for item in page.items:
                self._ingest.add(self._listed(item), file=path)
            # The position comes with the last page only: a list broken off begins again and repeats nothing.
            await self._put(sink, page.resource_version if page.last else "")

    def _listed(self, item: bytes) -> Found:
        """Items of a list have neither kind nor apiVersion; an Event is known without, another object is not."""
        assert self._resource is not None
        if self._is_events:
            return Found("events", item, "list", change="ADDED")
        head = msgspec.json.encode({"kind": self._resource.kind, "apiVersion": self._resource.api_version})
        named = head[:-1] + b"," + item.lstrip()[1:]
        return Found("objects", named, "list", change="ADDED", flags=("kind-from-list",))

    async def _watch(self, client: KubeClient, sink: Sink) -> None:
        if not self._plan.may_watch:
            raise _NoWatch(f"watching {self._what} is switched off")
        assert self._position is not None
        lines = client.watch(
            self._path,
            self._position.resource_version,
            lasting=self._plan.lasting,
            idle=self._plan.idle,
            asked=f"watch {self._what}",
        )
        opened = time.monotonic()
        try:
            async with contextlib.aclosing(read_ahead(lines)) as groups:
                async for group in groups:
                    self._alive(settled=bool(group))
                    version, error = self._take(group)
                    if version:
                        await self._put(sink, version)
                    elif self._ingest.rejected:
                        await self._put(sink, "")
                    if error is not None:
                        raise error
        except (Forbidden, Unsupported) as e:
            if isinstance(e, Forbidden):
                self._health.lacks(e.right)
            # the list before it was answered (or would be: a position is only had from a list)
            raise _NoWatch(str(e)) from e
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
                try:
                    seen, error = self._take_line(line)
                except RecursionError:
                    seen, error = self._take_line(depth.shallow(line), whole=line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
                self._reject(line, str(e))
                continue
            if error is not None:
                return version, error
            version = seen or version
        return version, None

    def _take_line(self, line: bytes, *, whole: bytes = b"") -> tuple[str, Exception | None]:
        """One line: its version, or the error it reports. `whole`: the original, if the line is a shallow copy."""
        found = decode_watch_line(line)
        change, raw = found.type, bytes(found.object)
        changes = _EVENT_CHANGES if self._is_events else _OBJECT_CHANGES
        if change == "ERROR":
            status = status_of(raw)
            return "", failure_of(status.code or 500, status, f"watch {self._what}", self._secrets)
        version = _version_decoder.decode(raw).metadata.resourceVersion
        if change in changes:
            record = self._watched(changes[change], raw)
            if whole:
                record = record._replace(flags=(*record.flags, depth.FLAG), whole=whole)
            self._ingest.add(record, file=self._path)
        elif change != "BOOKMARK":
            self._reject(line, f"unknown type {change!r}")
        return version, None

    def _reject(self, line: bytes, reason: str) -> None:
        """A line that is no watch's may be anything, a proxy's page with our request in it for instance."""
        masked = self._secrets.mask_bytes(line)
        self._ingest.add_reject(masked, f"watch: {self._secrets.mask(reason)}", file=self._path)

    def _watched(self, change: str, raw: bytes) -> Found:
        if self._is_events:
            return Found("events", raw, "watch", change=change)
        return Found("objects", raw, "watch", change=change, flags=_ARRIVAL if change == "DELETED" else ())

    async def _put(self, sink: Sink, version: str) -> None:
        chunks = self._ingest.take()
        position = Position(version, self._cluster_uid) if version else None
        if not chunks and position is None:
            return
        positions = {self.name: msgspec.json.encode(position)} if position is not None else {}
        taken = await sink.put(Batch(chunks, positions))
        if position is not None:
            self._position = position
        self._health.put(taken.stored, taken.duplicates)

    def _alive(self, *, settled: bool) -> None:
        self._health.has(f"watch {self._what}")
        if not self._health.connected:
            _log.info("%s: watching", self.name)
        if settled:
            self._backoff.reset()
        self._health.alive(opened=not settled)

    def _failed(self, error: KubewitnessError, then: str) -> None:
        if str(error) != self._health.last_error or self._health.connected:
            _log.warning("%s: %s; %s", self.name, error, then)
        self._health.failed(str(error))

    @property
    def _path(self) -> str:
        assert self._resource is not None
        return self._resource.path(self._plan.namespace)

    @property
    def _what(self) -> str:
        """The resource in words for people: as an RBAC rule names it."""
        assert self._resource is not None
        group = self._resource.api_version.rpartition("/")[0]
        return f"{self._resource.name}.{group}" if group else self._resource.name

    @property
    def _is_events(self) -> bool:
        resource = self._resource
        return (
            resource is not None
            and resource.name == "events"
            and (resource.api_version == "v1" or resource.api_version.startswith("events.k8s.io/"))
        )


def _is_future(ours: str, theirs: str) -> bool:
    """Versions are opaque in principle; Kubernetes' own are numbers of one counter, and only such are compared."""
    return ours.isdigit() and theirs.isdigit() and int(ours) > int(theirs)
